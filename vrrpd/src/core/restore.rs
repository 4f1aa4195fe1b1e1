//! What somebody else took away and a Master puts back without leaving its state: addresses, routes, rules.
//!
//! Invariant: only what is configured, tracked (not `no_track`) and held by a Master right now comes back, so that the
//! reports of our own removals restore nothing. Absent on purpose: static addresses (the shell puts them back).

use super::router::{Effect, GoneRoute, Router};
use crate::config::model::{Address, Family, Instance, Route, Rule};
use crate::messages::{Message, Note, StateName};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

/// The table of routes that name none.
const TABLE_MAIN: u32 = 254;
/// The kernel's number for those that say nothing of who made them.
const PROTOCOL: u8 = 18;

/// A destination as the kernel reports it: without host bits, none for everything.
fn network(destination: Option<(IpAddr, u8)>) -> Option<(IpAddr, u8)> {
    let (address, len) = destination?;
    let masked = match address {
        IpAddr::V4(a) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(len.min(32))).unwrap_or(0);
            IpAddr::V4((u32::from(a) & mask).into())
        }
        IpAddr::V6(a) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(len.min(128))).unwrap_or(0);
            IpAddr::V6((u128::from(a) & mask).into())
        }
    };
    (len > 0).then_some((masked, len))
}

impl Router {
    fn masters(&self) -> impl Iterator<Item = (usize, &Arc<Instance>)> {
        let master = |m: &&super::router::Member| m.machine.name() == StateName::Master;
        self.members.iter().enumerate().filter(move |(_, m)| master(m)).map(|(i, m)| (i, &m.config))
    }

    /// Whether a report can't be that of a reload's own doing.
    fn is_strange(&self, now: Instant) -> bool {
        self.replacing.is_none_or(|until| until <= now)
    }

    /// A route is gone: the Master that has it adds it again.
    pub(super) fn on_route_gone(&self, now: Instant, gone: &GoneRoute, out: &mut Vec<Effect>) {
        let is = |r: &&Route| {
            let same = (r.family, r.table.unwrap_or(TABLE_MAIN)) == (gone.family, gone.table);
            let made = r.protocol.unwrap_or(PROTOCOL) == gone.protocol;
            same && made && !r.no_track && network(r.destination) == network(gone.destination)
        };
        for (i, config) in self.masters() {
            let list: Vec<Route> = config.routes.iter().filter(is).cloned().collect();
            if !list.is_empty() {
                if self.is_strange(now) {
                    out.push(self.say(i, Note::RestoredRoute(list[0].text.clone())));
                }
                out.push(Effect::Routes { instance: Arc::clone(config), adding: true, list });
            }
        }
    }

    /// A rule is gone: the Master that has one at its place adds it again.
    pub(super) fn on_rule_gone(&self, now: Instant, family: Family, priority: u32, out: &mut Vec<Effect>) {
        let is = |r: &&Rule| !r.no_track && r.family == family && r.priority == Some(priority);
        for (i, config) in self.masters() {
            let list: Vec<Rule> = config.rules.iter().filter(is).cloned().collect();
            if !list.is_empty() {
                if self.is_strange(now) {
                    out.push(self.say(i, Note::RestoredRule(list[0].text.clone())));
                }
                out.push(Effect::Rules { instance: Arc::clone(config), adding: true, list });
            }
        }
    }

    /// The kernel drops the routes over a link that goes down; when it is up again they come back.
    pub(super) fn restore_routes_over(&self, name: &str, out: &mut Vec<Effect>) {
        let over = |r: &&Route| !r.no_track && r.hops.iter().any(|h| h.device.as_deref() == Some(name));
        for (_, config) in self.masters() {
            let list: Vec<Route> = config.routes.iter().filter(over).cloned().collect();
            if !list.is_empty() {
                out.push(Effect::Routes { instance: Arc::clone(config), adding: true, list });
            }
        }
        let list: Vec<Route> = self.config.static_routes.iter().filter(over).cloned().collect();
        if !list.is_empty() {
            let interface = self.config.globals.default_interface.clone();
            let host = Instance { name: "static".into(), interface, ..Instance::default() };
            out.push(Effect::Routes { instance: Arc::new(host), adding: true, list });
        }
    }

    /// Puts back an address that somebody took from a Master.
    pub(super) fn restore(&self, i: usize, index: u32, address: IpAddr, out: &mut Vec<Effect>) {
        let member = &self.members[i];
        let config = &member.config;
        if member.machine.name() != StateName::Master {
            return;
        }
        let on = |a: &&Address| {
            a.address == address
                && !a.no_track
                && self.links.get(config.place(a)).is_some_and(|l| l.index == index && l.up)
        };
        let Some(vip) = config.vips.iter().chain(&config.excluded_vips).find(on) else { return };
        let interface = self.names.get(&index).cloned().unwrap_or_default();
        out.push(Effect::Say(Message::VipRemoved { address, interface: interface.clone() }));
        let list = vec![vip.clone()];
        out.push(Effect::Addresses { instance: Arc::clone(config), adding: true, list: list.clone() });
        out.push(self.say(i, Note::Restored { address, interface }));
        let count = config.garp.repeat;
        if count > 0 {
            out.push(Effect::Announce { instance: Arc::clone(config), list, count });
        }
        // Routes through the address went with it.
        if !config.routes.is_empty() {
            let list = config.routes.clone();
            out.push(Effect::Routes { instance: Arc::clone(config), adding: true, list });
        }
    }
}
