//! What checkd works from: validated values of the `virtual_server`, `virtual_server_group`, `SSL` and
//! `global_defs` blocks, with every inherited value resolved (virtual server → real server → checker).
//!
//! Invariant: nothing here can be wrong any more (ports, families and ranges are checked, user names are ids), and
//! two models are equal exactly when a reload has nothing to do.
//!
//! Absent on purpose: spans, words and unresolved names (they end in the config layer), run-time state
//! (`core/service.rs`) and kernel encodings (`ipvs/wire.rs`).

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// `delay_loop` where none is given.
pub const DELAY_LOOP: Duration = Duration::from_mins(1);
/// `connect_timeout` where none is given.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// `persistence_timeout` without a value.
pub const PERSISTENCE_TIMEOUT_S: u32 = 360;
/// Longest scheduler or persistence engine name the kernel takes.
pub const NAME_MAX: usize = 15;

/// Everything checkd needs of one configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Model {
    /// `global_defs`, as far as checkd is concerned.
    pub globals: Globals,
    /// `virtual_server_group` blocks in file order.
    pub groups: Vec<ServerGroup>,
    /// `virtual_server` blocks in file order.
    pub services: Vec<VirtualServer>,
    /// `track_file`/`vrrp_track_file` blocks that a FILE_CHECK names.
    pub track_files: Vec<TrackFile>,
    /// The `SSL` block.
    pub ssl: Option<Ssl>,
}

/// The parts of `global_defs` that concern checks and IPVS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Globals {
    /// `router_id`, else the host name; names this host in mails.
    pub router_id: String,
    /// `net_namespace_ipvs`: `None` = own namespace, `Some("")` = the default one.
    pub net_namespace_ipvs: Option<String>,
    /// `lvs_flush`: empty the table at start.
    pub lvs_flush: bool,
    /// `lvs_flush_on_stop`.
    pub lvs_flush_on_stop: FlushOnStop,
    /// `lvs_timeouts`, seconds; 0 = leave as it is.
    pub lvs_timeouts: IpvsTimeouts,
    /// `lvs_sync_daemon`.
    pub sync_daemon: Option<SyncDaemon>,
    /// `checker_log_all_failures`.
    pub log_all_failures: bool,
    /// `smtp_alert_checker`, else `smtp_alert`; the default of servers that say nothing.
    pub smtp_alert: Option<bool>,
    /// `no_checker_emails`: mail only when a real server is added or removed.
    pub no_checker_emails: bool,
    /// `rs_init_notifies`: run notify_up/notify_down for the first result too.
    pub rs_init_notifies: bool,
    /// `lvs_notify_fifo` and its script.
    pub lvs_fifo: Option<Fifo>,
    /// `notify_fifo` and its script (shared with vrrpd).
    pub fifo: Option<Fifo>,
    /// Where and how mails go.
    pub mail: Mail,
    /// `checker_priority` (-20 to 19).
    pub priority: Option<i32>,
    /// `checker_rt_priority` (1 to 99).
    pub rt_priority: Option<u32>,
    /// `checker_no_swap`.
    pub no_swap: bool,
    /// `checker_cpu_affinity`.
    pub cpu_affinity: Vec<u32>,
    /// `checker_rlimit_rttime`, microseconds.
    pub rlimit_rttime_us: Option<u64>,
}

impl Default for Globals {
    fn default() -> Self {
        Self {
            router_id: String::new(),
            net_namespace_ipvs: None,
            lvs_flush: false,
            lvs_flush_on_stop: FlushOnStop::No,
            lvs_timeouts: IpvsTimeouts::default(),
            sync_daemon: None,
            log_all_failures: false,
            smtp_alert: None,
            no_checker_emails: false,
            rs_init_notifies: false,
            lvs_fifo: None,
            fifo: None,
            mail: Mail::default(),
            priority: None,
            rt_priority: None,
            no_swap: false,
            cpu_affinity: Vec::new(),
            rlimit_rttime_us: None,
        }
    }
}

/// `lvs_flush_on_stop [VS]`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum FlushOnStop {
    /// Services are removed one by one, each real server with its message (the default).
    #[default]
    No,
    /// The whole table is flushed at stop.
    Full,
    /// Own services are removed, without removing their real servers first.
    Services,
}

/// `lvs_timeouts`; `None` leaves the kernel's value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct IpvsTimeouts {
    /// `tcp SECS`.
    pub tcp_s: Option<u32>,
    /// `tcpfin SECS`.
    pub tcp_fin_s: Option<u32>,
    /// `udp SECS`.
    pub udp_s: Option<u32>,
}

/// `lvs_sync_daemon IFACE [inst NAME] [id N] [maxlen N] [port N] [ttl N] [group ADDR]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncDaemon {
    /// Interface.
    pub interface: String,
    /// VRRP instance whose state decides between master and backup; `None` starts both.
    pub instance: Option<String>,
    /// Sync id (1 to 255); keepalived takes the VRID of the instance where none is given, else 0.
    pub id: Option<u8>,
    /// `maxlen` (1 to 65507); `None` = kernel's choice.
    pub max_len: Option<u16>,
    /// `port`; `None` = 8848.
    pub port: Option<u16>,
    /// `ttl` (1 to 255).
    pub ttl: Option<u8>,
    /// `group`: multicast group.
    pub group: Option<IpAddr>,
}

/// A notify FIFO with the script that reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fifo {
    /// Path.
    pub path: PathBuf,
    /// Owner of a FIFO that we create.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Started with the path as last argument.
    pub script: Option<Script>,
}

/// Mail settings of `global_defs`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mail {
    /// `smtp_server`: an address or a name, and the port. A name is asked for when a mail is due.
    pub server: Option<(String, u16)>,
    /// `smtp_helo_name`, else the host name.
    pub helo_name: String,
    /// `smtp_connect_timeout` (30 s by default).
    pub connect_timeout: Option<Duration>,
    /// `notification_email_from`.
    pub from: Option<String>,
    /// `notification_email`.
    pub to: Vec<String>,
}

/// A command line with the user it runs as.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Script {
    /// Program (absolute) and arguments.
    pub argv: Vec<String>,
    /// The command as the user wrote it; messages print it.
    pub text: String,
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

/// `virtual_server_group NAME { … }`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerGroup {
    /// Name.
    pub name: String,
    /// Entries in file order.
    pub entries: Vec<GroupEntry>,
}

/// One line of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GroupEntry {
    /// `ADDR [PORT]` or a range; `last` equals the address where there is no range.
    Range {
        /// First address with the port (0 = any).
        first: SocketAddr,
        /// Last address, same family, not below the first.
        last: IpAddr,
    },
    /// `fwmark N [inet|inet6]`.
    Fwmark {
        /// Mark, not 0.
        mark: u32,
        /// Family, where it was given.
        family: Option<Family>,
    },
}

/// Address family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// IPv4.
    Inet,
    /// IPv6.
    Inet6,
}

impl Family {
    /// The family of an address.
    pub fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::Inet } else { Self::Inet6 }
    }
}

/// What a `virtual_server` line names.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Target {
    /// `virtual_server ADDR [PORT]`; port 0 = any port (persistent services).
    Address(SocketAddr),
    /// `virtual_server fwmark N`.
    Fwmark(u32),
    /// `virtual_server group NAME`; the group exists in [`Model::groups`].
    Group(String),
}

/// Layer 4 protocol.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// `TCP`.
    #[default]
    Tcp,
    /// `UDP`.
    Udp,
    /// `SCTP`.
    Sctp,
    /// None was given and none is needed (fwmark services).
    None,
}

/// Scheduler flags `flag-1`, `flag-2`, `flag-3` with their per-scheduler names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct SchedulerFlags {
    /// `flag-1`, `sh-fallback`, `mh-fallback`.
    pub one: bool,
    /// `flag-2`, `sh-port`, `mh-port`.
    pub two: bool,
    /// `flag-3`.
    pub three: bool,
}

/// `lvs_method`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Method {
    /// `NAT`.
    #[default]
    Nat,
    /// `DR`.
    Dr,
    /// `TUN`.
    Tun(Tunnel),
}

/// Tunnel type and checksum flags of `TUN`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Tunnel {
    /// Type.
    pub kind: TunnelKind,
    /// Checksum option (GUE and GRE).
    pub checksum: TunnelChecksum,
}

/// `type {ipip|gue port N|gre}`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum TunnelKind {
    /// `ipip`.
    #[default]
    Ipip,
    /// `gue port N`.
    Gue {
        /// UDP port.
        port: u16,
    },
    /// `gre`.
    Gre,
}

/// `nocsum|csum|remcsum`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum TunnelChecksum {
    /// `nocsum`.
    #[default]
    None,
    /// `csum`.
    Checksum,
    /// `remcsum`.
    Remote,
}

/// `virtual_server`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VirtualServer {
    /// What it serves.
    pub target: Target,
    /// Family of a fwmark service or group without addresses; else that of the addresses.
    pub family: Family,
    /// `protocol`.
    pub protocol: Protocol,
    /// `lvs_sched`/`lb_algo`; `wlc` where none is given.
    pub scheduler: String,
    /// `flag-*`, `sh-*`, `mh-*`.
    pub flags: SchedulerFlags,
    /// `hashed`: keepalived's `IP_VS_SVC_F_HASHED`; nothing today's kernel takes from user space.
    pub hashed: bool,
    /// `ops`.
    pub one_packet: bool,
    /// `lvs_method`/`lb_kind`.
    pub method: Method,
    /// `persistence_engine`.
    pub persistence_engine: Option<String>,
    /// `persistence_timeout`, seconds; `None` = not persistent.
    pub persistence_timeout_s: Option<u32>,
    /// `persistence_granularity`: netmask of IPv4, prefix length of IPv6.
    pub persistence_granularity: Option<Granularity>,
    /// `ha_suspend`: no checks while the address isn't on this host.
    pub ha_suspend: bool,
    /// `smtp_alert`, with the global default applied (mail on quorum changes; else no).
    pub smtp_alert: bool,
    /// `virtualhost`.
    pub virtualhost: Option<String>,
    /// `snmp_name`.
    pub snmp_name: Option<String>,
    /// `alpha`: real servers start down.
    pub alpha: bool,
    /// `omega`: down notifiers run at stop.
    pub omega: bool,
    /// `quorum` (at least 1).
    pub quorum: u32,
    /// `hysteresis` (less than the quorum).
    pub hysteresis: u32,
    /// `quorum_up`.
    pub quorum_up: Option<Script>,
    /// `quorum_down`.
    pub quorum_down: Option<Script>,
    /// `sorry_server` and its keywords.
    pub sorry: Option<SorryServer>,
    /// `inhibit_on_failure` of the virtual server; real servers carry theirs resolved.
    pub inhibit_on_failure: bool,
    /// `delay_loop`, for dumps; checkers carry theirs resolved.
    pub delay_loop: Duration,
    /// Real servers in file order.
    pub real_servers: Vec<RealServer>,
}

impl VirtualServer {
    /// A service with keepalived's defaults and no real server.
    pub fn new(target: Target, family: Family) -> Self {
        Self {
            target,
            family,
            protocol: Protocol::Tcp,
            scheduler: "wlc".to_owned(),
            flags: SchedulerFlags::default(),
            hashed: false,
            one_packet: false,
            method: Method::Nat,
            persistence_engine: None,
            persistence_timeout_s: None,
            persistence_granularity: None,
            ha_suspend: false,
            smtp_alert: false,
            virtualhost: None,
            snmp_name: None,
            alpha: false,
            omega: false,
            quorum: 1,
            hysteresis: 0,
            quorum_up: None,
            quorum_down: None,
            sorry: None,
            inhibit_on_failure: false,
            delay_loop: DELAY_LOOP,
            real_servers: Vec::new(),
        }
    }
}

/// `persistence_granularity`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Granularity {
    /// IPv4 netmask.
    Mask(std::net::Ipv4Addr),
    /// IPv6 prefix length (1 to 128).
    Prefix(u8),
}

/// `sorry_server`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SorryServer {
    /// Address and port (0 for fwmark services).
    pub address: SocketAddr,
    /// `sorry_server_inhibit`.
    pub inhibit: bool,
    /// `sorry_server_lvs_method`, else the virtual server's.
    pub method: Method,
}

/// `real_server`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RealServer {
    /// Address and port (0 for fwmark services and services of any port).
    pub address: SocketAddr,
    /// `weight` (0 to 65535).
    pub weight: u32,
    /// `lvs_method`, else the virtual server's.
    pub method: Method,
    /// `uthreshold`; 0 = none.
    pub upper_threshold: u32,
    /// `lthreshold`; 0 = none.
    pub lower_threshold: u32,
    /// `inhibit_on_failure`, else the virtual server's.
    pub inhibit_on_failure: bool,
    /// `alpha`, else the virtual server's.
    pub alpha: bool,
    /// `smtp_alert`, with defaults applied (yes when the global says nothing).
    pub smtp_alert: bool,
    /// `virtualhost`, else the virtual server's.
    pub virtualhost: Option<String>,
    /// `snmp_name`.
    pub snmp_name: Option<String>,
    /// `notify_up`.
    pub notify_up: Option<Script>,
    /// `notify_down`.
    pub notify_down: Option<Script>,
    /// Checkers in file order.
    pub checkers: Vec<Checker>,
}

impl RealServer {
    /// A real server with keepalived's defaults and the service's inherited values.
    pub fn new(address: SocketAddr, service: &VirtualServer) -> Self {
        Self {
            address,
            weight: 1,
            method: service.method,
            upper_threshold: 0,
            lower_threshold: 0,
            inhibit_on_failure: service.inhibit_on_failure,
            alpha: service.alpha,
            smtp_alert: true,
            virtualhost: service.virtualhost.clone(),
            snmp_name: None,
            notify_up: None,
            notify_down: None,
            checkers: Vec::new(),
        }
    }
}

/// One checker of a real server. `FILE_CHECK` and `BFD_CHECK` ignore the timers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checker {
    /// What is done.
    pub kind: CheckerKind,
    /// Where to (not used by MISC, FILE and BFD).
    pub connection: Connection,
    /// `alpha`: starts down.
    pub alpha: bool,
    /// `retry`: failures in a row that are tolerated while up.
    pub retry: u32,
    /// `delay_before_retry`.
    pub delay_before_retry: Duration,
    /// `warmup`: the first check starts after a random part of this; zero = at once.
    pub warmup: Duration,
    /// `delay_loop`.
    pub delay_loop: Duration,
    /// `log_all_failures`, else the global one.
    pub log_all_failures: bool,
}

impl Checker {
    /// A checker with keepalived's defaults for its kind and the real server's address.
    pub fn new(kind: CheckerKind, real: &RealServer, delay_loop: Duration) -> Self {
        Self {
            retry: kind.default_retry(),
            delay_before_retry: kind.default_delay_before_retry(delay_loop),
            connection: Connection::new(real.address),
            alpha: real.alpha,
            warmup: delay_loop,
            delay_loop,
            log_all_failures: false,
            kind,
        }
    }
}

/// Generic connection options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// `connect_ip` and `connect_port`, else the real server's.
    pub to: SocketAddr,
    /// `bindto`.
    pub bind_address: Option<IpAddr>,
    /// `bind_port`.
    pub bind_port: Option<u16>,
    /// `bind_if`.
    pub bind_interface: Option<String>,
    /// `fwmark`; 0 = none.
    pub fwmark: u32,
    /// `connect_timeout`.
    pub timeout: Duration,
}

impl Connection {
    /// To an address, with defaults.
    pub fn new(to: SocketAddr) -> Self {
        Self {
            to,
            bind_address: None,
            bind_port: None,
            bind_interface: None,
            fwmark: 0,
            timeout: CONNECT_TIMEOUT,
        }
    }
}

/// The kind of a checker with its own options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckerKind {
    /// `TCP_CHECK`.
    Tcp,
    /// `HTTP_GET` and `SSL_GET`.
    Http(HttpGet),
    /// `SMTP_CHECK`; each `host` block is a checker of its own.
    Smtp {
        /// `helo_name`, else the host name.
        helo_name: String,
    },
    /// `DNS_CHECK`.
    Dns {
        /// `type`, `SOA` by default.
        query: DnsType,
        /// `name`, `.` by default.
        name: String,
    },
    /// `MISC_CHECK`.
    Misc {
        /// `misc_path` with `user`.
        script: Script,
        /// `misc_timeout`; `None` = `delay_loop`.
        timeout: Option<Duration>,
        /// `misc_dynamic`.
        dynamic: bool,
    },
    /// `UDP_CHECK`.
    Udp(UdpCheck),
    /// `PING_CHECK`.
    Ping,
    /// `FILE_CHECK`.
    File {
        /// Name of a [`Model::track_files`] entry.
        track_file: String,
        /// Multiplier; 0 means that a non-zero value of the file fails the check. `reverse` is the sign.
        weight: i32,
        /// `reverse` of a weight.
        reverse: bool,
    },
    /// `BFD_CHECK`.
    Bfd {
        /// Name of the BFD instance.
        name: String,
    },
}

impl CheckerKind {
    /// `retry` where none is given anywhere.
    pub fn default_retry(&self) -> u32 {
        match self {
            Self::Dns { .. } => 3,
            Self::Misc { .. } => 0,
            Self::Tcp | Self::Http(_) | Self::Smtp { .. } | Self::Udp(_) | Self::Ping => 1,
            Self::File { .. } | Self::Bfd { .. } => 0,
        }
    }

    /// `delay_before_retry` where none is given anywhere.
    pub fn default_delay_before_retry(&self, delay_loop: Duration) -> Duration {
        match self {
            Self::Dns { .. } => delay_loop,
            Self::Http(_) => Duration::from_secs(3),
            Self::Tcp | Self::Smtp { .. } | Self::Misc { .. } | Self::Udp(_) | Self::Ping => {
                Duration::from_secs(1)
            }
            Self::File { .. } | Self::Bfd { .. } => delay_loop,
        }
    }
}

/// `HTTP_GET`/`SSL_GET`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpGet {
    /// `SSL_GET`.
    pub tls: bool,
    /// `http_protocol`.
    pub protocol: HttpProtocol,
    /// `virtualhost` of the checker, else the real server's; a URL's own goes first.
    pub virtualhost: Option<String>,
    /// `enable_sni`.
    pub enable_sni: bool,
    /// `sni_name`.
    pub sni_name: Option<String>,
    /// `fast_recovery`.
    pub fast_recovery: bool,
    /// `tls_compliant`: a close without close_notify is a failure.
    pub tls_compliant: bool,
    /// `url` blocks, at least one.
    pub urls: Vec<Url>,
}

/// `http_protocol`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum HttpProtocol {
    /// `1.0`.
    #[default]
    V10,
    /// `1.0C`/`1.0c`: with `Connection: close`.
    V10Close,
    /// `1.1`.
    V11,
    /// `1.1K`/`1.1k`: keep-alive form of later versions.
    V11Keep,
}

/// `url { … }`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    /// `path`.
    pub path: String,
    /// `digest`: MD5 of the body, 16 bytes.
    pub digest: Option<[u8; 16]>,
    /// `status_code`: inclusive ranges; empty = 200 to 299.
    pub status: Vec<(u16, u16)>,
    /// `virtualhost`.
    pub virtualhost: Option<String>,
    /// `regex` and its keywords.
    pub regex: Option<UrlRegex>,
    /// `tls_compliant` of the URL.
    pub tls_compliant: bool,
}

/// `regex` of a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UrlRegex {
    /// Pattern (PCRE2).
    pub pattern: String,
    /// `regex_no_match`.
    pub no_match: bool,
    /// `regex_options` words, known ones only.
    pub options: Vec<String>,
    /// `regex_min_offset`.
    pub min_offset: usize,
    /// `regex_max_offset`; `None` = no limit.
    pub max_offset: Option<usize>,
}

/// `type` of DNS_CHECK, in keepalived's words.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum DnsType {
    /// `A`.
    A,
    /// `NS`.
    Ns,
    /// `CNAME`.
    Cname,
    /// `SOA`.
    #[default]
    Soa,
    /// `MX`.
    Mx,
    /// `TXT`.
    Txt,
    /// `AAAA`.
    Aaaa,
    /// `RRSIG`.
    Rrsig,
    /// `DNSKEY`.
    Dnskey,
}

/// `UDP_CHECK`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UdpCheck {
    /// `payload`; `None` = random bytes.
    pub payload: Option<Vec<u8>>,
    /// `require_reply`: bytes and masks (a nibble given as `x` is 0 in the mask); empty = any content.
    pub require_reply: Option<Vec<(u8, u8)>>,
    /// `min_reply_length`, 0 by default.
    pub min_reply: u16,
    /// `max_reply_length`, 255 by default.
    pub max_reply: Option<u16>,
}

/// `track_file`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackFile {
    /// Name.
    pub name: String,
    /// Path.
    pub path: PathBuf,
    /// `weight`, the default of checkers that give none.
    pub weight: i32,
    /// `weight … reverse`.
    pub reverse: bool,
    /// `init_file VALUE [overwrite]`: value written where there is no file (or in any case).
    pub init: Option<(i32, bool)>,
}

/// The `SSL` block.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ssl {
    /// `password` of the key.
    pub password: Option<String>,
    /// `ca`.
    pub ca: Option<PathBuf>,
    /// `certificate`.
    pub certificate: Option<PathBuf>,
    /// `key`.
    pub key: Option<PathBuf>,
}
