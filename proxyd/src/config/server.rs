//! `server`, `default-server` and `server-template`, and SERVER_OPTIONS.

mod template;
mod value;

use super::keyword::Cx;
use super::model::{MapPorts, Observe, OnError, SendProxy, Server, ServerAddress, ServerTls, Verify};
use super::proxy::Named;
use super::resolve;
use super::setting::read_source;
use conf_parsers::Word;
use conf_parsers::args::{Args, Fault, time_fault_quoted, time_fault_text};
use conf_parsers::haproxy::address::{self, Host, Ports};
use conf_parsers::table::{Named as Keyword, Table, did_you_mean};
use conf_parsers::value::{NumberFault, TimeUnit, duration, wrapping_int};
use diag::{Diagnostic, Lead, Severity, Span};
use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;
pub(super) use template::template;
use value::{init_addr, protocol, sni};

/// Where a server was defined, for later checks.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    pub(super) line: Span,
    pub(super) address: Span,
}

/// Weights are 0 to this.
const WEIGHT_MAX: i64 = 256;

/// `server NAME ADDR …`.
pub(super) fn line(cx: &mut Cx<'_, '_>, args: &mut Args<'_>) -> Result<(), Fault> {
    let (Some(name), Some(address)) = (args.next(), args.next()) else {
        bracket(cx, cx.line.span, "'server' expects <name> and <addr>[:<port>] as arguments.");
        return Ok(());
    };
    if let Some(bad) = bad_char(&name.text) {
        let text = format!("character '{bad}' is not permitted in server name '{}'.", name.text);
        bracket(cx, name.span, &text);
    }
    let place = format!("'server {}/{}'", cx.draft.proxy.name, name.text);
    let mut server = cx.draft.default_server.clone();
    server.name.clone_from(&name.text);
    if let Err(text) = set_address(cx, &mut server, address) {
        bracket(cx, address.span, &format!("{place} : {text}"));
    }
    options(cx, args, &mut server, &Who::Line(format!("{place} : ")));
    let global = &cx.loader.config.global;
    let judged = server.tls.as_ref().map(|t| super::certificate::of_server(t, global));
    if let Some(Err(text)) = judged {
        bracket(cx, address.span, &format!("{place} : {text}"));
    }
    add(cx, server, address.span);
    Ok(())
}

/// The first character that a name must not have.
pub(super) fn bad_char(name: &str) -> Option<char> {
    name.chars().find(|c| !(c.is_ascii_alphanumeric() || "-_:.".contains(*c)))
}

fn add(cx: &mut Cx<'_, '_>, mut server: Server, address: Span) {
    let sources = cx.loader.sources;
    server.place = format!("{}:{}", sources.name(cx.line.span), sources.line(cx.line.span));
    let index = cx.draft.proxy.servers.len();
    if let Some((_, track)) = cx.draft.tracks.iter().find(|(i, _)| *i == usize::MAX).cloned() {
        cx.draft.tracks.retain(|(i, _)| *i != usize::MAX);
        cx.draft.tracks.push((index, track));
    }
    cx.draft.proxy.servers.push(server);
    cx.draft.server_lines.push(Origin { line: cx.line.span, address });
}

/// Faults of servers are led in by `[file:line]`.
fn bracket(cx: &mut Cx<'_, '_>, span: Span, text: &str) {
    cx.loader.report.push(Diagnostic::at(Severity::Alert, span, text).lead(Lead::Bracket));
}

pub(super) fn set_address(cx: &mut Cx<'_, '_>, server: &mut Server, word: &Word) -> Result<(), String> {
    let text = address::expand(&word.text, &|n| cx.loader.variable(n));
    let parsed = address::parse(&text)?;
    server.address_text.clone_from(&text);
    if parsed.prefix.quic || parsed.prefix.datagram {
        return Err(format!("dgram-type address not acceptable in '{text}'"));
    }
    let port = match parsed.ports {
        Ports::Fixed(low, high) if low == high => low,
        Ports::Fixed(..) => return Err(format!("port range not permitted here in '{text}'")),
        Ports::None => {
            server.map_ports = MapPorts::Offset(0);
            0
        }
        Ports::Offset(offset) => {
            server.map_ports = MapPorts::Offset(offset);
            0
        }
    };
    server.address = match parsed.host {
        Host::Ip(IpAddr::V4(Ipv4Addr::UNSPECIFIED)) | Host::Any => ServerAddress::Destination(port),
        Host::Ip(ip) => ServerAddress::Inet(SocketAddr::new(ip, port)),
        Host::Name(name) => {
            if let Some(bad) = name.chars().find(|c| !(c.is_ascii_alphanumeric() || "-_.".contains(*c))) {
                return Err(format!("invalid character '{bad}' in address '{name}' in '{text}'"));
            }
            if name.starts_with('_') {
                server.srv_record = Some(name.clone());
            } else {
                server.fqdn = Some(name.clone());
            }
            ServerAddress::Name(name, port)
        }
        Host::Unix(path) => ServerAddress::Unix(PathBuf::from(path)),
        Host::Abstract(mut name, padded) => {
            if padded {
                name.resize(107, 0);
            }
            ServerAddress::Abstract(name)
        }
        Host::Fd(_) | Host::Sockpair(_) | Host::ReverseHttp(_) => {
            return Err(format!("'{text}' : this address family is not supported for servers."));
        }
    };
    if matches!(server.address, ServerAddress::Unix(_) | ServerAddress::Abstract(_)) {
        server.map_ports = MapPorts::No;
    }
    Ok(())
}

/// `default-server …`.
pub(super) fn default_server(cx: &mut Cx<'_, '_>, args: &mut Args<'_>) -> Result<(), Fault> {
    let mut server = cx.draft.default_server.clone();
    // What the original calls it in complaints.
    let name = std::mem::replace(&mut server.name, "default-server".into());
    options(cx, args, &mut server, &Who::Default);
    server.name = name;
    cx.draft.tracks.retain(|(i, _)| *i != usize::MAX);
    cx.draft.default_server = server;
    Ok(())
}

/// Whose options are read.
pub(super) enum Who {
    /// A server's, with what leads complaints.
    Line(String),
    /// Those of `default-server`.
    Default,
    /// Those of a server that a command adds.
    Command,
}

/// Reads all options; the first fault ends the line, as haproxy's does.
pub(super) fn options(cx: &mut Cx<'_, '_>, args: &mut Args<'_>, server: &mut Server, who: &Who) {
    let place = if let Who::Line(place) = who { place.as_str() } else { "" };
    while let Some(option) = args.next() {
        let Some(row) = SERVER_OPTIONS.find(&option.text) else {
            let hint = did_you_mean(&option.text, SERVER_OPTIONS.names());
            let end = if hint.is_empty() { "." } else { "" };
            let tip = match who {
                Who::Default => " Hint: no address was expected for this server.",
                _ => "",
            };
            let text = format!("{place}unknown keyword '{}'{hint}{end}{tip}", option.text);
            bracket(cx, option.span, &text);
            return;
        };
        let idle = cx.loader.idle;
        if matches!(who, Who::Command) && row.file_only {
            return bracket(cx, option.span, &not_at_run_time(&option.text));
        }
        let (warnings, track, fault) = {
            let mut o = Srv { server, option, lacks: row.lacks, cx, warnings: Vec::new(), track: None };
            let fault = (row.run)(&mut o, args).err();
            (o.warnings, o.track, fault)
        };
        for text in warnings {
            cx.warn(text);
        }
        // What would be ignored is refused: nobody reads the notices of `-c` here.
        if matches!(who, Who::Command) && cx.loader.idle > idle {
            return bracket(cx, option.span, &not_at_run_time(&option.text));
        }
        cx.draft.tracks.extend(track.map(|t| (usize::MAX, t)));
        if let Some(fault) = fault {
            // The original ends each of these texts with a stop, whether it has one or not.
            bracket(cx, fault.span, &format!("{place}{}.", fault.text));
            return;
        }
    }
}

fn not_at_run_time(option: &str) -> String {
    format!("'{option}' option is not accepted for dynamic server")
}

/// What an option's function sees.
struct Srv<'a, 'c, 'l> {
    server: &'a mut Server,
    option: &'a Word,
    /// What is said where its value is missing.
    lacks: &'static str,
    cx: &'a mut Cx<'c, 'l>,
    warnings: Vec<String>,
    track: Option<Named>,
}

impl Srv<'_, '_, '_> {
    fn fault(&self, text: impl Into<String>) -> Fault {
        Fault::new(self.option.span, text)
    }

    fn value(&self, args: &mut Args<'_>) -> Result<String, Fault> {
        args.next().map(|w| w.text.clone()).ok_or_else(|| match self.lacks {
            "" => self.fault(format!("'{}' expects an argument", self.option.text)),
            own => self.fault(own),
        })
    }

    fn number(&self, args: &mut Args<'_>) -> Result<i64, Fault> {
        // What is no number counts as 0, and so does a value that is missing where 0 is harmless.
        if args.peek().is_none()
            && matches!(self.option.text.as_str(), "weight" | "maxconn" | "minconn" | "maxqueue")
        {
            return Ok(0);
        }
        self.value(args).map(|text| wrapping_int(&text))
    }

    fn time(&self, args: &mut Args<'_>) -> Result<Duration, Fault> {
        let text = self.value(args)?;
        let name = &self.option.text;
        let value = duration(&text, TimeUnit::Ms).map_err(|e| self.bad_time(&text, e))?;
        if value.is_zero() && matches!(name.as_str(), "inter" | "downinter" | "fastinter") {
            let server = &self.server.name;
            return Err(self.fault(format!("invalid value 0 for argument '{name}' of server {server}.")));
        }
        Ok(value)
    }

    fn bad_time(&self, text: &str, fault: NumberFault) -> Fault {
        let name = &self.option.text;
        let server = &self.server.name;
        self.fault(match fault {
            NumberFault::Overflow if matches!(name.as_str(), "tcp-ut" | "pool-purge-delay") => {
                time_fault_quoted(text, name, fault)
            }
            NumberFault::Overflow if name == "slowstart" => time_fault_text(text, name, fault)
                .replace("timer overflow", "overflow")
                .replace("<slowstart>", &format!("<slowstart> of server {server}")),
            _ if name == "tcp-ut" => "'tcp-ut' : expects a positive delay in milliseconds".into(),
            NumberFault::Unexpected(c) if name == "pool-purge-delay" => {
                format!("unexpected character '{}' in argument to <pool-purge-delay>.", char::from(c))
            }
            NumberFault::Unexpected(c) => {
                // The original names 'agent-inter' for all intervals.
                let shown = if name.ends_with("inter") { "agent-inter" } else { name };
                format!("unexpected character '{}' in '{shown}' argument of server {server}.", char::from(c))
            }
            fault => time_fault_text(text, name, fault)
                .replace(&format!("<{name}>"), &format!("<{name}> of server {server}")),
        })
    }

    fn tls(&mut self) -> &mut ServerTls {
        let global = &self.cx.loader.config.global;
        self.server.tls.get_or_insert_with(|| super::tls::of_server(global))
    }

    fn other(&mut self, args: &mut Args<'_>, takes: bool) -> Result<(), Fault> {
        let value = if takes { self.value(args)? } else { String::new() };
        let name = self.option.text.clone();
        self.tls().other.insert(name, value);
        Ok(())
    }

    /// A number above 0.
    fn above_0(&self, args: &mut Args<'_>) -> Result<u32, Fault> {
        let n = u32::try_from(self.number(args)?).ok().filter(|n| *n > 0);
        n.ok_or_else(|| self.fault(format!("'{}' has to be > 0.", self.option.text)))
    }

    /// `send-proxy` and the like, and their negations, which take away what the words would add.
    fn heading(&mut self, words: SendProxy, adds: bool) -> Result<(), Fault> {
        let now = self.server.send_proxy;
        self.server.send_proxy = if adds { now.and(words) } else { now.without(words) };
        Ok(())
    }

    /// `no-tlsv12`, `force-tlsv13` and the like.
    fn versions(&mut self) -> Result<(), Fault> {
        let name = self.option.text.clone();
        let tls = self.tls();
        match super::tls::versions(&name, &mut tls.min_version, &mut tls.max_version) {
            Ok(()) => Ok(()),
            Err(why) => self.inert(why),
        }
    }

    fn inert(&mut self, why: &str) -> Result<(), Fault> {
        let what = format!("server … {}", self.option.text);
        self.cx.no_effect(&what, why);
        Ok(())
    }
}

type Run = for<'w> fn(&mut Srv<'_, '_, '_>, &mut Args<'w>) -> Result<(), Fault>;

/// An option of `server` lines.
pub(super) struct Row {
    name: &'static str,
    /// haproxy's complaint where the value is missing; empty: the general one.
    lacks: &'static str,
    /// Not taken by `add server`.
    file_only: bool,
    run: Run,
}

impl Keyword for Row {
    fn name(&self) -> &'static str {
        self.name
    }
}

const fn row(name: &'static str, run: Run) -> Row {
    Row { name, lacks: "", file_only: false, run }
}

impl Row {
    const fn lacks(self, lacks: &'static str) -> Self {
        Self { lacks, ..self }
    }

    const fn file_only(self) -> Self {
        Self { file_only: true, ..self }
    }
}

const NOT_YET: &str = "it has no counterpart here yet";

macro_rules! set {
    ($($field:ident).+ = $value:expr) => {
        |o, _| {
            o.server.$($field).+ = $value;
            Ok(())
        }
    };
}

/// A field that is set to the value behind the word.
macro_rules! some {
    ($($field:ident).+ = $read:ident) => {
        |o, a| {
            o.server.$($field).+ = Some(o.$read(a)?);
            Ok(())
        }
    };
}

const V1: SendProxy = SendProxy::V1;
const V2: SendProxy = SendProxy::V2;
const V2_TLS: SendProxy = V2.and(SendProxy::TLS);
const V2_TLS_CN: SendProxy = V2_TLS.and(SendProxy::CERT_CN);

/// What `proxy-v2-options` may list.
const PROXY_V2_OPTIONS: &[(&str, SendProxy)] = &[
    ("ssl", SendProxy::TLS),
    ("cert-cn", SendProxy::TLS.and(SendProxy::CERT_CN)),
    ("ssl-cipher", SendProxy::TLS.and(SendProxy::CIPHER)),
    ("cert-sig", SendProxy::TLS.and(SendProxy::CERT_SIG)),
    ("cert-key", SendProxy::TLS.and(SendProxy::CERT_KEY)),
    ("authority", SendProxy::AUTHORITY),
    ("crc32c", SendProxy::CRC32C),
    ("unique-id", SendProxy::UNIQUE_ID),
];

/// All options of `server` and `default-server`.
static SERVER_OPTIONS: Table<Row> = Table::new(&[
    row("backup", set!(backup = true)),
    row("no-backup", set!(backup = false)),
    row("cookie", some!(cookie = value)).lacks("'cookie' expects <value> as argument."),
    row("disabled", set!(disabled = true)),
    row("enabled", set!(disabled = false)),
    row("error-limit", |o, a| {
        let limit = o.number(a)?;
        if limit <= 0 {
            return Err(o.fault("error-limit has to be > 0."));
        }
        o.server.error_limit = limit as u32;
        Ok(())
    }).lacks("'error-limit' expects an integer argument."),
    row("guid", |o, a| o.value(a).and_then(|_| o.inert(NOT_YET))),
    row("id", |o, a| {
        let id = o.number(a)?;
        if id <= 0 {
            return Err(o.fault("'id' : custom id has to be > 0"));
        }
        o.server.uuid = id as u32;
        o.server.forced_id = true;
        Ok(())
    }).lacks("'id' : expects an integer argument"),
    row("init-addr", init_addr).file_only(),
    row("init-state", |o, a| o.value(a).and_then(|_| o.inert(NOT_YET))),
    row("log-bufsize", |o, a| o.value(a).and_then(|_| o.inert(NOT_YET))),
    row("log-proto", |o, a| match o.value(a)?.as_str() {
        "legacy" | "octet-count" => o.inert(NOT_YET),
        got => Err(o.fault(format!("'log-proto' expects one of 'legacy' or 'octet-count' but got '{got}'"))),
    }).file_only(),
    row("maxconn", |o, a| {
        o.server.maxconn = o.number(a)?.max(0) as u32;
        Ok(())
    }),
    row("maxqueue", |o, a| {
        o.server.maxqueue = o.number(a)?.max(0) as u32;
        Ok(())
    }),
    row("max-reuse", |o, a| {
        o.server.max_reuse = o.number(a)? as i32;
        Ok(())
    }).lacks("'max-reuse' expects <value> as argument.").file_only(),
    row("minconn", |o, a| {
        o.server.minconn = o.number(a)?.max(0) as u32;
        Ok(())
    }),
    row("namespace", |o, a| {
        let name = o.value(a)?;
        if name == "*" {
            return o.inert("connections are made in the namespace of the process");
        }
        o.server.namespace = Some(name);
        Ok(())
    }).lacks("'namespace' : expects <name> as argument").file_only(),
    row("non-stick", set!(non_stick = true)).file_only(),
    row("stick", set!(non_stick = false)).file_only(),
    row("observe", |o, a| {
        o.server.observe = match o.value(a)?.as_str() {
            "none" => Observe::No,
            "layer4" => Observe::Layer4,
            "layer7" => Observe::Layer7,
            got => {
                let text = format!("'observe' expects one of 'none', 'layer4', 'layer7' but got '{got}'");
                return Err(o.fault(text));
            }
        };
        Ok(())
    }).lacks("'observe' expects <mode> as argument."),
    row("on-error", |o, a| {
        o.server.on_error = match o.value(a)?.as_str() {
            "fastinter" => OnError::Fastinter,
            "fail-check" => OnError::FailCheck,
            "sudden-death" => OnError::SuddenDeath,
            "mark-down" => OnError::MarkDown,
            got => {
                let text = format!(
                    "'on-error' expects one of 'fastinter', 'fail-check', 'sudden-death' or 'mark-down' but got '{got}'"
                );
                return Err(o.fault(text));
            }
        };
        Ok(())
    }).lacks("'on-error' expects one of 'fastinter', 'fail-check', 'sudden-death' or 'mark-down' but got ''"),
    row("on-marked-down", |o, a| match o.value(a)?.as_str() {
        "shutdown-sessions" => {
            o.server.on_marked_down_shutdown = true;
            Ok(())
        }
        got => Err(o.fault(format!("'on-marked-down' expects 'shutdown-sessions' but got '{got}'"))),
    }).lacks("'on-marked-down' expects 'shutdown-sessions' but got ''"),
    row("on-marked-up", |o, a| match o.value(a)?.as_str() {
        "shutdown-backup-sessions" => {
            o.server.on_marked_up_shutdown_backup = true;
            Ok(())
        }
        got => Err(o.fault(format!("'on-marked-up' expects 'shutdown-backup-sessions' but got '{got}'"))),
    }).lacks("'on-marked-up' expects 'shutdown-backup-sessions' but got ''"),
    row("pool-low-conn", |o, a| {
        o.server.pool_low_conn = o.number(a)?.max(0) as u32;
        Ok(())
    }).lacks("'pool-low-conn' expects <value> as argument."),
    row("pool-max-conn", |o, a| {
        let most = o.number(a)?;
        if most < -1 {
            return Err(o.fault("'pool-max-conn' must be >= -1"));
        }
        o.server.pool_max_conn = most as i32;
        Ok(())
    }).lacks("'pool-max-conn' expects <value> as argument."),
    row("pool-purge-delay", |o, a| {
        o.server.pool_purge_delay = o.time(a)?;
        Ok(())
    }).lacks("'pool-purge-delay' expects <value> as argument."),
    row("pool-conn-name", |o, a| o.value(a).and_then(|_| o.inert(NOT_YET))),
    row("strict-maxconn", |o, _| o.inert(NOT_YET)),
    row("proto", |o, a| {
        o.server.proto = Some(protocol(o, a)?);
        Ok(())
    }),
    row("proxy-v2-options", |o, a| {
        for name in o.value(a)?.split(',') {
            let Some((_, adds)) = PROXY_V2_OPTIONS.iter().find(|(n, _)| *n == name) else {
                return Err(o.fault(format!("'{name}' : proxy v2 option not implemented")));
            };
            o.server.send_proxy = o.server.send_proxy.and(*adds);
        }
        Ok(())
    }).lacks("'' : proxy v2 option not implemented"),
    row("set-proxy-v2-tlv-fmt", |o, a| o.value(a).and_then(|_| o.inert(NOT_YET))),
    row("redir", some!(redir = value)).lacks("'redir' expects <prefix> as argument.").file_only(),
    row("resolve-net", |o, a| {
        let text = o.value(a)?;
        let network = |n: &str| n.parse().ok().or_else(|| n.parse::<IpAddr>().ok().map(IpNet::from));
        let mut networks = Vec::new();
        for word in text.split(',') {
            let bad = || o.fault(format!("'resolve-net' invalid network '{word}'."));
            networks.push(network(word).ok_or_else(bad)?);
        }
        o.server.resolve.networks = networks;
        Ok(())
    }).file_only(),
    row("resolve-opts", |o, a| {
        let text = o.value(a)?;
        if let Some(bad) =
            text.split(',').find(|n| !["allow-dup-ip", "ignore-weight", "prevent-dup-ip"].contains(n))
        {
            let text = format!(
                "'resolve-opts' : unknown resolve-opts option '{bad}', supported methods are 'allow-dup-ip', 'ignore-weight', and 'prevent-dup-ip'."
            );
            return Err(o.fault(text));
        }
        for option in text.split(',') {
            match option {
                "ignore-weight" => o.server.resolve.ignore_weight = true,
                option => o.server.resolve.allow_dup_ip = option == "allow-dup-ip",
            }
        }
        Ok(())
    }).file_only(),
    row("resolve-prefer", |o, a| {
        o.server.resolve.prefer_ipv4 = match o.value(a)?.as_str() {
            "ipv4" => true,
            "ipv6" => false,
            _ => return Err(o.fault("'resolve-prefer' expects either ipv4 or ipv6 as argument.")),
        };
        Ok(())
    }).lacks("'resolve-prefer' expects either ipv4 or ipv6 as argument.").file_only(),
    row("resolvers", |o, a| {
        // A section that is not named is looked for as one without a name.
        o.server.resolvers = Some(a.next().map_or(String::new(), |w| w.text.clone()));
        Ok(())
    }).file_only(),
    row("send-proxy", |o, _| o.heading(V1, true)),
    row("no-send-proxy", |o, _| o.heading(V1, false)),
    row("send-proxy-v2", |o, _| o.heading(V2, true)),
    row("no-send-proxy-v2", |o, _| o.heading(V2, false)),
    row("send-proxy-v2-ssl", |o, _| o.heading(V2_TLS, true)),
    row("no-send-proxy-v2-ssl", |o, _| o.heading(V2_TLS, false)),
    row("send-proxy-v2-ssl-cn", |o, _| o.heading(V2_TLS_CN, true)),
    row("no-send-proxy-v2-ssl-cn", |o, _| o.heading(V2_TLS_CN, false)),
    row("shard", |o, a| o.value(a).and_then(|_| o.inert(NOT_YET))),
    row("slowstart", |o, a| {
        let text = o.value(a)?;
        let value = duration(&text, TimeUnit::Ms).map_err(|e| o.bad_time(&text, e))?;
        o.server.slowstart = Some(value);
        Ok(())
    }).lacks("unexpected character '"),
    row("socks4", |o, a| {
        let text = o.value(a)?;
        let bad = format!("'socks4' : invalid address '{text}'");
        o.server.socks4 = Some(text.parse().map_err(|_| o.fault(bad))?);
        Ok(())
    }).lacks("'socks4' expects <addr>:<port> as argument.").file_only(),
    row("source", |o, a| {
        o.server.source = Some(read_source(a)?);
        Ok(())
    }),
    row("tcp-ut", some!(tcp_ut = time)).lacks("'tcp-ut' : missing TCP User Timeout value").file_only(),
    row("tfo", set!(tfo = true)),
    row("no-tfo", set!(tfo = false)),
    row("track", |o, a| {
        let name = o.value(a)?;
        o.track = Some(Named { name, span: o.option.span });
        Ok(())
    }).lacks("'track' expects [<proxy>/]<server> as argument."),
    row("weight", |o, a| {
        let weight = o.number(a)?;
        if !(0..=WEIGHT_MAX).contains(&weight) {
            let text = format!("weight of server {} is not within 0 and 256 ({weight}).", o.server.name);
            return Err(o.fault(text));
        }
        o.server.weight = weight as u32;
        Ok(())
    }),
    row("ws", |o, a| {
        o.server.ws = Some(match o.value(a)?.as_str() {
            mode @ ("auto" | "h1" | "h2") => mode.to_owned(),
            _ => return Err(o.fault("'ws' has to be 'auto', 'h1' or 'h2'")),
        });
        Ok(())
    }).lacks("'ws' has to be 'auto', 'h1' or 'h2'"),
    row("usesrc", |o, _| Err(o.fault("'usesrc' only allowed after a 'source' statement."))),
    row("addr", |o, a| {
        let text = o.value(a)?;
        let parsed = address::parse(&text).map_err(|e| o.fault(format!("'addr' : {e}")))?;
        o.server.check.addr = match parsed.host {
            Host::Ip(ip) => Some(ip),
            Host::Name(name) => Some(
                resolve::host(&name)
                    .ok_or_else(|| o.fault(format!("'addr' : invalid address: '{name}' in '{text}'")))?,
            ),
            _ => None,
        };
        if let Ports::Fixed(port, _) = parsed.ports {
            o.server.check.port = Some(port);
        }
        Ok(())
    }).lacks("'addr' expects <ipv4|ipv6> as argument."),
    row("agent-addr", |o, a| {
        let text = o.value(a)?;
        let ip = text.parse().ok().or_else(|| resolve::host(&text));
        let bad = format!("parsing agent-addr failed. Check if '{text}' is correct address.");
        o.server.agent.addr = Some(ip.ok_or_else(|| o.fault(bad))?);
        Ok(())
    }).lacks("'agent-addr' expects an address as argument."),
    row("agent-check", set!(agent.enabled = true)),
    row("no-agent-check", set!(agent.enabled = false)).file_only(),
    row("agent-inter", some!(agent.inter = time)).lacks("'agent-inter' expects a delay as argument."),
    row("agent-port", |o, a| {
        o.server.agent.port = u16::try_from(o.number(a)?).ok();
        Ok(())
    }).lacks("'agent-port' expects a port number as argument."),
    row("agent-send", some!(agent.send = value)).lacks("'agent-send' expects a string as argument."),
    row("check", set!(check.enabled = true)),
    row("no-check", set!(check.enabled = false)).file_only(),
    row("check-alpn", |o, a| {
        o.server.check.alpn = Some(o.value(a)?.split(',').map(str::to_owned).collect());
        Ok(())
    }).lacks("'check-alpn' : missing the comma-delimited ALPN protocol suite"),
    row("check-pool-conn-name", |o, a| o.value(a).and_then(|_| o.inert(NOT_YET))),
    row("check-proto", |o, a| {
        o.server.check.proto = Some(protocol(o, a)?);
        Ok(())
    }),
    row("check-reuse-pool", |o, _| o.inert(NOT_YET)),
    row("no-check-reuse-pool", |o, _| o.inert(NOT_YET)),
    row("check-send-proxy", set!(check.send_proxy = true)),
    row("no-check-send-proxy", set!(check.send_proxy = false)),
    row("check-sni", some!(check.sni = value)).lacks("'check-sni' : missing SNI"),
    row("check-sni-auto", |o, _| o.inert(NOT_YET)),
    row("no-check-sni-auto", |o, _| o.inert(NOT_YET)),
    row("check-ssl", set!(check.ssl = true)),
    row("no-check-ssl", |o, _| {
        o.server.check.ssl = false;
        o.server.check.no_ssl = true;
        Ok(())
    }).file_only(),
    row("check-via-socks4", set!(check.via_socks4 = true)),
    row("fall", |o, a| o.above_0(a).map(|n| o.server.check.fall = n)).lacks("'fall' expects an integer argument."),
    row("rise", |o, a| o.above_0(a).map(|n| o.server.check.rise = n)).lacks("'rise' expects an integer argument."),
    row("inter", |o, a| {
        o.server.check.inter = o.time(a)?;
        Ok(())
    }).lacks("'inter' expects a delay as argument."),
    row("fastinter", some!(check.fastinter = time)).lacks("'fastinter' expects a delay as argument."),
    row("downinter", some!(check.downinter = time)).lacks("'downinter' expects a delay as argument."),
    row("port", |o, a| {
        let port = o.number(a)?;
        o.server.check.port =
            Some(u16::try_from(port).map_err(|_| o.fault("'port' has to be between 0 and 65535."))?);
        Ok(())
    }).lacks("'port' expects a port number as argument."),
    row("allow-0rtt", |o, a| o.other(a, false)),
    row("alpn", |o, a| {
        let list = o.value(a)?.split(',').map(str::to_owned).collect();
        o.tls().alpn = Some(list);
        Ok(())
    }).lacks("'alpn' : missing the comma-delimited ALPN protocol suite"),
    row("ca-file", |o, a| o.value(a).map(|v| o.tls().ca_file = Some(v))).lacks("'ca-file' : missing CAfile path"),
    row("cc", |o, a| o.value(a).and_then(|_| o.inert(NOT_YET))),
    row("ciphers", |o, a| o.other(a, true)),
    row("ciphersuites", |o, a| o.other(a, true)),
    row("client-sigalgs", |o, a| o.other(a, true)),
    row("crl-file", |o, a| {
        let path = o.value(a)?;
        o.tls().crl_file = Some(path.into());
        Ok(())
    }),
    row("crt", |o, a| {
        let path = o.value(a)?;
        let path = o.cx.loader.certificate(&path);
        o.tls().crt = Some(path);
        Ok(())
    }).lacks("'crt' : missing certificate file path"),
    row("curves", |o, a| o.other(a, true)),
    row("ech", |o, a| o.other(a, true)),
    row("force-sslv3", |o, _| o.versions()),
    row("force-tlsv10", |o, _| o.versions()),
    row("force-tlsv11", |o, _| o.versions()),
    row("force-tlsv12", |o, _| o.versions()),
    row("force-tlsv13", |o, _| o.versions()),
    row("ktls", |o, a| o.other(a, true)),
    row("no-sni-auto", |o, a| o.other(a, false)),
    row("sni-auto", |o, a| o.other(a, false)),
    row("no-renegotiate", |o, a| o.other(a, false)),
    row("renegotiate", |o, a| o.other(a, false)),
    row("no-ssl", |o, _| {
        o.server.tls = None;
        Ok(())
    }).file_only(),
    row("no-ssl-reuse", |o, a| o.other(a, false)),
    row("ssl-reuse", |o, a| o.other(a, false)).file_only(),
    row("no-sslv3", |o, _| o.versions()),
    row("no-tls-tickets", |o, a| o.other(a, false)),
    row("tls-tickets", |o, a| o.other(a, false)),
    row("no-tlsv10", |o, _| o.versions()),
    row("no-tlsv11", |o, _| o.versions()),
    row("no-tlsv12", |o, _| o.versions()),
    row("no-tlsv13", |o, _| o.versions()),
    row("no-verifyhost", |o, _| {
        o.tls().verifyhost = None;
        Ok(())
    }),
    row("npn", |o, a| o.other(a, true)),
    row("sigalgs", |o, a| o.other(a, true)),
    row("sni", sni).lacks("'sni' : missing sni expression"),
    row("ssl", |o, _| {
        o.tls().enabled = true;
        Ok(())
    }),
    row("ssl-max-ver", |o, a| o.value(a).map(|v| o.tls().max_version = Some(v))),
    row("ssl-min-ver", |o, a| {
        let version = o.value(a)?;
        if !super::tls::VERSIONS.contains(&version.as_str()) {
            return Err(o.fault(format!("'{version}' : unknown ssl/tls version")));
        }
        let old = super::tls::is_old(&version);
        o.tls().min_version = Some(version);
        if old { o.inert(super::tls::OLD) } else { Ok(()) }
    }),
    row("tcp-md5sig", |o, a| o.value(a).and_then(|_| o.inert(NOT_YET))),
    row("verify", |o, a| {
        let verify = match o.value(a)?.as_str() {
            "none" => Verify::None,
            "required" => Verify::Required,
            other => {
                let text = format!(
                    "'verify' : unknown verify method '{other}', only 'none' and 'required' are supported"
                );
                return Err(o.fault(text));
            }
        };
        o.tls().verify = verify;
        Ok(())
    }).lacks("'verify' : missing verify method"),
    row("verifyhost", |o, a| o.value(a).map(|v| o.tls().verifyhost = Some(v))).lacks("'verifyhost' : missing hostname to verify against"),
    row("hash-key", |o, a| o.value(a).and_then(|_| o.inert(NOT_YET))),
    row("idle-ping", |o, a| o.value(a).and_then(|_| o.inert(NOT_YET))),
    row("quic-cc-algo", |o, a| o.value(a).and_then(|_| o.inert(NOT_YET))),
]);

/// Each option and how many words it takes.
pub(super) fn shapes() -> Vec<(&'static str, usize)> {
    let shape = |row: &Row| {
        let words = super::words::taken(row.name, |loader, option, args| {
            let mut draft = super::proxy::Draft::blank(option.span);
            let line = conf_parsers::Line { words: Vec::new(), span: option.span };
            let mut cx = Cx { loader, draft: &mut draft, line: &line };
            let (mut server, lacks, warnings) = (Server::default(), row.lacks, Vec::new());
            let server = &mut server;
            (row.run)(&mut Srv { server, option, lacks, cx: &mut cx, warnings, track: None }, args).is_ok()
        });
        (row.name, words)
    };
    SERVER_OPTIONS.rows().iter().map(shape).collect()
}
