//! Server states from a file, as `show servers state` prints them (`load-server-state-from-file`).
//!
//! Invariant: a line that names no server of ours, or that does not hold what it should, changes nothing; what the
//! configuration says about a server's existence, name and initial weight goes before the file.
//!
//! Absent on purpose: writing the file, which is up to whoever reloads.

use super::Generation;
use super::board::{ServerDetail, ServerState, admin, oper};
use crate::config::model::{Config, InitAddr, Proxy, Server};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use std::sync::atomic::Ordering::Relaxed;

/// First line of a file that can be read.
const VERSION: &str = "1";
/// Columns of a line, less those that later versions added.
const COLUMNS_MIN: usize = 18;
/// Bytes of a file at most: 100,000 servers.
const FILE_MAX: u64 = 32 << 20;

/// Files by path, each read once; `None` where there was nothing to read.
pub type Files = HashMap<PathBuf, Option<String>>;

/// Where a proxy's states are, if it wants them.
fn path_of(config: &Config, proxy: &Proxy) -> Option<PathBuf> {
    let global = &config.global;
    let file = match proxy.server_state.as_ref()? {
        None => global.server_state_file.as_deref()?,
        Some(own) => own,
    };
    Some(match &global.server_state_base {
        Some(base) if file.is_relative() => base.join(file),
        _ => file.to_owned(),
    })
}

fn read(path: &Path) -> Result<String, String> {
    let system = |e: std::io::Error| match e.raw_os_error() {
        Some(code) => nix::errno::Errno::from_raw(code).desc().to_owned(),
        None => e.to_string(),
    };
    if std::fs::metadata(path).map_err(system)?.len() > FILE_MAX {
        return Err("too large".into());
    }
    let text = std::fs::read_to_string(path).map_err(system)?;
    if text.lines().next().is_some_and(|l| l.trim() == VERSION) {
        Ok(text)
    } else {
        Err("not a state file of version 1".into())
    }
}

/// Reads the files of a configuration, while there are still rights to; gives what the user should know, too.
pub fn gather(config: &Config) -> (Files, Vec<String>) {
    let (mut files, mut faults) = (Files::new(), Vec::new());
    for proxy in &config.proxies {
        let Some(path) = path_of(config, proxy) else { continue };
        let global = matches!(proxy.server_state, Some(None));
        files.entry(path.clone()).or_insert_with(|| {
            // haproxy says so, and starts all the same: the first start has no file.
            let kind = if global { "global" } else { "local" };
            match read(&path) {
                Ok(text) => Some(text),
                Err(why) => {
                    let path = path.display();
                    faults.push(format!(
                        "config : config: Can't open {kind} server state file '{path}': {why}"
                    ));
                    None
                }
            }
        });
    }
    (files, faults)
}

/// Applies the states of all servers, as another process told them.
pub fn apply_text(generation: &Generation, text: &str) {
    let lines = text.lines().map(|l| l.split_ascii_whitespace().collect::<Vec<_>>());
    let by_name: HashMap<(&str, &str), Vec<&str>> =
        lines.filter(|w| w.len() >= COLUMNS_MIN).map(|w| ((w[1], w[3]), w)).collect();
    for (proxy, states) in generation.config.proxies.iter().zip(&generation.servers) {
        for (id, server) in proxy.shown_servers() {
            if let Some(words) = by_name.get(&(proxy.name.as_str(), server.name.as_str())) {
                one(generation, server, &states[id.0], words);
            }
        }
    }
}

/// Applies what the files say.
pub fn apply(generation: &Generation, files: &Files) {
    let config = &generation.config;
    for (proxy, states) in config.proxies.iter().zip(&generation.servers) {
        let text = path_of(config, proxy).and_then(|p| files.get(&p)?.as_deref());
        let lines = text.unwrap_or_default().lines().skip(1).filter(|l| !l.starts_with('#'));
        for line in lines {
            let words: Vec<&str> = line.split_ascii_whitespace().collect();
            if words.len() < COLUMNS_MIN || words[1] != proxy.name {
                continue;
            }
            let found = proxy.servers.iter().position(|s| s.name == words[3]);
            if let Some(index) = found {
                one(generation, &proxy.servers[index], &states[index], &words);
            }
        }
    }
}

/// The columns that matter, in the order of the line.
struct Line<'a> {
    address: Option<IpAddr>,
    oper: u32,
    admin: u32,
    weights: (u32, u32),
    age: u64,
    health: u32,
    check_state: u32,
    agent_state: u32,
    fqdn: Option<&'a str>,
    port: Option<u16>,
    srv_record: Option<&'a str>,
    check: (Option<u16>, Option<IpAddr>),
    agent: (Option<u16>, Option<IpAddr>),
}

impl<'a> Line<'a> {
    fn parse(words: &[&'a str]) -> Option<Self> {
        let number = |i: usize| words.get(i)?.parse::<u32>().ok();
        let named = |i: usize| words.get(i).copied().filter(|w| *w != "-");
        let port = |i: usize| number(i).and_then(|p| u16::try_from(p).ok()).filter(|p| *p > 0);
        Some(Self {
            address: named(4).and_then(|a| a.parse().ok()),
            oper: number(5).filter(|o| *o <= oper::STOPPING)?,
            admin: number(6)?,
            weights: (number(7)?, number(8)?),
            age: u64::from(number(9)?),
            health: number(12)?,
            check_state: number(13)?,
            agent_state: number(14)?,
            fqdn: named(17),
            port: port(18),
            srv_record: named(19),
            check: (port(21), named(22).and_then(|a| a.parse().ok())),
            agent: (port(24), named(23).and_then(|a| a.parse().ok())),
        })
    }
}

/// Check states of a line: configured 2, enabled 4, paused 8.
const CONFIGURED: u32 = 2;
const ENABLED: u32 = 4;

fn one(generation: &Generation, server: &Server, state: &ServerState, words: &[&str]) {
    let Some(line) = Line::parse(words) else { return };
    let now = generation.board.clock().wall_s;
    let mut detail = state.detail.lock().unwrap_or_else(PoisonError::into_inner);
    detail.last_change = now.saturating_sub(line.age);
    let mut bits = line.admin & (admin::FORCED_MAINT | admin::FORCED_DRAIN);
    // `disabled` that came or went in the configuration since then goes before the file.
    match (line.admin & admin::CONFIGURED_MAINT != 0, server.disabled) {
        (true, false) => bits &= !admin::FORCED_MAINT,
        (false, true) => bits |= admin::FORCED_MAINT | admin::CONFIGURED_MAINT,
        (true, true) => bits |= admin::CONFIGURED_MAINT,
        (false, false) => {}
    }
    state.admin.store(bits, Relaxed);
    place(server, state, &mut detail, &line);
    if detail.address.is_none() && (server.fqdn.is_some() || server.srv_record.is_some()) {
        bits |= admin::RESOLUTION_MAINT;
        state.admin.fetch_or(admin::RESOLUTION_MAINT, Relaxed);
    }
    let checked = detail.check.configured || detail.agent.configured;
    let wanted = match (bits & admin::MAINT != 0, checked) {
        (true, _) => oper::STOPPED,
        (false, true) => line.oper,
        (false, false) if line.oper == oper::STOPPED => oper::RUNNING,
        (false, false) => line.oper,
    };
    state.oper.store(wanted, Relaxed);
    if line.weights.1 == server.weight && line.weights.0 <= 256 {
        state.user_weight.store(line.weights.0, Relaxed);
    }
    // A check that is new since then begins as the configuration says.
    if detail.check.configured && line.check_state & CONFIGURED != 0 {
        let full = (detail.check.rise + detail.check.fall).saturating_sub(1);
        detail.check.health = line.health.min(full);
        detail.check.enabled = line.check_state & ENABLED != 0;
        state.health.store(detail.check.health, Relaxed);
    }
    if detail.agent.configured && line.agent_state & CONFIGURED != 0 {
        detail.agent.enabled = line.agent_state & ENABLED != 0;
    }
    detail.check.port = line.check.0.or(detail.check.port);
    detail.check.address = line.check.1.or(detail.check.address);
    detail.agent.port = line.agent.0.or(detail.agent.port);
    detail.agent.address = line.agent.1.or(detail.agent.address);
}

/// Where a server is: a name that had an address has it again where `init-addr` takes the last one first, a name or
/// a service's host that came at run time stays, and so does a port that was changed.
fn place(server: &Server, state: &ServerState, detail: &mut ServerDetail, line: &Line<'_>) {
    let renamed = line.admin & admin::RENAMED != 0 && server.resolvers.is_some();
    let of_service = line.srv_record.is_some() && line.srv_record == server.srv_record.as_deref();
    if (of_service || renamed && server.srv_record.is_none() && server.fqdn.is_some()) && line.fqdn.is_some()
    {
        detail.fqdn = line.fqdn.map(str::to_owned);
        state.admin.fetch_or(admin::RENAMED, Relaxed);
    }
    detail.port = line.port.unwrap_or(detail.port);
    let named = detail.fqdn.is_some() && line.fqdn == detail.fqdn.as_deref();
    let last = line.address.filter(|_| named && takes_last(server, detail.address.is_none()));
    if let Some(ip) = last.or(detail.address.map(|a| a.ip())) {
        detail.address = Some(SocketAddr::new(ip, detail.port));
    }
}

/// Whether `init-addr` (`last,libc` where none is said) prefers the last address to what was found.
fn takes_last(server: &Server, found_none: bool) -> bool {
    let Some(methods) = &server.init_addr else { return true };
    let last = methods.iter().position(|m| *m == InitAddr::Last);
    let first = methods.iter().position(|m| *m != InitAddr::Last);
    last.is_some_and(|last| found_none || first.is_none_or(|first| last < first))
}
