//! Questions and answers on the wire (RFC 1035, SRV: RFC 2782, EDNS: RFC 6891).
//!
//! Invariant: what comes back from [`read`] belongs to the question: its name, or a name that a chain of aliases
//! leads to. Whatever is else in a message is passed over, or a fault.
//!
//! Absent on purpose: ids that match (the core's), DNSSEC, classes other than the Internet's.

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use std::net::IpAddr;
use xxhash_rust::xxh32::xxh32;

/// Bytes of a message's head.
const HEAD: usize = 12;
/// Bytes of a name at most (RFC 1035, 2.3.4).
const NAME_MAX: usize = 253;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    Aaaa,
    /// Hosts and ports of a service.
    Srv,
}

impl Kind {
    /// The other family; services have none.
    pub fn other(self) -> Option<Self> {
        match self {
            Self::A => Some(Self::Aaaa),
            Self::Aaaa => Some(Self::A),
            Self::Srv => None,
        }
    }

    fn on_wire(self) -> RecordType {
        match self {
            Self::A => RecordType::A,
            Self::Aaaa => RecordType::AAAA,
            Self::Srv => RecordType::SRV,
        }
    }
}

/// One record of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Data {
    /// An address.
    Ip(IpAddr),
    /// A host of a service.
    Srv {
        /// 0..65535.
        weight: u16,
        /// Its port.
        port: u16,
        /// Its name, lower case, without the last dot.
        target: String,
        /// Its address, where the answer says it, too.
        ip: Option<IpAddr>,
    },
}

impl Data {
    /// The place of a record among others. haproxy keeps records by a hash of what they hold, so which of several
    /// addresses a server takes does not depend on the order in which a name server lists them.
    pub fn rank(&self) -> u32 {
        const TYPE_A: u32 = 1;
        const TYPE_AAAA: u32 = 28;
        match self {
            Self::Ip(IpAddr::V4(ip)) => xxh32(&ip.octets(), TYPE_A),
            Self::Ip(IpAddr::V6(ip)) => xxh32(&ip.octets(), TYPE_AAAA),
            Self::Srv { target, .. } => rank_of_host(target),
        }
    }
}

/// [`Data::rank`] of a service's host.
pub fn rank_of_host(host: &str) -> u32 {
    const TYPE_SRV: u32 = 33;
    let mut wire = Vec::with_capacity(host.len() + 1);
    for label in host.split('.') {
        wire.push(label.len() as u8);
        wire.extend_from_slice(label.as_bytes());
    }
    xxh32(&wire, TYPE_SRV)
}

/// What is wrong with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Not an answer to this question, or none that can be read.
    Invalid,
    /// Cut off.
    Truncated,
    /// There is no such name.
    Nx,
    /// The server does not want to.
    Refused,
    /// Another code.
    Other,
    /// No record in it.
    Empty,
    /// An alias without an address.
    Alias,
}

fn name(text: &str) -> Option<Name> {
    if text.is_empty() || text.len() > NAME_MAX {
        return None;
    }
    let mut name = Name::from_ascii(text).ok()?;
    name.set_fqdn(true);
    Some(name)
}

/// Whether a name can be asked for at all.
pub fn is_askable(text: &str) -> bool {
    name(text).is_some()
}

/// A question; `payload` is how long an answer may be.
pub fn query(id: u16, host: &str, kind: Kind, payload: u16) -> Option<Vec<u8>> {
    let mut message = Message::new(id, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(name(host)?, kind.on_wire()));
    let mut edns = Edns::new();
    edns.set_max_payload(payload);
    message.set_edns(edns);
    message.to_vec().ok()
}

/// The id of a message.
pub fn id_of(bytes: &[u8]) -> Option<u16> {
    let head: &[u8; HEAD] = bytes.first_chunk()?;
    Some(u16::from_be_bytes([head[0], head[1]]))
}

fn plain(name: &Name) -> String {
    let text = name.to_ascii().to_ascii_lowercase();
    text.strip_suffix('.').map_or(text.clone(), str::to_owned)
}

/// Reads the answer to a question for `host`.
pub fn read(bytes: &[u8], host: &str, kind: Kind) -> Result<Vec<Data>, Fault> {
    let head: &[u8; HEAD] = bytes.first_chunk().ok_or(Fault::Invalid)?;
    if head[2] & 0x80 == 0 {
        return Err(Fault::Invalid);
    }
    if head[2] & 0x02 != 0 {
        return Err(Fault::Truncated);
    }
    let message = Message::from_vec(bytes).map_err(|_| Fault::Invalid)?;
    match message.metadata.response_code {
        ResponseCode::NoError => {}
        ResponseCode::NXDomain => return Err(Fault::Nx),
        ResponseCode::Refused => return Err(Fault::Refused),
        _ => return Err(Fault::Other),
    }
    let [question] = message.queries.as_slice() else { return Err(Fault::Invalid) };
    if plain(&question.name) != host || question.query_type != kind.on_wire() {
        return Err(Fault::Invalid);
    }
    if message.answers.is_empty() {
        return Err(Fault::Empty);
    }
    let (mut wanted, mut aliased, mut found) = (host.to_owned(), false, Vec::new());
    for record in &message.answers {
        if plain(&record.name) != wanted {
            return Err(Fault::Invalid);
        }
        match &record.data {
            RData::CNAME(to) => {
                wanted = plain(&to.0);
                aliased = true;
            }
            RData::A(ip) if kind != Kind::Srv => found.push(Data::Ip(IpAddr::V4(ip.0))),
            RData::AAAA(ip) if kind != Kind::Srv => found.push(Data::Ip(IpAddr::V6(ip.0))),
            RData::SRV(service) if kind == Kind::Srv => found.push(Data::Srv {
                weight: service.weight,
                port: service.port,
                target: plain(&service.target),
                ip: None,
            }),
            _ => {}
        }
    }
    if kind == Kind::Srv {
        add_addresses(&mut found, &message);
    }
    match (found.is_empty(), aliased) {
        (false, _) => Ok(found),
        (true, true) => Err(Fault::Alias),
        (true, false) => Err(Fault::Empty),
    }
}

/// Addresses of the services' hosts that came along.
fn add_addresses(found: &mut [Data], message: &Message) {
    for record in &message.additionals {
        let address = match &record.data {
            RData::A(ip) => IpAddr::V4(ip.0),
            RData::AAAA(ip) => IpAddr::V6(ip.0),
            _ => continue,
        };
        let host = plain(&record.name);
        for one in &mut *found {
            if let Data::Srv { target, ip, .. } = one
                && *target == host
                && ip.is_none()
            {
                *ip = Some(address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The order in which haproxy 2.6.12 gave these addresses and hosts to servers of a template.
    #[test]
    fn records_stand_in_the_originals_order() {
        let order = ["10.30.113.134", "10.84.158.75", "10.120.155.27", "10.109.13.213", "10.133.139.50"];
        let ranks = order.map(|ip| Data::Ip(ip.parse().unwrap()).rank());
        assert!(ranks.is_sorted(), "{ranks:?}");
        let ranks = ["h6.test", "h3.test", "h1.test", "h2.test", "h0.test", "h5.test"].map(rank_of_host);
        assert!(ranks.is_sorted(), "{ranks:?}");
    }
}
