//! A stream to evaluate expressions on, for unit tests of rules, samples, ACLs and logs.

use super::expr::{Captures, Refs, Scope};
use crate::acl::Acl;
use crate::acl::file::PatRefs;
use crate::config::model::{
    Algorithm, Balance, Check, Config, HashFunction, HttpReuse, Kind, Mode, Options, Proxy, ProxyId, RetryOn,
    Timeouts,
};
use crate::http::message::{Message, Start};
use crate::runtime::Generation;
use crate::runtime::board::Board;
use crate::stick::Tables;
use crate::stream::txn::{EndedBy, EndedIn, Peer, RequestCookie, ResponseCookie, Session, Times, Txn};
use crate::stream::vars::Vars;
use crate::stream::view::{Phase, View};
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};

fn proxy(name: &str) -> Proxy {
    Proxy {
        name: name.to_owned(),
        kind: Kind::Frontend,
        uuid: 2,
        mode: Mode::Http,
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
        rules: crate::action::RuleSets::default(),
        monitor_uri: None,
        monitor_fail: Vec::new(),
        persist_rules: Vec::new(),
        servers: crate::config::model::Roster::default(),
        balance: Balance {
            algorithm: Algorithm::RoundRobin,
            consistent: false,
            function: HashFunction::Sdbm,
            avalanche: false,
        },
        cookie: None,
        dynamic_cookie_key: None,
        retries: 3,
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
        stick_rules: crate::stick::StickRules::default(),
        compression: None,
        forwardfor: None,
        originalto: None,
        dispatch: None,
        hash_balance_factor: 0,
        max_keep_alive_queue: -1,
        send_name_header: None,
    }
}

/// A request head from its text.
pub fn request(text: &str) -> Message {
    let mut m = Message::default();
    let mut lines = text.lines();
    let mut first = lines.next().unwrap_or("GET / HTTP/1.1").split(' ');
    let (method, uri) = (first.next().unwrap_or("GET"), first.next().unwrap_or("/"));
    let (method, uri) = (m.store(method.as_bytes()), m.store(uri.as_bytes()));
    m.start = Start::Request { method, uri };
    for line in lines {
        if let Some((name, value)) = line.split_once(':') {
            m.add(name.as_bytes(), value.trim().as_bytes());
        }
    }
    m
}

/// A response from its status line and header lines.
pub fn response(text: &str) -> Message {
    let mut m = request(text);
    let (status, reason) = (text.split(' ').nth(1).and_then(|s| s.parse().ok()), m.store(b"OK"));
    m.start = Start::Response { status: status.unwrap_or(200), reason };
    m
}

fn session() -> Session {
    let at = |port| Peer::Inet(([127, 0, 0, 1], port).into());
    Session {
        id: 1,
        accepted: Instant::now(),
        accepted_at: UNIX_EPOCH + Duration::from_millis(1_600_000_000_123),
        frontend: ProxyId(0),
        bind: 0,
        src: at(4000),
        dst: at(80),
        real_src: at(4000),
        real_dst: at(80),
        ..Session::blank()
    }
}

fn txn(request: &Message) -> Txn {
    let line = [request.method(), b" ", request.uri(), b" HTTP/1.1"].concat();
    Txn {
        resolving: None,
        id: 7,
        number: 0,
        start: Instant::now(),
        start_at: UNIX_EPOCH + Duration::from_millis(1_600_000_000_123),
        start_ms: 0,
        times: Times::default(),
        backend: None,
        server: None,
        server_note: None,
        method: request.method().to_vec(),
        request_line: line,
        uri: request.uri().to_vec(),
        version: (1, 1),
        status: 0,
        server_status: 0,
        bytes_out: 0,
        bytes_in: 0,
        captures_req: RefCell::default(),
        captures_res: RefCell::default(),
        cookie_req: None,
        cookie_res: None,
        cookie_state: RequestCookie::None,
        cookie_action: ResponseCookie::None,
        ended_by: EndedBy::Nobody,
        ended_in: EndedIn::None,
        retries: 0,
        redispatched: false,
        server_queue: 0,
        backend_queue: 0,
        counts: [1, 1, 0, 0],
        unique_id: std::cell::OnceCell::new(),
        vars: Vars::default(),
        message_vars: Vars::default(),
        responding: false,
        tracked: Vec::new(),
        log_level: None,
        priority: (0, 0),
        timeout_server: None,
        timeout_tunnel: None,
        timeout_client: None,
        no_l7_retry: false,
        last_rule: None,
        server_ends: None,
        compression: None,
        compressed: false,
        cache: None,
        server_fault: 0,
        src: None,
        dst: None,
        server_tls: None,
        strict_rewriting: true,
    }
}

/// Everything a rule is compiled and run against.
pub struct Fixture {
    /// The generation, with one frontend `f`.
    pub generation: Generation,
    /// Named ACLs.
    pub acls: HashMap<String, Arc<Acl>>,
    /// Late references.
    pub refs: Refs,
    /// Warnings of the last compilation.
    pub warnings: Vec<String>,
    late: Vec<String>,
    captures: Captures,
    errors: BTreeMap<String, Arc<BTreeMap<u16, crate::config::model::ErrorReply>>>,
    files: PatRefs,
}

impl Default for Fixture {
    fn default() -> Self {
        Self::new()
    }
}

impl Fixture {
    /// A fresh one.
    pub fn new() -> Self {
        let config = Config { proxies: vec![proxy("f")], ..Config::default() };
        let generation = Generation::build(1, config, Arc::new(Board::default()));
        Self {
            generation,
            acls: HashMap::new(),
            refs: Refs::default(),
            warnings: Vec::new(),
            late: Vec::new(),
            captures: Captures::default(),
            errors: BTreeMap::new(),
            files: PatRefs::default(),
        }
    }

    /// The scope of a line of frontend `f`, and the ACLs to define more.
    pub fn scope<R>(&mut self, run: impl FnOnce(&mut Scope<'_>) -> R) -> R {
        run(&mut Scope {
            proxy: "f",
            kind: Kind::Frontend,
            mode: Mode::Http,
            origin: ("a.cfg", 3),
            within: "",
            files: &self.files,
            acls: &self.acls,
            refs: &mut self.refs,
            late: &mut self.late,
            warnings: &mut self.warnings,
            stick_counters: 3,
            formats: &mut crate::sample::expr::FormatsSeen::default(),
            captures: &mut self.captures,
            http_errors: &self.errors,
        })
    }

    /// Binds late names to tables.
    pub fn bind(&self, tables: &Tables) {
        self.refs.bind(&self.generation.config, tables);
    }

    /// Runs something on a stream whose request is `head`.
    pub fn view<R>(&self, head: &str, run: impl FnOnce(&mut View<'_>) -> R) -> R {
        let mut request = request(head);
        let mut session = session();
        let mut txn = txn(&request);
        let mut view = View {
            now: Instant::now(),
            wall: UNIX_EPOCH + Duration::from_millis(1_600_000_001_456),
            generation: &self.generation,
            proxy: &self.generation.config.proxies[0],
            phase: Phase::RequestHead,
            session: &mut session,
            txn: Some(&mut txn),
            request: Some(&mut request),
            response: None,
            request_bytes: b"",
            request_ended: true,
            response_bytes: b"",
            response_ended: false,
            may_wait: false,
        };
        run(&mut view)
    }
}
