//! Header blocks (RFC 7541): read with a table that the peer fills, written without one.
//!
//! Invariant: a block that is too large for its message is still read to its end, so that the tables of both ends
//! stay the same.
//!
//! Absent on purpose: a table for what we write. Answers differ in the fields that matter, and a table would keep
//! memory for every connection.

use crate::huffman;
use crate::table::{Dynamic, ENTRY_OVERHEAD, fixed_index};

/// A header block that can't be read: the connection ends with COMPRESSION_ERROR.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("bad header block")]
pub struct Bad;

/// The fields of a header block, in order; names as received.
#[derive(Debug, Default)]
pub struct Fields {
    bytes: Vec<u8>,
    /// Start of the name, start and end of the value.
    list: Vec<[u32; 3]>,
    /// There were more than the limit allows; those are left out.
    pub too_large: bool,
}

impl Fields {
    /// Forgets everything, keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.list.clear();
        self.too_large = false;
    }

    /// Names and values in order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.list.iter().map(|[name, value, end]| {
            let part = |from: u32, to: u32| &self.bytes[from as usize..to as usize];
            (part(*name, *value), part(*value, *end))
        })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}

/// Reads header blocks.
#[derive(Debug)]
pub struct Decoder {
    table: Dynamic,
    limit: usize,
}

impl Decoder {
    /// A decoder whose table has at most `limit` bytes (SETTINGS_HEADER_TABLE_SIZE).
    pub fn new(limit: usize) -> Self {
        Self { table: Dynamic::new(limit), limit }
    }

    /// Reads a whole block; of the fields at most `most` bytes are kept, as the standard counts them.
    ///
    /// # Errors
    /// [`Bad`]: no later block can be read either.
    pub fn decode(&mut self, block: &[u8], most: usize, out: &mut Fields) -> Result<(), Bad> {
        let mut rest = block;
        let mut total = 0;
        while let Some(first) = rest.first().copied() {
            let start = out.bytes.len();
            let value = if first & 0x80 != 0 {
                let (name, value) = self.table.at(integer(&mut rest, 7)?).ok_or(Bad)?;
                if out.too_large {
                    continue; // a byte of the block may stand for a whole table: not copied for nothing
                }
                out.bytes.extend_from_slice(name);
                out.bytes.extend_from_slice(value);
                start + name.len()
            } else if first & 0xe0 == 0x20 {
                let limit = integer(&mut rest, 5)?;
                if limit > self.limit || !out.is_empty() {
                    return Err(Bad); // changes stand at the begin of a block
                }
                self.table.limit(limit);
                continue;
            } else {
                self.literal(first, &mut rest, out)?
            };
            total += out.bytes.len() - start + ENTRY_OVERHEAD;
            if total > most {
                out.too_large = true;
                out.bytes.truncate(start);
                continue;
            }
            out.list.push([start as u32, value as u32, out.bytes.len() as u32]);
        }
        Ok(())
    }

    /// A field that is spelled out; gives where its value begins.
    fn literal(&mut self, first: u8, rest: &mut &[u8], out: &mut Fields) -> Result<usize, Bad> {
        let kept = first & 0x40 != 0;
        let index = integer(rest, if kept { 6 } else { 4 })?;
        let start = out.bytes.len();
        if index == 0 {
            string(rest, &mut out.bytes)?;
        } else {
            out.bytes.extend_from_slice(self.table.at(index).ok_or(Bad)?.0);
        }
        let value = out.bytes.len();
        string(rest, &mut out.bytes)?;
        if kept {
            self.table.insert(&out.bytes[start..value], &out.bytes[value..]);
        }
        Ok(value)
    }
}

/// A number with a prefix of so many bits (5.1); larger than any length or index we take is bad.
fn integer(rest: &mut &[u8], prefix: u32) -> Result<usize, Bad> {
    let (first, mut tail) = rest.split_first().ok_or(Bad)?;
    let most = (1usize << prefix) - 1;
    let mut n = usize::from(*first) & most;
    if n == most {
        let mut shift = 0;
        loop {
            let (byte, after) = tail.split_first().ok_or(Bad)?;
            tail = after;
            n += usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
            if shift > 21 {
                return Err(Bad);
            }
        }
    }
    *rest = tail;
    Ok(n)
}

fn string(rest: &mut &[u8], out: &mut Vec<u8>) -> Result<(), Bad> {
    let coded = rest.first().ok_or(Bad)? & 0x80 != 0;
    let len = integer(rest, 7)?;
    let (bytes, tail) = rest.split_at_checked(len).ok_or(Bad)?;
    *rest = tail;
    if !coded {
        out.extend_from_slice(bytes);
        return Ok(());
    }
    if huffman::decode(bytes, out) { Ok(()) } else { Err(Bad) }
}

/// Writes a number with a prefix of so many bits; `flags` are the bits before it.
fn put_integer(out: &mut Vec<u8>, flags: u8, prefix: u32, n: usize) {
    let most = (1usize << prefix) - 1;
    if n < most {
        out.push(flags | n as u8);
        return;
    }
    out.push(flags | most as u8);
    let mut n = n - most;
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

fn put_string(out: &mut Vec<u8>, bytes: &[u8]) {
    put_integer(out, 0, 7, bytes.len());
    out.extend_from_slice(bytes);
}

/// Writes a field; the name is in lower case.
pub fn put(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    let index = fixed_index(name);
    put_integer(out, 0, 4, index);
    if index == 0 {
        put_string(out, name);
    }
    put_string(out, value);
}

/// Writes `:status`.
pub fn put_status(out: &mut Vec<u8>, status: u16) {
    const STATUS: usize = 8;
    let known = [200, 204, 206, 304, 400, 404, 500].iter().position(|s| *s == status);
    match known {
        Some(at) => put_integer(out, 0x80, 7, STATUS + at),
        None => {
            put_integer(out, 0, 4, STATUS);
            put_string(out, status.to_string().as_bytes());
        }
    }
}

/// The pseudo fields of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pseudo {
    /// `:authority`.
    Authority,
    /// `:method`.
    Method,
    /// `:path`.
    Path,
    /// `:scheme`.
    Scheme,
    /// `:protocol` (RFC 8441).
    Protocol,
}

/// Writes a pseudo field of a request.
pub fn put_pseudo(out: &mut Vec<u8>, which: Pseudo, value: &[u8]) {
    let (name, whole) = match (which, value) {
        (Pseudo::Method, b"GET") => (2, true),
        (Pseudo::Method, b"POST") => (3, true),
        (Pseudo::Path, b"/") => (4, true),
        (Pseudo::Scheme, b"http") => (6, true),
        (Pseudo::Scheme, b"https") => (7, true),
        (Pseudo::Authority, _) => (1, false),
        (Pseudo::Method, _) => (2, false),
        (Pseudo::Path, _) => (4, false),
        (Pseudo::Scheme, _) => (6, false),
        (Pseudo::Protocol, _) => (0, false),
    };
    if whole {
        return put_integer(out, 0x80, 7, name);
    }
    put_integer(out, 0, 4, name);
    if which == Pseudo::Protocol {
        put_string(out, b":protocol");
    }
    put_string(out, value);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(decoder: &mut Decoder, block: &[u8]) -> Result<Vec<(String, String)>, Bad> {
        let mut fields = Fields::default();
        decoder.decode(block, 1 << 16, &mut fields)?;
        let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
        Ok(fields.iter().map(|(n, v)| (text(n), text(v))).collect())
    }

    #[test]
    fn requests_of_the_standard_are_read() {
        // RFC 7541, C.4: three requests over one connection, with Huffman codes.
        let mut decoder = Decoder::new(4096);
        let first = b"\x82\x86\x84\x41\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff";
        let second = b"\x82\x86\x84\xbe\x58\x86\xa8\xeb\x10\x64\x9c\xbf";
        let third =
            b"\x82\x87\x85\xbf\x40\x88\x25\xa8\x49\xe9\x5b\xa9\x7d\x7f\x89\x25\xa8\x49\xe9\x5b\xb8\xe8\xb4\xbf";
        let line = |fields: Vec<(String, String)>| {
            fields.iter().map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>().join(" ")
        };
        let mut see = |block: &[u8]| read(&mut decoder, block).map(line);
        let same = ":method=GET :scheme=http :path=/ :authority=www.example.com";
        assert_eq!(see(first), Ok(same.to_owned()));
        assert_eq!(see(second), Ok(format!("{same} cache-control=no-cache")));
        let last =
            ":method=GET :scheme=https :path=/index.html :authority=www.example.com custom-key=custom-value";
        assert_eq!(see(third), Ok(last.to_owned()));
    }

    #[test]
    fn the_table_forgets_the_oldest_and_takes_new_limits() {
        let mut decoder = Decoder::new(80);
        let field = |n: u8| vec![0x40, 1, b'a', 1, n];
        assert!(read(&mut decoder, &[field(b'1'), field(b'2'), field(b'3')].concat()).is_ok());
        // 34 bytes each: two fit.
        assert_eq!(read(&mut decoder, &[0xbe, 0xbf]).map(|f| f[1].1.clone()), Ok("2".to_owned()));
        assert_eq!(read(&mut decoder, &[0xc0]), Err(Bad));
        assert_eq!(read(&mut decoder, &[0x20]), Ok(vec![]), "limit 0 empties it");
        assert_eq!(read(&mut decoder, &[0xbe]), Err(Bad));
        assert_eq!(read(&mut decoder, &[0x3f, 0x80, 0x01]), Err(Bad), "above what was announced");
    }

    #[test]
    fn broken_blocks_are_told() {
        for block in [&b"\x80"[..], b"\xff\xff\xff\xff\xff\x0f", b"\x00\x05ab", b"\x0f", b"\x41", b"\xbf"] {
            assert_eq!(read(&mut Decoder::new(4096), block), Err(Bad), "{block:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(fields in prop::collection::vec(("[a-z-]{1,40}", "[ -~]{0,300}"), 0..20), status in 100u16..999) {
            let mut block = Vec::new();
            put_status(&mut block, status);
            for (name, value) in &fields {
                put(&mut block, name.as_bytes(), value.as_bytes());
            }
            let mut want = vec![(":status".to_owned(), status.to_string())];
            want.extend(fields);
            prop_assert_eq!(read(&mut Decoder::new(4096), &block), Ok(want));
        }

        #[test]
        fn nothing_breaks_the_decoder(blocks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..64), 1..8)) {
            let mut decoder = Decoder::new(256);
            for block in blocks {
                let _ = read(&mut decoder, &block);
            }
        }
    }
}
