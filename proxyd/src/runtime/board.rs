//! Live state that outlives generations, keyed by name: health, weights, admin states, counters.

use super::watched::Watched;
use crate::config::model::Global;
use crate::stats::rate::Rate;
use crate::stats::rows::Clock;
use crate::stats::{BackCounters, FrontCounters};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Instant, SystemTime};

/// All live state of the process.
#[derive(Debug, Default)]
pub struct Board {
    /// Proxies by name and whether it is a backend's half.
    pub proxies: Mutex<HashMap<String, Arc<ProxyState>>>,
    /// Servers by backend and server name.
    pub servers: Mutex<HashMap<(String, String), Arc<ServerState>>>,
    /// Stick tables by name.
    pub tables: crate::stick::Tables,
    /// Peers that tables are shared with.
    pub peers: crate::peers::status::Desk,
    /// Caches by name.
    pub caches: crate::http::cache::Caches,
    /// `proc.` variables.
    pub vars: Mutex<crate::stream::vars::Vars>,
    /// Counters of the whole process, for `show info`.
    pub process: ProcessCounters,
    /// Facts of the whole process.
    pub info: ProcessInfo,
    /// Limits of the whole process.
    pub limits: Limits,
    /// What was told at the start (`show startup-logs`).
    pub startup_log: std::sync::OnceLock<String>,
    /// How many messages could not be read.
    pub captured: super::captured::Count,
    /// Wakes those who wait for connections, so that they look at their limits again.
    pub limits_changed: tokio::sync::Notify,
    /// Where names are asked for, and counters of name servers.
    pub resolvers: crate::resolve::Desk,
    /// The way to the streams of all threads.
    pub streams: super::streams::Registry,
    /// Grows whenever a weight changes, so that balancers notice.
    pub weights_changed: AtomicU64,
    /// Who adds and deletes servers.
    pub roster: super::roster::Registrar,
}

impl Board {
    /// What time it is for rates and ages.
    pub fn clock(&self) -> Clock {
        let seconds = |t: SystemTime| t.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_secs());
        Clock {
            mono_ms: self.info.started.elapsed().as_millis() as u64,
            wall_s: seconds(SystemTime::now()),
            started_s: seconds(self.info.started_at),
        }
    }
}

/// Limits of the whole process that the command line may change; 0 is none.
#[derive(Debug, Default)]
pub struct Limits {
    /// New connections per second (`maxconnrate`).
    pub connections: AtomicU64,
    /// New sessions per second (`maxsessrate`).
    pub sessions: AtomicU64,
    /// New TLS sessions per second (`maxsslrate`).
    pub tls_sessions: AtomicU64,
    /// TLS connections at a time (`maxsslconn`).
    pub tls_connections: AtomicU64,
    /// Kilobytes per second out of the compressor (`maxcomprate`).
    pub compression_kb: AtomicU64,
}

impl Limits {
    /// Takes what the configuration says; what the command line said before is past, as with a new process.
    pub fn begin(&self, global: &Global) {
        let word = |name: &str| {
            let word = global.ssl_defaults.get(name).and_then(|words| words.first());
            word.map_or(0, |w| conf_parsers::value::lenient_int(w).max(0) as u64)
        };
        self.connections.store(global.maxconnrate as u64, Relaxed);
        self.sessions.store(global.maxsessrate as u64, Relaxed);
        self.tls_sessions.store(word("maxsslrate"), Relaxed);
        self.tls_connections.store(word("maxsslconn"), Relaxed);
    }
}

/// Facts of the whole process, set once at its start.
#[derive(Debug)]
pub struct ProcessInfo {
    /// Version as `-v` prints it.
    pub version: String,
    /// Date of this version.
    pub release_date: String,
    /// Threads.
    pub nbthread: usize,
    /// This process.
    pub pid: u32,
    /// Start of the process, monotonic; the rates' zero.
    pub started: Instant,
    /// Start of the process, wall clock.
    pub started_at: SystemTime,
    /// Descriptors at most.
    pub ulimit_n: u64,
    /// Sockets at most.
    pub maxsock: u64,
    /// Connections at most; the CLI changes it.
    pub maxconn: AtomicU64,
    /// The limit that the start set; `set maxconn global` can't go above it.
    pub hard_maxconn: u64,
    /// `-m`, bytes; 0 is none.
    pub memory: u64,
    /// `node`, or the host's name.
    pub node: String,
    /// `description`.
    pub description: Option<String>,
    /// Listening sockets.
    pub listeners: AtomicU64,
    /// The descriptor by which a master reaches this worker.
    pub master_channel: Option<i32>,
}

impl Default for ProcessInfo {
    fn default() -> Self {
        Self {
            version: String::new(),
            release_date: String::new(),
            nbthread: 1,
            pid: std::process::id(),
            started: Instant::now(),
            started_at: SystemTime::now(),
            ulimit_n: 0,
            maxsock: 0,
            maxconn: AtomicU64::new(0),
            hard_maxconn: 0,
            memory: 0,
            node: String::new(),
            description: None,
            listeners: AtomicU64::new(0),
            master_channel: None,
        }
    }
}

/// Counters of the whole process.
#[derive(Debug, Default)]
pub struct ProcessCounters {
    /// Connections now.
    pub cur_conns: AtomicU64,
    /// Connections in all.
    pub cum_conns: AtomicU64,
    /// Requests in all.
    pub cum_req: AtomicU64,
    /// Numbers for `uniq_id` of streams.
    pub next_id: AtomicU64,
    /// Connections per second over all frontends.
    pub conn_rate: Rate,
    /// Sessions per second.
    pub sess_rate: Rate,
    /// TLS handshakes per second.
    pub ssl_rate: Rate,
    /// TLS handshakes with clients per second that needed a new key: whose sessions were not resumed.
    pub ssl_front_keys: Rate,
    /// The same with servers.
    pub ssl_back_keys: Rate,
    /// TLS connections now.
    pub ssl_conns: AtomicU64,
    /// TLS connections in all.
    pub cum_ssl_conns: AtomicU64,
    /// Bytes sent to clients and servers.
    pub bytes_out: AtomicU64,
    /// Bytes that went through a kernel pipe.
    pub spliced_bytes_out: AtomicU64,
    /// Bytes out per second.
    pub bytes_out_rate: Rate,
    /// Streams so far (`%rt`).
    pub streams: AtomicU64,
    /// Log lines that could not be sent.
    pub dropped_logs: AtomicU64,
    /// Share of the last second that threads slept, percent.
    pub idle_percent: AtomicU64,
    /// Connections to stats sockets now.
    pub cli_conns: AtomicU64,
    /// Whether a soft stop is under way.
    pub stopping: AtomicBool,
}

/// Live state of a frontend, backend or listen section.
#[derive(Debug, Default)]
pub struct ProxyState {
    /// Log lines of the frontend half (`%lc`).
    pub log_lines: AtomicU64,
    /// The frontend half's counters.
    pub front: FrontCounters,
    /// The backend half's counters.
    pub back: BackCounters,
    /// Listener counters, by bind line; filled where `option socket-stats` asks for them.
    pub listeners: Vec<FrontCounters>,
    /// Stopped by `disable frontend` or soft stop: listening, not accepting.
    pub stopped: AtomicBool,
    /// Stopped for good by `shutdown frontend`: not listening.
    pub shut: AtomicBool,
    /// `set maxconn frontend`; 0 where the configuration's limit holds.
    pub maxconn: AtomicU64,
    /// Cookies made of servers' addresses.
    pub cookies: super::cookies::Dynamic,
    /// The last messages that could not be read.
    pub captured: super::captured::Last,
    /// Last change of the backend's state, seconds since the epoch.
    pub last_change: AtomicU64,
    /// Times the backend went down (`chkdown`).
    pub down_transitions: AtomicU64,
    /// Seconds without any server.
    pub down_time: AtomicU64,
}

/// Live state of a server.
#[derive(Debug, Default)]
pub struct ServerState {
    /// Counters.
    pub counters: BackCounters,
    /// Bits of `SRV_ADMF_*` as in `show servers state` (srv_admin_state).
    pub admin: Watched,
    /// 0 stopped, 1 starting, 2 running, 3 soft-stopped (srv_op_state).
    pub oper: Watched,
    /// Weight in force as the user set it, 0..256 (srv_uweight).
    pub user_weight: Watched,
    /// Weight of the configuration (srv_iweight).
    pub initial_weight: AtomicU32,
    /// 0..rise+fall-1 (srv_check_health).
    pub health: AtomicU32,
    /// The last check's outcome and others that need a lock.
    pub detail: Mutex<ServerDetail>,
    /// Sessions now, over all threads.
    pub sessions: AtomicI64,
    /// `maxconn` in force, changed by the CLI.
    pub maxconn: AtomicU32,
    /// Idle connections kept, over all threads: safe and unsafe.
    pub idle: [AtomicU64; 2],
    /// Errors in a row that `observe` saw.
    pub errors: AtomicU32,
    /// Slow start: its weight now in sixteenths of the full one; 0 is no slow start.
    pub ramp: Watched,
    /// Slow start: how much of its limit of sessions holds now, percent; 0 is no slow start.
    pub ramp_percent: AtomicU32,
    /// Reasons to check it now, and the news that it went down.
    pub suspicion: super::suspicion::Suspicion,
    /// What the command line said of its TLS: 0 nothing, 1 off, 2 on.
    pub tls_switch: AtomicU32,
    /// How often its address changed while it ran; connections to an old one are not used again.
    pub moves: AtomicU32,
    /// How often its place was taken anew by `add server`; whoever minds it stops when it changes.
    pub tenure: AtomicU64,
    /// Connections in use.
    pub used: AtomicU64,
    /// Estimated need of connections.
    pub need: AtomicU64,
}

/// Bits of [`ServerState::admin`], with the values `show servers state` prints.
pub mod admin {
    /// Maintenance asked for by an operator.
    pub const FORCED_MAINT: u32 = 0x01;
    /// Maintenance inherited from a tracked server.
    pub const INHERITED_MAINT: u32 = 0x02;
    /// Maintenance by `disabled` in the configuration.
    pub const CONFIGURED_MAINT: u32 = 0x04;
    /// Drain asked for by an operator.
    pub const FORCED_DRAIN: u32 = 0x08;
    /// Drain inherited from a tracked server.
    pub const INHERITED_DRAIN: u32 = 0x10;
    /// Maintenance since the name does not resolve.
    pub const RESOLUTION_MAINT: u32 = 0x20;
    /// The name is another than the configuration's: by an operator, or by a service's records. No maintenance.
    pub const RENAMED: u32 = 0x40;
    /// Any maintenance; that of the configuration comes with a forced one, which operators may lift.
    pub const MAINT: u32 = 0x23;
    /// Any drain.
    pub const DRAIN: u32 = 0x18;
}

/// Values of [`ServerState::oper`].
pub mod oper {
    /// Down.
    pub const STOPPED: u32 = 0;
    /// Up, in slow start.
    pub const STARTING: u32 = 1;
    /// Up.
    pub const RUNNING: u32 = 2;
    /// Up, answers 404 to `disable-on-404`: no new sessions.
    pub const STOPPING: u32 = 3;
}

impl ServerState {
    /// The address in force.
    pub fn address(&self) -> Option<std::net::SocketAddr> {
        self.detail.lock().unwrap_or_else(std::sync::PoisonError::into_inner).address
    }

    /// Whether connections to it use TLS, given what the configuration says.
    pub fn uses_tls(&self, configured: bool) -> bool {
        match self.tls_switch.load(Relaxed) {
            0 => configured,
            switch => switch == 2,
        }
    }

    /// Sixteenths of its full weight that hold now.
    pub fn ramp(&self) -> u32 {
        match self.ramp.load(Relaxed) {
            0 => crate::balance::turns::PARTS,
            n => n.min(crate::balance::turns::PARTS),
        }
    }

    /// Share of its limit of sessions during slow start.
    pub fn slow_start_percent(&self) -> Option<u64> {
        Some(u64::from(self.ramp_percent.load(Relaxed))).filter(|n| *n > 0)
    }

    /// Whether an admin state keeps it out of service.
    pub fn in_maintenance(&self) -> bool {
        self.admin.load(Relaxed) & admin::MAINT != 0
    }

    /// Whether an admin state keeps new sessions away.
    pub fn in_drain(&self) -> bool {
        self.admin.load(Relaxed) & admin::DRAIN != 0
    }

    /// Whether it may get traffic, weight aside.
    pub fn is_up(&self) -> bool {
        self.oper.load(Relaxed) != oper::STOPPED && !self.in_maintenance()
    }
}

/// Parts of a server's state that are rarely touched.
#[derive(Debug, Default, Clone)]
pub struct ServerDetail {
    /// Address in force; changed by the CLI, DNS or agents.
    pub address: Option<std::net::SocketAddr>,
    /// The port, which is there without an address, too; 0 is none.
    pub port: u16,
    /// Name behind the address.
    pub fqdn: Option<String>,
    /// The health check.
    pub check: CheckState,
    /// The agent check.
    pub agent: CheckState,
    /// Failed checks in all (`chkfail`).
    pub failed_checks: u64,
    /// Failed observed requests (`hanafail`).
    pub failed_hana: u64,
    /// Transitions from UP to DOWN (`chkdown`).
    pub down_transitions: u64,
    /// When the state changed last, seconds since the epoch.
    pub last_change: u64,
    /// Seconds spent down until the last change.
    pub down_time: u64,
    /// When slow start began and ends, milliseconds since process start.
    pub slowstart: Option<(u64, u64)>,
    /// `proxy/server` that is tracked.
    pub tracked: Option<String>,
}

/// What a check's last run found, as operators see it.
#[derive(Debug, Default, Clone)]
pub struct CheckState {
    /// Configured and not switched off by an operator.
    pub enabled: bool,
    /// Configured at all.
    pub configured: bool,
    /// Paused by an operator (`disable health`).
    pub paused: bool,
    /// Maintenance has put them off since they were enabled.
    pub held: bool,
    /// A run is under way: the status is shown with `* ` before it.
    pub running: bool,
    /// `L4OK`, `L7STS` …; empty before the first run (`INI`).
    pub status: &'static str,
    /// The status in words, `Layer4 connection problem`.
    pub status_text: &'static str,
    /// HTTP status or the like.
    pub code: Option<i64>,
    /// How long it took.
    pub duration_ms: Option<u64>,
    /// What it said (`last_chk`).
    pub description: String,
    /// 0..rise+fall-1.
    pub health: u32,
    /// `rise`.
    pub rise: u32,
    /// `fall`.
    pub fall: u32,
    /// `set server … check-addr|agent-addr`.
    pub address: Option<std::net::IpAddr>,
    /// `set server … check-port|agent-port`.
    pub port: Option<u16>,
    /// `set server … agent-send`.
    pub send: Option<String>,
}

impl CheckState {
    /// Whether the counter says up.
    pub fn is_passing(&self) -> bool {
        self.health >= self.rise
    }
}
