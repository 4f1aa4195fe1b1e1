//! Event rates and sliding averages, pure: the caller says what time it is.
//!
//! A rate covers the running second and the share of the previous one that is still within the last second.
//! All operations are relaxed: two threads that close a second at once may lose single events, never more.

use super::tally::Tally;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Events per second, over a sliding second.
#[derive(Debug, Default)]
pub struct Rate {
    second: AtomicU64,
    current: AtomicU64,
    previous: AtomicU64,
    /// Highest rate seen.
    max: AtomicU64,
}

impl Rate {
    /// Counts `n` events at `now_ms`, milliseconds of any monotonic clock; gives the rate after them.
    pub fn add(&self, now_ms: u64, n: u64) -> u64 {
        self.turn(now_ms / 1000);
        self.current.plus(n);
        let rate = self.read(now_ms);
        raise(&self.max, rate);
        rate
    }

    /// The rate at `now_ms`.
    pub fn read(&self, now_ms: u64) -> u64 {
        let (second, offset_ms) = (now_ms / 1000, now_ms % 1000);
        let (current, previous) = match second.saturating_sub(self.second.load(Relaxed)) {
            0 => (self.current.load(Relaxed), self.previous.load(Relaxed)),
            1 => (0, self.current.load(Relaxed)),
            _ => (0, 0),
        };
        // A single event would flicker between 0 and 1 within one second.
        if previous <= 1 && current == 0 {
            return previous;
        }
        current + previous * (1000 - offset_ms) / 1000
    }

    /// The highest rate that was seen.
    pub fn max(&self) -> u64 {
        self.max.load(Relaxed)
    }

    /// Forgets the highest rate (`clear counters`).
    pub fn clear_max(&self) {
        self.max.store(0, Relaxed);
    }

    fn turn(&self, second: u64) {
        let old = self.second.load(Relaxed);
        if second <= old || self.second.compare_exchange(old, second, Relaxed, Relaxed).is_err() {
            return;
        }
        let closed = self.current.swap(0, Relaxed);
        self.previous.store(if second == old + 1 { closed } else { 0 }, Relaxed);
    }
}

/// Raises a highest value. Most values are no new record, and to look costs less than to change.
#[inline]
fn raise(max: &AtomicU64, value: u64) {
    if value > max.load(Relaxed) {
        max.fetch_max(value, Relaxed);
    }
}

/// Average of the last [`Average::WINDOW`] values, and the highest of all.
#[derive(Debug, Default)]
pub struct Average {
    sum: AtomicU64,
    max: AtomicU64,
}

impl Average {
    /// How many values the average remembers; haproxy's `TIME_STATS_SAMPLES`.
    pub const WINDOW: u64 = 512 * 2;

    /// Adds a value.
    pub fn add(&self, value: u64) {
        let sum = self.sum.load(Relaxed);
        self.sum.store(sum - sum.div_ceil(Self::WINDOW).min(sum) + value, Relaxed);
        raise(&self.max, value);
    }

    /// The average, rounded up.
    pub fn average(&self) -> u64 {
        self.sum.load(Relaxed).div_ceil(Self::WINDOW)
    }

    /// The highest value.
    pub fn max(&self) -> u64 {
        self.max.load(Relaxed)
    }

    /// Forgets the highest value.
    pub fn clear_max(&self) {
        self.max.store(0, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_stream_reads_as_its_rate() {
        let rate = Rate::default();
        for ms in (0..5000).step_by(10) {
            rate.add(ms, 1);
        }
        assert_eq!(rate.read(5000), 100);
        assert_eq!(rate.read(5500), 50);
        assert_eq!(rate.read(7000), 0);
        assert!((99..=101).contains(&rate.max()), "{}", rate.max());
    }

    #[test]
    fn one_event_does_not_flicker() {
        let rate = Rate::default();
        rate.add(1500, 1);
        assert_eq!(rate.read(1999), 1);
        assert_eq!(rate.read(2900), 1);
        assert_eq!(rate.read(3000), 0);
    }

    #[test]
    fn averages_converge_and_never_underflow() {
        let average = Average::default();
        for _ in 0..20_000 {
            average.add(40);
        }
        assert!((39..=41).contains(&average.average()), "{}", average.average());
        average.add(900);
        assert_eq!(average.max(), 900);
        for _ in 0..100_000 {
            average.add(0);
        }
        assert_eq!(average.average(), 0);
    }
}
