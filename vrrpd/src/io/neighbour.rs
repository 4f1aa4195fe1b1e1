//! Gratuitous ARP and unsolicited neighbour advertisement as whole frames, and the pace between them.
//!
//! Invariant: frames are octet for octet the original's (tests); with `garp_interval`/`gna_interval` two frames on
//! one interface (or one `garp_group`) never leave closer than that. Absent on purpose: when to send (core/garp.rs).
//!
//! Sources: RFC 5227 §3 (announcements as requests), RFC 4861 §4.4.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

const ETHERTYPE_ARP: u16 = 0x0806;
const ETHERTYPE_IPV6: u16 = 0x86dd;
const BROADCAST: [u8; 6] = [0xff; 6];
/// Most frames that wait for their turn: 1,000 addresses twice over.
const QUEUE_MAX: usize = 20_000;

/// An ARP request in which an address asks for itself.
pub fn gratuitous_arp(mac: [u8; 6], address: Ipv4Addr) -> Vec<u8> {
    let mut out = Vec::with_capacity(42);
    out.extend(BROADCAST);
    out.extend(mac);
    out.extend(ETHERTYPE_ARP.to_be_bytes());
    out.extend([0, 1, 8, 0, 6, 4, 0, 1]);
    out.extend(mac);
    out.extend(address.octets());
    out.extend(BROADCAST);
    out.extend(address.octets());
    out
}

/// A neighbour advertisement to all nodes, with the override flag.
pub fn unsolicited_na(mac: [u8; 6], address: Ipv6Addr, router: bool) -> Vec<u8> {
    let all_nodes = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
    let mut icmp = vec![136, 0, 0, 0, if router { 0xa0 } else { 0x20 }, 0, 0, 0];
    icmp.extend(address.octets());
    icmp.extend([2, 1]);
    icmp.extend(mac);
    let mut sum = icmp.len() as u32 + 58;
    for bytes in [&address.octets()[..], &all_nodes.octets()[..], &icmp[..]] {
        sum += bytes.chunks(2).map(|p| u32::from(p[0]) << 8 | u32::from(p[1])).sum::<u32>();
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    icmp[2..4].copy_from_slice(&(!(sum as u16)).to_be_bytes());
    let mut out = Vec::with_capacity(86);
    out.extend([0x33, 0x33, 0, 0, 0, 1]);
    out.extend(mac);
    out.extend(ETHERTYPE_IPV6.to_be_bytes());
    out.extend([0x60, 0, 0, 0]);
    out.extend((icmp.len() as u16).to_be_bytes());
    out.extend([58, 255]);
    out.extend(address.octets());
    out.extend(all_nodes.octets());
    out.extend(icmp);
    out
}

/// How the frames of one interface are spaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pace {
    /// Interfaces with the same number share the pace.
    pub group: u32,
    /// Between two ARPs.
    pub arp: Duration,
    /// Between two neighbour advertisements.
    pub na: Duration,
}

/// Sends frames, at once or in their turn.
#[derive(Debug)]
pub struct Neighbour {
    socket: socket2::Socket,
    queue: VecDeque<(Frame, Pace)>,
    free_at: HashMap<(u32, bool), Instant>,
}

/// A frame to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Interface number.
    pub ifindex: u32,
    /// The address it claims.
    pub address: IpAddr,
    /// The octets.
    pub bytes: Vec<u8>,
}

impl Frame {
    /// The claim of an address from this MAC.
    pub fn claim(ifindex: u32, mac: [u8; 6], address: IpAddr, router: bool) -> Self {
        let bytes = match address {
            IpAddr::V4(a) => gratuitous_arp(mac, a),
            IpAddr::V6(a) => unsolicited_na(mac, a, router),
        };
        Self { ifindex, address, bytes }
    }
}

impl Neighbour {
    /// Opens the packet socket.
    pub fn new() -> io::Result<Self> {
        Ok(Self { socket: sys::packet::sender()?, queue: VecDeque::new(), free_at: HashMap::new() })
    }

    /// Sends what may go now, keeps the rest for [`Self::due`]; returns what went.
    pub fn send(&mut self, now: Instant, frames: Vec<(Frame, Pace)>) -> Vec<Frame> {
        let mut ready = Vec::new();
        for (frame, pace) in frames {
            let gap = if frame.address.is_ipv4() { pace.arp } else { pace.na };
            if gap.is_zero() {
                ready.push(frame);
            } else if self.queue.len() < QUEUE_MAX {
                self.queue.push_back((frame, pace));
            }
        }
        self.transmit(&ready);
        ready.extend(self.due(now));
        ready
    }

    /// Sends the waiting frames whose turn has come, and returns them.
    pub fn due(&mut self, now: Instant) -> Vec<Frame> {
        if self.queue.is_empty() {
            return Vec::new();
        }
        let mut waiting = VecDeque::new();
        let mut ready = Vec::new();
        while let Some((frame, pace)) = self.queue.pop_front() {
            let v4 = frame.address.is_ipv4();
            let at = self.free_at.entry((pace.group, v4)).or_insert(now);
            if *at <= now {
                *at = now + if v4 { pace.arp } else { pace.na };
                ready.push(frame);
            } else {
                waiting.push_back((frame, pace));
            }
        }
        self.queue = waiting;
        self.transmit(&ready);
        ready
    }

    /// When [`Self::due`] has something to do.
    pub fn deadline(&self) -> Option<Instant> {
        self.queue
            .iter()
            .filter_map(|(f, p)| self.free_at.get(&(p.group, f.address.is_ipv4())))
            .min()
            .copied()
    }

    fn transmit(&self, frames: &[Frame]) {
        let kind = |f: &Frame| if f.address.is_ipv4() { ETHERTYPE_ARP } else { ETHERTYPE_IPV6 };
        let addresses: Vec<_> =
            frames.iter().map(|f| sys::packet::link_address(f.ifindex, kind(f))).collect();
        let mut at = 0;
        while at < frames.len() {
            let batch: Vec<_> =
                addresses[at..].iter().zip(frames[at..].iter().map(|f| f.bytes.as_slice())).collect();
            let (sent, error) = sys::packet::send_batch(&self.socket, &batch);
            // A frame that cannot go (interface down) is lost; the claim comes again when the link does.
            at += sent + usize::from(error.is_some());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        digits.chunks(2).map(|p| u8::from_str_radix(std::str::from_utf8(p).unwrap(), 16).unwrap()).collect()
    }

    const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];

    #[test]
    fn frames_are_those_of_the_original() {
        assert_eq!(
            gratuitous_arp(MAC, "192.168.56.200".parse().unwrap()),
            hex("ffff ffff ffff 0200 0000 0001 0806 0001 0800 0604 0001 0200 0000 0001 c0a8 38c8
                 ffff ffff ffff c0a8 38c8")
        );
        assert_eq!(
            unsolicited_na(MAC, "fe80::c8".parse().unwrap(), false),
            hex("3333 0000 0001 0200 0000 0001 86dd 6000 0000 0020 3aff fe80 0000 0000 0000 0000 0000 0000 00c8
                 ff02 0000 0000 0000 0000 0000 0000 0001 8800 560d 2000 0000 fe80 0000 0000 0000 0000 0000 0000
                 00c8 0201 0200 0000 0001")
        );
        let na = unsolicited_na(MAC, "fd56::c8".parse().unwrap(), true);
        assert_eq!(na[58], 0xa0);
    }

    #[test]
    fn a_pace_is_kept() {
        let Ok(mut neighbour) = Neighbour::new() else { return };
        let t0 = Instant::now();
        let ms = Duration::from_millis;
        let pace = Pace { group: 1, arp: ms(10), na: ms(1) };
        let frame = Frame::claim(0, MAC, "10.0.0.1".parse().unwrap(), false);
        neighbour.send(t0, vec![(frame.clone(), pace); 3]);
        assert_eq!((neighbour.queue.len(), neighbour.deadline()), (2, Some(t0 + ms(10))));
        neighbour.due(t0 + ms(9));
        assert_eq!(neighbour.queue.len(), 2);
        neighbour.due(t0 + ms(10));
        neighbour.due(t0 + ms(20));
        assert_eq!((neighbour.queue.len(), neighbour.deadline()), (0, None));
        neighbour.send(t0, vec![(frame, Pace::default())]);
        assert_eq!(neighbour.queue.len(), 0);
    }
}
