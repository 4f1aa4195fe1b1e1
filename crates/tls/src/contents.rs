//! What belongs to one certificate: chain, key, and what lies beside them (`.key`, `.issuer`, `.ocsp`, `.sctl`).
//!
//! Invariant: a certificate that is shown has a chain and the key that fits it; one that is being put together on the
//! command line may lack both.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::sign::{CertifiedKey, SigningKey};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::SectionKind;

use crate::ocsp::Response;
use crate::{Error, ocsp, pem};

/// Which files beside a certificate are read (`ssl-load-extra-files`, `ssl-load-extra-del-ext`,
/// `issuers-chain-path`).
#[derive(Debug, Clone)]
pub struct Beside {
    /// `.key`.
    pub key: bool,
    /// `.issuer`.
    pub issuer: bool,
    /// `.ocsp`.
    pub ocsp: bool,
    /// `.sctl`.
    pub sctl: bool,
    /// `.rsa`, `.ecdsa`, `.dsa` in place of a file that is not there.
    pub bundle: bool,
    /// The certificate's ending gives way to the others, where it is `.crt`.
    pub replace_ending: bool,
    /// Chains for certificates that come alone.
    pub chains: Option<PathBuf>,
}

impl Default for Beside {
    fn default() -> Self {
        Self {
            key: true,
            issuer: true,
            ocsp: true,
            sctl: true,
            bundle: true,
            replace_ending: false,
            chains: None,
        }
    }
}

impl Beside {
    /// The name of a file beside a certificate's.
    pub fn path(&self, of: &Path, ending: &str) -> PathBuf {
        if self.replace_ending && of.extension().is_some_and(|e| e == "crt") {
            return of.with_extension(ending);
        }
        let mut name = of.as_os_str().to_owned();
        name.push(".");
        name.push(ending);
        name.into()
    }
}

/// Which part of a certificate's contents a file or payload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Chain and key in PEM.
    Pem,
    /// `.key`.
    Key,
    /// `.issuer`.
    Issuer,
    /// `.ocsp`.
    Ocsp,
    /// `.sctl`.
    Sctl,
}

impl Part {
    /// Parts that have files of their own, by ending.
    pub const BESIDE: [(&'static str, Self); 4] =
        [("key", Self::Key), ("issuer", Self::Issuer), ("ocsp", Self::Ocsp), ("sctl", Self::Sctl)];
}

/// The contents.
#[derive(Debug, Clone, Default)]
pub struct Contents {
    /// The certificate and what certifies it.
    pub chain: Vec<CertificateDer<'static>>,
    /// The private key.
    pub signer: Option<Arc<dyn SigningKey>>,
    /// Who issued the certificate, where a file says so.
    pub issuer: Option<CertificateDer<'static>>,
    /// What its authority says of it.
    pub ocsp: Option<Response>,
    /// Signed timestamps of logs, kept, not sent: the library has no way to.
    pub sctl: Option<Vec<u8>>,
}

impl Contents {
    /// Reads a certificate's file and those beside it.
    ///
    /// # Errors
    /// Unreadable file, no certificate, no key, a key or an answer about another certificate.
    pub fn load(path: &Path, key: Option<&Path>, beside: &Beside) -> Result<Self, Error> {
        let mut new = Self::default();
        new.put(path, Part::Pem, &pem::read(path)?)?;
        if new.chain.is_empty() {
            return Err(Error::NoCertificate(path.to_owned()));
        }
        let file = |wanted: bool, ending| Some(beside.path(path, ending)).filter(|p| wanted && p.is_file());
        if new.signer.is_none() {
            let default = beside.path(path, "key");
            let named = key.map_or(default, Path::to_path_buf);
            if !(beside.key || key.is_some()) || !named.is_file() {
                return Err(Error::NoKey(path.to_owned(), named));
            }
            new.put(&named, Part::Key, &pem::read(&named)?)?;
        }
        if let Some(issuer) = file(beside.issuer, "issuer") {
            // It is there for answers of OCSP; it is not sent.
            new.put(&issuer, Part::Issuer, &pem::read(&issuer)?)?;
        }
        if new.chain.len() == 1
            && let Some(found) = beside.chains.as_deref().and_then(|dir| pem::chain_for(&new.chain[0], dir))
        {
            new.chain.extend(found);
        }
        for (ending, part, wanted) in [("ocsp", Part::Ocsp, beside.ocsp), ("sctl", Part::Sctl, beside.sctl)] {
            if let Some(found) = file(wanted, ending) {
                new.put(&found, part, &pem::read(&found)?)?;
            }
        }
        Ok(new)
    }

    /// Puts a part in place of the one there is.
    ///
    /// # Errors
    /// It can't be read.
    pub fn put(&mut self, path: &Path, part: Part, bytes: &[u8]) -> Result<(), Error> {
        match part {
            Part::Pem => {
                let list = pem::sections(path, bytes)?;
                let of_kind = list.iter().filter(|(kind, _)| *kind == SectionKind::Certificate);
                let chain: Vec<_> = of_kind.map(|(_, der)| CertificateDer::from(der.clone())).collect();
                let signer = pem::signer(path, &list)?;
                if chain.is_empty() {
                    return Err(Error::NoCertificate(path.to_owned()));
                }
                (self.chain, self.signer) = (chain, signer);
            }
            Part::Key => {
                let signer = pem::signer(path, &pem::sections(path, bytes)?)?;
                self.signer = Some(signer.ok_or_else(|| Error::NoKey(path.to_owned(), path.to_owned()))?);
            }
            Part::Issuer => {
                let list = pem::sections(path, bytes)?;
                let first = list.into_iter().find(|(kind, _)| *kind == SectionKind::Certificate);
                let (_, der) = first.ok_or_else(|| Error::NoCertificate(path.to_owned()))?;
                self.issuer = Some(CertificateDer::from(der));
            }
            Part::Ocsp => {
                let reason = "no answer about a certificate";
                let read = ocsp::parse(bytes);
                let fail = || Error::Pem { path: path.to_owned(), reason: reason.to_owned() };
                self.ocsp = Some(read.ok_or_else(fail)?);
            }
            Part::Sctl => self.sctl = Some(bytes.to_vec()),
        }
        Ok(())
    }

    /// Whether there is a certificate and a key.
    pub fn is_complete(&self) -> bool {
        !self.chain.is_empty() && self.signer.is_some()
    }

    /// The identity of the certificate that answers about it name, where its issuer is known: OpenSSL's form in DER.
    pub fn certificate_id(&self) -> Option<Vec<u8>> {
        let own = self.chain.first()?;
        ocsp::certificate_id(own, self.issuer.as_ref().or_else(|| self.chain.get(1))?)
    }

    /// The identity, where there is an answer.
    pub fn answered_id(&self) -> Option<Vec<u8>> {
        self.ocsp.as_ref().and_then(|_| self.certificate_id())
    }

    /// Chain and key as the library wants them.
    ///
    /// # Errors
    /// One is missing, or the two don't belong together; an answer about another certificate.
    pub fn ready(&self, path: &Path) -> Result<Arc<CertifiedKey>, Error> {
        let first = self.chain.first().ok_or_else(|| Error::NoCertificate(path.to_owned()))?;
        let signer = self.signer.clone().ok_or_else(|| Error::NoKey(path.to_owned(), path.to_owned()))?;
        // The library's own comparison refuses certificates of version 1, which tools still make.
        if let (Some(own), Some(public)) = (pem::public_key(first), signer.public_key())
            && own != public.as_ref()
        {
            let source = rustls::Error::InconsistentKeys(rustls::InconsistentKeys::KeyMismatch);
            return Err(Error::Refused { path: path.to_owned(), source });
        }
        let mut key = CertifiedKey::new(self.chain.clone(), signer);
        if let Some(answer) = &self.ocsp {
            let id = self.certificate_id().ok_or_else(|| Error::NoIssuer(path.to_owned()))?;
            if answer.id != id {
                let reason = "the OCSP response is about another certificate".to_owned();
                return Err(Error::Pem { path: path.to_owned(), reason });
            }
            key.ocsp = Some(answer.der.clone());
        }
        Ok(Arc::new(key))
    }
}
