//! Live state that outlives generations, keyed by name: health, weights, admin states, counters.

use crate::stats::{BackCounters, FrontCounters};
use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64};
use std::sync::{Arc, Mutex};

/// All live state of the process.
#[derive(Debug, Default)]
pub struct Board {
    /// Proxies by name and whether it is a backend's half.
    pub proxies: Mutex<HashMap<String, Arc<ProxyState>>>,
    /// Servers by backend and server name.
    pub servers: Mutex<HashMap<(String, String), Arc<ServerState>>>,
    /// `proc.` variables.
    pub vars: Mutex<crate::stream::vars::Vars>,
    /// Counters of the whole process, for `show info`.
    pub process: ProcessCounters,
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
}

/// Live state of a frontend, backend or listen section.
#[derive(Debug, Default)]
pub struct ProxyState {
    /// The frontend half's counters.
    pub front: FrontCounters,
    /// The backend half's counters.
    pub back: BackCounters,
    /// Listener counters, by bind line.
    pub listeners: Vec<FrontCounters>,
    /// Stopped by `disable frontend` or soft stop.
    pub stopped: std::sync::atomic::AtomicBool,
    /// Last change of the backend's state, seconds since the epoch.
    pub last_change: AtomicU64,
    /// Seconds without any server.
    pub down_time: AtomicU64,
}

/// Live state of a server.
#[derive(Debug, Default)]
pub struct ServerState {
    /// Counters.
    pub counters: BackCounters,
    /// Bits of `SRV_ADMF_*` as in `show servers state` (srv_admin_state).
    pub admin: AtomicU32,
    /// 0 stopped, 1 starting, 2 running, 3 soft-stopped (srv_op_state).
    pub oper: AtomicU32,
    /// Weight in force as the user set it, 0..256 (srv_uweight).
    pub user_weight: AtomicU32,
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
}

/// Parts of a server's state that are rarely touched.
#[derive(Debug, Default, Clone)]
pub struct ServerDetail {
    /// Address in force; changed by the CLI, DNS or agents.
    pub address: Option<std::net::SocketAddr>,
    /// Name behind the address.
    pub fqdn: Option<String>,
}
