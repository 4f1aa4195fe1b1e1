//! The tables of sections and of proxy keywords, and how a line finds its row.
//!
//! Invariant: a row carries the scope checks and the function that reads the line, which lives in the file of its
//! family; nothing is accepted that has no row.

use super::proxy::{Draft, Scope};
use super::{Loader, bind, check, option, other, proxy, resolvers, rule, server, setting, stats};
use conf_parsers::args::{Args, Fault};
use conf_parsers::haproxy::Section;
use conf_parsers::table::{Named, Table, did_you_mean};
use conf_parsers::{Line, Word};
use diag::{Diagnostic, Severity, Span};

/// What a keyword's function sees: the process-wide state and the section being read.
pub(super) struct Cx<'a, 'l> {
    /// What outlives the section.
    pub(super) loader: &'a mut Loader<'l>,
    /// The section.
    pub(super) draft: &'a mut Draft,
    /// The whole line.
    pub(super) line: &'a Line,
}

impl Cx<'_, '_> {
    /// Adds a warning about this line.
    pub(super) fn warn(&mut self, text: impl Into<String>) {
        self.loader.report.warning(self.line.span, text);
    }

    /// Says that the keyword is read but does nothing here, and why.
    pub(super) fn no_effect(&mut self, what: &str, why: &str) {
        self.loader.no_effect(self.line.span, what, why);
    }
}

/// What a keyword does with its line.
pub(super) type Run = for<'w> fn(&mut Cx<'_, '_>, &mut Args<'w>) -> Result<(), Fault>;

/// Where a keyword may not stand, and how bad that is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Anywhere.
    Any,
    /// Needs a frontend: warned about elsewhere.
    Front,
    /// Needs a backend: warned about elsewhere.
    Back,
    /// Needs a backend: refused elsewhere.
    BackOnly,
}

/// A keyword of proxy sections.
pub(super) struct Row {
    name: &'static str,
    place: Place,
    /// Refused in `defaults`.
    not_in_defaults: bool,
    /// `no` and `default` may stand before it.
    negatable: bool,
    hint: &'static str,
    run: Run,
}

impl Named for Row {
    fn name(&self) -> &'static str {
        self.name
    }
}

const fn row(name: &'static str, place: Place, run: Run) -> Row {
    Row { name, place, not_in_defaults: false, negatable: false, hint: "", run }
}

const fn own(name: &'static str, place: Place, run: Run) -> Row {
    Row { name, place, not_in_defaults: true, negatable: false, hint: "", run }
}

const fn hinted(name: &'static str, place: Place, hint: &'static str, run: Run) -> Row {
    Row { name, place, not_in_defaults: false, negatable: false, hint, run }
}

const fn negatable(name: &'static str, place: Place, run: Run) -> Row {
    Row { name, place, not_in_defaults: false, negatable: true, hint: "", run }
}

/// All keywords of defaults, frontend, backend and listen.
pub(super) static PROXY_KEYWORDS: Table<Row> = Table::new(&[
    own("bind", Place::Front, bind::line),
    own("server", Place::BackOnly, server::line),
    own("server-template", Place::BackOnly, server::template),
    row("default-server", Place::BackOnly, server::default_server),
    row("mode", Place::Any, setting::mode),
    row("balance", Place::Back, setting::balance),
    row("hash-type", Place::Back, setting::hash_type),
    row("default_backend", Place::Front, setting::default_backend),
    own("use_backend", Place::Front, rule::use_backend),
    own("use-server", Place::Back, rule::use_server),
    negatable("option", Place::Any, option::option),
    row("timeout", Place::Any, option::timeout),
    row("clitimeout", Place::Any, option::old_timeout),
    row("contimeout", Place::Any, option::old_timeout),
    row("srvtimeout", Place::Any, option::old_timeout),
    row("redispatch", Place::Back, option::old_redispatch),
    hinted("maxconn", Place::Front, " Maybe you want 'fullconn' instead ?", setting::maxconn),
    hinted("fullconn", Place::Back, " Maybe you want 'maxconn' instead ?", setting::fullconn),
    row("backlog", Place::Front, setting::backlog),
    row("retries", Place::Back, setting::retries),
    row("retry-on", Place::BackOnly, setting::retry_on),
    row("cookie", Place::Back, setting::cookie),
    row("dynamic-cookie-key", Place::Back, setting::dynamic_cookie_key),
    row("http-reuse", Place::Back, setting::http_reuse),
    row("http-send-name-header", Place::Back, setting::send_name_header),
    row("source", Place::Back, setting::source),
    own("dispatch", Place::Back, setting::dispatch),
    row("transparent", Place::Back, setting::transparent),
    row("hash-balance-factor", Place::Back, setting::hash_balance_factor),
    row("hash-preserve-affinity", Place::Back, setting::accepted),
    row("max-keep-alive-queue", Place::Any, setting::max_keep_alive_queue),
    row("load-server-state-from-file", Place::Back, setting::load_server_state),
    row("server-state-file-name", Place::Back, setting::server_state_file_name),
    row("persist", Place::Back, setting::persist),
    row("http-check", Place::Back, check::step),
    row("tcp-check", Place::Back, check::step),
    row("external-check", Place::Any, setting::external_check),
    negatable("log", Place::Any, setting::log),
    row("log-format", Place::Any, setting::log_format),
    row("log-format-sd", Place::Any, setting::log_format),
    row("error-log-format", Place::Any, setting::log_format),
    row("unique-id-format", Place::Any, setting::log_format),
    row("unique-id-header", Place::Any, setting::unique_id_header),
    row("log-tag", Place::Any, setting::log_tag),
    row("log-steps", Place::Any, setting::accepted),
    own("description", Place::Any, setting::description),
    own("id", Place::Any, setting::id),
    row("disabled", Place::Any, setting::disabled),
    row("enabled", Place::Any, setting::enabled),
    row("errorfile", Place::Any, other::errorfile),
    row("errorfiles", Place::Any, other::errorfiles),
    row("errorloc", Place::Any, other::errorloc),
    row("errorloc302", Place::Any, other::errorloc),
    row("errorloc303", Place::Any, other::errorloc),
    row("http-error", Place::Any, other::http_error),
    row("monitor-uri", Place::Front, setting::monitor_uri),
    own("monitor", Place::Front, rule::monitor),
    row("monitor-net", Place::Any, rule::monitor_net),
    row("rate-limit", Place::Front, setting::rate_limit),
    row("stats", Place::Any, stats::line),
    row("compression", Place::Any, setting::compression),
    own("capture", Place::Front, setting::capture),
    own("declare", Place::Front, setting::declare),
    row("email-alert", Place::Any, setting::accepted),
    row("acl", Place::Any, rule::ordered),
    row("http-request", Place::Any, rule::ordered),
    row("http-response", Place::Any, rule::ordered),
    row("http-after-response", Place::Any, rule::ordered),
    row("tcp-request", Place::Any, rule::ordered),
    row("tcp-response", Place::Any, rule::ordered),
    own("redirect", Place::Any, rule::ordered),
    row("quic-initial", Place::Any, setting::refused),
    own("force-persist", Place::Back, rule::persist),
    own("ignore-persist", Place::Back, rule::persist),
    own("force-be-switch", Place::Front, rule::be_switch),
    own("stick", Place::Back, rule::ordered),
    row("stick-table", Place::Any, rule::ordered),
    own("filter", Place::Any, rule::filter),
    row("use-fcgi-app", Place::Any, setting::refused),
    row("bind-process", Place::Any, setting::bind_process),
    row("clitcpka-cnt", Place::Any, setting::accepted),
    row("clitcpka-idle", Place::Any, setting::accepted),
    row("clitcpka-intvl", Place::Any, setting::accepted),
    row("srvtcpka-cnt", Place::Any, setting::accepted),
    row("srvtcpka-idle", Place::Any, setting::accepted),
    row("srvtcpka-intvl", Place::Any, setting::accepted),
    row("max-session-srv-conns", Place::Any, setting::accepted),
    row("guid", Place::Any, setting::accepted),
    row("grace", Place::Any, setting::grace),
    row("appsession", Place::Any, setting::appsession),
    row("block", Place::Any, rule::old_rule),
    row("reqadd", Place::Any, rule::old_rule),
    row("reqallow", Place::Any, rule::old_rule),
    row("reqiallow", Place::Any, rule::old_rule),
    row("reqdel", Place::Any, rule::old_rule),
    row("reqidel", Place::Any, rule::old_rule),
    row("reqdeny", Place::Any, rule::old_rule),
    row("reqideny", Place::Any, rule::old_rule),
    row("reqpass", Place::Any, rule::old_rule),
    row("reqipass", Place::Any, rule::old_rule),
    row("reqrep", Place::Any, rule::old_rule),
    row("reqirep", Place::Any, rule::old_rule),
    row("reqtarpit", Place::Any, rule::old_rule),
    row("reqitarpit", Place::Any, rule::old_rule),
    row("reqsetbe", Place::Any, rule::old_rule),
    row("reqisetbe", Place::Any, rule::old_rule),
    row("rspadd", Place::Any, rule::old_rule),
    row("rspdel", Place::Any, rule::old_rule),
    row("rspidel", Place::Any, rule::old_rule),
    row("rspdeny", Place::Any, rule::old_rule),
    row("rspideny", Place::Any, rule::old_rule),
    row("rsprep", Place::Any, rule::old_rule),
    row("rspirep", Place::Any, rule::old_rule),
]);

/// How a section is read.
pub(super) type ReadSection = fn(&mut Loader<'_>, &Section);

/// All sections; the name opens one.
pub(super) static SECTIONS: Table<(&str, ReadSection)> = Table::new(&[
    ("listen", proxy::section),
    ("frontend", proxy::section),
    ("backend", proxy::section),
    ("defaults", proxy::section),
    ("global", super::global::section),
    ("userlist", other::userlist),
    ("peers", super::peers::section),
    ("mailers", other::inert),
    ("namespace_list", other::inert),
    ("resolvers", resolvers::section),
    ("ring", other::ring),
    ("http-errors", other::http_errors),
    ("cache", super::cache::section),
    ("program", super::program::section),
    ("fcgi-app", other::inert),
    ("log-forward", super::forward::section),
    ("log-profile", other::inert),
    ("crt-store", other::inert),
    ("traces", other::inert),
    ("acme", other::refused),
    ("dynamic-update", other::inert),
]);

/// Reads one line of a proxy section.
pub(super) fn line(loader: &mut Loader<'_>, draft: &mut Draft, line: &Line) {
    let negative = matches!(line.keyword(), "no" | "default");
    let nothing = Word::new("", line.words[0].span);
    let word = if negative { line.words.get(1).unwrap_or(&nothing) } else { &line.words[0] };
    let Some(row) = PROXY_KEYWORDS.find(&word.text) else {
        if negative {
            let text = super::global::NOT_NEGATABLE;
            loader.report.push(Fault::new(word.span, text).tight().into_alert());
        }
        let kind = draft.scope.word();
        let text = format!("unknown keyword '{}' in '{kind}' section", word.text);
        return unknown(loader, word.span, text, &word.text);
    };
    if negative && !row.negatable {
        let text = super::global::NOT_NEGATABLE;
        loader.report.push(Fault::new(word.span, text).tight().into_alert());
        return;
    }
    if !placed(loader, draft, row, word.span) {
        return;
    }
    let mut args = Args::new(word, &line.words[if negative { 2 } else { 1 }..]);
    draft.negation = negative.then(|| line.keyword() == "no");
    let mut cx = Cx { loader, draft, line };
    if let Err(fault) = (row.run)(&mut cx, &mut args) {
        loader.report.push(fault.into_alert());
    }
    loader.tell_inert(line);
    draft.negation = None;
}

fn unknown(loader: &mut Loader<'_>, span: Span, mut text: String, word: &str) {
    let sections = ["listen", "frontend", "backend", "defaults"];
    text.push_str(&did_you_mean(word, PROXY_KEYWORDS.names().chain(sections)));
    let mut alert = Diagnostic::at(Severity::Alert, span, text);
    if let Some(name) = PROXY_KEYWORDS.suggest(word) {
        alert = alert.help(format!("write '{name}'"));
    }
    loader.report.push(alert);
}

/// Whether the keyword may stand here; says what is wrong where it may not.
fn placed(loader: &mut Loader<'_>, draft: &Draft, row: &Row, span: Span) -> bool {
    let name = row.name;
    if draft.scope == Scope::Defaults {
        if row.not_in_defaults {
            let lead = match name {
                "description" | "id" => diag::Lead::Tight,
                "server" => diag::Lead::Bracket,
                _ => diag::Lead::Parsing,
            };
            let text = format!("'{name}' not allowed in 'defaults' section.");
            loader.report.push(Diagnostic::at(Severity::Alert, span, text).lead(lead));
        }
        return !row.not_in_defaults;
    }
    let (kind, id) = (draft.scope.word(), &draft.proxy.name);
    let missing = match row.place {
        Place::Front if !draft.scope.is_front() => "frontend",
        Place::Back | Place::BackOnly if !draft.scope.is_back() => "backend",
        _ => return true,
    };
    if row.place == Place::BackOnly {
        let text =
            format!("'{name}' not allowed because {kind} '{id}' has no {missing} capability.{}", row.hint);
        if matches!(name, "server" | "default-server" | "server-template") {
            // The original leads into these twice.
            let place = format!("{}:{}", loader.sources.name(span), loader.sources.line(span));
            let text = format!("parsing [{place}] : {text}");
            loader.report.push(Diagnostic::at(Severity::Alert, span, text).lead(diag::Lead::Bracket));
        } else {
            loader.report.alert(span, text);
        }
        return false;
    }
    let text = format!("'{name}' ignored because {kind} '{id}' has no {missing} capability.{}", row.hint);
    loader.report.warning(span, text);
    // haproxy reads the line all the same; what it sets has no effect there.
    true
}
