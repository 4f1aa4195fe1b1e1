//! The surface syntax of haproxy.cfg and keepalived.conf: bytes in, a tree with spans and a report out.
//!
//! Invariants: parsing is total (any bytes give a tree, never a panic); pest types never leave this crate; no
//! keyword is known here, except keepalived's blocks that two daemons read (`keepalived/shared.rs`).
//!
//! Absent on purpose: sockets, tokio, the bus, and what any keyword means.

pub mod args;
pub mod haproxy;
pub mod keepalived;
pub mod load;
pub mod table;
pub mod value;

use diag::Span;

/// One word of a line, after quotes and escapes were taken off and variables put in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// The word as text; bytes that are not UTF-8 are replaced (see [`Word::bytes`]).
    pub text: String,
    /// Where it stands, quotes included.
    pub span: Span,
    /// The exact bytes where `text` could not hold them.
    pub raw: Option<Box<[u8]>>,
    /// Whether any part was quoted.
    pub quoted: bool,
}

impl Word {
    /// A plain word.
    pub fn new(text: impl Into<String>, span: Span) -> Self {
        Self { text: text.into(), span, raw: None, quoted: false }
    }

    /// The exact bytes.
    pub fn bytes(&self) -> &[u8] {
        self.raw.as_deref().unwrap_or(self.text.as_bytes())
    }

    /// The word as text.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// One line of words. Never empty: blank and comment lines leave no `Line`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The words; at least one.
    pub words: Vec<Word>,
    /// From the first word to the last.
    pub span: Span,
}

impl Line {
    /// The first word, which names the keyword.
    pub fn keyword(&self) -> &str {
        &self.words[0].text
    }

    /// A cursor over the words after the first.
    pub fn args(&self) -> args::Args<'_> {
        args::Args::new(&self.words[0], &self.words[1..])
    }
}
