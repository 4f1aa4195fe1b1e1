//! Any bytes as an HTTP/1 request or response: the head and the content are the same however the bytes are cut.
#![no_main]

use h1::{Body, Framing, HeadParser, Kind, Method, Options, Part, Progress};
use libfuzzer_sys::fuzz_target;

/// The length and the fields of a head whose bytes come in pieces of this size; `None` for a bad or unfinished one.
fn head(data: &[u8], kind: Kind, options: Options, piece: usize) -> Option<h1::Head> {
    let mut parser = HeadParser::new(kind, options);
    let mut seen = 0;
    loop {
        seen = (seen + piece.min(data.len() - seen)).min(data.len());
        match parser.parse(&data[..seen]) {
            Ok(Progress::Done(len)) => {
                assert!(len <= seen && len == parser.head.len);
                return Some(parser.head);
            }
            Ok(Progress::Need) if seen < data.len() => {}
            Ok(Progress::Need) | Err(_) => return None,
        }
    }
}

/// Content, and whether it ended well, of a body whose bytes come in pieces of this size.
fn content(data: &[u8], framing: Framing, piece: usize) -> (Vec<u8>, bool) {
    let (mut body, mut out) = (Body::new(framing), Vec::new());
    let (mut from, mut to) = (0, 0);
    loop {
        let part = body.next(&data[from..to], to == data.len());
        let take = match part {
            Err(_) => return (out, false),
            Ok(Part::End) => return (out, true),
            Ok(Part::Need) if to == data.len() => return (out, false),
            Ok(Part::Need) => {
                to += piece.min(data.len() - to);
                continue;
            }
            Ok(Part::Data { take }) => {
                out.extend_from_slice(&data[from..from + take]);
                take
            }
            Ok(
                Part::Plain { take }
                | Part::Size { take, .. }
                | Part::Crlf { take }
                | Part::Trailer { take, .. },
            ) => take,
        };
        from += take;
        assert!(from <= to, "no more is taken than there is");
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((how, data)) = data.split_first() else { return };
    let kind = if how & 1 == 0 { Kind::Request } else { Kind::Response };
    let options = Options { lenient: how & 2 != 0, ..Options::default() };
    let whole = head(data, kind, options, data.len().max(1));
    let cut = head(data, kind, options, 1);
    let framing = match (&whole, &cut) {
        (Some(whole), Some(cut)) => {
            assert_eq!(whole.len, cut.len);
            assert_eq!(whole.fields.len(), cut.fields.len());
            match kind {
                Kind::Request => h1::semantics::request(whole, data, options).map(|i| i.framing),
                Kind::Response => {
                    h1::semantics::response(whole, data, Method::of(b"GET"), false).map(|i| i.framing)
                }
            }
        }
        (None, None) => return,
        _ => panic!("a head was read whole or in pieces only"),
    };
    let (Ok(framing), Some(whole)) = (framing, whole) else { return };
    let rest = &data[whole.len..];
    let expected = content(rest, framing, rest.len().max(1));
    assert_eq!(expected, content(rest, framing, 1));
    assert_eq!(expected, content(rest, framing, 5));
});
