//! Scripts of steps on a stream: haproxy's `tcp-check` and `http-check` rules, plain TCP checks, and the protocol
//! presets of `preset.rs`.
//!
//! Invariant: step numbers in descriptions count as haproxy counts them (from 1, comments included, the connection
//! that was not asked for excluded).
//!
//! Absent on purpose: sample expressions; whoever builds a script resolves variables, [`Text`] covers what messages
//! take from a reply.

use std::net::SocketAddr;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::http::{Reader, Request, Response};
pub use super::number::Number;
use super::number::slice;
use super::preset;
use super::{Clock, Effect, Fault, Input, Link, Probe, REPLY_MAX, fault_outcome};
use crate::outcome::{Cause, Outcome, Status};
use crate::{Carrier, ProxyHeader, Row, Spec};

/// The row of this family.
pub const ROW: Row = Row {
    name: "steps",
    haproxy: &[
        "check",
        "option tcp-check",
        "option httpchk",
        "option ssl-hello-chk",
        "option smtpchk",
        "option pgsql-check",
        "option redis-check",
        "option mysql-check",
        "option ldap-check",
        "option spop-check",
    ],
    keepalived: &["TCP_CHECK"],
    carrier: Carrier::Stream,
};

/// A script.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Script {
    /// What users called it; decides wordings only.
    pub flavour: Flavour,
    /// The steps; a connection is made first unless the first is a [`Action::Connect`].
    pub steps: Vec<Step>,
    /// `http-check disable-on-404`.
    #[serde(default)]
    pub disable_on_404: bool,
}

/// How a script was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Flavour {
    /// `check` alone.
    Plain,
    /// `option tcp-check`: failures name the step.
    TcpCheck,
    /// `option httpchk`.
    HttpCheck,
    /// A protocol preset.
    Preset,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// What is done.
    pub action: Action,
    /// `comment`.
    #[serde(default)]
    pub comment: Option<String>,
}

impl From<Action> for Step {
    fn from(action: Action) -> Self {
        Self { action, comment: None }
    }
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// A new connection.
    Connect(Connect),
    /// Bytes.
    Send(Vec<u8>),
    /// An HTTP request.
    SendHttp(Request),
    /// Wait for a reply and judge it.
    Expect(Box<Expect>),
    /// A `comment` line.
    Comment,
}

/// `tcp-check connect`, `http-check connect`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connect {
    /// `addr`.
    #[serde(default)]
    pub address: Option<SocketAddr>,
    /// `port`.
    #[serde(default)]
    pub port: Option<u16>,
    /// `linger`: the connection ends in the regular way.
    #[serde(default)]
    pub linger: bool,
    /// What the connection takes of the check's own settings.
    #[serde(default)]
    pub transport: Transport,
}

/// TLS and PROXY header of a connect step.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Transport {
    /// As the check says (`default`, and connections nobody asked for).
    #[default]
    Inherited,
    /// As the step says (`ssl`, `sni`, `alpn`, `send-proxy`).
    Own {
        /// TLS.
        tls: Option<Box<tls::client::Options>>,
        /// PROXY header.
        proxy_header: Option<ProxyHeader>,
        /// Through the server's SOCKS proxy (`via-socks4`).
        #[serde(default)]
        via_relay: bool,
    },
}

/// `expect`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expect {
    /// What is looked for.
    pub pattern: Pattern,
    /// `!`.
    #[serde(default)]
    pub negate: bool,
    /// `min-recv`; 0 = none.
    #[serde(default)]
    pub min_recv: usize,
    /// `ok-status`.
    #[serde(default)]
    pub ok_status: Option<Status>,
    /// `error-status`.
    #[serde(default)]
    pub error_status: Option<Status>,
    /// `tout-status`.
    #[serde(default)]
    pub timeout_status: Option<Status>,
    /// `on-success`.
    #[serde(default)]
    pub on_success: Option<Text>,
    /// `on-error`.
    #[serde(default)]
    pub on_error: Option<Text>,
    /// `status-code`.
    #[serde(default)]
    pub status_code: Option<Number>,
}

impl Expect {
    /// Without any option.
    pub fn new(pattern: Pattern) -> Self {
        Self {
            pattern,
            negate: false,
            min_recv: 0,
            ok_status: None,
            error_status: None,
            timeout_status: None,
            on_success: None,
            on_error: None,
            status_code: None,
        }
    }
}

/// What `expect` looks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Pattern {
    /// `string`.
    String(Vec<u8>),
    /// `rstring` (PCRE2).
    Regex(String),
    /// `binary`.
    Binary(Vec<u8>),
    /// `rbinary`: a regular expression over the upper-case hexadecimal form.
    BinaryRegex(String),
    /// `status`: inclusive ranges.
    HttpStatus(Vec<(u16, u16)>),
    /// `rstatus`.
    HttpStatusRegex(String),
    /// `hdr`, `fhdr`.
    HttpHeader(HeaderMatch),
    /// `string` over a body.
    HttpBody(Vec<u8>),
    /// `rstring` over a body.
    HttpBodyRegex(String),
    /// A preset's own test.
    Preset(preset::Test),
}

/// `hdr`/`fhdr [name [-m M] N] [value [-m M] V]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeaderMatch {
    /// Name and how it is compared.
    pub name: (Comparison, String),
    /// Value and how it is compared; `None` = any.
    pub value: Option<(Comparison, String)>,
    /// `fhdr`: the value as a whole, not its comma-separated parts.
    pub full: bool,
}

/// `-m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Comparison {
    /// `str`.
    Equal,
    /// `beg`.
    Begin,
    /// `end`.
    End,
    /// `sub`.
    Contains,
    /// `reg`.
    Regex,
}

/// A text made of a reply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Text(pub Vec<Part>);

/// A part of a [`Text`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Part {
    /// As it is.
    Literal(String),
    /// `%[status]`, `%[res.status]`.
    HttpStatus,
    /// `%[check.payload(offset,length)]`; length 0 = to the end.
    Payload {
        /// First byte.
        offset: usize,
        /// How many.
        length: usize,
        /// `cut_crlf`.
        cut_line: bool,
        /// `ltrim(' ')`.
        trim: bool,
    },
}

impl Script {
    /// Nothing but a connection.
    pub fn connect_only() -> Self {
        Self { flavour: Flavour::Plain, steps: Vec::new(), disable_on_404: false }
    }
}

/// What to do with an expectation so far.
enum Verdict {
    Match,
    Mismatch,
    More,
}

/// The core.
#[derive(Debug)]
pub struct Core {
    script: Script,
    spec: Spec,
    clock: Clock,
    next: usize,
    connected: bool,
    handshake: bool,
    /// The connection that was made last speaks TLS.
    secure: bool,
    sent_or_expected: bool,
    comment: Option<String>,
    buffer: Vec<u8>,
    eof: bool,
    reader: Option<Reader>,
    head_request: bool,
    code: i64,
    success: Option<Outcome>,
    waiting_for_connect: bool,
}

impl Core {
    /// A core for a check with a script.
    pub fn new(spec: &Spec, script: &Script) -> Self {
        Self {
            script: script.clone(),
            spec: spec.clone(),
            clock: Clock::new(spec),
            next: 0,
            connected: false,
            handshake: false,
            secure: false,
            sent_or_expected: false,
            comment: None,
            buffer: Vec::new(),
            eof: false,
            reader: None,
            head_request: false,
            code: 0,
            success: None,
            waiting_for_connect: false,
        }
    }

    fn connect(&mut self, now: Instant, connect: &Connect, out: &mut Vec<Effect>) {
        let mut link = Link::of(&self.spec);
        if let Transport::Own { tls, proxy_header, via_relay } = &connect.transport {
            link.tls = tls.as_deref().cloned();
            link.proxy_header = *proxy_header;
            link.relay = self.spec.relay.filter(|_| *via_relay);
        }
        self.secure = link.tls.is_some();
        link.address = connect.address;
        link.port = connect.port;
        link.reset &= !connect.linger;
        let follows = self.script.steps.get(self.next).map(|s| &s.action);
        link.silent = matches!(follows, None | Some(Action::Connect(_)));
        self.handshake = false;
        self.buffer.clear();
        self.reader = None;
        self.eof = false;
        self.waiting_for_connect = true;
        self.clock.connecting(now);
        out.push(Effect::Connect(link));
    }

    /// Runs steps until one has to wait.
    fn proceed(&mut self, now: Instant, out: &mut Vec<Effect>) {
        while let Some(step) = self.script.steps.get(self.next) {
            let step = step.clone();
            match &step.action {
                Action::Connect(connect) => {
                    self.next += 1;
                    self.comment = step.comment;
                    self.connect(now, connect, out);
                    return;
                }
                Action::Comment => self.comment.clone_from(&step.comment),
                Action::Send(bytes) => {
                    self.sent_or_expected = true;
                    self.buffer.clear();
                    out.push(Effect::Send(bytes.clone()));
                }
                Action::SendHttp(request) => {
                    self.sent_or_expected = true;
                    self.head_request = request.method == "HEAD";
                    self.reader = Some(Reader::new(self.head_request));
                    self.buffer.clear();
                    out.push(Effect::Send(request.bytes()));
                }
                Action::Expect(expect) => {
                    self.sent_or_expected = true;
                    if !self.expect(expect, step.comment.as_deref(), out) {
                        return;
                    }
                }
            }
            self.next += 1;
        }
        out.push(Effect::Done(self.final_outcome()));
    }

    fn final_outcome(&mut self) -> Outcome {
        if let Some(outcome) = self.success.take() {
            return outcome;
        }
        let status = match (self.sent_or_expected, self.secure) {
            (true, _) => Status::L7Ok,
            (false, true) => Status::L6Ok,
            (false, false) => Status::L4Ok,
        };
        let outcome = Outcome::passed(status).coded(self.code);
        let is_connect = |s: &Step| matches!(s.action, Action::Connect(_));
        let did_something = self.sent_or_expected || self.script.steps.iter().any(is_connect);
        let wordy = self.script.flavour == Flavour::TcpCheck && did_something;
        if wordy { outcome.described("(tcp-check)") } else { outcome }
    }

    /// Judges an expectation; true = go on with the next step.
    fn expect(&mut self, expect: &Expect, comment: Option<&str>, out: &mut Vec<Effect>) -> bool {
        let last = self.eof || self.buffer.len() >= REPLY_MAX;
        if let Pattern::Preset(test) = &expect.pattern {
            return match test.judge(&self.buffer, last) {
                preset::Judgement::More => false,
                preset::Judgement::Pass(outcome) => {
                    self.code = outcome.code;
                    self.success = Some(self.dress(expect, outcome, true));
                    true
                }
                preset::Judgement::Fail(outcome) => {
                    let outcome = if self.buffer.is_empty() { self.empty(expect) } else { outcome };
                    out.push(Effect::Done(outcome));
                    false
                }
            };
        }
        let verdict = match &expect.pattern {
            Pattern::HttpStatus(_) | Pattern::HttpStatusRegex(_) | Pattern::HttpHeader(_) => {
                match self.http_head(expect, out) {
                    Some(verdict) => verdict,
                    None => return false,
                }
            }
            Pattern::HttpBody(_) | Pattern::HttpBodyRegex(_) => match self.http_body(expect, out) {
                Some(verdict) => verdict,
                None => return false,
            },
            _ => {
                if self.buffer.is_empty() && self.eof {
                    out.push(Effect::Done(self.empty(expect)));
                    return false;
                }
                self.raw(expect, last)
            }
        };
        match verdict {
            Verdict::More => false,
            Verdict::Match => {
                let base = self.passed(expect);
                self.success = Some(self.dress(expect, base, true));
                true
            }
            Verdict::Mismatch => {
                let failed = self.mismatch(expect, comment);
                out.push(Effect::Done(failed));
                false
            }
        }
    }

    fn raw(&self, expect: &Expect, last: bool) -> Verdict {
        if self.buffer.is_empty() || (self.buffer.len() < expect.min_recv && !last) {
            return Verdict::More;
        }
        let found = match &expect.pattern {
            Pattern::String(needle) | Pattern::Binary(needle) => {
                if self.buffer.len() < needle.len() && !last {
                    return Verdict::More;
                }
                contains(&self.buffer, needle)
            }
            Pattern::Regex(pattern) => matches(pattern, &self.buffer),
            Pattern::BinaryRegex(pattern) => matches(pattern, hex(&self.buffer).as_bytes()),
            _ => false,
        };
        match (found, expect.negate) {
            (true, false) => Verdict::Match,
            (true, true) => Verdict::Mismatch,
            // More may come; only with min-recv is the absence of a match already conclusive.
            (false, _) if !last && expect.min_recv == 0 => Verdict::More,
            (false, true) => Verdict::Match,
            (false, false) => Verdict::Mismatch,
        }
    }

    /// Feeds the HTTP reader; `None` = not decided yet, or decided and reported.
    fn response(&mut self, out: &mut Vec<Effect>) -> Option<&Response> {
        let head = self.head_request;
        let reader = self.reader.get_or_insert_with(|| Reader::new(head));
        reader.feed(&std::mem::take(&mut self.buffer), self.eof);
        if let Some(fault) = reader.fault() {
            let outcome = Outcome::new(Status::L7Response, Cause::Protocol(fault.to_owned()));
            out.push(Effect::Done(outcome));
            return None;
        }
        self.reader.as_ref().and_then(Reader::response)
    }

    fn http_head(&mut self, expect: &Expect, out: &mut Vec<Effect>) -> Option<Verdict> {
        let response = self.response(out)?;
        let found = match &expect.pattern {
            Pattern::HttpStatus(ranges) => ranges.iter().any(|(a, b)| (*a..=*b).contains(&response.status)),
            Pattern::HttpStatusRegex(pattern) => {
                matches(pattern, format!("{:03}", response.status).as_bytes())
            }
            Pattern::HttpHeader(wanted) => wanted.found_in(response),
            _ => false,
        };
        Some(if found ^ expect.negate { Verdict::Match } else { Verdict::Mismatch })
    }

    fn http_body(&mut self, expect: &Expect, out: &mut Vec<Effect>) -> Option<Verdict> {
        self.response(out)?;
        let reader = self.reader.as_ref()?;
        let whole = reader.is_complete();
        // Where there is no body, nothing can be said of what is in it, not even that it is not there.
        if reader.body().is_empty() {
            return Some(if whole { Verdict::Mismatch } else { Verdict::More });
        }
        let found = match &expect.pattern {
            Pattern::HttpBody(needle) => contains(reader.body(), needle),
            Pattern::HttpBodyRegex(pattern) => matches(pattern, reader.body()),
            _ => false,
        };
        Some(match (found, expect.negate, whole) {
            (true, negate, _) => {
                if negate {
                    Verdict::Mismatch
                } else {
                    Verdict::Match
                }
            }
            (false, true, true) => Verdict::Match,
            (false, false, true) => Verdict::Mismatch,
            (false, _, false) => Verdict::More,
        })
    }

    fn passed(&mut self, expect: &Expect) -> Outcome {
        if let Some(response) = self.reader.as_ref().and_then(Reader::response) {
            self.code = i64::from(response.status);
        }
        let status = expect.ok_status.unwrap_or(Status::L7Ok);
        let outcome = Outcome::passed(status).coded(self.code);
        if self.script.flavour == Flavour::TcpCheck { outcome.described("(tcp-check)") } else { outcome }
    }

    /// Applies `on-success`/`on-error` and `status-code`.
    fn dress(&mut self, expect: &Expect, mut outcome: Outcome, success: bool) -> Outcome {
        let bytes = self.payload();
        let text = if success { &expect.on_success } else { &expect.on_error };
        if let Some(text) = text {
            let text = text.render(&bytes, outcome.code);
            outcome = outcome.described(text);
        }
        self.number(expect, outcome)
    }

    /// Applies `status-code`.
    fn number(&mut self, expect: &Expect, outcome: Outcome) -> Outcome {
        let Some(number) = &expect.status_code else { return outcome };
        self.code = number.read(&self.payload());
        outcome.coded(self.code)
    }

    fn payload(&self) -> Vec<u8> {
        self.reader.as_ref().map_or_else(|| self.buffer.clone(), |r| r.body().to_vec())
    }

    fn empty(&self, expect: &Expect) -> Outcome {
        let status = expect.error_status.unwrap_or(Status::L7Response);
        Outcome::new(status, Cause::Protocol("empty response".into()))
            .described(format!("TCPCHK got an empty response at step {}", self.next + 1))
    }

    fn mismatch(&mut self, expect: &Expect, comment: Option<&str>) -> Outcome {
        let response = self.reader.as_ref().and_then(Reader::response).cloned();
        let is_status = matches!(
            expect.pattern,
            Pattern::HttpStatus(_) | Pattern::HttpStatusRegex(_) | Pattern::HttpHeader(_)
        );
        let code = response.as_ref().map_or(0, |r| i64::from(r.status));
        if is_status && self.script.disable_on_404 && code == 404 {
            return Outcome::passed(Status::L7OkConditional).coded(404);
        }
        let comment = comment.or(self.comment.as_deref()).map(str::to_owned);
        let default = if is_status { Status::L7Status } else { Status::L7Response };
        let cause = match &response {
            Some(r) if is_status => Cause::HttpStatus(r.status),
            _ => Cause::Protocol("no match".into()),
        };
        let outcome = Outcome::new(expect.error_status.unwrap_or(default), cause).coded(code);
        if expect.on_error.is_some() {
            return self.dress(expect, outcome, false);
        }
        let mut text = match (&response, is_status) {
            (Some(r), true) => r.reason.clone(),
            _ => self.mismatch_text(expect),
        };
        if let Some(comment) = comment {
            text.push_str(&format!(" comment: {comment}"));
        }
        let outcome = outcome.described(text);
        self.number(expect, outcome)
    }

    fn mismatch_text(&self, expect: &Expect) -> String {
        let word = if expect.negate { "matched unwanted content" } else { "did not match content" };
        match &expect.pattern {
            Pattern::HttpBody(_) | Pattern::HttpBodyRegex(_) => {
                match (self.payload().is_empty(), expect.negate) {
                    (true, _) => "HTTP content check could not find a response body",
                    (false, true) => "HTTP check matched unwanted content",
                    (false, false) => "HTTP content check did not match",
                }
                .to_owned()
            }
            pattern => {
                let what = match pattern {
                    Pattern::String(s) => format!("'{}'", latin1(s)),
                    Pattern::Regex(_) => "(regex)".to_owned(),
                    Pattern::Binary(_) => "(binary)".to_owned(),
                    _ => "(binary regex)".to_owned(),
                };
                format!("TCPCHK {word} {what} at step {}", self.next + 1)
            }
        }
    }

    /// ` at step N of tcp-check (…)`, for failures of the connection itself.
    fn place(&self) -> String {
        if self.script.flavour != Flavour::TcpCheck {
            return String::new();
        }
        // While a connect step is under way `next` already points behind it.
        let index = if self.waiting_for_connect { self.next.checked_sub(1) } else { Some(self.next) };
        let step = index.and_then(|i| self.script.steps.get(i).map(|s| (i + 1, s)));
        let mut text = match step {
            None => " at initial connection step of tcp-check".to_owned(),
            Some((number, step)) => {
                let what = match &step.action {
                    Action::Connect(Connect { port: Some(port), .. }) => format!(" (connect port {port})"),
                    Action::Connect(_) => " (connect)".to_owned(),
                    Action::Send(_) | Action::SendHttp(_) => " (send)".to_owned(),
                    Action::Comment => String::new(),
                    Action::Expect(expect) => match &expect.pattern {
                        Pattern::String(s) => format!(" (expect string '{}')", latin1(s)),
                        Pattern::Binary(s) => format!(" (expect binary '{}')", latin1(s)),
                        Pattern::Regex(_) => " (expect regex)".to_owned(),
                        Pattern::BinaryRegex(_) => " (expect binary regex)".to_owned(),
                        _ => " (expect)".to_owned(),
                    },
                };
                format!(" at step {number} of tcp-check{what}")
            }
        };
        let own = step.and_then(|(_, s)| s.comment.clone());
        if let Some(comment) = own.or_else(|| self.comment.clone()) {
            text.push_str(&format!(" comment: '{comment}'"));
        }
        text
    }

    fn timeout(&self) -> Outcome {
        let (status, cause) = match (self.waiting_for_connect, self.handshake) {
            (true, false) => (Status::L4Timeout, Cause::ConnectTimeout),
            (true, true) => (Status::L6Timeout, Cause::ConnectTimeout),
            (false, _) => {
                let own = match self.script.steps.get(self.next).map(|s| &s.action) {
                    Some(Action::Expect(expect)) => expect.timeout_status,
                    _ => None,
                };
                (own.unwrap_or(Status::L7Timeout), Cause::ReplyTimeout)
            }
        };
        Outcome::new(status, cause).described(self.place())
    }
}

impl Probe for Core {
    fn handle(&mut self, now: Instant, input: Input<'_>, out: &mut Vec<Effect>) {
        match input {
            Input::Start => {
                if matches!(self.script.steps.first().map(|s| &s.action), Some(Action::Connect(_))) {
                    self.proceed(now, out);
                } else {
                    self.connect(now, &Connect::default(), out);
                }
            }
            Input::Connected => {
                self.waiting_for_connect = false;
                self.connected = true;
                self.clock.connected(now);
                self.proceed(now, out);
            }
            Input::Failed(fault) => {
                let suffix = self.place();
                let later = !self.waiting_for_connect && !matches!(fault, Fault::Connect(_));
                out.push(Effect::Done(fault_outcome(&fault, later, &suffix)));
            }
            Input::Data(bytes) => {
                let room = REPLY_MAX.saturating_sub(self.buffer.len());
                self.buffer.extend_from_slice(&bytes[..bytes.len().min(room)]);
                self.proceed(now, out);
            }
            Input::Closed => {
                self.eof = true;
                self.proceed(now, out);
            }
            Input::Timeout => out.push(Effect::Done(self.timeout())),
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.clock.deadline()
    }

    fn in_handshake(&mut self) {
        self.handshake = true;
    }
}

impl HeaderMatch {
    fn found_in(&self, response: &Response) -> bool {
        response.headers.iter().any(|(name, value)| {
            if !self.name.0.holds(&name.to_ascii_lowercase(), &self.name.1.to_ascii_lowercase()) {
                return false;
            }
            let Some((comparison, wanted)) = &self.value else { return true };
            if self.full {
                comparison.holds(value, wanted)
            } else {
                value.split(',').any(|part| comparison.holds(part.trim(), wanted))
            }
        })
    }
}

impl Comparison {
    fn holds(self, text: &str, wanted: &str) -> bool {
        match self {
            Self::Equal => text == wanted,
            Self::Begin => text.starts_with(wanted),
            Self::End => text.ends_with(wanted),
            Self::Contains => text.contains(wanted),
            Self::Regex => matches(wanted, text.as_bytes()),
        }
    }
}

impl Text {
    fn render(&self, payload: &[u8], code: i64) -> String {
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Literal(s) => text.push_str(s),
                Part::HttpStatus => text.push_str(&code.to_string()),
                Part::Payload { offset, length, cut_line, trim } => {
                    let bytes = slice(payload, *offset, *length);
                    let bytes = bytes.split(|b| *b == 0).next().unwrap_or_default();
                    let mut piece = latin1(bytes);
                    if *cut_line && let Some(end) = piece.find(['\r', '\n']) {
                        piece.truncate(end);
                    }
                    text.push_str(if *trim { piece.trim_start_matches(' ') } else { &piece });
                }
            }
        }
        text
    }
}

/// Bytes as text, one character a byte.
pub(crate) fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|b| char::from(*b)).collect()
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        text.push_str(&format!("{byte:02X}"));
    }
    text
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    needle.is_empty() || haystack.windows(needle.len()).any(|w| w == needle)
}

/// Whether a pattern matches; a broken pattern or one that exceeds the library's match limit does not.
pub(crate) fn matches(pattern: &str, subject: &[u8]) -> bool {
    pcre2::bytes::RegexBuilder::new().build(pattern).is_ok_and(|r| r.is_match(subject).unwrap_or(false))
}

#[cfg(test)]
mod tests;
