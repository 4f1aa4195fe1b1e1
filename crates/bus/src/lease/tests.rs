use super::*;
use sansio::sim::{Link, Net, Step, seeds};

const INTER: Duration = Duration::from_secs(2);
const TTL: Duration = Duration::from_secs(6);
const OWNER: usize = 0;
const HOLDER: usize = 1;

fn effects(lease: &mut Lease, now: Instant, input: Input<u8>) -> Vec<Effect<u8>> {
    let mut out = Vec::new();
    lease.handle(now, input, &mut out);
    out
}

#[test]
fn the_way_out_and_home() {
    let t0 = Instant::now();
    let mut lease = Lease::new(INTER, Duration::from_secs(1), 0, 10);
    assert_eq!(effects(&mut lease, t0, Input::Available), [Effect::Offer(10)]);
    assert_eq!(effects(&mut lease, t0, Input::Outcome(10, 1, 1)), [], "not granted, we probe ourselves");
    assert_eq!(effects(&mut lease, t0, Input::Granted(10)), [Effect::Rest]);
    assert_eq!(effects(&mut lease, t0, Input::Granted(10)), [], "a copy");
    assert_eq!(effects(&mut lease, t0, Input::Outcome(10, 1, 7)), [Effect::Judge(7)]);
    assert_eq!(effects(&mut lease, t0, Input::Outcome(10, 1, 7)), [], "a copy");
    let late = t0 + TTL;
    assert_eq!(effects(&mut lease, late, Input::Timeout), [Effect::Withdraw(10), Effect::Probe]);
    assert_eq!(effects(&mut lease, late, Input::Outcome(10, 2, 7)), [], "an outcome of an old lease");
    assert_eq!(effects(&mut lease, late + OFFER_AGAIN, Input::Timeout), [Effect::Offer(20)]);
    assert_eq!(effects(&mut lease, late, Input::Granted(10)), [Effect::Withdraw(10)], "late");
    assert_eq!(effects(&mut lease, late, Input::Refused(20)), []);
    assert!(!lease.is_remote());
}

#[test]
fn a_changed_check_is_offered_anew_and_a_closed_peer_is_not_asked() {
    let t0 = Instant::now();
    let mut lease = Lease::new(INTER, Duration::from_secs(1), 3, 4);
    effects(&mut lease, t0, Input::Available);
    effects(&mut lease, t0, Input::Granted(7));
    assert_eq!(effects(&mut lease, t0, Input::Withdraw), [Effect::Withdraw(7), Effect::Probe]);
    assert_eq!(effects(&mut lease, t0, Input::Timeout), [Effect::Offer(11)]);
    assert_eq!(effects(&mut lease, t0, Input::Closed), []);
    assert_eq!(lease.deadline(), None);
}

#[test]
fn a_holder_has_bounds_and_forgets_with_the_connection() {
    let mut holder = Holder::new();
    let mut out = Vec::new();
    for lease in 0..=LEASES_MAX as u64 {
        holder.offered(1, lease, (), &mut out);
    }
    assert!(matches!(out.last(), Some(Hold::Refuse(1, _, _))));
    out.clear();
    holder.offered(1, 5, (), &mut out);
    holder.done(1, 5, &mut out);
    holder.done(2, 5, &mut out);
    assert_eq!(out, [Hold::Tell(1, 5, 1)]);
    holder.closed(1, &mut out);
    assert!(holder.is_empty());
    assert_eq!(out.len(), 2 + LEASES_MAX - 1);
}

#[derive(Debug, Clone)]
enum Wire {
    Offer(LeaseId),
    Granted(LeaseId),
    Outcome(LeaseId, u64),
    Withdraw(LeaseId),
}

/// One check, its holder, a bad network between; the probe itself always succeeds at once.
struct World {
    net: Net<Wire>,
    lease: Lease,
    probing: bool,
    /// Next slot of the owner's schedule; it never moves for a lease.
    slot: Instant,
    last_judged: Instant,
    holder: Holder,
    slots: BTreeMap<LeaseId, Instant>,
    longest: Duration,
    remote: u32,
    restarts: u32,
}

impl World {
    fn owner(&mut self, input: Input<LeaseId>) {
        let mut out = Vec::new();
        self.lease.handle(self.net.now(), input, &mut out);
        for effect in out {
            match effect {
                Effect::Offer(id) => self.net.send(OWNER, HOLDER, Wire::Offer(id)),
                Effect::Withdraw(id) => self.net.send(OWNER, HOLDER, Wire::Withdraw(id)),
                Effect::Rest => self.probing = false,
                Effect::Probe => self.probing = true,
                Effect::Judge(id) => {
                    assert!(!self.probing, "two sources");
                    assert_eq!(self.lease.current(), Some(id), "an old lease was judged");
                    self.remote += 1;
                    self.judged();
                }
            }
        }
    }

    fn judged(&mut self) {
        self.longest = self.longest.max(self.net.now() - self.last_judged);
        self.last_judged = self.net.now();
    }

    fn hold(&mut self, out: Vec<Hold<()>>) {
        let now = self.net.now();
        for effect in out {
            match effect {
                Hold::Start(_, id, ()) => {
                    self.slots.insert(id, now);
                    self.net.send(HOLDER, OWNER, Wire::Granted(id));
                }
                Hold::Stop(_, id) => drop(self.slots.remove(&id)),
                Hold::Tell(_, id, n) => self.net.send(HOLDER, OWNER, Wire::Outcome(id, n)),
                Hold::Refuse(..) | Hold::Nudge(..) => panic!("nothing is refused or nudged here"),
            }
        }
    }

    fn arrives(&mut self, message: Wire) {
        let mut out = Vec::new();
        match message {
            Wire::Offer(id) => self.holder.offered(1, id, (), &mut out),
            Wire::Withdraw(id) => self.holder.withdrawn(1, id, &mut out),
            Wire::Granted(id) => self.owner(Input::Granted(id)),
            Wire::Outcome(id, n) => self.owner(Input::Outcome(id, n, id)),
        }
        self.hold(out);
    }

    fn due(&mut self) {
        let now = self.net.now();
        while self.slot <= now {
            self.slot += INTER;
            if self.probing {
                self.judged();
            }
        }
        for (id, at) in self.slots.clone() {
            if at <= now {
                self.slots.insert(id, now + INTER);
                let mut out = Vec::new();
                self.holder.done(1, id, &mut out);
                self.hold(out);
            }
        }
        if self.lease.deadline().is_some_and(|d| d <= now) {
            self.owner(Input::Timeout);
        }
    }

    /// The owner's daemon starts anew: it probes at once, and knows nothing of leases.
    fn restart_owner(&mut self) {
        self.restarts += 1;
        self.net.forget(OWNER, HOLDER);
        let mut out = Vec::new();
        self.holder.closed(1, &mut out);
        self.hold(out);
        self.lease = Lease::new(INTER, Duration::from_secs(1), 0, 1);
        (self.probing, self.slot, self.last_judged) = (true, self.net.now(), self.net.now());
        self.owner(Input::Available);
    }

    /// The holder is busy or stopped: what it should probe waits.
    fn holder_naps(&mut self) {
        let length = self.net.rng.between(Duration::ZERO, TTL * 2);
        self.slots.values_mut().for_each(|at| *at += length);
    }

    /// The connection or the holder's whole process dies; the owner hears of it now or only by silence.
    fn break_off(&mut self) {
        self.net.forget(OWNER, HOLDER);
        let mut out = Vec::new();
        self.holder.closed(1, &mut out);
        self.hold(out);
        if self.net.rng.chance(500) {
            self.owner(Input::Closed);
            self.owner(Input::Available);
        }
    }
}

#[test]
fn never_two_judges_and_never_a_long_gap() {
    let storm = Link {
        loss_per_mille: 250,
        duplicate_per_mille: 200,
        delay_min: Duration::from_millis(1),
        delay_max: Duration::from_millis(2500),
    };
    let (mut remote, mut restarts) = (0, 0);
    for seed in seeds(2000) {
        let net = Net::new(seed, if seed % 10 == 0 { Link::PERFECT } else { storm });
        let now = net.now();
        let mut world = World {
            net,
            lease: Lease::new(INTER, Duration::from_secs(1), 0, 1),
            probing: true,
            slot: now,
            last_judged: now,
            holder: Holder::new(),
            slots: BTreeMap::new(),
            longest: Duration::ZERO,
            remote: 0,
            restarts: 0,
        };
        world.owner(Input::Available);
        let end = world.net.at(Duration::from_mins(2));
        loop {
            let holder = world.slots.values().min().copied();
            let next = [world.lease.deadline(), Some(world.slot), holder].into_iter().flatten().min();
            match world.net.step(next, end) {
                Step::Arrives { message, .. } => world.arrives(message),
                Step::Deadline => world.due(),
                Step::End => break,
            }
            match world.net.rng.below(300) {
                0..3 => world.break_off(),
                3 => world.restart_owner(),
                4 => world.holder_naps(),
                _ => {}
            }
            let silent = world.net.now() - world.last_judged;
            assert!(silent <= TTL + INTER, "seed {seed}: nothing judged for {silent:?}");
        }
        assert!(world.longest <= TTL + INTER, "seed {seed}: {:?}", world.longest);
        remote += world.remote;
        restarts += world.restarts;
    }
    assert!(remote > 0, "no outcome of a holder was ever judged");
    assert!(restarts > 0 || seeds(2000).count() < 100, "no owner was ever restarted");
}
