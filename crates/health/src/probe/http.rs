//! HTTP of checks: the request a check sends, a bounded reader of responses, and keepalived's `HTTP_GET`/`SSL_GET`.
//!
//! Invariant: the head of a response is at most [`HEAD_MAX`] bytes and what is kept of a body at most
//! [`super::REPLY_MAX`]; longer bodies are read on (for a digest) but not kept.
//!
//! Absent on purpose: requests other than a check's, keep-alive, HTTP/2.

use std::time::{Duration, Instant};

use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};

use super::steps::latin1;
use super::{Clock, Effect, Fault, Input, Link, Probe, REPLY_MAX, fault_outcome};
use crate::outcome::{Cause, Outcome, Status};
use crate::{Carrier, Row, Spec};

/// The row of `HTTP_GET`; haproxy's HTTP checks are scripts of `steps.rs`.
pub const ROW: Row =
    Row { name: "get", haproxy: &[], keepalived: &["HTTP_GET", "SSL_GET"], carrier: Carrier::Stream };

/// Longest head of a response: haproxy's buffer.
pub const HEAD_MAX: usize = 16 << 10;

/// Most that is read of a body nobody looks at.
const UNWATCHED_BODY_MAX: u64 = 64 << 10;

/// A GET that trickles may take this many times its timeout in all.
const TOTAL_FACTOR: u32 = 10;

/// A request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Method.
    pub method: String,
    /// Target.
    pub uri: String,
    /// `HTTP/1.0` or `HTTP/1.1`.
    pub version: String,
    /// Headers in order, without what [`Request::bytes`] adds.
    pub headers: Vec<(String, String)>,
    /// Body.
    #[serde(default)]
    pub body: Vec<u8>,
}

impl Default for Request {
    /// `option httpchk` without arguments.
    fn default() -> Self {
        Self {
            method: "OPTIONS".into(),
            uri: "/".into(),
            version: "HTTP/1.0".into(),
            headers: Vec::new(),
            body: Vec::new(),
        }
    }
}

impl Request {
    /// On the wire, as haproxy writes it: names in lower case, `content-length` where there is a body,
    /// `connection: close` with HTTP/1.1.
    pub fn bytes(&self) -> Vec<u8> {
        let mut text = format!("{} {} {}\r\n", self.method, self.uri, self.version).into_bytes();
        let mut connection = false;
        let mut held = None;
        for (name, value) in &self.headers {
            let name = name.to_ascii_lowercase();
            if name == "connection" {
                connection = true;
                held = Some(format!("connection: {value}\r\n"));
            } else if name != "content-length" {
                text.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
            }
        }
        if !self.body.is_empty() {
            text.extend_from_slice(format!("content-length: {}\r\n", self.body.len()).as_bytes());
        }
        if let Some(line) = held {
            text.extend_from_slice(line.as_bytes());
        }
        if !connection && self.version == "HTTP/1.1" {
            text.extend_from_slice(b"connection: close\r\n");
        }
        text.extend_from_slice(b"\r\n");
        text.extend_from_slice(&self.body);
        text
    }
}

/// The head of a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// Status.
    pub status: u16,
    /// Reason.
    pub reason: String,
    /// Headers in order, values trimmed.
    pub headers: Vec<(String, String)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Frame {
    Head,
    Length(u64),
    UntilClose,
    ChunkSize,
    ChunkData(u64),
    ChunkEnd,
    Trailers,
    Done,
}

/// An incremental reader of one response.
#[derive(Debug)]
pub struct Reader {
    head: Vec<u8>,
    /// The head once it is whole, as it came.
    raw_head: Vec<u8>,
    response: Option<Response>,
    body: Vec<u8>,
    frame: Frame,
    line: Vec<u8>,
    no_body: bool,
    fault: Option<&'static str>,
    body_total: u64,
    /// Content-Length and what came, where the server closed before.
    short: Option<(u64, u64)>,
}

impl Reader {
    /// A reader; a response to HEAD has no body.
    pub fn new(head_request: bool) -> Self {
        Self {
            head: Vec::new(),
            raw_head: Vec::new(),
            response: None,
            body: Vec::new(),
            frame: Frame::Head,
            line: Vec::new(),
            no_body: head_request,
            fault: None,
            body_total: 0,
            short: None,
        }
    }

    /// Takes bytes; `eof` when no more will come.
    pub fn feed(&mut self, bytes: &[u8], eof: bool) {
        self.feed_with(bytes, eof, &mut |_| {});
    }

    /// As [`Reader::feed`], passing each piece of the body on as it comes.
    pub fn feed_with(&mut self, mut bytes: &[u8], eof: bool, body: &mut dyn FnMut(&[u8])) {
        while !bytes.is_empty() && self.fault.is_none() && self.frame != Frame::Done {
            let used = match self.frame {
                Frame::Head => self.take_head(bytes),
                Frame::Length(left) => {
                    let n = left.min(bytes.len() as u64) as usize;
                    self.keep(&bytes[..n], body);
                    let left = left - n as u64;
                    self.frame = if left == 0 { Frame::Done } else { Frame::Length(left) };
                    n
                }
                Frame::UntilClose => {
                    self.keep(bytes, body);
                    bytes.len()
                }
                Frame::ChunkData(left) => {
                    let n = left.min(bytes.len() as u64) as usize;
                    self.keep(&bytes[..n], body);
                    let left = left - n as u64;
                    self.frame = if left == 0 { Frame::ChunkEnd } else { Frame::ChunkData(left) };
                    n
                }
                Frame::ChunkSize | Frame::ChunkEnd | Frame::Trailers => self.take_line(bytes),
                Frame::Done => 0,
            };
            bytes = &bytes[used..];
        }
        if eof && self.fault.is_none() && self.frame != Frame::Done {
            if let Frame::Length(left) = self.frame {
                self.short = Some((self.body_total + left, self.body_total));
            }
            if self.response.is_none() {
                self.fault = Some("connection closed before a response");
            }
            self.frame = Frame::Done;
        }
    }

    fn keep(&mut self, piece: &[u8], body: &mut dyn FnMut(&[u8])) {
        self.body_total += piece.len() as u64;
        let room = REPLY_MAX.saturating_sub(self.body.len());
        self.body.extend_from_slice(&piece[..piece.len().min(room)]);
        body(piece);
    }

    fn take_head(&mut self, bytes: &[u8]) -> usize {
        let before = self.head.len();
        let room = (HEAD_MAX - before).min(bytes.len());
        self.head.extend_from_slice(&bytes[..room]);
        if before < 5 && !b"HTTP/".starts_with(&self.head[..self.head.len().min(5)]) {
            self.fault = Some("not HTTP");
            return room;
        }
        let Some(end) = head_end(&self.head, before.saturating_sub(3)) else {
            if self.head.len() >= HEAD_MAX {
                self.fault = Some("headers too long");
            }
            return room;
        };
        let used = end - before;
        let Some(response) = parse_head(&self.head[..end]) else {
            self.fault = Some("invalid head");
            return room;
        };
        self.raw_head = std::mem::take(&mut self.head);
        if (100..200).contains(&response.status) && response.status != 101 {
            return used;
        }
        self.frame = self.framing(&response);
        self.response = Some(response);
        used
    }

    fn framing(&mut self, response: &Response) -> Frame {
        if self.no_body || matches!(response.status, 204 | 304) {
            return Frame::Done;
        }
        let find = |n: &str| response.headers.iter().rev().find(|(name, _)| name.eq_ignore_ascii_case(n));
        if let Some((_, coding)) = find("transfer-encoding")
            && coding.to_ascii_lowercase().ends_with("chunked")
        {
            return Frame::ChunkSize;
        }
        match find("content-length").map(|(_, v)| v.parse::<u64>()) {
            None => Frame::UntilClose,
            Some(Ok(0)) => Frame::Done,
            Some(Ok(n)) => Frame::Length(n),
            Some(Err(_)) => {
                self.fault = Some("invalid content-length");
                Frame::Done
            }
        }
    }

    /// Longest chunk-size or trailer line.
    const LINE_MAX: usize = 1024;

    fn take_line(&mut self, bytes: &[u8]) -> usize {
        let Some(end) = bytes.iter().position(|b| *b == b'\n') else {
            if self.line.len() + bytes.len() > Self::LINE_MAX {
                self.fault = Some("chunk line too long");
            } else {
                self.line.extend_from_slice(bytes);
            }
            return bytes.len();
        };
        if self.line.len() + end > Self::LINE_MAX {
            self.fault = Some("chunk line too long");
            return end + 1;
        }
        self.line.extend_from_slice(&bytes[..end]);
        let line = std::mem::take(&mut self.line);
        let line = line.strip_suffix(b"\r").unwrap_or(&line);
        self.frame = match self.frame {
            Frame::ChunkEnd if line.is_empty() => Frame::ChunkSize,
            Frame::Trailers if line.is_empty() => Frame::Done,
            Frame::Trailers => Frame::Trailers,
            Frame::ChunkSize => {
                let digits = line.split(|b| matches!(b, b';' | b' ' | b'\t')).next().unwrap_or_default();
                match std::str::from_utf8(digits).ok().and_then(|d| u64::from_str_radix(d, 16).ok()) {
                    Some(0) => Frame::Trailers,
                    Some(n) => Frame::ChunkData(n),
                    None => {
                        self.fault = Some("invalid chunk size");
                        Frame::Done
                    }
                }
            }
            other => {
                self.fault = Some("invalid chunk");
                other
            }
        };
        end + 1
    }

    /// The head, once it is there.
    pub fn response(&self) -> Option<&Response> {
        self.response.as_ref()
    }

    /// What was kept of the body.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Whether the response has ended (or no more of it can be kept).
    pub fn is_complete(&self) -> bool {
        self.frame == Frame::Done || self.body.len() >= REPLY_MAX
    }

    /// Why the response can't be read.
    pub fn fault(&self) -> Option<&'static str> {
        self.fault
    }
}

/// One past the empty line that ends a head.
fn head_end(head: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    while let Some(n) = head[at..].iter().position(|b| *b == b'\n') {
        at += n + 1;
        match &head[at..] {
            [b'\n', ..] => return Some(at + 1),
            [b'\r', b'\n', ..] => return Some(at + 2),
            _ => {}
        }
    }
    None
}

fn parse_head(head: &[u8]) -> Option<Response> {
    let mut lines = head.split(|b| *b == b'\n').map(|l| l.strip_suffix(b"\r").unwrap_or(l));
    let first = lines.next()?;
    let rest = first.strip_prefix(b"HTTP/")?;
    let space = rest.iter().position(|b| *b == b' ')?;
    let (version, rest) = rest.split_at(space);
    let dot = version.iter().position(|b| *b == b'.')?;
    if !version[..dot].iter().chain(&version[dot + 1..]).all(u8::is_ascii_digit) {
        return None;
    }
    let rest = rest.trim_ascii_start();
    let digits = rest.get(..3).filter(|d| d.iter().all(u8::is_ascii_digit))?;
    if !matches!(rest.get(3), None | Some(b' ')) {
        return None;
    }
    let status = digits.iter().fold(0u16, |n, d| n * 10 + u16::from(d - b'0'));
    let reason = latin1(rest.get(4..).unwrap_or_default());
    let mut headers: Vec<(String, String)> = Vec::new();
    for line in lines {
        if line.is_empty() {
            break;
        }
        if matches!(line.first(), Some(b' ' | b'\t')) {
            let (_, value) = headers.last_mut()?;
            value.push(' ');
            value.push_str(latin1(line).trim());
            continue;
        }
        let colon = line.iter().position(|b| *b == b':')?;
        headers.push((latin1(&line[..colon]), latin1(&line[colon + 1..]).trim().to_owned()));
    }
    Some(Response { status, reason, headers })
}

/// One URL of `HTTP_GET`/`SSL_GET`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Get {
    /// The request line and headers, ready.
    pub request: Vec<u8>,
    /// Wanted status ranges; empty = none is looked at.
    pub status: Vec<(u16, u16)>,
    /// Wanted MD5 of the body.
    #[serde(default)]
    pub digest: Option<[u8; 16]>,
    /// Wanted match of the body.
    #[serde(default)]
    pub regex: Option<BodyRegex>,
    /// Whether a TLS close without close_notify is a failure.
    #[serde(default)]
    pub strict_close: bool,
}

/// `regex` of a URL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BodyRegex {
    /// Pattern.
    pub pattern: String,
    /// `regex_no_match`.
    #[serde(default)]
    pub negate: bool,
    /// `regex_options`, PCRE2's words in lower case.
    #[serde(default)]
    pub options: Vec<String>,
    /// `regex_min_offset`.
    #[serde(default)]
    pub min_offset: usize,
    /// `regex_max_offset`; `None` = no limit.
    #[serde(default)]
    pub max_offset: Option<usize>,
}

/// `regex_options` that are written into the pattern, PCRE2's way.
const PREFIXES: [(&str, &str); 6] = [
    ("no_auto_possessify", "(*NO_AUTO_POSSESS)"),
    ("no_dotstar_anchor", "(*NO_DOTSTAR_ANCHOR)"),
    ("no_start_optimize", "(*NO_START_OPT)"),
    ("ungreedy", "(?U)"),
    ("dupnames", "(?J)"),
    ("no_auto_capture", "(?n)"),
];

/// `regex_options` that change neither what matches nor where.
const WITHOUT_EFFECT: [&str; 8] = [
    "allow_empty_class",
    "alt_verbnames",
    "auto_callout",
    "never_backslash_c",
    "never_ucp",
    "never_utf",
    "no_utf_check",
    "use_offset_limit",
];

/// `regex_options` that are carried out.
const CARRIED_OUT: [&str; 7] = ["caseless", "dotall", "extended", "firstline", "multiline", "ucp", "utf"];

/// Whether a word of `regex_options` is one we carry out, or one that needs no carrying out.
pub fn regex_option_is_known(word: &str) -> bool {
    CARRIED_OUT.contains(&word)
        || WITHOUT_EFFECT.contains(&word)
        || PREFIXES.iter().any(|(name, _)| *name == word)
}

impl BodyRegex {
    /// Compiles the pattern.
    ///
    /// # Errors
    /// Where it is wrong, and PCRE2's words for it.
    pub fn compile(&self) -> Result<pcre2::bytes::Regex, (usize, String)> {
        let has = |word: &str| self.options.iter().any(|o| o == word);
        let pattern =
            PREFIXES.iter().filter(|(name, _)| has(name)).fold(String::new(), |p, (_, text)| p + text);
        pcre2::bytes::RegexBuilder::new()
            .caseless(has("caseless"))
            .dotall(has("dotall"))
            .extended(has("extended"))
            .multi_line(has("multiline"))
            .ucp(has("ucp"))
            .utf(has("utf"))
            .build(&format!("{pattern}{}", self.pattern))
            .map_err(|e| {
                let text = e.to_string();
                let text = text.rsplit_once(": ").map_or(text.clone(), |(_, t)| t.to_owned());
                (e.offset().unwrap_or(0).saturating_sub(pattern.len()), text)
            })
    }

    /// Whether the pattern is found within the offsets.
    fn found(&self, regex: &pcre2::bytes::Regex, subject: &[u8]) -> bool {
        let Some(rest) = subject.get(self.min_offset..) else { return false };
        let Ok(Some(found)) = regex.find(rest) else { return false };
        let before = &rest[..found.start()];
        let in_first_line = !self.options.iter().any(|o| o == "firstline") || !before.contains(&b'\n');
        in_first_line && self.max_offset.is_none_or(|max| self.min_offset + found.start() <= max)
    }

    /// Whether a response passes. keepalived looks at the body alone when it came apart from the head, and at both
    /// when they came in one piece; a server that passes either way is not told off for how its reply was cut.
    fn holds(&self, head: &[u8], body: &[u8]) -> bool {
        let Ok(regex) = self.compile() else { return false };
        if self.negate {
            return !self.found(&regex, body);
        }
        self.found(&regex, body) || self.found(&regex, &[head, body].concat())
    }
}

/// The core of a GET.
pub struct GetCore {
    get: Get,
    link: Link,
    clock: Clock,
    timeout: Duration,
    end: Option<Instant>,
    read_deadline: Option<Instant>,
    reader: Reader,
    digest: Md5,
    connected: bool,
    handshake: bool,
}

impl std::fmt::Debug for GetCore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GetCore").field("get", &self.get).finish_non_exhaustive()
    }
}

impl GetCore {
    /// A core for one URL.
    pub fn new(spec: &Spec, get: &Get) -> Self {
        Self {
            get: get.clone(),
            link: Link::of(spec),
            clock: Clock::new(spec),
            timeout: spec.exchange_timeout.unwrap_or(spec.connect_timeout),
            end: None,
            read_deadline: None,
            reader: Reader::new(get.request.starts_with(b"HEAD ")),
            digest: Md5::new(),
            connected: false,
            handshake: false,
        }
    }

    fn body_is_watched(&self) -> bool {
        self.get.digest.is_some() || self.get.regex.is_some()
    }

    fn feed(&mut self, bytes: &[u8], eof: bool, out: &mut Vec<Effect>) {
        let digest = &mut self.digest;
        self.reader.feed_with(bytes, eof, &mut |piece| digest.update(piece));
        let enough = !self.body_is_watched() && self.reader.body_total > UNWATCHED_BODY_MAX;
        if let Some(fault) = self.reader.fault() {
            // What answers something else than HTTP has the status 0; what says nothing at all has none.
            let cause = match (eof, self.reader.head.is_empty()) {
                (true, true) => Cause::Protocol(fault.to_owned()),
                _ => Cause::HttpStatus(0),
            };
            out.push(Effect::Done(Outcome::new(Status::L7Response, cause).described(fault)));
        } else if self.reader.frame == Frame::Done || enough {
            let outcome = self.judge();
            out.push(Effect::Done(outcome));
        }
    }

    fn judge(&mut self) -> Outcome {
        let status = self.reader.response().map_or(0, |r| r.status);
        let code = i64::from(status);
        let wanted = &self.get.status;
        if !wanted.is_empty() && !wanted.iter().any(|(a, b)| (*a..=*b).contains(&status)) {
            let reason = self.reader.response().map(|r| r.reason.clone()).unwrap_or_default();
            return Outcome::new(Status::L7Status, Cause::HttpStatus(status)).coded(code).described(reason);
        }
        if let Some(wanted) = self.get.digest {
            let found: [u8; 16] = self.digest.finalize_reset().into();
            if found != wanted {
                return Outcome::new(Status::L7Response, Cause::Digest(found))
                    .coded(code)
                    .described("MD5 digest mismatch");
            }
        }
        if let Some(regex) = &self.get.regex
            && !regex.holds(&self.reader.raw_head, self.reader.body())
        {
            return Outcome::new(Status::L7Response, Cause::Regex).coded(code).described("regex mismatch");
        }
        let outcome = Outcome::passed(Status::L7Ok).coded(code);
        match self.reader.short {
            // keepalived's words; its owner logs them once.
            Some((said, came)) => {
                outcome.described(format!("content_length ({said}) does not match received bytes ({came})"))
            }
            None => outcome,
        }
    }
}

impl Probe for GetCore {
    fn handle(&mut self, now: Instant, input: Input<'_>, out: &mut Vec<Effect>) {
        match input {
            Input::Start => {
                self.clock.connecting(now);
                out.push(Effect::Connect(self.link.clone()));
            }
            Input::Connected => {
                self.connected = true;
                self.end = Some(now + self.timeout * TOTAL_FACTOR);
                self.read_deadline = Some(now + self.timeout);
                out.push(Effect::Send(self.get.request.clone()));
            }
            Input::Failed(Fault::Io(text))
                if self.connected && !self.get.strict_close && self.reader.response.is_some() =>
            {
                // A server that closes TLS without saying so, or resets after its last byte.
                let _ = text;
                self.feed(&[], true, out);
            }
            Input::Failed(fault) => out.push(Effect::Done(fault_outcome(&fault, self.connected, ""))),
            Input::Data(bytes) => {
                self.read_deadline = Some(now + self.timeout);
                self.feed(bytes, false, out);
            }
            Input::Closed => self.feed(&[], true, out),
            Input::Timeout => {
                let (status, cause) = match (self.connected, self.handshake) {
                    (true, _) => (Status::L7Timeout, Cause::ReplyTimeout),
                    (false, true) => (Status::L6Timeout, Cause::ConnectTimeout),
                    (false, false) => (Status::L4Timeout, Cause::ConnectTimeout),
                };
                out.push(Effect::Done(Outcome::new(status, cause)));
            }
        }
    }

    fn deadline(&self) -> Option<Instant> {
        match (self.read_deadline, self.end) {
            (Some(read), Some(end)) => Some(read.min(end)),
            _ => self.clock.deadline(),
        }
    }

    fn in_handshake(&mut self) {
        self.handshake = true;
    }
}

#[cfg(test)]
mod tests;
