//! `option …` and `timeout …`.

use super::keyword::Cx;
use super::model::{CheckKind, ConnectionMode, ForwardHeader, Kind, Options, RestrictNames, Timeouts};
use super::proxy::{Named, Scope};
use conf_parsers::args::{Args, Fault};
use conf_parsers::table::{Named as Row, Table, did_you_mean};
use conf_parsers::value::{NumberFault, TimeUnit, duration};
use std::time::Duration;

/// Which side an option belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Any,
    Front,
    Back,
}

/// A switch: `option X`, `no option X`.
struct Switch {
    name: &'static str,
    side: Side,
    /// It means something in mode http only.
    http: bool,
    field: fn(&mut Options) -> &mut bool,
}

impl Row for Switch {
    fn name(&self) -> &'static str {
        self.name
    }
}

const fn switch(name: &'static str, side: Side, field: fn(&mut Options) -> &mut bool) -> Switch {
    Switch { name, side, http: false, field }
}

const fn http(name: &'static str, side: Side, field: fn(&mut Options) -> &mut bool) -> Switch {
    Switch { name, side, http: true, field }
}

/// Options that are on or off.
static SWITCHES: Table<Switch> = Table::new(&[
    switch("abortonclose", Side::Back, |o| &mut o.abortonclose),
    switch("allbackups", Side::Back, |o| &mut o.allbackups),
    http("checkcache", Side::Back, |o| &mut o.checkcache),
    switch("clitcpka", Side::Front, |o| &mut o.clitcpka),
    switch("contstats", Side::Front, |o| &mut o.contstats),
    switch("dontlognull", Side::Front, |o| &mut o.dontlognull),
    http("http-buffer-request", Side::Any, |o| &mut o.http_buffer_request),
    http("http-ignore-probes", Side::Front, |o| &mut o.http_ignore_probes),
    http("idle-close-on-response", Side::Front, |o| &mut o.idle_close_on_response),
    http("prefer-last-server", Side::Back, |o| &mut o.prefer_last_server),
    switch("logasap", Side::Front, |o| &mut o.logasap),
    switch("nolinger", Side::Any, |o| &mut o.nolinger),
    switch("persist", Side::Back, |o| &mut o.persist),
    switch("srvtcpka", Side::Back, |o| &mut o.srvtcpka),
    switch("transparent", Side::Back, |o| &mut o.transparent),
    switch("splice-request", Side::Any, |o| &mut o.splice_request),
    switch("splice-response", Side::Any, |o| &mut o.splice_response),
    switch("splice-auto", Side::Any, |o| &mut o.splice_auto),
    http("accept-invalid-http-request", Side::Front, |o| &mut o.accept_invalid_http_request),
    http("accept-invalid-http-response", Side::Back, |o| &mut o.accept_invalid_http_response),
    switch("accept-unsafe-violations-in-http-request", Side::Front, |o| &mut o.accept_invalid_http_request),
    switch("accept-unsafe-violations-in-http-response", Side::Back, |o| &mut o.accept_invalid_http_response),
    switch("dontlog-normal", Side::Front, |o| &mut o.dontlog_normal),
    switch("log-separate-errors", Side::Front, |o| &mut o.log_separate_errors),
    switch("log-health-checks", Side::Back, |o| &mut o.log_health_checks),
    switch("socket-stats", Side::Front, |o| &mut o.socket_stats),
    switch("tcp-smart-accept", Side::Front, |o| &mut o.tcp_smart_accept),
    switch("tcp-smart-connect", Side::Back, |o| &mut o.tcp_smart_connect),
    switch("independent-streams", Side::Any, |o| &mut o.independent_streams),
    http("http-use-proxy-header", Side::Front, |o| &mut o.http_use_proxy_header),
    http("http-pretend-keepalive", Side::Back, |o| &mut o.http_pretend_keepalive),
    http("http-no-delay", Side::Any, |o| &mut o.http_no_delay),
    switch("http_proxy", Side::Any, |o| &mut o.http_proxy),
    switch("h1-case-adjust-bogus-client", Side::Front, |o| &mut o.h1_case_adjust_bogus_client),
    switch("h1-case-adjust-bogus-server", Side::Back, |o| &mut o.h1_case_adjust_bogus_server),
    http("disable-h2-upgrade", Side::Front, |o| &mut o.disable_h2_upgrade),
]);

type Run = for<'w> fn(&mut Cx<'_, '_>, &mut Args<'w>) -> Result<(), Fault>;

/// Options with behaviour of their own.
static OPTIONS: Table<(&str, (Side, Run))> = Table::new(&[
    ("httpclose", (Side::Any, |cx, args| mode(cx, args, ConnectionMode::Close))),
    ("forceclose", (Side::Any, forceclose)),
    ("http-server-close", (Side::Any, |cx, args| mode(cx, args, ConnectionMode::ServerClose))),
    ("http-keep-alive", (Side::Any, |cx, args| mode(cx, args, ConnectionMode::KeepAlive))),
    ("http-tunnel", (Side::Any, http_tunnel)),
    ("httplog", (Side::Any, log_preset)),
    ("httpslog", (Side::Any, log_preset)),
    ("tcplog", (Side::Any, log_preset)),
    ("tcpka", (Side::Any, tcpka)),
    ("httpchk", (Side::Back, httpchk)),
    ("ssl-hello-chk", (Side::Back, |cx, _| kind(cx, CheckKind::SslHello))),
    ("smtpchk", (Side::Back, smtpchk)),
    ("pgsql-check", (Side::Back, pgsql)),
    ("redis-check", (Side::Back, |cx, a| alone(cx, a).and_then(|()| kind(cx, CheckKind::Redis)))),
    ("mysql-check", (Side::Back, mysql)),
    ("ldap-check", (Side::Back, |cx, a| alone(cx, a).and_then(|()| kind(cx, CheckKind::Ldap)))),
    ("spop-check", (Side::Back, |cx, a| alone(cx, a).and_then(|()| kind(cx, CheckKind::Spop)))),
    ("tcp-check", (Side::Back, |cx, a| alone(cx, a).and_then(|()| kind(cx, CheckKind::TcpCheck)))),
    ("external-check", (Side::Back, |cx, a| alone(cx, a).and_then(|()| kind(cx, CheckKind::External)))),
    ("forwardfor", (Side::Any, forwardfor)),
    ("originalto", (Side::Any, originalto)),
    ("redispatch", (Side::Back, redispatch)),
    ("http-restrict-req-hdr-names", (Side::Any, restrict_names)),
    ("http-drop-request-trailers", (Side::Any, inert)),
    ("http-drop-response-trailers", (Side::Any, inert)),
    ("forwarded", (Side::Any, inert)),
    ("use-small-buffers", (Side::Any, inert)),
    ("tcp-ut", (Side::Any, inert)),
    ("http-use-htx", (Side::Any, htx)),
    ("tcpsplice", (Side::Any, tcpsplice)),
]);

/// Each switch with the sides it is for, as `-dKcfg` prints it.
pub(super) fn shapes() -> Vec<String> {
    let shape = |s: &Switch| {
        let sides = match s.side {
            Side::Any => " FE BE",
            Side::Front => " FE",
            Side::Back => " BE",
        };
        let http = if s.http { " HTTP" } else { "" };
        format!("\toption {} [{sides}{http} ]", s.name)
    };
    let mut all: Vec<String> = SWITCHES.rows().iter().map(shape).collect();
    all.extend(OPTIONS.names().map(|name| format!("\toption {name}")));
    all.sort_unstable();
    all
}

/// Names of the options that are on and mean something in mode http only, in the order they are told.
pub(super) fn of_http(proxy: &super::model::Proxy) -> Vec<&'static str> {
    let mut options = proxy.options.clone();
    let fits = |s: &&Switch| match s.side {
        Side::Any => true,
        Side::Front => proxy.kind.is_front(),
        Side::Back => proxy.kind.is_back(),
    };
    let forwarding = [("forwardfor", proxy.forwardfor.is_some()), ("originalto", proxy.originalto.is_some())];
    let mut on: Vec<&str> = forwarding.into_iter().filter(|(_, on)| *on).map(|(name, _)| name).collect();
    let switches = SWITCHES.rows().iter().filter(|s| s.http).filter(fits);
    on.extend(switches.filter(|s| *(s.field)(&mut options)).map(|s| s.name));
    on
}

/// The options' names, for tests.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    SWITCHES.names().chain(OPTIONS.names())
}

/// The timeouts' names, for tests.
pub(super) fn timeouts() -> impl Iterator<Item = &'static str> {
    TIMEOUTS.names()
}

/// `option`, `no option`, `default option`.
pub(super) fn option(cx: &mut Cx<'_, '_>, args: &mut Args<'_>) -> Result<(), Fault> {
    let Some(word) = args.next() else {
        return Err(Fault::new(args.keyword().span, "'option' expects an option name.").tight());
    };
    let name = word.text.as_str();
    if let Some(row) = SWITCHES.find(name) {
        args.unexpected(|w| format!("'option {name}' cannot handle unexpected argument '{w}'."))?;
        sided(cx, name, row.side);
        *(row.field)(&mut cx.draft.proxy.options) = cx.draft.negation.is_none();
        return Ok(());
    }
    if cx.draft.negation.is_some() && OPTIONS.find(name).is_none() {
        return negated(cx, name, word.span);
    }
    let Some((_, (side, run))) = OPTIONS.find(name) else {
        let names = || SWITCHES.names().chain(OPTIONS.names());
        let text = format!("unknown option '{name}'{}.", did_you_mean(name, names()));
        return Err(Fault::new(word.span, text.replace(" maybe ?.", " maybe ?")));
    };
    if cx.draft.negation.is_some() {
        return negated(cx, name, word.span);
    }
    sided(cx, name, *side);
    run(cx, args)
}

fn sided(cx: &mut Cx<'_, '_>, name: &str, side: Side) {
    let missing = match side {
        Side::Front if !cx.draft.scope.is_front() => "frontend",
        Side::Back if !cx.draft.scope.is_back() => "backend",
        _ => return,
    };
    if cx.draft.scope == Scope::Defaults {
        return;
    }
    let (kind, id) = (cx.draft.scope.word(), &cx.draft.proxy.name);
    let text = format!("'{name}' ignored because {kind} '{id}' has no {missing} capability.");
    cx.warn(text);
}

/// `no option X` for those that are not plain switches.
fn negated(cx: &mut Cx<'_, '_>, name: &str, span: diag::Span) -> Result<(), Fault> {
    let proxy = &mut cx.draft.proxy;
    match name {
        "httpclose" | "http-server-close" | "http-keep-alive" | "forceclose" | "http-tunnel" => {
            proxy.options.connection_mode = ConnectionMode::KeepAlive;
        }
        "redispatch" => proxy.redispatch = None,
        "forwardfor" => proxy.forwardfor = None,
        "originalto" => proxy.originalto = None,
        "tcpka" => {
            proxy.options.clitcpka = false;
            proxy.options.srvtcpka = false;
        }
        "http-use-htx" | "tcpsplice" | "forwarded" => {}
        _ => {
            let text = format!("negation/default is not supported for option '{name}'.");
            return Err(Fault::new(span, text).tight());
        }
    }
    Ok(())
}

fn mode(cx: &mut Cx<'_, '_>, args: &mut Args<'_>, mode: ConnectionMode) -> Result<(), Fault> {
    cx.draft.proxy.options.connection_mode = mode;
    alone(cx, args)
}

/// The complaint about words behind an option that takes none.
fn alone(cx: &Cx<'_, '_>, args: &Args<'_>) -> Result<(), Fault> {
    let name = cx.line.words.iter().skip_while(|w| w.text != "option").nth(1).map_or("", |w| w.text.as_str());
    args.unexpected(|w| format!("'option {name}' cannot handle unexpected argument '{w}'."))
}

fn forceclose(cx: &mut Cx<'_, '_>, args: &mut Args<'_>) -> Result<(), Fault> {
    cx.warn(
        "option 'forceclose' is the syntax of old versions; please remove it, or use 'option httpclose'.",
    );
    mode(cx, args, ConnectionMode::Close)
}

fn http_tunnel(cx: &mut Cx<'_, '_>, args: &mut Args<'_>) -> Result<(), Fault> {
    cx.warn("option 'http-tunnel' is the syntax of old versions and has no effect; please remove it.");
    mode(cx, args, ConnectionMode::KeepAlive)
}

fn htx(cx: &mut Cx<'_, '_>, _: &mut Args<'_>) -> Result<(), Fault> {
    cx.warn("option 'http-use-htx' is the syntax of old versions and has no effect; please remove it.");
    Ok(())
}

fn tcpsplice(cx: &mut Cx<'_, '_>, _: &mut Args<'_>) -> Result<(), Fault> {
    cx.warn("option 'tcpsplice' is the syntax of old versions and has no effect; please remove it.");
    Ok(())
}

fn restrict_names(cx: &mut Cx<'_, '_>, args: &mut Args<'_>) -> Result<(), Fault> {
    const USAGE: &str =
        "option 'http-restrict-req-hdr-names' expects 'preserve', 'reject' or 'delete' option.";
    cx.draft.proxy.options.restrict_names = match args.next().map_or("", |w| w.text.as_str()) {
        "preserve" => RestrictNames::Preserve,
        "delete" => RestrictNames::Delete,
        "reject" => RestrictNames::Reject,
        "" => return Err(args.fault(format!("missing parameter. {USAGE}"))),
        other => return Err(args.fault(format!("invalid parameter '{other}'. {USAGE}"))),
    };
    args.unexpected(|w| format!("'option' cannot handle unexpected argument '{w}'."))
}

fn inert(cx: &mut Cx<'_, '_>, args: &mut Args<'_>) -> Result<(), Fault> {
    let line = args.keyword().text.clone();
    args.take_rest();
    cx.no_effect(&line, "this option has no counterpart here yet; traffic is served without it");
    Ok(())
}

fn log_preset(cx: &mut Cx<'_, '_>, args: &mut Args<'_>) -> Result<(), Fault> {
    let span = args.span();
    let name = cx.line.words.iter().find(|w| w.span == span).map_or(String::new(), |w| w.text.clone());
    if cx.draft.scope == Scope::Proxy(Kind::Backend) {
        let text =
            format!("backend '{}' : 'option {name}' directive is ignored in backends.", cx.draft.proxy.name);
        cx.warn(text);
    }
    let clf = name == "httplog" && args.take("clf");
    args.unexpected(|w| match name.as_str() {
        "httplog" if !clf => "keyword 'httplog' only supports option 'clf'.".to_owned(),
        _ => format!("'option {name}' cannot handle unexpected argument '{w}'."),
    })?;
    let preset = if clf { format!("{name} clf") } else { name };
    cx.draft.log_preset = Some(Named { name: preset, span });
    cx.draft.formats.remove("log-format");
    Ok(())
}

fn tcpka(cx: &mut Cx<'_, '_>, args: &mut Args<'_>) -> Result<(), Fault> {
    cx.draft.proxy.options.clitcpka = cx.draft.scope.is_front();
    cx.draft.proxy.options.srvtcpka = cx.draft.scope.is_back();
    args.unexpected(|w| format!("'option tcpka' cannot handle unexpected argument '{w}'."))
}

fn kind(cx: &mut Cx<'_, '_>, kind: CheckKind) -> Result<(), Fault> {
    cx.draft.begin_own_checks(false);
    cx.draft.proxy.check.kind = kind;
    Ok(())
}

fn httpchk(cx: &mut Cx<'_, '_>, args: &mut Args<'_>) -> Result<(), Fault> {
    const WORDS: usize = 3;
    let words: Vec<String> = args.take_rest().iter().map(|w| w.text.clone()).collect();
    if let Some(extra) = words.get(WORDS) {
        return Err(args.fault(format!("'option httpchk' cannot handle unexpected argument '{extra}'.")));
    }
    let (method, uri) = match words.as_slice() {
        [] => ("OPTIONS", "/"),
        [uri] => ("OPTIONS", uri.as_str()),
        [method, uri, ..] => (method.as_str(), uri.as_str()),
    };
    let (version, headers) = match words.get(2) {
        None => ("HTTP/1.0", ""),
        Some(rest) => rest.split_once("\r\n").unwrap_or((rest.as_str(), "")),
    };
    if !headers.is_empty() {
        cx.warn("'option httpchk' : hiding headers or body at the end of the version string is deprecated. Please, consider to use 'http-check send' directive instead.");
    }
    kind(
        cx,
        CheckKind::Http {
            method: method.to_owned(),
            uri: uri.to_owned(),
            version: version.to_owned(),
            headers: headers.to_owned(),
        },
    )
}

fn smtpchk(cx: &mut Cx<'_, '_>, args: &mut Args<'_>) -> Result<(), Fault> {
    let hello = match (args.next(), args.next()) {
        (Some(verb), Some(domain)) if matches!(verb.text.as_str(), "EHLO" | "HELO") => {
            format!("{} {}", verb.text, domain.text)
        }
        (Some(_), Some(domain)) => format!("HELO {}", domain.text),
        _ => "HELO localhost".to_owned(),
    };
    alone(cx, args)?;
    kind(cx, CheckKind::Smtp(hello))
}

fn pgsql(cx: &mut Cx<'_, '_>, args: &mut Args<'_>) -> Result<(), Fault> {
    if !args.take("user") {
        return Err(args.fault("'option pgsql-check' expects 'user <username>' as argument."));
    }
    let Some(user) = args.next() else {
        return Err(args.fault("'option pgsql-check' expects 'user <username>' as argument."));
    };
    alone(cx, args)?;
    kind(cx, CheckKind::Pgsql(user.text.clone()))
}

fn mysql(cx: &mut Cx<'_, '_>, args: &mut Args<'_>) -> Result<(), Fault> {
    if args.is_empty() {
        return kind(cx, CheckKind::Mysql(None));
    }
    if !args.take("user") {
        let got = args.next().map_or("", |w| w.text.as_str());
        let text = format!("'option mysql-check' only supports optional values: 'user' (got '{got}').");
        return Err(args.fault(text));
    }
    let Some(user) = args.next() else {
        return Err(args.fault("'option mysql-check user' expects <username> as argument."));
    };
    let post41 = match args.next().map_or("", |w| w.text.as_str()) {
        "" | "post-41" => true,
        "pre-41" => false,
        got => {
            let text = format!("keyword 'user' only supports 'post-41' and 'pre-41' (got '{got}').");
            return Err(args.fault(text));
        }
    };
    kind(cx, CheckKind::Mysql(Some((user.text.clone(), post41))))
}

fn forward(args: &mut Args<'_>, option: &str, header: &str) -> Result<ForwardHeader, Fault> {
    let mut out = ForwardHeader { header: header.to_owned(), except: None, if_none: false };
    while let Some(word) = args.next() {
        match word.text.as_str() {
            "except" => {
                let text = args.next().map_or("", |w| w.text.as_str());
                let net = text.parse().ok().or_else(|| text.parse::<std::net::IpAddr>().ok().map(Into::into));
                let bad = format!("'option {option} except' expects <address>[/mask] as argument.");
                out.except = Some(net.ok_or_else(|| args.fault(bad))?);
            }
            "header" => {
                let bad = format!("'option {option} header' expects <header_name> as argument.");
                out.header = args.expect(|| bad)?.text.clone();
            }
            "if-none" if option == "forwardfor" => out.if_none = true,
            _ => {
                let list = if option == "forwardfor" {
                    "'except', 'header' and 'if-none'"
                } else {
                    "'except' and 'header'"
                };
                return Err(Fault::new(
                    word.span,
                    format!("'option {option}' only supports optional values: {list}."),
                ));
            }
        }
    }
    Ok(out)
}

fn forwardfor(cx: &mut Cx<'_, '_>, args: &mut Args<'_>) -> Result<(), Fault> {
    cx.draft.proxy.forwardfor = Some(forward(args, "forwardfor", "X-Forwarded-For")?);
    Ok(())
}

fn originalto(cx: &mut Cx<'_, '_>, args: &mut Args<'_>) -> Result<(), Fault> {
    cx.draft.proxy.originalto = Some(forward(args, "originalto", "X-Original-To")?);
    Ok(())
}

fn redispatch(cx: &mut Cx<'_, '_>, args: &mut Args<'_>) -> Result<(), Fault> {
    cx.draft.proxy.redispatch = Some(match args.next() {
        None => -1,
        // What is no number counts as 0, as in the original.
        Some(word) => conf_parsers::value::lenient_int(&word.text) as i32,
    });
    Ok(())
}

/// `redispatch` without `option`, as before 2.1.
pub(super) fn old_redispatch(cx: &mut Cx<'_, '_>, args: &mut Args<'_>) -> Result<(), Fault> {
    cx.warn("keyword 'redispatch' is the syntax of old versions; please use 'option redispatch'.");
    redispatch(cx, args)
}

type Slot = fn(&mut Timeouts) -> &mut Option<Duration>;

/// All timeouts, in the order haproxy lists them, with their side.
static TIMEOUTS: Table<(&str, (Side, Slot))> = Table::new(&[
    ("client", (Side::Front, |t| &mut t.client)),
    ("server", (Side::Back, |t| &mut t.server)),
    ("connect", (Side::Back, |t| &mut t.connect)),
    ("check", (Side::Back, |t| &mut t.check)),
    ("queue", (Side::Back, |t| &mut t.queue)),
    ("http-keep-alive", (Side::Any, |t| &mut t.http_keep_alive)),
    ("http-request", (Side::Any, |t| &mut t.http_request)),
    ("tunnel", (Side::Back, |t| &mut t.tunnel)),
    ("tarpit", (Side::Any, |t| &mut t.tarpit)),
    ("client-fin", (Side::Front, |t| &mut t.client_fin)),
    ("server-fin", (Side::Back, |t| &mut t.server_fin)),
    ("client-hs", (Side::Front, |t| &mut t.client_hs)),
]);

/// `timeout NAME TIME`.
pub(super) fn timeout(cx: &mut Cx<'_, '_>, args: &mut Args<'_>) -> Result<(), Fault> {
    let word = args.next();
    let name = word.map_or("", |w| w.text.as_str());
    let name = match name {
        "clitimeout" => "client",
        "srvtimeout" => "server",
        "contimeout" => "connect",
        other => other,
    };
    let Some((name, _)) = TIMEOUTS.find(name) else {
        let text = "'timeout' supports 'client', 'server', 'connect', 'check', 'queue', 'http-keep-alive', \
                    'http-request', 'tunnel', 'tarpit', 'client-fin' and 'server-fin'";
        return Err(args.fault(format!("{text} (got '{name}')")));
    };
    set(cx, args, name, &format!("timeout {name}"))
}

/// `clitimeout`, `contimeout`, `srvtimeout`, as before 2.1.
pub(super) fn old_timeout(cx: &mut Cx<'_, '_>, args: &mut Args<'_>) -> Result<(), Fault> {
    let keyword = args.keyword().text.clone();
    let name = match keyword.as_str() {
        "clitimeout" => "client",
        "contimeout" => "connect",
        _ => "server",
    };
    cx.warn(format!("the '{keyword}' directive is the syntax of old versions; please use 'timeout {name}'."));
    set(cx, args, name, &keyword)
}

fn set(cx: &mut Cx<'_, '_>, args: &mut Args<'_>, name: &'static str, shown: &str) -> Result<(), Fault> {
    let Some((_, (side, slot))) = TIMEOUTS.find(name) else { return Ok(()) };
    let word = args.next();
    let text = word.map_or("", |w| w.text.as_str());
    let value = duration(text, TimeUnit::Ms).map_err(|fault| {
        args.fault(match fault {
            NumberFault::Unexpected(0) => format!("'{shown}' expects an integer value (in milliseconds)"),
            NumberFault::Unexpected(c) => format!("unexpected character '{}' in '{shown}'", char::from(c)),
            NumberFault::Overflow => format!(
                "timer overflow in argument '{text}' to '{shown}' (maximum value is 2147483647 ms or ~24.8 days)"
            ),
            NumberFault::Underflow => {
                format!("timer underflow in argument '{text}' to '{shown}' (minimum non-null value is 1 ms)")
            }
        })
    })?;
    let draft = &mut *cx.draft;
    let missing = match side {
        Side::Front if !draft.scope.is_front() => Some("frontend"),
        Side::Back if !draft.scope.is_back() => Some("backend"),
        _ => None,
    };
    let current = *slot(&mut draft.proxy.timeouts);
    let again = draft.base_timeouts.as_mut().is_some_and(|base| *slot(base) != current);
    // Zero is no timeout at all.
    *slot(&mut draft.proxy.timeouts) = Some(value).filter(|v| !v.is_zero());
    let (kind, id) = (draft.scope.word(), draft.proxy.name.clone());
    if let Some(missing) = missing {
        cx.warn(format!("'{shown}' will be ignored because {kind} '{id}' has no {missing} capability"));
    } else if again {
        cx.warn(format!("overwriting '{shown}' which was already specified"));
    }
    args.unexpected(|w| format!("'{shown}' : unexpected extra argument '{w}' after value '{text}'."))
}
