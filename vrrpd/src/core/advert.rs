//! VRRP advertisements on the wire: versions 2 and 3, IPv4 and IPv6, with and without authentication.
//!
//! Invariant: what [`encode`] makes, [`decode`] takes, and the octets are those of the original daemon (golden
//! vectors in the tests). Every octet of a received packet is looked at only after its length was checked.
//! Absent on purpose: sockets, and what to do about a bad packet (router.rs counts, logs and drops it). IPv6
//! checksums are the kernel's, IPv6 headers too.
//!
//! Sources: RFC 3768 §5, RFC 9568 §5, RFC 4302 for the authentication header.

use crate::config::model::{Authentication, Family, Version};
use md5::{Digest, Md5};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// IP protocol of VRRP.
pub const PROTO_VRRP: u8 = 112;
/// IP protocol of the authentication header.
pub const PROTO_AH: u8 = 51;
/// The only TTL that proves a packet was not forwarded.
pub const TTL: u8 = 255;
/// IPv4 header without options.
const IPV4_LEN: usize = 20;
/// Fixed part of an advert.
const HEADER_LEN: usize = 8;
/// Authentication data at the end of a version 2 advert.
const AUTH_LEN: usize = 8;
/// Authentication header with HMAC-MD5-96.
const AH_LEN: usize = 24;
/// Precedence "internetwork control".
const TOS: u8 = 0xc0;
/// Largest VRRPv3 interval, 12 bits of hundredths.
pub const INTERVAL_MAX_CS: u16 = 0xfff;

/// What an advert says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advert {
    /// Protocol version.
    pub version: Version,
    /// Virtual router.
    pub vrid: u8,
    /// 0: the master resigns; 255: the owner.
    pub priority: u8,
    /// Advertisement interval in hundredths of a second.
    pub interval_cs: u16,
    /// The virtual addresses.
    pub addresses: Vec<IpAddr>,
}

/// How the checksum of a version 3 advert over IPv4 is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum V3Checksum {
    /// With the pseudo header of source and destination (RFC 5798, the original's default).
    #[default]
    Pseudo,
    /// With a pseudo header whose destination is the multicast group though the packet is unicast.
    PseudoGroup,
    /// Without (RFC 9568 erratum, `v3_checksum_as_v2`).
    Plain,
}

/// Everything about a packet that is not the advert itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// Sender.
    pub source: IpAddr,
    /// Receiver.
    pub destination: IpAddr,
    /// Time to live.
    pub ttl: u8,
    /// IPv4 identification.
    pub id: u16,
    /// Authentication.
    pub authentication: Authentication,
    /// Sequence number of the authentication header.
    pub sequence: u32,
    /// Checksum form.
    pub checksum: V3Checksum,
    /// The group that [`V3Checksum::PseudoGroup`] means.
    pub group: Ipv4Addr,
}

fn sum(bytes: &[u8], mut total: u32) -> u32 {
    for pair in bytes.chunks(2) {
        total += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
    }
    total
}

fn fold(mut total: u32) -> u16 {
    while total > 0xffff {
        total = (total & 0xffff) + (total >> 16);
    }
    !(total as u16)
}

fn pseudo_v4(source: Ipv4Addr, destination: Ipv4Addr, length: usize) -> u32 {
    let total = sum(&source.octets(), sum(&destination.octets(), 0));
    total + u32::from(PROTO_VRRP) + length as u32
}

/// The checksum of an advert whose checksum field counts as zero.
fn checksum(pdu: &[u8], pseudo: Option<(Ipv4Addr, Ipv4Addr)>) -> u16 {
    let start = pseudo.map_or(0, |(source, destination)| pseudo_v4(source, destination, pdu.len()));
    fold(sum(&pdu[8.min(pdu.len())..], sum(&pdu[..6.min(pdu.len())], start)))
}

/// The VRRP part alone; the checksum field is zero.
fn pdu(advert: &Advert, authentication: &Authentication) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER_LEN + 16 * advert.addresses.len() + AUTH_LEN);
    let version: u8 = if advert.version == Version::V2 { 2 } else { 3 };
    out.extend([version << 4 | 1, advert.vrid, advert.priority, advert.addresses.len() as u8]);
    match advert.version {
        Version::V2 => {
            let kind = match authentication {
                Authentication::None => 0,
                Authentication::Pass(_) => 1,
                Authentication::Ah(_) => 2,
            };
            out.extend([kind, (advert.interval_cs / 100) as u8]);
        }
        Version::V3 => out.extend((advert.interval_cs & INTERVAL_MAX_CS).to_be_bytes()),
    }
    out.extend([0, 0]);
    for address in &advert.addresses {
        match address {
            IpAddr::V4(a) => out.extend(a.octets()),
            IpAddr::V6(a) => out.extend(a.octets()),
        }
    }
    if advert.version == Version::V2 {
        out.extend(match authentication {
            Authentication::Pass(key) => *key,
            _ => [0; AUTH_LEN],
        });
    }
    out
}

/// The octets to send: a whole IPv4 packet, or for IPv6 the payload alone, whose checksum the kernel fills in.
pub fn encode(advert: &Advert, envelope: &Envelope) -> Vec<u8> {
    let mut pdu = pdu(advert, &envelope.authentication);
    let (IpAddr::V4(source), IpAddr::V4(destination)) = (envelope.source, envelope.destination) else {
        return pdu;
    };
    let pseudo = match (advert.version, envelope.checksum) {
        (Version::V2, _) | (Version::V3, V3Checksum::Plain) => None,
        (Version::V3, V3Checksum::Pseudo) => Some((source, destination)),
        (Version::V3, V3Checksum::PseudoGroup) => Some((source, envelope.group)),
    };
    let value = checksum(&pdu, pseudo);
    pdu[6..8].copy_from_slice(&value.to_be_bytes());
    let authenticated = matches!(envelope.authentication, Authentication::Ah(_));
    let total = IPV4_LEN + pdu.len() + if authenticated { AH_LEN } else { 0 };
    let mut out = Vec::with_capacity(total);
    out.extend([0x45, TOS]);
    out.extend((total as u16).to_be_bytes());
    out.extend(envelope.id.to_be_bytes());
    out.extend([0, 0, envelope.ttl, if authenticated { PROTO_AH } else { PROTO_VRRP }, 0, 0]);
    out.extend(source.octets());
    out.extend(destination.octets());
    let header_sum = fold(sum(&out, 0));
    if let Authentication::Ah(key) = &envelope.authentication {
        out.extend([PROTO_VRRP, 4, 0, 0]);
        out.extend(source.octets());
        out.extend(envelope.sequence.to_be_bytes());
        out.extend([0; 12]);
        out.extend(&pdu);
        let icv = ah_value(key, &out, destination.is_multicast());
        out[IPV4_LEN + 12..IPV4_LEN + AH_LEN].copy_from_slice(&icv);
    } else {
        out.extend(&pdu);
    }
    out[10..12].copy_from_slice(&header_sum.to_be_bytes());
    out
}

/// HMAC-MD5-96 over the packet with everything that routers change set to zero.
fn ah_value(key: &[u8; 8], packet: &[u8], multicast: bool) -> [u8; 12] {
    let mut bytes = packet.to_vec();
    (bytes[1], bytes[6], bytes[7], bytes[10], bytes[11]) = (0, 0, 0, 0, 0);
    if !multicast {
        bytes[8] = 0;
    }
    bytes[IPV4_LEN + 12..IPV4_LEN + AH_LEN].fill(0);
    let pad = |with: u8| {
        let mut block = [with; 64];
        block.iter_mut().zip(key).for_each(|(b, k)| *b ^= k);
        block
    };
    let inner = Md5::new().chain_update(pad(0x36)).chain_update(&bytes).finalize();
    let outer = Md5::new().chain_update(pad(0x5c)).chain_update(inner).finalize();
    let mut out = [0; 12];
    out.copy_from_slice(&outer[..12]);
    out
}

/// A packet as the socket gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raw {
    /// Interface it came in by.
    pub ifindex: u32,
    /// Family.
    pub family: Family,
    /// Sender of an IPv6 packet; IPv4 headers have their own.
    pub source: Option<Ipv6Addr>,
    /// Receiver of an IPv6 packet, when the kernel told.
    pub destination: Option<Ipv6Addr>,
    /// Hop limit of an IPv6 packet, when the kernel told.
    pub hop_limit: Option<u8>,
    /// IPv4: the whole packet; IPv6: the payload.
    pub bytes: Vec<u8>,
}

/// The parts of a packet, found and bounds-checked but not judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parts<'a> {
    /// Sender.
    pub source: IpAddr,
    /// Receiver.
    pub destination: IpAddr,
    /// Time to live or hop limit.
    pub ttl: u8,
    /// The authentication header's SPI, sequence number and value, when there is one.
    pub ah: Option<(u32, u32, [u8; 12])>,
    /// The VRRP part; at least 8 octets.
    pub pdu: &'a [u8],
    /// The packet up to the end of the VRRP part, for the authentication header.
    whole: &'a [u8],
}

/// Why a packet cannot even be taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mangled {
    /// IPv4 packet shorter than its headers; the length.
    Short(usize),
    /// The same with an authentication header.
    ShortAh(usize),
    /// IPv6 payload shorter than an advert.
    Short6(usize),
    /// Total length in the header and length received differ.
    Length(u16, usize),
    /// Not IPv4, or not a protocol of ours.
    Foreign,
}

impl Raw {
    /// Takes the packet apart.
    pub fn parts(&self) -> Result<Parts<'_>, Mangled> {
        let bytes = &self.bytes[..];
        if self.family == Family::Inet6 {
            if bytes.len() < HEADER_LEN {
                return Err(Mangled::Short6(bytes.len()));
            }
            let source = self.source.ok_or(Mangled::Foreign)?;
            return Ok(Parts {
                source: source.into(),
                destination: self.destination.unwrap_or(Ipv6Addr::UNSPECIFIED).into(),
                ttl: self.hop_limit.unwrap_or(TTL),
                ah: None,
                pdu: bytes,
                whole: bytes,
            });
        }
        if bytes.len() < IPV4_LEN + HEADER_LEN {
            return Err(Mangled::Short(bytes.len()));
        }
        let header = usize::from(bytes[0] & 15) * 4;
        if bytes[0] >> 4 != 4 || header < IPV4_LEN {
            return Err(Mangled::Foreign);
        }
        if bytes.len() < header + HEADER_LEN {
            return Err(Mangled::Short(bytes.len()));
        }
        let total = u16::from_be_bytes([bytes[2], bytes[3]]);
        let whole = match usize::from(total) {
            n if n == bytes.len() => bytes,
            // Ethernet's padding of short frames may come along.
            n if n < bytes.len() && n >= header + HEADER_LEN => &bytes[..n],
            _ => return Err(Mangled::Length(total, bytes.len())),
        };
        let four = |at: usize| Ipv4Addr::new(bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]);
        let (ah, pdu) = match bytes[9] {
            PROTO_VRRP => (None, &whole[header..]),
            PROTO_AH if header != IPV4_LEN || whole.len() < header + AH_LEN + HEADER_LEN => {
                return Err(Mangled::ShortAh(bytes.len()));
            }
            PROTO_AH if whole[header] != PROTO_VRRP || whole[header + 1] != 4 => {
                return Err(Mangled::Foreign);
            }
            PROTO_AH => {
                let word =
                    |at: usize| u32::from_be_bytes([whole[at], whole[at + 1], whole[at + 2], whole[at + 3]]);
                let mut value = [0; 12];
                value.copy_from_slice(&whole[header + 12..header + AH_LEN]);
                (Some((word(header + 4), word(header + 8), value)), &whole[header + AH_LEN..])
            }
            _ => return Err(Mangled::Foreign),
        };
        let (source, destination) = (four(12).into(), four(16).into());
        Ok(Parts { source, destination, ttl: bytes[8], ah, pdu, whole })
    }
}

/// Why an advert is not ours to believe. The order is that of the checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// An authentication header that is not configured.
    UnexpectedAh,
    /// None though it is configured.
    MissingAh,
    /// Shorter (false) or longer (true) than its address count says; got, expected.
    Length(bool, usize, usize),
    /// TTL; got.
    Ttl(u8),
    /// Version; got.
    Version(u8),
    /// Packet type; got.
    Kind(u8),
    /// Authentication type; got.
    AuthType(u8),
    /// Password.
    Password,
    /// Value of the authentication header.
    AhValue,
    /// Sequence number of the authentication header; got.
    Replay(u32),
    /// Version 2 interval in seconds; got.
    Interval(u8),
    /// Checksum.
    Checksum,
}

/// What an instance expects of adverts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// Version.
    pub version: Version,
    /// Family.
    pub family: Family,
    /// Authentication.
    pub authentication: Authentication,
    /// TTL must be 255.
    pub check_ttl: bool,
    /// Version 2: interval in seconds.
    pub interval_s: u8,
    /// A wrong version 3 checksum is let pass (`v3_checksum_as_v2`: peers differ about it).
    pub any_v3_checksum: bool,
    /// The group for the old unicast checksum; `None`: that form is refused.
    pub old_group: Option<Ipv4Addr>,
}

/// A good advert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    /// What it says.
    pub advert: Advert,
    /// Sender.
    pub source: IpAddr,
    /// Sequence number of the authentication header.
    pub sequence: Option<u32>,
    /// The checksum was right only with the multicast group in it.
    pub old_checksum: bool,
}

/// Judges a packet that was addressed to the instance.
pub fn decode(parts: &Parts<'_>, expected: &Expected) -> Result<Decoded, Fault> {
    let pdu = parts.pdu;
    match (&expected.authentication, parts.ah) {
        (Authentication::Ah(_), None) => return Err(Fault::MissingAh),
        (Authentication::Ah(_), Some(_)) | (_, None) => {}
        (_, Some(_)) => return Err(Fault::UnexpectedAh),
    }
    let size = if expected.family == Family::Inet { 4 } else { 16 };
    let count = usize::from(pdu[3]);
    // There is no version 2 of IPv6: what says it is one has the wrong version, not the wrong length.
    let tail = if pdu[0] >> 4 == 2 && expected.family == Family::Inet { AUTH_LEN } else { 0 };
    let want = HEADER_LEN + count * size + tail;
    if pdu.len() < want || (pdu.len() > want && !padding(parts, want)) {
        // The original counts what its raw socket gives it: with the IPv4 header, without the IPv6 one.
        let before = match (expected.family, parts.ah.is_some()) {
            (Family::Inet6, _) => 0,
            (Family::Inet, false) => IPV4_LEN,
            (Family::Inet, true) => IPV4_LEN + AH_LEN,
        };
        return Err(Fault::Length(pdu.len() > want, pdu.len() + before, want + before));
    }
    let pdu = &pdu[..want];
    if expected.check_ttl && parts.ttl != TTL {
        return Err(Fault::Ttl(parts.ttl));
    }
    let version = if expected.version == Version::V2 { 2 } else { 3 };
    if pdu[0] >> 4 != version {
        return Err(Fault::Version(pdu[0] >> 4));
    }
    if pdu[0] & 15 != 1 {
        return Err(Fault::Kind(pdu[0] & 15));
    }
    let old_checksum = match expected.version {
        Version::V2 => version_2(parts, pdu, expected)?,
        Version::V3 => version_3(parts, pdu, expected)?,
    };
    let interval_cs = match expected.version {
        Version::V2 => u16::from(pdu[5]) * 100,
        Version::V3 => u16::from_be_bytes([pdu[4], pdu[5]]) & INTERVAL_MAX_CS,
    };
    let addresses = pdu[HEADER_LEN..HEADER_LEN + count * size].chunks(size).map(address).collect();
    let advert = Advert { version: expected.version, vrid: pdu[1], priority: pdu[2], interval_cs, addresses };
    let sequence = parts.ah.map(|ah| ah.1);
    Ok(Decoded { advert, source: parts.source, sequence, old_checksum })
}

/// More octets than the advert has are padding of a short Ethernet frame.
fn padding(parts: &Parts<'_>, want: usize) -> bool {
    const FRAME_MIN: usize = 46;
    let before = parts.whole.len() - parts.pdu.len();
    parts.whole.len() <= FRAME_MIN && before + want < FRAME_MIN
}

fn address(bytes: &[u8]) -> IpAddr {
    match <[u8; 16]>::try_from(bytes) {
        Ok(six) => IpAddr::from(six),
        Err(_) => <[u8; 4]>::try_from(bytes).map_or(IpAddr::from([0; 4]), IpAddr::from),
    }
}

fn version_2(parts: &Parts<'_>, pdu: &[u8], expected: &Expected) -> Result<bool, Fault> {
    let (kind, key) = match &expected.authentication {
        Authentication::None => (0, None),
        Authentication::Pass(key) => (1, Some(key)),
        Authentication::Ah(_) => (2, None),
    };
    if pdu[4] != kind {
        return Err(Fault::AuthType(pdu[4]));
    }
    if key.is_some_and(|key| &pdu[pdu.len() - AUTH_LEN..] != key) {
        return Err(Fault::Password);
    }
    if let (Authentication::Ah(key), Some((_, _, value)), IpAddr::V4(to)) =
        (&expected.authentication, parts.ah, parts.destination)
        && ah_value(key, parts.whole, to.is_multicast()) != value
    {
        return Err(Fault::AhValue);
    }
    if pdu[5] != expected.interval_s {
        return Err(Fault::Interval(pdu[5]));
    }
    if checksum(pdu, None).to_be_bytes() != pdu[6..8] {
        return Err(Fault::Checksum);
    }
    Ok(false)
}

fn version_3(parts: &Parts<'_>, pdu: &[u8], expected: &Expected) -> Result<bool, Fault> {
    // The kernel has verified IPv6 checksums.
    let (IpAddr::V4(source), IpAddr::V4(destination)) = (parts.source, parts.destination) else {
        return Ok(false);
    };
    let is = |pseudo| checksum(pdu, pseudo).to_be_bytes() == pdu[6..8];
    if is(Some((source, destination))) || expected.any_v3_checksum {
        return Ok(false);
    }
    match expected.old_group {
        Some(group) if is(Some((source, group))) => Ok(true),
        _ => Err(Fault::Checksum),
    }
}

#[cfg(test)]
mod tests;
