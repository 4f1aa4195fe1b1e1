//! How instances begin: stale addresses go, everything is judged, then each starts or waits or is in FAULT.
//!
//! Invariant: all facts about all instances are judged before the first one starts, so that a member in FAULT or one
//! that waits for its scripts holds its whole group back, and nobody hears of a state that never was.
//! Absent on purpose: what facts mean (track.rs).

use super::machine::{Act, Why};
use super::router::{Effect, Router, Timer};
use crate::config::model::Address;
use crate::messages::{Message, Note, StateName};
use std::sync::Arc;
use std::time::Instant;

impl Router {
    pub(super) fn on_start(&mut self, now: Instant, out: &mut Vec<Effect>) {
        for member in &self.members {
            if self.base_index(&member.config).is_none() {
                out.push(Effect::Say(Message::LateInterface(member.config.interface.clone())));
            }
        }
        match self.config.globals.startup_delay {
            Some(delay) if !delay.is_zero() => {
                self.remove_all_stale(out);
                self.timers.set(Timer::Start, now + delay);
            }
            _ => self.begin(now, out),
        }
        out.push(Effect::PublishAll);
    }

    fn remove_all_stale(&self, out: &mut Vec<Effect>) {
        for i in 0..self.members.len() {
            if self.ifindex(&self.members[i].config).is_some() {
                self.remove_stale(i, out);
            }
        }
    }

    /// Addresses left by a predecessor that was killed.
    fn remove_stale(&self, i: usize, out: &mut Vec<Effect>) {
        let member = &self.members[i];
        let there = |a: &&Address| {
            let index = self.links.get(member.config.place(a)).map(|l| l.index);
            index.and_then(|index| self.addresses.get(&index)).is_some_and(|list| list.contains(&a.address))
        };
        let list: Vec<Address> =
            member.config.vips.iter().chain(&member.config.excluded_vips).filter(there).cloned().collect();
        self.hold_routes(i, false, out);
        if member.config.device.as_ref().is_none_or(|d| !self.fresh.contains(&d.name)) {
            self.say_addresses(i, false, out);
            if member.config.hides() {
                out.push(self.say(i, Note::Filter { adding: false }));
            }
        }
        if !list.is_empty() {
            out.push(Effect::Addresses { instance: Arc::clone(&member.config), adding: false, list });
        }
    }

    pub(super) fn begin(&mut self, now: Instant, out: &mut Vec<Effect>) {
        self.started = true;
        for i in 0..self.members.len() {
            self.assess(now, i, out);
        }
        for group in &self.groups {
            let faulty = group.members.iter().find(|m| self.members[**m].faults > 0);
            if let Some(m) = faulty {
                out.push(Effect::Say(Message::GroupFault {
                    name: group.config.name.clone(),
                    member: self.members[*m].config.name.clone(),
                }));
            }
        }
        let waiting = |router: &Self, i: &usize| router.members[*i].machine.name() == StateName::Init;
        for i in 0..self.members.len() {
            if waiting(self, &i) && self.troubles(i) > 0 {
                self.open(now, i, out);
            }
        }
        self.remove_all_stale(out);
        for i in 0..self.members.len() {
            if waiting(self, &i) {
                self.open(now, i, out);
            }
        }
        // Last, as the original's lines are.
        out.push(Effect::Sockets);
    }

    /// An instance that has not started yet does, if nothing of its own or of its group is in the way.
    pub(super) fn open(&mut self, now: Instant, i: usize, out: &mut Vec<Effect>) {
        if self.troubles(i) > 0 {
            self.open_in_fault(now, i, out);
        } else if self.group_pending(i) > 0 {
            self.members[i].waited = true;
        } else {
            let mut acts = Vec::new();
            let why = if self.members[i].waited { Why::Own } else { Why::Start };
            self.members[i].machine.start(now, why, &mut acts);
            self.perform(now, i, acts, out);
        }
    }

    /// Who waited for a script goes to FAULT without a word of its own: the script's line says it.
    fn open_in_fault(&mut self, now: Instant, i: usize, out: &mut Vec<Effect>) {
        let waited = self.members[i].waited;
        if !waited {
            out.push(self.say(i, Note::EnteringFaultInit));
        }
        let mut acts: Vec<Act> = Vec::new();
        self.members[i].machine.fault(now, Why::Start, &mut acts);
        self.perform(now, i, acts, out);
        let Some(g) = self.members[i].group else { return };
        let others = self.groups[g].members.clone();
        let state = |m: &usize| self.members[*m].machine.name();
        if others.iter().any(|m| matches!(state(m), StateName::Backup | StateName::Master)) {
            // Members that a reload added find the others at work.
            self.move_group(now, g, Some(i), StateName::Fault, out);
        } else if waited {
            out.push(Effect::Say(Message::Group {
                name: self.groups[g].config.name.clone(),
                state: StateName::Fault,
            }));
            for m in others.into_iter().filter(|m| *m != i) {
                // They have been nowhere yet, so there is nothing to tell.
                self.members[m].machine.fault(now, Why::Start, &mut Vec::new());
            }
        }
    }
}
