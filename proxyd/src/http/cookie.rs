//! Persistence by cookie: reading it from requests, writing it into responses, in every mode.
//!
//! Invariant: what is logged as the cookie's state is what was done to it.
//!
//! Absent on purpose: choosing another server when the cookie's is gone (the connect phase's).

use crate::config::model::{Capture, Cookie, Proxy, ServerId};
use crate::http::message::Message;
use crate::runtime::board::ServerState;
use crate::stream::txn::{RequestCookie, ResponseCookie};
use std::ops::Range;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// What a request's cookie said.
#[derive(Debug, Clone, Copy, Default)]
pub struct Found {
    /// Third letter of the termination state.
    pub state: RequestCookie,
    /// Its server, while it is up.
    pub server: Option<ServerId>,
}

/// `name=value` pairs of a `Cookie` or `Set-Cookie` value: the pair's range, and that of its value.
fn pairs(header: &[u8]) -> impl Iterator<Item = (Range<usize>, &[u8], Range<usize>)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            if at >= header.len() {
                return None;
            }
            let end =
                header[at..].iter().position(|b| matches!(b, b';' | b',')).map_or(header.len(), |n| at + n);
            let whole = at..end;
            at = end + 1;
            let pair = &header[whole.clone()];
            let lead = pair.iter().take_while(|b| matches!(b, b' ' | b'\t')).count();
            let tail = pair.iter().rev().take_while(|b| matches!(b, b' ' | b'\t')).count();
            if lead + tail >= pair.len() {
                continue;
            }
            let (start, stop) = (whole.start + lead, whole.end - tail);
            let name_end = header[start..stop].iter().position(|b| *b == b'=').map_or(stop, |n| start + n);
            let value = (name_end + 1).min(stop)..stop;
            return Some((whole, &header[start..name_end], value));
        }
    })
}

/// Looks for the cookie, and takes out of the request what the mode says the server must not see.
pub fn request(rule: &Cookie, proxy: &Proxy, states: &[Arc<ServerState>], message: &mut Message) -> Found {
    let mut found = Found::default();
    let headers: Vec<(usize, Vec<u8>)> = message.find(b"cookie").map(|(i, v)| (i, v.to_vec())).collect();
    for (index, value) in headers {
        let hit = pairs(&value).find(|(_, name, _)| *name == rule.name.as_bytes());
        let Some((pair, _, at)) = hit else { continue };
        let mut id = &value[at.clone()];
        let mut prefix_len = 0;
        if rule.prefix {
            let Some(tilde) = memchr::memchr(b'~', id) else { continue };
            id = &id[..tilde];
            prefix_len = tilde + 1;
        } else if let Some(bar) = memchr::memchr(b'|', id) {
            // Dates behind bars are ours (maxidle, maxlife).
            if let Some(state) = expired(rule, &id[bar + 1..]) {
                found.state = state;
                strip(rule, message, index, &value, pair);
                return found;
            }
            id = &id[..bar];
        } else if rule.maxidle.is_some() || rule.maxlife.is_some() {
            found.state = RequestCookie::Old;
        }
        let server =
            proxy.servers.iter().position(|s| s.cookie.as_deref().is_some_and(|c| c.as_bytes() == id));
        match server {
            Some(n) if states[n].is_up() => {
                found.server = Some(ServerId(n));
                if found.state == RequestCookie::None {
                    found.state = RequestCookie::Valid;
                }
            }
            Some(_) => found.state = RequestCookie::Down,
            None => found.state = RequestCookie::Invalid,
        }
        if rule.prefix {
            let mut new = value[..at.start].to_vec();
            new.extend_from_slice(&value[at.start + prefix_len..]);
            message.set_value(index, &new);
        } else {
            strip(rule, message, index, &value, pair);
        }
        return found;
    }
    found
}

/// `indirect` hides the cookie from the server.
fn strip(rule: &Cookie, message: &mut Message, index: usize, value: &[u8], pair: Range<usize>) {
    if !(rule.insert && rule.indirect) {
        return;
    }
    let mut rest = value[..pair.start].to_vec();
    let behind = value.get(pair.end + 1..).unwrap_or(b"");
    if rest.is_empty() {
        let lead = behind.iter().take_while(|b| **b == b' ').count();
        rest.extend_from_slice(&behind[lead..]);
    } else if behind.is_empty() {
        rest.truncate(rest.iter().rposition(|b| !matches!(b, b';' | b',' | b' ')).map_or(0, |n| n + 1));
    } else {
        rest.extend_from_slice(behind);
    }
    if rest.is_empty() {
        message.remove_at(index);
    } else {
        message.set_value(index, &rest);
    }
}

/// Whether a cache may keep a response: only one that can be validated or says how long it lives, and does not
/// forbid it (RFC 9111, 3 and 4.2.2).
fn cacheable(message: &Message) -> bool {
    const STATUSES: [u16; 9] = [200, 203, 206, 300, 301, 404, 405, 410, 414];
    let controls: Vec<String> = [&b"cache-control"[..], b"pragma"]
        .iter()
        .flat_map(|name| message.find(name))
        .flat_map(|(_, v)| {
            String::from_utf8_lossy(v)
                .to_lowercase()
                .split(',')
                .map(|w| w.trim().to_owned())
                .collect::<Vec<_>>()
        })
        .collect();
    let says = |word: &str| controls.iter().any(|c| c == word || c.starts_with(&format!("{word}=")));
    if ["no-cache", "no-store", "private"].iter().any(|w| says(w))
        || controls.iter().any(|c| c == "max-age=0")
    {
        return false;
    }
    let validated = [&b"etag"[..], b"last-modified", b"expires"].iter().any(|n| message.first(n).is_some());
    STATUSES.contains(&message.status())
        && (validated || says("max-age") || says("s-maxage") || says("public"))
}

/// Dates are seconds / 4 in base 64: last seen, then first seen.
fn expired(rule: &Cookie, dates: &[u8]) -> Option<RequestCookie> {
    let mut parts = dates.split(|b| *b == b'|');
    let (last, first) = (parts.next().and_then(date), parts.next().and_then(date));
    let now = now_s();
    let over = |seen: Option<u64>, most: Option<std::time::Duration>| match (seen, most) {
        (Some(s), Some(m)) => now.saturating_sub(s) > m.as_secs(),
        _ => false,
    };
    if over(last, rule.maxidle) {
        return Some(RequestCookie::Expired);
    }
    over(first, rule.maxlife).then_some(RequestCookie::Old)
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn date(text: &[u8]) -> Option<u64> {
    if text.len() != 5 {
        return None;
    }
    text.iter()
        .try_fold(0u64, |n, b| Some(n << 6 | ALPHABET.iter().position(|a| a == b)? as u64))
        .map(|n| n << 2)
}

fn dated(seconds: u64) -> [u8; 5] {
    let n = seconds >> 2;
    std::array::from_fn(|i| ALPHABET[(n >> (6 * (4 - i)) & 63) as usize])
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

/// Puts the server's cookie into the response as the mode says. `stuck` says that the request's cookie already
/// named this server.
pub fn response(
    rule: &Cookie,
    id: Option<&str>,
    state: RequestCookie,
    (stuck, post): (bool, bool),
    message: &mut Message,
) -> ResponseCookie {
    let Some(id) = id else { return without_value(rule, post, message) };
    let mut action = ResponseCookie::None;
    let headers: Vec<(usize, Vec<u8>)> = message.find(b"set-cookie").map(|(i, v)| (i, v.to_vec())).collect();
    for (index, value) in headers {
        let Some((_, name, at)) = pairs(&value).next() else { continue };
        if name != rule.name.as_bytes() {
            continue;
        }
        if rule.preserve {
            return ResponseCookie::Provided;
        }
        let (head, tail) = (&value[..at.start], &value[at.end..]);
        if rule.rewrite {
            message.set_value(index, &[head, id.as_bytes(), tail].concat());
            action = ResponseCookie::Rewritten;
        } else if rule.prefix {
            message.set_value(index, &[head, id.as_bytes(), b"~", &value[at.clone()], tail].concat());
            action = ResponseCookie::Rewritten;
        } else if rule.insert {
            message.remove_at(index);
            action = ResponseCookie::Deleted;
        } else {
            action = ResponseCookie::Provided;
        }
    }
    let dated_rule = rule.maxidle.is_some() || rule.maxlife.is_some();
    let fresh = stuck && state == RequestCookie::Valid && !dated_rule;
    if rule.insert && !fresh && (post || !rule.postonly) {
        let updated = stuck && dated_rule && state == RequestCookie::Valid;
        message.add(b"set-cookie", &inserted(rule, id));
        if rule.nocache && cacheable(message) {
            message.add(b"cache-control", b"private");
        }
        return if updated { ResponseCookie::Updated } else { ResponseCookie::Inserted };
    }
    action
}

fn inserted(rule: &Cookie, id: &str) -> Vec<u8> {
    let mut out = format!("{}={id}", rule.name).into_bytes();
    if rule.maxidle.is_some() || rule.maxlife.is_some() {
        out.push(b'|');
        if rule.maxidle.is_some() {
            out.extend_from_slice(&dated(now_s()));
        }
        if rule.maxlife.is_some() {
            out.push(b'|');
            out.extend_from_slice(&dated(now_s()));
        }
    }
    attributes(rule, &mut out);
    out
}

/// The response of a server that has no cookie value: in insert mode the client is told to forget its cookie,
/// in the others the server's own goes through.
fn without_value(rule: &Cookie, post: bool, message: &mut Message) -> ResponseCookie {
    let own = |value: &[u8]| pairs(value).next().is_some_and(|(_, name, _)| name == rule.name.as_bytes());
    let named: Vec<usize> = message.find(b"set-cookie").filter(|(_, v)| own(v)).map(|(i, _)| i).collect();
    if !named.is_empty() && (rule.preserve || !rule.insert) {
        return ResponseCookie::Provided;
    }
    for index in &named {
        message.remove_at(*index);
    }
    if rule.insert && (post || !rule.postonly) {
        let mut out = format!("{}=; Expires=Thu, 01-Jan-1970 00:00:01 GMT", rule.name).into_bytes();
        attributes(rule, &mut out);
        message.add(b"set-cookie", &out);
        return ResponseCookie::Inserted;
    }
    if named.is_empty() { ResponseCookie::None } else { ResponseCookie::Deleted }
}

/// What follows a cookie's value.
fn attributes(rule: &Cookie, out: &mut Vec<u8>) {
    out.extend_from_slice(b"; path=/");
    for domain in &rule.domains {
        out.extend_from_slice(format!("; domain={domain}").as_bytes());
    }
    if rule.httponly {
        out.extend_from_slice(b"; HttpOnly");
    }
    if rule.secure {
        out.extend_from_slice(b"; Secure");
    }
    for attr in &rule.attrs {
        out.extend_from_slice(format!("; {attr}").as_bytes());
    }
}

/// `capture cookie`: the first pair whose name begins with the capture's, as `name=value`.
pub fn captured(message: &Message, header: &[u8], capture: &Capture) -> Option<Vec<u8>> {
    for (_, value) in message.find(header) {
        for (_, name, at) in pairs(value) {
            if name.starts_with(capture.name.as_bytes()) {
                let whole = &value[at.start.saturating_sub(name.len() + 1)..at.end];
                return Some(whole[..whole.len().min(capture.len)].to_vec());
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_keep_their_four_seconds() {
        assert_eq!(date(&dated(1_700_000_003)), Some(1_700_000_000));
        assert_eq!(date(b"AAA"), None);
    }

    #[test]
    fn an_indirect_cookie_is_taken_out() {
        let rule = Cookie { name: "S".into(), insert: true, indirect: true, ..Cookie::default() };
        for (value, want) in [
            ("S=a", None),
            ("S=a; x=1", Some("x=1")),
            ("x=1; S=a", Some("x=1")),
            ("x=1; S=a; y=2", Some("x=1; y=2")),
        ] {
            let mut m = Message::default();
            m.add(b"Cookie", value.as_bytes());
            let pair = pairs(value.as_bytes()).find(|(_, n, _)| *n == b"S").expect("there").0;
            strip(&rule, &mut m, 0, value.as_bytes(), pair);
            assert_eq!(m.first(b"cookie"), want.map(str::as_bytes), "{value}");
        }
    }
}
