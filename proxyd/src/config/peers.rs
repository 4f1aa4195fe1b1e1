//! The `peers` section (manual, 3.5).
//!
//! Invariant: a section without the local peer is gone when all is read; tables that name it stay local.

use super::Loader;
use super::model::{Bind, Peer, Peers};
use super::resolve;
use conf_parsers::args::{Args, Fault};
use conf_parsers::haproxy::Section;
use conf_parsers::haproxy::address::{self, Host, Ports};
use conf_parsers::table::did_you_mean;
use conf_parsers::{Line, Word};
use diag::{Diagnostic, Lead, Severity, Span};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

/// Where sections were declared.
#[derive(Debug, Default)]
pub(super) struct Seen(Vec<(String, Span)>);

impl Seen {
    /// Whether a section of this name was read.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(n, _)| n == name)
    }
}

/// A section while it is read.
struct Reading<'l, 's> {
    loader: &'l mut Loader<'s>,
    made: Peers,
    /// Where the line stands that names the local peer.
    local: Option<Span>,
    /// Where a listener was defined, and whether by a `bind` line.
    listener: Option<(Span, bool)>,
    /// Whether something asked for TLS.
    tls: bool,
}

/// `peers NAME`.
pub(super) fn section(loader: &mut Loader<'_>, section: &Section) {
    let header = &section.header;
    let Some(name) = header.words.get(1) else {
        return loader.report.alert(header.span, "missing name for peers section.");
    };
    if let Some(more) = header.words.get(2) {
        let text = format!("'peers' cannot handle unexpected argument '{}'.", more.text);
        return loader.report.alert(more.span, text);
    }
    if let Some((_, first)) = loader.peers.0.iter().find(|(n, _)| *n == name.text) {
        let text = format!(
            "Parsing [{}]: peers section '{}' has the same name as another peers section declared at {}.",
            place(loader, header.span),
            name.text,
            place(loader, *first)
        );
        return loader.report.push(Diagnostic::at(Severity::Alert, header.span, text).lead(Lead::Bare));
    }
    loader.peers.0.push((name.text.clone(), header.span));
    let made = Peers { name: name.text.clone(), local_name: loader.local_peer(), ..Peers::default() };
    let mut reading = Reading { loader, made, local: None, listener: None, tls: false };
    for line in &section.lines {
        if let Err(fault) = reading.line(line, section) {
            reading.loader.report.push(fault.into_alert());
        }
    }
    reading.finish(header.span);
}

fn place(loader: &Loader<'_>, span: Span) -> String {
    format!("{}:{}", loader.sources.name(span), loader.sources.line(span))
}

impl Reading<'_, '_> {
    fn line(&mut self, line: &Line, section: &Section) -> Result<(), Fault> {
        let mut args = line.args();
        match line.keyword() {
            keyword @ ("peer" | "server") => return self.peer(line, keyword == "peer", &mut args),
            "bind" => return self.bind(line, &mut args),
            "table" => return self.table(line, &mut args),
            "default-bind" | "default-server" => self.options(line, 1)?,
            "disabled" => self.made.disabled = true,
            "enabled" => self.made.disabled = false,
            "log" => {
                self.loader.no_effect(line.span, "peers … log", "sessions of peers are not logged");
            }
            "shards" => {
                self.loader.no_effect(line.span, "peers … shards", "every peer is told every entry");
            }
            other => {
                let text = format!("unknown keyword '{other}' in '{}' section", section.header.keyword());
                return Err(Fault::new(line.words[0].span, text));
            }
        }
        Ok(())
    }

    /// Words of TLS and transport behind the place `from`: known ones are told, others refused.
    fn options(&mut self, line: &Line, from: usize) -> Result<(), Fault> {
        if line.words.len() <= from {
            return Ok(());
        }
        let is_bind = line.keyword().ends_with("bind");
        let known: Vec<(&'static str, usize)> = if is_bind {
            super::bind::shapes().into_iter().map(|(name, _, args)| (name, args)).collect()
        } else {
            super::server::shapes()
        };
        let mut words = line.words.iter().skip(from);
        while let Some(word) = words.next() {
            let Some((_, more)) = known.iter().find(|(name, _)| *name == word.text.as_str()) else {
                let who = line.words.get(1).map_or("", |w| w.text.as_str());
                let hint = did_you_mean(&word.text, known.iter().map(|(name, _)| *name));
                let end = if hint.is_empty() { "." } else { "" };
                let local = &self.made.local_name;
                let text = format!("'server {local}/{who}' : unknown keyword '{}'{hint}{end}", word.text);
                let mut fault = Fault::new(word.span, text);
                fault.lead = Lead::Bracket;
                return Err(fault);
            };
            words.by_ref().take(*more).for_each(drop);
            if word.text == "ssl" {
                self.tls = true;
            } else if matches!(word.text.as_str(), "check" | "agent-check" | "init-addr" | "resolvers") {
                let who = line.words.get(1).map_or("", |w| w.text.as_str());
                let text = format!(
                    "'{} {who}' : init_addr, resolvers, check and agent are ignored for peers.",
                    line.keyword()
                );
                self.loader.report.push(Diagnostic::at(Severity::Warning, line.span, text));
            } else {
                let what = format!("peers … {}", word.text);
                self.loader.no_effect(word.span, &what, "peers talk over plain connections");
            }
        }
        Ok(())
    }

    fn mixes(&self, line: &Line) -> Result<(), Fault> {
        let is_bind = line.keyword() == "bind";
        match self.listener {
            Some((_, by_bind)) if by_bind != is_bind => {
                Err(Fault::new(line.span, "mixing \"peer\" and \"bind\" line is forbidden"))
            }
            Some((first, true)) => {
                let first = place(self.loader, first);
                let text = format!(
                    "One listener per \"peers\" section is authorized but another is already configured at [{first}]."
                );
                Err(Fault::new(line.span, text))
            }
            _ => Ok(()),
        }
    }

    fn peer(&mut self, line: &Line, old: bool, args: &mut Args<'_>) -> Result<(), Fault> {
        if old && self.listener.is_some_and(|(_, by_bind)| by_bind) {
            return self.mixes(line);
        }
        let Some(name) = args.next() else { return Ok(()) };
        let is_local = name.text == self.made.local_name;
        if is_local && let Some(first) = self.local.replace(line.span) {
            let text = format!(
                "'{} {}' : local peer name already referenced at {}. {}",
                line.keyword(),
                name.text,
                place(self.loader, first),
                self.made.local_name
            );
            return Err(Fault::new(line.span, text));
        }
        // The listener may be on a line of its own.
        let Some(word) = args.next() else { return Ok(()) };
        if is_local && (!old || self.listener.is_some()) {
            let text = format!(
                "'server {}/{}' : unknown keyword '{}'. Hint: no address was expected for this server.",
                self.made.local_name, name.text, word.text
            );
            let mut fault = Fault::new(word.span, text);
            fault.lead = Lead::Bracket;
            return Err(fault);
        }
        let address = address(word).map_err(|e| {
            let mut fault =
                Fault::new(word.span, format!("'server {}/{}' : {e}", self.made.local_name, name.text));
            fault.lead = Lead::Bracket;
            fault
        })?;
        if is_local {
            self.listener = Some((line.span, false));
            let mut args = Args::new(word, &[]);
            self.made.local = self.read(line, word, &mut args)?;
        } else {
            self.made.remote.push(Peer { name: name.text.clone(), address });
        }
        self.options(line, 3)
    }

    fn read(&mut self, line: &Line, word: &Word, args: &mut Args<'_>) -> Result<Option<Bind>, Fault> {
        let who = format!("'bind {}' in section 'peers'", word.text);
        Ok(super::bind::read(self.loader, args, word, line.span, &who, &who)?.into_iter().next())
    }

    fn bind(&mut self, line: &Line, args: &mut Args<'_>) -> Result<(), Fault> {
        self.mixes(line)?;
        let Some(word) = args.next() else { return Ok(()) };
        self.listener = Some((line.span, true));
        self.made.local = self.read(line, word, args)?;
        self.tls |= self.made.local.as_ref().is_some_and(|b| b.tls.as_ref().is_some_and(|t| t.enabled));
        Ok(())
    }

    fn table(&mut self, line: &Line, args: &mut Args<'_>) -> Result<(), Fault> {
        let Some(name) = args.next() else { return Err(Fault::new(line.span, "table: missing size.")) };
        let name = format!("{}/{}", self.made.name, name.text);
        let mut spec = super::compile::table(&name, args, false)
            .map_err(|text| Fault::new(line.span, format!("table: {text}.")))?;
        spec.peers = Some(self.made.name.clone());
        self.loader.tables.push(super::TableOrigin { name, section: "peers", span: line.span });
        self.made.tables.push(spec);
        Ok(())
    }

    fn finish(mut self, header: Span) {
        if self.local.is_none() {
            let text = format!(
                "Removing incomplete section 'peers {}' (no peer named '{}').",
                self.made.name, self.made.local_name
            );
            self.loader.late.push(Diagnostic::at(Severity::Warning, header, text).lead(Lead::Bare));
            self.made.disabled = true;
        }
        if self.tls {
            let why = "TLS between peers is not spoken; tables are kept, but not shared";
            self.loader.no_effect(header, &format!("peers {}", self.made.name), why);
            self.made.disabled = true;
        }
        self.loader.config.peers.push(self.made);
    }
}

/// An address with one port.
fn address(word: &Word) -> Result<SocketAddr, String> {
    let text = &word.text;
    let parsed = address::parse(text)?;
    let ip = match parsed.host {
        Host::Ip(ip) => ip,
        Host::Any if parsed.prefix.family == Some(6) => Ipv6Addr::UNSPECIFIED.into(),
        Host::Any => Ipv4Addr::UNSPECIFIED.into(),
        Host::Name(name) => resolve::host_of_family(&name, parsed.prefix.family)
            .ok_or_else(|| format!("could not resolve address '{name}'."))?,
        _ => return Err(format!("'{text}' is no address with a port")),
    };
    match parsed.ports {
        Ports::Fixed(port, last) if port == last => Ok((ip, port).into()),
        Ports::Fixed(..) => Err(format!("port range not permitted here in '{text}'")),
        // haproxy takes the line; nobody is ever reached there.
        _ => Ok((ip, 0).into()),
    }
}
