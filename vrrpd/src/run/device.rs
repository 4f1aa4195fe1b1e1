//! The links that instances have made: made before they are needed, made anew when somebody removes them, removed at
//! the end.
//!
//! Invariant: a link of a run that was killed is known by its MAC and its parent and used again; a setting of the host
//! that had to be changed for macvlans gets its old value back when the last one is gone. Absent on purpose: names
//! (config/device.rs), and what instances do without their link (core/).

use super::Daemon;
use crate::config::model::{Config, Device, DeviceKind, Family, Instance};
use crate::core::router::Effect;
use crate::messages::Message;
use netlink::addr::NODAD;
use netlink::{Change, Setting};
use std::collections::{HashMap, HashSet};
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::path::PathBuf;
use std::sync::Arc;

/// Length of the prefix of link-local addresses.
const LINK_LOCAL_PREFIX: u8 = 64;

/// What is known of links that are ours.
#[derive(Debug, Default)]
pub(super) struct Devices {
    /// In the order they were made, with the name of the instance for messages.
    made: Vec<(Device, String)>,
    /// Those that could not be made: said once.
    failed: HashSet<String>,
    /// Private macvlans and ipvlans with their parents, by number.
    there: HashMap<u32, netlink::Link>,
    /// ARP settings that parents had.
    parents: HashMap<String, Vec<(Setting, u32)>>,
    /// `rp_filter` of `all`, `default` and of links, where it was changed.
    filters: Vec<(String, u32)>,
}

impl Devices {
    pub(super) fn seen(&mut self, link: &netlink::Link) {
        if link.private_macvlan || link.ipvlan {
            self.there.insert(link.index, link.clone());
        }
    }

    pub(super) fn gone(&mut self, link: &netlink::Link) {
        self.there.remove(&link.index);
        // Should it come back, it will have the settings of a new one.
        self.parents.remove(&link.name);
        self.failed.clear();
    }
}

fn path(link: &str, name: &str) -> PathBuf {
    ["/proc/sys/net/ipv4/conf", link, name].iter().collect()
}

pub(super) fn setting(link: &str, name: &str) -> Option<u32> {
    std::fs::read_to_string(path(link, name)).ok()?.trim().parse().ok()
}

fn set(link: &str, name: &str, value: u32) -> io::Result<()> {
    std::fs::write(path(link, name), format!("{value}\n"))
}

impl Daemon {
    /// At the start, when nothing has been decided: all links at once, and the core knows them.
    pub(super) fn start_devices(&mut self) -> io::Result<()> {
        self.settle_host();
        let members: Vec<Arc<Instance>> = self.router.members.iter().map(|m| Arc::clone(&m.config)).collect();
        self.say_filter(&self.router.config, self.router.members.iter().map(|m| &*m.config));
        if !self.make_devices(&members) {
            self.settle_filter();
            return Ok(());
        }
        // That they were down for a moment is not worth telling.
        self.monitor.discard();
        let result = self.resync();
        self.settle_filter();
        result
    }

    /// Before a new configuration is put into force.
    pub(super) fn prepare_devices(&mut self, config: &Config) {
        self.say_filter(config, config.instances.iter());
        let members: Vec<Arc<Instance>> = config
            .instances
            .iter()
            .map(|i| Arc::new(i.clone()))
            .filter(|i| i.devices().next().is_some())
            .collect();
        if !self.make_devices(&members) {
            return;
        }
        self.monitor.discard();
        if let Err(error) = self.resync() {
            self.say(&Message::Text(format!("Netlink: error: {error}")));
        }
    }

    /// After it: links that nobody wants any more.
    pub(super) fn retire_devices(&mut self) {
        self.settle_host();
        self.renew_filter();
        if self.devices.made.is_empty() {
            return;
        }
        let wanted: HashSet<String> =
            self.router.members.iter().flat_map(|m| m.config.devices().map(|d| d.name.clone())).collect();
        self.remove_devices(|name| !wanted.contains(name));
    }

    /// After reports of the kernel: a parent has come, a link of ours has gone, a link-local address has changed.
    pub(super) fn mend_devices(&mut self) {
        for (owner, device) in self.router.missing_devices() {
            self.make(&owner, &device);
        }
        if !self.devices.made.is_empty() {
            self.settle_filter();
        }
        let speaking: Vec<Device> =
            self.devices.made.iter().map(|(d, _)| d).filter(|d| d.speaks).cloned().collect();
        for device in speaking {
            self.lend_address(&device);
        }
    }

    /// Makes what can be made; whether something was.
    fn make_devices(&mut self, members: &[Arc<Instance>]) -> bool {
        let mut any = false;
        for member in members {
            for device in member.devices() {
                any |= self.make(member, device);
            }
        }
        any
    }

    /// With the lines that are still to be written before it.
    fn later(&mut self, message: Message) {
        self.talk.push_back(Effect::Say(message));
    }

    fn make(&mut self, owner: &Instance, device: &Device) -> bool {
        let Some(parent) = self.router.link(&device.parent).map(|l| l.index) else { return false };
        if self.devices.made.iter().any(|(d, _)| d == device) && self.router.link(&device.name).is_some() {
            return false;
        }
        let say = |text: String| Message::Detail(format!("({}){text}", owner.name));
        let index = match self.existing(device, parent) {
            Ok(Some(index)) => {
                self.later(say(format!(" Found matching interface {}", device.name)));
                index
            }
            made => {
                let made = made.and_then(|_| self.create(device, parent));
                match made {
                    Ok(index) => {
                        self.router.device_made(&device.name);
                        self.later(say(format!(
                            ": Success creating {} interface {}",
                            device.word(),
                            device.name
                        )));
                        index
                    }
                    Err(error) => {
                        if self.devices.failed.insert(device.name.clone()) {
                            self.later(Message::Text(format!("Netlink: error: {error}, type=RTM_NEWLINK")));
                            self.later(say(format!(
                                ": Unable to create {} interface {}",
                                device.word(),
                                device.name
                            )));
                        }
                        return false;
                    }
                }
            }
        };
        self.devices.made.retain(|(d, _)| d.name != device.name);
        self.devices.made.push((device.clone(), owner.name.clone()));
        self.set_up(device, index, parent);
        true
    }

    /// The link of that name, if it is just what is wanted; one of ours that is not goes.
    fn existing(&mut self, device: &Device, parent: u32) -> io::Result<Option<u32>> {
        let Some(index) = self.router.link(&device.name).map(|l| l.index) else { return Ok(None) };
        let Some(link) = self.devices.there.get(&index) else {
            return Err(io::Error::from_raw_os_error(nix::errno::Errno::EEXIST as i32));
        };
        let fits = match device.kind {
            DeviceKind::Vmac(mac) => link.private_macvlan && link.mac == mac,
            DeviceKind::Ipvlan { .. } => link.ipvlan,
        };
        if fits && link.parent == Some(parent) {
            return Ok(Some(index));
        }
        self.commands.apply(&[Change::RemoveLink(index)]).pop().unwrap_or(Ok(()))?;
        Ok(None)
    }

    fn create(&mut self, device: &Device, parent: u32) -> io::Result<u32> {
        let kind = match device.kind {
            DeviceKind::Vmac(mac) => netlink::Kind::Macvlan(mac),
            DeviceKind::Ipvlan { isolation, .. } => netlink::Kind::Ipvlan(isolation),
        };
        let new = netlink::Device { name: device.name.clone(), parent, kind, group: device.group };
        self.commands.apply(&[Change::AddDevice(new)]).pop().unwrap_or(Ok(()))?;
        Ok(nix::net::if_::if_nametoindex(device.name.as_str())?)
    }

    /// Settings first, up last: nothing is answered from it with the host's own settings.
    fn set_up(&mut self, device: &Device, index: u32, parent: u32) {
        if !device.inet6 && !device.speaks {
            // IPv6 may be off altogether.
            let _absent =
                std::fs::write(format!("/proc/sys/net/ipv6/conf/{}/disable_ipv6", device.name), "1\n");
        }
        let mut changes = vec![Change::NoOwnAddresses(index)];
        if device.family == Family::Inet && matches!(device.kind, DeviceKind::Vmac(_)) {
            self.clear_rp_filter();
            let own = [
                (Setting::ArpIgnore, 1),
                (Setting::AcceptLocal, 1),
                (Setting::RpFilter, 0),
                (Setting::PromoteSecondaries, 1),
            ];
            changes.push(Change::Configure(index, own.to_vec()));
            changes.extend(self.quiet_parent(&device.parent, parent));
        }
        if let DeviceKind::Ipvlan { address: Some((address, length)), .. } = device.kind {
            changes.push(Change::AddAddress(netlink::Address::new(index, address, length)));
        }
        changes.push(Change::LinkUp(index));
        for (change, result) in changes.iter().zip(self.commands.apply(&changes)) {
            // Without IPv6 there are no addresses to keep the kernel from.
            if let Err(error) = result
                && !matches!(change, Change::NoOwnAddresses(_))
                && error.kind() != io::ErrorKind::AlreadyExists
            {
                self.say(&Message::Text(format!("Netlink: error: {error}, interface {}", device.name)));
            }
        }
        if device.speaks {
            self.lend_address(device);
        }
    }

    /// The parent answers for its own addresses only.
    fn quiet_parent(&mut self, name: &str, index: u32) -> Option<Change> {
        if self.devices.parents.contains_key(name) {
            return None;
        }
        let before = [(Setting::ArpIgnore, "arp_ignore"), (Setting::ArpFilter, "arp_filter")];
        let before: Vec<(Setting, u32)> =
            before.into_iter().filter_map(|(s, file)| Some((s, setting(name, file)?))).collect();
        self.devices.parents.insert(name.to_owned(), before);
        Some(Change::Configure(index, vec![(Setting::ArpIgnore, 1), (Setting::ArpFilter, 1)]))
    }

    /// The setting for all counts beside a link's own one, so a macvlan could never be without: it goes to the links.
    fn clear_rp_filter(&mut self) {
        let Some(all) = setting("all", "rp_filter").filter(|v| *v > 0) else { return };
        if !self.devices.filters.is_empty() {
            return;
        }
        let links: Vec<String> = self.router.links().iter().map(|l| l.name.clone()).collect();
        let untouched =
            |name: &String| name == "lo" || self.devices.made.iter().any(|(d, _)| d.name == *name);
        let default = setting("default", "rp_filter").unwrap_or(all);
        if default < all {
            self.say(&Message::Text(format!(
                "NOTICE: setting sysctl net.ipv4.conf.default.rp_filter from {default} to {all}"
            )));
        }
        self.say(&Message::Text(format!(
            "NOTICE: setting sysctl net.ipv4.conf.all.rp_filter from {all} to 0"
        )));
        let mut changed = Vec::new();
        for name in links.into_iter().filter(|n| !untouched(n)).chain(["default".into()]) {
            if let Some(own) = setting(&name, "rp_filter").filter(|own| *own < all)
                && set(&name, "rp_filter", all).is_ok()
            {
                changed.push((name, own));
            }
        }
        if set("all", "rp_filter", 0).is_ok() {
            changed.insert(0, ("all".into(), all));
        }
        self.devices.filters = changed;
    }

    /// Adverts over IPv6 leave with the parent's link-local address, so the link must have it too.
    fn lend_address(&mut self, device: &Device) {
        let (Some(parent), Some(own)) = (
            self.router.link(&device.parent),
            self.router
                .link(&device.name)
                .map(|l| l.index)
                .or_else(|| nix::net::if_::if_nametoindex(device.name.as_str()).ok()),
        ) else {
            return;
        };
        let local = |a: &&IpAddr| {
            matches!(a, IpAddr::V6(a) if a.is_unicast_link_local()) && !self.router.is_virtual(**a)
        };
        let lent: Option<IpAddr> = self.router.link_addresses(parent.index).iter().find(local).copied();
        let has: Vec<Ipv6Addr> = self
            .router
            .link_addresses(own)
            .iter()
            .filter(local)
            .filter_map(|a| match a {
                IpAddr::V6(a) => Some(*a),
                IpAddr::V4(_) => None,
            })
            .collect();
        let Some(IpAddr::V6(lent)) = lent.filter(|a| !has.iter().any(|h| IpAddr::V6(*h) == *a)) else {
            return;
        };
        let address = |a: Ipv6Addr| {
            let mut address = netlink::Address::new(own, a.into(), LINK_LOCAL_PREFIX);
            (address.flags, address.preferred_s) = (NODAD, Some(0));
            address
        };
        let mut changes: Vec<Change> = has.into_iter().map(|a| Change::RemoveAddress(address(a))).collect();
        changes.push(Change::AddAddress(address(lent)));
        // Is there already, as yet unreported; or the link is not there any more.
        let _results = self.commands.apply(&changes);
    }

    /// Removes links of ours, and gives the host back its settings when the last of them is gone.
    pub(super) fn remove_devices(&mut self, which: impl Fn(&str) -> bool) {
        let going = |(d, _): &(Device, String)| which(&d.name);
        let (going, kept) = std::mem::take(&mut self.devices.made).into_iter().partition(going);
        self.devices.made = kept;
        let going: Vec<(Device, String)> = going;
        for (device, owner) in going {
            let name = &device.name;
            self.forget_parent(&device.parent);
            // Went with its parent.
            let Some(index) = self.router.link(name).map(|l| l.index) else { continue };
            let result = self.commands.apply(&[Change::RemoveLink(index)]).pop().unwrap_or(Ok(()));
            let word = device.word();
            self.say(&Message::Detail(match result {
                Ok(()) => format!("({owner}) Success removing {word} interface {name}"),
                Err(_) => format!("({owner}) Error removing {word} interface {name}"),
            }));
        }
        let vmac = |d: &Device| d.family == Family::Inet && matches!(d.kind, DeviceKind::Vmac(_));
        if !self.devices.made.iter().any(|(d, _)| vmac(d)) {
            for (link, before) in std::mem::take(&mut self.devices.filters) {
                if link == "all" || link == "default" {
                    let text = format!("NOTICE: resetting sysctl net.ipv4.conf.{link}.rp_filter to {before}");
                    self.say(&Message::Text(text));
                }
                // The link may be gone.
                let _result = set(&link, "rp_filter", before);
            }
        }
    }

    fn forget_parent(&mut self, parent: &str) {
        let vmac = |d: &Device| d.parent == parent && d.family == Family::Inet;
        if self.devices.made.iter().any(|(d, _)| vmac(d)) {
            return;
        }
        let before = self.devices.parents.remove(parent);
        if let (Some(before), Some(link)) = (before, self.router.link(parent)) {
            let change = Change::Configure(link.index, before);
            // The parent may be on its way out.
            let _results = self.commands.apply(&[change]);
        }
    }
}
