//! Certificates, keys and lists of authorities and revocations from PEM files as people have them: several
//! sections in any order, comments, DH parameters in between.
//!
//! Invariant: sections that concern nobody here are passed over; a broken section of a kind we need is an error that
//! names the file.

use std::path::Path;
use std::sync::Arc;

use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::{PemObject, SectionKind};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::FromDer;

use crate::contents::{Beside, Contents};
use crate::facts::{Facts, List};
use crate::{Error, provider};

/// Largest PEM file that is read: bundles of all public authorities have 250 KiB.
pub const FILE_MAX: u64 = 64 << 20;

pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let fail = |reason: String| Error::Read { path: path.to_owned(), reason };
    let size = std::fs::metadata(path).map_err(|e| fail(e.to_string()))?.len();
    if size > FILE_MAX {
        return Err(fail(format!("{size} bytes are too many")));
    }
    std::fs::read(path).map_err(|e| fail(e.to_string()))
}

/// All sections of the text as (kind, DER).
pub(crate) fn sections(path: &Path, text: &[u8]) -> Result<Vec<(SectionKind, Vec<u8>)>, Error> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(start) = position(rest, b"-----BEGIN ") {
        rest = &rest[start..];
        let end = position(rest, b"-----END ").and_then(|e| {
            rest[e..].iter().position(|b| *b == b'\n').map_or(Some(rest.len()), |n| Some(e + n + 1))
        });
        let Some(end) = end else {
            return Err(Error::Pem { path: path.to_owned(), reason: "a section has no end".into() });
        };
        let section = &rest[..end];
        if section.starts_with(b"-----BEGIN ENCRYPTED")
            || position(section, b"Proc-Type: 4,ENCRYPTED").is_some()
        {
            return Err(Error::EncryptedKey(path.to_owned()));
        }
        match <(SectionKind, Vec<u8>) as PemObject>::from_pem_slice(section) {
            Ok(pair) => found.push(pair),
            Err(rustls_pki_types::pem::Error::NoItemsFound) => {}
            Err(e) => return Err(Error::Pem { path: path.to_owned(), reason: e.to_string() }),
        }
        rest = &rest[end..];
    }
    Ok(found)
}

fn position(text: &[u8], needle: &[u8]) -> Option<usize> {
    text.windows(needle.len()).position(|w| w == needle)
}

/// Certificates of a file, in order; possibly none.
///
/// # Errors
/// Unreadable file, broken section.
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let text = read(path)?;
    Ok(sections(path, &text)?
        .into_iter()
        .filter(|(kind, _)| *kind == SectionKind::Certificate)
        .map(|(_, der)| CertificateDer::from(der))
        .collect())
}

fn key_of(list: &[(SectionKind, Vec<u8>)]) -> Option<PrivateKeyDer<'static>> {
    list.iter().find_map(|(kind, der)| match kind {
        SectionKind::PrivateKey => Some(PrivateKeyDer::Pkcs8(der.clone().into())),
        SectionKind::RsaPrivateKey => Some(PrivateKeyDer::Pkcs1(der.clone().into())),
        SectionKind::EcPrivateKey => Some(PrivateKeyDer::Sec1(der.clone().into())),
        _ => None,
    })
}

/// The first private key among sections.
pub(crate) fn signer(
    path: &Path,
    list: &[(SectionKind, Vec<u8>)],
) -> Result<Option<Arc<dyn rustls::sign::SigningKey>>, Error> {
    let refused = |source| Error::Refused { path: path.to_owned(), source };
    key_of(list).map(|key| provider().key_provider.load_private_key(key).map_err(refused)).transpose()
}

/// A certificate chain with its key, as haproxy's `crt` wants them: both in one file, or the key in `FILE.key` or in
/// `key`.
///
/// # Errors
/// Unreadable file, no certificate, no key, a key that doesn't fit.
pub fn certified_key(path: &Path, key: Option<&Path>) -> Result<Arc<CertifiedKey>, Error> {
    Contents::load(path, key, &Beside::default())?.ready(path)
}

/// The certificates above one that comes alone: the file of a directory whose first certificate issued it
/// (`issuers-chain-path`).
pub(crate) fn chain_for(first: &[u8], dir: &Path) -> Option<Vec<CertificateDer<'static>>> {
    let own = Facts::of(first)?;
    let mut files: Vec<_> = std::fs::read_dir(dir).ok()?.filter_map(|e| Some(e.ok()?.path())).collect();
    files.sort();
    files.iter().filter_map(|file| certificates(file).ok()).find(|chain| {
        chain.first().and_then(|c| Facts::of(c)).is_some_and(|issuer| issuer.may_have_issued(&own))
    })
}

/// The public key of a certificate of any version, as it stands in it.
pub(crate) fn public_key(der: &[u8]) -> Option<&[u8]> {
    let (_, certificate) = x509_parser::certificate::X509Certificate::from_der(der).ok()?;
    Some(certificate.tbs_certificate.subject_pki.raw)
}

/// Trusted certificates of a `ca-file`: a file, a directory of files, or `@system-ca`.
///
/// # Errors
/// Unreadable file, or not one usable certificate.
pub fn anchors(path: &Path) -> Result<Vec<Facts>, Error> {
    // A host may have anchors that nobody can read; the others still count.
    let read =
        |list: Vec<CertificateDer<'static>>| list.iter().filter_map(|c| Facts::of(c)).collect::<Vec<_>>();
    let mut all = Vec::new();
    if path.as_os_str() == "@system-ca" {
        all = read(rustls_native_certs::load_native_certs().certs);
    } else if path.is_dir() {
        let fail = |e: std::io::Error| Error::Read { path: path.to_owned(), reason: e.to_string() };
        for entry in std::fs::read_dir(path).map_err(fail)? {
            let file = entry.map_err(fail)?.path();
            if file.is_file() {
                all.extend(read(certificates(&file)?));
            }
        }
    } else {
        all = read(certificates(path)?);
    }
    if all.is_empty() {
        return Err(Error::NoCertificate(path.to_owned()));
    }
    Ok(all)
}

/// The same of a text.
///
/// # Errors
/// Broken section.
pub fn anchors_of(path: &Path, text: &[u8]) -> Result<Vec<Facts>, Error> {
    let list = sections(path, text)?;
    Ok(list
        .iter()
        .filter(|(k, _)| *k == SectionKind::Certificate)
        .filter_map(|(_, d)| Facts::of(d))
        .collect())
}

/// Revocation lists of a `crl-file`.
///
/// # Errors
/// Unreadable file, broken section.
pub fn revocations(path: &Path) -> Result<Vec<List>, Error> {
    let text = read(path)?;
    revocations_of(path, &text)
}

/// The same of a text.
///
/// # Errors
/// Broken section.
pub fn revocations_of(path: &Path, text: &[u8]) -> Result<Vec<List>, Error> {
    let list = sections(path, text)?;
    Ok(list.iter().filter(|(k, _)| *k == SectionKind::Crl).filter_map(|(_, d)| List::of(d)).collect())
}
