use super::*;

/// The fields of a block.
fn fields(list: &[(&str, &str)]) -> Fields {
    let mut block = Vec::new();
    for (name, value) in list {
        hpack::put(&mut block, name.as_bytes(), value.as_bytes());
    }
    let mut fields = Fields::default();
    http2::hpack::Decoder::new(4096).decode(&block, 65_536, &mut fields).expect("block");
    fields
}

fn text(message: &Message) -> String {
    let mut out = Vec::new();
    message.write(&mut out);
    String::from_utf8(out).expect("text")
}

const GET: [(&str, &str); 4] =
    [(":method", "GET"), (":scheme", "https"), (":authority", "a:443"), (":path", "/p?q")];

/// Fields behind the usual ones, whether no body follows, the target that is logged, the head that is sent.
type Case = (&'static [(&'static str, &'static str)], bool, &'static str, &'static str);

#[test]
fn requests_become_messages() {
    let cases: [Case; 8] = [
        (&[], true, "https://a/p?q", "GET /p?q HTTP/1.1|host: a||"),
        (&[("x", "1"), ("host", "b")], true, "https://a/p?q", "GET /p?q HTTP/1.1|host: a|x: 1||"),
        (
            &[("cookie", "a=1"), ("x", "1"), ("cookie", "b=2")],
            true,
            "https://a/p?q",
            "GET /p?q HTTP/1.1|host: a|x: 1|cookie: a=1; b=2||",
        ),
        (&[("content-length", "0")], true, "https://a/p?q", "GET /p?q HTTP/1.1|host: a|content-length: 0||"),
        (
            &[("content-length", "5"), ("content-length", "5")],
            false,
            "https://a/p?q",
            "GET /p?q HTTP/1.1|host: a|content-length: 5||",
        ),
        (&[], false, "https://a/p?q", "GET /p?q HTTP/1.1|host: a|transfer-encoding: chunked||"),
        (&[("te", "trailers")], true, "https://a/p?q", "GET /p?q HTTP/1.1|host: a|te: trailers||"),
        (&[("x", "  sp  "), ("e", "")], true, "https://a/p?q", "GET /p?q HTTP/1.1|host: a|x:   sp  |e: ||"),
    ];
    for (more, end, uri, wire) in cases {
        let mut message = Message::default();
        let list: Vec<_> = GET.iter().chain(more).copied().collect();
        assert!(request(&fields(&list), end, &mut message).is_ok(), "{more:?}");
        assert_eq!(message.uri(), uri.as_bytes());
        assert_eq!(text(&message), wire.replace('|', "\r\n"));
    }
}

#[test]
fn targets_have_the_form_that_is_logged_and_the_form_that_is_sent() {
    let cases = [
        (
            vec![(":method", "GET"), (":scheme", "http"), (":authority", "a:80"), (":path", "/")],
            "http://a/",
            "/",
        ),
        (
            vec![(":method", "GET"), (":scheme", "ftp"), (":authority", "a"), (":path", "/x")],
            "ftp://a/x",
            "ftp://a/x",
        ),
        (vec![(":method", "GET"), (":scheme", "https"), (":path", "/x")], "/x", "/x"),
        (
            vec![(":method", "OPTIONS"), (":scheme", "http"), (":authority", "a"), (":path", "*")],
            "http://a",
            "*",
        ),
        (vec![(":method", "OPTIONS"), (":scheme", "http"), (":path", "*")], "*", "*"),
        (vec![(":method", "CONNECT"), (":authority", "a:443")], "a:443", "a:443"),
    ];
    for (list, logged, sent) in cases {
        let mut message = Message::default();
        assert!(request(&fields(&list), true, &mut message).is_ok(), "{list:?}");
        assert_eq!(message.uri(), logged.as_bytes());
        assert_eq!(text(&message).split(' ').nth(1), Some(sent));
    }
}

#[test]
fn malformed_requests_are_refused() {
    let plain = |more: &[(&'static str, &'static str)]| GET.iter().chain(more).copied().collect::<Vec<_>>();
    let cases = [
        vec![(":method", "GET"), (":scheme", "https")],
        vec![(":method", "GET"), (":path", "/")],
        vec![(":scheme", "https"), (":path", "/")],
        vec![(":method", "GET"), (":scheme", "https"), (":path", "")],
        vec![(":method", "GET"), (":scheme", "https"), (":path", "foo")],
        vec![(":method", "GET"), (":scheme", "https"), (":path", "*")],
        vec![(":method", "GET"), (":scheme", "https"), (":path", "/a b")],
        vec![(":method", "GET"), ("x", "1"), (":scheme", "https"), (":path", "/")],
        vec![(":method", "GET"), (":method", "GET"), (":scheme", "https"), (":path", "/")],
        vec![(":method", "CONNECT"), (":scheme", "https"), (":authority", "a"), (":path", "/")],
        plain(&[(":status", "200")]),
        plain(&[("X", "1")]),
        plain(&[("", "1")]),
        plain(&[("a b", "1")]),
        plain(&[("x", "a\r\nb: c")]),
        plain(&[("x", "a\0")]),
        plain(&[("connection", "close")]),
        plain(&[("transfer-encoding", "chunked")]),
        plain(&[("upgrade", "websocket")]),
        plain(&[("te", "gzip")]),
        plain(&[("content-length", "")]),
        plain(&[("content-length", "0,")]),
        plain(&[("content-length", "1"), ("content-length", "2")]),
    ];
    for list in cases {
        let refused = request(&fields(&list), false, &mut Message::default());
        assert_eq!(refused.map(|_| ()), Err(Code::Protocol), "{list:?}");
    }
    assert!(!is_good(&fields(&[(":method", "GET"), (":scheme", "http://x/?"), (":path", "/")])));
    assert!(!is_good(&fields(&[(":method", "G T"), (":scheme", "http"), (":path", "/")])));
    assert!(is_good(&fields(&GET)));
    let announced = plain(&[("content-length", "1")]);
    let mut message = Message::default();
    let framing = request(&fields(&announced), true, &mut message).map(|info| info.framing);
    assert_eq!(framing, Ok(h1::Framing::None), "a body that was announced and does not come");
    assert!(message.first(b"content-length").is_none(), "the server is not made to wait for it");
}

#[test]
fn responses_lose_what_speaks_of_the_connection() {
    let head = b"HTTP/1.1 200 OK\r\nConnection: close\r\nKeep-Alive: x\r\nX: 1\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut parser = h1::HeadParser::new(h1::Kind::Response, h1::Options::default());
    assert!(parser.parse(head).is_ok());
    let info = h1::semantics::response(&parser.head, head, Method::Get, false).expect("response");
    let mut block = Vec::new();
    response(&parser.head, head, &info.edits, &mut block);
    let mut fields = Fields::default();
    http2::hpack::Decoder::new(4096).decode(&block, 65_536, &mut fields).expect("block");
    let list: Vec<_> = fields.iter().collect();
    assert_eq!(list, [(&b":status"[..], &b"200"[..]), (b"x", b"1")]);
    let mut text = Vec::new();
    assert_eq!(to_response(&fields, false, &mut text), Ok((200, None)));
    assert_eq!(text, b"HTTP/1.1 200 \r\nx: 1\r\n");
}
