//! keepalived's `UDP_CHECK` and `PING_CHECK`.
//!
//! Invariant: without `require_reply` a UDP check passes when no error came back within its time, since a server need
//! not answer; with it, the reply decides.
//!
//! Absent on purpose: raw ICMP parsing beyond the echo reply's header.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::{Clock, Effect, Input, Link, Probe};
use crate::outcome::{Cause, Outcome, Status};
use crate::{Carrier, Row, Spec};

/// The row of `UDP_CHECK`.
pub const UDP_ROW: Row = Row { name: "udp", haproxy: &[], keepalived: &["UDP_CHECK"], carrier: Carrier::Udp };

/// The row of `PING_CHECK`.
pub const PING_ROW: Row =
    Row { name: "ping", haproxy: &[], keepalived: &["PING_CHECK"], carrier: Carrier::Icmp };

/// `UDP_CHECK`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Udp {
    /// What is sent.
    pub payload: Vec<u8>,
    /// `require_reply`: bytes with masks; empty = any content. `None` = no reply is needed.
    #[serde(default)]
    pub reply: Option<Vec<(u8, u8)>>,
    /// `min_reply_length`; it and the next count beside a pattern only.
    #[serde(default)]
    pub min_reply: usize,
    /// `max_reply_length`.
    #[serde(default)]
    pub max_reply: usize,
}

/// The core of both.
#[derive(Debug)]
pub struct Core {
    payload: Vec<u8>,
    udp: Option<Udp>,
    link: Link,
    clock: Clock,
}

impl Core {
    /// A core of a UDP check.
    pub fn udp(spec: &Spec, udp: &Udp) -> Self {
        Self {
            payload: udp.payload.clone(),
            udp: Some(udp.clone()),
            link: Link::of(spec),
            clock: Clock::new(spec),
        }
    }

    /// A core of a ping; the shell sends an echo request with this payload and gives back the reply's payload.
    pub fn ping(spec: &Spec, payload: Vec<u8>) -> Self {
        Self { payload, udp: None, link: Link::of(spec), clock: Clock::new(spec) }
    }

    fn data(&self, bytes: &[u8]) -> Option<Outcome> {
        let Some(udp) = &self.udp else {
            return (bytes == self.payload).then(|| Outcome::passed(Status::L4Ok));
        };
        let Some(wanted) = &udp.reply else { return Some(Outcome::passed(Status::L4Ok)) };
        if wanted.is_empty() {
            // Any reply at all: the lengths count only beside a pattern.
            return Some(Outcome::passed(Status::L7Ok));
        }
        let length_fits = (udp.min_reply..=udp.max_reply).contains(&bytes.len());
        let content_fits = wanted.iter().zip(bytes).all(|((value, mask), got)| got & mask == value & mask);
        Some(if length_fits && content_fits {
            Outcome::passed(Status::L7Ok)
        } else {
            Outcome::new(Status::L7Response, Cause::Mismatch).described("reply data mismatch")
        })
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
                self.clock.connected(now);
                out.push(Effect::Send(self.payload.clone()));
            }
            Input::Failed(fault) => {
                let outcome = Outcome::new(Status::L4Connection, Cause::Connect(fault.text().to_owned()));
                out.push(Effect::Done(outcome.described(fault.text())));
            }
            Input::Data(bytes) => {
                if let Some(outcome) = self.data(bytes) {
                    out.push(Effect::Done(outcome));
                }
            }
            Input::Closed => {}
            Input::Timeout => {
                let silent_is_fine = self.udp.as_ref().is_some_and(|u| u.reply.is_none());
                out.push(Effect::Done(if silent_is_fine {
                    Outcome::passed(Status::L4Ok)
                } else if self.udp.is_some() {
                    Outcome::new(Status::L7Timeout, Cause::ReplyTimeout)
                } else {
                    Outcome::new(Status::L4Timeout, Cause::ReplyTimeout)
                }));
            }
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.clock.deadline()
    }
}
