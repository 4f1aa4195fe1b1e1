//! Which server takes a stream: the algorithms, and the queue of a backend whose servers are all full.
//!
//! Purpose: given the backend's live states and, for hashing algorithms, a hash, choose as haproxy would.
//! [`hash`] has the hash functions and keys, [`ring`] consistent hashing, [`queue`] who waits for what.
//!
//! Invariant: a server that is down, in maintenance or without weight is never chosen; a backup only when no
//! active server is left.
//!
//! Absent on purpose: persistence, retries and redispatch (the stream's connect phase decides those).

pub mod hash;
pub mod queue;
pub mod ring;
pub mod turns;

use crate::config::model::{Algorithm, Proxy, ServerId};
use crate::runtime::board::{ServerState, oper};
use queue::Queue;
use smallvec::SmallVec;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};

/// A server that may be chosen, and its weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// Which.
    pub id: ServerId,
    /// Its weight, 1 at least.
    pub weight: u32,
}

/// Candidates of one choice.
pub type Candidates = SmallVec<[Candidate; 16]>;

/// The choice of one backend, shared by all threads.
#[derive(Debug)]
pub struct Balancer {
    state: Mutex<State>,
    /// Streams that wait.
    pub queue: Queue,
}

#[derive(Debug, Default)]
struct State {
    turns: turns::Turns,
    /// Place in the map of `static-rr`.
    place: u32,
    /// Last chosen by leastconn, to go around among equals.
    last: usize,
    ring: ring::Ring,
    random: u64,
}

/// What a choice depends on.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wish {
    /// The hash of the request's key; `None` where it has no key.
    pub hash: Option<u32>,
    /// A server that failed and should be avoided.
    pub avoid: Option<ServerId>,
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

impl Default for Balancer {
    fn default() -> Self {
        Self::new()
    }
}

impl Balancer {
    /// A choice nobody made yet.
    pub fn new() -> Self {
        let state = State { random: 0x9e37_79b9_7f4a_7c15, ..State::default() };
        Self { state: Mutex::new(state), queue: Queue::default() }
    }

    /// Chooses a server.
    pub fn choose(&self, proxy: &Proxy, states: &[Arc<ServerState>], wish: Wish) -> Choice {
        let all = usable(proxy, states);
        if all.is_empty() {
            return Choice::None;
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(hash), true) = (wish.hash, is_hashing(&proxy.balance.algorithm)) {
            let id = if proxy.balance.consistent {
                state.ring.find(&all, proxy, hash, |id| overloaded(proxy, states, &all, id))
            } else {
                by_map(&all, hash)
            };
            // A key stays with its server as long as the server lives, however full it is.
            if wish.avoid != Some(id) || all.len() == 1 {
                return if has_room(proxy, states, id) { Choice::Server(id) } else { Choice::Wait(Some(id)) };
            }
        }
        let room: Candidates = all.iter().copied().filter(|c| has_room(proxy, states, c.id)).collect();
        if room.is_empty() {
            return Choice::Wait(None);
        }
        let spared: Candidates = room.iter().copied().filter(|c| wish.avoid != Some(c.id)).collect();
        let from = if spared.is_empty() { room } else { spared };
        Choice::Server(state.turn(&proxy.balance.algorithm, (&all, &from), states))
    }
}

impl State {
    fn turn(
        &mut self,
        algorithm: &Algorithm,
        (all, from): (&Candidates, &Candidates),
        states: &[Arc<ServerState>],
    ) -> ServerId {
        let load = |c: &Candidate| states[c.id.0].sessions.load(Relaxed).max(0) as u64;
        match algorithm {
            Algorithm::First => from.iter().min_by_key(|c| c.id).map_or(from[0].id, |c| c.id),
            Algorithm::LeastConn => {
                let n = states.len();
                let after = |c: &Candidate| (c.id.0 + n - self.last - 1) % n;
                let better = |a: &&Candidate, b: &&Candidate| {
                    let (x, y) = (load(a) * u64::from(b.weight), load(b) * u64::from(a.weight));
                    x.cmp(&y).then(after(a).cmp(&after(b)))
                };
                let best = from.iter().min_by(better).map_or(from[0].id, |c| c.id);
                self.last = best.0;
                best
            }
            Algorithm::Random(draws) => {
                let mut best: Option<Candidate> = None;
                for _ in 0..(*draws).max(1) {
                    let drawn = self.draw(from);
                    let lighter = |b: &Candidate| {
                        load(&drawn) * u64::from(b.weight) < load(b) * u64::from(drawn.weight)
                    };
                    if best.as_ref().is_none_or(lighter) {
                        best = Some(drawn);
                    }
                }
                best.map_or(from[0].id, |c| c.id)
            }
            Algorithm::StaticRr => {
                for _ in all {
                    let id = by_map(all, self.place);
                    self.place = self.place.wrapping_add(1);
                    if from.iter().any(|c| c.id == id) {
                        return id;
                    }
                }
                from[0].id
            }
            _ => self.turns.next(all, from),
        }
    }

    fn draw(&mut self, from: &Candidates) -> Candidate {
        // xorshift64: spreads well enough and needs no source of entropy on the hot path.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let total: u64 = from.iter().map(|c| u64::from(c.weight)).sum();
        let mut at = self.random % total.max(1);
        for c in from {
            if at < u64::from(c.weight) {
                return *c;
            }
            at -= u64::from(c.weight);
        }
        from[0]
    }
}

/// Servers that take new streams: the active ones, else the first backup (or all with `allbackups`).
pub fn usable(proxy: &Proxy, states: &[Arc<ServerState>]) -> Candidates {
    let of = |backup: bool| -> Candidates {
        let servers = proxy.servers.iter().zip(states).enumerate();
        servers
            .filter(|(_, (s, state))| s.backup == backup && state.is_up() && !state.in_drain())
            .filter(|(_, (_, state))| state.oper.load(Relaxed) != oper::STOPPING)
            .map(|(i, (_, state))| Candidate { id: ServerId(i), weight: state.user_weight.load(Relaxed) })
            .filter(|c| c.weight > 0)
            .collect()
    };
    let active = of(false);
    if !active.is_empty() {
        return active;
    }
    let mut backups = of(true);
    if !proxy.options.allbackups {
        backups.truncate(1);
    }
    backups
}

/// The most sessions a server may have now; `None` is no limit.
pub fn limit(proxy: &Proxy, states: &[Arc<ServerState>], id: ServerId) -> Option<u64> {
    let most = u64::from(states[id.0].maxconn.load(Relaxed));
    if most == 0 {
        return None;
    }
    let least = u64::from(proxy.servers[id.0].minconn);
    if least == 0 || least >= most {
        return Some(most);
    }
    // Between minconn and maxconn the limit follows the backend's load.
    let full = proxy.fullconn.unwrap_or(0).max(1) as u64;
    let sessions: i64 = states.iter().map(|s| s.sessions.load(Relaxed).max(0)).sum();
    Some((most * sessions as u64 / full).clamp(least, most))
}

/// Whether a server may have one more session.
pub fn has_room(proxy: &Proxy, states: &[Arc<ServerState>], id: ServerId) -> bool {
    limit(proxy, states, id).is_none_or(|max| (states[id.0].sessions.load(Relaxed).max(0) as u64) < max)
}

fn overloaded(proxy: &Proxy, states: &[Arc<ServerState>], all: &Candidates, id: ServerId) -> bool {
    let factor = u64::from(proxy.hash_balance_factor);
    if factor == 0 {
        return false;
    }
    let load = |c: &Candidate| states[c.id.0].sessions.load(Relaxed).max(0) as u64;
    let total: u64 = all.iter().map(load).sum::<u64>() + 1;
    let weights: u64 = all.iter().map(|c| u64::from(c.weight)).sum();
    let Some(me) = all.iter().find(|c| c.id == id) else { return true };
    // More than `factor` percent of its fair share.
    load(me) * weights * 100 >= total * u64::from(me.weight) * factor
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

/// Map-based hashing: the servers' shares laid out in turns, the hash picks a place.
fn by_map(all: &Candidates, hash: u32) -> ServerId {
    let total: u32 = all.iter().map(|c| c.weight).sum();
    let place = hash % total.max(1);
    if all.iter().all(|c| c.weight == all[0].weight) {
        // With equal weights the turns simply repeat.
        return all[place as usize % all.len()].id;
    }
    let mut scores: SmallVec<[i64; 16]> = SmallVec::from_elem(0, all.len());
    let mut best = 0;
    for _ in 0..=place {
        best = 0;
        // Whole rounds of credit count; among equals the first.
        let mut most = -1;
        for (i, c) in all.iter().enumerate() {
            scores[i] += i64::from(c.weight);
            let rounds = (scores[i] + i64::from(total)) / i64::from(total);
            if rounds > most {
                (most, best) = (rounds, i);
            }
        }
        scores[best] -= i64::from(total);
    }
    all[best].id
}
