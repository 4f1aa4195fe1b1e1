//! What can only be decided when all blocks are read: families and versions, defaults, incompatible options,
//! duplicate router ids, sync groups, script security; in the original's order and words.

use super::instance::{Draft, authentication};
use super::model::{
    Config, DynamicInterfaces, Family, Globals, InitFile, Mail, Notify, ProcessTuning, RxBuffer, RxPolicy,
    SyncGroup, TrackFile, Version,
};
use super::{Builder, device, fifo, instance, script, user};
use conf_parsers::keepalived::globals::{self as read};
use conf_parsers::keepalived::shared::DefaultUser;
use diag::{Diagnostic, Report, Severity};
use exec::security::{self, Fault};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::time::Duration;

/// Longest advert interval of version 3: 12 bits of hundredths.
const V3_ADVERT_MAX: Duration = Duration::from_millis(40_950);
/// The address owner.
const OWNER: u8 = 255;

fn say(report: &mut Report, text: impl Into<String>) {
    report.push(Diagnostic::global(Severity::Warning, text));
}

fn mail(g: &read::Globals) -> Mail {
    Mail {
        to: g.notification_email.clone(),
        from: g.notification_email_from.clone(),
        server: g.smtp_server.as_ref().map(|(host, _)| host.clone()),
        port: g.smtp_server.as_ref().map(|(_, port)| *port),
        helo: g.smtp_helo_name.clone(),
        connect_timeout: g.smtp_connect_timeout,
    }
}

/// `global_defs` as vrrpd needs it.
pub(super) fn globals(g: &read::Globals) -> Globals {
    let d = Globals::default();
    Globals {
        router_id: g.router_id.clone(),
        instance_name: g.instance.clone(),
        net_namespace: g.net_namespace.clone(),
        mail: mail(g),
        smtp_alert: g.smtp_alert,
        smtp_alert_vrrp: g.smtp_alert_vrrp,
        no_email_faults: g.no_email_faults,
        dynamic_interfaces: match (g.dynamic_interfaces, g.allow_if_changes) {
            (false, _) => DynamicInterfaces::No,
            (true, false) => DynamicInterfaces::Yes,
            (true, true) => DynamicInterfaces::AllowChanges,
        },
        default_interface: g.default_interface.clone().unwrap_or(d.default_interface),
        mcast_group4: g.vrrp_mcast_group4.unwrap_or(d.mcast_group4),
        mcast_group6: g.vrrp_mcast_group6.unwrap_or(d.mcast_group6),
        garp_interval: g.garp_interval,
        gna_interval: g.gna_interval,
        startup_delay: g.startup_delay,
        delay_after_boot: g.delay_after_boot,
        log_unknown_vrids: g.log_unknown_vrids,
        notify_priority_changes: g.vrrp_notify_priority_changes,
        fifo_write_states_on_reload: g.fifo_write_vrrp_states_on_reload,
        notify_fifo: g.notify_fifo.clone().filter(|f| !f.path.as_os_str().is_empty()).map(fifo),
        vrrp_notify_fifo: g.vrrp_notify_fifo.clone().filter(|f| !f.path.as_os_str().is_empty()).map(fifo),
        script_security: g.enable_script_security,
        script_user: match &g.script_user {
            DefaultUser::User(u) => Some(user(u.clone())),
            DefaultUser::Own | DefaultUser::Refused => None,
        },
        strict: g.strict,
        version: if g.version == Some(3) { Version::V3 } else { Version::V2 },
        rx_buffer: RxBuffer {
            policy: match g.rx_bufs_policy {
                None => RxPolicy::Unset,
                Some(read::RxPolicy::Mtu) => RxPolicy::Mtu,
                Some(read::RxPolicy::Advert) => RxPolicy::Advert,
                Some(read::RxPolicy::Octets(n)) => RxPolicy::Octets(n),
            },
            multiplier: g.rx_bufs_multiplier.unwrap_or(d.rx_buffer.multiplier),
        },
        netlink_cmd_rcv_buffer: g.vrrp_netlink_cmd_rcv_bufs,
        netlink_monitor_rcv_buffer: g.vrrp_netlink_monitor_rcv_bufs,
        process: ProcessTuning {
            nice: g.vrrp.nice,
            no_swap: g.vrrp.no_swap,
            realtime: g.vrrp.realtime,
            rlimit_rttime_us: g.vrrp.rlimit_rttime_us,
            cpus: g.vrrp.cpus.clone(),
        },
        umask: g.umask,
        json_version: g.json_version.unwrap_or(1) as u8,
        data_use_instance: g.data_use_instance,
        state_dump_file: g.state_dump_file.clone(),
        stats_dump_file: g.stats_dump_file.clone(),
        json_dump_file: g.json_dump_file.clone(),
        vmac_prefix: g.vmac_prefix.clone(),
        vmac_addr_prefix: g.vmac_addr_prefix.clone(),
        nftables_table: g.nftables.clone(),
        nftables_priority: g.nftables_priority.unwrap_or(d.nftables_priority),
        nftables_counters: g.nftables_counters,
        iptables_chains: g.iptables.clone(),
        disable_local_igmp: g.disable_local_igmp,
        lvs_sync_instance: g.lvs_sync_daemon.as_ref().and_then(|s| s.instance.clone()),
    }
}

/// Decides what is left and fills the model.
pub(super) fn finish(b: &mut Builder, report: &mut Report) {
    b.config.files = std::mem::take(&mut b.track_files)
        .into_iter()
        .map(|f| TrackFile {
            name: f.name,
            path: f.path.unwrap_or_default(),
            weight: f.weight,
            reverse: f.reverse,
            init: f.init.map(|(value, overwrite)| InitFile { value, overwrite }),
        })
        .collect();
    if b.config.globals.lvs_sync_instance.is_none() {
        b.config.globals.lvs_sync_instance = b.config_lvs_sync.as_ref().map(|(name, _)| name.clone());
    }
    if b.missing_interface && !b.globals.dynamic_interfaces {
        report.push(Diagnostic::global(Severity::Alert, "Non-existent interface specified in configuration"));
        return;
    }
    scripts(b, report);
    let drafts = std::mem::take(&mut b.drafts);
    let written = |d: &Draft| {
        let vmac = d.i.vmac.as_ref().and_then(|v| v.name.clone());
        vmac.or_else(|| d.i.ipvlan.as_ref().and_then(|v| v.name.clone()))
    };
    b.drafts_names = drafts.iter().filter_map(written).collect();
    for draft in drafts {
        complete(b, draft, report);
        if report.refuses() {
            return;
        }
    }
    duplicates(&mut b.config, report);
    groups(b, report);
    clear_weights(&mut b.config, report);
}

fn complete(b: &mut Builder, mut d: Draft, report: &mut Report) {
    let name = d.i.name.clone();
    if d.i.vrid == 0 {
        say(report, format!("({name}) the virtual router id must be set"));
        return;
    }
    d.i.strict = d.strict.unwrap_or(b.globals.strict);
    if !sockets(&mut d, report) {
        return;
    }
    version(b, &mut d, report);
    if d.i.vips.is_empty() && !d.no_vips {
        let how = if d.i.strict { "required" } else { "sensible" };
        // Said twice, as the original does: monitoring may count.
        say(report, format!("({name}) No VIP specified; at least one is {how}"));
        say(report, format!("({name}) No VIP specified; at least one is {how}"));
        if d.i.strict {
            return;
        }
    }
    auth(&mut d, report);
    priorities(&mut d, report);
    strict(&mut d, report);
    intervals(&mut d, report);
    d.i.accept = d.accept.unwrap_or(!d.i.strict);
    if let Some(pos) = d.i.track_interfaces.iter().position(|t| t.name == d.i.interface) {
        say(report, format!("({name}) Ignoring track_interface {} since own interface", d.i.interface));
        d.i.track_interfaces.remove(pos);
    }
    devices(b, &mut d, report);
    let first = d.i.vips.first().map(|v| v.address);
    if d.i.strict && matches!(first, Some(std::net::IpAddr::V6(a)) if a.segments()[0] & 0xffc0 != 0xfe80) {
        say(report, format!("({name}) the first IPv6 VIP address must be link local"));
    }
    d.i.smtp_alert = d.smtp_alert.or(b.globals.smtp_alert_vrrp).or(b.globals.smtp_alert).unwrap_or(false);
    b.config.instances.push(d.i);
}

/// Interface, source and peers. False when the instance can't run.
fn sockets(d: &mut Draft, report: &mut Report) -> bool {
    let name = d.i.name.clone();
    d.i.family = d.family.unwrap_or_default();
    let unicast = !d.i.unicast_peers.is_empty() || d.i.unicast_fault_no_peer;
    if d.i.interface.is_empty() {
        // No interface is guessed: it would hold an address that belongs elsewhere. Unicast with a source needs none.
        if !unicast || d.i.source.is_none() {
            report.push(Diagnostic::global(Severity::Alert, format!("({name}) Unknown interface!")));
            return false;
        }
    }
    if d.unicast_keyword && !unicast && !d.has_peer_block {
        say(
            report,
            format!(
                "({name}) A unicast keyword has been specified without any unicast peers. Defaulting to multicast. \
                 This usage is deprecated - please update your configuration."
            ),
        );
    }
    if d.i.unicast_ttl.is_some() && !unicast {
        say(report, format!("({name}): Cannot use unicast_ttl without unicast peers - resetting"));
        d.i.unicast_ttl = None;
    }
    if d.i.mcast_group.is_some() && unicast {
        say(report, format!("({name}) multicast destination specified with unicast - ignoring"));
        d.i.mcast_group = None;
    }
    true
}

/// The links an instance has made for itself.
fn devices(b: &mut Builder, d: &mut Draft, report: &mut Report) {
    let name = d.i.name.clone();
    if d.i.vmac.is_some() && d.i.promote_secondaries {
        say(report, format!("({name}) promote_secondaries is automatically set for vmacs - ignoring"));
        d.i.promote_secondaries = false;
    }
    if d.i.xmit_base && d.i.vmac.is_none() {
        say(report, format!("({name}) vmac_xmit_base is only valid with a vmac"));
        d.i.xmit_base = false;
    }
    if let Some(ipvlan) = d.i.ipvlan.as_ref().filter(|_| d.i.vmac.is_none()) {
        let address = ipvlan.address.map(|(address, _)| address);
        d.i.source = d.i.source.or(address);
        if d.i.family == Family::Inet && d.i.source.is_none() {
            say(
                report,
                format!(
                    "({name}) IPv4 ipvlan requires a source ip address to be configured. setting instance to fault state"
                ),
            );
            d.i.config_faults += 1;
        }
    }
    let i = &mut d.i;
    for a in i.vips.iter_mut().chain(&mut i.excluded_vips).filter(|a| a.use_vmac) {
        let own = a.device.as_ref().is_none_or(|device| *device == i.interface);
        if own && i.vmac.is_some() {
            say(report, format!("({name}) use_vmac specified for VIP/eVIP {} and vrrp instance", a.address));
            a.use_vmac = false;
        } else if i.vmac_addresses && !own {
            let text =
                format!("({name}) use_vmac_addr specified and use_vmac specified for VIP/eVIP {}", a.address);
            say(report, text);
        }
    }
    device::assign(b, i);
}

fn version(b: &Builder, d: &mut Draft, report: &mut Report) {
    let name = &d.i.name;
    d.i.version = d.version.unwrap_or(b.config.globals.version);
    if d.i.family == Family::Inet6 && d.i.version == Version::V2 {
        if d.version.is_some() || b.globals.version == Some(2) {
            say(report, format!("({name}) cannot use IPv6 with VRRP version 2; setting version 3"));
        }
        d.i.version = Version::V3;
    }
}

fn auth(d: &mut Draft, report: &mut Report) {
    let name = &d.i.name;
    let Some(kind) = d.auth_type.or(d.auth_data.map(|_| instance::AuthType::Pass)) else { return };
    let Some(data) = d.auth_data else {
        say(report, format!("({name}) Authentication specified but no password given. Ignoring"));
        return;
    };
    if d.auth_type.is_none() {
        return;
    }
    if d.i.strict {
        say(report, format!("({name}) Strict mode does not support authentication. Ignoring."));
    } else if d.i.version == Version::V3 {
        say(report, format!("({name}) VRRP version 3 does not support authentication. Ignoring."));
    } else if kind == instance::AuthType::Ah && d.i.family == Family::Inet6 {
        say(report, format!("({name}) Cannot use AH authentication with IPv6. ignoring"));
    } else {
        d.i.authentication = authentication(kind, data);
        if kind == instance::AuthType::Ah && d.i.wants_master {
            say(
                report,
                format!("({name}) Initial state master is incompatible with AH authentication - clearing"),
            );
            d.i.wants_master = false;
        }
    }
}

fn priorities(d: &mut Draft, report: &mut Report) {
    let name = d.i.name.clone();
    d.i.priority = d.priority.unwrap_or(if d.i.wants_master && d.i.strict { OWNER } else { 100 });
    if d.i.strict && d.i.wants_master != (d.i.priority == OWNER) {
        say(report, format!("({name}) State MASTER must match being address owner"));
        d.i.wants_master = d.i.priority == OWNER;
    }
    if d.i.nopreempt && d.i.priority == OWNER {
        say(report, format!("({name}) nopreempt is incompatible with priority {OWNER}. resetting nopreempt"));
        d.i.nopreempt = false;
    }
    if d.i.wants_master {
        if d.i.nopreempt {
            say(
                report,
                format!("({name}) Warning - nopreempt will not work with initial state MASTER - clearing"),
            );
            d.i.nopreempt = false;
        }
        if !d.i.preempt_delay.is_zero() {
            say(
                report,
                format!(
                    "({name}) Warning - preempt delay will not work with initial state MASTER - clearing"
                ),
            );
            d.i.preempt_delay = Duration::ZERO;
        }
    }
    if d.i.nopreempt && !d.i.preempt_delay.is_zero() {
        say(report, format!("({name}) preempt_delay is incompatible with nopreempt mode - resetting"));
        d.i.preempt_delay = Duration::ZERO;
    }
}

fn strict(d: &mut Draft, report: &mut Report) {
    if !d.i.strict {
        return;
    }
    let name = d.i.name.clone();
    if !d.i.unicast_peers.is_empty() {
        say(report, format!("({name}) Unicast peers are not supported in strict mode"));
        d.i.unicast_peers.clear();
    }
    if !d.i.preempt_delay.is_zero() {
        say(report, format!("({name}) preempt_delay is incompatible with strict mode - resetting"));
        d.i.preempt_delay = Duration::ZERO;
    }
    if d.i.down_timer_adverts != 3 {
        say(report, format!("({name}) down_timer_adverts is incompatible with strict mode - resetting"));
        d.i.down_timer_adverts = 3;
    }
    if d.accept == Some(true) && d.i.version == Version::V2 {
        say(
            report,
            format!(
                "({name}) warning - accept mode for VRRP version 2 does not comply with RFC3768 - resetting"
            ),
        );
        d.accept = Some(false);
    }
    if d.i.higher_prio_send_advert {
        say(report, format!("({name}) strict mode requires higher_prio_send_advert to be clear. resetting"));
        d.i.higher_prio_send_advert = false;
    }
    // RFC 3768 and 5798 know one announcement on becoming master and none for lower priorities.
    d.i.garp.repeat = 1;
    d.i.garp.delay = Duration::ZERO;
    d.i.lower_prio_no_advert = false;
}

fn intervals(d: &mut Draft, report: &mut Report) {
    let name = &d.i.name;
    let seconds = d.i.advert_int.as_secs_f64();
    if d.i.version == Version::V2 {
        if d.i.advert_int >= Duration::from_secs(256) {
            say(
                report,
                format!(
                    "({name}) VRRPv2 advertisement interval {seconds:.2}s is out of range. Must be less than 256s. Setting to 255s"
                ),
            );
            d.i.advert_int = Duration::from_secs(255);
        } else if d.i.advert_int.subsec_nanos() != 0 {
            say(
                report,
                format!("({name}) VRRPv2 advertisement interval {seconds:.6}s must be an integer. rounding"),
            );
            d.i.advert_int = Duration::from_secs((seconds.round() as u64).max(1));
        }
    } else if d.i.advert_int > V3_ADVERT_MAX {
        say(
            report,
            format!(
                "({name}) VRRPv3 advertisement interval {seconds:.2}s is out of range. Must be less than 40.96s. Setting to 40.95s"
            ),
        );
        d.i.advert_int = V3_ADVERT_MAX;
    } else if !d.i.advert_int.as_micros().is_multiple_of(10_000) {
        say(
            report,
            format!(
                "({name}) VRRPv3 advertisement interval {seconds:.6}s must be in units of 10ms - rounding"
            ),
        );
        let hundredths = (d.i.advert_int.as_micros() + 5_000) / 10_000;
        d.i.advert_int = Duration::from_millis(hundredths.max(1) as u64 * 10);
    }
}

/// The same router id twice on one wire.
fn duplicates(config: &mut Config, report: &mut Report) {
    let mut seen: HashMap<_, usize> = HashMap::new();
    let mut clashes = Vec::new();
    for (at, i) in config.instances.iter().enumerate() {
        let wire = (
            i.interface.clone(),
            i.family,
            i.vrid,
            i.vmac.is_some(),
            !i.unicast_peers.is_empty(),
            i.mcast_group,
        );
        let wire = (wire, if i.unicast_peers.is_empty() { None } else { i.source });
        match seen.get(&wire) {
            Some(first) => clashes.push((*first, at)),
            None => {
                seen.insert(wire, at);
            }
        }
    }
    for (first, second) in clashes {
        let (a, b) = (&config.instances[first], &config.instances[second]);
        let version = if b.family == Family::Inet { 4 } else { 6 };
        say(
            report,
            format!(
                "{} and {} both use VRID {} with IPv{version} on interface {}",
                a.name, b.name, b.vrid, b.interface
            ),
        );
        config.instances[second].config_faults += 1;
    }
}

fn groups(b: &mut Builder, report: &mut Report) {
    let mut taken: Vec<String> = Vec::new();
    for draft in std::mem::take(&mut b.groups) {
        let mut group = draft.g;
        let name = group.name.clone();
        if group.members.is_empty() {
            say(report, format!("Sync group {name} has no virtual router(s). removing"));
            continue;
        }
        group.members.retain(|member| {
            let exists = b.config.instances.iter().any(|i| i.name == *member);
            let free = !taken.contains(member);
            if !exists {
                say(
                    report,
                    format!(
                        "Virtual router {member} specified in sync group {name} doesn't exist - ignoring"
                    ),
                );
            } else if !free {
                say(
                    report,
                    format!(
                        "Virtual router {member} cannot exist in more than one sync group; ignoring {name}"
                    ),
                );
            }
            exists && free
        });
        if group.members.is_empty() {
            say(
                report,
                format!(
                    "Sync group {name}, no matching virtual router found in group declaration - removing"
                ),
            );
            continue;
        }
        if group.members.len() == 1 {
            say(
                report,
                format!("Sync group {name} has only 1 virtual router(s) - this probably isn't what you want"),
            );
        }
        taken.extend(group.members.iter().cloned());
        owners(&b.config, &group, report);
        group.smtp_alert =
            draft.smtp_alert.or(b.globals.smtp_alert_vrrp).or(b.globals.smtp_alert).unwrap_or(false);
        b.config.groups.push(group);
    }
}

fn owners(config: &Config, group: &SyncGroup, report: &mut Report) {
    let members = || config.instances.iter().filter(|i| group.members.contains(&i.name));
    let owners = members().filter(|i| i.priority == OWNER).count();
    if owners != 0 && owners != members().count() {
        let name = &group.name;
        say(
            report,
            format!(
                "Sync group {name} has some member(s) as address owner and some not as address owner. This won't work."
            ),
        );
    }
}

/// Weights mean nothing for an address owner.
fn clear_weights(config: &mut Config, report: &mut Report) {
    for i in config.instances.iter_mut().filter(|i| i.priority == OWNER) {
        let name = i.name.clone();
        let why = "address owner";
        i.track_scripts.retain(|t| {
            let keep = t.weight == 0;
            if !keep {
                say(report, format!("({name}) ignoring tracked script {} with weights due to {why}", t.name));
            }
            keep
        });
        i.track_interfaces.retain(|t| {
            let keep = t.weight == 0;
            if !keep {
                let weight = format!("with weight {} ", t.weight);
                say(report, format!("({name}) ignoring {} tracked interface {weight}due to {why}", t.name));
            }
            keep
        });
    }
}

/// The rules of script security for tracked scripts and notify commands.
fn scripts(b: &mut Builder, report: &mut Report) {
    let secured = b.globals.enable_script_security;
    let own_root = nix::unistd::geteuid().is_root();
    let mut violation = false;
    let mut judge = |command: &mut super::model::Command| {
        // A name that only a shell could make sense of is not looked for; it will fail when it is run.
        if command.argv[0].contains(['<', '>', '|', ';', '&']) {
            return true;
        }
        let verdict = security::inspect(OsStr::new(&command.argv[0]));
        let as_root = command.user.as_ref().map_or(own_root, |u| u.uid == 0);
        match verdict.fault {
            Some(Fault::Missing) => return false,
            // What can't be a script is refused whoever would run it.
            Some(Fault::Directory(_)) => command.insecure = true,
            Some(Fault::Insecure(_)) if as_root && secured => command.insecure = true,
            _ => {}
        }
        violation |= as_root && !secured;
        true
    };
    let mut gone: Vec<(String, &str)> = Vec::new();
    let used: Vec<String> = {
        let instances = b.drafts.iter().flat_map(|d| &d.i.track_scripts);
        instances.chain(b.groups.iter().flat_map(|g| &g.g.track_scripts)).map(|t| t.name.clone()).collect()
    };
    for s in &mut b.config.scripts {
        if !used.contains(&s.name) {
            continue;
        }
        if !judge(&mut s.command) {
            gone.push((s.name.clone(), "since not found/accessible"));
        } else if s.command.insecure {
            gone.push((s.name.clone(), "due to insecure"));
        }
    }
    let mut notify = |n: &mut Notify| {
        let mut probe = Config::default();
        probe.groups.push(SyncGroup { notify: std::mem::take(n), ..SyncGroup::default() });
        for command in script::commands(&mut probe) {
            if !judge(command) {
                command.insecure = true;
            }
        }
        if let Some(group) = probe.groups.pop() {
            *n = group.notify;
        }
    };
    b.drafts.iter_mut().for_each(|d| notify(&mut d.i.notify));
    // Groups without any instance are removed later, their scripts with them.
    let exists = |name: &String| b.drafts.iter().any(|d| d.i.name == *name);
    let living = b.groups.iter_mut().filter(|g| g.g.members.iter().any(exists));
    living.for_each(|g| notify(&mut g.g.notify));
    for (name, why) in gone {
        say(report, format!("Disabling track script {name} {why}"));
        b.config.scripts.retain(|s| s.name != name);
        b.drafts.iter_mut().for_each(|d| d.i.track_scripts.retain(|t| t.name != name));
        b.groups.iter_mut().for_each(|g| g.g.track_scripts.retain(|t| t.name != name));
    }
    if violation {
        say(report, super::SECURITY_VIOLATION);
    }
}
