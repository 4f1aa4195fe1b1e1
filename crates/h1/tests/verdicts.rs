//! Verdicts of haproxy 2.6.12 on odd requests, as its own answers showed them, and splits that change nothing.

use h1::semantics::{self, Framing, Method};
use h1::{Body, Fault, HeadParser, Kind, Options, Part, Progress};
use proptest::prelude::*;

fn strict() -> Options {
    Options::default()
}

fn lenient() -> Options {
    Options { lenient: true, ..Options::default() }
}

/// What a request comes to: its framing, persistence, and the fields that go on; or the fault.
fn verdict(bytes: &[u8], options: Options) -> Result<(Framing, bool, Vec<String>), Fault> {
    let mut parser = HeadParser::new(Kind::Request, options);
    match parser.parse(bytes)? {
        Progress::Need => return Ok((Framing::UntilClose, false, vec!["need".into()])),
        Progress::Done(len) => assert!(len <= bytes.len()),
    }
    let info = semantics::request(&parser.head, bytes, options)?;
    let mut fields = Vec::new();
    for (i, f) in parser.head.fields.iter().enumerate() {
        let Some(value) = semantics::edited(&info.edits, i, f, bytes) else { continue };
        let mut line = Vec::new();
        h1::emit::name(&mut line, f.name.of(bytes));
        line.extend_from_slice(b": ");
        h1::emit::unfolded(&mut line, value);
        fields.push(String::from_utf8_lossy(&line).into_owned());
    }
    Ok((info.framing, info.keep_alive, fields))
}

fn get(fields: &str) -> Vec<u8> {
    format!("GET / HTTP/1.1\r\nHost: x\r\n{fields}\r\n").into_bytes()
}

#[test]
fn accepted_as_haproxy_does() {
    use Framing::{Chunked, Length, None};
    let cases: &[(&str, Framing, &[&str])] = &[
        ("aA: 1\r\nZ:  sp \t\r\n", None, &["aa: 1", "z: sp"]),
        ("A: 1\r\n  2\r\n", None, &["a: 1    2"]),
        ("A: 1 \r\n\t 2 \r\n \r\nB: 3\r\n", None, &["a: 1   \t 2", "b: 3"]),
        ("A:\r\n 2\r\n", None, &["a: 2"]),
        ("A: 1\x002\r\n", None, &["a: 1\x002"]),
        ("Content-Length: 2\r\nContent-Length: 2\r\n", Length(2), &["content-length: 2"]),
        ("Content-Length: 2, 2\r\n", Length(2), &["content-length: 2"]),
        ("Content-Length: 2\r\nContent-Length: 002\r\n", Length(2), &["content-length: 2"]),
        ("Content-Length: 9\r\nTransfer-Encoding: ChunkeD\r\n", Chunked, &["transfer-encoding: ChunkeD"]),
        ("Transfer-Encoding: chunked,\r\n", Chunked, &["transfer-encoding: chunked,"]),
        ("Connection: foo, close , bar\r\nFoo: 1\r\n", None, &["connection: foo,bar", "foo: 1"]),
        ("Connection: keep-alive\r\nKeep-Alive: 10\r\n", None, &["keep-alive: 10"]),
        ("Connection: \"a,close\", b ,,c\r\n", None, &["connection: \"a,close\", b ,,c"]),
        ("TE: gzip\r\n", None, &[]),
        ("TE: gzip, trailers\r\nTE: foo\r\n", None, &["te: trailers"]),
        ("Host: x\r\n", None, &[]),
    ];
    for (fields, framing, want) in cases {
        let (got, _, lines) = verdict(&get(fields), strict()).unwrap_or_else(|e| panic!("{fields:?}: {e}"));
        assert_eq!(got, *framing, "{fields:?}");
        assert_eq!(lines[1..], **want, "{fields:?}");
    }
}

#[test]
fn refused_as_haproxy_does() {
    for fields in [
        "A : 1\r\n",
        ": 1\r\n",
        "abc\r\n",
        "a(b: 1\r\n",
        "A: 1\r2\r\n",
        "A: 1\r\r\n",
        "Host: y\r\n",
        "Content-Length: 2\r\nContent-Length: 3\r\n",
        "Content-Length: 2, 3\r\n",
        "Content-Length: +2\r\n",
        "Content-Length: -2\r\n",
        "Content-Length: \r\n",
        "Content-Length: 0x2\r\n",
        "Content-Length: 2 2\r\n",
        "Content-Length: ,2\r\n",
        "Content-Length: 2,\r\n",
        "Content-Length: 18446744073709551616\r\n",
        "Content-Length: 9223372036854775808\r\n",
        "Transfer-Encoding: gzip\r\n",
        "Transfer-Encoding: chunked, gzip\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding:\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked;q=1\r\n",
        "Connection: upgrade\r\nUpgrade: websocket\r\n",
    ] {
        let fault = verdict(&get(fields), strict()).expect_err(fields);
        assert_eq!(fault.request_status(), 400, "{fields:?}");
    }
    for fields in ["Transfer-Encoding: gzip, chunked\r\n", "Transfer-Encoding: ,chunked\r\n"] {
        assert_eq!(verdict(&get(fields), strict()).expect_err(fields).request_status(), 422);
    }
}

#[test]
fn start_lines_as_haproxy_takes_them() {
    // (line, taken strictly, taken leniently)
    for (line, by_strict, by_lenient) in [
        ("GET\t/\tHTTP/1.1", true, true),
        ("GET  /  HTTP/1.1", true, true),
        ("GET / HTTP/1.1 ", false, false),
        (" GET / HTTP/1.1", false, false),
        ("GET /a{b}|c\"^<>` HTTP/1.1", true, true),
        ("GET /a#b HTTP/1.1", false, true),
        ("GET /a\u{1}b HTTP/1.1", false, false),
        ("GET /a\u{7f}b HTTP/1.1", true, true),
        ("GET /\u{e9} HTTP/1.1", false, true),
        ("GET foo HTTP/1.1", false, true),
        ("get / HTTP/1.1", true, true),
        ("F@@ / HTTP/1.1", false, false),
        ("F!#$%&'*+-.^_`|~9 / HTTP/1.1", true, true),
        ("GET /", false, true),
        ("GET / HTTP/1.2", true, true),
        ("GET / HTTP/1.10", false, true),
        ("GET / RTSP/1.0", false, true),
        ("GET / http/1.1", false, false),
        ("GET / HTTP/1.1x", false, false),
        ("OPTIONS * HTTP/1.1", true, true),
        ("GET http://x/p HTTP/1.1", true, true),
        ("GET http://y/p HTTP/1.1", false, true),
        ("GET http://x?a HTTP/1.1", false, true),
        ("GET ftp:foo HTTP/1.1", false, true),
        ("CONNECT x:80 HTTP/1.1", true, true),
        ("CONNECT x HTTP/1.1", false, true),
    ] {
        let bytes = format!("{line}\r\nHost: x\r\n\r\n").into_bytes();
        assert_eq!(verdict(&bytes, strict()).is_ok(), by_strict, "strict {line:?}");
        assert_eq!(verdict(&bytes, lenient()).is_ok(), by_lenient, "lenient {line:?}");
    }
}

#[test]
fn default_ports_leave_the_target() {
    let bytes = b"GET https://x:443/p HTTP/1.1\r\nHost: x:443\r\n\r\n";
    let mut parser = HeadParser::new(Kind::Request, strict());
    parser.parse(bytes).expect("parses");
    let info = semantics::request(&parser.head, bytes, strict()).expect("agrees");
    assert_eq!(info.target.as_deref(), Some(&b"https://x/p"[..]));
    assert_eq!(info.edits[..], [(0, semantics::Edit::Value(b"x".to_vec()))]);
}

#[test]
fn faults_are_told_before_the_line_ends() {
    for start in ["GE(T", "GET /#", "GET / HTTP/1.1\r\na b"] {
        assert!(verdict(start.as_bytes(), strict()).is_err(), "{start:?}");
    }
}

/// Walks a chunked body fed in pieces: content, trailers' names, and what is passed on.
fn walk(bytes: &[u8], cuts: &[usize]) -> Result<(Vec<u8>, Vec<u8>, bool), Fault> {
    let mut body = Body::new(Framing::Chunked);
    let (mut content, mut wire) = (Vec::new(), Vec::new());
    let (mut at, mut have) = (0, 0);
    let mut cuts = cuts.iter().map(|c| c % (bytes.len() + 1)).collect::<Vec<_>>();
    cuts.sort_unstable();
    cuts.push(bytes.len());
    for cut in cuts {
        have = have.max(cut);
        loop {
            let rest = &bytes[at..have];
            match body.next(rest, false)? {
                Part::Need => break,
                Part::End => return Ok((content, wire, at == bytes.len())),
                Part::Data { take } => {
                    content.extend_from_slice(&rest[..take]);
                    wire.extend_from_slice(&rest[..take]);
                    at += take;
                }
                Part::Plain { take } => {
                    wire.extend_from_slice(&rest[..take]);
                    at += take;
                }
                Part::Size { take, size } => {
                    h1::emit::chunk_size(&mut wire, size);
                    at += take;
                }
                Part::Crlf { take } => {
                    wire.extend_from_slice(b"\r\n");
                    at += take;
                }
                Part::Trailer { take, name, value, forbidden } => {
                    if !forbidden {
                        h1::emit::field(&mut wire, name.of(rest), value.of(rest));
                    }
                    at += take;
                }
            }
        }
    }
    Ok((content, wire, false))
}

#[test]
fn chunk_forms_as_haproxy_takes_them() {
    for (body, content, wire) in [
        ("2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n", "abcde", "2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n"),
        ("2;a=b\r\nab\r\n0;x\r\n\r\n", "ab", "2\r\nab\r\n0\r\n\r\n"),
        ("2 \r\nab\r\n0\r\n\r\n", "ab", "2\r\nab\r\n0\r\n\r\n"),
        ("2\nab\n0\n\n", "ab", "2\r\nab\r\n0\r\n\r\n"),
        ("00000000000000002\r\nab\r\n0\r\n\r\n", "ab", "2\r\nab\r\n0\r\n\r\n"),
        ("1\r\na\r\n0\r\nX-T:  1 \r\nContent-Length: 9\r\n\r\n", "a", "1\r\na\r\n0\r\nX-T: 1\r\n\r\n"),
    ] {
        let got = walk(body.as_bytes(), &[]).unwrap_or_else(|e| panic!("{body:?}: {e}"));
        assert_eq!(got, (content.as_bytes().to_vec(), wire.as_bytes().to_vec(), true), "{body:?}");
    }
    for body in [" 2\r\n", "0x2\r\n", "+2\r\n", "\r\n", "FFFFFFFFFFFFFFFF0\r\n", "2\r\nabc", "2 3\r\n"] {
        assert!(walk(body.as_bytes(), &[]).is_err(), "{body:?}");
    }
}

#[test]
fn responses_as_haproxy_takes_them() {
    use Framing::{Chunked, Length, None, UntilClose};
    let read = |text: &str, method| -> Result<Framing, Fault> {
        let mut parser = HeadParser::new(Kind::Response, strict());
        assert!(matches!(parser.parse(text.as_bytes())?, Progress::Done(_)), "{text:?}");
        Ok(semantics::response(&parser.head, text.as_bytes(), method, false)?.framing)
    };
    for (text, framing) in [
        ("HTTP/1.1 200\r\nContent-Length: 2\r\n\r\n", Length(2)),
        ("HTTP/1.0 200 OK\r\n\r\n", UntilClose),
        ("HTTP/1.1 204 No\r\nContent-Length: 2\r\n\r\n", None),
        ("HTTP/1.1 304 NM\r\nContent-Length: 2\r\n\r\n", None),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 9\r\n\r\n", Chunked),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding:\r\nContent-Length: 2\r\n\r\n", UntilClose),
    ] {
        assert_eq!(read(text, Method::Get), Ok(framing), "{text:?}");
        assert_eq!(read(text, Method::Head), Ok(None), "{text:?}");
    }
    for text in [
        "HTTP/1.1 101 Sw\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        "abc\r\n\r\n",
        "HTTP/1.1 abc OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n",
    ] {
        assert!(read(text, Method::Get).is_err(), "{text:?}");
    }
}

#[test]
fn a_reply_is_read_whole() {
    let mut reply = h1::reply::Reply::new(Method::Get, strict(), 1000);
    let bytes = b"HTTP/1.1 100 C\r\n\r\nHTTP/1.1 200 Fine\r\nA: b\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n";
    for b in &bytes[..bytes.len() - 1] {
        assert_ne!(reply.feed(&[*b], false), Ok(h1::reply::State::Complete));
    }
    assert_eq!(reply.feed(b"\n", false), Ok(h1::reply::State::Complete));
    assert_eq!((reply.status(), reply.reason(), reply.body()), (200, &b"Fine"[..], &b"abc"[..]));
    assert_eq!(reply.fields().next(), Some((&b"A"[..], &b"b"[..])));
}

/// Lines that are often almost right.
fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("A: 1".to_owned()),
        Just(" folded".to_owned()),
        Just("Content-Length: 3".to_owned()),
        Just("Host: x".to_owned()),
        Just("Transfer-Encoding: chunked".to_owned()),
        Just(": x".to_owned()),
        Just("a\rb: 1".to_owned()),
        "[ -~]{0,12}",
    ]
}

proptest! {
    #[test]
    fn splits_change_nothing(lines in prop::collection::vec(line(), 0..6), eol in prop::collection::vec(any::<bool>(), 8), cuts in prop::collection::vec(1usize..40, 0..12)) {
        let mut bytes = b"GET /x HTTP/1.1\r\n".to_vec();
        for (i, l) in lines.iter().enumerate() {
            bytes.extend_from_slice(l.as_bytes());
            bytes.extend_from_slice(if eol[i] { b"\r\n" } else { b"\n" });
        }
        bytes.extend_from_slice(b"\r\n");
        let mut whole = HeadParser::new(Kind::Request, strict());
        let want = whole.parse(&bytes);
        let mut parts = HeadParser::new(Kind::Request, strict());
        let (mut have, mut got) = (0, Ok(Progress::Need));
        for cut in cuts.into_iter().chain([bytes.len()]) {
            have = (have + cut).min(bytes.len());
            got = parts.parse(&bytes[..have]);
            if got != Ok(Progress::Need) {
                break;
            }
        }
        prop_assert_eq!(got.is_ok(), want.is_ok());
        if want.is_ok() {
            prop_assert_eq!(got, want);
            prop_assert_eq!(&parts.head.fields, &whole.head.fields);
        }
    }

    #[test]
    fn chunked_splits_change_nothing(chunks in prop::collection::vec("[a-z]{1,20}", 0..6), ext in any::<bool>(), cuts in prop::collection::vec(any::<usize>(), 0..20)) {
        let mut bytes = Vec::new();
        for c in &chunks {
            h1::emit::chunk_size(&mut bytes, c.len() as u64);
            if ext { bytes.truncate(bytes.len() - 2); bytes.extend_from_slice(b";e=1\r\n"); }
            bytes.extend_from_slice(c.as_bytes());
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"0\r\nT: v\r\n\r\n");
        let want = walk(&bytes, &[]).expect("well formed");
        let all = chunks.concat();
        prop_assert_eq!(&want.0[..], all.as_bytes());
        prop_assert_eq!(walk(&bytes, &cuts).expect("well formed"), want);
    }

    #[test]
    fn any_bytes_give_a_verdict(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = verdict(&bytes, lenient());
        let mut all = b"POST / HTTP/1.1\r\n".to_vec();
        all.extend_from_slice(&bytes);
        let _ = verdict(&all, strict());
        let _ = walk(&bytes, &[7, 3]);
    }
}
