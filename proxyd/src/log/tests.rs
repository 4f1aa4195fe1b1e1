//! Formats against lines that HAProxy 2.6.12 wrote for the same request.

use super::format::{Format, HTTP_FORMAT, HTTPS_FORMAT, TCP_FORMAT, Use};
use crate::config::model::Capture;
use crate::sample::Value;
use crate::sample::VarName;
use crate::sample::fixture::Fixture;
use crate::sample::source::Points;
use crate::stream::txn::{EndedBy, EndedIn};
use std::time::Duration;

fn written(format: &str) -> String {
    let mut fixture = Fixture::new();
    let name = |name: &str| Capture { name: name.to_owned(), len: 10 };
    fixture.generation.config.proxies[0].capture_request = vec![name("X-A"), name("X-None")];
    fixture.generation.config.proxies[0].capture_response = vec![name("X-R")];
    let format = fixture.scope(|s| Format::compile(format, Use::Log, Points::LOG, s)).unwrap();
    fixture.view("GET /p%41th?q=%221 HTTP/1.1\nHost: h", |v| {
        let var = VarName::parse("txn.v").unwrap();
        assert!(var.save(v, Value::str(b"a\"b]\x01".to_vec())));
        let txn = v.txn.as_deref_mut().unwrap();
        *txn.captures_req.borrow_mut() = vec![Some(b"a{b|c}\"d".to_vec()), None];
        (txn.status, txn.bytes_out) = (200, 75);
        (txn.ended_by, txn.ended_in) = (EndedBy::Local, EndedIn::Request);
        txn.times.first_byte = Some(Duration::ZERO);
        txn.times.request = Some(Duration::from_millis(2));
        txn.times.end = Some(Duration::from_millis(5));
        String::from_utf8(format.to_bytes(v)).unwrap()
    })
}

#[test]
fn tags_print_what_haproxy_prints() {
    let cases = [
        ("%hr %hs %{+Q}r", r#"{a#7Bb#7Cc#7D#22d|} {} "GET /p%41th?q=%221 HTTP/1.1""#),
        ("%{+Q}hr", r#""{a#7Bb#7Cc#7D#22d|}""#),
        (
            "%{+Q}o %hr %hs %HM %HU %HP %HQ %HV %ST %B %b %s",
            r#""{a#7Bb#7Cc#7D#22d|}" "{}" "GET" "/p%41th?q=%221" "/p%41th" "?q=%221" "HTTP/1.1" 200 75 "f" "<NOSRV>""#,
        ),
        ("%hrl|%hsl", "a#7Bb#7Cc#7D#22d -|-"),
        ("%{+Q}hrl", r#""a#7Bb#7Cc#7D#22d" """#),
        ("%CC %CS %tsc %ts", "- - LR-- LR"),
        ("%[var(txn.v)] %{+Q}[var(txn.v)]", "a\"b]\u{1} \"a\"b]\u{1}\""),
        ("%{+E}[var(txn.v)] %{+Q,+E}[var(txn.v)]", "a\\\"b\\]\u{1} \"a\\\"b\\]\u{1}\""),
        (
            "%[var(txn.no)] %{+Q}[var(txn.no)] %[int(3)] %[bool(1)] %[bin(6100ff)] %[src]",
            "- \"\" 3 1 a 127.0.0.1",
        ),
        ("%{+X}ST %{+X}B %{+X}ci %{+X}rc", "200 75 7F000001 0"),
        ("%rc %sq %bq %ac/%fc/%bc/%sc", "0 0 0 1/1/0/0"),
        ("a   b  %ST   c", "a b 200 c"),
        ("%si:%sp %bi %bp %sslv %sslc", "-:- - - - -"),
        ("%{+Q}sslv %{+Q}ID %ID", "\"\" \"\" -"),
        ("%Tw/%Tc/%Td %Th", "-1/-1/-1 0"),
        ("%{+Q}ts %{+Q}ST", "LR 200"),
        ("%HPO %f %ft %fi", "/p%41th f f 127.0.0.1"),
        ("100%% done", "100% done"),
        ("%ms|%{+Q}ms", "123|123"),
        ("%[int(300)] %{+X}[int(300)]", "300 300"),
    ];
    let wrong: Vec<String> = cases
        .iter()
        .filter_map(|(format, wanted)| {
            let got = written(format);
            (got != *wanted).then(|| format!("{format}: {got} instead of {wanted}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn the_named_formats_compile_and_print() {
    let http = written(HTTP_FORMAT);
    let (head, tail) = http.split_once("] ").unwrap();
    assert!(head.starts_with("127.0.0.1:4000 [13/Sep/2020:"), "{head}");
    assert_eq!(
        tail,
        "f f/<NOSRV> 2/-1/-1/-1/5 200 75 - - LR-- 1/1/0/0/0 0/0 {a#7Bb#7Cc#7D#22d|} {} \
         \"GET /p%41th?q=%221 HTTP/1.1\""
    );
    assert!(written(HTTPS_FORMAT).ends_with("0/-/-/-/0 -/-/-"), "{}", written(HTTPS_FORMAT));
    assert!(written(TCP_FORMAT).ends_with("] f f/<NOSRV> -1/-1/5 75 LR 1/1/0/0/0 0/0"));
}

#[test]
fn faults_are_told_in_haproxys_words() {
    let mut fixture = Fixture::new();
    let mut fault = |text: &str| {
        fixture.scope(|s| Format::compile(text, Use::Log, Points::LOG, s)).map(|_| ()).unwrap_err()
    };
    assert_eq!(
        fault("%nosuch"),
        "no such format variable 'nosuch'. If you wanted to emit the '%' character verbatim, you need to use '%%'"
    );
    assert_eq!(
        fault("%[nosuch]"),
        "failed to parse sample expression <nosuch]> : unknown fetch method 'nosuch'"
    );
}
