//! `json` escapes text for use inside JSON; `json_query` reads one value out of a document.

use super::{Row, row};
use crate::sample::args::at;
use crate::sample::{Arg, Type, Value, leading_int};
use smallvec::SmallVec;

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
    .check(|a, _| {
        if at(a, 0).text().is_empty() {
            return Err("json_path must not be empty".into());
        }
        query_args(a)
    }),
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

/// Deepest nesting that is read, as in haproxy; what is deeper is no document.
const DEPTH_MAX: usize = 20;
/// Whole numbers beyond are lost: those that a floating-point number tells apart (RFC 8259, 6).
const INT_MAX: i64 = (1 << 53) - 1;

/// A value as it stands in the document.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Token<'d> {
    /// Between its quotes, escapes and all.
    Text(&'d [u8]),
    /// With whatever stands behind it.
    Number(&'d [u8]),
    Bool(bool),
    /// `null`, an array, an object: no sample.
    Other,
}

/// A reader that goes through a document once and stops where it found what it was sent for: what stands behind is not
/// looked at, so that a document that was cut off there is as good as a whole one. `None` where it is no JSON.
struct Reader<'d> {
    text: &'d [u8],
    at: usize,
}

impl<'d> Reader<'d> {
    fn rest(&self) -> &'d [u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// The next byte that is no white space; it stays.
    fn peek(&mut self) -> Option<u8> {
        let blank = |b: &&u8| matches!(b, b' ' | b'\t' | b'\r' | b'\n');
        self.at += self.rest().iter().take_while(blank).count();
        self.rest().first().copied()
    }

    fn take(&mut self, wanted: u8) -> Option<()> {
        (self.peek()? == wanted).then(|| self.at += 1)
    }

    fn string(&mut self) -> Option<&'d [u8]> {
        self.take(b'"')?;
        let begin = self.at;
        loop {
            match self.rest().first()? {
                b'"' => break,
                b'\\' => self.at += 2,
                _ => self.at += 1,
            }
        }
        self.at += 1;
        self.text.get(begin..self.at - 1)
    }

    /// A value that is passed over, or the one that was looked for.
    fn value(&mut self, depth: usize) -> Option<Token<'d>> {
        let rest = match self.peek()? {
            b'"' => return self.string().map(Token::Text),
            open @ (b'{' | b'[') => {
                self.members(open, depth, |_, _| false)?;
                return Some(Token::Other);
            }
            _ => self.rest(),
        };
        let word =
            [(&b"true"[..], Token::Bool(true)), (b"false", Token::Bool(false)), (b"null", Token::Other)];
        if let Some((text, token)) = word.into_iter().find(|(text, _)| rest.starts_with(text)) {
            self.at += text.len();
            return Some(token);
        }
        matches!(rest[0], b'-' | b'0'..=b'9').then(|| self.at += number_len(rest))?;
        Some(Token::Number(rest))
    }

    /// Goes through an array or object until `wanted` says that the member with this number or name is it, and stops
    /// before its value: whether it was found.
    fn members(&mut self, open: u8, depth: usize, wanted: impl Fn(usize, &[u8]) -> bool) -> Option<bool> {
        let close = if open == b'{' { b'}' } else { b']' };
        self.take(open)?;
        if depth >= DEPTH_MAX {
            return None;
        }
        for n in 0.. {
            if self.peek()? == close {
                self.at += 1;
                break;
            }
            let mut name: &[u8] = b"";
            if open == b'{' {
                name = self.string()?;
                self.take(b':')?;
            }
            if wanted(n, name) {
                return Some(true);
            }
            self.value(depth + 1)?;
            match self.peek()? {
                b',' => self.at += 1,
                end if end == close => {}
                _ => return None,
            }
        }
        Some(false)
    }

    /// The value at a path behind its `$`.
    fn find(&mut self, mut path: &[u8]) -> Option<Token<'d>> {
        let mut depth = 0;
        while let Some((first, rest)) = path.split_first() {
            let open = self.peek()?;
            let found = match (first, open) {
                (b'[', b'[') => {
                    let end = memchr::memchr(b']', rest).unwrap_or(rest.len());
                    // What is no number counts as 0.
                    let index = leading_int(&rest[..end]).0;
                    path = rest.get(end + 1..).unwrap_or_default();
                    self.members(open, depth, |n, _| n as i64 == index)?
                }
                (b'.', b'{') => {
                    let (name, behind) = segment(rest);
                    path = behind;
                    self.members(open, depth, |_, key| *key == *name)?
                }
                _ => return None,
            };
            if !found {
                return None;
            }
            depth += 1;
        }
        self.value(depth)
    }
}

/// A name at the start of a path, in which `\.` is a dot, and what stands behind it.
fn segment(path: &[u8]) -> (SmallVec<[u8; 32]>, &[u8]) {
    let mut name = SmallVec::new();
    let mut at = 0;
    while let Some(b) = path.get(at) {
        match (b, path.get(at + 1)) {
            (b'.' | b'[', _) => break,
            (b'\\', Some(b'.')) => {
                name.push(b'.');
                at += 1;
            }
            _ => name.push(*b),
        }
        at += 1;
    }
    (name, &path[at..])
}

fn digits(text: &[u8]) -> usize {
    text.iter().take_while(|b| b.is_ascii_digit()).count()
}

/// Bytes of a number at the start: sign, digits, fraction, exponent.
fn number_len(text: &[u8]) -> usize {
    let mut at = usize::from(text.first() == Some(&b'-'));
    at += digits(&text[at..]);
    if text.get(at) == Some(&b'.') {
        at += 1 + digits(&text[at + 1..]);
    }
    if matches!(text.get(at), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(text.get(at + 1), Some(b'+' | b'-')));
        let exponent = digits(text.get(at + 1 + sign..).unwrap_or_default());
        at += if exponent > 0 { 1 + sign + exponent } else { 0 };
    }
    at
}

/// A number as C's `strtod` reads it; 0 where there is none.
fn float(text: &[u8]) -> f64 {
    let text = std::str::from_utf8(&text[..number_len(text)]).unwrap_or_default();
    text.parse().unwrap_or(0.0)
}

/// A whole number as C's `strtoll` reads it in any base; `None` where it is too large.
fn whole(text: &[u8]) -> Option<i64> {
    let negative = text.first() == Some(&b'-');
    let text = &text[usize::from(negative)..];
    let (base, text) = match text {
        [b'0', b'x' | b'X', first, ..] if first.is_ascii_hexdigit() => (16, &text[2..]),
        [b'0', ..] => (8, text),
        _ => (10, text),
    };
    let mut value: i64 = 0;
    for digit in text.iter().map_while(|b| char::from(*b).to_digit(base)) {
        value = value.checked_mul(i64::from(base))?.checked_add(i64::from(digit))?;
    }
    (value <= INT_MAX).then_some(if negative { -value } else { value })
}

/// A string without its escapes; `None` where one of them is none, stands for more than a byte, or is the needless `\/`,
/// as in haproxy.
fn unescape(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        if *first != b'\\' {
            out.push(*first);
            continue;
        }
        let (kind, behind) = rest.split_first()?;
        rest = behind;
        out.push(match kind {
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'"' | b'\\' => *kind,
            b'u' => {
                let code = std::str::from_utf8(rest.get(..4)?).ok()?;
                rest = &rest[4..];
                u8::from_str_radix(code.strip_prefix("00")?, 16).ok()?
            }
            _ => return None,
        });
    }
    Some(out)
}

/// The value at `path`: a number, truth value or string. As much of the document is read as it takes to find it.
pub fn query<'v>(text: &[u8], path: &str, output: &str) -> Option<Value<'v>> {
    let path = path.strip_prefix('$')?;
    match (Reader { text, at: 0 }).find(path.as_bytes())? {
        Token::Bool(b) => Some(Value::Bool(b)),
        // Without "int" every number is printed, the way C does it.
        Token::Number(n) if output == "int" => whole(n).map(Value::Int),
        Token::Number(n) => Some(Value::str(general(float(n)))),
        Token::Text(s) => unescape(s).map(Value::str),
        Token::Other => None,
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
