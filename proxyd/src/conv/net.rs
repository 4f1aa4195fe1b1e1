//! Addresses and host names.

use super::{Row, row};
use crate::sample::args::at;
use crate::sample::{Arg, Type, Value, embedded_v4, leading_int};
use crate::stream::view::View;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Rows of this family.
pub static ROWS: &[Row] = &[
    row("host_only", "", Type::Str, Type::Str, |_, _, x| {
        let b = x.into_text()?;
        let end = split(&b).0;
        Some(Value::Str(b.slice(0, end)))
    }),
    row("ipmask", "IPv4 mask[,IPv6 mask]", Type::Addr, Type::V4, ipmask),
    row("port_only", "", Type::Str, Type::Int, |_, _, x| {
        let b = x.into_text()?;
        Some(Value::Int(split(&b).1))
    }),
];

/// Where the host of `host:port` ends, and the port; 0 without one. The last colon outside of
/// brackets parts them.
fn split(text: &[u8]) -> (usize, i64) {
    match text.iter().rposition(|b| matches!(b, b':' | b']')) {
        Some(at) if text[at] == b':' => (at, leading_int(&text[at + 1..]).0.max(0)),
        _ => (text.len(), 0),
    }
}

fn ipmask<'v>(_: &'v View<'_>, args: &'v [Arg], value: Value<'v>) -> Option<Value<'v>> {
    let Arg::V4(mask4) = at(args, 0) else { return None };
    match (value, at(args, 1)) {
        (Value::V4(a), _) => Some(Value::V4(Ipv4Addr::from(u32::from(a) & u32::from(*mask4)))),
        (Value::V6(a), Arg::V6(mask6)) => Some(Value::V6(Ipv6Addr::from(u128::from(a) & u128::from(*mask6)))),
        (Value::V6(a), _) => Some(Value::V4(Ipv4Addr::from(u32::from(embedded_v4(a)?) & u32::from(*mask4)))),
        _ => None,
    }
}
