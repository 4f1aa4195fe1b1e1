//! Links, addresses, scripts, files and processes: what they do to instances.
//!
//! Invariant: causes of FAULT and the priority are computed afresh from the present facts whenever one of them
//! changes, so nothing can be counted twice or forgotten. A VIP that somebody deletes is put back without leaving
//! Master. Absent on purpose: how facts are found out.

use super::machine::{Act, Why};
use super::priority::{self, Effect as Tracking};
use super::router::{Effect, Link, Member, NoticeState, Router, Subject, Timer};
use crate::config::model::{Device, Family, Instance, SyncGroup, Tracked};
use crate::messages::{Message, Note, StateName};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

/// What all facts together say about an instance.
struct Verdict {
    faults: Vec<Note>,
    unknown: u32,
    priority: u8,
}

/// Interfaces of addresses that are not the instance's own, each once.
fn other_links(config: &Instance) -> impl Iterator<Item = &str> {
    let mut seen: Vec<&str> = vec![config.holder(), &config.interface];
    let addresses = config.vips.iter().chain(&config.excluded_vips).filter(|a| !a.no_track);
    addresses.map(|a| config.place(a)).filter(move |device| {
        let new = !seen.contains(device);
        if new {
            seen.push(device);
        }
        new
    })
}

fn link_local(address: &IpAddr) -> bool {
    matches!(address, IpAddr::V6(a) if a.is_unicast_link_local())
}

impl Router {
    /// Interface state as trackers see it.
    fn is_up(&self, name: &str) -> bool {
        self.links.get(name).is_some_and(|l| l.up)
    }

    /// The address adverts are sent from.
    fn primary(&self, config: &Instance) -> Option<IpAddr> {
        if let Some(source) = config.source {
            let own = |list: &Vec<IpAddr>| list.contains(&source);
            let on = |index: Option<u32>| index.and_then(|i| self.addresses.get(&i)).is_some_and(own);
            let there = on(self.base_index(config)) || on(self.ifindex(config));
            return (there || !config.track_source).then_some(source);
        }
        let fits = |a: &&IpAddr| match config.family {
            Family::Inet => a.is_ipv4() && !self.holders.contains_key(*a),
            Family::Inet6 => link_local(a) && !self.holders.contains_key(*a),
        };
        // A macvlan has the addresses of its parent to speak with.
        self.addresses.get(&self.base_index(config)?)?.iter().find(fits).copied()
    }

    fn judge(&self, i: usize) -> Verdict {
        let member = &self.members[i];
        let config = &member.config;
        let mut verdict = Verdict { faults: Vec::new(), unknown: 0, priority: config.priority };
        for _ in 0..config.config_faults {
            verdict.faults.push(Note::Duplicate);
        }
        if !config.dont_track_primary && !config.interface.is_empty() && !self.is_up(&config.interface) {
            verdict.faults.push(Note::FaultInterface(config.interface.clone()));
        } else if let Some(device) = config.device.as_ref().filter(|d| !self.is_up(&d.name)) {
            verdict.faults.push(Note::FaultInterface(device.name.clone()));
        }
        for device in other_links(config).filter(|d| !self.is_up(d)) {
            verdict.faults.push(Note::FaultInterface(device.into()));
        }
        if self.primary(config).is_none() {
            verdict.faults.push(Note::FaultNoAddress(if config.family == Family::Inet { 4 } else { 6 }));
        }
        if config.unicast_fault_no_peer && config.unicast_peers.is_empty() {
            verdict.faults.push(Note::EnteringFaultInit);
        }
        let group = member.group.map(|g| Arc::clone(&self.groups[g].config));
        // A weight of one member would tear the group apart.
        let own_weights = group.as_ref().is_none_or(|g| g.tracking_weight);
        let mut weights = Vec::new();
        let mut add = |tracked: &Tracked, own: bool, effect: Tracking, note: Note| match effect {
            Tracking::Fault => verdict.faults.push(note),
            Tracking::Unknown => verdict.unknown += 1,
            Tracking::Weight(_) if own && !own_weights && tracked.weight != 0 => {}
            Tracking::Weight(weight) => weights.push(weight),
        };
        let mut all = |own: bool,
                       interfaces: &[Tracked],
                       scripts: &[Tracked],
                       files: &[Tracked],
                       processes: &[Tracked]| {
            for t in interfaces {
                let effect = priority::switch(t, Some(self.is_up(&t.name)));
                add(t, own, effect, Note::FaultInterface(t.name.clone()));
            }
            for t in scripts {
                let effect = priority::switch(t, self.scripts.get(&t.name).copied());
                add(t, own, effect, Note::FaultScript(t.name.clone()));
            }
            for t in files {
                let value = self.files.get(&t.name).copied().unwrap_or(0);
                add(t, own, priority::file(t, value), Note::FaultFile(t.name.clone()));
            }
            for t in processes {
                let effect = priority::switch(t, self.processes.get(&t.name).copied());
                add(t, own, effect, Note::FaultProcess(t.name.clone()));
            }
        };
        all(
            true,
            &config.track_interfaces,
            &config.track_scripts,
            &config.track_files,
            &config.track_processes,
        );
        if let Some(g) = &group {
            all(false, &g.track_interfaces, &g.track_scripts, &g.track_files, &g.track_processes);
        }
        verdict.priority = priority::effective(config.priority, weights.into_iter());
        verdict
    }

    /// Looks at everything anew.
    pub(super) fn review_all(&mut self, now: Instant, out: &mut Vec<Effect>) {
        for i in 0..self.members.len() {
            self.review(now, i, out);
        }
    }

    /// Looks at the instances that track a thing, themselves or by their group.
    pub(super) fn review_tracking(
        &mut self,
        now: Instant,
        name: &str,
        of: impl Fn(&Instance) -> &Vec<Tracked>,
        of_group: impl Fn(&SyncGroup) -> &Vec<Tracked>,
        out: &mut Vec<Effect>,
    ) {
        let names = |list: &Vec<Tracked>| list.iter().any(|t| t.name == name);
        for i in 0..self.members.len() {
            let member = &self.members[i];
            let in_group = member.group.is_some_and(|g| names(of_group(&self.groups[g].config)));
            if in_group || names(of(&member.config)) {
                self.review(now, i, out);
            }
        }
    }

    /// Takes down, before the start, what can be said of an instance, and says what is in its way.
    pub(super) fn assess(&mut self, now: Instant, i: usize, out: &mut Vec<Effect>) {
        let verdict = self.judge(i);
        let source = self.primary(&self.members[i].config);
        let member = &mut self.members[i];
        member.machine.source = source.or(member.machine.source);
        member.pending = verdict.unknown;
        member.faults = verdict.faults.len() as u32;
        if !self.file_faults(i, &verdict.faults, out) {
            self.set_priority(now, i, verdict.priority, out);
        }
        out.extend(verdict.faults.into_iter().map(|note| self.say(i, note)));
    }

    /// Looks at one instance: its source, its priority, whether it can serve.
    pub(super) fn review(&mut self, now: Instant, i: usize, out: &mut Vec<Effect>) {
        // Before the start everything is judged at once, see begin().
        if !self.started {
            return;
        }
        let verdict = self.judge(i);
        let source = self.primary(&self.members[i].config);
        let member = &mut self.members[i];
        // A router that has lost its address still resigns with it.
        member.machine.source = source.or(member.machine.source);
        member.pending = verdict.unknown;
        // A file in FAULT leaves the priority as it was; what it is after that is told as a detail.
        let was_frozen = !self.members[i].file_faults.is_empty();
        let frozen = self.file_faults(i, &verdict.faults, out);
        if !frozen && was_frozen && self.members[i].machine.priority != verdict.priority {
            self.members[i].machine.priority = verdict.priority;
            out.push(self.say(i, Note::PrioritySet(verdict.priority)));
            out.push(Effect::Publish(Subject::Instance(Arc::clone(&self.members[i].config))));
        } else if !frozen {
            self.set_priority(now, i, verdict.priority, out);
        }
        let before = self.troubles(i);
        let faults = std::mem::replace(&mut self.members[i].faults, verdict.faults.len() as u32);
        if faults != self.members[i].faults {
            out.push(Effect::Publish(Subject::Instance(Arc::clone(&self.members[i].config))));
        }
        let after = self.troubles(i);
        let state = self.members[i].machine.name();
        match state {
            StateName::Init => {
                if !self.members[i].waited {
                    out.extend(verdict.faults.into_iter().map(|note| self.say(i, note)));
                }
                self.open(now, i, out);
            }
            StateName::Fault if after == 0 && self.group_pending(i) == 0 => self.recover(now, i, out),
            StateName::Backup | StateName::Master if after > 0 && before == 0 => self.fault(now, i, out),
            StateName::Fault | StateName::Backup | StateName::Master => {}
        }
    }

    /// Says which files have come to or left FAULT; whether any is in it.
    fn file_faults(&mut self, i: usize, faults: &[Note], out: &mut Vec<Effect>) -> bool {
        let name = |note: &Note| match note {
            Note::FaultFile(name) => Some(name.clone()),
            _ => None,
        };
        let is: Vec<String> = faults.iter().filter_map(name).collect();
        let was = std::mem::replace(&mut self.members[i].file_faults, is.clone());
        if self.started && self.members[i].machine.name() != StateName::Init {
            out.extend(
                is.iter().filter(|f| !was.contains(f)).map(|f| self.say(i, Note::FileFault(f.clone()))),
            );
            out.extend(
                was.iter().filter(|f| !is.contains(f)).map(|f| self.say(i, Note::FileRecovered(f.clone()))),
            );
        }
        !is.is_empty()
    }

    /// What puts an instance into FAULT now, without its group's other members.
    pub fn causes(&self, i: usize) -> Vec<Note> {
        self.judge(i).faults
    }

    /// The priority that the facts make of the configured one.
    pub(super) fn judged_priority(&self, i: usize) -> u8 {
        self.judge(i).priority
    }

    /// Causes of FAULT of the instance and its group together.
    pub(super) fn troubles(&self, i: usize) -> u32 {
        match self.members[i].group {
            None => self.members[i].faults,
            Some(g) => self.groups[g].members.iter().map(|m| self.members[*m].faults).sum(),
        }
    }

    pub(super) fn group_pending(&self, i: usize) -> u32 {
        match self.members[i].group {
            None => self.members[i].pending,
            Some(g) => self.groups[g].members.iter().map(|m| self.members[*m].pending).sum(),
        }
    }

    fn fault(&mut self, now: Instant, i: usize, out: &mut Vec<Effect>) {
        let mut acts = Vec::new();
        self.members[i].machine.fault(now, Why::Own, &mut acts);
        self.perform(now, i, acts, out);
    }

    fn recover(&mut self, now: Instant, i: usize, out: &mut Vec<Effect>) {
        let mut acts = Vec::new();
        self.members[i].machine.recover(now, Why::Own, &mut acts);
        self.perform(now, i, acts, out);
    }

    fn set_priority(&mut self, now: Instant, i: usize, to: u8, out: &mut Vec<Effect>) {
        let member = &mut self.members[i];
        let from = member.machine.priority;
        if from == to {
            return;
        }
        member.machine.priority = to;
        if !self.started {
            return;
        }
        let note = if to == 254 && self.members[i].config.priority < 254 {
            Note::PriorityMost
        } else {
            Note::Priority { from, to }
        };
        out.push(self.say(i, note));
        let member = &self.members[i];
        out.push(Effect::Publish(Subject::Instance(Arc::clone(&member.config))));
        let told = match member.machine.name() {
            StateName::Master => NoticeState::MasterPriority,
            StateName::Backup | StateName::Init | StateName::Fault => NoticeState::BackupPriority,
        };
        if member.config.notify.priority_changes {
            out.push(Effect::notice(Subject::Instance(Arc::clone(&member.config)), told, to));
        }
        let mut acts: Vec<Act> = Vec::new();
        self.members[i].machine.advertise(now, &mut acts);
        self.perform(now, i, acts, out);
    }

    pub(super) fn on_link(&mut self, now: Instant, link: Link, out: &mut Vec<Effect>) {
        let old = self.links.get(&link.name).cloned();
        if let Some(name) = self.names.insert(link.index, link.name.clone())
            && name != link.name
        {
            self.links.remove(&name);
        }
        let (name, index, up) = (link.name.clone(), link.index, link.up);
        let known = old.as_ref().map(|o| (o.index, o.up));
        if known == Some((index, up)) {
            self.timers.cancel(&Timer::Link(name));
            return;
        }
        let delay = self.config.link_delays.iter().find(|d| d.interface == name);
        let wait = delay.map(|d| if up { d.up } else { d.down }).unwrap_or_default();
        if known.is_some_and(|(known_index, _)| known_index == index) && !wait.is_zero() {
            self.timers.set(Timer::Link(name), now + wait);
            return;
        }
        self.links.insert(name.clone(), link);
        // Those of instances are announced by who makes them.
        if old.is_none() && self.started && !self.is_device(&name) && !self.fresh.contains(&name) {
            out.push(Effect::Say(Message::InterfaceAdded(name.clone())));
        }
        self.link_changed(now, &name, known.map(|k| k.0) != Some(index), old.is_some() || up, out);
    }

    /// A delayed change has lasted.
    pub(super) fn link_settled(&mut self, now: Instant, name: &str, out: &mut Vec<Effect>) {
        if let Some(link) = self.links.get_mut(name) {
            link.up = !link.up;
        }
        self.link_changed(now, name, false, true, out);
    }

    /// `news`: it is not the same as before; a link that comes into being is down.
    fn link_changed(&mut self, now: Instant, name: &str, new: bool, news: bool, out: &mut Vec<Effect>) {
        let used = self.uses(name);
        if self.started && news && !used.is_empty() {
            out.push(Effect::Say(Message::LinkState { interface: name.into(), up: self.is_up(name) }));
        }
        if new && !used.is_empty() {
            self.index();
        }
        if self.started {
            if new {
                out.push(Effect::Sockets);
            }
            if self.is_up(name) {
                self.restore_routes_over(name, out);
            }
            for i in used {
                self.review(now, i, out);
            }
        }
    }

    /// Whether an instance has had that link made.
    fn is_device(&self, name: &str) -> bool {
        self.members.iter().any(|m| m.config.devices().any(|d| d.name == name))
    }

    /// Links that instances want, with whose they are, whose parents are there and they are not.
    pub fn missing_devices(&self) -> Vec<(Arc<Instance>, Device)> {
        let missing = |d: &&Device| !self.links.contains_key(&d.name) && self.links.contains_key(&d.parent);
        let of = |m: &Member| {
            let owner = Arc::clone(&m.config);
            m.config
                .devices()
                .filter(missing)
                .cloned()
                .map(move |d| (Arc::clone(&owner), d))
                .collect::<Vec<_>>()
        };
        self.members.iter().flat_map(of).collect()
    }

    /// Instances that depend on an interface.
    fn uses(&self, name: &str) -> Vec<usize> {
        let tracks = |list: &[Tracked]| list.iter().any(|t| t.name == name);
        let uses = |m: &Member| {
            m.config.interface == name
                || m.config.device.as_ref().is_some_and(|d| d.name == name)
                || other_links(&m.config).any(|d| d == name)
                || tracks(&m.config.track_interfaces)
                || m.group.is_some_and(|g| tracks(&self.groups[g].config.track_interfaces))
        };
        (0..self.members.len()).filter(|i| uses(&self.members[*i])).collect()
    }

    pub(super) fn on_link_gone(&mut self, now: Instant, index: u32, out: &mut Vec<Effect>) {
        let Some(name) = self.names.remove(&index) else { return };
        self.addresses.remove(&index);
        if self.links.get(&name).is_none_or(|l| l.index != index) {
            return;
        }
        // While it still has its number, so that a last word can be tried.
        if let Some(link) = self.links.get_mut(&name)
            && link.up
        {
            link.up = false;
            self.link_changed(now, &name, false, true, out);
        }
        self.links.remove(&name);
        if self.started {
            out.push(Effect::Say(Message::InterfaceDeleted(name.clone())));
        }
        let used = self.uses(&name);
        self.index();
        out.push(Effect::Sockets);
        if self.started {
            for i in used {
                self.review(now, i, out);
            }
        }
    }

    pub(super) fn on_address(&mut self, now: Instant, index: u32, address: IpAddr, out: &mut Vec<Effect>) {
        let list = self.addresses.entry(index).or_default();
        if list.contains(&address) {
            return;
        }
        list.push(address);
        if self.holders.contains_key(&address) {
            return;
        }
        self.address_changed(now, index, address, true, out);
    }

    fn address_changed(
        &mut self,
        now: Instant,
        index: u32,
        address: IpAddr,
        there: bool,
        out: &mut Vec<Effect>,
    ) {
        let Some(interface) = self.names.get(&index).cloned() else { return };
        let concerned: Vec<usize> = (0..self.members.len())
            .filter(|i| {
                let config = &self.members[*i].config;
                let device = config.device.as_ref().is_some_and(|d| d.name == interface);
                device || config.interface == interface || config.source == Some(address)
            })
            .collect();
        if concerned.is_empty() {
            return;
        }
        // Others are never a source of adverts.
        if address.is_ipv4() || link_local(&address) {
            out.push(Effect::Say(if there {
                Message::Assigned { address, interface }
            } else {
                Message::Deassigned { address, interface }
            }));
        }
        if self.started {
            for i in concerned {
                self.review(now, i, out);
            }
        }
    }

    pub(super) fn on_address_gone(
        &mut self,
        now: Instant,
        index: u32,
        address: IpAddr,
        out: &mut Vec<Effect>,
    ) {
        if let Some(list) = self.addresses.get_mut(&index) {
            list.retain(|a| *a != address);
        }
        if let Some(at) = self.replaced.iter().position(|(a, until)| *a == address && now < *until) {
            self.replaced.swap_remove(at);
            return;
        }
        let Some(holders) = self.holders.get(&address).cloned() else {
            return self.address_changed(now, index, address, false, out);
        };
        for i in holders {
            self.restore(i, index, address, out);
        }
    }
}
