//! TLS configurations from what users write on `bind` and `server` lines, in checks and in keepalived's `SSL` block.
//!
//! Invariant: one cryptography provider ([`provider`], aws-lc-rs) is named explicitly in every builder, so nothing
//! depends on process-wide state; a configuration is built once per generation and shared.
//!
//! Absent on purpose: sockets (callers own them; [`server::accept`] takes any stream), ACME (later files),
//! TLS below 1.2 (the library has none; [`versions`] says so in words).

/// Signatures of handshakes are the same affair for both kinds of verifier, of clients and of servers.
macro_rules! signatures_of_inner {
    () => {
        fn verify_tls12_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            dss: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            self.signatures.tls12(message, cert, dss)
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            dss: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            self.signatures.tls13(message, cert, dss)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.signatures.schemes()
        }
    };
}

pub mod book;
pub mod chain;
pub mod client;
pub mod contents;
pub mod crt_list;
pub mod errors;
pub mod facts;
pub mod names;
pub mod ocsp;
pub mod pem;
pub mod server;
pub mod sessions;
pub mod store;
pub mod suites;
pub mod tickets;
pub mod verdict;

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use rustls::crypto::CryptoProvider;
use rustls::{SupportedCipherSuite, SupportedProtocolVersion};
use serde::{Deserialize, Serialize};

/// What can be wrong with TLS settings; the texts name the file or word at fault.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file can't be read.
    #[error("unable to read '{path}': {reason}")]
    Read {
        /// File.
        path: PathBuf,
        /// The system's words.
        reason: String,
    },
    /// A file has no certificate.
    #[error("no certificate found in '{0}'")]
    NoCertificate(PathBuf),
    /// A file has no private key.
    #[error("no private key found in '{0}'")]
    NoKey(
        /// The certificate's file.
        PathBuf,
        /// Where it was looked for last.
        PathBuf,
    ),
    /// An answer about a certificate whose issuer nobody knows.
    #[error("'{0}': an OCSP response but no issuer")]
    NoIssuer(PathBuf),
    /// A private key is encrypted.
    #[error("the private key in '{0}' is encrypted; decrypt it first")]
    EncryptedKey(PathBuf),
    /// A PEM section is broken.
    #[error("'{path}': {reason}")]
    Pem {
        /// File.
        path: PathBuf,
        /// What is broken.
        reason: String,
    },
    /// Key and certificate don't belong together, or the library refuses them.
    #[error("'{path}': {source}")]
    Refused {
        /// File.
        path: PathBuf,
        /// The library's words.
        source: rustls::Error,
    },
    /// The library refuses a combination.
    #[error("{0}")]
    Library(#[from] rustls::Error),
    /// A file of authorities can't be used.
    #[error("unable to load {0}")]
    Authorities(PathBuf),
    /// A list of authorities or revocations can't be used.
    #[error("{0}")]
    Verifier(String),
    /// A protocol version that nothing here speaks.
    #[error("TLS version '{0}' is not supported (TLSv1.2 and TLSv1.3 are)")]
    Version(String),
    /// None of the named groups exists here.
    #[error("no usable curve in '{0}'")]
    Groups(String),
    /// None of the named cipher suites exists here.
    #[error("no usable cipher suite in '{0}'")]
    Ciphers(String),
}

/// The one provider.
pub fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    PROVIDER.get_or_init(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider())).clone()
}

/// `ssl-min-ver`, `ssl-max-ver`, `ciphers`, `ciphersuites`: what both sides share.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Limits {
    /// Lowest version, haproxy's word (`TLSv1.2`); older words mean 1.2, the lowest there is.
    #[serde(default)]
    pub min_version: Option<String>,
    /// Highest version.
    #[serde(default)]
    pub max_version: Option<String>,
    /// OpenSSL names of TLS 1.2 suites, colon separated; `None` = the library's.
    #[serde(default)]
    pub ciphers: Option<String>,
    /// Names of TLS 1.3 suites, colon separated.
    #[serde(default)]
    pub ciphersuites: Option<String>,
    /// Groups of key exchange by their names, colon separated, in order (`curves`, `ecdhe`).
    #[serde(default)]
    pub curves: Option<String>,
    /// ALPN protocols in order of preference.
    #[serde(default)]
    pub alpn: Vec<String>,
}

/// The versions within limits.
///
/// # Errors
/// [`Error::Version`] for an unknown word, or when nothing between the limits is spoken here.
pub fn versions(limits: &Limits) -> Result<Vec<&'static SupportedProtocolVersion>, Error> {
    let rank = |word: &str| match word {
        "SSLv3" | "TLSv1.0" | "TLSv1.1" => Ok(1),
        "TLSv1.2" => Ok(2),
        "TLSv1.3" => Ok(3),
        other => Err(Error::Version(other.to_owned())),
    };
    let min = limits.min_version.as_deref().map_or(Ok(2), rank)?;
    let max = limits.max_version.as_deref().map_or(Ok(3), rank)?;
    let mut found: Vec<&'static SupportedProtocolVersion> = Vec::new();
    if min <= 3 && max >= 3 {
        found.push(&rustls::version::TLS13);
    }
    if min <= 2 && max >= 2 {
        found.push(&rustls::version::TLS12);
    }
    if found.is_empty() {
        return Err(Error::Version(limits.max_version.clone().unwrap_or_default()));
    }
    Ok(found)
}

/// OpenSSL's names of the suites there are.
const SUITES: &[(&str, rustls::CipherSuite)] = &[
    ("TLS_AES_128_GCM_SHA256", rustls::CipherSuite::TLS13_AES_128_GCM_SHA256),
    ("TLS_AES_256_GCM_SHA384", rustls::CipherSuite::TLS13_AES_256_GCM_SHA384),
    ("TLS_CHACHA20_POLY1305_SHA256", rustls::CipherSuite::TLS13_CHACHA20_POLY1305_SHA256),
    ("ECDHE-ECDSA-AES128-GCM-SHA256", rustls::CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
    ("ECDHE-ECDSA-AES256-GCM-SHA384", rustls::CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384),
    ("ECDHE-ECDSA-CHACHA20-POLY1305", rustls::CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256),
    ("ECDHE-RSA-AES128-GCM-SHA256", rustls::CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256),
    ("ECDHE-RSA-AES256-GCM-SHA384", rustls::CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384),
    ("ECDHE-RSA-CHACHA20-POLY1305", rustls::CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256),
];

/// OpenSSL's name of a suite, for logs; `None` for a suite that isn't offered here.
pub fn suite_name(suite: rustls::CipherSuite) -> Option<&'static str> {
    SUITES.iter().find(|(_, s)| *s == suite).map(|(n, _)| *n)
}

/// Names of key exchange groups: of standards and of OpenSSL. The first is what fetches tell.
const GROUPS: &[(&str, rustls::NamedGroup)] = &[
    ("X25519", rustls::NamedGroup::X25519),
    ("prime256v1", rustls::NamedGroup::secp256r1),
    ("P-256", rustls::NamedGroup::secp256r1),
    ("secp256r1", rustls::NamedGroup::secp256r1),
    ("secp384r1", rustls::NamedGroup::secp384r1),
    ("P-384", rustls::NamedGroup::secp384r1),
    ("secp521r1", rustls::NamedGroup::secp521r1),
    ("P-521", rustls::NamedGroup::secp521r1),
    ("X25519MLKEM768", rustls::NamedGroup::X25519MLKEM768),
    ("SecP256r1MLKEM768", rustls::NamedGroup::secp256r1MLKEM768),
];

/// OpenSSL's name of a group.
pub fn group_name(group: rustls::NamedGroup) -> Option<&'static str> {
    GROUPS.iter().find(|(_, g)| *g == group).map(|(n, _)| *n)
}

/// The named groups that exist here, in the user's order.
fn groups(
    list: &str,
    base: &CryptoProvider,
) -> Result<Vec<&'static dyn rustls::crypto::SupportedKxGroup>, Error> {
    let id = |word: &str| GROUPS.iter().find(|(n, _)| n.eq_ignore_ascii_case(word)).map(|(_, g)| *g);
    let words = list.split([':', ',']).filter_map(|w| id(w.trim_start_matches('?')));
    let known = rustls::crypto::aws_lc_rs::ALL_KX_GROUPS;
    let find = |g| base.kx_groups.iter().chain(known).find(|k| k.name() == g).copied();
    let found: Vec<_> = words.filter_map(find).collect();
    if found.is_empty() { Err(Error::Groups(list.to_owned())) } else { Ok(found) }
}

/// The provider with its suites reduced to the named ones, in the user's order. Names that don't exist here are
/// passed over (they only ever widen a list), as are OpenSSL's operators; a TLS 1.2 list of nothing but such words
/// (`HIGH:!aNULL`) leaves the library's list.
///
/// # Errors
/// [`Error::Ciphers`] when a list of plain names has no suite that exists here.
pub fn limited_provider(limits: &Limits) -> Result<Arc<CryptoProvider>, Error> {
    let base = provider();
    let base = match &limits.curves {
        Some(list) => Arc::new(CryptoProvider { kx_groups: groups(list, &base)?, ..(*base).clone() }),
        None => base,
    };
    if limits.ciphers.is_none() && limits.ciphersuites.is_none() {
        return Ok(base);
    }
    let is13 = |s: &SupportedCipherSuite| s.tls13().is_some();
    let part = |list: Option<&String>, wants13: bool| -> Result<Vec<SupportedCipherSuite>, Error> {
        let all = || base.cipher_suites.iter().filter(|s| is13(s) == wants13).copied().collect::<Vec<_>>();
        let Some(list) = list else { return Ok(all()) };
        let words: Vec<&str> = list.split([':', ',', ' ']).filter(|w| !w.is_empty()).collect();
        let named: Vec<_> = words
            .iter()
            .filter_map(|w| SUITES.iter().find(|(n, _)| n == w))
            .filter_map(|(_, id)| base.cipher_suites.iter().find(|s| s.suite() == *id))
            .filter(|s| is13(s) == wants13)
            .copied()
            .collect();
        let plain = words.iter().all(|w| w.contains('-') && !w.starts_with(['!', '-', '+', '@']));
        match (named.is_empty(), plain) {
            (false, _) => Ok(named),
            (true, false) if !wants13 => Ok(all()),
            (true, _) => Err(Error::Ciphers(list.clone())),
        }
    };
    let mut suites = part(limits.ciphersuites.as_ref(), true)?;
    suites.extend(part(limits.ciphers.as_ref(), false)?);
    Ok(Arc::new(CryptoProvider { cipher_suites: suites, ..(*base).clone() }))
}

/// ALPN names as the library wants them.
pub(crate) fn alpn(limits: &Limits) -> Vec<Vec<u8>> {
    limits.alpn.iter().map(|p| p.as_bytes().to_vec()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_follow_the_limits() {
        let limits = |min: Option<&str>, max: Option<&str>| Limits {
            min_version: min.map(Into::into),
            max_version: max.map(Into::into),
            ..Limits::default()
        };
        let count = |l| versions(&l).map(|v| v.len());
        assert_eq!(count(limits(None, None)).ok(), Some(2));
        assert_eq!(count(limits(Some("TLSv1.0"), None)).ok(), Some(2));
        assert_eq!(count(limits(Some("TLSv1.3"), None)).ok(), Some(1));
        assert_eq!(count(limits(None, Some("TLSv1.2"))).ok(), Some(1));
        assert!(count(limits(None, Some("TLSv1.1"))).is_err());
        assert!(count(limits(Some("TLSv9"), None)).is_err());
    }

    #[test]
    fn cipher_lists_keep_the_users_order() {
        let limits = |list: &str| Limits { ciphers: Some(list.into()), ..Limits::default() };
        let names = |list: &str| {
            limited_provider(&limits(list)).map(|p| {
                p.cipher_suites
                    .iter()
                    .filter(|s| s.tls13().is_none())
                    .filter_map(|s| suite_name(s.suite()))
                    .collect::<Vec<_>>()
            })
        };
        assert_eq!(
            names("ECDHE-RSA-AES256-GCM-SHA384:DHE-RSA-AES128-SHA:ECDHE-ECDSA-AES128-GCM-SHA256").ok(),
            Some(vec!["ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-GCM-SHA256"])
        );
        assert_eq!(names("HIGH:!aNULL").ok().map(|v| v.len()), Some(6));
        assert!(names("DHE-RSA-AES128-SHA").is_err());
    }
}
