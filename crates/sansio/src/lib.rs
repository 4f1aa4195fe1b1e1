//! Convention and tools for cores without I/O.
//!
//! A *core* decides and a *shell* does. A core is a plain value: it gets `(now, input)`, changes itself and
//! pushes effects; [`Core::deadline`] tells when it wants to be woken. It never reads a clock, opens a socket,
//! spawns a task or logs. That is what lets [`sim`] run a thousand routers through hours of loss in a second.
//!
//! Invariant: nothing in this crate reads the real clock except [`driver`], the one place where virtual time
//! becomes real time; [`sim`] takes one base instant and only adds to it.
//!
//! Absent on purpose: a framework. Daemons write their own `select!` loop; [`driver::sleep_until`] is usually
//! all they take from here.

pub mod driver;
pub mod sim;

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::time::Instant;

/// The shape of a core.
pub trait Core {
    /// What may happen to it; must have a variant for the passing of its deadline.
    type Input;
    /// What it wants done. Effects are idempotent; one that fails comes back as an input.
    type Effect;

    /// Takes one input at `now` and pushes what is to be done onto `out`, in order.
    fn handle(&mut self, now: Instant, input: Self::Input, out: &mut Vec<Self::Effect>);

    /// When [`Core::timeout`] is due; `None` while nothing is awaited.
    fn deadline(&self) -> Option<Instant>;

    /// The input that says "your deadline has passed".
    fn timeout(&self) -> Self::Input;
}

/// A set of named one-shot timers, at most one per key. Ties are expired in the order of the keys, so that a
/// simulation with the same seed always sees the same order.
#[derive(Debug, Clone)]
pub struct Timers<K> {
    order: BTreeSet<(Instant, K)>,
    by_key: HashMap<K, Instant>,
}

impl<K> Default for Timers<K> {
    fn default() -> Self {
        Self { order: BTreeSet::new(), by_key: HashMap::new() }
    }
}

impl<K: Ord + Hash + Clone> Timers<K> {
    /// No timers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts the timer, or moves it when it is running.
    pub fn set(&mut self, key: K, at: Instant) {
        if let Some(old) = self.by_key.insert(key.clone(), at) {
            self.order.remove(&(old, key.clone()));
        }
        self.order.insert((at, key));
    }

    /// Stops the timer; says whether it was running.
    pub fn cancel(&mut self, key: &K) -> bool {
        match self.by_key.remove(key) {
            Some(old) => self.order.remove(&(old, key.clone())),
            None => false,
        }
    }

    /// Stops every timer for which `keep` says no.
    pub fn retain(&mut self, mut keep: impl FnMut(&K) -> bool) {
        self.by_key.retain(|k, _| keep(k));
        let by_key = &self.by_key;
        self.order.retain(|(_, k)| by_key.contains_key(k));
    }

    /// Stops them all.
    pub fn clear(&mut self) {
        self.order.clear();
        self.by_key.clear();
    }

    /// When this timer is due; `None` when it isn't running.
    pub fn due(&self, key: &K) -> Option<Instant> {
        self.by_key.get(key).copied()
    }

    /// When the first timer is due: a core's `deadline()`.
    pub fn deadline(&self) -> Option<Instant> {
        self.order.first().map(|(at, _)| *at)
    }

    /// Takes out one timer that is due at `now`. Call it in a loop: handling one may cancel the next.
    pub fn expire(&mut self, now: Instant) -> Option<K> {
        if self.deadline()? > now {
            return None;
        }
        let (_, key) = self.order.pop_first()?;
        self.by_key.remove(&key);
        Some(key)
    }

    /// How many are running.
    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Whether none is running.
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    fn at(base: Instant, s: u64) -> Instant {
        base + Duration::from_secs(s)
    }

    #[test]
    fn a_timer_moves_and_stops() {
        let t0 = Instant::now();
        let mut timers = Timers::new();
        timers.set("a", at(t0, 5));
        timers.set("b", at(t0, 3));
        timers.set("a", at(t0, 1));
        assert_eq!(timers.deadline(), Some(at(t0, 1)));
        assert_eq!(timers.expire(t0), None);
        assert_eq!(timers.expire(at(t0, 9)), Some("a"));
        assert!(timers.cancel(&"b"));
        assert!(!timers.cancel(&"b"));
        assert_eq!((timers.expire(at(t0, 9)), timers.deadline()), (None, None));
    }

    proptest! {
        /// Against a map that is searched: same due times, and expiry in order of time, then key.
        #[test]
        fn behaves_like_a_sorted_map(ops in prop::collection::vec((0u8..6, 0u64..20, any::<bool>()), 0..60)) {
            let t0 = Instant::now();
            let (mut timers, mut model) = (Timers::new(), std::collections::BTreeMap::new());
            for (key, when, set) in ops {
                if set {
                    timers.set(key, at(t0, when));
                    model.insert(key, when);
                } else {
                    prop_assert_eq!(timers.cancel(&key), model.remove(&key).is_some());
                }
                prop_assert_eq!(timers.len(), model.len());
                prop_assert_eq!(timers.deadline(), model.values().min().map(|w| at(t0, *w)));
            }
            let mut want: Vec<_> = model.iter().map(|(k, w)| (*w, *k)).collect();
            want.sort_unstable();
            for (_, key) in want {
                prop_assert_eq!(timers.expire(at(t0, 20)), Some(key));
            }
            prop_assert!(timers.is_empty());
        }
    }
}
