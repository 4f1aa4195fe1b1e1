//! Arguments of fetches and converters: their types, as a row states them, and their parsing.
//!
//! A row's `args` is written as haproxy prints it (`string,string[,integer]`), so that the dump of the tables
//! and the parser share one statement. Names of tables, proxies, servers and userlists become late references
//! ([`super::expr::Scope`]), since they may be defined further down in the file.

use super::vars::VarName;
use super::{Buf, leading_int};
use crate::acl::file::PatRef;
use pcre2::bytes::Regex;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

/// One argument, parsed; converters may replace what the parser made with something readier to run.
#[derive(Debug, Clone)]
pub enum Arg {
    /// Left out.
    None,
    /// Bytes.
    Str(Box<[u8]>),
    /// A number.
    Int(i64),
    /// An IPv4 address or mask.
    V4(Ipv4Addr),
    /// An IPv6 address or mask.
    V6(Ipv6Addr),
    /// A variable.
    Var(VarName),
    /// A pattern.
    Regex(Arc<Regex>),
    /// A stick table.
    Table(Arc<super::expr::TableSlot>),
    /// A frontend or backend.
    Proxy(Arc<super::expr::ProxySlot>),
    /// A server.
    Server(Arc<super::expr::ServerSlot>),
    /// A userlist.
    Userlist(Arc<super::expr::UserlistSlot>),
    /// A map file with the way to look it up.
    Map(Arc<crate::conv::map::Map>),
    /// A pattern file.
    File(Arc<PatRef>),
    /// A named ACL, and whether its answer is turned around.
    Acl(Arc<crate::acl::Acl>, bool),
    /// Numbers between dots (protocol buffers).
    Path(Box<[u64]>),
}

impl Arg {
    /// The number, or `default` where it was left out.
    pub fn int_or(&self, default: i64) -> i64 {
        match self {
            Self::Int(i) => *i,
            _ => default,
        }
    }

    /// The bytes; empty where there are none.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Str(b) => b,
            _ => b"",
        }
    }

    /// The text; empty where there is none or it is not UTF-8.
    pub fn text(&self) -> &str {
        std::str::from_utf8(self.bytes()).unwrap_or("")
    }

    /// Whether it was left out.
    pub fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }

    /// The bytes as a borrowed sample buffer.
    pub fn buf(&self) -> Buf<'_> {
        Buf::Ref(self.bytes())
    }
}

/// The argument at `i`; [`Arg::None`] behind the end.
pub fn at(args: &[Arg], i: usize) -> &Arg {
    args.get(i).unwrap_or(&Arg::None)
}

/// Splits a row's `args` into type names and the number that is required.
pub fn types(spec: &'static str) -> (Vec<&'static str>, usize) {
    if spec.is_empty() {
        return (Vec::new(), 0);
    }
    let (must, may) = match spec.find('[') {
        Some(at) => (&spec[..at], spec[at + 1..].trim_end_matches(']')),
        None => (spec, ""),
    };
    let split = |s: &'static str| s.split(',').filter(|t| !t.is_empty()).collect::<Vec<_>>();
    let mut all = split(must);
    let required = all.len();
    all.extend(split(may));
    (all, required)
}

/// Parses an integer that is the whole text.
pub fn parse_int(text: &str) -> Option<i64> {
    let (value, used) = leading_int(text.as_bytes());
    (used == text.len() && text.bytes().any(|b| b.is_ascii_digit())).then_some(value)
}

/// Parses an IPv4 mask: a prefix length, or any bits as an address.
pub fn parse_mask4(text: &str) -> Option<Ipv4Addr> {
    if let Ok(bits) = text.parse::<u32>() {
        return (bits <= 32).then(|| Ipv4Addr::from(u32::MAX.checked_shl(32 - bits).unwrap_or(0)));
    }
    text.parse().ok()
}

/// Parses an IPv6 mask: a prefix length or an address.
pub fn parse_mask6(text: &str) -> Option<Ipv6Addr> {
    if let Ok(bits) = text.parse::<u32>() {
        return (bits <= 128).then(|| Ipv6Addr::from(u128::MAX.checked_shl(128 - bits).unwrap_or(0)));
    }
    text.parse().ok()
}
