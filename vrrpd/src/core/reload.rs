//! A new configuration without a flap.
//!
//! Invariant: an instance with the same VRID, family, interface and way of speaking keeps its state, its timers and its
//! counters; a Master keeps every address that is in both configurations and never stops advertising.
//! Absent on purpose: reading the new configuration; a bad one never gets here.

use super::machine::Act;
use super::router::{Effect, Member, NoticeState, Router, Subject, Timer, rules};
use crate::config::model::{Address, Config, Device, Instance};
use crate::messages::{Note, StateName};
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long the kernel's report of an address, a route or a rule that was removed by us is awaited: far longer than it takes, and short
/// enough that somebody else's removal is not taken for ours later.
const REPORT_WAIT: Duration = Duration::from_secs(2);

fn same(a: &Instance, b: &Instance) -> bool {
    type Way<'a> = (bool, Option<IpAddr>, Option<IpAddr>, Option<&'a Device>, bool);
    fn way(i: &Instance) -> Way<'_> {
        (i.unicast_peers.is_empty(), i.source, i.mcast_group, i.device.as_ref(), i.xmit_base)
    }
    (a.vrid, a.family, &a.interface) == (b.vrid, b.family, &b.interface) && way(a) == way(b)
}

/// For each new instance the old one that it carries on, each at most once, in the order of the file.
fn partners(old: &[Option<Member>], new: &[Instance]) -> Vec<Option<usize>> {
    let key = |i: &Instance| (i.vrid, i.family, i.interface.clone());
    let mut places: HashMap<_, Vec<usize>> = HashMap::new();
    for (i, member) in old.iter().enumerate() {
        if let Some(member) = member {
            places.entry(key(&member.config)).or_default().push(i);
        }
    }
    let mut partner = |instance: &Instance| {
        let list = places.get_mut(&key(instance))?;
        let fits = |i: &usize| old[*i].as_ref().is_some_and(|m| same(&m.config, instance));
        let at = list.iter().position(fits)?;
        Some(list.remove(at))
    };
    new.iter().map(&mut partner).collect()
}

/// What of `a` is not in `b`.
fn minus<T: PartialEq + Clone>(a: &[T], b: &[T]) -> Vec<T> {
    a.iter().filter(|x| !b.contains(x)).cloned().collect()
}

impl Router {
    /// Puts a new configuration into force.
    pub fn reload(&mut self, now: Instant, mut config: Config, out: &mut Vec<Effect>) {
        let mut old: Vec<Option<Member>> = self.members.drain(..).map(Some).collect();
        let partners = partners(&old, &config.instances);
        let taken: HashSet<usize> = partners.iter().flatten().copied().collect();
        let gone: Vec<usize> = (0..old.len()).filter(|i| !taken.contains(i)).collect();
        self.dismiss(now, &mut old, &gone, out);
        self.scripts.retain(|name, _| {
            let script =
                |c: &Config| c.scripts.iter().find(|s| s.name == *name).map(|s| s.command.argv.clone());
            script(&config).is_some() && script(&config) == script(&self.config)
        });
        let mut kept = Vec::new();
        for (instance, partner) in std::mem::take(&mut config.instances).into_iter().zip(partners) {
            let new = Arc::new(instance);
            match partner.and_then(|i| old[i].take()) {
                Some(mut member) => {
                    kept.push((self.members.len(), Arc::clone(&member.config)));
                    member.machine.rules = rules(&new);
                    member.config = new;
                    self.members.push(member);
                }
                None => self.members.push(Member::new(new)),
            }
        }
        self.config = Arc::new(config);
        self.replacing = Some(now + REPORT_WAIT);
        self.timers.retain(|t| matches!(t, Timer::Link(_) | Timer::Start));
        self.quiet.clear();
        self.index();
        self.files.retain(|name, _| self.config.files.iter().any(|f| f.name == *name));
        self.processes.retain(|name, _| self.config.processes.iter().any(|p| p.name == *name));
        out.push(Effect::Sockets);
        for (i, before) in kept {
            self.exchange(now, i, &before, out);
        }
        self.review_all(now, out);
        self.fresh.clear();
        self.remind(out);
        out.push(Effect::Retire);
        out.push(Effect::PublishAll);
    }

    /// Whoever reads the pipes may have a new configuration, too. Members of groups are
    /// their groups' matter; the original leaves out those outside, too, against its manual.
    fn remind(&self, out: &mut Vec<Effect>) {
        if !self.config.globals.fifo_write_states_on_reload {
            return;
        }
        let state = |name: StateName| match name {
            StateName::Master => Some(NoticeState::Master),
            StateName::Backup => Some(NoticeState::Backup),
            StateName::Fault => Some(NoticeState::Fault),
            StateName::Init => None,
        };
        for group in &self.groups {
            if let Some(state) = state(group.state) {
                out.push(Effect::Remind {
                    subject: Subject::Group(Arc::clone(&group.config)),
                    state,
                    priority: 0,
                });
            }
        }
        for member in self.members.iter().filter(|m| m.group.is_none()) {
            if let Some(state) = state(member.machine.name()) {
                let (subject, priority) =
                    (Subject::Instance(Arc::clone(&member.config)), member.machine.priority);
                out.push(Effect::Remind { subject, state, priority });
            }
        }
    }

    /// Stops what is no longer configured.
    fn dismiss(&mut self, now: Instant, old: &mut [Option<Member>], gone: &[usize], out: &mut Vec<Effect>) {
        for i in gone {
            let Some(mut member) = old[*i].take() else { continue };
            let told = if member.config.notify.deleted { NoticeState::Deleted } else { NoticeState::Fault };
            member.group = None;
            self.members.push(member);
            self.stop_member(now, self.members.len() - 1, told, out);
            self.members.pop();
        }
    }

    /// Changes what a Master holds from the old to the new configuration.
    fn exchange(&mut self, now: Instant, i: usize, before: &Arc<Instance>, out: &mut Vec<Effect>) {
        if self.members[i].machine.name() == StateName::Master {
            let after = Arc::clone(&self.members[i].config);
            let list = |c: &Instance| c.vips.iter().chain(&c.excluded_vips).cloned().collect::<Vec<_>>();
            let (was, is) = (list(before), list(&after));
            // An address that moves to another link is another one.
            let other = |list: &[Address], a: &Address| {
                !list.iter().any(|b| a == b && before.place(a) == after.place(b))
            };
            let lost: Vec<Address> = was.iter().filter(|a| other(&is, a)).cloned().collect();
            for a in &lost {
                let interface = before.place(a).to_owned();
                out.push(self.say(i, Note::NoLonger { address: a.address, len: a.prefix_len, interface }));
            }
            // These come back at once: their removal is nobody else's doing.
            let again = lost.iter().filter(|a| is.iter().any(|b| b.address == a.address));
            self.replaced.retain(|(_, until)| *until > now);
            self.replaced.extend(again.map(|a| (a.address, now + REPORT_WAIT)));
            let mut push = |adding: bool, list: Vec<_>| {
                let instance = Arc::clone(if adding { &after } else { before });
                if !list.is_empty() {
                    out.push(Effect::Addresses { instance, adding, list });
                }
            };
            push(false, lost);
            let other = |a: &&Address| !was.iter().any(|b| *a == b && after.place(a) == before.place(b));
            let new: Vec<Address> = is.iter().filter(other).cloned().collect();
            push(true, new.clone());
            if !new.is_empty() && after.garp.repeat > 0 {
                out.push(Effect::Announce {
                    instance: Arc::clone(&after),
                    list: new,
                    count: after.garp.repeat,
                });
            }
            for (adding, list) in
                [(false, minus(&before.routes, &after.routes)), (true, minus(&after.routes, &before.routes))]
            {
                if !list.is_empty() {
                    out.push(Effect::Routes { instance: Arc::clone(&after), adding, list });
                }
            }
            for (adding, list) in
                [(false, minus(&before.rules, &after.rules)), (true, minus(&after.rules, &before.rules))]
            {
                if !list.is_empty() {
                    out.push(Effect::Rules { instance: Arc::clone(&after), adding, list });
                }
            }
        }
        // Another priority by a reload is no news to anybody but the peers.
        self.members[i].machine.priority = self.judged_priority(i);
        let mut acts: Vec<Act> = Vec::new();
        self.members[i].machine.advertise(now, &mut acts);
        self.perform(now, i, acts, out);
    }
}
