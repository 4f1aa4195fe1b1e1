//! What `--explain` adds to a complaint: the words it is about, and what to write instead.
//!
//! Invariant: nothing here changes a complaint's text or line, only the caret below it and the remedy.
//! Absent on purpose: remedies for values, which the keywords' own functions know.

use super::globals::TOP;
use super::walk::{Row, Takes};
use crate::Word;
use crate::table::suggest;
use diag::Span;

/// Blocks are searched this deep for the home of a keyword; real ones nest three deep.
const DEPTH_MAX: usize = 4;

/// The remedy behind `Unexpected '{'`.
pub(super) const STRAY_BRACE: &str = "no block starts here, so what the braces hold is read as if they were not there: remove them or mend the keyword";
/// The remedy behind a block without its `{`.
pub(super) const NO_BRACE: &str = "put '{' at the end of the line that opens the block";
/// The remedy behind a `}` too many.
pub(super) const EXTRA_CLOSE: &str = "remove it, or look for a '{' that is missing above";
/// The remedy behind a block that never ends.
pub(super) const MISSING_CLOSE: &str = "look from the end of the file upwards for the block without '}'; every keyword behind it is read inside of it";
/// The remedy behind a quote that never ends.
pub(super) const OPEN_QUOTE: &str = "close the quote with \" on the same line";
/// The remedy behind a line that is too long.
pub(super) const LONG_LINE: &str = "break the line: values and blocks may go on in the next one";
/// The remedy behind an include that finds nothing.
pub(super) const NO_FILE: &str =
    "correct the pattern; it is looked up from the directory of the including file";
/// The remedy behind `~SEQ` that can't be read.
pub(super) const SEQUENCE: &str =
    "write ~SEQ(NAME, END), ~SEQ(NAME, START, END) or ~SEQ(NAME, START, STEP, END)";
/// The remedy behind `~LST` that can't be read.
pub(super) const LIST: &str = "write ~LST(NAME, VALUE, …) or ~LST({NAME, …}, {VALUE, …}, …)";
/// The remedy behind substitution without end.
pub(super) const ENDLESS: &str = "a definition may not use itself, neither directly nor through another one";

/// The form of a keyword as a remedy; nothing where it takes no words.
pub(super) fn form(keyword: &str, form: &str) -> Option<String> {
    let form = form.trim_end_matches('{').trim();
    (!form.is_empty() && !keyword.is_empty()).then(|| format!("write it like '{keyword} {form}'"))
}

/// The part of a line that `text` complains about: the word that it names first, else the whole line. What is said at
/// the end of a block stays there, although its words are those of the opening line.
pub(super) fn place(words: &[Word], line: Span, text: &str) -> Span {
    let named = |word: &&Word| position(text, &word.text).map(|at| (at, word.span));
    let inside = |w: &&Word| w.span.file == line.file && w.span.start >= line.start && w.span.end <= line.end;
    let values = words.get(1..).unwrap_or_default().iter().filter(inside);
    values.filter_map(|w| named(&w)).min_by_key(|(at, _)| *at).map_or(line, |(_, span)| span)
}

/// Where `word` stands in `text` as a word of its own.
fn position(text: &str, word: &str) -> Option<usize> {
    let part_of_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | ':');
    let alone = |at: usize| {
        let before = text[..at].chars().next_back();
        let mut behind = text[at + word.len()..].chars();
        let ends = behind.next().is_none_or(|c| {
            !part_of_word(c) || matches!(c, '.' | ':') && behind.next().is_none_or(|c| c == ' ')
        });
        before.is_none_or(|c| !part_of_word(c)) && ends
    };
    if word.is_empty() {
        return None;
    }
    text.match_indices(word).map(|(at, _)| at).find(|at| alone(*at))
}

/// What to do about a keyword that `rows` do not have; `depth` is that of the blocks around it.
pub(super) fn unknown<C>(word: &str, rows: &'static [Row<C>], depth: usize) -> Option<String> {
    if depth > 0 && TOP.iter().any(|r| r.name == word) {
        return Some(format!("'{word}' stands outside of all blocks: the one above lacks its '}}'"));
    }
    if let Some(block) = home(word, rows, 0) {
        return Some(format!("'{word}' belongs into a '{block}' block"));
    }
    if word == "}" {
        return Some("the block that it would close was not opened, or is closed already".to_owned());
    }
    let here = rows.iter().map(|r| r.name);
    let others = TOP.iter().map(|r| r.name).filter(|_| depth == 0);
    suggest(word, here.chain(others)).map(|name| format!("did you mean '{name}'?"))
}

/// The block inside of `rows` that has the keyword.
fn home<C>(word: &str, rows: &'static [Row<C>], depth: usize) -> Option<&'static str> {
    let blocks = rows.iter().filter_map(|r| match &r.takes {
        Takes::Block { rows, .. } => Some((r.name, *rows)),
        _ => None,
    });
    blocks.clone().find(|(_, inside)| inside.iter().any(|r| r.name == word)).map(|(name, _)| name).or_else(
        || {
            let deeper = (depth < DEPTH_MAX).then_some(blocks)?;
            deeper.into_iter().find_map(|(_, inside)| home(word, inside, depth + 1))
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_where_they_stand_alone() {
        assert_eq!(position("number '30' outside range [1, 300]", "30"), Some(8));
        assert_eq!(position("number '300' outside", "30"), None);
        assert_eq!(position("(VI_1) unknown state FOO.", "FOO"), Some(21));
        assert_eq!(position("address 10.0.0.1 bad", "10.0"), None);
        assert_eq!(position("none", ""), None);
    }

    #[test]
    fn forms_leave_the_brace_out() {
        assert_eq!(form("vrrp_instance", "NAME {").as_deref(), Some("write it like 'vrrp_instance NAME'"));
        assert_eq!(form("nopreempt", ""), None);
        assert_eq!(form("track_script", "{"), None);
    }
}
