//! What one thread owns: its idle server connections and its spare memory for streams.
//!
//! Invariant: nothing in here is shared; every task of the thread borrows it for moments only.

use crate::config::model::{ProxyId, ServerId};
use crate::mux::wire::Conn;
use crate::runtime::Generation;
use crate::runtime::board::ServerState;
use crate::runtime::engine::Engine;
use crate::stats::tally::Tally;
use crate::stream::parts::Parts;
use crate::stream::txn::Peer;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// Spare stream parts kept at most, 3 KB and more each; what was not needed for a while is freed before.
const PARTS_KEPT_MAX: usize = 4096;
/// How often idle server connections are looked at.
pub const PURGE_EVERY: Duration = Duration::from_secs(1);

/// A server connection between two requests.
#[derive(Debug)]
pub struct Idle {
    /// The connection.
    pub conn: Conn,
    /// Since when it is idle.
    pub since: Instant,
    /// Requests it has served.
    pub uses: u32,
    /// Addresses of both ends, for logs.
    pub ends: crate::stream::txn::Ends,
    /// What is known of its TLS.
    pub tls: Option<Arc<crate::stream::txn::TlsInfo>>,
}

#[derive(Debug, Default)]
struct Pools {
    generation: u64,
    by_proxy: Vec<Vec<VecDeque<Box<Idle>>>>,
    total: usize,
}

/// Whether a connection still goes where its server is, and in the way it goes there now.
fn is_current(state: &ServerState, to: &Peer, tls: bool) -> bool {
    if state.moves.load(Relaxed) == 0 {
        return true;
    }
    let leads = match to {
        Peer::Inet(to) => state.address().is_none_or(|at| at == *to || at.port() == 0 && at.ip() == to.ip()),
        _ => true,
    };
    leads && tls == state.uses_tls(tls)
}

/// One thread's own.
#[derive(Debug)]
pub struct Worker {
    /// Its number, from 0.
    pub index: usize,
    /// What all threads share.
    pub engine: Arc<Engine>,
    pools: RefCell<Pools>,
    #[expect(clippy::vec_box, reason = "the boxes travel into streams and back")]
    spare: RefCell<Vec<Box<Parts>>>,
    /// The fewest that were spare since they were last looked at: so many are not needed.
    unneeded: Cell<usize>,
    /// The connections it serves, for those who look.
    pub streams: super::streams::Streams,
    /// The connections that only wait.
    pub lot: crate::stream::park::Lot,
    /// HTTP/2 connections to servers, by generation, proxy and server.
    askers: RefCell<Vec<(u64, ProxyId, ServerId, Asked)>>,
}

/// A server's HTTP/2 connection, which many streams share.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Opens its streams.
    pub asker: crate::mux::h2::Asker,
    /// Addresses of both ends, for logs.
    pub ends: crate::stream::txn::Ends,
    /// What is known of its TLS.
    pub tls: Option<Arc<crate::stream::txn::TlsInfo>>,
}

impl Worker {
    /// The thread's own things.
    pub fn new(index: usize, engine: Arc<Engine>) -> Self {
        Self {
            index,
            engine,
            pools: RefCell::default(),
            spare: RefCell::default(),
            unneeded: Cell::new(0),
            streams: super::streams::Streams::new(index),
            lot: crate::stream::park::Lot::default(),
            askers: RefCell::default(),
        }
    }

    /// Keeps a server's HTTP/2 connection for the streams to come.
    pub fn give_asker(&self, generation: &Generation, at: (ProxyId, ServerId), asked: Asked) {
        let mut all = self.askers.borrow_mut();
        all.retain(|(_, _, _, a)| !a.asker.is_over());
        all.push((generation.number, at.0, at.1, asked));
    }

    /// A stream on one of the server's HTTP/2 connections, where one has room.
    pub fn ask(
        &self,
        generation: &Generation,
        at: (ProxyId, ServerId),
    ) -> Option<(crate::mux::h2::Stream, Asked)> {
        let all = self.askers.borrow();
        let own = all.iter().filter(|(n, p, s, _)| *n == generation.number && (*p, *s) == at);
        let state = generation.server(at.0, at.1);
        let mut good = own.filter(|(_, _, _, a)| is_current(state, &a.ends.1, a.tls.is_some()));
        good.find_map(|(_, _, _, a)| Some((a.asker.open()?, a.clone())))
    }

    /// Memory for one stream.
    pub fn take_parts(&self) -> Box<Parts> {
        let mut spare = self.spare.borrow_mut();
        let parts = spare.pop();
        self.unneeded.set(self.unneeded.get().min(spare.len()));
        parts.unwrap_or_default()
    }

    /// Gives a stream's memory back.
    pub fn give_parts(&self, mut parts: Box<Parts>) {
        let mut spare = self.spare.borrow_mut();
        if spare.len() < PARTS_KEPT_MAX {
            parts.reset();
            spare.push(parts);
        }
    }

    /// Frees spare memory that no stream needed since this was called last.
    pub fn trim(&self) {
        let mut spare = self.spare.borrow_mut();
        let kept = spare.len() - self.unneeded.get().min(spare.len());
        spare.truncate(kept);
        self.unneeded.set(kept);
    }

    /// An idle connection of a server that is still good. `reused_only` leaves those aside that served one
    /// request only.
    pub fn take_idle(
        &self,
        generation: &Generation,
        at: (ProxyId, ServerId),
        reused_only: bool,
    ) -> Option<Box<Idle>> {
        let mut pools = self.pools.borrow_mut();
        if pools.generation != generation.number || pools.total == 0 {
            return None;
        }
        let state = generation.server(at.0, at.1);
        loop {
            let list = pools.by_proxy.get_mut(at.0.0)?.get_mut(at.1.0)?;
            let found = if reused_only {
                list.iter().rposition(|i| i.uses > 1)?
            } else {
                list.len().checked_sub(1)?
            };
            let mut idle = list.remove(found)?;
            pools.total -= 1;
            state.idle[0].minus(1);
            if idle.conn.is_quiet() && is_current(state, &idle.ends.1, idle.tls.is_some()) {
                return Some(idle);
            }
        }
    }

    /// Keeps a connection for the next request, unless there are enough.
    pub fn give_idle(&self, generation: &Generation, at: (ProxyId, ServerId), idle: Box<Idle>) {
        let settings = &generation.proxy(at.0).servers[at.1.0];
        let mut pools = self.pools.borrow_mut();
        if pools.generation > generation.number {
            return; // of a generation that drains
        }
        if pools.generation < generation.number {
            let proxies = &generation.config.proxies;
            pools.generation = generation.number;
            pools.total = 0;
            pools.by_proxy =
                proxies.iter().map(|p| p.servers.iter().map(|_| VecDeque::new()).collect()).collect();
        }
        let state = generation.server(at.0, at.1);
        let limit = settings.pool_max_conn;
        if settings.life.is_gone() || limit >= 0 && state.idle[0].load(Relaxed) >= limit as u64 {
            return;
        }
        if let Some(lists) = pools.by_proxy.get_mut(at.0.0) {
            if lists.len() <= at.1.0 {
                // Servers were added since.
                lists.resize_with(at.1.0 + 1, VecDeque::new);
            }
            let list = &mut lists[at.1.0];
            list.push_back(idle);
            state.idle[0].plus(1);
            pools.total += 1;
        }
    }

    /// Closes idle connections that were not used for their server's purge delay, or were closed by it.
    pub fn purge(&self, generation: &Generation, now: Instant) {
        let mut pools = self.pools.borrow_mut();
        if pools.total == 0 || pools.generation != generation.number {
            return;
        }
        let mut total = 0;
        for (p, lists) in pools.by_proxy.iter_mut().enumerate() {
            for (s, list) in lists.iter_mut().enumerate() {
                let settings = &generation.config.proxies[p].servers[s];
                let gone = settings.life.is_gone();
                let delay = if gone { Duration::ZERO } else { settings.pool_purge_delay };
                let before = list.len();
                list.retain_mut(|i| now.saturating_duration_since(i.since) < delay && i.conn.is_quiet());
                let closed = before - list.len();
                generation.servers[p][s].idle[0].minus(closed as u64);
                total += closed;
            }
        }
        pools.total -= total;
    }
}
