//! The server side: `bind … ssl`. The configuration is chosen after the ClientHello, so that an ALPN list without
//! anything in common is passed over instead of ending the handshake (as OpenSSL's users are used to), and so that
//! SNI decides about the certificate.
//!
//! Invariant: configurations are built when the listener is, never per connection.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ClientHello, NoClientAuth, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use crate::store::{Library, Shelf, Store};
use crate::verdict::{Ignored, Judge};
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
    /// Faults of client certificates that are passed over (`crt-ignore-err`, `ca-ignore-err`).
    pub ignored: Ignored,
    /// `no-tls-tickets`.
    pub no_tickets: bool,
    /// Versions, suites, ALPN.
    pub limits: Limits,
}

/// A listener's TLS, shared by its connections.
#[derive(Debug, Clone)]
pub struct Server {
    shelf: Arc<Shelf>,
    strict: bool,
    /// By number of the settings; the first are the listener's own.
    settings: Vec<Settings>,
}

/// One set of settings: a configuration for those who share a protocol with us, and one for the others.
#[derive(Debug, Clone)]
struct Settings {
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
    /// What was wrong with the client's certificate, and was passed over (`X509_V_ERR_…`); 0 is nothing.
    pub verdict: u32,
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

/// Builds a listener's TLS from the certificates already loaded, its options, and those of `crt-list` lines, which
/// the store's numbers from 1 stand for.
///
/// # Errors
/// Whatever file or word can't be used; a store without a certificate.
pub fn build(options: &Options, more: &[Options], library: &Library, store: Store) -> Result<Server, Error> {
    if store.is_empty() && !options.strict_sni {
        return Err(Error::Verifier("no SSL certificate specified".into()));
    }
    let shelf = library.shelve(store);
    let of = |own| settings(own, &shelf, options.strict_sni);
    let settings = std::iter::once(options).chain(more).map(of).collect::<Result<_, _>>()?;
    Ok(Server { shelf, strict: options.strict_sni, settings })
}

fn settings(options: &Options, shelf: &Arc<Shelf>, strict: bool) -> Result<Settings, Error> {
    let provider = limited_provider(&options.limits)?;
    let judge = match (options.verify, &options.ca_file) {
        (Verify::None, _) => None,
        (_, None) => return Err(Error::Verifier("verify is enabled but no CA file specified".into())),
        (verify, Some(path)) => {
            let roots = Arc::new(pem::roots(path)?);
            let mut builder = WebPkiClientVerifier::builder_with_provider(roots, provider.clone());
            if let Some(crl) = &options.crl_file {
                builder = builder.with_crls(pem::revocations(crl)?).allow_unknown_revocation_status();
            }
            if verify == Verify::Optional {
                builder = builder.allow_unauthenticated();
            }
            let inner = builder.build().map_err(|e| Error::Verifier(e.to_string()))?;
            Some(Arc::new(Judge { inner, ignored: options.ignored.clone() }))
        }
    };
    let verifier: Arc<dyn ClientCertVerifier> = match &judge {
        Some(judge) => judge.clone(),
        None => Arc::new(NoClientAuth),
    };
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&versions(&options.limits)?)?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::new(Resolver { shelf: Arc::clone(shelf), strict }));
    config.ignore_client_order = true;
    if !options.no_tickets {
        config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new()?;
    }
    let without_alpn = Arc::new(config.clone());
    config.alpn_protocols = alpn(&options.limits);
    Ok(Settings { with_alpn: Arc::new(config), without_alpn, judge })
}

impl Server {
    /// Runs the handshake on a connected stream.
    ///
    /// # Errors
    /// The stream's errors, and handshake errors as `InvalidData` (the alert has been sent).
    pub async fn accept<S>(&self, stream: S) -> std::io::Result<Accepted<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let start = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), stream).await?;
        let hello = start.client_hello();
        let chosen = self.shelf.choose(&hello, self.strict);
        let settings = &self.settings[chosen.as_ref().map_or(0, |(_, n)| *n)];
        let ours = &settings.with_alpn.alpn_protocols;
        let common = hello.alpn().is_none_or(|mut theirs| theirs.any(|p| ours.iter().any(|o| o == p)));
        let config = if ours.is_empty() || common { &settings.with_alpn } else { &settings.without_alpn };
        let stream = start.into_stream(Arc::clone(config)).await?;
        let shown = stream.get_ref().1.peer_certificates();
        let verdict = match (&settings.judge, shown) {
            (Some(judge), Some(chain)) => judge.verdict(chain),
            _ => 0,
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
    build(options, &[], &library, store)
}

#[cfg(test)]
mod tests;
