//! The validated model of one keepalived.conf as vrrpd runs it.
//!
//! Invariant: no words, spans or unresolved references: every value is in range, names of scripts, files and
//! processes resolve inside [`Config`], defaults of `global_defs` are already copied into each instance.
//! Deliberately absent: parsing (config/{mod,instance,group}.rs), runtime state (core/), kernel indexes (io/).

mod device;
mod net;

pub use device::{Device, DeviceKind};
pub use net::{Address, NextHop, Route, RouteKind, Rule, RuleAction};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::time::Duration;

/// Everything vrrpd needs from one configuration.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Config {
    /// `global_defs` and the top-level settings.
    pub globals: Globals,
    /// `global_defs` as written, those of other parts of the program included, for the dumps.
    pub written: conf_parsers::keepalived::globals::Globals,
    /// What instances that say nothing have.
    pub defaults: Instance,
    /// `vrrp_instance` blocks in file order; empty once the core has them.
    pub instances: Vec<Instance>,
    /// `vrrp_sync_group` blocks in file order; members exist and belong to one group only.
    pub groups: Vec<SyncGroup>,
    /// `vrrp_script` blocks.
    pub scripts: Vec<Script>,
    /// `track_file` and `vrrp_track_file` blocks.
    pub files: Vec<TrackFile>,
    /// `vrrp_track_process` blocks.
    pub processes: Vec<TrackProcess>,
    /// `static_ipaddress`.
    pub static_addresses: Vec<Address>,
    /// `static_routes`.
    pub static_routes: Vec<Route>,
    /// `static_rules`.
    pub static_rules: Vec<Rule>,
    /// `track_group` blocks: name and member instances.
    pub track_groups: Vec<TrackGroup>,
    /// `garp_group` blocks.
    pub garp_groups: Vec<GarpGroup>,
    /// `interface_up_down_delays`: how long a link must be down or up before it counts.
    pub link_delays: Vec<LinkDelay>,
}

/// `global_defs`: what is not copied into the instances.
#[derive(Debug, Clone, PartialEq)]
pub struct Globals {
    /// `router_id`; the host name when absent.
    pub router_id: Option<String>,
    /// `instance NAME`, the configuration's own name, in pid files and dumps.
    pub instance_name: Option<String>,
    /// `net_namespace NAME`.
    pub net_namespace: Option<String>,
    /// Mail alerts; `None` when no `notification_email` is there.
    pub mail: Mail,
    /// `smtp_alert` as written.
    pub smtp_alert: Option<bool>,
    /// `smtp_alert_vrrp` as written; default for instances and groups that say nothing.
    pub smtp_alert_vrrp: Option<bool>,
    /// `no_email_faults`.
    pub no_email_faults: bool,
    /// `dynamic_interfaces`.
    pub dynamic_interfaces: DynamicInterfaces,
    /// `default_interface`, `eth0` when absent.
    pub default_interface: String,
    /// `vrrp_mcast_group4`.
    pub mcast_group4: Ipv4Addr,
    /// `vrrp_mcast_group6`.
    pub mcast_group6: Ipv6Addr,
    /// `vrrp_garp_interval`: least time between two gratuitous ARPs on one interface.
    pub garp_interval: Option<Duration>,
    /// `vrrp_gna_interval`: the same for neighbour advertisements.
    pub gna_interval: Option<Duration>,
    /// `vrrp_startup_delay`: nothing is decided before it is over.
    pub startup_delay: Option<Duration>,
    /// `vrrp_delay_after_boot`: the same, counted from the boot of the machine.
    pub delay_after_boot: Option<Duration>,
    /// `log_unknown_vrids`.
    pub log_unknown_vrids: bool,
    /// `vrrp_notify_priority_changes`.
    pub notify_priority_changes: bool,
    /// `fifo_write_vrrp_states_on_reload`.
    pub fifo_write_states_on_reload: bool,
    /// `notify_fifo` with its script.
    pub notify_fifo: Option<Fifo>,
    /// `vrrp_notify_fifo` with its script.
    pub vrrp_notify_fifo: Option<Fifo>,
    /// `enable_script_security`.
    pub script_security: bool,
    /// `script_user`: whom scripts without a user run as; `None`: `keepalived_script` if it exists, else our own.
    pub script_user: Option<ScriptUser>,
    /// `vrrp_strict` of global_defs, for the dumps; instances carry the result.
    pub strict: bool,
    /// `vrrp_version`, for the dumps and for instances that say nothing.
    pub version: Version,
    /// `vrrp_rx_bufs_policy` and `_multiplier`: receive buffer of the sockets.
    pub rx_buffer: RxBuffer,
    /// Receive buffer in octets of the netlink sockets: `vrrp_netlink_cmd_rcv_bufs`.
    pub netlink_cmd_rcv_buffer: Option<u32>,
    /// Receive buffer in octets of the netlink sockets: `vrrp_netlink_monitor_rcv_bufs`.
    pub netlink_monitor_rcv_buffer: Option<u32>,
    /// Priority, memory locking and CPU of the process.
    pub process: ProcessTuning,
    /// `umask`; `None` keeps the daemon's 022.
    pub umask: Option<u32>,
    /// `json_version`.
    pub json_version: u8,
    /// `data_use_instance`.
    pub data_use_instance: bool,
    /// `state_dump_file`, `/tmp/keepalived.data` when absent.
    pub state_dump_file: Option<PathBuf>,
    /// `stats_dump_file`, `/tmp/keepalived.stats` when absent.
    pub stats_dump_file: Option<PathBuf>,
    /// `json_dump_file`, `/tmp/keepalived.json` when absent.
    pub json_dump_file: Option<PathBuf>,
    /// `vmac_prefix`, `vrrp` when absent.
    pub vmac_prefix: Option<String>,
    /// `vmac_addr_prefix`, `vrrp` when absent.
    pub vmac_addr_prefix: Option<String>,
    /// `nftables [TABLE]`; `None`: not configured.
    pub nftables_table: Option<String>,
    /// `nftables_priority`.
    pub nftables_priority: i32,
    /// `nftables_counters`.
    pub nftables_counters: bool,
    /// `vrrp_iptables [IN [OUT]]` as written: the names of the chains.
    pub iptables_chains: Option<(String, String)>,
    /// `disable_local_igmp`.
    pub disable_local_igmp: bool,
    /// `lvs_sync_daemon`'s instance, which vrrpd tells the checker about over the bus.
    pub lvs_sync_instance: Option<String>,
}

impl Default for Globals {
    fn default() -> Self {
        Self {
            router_id: None,
            instance_name: None,
            net_namespace: None,
            mail: Mail::default(),
            smtp_alert: None,
            smtp_alert_vrrp: None,
            no_email_faults: false,
            dynamic_interfaces: DynamicInterfaces::No,
            default_interface: "eth0".into(),
            mcast_group4: Ipv4Addr::new(224, 0, 0, 18),
            mcast_group6: Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12),
            garp_interval: None,
            gna_interval: None,
            startup_delay: None,
            delay_after_boot: None,
            log_unknown_vrids: false,
            notify_priority_changes: false,
            fifo_write_states_on_reload: false,
            notify_fifo: None,
            vrrp_notify_fifo: None,
            script_security: false,
            script_user: None,
            strict: false,
            version: Version::V2,
            rx_buffer: RxBuffer::default(),
            netlink_cmd_rcv_buffer: None,
            netlink_monitor_rcv_buffer: None,
            process: ProcessTuning::default(),
            umask: None,
            json_version: 1,
            data_use_instance: false,
            state_dump_file: None,
            stats_dump_file: None,
            json_dump_file: None,
            vmac_prefix: None,
            vmac_addr_prefix: None,
            nftables_table: None,
            nftables_priority: -1,
            nftables_counters: false,
            iptables_chains: None,
            disable_local_igmp: false,
            lvs_sync_instance: None,
        }
    }
}

/// Where and how alerts are mailed.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Mail {
    /// `notification_email`.
    pub to: Vec<String>,
    /// `notification_email_from`.
    pub from: Option<String>,
    /// `smtp_server`: a host name or address.
    pub server: Option<String>,
    /// Port of `smtp_server`; 25 when absent.
    pub port: Option<u16>,
    /// `smtp_helo_name`.
    pub helo: Option<String>,
    /// `smtp_connect_timeout`; 30 s when absent.
    pub connect_timeout: Option<Duration>,
}

/// `dynamic_interfaces [allow_if_changes]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DynamicInterfaces {
    /// A missing interface ends the start.
    #[default]
    No,
    /// Interfaces may appear later.
    Yes,
    /// And may come back as another type.
    AllowChanges,
}

/// `vrrp_rx_bufs_policy MTU|ADVERT|NUMBER` and `vrrp_rx_bufs_multiplier`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RxBuffer {
    /// What one buffer must hold.
    pub policy: RxPolicy,
    /// How many of them, 3 by default.
    pub multiplier: u32,
}

impl Default for RxBuffer {
    fn default() -> Self {
        Self { policy: RxPolicy::Unset, multiplier: 3 }
    }
}

/// The base of the receive buffer's size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RxPolicy {
    /// Not configured: the kernel's default.
    Unset,
    /// `MTU`.
    Mtu,
    /// `ADVERT`.
    Advert,
    /// That many octets.
    Octets(u32),
}

/// `vrrp_priority`, `vrrp_no_swap`, `vrrp_rt_priority`, `vrrp_cpu_affinity`, `vrrp_rlimit_rttime`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProcessTuning {
    /// Nice value, −20 to 19.
    pub nice: Option<i32>,
    /// Lock all memory.
    pub no_swap: bool,
    /// SCHED_RR priority, 1 to 99.
    pub realtime: Option<u32>,
    /// Microseconds of RLIMIT_RTTIME.
    pub rlimit_rttime_us: Option<u64>,
    /// CPUs to run on.
    pub cpus: Vec<u32>,
}

/// A named pipe that is told every transition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fifo {
    /// Absolute path.
    pub path: PathBuf,
    /// Owner of a pipe that we create.
    pub owner: Option<ScriptUser>,
    /// Program that reads it, started with the path as last argument.
    pub script: Option<Command>,
}

/// A user and group that scripts run as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptUser {
    /// The name or number as written, for messages.
    pub name: String,
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

/// A command line that was already split and checked by the script security rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// Program and arguments; never empty.
    pub argv: Vec<String>,
    /// The text as written, for dumps and messages.
    pub text: String,
    /// Whom it runs as; `None`: our own ids.
    pub user: Option<ScriptUser>,
    /// The script security rules forbid it to run.
    pub insecure: bool,
}

/// Protocol version of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Version {
    /// RFC 3768.
    #[default]
    V2,
    /// RFC 5798 and RFC 9568.
    V3,
}

/// Address family of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Family {
    /// IPv4.
    #[default]
    Inet,
    /// IPv6, version 3 only.
    Inet6,
}

/// `authentication`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Authentication {
    /// None: type 0.
    #[default]
    None,
    /// `auth_type PASS`, `auth_pass`, cut to 8 octets and NUL padded: type 1.
    Pass([u8; 8]),
    /// `auth_type AH`: type 2 with HMAC-MD5-96 in an authentication header.
    Ah([u8; 8]),
}

/// One `vrrp_instance`.
#[derive(Debug, Clone, PartialEq)]
pub struct Instance {
    /// Its name.
    pub name: String,
    /// `state MASTER`.
    pub wants_master: bool,
    /// `interface`; empty when a unicast instance has none.
    pub interface: String,
    /// `vrf`.
    pub vrf: Option<String>,
    /// `virtual_router_id`, 1 to 255.
    pub vrid: u8,
    /// `priority`, 1 to 255; 255 is the address owner.
    pub priority: u8,
    /// `version` or the global one.
    pub version: Version,
    /// Family of the addresses.
    pub family: Family,
    /// `advert_int`, whole seconds for v2, hundredths up to 40.95 s for v3.
    pub advert_int: Duration,
    /// `down_timer_adverts`, 1 to 100.
    pub down_timer_adverts: u32,
    /// `authentication`.
    pub authentication: Authentication,
    /// `mcast_src_ip` or `unicast_src_ip`; `None`: the interface's first address.
    pub source: Option<IpAddr>,
    /// `track_src_ip`.
    pub track_source: bool,
    /// `mcast_dst_ip`; `None`: the global group.
    pub mcast_group: Option<IpAddr>,
    /// `unicast_peer`; empty: multicast.
    pub unicast_peers: Vec<UnicastPeer>,
    /// `unicast_fault_no_peer`: without peers the instance stays in FAULT.
    pub unicast_fault_no_peer: bool,
    /// `unicast_ttl`; `None`: 255.
    pub unicast_ttl: Option<u8>,
    /// `check_unicast_src`.
    pub check_unicast_source: bool,
    /// `old_unicast_checksum`.
    pub old_unicast_checksum: OldUnicastChecksum,
    /// `v3_checksum_as_v2`: no pseudo header over IPv4.
    pub v3_checksum_as_v2: bool,
    /// `virtual_ipaddress`: announced and added.
    pub vips: Vec<Address>,
    /// `virtual_ipaddress_excluded`: added only.
    pub excluded_vips: Vec<Address>,
    /// `virtual_routes`.
    pub routes: Vec<Route>,
    /// `virtual_rules`.
    pub rules: Vec<Rule>,
    /// `promote_secondaries`.
    pub promote_secondaries: bool,
    /// Answer packets to the addresses though not the owner (`accept`); false: `no_accept` or strict.
    pub accept: bool,
    /// `nopreempt` was given.
    pub nopreempt: bool,
    /// `preempt_delay`; zero: none.
    pub preempt_delay: Duration,
    /// `skip_check_adv_addr`.
    pub skip_check_adv_addr: bool,
    /// `strict_mode` or `vrrp_strict`.
    pub strict: bool,
    /// `debug`, 0 to 4.
    pub debug: u8,
    /// `lower_prio_no_advert`.
    pub lower_prio_no_advert: bool,
    /// `higher_prio_send_advert`.
    pub higher_prio_send_advert: bool,
    /// `owner_ignore_adverts`.
    pub owner_ignore_adverts: bool,
    /// `garp_*` and `vmac_garp_intvl`.
    pub garp: Garp,
    /// `kernel_rx_buf_size`.
    pub kernel_rx_buffer: Option<u32>,
    /// `use_vmac`.
    pub vmac: Option<Vmac>,
    /// `vmac_xmit_base`: adverts leave and come by the interface itself.
    pub xmit_base: bool,
    /// `use_vmac_addr`.
    pub vmac_addresses: bool,
    /// `use_ipvlan`.
    pub ipvlan: Option<Ipvlan>,
    /// The link that these two ask for.
    pub device: Option<Device>,
    /// Links for addresses on other interfaces.
    pub address_devices: Vec<Device>,
    /// `dont_track_primary`.
    pub dont_track_primary: bool,
    /// `track_interface`.
    pub track_interfaces: Vec<Tracked>,
    /// `track_script`.
    pub track_scripts: Vec<Tracked>,
    /// `track_file`.
    pub track_files: Vec<Tracked>,
    /// `track_process`.
    pub track_processes: Vec<Tracked>,
    /// `track_bfd`.
    pub track_bfds: Vec<Tracked>,
    /// `notify*`.
    pub notify: Notify,
    /// `smtp_alert`, or what follows from the global ones.
    pub smtp_alert: bool,
    /// Configuration faults that keep the instance in FAULT (duplicate VRID …): one per reason.
    pub config_faults: u32,
}

impl Default for Instance {
    fn default() -> Self {
        Self {
            name: String::new(),
            wants_master: false,
            interface: String::new(),
            vrf: None,
            vrid: 0,
            priority: 100,
            version: Version::V2,
            family: Family::Inet,
            advert_int: Duration::from_secs(1),
            down_timer_adverts: 3,
            authentication: Authentication::None,
            source: None,
            track_source: false,
            mcast_group: None,
            unicast_peers: Vec::new(),
            unicast_fault_no_peer: false,
            unicast_ttl: None,
            check_unicast_source: false,
            old_unicast_checksum: OldUnicastChecksum::Auto,
            v3_checksum_as_v2: false,
            vips: Vec::new(),
            excluded_vips: Vec::new(),
            routes: Vec::new(),
            rules: Vec::new(),
            promote_secondaries: false,
            accept: true,
            nopreempt: false,
            preempt_delay: Duration::ZERO,
            skip_check_adv_addr: false,
            strict: false,
            debug: 0,
            lower_prio_no_advert: false,
            higher_prio_send_advert: false,
            owner_ignore_adverts: false,
            garp: Garp::default(),
            kernel_rx_buffer: None,
            vmac: None,
            xmit_base: false,
            vmac_addresses: false,
            ipvlan: None,
            device: None,
            address_devices: Vec::new(),
            dont_track_primary: false,
            track_interfaces: Vec::new(),
            track_scripts: Vec::new(),
            track_files: Vec::new(),
            track_processes: Vec::new(),
            track_bfds: Vec::new(),
            notify: Notify::default(),
            smtp_alert: false,
            config_faults: 0,
        }
    }
}

/// One line of `unicast_peer`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnicastPeer {
    /// Where adverts go.
    pub address: IpAddr,
    /// `min_ttl`.
    pub min_ttl: Option<u8>,
    /// `max_ttl`.
    pub max_ttl: Option<u8>,
}

/// `old_unicast_checksum [never]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OldUnicastChecksum {
    /// Not given: recognised from what is received.
    #[default]
    Auto,
    /// Given: the pseudo header has the multicast group.
    Always,
    /// `never`.
    Never,
}

/// Gratuitous ARP and neighbour advertisement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Garp {
    /// `garp_master_delay`; zero: no second burst.
    pub delay: Duration,
    /// `garp_master_repeat`; 0: one burst of nothing.
    pub repeat: u32,
    /// `garp_master_refresh`; zero: none.
    pub refresh: Duration,
    /// `garp_master_refresh_repeat`.
    pub refresh_repeat: u32,
    /// `garp_lower_prio_delay`.
    pub lower_prio_delay: Duration,
    /// `garp_lower_prio_repeat`.
    pub lower_prio_repeat: u32,
    /// `garp_extra_if`/`vmac_garp_intvl`; zero: none.
    pub extra_interval: Duration,
    /// `all` of `garp_extra_if`.
    pub extra_all: bool,
}

impl Default for Garp {
    fn default() -> Self {
        Self {
            delay: Duration::from_secs(5),
            repeat: 5,
            refresh: Duration::ZERO,
            refresh_repeat: 1,
            lower_prio_delay: Duration::from_secs(5),
            lower_prio_repeat: 5,
            extra_interval: Duration::ZERO,
            extra_all: false,
        }
    }
}

/// `use_vmac [[name] NAME] [MAC] [netlink_notify_msg] [group N]`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Vmac {
    /// Interface name as configured.
    pub name: Option<String>,
    /// MAC as configured.
    pub mac: Option<[u8; 6]>,
    /// `netlink_notify_msg`.
    pub netlink_notify: bool,
    /// `group N`.
    pub group: Option<u32>,
}

/// `use_ipvlan [[name] NAME] [ADDRESS] [bridge|private|vepa] [group N]`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ipvlan {
    /// Interface name as configured.
    pub name: Option<String>,
    /// Address and prefix length of the interface.
    pub address: Option<(IpAddr, u8)>,
    /// `bridge`, `private` or `vepa`.
    pub mode: Option<String>,
    /// `group N`.
    pub group: Option<u32>,
}

/// One entry of a `track_*` block: the thing's name and how it counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tracked {
    /// Interface, script, file, process or BFD name.
    pub name: String,
    /// Points added to the priority; 0: FAULT. Already the default of the tracked thing if none was given.
    pub weight: i32,
    /// `reverse`.
    pub reverse: bool,
}

/// Notify scripts of an instance or a group.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Notify {
    /// `notify_master`.
    pub master: Option<Command>,
    /// `notify_backup`.
    pub backup: Option<Command>,
    /// `notify_fault`.
    pub fault: Option<Command>,
    /// `notify_stop`.
    pub stop: Option<Command>,
    /// `notify`, with the four arguments appended.
    pub any: Option<Command>,
    /// `notify_master_rx_lower_pri` (instances only).
    pub master_rx_lower_pri: Option<Command>,
    /// `notify_deleted`: tell DELETED instead of FAULT.
    pub deleted: bool,
    /// The script of `notify_deleted`.
    pub deleted_script: Option<Command>,
    /// `notify_priority_changes`.
    pub priority_changes: bool,
}

/// One `vrrp_sync_group`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SyncGroup {
    /// Its name.
    pub name: String,
    /// Member instances, at least one, all existing.
    pub members: Vec<String>,
    /// `track_interface`.
    pub track_interfaces: Vec<Tracked>,
    /// `track_script`.
    pub track_scripts: Vec<Tracked>,
    /// `track_file`.
    pub track_files: Vec<Tracked>,
    /// `track_process`.
    pub track_processes: Vec<Tracked>,
    /// `track_bfd`.
    pub track_bfds: Vec<Tracked>,
    /// `notify*`.
    pub notify: Notify,
    /// `smtp_alert`, or what follows from the global ones.
    pub smtp_alert: bool,
    /// `sync_group_tracking_weight`: members keep weights of their own trackers.
    pub tracking_weight: bool,
    /// `global_tracking`.
    pub global_tracking: bool,
}

/// One `vrrp_script`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// Its name.
    pub name: String,
    /// What runs.
    pub command: Command,
    /// `interval`, 1 s by default.
    pub interval: Duration,
    /// `timeout`; `None`: the interval.
    pub timeout: Option<Duration>,
    /// `weight`, for trackers that give none.
    pub weight: i32,
    /// `reverse` of the weight.
    pub reverse: bool,
    /// `rise`, ≥ 1.
    pub rise: u32,
    /// `fall`, ≥ 1.
    pub fall: u32,
    /// `init_fail`.
    pub init_fail: bool,
}

/// One `track_file`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackFile {
    /// Its name.
    pub name: String,
    /// The file.
    pub path: PathBuf,
    /// `weight`.
    pub weight: i32,
    /// `reverse` of the weight.
    pub reverse: bool,
    /// `init_file [VALUE] [overwrite]`.
    pub init: Option<InitFile>,
}

/// `init_file [VALUE] [overwrite]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InitFile {
    /// What is written.
    pub value: i32,
    /// Also over an existing file.
    pub overwrite: bool,
}

/// One `vrrp_track_process`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackProcess {
    /// Its name.
    pub name: String,
    /// `process PATH [PARAMS]`: the program.
    pub program: String,
    /// Its parameters, if any are to match.
    pub params: Option<Vec<String>>,
    /// `param_match`; `None`: exact.
    pub param_match: Option<ParamMatch>,
    /// `full_command`: compare the whole command line instead of comm.
    pub full_command: bool,
    /// `weight`.
    pub weight: i32,
    /// `reverse` of the weight.
    pub reverse: bool,
    /// `quorum`, 1 by default.
    pub quorum: u32,
    /// `quorum_max`.
    pub quorum_max: Option<u32>,
    /// `terminate_delay`.
    pub terminate_delay: Duration,
    /// `fork_delay`.
    pub fork_delay: Duration,
}

/// `param_match initial|partial`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParamMatch {
    /// The first parameters are these, more may follow; the last may be longer.
    Initial,
    /// The first parameters are these, more may follow.
    Partial,
}

/// One `track_group`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TrackGroup {
    /// Its name.
    pub name: String,
    /// Member instances.
    pub members: Vec<String>,
}

/// One `garp_group`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GarpGroup {
    /// Interfaces that share the pace.
    pub interfaces: Vec<String>,
    /// `garp_interval`.
    pub garp_interval: Option<Duration>,
    /// `gna_interval`.
    pub gna_interval: Option<Duration>,
}

/// One line of `interface_up_down_delays`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LinkDelay {
    /// Interface.
    pub interface: String,
    /// How long it must be down before it counts.
    pub down: Duration,
    /// How long it must be up before it counts.
    pub up: Duration,
}
