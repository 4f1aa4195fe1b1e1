//! Any bytes as what an HTTP/2 client sends: what is heard is the same however the bytes are cut, windows and the output
//! keep their bounds, and a dead connection stays dead.
#![no_main]

use http2::connection::OUT_PAUSE;
use http2::{Code, Config, Connection, Fields, Role, Sink};
use libfuzzer_sys::fuzz_target;

/// Writes down what it hears.
#[derive(Default, PartialEq, Debug)]
struct Heard {
    heads: Vec<(u32, bool, bool, usize)>,
    data: std::collections::BTreeMap<u32, Vec<u8>>,
    ends: Vec<u32>,
    resets: Vec<(u32, u32)>,
}

impl Sink for Heard {
    fn head(&mut self, id: u32, opens: bool, fields: &Fields, end: bool) -> Result<(), Code> {
        self.heads.push((id, opens, end, fields.len()));
        Ok(())
    }

    fn data(&mut self, id: u32, bytes: &[u8], end: bool) -> Result<(), Code> {
        self.data.entry(id).or_default().extend_from_slice(bytes);
        if end {
            self.ends.push(id);
        }
        Ok(())
    }

    fn reset(&mut self, id: u32, code: u32) {
        self.resets.push((id, code));
    }

    fn writable(&mut self, _: u32) {}
}

fn hear(data: &[u8], piece: usize) -> (Heard, bool, usize) {
    let config = Config { head: 2048, streams: 8, ..Config::default() };
    let (mut connection, mut heard) = (Connection::new(Role::Server, config), Heard::default());
    for part in data.chunks(piece) {
        connection.receive(part, &mut heard);
        assert!(connection.streams() <= 8, "no more streams than were allowed");
        assert!(
            connection.out.len() <= OUT_PAUSE + 32 * part.len() + 64,
            "answers are bounded by what was read"
        );
        connection.out.clear();
        if connection.is_dead() {
            break;
        }
    }
    (heard, connection.is_dead(), connection.streams())
}

fuzz_target!(|data: &[u8]| {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    bytes.extend_from_slice(data);
    let whole = hear(&bytes, bytes.len());
    assert_eq!(whole, hear(&bytes, 1));
    assert_eq!(whole, hear(&bytes, 11));
});
