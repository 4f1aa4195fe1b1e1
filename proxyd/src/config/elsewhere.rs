//! `server` and `default-server` lines of sections that are no proxies: `ring` and `peers`.
//!
//! Invariant: they are read by the rows that read those of proxies, with the same complaints; a word that would change
//! what goes over the wire and is not heeded here is refused.

use super::Loader;
use super::keyword::Cx;
use super::model::{Remote, SendProxy, Server, ServerAddress, Verify};
use super::proxy::Draft;
use super::{resolve, server};
use conf_parsers::Line;
use diag::{Diagnostic, Lead, Severity, Span};

/// The servers of a section while it is read.
#[derive(Debug)]
pub(super) struct Servers {
    draft: Draft,
    section: &'static str,
}

impl Servers {
    /// None yet, in a section of this kind and with this name, as complaints tell it.
    pub(super) fn new(section: &'static str, name: &str, header: Span) -> Self {
        let mut draft = Draft::blank(header);
        name.clone_into(&mut draft.proxy.name);
        Self { draft, section }
    }

    /// `default-server …`.
    pub(super) fn defaults(&mut self, loader: &mut Loader<'_>, line: &Line) {
        let mut cx = Cx { loader, draft: &mut self.draft, line };
        // It has no fault of its own: options tell theirs.
        let _ = server::default_server(&mut cx, &mut line.args());
    }

    /// `server NAME ADDRESS …`. `None` when something is wrong with it, which is told.
    pub(super) fn one(&mut self, loader: &mut Loader<'_>, line: &Line) -> Option<Remote> {
        let told = loader.report.items.len();
        let mut cx = Cx { loader, draft: &mut self.draft, line };
        let _ = server::line(&mut cx, &mut line.args());
        let refused = loader.report.items[told..].iter().any(|d| d.severity.refuses());
        let server = std::mem::take(&mut self.draft.proxy.servers).iter().next().cloned()?;
        if refused { None } else { self.taken(loader, server, line) }
    }

    fn taken(&self, loader: &mut Loader<'_>, mut server: Server, line: &Line) -> Option<Remote> {
        let place = format!("'server {}/{}'", self.draft.proxy.name, server.name);
        let alert = |text: String| {
            Diagnostic::at(Severity::Alert, line.span, format!("{place} : {text}")).lead(Lead::Bracket)
        };
        let unheeded = [
            ("send-proxy", server.send_proxy != SendProxy::default()),
            ("socks4", server.socks4.is_some()),
            ("namespace", server.namespace.is_some()),
            ("source", server.source.is_some()),
        ];
        if let Some((word, _)) = unheeded.iter().find(|(_, said)| *said) {
            let text = format!("'{word}' is not supported in '{}' sections yet.", self.section);
            loader.report.push(alert(text));
            return None;
        }
        let unverified = loader.config.global.ssl_defaults.get("ssl-server-verify");
        let unverified = unverified.is_some_and(|w| w.first().is_some_and(|w| w == "none"));
        if let Some(tls) = server.tls.as_mut().filter(|t| t.enabled) {
            if tls.verify == Verify::Unset {
                tls.verify = if unverified { Verify::None } else { Verify::Required };
            }
            if tls.verify == Verify::Required && tls.ca_file.is_none() {
                loader.late.push(alert(resolve::VERIFY_NEEDS_CA.into()));
            }
        }
        let address = match server.address.clone() {
            ServerAddress::Name(name, port) => match resolve::host(&name) {
                Some(ip) => ServerAddress::Inet((ip, port).into()),
                None => {
                    loader.report.push(alert(format!("could not resolve address '{name}'.")));
                    return None;
                }
            },
            ServerAddress::Destination(port) => {
                ServerAddress::Inet((std::net::Ipv4Addr::UNSPECIFIED, port).into())
            }
            known => known,
        };
        let tls = self.options(loader, &server, line);
        Some(Remote { name: server.name, address, tls })
    }

    /// What its words of TLS ask for; the name that is sent is one for all connections.
    fn options(&self, loader: &mut Loader<'_>, server: &Server, line: &Line) -> Option<tls::client::Options> {
        let settings = server.tls.as_ref().filter(|t| t.enabled)?;
        let mut options = crate::net::tls::client_options(server, &loader.config.global);
        if let Some(text) = settings.other.get("sni") {
            let name = text.strip_prefix("str(").and_then(|t| t.strip_suffix(')'));
            match name.filter(|n| !n.contains([',', ')'])) {
                Some(name) => options.sni = Some(name.to_owned()),
                None => {
                    let what = format!("{} … server … sni", self.section);
                    loader.no_effect(line.span, &what, "there is no request that it could be taken from");
                }
            }
        }
        Some(options)
    }
}
