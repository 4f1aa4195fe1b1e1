//! The checkers of a real server: `TCP_CHECK`, `HTTP_GET`, `MISC_CHECK` and their relatives.
//!
//! Invariant: a checker that can't work is dropped with the original's complaint; timers stay optional until
//! finish.rs inherits them.

use super::Builder;
use super::finish::shown;
use super::model::{CheckerKind, DnsType, HttpGet, HttpProtocol, Script, UdpCheck, Url, UrlRegex};
use super::service::{DELAY_MAX_US, TIME_MAX_US, Timers, named, time, truth};
use super::value::{body_regex, hex};
use conf_parsers::keepalived::boolean;
use conf_parsers::keepalived::shared::{self, User};
use conf_parsers::keepalived::walk::{Line, Row, Standing, Step, Stop, block, no_effect, words};
use diag::{Diagnostic, Severity};
use std::net::IpAddr;
use std::time::Duration;

/// Hexadecimal digits of an MD5 digest.
const DIGEST_LEN: usize = 32;
/// Longest interface name.
const INTERFACE_MAX: usize = 15;

/// A checker under way.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    pub(super) kind: CheckerKind,
    pub(super) ip: Option<IpAddr>,
    pub(super) port: Option<u16>,
    pub(super) bind_ip: Option<IpAddr>,
    pub(super) bind_port: Option<u16>,
    pub(super) bind_if: Option<String>,
    pub(super) fwmark: u32,
    pub(super) timers: Timers,
    pub(super) alpha: Option<bool>,
    pub(super) log_all: Option<bool>,
    /// `user` of MISC_CHECK.
    user: Option<User>,
    user_failed: bool,
    has_script: bool,
    name_set: bool,
    /// `host` blocks of SMTP_CHECK: each is a checker of its own in the end.
    hosts: Vec<Draft>,
}

type B = Builder;
type Open = Result<bool, Stop>;

/// The keywords that checkers share, and a checker's own behind them.
macro_rules! rows {
    (timers; $($own:expr),* $(,)?) => { &[
        words("retry", "<INTEGER>", retry),
        words("delay_before_retry", "<TIMER>", |b, l| timer(b, l, "Invalid delay_before_retry connection value '{}'", 0, TIME_MAX_US, |t| &mut t.delay_before_retry)),
        words("warmup", "<TIMER>", |b, l| timer(b, l, "Invalid warmup connection value '{}'", 0, TIME_MAX_US, |t| &mut t.warmup)),
        words("delay_loop", "<TIMER>", |b, l| timer(b, l, "delay_loop '{}' is invalid - ignoring", 1, DELAY_MAX_US, |t| &mut t.delay_loop)),
        words("alpha", "", |b, l| flag(b, l, "Invalid alpha parameter {}", |c| &mut c.alpha)),
        words("log_all_failures", "<BOOL>", |b, l| flag(b, l, "Invalid log_all_failures parameter {}", |c| &mut c.log_all)),
        $($own),*
    ] };
    (connection; $($own:expr),* $(,)?) => { rows![timers;
        words("connect_ip", "<IPADDR>", connect_ip),
        words("connect_port", "<PORT>", |b, l| port(b, l, "connect_port", |c| &mut c.port)),
        words("bindto", "<IPADDR>", bindto),
        words("bind_port", "<PORT>", |b, l| port(b, l, "bind_port", |c| &mut c.bind_port)),
        words("bind_if", "<IFNAME>", bind_if),
        words("connect_timeout", "<TIMER>", |b, l| timer(b, l, "connect_timeout {} invalid - ignoring", 1, TIME_MAX_US, |t| &mut t.connect_timeout)),
        words("fwmark", "<INTEGER>", fwmark),
        $($own),*
    ] };
}

/// `TCP_CHECK`.
pub(super) const TCP: Row<B> = block("TCP_CHECK", "", |b, _| start(b, CheckerKind::Tcp), TCP_ROWS, |_, _| {});
static TCP_ROWS: &[Row<B>] = rows![connection;];

/// `PING_CHECK`.
pub(super) const PING: Row<B> =
    block("PING_CHECK", "", |b, _| start(b, CheckerKind::Ping), TCP_ROWS, |_, _| {});

/// `UDP_CHECK`.
pub(super) const UDP: Row<B> =
    block("UDP_CHECK", "", |b, _| start(b, CheckerKind::Udp(UdpCheck::default())), UDP_ROWS, udp_close);
static UDP_ROWS: &[Row<B>] = rows![connection;
    words("payload", "<HEX_STR>", payload),
    words("require_reply", "[<HEX_STR>]", require_reply),
    words("min_reply_length", "<INT>", |b, l| reply_length(b, l, "min")),
    words("max_reply_length", "<INT>", |b, l| reply_length(b, l, "max")),
];

/// `MISC_CHECK`.
pub(super) const MISC: Row<B> = block("MISC_CHECK", "", misc_open, MISC_ROWS, misc_close);
static MISC_ROWS: &[Row<B>] = rows![timers;
    words("misc_path", "<STRING>|<QUOTED-STRING>", misc_path),
    words("misc_timeout", "<INTEGER>", misc_timeout),
    words("misc_dynamic", "", |b, _| {
        if let Some(CheckerKind::Misc { dynamic, .. }) = kind(b) { *dynamic = true; }
        Ok(())
    }),
    words("user", "username [:][groupname]", misc_user),
];

/// `SMTP_CHECK`.
pub(super) const SMTP: Row<B> = block("SMTP_CHECK", "", smtp_open, SMTP_ROWS, smtp_close);
static SMTP_ROWS: &[Row<B>] = rows![connection;
    words("helo_name", "<STRING>|<QUOTED-STRING>", helo_name),
    block("host", "{", host_open, TCP_ROWS, host_close),
];

/// `HTTP_GET`.
pub(super) const HTTP: Row<B> = block("HTTP_GET", "", |b, _| start(b, http(false)), HTTP_ROWS, http_close);
/// `SSL_GET`.
pub(super) const SSL: Row<B> = block("SSL_GET", "{", |b, _| start(b, http(true)), HTTP_ROWS, http_close);
static HTTP_ROWS: &[Row<B>] = rows![connection;
    words("nb_get_retry", "NUM", nb_get_retry),
    words("virtualhost", "<STRING>", |b, l| {
        if let Some(h) = get(b) { named(l, "HTTP_GET virtualhost name missing", &mut h.virtualhost)?; }
        Ok(())
    }),
    words("http_protocol", "<PROTOCOL>", http_protocol),
    words("enable_sni", "", |b, l| http_flag(b, l, "Invalid enable_sni parameter {}", |h| &mut h.enable_sni)),
    words("sni_name", "SNI_NAME", |b, l| { let name = l.need(1)?.to_owned(); if let Some(h) = get(b) { h.sni_name = Some(name); } Ok(()) }),
    words("fast_recovery", "[<BOOL>]", |b, l| http_flag(b, l, "Invalid fast_recovery parameter {}", |h| &mut h.fast_recovery)),
    words("tls_compliant", "", |b, _| { if let Some(h) = get(b) { h.tls_compliant = true; } Ok(()) }),
    block("url", "", url_open, URL_ROWS, url_close),
];
static URL_ROWS: &[Row<B>] = &[
    words("path", "<STRING>", |b, l| {
        let path = l.need(1)?.to_owned();
        if let Some(u) = url(b) {
            u.path = path;
        }
        Ok(())
    }),
    words("digest", "<STRING>", digest),
    words("status_code", "<INTEGER|RANGE> [<INTEGER|RANGE>] ...", status_code),
    words("virtualhost", "<STRING>", |b, l| {
        if let Some(u) = url(b) {
            named(l, "Missing HTTP_GET virtualhost name", &mut u.virtualhost)?;
        }
        Ok(())
    }),
    words("regex", "<STRING>", regex),
    words("regex_no_match", "", |b, _| {
        if let Some(r) = url_regex(b) {
            r.no_match = true;
        }
        Ok(())
    }),
    words("regex_options", "<OPTIONS>", |b, l| {
        let options: Vec<String> = l.words.iter().skip(1).map(|w| w.text.clone()).collect();
        for word in options.iter().filter(|w| !health::probe::http::regex_option_is_known(w)) {
            l.inert(format!("regex option '{word}' is not carried out"));
        }
        if let Some(r) = url_regex(b) {
            r.options.extend(options);
        }
        Ok(())
    }),
    words("regex_min_offset", "<OFFSET>", |b, l| offset(b, l, "min")),
    words("regex_max_offset", "<OFFSET>", |b, l| offset(b, l, "max")),
    no_effect("regex_stack", "<START> <MAX>", "the stack of a pattern has a fixed limit", |_, l| {
        if l.len() != 3 {
            l.say("regex_stack requires start and max values");
        }
        Ok(())
    }),
    words("tls_compliant", "", |b, _| {
        if let Some(u) = url(b) {
            u.tls_compliant = true;
        }
        Ok(())
    }),
];

/// `DNS_CHECK`.
pub(super) const DNS: Row<B> = block(
    "DNS_CHECK",
    "",
    |b, _| start(b, CheckerKind::Dns { query: DnsType::Soa, name: ".".to_owned() }),
    DNS_ROWS,
    |_, _| {},
);
static DNS_ROWS: &[Row<B>] = rows![connection;
    words("type", "<STRING>", dns_type),
    words("name", "<STRING>", dns_name),
];

/// `FILE_CHECK`.
pub(super) const FILE: Row<B> = block(
    "FILE_CHECK",
    "",
    |b, _| start(b, CheckerKind::File { track_file: String::new(), weight: 1, reverse: false }),
    FILE_ROWS,
    file_close,
);
static FILE_ROWS: &[Row<B>] = rows![timers;
    words("track_file", "<STRING>", file_name),
    words("weight", "<-2147483647..2147483647> [reverse]", file_weight),
    no_effect("dynamic", "", "the weight says it already", |_, _| Ok(())),
];

/// `BFD_CHECK`.
pub(super) const BFD: Row<B> = Row {
    standing: Standing::NotYet("there is no BFD session; the check counts as up"),
    ..block("BFD_CHECK", "", |b, _| start(b, CheckerKind::Bfd { name: String::new() }), BFD_ROWS, bfd_close)
};
static BFD_ROWS: &[Row<B>] = rows![timers;
    words("name", "<STRING>", |b, l| {
        let word = l.need(1)?.to_owned();
        if !b.bfd_names.contains(&word) {
            let Some(real) = b.real().map(|r| r.address) else { return Ok(()) };
            let shown = shown(real, b.service.protocol);
            l.say(format!("({shown}) BFD_CHECK - BFD {word} not configured"));
        }
        if let Some(CheckerKind::Bfd { name }) = kind(b) { *name = word; }
        Ok(())
    }),
];

fn start(b: &mut B, kind: CheckerKind) -> Open {
    let draft = Draft {
        kind,
        ip: None,
        port: None,
        bind_ip: None,
        bind_port: None,
        bind_if: None,
        fwmark: 0,
        timers: Timers::default(),
        alpha: None,
        log_all: None,
        user: None,
        user_failed: false,
        has_script: false,
        name_set: false,
        hosts: Vec::new(),
    };
    match b.real() {
        Some(real) => real.checkers.push(draft),
        None => return Ok(false),
    }
    Ok(true)
}

fn current(b: &mut B) -> Option<&mut Draft> {
    b.real()?.checkers.last_mut()
}

fn kind(b: &mut B) -> Option<&mut CheckerKind> {
    current(b).map(|c| &mut c.kind)
}

fn drop_current(b: &mut B) {
    if let Some(real) = b.real() {
        real.checkers.pop();
    }
}

fn timer(
    b: &mut B,
    line: &mut Line<'_>,
    text: &str,
    min: u64,
    max: u64,
    slot: fn(&mut Timers) -> &mut Option<Duration>,
) -> Step {
    match current(b) {
        Some(c) => time(line, text, min, max, slot(&mut c.timers)),
        None => Ok(()),
    }
}

fn flag(b: &mut B, line: &mut Line<'_>, text: &str, slot: fn(&mut Draft) -> &mut Option<bool>) -> Step {
    match current(b) {
        Some(c) => truth(line, text, slot(c)),
        None => Ok(()),
    }
}

fn retry(b: &mut B, line: &mut Line<'_>) -> Step {
    let word = line.need(1)?;
    let value = line.unsigned(word, 0, u32::MAX);
    match (value, current(b)) {
        (Some(v), Some(c)) => c.timers.retry = Some(v),
        _ => line.say(format!("Invalid retry connection value '{word}'")),
    }
    Ok(())
}

fn nb_get_retry(b: &mut B, line: &mut Line<'_>) -> Step {
    line.say("nb_get_retry is deprecated - please use 'retry'");
    let word = line.need(1)?;
    let value = line.unsigned(word, 0, u32::MAX);
    match (value, current(b)) {
        (Some(v), Some(c)) => c.timers.retry = Some(v),
        _ => line.say(format!("Invalid nb_get_retry value '{word}'")),
    }
    Ok(())
}

fn connect_ip(b: &mut B, line: &mut Line<'_>) -> Step {
    let word = line.need(1)?;
    let Some(c) = current(b) else { return Ok(()) };
    match word.parse::<IpAddr>() {
        Err(_) => line.say(format!("Invalid connect_ip address {word} - ignoring")),
        Ok(ip) if c.bind_ip.is_some_and(|b| b.is_ipv4() != ip.is_ipv4()) => {
            line.say(format!("connect_ip address {word} does not match address family of bindto - skipping"));
        }
        Ok(ip) => c.ip = Some(ip),
    }
    Ok(())
}

fn bindto(b: &mut B, line: &mut Line<'_>) -> Step {
    let word = line.need(1)?;
    let Some(real) = b.real().map(|r| r.address.ip()) else { return Ok(()) };
    let Some(c) = current(b) else { return Ok(()) };
    match word.parse::<IpAddr>() {
        Err(_) => line.say(format!("Invalid bindto address {word} - ignoring")),
        Ok(ip) if c.ip.unwrap_or(real).is_ipv4() != ip.is_ipv4() => {
            line.say(format!("bindto address {word} does not match address family of connect_ip - skipping"));
        }
        Ok(ip) => c.bind_ip = Some(ip),
    }
    Ok(())
}

fn port(b: &mut B, line: &mut Line<'_>, what: &str, slot: fn(&mut Draft) -> &mut Option<u16>) -> Step {
    let word = line.need(1)?;
    let value = line.unsigned(word, 1, 65_535);
    match (value, current(b)) {
        (Some(v), Some(c)) => *slot(c) = Some(v as u16),
        _ => line.say(format!("Invalid checker {what} '{word}'")),
    }
    Ok(())
}

fn bind_if(b: &mut B, line: &mut Line<'_>) -> Step {
    let word = line.need(1)?;
    if word.len() > INTERFACE_MAX {
        line.say(format!("Interface name {word} is too long - ignoring"));
    } else if let Some(c) = current(b) {
        c.bind_if = Some(word.to_owned());
    }
    Ok(())
}

fn fwmark(b: &mut B, line: &mut Line<'_>) -> Step {
    let word = line.need(1)?;
    let value = line.unsigned(word, 0, u32::MAX);
    match (value, current(b)) {
        (Some(v), Some(c)) => c.fwmark = v,
        _ => line.say(format!("Invalid fwmark connection value '{word}'")),
    }
    Ok(())
}

fn udp(b: &mut B) -> Option<&mut UdpCheck> {
    match kind(b)? {
        CheckerKind::Udp(udp) => Some(udp),
        _ => None,
    }
}

fn payload(b: &mut B, line: &mut Line<'_>) -> Step {
    if line.len() < 2 {
        line.say("UDP_CHECK payload requires a payload");
        return Ok(());
    }
    match (hex(line, false), udp(b)) {
        (Some(bytes), Some(udp)) => udp.payload = Some(bytes.into_iter().map(|(v, _)| v).collect()),
        _ => line.say("Invalid hex string for UDP_CHECK payload"),
    }
    Ok(())
}

fn require_reply(b: &mut B, line: &mut Line<'_>) -> Step {
    match (hex(line, true), udp(b)) {
        (Some(bytes), Some(udp)) => udp.require_reply = Some(bytes),
        _ => line.say("Invalid hex string for UDP_CHECK reply"),
    }
    Ok(())
}

fn reply_length(b: &mut B, line: &mut Line<'_>, which: &str) -> Step {
    let word = line.need(1)?;
    let value = line.unsigned(word, 0, 65_535);
    match (value, udp(b)) {
        (Some(v), Some(udp)) if which == "min" => udp.min_reply = v as u16,
        (Some(v), Some(udp)) => udp.max_reply = Some(v as u16),
        _ => line.say(format!("UDP_CHECK {which} length {word} not valid - must be between 0 & 65535")),
    }
    Ok(())
}

fn udp_close(b: &mut B, line: &mut Line<'_>) {
    /// `max_reply_length` where none is given.
    const REPLY_MAX: u16 = 255;
    let Some(udp) = udp(b) else { return };
    let max = udp.max_reply.unwrap_or(REPLY_MAX);
    if udp.min_reply > max {
        let min = udp.min_reply;
        line.say(format!("UDP_CHECK min_reply length {min} > max_reply_length {max} - will always fail"));
    }
}

fn misc_open(b: &mut B, _: &mut Line<'_>) -> Open {
    let script = Script { argv: Vec::new(), text: String::new(), uid: 0, gid: 0 };
    start(b, CheckerKind::Misc { script, timeout: None, dynamic: false })
}

fn misc_path(b: &mut B, line: &mut Line<'_>) -> Step {
    line.need(1)?;
    let found = line.command();
    let text = found.first().cloned().unwrap_or_default();
    let (argv, _) = conf_parsers::keepalived::command_words(&text);
    let Some(c) = current(b) else { return Ok(()) };
    c.has_script = !argv.is_empty();
    if let CheckerKind::Misc { script, .. } = &mut c.kind {
        (script.argv, script.text) = (argv, text);
    }
    Ok(())
}

fn misc_timeout(b: &mut B, line: &mut Line<'_>) -> Step {
    let word = line.need(1)?;
    let value = line.unsigned(word, 0, 4294);
    match (value, kind(b)) {
        (Some(v), Some(CheckerKind::Misc { timeout, .. })) => *timeout = Some(Duration::from_secs(v.into())),
        _ => line.say(format!("Invalid misc_timeout value '{word}'")),
    }
    Ok(())
}

fn misc_user(b: &mut B, line: &mut Line<'_>) -> Step {
    let Some(c) = current(b) else { return Ok(()) };
    let text = match &c.kind {
        CheckerKind::Misc { script, .. } => shared::quoted(&script.argv),
        _ => String::new(),
    };
    if line.len() < 2 {
        line.say(format!("No user specified for misc checker script {text}"));
        return Ok(());
    }
    let words: Vec<&str> = line.words[1..].iter().map(|w| w.text.as_str()).collect();
    c.user = User::of_words(&words);
    if c.user.is_none() {
        line.say(format!("Failed to set uid/gid for misc checker script {text} - removing"));
        c.user_failed = true;
    }
    Ok(())
}

fn misc_close(b: &mut B, line: &mut Line<'_>) {
    let default = b.globals.script_user.clone();
    let Some(c) = current(b) else { return };
    if !c.has_script {
        line.say("No script path has been specified for MISC_CHECKER - skipping");
        drop_current(b);
        return;
    }
    let (failed, user) = (c.user_failed, c.user.take());
    let CheckerKind::Misc { script, .. } = &mut c.kind else { return };
    let command = shared::Command { argv: script.argv.clone(), text: script.text.clone(), user };
    match shared::with_default_user(line, command, &default) {
        Ok(command) if !failed => *script = super::script(command),
        Ok(_) => drop_current(b),
        Err(_) => {
            let text = shared::quoted(&script.argv);
            line.say(format!("Unable to set default user for misc script {text} - removing"));
            drop_current(b);
        }
    }
}

fn smtp_open(b: &mut B, _: &mut Line<'_>) -> Open {
    start(b, CheckerKind::Smtp { helo_name: String::new() })
}

fn host_open(b: &mut B, _: &mut Line<'_>) -> Open {
    let Some(real) = b.real() else { return Ok(false) };
    let Some(base) = real.checkers.last() else { return Ok(false) };
    real.checkers.push(Draft { hosts: Vec::new(), ..base.clone() });
    Ok(true)
}

fn host_close(b: &mut B, _: &mut Line<'_>) {
    let Some(real) = b.real() else { return };
    if let Some(host) = real.checkers.pop()
        && let Some(base) = real.checkers.last_mut()
    {
        base.hosts.push(host);
    }
}

fn smtp_close(b: &mut B, _: &mut Line<'_>) {
    let Some(real) = b.real() else { return };
    if let Some(base) = real.checkers.last_mut().filter(|c| !c.hosts.is_empty()) {
        let kind = base.kind.clone();
        let hosts = std::mem::take(&mut base.hosts);
        real.checkers.pop();
        real.checkers.extend(hosts.into_iter().map(|h| Draft { kind: kind.clone(), ..h }));
    }
}

fn helo_name(b: &mut B, line: &mut Line<'_>) -> Step {
    let Some(word) = line.get(1) else {
        line.say("SMTP_CHECK helo name missing");
        return Ok(());
    };
    if let Some(CheckerKind::Smtp { helo_name }) = kind(b) {
        word.clone_into(helo_name);
    }
    Ok(())
}

fn http(tls: bool) -> CheckerKind {
    CheckerKind::Http(HttpGet {
        tls,
        protocol: HttpProtocol::V10,
        virtualhost: None,
        enable_sni: false,
        sni_name: None,
        fast_recovery: false,
        tls_compliant: false,
        urls: Vec::new(),
    })
}

fn get(b: &mut B) -> Option<&mut HttpGet> {
    match kind(b)? {
        CheckerKind::Http(http) => Some(http),
        _ => None,
    }
}

fn http_flag(b: &mut B, line: &mut Line<'_>, text: &str, slot: fn(&mut HttpGet) -> &mut bool) -> Step {
    let value = line.get(1).map_or(Some(true), boolean);
    match (value, get(b)) {
        (Some(v), Some(h)) => *slot(h) = v,
        _ => line.say(text.replace("{}", line.get(1).unwrap_or_default())),
    }
    Ok(())
}

fn http_protocol(b: &mut B, line: &mut Line<'_>) -> Step {
    let Some(word) = line.get(1) else {
        line.say("Missing http_protocol version");
        return Ok(());
    };
    let protocol = match word {
        "1.0" => Some(HttpProtocol::V10),
        "1.0C" | "1.0c" => Some(HttpProtocol::V10Close),
        "1.1" => Some(HttpProtocol::V11),
        "1.1K" | "1.1k" => Some(HttpProtocol::V11Keep),
        _ => None,
    };
    match (protocol, get(b)) {
        (Some(p), Some(h)) => h.protocol = p,
        _ => line.say(format!("Invalid http_protocol version {word}")),
    }
    Ok(())
}

fn http_close(b: &mut B, line: &mut Line<'_>) {
    if get(b).is_some_and(|h| h.urls.is_empty()) {
        line.say("HTTP/SSL_GET checker has no urls specified - ignoring");
        drop_current(b);
    }
}

fn url_open(b: &mut B, _: &mut Line<'_>) -> Open {
    if let Some(h) = get(b) {
        h.urls.push(Url {
            path: String::new(),
            digest: None,
            status: Vec::new(),
            virtualhost: None,
            regex: None,
            tls_compliant: false,
        });
    }
    Ok(true)
}

fn url(b: &mut B) -> Option<&mut Url> {
    get(b)?.urls.last_mut()
}

fn url_regex(b: &mut B) -> Option<&mut UrlRegex> {
    Some(url(b)?.regex.get_or_insert_with(|| UrlRegex {
        pattern: String::new(),
        no_match: false,
        options: Vec::new(),
        min_offset: 0,
        max_offset: None,
    }))
}

fn url_close(b: &mut B, line: &mut Line<'_>) {
    let Some(u) = url(b) else { return };
    if u.path.is_empty() {
        line.say("HTTP/SSL_GET checker url has no path - ignoring");
        if let Some(h) = get(b) {
            h.urls.pop();
        }
        return;
    }
    if u.regex.as_ref().is_some_and(|r| r.pattern.is_empty()) {
        line.inert("regex parameters specified without regex");
        u.regex = None;
    }
    if let Some(Err((offset, why))) = u.regex.as_ref().map(|r| body_regex(r).compile()) {
        let pattern = u.regex.as_ref().map_or("", |r| &r.pattern);
        line.report().push(Diagnostic::global(
            Severity::Notice,
            format!("Invalid regex: '{pattern}' at offset {offset}: {why}"),
        ));
    }
    if let Some(r) = &mut u.regex
        && let Some(max) = r.max_offset.filter(|max| r.min_offset > *max)
    {
        line.inert(format!("regex min offset {} > regex_max_offset {max} - ignoring", r.min_offset));
        r.max_offset = None;
    }
}

fn digest(b: &mut B, line: &mut Line<'_>) -> Step {
    let word = line.need(1)?;
    if word.len() != DIGEST_LEN {
        line.say(format!(
            "digest '{word}' character length should be {DIGEST_LEN} rather than {}",
            word.len()
        ));
        return Ok(());
    }
    let mut out = [0; DIGEST_LEN / 2];
    // The original begins at the end, and names the fault it meets first.
    for (i, byte) in out.iter_mut().enumerate().rev() {
        let pair = word.get(2 * i..2 * i + 2).and_then(|p| u8::from_str_radix(p, 16).ok());
        let Some(value) = pair else {
            line.say(format!("Unable to interpret hex digit in '{word}' at offset {}/{}", 2 * i, 2 * i + 1));
            return Ok(());
        };
        *byte = value;
    }
    if let Some(u) = url(b) {
        if u.digest.is_some() {
            line.say(format!("Digest '{word}' is a duplicate"));
        }
        u.digest = Some(out);
    }
    Ok(())
}

fn status_code(b: &mut B, line: &mut Line<'_>) -> Step {
    line.need(1)?;
    for i in 1..line.len() {
        let Some(word) = line.get(i) else { break };
        let (low, high) = word.split_once('-').unwrap_or((word, word));
        let code = |s: &str| s.parse::<u16>().ok().filter(|c| (100..600).contains(c));
        match code(low).zip(code(high)).filter(|(l, h)| l <= h) {
            Some(range) => {
                if let Some(u) = url(b) {
                    u.status.push(range);
                }
            }
            None => line.say(format!("Invalid HTTP_GET status code '{word}'")),
        }
    }
    Ok(())
}

fn regex(b: &mut B, line: &mut Line<'_>) -> Step {
    let words = line.command();
    match (&words[..], url_regex(b)) {
        ([pattern], Some(r)) => pattern.clone_into(&mut r.pattern),
        _ => line.inert("regex missing or too many fields"),
    }
    Ok(())
}

fn offset(b: &mut B, line: &mut Line<'_>, which: &str) -> Step {
    if line.len() != 2 {
        line.say(format!("Missing or too may options for regex_{which}_offset"));
        return Ok(());
    }
    let word = line.need(1)?;
    let Ok(value) = word.parse::<usize>() else {
        line.say(format!("Invalid regex_{which}_offset {word} specified"));
        return Ok(());
    };
    if let Some(r) = url_regex(b) {
        if which == "min" {
            r.min_offset = value;
        } else {
            r.max_offset = Some(value);
        }
    }
    Ok(())
}

fn dns_type(b: &mut B, line: &mut Line<'_>) -> Step {
    let word = line.need(1)?;
    let found = match word.to_ascii_uppercase().as_str() {
        "A" => DnsType::A,
        "NS" => DnsType::Ns,
        "CNAME" => DnsType::Cname,
        "SOA" => DnsType::Soa,
        "MX" => DnsType::Mx,
        "TXT" => DnsType::Txt,
        "AAAA" => DnsType::Aaaa,
        "RRSIG" => DnsType::Rrsig,
        "DNSKEY" => DnsType::Dnskey,
        _ => {
            line.say(format!("Unknown DNS check type {word} - ignoring"));
            return Ok(());
        }
    };
    if let Some(CheckerKind::Dns { query, .. }) = kind(b) {
        *query = found;
    }
    Ok(())
}

fn dns_name(b: &mut B, line: &mut Line<'_>) -> Step {
    let word = line.need(1)?;
    let Some(c) = current(b) else { return Ok(()) };
    if c.name_set {
        line.say("DNS_CHECK name already specified - ignoring");
    } else if word.contains("..") || word.starts_with('.') && word.len() > 1 {
        line.say(format!("DNS_CHECK name '{word}' has empty label - ignoring"));
    } else if let CheckerKind::Dns { name, .. } = &mut c.kind {
        word.clone_into(name);
        c.name_set = true;
    }
    Ok(())
}

fn file_name(b: &mut B, line: &mut Line<'_>) -> Step {
    let word = line.need(1)?;
    let Some(file) = b.track_files.iter().find(|f| f.name == word).map(|f| (f.weight, f.reverse)) else {
        line.say(format!("track_file {word} not found"));
        return Ok(());
    };
    let Some(c) = current(b) else { return Ok(()) };
    let given = c.name_set;
    if let CheckerKind::File { track_file, weight, reverse } = &mut c.kind {
        word.clone_into(track_file);
        if !given {
            (*weight, *reverse) = file;
        }
    }
    Ok(())
}

fn file_weight(b: &mut B, line: &mut Line<'_>) -> Step {
    let Some(word) = line.get(1) else {
        line.say("track file weight missing");
        return Ok(());
    };
    let Some(value) = line.signed(word, -i32::MAX, i32::MAX) else {
        let limits = format!("[{}..{}]", -i32::MAX, i32::MAX);
        line.say(format!("weight for track file must be in {limits} inclusive. Ignoring..."));
        return Ok(());
    };
    let backwards = match line.get(2) {
        None => false,
        Some("reverse") => true,
        Some(other) => {
            line.say(format!("unknown track file weight option {other} - ignoring"));
            return Ok(());
        }
    };
    let Some(c) = current(b) else { return Ok(()) };
    c.name_set = true;
    if let CheckerKind::File { weight, reverse, .. } = &mut c.kind {
        (*weight, *reverse) = (value, backwards);
    }
    Ok(())
}

fn file_close(b: &mut B, line: &mut Line<'_>) {
    if matches!(kind(b), Some(CheckerKind::File { track_file, .. }) if track_file.is_empty()) {
        line.say("FILE_CHECK has no track_file specified - ignoring");
        drop_current(b);
    }
}

fn bfd_close(b: &mut B, line: &mut Line<'_>) {
    let protocol = b.service.protocol;
    let Some(address) = b.real().map(|r| r.address) else { return };
    if matches!(kind(b), Some(CheckerKind::Bfd { name }) if name.is_empty()) {
        let shown = shown(address, protocol);
        line.say(format!("({shown}) No name has been specified for BFD_CHECKER - skipping"));
        drop_current(b);
    }
}
