//! `server` lines.

use super::{ProxyId, ResolveOptions, ServerId, Verify};
use crate::sample;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Where a server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerAddress {
    /// An address; port 0 with `map_ports` set means the client's destination port.
    Inet(SocketAddr),
    /// A name still to resolve, and its port.
    Name(String, u16),
    /// A path.
    Unix(PathBuf),
    /// An abstract name.
    Abstract(Vec<u8>),
    /// `0.0.0.0` or `*`: the client's destination address.
    Destination(u16),
}

/// How a port is made from the client's destination port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MapPorts {
    /// The address says the port.
    #[default]
    No,
    /// No port, `+N` or `-N`: destination port plus this.
    Offset(i32),
}

/// One server.
#[derive(Debug, Clone)]
pub struct Server {
    /// The name.
    pub name: String,
    /// `id`, or the automatic one.
    pub uuid: u32,
    /// Whether `id` said so.
    pub forced_id: bool,
    /// Where it was told of: file and line; empty at run time.
    pub place: String,
    /// Where it is.
    pub address: ServerAddress,
    /// The address as written.
    pub address_text: String,
    /// Ports relative to the client's.
    pub map_ports: MapPorts,
    /// `weight`, 0..256.
    pub weight: u32,
    /// `backup`.
    pub backup: bool,
    /// `disabled`.
    pub disabled: bool,
    /// `cookie`.
    pub cookie: Option<String>,
    /// Its line names no cookie: if it has one, it is made of its address.
    pub cookie_is_made: bool,
    /// `maxconn`; 0 is none.
    pub maxconn: u32,
    /// `minconn`; 0 is none.
    pub minconn: u32,
    /// `maxqueue`; 0 is none.
    pub maxqueue: u32,
    /// `slowstart`.
    pub slowstart: Option<Duration>,
    /// `check` and its options.
    pub check: ServerCheck,
    /// `agent-check` and its options.
    pub agent: AgentCheck,
    /// `on-error`.
    pub on_error: OnError,
    /// `error-limit`.
    pub error_limit: u32,
    /// `observe`.
    pub observe: Observe,
    /// `on-marked-down shutdown-sessions`.
    pub on_marked_down_shutdown: bool,
    /// `on-marked-up shutdown-backup-sessions`.
    pub on_marked_up_shutdown_backup: bool,
    /// `track PROXY/SERVER`.
    pub track: Option<(ProxyId, ServerId)>,
    /// `redir PREFIX`.
    pub redir: Option<String>,
    /// `source`.
    pub source: Option<Source>,
    /// `send-proxy`, `send-proxy-v2`, `send-proxy-v2-ssl(-cn)`, `proxy-v2-options`.
    pub send_proxy: SendProxy,
    /// `init-addr`, in order; `None` is `last,libc`.
    pub init_addr: Option<Vec<InitAddr>>,
    /// `resolvers`.
    pub resolvers: Option<String>,
    /// Preferences between the addresses that a name has.
    pub resolve: ResolveOptions,
    /// The name that the line gives in place of an address.
    pub fqdn: Option<String>,
    /// The name of a service (`_http._tcp.example.org`) whose records say host, port and weight.
    pub srv_record: Option<String>,
    /// `pool-max-conn`; -1 is none.
    pub pool_max_conn: i32,
    /// `pool-purge-delay`.
    pub pool_purge_delay: Duration,
    /// `pool-low-conn`.
    pub pool_low_conn: u32,
    /// `max-reuse`; -1 is none.
    pub max_reuse: i32,
    /// `tfo`.
    pub tfo: bool,
    /// `tcp-ut`.
    pub tcp_ut: Option<Duration>,
    /// `namespace`.
    pub namespace: Option<String>,
    /// No `server` line: where `dispatch` or `option transparent` lead. Operators never see it.
    pub hidden: bool,
    /// `non-stick`.
    pub non_stick: bool,
    /// `proto`.
    pub proto: Option<String>,
    /// `ws`: auto, h1, h2.
    pub ws: Option<String>,
    /// `ssl` and everything that belongs to it.
    pub tls: Option<ServerTls>,
    /// `socks4`.
    pub socks4: Option<SocketAddr>,
    /// What a command at run time said of it, address aside; `None` where a file did.
    pub added: Option<Vec<String>>,
    /// Whether it is still there.
    pub life: Life,
}

/// Whether a server is still there, and since when. Commands add and delete servers while they run.
#[derive(Debug, Default)]
pub struct Life {
    gone: AtomicBool,
    born: AtomicU64,
}

impl Clone for Life {
    fn clone(&self) -> Self {
        Self { gone: self.gone.load(Relaxed).into(), born: self.born().into() }
    }
}

impl Life {
    /// Whether it was deleted.
    pub fn is_gone(&self) -> bool {
        self.gone.load(Relaxed)
    }

    /// Its number among those that were added, 0 where a file told of it.
    pub fn born(&self) -> u64 {
        self.born.load(Relaxed)
    }

    /// It is deleted.
    pub fn end(&self) {
        self.gone.store(true, Relaxed);
    }

    /// It begins, as the `number`th that was added.
    pub fn begin(&self, number: u64) {
        self.born.store(number, Relaxed);
        self.gone.store(false, Relaxed);
    }
}

impl Default for Server {
    /// A server as haproxy has it before any option.
    fn default() -> Self {
        Self {
            name: String::new(),
            uuid: 0,
            forced_id: false,
            place: String::new(),
            address: ServerAddress::Destination(0),
            address_text: String::new(),
            map_ports: MapPorts::No,
            weight: 1,
            backup: false,
            disabled: false,
            cookie: None,
            cookie_is_made: false,
            maxconn: 0,
            minconn: 0,
            maxqueue: 0,
            slowstart: None,
            check: ServerCheck::default(),
            agent: AgentCheck::default(),
            on_error: OnError::FailCheck,
            error_limit: 10,
            observe: Observe::No,
            on_marked_down_shutdown: false,
            on_marked_up_shutdown_backup: false,
            track: None,
            redir: None,
            source: None,
            send_proxy: SendProxy::default(),
            init_addr: None,
            resolvers: None,
            resolve: ResolveOptions::default(),
            fqdn: None,
            srv_record: None,
            pool_max_conn: -1,
            pool_purge_delay: Duration::from_secs(5),
            pool_low_conn: 0,
            max_reuse: -1,
            tfo: false,
            tcp_ut: None,
            namespace: None,
            hidden: false,
            non_stick: false,
            proto: None,
            ws: None,
            tls: None,
            socks4: None,
            added: None,
            life: Life::default(),
        }
    }
}

/// TLS towards a server.
#[derive(Debug, Clone, Default)]
pub struct ServerTls {
    /// `ssl` itself; false when only checks use TLS (`check-ssl`).
    pub enabled: bool,
    /// `verify`.
    pub verify: Verify,
    /// `ca-file`.
    pub ca_file: Option<String>,
    /// `crl-file`.
    pub crl_file: Option<PathBuf>,
    /// `crt`.
    pub crt: Option<PathBuf>,
    /// `sni`.
    pub sni: Option<Arc<sample::expr::Expr>>,
    /// `verifyhost`.
    pub verifyhost: Option<String>,
    /// `alpn`.
    pub alpn: Option<Vec<String>>,
    /// `ssl-min-ver`.
    pub min_version: Option<String>,
    /// `ssl-max-ver`.
    pub max_version: Option<String>,
    /// `ciphers`, `ciphersuites` and other words by keyword.
    pub other: BTreeMap<String, String>,
}

/// A server of a section that is no proxy (`ring`, `peers`).
#[derive(Debug, Clone)]
pub struct Remote {
    /// The name.
    pub name: String,
    /// Where it listens; no name that is still to resolve.
    pub address: ServerAddress,
    /// `ssl` and what belongs to it.
    pub tls: Option<tls::client::Options>,
}

/// `check` of a server.
#[derive(Debug, Clone)]
pub struct ServerCheck {
    /// `check`.
    pub enabled: bool,
    /// `inter`.
    pub inter: Duration,
    /// `fastinter`.
    pub fastinter: Option<Duration>,
    /// `downinter`.
    pub downinter: Option<Duration>,
    /// `rise`.
    pub rise: u32,
    /// `fall`.
    pub fall: u32,
    /// `addr`.
    pub addr: Option<IpAddr>,
    /// `port`.
    pub port: Option<u16>,
    /// `check-ssl`.
    pub ssl: bool,
    /// `no-check-ssl`.
    pub no_ssl: bool,
    /// `check-send-proxy`.
    pub send_proxy: bool,
    /// `check-via-socks4`.
    pub via_socks4: bool,
    /// `check-sni`.
    pub sni: Option<String>,
    /// `check-alpn`.
    pub alpn: Option<Vec<String>>,
    /// `check-proto`.
    pub proto: Option<String>,
}

impl Default for ServerCheck {
    fn default() -> Self {
        Self {
            enabled: false,
            inter: Duration::from_secs(2),
            fastinter: None,
            downinter: None,
            rise: 2,
            fall: 3,
            addr: None,
            port: None,
            ssl: false,
            no_ssl: false,
            send_proxy: false,
            via_socks4: false,
            sni: None,
            alpn: None,
            proto: None,
        }
    }
}

/// `agent-check` of a server.
#[derive(Debug, Clone, Default)]
pub struct AgentCheck {
    /// `agent-check`.
    pub enabled: bool,
    /// `agent-inter`.
    pub inter: Option<Duration>,
    /// `agent-addr`.
    pub addr: Option<IpAddr>,
    /// `agent-port`.
    pub port: Option<u16>,
    /// `agent-send`.
    pub send: Option<String>,
}

/// `on-error`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnError {
    /// `fastinter`.
    Fastinter,
    /// `fail-check`, the default.
    #[default]
    FailCheck,
    /// `sudden-death`.
    SuddenDeath,
    /// `mark-down`.
    MarkDown,
}

/// `observe`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Observe {
    /// Off.
    #[default]
    No,
    /// `layer4`.
    Layer4,
    /// `layer7`.
    Layer7,
}

/// The PROXY header that a server is sent, as a set: each word of the line adds to it or takes from it. Empty is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SendProxy(u16);

impl SendProxy {
    /// Version 1.
    pub const V1: Self = Self(1);
    /// Version 2, which goes before version 1. A set without either is sent as version 1.
    pub const V2: Self = Self(1 << 1);
    /// TLS; without it the next four say nothing.
    pub const TLS: Self = Self(1 << 2);
    /// The common name of the client's certificate.
    pub const CERT_CN: Self = Self(1 << 3);
    /// Kind and size of the key of the proxy's certificate.
    pub const CERT_KEY: Self = Self(1 << 4);
    /// How the proxy's certificate is signed.
    pub const CERT_SIG: Self = Self(1 << 5);
    /// The cipher suite.
    pub const CIPHER: Self = Self(1 << 6);
    /// The name that the client asked for.
    pub const AUTHORITY: Self = Self(1 << 7);
    /// A checksum.
    pub const CRC32C: Self = Self(1 << 8);
    /// The unique id.
    pub const UNIQUE_ID: Self = Self(1 << 9);

    /// Both sets.
    #[must_use]
    pub const fn and(self, more: Self) -> Self {
        Self(self.0 | more.0)
    }

    /// This set without the other.
    #[must_use]
    pub const fn without(self, less: Self) -> Self {
        Self(self.0 & !less.0)
    }

    /// Whether it has anything of the other.
    pub const fn has(self, any: Self) -> bool {
        self.0 & any.0 != 0
    }

    /// Whether no header is sent.
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }
}

/// One method of `init-addr`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InitAddr {
    /// `last`.
    Last,
    /// `libc`.
    Libc,
    /// `none`.
    None,
    /// An address.
    Ip(IpAddr),
}

/// `source`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Local address; the unspecified one leaves it to the kernel.
    pub address: SocketAddr,
    /// Last port of a range.
    pub port_high: Option<u16>,
    /// `interface`.
    pub interface: Option<String>,
    /// `usesrc client|clientip|hdr_ip(…)|ADDR`.
    pub usesrc: Option<String>,
}
