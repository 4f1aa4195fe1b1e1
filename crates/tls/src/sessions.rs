//! Sessions that are remembered for clients who come again without a ticket.
//!
//! Invariant: settings have a cache of their own, so that no session goes from one set of demands on clients to
//! another; what all caches of a process did is counted in one place.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustls::server::StoresServerSessions;

use crate::book::lock;

/// How many sessions are remembered, how long, and who counts.
#[derive(Debug, Clone)]
pub struct Sessions {
    /// Sessions of a set of settings at most.
    pub most: usize,
    /// For how long.
    pub lifetime: Duration,
    /// Counts for the process.
    pub counts: Arc<Counts>,
}

impl Default for Sessions {
    /// haproxy's numbers.
    fn default() -> Self {
        Self { most: 20_000, lifetime: Duration::from_mins(5), counts: Arc::default() }
    }
}

impl PartialEq for Sessions {
    fn eq(&self, other: &Self) -> bool {
        (self.most, self.lifetime) == (other.most, other.lifetime)
    }
}

impl Eq for Sessions {}

/// What caches did.
#[derive(Debug, Default)]
pub struct Counts {
    /// Sessions that clients asked for.
    pub lookups: AtomicU64,
    /// Those that were not there.
    pub misses: AtomicU64,
}

#[derive(Debug, Default)]
struct Remembered {
    by_key: HashMap<Vec<u8>, (Vec<u8>, Instant)>,
    order: VecDeque<Vec<u8>>,
}

/// One cache.
#[derive(Debug)]
pub(crate) struct Cache {
    sessions: Sessions,
    held: Mutex<Remembered>,
}

impl Cache {
    pub(crate) fn new(sessions: &Sessions) -> Arc<Self> {
        Arc::new(Self { sessions: sessions.clone(), held: Mutex::default() })
    }

    fn counted(&self, found: Option<(Vec<u8>, Instant)>) -> Option<Vec<u8>> {
        let found = found.filter(|(_, at)| at.elapsed() < self.sessions.lifetime);
        self.sessions.counts.lookups.fetch_add(1, Relaxed);
        if found.is_none() {
            self.sessions.counts.misses.fetch_add(1, Relaxed);
        }
        found.map(|(value, _)| value)
    }
}

impl StoresServerSessions for Cache {
    fn put(&self, key: Vec<u8>, value: Vec<u8>) -> bool {
        if self.sessions.most == 0 {
            return false;
        }
        let mut held = lock(&self.held);
        while held.order.len() >= self.sessions.most {
            if let Some(oldest) = held.order.pop_front() {
                held.by_key.remove(&oldest);
            }
        }
        if held.by_key.insert(key.clone(), (value, Instant::now())).is_none() {
            held.order.push_back(key);
        }
        true
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        let found = lock(&self.held).by_key.get(key).cloned();
        self.counted(found)
    }

    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        let mut held = lock(&self.held);
        let found = held.by_key.remove(key);
        if found.is_some() {
            held.order.retain(|k| k != key);
        }
        drop(held);
        self.counted(found)
    }

    fn can_cache(&self) -> bool {
        self.sessions.most > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_goes_first_and_misses_are_counted() {
        let sessions = Sessions { most: 2, ..Sessions::default() };
        let cache = Cache::new(&sessions);
        for key in [b"a", b"b", b"c"] {
            assert!(cache.put(key.to_vec(), key.to_vec()));
        }
        assert_eq!(
            (cache.get(b"a"), cache.get(b"c"), cache.take(b"b")),
            (None, Some(b"c".to_vec()), Some(b"b".to_vec()))
        );
        assert_eq!(cache.take(b"b"), None);
        assert_eq!((sessions.counts.lookups.load(Relaxed), sessions.counts.misses.load(Relaxed)), (4, 2));
        assert!(!Cache::new(&Sessions { most: 0, ..sessions }).can_cache());
    }
}
