//! Sessions as pure cores: [`Server`] for one subscriber of a daemon, [`Client`] for one daemon subscribed to.
//!
//! A server numbers its frames in each session (`seq`); a client that sees a gap, or a server whose queue for a
//! client overflows, starts over with a snapshot. So a slow reader costs a bounded queue and gets fresh state
//! late, never stale state in order.
//!
//! Invariant: after `sync`, a client's view equals the server's store at the moment of some frame sent since;
//! frames lost, repeated or late can delay that, never falsify it. A closed session keeps the client's view.
//!
//! Absent on purpose: sockets and clocks ([`crate::endpoint`]), leases ([`crate::lease`]), whose frames only pass
//! through, and data: JSON values go in and come out unread.

use crate::matches;
use crate::wire::{Frame, VERSION};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Frames that wait for a slow reader; beyond that it gets a snapshot instead.
pub const QUEUE_MAX: usize = 1024;
/// Patterns in one subscription.
pub const TOPICS_MAX: usize = 64;
/// Silence after which a side asks whether the other is there.
pub const PING_AFTER: Duration = Duration::from_secs(1);
/// Silence after which a side takes the other for dead.
pub const DEAD_AFTER: Duration = Duration::from_secs(3);
/// Events kept for late subscribers.
pub const EVENTS_MAX: usize = 1024;
/// The topic of events, which are not state: each is sent once, none replaces another.
const EVENT: &str = "event";

/// The facts that a daemon serves.
#[derive(Debug, Clone)]
pub struct Store {
    epoch: u64,
    facts: BTreeMap<Arc<str>, Arc<Value>>,
    events: VecDeque<Arc<Value>>,
}

/// A change of a [`Store`], to be told to every session.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// A topic has this state now.
    State(Arc<str>, Arc<Value>),
    /// A topic is gone.
    Gone(Arc<str>),
}

impl Store {
    /// An empty store; `epoch` is random and not 0.
    pub fn new(epoch: u64) -> Self {
        Self { epoch, facts: BTreeMap::new(), events: VecDeque::new() }
    }

    /// The random number of this start.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Sets a topic; `None` when it had this state already.
    pub fn publish(&mut self, topic: &str, data: Value) -> Option<Change> {
        if topic == EVENT {
            if self.events.len() == EVENTS_MAX {
                self.events.pop_front();
            }
            let data = Arc::new(data);
            self.events.push_back(data.clone());
            return Some(Change::State(topic.into(), data));
        }
        if self.facts.get(topic).is_some_and(|old| **old == data) {
            return None;
        }
        let (topic, data): (Arc<str>, _) = (topic.into(), Arc::new(data));
        self.facts.insert(topic.clone(), data.clone());
        Some(Change::State(topic, data))
    }

    /// Removes a topic; `None` when it was not there.
    pub fn retract(&mut self, topic: &str) -> Option<Change> {
        self.facts.remove_entry(topic).map(|(topic, _)| Change::Gone(topic))
    }

    /// The topics now.
    pub fn topics(&self) -> impl Iterator<Item = &str> {
        self.facts.keys().map(|t| &**t)
    }

    fn meant(&self, patterns: &[String]) -> VecDeque<Change> {
        let meant = |topic: &str| patterns.iter().any(|p| matches(p, topic));
        let facts = self.facts.iter().filter(|(t, _)| meant(t));
        let facts = facts.map(|(t, d)| Change::State(t.clone(), d.clone()));
        let events = self.events.iter().filter(|_| meant(EVENT));
        facts.chain(events.map(|d| Change::State(EVENT.into(), d.clone()))).collect()
    }
}

/// Why a session is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// No common version.
    #[error("no common version")]
    Version,
    /// A frame that has no place here.
    #[error("frame out of place")]
    OutOfPlace,
    /// Nothing heard for [`DEAD_AFTER`].
    #[error("silent for too long")]
    Silent,
    /// Too many topics in a subscription.
    #[error("more than {TOPICS_MAX} topics")]
    Topics,
}

/// What a [`Server`] session wants done.
#[derive(Debug, PartialEq)]
pub enum Served {
    /// Send this at once; it overtakes queued state.
    Reply(Frame),
    /// A frame about leases, for the daemon.
    Lease(Frame),
    /// Close the connection.
    Close(Fault),
}

/// The serving side of one connection.
#[derive(Debug)]
pub struct Server {
    patterns: Vec<String>,
    greeted: bool,
    seq: u64,
    queue: VecDeque<Change>,
    /// Frames of the snapshot in front of the queue, between `snapshot` and `sync`.
    snapshot: Phase,
    heard: Instant,
}

#[derive(Debug, PartialEq, Eq)]
enum Phase {
    /// Deltas only.
    Live,
    /// A snapshot is due; what is queued is void.
    Due,
    /// This many frames of the queue, then `sync`.
    Under(usize),
}

impl Server {
    /// A connection just accepted.
    pub fn new(now: Instant) -> Self {
        Self {
            patterns: Vec::new(),
            greeted: false,
            seq: 0,
            queue: VecDeque::new(),
            snapshot: Phase::Live,
            heard: now,
        }
    }

    /// Takes a frame of the peer.
    pub fn frame(&mut self, now: Instant, frame: Frame, out: &mut Vec<Served>) {
        self.heard = now;
        match frame {
            Frame::Hello { versions, .. } => {
                if !versions.contains(&VERSION) {
                    return out.push(Served::Close(Fault::Version));
                }
                self.greeted = true;
            }
            Frame::Ping {} => out.push(Served::Reply(Frame::Pong { seq: self.seq })),
            Frame::Pong { .. } | Frame::Unknown | Frame::Error { .. } => {}
            _ if !self.greeted => out.push(Served::Close(Fault::OutOfPlace)),
            Frame::Subscribe { topics } if topics.len() > TOPICS_MAX => {
                out.push(Served::Close(Fault::Topics));
            }
            Frame::Subscribe { topics } => {
                self.patterns = topics;
                self.snapshot = Phase::Due;
            }
            frame @ (Frame::Offer { .. } | Frame::Nudge { .. } | Frame::Withdraw { .. }) => {
                out.push(Served::Lease(frame));
            }
            Frame::Snapshot { .. }
            | Frame::State { .. }
            | Frame::Gone { .. }
            | Frame::Sync { .. }
            | Frame::Granted { .. }
            | Frame::Refused { .. }
            | Frame::Outcome { .. } => out.push(Served::Close(Fault::OutOfPlace)),
        }
    }

    /// The store changed.
    pub fn changed(&mut self, change: &Change) {
        let (Change::State(topic, _) | Change::Gone(topic)) = change;
        if self.snapshot == Phase::Due || !self.patterns.iter().any(|p| matches(p, topic)) {
            return;
        }
        let waiting = match self.snapshot {
            // A snapshot in front may be long; only what piles up behind it counts.
            Phase::Under(n) => self.queue.len() - n,
            Phase::Live | Phase::Due => self.queue.len(),
        };
        if waiting >= QUEUE_MAX {
            self.snapshot = Phase::Due;
            self.queue.clear();
        } else {
            self.queue.push_back(change.clone());
        }
    }

    /// The next frame for a peer that takes one now; `None` when there is nothing to say.
    pub fn next(&mut self, store: &Store) -> Option<Frame> {
        let epoch = store.epoch;
        let seq = self.seq + 1;
        let frame = match self.snapshot {
            Phase::Due => {
                self.queue = store.meant(&self.patterns);
                self.snapshot = Phase::Under(self.queue.len());
                Frame::Snapshot { epoch, seq }
            }
            Phase::Under(0) => {
                self.snapshot = Phase::Live;
                Frame::Sync { epoch, seq }
            }
            Phase::Under(_) | Phase::Live => {
                let change = self.queue.pop_front()?;
                if let Phase::Under(n) = &mut self.snapshot {
                    *n -= 1;
                }
                match change {
                    Change::State(topic, data) => {
                        Frame::State { topic: topic.to_string(), epoch, seq, data: (*data).clone() }
                    }
                    Change::Gone(topic) => Frame::Gone { topic: topic.to_string(), epoch, seq },
                }
            }
        };
        self.seq = seq;
        Some(frame)
    }

    /// When [`Server::timeout`] is due.
    pub fn deadline(&self) -> Option<Instant> {
        Some(self.heard + DEAD_AFTER)
    }

    /// The deadline passed: clients ping, so a silent one is gone.
    pub fn timeout(&mut self, now: Instant, out: &mut Vec<Served>) {
        if now >= self.heard + DEAD_AFTER {
            out.push(Served::Close(Fault::Silent));
        }
    }
}

/// What a [`Client`] session wants done.
#[derive(Debug, PartialEq)]
pub enum Learned {
    /// Send this.
    Send(Frame),
    /// A topic has this state now.
    Changed(String, Value),
    /// A topic is gone.
    Gone(String),
    /// Something happened (best effort, may repeat after a reconnect).
    Event(Value),
    /// The view is complete.
    Synced,
    /// A frame about leases, for the daemon.
    Lease(Frame),
    /// The server greeted us.
    Up {
        /// Whether it takes leases from us.
        leases: bool,
    },
    /// Close the connection.
    Close(Fault),
}

/// The subscribed side; outlives connections and so keeps the view between them.
#[derive(Debug)]
pub struct Client {
    role: &'static str,
    pid: u32,
    patterns: Vec<String>,
    view: BTreeMap<String, Value>,
    /// Epoch and number of the last frame; `None` while a snapshot is awaited.
    last: Option<(u64, u64)>,
    /// Topics seen in the snapshot under way.
    snapshot: Option<BTreeSet<String>>,
    open: bool,
    heard: Instant,
    said: Instant,
}

impl Client {
    /// A client of this role that wants these topics; not connected.
    pub fn new(now: Instant, role: &'static str, pid: u32, patterns: Vec<String>) -> Self {
        Self {
            role,
            pid,
            patterns,
            view: BTreeMap::new(),
            last: None,
            snapshot: None,
            open: false,
            heard: now,
            said: now,
        }
    }

    /// The connection stands.
    pub fn connected(&mut self, now: Instant, out: &mut Vec<Learned>) {
        (self.open, self.heard, self.last, self.snapshot) = (true, now, None, None);
        let hello = Frame::Hello {
            versions: vec![VERSION],
            role: self.role.into(),
            features: Vec::new(),
            epoch: 0,
            pid: self.pid,
        };
        self.send(now, hello, out);
        self.start_over(now, out);
    }

    /// The connection is gone; the view stays.
    pub fn closed(&mut self) {
        (self.open, self.last, self.snapshot) = (false, None, None);
    }

    /// What is known of a topic.
    pub fn view(&self, topic: &str) -> Option<&Value> {
        self.view.get(topic)
    }

    /// All that is known.
    pub fn facts(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.view.iter().map(|(t, d)| (t.as_str(), d))
    }

    /// Whether the view is complete and the connection stands.
    pub fn is_live(&self) -> bool {
        self.open && self.last.is_some() && self.snapshot.is_none()
    }

    /// Takes a frame of the server.
    pub fn frame(&mut self, now: Instant, frame: Frame, out: &mut Vec<Learned>) {
        self.heard = now;
        match frame {
            Frame::Hello { versions, features, .. } => {
                if versions.contains(&VERSION) {
                    out.push(Learned::Up { leases: features.iter().any(|f| f == "lease") });
                } else {
                    out.push(Learned::Close(Fault::Version));
                }
            }
            Frame::Snapshot { epoch, seq } => {
                // A snapshot is always welcome, unless it is a late copy of one that we have.
                if self.last.is_none_or(|(e, s)| e != epoch || s < seq) {
                    self.last = Some((epoch, seq));
                    self.snapshot = Some(BTreeSet::new());
                }
            }
            Frame::State { topic, epoch, seq, data } => {
                if self.in_order(now, epoch, seq, out) {
                    self.learn(topic, data, out);
                }
            }
            Frame::Gone { topic, epoch, seq } => {
                if self.in_order(now, epoch, seq, out) && self.view.remove(&topic).is_some() {
                    if let Some(seen) = &mut self.snapshot {
                        seen.remove(&topic);
                    }
                    out.push(Learned::Gone(topic));
                }
            }
            Frame::Sync { epoch, seq } => {
                if self.in_order(now, epoch, seq, out) {
                    self.synced(out);
                }
            }
            Frame::Ping {} => self.send(now, Frame::Pong { seq: 0 }, out),
            Frame::Pong { seq } => {
                if self.last.is_some_and(|(_, last)| seq > last) {
                    self.start_over(now, out);
                }
            }
            frame @ (Frame::Granted { .. } | Frame::Refused { .. } | Frame::Outcome { .. }) => {
                out.push(Learned::Lease(frame));
            }
            Frame::Unknown | Frame::Error { .. } => {}
            Frame::Subscribe { .. } | Frame::Offer { .. } | Frame::Nudge { .. } | Frame::Withdraw { .. } => {
                out.push(Learned::Close(Fault::OutOfPlace));
            }
        }
    }

    fn learn(&mut self, topic: String, data: Value, out: &mut Vec<Learned>) {
        if topic == EVENT {
            return out.push(Learned::Event(data));
        }
        if let Some(seen) = &mut self.snapshot {
            seen.insert(topic.clone());
        }
        if self.view.get(&topic) != Some(&data) {
            self.view.insert(topic.clone(), data.clone());
            out.push(Learned::Changed(topic, data));
        }
    }

    /// What the snapshot did not mention is gone.
    fn synced(&mut self, out: &mut Vec<Learned>) {
        if let Some(seen) = self.snapshot.take() {
            let gone: Vec<_> = self.view.keys().filter(|t| !seen.contains(*t)).cloned().collect();
            for topic in gone {
                self.view.remove(&topic);
                out.push(Learned::Gone(topic));
            }
            out.push(Learned::Synced);
        }
    }

    /// Whether this is the next frame; a copy is dropped, a gap asks for a snapshot once.
    fn in_order(&mut self, now: Instant, epoch: u64, seq: u64, out: &mut Vec<Learned>) -> bool {
        let Some((last_epoch, last)) = self.last else { return false };
        if epoch == last_epoch && seq == last + 1 {
            self.last = Some((epoch, seq));
            return true;
        }
        if epoch != last_epoch || seq > last + 1 {
            self.start_over(now, out);
        }
        false
    }

    fn start_over(&mut self, now: Instant, out: &mut Vec<Learned>) {
        (self.last, self.snapshot) = (None, None);
        self.send(now, Frame::Subscribe { topics: self.patterns.clone() }, out);
    }

    fn send(&mut self, now: Instant, frame: Frame, out: &mut Vec<Learned>) {
        self.said = now;
        out.push(Learned::Send(frame));
    }

    /// When [`Client::timeout`] is due; `None` while not connected.
    pub fn deadline(&self) -> Option<Instant> {
        self.open.then(|| (self.said + PING_AFTER).min(self.heard + DEAD_AFTER))
    }

    /// The deadline passed.
    pub fn timeout(&mut self, now: Instant, out: &mut Vec<Learned>) {
        if !self.open {
            return;
        }
        if now >= self.heard + DEAD_AFTER {
            return out.push(Learned::Close(Fault::Silent));
        }
        if now >= self.said + PING_AFTER {
            if self.last.is_none() {
                self.start_over(now, out);
            }
            self.send(now, Frame::Ping {}, out);
        }
    }
}

/// Waits between attempts to connect: 0.1 s doubling to 5 s, each shortened by up to a half so that daemons that
/// lost the same peer don't come back in step.
#[derive(Debug, Clone)]
pub struct Backoff {
    attempt: u32,
    rng: sansio::sim::Rng,
}

impl Backoff {
    /// The first wait.
    pub const FIRST: Duration = Duration::from_millis(100);
    /// The longest wait.
    pub const LONGEST: Duration = Duration::from_secs(5);

    /// A new row of attempts; `seed` differs between processes.
    pub fn new(seed: u64) -> Self {
        Self { attempt: 0, rng: sansio::sim::Rng::new(seed) }
    }

    /// The wait before the next attempt.
    pub fn wait(&mut self) -> Duration {
        let full = Self::FIRST.saturating_mul(1 << self.attempt.min(8)).min(Self::LONGEST);
        self.attempt += 1;
        self.rng.between(full / 2, full)
    }

    /// An attempt succeeded.
    pub fn reset(&mut self) {
        self.attempt = 0;
    }
}

#[cfg(test)]
mod tests;
