//! Rules and actions. A rule set is run by [`RuleSet::run`]; an action that must wait returns
//! [`Flow::Wait`] and is called again, in the same place, once the engine has what it waits for.

pub mod auth;
pub mod cache;
pub mod conn;
pub mod flow;
pub mod header;
pub mod lines;
pub mod map;
pub mod normalize;
pub mod redirect;
pub mod reply;
pub mod resolve;
pub mod sets;
pub mod track;
pub mod uri;
pub mod var;

#[cfg(test)]
mod tests;

use crate::acl;
use crate::acl::Answer;
use crate::stream::view::View;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

/// What an action wants next.
#[derive(Debug, Clone)]
pub enum Flow {
    /// The next rule.
    Continue,
    /// No more rules of this set: `allow`, `accept`.
    Stop,
    /// Ends the transaction.
    Finish(Verdict),
    /// Calls again later: more bytes, a time, a result.
    Wait(Wait),
    /// Sends a head of its own to the client before its answer (1xx), then the next rule.
    Inform(Hint),
}

/// How a rule ends a transaction.
#[derive(Debug, Clone)]
pub enum Verdict {
    /// An HTTP answer made by the proxy (`deny`, `return`, `redirect`, `auth`), logged as such.
    Reply(Arc<Reply>),
    /// An answer after the tarpit timeout.
    Tarpit(Arc<Reply>),
    /// `reject`: the connection ends without an answer.
    Reject,
    /// `close` of tcp-response: the server's connection ends, which is nobody's fault.
    Close,
    /// `silent-drop`: the connection is forgotten, the peer not told; or only whoever a reset reaches within so many
    /// hops.
    SilentDrop(Option<u8>),
    /// `switch-mode`: from here on the stream is HTTP; `h2_too` says whether it may be HTTP/2.
    Http {
        /// It may be.
        h2_too: bool,
    },
    /// A built-in service answers: `prometheus-exporter`, `stats`.
    Service(&'static str),
    /// The request is not what a rule demands of it: 400.
    Invalid,
    /// A rule failed inside the proxy (strict mode): 500.
    Internal,
}

/// What an action waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// More of the request's body or bytes.
    RequestBytes,
    /// More of the response's.
    ResponseBytes,
    /// A time.
    Delay(Duration),
    /// A time, and then the next rule.
    Pause(Duration),
    /// The address that `do-resolve` asked for; it comes, or the news that there is none, whatever time rules have.
    Address,
    /// A body of the message that the rule is about: all of it, or `at_least` bytes when that is not 0. When it takes
    /// longer than `time` the exchange ends.
    Body {
        /// How long at most.
        time: Duration,
        /// Bytes that are enough.
        at_least: usize,
    },
}

/// A head that goes before the answer.
#[derive(Debug, Clone, Default)]
pub struct Hint {
    /// The head.
    pub head: Vec<u8>,
    /// What logs count for it, bytes.
    pub counted: u64,
}

/// An answer made by the proxy.
#[derive(Debug, Clone, Default)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// Sent byte for byte, head included (`errorfile`); then `headers` and `body` are not used.
    pub raw: Option<Arc<[u8]>>,
    /// Header names and values.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body.
    pub body: Vec<u8>,
    /// The rule denied the request: counted and logged as `PR`/`LR`.
    pub denied: bool,
    /// The answer is the status's own page: `errorfile`, `http-error` or haproxy's; `headers` are added to it.
    pub canned: bool,
    /// It sends the client elsewhere: a body that came with the request is not waited for.
    pub redirect: bool,
}

/// One action of a rule: what the user wrote, compiled.
pub trait Action: Debug + Send + Sync {
    /// Acts on the transaction.
    fn run(&self, view: &mut View<'_>) -> Flow;
}

/// An action and when it applies.
#[derive(Debug)]
pub struct Rule {
    /// `None`: always.
    pub condition: Option<acl::Condition>,
    /// What to do.
    pub action: Box<dyn Action>,
    /// File and line, for logs and `show` commands.
    pub origin: String,
}

/// An ordered list of rules of one kind.
pub type RuleSet = Arc<Vec<Rule>>;

/// The rule sets of a proxy. Sets inherited from a defaults section run before the proxy's own.
#[derive(Debug, Default, Clone)]
pub struct RuleSets {
    /// `tcp-request connection`.
    pub tcp_req_conn: Vec<RuleSet>,
    /// `tcp-request session`.
    pub tcp_req_sess: Vec<RuleSet>,
    /// `tcp-request content`.
    pub tcp_req_cont: Vec<RuleSet>,
    /// `tcp-response content`.
    pub tcp_res_cont: Vec<RuleSet>,
    /// `http-request` (and `redirect`, `block`, `req*` in their order).
    pub http_req: Vec<RuleSet>,
    /// `http-response`.
    pub http_res: Vec<RuleSet>,
    /// `http-after-response`.
    pub http_after_res: Vec<RuleSet>,
    /// `tcp-request inspect-delay`.
    pub req_inspect_delay: Option<Duration>,
    /// `tcp-response inspect-delay`.
    pub res_inspect_delay: Option<Duration>,
}

/// An action made of its parsed arguments and what it does with them.
pub struct Do<T> {
    name: &'static str,
    data: T,
    run: fn(&T, &mut View<'_>) -> Flow,
}

impl<T> Debug for Do<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl<T: Send + Sync> Action for Do<T> {
    fn run(&self, view: &mut View<'_>) -> Flow {
        (self.run)(&self.data, view)
    }
}

/// An action that runs a function over its arguments.
pub fn act<T: Send + Sync + 'static>(
    name: &'static str,
    data: T,
    run: fn(&T, &mut View<'_>) -> Flow,
) -> Box<dyn Action> {
    Box::new(Do { name, data, run })
}

/// Runs rules in order from `start`. Where a rule waits, its number comes back with the wait, to go on from there.
pub fn run(rules: &[Rule], start: usize, view: &mut View<'_>) -> (Flow, usize) {
    for (i, rule) in rules.iter().enumerate().skip(start) {
        match rule.condition.as_ref().map_or(Answer::Yes, |c| c.check(view)) {
            Answer::No => continue,
            Answer::Unknown if view.may_wait => {
                let response = matches!(view.phase, crate::stream::view::Phase::ResponseContent);
                return (Flow::Wait(if response { Wait::ResponseBytes } else { Wait::RequestBytes }), i);
            }
            Answer::Unknown => {
                if !rule.condition.as_ref().is_some_and(|c| c.holds(view)) {
                    continue;
                }
            }
            Answer::Yes => {}
        }
        match rule.action.run(view) {
            Flow::Continue => {}
            Flow::Wait(wait) => return (Flow::Wait(wait), i),
            last => {
                if let Some(txn) = view.txn.as_deref_mut() {
                    txn.last_rule = Some(rule.origin.clone());
                }
                return (last, i);
            }
        }
    }
    (Flow::Continue, rules.len())
}
