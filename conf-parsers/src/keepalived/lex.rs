//! From text to words, by the grammar; and back.

use super::text::{Text, restore};
use super::{Brace, Statement};
use crate::Word;
use pest::Parser;
use pest::iterators::Pair;

#[derive(pest_derive::Parser)]
#[grammar = "keepalived/keepalived.pest"]
pub(super) struct Grammar;

/// The pairs inside an entry rule. The entry rules match any text, so there is no failure to report.
pub(super) fn pairs(rule: Rule, s: &str) -> impl Iterator<Item = Pair<'_, Rule>> {
    Grammar::parse(rule, s)
        .into_iter()
        .flatten()
        .flat_map(|p| p.into_inner())
        .filter(|p| p.as_rule() != Rule::EOI)
}

/// Takes a comment and the blanks around away. The flag tells of a double quote that is never closed.
pub(super) fn uncomment(text: &Text) -> (Text, bool) {
    match text.s.find(['#', '!', '"']) {
        None => (trimmed(text), false),
        // Without a quote or a backslash before it a mark is one: the usual comment.
        Some(first) if !text.s[first..].starts_with('"') && !text.s[..first].contains('\\') => {
            (trimmed(&text.part(0, first)), false)
        }
        Some(_) => uncomment_by_grammar(text),
    }
}

fn uncomment_by_grammar(text: &Text) -> (Text, bool) {
    let mut out = text.empty();
    let mut unclosed = false;
    for pair in pairs(Rule::uncommented, &text.s) {
        let at = pair.as_span();
        match pair.as_rule() {
            Rule::escaped => out.append(text, at.start() + 1, at.end()),
            Rule::comment => break,
            rule => {
                unclosed |= rule == Rule::lone_quote;
                out.append(text, at.start(), at.end());
            }
        }
    }
    (trimmed(&out), unclosed)
}

/// The text without blanks at its ends.
pub(super) fn trimmed(text: &Text) -> Text {
    let start = text.s.len() - text.s.trim_ascii_start().len();
    let end = text.s.trim_ascii_end().len().max(start);
    if start == 0 && end == text.s.len() { text.clone() } else { text.part(start, end) }
}

/// Words and braces between two statement ends.
#[derive(Debug, PartialEq)]
pub(super) struct Piece {
    pub(super) words: Vec<Word>,
    pub(super) brace: Brace,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// The pieces of one line under way.
struct Cutter<'t> {
    text: &'t Text,
    out: Vec<Piece>,
    words: Vec<Word>,
    start: usize,
}

impl<'t> Cutter<'t> {
    fn new(text: &'t Text) -> Self {
        Self { text, out: Vec::new(), words: Vec::new(), start: 0 }
    }

    fn flush(&mut self, brace: Brace, end: usize) {
        if !self.words.is_empty() {
            let words = std::mem::take(&mut self.words);
            self.out.push(Piece { words, brace, start: self.start, end });
        }
    }

    fn word(&mut self, content: &str, start: usize, end: usize, quoted: bool) {
        if self.words.is_empty() {
            self.start = start;
        }
        self.words.push(self.text.word(content, start, end, quoted));
    }

    fn open(&mut self, at: usize) {
        self.word("{", at, at + 1, false);
        self.flush(Brace::Open, at);
    }

    fn close(&mut self, at: usize) {
        self.flush(Brace::None, at);
        self.word("}", at, at + 1, false);
        self.flush(Brace::Close, at);
    }

    fn finish(mut self) -> Vec<Piece> {
        self.flush(Brace::None, self.text.s.len());
        self.out
    }
}

/// Cuts a line at its braces. Lines without quotes, nearly all of a file, are cut by their bytes; the grammar reads the
/// others. A test holds the short way to the grammar.
pub(super) fn pieces(text: &Text) -> Vec<Piece> {
    if text.s.as_bytes().contains(&b'"') { pieces_by_grammar(text) } else { pieces_by_bytes(text) }
}

fn pieces_by_bytes(text: &Text) -> Vec<Piece> {
    let bytes = text.s.as_bytes();
    let mut cutter = Cutter::new(text);
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b' ' | b'\t' | 0x0b | 0x0c | b'\r' => at += 1,
            b'{' => {
                cutter.open(at);
                at += 1;
            }
            b'}' => {
                cutter.close(at);
                at += 1;
            }
            _ => {
                let ends = |b: &u8| matches!(b, b' ' | b'\t' | 0x0b | 0x0c | b'\r' | b'{' | b'}');
                let end = bytes[at..].iter().position(ends).map_or(bytes.len(), |n| at + n);
                cutter.word(&text.s[at..end], at, end, false);
                at = end;
            }
        }
    }
    cutter.finish()
}

fn pieces_by_grammar(text: &Text) -> Vec<Piece> {
    let mut cutter = Cutter::new(text);
    for pair in pairs(Rule::tokens, &text.s) {
        let at = pair.as_span();
        match pair.as_rule() {
            Rule::open => cutter.open(at.start()),
            Rule::close => cutter.close(at.start()),
            Rule::quoted => {
                let inner = pair.into_inner().next().map_or("", |p| p.as_str());
                cutter.word(inner, at.start(), at.end(), true);
            }
            // The original drops a word whose quote is never closed; the complaint was made when it was read.
            Rule::unclosed => {}
            _ => cutter.word(pair.as_str(), at.start(), at.end(), false),
        }
    }
    cutter.finish()
}

/// Why a command line can't be split.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandFault {
    /// A quote of this kind is never closed.
    Quote(char),
    /// A backslash ends the line.
    Escape,
}

/// Splits a command line: single and double quotes, escapes; adjacent pieces join. The first fault, if any, is
/// told beside the words found up to it.
pub fn command_words(text: &str) -> (Vec<String>, Option<CommandFault>) {
    let mut words = Vec::new();
    for part in pairs(Rule::command, text) {
        let mut word = String::new();
        for piece in part.into_inner() {
            match piece.as_rule() {
                Rule::open_quote => {
                    let quote = if piece.as_str().starts_with('"') { '"' } else { '\'' };
                    return (words, Some(CommandFault::Quote(quote)));
                }
                Rule::escape => match escaped(&piece) {
                    Some(c) => word.push(c),
                    None => return (words, Some(CommandFault::Escape)),
                },
                Rule::plain => word.push_str(piece.as_str()),
                _ => {
                    for inner in piece.into_inner() {
                        match inner.as_rule() {
                            Rule::escape => word.extend(escaped(&inner)),
                            _ => word.push_str(inner.as_str()),
                        }
                    }
                }
            }
        }
        words.push(restore(&word).0);
    }
    (words, None)
}

/// The character an escape stands for; `None` for a backslash at the end.
fn escaped(pair: &Pair<'_, Rule>) -> Option<char> {
    let inner = pair.clone().into_inner().next()?;
    let s = inner.as_str();
    let byte = match inner.as_rule() {
        Rule::octal => u32::from_str_radix(s, 8).ok()? & 0xFF,
        Rule::hex => u32::from_str_radix(&s[1..], 16).ok()?,
        Rule::control => s.chars().nth(1)? as u32 & 0x1F,
        Rule::any_char => {
            return Some(match s.chars().next()? {
                'a' => '\x07',
                'b' => '\x08',
                'E' => '\x1B',
                'f' => '\x0C',
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'v' => '\x0B',
                c => c,
            });
        }
        _ => return None,
    };
    char::from_u32(byte)
}

/// A statement as a line that reads back to the same words.
pub(super) fn print(statement: &Statement) -> String {
    let mut out = String::new();
    let mut quote = false;
    for c in statement.text.chars() {
        quote ^= c == '"';
        if !quote && matches!(c, '#' | '!') {
            out.push('\\');
        }
        out.push(c);
    }
    match statement.brace {
        Brace::Open => out.push_str(" {"),
        Brace::Close => out.push('}'),
        Brace::None => {}
    }
    out.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use diag::FileId;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_short_ways_are_the_grammars(
            line in proptest::collection::vec(proptest::sample::select(vec![
                "a", "bc", "{", "}", " ", "\t", "\u{b}", "\u{c}", "\r", "#", "!", "\\", "\"", "ä", "\u{2028}", "$", "\u{f7ff}",
            ]), 0..24)
        ) {
            let text = Text::of(FileId(0), 7, line.concat().as_bytes());
            let (by_bytes, by_grammar) = (uncomment(&text), uncomment_by_grammar(&text));
            prop_assert_eq!(&by_bytes.0.s, &by_grammar.0.s);
            prop_assert_eq!(by_bytes.1, by_grammar.1);
            if !text.s.contains('"') {
                prop_assert_eq!(pieces_by_bytes(&text), pieces_by_grammar(&text));
            }
            // Cut out of comments, words still stand where they stood.
            prop_assert_eq!(pieces(&by_bytes.0), pieces_by_grammar(&by_grammar.0));
        }
    }
}
