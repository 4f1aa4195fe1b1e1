//! The `%` variables of log formats, chapter 8.2.6 of the manual.
//!
//! Invariant: a tag reads the transaction's record and nothing else; the same record prints the same bytes.

use super::format::{Flags, Use, Writer};
use crate::config::model::{Cookie, Mode};
use crate::conv::time::{Civil, MONTHS, civil, zone};
use crate::stream::txn::{EndedBy, EndedIn, Peer, RequestCookie, ResponseCookie, Txn};
use crate::stream::view::{Phase, View};
use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// One tag.
#[derive(Debug)]
pub struct Tag {
    /// The name behind `%`.
    pub name: &'static str,
    /// Whether it is refused outside of mode http.
    pub needs_http: bool,
    /// Prints it.
    pub write: fn(&View<'_>, &mut Writer<'_>),
}

const fn tag(name: &'static str, write: fn(&View<'_>, &mut Writer<'_>)) -> Tag {
    Tag { name, needs_http: false, write }
}

const fn http(name: &'static str, write: fn(&View<'_>, &mut Writer<'_>)) -> Tag {
    Tag { name, needs_http: true, write }
}

/// Bytes of a start line that are written as `#XX` besides control bytes.
const URL_ODD: &[u8] = b"\"#";
/// The same of header values.
const HEADER_ODD: &[u8] = b"\"#{|}";

/// All tags.
pub static LOG_TAGS: &[Tag] = &[
    tag("B", |v, w| {
        open_ended(v, w);
        w.int(txn(v).map_or(0, |t| t.bytes_out as i64));
    }),
    http("CC", |v, w| w.text(txn(v).and_then(|t| t.cookie_req.as_deref()).unwrap_or(b""))),
    http("CS", |v, w| w.text(txn(v).and_then(|t| t.cookie_res.as_deref()).unwrap_or(b""))),
    tag("H", |_, w| w.text(crate::fetch::env::hostname().as_bytes())),
    http("HM", |v, w| known(v, w, |t| &t.method)),
    http("HP", |v, w| path(v, w, false)),
    http("HPO", |v, w| path(v, w, true)),
    http("HQ", |v, w| {
        let uri = uri(v);
        if uri.is_empty() {
            return bad(w);
        }
        let query = memchr::memchr(b'?', uri).map_or(&b""[..], |at| &uri[at..]);
        // No query is nothing at all, where other tags print a dash.
        if query.is_empty() && !w.flags.quote {
            w.empty = true;
        } else {
            w.encoded(query, URL_ODD);
        }
    }),
    http("HU", |v, w| match txn(v) {
        Some(t) if t.uri.is_empty() => bad(w),
        _ => w.encoded(uri(v), URL_ODD),
    }),
    http("HV", |v, w| match txn(v) {
        Some(t) if !t.method.is_empty() => w.text(version(t.version).as_bytes()),
        _ => bad(w),
    }),
    tag("ID", |v, w| w.text(txn(v).and_then(|t| t.unique_id.get()).map_or(b"", |id| id))),
    tag("OG", |v, w| w.text(if txn(v).is_some() { b"txn" } else { b"sess" })),
    tag("ST", |v, w| {
        // Where there never was a stream, the status is 0, as in a mode that knows none; where it has none, it is -1.
        let lacks = |t: &Txn| t.status == 0 && t.id != 0 && v.proxy.mode == Mode::Http;
        let now = |t: &Txn| match &v.response {
            // While rules look at an answer, its status is the transaction's.
            Some(answer) if t.status == 0 && v.phase != Phase::Log => i64::from(answer.status()),
            _ if lacks(t) => -1,
            _ => i64::from(t.status),
        };
        w.int(txn(v).map_or(-1, now));
    }),
    tag("T", |v, w| date(w, &civil(epoch(v.session.accepted_at)), Style::Zoned)),
    http("Ta", |v, w| {
        let idle = txn(v).and_then(|t| t.times.first_byte).unwrap_or_default();
        open_ended(v, w);
        span(v, w, |t| t.times.end.map(|e| e.saturating_sub(idle)));
    }),
    tag("Tc", |v, w| span(v, w, |t| between(t.times.queue.or(t.times.request), t.times.connect))),
    tag("Td", |v, w| {
        span(v, w, |t| {
            let tcp = t.times.connect.filter(|_| t.method.is_empty());
            between(t.times.response.or(tcp), t.times.end)
        });
    }),
    tag("Th", |v, w| w.int(handshake(v).as_millis() as i64)),
    http("Ti", |v, w| {
        let handshake = handshake(v);
        span(v, w, |t| t.times.first_byte.map(|f| f.saturating_sub(handshake)).or(Some(Duration::ZERO)));
    }),
    tag("Tl", |v, w| date(w, &local(v.session.accepted_at), Style::Zoned)),
    http("TR", |v, w| span(v, w, |t| between(t.times.first_byte, t.times.request))),
    http("Tq", |v, w| span(v, w, |t| t.times.request)),
    http("Tr", |v, w| span(v, w, |t| between(t.times.connect, t.times.response))),
    tag("Ts", |v, w| w.hex_int(epoch(v.session.accepted_at), 4)),
    tag("Tt", |v, w| {
        open_ended(v, w);
        span(v, w, |t| t.times.end);
    }),
    tag("Tu", |v, w| {
        let idle = txn(v).and_then(|t| t.times.first_byte).unwrap_or_default();
        let idle = idle.saturating_sub(handshake(v));
        open_ended(v, w);
        span(v, w, |t| t.times.end.map(|e| e.saturating_sub(idle)));
    }),
    tag("Tw", |v, w| span(v, w, |t| between(t.times.request.or(Some(Duration::ZERO)), t.times.queue))),
    tag("U", |v, w| w.int(txn(v).map_or(0, |t| t.bytes_in as i64))),
    tag("ac", |v, w| count(v, w, 0)),
    tag("b", |v, w| {
        let name = txn(v).and_then(|t| t.backend).and_then(|b| v.generation.config.proxies.get(b.0));
        w.text(name.or_else(|| frontend(v)).map_or("", |p| p.name.as_str()).as_bytes());
    }),
    tag("bc", |v, w| count(v, w, 2)),
    tag("bi", |v, w| ip(w, txn(v).map(|t| &t.server_ends().0))),
    tag("bp", |v, w| port(w, txn(v).map(|t| &t.server_ends().0))),
    tag("bq", |v, w| w.int(txn(v).map_or(0, |t| i64::from(t.backend_queue)))),
    tag("ci", |v, w| ip(w, Some(crate::fetch::conn::source(v)))),
    tag("cp", |v, w| match crate::fetch::conn::source(v) {
        Peer::Unix => {
            w.int(v.generation.config.proxies.get(v.session.frontend.0).map_or(0, |p| i64::from(p.uuid)));
        }
        peer => port(w, Some(peer)),
    }),
    tag("f", |v, w| w.text(frontend(v).map_or("", |p| p.name.as_str()).as_bytes())),
    tag("fc", |v, w| count(v, w, 1)),
    tag("fi", |v, w| ip(w, Some(crate::fetch::conn::destination(v)))),
    tag("fp", |v, w| port(w, Some(crate::fetch::conn::destination(v)))),
    tag("ft", |v, w| {
        let mut name = frontend(v).map_or("", |p| p.name.as_str()).as_bytes().to_vec();
        if v.session.tls.is_some() {
            name.push(b'~');
        }
        w.text(&name);
    }),
    tag("hr", |v, w| captured(v, w, true, false)),
    tag("hrl", |v, w| captured(v, w, true, true)),
    tag("hs", |v, w| captured(v, w, false, false)),
    tag("hsl", |v, w| captured(v, w, false, true)),
    tag("lc", |v, w| {
        let state = v.generation.proxies.get(v.session.frontend.0);
        w.int(state.map_or(0, |s| s.log_lines.load(Relaxed) as i64));
    }),
    tag("mode", |v, w| {
        w.text(if frontend(v).is_some_and(|p| p.mode == crate::config::model::Mode::Http) {
            b"HTTP"
        } else {
            b"TCP"
        });
    }),
    tag("ms", |v, w| {
        let at = v.session.accepted_at.duration_since(UNIX_EPOCH).unwrap_or_default().subsec_millis();
        w.raw(format!("{at:03}").as_bytes());
    }),
    tag("pid", |_, w| w.hex_int(i64::from(std::process::id()), 4)),
    http("r", |v, w| match txn(v) {
        Some(t) if !t.request_line.is_empty() => {
            w.encoded(&t.request_line[..t.request_line.len().min(line_max(v))], URL_ODD);
        }
        _ => bad(w),
    }),
    tag("rc", |v, w| {
        if let Some(t) = txn(v) {
            if t.redispatched {
                w.raw(b"+");
            }
            w.int(i64::from(t.retries));
        } else {
            w.raw(b"0");
        }
    }),
    tag("rt", |v, w| w.hex_int(txn(v).map_or(0, |t| t.number as i64), 4)),
    tag("s", |v, w| {
        let note = txn(v).and_then(|t| t.server_note);
        let name = txn(v).and_then(|t| Some((t.backend?, t.server?)));
        let name = name
            .and_then(|(b, s)| Some(v.generation.config.proxies.get(b.0)?.servers.get(s.0)?.name.as_str()));
        w.text(note.or(name).unwrap_or("<NOSRV>").as_bytes());
    }),
    tag("sc", |v, w| count(v, w, 3)),
    tag("si", |v, w| ip(w, txn(v).map(|t| &t.server_ends().1))),
    tag("sp", |v, w| port(w, txn(v).map(|t| &t.server_ends().1))),
    tag("sq", |v, w| w.int(txn(v).map_or(0, |t| i64::from(t.server_queue)))),
    tag("sslc", |v, w| w.text(v.session.tls.as_deref().map_or(&b""[..], |t| t.cipher.as_bytes()))),
    tag("sslv", |v, w| w.text(v.session.tls.as_deref().map_or(&b""[..], |t| t.version.as_bytes()))),
    tag("t", |v, w| date(w, &local(v.session.accepted_at), Style::Millis(millis(v.session.accepted_at)))),
    http("tr", |v, w| date(w, &local(request_at(v)), Style::Millis(millis(request_at(v))))),
    http("trg", |v, w| date(w, &civil(epoch(request_at(v))), Style::Zoned)),
    http("trl", |v, w| date(w, &local(request_at(v)), Style::Zoned)),
    tag("ts", |v, w| ending_code(v, w, 2)),
    tag("tsc", |v, w| ending_code(v, w, 4)),
];

/// The tag of a name.
pub fn find(name: &str) -> Option<&'static Tag> {
    LOG_TAGS.iter().find(|t| t.name == name)
}

fn txn<'v>(view: &'v View<'_>) -> Option<&'v Txn> {
    view.txn.as_deref()
}

fn frontend<'v>(view: &'v View<'_>) -> Option<&'v crate::config::model::Proxy> {
    view.generation.config.proxies.get(view.session.frontend.0)
}

fn bad(w: &mut Writer<'_>) {
    w.text(b"<BADREQ>");
}

fn known(view: &View<'_>, w: &mut Writer<'_>, part: fn(&Txn) -> &Vec<u8>) {
    match txn(view).map(part) {
        Some(text) if !text.is_empty() => w.encoded(text, URL_ODD),
        _ => bad(w),
    }
}

/// Bytes of a request line that logs show: `tune.http.logurilen`, less the zero at its end.
fn line_max(view: &View<'_>) -> usize {
    view.generation.config.global.tune.logurilen.saturating_sub(1)
}

/// What of the request's target a shown request line has room for.
fn uri<'v>(view: &'v View<'_>) -> &'v [u8] {
    let Some(t) = txn(view) else { return b"" };
    let room = line_max(view).saturating_sub(t.method.len() + 1);
    &t.uri[..t.uri.len().min(room)]
}

/// `%HP` keeps scheme and authority of a target in absolute form, `%HPO` does not.
fn path(view: &View<'_>, w: &mut Writer<'_>, only: bool) {
    let uri = uri(view);
    if uri.is_empty() {
        return bad(w);
    }
    let path = if only { crate::fetch::line::path_and_query(uri).unwrap_or(uri) } else { uri };
    w.encoded(&path[..memchr::memchr(b'?', path).unwrap_or(path.len())], URL_ODD);
}

fn version(v: (u8, u8)) -> Cow<'static, str> {
    match v {
        (1, 0) => Cow::Borrowed("HTTP/1.0"),
        (1, 1) => Cow::Borrowed("HTTP/1.1"),
        (2, 0) => Cow::Borrowed("HTTP/2.0"),
        (major, minor) => Cow::Owned(format!("HTTP/{major}.{minor}")),
    }
}

fn epoch(at: SystemTime) -> i64 {
    at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() as i64
}

fn millis(at: SystemTime) -> u32 {
    at.duration_since(UNIX_EPOCH).unwrap_or_default().subsec_millis()
}

fn local(at: SystemTime) -> Civil {
    crate::conv::time::zoned(epoch(at), 0)
}

/// When the request's first byte came; before that, when waiting for it began.
fn request_at(view: &View<'_>) -> SystemTime {
    match txn(view) {
        Some(t) => t.start_at + t.times.first_byte.unwrap_or_default(),
        None => view.session.accepted_at,
    }
}

fn handshake(view: &View<'_>) -> Duration {
    if view.session.requests == 0 { view.session.handshake } else { Duration::ZERO }
}

enum Style {
    /// `.mmm` behind the seconds.
    Millis(u32),
    /// ` +hhmm` behind the seconds.
    Zoned,
}

fn date(w: &mut Writer<'_>, t: &Civil, style: Style) {
    let month = &MONTHS[t.month as usize - 1][..3];
    let text = format!("{:02}/{month}/{:04}:{:02}:{:02}:{:02}", t.day, t.year, t.hour, t.minute, t.second);
    w.raw(text.as_bytes());
    match style {
        Style::Millis(ms) => w.raw(format!(".{ms:03}").as_bytes()),
        Style::Zoned => w.raw(format!(" {}", zone(t.offset_s)).as_bytes()),
    }
}

/// Later minus earlier, `None` when either was not reached.
fn between(from: Option<Duration>, to: Option<Duration>) -> Option<Duration> {
    Some(to?.saturating_sub(from?))
}

/// With `option logasap` the end may still be open: totals are marked.
fn open_ended(view: &View<'_>, w: &mut Writer<'_>) {
    if frontend(view).is_some_and(|p| p.options.logasap) {
        w.raw(b"+");
    }
}

fn span(view: &View<'_>, w: &mut Writer<'_>, of: impl Fn(&Txn) -> Option<Duration>) {
    w.int(txn(view).and_then(of).map_or(-1, |d| d.as_millis() as i64));
}

fn count(view: &View<'_>, w: &mut Writer<'_>, which: usize) {
    w.int(txn(view).map_or(0, |t| t.counts[which] as i64));
}

fn ip(w: &mut Writer<'_>, peer: Option<&Peer>) {
    match peer {
        Some(Peer::Inet(a)) => match a.ip() {
            IpAddr::V4(v4) if w.flags.hex => w.raw(format!("{:08X}", u32::from(v4)).as_bytes()),
            IpAddr::V6(v6) if w.flags.hex => w.raw(format!("{:032X}", u128::from(v6)).as_bytes()),
            ip => w.text(ip.to_string().as_bytes()),
        },
        Some(Peer::Unix) => w.text(b"unix"),
        _ => w.text(b""),
    }
}

fn port(w: &mut Writer<'_>, peer: Option<&Peer>) {
    match peer {
        Some(Peer::Inet(a)) if w.flags.hex => w.raw(format!("{:04X}", a.port()).as_bytes()),
        Some(Peer::Inet(a)) => w.int(i64::from(a.port())),
        _ => w.text(b""),
    }
}

/// Captured headers: `{a|b}`, or one by one for `%hrl` and `%hsl`.
fn captured(view: &View<'_>, w: &mut Writer<'_>, request: bool, list: bool) {
    let Some(front) = frontend(view) else { return };
    let slots = if request { front.capture_request.len() } else { front.capture_response.len() };
    let captures = txn(view).map(|t| if request { t.captures_req.borrow() } else { t.captures_res.borrow() });
    let value = |i: usize| captures.as_ref().and_then(|c| c.get(i)?.clone()).unwrap_or_default();
    // A request that was no HTTP had nothing to capture from.
    let parsed = txn(view).is_some_and(|t| !t.method.is_empty());
    if slots == 0 || !parsed {
        return;
    }
    if list {
        for i in 0..slots {
            if i > 0 {
                w.raw(b" ");
            }
            w.encoded(&value(i), HEADER_ODD);
        }
        return;
    }
    w.raw(if w.flags.quote { b"\"{" } else { b"{" });
    for i in 0..slots {
        if i > 0 {
            w.raw(b"|");
        }
        w.hashed(&value(i), HEADER_ODD);
    }
    w.raw(if w.flags.quote { b"}\"" } else { b"}" });
}

/// The four letters of the termination state.
pub fn letters_of(t: &Txn) -> [u8; 4] {
    let by = match t.ended_by {
        EndedBy::Nobody => b'-',
        EndedBy::Client => b'C',
        EndedBy::Server => b'S',
        EndedBy::Proxy => b'P',
        EndedBy::Local => b'L',
        EndedBy::Resource => b'R',
        EndedBy::Internal => b'I',
        EndedBy::Down => b'D',
        EndedBy::Up => b'U',
        EndedBy::Killed => b'K',
        EndedBy::ClientTimeout => b'c',
        EndedBy::ServerTimeout => b's',
    };
    let phase = match t.ended_in {
        EndedIn::None => b'-',
        EndedIn::Request => b'R',
        EndedIn::Queue => b'Q',
        EndedIn::Connect => b'C',
        EndedIn::Headers => b'H',
        EndedIn::Data => b'D',
        EndedIn::Last => b'L',
        EndedIn::Tarpit => b'T',
    };
    let request = match t.cookie_state {
        RequestCookie::None => b'N',
        RequestCookie::Invalid => b'I',
        RequestCookie::Down => b'D',
        RequestCookie::Valid => b'V',
        RequestCookie::Expired => b'E',
        RequestCookie::Old => b'O',
        RequestCookie::Unused => b'U',
    };
    let response = match t.cookie_action {
        ResponseCookie::None => b'N',
        ResponseCookie::Provided => b'P',
        ResponseCookie::Inserted => b'I',
        ResponseCookie::Updated => b'U',
        ResponseCookie::Rewritten => b'R',
        ResponseCookie::Deleted => b'D',
    };
    [by, phase, request, response]
}

fn ending_code(view: &View<'_>, w: &mut Writer<'_>, letters: usize) {
    let mut code = txn(view).map_or(*b"----", letters_of);
    let proxies = &view.generation.config.proxies;
    let back = txn(view).and_then(|t| t.backend).and_then(|b| proxies.get(b.0)).or_else(|| frontend(view));
    // Where cookies are only read there is nothing to say about them.
    let changes = |c: &Cookie| c.rewrite || c.insert || c.prefix || c.indirect;
    if !back.is_some_and(|b| b.cookie.as_ref().is_some_and(changes)) {
        code[2..].copy_from_slice(b"--");
    }
    w.raw(&code[..letters]);
}

/// `ADDRESS:PORT [DATE] `, which opens the line of a connection without a stream.
pub fn session_head(view: &View<'_>, out: &mut Vec<u8>) {
    head_of(&view.session.src, view.session.accepted_at, out);
}

/// The same for a connection that never becomes a session.
pub fn head_of(src: &Peer, at: SystemTime, out: &mut Vec<u8>) {
    let mut w = Writer { out, flags: Flags::default(), usage: Use::Log, empty: false };
    ip(&mut w, Some(src));
    w.raw(b":");
    port(&mut w, Some(src));
    w.raw(b" [");
    date(&mut w, &local(at), Style::Millis(millis(at)));
    w.raw(b"] ");
}
