//! Typed samples: what fetches give, converters change and rules compare.

pub mod expr;

/// A sample's value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `bool`.
    Bool(bool),
    /// `sint`.
    Int(i64),
    /// `str`.
    Str(bytes::Bytes),
    /// `bin`.
    Bin(bytes::Bytes),
    /// `ipv4` and `ipv6`.
    Addr(std::net::IpAddr),
    /// `meth`.
    Method(bytes::Bytes),
}
