//! From a server's settings to what its check does: [`health::Spec`]s for health and agent checks.
//!
//! Absent on purpose: when it is done and what follows from it (`checks.rs`).

use crate::config::model::{
    CheckKind, CheckStep, Config, Proxy, ProxyId, SendProxy, Server, ServerAddress, ServerId,
};
use crate::runtime::Generation;
use crate::runtime::board::{CheckState, ServerDetail, ServerState};
use crate::runtime::evaluate::{self, Notation};
use crate::sample::Value;
use health::probe::http::Request;
use health::probe::process::ExternalCheck;
use health::probe::steps::{
    Action, Comparison, Connect, Expect, Flavour, HeaderMatch, Number, Part, Pattern, Script, Step, Text,
    Transport,
};
use health::probe::{agent, preset};
use health::schedule::Intervals;
use health::{Check, Endpoint, ProxyHeader, Source, Spec, Status};
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The health check of a server; `None` when it has no address yet.
pub fn health(generation: &Generation, proxy: &Proxy, server: &Server, state: &ServerState) -> Option<Spec> {
    let config = &generation.config;
    let (address, own) = told(state, |d| &d.check);
    let (address, own) = (address.or(server.check.addr), own.or(server.check.port));
    let to = endpoint(server, state, address, own)?;
    let check = match &proxy.check.kind {
        CheckKind::External => Check::Process(external(proxy, server, state)),
        kind => {
            let proxies = &generation.config.proxies;
            let backend = proxies.iter().position(|p| std::ptr::eq(p, proxy)).map_or(ProxyId(0), ProxyId);
            let own = proxy.servers.iter().position(|s| std::ptr::eq(s, server));
            let place = Place { generation, at: (backend, own.map_or(ServerId(0), ServerId)) };
            let mut script = script(&place, proxy, kind);
            // A server that is down does not come up that way.
            let oper = state.oper.load(std::sync::atomic::Ordering::Relaxed);
            script.disable_on_404 &= oper != crate::runtime::board::oper::STOPPED;
            if proxy.check.send_state {
                let told = told_state(config, proxy, server, state);
                for step in &mut script.steps {
                    if let Action::SendHttp(request) = &mut step.action {
                        request.headers.push(("X-Haproxy-Server-State".to_owned(), told.clone()));
                    }
                }
            }
            Check::Steps(script)
        }
    };
    let intervals = intervals(proxy, server, 0);
    let (connect, exchange) = intervals.timeouts(proxy.timeouts.check, proxy.timeouts.connect);
    let mut spec = Spec::new(to, connect, check);
    spec.exchange_timeout = exchange;
    spec.reset = true;
    spec.source = source(server.source.as_ref().or(proxy.source.as_ref()));
    // Neither do servers that commands add: what a check of theirs speaks is said in so many words.
    let own_port = own.is_some() || address.is_some() || server.added.is_some();
    let server_tls = server.tls.as_ref().is_some_and(|t| t.enabled) && !own_port;
    if (server.check.ssl || server_tls) && !server.check.no_ssl {
        spec.tls = Some(tls_options(config, proxy, server));
    }
    (spec.relay, spec.via_relay) = (server.socks4, server.check.via_socks4);
    if server.check.send_proxy || (!server.send_proxy.is_none() && !own_port) {
        let v2 = server.send_proxy.has(SendProxy::V2);
        spec.proxy_header = Some(if v2 { ProxyHeader::V2 } else { ProxyHeader::V1 });
    }
    Some(spec)
}

/// `http-check send-state`: what the server is told of itself.
fn told_state(config: &Config, proxy: &Proxy, server: &Server, state: &ServerState) -> String {
    use crate::runtime::board::oper;
    use std::sync::atomic::Ordering::Relaxed;
    let (enabled, health, rise, fall) = {
        let detail = state.detail.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let check = &detail.check;
        (check.enabled && !check.paused, check.health, check.rise, check.fall)
    };
    let oper = state.oper.load(Relaxed);
    let full = health + 1 == rise + fall;
    let left = (health + 1).saturating_sub(rise);
    let word = match oper {
        _ if !enabled => "no check".to_owned(),
        oper::STOPPED if health > 0 => format!("DOWN {health}/{rise}"),
        oper::STOPPED => "DOWN".to_owned(),
        oper::STOPPING if full => "NOLB".to_owned(),
        oper::STOPPING => format!("NOLB {left}/{fall}"),
        _ if full => "UP".to_owned(),
        _ => format!("UP {left}/{fall}"),
    };
    let address = state.address();
    let node = config.global.node.clone().unwrap_or_else(|| {
        nix::unistd::gethostname().map_or_else(|_| String::new(), |h| h.to_string_lossy().into_owned())
    });
    let weight = state.user_weight.load(Relaxed) * state.ramp() / crate::balance::turns::PARTS;
    let total: u32 = proxy.servers.iter().filter(|s| s.backup == server.backup).map(|s| s.weight).sum();
    let sessions = state.counters.cur_sess.load(Relaxed);
    let queued = state.counters.queue_cur.load(Relaxed);
    let mut text = format!(
        "{word}; address={}; port={}; name={}/{}; node={node}; weight={weight}/{total}; scur={sessions}/{sessions}; \
         qcur={queued}",
        address.map_or(String::new(), |a| a.ip().to_string()),
        address.map_or(String::new(), |a| a.port().to_string()),
        proxy.name,
        server.name,
    );
    if let Some(percent) = state.slow_start_percent() {
        text.push_str(&format!("; throttle={percent}%"));
    }
    text
}

/// The agent check of a server.
pub fn agent(proxy: &Proxy, server: &Server, state: &ServerState) -> Option<Spec> {
    let (address, port) = told(state, |d| &d.agent);
    let to = endpoint(server, state, address.or(server.agent.addr), port.or(server.agent.port))?;
    let send = {
        let detail = state.detail.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        detail.agent.send.clone().or_else(|| server.agent.send.clone()).unwrap_or_default().into_bytes()
    };
    let inter = server.agent.inter.unwrap_or(server.check.inter);
    let initial = || state.initial_weight.load(std::sync::atomic::Ordering::Relaxed);
    let only_weight = crate::balance::is_static(&proxy.balance).then(initial);
    let (connect, exchange) =
        Intervals { inter, ..Intervals::default() }.timeouts(proxy.timeouts.check, proxy.timeouts.connect);
    let spec = Spec::new(to, connect, Check::Agent(agent::Agent { send, only_weight }));
    Some(Spec { exchange_timeout: exchange, reset: true, ..spec })
}

/// The intervals of a server's health check.
pub fn intervals(_: &Proxy, server: &Server, spread_percent: u32) -> Intervals {
    let check = &server.check;
    Intervals { inter: check.inter, fast: check.fastinter, down: check.downinter, spread_percent }
}

/// What the command line said of where a check goes.
fn told(
    state: &ServerState,
    which: fn(&ServerDetail) -> &CheckState,
) -> (Option<std::net::IpAddr>, Option<u16>) {
    let detail = state.detail.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    (which(&detail).address, which(&detail).port)
}

fn endpoint(
    server: &Server,
    state: &ServerState,
    addr: Option<std::net::IpAddr>,
    port: Option<u16>,
) -> Option<Endpoint> {
    match &server.address {
        ServerAddress::Unix(path) => Some(Endpoint::Unix(path.clone())),
        ServerAddress::Abstract(name) => Some(Endpoint::Abstract(String::from_utf8_lossy(name).into_owned())),
        _ => {
            let own = state.address();
            let ip = addr.or(own.map(|a| a.ip()))?;
            // A command may set it to none: the server's own.
            let port = port.filter(|p| *p > 0).or(own.map(|a| a.port())).filter(|p| *p > 0)?;
            Some(Endpoint::Socket(SocketAddr::new(ip, port)))
        }
    }
}

fn source(source: Option<&crate::config::model::Source>) -> Source {
    let Some(source) = source else { return Source::default() };
    let address = Some(source.address.ip()).filter(|ip| !ip.is_unspecified());
    Source { address, port: None, interface: source.interface.clone(), mark: 0 }
}

fn tls_options(config: &Config, proxy: &Proxy, server: &Server) -> tls::client::Options {
    let mut options = crate::net::tls::client_options(server, &config.global);
    if let Some(alpn) = &server.check.alpn {
        options.limits.alpn.clone_from(alpn);
    }
    if matches!(proxy.check.kind, CheckKind::Http { .. }) {
        // What HTTP checks speak is HTTP/1.
        options.limits.alpn.retain(|p| p != "h2");
    }
    if let Some(sni) = &server.check.sni {
        options.sni = Some(sni.clone());
    }
    options
}

fn external(proxy: &Proxy, server: &Server, state: &ServerState) -> health::probe::process::Process {
    let settings = proxy.external_check.as_ref();
    let address = state.address();
    let front = proxy.binds.iter().find_map(|b| match &b.address {
        crate::config::model::BindAddress::Inet(a) => Some(*a),
        _ => None,
    });
    let text = |a: Option<SocketAddr>| {
        a.map_or((String::new(), String::new()), |a| (a.ip().to_string(), a.port().to_string()))
    };
    let ((front_ip, front_port), (ip, port)) = (text(front), text(address));
    ExternalCheck {
        command: settings.and_then(|s| s.command.as_deref()).unwrap_or_default(),
        path: settings.and_then(|s| s.path.as_deref()),
        proxy_address: &front_ip,
        proxy_port: &front_port,
        proxy_id: proxy.uuid,
        proxy_name: &proxy.name,
        server_address: &ip,
        server_port: &port,
        server_id: server.uuid,
        server_name: &server.name,
        server_maxconn: server.maxconn,
        server_connections: state.sessions.load(std::sync::atomic::Ordering::Relaxed).max(0) as u32,
        server_tls: server.tls.as_ref().is_some_and(|t| t.enabled),
        server_protocol: "h1",
    }
    .process()
}

/// Whose check it is.
struct Place<'g> {
    generation: &'g Generation,
    at: (ProxyId, ServerId),
}

fn script(place: &Place<'_>, proxy: &Proxy, kind: &CheckKind) -> Script {
    match kind {
        CheckKind::Tcp | CheckKind::External => Script::connect_only(),
        CheckKind::TcpCheck => {
            let steps = proxy.check.steps.iter().filter_map(|s| tcp_step(place, s)).collect();
            Script { flavour: Flavour::TcpCheck, steps, disable_on_404: false }
        }
        CheckKind::Http { method, uri, version, headers } => {
            let default = request(method, uri, version, headers);
            http_script(place, proxy, default)
        }
        CheckKind::SslHello => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
            preset::ssl_hello_check(now.as_secs() as u32)
        }
        CheckKind::Smtp(hello) => preset::smtp(hello),
        CheckKind::Ldap => preset::ldap_check(),
        CheckKind::Mysql(None) => preset::mysql_check("", preset::MysqlLogin::None),
        CheckKind::Mysql(Some((user, post41))) => preset::mysql_check(
            user,
            if *post41 { preset::MysqlLogin::Post41 } else { preset::MysqlLogin::Pre41 },
        ),
        CheckKind::Pgsql(user) => preset::pgsql(user),
        CheckKind::Redis => preset::redis(),
        CheckKind::Spop => preset::spop_check(),
    }
}

/// `option httpchk METHOD URI VERSION`, with header lines behind the version in old files.
fn request(method: &str, uri: &str, version: &str, headers: &str) -> Request {
    let pick = |text: &str, default: &str| if text.is_empty() { default.to_owned() } else { text.to_owned() };
    let lines = headers.split("\r\n").filter_map(|l| l.split_once(':'));
    Request {
        method: pick(method, "OPTIONS"),
        uri: pick(uri, "/"),
        version: pick(version, "HTTP/1.0"),
        headers: lines.map(|(n, v)| (n.trim().to_owned(), v.trim().to_owned())).collect(),
        body: Vec::new(),
    }
}

fn http_script(place: &Place<'_>, proxy: &Proxy, default: Request) -> Script {
    let mut steps: Vec<Step> = Vec::new();
    let mut sends = false;
    for step in &proxy.check.steps {
        let words: Vec<&str> = step.words.iter().map(String::as_str).collect();
        match step.keyword.as_str() {
            "connect" => {
                let mut step = connect(&words);
                if let Action::Connect(Connect { transport: Transport::Own { tls: Some(tls), .. }, .. }) =
                    &mut step.action
                {
                    // What HTTP checks speak is HTTP/1.
                    tls.limits.alpn.retain(|p| p != "h2");
                }
                steps.push(step);
            }
            "send" => {
                let comment = commented(&words);
                let first = !sends;
                sends = true;
                let base = if first { default.clone() } else { Request::default() };
                steps.push(Step { action: Action::SendHttp(send(place, &words, base)), comment });
            }
            "expect" => {
                if !sends {
                    sends = true;
                    steps.push(Action::SendHttp(default.clone()).into());
                }
                steps.extend(expect(place, &words, true));
            }
            "comment" => steps.push(comment(&words)),
            _ => {}
        }
    }
    if !sends {
        steps.push(Action::SendHttp(default).into());
    }
    let expects = steps.iter().any(|s| matches!(s.action, Action::Expect(_)));
    if !expects {
        // Without any expectation 2xx and 3xx are good.
        steps.push(Action::Expect(Box::new(Expect::new(Pattern::HttpStatus(vec![(200, 399)])))).into());
    }
    Script { flavour: Flavour::HttpCheck, steps, disable_on_404: proxy.check.disable_on_404 }
}

/// A log format's text now, made of what needs no stream.
fn formatted(place: &Place<'_>, text: &str) -> String {
    if !text.contains('%') {
        return text.to_owned();
    }
    let made = evaluate::value_at(place.generation, place.at, text, Notation::Format).ok().flatten();
    let made = made.and_then(Value::into_text).map(|b| String::from_utf8_lossy(&b).into_owned());
    made.unwrap_or_default()
}

fn send(place: &Place<'_>, words: &[&str], mut request: Request) -> Request {
    let mut at = 0;
    let word = |i: usize| words.get(i).map(|w| (*w).to_owned()).unwrap_or_default();
    while at < words.len() {
        match words[at] {
            "meth" => request.method = word(at + 1),
            "uri" => request.uri = word(at + 1),
            "uri-lf" => request.uri = formatted(place, &word(at + 1)),
            "ver" => request.version = word(at + 1),
            "body" => request.body = word(at + 1).into_bytes(),
            "body-lf" => request.body = formatted(place, &word(at + 1)).into_bytes(),
            "hdr" => {
                request.headers.push((word(at + 1), formatted(place, &word(at + 2))));
                at += 1;
            }
            "comment" => {}
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
    }
    request
}

fn comment(words: &[&str]) -> Step {
    Step { action: Action::Comment, comment: Some(words.join(" ")) }
}

fn connect(words: &[&str]) -> Step {
    let mut connect = Connect::default();
    let (mut tls, mut header, mut via_relay, mut own) = (None, None, false, false);
    let mut at = 0;
    while at < words.len() {
        let next = words.get(at + 1).copied().unwrap_or_default();
        match words[at] {
            "port" => connect.port = next.parse().ok(),
            "addr" => {
                connect.address =
                    next.parse().ok().or_else(|| next.parse().ok().map(|ip| SocketAddr::new(ip, 0)));
            }
            "ssl" => {
                tls.get_or_insert_with(tls::client::Options::default);
                own = true;
            }
            "sni" => tls.get_or_insert_with(tls::client::Options::default).sni = Some(next.to_owned()),
            "alpn" => {
                let limits = &mut tls.get_or_insert_with(tls::client::Options::default).limits;
                limits.alpn = next.split(',').map(str::to_owned).collect();
            }
            "send-proxy" => (header, own) = (Some(ProxyHeader::V1), true),
            "via-socks4" => (via_relay, own) = (true, true),
            "linger" => connect.linger = true,
            _ => {}
        }
        at += if matches!(words[at], "port" | "addr" | "sni" | "alpn" | "proto" | "comment") { 2 } else { 1 };
    }
    if own {
        connect.transport = Transport::Own { tls: tls.map(Box::new), proxy_header: header, via_relay };
    }
    Step { action: Action::Connect(connect), comment: commented(words) }
}

/// `comment TEXT` among a step's words.
fn commented(words: &[&str]) -> Option<String> {
    let at = words.iter().position(|w| *w == "comment")?;
    words.get(at + 1).map(|w| (*w).to_owned())
}

fn tcp_step(place: &Place<'_>, step: &CheckStep) -> Option<Step> {
    let words: Vec<&str> = step.words.iter().map(String::as_str).collect();
    match step.keyword.as_str() {
        "connect" => Some(connect(&words)),
        word @ ("send" | "send-lf") => {
            let text = written(place, word, words.first()?);
            let action = Action::Send(text.into_bytes());
            Some(Step { action, comment: commented(&words[1..]) })
        }
        word @ ("send-binary" | "send-binary-lf") => {
            let digits = written(place, word, words.first()?);
            Some(Step { action: Action::Send(unhex(&digits)?), comment: commented(&words[1..]) })
        }
        "expect" => expect(place, &words, false),
        "comment" => Some(comment(&words)),
        _ => None,
    }
}

/// What a word's value says: as it stands, or as a log format where the word ends so.
fn written(place: &Place<'_>, word: &str, value: &str) -> String {
    if word.ends_with("-lf") { formatted(place, value) } else { value.to_owned() }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    (0..text.len() / 2).map(|i| u8::from_str_radix(text.get(2 * i..2 * i + 2)?, 16).ok()).collect()
}

fn expect(place: &Place<'_>, words: &[&str], http: bool) -> Option<Step> {
    let (mut comment, mut found) = (None, false);
    let mut expect = Expect::new(Pattern::String(Vec::new()));
    let mut at = 0;
    while at < words.len() {
        let next = words.get(at + 1).copied().unwrap_or_default();
        match words[at] {
            "!" => {
                expect.negate = !expect.negate;
                at += 1;
                continue;
            }
            "min-recv" => expect.min_recv = next.parse().unwrap_or(0),
            "ok-status" => expect.ok_status = Status::by_name(next),
            "error-status" => expect.error_status = Status::by_name(next),
            "tout-status" => expect.timeout_status = Status::by_name(next),
            "comment" => comment = Some(next.to_owned()),
            "on-success" => expect.on_success = Some(text(place, next)),
            "on-error" => expect.on_error = Some(text(place, next)),
            "status-code" => expect.status_code = number(place, next),
            kind => {
                expect.pattern = pattern(place, kind, &words[at + 1..], http)?;
                found = true;
                if matches!(kind, "hdr" | "fhdr") {
                    at += 1 + header_words(&words[at + 1..]);
                    continue;
                }
            }
        }
        at += 2;
    }
    found.then(|| Step { action: Action::Expect(Box::new(expect)), comment })
}

/// How many words the test of a header field has.
fn header_words(words: &[&str]) -> usize {
    let mut at = 0;
    while matches!(words.get(at), Some(&("name" | "name-lf" | "value" | "value-lf"))) {
        at += if words.get(at + 1) == Some(&"-m") { 4 } else { 2 };
    }
    at.min(words.len())
}

/// `on-success` and `on-error`: literal text, and what of the reply it names.
fn text(place: &Place<'_>, format: &str) -> Text {
    let mut parts = Vec::new();
    let mut rest = format;
    while let Some((before, behind)) = rest.split_once("%[") {
        let (inner, after) = behind.split_once(']').unwrap_or((behind, ""));
        parts.push(Part::Literal(before.to_owned()));
        parts.push(match inner.split('(').next().unwrap_or_default() {
            "status" | "res.status" => Part::HttpStatus,
            "check.payload" | "res.payload" => payload(inner),
            _ => Part::Literal(formatted(place, &format!("%[{inner}]"))),
        });
        rest = after;
    }
    parts.push(Part::Literal(rest.to_owned()));
    Text(parts)
}

/// `status-code`: an expression over the reply, or one that needs none. `None` leaves the status of the answer.
fn number(place: &Place<'_>, expression: &str) -> Option<Number> {
    if expression.starts_with("check.payload") || expression.starts_with("res.payload") {
        let Part::Payload { offset, length, .. } = payload(expression) else { return None };
        return Some(Number::Payload { offset, length });
    }
    let made =
        evaluate::value_at(place.generation, place.at, expression, Notation::Expression).ok().flatten();
    made.and_then(Value::into_int).map(Number::Fixed)
}

/// `check.payload(offset,length),converters`.
fn payload(inner: &str) -> Part {
    let arguments = inner.split_once('(').and_then(|(_, r)| r.split_once(')')).map_or("", |(a, _)| a);
    let mut numbers = arguments.split(',').map(|n| n.trim().parse().unwrap_or(0));
    let (offset, length) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    Part::Payload { offset, length, cut_line: inner.contains("cut_crlf"), trim: inner.contains("ltrim") }
}

fn pattern(place: &Place<'_>, kind: &str, words: &[&str], http: bool) -> Option<Pattern> {
    let text = written(place, kind, words.first().copied().unwrap_or_default());
    let text = text.as_str();
    Some(match (kind, http) {
        ("string" | "string-lf", false) => Pattern::String(text.as_bytes().to_vec()),
        ("string" | "string-lf", true) => Pattern::HttpBody(text.as_bytes().to_vec()),
        ("rstring", false) => Pattern::Regex(text.to_owned()),
        ("rstring", true) => Pattern::HttpBodyRegex(text.to_owned()),
        ("binary" | "binary-lf", _) => Pattern::Binary(unhex(text)?),
        ("rbinary", _) => Pattern::BinaryRegex(text.to_owned()),
        ("rstatus", _) => Pattern::HttpStatusRegex(text.to_owned()),
        ("status", _) => {
            let range = |part: &str| match part.split_once('-') {
                Some((a, b)) => Some((a.parse().ok()?, b.parse().ok()?)),
                None => part.parse().ok().map(|n| (n, n)),
            };
            Pattern::HttpStatus(
                text.split([',', ' ']).filter(|p| !p.is_empty()).map(range).collect::<Option<_>>()?,
            )
        }
        ("hdr" | "fhdr", _) => Pattern::HttpHeader(header(place, words, kind == "fhdr")?),
        _ => return None,
    })
}

fn header(place: &Place<'_>, words: &[&str], full: bool) -> Option<HeaderMatch> {
    let (mut name, mut value) = (None, None);
    let mut at = 0;
    while at < words.len() {
        let word = words[at];
        let slot = match word {
            "name" | "name-lf" => &mut name,
            "value" | "value-lf" => &mut value,
            _ => {
                at += 1;
                continue;
            }
        };
        at += 1;
        let mut how = Comparison::Equal;
        if words.get(at) == Some(&"-m") {
            how = match *words.get(at + 1)? {
                "beg" => Comparison::Begin,
                "end" => Comparison::End,
                "sub" => Comparison::Contains,
                "reg" => Comparison::Regex,
                _ => Comparison::Equal,
            };
            at += 2;
        }
        *slot = Some((how, written(place, word, words.get(at)?)));
        at += 1;
    }
    Some(HeaderMatch { name: name?, value, full })
}
