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

use crate::store::Store;
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
    /// `no-tls-tickets`.
    pub no_tickets: bool,
    /// Versions, suites, ALPN.
    pub limits: Limits,
}

/// A listener's TLS, shared by its connections.
#[derive(Debug, Clone)]
pub struct Server {
    with_alpn: Arc<ServerConfig>,
    without_alpn: Arc<ServerConfig>,
}

#[derive(Debug)]
struct Resolver {
    store: Store,
    strict: bool,
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.store.choose(hello.server_name(), self.strict)
    }
}

/// Builds a listener's TLS from its options and the certificates already loaded.
///
/// # Errors
/// Whatever file or word can't be used; a store without a certificate.
pub fn build(options: &Options, store: Store) -> Result<Server, Error> {
    if store.is_empty() && !options.strict_sni {
        return Err(Error::Verifier("no SSL certificate specified".into()));
    }
    let provider = limited_provider(&options.limits)?;
    let verifier: Arc<dyn ClientCertVerifier> = match (options.verify, &options.ca_file) {
        (Verify::None, _) => Arc::new(NoClientAuth),
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
            builder.build().map_err(|e| Error::Verifier(e.to_string()))?
        }
    };
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&versions(&options.limits)?)?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::new(Resolver { store, strict: options.strict_sni }));
    config.ignore_client_order = true;
    if !options.no_tickets {
        config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new()?;
    }
    let without_alpn = Arc::new(config.clone());
    config.alpn_protocols = alpn(&options.limits);
    Ok(Server { with_alpn: Arc::new(config), without_alpn })
}

impl Server {
    /// The configuration for a client.
    pub fn choose(&self, hello: &ClientHello<'_>) -> Arc<ServerConfig> {
        let ours = &self.with_alpn.alpn_protocols;
        let common = hello.alpn().is_none_or(|mut theirs| theirs.any(|p| ours.iter().any(|o| o == p)));
        if ours.is_empty() || common { self.with_alpn.clone() } else { self.without_alpn.clone() }
    }

    /// Runs the handshake on a connected stream.
    ///
    /// # Errors
    /// The stream's errors, and handshake errors as `InvalidData` (the alert has been sent).
    pub async fn accept<S>(&self, stream: S) -> std::io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let start = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), stream).await?;
        let config = self.choose(&start.client_hello());
        start.into_stream(config).await
    }
}

/// Loads the certificates of the options and builds.
///
/// # Errors
/// As [`build`].
pub fn load(options: &Options) -> Result<Server, Error> {
    let mut store = Store::new();
    for path in &options.certificates {
        store.load(path)?;
    }
    build(options, store)
}

#[cfg(test)]
mod tests;
