//! Routers with a made-up kernel: facts go in, effects are carried out on a set of addresses.

use crate::config::model::{Address, Config, Family, Instance, Version};
use crate::core::advert::Raw;
use crate::core::router::{Effect, Input, Link, NoticeState, Outgoing, Router, Subject};
use crate::messages::{Message, StateName};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Instant;

/// The interface number that every host calls eth0.
pub(super) const ETH0: u32 = 2;

/// A host: one router and what its kernel would hold.
pub(super) struct Host {
    pub(super) router: Router,
    pub(super) address: IpAddr,
    pub(super) held: BTreeSet<IpAddr>,
    pub(super) said: Vec<Message>,
    pub(super) notices: Vec<(String, NoticeState, u8)>,
    pub(super) claims: u32,
}

/// An instance with the VIP 10.0.0.100.
pub(super) fn instance(priority: u8, version: Version) -> Instance {
    Instance {
        name: "VI_1".into(),
        interface: "eth0".into(),
        vrid: 51,
        priority,
        version,
        family: Family::Inet,
        vips: vec![Address::new(IpAddr::from([10, 0, 0, 100]), 32)],
        ..Instance::default()
    }
}

/// A configuration of these instances.
pub(super) fn config(instances: Vec<Instance>) -> Config {
    Config { instances, ..Config::default() }
}

impl Host {
    /// A host with address 10.0.0.N whose link is up, started.
    pub(super) fn new(now: Instant, n: u8, config: Config) -> (Self, Vec<Outgoing>) {
        let mut host = Self {
            router: Router::new(config),
            address: IpAddr::V4(Ipv4Addr::new(10, 0, 0, n)),
            held: BTreeSet::new(),
            said: Vec::new(),
            notices: Vec::new(),
            claims: 0,
        };
        let address = host.address;
        host.input(now, Input::Link(Link { index: ETH0, name: "eth0".into(), up: true }));
        host.input(now, Input::Address(ETH0, address));
        let sent = host.input(now, Input::Start);
        (host, sent)
    }

    /// One input; the packets that go out.
    pub(super) fn input(&mut self, now: Instant, input: Input) -> Vec<Outgoing> {
        let mut out = Vec::new();
        self.router.handle(now, input, &mut out);
        self.carry_out(out)
    }

    /// Reloads.
    pub(super) fn reload(&mut self, now: Instant, config: Config) -> Vec<Outgoing> {
        let mut out = Vec::new();
        self.router.reload(now, config, &mut out);
        self.carry_out(out)
    }

    fn carry_out(&mut self, effects: Vec<Effect>) -> Vec<Outgoing> {
        let mut sent = Vec::new();
        for effect in effects {
            match effect {
                Effect::Send(packet) => sent.push(packet),
                Effect::Addresses { adding: true, list, .. } => {
                    self.held.extend(list.iter().map(|a| a.address));
                }
                Effect::Addresses { list, .. } => {
                    for a in &list {
                        self.held.remove(&a.address);
                    }
                }
                Effect::Announce { count, list, .. } => {
                    assert!(
                        list.iter().all(|a| self.held.contains(&a.address)),
                        "claims what it does not hold"
                    );
                    self.claims += count;
                }
                Effect::Notify { subject, state, priority } => {
                    let name = match subject {
                        Subject::Instance(i) => i.name.clone(),
                        Subject::Group(g) => g.name.clone(),
                    };
                    self.notices.push((name, state, priority));
                }
                Effect::Say(message) => self.said.push(message),
                Effect::Routes { .. }
                | Effect::Rules { .. }
                | Effect::Remind { .. }
                | Effect::Sockets
                | Effect::Retire
                | Effect::Publish(_)
                | Effect::PublishAll => {}
            }
        }
        sent
    }

    /// State of the first instance.
    pub(super) fn state(&self) -> StateName {
        self.router.members[0].machine.name()
    }

    /// Texts of all lines said so far.
    pub(super) fn texts(&self) -> Vec<String> {
        self.said.iter().map(ToString::to_string).collect()
    }

    /// Runs the timers up to `until`; the packets that go out with their times.
    pub(super) fn run(&mut self, until: Instant) -> Vec<(Instant, Outgoing)> {
        let mut sent = Vec::new();
        while let Some(at) = self.router.deadline().filter(|at| *at <= until) {
            sent.extend(self.input(at, Input::Timeout).into_iter().map(|p| (at, p)));
        }
        sent
    }
}

/// A packet as it comes in elsewhere.
pub(super) fn arrive(packet: &Outgoing) -> Raw {
    Raw {
        ifindex: ETH0,
        family: Family::Inet,
        source: None,
        destination: None,
        hop_limit: None,
        bytes: packet.bytes.clone(),
    }
}
