//! Persistence by cookie: reading it from requests, writing it into responses, in every mode.
//!
//! Invariant: what is logged as the cookie's state is what was done to it.
//!
//! Absent on purpose: choosing another server when the cookie's is gone (the connect phase's).

use crate::config::model::{Capture, Cookie, Proxy, Roster, ServerId};
use crate::http::message::Message;
use crate::runtime::board::ServerState;
use crate::runtime::cookies::Dynamic;
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
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    /// Which cookies servers have.
    pub cookies: &'a Dynamic,
    /// A rule has named the server, or says that cookies don't count.
    pub unused: bool,
    /// A server that is down may be used (`option persist`, `force-persist`).
    pub forced: bool,
}

/// A `name=value` of a `Cookie` or `Set-Cookie` value; ranges of it.
struct Pair {
    /// With the spaces around it.
    whole: Range<usize>,
    name: Range<usize>,
    value: Range<usize>,
}

/// All pairs of a header. What has no `=` is none, nor is what begins with `$` (RFC 2965's attributes).
fn pairs(header: &[u8]) -> impl Iterator<Item = Pair> {
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            if at >= header.len() {
                return None;
            }
            let whole = at..end_of_pair(header, at);
            at = whole.end + 1;
            let pair = trimmed(header, whole.clone());
            let Some(equal) = memchr::memchr(b'=', &header[pair.clone()]) else { continue };
            if header[pair.start] == b'$' {
                continue;
            }
            let name = trimmed(header, pair.start..pair.start + equal);
            let value = trimmed(header, pair.start + equal + 1..pair.end);
            return Some(Pair { whole, name, value });
        }
    })
}

/// Where a pair ends: at a separator that is not quoted.
fn end_of_pair(header: &[u8], start: usize) -> usize {
    let (mut quoted, mut at) = (false, start);
    while at < header.len() {
        match header[at] {
            b'"' => quoted = !quoted,
            b'\\' if quoted => at += 1,
            b';' | b',' if !quoted => return at,
            _ => {}
        }
        at += 1;
    }
    header.len()
}

/// A range without spaces at its ends.
fn trimmed(header: &[u8], range: Range<usize>) -> Range<usize> {
    let space = |b: &&u8| matches!(b, b' ' | b'\t');
    let part = &header[range.clone()];
    let lead = part.iter().take_while(space).count();
    let tail = part[lead..].iter().rev().take_while(space).count();
    range.start + lead..range.end - tail
}

/// A header without spaces around the `=` of its pairs, if it has any: captures and servers get to see it so.
fn tightened(header: &[u8]) -> Option<Vec<u8>> {
    let is_loose = |p: &Pair| p.value.start != p.name.end + 1;
    if !pairs(header).any(|p| is_loose(&p)) {
        return None;
    }
    let (mut out, mut copied) = (Vec::with_capacity(header.len()), 0);
    for pair in pairs(header).filter(is_loose) {
        out.extend_from_slice(&header[copied..pair.name.end]);
        out.push(b'=');
        copied = pair.value.start;
    }
    out.extend_from_slice(&header[copied..]);
    Some(out)
}

/// Looks for the cookie, and takes out of the request what the mode says the server must not see.
pub fn request(
    rule: &Cookie,
    proxy: &Proxy,
    states: &Roster<Arc<ServerState>>,
    terms: Terms<'_>,
    message: &mut Message,
) -> Found {
    let mut found = Found::default();
    let headers: Vec<(usize, Vec<u8>)> = message.find(b"cookie").map(|(i, v)| (i, v.to_vec())).collect();
    for (index, mut value) in headers {
        if let Some(tight) = tightened(&value) {
            message.set_value(index, &tight);
            value = tight;
        }
        let hits: Vec<Pair> =
            pairs(&value).filter(|p| value[p.name.clone()] == *rule.name.as_bytes()).collect();
        for hit in &hits {
            // The first that names a server counts.
            if found.server.is_none() {
                judge(rule, proxy, states, terms, &value[hit.value.clone()], &mut found);
            }
        }
        // From the last on, so that what was found before stays where it is.
        let mut new = value;
        for hit in hits.into_iter().rev() {
            let own = &new[hit.value.clone()];
            if rule.prefix {
                if let Some(tilde) = memchr::memchr(b'~', own) {
                    new.drain(hit.value.start..=hit.value.start + tilde);
                    message.set_value(index, &new);
                }
            } else if rule.insert && rule.indirect {
                new = without(&new, hit.whole);
                message.set_value(index, &new);
                if new.is_empty() {
                    message.remove_at(index);
                }
            }
        }
    }
    found
}

/// What one cookie of the right name says.
fn judge(
    rule: &Cookie,
    proxy: &Proxy,
    states: &Roster<Arc<ServerState>>,
    terms: Terms<'_>,
    value: &[u8],
    found: &mut Found,
) {
    let delimiter = memchr::memchr(if rule.prefix { b'~' } else { b'|' }, value);
    *found = Found::default();
    if let (Some(bar), false) = (delimiter, rule.prefix) {
        found.dates = dates(&value[bar + 1..]);
        if let Some(state) = found.dates.over(rule) {
            *found = Found { state, ..Found::default() };
            return;
        }
    }
    if terms.unused {
        found.state = RequestCookie::Unused;
        return;
    }
    look_up(&value[..delimiter.unwrap_or(value.len())], proxy, states, terms, found);
    if found.state == RequestCookie::None {
        found.state = RequestCookie::Invalid;
    }
}

/// The first server with this value that may be used.
fn look_up(id: &[u8], proxy: &Proxy, states: &Roster<Arc<ServerState>>, terms: Terms<'_>, found: &mut Found) {
    for (n, server) in proxy.servers.iter().enumerate() {
        if server.life.is_gone()
            || id.is_empty()
            || terms.cookies.of(proxy, server, &states[n]).is_none_or(|c| c.as_bytes() != id)
        {
            continue;
        }
        let up = states[n].is_up();
        found.state = if up { RequestCookie::Valid } else { RequestCookie::Down };
        if up || terms.forced {
            found.server = Some(ServerId(n));
            return;
        }
    }
}

/// A header without a pair, and without the attributes that follow it.
fn without(value: &[u8], pair: Range<usize>) -> Vec<u8> {
    let mut end = pair.end;
    while let Some(next) = (end < value.len()).then(|| end + 1..end_of_pair(value, end + 1))
        && value[trimmed(value, next.clone())].starts_with(b"$")
    {
        end = next.end;
    }
    let mut rest = value[..pair.start].to_vec();
    let behind = value.get(end + 1..).unwrap_or(b"");
    if rest.is_empty() {
        let lead = behind.iter().take_while(|b| **b == b' ').count();
        rest.extend_from_slice(&behind[lead..]);
    } else if behind.is_empty() {
        rest.truncate(rest.iter().rposition(|b| !matches!(b, b';' | b',' | b' ')).map_or(0, |n| n + 1));
    } else {
        rest.extend_from_slice(behind);
    }
    rest
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
    for (index, mut value) in headers {
        if let Some(tight) = tightened(&value) {
            message.set_value(index, &tight);
            value = tight;
        }
        let named = |p: &Pair| value[p.name.clone()] == *rule.name.as_bytes();
        let Some(Pair { value: at, .. }) = pairs(&value).next().filter(named) else { continue };
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
        for Pair { name, value: at, .. } in pairs(value) {
            if value[name.clone()].starts_with(capture.name.as_bytes()) {
                let whole = &value[name.start..at.end];
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
        for (value, want) in [
            ("S=a", ""),
            ("S=a; x=1", "x=1"),
            ("x=1; S=a", "x=1"),
            ("x=1; S=a; y=2", "x=1; y=2"),
            ("$V=1; S=a; $P=/; y=2", "$V=1; y=2"),
        ] {
            let pair = pairs(value.as_bytes()).find(|p| value[p.name.clone()] == *"S").expect("there").whole;
            assert_eq!(without(value.as_bytes(), pair), want.as_bytes(), "{value}");
        }
    }

    #[test]
    fn pairs_are_found_between_quotes_and_spaces() {
        let names = |text: &str| {
            let of = |p: Pair| format!("{}:{}", &text[p.name], &text[p.value]);
            pairs(text.as_bytes()).map(of).collect::<Vec<_>>().join("|")
        };
        assert_eq!(names("a=1; b = 2 ;c;$d=3, e="), "a:1|b:2|e:");
        assert_eq!(names("a=\"x;S=1\\\";S=2\"; b=\"3"), "a:\"x;S=1\\\";S=2\"|b:\"3");
        assert_eq!(tightened(b"a=1; S = 2 ;c\t=3"), Some(b"a=1; S=2 ;c=3".to_vec()));
        assert_eq!(tightened(b"a=1; S=2 ; c"), None);
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
