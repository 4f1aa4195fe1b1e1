//! haproxy's `agent-check`: the server says in one line how it is.
//!
//! Invariant: nothing is applied here; the words become [`Wish`]es. At most [`LINE_MAX`] bytes are read.
//!
//! Absent on purpose: what a wish does to weights and states (owner).

use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::steps::latin1;
use super::{Clock, Effect, Input, Link, Probe, fault_outcome};
use crate::outcome::{AdminWish, Cause, OperationWish, Outcome, Status, Wish};
use crate::{Carrier, Row, Spec};

/// The row of this check.
pub const ROW: Row =
    Row { name: "agent", haproxy: &["agent-check"], keepalived: &[], carrier: Carrier::Stream };

/// Longest line of an agent.
pub const LINE_MAX: usize = super::REPLY_MAX;

/// `agent-check`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agent {
    /// `agent-send`.
    #[serde(default)]
    pub send: Vec<u8>,
}

/// The core.
#[derive(Debug)]
pub struct Core {
    agent: Agent,
    link: Link,
    clock: Clock,
    line: Vec<u8>,
    connected: bool,
}

impl Core {
    /// A core for a check.
    pub fn new(spec: &Spec, agent: &Agent) -> Self {
        Self {
            agent: agent.clone(),
            link: Link::of(spec),
            clock: Clock::new(spec),
            line: Vec::new(),
            connected: false,
        }
    }
}

/// Reads an agent's line.
///
/// Words are parted by blanks, tabs and commas. The first of `up`, `down`, `stopped`, `fail` decides the status; what
/// follows it as `#text`, and after `down`, `stopped` and `fail` any unknown text, describes it. Unknown words before
/// are passed over. Without such a word the status is [`Status::Checked`], which changes no state.
pub fn read_line(line: &str) -> Outcome {
    let mut wish = Wish::default();
    let mut operation: Option<(&str, OperationWish)> = None;
    let mut description = String::new();
    let separators = [' ', '\t', ','];
    let mut rest = line;
    loop {
        rest = rest.trim_start_matches(separators);
        if rest.is_empty() {
            break;
        }
        if let Some(text) = rest.strip_prefix('#') {
            text.trim().clone_into(&mut description);
            break;
        }
        let end = rest.find(separators).unwrap_or(rest.len());
        let (word, tail) = rest.split_at(end);
        let lower = word.to_ascii_lowercase();
        let mut known = true;
        if let Some(percent) = word.strip_suffix('%') {
            match percent.parse() {
                Ok(n) => wish.weight_percent = Some(n),
                Err(_) => known = false,
            }
        } else if let Some(count) = lower.strip_prefix("maxconn:") {
            match count.parse() {
                Ok(n) => wish.max_connections = Some(n),
                Err(_) => known = false,
            }
        } else {
            match lower.as_str() {
                "ready" => wish.admin = Some(AdminWish::Ready),
                "drain" => wish.admin = Some(AdminWish::Drain),
                "maint" => wish.admin = Some(AdminWish::Maint),
                "up" => operation = Some((word, OperationWish::Up)),
                "down" => operation = Some((word, OperationWish::Down)),
                "stopped" => operation = Some((word, OperationWish::Stopped)),
                "fail" | "failed" => operation = Some((word, OperationWish::Failed)),
                _ => known = false,
            }
        }
        if !known && matches!(operation, Some((_, o)) if o != OperationWish::Up) {
            rest.trim().clone_into(&mut description);
            break;
        }
        rest = tail;
    }
    let Some((word, wanted)) = operation else {
        let mut outcome = Outcome::new(Status::Checked, Cause::Success);
        outcome.wish = wish;
        return outcome;
    };
    wish.operation = Some(wanted);
    let text = if description.is_empty() {
        format!("via agent : {word}")
    } else {
        format!("via agent : {word} ({description})")
    };
    let (status, cause) = match wanted {
        OperationWish::Up => (Status::L7Ok, Cause::Success),
        OperationWish::Down | OperationWish::Stopped | OperationWish::Failed => {
            (Status::L7Status, Cause::Protocol(word.to_owned()))
        }
    };
    let mut outcome = Outcome::new(status, cause).described(text);
    outcome.wish = wish;
    outcome
}

impl Probe for Core {
    fn handle(&mut self, now: Instant, input: Input<'_>, out: &mut Vec<Effect>) {
        match input {
            Input::Start => {
                self.clock.connecting(now);
                out.push(Effect::Connect(self.link.clone()));
            }
            Input::Connected => {
                self.connected = true;
                self.clock.connected(now);
                if !self.agent.send.is_empty() {
                    out.push(Effect::Send(self.agent.send.clone()));
                }
            }
            Input::Failed(fault) => out.push(Effect::Done(fault_outcome(&fault, self.connected, ""))),
            Input::Data(bytes) => {
                let end = bytes.iter().position(|b| matches!(b, b'\n' | b'\r' | 0));
                let room = LINE_MAX - self.line.len();
                self.line.extend_from_slice(&bytes[..end.unwrap_or(bytes.len()).min(room)]);
                if end.is_some() || self.line.len() >= LINE_MAX {
                    out.push(Effect::Done(read_line(&latin1(&self.line))));
                }
            }
            Input::Closed => {
                let outcome = Outcome::new(Status::L7Response, Cause::Protocol("empty response".into()));
                out.push(Effect::Done(if self.line.is_empty() {
                    outcome.described("TCPCHK got an empty response at step 2")
                } else {
                    read_line(&latin1(&self.line))
                }));
            }
            Input::Timeout => {
                let (status, cause) = if self.connected {
                    (Status::L7Timeout, Cause::ReplyTimeout)
                } else {
                    (Status::L4Timeout, Cause::ConnectTimeout)
                };
                out.push(Effect::Done(Outcome::new(status, cause)));
            }
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.clock.deadline()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> (Status, String, Wish) {
        let o = read_line(line);
        (o.status, o.description, o.wish)
    }

    #[test]
    fn haproxys_words() {
        assert_eq!(read("up").1, "via agent : up");
        assert_eq!(read("up 50% maint").2.weight_percent, Some(50));
        assert_eq!(read("up 50% maint").2.admin, Some(AdminWish::Maint));
        assert_eq!(read("fail reason").1, "via agent : fail (reason)");
        assert_eq!(read("fail reason").0, Status::L7Status);
        assert_eq!(read("stopped").1, "via agent : stopped");
        let (status, text, wish) = read("ready up 20% maxconn:30 # hi");
        assert_eq!((status, text.as_str()), (Status::L7Ok, "via agent : up (hi)"));
        assert_eq!((wish.weight_percent, wish.max_connections), (Some(20), Some(30)));
        assert_eq!(wish.admin, Some(AdminWish::Ready));
    }

    #[test]
    fn words_without_a_state_change_nothing_of_it() {
        for line in ["drain", "50%", "foo", "", "down#because of", "500%,", "\u{1}\u{2}"] {
            assert_eq!(read(line).0, Status::Checked, "{line}");
        }
        assert_eq!(read("drain").2.admin, Some(AdminWish::Drain));
        assert_eq!(read("99999999999999999999%").2.weight_percent, None);
    }
}
