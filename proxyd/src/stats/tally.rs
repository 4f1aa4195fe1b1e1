//! Adding to counters that only threads serving streams change, without a locked instruction where there is one such
//! thread: a request changes some thirty counters, and the locks were a tenth of the time spent on it in the program.
//!
//! Invariant: once there is a second thread every addition is atomic. With one thread a counter has one writer, but
//! for `clear counters`, which looks whether its zero was overwritten.
//!
//! Absent on purpose: counters that other threads change too (connection numbers, sessions that a queue grants).

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// More than one thread serves streams.
static MANY: AtomicBool = AtomicBool::new(false);

/// Says how many threads are about to serve streams; what was said once holds for the whole process.
pub fn threads(n: usize) {
    if n > 1 {
        MANY.store(true, Relaxed);
    }
}

/// A counter changed by the threads that serve streams.
pub trait Tally {
    /// Adds; gives the sum.
    fn plus(&self, n: u64) -> u64;
    /// Takes away.
    fn minus(&self, n: u64);
}

impl Tally for AtomicU64 {
    #[inline]
    fn plus(&self, n: u64) -> u64 {
        if MANY.load(Relaxed) {
            return self.fetch_add(n, Relaxed).wrapping_add(n);
        }
        let sum = self.load(Relaxed).wrapping_add(n);
        self.store(sum, Relaxed);
        sum
    }

    #[inline]
    fn minus(&self, n: u64) {
        self.plus(n.wrapping_neg());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_lost_between_threads() {
        const EACH: u64 = 50_000;
        let counter = AtomicU64::new(0);
        assert_eq!((counter.plus(5), counter.plus(2)), (5, 7));
        counter.minus(7);
        assert_eq!(counter.load(Relaxed), 0);
        threads(1);
        threads(2);
        threads(1);
        std::thread::scope(|s| {
            for _ in 0..3 {
                s.spawn(|| {
                    for _ in 0..EACH {
                        counter.plus(3);
                        counter.minus(1);
                    }
                });
            }
        });
        assert_eq!(counter.load(Relaxed), 3 * EACH * 2);
    }
}
