//! Messages between peers (haproxy's `peers.txt` and `peers-v2.0.txt`, protocol 2.1): a class and a type of one byte
//! each, then for types from 128 a length and that many bytes.
//!
//! Invariant: nothing that a peer sends is read beyond the end of its message, and numbers never overflow.

use crate::stick::TableSpec;
use crate::stick::parse::ELEMENTS_MAX;
use crate::stick::table::{DATA, Data, DataArg, KeptCell, Key, KeyType, Stored};
use std::net::{Ipv4Addr, Ipv6Addr};

/// First word of a greeting.
pub const NAME: &str = "HAProxyS";
/// The version that is spoken.
pub const VERSION: &str = "2.1";

/// Answers to a greeting.
pub mod status {
    /// Welcome.
    pub const OK: u16 = 200;
    /// Not a greeting.
    pub const PROTOCOL: u16 = 501;
    /// Another version.
    pub const VERSION: u16 = 502;
    /// It is meant for somebody else.
    pub const LOCAL_NAME: u16 = 503;
    /// It comes from somebody unknown.
    pub const REMOTE_NAME: u16 = 504;
}

/// Classes of messages.
pub mod class {
    /// See [`super::control`].
    pub const CONTROL: u8 = 0;
    /// Something is wrong.
    pub const ERROR: u8 = 1;
    /// See [`super::stick`].
    pub const STICK: u8 = 10;
}

/// Types of control messages.
pub mod control {
    /// Tell all that you have.
    pub const REQUEST: u8 = 0;
    /// That was all.
    pub const FINISHED: u8 = 1;
    /// That was all, but the teller may have missed something itself.
    pub const PARTIAL: u8 = 2;
    /// The end was heard.
    pub const CONFIRM: u8 = 3;
    /// Still there.
    pub const HEARTBEAT: u8 = 4;
}

/// Types of messages about tables.
pub mod stick {
    /// An entry, with its number.
    pub const UPDATE: u8 = 128;
    /// An entry with the number behind the last one's.
    pub const NEXT: u8 = 129;
    /// What the entries that follow look like.
    pub const DEFINITION: u8 = 130;
    /// Entries of a table that was defined before follow.
    pub const SWITCH: u8 = 131;
    /// Entries up to a number have arrived.
    pub const ACK: u8 = 132;
    /// [`UPDATE`] with the time that the entry has left.
    pub const TIMED_UPDATE: u8 = 133;
    /// [`NEXT`] with the time that the entry has left.
    pub const TIMED_NEXT: u8 = 134;
}

/// Longest message that is taken.
pub const MESSAGE_MAX: usize = 1 << 16;
/// Below this a number is one byte.
const SHORT: u64 = 240;

/// Appends a number.
pub fn put_int(out: &mut Vec<u8>, mut value: u64) {
    if value < SHORT {
        return out.push(value as u8);
    }
    out.push(value as u8 | 0xf0);
    value = (value - SHORT) >> 4;
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value = (value - 0x80) >> 7;
    }
    out.push(value as u8);
}

/// Reads what is in a message.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'b>(pub &'b [u8]);

impl<'b> Reader<'b> {
    /// So many bytes.
    pub fn bytes(&mut self, n: u64) -> Option<&'b [u8]> {
        let (bytes, rest) = self.0.split_at_checked(usize::try_from(n).ok()?)?;
        self.0 = rest;
        Some(bytes)
    }

    /// Four bytes, in network order.
    pub fn word(&mut self) -> Option<u32> {
        Some(u32::from_be_bytes(self.bytes(4)?.try_into().ok()?))
    }

    /// A number.
    pub fn int(&mut self) -> Option<u64> {
        let (first, mut rest) = self.0.split_first()?;
        let mut value = u64::from(*first);
        if value >= SHORT {
            let mut shift = 4;
            loop {
                let (byte, behind) = rest.split_first()?;
                rest = behind;
                value = value.checked_add(u64::from(*byte).checked_shl(shift)?)?;
                shift += 7;
                if *byte < 0x80 {
                    break;
                }
                if shift >= u64::BITS {
                    return None;
                }
            }
        }
        self.0 = rest;
        Some(value)
    }
}

/// A message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'b> {
    /// See [`class`].
    pub class: u8,
    /// Its type.
    pub kind: u8,
    /// What is in it.
    pub body: &'b [u8],
}

/// Why there is no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lack {
    /// It is not all there yet.
    More,
    /// It is longer than any that is taken.
    TooLong,
}

/// The first message of what came, and its length.
pub fn message(bytes: &[u8]) -> Result<(Message<'_>, usize), Lack> {
    let [class, kind, rest @ ..] = bytes else { return Err(Lack::More) };
    let (class, kind) = (*class, *kind);
    if kind < 128 {
        return Ok((Message { class, kind, body: &[] }, 2));
    }
    let mut reader = Reader(rest);
    let Some(length) = reader.int() else {
        // No length has more bytes than this.
        return Err(if rest.len() > 10 { Lack::TooLong } else { Lack::More });
    };
    if length > MESSAGE_MAX as u64 {
        return Err(Lack::TooLong);
    }
    let body = reader.bytes(length).ok_or(Lack::More)?;
    Ok((Message { class, kind, body }, bytes.len() - reader.0.len()))
}

/// Appends a message about tables.
pub fn put_stick(out: &mut Vec<u8>, kind: u8, body: &[u8]) {
    out.extend([class::STICK, kind]);
    put_int(out, body.len() as u64);
    out.extend(body);
}

/// Numbers of key types.
fn kind_number(kind: KeyType) -> (u64, u64) {
    match kind {
        KeyType::Integer => (2, 4),
        KeyType::Ip => (4, 4),
        KeyType::Ipv6 => (5, 16),
        // With the zero behind it.
        KeyType::String(len) => (6, len as u64 + 1),
        KeyType::Binary(len) => (7, len as u64),
    }
}

fn number_of(data: Data) -> usize {
    DATA.iter().position(|(_, d, _)| *d == data).unwrap_or(DATA.len())
}

/// The definition of a table, under a number and a name.
pub fn definition(id: u64, name: &str, spec: &TableSpec) -> Vec<u8> {
    let mut out = Vec::new();
    put_int(&mut out, id);
    put_int(&mut out, name.len() as u64);
    out.extend(name.as_bytes());
    let (kind, length) = kind_number(spec.kind);
    put_int(&mut out, kind);
    put_int(&mut out, length);
    put_int(&mut out, spec.stored.iter().fold(0, |bits, s| bits | 1 << number_of(s.data)));
    put_int(&mut out, spec.expire.map_or(0, |e| e.as_millis() as u64));
    for stored in &spec.stored {
        let array = matches!(stored.data, Data::Gpt | Data::Gpc | Data::GpcRate);
        if array || stored.period_ms > 0 {
            put_int(&mut out, number_of(stored.data) as u64);
        }
        if array {
            put_int(&mut out, stored.elements as u64);
        }
        if stored.period_ms > 0 {
            put_int(&mut out, stored.period_ms);
        }
    }
    out
}

/// A table as a peer defines it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Defined {
    /// The peer's number for it.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// Number of the key's type, and its length.
    pub kind: (u64, u64),
    /// What its entries hold.
    pub stored: Vec<Stored>,
}

impl Defined {
    /// Whether it has the keys of this table.
    pub fn fits(&self, spec: &TableSpec) -> bool {
        self.kind == kind_number(spec.kind)
    }

    /// Reads a definition; `None` is not one, or has data that nobody knows the shape of.
    pub fn read(body: &[u8]) -> Option<Self> {
        let mut r = Reader(body);
        let (id, length) = (r.int()?, r.int()?);
        let name = String::from_utf8_lossy(r.bytes(length)?).into_owned();
        let kind = (r.int()?, r.int()?);
        let bits = r.int()?;
        if bits >> DATA.len() != 0 {
            return None;
        }
        let known = DATA.iter().enumerate().filter(|(n, _)| bits >> n & 1 == 1);
        let mut stored: Vec<_> =
            known.map(|(_, (_, data, _))| Stored { data: *data, elements: 1, period_ms: 0 }).collect();
        let _expire = r.int()?;
        for one in &mut stored {
            let arg = DATA[number_of(one.data)].2;
            if arg == DataArg::No {
                continue;
            }
            (r.int()? == number_of(one.data) as u64).then_some(())?;
            if matches!(arg, DataArg::Elements | DataArg::ElementsPeriod) {
                one.elements = r.int().filter(|n| *n <= ELEMENTS_MAX as u64)? as usize;
            }
            if matches!(arg, DataArg::Period | DataArg::ElementsPeriod) {
                one.period_ms = r.int()?;
            }
        }
        Some(Self { id, name, kind, stored })
    }
}

/// Appends a key.
pub fn put_key(out: &mut Vec<u8>, key: &Key) {
    match key {
        Key::Ip(a) => out.extend(a.octets()),
        Key::Ipv6(a) => out.extend(a.octets()),
        Key::Integer(n) => out.extend(n.to_be_bytes()),
        Key::Binary(bytes) => out.extend(&**bytes),
        Key::String(text) => {
            put_int(out, text.len() as u64);
            out.extend(&**text);
        }
    }
}

/// Reads a key of a table.
pub fn key(r: &mut Reader<'_>, kind: KeyType) -> Option<Key> {
    Some(match kind {
        KeyType::Ip => Key::Ip(Ipv4Addr::from(r.word()?)),
        KeyType::Ipv6 => Key::Ipv6(Ipv6Addr::from(<[u8; 16]>::try_from(r.bytes(16)?).ok()?)),
        KeyType::Integer => Key::Integer(r.word()?),
        KeyType::Binary(len) => Key::Binary(r.bytes(len as u64)?.into()),
        KeyType::String(len) => {
            let length = r.int()?;
            let text = r.bytes(length)?;
            Key::String(text[..text.len().min(len)].into())
        }
    })
}

/// Strings that were sent once and have a number since, in one direction of a session.
#[derive(Debug, Default)]
pub struct Dictionary {
    names: Vec<String>,
    /// The slot that the next new name takes.
    next: usize,
}

/// Names with a number at a time.
const NAMES_MAX: usize = 128;

impl Dictionary {
    /// Number of a name (from 1), and whether it is new.
    fn number(&mut self, name: &str) -> (usize, bool) {
        if let Some(at) = self.names.iter().position(|n| n == name) {
            return (at + 1, false);
        }
        let at = self.next;
        if at < self.names.len() {
            name.clone_into(&mut self.names[at]);
        } else {
            self.names.push(name.to_owned());
        }
        self.next = (at + 1) % NAMES_MAX;
        (at + 1, true)
    }

    fn put(&mut self, out: &mut Vec<u8>, name: &str) {
        if name.is_empty() {
            return put_int(out, 0);
        }
        let (number, new) = self.number(name);
        let mut body = Vec::new();
        put_int(&mut body, number as u64);
        if new {
            put_int(&mut body, name.len() as u64);
            body.extend(name.as_bytes());
        }
        put_int(out, body.len() as u64);
        out.extend(body);
    }

    fn read(&mut self, r: &mut Reader<'_>) -> Option<String> {
        let length = r.int()?;
        if length == 0 {
            return Some(String::new());
        }
        let mut body = Reader(r.bytes(length)?);
        let at = usize::try_from(body.int()?).ok().filter(|n| (1..=NAMES_MAX).contains(n))? - 1;
        if !body.0.is_empty() {
            let length = body.int()?;
            let name = String::from_utf8_lossy(body.bytes(length)?).into_owned();
            if self.names.len() <= at {
                self.names.resize(at + 1, String::new());
            }
            self.names[at] = name;
        }
        self.names.get(at).cloned()
    }

    /// Names with their numbers, as far as there are any.
    pub fn names(&self) -> &[String] {
        &self.names
    }
}

/// Appends what an entry holds.
pub fn put_cells(out: &mut Vec<u8>, stored: &[Stored], cells: &[KeptCell], names: &mut Dictionary) {
    let kinds = stored.iter().flat_map(|s| std::iter::repeat_n(s.data, s.elements));
    for (data, cell) in kinds.zip(cells) {
        match cell {
            KeptCell::Count(n) if matches!(data, Data::BytesInCnt | Data::BytesOutCnt) => put_int(out, *n),
            KeptCell::Count(n) => put_int(out, (*n).min(u32::MAX.into())),
            KeptCell::Rate { age_ms, current, previous } => {
                // Whoever gets it counts milliseconds in 32 bits.
                put_int(out, (*age_ms).min(u64::from(u32::MAX / 2)));
                put_int(out, (*current).min(u32::MAX.into()));
                put_int(out, (*previous).min(u32::MAX.into()));
            }
            KeptCell::Name(name) => names.put(out, name),
        }
    }
}

/// Reads what an entry holds.
pub fn cells(r: &mut Reader<'_>, stored: &[Stored], names: &mut Dictionary) -> Option<Vec<KeptCell>> {
    let kinds = stored.iter().flat_map(|s| std::iter::repeat_n(s, s.elements));
    kinds
        .map(|s| {
            Some(match s.data {
                Data::ServerKey => KeptCell::Name(names.read(r)?),
                _ if s.period_ms > 0 => {
                    KeptCell::Rate { age_ms: r.int()?, current: r.int()?, previous: r.int()? }
                }
                _ => KeptCell::Count(r.int()?),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn numbers_are_those_of_the_protocol() {
        for (value, bytes) in [
            (0, &[0][..]),
            (239, &[239]),
            (240, &[0xf0, 0]),
            (0x1234, &[0xf4, 0x94, 0x01]),
            (600_000, &[0xf0, 0xed, 0xa3, 0x01]),
            (3_600_000, &[0xf0, 0xd9, 0xdc, 0x0c]),
        ] {
            let mut out = Vec::new();
            put_int(&mut out, value);
            assert_eq!(out, bytes, "{value}");
            assert_eq!(Reader(bytes).int(), Some(value));
        }
        for value in [u64::MAX, u64::MAX - 239, 1 << 63, 2287, 2288, 264_431, 264_432] {
            let mut out = Vec::new();
            put_int(&mut out, value);
            assert_eq!(Reader(&out).int(), Some(value));
            assert_eq!(Reader(&out[..out.len() - 1]).int(), None);
        }
        assert_eq!(Reader(&[0xff; 12]).int(), None);
    }

    fn spec() -> TableSpec {
        let one = |data, elements, period_ms| Stored { data, elements, period_ms };
        TableSpec {
            name: "s".into(),
            kind: KeyType::String(10),
            size: 9,
            expire: Some(Duration::from_mins(10)),
            nopurge: false,
            stored: vec![
                one(Data::ServerId, 1, 0),
                one(Data::ServerKey, 1, 0),
                one(Data::Gpt, 3, 0),
                one(Data::Gpc, 2, 0),
                one(Data::GpcRate, 2, 20_000),
            ],
            peers: Some("p".into()),
        }
    }

    #[test]
    fn definitions_are_haproxys() {
        let expected =
            b"\x03\x01s\x06\x0b\xf1\xf1\xfe\x70\xf0\xed\xa3\x01\x16\x03\x17\x02\x18\x02\xf0\xd3\x08";
        let made = definition(3, "s", &spec());
        assert_eq!(made, expected);
        let read = Defined::read(expected).unwrap();
        assert_eq!((read.id, read.name.as_str(), &read.stored), (3, "s", &spec().stored));
        assert!(read.fits(&spec()) && !read.fits(&TableSpec { kind: KeyType::String(9), ..spec() }));
        for cut in 0..expected.len() {
            assert_eq!(Defined::read(&expected[..cut]), None, "{cut}");
        }
    }

    #[test]
    fn names_are_told_once() {
        let (mut tx, mut rx) = (Dictionary::default(), Dictionary::default());
        let stored = [Stored { data: Data::ServerKey, elements: 1, period_ms: 0 }];
        let mut tell = |name: &str| {
            let mut out = Vec::new();
            put_cells(&mut out, &stored, &[KeptCell::Name(name.into())], &mut tx);
            assert_eq!(cells(&mut Reader(&out), &stored, &mut rx), Some(vec![KeptCell::Name(name.into())]));
            out
        };
        assert_eq!(tell("srvone"), b"\x08\x01\x06srvone");
        assert_eq!(tell("srvtwo"), b"\x08\x02\x06srvtwo");
        assert_eq!(tell("srvone"), b"\x01\x01");
        assert_eq!(tell(""), b"\x00");
        for n in 0..300 {
            tell(&format!("s{n}"));
        }
        assert_eq!(tell("srvone").len(), 9);
    }

    #[test]
    fn messages_are_cut_where_they_end() {
        let mut out = vec![class::CONTROL, control::HEARTBEAT];
        put_stick(&mut out, stick::ACK, &[9, 0, 0, 0, 5]);
        assert_eq!(message(&out).map(|(m, n)| (m.kind, n)), Ok((control::HEARTBEAT, 2)));
        assert_eq!(out[2..], [10, 0x84, 5, 9, 0, 0, 0, 5]);
        for cut in 2..out.len() {
            assert_eq!(message(&out[2..cut]), Err(Lack::More));
        }
        assert_eq!(message(&[10, 130, 0xff, 0xff, 0xff, 0xff, 0]), Err(Lack::TooLong));
    }
}
