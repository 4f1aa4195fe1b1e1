//! Certificates, keys and lists of authorities and revocations from PEM files as people have them: several
//! sections in any order, comments, DH parameters in between.
//!
//! Invariant: sections that concern nobody here are passed over; a broken section of a kind we need is an error that
//! names the file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::{PemObject, SectionKind};
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use x509_parser::prelude::FromDer;

use crate::{Error, provider};

/// Largest PEM file that is read: bundles of all public authorities have 250 KiB.
pub const FILE_MAX: u64 = 64 << 20;

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let fail = |reason: String| Error::Read { path: path.to_owned(), reason };
    let size = std::fs::metadata(path).map_err(|e| fail(e.to_string()))?.len();
    if size > FILE_MAX {
        return Err(fail(format!("{size} bytes are too many")));
    }
    std::fs::read(path).map_err(|e| fail(e.to_string()))
}

/// All sections of the text as (kind, DER).
fn sections(path: &Path, text: &[u8]) -> Result<Vec<(SectionKind, Vec<u8>)>, Error> {
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

/// A certificate chain with its key, as haproxy's `crt` wants them: both in one file, or the key in `FILE.key` or in
/// `key`; intermediate certificates may lie in `FILE.issuer`.
///
/// # Errors
/// Unreadable file, no certificate, no key, a key that doesn't fit.
pub fn certified_key(path: &Path, key: Option<&Path>) -> Result<Arc<CertifiedKey>, Error> {
    let text = read(path)?;
    let list = sections(path, &text)?;
    let mut chain: Vec<CertificateDer<'static>> = list
        .iter()
        .filter(|(kind, _)| *kind == SectionKind::Certificate)
        .map(|(_, der)| CertificateDer::from(der.clone()))
        .collect();
    if chain.is_empty() {
        return Err(Error::NoCertificate(path.to_owned()));
    }
    let issuer = beside(path, "issuer");
    if chain.len() == 1 && issuer.is_file() {
        chain.extend(certificates(&issuer)?);
    }
    let key = match key_of(&list) {
        Some(found) => found,
        None => {
            let beside = key.map_or_else(|| beside(path, "key"), Path::to_path_buf);
            if !beside.is_file() {
                return Err(Error::NoKey(path.to_owned()));
            }
            let text = read(&beside)?;
            key_of(&sections(&beside, &text)?).ok_or(Error::NoKey(beside))?
        }
    };
    let refused = |source| Error::Refused { path: path.to_owned(), source };
    let signer = provider().key_provider.load_private_key(key).map_err(refused)?;
    join(path, chain, signer)
}

/// What takes a certificate's place: chain and key of the text, or its chain alone with the key there is.
///
/// # Errors
/// No certificate, broken section, a key that doesn't fit.
pub fn replacement(path: &Path, text: &[u8], old: &CertifiedKey) -> Result<Arc<CertifiedKey>, Error> {
    let list = sections(path, text)?;
    let of_kind = list.iter().filter(|(kind, _)| *kind == SectionKind::Certificate);
    let chain: Vec<_> = of_kind.map(|(_, der)| CertificateDer::from(der.clone())).collect();
    if chain.is_empty() {
        return Err(Error::NoCertificate(path.to_owned()));
    }
    let refused = |source| Error::Refused { path: path.to_owned(), source };
    let signer = match key_of(&list) {
        Some(key) => provider().key_provider.load_private_key(key).map_err(refused)?,
        None => old.key.clone(),
    };
    join(path, chain, signer)
}

/// The public key of a certificate of any version, as it stands in it.
pub(crate) fn public_key(der: &[u8]) -> Option<&[u8]> {
    let (_, certificate) = x509_parser::certificate::X509Certificate::from_der(der).ok()?;
    Some(certificate.tbs_certificate.subject_pki.raw)
}

fn join(
    path: &Path,
    chain: Vec<CertificateDer<'static>>,
    signer: Arc<dyn rustls::sign::SigningKey>,
) -> Result<Arc<CertifiedKey>, Error> {
    let refused = |source| Error::Refused { path: path.to_owned(), source };
    // The library's own comparison refuses certificates of version 1, which tools still make.
    if let (Some(own), Some(public)) = (chain.first().and_then(|c| public_key(c)), signer.public_key())
        && own != public.as_ref()
    {
        let mismatch = rustls::InconsistentKeys::KeyMismatch;
        return Err(refused(rustls::Error::InconsistentKeys(mismatch)));
    }
    Ok(Arc::new(CertifiedKey::new(chain, signer)))
}

fn beside(path: &Path, extension: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(extension);
    PathBuf::from(name)
}

/// Trust anchors of a `ca-file`: a file, a directory of files, or `@system-ca`.
///
/// # Errors
/// Unreadable file, or not one usable certificate.
pub fn roots(path: &Path) -> Result<RootCertStore, Error> {
    let mut store = RootCertStore::empty();
    if path.as_os_str() == "@system-ca" {
        for certificate in rustls_native_certs::load_native_certs().certs {
            // A host may have anchors that the library refuses; the others still count.
            let _ = store.add(certificate);
        }
    } else if path.is_dir() {
        let fail = |e: std::io::Error| Error::Read { path: path.to_owned(), reason: e.to_string() };
        for entry in std::fs::read_dir(path).map_err(fail)? {
            let file = entry.map_err(fail)?.path();
            if file.is_file() {
                store.add_parsable_certificates(certificates(&file)?);
            }
        }
    } else {
        store.add_parsable_certificates(certificates(path)?);
    }
    if store.is_empty() {
        return Err(Error::NoCertificate(path.to_owned()));
    }
    Ok(store)
}

/// Revocation lists of a `crl-file`.
///
/// # Errors
/// Unreadable file, broken section.
pub fn revocations(path: &Path) -> Result<Vec<CertificateRevocationListDer<'static>>, Error> {
    let text = read(path)?;
    Ok(sections(path, &text)?
        .into_iter()
        .filter(|(kind, _)| *kind == SectionKind::Crl)
        .map(|(_, der)| CertificateRevocationListDer::from(der))
        .collect())
}
