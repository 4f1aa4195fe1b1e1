//! Addresses of interfaces.

use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage, AddressScope, CacheInfo,
};
use std::net::{IpAddr, Ipv4Addr};

/// An address to add or remove. Only what is set goes to the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Interface number.
    pub index: u32,
    /// The address itself.
    pub address: IpAddr,
    /// Prefix length of the address, or of the peer when there is one.
    pub prefix_len: u8,
    /// Other end of a point-to-point address.
    pub peer: Option<IpAddr>,
    /// Broadcast address.
    pub broadcast: Option<Ipv4Addr>,
    /// Scope, the kernel's number.
    pub scope: u8,
    /// Label, at most 15 octets.
    pub label: Option<String>,
    /// IFA_F_* flags.
    pub flags: u32,
    /// Preferred lifetime in seconds; `None`: for ever.
    pub preferred_s: Option<u32>,
}

/// IFA_F_NODAD: no duplicate detection.
pub const NODAD: u32 = 0x02;
/// IFA_F_HOMEADDRESS.
pub const HOME: u32 = 0x10;
/// IFA_F_TENTATIVE, as reported.
pub const TENTATIVE: u32 = 0x40;
/// IFA_F_MANAGETEMPADDR.
pub const MNGTMPADDR: u32 = 0x100;
/// IFA_F_NOPREFIXROUTE.
pub const NOPREFIXROUTE: u32 = 0x200;
/// IFA_F_MCAUTOJOIN.
pub const AUTOJOIN: u32 = 0x400;

impl Address {
    /// An address without options.
    pub fn new(index: u32, address: IpAddr, prefix_len: u8) -> Self {
        Self {
            index,
            address,
            prefix_len,
            peer: None,
            broadcast: None,
            scope: 0,
            label: None,
            flags: 0,
            preferred_s: None,
        }
    }

    pub(crate) fn message(&self) -> AddressMessage {
        let mut message = AddressMessage::default();
        message.header.family =
            if self.address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
        message.header.prefix_len = self.prefix_len;
        message.header.scope = AddressScope::from(self.scope);
        message.header.index = self.index;
        message.header.flags = AddressHeaderFlags::from_bits_retain(self.flags as u8);
        let attributes = &mut message.attributes;
        attributes.push(AddressAttribute::Local(self.address));
        attributes.push(AddressAttribute::Address(self.peer.unwrap_or(self.address)));
        if let Some(broadcast) = self.broadcast {
            attributes.push(AddressAttribute::Broadcast(broadcast));
        }
        if let Some(label) = &self.label {
            attributes.push(AddressAttribute::Label(label.clone()));
        }
        if self.flags > u32::from(u8::MAX) {
            attributes.push(AddressAttribute::Flags(AddressFlags::from_bits_retain(self.flags)));
        }
        if let Some(seconds) = self.preferred_s {
            let mut info = CacheInfo::default();
            (info.ifa_preferred, info.ifa_valid) = (seconds, u32::MAX);
            attributes.push(AddressAttribute::CacheInfo(info));
        }
        message
    }
}

/// An address that the kernel listed or reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressEvent {
    /// Interface number.
    pub index: u32,
    /// The address.
    pub address: IpAddr,
    /// Prefix length.
    pub prefix_len: u8,
    /// Scope, the kernel's number.
    pub scope: u8,
    /// IFA_F_* flags.
    pub flags: u32,
}

impl AddressEvent {
    pub(crate) fn from_message(message: &AddressMessage) -> Option<Self> {
        let mut address = None;
        let mut flags = u32::from(message.header.flags.bits());
        for attribute in &message.attributes {
            match attribute {
                AddressAttribute::Local(local) => address = Some(*local),
                AddressAttribute::Address(other) => address = address.or(Some(*other)),
                AddressAttribute::Flags(all) => flags = all.bits(),
                _ => {}
            }
        }
        Some(Self {
            index: message.header.index,
            address: address?,
            prefix_len: message.header.prefix_len,
            scope: u8::from(message.header.scope),
            flags,
        })
    }
}
