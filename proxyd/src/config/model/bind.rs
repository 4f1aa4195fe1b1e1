//! `bind` and `stats socket` lines.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Where to listen, what address a stats socket has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BindAddress {
    /// An IP address and port.
    Inet(SocketAddr),
    /// A path.
    Unix(PathBuf),
    /// An abstract name.
    Abstract(Vec<u8>),
    /// An inherited listening descriptor.
    Fd(i32),
    /// An inherited `sockpair` end.
    Sockpair(i32),
}

/// `mode`, `user`, `group` of Unix sockets.
#[derive(Debug, Clone, Default)]
pub struct UnixPermissions {
    /// `prefix` of `unix-bind`.
    pub prefix: Option<String>,
    /// `mode`, octal.
    pub mode: Option<u32>,
    /// `user` or `uid`.
    pub uid: Option<u32>,
    /// `group` or `gid`.
    pub gid: Option<u32>,
}

/// One listening address with its options.
#[derive(Debug, Clone)]
pub struct Bind {
    /// Where.
    pub address: BindAddress,
    /// The words as the user wrote the address, for messages.
    pub text: String,
    /// File name and line, for `cannot bind` messages.
    pub origin: String,
    /// `name`.
    pub name: Option<String>,
    /// `id`.
    pub id: Option<u32>,
    /// `maxconn`.
    pub maxconn: Option<usize>,
    /// `backlog`.
    pub backlog: Option<u32>,
    /// `interface`.
    pub interface: Option<String>,
    /// `namespace`.
    pub namespace: Option<String>,
    /// `mss`.
    pub mss: Option<i32>,
    /// `transparent`.
    pub transparent: bool,
    /// `v4v6`.
    pub v4v6: bool,
    /// `v6only`.
    pub v6only: bool,
    /// `defer-accept`.
    pub defer_accept: bool,
    /// `tfo`.
    pub tfo: bool,
    /// `tcp-ut`.
    pub tcp_ut: Option<Duration>,
    /// `accept-proxy`.
    pub accept_proxy: bool,
    /// `accept-netscaler-cip MAGIC`.
    pub accept_netscaler_cip: Option<u32>,
    /// `shards`: how many sockets share the address, at most as many as there are threads.
    pub shards: usize,
    /// `nice`.
    pub nice: i32,
    /// `mode`, `user`, `group`.
    pub unix: UnixPermissions,
    /// `level` of a stats socket.
    pub level: Level,
    /// `expose-fd listeners`.
    pub expose_fd_listeners: bool,
    /// `severity-output`: none, number, string.
    pub severity_output: SeverityOutput,
    /// `proto`.
    pub proto: Option<String>,
    /// `ssl` and everything that belongs to it.
    pub tls: Option<BindTls>,
}

/// `level` of a stats socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Level {
    /// `user`.
    User,
    /// `operator`, the default.
    #[default]
    Operator,
    /// `admin`.
    Admin,
}

/// `severity-output` of a stats socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SeverityOutput {
    /// `none`.
    #[default]
    None,
    /// `number`.
    Number,
    /// `string`.
    String,
}

/// TLS of a bind line.
#[derive(Debug, Clone, Default)]
pub struct BindTls {
    /// `ssl` itself: without it the other words have no effect.
    pub enabled: bool,
    /// `crt` files and directories.
    pub crt: Vec<PathBuf>,
    /// `crt-list` files.
    pub crt_list: Vec<PathBuf>,
    /// `ca-file`.
    pub ca_file: Option<String>,
    /// `crl-file`.
    pub crl_file: Option<PathBuf>,
    /// `verify`.
    pub verify: Verify,
    /// `alpn`, in order; `None` is the default of the mode.
    pub alpn: Option<Vec<String>>,
    /// `strict-sni`.
    pub strict_sni: bool,
    /// `ssl-min-ver`, or what `no-tlsv1x` and `force-tlsv1x` leave.
    pub min_version: Option<String>,
    /// `ssl-max-ver`.
    pub max_version: Option<String>,
    /// `ciphers`.
    pub ciphers: Option<String>,
    /// `ciphersuites`.
    pub ciphersuites: Option<String>,
    /// `curves` or `ecdhe`.
    pub curves: Option<String>,
    /// `no-tls-tickets`.
    pub no_tls_tickets: bool,
    /// `allow-0rtt`.
    pub allow_0rtt: bool,
    /// `crt-ignore-err`, `ca-ignore-err`: numbers, or empty for none; `all` is `None` inside.
    pub ignore_errors: Option<String>,
    /// Other words of TLS, by keyword.
    pub other: BTreeMap<String, String>,
}

/// `verify`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Verify {
    /// Not said.
    #[default]
    Unset,
    /// `none`.
    None,
    /// `optional`.
    Optional,
    /// `required`.
    Required,
}
