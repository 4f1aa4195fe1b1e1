//! What a head means: framing, persistence, upgrade, authority; and which fields must change so that the next
//! reader can't read it otherwise. RFC 9110 and 9112 as haproxy 2.6 applies them.
//!
//! Invariant: after the [`Edit`]s are applied a message has at most one `Content-Length`, and none beside a
//! `Transfer-Encoding`.
//!
//! Absent on purpose: rules of the user, forwarding headers, the decision to keep a connection open.

use crate::head::{Head, Slice};
use crate::token::{eq_lower, list};
use crate::{Fault, Options};
use smallvec::SmallVec;

/// Request methods that the proxy itself must know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the variants are the methods' names")]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Delete,
    Options,
    Connect,
    Trace,
    Patch,
    #[default]
    Other,
}

impl Method {
    /// The method of these bytes; case matters.
    pub fn of(bytes: &[u8]) -> Self {
        match bytes {
            b"GET" => Self::Get,
            b"HEAD" => Self::Head,
            b"POST" => Self::Post,
            b"PUT" => Self::Put,
            b"DELETE" => Self::Delete,
            b"OPTIONS" => Self::Options,
            b"CONNECT" => Self::Connect,
            b"TRACE" => Self::Trace,
            b"PATCH" => Self::Patch,
            _ => Self::Other,
        }
    }
}

/// How the body is delimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Framing {
    /// There is none.
    #[default]
    None,
    /// That many bytes.
    Length(u64),
    /// Chunks and trailers.
    Chunked,
    /// Until the connection closes; responses only.
    UntilClose,
    /// Both ways without end: `101`, or 2xx to `CONNECT`.
    Tunnel,
}

/// What must become of a field before the head goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// Leave it out.
    Drop,
    /// This part of the received bytes is the value.
    Part(Slice),
    /// These bytes are the value.
    Value(Vec<u8>),
}

/// Edits by index of the field.
pub type Edits = SmallVec<[(usize, Edit); 1]>;

/// The value with which the field of that index goes on; `None` when it is left out.
pub fn edited<'a>(edits: &'a Edits, index: usize, field: &crate::Field, buf: &'a [u8]) -> Option<&'a [u8]> {
    match edits.iter().find(|(at, _)| *at == index) {
        Some((_, Edit::Drop)) => None,
        Some((_, Edit::Part(part))) => Some(part.of(buf)),
        Some((_, Edit::Value(new))) => Some(new),
        None => Some(field.value.of(buf)),
    }
}

/// What a request's head means.
#[derive(Debug, Clone, Default)]
pub struct RequestInfo {
    /// The method.
    pub method: Method,
    /// The body's framing.
    pub framing: Framing,
    /// The client wants the connection to stay open.
    pub keep_alive: bool,
    /// `Connection` named `close` or `keep-alive`.
    pub said_connection: bool,
    /// Asks for another protocol (`Connection: upgrade` and `Upgrade`).
    pub upgrade: bool,
    /// `Expect: 100-continue`.
    pub expects_continue: bool,
    /// Index of the `Host` field that counts.
    pub host: Option<usize>,
    /// The target without a default port, when that differs from what was received.
    pub target: Option<Vec<u8>>,
    /// What must change.
    pub edits: Edits,
}

/// What a response's head means.
#[derive(Debug, Clone, Default)]
pub struct ResponseInfo {
    /// The body's framing.
    pub framing: Framing,
    /// The server keeps the connection open.
    pub keep_alive: bool,
    /// An interim answer: another head follows.
    pub interim: bool,
    /// What must change.
    pub edits: Edits,
}

#[derive(Default)]
struct Facts {
    length: Option<u64>,
    length_fields: SmallVec<[usize; 2]>,
    coding_fields: u32,
    chunked: bool,
    other_coding: bool,
    bad_coding: bool,
    close: bool,
    keep_alive: bool,
    connection_upgrade: bool,
    upgrade: SmallVec<[usize; 1]>,
    websocket: bool,
    websocket_key: bool,
    expect: bool,
    hosts: SmallVec<[usize; 2]>,
    edits: Edits,
}

/// Reads the meaning of a request's head. `buf` is what the head was parsed from.
pub fn request(head: &Head, buf: &[u8], options: Options) -> Result<RequestInfo, Fault> {
    let mut info = RequestInfo::default();
    request_into(head, buf, options, &mut info)?;
    Ok(info)
}

/// The same in the caller's place. After a fault it says nothing of use.
pub fn request_into(head: &Head, buf: &[u8], options: Options, info: &mut RequestInfo) -> Result<(), Fault> {
    let method = Method::of(head.first.of(buf));
    if head.first.of(buf) == b"PRI" && head.second.of(buf) == b"*" {
        return Err(Fault::Target); // the preface of HTTP/2, which no HTTP/1 reader may answer (RFC 9113, 3.4)
    }
    let mut facts = Facts::default();
    facts.look(head, buf)?;
    (info.method, info.expects_continue, info.framing) = (method, facts.expect, Framing::None);
    if facts.coding_fields > 0 {
        if !facts.chunked || facts.bad_coding {
            return Err(Fault::TransferEncoding);
        }
        if facts.other_coding {
            return Err(Fault::UnsupportedCoding);
        }
        drop_lengths(&mut facts);
        info.framing = Framing::Chunked;
    } else if let Some(length) = facts.length {
        info.framing = Framing::Length(length);
    }
    let ambiguous = facts.coding_fields > 0 && facts.length.is_some();
    info.said_connection = facts.close || facts.keep_alive;
    info.keep_alive = !facts.close && (head.is_11 || facts.keep_alive) && !ambiguous;
    let has_body = !matches!(info.framing, Framing::None | Framing::Length(0));
    info.upgrade = facts.connection_upgrade && !facts.upgrade.is_empty();
    if info.upgrade && has_body {
        // A body and a change of protocol together have no defined order: the upgrade is not offered.
        facts.edits.extend(facts.upgrade.iter().map(|i| (*i, Edit::Drop)));
        info.upgrade = false;
    }
    if info.upgrade && facts.websocket && !facts.websocket_key {
        return Err(Fault::Upgrade);
    }
    info.target = None;
    info.edits = facts.edits;
    authority(head, buf, options, &facts.hosts, info)
}

/// Reads the meaning of a response's head. `method` is that of the request it answers, `upgrade` whether that
/// one asked for another protocol.
pub fn response(head: &Head, buf: &[u8], method: Method, upgrade: bool) -> Result<ResponseInfo, Fault> {
    let mut facts = Facts::default();
    facts.look(head, buf)?;
    let status = head.status;
    let mut info = ResponseInfo { interim: status < 200 && status != 101, ..ResponseInfo::default() };
    if facts.coding_fields > 0 {
        if facts.bad_coding || facts.other_coding {
            return Err(Fault::TransferEncoding);
        }
        drop_lengths(&mut facts);
    }
    let ambiguous = facts.coding_fields > 0 && facts.length.is_some();
    info.keep_alive = !facts.close && (head.is_11 || facts.keep_alive) && !ambiguous;
    info.framing = if status == 101 {
        if !upgrade {
            return Err(Fault::Upgrade);
        }
        Framing::Tunnel
    } else if status < 200 || status == 204 {
        drop_framing(head, buf, &mut facts);
        Framing::None
    } else if method == Method::Connect && (200..300).contains(&status) {
        Framing::Tunnel
    } else if method == Method::Head || status == 304 {
        Framing::None
    } else if facts.chunked {
        Framing::Chunked
    } else if let (Some(length), 0) = (facts.length, facts.coding_fields) {
        Framing::Length(length)
    } else {
        info.keep_alive = false;
        Framing::UntilClose
    };
    info.edits = facts.edits;
    Ok(info)
}

impl Facts {
    fn look(&mut self, head: &Head, buf: &[u8]) -> Result<(), Fault> {
        let facts = self;
        for (i, field) in head.fields.iter().enumerate() {
            // The length sorts out most fields before any byte is looked at.
            let name = field.name.of(buf);
            match name.len() {
                2 if eq_lower(name, b"te") => te(facts, i, field.value, buf),
                4 if eq_lower(name, b"host") => facts.hosts.push(i),
                6 if eq_lower(name, b"expect") => {
                    facts.expect |= eq_lower(field.value.of(buf), b"100-continue");
                }
                7 if eq_lower(name, b"upgrade") => {
                    facts.upgrade.push(i);
                    facts.websocket |= list(field.value.of(buf)).any(|t| eq_lower(t, b"websocket"));
                }
                10 if eq_lower(name, b"connection") => connection(facts, i, field.value.of(buf)),
                14 if eq_lower(name, b"content-length") => content_length(facts, i, field.value, buf)?,
                17 if eq_lower(name, b"transfer-encoding") => transfer_encoding(facts, field.value.of(buf)),
                17 if eq_lower(name, b"sec-websocket-key") => facts.websocket_key = true,
                _ => {}
            }
        }
        Ok(())
    }
}

/// `TE` goes on only as far as it asks for trailers.
fn te(facts: &mut Facts, index: usize, value: Slice, buf: &[u8]) {
    let value = value.of(buf);
    if eq_lower(value, b"trailers") {
        return;
    }
    let wants = list(value).any(|t| eq_lower(t, b"trailers"));
    facts.edits.push((index, if wants { Edit::Value(b"trailers".to_vec()) } else { Edit::Drop }));
}

fn connection(facts: &mut Facts, index: usize, value: &[u8]) {
    let mut ours = false;
    for token in list(value) {
        match token.len() {
            5 if eq_lower(token, b"close") => (facts.close, ours) = (true, true),
            10 if eq_lower(token, b"keep-alive") => (facts.keep_alive, ours) = (true, true),
            7 if eq_lower(token, b"upgrade") => facts.connection_upgrade = true,
            _ => {}
        }
    }
    if !ours {
        return;
    }
    let mut rest = Vec::new();
    for token in
        list(value).filter(|t| !t.is_empty() && !eq_lower(t, b"close") && !eq_lower(t, b"keep-alive"))
    {
        if !rest.is_empty() {
            rest.push(b',');
        }
        rest.extend_from_slice(token);
    }
    facts.edits.push((index, if rest.is_empty() { Edit::Drop } else { Edit::Value(rest) }));
}

/// One number, or a list of equal ones, over all fields; the first stays, without what could be read in another way,
/// the others go.
fn content_length(facts: &mut Facts, index: usize, value: Slice, buf: &[u8]) -> Result<(), Fault> {
    let bytes = value.of(buf);
    let mut first: Option<&[u8]> = None;
    for element in bytes.split(|b| *b == b',') {
        let element = crate::token::trim(element);
        let number = number(element).ok_or(Fault::ContentLength)?;
        if facts.length.is_some_and(|known| known != number) {
            return Err(Fault::ContentLength);
        }
        facts.length = Some(number);
        first = first.or(Some(element));
    }
    if !facts.length_fields.is_empty() {
        facts.edits.push((index, Edit::Drop));
    } else if let Some(first) = first {
        let zeros = first.iter().take_while(|b| **b == b'0').count().min(first.len() - 1);
        if zeros > 0 || first.len() != bytes.len() {
            let (start, len) = (value.start + zeros as u32, (first.len() - zeros) as u32);
            facts.edits.push((index, Edit::Part(Slice { start, len })));
        }
    }
    facts.length_fields.push(index);
    Ok(())
}

/// Largest length taken: more could be read as negative by somebody behind us.
const LENGTH_MAX: u64 = i64::MAX as u64;

/// The number that a `Content-Length` announces where it must be one number.
pub fn length(value: &[u8]) -> Option<u64> {
    number(value)
}

fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    let mut n = 0u64;
    for d in digits {
        let d = d.is_ascii_digit().then(|| u64::from(d - b'0'))?;
        n = n.checked_mul(10)?.checked_add(d)?;
    }
    (n <= LENGTH_MAX).then_some(n)
}

fn transfer_encoding(facts: &mut Facts, value: &[u8]) {
    facts.coding_fields += 1;
    let tokens: SmallVec<[&[u8]; 4]> = list(value).collect();
    let last = tokens.len() - 1;
    for (i, token) in tokens.iter().enumerate() {
        if eq_lower(token, b"chunked") {
            // Once, and at the end.
            facts.bad_coding |= facts.chunked;
            facts.chunked = true;
        } else if token.is_empty() && (i == last) {
            // `chunked,` and an empty field add nothing.
        } else {
            facts.other_coding = true;
            facts.bad_coding |= facts.chunked;
        }
    }
}

fn drop_lengths(facts: &mut Facts) {
    let fields = std::mem::take(&mut facts.length_fields);
    facts.edits.extend(fields.into_iter().map(|i| (i, Edit::Drop)));
}

/// Interim answers and 204 have no body, so nothing may say how long it is.
fn drop_framing(head: &Head, buf: &[u8], facts: &mut Facts) {
    drop_lengths(facts);
    for (i, field) in head.fields.iter().enumerate() {
        if eq_lower(field.name.of(buf), b"transfer-encoding") {
            facts.edits.push((i, Edit::Drop));
        }
    }
}

/// The target's form, and one `Host` that does not contradict it.
fn authority(
    head: &Head,
    buf: &[u8],
    options: Options,
    hosts: &[usize],
    info: &mut RequestInfo,
) -> Result<(), Fault> {
    let target = head.second.of(buf);
    info.host = hosts.first().copied();
    let value = |i: usize| head.fields[i].value.of(buf);
    for other in hosts.iter().skip(1) {
        if !value(*other).eq_ignore_ascii_case(value(hosts[0])) {
            return Err(Fault::Host);
        }
        info.edits.push((*other, Edit::Drop));
    }
    if info.method == Method::Connect {
        let port = target.iter().rposition(|b| *b == b':').filter(|c| *c > 0 && target.len() > c + 1);
        let default: &[u8] = if target.ends_with(b":80") { b"80" } else { b"443" };
        let agrees = info.host.is_none_or(|h| same_authority(target, value(h), default));
        if (port.is_none() || !agrees) && !options.lenient {
            return Err(if port.is_none() { Fault::Target } else { Fault::Host });
        }
        if let (Some(host), true) = (info.host, agrees) {
            let bare = without_port(target, default);
            if bare.len() != value(host).len() {
                info.edits.push((host, Edit::Value(bare.to_vec())));
            }
        }
        return Ok(());
    }
    if target.first() == Some(&b'/') || target == b"*" {
        return Ok(());
    }
    let Some(scheme) = scheme_end(target) else {
        return if options.lenient { Ok(()) } else { Err(Fault::Target) };
    };
    absolute(target, scheme, options, hosts.first().map(|h| (*h, value(*h))), info)
}

/// An absolute target: the default port goes, and `Host` must agree (the lenient replace it).
fn absolute(
    target: &[u8],
    scheme: usize,
    options: Options,
    host: Option<(usize, &[u8])>,
    info: &mut RequestInfo,
) -> Result<(), Fault> {
    let start = scheme + 3;
    let end = target[start..].iter().position(|b| *b == b'/').map_or(target.len(), |n| start + n);
    let full = &target[start..end];
    let at = full.iter().rposition(|b| *b == b'@').map_or(0, |a| a + 1);
    let default: &[u8] = match &target[..scheme] {
        s if eq_lower(s, b"http") => b"80",
        s if eq_lower(s, b"https") => b"443",
        _ => b"",
    };
    let bare = without_port(&full[at..], default);
    if let Some((index, value)) = host {
        if !same_authority(&full[at..], value, default) {
            if !options.lenient {
                return Err(Fault::Host);
            }
            info.edits.push((index, Edit::Value(bare.to_vec())));
        } else if value.len() != bare.len() {
            info.edits.push((index, Edit::Value(bare.to_vec())));
        }
    }
    let cut = full.len() - at - bare.len();
    if cut > 0 {
        let mut new = target[..end - cut].to_vec();
        new.extend_from_slice(&target[end..]);
        info.target = Some(new);
    }
    Ok(())
}

fn scheme_end(target: &[u8]) -> Option<usize> {
    let end = target.iter().position(|b| !b.is_ascii_alphanumeric() && !matches!(b, b'+' | b'-' | b'.'))?;
    (end > 0 && target[0].is_ascii_alphabetic() && target[end..].starts_with(b"://")).then_some(end)
}

fn same_authority(authority: &[u8], host: &[u8], default: &[u8]) -> bool {
    without_port(authority, default).eq_ignore_ascii_case(without_port(host, default))
}

fn without_port<'a>(authority: &'a [u8], default: &[u8]) -> &'a [u8] {
    let Some(colon) = authority.iter().rposition(|b| *b == b':') else { return authority };
    let port = &authority[colon + 1..];
    if port == default || (port.is_empty() && !default.is_empty()) { &authority[..colon] } else { authority }
}
