//! Certificates of a process and of its listeners: loaded once by path, replaced while running, found by the name a
//! client asks for (SNI).
//!
//! A [`Library`] holds each file once; a [`Store`] is what one listener offers, in order, and [`Shelf`] the same ready
//! to be asked. Of several certificates for a name (an RSA and an ECDSA one) the client's abilities decide.
//!
//! Invariant: the first certificate of a listener is its default; an exact name wins over a wildcard, the first
//! certificate over later ones of the same kind; names are compared without case.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};

use rustls::SignatureAlgorithm;
use rustls::server::ClientHello;
use rustls::sign::CertifiedKey;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

use crate::{Error, pem};

/// Endings of the files that make up a bundle, the file itself being absent.
const BUNDLE: [&str; 3] = ["rsa", "ecdsa", "dsa"];
/// Endings of files that belong to a certificate beside them.
const COMPANIONS: [&str; 5] = ["key", "issuer", "ocsp", "sctl", "dh"];

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One certificate with its key, as long as the process lives.
#[derive(Debug)]
pub struct Certificate {
    /// Its file.
    pub path: PathBuf,
    key: RwLock<Arc<CertifiedKey>>,
}

impl Certificate {
    /// What is shown now.
    pub fn key(&self) -> Arc<CertifiedKey> {
        self.key.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// All certificates of a configuration, and a replacement that is being prepared.
#[derive(Debug, Default)]
pub struct Library {
    all: Mutex<BTreeMap<PathBuf, Arc<Certificate>>>,
    shelves: Mutex<Vec<Weak<Shelf>>>,
    pending: Mutex<Option<(PathBuf, Arc<CertifiedKey>)>>,
}

impl Library {
    /// The certificate of a file, loaded when it is asked for first.
    ///
    /// # Errors
    /// The file can't be used.
    pub fn certificate(&self, path: &Path) -> Result<Arc<Certificate>, Error> {
        let mut all = lock(&self.all);
        if let Some(found) = all.get(path) {
            return Ok(Arc::clone(found));
        }
        let key = RwLock::new(pem::certified_key(path, None)?);
        let new = Arc::new(Certificate { path: path.to_owned(), key });
        all.insert(path.to_owned(), Arc::clone(&new));
        Ok(new)
    }

    /// The certificate of a file that is loaded.
    pub fn find(&self, path: &Path) -> Option<Arc<Certificate>> {
        lock(&self.all).get(path).cloned()
    }

    /// The paths of all that are loaded, in order.
    pub fn paths(&self) -> Vec<PathBuf> {
        lock(&self.all).keys().cloned().collect()
    }

    /// A replacement that waits for its commit.
    pub fn pending(&self) -> Option<(PathBuf, Arc<CertifiedKey>)> {
        lock(&self.pending).clone()
    }

    /// Prepares a replacement: certificates and key in PEM, or certificates alone for the key there is.
    ///
    /// # Errors
    /// The text can't be used.
    pub fn prepare(&self, certificate: &Certificate, text: &[u8]) -> Result<(), Error> {
        let key = pem::replacement(&certificate.path, text, &certificate.key())?;
        *lock(&self.pending) = Some((certificate.path.clone(), key));
        Ok(())
    }

    /// Puts the replacement of a file in force; gives how many listeners' entries show it, `None` without one.
    pub fn commit(&self, path: &Path) -> Option<usize> {
        let (_, key) = self.take(path)?;
        let certificate = self.find(path)?;
        *certificate.key.write().unwrap_or_else(PoisonError::into_inner) = key;
        let mut shelves = lock(&self.shelves);
        shelves.retain(|s| s.strong_count() > 0);
        let alive = shelves.iter().filter_map(Weak::upgrade);
        Some(alive.map(|shelf| shelf.renew(&certificate)).sum())
    }

    /// Takes a replacement of a file away; false without one.
    pub fn abort(&self, path: &Path) -> bool {
        self.take(path).is_some()
    }

    fn take(&self, path: &Path) -> Option<(PathBuf, Arc<CertifiedKey>)> {
        lock(&self.pending).take_if(|(of, _)| of == path)
    }

    /// Makes a listener's certificates ready; they follow what is committed.
    pub fn shelve(&self, store: Store) -> Arc<Shelf> {
        let index = RwLock::new(Arc::new(Index::of(&store.items)));
        let shelf = Arc::new(Shelf { items: store.items, index });
        lock(&self.shelves).push(Arc::downgrade(&shelf));
        shelf
    }
}

/// What a listener offers with one line.
#[derive(Debug, Clone)]
struct Item {
    certificate: Arc<Certificate>,
    /// `crt-list` filters: names, `*.` wildcards, `!` exceptions; empty takes the certificate's own names.
    filters: Vec<String>,
    /// Which of the listener's settings are for it.
    settings: usize,
}

/// Certificates of a listener, in order.
#[derive(Debug, Clone, Default)]
pub struct Store {
    items: Vec<Item>,
}

impl Store {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds what a `crt` names: a file, a bundle (`FILE.rsa`, `FILE.ecdsa`), or all files of a directory in the order
    /// of their names (those that belong to another one and hidden ones apart).
    ///
    /// # Errors
    /// The first file that can't be used.
    pub fn load(&mut self, library: &Library, path: &Path) -> Result<(), Error> {
        if !path.is_dir() {
            return self.add(library, path, &[], 0);
        }
        let fail = |e: std::io::Error| Error::Read { path: path.to_owned(), reason: e.to_string() };
        let mut files: Vec<PathBuf> = Vec::new();
        for entry in std::fs::read_dir(path).map_err(fail)? {
            files.push(entry.map_err(fail)?.path());
        }
        files.sort();
        for file in files {
            let hidden = file.file_name().is_some_and(|n| n.as_encoded_bytes().starts_with(b"."));
            let skip = file.extension().is_some_and(|e| COMPANIONS.iter().any(|c| e == *c));
            if !hidden && !skip && file.is_file() {
                self.add(library, &file, &[], 0)?;
            }
        }
        Ok(())
    }

    /// Adds a file or bundle under the given filters, or under its own names where none is given.
    ///
    /// # Errors
    /// The file can't be used.
    pub fn add(
        &mut self,
        library: &Library,
        path: &Path,
        filters: &[String],
        settings: usize,
    ) -> Result<(), Error> {
        let mut files = vec![path.to_owned()];
        if !path.exists() {
            let parts = BUNDLE.map(|kind| PathBuf::from(format!("{}.{kind}", path.display())));
            let there: Vec<_> = parts.into_iter().filter(|p| p.is_file()).collect();
            if !there.is_empty() {
                files = there;
            }
        }
        for file in files {
            let certificate = library.certificate(&file)?;
            let filters = filters.iter().map(|f| f.to_ascii_lowercase()).collect();
            self.items.push(Item { certificate, filters, settings });
        }
        Ok(())
    }

    /// Whether there is no certificate.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
}

/// Which items have a name.
#[derive(Debug, Default)]
struct Index {
    exact: HashMap<String, Vec<usize>>,
    wildcard: HashMap<String, Vec<usize>>,
}

impl Index {
    fn of(items: &[Item]) -> Self {
        let mut index = Self::default();
        for (at, item) in items.iter().enumerate() {
            let own;
            let names = if item.filters.is_empty() {
                own = names_of(&item.certificate.key());
                &own
            } else {
                &item.filters
            };
            for name in names.iter().filter(|n| !n.starts_with('!')) {
                let name = name.to_ascii_lowercase();
                let list = match name.strip_prefix("*.") {
                    Some(rest) => index.wildcard.entry(rest.to_owned()).or_default(),
                    None => index.exact.entry(name).or_default(),
                };
                list.push(at);
            }
        }
        index
    }
}

/// What a client can check.
#[derive(Debug, Clone, Copy)]
struct Abilities {
    ecdsa: bool,
}

impl Abilities {
    fn of(hello: &ClientHello<'_>) -> Self {
        use rustls::SignatureScheme as S;
        let signs = |s: &S| {
            matches!(s, S::ECDSA_NISTP256_SHA256 | S::ECDSA_NISTP384_SHA384 | S::ECDSA_NISTP521_SHA512)
        };
        // Suites of TLS 1.3 name no kind of key, those before it do.
        let suits = hello.cipher_suites().iter().any(|id| {
            let known = crate::provider().cipher_suites.iter().find(|s| s.suite() == *id).copied();
            known.is_some_and(|s| match s {
                rustls::SupportedCipherSuite::Tls12(suite) => suite.sign.iter().any(signs),
                rustls::SupportedCipherSuite::Tls13(_) => true,
            })
        });
        Self { ecdsa: suits && hello.signature_schemes().iter().any(signs) }
    }
}

/// A listener's certificates, ready to be asked.
#[derive(Debug)]
pub struct Shelf {
    items: Vec<Item>,
    index: RwLock<Arc<Index>>,
}

impl Shelf {
    /// A certificate was replaced: its names may be others. Gives how many items show it.
    fn renew(&self, certificate: &Arc<Certificate>) -> usize {
        let hits = self.items.iter().filter(|i| Arc::ptr_eq(&i.certificate, certificate)).count();
        if hits > 0 {
            *self.index.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(Index::of(&self.items));
        }
        hits
    }

    /// The certificate for a client, and the number of the settings that go with it: by name, else the default unless
    /// `strict`.
    pub fn choose(&self, hello: &ClientHello<'_>, strict: bool) -> Option<(Arc<CertifiedKey>, usize)> {
        let abilities = Abilities::of(hello);
        self.pick(hello.server_name(), strict, abilities).map(|item| (item.certificate.key(), item.settings))
    }

    /// The settings that go with the client's certificate; those of the listener without one.
    pub fn settings(&self, hello: &ClientHello<'_>, strict: bool) -> usize {
        self.choose(hello, strict).map_or(0, |(_, settings)| settings)
    }

    fn pick(&self, name: Option<&str>, strict: bool, abilities: Abilities) -> Option<&Item> {
        let named = name.and_then(|n| self.named(n, abilities));
        if named.is_some() || strict {
            return named;
        }
        // The default: the first, with those that are of its bundle.
        let first = self.items.first()?;
        let stem = |i: &Item| i.certificate.path.with_extension("");
        let bundled = first.certificate.path.extension().is_some_and(|e| BUNDLE.iter().any(|b| e == *b));
        let of = self.items.iter().enumerate().filter(|(_, i)| bundled && stem(i) == stem(first));
        let all: Vec<usize> = of.map(|(at, _)| at).collect();
        self.best(&all, abilities).or(Some(first))
    }

    fn named(&self, name: &str, abilities: Abilities) -> Option<&Item> {
        let index = self.index.read().unwrap_or_else(PoisonError::into_inner).clone();
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        if let Some(found) = index.exact.get(&name).and_then(|list| self.best(list, abilities)) {
            return Some(found);
        }
        let list = index.wildcard.get(name.split_once('.')?.1)?;
        let excepted = |at: &usize| {
            let mut filters = self.items[*at].filters.iter();
            filters.any(|f| f.strip_prefix('!').is_some_and(|f| f == name))
        };
        let list: Vec<usize> = list.iter().filter(|at| !excepted(at)).copied().collect();
        self.best(&list, abilities)
    }

    /// An ECDSA certificate for those who can check one, else the first of another kind.
    fn best(&self, list: &[usize], abilities: Abilities) -> Option<&Item> {
        let is_ecdsa =
            |at: &&usize| self.items[**at].certificate.key().key.algorithm() == SignatureAlgorithm::ECDSA;
        let wanted = list.iter().find(|at| is_ecdsa(at) == abilities.ecdsa);
        wanted.or(list.first()).map(|at| &self.items[*at])
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

#[cfg(test)]
mod tests {
    use super::*;

    const ANY: Abilities = Abilities { ecdsa: true };

    fn file(dir: &Path, name: &str, names: &[&str]) -> PathBuf {
        let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
        let made = rcgen::generate_simple_self_signed(names).expect("certificate");
        let path = dir.join(name);
        std::fs::write(&path, made.signing_key.serialize_pem() + &made.cert.pem()).expect("written");
        path
    }

    fn picked(shelf: &Shelf, name: Option<&str>, strict: bool) -> Option<String> {
        let path = &shelf.pick(name, strict, ANY)?.certificate.path;
        path.file_name().map(|n| n.to_string_lossy().into_owned())
    }

    #[test]
    fn names_wildcards_exceptions_and_the_default_decide() {
        let dir = tempfile::tempdir().expect("dir");
        let (a, b, c) = (
            file(dir.path(), "a", &["a.example"]),
            file(dir.path(), "b", &["*.b.example"]),
            file(dir.path(), "c", &["c"]),
        );
        let (library, mut store) = (Library::default(), Store::new());
        store.load(&library, &a).and_then(|()| store.load(&library, &b)).expect("loaded");
        let filters = ["*.C.example", "!not.c.example"].map(str::to_owned);
        store.add(&library, &c, &filters, 1).expect("added");
        let shelf = library.shelve(store);
        for (name, strict, want) in [
            (Some("A.example"), true, Some("a")),
            (Some("x.b.example"), true, Some("b")),
            (Some("x.y.b.example"), true, None),
            (Some("b.example"), true, None),
            (Some("x.c.example"), true, Some("c")),
            (Some("not.c.example"), true, None),
            (Some("not.c.example"), false, Some("a")),
            (Some("c"), true, None),
            (None, false, Some("a")),
            (None, true, None),
        ] {
            assert_eq!(picked(&shelf, name, strict).as_deref(), want, "{name:?} {strict}");
        }
    }

    #[test]
    fn a_replacement_changes_names_once_it_is_committed() {
        let dir = tempfile::tempdir().expect("dir");
        let (a, b) = (file(dir.path(), "a", &["a.example"]), file(dir.path(), "b", &["b.example"]));
        let (library, mut store) = (Library::default(), Store::new());
        store.load(&library, &a).expect("loaded");
        let shelf = library.shelve(store);
        let certificate = library.find(&a).expect("there");
        assert!(library.prepare(&certificate, b"nothing").is_err());
        library.prepare(&certificate, &std::fs::read(&b).expect("text")).expect("prepared");
        assert_eq!(picked(&shelf, Some("b.example"), true), None);
        assert_eq!((library.commit(&b), library.commit(&a), library.commit(&a)), (None, Some(1), None));
        assert_eq!(picked(&shelf, Some("b.example"), true).as_deref(), Some("a"));
        assert_eq!(picked(&shelf, Some("a.example"), true), None);
        assert!(!library.abort(&a));
    }
}
