//! Header fields and cookies of requests and responses, and authorization.

use super::line::{request, response};
use super::{Row, row};
use crate::http::message::Message;
use crate::sample::args::at;
use crate::sample::expr::{Cursor, Scope};
use crate::sample::source::Source::{self, RequestHeaders};
use crate::sample::{Arg, Type, Value, loose_int, parse_ip};
use crate::stream::view::{Phase, View};
use smallvec::SmallVec;

const HDR: &str = "[string,integer]";
const COOK: &str = "[string]";
/// How far from the end an occurrence may be asked for, as in haproxy.
const HISTORY: i64 = 10;

/// Occurrences from the end are bounded; the error is haproxy's text.
fn near(args: &mut Vec<Arg>, _: &mut Scope<'_>) -> Result<(), String> {
    if at(args, 1).int_or(0) < -HISTORY {
        return Err(format!("header occurrence must be >= -{HISTORY}"));
    }
    Ok(())
}

/// A row for one side; `$side` is the function that gives the head.
macro_rules! rows {
    ($($name:literal $args:ident $kind:ident $source:ident $side:ident $work:ident),* $(,)?) => {
        &[$(row($name, $args, Type::$kind, Source::$source, |v, a, c| $work($side(v, c)?, a, c)).check(near),)*
            row("http_auth", "user list", Type::Bool, RequestHeaders, |v, a, c| super::super::action::auth::check(v, a, c)),
            row("http_auth_bearer", "[string]", Type::Str, RequestHeaders, bearer),
            row("http_auth_group", "user list", Type::Str, RequestHeaders, |v, a, c| {
                super::super::action::auth::groups(v, a, c)
            }),
            row("http_auth_pass", "", Type::Str, RequestHeaders, |v, _, c| {
                basic(request(v, c)?).map(|(_, p)| Value::str(p))
            }),
            row("http_auth_type", "", Type::Str, RequestHeaders, |v, _, c| {
                let value = credentials(request(v, c)?)?;
                let scheme = &value[..memchr::memchr(b' ', value).unwrap_or(value.len())];
                Some(Value::str(match scheme.to_ascii_lowercase().as_slice() {
                    b"basic" => "Basic",
                    b"bearer" => "Bearer",
                    _ => return None,
                }))
            }),
            row("http_auth_user", "", Type::Str, RequestHeaders, |v, _, c| {
                basic(request(v, c)?).map(|(u, _)| Value::str(u))
            }),
        ]
    };
}

const NO: &str = "";

/// Rows of this family.
pub static ROWS: &[Row] = rows![
    "cook" COOK Str RequestHeaders request cookie,
    "cook_cnt" COOK Int RequestHeaders request cookie_count,
    "cook_val" COOK Int RequestHeaders request cookie_value,
    "cookie" COOK Str Headers either cookie,
    "hdr" HDR Str Headers either listed,
    "hdr_cnt" COOK Int RequestHeaders request listed_count,
    "hdr_ip" HDR V4 RequestHeaders request address,
    "hdr_val" HDR Int RequestHeaders request number,
    "req.cook" COOK Str RequestHeaders request cookie,
    "req.cook_cnt" COOK Int RequestHeaders request cookie_count,
    "req.cook_names" COOK Str RequestHeaders request cookie_names,
    "req.cook_val" COOK Int RequestHeaders request cookie_value,
    "req.fhdr" HDR Str RequestHeaders request full,
    "req.fhdr_cnt" COOK Int RequestHeaders request full_count,
    "req.hdr" HDR Str RequestHeaders request listed,
    "req.hdr_cnt" COOK Int RequestHeaders request listed_count,
    "req.hdr_ip" HDR V4 RequestHeaders request address,
    "req.hdr_names" COOK Str RequestHeaders request names,
    "req.hdr_val" HDR Int RequestHeaders request number,
    "req.hdrs" NO Bin RequestHeaders request all,
    "req.hdrs_bin" NO Bin RequestHeaders request all_binary,
    "res.cook" COOK Str ResponseHeaders response cookie,
    "res.cook_cnt" COOK Int ResponseHeaders response cookie_count,
    "res.cook_names" COOK Str ResponseHeaders response cookie_names,
    "res.cook_val" COOK Int ResponseHeaders response cookie_value,
    "res.fhdr" HDR Str ResponseHeaders response full,
    "res.fhdr_cnt" COOK Int ResponseHeaders response full_count,
    "res.hdr" HDR Str ResponseHeaders response listed,
    "res.hdr_cnt" COOK Int ResponseHeaders response listed_count,
    "res.hdr_ip" HDR V4 ResponseHeaders response address,
    "res.hdr_names" COOK Str ResponseHeaders response names,
    "res.hdr_val" HDR Int ResponseHeaders response number,
    "res.hdrs" NO Bin ResponseHeaders response all,
    "res.hdrs_bin" NO Bin ResponseHeaders response all_binary,
    "scook" COOK Str ResponseHeaders response cookie,
    "scook_cnt" COOK Int ResponseHeaders response cookie_count,
    "scook_val" COOK Int ResponseHeaders response cookie_value,
    "shdr" HDR Str ResponseHeaders response listed,
    "shdr_cnt" COOK Int ResponseHeaders response listed_count,
    "shdr_ip" HDR V4 ResponseHeaders response address,
    "shdr_val" HDR Int ResponseHeaders response number,
];

/// The head the rule is about.
fn either<'v>(view: &'v View<'_>, cursor: &mut Cursor) -> Option<&'v Message> {
    match view.phase {
        Phase::ResponseHead | Phase::ResponseContent => response(view, cursor),
        _ => request(view, cursor),
    }
}

/// Splits a field's value at commas outside of quotes.
fn elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(value);
    std::iter::from_fn(move || {
        let text = rest?;
        let (mut quoted, mut escaped) = (false, false);
        let end = text.iter().position(|b| {
            let hit = *b == b',' && !quoted;
            if escaped {
                escaped = false;
            } else {
                quoted ^= *b == b'"';
                escaped = quoted && *b == b'\\';
            }
            hit
        });
        rest = end.map(|e| &text[e + 1..]);
        Some(text[..end.unwrap_or(text.len())].trim_ascii())
    })
}

type Found<'m> = SmallVec<[&'m [u8]; 8]>;

/// All values of a name, or of all fields; dates hold commas, so `fhdr` takes whole fields.
fn values<'m>(m: &'m Message, name: &[u8], whole: bool) -> Found<'m> {
    let mut out = Found::new();
    for (_, n, v) in m.fields() {
        if !name.is_empty() && !n.eq_ignore_ascii_case(name) {
            continue;
        }
        if whole {
            out.push(v.trim_ascii());
        } else {
            out.extend(elements(v));
        }
    }
    out
}

/// One occurrence: `n` from the start, `-n` from the end; without one the last, or each in turn for ACLs.
fn occurrence<'m>(m: &'m Message, args: &[Arg], cursor: &mut Cursor, whole: bool) -> Option<&'m [u8]> {
    let (name, n) = (at(args, 0).bytes(), at(args, 1).int_or(0));
    if n == 0 {
        // ACLs walk all of them from the first; rules take what `last` says on a cursor that is not walked.
        if !whole && !name.is_empty() && cursor.at == 0 {
            // The everyday case: one field, one value.
            let mut hits = m.fields().filter(|(_, n, _)| n.eq_ignore_ascii_case(name));
            if let (Some((_, _, only)), None) = (hits.next(), hits.next())
                && memchr::memchr(b',', only).is_none()
            {
                return Some(only);
            }
        }
        let all = values(m, name, whole);
        let index = all.len().checked_sub(1 + cursor.at)?;
        cursor.at += 1;
        cursor.more = index > 0;
        return Some(all[index]);
    }
    let all = values(m, name, whole);
    let index = if n > 0 { n - 1 } else { all.len() as i64 + n };
    usize::try_from(index).ok().and_then(|i| all.get(i).copied())
}

fn listed<'v>(m: &'v Message, args: &'v [Arg], cursor: &mut Cursor) -> Option<Value<'v>> {
    occurrence(m, args, cursor, false).map(Value::str)
}

fn full<'v>(m: &'v Message, args: &'v [Arg], cursor: &mut Cursor) -> Option<Value<'v>> {
    occurrence(m, args, cursor, true).map(Value::str)
}

fn listed_count<'v>(m: &'v Message, args: &'v [Arg], _: &mut Cursor) -> Option<Value<'v>> {
    Some(Value::Int(values(m, at(args, 0).bytes(), false).len() as i64))
}

fn full_count<'v>(m: &'v Message, args: &'v [Arg], _: &mut Cursor) -> Option<Value<'v>> {
    Some(Value::Int(values(m, at(args, 0).bytes(), true).len() as i64))
}

fn number<'v>(m: &'v Message, args: &'v [Arg], cursor: &mut Cursor) -> Option<Value<'v>> {
    Some(Value::Int(loose_int(occurrence(m, args, cursor, false)?)))
}

fn address<'v>(m: &'v Message, args: &'v [Arg], cursor: &mut Cursor) -> Option<Value<'v>> {
    leading_ip(occurrence(m, args, cursor, false)?).map(Value::ip)
}

/// An address that may be followed by a port or stand in brackets.
fn leading_ip(text: &[u8]) -> Option<std::net::IpAddr> {
    parse_ip(text).or_else(|| {
        if let Some(rest) = text.strip_prefix(b"[") {
            return parse_ip(&rest[..memchr::memchr(b']', rest)?]);
        }
        let colon = memchr::memchr(b':', text)?;
        parse_ip(&text[..colon]).filter(std::net::IpAddr::is_ipv4)
    })
}

fn names<'v>(m: &'v Message, args: &'v [Arg], _: &mut Cursor) -> Option<Value<'v>> {
    let delimiter = at(args, 0).bytes().first().copied().unwrap_or(b',');
    let names: Vec<Vec<u8>> = m.fields().map(|(_, n, _)| n.to_ascii_lowercase()).collect();
    Some(Value::str(names.join(&delimiter)))
}

fn all<'v>(m: &'v Message, _: &'v [Arg], _: &mut Cursor) -> Option<Value<'v>> {
    let mut out = Vec::new();
    for (_, n, v) in m.fields() {
        out.extend(n.iter().map(u8::to_ascii_lowercase));
        out.extend_from_slice(b": ");
        out.extend_from_slice(v);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
    Some(Value::bin(out))
}

/// Names and values with their lengths, as SPOE's typed data.
fn all_binary<'v>(m: &'v Message, _: &'v [Arg], _: &mut Cursor) -> Option<Value<'v>> {
    fn string(out: &mut Vec<u8>, text: &[u8]) {
        // Variable-length integers as of the SPOE specification.
        let mut n = text.len();
        if n < 240 {
            out.push(n as u8);
        } else {
            out.push(n as u8 | 0xf0);
            n = (n - 240) >> 4;
            while n >= 128 {
                out.push(n as u8 | 0x80);
                n = (n - 128) >> 7;
            }
            out.push(n as u8);
        }
        out.extend_from_slice(text);
    }
    let mut out = Vec::new();
    for (_, n, v) in m.fields() {
        string(&mut out, &n.to_ascii_lowercase());
        string(&mut out, v);
    }
    out.extend_from_slice(&[0, 0]);
    Some(Value::bin(out))
}

/// Values of a cookie in all `Cookie` or `Set-Cookie` fields; of all without a name.
fn cookies<'m>(m: &'m Message, name: &[u8]) -> Found<'m> {
    pairs(m, 1, |key, text| (name.is_empty() || key == name).then_some(text))
}

/// What is taken of the cookies of all fields; a `Set-Cookie` sets one, what follows are its attributes: so many of these
/// pairs are looked at.
fn pairs<'m>(
    m: &'m Message,
    of_set_cookie: usize,
    take: impl Fn(&'m [u8], &'m [u8]) -> Option<&'m [u8]>,
) -> Found<'m> {
    let request = matches!(m.start, crate::http::message::Start::Request { .. });
    let field: &[u8] = if request { b"cookie" } else { b"set-cookie" };
    let mut out = Found::new();
    for (_, value) in m.find(field) {
        let items = if request { usize::MAX } else { of_set_cookie };
        for item in value.split(|b| *b == b';').take(items) {
            let item = item.trim_ascii();
            let Some(eq) = memchr::memchr(b'=', item) else { continue };
            let (key, text) = (item[..eq].trim_ascii_end(), item[eq + 1..].trim_ascii_start());
            out.extend(take(key, text));
        }
    }
    out
}

fn cookie<'v>(m: &'v Message, args: &'v [Arg], cursor: &mut Cursor) -> Option<Value<'v>> {
    // As with fields the last one counts, but of cookies of any name the first.
    let name = at(args, 0).bytes();
    let all = cookies(m, name);
    let index = if name.is_empty() { cursor.at } else { all.len().checked_sub(1 + cursor.at)? };
    let value = *all.get(index)?;
    cursor.at += 1;
    cursor.more = cursor.at < all.len();
    Some(Value::str(value))
}

/// `req.cook_names`, `res.cook_names` of later versions.
fn cookie_names<'v>(m: &'v Message, args: &'v [Arg], _: &mut Cursor) -> Option<Value<'v>> {
    let delimiter = at(args, 0).bytes().first().copied().unwrap_or(b',');
    Some(Value::str(pairs(m, 1, |key, _| Some(key)).join(&delimiter)))
}

fn cookie_count<'v>(m: &'v Message, args: &'v [Arg], _: &mut Cursor) -> Option<Value<'v>> {
    let name = at(args, 0).bytes();
    // haproxy counts attributes as well where no name is asked for.
    let all = if name.is_empty() { pairs(m, usize::MAX, |_, text| Some(text)) } else { cookies(m, name) };
    Some(Value::Int(all.len() as i64))
}

fn cookie_value<'v>(m: &'v Message, args: &'v [Arg], cursor: &mut Cursor) -> Option<Value<'v>> {
    Some(Value::Int(loose_int(&cookie(m, args, cursor)?.into_text()?)))
}

/// The `Authorization` field's value.
pub fn credentials(m: &Message) -> Option<&[u8]> {
    m.first(b"authorization")
}

/// User and password of basic authentication.
pub fn basic(m: &Message) -> Option<(Vec<u8>, Vec<u8>)> {
    use base64::Engine as _;
    let value = credentials(m)?;
    let (scheme, rest) = value.split_at(memchr::memchr(b' ', value)?);
    if !scheme.eq_ignore_ascii_case(b"basic") {
        return None;
    }
    let decoded = crate::conv::bytes::BASE64.decode(rest.trim_ascii()).ok()?;
    let colon = memchr::memchr(b':', &decoded)?;
    Some((decoded[..colon].to_vec(), decoded[colon + 1..].to_vec()))
}

fn bearer<'v>(view: &'v View<'_>, args: &'v [Arg], cursor: &mut Cursor) -> Option<Value<'v>> {
    let m = request(view, cursor)?;
    let field = match at(args, 0) {
        Arg::Str(name) if !name.is_empty() => m.first(name)?,
        _ => credentials(m)?,
    };
    let space = memchr::memchr(b' ', field)?;
    field[..space].eq_ignore_ascii_case(b"bearer").then(|| Value::str(field[space..].trim_ascii_start()))
}
