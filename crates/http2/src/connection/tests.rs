use super::*;
use crate::hpack::{self, Pseudo};
use proptest::prelude::*;

/// What was heard.
#[derive(Debug, Default, PartialEq, Eq, Clone)]
struct Heard {
    heads: Vec<(u32, bool, usize, bool)>,
    bodies: BTreeMap<u32, (Vec<u8>, bool)>,
    resets: Vec<(u32, u32)>,
    writable: Vec<u32>,
    refuse: Option<u32>,
}

impl Sink for Heard {
    fn head(&mut self, id: u32, opens: bool, fields: &Fields, end: bool) -> Result<(), Code> {
        self.heads.push((id, opens, fields.len(), end));
        if self.refuse == Some(id) { Err(Code::Protocol) } else { Ok(()) }
    }

    fn data(&mut self, id: u32, bytes: &[u8], end: bool) -> Result<(), Code> {
        let body = self.bodies.entry(id).or_default();
        body.0.extend_from_slice(bytes);
        body.1 |= end;
        Ok(())
    }

    fn reset(&mut self, id: u32, code: u32) {
        self.resets.push((id, code));
    }

    fn writable(&mut self, id: u32) {
        self.writable.push(id);
    }
}

fn block() -> Vec<u8> {
    let mut block = Vec::new();
    hpack::put_pseudo(&mut block, Pseudo::Method, b"GET");
    hpack::put_pseudo(&mut block, Pseudo::Scheme, b"https");
    hpack::put_pseudo(&mut block, Pseudo::Path, b"/");
    hpack::put(&mut block, b"x", b"1");
    block
}

fn hello() -> Vec<u8> {
    let mut bytes = frame::PREFACE.to_vec();
    frame::put(&mut bytes, 0, kind::SETTINGS, 0, 0);
    bytes
}

fn server() -> (Connection, Heard) {
    let (mut c, mut heard) = (Connection::new(Role::Server, Config::default()), Heard::default());
    c.receive(&hello(), &mut heard);
    assert!(c.is_settled() && !c.is_dead());
    c.out.clear();
    (c, heard)
}

fn one(kind: u8, flags: u8, id: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame::put_whole(&mut bytes, kind, flags, id, payload);
    bytes
}

/// Frames in a buffer: type, flags, stream, payload.
fn frames(mut out: &[u8]) -> Vec<(u8, u8, u32, Vec<u8>)> {
    let mut list = Vec::new();
    while let Some(head) = out.first_chunk::<{ frame::HEAD }>() {
        let head = Head::read(head);
        let end = frame::HEAD + head.len as usize;
        list.push((head.kind, head.flags, head.id, out[frame::HEAD..end].to_vec()));
        out = &out[end..];
    }
    list
}

fn died(bytes: &[u8]) -> Option<u32> {
    let (mut c, mut heard) = server();
    c.receive(bytes, &mut heard);
    let out = frames(&c.out);
    let goaway = out.iter().find(|f| f.0 == kind::GOAWAY)?;
    assert!(c.is_dead());
    frame::number(&goaway.3[4..])
}

const WHOLE: u8 = flag::END_HEADERS | flag::END_STREAM;

#[test]
fn a_request_and_its_answer_go_through() {
    let (mut c, mut heard) = server();
    c.receive(&one(kind::HEADERS, flag::END_HEADERS, 1, &block()), &mut heard);
    c.receive(&one(kind::DATA, flag::END_STREAM, 1, b"body"), &mut heard);
    assert_eq!(heard.heads, [(1, true, 4, false)]);
    assert_eq!(heard.bodies[&1], (b"body".to_vec(), true));
    c.used(1, 4);
    let mut head = Vec::new();
    hpack::put_status(&mut head, 200);
    c.send_head(1, &head, false);
    assert_eq!(c.send_data(1, b"answer", true), 6);
    let kinds: Vec<_> = frames(&c.out).iter().map(|f| (f.0, f.1, f.2)).collect();
    let want = [
        (kind::WINDOW_UPDATE, 0, 0),
        (kind::WINDOW_UPDATE, 0, 1),
        (kind::HEADERS, flag::END_HEADERS, 1),
        (kind::DATA, flag::END_STREAM, 1),
    ];
    assert_eq!(kinds, want);
    assert_eq!(c.streams(), 0);
}

#[test]
fn faults_of_the_connection_end_it_with_their_code() {
    let data = |id: u32, len: usize| one(kind::DATA, 0, id, &vec![0; len]);
    let cases: [(Vec<u8>, Code); 20] = [
        (data(0, 1), Code::Protocol),
        (data(1, 1), Code::Protocol),
        (one(kind::HEADERS, WHOLE, 0, &block()), Code::Protocol),
        (one(kind::HEADERS, WHOLE, 2, &block()), Code::Protocol),
        (one(kind::HEADERS, WHOLE, 1, &[0x80]), Code::Compression),
        (one(kind::HEADERS, WHOLE | flag::PADDED, 1, &[9, 0]), Code::Protocol),
        (one(kind::HEADERS, WHOLE | flag::PRIORITY, 1, &[0, 0, 0, 1, 0]), Code::Protocol),
        ([one(kind::HEADERS, 0, 1, &block()), one(kind::PING, 0, 0, &[0; 8])].concat(), Code::Protocol),
        ([one(kind::HEADERS, 0, 1, &block()), one(kind::CONTINUATION, 4, 3, &[])].concat(), Code::Protocol),
        (one(kind::CONTINUATION, 4, 1, &block()), Code::Protocol),
        (one(kind::PRIORITY, 0, 1, &[0; 4]), Code::FrameSize),
        (one(kind::RST_STREAM, 0, 1, &[0; 4]), Code::Protocol),
        (one(kind::SETTINGS, 0, 1, &[]), Code::Protocol),
        (one(kind::SETTINGS, 0, 0, &[0; 5]), Code::FrameSize),
        (one(kind::SETTINGS, flag::ACK, 0, &[0; 6]), Code::FrameSize),
        (one(kind::SETTINGS, 0, 0, &[0, 4, 0x80, 0, 0, 0]), Code::FlowControl),
        (one(kind::SETTINGS, 0, 0, &[0, 5, 0, 0, 0, 1]), Code::Protocol),
        (one(kind::PING, 0, 0, &[0; 7]), Code::FrameSize),
        (one(kind::WINDOW_UPDATE, 0, 0, &[0; 4]), Code::Protocol),
        (one(kind::PUSH_PROMISE, 0, 1, &[0; 4]), Code::Protocol),
    ];
    for (bytes, code) in cases {
        assert_eq!(died(&bytes), Some(code as u32), "{bytes:?}");
    }
    assert_eq!(
        died(&one(kind::WINDOW_UPDATE, 0, 0, &[0x7f, 0xff, 0xff, 0xff])),
        Some(Code::FlowControl as u32)
    );
    let mut large = Vec::new();
    frame::put(&mut large, 16_385, kind::HEADERS, WHOLE, 1);
    assert_eq!(died(&large), Some(Code::FrameSize as u32));
}

#[test]
fn other_words_than_the_preface_end_the_connection() {
    let (mut c, mut heard) = (Connection::new(Role::Server, Config::default()), Heard::default());
    c.receive(b"GET / HTTP/1.1\r\n", &mut heard);
    assert!(c.is_dead());
    assert_eq!(frames(&c.out).last().map(|f| f.0), Some(kind::GOAWAY));
}

#[test]
fn faults_of_a_stream_leave_the_others_alone() {
    let (mut c, mut heard) = server();
    heard.refuse = Some(1);
    c.receive(&one(kind::HEADERS, WHOLE, 1, &block()), &mut heard);
    c.receive(&one(kind::HEADERS, flag::END_HEADERS, 3, &block()), &mut heard);
    c.receive(&one(kind::WINDOW_UPDATE, 0, 3, &[0; 4]), &mut heard);
    c.receive(&one(kind::HEADERS, WHOLE, 5, &block()), &mut heard);
    c.receive(&one(kind::DATA, 0, 5, b"late"), &mut heard);
    c.receive(&one(kind::HEADERS, WHOLE, 7, &block()), &mut heard);
    let protocol = Code::Protocol as u32;
    assert_eq!(heard.resets, [(1, protocol), (3, protocol), (5, Code::StreamClosed as u32)]);
    assert!(!c.is_dead() && c.streams() == 1 && c.has(7));
}

#[test]
fn streams_are_limited_and_flow_is_controlled() {
    let config = Config { streams: 1, window: 10, ..Config::default() };
    let (mut c, mut heard) = (Connection::new(Role::Server, config), Heard::default());
    c.receive(&hello(), &mut heard);
    c.receive(&one(kind::HEADERS, flag::END_HEADERS, 1, &block()), &mut heard);
    c.receive(&one(kind::HEADERS, WHOLE, 3, &block()), &mut heard);
    let refused = frames(&c.out).iter().any(|f| f.0 == kind::RST_STREAM && f.2 == 3 && f.3 == [0, 0, 0, 7]);
    assert!(refused && heard.heads.len() == 1);
    c.receive(&one(kind::DATA, 0, 1, &[0; 11]), &mut heard);
    assert_eq!(heard.resets, [(1, Code::FlowControl as u32)]);
}

#[test]
fn data_waits_for_both_windows_and_for_room() {
    let (mut c, mut heard) = server();
    let small = [0, 4, 0, 0, 0, 5];
    c.receive(&one(kind::SETTINGS, 0, 0, &small), &mut heard);
    c.receive(&one(kind::HEADERS, WHOLE, 1, &block()), &mut heard);
    c.send_head(1, &[0x88], false);
    assert_eq!(c.send_data(1, b"0123456789", true), 5);
    heard.writable.clear();
    c.receive(&one(kind::WINDOW_UPDATE, 0, 1, &[0, 1, 0, 0]), &mut heard);
    assert_eq!(heard.writable, [1]);
    assert_eq!(c.send_data(1, b"56789", false), 5);
    let long = vec![b'x'; 200_000];
    let first = c.send_data(1, &long, true);
    assert!(first > 0 && c.out.len() <= OUT_MAX + 16_384 + 64);
    assert_eq!(c.send_data(1, &long[first..], true), 0, "no room");
    c.out.clear();
    c.receive(&one(kind::WINDOW_UPDATE, 0, 0, &[0, 0, 0, 9]), &mut heard);
    assert!(c.speaks(1));
}

#[test]
fn a_block_in_many_frames_is_one_block_and_has_a_limit() {
    let (mut c, mut heard) = server();
    let whole = block();
    let (a, b) = whole.split_at(2);
    c.receive(&one(kind::HEADERS, flag::END_STREAM, 1, a), &mut heard);
    c.receive(&one(kind::CONTINUATION, flag::END_HEADERS, 1, b), &mut heard);
    assert_eq!(heard.heads, [(1, true, 4, true)]);
    let mut flood = one(kind::HEADERS, flag::END_STREAM, 3, &[]);
    for _ in 0..3 {
        flood.extend(one(kind::CONTINUATION, 0, 3, &[0; 16_000]));
    }
    assert_eq!(died(&flood), Some(Code::EnhanceYourCalm as u32));
}

#[test]
fn padding_is_no_content_and_its_window_comes_back() {
    let (mut c, mut heard) = server();
    c.receive(&one(kind::HEADERS, flag::END_HEADERS, 1, &block()), &mut heard);
    c.receive(&one(kind::DATA, flag::PADDED, 1, b"\x03ab\0\0\0"), &mut heard);
    c.receive(&one(kind::DATA, flag::PADDED | flag::END_STREAM, 1, b"\x02\0\0"), &mut heard);
    assert_eq!(heard.bodies[&1], (b"ab".to_vec(), true));
    let paid: u32 = frames(&c.out)
        .iter()
        .filter(|f| f.0 == kind::WINDOW_UPDATE && f.2 == 1)
        .filter_map(|f| frame::number(&f.3))
        .sum();
    assert_eq!(paid, 4 + 3);
}

#[test]
fn a_client_opens_streams_as_long_as_it_may() {
    let (mut c, mut heard) = (Connection::new(Role::Client, Config::default()), Heard::default());
    assert!(c.out.starts_with(frame::PREFACE));
    c.receive(&one(kind::SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 2]), &mut heard);
    assert_eq!((c.start(), c.start(), c.start()), (Some(1), Some(3), None));
    c.receive(&one(kind::HEADERS, WHOLE, 1, &[0x88]), &mut heard);
    assert_eq!(heard.heads, [(1, false, 1, true)]);
    c.receive(&one(kind::GOAWAY, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 0]), &mut heard);
    assert_eq!(heard.resets, [(3, Code::RefusedStream as u32)]);
    assert!(c.is_closing() && c.start().is_none());
}

#[test]
fn leaving_serves_what_is_open_and_nothing_new() {
    let (mut c, mut heard) = server();
    c.receive(&one(kind::HEADERS, flag::END_HEADERS, 1, &block()), &mut heard);
    c.leave(Code::NoError);
    c.receive(&one(kind::HEADERS, WHOLE, 3, &block()), &mut heard);
    c.receive(&one(kind::DATA, flag::END_STREAM, 1, b"x"), &mut heard);
    assert_eq!(heard.heads.len(), 1);
    assert!(heard.bodies[&1].1 && !c.is_dead());
}

proptest! {
    #[test]
    fn any_split_says_the_same(cuts in prop::collection::vec(1usize..40, 1..60)) {
        let mut bytes = hello();
        for id in [1, 3, 5] {
            bytes.extend(one(kind::HEADERS, flag::END_HEADERS | flag::PADDED, id, &[&[1][..], &block(), &[0]].concat()));
            bytes.extend(one(kind::PING, 0, 0, &[7; 8]));
            bytes.extend(one(kind::DATA, flag::PADDED, id, b"\x02hello\0\0"));
            bytes.extend(one(kind::DATA, flag::END_STREAM, id, b"world"));
        }
        let hear = |pieces: &[usize]| {
            let (mut c, mut heard) = (Connection::new(Role::Server, Config::default()), Heard::default());
            let (mut at, mut i) = (0, 0);
            while at < bytes.len() {
                let n = pieces[i % pieces.len()].min(bytes.len() - at);
                c.receive(&bytes[at..at + n], &mut heard);
                (at, i) = (at + n, i + 1);
            }
            (heard.heads, heard.bodies, c.is_dead())
        };
        prop_assert_eq!(hear(&cuts), hear(&[usize::MAX]));
    }

    #[test]
    fn nothing_breaks_a_connection(junk in prop::collection::vec((0u8..10, any::<u8>(), 0u32..6, prop::collection::vec(any::<u8>(), 0..40)), 0..40)) {
        let (mut c, mut heard) = server();
        for (kind, flags, id, payload) in junk {
            c.receive(&one(kind, flags, id, &payload), &mut heard);
            if c.has(id) && id % 3 == 0 {
                c.send_head(id, &[0x88], false);
                c.send_data(id, b"some", flags & 2 != 0);
            }
        }
    }
}
