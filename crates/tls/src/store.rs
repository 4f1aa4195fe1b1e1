//! Certificates of a listener, found by the name a client asks for (SNI): exact names, wildcards, the default.
//!
//! Invariant: the first certificate loaded is the default; of two certificates with one name the first wins, as in
//! haproxy; names are compared without case.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::sign::CertifiedKey;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

use crate::{Error, pem};

/// Certificates with their names.
#[derive(Debug, Clone, Default)]
pub struct Store {
    default: Option<Arc<CertifiedKey>>,
    exact: HashMap<String, Arc<CertifiedKey>>,
    wildcard: HashMap<String, Arc<CertifiedKey>>,
}

impl Store {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Loads what a `crt` names: a file, or all files of a directory in the order of their names (files that belong
    /// to another one, `.key`, `.issuer`, `.ocsp`, `.sctl`, `.dh`, and hidden ones apart).
    ///
    /// # Errors
    /// The first file that can't be used.
    pub fn load(&mut self, path: &Path) -> Result<(), Error> {
        if !path.is_dir() {
            self.add(pem::certified_key(path, None)?, &[]);
            return Ok(());
        }
        let fail = |e: std::io::Error| Error::Read { path: path.to_owned(), reason: e.to_string() };
        let mut files: Vec<PathBuf> = Vec::new();
        for entry in std::fs::read_dir(path).map_err(fail)? {
            files.push(entry.map_err(fail)?.path());
        }
        files.sort();
        let companion = ["key", "issuer", "ocsp", "sctl", "dh"];
        for file in files {
            let hidden = file.file_name().is_some_and(|n| n.as_encoded_bytes().starts_with(b"."));
            let skip = file.extension().is_some_and(|e| companion.iter().any(|c| e == *c));
            if !hidden && !skip && file.is_file() {
                self.add(pem::certified_key(&file, None)?, &[]);
            }
        }
        Ok(())
    }

    /// Adds a certificate under the given names (`crt-list` filters; `*.` for wildcards), or under its own where
    /// none is given.
    pub fn add(&mut self, key: Arc<CertifiedKey>, names: &[String]) {
        let own;
        let names = if names.is_empty() {
            own = names_of(&key);
            &own
        } else {
            names
        };
        for name in names {
            let name = name.to_ascii_lowercase();
            match name.strip_prefix("*.") {
                Some(rest) => self.wildcard.entry(rest.to_owned()).or_insert_with(|| key.clone()),
                None => self.exact.entry(name).or_insert_with(|| key.clone()),
            };
        }
        self.default.get_or_insert(key);
    }

    /// The certificate for a name; a wildcard covers one label.
    pub fn find(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        if let Some(key) = self.exact.get(&name) {
            return Some(key.clone());
        }
        let (_, rest) = name.split_once('.')?;
        self.wildcard.get(rest).cloned()
    }

    /// The default certificate.
    pub fn default_key(&self) -> Option<Arc<CertifiedKey>> {
        self.default.clone()
    }

    /// The certificate for a client: by name, else the default unless `strict`.
    pub fn choose(&self, sni: Option<&str>, strict: bool) -> Option<Arc<CertifiedKey>> {
        let named = sni.and_then(|n| self.find(n));
        if named.is_some() || strict { named } else { self.default.clone() }
    }

    /// Whether there is no certificate.
    pub fn is_empty(&self) -> bool {
        self.default.is_none()
    }
}

/// Names of a certificate: all DNS names of its subjectAltName, else its common name.
pub fn names_of(key: &CertifiedKey) -> Vec<String> {
    let Some(first) = key.cert.first() else { return Vec::new() };
    let Ok((_, certificate)) = x509_parser::certificate::X509Certificate::from_der(first) else {
        return Vec::new();
    };
    let mut names = Vec::new();
    if let Ok(Some(alternative)) = certificate.subject_alternative_name() {
        for name in &alternative.value.general_names {
            if let GeneralName::DNSName(dns) = name {
                names.push((*dns).to_owned());
            }
        }
    }
    for attribute in certificate.subject().iter_common_name() {
        if let Ok(text) = attribute.as_str()
            && !names.iter().any(|n| n == text)
        {
            names.push(text.to_owned());
        }
    }
    names
}
