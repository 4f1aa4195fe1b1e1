//! A cursor over the words of a line, with typed getters that complain in the originals' words.

use crate::Word;
use diag::Span;

/// Reads the words of a line from left to right.
#[derive(Debug, Clone)]
pub struct Args<'a> {
    keyword: &'a Word,
    words: &'a [Word],
    next: usize,
}

/// What is wrong with an argument, and where; the caller turns it into a diagnostic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The word at fault, or the keyword where a word is missing.
    pub span: Span,
    /// The original's words.
    pub text: String,
    /// A remedy of ours.
    pub help: Option<String>,
}

impl Fault {
    /// A fault at a place.
    pub fn new(span: Span, text: impl Into<String>) -> Self {
        Self { span, text: text.into(), help: None }
    }
}

impl<'a> Args<'a> {
    /// A cursor before the first of `words`, which follow `keyword`.
    pub fn new(keyword: &'a Word, words: &'a [Word]) -> Self {
        Self { keyword, words, next: 0 }
    }

    /// The keyword the arguments belong to.
    pub fn keyword(&self) -> &'a Word {
        self.keyword
    }

    /// The next word, without taking it.
    pub fn peek(&self) -> Option<&'a Word> {
        self.words.get(self.next)
    }

    /// The word `n` places behind the next one, without taking it.
    pub fn peek_at(&self, n: usize) -> Option<&'a Word> {
        self.words.get(self.next + n)
    }

    /// Takes the next word.
    #[expect(clippy::should_implement_trait, reason = "a cursor that can also peek, not an iterator")]
    pub fn next(&mut self) -> Option<&'a Word> {
        let word = self.words.get(self.next)?;
        self.next += 1;
        Some(word)
    }

    /// Takes the next word if it is exactly `text`.
    pub fn take(&mut self, text: &str) -> bool {
        let hit = self.peek().is_some_and(|w| w.text == text);
        self.next += usize::from(hit);
        hit
    }

    /// All words not yet taken; they stay untaken.
    pub fn rest(&self) -> &'a [Word] {
        &self.words[self.next.min(self.words.len())..]
    }

    /// Takes all words that are left.
    pub fn take_rest(&mut self) -> &'a [Word] {
        let rest = self.rest();
        self.next = self.words.len();
        rest
    }

    /// Whether all words were taken.
    pub fn is_empty(&self) -> bool {
        self.next >= self.words.len()
    }

    /// Where the last taken word stands, or the keyword.
    pub fn span(&self) -> Span {
        self.next.checked_sub(1).and_then(|i| self.words.get(i)).map_or(self.keyword.span, |w| w.span)
    }

    /// A fault at the last taken word.
    pub fn fault(&self, text: impl Into<String>) -> Fault {
        Fault::new(self.span(), text)
    }
}
