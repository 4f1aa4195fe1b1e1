//! Sending access lines: to which targets, at which level, behind which head.
//!
//! Invariant: a slow or missing receiver never holds a stream up; what it did not take is counted.
//!
//! Absent on purpose: `ring` buffers, and lines about servers and the process (the contract channel's).

use super::Target;
use crate::config::model::{Config, Mode, Proxy, ProxyId};
use crate::runtime::Generation;
use crate::runtime::transitions::{Level, Notice};
use crate::stream::txn::{EndedBy, Peer};
use crate::stream::view::View;
use logging::syslog::{Facility, Format as Head, Header, Severity};
use logging::{Sink, Target as To};
use std::cell::RefCell;
use std::collections::HashMap;
use std::net::ToSocketAddrs;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::SystemTime;

/// The open targets of a generation, by proxy and log line.
#[derive(Debug, Default)]
pub struct Outlets {
    by_proxy: Vec<Vec<Option<Arc<Sink>>>>,
}

/// Generation and the heads of its targets, by log line and target.
type Heads = (u64, HashMap<(usize, usize), Header>);

thread_local! {
    /// Heads cache the text of the second; one for each target of the generation in force.
    static HEADS: RefCell<Heads> = RefCell::new((0, HashMap::new()));
    static LINE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Longest line where the target does not say (`len`).
const LINE_MAX_DEFAULT: usize = 1024;

impl Outlets {
    /// Opens the targets of all proxies; one socket for each address. A target that can't be opened is left out.
    pub fn open(config: &Config) -> Self {
        let mut known: HashMap<String, Option<Arc<Sink>>> = HashMap::new();
        let mut sink = |target: &Target| {
            let opened = || address(&target.address).and_then(|to| Sink::open(&to).ok()).map(Arc::new);
            known.entry(target.address.clone()).or_insert_with(opened).clone()
        };
        Self { by_proxy: config.proxies.iter().map(|p| p.logs.iter().map(&mut sink).collect()).collect() }
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

/// Sends the line of a finished stream to all targets of its frontend.
pub fn emit(view: &View<'_>) {
    let Some(txn) = view.txn.as_deref() else { return };
    let proxy = view.proxy;
    let failed = txn.ended_by != EndedBy::Nobody && txn.ended_by != EndedBy::Local || txn.retries > 0;
    if proxy.options.dontlog_normal && !failed && txn.status < 400 {
        return;
    }
    let severity = match txn.log_level.or(view.session.log_level) {
        Some(0) => return, // `silent`
        Some(level) => severity(level - 1),
        None if proxy.options.log_separate_errors && failed => Severity::Err,
        None => Severity::Info,
    };
    LINE.with_borrow_mut(|line| {
        line.clear();
        match &proxy.log_format {
            Some(format) => format.render(view, line),
            None => connect_line(view, proxy, line),
        }
        self::line(view.generation, view.session.frontend, severity, view.wall, line);
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
    let (src, dst) = (text(&view.session.src), text(&view.session.dst));
    out.extend_from_slice(format!("Connect from {src} to {dst} ({}/{mode})", proxy.name).as_bytes());
}

/// Sends one line to all targets of a proxy that want its level.
pub fn line(generation: &Generation, proxy: ProxyId, severity: Severity, at: SystemTime, line: &[u8]) {
    let index = proxy.0;
    let proxy = generation.proxy(proxy);
    let sinks = &generation.outlets.by_proxy[index];
    HEADS.with_borrow_mut(|(number, heads)| {
        if *number != generation.number {
            heads.clear();
            *number = generation.number;
        }
        for (n, target) in proxy.logs.iter().enumerate() {
            let Some(sink) = sinks.get(n).and_then(Option::as_ref) else { continue };
            if severity as u8 > target.level {
                continue;
            }
            let severity =
                if (severity as u8) < target.minlevel { self::severity(target.minlevel) } else { severity };
            let head = heads.entry((index, n)).or_insert_with(|| header(generation, proxy, target));
            let mut whole = Vec::with_capacity(line.len() + 64);
            head.render(at, severity, &mut whole);
            whole.extend_from_slice(line);
            let most = if target.len > 0 { target.len } else { LINE_MAX_DEFAULT };
            whole.truncate(most.saturating_sub(1));
            if sink.is_stream() {
                whole.push(b'\n');
            }
            if !sink.send(&whole) {
                generation.board.process.dropped_logs.fetch_add(1, Relaxed);
            }
        }
    });
}

fn header(generation: &Generation, proxy: &Proxy, target: &Target) -> Header {
    let global = &generation.config.global;
    let tag = proxy.log_tag.as_ref().or(global.log_tag.as_ref());
    let tag = tag.cloned().unwrap_or_else(|| {
        let name = std::env::args().next().unwrap_or_default();
        name.rsplit('/').next().unwrap_or("haproxy").to_owned()
    });
    let format = Head::named(&target.format).unwrap_or_default();
    let header = Header::new(format, Facility(target.facility), tag, std::process::id());
    match &global.log_send_hostname {
        Some(Some(host)) => header.host(host.as_bytes()),
        _ => header.host(crate::log::host_name()),
    }
}

/// Sends what is told of servers and backends to the log targets of their proxies.
pub fn notices(generation: &Generation, notices: &[Notice]) {
    for notice in notices {
        let severity = match notice.level {
            Level::Emergency => Severity::Emerg,
            Level::Alert => Severity::Alert,
            Level::Notice => Severity::Notice,
        };
        line(generation, notice.proxy, severity, SystemTime::now(), notice.log.as_bytes());
    }
}

/// Tells them on stderr as haproxy does: warnings, and an alert when the last server is gone.
pub fn on_stderr(notices: &[Notice]) {
    use std::io::Write;
    let pid = std::process::id();
    for notice in notices {
        let label = if notice.level == Level::Emergency { "[ALERT]  " } else { "[WARNING]" };
        // Nobody may be reading any more; the logs have it too.
        let _ = writeln!(std::io::stderr(), "{label}  ({pid}) : {}", notice.stderr);
    }
}
