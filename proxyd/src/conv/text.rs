//! Converters of text: case, fields, words, trimming, patterns, URL forms.

use super::{Row, row};
use crate::sample::args::{at, parse_int};
use crate::sample::expr::{Scope, user_regex};
use crate::sample::vars::VarName;
use crate::sample::{Arg, Buf, Type, Value};
use crate::stream::view::View;
use smallvec::SmallVec;
use std::sync::Arc;

/// Rows of this family.
pub static ROWS: &[Row] = &[
    row("add_item", "string,string[,string]", Type::Str, Type::Str, add_item).check(add_item_args),
    row("concat", "string[,string,string]", Type::Str, Type::Str, concat).check(concat_args),
    row("cut_crlf", "", Type::Str, Type::Str, |_, _, x| {
        cut(x, |b| b.iter().position(|c| matches!(c, b'\r' | b'\n')))
    }),
    row("field", "integer,string[,integer]", Type::Str, Type::Str, |_, a, x| pieces(a, x, false))
        .check(index),
    row("iif", "string,string", Type::Bool, Type::Str, |_, a, x| {
        let yes = matches!(x, Value::Bool(true)) || matches!(x, Value::Int(i) if i != 0);
        Some(Value::Str(at(a, usize::from(!yes)).buf()))
    }),
    row("language", "string[,string]", Type::Str, Type::Str, language),
    row("length", "", Type::Str, Type::Int, |_, _, x| Some(Value::Int(x.into_text()?.len() as i64))),
    row("lower", "", Type::Str, Type::Str, |_, _, x| {
        let mut b = x.into_text()?.into_vec();
        b.make_ascii_lowercase();
        Some(Value::str(b))
    }),
    row("ltrim", "string", Type::Str, Type::Str, |_, a, x| {
        let (b, set) = (x.into_text()?, at(a, 0).bytes());
        let start = b.iter().position(|c| !set.contains(c)).unwrap_or(b.len());
        let end = b.len();
        Some(Value::Str(b.slice(start, end)))
    }),
    row("param", "string[,string]", Type::Str, Type::Str, param).check(param_args),
    row("regsub", "regex,string[,string]", Type::Str, Type::Str, regsub).check(regsub_args),
    row("reverse", "", Type::Str, Type::Str, |_, _, x| {
        let mut b = x.into_text()?.into_vec();
        b.reverse();
        Some(Value::str(b))
    }),
    row("reverse_dom", "", Type::Str, Type::Str, |_, _, x| {
        let b = x.into_text()?;
        let labels: Vec<&[u8]> = b.strip_suffix(b".").unwrap_or(&b).rsplit(|c| *c == b'.').collect();
        labels.iter().all(|l| !l.is_empty()).then(|| Value::str(labels.join(&b'.')))
    }),
    row("rtrim", "string", Type::Str, Type::Str, |_, a, x| {
        let (b, set) = (x.into_text()?, at(a, 0).bytes());
        let end = b.iter().rposition(|c| !set.contains(c)).map_or(0, |i| i + 1);
        Some(Value::Str(b.slice(0, end)))
    }),
    row("strcmp", "string", Type::Str, Type::Int, strcmp).check(one_var),
    row("secure_memcmp", "string", Type::Bin, Type::Bool, secure_memcmp).check(one_var),
    row("upper", "", Type::Str, Type::Str, |_, _, x| {
        let mut b = x.into_text()?.into_vec();
        b.make_ascii_uppercase();
        Some(Value::str(b))
    }),
    row("url_dec", "[integer]", Type::Str, Type::Str, |_, a, x| {
        Some(Value::str(url_decode(&x.into_text()?, at(a, 0).int_or(0) != 0)?))
    }),
    row("url_enc", "string", Type::Str, Type::Str, |_, _, x| Some(Value::str(url_encode(&x.into_text()?))))
        .check(url_enc_args),
    row("word", "integer,string[,integer]", Type::Str, Type::Str, |_, a, x| pieces(a, x, true)).check(index),
];

fn cut(value: Value<'_>, at: fn(&[u8]) -> Option<usize>) -> Option<Value<'_>> {
    let b = value.into_text()?;
    let end = at(&b).unwrap_or(b.len());
    Some(Value::Str(b.slice(0, end)))
}

fn index(args: &mut Vec<Arg>, _: &mut Scope<'_>) -> Result<(), String> {
    if at(args, 0).int_or(0) == 0 {
        return Err("Unexpected value 0 for index".into());
    }
    let mut set: Vec<u8> = at(args, 1).bytes().to_vec();
    set.dedup();
    args[1] = Arg::Str(set.into());
    Ok(())
}

/// `field` and `word`: the pieces between delimiters; for words, empty pieces do not count.
fn pieces<'v>(args: &[Arg], value: Value<'v>, words: bool) -> Option<Value<'v>> {
    let b = value.into_text()?;
    let (index, delimiters, count) = (at(args, 0).int_or(1), at(args, 1).bytes(), at(args, 2).int_or(1));
    let mut spans: SmallVec<[(usize, usize); 16]> = SmallVec::new();
    let mut start = 0;
    for (i, c) in b.iter().enumerate() {
        if delimiters.contains(c) {
            spans.push((start, i));
            start = i + 1;
        }
    }
    spans.push((start, b.len()));
    if words {
        spans.retain(|(s, e)| s != e);
    }
    let total = spans.len() as i64;
    let (first, last) = if index > 0 {
        (index - 1, if count <= 0 { i64::MAX } else { index.saturating_add(count - 2) })
    } else {
        let last = total.saturating_add(index);
        (if count <= 0 { 0 } else { last.saturating_sub(count - 1).max(0) }, last)
    };
    if first < 0 || last < first || first >= total {
        // A word that is not there is empty, a field that is not there is no sample.
        return words.then(|| Value::str(&b""[..]));
    }
    // A run that reaches the start from behind keeps leading delimiters.
    let from_start = index < 0 && (count <= 0 || last < count - 1);
    let from = if from_start { 0 } else { spans[first as usize].0 };
    // A run that reaches the end keeps trailing delimiters.
    let to = if last >= total { b.len() } else { spans[last as usize].1 };
    Some(Value::Str(b.slice(from, to)))
}

fn one_var(args: &mut Vec<Arg>, _: &mut Scope<'_>) -> Result<(), String> {
    args[0] = variable(args, 0)?;
    Ok(())
}

/// Turns the argument at `i` into a variable; the error is haproxy's.
pub fn variable(args: &[Arg], i: usize) -> Result<Arg, String> {
    let text = at(args, i).text();
    VarName::parse(text).map(Arg::Var).map_err(|_| format!("failed to register variable name '{text}'"))
}

fn loaded(view: &View<'_>, arg: &Arg) -> Option<Value<'static>> {
    match arg {
        Arg::Var(name) => name.load(view),
        _ => None,
    }
}

fn strcmp<'v>(view: &'v View<'_>, args: &'v [Arg], value: Value<'v>) -> Option<Value<'v>> {
    let other = loaded(view, at(args, 0))?.into_text()?;
    let mine = value.into_text()?;
    let order = mine.iter().zip(other.iter()).find(|(a, b)| a != b);
    let by_byte = order.map_or(0, |(a, b)| i64::from(*a) - i64::from(*b));
    Some(Value::Int(match by_byte {
        0 => (mine.len() as i64 - other.len() as i64).signum(),
        d => d,
    }))
}

fn secure_memcmp<'v>(view: &'v View<'_>, args: &'v [Arg], value: Value<'v>) -> Option<Value<'v>> {
    let other = loaded(view, at(args, 0))?.into_bytes()?;
    let mine = value.into_bytes()?;
    Some(Value::Bool(aws_lc_rs::constant_time::verify_slices_are_equal(&mine, &other).is_ok()))
}

fn concat_args(args: &mut Vec<Arg>, _: &mut Scope<'_>) -> Result<(), String> {
    if !at(args, 1).bytes().is_empty() {
        args[1] = variable(args, 1)?;
    }
    Ok(())
}

fn concat<'v>(view: &'v View<'_>, args: &'v [Arg], value: Value<'v>) -> Option<Value<'v>> {
    let mut b = value.into_text()?.into_vec();
    b.extend_from_slice(at(args, 0).bytes());
    if let Some(text) = loaded(view, at(args, 1)).and_then(Value::into_text) {
        b.extend_from_slice(&text);
    }
    b.extend_from_slice(at(args, 2).bytes());
    Some(Value::str(b))
}

fn add_item_args(args: &mut Vec<Arg>, _: &mut Scope<'_>) -> Result<(), String> {
    let (var, suffix) = (at(args, 1).bytes().is_empty(), at(args, 2).bytes().is_empty());
    if var && suffix {
        return Err("one of the optional arguments has to be nonempty".into());
    }
    if !var {
        args[1] = variable(args, 1)?;
    }
    Ok(())
}

fn add_item<'v>(view: &'v View<'_>, args: &'v [Arg], value: Value<'v>) -> Option<Value<'v>> {
    let mut b = value.into_text()?.into_vec();
    let item = loaded(view, at(args, 1)).and_then(Value::into_text);
    let suffix = at(args, 2).bytes();
    if item.is_none() && suffix.is_empty() {
        return Some(Value::str(b));
    }
    if !b.is_empty() {
        b.extend_from_slice(at(args, 0).bytes());
    }
    if let Some(item) = item {
        b.extend_from_slice(&item);
    }
    b.extend_from_slice(suffix);
    Some(Value::str(b))
}

fn regsub_args(args: &mut Vec<Arg>, scope: &mut Scope<'_>) -> Result<(), String> {
    let flags = at(args, 2).text().to_owned();
    if let Some(bad) = flags.chars().find(|c| !matches!(c, 'i' | 'g')) {
        return Err(format!("invalid regex flag '{bad}', only 'i' and 'g' are supported"));
    }
    let text = at(args, 0).text().to_owned();
    match user_regex(&text, flags.contains('i')) {
        Ok(regex) => args[0] = Arg::Regex(Arc::new(regex)),
        // haproxy tells this one once the whole file was read.
        Err(reason) => {
            scope.late.push(format!("error in regex '{text}' in arg 1 of converter 'regsub' : {reason}"));
        }
    }
    Ok(())
}

fn regsub<'v>(_: &'v View<'_>, args: &'v [Arg], value: Value<'v>) -> Option<Value<'v>> {
    let Arg::Regex(regex) = at(args, 0) else { return None };
    let all = at(args, 2).bytes().contains(&b'g');
    let subject = value.into_text()?;
    Some(Value::str(substitute(regex, &subject, at(args, 1).bytes(), all)))
}

/// Replaces matches of `regex` in `subject` by `by`, in which `\0` to `\9` stand for groups.
pub fn substitute(
    regex: &pcre2::bytes::Regex,
    subject: &[u8],
    by: &[u8],
    all: bool,
) -> SmallVec<[u8; crate::sample::INLINE_BYTES]> {
    let mut out = SmallVec::new();
    let mut groups = regex.capture_locations();
    let mut from = 0;
    while from <= subject.len() {
        let Ok(Some(hit)) = regex.captures_read_at(&mut groups, subject, from) else { break };
        out.extend_from_slice(&subject[from..hit.start()]);
        expand(by, subject, &groups, &mut out);
        from = if hit.end() == hit.start() {
            // An empty match must not be found again: one byte passes.
            out.extend_from_slice(subject.get(hit.start()..=hit.start()).unwrap_or(b""));
            hit.end() + 1
        } else {
            hit.end()
        };
        if !all {
            break;
        }
    }
    out.extend_from_slice(subject.get(from..).unwrap_or(b""));
    out
}

/// Writes `by` with `\N` replaced by group `N` of a match in `subject`, and `\xHH` by that byte.
pub fn expand(
    by: &[u8],
    subject: &[u8],
    groups: &pcre2::bytes::CaptureLocations,
    out: &mut SmallVec<[u8; crate::sample::INLINE_BYTES]>,
) {
    let mut i = 0;
    while i < by.len() {
        if by[i] != b'\\' || i + 1 >= by.len() {
            out.push(by[i]);
            i += 1;
            continue;
        }
        i += 1;
        if by[i].is_ascii_digit() {
            let (s, e) = groups.get(usize::from(by[i] - b'0')).unwrap_or((0, 0));
            out.extend_from_slice(&subject[s..e]);
            i += 1;
        } else if by[i] == b'x' && by.len() > i + 2 {
            let hex = |b: u8| char::from(b).to_digit(16);
            if let (Some(h), Some(l)) = (hex(by[i + 1]), hex(by[i + 2])) {
                out.push((h * 16 + l) as u8);
                i += 3;
            } else {
                out.push(by[i]);
                i += 1;
            }
        } else {
            out.push(by[i]);
            i += 1;
        }
    }
}

fn url_enc_args(args: &mut Vec<Arg>, _: &mut Scope<'_>) -> Result<(), String> {
    match at(args, 0).text() {
        "" | "query" => Ok(()),
        _ => Err("Unexpected encode type. Allowed value is 'query'".into()),
    }
}

/// Percent-encodes everything but unreserved characters.
pub fn url_encode(text: &[u8]) -> Vec<u8> {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut out = Vec::with_capacity(text.len() + 16);
    for b in text {
        if b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~') {
            out.push(*b);
        } else {
            out.extend_from_slice(&[b'%', HEX[usize::from(b >> 4)], HEX[usize::from(b & 15)]]);
        }
    }
    out
}

/// Decodes `%HH`; `+` is a space behind the first `?`, or everywhere with `form`. A broken escape fails.
pub fn url_decode(text: &[u8], mut form: bool) -> Option<SmallVec<[u8; crate::sample::INLINE_BYTES]>> {
    let mut out = SmallVec::with_capacity(text.len());
    let mut i = 0;
    while i < text.len() {
        match text[i] {
            b'+' if form => out.push(b' '),
            b'%' => {
                let hex = |b: Option<&u8>| b.and_then(|b| char::from(*b).to_digit(16));
                let (high, low) = (hex(text.get(i + 1))?, hex(text.get(i + 2))?);
                out.push((high * 16 + low) as u8);
                i += 2;
            }
            b => {
                form |= b == b'?';
                out.push(b);
            }
        }
        i += 1;
    }
    Some(out)
}

fn param_args(args: &mut Vec<Arg>, _: &mut Scope<'_>) -> Result<(), String> {
    if at(args, 1).bytes().len() > 1 {
        return Err("Delimiter must be exactly 1 character.".into());
    }
    Ok(())
}

fn param<'v>(_: &'v View<'_>, args: &'v [Arg], value: Value<'v>) -> Option<Value<'v>> {
    let (name, delimiter) = (at(args, 0).bytes(), at(args, 1).bytes().first().copied().unwrap_or(b'&'));
    let b = value.into_text()?;
    let mut start = 0;
    while start <= b.len() {
        let end = memchr::memchr(delimiter, &b[start..]).map_or(b.len(), |e| start + e);
        let item = &b[start..end];
        if item == name {
            return Some(Value::str(&b""[..]));
        }
        if item.len() > name.len() && item.starts_with(name) && item[name.len()] == b'=' {
            return Some(Value::Str(b.slice(start + name.len() + 1, end)));
        }
        start = end + 1;
    }
    None
}

/// `language(a;b,default)`: the best accepted of the offered ones.
fn language<'v>(_: &'v View<'_>, args: &'v [Arg], value: Value<'v>) -> Option<Value<'v>> {
    let offered = at(args, 0).bytes();
    let text = value.into_text()?;
    let mut best: Option<(&[u8], i64)> = None;
    for item in text.split(|b| *b == b',') {
        let item = item.trim_ascii_start();
        let tag_end = item.iter().position(|b| matches!(b, b';' | b' ' | b'\t')).unwrap_or(item.len());
        let weight = quality(&item[tag_end..]);
        if best.is_some_and(|(_, w)| weight <= w) {
            continue;
        }
        let hit = offered.split(|b| *b == b';').find(|o| {
            let tag = &item[..tag_end];
            tag.get(..o.len()).is_some_and(|t| t.eq_ignore_ascii_case(o))
                && matches!(tag.get(o.len()), None | Some(b'-'))
        });
        if let Some(hit) = hit {
            best = Some((hit, weight));
        }
    }
    match (best, at(args, 1)) {
        (Some((tag, _)), _) => Some(Value::Str(Buf::Ref(tag))),
        (None, Arg::None) => None,
        (None, default) => Some(Value::Str(default.buf())),
    }
}

/// The weight behind `;q=`, in thousandths; 1000 without one.
fn quality(rest: &[u8]) -> i64 {
    let text = String::from_utf8_lossy(rest);
    let Some(q) = text.split(';').find_map(|p| p.trim().strip_prefix("q=").map(str::trim)) else {
        return 1000;
    };
    let (whole, fraction) = q.split_once('.').unwrap_or((q, ""));
    let digits: String =
        fraction.chars().take_while(char::is_ascii_digit).chain("000".chars()).take(3).collect();
    parse_int(whole).unwrap_or(0).saturating_mul(1000).saturating_add(parse_int(&digits).unwrap_or(0))
}
