//! The packet filter: addresses of `no_accept` and strict mode are not answered for, group reports of macvlans leave by
//! their parents.
//!
//! Invariant: an address is hidden before it is added and shown after it is removed. Absent on purpose: rules
//! (netlink's filter.rs), and when addresses are held (core/).

use super::Daemon;
use crate::config::model::{Address, Config, Family, Instance};
use crate::messages::{Message, StateName};
use netlink::{Filter, Hidden, Table};
use std::collections::BTreeSet;
use std::io;

/// The name of the tables unless `nftables` gives another.
const NAME: &str = "keepalived";

/// What is filtered.
#[derive(Debug, Default)]
pub(super) struct Filtering {
    socket: Option<Filter>,
    /// In force, without the addresses that come and go: of IPv4 and of IPv6.
    tables: [Table; 2],
    hidden: BTreeSet<Hidden>,
    /// That the kernel refuses is said once.
    refused: bool,
}

impl Daemon {
    /// The line about a filter that nobody asked for by name.
    pub(super) fn say_filter<'a>(&self, config: &Config, mut instances: impl Iterator<Item = &'a Instance>) {
        let needs = |i: &Instance| i.hides() || i.vmac.is_some();
        if config.globals.nftables_table.is_none() && instances.any(needs) {
            self.say(&Message::Text(
                "use_vmac or no_accept/strict specified, but no firewall configured - using nftables".into(),
            ));
        }
    }

    /// Brings the tables in line with the configuration and the links that are there.
    pub(super) fn settle_filter(&mut self) {
        for family in [Family::Inet, Family::Inet6] {
            let slot = usize::from(family == Family::Inet6);
            let wanted = self.wanted(family);
            if wanted == self.filtering.tables[slot]
                || wanted.is_empty() && self.filtering.tables[slot].is_empty()
            {
                continue;
            }
            let mut full = wanted.clone();
            full.hidden = self.filtering.hidden.iter().copied().collect();
            let before = std::mem::replace(&mut self.filtering.tables[slot], wanted);
            self.filter(|filter| {
                if before.name != full.name && !before.is_empty() {
                    filter.remove(&before)?;
                }
                filter.replace(&full)
            });
        }
    }

    /// After a reload, which may hide or show what is held already.
    pub(super) fn renew_filter(&mut self) {
        let masters =
            self.router.members.iter().filter(|m| m.machine.name() == StateName::Master && m.config.hides());
        let hidden = masters.flat_map(|m| {
            m.addresses()
                .into_iter()
                .filter_map(|a| {
                    let index = self.router.link(m.config.place(&a))?.index;
                    Some(Hidden { address: a.address, index })
                })
                .collect::<Vec<_>>()
        });
        let hidden: BTreeSet<Hidden> = hidden.collect();
        if hidden != self.filtering.hidden {
            self.filtering.hidden = hidden;
            // Whatever the tables are, they are not that.
            self.filtering.tables.iter_mut().for_each(|t| t.counters = !t.counters);
        }
        self.settle_filter();
    }

    fn wanted(&self, family: Family) -> Table {
        let v6 = family == Family::Inet6;
        let globals = &self.router.config.globals;
        let index = |name: &str| self.router.link(name).map(|l| l.index);
        let instances = || self.router.members.iter().map(|m| &m.config);
        let devices = instances().flat_map(|i| i.devices());
        let speaks =
            devices.filter(|d| d.is_vmac() && if v6 { d.inet6 || d.speaks } else { d.family == family });
        let of = |a: &Address| a.address.is_ipv6() == v6;
        let hides = |i: &Instance| i.hides() && i.vips.iter().chain(&i.excluded_vips).any(of);
        Table {
            v6,
            name: globals.nftables_table.clone().unwrap_or_else(|| NAME.into()),
            priority: globals.nftables_priority,
            counters: globals.nftables_counters,
            macvlans: speaks.filter_map(|d| Some((index(&d.name)?, index(&d.parent)?))).collect(),
            hides: instances().any(|i| hides(i)),
            hidden: Vec::new(),
        }
    }

    /// Before addresses are added, or after they are removed.
    pub(super) fn hide(&mut self, instance: &Instance, list: &[Address], hide: bool) {
        if !instance.hides() {
            return;
        }
        let known = &self.filtering.hidden;
        let hidden = list.iter().filter_map(|a| {
            let index = self.router.link(instance.place(a))?.index;
            Some(Hidden { address: a.address, index })
        });
        let changed: Vec<Hidden> = hidden.filter(|h| known.contains(h) != hide).collect();
        for slot in 0..self.filtering.tables.len() {
            let part: Vec<Hidden> =
                changed.iter().filter(|h| h.address.is_ipv6() == (slot == 1)).copied().collect();
            let table = self.filtering.tables[slot].clone();
            if !part.is_empty() && table.hides {
                self.filter(|filter| filter.hide(&table, &part, hide));
            }
        }
        for one in changed {
            if hide {
                self.filtering.hidden.insert(one);
            } else {
                self.filtering.hidden.remove(&one);
            }
        }
    }

    /// At the end.
    pub(super) fn remove_filter(&mut self) {
        for table in std::mem::take(&mut self.filtering.tables) {
            if !table.is_empty() {
                self.filter(|filter| filter.remove(&table));
            }
        }
    }

    fn filter(&mut self, change: impl FnOnce(&mut Filter) -> io::Result<()>) {
        let socket = match self.filtering.socket.take() {
            Some(socket) => Ok(socket),
            None => Filter::open(),
        };
        let result = socket.and_then(|mut socket| {
            let result = change(&mut socket);
            self.filtering.socket = Some(socket);
            result
        });
        if let Err(error) = result
            && !std::mem::replace(&mut self.filtering.refused, true)
        {
            self.say(&Message::Text(format!("nftables: {error}; addresses and macvlans are not filtered")));
        }
    }
}
