//! The dump that SIGUSR1 asks for (`/tmp/keepalived_check.data`), in keepalived's layout.
//!
//! Invariant: the file is made anew, never through a link, readable by root alone.
//!
//! Absent on purpose: `global_defs` that don't concern checkd (vrrpd's dump has them).

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use crate::config::model::{
    CheckerKind, DnsType, Family, Globals, GroupEntry, HttpProtocol, Method, Protocol, RealServer, Target,
    VirtualServer,
};
use crate::core::service::{CheckerState, Core, RealState, ServiceState};
use crate::messages::real_name;

/// Writes text to a new file of mode 0600.
///
/// # Errors
/// The system's.
pub fn write(path: &Path, text: &str) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW)
        .open(path)?;
    file.write_all(text.as_bytes())
}

/// The whole dump; `version` is the kernel's, as `1.2.1`.
pub fn data(core: &Core, version: &str) -> String {
    let mut text = String::new();
    let model = core.model();
    globals(&mut text, &model.globals);
    text.push_str("------< LVS Topology >------\n");
    line(&mut text, 1, &format!("System is compiled with LVS v{version}"));
    if !model.groups.is_empty() {
        line(&mut text, 1, "------< Virtual server group >------");
    }
    for group in &model.groups {
        let has = |family| {
            group.entries.iter().any(|e| match e {
                GroupEntry::Range { first, .. } => Family::of(first.ip()) == family,
                GroupEntry::Fwmark { .. } => false,
            })
        };
        let word = |b: bool| if b { "yes" } else { "no" };
        line(
            &mut text,
            1,
            &format!(
                "Virtual Server Group = {}, IPv4 = {}, IPv6 = {}",
                group.name,
                word(has(Family::Inet)),
                word(has(Family::Inet6))
            ),
        );
        for entry in &group.entries {
            match entry {
                GroupEntry::Fwmark { mark, .. } => line(&mut text, 3, &format!("FWMARK = {mark}")),
                GroupEntry::Range { first, last } if first.ip() == *last => {
                    line(&mut text, 3, &format!("VIP = {last}, VPORT = {}", first.port()));
                }
                GroupEntry::Range { first, last } => line(
                    &mut text,
                    3,
                    &format!("VIP Range = {}-{last}, VPORT = {}", first.ip(), first.port()),
                ),
            }
        }
    }
    line(&mut text, 1, "------< Virtual server >------");
    for (n, state) in core.services.iter().enumerate() {
        if n > 0 {
            line(&mut text, 1, "------< Virtual server >------");
        }
        service(&mut text, state);
    }
    text.push_str("------< Health checkers >------\n");
    for state in &core.services {
        for real in &state.reals {
            for item in &real.checkers {
                checker(&mut text, state, real, item);
            }
        }
    }
    text
}

fn line(text: &mut String, indent: usize, what: &str) {
    let _ = writeln!(text, "{:indent$}{what}", "");
}

fn seconds(d: Duration) -> String {
    format!("{}.{:06}", d.as_secs(), d.subsec_micros())
}

fn globals(text: &mut String, g: &Globals) {
    let on = |b: Option<bool>| match b {
        None => "unset",
        Some(true) => "on",
        Some(false) => "off",
    };
    text.push_str("------< Global definitions >------\n");
    let namespace = match g.net_namespace_ipvs.as_deref() {
        None => "(main namespace)",
        Some("") => "(default)",
        Some(name) => name,
    };
    let mut put = |what: &str| line(text, 1, what);
    put(&format!("Network namespace ipvs = {namespace}"));
    put(&format!("Router ID = {}", g.router_id));
    if let Some((host, port)) = &g.mail.server {
        put(&format!("Smtp server = {host}"));
        put(&format!("Smtp server port = {port}"));
    }
    if let Some(limit) = g.mail.connect_timeout {
        put(&format!("Smtp server connection timeout = {}", limit.as_secs()));
    }
    if let Some(from) = &g.mail.from {
        put(&format!("Email notification from = {from}"));
    }
    if !g.mail.to.is_empty() {
        put("Email notification to:");
        for to in &g.mail.to {
            put(&format!("  {to}"));
        }
    }
    put(&format!("Default smtp_alert_checker = {}", on(g.smtp_alert)));
    put(&format!("Checkers log all failures = {}", g.log_all_failures));
    put(&format!("LVS flush = {}", g.lvs_flush));
    put(&format!("rs_init_notifies = {}", u8::from(g.rs_init_notifies)));
    put(&format!("no_checker_emails = {}", u8::from(g.no_checker_emails)));
}

fn method(method: Method) -> &'static str {
    match method {
        Method::Nat => "NAT",
        Method::Dr => "DR",
        Method::Tun(_) => "TUN",
    }
}

fn on_off(b: bool) -> &'static str {
    if b { "ON" } else { "OFF" }
}

fn yes_no(b: bool) -> &'static str {
    if b { "yes" } else { "no" }
}

fn service(text: &mut String, state: &ServiceState) {
    let config = &state.config;
    let mut put = |indent: usize, what: String| line(text, indent, &what);
    match &config.target {
        Target::Address(a) => put(1, format!("VS VIP = {}, VPORT = {}", a.ip(), a.port())),
        Target::Fwmark(mark) => put(1, format!("VS FWMARK = {mark}")),
        Target::Group(_) => put(1, format!("VS GROUP = {}", state.name)),
    }
    let family = if config.family == Family::Inet { "inet" } else { "inet6" };
    put(3, format!("Address family = {family}"));
    put(3, format!("delay_loop = {}", seconds(config.delay_loop)));
    put(3, format!("lvs_sched = {}", config.scheduler));
    let enabled = |b: bool| if b { "enabled" } else { "disabled" };
    put(3, format!("Hashed = {}", enabled(config.hashed)));
    for (name, value) in flags(config) {
        put(3, format!("{name} = {}", enabled(value)));
    }
    put(3, format!("One packet scheduling = {}", enabled(config.one_packet)));
    if let Some(timeout) = config.persistence_timeout_s {
        put(3, format!("persistence timeout = {timeout}"));
    }
    let protocol = match config.protocol {
        Protocol::Tcp => "TCP",
        Protocol::Udp => "UDP",
        Protocol::Sctp => "SCTP",
        Protocol::None => "none",
    };
    put(3, format!("protocol = {protocol}"));
    put(3, format!("alpha is {}", on_off(config.alpha)));
    put(3, format!("omega is {}", on_off(config.omega)));
    put(3, format!("Inhibit on failure is {}", on_off(config.inhibit_on_failure)));
    put(3, format!("quorum = {}, hysteresis = {}", config.quorum, config.hysteresis));
    for (name, script) in [("up", &config.quorum_up), ("down", &config.quorum_down)] {
        if let Some(s) = script {
            put(3, format!("Quorum {name} notify script = {}, uid:gid {}:{}", s.text, s.uid, s.gid));
        }
    }
    put(3, format!("Using smtp notification = {}", yes_no(config.smtp_alert)));
    put(3, format!("default forwarding method = {}", method(config.method)));
    if let Some(sorry) = &config.sorry {
        put(3, format!("sorry server = {}", real_name(config, sorry.address)));
        put(5, format!("forwarding method = {}", method(sorry.method)));
        put(5, format!("Inhibit on failure is {}", on_off(sorry.inhibit)));
    }
    put(3, format!("alive = {}", u8::from(state.reals.iter().any(|r| r.alive))));
    put(3, format!("quorum_state_up = {}", u8::from(state.quorum_up)));
    for item in &state.reals {
        real(text, item);
    }
}

fn flags(config: &VirtualServer) -> Vec<(String, bool)> {
    let f = config.flags;
    match config.scheduler.as_str() {
        name @ ("sh" | "mh") => vec![(format!("{name}-port"), f.two), (format!("{name}-fallback"), f.one)],
        _ => vec![("flag-1".into(), f.one), ("flag-2".into(), f.two), ("flag-3".into(), f.three)],
    }
}

fn real(text: &mut String, state: &RealState) {
    let config: &RealServer = &state.config;
    let mut put = |what: String| line(text, 3, &what);
    put("------< Real server >------".into());
    let address = config.address;
    put(format!(
        "RIP = {}, RPORT = {}, WEIGHT = {} EFF WEIGHT = {}",
        address.ip(),
        address.port(),
        config.weight,
        state.weight
    ));
    put(format!("forwarding method = {}", method(config.method)));
    put(format!("Alpha is {}", on_off(config.alpha)));
    put(format!("connection limit range = {} -> {}", config.lower_threshold, config.upper_threshold));
    put(format!("Inhibit on failure is {}", on_off(config.inhibit_on_failure)));
    for (name, script) in [("up", &config.notify_up), ("down", &config.notify_down)] {
        if let Some(s) = script {
            put(format!("RS {name} notify script = {}, uid:gid {}:{}", s.text, s.uid, s.gid));
        }
    }
    put(format!("Using smtp notification = {}", yes_no(config.smtp_alert)));
    put(format!("initial weight = {}", config.weight));
    put(format!("effective weight = {}", state.weight));
    put(format!("alive = {}", u8::from(state.alive)));
    let failed = state.checkers.iter().filter(|c| !c.judge.is_up()).count();
    put(format!("num failed checkers = {failed}"));
    put(format!("RS set = {}", u8::from(state.alive || config.inhibit_on_failure)));
}

fn checker(text: &mut String, service: &ServiceState, real: &RealState, state: &CheckerState) {
    let config = &state.config;
    let name = real_name(&service.config, real.config.address);
    line(text, 1, &format!("{} -> {name}", service.name));
    let mut put = |indent: usize, what: String| line(text, indent, &what);
    put(3, format!("Enabled = {}", yes_no(!service.suspended)));
    put(3, format!("Up = {}", yes_no(state.judge.is_up())));
    put(3, format!("Has run = {}", yes_no(state.judge.has_run())));
    put(3, format!("Current weight = {}", state.addend));
    if !matches!(config.kind, CheckerKind::File { .. } | CheckerKind::Bfd { .. }) {
        put(3, format!("Alpha = {}", yes_no(config.alpha)));
        put(3, format!("Delay loop = {} us", config.delay_loop.as_micros()));
        put(3, format!("Warmup = {} us", config.warmup.as_micros()));
        put(3, format!("Retries = {}", config.retry));
        put(3, format!("Delay before retry = {} us", config.delay_before_retry.as_micros()));
    }
    put(3, format!("Log all failures = {}", yes_no(config.log_all_failures)));
    let connects =
        !matches!(config.kind, CheckerKind::File { .. } | CheckerKind::Bfd { .. } | CheckerKind::Misc { .. });
    if connects {
        let c = &config.connection;
        put(3, "Connection".into());
        put(5, format!("Dest = [{}]:{}", c.to.ip(), c.to.port()));
        if let Some(from) = c.bind_address {
            put(5, format!("Bind to = [{from}]:{}", c.bind_port.unwrap_or(0)));
        }
        if let Some(interface) = &c.bind_interface {
            put(5, format!("Bind i/f = {interface}"));
        }
        if c.fwmark != 0 {
            put(5, format!("Mark = {}", c.fwmark));
        }
        put(5, format!("Timeout = {}", seconds(c.timeout)));
    }
    kind(text, &config.kind);
}

fn kind(text: &mut String, kind: &CheckerKind) {
    let mut put = |indent: usize, what: String| line(text, indent, &what);
    let name = match kind {
        CheckerKind::Tcp => "TCP_CHECK".to_owned(),
        CheckerKind::Http(get) => {
            let protocol = match get.protocol {
                HttpProtocol::V10 => "1.0",
                HttpProtocol::V10Close => "1.0C",
                HttpProtocol::V11 => "1.1",
                HttpProtocol::V11Keep => "1.1K",
            };
            format!("{}_GET, http protocol {protocol}", if get.tls { "SSL" } else { "HTTP" })
        }
        CheckerKind::Smtp { .. } => "SMTP_CHECK".to_owned(),
        CheckerKind::Dns { .. } => "DNS_CHECK".to_owned(),
        CheckerKind::Misc { .. } => "MISC_CHECK".to_owned(),
        CheckerKind::Udp(_) => "UDP_CHECK".to_owned(),
        CheckerKind::Ping => "PING_CHECK".to_owned(),
        CheckerKind::File { .. } => "FILE_CHECK".to_owned(),
        CheckerKind::Bfd { .. } => "BFD_CHECK".to_owned(),
    };
    put(3, format!("Keepalive method = {name}"));
    match kind {
        CheckerKind::Http(get) => {
            for url in &get.urls {
                put(3, format!("Checked url = {}", url.path));
                if !url.status.is_empty() {
                    put(5, "HTTP Status Code(s)".into());
                    for (a, b) in &url.status {
                        put(7, if a == b { a.to_string() } else { format!("{a}-{b}") });
                    }
                }
            }
        }
        CheckerKind::Smtp { helo_name } => put(3, format!("helo = {helo_name}")),
        CheckerKind::Dns { query, name } => {
            let word = match query {
                DnsType::A => "A",
                DnsType::Ns => "NS",
                DnsType::Cname => "CNAME",
                DnsType::Soa => "SOA",
                DnsType::Mx => "MX",
                DnsType::Txt => "TXT",
                DnsType::Aaaa => "AAAA",
                DnsType::Rrsig => "RRSIG",
                DnsType::Dnskey => "DNSKEY",
            };
            put(3, format!("Type = {word}"));
            put(3, format!("Name = {name}"));
        }
        CheckerKind::Misc { script, timeout, dynamic } => {
            put(3, format!("script = {}", script.text));
            put(3, format!("timeout = {}", timeout.unwrap_or_default().as_secs()));
            put(3, format!("dynamic = {}", if *dynamic { "YES" } else { "NO" }));
            put(3, format!("uid:gid = {}:{}", script.uid, script.gid));
        }
        CheckerKind::Udp(udp) => {
            match &udp.payload {
                Some(bytes) => put(3, format!("Payload len = {}", bytes.len())),
                None => put(3, "Payload specified = no".into()),
            }
            put(3, format!("Require reply = {}", yes_no(udp.require_reply.is_some())));
        }
        CheckerKind::File { track_file, .. } => put(5, format!("Tracked file = {track_file}")),
        CheckerKind::Bfd { name } => put(3, format!("Name = {name}")),
        CheckerKind::Tcp | CheckerKind::Ping => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_in_the_way_is_replaced_not_followed() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().expect("dir");
        let (victim, path) = (dir.path().join("victim"), dir.path().join("dump"));
        std::fs::write(&victim, "precious").expect("written");
        std::os::unix::fs::symlink(&victim, &path).expect("linked");
        write(&path, "dump").expect("dumped");
        assert_eq!(std::fs::read_to_string(&victim).expect("read"), "precious");
        let mode = std::fs::symlink_metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
