//! Links on top of other links: macvlan and ipvlan, and the settings that keep their addresses apart.
//!
//! Invariant: a link is made in one request with its name, parent and MAC, so nobody sees it half made. Settings go by
//! netlink and not by /proc, which containers have read-only. Absent on purpose: when such a link is wanted.

use netlink_packet_core::DefaultNla;
use netlink_packet_route::link::{
    AfSpecUnspec, InfoData, InfoIpVlan, InfoKind, InfoMacVlan, IpVlanFlags, IpVlanMode, LinkAttribute,
    LinkFlags, LinkInfo, LinkMessage, MacVlanMode,
};

/// A link to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Its name.
    pub name: String,
    /// Number of the link it sits on.
    pub parent: u32,
    /// What it is.
    pub kind: Kind,
    /// Its group of links.
    pub group: Option<u32>,
}

/// Kinds of links on links.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// macvlan in private mode, with its own MAC.
    Macvlan([u8; 6]),
    /// ipvlan of layer 2: the parent's MAC.
    Ipvlan(Isolation),
}

/// Who may talk to an ipvlan on the same parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Isolation {
    /// Its siblings.
    #[default]
    Bridge,
    /// Nobody.
    Private,
    /// Its siblings by the switch outside.
    Vepa,
}

/// A setting of IPv4 on one link; the kernel's number (IPV4_DEVCONF_*).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the sysctls")]
pub enum Setting {
    RpFilter = 8,
    ArpFilter = 13,
    ArpIgnore = 19,
    PromoteSecondaries = 20,
    AcceptLocal = 23,
}

const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;
const IFLA_INET_CONF: u16 = 1;
const IFLA_INET6_ADDR_GEN_MODE: u16 = 8;
/// IN6_ADDR_GEN_MODE_NONE: no link-local address of its own.
const GENERATE_NONE: u8 = 1;

impl Device {
    pub(crate) fn message(&self) -> LinkMessage {
        let mut message = LinkMessage::default();
        let info = match self.kind {
            Kind::Macvlan(_) => vec![
                LinkInfo::Kind(InfoKind::MacVlan),
                LinkInfo::Data(InfoData::MacVlan(vec![InfoMacVlan::Mode(MacVlanMode::Private)])),
            ],
            Kind::Ipvlan(isolation) => {
                let flags = match isolation {
                    Isolation::Bridge => IpVlanFlags::empty(),
                    Isolation::Private => IpVlanFlags::Private,
                    Isolation::Vepa => IpVlanFlags::Vepa,
                };
                let data = vec![InfoIpVlan::Mode(IpVlanMode::L2), InfoIpVlan::Flags(flags)];
                vec![LinkInfo::Kind(InfoKind::IpVlan), LinkInfo::Data(InfoData::IpVlan(data))]
            }
        };
        let attributes = &mut message.attributes;
        attributes.push(LinkAttribute::LinkInfo(info));
        attributes.push(LinkAttribute::Link(self.parent));
        attributes.push(LinkAttribute::IfName(self.name.clone()));
        if let Kind::Macvlan(mac) = self.kind {
            attributes.push(LinkAttribute::Address(mac.to_vec()));
        }
        attributes.extend(self.group.map(LinkAttribute::Group));
        message
    }
}

fn of(index: u32) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message
}

/// For the removal of a link.
pub(crate) fn removal(index: u32) -> LinkMessage {
    of(index)
}

/// Administratively up.
pub(crate) fn up(index: u32) -> LinkMessage {
    let mut message = of(index);
    message.header.flags = LinkFlags::Up;
    message.header.change_mask = LinkFlags::Up;
    message
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len() + 4);
    out.extend((value.len() as u16 + 4).to_ne_bytes());
    out.extend(kind.to_ne_bytes());
    out.extend(value);
    out.resize(out.len().next_multiple_of(4), 0);
    out
}

fn family(index: u32, family: u16, value: Vec<u8>) -> LinkMessage {
    let mut message = of(index);
    let part = AfSpecUnspec::Other(DefaultNla::new(family, value));
    message.attributes.push(LinkAttribute::AfSpecUnspec(vec![part]));
    message
}

/// Settings of IPv4.
pub(crate) fn configure(index: u32, settings: &[(Setting, u32)]) -> LinkMessage {
    let values =
        settings.iter().flat_map(|(s, value)| attribute(*s as u16, &value.to_ne_bytes())).collect::<Vec<_>>();
    family(index, AF_INET, attribute(IFLA_INET_CONF, &values))
}

/// The kernel makes no IPv6 addresses of its own there.
pub(crate) fn no_own_addresses(index: u32) -> LinkMessage {
    family(index, AF_INET6, attribute(IFLA_INET6_ADDR_GEN_MODE, &[GENERATE_NONE]))
}
