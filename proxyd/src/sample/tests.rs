//! Expressions against values that HAProxy 2.6.12 gave for the same request.

use super::fixture::Fixture;
use super::source::Points;
use super::{Expr, Type, Value, leading_int};
use crate::{conv, fetch};
use conf_parsers::haproxy::expr::expression;
use std::net::Ipv4Addr;

const REQUEST: &str = include_str!("request.txt");
const VECTORS: &str = include_str!("vectors.tsv");

/// Undoes Python's `repr` of bytes.
fn unrepr(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(b) = bytes.next() {
        if b != b'\\' {
            out.push(b);
            continue;
        }
        match bytes.next() {
            Some(b'x') => {
                let digits = [bytes.next().unwrap(), bytes.next().unwrap()];
                out.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
            }
            Some(b'n') => out.push(b'\n'),
            Some(b'r') => out.push(b'\r'),
            Some(b't') => out.push(b'\t'),
            Some(other) => out.push(other),
            None => {}
        }
    }
    out
}

#[test]
fn expressions_give_what_haproxy_gives() {
    let mut wrong = Vec::new();
    for line in VECTORS.lines() {
        let mut fields = line.split('\t');
        let (text, state) = (fields.next().unwrap(), fields.next().unwrap());
        let wanted = (state == "ok").then(|| unrepr(fields.next().unwrap_or("")));
        let mut fixture = Fixture::new();
        let compiled = fixture.scope(|s| Expr::compile(&expression(text)?, s));
        let expr = match compiled {
            Ok(expr) => expr,
            Err(e) => {
                wrong.push(format!("{text}: {e}"));
                continue;
            }
        };
        let got = fixture.view(REQUEST, |view| {
            let value = expr.run(view)?;
            Some(value.cast(Type::Str)?.into_text()?.to_vec())
        });
        // What can't be text prints as nothing.
        if got != wanted {
            let show = |v: &Option<Vec<u8>>| v.as_ref().map(|v| String::from_utf8_lossy(v).into_owned());
            wrong.push(format!("{text}: {:?} instead of {:?}", show(&got), show(&wanted)));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// What 2.6 does not have; values as the manual of later versions tells them.
#[test]
fn later_expressions_give_what_the_manual_says() {
    let cases = [
        ("req.cook_names", Some("a,SID,b,c")),
        ("req.cook_names(|)", Some("a|SID|b|c")),
        ("url_param(Y,,i)", Some("two%20words")),
        ("url_param(Y)", None),
    ];
    for (text, wanted) in cases {
        let mut fixture = Fixture::new();
        let expr = fixture.scope(|s| Expr::compile(&expression(text)?, s)).expect(text);
        let got = fixture.view(REQUEST, |view| Some(expr.run(view)?.cast(Type::Str)?.into_text()?.to_vec()));
        assert_eq!(got.as_deref(), wanted.map(str::as_bytes), "{text}");
    }
}

fn complaint(text: &str) -> String {
    Fixture::new().scope(|s| Expr::compile(&expression(text)?, s)).map(|_| ()).unwrap_err()
}

#[test]
fn faults_are_told_in_haproxys_words() {
    let cases = [
        ("nosuch(1)", "unknown fetch method 'nosuch'"),
        ("hdr(host,x)", "fetch method 'hdr' : failed to parse 'x' as type 'integer' at position 2"),
        ("int()", "fetch method 'int' : expected type 'integer' at position 1, but got nothing"),
        ("src,nosuch", "unknown converter 'nosuch'"),
        (
            "src,ipmask(99)",
            "invalid arg 1 in converter 'ipmask' : failed to parse '99' as type 'IPv4 mask' at position 1",
        ),
        (
            "src,field(1)",
            "invalid arg 2 in converter 'field' : missing arguments (got 1/2), type 'string' expected",
        ),
        ("str(a),add(x)", "invalid args in converter 'add' : expects an integer or a variable name"),
        ("ipv6(::1),add(1)", "converter 'add' cannot be applied"),
        (
            "str(a),map(/nonexist)",
            "invalid args in converter 'map' : failed to open pattern file </nonexist>",
        ),
        ("str(a),sha2(5)", "invalid args in converter 'sha2' : Unsupported number of bits: '5'"),
        ("str(a),word(0,a)", "invalid args in converter 'word' : Unexpected value 0 for index"),
        ("uuid(5)", "invalid args in fetch method 'uuid' : Unsupported UUID version: '5'"),
        ("str(a),set-var(txn.a,b)", "invalid args in converter 'set-var' : unknown condition \"b\""),
    ];
    for (text, wanted) in cases {
        assert_eq!(complaint(text), wanted, "{text}");
    }
}

#[test]
fn names_are_unique_in_their_table() {
    let mut fetches: Vec<_> = fetch::FETCHES.iter().flat_map(|f| f.iter()).map(|r| r.name).collect();
    let mut converters: Vec<_> = conv::CONVERTERS.iter().flat_map(|f| f.iter()).map(|r| r.name).collect();
    for table in [&mut fetches, &mut converters] {
        table.sort_unstable();
        let twice = table.windows(2).find(|w| w[0] == w[1]);
        assert_eq!(twice, None);
    }
}

#[test]
fn integers_saturate_and_stop_at_the_first_other_byte() {
    assert_eq!(leading_int(b"12abc"), (12, 2));
    assert_eq!(leading_int(b"-9223372036854775809"), (i64::MIN, 20));
    assert_eq!(leading_int(b"+99999999999999999999"), (i64::MAX, 21));
    assert_eq!(leading_int(b" 12"), (0, 0));
}

#[test]
fn points_are_those_of_the_matrix() {
    assert_eq!(super::source::Source::Const.points(), Points::ALL);
    assert!(super::source::Source::RequestHeaders.points().covers_any(Points::FE_REQUEST));
    assert!(!super::source::Source::RequestHeaders.points().covers_any(Points::BE_RESPONSE));
    assert!(!super::source::Source::L5Client.points().covers_any(Points::FE_CONNECTION));
}

#[test]
fn a_mapped_address_casts_to_ipv4() {
    let v6 = Value::V6("::ffff:1.2.3.4".parse().unwrap());
    assert_eq!(v6.cast(Type::V4), Some(Value::V4(Ipv4Addr::new(1, 2, 3, 4))));
}
