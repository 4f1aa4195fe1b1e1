//! Method, target and status: set and replace.
//!
//! Invariant: a part that a rule does not name stays byte for byte.

use super::header::{failed, format, replaced};
use super::sets::Set;
use super::{Action, Flow, act};
use crate::fetch::line::{authority, path, path_and_query};
use crate::http::message::Message;
use crate::log::Format;
use crate::sample::expr::{Scope, user_regex};
use crate::stream::view::View;
use conf_parsers::args::Args;
use pcre2::bytes::Regex;

type Parsed = Result<Box<dyn Action>, String>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Method,
    Path,
    PathQuery,
    Query,
    Uri,
}

fn part(name: &str) -> Part {
    match name.rsplit('-').next() {
        Some("method") => Part::Method,
        Some("path") => Part::Path,
        Some("pathq") => Part::PathQuery,
        Some("query") => Part::Query,
        _ => Part::Uri,
    }
}

struct SetPart {
    part: Part,
    format: Format,
}

/// The target with one part replaced; `None` where it has no such part.
fn with(uri: &[u8], part: Part, new: &[u8]) -> Option<Vec<u8>> {
    if uri == b"*" && matches!(part, Part::Path | Part::PathQuery) {
        return Some(new.to_vec());
    }
    let whole = path_and_query(uri);
    let start = whole.map_or(uri.len(), |w| uri.len() - w.len());
    let query = whole.map_or(uri.len(), |w| start + memchr::memchr(b'?', w).unwrap_or(w.len()));
    Some(match part {
        Part::Uri | Part::Method => new.to_vec(),
        Part::Path => {
            // A new path may bring a query; one that is there stays behind it.
            whole?;
            [&uri[..start], new, &uri[query..]].concat()
        }
        Part::PathQuery => {
            whole?;
            [&uri[..start], new].concat()
        }
        Part::Query => {
            // The mark is ours even before nothing.
            [&uri[..query], b"?", new].concat()
        }
    })
}

/// Bytes that would end the start line or add a word to it.
fn breaks_line(text: &[u8]) -> bool {
    text.is_empty() || text.iter().any(|b| *b <= b' ' || *b == 0x7f)
}

fn apply(view: &mut View<'_>, part: Part, new: &[u8]) -> Flow {
    let Some(request) = view.request.as_deref_mut() else { return Flow::Continue };
    if part == Part::Method {
        if breaks_line(new) {
            return failed(view);
        }
        request.set_method(new);
        return Flow::Continue;
    }
    match with(request.uri(), part, new) {
        Some(uri) if !breaks_line(&uri) => {
            request.set_uri(&uri);
            request.normalized &= part != Part::Uri;
            // A target in absolute form says the host, and Host must say the same.
            let place = request.find(b"host").next().map(|(at, _)| at);
            if let (Some(host), Some(at), Part::Uri) = (authority(&uri), place, part) {
                request.set_value(at, host);
            }
        }
        _ => return failed(view),
    }
    Flow::Continue
}

/// A target in absolute form says what `Host` says.
pub fn follow_host(request: &mut Message) {
    let Some(host) = request.first(b"host") else { return };
    let uri = request.uri();
    let Some(old) = authority(uri) else { return };
    let at = uri.len() - memchr::memmem::find(uri, b"://").map_or(0, |scheme| uri.len() - scheme - 3);
    let new = [&uri[..at], host, &uri[at + old.len()..]].concat();
    request.set_uri(&new);
}

/// `set-method`, `set-path`, `set-pathq`, `set-query`, `set-uri`.
pub fn set(args: &mut Args<'_>, scope: &mut Scope<'_>, set: Set) -> Parsed {
    let part = part(args.keyword().as_str());
    let text = args.next().filter(|w| !w.as_str().is_empty()).ok_or("expects exactly 1 argument <format>")?;
    let data = SetPart { part, format: format(text.as_str(), scope, set)? };
    Ok(act("set-uri", data, |d, view| {
        let new = d.format.to_bytes(view);
        apply(view, d.part, &new)
    }))
}

struct ReplacePart {
    part: Part,
    regex: Regex,
    format: Format,
}

/// `replace-path`, `replace-pathq`, `replace-uri`: nothing happens where the pattern does not match.
pub fn replace(args: &mut Args<'_>, scope: &mut Scope<'_>, set: Set) -> Parsed {
    let part = part(args.keyword().as_str());
    let (Some(regex), Some(text)) = (args.next(), args.next()) else {
        return Err("expects exactly 2 arguments <match-regex> and <replace-format>".into());
    };
    let regex = user_regex(regex.as_str(), false)?;
    let data = ReplacePart { part, regex, format: format(text.as_str(), scope, set)? };
    Ok(act("replace-uri", data, |d, view| {
        let by = d.format.to_bytes(view);
        let Some(request) = view.request.as_deref() else { return Flow::Continue };
        let uri = request.uri();
        let old = match d.part {
            Part::Path => path(uri),
            Part::PathQuery => path_and_query(uri),
            _ => Some(uri),
        };
        match old.and_then(|old| replaced(&d.regex, old, &by)) {
            Some(new) => apply(view, d.part, &new),
            None => Flow::Continue,
        }
    }))
}

struct Status {
    code: u16,
    reason: Option<String>,
}

/// `set-status N [reason R]`.
pub fn set_status(args: &mut Args<'_>, _: &mut Scope<'_>, _: Set) -> Parsed {
    let text = args.next().ok_or("expects 1 argument <status>; or 3 arguments <status> reason <fmt>")?;
    let code = text.as_str().parse().ok().filter(|c| (100..=999).contains(c));
    let code: u16 = code.ok_or("expects an integer status code between 100 and 999")?;
    let reason = if args.take("reason") {
        Some(
            args.next()
                .ok_or("expects 1 argument <status>; or 3 arguments <status> reason <fmt>")?
                .as_str()
                .to_owned(),
        )
    } else {
        None
    };
    Ok(act("set-status", Status { code, reason }, |s, view| {
        if let Some(response) = view.response.as_deref_mut() {
            let reason = s.reason.as_deref().unwrap_or_else(|| crate::http::errors::reason(s.code));
            response.set_status(s.code, reason.as_bytes());
        }
        Flow::Continue
    }))
}
