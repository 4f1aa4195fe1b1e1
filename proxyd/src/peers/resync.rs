//! How a process that begins comes to have what its peers have: first from the process it replaces, then from one
//! peer after the other, until one tells everything. A core.
//!
//! Invariant: one peer is asked at a time, none twice; after two waits of [`WAIT`] without an answer the process counts
//! itself as having everything.

use std::collections::HashSet;
use std::time::{Duration, Instant};

/// How long each phase waits for somebody.
pub const WAIT: Duration = Duration::from_secs(5);

/// Who has what is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The process before this one.
    Old,
    /// One of the peers.
    Peers,
    /// Nobody: all is here.
    Done,
}

/// Where a section stands.
#[derive(Debug)]
pub struct Resync {
    phase: Phase,
    until: Instant,
    asked: Option<usize>,
    /// They answered, and had not everything themselves.
    unsure: HashSet<usize>,
}

impl Resync {
    /// A beginning. `replaces` when there is a process before this one that may tell; `complete` when it did already.
    pub fn new(now: Instant, replaces: bool, complete: bool) -> Self {
        let phase = match (complete, replaces) {
            (true, _) => Phase::Done,
            (false, true) => Phase::Old,
            (false, false) => Phase::Peers,
        };
        Self { phase, until: now + WAIT, asked: None, unsure: HashSet::new() }
    }

    /// Whether all is here.
    pub fn is_complete(&self) -> bool {
        self.phase == Phase::Done
    }

    /// When to look again.
    pub fn deadline(&self) -> Option<Instant> {
        (self.phase != Phase::Done).then_some(self.until)
    }

    /// Goes on where a wait is over.
    pub fn pass(&mut self, now: Instant) {
        if now >= self.until {
            match self.phase {
                Phase::Old => self.turn_to_peers(now),
                Phase::Peers | Phase::Done => self.phase = Phase::Done,
            }
        }
    }

    fn turn_to_peers(&mut self, now: Instant) {
        self.phase = Phase::Peers;
        self.until = now + WAIT;
    }

    /// Whether a peer with a session is to be asked for everything now; it counts as asked then.
    pub fn asks(&mut self, peer: usize) -> bool {
        let asks = self.phase == Phase::Peers && self.asked.is_none() && !self.unsure.contains(&peer);
        if asks {
            self.asked = Some(peer);
        }
        asks
    }

    /// The process before this one told what it has.
    pub fn old_told(&mut self, finished: bool, now: Instant) {
        match (self.phase, finished) {
            (Phase::Done, _) => {}
            (_, true) => self.phase = Phase::Done,
            (_, false) => self.until = now + WAIT,
        }
    }

    /// A peer told what it has, asked or not.
    pub fn told(&mut self, peer: usize, finished: bool, now: Instant) {
        if self.asked != Some(peer) {
            return;
        }
        self.asked = None;
        if finished {
            self.phase = Phase::Done;
        } else {
            self.unsure.insert(peer);
            self.until = now + WAIT;
        }
    }

    /// The session with a peer is over.
    pub fn lost(&mut self, peer: usize, now: Instant) {
        if self.asked == Some(peer) {
            self.asked = None;
            self.until = now + WAIT;
        }
    }

    /// A peer is telling: that may take as long as it likes.
    pub fn goes_on(&mut self, now: Instant) {
        self.until = self.until.max(now + WAIT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_old_process_comes_first_and_peers_one_by_one() {
        let t = Instant::now();
        let mut r = Resync::new(t, true, false);
        assert!(!r.asks(0) && !r.is_complete());
        r.pass(t + WAIT);
        assert!(r.asks(0) && !r.asks(1));
        r.told(1, true, t + WAIT);
        assert!(!r.is_complete(), "it was not asked");
        r.told(0, false, t + WAIT);
        assert!(!r.asks(0) && r.asks(1));
        r.lost(1, t + WAIT);
        assert!(r.asks(1));
        r.told(1, true, t + WAIT);
        assert!(r.is_complete() && r.deadline().is_none() && !r.asks(2));
    }

    #[test]
    fn without_anybody_all_is_here_in_the_end() {
        let t = Instant::now();
        let mut r = Resync::new(t, false, false);
        assert_eq!(r.deadline(), Some(t + WAIT));
        r.pass(t + WAIT);
        assert!(r.is_complete());
        let mut r = Resync::new(t, true, false);
        r.old_told(false, t + WAIT / 2);
        r.pass(t + WAIT);
        assert!(!r.asks(0), "another old process may come");
        r.old_told(true, t + WAIT);
        assert!(r.is_complete());
    }
}
