//! The header that a NetScaler puts before a client's bytes ("Client IP insertion"): the IP and TCP headers of the
//! client's own connection.
//!
//! Invariant: nothing behind the bytes that were given is read; what the lengths inside say is used as haproxy uses it,
//! which takes headers of a wrong length for what they are and goes on behind them.
//!
//! Absent on purpose: writing it; nobody sends it on.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Magic number and length, in both forms.
const LEGACY: usize = 8;
/// With type and length of what follows, as NetScaler writes it since 10.5.
const STANDARD: usize = 12;
/// An IPv4 header without options.
const V4_HEADER: usize = 20;
/// An IPv6 header; one with extensions is another protocol here.
const V6_HEADER: usize = 40;
/// The protocol number of TCP.
const TCP: u8 = 6;

/// The ends that a header tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The client.
    pub src: SocketAddr,
    /// Where it connected to.
    pub dst: SocketAddr,
}

/// Not a header that can be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// It begins with another number than both sides agreed on.
    #[error("another magic number")]
    Magic,
    /// Not TCP over IP.
    #[error("a header of an unknown protocol")]
    Unhandled,
}

fn number<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

/// Reads a header from the start of `bytes`: with its length, or `None` when more bytes are needed.
pub fn parse(bytes: &[u8], magic: u32) -> Result<Option<(Header, usize)>, Invalid> {
    if !bytes.iter().zip(magic.to_be_bytes()).all(|(a, b)| *a == b) {
        return Err(Invalid::Magic);
    }
    // An IP header starts with its version: what has none there is the type of the standard form.
    let Some(kind) = bytes.get(LEGACY) else { return Ok(None) };
    let (before, length) = if kind >> 4 == 0 {
        (STANDARD, number(bytes, STANDARD - 2).map(|l| u32::from(u16::from_be_bytes(l))))
    } else {
        (LEGACY, number(bytes, 4).map(u32::from_be_bytes))
    };
    let Some(used) = length.map(|l| before + l as usize) else { return Ok(None) };
    let Some(ip) = bytes.get(before..).filter(|ip| !ip.is_empty() && bytes.len() >= used) else {
        return Ok(None);
    };
    Ok(ends(ip)?.map(|header| (header, used)))
}

/// The ends told by an IP header and the ports behind it.
fn ends(ip: &[u8]) -> Result<Option<Header>, Invalid> {
    let (protocol, tcp) = match ip[0] >> 4 {
        4 => (ip.get(9), usize::from(ip[0] & 15) * 4),
        6 => (ip.get(6), V6_HEADER),
        _ => return Err(Invalid::Unhandled),
    };
    match protocol {
        None => return Ok(None),
        Some(&TCP) => {}
        Some(_) => return Err(Invalid::Unhandled),
    }
    let is_v4 = ip[0] >> 4 == 4;
    let address = |second: usize| -> Option<IpAddr> {
        if is_v4 {
            let at = V4_HEADER - 8 + second * 4;
            return number::<4>(ip, at).map(|a| Ipv4Addr::from(a).into());
        }
        let at = V6_HEADER - 32 + second * 16;
        number::<16>(ip, at).map(|a| Ipv6Addr::from(a).into())
    };
    let port = |at: usize| number(ip, tcp + at).map(u16::from_be_bytes);
    let (Some(src), Some(dst), Some(sport), Some(dport)) = (address(0), address(1), port(0), port(2)) else {
        return Ok(None);
    };
    Ok(Some(Header { src: SocketAddr::new(src, sport), dst: SocketAddr::new(dst, dport) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAGIC: u32 = 1234;

    fn v4() -> Vec<u8> {
        let mut ip = vec![0x45, 0, 0, 40, 0, 0, 0, 0, 64, TCP, 0, 0, 192, 0, 2, 1, 192, 0, 2, 200];
        ip.extend_from_slice(&[4, 87, 8, 174]);
        ip.resize(40, 0);
        ip
    }

    fn legacy(ip: &[u8]) -> Vec<u8> {
        [&MAGIC.to_be_bytes()[..], &(ip.len() as u32).to_be_bytes(), ip].concat()
    }

    fn standard(ip: &[u8]) -> Vec<u8> {
        let lengths = [(ip.len() + STANDARD) as u32, 1 << 16 | ip.len() as u32].map(u32::to_be_bytes);
        [&MAGIC.to_be_bytes()[..], &lengths.concat(), ip].concat()
    }

    #[test]
    fn both_forms_tell_the_ends_and_wait_for_every_byte() {
        for bytes in [legacy(&v4()), standard(&v4())] {
            for cut in 0..bytes.len() {
                assert_eq!(parse(&bytes[..cut], MAGIC), Ok(None), "{cut}");
            }
            let (header, used) = parse(&bytes, MAGIC).expect("valid").expect("whole");
            assert_eq!(used, bytes.len());
            let ends = [header.src, header.dst].map(|a| a.to_string());
            assert_eq!(ends, ["192.0.2.1:1111", "192.0.2.200:2222"]);
        }
    }

    #[test]
    fn other_numbers_and_protocols_are_refused() {
        assert_eq!(parse(&legacy(&v4()), 5), Err(Invalid::Magic));
        let mut udp = v4();
        udp[9] = 17;
        assert_eq!(parse(&legacy(&udp), MAGIC), Err(Invalid::Unhandled));
        let mut five = v4();
        five[0] = 0x55;
        assert_eq!(parse(&standard(&five), MAGIC), Err(Invalid::Unhandled));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_judged(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..120)) {
            let mut bytes = bytes;
            bytes.splice(0..0, MAGIC.to_be_bytes());
            let _ = parse(&bytes, MAGIC);
        }
    }
}
