//! Addresses as `bind`, `server`, `log`, `source` and others write them.
//!
//! Invariant: pure syntax; names are not resolved, `$VAR` comes from the caller, users and files are not looked up.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What stands before the address: `stream+ipv4@`, `unix@`, `quic4@` …
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Prefix {
    /// Only IPv4 (`Some(4)`) or IPv6 (`Some(6)`).
    pub family: Option<u8>,
    /// Datagrams: `udp@`, `dgram+`.
    pub datagram: bool,
    /// QUIC: `quic4@`, `quic6@`.
    pub quic: bool,
    /// MPTCP: `mptcp@`.
    pub mptcp: bool,
}

/// Where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// No address or `*`: any.
    Any,
    /// An IP address.
    Ip(IpAddr),
    /// A name to resolve.
    Name(String),
    /// A path.
    Unix(String),
    /// An abstract name; the flag says that it is padded with zeros to the full length (`abns@`, not `abnsz@`).
    Abstract(Vec<u8>, bool),
    /// An inherited descriptor.
    Fd(i32),
    /// One end of a `sockpair`.
    Sockpair(i32),
    /// A reverse HTTP listener's server, `backend/server`.
    ReverseHttp(String),
}

/// The port part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ports {
    /// None said.
    None,
    /// One, or a range.
    Fixed(u16, u16),
    /// `+N` or `-N`: relative to the destination port.
    Offset(i32),
}

/// An address in all its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// What stood before it.
    pub prefix: Prefix,
    /// Where.
    pub host: Host,
    /// The port or ports.
    pub ports: Ports,
}

/// Puts `$VAR` and `${VAR}` in, quoted or not; addresses are where haproxy does so.
pub fn expand(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let (name, after) = match rest.strip_prefix('{') {
            Some(braced) => match braced.find('}') {
                Some(end) => (&braced[..end], &braced[end + 1..]),
                None => (braced, ""),
            },
            None => {
                let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
                (&rest[..end], &rest[end..])
            }
        };
        out.push_str(&variable(name).unwrap_or_default());
        rest = after;
    }
    out.push_str(rest);
    out
}

/// Reads one address. The fault is haproxy's text about it, such as
/// `invalid character 'x' in port number 'x' in 'a:x'`.
pub fn parse(text: &str) -> Result<Address, String> {
    if text.is_empty() {
        return Err("'' resolves to an empty address (environment variable missing?)".to_owned());
    }
    let mut prefix = Prefix::default();
    let mut rest = text;
    if let Some(r) = rest.strip_prefix("stream+") {
        rest = r;
    } else if let Some(r) = rest.strip_prefix("dgram+") {
        prefix.datagram = true;
        rest = r;
    } else if let Some(r) = rest.strip_prefix("quic+") {
        (prefix.datagram, prefix.quic) = (true, true);
        rest = r;
    }
    for (word, take) in SPECIAL {
        if let Some(r) = rest.strip_prefix(word) {
            prefix.datagram |= *word == "uxdg@";
            return take(r, text).map(|host| Address { prefix, host, ports: Ports::None });
        }
    }
    for (word, family, datagram, quic, mptcp) in FAMILIES {
        if let Some(r) = rest.strip_prefix(word) {
            prefix.family = *family;
            prefix.datagram |= datagram;
            prefix.quic |= quic;
            prefix.mptcp |= mptcp;
            rest = r;
            break;
        }
    }
    if rest.starts_with('/') && prefix.family.is_none() {
        return Ok(Address { prefix, host: Host::Unix(rest.to_owned()), ports: Ports::None });
    }
    let (host, port) = split_port(rest);
    let ports = match port {
        None => Ports::None,
        Some(port) => ports(port, text)?,
    };
    let host = inet(host, prefix.family).ok_or_else(|| format!("invalid address: '{host}' in '{text}'"))?;
    Ok(Address { prefix, host, ports })
}

type Special = fn(&str, &str) -> Result<Host, String>;

const SPECIAL: &[(&str, Special)] = &[
    ("unix@", |r, _| Ok(Host::Unix(r.to_owned()))),
    ("uxst@", |r, _| Ok(Host::Unix(r.to_owned()))),
    ("uxdg@", |r, _| Ok(Host::Unix(r.to_owned()))),
    ("abnsz@", |r, _| Ok(Host::Abstract(r.as_bytes().to_vec(), false))),
    ("abns@", |r, _| Ok(Host::Abstract(r.as_bytes().to_vec(), true))),
    ("fd@", |r, t| fd(r, t).map(Host::Fd)),
    ("sockpair@", |r, t| fd(r, t).map(Host::Sockpair)),
    ("rhttp@", |r, _| Ok(Host::ReverseHttp(r.to_owned()))),
    ("rev@", |r, _| Ok(Host::ReverseHttp(r.to_owned()))),
];

const FAMILIES: &[(&str, Option<u8>, bool, bool, bool)] = &[
    ("ipv4@", Some(4), false, false, false),
    ("ipv6@", Some(6), false, false, false),
    ("ip@", None, false, false, false),
    ("tcp4@", Some(4), false, false, false),
    ("tcp6@", Some(6), false, false, false),
    ("tcp@", None, false, false, false),
    ("mptcp4@", Some(4), false, false, true),
    ("mptcp6@", Some(6), false, false, true),
    ("mptcp@", None, false, false, true),
    ("udp4@", Some(4), true, false, false),
    ("udp6@", Some(6), true, false, false),
    ("udp@", None, true, false, false),
    ("quic4@", Some(4), true, true, false),
    ("quic6@", Some(6), true, true, false),
    ("quic@", None, true, true, false),
];

fn fd(rest: &str, text: &str) -> Result<i32, String> {
    let number = rest.parse().ok().filter(|n| *n >= 0);
    number.ok_or_else(|| format!("file descriptor '{rest}' is not a valid integer in '{text}'"))
}

/// The last colon parts host and port, unless it belongs to brackets.
fn split_port(text: &str) -> (&str, Option<&str>) {
    if text.starts_with('[')
        && let Some(end) = text.rfind(']')
    {
        return (&text[..=end], text[end + 1..].strip_prefix(':'));
    }
    match text.rfind(':') {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    }
}

/// The host; `None` for what is neither an address of the family nor can be a name.
fn inet(text: &str, family: Option<u8>) -> Option<Host> {
    if text.is_empty() || text == "*" {
        return Some(Host::Any);
    }
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
    let bare = bare.split_once('%').map_or(bare, |(a, _)| a);
    if let Ok(v4) = bare.parse::<Ipv4Addr>() {
        return (family != Some(6)).then_some(Host::Ip(IpAddr::V4(v4)));
    }
    if let Ok(v6) = bare.parse::<Ipv6Addr>() {
        return (family != Some(4)).then_some(Host::Ip(IpAddr::V6(v6)));
    }
    let never_a_name = |c: char| matches!(c, ':' | '[' | ']' | '@' | '/') || c.is_ascii_whitespace();
    (!bare.contains(never_a_name)).then(|| Host::Name(bare.to_owned()))
}

fn ports(port: &str, text: &str) -> Result<Ports, String> {
    let strange = |bad: char| format!("invalid character '{bad}' in port number '{port}' in '{text}'");
    // What stands behind the digits of a port is not looked at.
    let one = |digits: &str| -> Result<u16, String> {
        let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
        digits[..end].parse().map_err(|_| format!("invalid port '{digits}'"))
    };
    let offset = |digits: &str, sign: i64| -> Result<Ports, String> {
        if let Some(bad) = digits.chars().find(|c| !c.is_ascii_digit()) {
            return Err(strange(bad));
        }
        offset_in_range(sign * digits.parse::<i64>().unwrap_or(i64::MAX), text).map(Ports::Offset)
    };
    match port.chars().next() {
        None => Ok(Ports::None),
        Some('+') => offset(&port[1..], 1),
        Some('-') => offset(&port[1..], -1),
        Some(c) if c.is_ascii_digit() => {
            let (low, high) = port.split_once('-').unwrap_or((port, port));
            let (first, last) = (one(low)?, one(high)?);
            if first > last {
                return Err(format!("invalid port range '{port}'"));
            }
            Ok(Ports::Fixed(first, last))
        }
        Some(bad) => Err(strange(bad)),
    }
}

fn offset_in_range(offset: i64, text: &str) -> Result<i32, String> {
    if (-65_535..=65_535).contains(&offset) {
        return Ok(offset as i32);
    }
    Err(format!("invalid port offset '{offset}' in '{text}'"))
}
