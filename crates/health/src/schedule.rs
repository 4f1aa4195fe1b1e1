//! When the next check comes: haproxy's `inter`, `fastinter`, `downinter`, `spread-checks` and start spreading, and
//! keepalived's `warmup`, `delay_loop` and `delay_before_retry`.
//!
//! Invariant: pure arithmetic; randomness comes in as a number, time as durations. No delay is below [`FLOOR`].
//!
//! Absent on purpose: timers and clocks (the owner's loop has them).

use std::time::Duration;

use crate::judge::{Judge, Pace, Step};

/// Nothing is checked more often than this, whatever the configuration says (haproxy refuses 0 as well).
pub const FLOOR: Duration = Duration::from_millis(1);

/// `inter` where none is given.
pub const DEFAULT_INTER: Duration = Duration::from_secs(2);

/// haproxy's intervals of one check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Intervals {
    /// `inter`.
    pub inter: Duration,
    /// `fastinter`.
    pub fast: Option<Duration>,
    /// `downinter`.
    pub down: Option<Duration>,
    /// `spread-checks`, percent (0 to 50).
    pub spread_percent: u32,
}

impl Default for Intervals {
    fn default() -> Self {
        Self { inter: DEFAULT_INTER, fast: None, down: None, spread_percent: 0 }
    }
}

impl Intervals {
    /// The interval of a pace, without jitter.
    pub fn of(&self, pace: Pace) -> Duration {
        let chosen = match pace {
            Pace::Normal => self.inter,
            Pace::Transition => self.fast.unwrap_or(self.inter),
            Pace::Down => self.down.unwrap_or(self.inter),
        };
        chosen.max(FLOOR)
    }

    /// The delay from the end of one check to the start of the next. `random` is any number, used for
    /// `spread-checks` (± that part of the interval).
    pub fn next(&self, judge: &Judge, random: u32) -> Duration {
        let base = self.of(judge.pace());
        if self.spread_percent == 0 {
            return base;
        }
        let span = base * self.spread_percent.min(50) / 100;
        let shift = span * 2 / 1000 * (random % 1001);
        (base + shift).saturating_sub(span).max(FLOOR)
    }

    /// The delay before the first check of server `index` of `count` checked ones: haproxy spreads the starts over
    /// the check's own interval, at most over `max_spread` (`max-spread-checks`) where given.
    pub fn first(index: usize, count: usize, inter: Duration, max_spread: Option<Duration>) -> Duration {
        if count == 0 {
            return Duration::ZERO;
        }
        let over = max_spread.map_or(inter, |m| m.min(inter));
        over.mul_f64(index.min(count) as f64 / count as f64)
    }

    /// `timeout check` and `timeout connect` as haproxy combines them: the time to connect, and the time that then
    /// remains for the exchange (`None`: the connect time bounds the whole check).
    pub fn timeouts(
        &self,
        check: Option<Duration>,
        connect: Option<Duration>,
    ) -> (Duration, Option<Duration>) {
        match (check, connect) {
            (None, _) => (self.inter.max(FLOOR), None),
            (Some(check), Some(connect)) => (connect.min(self.inter).max(FLOOR), Some(check)),
            (Some(check), None) => (self.inter.max(FLOOR), Some(check)),
        }
    }
}

/// What keepalived waits in any case before the first check of a checker.
pub const BOOTSTRAP: Duration = Duration::from_secs(1);

/// keepalived's timers of one checker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loop {
    /// `warmup`.
    pub warmup: Duration,
    /// `delay_loop`.
    pub delay: Duration,
    /// `delay_before_retry`.
    pub before_retry: Duration,
}

impl Loop {
    /// The delay before the first check: a second, and a random part of the warm-up.
    pub fn first(&self, random: u32) -> Duration {
        BOOTSTRAP + self.warmup.mul_f64(f64::from(random % 1_000_000) / 1_000_000.0)
    }

    /// The delay after an outcome, from the end of one check to the start of the next.
    pub fn next(&self, step: Step) -> Duration {
        let chosen = match step {
            Step::Retry { .. } => self.before_retry,
            Step::Same { .. } | Step::Up { .. } | Step::Down { .. } => self.delay,
        };
        chosen.max(FLOOR)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::outcome::Verdict;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn paces_choose_intervals_with_inter_as_default() {
        let all = Intervals { inter: MS(2000), fast: Some(MS(100)), down: Some(MS(9000)), spread_percent: 0 };
        let mut judge = Judge::with_health(2, 3, 4);
        assert_eq!(all.next(&judge, 7), MS(2000));
        judge.judge(Verdict::Failed);
        assert_eq!(all.next(&judge, 7), MS(100));
        judge.force_down();
        assert_eq!(all.next(&judge, 7), MS(9000));
        let plain = Intervals { fast: None, down: None, ..all };
        assert_eq!(plain.next(&judge, 7), MS(2000));
    }

    #[test]
    fn starts_are_spread_over_the_smallest_interval() {
        let starts: Vec<_> = (0..4).map(|i| Intervals::first(i, 4, MS(2000), None)).collect();
        assert_eq!(starts, [MS(0), MS(500), MS(1000), MS(1500)]);
        assert_eq!(Intervals::first(3, 4, MS(2000), Some(MS(100))), MS(75));
    }

    #[test]
    fn check_timeout_follows_the_connect() {
        let i = Intervals { inter: MS(2000), ..Intervals::default() };
        assert_eq!(i.timeouts(None, Some(MS(300))), (MS(2000), None));
        assert_eq!(i.timeouts(Some(MS(900)), Some(MS(300))), (MS(300), Some(MS(900))));
        assert_eq!(i.timeouts(Some(MS(900)), None), (MS(2000), Some(MS(900))));
    }

    #[test]
    fn retries_come_sooner() {
        let l = Loop { warmup: MS(2000), delay: MS(6000), before_retry: MS(1000) };
        assert_eq!(l.next(Step::Retry { count: 1 }), MS(1000));
        assert_eq!(l.next(Step::Down { retries: 1, first: false }), MS(6000));
        assert_eq!(l.next(Step::Same { first: true }), MS(6000));
    }

    proptest! {
        #[test]
        fn jitter_stays_within_its_percentage(inter in 1u64..100_000, percent in 0u32..80, random: u32) {
            let i = Intervals { inter: MS(inter), spread_percent: percent, ..Intervals::default() };
            let judge = Judge::with_health(1, 1, 1);
            let got = i.next(&judge, random);
            let span = MS(inter) * percent.min(50) / 100;
            prop_assert!(got + span + MS(1) >= MS(inter));
            prop_assert!(got <= MS(inter) + span + MS(1));
        }

        #[test]
        fn warmup_is_an_upper_bound(warmup in 0u64..100_000, random: u32) {
            let l = Loop { warmup: MS(warmup), delay: MS(1), before_retry: MS(1) };
            prop_assert!(l.first(random) <= BOOTSTRAP + MS(warmup));
        }
    }
}
