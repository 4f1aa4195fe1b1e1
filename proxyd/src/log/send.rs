//! Sending access lines: to which targets, at which level, behind which head.
//!
//! Invariant: a slow or missing receiver never holds a stream up; what it did not take is counted.
//!
//! Absent on purpose: what a ring does with a line (`ring.rs`).

use super::ring::Receiver;
use super::{Ring, Target};
use crate::config::model::{Config, Mode, Proxy, ProxyId, Ring as Settings};
use crate::runtime::Generation;
use crate::runtime::board::Board;
use crate::runtime::transitions::{Level, Notice};
use crate::stream::txn::{EndedBy, Peer};
use crate::stream::view::View;
use logging::syslog::{Facility, Format as Head, Header, Severity};
use logging::{Sink, Target as To};
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::net::ToSocketAddrs;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use std::time::SystemTime;

/// The open targets of a generation, by proxy and log line.
#[derive(Debug, Default)]
pub struct Outlets {
    by_proxy: Vec<Vec<Option<Outlet>>>,
    by_forward: Vec<Vec<Option<Outlet>>>,
    /// Rings by name.
    pub rings: BTreeMap<String, Arc<Ring>>,
}

/// Where the lines of one target go.
#[derive(Debug)]
struct Outlet {
    way: Way,
    /// Lines so far, for `sample`.
    seen: AtomicU32,
}

#[derive(Debug, Clone)]
enum Way {
    Sink(Arc<Sink>),
    Ring(Arc<Ring>),
}

/// Generation and the heads of its targets, by log line and target.
type Heads = (u64, HashMap<(usize, usize), Header>);

thread_local! {
    /// Heads cache the text of the second; one for each target of the generation in force.
    static HEADS: RefCell<Heads> = RefCell::new((0, HashMap::new()));
    /// A line and its structured data while they are made.
    static LINE: RefCell<(Vec<u8>, Vec<u8>)> = const { RefCell::new((Vec::new(), Vec::new())) };
}

/// Longest line, without its end, where the target does not say (`len`).
const LINE_MAX_DEFAULT: usize = 1024;

/// The ring that is always there.
const BUILT_IN: &str = "buf0";
/// Size of a ring that no section describes, bytes.
const RING_SIZE: usize = 1 << 20;

impl Outlets {
    /// Opens the targets of all proxies; one socket for each address. A target that can't be opened is left out.
    pub fn open(config: &Config, library: &tls::store::Library, board: &Arc<Board>) -> Self {
        let description = Some("in-memory ring buffer".to_owned());
        let plain = Settings {
            description,
            format: "raw".into(),
            size: RING_SIZE,
            maxlen: 65_535,
            ..Settings::default()
        };
        let mut rings = BTreeMap::from([(BUILT_IN.to_owned(), Ring::new(BUILT_IN, &plain))]);
        for (name, settings) in &config.rings {
            let ring = Ring::new(name, settings);
            for (server, octets) in &settings.servers {
                let secure = server.tls.clone().map(|options| tls::client::Slot::new(options, library));
                // Nothing is sent in clear where TLS was asked for.
                let Ok(secure) = secure.transpose() else { continue };
                let to = Receiver::new(server.address.clone(), secure, *octets, board);
                ring.forward(to, settings);
            }
            rings.insert(name.clone(), ring);
        }
        let mut known: HashMap<String, Option<Way>> = HashMap::new();
        let mut way = |target: &Target| {
            let opened = || match target.address.split_once('@') {
                Some(("ring", name)) => rings.get(name).cloned().map(Way::Ring),
                Some(("tcp" | "tcp4" | "tcp6", to)) => {
                    let to = to.to_socket_addrs().ok()?.next()?;
                    let settings = Settings { format: target.format.clone(), ..plain.clone() };
                    let ring = Ring::new(&target.address, &settings);
                    let to = crate::config::model::ServerAddress::Inet(to);
                    ring.forward(Receiver::new(to, None, false, board), &settings);
                    Some(Way::Ring(ring))
                }
                _ => {
                    address(&target.address).and_then(|to| Sink::open(&to).ok()).map(Arc::new).map(Way::Sink)
                }
            };
            let way = known.entry(target.address.clone()).or_insert_with(opened).clone();
            way.map(|way| Outlet { way, seen: AtomicU32::new(0) })
        };
        let by_proxy = config.proxies.iter().map(|p| p.logs.iter().map(&mut way).collect()).collect();
        let by_forward = config.log_forwards.iter().map(|f| f.logs.iter().map(&mut way).collect()).collect();
        Self { by_proxy, by_forward, rings }
    }
}

/// Where the address of a `log` line leads; `None` for rings and what does not resolve.
pub fn address(text: &str) -> Option<To> {
    let socket = |text: &str| {
        let full = match text.rsplit_once(':') {
            Some((_, port)) if port.parse::<u16>().is_ok() => text.to_owned(),
            _ => format!("{text}:514"),
        };
        full.to_socket_addrs().ok()?.next().map(To::Udp)
    };
    match text {
        "stdout" => Some(To::Stdout),
        "stderr" => Some(To::Stderr),
        _ if text.starts_with('/') => Some(To::Unix(text.into())),
        _ => match text.split_once('@') {
            Some(("fd", n)) => n.parse().ok().map(To::Fd),
            Some(("unix", path)) => Some(To::Unix(path.into())),
            Some(("udp" | "udp4" | "udp6" | "ipv4" | "ipv6", rest)) => socket(rest),
            Some(_) => None,
            None => socket(text),
        },
    }
}

/// Sends the line of a stream to all targets of its frontend.
pub fn emit(view: &View<'_>) {
    let Some(txn) = view.txn.as_deref() else { return };
    let proxy = view.proxy;
    let failed = txn.redispatched
        || !matches!(txn.ended_by, EndedBy::Nobody | EndedBy::Local)
        || (txn.ended_by == EndedBy::Nobody && txn.retries > 0)
        || (proxy.mode == Mode::Http && txn.status >= 500);
    if proxy.options.dontlog_normal && !failed {
        return;
    }
    let severity = match txn.log_level.or(view.session.log_level) {
        Some(0) => return, // `silent`
        Some(level) => severity(level - 1),
        None if proxy.options.log_separate_errors && failed => Severity::Err,
        None => Severity::Info,
    };
    view.generation.proxies[view.session.frontend.0].log_lines.fetch_add(1, Relaxed);
    LINE.with_borrow_mut(|(line, structured)| {
        line.clear();
        structured.clear();
        // What was no request is an error of the session.
        let unread = proxy.mode == Mode::Http && txn.method.is_empty();
        match proxy.error_log_format.as_ref().filter(|_| unread).or(proxy.log_format.as_ref()) {
            Some(format) => format.render(view, line),
            None => connect_line(view, proxy, line),
        }
        if let Some(format) = &proxy.log_format_sd {
            format.render(view, structured);
        }
        let frontend = view.session.frontend;
        send(view.generation, frontend, severity, view.wall, line, structured);
    });
}

/// Tells of a connection that ended before there was a stream: in the frontend's `error-log-format`, or with `what`
/// was wrong.
pub fn session_error(view: &View<'_>, what: &str) {
    let proxy = view.proxy;
    view.generation.proxies[view.session.frontend.0].log_lines.fetch_add(1, Relaxed);
    LINE.with_borrow_mut(|(line, structured)| {
        line.clear();
        structured.clear();
        match &proxy.error_log_format {
            Some(format) => format.render(view, line),
            None => {
                let bind = proxy.binds.get(view.session.bind);
                let name = bind.and_then(|b| b.name.clone()).unwrap_or_else(|| {
                    let id = bind.and_then(|b| b.id).map_or(view.session.bind as u64 + 1, u64::from);
                    id.to_string()
                });
                super::tag::session_head(view, line);
                line.extend_from_slice(format!("{}/{name}: {what}", proxy.name).as_bytes());
            }
        }
        let severity = if proxy.options.log_separate_errors { Severity::Err } else { Severity::Info };
        send(view.generation, view.session.frontend, severity, view.wall, line, structured);
    });
}

fn severity(level: u8) -> Severity {
    logging::syslog::SEVERITIES.get(usize::from(level)).map_or(Severity::Info, |(_, s)| *s)
}

/// The line of a proxy without a format.
fn connect_line(view: &View<'_>, proxy: &Proxy, out: &mut Vec<u8>) {
    let text = |peer: &Peer| match peer {
        Peer::Inet(a) => format!("{}:{}", a.ip(), a.port()),
        _ => "unix:0".to_owned(),
    };
    let mode = if proxy.mode == Mode::Http { "HTTP" } else { "TCP" };
    let (src, dst) = (text(crate::fetch::conn::source(view)), text(crate::fetch::conn::destination(view)));
    out.extend_from_slice(format!("Connect from {src} to {dst} ({}/{mode})", proxy.name).as_bytes());
}

/// Sends one line to all targets of a proxy that want its level.
pub fn line(generation: &Generation, proxy: ProxyId, severity: Severity, at: SystemTime, line: &[u8]) {
    send(generation, proxy, severity, at, line, &[]);
}

/// The same, with structured data for targets whose format has a place for it.
fn send(
    generation: &Generation,
    proxy: ProxyId,
    severity: Severity,
    at: SystemTime,
    line: &[u8],
    structured: &[u8],
) {
    let index = proxy.0;
    let proxy = generation.proxy(proxy);
    let outlets = &generation.outlets.by_proxy[index];
    HEADS.with_borrow_mut(|(number, heads)| {
        if *number != generation.number {
            heads.clear();
            *number = generation.number;
        }
        for (n, target) in proxy.logs.iter().enumerate() {
            let Some(outlet) = outlets.get(n).and_then(Option::as_ref) else { continue };
            if severity as u8 > target.level {
                continue;
            }
            if let Some(sample) = &target.sample
                && !sample.takes(outlet.seen.fetch_add(1, Relaxed))
            {
                continue;
            }
            let severity =
                if (severity as u8) < target.minlevel { self::severity(target.minlevel) } else { severity };
            let head = heads
                .entry((index, n))
                .or_insert_with(|| header(generation, proxy.log_tag.as_ref(), target, &outlet.way));
            head.structured.clear();
            head.structured.extend_from_slice(structured);
            let mut whole = Vec::with_capacity(line.len() + 64);
            head.render(at, severity, &mut whole);
            whole.extend_from_slice(line);
            deliver(generation, target, outlet, whole);
        }
    });
}

/// Hands a line to its target, cut to the target's length; what it can't take is counted.
fn deliver(generation: &Generation, target: &Target, outlet: &Outlet, mut whole: Vec<u8>) {
    let most = if target.len > 0 { target.len } else { LINE_MAX_DEFAULT };
    whole.truncate(most);
    match &outlet.way {
        Way::Ring(ring) => ring.push(&whole),
        Way::Sink(sink) => {
            whole.push(b'\n');
            if !sink.send(&whole) {
                generation.board.process.dropped_logs.fetch_add(1, Relaxed);
            }
        }
    }
}

/// Passes a message on that a `log-forward` section took.
pub fn relay(generation: &Generation, section: usize, bytes: &[u8]) {
    let message = super::forward::Message::read(bytes);
    let at = SystemTime::now();
    let targets = &generation.config.log_forwards[section].logs;
    for (target, outlet) in targets.iter().zip(&generation.outlets.by_forward[section]) {
        let Some(outlet) = outlet else { continue };
        if message.severity() > target.level {
            continue;
        }
        let takes = target.sample.as_ref().is_none_or(|s| s.takes(outlet.seen.fetch_add(1, Relaxed)));
        if !takes {
            continue;
        }
        let named = match &outlet.way {
            Way::Ring(ring) if target.format.is_empty() => &ring.format,
            _ => &target.format,
        };
        let form = Head::named(named).unwrap_or_else(|| message.form());
        let severity = severity(message.severity().max(target.minlevel));
        let mut whole = Vec::with_capacity(bytes.len() + 64);
        message.render(form, target.facility, severity, at, &mut whole);
        deliver(generation, target, outlet, whole);
    }
}

/// Tells the targets of a `log-forward` section what became of a connection to it.
pub fn told(generation: &Generation, section: usize, line: &[u8]) {
    let at = SystemTime::now();
    let targets = &generation.config.log_forwards[section].logs;
    for (target, outlet) in targets.iter().zip(&generation.outlets.by_forward[section]) {
        let Some(outlet) = outlet.as_ref().filter(|_| Severity::Info as u8 <= target.level) else { continue };
        if target.sample.as_ref().is_none_or(|s| s.takes(outlet.seen.fetch_add(1, Relaxed))) {
            let mut whole = Vec::with_capacity(line.len() + 64);
            let severity = severity((Severity::Info as u8).max(target.minlevel));
            header(generation, None, target, &outlet.way).render(at, severity, &mut whole);
            whole.extend_from_slice(line);
            deliver(generation, target, outlet, whole);
        }
    }
}

fn header(generation: &Generation, own_tag: Option<&String>, target: &Target, way: &Way) -> Header {
    let global = &generation.config.global;
    let tag = own_tag.or(global.log_tag.as_ref());
    let tag = tag.cloned().unwrap_or_else(|| {
        let name = std::env::args().next().unwrap_or_default();
        name.rsplit('/').next().unwrap_or("haproxy").to_owned()
    });
    // A ring says how its lines look, unless the target does.
    let format = match way {
        Way::Ring(ring) if target.format.is_empty() => &ring.format,
        _ => &target.format,
    };
    let usual = if global.log_send_hostname.is_some() { Head::Rfc3164 } else { Head::Local };
    let format = Head::named(format).unwrap_or(usual);
    let header = Header::new(format, Facility(target.facility), tag, std::process::id());
    match &global.log_send_hostname {
        Some(Some(host)) => header.host(host.as_bytes()),
        Some(None) => header.host(crate::log::host_name()),
        // Who does not want its name sent has none, where a format can do without.
        None if format == Head::Rfc3164 => header.host("localhost"),
        None => header,
    }
}

/// Sends what is told of servers and backends to the log targets of their proxies.
pub fn notices(generation: &Generation, notices: &[Notice]) {
    // What is for stderr alone has no text here.
    for notice in notices.iter().filter(|n| !n.log.is_empty()) {
        let severity = match notice.level {
            Level::Emergency => Severity::Emerg,
            Level::Alert => Severity::Alert,
            Level::Notice | Level::Told => Severity::Notice,
        };
        line(generation, notice.proxy, severity, SystemTime::now(), notice.log.as_bytes());
    }
}

/// Tells them on stderr as haproxy does: warnings, and an alert when the last server is gone.
pub fn on_stderr(notices: &[Notice]) {
    use std::io::Write;
    let pid = std::process::id();
    // What is for the logs alone has no text here.
    for notice in notices.iter().filter(|n| !n.stderr.is_empty()) {
        let label = if notice.level == Level::Emergency { "[ALERT]  " } else { "[WARNING]" };
        // Nobody may be reading any more; the logs have it too.
        let _ = writeln!(std::io::stderr(), "{label}  ({pid}) : {}", notice.stderr);
    }
}
