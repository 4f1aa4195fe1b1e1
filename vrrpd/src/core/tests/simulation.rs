//! Up to seven routers in virtual time: loss, delay, duplicates, asymmetric cuts, restarts, reloads, lost links.
//! `SIM_SEED=n` replays one run, `SIM_RUNS=n` makes more.

use super::lab::{ETH0, Host, arrive, config, instance};
use crate::config::model::Version;
use crate::core::advert::Raw;
use crate::core::router::{Input, Link, Outgoing};
use crate::messages::StateName;
use sansio::sim::{Net, Step, seeds};
use std::net::IpAddr;
use std::time::Duration;

const RUNS: u64 = 2000;
/// How long the net is bad.
const CHAOS: Duration = Duration::from_secs(25);
/// A good net must have settled after three adverts, skew and the longest preemption on top.
const SETTLE: Duration = Duration::from_secs(9);
/// How long a settled net must stay as it is.
const QUIET: Duration = Duration::from_secs(15);

struct World {
    seed: u64,
    net: Net<Raw>,
    hosts: Vec<Option<Host>>,
    priorities: Vec<u8>,
    version: Version,
    nopreempt: bool,
    links_up: Vec<bool>,
    changes: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut net = Net::new(seed, sansio::sim::Link::PERFECT);
        let n = 2 + net.rng.below(6) as usize;
        let version = if net.rng.chance(500) { Version::V2 } else { Version::V3 };
        let nopreempt = net.rng.chance(200);
        // A few values only, so that equal priorities come up.
        let priorities = (0..n).map(|_| 50 + net.rng.below(8) as u8 * 25).collect();
        net.default = sansio::sim::Link {
            loss_per_mille: net.rng.below(401) as u32,
            duplicate_per_mille: net.rng.below(200) as u32,
            delay_min: Duration::from_micros(50),
            delay_max: Duration::from_micros(50 + net.rng.below(20_000)),
        };
        let hosts = (0..n).map(|_| None).collect();
        let mut world =
            Self { seed, net, hosts, priorities, version, nopreempt, links_up: vec![true; n], changes: 0 };
        for i in 0..n {
            world.start(i);
        }
        world
    }

    fn config(&self, i: usize) -> crate::config::model::Config {
        let mut one = instance(self.priorities[i], self.version);
        one.nopreempt = self.nopreempt;
        config(vec![one])
    }

    fn start(&mut self, i: usize) {
        let (mut host, sent) = Host::new(self.net.now(), i as u8 + 1, self.config(i));
        if !self.links_up[i] {
            host.input(self.net.now(), Input::Link(Link { index: ETH0, name: "eth0".into(), up: false }));
        }
        self.hosts[i] = Some(host);
        self.broadcast(i, sent);
        self.changes += 1;
    }

    fn broadcast(&mut self, from: usize, packets: Vec<Outgoing>) {
        for packet in packets {
            for to in (0..self.hosts.len()).filter(|to| *to != from) {
                if self.links_up[from] && self.links_up[to] {
                    self.net.send(from, to, arrive(&packet));
                }
            }
        }
    }

    fn check(&self, i: usize) {
        let Some(host) = &self.hosts[i] else { return };
        let vip = IpAddr::from([10, 0, 0, 100]);
        assert_eq!(
            host.held.contains(&vip),
            host.state() == StateName::Master,
            "seed {}: host {i} is {} at {:?}",
            self.seed,
            host.state(),
            self.net.elapsed()
        );
    }

    fn feed(&mut self, i: usize, input: Input) {
        let now = self.net.now();
        let Some(host) = &mut self.hosts[i] else { return };
        let before = host.state();
        let sent = host.input(now, input);
        self.changes += u64::from(host.state() != before);
        self.broadcast(i, sent);
        self.check(i);
    }

    /// Runs for a while; a random event now and then if `chaos`.
    fn run(&mut self, span: Duration, chaos: bool) {
        let end = self.net.now() + span;
        let mut event = self.net.now();
        loop {
            if chaos && self.net.now() >= event {
                self.event();
                let gap = self.net.rng.between(Duration::from_millis(100), Duration::from_secs(3));
                event = self.net.now() + gap;
            }
            let deadlines = self.hosts.iter().flatten().filter_map(|h| h.router.deadline());
            let first = deadlines.chain(chaos.then_some(event)).min();
            match self.net.step(first, end) {
                Step::Arrives { to, message, .. } => self.feed(to, Input::Packet(message)),
                Step::Deadline => {
                    let now = self.net.now();
                    let due = |h: &Host| h.router.deadline().is_some_and(|at| at <= now);
                    for i in 0..self.hosts.len() {
                        if self.hosts[i].as_ref().is_some_and(due) {
                            self.feed(i, Input::Timeout);
                        }
                    }
                }
                Step::End => return,
            }
        }
    }

    fn event(&mut self) {
        let n = self.hosts.len() as u64;
        let (i, j) = (self.net.rng.below(n) as usize, self.net.rng.below(n) as usize);
        let now = self.net.now();
        match self.net.rng.below(9) {
            0 if i != j => self.net.cut(i, j),
            1 => self.net.mend_all(),
            2 => {
                let (side, others): (Vec<usize>, Vec<usize>) = (0..n as usize).partition(|h| *h <= i);
                self.net.partition(&side, &others);
            }
            3 => {
                // Killed: no farewell, nothing left of it.
                self.hosts[i] = None;
            }
            4 => {
                if self.hosts[i].is_none() {
                    self.start(i);
                }
            }
            5 => {
                self.priorities[i] = 50 + self.net.rng.below(8) as u8 * 25;
                let new = self.config(i);
                if let Some(host) = &mut self.hosts[i] {
                    let sent = host.reload(now, new);
                    self.broadcast(i, sent);
                    self.check(i);
                }
            }
            6 | 7 => {
                self.links_up[i] = !self.links_up[i];
                let up = self.links_up[i];
                self.feed(i, Input::Link(Link { index: ETH0, name: "eth0".into(), up }));
            }
            _ => {
                self.feed(i, Input::Stop);
                self.hosts[i] = None;
            }
        }
    }

    /// Everything is mended.
    fn heal(&mut self) {
        self.net.mend_all();
        self.net.default = sansio::sim::Link::PERFECT;
        for i in 0..self.hosts.len() {
            if self.hosts[i].is_none() {
                self.links_up[i] = true;
                self.start(i);
            } else if !self.links_up[i] {
                self.links_up[i] = true;
                self.feed(i, Input::Link(Link { index: ETH0, name: "eth0".into(), up: true }));
            }
        }
    }

    fn masters(&self) -> Vec<usize> {
        let master = |i: &usize| self.hosts[*i].as_ref().is_some_and(|h| h.state() == StateName::Master);
        (0..self.hosts.len()).filter(master).collect()
    }
}

#[test]
fn one_master_after_every_storm_and_no_flap_after_that() {
    for seed in seeds(RUNS) {
        let mut world = World::new(seed);
        world.run(CHAOS, true);
        world.heal();
        world.run(SETTLE, false);
        let masters = world.masters();
        assert_eq!(masters.len(), 1, "seed {seed}: masters {masters:?} of {:?}", world.priorities);
        if !world.nopreempt {
            let best = *world.priorities.iter().max().unwrap();
            assert_eq!(world.priorities[masters[0]], best, "seed {seed}: {:?}", world.priorities);
        }
        let before = world.changes;
        world.run(QUIET, false);
        assert_eq!(world.changes, before, "seed {seed}: a flap in a quiet net");
        assert_eq!(world.masters(), masters, "seed {seed}");
    }
}
