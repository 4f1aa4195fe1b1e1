//! log-format strings to items; what a tag or flag means is the log's business.

use super::expr::{FormatItem, FormatRule as Rule, Grammar, prefix_at};
use diag::{FileId, Span};
use pest::Parser;
use pest::iterators::Pair;

/// Reads a whole log-format string.
pub fn parse(text: &str) -> Result<Vec<FormatItem>, String> {
    parse_at(text, Span::new(FileId(0), 0, text.len()))
}

/// Like [`parse`], with spans that count from the start of `origin`.
pub fn parse_at(text: &str, origin: Span) -> Result<Vec<FormatItem>, String> {
    let mut items = Vec::new();
    let mut literal = String::new();
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        let Some(pair) = Grammar::parse(Rule::format_part, rest).ok().and_then(|mut p| p.next()) else {
            return Err(format!("unreadable log-format at '{rest}'"));
        };
        match pair.as_rule() {
            Rule::literal => {
                literal.push_str(pair.as_str());
                at += pair.as_str().len();
            }
            Rule::cut => return Err("truncated line after '%'".to_owned()),
            Rule::percent => {
                literal.push('%');
                at += pair.as_str().len();
            }
            _ => {
                if !literal.is_empty() {
                    items.push(FormatItem::Text(std::mem::take(&mut literal)));
                }
                let here = Span { start: origin.start.saturating_add(at as u32), ..origin };
                let (item, used) = item(rest, pair, here)?;
                items.push(item);
                at += used;
            }
        }
    }
    if !literal.is_empty() {
        items.push(FormatItem::Text(literal));
    }
    Ok(items)
}

fn item(rest: &str, pair: Pair<'_, Rule>, origin: Span) -> Result<(FormatItem, usize), String> {
    let end = pair.as_span().end();
    let span = Span { end: origin.start.saturating_add(end as u32), ..origin };
    let (mut name, mut flags, mut tag) = (None, String::new(), None);
    for part in pair.into_inner() {
        let rule = part.as_rule();
        match rule {
            Rule::item_name => {
                let mut inner = part.into_inner();
                name = inner.next().map(|p| p.as_str().to_owned());
                inner.next().ok_or("expected ')' after item name")?;
            }
            Rule::item_flags => {
                let mut inner = part.into_inner();
                inner.next().map(|p| p.as_str()).unwrap_or_default().clone_into(&mut flags);
                inner.next().ok_or_else(|| format!("truncated line after '{flags}'"))?;
            }
            Rule::tag => tag = Some(part.as_str().to_owned()),
            _ => {}
        }
    }
    if let Some(tag) = tag {
        return Ok((FormatItem::Tag { tag, flags, name, span }, end));
    }
    let inner = &rest[end..];
    let from = Span { start: origin.start.saturating_add(end as u32), ..origin };
    let blanks = inner.len() - inner.trim_start_matches(' ').len();
    let (expr, used) = prefix_at(&inner[blanks..], from)
        .map_err(|e| format!("failed to parse sample expression <{inner}> : {e}"))?;
    let used = used + blanks;
    let tail = inner[used..].trim_start_matches(' ');
    let gap = inner.len() - used - tail.len();
    if !tail.starts_with(']') {
        return Err(match tail.chars().next() {
            Some(found) => format!("expected ']' after '{}', but found '{found}'", &inner[..used]),
            None => format!("missing ']' after '{}'", &inner[..used]),
        });
    }
    Ok((FormatItem::Expr { expr, flags, name }, end + used + gap + 1))
}
