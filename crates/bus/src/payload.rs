//! The data of each topic. Same rule as [`crate::wire`]: additive only, every field but the first ones with a
//! default, so that an old reader takes a new writer's line and the other way round.

use serde::{Deserialize, Serialize};

/// `vrrp.instance/NAME`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct VrrpInstance {
    /// `INIT`, `BACKUP`, `MASTER`, `FAULT` or `STOP`.
    pub state: String,
    /// Virtual router id.
    pub vrid: u8,
    /// Interface.
    pub interface: String,
    /// Configured priority.
    pub priority: u8,
    /// Priority with all weights.
    pub effective_priority: u8,
    /// Addresses (without mask) that it holds while MASTER, whatever its state is now.
    pub addresses: Vec<String>,
    /// Name of the sync group; empty when there is none.
    pub group: String,
    /// Milliseconds since 1970 of the last change of state.
    pub since_ms: u64,
    /// Why it is in this state, in the words of the log.
    pub reason: String,
    /// Those of `addresses` that it holds now: all of them while MASTER, else none. Published after they are on
    /// the interface, so that whoever waits for an address can use it at once.
    pub held: Vec<String>,
    /// `inet` or `inet6`.
    pub family: String,
}

/// `vrrp.group/NAME`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct VrrpGroup {
    /// As in [`VrrpInstance`].
    pub state: String,
    /// Names of its instances.
    pub instances: Vec<String>,
}

/// `ipvs.service/NAME`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct IpvsService {
    /// Whether the quorum is reached.
    pub quorum_up: bool,
    /// Sum of the weights of the servers that are up.
    pub weight_up: i64,
    /// Its real servers.
    pub servers: Vec<RealServer>,
    /// The weight that its quorum asks for.
    pub quorum: u32,
    /// Why it is not being checked; empty while it is.
    pub suspended: String,
}

/// A real server of an [`IpvsService`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RealServer {
    /// `address:port`.
    pub address: String,
    /// Whether all its checkers say so.
    pub up: bool,
    /// Weight in the kernel's table.
    pub weight: i64,
    /// What those of its checkers saw that say it is down, else empty.
    pub reason: String,
}

/// `probe.outcome/KEY`, and the data of an `outcome` frame.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Outcome {
    /// haproxy's name: `L4OK`, `L7STS` …
    pub status: String,
    /// HTTP or other code; `None` when the protocol has none.
    pub code: Option<i64>,
    /// What was seen, in haproxy's words.
    pub description: String,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// Weight that an agent asked for, in percent.
    pub agent_weight: Option<u32>,
    /// Words of an agent (`drain`, `ready` …).
    pub agent_words: Vec<String>,
}

/// `script.result/NAME`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ScriptResult {
    /// Exit code; -1 when a signal or the deadline ended it.
    pub code: i32,
    /// Whether it counts as up after rise and fall.
    pub up: bool,
}

/// `proxy.server/BACKEND/SERVER`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ProxyServer {
    /// haproxy's status: `UP`, `DOWN`, `MAINT`, `DRAIN`, `NOLB`, `no check`.
    pub status: String,
    /// `address:port`.
    pub address: String,
    /// Weight in force.
    pub weight: u32,
    /// Last outcome's status, empty before the first.
    pub check: String,
    /// Whether checkd probes it now.
    pub delegated: bool,
    /// Why it has this status: who put it there, or what the last check saw.
    pub reason: String,
}

/// `proxy.listener/FRONTEND/ADDRESS`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ProxyListener {
    /// `OPEN`, `FULL` or `STOP`.
    pub status: String,
    /// Whether the address was bound without being on the host.
    pub free_bound: bool,
}

/// `daemon.status`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct DaemonStatus {
    /// `starting`, `running`, `reloading` or `stopping`.
    pub state: String,
    /// Version.
    pub version: String,
    /// Pid.
    pub pid: u32,
    /// Milliseconds since 1970 of the start.
    pub started_ms: u64,
    /// Count of configurations loaded, from 1.
    pub generation: u64,
    /// Lines lost by log receivers.
    pub log_dropped: u64,
}
