//! A virtual clock, a seeded random source of its own, and a network that loses, delays, repeats and cuts.
//!
//! Invariant: the same seed and the same calls give the same run, on every machine and with every version of
//! every library; hence no `rand`, no hash iteration, no real clock beyond one base instant.
//!
//! Absent on purpose: nodes. A simulation owns its cores, asks each for its deadline and lets [`Net::step`] say
//! what comes first; ten lines in a test, and every invariant check can stand between two steps.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// Random numbers that never change between versions: splitmix64.
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    /// A source; equal seeds give equal numbers.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`; 0 when `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// True in `per_mille` of 1000 cases.
    pub fn chance(&mut self, per_mille: u32) -> bool {
        self.below(1000) < u64::from(per_mille)
    }

    /// A duration between `low` and `high`, both included, in steps of a microsecond.
    pub fn between(&mut self, low: Duration, high: Duration) -> Duration {
        let span = high.saturating_sub(low).as_micros() as u64;
        low + Duration::from_micros(self.below(span + 1))
    }

    /// One of the items; `None` of none.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        items.get(self.below(items.len() as u64) as usize)
    }
}

/// Seeds to run: the one in `SIM_SEED` when it is set (to replay a failure), else `0..default`, or `0..SIM_RUNS`.
pub fn seeds(default: u64) -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|v| v.parse::<u64>().ok());
    match (number("SIM_SEED"), number("SIM_RUNS")) {
        (Some(seed), _) => seed..seed + 1,
        (None, Some(runs)) => 0..runs,
        (None, None) => 0..default,
    }
}

/// A place in the network.
pub type Node = usize;

/// How a link treats a message.
#[derive(Debug, Clone, Copy)]
pub struct Link {
    /// Messages lost, of 1000.
    pub loss_per_mille: u32,
    /// Messages delivered twice, of 1000; each copy has a delay of its own, so copies also overtake.
    pub duplicate_per_mille: u32,
    /// Shortest delay.
    pub delay_min: Duration,
    /// Longest delay.
    pub delay_max: Duration,
}

impl Link {
    /// Loses nothing, one millisecond each way.
    pub const PERFECT: Self = Self {
        loss_per_mille: 0,
        duplicate_per_mille: 0,
        delay_min: Duration::from_millis(1),
        delay_max: Duration::from_millis(1),
    };
}

/// What comes first.
#[derive(Debug, PartialEq, Eq)]
pub enum Step<M> {
    /// A message arrives.
    Arrives {
        /// Sender.
        from: Node,
        /// Receiver.
        to: Node,
        /// The message.
        message: M,
    },
    /// The deadline given to [`Net::step`] has come.
    Deadline,
    /// Neither before the end of the run.
    End,
}

/// Messages under way between nodes, and the time.
#[derive(Debug)]
pub struct Net<M> {
    start: Instant,
    now: Instant,
    /// Random source of the run; tests draw their own events from it too.
    pub rng: Rng,
    /// How every link without a line in `links` behaves.
    pub default: Link,
    links: BTreeMap<(Node, Node), Link>,
    cut: BTreeSet<(Node, Node)>,
    fifo: bool,
    last: BTreeMap<(Node, Node), Instant>,
    queue: BTreeMap<(Instant, u64), (Node, Node, M)>,
    sent: u64,
}

impl<M: Clone> Net<M> {
    /// A quiet network at virtual time 0.
    pub fn new(seed: u64, default: Link) -> Self {
        let start = Instant::now();
        Self {
            start,
            now: start,
            rng: Rng::new(seed),
            default,
            links: BTreeMap::new(),
            cut: BTreeSet::new(),
            fifo: false,
            last: BTreeMap::new(),
            queue: BTreeMap::new(),
            sent: 0,
        }
    }

    /// Keeps the order of messages on each link, as a stream does.
    #[must_use]
    pub fn in_order(mut self) -> Self {
        self.fifo = true;
        self
    }

    /// The virtual time, for cores.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// The virtual time since the start, for people.
    pub fn elapsed(&self) -> Duration {
        self.now - self.start
    }

    /// An instant `after` the start of the run.
    pub fn at(&self, after: Duration) -> Instant {
        self.start + after
    }

    /// Gives one direction between two nodes its own behaviour.
    pub fn link(&mut self, from: Node, to: Node, link: Link) {
        self.links.insert((from, to), link);
    }

    /// Cuts one direction; messages under way still arrive.
    pub fn cut(&mut self, from: Node, to: Node) {
        self.cut.insert((from, to));
    }

    /// Mends one direction.
    pub fn mend(&mut self, from: Node, to: Node) {
        self.cut.remove(&(from, to));
    }

    /// Mends everything.
    pub fn mend_all(&mut self) {
        self.cut.clear();
    }

    /// Whether messages pass in this direction.
    pub fn connected(&self, from: Node, to: Node) -> bool {
        !self.cut.contains(&(from, to))
    }

    /// Separates the nodes of `side` from all `others`, in both directions.
    pub fn partition(&mut self, side: &[Node], others: &[Node]) {
        for (a, b) in side.iter().flat_map(|a| others.iter().map(move |b| (*a, *b))).filter(|(a, b)| a != b) {
            self.cut(a, b);
            self.cut(b, a);
        }
    }

    /// Forgets what is under way between two nodes, as when a stream breaks.
    pub fn forget(&mut self, a: Node, b: Node) {
        self.queue.retain(|_, (f, t, _)| (*f, *t) != (a, b) && (*f, *t) != (b, a));
        self.last.remove(&(a, b));
        self.last.remove(&(b, a));
    }

    /// Sends a message.
    pub fn send(&mut self, from: Node, to: Node, message: M) {
        let link = *self.links.get(&(from, to)).unwrap_or(&self.default);
        let copies = if self.rng.chance(link.duplicate_per_mille) { 2 } else { 1 };
        for _ in 0..copies {
            let lost = self.rng.chance(link.loss_per_mille);
            let delay = self.rng.between(link.delay_min, link.delay_max);
            if lost || !self.connected(from, to) {
                continue;
            }
            let mut at = self.now + delay;
            if self.fifo {
                at = at.max(self.last.get(&(from, to)).copied().unwrap_or(at));
                self.last.insert((from, to), at);
            }
            self.sent += 1;
            self.queue.insert((at, self.sent), (from, to, message.clone()));
        }
    }

    /// Sends a message to every node of `to` but the sender.
    pub fn broadcast(&mut self, from: Node, to: impl IntoIterator<Item = Node>, message: &M) {
        for node in to {
            if node != from {
                self.send(from, node, message.clone());
            }
        }
    }

    /// Moves the clock to whatever comes first: an arrival, `deadline`, or `end`. At one instant arrivals come
    /// before deadlines. A deadline in the past is due at once; time never runs backwards.
    pub fn step(&mut self, deadline: Option<Instant>, end: Instant) -> Step<M> {
        let arrival = self.queue.keys().next().map(|(at, _)| *at);
        let deadline = deadline.map(|d| d.max(self.now));
        match (arrival, deadline) {
            (Some(at), d) if at <= end && d.is_none_or(|d| at <= d) => {
                self.now = self.now.max(at);
                match self.queue.pop_first() {
                    Some((_, (from, to, message))) => Step::Arrives { from, to, message },
                    None => Step::End,
                }
            }
            (_, Some(d)) if d <= end => {
                self.now = d;
                Step::Deadline
            }
            _ => {
                self.now = self.now.max(end);
                Step::End
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOSSY: Link = Link {
        loss_per_mille: 300,
        duplicate_per_mille: 200,
        delay_min: Duration::from_millis(1),
        delay_max: Duration::from_millis(90),
    };

    fn run(seed: u64) -> Vec<(u128, u32)> {
        let mut net = Net::new(seed, LOSSY);
        (0..200).for_each(|n| net.send(0, 1, n));
        let end = net.at(Duration::from_secs(1));
        let mut seen = Vec::new();
        while let Step::Arrives { message, .. } = net.step(None, end) {
            seen.push((net.elapsed().as_micros(), message));
        }
        seen
    }

    #[test]
    fn a_seed_is_a_run() {
        assert_eq!(run(7), run(7));
        assert_ne!(run(7), run(8));
    }

    #[test]
    fn loses_and_repeats_about_as_told() {
        let n = run(1).len();
        assert!((130..220).contains(&n), "200 messages, 30 % lost, 20 % twice: {n}");
    }

    #[test]
    fn a_stream_keeps_its_order() {
        let mut net = Net::new(3, LOSSY).in_order();
        (0..100).for_each(|n| net.send(0, 1, n));
        let end = net.at(Duration::from_secs(1));
        let mut last = 0;
        while let Step::Arrives { message, .. } = net.step(None, end) {
            assert!(message >= last);
            last = message;
        }
    }

    #[test]
    fn cuts_are_per_direction_and_deadlines_wait_for_arrivals() {
        let mut net = Net::new(1, Link::PERFECT);
        net.cut(0, 1);
        net.send(0, 1, "lost");
        net.send(1, 0, "kept");
        let end = net.at(Duration::from_secs(1));
        let tie = Some(net.at(Duration::from_millis(1)));
        assert_eq!(net.step(tie, end), Step::Arrives { from: 1, to: 0, message: "kept" });
        assert_eq!(net.step(tie, end), Step::Deadline);
        assert_eq!(net.step(None, end), Step::End);
        assert_eq!(net.elapsed(), Duration::from_secs(1));
    }
}
