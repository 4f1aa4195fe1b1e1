//! Names of the links that instances have made: as written, or `PREFIX.VRID` as far as that is free.
//!
//! Invariant: no two links of a configuration share a name, and none takes that of a link of somebody else; a link that
//! an earlier run left is known by its MAC and its parent and used again. Absent on purpose: keywords (instance.rs).

use super::model::{Device, DeviceKind, Family, Instance};
use super::{Builder, instance::INTERFACE_MAX};
use std::collections::HashSet;

/// The default of `vmac_prefix`.
const PREFIX: &str = "vrrp";
/// 00-00-5E-00-01 and -02: RFC 9568 §7.3.
const VIRTUAL_MAC: [u8; 4] = [0, 0, 0x5e, 0];

/// What is known of links while names are given.
#[derive(Debug, Default)]
pub(super) struct Names {
    taken: HashSet<String>,
    there: Option<Vec<netlink::Link>>,
}

fn virtual_mac(family: Family, vrid: u8) -> [u8; 6] {
    let [a, b, c, d] = VIRTUAL_MAC;
    [a, b, c, d, if family == Family::Inet { 1 } else { 2 }, vrid]
}

/// Gives an instance its links; all its other values are final.
pub(super) fn assign(b: &mut Builder, i: &mut Instance) {
    let prefix = b.globals.vmac_prefix.clone().unwrap_or_else(|| PREFIX.into());
    let any6 = i.vips.iter().chain(&i.excluded_vips).any(|a| a.address.is_ipv6());
    let (speaks, inet6) = (i.family == Family::Inet6 && !i.xmit_base, any6);
    if let Some(vmac) = &i.vmac {
        let mac = vmac.mac.unwrap_or_else(|| virtual_mac(i.family, i.vrid));
        let kind = DeviceKind::Vmac(mac);
        let device = Device {
            name: vmac.name.clone().unwrap_or_default(),
            group: vmac.group,
            kind,
            parent: i.interface.clone(),
            family: i.family,
            speaks,
            inet6,
        };
        i.device = Some(named(b, i, device, &prefix));
    } else if let Some(ipvlan) = &i.ipvlan {
        let isolation = match ipvlan.mode.as_deref() {
            Some("private") => netlink::Isolation::Private,
            Some("vepa") => netlink::Isolation::Vepa,
            _ => netlink::Isolation::Bridge,
        };
        let kind = DeviceKind::Ipvlan { isolation, address: ipvlan.address };
        let device = Device {
            name: ipvlan.name.clone().unwrap_or_default(),
            group: ipvlan.group,
            kind,
            parent: i.interface.clone(),
            family: i.family,
            speaks: speaks && ipvlan.address.is_none(),
            inet6,
        };
        i.device = Some(named(b, i, device, &prefix));
    }
    let prefix = b.globals.vmac_addr_prefix.clone().unwrap_or(prefix);
    let addresses: Vec<_> =
        i.vips.iter().chain(&i.excluded_vips).filter(|a| i.wants_device(a)).cloned().collect();
    for address in addresses {
        let family = if address.address.is_ipv4() { Family::Inet } else { Family::Inet6 };
        let parent = address.device.as_ref().unwrap_or(&i.interface).clone();
        if i.address_devices.iter().any(|d| d.parent == parent && d.family == family) {
            continue;
        }
        let kind = DeviceKind::Vmac(virtual_mac(family, i.vrid));
        let device = Device {
            name: String::new(),
            parent,
            kind,
            group: None,
            family,
            speaks: false,
            inet6: family == Family::Inet6,
        };
        let device = named(b, i, device, &prefix);
        i.address_devices.push(device);
    }
}

fn named(b: &mut Builder, i: &Instance, mut device: Device, prefix: &str) -> Device {
    if device.name.is_empty() {
        let six = (device.family == Family::Inet6).then(|| format!("{prefix}6.{}", i.vrid));
        let mut tries = std::iter::once(format!("{prefix}.{}", i.vrid))
            .chain(six)
            .chain((1..=u32::MAX).map(|n| format!("{prefix}{n}.{}", i.vrid)));
        // A prefix that leaves no room ends in a name the kernel refuses, and tells.
        let free = tries.find(|name| name.len() > INTERFACE_MAX || free(b, &device, name));
        device.name = free.unwrap_or_default();
    }
    b.names.taken.insert(device.name.clone());
    device
}

/// Nobody has this name, or a link that was made for just this.
fn free(b: &mut Builder, device: &Device, name: &str) -> bool {
    let written = |n: &str| b.drafts_names.iter().any(|w| w == n);
    if b.names.taken.contains(name) || written(name) {
        return false;
    }
    if !b.interface_exists(name) {
        return true;
    }
    let there = b
        .names
        .there
        .get_or_insert_with(|| netlink::Commands::open(None).and_then(|mut c| c.links()).unwrap_or_default());
    let parent = there.iter().find(|l| l.name == device.parent).map(|l| l.index);
    there.iter().any(|l| {
        l.name == name
            && l.parent == parent
            && match device.kind {
                DeviceKind::Vmac(mac) => l.private_macvlan && l.mac == mac,
                DeviceKind::Ipvlan { .. } => l.ipvlan,
            }
    })
}
