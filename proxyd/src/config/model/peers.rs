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
    /// The others.
    pub remote: Vec<Peer>,
    /// `table`, with names behind the section's and a `/`.
    pub tables: Vec<TableSpec>,
}

/// Another process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// The name.
    pub name: String,
    /// Where it listens.
    pub address: SocketAddr,
}
