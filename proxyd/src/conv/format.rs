//! Protocol buffers, bare and inside of gRPC messages.

use super::{Row, row};
use crate::sample::args::at;
use crate::sample::{Arg, Type, Value};

const FIELD: &str = "Protocol buffers field number[,string]";

/// Rows of this family.
pub static ROWS: &[Row] = &[
    row("protobuf", FIELD, Type::Bin, Type::Any, |_, a, x| field(a, &x.into_bytes()?))
        .check(|a, _| type_check(a)),
    row("ungrpc", FIELD, Type::Bin, Type::Any, |_, a, x| {
        let mut rest = &*x.into_bytes()?;
        // Each message stands behind a flag and four bytes of length; compressed ones cannot be read.
        while rest.len() >= 5 && rest[0] == 0 {
            let len = u32::from_be_bytes([rest[1], rest[2], rest[3], rest[4]]) as usize;
            let message = rest.get(5..5usize.checked_add(len)?)?;
            if let Some(hit) = field(a, message) {
                return Some(hit);
            }
            rest = &rest[5 + len..];
        }
        None
    })
    .check(|a, _| type_check(a)),
];

const TYPES: [&str; 14] = [
    "int32", "int64", "uint32", "uint64", "sint32", "sint64", "bool", "enum", "fixed64", "sfixed64",
    "double", "fixed32", "sfixed32", "float",
];

fn type_check(args: &[Arg]) -> Result<(), String> {
    match at(args, 1).text() {
        "" => Ok(()),
        t if TYPES.contains(&t) => Ok(()),
        t => Err(format!("Wrong protocol buffer type '{t}'")),
    }
}

/// A variable-length integer and what follows it.
fn varint(data: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0u64;
    for (i, b) in data.iter().enumerate().take(10) {
        value |= u64::from(b & 0x7f).checked_shl(7 * i as u32).unwrap_or(0);
        if b & 0x80 == 0 {
            return Some((value, &data[i + 1..]));
        }
    }
    None
}

/// The raw bytes of a message's first field with a number: wire type and data, and what follows.
fn find(mut data: &[u8], number: u64) -> Option<(u64, &[u8])> {
    while !data.is_empty() {
        let (key, rest) = varint(data)?;
        let (wire, start) = (key & 7, rest);
        let (body, rest) = match wire {
            0 => {
                let (_, after) = varint(rest)?;
                (&start[..start.len() - after.len()], after)
            }
            1 => (rest.get(..8)?, &rest[8..]),
            2 => {
                let (len, after) = varint(rest)?;
                let len = usize::try_from(len).ok()?;
                (after.get(..len)?, &after[len..])
            }
            5 => (rest.get(..4)?, &rest[4..]),
            _ => return None,
        };
        if key >> 3 == number {
            return Some((wire, body));
        }
        data = rest;
    }
    None
}

fn field<'v>(args: &[Arg], message: &[u8]) -> Option<Value<'v>> {
    let Arg::Path(path) = at(args, 0) else { return None };
    let mut data = message;
    let mut wire = 2;
    for (i, number) in path.iter().enumerate() {
        // Only length-delimited fields hold others.
        if i > 0 && wire != 2 {
            return None;
        }
        (wire, data) = find(data, *number)?;
    }
    typed(at(args, 1).text(), wire, data)
}

fn typed<'v>(kind: &str, wire: u64, data: &[u8]) -> Option<Value<'v>> {
    let int = |v: i64| Some(Value::Int(v));
    match (kind, wire) {
        ("", _) => Some(Value::bin(data.to_vec())),
        ("int32" | "enum", 0) => int(i64::from(varint(data)?.0 as i32)),
        ("uint32", 0) => int(i64::from(varint(data)?.0 as u32)),
        ("int64" | "uint64" | "bool", 0) => int(varint(data)?.0 as i64),
        ("sint32", 0) => {
            let n = varint(data)?.0 as u32;
            int(i64::from((n >> 1) as i32 ^ -((n & 1) as i32)))
        }
        ("sint64", 0) => {
            let n = varint(data)?.0;
            int((n >> 1) as i64 ^ -((n & 1) as i64))
        }
        ("fixed64" | "sfixed64", 1) => int(i64::from_le_bytes(data.try_into().ok()?)),
        ("double", 1) => int(f64::from_le_bytes(data.try_into().ok()?) as i64),
        ("fixed32", 5) => int(i64::from(u32::from_le_bytes(data.try_into().ok()?))),
        ("sfixed32", 5) => int(i64::from(i32::from_le_bytes(data.try_into().ok()?))),
        ("float", 5) => int(f32::from_le_bytes(data.try_into().ok()?) as i64),
        _ => None,
    }
}
