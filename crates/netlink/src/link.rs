//! Links as the kernel tells them.

use netlink_packet_route::link::{
    InfoData, InfoKind, InfoMacVlan, LinkAttribute, LinkFlags, LinkInfo, LinkLayerType, LinkMessage,
    MacVlanMode,
};

/// One network interface.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Link {
    /// The kernel's number.
    pub index: u32,
    /// Name.
    pub name: String,
    /// Administratively up.
    pub up: bool,
    /// Operational: carrier there (IFF_RUNNING).
    pub running: bool,
    /// IFF_MULTICAST.
    pub multicast: bool,
    /// IFF_LOOPBACK.
    pub loopback: bool,
    /// IFF_NOARP.
    pub noarp: bool,
    /// IFF_POINTOPOINT.
    pub point_to_point: bool,
    /// IFF_BROADCAST.
    pub broadcast: bool,
    /// Hardware address; six octets on Ethernet.
    pub mac: Vec<u8>,
    /// Broadcast hardware address.
    pub mac_broadcast: Vec<u8>,
    /// Largest packet.
    pub mtu: u32,
    /// ARPHRD_*.
    pub hardware: u16,
    /// The link it sits on, or its other end.
    pub parent: Option<u32>,
    /// It is a macvlan in private mode.
    pub private_macvlan: bool,
    /// It is an ipvlan.
    pub ipvlan: bool,
}

impl Link {
    /// Up with carrier: packets can pass.
    pub fn usable(&self) -> bool {
        self.up && self.running
    }

    pub(crate) fn from_message(message: &LinkMessage) -> Self {
        let flags = message.header.flags;
        let mut link = Self {
            index: message.header.index,
            up: flags.contains(LinkFlags::Up),
            running: flags.contains(LinkFlags::Running),
            multicast: flags.contains(LinkFlags::Multicast),
            loopback: flags.contains(LinkFlags::Loopback),
            noarp: flags.contains(LinkFlags::Noarp),
            point_to_point: flags.contains(LinkFlags::Pointopoint),
            broadcast: flags.contains(LinkFlags::Broadcast),
            hardware: u16::from(message.header.link_layer_type),
            ..Self::default()
        };
        for attribute in &message.attributes {
            match attribute {
                LinkAttribute::IfName(name) => link.name.clone_from(name),
                LinkAttribute::Address(mac) => link.mac.clone_from(mac),
                LinkAttribute::Broadcast(mac) => link.mac_broadcast.clone_from(mac),
                LinkAttribute::Mtu(mtu) => link.mtu = *mtu,
                LinkAttribute::Link(parent) => link.parent = Some(*parent),
                LinkAttribute::LinkInfo(info) => link.take_kind(info),
                _ => {}
            }
        }
        link
    }

    fn take_kind(&mut self, info: &[LinkInfo]) {
        let private = |part: &InfoMacVlan| *part == InfoMacVlan::Mode(MacVlanMode::Private);
        for part in info {
            match part {
                LinkInfo::Kind(InfoKind::IpVlan) => self.ipvlan = true,
                LinkInfo::Data(InfoData::MacVlan(data)) => self.private_macvlan = data.iter().any(private),
                _ => {}
            }
        }
    }

    /// Whether frames on it are Ethernet frames.
    pub fn is_ethernet(&self) -> bool {
        self.hardware == u16::from(LinkLayerType::Ether)
    }
}
