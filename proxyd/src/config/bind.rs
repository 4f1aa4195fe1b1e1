//! `bind` lines and `stats socket`: addresses and BIND_OPTIONS.

use super::keyword::Cx;
use super::model::{Bind, BindAddress, BindTls, Level, SeverityOutput, UnixPermissions, Verify};
use super::{Loader, resolve};
use conf_parsers::args::{Args, Fault, time_fault_quoted};
use conf_parsers::haproxy::address::{self, Host, Ports};
use conf_parsers::table::{Table, did_you_mean};
use conf_parsers::value::{NumberFault, TimeUnit, duration, strict_int, wrapping_int};
use conf_parsers::{Line, Word};
use diag::{Diagnostic, Severity, Span};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

/// How many ports a range of one bind address may have; more is a slip of the finger.
const RANGE_MAX: usize = 65_536;

/// A bind with nothing said.
fn empty(address: BindAddress, text: &str, origin: String) -> Bind {
    Bind {
        address,
        text: text.to_owned(),
        origin,
        name: None,
        id: None,
        maxconn: None,
        backlog: None,
        interface: None,
        namespace: None,
        mss: None,
        transparent: false,
        v4v6: false,
        v6only: false,
        defer_accept: false,
        tfo: false,
        tcp_ut: None,
        accept_proxy: false,
        accept_netscaler_cip: None,
        shards: 1,
        nice: 0,
        unix: UnixPermissions::default(),
        level: Level::default(),
        expose_fd_listeners: false,
        severity_output: SeverityOutput::default(),
        proto: None,
        tls: None,
    }
}

/// `bind` of a proxy.
pub(super) fn line(cx: &mut Cx<'_, '_>, args: &mut Args<'_>) -> Result<(), Fault> {
    let Some(word) = args.next().filter(|w| !w.text.is_empty()) else {
        let text = "'bind' expects {<path>|[addr1]:port1[-end1]}{,[addr]:port[-end]}... as arguments.";
        return Err(Fault::new(args.keyword().span, text));
    };
    let place = format!("'bind {}' in section '{}'", word.text, cx.draft.scope.word());
    let binds = read(cx.loader, args, word, cx.line.span, &place, "'bind'")?;
    if let Some(settings) = binds.first().and_then(|b| b.tls.as_ref()) {
        let global = &cx.loader.config.global;
        super::certificate::of_bind(settings, global)
            .map_err(|e| Fault::new(cx.line.span, format!("{place} : {e}")))?;
        if settings.enabled && settings.crt.is_empty() && settings.crt_list.is_empty() {
            let text = format!(
                "Proxy '{}': no SSL certificate specified for bind '{}' at [{}] (use 'crt').",
                cx.draft.proxy.name, word.text, binds[0].origin
            );
            cx.loader.late.push(Diagnostic::global(Severity::Alert, text));
        }
        let (min, max) = (settings.min_version.as_ref(), settings.max_version.as_ref());
        if settings.enabled && super::tls::leaves_nothing(min, max) {
            let text = format!(
                "Proxy '{}': all SSL/TLS versions are disabled for bind '{}' at [{}].",
                cx.draft.proxy.name, word.text, binds[0].origin
            );
            cx.loader.late.push(Diagnostic::global(Severity::Alert, text));
        }
    }
    if let Some(new) = binds.first().filter(|b| b.id.is_some())
        && let Some(first) = cx.draft.proxy.binds.iter().find(|b| b.id == new.id)
    {
        let id = new.id.unwrap_or_default();
        let text = format!("'id' : custom id {id} already used at {} ('bind {}')", first.origin, first.text);
        return Err(Fault::new(cx.line.span, format!("{place} : {text}")));
    }
    let prefix = cx.loader.config.global.unix_bind.prefix.clone();
    for mut bind in binds {
        // Without `ssl` itself the other words of TLS only stand there.
        bind.tls.take_if(|tls| !tls.enabled);
        if let (BindAddress::Unix(path), Some(prefix)) = (&mut bind.address, &prefix) {
            let mut whole = std::ffi::OsString::from(prefix);
            whole.push(path.as_os_str());
            *path = PathBuf::from(whole);
        }
        // Sockets that share an address are a matter of TCP.
        let inet = matches!(bind.address, BindAddress::Inet(_));
        let copies = if inet { bind.shards.min(threads_of(cx.loader)) } else { 1 };
        cx.draft.proxy.binds.extend(std::iter::repeat_n(bind, copies));
    }
    Ok(())
}

/// How many threads there will be.
fn threads_of(loader: &Loader<'_>) -> usize {
    let all = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    loader.config.global.nbthread.unwrap_or_else(all)
}

/// Addresses and options of one line; `place` leads faults of options, `who` those of addresses.
pub(super) fn read(
    loader: &mut Loader<'_>,
    args: &mut Args<'_>,
    word: &Word,
    line: Span,
    place: &str,
    who: &str,
) -> Result<Vec<Bind>, Fault> {
    let origin = format!("{}:{}", loader.sources.name(line), loader.sources.line(line));
    let text = address::expand(&word.text, &|n| loader.variable(n));
    let mut binds = Vec::new();
    for part in text.split(',').filter(|p| !p.is_empty()) {
        let fault = |e: String| Fault::new(word.span, format!("{who} : {e}"));
        for address in addresses(part).map_err(fault)? {
            let mut bind = empty(address, part, origin.clone());
            bind.unix = loader.config.global.unix_bind.clone();
            binds.push(bind);
        }
    }
    while let Some(option) = args.next() {
        let Some((_, run)) = BIND_OPTIONS.find(&option.text) else {
            let hint = did_you_mean(&option.text, BIND_OPTIONS.names());
            let end = if hint.is_empty() { "." } else { "" };
            let text = format!("{place}: unknown keyword '{}'{hint}{end}", option.text);
            return Err(Fault::new(option.span, text.replace(" maybe ?.", " maybe ?")));
        };
        let mut sample = empty(BindAddress::Fd(-1), "", String::new());
        std::mem::swap(
            &mut sample,
            binds.first_mut().unwrap_or(&mut empty(BindAddress::Fd(-1), "", String::new())),
        );
        let done = run(&mut Option_ { bind: &mut sample, loader, option, line, place }, args);
        if let Some(first) = binds.first_mut() {
            *first = sample;
        }
        done.map_err(|mut f| {
            f.text = format!("{place} : {}", f.text);
            f
        })?;
    }
    if let Some((first, others)) = binds.split_first_mut() {
        for other in others {
            *other = Bind { address: other.address.clone(), text: other.text.clone(), ..first.clone() };
        }
    }
    Ok(binds)
}

fn addresses(text: &str) -> Result<Vec<BindAddress>, String> {
    let parsed = address::parse(text).map_err(|fault| {
        // That there is no port is seen before the name is looked at.
        if fault.starts_with("invalid address") && !text.contains(':') { missing_port(text) } else { fault }
    })?;
    if parsed.prefix.quic {
        return Err(format!("QUIC is not supported in '{text}'"));
    }
    if parsed.prefix.datagram {
        return Err(format!("dgram-type address not acceptable in '{text}'"));
    }
    let ip = match parsed.host {
        Host::Unix(path) if path.len() > PATH_MAX => {
            return Err(format!("socket path '{path}' too long (max {PATH_MAX})"));
        }
        Host::Unix(path) => return Ok(vec![BindAddress::Unix(PathBuf::from(path))]),
        Host::Abstract(name, _) if name.len() > NAME_BYTES => {
            return Err(format!("socket path '{text}' too long (max {NAME_BYTES})"));
        }
        Host::Abstract(name, padded) => return Ok(vec![BindAddress::Abstract(abstract_name(name, padded))]),
        Host::Fd(fd) => {
            let why = inherited(fd).err().map(|e| format!("cannot use file descriptor '{fd}' : {e}."));
            return why.map_or_else(|| Ok(vec![BindAddress::Fd(fd)]), Err);
        }
        Host::Sockpair(fd) => return Ok(vec![BindAddress::Sockpair(fd)]),
        Host::ReverseHttp(_) => return Err(format!("reverse HTTP is not supported in '{text}'")),
        Host::Any if parsed.prefix.family == Some(6) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        Host::Any => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        Host::Ip(ip) => ip,
        Host::Name(name) => {
            resolve::host_of_family(&name, parsed.prefix.family).ok_or_else(|| match parsed.ports {
                Ports::None => missing_port(text),
                _ => format!("invalid address: '{name}' in '{text}'"),
            })?
        }
    };
    let (low, high) = match parsed.ports {
        Ports::Fixed(low, high) => (low, high),
        Ports::None => return Err(missing_port(text)),
        Ports::Offset(_) => return Err(format!("port offsets not allowed in '{text}'")),
    };
    if low == 0 {
        return Err("invalid port '0'".into());
    }
    Ok((low..=high).take(RANGE_MAX).map(|port| BindAddress::Inet((ip, port).into())).collect())
}

fn missing_port(text: &str) -> String {
    format!("missing port specification in '{text}'")
}

/// Bytes of an abstract name at most: sun_path has 108, the first of them 0.
const NAME_BYTES: usize = 107;
/// Bytes of a path at most: as many, less what the original puts behind it for a while.
const PATH_MAX: usize = 97;

/// Whether a descriptor that the parent left is a socket; why not.
fn inherited(fd: i32) -> Result<(), String> {
    let strerror = |e: std::io::Error| crate::process::messages::system_text(&e);
    let copy = sys::inherit::dup(fd).map_err(strerror)?;
    match nix::sys::socket::getsockopt(&copy, nix::sys::socket::sockopt::SockType) {
        Err(nix::errno::Errno::ENOTSOCK) => Err("Socket operation on non-socket".into()),
        _ => Ok(()),
    }
}

/// Bytes of an abstract name as the kernel sees them, without the leading zero byte.
fn abstract_name(mut name: Vec<u8>, padded: bool) -> Vec<u8> {
    if padded {
        name.resize(NAME_BYTES, 0);
    }
    name
}

/// What an option's function sees.
struct Option_<'a, 'l> {
    bind: &'a mut Bind,
    loader: &'a mut Loader<'l>,
    option: &'a Word,
    line: Span,
    /// What it belongs to, as messages begin.
    place: &'a str,
}

impl Option_<'_, '_> {
    fn tls(&mut self) -> &mut BindTls {
        let global = &self.loader.config.global;
        self.bind.tls.get_or_insert_with(|| super::tls::of_bind(global))
    }

    fn value(&self, args: &mut Args<'_>, what: &str) -> Result<String, Fault> {
        self.value_or(args, || format!("'{}' : missing {what}", self.option.text))
    }

    /// The value, or this complaint.
    fn value_or(&self, args: &mut Args<'_>, lacks: impl FnOnce() -> String) -> Result<String, Fault> {
        args.next().map(|w| w.text.clone()).ok_or_else(|| Fault::new(self.option.span, lacks()))
    }

    fn number(&self, args: &mut Args<'_>, what: &str) -> Result<i64, Fault> {
        // What is no number counts as 0, as in the original.
        self.value(args, what).map(|text| wrapping_int(&text))
    }

    /// Words that TLS reads by name.
    fn other(&mut self, args: &mut Args<'_>, what: &str) -> Result<(), Fault> {
        let value = if what.is_empty() { String::new() } else { self.value(args, what)? };
        let name = self.option.text.clone();
        self.tls().other.insert(name, value);
        Ok(())
    }

    /// `no-tlsv12`, `force-tlsv13` and the like.
    fn versions(&mut self) -> Result<(), Fault> {
        let name = self.option.text.clone();
        let tls = self.tls();
        match super::tls::versions(&name, &mut tls.min_version, &mut tls.max_version) {
            Ok(()) => Ok(()),
            Err(why) => self.none(why),
        }
    }

    fn none(&mut self, why: &str) -> Result<(), Fault> {
        let (line, name) = (self.line, self.option.text.clone());
        self.loader.no_effect(line, &format!("bind … {name}"), why);
        Ok(())
    }
}

/// Highest number of a thread.
const THREADS_MAX: i64 = 64;

/// `thread` and `process`: sets of threads, which are checked and then not needed.
fn threads(o: &mut Option_<'_, '_>, args: &mut Args<'_>) -> Result<(), Fault> {
    let text = args.next().map_or("", |w| w.text.as_str());
    let thread = o.option.text == "thread";
    // What stands before the first stroke is a process or a group. Files of the time of many processes name more
    // than the one there is: that is harmless, hence taken.
    let parts = text.split('/').enumerate();
    for (n, part) in parts {
        let most = if thread || n > 0 { THREADS_MAX } else { 1 };
        for range in part.split(',') {
            let (low, high) = range.split_once('-').unwrap_or((range, range));
            let number = |n: &str, missing: i64| if n.is_empty() { Some(missing) } else { strict_int(n) };
            let wrong = match (number(low, 0), number(high, THREADS_MAX)) {
                _ if matches!(range, "all" | "odd" | "even") => continue,
                (Some(low), Some(high))
                    if low >= 1 && (1..=THREADS_MAX).contains(&high) && low <= THREADS_MAX =>
                {
                    continue;
                }
                (Some(_), Some(_)) => format!(" It supports numbers from 1 to {most}."),
                _ => String::new(),
            };
            let shown = if thread { part } else { &o.option.text };
            let text = format!("'{shown}' : '{part}' is not a valid number/range.{wrong}");
            return Err(Fault::new(o.option.span, text));
        }
    }
    if !thread {
        let (place, instead) = (o.place, text.split_once('/').map(|(_, threads)| threads));
        let instead = instead.map_or_else(String::new, |t| format!(" Please use 'thread {t}' instead."));
        let text = format!(
            "{place} : 'process {text}' on 'bind' lines is deprecated and will be removed in 2.7.{instead}"
        );
        o.loader.report.warning(o.option.span, text);
    }
    o.none("threads are not bound one by one")
}

/// Names of protocols that `proto` takes.
pub(super) const PROTOCOLS: &[&str] = &["none", "h1", "h2", "fcgi"];

type Run = for<'w> fn(&mut Option_<'_, '_>, &mut Args<'w>) -> Result<(), Fault>;

const UNIX_ONLY: &str = "it has no counterpart here yet";

/// All options of `bind`, in haproxy's order where it shows.
static BIND_OPTIONS: Table<(&str, Run)> = Table::new(&[
    ("accept-netscaler-cip", |o, a| {
        let magic = o.number(a, "value")?;
        if magic <= 0 {
            let text = format!("'accept-netscaler-cip' : invalid value {magic}, must be >= 0");
            return Err(Fault::new(o.option.span, text));
        }
        o.bind.accept_netscaler_cip = Some(magic as u32);
        Ok(())
    }),
    ("accept-proxy", |o, _| {
        o.bind.accept_proxy = true;
        Ok(())
    }),
    ("backlog", |o, a| {
        let backlog = o.number(a, "value")?;
        if backlog < 0 {
            let text = format!("'backlog' : invalid value {backlog}, must be > 0");
            return Err(Fault::new(o.option.span, text));
        }
        o.bind.backlog = Some(backlog as u32);
        Ok(())
    }),
    ("id", |o, a| {
        let text = o.value_or(a, || "'id' : expects an integer argument".into())?;
        let Some(id) = conf_parsers::value::strict_int(&text) else {
            let text = format!("'id' : expects an integer argument, found '{text}'");
            return Err(Fault::new(o.option.span, text));
        };
        let id = id as i32;
        if id <= 0 {
            return Err(Fault::new(o.option.span, "'id' : custom id has to be > 0"));
        }
        o.bind.id = Some(id as u32);
        Ok(())
    }),
    ("maxconn", |o, a| {
        let maxconn = o.number(a, "value")?;
        if maxconn < 0 {
            let text = format!("'maxconn' : invalid value {maxconn}, must be >= 0");
            return Err(Fault::new(o.option.span, text));
        }
        o.bind.maxconn = Some(maxconn as usize);
        Ok(())
    }),
    ("name", |o, a| {
        o.bind.name = Some(o.value(a, "name")?);
        Ok(())
    }),
    ("nbconn", |o, a| o.value(a, "value").and_then(|_| o.none(UNIX_ONLY))),
    ("nice", |o, a| {
        let nice = o.number(a, "value")?;
        if !(-1024..=1024).contains(&nice) {
            let text = format!("'nice' : invalid value {nice}, allowed range is -1024..1024");
            return Err(Fault::new(o.option.span, text));
        }
        o.bind.nice = nice as i32;
        Ok(())
    }),
    ("process", |o, a| threads(o, a)),
    ("proto", |o, a| {
        let name = o.value(a, "value")?;
        if !PROTOCOLS.contains(&name.as_str()) {
            let text = format!("'proto' :  unknown MUX protocol '{name}'");
            return Err(Fault::new(o.option.span, text));
        }
        o.bind.proto = Some(name);
        Ok(())
    }),
    ("shards", |o, a| {
        let text = o.value(a, "value")?;
        let shards = match text.as_str() {
            "by-thread" => THREADS_MAX,
            // Threads are one group here.
            "by-group" => 1,
            number => wrapping_int(number),
        };
        if !(1..=THREADS_MAX).contains(&shards) {
            let text = format!(
                "'shards' : invalid value {shards}, allowed range is 1..{THREADS_MAX} or 'by-thread'"
            );
            return Err(Fault::new(o.option.span, text));
        }
        o.bind.shards = shards as usize;
        Ok(())
    }),
    ("thread", |o, a| threads(o, a)),
    ("guid-prefix", |o, a| o.value(a, "value").and_then(|_| o.none(UNIX_ONLY))),
    ("idle-ping", |o, a| o.value(a, "value").and_then(|_| o.none(UNIX_ONLY))),
    ("expose-fd", |o, a| {
        let what = o.value(a, "fd type")?;
        if what != "listeners" {
            let text = format!("'expose-fd' only supports 'listeners' (got '{what}')");
            return Err(Fault::new(o.option.span, text));
        }
        o.bind.expose_fd_listeners = true;
        Ok(())
    }),
    ("level", |o, a| {
        o.bind.level = match o.value(a, "level")?.as_str() {
            "user" => Level::User,
            "operator" => Level::Operator,
            "admin" => Level::Admin,
            got => {
                let text = format!("'level' only supports 'user', 'operator', and 'admin' (got '{got}')");
                return Err(Fault::new(o.option.span, text));
            }
        };
        Ok(())
    }),
    ("severity-output", |o, a| {
        o.bind.severity_output = match o.value(a, "severity format")?.as_str() {
            "none" => SeverityOutput::None,
            "number" => SeverityOutput::Number,
            "string" => SeverityOutput::String,
            got => {
                let text =
                    format!("'severity-output' only supports 'none', 'number', and 'string' (got '{got}')");
                return Err(Fault::new(o.option.span, text));
            }
        };
        Ok(())
    }),
    ("defer-accept", |o, _| {
        o.bind.defer_accept = true;
        Ok(())
    }),
    ("interface", |o, a| {
        o.bind.interface = Some(o.value(a, "interface name")?);
        Ok(())
    }),
    ("mss", |o, a| {
        let mss = o.number(a, "MSS value")?;
        if mss == 0 || mss.abs() > 65_535 {
            let text = "'mss' : expects an MSS with and absolute value between 1 and 65535";
            return Err(Fault::new(o.option.span, text));
        }
        o.bind.mss = Some(mss as i32);
        Ok(())
    }),
    ("namespace", |o, a| {
        o.bind.namespace = Some(o.value(a, "namespace id")?);
        Ok(())
    }),
    ("tcp-ut", |o, a| {
        let text = o.value(a, "TCP User Timeout value")?;
        let value = duration(&text, TimeUnit::Ms).map_err(|e| {
            let text = match e {
                NumberFault::Overflow => time_fault_quoted(&text, "tcp-ut", e),
                _ => "'tcp-ut' : expects a positive delay in milliseconds".into(),
            };
            Fault::new(o.option.span, text)
        })?;
        o.bind.tcp_ut = Some(value);
        Ok(())
    }),
    ("tfo", |o, _| {
        o.bind.tfo = true;
        Ok(())
    }),
    ("tcp-md5sig", |o, a| o.value(a, "password").and_then(|_| o.none(UNIX_ONLY))),
    ("cc", |o, a| o.value(a, "algorithm").and_then(|_| o.none(UNIX_ONLY))),
    ("label", |o, a| o.value(a, "label").and_then(|_| o.none(UNIX_ONLY))),
    ("ktls", |o, a| o.value(a, "value").and_then(|_| o.none(UNIX_ONLY))),
    ("transparent", |o, _| {
        o.bind.transparent = true;
        Ok(())
    }),
    ("v4v6", |o, _| {
        o.bind.v4v6 = true;
        Ok(())
    }),
    ("v6only", |o, _| {
        o.bind.v6only = true;
        Ok(())
    }),
    ("gid", |o, a| {
        o.bind.unix.gid = Some(o.number(a, "value")? as u32);
        Ok(())
    }),
    ("group", |o, a| {
        let name = o.value(a, "group name")?;
        o.bind.unix.gid = Some(group_id(&name).ok_or_else(|| missing(o.option, "group", &name))?);
        Ok(())
    }),
    ("mode", |o, a| {
        let lacks = "'mode' : missing or invalid mode '' (octal integer expected)";
        let text = o.value_or(a, || lacks.into())?;
        let bad = format!("'mode' : missing or invalid mode '{text}' (octal integer expected)");
        let mode = u32::from_str_radix(&text, 8).map_err(|_| Fault::new(o.option.span, bad))?;
        o.bind.unix.mode = Some(mode);
        Ok(())
    }),
    ("uid", |o, a| {
        o.bind.unix.uid = Some(o.number(a, "value")? as u32);
        Ok(())
    }),
    ("user", |o, a| {
        let name = o.value(a, "user name")?;
        o.bind.unix.uid = Some(user_id(&name).ok_or_else(|| missing(o.option, "user", &name))?);
        Ok(())
    }),
    ("allow-0rtt", |o, _| {
        o.tls().allow_0rtt = true;
        Ok(())
    }),
    ("alpn", |o, a| {
        let text = o.value(a, "the comma-delimited ALPN protocol suite")?;
        o.tls().alpn = Some(text.split(',').map(str::to_owned).collect());
        Ok(())
    }),
    ("no-alpn", |o, _| {
        o.tls().alpn = Some(Vec::new());
        Ok(())
    }),
    ("ca-file", |o, a| {
        o.tls().ca_file = Some(o.value(a, "CAfile path")?);
        Ok(())
    }),
    ("ca-ignore-err", |o, a| o.other(a, "error IDs list")),
    ("ca-sign-file", |o, a| o.other(a, "argument")),
    ("ca-sign-pass", |o, a| o.other(a, "argument")),
    ("ca-verify-file", |o, a| o.other(a, "argument")),
    ("ciphers", |o, a| {
        o.tls().ciphers = Some(o.value(a, "cipher suite")?);
        Ok(())
    }),
    ("ciphersuites", |o, a| {
        o.tls().ciphersuites = Some(o.value(a, "cipher suite")?);
        Ok(())
    }),
    ("client-sigalgs", |o, a| o.other(a, "argument")),
    ("crl-file", |o, a| {
        o.tls().crl_file = Some(o.value(a, "CRLfile path")?.into());
        Ok(())
    }),
    ("crt", |o, a| {
        let path = o.value(a, "certificate location")?;
        let path = o.loader.certificate(&path);
        o.tls().crt.push(path);
        Ok(())
    }),
    ("crt-ignore-err", |o, a| {
        o.tls().ignore_errors = Some(o.value(a, "error IDs list")?);
        Ok(())
    }),
    ("crt-list", |o, a| {
        let path = o.value(a, "certificate location")?;
        o.tls().crt_list.push(path.into());
        Ok(())
    }),
    ("curves", |o, a| {
        let list = o.value(a, "curve suite")?;
        known_curves(&list).map_err(|e| Fault::new(o.option.span, e))?;
        o.tls().curves = Some(list);
        Ok(())
    }),
    ("default-crt", |o, a| {
        let path = o.value(a, "certificate location")?;
        let path = o.loader.certificate(&path);
        o.tls().crt.insert(0, path);
        Ok(())
    }),
    ("ecdhe", |o, a| {
        o.tls().curves = Some(o.value(a, "named curve")?);
        Ok(())
    }),
    ("ech", |o, a| o.other(a, "argument")),
    ("force-sslv3", |o, _| o.versions()),
    ("force-tlsv10", |o, _| o.versions()),
    ("force-tlsv11", |o, _| o.versions()),
    ("force-tlsv12", |o, _| o.versions()),
    ("force-tlsv13", |o, _| o.versions()),
    ("generate-certificates", |o, a| o.other(a, "")),
    ("no-ca-names", |o, a| o.other(a, "")),
    ("no-sslv3", |o, _| o.versions()),
    ("no-strict-sni", |o, _| {
        o.tls().strict_sni = false;
        Ok(())
    }),
    ("no-tls-tickets", |o, _| {
        o.tls().no_tls_tickets = true;
        Ok(())
    }),
    ("tls-tickets", |o, a| o.other(a, "")),
    ("no-tlsv10", |o, _| o.versions()),
    ("no-tlsv11", |o, _| o.versions()),
    ("no-tlsv12", |o, _| o.versions()),
    ("no-tlsv13", |o, _| o.versions()),
    ("npn", |o, a| o.other(a, "the comma-delimited NPN protocol suite")),
    ("ocsp-update", |o, a| o.other(a, "argument")),
    ("prefer-client-ciphers", |o, a| o.other(a, "")),
    ("sigalgs", |o, a| o.other(a, "argument")),
    ("ssl", |o, _| {
        o.tls().enabled = true;
        Ok(())
    }),
    ("ssl-max-ver", |o, a| {
        o.tls().max_version = Some(o.value(a, "the ssl/tls version")?);
        Ok(())
    }),
    ("ssl-min-ver", |o, a| {
        let version = o.value(a, "the ssl/tls version")?;
        if !super::tls::VERSIONS.contains(&version.as_str()) {
            return Err(Fault::new(o.option.span, format!("'{version}' : unknown ssl/tls version")));
        }
        let old = super::tls::is_old(&version);
        o.tls().min_version = Some(version);
        if old { o.none(super::tls::OLD) } else { Ok(()) }
    }),
    ("strict-sni", |o, _| {
        o.tls().strict_sni = true;
        Ok(())
    }),
    ("tls-ticket-keys", |o, a| o.other(a, "TLS ticket keys file path")),
    ("verify", |o, a| {
        o.tls().verify = match o.value(a, "verify method")?.as_str() {
            "none" => Verify::None,
            "optional" => Verify::Optional,
            "required" => Verify::Required,
            other => {
                let text = format!(
                    "'verify' : unknown verify method '{other}', only 'none', 'optional', and 'required' are supported"
                );
                return Err(Fault::new(o.option.span, text));
            }
        };
        Ok(())
    }),
    ("quic-cc-algo", |o, a| o.value(a, "value").and_then(|_| o.none("there is no QUIC here yet"))),
    ("quic-force-retry", |o, _| o.none("there is no QUIC here yet")),
    ("quic-socket", |o, a| o.value(a, "value").and_then(|_| o.none("there is no QUIC here yet"))),
]);

/// Each option, whether it belongs to TLS, and how many words it takes.
pub(super) fn shapes() -> Vec<(&'static str, bool, usize)> {
    let shape = |(name, run): &(&'static str, Run)| {
        let mut bind = empty(BindAddress::Fd(-1), "", String::new());
        let words = super::words::taken(name, |loader, option, args| {
            let line = option.span;
            run(&mut Option_ { bind: &mut bind, loader, option, line, place: "" }, args).is_ok()
        });
        (*name, *name != "ssl" && bind.tls.is_some(), words)
    };
    BIND_OPTIONS.rows().iter().map(shape).collect()
}

/// The options' names, for tests.
pub(super) fn options() -> impl Iterator<Item = &'static str> {
    BIND_OPTIONS.names()
}

/// Curve names of OpenSSL's and ours that a list may hold.
const CURVES: &[&str] = &[
    "X25519",
    "X448",
    "P-256",
    "P-384",
    "P-521",
    "prime256v1",
    "secp256r1",
    "secp384r1",
    "secp521r1",
    "secp224r1",
    "X25519MLKEM768",
    "SecP256r1MLKEM768",
    "SecP384r1MLKEM1024",
    "MLKEM512",
    "MLKEM768",
    "MLKEM1024",
    "ffdhe2048",
    "ffdhe3072",
    "ffdhe4096",
    "secp256k1",
    "brainpoolP256r1",
    "brainpoolP384r1",
    "brainpoolP512r1",
];

fn known_curves(list: &str) -> Result<(), String> {
    let known = |c: &str| CURVES.iter().any(|k| k.eq_ignore_ascii_case(c));
    match list.split(':').find(|c| !known(c.trim_start_matches(['?', '*', '-']))) {
        None => Ok(()),
        Some(_) => Err(format!("unable to set SSL curves list to '{list}'")),
    }
}

fn missing(option: &Word, what: &str, name: &str) -> Fault {
    Fault::new(option.span, format!("'{}' : unknown {what} name '{name}'", option.text))
}

/// The id of a user by name.
pub(super) fn user_id(name: &str) -> Option<u32> {
    nix::unistd::User::from_name(name).ok().flatten().map(|u| u.uid.as_raw())
}

/// The id of a group by name.
pub(super) fn group_id(name: &str) -> Option<u32> {
    nix::unistd::Group::from_name(name).ok().flatten().map(|g| g.gid.as_raw())
}

/// `stats socket` of `global`: the words behind it.
pub(super) fn stats_socket(
    loader: &mut Loader<'_>,
    args: &mut Args<'_>,
    line: &Line,
) -> Result<Vec<Bind>, Fault> {
    let Some(word) = args.next() else {
        let text = "'stats socket' in global section expects an address or a path to a UNIX socket";
        return Err(Fault::new(line.span, text));
    };
    // The original leads into faults of addresses, of unknown words and of options in three ways.
    const WHO: &str = "'stats socket'";
    let origin = format!("[{}:{}]", loader.sources.name(line.span), loader.sources.line(line.span));
    read(loader, args, word, line.span, WHO, "address").map_err(|mut fault| {
        fault.text = if let Some(text) = fault.text.strip_prefix("address : ") {
            format!("parsing {origin} : {WHO} : {text}")
        } else if let Some(text) = fault.text.strip_prefix("'stats socket': ") {
            format!("{WHO} : {}", text.replacen("; did you", ". Did you", 1))
        } else if let Some(text) = fault.text.strip_prefix("'stats socket' : ") {
            format!("{WHO} : '{text}'")
        } else {
            fault.text
        };
        fault
    })
}
