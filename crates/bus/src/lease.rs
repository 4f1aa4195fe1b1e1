//! Delegated probes as pure cores: [`Lease`] on the side that owns a check, [`Holder`] on the side that probes.
//!
//! ```text
//!          Available / backoff over            granted
//!   Local ───────────────────────▶ Offered ───────────────▶ Remote
//!     ▲                               │ refused, no answer     │ silence > ttl, refused,
//!     └───────────────────────────────┴────────────────────────┘ closed, withdrawn
//! ```
//!
//! Invariant: judging never moves. The owner hears outcomes of one source at a time: while Local and Offered its
//! own, while Remote those of the one lease it granted, each once; an outcome of an older lease is dropped. The
//! time without any outcome is at most `ttl` plus one interval of its own schedule.
//!
//! Absent on purpose: what is probed, and whether it is up.

use crate::wire::LeaseId;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long an offer may stay without answer.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(1);
/// Wait after a refusal, an unanswered offer or an expired lease before the next offer.
pub const OFFER_AGAIN: Duration = Duration::from_secs(10);
/// Leases that one holder takes: far above any configuration seen, small enough to bound memory.
pub const LEASES_MAX: usize = 16_384;

/// Silence after which the owner probes itself: `max(2·(inter+timeout), 3 s)`.
pub fn ttl(inter: Duration, timeout: Duration) -> Duration {
    ((inter + timeout) * 2).max(Duration::from_secs(3))
}

/// What may happen to a [`Lease`].
#[derive(Debug, Clone, PartialEq)]
pub enum Input<T> {
    /// A holder is there.
    Available,
    /// The connection to the holder is gone.
    Closed,
    /// The holder took this lease.
    Granted(LeaseId),
    /// The holder does not take it, or no longer.
    Refused(LeaseId),
    /// An outcome, the n-th of this lease.
    Outcome(LeaseId, u64, T),
    /// The check is wanted no longer, or has changed: start over.
    Withdraw,
    /// [`Lease::deadline`] passed.
    Timeout,
}

/// What a [`Lease`] wants done.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect<T> {
    /// Offer this lease.
    Offer(LeaseId),
    /// Tell the holder to stop this lease.
    Withdraw(LeaseId),
    /// Stop probing: the holder does it.
    Rest,
    /// Probe from the next slot of the schedule on.
    Probe,
    /// Judge this.
    Judge(T),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Local { offer_at: Option<Instant> },
    Offered { lease: LeaseId, until: Instant },
    Remote { lease: LeaseId, until: Instant, last: u64 },
}

/// One check that may be delegated.
#[derive(Debug, Clone)]
pub struct Lease {
    state: State,
    ttl: Duration,
    /// Silence allowed behind a grant: shorter by one interval, because our own last outcome may be that old.
    first_ttl: Duration,
    available: bool,
    /// Numbers of this check's leases: `next`, `next + stride`, …
    next: LeaseId,
    stride: u64,
}

impl Lease {
    /// A check probed locally. `index` and `count` make the lease numbers of the checks of one owner distinct:
    /// `index < count`.
    pub fn new(inter: Duration, timeout: Duration, index: u64, count: u64) -> Self {
        let ttl = ttl(inter, timeout);
        Self {
            state: State::Local { offer_at: None },
            ttl,
            first_ttl: ttl.saturating_sub(inter),
            available: false,
            next: index + count,
            stride: count,
        }
    }

    /// Whether the holder probes now.
    pub fn is_remote(&self) -> bool {
        matches!(self.state, State::Remote { .. })
    }

    /// The lease that is offered or held; for nudges.
    pub fn current(&self) -> Option<LeaseId> {
        match self.state {
            State::Local { .. } => None,
            State::Offered { lease, .. } | State::Remote { lease, .. } => Some(lease),
        }
    }

    /// When [`Input::Timeout`] is due.
    pub fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Local { offer_at } => offer_at,
            State::Offered { until, .. } | State::Remote { until, .. } => Some(until),
        }
    }

    /// Takes one input.
    pub fn handle<T>(&mut self, now: Instant, input: Input<T>, out: &mut Vec<Effect<T>>) {
        match (self.state, input) {
            (State::Local { .. }, Input::Available) => {
                self.available = true;
                self.offer(now, out);
            }
            (_, Input::Available) => {}
            (_, Input::Closed) => {
                self.available = false;
                self.come_home(None, out);
            }
            (State::Offered { lease, .. }, Input::Granted(id)) if id == lease => {
                self.state = State::Remote { lease, until: now + self.first_ttl, last: 0 };
                out.push(Effect::Rest);
            }
            // A late answer to an offer that we gave up: the holder must not probe for nobody.
            (_, Input::Granted(id)) if self.current() != Some(id) => out.push(Effect::Withdraw(id)),
            (_, Input::Granted(_)) => {}
            (State::Offered { lease, .. } | State::Remote { lease, .. }, Input::Refused(id))
                if id == lease =>
            {
                self.come_home(Some(now + OFFER_AGAIN), out);
            }
            (_, Input::Refused(_)) => {}
            (State::Remote { lease, last, .. }, Input::Outcome(id, n, outcome))
                if id == lease && n > last =>
            {
                self.state = State::Remote { lease, until: now + self.ttl, last: n };
                out.push(Effect::Judge(outcome));
            }
            (_, Input::Outcome(..)) => {}
            (_, Input::Withdraw) => {
                out.extend(self.current().map(Effect::Withdraw));
                let again = self.available.then_some(now);
                self.come_home(again, out);
            }
            (State::Local { offer_at }, Input::Timeout) => {
                if offer_at.is_some_and(|at| at <= now) {
                    self.offer(now, out);
                }
            }
            (State::Offered { lease, until } | State::Remote { lease, until, .. }, Input::Timeout) => {
                if until <= now {
                    out.push(Effect::Withdraw(lease));
                    self.come_home(Some(now + OFFER_AGAIN), out);
                }
            }
        }
    }

    fn offer<T>(&mut self, now: Instant, out: &mut Vec<Effect<T>>) {
        let lease = self.next;
        self.next += self.stride;
        self.state = State::Offered { lease, until: now + ANSWER_WITHIN };
        out.push(Effect::Offer(lease));
    }

    fn come_home<T>(&mut self, offer_at: Option<Instant>, out: &mut Vec<Effect<T>>) {
        if self.is_remote() {
            out.push(Effect::Probe);
        }
        self.state = State::Local { offer_at: offer_at.filter(|_| self.available) };
    }
}

/// A connection to an owner, as the endpoint numbers them.
pub type Peer = u64;

/// What a [`Holder`] wants done.
#[derive(Debug, Clone, PartialEq)]
pub enum Hold<S> {
    /// Say yes and start probing.
    Start(Peer, LeaseId, S),
    /// Say no.
    Refuse(Peer, LeaseId, &'static str),
    /// Stop probing.
    Stop(Peer, LeaseId),
    /// Probe at once.
    Nudge(Peer, LeaseId),
    /// Send an outcome with this count.
    Tell(Peer, LeaseId, u64),
}

/// The leases that one daemon holds for others.
#[derive(Debug, Default)]
pub struct Holder {
    held: BTreeMap<(Peer, LeaseId), u64>,
}

impl Holder {
    /// Holds nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many are held.
    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// Whether none is held.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// An offer came; a repeated one changes nothing.
    pub fn offered<S>(&mut self, peer: Peer, lease: LeaseId, spec: S, out: &mut Vec<Hold<S>>) {
        if self.held.contains_key(&(peer, lease)) {
            return;
        }
        if self.held.len() >= LEASES_MAX {
            return out.push(Hold::Refuse(peer, lease, "too many leases"));
        }
        self.held.insert((peer, lease), 0);
        out.push(Hold::Start(peer, lease, spec));
    }

    /// The owner wants it no longer.
    pub fn withdrawn<S>(&mut self, peer: Peer, lease: LeaseId, out: &mut Vec<Hold<S>>) {
        if self.held.remove(&(peer, lease)).is_some() {
            out.push(Hold::Stop(peer, lease));
        }
    }

    /// The owner wants to know now.
    pub fn nudged<S>(&mut self, peer: Peer, lease: LeaseId, out: &mut Vec<Hold<S>>) {
        if self.held.contains_key(&(peer, lease)) {
            out.push(Hold::Nudge(peer, lease));
        }
    }

    /// A probe ended; nothing is told for a lease that is gone.
    pub fn done<S>(&mut self, peer: Peer, lease: LeaseId, out: &mut Vec<Hold<S>>) {
        if let Some(n) = self.held.get_mut(&(peer, lease)) {
            *n += 1;
            out.push(Hold::Tell(peer, lease, *n));
        }
    }

    /// The owner's connection is gone, and all its leases with it.
    pub fn closed<S>(&mut self, peer: Peer, out: &mut Vec<Hold<S>>) {
        let gone: Vec<_> = self.held.range((peer, 0)..=(peer, LeaseId::MAX)).map(|(k, _)| *k).collect();
        for (peer, lease) in gone {
            self.withdrawn(peer, lease, out);
        }
    }
}

#[cfg(test)]
mod tests;
