//! A small reader of one whole response, for clients that look at answers rather than forward them.
//!
//! Bodies are decoded and kept up to a limit; interim answers are skipped. A response without a length ends
//! with the connection.
//!
//! Absent on purpose: pipelining, trailers, upgrades.

use crate::body::{Body, Part};
use crate::head::{HeadParser, Kind, Progress};
use crate::semantics::{self, Method};
use crate::{Fault, Options};

/// How far a response is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// The head is not complete.
    Head,
    /// The head is there, the body is not complete.
    Body,
    /// All is there.
    Complete,
}

/// A response that is being read.
#[derive(Debug, Clone)]
pub struct Reply {
    parser: HeadParser,
    method: Method,
    raw: Vec<u8>,
    used: usize,
    body: Option<Body>,
    content: Vec<u8>,
    /// Bytes kept of head and body, each.
    limit: usize,
}

impl Reply {
    /// Reads the answer to a request with `method`; `limit` bounds the head, and what is kept of the body.
    pub fn new(method: Method, options: Options, limit: usize) -> Self {
        Self {
            parser: HeadParser::new(Kind::Response, options),
            method,
            raw: Vec::new(),
            used: 0,
            body: None,
            content: Vec::new(),
            limit,
        }
    }

    /// Takes more bytes; `eof` says that none will follow.
    pub fn feed(&mut self, bytes: &[u8], eof: bool) -> Result<State, Fault> {
        self.raw.extend_from_slice(bytes);
        while self.body.is_none() {
            match self.parser.parse(&self.raw[self.used..])? {
                Progress::Done(len) => {
                    let head = &self.parser.head;
                    let info = semantics::response(head, &self.raw[self.used..], self.method, false)?;
                    if info.interim {
                        self.raw.drain(..self.used + len);
                        self.parser.reset();
                        continue;
                    }
                    self.body = Some(Body::new(info.framing));
                    self.used += len;
                }
                Progress::Need if self.raw.len() > self.limit => return Err(Fault::TooLarge),
                Progress::Need if eof => return Err(Fault::Truncated),
                Progress::Need => return Ok(State::Head),
            }
        }
        self.walk(eof)
    }

    fn walk(&mut self, eof: bool) -> Result<State, Fault> {
        let Some(body) = &mut self.body else { return Ok(State::Head) };
        let head = self.parser.head.len;
        let state = loop {
            let rest = &self.raw[self.used..];
            match body.next(rest, eof)? {
                Part::Need => break State::Body,
                Part::End => break State::Complete,
                Part::Data { take } => {
                    let room = self.limit.saturating_sub(self.content.len());
                    self.content.extend_from_slice(&rest[..take.min(room)]);
                    self.used += take;
                }
                Part::Plain { take }
                | Part::Size { take, .. }
                | Part::Crlf { take }
                | Part::Trailer { take, .. } => self.used += take,
            }
        };
        // The head stays for the getters; what was walked over goes.
        self.raw.drain(head..self.used);
        self.used = head;
        if self.raw.len() - head > self.limit {
            return Err(Fault::TooLarge);
        }
        Ok(state)
    }

    /// The status; 0 before the head is complete.
    pub fn status(&self) -> u16 {
        if self.body.is_some() { self.parser.head.status } else { 0 }
    }

    /// The reason phrase.
    pub fn reason(&self) -> &[u8] {
        if self.body.is_some() { self.parser.head.second.of(&self.raw) } else { b"" }
    }

    /// The head's fields, in order, names as received.
    pub fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let fields: &[_] = if self.body.is_some() { &self.parser.head.fields } else { &[] };
        fields.iter().map(|f| (f.name.of(&self.raw), f.value.of(&self.raw)))
    }

    /// What was kept of the body.
    pub fn body(&self) -> &[u8] {
        &self.content
    }
}
