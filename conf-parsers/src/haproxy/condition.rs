//! `if` and `unless` with ACL names, anonymous ACLs, `!`, `or` and `||`.

use super::expr::{AclRef, Condition, Term};
use crate::Word;
use crate::args::Fault;

/// Whether a word opens a condition.
pub fn opens(word: &Word) -> bool {
    matches!(word.text.as_str(), "if" | "unless")
}

/// Reads the words from `if` or `unless` to the end of the line.
///
/// Faults carry haproxy's texts: the part after `error detected while parsing … : `.
pub fn parse(words: &[Word]) -> Result<Condition, Fault> {
    let Some((first, rest)) = words.split_first() else {
        return Err(Fault::new(diag::Span::new(diag::FileId(0), 0, 0), "missing condition"));
    };
    if !opens(first) {
        return Err(Fault::new(first.span, format!("expected 'if' or 'unless', got '{}'", first.text)));
    }
    let mut any = Vec::new();
    let mut all: Vec<Term> = Vec::new();
    let mut negated = false;
    let mut at = 0;
    while let Some(word) = rest.get(at) {
        at += 1;
        let text = word.text.as_str();
        if (text.eq_ignore_ascii_case("or") || text == "||") && !word.quoted {
            any.push(std::mem::take(&mut all));
            negated = false;
            continue;
        }
        let name = text.trim_start_matches('!');
        if (text.len() - name.len()) % 2 == 1 {
            negated = !negated;
        }
        if name.is_empty() {
            continue;
        }
        let acl = if name == "{" {
            let body = &rest[at..];
            let Some(close) = body.iter().position(|w| w.text == "}") else {
                let last = rest.last().map_or(word.span, |w| w.span);
                return Err(Fault::new(last, "missing closing '}' in condition"));
            };
            at += close + 1;
            AclRef::Anonymous(body[..close].to_vec())
        } else {
            AclRef::Named(Word { text: name.to_owned(), raw: None, ..word.clone() })
        };
        all.push(Term { negated: std::mem::take(&mut negated), acl });
    }
    any.push(all);
    let last = rest.last().map_or(first.span, |w| w.span);
    Ok(Condition { unless: first.text == "unless", any, span: first.span.to(last) })
}
