//! The files that SIGUSR1, SIGUSR2 and SIGRTMIN+2 ask for, with the original's fields.
//!
//! Invariant: opened without following links, mode 0600. Absent on purpose: anything that changes state.

use crate::config::model::{Address, Authentication, Command, Config, Family, Notify, Tracked, Version};
use crate::core::router::{Member, Router};
use crate::messages::StateName;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Where a file could not be written, and why.
pub type Written = Result<(), (PathBuf, io::Error)>;

fn yes(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}

fn enabled(value: bool) -> &'static str {
    if value { "enabled" } else { "disabled" }
}

/// The configured path, or the original's name in TMPDIR or /tmp.
fn path(configured: Option<&PathBuf>, config: &Config, extension: &str) -> PathBuf {
    if let Some(path) = configured {
        return path.clone();
    }
    let directory = std::env::var_os("TMPDIR").map_or_else(|| PathBuf::from("/tmp"), PathBuf::from);
    let instance = config.globals.instance_name.as_ref().filter(|_| config.globals.data_use_instance);
    let name = instance.map_or_else(|| "keepalived".to_string(), |i| format!("keepalived.{i}"));
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

fn scope(number: u8) -> String {
    match number {
        0 => "global".into(),
        200 => "site".into(),
        253 => "link".into(),
        254 => "host".into(),
        255 => "nowhere".into(),
        other => other.to_string(),
    }
}

/// An address in the words of the configuration, and whether it is set.
fn vip(member: &Member, address: &Address) -> String {
    let mut out = address.address.to_string();
    let host = if address.address.is_ipv4() { 32 } else { 128 };
    if address.prefix_len != host && address.peer.is_none() {
        let _ = write!(out, "/{}", address.prefix_len);
    }
    if let Some((peer, length)) = address.peer {
        let _ = write!(out, " peer {peer}/{length}");
    }
    if let Some(broadcast) = address.broadcast {
        let _ = write!(out, " brd {broadcast}");
    }
    let _ = write!(out, " dev {}", address.device.as_ref().unwrap_or(&member.config.interface));
    if address.address.is_ipv4() {
        let _ = write!(out, " scope {}", scope(address.scope));
    }
    if let Some(label) = &address.label {
        let _ = write!(out, " label {label}");
    }
    for (on, word) in [
        (address.home, " home"),
        (address.dad, " -nodad"),
        (address.mngtmpaddr, " mngtmpaddr"),
        (address.noprefixroute, " noprefixroute"),
        (address.autojoin, " autojoin"),
        (address.no_track, " no_track"),
        (address.preferred_lft == Some(0), " deprecated"),
        (member.machine.name() == StateName::Master, " set"),
    ] {
        out.push_str(if on { word } else { "" });
    }
    out
}

fn quoted(command: &Command) -> String {
    command.argv.iter().map(|w| format!("'{w}'")).collect::<Vec<_>>().join(" ")
}

fn scripts(out: &mut String, notify: &Notify) {
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
    let _ = writeln!(out, "   Notify priority changes = {}", yes(notify.priority_changes));
}

fn tracked(out: &mut String, title: &str, list: &[Tracked]) {
    if list.is_empty() {
        return;
    }
    let _ = writeln!(out, "   {title} :");
    for t in list {
        let _ =
            writeln!(out, "     {} weight {}{}", t.name, t.weight, if t.reverse { " reverse" } else { "" });
    }
}

fn globals(out: &mut String, config: &Config) {
    let g = &config.globals;
    let host = || nix::unistd::gethostname().map(|h| h.to_string_lossy().into_owned()).unwrap_or_default();
    let unset = |value: Option<bool>| value.map_or("unset", yes);
    let _ = writeln!(out, "------< Global definitions >------");
    let _ = writeln!(out, " Network namespace = {}", g.net_namespace.as_deref().unwrap_or("(default)"));
    if let Some(name) = &g.instance_name {
        let _ = writeln!(out, " Instance name = {name}");
    }
    let _ = writeln!(out, " Router ID = {}", g.router_id.clone().unwrap_or_else(host));
    if let Some(server) = &g.mail.server {
        let _ = writeln!(out, " Smtp server = {server}\n Smtp server port = {}", g.mail.port.unwrap_or(25));
    }
    if let Some(helo) = &g.mail.helo {
        let _ = writeln!(out, " Smtp HELO name = {helo}");
    }
    if let Some(from) = &g.mail.from {
        let _ = writeln!(out, " Email notification from = {from}");
    }
    if !g.mail.to.is_empty() {
        let _ = writeln!(out, " Email notification to:");
        g.mail.to.iter().for_each(|to| {
            let _ = writeln!(out, "  {to}");
        });
    }
    let _ = writeln!(out, " Default smtp_alert = {}", unset(g.smtp_alert));
    let _ = writeln!(out, " Default smtp_alert_vrrp = {}", unset(g.smtp_alert_vrrp));
    let dynamic = g.dynamic_interfaces != crate::config::model::DynamicInterfaces::No;
    let _ = writeln!(out, " Dynamic interfaces = {}", yes(dynamic));
    let _ = writeln!(out, " Default interface = {}", g.default_interface);
    for (name, fifo) in [("Global", &g.notify_fifo), ("VRRP", &g.vrrp_notify_fifo)] {
        if let Some(fifo) = fifo {
            let (uid, gid) = fifo.owner.as_ref().map_or((0, 0), |u| (u.uid, u.gid));
            let _ = writeln!(out, " {name} notify fifo = {}, uid:gid {uid}:{gid}", fifo.path.display());
        }
    }
    let _ = writeln!(out, " FIFO write vrrp states on reload = {}", yes(g.fifo_write_states_on_reload));
    let _ = writeln!(out, " VRRP notify priority changes = {}", yes(g.notify_priority_changes));
    let _ = writeln!(out, " VRRP IPv4 mcast group = {}", g.mcast_group4);
    let _ = writeln!(out, " VRRP IPv6 mcast group = {}", g.mcast_group6);
    let seconds = |d: Option<Duration>| d.unwrap_or_default().as_secs_f64();
    let _ = writeln!(out, " Gratuitous ARP interval = {:.6}", seconds(g.garp_interval));
    let _ = writeln!(out, " Gratuitous NA interval = {:.6}", seconds(g.gna_interval));
    let _ = writeln!(out, " VRRP default protocol version = {}", version(g.version));
    let _ = writeln!(out, " VRRP strict mode = {}", yes(g.strict));
    let _ = writeln!(out, " VRRP process priority = {}", g.process.nice.unwrap_or(0));
    let _ = writeln!(out, " VRRP don't swap = {}", yes(g.process.no_swap));
    let _ = writeln!(out, " VRRP realtime priority = {}", g.process.realtime.unwrap_or(0));
    let _ = writeln!(out, " Script security {}", enabled(g.script_security));
    if let Some(user) = &g.script_user {
        let _ = writeln!(out, " Default script uid:gid {}:{}", user.uid, user.gid);
    }
    let _ = writeln!(out, " rx_bufs_multiples = {}", g.rx_buffer.multiplier);
    if let Some(delay) = g.startup_delay {
        let _ = writeln!(out, " vrrp_startup_delay = {}", delay.as_secs_f64());
    }
    if g.log_unknown_vrids {
        let _ = writeln!(out, " log_unknown_vrids");
    }
}

fn version(version: Version) -> u8 {
    if version == Version::V2 { 2 } else { 3 }
}

fn member(out: &mut String, router: &Router, member: &Member) {
    let c = &member.config;
    let state = member.machine.name();
    let unicast = !c.unicast_peers.is_empty();
    let _ = writeln!(out, " VRRP Instance = {}", c.name);
    let _ = writeln!(out, "   VRRP Version = {}", version(c.version));
    if let Some(g) = member.group {
        let _ = writeln!(out, "   Sync group = {}", router.groups[g].config.name);
    }
    if c.family == Family::Inet6 {
        let _ = writeln!(out, "   Using Native IPv6");
    }
    let _ = writeln!(out, "   State = {state}");
    if let Some((heard, interval)) = member.machine.follows() {
        let _ = writeln!(out, "   Master router = {}", heard.source);
        let _ = writeln!(out, "   Master priority = {}", heard.priority);
        if c.version == Version::V3 {
            let _ = writeln!(out, "   Master advert int = {:.2} sec", interval.as_secs_f64());
        }
    }
    if unicast {
        let _ = writeln!(out, "   Flags:\n     Using unicast");
    } else {
        let _ = writeln!(out, "   Flags: none");
    }
    let _ =
        writeln!(out, "   Wantstate = {}", if member.machine.ready() { StateName::Master } else { state });
    let _ = writeln!(out, "   Number of config faults = {}", c.config_faults);
    let _ = writeln!(out, "   Number of interface and track script faults = {}", member.faults);
    let _ = writeln!(out, "   Number of track scripts init = {}", member.pending);
    let _ = writeln!(out, "   Last transition = {}", stamp(member.since));
    match member.machine.deadline() {
        Some(at) => {
            let _ = writeln!(out, "   Read timeout = {}", stamp(Some(at)));
        }
        None => {
            let _ = writeln!(out, "   Read timeout = DISABLED");
        }
    }
    let rules = &member.machine.rules;
    let down = rules.master_down(member.machine.priority, rules.advert_int);
    let _ = writeln!(out, "   Master down timer = {} usecs", down.as_micros());
    let _ = writeln!(out, "   Interface = {}", c.interface);
    if let Some(vrf) = &c.vrf {
        let _ = writeln!(out, "   VRF = {vrf}");
    }
    if let Some(source) = member.machine.source {
        let from = if c.source.is_some() { " (from configuration)" } else { "" };
        let _ = writeln!(out, "   Using src_ip = {source}{from}");
    }
    if let Some(group) = router.socket(c).and_then(|s| s.group) {
        let _ = writeln!(out, "   Multicast address {group}");
    }
    timing(out, member);
    addresses(out, member);
    tracked(out, "Tracked interfaces", &c.track_interfaces);
    tracked(out, "Tracked scripts", &c.track_scripts);
    tracked(out, "Tracked files", &c.track_files);
    tracked(out, "Tracked processes", &c.track_processes);
    let _ = writeln!(out, "   Using smtp notification = {}", if c.smtp_alert { "yes" } else { "no" });
    let _ = writeln!(out, "   Notify deleted = {}", if c.notify.deleted { "Deleted" } else { "Fault" });
    scripts(out, &c.notify);
}

fn timing(out: &mut String, member: &Member) {
    let c = &member.config;
    let g = &c.garp;
    let _ = writeln!(out, "   Gratuitous ARP delay = {}", g.delay.as_secs());
    let _ = writeln!(out, "   Gratuitous ARP repeat = {}", g.repeat);
    let _ = writeln!(out, "   Gratuitous ARP refresh = {}", g.refresh.as_secs());
    let _ = writeln!(out, "   Gratuitous ARP refresh repeat = {}", g.refresh_repeat);
    let _ = writeln!(out, "   Gratuitous ARP lower priority delay = {}", g.lower_prio_delay.as_secs());
    let _ = writeln!(out, "   Gratuitous ARP lower priority repeat = {}", g.lower_prio_repeat);
    let _ = writeln!(out, "   Down timer adverts = {}", c.down_timer_adverts);
    let _ = writeln!(
        out,
        "   Send advert after receive lower priority advert = {}",
        yes(!c.lower_prio_no_advert)
    );
    let _ = writeln!(
        out,
        "   Send advert after receive higher priority advert = {}",
        yes(c.higher_prio_send_advert)
    );
    let _ = writeln!(out, "   Virtual Router ID = {}", c.vrid);
    let _ = writeln!(out, "   Priority = {}", c.priority);
    let _ = writeln!(out, "   Effective priority = {}", member.machine.priority);
    let _ = writeln!(out, "   Total priority = {}", member.machine.priority);
    let (number, unit) = match c.version {
        Version::V2 => (c.advert_int.as_secs() as u128, "sec"),
        Version::V3 => (c.advert_int.as_millis(), "milli-sec"),
    };
    let _ = writeln!(out, "   Advert interval = {number} {unit}");
    let _ = writeln!(out, "   Accept = {}", enabled(c.accept));
    let _ = writeln!(out, "   Preempt = {}", enabled(!c.nopreempt));
    if !c.preempt_delay.is_zero() {
        let _ = writeln!(out, "   Preempt delay = {} secs", c.preempt_delay.as_secs_f64());
    }
    let _ = writeln!(out, "   Promote_secondaries = {}", enabled(c.promote_secondaries));
    // The password itself stays where it is.
    let _ = match c.authentication {
        Authentication::None => writeln!(out, "   Authentication type = none"),
        Authentication::Pass(_) => writeln!(out, "   Authentication type = SIMPLE_PASSWORD"),
        Authentication::Ah(_) => writeln!(out, "   Authentication type = IPSEC_AH"),
    };
    if c.debug != 0 {
        let _ = writeln!(out, "   Debug level = {}", c.debug);
    }
}

fn addresses(out: &mut String, member: &Member) {
    let c = &member.config;
    let _ = writeln!(out, "   Virtual IP ({}):", c.vips.len());
    c.vips.iter().for_each(|a| {
        let _ = writeln!(out, "     {}", vip(member, a));
    });
    if !c.excluded_vips.is_empty() {
        let _ = writeln!(out, "   Virtual IP Excluded :");
        c.excluded_vips.iter().for_each(|a| {
            let _ = writeln!(out, "     {}", vip(member, a));
        });
    }
    if !c.unicast_peers.is_empty() {
        let _ = writeln!(out, "   Unicast TTL = {}", c.unicast_ttl.unwrap_or(255));
        let _ = writeln!(out, "   Check unicast src : {}", if c.check_unicast_source { "yes" } else { "no" });
        let _ = writeln!(out, "   Unicast Peer :");
        for peer in &c.unicast_peers {
            let (min, max) = (peer.min_ttl.unwrap_or(0), peer.max_ttl.unwrap_or(255));
            let _ = writeln!(out, "     {} min_ttl {min} max_ttl {max}", peer.address);
        }
    }
    if !c.routes.is_empty() {
        let _ = writeln!(out, "   Virtual Routes :");
        c.routes.iter().for_each(|r| {
            let _ = writeln!(out, "     {}", r.text);
        });
    }
    if !c.rules.is_empty() {
        let _ = writeln!(out, "   Virtual Rules :");
        c.rules.iter().for_each(|r| {
            let _ = writeln!(out, "     {}", r.text);
        });
    }
}

fn trackers(out: &mut String, router: &Router) {
    let config = &router.config;
    if !config.scripts.is_empty() {
        let _ = writeln!(out, "------< VRRP Scripts >------");
    }
    for s in &config.scripts {
        let _ = writeln!(out, " VRRP Script = {}", s.name);
        let _ = writeln!(out, "   Command = {}", quoted(&s.command));
        let _ = writeln!(out, "   Interval = {} sec", s.interval.as_secs_f64());
        let _ = writeln!(out, "   Timeout = {} sec", s.timeout.unwrap_or_default().as_secs_f64());
        let _ = writeln!(out, "   Weight = {}{}", s.weight, if s.reverse { " reverse" } else { "" });
        let _ = writeln!(out, "   Rise = {}\n   Fall = {}", s.rise, s.fall);
        let _ = writeln!(out, "   Insecure = {}", if s.command.insecure { "yes" } else { "no" });
        let status = router.script(&s.name).map_or("INIT", |up| if up { "GOOD" } else { "BAD" });
        let _ = writeln!(out, "   Status = {status}");
    }
    if !config.files.is_empty() {
        let _ = writeln!(out, "------< VRRP Track files >------");
    }
    for f in &config.files {
        let _ = writeln!(out, " Track file = {}\n   File = {}", f.name, f.path.display());
        let _ = writeln!(out, "   Status = {}\n   Weight = {}", router.file(&f.name).unwrap_or(0), f.weight);
    }
    if !config.processes.is_empty() {
        let _ = writeln!(out, "------< VRRP Track processes >------");
    }
    for p in &config.processes {
        let _ = writeln!(out, " VRRP Track process = {}\n   Process = {}", p.name, p.program);
        if let Some(params) = &p.params {
            let _ = writeln!(out, "   Parameters = {}", params.join(" "));
        }
        let _ = writeln!(out, "   Min processes = {}", p.quorum);
        let have = router.process(&p.name) == Some(true);
        let _ = writeln!(out, "   Have quorum = {}\n   Weight = {}", yes(have), p.weight);
        let _ = writeln!(out, "   Terminate delay = {:.6}s", p.terminate_delay.as_secs_f64());
        let _ = writeln!(out, "   Fork delay = {:.6}s", p.fork_delay.as_secs_f64());
        let _ = writeln!(out, "   Full command = {}", yes(p.full_command || p.params.is_some()));
    }
}

fn groups(out: &mut String, router: &Router) {
    if !router.groups.is_empty() {
        let _ = writeln!(out, "------< VRRP Sync groups >------");
    }
    for group in &router.groups {
        let c = &group.config;
        let _ = writeln!(out, " VRRP Sync Group = {}, {}", c.name, group.state);
        let _ = writeln!(out, "   VRRP member instances :");
        c.members.iter().for_each(|m| {
            let _ = writeln!(out, "     {m}");
        });
        tracked(out, "Tracked interfaces", &c.track_interfaces);
        tracked(out, "Tracked scripts", &c.track_scripts);
        tracked(out, "Tracked files", &c.track_files);
        tracked(out, "Tracked process", &c.track_processes);
        let _ = writeln!(out, "   Using smtp notification = {}", if c.smtp_alert { "yes" } else { "no" });
        scripts(out, &c.notify);
    }
}

fn interfaces(out: &mut String, router: &Router) {
    let _ = writeln!(out, "------< Interfaces >------");
    for link in router.links() {
        let list = router.link_addresses(link.index);
        let first = |v4: bool| list.iter().find(|a: &&IpAddr| a.is_ipv4() == v4).map(ToString::to_string);
        let _ = writeln!(out, " Name = {}\n   index = {}", link.name, link.index);
        let _ = writeln!(out, "   IPv4 address = {}", first(true).unwrap_or_else(|| "(none)".into()));
        let _ = writeln!(out, "   IPv6 address = {}", first(false).unwrap_or_else(|| "(none)".into()));
        let _ = writeln!(out, "   State = {}", if link.up { "UP, RUNNING" } else { "not UP, not RUNNING" });
        let _ = writeln!(out, "   NIC netlink status update");
        let tracks: Vec<&Member> =
            router.members.iter().filter(|m| m.config.interface == link.name).collect();
        if !tracks.is_empty() {
            let _ = writeln!(out, "   Tracking VRRP instances :");
            for m in tracks {
                let _ = writeln!(out, "     {}, weight 0", m.config.name);
            }
        }
    }
}

/// keepalived.data: configuration and state.
pub fn data(router: &Router) -> Written {
    let mut out = String::new();
    globals(&mut out, &router.config);
    out.push_str("------< VRRP Topology >------\n");
    router.members.iter().for_each(|m| member(&mut out, router, m));
    groups(&mut out, router);
    trackers(&mut out, router);
    interfaces(&mut out, router);
    let file = path(router.config.globals.state_dump_file.as_ref(), &router.config, "data");
    write(file, &out)
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

fn state_number(state: StateName) -> u8 {
    match state {
        StateName::Init => 0,
        StateName::Backup => 1,
        StateName::Master => 2,
        StateName::Fault => 3,
    }
}

fn auth_number(authentication: &Authentication) -> u8 {
    match authentication {
        Authentication::None => 0,
        Authentication::Pass(_) => 1,
        Authentication::Ah(_) => 2,
    }
}

fn member_json(m: &Member) -> Value {
    let c = &m.config;
    let state = m.machine.name();
    let number = state_number(state);
    let seconds = |d: Duration| json!(d.as_secs());
    let interval = |d: Duration| match c.version {
        Version::V2 => json!(d.as_secs()),
        Version::V3 => json!(d.as_secs_f64()),
    };
    let follows = m.machine.follows();
    let mut data = json!({
        "iname": c.name,
        "dont_track_primary": u8::from(c.dont_track_primary),
        "skip_check_adv_addr": u8::from(c.skip_check_adv_addr),
        "strict_mode": u8::from(c.strict),
        "vmac_ifname": c.vmac.as_ref().and_then(|v| v.name.clone()).unwrap_or_default(),
        "ifp_ifname": c.interface,
        "master_priority": follows.map_or(0, |f| f.0.priority),
        "last_transition": wall(m.since) as f64 / 1e6,
        "garp_delay": seconds(c.garp.delay),
        "garp_refresh": seconds(c.garp.refresh),
        "garp_rep": c.garp.repeat,
        "garp_refresh_rep": c.garp.refresh_repeat,
        "garp_lower_prio_delay": seconds(c.garp.lower_prio_delay),
        "garp_lower_prio_rep": c.garp.lower_prio_repeat,
        "lower_prio_no_advert": u8::from(c.lower_prio_no_advert),
        "higher_prio_send_advert": u8::from(c.higher_prio_send_advert),
        "vrid": c.vrid,
        "base_priority": c.priority,
        "effective_priority": m.machine.priority,
        "vipset": state == StateName::Master,
        "promote_secondaries": c.promote_secondaries,
        "adver_int": interval(c.advert_int),
        "master_adver_int": interval(follows.map_or(c.advert_int, |f| f.1)),
        "accept": u8::from(c.accept),
        "nopreempt": c.nopreempt,
        "preempt_delay": seconds(c.preempt_delay),
        "state": number,
        "wantstate": if m.machine.ready() { 2 } else { number },
        "version": version(c.version),
        "smtp_alert": c.smtp_alert,
        "notify_deleted": c.notify.deleted,
    });
    let Value::Object(fields) = &mut data else { return data };
    for (name, script) in [
        ("script_backup", &c.notify.backup),
        ("script_master", &c.notify.master),
        ("script_fault", &c.notify.fault),
        ("script_stop", &c.notify.stop),
        ("script", &c.notify.any),
        ("script_master_rx_lower_pri", &c.notify.master_rx_lower_pri),
    ] {
        if let Some(script) = script {
            fields.insert(name.into(), json!(quoted(script)));
        }
    }
    let list = |list: &[Address]| json!(list.iter().map(|a| vip(m, a)).collect::<Vec<_>>());
    for (name, value, there) in [
        ("vips", list(&c.vips), !c.vips.is_empty()),
        ("evips", list(&c.excluded_vips), !c.excluded_vips.is_empty()),
        ("vroutes", json!(c.routes.iter().map(|r| &r.text).collect::<Vec<_>>()), !c.routes.is_empty()),
        ("vrules", json!(c.rules.iter().map(|r| &r.text).collect::<Vec<_>>()), !c.rules.is_empty()),
    ] {
        if there {
            fields.insert(name.into(), value);
        }
    }
    fields.insert("auth_type".into(), json!(auth_number(&c.authentication)));
    json!({ "data": data, "stats": stats_json(m) })
}

fn stats_json(m: &Member) -> Value {
    let s = &m.stats;
    json!({
        "advert_rcvd": s.advert_rcvd,
        "advert_sent": s.advert_sent,
        "become_master": s.become_master,
        "release_master": s.release_master,
        "packet_len_err": s.packet_len_err,
        "advert_interval_err": s.advert_interval_err,
        "ip_ttl_err": s.ip_ttl_err,
        "invalid_type_rcvd": s.invalid_type_rcvd,
        "addr_list_err": s.addr_list_err,
        "invalid_authtype": s.invalid_authtype,
        "authtype_mismatch": s.authtype_mismatch,
        "auth_failure": s.auth_failure,
        "pri_zero_rcvd": s.pri_zero_rcvd,
        "pri_zero_sent": s.pri_zero_sent,
    })
}

/// The text of keepalived.json.
pub fn json_text(router: &Router) -> String {
    let list: Vec<Value> = router.members.iter().map(member_json).collect();
    let whole = if router.config.globals.json_version == 2 {
        let process = |p: &crate::config::model::TrackProcess| json!({ "name": p.name, "process": p.program, "have_quorum": router.process(&p.name) == Some(true) });
        let processes: Vec<Value> = router.config.processes.iter().map(process).collect();
        json!({ "vrrp": list, "track_process": processes })
    } else {
        Value::Array(list)
    };
    // The original escapes slashes.
    whole.to_string().replace('/', "\\/")
}

/// keepalived.json.
pub fn json(router: &Router) -> Written {
    let file = path(router.config.globals.json_dump_file.as_ref(), &router.config, "json");
    write(file, &json_text(router))
}
