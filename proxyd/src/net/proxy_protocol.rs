//! The PROXY protocol, versions 1 and 2, both ways.
//!
//! Invariant: a header is taken whole or not at all; lengths inside it never reach beyond it.
//!
//! Absent on purpose: what TLVs mean (the fetches know).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Longest text header: the specification's 107 bytes.
const TEXT_MAX: usize = 107;
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// What a header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Header {
    /// The connection is the proxy's own: nothing changes.
    Local,
    /// The ends of the connection it stands for.
    Proxied {
        /// The client.
        src: SocketAddr,
        /// Where it connected to.
        dst: SocketAddr,
        /// Type and value of each TLV.
        tlvs: Vec<(u8, Vec<u8>)>,
    },
}

/// Not a PROXY header that can be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// Something else.
    #[error("no PROXY header")]
    None,
    /// One with faults; these addresses were told before the fault.
    #[error("not a valid PROXY header")]
    Bad(Option<(SocketAddr, SocketAddr)>),
    /// A text header that goes on for longer than one can.
    #[error("a PROXY header without an end")]
    Endless,
    /// A text header of another protocol than TCP over IP.
    #[error("a PROXY header of an unknown protocol")]
    Unhandled,
}

const BAD: Invalid = Invalid::Bad(None);

/// Reads a header from the start of `bytes`: with its length, or `None` when more bytes are needed.
pub fn parse(bytes: &[u8]) -> Result<Option<(Header, usize)>, Invalid> {
    let same = |with: &[u8]| bytes.iter().zip(with).all(|(a, b)| a == b);
    if bytes.is_empty() {
        return Ok(None);
    }
    if same(b"PROXY ") {
        return text(bytes);
    }
    if same(SIGNATURE) {
        return binary(bytes);
    }
    Err(Invalid::None)
}

fn text(bytes: &[u8]) -> Result<Option<(Header, usize)>, Invalid> {
    // What stands behind UNKNOWN could be passed over, but haproxy takes the bare word alone.
    let begun = bytes.get(b"PROXY ".len()..).unwrap_or_default();
    let fits = |word: &&[u8]| begun.iter().zip(*word).all(|(a, b)| a == b);
    if ![&b"TCP4 "[..], b"TCP6 ", b"UNKNOWN\r\n"].iter().any(fits) {
        return Err(Invalid::Unhandled);
    }
    let Some(end) = memchr::memmem::find(&bytes[..bytes.len().min(TEXT_MAX)], b"\r\n") else {
        return if bytes.len() >= TEXT_MAX { Err(Invalid::Endless) } else { Ok(None) };
    };
    let rest = &bytes[b"PROXY ".len()..end];
    if rest == b"UNKNOWN" {
        return Ok(Some((Header::Local, end + 2)));
    }
    let Some((family, rest)) = rest.split_at_checked(b"TCP4 ".len()) else { return Err(Invalid::Unhandled) };
    let (is_v4, rest) = (family[3] == b'4', std::str::from_utf8(rest).map_err(|_| BAD)?);
    let mut words = rest.split(' ');
    let mut ip = || words.next().and_then(|w| w.parse::<IpAddr>().ok()).ok_or(BAD);
    let (src, dst) = (ip()?, ip()?);
    let digits = |w: &&str| w.bytes().all(|b| b.is_ascii_digit());
    let mut port = || words.next().filter(digits).and_then(|w| w.parse::<u16>().ok()).ok_or(BAD);
    let (sport, dport) = (port()?, port()?);
    if src.is_ipv4() != is_v4 || dst.is_ipv4() != is_v4 || words.next().is_some() {
        return Err(BAD);
    }
    let (src, dst) = (SocketAddr::new(src, sport), SocketAddr::new(dst, dport));
    Ok(Some((Header::Proxied { src, dst, tlvs: Vec::new() }, end + 2)))
}

fn binary(bytes: &[u8]) -> Result<Option<(Header, usize)>, Invalid> {
    let Some(head) = bytes.get(..16) else { return Ok(None) };
    // Another version is another protocol.
    if head[12] >> 4 != 2 {
        return Err(Invalid::None);
    }
    let len = usize::from(u16::from_be_bytes([head[14], head[15]]));
    let Some(body) = bytes.get(16..16 + len) else { return Ok(None) };
    let end = 16 + len;
    match head[12] & 0x0f {
        0 => return Ok(Some((Header::Local, end))),
        1 => {}
        _ => return Err(BAD),
    }
    let v4 = |at: usize| -> Option<IpAddr> {
        Some(IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(body.get(at..at + 4)?).ok()?)))
    };
    let v6 = |at: usize| -> Option<IpAddr> {
        Some(IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(body.get(at..at + 16)?).ok()?)))
    };
    let port = |at: usize| body.get(at..at + 2).map(|p| u16::from_be_bytes([p[0], p[1]]));
    let (ends, rest) = match head[13] {
        0x11 => ((v4(0), v4(4), port(8), port(10)), 12),
        0x21 => ((v6(0), v6(16), port(32), port(34)), 36),
        // Datagrams, Unix sockets and what is not told: not what came here.
        _ => return Err(BAD),
    };
    let (Some(src), Some(dst), Some(sport), Some(dport)) = ends else { return Err(BAD) };
    let (src, dst) = (SocketAddr::new(src, sport), SocketAddr::new(dst, dport));
    let bad = Invalid::Bad(Some((src, dst)));
    let tlvs = tlvs(&body[rest..]).ok_or(bad)?;
    check_crc(&bytes[..end], 16 + rest, &tlvs).ok_or(bad)?;
    Ok(Some((Header::Proxied { src, dst, tlvs }, end)))
}

/// The TLVs; none where one reaches beyond the end or has a value that is too long for what it is.
fn tlvs(mut bytes: &[u8]) -> Option<Vec<(u8, Vec<u8>)>> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let head = bytes.get(..3)?;
        let len = usize::from(u16::from_be_bytes([head[1], head[2]]));
        let most = match head[0] {
            TLV_AUTHORITY => AUTHORITY_MAX,
            TLV_UNIQUE_ID => UNIQUE_ID_MAX,
            _ => usize::MAX,
        };
        all.push((head[0], bytes.get(3..3 + len).filter(|v| v.len() <= most)?.to_vec()));
        bytes = &bytes[3 + len..];
    }
    Some(all)
}

/// The specification's limit of a unique id, bytes.
const UNIQUE_ID_MAX: usize = 128;
/// Longest name of a host that is taken, bytes.
const AUTHORITY_MAX: usize = 255;
/// Type of the TLV that holds a CRC-32C of the whole header, its own value taken as zero.
pub const TLV_CRC32C: u8 = 0x03;
/// Type of the TLV with the protocol that ALPN chose.
pub const TLV_ALPN: u8 = 0x01;
/// Type of the TLV with the name that the client asked for.
pub const TLV_AUTHORITY: u8 = 0x02;
/// Type of the TLV with the request's unique id.
pub const TLV_UNIQUE_ID: u8 = 0x05;
/// Type of the TLV about the client's TLS.
pub const TLV_TLS: u8 = 0x20;

fn check_crc(whole: &[u8], first: usize, tlvs: &[(u8, Vec<u8>)]) -> Option<()> {
    let mut at = first;
    for (kind, value) in tlvs {
        if *kind == TLV_CRC32C {
            let want = u32::from_be_bytes(<[u8; 4]>::try_from(&value[..]).ok()?);
            let mut copy = whole.to_vec();
            copy[at + 3..at + 7].fill(0);
            if crc32c(&copy) != want {
                return None;
            }
        }
        at += 3 + value.len();
    }
    Some(())
}

fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, b| {
        (0..8).fold(crc ^ u32::from(*b), |c, _| if c & 1 == 1 { c >> 1 ^ 0x82f6_3b78 } else { c >> 1 })
    })
}

/// Writes a text header; `None` is `UNKNOWN`.
pub fn write_v1(out: &mut Vec<u8>, ends: Option<(SocketAddr, SocketAddr)>) {
    let line = match ends {
        Some((src, dst)) => {
            let family = if src.is_ipv4() && dst.is_ipv4() { 4 } else { 6 };
            let text = |ip: IpAddr| match ip {
                IpAddr::V4(v4) if family == 6 => v4.to_ipv6_mapped().to_string(),
                ip => ip.to_string(),
            };
            format!(
                "PROXY TCP{family} {} {} {} {}\r\n",
                text(src.ip()),
                text(dst.ip()),
                src.port(),
                dst.port()
            )
        }
        None => "PROXY UNKNOWN\r\n".to_owned(),
    };
    out.extend_from_slice(line.as_bytes());
}

/// Writes a binary header; `None` is LOCAL. A checksum among the TLVs is filled in.
pub fn write_v2(out: &mut Vec<u8>, ends: Option<(SocketAddr, SocketAddr)>, tlvs: &[(u8, Vec<u8>)]) {
    let mut body = Vec::new();
    let (command, family) = match ends {
        None => (0x20, 0),
        Some((src, dst)) => {
            let both_v4 = match (src.ip(), dst.ip()) {
                (IpAddr::V4(a), IpAddr::V4(b)) => {
                    body.extend_from_slice(&a.octets());
                    body.extend_from_slice(&b.octets());
                    true
                }
                (a, b) => {
                    let wide = |ip: IpAddr| match ip {
                        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
                        IpAddr::V6(v6) => v6,
                    };
                    body.extend_from_slice(&wide(a).octets());
                    body.extend_from_slice(&wide(b).octets());
                    false
                }
            };
            body.extend_from_slice(&src.port().to_be_bytes());
            body.extend_from_slice(&dst.port().to_be_bytes());
            (0x21, if both_v4 { 0x11 } else { 0x21 })
        }
    };
    let mut checksum = None;
    for (kind, value) in tlvs {
        if *kind == TLV_CRC32C {
            checksum = Some(body.len() + 3);
        }
        body.push(*kind);
        body.extend_from_slice(&(value.len() as u16).to_be_bytes());
        body.extend_from_slice(value);
    }
    let start = out.len();
    out.extend_from_slice(SIGNATURE);
    out.extend_from_slice(&[command, family]);
    out.extend_from_slice(&(body.len() as u16).to_be_bytes());
    let first = out.len();
    out.extend_from_slice(&body);
    if let Some(at) = checksum {
        let crc = crc32c(&out[start..]);
        out[first + at..first + at + 4].copy_from_slice(&crc.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends() -> (SocketAddr, SocketAddr) {
        ("192.0.2.1:1234".parse().expect("address"), "192.0.2.2:80".parse().expect("address"))
    }

    #[test]
    fn what_is_written_is_read() {
        let (src, dst) = ends();
        let mut text = Vec::new();
        write_v1(&mut text, Some((src, dst)));
        assert_eq!(text, b"PROXY TCP4 192.0.2.1 192.0.2.2 1234 80\r\n");
        let mut binary = Vec::new();
        write_v2(&mut binary, Some((src, dst)), &[(2, b"host".to_vec())]);
        for (bytes, count) in [(text, 0), (binary, 1)] {
            for cut in 0..bytes.len() {
                assert_eq!(parse(&bytes[..cut]), Ok(None), "{cut}");
            }
            let (header, used) = parse(&bytes).expect("valid").expect("whole");
            assert_eq!(used, bytes.len());
            let Header::Proxied { src: s, dst: d, tlvs } = header else { panic!("proxied") };
            assert_eq!((s, d, tlvs.len()), (src, dst, count));
        }
    }

    #[test]
    fn a_checksum_is_filled_in_and_holds() {
        let mut bytes = b"before".to_vec();
        write_v2(&mut bytes, Some(ends()), &[(TLV_UNIQUE_ID, b"x".to_vec()), (TLV_CRC32C, vec![0; 4])]);
        assert!(matches!(parse(&bytes[6..]), Ok(Some((Header::Proxied { .. }, _)))));
        *bytes.last_mut().expect("not empty") ^= 1;
        assert_eq!(parse(&bytes[6..]), Err(Invalid::Bad(Some(ends()))));
    }

    #[test]
    fn nonsense_is_refused() {
        for bytes in [
            (&b"GET / HTTP/1.1\r\n"[..], Invalid::None),
            (b"PROXY TCP4 a b 1 2\r\n", BAD),
            (b"PROXY TCP4 1.2.3.4 ::1 1 2\r\n", BAD),
            (b"PROXY TCP9 x\r\n", Invalid::Unhandled),
        ] {
            assert_eq!(parse(bytes.0), Err(bytes.1));
        }
        let mut bad = Vec::new();
        write_v2(&mut bad, Some(ends()), &[(TLV_CRC32C, vec![1, 2, 3, 4])]);
        assert_eq!(parse(&bad), Err(Invalid::Bad(Some(ends()))));
    }
}
