//! `global_defs` and the top-level settings: read once, by the first pass, for all parts.
//!
//! Invariant: values are in range; what a part does with them is its own business. Absent on purpose: defaults
//! that depend on the host.

use super::number::boolean;
use super::shared::{Command, DefaultUser, Fifo, SCRIPT_USER, User};
use super::walk::{
    Line, Row, Standing, Step, Takes, block, elsewhere, ignore, no_effect, no_extra, not_yet, nothing, words,
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::time::Duration;

/// All of `global_defs`; what was not written is `None` or empty.
#[derive(Debug, Clone, PartialEq, Default)]
#[expect(missing_docs, reason = "each field is the keyword of its name, see keepalived.conf(5)")]
pub struct Globals {
    pub instance: Option<String>,
    pub net_namespace: Option<String>,
    pub net_namespace_ipvs: Option<String>,
    pub use_pid_dir: bool,
    pub linkbeat_use_polling: bool,
    pub child_wait_time: Option<u32>,
    pub process_names: bool,
    pub process_name: Option<String>,
    pub vrrp_process_name: Option<String>,
    pub checker_process_name: Option<String>,
    pub router_id: Option<String>,
    pub notification_email: Vec<String>,
    pub notification_email_from: Option<String>,
    pub smtp_server: Option<(String, u16)>,
    pub smtp_helo_name: Option<String>,
    pub smtp_connect_timeout: Option<Duration>,
    pub smtp_alert: Option<bool>,
    pub smtp_alert_vrrp: Option<bool>,
    pub smtp_alert_checker: Option<bool>,
    pub no_email_faults: bool,
    pub no_checker_emails: bool,
    pub checker_log_all_failures: bool,
    pub rs_init_notifies: bool,
    pub startup_script: Option<Command>,
    pub startup_script_timeout: Option<u32>,
    pub shutdown_script: Option<Command>,
    pub shutdown_script_timeout: Option<u32>,
    pub dynamic_interfaces: bool,
    pub allow_if_changes: bool,
    pub default_interface: Option<String>,
    pub disable_local_igmp: bool,
    pub v3_checksum_as_v2: bool,
    pub lvs_timeouts: LvsTimeouts,
    pub lvs_flush: bool,
    /// `Some(true)`: only virtual servers (`VS`).
    pub lvs_flush_on_stop: Option<bool>,
    pub lvs_sync_daemon: Option<LvsSyncDaemon>,
    pub vrrp_mcast_group4: Option<Ipv4Addr>,
    pub vrrp_mcast_group6: Option<Ipv6Addr>,
    pub garp_master_delay: Option<u32>,
    pub garp_master_repeat: Option<u32>,
    pub garp_master_refresh: Option<u32>,
    pub garp_master_refresh_repeat: Option<u32>,
    pub garp_lower_prio_delay: Option<u32>,
    pub garp_lower_prio_repeat: Option<u32>,
    pub down_timer_adverts: Option<u32>,
    pub garp_interval: Option<Duration>,
    pub gna_interval: Option<Duration>,
    pub min_garp: bool,
    pub garp_extra_if: Option<(u32, bool)>,
    pub lower_prio_no_advert: bool,
    pub higher_prio_send_advert: bool,
    pub owner_ignore_adverts: bool,
    pub version: Option<u8>,
    pub iptables: Option<(String, String)>,
    pub nftables: Option<String>,
    pub nftables_priority: Option<i32>,
    pub check_unicast_src: bool,
    pub skip_check_adv_addr: bool,
    pub strict: bool,
    pub vrrp: Tuning,
    pub checker: Tuning,
    pub notify_fifo: Option<Fifo>,
    pub vrrp_notify_fifo: Option<Fifo>,
    pub lvs_notify_fifo: Option<Fifo>,
    pub vrrp_notify_priority_changes: bool,
    pub fifo_write_vrrp_states_on_reload: bool,
    pub script_user: DefaultUser,
    pub enable_script_security: bool,
    pub vrrp_netlink_cmd_rcv_bufs: Option<u32>,
    pub vrrp_netlink_monitor_rcv_bufs: Option<u32>,
    pub rx_bufs_policy: Option<RxPolicy>,
    pub rx_bufs_multiplier: Option<u32>,
    pub startup_delay: Option<Duration>,
    pub delay_after_boot: Option<Duration>,
    pub log_unknown_vrids: bool,
    pub vmac_prefix: Option<String>,
    pub vmac_addr_prefix: Option<String>,
    pub umask: Option<u32>,
    pub random_seed: Option<u32>,
    pub reload_check_config: bool,
    pub data_use_instance: bool,
    pub json_version: Option<u32>,
    pub state_dump_file: Option<PathBuf>,
    pub stats_dump_file: Option<PathBuf>,
    pub json_dump_file: Option<PathBuf>,
    /// Blocks seen of each kind, for which parts are started.
    pub has_vrrp: bool,
    pub has_checker: bool,
}

/// `lvs_timeouts`, seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the keyword's own words")]
pub struct LvsTimeouts {
    pub tcp: Option<u32>,
    pub tcpfin: Option<u32>,
    pub udp: Option<u32>,
}

/// `lvs_sync_daemon`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the keyword's own words")]
pub struct LvsSyncDaemon {
    pub interface: String,
    pub instance: Option<String>,
    pub id: Option<u8>,
    pub maxlen: Option<u16>,
    pub port: Option<u16>,
    pub ttl: Option<u8>,
    pub group: Option<IpAddr>,
}

/// `vrrp_rx_bufs_policy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the keyword's own words")]
pub enum RxPolicy {
    Mtu,
    Advert,
    Octets(u32),
}

/// How a process is run: `*_priority`, `*_no_swap`, `*_rt_priority`, `*_cpu_affinity`, `*_rlimit_rttime`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the keywords' own words")]
pub struct Tuning {
    pub nice: Option<i32>,
    pub no_swap: bool,
    pub realtime: Option<u32>,
    pub cpus: Vec<u32>,
    pub rlimit_rttime_us: Option<u64>,
}

type G = Globals;

const SNMP: &str = "there is no SNMP agent in this program; the bus and the JSON dump tell the same";
const DBUS: &str = "there is no D-Bus service in this program; the bus tells the same";
const BFD: &str = "there is no separate BFD process";
const RELOAD: &str = "a bad file never replaces the running configuration anyway";
const CHECKSUMS: &str = "names of processes are fixed";

/// The top-level table of the first pass: `global_defs`, the settings beside it, and all that the other passes
/// read.
pub static TOP: &[Row<Globals>] = &[
    words("linkbeat_use_polling", "", |g, _| set(&mut g.linkbeat_use_polling)),
    words("net_namespace", "NAME", |g, l| once(l, "net_namespace", &mut g.net_namespace)),
    words("net_namespace_ipvs", "NAME", |g, l| once(l, "net_namespace_ipvs", &mut g.net_namespace_ipvs)),
    no_effect("namespace_with_ipsets", "", "no ipsets are used", ignore),
    words("use_pid_dir", "", |g, _| set(&mut g.use_pid_dir)),
    words("instance", "NAME", |g, l| once(l, "instance", &mut g.instance)),
    words("child_wait_time", "SECS", child_wait_time),
    block("global_defs", "{", |_, _| Ok(true), GLOBAL_DEFS, nothing),
    noticed("track_group", vrrp),
    noticed("static_ipaddress", vrrp),
    noticed("static_routes", vrrp),
    noticed("static_rules", vrrp),
    noticed("vrrp_sync_group", vrrp),
    noticed("garp_group", vrrp),
    elsewhere("linkbeat_interfaces"),
    noticed("vrrp_instance", vrrp),
    elsewhere("vrrp_script"),
    elsewhere("vrrp_track_process"),
    elsewhere("interface_up_down_delays"),
    elsewhere("SSL"),
    elsewhere("virtual_server_group"),
    noticed("virtual_server", checker),
    elsewhere("bfd_instance"),
    elsewhere("track_file"),
    elsewhere("vrrp_track_file"),
];

const fn noticed(name: &'static str, seen: fn(&mut Globals)) -> Row<Globals> {
    Row { name, form: "", standing: Standing::Works, takes: Takes::Seen(seen) }
}

fn vrrp(g: &mut Globals) {
    g.has_vrrp = true;
}

fn checker(g: &mut Globals) {
    g.has_checker = true;
}

/// `global_defs`.
pub static GLOBAL_DEFS: &[Row<Globals>] = &[
    words("process_names", "", |g, _| set(&mut g.process_names)),
    no_effect("process_name", "NAME", CHECKSUMS, |g, l| process_name(l, &mut g.process_name)),
    no_effect("vrrp_process_name", "NAME", CHECKSUMS, |g, l| process_name(l, &mut g.vrrp_process_name)),
    no_effect("checker_process_name", "NAME", CHECKSUMS, |g, l| process_name(l, &mut g.checker_process_name)),
    no_effect("lvs_process_name", "NAME", CHECKSUMS, |g, l| {
        l.say("'lvs_process_name' is deprecated - please use 'checker_process_name'");
        process_name(l, &mut g.checker_process_name)
    }),
    no_effect("bfd_process_name", "NAME", BFD, |_, l| process_name(l, &mut None)),
    words("use_symlink_paths", "[<BOOL>]", ignore),
    no_effect("set_supplementary_groups", "", "scripts run without supplementary groups", ignore),
    words("router_id", "<STRING>", |g, l| named(l, "routerid name missing - ignoring", &mut g.router_id)),
    words("notification_email_from", "admin@example.com", |g, l| {
        named(l, "emailfrom missing - ignoring", &mut g.notification_email_from)
    }),
    words("smtp_server", "127.0.0.1 [<PORT>]", smtp_server),
    words("smtp_helo_name", "<STRING>", |g, l| {
        g.smtp_helo_name = l.get(1).map(str::to_owned);
        Ok(())
    }),
    words("smtp_connect_timeout", "30", smtp_connect_timeout),
    Row {
        name: "notification_email",
        form: "",
        standing: Standing::Works,
        takes: Takes::Items {
            open: no_extra,
            item: |g, l| {
                g.notification_email.extend(l.words.iter().map(|w| w.text.clone()));
                Ok(())
            },
            close: |g, l| {
                if g.notification_email.is_empty() {
                    l.say("Warning - empty notification_email block");
                }
            },
        },
    },
    words("smtp_alert", "<BOOL>", |g, l| global_bool(l, "smtp_alert", &mut g.smtp_alert)),
    words("startup_script", "SCRIPT_NAME [username [:][groupname]]", |g, l| {
        startup(l, "startup", &g.script_user, &mut g.startup_script)
    }),
    words("startup_script_timeout", "SECONDS", |g, l| {
        script_timeout(l, "startup", &mut g.startup_script_timeout)
    }),
    words("shutdown_script", "SCRIPT_NAME [username [:][groupname]]", |g, l| {
        startup(l, "shutdown", &g.script_user, &mut g.shutdown_script)
    }),
    words("shutdown_script_timeout", "SECONDS", |g, l| {
        script_timeout(l, "shutdown", &mut g.shutdown_script_timeout)
    }),
    no_effect(
        "max_auto_priority",
        "[<-1 to 99>]",
        "the priority is never raised by itself",
        max_auto_priority,
    ),
    no_effect(
        "min_auto_priority_delay",
        "<delay in usecs>",
        "the priority is never raised by itself",
        auto_delay,
    ),
    words("smtp_alert_vrrp", "<BOOL>", |g, l| global_bool(l, "smtp_alert_vrrp", &mut g.smtp_alert_vrrp)),
    words("smtp_alert_checker", "<BOOL>", |g, l| {
        global_bool(l, "smtp_alert_checker", &mut g.smtp_alert_checker)
    }),
    words("checker_log_all_failures", "<BOOL>", |g, l| {
        plain_bool(l, "checker_log_all_failures", &mut g.checker_log_all_failures)
    }),
    words("dynamic_interfaces", "[allow_if_changes]", dynamic_interfaces),
    words("no_email_faults", "", |g, _| set(&mut g.no_email_faults)),
    words("default_interface", "p33p1.3", |g, l| {
        named(l, "default_interface requires interface name", &mut g.default_interface)
    }),
    words("disable_local_igmp", "", |g, _| set(&mut g.disable_local_igmp)),
    words("v3_checksum_as_v2", "[<BOOL>]", |g, l| {
        plain_bool(l, "v3_checksum_as_v2", &mut g.v3_checksum_as_v2)
    }),
    words("lvs_timeouts", "[tcp SECS] [tcpfin SECS] [udp SECS]", lvs_timeouts),
    words("lvs_flush", "", |g, _| set(&mut g.lvs_flush)),
    words("lvs_flush_on_stop", "[VS]", lvs_flush_on_stop),
    words("lvs_flush_onstop", "[VS]", lvs_flush_on_stop),
    words("lvs_sync_daemon", "<INTERFACE> [[inst] <VRRP_INSTANCE>] [id <SYNC_ID>] ...", lvs_sync_daemon),
    words("vrrp_mcast_group4", "224.0.0.18", mcast_group4),
    words("vrrp_mcast_group6", "ff02::12", mcast_group6),
    words("vrrp_garp_master_delay", "10", |g, l| {
        let read = number(l, 0, u32::MAX, "vrrp_garp_master_delay '{}' invalid - ignoring")?;
        keep(&mut g.garp_master_delay, read)
    }),
    words("vrrp_garp_master_repeat", "1", |g, l| {
        let read = at_least_one(l, "vrrp_garp_master_repeat")?;
        keep(&mut g.garp_master_repeat, read)
    }),
    words("vrrp_garp_master_refresh", "60", |g, l| {
        let read = number(l, 0, u32::MAX, "Invalid vrrp_garp_master_refresh '{}' - ignoring")?;
        keep(&mut g.garp_master_refresh, read)
    }),
    words("vrrp_garp_master_refresh_repeat", "2", |g, l| {
        let read = at_least_one(l, "vrrp_garp_master_refresh_repeat")?;
        keep(&mut g.garp_master_refresh_repeat, read)
    }),
    words("vrrp_garp_lower_prio_delay", "10", |g, l| {
        let read = number(l, 0, u32::MAX, "vrrp_garp_lower_prio_delay '{}' invalid - ignoring")?;
        keep(&mut g.garp_lower_prio_delay, read)
    }),
    words("vrrp_garp_lower_prio_repeat", "1", |g, l| {
        let read = number(l, 0, i32::MAX as u32, "Invalid vrrp_garp_lower_prio_repeat '{}'")?;
        keep(&mut g.garp_lower_prio_repeat, read)
    }),
    words("vrrp_down_timer_adverts", "[1:100]", |g, l| {
        let read = number(l, 1, 100, "Invalid vrrp_down_timer_adverts [1:100] '{}'")?;
        keep(&mut g.down_timer_adverts, read)
    }),
    words("vrrp_garp_interval", "0.001", |g, l| pace(l, "vrrp_garp_interval", 1, &mut g.garp_interval)),
    words("vrrp_gna_interval", "0.000001", |g, l| pace(l, "vrrp_gna_interval", 1, &mut g.gna_interval)),
    words("vrrp_min_garp", "[<BOOL>]", |g, l| plain_bool(l, "vrrp_min_garp", &mut g.min_garp)),
    words("vrrp_garp_extra_if", "[all] 100", garp_extra_if),
    words("vrrp_vmac_garp_intvl", "[all] SECS", |g, l| {
        l.say("Keyword \"vrrp_vmac_garp_intvl\" is deprecated - please use \"vrrp_garp_extra_if\"");
        garp_extra_if(g, l)
    }),
    words("vrrp_lower_prio_no_advert", "[<BOOL>]", |g, l| {
        plain_bool(l, "vrrp_lower_prio_no_advert", &mut g.lower_prio_no_advert)
    }),
    words("vrrp_higher_prio_send_advert", "[<BOOL>]", |g, l| {
        plain_bool(l, "vrrp_higher_prio_send_advert", &mut g.higher_prio_send_advert)
    }),
    words("vrrp_version", "<2 or 3>", vrrp_version),
    words("vrrp_iptables", "keepalived", iptables),
    no_effect("vrrp_ipsets", "[keepalived ...]", "no ipsets are used", ignore),
    words("nftables", "[TABLENAME]", nftables),
    words("nftables_priority", "PRIORITY", |g, l| {
        let word = l.need(1)?;
        match l.signed(word, i32::MIN, i32::MAX) {
            Some(priority) => g.nftables_priority = Some(priority),
            None => l.say(format!("invalid nftables chain priority '{word}'")),
        }
        Ok(())
    }),
    no_effect("nftables_ifindex", "", "rules name interfaces", ignore),
    words("vrrp_check_unicast_src", "", |g, _| set(&mut g.check_unicast_src)),
    words("vrrp_skip_check_adv_addr", "", |g, _| set(&mut g.skip_check_adv_addr)),
    words("vrrp_strict", "", |g, _| set(&mut g.strict)),
    words("vrrp_priority", "<-20 to 19>", |g, l| nice(l, "vrrp", &mut g.vrrp)),
    words("vrrp_no_swap", "", |g, _| set(&mut g.vrrp.no_swap)),
    words("vrrp_rt_priority", "<1..99>", |g, l| realtime(l, "vrrp", &mut g.vrrp)),
    words("vrrp_cpu_affinity", "<INTEGER> ...", |g, l| affinity(l, "vrrp", &mut g.vrrp)),
    words("vrrp_rlimit_rttime", ">=2", |g, l| rttime(l, "vrrp", &mut g.vrrp)),
    words("vrrp_rlimit_rtime", "USECS", |g, l| old_rttime(l, "vrrp_rlimit_rtime", "vrrp", &mut g.vrrp)),
    not_yet("nftables_ipvs", "[TABLENAME]", "virtual servers are not put into nftables sets", ignore),
    not_yet("nftables_ipvs_priority", "PRIORITY", "virtual servers are not put into nftables sets", ignore),
    not_yet("nftables_ipvs_start_fwmark", "NUMBER", "virtual servers are not put into nftables sets", ignore),
    no_effect("nftables_counters", "", "rules carry no counters", ignore),
    words("notify_fifo", "FIFO_NAME [username [groupname]]", |g, l| fifo(l, "", &mut g.notify_fifo)),
    words("notify_fifo_script", "STRING|QUOTED-STRING [username [:][groupname]]", |g, l| {
        fifo_script(l, "", &g.script_user, &mut g.notify_fifo)
    }),
    words("vrrp_notify_fifo", "FIFO_NAME [username [groupname]]", |g, l| {
        fifo(l, "vrrp_", &mut g.vrrp_notify_fifo)
    }),
    words("vrrp_notify_fifo_script", "STRING|QUOTED-STRING [username [:][groupname]]", |g, l| {
        fifo_script(l, "vrrp_", &g.script_user, &mut g.vrrp_notify_fifo)
    }),
    words("vrrp_notify_priority_changes", "<BOOL>", |g, l| {
        let mut value = None;
        global_bool(l, "vrrp_notify_priority_changes", &mut value)?;
        g.vrrp_notify_priority_changes = value.unwrap_or(g.vrrp_notify_priority_changes);
        Ok(())
    }),
    words("fifo_write_vrrp_states_on_reload", "", |g, _| set(&mut g.fifo_write_vrrp_states_on_reload)),
    words("lvs_notify_fifo", "FIFO_NAME [username [groupname]]", |g, l| {
        fifo(l, "lvs_", &mut g.lvs_notify_fifo)
    }),
    words("lvs_notify_fifo_script", "STRING|QUOTED-STRING [username [:][groupname]]", |g, l| {
        fifo_script(l, "lvs_", &g.script_user, &mut g.lvs_notify_fifo)
    }),
    words("checker_priority", "<-20 to 19>", |g, l| nice(l, "checker", &mut g.checker)),
    words("checker_no_swap", "", |g, _| set(&mut g.checker.no_swap)),
    words("checker_rt_priority", "<1..99>", |g, l| realtime(l, "checker", &mut g.checker)),
    words("checker_cpu_affinity", "<INTEGER> ...", |g, l| affinity(l, "checker", &mut g.checker)),
    words("checker_rlimit_rttime", ">=2", |g, l| rttime(l, "checker", &mut g.checker)),
    words("checker_rlimit_rtime", "USECS", |g, l| {
        old_rttime(l, "checker_rlimit_rtime", "checker", &mut g.checker)
    }),
    no_effect("bfd_priority", "<-20 to 19>", BFD, |_, l| nice(l, "bfd", &mut Tuning::default())),
    no_effect("bfd_no_swap", "", BFD, ignore),
    no_effect("bfd_rt_priority", "<1..99>", BFD, |_, l| realtime(l, "bfd", &mut Tuning::default())),
    no_effect("bfd_cpu_affinity", "<INTEGER> ...", BFD, |_, l| affinity(l, "bfd", &mut Tuning::default())),
    no_effect("bfd_rlimit_rttime", ">=2", BFD, |_, l| rttime(l, "bfd", &mut Tuning::default())),
    no_effect("bfd_rlimit_rtime", "USECS", BFD, |_, l| {
        old_rttime(l, "bfd_rlimit_rtime", "bfd", &mut Tuning::default())
    }),
    no_effect("snmp_socket", "udp:1.2.3.4:705", SNMP, snmp_socket),
    no_effect("enable_traps", "", SNMP, ignore),
    no_effect("enable_snmp_vrrp", "", SNMP, ignore),
    no_effect("enable_snmp_keepalived", "", SNMP, ignore),
    no_effect("enable_snmp_rfc", "", SNMP, ignore),
    no_effect("enable_snmp_rfcv2", "", SNMP, ignore),
    no_effect("enable_snmp_rfcv3", "", SNMP, ignore),
    no_effect("enable_snmp_checker", "", SNMP, ignore),
    no_effect("snmp_vs_stats_update_interval", "<TIMER>", SNMP, ignore),
    no_effect("snmp_rs_stats_update_interval", "<TIMER>", SNMP, ignore),
    no_effect("enable_dbus", "", DBUS, ignore),
    no_effect("dbus_service_name", "SERVICE_NAME", DBUS, |_, l| {
        named(l, "dbus_service_name missing - ignoring", &mut None)
    }),
    no_effect("dbus_no_interface_name", "NAME", DBUS, ignore),
    words("script_user", "username [:][groupname]", script_user),
    words("enable_script_security", "", |g, _| {
        g.enable_script_security = true;
        if g.script_user == DefaultUser::Own {
            g.script_user = DefaultUser::Refused;
        }
        Ok(())
    }),
    words("vrrp_netlink_cmd_rcv_bufs", "BYTES", |g, l| buffer(l, &mut g.vrrp_netlink_cmd_rcv_bufs)),
    words("vrrp_netlink_cmd_rcv_bufs_force", "<BOOL>", forced),
    words("vrrp_netlink_monitor_rcv_bufs", "BYTES", |g, l| buffer(l, &mut g.vrrp_netlink_monitor_rcv_bufs)),
    words("vrrp_netlink_monitor_rcv_bufs_force", "<BOOL>", forced),
    no_effect("process_monitor_rcv_bufs", "BYTES", "processes are looked up in /proc", |_, l| {
        buffer(l, &mut None)
    }),
    no_effect("process_monitor_rcv_bufs_force", "<BOOL>", "processes are looked up in /proc", forced),
    no_effect("lvs_netlink_cmd_rcv_bufs", "BYTES", "the kernel's default holds all answers", |_, l| {
        buffer(l, &mut None)
    }),
    no_effect("lvs_netlink_cmd_rcv_bufs_force", "<BOOL>", "the kernel's default holds all answers", forced),
    no_effect("lvs_netlink_monitor_rcv_bufs", "BYTES", "the kernel's default holds all answers", |_, l| {
        buffer(l, &mut None)
    }),
    no_effect(
        "lvs_netlink_monitor_rcv_bufs_force",
        "<BOOL>",
        "the kernel's default holds all answers",
        forced,
    ),
    words("rs_init_notifies", "", |g, l| flag_or_bool(l, "rs_init_notifies", &mut g.rs_init_notifies)),
    words("no_checker_emails", "", |g, l| flag_or_bool(l, "no_checker_emails", &mut g.no_checker_emails)),
    words("vrrp_rx_bufs_policy", "[MTU|ADVERT|NUMBER]", rx_bufs_policy),
    words("vrrp_rx_bufs_multiplier", "NUMBER", |g, l| {
        let read = number(l, 1, u32::MAX, "Invalid vrrp_rx_bufs_multiplier {}")?;
        keep(&mut g.rx_bufs_multiplier, read)
    }),
    words("vrrp_startup_delay", "5.5", |g, l| pace(l, "vrrp_startup_delay", 1_000, &mut g.startup_delay)),
    words("vrrp_delay_after_boot", "15.23", |g, l| {
        pace(l, "vrrp_delay_after_boot", 1_000, &mut g.delay_after_boot)
    }),
    words("log_unknown_vrids", "", |g, _| set(&mut g.log_unknown_vrids)),
    words("vrrp_owner_ignore_adverts", "[BOOL]", |g, l| {
        plain_bool(l, "vrrp_owner_ignore_adverts", &mut g.owner_ignore_adverts)
    }),
    words("vmac_prefix", "STRING", |g, l| vmac_prefix(l, "vmac", &mut g.vmac_prefix)),
    words("vmac_addr_prefix", "STRING", |g, l| vmac_prefix(l, "vmac_addr", &mut g.vmac_addr_prefix)),
    words("umask", "[NUMBER|BITS]", umask),
    no_effect("random_seed", "UNSIGNED_INT", "random numbers need no seed", |g, l| {
        let read = number(l, 0, u32::MAX, "random_seed {} invalid")?;
        keep(&mut g.random_seed, read)
    }),
    no_effect("reload_check_config", "[LOG_FILE]", RELOAD, |g, _| set(&mut g.reload_check_config)),
    not_yet("reload_time_file", "ABSOLUTE-PATHNAME-OF-FILE", "reloads are not scheduled", |_, l| {
        l.need(1).map(drop)
    }),
    not_yet("reload_repeat", "", "reloads are not scheduled", ignore),
    not_yet("reload_file", "[ABSOLUTE-PATHNAME-OF-FILE]", "no file is written while reloading", ignore),
    words("include_check", "[OPTIONS]", ignore),
    no_effect("config_save_dir", "DIRECTORY", "copies of old configurations are not kept", |_, l| {
        let text = format!("{} missing directory name", l.keyword());
        named(l, &text, &mut None)
    }),
    no_effect("tmp_config_directory", "DIRECTORY", "the configuration is not copied to disk", |_, l| {
        let text = format!("{} missing directory name", l.keyword());
        named(l, &text, &mut None)
    }),
    words("data_use_instance", "[<BOOL>]", |g, l| {
        plain_bool(l, "data_use_instance", &mut g.data_use_instance)
    }),
    words("json_version", "{1|2}", |g, l| {
        let read = number(l, 1, 2, "invalid json_version '{}'")?;
        keep(&mut g.json_version, read)
    }),
    no_effect("iproute_usr_dir", "path", "names of tables are read from the usual places", ignore),
    no_effect("iproute_etc_dir", "path", "names of tables are read from the usual places", ignore),
    words("state_dump_file", "PATH", |g, l| path(l, &mut g.state_dump_file)),
    words("stats_dump_file", "PATH", |g, l| path(l, &mut g.stats_dump_file)),
    words("json_dump_file", "PATH", |g, l| path(l, &mut g.json_dump_file)),
];

fn set(flag: &mut bool) -> Step {
    *flag = true;
    Ok(())
}

fn keep(slot: &mut Option<u32>, read: Option<u32>) -> Step {
    if read.is_some() {
        *slot = read;
    }
    Ok(())
}

/// A number with the complaint that follows when it is none; `{}` stands for the word.
fn number(line: &mut Line<'_>, min: u32, max: u32, text: &str) -> Result<Option<u32>, super::walk::Stop> {
    let word = line.need(1)?;
    let value = line.unsigned(word, min, max);
    if value.is_none() {
        line.say(text.replace("{}", word));
    }
    Ok(value)
}

fn at_least_one(line: &mut Line<'_>, name: &str) -> Result<Option<u32>, super::walk::Stop> {
    let value = number(line, 0, u32::MAX, &format!("{name} '{{}}' invalid - ignoring"))?;
    if value == Some(0) {
        line.say(format!("{name} must be greater than 0, setting to 1"));
        return Ok(Some(1));
    }
    Ok(value)
}

fn named(line: &mut Line<'_>, missing: &str, slot: &mut Option<String>) -> Step {
    match line.get(1) {
        Some(word) => *slot = Some(word.to_owned()),
        None => line.say(missing),
    }
    Ok(())
}

fn path(line: &mut Line<'_>, slot: &mut Option<PathBuf>) -> Step {
    *slot = Some(PathBuf::from(line.need(1)?));
    Ok(())
}

fn once(line: &mut Line<'_>, what: &str, slot: &mut Option<String>) -> Step {
    match line.get(1) {
        None => line.say(format!("{what} name missing - ignoring")),
        Some(word) if slot.is_some() => line.say(format!("Duplicate {what} definition {word} - ignoring")),
        Some(word) => *slot = Some(word.to_owned()),
    }
    Ok(())
}

fn child_wait_time(g: &mut G, line: &mut Line<'_>) -> Step {
    let read = number(line, 0, u32::MAX, "Invalid child_wait_time {}")?;
    keep(&mut g.child_wait_time, read)
}

fn process_name(line: &mut Line<'_>, slot: &mut Option<String>) -> Step {
    /// The kernel keeps 15 characters.
    const COMM_MAX: usize = 15;
    let Some(name) = line.get(1) else {
        line.say("Process name missing");
        return Ok(());
    };
    if name.len() > COMM_MAX {
        line.say(format!("Process name {name} more than {COMM_MAX} characters, truncating"));
    }
    *slot = Some(name.chars().take(COMM_MAX).collect());
    Ok(())
}

fn global_bool(line: &mut Line<'_>, name: &str, slot: &mut Option<bool>) -> Step {
    match line.get(1) {
        None => *slot = Some(true),
        Some(word) => match boolean(word) {
            Some(value) => *slot = Some(value),
            None => line.say(format!("Invalid value '{word}' for global {name} specified")),
        },
    }
    Ok(())
}

fn flag_or_bool(line: &mut Line<'_>, name: &str, slot: &mut bool) -> Step {
    let mut value = None;
    global_bool(line, name, &mut value)?;
    *slot = value.unwrap_or(*slot);
    Ok(())
}

fn forced(_: &mut G, line: &mut Line<'_>) -> Step {
    let name = line.keyword().to_owned();
    global_bool(line, &name, &mut None)
}

fn plain_bool(line: &mut Line<'_>, name: &str, slot: &mut bool) -> Step {
    match line.get(1).map(boolean) {
        None => *slot = true,
        Some(Some(value)) => *slot = value,
        Some(None) => line.say(format!("Invalid value for {name} specified")),
    }
    Ok(())
}

fn smtp_server(g: &mut G, line: &mut Line<'_>) -> Step {
    const SMTP_PORT: u16 = 25;
    let host = line.need(1)?;
    let mut port = Some(u32::from(SMTP_PORT));
    if let Some(word) = line.get(2) {
        port = line.unsigned(word, 1, u32::from(u16::MAX));
    }
    let plausible = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '%');
    match port {
        Some(port) if host.chars().all(plausible) => g.smtp_server = Some((host.to_owned(), port as u16)),
        _ => {
            let port = line.get(2).unwrap_or("25");
            line.say(format!("Invalid smtp server {host} {port}"));
        }
    }
    Ok(())
}

fn smtp_connect_timeout(g: &mut G, line: &mut Line<'_>) -> Step {
    /// Microseconds of this many seconds fill 32 bits.
    const SECONDS_MAX: u32 = 4294;
    let text = format!("smtp_connect_timeout '{{}}' must be in [0, {SECONDS_MAX}] - ignoring");
    let Some(mut seconds) = number(line, 0, SECONDS_MAX, &text)? else { return Ok(()) };
    if seconds == 0 {
        line.say("smtp_conect_timeout must be greater than 0, setting to 1");
        seconds = 1;
    }
    g.smtp_connect_timeout = Some(Duration::from_secs(u64::from(seconds)));
    Ok(())
}

fn startup(line: &mut Line<'_>, which: &str, user: &DefaultUser, slot: &mut Option<Command>) -> Step {
    if slot.is_some() {
        line.say(format!("{which} script already specified"));
        return Ok(());
    }
    if line.len() < 2 {
        line.say(format!("{which} script missing"));
        return Ok(());
    }
    match super::shared::command(line, user) {
        Ok(command) => *slot = Some(command),
        Err(_) => line.say(format!("Invalid {which} script")),
    }
    Ok(())
}

fn script_timeout(line: &mut Line<'_>, which: &str, slot: &mut Option<u32>) -> Step {
    if line.len() < 2 {
        line.say(format!("{which}_script_timeout requires value"));
        return Ok(());
    }
    let read =
        number(line, 1, 1000, &format!("{which}_script_timeout '{{}}' must be in [1, 1000] - ignoring"))?;
    keep(slot, read)
}

fn max_auto_priority(_: &mut G, line: &mut Line<'_>) -> Step {
    if let Some(word) = line.get(1)
        && line.signed(word, -1, 99).is_none()
    {
        line.say(format!("max_auto_priority '{word}' must be in [0, 99] (or -1 to disable) - ignoring"));
    }
    Ok(())
}

fn auto_delay(_: &mut G, line: &mut Line<'_>) -> Step {
    if line.len() < 2 {
        line.say("min_auto_priority_delay requires delay time");
        return Ok(());
    }
    number(line, 1, 10_000_000, "min_auto_priority_delay '{}' must be in [1, 10000000] - ignoring").map(drop)
}

fn dynamic_interfaces(g: &mut G, line: &mut Line<'_>) -> Step {
    g.dynamic_interfaces = true;
    match line.get(1) {
        None => {}
        Some("allow_if_changes") => g.allow_if_changes = true,
        Some(other) => line.say(format!("Unknown dynamic_interfaces option '{other}'")),
    }
    Ok(())
}

fn lvs_timeouts(g: &mut G, line: &mut Line<'_>) -> Step {
    /// The kernel counts in jiffies of at least 1/1000 s in 31 bits.
    const SECONDS_MAX: u32 = 31 * 86_400;
    if line.len() < 2 {
        line.say("lvs_timeouts requires at least one option");
        return Ok(());
    }
    let mut i = 1;
    while let Some(option) = line.get(i) {
        i += 1;
        if !matches!(option, "tcp" | "tcpfin" | "udp") {
            line.say(format!("Unknown option {option} specified for lvs_timeouts"));
            continue;
        }
        let Some(word) = line.get(i) else {
            line.say(format!("No value specified for lvs_timeout {option} - ignoring"));
            continue;
        };
        i += 1;
        let value = line.unsigned(word, 0, SECONDS_MAX);
        match (value, option) {
            (None, _) => line.say(format!("Invalid lvs_timeout {option} ({word}) - ignoring")),
            (value, "tcp") => g.lvs_timeouts.tcp = value,
            (value, "tcpfin") => g.lvs_timeouts.tcpfin = value,
            (value, _) => g.lvs_timeouts.udp = value,
        }
    }
    Ok(())
}

fn lvs_flush_on_stop(g: &mut G, line: &mut Line<'_>) -> Step {
    match line.get(1) {
        None => g.lvs_flush_on_stop = Some(false),
        Some(word) if word.eq_ignore_ascii_case("VS") => g.lvs_flush_on_stop = Some(true),
        Some(word) => line.say(format!("Unknown lvs_flush_on_stop type {word}")),
    }
    Ok(())
}

fn lvs_sync_daemon(g: &mut G, line: &mut Line<'_>) -> Step {
    /// Longest interface name.
    const NAME_MAX: usize = 15;
    let Some(interface) = line.get(1) else {
        line.say("lvs_sync_daemon requires interface");
        return Ok(());
    };
    if let Some(old) = &g.lvs_sync_daemon {
        let instance = old.instance.clone().unwrap_or_default();
        let text =
            format!("lvs_sync_daemon has already been specified as {} {instance} - ignoring", old.interface);
        line.say(text);
        return Ok(());
    }
    if interface.len() > NAME_MAX {
        line.say(format!("lvs_sync_daemon interface name '{interface}' too long - ignoring"));
        return Ok(());
    }
    let mut daemon = LvsSyncDaemon { interface: interface.to_owned(), ..LvsSyncDaemon::default() };
    let mut i = 2;
    if let Some(word) =
        line.get(i).filter(|w| !matches!(*w, "inst" | "id" | "maxlen" | "port" | "ttl" | "group"))
    {
        daemon.instance = Some(word.to_owned());
        i += 1;
    }
    while let Some(option) = line.get(i) {
        if !matches!(option, "inst" | "id" | "maxlen" | "port" | "ttl" | "group") {
            line.say(format!("Unknown option {option} specified for lvs_sync_daemon"));
            i += 1;
            continue;
        }
        sync_option(line, &mut daemon, option, line.get(i + 1));
        i += 2;
    }
    g.lvs_sync_daemon = Some(daemon);
    Ok(())
}

fn sync_option(line: &mut Line<'_>, daemon: &mut LvsSyncDaemon, option: &str, word: Option<&str>) {
    let Some(word) = word else {
        let what = if option == "id" { ", defaulting to vrid" } else { " - ignoring" };
        line.say(format!("No value specified for lvs_sync_daemon {option}{what}"));
        return;
    };
    let number = |line: &mut Line<'_>, min, max| {
        let value = line.unsigned(word, min, max);
        if value.is_none() && option != "id" {
            line.say(format!("Invalid lvs_sync_daemon {option} ({word}) - ignoring"));
        }
        value
    };
    match option {
        "inst" => daemon.instance = Some(word.to_owned()),
        "id" => match number(line, 0, 255) {
            Some(id) => daemon.id = Some(id as u8),
            None => line.say(format!("Invalid syncid ({word}) - defaulting to vrid")),
        },
        "maxlen" => daemon.maxlen = number(line, 1, 65_507).map(|v| v as u16),
        "port" => daemon.port = number(line, 1, 65_535).map(|v| v as u16),
        "ttl" => daemon.ttl = number(line, 1, 255).map(|v| v as u8),
        _ => match word.parse::<IpAddr>() {
            Ok(address) if address.is_multicast() => daemon.group = Some(address),
            Ok(_) => line.say(format!("lvs_sync_daemon group address {word} is not multicast - ignoring")),
            Err(_) => line.say(format!("Invalid lvs_sync_daemon group ({word}) - ignoring")),
        },
    }
}

fn mcast_group4(g: &mut G, line: &mut Line<'_>) -> Step {
    let word = line.need(1)?;
    match word.parse::<IpAddr>() {
        Err(_) => line.say(format!("Can't parse vrrp_mcast_group4 [{word}]. Skipping")),
        Ok(IpAddr::V6(_)) => line.say(format!("vrrp_mcast_group4 [{word}] is not IPv4. Skipping")),
        Ok(IpAddr::V4(a)) if !a.is_multicast() => {
            line.say(format!("vrrp_mcast_group4 [{word}] is not multicast. Skipping"));
        }
        Ok(IpAddr::V4(a)) => g.vrrp_mcast_group4 = Some(a),
    }
    Ok(())
}

fn mcast_group6(g: &mut G, line: &mut Line<'_>) -> Step {
    let word = line.need(1)?;
    match word.parse::<IpAddr>() {
        Err(_) => line.say(format!("Can't parse vrrp_mcast_group6 [{word}]. Skipping")),
        Ok(IpAddr::V4(_)) => line.say(format!("vrrp_mcast_group6 [{word}] is not IPv6. Skipping")),
        Ok(IpAddr::V6(a)) if !a.is_multicast() => {
            line.say(format!("vrrp_mcast_group6 [{word}] is not multicast. Skipping"));
        }
        Ok(IpAddr::V6(a)) => {
            if a.segments()[0] & 0xf != 2 {
                line.say(format!("vrrp_mcast_group6 [{word}] should be link-local multicast."));
            }
            g.vrrp_mcast_group6 = Some(a);
        }
    }
    Ok(())
}

/// A time of up to 4294.967295 s.
fn pace(line: &mut Line<'_>, name: &str, min_us: u64, slot: &mut Option<Duration>) -> Step {
    let word = line.need(1)?;
    match line.seconds(word, min_us, u64::from(u32::MAX)) {
        None => line.say(format!("{name} '{word}' is invalid")),
        Some(time) => *slot = Some(time),
    }
    Ok(())
}

fn garp_extra_if(g: &mut G, line: &mut Line<'_>) -> Step {
    let all = line.get(1) == Some("all");
    let keyword = line.keyword();
    let Some(word) = line.get(1 + usize::from(all)) else {
        line.say(format!("{keyword} specified without time - ignoring"));
        return Ok(());
    };
    match line.unsigned(word, 0, 86_400) {
        Some(seconds) => g.garp_extra_if = Some((seconds, all)),
        None => line.say(format!("{keyword} '{word}' invalid - ignoring")),
    }
    Ok(())
}

fn vrrp_version(g: &mut G, line: &mut Line<'_>) -> Step {
    let read = number(line, 2, 3, "VRRP Error: Version must be either 2 or 3")?;
    g.version = read.map(|v| v as u8).or(g.version);
    Ok(())
}

fn iptables(g: &mut G, line: &mut Line<'_>) -> Step {
    line.say(
        "iptables not supported, using nftables instead. Please replace 'vrrp_iptables and 'vrrp_ipsets' with \
         'nftables' config option",
    );
    let name = |i| line.get(i).unwrap_or_default().to_owned();
    g.iptables = Some((name(1), name(2)));
    g.nftables.get_or_insert_with(|| "keepalived".to_owned());
    Ok(())
}

fn nftables(g: &mut G, line: &mut Line<'_>) -> Step {
    /// NFT_TABLE_MAXNAMELEN without the NUL.
    const NAME_MAX: usize = 255;
    if g.nftables.is_some() {
        line.say("nftables already specified - ignoring");
        return Ok(());
    }
    let name = line.get(1).unwrap_or("keepalived");
    if name.len() > NAME_MAX {
        line.say("nftables table name too long - ignoring");
        return Ok(());
    }
    g.nftables = Some(name.to_owned());
    Ok(())
}

fn nice(line: &mut Line<'_>, which: &str, tuning: &mut Tuning) -> Step {
    let Some(word) = line.get(1) else {
        line.say(format!("No {which} process priority specified"));
        return Ok(());
    };
    match line.signed(word, -20, 19) {
        Some(nice) => tuning.nice = Some(nice),
        None => line.say(format!("Invalid {which} process priority specified")),
    }
    Ok(())
}

fn realtime(line: &mut Line<'_>, which: &str, tuning: &mut Tuning) -> Step {
    let Some(word) = line.get(1) else {
        line.say(format!("No {which} process real-time priority specified"));
        return Ok(());
    };
    let Some(priority) = line.signed(word, i32::MIN, i32::MAX) else {
        line.say(format!("{which} process real-time priority '{word}' invalid"));
        return Ok(());
    };
    let what = format!("{which} process real-time priority {priority}");
    if priority < 1 {
        line.say(format!("{what} less than minimum 1 - setting to minimum"));
    } else if priority > 99 {
        line.say(format!("{what} greater than maximum 99 - setting to maximum"));
    }
    tuning.realtime = Some(priority.clamp(1, 99) as u32);
    Ok(())
}

fn affinity(line: &mut Line<'_>, which: &str, tuning: &mut Tuning) -> Step {
    if line.len() < 2 {
        line.say(format!("No {which} cpu_id set specified"));
        return Ok(());
    }
    let last = std::thread::available_parallelism().map_or(0, |n| n.get() as u32 - 1);
    for i in 1..line.len() {
        let Some(word) = line.get(i) else { break };
        match line.unsigned(word, 0, last) {
            Some(cpu) => tuning.cpus.push(cpu),
            None => line.say(format!("Invalid cpu_id:{word} specified for {which} process")),
        }
    }
    Ok(())
}

fn rttime(line: &mut Line<'_>, which: &str, tuning: &mut Tuning) -> Step {
    let word = line.need(1)?;
    match line.unsigned64(word, 1, u64::from(u32::MAX)) {
        Some(us) => tuning.rlimit_rttime_us = Some(us),
        None => line.say(format!("Invalid {which} real-time limit - {word}")),
    }
    Ok(())
}

fn old_rttime(line: &mut Line<'_>, name: &str, which: &str, tuning: &mut Tuning) -> Step {
    line.say(format!("Keyword '{name}' is deprecated - please use '{which}_rlimit_rttime'"));
    rttime(line, which, tuning)
}

fn fifo(line: &mut Line<'_>, which: &str, slot: &mut Option<Fifo>) -> Step {
    let Some(name) = line.get(1) else {
        line.say(format!("No {which}notify_fifo name specified"));
        return Ok(());
    };
    if slot.as_ref().is_some_and(|f| !f.path.as_os_str().is_empty()) {
        line.say(format!("{which}notify_fifo already specified - ignoring {name}"));
        return Ok(());
    }
    let mut owner = None;
    if line.len() > 2 {
        let words: Vec<&str> = line.words[2..].iter().map(|w| w.text.as_str()).collect();
        owner = User::of_words(&words);
        if owner.is_none() {
            line.say(format!("Invalid user/group for {which}notify fifo {name} - ignoring"));
            return Ok(());
        }
    }
    let script = slot.take().and_then(|f| f.script);
    *slot = Some(Fifo { path: PathBuf::from(name), owner, script });
    Ok(())
}

fn fifo_script(line: &mut Line<'_>, which: &str, user: &DefaultUser, slot: &mut Option<Fifo>) -> Step {
    let Some(name) = line.get(1) else {
        line.say(format!("No {which}notify_fifo_script specified"));
        return Ok(());
    };
    if slot.as_ref().is_some_and(|f| f.script.is_some()) {
        line.say(format!("{which}notify_fifo_script already specified - ignoring {name}"));
        return Ok(());
    }
    match super::shared::command(line, user) {
        Ok(command) => {
            let fifo = slot.get_or_insert_with(|| Fifo { path: PathBuf::new(), owner: None, script: None });
            fifo.script = Some(command);
        }
        Err(_) => line.say(format!("Invalid user/group for {which}notify fifo script {name} - ignoring")),
    }
    Ok(())
}

fn snmp_socket(_: &mut G, line: &mut Line<'_>) -> Step {
    match line.len() {
        1 => line.say("SNMP error : snmp socket name missing"),
        2 => {}
        _ => line.say("Too many parameters specified for snmp_socket - ignoring"),
    }
    Ok(())
}

fn script_user(g: &mut G, line: &mut Line<'_>) -> Step {
    if line.len() < 2 {
        line.say("No script username specified");
        return Ok(());
    }
    let words: Vec<&str> = line.words[1..].iter().map(|w| w.text.as_str()).collect();
    match User::of_words(&words) {
        Some(user) => g.script_user = DefaultUser::User(user),
        None => line.say("Error setting global script uid/gid"),
    }
    Ok(())
}

fn buffer(line: &mut Line<'_>, slot: &mut Option<u32>) -> Step {
    let what = line.keyword().trim_end_matches("_rcv_bufs").to_owned();
    let Some(word) = line.get(1) else {
        line.say(format!("{what}_rcv_bufs size missing"));
        return Ok(());
    };
    match line.unsigned(word, 0, u32::MAX) {
        Some(size) => *slot = Some(size),
        None => line.say(format!("{what}_rcv_bufs size ({word}) invalid")),
    }
    Ok(())
}

fn rx_bufs_policy(g: &mut G, line: &mut Line<'_>) -> Step {
    if line.len() < 2 {
        line.say("vrrp_rx_bufs_policy missing");
        return Ok(());
    }
    for i in 1..line.len() {
        let Some(word) = line.get(i) else { break };
        let policy = match word.to_ascii_uppercase().as_str() {
            "MTU" => Some(RxPolicy::Mtu),
            "ADVERT" => Some(RxPolicy::Advert),
            _ => line.unsigned(word, 1, u32::MAX).map(RxPolicy::Octets),
        };
        match (policy, g.rx_bufs_policy) {
            (None, _) => line.say(format!("Invalid vrrp_rx_bufs_policy {word}")),
            (Some(RxPolicy::Advert), Some(RxPolicy::Mtu)) | (Some(RxPolicy::Mtu), Some(RxPolicy::Advert)) => {
                line.say("Cannot set both vrrp_rx_bufs_policy MTU and ADVERT, ignoring ADVERT");
                g.rx_bufs_policy = Some(RxPolicy::Mtu);
            }
            (Some(RxPolicy::Mtu | RxPolicy::Advert), Some(RxPolicy::Octets(_))) => {
                line.say("Cannot set vrrp_rx_bufs_policy size and policy, ignoring policy");
            }
            (policy, _) => g.rx_bufs_policy = policy,
        }
    }
    Ok(())
}

fn vmac_prefix(line: &mut Line<'_>, which: &str, slot: &mut Option<String>) -> Step {
    let word = line.need(1)?;
    if slot.is_some() {
        line.say(format!("{which} prefix has already been specified - ignoring {word}"));
    } else {
        *slot = Some(word.to_owned());
    }
    Ok(())
}

fn umask(g: &mut G, line: &mut Line<'_>) -> Step {
    const BITS: [(&str, u32); 9] = [
        ("IRUSR", 0o400),
        ("IWUSR", 0o200),
        ("IXUSR", 0o100),
        ("IRGRP", 0o040),
        ("IWGRP", 0o020),
        ("IXGRP", 0o010),
        ("IROTH", 0o004),
        ("IWOTH", 0o002),
        ("IXOTH", 0o001),
    ];
    let first = line.need(1)?;
    if first.starts_with(|c: char| c.is_ascii_digit()) {
        match u32::from_str_radix(first, 8).ok().filter(|m| *m <= 0o777) {
            Some(mask) => g.umask = Some(mask),
            None => line.say(format!("invalid umask value {first}")),
        }
        return Ok(());
    }
    let mut mask = 0;
    for (i, word) in line.words.iter().skip(1).enumerate() {
        let word = word.text.as_str();
        if i % 2 == 1 {
            if word != "|" {
                line.say(format!("Invalid umask syntax {word}"));
                return Ok(());
            }
            continue;
        }
        match BITS.iter().find(|(name, _)| *name == word) {
            Some((_, bit)) => mask |= bit,
            None => {
                line.say(format!("Unknown umask bit {word}"));
                return Ok(());
            }
        }
    }
    g.umask = Some(mask);
    Ok(())
}

/// The configuration's `global_defs`, and what was wrong in the first pass.
pub fn read(tree: &super::Tree) -> (Globals, diag::Report) {
    let mut globals = Globals::default();
    if let Some(user) = User::named(SCRIPT_USER, None) {
        globals.script_user = DefaultUser::User(user);
    }
    let report = super::walk::Walker::new(tree, true).run(&mut globals, TOP);
    (globals, report)
}
