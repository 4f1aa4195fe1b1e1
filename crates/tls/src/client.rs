//! The client side: `server … ssl` options, checks, keepalived's `SSL_GET`.
//!
//! Invariant: `verify none` checks the handshake's signature but no chain and no name; `verify required` checks the
//! chain, and the name only where `verifyhost` (or, as later versions do, the SNI) gives one.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use serde::{Deserialize, Serialize};

use crate::book::Shared;
use crate::chain::Purpose;
use crate::facts::{Facts, List};
use crate::store::{Certificate, Library};
use crate::verdict::{Ignored, Rules, Signatures};
use crate::{Error, Limits, alpn, limited_provider, pem, store, verdict, versions};

/// What a `server` line or check says about TLS.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Options {
    /// `verify required`; else none.
    #[serde(default)]
    pub verify: bool,
    /// `ca-file`; `@system-ca` for the host's.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// `crl-file`.
    #[serde(default)]
    pub crl_file: Option<PathBuf>,
    /// `verifyhost`: the name the certificate must have, instead of the SNI.
    #[serde(default)]
    pub verify_host: Option<String>,
    /// `sni`/`check-sni`/`enable_sni`: name sent; none is sent where it is an address or missing.
    #[serde(default)]
    pub sni: Option<String>,
    /// `crt`: certificate shown to the server.
    #[serde(default)]
    pub certificate: Option<PathBuf>,
    /// Key of the certificate, where it isn't in its file.
    #[serde(default)]
    pub key: Option<PathBuf>,
    /// Versions, suites, groups, ALPN.
    #[serde(default)]
    pub limits: Box<Limits>,
}

/// A configuration ready for connections, with the name to send.
#[derive(Debug, Clone)]
pub struct Client {
    /// For the connector.
    pub config: Arc<ClientConfig>,
    /// Server name for the connector; a placeholder where no SNI is sent.
    pub name: ServerName<'static>,
    /// The same configuration for connections that are given a name of their own, which is sent and checked.
    pub named: Arc<ClientConfig>,
}

/// Shows a certificate that may be replaced meanwhile.
#[derive(Debug)]
struct Shown(Arc<Certificate>);

impl rustls::client::ResolvesClientCert for Shown {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<rustls::sign::CertifiedKey>> {
        self.0.key()
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// A server's settings and what they are built to, which is built anew when a file of theirs is replaced.
#[derive(Debug)]
pub struct Slot {
    options: Options,
    files: Files,
    built: RwLock<Client>,
}

/// What a server's settings read.
#[derive(Debug, Clone, Default)]
struct Files {
    certificate: Option<Arc<Certificate>>,
    authorities: Option<Arc<Shared<Facts>>>,
    revocations: Option<Arc<Shared<List>>>,
}

impl Files {
    fn of(options: &Options, library: &Library) -> Result<Self, Error> {
        let mut files = Self::default();
        if options.key.is_none() {
            files.certificate = options.certificate.as_deref().map(|p| library.certificate(p)).transpose()?;
        }
        if options.verify {
            let path = options.ca_file.as_deref().unwrap_or(Path::new("@system-ca"));
            files.authorities = Some(library.authorities.get(path, pem::anchors)?);
        }
        files.revocations =
            options.crl_file.as_deref().map(|p| library.revocations.get(p, pem::revocations)).transpose()?;
        Ok(files)
    }
}

impl Slot {
    /// Builds; the library tells it when files are replaced.
    ///
    /// # Errors
    /// Whatever file or word can't be used.
    pub fn new(options: Options, library: &Library) -> Result<Arc<Self>, Error> {
        let files = Files::of(&options, library)?;
        let built = RwLock::new(assemble(&options, &files)?);
        let slot = Arc::new(Self { options, files, built });
        library.follow_client(&slot);
        Ok(slot)
    }

    /// What is in force.
    pub fn current(&self) -> Client {
        self.built.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn shows(&self, certificate: &Arc<Certificate>) -> bool {
        self.files.certificate.as_ref().is_some_and(|own| Arc::ptr_eq(own, certificate))
    }

    pub(crate) fn reads(&self, path: &Path) -> bool {
        self.files.authorities.as_ref().is_some_and(|f| f.path == path)
            || self.files.revocations.as_ref().is_some_and(|f| f.path == path)
    }

    /// Takes in what was replaced. Nothing that worked before can fail now: only contents differ.
    pub(crate) fn rebuild(&self) {
        if let Ok(new) = assemble(&self.options, &self.files) {
            *self.built.write().unwrap_or_else(PoisonError::into_inner) = new;
        }
    }
}

/// Builds the configuration.
///
/// # Errors
/// Whatever file or word can't be used.
pub fn build(options: &Options) -> Result<Client, Error> {
    assemble(options, &Files::of(options, &Library::default())?)
}

fn assemble(options: &Options, files: &Files) -> Result<Client, Error> {
    let provider = limited_provider(&options.limits)?;
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&versions(&options.limits)?)?;
    let signatures = Signatures(provider);
    let verifier: Arc<dyn ServerCertVerifier> = match &files.authorities {
        Some(authorities) => Arc::new(ChainVerifier {
            rules: Rules {
                anchors: vec![authorities.entries()],
                revocations: files.revocations.as_ref().map(|f| f.entries()),
                purpose: Purpose::Server,
                ignored: Ignored::default(),
                ignored_authorities: Ignored::default(),
            },
            name: options.verify_host.clone().or_else(|| options.sni.clone()),
            signatures,
        }),
        None => Arc::new(NoVerifier { signatures }),
    };
    let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
    let mut config = match (&options.certificate, &files.certificate) {
        (_, Some(shown)) => builder.with_client_cert_resolver(Arc::new(Shown(Arc::clone(shown)))),
        (Some(path), None) => {
            let key = pem::certified_key(path, options.key.as_deref())?;
            builder.with_client_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(key)))
        }
        (None, None) => builder.with_no_client_auth(),
    };
    config.alpn_protocols = alpn(&options.limits);
    let name = options.sni.as_ref().and_then(|n| ServerName::try_from(n.clone()).ok());
    config.enable_sni = matches!(name, Some(ServerName::DnsName(_)));
    let name = name.unwrap_or(ServerName::IpAddress(std::net::Ipv4Addr::LOCALHOST.into()));
    let mut named = config.clone();
    named.enable_sni = true;
    let named = Arc::new(named);
    Ok(Client { config: Arc::new(config), name, named })
}

/// Chain always, name where there is one.
#[derive(Debug)]
struct ChainVerifier {
    rules: Rules,
    name: Option<String>,
    signatures: Signatures,
}

impl ServerCertVerifier for ChainVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let shown: Vec<_> = std::iter::once(end_entity).chain(intermediates).cloned().collect();
        if let (_, Some(fault)) = self.rules.judge(&shown, now.as_secs() as i64) {
            return Err(verdict::error(fault));
        }
        // The name that was asked for by SNI counts; a placeholder does not.
        let asked = match server_name {
            ServerName::DnsName(name) => Some(name.as_ref()),
            _ => None,
        };
        match self.name.as_deref().or(asked) {
            Some(name) if !has_name(end_entity, name) => {
                Err(rustls::Error::InvalidCertificate(CertificateError::NotValidForName))
            }
            _ => Ok(ServerCertVerified::assertion()),
        }
    }

    signatures_of_inner!();
}

/// Whether a certificate is for a name: among its names and its common name, `*` standing for the first label, or its
/// addresses.
fn has_name(certificate: &CertificateDer<'_>, name: &str) -> bool {
    let name = name.trim_end_matches('.');
    if let Ok(ip) = name.parse::<std::net::IpAddr>()
        && store::addresses_of(certificate).contains(&ip)
    {
        return true;
    }
    store::names_in(certificate).iter().any(|pattern| match pattern.strip_prefix("*.") {
        Some(rest) => name.split_once('.').is_some_and(|(_, n)| n.eq_ignore_ascii_case(rest)),
        None => pattern.eq_ignore_ascii_case(name),
    })
}

/// `verify none`.
#[derive(Debug)]
struct NoVerifier {
    signatures: Signatures,
}

impl ServerCertVerifier for NoVerifier {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    signatures_of_inner!();
}
