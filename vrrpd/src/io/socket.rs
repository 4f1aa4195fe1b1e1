//! Raw sockets for adverts: one to receive per (interface, family, protocol, group), one to send per source.
//!
//! Invariant: no call blocks, and one call reads a bounded number of packets, so a flood cannot hold up a timer. A packet
//! comes with the moment it arrived at the kernel, not that of its reading: timers start there.
//! Absent on purpose: what a packet means (core/).

use crate::config::model::Family;
use crate::core::advert::{PROTO_AH, PROTO_VRRP, Raw, TTL};
use crate::core::router::{Outgoing, SocketKey};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::socket::sockopt::{Ipv6RecvPacketInfo, ReceiveTimestampns};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrIn6, recvmsg, setsockopt};
use nix::sys::time::TimeSpec;
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, SockAddr, SockFilter, Socket, Type};
use std::collections::{BTreeSet, HashMap};
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Largest packet that is looked at: 255 addresses of 16 octets and all headers fit.
const PACKET_MAX: usize = 4352;
/// Packets read from one socket before timers are looked at again.
const READ_MAX: usize = 64;
/// A packet that waited longer counts as this old: should somebody set the clock just then, timers are off by no more.
const AGE_MAX: Duration = Duration::from_secs(1);
/// Internetwork control.
const TCLASS: u32 = 0xc0;
/// IPPROTO_RAW: sends what it is given, receives nothing.
const PROTO_RAW: i32 = 255;
/// Offset of the checksum in an advert.
const CHECKSUM_OFFSET: i32 = 6;
/// Sockets that are looked at in one call.
const SOCKETS_MAX: usize = 16;
/// BPF "return 0": a sending socket takes no packets in.
const DROP_ALL: SockFilter = SockFilter::new(0x06, 0, 0, 0);

/// All sockets of the daemon.
#[derive(Debug)]
pub struct Sockets {
    epoll: AsyncFd<OwnedFd>,
    poll: Epoll,
    receive: HashMap<SocketKey, Socket>,
    numbers: HashMap<u64, SocketKey>,
    send: HashMap<(SocketKey, IpAddr), Socket>,
    next: u64,
    buffer: Vec<u8>,
    control: Vec<u8>,
}

/// A packet and when it arrived.
pub type Arrived = (Instant, Raw);

/// A packet that could not be sent.
#[derive(Debug)]
pub struct Unsent {
    /// Name of the instance.
    pub instance: String,
    /// Why.
    pub error: io::Error,
}

/// Keys opened with their descriptors, and those that could not be.
pub type Reconciled = (Vec<(SocketKey, RawFd)>, Vec<(SocketKey, io::Error)>);

fn protocol(key: &SocketKey) -> i32 {
    i32::from(if key.ah { PROTO_AH } else { PROTO_VRRP })
}

fn domain(key: &SocketKey) -> Domain {
    if key.family == Family::Inet { Domain::IPV4 } else { Domain::IPV6 }
}

impl Sockets {
    /// No sockets; inside a tokio runtime.
    pub fn new() -> io::Result<Self> {
        let poll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let copy = poll.0.try_clone()?;
        #[expect(deprecated, reason = "its successor is unsafe; an OwnedFd owns its descriptor")]
        let epoll = AsyncFd::with_interest(copy, Interest::READABLE)?;
        let (receive, numbers, send) = (HashMap::new(), HashMap::new(), HashMap::new());
        let (buffer, control) = (vec![0; PACKET_MAX], nix::cmsg_space!(libc_in6_pktinfo, i32, TimeSpec));
        Ok(Self { epoll, poll, receive, numbers, send, next: 0, buffer, control })
    }

    /// Opens and closes sockets until exactly `wanted` are open; `name` tells an interface's name. Returns the keys
    /// opened with their descriptors (receive, send) and those that failed.
    pub fn reconcile(
        &mut self,
        wanted: &BTreeSet<SocketKey>,
        name: impl Fn(u32) -> Option<String>,
    ) -> Reconciled {
        self.receive.retain(|key, _| wanted.contains(key));
        self.numbers.retain(|_, key| wanted.contains(key));
        self.send.retain(|(key, _), _| wanted.contains(key));
        let (mut opened, mut failed) = (Vec::new(), Vec::new());
        for key in wanted {
            if self.receive.contains_key(key) {
                continue;
            }
            let device = name(key.ifindex);
            match self.open(key, device.as_deref()) {
                Ok(fd) => opened.push((key.clone(), fd)),
                Err(error) => failed.push((key.clone(), error)),
            }
        }
        (opened, failed)
    }

    /// What is open: descriptors to receive by and to send by.
    pub fn list(&self) -> Vec<(SocketKey, RawFd, Option<RawFd>)> {
        let send =
            |key: &SocketKey| self.send.iter().find(|((k, _), _)| k == key).map(|(_, s)| s.as_raw_fd());
        self.receive.iter().map(|(key, socket)| (key.clone(), socket.as_raw_fd(), send(key))).collect()
    }

    fn open(&mut self, key: &SocketKey, device: Option<&str>) -> io::Result<RawFd> {
        let socket = Socket::new(domain(key), Type::RAW, Some(Protocol::from(protocol(key))))?;
        socket.set_nonblocking(true)?;
        if let Some(device) = device {
            socket.bind_device(Some(device.as_bytes()))?;
        }
        setsockopt(&socket, ReceiveTimestampns, &true)?;
        if let Some(octets) = key.rcvbuf {
            sys::packet::receive_buffer(&socket, octets)?;
        }
        match key.family {
            Family::Inet => socket.set_multicast_all_v4(false)?,
            Family::Inet6 => {
                socket.set_multicast_all_v6(false)?;
                socket.set_recv_hoplimit_v6(true)?;
                setsockopt(&socket, Ipv6RecvPacketInfo, &true)?;
                sys::packet::ipv6_checksum(&socket, CHECKSUM_OFFSET)?;
            }
        }
        match (key.group, key.source) {
            (Some(IpAddr::V4(group)), _) => {
                socket.join_multicast_v4_n(&group, &InterfaceIndexOrAddress::Index(key.ifindex))?;
                socket.bind(&SockAddr::from(SocketAddr::new(group.into(), 0)))?;
            }
            (Some(IpAddr::V6(group)), _) => {
                socket.join_multicast_v6(&group, key.ifindex)?;
                socket.bind(&v6(group, key.ifindex))?;
            }
            (None, Some(IpAddr::V4(source))) => {
                socket.bind(&SockAddr::from(SocketAddr::new(source.into(), 0)))?;
            }
            (None, Some(IpAddr::V6(source))) => socket.bind(&v6(source, key.ifindex))?,
            (None, None) => {}
        }
        self.next += 1;
        let fd = socket.as_raw_fd();
        self.poll.add(&socket, EpollEvent::new(EpollFlags::EPOLLIN, self.next))?;
        self.numbers.insert(self.next, key.clone());
        self.receive.insert(key.clone(), socket);
        Ok(fd)
    }

    fn sender(key: &SocketKey, source: IpAddr, ttl: u8, device: Option<&str>) -> io::Result<Socket> {
        let kind = if key.family == Family::Inet { PROTO_RAW } else { protocol(key) };
        let socket = Socket::new(domain(key), Type::RAW, Some(Protocol::from(kind)))?;
        socket.set_nonblocking(true)?;
        if let Some(device) = device {
            socket.bind_device(Some(device.as_bytes()))?;
        }
        match source {
            IpAddr::V4(_) => {
                socket.set_header_included_v4(true)?;
                socket.set_multicast_loop_v4(false)?;
                if key.ifindex != 0 {
                    sys::packet::multicast_if_v4(&socket, key.ifindex)?;
                }
            }
            IpAddr::V6(source) => {
                socket.attach_filter(&[DROP_ALL])?;
                sys::packet::ipv6_checksum(&socket, CHECKSUM_OFFSET)?;
                socket.set_multicast_loop_v6(false)?;
                socket.set_multicast_hops_v6(u32::from(TTL))?;
                socket.set_unicast_hops_v6(u32::from(ttl))?;
                socket.set_tclass_v6(TCLASS)?;
                if key.ifindex != 0 {
                    socket.set_multicast_if_v6(key.ifindex)?;
                }
                socket.bind(&v6(source, key.ifindex))?;
            }
        }
        Ok(socket)
    }

    /// Sends packets in order, those of one socket as many as possible in one system call; returns those that did not go.
    pub fn send(&mut self, packets: &[Outgoing], name: impl Fn(u32) -> Option<String>) -> Vec<Unsent> {
        let mut unsent = Vec::new();
        let mut rest = packets;
        while let Some(first) = rest.first() {
            let same = |p: &&Outgoing| p.socket == first.socket && p.source == first.source;
            let run = rest.iter().take_while(same).count();
            let (part, after) = rest.split_at(run);
            rest = after;
            let slot = (first.socket.clone(), first.source);
            if !self.send.contains_key(&slot) {
                let device = name(first.socket.ifindex);
                match Self::sender(&first.socket, first.source, first.ttl, device.as_deref()) {
                    Ok(socket) => {
                        self.send.insert(slot.clone(), socket);
                    }
                    Err(error) => {
                        let code = error.raw_os_error().unwrap_or_default();
                        unsent.extend(part.iter().map(|p| failed(p, io::Error::from_raw_os_error(code))));
                        continue;
                    }
                }
            }
            self.send_run(&slot, part, &mut unsent);
        }
        unsent
    }

    /// Sends one packet by a socket made for it; for a supervisor that has no others.
    pub fn send_once(packet: &Outgoing, device: Option<&str>) {
        if let Ok(socket) = Self::sender(&packet.socket, packet.source, packet.ttl, device) {
            let to = destination(packet);
            // Nothing can be done about a failure: the peers find out by their timers.
            let _sent = sys::packet::send_batch(&socket, &[(&to, packet.bytes.as_slice())]);
        }
    }

    fn send_run(&self, slot: &(SocketKey, IpAddr), part: &[Outgoing], unsent: &mut Vec<Unsent>) {
        let Some(socket) = self.send.get(slot) else { return };
        let addresses: Vec<SockAddr> = part.iter().map(destination).collect();
        let mut at = 0;
        while at < part.len() {
            let batch: Vec<(&SockAddr, &[u8])> =
                addresses[at..].iter().zip(part[at..].iter().map(|p| p.bytes.as_slice())).collect();
            let (sent, error) = sys::packet::send_batch(socket, &batch);
            at += sent;
            if let Some(error) = error {
                unsent.push(failed(&part[at], error));
                at += 1;
            }
        }
    }

    /// Waits for packets and reads a bounded number of them. Cancel safe.
    pub async fn receive(&mut self, out: &mut Vec<Arrived>) -> io::Result<()> {
        loop {
            let mut guard = self.epoll.readable().await?;
            let mut events = [EpollEvent::empty(); SOCKETS_MAX];
            let n = self.poll.wait(&mut events, EpollTimeout::ZERO)?;
            if n == 0 {
                guard.clear_ready();
                continue;
            }
            drop(guard);
            self.read_all(&events[..n], out);
            if !out.is_empty() {
                return Ok(());
            }
        }
    }

    /// Reads a bounded number of the packets that are there.
    pub fn receive_now(&mut self, out: &mut Vec<Arrived>) -> io::Result<()> {
        let mut events = [EpollEvent::empty(); SOCKETS_MAX];
        let n = self.poll.wait(&mut events, EpollTimeout::ZERO)?;
        self.read_all(&events[..n], out);
        Ok(())
    }

    fn read_all(&mut self, events: &[EpollEvent], out: &mut Vec<Arrived>) {
        for event in events {
            let Some(key) = self.numbers.get(&event.data()).cloned() else { continue };
            self.read(&key, out);
        }
    }

    fn read(&mut self, key: &SocketKey, out: &mut Vec<Arrived>) {
        let Some(socket) = self.receive.get(key) else { return };
        for _ in 0..READ_MAX {
            // Nothing more, or an error of the interface (down): the netlink monitor tells about that.
            let Ok(read) = receive(socket, &mut self.buffer, &mut self.control) else { return };
            let raw = Raw {
                ifindex: key.ifindex,
                family: key.family,
                // An IPv4 sender's address is in the packet, and not one of this form.
                source: read.source.filter(|_| key.family == Family::Inet6),
                destination: read.destination,
                hop_limit: read.hop_limit,
                bytes: self.buffer[..read.octets].to_vec(),
            };
            let age = read.stamp.map_or(Duration::ZERO, |at| at.elapsed().unwrap_or_default());
            let now = Instant::now();
            out.push((now.checked_sub(age.min(AGE_MAX)).unwrap_or(now), raw));
        }
    }
}

fn destination(packet: &Outgoing) -> SockAddr {
    match packet.destination {
        IpAddr::V4(to) => SockAddr::from(SocketAddr::new(to.into(), 0)),
        IpAddr::V6(to) => v6(to, packet.socket.ifindex),
    }
}

fn failed(packet: &Outgoing, error: io::Error) -> Unsent {
    Unsent { instance: packet.instance.name.clone(), error }
}

fn local(address: Ipv6Addr) -> bool {
    address.is_multicast() || address.is_unicast_link_local()
}

fn v6(address: Ipv6Addr, ifindex: u32) -> SockAddr {
    let scope = if local(address) { ifindex } else { 0 };
    SockAddr::from(SocketAddrV6::new(address, 0, 0, scope))
}

/// What one call read. Source and destination are those of IPv6; IPv4 has them in the packet.
struct Received {
    octets: usize,
    source: Option<Ipv6Addr>,
    destination: Option<Ipv6Addr>,
    hop_limit: Option<u8>,
    stamp: Option<SystemTime>,
}

fn receive(socket: &Socket, buffer: &mut [u8], control: &mut Vec<u8>) -> nix::Result<Received> {
    let mut slices = [IoSliceMut::new(buffer)];
    let fd = socket.as_fd().as_raw_fd();
    let message = recvmsg::<SockaddrIn6>(fd, &mut slices, Some(control), MsgFlags::MSG_DONTWAIT)?;
    let source = message.address.map(|a| a.ip());
    let mut read =
        Received { octets: message.bytes, source, destination: None, hop_limit: None, stamp: None };
    for part in message.cmsgs()? {
        match part {
            ControlMessageOwned::Ipv6PacketInfo(info) => {
                read.destination = Some(Ipv6Addr::from(info.ipi6_addr.s6_addr));
            }
            ControlMessageOwned::Ipv6HopLimit(limit) => read.hop_limit = u8::try_from(limit).ok(),
            ControlMessageOwned::ScmTimestampns(at) => read.stamp = Some(UNIX_EPOCH + Duration::from(at)),
            _ => {}
        }
    }
    Ok(read)
}

/// Room for a struct in6_pktinfo: an address and a number.
#[expect(non_camel_case_types, reason = "named for the kernel's struct")]
type libc_in6_pktinfo = [u8; 20];
