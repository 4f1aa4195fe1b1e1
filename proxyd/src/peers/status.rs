//! What operators see of peers (`show peers`), and what the process asks about them.
//!
//! Invariant: written by the peers' thread alone.

use super::session::Progress;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// How the last attempt at a session went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum State {
    /// There was none.
    #[default]
    None,
    /// It connects.
    Connecting,
    /// It waits for the answer to its greeting.
    Greeted,
    /// A session.
    Established,
    /// It could not connect.
    Unreachable,
    /// The greeting was answered with this status.
    Refused(u16),
}

/// One peer.
#[derive(Debug, Clone)]
pub struct Peer {
    /// The name.
    pub name: String,
    /// Whether it is this process.
    pub local: bool,
    /// Where it listens.
    pub address: Option<SocketAddr>,
    /// The last attempt.
    pub state: State,
    /// The last greeting.
    pub greeted: Option<Instant>,
    /// The next attempt.
    pub again: Option<Instant>,
    /// Our end and theirs.
    pub ends: Option<(SocketAddr, SocketAddr)>,
    /// Whether the session is encrypted.
    pub secure: bool,
    /// Greetings of either side.
    pub sessions: u32,
    /// Messages that were none.
    pub faults: u32,
    /// Sessions that gave way to a newer one.
    pub collisions: u32,
    /// Heartbeats: sent, heard, missed.
    pub heartbeats: (u32, u32, u32),
    /// How far each table is.
    pub progress: Vec<Progress>,
    /// Names with a number: ours, theirs.
    pub names: (Vec<String>, Vec<String>),
}

impl Peer {
    /// A peer nobody talked to.
    pub fn new(name: &str, local: bool, address: Option<SocketAddr>) -> Self {
        Self {
            name: name.to_owned(),
            local,
            address,
            state: State::None,
            greeted: None,
            again: None,
            ends: None,
            secure: false,
            sessions: 0,
            faults: 0,
            collisions: 0,
            heartbeats: (0, 0, 0),
            progress: Vec::new(),
            names: (Vec::new(), Vec::new()),
        }
    }
}

/// One section.
#[derive(Debug)]
pub struct Section {
    /// The name.
    pub name: String,
    /// Names of its tables here, in the order of their numbers.
    pub tables: Vec<String>,
    /// The deadline of the resynchronisation under way.
    pub until: Option<Instant>,
    /// Its peers, this process last.
    pub peers: Vec<Peer>,
}

/// All of it.
#[derive(Debug, Default)]
pub struct Desk {
    sections: Mutex<Vec<Arc<Mutex<Section>>>>,
    busy: AtomicUsize,
    /// The process after this one has all tables already.
    pub handed: AtomicBool,
    /// This process has the tables of the one before it.
    pub kept: AtomicBool,
}

impl Desk {
    /// Takes a section in.
    pub(super) fn add(&self, section: Section) -> Arc<Mutex<Section>> {
        let section = Arc::new(Mutex::new(section));
        self.sections.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&section));
        self.busy.fetch_add(1, Relaxed);
        section
    }

    /// A section ended.
    pub(super) fn done(&self) {
        self.busy.fetch_sub(1, Relaxed);
    }

    /// Whether a process that stops has something to tell yet.
    pub fn is_busy(&self) -> bool {
        self.busy.load(Relaxed) > 0
    }

    /// All sections.
    pub fn sections(&self) -> Vec<Arc<Mutex<Section>>> {
        self.sections.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A section for a moment.
pub fn look(section: &Mutex<Section>) -> MutexGuard<'_, Section> {
    section.lock().unwrap_or_else(PoisonError::into_inner)
}
