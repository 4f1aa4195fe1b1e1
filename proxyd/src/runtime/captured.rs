//! The last bad request and the last bad response of each proxy, for `show errors`.
//!
//! Invariant: only faults of messages get here, never traffic that is well; one event replaces the one before it.

use crate::config::model::{ProxyId, ServerId};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

/// Which way a message went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From a client.
    Request,
    /// From a server.
    Response,
}

/// A message that could not be read.
#[derive(Debug, Clone)]
pub struct Captured {
    /// Its number, over all proxies.
    pub number: u64,
    /// When.
    pub at: SystemTime,
    /// The proxy that read it.
    pub own: Option<ProxyId>,
    /// The backend of a request, the frontend of a response.
    pub other: Option<ProxyId>,
    /// The server, where there was one.
    pub server: Option<ServerId>,
    /// The client.
    pub src: Option<SocketAddr>,
    /// What was read.
    pub bytes: Vec<u8>,
    /// Where it stopped to make sense.
    pub position: usize,
}

/// The last ones of a proxy.
#[derive(Debug, Default)]
pub struct Last {
    request: Mutex<Option<Captured>>,
    response: Mutex<Option<Captured>>,
}

impl Last {
    fn of(&self, direction: Direction) -> &Mutex<Option<Captured>> {
        match direction {
            Direction::Request => &self.request,
            Direction::Response => &self.response,
        }
    }

    /// Keeps one.
    pub fn keep(&self, direction: Direction, captured: Captured) {
        *self.of(direction).lock().unwrap_or_else(PoisonError::into_inner) = Some(captured);
    }

    /// Those that are kept.
    pub fn both(&self) -> Vec<(Direction, Captured)> {
        [Direction::Request, Direction::Response]
            .into_iter()
            .filter_map(|d| Some((d, self.of(d).lock().unwrap_or_else(PoisonError::into_inner).clone()?)))
            .collect()
    }
}

/// How many there were.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// The next one's number.
    pub fn next(&self) -> u64 {
        self.0.fetch_add(1, Relaxed)
    }

    /// All until now.
    pub fn count(&self) -> u64 {
        self.0.load(Relaxed)
    }
}
