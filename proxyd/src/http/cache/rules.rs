//! What may be kept, for how long, and which requests it answers (RFC 9111 as far as the manual's chapter 6 has it).
//!
//! Invariant: nothing is kept that the answer's head forbids; in doubt a server is asked.

use super::Settings;
use crate::conv::time::parse_http_date;
use crate::http::message::Message;
use std::time::Instant;

/// Encodings a request may name before what it says is too much to be compared.
const ENCODINGS_MAX: usize = 16;

/// Which headers an answer varies on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Signature {
    /// `accept-encoding`.
    pub encoding: bool,
    /// `referer`.
    pub referer: bool,
    /// `origin`.
    pub origin: bool,
}

impl Signature {
    /// The answer is the same for all requests.
    pub fn is_none(self) -> bool {
        self == Self::default()
    }
}

/// What the headers that answers may vary on say. Of a request: encodings that it accepts. Of an answer: encodings
/// that it has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Variant {
    /// One bit for each of [`ENCODINGS`], then [`IDENTITY`], [`STAR`], [`OTHER`].
    pub encodings: u16,
    /// `referer`.
    pub referer: Option<Vec<u8>>,
    /// `origin`.
    pub origin: Option<Vec<u8>>,
}

/// Encodings that are known, by bit; `None` holds a place.
const ENCODINGS: [&[&str]; 8] = [
    &["gzip", "x-gzip"],
    &["deflate"],
    &["br"],
    &["zstd"],
    &["aes128gcm"],
    &["compress", "x-compress"],
    &["exi"],
    &["pack200-gzip"],
];
/// No encoding.
const IDENTITY: u16 = 1 << 8;
/// Anything.
const STAR: u16 = 1 << 9;
/// Something that is not known.
const OTHER: u16 = 1 << 10;

impl Variant {
    /// What a request says; `None` where it names too many encodings.
    pub fn of_request(request: &Message) -> Option<Self> {
        let joined = |name: &'static [u8]| request.first(name).map(<[u8]>::to_vec);
        Some(Self { encodings: accepted(request)?, referer: joined(b"referer"), origin: joined(b"origin") })
    }

    /// Whether this answer is one to a request that says `wish`.
    pub fn answers(&self, varies: Signature, wish: &Self) -> bool {
        let encoding = wish.encodings & STAR != 0 || self.encodings & !wish.encodings == 0;
        (!varies.encoding || encoding)
            && (!varies.referer || self.referer == wish.referer)
            && (!varies.origin || self.origin == wish.origin)
    }

    /// 16 digits of `show cache`.
    pub fn shown(&self) -> String {
        use std::hash::{DefaultHasher, Hash as _, Hasher as _};
        let hash = |text: &Option<Vec<u8>>| {
            let mut hasher = DefaultHasher::new();
            text.as_ref().map_or(0, |t| {
                t.hash(&mut hasher);
                hasher.finish() as u32
            })
        };
        let headers = hash(&self.referer) ^ hash(&self.origin).rotate_left(1);
        format!("{:04x}0000{headers:08x}", self.encodings.swap_bytes())
    }
}

fn bit(token: &str) -> u16 {
    if token == "identity" {
        return IDENTITY;
    }
    ENCODINGS.iter().position(|names| names.contains(&token)).map_or(OTHER, |at| 1 << at)
}

/// Encodings that a request accepts.
fn accepted(request: &Message) -> Option<u16> {
    let (mut bits, mut refused, mut count, mut any) = (0, 0, 0, false);
    for (_, value) in request.find(b"accept-encoding") {
        any = true;
        for item in String::from_utf8_lossy(value).to_ascii_lowercase().split(',') {
            let mut parts = item.split(';').map(str::trim);
            let token = parts.next().unwrap_or_default();
            if token.is_empty() {
                continue;
            }
            count += 1;
            let zero = |p: &str| {
                let digits = p.strip_prefix("q=").map(|q| q.trim_matches(['0', '.']));
                digits.is_some_and(str::is_empty)
            };
            let no = parts.any(zero);
            let of = if token == "*" { STAR } else { bit(token) };
            *(if no { &mut refused } else { &mut bits }) |= of;
        }
    }
    if !any {
        // Who says nothing takes anything.
        return Some(STAR | IDENTITY);
    }
    if count > ENCODINGS_MAX {
        return None;
    }
    if refused & IDENTITY == 0 {
        bits |= IDENTITY;
    }
    if bits & STAR != 0 && refused & !STAR != 0 {
        // All but those that were refused.
        bits = (bits | (IDENTITY - 1) | OTHER) & !(refused | STAR) | (bits & IDENTITY);
    }
    Some(bits)
}

/// Whether a request allows that an answer kept is used: `cache-control`, `pragma`.
pub fn may_use(request: &Message) -> bool {
    let mut directives = Directives::default();
    for (_, value) in request.find(b"cache-control") {
        directives.read(value);
    }
    let pragma = || request.find(b"pragma").any(|(_, v)| has_word(v, "no-cache"));
    let told = request.first(b"cache-control").is_some();
    !(directives.no_cache || directives.max_age == Some(0) || (!told && pragma()))
}

fn has_word(value: &[u8], word: &str) -> bool {
    value.split(|b| *b == b',').any(|p| String::from_utf8_lossy(p).trim().eq_ignore_ascii_case(word))
}

/// What `cache-control` says.
#[derive(Debug, Default)]
struct Directives {
    no_cache: bool,
    no_store: bool,
    private: bool,
    max_age: Option<u64>,
    shared_age: Option<u64>,
}

impl Directives {
    fn read(&mut self, value: &[u8]) {
        let text = String::from_utf8_lossy(value).to_ascii_lowercase();
        for item in text.split(',') {
            let (name, argument) = item.split_once('=').map_or((item, None), |(n, a)| (n, Some(a)));
            // What is no number counts as 0: nothing may be kept for it.
            let number = || {
                let digits = argument.unwrap_or_default().trim().trim_matches('"');
                Some(digits.parse().unwrap_or(0))
            };
            match name.trim() {
                "no-cache" => self.no_cache = true,
                "no-store" => self.no_store = true,
                "private" => self.private = true,
                "max-age" => self.max_age = number(),
                "s-maxage" => self.shared_age = number(),
                _ => {}
            }
        }
    }
}

/// An answer that may be kept.
#[derive(Debug)]
pub struct Kept {
    /// Which headers it varies on.
    pub varies: Signature,
    /// What those were.
    pub variant: Variant,
    /// Its age.
    pub age: u64,
    /// How much longer it is fresh, in seconds.
    pub fresh: u64,
    /// Its time for `if-modified-since`.
    pub modified: i64,
    /// Bytes of content that were announced.
    pub length: Option<usize>,
    /// Now.
    pub now: Instant,
}

/// Whether and how an answer to a `GET` may be kept; `wish` is what its request said.
pub fn judge(
    settings: &Settings,
    response: &Message,
    wish: Option<&Variant>,
    now: Instant,
    wall: i64,
) -> Option<Kept> {
    if response.status() != 200 {
        return None;
    }
    let length = match response.first(b"content-length") {
        Some(text) => Some(std::str::from_utf8(text).ok()?.trim().parse::<usize>().ok()?),
        None => None,
    };
    if length.is_some_and(|n| super::head_size(response) + n > settings.max_object) {
        return None;
    }
    let (varies, variant) = variant(settings, response, wish)?;
    let mut directives = Directives::default();
    response.find(b"cache-control").for_each(|(_, v)| directives.read(v));
    let forbids = directives.no_cache || directives.no_store || directives.private;
    if forbids || response.find(b"pragma").any(|(_, v)| has_word(v, "no-cache")) {
        return None;
    }
    if directives.max_age == Some(0) || directives.shared_age == Some(0) {
        return None;
    }
    let date = |name: &'static [u8]| response.first(name).map(parse_http_date);
    let told = directives.shared_age.or(directives.max_age);
    let lifetime = match (told, date(b"expires")) {
        (Some(age), _) => age,
        (None, Some(expires)) => u64::try_from(expires? - wall).ok()?,
        (None, None) if response.first(b"etag").is_some() || response.first(b"last-modified").is_some() => {
            settings.max_age
        }
        (None, None) => return None,
    };
    let age = match response.first(b"age") {
        Some(text) => std::str::from_utf8(text).ok()?.trim().parse::<u64>().ok()?,
        None => 0,
    };
    let fresh = lifetime.min(settings.max_age).checked_sub(age).filter(|s| *s > 0)?;
    let modified = date(b"last-modified").flatten().or(date(b"date").flatten()).unwrap_or(wall);
    Some(Kept { varies, variant, age, fresh, modified, length, now })
}

/// What an answer varies on; `None` where it can't be kept for that.
fn variant(settings: &Settings, response: &Message, wish: Option<&Variant>) -> Option<(Signature, Variant)> {
    let mut varies = Signature::default();
    let mut named = false;
    for (_, value) in response.find(b"vary") {
        named = true;
        for name in String::from_utf8_lossy(value).split(',') {
            match name.trim().to_ascii_lowercase().as_str() {
                "accept-encoding" => varies.encoding = true,
                "referer" => varies.referer = true,
                "origin" => varies.origin = true,
                _ => return None,
            }
        }
    }
    if !named {
        return Some((varies, Variant::default()));
    }
    let wish = wish.filter(|_| settings.process_vary)?;
    let mut variant = wish.clone();
    if varies.encoding {
        let mut bits = 0;
        for (_, value) in response.find(b"content-encoding") {
            for token in String::from_utf8_lossy(value).to_ascii_lowercase().split(',') {
                bits |= bit(token.trim());
            }
        }
        variant.encodings = if bits == 0 { IDENTITY } else { bits };
        // What the client can't read, or nobody knows, is no answer for others.
        let fits = variant.encodings & OTHER == 0
            && variant.answers(Signature { encoding: true, ..Signature::default() }, wish);
        if !fits {
            return None;
        }
    } else {
        variant.encodings = 0;
    }
    if !varies.referer {
        variant.referer = None;
    }
    if !varies.origin {
        variant.origin = None;
    }
    Some((varies, variant))
}

/// Whether a request that has an older copy may go on with it: `if-none-match`, else `if-modified-since`.
pub fn is_unchanged(request: &Message, response: &Message, modified: i64) -> bool {
    if request.first(b"if-none-match").is_some() {
        let Some(tag) = response.first(b"etag") else { return false };
        let opaque = |t: &[u8]| t.strip_prefix(b"W/").unwrap_or(t).to_vec();
        let tag = opaque(tag);
        return request.find(b"if-none-match").any(|(_, value)| {
            value.split(|b| *b == b',').map(<[u8]>::trim_ascii).any(|t| t == b"*" || opaque(t) == tag)
        });
    }
    let since = request.first(b"if-modified-since").and_then(parse_http_date);
    since.is_some_and(|since| modified <= since)
}
