//! Every listening socket of a configuration, at once: inherited, taken over or bound anew.
//!
//! Invariant: all or none; every address that can't be bound is named, in haproxy's words.

use super::control::Rights;
use super::handoff::{self, Exposed};
use crate::config::model::{Bind, BindAddress, Config, ProxyId};
use crate::config::noun;
use crate::log::ears::{self, Ears};
use crate::net::{Buffers, listener};
use crate::runtime::engine::Listening;
use service::Signal;
use std::collections::HashSet;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

/// Connections that wait for a stats socket to take them, where `stats maxconn` says nothing.
const STATS_BACKLOG: u32 = 10;
/// Attempts while an old process that was asked to release its ports still has them, and the pause between.
const ATTEMPTS: u32 = 200;
const PAUSE: Duration = Duration::from_millis(10);

/// What was bound.
#[derive(Debug)]
pub struct Bound {
    /// Sockets of frontends.
    pub listening: Vec<Listening>,
    /// Stats sockets.
    pub stats: Vec<(OwnedFd, Rights)>,
    /// Copies of all of them, for the next process.
    pub exposed: Vec<Exposed>,
    /// Sockets of `peers` sections, by their index.
    pub peers: Vec<(usize, OwnedFd)>,
    /// Sockets of `log-forward` sections.
    pub ears: Ears,
    /// Those that were bound ahead of their address, as `FRONTEND/ADDRESS`.
    pub free: HashSet<String>,
}

/// What binding may draw on besides the configuration.
pub struct Sources<'a> {
    /// Sockets of an old process.
    pub taken: &'a mut Vec<Exposed>,
    /// Processes that are asked to pause (SIGTTOU) while their ports are in use, and to go on (SIGTTIN) when
    /// binding fails all the same.
    pub old: &'a [u32],
    /// Tells the addresses that vrrpd holds or will hold; asked at most once.
    pub virtual_addresses: &'a dyn Fn() -> HashSet<IpAddr>,
}

impl std::fmt::Debug for Sources<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sources")
            .field("taken", &self.taken.len())
            .field("old", &self.old)
            .finish_non_exhaustive()
    }
}

/// One run over all bind lines.
struct Binder<'a> {
    sources: Sources<'a>,
    asked_to_pause: bool,
    virtual_addresses: Option<HashSet<IpAddr>>,
}

/// Binds everything.
pub fn all(config: &Config, sources: Sources<'_>) -> Result<Bound, Vec<String>> {
    let mut binder = Binder { sources, asked_to_pause: false, virtual_addresses: None };
    let mut bound = Bound {
        listening: Vec::new(),
        stats: Vec::new(),
        exposed: Vec::new(),
        peers: Vec::new(),
        ears: Ears::default(),
        free: HashSet::new(),
    };
    let mut faults;
    (bound.ears, faults) = Ears::open(&config.log_forwards);
    let tune = &config.global.tune;
    let buffers = Buffers { receive: tune.rcvbuf_client, send: tune.sndbuf_client };
    for (index, proxy) in config.proxies.iter().enumerate().filter(|(_, p)| !p.disabled) {
        for (number, bind) in proxy.binds.iter().enumerate() {
            // As many wait as may come, where nothing is said.
            let most = [bind.maxconn, proxy.maxconn, config.global.maxconn];
            let most = || most.into_iter().flatten().find(|n| *n > 0).and_then(|n| u32::try_from(n).ok());
            match binder.one(bind, proxy.backlog.filter(|n| *n > 0).or_else(most)) {
                Ok((fd, free)) => {
                    if free {
                        bound.free.insert(format!("{}/{}", proxy.name, bind.text));
                    }
                    bound.exposed.extend(Exposed::of(fd.as_fd(), bind));
                    buffers.apply(&fd);
                    bound.listening.push(Listening { fd, frontend: ProxyId(index), bind: number });
                }
                Err(fault) => faults.push(text(bind, noun(proxy.kind), &proxy.name, &fault)),
            }
        }
    }
    // As many wait as may speak.
    let waiting = config.global.stats_maxconn.map_or(STATS_BACKLOG, |n| n as u32);
    for bind in &config.global.stats_sockets {
        match binder.one(bind, Some(waiting)) {
            Ok((fd, _)) => {
                bound.exposed.extend(Exposed::of(fd.as_fd(), bind));
                let rights = Rights {
                    level: bind.level,
                    severity: bind.severity_output,
                    expose: bind.expose_fd_listeners,
                    modes: (false, false),
                };
                bound.stats.push((fd, rights));
            }
            Err(fault) => faults.push(text(bind, "frontend", "GLOBAL", &fault)),
        }
    }
    binder.sections(config, &mut bound, &mut faults);
    if faults.is_empty() {
        let own = config.proxies.iter().filter(|p| !p.disabled).flat_map(|p| &p.binds);
        let of_peers = config.peers.iter().filter(|p| !p.disabled).filter_map(|p| p.local.as_ref());
        let of_logs = config.log_forwards.iter().flat_map(|f| &f.streams);
        close_inherited(own.chain(&config.global.stats_sockets).chain(of_peers).chain(of_logs));
        return Ok(bound);
    }
    if binder.asked_to_pause {
        for pid in binder.sources.old {
            service::signals::send(*pid, Signal::Ttin);
        }
    }
    Err(faults)
}

/// Closes the numbers of `fd@`, each once: several lines may name one, and each has a copy of its own by now. A
/// number left open would take connections that nobody serves when its lines are closed.
fn close_inherited<'b>(binds: impl Iterator<Item = &'b Bind>) {
    let numbers: HashSet<i32> = binds
        .filter_map(|b| match b.address {
            BindAddress::Fd(number) => Some(number),
            _ => None,
        })
        .collect();
    for number in numbers {
        drop(sys::inherit::adopt(number));
    }
}

type Fault = (&'static str, io::Error);

impl Binder<'_> {
    /// Sockets of sections that are no proxies.
    fn sections(&mut self, config: &Config, bound: &mut Bound, faults: &mut Vec<String>) {
        for (index, section) in config.log_forwards.iter().enumerate() {
            for (number, bind) in section.streams.iter().enumerate() {
                match self.one(bind, section.backlog.or(Some(ears::BACKLOG))) {
                    Ok((fd, _)) => {
                        bound.exposed.extend(Exposed::of(fd.as_fd(), bind));
                        bound.ears.add(index, number, fd);
                    }
                    Err(fault) => faults.push(text(bind, "proxy", &section.name, &fault)),
                }
            }
        }
        for (index, section) in config.peers.iter().enumerate().filter(|(_, s)| !s.disabled) {
            let Some(bind) = &section.local else { continue };
            match self.one(bind, None) {
                Ok((fd, _)) => {
                    bound.exposed.extend(Exposed::of(fd.as_fd(), bind));
                    bound.peers.push((index, fd));
                }
                Err(fault) => faults.push(text(bind, "peers", &section.name, &fault)),
            }
        }
    }

    /// The socket of one bind line, and whether it was bound ahead of its address.
    fn one(&mut self, bind: &Bind, backlog: Option<u32>) -> Result<(OwnedFd, bool), Fault> {
        if let Some(fd) = handoff::claim(self.sources.taken, bind) {
            return Ok((fd, false));
        }
        let mut attempt = 0;
        loop {
            let fault = match listener::open(bind, backlog) {
                Ok(fd) => return Ok((fd, false)),
                Err(fault) => fault,
            };
            match fault.1.kind() {
                io::ErrorKind::AddrInUse if !self.sources.old.is_empty() && attempt < ATTEMPTS => {
                    attempt += 1;
                    self.pause_old();
                    std::thread::sleep(PAUSE);
                }
                io::ErrorKind::AddrNotAvailable if self.is_virtual(bind) => {
                    return listener::open_free(bind, backlog).map(|fd| (fd, true));
                }
                _ => return Err(fault),
            }
        }
    }

    fn pause_old(&mut self) {
        if !self.asked_to_pause {
            self.asked_to_pause = true;
            for pid in self.sources.old {
                service::signals::send(*pid, Signal::Ttou);
            }
        }
    }

    fn is_virtual(&mut self, bind: &Bind) -> bool {
        let BindAddress::Inet(address) = &bind.address else { return false };
        let ask = self.sources.virtual_addresses;
        self.virtual_addresses.get_or_insert_with(ask).contains(&address.ip())
    }
}

/// `Binding [FILE:LINE] for frontend NAME: cannot bind socket (Address already in use) for [127.0.0.1:80]`.
pub(super) fn text(bind: &Bind, kind: &str, name: &str, (what, error): &Fault) -> String {
    let address = match &bind.address {
        BindAddress::Inet(address) => address.to_string(),
        BindAddress::Unix(path) => path.display().to_string(),
        BindAddress::Abstract(name) => format!("abns@{}", String::from_utf8_lossy(name)),
        BindAddress::Fd(fd) | BindAddress::Sockpair(fd) => format!("fd@{fd}"),
    };
    let reason = match error.raw_os_error() {
        Some(code) => nix::errno::Errno::from_raw(code).desc().to_owned(),
        None => error.to_string(),
    };
    // Paths stand there without a word before them.
    let to = if matches!(bind.address, BindAddress::Unix(_)) { "" } else { "for " };
    format!("Binding [{}] for {kind} {name}: {what} ({reason}) {to}[{address}]", bind.origin)
}
