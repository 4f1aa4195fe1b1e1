//! Hash converters and the hash functions themselves, also used by balancing.
//!
//! Invariant: every function gives haproxy's value bit for bit, since users keep consistent-hash placements and
//! comparisons across versions and programs.

use super::{Row, Run, row};
use crate::sample::args::at;
use crate::sample::{Type, Value};

/// Rows of this family.
pub static ROWS: &[Row] = &[
    row("crc32", "[integer]", Type::Bin, Type::Int, |_, a, x| short(a, x, crc32)),
    row("crc32c", "[integer]", Type::Bin, Type::Int, |_, a, x| short(a, x, crc32c)),
    row("djb2", "[integer]", Type::Bin, Type::Int, |_, a, x| short(a, x, djb2)),
    row("sdbm", "[integer]", Type::Bin, Type::Int, |_, a, x| short(a, x, sdbm)),
    row("wt6", "[integer]", Type::Bin, Type::Int, |_, a, x| short(a, x, wt6)),
    row("xxh3", "[integer]", Type::Bin, Type::Int, XXH3),
    row("xxh32", "[integer]", Type::Bin, Type::Int, XXH32),
    row("xxh64", "[integer]", Type::Bin, Type::Int, XXH64),
];

const XXH32: Run = |_, a, x| {
    let seed = at(a, 0).int_or(0) as u32;
    Some(Value::Int(i64::from(xxhash_rust::xxh32::xxh32(&x.into_bytes()?, seed))))
};
const XXH64: Run = |_, a, x| {
    let seed = at(a, 0).int_or(0) as u64;
    Some(Value::Int(xxhash_rust::xxh64::xxh64(&x.into_bytes()?, seed) as i64))
};
const XXH3: Run = |_, a, x| {
    let seed = at(a, 0).int_or(0) as u64;
    Some(Value::Int(xxhash_rust::xxh3::xxh3_64_with_seed(&x.into_bytes()?, seed) as i64))
};

/// A 32-bit hash with the optional avalanche argument.
fn short<'v>(args: &[crate::sample::Arg], value: Value<'v>, hash: fn(&[u8]) -> u32) -> Option<Value<'v>> {
    let h = hash(&value.into_bytes()?);
    Some(Value::Int(i64::from(if at(args, 0).int_or(0) != 0 { avalanche(h) } else { h })))
}

/// CRC-32 as of Ethernet and gzip.
pub fn crc32(input: &[u8]) -> u32 {
    crc32fast::hash(input)
}

/// CRC-32C (Castagnoli), RFC 4960 appendix B.
pub fn crc32c(input: &[u8]) -> u32 {
    const TABLE: [u32; 256] = crc32c_table();
    !input.iter().fold(!0, |crc: u32, b| (crc >> 8) ^ TABLE[usize::from((crc as u8) ^ b)])
}

const fn crc32c_table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        let mut crc = i as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 };
            bit += 1;
        }
        table[i] = crc;
        i += 1;
    }
    table
}

/// Bernstein's hash.
pub fn djb2(input: &[u8]) -> u32 {
    input.iter().fold(5381, |h: u32, b| h.wrapping_mul(33).wrapping_add(u32::from(*b)))
}

/// The hash of the sdbm data base.
pub fn sdbm(input: &[u8]) -> u32 {
    input.iter().fold(0, |h: u32, b| h.wrapping_mul(65599).wrapping_add(u32::from(*b)))
}

/// The `wt6` hash of `hash-type`.
pub fn wt6(input: &[u8]) -> u32 {
    let (mut a, mut b) = (0xa53c_965a_u32, 0x5ca6_953a_u32);
    let (mut first, mut second) = (6, 18);
    for byte in input {
        let t = u32::from(*byte);
        a = !(a ^ t);
        b = !b.wrapping_add(t);
        let turned = b.rotate_left(first);
        b = a.rotate_left(second);
        a = turned;
        let t = ((a >> 16) ^ b) & 0xffff;
        first = t & 0x1f;
        second = (t >> 11) & 0x1f;
    }
    a ^ b
}

/// Bob Jenkins' full avalanche, stretched over the whole range as haproxy does.
pub fn avalanche(a: u32) -> u32 {
    let a = a.wrapping_add(0x7ed5_5d16).wrapping_add(a << 12);
    let a = (a ^ 0xc761_c23c) ^ (a >> 19);
    let a = a.wrapping_add(0x1656_67b1).wrapping_add(a << 5);
    let a = a.wrapping_add(0xd3a2_646c) ^ (a << 9);
    let a = a.wrapping_add(0xfd70_46c5).wrapping_add(a << 3);
    let a = (a ^ 0xb55a_4f09) ^ (a >> 16);
    a.wrapping_mul(3_221_225_473)
}
