//! What the supervisor needs to bury this daemon: the farewell of every Master and the addresses it holds.
//!
//! Invariant: lines of JSON over a socket that the supervisor made; a full socket never holds us up (the line waits
//! here). When the daemon dies, [`Keeper::bury`] sends priority 0 for it and removes its addresses, so that a peer
//! takes over in skew time. Absent on purpose: any decision; a router that is not Master holds nothing.

use crate::config::model::{Authentication, Family, Instance};
use crate::core::router::{Outgoing, Router, SocketKey};
use crate::io::{address, socket::Sockets};
use crate::messages::StateName;
use netlink::{Change, Commands};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

/// Longest that unread lines may grow before the oldest state is given up: 1,000 instances of 1 kB, four times.
const WAITING_MAX: usize = 4 << 20;

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "t", rename_all = "lowercase")]
pub enum Line {
    /// The daemon works with its (new) configuration.
    Ready {
        /// After a reload.
        reload: bool,
    },
    /// A reload was refused; the old configuration is in force.
    Refused,
    /// An instance holds this; empty lists: nothing.
    Held(Held),
}

/// What one instance holds.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Held {
    /// Instance.
    pub name: String,
    /// Packets that resign.
    pub packets: Vec<Packet>,
    /// Addresses to remove.
    pub addresses: Vec<HeldAddress>,
}

/// A packet, ready to send.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Packet {
    /// Interface number.
    pub ifindex: u32,
    /// Interface name.
    pub device: Option<String>,
    /// Authentication header.
    pub ah: bool,
    /// Sender.
    pub source: IpAddr,
    /// Receiver.
    pub destination: IpAddr,
    /// TTL.
    pub ttl: u8,
    /// Octets.
    pub bytes: Vec<u8>,
}

/// An address on an interface.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeldAddress {
    /// Interface number.
    pub ifindex: u32,
    /// Address.
    pub address: IpAddr,
    /// Prefix length.
    pub prefix_len: u8,
    /// Peer address.
    pub peer: Option<IpAddr>,
}

/// What instance `i` of the router holds now.
pub fn held(router: &Router, i: usize) -> Held {
    let member = &router.members[i];
    let name = member.config.name.clone();
    if member.machine.name() != StateName::Master {
        return Held { name, ..Held::default() };
    }
    let device = (!member.config.interface.is_empty()).then(|| member.config.speaker().to_owned());
    let packets = router.farewell(i).into_iter().map(|p| Packet {
        ifindex: p.socket.ifindex,
        device: device.clone(),
        ah: p.socket.ah,
        source: p.source,
        destination: p.destination,
        ttl: p.ttl,
        bytes: p.bytes,
    });
    let index = |name: &str| router.link(name).map(|l| l.index);
    let addresses = member.addresses();
    let addresses = addresses.iter().filter_map(|a| address::address(&member.config, a, &index));
    let addresses = addresses.map(|a| HeldAddress {
        ifindex: a.index,
        address: a.address,
        prefix_len: a.prefix_len,
        peer: a.peer,
    });
    Held { name, packets: packets.collect(), addresses: addresses.collect() }
}

/// The daemon's end.
#[derive(Debug)]
pub struct Teller {
    socket: UnixStream,
    waiting: Vec<u8>,
    /// What was said last of each instance that holds something, as a hash of the line.
    told: HashMap<String, u64>,
}

impl Teller {
    /// Takes the socket.
    pub fn new(fd: OwnedFd) -> io::Result<Self> {
        let socket = UnixStream::from(fd);
        socket.set_nonblocking(true)?;
        Ok(Self { socket, waiting: Vec::new(), told: HashMap::new() })
    }

    /// Says a line, now or with the next one.
    pub fn say(&mut self, line: &Line) {
        self.push(line);
        self.flush();
    }

    /// Notes what an instance holds, unless that is what was said of it last; goes with the next [`Self::flush`].
    pub fn held(&mut self, held: Held) {
        let holds = !(held.packets.is_empty() && held.addresses.is_empty());
        if !holds && !self.told.contains_key(&held.name) {
            return;
        }
        let line = Line::Held(held);
        let before = self.waiting.len();
        if !self.push(&line) {
            return;
        }
        let mut hasher = DefaultHasher::new();
        self.waiting[before..].hash(&mut hasher);
        let (Line::Held(held), hash) = (line, hasher.finish()) else { return };
        if !holds {
            self.told.remove(&held.name);
        } else if self.told.insert(held.name, hash) == Some(hash) {
            self.waiting.truncate(before);
        }
    }

    /// Instances that hold something as far as the supervisor knows.
    pub fn holders(&self) -> Vec<String> {
        self.told.keys().cloned().collect()
    }

    /// Sends what waits, as far as the socket takes it.
    pub fn flush(&mut self) {
        while !self.waiting.is_empty() {
            match self.socket.write(&self.waiting) {
                Ok(n) if n > 0 => drop(self.waiting.drain(..n)),
                _ => return,
            }
        }
        // A thousand lines at once are rare: their room is not kept.
        self.waiting = Vec::new();
    }

    fn push(&mut self, line: &Line) -> bool {
        let before = self.waiting.len();
        if before > WAITING_MAX || serde_json::to_writer(&mut self.waiting, line).is_err() {
            self.waiting.truncate(before);
            return false;
        }
        self.waiting.push(b'\n');
        true
    }
}

/// The supervisor's end.
#[derive(Debug)]
pub struct Keeper {
    socket: UnixStream,
    unread: Vec<u8>,
    held: BTreeMap<String, Held>,
}

impl Keeper {
    /// Takes its end of the socket pair.
    pub fn new(socket: UnixStream) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(Self { socket, unread: Vec::new(), held: BTreeMap::new() })
    }

    /// The socket, to wait for lines on.
    pub fn socket(&self) -> &UnixStream {
        &self.socket
    }

    /// Reads what is there; returns the lines that are news to the supervisor (not [`Line::Held`]), and whether the
    /// daemon's end is still open.
    pub fn read(&mut self) -> (Vec<Line>, bool) {
        let mut news = Vec::new();
        let mut buffer = vec![0; 65536];
        let mut open = true;
        loop {
            match self.socket.read(&mut buffer) {
                Ok(0) => {
                    open = false;
                    break;
                }
                Ok(n) => self.unread.extend_from_slice(&buffer[..n]),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        let mut start = 0;
        while let Some(end) = self.unread[start..].iter().position(|b| *b == b'\n') {
            match serde_json::from_slice(&self.unread[start..start + end]) {
                Ok(Line::Held(held)) if held.packets.is_empty() && held.addresses.is_empty() => {
                    self.held.remove(&held.name);
                }
                Ok(Line::Held(held)) => {
                    self.held.insert(held.name.clone(), held);
                }
                Ok(line) => news.push(line),
                Err(_) => {}
            }
            start += end + 1;
        }
        self.unread.drain(..start);
        (news, open)
    }

    /// Resigns for the dead daemon and removes its addresses; returns how many instances it held.
    pub fn bury(&mut self) -> usize {
        let _news = self.read();
        let held = std::mem::take(&mut self.held);
        for packet in held.values().flat_map(|h| &h.packets) {
            let (outgoing, device) = outgoing(packet);
            Sockets::send_once(&outgoing, device);
        }
        let changes: Vec<Change> = held
            .values()
            .flat_map(|h| &h.addresses)
            .map(|a| {
                let mut address = netlink::Address::new(a.ifindex, a.address, a.prefix_len);
                address.peer = a.peer;
                Change::RemoveAddress(address)
            })
            .collect();
        if let Ok(mut commands) = Commands::open(None) {
            commands.apply(&changes);
        }
        held.len()
    }
}

fn outgoing(packet: &Packet) -> (Outgoing, Option<&str>) {
    let family = if packet.source.is_ipv4() { Family::Inet } else { Family::Inet6 };
    let socket =
        SocketKey { ifindex: packet.ifindex, family, ah: packet.ah, group: None, source: None, rcvbuf: None };
    let outgoing = Outgoing {
        socket,
        source: packet.source,
        destination: packet.destination,
        ttl: packet.ttl,
        bytes: packet.bytes.clone(),
        instance: Arc::new(Instance { authentication: Authentication::None, ..Instance::default() }),
    };
    (outgoing, packet.device.as_deref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keeper_knows_what_is_held_and_hears_the_news() {
        let (a, b) = UnixStream::pair().unwrap();
        let mut teller = Teller::new(a.into()).unwrap();
        let mut keeper = Keeper::new(b).unwrap();
        let address =
            HeldAddress { ifindex: 0, address: "10.0.0.1".parse().unwrap(), prefix_len: 32, peer: None };
        let held =
            |name: &str| Held { name: name.into(), packets: Vec::new(), addresses: vec![address.clone()] };
        teller.say(&Line::Ready { reload: false });
        teller.say(&Line::Held(held("VI_1")));
        teller.say(&Line::Held(held("VI_2")));
        teller.say(&Line::Held(Held { name: "VI_1".into(), ..Held::default() }));
        assert_eq!(keeper.read(), (vec![Line::Ready { reload: false }], true));
        assert_eq!(keeper.held.keys().collect::<Vec<_>>(), ["VI_2"]);
        drop(teller);
        assert_eq!(keeper.read(), (vec![], false));
    }

    #[test]
    fn nothing_is_said_twice() {
        let (a, mut b) = UnixStream::pair().unwrap();
        b.set_nonblocking(true).unwrap();
        let mut teller = Teller::new(a.into()).unwrap();
        let address =
            HeldAddress { ifindex: 3, address: "10.0.0.1".parse().unwrap(), prefix_len: 32, peer: None };
        let full = Held { name: "VI_1".into(), packets: Vec::new(), addresses: vec![address] };
        let empty = Held { name: "VI_1".into(), ..Held::default() };
        let mut said = |held: &Held| {
            teller.held(held.clone());
            teller.flush();
            let mut buffer = [0; 4096];
            b.read(&mut buffer).unwrap_or(0) > 0
        };
        assert_eq!(
            [&empty, &full, &full, &empty, &empty, &full].map(&mut said),
            [false, true, false, true, false, true]
        );
        assert_eq!(teller.holders(), ["VI_1"]);
    }

    #[test]
    fn a_supervisor_that_does_not_read_holds_nobody_up() {
        let (a, b) = UnixStream::pair().unwrap();
        let mut teller = Teller::new(a.into()).unwrap();
        for i in 0..20_000 {
            teller.say(&Line::Held(Held { name: format!("VI_{i}"), ..Held::default() }));
        }
        assert!(!teller.waiting.is_empty() && teller.waiting.len() <= WAITING_MAX + 256);
        let mut keeper = Keeper::new(b).unwrap();
        keeper.read();
        teller.say(&Line::Refused);
        while !keeper.read().0.contains(&Line::Refused) {
            teller.say(&Line::Ready { reload: true });
        }
    }
}
