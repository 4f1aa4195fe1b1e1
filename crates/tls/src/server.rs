//! The server side: `bind … ssl`. The configuration is chosen after the ClientHello, so that an ALPN list without
//! anything in common is passed over instead of ending the handshake (as OpenSSL's users are used to), and so that
//! SNI decides about the certificate.
//!
//! Invariant: configurations are built when the listener is, never per connection.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::{Arc, PoisonError, RwLock};

use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ClientHello, NoClientAuth, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{DistinguishedName, ServerConfig};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use crate::book::Shared;
use crate::chain::Purpose;
use crate::facts::{Facts, List, element};
use crate::sessions::{Cache, Sessions};
use crate::store::{Library, Shelf, Store};
use crate::verdict::{Ignored, Judge, Rules, Signatures, Verdict, last};
use crate::{Error, Limits, alpn, limited_provider, pem, versions};

/// Client certificates: `verify`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Verify {
    /// Not asked for.
    #[default]
    None,
    /// Checked where shown.
    Optional,
    /// Must be shown.
    Required,
}

/// What a `bind` line says about TLS.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// `crt`, in order; files or directories.
    pub certificates: Vec<PathBuf>,
    /// `strict-sni`.
    pub strict_sni: bool,
    /// `verify`.
    pub verify: Verify,
    /// `ca-file`.
    pub ca_file: Option<PathBuf>,
    /// `crl-file`.
    pub crl_file: Option<PathBuf>,
    /// `ca-verify-file`: trusted as well, not named to clients.
    pub ca_verify_file: Option<PathBuf>,
    /// `no-ca-names`.
    pub no_ca_names: bool,
    /// Faults of client certificates that are passed over (`crt-ignore-err`).
    pub ignored: Ignored,
    /// Faults of their issuers that are (`ca-ignore-err`).
    pub ignored_authorities: Ignored,
    /// Sessions that are remembered (`tune.ssl.cachesize`) and for how long (`tune.ssl.lifetime`).
    pub sessions: Sessions,
    /// Keys of tickets (`tls-ticket-keys`).
    pub ticket_keys: Option<Arc<crate::tickets::Keys>>,
    /// What the listener is called in messages: `FILE:LINE`.
    pub label: String,
    /// `no-tls-tickets`.
    pub no_tickets: bool,
    /// Versions, suites, ALPN.
    pub limits: Limits,
}

/// A listener's TLS, shared by its connections.
#[derive(Debug, Clone)]
pub struct Server(Arc<Listener>);

/// What a listener is made of; it follows what is replaced.
#[derive(Debug)]
pub struct Listener {
    pub(crate) shelf: Arc<Shelf>,
    options: Options,
    lists: Vec<PathBuf>,
    /// By number; the first are the listener's own.
    settings: RwLock<Vec<Option<Arc<Settings>>>>,
}

/// One set of settings, with the files it reads.
#[derive(Debug)]
pub(crate) struct Settings {
    options: Options,
    authorities: Vec<Arc<Shared<Facts>>>,
    revocations: Option<Arc<Shared<List>>>,
    built: RwLock<Built>,
}

/// A configuration for those who share a protocol with us, and one for the others.
#[derive(Debug, Clone)]
struct Built {
    with_alpn: Arc<ServerConfig>,
    without_alpn: Arc<ServerConfig>,
    judge: Option<Arc<Judge>>,
}

/// A connection that was accepted.
#[derive(Debug)]
pub struct Accepted<S> {
    /// Its stream.
    pub stream: TlsStream<S>,
    /// The certificate that was shown.
    pub certificate: Option<Arc<CertifiedKey>>,
    /// What was wrong with the client's certificate, and was passed over.
    pub verdict: Verdict,
}

/// A connection that was refused.
#[derive(Debug)]
pub struct Failed {
    /// Why.
    pub error: std::io::Error,
    /// What was found of the client's certificate.
    pub verdict: Verdict,
}

impl From<std::io::Error> for Failed {
    fn from(error: std::io::Error) -> Self {
        Self { error, verdict: Verdict::default() }
    }
}

#[derive(Debug)]
struct Resolver {
    shelf: Arc<Shelf>,
    strict: bool,
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.shelf.choose(&hello, self.strict).map(|(key, _)| key)
    }
}

/// Builds a listener's TLS from the certificates already loaded, its options, those of `crt-list` lines, which the
/// store's numbers from 1 stand for, and the lists it names.
///
/// # Errors
/// Whatever file or word can't be used; a store without a certificate.
pub fn build(
    options: &Options,
    more: &[Options],
    library: &Library,
    store: Store,
    lists: Vec<PathBuf>,
) -> Result<Server, Error> {
    if store.is_empty() && !options.strict_sni {
        return Err(Error::Verifier("no SSL certificate specified".into()));
    }
    let shelf = Shelf::new(store);
    let of = |own: &Options| Settings::new(own.clone(), library, &shelf).map(Some);
    let settings = std::iter::once(options).chain(more).map(of).collect::<Result<Vec<_>, _>>()?;
    let listener = Listener { shelf, options: options.clone(), lists, settings: RwLock::new(settings) };
    let listener = Arc::new(listener);
    library.follow(&listener);
    Ok(Server(listener))
}

impl Settings {
    fn new(options: Options, library: &Library, shelf: &Arc<Shelf>) -> Result<Arc<Self>, Error> {
        let (mut authorities, mut revocations) = (Vec::new(), None);
        let of = |path: &Path| {
            let missing = |_| Error::Authorities(path.to_owned());
            library.authorities.get(path, pem::anchors).map_err(missing)
        };
        if options.verify != Verify::None {
            let Some(path) = &options.ca_file else {
                return Err(Error::Verifier("verify is enabled but no CA file specified".into()));
            };
            authorities.push(of(path)?);
            authorities.extend(options.ca_verify_file.as_deref().map(of).transpose()?);
        } else if let Some(path) = &options.ca_file {
            // Not used, but shown on the command line, and files are tried when they are named.
            authorities.push(of(path)?);
        }
        if let Some(path) = &options.crl_file {
            revocations = Some(library.revocations.get(path, pem::revocations)?);
        }
        let built = RwLock::new(assemble(&options, &authorities, revocations.as_deref(), shelf)?);
        Ok(Arc::new(Self { options, authorities, revocations, built }))
    }

    fn reads(&self, path: &Path) -> bool {
        self.authorities.iter().any(|f| f.path == path)
            || self.revocations.as_ref().is_some_and(|f| f.path == path)
    }

    fn rebuild(&self, shelf: &Arc<Shelf>) {
        let new = assemble(&self.options, &self.authorities, self.revocations.as_deref(), shelf);
        if let Ok(new) = new {
            *self.built.write().unwrap_or_else(PoisonError::into_inner) = new;
        }
    }
}

fn judge(
    options: &Options,
    files: &[Arc<Shared<Facts>>],
    revocations: Option<&Shared<List>>,
) -> Option<Judge> {
    if options.verify == Verify::None {
        return None;
    }
    let named = files.first().filter(|_| !options.no_ca_names).map(|f| f.entries());
    let hints = named.iter().flat_map(|list| list.iter()).filter_map(|card| {
        let (_, inside, _) = element(&card.subject)?;
        Some(DistinguishedName::in_sequence(inside))
    });
    let rules = Rules {
        anchors: files.iter().map(|f| f.entries()).collect(),
        revocations: revocations.map(Shared::entries),
        purpose: Purpose::Client,
        ignored: options.ignored.clone(),
        ignored_authorities: options.ignored_authorities.clone(),
    };
    Some(Judge {
        rules,
        mandatory: options.verify == Verify::Required,
        hints: hints.collect(),
        signatures: Signatures(crate::provider()),
    })
}

fn assemble(
    options: &Options,
    files: &[Arc<Shared<Facts>>],
    revocations: Option<&Shared<List>>,
    shelf: &Arc<Shelf>,
) -> Result<Built, Error> {
    let provider = limited_provider(&options.limits)?;
    let judge = judge(options, files, revocations).map(Arc::new);
    let verifier: Arc<dyn ClientCertVerifier> = match &judge {
        Some(judge) => judge.clone(),
        None => Arc::new(NoClientAuth),
    };
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&versions(&options.limits)?)?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::new(Resolver { shelf: Arc::clone(shelf), strict: options.strict_sni }));
    config.ignore_client_order = true;
    config.session_storage = Cache::new(&options.sessions);
    match &options.ticket_keys {
        _ if options.no_tickets => {}
        Some(keys) => config.ticketer = Arc::clone(keys) as _,
        None => config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new()?,
    }
    let without_alpn = Arc::new(config.clone());
    config.alpn_protocols = alpn(&options.limits);
    Ok(Built { with_alpn: Arc::new(config), without_alpn, judge })
}

impl Listener {
    pub(crate) fn options(&self) -> Options {
        self.options.clone()
    }

    /// Whether it names a list.
    pub(crate) fn names(&self, list: &Path) -> bool {
        self.lists.iter().any(|l| l == list)
    }

    /// What messages call it.
    pub(crate) fn label(&self) -> String {
        self.options.label.clone()
    }

    /// Whether its default certificate comes from a line of a list.
    pub(crate) fn needs(&self, list: &Path, line: usize, certificate: &Path) -> bool {
        !self.options.strict_sni && self.shelf.begins_with(list, line, certificate)
    }

    pub(crate) fn settings_for(&self, library: &Library, options: Options) -> Result<Arc<Settings>, Error> {
        Settings::new(options, library, &self.shelf)
    }

    /// Adds settings; gives their number.
    pub(crate) fn add_settings(&self, new: Arc<Settings>) -> usize {
        let mut settings = self.settings.write().unwrap_or_else(PoisonError::into_inner);
        settings.push(Some(new));
        settings.len() - 1
    }

    pub(crate) fn drop_settings(&self, numbers: &[usize]) {
        let mut settings = self.settings.write().unwrap_or_else(PoisonError::into_inner);
        for number in numbers.iter().filter(|n| **n > 0) {
            if let Some(gone) = settings.get_mut(*number) {
                *gone = None;
            }
        }
    }

    /// A file was replaced: what is built from it is built anew. Gives how many certificates that concerns.
    pub(crate) fn renew(&self, path: &Path) -> usize {
        let settings = self.settings.read().unwrap_or_else(PoisonError::into_inner).clone();
        let mut concerned = 0;
        for (number, own) in settings.iter().enumerate() {
            if let Some(own) = own.as_ref().filter(|s| s.reads(path)) {
                own.rebuild(&self.shelf);
                concerned += self.shelf.with_settings(number);
            }
        }
        concerned
    }

    fn built(&self, number: usize) -> Option<Built> {
        let settings = self.settings.read().unwrap_or_else(PoisonError::into_inner);
        let own = settings.get(number).and_then(Option::as_ref).or(settings.first()?.as_ref())?;
        Some(own.built.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

impl Server {
    #[cfg(test)]
    pub(crate) fn shelf(&self) -> Arc<Shelf> {
        Arc::clone(&self.0.shelf)
    }

    /// Runs the handshake on a connected stream.
    ///
    /// # Errors
    /// The stream's errors, and handshake errors as `InvalidData` (the alert has been sent).
    pub async fn accept<S>(&self, stream: S) -> Result<Accepted<S>, Failed>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let start = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), stream).await?;
        let hello = start.client_hello();
        let chosen = self.0.shelf.choose(&hello, self.0.options.strict_sni);
        let number = chosen.as_ref().map_or(0, |(_, n)| *n);
        let built =
            self.0.built(number).ok_or(std::io::ErrorKind::NotConnected).map_err(std::io::Error::from)?;
        let ours = &built.with_alpn.alpn_protocols;
        let common = hello.alpn().is_none_or(|mut theirs| theirs.any(|p| ours.iter().any(|o| o == p)));
        let config = if ours.is_empty() || common { &built.with_alpn } else { &built.without_alpn };
        let mut shaking = pin!(start.into_stream(Arc::clone(config)));
        let mut found = Verdict::default();
        let done = std::future::poll_fn(|cx| {
            let polled = shaking.as_mut().poll(cx);
            // Whatever was judged in this turn was judged for this connection.
            let judged = last();
            if judged != Verdict::default() {
                found = judged;
            }
            polled
        });
        let stream = done.await.map_err(|error| Failed { error, verdict: found })?;
        let shown = stream.get_ref().1.peer_certificates();
        let verdict = match (&built.judge, shown) {
            (Some(judge), Some(chain)) => judge.verdict(chain),
            _ => Verdict::default(),
        };
        Ok(Accepted { stream, certificate: chosen.map(|(key, _)| key), verdict })
    }
}

/// Loads the certificates of the options and builds.
///
/// # Errors
/// As [`build`].
pub fn load(options: &Options) -> Result<Server, Error> {
    let (library, mut store) = (Library::default(), Store::new());
    for path in &options.certificates {
        store.load(&library, path)?;
    }
    build(options, &[], &library, store, Vec::new())
}

#[cfg(test)]
mod tests;
