//! Generic netlink messages of the IPVS family (`include/uapi/linux/ip_vs.h`): our table's commands as attributes,
//! and the kernel's dumps as entries.
//!
//! Invariant: reading never panics; attributes we don't know are passed over.
//!
//! Absent on purpose: sockets (`kernel.rs`), statistics.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use netlink_packet_core::{DecodeError, DefaultNla, Emitable, ParseableParametrized};
use netlink_packet_generic::{GenlFamily, GenlHeader};

use crate::config::model::{
    Family, Method, Protocol, SchedulerFlags, SyncDaemon, Tunnel, TunnelChecksum, TunnelKind,
};
use crate::core::plan::{Command, Destination, Service, ServiceKey};

/// Commands of the family.
pub mod command {
    /// New service.
    pub const NEW_SERVICE: u8 = 1;
    /// Change a service.
    pub const SET_SERVICE: u8 = 2;
    /// Remove a service.
    pub const DEL_SERVICE: u8 = 3;
    /// Dump services.
    pub const GET_SERVICE: u8 = 4;
    /// New destination.
    pub const NEW_DEST: u8 = 5;
    /// Change a destination.
    pub const SET_DEST: u8 = 6;
    /// Remove a destination.
    pub const DEL_DEST: u8 = 7;
    /// Dump destinations.
    pub const GET_DEST: u8 = 8;
    /// Start a sync daemon.
    pub const NEW_DAEMON: u8 = 9;
    /// Stop a sync daemon.
    pub const DEL_DAEMON: u8 = 10;
    /// Set timeouts.
    pub const SET_CONFIG: u8 = 12;
    /// Version and table size.
    pub const GET_INFO: u8 = 15;
    /// Empty the table.
    pub const FLUSH: u8 = 17;
}

const CMD_SERVICE: u16 = 1;
const CMD_DEST: u16 = 2;
const CMD_DAEMON: u16 = 3;
const CMD_TIMEOUT_TCP: u16 = 4;
const CMD_TIMEOUT_TCP_FIN: u16 = 5;
const CMD_TIMEOUT_UDP: u16 = 6;

const SVC_AF: u16 = 1;
const SVC_PROTOCOL: u16 = 2;
const SVC_ADDR: u16 = 3;
const SVC_PORT: u16 = 4;
const SVC_FWMARK: u16 = 5;
const SVC_SCHED_NAME: u16 = 6;
const SVC_FLAGS: u16 = 7;
const SVC_TIMEOUT: u16 = 8;
const SVC_NETMASK: u16 = 9;
const SVC_PE_NAME: u16 = 11;

const DEST_ADDR: u16 = 1;
const DEST_PORT: u16 = 2;
const DEST_FWD_METHOD: u16 = 3;
const DEST_WEIGHT: u16 = 4;
const DEST_U_THRESH: u16 = 5;
const DEST_L_THRESH: u16 = 6;
const DEST_ADDR_FAMILY: u16 = 11;
const DEST_TUN_TYPE: u16 = 13;
const DEST_TUN_PORT: u16 = 14;
const DEST_TUN_FLAGS: u16 = 15;

const DAEMON_STATE: u16 = 1;
const DAEMON_MCAST_IFN: u16 = 2;
const DAEMON_SYNC_ID: u16 = 3;
const DAEMON_SYNC_MAXLEN: u16 = 4;
const DAEMON_MCAST_GROUP: u16 = 5;
const DAEMON_MCAST_GROUP6: u16 = 6;
const DAEMON_MCAST_PORT: u16 = 7;
const DAEMON_MCAST_TTL: u16 = 8;

/// `IPVS_INFO_ATTR_VERSION`.
pub const INFO_VERSION: u16 = 1;

const F_PERSISTENT: u32 = 0x1;
const F_ONEPACKET: u32 = 0x4;
const F_SCHED1: u32 = 0x8;
const F_SCHED2: u32 = 0x10;
const F_SCHED3: u32 = 0x20;
const F_OURS: u32 = F_PERSISTENT | F_ONEPACKET | F_SCHED1 | F_SCHED2 | F_SCHED3;

const FWD_MASK: u32 = 0x7;
const FWD_MASQ: u32 = 0;
const FWD_TUNNEL: u32 = 2;
const FWD_DROUTE: u32 = 3;

const TUN_IPIP: u8 = 0;
const TUN_GUE: u8 = 1;
const TUN_GRE: u8 = 2;

/// Netlink's flag of nested attributes.
const NESTED: u16 = 0x8000;

/// A message of the family: a command with encoded attributes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// One of [`command`].
    pub command: u8,
    /// Attributes.
    pub attributes: Vec<u8>,
}

impl GenlFamily for Message {
    fn family_name() -> &'static str {
        "IPVS"
    }

    fn command(&self) -> u8 {
        self.command
    }

    fn version(&self) -> u8 {
        1
    }
}

impl Emitable for Message {
    fn buffer_len(&self) -> usize {
        self.attributes.len()
    }

    fn emit(&self, buffer: &mut [u8]) {
        buffer[..self.attributes.len()].copy_from_slice(&self.attributes);
    }
}

impl ParseableParametrized<[u8], GenlHeader> for Message {
    fn parse_with_param(buffer: &[u8], header: GenlHeader) -> Result<Self, DecodeError> {
        Ok(Self { command: header.cmd, attributes: buffer.to_vec() })
    }
}

fn emit(list: &[DefaultNla]) -> Vec<u8> {
    let mut bytes = vec![0; list.buffer_len()];
    list.emit(&mut bytes);
    bytes
}

fn nested(kind: u16, list: &[DefaultNla]) -> DefaultNla {
    DefaultNla::new(kind | NESTED, emit(list))
}

fn number(kind: u16, value: u32) -> DefaultNla {
    DefaultNla::new(kind, value.to_ne_bytes().to_vec())
}

fn short(kind: u16, value: u16) -> DefaultNla {
    DefaultNla::new(kind, value.to_ne_bytes().to_vec())
}

fn string(kind: u16, text: &str) -> DefaultNla {
    let mut bytes = text.as_bytes().to_vec();
    bytes.push(0);
    DefaultNla::new(kind, bytes)
}

fn address(kind: u16, ip: IpAddr) -> DefaultNla {
    let mut bytes = match ip {
        IpAddr::V4(a) => a.octets().to_vec(),
        IpAddr::V6(a) => a.octets().to_vec(),
    };
    bytes.resize(16, 0);
    DefaultNla::new(kind, bytes)
}

fn af(family: Family) -> u16 {
    match family {
        Family::Inet => libc::AF_INET as u16,
        Family::Inet6 => libc::AF_INET6 as u16,
    }
}

fn key_attributes(key: &ServiceKey) -> Vec<DefaultNla> {
    match key {
        ServiceKey::Address(protocol, to) => vec![
            short(SVC_AF, af(Family::of(to.ip()))),
            short(
                SVC_PROTOCOL,
                match protocol {
                    Protocol::Tcp | Protocol::None => libc::IPPROTO_TCP,
                    Protocol::Udp => libc::IPPROTO_UDP,
                    Protocol::Sctp => libc::IPPROTO_SCTP,
                } as u16,
            ),
            address(SVC_ADDR, to.ip()),
            DefaultNla::new(SVC_PORT, to.port().to_be_bytes().to_vec()),
        ],
        ServiceKey::Fwmark(mark, family) => vec![short(SVC_AF, af(*family)), number(SVC_FWMARK, *mark)],
    }
}

fn service_attributes(key: &ServiceKey, service: &Service) -> Vec<DefaultNla> {
    let mut list = key_attributes(key);
    list.push(string(SVC_SCHED_NAME, &service.scheduler));
    if let Some(engine) = &service.engine {
        list.push(string(SVC_PE_NAME, engine));
    }
    let mut flags = 0;
    for (set, bit) in [
        (service.persistence_s.is_some(), F_PERSISTENT),
        (service.one_packet, F_ONEPACKET),
        (service.flags.one, F_SCHED1),
        (service.flags.two, F_SCHED2),
        (service.flags.three, F_SCHED3),
    ] {
        if set {
            flags |= bit;
        }
    }
    let mut both = flags.to_ne_bytes().to_vec();
    both.extend_from_slice(&u32::MAX.to_ne_bytes());
    list.push(DefaultNla::new(SVC_FLAGS, both));
    list.push(number(SVC_TIMEOUT, service.persistence_s.unwrap_or(0)));
    // An IPv4 mask is in network order, an IPv6 prefix length is a number.
    let netmask = match key.family() {
        Family::Inet => service.netmask.to_be(),
        Family::Inet6 => service.netmask,
    };
    list.push(number(SVC_NETMASK, netmask));
    list
}

fn destination_attributes(to: SocketAddr, destination: Option<&Destination>) -> Vec<DefaultNla> {
    let mut list = vec![
        address(DEST_ADDR, to.ip()),
        DefaultNla::new(DEST_PORT, to.port().to_be_bytes().to_vec()),
        short(DEST_ADDR_FAMILY, af(Family::of(to.ip()))),
    ];
    let Some(destination) = destination else { return list };
    let method = match destination.method {
        Method::Nat => FWD_MASQ,
        Method::Dr => FWD_DROUTE,
        Method::Tun(_) => FWD_TUNNEL,
    };
    list.push(number(DEST_FWD_METHOD, method));
    list.push(number(DEST_WEIGHT, destination.weight));
    list.push(number(DEST_U_THRESH, destination.upper));
    list.push(number(DEST_L_THRESH, destination.lower));
    if let Method::Tun(tunnel) = destination.method
        && tunnel != Tunnel::default()
    {
        let (kind, port) = match tunnel.kind {
            TunnelKind::Ipip => (TUN_IPIP, 0),
            TunnelKind::Gue { port } => (TUN_GUE, port),
            TunnelKind::Gre => (TUN_GRE, 0),
        };
        let flags = match tunnel.checksum {
            TunnelChecksum::None => 0,
            TunnelChecksum::Checksum => 1,
            TunnelChecksum::Remote => 2,
        };
        list.push(DefaultNla::new(DEST_TUN_TYPE, vec![kind]));
        list.push(DefaultNla::new(DEST_TUN_PORT, u16::to_be_bytes(port).to_vec()));
        list.push(short(DEST_TUN_FLAGS, flags));
    }
    list
}

/// The message of a table's command.
pub fn message(what: &Command) -> Message {
    let service = |command, key, service: &Service| Message {
        command,
        attributes: emit(&[nested(CMD_SERVICE, &service_attributes(key, service))]),
    };
    let destination = |command, key, to, destination| Message {
        command,
        attributes: emit(&[
            nested(CMD_SERVICE, &key_attributes(key)),
            nested(CMD_DEST, &destination_attributes(to, destination)),
        ]),
    };
    match what {
        Command::AddService(key, s) => service(command::NEW_SERVICE, key, s),
        Command::EditService(key, s) => service(command::SET_SERVICE, key, s),
        Command::DeleteService(key) => Message {
            command: command::DEL_SERVICE,
            attributes: emit(&[nested(CMD_SERVICE, &key_attributes(key))]),
        },
        Command::AddDestination(key, to, d) => destination(command::NEW_DEST, key, *to, Some(d)),
        Command::EditDestination(key, to, d) => destination(command::SET_DEST, key, *to, Some(d)),
        Command::DeleteDestination(key, to) => destination(command::DEL_DEST, key, *to, None),
    }
}

/// The dump of all services.
pub fn dump_services() -> Message {
    Message { command: command::GET_SERVICE, attributes: Vec::new() }
}

/// The dump of a service's destinations.
pub fn dump_destinations(key: &ServiceKey) -> Message {
    let attributes = emit(&[nested(CMD_SERVICE, &key_attributes(key))]);
    Message { command: command::GET_DEST, attributes }
}

/// Empty the table.
pub fn flush() -> Message {
    Message { command: command::FLUSH, attributes: Vec::new() }
}

/// Ask for the version.
pub fn info() -> Message {
    Message { command: command::GET_INFO, attributes: Vec::new() }
}

/// Set all three timeouts, seconds; 0 leaves one as it is.
pub fn timeouts(tcp_s: u32, tcp_fin_s: u32, udp_s: u32) -> Message {
    let list = [
        number(CMD_TIMEOUT_TCP, tcp_s),
        number(CMD_TIMEOUT_TCP_FIN, tcp_fin_s),
        number(CMD_TIMEOUT_UDP, udp_s),
    ];
    Message { command: command::SET_CONFIG, attributes: emit(&list) }
}

/// Which of the two sync daemons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SyncState {
    /// Sends.
    Master,
    /// Receives.
    Backup,
}

/// Start or stop a sync daemon.
pub fn sync_daemon(start: bool, state: SyncState, daemon: &SyncDaemon) -> Message {
    let mut list = vec![
        number(DAEMON_STATE, if state == SyncState::Master { 1 } else { 2 }),
        string(DAEMON_MCAST_IFN, &daemon.interface),
        number(DAEMON_SYNC_ID, u32::from(daemon.id.unwrap_or(0))),
    ];
    if start {
        if let Some(length) = daemon.max_len {
            list.push(short(DAEMON_SYNC_MAXLEN, length));
        }
        match daemon.group {
            Some(IpAddr::V4(group)) => {
                list.push(DefaultNla::new(DAEMON_MCAST_GROUP, group.octets().to_vec()));
            }
            Some(IpAddr::V6(group)) => {
                list.push(DefaultNla::new(DAEMON_MCAST_GROUP6, group.octets().to_vec()));
            }
            None => {}
        }
        if let Some(port) = daemon.port {
            list.push(short(DAEMON_MCAST_PORT, port));
        }
        if let Some(ttl) = daemon.ttl {
            list.push(DefaultNla::new(DAEMON_MCAST_TTL, vec![ttl]));
        }
    }
    let command = if start { command::NEW_DAEMON } else { command::DEL_DAEMON };
    Message { command, attributes: emit(&[nested(CMD_DAEMON, &list)]) }
}

/// Attributes of a message as (kind, value), without the flags of the kind.
pub fn attributes(mut bytes: &[u8]) -> Vec<(u16, &[u8])> {
    let mut list = Vec::new();
    while let Some(head) = bytes.get(..4) {
        let length = usize::from(u16::from_ne_bytes([head[0], head[1]]));
        let kind = u16::from_ne_bytes([head[2], head[3]]) & 0x3fff;
        let Some(value) = bytes.get(4..length.max(4)) else { break };
        if length < 4 {
            break;
        }
        list.push((kind, value));
        bytes = bytes.get((length + 3) & !3..).unwrap_or_default();
    }
    list
}

fn find<'a>(list: &[(u16, &'a [u8])], kind: u16) -> Option<&'a [u8]> {
    list.iter().find(|(k, _)| *k == kind).map(|(_, v)| *v)
}

/// A 32-bit number among attributes.
pub fn read_u32(list: &[(u16, &[u8])], kind: u16) -> Option<u32> {
    Some(u32::from_ne_bytes(find(list, kind)?.get(..4)?.try_into().ok()?))
}

fn read_u16(list: &[(u16, &[u8])], kind: u16) -> Option<u16> {
    Some(u16::from_ne_bytes(find(list, kind)?.get(..2)?.try_into().ok()?))
}

fn read_port(list: &[(u16, &[u8])], kind: u16) -> Option<u16> {
    Some(u16::from_be_bytes(find(list, kind)?.get(..2)?.try_into().ok()?))
}

fn read_text(list: &[(u16, &[u8])], kind: u16) -> Option<String> {
    let bytes = find(list, kind)?;
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    Some(String::from_utf8_lossy(&bytes[..end]).into_owned())
}

fn read_address(list: &[(u16, &[u8])], kind: u16, family: Family) -> Option<IpAddr> {
    let bytes = find(list, kind)?;
    Some(match family {
        Family::Inet => Ipv4Addr::from(<[u8; 4]>::try_from(bytes.get(..4)?).ok()?).into(),
        Family::Inet6 => Ipv6Addr::from(<[u8; 16]>::try_from(bytes.get(..16)?).ok()?).into(),
    })
}

fn read_family(value: u16) -> Option<Family> {
    match i32::from(value) {
        libc::AF_INET => Some(Family::Inet),
        libc::AF_INET6 => Some(Family::Inet6),
        _ => None,
    }
}

/// A service out of a dump; `None` for what isn't one we could have made.
pub fn read_service(message: &Message) -> Option<(ServiceKey, Service)> {
    let top = attributes(&message.attributes);
    let list = attributes(find(&top, CMD_SERVICE)?);
    let family = read_family(read_u16(&list, SVC_AF)?)?;
    let key = match read_u32(&list, SVC_FWMARK) {
        Some(mark) if mark != 0 => ServiceKey::Fwmark(mark, family),
        _ => {
            let protocol = match i32::from(read_u16(&list, SVC_PROTOCOL)?) {
                libc::IPPROTO_TCP => Protocol::Tcp,
                libc::IPPROTO_UDP => Protocol::Udp,
                libc::IPPROTO_SCTP => Protocol::Sctp,
                _ => return None,
            };
            let ip = read_address(&list, SVC_ADDR, family)?;
            ServiceKey::Address(protocol, SocketAddr::new(ip, read_port(&list, SVC_PORT)?))
        }
    };
    let flags = read_u32(&list, SVC_FLAGS)? & F_OURS;
    let netmask = read_u32(&list, SVC_NETMASK)?;
    let service = Service {
        scheduler: read_text(&list, SVC_SCHED_NAME)?,
        flags: SchedulerFlags {
            one: flags & F_SCHED1 != 0,
            two: flags & F_SCHED2 != 0,
            three: flags & F_SCHED3 != 0,
        },
        one_packet: flags & F_ONEPACKET != 0,
        persistence_s: (flags & F_PERSISTENT != 0).then(|| read_u32(&list, SVC_TIMEOUT).unwrap_or(0)),
        netmask: if family == Family::Inet { u32::from_be(netmask) } else { netmask },
        engine: read_text(&list, SVC_PE_NAME).filter(|t| !t.is_empty()),
    };
    Some((key, service))
}

/// A destination out of a dump of a service of this family.
pub fn read_destination(message: &Message, service_family: Family) -> Option<(SocketAddr, Destination)> {
    let top = attributes(&message.attributes);
    let list = attributes(find(&top, CMD_DEST)?);
    let family = read_u16(&list, DEST_ADDR_FAMILY).and_then(read_family).unwrap_or(service_family);
    let ip = read_address(&list, DEST_ADDR, family)?;
    let to = SocketAddr::new(ip, read_port(&list, DEST_PORT)?);
    let method = match read_u32(&list, DEST_FWD_METHOD)? & FWD_MASK {
        FWD_TUNNEL => {
            let kind = match find(&list, DEST_TUN_TYPE).and_then(|v| v.first()) {
                Some(&TUN_GUE) => TunnelKind::Gue { port: read_port(&list, DEST_TUN_PORT).unwrap_or(0) },
                Some(&TUN_GRE) => TunnelKind::Gre,
                _ => TunnelKind::Ipip,
            };
            let checksum = match read_u16(&list, DEST_TUN_FLAGS) {
                Some(1) => TunnelChecksum::Checksum,
                Some(2) => TunnelChecksum::Remote,
                _ => TunnelChecksum::None,
            };
            Method::Tun(Tunnel { kind, checksum })
        }
        FWD_DROUTE => Method::Dr,
        _ => Method::Nat,
    };
    let destination = Destination {
        method,
        weight: read_u32(&list, DEST_WEIGHT).unwrap_or(0),
        upper: read_u32(&list, DEST_U_THRESH).unwrap_or(0),
        lower: read_u32(&list, DEST_L_THRESH).unwrap_or(0),
    };
    Some((to, destination))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn service() -> Service {
        Service {
            scheduler: "wrr".into(),
            flags: SchedulerFlags { one: true, two: false, three: true },
            one_packet: false,
            persistence_s: Some(50),
            netmask: 0xffff_ff00,
            engine: Some("sip".into()),
        }
    }

    #[test]
    fn services_are_read_as_written() {
        for key in [
            ServiceKey::Address(Protocol::Udp, "10.0.0.1:53".parse().expect("address")),
            ServiceKey::Address(Protocol::Tcp, "[2001:db8::1]:80".parse().expect("address")),
            ServiceKey::Fwmark(7, Family::Inet6),
        ] {
            let sent = message(&Command::AddService(key, service()));
            assert_eq!(read_service(&sent), Some((key, service())));
        }
    }

    #[test]
    fn destinations_are_read_as_written() {
        let key = ServiceKey::Fwmark(7, Family::Inet);
        let to: SocketAddr = "[2001:db8::2]:81".parse().expect("address");
        let gue = Tunnel { kind: TunnelKind::Gue { port: 6080 }, checksum: TunnelChecksum::Remote };
        for method in [Method::Nat, Method::Dr, Method::Tun(Tunnel::default()), Method::Tun(gue)] {
            let d = Destination { method, weight: 3, upper: 9, lower: 1 };
            let sent = message(&Command::AddDestination(key, to, d));
            assert_eq!(read_destination(&sent, Family::Inet), Some((to, d)));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(attributes in prop::collection::vec(any::<u8>(), 0..200)) {
            let message = Message { command: 4, attributes };
            let _ = read_service(&message);
            let _ = read_destination(&message, Family::Inet);
        }
    }
}
