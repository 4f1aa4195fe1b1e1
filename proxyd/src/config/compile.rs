//! Rule lines of a draft to compiled rules: ACLs, rule sets, switching, sticking, formats.
//!
//! Invariant: lines are compiled in their order, so that a rule sees exactly the ACLs before it; the faults of one
//! line never hide those of the next.

use super::Loader;
use super::model::{Algorithm, Capture, ErrorReply, Kind, ServerTls};
use super::proxy::{Draft, ErrorPage, RuleLine};
use crate::acl::{self, Acl, Condition};
use crate::action::sets::{self, Set};
use crate::action::var::Preset;
use crate::action::{Rule, redirect, reply};
use crate::log::format::{self, Format, Use};
use crate::sample::Type;
use crate::sample::expr::{Captures, Expr, FormatsSeen, Owner, Referrer, Scope};
use crate::sample::source::Points;
use crate::stick::rules::StickRule;
use crate::stick::table::{DATA, DataArg, KeyType, Stored};
use crate::stick::{StickRules, TableSpec};
use conf_parsers::Word;
use conf_parsers::args::{Args, time_fault_text};
use conf_parsers::haproxy::{condition, expr};
use conf_parsers::value::{self, NumberFault, TimeUnit};
use diag::{Diagnostic, Lead, Severity, Span};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// Rules of one proxy while they are collected.
#[derive(Default)]
struct Sets {
    connection: Vec<Rule>,
    session: Vec<Rule>,
    request_content: Vec<Rule>,
    response_content: Vec<Rule>,
    request: Vec<Rule>,
    response: Vec<Rule>,
    after_response: Vec<Rule>,
}

impl Sets {
    fn of(&mut self, set: Set) -> &mut Vec<Rule> {
        match set {
            Set::Connection => &mut self.connection,
            Set::Session => &mut self.session,
            Set::RequestContent => &mut self.request_content,
            Set::ResponseContent => &mut self.response_content,
            Set::Request => &mut self.request,
            Set::Response => &mut self.response,
            Set::AfterResponse => &mut self.after_response,
        }
    }
}

/// State of one draft's compilation.
struct Compiler<'c, 'l> {
    loader: &'c mut Loader<'l>,
    acls: HashMap<String, Arc<Acl>>,
    captures: Captures,
    name: String,
    kind: Kind,
    mode: super::model::Mode,
    late: Vec<String>,
    formats: FormatsSeen,
    /// What expressions of the line at hand are part of.
    within: &'static str,
}

impl<'c, 'l> Compiler<'c, 'l> {
    fn of(loader: &'c mut Loader<'l>, draft: &Draft) -> Self {
        let captures = Captures::default();
        let (name, kind, mode) = (draft.proxy.name.clone(), draft.proxy.kind, draft.proxy.mode);
        let (acls, late, formats) = (HashMap::new(), Vec::new(), FormatsSeen::default());
        Self { loader, acls, captures, name, kind, mode, late, formats, within: "" }
    }
}

/// Compiles the pages of a `defaults` section, once for all sections that take them.
pub(super) fn defaults(loader: &mut Loader<'_>, draft: &mut Draft) {
    Compiler::of(loader, draft).pages(draft);
}

/// Compiles every line of a draft that waited for it.
pub(super) fn draft(loader: &mut Loader<'_>, draft: &mut Draft) {
    let mut c = Compiler::of(loader, draft);
    let mut sets = Sets::default();
    let rules = std::mem::take(&mut draft.rules);
    let (inherited, own) = rules.split_at(draft.inherited.min(rules.len()));
    for rule in inherited {
        c.ordered(draft, rule, &mut sets);
    }
    // Slots of inherited rules come before those this section declares, and those before its own rules'.
    let first = c.captures.by_rules.len();
    c.captures.count += draft.proxy.capture_request.len();
    for rule in own {
        c.ordered(draft, rule, &mut sets);
    }
    store(draft, sets);
    draft.http_format = c.http_format(draft);
    c.switching(draft);
    c.formats(draft);
    c.pages(draft);
    c.expressions(draft);
    let slots = c.captures.by_rules.iter().map(|(_, len)| Capture { name: String::new(), len: *len });
    let (before, after): (Vec<_>, Vec<_>) = slots.enumerate().partition(|(i, _)| *i < first);
    draft.proxy.capture_request.splice(0..0, before.into_iter().map(|(_, s)| s));
    draft.proxy.capture_request.extend(after.into_iter().map(|(_, s)| s));
    let declared = [draft.proxy.capture_request.len(), draft.proxy.capture_response.len()];
    for (set, response, slot) in std::mem::take(&mut c.captures.named) {
        if draft.proxy.kind.is_front() && slot >= declared[usize::from(response)] {
            c.late.push(format!(
                "Proxy '{}': unable to find capture id '{slot}' referenced by {set} capture rule.",
                draft.proxy.name
            ));
        }
    }
    draft.rule_faults = c.late;
}

/// `sni` of a server that a command adds; gives what is wrong with it.
pub(super) fn sni_at_run_time(
    loader: &mut Loader<'_>,
    draft: &mut Draft,
    server: &mut super::model::Server,
    span: Span,
) -> Option<String> {
    let tls = server.tls.as_mut()?;
    let text = tls.other.remove("sni")?;
    tls.sni = Compiler::of(loader, draft).expression(&text, span).map(Arc::new);
    loader.report.items.iter().find(|d| d.severity.refuses()).map(|d| d.text.clone())
}

/// `set-var` and `set-var-fmt` of the `global` section.
pub(super) fn process_variables(loader: &mut Loader<'_>) {
    let lines = std::mem::take(&mut loader.proc_vars);
    let mut c = Compiler {
        loader,
        acls: HashMap::new(),
        captures: Captures::default(),
        name: String::new(),
        kind: Kind::Listen,
        mode: super::model::Mode::Http,
        late: Vec::new(),
        formats: FormatsSeen::default(),
        within: "",
    };
    for line in lines {
        let done = c.scoped(line.span, |s| Preset::parse(&mut line.args(), s));
        c.loader.config.global.proc_vars.extend(done.map(Arc::new));
    }
}

fn store(draft: &mut Draft, sets: Sets) {
    let put = |slot: &mut Vec<crate::action::RuleSet>, rules: Vec<Rule>| {
        if !rules.is_empty() {
            slot.push(Arc::new(rules));
        }
    };
    let rules = &mut draft.proxy.rules;
    put(&mut rules.tcp_req_conn, sets.connection);
    put(&mut rules.tcp_req_sess, sets.session);
    put(&mut rules.tcp_req_cont, sets.request_content);
    put(&mut rules.tcp_res_cont, sets.response_content);
    put(&mut rules.http_req, sets.request);
    put(&mut rules.http_res, sets.response);
    put(&mut rules.http_after_res, sets.after_response);
}

impl Compiler<'_, '_> {
    /// Runs `f` with a scope for this line; its warnings and its fault become diagnostics there.
    fn scoped<T>(&mut self, span: Span, f: impl FnOnce(&mut Scope<'_>) -> Result<T, String>) -> Option<T> {
        let file = self.loader.sources.name(span).to_owned();
        let mut warnings = Vec::new();
        let files = Arc::clone(&self.loader.config.patterns);
        let mut scope = Scope {
            proxy: &self.name,
            kind: self.kind,
            mode: self.mode,
            origin: (&file, self.loader.sources.line(span)),
            within: self.within,
            files: &files,
            acls: &self.acls,
            refs: &mut self.loader.refs,
            late: &mut self.late,
            warnings: &mut warnings,
            stick_counters: self.loader.config.global.tune.stick_counters,
            formats: &mut self.formats,
            captures: &mut self.captures,
            http_errors: &self.loader.config.http_errors,
        };
        let done = f(&mut scope);
        for text in warnings {
            let lead = if text.starts_with(acl::NO_PATTERN_LEAD) { Lead::Bare } else { Lead::Parsing };
            self.loader.report.push(Diagnostic::at(Severity::Warning, span, text).lead(lead));
        }
        match done {
            Ok(value) => Some(value),
            Err(text) => {
                // About an HTTP rule's own words haproxy leaves the blank out.
                let lead = if text.starts_with("'http-") { Lead::Tight } else { Lead::Parsing };
                self.loader.report.push(Diagnostic::at(Severity::Alert, span, text).lead(lead));
                None
            }
        }
    }

    fn ordered(&mut self, draft: &mut Draft, rule: &RuleLine, sets: &mut Sets) {
        let (line, words) = (&rule.line, rule.line.words.as_slice());
        let second = words.get(1).map_or("", |w| w.text.as_str());
        let (set, skip) = match (line.keyword(), second) {
            ("acl", name) => return self.acl(name, &words[1..], line.span),
            ("redirect", _) => {
                self.within = REDIRECT;
                let done = self.scoped(line.span, |s| redirect::line(&words[1..], &words[0], s));
                draft.redirects = true;
                sets.request.extend(done);
                return;
            }
            ("stick-table", _) => return self.stick_table(draft, line),
            // That it is ignored was said.
            ("stick", _) if !self.kind.is_back() => return,
            ("stick", _) => return self.stick(&mut draft.proxy.stick_rules, line),
            ("http-request", _) => (Set::Request, 1),
            ("http-response", _) => (Set::Response, 1),
            ("http-after-response", _) => (Set::AfterResponse, 1),
            ("tcp-request", "connection") => (Set::Connection, 2),
            ("tcp-request", "session") => (Set::Session, 2),
            ("tcp-request", "content") => (Set::RequestContent, 2),
            ("tcp-response", "content") => (Set::ResponseContent, 2),
            ("tcp-request" | "tcp-response", "inspect-delay") => return self.inspect_delay(draft, rule),
            ("tcp-request", _) => {
                let text = format!(
                    "'tcp-request' expects 'inspect-delay', 'connection', or 'content' in {} '{}' (got '{second}')",
                    self.kind.side(),
                    self.name
                );
                return self.loader.report.alert(line.span, text);
            }
            _ => {
                let text = format!(
                    "'{}' expects 'inspect-delay' or 'content' in {} '{}' (got '{second}')",
                    line.keyword(),
                    self.kind.side(),
                    self.name
                );
                return self.loader.report.alert(line.span, text);
            }
        };
        if let Some(text) = self.misplaced(set) {
            return self.loader.report.alert(line.span, text);
        }
        let words = words.get(skip..).unwrap_or_default();
        self.within = within(set, words);
        if words.is_empty() {
            let text = format!("'{}' expects an action.", set.name());
            return self.loader.report.alert(line.span, text);
        }
        let done = self.scoped(line.span, |s| sets::rule(set, words, s));
        draft.http_rules |= set == Set::Request;
        if let Some(rule) = done.as_ref().filter(|_| set == Set::RequestContent) {
            self.content_rule(draft, rule, &words[0].text);
        }
        sets.of(set).extend(done);
    }

    /// Notes a rule on contents for what is told once the delay to wait for them is known.
    fn content_rule(&self, draft: &mut Draft, rule: &Rule, action: &str) {
        if action.starts_with("track-sc") || action == "capture" {
            let needs = self.formats.of_request;
            let needs_if = rule.condition.as_ref().is_some_and(Condition::of_request);
            draft.content_rules.push(super::proxy::ContentRule {
                action: action.to_owned(),
                needs,
                needs_if,
            });
        }
    }

    fn misplaced(&self, set: Set) -> Option<String> {
        match set {
            Set::Connection | Set::Session if !self.kind.is_front() => {
                Some(format!("{} is not allowed because backend {} is not a frontend", set.name(), self.name))
            }
            Set::ResponseContent if !self.kind.is_back() => Some(format!(
                "{} is only allowed in 'backend' sections or 'defaults' section with a name",
                set.name()
            )),
            _ => None,
        }
    }

    fn acl(&mut self, name: &str, words: &[Word], span: Span) {
        if let Some(bad) = super::server::bad_char(name) {
            let text = format!("character '{bad}' is not permitted in acl name '{name}'.");
            return self.loader.report.alert(span, text);
        }
        if name == "or" {
            let text =
                "acl name 'or' will never match. 'or' is used to express a disjunction within a condition.";
            self.loader.report.warning(span, text);
        }
        let mut acls = std::mem::take(&mut self.acls);
        let words = words.get(1..).unwrap_or_default();
        self.scoped(span, |s| {
            acl::define(&mut acls, name, words, s)
                .map_err(|e| format!("error detected while parsing ACL '{name}' : {e}."))
        });
        self.acls = acls;
    }

    fn inspect_delay(&mut self, draft: &mut Draft, rule: &RuleLine) {
        let line = &rule.line;
        let text = line.words.get(2).map_or("", |w| w.text.as_str());
        let rules = &mut draft.proxy.rules;
        let request = line.keyword() == "tcp-request";
        let slot = if request { &rules.req_inspect_delay } else { &rules.res_inspect_delay };
        if slot.is_some() && value::duration(text, TimeUnit::Ms).is_ok() {
            let text = format!(
                "ignoring {} inspect-delay (was already defined) in {} '{}'",
                line.keyword(),
                self.kind.side(),
                self.name
            );
            return self.loader.report.warning(line.span, text);
        }
        match value::duration(text, TimeUnit::Ms) {
            Ok(delay) if line.keyword() == "tcp-request" => draft.proxy.rules.req_inspect_delay = Some(delay),
            Ok(delay) => draft.proxy.rules.res_inspect_delay = Some(delay),
            Err(_) => {
                let text = format!(
                    "'{} inspect-delay' expects a positive delay in milliseconds, in proxy '{}'",
                    line.keyword(),
                    self.name
                );
                self.loader.report.alert(line.span, text);
            }
        }
    }

    /// The condition at the end of a line; the outer `None` is a fault.
    fn condition(&mut self, words: &[Word], span: Span, what: &str, at: Points) -> Option<Option<Condition>> {
        if words.is_empty() {
            return Some(None);
        }
        self.scoped(span, |s| {
            let lead = if what.starts_with("sticking") { "'stick': " } else { "" };
            let blame = |e: String| format!("{lead}error detected while parsing {what} : {e}.");
            let tree = condition::parse(words).map_err(|f| blame(f.text))?;
            let condition = Condition::compile(&tree, s).map_err(blame)?;
            s.warnings.extend(condition.misplaced(at, what, None));
            Ok(Some(condition))
        })
    }

    fn switching(&mut self, draft: &mut Draft) {
        for rule in std::mem::take(&mut draft.use_backend) {
            let line = &rule.line;
            let rest = line.words.get(2..).unwrap_or_default();
            let Some(condition) = self.condition(rest, line.span, "switching rule", Points::FE_SET_BACKEND)
            else {
                continue;
            };
            let target = line.words[1].clone();
            let dynamic = target.text.contains("%[") || target.text.contains('%');
            self.within = "use_backend expression";
            let format =
                if dynamic { self.format(&target.text, target.span, Points::FE_SET_BACKEND) } else { None };
            draft.switches.push(super::proxy::Switch { target, format, condition });
        }
        for rule in std::mem::take(&mut draft.use_server) {
            let line = &rule.line;
            let rest = line.words.get(2..).unwrap_or_default();
            if let Some(condition) = self.condition(rest, line.span, "switching rule", Points::BE_SET_SERVER)
            {
                let target = line.words[1].clone();
                let dynamic = target.text.contains('%');
                self.within = OF_BACKEND;
                let format = if dynamic {
                    self.format(&target.text, target.span, Points::BE_SET_SERVER)
                } else {
                    None
                };
                draft.server_switches.push(super::proxy::Switch { target, format, condition });
            }
        }
        for rule in std::mem::take(&mut draft.monitor) {
            let what = "a 'monitor fail' condition";
            let done = self.condition(&rule.line.words[2..], rule.line.span, what, Points::FE_REQUEST);
            draft.proxy.monitor_fail.extend(done.flatten());
        }
        for rule in std::mem::take(&mut draft.persist) {
            let force = rule.line.keyword() == "force-persist";
            let what = format!("a '{}' rule", rule.line.keyword());
            let done = self.condition(&rule.line.words[1..], rule.line.span, &what, Points::FE_REQUEST);
            draft.proxy.persist_rules.extend(done.flatten().map(|c| (force, c)));
        }
        for rule in std::mem::take(&mut draft.stats_rules) {
            self.stats_rule(draft, &rule);
        }
    }

    fn stats_rule(&mut self, draft: &mut Draft, rule: &RuleLine) {
        let (line, words) = (&rule.line, &rule.line.words);
        let Some(stats) = draft.proxy.stats.as_mut() else { return };
        if words[1].text == "admin" {
            let done = self.condition(&words[2..], line.span, "a 'stats admin' rule", Points::FE_REQUEST);
            stats.admin.extend(done.flatten().map(Arc::new));
            return;
        }
        let mut words = words[2..].to_vec();
        if words.first().is_some_and(|w| w.text == "auth") && words.get(1).is_none_or(|w| w.text != "realm") {
            let word = |text: &str| Word { text: text.to_owned(), ..words[0].clone() };
            let realm = [word("realm"), word(crate::stats::service::REALM)];
            words.splice(1..1, realm);
        }
        let done = self.scoped(line.span, |s| sets::rule(Set::Request, &words, s));
        stats.http_request.extend(done.map(Arc::new));
    }

    /// The line of the last format, where formats of rules look at HTTP messages.
    fn http_format(&self, draft: &Draft) -> Option<(String, usize)> {
        let (file, line) = match draft.formats.get("log-format") {
            Some(own) => (own.span, self.loader.sources.line(own.span)),
            None => (draft.header, self.formats.line),
        };
        let name = || self.loader.sources.name(file).to_owned();
        self.formats.http.then(|| (name(), line.max(self.formats.line)))
    }

    fn format(&mut self, text: &str, span: Span, at: Points) -> Option<Arc<Format>> {
        self.scoped(span, |s| Format::compile(text, Use::Http, at, s).map(Arc::new))
    }

    fn formats(&mut self, draft: &mut Draft) {
        if !self.kind.is_front() {
            return;
        }
        let preset = draft.log_preset.clone().map(|p| {
            let tcp = self.mode != super::model::Mode::Http;
            let text = match p.name.as_str() {
                "httplog clf" if !tcp => format::CLF_FORMAT,
                "httplog" if !tcp => format::HTTP_FORMAT,
                "httpslog" if !tcp => format::HTTPS_FORMAT,
                _ => format::TCP_FORMAT,
            };
            (text.to_owned(), p.span)
        });
        let own = |name: &str| draft.formats.get(name).map(|n| (n.name.clone(), n.span));
        let [log, sd, error, unique] =
            [own("log-format"), own("log-format-sd"), own("error-log-format"), own("unique-id-format")];
        let faults = &mut draft.format_faults;
        let mut compiled = |found: Option<(String, Span)>, keyword: &str, usage: Use, at: Points| {
            let (text, span) = found?;
            self.within = match keyword {
                "log-format-sd" => "log-format-sd string",
                "unique-id" => "unique-id-format string",
                _ => "log-format string",
            };
            let compiled = self.scoped(span, |s| Ok(Format::compile(&text, usage, at, s)))?;
            match compiled {
                Ok(format) => Some(Arc::new(format)),
                Err(fault) => {
                    let place =
                        format!("{}:{}", self.loader.sources.name(span), self.loader.sources.line(span));
                    let text = format!("Parsing [{place}]: failed to parse {keyword} : {fault}.");
                    faults.push(Diagnostic::at(Severity::Alert, span, text).lead(Lead::Bare));
                    None
                }
            }
        };
        draft.proxy.log_format = compiled(log.or(preset), "log-format", Use::Log, Points::LOG);
        draft.proxy.log_format_sd = compiled(sd, "log-format-sd", Use::Log, Points::LOG);
        let at = Points::FE_REQUEST | Points::FE_CONTENT;
        draft.proxy.unique_id_format = compiled(unique, "unique-id", Use::Id, at);
        draft.proxy.error_log_format = compiled(error, "error-log-format", Use::Log, Points::LOG);
    }

    /// `http-error` lines.
    fn pages(&mut self, draft: &mut Draft) {
        for page in &mut draft.errorfiles {
            let ErrorPage::Line(line) = page else { continue };
            let (line, span) = (line.clone(), line.span);
            if let Some((status, made)) = self.scoped(span, |s| reply::http_error(&mut line.args(), s)) {
                *page = ErrorPage::Own(status, ErrorReply::Template(Arc::new(made)));
            }
        }
    }

    /// `balance hash` and `sni`.
    fn expressions(&mut self, draft: &mut Draft) {
        self.within = OF_BACKEND;
        if let Some((text, span)) = draft.balance_hash.take() {
            let done = self.expression(&text, span);
            if let Some(expr) = done {
                draft.proxy.balance.algorithm = Algorithm::Hash(Arc::new(expr));
            }
        }
        self.within = "server directive";
        for (server, origin) in draft.proxy.servers.iter_mut().zip(&draft.server_lines) {
            let sni = server.tls.as_mut().and_then(|t: &mut ServerTls| t.other.remove("sni"));
            if let (Some(text), Some(tls)) = (sni, server.tls.as_mut()) {
                tls.sni = self.expression(&text, origin.line).map(Arc::new);
            }
        }
    }

    fn expression(&mut self, text: &str, span: Span) -> Option<Expr> {
        self.scoped(span, |s| Expr::compile(&expr::expression(text)?, s))
    }

    fn stick_table(&mut self, draft: &mut Draft, line: &conf_parsers::Line) {
        if let Some(first) = self.loader.tables.iter().find(|t| t.name == self.name) {
            let text = format!(
                "stick-table name '{}' conflicts with table declared in {} '{}' at {}:{}.",
                self.name,
                first.section,
                first.name,
                self.loader.sources.name(first.span),
                self.loader.sources.line(first.span)
            );
            return self.loader.report.alert(line.span, text);
        }
        let section = draft.scope.word();
        self.loader.tables.push(super::TableOrigin { name: self.name.clone(), section, span: line.span });
        match table(&self.name, &mut line.args(), true) {
            Ok(spec) => draft.proxy.stick_table = Some(spec),
            Err(text) => {
                // The original leads into a time that is too long in another way than into the others.
                let lead = if text.starts_with("timer ") { Lead::Tight } else { Lead::Parsing };
                let alert = Diagnostic::at(Severity::Alert, line.span, format!("stick-table: {text}."));
                self.loader.report.push(alert.lead(lead));
            }
        }
    }

    fn stick(&mut self, rules: &mut StickRules, line: &conf_parsers::Line) {
        let words = line.words.as_slice();
        let verb = words.get(1).map_or("", |w| w.text.as_str());
        if !matches!(verb, "on" | "match" | "store-request" | "store-response") {
            let text = "'stick' expects 'on', 'match', or 'store'.";
            return self.loader.report.alert(line.span, text);
        }
        let Some(pattern) = words.get(2) else {
            return self.loader.report.alert(line.span, "'stick' expects a fetch method.");
        };
        let (pattern, taken) =
            crate::sample::expr::gather(&pattern.text, words[3..].iter().map(|w| w.text.as_str()));
        let mut rest = &words[3 + taken..];
        let mut table = self.name.clone();
        if let [word, name, tail @ ..] = rest
            && word.text == "table"
        {
            table.clone_from(&name.text);
            rest = tail;
        }
        if let Some(word) = rest.first().filter(|w| !condition::opens(w)) {
            return self.loader.report.alert(word.span, format!("'stick': unknown keyword '{}'.", word.text));
        }
        let response = verb == "store-response";
        self.within = "stick rule";
        let at = if response { Points::BE_RESPONSE } else { Points::BE_CONTENT | Points::BE_REQUEST };
        let make = |c: &mut Self, by: fn(Type) -> Referrer| {
            let blame = |e: String| format!("'stick': {e}");
            let expr = c.scoped(line.span, |s| {
                Expr::compile(&expr::expression(&pattern).map_err(blame)?, s).map_err(blame)
            })?;
            let condition = c.condition(rest, line.span, "sticking condition", at)?;
            let owner = Owner { name: c.name.clone(), kind: c.kind };
            let slot = c.loader.refs.table(&table, owner, by(expr.output));
            Some(StickRule { expr, table: slot, condition })
        };
        match verb {
            "on" => {
                // What is wrong was said the first time.
                if let Some(rule) = make(self, Referrer::Stick) {
                    rules.matches.push(rule);
                    rules.store_request.extend(make(self, |_| Referrer::Silent));
                }
            }
            "match" => rules.matches.extend(make(self, Referrer::Stick)),
            "store-request" => rules.store_request.extend(make(self, Referrer::Stick)),
            _ => rules.store_response.extend(make(self, Referrer::Store)),
        }
    }
}

/// What formats of redirects are called.
const REDIRECT: &str = "redirect format string";

/// What expressions that choose a server are called.
const OF_BACKEND: &str = "use-server or balance expression";

/// What expressions of a rule of a set are called.
fn within(set: Set, words: &[Word]) -> &'static str {
    let action = words.first().map_or("", |w| w.text.as_str());
    match set {
        Set::Request | Set::Response if action == "redirect" => REDIRECT,
        Set::Request => "http-request expression",
        Set::Response | Set::AfterResponse => "http-response response",
        _ if action.starts_with("track-sc") => "tracking rule",
        _ if action == "capture" => "capture rule",
        Set::Connection => "tcp-request connection expression",
        Set::Session => "tcp-request session expression",
        Set::RequestContent => "tcp-request content expression",
        Set::ResponseContent => "tcp-response content expression",
    }
}

/// `type T [len N] size N [expire T] [nopurge] [peers P] [store …]`, the sixth where it may be `shared`; the fault is haproxy's text without a stop.
pub(super) fn table(name: &str, args: &mut Args<'_>, shared: bool) -> Result<TableSpec, String> {
    let mut spec = TableSpec {
        name: name.to_owned(),
        kind: KeyType::Ip,
        size: 0,
        expire: None,
        nopurge: false,
        stored: Vec::new(),
        peers: None,
    };
    let mut typed = false;
    while let Some(word) = args.next() {
        let key = word.text.as_str();
        let mut argument =
            || args.next().map(|w| w.text.clone()).ok_or(format!("missing argument after '{key}'"));
        match key {
            "size" => {
                let text = argument()?;
                spec.size = value::size(&text).map_err(|e| match e {
                    NumberFault::Unexpected(c) => {
                        format!("unexpected character '{}' in argument of '{key}'", char::from(c))
                    }
                    // haproxy sees the last digit as the one too many.
                    _ => format!(
                        "unexpected character '{}' in argument of '{key}'",
                        text.chars().next_back().unwrap_or(' ')
                    ),
                })? as usize;
            }
            "expire" => {
                let text = argument()?;
                let time = value::duration(&text, TimeUnit::Ms);
                let fault = |e| match e {
                    NumberFault::Unexpected(c) => {
                        format!("unexpected character '{}' in argument of '{key}'", char::from(c))
                    }
                    e => time_fault_text(&text, key, e).trim_end_matches('.').to_owned(),
                };
                spec.expire = Some(time.map_err(fault)?).filter(|d: &Duration| !d.is_zero());
            }
            "nopurge" => spec.nopurge = true,
            "peers" if shared => spec.peers = Some(argument()?),
            "write-to" | "srvkey" | "recv-only" => {
                argument()?;
            }
            "type" => {
                let text = argument()?;
                spec.kind = key_type(&text, args)?;
                typed = true;
            }
            "store" => {
                let list = argument()?;
                stores(&list, &mut spec.stored)?;
            }
            other => return Err(format!("unknown argument '{other}'")),
        }
    }
    if spec.size == 0 {
        return Err("missing size".into());
    }
    if !typed {
        return Err("missing type".into());
    }
    crate::stick::parse::in_order(&mut spec.stored);
    Ok(spec)
}

fn key_type(text: &str, args: &mut Args<'_>) -> Result<KeyType, String> {
    // haproxy's default length of strings, without the final zero, and of binaries.
    const LEN: (usize, usize) = (31, 32);
    let mut len = |default: usize| -> Result<usize, String> {
        if !args.take("len") {
            return Ok(default);
        }
        let text = args.next().map_or("", |w| w.text.as_str());
        usize::try_from(value::lenient_int(text))
            .ok()
            .filter(|n| *n > 0)
            .ok_or_else(|| format!("unknown type '{text}'"))
    };
    Ok(match text {
        "ip" | "ipv4" => KeyType::Ip,
        "ipv6" => KeyType::Ipv6,
        "integer" => KeyType::Integer,
        "string" => KeyType::String(len(LEN.0)?),
        "binary" => KeyType::Binary(len(LEN.1)?),
        other => return Err(format!("unknown type '{other}'")),
    })
}

/// `gpc0,http_req_rate(10s),gpc(3)…`.
fn stores(list: &str, out: &mut Vec<Stored>) -> Result<(), String> {
    let mut rest = list;
    while !rest.is_empty() {
        let end = rest.find([',', '(']).unwrap_or(rest.len());
        let name = &rest[..end];
        let mut inner = "";
        rest = &rest[end..];
        if let Some(open) = rest.strip_prefix('(') {
            let close =
                open.find(')').ok_or(format!("missing closing parenthesis after store option '{name}'"))?;
            inner = &open[..close];
            rest = &open[close + 1..];
        }
        rest = rest.strip_prefix(',').unwrap_or(rest);
        let found = DATA.iter().find(|(n, _, _)| *n == name);
        let (_, data, arg) = found.ok_or_else(|| format!("unknown store option '{name}'"))?;
        let period = |text: &str| {
            value::time(text, TimeUnit::Ms)
                .map(u64::from)
                .map_err(|_| format!("invalid argument for store option '{name}'"))
        };
        let count = |text: &str| {
            text.parse::<usize>()
                .ok()
                .filter(|n| (1..=100).contains(n))
                .ok_or_else(|| format!("invalid argument for store option '{name}'"))
        };
        let (elements, period_ms) = match arg {
            DataArg::No if inner.is_empty() => (1, 0),
            DataArg::No => return Err(format!("unexpected argument to store option '{name}'")),
            _ if inner.is_empty() => return Err(format!("missing argument to store option '{name}'")),
            DataArg::Period => (1, period(inner)?),
            DataArg::Elements => (count(inner)?, 0),
            DataArg::ElementsPeriod => {
                let (n, time) =
                    inner.split_once(',').ok_or(format!("missing argument to store option '{name}'"))?;
                (count(n)?, period(time)?)
            }
        };
        out.push(Stored { data: *data, elements, period_ms });
    }
    Ok(())
}
