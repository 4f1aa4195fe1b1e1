//! A name server for tests, on UDP and TCP, that answers as it is told: well, badly, late or not at all.
//!
//! Absent on purpose: everything a name server does that no test asks for; messages are written byte by byte, so that
//! wrong ones can be made as easily as right ones.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// One record of an answer.
#[derive(Debug, Clone)]
pub enum Record {
    /// An IPv4 address.
    A(Ipv4Addr),
    /// An IPv6 address.
    Aaaa(Ipv6Addr),
    /// An alias, and the records behind it.
    Alias(&'static str, Ipv4Addr),
    /// Weight, port and host of a service.
    Service(u16, u16, &'static str),
    /// An address that belongs to a service's host.
    Extra(&'static str, Ipv4Addr),
}

/// How a question is answered.
#[derive(Debug, Clone)]
pub enum Answer {
    /// With these records.
    Records(Vec<Record>),
    /// With this code and nothing else.
    Code(u8),
    /// Not at all.
    Silence,
    /// With these records under another id.
    Spoofed(Vec<Record>),
    /// With bytes that are no message, under the right id.
    Garbage,
    /// With the sign that there is more, over UDP; with these records over TCP.
    Truncated(Vec<Record>),
    /// About a name nobody asked for.
    Foreign(Ipv4Addr),
}

type Zone = Arc<Mutex<HashMap<String, Answer>>>;

/// A name server.
#[derive(Debug)]
pub struct NameServer {
    /// Where it is, on UDP and TCP.
    pub address: SocketAddr,
    zone: Zone,
}

impl NameServer {
    /// Starts one on loopback; it ends with the process. Names it was not told of are not there.
    ///
    /// # Panics
    /// When loopback has no port left.
    pub fn start() -> Self {
        let (udp, tcp) = (0..100)
            .find_map(|_| {
                let udp = UdpSocket::bind("127.0.0.1:0").ok()?;
                let tcp = TcpListener::bind(udp.local_addr().ok()?).ok()?;
                Some((udp, tcp))
            })
            .expect("a port that is free on UDP and TCP");
        let address = udp.local_addr().expect("a bound socket has an address");
        let zone = Zone::default();
        let of_udp = Arc::clone(&zone);
        thread::spawn(move || {
            let mut datagram = vec![0; 65_536];
            while let Ok((n, from)) = udp.recv_from(&mut datagram) {
                if let Some(reply) = reply(&of_udp, &datagram[..n], false) {
                    let _ = udp.send_to(&reply, from);
                }
            }
        });
        let of_tcp = Arc::clone(&zone);
        thread::spawn(move || {
            for stream in tcp.incoming().flatten() {
                let zone = Arc::clone(&of_tcp);
                thread::spawn(move || talk(&zone, stream));
            }
        });
        Self { address, zone }
    }

    /// Says how a question is answered from now on, by name and type (`web.test A`).
    pub fn set(&self, question: &str, answer: Answer) {
        self.zone.lock().unwrap_or_else(PoisonError::into_inner).insert(question.to_owned(), answer);
    }
}

fn talk(zone: &Zone, mut stream: TcpStream) {
    let mut head = [0; 2];
    while stream.read_exact(&mut head).is_ok() {
        let mut question = vec![0; usize::from(u16::from_be_bytes(head))];
        if stream.read_exact(&mut question).is_err() {
            return;
        }
        if let Some(reply) = reply(zone, &question, true) {
            let framed = [&(reply.len() as u16).to_be_bytes()[..], &reply].concat();
            if stream.write_all(&framed).is_err() {
                return;
            }
        }
    }
}

fn label(name: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for part in name.split('.').filter(|p| !p.is_empty()) {
        out.push(part.len() as u8);
        out.extend_from_slice(part.as_bytes());
    }
    out.push(0);
    out
}

fn record(name: &str, kind: u16, data: &[u8]) -> Vec<u8> {
    let mut out = label(name);
    out.extend_from_slice(&kind.to_be_bytes());
    // Class IN, a lifetime of 30 seconds.
    out.extend_from_slice(&[0, 1, 0, 0, 0, 30]);
    out.extend_from_slice(&(data.len() as u16).to_be_bytes());
    out.extend_from_slice(data);
    out
}

/// Name and type of a question, and where it ends.
fn question(bytes: &[u8]) -> Option<(String, u16, usize)> {
    let (mut at, mut parts) = (12, Vec::new());
    loop {
        let len = usize::from(*bytes.get(at)?);
        at += 1;
        if len == 0 {
            break;
        }
        parts.push(String::from_utf8_lossy(bytes.get(at..at + len)?).to_lowercase());
        at += len;
    }
    let kind = u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]);
    Some((parts.join("."), kind, at + 4))
}

/// Answer section, additional section, and how many records each has.
fn sections(name: &str, records: &[Record]) -> (Vec<u8>, Vec<u8>, [u16; 2]) {
    let (mut answers, mut extra, mut counts) = (Vec::new(), Vec::new(), [0, 0]);
    for one in records {
        let (bytes, count, place) = match one {
            Record::A(ip) => (record(name, 1, &ip.octets()), 1, &mut answers),
            Record::Aaaa(ip) => (record(name, 28, &ip.octets()), 1, &mut answers),
            Record::Alias(to, ip) => {
                let pair = [record(name, 5, &label(to)), record(to, 1, &ip.octets())].concat();
                (pair, 2, &mut answers)
            }
            Record::Service(weight, port, host) => {
                let data = [&[0, 0], &weight.to_be_bytes()[..], &port.to_be_bytes(), &label(host)].concat();
                (record(name, 33, &data), 1, &mut answers)
            }
            Record::Extra(host, ip) => (record(host, 1, &ip.octets()), 1, &mut extra),
        };
        counts[usize::from(matches!(one, Record::Extra(..)))] += count;
        place.extend(bytes);
    }
    (answers, extra, counts)
}

fn reply(zone: &Zone, bytes: &[u8], tcp: bool) -> Option<Vec<u8>> {
    const TRUNCATED: u16 = 0x0200;
    let (name, kind, end) = question(bytes)?;
    let kind_name = match kind {
        1 => "A",
        28 => "AAAA",
        33 => "SRV",
        _ => "?",
    };
    let key = format!("{name} {kind_name}");
    let zone = zone.lock().unwrap_or_else(PoisonError::into_inner);
    let answer = zone.get(&key).cloned().unwrap_or(Answer::Code(3));
    let mut id = u16::from_be_bytes([bytes[0], bytes[1]]);
    let (mut flags, mut about, mut records) = (0x8180, name, Vec::new());
    match answer {
        Answer::Records(all) => records = all,
        Answer::Code(code) => flags |= u16::from(code),
        Answer::Silence => return None,
        Answer::Spoofed(all) => {
            id ^= 1;
            records = all;
        }
        Answer::Garbage => {
            return Some([&bytes[..2], &[0x81, 0x80, 0, 1, 0, 9, 0, 0, 0, 0, 255, 255, 7]].concat());
        }
        Answer::Truncated(all) if tcp => records = all,
        Answer::Truncated(_) => flags |= TRUNCATED,
        Answer::Foreign(ip) => {
            about = "foreign.test".into();
            records = vec![Record::A(ip)];
        }
    }
    let (answers, extra, counts) = sections(&about, &records);
    let head: Vec<u8> =
        [id, flags, 1, counts[0], 0, counts[1]].iter().flat_map(|n| n.to_be_bytes()).collect();
    Some([&head[..], &bytes[12..end], &answers, &extra].concat())
}
