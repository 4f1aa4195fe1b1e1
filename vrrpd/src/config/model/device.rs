//! Links that an instance has made for itself: `use_vmac`, `use_ipvlan` and `use_vmac` of single addresses.
//!
//! Invariant: names are decided when the configuration is read and differ from each other, so the core knows a link
//! before it exists. Absent on purpose: making them (run/device.rs).

use super::{Address, Family, Instance};
use std::net::IpAddr;

/// A link on another link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Its name.
    pub name: String,
    /// The interface it sits on.
    pub parent: String,
    /// What it is.
    pub kind: DeviceKind,
    /// Its group of links.
    pub group: Option<u32>,
    /// The family it is for.
    pub family: Family,
    /// Adverts of version 3 over IPv6 leave by it, so it needs the parent's link-local address.
    pub speaks: bool,
    /// IPv6 is needed on it.
    pub inet6: bool,
}

/// What kind of link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceKind {
    /// A macvlan in private mode with this MAC.
    Vmac([u8; 6]),
    /// An ipvlan with an address of its own.
    Ipvlan {
        /// Who may talk to it.
        isolation: netlink::Isolation,
        /// Its address.
        address: Option<(IpAddr, u8)>,
    },
}

impl Device {
    /// As messages name it.
    pub fn word(&self) -> &'static str {
        match self.kind {
            DeviceKind::Vmac(_) => "VMAC",
            DeviceKind::Ipvlan { .. } => "ipvlan",
        }
    }
}

impl Device {
    /// It is a macvlan.
    pub fn is_vmac(&self) -> bool {
        matches!(self.kind, DeviceKind::Vmac(_))
    }
}

impl Instance {
    /// It does not answer at its addresses: `no_accept` or strict mode, unless it owns them.
    pub fn hides(&self) -> bool {
        !self.accept && self.priority != u8::MAX
    }

    /// The interface that its addresses are on unless they name another.
    pub fn holder(&self) -> &str {
        self.device.as_ref().map_or(&self.interface, |d| &d.name)
    }

    /// The interface that its adverts leave and come by.
    pub fn speaker(&self) -> &str {
        if self.xmit_base { &self.interface } else { self.holder() }
    }

    /// All links it has made.
    pub fn devices(&self) -> impl Iterator<Item = &Device> {
        self.device.iter().chain(&self.address_devices)
    }

    /// The interface an address is on.
    pub fn place<'a>(&'a self, address: &'a Address) -> &'a str {
        let named = address.device.as_deref().unwrap_or(&self.interface);
        let family = if address.address.is_ipv4() { Family::Inet } else { Family::Inet6 };
        let own = |d: &&Device| d.parent == named && d.family == family;
        if self.wants_device(address)
            && let Some(found) = self.address_devices.iter().find(own)
        {
            return &found.name;
        }
        // Addresses of the other family stay where the MAC of this one would be wrong for them.
        if named == self.interface && family == self.family { self.holder() } else { named }
    }

    /// Whether an address is to have a link with a virtual MAC that is not the instance's.
    pub fn wants_device(&self, address: &Address) -> bool {
        let elsewhere = address.device.as_ref().is_some_and(|d| *d != self.interface);
        let foreign = address.address.is_ipv4() != (self.family == Family::Inet);
        let own = self.device.is_some() && !elsewhere && !foreign;
        (address.use_vmac && address.device.is_some() && !own)
            || (self.vmac_addresses && (elsewhere || foreign))
    }
}
