//! The files that SIGUSR1, SIGUSR2 and SIGRTMIN+2 ask for, with the original's fields.
//!
//! Invariant: opened without following links, mode 0600. Absent on purpose: anything that changes state.

mod globals;
mod instance;
mod interface;
mod json;
mod net;
mod tracker;

use crate::config::model::{Command, Config, Notify, Version};
use crate::core::router::{Router, SocketKey};
use conf_parsers::keepalived::Tree;
use conf_parsers::keepalived::globals::Globals;
pub(crate) use net::scope;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::fd::RawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Where a file could not be written, and why.
pub type Written = Result<(), (PathBuf, io::Error)>;

/// What is dumped: the core, and what only the shell knows.
#[derive(Debug)]
pub struct View<'a> {
    /// The core.
    pub router: &'a Router,
    /// The kernel's links, in its order.
    pub links: Vec<netlink::Link>,
    /// Open sockets with their descriptors, to receive and to send.
    pub sockets: Vec<(SocketKey, RawFd, Option<RawFd>)>,
    /// Interfaces whose IPv6 forwarding was asked for, when, and the answer.
    pub forwarding: &'a HashMap<u32, (Instant, bool)>,
}

fn yes(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}

fn enabled(value: bool) -> &'static str {
    if value { "enabled" } else { "disabled" }
}

/// The configured path, or the original's name in TMPDIR or /tmp.
fn path(configured: Option<&PathBuf>, config: &Config, extension: &str) -> PathBuf {
    configured.cloned().unwrap_or_else(|| usual_path("keepalived", config, extension))
}

fn usual_path(name: &str, config: &Config, extension: &str) -> PathBuf {
    let directory = std::env::var_os("TMPDIR").map_or_else(|| PathBuf::from("/tmp"), PathBuf::from);
    let instance = config.globals.instance_name.as_ref().filter(|_| config.globals.data_use_instance);
    let name = instance.map_or_else(|| name.to_owned(), |i| format!("{name}.{i}"));
    directory.join(format!("{name}.{extension}"))
}

fn write(path: PathBuf, text: &str) -> Written {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600).custom_flags(nix::libc::O_NOFOLLOW);
    let done = options.open(&path).and_then(|mut file| file.write_all(text.as_bytes()));
    done.map_err(|error| (path, error))
}

/// Wall-clock time of a moment, in microseconds since 1970.
fn wall(at: Option<Instant>) -> u128 {
    let Some(at) = at else { return 0 };
    let (now, wall) = (Instant::now(), SystemTime::now());
    let moment = if at > now { wall + (at - now) } else { wall - (now - at) };
    moment.duration_since(UNIX_EPOCH).unwrap_or_default().as_micros()
}

/// The descriptors of an instance's socket, -1 where there is none.
fn descriptors(view: &View<'_>, key: &SocketKey) -> (RawFd, RawFd) {
    let found = view.sockets.iter().find(|(k, ..)| k == key);
    found.map_or((-1, -1), |(_, receive, send)| (*receive, send.unwrap_or(-1)))
}

/// `SECONDS.MICROS (Sat Nov 21 03:49:57.818273 2026)`.
fn stamp(at: Option<Instant>) -> String {
    let micros = wall(at);
    let moment = UNIX_EPOCH + Duration::from_micros(micros as u64);
    let t = sys::clock::local(moment);
    format!(
        "{}.{:06} ({} {} {:2} {:02}:{:02}:{:02}.{:06} {})",
        micros / 1_000_000,
        micros % 1_000_000,
        t.day_name(),
        t.month_name(),
        t.day,
        t.hour,
        t.minute,
        t.second,
        t.micros,
        t.year
    )
}

fn quoted(command: &Command) -> String {
    command.argv.iter().map(|w| format!("'{w}'")).collect::<Vec<_>>().join(" ")
}

fn scripts(out: &mut String, notify: &Notify) {
    states(out, notify);
    let _ = writeln!(out, "   Notify priority changes = {}", yes(notify.priority_changes));
}

fn states(out: &mut String, notify: &Notify) {
    for (name, script) in [
        ("Backup", &notify.backup),
        ("Master", &notify.master),
        ("Fault", &notify.fault),
        ("Stop", &notify.stop),
        ("Generic", &notify.any),
        ("Master rx lower pri", &notify.master_rx_lower_pri),
    ] {
        if let Some(script) = script {
            let (uid, gid) = script.user.as_ref().map_or((0, 0), |u| (u.uid, u.gid));
            let _ =
                writeln!(out, "   {name} state transition script = {}, uid:gid {uid}:{gid}", quoted(script));
        }
    }
}

fn version(version: Version) -> u8 {
    if version == Version::V2 { 2 } else { 3 }
}

/// keepalived.data: configuration and state.
pub fn data(view: &View<'_>) -> Written {
    let mut out = String::new();
    let router = view.router;
    let config = &router.config;
    globals::globals(&mut out, config);
    let mut part = |title: &str, lines: Vec<String>| {
        if !lines.is_empty() {
            let _ = writeln!(out, "------< {title} >------");
            for line in lines {
                let _ = writeln!(out, "     {line}");
            }
        }
    };
    let default = &config.globals.default_interface;
    part(
        "Static Addresses",
        config.static_addresses.iter().map(|a| net::address(a, default, true)).collect(),
    );
    let index = |name: &str| router.link(name).map_or(0, |l| l.index);
    let installed = |r: &crate::config::model::Route| {
        let device = r.hops.iter().find_map(|h| h.device.as_deref());
        format!("{} [installed ifindex {}]", net::route(r), device.map_or(0, index))
    };
    part("Static Routes", config.static_routes.iter().map(installed).collect());
    part("Static Rules", config.static_rules.iter().map(net::rule).collect());
    out.push_str("------< VRRP Topology >------\n");
    router.members.iter().for_each(|m| instance::member(&mut out, view, m));
    instance::sockpool(&mut out, view);
    tracker::groups(&mut out, router);
    tracker::trackers(&mut out, router);
    interface::interfaces(&mut out, view);
    let file = path(config.globals.state_dump_file.as_ref(), config, "data");
    write(file, &out)
}

/// keepalived_parent.data: what the supervisor knows, the global definitions.
pub fn parent(globals: &Globals) -> Written {
    let (mut config, _) = crate::config::read(&Tree::default(), globals, |_| false);
    // Interfaces are the VRRP part's.
    config.globals.default_interface.clear();
    let mut out = String::new();
    globals::globals(&mut out, &config);
    write(usual_path("keepalived_parent", &config, "data"), &out)
}

/// keepalived.stats: the counters.
pub fn stats(router: &Router) -> Written {
    let mut out = String::new();
    for m in &router.members {
        let s = &m.stats;
        let _ = writeln!(out, "VRRP Instance: {}", m.config.name);
        let _ =
            writeln!(out, "  Advertisements:\n    Received: {}\n    Sent: {}", s.advert_rcvd, s.advert_sent);
        let _ =
            writeln!(out, "  Became master: {}\n  Released master: {}", s.become_master, s.release_master);
        let _ =
            writeln!(out, "  Packet Errors:\n    Length: {}\n    TTL: {}", s.packet_len_err, s.ip_ttl_err);
        let _ = writeln!(out, "    Invalid Type: {}", s.invalid_type_rcvd);
        let _ = writeln!(out, "    Advertisement Interval: {}", s.advert_interval_err);
        let _ = writeln!(out, "    Address List: {}", s.addr_list_err);
        let _ = writeln!(out, "  Authentication Errors:\n    Invalid Type: {}", s.invalid_authtype);
        let _ = writeln!(out, "    Type Mismatch: {}\n    Failure: {}", s.authtype_mismatch, s.auth_failure);
        let _ = writeln!(
            out,
            "  Priority Zero:\n    Received: {}\n    Sent: {}",
            s.pri_zero_rcvd, s.pri_zero_sent
        );
    }
    let file = path(router.config.globals.stats_dump_file.as_ref(), &router.config, "stats");
    write(file, &out)
}

/// keepalived.json.
pub fn json(router: &Router) -> Written {
    let file = path(router.config.globals.json_dump_file.as_ref(), &router.config, "json");
    write(file, &json::text(router))
}
