//! FIX (Financial Information eXchange) messages: `TAG=VALUE` fields, each ended by the byte 1.

use super::{Row, row};
use crate::sample::args::{at, parse_int};
use crate::sample::{Arg, Type, Value};

/// Rows of this family.
pub static ROWS: &[Row] = &[
    row("fix_is_valid", "", Type::Bin, Type::Bool, |_, _, x| match valid(&x.into_bytes()?) {
        Err(Fault::Short) => None,
        verdict => Some(Value::Bool(verdict.is_ok())),
    }),
    row("fix_tag_value", "string", Type::Bin, Type::Bin, |_, a, x| {
        let data = x.into_bytes()?;
        let wanted = at(a, 0).int_or(0);
        let value = fields(&data)
            .map_while(Result::ok)
            .find(|(tag, _, _)| *tag == wanted)
            .map(|(_, v, _)| v.to_vec());
        value.map(Value::bin)
    })
    .check(|a, _| {
        let name = at(a, 0).text();
        let tag = TAGS.iter().find(|(n, _)| *n == name).map(|(_, t)| *t);
        let tag = tag.or_else(|| parse_int(name).filter(|t| *t > 0));
        a[0] = Arg::Int(tag.ok_or_else(|| format!("Unknown FIX tag name '{name}'"))?);
        Ok(())
    }),
];

const BEGIN_STRING: i64 = 8;
const BODY_LENGTH: i64 = 9;
const CHECK_SUM: i64 = 10;
const MSG_TYPE: i64 = 35;

const TAGS: [(&str, i64); 6] = [
    ("BeginString", BEGIN_STRING),
    ("BodyLength", BODY_LENGTH),
    ("CheckSum", CHECK_SUM),
    ("MsgType", MSG_TYPE),
    ("SenderCompID", 49),
    ("TargetCompID", 56),
];

/// Why bytes are no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// More would have to come.
    Short,
    /// They never become one.
    Bad,
}

/// Tag, value and the place behind a field.
type Field<'d> = (i64, &'d [u8], usize);

/// The fields, up to what is none.
fn fields(data: &[u8]) -> impl Iterator<Item = Result<Field<'_>, Fault>> {
    let mut start = 0;
    std::iter::from_fn(move || {
        let rest = data.get(start..).filter(|r| !r.is_empty())?;
        let field = || {
            let eq = memchr::memchr(b'=', rest).ok_or(Fault::Short)?;
            let end = eq + memchr::memchr(1, &rest[eq..]).ok_or(Fault::Short)?;
            let tag = std::str::from_utf8(&rest[..eq]).ok().and_then(|t| t.parse::<u32>().ok());
            let tag = tag.filter(|t| *t > 0).ok_or(Fault::Bad)?;
            Ok((i64::from(tag), &rest[eq + 1..end], start + end + 1))
        };
        let field = field();
        start = field.map_or(data.len(), |f| f.2);
        Some(field)
    })
}

/// Bytes of the shortest message.
const SHORTEST: usize = 26;

const VERSIONS: [&[u8]; 7] =
    [b"FIX.4.0", b"FIX.4.1", b"FIX.4.2", b"FIX.4.3", b"FIX.4.4", b"FIX.5.0", b"FIXT.1.1"];

/// Judges a message; what stands behind its checksum is the next one.
fn valid(data: &[u8]) -> Result<(), Fault> {
    if data.len() < SHORTEST {
        return Err(Fault::Short);
    }
    let number = |t: &[u8]| std::str::from_utf8(t).ok().and_then(parse_int);
    let (mut length, mut body) = (None, 0);
    for (at, field) in fields(data).enumerate() {
        let (tag, value, end) = field?;
        let good = match at {
            0 => tag == BEGIN_STRING && VERSIONS.contains(&value),
            1 => {
                (length, body) = (number(value), end);
                tag == BODY_LENGTH && length.is_some()
            }
            2 => tag == MSG_TYPE,
            _ => true,
        };
        if !good {
            return Err(Fault::Bad);
        }
        if tag == CHECK_SUM {
            // The checksum's own field: "10=NNN" and the end byte.
            let before_sum = end - value.len() - 4;
            let total = data[..before_sum].iter().fold(0u8, |s, b| s.wrapping_add(*b));
            let whole = length == Some((before_sum - body) as i64);
            let right = whole && value.len() == 3 && number(value) == Some(i64::from(total));
            return if right { Ok(()) } else { Err(Fault::Bad) };
        }
    }
    Err(Fault::Short)
}
