//! Stick tables and the rules that use them: the shell around [`table`].
//!
//! Invariant: a [`Tracked`] entry is held, and its `conn_cur` counted, exactly until it is dropped.

pub mod parse;
pub mod rules;
pub mod table;
pub mod updates;

#[cfg(test)]
mod tests;

pub use rules::{Pending, StickRules};

use crate::sample::Value;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use table::{Data, Key, KeyType, Stored, Table};

/// `stick-table type … size … expire … store …`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableSpec {
    /// The table's name: the proxy's, or the peers section's.
    pub name: String,
    /// `type`, `len`.
    pub kind: KeyType,
    /// Entries at most.
    pub size: usize,
    /// `expire`.
    pub expire: Option<Duration>,
    /// `nopurge`.
    pub nopurge: bool,
    /// `store`, in the order of `show table`.
    pub stored: Vec<Stored>,
    /// `peers`.
    pub peers: Option<String>,
}

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Milliseconds on the clock of the tables, for the moment `now`.
pub fn clock_ms(now: Instant) -> u64 {
    // The tables' clock begins well above zero, so that a fresh rate is an old one.
    now.saturating_duration_since(*START).as_millis() as u64 + (1 << 40)
}

/// A table shared between threads.
#[derive(Debug)]
pub struct SharedTable {
    /// What the configuration says.
    pub spec: TableSpec,
    table: Mutex<Table>,
}

impl SharedTable {
    /// An empty table.
    pub fn new(spec: TableSpec) -> Self {
        let expire_ms = spec.expire.map(|e| e.as_millis() as u64);
        let mut table = Table::new(spec.kind, spec.size, expire_ms, spec.nopurge, spec.stored.clone());
        if spec.peers.is_some() {
            table.share();
        }
        Self { spec, table: Mutex::new(table) }
    }

    /// The table itself; keep the guard short.
    pub fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The key a sample makes here.
    pub fn key(&self, value: Value<'_>) -> Option<Key> {
        Key::from_sample(self.spec.kind, value)
    }
}

/// All tables of the process, by name; they outlive generations when their shape stays.
#[derive(Debug, Default)]
pub struct Tables {
    list: Mutex<HashMap<String, Arc<SharedTable>>>,
}

impl Tables {
    /// The table of a name.
    pub fn find(&self, name: &str) -> Option<Arc<SharedTable>> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// All tables, by name.
    pub fn all(&self) -> Vec<Arc<SharedTable>> {
        let mut all: Vec<_> =
            self.list.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        all.sort_by(|a, b| a.spec.name.cmp(&b.spec.name));
        all
    }

    /// Makes the table, or keeps the one that has the same shape.
    pub fn ensure(&self, spec: &TableSpec) -> Arc<SharedTable> {
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(table) = list.get(&spec.name)
            && table.spec == *spec
        {
            return Arc::clone(table);
        }
        let table = Arc::new(SharedTable::new(spec.clone()));
        list.insert(spec.name.clone(), Arc::clone(&table));
        table
    }
}

/// A tracked entry (`track-scN`): keeps `conn_cur` and friends honest until it is dropped.
#[derive(Debug)]
pub struct Tracked {
    /// The table.
    pub table: Arc<SharedTable>,
    /// The key.
    pub key: Key,
    /// It is counted in `conn_cur`; the copies that streams of one connection have are not.
    counted: bool,
}

impl Clone for Tracked {
    /// A copy for a stream of the same connection: it holds the entry, and is not counted again.
    fn clone(&self) -> Self {
        self.table.lock().hold(&self.key, true);
        Self { table: Arc::clone(&self.table), key: self.key.clone(), counted: false }
    }
}

impl Tracked {
    /// Begins to track: counts the connection or session. `None` when the table is full.
    pub fn begin(table: &Arc<SharedTable>, key: Key, now: Instant) -> Option<Self> {
        let now_ms = clock_ms(now);
        let mut t = table.lock();
        if !t.touch(&key, now_ms) {
            return None;
        }
        t.hold(&key, true);
        for (data, n) in [(Data::ConnCnt, 1), (Data::ConnCur, 1), (Data::ConnRate, 1)] {
            t.add(&key, data, 0, n, now_ms);
        }
        drop(t);
        Some(Self { table: Arc::clone(table), key, counted: true })
    }

    /// Adds to data of the entry and to its rate.
    pub fn count(&self, counter: Data, rate: Data, n: i64, now: Instant) {
        let now_ms = clock_ms(now);
        let mut t = self.table.lock();
        t.touch(&self.key, now_ms);
        t.add(&self.key, counter, 0, n, now_ms);
        t.add(&self.key, rate, 0, n, now_ms);
    }

    /// A session was accepted.
    pub fn session(&self, now: Instant) {
        self.count(Data::SessCnt, Data::SessRate, 1, now);
    }

    /// A request began.
    pub fn request(&self, now: Instant) {
        self.count(Data::HttpReqCnt, Data::HttpReqRate, 1, now);
    }

    /// A request failed by the client's fault (4xx).
    pub fn client_error(&self, now: Instant) {
        self.count(Data::HttpErrCnt, Data::HttpErrRate, 1, now);
    }

    /// A request failed by the server's fault (5xx).
    pub fn server_error(&self, now: Instant) {
        self.count(Data::HttpFailCnt, Data::HttpFailRate, 1, now);
    }

    /// Bytes came from the client.
    pub fn bytes_in(&self, n: u64, now: Instant) {
        self.count(Data::BytesInCnt, Data::BytesInRate, n as i64, now);
    }

    /// Bytes went to the client.
    pub fn bytes_out(&self, n: u64, now: Instant) {
        self.count(Data::BytesOutCnt, Data::BytesOutRate, n as i64, now);
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        let mut t = self.table.lock();
        if self.counted {
            t.add(&self.key, Data::ConnCur, 0, -1, 0);
        }
        t.hold(&self.key, false);
    }
}
