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
    /// The server's weight, where its backend can only take none or all of it.
    #[serde(default)]
    pub only_weight: Option<u32>,
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

/// What is shown of an answer without the end of a line.
const INCOMPLETE: &str = "Ignoring incomplete line from agent";
const BAD_WEIGHT: &str = "Trailing garbage in weight string";
const STATIC_WEIGHT: &str =
    "Backend is using a static LB algorithm and only accepts weights '0%' and '100%'.\n";
const NO_MAXCONN: &str = "Require <maxconn>.\n";
const EMPTY_MAXCONN: &str = "maxconn string empty or preceded by garbage";
const BAD_MAXCONN: &str = "Trailing garbage in maxconn string";
/// The largest weight of a server.
const WEIGHT_MAX: u64 = 256;

/// Whether what an outcome says is shown, but not logged.
pub fn is_shown_only(outcome: &Outcome) -> bool {
    outcome.status == Status::L7Timeout && outcome.description == INCOMPLETE
}

/// What the words of a line said, the last of each kind.
#[derive(Debug, Default)]
struct Words<'a> {
    weight: Option<&'a str>,
    max_connections: Option<&'a str>,
    admin: Option<AdminWish>,
    operation: Option<(&'a str, OperationWish)>,
    unknown: Option<&'a str>,
    comment: &'a str,
}

impl<'a> Words<'a> {
    fn read(line: &'a str) -> Self {
        const SEPARATORS: [char; 3] = [' ', '\t', ','];
        const PREFIX: &str = "maxconn:";
        let mut words = Self::default();
        let mut rest = line.trim_start_matches(SEPARATORS);
        while !rest.is_empty() {
            if let Some(text) = rest.strip_prefix('#') {
                words.comment = text.trim_start_matches([' ', '\t']);
                break;
            }
            let (word, tail) = rest.split_at(rest.find(SEPARATORS).unwrap_or(rest.len()));
            let lower = word.to_ascii_lowercase();
            match lower.as_str() {
                "ready" => words.admin = Some(AdminWish::Ready),
                "drain" => words.admin = Some(AdminWish::Drain),
                "maint" => words.admin = Some(AdminWish::Maint),
                "up" => words.operation = Some((word, OperationWish::Up)),
                "down" => words.operation = Some((word, OperationWish::Down)),
                "stopped" => words.operation = Some((word, OperationWish::Stopped)),
                "fail" => words.operation = Some((word, OperationWish::Failed)),
                _ if word.starts_with(|c: char| c.is_ascii_digit()) && word.contains('%') => {
                    words.weight = Some(word);
                }
                _ if lower.starts_with(PREFIX) => words.max_connections = Some(&word[PREFIX.len()..]),
                _ => words.unknown = words.unknown.or(Some(word)),
            }
            rest = tail.trim_start_matches(SEPARATORS);
        }
        words
    }
}

/// The percentage that a word like `50%` asks for.
fn weight(word: &str, only: Option<u32>) -> Result<u32, &'static str> {
    let digits = word.strip_suffix('%').filter(|d| d.bytes().all(|b| b.is_ascii_digit()));
    let percent = digits.ok_or(BAD_WEIGHT)?.parse().unwrap_or(u32::MAX);
    let Some(initial) = only.map(u64::from) else { return Ok(percent) };
    let weight = (initial * u64::from(percent) / 100).min(WEIGHT_MAX);
    if weight == 0 || weight == initial { Ok(percent) } else { Err(STATIC_WEIGHT) }
}

/// The number behind `maxconn:`, wrapped around as haproxy takes it.
fn max_connections(text: &str) -> Result<u32, &'static str> {
    if text.is_empty() {
        return Err(NO_MAXCONN);
    }
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(EMPTY_MAXCONN);
    }
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(BAD_MAXCONN);
    }
    let limits = if text.starts_with('-') { i64::MIN } else { i64::MAX };
    Ok(text.parse().unwrap_or(limits) as u32)
}

impl Agent {
    /// Reads an agent's line.
    ///
    /// Words are parted by blanks, tabs and commas; of each kind the last counts. What describes the status is the text
    /// behind a `#`, else the first unknown word, else what was wrong with a weight or `maxconn:`. Without `up`, `down`,
    /// `stopped` or `fail` the status is [`Status::Checked`], which changes no state.
    pub fn read_line(&self, line: &str) -> Outcome {
        let words = Words::read(line);
        let mut wish = Wish { admin: words.admin, ..Wish::default() };
        let mut warning = None;
        match words.max_connections.map(max_connections) {
            Some(Ok(most)) => wish.max_connections = Some(most),
            Some(Err(text)) => warning = Some(text),
            None => {}
        }
        match words.weight.map(|word| weight(word, self.only_weight)) {
            Some(Ok(percent)) => wish.weight_percent = Some(percent),
            Some(Err(text)) => warning = Some(text),
            None => {}
        }
        let Some((word, wanted)) = words.operation else {
            let mut outcome = Outcome::new(Status::Checked, Cause::Success);
            outcome.wish = wish;
            return match (words.unknown, warning) {
                (Some(word), _) => outcome.described(format!("agent reports an error : {word}")),
                (None, Some(text)) => outcome.described(format!("agent warns : {text}")),
                (None, None) => outcome,
            };
        };
        wish.operation = Some(wanted);
        let comment = Some(words.comment).filter(|c| !c.is_empty());
        let text = match comment.or(words.unknown).or(warning) {
            Some(text) => format!("via agent : {word} ({text})"),
            None => format!("via agent : {word}"),
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
}

fn incomplete() -> Outcome {
    Outcome::new(Status::L7Timeout, Cause::ReplyTimeout).described(INCOMPLETE)
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
                let room = LINE_MAX - self.line.len();
                self.line.extend_from_slice(&bytes[..bytes.len().min(room)]);
                // Nothing behind a NUL is read, so no end of the line is found there.
                let end = self.line.iter().position(|b| matches!(b, b'\n' | b'\r' | 0));
                if let Some(end) = end.filter(|end| self.line[*end] != 0) {
                    out.push(Effect::Done(self.agent.read_line(&latin1(&self.line[..end]))));
                } else if self.line.len() >= LINE_MAX {
                    out.push(Effect::Done(incomplete()));
                }
            }
            Input::Closed if !self.line.is_empty() => out.push(Effect::Done(incomplete())),
            Input::Closed => {
                let outcome = Outcome::new(Status::L7Response, Cause::Protocol("empty response".into()));
                out.push(Effect::Done(outcome.described("TCPCHK got an empty response at step 2")));
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
        let o = Agent::default().read_line(line);
        (o.status, o.description, o.wish)
    }

    #[test]
    fn haproxys_words() {
        assert_eq!(read("up").1, "via agent : up");
        assert_eq!(read("up 50% maint").2.weight_percent, Some(50));
        assert_eq!(read("up 50% maint").2.admin, Some(AdminWish::Maint));
        assert_eq!(read("fail reason enough").1, "via agent : fail (reason)");
        assert_eq!(read("fail reason").0, Status::L7Status);
        assert_eq!(read("stopped").1, "via agent : stopped");
        let (status, text, wish) = read("ready up 20% maxconn:30 # hi");
        assert_eq!((status, text.as_str()), (Status::L7Ok, "via agent : up (hi)"));
        assert_eq!((wish.weight_percent, wish.max_connections), (Some(20), Some(30)));
        assert_eq!(wish.admin, Some(AdminWish::Ready));
    }

    #[test]
    fn words_without_a_state_change_nothing_of_it() {
        for line in ["drain", "50%", "foo", "", "down#because of", "500%,", "\u{1}\u{2}", "failed"] {
            assert_eq!(read(line).0, Status::Checked, "{line}");
        }
        assert_eq!(read("drain").2.admin, Some(AdminWish::Drain));
        assert_eq!(read("99999999999999999999%").2.weight_percent, Some(u32::MAX));
        assert_eq!(read("failed").1, "agent reports an error : failed");
        assert_eq!(read("50%x maxconn:y").1, "agent warns : Trailing garbage in weight string");
    }

    #[test]
    fn the_last_number_counts_and_wraps_around() {
        assert_eq!(read("2%x,1%").2.weight_percent, Some(1));
        assert_eq!(read("1%,2%x").2.weight_percent, None);
        assert_eq!(read("maxconn:5 maxconn:+6").2.max_connections, Some(6));
        assert_eq!(read("maxconn:-1").2.max_connections, Some(u32::MAX));
        assert_eq!(read("maxconn:99999999999999999999").2.max_connections, Some(u32::MAX));
        assert_eq!(read("up maxconn:").1, "via agent : up (Require <maxconn>.\n)");
        let fixed = Agent { only_weight: Some(10), ..Agent::default() };
        assert_eq!(fixed.read_line("0%").wish.weight_percent, Some(0));
        assert_eq!(fixed.read_line("100%").wish.weight_percent, Some(100));
        assert_eq!(fixed.read_line("50%").wish.weight_percent, None);
    }
}
