//! Names at run time: `resolvers` sections, the servers that follow them, and rules that ask (`do-resolve`).
//!
//! [`wire`] reads and writes messages, [`core`] knows when to ask and what is known, [`book`] who follows which name,
//! [`servers`] what a server makes of an answer, [`task`] has the sockets. [`Desk`] is where everybody else asks.
//!
//! Absent on purpose: names at the start (`config/resolve.rs` asks the host's resolver).

pub mod book;
pub mod core;
pub mod counters;
pub mod servers;
pub mod task;
pub mod wire;

use crate::config::model::{ProxyId, ServerId};
use counters::Counters;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use tokio::sync::{mpsc, oneshot};

/// A server's place.
pub type At = (ProxyId, ServerId);

/// What the rest of the process asks of the resolver.
#[derive(Debug)]
pub enum Request {
    /// A server can't be reached: its name may lead elsewhere by now.
    Hurry(At),
    /// A server's name was changed by an operator.
    Renamed(At),
    /// A rule wants an address.
    Address {
        /// The section's name.
        section: String,
        /// The name.
        name: String,
        /// IPv4 goes first.
        prefer_ipv4: bool,
        /// Who waits.
        reply: oneshot::Sender<Option<IpAddr>>,
    },
}

/// Where questions are handed in, and what operators see of the name servers.
#[derive(Debug, Default)]
pub struct Desk {
    requests: OnceLock<mpsc::UnboundedSender<Request>>,
    counters: Mutex<HashMap<(String, String), Arc<Counters>>>,
}

impl Desk {
    /// Hands a request in; nothing happens where no resolver runs.
    pub fn send(&self, request: Request) {
        if let Some(requests) = self.requests.get() {
            // A resolver that ended with the process needs no more requests.
            let _ = requests.send(request);
        }
    }

    /// The counters of a name server, made when there are none.
    pub fn counters(&self, section: &str, server: &str) -> Arc<Counters> {
        let mut all = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(all.entry((section.to_owned(), server.to_owned())).or_default())
    }
}
