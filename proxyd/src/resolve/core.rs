//! Questions of one `resolvers` section: when they are asked, again, of the other family, and what their answers
//! leave known.
//!
//! A name that somebody follows is asked for again `timeout resolve` after its last resolution ended. All name
//! servers are asked at once; the first good answer counts. Where all answers are bad the other family is asked,
//! then the resolution has failed. `resolve_retries` questions without an answer fail it, too.
//!
//! Invariant: an answer is taken only under the id of a question that is open, and each name has at most one open.
//!
//! Absent on purpose: clocks, sockets, random numbers (the caller gives ids), and what a server makes of an answer
//! (`servers.rs`).

use super::counters::Counters;
use super::wire::{self, Data, Fault, Kind};
use crate::config::model::Resolvers;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Names that one section keeps at most: those of servers, and those that rules ask for.
pub const NAMES_MAX: usize = 65_536 / 2;
/// Records of one name at most; a datagram of the largest size holds no more addresses.
const RECORDS_MAX: usize = 4_096;

/// What is asked for, and by which kind first. The name is lower case.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// The name.
    pub name: String,
    /// Addresses: the family that goes first.
    pub kind: Kind,
}

impl Key {
    /// A key; the name is made lower case, without its last dot.
    pub fn new(name: &str, kind: Kind) -> Self {
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        Self { name, kind }
    }
}

/// How the last resolution ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Not yet.
    None,
    /// With records.
    Valid,
    /// There is no such name.
    Nx,
    /// The servers refused.
    Refused,
    /// Nobody answered.
    Timeout,
    /// Otherwise.
    Other,
}

/// What may happen.
#[derive(Debug)]
pub enum Input {
    /// Somebody follows this name from now on.
    Follow(Key),
    /// Somebody does no longer.
    Leave(Key),
    /// Ask now, unless the last answer still counts (`hold valid`) or a question is open.
    Hurry(Key),
    /// A message of a name server, by its index.
    Packet(usize, Vec<u8>),
    /// A question of this id could not be sent to a name server, by its index.
    Unsent(usize, u16),
    /// The deadline has passed.
    Deadline,
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub enum Effect {
    /// Send this to a name server.
    Send(usize, Vec<u8>),
    /// A resolution ended; with the name server that gave the answer, where one did.
    Ended(Key, Option<usize>),
}

#[derive(Debug, Clone)]
struct Seen {
    data: Data,
    last: Instant,
}

#[derive(Debug, Clone, Copy)]
struct Open {
    id: u16,
    asked: Kind,
    left: u32,
    /// Servers that got the question.
    sent: usize,
    answers: usize,
    since: Instant,
}

/// What is known of one name.
#[derive(Debug)]
pub struct Lookup {
    /// How the last resolution ended.
    pub status: Status,
    records: Vec<Seen>,
    open: Option<Open>,
    ended: Option<Instant>,
    valid: Instant,
    followers: usize,
}

impl Lookup {
    /// The records that count, in haproxy's order (see [`Data::rank`]).
    pub fn records(&self) -> impl Iterator<Item = &Data> {
        self.records.iter().map(|s| &s.data)
    }

    /// Whether a failure has lasted so long that the last valid answer counts no more.
    pub fn is_given_up(&self, now: Instant, section: &Resolvers) -> bool {
        let hold = match self.status {
            Status::None | Status::Valid => return false,
            Status::Nx => section.hold.nx,
            Status::Refused => section.hold.refused,
            Status::Timeout => section.hold.timeout,
            Status::Other => section.hold.other,
        };
        now >= self.valid + hold
    }

    fn counts(&self, now: Instant, hold: Duration) -> bool {
        self.status == Status::Valid && self.ended.is_some_and(|at| now < at + hold)
    }
}

/// The names of one section.
pub struct Core {
    section: Arc<Resolvers>,
    counters: Vec<Arc<Counters>>,
    lookups: HashMap<Key, Lookup>,
    open: HashMap<u16, Key>,
    next_id: Box<dyn FnMut() -> u16 + Send>,
}

impl std::fmt::Debug for Core {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Core")
            .field("section", &self.section.name)
            .field("lookups", &self.lookups)
            .finish_non_exhaustive()
    }
}

impl Core {
    /// A core; `next_id` gives ids nobody can foretell, `counters` are those of the name servers in their order.
    pub fn new(
        section: Arc<Resolvers>,
        counters: Vec<Arc<Counters>>,
        next_id: Box<dyn FnMut() -> u16 + Send>,
    ) -> Self {
        Self { section, counters, lookups: HashMap::new(), open: HashMap::new(), next_id }
    }

    /// The section.
    pub fn section(&self) -> &Arc<Resolvers> {
        &self.section
    }

    /// What is known of a name.
    pub fn lookup(&self, key: &Key) -> Option<&Lookup> {
        self.lookups.get(key)
    }

    /// Takes one input and says what is to be done.
    pub fn handle(&mut self, now: Instant, input: Input, out: &mut Vec<Effect>) {
        match input {
            Input::Follow(key) => self.follow(now, key, out),
            Input::Leave(key) => {
                if let Some(lookup) = self.lookups.get_mut(&key) {
                    lookup.followers = lookup.followers.saturating_sub(1);
                }
            }
            Input::Hurry(key) => {
                let hold = self.section.hold.valid;
                if self.lookups.get(&key).is_some_and(|l| l.open.is_none() && !l.counts(now, hold)) {
                    self.start(now, &key, out);
                }
            }
            Input::Packet(server, bytes) => self.packet(now, server, &bytes, out),
            Input::Unsent(server, id) => self.unsent(server, id),
            Input::Deadline => self.pass(now, out),
        }
    }

    /// When [`Input::Deadline`] is due.
    pub fn deadline(&self) -> Option<Instant> {
        let (retry, pause, keep) = (self.section.retry, self.pause(), self.keep());
        let due = |l: &Lookup| match (&l.open, l.ended) {
            (Some(open), _) => Some(open.since + retry),
            (None, Some(ended)) => Some(ended + if l.followers > 0 { pause } else { keep }),
            (None, None) => None,
        };
        self.lookups.values().filter_map(due).min()
    }

    /// Time between two resolutions; never none, so that a name that fails at once can't take all time there is.
    fn pause(&self) -> Duration {
        const LEAST: Duration = Duration::from_millis(10);
        self.section.resolve.max(LEAST)
    }

    /// How long a name is kept that nobody follows: as long as its answer counts.
    fn keep(&self) -> Duration {
        self.section.hold.valid.max(self.pause())
    }

    fn follow(&mut self, now: Instant, key: Key, out: &mut Vec<Effect>) {
        if let Some(lookup) = self.lookups.get_mut(&key) {
            lookup.followers += 1;
            if lookup.open.is_some() {
                return;
            }
            if lookup.counts(now, self.section.hold.valid) {
                return out.push(Effect::Ended(key, None));
            }
        } else {
            if self.lookups.len() >= NAMES_MAX || !wire::is_askable(&key.name) {
                return out.push(Effect::Ended(key, None));
            }
            let fresh = Lookup {
                status: Status::None,
                records: Vec::new(),
                open: None,
                ended: None,
                valid: now,
                followers: 1,
            };
            self.lookups.insert(key.clone(), fresh);
        }
        self.start(now, &key, out);
    }

    fn start(&mut self, now: Instant, key: &Key, out: &mut Vec<Effect>) {
        self.ask(now, key, key.kind, self.section.retries.max(1) - 1, out);
    }

    /// Asks all name servers under a new id.
    fn ask(&mut self, now: Instant, key: &Key, asked: Kind, left: u32, out: &mut Vec<Effect>) {
        let Some(lookup) = self.lookups.get_mut(key) else { return };
        if let Some(old) = lookup.open.take() {
            self.open.remove(&old.id);
        }
        let servers = self.section.nameservers.len();
        let mut id = (self.next_id)();
        while self.open.contains_key(&id) {
            id = id.wrapping_add(1);
        }
        let Some(bytes) = wire::query(id, &key.name, asked, self.section.payload) else { return };
        self.open.insert(id, key.clone());
        lookup.open = Some(Open { id, asked, left, sent: servers, answers: 0, since: now });
        self.counters.iter().for_each(|c| c.sent.add());
        out.extend((0..servers).map(|i| Effect::Send(i, bytes.clone())));
    }

    fn end(&mut self, now: Instant, key: &Key, status: Status, server: Option<usize>, out: &mut Vec<Effect>) {
        let section = Arc::clone(&self.section);
        let Some(lookup) = self.lookups.get_mut(key) else { return };
        if let Some(open) = lookup.open.take() {
            self.open.remove(&open.id);
        }
        lookup.status = status;
        lookup.ended = Some(now);
        if status == Status::Valid {
            lookup.valid = now;
        } else if lookup.is_given_up(now, &section) {
            lookup.records.clear();
        }
        out.push(Effect::Ended(key.clone(), server));
    }

    fn packet(&mut self, now: Instant, server: usize, bytes: &[u8], out: &mut Vec<Effect>) {
        let Some(counters) = self.counters.get(server).cloned() else { return };
        if bytes.len() > usize::from(self.section.payload) && !self.section.nameservers[server].tcp {
            return counters.too_big.add();
        }
        let Some(id) = wire::id_of(bytes) else { return counters.invalid.add() };
        let Some(key) = self.open.get(&id).cloned() else { return counters.outdated.add() };
        let Some(lookup) = self.lookups.get_mut(&key) else { return };
        let Some(open) = &mut lookup.open else { return };
        open.answers += 1;
        let open = *open;
        match wire::read(bytes, &key.name, open.asked) {
            Ok(records) => {
                counters.valid.add();
                remember(lookup, records, now, self.section.hold.obsolete);
                self.end(now, &key, Status::Valid, Some(server), out);
            }
            Err(fault) => {
                let status = counters.fault(fault);
                if open.answers < open.sent {
                    return;
                }
                match open.asked.other().filter(|_| open.asked == key.kind && fault != Fault::Invalid) {
                    Some(other) => self.ask(now, &key, other, open.left, out),
                    None => self.end(now, &key, status, None, out),
                }
            }
        }
    }

    fn unsent(&mut self, server: usize, id: u16) {
        if let Some(counters) = self.counters.get(server) {
            counters.send_error.add();
            counters.sent.take_back();
        }
        let open = self.open.get(&id).and_then(|key| self.lookups.get_mut(key)).and_then(|l| l.open.as_mut());
        if let Some(open) = open {
            open.sent = open.sent.saturating_sub(1);
        }
    }

    fn pass(&mut self, now: Instant, out: &mut Vec<Effect>) {
        let (retry, pause, keep) = (self.section.retry, self.pause(), self.keep());
        self.lookups
            .retain(|_, l| l.followers > 0 || l.open.is_some() || l.ended.is_some_and(|at| now < at + keep));
        let mut due: Vec<Key> = Vec::new();
        for (key, lookup) in &self.lookups {
            let is_due = match (&lookup.open, lookup.ended) {
                (Some(open), _) => now >= open.since + retry,
                (None, Some(ended)) => lookup.followers > 0 && now >= ended + pause,
                (None, None) => false,
            };
            if is_due {
                due.push(key.clone());
            }
        }
        due.sort_unstable();
        for key in due {
            match self.lookups.get(&key).and_then(|l| l.open) {
                None => self.start(now, &key, out),
                Some(open) if open.left == 0 => self.end(now, &key, Status::Timeout, None, out),
                Some(open) => match open.asked.other() {
                    // Some answered, and badly: the other family, without counting it as one more try.
                    Some(other) if open.answers > 0 && open.asked == key.kind => {
                        self.ask(now, &key, other, open.left, out);
                    }
                    _ => self.ask(now, &key, key.kind, open.left - 1, out),
                },
            }
        }
    }
}

/// Puts an answer's records beside those of earlier answers, and drops those that are obsolete.
fn remember(lookup: &mut Lookup, records: Vec<Data>, now: Instant, obsolete: Duration) {
    for data in records {
        let known = lookup.records.iter().position(|s| is_same(&s.data, &data));
        let seen = Seen { data, last: now };
        match known {
            Some(at) => lookup.records[at] = seen,
            None if lookup.records.len() < RECORDS_MAX => lookup.records.push(seen),
            None => {}
        }
    }
    lookup.records.retain(|s| s.last == now || now < s.last + obsolete);
    lookup.records.sort_by_cached_key(|s| s.data.rank());
}

/// Whether two records name the same thing, weights aside.
fn is_same(a: &Data, b: &Data) -> bool {
    match (a, b) {
        (Data::Srv { port: p, target: t, .. }, Data::Srv { port, target, .. }) => p == port && t == target,
        _ => a == b,
    }
}

#[cfg(test)]
mod tests;
