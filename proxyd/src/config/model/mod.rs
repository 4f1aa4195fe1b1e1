//! The validated configuration: what the words meant, without words or spans.
//!
//! Invariant: every reference (backend, ACL, table, userlist) is resolved to an index or a shared value before
//! a [`Config`] leaves this layer; the engine never looks a name up on the hot path.

mod balance;
mod bind;
mod check;
mod global;
mod http;
mod options;
mod peers;
mod resolvers;
mod roster;
mod server;

pub use balance::*;
pub use bind::*;
pub use check::*;
pub use global::*;
pub use http::*;
pub use options::*;
pub use peers::*;
pub use resolvers::*;
pub use roster::Roster;
pub use server::*;

use crate::{acl, action, log};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

/// Index of a proxy in [`Config::proxies`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProxyId(pub usize);

/// Index of a server in [`Proxy::servers`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServerId(pub usize);

/// A whole configuration.
#[derive(Debug, Default)]
pub struct Config {
    /// `global`.
    pub global: Global,
    /// Frontends, backends and listen sections, in file order.
    pub proxies: Vec<Proxy>,
    /// `userlist` sections by name.
    pub userlists: BTreeMap<String, Arc<Userlist>>,
    /// `http-errors` sections by name.
    pub http_errors: BTreeMap<String, Arc<BTreeMap<u16, ErrorReply>>>,
    /// Pattern and map files and inline lists of all rules; the board serves them to the CLI.
    pub patterns: Arc<acl::file::PatRefs>,
    /// `resolvers` sections in file order, the one of the host's own name servers last.
    pub resolvers: Vec<Arc<Resolvers>>,
    /// `cache` sections in file order.
    pub caches: Vec<crate::http::cache::Settings>,
    /// `peers` sections in file order.
    pub peers: Vec<Peers>,
    /// `log-forward` sections in file order.
    pub log_forwards: Vec<crate::log::forward::LogForward>,
    /// `ring` sections by name.
    pub rings: BTreeMap<String, Ring>,
    /// Names in rules and expressions that are bound once all sections are read.
    pub refs: crate::sample::expr::Refs,
}

impl Config {
    /// Whether a process would have anything to listen on.
    pub fn listens(&self) -> bool {
        self.proxies.iter().any(|p| !p.disabled && !p.binds.is_empty())
            || !self.global.stats_sockets.is_empty()
            || self.log_forwards.iter().any(|f| !f.datagrams.is_empty() || !f.streams.is_empty())
            || self.peers.iter().any(|p| !p.disabled && p.local.is_some())
    }
}

/// `mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// `tcp`.
    #[default]
    Tcp,
    /// `http`.
    Http,
    /// `health` of old files: answers `OK` and closes.
    Health,
}

/// Which section opened a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `frontend`.
    Frontend,
    /// `backend`.
    Backend,
    /// `listen`: both.
    Listen,
}

impl Kind {
    /// Whether it accepts clients.
    pub fn is_front(self) -> bool {
        self != Self::Backend
    }

    /// What haproxy calls the section in complaints about rules.
    pub fn side(self) -> &'static str {
        match self {
            Self::Frontend => "frontend",
            Self::Backend => "backend",
            Self::Listen => "proxy",
        }
    }

    /// Whether it has servers.
    pub fn is_back(self) -> bool {
        self != Self::Frontend
    }
}

impl Proxy {
    /// The servers that operators see, in their order: those of the file, then those that were added since.
    pub fn shown_servers(&self) -> Vec<(ServerId, &Server)> {
        let all = self.servers.iter().enumerate().map(|(i, s)| (ServerId(i), s));
        let mut shown: Vec<_> = all.filter(|(_, s)| !s.hidden && !s.life.is_gone()).collect();
        shown.sort_by_key(|(_, s)| s.life.born());
        shown
    }

    /// The server of a name.
    pub fn server_named(&self, name: &[u8]) -> Option<ServerId> {
        let found = |s: &Server| s.name.as_bytes() == name && !s.life.is_gone();
        self.servers.iter().position(found).map(ServerId)
    }
}

/// One `frontend`, `backend` or `listen`, with all that it inherited from its defaults section.
#[derive(Debug)]
pub struct Proxy {
    /// The name.
    pub name: String,
    /// The section.
    pub kind: Kind,
    /// `id`, or haproxy's automatic one (1, 2, … skipping those in use).
    pub uuid: u32,
    /// `mode`.
    pub mode: Mode,
    /// `description`.
    pub description: Option<String>,
    /// `disabled`.
    pub disabled: bool,
    /// `bind` lines, one for each address and port.
    pub binds: Vec<Bind>,
    /// `maxconn` of a frontend; `None` is the global default.
    pub maxconn: Option<usize>,
    /// `fullconn`.
    pub fullconn: Option<usize>,
    /// `backlog`.
    pub backlog: Option<u32>,
    /// `rate-limit sessions`, per second; 0 is none.
    pub rate_limit_sessions: u32,
    /// `timeout *`.
    pub timeouts: Timeouts,
    /// `option *`.
    pub options: Options,
    /// `default_backend`.
    pub default_backend: Option<ProxyId>,
    /// `use_backend` rules, in order.
    pub use_backend: Vec<UseBackend>,
    /// `use-server` rules, in order.
    pub use_server: Vec<UseServer>,
    /// `tcp-request …`, `http-request …` and the like.
    pub rules: action::RuleSets,
    /// `monitor-uri`.
    pub monitor_uri: Option<String>,
    /// `monitor fail`.
    pub monitor_fail: Vec<acl::Condition>,
    /// `force-persist` and `ignore-persist`, in order: (is force, condition).
    pub persist_rules: Vec<(bool, acl::Condition)>,
    /// `server` lines, templates expanded.
    pub servers: Roster<Server>,
    /// `balance` and `hash-type`.
    pub balance: Balance,
    /// `cookie`.
    pub cookie: Option<Cookie>,
    /// `dynamic-cookie-key`.
    pub dynamic_cookie_key: Option<String>,
    /// `retries`.
    pub retries: u32,
    /// `retry-on`.
    pub retry_on: RetryOn,
    /// `option redispatch`: `None` off, else the interval (`-1` is the last retry only).
    pub redispatch: Option<i32>,
    /// `http-reuse`.
    pub http_reuse: HttpReuse,
    /// `source` of all servers.
    pub source: Option<Source>,
    /// What checks send and expect.
    pub check: Check,
    /// `email-alert`, `external-check command|path` and similar by keyword.
    pub external_check: Option<ExternalCheck>,
    /// `load-server-state-from-file`: `None` off, `Some(None)` global, `Some(Some(file))` local.
    pub server_state: Option<Option<PathBuf>>,
    /// `stats *`.
    pub stats: Option<Stats>,
    /// `errorfile`, `errorloc*`, `http-error`, by status.
    pub errors: BTreeMap<u16, ErrorReply>,
    /// `log` lines.
    pub logs: Vec<log::Target>,
    /// `log-tag`.
    pub log_tag: Option<String>,
    /// `log-format` or that of `option httplog|tcplog|…`; `None` is haproxy's default short line.
    pub log_format: Option<Arc<log::Format>>,
    /// `error-log-format`.
    pub error_log_format: Option<Arc<log::Format>>,
    /// `log-format-sd`.
    pub log_format_sd: Option<Arc<log::Format>>,
    /// `unique-id-format`.
    pub unique_id_format: Option<Arc<log::Format>>,
    /// `unique-id-header`.
    pub unique_id_header: Option<String>,
    /// `capture request header NAME len N`, in order.
    pub capture_request: Vec<Capture>,
    /// `capture response header NAME len N`, in order.
    pub capture_response: Vec<Capture>,
    /// `capture cookie NAME len N`.
    pub capture_cookie: Option<Capture>,
    /// `stick-table`: its name is the proxy's.
    pub stick_table: Option<crate::stick::TableSpec>,
    /// `stick on|match|store-request|store-response`.
    pub stick_rules: crate::stick::StickRules,
    /// `compression *`.
    pub compression: Option<Compression>,
    /// `forwardfor` and `originalto`.
    pub forwardfor: Option<ForwardHeader>,
    /// `option originalto`.
    pub originalto: Option<ForwardHeader>,
    /// `dispatch ADDR:PORT`.
    pub dispatch: Option<SocketAddr>,
    /// `hash-balance-factor`, percent; 0 is none.
    pub hash_balance_factor: u32,
    /// `max-keep-alive-queue`; -1 is none.
    pub max_keep_alive_queue: i32,
    /// `http-send-name-header`.
    pub send_name_header: Option<String>,
}

/// `use_backend`.
#[derive(Debug)]
pub struct UseBackend {
    /// When.
    pub condition: Option<acl::Condition>,
    /// Whither.
    pub target: BackendTarget,
}

/// The target of `use_backend`.
#[derive(Debug)]
pub enum BackendTarget {
    /// A name known at start.
    Static(ProxyId),
    /// A log-format string that gives the name.
    Dynamic(Arc<log::Format>),
}

/// `use-server`.
#[derive(Debug)]
pub struct UseServer {
    /// When.
    pub condition: Option<acl::Condition>,
    /// Known at start.
    pub server: Option<ServerId>,
    /// A log-format string that gives the name.
    pub dynamic: Option<Arc<log::Format>>,
}
