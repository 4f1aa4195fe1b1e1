//! A new configuration meets the running state: what stays keeps its health, what goes is named.
//!
//! Invariant: a checker that did not change keeps its judge; a changed one starts as its real server stands, so that
//! a reload alone never brings a dead server back.
//!
//! Absent on purpose: the kernel's table (the next [`Core::wanted`] says it all).

use health::judge::{Patience, RetryJudge};

use super::{CheckerState, Core, Effect, Files, Names, RealState, ServiceState, effective_weight};
use crate::config::model::{
    Checker, CheckerKind, GroupEntry, Model, RealServer, ServerGroup, Target, VirtualServer,
};
use crate::core::check;
use crate::messages::{Message, address_name, real_name, service_name};

impl Core {
    pub(super) fn reload(&mut self, model: Model, files: &Files, out: &mut Vec<Effect>) {
        out.push(Effect::Log(Message::ReinitializingIpvs));
        for service in 0..self.services.len() {
            for real in 0..self.services[service].reals.len() {
                for checker in 0..self.services[service].reals[real].checkers.len() {
                    self.cancel(service, real, checker, out);
                }
            }
        }
        let old = std::mem::take(&mut self.services);
        let old_model = std::mem::replace(&mut self.model, model);
        for gone in &old {
            let new = named(&self.model).find(|(s, name)| same_service(s, name, gone)).map(|(s, _)| s);
            report_gone(gone, new, out);
        }
        report_groups(&old_model.groups, &self.model, out);
        let fresh = Fresh { model: &self.model, files, reloads: true };
        self.services = fresh.services(&old);
        for index in 0..self.services.len() {
            let before = old
                .iter()
                .find(|o| same_service(&self.services[index].config, &self.services[index].name, o));
            report_weights(&self.services[index], before, out);
            self.settle_quorum(index, before.is_none(), out);
            out.push(Effect::Changed(index));
        }
        self.activate_all(out);
    }
}

/// Virtual servers with their names.
fn named(model: &Model) -> impl Iterator<Item = (&VirtualServer, String)> {
    model.services.iter().enumerate().map(|(n, server)| {
        let nth = model.services[..n].iter().filter(|s| s.target == server.target).count();
        (server, service_name(server, nth))
    })
}

fn same_service(server: &VirtualServer, name: &str, old: &ServiceState) -> bool {
    let of = |s: &VirtualServer| (s.protocol, s.family);
    *name == old.name && server.target == old.config.target && of(server) == of(&old.config)
}

/// What states of a new configuration are made from.
pub(super) struct Fresh<'a> {
    pub(super) model: &'a Model,
    pub(super) files: &'a Files,
    /// A configuration was in force before: who is new then has the retries that nobody has at start.
    pub(super) reloads: bool,
}

impl Fresh<'_> {
    /// The addend of a file's value, and whether the value is a failure.
    fn file(&self, checker: &Checker) -> (i64, bool) {
        let CheckerKind::File { track_file, .. } = &checker.kind else { return (0, false) };
        let spec = check::spec(checker, 0, self.model, 0);
        let Some(health::Check::File(file)) = spec.map(|s| s.check) else { return (0, false) };
        let outcome = health::probe::file::outcome(&file, self.files.get(track_file).copied());
        (outcome.wish.absolute_weight.unwrap_or(0), !outcome.is_success())
    }

    /// States of all virtual servers, with what stays of the old ones.
    pub(super) fn services(&self, old: &[ServiceState]) -> Vec<ServiceState> {
        let before = |server: &VirtualServer, name: &str| old.iter().find(|o| same_service(server, name, o));
        named(self.model).map(|(s, name)| self.service_state(s, before(s, &name), name)).collect()
    }

    fn service_state(
        &self,
        config: &VirtualServer,
        old: Option<&ServiceState>,
        name: String,
    ) -> ServiceState {
        let reals = config
            .real_servers
            .iter()
            .map(|r| {
                self.real_state(r, old.and_then(|o| o.reals.iter().find(|x| x.config.address == r.address)))
            })
            .collect();
        ServiceState {
            name,
            quorum_up: old.is_some_and(|o| o.quorum_up),
            suspended: config.ha_suspend && old.is_none_or(|o| o.suspended),
            reals,
            config: config.clone(),
        }
    }

    fn real_state(&self, config: &RealServer, old: Option<&RealState>) -> RealState {
        // An old state may be taken over once, so that two equal checkers keep a state each.
        let mut left: Vec<&CheckerState> = old.map(|o| o.checkers.iter().collect()).unwrap_or_default();
        let checkers: Vec<CheckerState> = config
            .checkers
            .iter()
            .map(|checker| {
                let same = left.iter().position(|c| c.config == *checker).map(|i| left.remove(i));
                let fresh_down = old.map_or(checker.alpha, |o| !o.alive);
                let (file_addend, file_down) = self.file(checker);
                let patience = match checker.kind {
                    CheckerKind::Smtp { .. } => Patience::Always,
                    CheckerKind::Tcp if self.reloads => Patience::Always,
                    CheckerKind::Tcp => Patience::WhileDown,
                    _ if self.reloads => Patience::First,
                    _ => Patience::WhileUp,
                };
                let is_file = matches!(checker.kind, CheckerKind::File { .. });
                CheckerState {
                    config: checker.clone(),
                    judge: match same {
                        Some(c) => RetryJudge::resumed(checker.retry, c.judge.is_up(), c.judge.has_run()),
                        None if old.is_some() && !is_file => {
                            RetryJudge::resumed(checker.retry, !fresh_down, true)
                        }
                        None => RetryJudge::new(checker.retry, if is_file { file_down } else { fresh_down }),
                    }
                    .patient(patience),
                    addend: same.map_or(file_addend, |c| c.addend),
                    last: same.and_then(|c| c.last.clone()),
                    probe: None,
                    url: 0,
                    url_failed: false,
                    short_told: same.is_some_and(|c| c.short_told),
                }
            })
            .collect();
        let alive = checkers.iter().all(|c| c.judge.is_up());
        let mut state = RealState { config: config.clone(), alive, weight: 0, checkers };
        state.weight = effective_weight(&state);
        state
    }
}

fn report_gone(old: &ServiceState, new: Option<&VirtualServer>, out: &mut Vec<Effect>) {
    let service = old.name.clone();
    if new.is_none() {
        out.push(Effect::Log(Message::RemovingService { service: service.clone() }));
    }
    for real in &old.reals {
        let stays = new.is_some_and(|n| n.real_servers.iter().any(|r| r.address == real.config.address));
        if stays {
            continue;
        }
        let name = real_name(&old.config, real.config.address);
        if new.is_some() {
            out.push(Effect::Log(Message::RealGone { real: name.clone() }));
        }
        if real.alive || real.config.inhibit_on_failure {
            let names = Names { real: name, service: service.clone() };
            if real.alive && real.config.smtp_alert {
                out.push(names.mail(false, "=> Removing <=".to_owned()));
            }
            out.push(Effect::Log(Message::Removing { real: names.real, service: names.service }));
        }
    }
    if let (Some(sorry), Some(new)) = (&old.config.sorry, new)
        && new.sorry.as_ref().is_none_or(|s| s.address != sorry.address)
        && !old.quorum_up
    {
        let (inhibited, sorry) = (sorry.inhibit, real_name(&old.config, sorry.address));
        out.push(Effect::Log(Message::RemovingSorry { sorry, service, inhibited }));
    }
}

fn report_weights(new: &ServiceState, old: Option<&ServiceState>, out: &mut Vec<Effect>) {
    let Some(old) = old else { return };
    for real in &new.reals {
        let Some(before) = old.reals.iter().find(|r| r.config.address == real.config.address) else {
            continue;
        };
        if before.weight != real.weight {
            out.push(Effect::Log(Message::Weight {
                from: before.weight,
                to: real.weight,
                active: real.alive,
                real: real_name(&new.config, real.config.address),
                service: new.name.clone(),
            }));
        }
    }
}

fn entry_name(entry: &GroupEntry, model: &Model, group: &str) -> String {
    let user = model.services.iter().find(|s| matches!(&s.target, Target::Group(g) if g == group));
    let protocol = user.map(|s| s.protocol).unwrap_or_default();
    match entry {
        GroupEntry::Fwmark { mark, .. } => format!("FWM {mark}"),
        GroupEntry::Range { first, last } if first.ip() == *last => address_name(*first, protocol),
        GroupEntry::Range { first, last } => format!("{}-{last}", address_name(*first, protocol)),
    }
}

fn report_groups(old: &[ServerGroup], model: &Model, out: &mut Vec<Effect>) {
    for group in old {
        let Some(new) = model.groups.iter().find(|g| g.name == group.name) else {
            out.push(Effect::Log(Message::RemovingGroup { group: group.name.clone() }));
            continue;
        };
        let name = || group.name.clone();
        for entry in group.entries.iter().filter(|e| !new.entries.contains(e)) {
            let entry = entry_name(entry, model, &group.name);
            out.push(Effect::Log(Message::EntryGone { entry, group: name() }));
        }
        for entry in new.entries.iter().filter(|e| !group.entries.contains(e)) {
            let entry = entry_name(entry, model, &group.name);
            out.push(Effect::Log(Message::EntryAdded { entry, group: name() }));
        }
    }
}
