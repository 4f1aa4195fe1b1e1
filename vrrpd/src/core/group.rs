//! Sync groups: instances that are Master together or not at all.
//!
//! Invariant: a member becomes Master only when every member is Master or wants to be; one member's FAULT is
//! everybody's; one member's BACKUP is everybody's. Instances never see each other: all coupling is here.
//! Absent on purpose: a merged timer. Each member keeps its own, as the original does.

use super::machine::{Act, Why};
use super::router::{Effect, NoticeState, Router, Subject};
use crate::config::model::SyncGroup;
use crate::messages::{Message, StateName};
use std::sync::Arc;
use std::time::Instant;

/// A group at work.
#[derive(Debug, Clone)]
pub struct Group {
    /// Its configuration.
    pub config: Arc<SyncGroup>,
    /// Members as numbers of the router.
    pub members: Vec<usize>,
    /// The state last told to the world.
    pub state: StateName,
    /// A member is being moved; its acts must not move the group again.
    moving: bool,
}

impl Group {
    /// A group that has not started.
    pub fn new(config: Arc<SyncGroup>, members: Vec<usize>) -> Self {
        Self { config, members, state: StateName::Init, moving: false }
    }
}

impl Router {
    /// Instance `i` wants to be Master.
    pub(super) fn wants_master(&mut self, now: Instant, i: usize, out: &mut Vec<Effect>) {
        match self.members[i].group {
            None => self.promote(now, i, Why::Own, out),
            Some(g) if self.groups[g].members.iter().all(|m| self.members[*m].machine.ready()) => {
                self.promote(now, i, Why::Own, out);
            }
            Some(_) => {}
        }
    }

    fn promote(&mut self, now: Instant, i: usize, why: Why, out: &mut Vec<Effect>) {
        let mut acts = Vec::new();
        self.members[i].machine.promote(now, why, &mut acts);
        self.perform(now, i, acts, out);
    }

    /// Instance `i` has entered `state`: its group follows.
    pub(super) fn group_follows(
        &mut self,
        now: Instant,
        i: usize,
        state: StateName,
        why: Why,
        out: &mut Vec<Effect>,
    ) {
        let Some(g) = self.members[i].group else { return };
        if why != Why::Own || self.groups[g].moving || self.groups[g].state == state {
            return;
        }
        self.move_group(now, g, Some(i), state, out);
    }

    /// Moves all members but `first` (which has moved) to `state`.
    pub(super) fn move_group(
        &mut self,
        now: Instant,
        g: usize,
        first: Option<usize>,
        state: StateName,
        out: &mut Vec<Effect>,
    ) {
        self.groups[g].moving = true;
        out.push(Effect::Say(Message::Group { name: self.groups[g].config.name.clone(), state }));
        for m in self.groups[g].members.clone() {
            if Some(m) == first {
                continue;
            }
            let mut acts = Vec::new();
            let machine = &mut self.members[m].machine;
            match state {
                StateName::Master => machine.promote(now, Why::Group, &mut acts),
                // It waited for this member's script.
                StateName::Backup if machine.name() == StateName::Init => {
                    machine.start(now, Why::Group, &mut acts);
                }
                StateName::Backup if machine.name() == StateName::Fault => {
                    machine.recover(now, Why::Group, &mut acts);
                }
                StateName::Backup => machine.demote(now, &mut acts),
                StateName::Fault => {
                    machine.fault(now, Why::Group, &mut acts);
                    // The original says this of the member that caused it only.
                    acts.retain(|act| *act != Act::Say(crate::messages::Note::SentZero));
                }
                StateName::Init => {}
            }
            self.perform(now, m, acts, out);
        }
        self.groups[g].moving = false;
        self.group_state(g, state, out);
    }

    /// Tells the world a group's state, once.
    pub(super) fn group_state(&mut self, g: usize, state: StateName, out: &mut Vec<Effect>) {
        if self.groups[g].state == state {
            return;
        }
        self.groups[g].state = state;
        let told = match state {
            StateName::Master => NoticeState::Master,
            StateName::Backup => NoticeState::Backup,
            StateName::Fault => NoticeState::Fault,
            StateName::Init => return,
        };
        let subject = Subject::Group(Arc::clone(&self.groups[g].config));
        out.push(Effect::notice(subject.clone(), told, 0));
        out.push(Effect::Publish(subject));
    }
}
