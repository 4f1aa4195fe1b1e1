//! The [`Generation`] in force: a configuration bound to live state.

pub mod board;
pub mod transitions;

use crate::config::model::{Config, ProxyId, ServerId};
use board::{Board, ProxyState, ServerState};
use std::sync::Arc;

/// A configuration in force. Streams hold an `Arc` of the one they began with; a reload makes a new one and
/// the old drains.
#[derive(Debug)]
pub struct Generation {
    /// Its number, from 1.
    pub number: u64,
    /// What the text said.
    pub config: Config,
    /// Live state of each proxy, by [`ProxyId`].
    pub proxies: Vec<Arc<ProxyState>>,
    /// Live state of each server, by [`ProxyId`] and [`ServerId`].
    pub servers: Vec<Vec<Arc<ServerState>>>,
    /// The board they live on.
    pub board: Arc<Board>,
}

impl Generation {
    /// The live state of a server.
    pub fn server(&self, proxy: ProxyId, server: ServerId) -> &Arc<ServerState> {
        &self.servers[proxy.0][server.0]
    }
}
