//! The rule sets and the actions each of them knows, in the order in which haproxy names them.
//!
//! Invariant: an action that is not in a set's table is refused with the list of those that are.

use super::{
    Action, Rule, cache, conn, flow, header, map, normalize, redirect, reply, resolve, track, uri, var,
};
use crate::acl::Condition;
use crate::config::model::Kind;
use crate::sample::expr::Scope;
use crate::sample::source::Points;
use conf_parsers::Word;
use conf_parsers::args::Args;
use conf_parsers::haproxy::condition;
use conf_parsers::table::did_you_mean_then;

/// Parses the words behind an action's name, up to `if` or `unless`; the error is haproxy's text.
pub type Parse = fn(&mut Args<'_>, &mut Scope<'_>, Set) -> Result<Box<dyn Action>, String>;

/// One action.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// The name; with `*` at the end anything may follow it (`set-var*` for `set-var(txn.a)`).
    pub name: &'static str,
    /// Reads its words.
    pub parse: Parse,
    /// Of the two HTTP sets, which takes it; both where it is `None`.
    only: Option<Set>,
    /// Of a later haproxy than the one whose texts are given: no error lists it.
    later: bool,
}

const fn row(name: &'static str, parse: Parse) -> Row {
    Row { name, parse, only: None, later: false }
}

const fn later(name: &'static str, parse: Parse) -> Row {
    Row { name, parse, only: None, later: true }
}

const fn request(name: &'static str, parse: Parse) -> Row {
    Row { name, parse, only: Some(Set::Request), later: false }
}

const fn response(name: &'static str, parse: Parse) -> Row {
    Row { name, parse, only: Some(Set::Response), later: false }
}

/// A rule set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Set {
    /// `tcp-request connection`.
    Connection,
    /// `tcp-request session`.
    Session,
    /// `tcp-request content`.
    RequestContent,
    /// `tcp-response content`.
    ResponseContent,
    /// `http-request`.
    Request,
    /// `http-response`.
    Response,
    /// `http-after-response`.
    AfterResponse,
}

/// Actions of `tcp-request connection`.
pub static TCP_CONNECTION: &[Row] = &[
    row("accept", flow::accept),
    row("reject", reply::reject),
    row("expect-proxy", conn::expect_proxy),
    row("expect-netscaler-cip", conn::expect_netscaler),
    row("track-sc*", track::track),
    row("sc-inc-gpc(*", track::increment),
    row("sc-inc-gpc0*", track::increment),
    row("sc-inc-gpc1*", track::increment),
    row("sc-add-gpc(*", track::add),
    row("sc-set-gpt(*", track::set_tag),
    row("sc-set-gpt0*", track::set_tag),
    row("set-var-fmt*", var::set_format),
    row("set-var*", var::set),
    row("unset-var*", var::unset),
    row("set-dst", conn::set_address),
    row("set-dst-port", conn::set_port),
    row("set-mark", conn::set_mark),
    row("set-src", conn::set_address),
    row("set-src-port", conn::set_port),
    row("set-tos", conn::set_mark),
    row("silent-drop", reply::silent_drop),
    later("set-fc-mark", conn::set_mark),
    later("set-fc-tos", conn::set_mark),
];

/// Actions of `tcp-request session`: those of a connection, after the handshakes.
pub static TCP_SESSION: &[Row] = TCP_CONNECTION;

/// Actions of `tcp-request content`.
pub static TCP_REQUEST: &[Row] = &[
    row("accept", flow::accept),
    row("reject", reply::reject),
    row("capture", header::capture),
    row("track-sc*", track::track),
    row("set-log-level", flow::set_log_level),
    row("set-nice", conn::set_mark),
    row("switch-mode", flow::switch_mode),
    row("use-service", flow::use_service),
    row("sc-inc-gpc(*", track::increment),
    row("sc-inc-gpc0*", track::increment),
    row("sc-inc-gpc1*", track::increment),
    row("sc-add-gpc(*", track::add),
    row("sc-set-gpt(*", track::set_tag),
    row("sc-set-gpt0*", track::set_tag),
    row("send-spoe-group", flow::refused),
    row("do-resolve(*", resolve::parse),
    row("set-var-fmt*", var::set_format),
    row("set-var*", var::set),
    row("unset-var*", var::unset),
    row("set-src", conn::set_address),
    row("set-src-port", conn::set_port),
    row("set-dst", conn::set_address),
    row("set-dst-port", conn::set_port),
    row("set-mark", conn::set_mark),
    row("set-tos", conn::set_mark),
    row("silent-drop", reply::silent_drop),
    row("set-priority-class", conn::set_priority),
    row("set-priority-offset", conn::set_priority),
    later("set-fc-mark", conn::set_mark),
    later("set-fc-tos", conn::set_mark),
];

/// Actions of `tcp-response content`.
pub static TCP_RESPONSE: &[Row] = &[
    row("accept", flow::accept),
    row("close", reply::close),
    row("reject", reply::reject),
    row("set-log-level", flow::set_log_level),
    row("set-nice", conn::set_mark),
    row("sc-inc-gpc(*", track::increment),
    row("sc-inc-gpc0*", track::increment),
    row("sc-inc-gpc1*", track::increment),
    row("sc-add-gpc(*", track::add),
    row("sc-set-gpt(*", track::set_tag),
    row("sc-set-gpt0*", track::set_tag),
    row("send-spoe-group", flow::refused),
    row("set-var-fmt*", var::set_format),
    row("set-var*", var::set),
    row("unset-var*", var::unset),
    row("set-mark", conn::set_mark),
    row("set-tos", conn::set_mark),
    row("silent-drop", reply::silent_drop),
    later("set-fc-mark", conn::set_mark),
    later("set-fc-tos", conn::set_mark),
];

/// Actions of `http-request` and `http-response`, in the order in which both name them.
pub static HTTP: &[Row] = &[
    request("wait-for-handshake", flow::nothing),
    row("set-log-level", flow::set_log_level),
    row("set-nice", conn::set_mark),
    request("use-service", flow::use_service),
    row("sc-inc-gpc(*", track::increment),
    row("sc-inc-gpc0*", track::increment),
    row("sc-inc-gpc1*", track::increment),
    row("sc-add-gpc(*", track::add),
    row("sc-set-gpt(*", track::set_tag),
    row("sc-set-gpt0*", track::set_tag),
    row("send-spoe-group", flow::refused),
    request("do-resolve(*", resolve::parse),
    request("cache-use", cache::look_up),
    response("cache-store", cache::store),
    row("add-acl(*", map::edit),
    row("add-header", header::add),
    row("allow", flow::accept),
    request("auth", reply::auth),
    row("capture", header::capture),
    row("del-acl(*", map::edit),
    row("del-header", header::delete),
    row("del-map(*", map::edit),
    row("deny", reply::deny),
    request("disable-l7-retry", flow::disable_retry),
    request("early-hint", header::early_hint),
    request("normalize-uri", normalize::parse),
    row("redirect", redirect::parse),
    request("reject", reply::reject),
    row("replace-header", header::replace),
    request("replace-path", uri::replace),
    request("replace-pathq", uri::replace),
    request("replace-uri", uri::replace),
    row("replace-value", header::replace_value),
    row("return", reply::answer),
    row("set-header", header::set),
    row("set-map(*", map::edit),
    request("set-method", uri::set),
    request("set-path", uri::set),
    request("set-pathq", uri::set),
    request("set-query", uri::set),
    response("set-status", uri::set_status),
    request("set-uri", uri::set),
    row("strict-mode", flow::strict_mode),
    request("tarpit", reply::tarpit),
    row("track-sc*", track::track),
    row("set-timeout", flow::set_timeout),
    row("wait-for-body", flow::wait_for_body),
    row("set-var-fmt*", var::set_format),
    row("set-var*", var::set),
    row("unset-var*", var::unset),
    request("set-dst", conn::set_address),
    request("set-dst-port", conn::set_port),
    row("set-mark", conn::set_mark),
    request("set-src", conn::set_address),
    request("set-src-port", conn::set_port),
    row("set-tos", conn::set_mark),
    row("silent-drop", reply::silent_drop),
    request("set-priority-class", conn::set_priority),
    request("set-priority-offset", conn::set_priority),
    later("pause", flow::pause),
    later("set-fc-mark", conn::set_mark),
    later("set-fc-tos", conn::set_mark),
];

/// Actions of `http-after-response`.
pub static HTTP_AFTER_RESPONSE: &[Row] = &[
    row("add-header", header::add),
    row("allow", flow::accept),
    row("capture", header::capture),
    row("del-acl(*", map::edit),
    row("del-header", header::delete),
    row("del-map(*", map::edit),
    row("replace-header", header::replace),
    row("replace-value", header::replace_value),
    row("sc-inc-gpc(*", track::increment),
    row("sc-inc-gpc0*", track::increment),
    row("sc-inc-gpc1*", track::increment),
    row("sc-set-gpt0*", track::set_tag),
    row("set-header", header::set),
    row("set-log-level", flow::set_log_level),
    row("set-map(*", map::edit),
    row("set-status", uri::set_status),
    row("strict-mode", flow::strict_mode),
    row("set-var-fmt*", var::set_format),
    row("set-var*", var::set),
    row("unset-var*", var::unset),
    later("sc-add-gpc(*", track::add),
    later("sc-set-gpt(*", track::set_tag),
];

impl Set {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Connection,
        Self::Session,
        Self::RequestContent,
        Self::ResponseContent,
        Self::Request,
        Self::Response,
        Self::AfterResponse,
    ];

    /// The words that open a rule of the set.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connection => "tcp-request connection",
            Self::Session => "tcp-request session",
            Self::RequestContent => "tcp-request content",
            Self::ResponseContent => "tcp-response content",
            Self::Request => "http-request",
            Self::Response => "http-response",
            Self::AfterResponse => "http-after-response",
        }
    }

    /// Its actions.
    pub fn rows(self) -> impl Iterator<Item = &'static Row> {
        let all = match self {
            Self::Connection => TCP_CONNECTION,
            Self::Session => TCP_SESSION,
            Self::RequestContent => TCP_REQUEST,
            Self::ResponseContent => TCP_RESPONSE,
            Self::Request | Self::Response => HTTP,
            Self::AfterResponse => HTTP_AFTER_RESPONSE,
        };
        all.iter().filter(move |r| r.only.is_none_or(|only| only == self))
    }

    /// Where expressions of its rules run.
    pub fn points(self, kind: Kind) -> Points {
        let both = |front: Points, back: Points| match kind {
            Kind::Frontend => front,
            Kind::Backend => back,
            Kind::Listen => front | back,
        };
        match self {
            Self::Connection => Points::FE_CONNECTION,
            Self::Session => Points::FE_SESSION,
            Self::RequestContent => both(Points::FE_CONTENT, Points::BE_CONTENT),
            Self::ResponseContent => both(Points::FE_RES_CONTENT, Points::BE_RES_CONTENT),
            Self::Request => both(Points::FE_REQUEST, Points::BE_REQUEST),
            Self::Response | Self::AfterResponse => both(Points::FE_RESPONSE, Points::BE_RESPONSE),
        }
    }

    /// haproxy's name of those points, in warnings about ACLs.
    pub fn place(self, kind: Kind) -> &'static str {
        let front = kind.is_front();
        let only_front = !kind.is_back();
        match self {
            Self::Connection => "frontend tcp-request connection rule",
            Self::Session => "frontend tcp-request session rule",
            Self::RequestContent if front => "frontend tcp-request content rule",
            Self::RequestContent => "backend tcp-request content rule",
            Self::ResponseContent if only_front => "frontend tcp-response content rule",
            Self::ResponseContent => "backend tcp-response content rule",
            Self::Request if front => "frontend http-request header rule",
            Self::Request => "backend http-request header rule",
            _ if only_front => "frontend http-response header rule",
            _ => "backend http-response header rule",
        }
    }

    /// Whether it sees responses.
    pub fn is_response(self) -> bool {
        matches!(self, Self::ResponseContent | Self::Response | Self::AfterResponse)
    }

    /// Whether it is about HTTP.
    pub fn is_http(self) -> bool {
        matches!(self, Self::Request | Self::Response | Self::AfterResponse)
    }

    fn find(self, word: &str) -> Option<&'static Row> {
        let exact = |r: &&Row| r.name == word;
        let prefix = |r: &&Row| r.name.strip_suffix('*').is_some_and(|p| word.starts_with(p));
        self.rows().find(exact).or_else(|| self.rows().find(prefix))
    }

    /// `'a', 'b(*)'` as haproxy lists them.
    fn expected(self, counters: usize) -> String {
        let shown = |r: &Row| match r.name.strip_suffix('*') {
            Some(p @ "track-sc") if !self.is_http() => format!("'{p}0' ... '{p}{}'", counters.max(1) - 1),
            Some(p) => format!("'{}(*)'", p.trim_end_matches('(')),
            None => format!("'{}'", r.name),
        };
        self.rows().filter(|r| !r.later).map(shown).collect::<Vec<_>>().join(", ")
    }
}

/// Compiles one rule from the words behind its set's name. The error is haproxy's text after
/// `parsing [file:line] : `.
pub fn rule(set: Set, words: &[Word], scope: &mut Scope<'_>) -> Result<Rule, String> {
    let side = scope.kind.side();
    let name = words.first().map_or("", |w| w.as_str());
    let Some(row) = set.find(name) else {
        let known = set.rows().map(|r| r.name.trim_end_matches(['*', '(']));
        let hint = did_you_mean_then(name, known);
        return Err(if set.is_http() {
            let missing = if name.is_empty() { " (missing argument)" } else { "" };
            format!(
                "'{}' expects {}, but got '{name}'{missing}.{hint}",
                set.name(),
                set.expected(scope.stick_counters)
            )
        } else {
            format!(
                "'{}' expects {} in {side} '{}' (got '{name}').{hint}",
                set.name(),
                set.expected(scope.stick_counters),
                scope.proxy
            )
        });
    };
    let cut = words.iter().position(condition::opens).unwrap_or(words.len());
    let mut args = Args::new(&words[0], &words[1..cut.max(1)]);
    let action = (row.parse)(&mut args, scope, set).map_err(|e| {
        if row.name == "switch-mode" {
            return e; // says itself where it stands
        }
        format!(
            "error detected in {side} '{}' while parsing '{} {name}' rule : {e}.",
            scope.proxy,
            set.name()
        )
    })?;
    if let Some(extra) = args.peek() {
        let found = extra.as_str();
        let rule = format!("'{} {name}'", set.name());
        return Err(if set.is_http() {
            format!("{rule} expects either 'if' or 'unless' followed by a condition but found '{found}'.")
        } else {
            let proxy = scope.proxy;
            format!("{rule} only accepts 'if' or 'unless', in {side} '{proxy}' (got '{found}')")
        });
    }
    let condition = compile_condition(set, name, &words[cut..], scope)?;
    let origin = format!("{}:{}", scope.origin.0, scope.origin.1);
    Ok(Rule { condition, action, origin })
}

/// Compiles the condition at the end of a rule, if there is one, and warns where it can't be decided.
pub fn compile_condition(
    set: Set,
    name: &str,
    words: &[Word],
    scope: &mut Scope<'_>,
) -> Result<Option<Condition>, String> {
    if words.is_empty() {
        return Ok(None);
    }
    let side = scope.kind.side();
    let owner = scope.proxy.to_owned();
    let word = words[0].as_str();
    let blame = |e: String| match (set, name) {
        (Set::Request | Set::Response, "redirect") => format!(
            "error detected in {side} '{owner}' while parsing '{} redirect' rule : error in condition: {e}.",
            set.name()
        ),
        _ if set.is_http() => {
            format!("error detected while parsing an '{} {name}' condition : {e}.", set.name())
        }
        _ => format!(
            "'{} {name}' : error detected in {side} '{owner}' while parsing '{word}' condition : {e}",
            set.name()
        ),
    };
    let tree = condition::parse(words).map_err(|f| blame(f.text))?;
    let condition = Condition::compile(&tree, scope).map_err(blame)?;
    let place = set.place(scope.kind);
    let rule = (!set.is_http()).then(|| set.name());
    scope.warnings.extend(condition.misplaced(set.points(scope.kind), place, rule));
    Ok(Some(condition))
}
