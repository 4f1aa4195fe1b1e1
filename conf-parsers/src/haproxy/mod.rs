//! haproxy.cfg: lines of words, sections, conditions.
//!
//! Invariants: reading never stops at a fault, except where haproxy cannot know what belongs to what (an open
//! `.if`); the tree holds only lines that count, with conditions already decided.
//! Absent on purpose: every keyword; the names of sections come from the caller.

pub mod address;
pub mod cc;
pub mod condition;
pub mod expr;
pub mod log_format;
mod read;
mod words;

pub use read::{Host, Tree, parse};
pub use words::{WORDS_MAX, WordFault, split};

use crate::Line;

/// One section: its opening line and the lines up to the next opening line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// The opening line, `frontend www from base`.
    pub header: Line,
    /// The lines inside.
    pub lines: Vec<Line>,
}

/// Writes a word so that reading it gives the same bytes.
pub fn quote(bytes: &[u8]) -> Vec<u8> {
    let plain =
        |b: &u8| b.is_ascii_alphanumeric() || b"_-./:,;()[]{}@%+=*!?<>&|^~$".contains(b) || *b >= 0x80;
    if !bytes.is_empty() && bytes.iter().all(plain) {
        return bytes.to_vec();
    }
    let mut out = vec![b'"'];
    for byte in bytes {
        match byte {
            b'"' | b'\\' | b'$' => out.extend([b'\\', *byte]),
            b'\n' => out.extend(b"\\n"),
            b'\r' => out.extend(b"\\r"),
            _ => out.push(*byte),
        }
    }
    out.push(b'"');
    out
}

/// Writes sections as a file that reads back to the same words.
pub fn print(sections: &[Section]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut line = |line: &Line, indent: &[u8]| {
        out.extend(indent);
        for (i, word) in line.words.iter().enumerate() {
            if i > 0 {
                out.push(b' ');
            }
            out.extend(quote(word.bytes()));
        }
        out.push(b'\n');
    };
    for section in sections {
        line(&section.header, b"");
        section.lines.iter().for_each(|l| line(l, b"    "));
    }
    out
}

#[cfg(test)]
mod tests;
