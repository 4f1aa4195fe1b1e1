//! One line to words: quotes and escapes off, variables in.
//!
//! Invariant: any bytes give words or one [`WordFault`] with the place haproxy names; spans count bytes of the
//! line as it was written, also where the line is not UTF-8.

use crate::Word;
use diag::{FileId, Span};
use pest::Parser;
use pest::iterators::Pair;

#[derive(pest_derive::Parser)]
#[grammar = "haproxy/haproxy.pest"]
struct Grammar;

/// Most words of one line; haproxy's own limit.
pub const WORDS_MAX: usize = 64;

/// Why a line has no words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WordFault {
    /// Byte of the line, from 0.
    pub at: usize,
    /// haproxy's words, without position.
    pub text: &'static str,
}

impl WordFault {
    fn new(at: usize, text: &'static str) -> Self {
        Self { at, text }
    }
}

const QUOTE: &str = "unmatched quote";
const HEX: &str = "truncated or invalid hexadecimal sequence";
const BRACE: &str = "unmatched brace in environment variable name";
const FIRST: &str = "forbidden first char in environment variable name";
const EXPANSION: &str = "truncated or invalid word expansion sequence";

/// Splits `line` (no LF) that starts at byte `offset` of `file`; `variable` gives values of the environment.
pub fn split(
    line: &[u8],
    file: FileId,
    offset: usize,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Vec<Word>, WordFault> {
    let splitter = |map| Splitter { file, offset, variable, map, base: 0, words: Vec::with_capacity(8) };
    match std::str::from_utf8(line) {
        Ok(text) => splitter(Map::Same).run(text),
        Err(_) => {
            let text: String = line.iter().map(|b| char::from(*b)).collect();
            splitter(Map::Latin1(&text)).run(&text)
        }
    }
}

/// How positions of the parsed text relate to bytes of the line.
#[derive(Clone, Copy)]
enum Map<'t> {
    Same,
    /// Every byte became one character.
    Latin1(&'t str),
}

impl Map<'_> {
    fn byte(self, position: usize) -> usize {
        match self {
            Self::Same => position,
            Self::Latin1(text) => text[..position].chars().count(),
        }
    }
}

struct Splitter<'a> {
    file: FileId,
    offset: usize,
    variable: &'a dyn Fn(&str) -> Option<String>,
    map: Map<'a>,
    /// Where in the text the word starts that the grammar reads.
    base: usize,
    words: Vec<Word>,
}

/// A word being put together.
#[derive(Default)]
struct Building {
    bytes: Vec<u8>,
    quoted: bool,
    /// Words that `${X[*]}` ended before this one.
    done: Vec<Vec<u8>>,
    /// `${X[*]}` gave nothing: the word is not there unless something else is.
    vanished: bool,
}

/// Bytes that plain words are made of: `plain` of the grammar. All bytes above ASCII are among them.
const PLAIN: [bool; 256] = {
    let mut plain = [true; 256];
    let others = b" \t\n\r\x0b\x0c\"'\\#";
    let mut i = 0;
    while i < others.len() {
        plain[others[i] as usize] = false;
        i += 1;
    }
    plain
};

impl Splitter<'_> {
    /// Words without quotes and escapes, nearly all of a file, are found by their bytes; the grammar reads the others.
    /// A test holds this to the grammar's rule for whole lines.
    fn run(mut self, text: &str) -> Result<Vec<Word>, WordFault> {
        let bytes = text.as_bytes();
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            match byte {
                b' ' | b'\t' | 0x0b | 0x0c => at += 1,
                b'#' | b'\r' | b'\n' => break,
                _ => {
                    let rest = &bytes[at..];
                    let end = at + rest.iter().position(|b| !PLAIN[usize::from(*b)]).unwrap_or(rest.len());
                    at = match bytes.get(end) {
                        Some(b'"' | b'\'' | b'\\') => self.dressed(text, at)?,
                        _ => {
                            self.bare(&text[at..end], at, end);
                            end
                        }
                    };
                }
            }
        }
        Ok(self.words)
    }

    /// A word with quotes or escapes that starts at `at`; gives its end.
    fn dressed(&mut self, text: &str, at: usize) -> Result<usize, WordFault> {
        let unreadable = || WordFault::new(at, "unreadable line");
        let pair = Grammar::parse(Rule::word, &text[at..]).ok().and_then(|mut p| p.next());
        let pair = pair.ok_or_else(unreadable)?;
        let end = at + pair.as_span().end();
        self.base = at;
        self.word(pair)?;
        Ok(end)
    }

    fn bare(&mut self, word: &str, from: usize, to: usize) {
        match self.map {
            Map::Same => {
                let span = Span::new(self.file, self.offset + from, self.offset + to);
                self.words.push(Word::new(word, span));
            }
            Map::Latin1(_) => self.push(self.encode(word), from, to, false),
        }
    }

    /// The byte of the line where a part of the word at `base` starts.
    fn start(&self, part: &Pair<'_, Rule>) -> usize {
        self.map.byte(self.base + part.as_span().start())
    }

    fn encode(&self, text: &str) -> Vec<u8> {
        match self.map {
            Map::Same => text.as_bytes().to_vec(),
            Map::Latin1(_) => text.chars().map(|c| c as u8).collect(),
        }
    }

    fn push(&mut self, bytes: Vec<u8>, from: usize, to: usize, quoted: bool) {
        let (from, to) = (self.map.byte(from), self.map.byte(to));
        let span = Span::new(self.file, self.offset + from, self.offset + to);
        let (text, raw) = match String::from_utf8(bytes) {
            Ok(text) => (text, None),
            Err(e) => {
                (String::from_utf8_lossy(e.as_bytes()).into_owned(), Some(e.into_bytes().into_boxed_slice()))
            }
        };
        self.words.push(Word { text, span, raw, quoted });
    }

    fn word(&mut self, pair: Pair<'_, Rule>) -> Result<(), WordFault> {
        let (from, to) = (self.base, self.base + pair.as_span().end());
        let mut building = Building::default();
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::plains => building.bytes.extend(self.encode(part.as_str())),
                Rule::escape => self.escape(&part, false, &mut building)?,
                Rule::single => self.single(part, &mut building)?,
                Rule::double => self.double(part, &mut building)?,
                _ => {}
            }
        }
        for done in std::mem::take(&mut building.done) {
            self.push(done, from, to, building.quoted);
        }
        if !(building.vanished && building.bytes.is_empty()) {
            self.push(building.bytes, from, to, building.quoted);
        }
        Ok(())
    }

    fn single(&self, pair: Pair<'_, Rule>, out: &mut Building) -> Result<(), WordFault> {
        let at = self.start(&pair);
        let mut closed = false;
        out.quoted = true;
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::strong => out.bytes.extend(self.encode(part.as_str())),
                Rule::close_s => closed = true,
                _ => {}
            }
        }
        if closed { Ok(()) } else { Err(WordFault::new(at, QUOTE)) }
    }

    fn double(&self, pair: Pair<'_, Rule>, out: &mut Building) -> Result<(), WordFault> {
        let at = self.start(&pair);
        let mut closed = false;
        out.quoted = true;
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::weak => out.bytes.extend(self.encode(part.as_str())),
                Rule::escape => self.escape(&part, true, out)?,
                Rule::variable => self.variable(part, out)?,
                Rule::close_d => closed = true,
                _ => {}
            }
        }
        if closed { Ok(()) } else { Err(WordFault::new(at, QUOTE)) }
    }

    /// Escapes that haproxy knows lose their backslash; all others keep it.
    fn escape(&self, pair: &Pair<'_, Rule>, in_double: bool, out: &mut Building) -> Result<(), WordFault> {
        let at = self.start(pair);
        let text = pair.as_str();
        let mut chars = text[1..].chars();
        let Some(first) = chars.next() else {
            out.bytes.push(b'\\');
            return Ok(());
        };
        match first {
            'n' => out.bytes.push(b'\n'),
            'r' => out.bytes.push(b'\r'),
            't' => out.bytes.push(b'\t'),
            ' ' | '#' | '\\' | '"' => out.bytes.push(first as u8),
            '\'' => out.bytes.push(b'\''),
            '$' if in_double => out.bytes.push(b'$'),
            'x' => {
                let byte = u8::from_str_radix(&text[2..], 16).map_err(|_| WordFault::new(at, HEX))?;
                out.bytes.push(byte);
            }
            _ => out.bytes.extend(self.encode(text)),
        }
        Ok(())
    }

    fn variable(&self, pair: Pair<'_, Rule>, out: &mut Building) -> Result<(), WordFault> {
        let start = self.start(&pair);
        let Some(inner) = pair.into_inner().next() else {
            return Err(WordFault::new(start + 1, FIRST));
        };
        if inner.as_rule() == Rule::name {
            out.bytes.extend((self.variable)(inner.as_str()).unwrap_or_default().into_bytes());
            return Ok(());
        }
        let brace = start + 1;
        let (mut name, mut split, mut fallback, mut closed) = (None, false, None, false);
        for part in inner.into_inner() {
            match part.as_rule() {
                Rule::name => name = Some(part.as_str().to_owned()),
                Rule::bracket if part.as_str() == "[*]" => split = true,
                Rule::bracket => {
                    return Err(match name {
                        Some(_) => WordFault::new(self.start(&part), EXPANSION),
                        None => WordFault::new(brace + 1, FIRST),
                    });
                }
                Rule::fallback => fallback = Some(self.encode(&part.as_str()[1..])),
                Rule::close_b => closed = true,
                _ => {}
            }
        }
        let Some(name) = name else { return Err(WordFault::new(brace + 1, FIRST)) };
        if !closed {
            return Err(WordFault::new(brace, BRACE));
        }
        let value = (self.variable)(&name).map(String::into_bytes).or(fallback).unwrap_or_default();
        if split {
            out.split_in(&value);
        } else {
            out.bytes.extend(value);
        }
        Ok(())
    }
}

impl Building {
    /// Each run of non-blanks becomes a word; the first joins what stands before it, the last what follows.
    fn split_in(&mut self, value: &[u8]) {
        let mut pieces = value.split(u8::is_ascii_whitespace).filter(|p| !p.is_empty());
        let Some(first) = pieces.next() else {
            self.vanished = true;
            return;
        };
        self.bytes.extend(first);
        for piece in pieces {
            self.done.push(std::mem::replace(&mut self.bytes, piece.to_vec()));
        }
    }
}

/// Reads all of `line` as one word: quotes, escapes and variables are dressed off, blanks stay.
pub(super) fn split_one(
    line: &[u8],
    file: FileId,
    offset: usize,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Vec<u8>, WordFault> {
    // Blanks count, so they are put in as they stand between the words.
    let words = split(line, file, offset, variable)?;
    let mut out = Vec::new();
    let mut end = offset;
    for word in &words {
        let gap = (word.span.start as usize).max(end) - offset;
        out.extend(&line[end - offset..gap]);
        out.extend(word.bytes());
        end = word.span.end as usize;
    }
    let rest = &line[end - offset..];
    let stop = rest.iter().position(|b| matches!(b, b'#' | b'\r')).unwrap_or(rest.len());
    out.extend(&rest[..stop]);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Where the grammar's rule for a whole line sees words.
    fn by_the_grammar(line: &str) -> Vec<(u32, u32)> {
        let pairs = Grammar::parse(Rule::line, line).expect("every string is a line");
        let words = pairs.filter(|p| matches!(p.as_rule(), Rule::bare | Rule::word));
        words.map(|p| (p.as_span().start() as u32, p.as_span().end() as u32)).collect()
    }

    proptest! {
        #[test]
        fn the_scan_sees_the_words_of_the_grammar(
            line in "([a-z$!%&(\\[~\u{7f}é€]{1,4}|[ \t\u{b}\u{c}]{1,2}|\\\\.|\"[^\"\\\\$]{0,4}\"|'[^']{0,4}'|[\r\n#\u{1}\u{e}]){0,12}",
        ) {
            let words = split(line.as_bytes(), FileId(0), 0, &|_| None);
            let spans = words.map(|l| l.iter().map(|w| (w.span.start, w.span.end)).collect::<Vec<_>>());
            match spans {
                Ok(spans) => prop_assert_eq!(spans, by_the_grammar(&line)),
                Err(fault) => prop_assert!(fault.text == HEX, "{fault:?}"),
            }
        }

        #[test]
        fn faults_lie_in_the_line(line in "[a-z \"'\\\\${}\\[*\\]é-]{0,24}") {
            for bytes in [line.as_bytes().to_vec(), line.chars().map(|c| c as u8).collect()] {
                if let Err(fault) = split(&bytes, FileId(0), 0, &|_| None) {
                    prop_assert!(fault.at <= bytes.len(), "{fault:?} in {line:?}");
                }
            }
        }
    }
}
