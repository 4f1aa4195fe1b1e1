//! Stick tables: keys with counters, rates and expiry. A core: the caller says what time it is, in milliseconds of
//! any monotonic clock.
//!
//! Invariant: never more than `size` entries; an entry in use neither expires nor gives way; rates are haproxy's
//! (the running period plus what is left of the previous one).
//!
//! Absent on purpose: locks and clocks (`mod.rs`), and how updates travel (`peers`).

use super::updates::Updates;
use crate::sample::{Type, Value};
use std::collections::{BTreeMap, HashMap};
use std::net::{Ipv4Addr, Ipv6Addr};

/// `type` of a table; strings and binaries with their length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyType {
    /// `ip`.
    Ip,
    /// `ipv6`.
    Ipv6,
    /// `integer`.
    Integer,
    /// `string`, at most so many bytes.
    String(usize),
    /// `binary`, exactly so many bytes (shorter ones are filled with zeros).
    Binary(usize),
}

impl KeyType {
    /// The type of sample a key is made from.
    pub fn sample(self) -> Type {
        match self {
            Self::Ip => Type::V4,
            Self::Ipv6 => Type::V6,
            Self::Integer => Type::Int,
            Self::String(_) => Type::Str,
            Self::Binary(_) => Type::Bin,
        }
    }

    /// The name behind `type`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ip => "ip",
            Self::Ipv6 => "ipv6",
            Self::Integer => "integer",
            Self::String(_) => "string",
            Self::Binary(_) => "binary",
        }
    }
}

/// A key.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Key {
    /// IPv4.
    Ip(Ipv4Addr),
    /// IPv6.
    Ipv6(Ipv6Addr),
    /// A number of 32 bits.
    Integer(u32),
    /// Text, cut to the table's length.
    String(Box<[u8]>),
    /// Bytes, cut or filled to the table's length.
    Binary(Box<[u8]>),
}

impl Key {
    /// The key a sample makes in a table; `None` when it can't be one.
    pub fn from_sample(kind: KeyType, value: Value<'_>) -> Option<Self> {
        Some(match (kind, value.cast(kind.sample())?) {
            (KeyType::Ip, Value::V4(a)) => Self::Ip(a),
            (KeyType::Ipv6, Value::V6(a)) => Self::Ipv6(a),
            (KeyType::Integer, Value::Int(i)) => Self::Integer(i as u32),
            (KeyType::String(len), Value::Str(b)) => Self::String(b[..b.len().min(len)].into()),
            (KeyType::Binary(len), Value::Bin(b)) => {
                let mut bytes = b[..b.len().min(len)].to_vec();
                bytes.resize(len, 0);
                Self::Binary(bytes.into())
            }
            _ => return None,
        })
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ip(a) => write!(f, "{a}"),
            Self::Ipv6(a) => write!(f, "{a}"),
            Self::Integer(i) => write!(f, "{i}"),
            Self::String(b) => {
                for b in b {
                    match b {
                        b' ' | b'\\' => write!(f, "\\{}", char::from(*b))?,
                        0x21..=0x7e => write!(f, "{}", char::from(*b))?,
                        _ => write!(f, "\\x{b:02x}")?,
                    }
                }
                Ok(())
            }
            Self::Binary(b) => b.iter().try_for_each(|b| write!(f, "{b:02X}")),
        }
    }
}

/// What a table may store; the order is that of `show table`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each variant is haproxy's word of the table below")]
pub enum Data {
    ServerId,
    Gpt0,
    Gpc0,
    Gpc0Rate,
    Gpc1,
    Gpc1Rate,
    ConnCnt,
    ConnRate,
    ConnCur,
    SessCnt,
    SessRate,
    HttpReqCnt,
    HttpReqRate,
    HttpErrCnt,
    HttpErrRate,
    BytesInCnt,
    BytesInRate,
    BytesOutCnt,
    BytesOutRate,
    ServerKey,
    HttpFailCnt,
    HttpFailRate,
    Gpt,
    Gpc,
    GpcRate,
}

/// Argument of a data type behind its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataArg {
    /// None.
    No,
    /// A period.
    Period,
    /// A number of elements.
    Elements,
    /// A number of elements and a period.
    ElementsPeriod,
}

/// Data types by name, in the order of `show table`.
pub static DATA: &[(&str, Data, DataArg)] = &[
    ("server_id", Data::ServerId, DataArg::No),
    ("gpt0", Data::Gpt0, DataArg::No),
    ("gpc0", Data::Gpc0, DataArg::No),
    ("gpc0_rate", Data::Gpc0Rate, DataArg::Period),
    ("conn_cnt", Data::ConnCnt, DataArg::No),
    ("conn_rate", Data::ConnRate, DataArg::Period),
    ("conn_cur", Data::ConnCur, DataArg::No),
    ("sess_cnt", Data::SessCnt, DataArg::No),
    ("sess_rate", Data::SessRate, DataArg::Period),
    ("http_req_cnt", Data::HttpReqCnt, DataArg::No),
    ("http_req_rate", Data::HttpReqRate, DataArg::Period),
    ("http_err_cnt", Data::HttpErrCnt, DataArg::No),
    ("http_err_rate", Data::HttpErrRate, DataArg::Period),
    ("bytes_in_cnt", Data::BytesInCnt, DataArg::No),
    ("bytes_in_rate", Data::BytesInRate, DataArg::Period),
    ("bytes_out_cnt", Data::BytesOutCnt, DataArg::No),
    ("bytes_out_rate", Data::BytesOutRate, DataArg::Period),
    ("gpc1", Data::Gpc1, DataArg::No),
    ("gpc1_rate", Data::Gpc1Rate, DataArg::Period),
    ("server_key", Data::ServerKey, DataArg::No),
    ("http_fail_cnt", Data::HttpFailCnt, DataArg::No),
    ("http_fail_rate", Data::HttpFailRate, DataArg::Period),
    ("gpt", Data::Gpt, DataArg::Elements),
    ("gpc", Data::Gpc, DataArg::Elements),
    ("gpc_rate", Data::GpcRate, DataArg::ElementsPeriod),
];

/// One stored data type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// What.
    pub data: Data,
    /// How many elements; 1 but for arrays.
    pub elements: usize,
    /// Period of a rate, milliseconds; 0 for others.
    pub period_ms: u64,
}

/// Events over a sliding period, with haproxy's formula.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Freq {
    start_ms: u64,
    current: u64,
    previous: u64,
}

impl Freq {
    /// Counts `n` events at `now_ms`.
    pub fn add(&mut self, now_ms: u64, period_ms: u64, n: u64) {
        if now_ms.saturating_sub(self.start_ms) >= period_ms {
            self.previous = self.current;
            self.current = 0;
            self.start_ms += period_ms;
            if now_ms.saturating_sub(self.start_ms) >= period_ms {
                self.previous = 0;
                self.start_ms = now_ms;
            }
        }
        self.current += n;
    }

    /// Events in the last period, at `now_ms`.
    pub fn read(&self, now_ms: u64, period_ms: u64) -> u64 {
        let elapsed = now_ms.saturating_sub(self.start_ms);
        let (current, previous, remain) = if elapsed < period_ms {
            (self.current, self.previous, period_ms - elapsed)
        } else if elapsed < 2 * period_ms {
            (0, self.current, 2 * period_ms - elapsed)
        } else {
            return 0;
        };
        // A single event would flicker between 0 and 1.
        if previous <= 1 && current == 0 {
            return previous;
        }
        current + previous * remain / period_ms.max(1)
    }
}

/// One stored element.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Cell {
    Count(u64),
    Rate(Freq),
    Name(Box<str>),
}

/// One entry.
#[derive(Debug, Clone)]
struct Entry {
    cells: Box<[Cell]>,
    expires_ms: u64,
    queued_ms: u64,
    users: u32,
    /// Its place among the updates; 0 is none.
    update: u64,
}

/// An entry as another process takes it over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Milliseconds until it expires; `None` is never.
    pub expires_in_ms: Option<u64>,
    /// What is stored, in the order of the table's definition.
    pub cells: Vec<KeptCell>,
}

/// One stored element of a [`Kept`] entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeptCell {
    /// A counter, tag or number.
    Count(u64),
    /// A rate: how long ago its running period began, and the events of it and of the one before.
    Rate {
        /// Milliseconds since the period began.
        age_ms: u64,
        /// Events of the running period.
        current: u64,
        /// Events of the previous one.
        previous: u64,
    },
    /// A server's name.
    Name(String),
}

/// What `show table` tells of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryView {
    /// The key.
    pub key: Key,
    /// Streams that track it.
    pub users: u32,
    /// Milliseconds until it expires; 0 where entries stay.
    pub expires_in_ms: u64,
    /// Name, element (for arrays), period in milliseconds (for rates), value as printed.
    pub data: Vec<(&'static str, Option<usize>, Option<u64>, String)>,
}

/// A table.
#[derive(Debug)]
pub struct Table {
    /// Key type.
    pub kind: KeyType,
    size: usize,
    expire_ms: Option<u64>,
    nopurge: bool,
    stored: Vec<Stored>,
    entries: HashMap<Key, Entry>,
    queue: BTreeMap<(u64, u64), Key>,
    sequence: u64,
    updates: Option<Updates>,
}

/// Entries given up at once when a table is full, so that not every new key pays for it.
const PURGE_BATCH: usize = 128;

impl Table {
    /// An empty table. `expire_ms` of `None` keeps entries for ever.
    pub fn new(
        kind: KeyType,
        size: usize,
        expire_ms: Option<u64>,
        nopurge: bool,
        stored: Vec<Stored>,
    ) -> Self {
        Self {
            kind,
            size,
            expire_ms,
            nopurge,
            stored,
            entries: HashMap::new(),
            queue: BTreeMap::new(),
            sequence: 0,
            updates: None,
        }
    }

    /// From now on it remembers what was changed here, for peers.
    pub fn share(&mut self) {
        self.updates.get_or_insert_default();
    }

    /// What was changed here; `None` where nobody wants to know.
    pub fn updates(&mut self) -> Option<&mut Updates> {
        self.updates.as_mut()
    }

    fn changed(&mut self, key: &Key) {
        if let (Some(updates), Some(entry)) = (&mut self.updates, self.entries.get_mut(key)) {
            entry.update = updates.add(entry.update, key);
        }
    }

    /// What is stored.
    pub fn stored(&self) -> &[Stored] {
        &self.stored
    }

    /// Whether a data type is stored, and where.
    fn offset(&self, data: Data, element: usize) -> Option<(usize, u64)> {
        let mut at = 0;
        for s in &self.stored {
            if s.data == data {
                return (element < s.elements).then_some((at + element, s.period_ms));
            }
            at += s.elements;
        }
        None
    }

    /// Where a data type is found: single counters and tags are the first of an array where there is only that.
    fn place(&self, data: Data, element: usize) -> Option<(usize, u64)> {
        self.offset(data, element).or_else(|| match data {
            Data::Gpc0 => self.offset(Data::Gpc, 0),
            Data::Gpc1 => self.offset(Data::Gpc, 1),
            Data::Gpt0 => self.offset(Data::Gpt, 0),
            Data::Gpc0Rate => self.offset(Data::GpcRate, 0),
            Data::Gpc1Rate => self.offset(Data::GpcRate, 1),
            _ => None,
        })
    }

    /// Whether it stores `data`, in an array at least so long.
    pub fn stores(&self, data: Data, element: usize) -> bool {
        self.offset(data, element).is_some()
    }

    fn fresh(&self) -> Box<[Cell]> {
        let cell = |s: &Stored| match s.data {
            Data::ServerKey => Cell::Name("".into()),
            _ if s.period_ms > 0 => Cell::Rate(Freq::default()),
            _ => Cell::Count(0),
        };
        self.stored.iter().flat_map(|s| std::iter::repeat_n(cell(s), s.elements)).collect()
    }

    /// Whether there is an entry in force.
    pub fn contains(&self, key: &Key, now_ms: u64) -> bool {
        self.entries.get(key).is_some_and(|e| e.users > 0 || e.expires_ms > now_ms)
    }

    /// Finds an entry or makes one; false when the table is full and nothing may go.
    pub fn touch(&mut self, key: &Key, now_ms: u64) -> bool {
        let there = self.find_or_make(key, now_ms);
        self.changed(key);
        there
    }

    fn find_or_make(&mut self, key: &Key, now_ms: u64) -> bool {
        let expires_ms = self.expire_ms.map_or(u64::MAX, |e| now_ms.saturating_add(e));
        if self.contains(key, now_ms) {
            if let Some(entry) = self.entries.get_mut(key) {
                entry.expires_ms = expires_ms;
            }
            return true;
        }
        self.remove(key);
        if self.entries.len() >= self.size {
            self.expire(now_ms);
        }
        if self.entries.len() >= self.size && (self.nopurge || !self.purge()) {
            return false;
        }
        let cells = self.fresh();
        self.sequence += 1;
        let entry = Entry { cells, expires_ms, queued_ms: expires_ms, users: 0, update: 0 };
        self.queue.insert((expires_ms, self.sequence), key.clone());
        self.entries.insert(key.clone(), entry);
        true
    }

    /// Drops entries whose time is over; the shell calls it now and then.
    pub fn expire(&mut self, now_ms: u64) {
        while let Some((&(at, sequence), _)) = self.queue.first_key_value()
            && at <= now_ms
        {
            let Some(key) = self.queue.remove(&(at, sequence)) else { break };
            let Some(entry) = self.entries.get_mut(&key) else { continue };
            if entry.queued_ms != at {
                continue;
            }
            if entry.users == 0 && entry.expires_ms <= now_ms {
                self.drop_entry(&key);
                continue;
            }
            let again = entry.expires_ms.max(now_ms + 1);
            entry.queued_ms = again;
            self.queue.insert((again, sequence), key);
        }
    }

    /// Gives up the entries that would expire first; false when all are in use.
    fn purge(&mut self) -> bool {
        let mut gone = 0;
        let order: Vec<((u64, u64), Key)> = self
            .queue
            .iter()
            .filter(|(_, k)| self.entries.get(*k).is_some_and(|e| e.users == 0))
            .take(PURGE_BATCH.min(self.size.div_ceil(8)).max(1))
            .map(|(at, k)| (*at, k.clone()))
            .collect();
        for (at, key) in order {
            self.queue.remove(&at);
            gone += usize::from(self.drop_entry(&key).is_some());
        }
        gone > 0
    }

    fn drop_entry(&mut self, key: &Key) -> Option<Entry> {
        let entry = self.entries.remove(key)?;
        if let Some(updates) = &mut self.updates {
            updates.forget(entry.update);
        }
        Some(entry)
    }

    /// Removes an entry, in use or not.
    pub fn remove(&mut self, key: &Key) -> bool {
        match self.drop_entry(key) {
            Some(entry) => {
                let at = entry.queued_ms;
                let queued =
                    self.queue.range((at, 0)..=(at, u64::MAX)).find(|(_, k)| *k == key).map(|(q, _)| *q);
                if let Some(queued) = queued {
                    self.queue.remove(&queued);
                }
                true
            }
            None => false,
        }
    }

    /// Counts one more or one fewer user of an entry; those in use stay.
    pub fn hold(&mut self, key: &Key, more: bool) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.users = if more { entry.users + 1 } else { entry.users.saturating_sub(1) };
        }
    }

    /// Streams that use an entry.
    pub fn users(&self, key: &Key) -> u32 {
        self.entries.get(key).map_or(0, |e| e.users)
    }

    /// Adds to a counter or rate; `None` when the entry or the data type is not there, else the new value.
    pub fn add(&mut self, key: &Key, data: Data, element: usize, n: i64, now_ms: u64) -> Option<u64> {
        let (at, period_ms) = self.place(data, element)?;
        self.changed(key);
        match self.entries.get_mut(key)?.cells.get_mut(at)? {
            Cell::Count(c) => {
                *c = c.saturating_add_signed(n);
                Some(*c)
            }
            Cell::Rate(f) => {
                f.add(now_ms, period_ms, n.max(0) as u64);
                Some(f.read(now_ms, period_ms))
            }
            Cell::Name(_) => None,
        }
    }

    /// Sets a counter, tag or server number.
    pub fn set(&mut self, key: &Key, data: Data, element: usize, value: u64) -> bool {
        let Some((at, _)) = self.place(data, element) else { return false };
        self.changed(key);
        match self.entries.get_mut(key).and_then(|e| e.cells.get_mut(at)) {
            Some(Cell::Count(c)) => {
                *c = value;
                true
            }
            Some(Cell::Rate(f)) => {
                *f = Freq { current: value, ..Freq::default() };
                true
            }
            _ => false,
        }
    }

    /// A counter, or a rate at `now_ms`; `None` when the entry or the data type is not there.
    pub fn get(&self, key: &Key, data: Data, element: usize, now_ms: u64) -> Option<u64> {
        let (at, period_ms) = self.place(data, element)?;
        match self.entries.get(key)?.cells.get(at)? {
            Cell::Count(c) => Some(*c),
            Cell::Rate(f) => Some(f.read(now_ms, period_ms)),
            Cell::Name(_) => None,
        }
    }

    /// The server's name stored with an entry.
    pub fn server_key(&self, key: &Key) -> Option<&str> {
        let (at, _) = self.offset(Data::ServerKey, 0)?;
        match self.entries.get(key)?.cells.get(at)? {
            Cell::Name(n) if !n.is_empty() => Some(n),
            _ => None,
        }
    }

    /// Stores the server's name with an entry.
    pub fn set_server_key(&mut self, key: &Key, name: &str) {
        if let Some((at, _)) = self.offset(Data::ServerKey, 0)
            && let Some(Cell::Name(n)) = self.entries.get_mut(key).and_then(|e| e.cells.get_mut(at))
        {
            *n = name.into();
            self.changed(key);
        }
    }

    /// Milliseconds until an entry expires.
    pub fn expires_in_ms(&self, key: &Key, now_ms: u64) -> Option<u64> {
        self.entries.get(key).map(|e| e.expires_ms.saturating_sub(now_ms))
    }

    /// Milliseconds since an entry was last touched.
    pub fn idle_ms(&self, key: &Key, now_ms: u64) -> Option<u64> {
        let total = self.expire_ms?;
        self.expires_in_ms(key, now_ms).map(|left| total.saturating_sub(left))
    }

    /// Entries in the table.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Entries at most.
    pub fn size(&self) -> usize {
        self.size
    }

    /// All keys in force, in their order.
    pub fn keys(&self, now_ms: u64) -> Vec<Key> {
        let mut keys: Vec<Key> = self
            .entries
            .iter()
            .filter(|(_, e)| e.users > 0 || e.expires_ms > now_ms)
            .map(|(k, _)| k.clone())
            .collect();
        keys.sort();
        keys
    }

    /// All keys in force, in no order.
    pub fn keys_as_they_lie(&self, now_ms: u64) -> Vec<Key> {
        let in_force = |e: &Entry| e.users > 0 || e.expires_ms > now_ms;
        self.entries.iter().filter(|(_, e)| in_force(e)).map(|(k, _)| k.clone()).collect()
    }

    /// An entry for another process.
    pub fn kept(&self, key: &Key, now_ms: u64) -> Option<Kept> {
        let entry = self.entries.get(key)?;
        let cells = entry.cells.iter().map(|cell| match cell {
            Cell::Count(n) => KeptCell::Count(*n),
            Cell::Rate(f) => KeptCell::Rate {
                age_ms: now_ms.saturating_sub(f.start_ms),
                current: f.current,
                previous: f.previous,
            },
            Cell::Name(name) => KeptCell::Name(name.to_string()),
        });
        let expires = (entry.expires_ms != u64::MAX).then(|| entry.expires_ms.saturating_sub(now_ms));
        Some(Kept { expires_in_ms: expires, cells: cells.collect() })
    }

    /// Takes over an entry that another process kept, with those of its cells that there are, in this table's order.
    /// It expires when it would have there, or sooner. False when the table is full, or has the entry already.
    pub fn keep(
        &mut self,
        key: &Key,
        expires_in_ms: Option<u64>,
        cells: Vec<Option<KeptCell>>,
        now_ms: u64,
    ) -> bool {
        if self.contains(key, now_ms) || self.entries.len() >= self.size {
            return false;
        }
        self.learn(key, expires_in_ms, cells, now_ms)
    }

    /// Takes the cells that are there, in this table's order, from a peer that changed an entry; all others stay as
    /// they are. Where the peer says when the entry expires it does so, at the latest as if it were touched now.
    /// False when the table is full.
    pub fn learn(
        &mut self,
        key: &Key,
        expires_in_ms: Option<u64>,
        cells: Vec<Option<KeptCell>>,
        now_ms: u64,
    ) -> bool {
        if !self.find_or_make(key, now_ms) {
            return false;
        }
        let Some(entry) = self.entries.get_mut(key) else { return false };
        if let Some(left) = expires_in_ms {
            entry.expires_ms = entry.expires_ms.min(now_ms.saturating_add(left));
        }
        for (cell, kept) in entry.cells.iter_mut().zip(cells) {
            match (cell, kept) {
                (Cell::Count(n), Some(KeptCell::Count(kept))) => *n = kept,
                (Cell::Rate(f), Some(KeptCell::Rate { age_ms, current, previous })) => {
                    *f = Freq { start_ms: now_ms.saturating_sub(age_ms), current, previous };
                }
                (Cell::Name(name), Some(KeptCell::Name(kept))) => *name = kept.into(),
                _ => {}
            }
        }
        true
    }

    /// What `show table` tells of one entry.
    pub fn view(&self, key: &Key, now_ms: u64) -> Option<EntryView> {
        let entry = self.entries.get(key)?;
        let mut data = Vec::with_capacity(entry.cells.len());
        let mut at = 0;
        for s in &self.stored {
            let name = DATA.iter().find(|(_, d, _)| *d == s.data).map_or("", |(n, _, _)| n);
            let array = matches!(s.data, Data::Gpt | Data::Gpc | Data::GpcRate);
            for element in 0..s.elements {
                let value = match &entry.cells[at] {
                    Cell::Count(c) => c.to_string(),
                    Cell::Rate(f) => f.read(now_ms, s.period_ms).to_string(),
                    Cell::Name(n) if n.is_empty() => "-".into(),
                    Cell::Name(n) => n.to_string(),
                };
                data.push((name, array.then_some(element), (s.period_ms > 0).then_some(s.period_ms), value));
                at += 1;
            }
        }
        Some(EntryView {
            key: key.clone(),
            users: entry.users,
            expires_in_ms: self.expire_ms.map_or(0, |_| entry.expires_ms.saturating_sub(now_ms)),
            data,
        })
    }
}
