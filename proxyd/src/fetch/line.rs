//! Start lines: method, target and its parts, version, status; what was captured of them.

use super::{Row, row};
use crate::http::message::Message;
use crate::sample::args::at;
use crate::sample::expr::Cursor;
use crate::sample::source::Source::{Request, RequestHeaders, Response, ResponseHeaders};
use crate::sample::{Arg, Buf, Type, Value, loose_int, parse_ip};
use crate::stream::txn::Peer;
use crate::stream::view::View;
use smallvec::SmallVec;

/// Rows of this family.
pub static ROWS: &[Row] = &[
    row("base", "", Type::Str, RequestHeaders, |v, _, c| Some(Value::str(base(request(v, c)?, false)))),
    row("base32", "", Type::Int, RequestHeaders, |v, _, c| {
        Some(Value::Int(i64::from(base32(&base(request(v, c)?, false)))))
    }),
    row("base32+src", "", Type::Bin, RequestHeaders, |v, _, c| {
        Some(with_source(base32(&base(request(v, c)?, false)), v))
    }),
    row("baseq", "", Type::Str, RequestHeaders, |v, _, c| Some(Value::str(base(request(v, c)?, true)))),
    row("capture.req.hdr", "integer", Type::Str, Request, |v, a, _| capture(v, a, true)),
    row("capture.req.method", "", Type::Str, Request, |v, _, _| {
        Some(Value::str(&*v.txn.as_deref()?.method))
            .filter(|_| v.txn.as_deref().is_some_and(|t| !t.method.is_empty()))
    }),
    row("capture.req.uri", "", Type::Str, Request, |v, _, _| {
        // It begins with the path, whatever stands before that.
        let uri = &v.txn.as_deref()?.uri;
        path_and_query(uri).filter(|p| !p.is_empty()).map(Value::str)
    }),
    row("capture.req.ver", "", Type::Str, Request, |v, _, _| {
        let txn = v.txn.as_deref()?;
        (!txn.method.is_empty()).then(|| match txn.version {
            (2, _) => Value::str("HTTP/2.0"),
            old if old < (1, 1) => Value::str("HTTP/1.0"),
            _ => Value::str("HTTP/1.1"),
        })
    }),
    row("capture.res.hdr", "integer", Type::Str, Response, |v, a, _| capture(v, a, false)),
    row("capture.res.ver", "", Type::Str, Request, |v, _, _| {
        let txn = v.txn.as_deref()?;
        (txn.server_status != 0).then(|| {
            let old = v.response.as_deref().is_some_and(|r| r.version < (1, 1));
            Value::str(if old { "HTTP/1.0" } else { "HTTP/1.1" })
        })
    }),
    row("method", "", Type::Method, Request, |v, _, c| match v.request.as_deref() {
        Some(r) => Some(Value::Method(Buf::Ref(r.method()))),
        None => {
            let kept = v.txn.as_deref().map(|t| &t.method).filter(|m| !m.is_empty());
            c.pending = v.may_wait && kept.is_none();
            kept.map(|m| Value::Method(Buf::Ref(m)))
        }
    }),
    row("path", "", Type::Str, RequestHeaders, |v, _, c| path(request(v, c)?.uri()).map(Value::str)),
    row("pathq", "", Type::Str, RequestHeaders, |v, _, c| {
        path_and_query(request(v, c)?.uri()).map(Value::str)
    }),
    row("query", "", Type::Str, RequestHeaders, |v, _, c| {
        let uri = request(v, c)?.uri();
        uri.contains(&b'?').then(|| Value::str(query(uri)))
    }),
    row("req.ver", "", Type::Str, RequestHeaders, |v, _, c| Some(version(request(v, c)?))),
    row("req_ver", "", Type::Str, RequestHeaders, |v, _, c| Some(version(request(v, c)?))),
    row("res.comp", "", Type::Bool, Response, |v, _, _| Some(Value::Bool(v.txn.as_deref()?.compressed))),
    row("res.comp_algo", "", Type::Str, Response, |v, _, _| {
        let txn = v.txn.as_deref().filter(|t| t.compressed)?;
        txn.compression.map(|a| Value::str(a.token()))
    }),
    row("res.ver", "", Type::Str, ResponseHeaders, |v, _, c| Some(version(response(v, c)?))),
    row("resp_ver", "", Type::Str, ResponseHeaders, |v, _, c| Some(version(response(v, c)?))),
    row("server_status", "", Type::Int, Response, |v, _, _| {
        let status = v.txn.as_deref()?.server_status;
        (status != 0).then_some(Value::Int(i64::from(status)))
    }),
    row("status", "", Type::Int, Response, |v, _, _| {
        let live = v.response.as_deref().map(Message::status);
        let status = live.or_else(|| v.txn.as_deref().map(|t| t.status)).unwrap_or(0);
        (status != 0).then_some(Value::Int(i64::from(status)))
    }),
    row("txn.status", "", Type::Int, Response, |v, _, _| {
        let status = v.txn.as_deref()?.status;
        (status != 0).then_some(Value::Int(i64::from(status)))
    }),
    row("url", "", Type::Str, RequestHeaders, |v, _, c| Some(Value::str(request(v, c)?.uri()))),
    row("url32", "", Type::Int, RequestHeaders, |v, _, c| {
        Some(Value::Int(i64::from(base32(&full_url(request(v, c)?)))))
    }),
    row("url32+src", "", Type::Bin, RequestHeaders, |v, _, c| {
        Some(with_source(base32(&full_url(request(v, c)?)), v))
    }),
    row("url_ip", "", Type::V4, RequestHeaders, |v, _, c| {
        let authority = authority(request(v, c)?.uri())?;
        let host = authority.split(|b| *b == b':').next()?;
        parse_ip(host).map(Value::ip)
    }),
    row("url_param", "[string,string,string]", Type::Str, RequestHeaders, url_param),
    row("url_port", "", Type::Int, RequestHeaders, |v, _, c| {
        let authority = authority(request(v, c)?.uri())?;
        let port = authority.iter().rposition(|b| *b == b':').map(|i| &authority[i + 1..]);
        Some(Value::Int(port.map_or(80, |p| crate::sample::leading_int(p).0)))
    }),
    row("urlp", "[string,string,string]", Type::Str, RequestHeaders, url_param),
    row("urlp_val", "[string,string,string]", Type::Int, RequestHeaders, |v, a, c| {
        Some(Value::Int(loose_int(&url_param(v, a, c)?.into_text()?)))
    }),
];

/// The request's head; without one the result may still come.
pub fn request<'v>(view: &'v View<'_>, cursor: &mut Cursor) -> Option<&'v Message> {
    let head = view.request.as_deref();
    cursor.pending =
        head.is_none() && view.may_wait && !view.request_ended && may_be_http(view.request_bytes);
    head
}

/// Whether bytes can be the start of a request: a method, or nothing yet.
fn may_be_http(bytes: &[u8]) -> bool {
    let line = bytes.split(|b| *b == b' ').next().unwrap_or_default();
    line.iter().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~\r\n".contains(b))
}

/// The response's head.
pub fn response<'v>(view: &'v View<'_>, cursor: &mut Cursor) -> Option<&'v Message> {
    let head = view.response.as_deref();
    cursor.pending = head.is_none() && view.may_wait && !view.response_ended;
    head
}

/// Whether what the client sent is HTTP.
pub fn is_http<'v>(view: &'v View<'_>, cursor: &mut Cursor) -> Option<Value<'v>> {
    if view.request.is_some() || view.txn.as_deref().is_some_and(|t| !t.method.is_empty()) {
        return Some(Value::Bool(true));
    }
    cursor.pending = view.may_wait && !view.request_ended && may_be_http(view.request_bytes);
    None
}

fn version(m: &Message) -> Value<'_> {
    match m.version {
        (1, 1) => Value::str("1.1"),
        (1, 0) => Value::str("1.0"),
        (2, 0) => Value::str("2.0"),
        (3, 0) => Value::str("3.0"),
        (a, b) => Value::str(format!("{a}.{b}")),
    }
}

/// Path and query of a target; none for `*` and `host:port`.
pub fn path_and_query(uri: &[u8]) -> Option<&[u8]> {
    if uri.first() == Some(&b'/') {
        return Some(uri);
    }
    let scheme = memchr::memmem::find(uri, b"://")?;
    let rest = &uri[scheme + 3..];
    Some(memchr::memchr2(b'/', b'?', rest).map_or(&b""[..], |at| &rest[at..]))
}

/// The path of a target, without its query.
pub fn path(uri: &[u8]) -> Option<&[u8]> {
    let all = path_and_query(uri)?;
    Some(&all[..memchr::memchr2(b'?', b'#', all).unwrap_or(all.len())])
}

/// The query of a target; empty without one.
pub fn query(uri: &[u8]) -> &[u8] {
    memchr::memchr(b'?', uri).map_or(b"", |at| &uri[at + 1..])
}

/// The authority of a target in absolute form.
pub fn authority(uri: &[u8]) -> Option<&[u8]> {
    let start = memchr::memmem::find(uri, b"://")? + 3;
    let rest = &uri[start..];
    let end = rest.iter().position(|b| matches!(b, b'/' | b'?' | b'#')).unwrap_or(rest.len());
    let whole = &rest[..end];
    Some(whole.iter().rposition(|b| *b == b'@').map_or(whole, |at| &whole[at + 1..]))
}

fn base(m: &Message, with_query: bool) -> SmallVec<[u8; 40]> {
    let mut out = SmallVec::new();
    if let Some(host) = m.find(b"host").last() {
        out.extend_from_slice(host.1);
    }
    let part = if with_query { path_and_query(m.uri()) } else { path(m.uri()) };
    out.extend_from_slice(part.unwrap_or(b""));
    out
}

fn full_url(m: &Message) -> SmallVec<[u8; 40]> {
    let mut out = SmallVec::new();
    if let Some(host) = m.find(b"host").last() {
        out.extend_from_slice(host.1);
    }
    out.extend_from_slice(path_and_query(m.uri()).unwrap_or(b""));
    out
}

fn base32(text: &[u8]) -> u32 {
    crate::conv::hash::avalanche(crate::conv::hash::sdbm(text))
}

fn with_source<'v>(hash: u32, view: &View<'_>) -> Value<'v> {
    let mut out = hash.to_be_bytes().to_vec();
    match super::conn::source(view) {
        Peer::Inet(a) if a.is_ipv4() => {
            if let std::net::IpAddr::V4(ip) = a.ip() {
                out.extend_from_slice(&ip.octets());
            }
        }
        Peer::Inet(a) => {
            if let std::net::IpAddr::V6(ip) = a.ip() {
                out.extend_from_slice(&ip.octets());
            }
        }
        _ => {}
    }
    Value::bin(out)
}

fn capture<'v>(view: &'v View<'_>, args: &[Arg], request: bool) -> Option<Value<'v>> {
    let txn = view.txn.as_deref()?;
    let list = if request { &txn.captures_req } else { &txn.captures_res };
    let slot = usize::try_from(at(args, 0).int_or(0)).ok()?;
    let value = list.borrow().get(slot)?.clone()?;
    Some(Value::str(value))
}

/// The next value of a parameter in a query string; `at` is where to go on.
pub fn parameter<'q>(query: &'q [u8], name: &[u8], delimiter: u8, from: &mut usize) -> Option<&'q [u8]> {
    parameter_that(query, |key| name.is_empty() || key == name, delimiter, from)
}

/// [`parameter`], of a name that `fits`.
fn parameter_that<'q>(
    query: &'q [u8],
    fits: impl Fn(&[u8]) -> bool,
    delimiter: u8,
    from: &mut usize,
) -> Option<&'q [u8]> {
    while *from <= query.len() && !query.is_empty() {
        let rest = query.get(*from..)?;
        let end = rest.iter().position(|b| *b == b'&' || *b == b';' || *b == delimiter).unwrap_or(rest.len());
        let item = &rest[..end];
        *from += end + 1;
        let (key, value) = match memchr::memchr(b'=', item) {
            Some(eq) => (&item[..eq], &item[eq + 1..]),
            None => continue,
        };
        if fits(key) {
            return Some(value);
        }
    }
    None
}

fn url_param<'v>(view: &'v View<'_>, args: &'v [Arg], cursor: &mut Cursor) -> Option<Value<'v>> {
    let uri = request(view, cursor)?.uri();
    let (name, start) = (at(args, 0).bytes(), at(args, 1).bytes().first().copied().unwrap_or(b'?'));
    let query = memchr::memchr(start, uri).map_or(&b""[..], |at| &uri[at + 1..]);
    let query = &query[..memchr::memchr(b'#', query).unwrap_or(query.len())];
    // The third argument is of haproxy 2.8.
    let any_case = at(args, 2).bytes().first() == Some(&b'i');
    let fits = |key: &[u8]| name.is_empty() || key == name || (any_case && key.eq_ignore_ascii_case(name));
    let value = parameter_that(query, fits, start, &mut cursor.at)?;
    cursor.more = true;
    Some(Value::str(value))
}
