//! FIX (Financial Information eXchange) messages: `TAG=VALUE` fields, each ended by the byte 1.

use super::{Row, row};
use crate::sample::args::{at, parse_int};
use crate::sample::{Arg, Type, Value};

/// Rows of this family.
pub static ROWS: &[Row] = &[
    row("fix_is_valid", "", Type::Bin, Type::Bool, |_, _, x| Some(Value::Bool(valid(&x.into_bytes()?)))),
    row("fix_tag_value", "string", Type::Bin, Type::Bin, |_, a, x| {
        let data = x.into_bytes()?;
        let wanted = at(a, 0).int_or(0);
        let value =
            fields(&data).map_while(|f| f).find(|(tag, _, _)| *tag == wanted).map(|(_, v, _)| v.to_vec());
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

/// Tag, value and the place behind each field; `None` for a field that is not one, and then nothing more.
fn fields(data: &[u8]) -> impl Iterator<Item = Option<(i64, &[u8], usize)>> {
    let mut start = 0;
    std::iter::from_fn(move || {
        if start >= data.len() {
            return None;
        }
        let Some(end) = memchr::memchr(1, &data[start..]).map(|e| start + e) else {
            start = data.len();
            return Some(None);
        };
        let field = &data[start..end];
        start = end + 1;
        let eq = memchr::memchr(b'=', field);
        Some(eq.and_then(|eq| {
            let tag = parse_int(std::str::from_utf8(&field[..eq]).ok()?)?;
            (tag > 0 && eq + 1 < field.len()).then(|| (tag, &field[eq + 1..], end + 1))
        }))
    })
}

const VERSIONS: [&[u8]; 7] =
    [b"FIX.4.0", b"FIX.4.1", b"FIX.4.2", b"FIX.4.3", b"FIX.4.4", b"FIX.5.0", b"FIXT.1.1"];

fn valid(data: &[u8]) -> bool {
    let mut list = Vec::new();
    for field in fields(data) {
        let Some(field) = field else { return false };
        list.push(field);
        // What stands behind the checksum is the next message.
        if field.0 == CHECK_SUM {
            break;
        }
    }
    let [(b, version, _), (l, length, body), (t, _, _), .., (c, sum, end)] = list.as_slice() else {
        return false;
    };
    if (*b, *l, *t, *c) != (BEGIN_STRING, BODY_LENGTH, MSG_TYPE, CHECK_SUM) || !VERSIONS.contains(version) {
        return false;
    }
    // The checksum's own field: "10=NNN" and the end byte.
    let before_sum = end - sum.len() - 4;
    let number = |t: &[u8]| std::str::from_utf8(t).ok().and_then(parse_int);
    let total = data[..before_sum].iter().fold(0u8, |s, b| s.wrapping_add(*b));
    number(length) == Some((before_sum - body) as i64)
        && sum.len() == 3
        && number(sum) == Some(i64::from(total))
}
