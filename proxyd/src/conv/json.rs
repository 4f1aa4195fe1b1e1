//! `json` escapes text for use inside JSON; `json_query` reads one value out of a document.

use super::{Row, row};
use crate::sample::args::at;
use crate::sample::{Arg, Type, Value};
use serde_json::Value as Json;

/// Rows of this family.
pub static ROWS: &[Row] = &[
    row("json", "string", Type::Str, Type::Str, |_, a, x| {
        escape(&x.into_text()?, at(a, 0).text()).map(Value::str)
    })
    .check(|a, _| match at(a, 0).text() {
        "" | "ascii" | "utf8" | "utf8s" | "utf8p" | "utf8ps" => Ok(()),
        _ => Err(
            "Unexpected input code type. Allowed value are 'ascii', 'utf8', 'utf8s', 'utf8p' and 'utf8ps'"
                .into(),
        ),
    }),
    row("json_query", "string[,string]", Type::Str, Type::Any, |_, a, x| {
        query(&x.into_text()?, at(a, 0).text(), at(a, 1).text())
    })
    .check(|a, _| query_args(a)),
];

/// Checks path and type; the error is haproxy's text.
pub fn query_args(args: &[Arg]) -> Result<(), String> {
    match at(args, 1).text() {
        "" | "int" => Ok(()),
        other => Err(format!("output_type only supports \"int\" as argument, got '{other}'")),
    }
}

fn escape(text: &[u8], mode: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() + 8);
    let mut rest = text;
    while let Some(first) = rest.first().copied() {
        let (code, used) = if first < 0x80 || matches!(mode, "" | "ascii") {
            (u32::from(first), 1)
        } else {
            match decode(rest) {
                (Some(code), used) => (code, used),
                // Broken bytes, and what four hexadecimal digits can't say: left out by the modes with "s", else the sample is lost.
                (None, used) => match mode {
                    "utf8s" | "utf8ps" => {
                        rest = &rest[used..];
                        continue;
                    }
                    _ => return None,
                },
            }
        };
        rest = &rest[used..];
        match code {
            0x22 => out.extend_from_slice(b"\\\""),
            0x5c => out.extend_from_slice(b"\\\\"),
            0x2f => out.extend_from_slice(b"\\/"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x0c => out.extend_from_slice(b"\\f"),
            0x0a => out.extend_from_slice(b"\\n"),
            0x0d => out.extend_from_slice(b"\\r"),
            0x09 => out.extend_from_slice(b"\\t"),
            0x20..=0x7e => out.push(code as u8),
            _ => out.extend_from_slice(format!("\\u{:04x}", code & 0xffff).as_bytes()),
        }
    }
    Some(out)
}

/// The character at the start, and how many bytes it took; at least one.
fn decode(bytes: &[u8]) -> (Option<u32>, usize) {
    let len = match bytes[0] {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        _ => return (None, 1),
    };
    match bytes.get(..len).and_then(|b| std::str::from_utf8(b).ok()) {
        Some(text) => (text.chars().next().map(u32::from), len),
        None => (None, 1),
    }
}

/// One step of a path such as `$.a.b[0]`.
fn step<'j>(value: &'j Json, part: &str) -> Option<&'j Json> {
    let (name, indices) = part.find('[').map_or((part, ""), |at| part.split_at(at));
    let mut value = if name.is_empty() { value } else { value.get(name)? };
    for index in indices.split('[').skip(1) {
        value = value.get(index.strip_suffix(']')?.parse::<usize>().ok()?)?;
    }
    Some(value)
}

/// The value at `path`: a number, truth value, string, or the text of an array or object.
pub fn query<'v>(text: &[u8], path: &str, output: &str) -> Option<Value<'v>> {
    let document: Json = serde_json::from_slice(text).ok()?;
    let path = path.strip_prefix('$')?;
    let mut at = &document;
    let mut rest = path;
    while !rest.is_empty() {
        let part = rest.strip_prefix('.').unwrap_or(rest);
        // Dots written as "\." belong to the name.
        let mut end = part.len();
        let bytes = part.as_bytes();
        for (i, b) in bytes.iter().enumerate() {
            if *b == b'.' && (i == 0 || bytes[i - 1] != b'\\') {
                end = i;
                break;
            }
        }
        at = step(at, &part[..end].replace("\\.", "."))?;
        rest = &part[end..];
    }
    match at {
        Json::Null => None,
        Json::Bool(b) => Some(Value::Bool(*b)),
        // Without "int" every number is printed, the way C does it.
        Json::Number(n) if output == "int" => Some(Value::Int(n.as_i64().unwrap_or(n.as_f64()? as i64))),
        Json::Number(n) => Some(Value::str(general(n.as_f64()?))),
        Json::String(s) => Some(Value::str(s.clone())),
        Json::Array(_) | Json::Object(_) => None,
    }
}

/// A number as C's `%g` prints it: six significant digits, exponents from -5 and from 6.
fn general(x: f64) -> String {
    let scientific = format!("{x:.5e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trim = |t: &str| {
        if t.contains('.') { t.trim_end_matches('0').trim_end_matches('.').to_owned() } else { t.to_owned() }
    };
    if (-4..6).contains(&exponent) {
        return trim(&format!("{x:.*}", (5 - exponent).max(0) as usize));
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", trim(mantissa), exponent.abs())
}
