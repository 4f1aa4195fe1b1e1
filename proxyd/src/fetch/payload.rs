//! Raw bytes before they are understood: payloads, ClientHellos, RDP cookies.

use super::{Row, row};
use crate::config::model::Mode;
use crate::http::message::Message;
use crate::sample::args::at;
use crate::sample::expr::{Cursor, Scope};
use crate::sample::source::Source::{Buffer, L6Request, L6Response};
use crate::sample::{Arg, Type, Value};
use crate::stream::view::{Phase, View};

const PAYLOAD: &str = "integer,integer";
const LV: &str = "integer,integer[,string]";

/// Rows of this family.
pub static ROWS: &[Row] = &[
    row("payload", PAYLOAD, Type::Bin, Buffer, |v, a, c| payload(v, a, c, side(v))),
    row("payload_lv", LV, Type::Bin, Buffer, |v, a, c| payload_lv(v, a, c, side(v))).check(lv_args),
    row("rdp_cookie", "[string]", Type::Str, L6Request, rdp_cookie),
    row("rdp_cookie_cnt", "[string]", Type::Int, L6Request, rdp_count),
    row("req.len", "", Type::Int, L6Request, |v, _, c| length(v, c, Side::Request)),
    row("req.payload", PAYLOAD, Type::Bin, L6Request, |v, a, c| payload(v, a, c, Side::Request)),
    row("req.payload_lv", LV, Type::Bin, L6Request, |v, a, c| payload_lv(v, a, c, Side::Request))
        .check(lv_args),
    row("req.rdp_cookie", "[string]", Type::Str, L6Request, rdp_cookie),
    row("req.rdp_cookie_cnt", "[string]", Type::Int, L6Request, rdp_count),
    row("req.ssl_alpn", "", Type::Str, L6Request, alpn),
    row("req.ssl_cipherlist", "", Type::Bin, L6Request, |v, _, c| {
        Some(hello(v, c)?.suites).filter(|s| !s.is_empty()).map(Value::bin)
    }),
    row("req.ssl_ec_ext", "", Type::Bool, L6Request, |v, _, c| {
        hello(v, c)?.extension(10).map(|_| Value::Bool(true))
    }),
    row("req.ssl_hello_type", "", Type::Int, L6Request, |v, _, c| handshake_type(v, c, Side::Request)),
    row("req.ssl_keyshare_groups", "", Type::Bin, L6Request, key_shares),
    row("req.ssl_sigalgs", "", Type::Bin, L6Request, |v, _, c| listed(hello(v, c)?.extension(13)?)),
    row("req.ssl_sni", "", Type::Str, L6Request, sni),
    row("req.ssl_st_ext", "", Type::Int, L6Request, |v, _, c| {
        Some(Value::Int(match hello(v, c)?.extension(35) {
            None => 0,
            Some([]) => 1,
            Some(_) => 2,
        }))
    }),
    row("req.ssl_supported_groups", "", Type::Bin, L6Request, |v, _, c| listed(hello(v, c)?.extension(10)?)),
    row("req.ssl_ver", "", Type::Int, L6Request, |v, _, c| {
        let v = hello(v, c)?.version;
        Some(Value::Int((i64::from(v >> 8) << 16) | i64::from(v & 0xff)))
    }),
    row("req_len", "", Type::Int, L6Request, |v, _, c| length(v, c, Side::Request)),
    row("req_ssl_hello_type", "", Type::Int, L6Request, |v, _, c| handshake_type(v, c, Side::Request)),
    row("req_ssl_sni", "", Type::Str, L6Request, sni),
    row("req_ssl_ver", "", Type::Int, L6Request, |v, _, c| {
        let v = hello(v, c)?.version;
        Some(Value::Int((i64::from(v >> 8) << 16) | i64::from(v & 0xff)))
    }),
    row("rep_ssl_hello_type", "", Type::Int, L6Response, |v, _, c| handshake_type(v, c, Side::Response)),
    row("res.len", "", Type::Int, L6Response, |v, _, c| length(v, c, Side::Response)),
    row("res.payload", PAYLOAD, Type::Bin, L6Response, |v, a, c| payload(v, a, c, Side::Response)),
    row("res.payload_lv", LV, Type::Bin, L6Response, |v, a, c| payload_lv(v, a, c, Side::Response))
        .check(lv_args),
    row("res.ssl_hello_type", "", Type::Int, L6Response, |v, _, c| handshake_type(v, c, Side::Response)),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Request,
    Response,
}

fn side(view: &View<'_>) -> Side {
    match view.phase {
        Phase::ResponseContent | Phase::ResponseHead => Side::Response,
        _ => Side::Request,
    }
}

/// The bytes of a side and whether more may come. In HTTP there are no raw bytes to look at.
fn bytes<'v>(view: &'v View<'_>, side: Side) -> (&'v [u8], bool) {
    match side {
        _ if view.proxy.mode == Mode::Http => (&[], false),
        Side::Request => (view.request_bytes, view.may_wait && !view.request_ended),
        Side::Response => (view.response_bytes, view.may_wait && !view.response_ended),
    }
}

fn length<'v>(view: &'v View<'_>, cursor: &mut Cursor, side: Side) -> Option<Value<'v>> {
    if view.proxy.mode == Mode::Http {
        let head = match side {
            Side::Request => view.request.as_deref(),
            Side::Response => view.response.as_deref(),
        };
        return Some(Value::Int(head.map_or(0, Message::counted_len) as i64));
    }
    let (bytes, more) = bytes(view, side);
    cursor.pending = more;
    Some(Value::Int(bytes.len() as i64))
}

fn payload<'v>(view: &'v View<'_>, args: &'v [Arg], cursor: &mut Cursor, side: Side) -> Option<Value<'v>> {
    let (data, more) = bytes(view, side);
    let (offset, len) = (at(args, 0).int_or(0).max(0) as usize, at(args, 1).int_or(0).max(0) as usize);
    let end = if len == 0 { data.len() } else { offset.saturating_add(len) };
    cursor.pending = more && (len == 0 || end > data.len());
    (offset <= end && end <= data.len() && end > 0).then(|| Value::bin(&data[offset..end]))
}

fn lv_args(args: &mut Vec<Arg>, _: &mut Scope<'_>) -> Result<(), String> {
    if at(args, 1).int_or(0) == 0 {
        return Err("payload length must be > 0".into());
    }
    let text = at(args, 2).text().to_owned();
    if !text.is_empty() {
        let relative = text.starts_with(['+', '-']);
        let n = crate::sample::args::parse_int(&text).ok_or("payload offset2 is not a number")?;
        if !relative && n < at(args, 0).int_or(0) + at(args, 1).int_or(0) {
            return Err("payload offset2 must be > offset1+length".into());
        }
        args[2] = Arg::Int(n);
        args.push(Arg::Int(i64::from(relative)));
    }
    Ok(())
}

fn payload_lv<'v>(view: &'v View<'_>, args: &'v [Arg], cursor: &mut Cursor, side: Side) -> Option<Value<'v>> {
    let (data, more) = bytes(view, side);
    let (offset, size) = (at(args, 0).int_or(0).max(0) as usize, at(args, 1).int_or(0).max(0) as usize);
    cursor.pending = more && offset + size > data.len();
    let field = data.get(offset..offset + size)?;
    let len = field.iter().fold(0usize, |n, b| n.wrapping_shl(8) | usize::from(*b));
    let mut start = offset + size;
    if let Arg::Int(second) = at(args, 2) {
        let relative = at(args, 3).int_or(0) != 0;
        let base = if relative { start as i64 } else { 0 };
        start = usize::try_from(base + second).ok()?;
    }
    let end = start.checked_add(len)?;
    cursor.pending = more && end > data.len();
    (len > 0).then_some(())?;
    data.get(start..end).map(Value::bin)
}

/// A ClientHello, as far as fetches need it.
pub(super) struct Hello<'d> {
    pub(super) version: u16,
    pub(super) random: &'d [u8],
    pub(super) suites: &'d [u8],
    extensions: &'d [u8],
}

impl<'d> Hello<'d> {
    /// Reads one from the inside of its record.
    pub(super) fn parse(body: &'d [u8]) -> Option<Self> {
        if *body.first()? != 1 {
            return None;
        }
        let body = body.get(4..)?;
        let version = u16::from_be_bytes([*body.first()?, *body.get(1)?]);
        let (head, rest) = split(body, 34)?;
        let (_, rest) = split(rest.get(1..)?, usize::from(*rest.first()?))?;
        let suites = usize::from(u16::from_be_bytes([*rest.first()?, *rest.get(1)?]));
        let (suites, rest) = split(rest.get(2..)?, suites)?;
        let (_, rest) = split(rest.get(1..)?, usize::from(*rest.first()?))?;
        let extensions = if rest.len() >= 2 {
            let len = usize::from(u16::from_be_bytes([rest[0], rest[1]]));
            rest.get(2..2 + len)?
        } else {
            &[]
        };
        Some(Self { version, random: head.get(2..)?, suites, extensions })
    }

    /// Numbers of all extensions, in order.
    pub(super) fn extension_types(&self) -> Vec<u16> {
        let (mut rest, mut all) = (self.extensions, Vec::new());
        while rest.len() >= 4 {
            all.push(u16::from_be_bytes([rest[0], rest[1]]));
            let len = usize::from(u16::from_be_bytes([rest[2], rest[3]]));
            rest = rest.get(4 + len..).unwrap_or_default();
        }
        all
    }

    pub(super) fn extension(&self, wanted: u16) -> Option<&'d [u8]> {
        let mut rest = self.extensions;
        while rest.len() >= 4 {
            let kind = u16::from_be_bytes([rest[0], rest[1]]);
            let len = usize::from(u16::from_be_bytes([rest[2], rest[3]]));
            let body = rest.get(4..4 + len)?;
            if kind == wanted {
                return Some(body);
            }
            rest = &rest[4 + len..];
        }
        None
    }
}

fn split(data: &[u8], len: usize) -> Option<(&[u8], &[u8])> {
    (data.len() >= len).then(|| data.split_at(len))
}

fn hello<'v>(view: &'v View<'_>, cursor: &mut Cursor) -> Option<Hello<'v>> {
    let (data, more) = bytes(view, Side::Request);
    if data.len() < 5 {
        cursor.pending = more;
        return None;
    }
    // Handshake record of SSLv3 or later.
    if data[0] != 0x16 || data[1] < 3 {
        return None;
    }
    let record = usize::from(u16::from_be_bytes([data[3], data[4]]));
    let Some(body) = data.get(5..5 + record) else {
        cursor.pending = more;
        return None;
    };
    Hello::parse(body)
}

fn sni<'v>(view: &'v View<'_>, _: &'v [Arg], cursor: &mut Cursor) -> Option<Value<'v>> {
    first_name(&hello(view, cursor)?).map(Value::str)
}

/// The name that a client asks for in its greeting, given as the record that it came in.
pub fn name_asked_for(record: &[u8]) -> Option<&[u8]> {
    first_name(&Hello::parse(record.get(5..)?)?)
}

fn first_name<'d>(hello: &Hello<'d>) -> Option<&'d [u8]> {
    let list = hello.extension(0)?;
    let mut rest = list.get(2..)?;
    while rest.len() >= 3 {
        let len = usize::from(u16::from_be_bytes([rest[1], rest[2]]));
        let name = rest.get(3..3 + len)?;
        if rest[0] == 0 {
            return Some(name);
        }
        rest = &rest[3 + len..];
    }
    None
}

/// A list of an extension with its length in two bytes before it.
fn list_of(extension: &[u8]) -> Option<&[u8]> {
    let (len, rest) = split(extension, 2)?;
    rest.get(..usize::from(u16::from_be_bytes([len[0], len[1]])))
}

fn listed(extension: &[u8]) -> Option<Value<'_>> {
    list_of(extension).filter(|l| !l.is_empty()).map(Value::bin)
}

/// The groups for which the client sent its part of a key.
fn key_shares<'v>(view: &'v View<'_>, _: &'v [Arg], cursor: &mut Cursor) -> Option<Value<'v>> {
    let groups = share_groups(list_of(hello(view, cursor)?.extension(51)?)?)?;
    Some(groups).filter(|g| !g.is_empty()).map(Value::bin)
}

/// Group, length and key of each share, without the last two.
fn share_groups(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut groups = Vec::new();
    while let Some((head, after)) = split(rest, 4) {
        groups.extend_from_slice(&head[..2]);
        rest = after.get(usize::from(u16::from_be_bytes([head[2], head[3]]))..)?;
    }
    Some(groups)
}

fn alpn<'v>(view: &'v View<'_>, _: &'v [Arg], cursor: &mut Cursor) -> Option<Value<'v>> {
    let list = hello(view, cursor)?.extension(16)?;
    // One after the other; `at` is how many bytes were given so far.
    let rest = list.get(2 + cursor.at..)?;
    let len = usize::from(*rest.first()?);
    let name = rest.get(1..=len)?;
    cursor.at += 1 + len;
    cursor.more = rest.len() > 1 + len;
    Some(Value::str(name))
}

fn handshake_type<'v>(view: &'v View<'_>, cursor: &mut Cursor, side: Side) -> Option<Value<'v>> {
    let (data, more) = bytes(view, side);
    if data.len() < 6 {
        cursor.pending = more && (data.is_empty() || data[0] == 0x16);
        return None;
    }
    if data[0] == 0x16 && data[1] >= 3 {
        let wanted = if side == Side::Request { 1 } else { 2 };
        let whole = data.len() >= 5 + usize::from(u16::from_be_bytes([data[3], data[4]]));
        if side == Side::Request && !whole {
            cursor.pending = more;
            return None;
        }
        return (data[5] == wanted).then(|| Value::Int(i64::from(data[5])));
    }
    None
}

fn rdp<'v>(view: &'v View<'_>, args: &[Arg], cursor: &mut Cursor) -> Option<&'v [u8]> {
    let (data, more) = bytes(view, Side::Request);
    let (value, short) = rdp_value(data, at(args, 0).bytes());
    cursor.pending |= short && more;
    value
}

/// The value of the cookie line at the start of an RDP connection, `Cookie: NAME=VALUE`, of any name where `name` is
/// empty; and whether more bytes could still bring one.
pub fn rdp_value<'d>(data: &'d [u8], name: &[u8]) -> (Option<&'d [u8]>, bool) {
    // The header of the connection request, and the name of the line.
    if data.len() <= 11 + b"Cookie:".len() {
        return (None, true);
    }
    let cookie = |text: &'d [u8]| {
        let lead = text.get(..7).is_some_and(|p| p.eq_ignore_ascii_case(b"cookie:"));
        lead.then(|| text[7..].trim_ascii_start())
    };
    let Some(text) = Some(&data[11..])
        .filter(|_| data[0] == 3 && data[1] == 0 && data[5] == 0xe0 && data[4] >= 6)
        .and_then(cookie)
    else {
        return (None, false);
    };
    let Some(end) = memchr::memchr2(b'\r', b'\n', text) else { return (None, true) };
    let value = memchr::memchr(b'=', &text[..end])
        .filter(|eq| name.is_empty() || text[..*eq].eq_ignore_ascii_case(name))
        .map(|eq| &text[eq + 1..end]);
    (value, false)
}

fn rdp_cookie<'v>(view: &'v View<'_>, args: &'v [Arg], cursor: &mut Cursor) -> Option<Value<'v>> {
    rdp(view, args, cursor).map(Value::str)
}

fn rdp_count<'v>(view: &'v View<'_>, args: &'v [Arg], cursor: &mut Cursor) -> Option<Value<'v>> {
    let (data, more) = bytes(view, Side::Request);
    let (value, short) = rdp_value(data, at(args, 0).bytes());
    cursor.pending |= short && more;
    (!short).then_some(Value::Int(i64::from(value.is_some())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_a_hello_end_where_they_say() {
        assert_eq!(list_of(&[0, 4, 0, 29, 0, 23]), Some(&[0, 29, 0, 23][..]));
        assert_eq!(list_of(&[0, 5, 0, 29, 0, 23]), None);
        assert_eq!(list_of(&[0]), None);
        assert_eq!(share_groups(&[0, 29, 0, 2, 9, 9, 0, 23, 0, 1, 7]), Some(vec![0, 29, 0, 23]));
        assert_eq!(share_groups(&[0, 29, 0, 3, 9, 9]), None);
        assert_eq!(share_groups(&[]), Some(vec![]));
    }
}
