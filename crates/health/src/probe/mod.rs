//! The cores of all checks: pure state machines that say what to send and judge what comes back.
//!
//! Invariant: a core never waits; it has a [`Probe::deadline`], and the shell calls it back with
//! [`Input::Timeout`] no later than that. After [`Effect::Done`] nothing more is asked of it.
//!
//! Absent on purpose: sockets, clocks, tasks (`driver.rs`).

pub mod agent;
pub mod datagram;
pub mod dns;
pub mod file;
pub mod http;
pub mod mail;
pub mod number;
pub mod preset;
pub mod process;
pub mod steps;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::outcome::{Cause, Outcome, Status};
use crate::{ProxyHeader, Spec};

/// Most bytes of a reply that any probe keeps: haproxy's buffer size, so that a pattern sees what it sees there.
pub const REPLY_MAX: usize = 16 << 10;

/// What happened.
#[derive(Debug)]
pub enum Input<'a> {
    /// Begin.
    Start,
    /// The connection (with TLS, where asked for) is there.
    Connected,
    /// It isn't; which part failed.
    Failed(Fault),
    /// Bytes or a datagram.
    Data(&'a [u8]),
    /// The server closed its side.
    Closed,
    /// The deadline passed.
    Timeout,
}

/// How a connection failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Not connected: the system's text.
    Connect(String),
    /// Connected, but the TLS handshake did not succeed.
    Tls(String),
    /// TLS settings can't be used (a file is missing …).
    Settings(String),
    /// The SOCKS proxy did not make the connection.
    Relay(String),
    /// The SOCKS proxy did not answer in time.
    RelayTimeout,
    /// Broke later: the system's text.
    Io(String),
}

impl Fault {
    /// What is known of it.
    pub fn text(&self) -> &str {
        match self {
            Self::Connect(text)
            | Self::Tls(text)
            | Self::Settings(text)
            | Self::Relay(text)
            | Self::Io(text) => text,
            Self::RelayTimeout => "",
        }
    }
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Close what is open and connect.
    Connect(Link),
    /// Send all of it.
    Send(Vec<u8>),
    /// The end.
    Done(Outcome),
}

/// A connection to make.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Link {
    /// Instead of the check's address.
    pub address: Option<SocketAddr>,
    /// Instead of its port.
    pub port: Option<u16>,
    /// TLS.
    pub tls: Option<tls::client::Options>,
    /// PROXY header.
    pub proxy_header: Option<ProxyHeader>,
    /// SOCKS 4 proxy to go through.
    pub relay: Option<SocketAddr>,
    /// Ends with a reset.
    pub reset: bool,
    /// Nothing is said on it once it is there.
    pub silent: bool,
}

impl Link {
    /// The connection a check describes.
    pub fn of(spec: &Spec) -> Self {
        Self {
            address: None,
            port: None,
            tls: spec.tls.clone(),
            proxy_header: spec.proxy_header,
            relay: spec.relay.filter(|_| spec.via_relay),
            reset: spec.reset,
            silent: false,
        }
    }
}

/// The core of a check.
pub trait Probe {
    /// Takes what happened and appends what to do.
    fn handle(&mut self, now: Instant, input: Input<'_>, out: &mut Vec<Effect>);

    /// When [`Input::Timeout`] is due.
    fn deadline(&self) -> Option<Instant>;

    /// Whether the TLS handshake (not the connect) was under way when time ran out; the shell tells.
    fn in_handshake(&mut self) {}
}

/// The deadlines of a check as [`Spec`] describes them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    connect: Duration,
    exchange: Option<Duration>,
    deadline: Option<Instant>,
}

impl Clock {
    pub(crate) fn new(spec: &Spec) -> Self {
        Self { connect: spec.connect_timeout, exchange: spec.exchange_timeout, deadline: None }
    }

    /// A connect begins. Where one time bounds the whole check it keeps running.
    pub(crate) fn connecting(&mut self, now: Instant) {
        if self.exchange.is_some() || self.deadline.is_none() {
            self.deadline = Some(now + self.connect);
        }
    }

    /// The exchange begins.
    pub(crate) fn connected(&mut self, now: Instant) {
        if let Some(exchange) = self.exchange {
            self.deadline = Some(now + exchange);
        }
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }
}

/// The outcome of a failed connection in terms every probe shares; `suffix` is appended to the description.
pub(crate) fn fault_outcome(fault: &Fault, connected: bool, suffix: &str) -> Outcome {
    match fault {
        Fault::Connect(text) => Outcome::new(Status::L4Connection, Cause::Connect(text.clone()))
            .described(format!("{text}{suffix}")),
        Fault::Tls(text) => {
            Outcome::new(Status::L6Response, Cause::Tls(text.clone())).described(format!("{text}{suffix}"))
        }
        Fault::Settings(text) => {
            Outcome::new(Status::SocketError, Cause::Tls(text.clone())).described(format!("{text}{suffix}"))
        }
        Fault::Relay(text) => Outcome::new(Status::SocketError, Cause::Connect(text.clone()))
            .described(format!("{text}{suffix}")),
        Fault::RelayTimeout => Outcome::new(Status::L7Timeout, Cause::ConnectTimeout),
        Fault::Io(text) => {
            let status = if connected { Status::SocketError } else { Status::L4Connection };
            Outcome::new(status, Cause::Io(text.clone())).described(format!("{text}{suffix}"))
        }
    }
}
