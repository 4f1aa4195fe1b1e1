use proptest::prelude::*;

use super::*;

fn read_in_pieces(text: &[u8], piece: usize) -> Reader {
    let mut reader = Reader::new(false);
    for part in text.chunks(piece.max(1)) {
        reader.feed(part, false);
    }
    reader.feed(&[], true);
    reader
}

#[test]
fn requests_are_written_as_haproxy_writes_them() {
    let mut request = Request {
        method: "GET".into(),
        uri: "/y".into(),
        version: "HTTP/1.1".into(),
        headers: vec![("Host".into(), "h".into()), ("A".into(), "b".into())],
        body: b"xyz".to_vec(),
    };
    let wanted: &[u8] =
        b"GET /y HTTP/1.1\r\nhost: h\r\na: b\r\ncontent-length: 3\r\nconnection: close\r\n\r\nxyz";
    assert_eq!(request.bytes(), wanted);
    assert_eq!(Request::default().bytes(), b"OPTIONS / HTTP/1.0\r\n\r\n");
    request = Request {
        method: "HEAD".into(),
        uri: "/q".into(),
        headers: vec![("Connection".into(), "keep-alive".into()), ("Host".into(), "zz".into())],
        ..Request::default()
    };
    assert_eq!(request.bytes(), b"HEAD /q HTTP/1.0\r\nhost: zz\r\nconnection: keep-alive\r\n\r\n");
}

#[test]
fn heads_with_oddities() {
    let reader = read_in_pieces(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 204\nA : b\n c\n\nrest", 3);
    let response = reader.response().expect("a response");
    assert_eq!((response.status, response.reason.as_str()), (204, ""));
    assert_eq!(response.headers, [("A ".to_owned(), "b c".to_owned())]);
    assert!(reader.body().is_empty());
    for bad in [
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/x.1 200 OK\r\n\r\n",
        "ICY 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
    ] {
        assert!(read_in_pieces(bad.as_bytes(), 5).fault().is_some(), "{bad}");
    }
}

proptest! {
    #[test]
    fn splits_do_not_matter(piece in 1usize..40, body in prop::collection::vec(any::<u8>(), 0..300), chunk in 1usize..50) {
        let mut text = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        for part in body.chunks(chunk) {
            text.extend_from_slice(format!("{:x}\r\n", part.len()).as_bytes());
            text.extend_from_slice(part);
            text.extend_from_slice(b"\r\n");
        }
        text.extend_from_slice(b"0\r\nT: x\r\n\r\n");
        let reader = read_in_pieces(&text, piece);
        prop_assert_eq!(reader.fault(), None);
        prop_assert_eq!(reader.body(), &body[..]);
    }

    #[test]
    fn nothing_panics_and_nothing_grows(text in prop::collection::vec(any::<u8>(), 0..2000), piece in 1usize..500) {
        let mut whole = b"HTTP/1.1 200 OK\r\n".to_vec();
        whole.extend_from_slice(&text);
        for input in [&text, &whole] {
            let reader = read_in_pieces(input, piece);
            prop_assert!(reader.body().len() <= REPLY_MAX);
        }
    }
}
