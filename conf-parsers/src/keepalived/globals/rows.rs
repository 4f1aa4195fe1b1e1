//! The tables of the first pass: what `global_defs` and the top level may hold.

use super::values::{
    affinity, at_least_one, auto_delay, buffer, child_wait_time, dynamic_interfaces, fifo, fifo_script,
    flag_or_bool, forced, garp_extra_if, global_bool, include_check, iptables, keep, lvs_flush_on_stop,
    lvs_sync_daemon, lvs_timeouts, max_auto_priority, mcast_group4, mcast_group6, named, nftables, nice,
    number, old_rttime, once, pace, path, plain_bool, process_name, realtime, rttime, rx_bufs_policy,
    script_timeout, script_user, set, smtp_connect_timeout, smtp_server, snmp_socket, startup, umask,
    vmac_prefix, vrrp_version,
};
use super::{Globals, Tuning};
use crate::keepalived::shared::DefaultUser;
use crate::keepalived::walk::{
    Row, Standing, Takes, block, elsewhere, ignore, no_effect, no_extra, not_yet, nothing, words,
};

const SNMP: &str = "there is no SNMP agent in this program; the bus and the JSON dump tell the same";
const DBUS: &str = "there is no D-Bus service in this program; the bus tells the same";
const BFD: &str = "there is no separate BFD process";
const RELOAD: &str = "a bad file never replaces the running configuration anyway";
const FILTER: &str = "there is no packet filter: the master answers at the addresses even with no_accept";
const EXTRA_GARP: &str = "addresses are announced again at vrrp_garp_master_refresh only";
const RX_BUFS: &str = "sockets have the kernel's receive buffer, or what kernel_rx_buf_size says";
const CHECKSUMS: &str = "names of processes are fixed";

/// The top-level table of the first pass: `global_defs`, the settings beside it, and all that the other passes
/// read.
pub static TOP: &[Row<Globals>] = &[
    no_effect("linkbeat_use_polling", "", "netlink tells every change of a link", |g, _| {
        set(&mut g.linkbeat_use_polling)
    }),
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
    no_effect("process_names", "", CHECKSUMS, |g, _| set(&mut g.process_names)),
    no_effect("process_name", "NAME", CHECKSUMS, |g, l| process_name(l, &mut g.process_name)),
    no_effect("vrrp_process_name", "NAME", CHECKSUMS, |g, l| process_name(l, &mut g.vrrp_process_name)),
    no_effect("checker_process_name", "NAME", CHECKSUMS, |g, l| process_name(l, &mut g.checker_process_name)),
    no_effect("lvs_process_name", "NAME", CHECKSUMS, |g, l| {
        l.say("'lvs_process_name' is deprecated - please use 'checker_process_name'");
        process_name(l, &mut g.checker_process_name)
    }),
    no_effect("bfd_process_name", "NAME", BFD, |_, l| process_name(l, &mut None)),
    no_effect("use_symlink_paths", "[<BOOL>]", "scripts run by the path that was written", ignore),
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
    not_yet("vrrp_garp_extra_if", "[all] 100", EXTRA_GARP, garp_extra_if),
    not_yet("vrrp_vmac_garp_intvl", "[all] SECS", EXTRA_GARP, |g, l| {
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
    not_yet("vrrp_iptables", "keepalived", FILTER, iptables),
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
    no_effect("nftables_ifindex", "", "link-local addresses go by the interface's number anyway", ignore),
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
    words("nftables_counters", "", |g, _| set(&mut g.nftables_counters)),
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
    not_yet("vrrp_rx_bufs_policy", "[MTU|ADVERT|NUMBER]", RX_BUFS, rx_bufs_policy),
    not_yet("vrrp_rx_bufs_multiplier", "NUMBER", RX_BUFS, |g, l| {
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
    words("include_check", "[OPTIONS]", include_check),
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
