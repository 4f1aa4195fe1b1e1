//! Which entries of a table were changed here, in order, for those who pass changes on. A core.
//!
//! Invariant: an entry stands here once at most, under the number of its last change that nobody passed on yet; what
//! was changed many times meanwhile is passed on once, as it is then.

use super::table::Key;
use std::collections::BTreeMap;
use std::task::Waker;

/// Changes of a table.
#[derive(Debug, Default)]
pub struct Updates {
    /// Number of the last change; the first is 1.
    last: u64,
    /// Changes up to this one were passed on to somebody.
    passed: u64,
    keys: BTreeMap<u64, Key>,
    waiting: Vec<Waker>,
}

impl Updates {
    /// Counts a change of an entry whose last one had the number `before` (0: none). Gives its number.
    pub(super) fn add(&mut self, before: u64, key: &Key) -> u64 {
        if before > self.passed {
            return before;
        }
        self.forget(before);
        self.last += 1;
        self.keys.insert(self.last, key.clone());
        self.waiting.drain(..).for_each(Waker::wake);
        self.last
    }

    /// The entry is gone.
    pub(super) fn forget(&mut self, update: u64) {
        self.keys.remove(&update);
    }

    /// Number of the last change.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// Number of the last change that was passed on to somebody.
    pub fn passed(&self) -> u64 {
        self.passed
    }

    /// Up to `most` changes behind the number `after`, which count as passed on from now.
    pub fn take(&mut self, after: u64, most: usize) -> Vec<(u64, Key)> {
        let behind = self.keys.range(after.saturating_add(1)..);
        let taken: Vec<_> = behind.take(most).map(|(number, key)| (*number, key.clone())).collect();
        self.passed = self.passed.max(taken.last().map_or(0, |(number, _)| *number));
        taken
    }

    /// All changes so far are passed on. Gives the number of the last.
    pub fn pass_all(&mut self) -> u64 {
        self.passed = self.last;
        self.last
    }

    /// Whether there are changes behind the number `after`; if not, the next one wakes.
    pub fn ready(&mut self, after: u64, waker: &Waker) -> bool {
        let ready = self.keys.range(after.saturating_add(1)..).next().is_some();
        if !ready && !self.waiting.iter().any(|w| w.will_wake(waker)) {
            self.waiting.push(waker.clone());
        }
        ready
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_that_nobody_saw_are_one() {
        let mut updates = Updates::default();
        let (a, b) = (Key::Integer(1), Key::Integer(2));
        let first = updates.add(0, &a);
        assert_eq!((first, updates.add(first, &a)), (1, 1));
        assert_eq!(updates.add(0, &b), 2);
        assert_eq!(updates.take(0, 1), [(1, a.clone())]);
        // Seen by somebody: from now on it is another change, behind all others.
        assert_eq!(updates.add(1, &a), 3);
        assert_eq!(updates.take(1, 9), [(2, b), (3, a)]);
        updates.forget(2);
        assert_eq!(updates.take(0, 9).len(), 1);
        assert!(!updates.ready(3, Waker::noop()) && updates.ready(2, Waker::noop()));
    }
}
