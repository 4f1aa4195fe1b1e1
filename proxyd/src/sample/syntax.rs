//! The way from text to the trees of conf-parsers, for the parts of a line that hold an expression or a format.
//!
//! Invariant: total; a fault is haproxy's text.

use conf_parsers::haproxy::expr::{Arg, Call, FormatItem, SampleExpr};
use diag::{FileId, Span};

fn nowhere() -> Span {
    Span::new(FileId(0), 0, 0)
}

/// An expression that is the whole text.
pub fn expression(text: &str) -> Result<SampleExpr, String> {
    let (tree, used) = prefix(text)?;
    if used < text.len() {
        return Err(format!("extra characters '{}' after the expression '{text}'", &text[used..]));
    }
    Ok(tree)
}

/// An expression at the start of the text, and how many bytes it took.
pub fn prefix(text: &str) -> Result<(SampleExpr, usize), String> {
    let (fetch, mut at) = call(text, 0, true)?;
    if fetch.name.is_empty() {
        return Err("missing fetch method".into());
    }
    let mut converters = Vec::new();
    while text[at..].starts_with(',') {
        at += text[at..].len() - text[at..].trim_start_matches(',').len();
        let (step, end) = call(text, at, false)?;
        at = end;
        converters.push(step);
    }
    Ok((SampleExpr { fetch, converters, span: nowhere() }, at))
}

fn call(text: &str, start: usize, fetch: bool) -> Result<(Call, usize), String> {
    let rest = &text[start..];
    let word = |c: char| {
        c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | ':' | '+' | '/' | '*' | '<' | '>')
    };
    let end = rest.find(|c| !word(c)).unwrap_or(rest.len());
    let name = rest[..end].to_owned();
    if !rest[end..].starts_with('(') {
        return Ok((Call { name, args: None, span: nowhere() }, start + end));
    }
    let (args, used) = arguments(&rest[end + 1..]).map_err(|e| {
        if fetch {
            format!("fetch method '{name}' : {e}")
        } else {
            format!("invalid arg 1 in converter '{name}' : {e}")
        }
    })?;
    Ok((Call { name, args: Some(args), span: nowhere() }, start + end + 1 + used))
}

/// Arguments up to the closing parenthesis, with haproxy's quoting inside of them.
fn arguments(text: &str) -> Result<(Vec<Arg>, usize), String> {
    let mut args = Vec::new();
    let mut current = String::new();
    let mut quote = None;
    let mut chars = text.char_indices().peekable();
    while let Some((i, c)) = chars.next() {
        match (quote, c) {
            (Some(q), c) if c == q => quote = None,
            (None | Some('"'), '\\') => {
                let escaped = chars.peek().map(|(_, c)| *c);
                let special = match quote {
                    None => matches!(escaped, Some('\\' | '"' | '\'' | ' ' | ',' | ')' | '(')),
                    _ => matches!(escaped, Some('\\' | '"')),
                };
                if special {
                    current.extend(chars.next().map(|(_, c)| c));
                } else {
                    current.push('\\');
                }
            }
            (None, '"' | '\'') => quote = Some(c),
            (None, ',') => args.push(Arg { text: std::mem::take(&mut current), span: nowhere() }),
            (None, ')') => {
                args.push(Arg { text: current, span: nowhere() });
                return Ok((args, i + 1));
            }
            (_, c) => current.push(c),
        }
    }
    Err("expected ')'".into())
}

/// A log-format string.
pub fn format(text: &str) -> Result<Vec<FormatItem>, String> {
    let mut out = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        literal.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('%') {
            literal.push('%');
            rest = after;
            continue;
        }
        if rest.is_empty() {
            literal.push('%');
            break;
        }
        if !literal.is_empty() {
            out.push(FormatItem::Text(std::mem::take(&mut literal)));
        }
        let (item, used) = item(rest)?;
        out.push(item);
        rest = &rest[used..];
    }
    literal.push_str(rest);
    if !literal.is_empty() {
        out.push(FormatItem::Text(literal));
    }
    Ok(out)
}

fn item(text: &str) -> Result<(FormatItem, usize), String> {
    let mut at = 0;
    let mut name = None;
    let mut flags = String::new();
    if text.starts_with('(') {
        let end = text.find(')').ok_or("expected ')' after item name")?;
        name = Some(text[1..end].to_owned());
        at = end + 1;
    }
    if text[at..].starts_with('{') {
        let end = text[at..].find('}').ok_or("expected '}' after log format flags")? + at;
        text[at + 1..end].clone_into(&mut flags);
        at = end + 1;
    }
    if text[at..].starts_with('[') {
        let inner = &text[at + 1..];
        let (expr, used) =
            prefix(inner).map_err(|e| format!("failed to parse sample expression <{inner}> : {e}"))?;
        let tail = &inner[used..];
        if !tail.starts_with(']') {
            let found = tail.chars().next().map_or(String::new(), |c| format!(", but found '{c}'"));
            return Err(format!("expected ']' after '{}'{found}", &inner[..used]));
        }
        return Ok((FormatItem::Expr { expr, flags, name }, at + 1 + used + 1));
    }
    let end = text[at..].find(|c: char| !c.is_ascii_alphanumeric()).map_or(text.len(), |e| at + e);
    Ok((FormatItem::Tag { tag: text[at..end].to_owned(), flags, name, span: nowhere() }, end))
}
