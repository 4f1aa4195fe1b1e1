//! Converters of bytes: base64, hexadecimal, parts, byte order.

use super::number::number;
use super::{Row, row};
use crate::sample::args::{at, parse_int};
use crate::sample::expr::Scope;
use crate::sample::vars::VarName;
use crate::sample::{Arg, Type, Value};
use crate::stream::view::View;
use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_allow_trailing_bits(true)
    .with_decode_padding_mode(DecodePaddingMode::Indifferent);
/// Standard alphabet; decodes with or without padding.
pub const BASE64: GeneralPurpose = GeneralPurpose::new(&STANDARD, LENIENT);
const STRICT64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical),
);
/// URL-safe alphabet without padding (RFC 7515).
pub const BASE64URL: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, LENIENT.with_encode_padding(false));

/// Rows of this family.
pub static ROWS: &[Row] = &[
    row("b64dec", "", Type::Str, Type::Bin, |_, _, x| {
        Some(Value::bin(STRICT64.decode(&*x.into_text()?).ok()?))
    }),
    row("base64", "", Type::Bin, Type::Str, |_, _, x| Some(Value::str(BASE64.encode(&*x.into_bytes()?)))),
    row("be2dec", "string[,integer,integer]", Type::Bin, Type::Str, |_, a, x| decimals(a, x, true))
        .check(be2dec_args),
    row("be2hex", "string[,integer,integer]", Type::Bin, Type::Str, be2hex).check(be2hex_args),
    row("bytes", "integer[,integer]", Type::Bin, Type::Bin, part),
    row("hex", "", Type::Bin, Type::Str, |_, _, x| Some(Value::str(hex(&x.into_bytes()?)))),
    row("htonl", "", Type::Int, Type::Bin, |_, _, x| {
        Some(Value::bin((x.into_int()? as u32).to_be_bytes().to_vec()))
    }),
    row("le2dec", "string[,integer,integer]", Type::Bin, Type::Str, |_, a, x| decimals(a, x, false))
        .check(le2dec_args),
    row("ub64dec", "", Type::Str, Type::Bin, |_, _, x| {
        Some(Value::bin(BASE64URL.decode(&*x.into_text()?).ok()?))
    }),
    row("ub64enc", "", Type::Bin, Type::Str, |_, _, x| Some(Value::str(BASE64URL.encode(&*x.into_bytes()?)))),
];

/// Upper-case hexadecimal digits of bytes.
pub fn hex(bytes: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    bytes.iter().flat_map(|b| [DIGITS[usize::from(b >> 4)], DIGITS[usize::from(b & 15)]]).collect()
}

/// `bytes(offset[,length])`.
fn part<'v>(view: &'v View<'_>, args: &'v [Arg], value: Value<'v>) -> Option<Value<'v>> {
    let b = value.into_bytes()?;
    let offset = number(view, at(args, 0))?;
    if offset < 0 || offset as usize >= b.len() {
        return Some(Value::bin(&b""[..]));
    }
    let start = offset as usize;
    let end = match at(args, 1) {
        Arg::None => b.len(),
        length => {
            let length = number(view, length)?;
            if length < 0 { start } else { start.saturating_add(length as usize).min(b.len()) }
        }
    };
    Some(Value::Bin(b.slice(start, end)))
}

fn chunk(args: &[Arg], max: i64) -> Result<(), String> {
    let size = at(args, 1).int_or(0);
    if !(1..=max).contains(&size) {
        return Err(format!("chunk_size out of [1..{max}] range ({size})"));
    }
    let truncate = at(args, 2).int_or(0);
    if !(0..=1).contains(&truncate) {
        return Err(format!("Unsupported truncate value ({truncate})"));
    }
    Ok(())
}

/// Bytes of the largest integer that is printed.
const INTEGER_BYTES: i64 = 8;

fn be2dec_args(args: &mut Vec<Arg>, _: &mut Scope<'_>) -> Result<(), String> {
    chunk(args, INTEGER_BYTES)
}

fn le2dec_args(args: &mut Vec<Arg>, _: &mut Scope<'_>) -> Result<(), String> {
    chunk(args, INTEGER_BYTES)
}

fn decimals<'v>(args: &[Arg], value: Value<'v>, big: bool) -> Option<Value<'v>> {
    let b = value.into_bytes()?;
    let (separator, size) = (at(args, 0).bytes(), at(args, 1).int_or(1).max(1) as usize);
    let truncate = at(args, 2).int_or(0) != 0;
    let mut out = Vec::with_capacity(b.len() * 3);
    for piece in b.chunks(size) {
        if truncate && piece.len() < size {
            break;
        }
        if !out.is_empty() {
            out.extend_from_slice(separator);
        }
        let join = |n: u64, b: &u8| (n << 8) | u64::from(*b);
        let number = if big { piece.iter().fold(0, join) } else { piece.iter().rev().fold(0, join) };
        out.extend_from_slice(number.to_string().as_bytes());
    }
    Some(Value::str(out))
}

fn be2hex_args(args: &mut Vec<Arg>, _: &mut Scope<'_>) -> Result<(), String> {
    let size = at(args, 1).int_or(0);
    if size < 0 || (size == 0 && !at(args, 0).bytes().is_empty()) {
        return Err(format!("chunk_size out of [1..{}] range ({size})", i32::MAX));
    }
    if !(0..=1).contains(&at(args, 2).int_or(0)) {
        return Err("Unsupported truncate value".into());
    }
    Ok(())
}

fn be2hex<'v>(_: &'v View<'_>, args: &'v [Arg], value: Value<'v>) -> Option<Value<'v>> {
    let b = value.into_bytes()?;
    let size = at(args, 1).int_or(0) as usize;
    if size == 0 {
        return Some(Value::str(hex(&b)));
    }
    let truncate = at(args, 2).int_or(0) != 0;
    let mut out = Vec::with_capacity(b.len() * 3);
    for piece in b.chunks(size) {
        if truncate && piece.len() < size {
            break;
        }
        if !out.is_empty() {
            out.extend_from_slice(at(args, 0).bytes());
        }
        out.extend_from_slice(&hex(piece));
    }
    Some(Value::str(out))
}

/// An argument that is a base64 string or the name of a variable; `None` when it is neither.
pub fn base64_or_var(arg: &Arg) -> Option<Arg> {
    let text = arg.text();
    if let Ok(name) = VarName::parse(text) {
        return Some(Arg::Var(name));
    }
    STRICT64.decode(text).ok().map(|b| Arg::Str(b.into()))
}

/// The bytes of an argument that is a string or a variable.
pub fn bytes_or_var<'v>(view: &View<'_>, arg: &'v Arg) -> Option<crate::sample::Buf<'v>> {
    match arg {
        Arg::Var(name) => name.load(view)?.into_bytes(),
        other => Some(other.buf()),
    }
}

/// Turns an argument into a number or a variable.
pub fn int_or_var(arg: &Arg) -> Option<Arg> {
    let text = arg.text();
    parse_int(text).map(Arg::Int).or_else(|| VarName::parse(text).ok().map(Arg::Var))
}
