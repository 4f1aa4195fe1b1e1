//! keepalived's `SMTP_CHECK`: greeting, HELO, QUIT.
//!
//! Invariant: a reply line is at most [`LINE_MAX`] bytes, a reply at most [`LINES_MAX`] lines.
//!
//! Absent on purpose: EHLO, STARTTLS, mail.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::steps::latin1;
use super::{Clock, Effect, Input, Link, Probe, fault_outcome};
use crate::outcome::{Cause, Outcome, Status};
use crate::{Carrier, Row, Spec};

/// The row of this check.
pub const ROW: Row =
    Row { name: "mail", haproxy: &[], keepalived: &["SMTP_CHECK"], carrier: Carrier::Stream };

/// Longest reply line (RFC 5321 allows 512).
pub const LINE_MAX: usize = 2048;

/// Most lines of one reply.
pub const LINES_MAX: usize = 100;

/// `SMTP_CHECK`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mail {
    /// `helo_name`.
    pub helo: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Connect,
    Greeting,
    Helo,
    Quit,
}

/// The core.
#[derive(Debug)]
pub struct Core {
    mail: Mail,
    link: Link,
    clock: Clock,
    phase: Phase,
    line: Vec<u8>,
    lines: usize,
}

impl Core {
    /// A core for a check.
    pub fn new(spec: &Spec, mail: &Mail) -> Self {
        Self {
            mail: mail.clone(),
            link: Link::of(spec),
            clock: Clock::new(spec),
            phase: Phase::Connect,
            line: Vec::new(),
            lines: 0,
        }
    }

    /// keepalived's words for a wrong reply at this point, without the server.
    fn complaint(&self) -> &'static str {
        match self.phase {
            Phase::Connect | Phase::Greeting => "Bad greeting banner",
            Phase::Helo | Phase::Quit => "Bad HELO response",
        }
    }

    fn reply(&mut self, now: Instant, code: Option<u16>, text: &str, out: &mut Vec<Effect>) {
        let wanted = match self.phase {
            Phase::Connect | Phase::Greeting => 220,
            Phase::Helo => 250,
            Phase::Quit => 221,
        };
        // What a server says to QUIT is nobody's business, as long as it says something.
        if code != Some(wanted) && self.phase != Phase::Quit {
            let outcome = Outcome::new(Status::L7Status, Cause::Protocol(self.complaint().to_owned()));
            out.push(Effect::Done(outcome.coded(code.map_or(0, i64::from)).described(text)));
            return;
        }
        self.clock.connected(now);
        self.lines = 0;
        match self.phase {
            Phase::Connect | Phase::Greeting => {
                self.phase = Phase::Helo;
                out.push(Effect::Send(format!("HELO {}\r\n", self.mail.helo).into_bytes()));
            }
            Phase::Helo => {
                self.phase = Phase::Quit;
                out.push(Effect::Send(b"QUIT\r\n".to_vec()));
            }
            Phase::Quit => out.push(Effect::Done(Outcome::passed(Status::L7Ok).coded(221))),
        }
    }

    fn data(&mut self, now: Instant, bytes: &[u8], out: &mut Vec<Effect>) {
        for byte in bytes {
            if !out.iter().all(|e| matches!(e, Effect::Send(_))) {
                return;
            }
            if *byte != b'\n' {
                self.line.push(*byte);
                if self.line.len() > LINE_MAX {
                    let outcome = Outcome::new(Status::L7Response, Cause::Protocol("Buffer overflow".into()));
                    out.push(Effect::Done(outcome.described("line too long")));
                    return;
                }
                continue;
            }
            let line = std::mem::take(&mut self.line);
            self.lines += 1;
            let continued = line.get(3) == Some(&b'-');
            if continued && self.lines < LINES_MAX {
                continue;
            }
            let code = line
                .get(..3)
                .filter(|d| d.iter().all(u8::is_ascii_digit))
                .map(|d| d.iter().fold(0u16, |n, c| n * 10 + u16::from(c - b'0')));
            self.reply(now, code, latin1(&line).trim(), out);
        }
    }
}

impl Probe for Core {
    fn handle(&mut self, now: Instant, input: Input<'_>, out: &mut Vec<Effect>) {
        match input {
            Input::Start => {
                self.clock.connecting(now);
                out.push(Effect::Connect(self.link.clone()));
            }
            Input::Connected => {
                self.phase = Phase::Greeting;
                self.clock.connected(now);
            }
            Input::Failed(fault) => {
                out.push(Effect::Done(fault_outcome(&fault, self.phase != Phase::Connect, "")));
            }
            Input::Data(bytes) => self.data(now, bytes, out),
            Input::Closed => {
                let outcome = Outcome::new(Status::L7Response, Cause::Io("connection closed".into()));
                out.push(Effect::Done(outcome.described("connection closed")));
            }
            Input::Timeout => {
                let (status, cause) = match self.phase {
                    Phase::Connect => (Status::L4Timeout, Cause::ConnectTimeout),
                    Phase::Greeting | Phase::Helo | Phase::Quit => (Status::L7Timeout, Cause::ReplyTimeout),
                };
                out.push(Effect::Done(Outcome::new(status, cause)));
            }
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.clock.deadline()
    }
}
