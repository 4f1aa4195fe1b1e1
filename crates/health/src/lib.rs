//! Health checks, shared by checkd (keepalived's checkers, probes under a lease) and proxyd (server checks, agents).
//!
//! A check is a [`Spec`], plain data that can travel over the bus; [`run`] carries it out and gives an
//! [`outcome::Outcome`]. Every kind of check is a row of [`PROBES`] and a file in `probe/` whose core is pure: it is
//! told what arrived and answers what to do ([`probe::Probe`]), `driver.rs` does it.
//!
//! Invariant: a probe ends by its own deadlines whatever the server does, and holds at most
//! [`probe::REPLY_MAX`] bytes of a reply.
//!
//! Absent on purpose: loops and schedules (the owner's; `schedule.rs` computes delays), judging (`judge.rs` is used
//! by the owner), log lines.

mod driver;
pub mod judge;
pub mod outcome;
pub mod probe;
pub mod schedule;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use driver::{Held, read_number, run, run_holding};
pub use outcome::{Cause, Outcome, Status};

/// One check, complete: where, from where, how long, what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// Where to; ignored by [`Check::Process`] and [`Check::File`].
    pub to: Endpoint,
    /// From where.
    #[serde(default)]
    pub source: Source,
    /// TLS on the connection (`check-ssl`, `ssl`); steps may override it.
    #[serde(default)]
    pub tls: Option<tls::client::Options>,
    /// PROXY header right after connecting (`check-send-proxy`); steps may override it.
    #[serde(default)]
    pub proxy_header: Option<ProxyHeader>,
    /// A SOCKS 4 proxy that connects for the check (`socks4`).
    #[serde(default)]
    pub relay: Option<SocketAddr>,
    /// Whether it is used (`check-via-socks4`); steps may override it.
    #[serde(default)]
    pub via_relay: bool,
    /// Ends its connections with a reset, as haproxy does: no socket stays behind, and a server's program never hears of
    /// a connection that was all there was to check. Steps may override it.
    #[serde(default)]
    pub reset: bool,
    /// Until connected (TLS included). Where `exchange_timeout` is `None`: the whole check.
    pub connect_timeout: Duration,
    /// After that, for the exchange.
    #[serde(default)]
    pub exchange_timeout: Option<Duration>,
    /// What is done.
    pub check: Check,
}

/// A check that one daemon does for another; the data of a lease's offer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// Name for `probe.outcome/KEY` (`BACKEND/SERVER`); empty = not published.
    #[serde(default)]
    pub key: String,
    /// What is done.
    pub spec: Spec,
    /// From start to start, in milliseconds.
    pub every_ms: u64,
}

/// Where a check goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Endpoint {
    /// An address.
    Socket(SocketAddr),
    /// A Unix socket's path.
    Unix(PathBuf),
    /// An abstract Unix socket's name.
    Abstract(String),
}

/// Local end of a check's connection.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Source address.
    #[serde(default)]
    pub address: Option<IpAddr>,
    /// Source port; 0 or `None` = any.
    #[serde(default)]
    pub port: Option<u16>,
    /// Interface (SO_BINDTODEVICE).
    #[serde(default)]
    pub interface: Option<String>,
    /// Firewall mark; 0 = none.
    #[serde(default)]
    pub mark: u32,
}

/// Version of the PROXY protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProxyHeader {
    /// Text, with the connection's own addresses.
    V1,
    /// Binary, command LOCAL.
    V2,
}

/// What is done; the variants are the rows of [`PROBES`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Check {
    /// Connect, and a script of steps: TCP checks, `tcp-check`, `httpchk`, `http-check`, the protocol presets.
    Steps(probe::steps::Script),
    /// keepalived's `HTTP_GET` and `SSL_GET`: one URL.
    Get(probe::http::Get),
    /// keepalived's `SMTP_CHECK`.
    Mail(probe::mail::Mail),
    /// `DNS_CHECK`.
    Dns(probe::dns::Dns),
    /// `UDP_CHECK`.
    Udp(probe::datagram::Udp),
    /// `PING_CHECK`.
    Ping,
    /// `external-check`, `MISC_CHECK`, `vrrp_script`.
    Process(probe::process::Process),
    /// `agent-check`.
    Agent(probe::agent::Agent),
    /// `FILE_CHECK`.
    File(probe::file::File),
}

/// What carries a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carrier {
    /// TCP or Unix stream, TLS where asked for.
    Stream,
    /// One UDP socket.
    Udp,
    /// ICMP echo socket.
    Icmp,
    /// A child process.
    Process,
    /// A file.
    File,
}

/// A row of [`PROBES`].
#[derive(Debug)]
pub struct Row {
    /// Our name.
    pub name: &'static str,
    /// haproxy's keywords for it.
    pub haproxy: &'static [&'static str],
    /// keepalived's keywords for it.
    pub keepalived: &'static [&'static str],
    /// What carries it.
    pub carrier: Carrier,
}

/// All kinds of checks.
pub const PROBES: &[Row] = &[
    probe::steps::ROW,
    probe::http::ROW,
    probe::mail::ROW,
    probe::dns::ROW,
    probe::datagram::UDP_ROW,
    probe::datagram::PING_ROW,
    probe::process::ROW,
    probe::agent::ROW,
    probe::file::ROW,
];

impl Check {
    /// The row of this check.
    pub fn row(&self) -> &'static Row {
        match self {
            Self::Steps(_) => &probe::steps::ROW,
            Self::Get(_) => &probe::http::ROW,
            Self::Mail(_) => &probe::mail::ROW,
            Self::Dns(_) => &probe::dns::ROW,
            Self::Udp(_) => &probe::datagram::UDP_ROW,
            Self::Ping => &probe::datagram::PING_ROW,
            Self::Process(_) => &probe::process::ROW,
            Self::Agent(_) => &probe::agent::ROW,
            Self::File(_) => &probe::file::ROW,
        }
    }
}

impl Spec {
    /// A check of an address with one timeout for all of it.
    pub fn new(to: Endpoint, timeout: Duration, check: Check) -> Self {
        Self {
            to,
            source: Source::default(),
            tls: None,
            proxy_header: None,
            relay: None,
            via_relay: false,
            reset: false,
            connect_timeout: timeout,
            exchange_timeout: None,
            check,
        }
    }

    /// A plain TCP connect check.
    pub fn tcp(to: SocketAddr, timeout: Duration) -> Self {
        Self::new(Endpoint::Socket(to), timeout, Check::Steps(probe::steps::Script::connect_only()))
    }
}

#[cfg(test)]
mod tests;
