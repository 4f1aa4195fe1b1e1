//! Every listening socket of a configuration, at once: inherited, taken over or bound anew.
//!
//! Invariant: all or none; every address that can't be bound is named, in haproxy's words.

use super::control::Rights;
use super::handoff::{self, Exposed};
use crate::config::model::{Bind, BindAddress, Config, ProxyId};
use crate::net::listener;
use crate::runtime::engine::Listening;
use service::Signal;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

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
}

/// Binds everything. `taken` are the sockets of an old process; `old` are processes that are asked to pause
/// (SIGTTOU) when their ports are still in use, and to go on (SIGTTIN) when binding fails all the same.
pub fn all(config: &Config, taken: &mut Vec<Exposed>, old: &[u32]) -> Result<Bound, Vec<String>> {
    let mut bound = Bound { listening: Vec::new(), stats: Vec::new(), exposed: Vec::new() };
    let mut faults = Vec::new();
    let mut asked = false;
    for (index, proxy) in config.proxies.iter().enumerate().filter(|(_, p)| !p.disabled) {
        for (number, bind) in proxy.binds.iter().enumerate() {
            match one(bind, proxy.backlog, taken, old, &mut asked) {
                Ok(fd) => {
                    bound.exposed.extend(Exposed::of(fd.as_fd(), bind));
                    bound.listening.push(Listening { fd, frontend: ProxyId(index), bind: number });
                }
                Err(fault) => faults.push(text(bind, "frontend", &proxy.name, &fault)),
            }
        }
    }
    for bind in &config.global.stats_sockets {
        match one(bind, None, taken, old, &mut asked) {
            Ok(fd) => {
                bound.exposed.extend(Exposed::of(fd.as_fd(), bind));
                let rights = Rights {
                    level: bind.level,
                    severity: bind.severity_output,
                    expose: bind.expose_fd_listeners,
                };
                bound.stats.push((fd, rights));
            }
            Err(fault) => faults.push(text(bind, "frontend", "GLOBAL", &fault)),
        }
    }
    if faults.is_empty() {
        return Ok(bound);
    }
    if asked {
        old.iter().for_each(|pid| drop(service::signals::send(*pid, Signal::Ttin)));
    }
    Err(faults)
}

type Fault = (&'static str, io::Error);

fn one(
    bind: &Bind,
    backlog: Option<u32>,
    taken: &mut Vec<Exposed>,
    old: &[u32],
    asked: &mut bool,
) -> Result<OwnedFd, Fault> {
    if let Some(fd) = handoff::claim(taken, bind) {
        return Ok(fd);
    }
    let mut attempt = 0;
    loop {
        match listener::open(bind, backlog) {
            Err((_, e)) if e.kind() == io::ErrorKind::AddrInUse && !old.is_empty() && attempt < ATTEMPTS => {
                if !*asked {
                    *asked = true;
                    old.iter().for_each(|pid| drop(service::signals::send(*pid, Signal::Ttou)));
                }
                attempt += 1;
                std::thread::sleep(PAUSE);
            }
            result => return result,
        }
    }
}

/// `Binding [FILE:LINE] for frontend NAME: cannot bind socket (Address already in use) for [127.0.0.1:80]`.
fn text(bind: &Bind, kind: &str, name: &str, (what, error): &Fault) -> String {
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
    format!("Binding [{}] for {kind} {name}: {what} ({reason}) for [{address}]", bind.origin)
}
