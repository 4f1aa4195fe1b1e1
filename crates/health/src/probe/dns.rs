//! keepalived's `DNS_CHECK`: one query over UDP, judged by its rcode.
//!
//! Invariant: only a reply with our id and the response bit counts; others are passed over until the deadline.
//!
//! Absent on purpose: TCP, EDNS, following of names.

use std::time::Instant;

use hickory_proto::op::{Message, MessageType, OpCode, Query};
use hickory_proto::rr::{Name, RecordType};
use serde::{Deserialize, Serialize};

use super::{Clock, Effect, Fault, Input, Link, Probe};
use crate::outcome::{Cause, Outcome, Status, error_number};
use crate::{Carrier, Row, Spec};

/// The row of this check.
pub const ROW: Row = Row { name: "dns", haproxy: &[], keepalived: &["DNS_CHECK"], carrier: Carrier::Udp };

/// Bytes of a message's head (RFC 1035, 4.1.1).
const HEAD: usize = 12;

/// `DNS_CHECK`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dns {
    /// Record type, as in zone files (`SOA`).
    pub kind: String,
    /// Name, `.` for the root.
    pub name: String,
}

/// The id, whether it is a response, and the rcode in the head of a message. What follows is nobody's business: a
/// server that answers at all is alive.
fn head(bytes: &[u8]) -> Option<(u16, bool, u8)> {
    let head: &[u8; HEAD] = bytes.first_chunk()?;
    Some((u16::from_be_bytes([head[0], head[1]]), head[2] & 0x80 != 0, head[3] & 0x0f))
}

/// The core.
#[derive(Debug)]
pub struct Core {
    query: Option<Vec<u8>>,
    id: u16,
    link: Link,
    clock: Clock,
}

impl Core {
    /// A core with a query id, which ought to be random.
    pub fn new(spec: &Spec, dns: &Dns, id: u16) -> Self {
        Self { query: query(dns, id), id, link: Link::of(spec), clock: Clock::new(spec) }
    }
}

fn query(dns: &Dns, id: u16) -> Option<Vec<u8>> {
    let mut name = Name::from_ascii(&dns.name).ok()?;
    name.set_fqdn(true);
    let kind: RecordType = dns.kind.parse().ok()?;
    let mut message = Message::new(id, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(name, kind));
    message.to_vec().ok()
}

fn failed(status: Status, text: &str) -> Effect {
    Effect::Done(Outcome::new(status, Cause::Dns(text.to_owned())).described(text))
}

impl Probe for Core {
    fn handle(&mut self, now: Instant, input: Input<'_>, out: &mut Vec<Effect>) {
        match input {
            Input::Start => {
                self.clock.connecting(now);
                out.push(Effect::Connect(self.link.clone()));
            }
            Input::Connected => match self.query.take() {
                Some(bytes) => {
                    self.clock.connected(now);
                    out.push(Effect::Send(bytes));
                }
                None => out.push(failed(Status::SocketError, "the name or type can't be asked for")),
            },
            Input::Failed(Fault::Io(text)) => {
                let text = match error_number(&text) {
                    Some(number) => format!("failed to read socket; errno {number} ({text})"),
                    None => text,
                };
                out.push(failed(Status::L4Connection, &text));
            }
            Input::Failed(fault) => {
                let outcome = Outcome::new(Status::L4Connection, Cause::Connect(fault.text().to_owned()));
                out.push(Effect::Done(outcome.described(fault.text())));
            }
            Input::Data(bytes) => {
                let Some((id, true, code)) = head(bytes) else { return };
                if id != self.id {
                    return;
                }
                if code == 0 {
                    out.push(Effect::Done(Outcome::passed(Status::L7Ok)));
                    return;
                }
                let text = format!("read error occurred. (rcode = {code})");
                let outcome = Outcome::new(Status::L7Status, Cause::Dns(text.clone()));
                out.push(Effect::Done(outcome.coded(i64::from(code)).described(text)));
            }
            Input::Closed => out.push(failed(Status::L7Response, "closed")),
            Input::Timeout => out.push(failed(Status::L7Timeout, "read timeout from socket")),
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.clock.deadline()
    }
}
