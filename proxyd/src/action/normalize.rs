//! `normalize-uri`: one form of a target for all its spellings (RFC 3986, section 6).

use super::sets::Set;
use super::{Action, Flow, Verdict, act};
use crate::fetch::line::path_and_query;
use crate::sample::expr::Scope;
use conf_parsers::args::Args;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Normalizer {
    FragmentEncode,
    FragmentStrip,
    DotMerge(bool),
    PathMergeSlashes,
    PathStripDot,
    PercentDecodeUnreserved(bool),
    PercentToUppercase(bool),
    QuerySort,
}

/// `normalize-uri NORMALIZER [strict|full]`.
pub fn parse(args: &mut Args<'_>, _: &mut Scope<'_>, _: Set) -> Result<Box<dyn Action>, String> {
    let word = args.next().ok_or("missing argument <normalizer>")?.as_str();
    let normalizer = match word {
        "fragment-encode" => Normalizer::FragmentEncode,
        "fragment-strip" => Normalizer::FragmentStrip,
        "path-merge-slashes" => Normalizer::PathMergeSlashes,
        "path-strip-dot" => Normalizer::PathStripDot,
        "path-strip-dotdot" => Normalizer::DotMerge(args.take("full")),
        "percent-decode-unreserved" => Normalizer::PercentDecodeUnreserved(args.take("strict")),
        "percent-to-uppercase" => Normalizer::PercentToUppercase(args.take("strict")),
        "query-sort-by-name" => Normalizer::QuerySort,
        other => return Err(format!("unknown normalizer '{other}'")),
    };
    Ok(act("normalize-uri", normalizer, |n, view| {
        let Some(request) = view.request.as_deref_mut() else { return Flow::Continue };
        let uri = request.uri();
        let Some(whole) = path_and_query(uri) else { return Flow::Continue };
        let head = uri[..uri.len() - whole.len()].to_vec();
        match normalized(*n, whole) {
            Some(new) => {
                request.set_uri(&[&head[..], &new].concat());
                Flow::Continue
            }
            None => Flow::Finish(Verdict::Invalid),
        }
    }))
}

fn normalized(n: Normalizer, whole: &[u8]) -> Option<Vec<u8>> {
    let split = memchr::memchr(b'?', whole).unwrap_or(whole.len());
    let (path, query) = whole.split_at(split);
    let with_path = |p: Vec<u8>| [&p[..], query].concat();
    Some(match n {
        Normalizer::FragmentEncode => match memchr::memchr(b'#', whole) {
            Some(at) => [&whole[..at], b"%23", &whole[at + 1..]].concat(),
            None => whole.to_vec(),
        },
        Normalizer::FragmentStrip => whole[..memchr::memchr(b'#', whole).unwrap_or(whole.len())].to_vec(),
        Normalizer::PathMergeSlashes => {
            let mut out: Vec<u8> = Vec::with_capacity(path.len());
            for b in path {
                if *b != b'/' || out.last() != Some(&b'/') {
                    out.push(*b);
                }
            }
            with_path(out)
        }
        Normalizer::PathStripDot => {
            let mut parts: Vec<&[u8]> = path.split(|b| *b == b'/').collect();
            let last_dot = parts.last() == Some(&&b"."[..]);
            parts.retain(|p| *p != b".");
            if last_dot {
                parts.push(b"");
            }
            with_path(parts.join(&b'/'))
        }
        Normalizer::DotMerge(full) => with_path(strip_dotdot(path, full)),
        Normalizer::PercentDecodeUnreserved(strict) => escapes(whole, strict, |byte, _| {
            let plain = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
            plain.then(|| vec![byte])
        })?,
        Normalizer::PercentToUppercase(strict) => escapes(whole, strict, |_, digits| {
            Some(vec![b'%', digits[0].to_ascii_uppercase(), digits[1].to_ascii_uppercase()])
        })?,
        Normalizer::QuerySort => {
            let Some(rest) = query.strip_prefix(b"?") else { return Some(whole.to_vec()) };
            let mut items: Vec<&[u8]> = rest.split(|b| *b == b'&').collect();
            let name = |i: &[u8]| i[..memchr::memchr(b'=', i).unwrap_or(i.len())].to_vec();
            items.sort_by_key(|i| name(i));
            [path, b"?", &items.join(&b'&')].concat()
        }
    })
}

/// Takes `..` and the part before it out; those above the root stay unless `full`.
fn strip_dotdot(path: &[u8], full: bool) -> Vec<u8> {
    let parts: Vec<&[u8]> = path.split(|b| *b == b'/').collect();
    let mut out: Vec<&[u8]> = Vec::new();
    let count = parts.len();
    for (i, part) in parts.into_iter().enumerate() {
        if part != b".." {
            out.push(part);
            continue;
        }
        let above = out.len() <= 1 || out.last() == Some(&&b".."[..]);
        if above && !full {
            out.push(part);
            continue;
        }
        if !above {
            out.pop();
        }
        // What led to a part that is gone leads to a directory now.
        if i + 1 == count {
            out.push(b"");
        }
    }
    out.join(&b'/')
}

/// Rewrites each `%HH`; a broken escape fails in strict mode and stays otherwise.
fn escapes(text: &[u8], strict: bool, by: impl Fn(u8, [u8; 2]) -> Option<Vec<u8>>) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut i = 0;
    while i < text.len() {
        let digits = text.get(i + 1..i + 3).filter(|d| d.iter().all(u8::is_ascii_hexdigit));
        match digits {
            Some(d) if text[i] == b'%' => {
                let value = |b: u8| char::from(b).to_digit(16).unwrap_or(0) as u8;
                let byte = value(d[0]) * 16 + value(d[1]);
                match by(byte, [d[0], d[1]]) {
                    Some(new) => out.extend(new),
                    None => out.extend_from_slice(&text[i..i + 3]),
                }
                i += 3;
            }
            _ => {
                if text[i] == b'%' && strict {
                    return None;
                }
                out.push(text[i]);
                i += 1;
            }
        }
    }
    Some(out)
}
