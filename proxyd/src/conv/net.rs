//! Addresses and host names.

use super::{Row, row};
use crate::sample::args::at;
use crate::sample::{Arg, Type, Value, embedded_v4};
use crate::stream::view::View;

/// Rows of this family.
pub static ROWS: &[Row] = &[
    row("host_only", "", Type::Str, Type::Str, |_, _, x| {
        let b = x.into_text()?;
        let end = split(&b).0;
        Some(Value::str(b[..end].to_ascii_lowercase()))
    }),
    row("ipmask", "IPv4 mask[,IPv6 mask]", Type::Addr, Type::V4, ipmask),
    row("port_only", "", Type::Str, Type::Int, |_, _, x| {
        let b = x.into_text()?;
        Some(Value::Int(split(&b).1))
    }),
];

/// Where the host of `host:port` ends, and the port; 0 without one. The last colon outside of
/// brackets parts them. As in haproxy the port has 32 bits, and a byte counts by its distance from `0`.
fn split(text: &[u8]) -> (usize, i64) {
    match text.iter().rposition(|b| matches!(b, b':' | b']')) {
        Some(at) if text[at] == b':' => {
            let digit = |n: u32, b: &u8| n.wrapping_mul(10).wrapping_add(u32::from(*b).wrapping_sub(48));
            (at, i64::from(text[at + 1..].iter().fold(0, digit)))
        }
        _ => (text.len(), 0),
    }
}

fn ipmask<'v>(_: &'v View<'_>, args: &'v [Arg], value: Value<'v>) -> Option<Value<'v>> {
    let Arg::V4(mask4) = at(args, 0) else { return None };
    match (value, at(args, 1)) {
        (Value::V4(a), _) => Some(Value::V4(a & *mask4)),
        (Value::V6(a), mask6) => match (embedded_v4(a), mask6) {
            (Some(a), _) => Some(Value::V4(a & *mask4)),
            (None, Arg::V6(mask6)) => Some(Value::V6(a & *mask6)),
            _ => None,
        },
        _ => None,
    }
}
