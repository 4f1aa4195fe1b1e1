//! The greeting of a TLS client, kept where `tune.ssl.capture-buffer-size` asks for it: suites, extensions, groups, as
//! fingerprints of clients are made of.
//!
//! Absent on purpose: keeping it otherwise; it would cost every connection half a kilobyte.

use super::payload::Hello;
use super::{Row, row};
use crate::sample::args::at;
use crate::sample::source::Source::L5Client;
use crate::sample::{Arg, Type, Value};
use crate::stream::view::View;

/// Rows of this family.
pub static ROWS: &[Row] = &[
    row("ssl_fc_cipherlist_bin", "[integer]", Type::Str, L5Client, |v, a, _| bytes(suites(v, a)?)),
    row("ssl_fc_cipherlist_hex", "[integer]", Type::Bin, L5Client, |v, a, _| {
        Some(Value::bin(tls::ocsp::hex(&suites(v, a)?).into_bytes()))
    }),
    row("ssl_fc_cipherlist_str", "[integer]", Type::Str, L5Client, |v, a, _| {
        let list = suites(v, a)?;
        let name = |n: u16| tls::suites::name(n).map_or_else(|| format!("UNKNOWN({n:04x})"), str::to_owned);
        Some(Value::str(numbers(&list).map(name).collect::<Vec<_>>().join(",")))
    }),
    row("ssl_fc_cipherlist_xxh", "", Type::Int, L5Client, |v, _, _| {
        Some(Value::Int(xxhash_rust::xxh64::xxh64(hello(v)?.suites, 0) as i64))
    }),
    row("ssl_fc_client_random", "", Type::Bin, L5Client, |v, _, _| {
        Some(Value::bin(hello(v)?.random.to_vec()))
    }),
    row("ssl_fc_ecformats_bin", "", Type::Str, L5Client, |v, _, _| {
        bytes(clipped(v, hello(v)?.extension(11)?.get(1..)?).to_vec())
    }),
    row("ssl_fc_eclist_bin", "[integer]", Type::Str, L5Client, |v, a, _| {
        bytes(filtered(clipped(v, hello(v)?.extension(10)?.get(2..)?), a))
    }),
    row("ssl_fc_extlist_bin", "[integer]", Type::Str, L5Client, |v, a, _| {
        let all: Vec<u8> = hello(v)?.extension_types().into_iter().flat_map(u16::to_be_bytes).collect();
        bytes(filtered(clipped(v, &all), a))
    }),
    row("ssl_fc_protocol_hello_id", "", Type::Int, L5Client, |v, _, _| {
        Some(Value::Int(i64::from(hello(v)?.version)))
    }),
];

fn hello<'v>(view: &'v View<'_>) -> Option<Hello<'v>> {
    let kept = &view.session.tls.as_deref()?.client_hello;
    Hello::parse(kept.get(5..)?)
}

fn bytes<'v>(list: Vec<u8>) -> Option<Value<'v>> {
    Some(Value::str(list))
}

/// As much as is to be kept of a list.
fn clipped<'d>(view: &View<'_>, list: &'d [u8]) -> &'d [u8] {
    &list[..list.len().min(crate::net::tls::capture(&view.generation.config.global))]
}

fn numbers(list: &[u8]) -> impl Iterator<Item = u16> + '_ {
    list.as_chunks::<2>().0.iter().map(|pair| u16::from_be_bytes(*pair))
}

/// A list, without the values that only keep servers honest (RFC 8701) where the argument is 1.
fn filtered(list: &[u8], args: &[Arg]) -> Vec<u8> {
    let honest = |n: &u16| at(args, 0).int_or(0) != 1 || n & 0x0f0f != 0x0a0a || n >> 8 != n & 0xff;
    numbers(list).filter(honest).flat_map(u16::to_be_bytes).collect()
}

fn suites(view: &View<'_>, args: &[Arg]) -> Option<Vec<u8>> {
    Some(filtered(clipped(view, hello(view)?.suites), args))
}
