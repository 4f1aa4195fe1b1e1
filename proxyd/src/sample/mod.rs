//! Typed samples: what fetches return, converters change and ACLs compare.
//!
//! Invariant: a [`Value`] either borrows from the transaction or holds its bytes inline; casts follow haproxy's
//! matrix exactly, so that an expression is taken or refused as by the original.
//!
//! Absent on purpose: where values come from (`fetch/`), what is done to them (`conv/`), patterns (`acl/`).

pub mod args;
pub mod expr;
pub mod source;
pub mod vars;

#[cfg(test)]
pub mod fixture;
#[cfg(test)]
mod tests;

use smallvec::SmallVec;
use std::borrow::Cow;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Deref;

pub use args::Arg;
pub use expr::Expr;
pub use vars::VarName;

/// Bytes kept inline before a value needs the heap: a header value or path of everyday length.
pub const INLINE_BYTES: usize = 40;

/// Bytes of a string or binary sample: borrowed from the transaction, or owned and mostly inline.
#[derive(Clone, Debug)]
pub enum Buf<'a> {
    /// Borrowed.
    Ref(&'a [u8]),
    /// Owned.
    Own(SmallVec<[u8; INLINE_BYTES]>),
}

impl Deref for Buf<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Ref(b) => b,
            Self::Own(b) => b,
        }
    }
}

impl PartialEq for Buf<'_> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Buf<'_> {}

impl Buf<'_> {
    /// A copy that borrows nothing.
    pub fn into_owned(self) -> Buf<'static> {
        match self {
            Buf::Ref(b) => Buf::Own(SmallVec::from_slice(b)),
            Buf::Own(b) => Buf::Own(b),
        }
    }

    /// Owned bytes, copied only when borrowed.
    pub fn into_vec(self) -> SmallVec<[u8; INLINE_BYTES]> {
        match self {
            Self::Ref(b) => SmallVec::from_slice(b),
            Self::Own(b) => b,
        }
    }

    /// The part `range` of these bytes; a borrow stays a borrow. The range must lie inside.
    #[must_use]
    pub fn slice(self, start: usize, end: usize) -> Self {
        match self {
            Self::Ref(b) => Self::Ref(&b[start..end]),
            Self::Own(mut b) => {
                b.truncate(end);
                b.drain(..start);
                Self::Own(b)
            }
        }
    }

    /// Text for messages; bytes that are not UTF-8 are replaced.
    pub fn lossy(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(self)
    }
}

impl<'a> From<&'a [u8]> for Buf<'a> {
    fn from(b: &'a [u8]) -> Self {
        Self::Ref(b)
    }
}

impl<'a> From<&'a str> for Buf<'a> {
    fn from(b: &'a str) -> Self {
        Self::Ref(b.as_bytes())
    }
}

impl From<Vec<u8>> for Buf<'_> {
    fn from(b: Vec<u8>) -> Self {
        Self::Own(SmallVec::from_vec(b))
    }
}

impl From<String> for Buf<'_> {
    fn from(b: String) -> Self {
        Self::Own(SmallVec::from_vec(b.into_bytes()))
    }
}

impl From<SmallVec<[u8; INLINE_BYTES]>> for Buf<'_> {
    fn from(b: SmallVec<[u8; INLINE_BYTES]>) -> Self {
        Self::Own(b)
    }
}

/// Type of a sample, as haproxy names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Type {
    /// Known only while it runs.
    Any,
    /// `bool`.
    Bool,
    /// `sint`: 64 bits, signed.
    Int,
    /// `addr`: IPv4 or IPv6.
    Addr,
    /// `ipv4`.
    V4,
    /// `ipv6`.
    V6,
    /// `str`.
    Str,
    /// `bin`.
    Bin,
    /// `meth`: an HTTP method.
    Method,
}

impl Type {
    /// haproxy's name, as in `haproxy -dKsmp`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::Bool => "bool",
            Self::Int => "sint",
            Self::Addr => "addr",
            Self::V4 => "ipv4",
            Self::V6 => "ipv6",
            Self::Str => "str",
            Self::Bin => "bin",
            Self::Method => "meth",
        }
    }

    /// Whether a sample of this type can be made one of type `to`: haproxy's cast matrix, `None` where a
    /// configuration with that cast is refused.
    #[expect(clippy::match_like_matches_macro, reason = "a matrix is read by rows")]
    pub const fn casts_to(self, to: Self) -> bool {
        use Type::{Addr, Any, Bin, Bool, Int, Method, Str, V4, V6};
        match (self, to) {
            (Any, _) | (_, Any) => true,
            (Bool | Int, Bool | Int | Str | Bin) | (Int, Addr | V4 | V6) => true,
            (Addr, Addr | V4 | V6 | Str | Bin) => true,
            (V4, Int | Addr | V4 | V6 | Str | Bin) => true,
            (V6, Addr | V4 | V6 | Str | Bin) => true,
            (Str, Bool | Int | Addr | V4 | V6 | Str | Bin | Method) => true,
            (Bin | Method, Str | Bin | Method) => true,
            _ => false,
        }
    }
}

/// One sample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// A truth value.
    Bool(bool),
    /// A signed integer.
    Int(i64),
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// An IPv6 address.
    V6(Ipv6Addr),
    /// Text; not necessarily UTF-8.
    Str(Buf<'a>),
    /// Binary data.
    Bin(Buf<'a>),
    /// A request method.
    Method(Buf<'a>),
}

impl<'a> Value<'a> {
    /// A string sample.
    pub fn str(b: impl Into<Buf<'a>>) -> Self {
        Self::Str(b.into())
    }

    /// A binary sample.
    pub fn bin(b: impl Into<Buf<'a>>) -> Self {
        Self::Bin(b.into())
    }

    /// An address sample of the address's own family.
    pub fn ip(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(a) => Self::V4(a),
            IpAddr::V6(a) => Self::V6(a),
        }
    }

    /// The sample's type.
    pub const fn kind(&self) -> Type {
        match self {
            Self::Bool(_) => Type::Bool,
            Self::Int(_) => Type::Int,
            Self::V4(_) => Type::V4,
            Self::V6(_) => Type::V6,
            Self::Str(_) => Type::Str,
            Self::Bin(_) => Type::Bin,
            Self::Method(_) => Type::Method,
        }
    }

    /// A copy that borrows nothing, for variables and captures.
    pub fn into_owned(self) -> Value<'static> {
        match self {
            Self::Bool(v) => Value::Bool(v),
            Self::Int(v) => Value::Int(v),
            Self::V4(v) => Value::V4(v),
            Self::V6(v) => Value::V6(v),
            Self::Str(v) => Value::Str(v.into_owned()),
            Self::Bin(v) => Value::Bin(v.into_owned()),
            Self::Method(v) => Value::Method(v.into_owned()),
        }
    }

    /// The sample as type `to`, or nothing where this very value has no such form.
    pub fn cast(self, to: Type) -> Option<Self> {
        match to {
            Type::Any => Some(self),
            Type::Bool => self.into_int().map(|i| Self::Bool(i != 0)),
            Type::Int => self.into_int().map(Self::Int),
            Type::Addr => match self {
                Self::V4(_) | Self::V6(_) => Some(self),
                Self::Int(i) => Some(Self::V4(Ipv4Addr::from(i as u32))),
                Self::Str(b) => leading_v4(&b).map(IpAddr::V4).or_else(|| parse_ip(&b)).map(Self::ip),
                _ => None,
            },
            Type::V4 => self.into_v4().map(Self::V4),
            Type::V6 => self.into_v6().map(Self::V6),
            Type::Str => self.into_text().map(Self::Str),
            Type::Bin => self.into_bytes().map(Self::Bin),
            Type::Method => match self {
                Self::Str(b) | Self::Bin(b) | Self::Method(b) => Some(Self::Method(b)),
                _ => None,
            },
        }
    }

    /// The sample as integer; an empty string has none.
    pub fn into_int(self) -> Option<i64> {
        match self {
            Self::Bool(b) => Some(i64::from(b)),
            Self::Int(i) => Some(i),
            Self::V4(a) => Some(i64::from(u32::from(a))),
            Self::Str(b) if b.is_empty() => None,
            Self::Str(b) => Some(leading_int(&b).0),
            _ => None,
        }
    }

    fn into_v4(self) -> Option<Ipv4Addr> {
        match self {
            Self::V4(a) => Some(a),
            Self::V6(a) => embedded_v4(a),
            Self::Int(i) => Some(Ipv4Addr::from(i as u32)),
            Self::Str(b) => leading_v4(&b),
            _ => None,
        }
    }

    fn into_v6(self) -> Option<Ipv6Addr> {
        match self {
            Self::V4(a) => Some(a.to_ipv6_mapped()),
            Self::V6(a) => Some(a),
            Self::Int(i) => Some(Ipv4Addr::from(i as u32).to_ipv6_mapped()),
            Self::Str(b) => std::str::from_utf8(&b).ok()?.parse().ok(),
            _ => None,
        }
    }

    /// The sample as text, in haproxy's forms: numbers decimal, addresses dotted, binary data up to its first
    /// NUL byte.
    pub fn into_text(self) -> Option<Buf<'a>> {
        Some(match self {
            Self::Bool(b) => Buf::Ref(if b { b"1" } else { b"0" }),
            Self::Int(i) => display(i),
            Self::V4(a) => display(a),
            Self::V6(a) => display(a),
            Self::Str(b) | Self::Method(b) => b,
            Self::Bin(b) => match memchr::memchr(0, &b) {
                Some(end) => b.slice(0, end),
                None => b,
            },
        })
    }

    /// The sample as bytes: numbers as 8 bytes big-endian, addresses in network order.
    pub fn into_bytes(self) -> Option<Buf<'a>> {
        Some(match self {
            Self::Bool(b) => Buf::Own(SmallVec::from_slice(&i64::from(b).to_be_bytes())),
            Self::Int(i) => Buf::Own(SmallVec::from_slice(&i.to_be_bytes())),
            Self::V4(a) => Buf::Own(SmallVec::from_slice(&a.octets())),
            Self::V6(a) => Buf::Own(SmallVec::from_slice(&a.octets())),
            Self::Str(b) | Self::Bin(b) | Self::Method(b) => b,
        })
    }

    /// Whether the sample is true as a condition: not zero, after a cast to integer.
    pub fn truthy(self) -> bool {
        self.into_int().is_some_and(|i| i != 0)
    }
}

struct Inline(SmallVec<[u8; INLINE_BYTES]>);

impl std::fmt::Write for Inline {
    fn write_str(&mut self, s: &str) -> std::fmt::Result {
        self.0.extend_from_slice(s.as_bytes());
        Ok(())
    }
}

fn display<'a>(v: impl std::fmt::Display) -> Buf<'a> {
    let mut out = Inline(SmallVec::new());
    // Writing to memory cannot fail.
    let _ = write!(out, "{v}");
    Buf::Own(out.0)
}

/// The integer at the start of `text` (sign and digits, saturating at 64 bits) and how many bytes it took;
/// zero where there is none.
pub fn leading_int(text: &[u8]) -> (i64, usize) {
    let (negative, sign) = match text.first() {
        Some(b'-') => (true, 1),
        Some(b'+') => (false, 1),
        _ => (false, 0),
    };
    let mut value: i64 = 0;
    let mut used = sign;
    for digit in text[sign..].iter().take_while(|b| b.is_ascii_digit()) {
        let digit = i64::from(digit - b'0');
        let digit = if negative { -digit } else { digit };
        value = value.saturating_mul(10).saturating_add(digit);
        used += 1;
    }
    (value, used)
}

/// The number that haproxy's `hdr_val`, `cook_val` and `urlp_val` see in `text`: 32 bits that wrap around, up to the first
/// byte behind `9`; bytes before `0` count as negative digits.
pub fn loose_int(text: &[u8]) -> i64 {
    let (sign, digits) = text.strip_prefix(b"-").map_or((1, text), |rest| (-1, rest));
    let digits = digits.iter().map(|b| i32::from(b.cast_signed()) - i32::from(b'0')).take_while(|d| *d <= 9);
    i64::from(digits.fold(0i32, |n, d| n.wrapping_mul(10).wrapping_add(sign * d)))
}

/// The IPv4 address at the start of `text`, which a port or anything but a digit or dot may follow.
pub fn leading_v4(text: &[u8]) -> Option<Ipv4Addr> {
    let (mut octets, mut at) = ([0; 4], 0);
    for (i, octet) in octets.iter_mut().enumerate() {
        let digits = text[at..].iter().take_while(|b| b.is_ascii_digit()).count();
        let number = text[at..at + digits].iter().fold(0u32, |n, b| (n * 10 + u32::from(b - b'0')).min(256));
        *octet = u8::try_from(number).ok().filter(|_| digits > 0)?;
        at += digits;
        if (text.get(at) == Some(&b'.')) != (i < 3) {
            return None;
        }
        at += 1;
    }
    Some(Ipv4Addr::from(octets))
}

/// An address in text; nothing else may stand beside it.
pub fn parse_ip(text: &[u8]) -> Option<IpAddr> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// The IPv4 address inside a mapped (`::ffff:a.b.c.d`) IPv6 address.
pub fn embedded_v4(a: Ipv6Addr) -> Option<Ipv4Addr> {
    a.to_ipv4_mapped()
}
