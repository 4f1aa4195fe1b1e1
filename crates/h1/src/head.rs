//! The tokenizer: a head becomes ranges of the caller's buffer.
//!
//! The parser resumes at the line it stopped in, so that a head that arrives byte by byte costs no more than
//! its length times its longest line. Faults are told at the first byte that can't be right, before the line
//! or head is complete, as haproxy does.
//!
//! Absent on purpose: what a field means ([`crate::semantics`]).

use crate::token::{break_at, is_target_byte, is_version_byte, target_end, token_end};
use crate::{Fault, Options};

/// A range of bytes, relative to the message's first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Slice {
    /// First byte.
    pub start: u32,
    /// Length in bytes.
    pub len: u32,
}

impl Slice {
    fn new(start: usize, end: usize) -> Self {
        Self { start: start as u32, len: (end - start) as u32 }
    }

    /// The bytes it stands for.
    #[inline]
    pub fn of(self, buf: &[u8]) -> &[u8] {
        &buf[self.start as usize..(self.start + self.len) as usize]
    }

    /// One past its last byte.
    pub fn end(self) -> usize {
        (self.start + self.len) as usize
    }
}

/// One header field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Field {
    /// The name as received.
    pub name: Slice,
    /// The value without blanks around.
    pub value: Slice,
    /// The value was folded: every CR and LF in it stands for a blank.
    pub folded: bool,
}

/// Which way a head goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `GET / HTTP/1.1`.
    Request,
    /// `HTTP/1.1 200 OK`.
    Response,
}

/// A tokenised head. For a request `first` is the method and `second` the target; for a response `first` is
/// empty, `status` is set and `second` is the reason.
#[derive(Debug, Clone, Default)]
pub struct Head {
    /// Method of a request.
    pub first: Slice,
    /// Target of a request, reason of a response.
    pub second: Slice,
    /// Status of a response.
    pub status: u16,
    /// Protocol and version as received; empty for HTTP/0.9.
    pub version: Slice,
    /// Whether it counts as HTTP/1.1 (anything later is treated as 1.1).
    pub is_11: bool,
    /// Fields in order.
    pub fields: Vec<Field>,
    /// First byte of the start line: blank lines before it are skipped.
    pub start: usize,
    /// Bytes of the whole head, its final empty line and what was skipped included.
    pub len: usize,
}

/// How far a parser got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// More bytes are needed.
    Need,
    /// The head is complete; it took this many bytes.
    Done(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the start line: skips empty lines.
    Blank,
    Start,
    Fields,
    Done,
}

/// Resumable parser of one head after the other.
#[derive(Debug, Clone)]
pub struct HeadParser {
    kind: Kind,
    options: Options,
    state: State,
    /// Start of the line that is not complete yet.
    pos: usize,
    /// What was found so far.
    pub head: Head,
}

impl HeadParser {
    /// A parser of one direction.
    pub fn new(kind: Kind, options: Options) -> Self {
        Self { kind, options, state: State::Blank, pos: 0, head: Head::default() }
    }

    /// Changes what is taken, for the next head.
    pub fn set_options(&mut self, options: Options) {
        self.options = options;
    }

    /// Forgets the last head, keeps the memory.
    pub fn reset(&mut self) {
        self.state = State::Blank;
        self.pos = 0;
        self.head.fields.clear();
        self.head.start = 0;
        self.head.len = 0;
    }

    /// Whether no byte of a head has been seen but empty lines.
    pub fn is_idle(&self) -> bool {
        self.state == State::Blank
    }

    /// Goes on parsing; `buf` starts at the message's first byte each time and has grown since the last call.
    pub fn parse(&mut self, buf: &[u8]) -> Result<Progress, Fault> {
        if self.state == State::Blank {
            match self.skip_blank(buf)? {
                Some(()) => self.state = State::Start,
                None => return Ok(Progress::Need),
            }
        }
        if self.state == State::Start {
            match self.start_line(buf)? {
                Some(next) => {
                    self.pos = next;
                    self.state = State::Fields;
                    if self.head.version.len == 0 && self.kind == Kind::Request {
                        return Ok(self.done(next)); // HTTP/0.9 has a start line only
                    }
                }
                None => return Ok(Progress::Need),
            }
        }
        if self.state == State::Done {
            return Ok(Progress::Done(self.head.len));
        }
        self.fields(buf)
    }

    fn done(&mut self, len: usize) -> Progress {
        self.state = State::Done;
        self.head.len = len;
        Progress::Done(len)
    }

    fn skip_blank(&mut self, buf: &[u8]) -> Result<Option<()>, Fault> {
        loop {
            match buf.get(self.pos) {
                None => return Ok(None),
                Some(b'\n') => self.pos += 1,
                Some(b'\r') => match buf.get(self.pos + 1) {
                    None => return Ok(None),
                    Some(b'\n') => self.pos += 2,
                    Some(_) => return Err(Fault::Syntax(self.pos)),
                },
                Some(_) => {
                    self.head.start = self.pos;
                    return Ok(Some(()));
                }
            }
        }
    }

    fn start_line(&mut self, buf: &[u8]) -> Result<Option<usize>, Fault> {
        match self.kind {
            Kind::Request => self.request_line(buf),
            Kind::Response => self.status_line(buf),
        }
    }

    /// The start line in the form that nearly all have; `None` leaves it to those who look at all forms.
    #[inline]
    fn usual_request_line(&mut self, buf: &[u8]) -> Option<usize> {
        let start = self.pos;
        let method = token_end(buf, start).filter(|m| *m > start && buf[*m] == b' ')?;
        let target = target_end(buf, method + 1).filter(|t| *t > method + 1)?;
        if !buf.get(target..)?.starts_with(b" HTTP/1.1\r\n") {
            return None;
        }
        self.head.first = Slice::new(start, method);
        self.head.second = Slice::new(method + 1, target);
        self.head.version = Slice::new(target + 1, target + 9);
        self.head.is_11 = true;
        Some(target + 11)
    }

    fn request_line(&mut self, buf: &[u8]) -> Result<Option<usize>, Fault> {
        match self.usual_request_line(buf) {
            None => self.any_request_line(buf),
            next => Ok(next),
        }
    }

    fn any_request_line(&mut self, buf: &[u8]) -> Result<Option<usize>, Fault> {
        let mut i = self.pos;
        let Some(m) = token_end(buf, i) else { return Ok(None) };
        if m == i || !is_blank(buf[m]) {
            return Err(Fault::Syntax(m));
        }
        self.head.first = Slice::new(i, m);
        let Some(t) = run(buf, m, is_blank) else { return Ok(None) };
        let lenient = self.options.lenient;
        let target = |b: u8| is_target_byte(b) || (lenient && (b == b'#' || b >= 0x80));
        let Some(e) = run(buf, t, target) else { return Ok(None) };
        if e == t {
            return Err(Fault::Syntax(e));
        }
        self.head.second = Slice::new(t, e);
        if !is_blank(buf[e]) {
            if !matches!(buf[e], b'\r' | b'\n') {
                return Err(Fault::Syntax(e));
            }
            return self.short_line(buf, e);
        }
        let Some(v) = run(buf, e, is_blank) else { return Ok(None) };
        i = v;
        let Some(end) = run(buf, i, is_version_byte) else { return Ok(None) };
        let Some(next) = line_end(buf, end)? else { return Ok(None) };
        self.version(buf, v, end)?;
        Ok(Some(next))
    }

    /// `GET /` alone: HTTP/0.9, for the lenient only.
    fn short_line(&mut self, buf: &[u8], end: usize) -> Result<Option<usize>, Fault> {
        let Some(next) = line_end(buf, end)? else { return Ok(None) };
        if !self.options.lenient || self.head.first.of(buf) != b"GET" {
            return Err(Fault::Syntax(end));
        }
        self.head.version = Slice::new(end, end);
        self.head.is_11 = false;
        Ok(Some(next))
    }

    fn version(&mut self, buf: &[u8], start: usize, end: usize) -> Result<(), Fault> {
        let v = &buf[start..end];
        let exact = v.len() == 8
            && v.starts_with(b"HTTP/")
            && v[5].is_ascii_digit()
            && v[6] == b'.'
            && v[7].is_ascii_digit();
        if !exact && (self.kind == Kind::Request && !self.options.lenient || v.is_empty()) {
            return Err(Fault::Syntax(start));
        }
        self.head.version = Slice::new(start, end);
        self.head.is_11 = v.len() == 8 && (v[5] > b'1' || (v[5] == b'1' && v[7] >= b'1'));
        Ok(())
    }

    /// The same of a status line.
    #[inline]
    fn usual_status_line(&mut self, buf: &[u8]) -> Option<usize> {
        let start = self.pos;
        let (begin, reason) = buf.get(start..)?.split_first_chunk::<13>()?;
        let &[b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'1', b' ', a, b, c, b' '] = begin else {
            return None;
        };
        let digit = |b: u8| Some(u16::from(b.wrapping_sub(b'0'))).filter(|d| *d < 10);
        let status = digit(a)? * 100 + digit(b)? * 10 + digit(c)?;
        if reason.first().is_none_or(|b| is_blank(*b)) {
            return None;
        }
        let end = break_at(buf, start + 13)?;
        if buf.get(end..end + 2)? != b"\r\n" {
            return None;
        }
        self.head.version = Slice::new(start, start + 8);
        self.head.is_11 = true;
        self.head.status = status;
        self.head.second = Slice::new(start + 13, end);
        Some(end + 2)
    }

    fn status_line(&mut self, buf: &[u8]) -> Result<Option<usize>, Fault> {
        match self.usual_status_line(buf) {
            None => self.any_status_line(buf),
            next => Ok(next),
        }
    }

    fn any_status_line(&mut self, buf: &[u8]) -> Result<Option<usize>, Fault> {
        let i = self.pos;
        let Some(v) = run(buf, i, is_version_byte) else { return Ok(None) };
        if !is_blank(buf[v]) {
            return Err(Fault::Syntax(v));
        }
        let Some(s) = run(buf, v, is_blank) else { return Ok(None) };
        let Some(e) = run(buf, s, |b| b.is_ascii_digit()) else { return Ok(None) };
        if e == s || e - s > MAX_STATUS_DIGITS || !matches!(buf[e], b' ' | b'\t' | b'\r' | b'\n') {
            return Err(Fault::Syntax(e));
        }
        let Some(r) = run(buf, e, is_blank) else { return Ok(None) };
        let Some(at) = memchr::memchr2(b'\r', b'\n', &buf[r..]) else { return Ok(None) };
        let Some(next) = line_end(buf, r + at)? else { return Ok(None) };
        self.version(buf, i, v)?;
        self.head.status =
            buf[s..e].iter().fold(0u16, |n, d| n.wrapping_mul(10).wrapping_add(u16::from(d - b'0')));
        self.head.second = Slice::new(r, r + at);
        Ok(Some(next))
    }

    fn fields(&mut self, buf: &[u8]) -> Result<Progress, Fault> {
        loop {
            let i = self.pos;
            match buf.get(i) {
                None => return Ok(Progress::Need),
                Some(b'\n') => return Ok(self.done(i + 1)),
                Some(b'\r') => match buf.get(i + 1) {
                    None => return Ok(Progress::Need),
                    Some(b'\n') => return Ok(self.done(i + 2)),
                    Some(_) => return Err(Fault::Syntax(i)),
                },
                Some(_) => {}
            }
            let found = match usual_field(buf, i) {
                None => field(buf, i, self.options.lenient)?,
                usual => usual,
            };
            match found {
                None => return Ok(Progress::Need),
                Some((field, next)) => {
                    if self.head.fields.len() >= self.options.max_fields {
                        return Err(Fault::TooManyFields);
                    }
                    self.head.fields.push(field);
                    self.pos = next;
                }
            }
        }
    }
}

/// A status has at most this many digits; more can't be kept in a `u16`.
const MAX_STATUS_DIGITS: usize = 4;

/// A field in the form that nearly all have: a token, a colon, a blank at most, a value without blanks around, CRLF,
/// and a line that does not go on with it. `None` leaves it to [`field`], which looks at all forms.
#[inline]
fn usual_field(buf: &[u8], start: usize) -> Option<(Field, usize)> {
    let colon = token_end(buf, start).filter(|c| *c > start && buf[*c] == b':')?;
    let value = colon + 1 + usize::from(buf.get(colon + 1) == Some(&b' '));
    let end = break_at(buf, value)?;
    let &[b'\r', b'\n', next] = buf.get(end..)?.first_chunk::<3>()? else { return None };
    let text = &buf[value..end];
    if is_blank(next)
        || text.first().is_some_and(|b| is_blank(*b))
        || text.last().is_some_and(|b| is_blank(*b))
    {
        return None;
    }
    let field = Field { name: Slice::new(start, colon), value: Slice::new(value, end), folded: false };
    Some((field, end + 2))
}

/// One field with its folded lines, and where the next line starts.
fn field(buf: &[u8], start: usize, lenient: bool) -> Result<Option<(Field, usize)>, Fault> {
    let Some(mut colon) = token_end(buf, start) else { return Ok(None) };
    if buf[colon] != b':' {
        if !lenient || matches!(buf[colon], b'\r' | b'\n' | 0) {
            return Err(Fault::Syntax(colon));
        }
        let Some(c) = run(buf, colon, |b| !matches!(b, b':' | b'\r' | b'\n' | 0)) else { return Ok(None) };
        if buf[c] != b':' {
            return Err(Fault::Syntax(c));
        }
        colon = c;
    }
    if colon == start {
        return Err(Fault::Syntax(start));
    }
    let mut value = colon + 1;
    while matches!(buf.get(value), Some(b' ' | b'\t')) {
        value += 1;
    }
    let (mut line, mut folded) = (value, false);
    let (end, next) = loop {
        let Some(at) = memchr::memchr2(b'\r', b'\n', &buf[line..]) else { return Ok(None) };
        let Some(next) = line_end(buf, line + at)? else { return Ok(None) };
        match buf.get(next) {
            None => return Ok(None), // the next line may go on with this one
            Some(b' ' | b'\t') => (line, folded) = (next, true),
            Some(_) => break (line + at, next),
        }
    };
    let (value, end) = trimmed(buf, value, end, folded);
    Ok(Some((Field { name: Slice::new(start, colon), value: Slice::new(value, end), folded }, next)))
}

fn trimmed(buf: &[u8], mut start: usize, mut end: usize, folded: bool) -> (usize, usize) {
    let blank = |b: u8| is_blank(b) || (folded && matches!(b, b'\r' | b'\n'));
    while end > start && blank(buf[end - 1]) {
        end -= 1;
    }
    while start < end && blank(buf[start]) {
        start += 1;
    }
    (start, end)
}

fn is_blank(b: u8) -> bool {
    b == b' ' || b == b'\t'
}

/// The first byte from `start` on that is not of a class; `None` when the buffer ends before.
#[inline]
fn run(buf: &[u8], start: usize, class: impl Fn(u8) -> bool) -> Option<usize> {
    buf[start..].iter().position(|b| !class(*b)).map(|n| start + n)
}

/// Takes CRLF or LF at `at`; `None` when more bytes are needed.
#[inline]
fn line_end(buf: &[u8], at: usize) -> Result<Option<usize>, Fault> {
    match buf.get(at) {
        None => Ok(None),
        Some(b'\n') => Ok(Some(at + 1)),
        Some(b'\r') => match buf.get(at + 1) {
            None => Ok(None),
            Some(b'\n') => Ok(Some(at + 2)),
            Some(_) => Err(Fault::Syntax(at)),
        },
        Some(_) => Err(Fault::Syntax(at)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All texts of these bytes up to a length, behind a begin.
    fn texts(begin: &[u8], bytes: &[u8], most: usize) -> Vec<Vec<u8>> {
        let (mut all, mut last) = (Vec::new(), vec![begin.to_vec()]);
        for _ in 0..=most {
            let next = last.iter().flat_map(|t| bytes.iter().map(|b| [t, &[*b][..]].concat())).collect();
            all.extend(std::mem::replace(&mut last, next));
        }
        all
    }

    #[test]
    fn the_usual_form_of_a_field_is_one_of_all_forms() {
        let mut usual = 0;
        for begin in [&b""[..], b"a:", b"Host: a b", b"X:\r\n"] {
            for text in texts(begin, b"aZ: \t\r\n", 6) {
                let Some(found) = usual_field(&text, 0) else { continue };
                usual += 1;
                for lenient in [false, true] {
                    assert_eq!(field(&text, 0, lenient), Ok(Some(found)), "{text:?}");
                }
            }
        }
        assert!(usual > 100, "{usual}");
    }

    type Reads = fn(&mut HeadParser, &[u8]) -> Result<Option<usize>, Fault>;

    /// Compares two readers of a start line on a text with each byte replaced by each of many.
    fn same(kind: Kind, text: &[u8], usual: Reads, any: Reads) {
        for (at, b) in (0..text.len()).flat_map(|at| (0..=255).map(move |b| (at, b))) {
            let mut text = text.to_vec();
            text[at] = b;
            for (end, lenient) in [text.len(), at].into_iter().flat_map(|end| [(end, false), (end, true)]) {
                let parsers = [usual, any].map(|read| {
                    let mut parser = HeadParser::new(kind, Options { lenient, ..Options::default() });
                    let next = read(&mut parser, &text[..end]);
                    let head = parser.head;
                    (
                        next,
                        next.ok()
                            .flatten()
                            .map(|_| (head.first, head.second, head.status, head.version, head.is_11)),
                    )
                });
                assert_eq!(parsers[0], parsers[1], "{text:?}");
            }
        }
    }

    #[test]
    fn the_usual_form_of_a_start_line_is_one_of_all_forms() {
        for text in
            ["GET /a?b HTTP/1.1\r\nA", "OPTIONS  *\tHTTP/1.1\r\n", "GET /0123456 HTTP/1.0\n", "GET /\r\n"]
        {
            same(Kind::Request, text.as_bytes(), HeadParser::request_line, HeadParser::any_request_line);
        }
        for text in ["HTTP/1.1 200 OK\r\nA", "HTTP/1.1 204 \r\n", "HTTP/1.1 304\r\n", "HTTP/1.1 200  Fine\n"]
        {
            same(Kind::Response, text.as_bytes(), HeadParser::status_line, HeadParser::any_status_line);
        }
    }
}
