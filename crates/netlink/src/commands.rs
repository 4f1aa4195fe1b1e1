//! Asking the kernel for changes and lists.

use crate::device::{self, Device, Setting};
use crate::{Address, AddressEvent, Link, Route, Rule};
use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkHeader,
    NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::AddressMessage;
use netlink_packet_route::link::LinkMessage;
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};
use std::io;

/// Most changes that go in one call: their answers must fit into the socket's receive buffer.
const BATCH_MAX: usize = 64;

/// Room for one answer: a header twice, a number and the kernel's explanation.
const ANSWER_MAX: usize = 1024;

/// One thing to change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Adds an address; it must not be there.
    AddAddress(Address),
    /// Removes an address.
    RemoveAddress(Address),
    /// Adds a route or replaces the one with the same key.
    AddRoute(Route),
    /// Removes a route.
    RemoveRoute(Route),
    /// Adds a rule.
    AddRule(Rule),
    /// Removes a rule.
    RemoveRule(Rule),
    /// Makes a link on another one.
    AddDevice(Device),
    /// Removes a link.
    RemoveLink(u32),
    /// Sets a link administratively up.
    LinkUp(u32),
    /// Changes settings of IPv4 on a link.
    Configure(u32, Vec<(Setting, u32)>),
    /// Keeps the kernel from making IPv6 addresses on a link.
    NoOwnAddresses(u32),
}

impl Change {
    fn message(&self) -> (RouteNetlinkMessage, u16) {
        const NEW: u16 = NLM_F_CREATE | NLM_F_EXCL;
        match self {
            Self::AddAddress(a) => (RouteNetlinkMessage::NewAddress(a.message()), NEW),
            Self::RemoveAddress(a) => (RouteNetlinkMessage::DelAddress(a.message()), 0),
            Self::AddRoute(r) => (RouteNetlinkMessage::NewRoute(r.message()), NLM_F_CREATE | NLM_F_REPLACE),
            Self::RemoveRoute(r) => (RouteNetlinkMessage::DelRoute(r.message()), 0),
            Self::AddRule(r) => (RouteNetlinkMessage::NewRule(r.message()), NEW),
            Self::RemoveRule(r) => (RouteNetlinkMessage::DelRule(r.message()), 0),
            Self::AddDevice(d) => (RouteNetlinkMessage::NewLink(d.message()), NEW),
            Self::RemoveLink(index) => (RouteNetlinkMessage::DelLink(device::removal(*index)), 0),
            Self::LinkUp(index) => (RouteNetlinkMessage::NewLink(device::up(*index)), 0),
            Self::Configure(index, settings) => {
                (RouteNetlinkMessage::NewLink(device::configure(*index, settings)), 0)
            }
            Self::NoOwnAddresses(index) => {
                (RouteNetlinkMessage::NewLink(device::no_own_addresses(*index)), 0)
            }
        }
    }
}

/// A socket for requests. Blocking, but the kernel answers within the call.
#[derive(Debug)]
pub struct Commands {
    socket: Socket,
    sequence: u32,
}

impl Commands {
    /// Opens the socket in the namespace of the calling thread.
    pub fn open(receive_buffer: Option<u32>) -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        // Answers without the request in them: a full batch fits into the smallest buffer.
        socket.set_cap_ack(true)?;
        if let Some(octets) = receive_buffer {
            socket.set_rx_buf_sz(octets)?;
        }
        Ok(Self { socket, sequence: 0 })
    }

    /// Makes the changes in order, one after the other in spite of failures; one result each.
    pub fn apply(&mut self, changes: &[Change]) -> Vec<io::Result<()>> {
        changes.chunks(BATCH_MAX).flat_map(|part| self.apply_part(part)).collect()
    }

    /// Only the last change asks for an answer, the others answer if they fail: answers come in order, one datagram each.
    fn apply_part(&mut self, changes: &[Change]) -> Vec<io::Result<()>> {
        let first = self.sequence.wrapping_add(1);
        let mut bytes = Vec::with_capacity(changes.len() * 96);
        for (i, change) in changes.iter().enumerate() {
            self.sequence = self.sequence.wrapping_add(1);
            let (message, flags) = change.message();
            let answer = if i + 1 == changes.len() { NLM_F_ACK } else { 0 };
            emit(message, self.sequence, NLM_F_REQUEST | answer | flags, &mut bytes);
        }
        let all = |error: &io::Error| {
            let code = error.raw_os_error().unwrap_or(libc_eio());
            changes.iter().map(|_| Err(io::Error::from_raw_os_error(code))).collect()
        };
        if let Err(error) = self.socket.send(&bytes, 0) {
            return all(&error);
        }
        let mut results: Vec<io::Result<()>> = changes.iter().map(|_| Ok(())).collect();
        let mut buffer = [0; ANSWER_MAX];
        loop {
            let n = match self.socket.recv(&mut &mut buffer[..], 0) {
                Ok(n) => n,
                Err(error) => return all(&error),
            };
            for message in messages(&buffer[..n]) {
                let at = message.header.sequence_number.wrapping_sub(first) as usize;
                if let (NetlinkPayload::Error(error), Some(slot)) = (message.payload, results.get_mut(at)) {
                    if let Some(code) = error.code {
                        *slot = Err(io::Error::from_raw_os_error(code.get().abs()));
                    }
                    if at + 1 == changes.len() {
                        return results;
                    }
                }
            }
        }
    }

    /// All links.
    pub fn links(&mut self) -> io::Result<Vec<Link>> {
        let answers = self.dump(RouteNetlinkMessage::GetLink(LinkMessage::default()))?;
        let link = |m: &RouteNetlinkMessage| match m {
            RouteNetlinkMessage::NewLink(link) => Some(Link::from_message(link)),
            _ => None,
        };
        Ok(answers.iter().filter_map(link).collect())
    }

    /// All addresses of both families.
    pub fn addresses(&mut self) -> io::Result<Vec<AddressEvent>> {
        let answers = self.dump(RouteNetlinkMessage::GetAddress(AddressMessage::default()))?;
        let address = |m: &RouteNetlinkMessage| match m {
            RouteNetlinkMessage::NewAddress(address) => AddressEvent::from_message(address),
            _ => None,
        };
        Ok(answers.iter().filter_map(address).collect())
    }

    fn dump(&mut self, request: RouteNetlinkMessage) -> io::Result<Vec<RouteNetlinkMessage>> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut bytes = Vec::new();
        emit(request, self.sequence, NLM_F_REQUEST | NLM_F_DUMP, &mut bytes);
        self.socket.send(&bytes, 0)?;
        let mut answers = Vec::new();
        loop {
            let (buffer, _) = self.socket.recv_from_full()?;
            for message in messages(&buffer) {
                if message.header.sequence_number != self.sequence {
                    continue;
                }
                match message.payload {
                    NetlinkPayload::Done(_) => return Ok(answers),
                    NetlinkPayload::Error(error) => {
                        let code = error.code.map_or(0, |code| code.get().abs());
                        return Err(io::Error::from_raw_os_error(code));
                    }
                    NetlinkPayload::InnerMessage(inner) => answers.push(inner),
                    _ => {}
                }
            }
        }
    }
}

/// EIO, for an error without a number.
const fn libc_eio() -> i32 {
    5
}

fn emit(message: RouteNetlinkMessage, sequence: u32, flags: u16, out: &mut Vec<u8>) {
    let mut header = NetlinkHeader::default();
    (header.sequence_number, header.flags) = (sequence, flags);
    let mut packet = NetlinkMessage::new(header, NetlinkPayload::from(message));
    packet.finalize();
    let start = out.len();
    // Messages in one buffer start at multiples of four octets.
    out.resize(start + packet.buffer_len().next_multiple_of(4), 0);
    packet.serialize(&mut out[start..]);
}

/// The messages of one datagram; what cannot be read (attributes of a newer kernel) is left out.
pub(crate) fn messages(buffer: &[u8]) -> Vec<NetlinkMessage<RouteNetlinkMessage>> {
    let mut out = Vec::new();
    let mut rest = buffer;
    while rest.len() >= 16 {
        let length = u32::from_ne_bytes([rest[0], rest[1], rest[2], rest[3]]) as usize;
        if length < 16 || length > rest.len() {
            break;
        }
        out.extend(NetlinkMessage::deserialize(&rest[..length]));
        rest = &rest[length.next_multiple_of(4).min(rest.len())..];
    }
    out
}
