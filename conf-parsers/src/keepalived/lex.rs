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
    let mut out = text.empty();
    let mut unclosed = false;
    if text.s.contains(['#', '!', '"']) {
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
    } else {
        out = text.clone();
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
pub(super) struct Piece {
    pub(super) words: Vec<Word>,
    pub(super) brace: Brace,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// Cuts a line at its braces.
pub(super) fn pieces(text: &Text) -> Vec<Piece> {
    let mut out = Vec::new();
    let mut words: Vec<Word> = Vec::new();
    let mut start = 0;
    let mut flush = |words: &mut Vec<Word>, brace, start, end| {
        if !words.is_empty() {
            out.push(Piece { words: std::mem::take(words), brace, start, end });
        }
    };
    for pair in pairs(Rule::tokens, &text.s) {
        let at = pair.as_span();
        if words.is_empty() {
            start = at.start();
        }
        match pair.as_rule() {
            Rule::open => {
                words.push(text.word("{", at.start(), at.end(), false));
                flush(&mut words, Brace::Open, start, at.start());
            }
            Rule::close => {
                flush(&mut words, Brace::None, start, at.start());
                words.push(text.word("}", at.start(), at.end(), false));
                flush(&mut words, Brace::Close, at.start(), at.start());
            }
            Rule::quoted => {
                let inner = pair.into_inner().next().map_or("", |p| p.as_str());
                words.push(text.word(inner, at.start(), at.end(), true));
            }
            // The original drops a word whose quote is never closed; the complaint was made when it was read.
            Rule::unclosed => {}
            _ => words.push(text.word(pair.as_str(), at.start(), at.end(), false)),
        }
    }
    flush(&mut words, Brace::None, start, text.s.len());
    out
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
