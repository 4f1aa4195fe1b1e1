//! Claiming addresses: gratuitous ARPs and unsolicited neighbour advertisements.
//!
//! Invariant: the first claim of every address comes before the second of any, because clients wait for the first
//! only; an address that was given up is not claimed again. Absent on purpose: when to claim (core/garp.rs), frames
//! (io/neighbour.rs).

use super::Daemon;
use crate::config::model::{Address, Instance};
use crate::core::router::Effect;
use crate::io::neighbour::{Frame, Pace};
use crate::messages::{Message, Note, StateName};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Instances whose repeats go in one slice: 8 times 4 frames are about half a millisecond.
const SLICE_CLAIMS: usize = 8;
/// How long an answer about an interface's forwarding is good: a thousand instances ask at once.
const FORWARDING_AGE: Duration = Duration::from_secs(1);

impl Daemon {
    /// Claims each address once, and leaves the repeats for when everything else that waits has been claimed.
    pub(super) fn announce(&mut self, instance: &Arc<Instance>, list: Vec<Address>, count: u32) {
        let frames = self.frames(instance, &list);
        let paced = frames.iter().any(|(_, pace)| *pace != Pace { group: pace.group, ..Pace::default() });
        // With a pace the original's order is what counts: round after round, each frame in its turn.
        let now = if paced { count } else { count.min(1) };
        if self.detail {
            for (frame, _) in &frames {
                let interface = self.router.interface(frame.ifindex).unwrap_or_default();
                let note = Note::Garp { interface, address: frame.address };
                self.talk.push_back(Effect::Say(Message::Instance { name: instance.name.clone(), note }));
            }
        }
        self.claim(&frames, now);
        if count > now {
            let instance = Arc::clone(instance);
            self.repeats.push_back(Effect::Announce { instance, list, count: count - now });
        }
    }

    /// Some of the repeats.
    pub(super) fn repeat(&mut self) {
        for _ in 0..SLICE_CLAIMS {
            let Some(Effect::Announce { instance, list, count }) = self.repeats.pop_front() else { return };
            let member = self.router.position(&instance.name).map(|i| &self.router.members[i]);
            // Given up meanwhile: somebody else's by now.
            if member.is_some_and(|m| m.machine.name() == StateName::Master) {
                let frames = self.frames(&instance, &list);
                self.claim(&frames, count);
            }
        }
    }

    fn claim(&mut self, frames: &[(Frame, Pace)], count: u32) {
        let all = (0..count).flat_map(|_| frames.iter().cloned()).collect();
        let sent = self.neighbour.send(Instant::now(), all);
        self.say_claimed(&sent);
    }

    fn frames(&mut self, instance: &Instance, list: &[Address]) -> Vec<(Frame, Pace)> {
        let mut one = Vec::with_capacity(list.len());
        for vip in list {
            let device = instance.place(vip);
            let Some(link) = self.router.link(device) else { continue };
            // Links without Ethernet addresses have no neighbours to tell.
            let Some(mac) = self.macs.get(&link.index) else { continue };
            let mut router = false;
            if vip.address.is_ipv6() {
                let known = self.forwarding.get(&link.index).filter(|(at, _)| at.elapsed() < FORWARDING_AGE);
                let (at, forwards) = known.copied().unwrap_or_else(|| (Instant::now(), forwarding(device)));
                self.forwarding.insert(link.index, (at, forwards));
                router = forwards;
            }
            let pace = self.pace(device, link.index);
            one.push((Frame::claim(link.index, *mac, vip.address, router), pace));
        }
        one
    }

    /// A line for each frame, with `--log-detail`.
    pub(super) fn say_claimed(&mut self, sent: &[Frame]) {
        if !self.detail {
            return;
        }
        for frame in sent {
            let interface = self.router.interface(frame.ifindex).unwrap_or_default();
            self.talk.push_back(Effect::Say(Message::Claimed { interface, address: frame.address }));
        }
    }

    fn pace(&self, device: &str, ifindex: u32) -> Pace {
        let config = &self.router.config;
        let groups = config.garp_groups.iter().enumerate();
        let group = groups.into_iter().find(|(_, g)| g.interfaces.iter().any(|i| i == device));
        let arp =
            group.and_then(|(_, g)| g.garp_interval).or(config.globals.garp_interval).unwrap_or_default();
        let na = group.and_then(|(_, g)| g.gna_interval).or(config.globals.gna_interval).unwrap_or_default();
        // Groups are numbered from above, so that they are nobody's interface.
        Pace { group: group.map_or(ifindex, |(n, _)| u32::MAX - n as u32), arp, na }
    }
}

fn forwarding(device: &str) -> bool {
    let path = format!("/proc/sys/net/ipv6/conf/{device}/forwarding");
    std::fs::read_to_string(path).is_ok_and(|text| text.trim() == "1")
}
