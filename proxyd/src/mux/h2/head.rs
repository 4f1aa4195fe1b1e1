//! Heads between HTTP/2's fields and the messages of the proxy (RFC 9113, section 8; RFC 8441).
//!
//! Pure. Invariant: what is taken as a request can be written as HTTP/1 in one way only: names are tokens in lower
//! case, values have no line breaks, the length announced is one number, nothing speaks of the connection.
//!
//! Absent on purpose: bodies, and rules of the user.

use crate::http::message::{Message, Start};
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
    info.framing = match (length, end) {
        (Some(0) | None, true) => Framing::None,
        (Some(_), true) => {
            // There is no body, whatever was announced.
            into.remove(b"content-length");
            Framing::None
        }
        (Some(n), false) => Framing::Length(n),
        (None, false) if info.method == Method::Connect => Framing::None,
        (None, false) => {
            into.chunks = true;
            Framing::Chunked
        }
    };
    Ok(info)
}

/// Method, target and version; the host where the target says it.
fn start_line(said: &Said<'_>, info: &mut RequestInfo, into: &mut Message) -> Result<(), Code> {
    let method = said.method.filter(|m| !m.is_empty()).ok_or(Code::Protocol)?;
    info.method = Method::of(method);
    let tunnel = info.method == Method::Connect;
    let authority = said.authority.filter(|a| !a.is_empty());
    if tunnel {
        // The target of a tunnel is an authority alone; upgrades over HTTP/2 are not offered to servers.
        let target = authority.ok_or(Code::Protocol)?;
        if said.scheme.is_some() || said.path.is_some() || said.protocol.is_some() {
            return Err(Code::Protocol);
        }
        let (method, uri) = (into.store(method), into.store(target));
        into.start = Start::Request { method, uri };
        info.host = Some(into.len());
        into.add(b"host", target);
        into.version = (2, 0);
        return Ok(());
    }
    if said.protocol.is_some() {
        return Err(Code::Protocol);
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
    hpack::put_status(out, head.status);
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

/// Writes a request's head as a header block.
pub fn of_request(
    head: &h1::Head,
    bytes: &[u8],
    scheme: &[u8],
    edits: &h1::semantics::Edits,
    out: &mut Vec<u8>,
) {
    use h1::semantics::edited;
    let (method, target) = (head.first.of(bytes), head.second.of(bytes));
    hpack::put_pseudo(out, Pseudo::Method, method);
    let host =
        head.fields.iter().find(|f| h1::eq_lower(f.name.of(bytes), b"host")).map(|f| f.value.of(bytes));
    let (own, authority, path) = parts(target);
    if method != b"CONNECT" {
        hpack::put_pseudo(out, Pseudo::Scheme, own.unwrap_or(scheme));
    }
    if let Some(authority) = authority.or(host) {
        hpack::put_pseudo(out, Pseudo::Authority, authority);
    }
    if method != b"CONNECT" {
        hpack::put_pseudo(out, Pseudo::Path, path);
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
/// length that was announced.
///
/// # Errors
/// The code to end the stream with.
pub fn to_response(fields: &Fields, out: &mut Vec<u8>) -> Result<(u16, Option<u64>), Code> {
    let mut all = fields.iter();
    let status = match all.next() {
        Some((b":status", value)) if value.len() == 3 && value.iter().all(u8::is_ascii_digit) => {
            value.iter().fold(0, |n, d| n * 10 + u16::from(d - b'0'))
        }
        _ => return Err(Code::Protocol),
    };
    // HTTP/2 has no reason phrase.
    h1::emit::status_line(out, (1, 1), status, b"");
    let mut length = None;
    for (name, value) in all {
        check(name, value)?;
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
