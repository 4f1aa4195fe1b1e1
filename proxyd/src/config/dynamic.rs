//! `add server`: the words of a command to a server of a backend that runs.
//!
//! Invariant: a server comes out only when nothing is left to be told; `default-server` of the section is not taken,
//! as in haproxy.
//!
//! Absent on purpose: what it means for the running backend ([`crate::runtime::roster`]).

use super::keyword::Cx;
use super::model::{Global, Proxy, ProxyId, Server, ServerAddress, ServerId, Verify};
use super::proxy::Draft;
use super::server::{self, Who};
use super::{Loader, certificate, compile, late, resolve};
use conf_parsers::args::Args;
use conf_parsers::{Line, Word};
use diag::{FileId, SourceMap, Span};

/// What the backend it is for looks like.
#[derive(Debug)]
pub struct Around<'a> {
    /// `global`.
    pub global: &'a Global,
    /// All sections.
    pub proxies: &'a [Proxy],
    /// The backend.
    pub backend: ProxyId,
}

/// The server that `add server BACKEND/NAME WORDS…` describes. The error is what the user reads.
pub fn server(around: &Around<'_>, name: &str, words: &[&str]) -> Result<Server, String> {
    let mut sources = SourceMap::new();
    let file = sources.add("CLI", "");
    let span = Span { file, start: 0, end: 0 };
    let mut loader = Loader::new(&sources);
    loader.config.global = around.global.clone();
    let mut draft = Draft::blank(span);
    let proxy = &around.proxies[around.backend.0];
    draft.proxy.name.clone_from(&proxy.name);
    draft.proxy.mode = proxy.mode;
    let words: Vec<Word> = words.iter().map(|w| Word::new(*w, span)).collect();
    let line = Line { words: Vec::new(), span };
    let mut one = Server { name: name.to_owned(), ..Server::default() };
    one.added = Some(words.iter().skip(1).map(|w| w.text.clone()).collect());
    let read = read(&mut Cx { loader: &mut loader, draft: &mut draft, line: &line }, &mut one, &words);
    read?;
    let track = draft.tracks.pop().map(|(_, target)| target.name);
    if let Some(text) = compile::sni_at_run_time(&mut loader, &mut draft, &mut one, span) {
        return Err(text);
    }
    finish(around, &mut one, track.as_deref())?;
    Ok(one)
}

/// The address and the options.
fn read(cx: &mut Cx<'_, '_>, one: &mut Server, words: &[Word]) -> Result<(), String> {
    let Some(address) = words.first() else {
        return Err("'server' expects <name> and <addr>[:<port>] as arguments.".into());
    };
    if let Some(bad) = server::bad_char(&one.name) {
        return Err(format!("character '{bad}' is not permitted in server name '{}'.", one.name));
    }
    server::set_address(cx, one, address)?;
    if let ServerAddress::Name(name, _) = &one.address
        && name.split('.').any(str::is_empty)
    {
        return Err(format!("Can't create DNS resolution for server '{}'", one.name));
    }
    let first = Word::new("server", Span { file: FileId(0), start: 0, end: 0 });
    server::options(cx, &mut Args::new(&first, &words[1..]), one, &Who::Command);
    let fault = cx.loader.report.items.iter().find(|d| d.severity.refuses());
    fault.map_or(Ok(()), |d| Err(d.text.clone()))
}

/// What only the whole shows.
fn finish(around: &Around<'_>, one: &mut Server, track: Option<&str>) -> Result<(), String> {
    let global = around.global;
    let proxy = &around.proxies[around.backend.0];
    if one.forced_id
        && let Some((_, first)) = proxy.shown_servers().into_iter().find(|(_, s)| s.uuid == one.uuid)
    {
        let place = if first.place.is_empty() { "(null):0" } else { &first.place };
        let (id, name) = (one.uuid, &first.name);
        return Err(format!("'id' : custom id {id} already used at {place} ('server {name}')."));
    }
    if let Some(tls) = one.tls.as_mut().filter(|t| t.enabled || one.check.ssl) {
        let word = global.ssl_defaults.get("ssl-server-verify").and_then(|w| w.first());
        if tls.verify == Verify::Unset {
            tls.verify = if word.is_some_and(|w| w == "none") { Verify::None } else { Verify::Required };
        }
        if tls.verify == Verify::Required && tls.ca_file.is_none() {
            return Err(resolve::VERIFY_NEEDS_CA.into());
        }
        certificate::of_server_files(tls, global)?;
    }
    if one.agent.enabled && one.agent.port.is_none_or(|p| p == 0) {
        let name = &one.name;
        return Err(format!("server {name} does not have agent port. Agent check has been disabled."));
    }
    if let Some(name) = track {
        one.track = Some(tracked(around, name)?);
    }
    if late::lacks_port(proxy, one) {
        return Err(late::no_port(proxy, one, true));
    }
    let dynamic = proxy.cookie.as_ref().is_some_and(|c| c.dynamic);
    resolve::made_cookie(proxy.dynamic_cookie_key.as_ref().filter(|_| dynamic), one);
    Ok(())
}

/// `track [BACKEND/]SERVER`.
fn tracked(around: &Around<'_>, name: &str) -> Result<(ProxyId, ServerId), String> {
    let own = &around.proxies[around.backend.0];
    let (backend, server) = name.split_once('/').unwrap_or((&own.name, name));
    let of = around.proxies.iter().position(|p| p.kind.is_back() && p.name == backend);
    let of = of.ok_or_else(|| format!("unable to find required proxy '{backend}' for tracking."))?;
    let found = around.proxies[of].server_named(server.as_bytes());
    let id = found.ok_or_else(|| format!("unable to find required server '{server}' for tracking."))?;
    let target = &around.proxies[of].servers[id.0];
    let cannot = |why: &str| format!("unable to use {backend}/{server} for tracking as it {why}.");
    if target.added.is_some() {
        return Err(cannot("is a dynamic server"));
    }
    if !target.check.enabled && !target.agent.enabled && target.track.is_none() {
        return Err(cannot("does not have any check nor agent enabled"));
    }
    Ok((ProxyId(of), id))
}
