//! defaults, frontend, backend and listen: opening and inheritance.

use super::Loader;
use super::keyword;
use super::model::CheckKind;
use super::model::{
    Algorithm, Balance, Check, ErrorReply, HashFunction, HttpReuse, Kind, Mode, Options, Proxy, RetryOn,
    Roster, Server, Timeouts,
};
use crate::{acl, action, stick};
use conf_parsers::args::Args;
use conf_parsers::haproxy::Section;
use conf_parsers::{Line, Word};
use diag::{Diagnostic, Lead, Severity, Span};
use std::collections::BTreeMap;

/// The kind of a section, defaults included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// `defaults`.
    Defaults,
    /// The others.
    Proxy(Kind),
}

impl Scope {
    /// The word users write.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Defaults => "defaults",
            Self::Proxy(Kind::Frontend) => "frontend",
            Self::Proxy(Kind::Backend) => "backend",
            Self::Proxy(Kind::Listen) => "listen",
        }
    }

    /// Whether it takes connections.
    pub(super) fn is_front(self) -> bool {
        !matches!(self, Self::Proxy(Kind::Backend))
    }

    /// Whether it has servers.
    pub(super) fn is_back(self) -> bool {
        !matches!(self, Self::Proxy(Kind::Frontend))
    }
}

/// How a proxy is called in texts of whole-configuration checks.
pub(crate) fn noun(kind: Kind) -> &'static str {
    match kind {
        Kind::Frontend => "frontend",
        Kind::Backend => "backend",
        Kind::Listen => "proxy",
    }
}

/// A name another section defines, and where it was used.
#[derive(Debug, Clone)]
pub(super) struct Named {
    pub(super) name: String,
    pub(super) span: Span,
}

/// A line whose meaning waits for the rule tables, with the words after its keyword.
#[derive(Debug, Clone)]
pub(super) struct RuleLine {
    pub(super) line: Line,
}

/// A `tcp-request content` rule that tracks or captures, unless it tracks what is known before there are contents.
#[derive(Debug)]
pub(super) struct ContentRule {
    /// Its action.
    pub(super) action: String,
    /// Its expression reads the request.
    pub(super) needs: bool,
    /// Its condition reads the request.
    pub(super) needs_if: bool,
}

/// A `use_backend` or `use-server` line, compiled but for its target.
#[derive(Debug)]
pub(super) struct Switch {
    pub(super) target: Word,
    pub(super) format: Option<std::sync::Arc<crate::log::Format>>,
    pub(super) condition: Option<acl::Condition>,
}

/// One line on error pages.
#[derive(Debug, Clone)]
pub(super) enum ErrorPage {
    /// `errorfiles SECTION [STATUS…]`, whose section may come later.
    Section(String, Vec<u16>, Span),
    /// `errorfile` and `errorloc*`.
    Own(u16, ErrorReply),
    /// `http-error`, whose formats are compiled with the rules.
    Line(Line),
}

/// A section while it is read.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) scope: Scope,
    pub(super) header: Span,
    pub(super) proxy: Proxy,
    pub(super) default_backend: Option<Named>,
    pub(super) use_backend: Vec<RuleLine>,
    pub(super) use_server: Vec<RuleLine>,
    pub(super) monitor: Vec<RuleLine>,
    pub(super) persist: Vec<RuleLine>,
    pub(super) rules: Vec<RuleLine>,
    /// Of defaults with rules: the kind of sections that took them.
    pub(super) heirs: Option<Kind>,
    /// How many of `rules` came from the defaults.
    pub(super) inherited: usize,
    pub(super) tracks: Vec<(usize, Named)>,
    pub(super) default_server: Server,
    pub(super) server_lines: Vec<super::server::Origin>,
    /// `no` (true) or `default` (false) stood before the keyword of this line.
    pub(super) negation: Option<bool>,
    /// `option httplog` and the like: the word and where.
    pub(super) log_preset: Option<Named>,
    /// `log-format` and its siblings: keyword and text.
    pub(super) formats: BTreeMap<&'static str, Named>,
    pub(super) log_global: bool,
    /// Where the last format stands, if formats of rules look at HTTP messages.
    pub(super) http_format: Option<(String, usize)>,
    /// `tcp-request content` rules that may come too early.
    pub(super) content_rules: Vec<ContentRule>,
    /// It has `redirect` lines.
    pub(super) redirects: bool,
    /// It has `http-request` lines.
    pub(super) http_rules: bool,
    /// It has a `balance` line or a server.
    pub(super) balanced: bool,
    /// Faults of log formats, told when all sections were read.
    pub(super) format_faults: Vec<Diagnostic>,
    /// Names in rules that name nothing.
    pub(super) rule_faults: Vec<String>,
    /// Timeouts of the defaults, where there are some.
    pub(super) base_timeouts: Option<Timeouts>,
    pub(super) mode_set: bool,
    /// The section has check rules of its own, so those of its defaults are dropped.
    pub(super) own_checks: bool,
    /// `balance hash EXPR`.
    pub(super) balance_hash: Option<(String, Span)>,
    /// `stats admin` and `stats http-request`.
    pub(super) stats_rules: Vec<RuleLine>,
    /// Error pages in their order: a later line replaces an earlier one.
    pub(super) errorfiles: Vec<ErrorPage>,
    pub(super) switches: Vec<Switch>,
    pub(super) server_switches: Vec<Switch>,
}

/// Retries where none are said.
const RETRIES: u32 = 3;

fn empty_proxy(name: String, kind: Kind) -> Proxy {
    Proxy {
        name,
        kind,
        uuid: 0,
        mode: Mode::Tcp,
        description: None,
        disabled: false,
        binds: Vec::new(),
        maxconn: None,
        fullconn: None,
        backlog: None,
        rate_limit_sessions: 0,
        timeouts: Timeouts::default(),
        options: Options::default(),
        default_backend: None,
        use_backend: Vec::new(),
        use_server: Vec::new(),
        rules: action::RuleSets::default(),
        monitor_uri: None,
        monitor_fail: Vec::<acl::Condition>::new(),
        persist_rules: Vec::new(),
        servers: Roster::default(),
        balance: Balance {
            algorithm: Algorithm::RoundRobin,
            consistent: false,
            function: HashFunction::Sdbm,
            avalanche: false,
        },
        cookie: None,
        dynamic_cookie_key: None,
        retries: RETRIES,
        retry_on: RetryOn::default(),
        redispatch: None,
        http_reuse: HttpReuse::Safe,
        source: None,
        check: Check::default(),
        external_check: None,
        server_state: None,
        stats: None,
        errors: BTreeMap::new(),
        logs: Vec::new(),
        log_tag: None,
        log_format: None,
        error_log_format: None,
        log_format_sd: None,
        unique_id_format: None,
        unique_id_header: None,
        capture_request: Vec::new(),
        capture_response: Vec::new(),
        capture_cookie: None,
        stick_table: None,
        stick_rules: stick::StickRules::default(),
        compression: None,
        forwardfor: None,
        originalto: None,
        dispatch: None,
        hash_balance_factor: 0,
        max_keep_alive_queue: -1,
        send_name_header: None,
    }
}

impl Draft {
    fn new(name: String, scope: Scope, header: Span) -> Self {
        let kind = match scope {
            Scope::Defaults => Kind::Listen,
            Scope::Proxy(kind) => kind,
        };
        Self {
            scope,
            header,
            proxy: empty_proxy(name, kind),
            default_backend: None,
            use_backend: Vec::new(),
            use_server: Vec::new(),
            monitor: Vec::new(),
            persist: Vec::new(),
            rules: Vec::new(),
            heirs: None,
            inherited: 0,
            tracks: Vec::new(),
            default_server: Server::default(),
            server_lines: Vec::new(),
            negation: None,
            log_preset: None,
            formats: BTreeMap::new(),
            log_global: false,
            http_format: None,
            content_rules: Vec::new(),
            redirects: false,
            http_rules: false,
            balanced: false,
            format_faults: Vec::new(),
            rule_faults: Vec::new(),
            base_timeouts: None,
            mode_set: false,
            balance_hash: None,
            own_checks: false,
            stats_rules: Vec::new(),
            errorfiles: Vec::new(),
            switches: Vec::new(),
            server_switches: Vec::new(),
        }
    }

    /// A section that nobody wrote.
    pub(super) fn blank(span: Span) -> Self {
        Self::new(String::new(), Scope::Proxy(Kind::Listen), span)
    }

    /// The first check rule of a section ends what it took of its defaults' rules; with `request` their
    /// `option httpchk` too keeps nothing but its being one.
    pub(super) fn begin_own_checks(&mut self, request: bool) {
        if std::mem::replace(&mut self.own_checks, true) {
            return;
        }
        let check = &mut self.proxy.check;
        check.steps.clear();
        (check.http_rules, check.tcp_rules) = (false, false);
        if let (true, CheckKind::Http { method, uri, version, headers }) = (request, &mut check.kind) {
            for word in [method, uri, version, headers] {
                word.clear();
            }
        }
    }

    /// Takes what a proxy takes from its defaults.
    fn inherit(&mut self, from: &Self) {
        let (own, base) = (&mut self.proxy, &from.proxy);
        own.mode = base.mode;
        own.disabled = base.disabled;
        own.timeouts = base.timeouts.clone();
        own.options = base.options.clone();
        own.errors = base.errors.clone();
        own.logs = base.logs.clone();
        own.log_tag = base.log_tag.clone();
        own.unique_id_header = base.unique_id_header.clone();
        own.compression = base.compression.clone();
        own.forwardfor = base.forwardfor.clone();
        own.originalto = base.originalto.clone();
        own.stats = base.stats.clone();
        if self.scope.is_front() {
            own.maxconn = base.maxconn;
            own.backlog = base.backlog;
            own.rate_limit_sessions = base.rate_limit_sessions;
            own.monitor_uri = base.monitor_uri.clone();
        }
        if self.scope.is_back() {
            own.fullconn = base.fullconn;
            own.balance = base.balance.clone();
            own.cookie = base.cookie.clone();
            own.dynamic_cookie_key = base.dynamic_cookie_key.clone();
            own.retries = base.retries;
            own.retry_on = base.retry_on.clone();
            own.redispatch = base.redispatch;
            own.http_reuse = base.http_reuse;
            own.source = base.source.clone();
            own.check = base.check.clone();
            own.external_check = base.external_check.clone();
            own.server_state = base.server_state.clone();
            own.hash_balance_factor = base.hash_balance_factor;
            own.max_keep_alive_queue = base.max_keep_alive_queue;
            own.send_name_header = base.send_name_header.clone();
        }
        if !self.scope.is_back() {
            // Checks of a frontend mean nothing, but what is told of them does.
            let (own, base) = (&mut own.check, &base.check);
            (own.disable_on_404, own.send_state) = (base.disable_on_404, base.send_state);
            if !matches!(base.kind, CheckKind::Tcp | CheckKind::External) {
                own.kind = CheckKind::TcpCheck;
            }
        }
        self.default_backend = from.default_backend.clone().filter(|_| self.scope.is_front());
        self.default_server = from.default_server.clone();
        self.log_preset = from.log_preset.clone().filter(|_| self.scope.is_front());
        self.formats = from.formats.clone();
        self.log_global = from.log_global;
        self.base_timeouts = Some(base.timeouts.clone());
        self.rules = from.rules.clone();
        self.inherited = from.rules.len();
        self.mode_set = from.mode_set;
        self.balance_hash.clone_from(&from.balance_hash);
        self.balanced = from.balanced;
        self.stats_rules.clone_from(&from.stats_rules);
        self.errorfiles.clone_from(&from.errorfiles);
        if let Scope::Proxy(kind) = self.scope {
            self.proxy.kind = kind;
        }
    }
}

/// Reads one section.
pub(super) fn section(loader: &mut Loader<'_>, section: &Section) {
    let header = &section.header;
    let scope = match header.keyword() {
        "defaults" => Scope::Defaults,
        "frontend" => Scope::Proxy(Kind::Frontend),
        "backend" => Scope::Proxy(Kind::Backend),
        _ => Scope::Proxy(Kind::Listen),
    };
    let Some(mut draft) = open(loader, header, scope) else { return };
    for line in &section.lines {
        keyword::line(loader, &mut draft, line);
    }
    if scope == Scope::Defaults {
        super::compile::defaults(loader, &mut draft);
        loader.defaults.push(draft);
    } else {
        loader.drafts.push(draft);
    }
}

fn open(loader: &mut Loader<'_>, header: &Line, scope: Scope) -> Option<Draft> {
    let word = scope.word();
    let mut args = header.args();
    let name = match (scope, args.peek()) {
        (Scope::Defaults, None) => String::new(),
        (Scope::Defaults, Some(w)) if w.text == "from" => String::new(),
        (_, None) => {
            loader.report.alert(header.span, format!("'{word}' expects an <id> argument"));
            return None;
        }
        (_, Some(w)) => {
            args.next();
            w.text.clone()
        }
    };
    if let Some(bad) = super::server::bad_char(&name) {
        let text = format!("character '{bad}' is not permitted in '{word}' name '{name}'.");
        loader.report.alert(header.span, text);
    }
    let mut draft = Draft::new(name, scope, header.span);
    let base = base_of(loader, header, &mut args, &draft)?;
    if let Some(base) = base {
        heir(loader, header, scope, base);
        let defaults = std::mem::take(&mut loader.defaults);
        draft.inherit(&defaults[base]);
        loader.defaults = defaults;
    }
    duplicate(loader, &draft);
    rest_of_header(loader, header, &mut args, &mut draft);
    Some(draft)
}

/// Who may inherit from defaults that hold TCP or HTTP rules: frontends alone or backends alone.
fn heir(loader: &mut Loader<'_>, header: &Line, scope: Scope, base: usize) {
    let from = &mut loader.defaults[base];
    if from.rules.is_empty() {
        return;
    }
    let place = |span| format!("{}:{}", loader.sources.name(span), loader.sources.line(span));
    let at = place(from.header);
    let fault = match scope {
        Scope::Defaults => Some(format!(
            "a defaults section cannot inherit from a defaults section defining TCP/HTTP rules (defaults section at {at})."
        )),
        Scope::Proxy(Kind::Listen) => Some(
            "a listen section cannot inherit from a defaults section defining TCP/HTTP rules.".to_owned(),
        ),
        Scope::Proxy(kind) if from.heirs.is_some_and(|k| k != kind) => Some(format!(
            "frontends and backends cannot inherit from the same defaults section if it defines TCP/HTTP rules (defaults section at {at})."
        )),
        Scope::Proxy(kind) => {
            from.heirs = Some(kind);
            None
        }
    };
    if let Some(text) = fault {
        let text = format!("parsing [{}]: {text}", place(header.span));
        loader.report.push(Diagnostic::at(Severity::Alert, header.span, text).lead(Lead::Bare));
    }
}

/// `from NAME`, or the last defaults; `None` where the name is unknown.
fn base_of(
    loader: &mut Loader<'_>,
    header: &Line,
    args: &mut Args<'_>,
    draft: &Draft,
) -> Option<Option<usize>> {
    let word = draft.scope.word();
    let old_address = args.peek().is_some_and(|w| w.text != "from");
    if old_address || args.is_empty() {
        let last = loader.defaults.len().checked_sub(1);
        return Some(if draft.scope == Scope::Defaults { None } else { last });
    }
    args.next();
    let Some(base) = args.next() else {
        let text = format!("'{word}' keyword 'from' expects a defaults section name as argument.");
        loader.report.alert(header.span, text);
        return None;
    };
    let found = loader.defaults.iter().rposition(|d| d.proxy.name == base.text);
    let what = match draft.scope {
        Scope::Proxy(kind) => noun(kind),
        Scope::Defaults => word,
    };
    let mut twins = loader.defaults.iter().filter(|d| d.proxy.name == base.text).map(|d| d.header);
    if let (Some(first), Some(second)) = (twins.next(), twins.next()) {
        let at = |span: Span| format!("{}:{}", loader.sources.name(span), loader.sources.line(span));
        let text = format!(
            "ambiguous defaults section name '{}' referenced by {what} '{}' exists at least at {} and {}.",
            base.text,
            draft.proxy.name,
            at(first),
            at(second)
        );
        loader.report.alert(base.span, text);
        return None;
    }
    if found.is_none() {
        let text = format!("defaults section '{}' not found for {what} '{}'.", base.text, draft.proxy.name);
        loader.report.alert(base.span, text);
        return None;
    }
    Some(found)
}

fn duplicate(loader: &mut Loader<'_>, draft: &Draft) {
    let Scope::Proxy(kind) = draft.scope else { return };
    let twin = loader.drafts.iter().find(|d| {
        d.proxy.name == draft.proxy.name
            && (d.proxy.kind.is_front() && kind.is_front() || d.proxy.kind.is_back() && kind.is_back())
    });
    let Some(twin) = twin else { return };
    let text = format!(
        "Parsing [{}:{}]: {} '{}' has the same name as {} '{}' declared at {}:{}.",
        loader.sources.name(draft.header),
        loader.sources.line(draft.header),
        noun(draft.proxy.kind),
        draft.proxy.name,
        noun(twin.proxy.kind),
        twin.proxy.name,
        loader.sources.name(twin.header),
        loader.sources.line(twin.header)
    );
    loader.report.push(Diagnostic::at(Severity::Alert, draft.header, text).lead(Lead::Bare));
}

/// `listen NAME ADDR:PORT`, as before 1.9.
fn rest_of_header(loader: &mut Loader<'_>, header: &Line, args: &mut Args<'_>, draft: &mut Draft) {
    let Some(word) = args.peek() else { return };
    if draft.scope == Scope::Defaults || !draft.scope.is_front() {
        let text = format!("'{}' cannot handle unexpected argument '{}'.", draft.scope.word(), word.text);
        loader.report.alert(word.span, text);
        return;
    }
    let text = format!(
        "listening address '{}' on the '{}' line is the syntax of old versions; please use 'bind {}' on a line of its own.",
        word.text,
        draft.scope.word(),
        word.text
    );
    loader.report.warning(word.span, text);
    let rest = args.take_rest();
    let keyword = Word::new("bind", header.words[0].span);
    let mut words = vec![keyword];
    words.extend(rest.iter().cloned());
    let line = Line { words, span: header.span };
    keyword::line(loader, draft, &line);
}
