//! Faults of client certificates, by OpenSSL's numbers, and which of them are passed over.
//!
//! Invariant: a fault that nobody asked to pass over ends the handshake.

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, SignatureScheme};
use rustls_pki_types::{CertificateDer, UnixTime};
use x509_parser::prelude::FromDer;

/// Which faults are passed over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ignored {
    /// All of them.
    pub all: bool,
    /// Numbers of those that are.
    pub numbers: Vec<u32>,
}

impl Ignored {
    /// Adds the words of `crt-ignore-err` or `ca-ignore-err`: `all`, or numbers with commas.
    pub fn add(&mut self, text: &str) {
        self.all |= text == "all";
        self.numbers.extend(text.split(',').filter_map(|n| n.trim().parse::<u32>().ok()));
    }

    fn has(&self, number: u32) -> bool {
        self.all || self.numbers.contains(&number)
    }
}

/// OpenSSL's number for a fault of a certificate.
pub fn number(error: &rustls::Error, chain: &[CertificateDer<'_>]) -> u32 {
    const UNSPECIFIED: u32 = 1;
    let rustls::Error::InvalidCertificate(fault) = error else { return UNSPECIFIED };
    match fault {
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => 9,
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => 10,
        CertificateError::BadSignature => 7,
        CertificateError::Revoked => 23,
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => 26,
        CertificateError::UnknownRevocationStatus => 3,
        CertificateError::ExpiredRevocationList | CertificateError::ExpiredRevocationListContext { .. } => 12,
        CertificateError::UnknownIssuer => {
            let own = chain.first().and_then(|c| x509_parser::certificate::X509Certificate::from_der(c).ok());
            let alone = own.is_some_and(|(_, c)| c.subject() == c.issuer());
            if alone { 18 } else { 20 }
        }
        _ => UNSPECIFIED,
    }
}

/// Judges client certificates.
#[derive(Debug)]
pub(crate) struct Judge {
    pub(crate) inner: Arc<dyn ClientCertVerifier>,
    pub(crate) ignored: Ignored,
}

impl Judge {
    /// What was wrong with a chain that was taken; 0 is nothing.
    pub(crate) fn verdict(&self, chain: &[CertificateDer<'_>]) -> u32 {
        let Some((first, rest)) = chain.split_first() else { return 0 };
        if self.ignored == Ignored::default() {
            return 0;
        }
        match self.inner.verify_client_cert(first, rest, UnixTime::now()) {
            Ok(_) => 0,
            Err(error) => number(&error, chain),
        }
    }
}

impl ClientCertVerifier for Judge {
    fn offer_client_auth(&self) -> bool {
        true
    }

    fn client_auth_mandatory(&self) -> bool {
        self.inner.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.inner.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        match self.inner.verify_client_cert(end_entity, intermediates, now) {
            Err(error) if self.ignored.has(number(&error, std::slice::from_ref(end_entity))) => {
                Ok(ClientCertVerified::assertion())
            }
            other => other,
        }
    }

    signatures_of_inner!();
}
