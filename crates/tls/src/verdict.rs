//! Verifiers of peers' certificates: chains are judged by [`chain`], faults that nobody asked to pass over end the
//! handshake.
//!
//! Invariant: signatures of handshakes are always checked, also of certificates that the library can't read.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, SignatureScheme};
use rustls_pki_types::{CertificateDer, UnixTime};

use crate::chain::{self, Fault, Purpose};
use crate::facts::{Facts, List};

/// Which faults are passed over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ignored {
    /// All of them.
    pub all: bool,
    /// Numbers of those that are.
    pub numbers: Vec<u32>,
}

impl Ignored {
    /// Adds the words of `crt-ignore-err` or `ca-ignore-err`: `all`, or numbers or names with commas.
    pub fn add(&mut self, text: &str) {
        self.all |= text == "all";
        let read =
            |word: &str| word.trim().parse::<u32>().ok().or_else(|| crate::errors::number(word.trim()));
        self.numbers.extend(text.split(',').filter_map(read));
    }

    fn has(&self, number: u32) -> bool {
        self.all || self.numbers.contains(&number)
    }
}

/// What was found of a peer's certificates, OpenSSL's numbers, 0 is nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Verdict {
    /// The last fault (`ssl_c_verify`).
    pub last: u32,
    /// The first of the peer's own certificate (`ssl_c_err`).
    pub own: u32,
    /// The first of its issuers (`ssl_c_ca_err`).
    pub authority: u32,
    /// At which depth that was.
    pub depth: u32,
}

/// What certificates are judged by; trusted ones and revocations as they are when it is built.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    /// Trusted: parts of `ca-file` and of `ca-verify-file`.
    pub(crate) anchors: Vec<Arc<Vec<Facts>>>,
    /// `crl-file`.
    pub(crate) revocations: Option<Arc<Vec<List>>>,
    pub(crate) purpose: Purpose,
    /// Faults of the peer's own certificate that are passed over.
    pub(crate) ignored: Ignored,
    /// Faults of its issuers that are.
    pub(crate) ignored_authorities: Ignored,
}

pub(crate) fn unix_now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs() as i64)
}

impl Rules {
    /// Judges a chain; beside what was found it tells the fault that ends the handshake.
    pub(crate) fn judge(&self, shown: &[CertificateDer<'_>], now: i64) -> (Verdict, Option<Fault>) {
        let cards: Vec<Facts> = shown.iter().filter_map(|c| Facts::of(c)).collect();
        if cards.len() < shown.len() || cards.is_empty() {
            let fault = Fault { depth: 0, number: 1 };
            return (Verdict { last: 1, own: 1, ..Verdict::default() }, Some(fault));
        }
        let all;
        let anchors = match self.anchors.as_slice() {
            [one] => one.as_slice(),
            many => {
                all = many.iter().flat_map(|a| a.iter().cloned()).collect::<Vec<_>>();
                &all
            }
        };
        let revocations = self.revocations.as_ref().map(|l| l.as_slice());
        let trust = chain::Trust { anchors, revocations, purpose: self.purpose, now };
        let mut found = chain::judge(&cards, &trust);
        if found.constrained && found.faults.is_empty() && !names_permitted(shown, anchors, self.purpose) {
            found.faults.push(Fault { depth: 0, number: 47 });
        }
        let mut verdict = Verdict::default();
        for fault in &found.faults {
            if fault.depth > 0 && verdict.authority == 0 {
                (verdict.authority, verdict.depth) = (fault.number, fault.depth as u32);
            } else if fault.depth == 0 && verdict.own == 0 {
                verdict.own = fault.number;
            }
            verdict.last = fault.number;
            let passed = if fault.depth > 0 { &self.ignored_authorities } else { &self.ignored };
            if !passed.has(fault.number) {
                return (verdict, Some(*fault));
            }
        }
        (verdict, None)
    }
}

/// Asks the library about constraints on names, which it knows how to judge; it is asked only then.
fn names_permitted(shown: &[CertificateDer<'_>], anchors: &[Facts], purpose: Purpose) -> bool {
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(anchors.iter().map(|a| CertificateDer::from(a.der.clone())));
    let (Some((first, rest)), roots) = (shown.split_first(), Arc::new(roots)) else { return false };
    let (provider, now) = (crate::provider(), UnixTime::now());
    match purpose {
        Purpose::Client => rustls::server::WebPkiClientVerifier::builder_with_provider(roots, provider)
            .build()
            .is_ok_and(|v| v.verify_client_cert(first, rest, now).is_ok()),
        Purpose::Server => {
            let algorithms = provider.signature_verification_algorithms.all;
            rustls::server::ParsedCertificate::try_from(first).is_ok_and(|parsed| {
                let known = rustls::client::verify_server_cert_signed_by_trust_anchor;
                known(&parsed, &roots, rest, now, algorithms).is_ok()
            })
        }
    }
}

/// A fault as the library names it, so that the peer is told the alert that OpenSSL would send.
pub(crate) fn error(fault: Fault) -> rustls::Error {
    rustls::Error::InvalidCertificate(match fault.number {
        2 | 18 | 19 | 20 | 21 | 22 | 25 | 79 | 3 => CertificateError::UnknownIssuer,
        7 | 8 => CertificateError::BadSignature,
        9 => CertificateError::NotValidYet,
        10 => CertificateError::Expired,
        23 => CertificateError::Revoked,
        26 => CertificateError::InvalidPurpose,
        _ => CertificateError::BadEncoding,
    })
}

/// Checks signatures of handshakes.
#[derive(Debug, Clone)]
pub(crate) struct Signatures(pub(crate) Arc<CryptoProvider>);

impl Signatures {
    /// By the certificate's key alone: what the library can't read (version 1, say) has a key all the same.
    fn raw(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
        error: rustls::Error,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        use CertificateError::{BadEncoding, Other};
        if !matches!(error, rustls::Error::InvalidCertificate(Other(_) | BadEncoding)) {
            return Err(error);
        }
        let mapping = self.0.signature_verification_algorithms.mapping;
        let algorithms =
            mapping.iter().find(|(scheme, _)| *scheme == dss.scheme).map_or(&[][..], |(_, a)| *a);
        match Facts::of(cert) {
            Some(card) if card.made(algorithms, message, dss.signature()) => {
                Ok(HandshakeSignatureValid::assertion())
            }
            _ => Err(rustls::Error::InvalidCertificate(CertificateError::BadSignature)),
        }
    }

    pub(crate) fn tls12(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
            .or_else(|e| self.raw(message, cert, dss, e))
    }

    pub(crate) fn tls13(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
            .or_else(|e| self.raw(message, cert, dss, e))
    }

    pub(crate) fn schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Judges client certificates.
#[derive(Debug)]
pub(crate) struct Judge {
    pub(crate) rules: Rules,
    pub(crate) mandatory: bool,
    pub(crate) hints: Vec<DistinguishedName>,
    pub(crate) signatures: Signatures,
}

impl Judge {
    /// What was wrong with a chain that was taken, or refused.
    pub(crate) fn verdict(&self, chain: &[CertificateDer<'_>]) -> Verdict {
        self.rules.judge(chain, unix_now()).0
    }
}

impl ClientCertVerifier for Judge {
    fn offer_client_auth(&self) -> bool {
        true
    }

    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let shown: Vec<_> = std::iter::once(end_entity).chain(intermediates).cloned().collect();
        let (verdict, fatal) = self.rules.judge(&shown, now.as_secs() as i64);
        LAST.set(verdict);
        fatal.map_or_else(|| Ok(ClientCertVerified::assertion()), |fault| Err(error(fault)))
    }

    signatures_of_inner!();
}

thread_local! {
    /// What the handshake that this thread works at found; a failed one has no other way to tell.
    static LAST: std::cell::Cell<Verdict> = const { std::cell::Cell::new(Verdict { last: 0, own: 0, authority: 0, depth: 0 }) };
}

/// What was found of the certificates that were judged last in this thread, and forgets it.
pub(crate) fn last() -> Verdict {
    LAST.take()
}
