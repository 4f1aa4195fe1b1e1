//! Links as the kernel tells them.

use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkLayerType, LinkMessage};

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
                _ => {}
            }
        }
        link
    }

    /// Whether frames on it are Ethernet frames.
    pub fn is_ethernet(&self) -> bool {
        self.hardware == u16::from(LinkLayerType::Ether)
    }
}
