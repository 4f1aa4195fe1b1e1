//! The global definitions, those of other parts of the program included: the original prints them all.

use super::{enabled, version, yes};
use crate::config::model::Config;
use conf_parsers::keepalived::globals::Tuning;
use std::fmt::Write as _;
use std::time::Duration;

/// The original's default of `smtp_connect_timeout`.
const SMTP_TIMEOUT: Duration = Duration::from_secs(30);
/// The original's default of `*_rlimit_rttime`.
const RTTIME_US: u64 = 10_000;
/// The original's default.
const UMASK: u32 = 0o177;

pub(super) fn globals(out: &mut String, config: &Config) {
    let (g, w) = (&config.globals, &config.written);
    let host = || nix::unistd::gethostname().map(|h| h.to_string_lossy().into_owned()).unwrap_or_default();
    let unset = |value: Option<bool>| value.map_or("unset", yes);
    let _ = writeln!(out, "------< Global definitions >------");
    let _ = writeln!(out, " Network namespace = {}", g.net_namespace.as_deref().unwrap_or("(default)"));
    let ipvs = w.net_namespace_ipvs.as_deref().unwrap_or("(main namespace)");
    let _ = writeln!(out, " Network namespace ipvs = {ipvs}");
    if let Some(name) = &g.instance_name {
        let _ = writeln!(out, " Instance name = {name}");
    }
    let _ = writeln!(out, " Router ID = {}", g.router_id.clone().unwrap_or_else(host));
    if let Some(server) = &g.mail.server {
        let _ = writeln!(out, " Smtp server = {server}\n Smtp server port = {}", g.mail.port.unwrap_or(25));
    }
    if g.mail.server.is_some() {
        let _ = writeln!(out, " Smtp HELO name = {}", g.mail.helo.clone().unwrap_or_else(host));
        let wait = w.smtp_connect_timeout.unwrap_or(SMTP_TIMEOUT);
        let _ = writeln!(out, " Smtp server connection timeout = {}", wait.as_secs());
    }
    if let Some(from) = &g.mail.from {
        let _ = writeln!(out, " Email notification from = {from}");
    }
    if !g.mail.to.is_empty() {
        let _ = writeln!(out, " Email notification to:");
        g.mail.to.iter().for_each(|to| {
            let _ = writeln!(out, "   {to}");
        });
    }
    let _ = writeln!(out, " Default smtp_alert = {}", unset(g.smtp_alert));
    let _ = writeln!(out, " Default smtp_alert_vrrp = {}", unset(g.smtp_alert_vrrp));
    let _ = writeln!(out, " Default smtp_alert_checker = {}", unset(w.smtp_alert_checker));
    let _ = writeln!(out, " Checkers log all failures = {}", yes(w.checker_log_all_failures));
    let test = if w.reload_check_config { "Test" } else { "No test" };
    let _ = writeln!(out, " {test} config before reload");
    let dynamic = g.dynamic_interfaces != crate::config::model::DynamicInterfaces::No;
    let _ = writeln!(out, " Dynamic interfaces = {}", yes(dynamic));
    if !g.default_interface.is_empty() {
        let _ = writeln!(out, " Default interface = {}", g.default_interface);
    }
    notices(out, config);
    processes(out, config);
    scripts(out, config);
}

/// Pipes and the defaults of the protocol.
fn notices(out: &mut String, config: &Config) {
    let (g, w) = (&config.globals, &config.written);
    let _ = writeln!(out, " Disable local IGMP = {}", if g.disable_local_igmp { "yes" } else { "no" });
    let _ = writeln!(out, " LVS flush = {}", yes(w.lvs_flush));
    let stop = match w.lvs_flush_on_stop {
        None => "disabled",
        Some(true) => "VS",
        Some(false) => "full",
    };
    let _ = writeln!(out, " LVS flush on stop = {stop}");
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
    garp(out, config);
    let seconds = |d: Option<Duration>| d.unwrap_or_default().as_secs_f64();
    let _ = writeln!(out, " Gratuitous ARP interval = {:.6}", seconds(g.garp_interval));
    let _ = writeln!(out, " Gratuitous NA interval = {:.6}", seconds(g.gna_interval));
    let _ = writeln!(out, " VRRP default protocol version = {}", version(g.version));
}

/// Tuning of the parts, and what is not built in.
fn processes(out: &mut String, config: &Config) {
    let (g, w) = (&config.globals, &config.written);
    let _ = writeln!(out, " nftables without counters");
    // The original's library; here the kernel is spoken to without one.
    let _ = writeln!(out, " libnftnl version none");
    let _ = writeln!(out, " VRRP check unicast_src = {}", yes(w.check_unicast_src));
    let _ = writeln!(out, " VRRP skip check advert addresses = {}", yes(w.skip_check_adv_addr));
    let _ = writeln!(out, " VRRP strict mode = {}", yes(g.strict));
    let _ = writeln!(out, " Max auto priority = 0");
    let _ = writeln!(out, " Min auto priority delay = 1000000 usecs");
    for (name, tuning) in [("VRRP", &w.vrrp), ("Checker", &w.checker), ("BFD", &Tuning::default())] {
        let _ = writeln!(out, " {name} process priority = {}", tuning.nice.unwrap_or(0));
        let _ = writeln!(out, " {name} don't swap = {}", yes(tuning.no_swap));
        let _ = writeln!(out, " {name} realtime priority = {}", tuning.realtime.unwrap_or(0));
        let limit = tuning.rlimit_rttime_us.unwrap_or(RTTIME_US);
        let _ = writeln!(out, " {name} realtime limit = {limit}");
    }
    for what in ["SNMP vrrp", "SNMP checker", "SNMP RFCv2", "SNMP RFCv3", "SNMP traps"] {
        let _ = writeln!(out, " {what} disabled");
    }
    let _ = writeln!(out, " SNMP socket = default (unix:/var/agentx/master)");
    let _ = writeln!(out, " DBus disabled\n DBus service name = ");
}

/// Whom scripts run as, and buffers.
fn scripts(out: &mut String, config: &Config) {
    let (g, w) = (&config.globals, &config.written);
    let _ = writeln!(out, " Script security {}", enabled(g.script_security));
    if let Some(user) = &g.script_user {
        let _ = writeln!(out, " Default script uid:gid {}:{}", user.uid, user.gid);
    }
    for (name, octets) in [
        ("vrrp_netlink_cmd", w.vrrp_netlink_cmd_rcv_bufs),
        ("vrrp_netlink_monitor", w.vrrp_netlink_monitor_rcv_bufs),
        ("process_monitor", None),
        ("lvs_netlink_cmd", None),
        ("lvs_netlink_monitor", None),
    ] {
        let _ = writeln!(out, " {name}_rcv_bufs = {}\n {name}_rcv_bufs_force = 0", octets.unwrap_or(0));
    }
    let _ = writeln!(out, " rs_init_notifies = {}", u8::from(w.rs_init_notifies));
    let _ = writeln!(out, " no_checker_emails = {}", u8::from(w.no_checker_emails));
    let _ = writeln!(out, " rx_bufs_multiples = {}", g.rx_buffer.multiplier);
    if let Some(delay) = g.startup_delay {
        let _ = writeln!(out, " vrrp_startup_delay = {}", delay.as_secs_f64());
    }
    if g.log_unknown_vrids {
        let _ = writeln!(out, " log_unknown_vrids");
    }
    let _ = writeln!(out, " umask = {:04o}", g.umask.unwrap_or(UMASK));
}

/// The defaults of instances that say nothing.
fn garp(out: &mut String, config: &Config) {
    let d = &config.defaults;
    let g = &d.garp;
    let _ = writeln!(out, " Gratuitous ARP delay = {}", g.delay.as_secs());
    let _ = writeln!(out, " Gratuitous ARP repeat = {}", g.repeat);
    let _ = writeln!(out, " Gratuitous ARP refresh timer = {}", g.refresh.as_secs());
    let _ = writeln!(out, " Gratuitous ARP refresh repeat = {}", g.refresh_repeat);
    let _ = writeln!(out, " Gratuitous ARP lower priority delay = {}", g.lower_prio_delay.as_secs());
    let _ = writeln!(out, " Gratuitous ARP lower priority repeat = {}", g.lower_prio_repeat);
    let _ = writeln!(out, " Num adverts before down = {}", d.down_timer_adverts);
    let _ = writeln!(out, " Gratuitous ARP for each secondary VMAC = {}s", g.extra_interval.as_secs());
    let lower = yes(!d.lower_prio_no_advert);
    let _ = writeln!(out, " Send advert after receive lower priority advert = {lower}");
    let higher = yes(d.higher_prio_send_advert);
    let _ = writeln!(out, " Send advert after receive higher priority advert = {higher}");
}
