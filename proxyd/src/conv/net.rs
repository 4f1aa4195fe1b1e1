//! Addresses and host names.

use super::{Row, row};
use crate::sample::args::at;
use crate::sample::{Arg, Type, Value, embedded_v4};
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
        Some(Value::Int(i64::from(split(&b).1)))
    }),
];

/// Where the host of `host:port` ends, and the port; 0 without one.
fn split(text: &[u8]) -> (usize, u16) {
    let digits = text.iter().rev().take_while(|b| b.is_ascii_digit()).count();
    let colon = text.len() - digits;
    if digits > 0 && colon > 0 && text[colon - 1] == b':' {
        let before = &text[..colon - 1];
        // An IPv6 address without brackets has no port.
        let plain_v6 = before.contains(&b':') && !before.ends_with(b"]");
        if !plain_v6 {
            let port = text[colon..].iter().fold(0u32, |p, b| p.saturating_mul(10) + u32::from(b - b'0'));
            return (colon - 1, u16::try_from(port).unwrap_or(0));
        }
    }
    (text.len(), 0)
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
