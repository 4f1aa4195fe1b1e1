//! A cursor over the words of a line, with typed getters that complain in the originals' words.

use crate::Word;
use crate::value::{self, NumberFault, TimeUnit};
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
    /// How the original leads into the text.
    pub lead: diag::Lead,
}

impl Fault {
    /// A fault at a place.
    pub fn new(span: Span, text: impl Into<String>) -> Self {
        Self { span, text: text.into(), help: None, lead: diag::Lead::Parsing }
    }

    /// Adds the remedy.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Makes the place stand before the text without a blank, as some of the original's keywords do.
    #[must_use]
    pub fn tight(mut self) -> Self {
        self.lead = diag::Lead::Tight;
        self
    }

    /// The fault as an alert of the configuration.
    pub fn into_alert(self) -> diag::Diagnostic {
        let mut alert = diag::Diagnostic::at(diag::Severity::Alert, self.span, self.text);
        alert.help = self.help;
        alert.lead = self.lead;
        alert
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

    /// The next word, or a fault at the keyword with the text that `missing` gives.
    pub fn expect(&mut self, missing: impl FnOnce() -> String) -> Result<&'a Word, Fault> {
        let keyword = self.keyword.span;
        self.next().ok_or_else(|| Fault::new(keyword, missing()))
    }

    /// Takes one of the listed words and gives what stands beside it; `None` leaves the cursor where it was.
    pub fn one_of<T: Copy>(&mut self, choices: &[(&str, T)]) -> Option<T> {
        let word = self.peek()?;
        let (_, value) = choices.iter().find(|(name, _)| *name == word.text)?;
        self.next += 1;
        Some(*value)
    }

    /// A whole number in `range`; `complain` words the fault from what was written (empty when nothing was).
    pub fn int(
        &mut self,
        range: std::ops::RangeInclusive<i64>,
        complain: impl FnOnce(&str) -> String,
    ) -> Result<i64, Fault> {
        let word = self.next();
        let text = word.map_or("", |w| w.text.as_str());
        value::strict_int(text)
            .filter(|n| range.contains(n))
            .ok_or_else(|| Fault::new(word.map_or(self.keyword.span, |w| w.span), complain(text)))
    }

    /// A time in `unit`; `complain` words the fault.
    pub fn time(
        &mut self,
        unit: TimeUnit,
        complain: impl FnOnce(&str, NumberFault) -> String,
    ) -> Result<u32, Fault> {
        let word = self.next();
        let text = word.map_or("", |w| w.text.as_str());
        value::time(text, unit)
            .map_err(|e| Fault::new(word.map_or(self.keyword.span, |w| w.span), complain(text, e)))
    }

    /// A size in bytes with `k`, `m` or `g`; `complain` words the fault.
    pub fn size(&mut self, complain: impl FnOnce(&str, NumberFault) -> String) -> Result<u32, Fault> {
        let word = self.next();
        let text = word.map_or("", |w| w.text.as_str());
        value::size(text)
            .map_err(|e| Fault::new(word.map_or(self.keyword.span, |w| w.span), complain(text, e)))
    }

    /// A fault at the first word that was not taken, where there is one.
    pub fn unexpected(&self, complain: impl FnOnce(&str) -> String) -> Result<(), Fault> {
        self.peek().map_or(Ok(()), |w| Err(Fault::new(w.span, complain(&w.text))))
    }

    /// haproxy's complaint about the first word that was not taken, where there is one.
    pub fn none_left(&self) -> Result<(), Fault> {
        self.unexpected(|w| format!("'{}' cannot handle unexpected argument '{w}'.", self.keyword.text))
    }

    /// How many words were taken.
    pub fn taken(&self) -> usize {
        self.next
    }
}

/// haproxy's words for a bad time: `timer overflow in argument <x> to <y>, …`, without a final stop.
pub fn time_fault_text(written: &str, to: &str, fault: NumberFault) -> String {
    time_fault_text_up_to(written, to, fault, "2147483647 ms (~24.8 days)")
}

/// The words of newer keywords: `timer overflow in argument 'x' to 'y' (maximum value is …)`, without a final stop.
pub fn time_fault_quoted(written: &str, to: &str, fault: NumberFault) -> String {
    match fault {
        NumberFault::Overflow => {
            format!(
                "timer overflow in argument '{written}' to '{to}' (maximum value is 2147483647 ms or ~24.8 days)"
            )
        }
        NumberFault::Underflow => {
            format!("timer underflow in argument '{written}' to '{to}' (minimum non-null value is 1 ms)")
        }
        NumberFault::Unexpected(_) => time_fault_text(written, to, fault),
    }
}

/// The same with the limit that the keyword's unit gives, such as `2147483647 s (~68 years)`.
pub fn time_fault_text_up_to(written: &str, to: &str, fault: NumberFault, limit: &str) -> String {
    match fault {
        NumberFault::Overflow => {
            format!("timer overflow in argument <{written}> to <{to}>, maximum value is {limit}.")
        }
        NumberFault::Underflow => {
            format!("timer underflow in argument <{written}> to <{to}>, minimum non-null value is 1 ms.")
        }
        NumberFault::Unexpected(byte) => {
            format!("unexpected character '{}' in argument to <{to}>.", char::from(byte))
        }
    }
}
