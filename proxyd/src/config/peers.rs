//! The `peers` section (manual, 3.5).
//!
//! Invariant: a section without the local peer is gone when all is read; tables that name it stay local.

use super::Loader;
use super::elsewhere::Servers;
use super::model::{Peer, Peers, Remote, ServerAddress, Verify};
use conf_parsers::args::{Args, Fault};
use conf_parsers::haproxy::Section;
use conf_parsers::{Line, Word};
use diag::{Diagnostic, Lead, Severity, Span};

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
    /// Its address, and the words behind it.
    bind: Option<(Word, Vec<Word>)>,
    /// Words of `default-bind`.
    bind_defaults: Vec<Word>,
    servers: Servers,
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
    let servers = Servers::new("peers", &made.local_name, header.span);
    let mut reading =
        Reading { loader, made, local: None, listener: None, bind: None, bind_defaults: Vec::new(), servers };
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
            "default-bind" => self.bind_defaults.extend_from_slice(&line.words[1..]),
            "default-server" => self.servers.defaults(self.loader, line),
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

    /// Says which words of a line change nothing for peers.
    fn tell_idle(&mut self, line: &Line) {
        const IDLE: [&str; 4] = ["check", "agent-check", "init-addr", "resolvers"];
        let who = line.words.get(1).map_or("", |w| w.text.as_str());
        for _ in line.words.iter().skip(2).filter(|w| IDLE.contains(&w.text.as_str())) {
            let text = format!(
                "'{} {who}' : init_addr, resolvers, check and agent are ignored for peers.",
                line.keyword()
            );
            self.loader.report.push(Diagnostic::at(Severity::Warning, line.span, text));
        }
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
        if is_local && !old {
            return self.local_without_address(line);
        }
        // The listener may be on a line of its own.
        let Some(word) = args.next() else { return Ok(()) };
        if is_local && self.listener.is_some() {
            return self.local_without_address(line);
        }
        if is_local {
            self.listener = Some((line.span, false));
            self.bind = Some((word.clone(), Vec::new()));
        }
        self.tell_idle(line);
        let Some(Remote { name, address, tls }) = self.servers.one(self.loader, line) else { return Ok(()) };
        if is_local {
            self.made.own_tls = tls;
            return Ok(());
        }
        let ServerAddress::Inet(address) = address else {
            let text = format!(
                "'server {}/{name}' : '{}' is no address with a port",
                self.made.local_name, word.text
            );
            let mut fault = Fault::new(word.span, text);
            fault.lead = Lead::Bracket;
            return Err(fault);
        };
        self.made.remote.push(Peer { name, address, tls });
        Ok(())
    }

    /// `server NAME OPTIONS…` of the local peer, whose address the `bind` line tells.
    fn local_without_address(&mut self, line: &Line) -> Result<(), Fault> {
        self.tell_idle(line);
        let mut words = line.words.clone();
        words.insert(2.min(words.len()), Word::new("0.0.0.0:0", line.span));
        let told = self.loader.report.items.len();
        let server = self.servers.one(self.loader, &Line { words, span: line.span });
        for complaint in &mut self.loader.report.items[told..] {
            if complaint.text.contains(" : unknown keyword '") {
                complaint.text.push_str(" Hint: no address was expected for this server.");
            }
        }
        self.made.own_tls = server.and_then(|s| s.tls);
        Ok(())
    }

    fn bind(&mut self, line: &Line, args: &mut Args<'_>) -> Result<(), Fault> {
        self.mixes(line)?;
        let Some(word) = args.next() else { return Ok(()) };
        self.listener = Some((line.span, true));
        self.bind = Some((word.clone(), line.words[2..].to_vec()));
        Ok(())
    }

    /// The listener, behind what `default-bind` says of it.
    fn listener(&mut self) -> Result<(), Fault> {
        let (Some((word, own)), Some((line, _))) = (self.bind.take(), self.listener) else { return Ok(()) };
        let words: Vec<Word> = self.bind_defaults.iter().chain(&own).cloned().collect();
        let who = format!("'bind {}' in section 'peers'", word.text);
        let mut args = Args::new(&word, &words);
        let binds = super::bind::read(self.loader, &mut args, &word, line, &who, &who)?;
        self.made.local = binds.into_iter().next();
        let Some(local) = &mut self.made.local else { return Ok(()) };
        let section = &self.made.local_name;
        local.tls.take_if(|tls| !tls.enabled);
        if let Some(settings) = &local.tls {
            super::certificate::of_bind(settings, &self.loader.config.global)
                .map_err(|e| Fault::new(line, format!("{who} : {e}")))?;
            let lacks = if settings.crt.is_empty() && settings.crt_list.is_empty() {
                Some("no SSL certificate specified for bind '(null)' at [PLACE] (use 'crt').")
            } else if !matches!(settings.verify, Verify::None | Verify::Unset) && settings.ca_file.is_none() {
                Some("verify is enabled but no CA file specified for bind '(null)' at [PLACE].")
            } else {
                None
            };
            if let Some(lacks) = lacks {
                let text = format!("Proxy '{section}': {}", lacks.replace("PLACE", &local.origin));
                self.loader.late.push(Diagnostic::global(Severity::Alert, text));
            }
        }
        if let Some(named) = self.local
            && local.tls.is_some() != self.made.own_tls.is_some()
        {
            let [listens, asks] = if local.tls.is_some() { ["SSL", "non-SSL"] } else { ["non-SSL", "SSL"] };
            let text = format!(
                "Peers section '{section}': local peer have a {listens} listener and a {asks} server configured at line {}.",
                place(self.loader, named)
            );
            self.loader.late.push(Diagnostic::at(Severity::Warning, named, text).lead(Lead::Bare));
        }
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
        if let Err(fault) = self.listener() {
            self.loader.report.push(fault.into_alert());
        }
        if self.local.is_none() {
            let text = format!(
                "Removing incomplete section 'peers {}' (no peer named '{}').",
                self.made.name, self.made.local_name
            );
            self.loader.late.push(Diagnostic::at(Severity::Warning, header, text).lead(Lead::Bare));
            self.made.disabled = true;
        }
        self.loader.config.peers.push(self.made);
    }
}
