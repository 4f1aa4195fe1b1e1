//! `compression`: which answers are compressed, and how their heads and bodies change.
//!
//! Invariant: a body that is compressed is sent in chunks, and its head says so before its first byte; what can't be
//! told apart from a compressed body is left alone.
//!
//! Absent on purpose: limits of CPU and rate (`maxcompcpuusage`, `maxcomprate`), and requests (`algo-req`).

use crate::config::model::Compression;
use crate::http::message::Message;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use std::io::Write;

/// What is done to bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// Nothing; the answer is changed as if it were compressed, but for `Content-Encoding`.
    Identity,
    /// RFC 1952.
    Gzip,
    /// RFC 1950.
    Deflate,
    /// RFC 1951 without the head that RFC 1950 adds.
    RawDeflate,
}

/// Name in the file, name on the wire, algorithm.
const ALGORITHMS: [(&str, &str, Algorithm); 4] = [
    ("identity", "identity", Algorithm::Identity),
    ("gzip", "gzip", Algorithm::Gzip),
    ("deflate", "deflate", Algorithm::Deflate),
    ("raw-deflate", "deflate", Algorithm::RawDeflate),
];

impl Algorithm {
    fn named(name: &str) -> Option<(&'static str, Self)> {
        ALGORITHMS.iter().find(|(n, _, _)| *n == name).map(|(_, wire, a)| (*wire, *a))
    }

    /// The name on the wire.
    pub fn token(self) -> &'static str {
        ALGORITHMS.iter().find(|(_, _, a)| *a == self).map_or("identity", |(_, wire, _)| wire)
    }
}

/// The algorithm that a request asks for: of those configured, the one with the highest quality, the client's first
/// one where several are equal. Takes `Accept-Encoding` away where servers shall not compress.
pub fn wanted(settings: &Compression, request: &mut Message) -> Option<Algorithm> {
    if old_browser(request.first(b"user-agent").unwrap_or_default()) {
        return None;
    }
    let known: Vec<_> = settings.algorithms.iter().filter_map(|n| Algorithm::named(n)).collect();
    let mut best: Option<(u32, Algorithm)> = None;
    for (_, value) in request.find(b"accept-encoding") {
        for item in value.split(|b| *b == b',') {
            let text = String::from_utf8_lossy(item).trim().to_ascii_lowercase();
            let mut parts = text.split(';').map(str::trim);
            let token = parts.next().unwrap_or_default();
            let quality = parts.find_map(|p| p.strip_prefix("q=")).map_or(1000, quality);
            // Of several that fit any encoding, haproxy takes the one named last.
            let hit = known.iter().rev().find(|(wire, _)| *wire == token || token == "*");
            if let Some((_, algorithm)) = hit
                && quality > best.map_or(0, |(q, _)| q)
            {
                best = Some((quality, *algorithm));
            }
        }
    }
    // Identity needs no consent.
    let none = known.iter().find(|(_, a)| *a == Algorithm::Identity && best.is_none());
    let chosen = best.map(|(_, a)| a).or(none.map(|(_, a)| *a));
    if settings.offload {
        request.remove(b"accept-encoding");
    }
    chosen
}

/// `0.5` as thousandths.
fn quality(text: &str) -> u32 {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits: String = part.chars().chain("000".chars()).take(3).collect();
    whole.parse::<u32>().unwrap_or(0).min(1) * 1000 + digits.parse::<u32>().unwrap_or(0)
}

/// `Mozilla/4` but not an Internet Explorer that can: 6 of XP SP2, or a later one.
fn old_browser(agent: &[u8]) -> bool {
    let text = String::from_utf8_lossy(agent);
    if !text.starts_with("Mozilla/4") {
        return false;
    }
    let Some((_, rest)) = text.split_once("MSIE ") else { return true };
    match rest.bytes().next() {
        Some(b'6') => !rest.contains("SV1"),
        Some(b'0'..=b'5') | None => true,
        Some(_) => false,
    }
}

/// Whether this answer may be compressed; says so in its head when it is.
pub fn begin(settings: &Compression, algorithm: Algorithm, response: &mut Message, framed: bool) -> bool {
    if !framed
        || response.version < (1, 1)
        || !matches!(response.status(), 200..=203)
        || response.first(b"content-encoding").is_some()
        || has_word(response, b"cache-control", "no-transform")
    {
        return false;
    }
    let kind = response.first(b"content-type").map(|v| String::from_utf8_lossy(v).to_ascii_lowercase());
    let fits = match &kind {
        Some(kind) if kind.starts_with("multipart") => false,
        Some(kind) => {
            settings.types.is_empty()
                || settings.types.iter().any(|t| {
                    kind.strip_prefix(&t.to_ascii_lowercase())
                        .is_some_and(|rest| rest.is_empty() || rest.starts_with(';') || rest.starts_with(' '))
                })
        }
        None => settings.types.is_empty(),
    };
    let tags: Vec<Vec<u8>> = response.find(b"etag").map(|(_, v)| v.to_vec()).collect();
    let tag = match tags.as_slice() {
        [] => None,
        [one] if is_tag(one) => Some(one.clone()),
        _ => return false,
    };
    if !fits {
        return false;
    }
    if let Some(tag) = tag.filter(|t| !t.starts_with(b"W/")) {
        response.set(b"etag", &[b"W/", &tag[..]].concat());
    }
    response.remove(b"content-length");
    response.remove(b"transfer-encoding");
    response.add(b"transfer-encoding", b"chunked");
    response.add(b"vary", b"Accept-Encoding");
    if algorithm != Algorithm::Identity {
        response.add(b"content-encoding", algorithm.token().as_bytes());
    }
    true
}

fn has_word(message: &Message, name: &[u8], word: &str) -> bool {
    message.find(name).any(|(_, v)| {
        v.split(|b| *b == b',').any(|p| String::from_utf8_lossy(p).trim().eq_ignore_ascii_case(word))
    })
}

fn is_tag(value: &[u8]) -> bool {
    let opaque = value.strip_prefix(b"W/").unwrap_or(value);
    opaque.len() >= 2 && opaque.starts_with(b"\"") && opaque.ends_with(b"\"")
}

/// A compressor; what it makes is taken out in between.
#[derive(Debug)]
pub struct Encoder {
    kind: Kind,
    /// Something was taken that is not pushed out yet.
    fresh: bool,
    /// Bytes that went in.
    pub taken: u64,
    /// Bytes that came out.
    pub made: u64,
}

#[derive(Debug)]
enum Kind {
    Gzip(GzEncoder<Vec<u8>>),
    Deflate(ZlibEncoder<Vec<u8>>),
    Raw(DeflateEncoder<Vec<u8>>),
    /// Nothing is done, but in chunks.
    Plain(Vec<u8>),
}

impl Encoder {
    /// One of level `level`, 1 to 9.
    pub fn new(algorithm: Algorithm, level: u32) -> Box<Self> {
        let level = flate2::Compression::new(level.clamp(1, 9));
        let kind = match algorithm {
            Algorithm::Identity => Kind::Plain(Vec::new()),
            Algorithm::Gzip => Kind::Gzip(GzEncoder::new(Vec::new(), level)),
            Algorithm::Deflate => Kind::Deflate(ZlibEncoder::new(Vec::new(), level)),
            Algorithm::RawDeflate => Kind::Raw(DeflateEncoder::new(Vec::new(), level)),
        };
        Box::new(Self { kind, fresh: false, taken: 0, made: 0 })
    }

    /// Takes content. Writing to memory can't fail.
    pub fn take(&mut self, content: &[u8]) {
        self.taken += content.len() as u64;
        self.fresh = true;
        let _ = match &mut self.kind {
            Kind::Gzip(e) => e.write_all(content),
            Kind::Deflate(e) => e.write_all(content),
            Kind::Raw(e) => e.write_all(content),
            Kind::Plain(e) => e.write_all(content),
        };
    }

    /// Appends what was made as a chunk; all of it, up to the end of the stream, with `last`.
    pub fn give(&mut self, last: bool, out: &mut Vec<u8>) {
        if !self.fresh && !last {
            return;
        }
        self.fresh = false;
        let _ = match (&mut self.kind, last) {
            (Kind::Gzip(e), true) => e.try_finish(),
            (Kind::Gzip(e), false) => e.flush(),
            (Kind::Deflate(e), true) => e.try_finish(),
            (Kind::Deflate(e), false) => e.flush(),
            (Kind::Raw(e), true) => e.try_finish(),
            (Kind::Raw(e), false) => e.flush(),
            (Kind::Plain(_), _) => Ok(()),
        };
        let made = match &mut self.kind {
            Kind::Gzip(e) => e.get_mut(),
            Kind::Deflate(e) => e.get_mut(),
            Kind::Raw(e) => e.get_mut(),
            Kind::Plain(made) => made,
        };
        if !made.is_empty() {
            self.made += made.len() as u64;
            h1::emit::chunk_size(out, made.len() as u64);
            out.append(made);
            out.extend_from_slice(b"\r\n");
        }
        if last {
            out.extend_from_slice(b"0\r\n\r\n");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::fixture::request;
    use std::io::Read;

    fn settings(algorithms: &[&str]) -> Compression {
        let algorithms = algorithms.iter().map(|a| (*a).to_owned()).collect();
        Compression { algorithms, types: vec!["text/plain".into()], offload: false }
    }

    #[test]
    fn the_clients_best_is_taken() {
        let cases = [
            ("gzip", &["gzip", "deflate"][..], Some(Algorithm::Gzip)),
            ("deflate, gzip", &["gzip", "deflate"], Some(Algorithm::Deflate)),
            ("deflate;q=0.5, gzip;q=0.8", &["gzip", "deflate"], Some(Algorithm::Gzip)),
            ("gzip;q=0", &["gzip"], None),
            ("br", &["gzip"], None),
            ("*", &["gzip"], Some(Algorithm::Gzip)),
            ("deflate", &["raw-deflate"], Some(Algorithm::RawDeflate)),
            ("*", &["gzip", "deflate"], Some(Algorithm::Deflate)),
            ("br", &["gzip", "identity"], Some(Algorithm::Identity)),
            ("gzip", &["gzip", "identity"], Some(Algorithm::Gzip)),
        ];
        for (header, algorithms, expected) in cases {
            let mut m = request(&format!("GET / HTTP/1.1\naccept-encoding: {header}"));
            assert_eq!(wanted(&settings(algorithms), &mut m), expected, "{header}");
        }
    }

    #[test]
    fn old_browsers_are_left_alone() {
        assert!(old_browser(b"Mozilla/4.0 (compatible; MSIE 5.5)"));
        assert!(old_browser(b"Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1)"));
        assert!(!old_browser(b"Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1; SV1)"));
        assert!(!old_browser(b"Mozilla/4.0 (compatible; MSIE 7.0)"));
        assert!(!old_browser(b"Mozilla/5.0"));
    }

    #[test]
    fn chunks_hold_a_stream_that_can_be_read() {
        let mut encoder = Encoder::new(Algorithm::Gzip, 1);
        let mut wire = Vec::new();
        for part in ["hello ", "world ", "again"] {
            encoder.take(part.as_bytes());
            encoder.give(false, &mut wire);
        }
        encoder.give(true, &mut wire);
        let (mut body, mut at, mut content) = (h1::Body::new(h1::Framing::Chunked), 0, Vec::new());
        while !body.is_end() {
            at += match body.next(&wire[at..], true).expect("chunks") {
                h1::Part::Data { take } => {
                    content.extend_from_slice(&wire[at..at + take]);
                    take
                }
                h1::Part::Plain { take } | h1::Part::Size { take, .. } | h1::Part::Crlf { take } => take,
                other => panic!("{other:?}"),
            };
        }
        let mut text = String::new();
        flate2::read::GzDecoder::new(&content[..]).read_to_string(&mut text).expect("gzip");
        assert_eq!(text, "hello world again");
    }
}
