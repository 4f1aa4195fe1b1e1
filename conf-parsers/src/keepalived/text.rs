//! A line's text together with where each piece of it stood in the file, so that words keep their spans through
//! removed comments and substituted parameters.
//!
//! Invariant: every byte that is not UTF-8 is one private-use character here and the same byte again in a word.

use crate::Word;
use diag::{FileId, Span};

/// Private-use characters U+F780…U+F7FF stand for the bytes 0x80…0xFF that are not part of UTF-8.
const BYTE_BASE: u32 = 0xF700;

/// From `out` on, the text came from `source`: byte by byte when `replaced` is zero, else as the replacement of
/// `replaced` bytes.
#[derive(Debug, Clone, Copy)]
struct Origin {
    out: u32,
    source: u32,
    replaced: u32,
}

/// Text with origins in one file.
#[derive(Debug, Clone)]
pub(super) struct Text {
    pub(super) s: String,
    file: FileId,
    origins: Vec<Origin>,
}

impl Text {
    /// The text of `bytes`, which stand at `start` in `file`.
    pub(super) fn of(file: FileId, start: usize, bytes: &[u8]) -> Self {
        let mut text = Self { s: String::with_capacity(bytes.len()), file, origins: Vec::new() };
        let mut at = start;
        for chunk in bytes.utf8_chunks() {
            text.push_literal(chunk.valid(), at);
            at += chunk.valid().len();
            for byte in chunk.invalid() {
                let c = char::from_u32(BYTE_BASE + u32::from(*byte)).unwrap_or(char::REPLACEMENT_CHARACTER);
                text.push_replacement(c.encode_utf8(&mut [0; 4]), at, 1);
                at += 1;
            }
        }
        text
    }

    /// Empty text of the same file.
    pub(super) fn empty(&self) -> Self {
        Self { s: String::new(), file: self.file, origins: Vec::new() }
    }

    fn push_literal(&mut self, s: &str, source: usize) {
        if !s.is_empty() {
            self.origins.push(Origin { out: self.s.len() as u32, source: source as u32, replaced: 0 });
            self.s.push_str(s);
        }
    }

    fn push_replacement(&mut self, s: &str, source: usize, replaced: usize) {
        if !s.is_empty() {
            let replaced = (replaced as u32).max(1);
            self.origins.push(Origin { out: self.s.len() as u32, source: source as u32, replaced });
            self.s.push_str(s);
        }
    }

    /// Appends `other[start..end]` with its origins.
    pub(super) fn append(&mut self, other: &Self, start: usize, end: usize) {
        let mut at = start;
        while at < end {
            let i = other.origin_index(at);
            let origin = other.origins[i];
            let stop = other.origins.get(i + 1).map_or(other.s.len(), |o| o.out as usize).min(end);
            let out = self.s.len() as u32;
            let source = match origin.replaced {
                0 => origin.source + (at as u32 - origin.out),
                _ => origin.source,
            };
            self.origins.push(Origin { out, source, replaced: origin.replaced });
            self.s.push_str(&other.s[at..stop]);
            at = stop;
        }
    }

    /// Appends `s` in place of `other[start..end]`.
    pub(super) fn substitute(&mut self, s: &str, other: &Self, start: usize, end: usize) {
        let span = other.span(start, end);
        self.push_replacement(s, span.start as usize, (span.end - span.start) as usize);
    }

    /// The part `start..end`.
    pub(super) fn part(&self, start: usize, end: usize) -> Self {
        let mut part = self.empty();
        part.append(self, start, end);
        part
    }

    fn origin_index(&self, at: usize) -> usize {
        self.origins.partition_point(|o| o.out as usize <= at).saturating_sub(1)
    }

    /// Where `start..end` of the text stood.
    pub(super) fn span(&self, start: usize, end: usize) -> Span {
        if self.origins.is_empty() {
            return Span::new(self.file, 0, 0);
        }
        let first = self.origins[self.origin_index(start)];
        let from = match first.replaced {
            0 => first.source as usize + (start - first.out as usize),
            _ => first.source as usize,
        };
        let last = self.origins[self.origin_index(end.max(start + 1) - 1)];
        let to = match last.replaced {
            0 => last.source as usize + (end - last.out as usize),
            n => (last.source + n) as usize,
        };
        Span::new(self.file, from, to.max(from))
    }

    /// The word that stands at `start..end` and reads `content`.
    pub(super) fn word(&self, content: &str, start: usize, end: usize, quoted: bool) -> Word {
        let mut word = Word::new("", self.span(start, end));
        word.quoted = quoted;
        (word.text, word.raw) = restore(content);
        word
    }
}

/// The user's text again: private-use stand-ins become U+FFFD in the text and their byte in the raw form.
pub(super) fn restore(content: &str) -> (String, Option<Box<[u8]>>) {
    let is_byte = |c: char| (BYTE_BASE + 0x80..=BYTE_BASE + 0xFF).contains(&(c as u32));
    if content.is_ascii() || !content.contains(is_byte) {
        return (content.to_owned(), None);
    }
    let mut raw = Vec::with_capacity(content.len());
    let mut text = String::with_capacity(content.len());
    for c in content.chars() {
        if is_byte(c) {
            raw.push((c as u32 - BYTE_BASE) as u8);
            text.push(char::REPLACEMENT_CHARACTER);
        } else {
            raw.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            text.push(c);
        }
    }
    (text, Some(raw.into_boxed_slice()))
}
