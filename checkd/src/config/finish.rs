//! What can only be decided when all blocks are read: groups, families, ports, defaults, quorums, inheritance and
//! script security; in the original's order and words.

use super::model::{
    Checker, CheckerKind, Connection, DELAY_LOOP, Family, FlushOnStop, Globals, GroupEntry, IpvsTimeouts,
    Mail, Method, Protocol, RealServer, Script, SorryServer, SyncDaemon, Target, TrackFile, VirtualServer,
};
use super::service::{Draft, RealDraft};
use super::{Builder, SECURITY_VIOLATION, fifo};
use conf_parsers::keepalived::globals as read;
use diag::{Diagnostic, Report, Severity};
use exec::security::{self, Fault};
use std::ffi::OsStr;
use std::net::SocketAddr;

/// What SMTP_CHECK says it is where `helo_name` is not given.
const SMTP_CHECK_HELO: &str = "smtpchecker.keepalived.org";

fn say(report: &mut Report, text: impl Into<String>) {
    report.push(Diagnostic::global(Severity::Warning, text));
}

/// `global_defs` as checkd needs it.
pub(super) fn globals(g: &read::Globals) -> Globals {
    let host = || nix::unistd::gethostname().ok().and_then(|h| h.into_string().ok()).unwrap_or_default();
    Globals {
        router_id: g.router_id.clone().unwrap_or_else(host),
        net_namespace_ipvs: g.net_namespace_ipvs.clone(),
        lvs_flush: g.lvs_flush,
        lvs_flush_on_stop: match g.lvs_flush_on_stop {
            None => FlushOnStop::No,
            Some(false) => FlushOnStop::Full,
            Some(true) => FlushOnStop::Services,
        },
        lvs_timeouts: IpvsTimeouts {
            tcp_s: g.lvs_timeouts.tcp,
            tcp_fin_s: g.lvs_timeouts.tcpfin,
            udp_s: g.lvs_timeouts.udp,
        },
        sync_daemon: g.lvs_sync_daemon.as_ref().map(|s| SyncDaemon {
            interface: s.interface.clone(),
            instance: s.instance.clone(),
            id: s.id,
            max_len: s.maxlen,
            port: s.port,
            ttl: s.ttl,
            group: s.group,
        }),
        log_all_failures: g.checker_log_all_failures,
        smtp_alert: g.smtp_alert_checker.or(g.smtp_alert),
        no_checker_emails: g.no_checker_emails,
        rs_init_notifies: g.rs_init_notifies,
        lvs_fifo: g.lvs_notify_fifo.clone().filter(|f| !f.path.as_os_str().is_empty()).map(fifo),
        fifo: g.notify_fifo.clone().filter(|f| !f.path.as_os_str().is_empty()).map(fifo),
        mail: Mail {
            server: g.smtp_server.clone(),
            helo_name: g.smtp_helo_name.clone().unwrap_or_else(host),
            connect_timeout: g.smtp_connect_timeout,
            from: g.notification_email_from.clone(),
            to: g.notification_email.clone(),
        },
        priority: g.checker.nice,
        rt_priority: g.checker.realtime,
        no_swap: g.checker.no_swap,
        cpu_affinity: g.checker.cpus.clone(),
        rlimit_rttime_us: g.checker.rlimit_rttime_us,
    }
}

/// Decides what is left and fills the model.
pub(super) fn finish(b: &mut Builder, report: &mut Report) {
    b.model.track_files = std::mem::take(&mut b.track_files)
        .into_iter()
        .map(|f| TrackFile {
            name: f.name,
            path: f.path.unwrap_or_default(),
            weight: f.weight,
            reverse: f.reverse,
            init: f.init,
        })
        .collect();
    for draft in std::mem::take(&mut b.services) {
        service(b, draft, report);
    }
    security_rules(b, report);
}

fn name(draft: &Draft) -> String {
    match &draft.target {
        Some(Target::Address(address)) => shown(*address, draft.protocol),
        Some(Target::Fwmark(mark)) => format!("FWM {mark}"),
        Some(Target::Group(group)) => format!("[{group}]"),
        None => String::new(),
    }
}

fn service(b: &mut Builder, mut d: Draft, report: &mut Report) {
    let Some(target) = d.target.clone() else { return };
    let Some(family) = family(b, &d, &target, report) else { return };
    if d.reals.is_empty() {
        say(report, format!("Virtual server {} has no real servers - ignoring", name(&d)));
        return;
    }
    let is_mark = matches!(target, Target::Fwmark(_));
    if is_mark && d.ha_suspend {
        say(
            report,
            format!("Virtual server {}: cannot use ha_suspend with fwmarks - clearing ha_suspend", name(&d)),
        );
        d.ha_suspend = false;
    }
    if is_mark && d.protocol.is_some() {
        let text = format!(
            "Warning: Virtual server {}: protocol specified for fwmark - protocol will be ignored",
            name(&d)
        );
        say(report, text);
        d.protocol = None;
    }
    if d.protocol.is_none() && matches!(target, Target::Address(_)) {
        say(report, format!("Virtual server {}: no protocol set - defaulting to UDP", name(&d)));
        d.protocol = Some(Protocol::Udp);
    }
    if d.ops && d.protocol != Some(Protocol::Udp) && !is_mark {
        say(report, format!("Virtual server {}: one packet scheduling requires UDP - resetting", name(&d)));
        d.ops = false;
    }
    if matches!(target, Target::Address(a) if a.port() == 0) && d.persistence_s.is_none() {
        say(
            report,
            format!("Virtual server {}: zero port only valid for persistent services - setting", name(&d)),
        );
        d.persistence_s = Some(super::model::PERSISTENCE_TIMEOUT_S);
    }
    if d.scheduler.is_none() {
        say(report, format!("Virtual server {}: no scheduler set, setting default 'wlc'", name(&d)));
    }
    reals(&mut d, &target, report);
    let total: u64 = d.reals.iter().map(|r| u64::from(r.weight.or(d.weight).unwrap_or(1))).sum();
    let mut quorum = d.quorum.unwrap_or(1);
    if u64::from(quorum) > total {
        let text = format!(
            "Warning - quorum {quorum} for {} exceeds total weight of real servers {total}, reducing quorum to {total}",
            name(&d)
        );
        say(report, text);
        quorum = total as u32;
    }
    if d.hysteresis >= quorum && d.hysteresis != 0 {
        let reduced = quorum.saturating_sub(1);
        let text = format!(
            "Virtual server {}: hysteresis {} >= quorum {quorum}; setting hysteresis to {reduced}",
            name(&d),
            d.hysteresis
        );
        say(report, text);
        d.hysteresis = reduced;
    }
    let service = model_service(b, d, target, family, quorum);
    b.model.services.push(service);
}

/// The service's family; `None` when it can't be (the complaint was made).
fn family(b: &Builder, d: &Draft, target: &Target, report: &mut Report) -> Option<Family> {
    let Target::Group(group_name) = target else {
        return Some(
            d.family.or_else(|| d.reals.first().map(|r| Family::of(r.address.ip()))).unwrap_or(Family::Inet),
        );
    };
    let Some(group) = b.model.groups.iter().find(|g| g.name == *group_name) else {
        // The original says nothing of it, runs the checks and has nothing to put into the table.
        let text = format!("Virtual server group {group_name} is not configured: {} serves nothing", name(d));
        report.push(Diagnostic::global(Severity::Diag, text));
        let of_reals = d.reals.first().map(|r| Family::of(r.address.ip()));
        return Some(d.family.or(of_reals).unwrap_or(Family::Inet));
    };
    let of_entries = group.entries.iter().find_map(|e| match e {
        GroupEntry::Range { first, .. } => Some(Family::of(first.ip())),
        GroupEntry::Fwmark { family, .. } => *family,
    });
    let of_reals = d.reals.first().map(|r| Family::of(r.address.ip()));
    Some(d.family.or(of_entries).or(of_reals).unwrap_or(Family::Inet))
}

/// Duplicates, forwarding methods and ports of the real servers.
fn reals(d: &mut Draft, target: &Target, report: &mut Report) {
    let vs = name(d);
    let protocol = d.protocol;
    let mut seen: Vec<SocketAddr> = Vec::new();
    d.reals.retain(|r| {
        let first = !seen.contains(&r.address);
        if !first {
            let rs = shown(r.address, protocol);
            say(report, format!("VS {vs}: real server {rs} is duplicated - removing second rs"));
        }
        seen.push(r.address);
        first
    });
    if d.method.is_none() && d.reals.iter().any(|r| r.method.is_none()) {
        say(report, format!("Virtual server {vs}: no forwarding method set, setting default NAT"));
    }
    let default = d.method.unwrap_or(Method::Nat);
    for r in &mut d.reals {
        let method = r.method.unwrap_or(default);
        let rs = shown(r.address, protocol);
        match target {
            Target::Address(vip) => {
                let wants_same = method != Method::Nat;
                if r.address.port() == 0 {
                    r.address.set_port(vip.port());
                } else if wants_same && r.address.port() != vip.port() {
                    say(
                        report,
                        format!(
                            "WARNING - virtual server {vs} and real server {rs} ports don't match - resetting"
                        ),
                    );
                    r.address.set_port(vip.port());
                }
            }
            Target::Fwmark(_) if r.address.port() != 0 && method != Method::Nat => {
                say(
                    report,
                    format!(
                        "WARNING - fwmark virtual server {vs}, real server {rs} has port specified - clearing"
                    ),
                );
                r.address.set_port(0);
            }
            Target::Fwmark(_) | Target::Group(_) => {}
        }
    }
}

fn model_service(b: &Builder, d: Draft, target: Target, family: Family, quorum: u32) -> VirtualServer {
    let mut s = VirtualServer::new(target, family);
    s.protocol = d.protocol.unwrap_or(Protocol::None);
    s.scheduler = d.scheduler.clone().unwrap_or(s.scheduler);
    s.flags = d.flags;
    s.hashed = d.hashed;
    s.one_packet = d.ops;
    s.method = d.method.unwrap_or(Method::Nat);
    s.persistence_engine.clone_from(&d.engine);
    s.persistence_timeout_s = d.persistence_s;
    s.persistence_granularity = d.granularity;
    s.ha_suspend = d.ha_suspend;
    s.smtp_alert = d.smtp_alert.or(b.model.globals.smtp_alert).unwrap_or(false);
    s.virtualhost.clone_from(&d.virtualhost);
    s.snmp_name.clone_from(&d.snmp_name);
    s.alpha = d.alpha;
    s.omega = d.omega;
    s.quorum = quorum.max(1);
    s.hysteresis = d.hysteresis;
    s.quorum_up.clone_from(&d.quorum_up);
    s.quorum_down.clone_from(&d.quorum_down);
    s.sorry =
        d.sorry.clone().map(|sorry| SorryServer { method: d.sorry_method.unwrap_or(s.method), ..sorry });
    s.inhibit_on_failure = d.inhibit;
    s.delay_loop = d.timers.delay_loop.unwrap_or(DELAY_LOOP);
    let reals: Vec<RealServer> = d.reals.iter().map(|r| model_real(b, &d, &s, r)).collect();
    s.real_servers = reals;
    s
}

fn model_real(b: &Builder, d: &Draft, s: &VirtualServer, r: &RealDraft) -> RealServer {
    let mut real = RealServer::new(r.address, s);
    real.weight = r.weight.or(d.weight).unwrap_or(real.weight);
    real.method = r.method.unwrap_or(real.method);
    real.upper_threshold = r.upper;
    real.lower_threshold = r.lower;
    real.inhibit_on_failure = r.inhibit.unwrap_or(real.inhibit_on_failure);
    real.alpha = r.alpha.unwrap_or(real.alpha);
    real.smtp_alert = r.smtp_alert.or(d.smtp_alert).or(b.model.globals.smtp_alert).unwrap_or(true);
    real.virtualhost = r.virtualhost.clone().or(real.virtualhost);
    real.snmp_name.clone_from(&r.snmp_name);
    real.notify_up.clone_from(&r.notify_up);
    real.notify_down.clone_from(&r.notify_down);
    for c in &r.checkers {
        let timers = c.timers.or(r.timers).or(d.timers);
        let delay_loop = timers.delay_loop.unwrap_or(DELAY_LOOP);
        let mut checker = Checker::new(c.kind.clone(), &real, delay_loop);
        checker.retry = timers.retry.unwrap_or(checker.retry);
        checker.delay_before_retry = timers.delay_before_retry.unwrap_or(checker.delay_before_retry);
        checker.warmup = timers.warmup.unwrap_or(checker.warmup);
        checker.alpha = c.alpha.unwrap_or(checker.alpha);
        checker.log_all_failures = c.log_all.unwrap_or(b.model.globals.log_all_failures);
        let port = c.port.unwrap_or(match (&c.kind, r.address.port()) {
            (CheckerKind::Smtp { .. }, 0) => 25,
            (CheckerKind::Dns { .. }, 0) => 53,
            (_, port) => port,
        });
        let mut connection = Connection::new(SocketAddr::new(c.ip.unwrap_or(r.address.ip()), port));
        connection.bind_address = c.bind_ip;
        connection.bind_port = c.bind_port;
        connection.bind_interface.clone_from(&c.bind_if);
        connection.fwmark = c.fwmark;
        connection.timeout = timers.connect_timeout.unwrap_or(connection.timeout);
        checker.connection = connection;
        if let CheckerKind::Http(http) = &mut checker.kind {
            http.virtualhost = http.virtualhost.clone().or_else(|| real.virtualhost.clone());
        }
        if let CheckerKind::Smtp { helo_name } = &mut checker.kind
            && helo_name.is_empty()
        {
            SMTP_CHECK_HELO.clone_into(helo_name);
        }
        real.checkers.push(checker);
    }
    real
}

/// The rules of script security for checks and notify commands.
fn security_rules(b: &mut Builder, report: &mut Report) {
    let secured = b.globals.enable_script_security;
    let mut violation = false;
    let mut judge = |script: &Script| -> Option<&'static str> {
        match security::inspect(OsStr::new(&script.argv[0])).fault {
            Some(Fault::Directory(_)) => {
                violation |= !secured;
                return Some("since not found/accessible");
            }
            Some(Fault::Missing) => return Some("since not found/accessible"),
            Some(Fault::Insecure(_)) if script.uid == 0 && secured => return Some("due to insecure"),
            _ => {}
        }
        violation |= !secured;
        None
    };
    for service in &mut b.model.services {
        for slot in [&mut service.quorum_up, &mut service.quorum_down] {
            if slot.as_ref().is_some_and(|s| judge(s).is_some()) {
                *slot = None;
            }
        }
        for real in &mut service.real_servers {
            for slot in [&mut real.notify_up, &mut real.notify_down] {
                if slot.as_ref().is_some_and(|s| judge(s).is_some()) {
                    *slot = None;
                }
            }
            real.checkers.retain(|c| {
                let CheckerKind::Misc { script, .. } = &c.kind else { return true };
                let fault = judge(script);
                if let Some(why) = fault {
                    let text = conf_parsers::keepalived::shared::quoted(&script.argv);
                    // With -t the original takes such a check out without a word.
                    let text = format!("Disabling misc script {text} {why}");
                    report.push(Diagnostic::global(Severity::Notice, text));
                }
                fault.is_none()
            });
        }
    }
    if violation {
        say(report, SECURITY_VIOLATION);
    }
}

/// An address as the original's messages show it: `[10.0.0.1]:tcp:80`.
pub(super) fn shown(address: SocketAddr, protocol: Option<Protocol>) -> String {
    let protocol = match protocol {
        Some(Protocol::Tcp) => "tcp",
        Some(Protocol::Udp) => "udp",
        Some(Protocol::Sctp) => "sctp",
        Some(Protocol::None) | None => "none",
    };
    format!("[{}]:{protocol}:{}", address.ip(), address.port())
}
