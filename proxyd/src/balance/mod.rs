//! Which server takes a stream: the algorithms, and the queue of a backend whose servers are all full.
//!
//! Purpose: given the backend's live states and, for hashing algorithms, a hash, choose as haproxy would. An
//! algorithm is an [`Order`]: [`turns`] has `roundrobin`, [`map`] `static-rr` and map-based hashing, [`ring`]
//! consistent hashing and `random`, [`least`] `leastconn` and `first`; [`hash`] has functions and keys, [`queue`]
//! who waits for what.
//!
//! Invariant: a server that is down, in maintenance or without weight is never chosen; a backup only when no
//! active server is left.
//!
//! Absent on purpose: persistence, retries and redispatch (the stream's connect phase decides those).

pub mod hash;
pub mod least;
pub mod map;
pub mod queue;
pub mod ring;
pub mod turns;

use crate::config::model::{Algorithm, Balance, Proxy, ProxyId, Roster, ServerId};
use crate::runtime::Generation;
use crate::runtime::board::{ProxyState, ServerState, oper};
use crate::runtime::watched;
use queue::Queue;
use std::fmt::Debug;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A backend with its live state, as a choice sees it.
#[derive(Debug, Clone, Copy)]
pub struct Field<'a> {
    /// Settings.
    pub proxy: &'a Proxy,
    /// Counters of the backend.
    pub state: &'a ProxyState,
    /// Its servers, by [`ServerId`].
    pub servers: &'a Roster<Arc<ServerState>>,
}

/// What a choice depends on.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wish {
    /// The hash of the request's key; `None` where it has no key.
    pub hash: Option<u32>,
    /// A server that failed and should be avoided.
    pub avoid: Option<ServerId>,
}

/// A question to an [`Order`].
#[derive(Debug)]
pub struct Ask<'a> {
    /// The backend.
    pub field: Field<'a>,
    /// The hash of the request's key.
    pub hash: Option<u32>,
    /// A server that failed: taken only when nobody else can.
    pub avoid: Option<ServerId>,
}

/// One algorithm's order of a group of servers: the active ones, or the backups.
pub trait Order: Debug + Send {
    /// The servers that are there at the start have been set.
    fn begin(&mut self) {}
    /// A server was added while the backend runs, with this id.
    fn join(&mut self, _: ServerId, _uuid: u32) {}
    /// A server has this weight from now on, in sixteenths; 0 takes it out.
    fn set(&mut self, server: ServerId, weight: u32);
    /// Whose turn it is; `None` when all are full.
    fn pick(&mut self, ask: &Ask<'_>) -> Option<ServerId>;
    /// A session of the server began or ended.
    fn touched(&mut self, _: ServerId) {}
}

/// Outcome of a choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// This one.
    Server(ServerId),
    /// All are full, or the one that must be used is: wait for it or for any.
    Wait(Option<ServerId>),
    /// No server is up.
    None,
}

/// The choice of one backend, shared by all threads.
#[derive(Debug)]
pub struct Balancer {
    state: Mutex<State>,
    /// Whether the order depends on when sessions begin and end.
    follows_sessions: bool,
    /// Whether whoever comes later waits behind those that wait already.
    lines_up: bool,
    /// Streams that wait.
    pub queue: Queue,
}

#[derive(Debug)]
struct State {
    /// Weight of each server as the orders know it.
    known: Vec<u32>,
    /// Whether an active server is up, and the first backup, by those weights.
    up: (bool, Option<ServerId>),
    /// The changes of all weights that those follow from; 0 before there is any.
    stamp: u64,
    /// The active servers' order, and the backups'.
    groups: [Box<dyn Order>; 2],
}

/// The order an algorithm keeps.
fn order(proxy: &Proxy) -> Box<dyn Order> {
    match &proxy.balance.algorithm {
        Algorithm::RoundRobin => Box::new(turns::Turns::default()),
        Algorithm::StaticRr => Box::new(map::Map::new(proxy)),
        Algorithm::LeastConn => Box::new(least::LeastConn::default()),
        Algorithm::First => Box::new(least::First::new(proxy)),
        Algorithm::Random(draws) => Box::new(ring::Ring::new(proxy, (*draws).max(1))),
        _ if proxy.balance.consistent => Box::new(ring::Ring::new(proxy, 0)),
        _ => Box::new(map::Map::new(proxy)),
    }
}

impl Balancer {
    /// A choice nobody made yet.
    pub fn new(field: Field<'_>) -> Self {
        let proxy = field.proxy;
        let groups = [order(proxy), order(proxy)];
        let mut state = State { known: vec![0; proxy.servers.len()], up: (false, None), stamp: 0, groups };
        state.follow(field);
        state.groups.iter_mut().for_each(|g| g.begin());
        let algorithm = &proxy.balance.algorithm;
        Self {
            state: Mutex::new(state),
            follows_sessions: matches!(algorithm, Algorithm::LeastConn),
            lines_up: matches!(algorithm, Algorithm::RoundRobin | Algorithm::StaticRr | Algorithm::First),
            queue: Queue::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A session of a server began or ended.
    pub fn touched(&self, proxy: &Proxy, id: ServerId) {
        if self.follows_sessions {
            self.lock().groups[usize::from(proxy.servers[id.0].backup)].touched(id);
        }
    }

    /// Chooses a server.
    pub fn choose(&self, field: Field<'_>, wish: Wish) -> Choice {
        let mut state = self.lock();
        let (active, first_backup) = state.follow(field);
        let id = if active || field.proxy.options.allbackups {
            if !active && first_backup.is_none() {
                return Choice::None;
            }
            if self.lines_up && self.must_line_up(field) {
                return Choice::Wait(None);
            }
            let ask = Ask { field, hash: wish.hash, avoid: wish.avoid };
            state.groups[usize::from(!active)].pick(&ask)
        } else {
            match first_backup {
                Some(id) => Some(id),
                None => return Choice::None,
            }
        };
        match id {
            Some(id) if field.has_room(id) => Choice::Server(id),
            other => Choice::Wait(other),
        }
    }

    /// Gives a server's free sessions to those that wait for it, or for any. Gives how many that were.
    pub fn offer(&self, field: Field<'_>, id: ServerId) -> u32 {
        let server = &field.servers[id.0];
        let open = weight(server) > 0 && (!field.proxy.servers[id.0].backup || field.stands_in(id));
        let served = self.queue.free(id, open, || {
            let sessions = server.sessions.load(Relaxed).max(0) as u64;
            let room = field.limit(id).is_none_or(|most| sessions < most);
            if room {
                server.sessions.fetch_add(1, Relaxed);
            }
            room
        });
        if served > 0 {
            self.touched(field.proxy, id);
        }
        served
    }

    fn must_line_up(&self, field: Field<'_>) -> bool {
        let waiting = self.queue.len() as u64;
        waiting > 0 && field.served() > 0 && waiting != field.state.back.cur_sess.load(Relaxed)
    }
}

impl State {
    /// Tells the orders whose weight has changed. Gives whether an active server is up, and the first backup.
    fn follow(&mut self, field: Field<'_>) -> (bool, Option<ServerId>) {
        let stamp = watched::stamp();
        if self.stamp != stamp || self.known.len() != field.servers.len() {
            self.up = self.look(field);
            self.stamp = stamp;
        }
        self.up
    }

    fn look(&mut self, field: Field<'_>) -> (bool, Option<ServerId>) {
        let (mut active, mut first_backup) = (false, None);
        for (i, (settings, server)) in field.proxy.servers.iter().zip(field.servers).enumerate() {
            let weight = weight(server);
            if weight > 0 {
                active |= !settings.backup;
                if settings.backup && first_backup.is_none() {
                    first_backup = Some(ServerId(i));
                }
            }
            if i == self.known.len() {
                self.known.push(0);
                self.groups.iter_mut().for_each(|g| g.join(ServerId(i), settings.uuid));
            }
            if self.known[i] != weight {
                self.known[i] = weight;
                self.groups[usize::from(settings.backup)].set(ServerId(i), weight);
            }
        }
        (active, first_backup)
    }
}

/// A server's weight now, in sixteenths: 0 when it takes no new streams.
pub fn weight(server: &ServerState) -> u32 {
    if !server.is_up() || server.in_drain() || server.oper.load(Relaxed) == oper::STOPPING {
        return 0;
    }
    server.user_weight.load(Relaxed) * server.ramp()
}

impl<'a> Field<'a> {
    /// The backend of a generation.
    pub fn of(generation: &'a Generation, id: ProxyId) -> Self {
        Self {
            proxy: &generation.config.proxies[id.0],
            state: &generation.proxies[id.0],
            servers: &generation.servers[id.0],
        }
    }

    /// Sessions of all its servers.
    pub fn served(&self) -> u64 {
        self.servers.iter().map(|s| s.sessions.load(Relaxed).max(0) as u64).sum()
    }

    /// How many servers take new streams: active ones, or the backups that stand in for them.
    pub fn usable(&self) -> usize {
        let of = |backup: bool| {
            let servers = self.proxy.servers.iter().zip(self.servers);
            servers.filter(|(s, state)| s.backup == backup && weight(state) > 0).count()
        };
        match (of(false), of(true)) {
            (0, backups) if self.proxy.options.allbackups => backups,
            (0, backups) => backups.min(1),
            (active, _) => active,
        }
    }

    /// Whether a backup serves in place of the active servers.
    fn stands_in(&self, id: ServerId) -> bool {
        let up = |i: usize| self.proxy.servers[i].backup && weight(&self.servers[i]) > 0;
        self.active() == 0
            && (self.proxy.options.allbackups || (0..self.servers.len()).find(|i| up(*i)) == Some(id.0))
    }

    /// Active servers that take new streams.
    pub fn active(&self) -> usize {
        let servers = self.proxy.servers.iter().zip(self.servers);
        servers.filter(|(s, state)| !s.backup && weight(state) > 0).count()
    }

    /// The most sessions a server may have now; `None` is no limit.
    pub fn limit(&self, id: ServerId) -> Option<u64> {
        let server = &self.servers[id.0];
        let most = u64::from(server.maxconn.load(Relaxed));
        if most == 0 {
            return None;
        }
        let least = u64::from(self.proxy.servers[id.0].minconn);
        let full = self.proxy.fullconn.unwrap_or(0) as u64;
        let sessions = self.state.back.cur_sess.load(Relaxed);
        let limit = if sessions >= full || least == 0 || least >= most {
            most
        } else {
            // Between minconn and maxconn the limit follows the backend's load.
            least.max(sessions * most / full)
        };
        Some(match server.slow_start_percent() {
            Some(percent) => (limit * percent / 100).max(1),
            None => limit,
        })
    }

    /// Whether a server may have one more session at once.
    pub fn has_room(&self, id: ServerId) -> bool {
        let server = &self.servers[id.0];
        self.limit(id).is_none_or(|most| {
            server.counters.queue_cur.load(Relaxed) == 0
                && (server.sessions.load(Relaxed).max(0) as u64) < most
        })
    }
}

impl Ask<'_> {
    fn has_room(&self, id: ServerId) -> bool {
        self.field.has_room(id)
    }

    fn sessions(&self, id: ServerId) -> u64 {
        self.field.servers[id.0].sessions.load(Relaxed).max(0) as u64
    }
}

/// Whether the algorithm chooses by a key of the request.
pub fn is_hashing(algorithm: &Algorithm) -> bool {
    !matches!(
        algorithm,
        Algorithm::RoundRobin
            | Algorithm::StaticRr
            | Algorithm::LeastConn
            | Algorithm::First
            | Algorithm::Random(_)
    )
}

/// Whether the algorithm lays weights out once and for all.
pub fn is_static(balance: &Balance) -> bool {
    let map = is_hashing(&balance.algorithm) && !balance.consistent;
    map || matches!(balance.algorithm, Algorithm::StaticRr | Algorithm::First)
}

#[cfg(test)]
mod tests;
