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
    let splitter = |map| Splitter { file, offset, variable, map, words: Vec::with_capacity(8) };
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

impl Splitter<'_> {
    fn run(mut self, text: &str) -> Result<Vec<Word>, WordFault> {
        let pairs = Grammar::parse(Rule::line, text).map_err(|_| WordFault::new(0, "unreadable line"))?;
        for pair in pairs {
            match pair.as_rule() {
                Rule::bare => {
                    let bytes = self.encode(pair.as_str());
                    let (from, to) = (pair.as_span().start(), pair.as_span().end());
                    self.push(bytes, from, to, false);
                }
                Rule::word => self.word(pair)?,
                _ => {}
            }
        }
        Ok(self.words)
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
        let (from, to) = (pair.as_span().start(), pair.as_span().end());
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
        let at = self.map.byte(pair.as_span().start());
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
        let at = self.map.byte(pair.as_span().start());
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
        let at = self.map.byte(pair.as_span().start());
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
        let start = pair.as_span().start();
        let Some(inner) = pair.into_inner().next() else {
            return Err(WordFault::new(self.map.byte(start) + 1, FIRST));
        };
        if inner.as_rule() == Rule::name {
            out.bytes.extend((self.variable)(inner.as_str()).unwrap_or_default().into_bytes());
            return Ok(());
        }
        let brace = self.map.byte(start) + 1;
        let (mut name, mut split, mut fallback, mut closed) = (None, false, None, false);
        for part in inner.into_inner() {
            match part.as_rule() {
                Rule::name => name = Some(part.as_str().to_owned()),
                Rule::bracket if part.as_str() == "[*]" => split = true,
                Rule::bracket => {
                    return Err(match name {
                        Some(_) => WordFault::new(self.map.byte(part.as_span().start()), EXPANSION),
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
