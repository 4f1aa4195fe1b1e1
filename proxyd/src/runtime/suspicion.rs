//! Times at which a server's state is worth asking about before its next check is due: an address has come to this
//! host, so another host may be gone, or connections to the server hang or are refused.
//!
//! A [`Suspicion`] is where those who notice tell the server's check. Its check answers with a [`Round`]: probes at
//! once and at a quick pace. What counts as down stays `fall` failures in a row.
//!
//! Invariant: a round never takes away the last server of a backend and never lasts longer than the regular checks
//! would have needed; a server that is fine costs one probe.
//!
//! Absent on purpose: rounds for refused connections. That is what a restarting server looks like, and `fall`, `inter`
//! and `retries` are there to get over it: the first of them costs the server one probe ahead of time, no more.

use health::schedule::Intervals;
use health::{Check, Outcome, Spec, Status};
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// Distance of the probes of a round: three of them fit into the second that impatient clients wait.
const PACE: Duration = Duration::from_millis(250);
/// Least patience with a probe when a host may be gone: far above an answer time in one network, and three of them
/// still fit into a second.
const PATIENCE_MOVED: Duration = Duration::from_millis(250);
/// Least patience when connections hang: a busy host may lose a SYN, which is sent again after a second.
const PATIENCE_HANG: Duration = Duration::from_millis(1250);
/// How much longer than usual a probe may take within a round.
const SLOWER_THAN_USUAL: u32 = 10;
/// A connection that is not there by then hangs, unless checks take long as well.
const HANG_LEAST: Duration = Duration::from_millis(300);
/// How much longer than a check a connection may take before it hangs.
const HANG_CHECKS: u32 = 3;
/// Rounds of one server begin at least this far apart, whatever happens.
pub(super) const ROUNDS_APART: Duration = Duration::from_secs(1);

/// What happened. Later variants are stronger reasons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Why {
    /// The server refused a connection.
    Refused = 1,
    /// A connection to the server is not established after a long time.
    Hang = 2,
    /// An address came to this host.
    Moved = 3,
}

/// One server's place for suspicions, and for the news that it went down.
#[derive(Debug, Default)]
pub struct Suspicion {
    raised: AtomicU8,
    heard: Notify,
    hurried: Notify,
    left: Notify,
    /// How long its last good check took.
    usual_ms: AtomicU32,
}

impl Suspicion {
    /// Tells the server's check; without one nothing happens.
    pub fn raise(&self, why: Why) {
        self.raised.fetch_max(why as u8, Relaxed);
        self.heard.notify_one();
    }

    /// The next suspicion, or the one that waits. For the one task that checks the server. Cancel-safe.
    pub async fn next(&self) -> Why {
        loop {
            match self.raised.swap(0, Relaxed) {
                0 => self.heard.notified().await,
                1 => return Why::Refused,
                2 => return Why::Hang,
                _ => return Why::Moved,
            }
        }
    }

    /// Asks for the next check soon: traffic met errors.
    pub fn hurry(&self) {
        self.hurried.notify_one();
    }

    /// Where [`Self::hurry`] is heard, by the one task that checks the server. Cancel-safe.
    pub async fn hurried(&self) {
        self.hurried.notified().await;
    }

    /// Tells all that wait for this server that it is down.
    pub fn tell_down(&self) {
        self.left.notify_waiters();
    }

    /// Where [`Self::tell_down`] is heard.
    pub fn down(&self) -> &Notify {
        &self.left
    }

    /// Remembers how long a good check took.
    pub fn note_usual(&self, took: Duration) {
        self.usual_ms.store((took.as_millis() as u32).max(1), Relaxed);
    }

    /// How long a good check takes; `None` before the first.
    pub fn usual(&self) -> Option<Duration> {
        let ms = self.usual_ms.load(Relaxed);
        (ms > 0).then(|| Duration::from_millis(ms.into()))
    }

    /// How long a connection may take before it hangs.
    pub fn hang_after(&self) -> Duration {
        self.usual().map_or(HANG_LEAST, |usual| (usual * HANG_CHECKS).max(HANG_LEAST))
    }
}

/// Quick probes of one server, begun by a suspicion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Round {
    why: Why,
    began: Instant,
    until: Instant,
}

impl Round {
    /// What a suspicion makes of the round before it: a new one, a stricter one, or no change.
    pub fn after(
        last: Option<Self>,
        now: Instant,
        why: Why,
        intervals: &Intervals,
        fall: u32,
    ) -> Option<Self> {
        let fresh = Self { why, began: now, until: now + intervals.inter * fall.max(1) };
        match last {
            Some(round) if round.is_on(now) && round.why >= why => None,
            Some(round) if round.is_on(now) => Some(Self { why, ..round }),
            Some(round) if now < round.began + ROUNDS_APART && round.why >= why => None,
            Some(_) | None => Some(fresh),
        }
    }

    /// Whether it goes on.
    pub fn is_on(&self, now: Instant) -> bool {
        now < self.until
    }

    /// Ends it; it still counts for how far rounds are apart.
    pub fn end(&mut self, now: Instant) {
        self.until = self.until.min(now);
    }

    /// From the start of one probe to the next.
    pub fn pace(intervals: &Intervals) -> Duration {
        PACE.min(intervals.inter).min(intervals.fast.unwrap_or(PACE))
    }

    /// The probe of a round: the server's check with less patience, where it is known how long it takes. Programs
    /// get their full time: their own deadlines are inside.
    pub fn probe(&self, spec: &Spec, usual: Option<Duration>) -> Spec {
        let mut spec = spec.clone();
        let (Some(usual), false) = (usual, matches!(spec.check, Check::Process(_))) else { return spec };
        let least = if self.why == Why::Moved { PATIENCE_MOVED } else { PATIENCE_HANG };
        let patience = least.max(usual * SLOWER_THAN_USUAL);
        spec.connect_timeout = spec.connect_timeout.min(patience);
        spec.exchange_timeout = spec.exchange_timeout.map(|t| t.min(patience));
        spec
    }
}

/// Whether an outcome shows a server that answers at all.
pub fn is_good(outcome: &Outcome) -> bool {
    matches!(outcome.status, Status::L4Ok | Status::L6Ok | Status::L7Ok | Status::L7OkConditional)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;
    const EVERY: Intervals =
        Intervals { inter: Duration::from_secs(2), fast: None, down: None, spread_percent: 0 };

    fn spec() -> Spec {
        Spec::tcp(([127, 0, 0, 1], 1).into(), MS(2000))
    }

    #[test]
    fn a_round_ends_when_the_regular_checks_would_have_decided() {
        let now = Instant::now();
        let mut round = Round::after(None, now, Why::Moved, &EVERY, 3).unwrap();
        assert!(round.is_on(now + MS(5999)) && !round.is_on(now + MS(6000)));
        round.end(now + MS(10));
        assert!(!round.is_on(now + MS(10)));
        // A second one soon after the first tells nothing new.
        assert_eq!(Round::after(Some(round), now + MS(500), Why::Moved, &EVERY, 3), None);
        assert!(Round::after(Some(round), now + MS(1000), Why::Hang, &EVERY, 3).is_some());
    }

    #[test]
    fn a_stronger_reason_makes_a_round_stricter_but_not_longer() {
        let now = Instant::now();
        let hang = Round::after(None, now, Why::Hang, &EVERY, 3).unwrap();
        let moved = Round::after(Some(hang), now + MS(100), Why::Moved, &EVERY, 3).unwrap();
        assert_eq!((moved.why, moved.until), (Why::Moved, hang.until));
        assert_eq!(Round::after(Some(moved), now + MS(200), Why::Hang, &EVERY, 3), None);
        let mut over = hang;
        over.end(now + MS(300));
        assert!(Round::after(Some(over), now + MS(400), Why::Moved, &EVERY, 3).is_some());
    }

    #[test]
    fn patience_follows_what_is_usual_and_never_exceeds_the_configuration() {
        let now = Instant::now();
        let round = |why| Round::after(None, now, why, &EVERY, 3).unwrap();
        let connect = |why, usual| round(why).probe(&spec(), usual).connect_timeout;
        assert_eq!(connect(Why::Moved, None), MS(2000), "nothing is known");
        assert_eq!(connect(Why::Moved, Some(MS(1))), MS(250));
        assert_eq!(connect(Why::Moved, Some(MS(80))), MS(800));
        assert_eq!(connect(Why::Moved, Some(MS(900))), MS(2000));
        assert_eq!(connect(Why::Hang, Some(MS(1))), MS(1250));
        let mut both = spec();
        both.exchange_timeout = Some(MS(100));
        assert_eq!(round(Why::Moved).probe(&both, Some(MS(1))).exchange_timeout, Some(MS(100)));
        assert_eq!(Round::pace(&EVERY), MS(250));
        assert_eq!(Round::pace(&Intervals { fast: Some(MS(50)), ..EVERY }), MS(50));
    }

    #[tokio::test]
    async fn the_strongest_suspicion_waits_for_the_check() {
        let suspicion = Suspicion::default();
        assert_eq!(suspicion.hang_after(), HANG_LEAST);
        suspicion.raise(Why::Moved);
        suspicion.raise(Why::Hang);
        assert_eq!(suspicion.next().await, Why::Moved);
        assert!(tokio::time::timeout(MS(20), suspicion.next()).await.is_err());
        suspicion.note_usual(MS(200));
        assert_eq!(suspicion.hang_after(), MS(600));
    }
}
