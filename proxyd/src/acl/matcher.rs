//! Matching methods: how a pattern is written and how a sample is compared with it.
//!
//! Invariant: exact strings, prefixes, integers and addresses are found by look-up, never by a walk over all
//! patterns; the other methods walk in the order of insertion, as haproxy does.

use crate::sample::args::{parse_int, parse_mask4};
use crate::sample::expr::user_regex;
use crate::sample::{Buf, Type, Value, embedded_v4};
use ipnet::{Ipv4Net, Ipv6Net};
use pcre2::bytes::Regex;
use prefix_trie::PrefixMap;
use smallvec::SmallVec;
use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, ToSocketAddrs};

/// How a sample is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// `found`: there is a sample.
    Found,
    /// `bool`: it is true.
    Bool,
    /// `int`: numbers and ranges.
    Int,
    /// `ip`: addresses and networks.
    Ip,
    /// `bin`: bytes, written in hexadecimal.
    Bin,
    /// `len`: the length of text.
    Len,
    /// `str`: the same text.
    Str,
    /// `beg`: text that begins so.
    Beg,
    /// `sub`: text that contains it.
    Sub,
    /// `dir`: one or more parts between `/` and `?`.
    Dir,
    /// `dom`: one or more parts between `/`, `?`, `.` and `:`.
    Dom,
    /// `end`: text that ends so.
    End,
    /// `reg`: a regular expression.
    Reg,
}

/// All methods by the name behind `-m`, in haproxy's order.
pub static MATCHERS: &[(&str, Method)] = &[
    ("found", Method::Found),
    ("bool", Method::Bool),
    ("int", Method::Int),
    ("ip", Method::Ip),
    ("bin", Method::Bin),
    ("len", Method::Len),
    ("str", Method::Str),
    ("beg", Method::Beg),
    ("sub", Method::Sub),
    ("dir", Method::Dir),
    ("dom", Method::Dom),
    ("end", Method::End),
    ("reg", Method::Reg),
];

impl Method {
    /// The method of a name.
    pub fn named(name: &str) -> Option<Self> {
        MATCHERS.iter().find(|(n, _)| *n == name).map(|(_, m)| *m)
    }

    /// The name behind `-m`.
    pub fn name(self) -> &'static str {
        MATCHERS.iter().find(|(_, m)| *m == self).map_or("", |(n, _)| n)
    }

    /// The method of a type of sample when none is named.
    pub fn default_for(kind: Type) -> Option<Self> {
        match kind {
            Type::Bool => Some(Self::Bool),
            Type::Int => Some(Self::Int),
            Type::Addr | Type::V4 | Type::V6 => Some(Self::Ip),
            Type::Str | Type::Method => Some(Self::Str),
            Type::Any | Type::Bin => None,
        }
    }

    /// The type a sample must have to be compared.
    pub fn wants(self) -> Type {
        match self {
            Self::Found => Type::Any,
            Self::Bool => Type::Bool,
            Self::Int => Type::Int,
            Self::Ip => Type::Addr,
            Self::Bin => Type::Bin,
            _ => Type::Str,
        }
    }
}

/// One pattern, parsed.
#[derive(Debug, Clone)]
pub enum Pattern {
    /// From and to, both included; `None` is open.
    Range(Option<i64>, Option<i64>),
    /// A network.
    V4(Ipv4Net),
    /// A network.
    V6(Ipv6Net),
    /// An IPv4 network whose mask has holes: address and mask.
    Masked(u32, u32),
    /// Bytes.
    Bytes(Box<[u8]>),
    /// A regular expression.
    Regex(Box<Regex>),
    /// Nothing to compare with.
    Nothing,
}

/// Flags of an ACL or map that change how its patterns are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags {
    /// `-i`.
    pub ignore_case: bool,
    /// `-n`: no names are resolved.
    pub no_dns: bool,
    /// `-M`: files have keys and values.
    pub map_file: bool,
    /// Integers may be versions, `3.1`.
    pub dotted: bool,
}

/// Parses one pattern; the error is haproxy's text.
pub fn parse(method: Method, flags: Flags, text: &str) -> Result<Pattern, String> {
    match method {
        Method::Found | Method::Bool => Ok(Pattern::Nothing),
        Method::Int | Method::Len => range(text, flags.dotted),
        Method::Ip => network(text, flags.no_dns),
        Method::Bin => unhex(text).map(|b| Pattern::Bytes(b.into())),
        Method::Reg => Ok(Pattern::Regex(Box::new(user_regex(text, flags.ignore_case)?))),
        _ => {
            let mut bytes: Box<[u8]> = text.as_bytes().into();
            if flags.ignore_case {
                bytes.make_ascii_lowercase();
            }
            Ok(Pattern::Bytes(bytes))
        }
    }
}

fn number(text: &str, dotted: bool) -> Option<i64> {
    if dotted {
        let (major, minor) = text.split_once('.').unwrap_or((text, "0"));
        return Some((parse_int(major)? << 16) + parse_int(minor)?);
    }
    parse_int(text)
}

fn range(text: &str, dotted: bool) -> Result<Pattern, String> {
    let bad = || format!("'{text}' is not a number");
    let Some((low, high)) = text.split_once([':', '-']) else {
        let n = number(text, dotted).ok_or_else(bad)?;
        return Ok(Pattern::Range(Some(n), Some(n)));
    };
    let end = |t: &str| if t.is_empty() { Some(None) } else { number(t, dotted).map(Some) };
    let (low, high) = (end(low).ok_or_else(bad)?, end(high).ok_or_else(bad)?);
    if let (Some(l), Some(h)) = (low, high)
        && l > h
    {
        return Err(format!("'{text}' is not a valid number range"));
    }
    Ok(Pattern::Range(low, high))
}

/// A range from an operator and a number: `ge 3`.
pub fn comparison(operator: &str, text: &str, dotted: bool) -> Result<Pattern, String> {
    let n = number(text, dotted)
        .ok_or_else(|| format!("'{text}' is neither a number nor a supported operator"))?;
    Ok(match operator {
        "eq" => Pattern::Range(Some(n), Some(n)),
        "ge" => Pattern::Range(Some(n), None),
        "gt" => match n.checked_add(1) {
            Some(n) => Pattern::Range(Some(n), None),
            None => Pattern::Nothing,
        },
        "le" => Pattern::Range(None, Some(n)),
        _ => match n.checked_sub(1) {
            Some(n) => Pattern::Range(None, Some(n)),
            None => Pattern::Nothing,
        },
    })
}

fn network(text: &str, no_dns: bool) -> Result<Pattern, String> {
    let bad = || format!("'{text}' is not a valid IPv4 or IPv6 address");
    let (address, mask) = text.split_once('/').map_or((text, None), |(a, m)| (a, Some(m)));
    if let Ok(v6) = address.parse::<Ipv6Addr>() {
        let bits = mask.map_or(Some(128), |m| m.parse().ok()).ok_or_else(bad)?;
        return Ipv6Net::new(v6, bits).map(|n| Pattern::V6(n.trunc())).map_err(|_| bad());
    }
    let address =
        short_v4(address).or_else(|| if no_dns { None } else { resolve(address) }).ok_or_else(bad)?;
    let mask = match mask {
        None => u32::MAX,
        Some(m) => match parse_mask4(m) {
            Some(mask) => u32::from(mask),
            None => u32::from(m.parse::<Ipv4Addr>().map_err(|_| bad())?),
        },
    };
    if mask.leading_ones() + mask.trailing_zeros() < 32 {
        return Ok(Pattern::Masked(u32::from(address) & mask, mask));
    }
    Ipv4Net::new(address, mask.leading_ones() as u8).map(|n| Pattern::V4(n.trunc())).map_err(|_| bad())
}

/// An address, perhaps with fewer than four parts; the last one fills what is left, as in `inet_aton`.
fn short_v4(text: &str) -> Option<Ipv4Addr> {
    let parts: Option<Vec<u32>> = text.split('.').map(|p| p.parse().ok()).collect();
    let parts = parts.filter(|p| (1..=4).contains(&p.len()))?;
    let (last, heads) = parts.split_last()?;
    if heads.iter().any(|p| *p > 255) || u64::from(*last) >> (8 * (4 - heads.len())) != 0 {
        return None;
    }
    let head = heads.iter().enumerate().fold(0, |n, (i, p)| n | (p << (24 - 8 * i)));
    Some(Ipv4Addr::from(head | last))
}

fn resolve(name: &str) -> Option<Ipv4Addr> {
    let plausible = name.bytes().any(|b| b.is_ascii_alphabetic());
    let addresses = if plausible { (name, 0).to_socket_addrs().ok()? } else { return None };
    addresses.into_iter().find_map(|a| match a.ip() {
        IpAddr::V4(v4) => Some(v4),
        IpAddr::V6(_) => None,
    })
}

/// Bytes written in hexadecimal; the error is haproxy's text.
pub fn unhex(text: &str) -> Result<Vec<u8>, String> {
    if text.len() % 2 == 1 {
        return Err("an even number of hex digit is expected".into());
    }
    let digits: Option<Vec<u32>> = text.chars().map(|c| c.to_digit(16)).collect();
    let digits = digits.ok_or("an hex digit is expected")?;
    Ok(digits.chunks(2).map(|d| (d[0] * 16 + d[1]) as u8).collect())
}

/// Numbers of entries with the same key, the oldest first.
type Ids = SmallVec<[u32; 1]>;

/// Patterns of one method over one list of entries, arranged for look-up.
#[derive(Debug)]
pub struct Index {
    /// The method.
    pub method: Method,
    /// How its patterns are read.
    pub flags: Flags,
    exact: HashMap<Box<[u8]>, Ids>,
    lengths: BTreeSet<usize>,
    numbers: HashMap<i64, Ids>,
    v4: PrefixMap<Ipv4Net, Ids>,
    v6: PrefixMap<Ipv6Net, Ids>,
    list: Vec<(Pattern, u32)>,
}

impl Index {
    /// An empty index.
    pub fn new(method: Method, flags: Flags) -> Self {
        Self {
            method,
            flags,
            exact: HashMap::new(),
            lengths: BTreeSet::new(),
            numbers: HashMap::new(),
            v4: PrefixMap::new(),
            v6: PrefixMap::new(),
            list: Vec::new(),
        }
    }

    /// Adds entry `id` under a pattern.
    pub fn insert(&mut self, pattern: Pattern, id: u32) {
        match (self.method, pattern) {
            (Method::Str | Method::Beg | Method::Bin, Pattern::Bytes(b)) => {
                if self.method == Method::Beg {
                    self.lengths.insert(b.len());
                }
                self.exact.entry(b).or_default().push(id);
            }
            (Method::Int | Method::Len, Pattern::Range(Some(a), Some(b))) if a == b => {
                self.numbers.entry(a).or_default().push(id);
            }
            (Method::Ip, Pattern::V4(n)) => self.v4.entry(n).or_default().push(id),
            (Method::Ip, Pattern::V6(n)) => self.v6.entry(n).or_default().push(id),
            (_, pattern) => self.list.push((pattern, id)),
        }
    }

    /// Removes entry `id`, which was added under `pattern`.
    pub fn remove(&mut self, pattern: &Pattern, id: u32) {
        fn drop_id<K: std::hash::Hash + Eq + Clone>(map: &mut HashMap<K, Ids>, key: &K, id: u32) {
            if let Some(ids) = map.get_mut(key) {
                ids.retain(|i| *i != id);
                if ids.is_empty() {
                    map.remove(key);
                }
            }
        }
        match (self.method, pattern) {
            (Method::Str | Method::Beg | Method::Bin, Pattern::Bytes(b)) => drop_id(&mut self.exact, b, id),
            (Method::Int | Method::Len, Pattern::Range(Some(a), Some(b))) if a == b => {
                drop_id(&mut self.numbers, a, id);
            }
            (Method::Ip, Pattern::V4(n)) => {
                if self.v4.get_mut(n).is_some_and(|ids| {
                    ids.retain(|i| *i != id);
                    ids.is_empty()
                }) {
                    self.v4.remove(n);
                }
            }
            (Method::Ip, Pattern::V6(n)) => {
                if self.v6.get_mut(n).is_some_and(|ids| {
                    ids.retain(|i| *i != id);
                    ids.is_empty()
                }) {
                    self.v6.remove(n);
                }
            }
            _ => self.list.retain(|(_, i)| *i != id),
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = Self::new(self.method, self.flags);
    }

    /// The entry that matches a sample: the longest prefix or network, else the oldest.
    pub fn find(&self, value: &Value<'_>) -> Option<u32> {
        match self.method {
            Method::Found | Method::Bool => None,
            Method::Int => self.find_number(value.clone().into_int()?),
            Method::Len => self.find_number(value.clone().into_text()?.len() as i64),
            Method::Ip => self.find_ip(value),
            Method::Bin => self.exact.get(&*value.clone().into_bytes()?).and_then(|i| i.first().copied()),
            _ => match value {
                Value::Str(b) | Value::Method(b) => self.find_text(b),
                other => self.find_text(&other.clone().into_text()?),
            },
        }
    }

    fn find_number(&self, n: i64) -> Option<u32> {
        let single = self.numbers.get(&n).and_then(|i| i.first().copied());
        let ranged = self.list.iter().find(|(p, _)| match p {
            Pattern::Range(low, high) => low.is_none_or(|l| l <= n) && high.is_none_or(|h| n <= h),
            _ => false,
        });
        match (single, ranged.map(|(_, i)| *i)) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    fn find_ip(&self, value: &Value<'_>) -> Option<u32> {
        let address = match value {
            Value::V4(a) => IpAddr::V4(*a),
            Value::V6(a) => IpAddr::V6(*a),
            other => match other.clone().cast(Type::Addr)? {
                Value::V4(a) => IpAddr::V4(a),
                Value::V6(a) => IpAddr::V6(a),
                _ => return None,
            },
        };
        let (v4, v6) = match address {
            IpAddr::V4(a) => (Some(a), a.to_ipv6_mapped()),
            IpAddr::V6(a) => (inner_v4(a), a),
        };
        let by4 = || v4.and_then(|a| self.find_v4(a));
        let by6 = || self.v6.get_lpm(&Ipv6Net::from(v6)).and_then(|(_, i)| i.first().copied());
        if address.is_ipv4() { by4().or_else(by6) } else { by6().or_else(by4) }
    }

    fn find_v4(&self, a: Ipv4Addr) -> Option<u32> {
        let hit = self.v4.get_lpm(&Ipv4Net::from(a)).and_then(|(_, i)| i.first().copied());
        hit.or_else(|| {
            let masked = |p: &Pattern| matches!(p, Pattern::Masked(n, m) if u32::from(a) & m == *n);
            self.list.iter().find(|(p, _)| masked(p)).map(|(_, i)| *i)
        })
    }

    fn find_text(&self, text: &[u8]) -> Option<u32> {
        let mut lower: Buf<'_> = Buf::Ref(text);
        if self.flags.ignore_case && self.method != Method::Reg {
            let mut owned = lower.into_vec();
            owned.make_ascii_lowercase();
            lower = Buf::Own(owned);
        }
        let text = &*lower;
        match self.method {
            Method::Str => self.exact.get(text).and_then(|i| i.first().copied()),
            Method::Beg => self
                .lengths
                .iter()
                .rev()
                .filter(|l| **l <= text.len())
                .find_map(|l| self.exact.get(&text[..*l]).and_then(|i| i.first().copied())),
            method => self.list.iter().find(|(p, _)| holds(method, p, text)).map(|(_, i)| *i),
        }
    }

    /// The groups of the regular expression that matches a sample, for `map_regm`.
    pub fn captures(&self, id: u32, subject: &[u8]) -> Option<pcre2::bytes::CaptureLocations> {
        let (pattern, _) = self.list.iter().find(|(_, i)| *i == id)?;
        let Pattern::Regex(regex) = pattern else { return None };
        let mut groups = regex.capture_locations();
        regex.captures_read(&mut groups, subject).ok()??;
        Some(groups)
    }
}

/// The IPv4 address inside a mapped, compatible (`::a.b.c.d`) or 6to4 (`2002::/16`) address.
fn inner_v4(a: Ipv6Addr) -> Option<Ipv4Addr> {
    let s = a.segments();
    let join = |h: u16, l: u16| Ipv4Addr::from((u32::from(h) << 16) | u32::from(l));
    if s[0] == 0x2002 {
        return Some(join(s[1], s[2]));
    }
    embedded_v4(a).or_else(|| (s[..6] == [0; 6]).then(|| join(s[6], s[7])))
}

fn holds(method: Method, pattern: &Pattern, text: &[u8]) -> bool {
    match pattern {
        Pattern::Regex(r) => r.is_match(text).unwrap_or(false),
        Pattern::Bytes(b) => match method {
            Method::Sub => b.is_empty() || memchr::memmem::find(text, b).is_some(),
            Method::End => text.ends_with(b),
            Method::Dir => part(text, b, b"/?"),
            Method::Dom => part(text, b, b"/?.:"),
            _ => false,
        },
        _ => false,
    }
}

/// Whether `pattern` stands in `text` between delimiters or the ends.
fn part(text: &[u8], pattern: &[u8], delimiters: &[u8]) -> bool {
    let edge = |b: &u8| delimiters.contains(b);
    let start = pattern.iter().position(|b| !edge(b)).unwrap_or(pattern.len());
    let end = pattern.iter().rposition(|b| !edge(b)).map_or(start, |e| e + 1);
    let pattern = &pattern[start..end];
    if pattern.is_empty() {
        return false;
    }
    memchr::memmem::find_iter(text, pattern)
        .any(|at| (at == 0 || edge(&text[at - 1])) && text.get(at + pattern.len()).is_none_or(edge))
}
