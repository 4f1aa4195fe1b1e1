//! Persistence by cookie: reading it from requests, writing it into responses, in every mode.
//!
//! Invariant: what is logged as the cookie's state is what was done to it.
//!
//! Absent on purpose: choosing another server when the cookie's is gone (the connect phase's).

use crate::config::model::{Capture, Cookie, Proxy, Roster, ServerId};
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
    /// Its server, while it may be used.
    pub server: Option<ServerId>,
    /// When the client was last and first seen (`maxidle`, `maxlife`), seconds.
    pub dates: Dates,
}

/// Dates that a cookie carries, seconds since the epoch; 0 is none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Dates {
    /// Last seen.
    pub last: u64,
    /// First seen.
    pub first: u64,
}

/// What else decides over a request's cookie.
#[derive(Debug, Clone, Copy, Default)]
pub struct Terms {
    /// A rule has named the server, or says that cookies don't count.
    pub unused: bool,
    /// A server that is down may be used (`option persist`, `force-persist`).
    pub forced: bool,
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
pub fn request(
    rule: &Cookie,
    proxy: &Proxy,
    states: &Roster<Arc<ServerState>>,
    terms: Terms,
    message: &mut Message,
) -> Found {
    let mut found = Found::default();
    let headers: Vec<(usize, Vec<u8>)> = message.find(b"cookie").map(|(i, v)| (i, v.to_vec())).collect();
    for (index, value) in headers {
        let hit = pairs(&value).find(|(_, name, _)| *name == rule.name.as_bytes());
        let Some((pair, _, at)) = hit else { continue };
        let whole = &value[at.clone()];
        let delimiter = memchr::memchr(if rule.prefix { b'~' } else { b'|' }, whole);
        let id = &whole[..delimiter.unwrap_or(whole.len())];
        let mut outdated = false;
        if let (Some(bar), false) = (delimiter, rule.prefix) {
            found.dates = dates(&whole[bar + 1..]);
            if let Some(state) = found.dates.over(rule) {
                (found.state, found.dates, outdated) = (state, Dates::default(), true);
            }
        }
        if !outdated && !terms.unused {
            look_up(id, proxy, states, terms.forced, &mut found);
        }
        if terms.unused && !outdated {
            found.state = RequestCookie::Unused;
        } else if found.server.is_none() && found.state == RequestCookie::None {
            found.state = RequestCookie::Invalid;
        }
        if let (true, Some(tilde)) = (rule.prefix, delimiter) {
            let mut new = value[..at.start].to_vec();
            new.extend_from_slice(&whole[tilde + 1..]);
            message.set_value(index, &new);
        } else {
            strip(rule, message, index, &value, pair);
        }
        return found;
    }
    found
}

/// The first server with this value that may be used.
fn look_up(id: &[u8], proxy: &Proxy, states: &Roster<Arc<ServerState>>, forced: bool, found: &mut Found) {
    for (n, server) in proxy.servers.iter().enumerate() {
        if server.life.is_gone()
            || id.is_empty()
            || server.cookie.as_deref().is_none_or(|c| c.as_bytes() != id)
        {
            continue;
        }
        let up = states[n].is_up();
        found.state = if up { RequestCookie::Valid } else { RequestCookie::Down };
        if up || forced {
            found.server = Some(ServerId(n));
            return;
        }
    }
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

/// Whether `option checkcache` refuses a response: a cache may keep its cookie for others, and nothing says that this is
/// meant.
pub fn leaks(message: &Message, method: &[u8]) -> bool {
    let has_cookie = [&b"set-cookie"[..], b"set-cookie2"].iter().any(|n| message.first(n).is_some());
    let public = message.find(b"cache-control").any(|(_, v)| v.to_ascii_lowercase().starts_with(b"public"));
    let spared = message.find(b"cache-control").any(|(_, v)| {
        let value = String::from_utf8_lossy(v).to_ascii_lowercase();
        value.contains("no-cache=\"set-cookie\"") || value.contains("no-cache=\"set-cookie,")
    });
    has_cookie && method != b"POST" && !public && !spared && cacheable(message)
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
    // `no-cache="x"` speaks of one field.
    let all = |word: &str| controls.iter().any(|c| c == word);
    if ["no-cache", "no-store", "private"].iter().any(|w| all(w)) || controls.iter().any(|c| c == "max-age=0")
    {
        return false;
    }
    let validated = [&b"etag"[..], b"last-modified", b"expires"].iter().any(|n| message.first(n).is_some());
    STATUSES.contains(&message.status())
        && (validated || says("max-age") || says("s-maxage") || says("public"))
}

/// A date this far ahead is a clock's fault, seconds.
const AHEAD_MAX: u64 = 86_400;

impl Dates {
    /// Whether the cookie is too old: by its first date, then by its last.
    fn over(self, rule: &Cookie) -> Option<RequestCookie> {
        let now = now_s();
        let over = |seen: u64, most: Option<std::time::Duration>| {
            most.is_some_and(|most| {
                seen > 0 && (now.saturating_sub(seen) > most.as_secs() || seen > now + AHEAD_MAX)
            })
        };
        if over(self.first, rule.maxlife) {
            return Some(RequestCookie::Old);
        }
        over(self.last, rule.maxidle).then_some(RequestCookie::Expired)
    }

    /// Whether the client needs a cookie with other dates.
    fn need_renewal(self, rule: &Cookie) -> bool {
        let last = (rule.maxidle.is_some() || self.last > 0) && self.last < now_s();
        last || rule.maxlife.is_some() != (self.first > 0)
    }
}

/// Dates are seconds / 4 in base 64: last seen, then first seen.
fn dates(text: &[u8]) -> Dates {
    let part = |t: &[u8]| t.get(..5).and_then(date).unwrap_or(0);
    let first = memchr::memchr(b'|', text).map_or(0, |bar| part(&text[bar + 1..]));
    Dates { last: part(text), first }
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

/// What a response's cookie depends on.
#[derive(Debug, Clone, Copy)]
pub struct Given<'a> {
    /// The server's value.
    pub id: Option<&'a str>,
    /// The request's cookie, or a rule, named this server.
    pub direct: bool,
    /// The request was a POST.
    pub post: bool,
    /// Cookies don't count for this request (`ignore-persist`).
    pub ignored: bool,
    /// Dates of the request's cookie.
    pub dates: Dates,
}

/// Puts the server's cookie into the response as the mode says.
pub fn response(rule: &Cookie, given: Given<'_>, message: &mut Message) -> ResponseCookie {
    if given.ignored {
        return ResponseCookie::None;
    }
    let action = of_server(rule, given, message);
    let kept = action == ResponseCookie::Provided && rule.preserve;
    let wanted = !given.direct || given.dates.need_renewal(rule);
    if !rule.insert || kept || !wanted || (rule.postonly && !given.post) {
        return action;
    }
    message.add(b"set-cookie", &inserted(rule, given));
    if rule.nocache && cacheable(message) {
        message.add(b"cache-control", b"private");
    }
    if given.direct && given.id.is_some() { ResponseCookie::Updated } else { ResponseCookie::Inserted }
}

/// What becomes of a cookie of this name that the server set itself.
fn of_server(rule: &Cookie, given: Given<'_>, message: &mut Message) -> ResponseCookie {
    let mut action = ResponseCookie::None;
    let headers: Vec<(usize, Vec<u8>)> = message.find(b"set-cookie").map(|(i, v)| (i, v.to_vec())).collect();
    let mut removed = Vec::new();
    for (index, value) in headers {
        let Some((_, name, at)) = pairs(&value).next() else { continue };
        if name != rule.name.as_bytes() {
            continue;
        }
        let (head, tail) = (&value[..at.start], &value[at.end..]);
        action = match given.id {
            _ if rule.preserve => ResponseCookie::Provided,
            _ if rule.insert || (given.direct && rule.indirect) => {
                removed.push(index);
                ResponseCookie::Deleted
            }
            Some(id) if rule.rewrite => {
                message.set_value(index, &[head, id.as_bytes(), tail].concat());
                ResponseCookie::Rewritten
            }
            Some(id) if rule.prefix => {
                message.set_value(index, &[head, id.as_bytes(), b"~", &value[at.clone()], tail].concat());
                ResponseCookie::Rewritten
            }
            _ => ResponseCookie::Provided,
        };
    }
    for index in removed {
        message.remove_at(index);
    }
    action
}

fn inserted(rule: &Cookie, given: Given<'_>) -> Vec<u8> {
    let mut out = match given.id {
        Some(id) => format!("{}={id}", rule.name).into_bytes(),
        None => format!("{}=; Expires=Thu, 01-Jan-1970 00:00:01 GMT", rule.name).into_bytes(),
    };
    if given.id.is_some() && (rule.maxidle.is_some() || rule.maxlife.is_some()) {
        // Rounded up, so that a date is never older than the visit.
        let now = now_s() + 3;
        out.push(b'|');
        out.extend_from_slice(&dated(now));
        if rule.maxlife.is_some() {
            out.push(b'|');
            out.extend_from_slice(&dated(if given.dates.first > 0 { given.dates.first } else { now }));
        }
    }
    attributes(rule, &mut out);
    out
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
    use crate::http::message::Start;

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

    #[test]
    fn cookies_that_a_cache_would_keep_leak() {
        let leaks = |method: &str, fields: &[(&str, &str)]| {
            let mut m = Message::default();
            m.start = Start::Response { status: 200, reason: m.store(b"OK") };
            for (n, v) in fields {
                m.add(n.as_bytes(), v.as_bytes());
            }
            leaks(&m, method.as_bytes())
        };
        let cookie = ("Set-Cookie", "a=b");
        let control = |value| [cookie, ("Cache-Control", value)];
        assert!(leaks("GET", &control("max-age=10")));
        assert!(leaks("GET", &[cookie, ("ETag", "x")]));
        assert!(leaks("GET", &control("max-age=10, no-cache=\"x\"")));
        assert!(!leaks("POST", &control("max-age=10")));
        assert!(!leaks("GET", &[("Cache-Control", "max-age=10")]));
        assert!(!leaks("GET", &[cookie]));
        for value in ["public", "private", "max-age=0", "max-age=9, no-cache=\"set-cookie, x\""] {
            assert!(!leaks("GET", &control(value)), "{value}");
        }
    }
}
