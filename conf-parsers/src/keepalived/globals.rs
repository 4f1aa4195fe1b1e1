//! `global_defs` and the top-level settings: read once, by the first pass, for all parts.
//!
//! Invariant: values are in range; what a part does with them is its own business. Absent on purpose: defaults
//! that depend on the host.

mod rows;
mod values;

pub use rows::{GLOBAL_DEFS, TOP};
pub use values::no_smtp_server;

use super::shared::{Command, DefaultUser, Fifo, SCRIPT_USER, User};
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
    pub nftables_counters: bool,
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

/// The configuration's `global_defs`, and what was wrong in the first pass.
pub fn read(tree: &super::Tree) -> (Globals, diag::Report) {
    let mut globals = Globals::default();
    if let Some(user) = User::named(SCRIPT_USER, None) {
        globals.script_user = DefaultUser::User(user);
    }
    let report = super::walk::Walker::new(tree, true).run(&mut globals, TOP);
    (globals, report)
}
