//! The client side: `server … ssl` options, checks, keepalived's `SSL_GET`.
//!
//! Invariant: `verify none` checks the handshake's signature but no chain and no name; `verify required` checks the
//! chain, and the name only where `verifyhost` (or, as later versions do, the SNI) gives one.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, verify_tls12_signature, verify_tls13_signature, verify_tls13_signature_with_raw_key,
};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use serde::{Deserialize, Serialize};

use crate::store::{Certificate, Library};
use crate::{Error, Limits, alpn, limited_provider, pem, versions};

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
    /// Versions, suites, ALPN.
    #[serde(default)]
    pub limits: Limits,
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
        Some(self.0.key())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// Builds the configuration.
///
/// # Errors
/// Whatever file or word can't be used.
pub fn build(options: &Options) -> Result<Client, Error> {
    build_with(options, &Library::default())
}

/// The same, with certificates of a library.
///
/// # Errors
/// As [`build`].
pub fn build_with(options: &Options, library: &Library) -> Result<Client, Error> {
    let provider = limited_provider(&options.limits)?;
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&versions(&options.limits)?)?;
    let verifier: Arc<dyn ServerCertVerifier> =
        if options.verify { required(options, &provider)? } else { Arc::new(NoVerifier(provider)) };
    let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
    let mut config = match &options.certificate {
        Some(path) if options.key.is_none() => {
            builder.with_client_cert_resolver(Arc::new(Shown(library.certificate(path)?)))
        }
        Some(path) => {
            let key = pem::certified_key(path, options.key.as_deref())?;
            builder.with_client_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(key)))
        }
        None => builder.with_no_client_auth(),
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

fn required(options: &Options, provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>, Error> {
    let path = options.ca_file.clone().unwrap_or_else(|| PathBuf::from("@system-ca"));
    let mut builder =
        WebPkiServerVerifier::builder_with_provider(Arc::new(pem::roots(&path)?), provider.clone());
    if let Some(path) = &options.crl_file {
        builder = builder
            .with_crls(pem::revocations(path)?)
            .only_check_end_entity_revocation()
            .allow_unknown_revocation_status();
    }
    let inner = builder.build().map_err(|e| Error::Verifier(e.to_string()))?;
    let host = options.verify_host.as_ref().or(options.sni.as_ref());
    let name = match host {
        None => None,
        Some(text) => Some(
            ServerName::try_from(text.clone())
                .map_err(|_| Error::Verifier(format!("'{text}' is no host name")))?,
        ),
    };
    Ok(Arc::new(ChainVerifier { inner, name }))
}

/// Chain always, name where there is one.
#[derive(Debug)]
struct ChainVerifier {
    inner: Arc<WebPkiServerVerifier>,
    name: Option<ServerName<'static>>,
}

impl ServerCertVerifier for ChainVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let name = self.name.as_ref().unwrap_or(server_name);
        match self.inner.verify_server_cert(end_entity, intermediates, name, ocsp_response, now) {
            // The chain is checked before the name, so a wrong name means a good chain.
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
                // The name that was asked for by SNI counts; a placeholder does not.
            )) if self.name.is_none() && !matches!(server_name, ServerName::DnsName(_)) => {
                Ok(ServerCertVerified::assertion())
            }
            other => other,
        }
    }

    signatures_of_inner!();
}

/// `verify none`.
#[derive(Debug)]
struct NoVerifier(Arc<CryptoProvider>);

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

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.0.signature_verification_algorithms;
        match verify_tls12_signature(message, cert, dss, known) {
            // Certificates of version 1: the library reads none, and nobody asked to know who the server is.
            Err(rustls::Error::InvalidCertificate(CertificateError::Other(_))) => {
                Ok(HandshakeSignatureValid::assertion())
            }
            other => other,
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.0.signature_verification_algorithms;
        match verify_tls13_signature(message, cert, dss, known) {
            Err(rustls::Error::InvalidCertificate(CertificateError::Other(_))) => {
                // Certificates of version 1: their key checks the signature all the same.
                let key = pem::public_key(cert).unwrap_or_default();
                verify_tls13_signature_with_raw_key(message, &key.into(), dss, known)
            }
            other => other,
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
