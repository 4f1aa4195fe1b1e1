//! Parts of `Forwarded` fields (RFC 7239): `rfc7239_is_valid`, `rfc7239_field` and what makes and reads nodes.
//!
//! Invariant: a part is told of a valid field alone. Names and schemes are in small letters, parts are told once and
//! nothing stands between them but `;`, as haproxy wants it; a list has to be cut into its elements before.
//!
//! Absent on purpose: the field that `option forwarded` adds.

use super::{Row, row};
use crate::sample::args::at;
use crate::sample::{Type, Value};
use std::net::{Ipv4Addr, Ipv6Addr};

/// Rows of this family.
pub static ROWS: &[Row] = &[
    row("rfc7239_is_valid", "", Type::Str, Type::Bool, |_, _, x| {
        Some(Value::Bool(parts(&x.into_text()?).is_some()))
    }),
    row("rfc7239_field", "string", Type::Str, Type::Str, |_, a, x| {
        let text = x.into_text()?;
        let which = NAMES.iter().position(|n| *n == at(a, 0).bytes())?;
        Some(Value::str(parts(&text)?[which]?.to_vec()))
    })
    .check(|a, _| {
        if NAMES.contains(&at(a, 0).bytes()) {
            return Ok(());
        }
        Err(format!("'{}' is no field; expects 'proto', 'host', 'for' or 'by'", at(a, 0).text()))
    }),
    row("rfc7239_n2nn", "", Type::Str, Type::Any, |_, _, x| {
        Some(match node(&x.into_text()?)?.0 {
            Name::V4(ip) => Value::V4(ip),
            Name::V6(ip) => Value::V6(ip),
            Name::Word(word) => Value::str(word.to_vec()),
        })
    }),
    row("rfc7239_n2np", "", Type::Str, Type::Any, |_, _, x| {
        Some(match node(&x.into_text()?)?.1? {
            Port::Number(port) => Value::Int(i64::from(port)),
            Port::Word(word) => Value::str(word.to_vec()),
        })
    }),
    row("rfc7239_nn", "", Type::Any, Type::Str, |_, _, x| {
        Some(Value::str(match x {
            Value::V4(ip) => ip.to_string().into_bytes(),
            Value::V6(ip) => format!("[{ip}]").into_bytes(),
            other => {
                let text = other.into_text()?;
                if text.is_empty() { b"unknown".to_vec() } else { hidden(&text)? }
            }
        }))
    }),
    row("rfc7239_np", "", Type::Any, Type::Str, |_, _, x| {
        Some(Value::str(match x {
            Value::Int(port) => u16::try_from(port).ok()?.to_string().into_bytes(),
            other => hidden(&other.into_text()?)?,
        }))
    }),
];

/// The parts that are known, in the order in which [`parts`] gives them.
const NAMES: [&[u8]; 4] = [b"proto", b"host", b"for", b"by"];

/// `_` and a text: an identifier that tells nothing (RFC 7239, 6.3).
fn hidden(text: &[u8]) -> Option<Vec<u8>> {
    let whole = [b"_", text].concat();
    is_hidden(&whole).then_some(whole)
}

fn is_hidden(word: &[u8]) -> bool {
    word.strip_prefix(b"_").is_some_and(|rest| {
        !rest.is_empty() && rest.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
    })
}

/// Values of the field's parts, without their quotes; `None` where it is no valid field.
fn parts(field: &[u8]) -> Option<[Option<&[u8]>; 4]> {
    let mut found = [None; 4];
    for part in field.split(|b| *b == b';') {
        let (name, value) = part.split_at(memchr::memchr(b'=', part)?);
        let which = NAMES.iter().position(|n| *n == name)?;
        let value = &value[1..];
        let quoted = value.strip_prefix(b"\"").and_then(|v| v.strip_suffix(b"\""));
        let bare = quoted.unwrap_or(value);
        // What holds a colon or brackets is no token and needs quotes (RFC 7230, 3.2.6).
        let fits =
            quoted.is_some() || !value.is_empty() && !bare.iter().any(|b| matches!(b, b':' | b'[' | b']'));
        let valid = match name {
            b"proto" => quoted.is_none() && matches!(bare, b"http" | b"https"),
            b"host" => is_host(bare),
            _ => node(bare).is_some(),
        };
        if !fits || !valid || found[which].replace(bare).is_some() {
            return None;
        }
    }
    Some(found)
}

/// A host's name or address, with a port or without; it may be empty.
fn is_host(text: &[u8]) -> bool {
    let (name, port) = match memchr::memchr(b']', text) {
        Some(end) => text.split_at(end + 1),
        None => text.split_at(memchr::memchr(b':', text).unwrap_or(text.len())),
    };
    let is_name = |n: &[u8]| n.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-'));
    let known = if name.starts_with(b"[") { v6(name).is_some() } else { is_name(name) };
    known && (port.is_empty() || port.strip_prefix(b":").and_then(number).is_some())
}

/// A port: of digits, and not 0.
fn number(text: &[u8]) -> Option<u16> {
    let digits = std::str::from_utf8(text).ok().filter(|t| t.bytes().all(|b| b.is_ascii_digit()))?;
    digits.parse().ok().filter(|port| *port != 0)
}

/// An address of version 6 in brackets.
fn v6(text: &[u8]) -> Option<Ipv6Addr> {
    let inner = text.strip_prefix(b"[")?.strip_suffix(b"]")?;
    std::str::from_utf8(inner).ok().filter(|t| !t.contains('.'))?.parse().ok()
}

/// Who is at one end of a connection.
enum Name<'t> {
    V4(Ipv4Addr),
    V6(Ipv6Addr),
    /// `unknown`, or an identifier that tells nothing.
    Word(&'t [u8]),
}

enum Port<'t> {
    Number(u16),
    Word(&'t [u8]),
}

/// A node (RFC 7239, 6): its name, and its port where it tells one.
fn node(text: &[u8]) -> Option<(Name<'_>, Option<Port<'_>>)> {
    let end = match memchr::memchr(b']', text) {
        Some(end) => end + 1,
        None => memchr::memchr(b':', text).unwrap_or(text.len()),
    };
    let (name, port) = text.split_at(end);
    let name = if name == b"unknown" || is_hidden(name) {
        Name::Word(name)
    } else if let Some(ip) = v6(name) {
        Name::V6(ip)
    } else {
        Name::V4(std::str::from_utf8(name).ok()?.parse().ok()?)
    };
    let port = match port.strip_prefix(b":") {
        None if port.is_empty() => None,
        None => return None,
        Some(word) if is_hidden(word) => Some(Port::Word(word)),
        Some(digits) => Some(Port::Number(number(digits)?)),
    };
    Some((name, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_taken_apart_or_refused_as_a_whole() {
        let told = |field: &str| {
            parts(field.as_bytes()).map(|p| {
                p.map(|v| v.map_or("-".into(), |v| String::from_utf8_lossy(v).into_owned())).join(" ")
            })
        };
        for (field, parts) in [
            ("for=127.0.0.1;proto=http", "http - 127.0.0.1 -"),
            ("host=a.example;proto=https;for=\"[::1]:8\";by=_me", "https a.example [::1]:8 _me"),
            ("for=\"_hid:_port\"", "- - _hid:_port -"),
            ("for=\"unknown:080\";host=\"[::1]:80\"", "- [::1]:80 unknown:080 -"),
            ("host=\"\"", "-  - -"),
        ] {
            assert_eq!(told(field).as_deref(), Some(parts), "{field}");
        }
        for field in [
            "",
            "for",
            "for=",
            "ext=1",
            "For=1.2.3.4",
            "proto=custom",
            "proto=\"http\"",
            "for=1.2.3.4:80",
            "for=[::1]",
            "for=\"::1\"",
            "for=\"1.2.3.4",
            "for=\"1.2.3.4:0\"",
            "for=\"1.2.3.4:65536\"",
            "for=\"[::ffff:1.2.3.4]\"",
            "for=_",
            "for=300.0.0.1",
            "for=1.2.3.4;",
            ";for=1.2.3.4",
            "for=1.2.3.4; proto=http",
            "for=1.2.3.4;for=1.2.3.4",
            "host=a:80",
            "host=\"a:b\"",
            "host=\"a_b\"",
        ] {
            assert_eq!(told(field), None, "{field}");
        }
    }

    #[test]
    fn nodes_tell_name_and_port() {
        let told = |text: &str| {
            let (name, port) = node(text.as_bytes())?;
            let name = match name {
                Name::V4(ip) => ip.to_string(),
                Name::V6(ip) => ip.to_string(),
                Name::Word(word) => String::from_utf8_lossy(word).into_owned(),
            };
            Some(match port {
                None => name,
                Some(Port::Number(n)) => format!("{name} {n}"),
                Some(Port::Word(word)) => format!("{name} {}", String::from_utf8_lossy(word)),
            })
        };
        let cases = ["127.0.0.1:9999", "[::1]:80", "_name:_port", "unknown", "1.2.3.4:00080"];
        assert_eq!(
            cases.map(|c| told(c).unwrap_or_default()),
            ["127.0.0.1 9999", "::1 80", "_name _port", "unknown", "1.2.3.4 80"]
        );
        for text in ["", "::1", "_name:", "1.2.3.4:x", "test", ":80", "[::1]80"] {
            assert_eq!(told(text), None, "{text}");
        }
        assert_eq!(hidden(b"test"), Some(b"_test".to_vec()));
        assert_eq!((hidden(b"te st"), hidden(b"")), (None, None));
    }
}
