//! `peers` sections.

use super::Bind;
use crate::stick::TableSpec;
use std::net::SocketAddr;

/// A section.
#[derive(Debug, Clone, Default)]
pub struct Peers {
    /// The name.
    pub name: String,
    /// `disabled`.
    pub disabled: bool,
    /// The name of this process among the peers.
    pub local_name: String,
    /// Where this process listens; `None` where the section names it without an address.
    pub local: Option<Bind>,
    /// How the process after this one is reached there: with TLS, where the local peer's line or `default-server` asks
    /// for it.
    pub own_tls: Option<tls::client::Options>,
    /// The others.
    pub remote: Vec<Peer>,
    /// `table`, with names behind the section's and a `/`.
    pub tables: Vec<TableSpec>,
}

/// Another process.
#[derive(Debug, Clone)]
pub struct Peer {
    /// The name.
    pub name: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// `ssl` and what belongs to it.
    pub tls: Option<tls::client::Options>,
}
