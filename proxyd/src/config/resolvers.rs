//! The `resolvers` section, and the one that is always there: the host's own name servers (`/etc/resolv.conf`).
//!
//! Invariant: whatever reads a name later finds its section by name in [`super::model::Config::resolvers`].

use super::Loader;
use super::model::{Nameserver, Resolvers};
use super::server::bad_char;
use conf_parsers::args::{Args, Fault, time_fault_text};
use conf_parsers::haproxy::Section;
use conf_parsers::haproxy::address::{self, Host, Ports};
use conf_parsers::value::{TimeUnit, duration, lenient_int};
use conf_parsers::{Line, Word};
use diag::{Diagnostic, Lead, Severity, Span};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// Where the host keeps its name servers.
const RESOLV_CONF: &str = "/etc/resolv.conf";
/// The port of name servers that are given without one.
const PORT: u16 = 53;
/// Least `accepted_payload_size`: the head of a message (RFC 1035, 4.1.1).
const PAYLOAD_MIN: i64 = 12;
/// The section that is there without a line.
const IMPLICIT: &str = "default";

/// Where sections and name servers were first named, for complaints about the second.
#[derive(Debug, Default)]
pub(super) struct Seen {
    sections: Vec<(String, Span)>,
    servers: Vec<(String, Span)>,
}

/// `resolvers NAME`.
pub(super) fn section(loader: &mut Loader<'_>, section: &Section) {
    let header = &section.header;
    let Some(name) = header.words.get(1) else {
        return loader.report.alert(header.span, "missing name for resolvers section.");
    };
    if let Some(bad) = bad_char(&name.text) {
        let text = format!("character '{bad}' is not permitted in 'resolvers' name '{}'.", name.text);
        return loader.report.alert(name.span, text);
    }
    if let Some((_, first)) = loader.named.sections.iter().find(|(n, _)| *n == name.text) {
        let text = format!(
            "Parsing [{}]: resolvers '{}' has same name as another resolvers (declared at {}).",
            place(loader, header.span),
            name.text,
            place(loader, *first)
        );
        loader.report.push(Diagnostic::at(Severity::Alert, header.span, text).lead(Lead::Bare));
        return loader.report.alert(header.span, "out of memory.");
    }
    loader.named.sections.push((name.text.clone(), header.span));
    loader.named.servers.clear();
    let mut made = Resolvers::new(&name.text);
    for line in &section.lines {
        one(loader, &mut made, line);
    }
    if made.nameservers.is_empty() && !loader.report.refuses() {
        let text = format!(
            "resolvers '{}' [{}] has no nameservers configured!",
            name.text,
            place(loader, header.span)
        );
        loader.late.push(Diagnostic::at(Severity::Warning, header.span, text).lead(Lead::Bare));
    }
    loader.config.resolvers.push(Arc::new(made));
}

fn place(loader: &Loader<'_>, span: Span) -> String {
    format!("{}:{}", loader.sources.name(span), loader.sources.line(span))
}

/// Adds the host's name servers as a section, where no section of that name was read.
pub(super) fn implicit(loader: &mut Loader<'_>) {
    if loader.config.resolvers.iter().any(|r| r.name == IMPLICIT) {
        return;
    }
    let mut made = Resolvers::new(IMPLICIT);
    if let Ok(text) = std::fs::read_to_string(RESOLV_CONF) {
        add_host_servers(&mut made, &text);
    }
    loader.config.resolvers.push(Arc::new(made));
}

fn one(loader: &mut Loader<'_>, made: &mut Resolvers, line: &Line) {
    let mut args = line.args();
    let done = match line.keyword() {
        "nameserver" => nameserver(loader, made, &mut args),
        "parse-resolv-conf" => resolv_conf(loader, made, line),
        "hold" => hold(loader, made, &mut args),
        "timeout" => timeout(loader, made, &mut args),
        "resolve_retries" => {
            count(&mut args, "resolve_retries").map(|w| made.retries = lenient_int(&w.text).max(0) as u32)
        }
        "accepted_payload_size" => payload(made, &mut args),
        other => {
            Err(Fault::new(line.words[0].span, format!("unknown keyword '{other}' in 'resolvers' section")))
        }
    };
    if let Err(fault) = done {
        loader.report.push(fault.into_alert());
    }
}

fn nameserver(loader: &mut Loader<'_>, made: &mut Resolvers, args: &mut Args<'_>) -> Result<(), Fault> {
    let usage = || "'nameserver' expects <name> and <addr>[:<port>] as arguments.".to_owned();
    let name = args.expect(usage)?;
    let Some(word) = args.next() else { return Err(Fault::new(args.keyword().span, usage())) };
    if let Some(bad) = bad_char(&name.text) {
        let text = format!("character '{bad}' is not permitted in server name '{}'.", name.text);
        return Err(Fault::new(name.span, text));
    }
    if let Some((_, first)) = loader.named.servers.iter().find(|(n, _)| *n == name.text) {
        let text = format!(
            "Parsing [{}]: nameserver '{}' has same name as another nameserver (declared at {}).",
            place(loader, name.span),
            name.text,
            place(loader, *first)
        );
        loader.report.push(Diagnostic::at(Severity::Alert, name.span, text).lead(Lead::Bare));
        return Ok(());
    }
    let (address, tcp) = server_address(loader, word)
        .map_err(|text| Fault::new(word.span, format!("'nameserver {}' : {text}", name.text)))?;
    loader.named.servers.push((name.text.clone(), name.span));
    made.nameservers.push(Nameserver { name: name.text.clone(), address, tcp });
    Ok(())
}

/// Where a name server is, and whether it is asked over TCP.
fn server_address(loader: &Loader<'_>, word: &Word) -> Result<(SocketAddr, bool), String> {
    let text = address::expand(&word.text, &|n| loader.variable(n));
    let (prefix, rest) = match text.split_once('@') {
        Some((p @ ("udp" | "udp4" | "udp6" | "tcp" | "tcp4" | "tcp6"), rest)) => (p, rest),
        _ => ("", text.as_str()),
    };
    let parsed = address::parse(rest)?;
    let Ports::Fixed(port, _) = parsed.ports else {
        return Err(format!("missing port specification in '{text}'"));
    };
    if port == 0 {
        return Err("invalid port '0'".into());
    }
    let ip = match parsed.host {
        Host::Ip(ip) => ip,
        Host::Name(name) => {
            super::resolve::host(&name).ok_or_else(|| format!("invalid address: '{name}' in '{text}'\n"))?
        }
        _ => return Err(format!("'{text}' : this address family is not supported for name servers.")),
    };
    Ok((SocketAddr::new(ip, port), prefix.starts_with("tcp")))
}

fn resolv_conf(loader: &mut Loader<'_>, made: &mut Resolvers, line: &Line) -> Result<(), Fault> {
    let span = line.words[0].span;
    let text = std::fs::read_to_string(RESOLV_CONF)
        .map_err(|_| Fault::new(span, format!("failed to open {RESOLV_CONF}.")))?;
    let before = made.nameservers.len();
    add_host_servers(made, &text);
    for server in &made.nameservers[before..] {
        loader.named.servers.push((server.name.clone(), span));
    }
    Ok(())
}

/// The name servers of a `resolv.conf`, each named by its address.
fn add_host_servers(made: &mut Resolvers, text: &str) {
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        if words.next() != Some("nameserver") {
            continue;
        }
        let Some(word) = words.next() else { continue };
        let Ok(ip) = word.parse::<IpAddr>() else { continue };
        if made.nameservers.iter().all(|s| s.name != word) {
            let address = SocketAddr::new(ip, PORT);
            made.nameservers.push(Nameserver { name: word.to_owned(), address, tcp: false });
        }
    }
}

/// A time, with haproxy's complaint led in by a place without its blank.
fn time(loader: &mut Loader<'_>, word: &Word, what: &str) -> Option<Duration> {
    match duration(&word.text, TimeUnit::Ms) {
        Ok(time) => Some(time),
        Err(fault) => {
            let text = time_fault_text(&word.text, what, fault);
            loader.report.push(Diagnostic::at(Severity::Alert, word.span, text).lead(Lead::Tight));
            None
        }
    }
}

fn hold(loader: &mut Loader<'_>, made: &mut Resolvers, args: &mut Args<'_>) -> Result<(), Fault> {
    let (Some(event), Some(word)) = (args.next(), args.next()) else {
        let span = args.keyword().span;
        loader.report.alert(span, "'hold' expects an <event> and a <time> as arguments.");
        let text = "<event> can be either 'valid', 'nx', 'refused', 'timeout', or 'other'";
        loader.report.push(Diagnostic::at(Severity::Alert, span, text).lead(Lead::Bare));
        return Ok(());
    };
    let Some(value) = time(loader, word, "hold") else { return Ok(()) };
    let hold = &mut made.hold;
    let slot = match event.text.as_str() {
        "nx" => &mut hold.nx,
        "refused" => &mut hold.refused,
        "timeout" => &mut hold.timeout,
        "other" => &mut hold.other,
        "valid" => &mut hold.valid,
        "obsolete" => &mut hold.obsolete,
        other => {
            let text = format!(
                "'hold' unknown <event>: '{other}', expects either 'nx', 'timeout', 'valid', 'obsolete' or 'other'."
            );
            return Err(Fault::new(event.span, text));
        }
    };
    *slot = value;
    Ok(())
}

fn timeout(loader: &mut Loader<'_>, made: &mut Resolvers, args: &mut Args<'_>) -> Result<(), Fault> {
    let usage = "'timeout' expects 'retry' or 'resolve' and <time> as arguments";
    let what = args.expect(|| format!("{usage}."))?;
    let slot = match what.text.as_str() {
        "retry" => &mut made.retry,
        "resolve" => &mut made.resolve,
        other => return Err(Fault::new(what.span, format!("{usage} got '{other}'."))),
    };
    let Some(word) = args.next() else {
        return Err(Fault::new(what.span, format!("'timeout {}' expects <time> as argument.", what.text)));
    };
    if let Some(value) = time(loader, word, &format!("timeout {}", what.text)) {
        *slot = value;
    }
    Ok(())
}

fn count<'w>(args: &mut Args<'w>, keyword: &str) -> Result<&'w Word, Fault> {
    args.expect(|| format!("'{keyword}' expects <nb> as argument."))
}

fn payload(made: &mut Resolvers, args: &mut Args<'_>) -> Result<(), Fault> {
    let word = count(args, "accepted_payload_size")?;
    let size = u16::try_from(lenient_int(&word.text)).ok().filter(|n| i64::from(*n) >= PAYLOAD_MIN);
    made.payload = size.ok_or_else(|| {
        let text = format!(
            "'accepted_payload_size' must be between {PAYLOAD_MIN} and {} inclusive (was {}).",
            u16::MAX,
            word.text
        );
        Fault::new(word.span, text)
    })?;
    Ok(())
}
