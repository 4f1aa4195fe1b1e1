//! Heads between HTTP/2's fields and the messages of the proxy (RFC 9113, section 8; RFC 8441).
//!
//! Pure. Invariant: what is taken as a request can be written as HTTP/1 in one way only: names are tokens in lower
//! case, values have no line breaks, the length announced is one number, nothing speaks of the connection.
//!
//! Absent on purpose: bodies, and rules of the user.

use crate::http::message::{Message, Start};
use crate::mux::websocket;
use h1::{Framing, Method, RequestInfo};
use http2::hpack::{self, Pseudo};
use http2::{Code, Fields};

/// Fields that speak of one connection, which HTTP/2 has no place for (RFC 9113, 8.2.2).
const OF_CONNECTION: [&[u8]; 5] =
    [b"connection", b"proxy-connection", b"keep-alive", b"upgrade", b"transfer-encoding"];

/// What the pseudo fields of a request said.
#[derive(Default)]
struct Said<'f> {
    method: Option<&'f [u8]>,
    scheme: Option<&'f [u8]>,
    authority: Option<&'f [u8]>,
    path: Option<&'f [u8]>,
    protocol: Option<&'f [u8]>,
}

impl<'f> Said<'f> {
    fn take(&mut self, name: &[u8], value: &'f [u8]) -> Result<(), Code> {
        let place = match name {
            b":method" => &mut self.method,
            b":scheme" => &mut self.scheme,
            b":authority" => &mut self.authority,
            b":path" => &mut self.path,
            b":protocol" => &mut self.protocol,
            _ => return Err(Code::Protocol),
        };
        if place.replace(value).is_some()
            || (name != b":method" && value.iter().any(|b| *b <= b' ' || *b == 0x7f))
            || value.iter().any(|b| matches!(b, 0 | b'\r' | b'\n'))
        {
            return Err(Code::Protocol);
        }
        Ok(())
    }
}

/// Puts a request's fields into a message; `end` says that no body follows.
///
/// # Errors
/// The code to end the stream with: the request is malformed.
pub fn request(fields: &Fields, end: bool, into: &mut Message) -> Result<RequestInfo, Code> {
    if fields.too_large {
        return Err(Code::Protocol);
    }
    into.clear();
    let mut said = Said::default();
    let mut all = fields.iter().peekable();
    while let Some((name, value)) = all.next_if(|(n, _)| n.first() == Some(&b':')) {
        said.take(name, value)?;
    }
    let mut info = RequestInfo { keep_alive: true, ..RequestInfo::default() };
    start_line(&said, &mut info, into)?;
    let mut length = None;
    let mut cookies: Vec<u8> = Vec::new();
    for (name, value) in all {
        check(name, value)?;
        match name {
            // What the target says of the host counts; of several fields the first does.
            b"host" if info.host.is_some() => continue,
            b"host" => info.host = Some(into.len()),
            b"cookie" => {
                if !cookies.is_empty() {
                    cookies.extend_from_slice(b"; ");
                }
                cookies.extend_from_slice(value);
                continue;
            }
            b"te" if value != b"trailers" => return Err(Code::Protocol),
            b"expect" => info.expects_continue |= h1::eq_lower(value, b"100-continue"),
            b"content-length" => {
                let before = length;
                length = Some(h1::semantics::length(value).ok_or(Code::Protocol)?);
                if before.is_some() && before != length {
                    return Err(Code::Protocol);
                }
                if before.is_some() {
                    continue;
                }
            }
            _ => {}
        }
        into.add(name, value);
    }
    if !cookies.is_empty() {
        into.add(b"cookie", &cookies);
    }
    if info.upgrade {
        // A tunnel has no content before it.
        if length.is_some() {
            return Err(Code::Protocol);
        }
        into.add(b"upgrade", said.protocol.unwrap_or_default());
        into.add(b"connection", b"upgrade");
        return Ok(info);
    }
    info.framing = framing(length, end, info.method, into);
    Ok(info)
}

/// How a request's body is framed for HTTP/1.
fn framing(length: Option<u64>, end: bool, method: Method, into: &mut Message) -> Framing {
    match (length, end) {
        (Some(0) | None, true) => Framing::None,
        (Some(_), true) => {
            // There is no body, whatever was announced.
            into.remove(b"content-length");
            Framing::None
        }
        (Some(n), false) => Framing::Length(n),
        (None, false) if method == Method::Connect => Framing::None,
        (None, false) => {
            into.chunks = true;
            Framing::Chunked
        }
    }
}

/// Method, target and version; the host where the target says it.
fn start_line(said: &Said<'_>, info: &mut RequestInfo, into: &mut Message) -> Result<(), Code> {
    let method = said.method.filter(|m| !m.is_empty()).ok_or(Code::Protocol)?;
    info.method = Method::of(method);
    let authority = said.authority.filter(|a| !a.is_empty());
    info.upgrade = said.protocol.is_some();
    if info.method == Method::Connect && !info.upgrade {
        // The target of a tunnel is an authority alone.
        let target = authority.ok_or(Code::Protocol)?;
        if said.scheme.is_some() || said.path.is_some() {
            return Err(Code::Protocol);
        }
        let (method, uri) = (into.store(method), into.store(target));
        into.start = Start::Request { method, uri };
        info.host = Some(into.len());
        into.add(b"host", target);
        into.version = (2, 0);
        return Ok(());
    }
    let mut method = method;
    if let Some(protocol) = said.protocol {
        // A tunnel for a protocol is an upgrade in HTTP/1 (RFC 8441, 5); from HTTP/2 nobody goes to HTTP/2.
        let good = !protocol.is_empty() && protocol.iter().all(|b| h1::is_token_byte(*b) || *b == b'/');
        if info.method != Method::Connect || !good || h1::eq_lower(protocol, b"h2c") || authority.is_none() {
            return Err(Code::Protocol);
        }
        (method, info.method) = (b"GET", Method::Get);
    }
    let scheme = said.scheme.ok_or(Code::Protocol)?;
    let path = said.path.ok_or(Code::Protocol)?;
    let whole = path == b"*" && info.method == Method::Options;
    if !(path.first() == Some(&b'/') || whole) {
        return Err(Code::Protocol);
    }
    let method = into.store(method);
    let uri = match authority {
        Some(authority) => {
            let default: &[u8] = match scheme {
                s if h1::eq_lower(s, b"http") => b":80",
                s if h1::eq_lower(s, b"https") => b":443",
                _ => b"",
            };
            let bare = authority.strip_suffix(default).unwrap_or(authority);
            let path = if whole { &b""[..] } else { path };
            into.normalized = !default.is_empty();
            let uri = into.store(&[scheme, b"://", bare, path].concat());
            info.host = Some(into.len());
            into.add(b"host", bare);
            uri
        }
        None => into.store(path),
    };
    into.start = Start::Request { method, uri };
    into.version = (2, 0);
    Ok(())
}

/// Whether method and scheme of a request have their form; one with others is answered by 400, as haproxy does,
/// where other faults end the stream without a word.
pub fn is_good(fields: &Fields) -> bool {
    fields.iter().all(|(name, value)| match name {
        b":method" => value.iter().all(|b| h1::is_token_byte(*b)),
        b":scheme" => is_scheme(value),
        _ => true,
    })
}

fn is_scheme(text: &[u8]) -> bool {
    text.first().is_some_and(u8::is_ascii_alphabetic)
        && text.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
}

/// A plain field: its name is a token in lower case, its value has no bytes that end a line.
fn check(name: &[u8], value: &[u8]) -> Result<(), Code> {
    let good = !name.is_empty() && name.iter().all(|b| h1::is_token_byte(*b) && !b.is_ascii_uppercase());
    let bad_value = value.iter().any(|b| matches!(b, 0 | b'\r' | b'\n'));
    if !good || bad_value || OF_CONNECTION.contains(&name) {
        return Err(Code::Protocol);
    }
    Ok(())
}

/// Writes trailers behind the last chunk; those that would change the message's framing are left out.
///
/// # Errors
/// The code to end the stream with.
pub fn trailers(fields: &Fields, out: &mut Vec<u8>) -> Result<(), Code> {
    for (name, value) in fields.iter() {
        if name.first() == Some(&b':') {
            return Err(Code::Protocol);
        }
        check(name, value)?;
        if !matches!(name, b"content-length" | b"host" | b"te") {
            h1::emit::field(out, name, value);
        }
    }
    Ok(())
}

/// Writes a response's head as a header block: `head` and `bytes` are HTTP/1's.
pub fn response(head: &h1::Head, bytes: &[u8], edits: &h1::semantics::Edits, out: &mut Vec<u8>) {
    use h1::semantics::edited;
    // A protocol that was changed to is a tunnel that was opened.
    hpack::put_status(out, if head.status == 101 { 200 } else { head.status });
    for (i, field) in head.fields.iter().enumerate() {
        let Some(value) = edited(edits, i, field, bytes) else { continue };
        field_of(field.name.of(bytes), value, out);
    }
}

/// Writes a field that may go on over HTTP/2.
fn field_of(name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    let mut lower = [0; 64];
    let name = match lower.get_mut(..name.len()) {
        Some(room) => {
            room.copy_from_slice(name);
            h1::emit::lower(room);
            &*room
        }
        None => name, // longer than any name that matters; heads of ours are in lower case
    };
    if !OF_CONNECTION.contains(&name) && !name.iter().any(u8::is_ascii_uppercase) {
        hpack::put(out, name, value);
    }
}

/// Writes a trailer of a response.
pub fn trailer(name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    field_of(name, value, out);
}

/// The protocol that a request wants to change to.
pub fn protocol<'b>(head: &h1::Head, bytes: &'b [u8]) -> Option<&'b [u8]> {
    first(head, bytes, b"upgrade")
}

/// What goes on behind the fields of a response that opened a tunnel for a protocol.
pub fn switched(head: &h1::Head, bytes: &[u8], protocol: &[u8]) -> Vec<u8> {
    let mut text = b"connection: upgrade\r\n".to_vec();
    h1::emit::field(&mut text, b"upgrade", protocol);
    if let Some(key) = first(head, bytes, websocket::KEY).filter(|_| h1::eq_lower(protocol, b"websocket")) {
        h1::emit::field(&mut text, b"Sec-Websocket-Accept", websocket::accept(key).as_bytes());
    }
    text.extend_from_slice(b"\r\n");
    text
}

fn first<'b>(head: &h1::Head, bytes: &'b [u8], name: &[u8]) -> Option<&'b [u8]> {
    head.fields.iter().find(|f| h1::eq_lower(f.name.of(bytes), name)).map(|f| f.value.of(bytes))
}

/// Writes a request's head as a header block; `protocol` is what it is to open a tunnel for.
pub fn of_request(
    head: &h1::Head,
    bytes: &[u8],
    scheme: &[u8],
    protocol: Option<&[u8]>,
    edits: &h1::semantics::Edits,
    out: &mut Vec<u8>,
) {
    use h1::semantics::edited;
    let (method, target) = (head.first.of(bytes), head.second.of(bytes));
    hpack::put_pseudo(out, Pseudo::Method, if protocol.is_some() { b"CONNECT" } else { method });
    let host = first(head, bytes, b"host");
    let (own, authority, path) = parts(target);
    if method != b"CONNECT" {
        // An upgrade says `https` wherever it goes, as haproxy has it.
        let usual = if protocol.is_some() { b"https" } else { scheme };
        hpack::put_pseudo(out, Pseudo::Scheme, own.unwrap_or(usual));
    }
    if let Some(authority) = authority.or(host) {
        hpack::put_pseudo(out, Pseudo::Authority, authority);
    }
    if method != b"CONNECT" {
        hpack::put_pseudo(out, Pseudo::Path, path);
    }
    if let Some(protocol) = protocol {
        hpack::put_pseudo(out, Pseudo::Protocol, protocol);
    }
    for (i, field) in head.fields.iter().enumerate() {
        let Some(value) = edited(edits, i, field, bytes) else { continue };
        if !h1::eq_lower(field.name.of(bytes), b"host") {
            field_of(field.name.of(bytes), value, out);
        }
    }
}

/// Scheme, authority and path of a target in any form.
fn parts(target: &[u8]) -> (Option<&[u8]>, Option<&[u8]>, &[u8]) {
    if matches!(target.first(), Some(b'/' | b'*')) {
        return (None, None, target);
    }
    let Some(at) = memchr::memmem::find(target, b"://") else { return (None, Some(target), b"/") };
    let rest = &target[at + 3..];
    let path = memchr::memchr2(b'/', b'?', rest).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(path);
    (Some(&target[..at]), Some(authority), if path.is_empty() { b"/" } else { path })
}

/// Writes a response's fields as the head of an HTTP/1 message, without its last line; gives the status and the
/// length that was announced. Where a tunnel for a protocol was asked for, success is a change of protocol.
///
/// # Errors
/// The code to end the stream with.
pub fn to_response(fields: &Fields, upgrade: bool, out: &mut Vec<u8>) -> Result<(u16, Option<u64>), Code> {
    let mut all = fields.iter();
    let status = match all.next() {
        Some((b":status", value)) if value.len() == 3 && value.iter().all(u8::is_ascii_digit) => {
            value.iter().fold(0, |n, d| n * 10 + u16::from(d - b'0'))
        }
        _ => return Err(Code::Protocol),
    };
    // HTTP/2 has no reason phrase.
    let status = if upgrade && (200..300).contains(&status) { 101 } else { status };
    h1::emit::status_line(out, (1, 1), status, b"");
    let mut length = None;
    for (name, value) in all {
        check(name, value)?;
        if name == b"content-length" && status == 101 {
            continue;
        }
        if name == b"content-length" {
            let before = length.replace(h1::semantics::length(value).ok_or(Code::Protocol)?);
            if before.is_some() {
                if before == length {
                    continue;
                }
                return Err(Code::Protocol);
            }
        }
        h1::emit::field(out, name, value);
    }
    Ok((status, length))
}

#[cfg(test)]
mod tests;
