//! Certificates of a process and of its listeners: loaded once by path, replaced while running, found by the name a
//! client asks for (SNI).
//!
//! A [`Library`] holds each file once, with the listeners and servers that use it; a [`Store`] is what one listener
//! offers, in order, and [`Shelf`] the same ready to be asked. Of several certificates for a name (an RSA and an ECDSA
//! one) the client's abilities decide.
//!
//! Invariant: the first certificate of a listener is its default; an exact name wins over a wildcard, the first
//! certificate over later ones of the same kind; names are compared without case.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};

use rustls::SignatureAlgorithm;
use rustls::server::ClientHello;
use rustls::sign::CertifiedKey;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

use crate::book::{Book, Refusal, lock};
use crate::client::Slot;
use crate::contents::{Beside, Contents, Part};
use crate::crt_list::Book as CrtLists;
use crate::facts::{Facts, List};
use crate::server::Listener;
use crate::{Error, ocsp, verdict};

/// Endings of the files that make up a bundle, the file itself being absent.
const BUNDLE: [&str; 3] = ["rsa", "ecdsa", "dsa"];
/// Endings of files that belong to a certificate beside them.
const COMPANIONS: [&str; 5] = ["key", "issuer", "ocsp", "sctl", "dh"];

/// One certificate with its key, as long as the process lives.
#[derive(Debug)]
pub struct Certificate {
    /// Its file.
    pub path: PathBuf,
    state: RwLock<Held>,
}

#[derive(Debug, Clone, Default)]
struct Held {
    contents: Arc<Contents>,
    ready: Option<Arc<CertifiedKey>>,
    /// The same without an answer about it that holds no longer.
    bare: Option<Arc<CertifiedKey>>,
}

impl Held {
    fn of(path: &Path, contents: Contents) -> Result<Self, Error> {
        let ready = contents.ready(path)?;
        let bare = CertifiedKey { ocsp: None, ..CertifiedKey::clone(&ready) };
        Ok(Self { contents: Arc::new(contents), ready: Some(ready), bare: Some(Arc::new(bare)) })
    }
}

impl Certificate {
    fn new(path: &Path, state: Held) -> Arc<Self> {
        Arc::new(Self { path: path.to_owned(), state: RwLock::new(state) })
    }

    fn held(&self) -> Held {
        self.state.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn replace(&self, state: Held) {
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = state;
    }

    /// What is shown now; nothing while it is empty.
    pub fn key(&self) -> Option<Arc<CertifiedKey>> {
        let held = self.held();
        let old = held.contents.ocsp.as_ref().is_some_and(|answer| answer.expired(verdict::unix_now()));
        if old { held.bare } else { held.ready }
    }

    /// All that belongs to it.
    pub fn contents(&self) -> Arc<Contents> {
        self.held().contents
    }
}

/// Why a certificate can't come into force.
#[derive(Debug)]
pub enum CommitFault {
    /// There is nothing to do, or not for this one.
    Refused(Refusal),
    /// Chain or key is missing.
    Incomplete,
    /// They do not fit.
    Wrong(Error),
}

/// All files of a configuration that TLS needs, who uses them, and replacements that are being prepared.
#[derive(Debug, Default)]
pub struct Library {
    /// Which files beside certificates are read.
    pub beside: Beside,
    all: Mutex<BTreeMap<PathBuf, Arc<Certificate>>>,
    pending: Mutex<Option<(PathBuf, Contents)>>,
    /// Trusted certificates, by file.
    pub authorities: Book<Facts>,
    /// Revocations, by file.
    pub revocations: Book<List>,
    /// Lists of certificates.
    pub lists: CrtLists,
    listeners: Mutex<Vec<Weak<Listener>>>,
    clients: Mutex<Vec<Weak<Slot>>>,
}

impl Library {
    /// An empty one that reads what is said beside certificates.
    pub fn new(beside: Beside) -> Self {
        Self { beside, ..Self::default() }
    }

    /// The certificate of a file, loaded when it is asked for first.
    ///
    /// # Errors
    /// The file can't be used.
    pub fn certificate(&self, path: &Path) -> Result<Arc<Certificate>, Error> {
        let mut all = lock(&self.all);
        if let Some(found) = all.get(path) {
            return Ok(Arc::clone(found));
        }
        let contents = Contents::load(path, None, &self.beside)?;
        let new = Certificate::new(path, Held::of(path, contents)?);
        all.insert(path.to_owned(), Arc::clone(&new));
        Ok(new)
    }

    /// The certificate of a file that is loaded.
    pub fn find(&self, path: &Path) -> Option<Arc<Certificate>> {
        lock(&self.all).get(path).cloned()
    }

    /// The certificate that a name of a file belongs to, and which part of it the file is.
    pub fn part(&self, path: &Path) -> Option<(Arc<Certificate>, Part)> {
        if let Some(found) = self.find(path) {
            return Some((found, Part::Pem));
        }
        let ending = path.extension()?;
        let (_, part) = Part::BESIDE.into_iter().find(|(e, _)| ending == *e)?;
        let stem = path.with_extension("");
        let other = self.beside.replace_ending.then(|| path.with_extension("crt"));
        std::iter::once(stem).chain(other).find_map(|p| self.find(&p)).map(|found| (found, part))
    }

    /// The paths of all that are loaded, in order.
    pub fn paths(&self) -> Vec<PathBuf> {
        lock(&self.all).keys().cloned().collect()
    }

    /// Whether a listener or server shows it.
    pub fn used(&self, certificate: &Arc<Certificate>) -> bool {
        let shown = self.listeners().iter().any(|l| l.shelf.shows(certificate) > 0);
        shown || self.slots().iter().any(|s| s.shows(certificate))
    }

    /// Adds an empty one; false where the name is taken.
    pub fn create(&self, path: &Path) -> bool {
        let mut all = lock(&self.all);
        let free = !all.contains_key(path);
        if free {
            all.insert(path.to_owned(), Certificate::new(path, Held::default()));
        }
        free
    }

    /// Takes one away that nobody shows.
    ///
    /// # Errors
    /// It is unknown or used.
    pub fn delete(&self, path: &Path) -> Result<(), Refusal> {
        let certificate = self.find(path).ok_or(Refusal::Unknown)?;
        if self.used(&certificate) {
            return Err(Refusal::Used);
        }
        lock(&self.all).remove(path);
        Ok(())
    }

    /// A replacement that waits for its commit.
    pub fn pending(&self) -> Option<(PathBuf, Contents)> {
        lock(&self.pending).clone()
    }

    /// Prepares a part of a replacement. While one is under way, all parts are its own, as in the original; gives its
    /// name and whether it began just now.
    ///
    /// # Errors
    /// The bytes can't be used.
    pub fn prepare(
        &self,
        certificate: &Certificate,
        part: Part,
        bytes: &[u8],
    ) -> Result<(PathBuf, bool), Error> {
        let mut pending = lock(&self.pending);
        let begun = pending.is_none();
        let (path, mut contents) = match pending.as_ref() {
            Some((path, contents)) => (path.clone(), contents.clone()),
            None => (certificate.path.clone(), Contents::clone(&certificate.contents())),
        };
        contents.put(&path, part, bytes)?;
        *pending = Some((path.clone(), contents));
        Ok((path, begun))
    }

    /// Puts the replacement of a file in force; gives how many listeners' entries and servers show it.
    ///
    /// # Errors
    /// There is none, or it can't be used.
    pub fn commit(&self, path: &Path) -> Result<usize, CommitFault> {
        let mut pending = lock(&self.pending);
        let contents = match pending.as_ref() {
            None => return Err(CommitFault::Refused(Refusal::Nothing)),
            Some((of, _)) if of != path => return Err(CommitFault::Refused(Refusal::Other(of.clone()))),
            Some((_, contents)) => contents.clone(),
        };
        if !contents.is_complete() {
            return Err(CommitFault::Incomplete);
        }
        let state = Held::of(path, contents).map_err(CommitFault::Wrong)?;
        *pending = None;
        drop(pending);
        let certificate = self.find(path).ok_or(CommitFault::Refused(Refusal::Unknown))?;
        certificate.replace(state);
        let shown: usize = self.listeners().iter().map(|l| l.shelf.renew(&certificate)).sum();
        let slots = self.slots();
        let servers = slots.iter().filter(|s| s.shows(&certificate));
        Ok(shown + servers.map(|slot| slot.rebuild()).count())
    }

    /// Takes a replacement of a file away.
    ///
    /// # Errors
    /// There is none.
    pub fn abort(&self, path: &Path) -> Result<(), Refusal> {
        let mut pending = lock(&self.pending);
        match pending.as_ref() {
            None => Err(Refusal::Nothing),
            Some((of, _)) if of != path => Err(Refusal::Other(of.clone())),
            Some(_) => {
                *pending = None;
                Ok(())
            }
        }
    }

    /// Authorities or revocations of a file were replaced: whoever is judged by them is from now on judged anew. Gives
    /// how many entries of listeners and servers that concerns.
    pub fn renew(&self, path: &Path) -> usize {
        let entries: usize = self.listeners().iter().map(|l| l.renew(path)).sum();
        entries + self.slots().iter().filter(|s| s.reads(path)).map(|s| s.rebuild()).count()
    }

    /// All answers about certificates: identity and answer, one of each, in order.
    pub fn answers(&self) -> Vec<(Vec<u8>, ocsp::Response)> {
        let held: Vec<_> = lock(&self.all).values().cloned().collect();
        let mut all: BTreeMap<Vec<u8>, ocsp::Response> = BTreeMap::new();
        for contents in held.iter().map(|c| c.contents()) {
            if let (Some(id), Some(answer)) = (contents.answered_id(), contents.ocsp.clone()) {
                all.entry(id).or_insert(answer);
            }
        }
        all.into_iter().collect()
    }

    /// Puts an answer in place of the one about the same certificate; false where nobody has one.
    pub fn answer(&self, new: &ocsp::Response) -> bool {
        let held: Vec<_> = lock(&self.all).values().cloned().collect();
        let mut taken = false;
        for certificate in held {
            let contents = certificate.contents();
            if contents.answered_id().as_ref() == Some(&new.id) {
                let contents = Contents { ocsp: Some(new.clone()), ..Contents::clone(&contents) };
                if let Ok(state) = Held::of(&certificate.path, contents) {
                    certificate.replace(state);
                    taken = true;
                }
            }
        }
        taken
    }

    /// Takes a listener in, whose settings follow what changes.
    pub(crate) fn follow(&self, listener: &Arc<Listener>) {
        lock(&self.listeners).push(Arc::downgrade(listener));
    }

    /// Takes a server's settings in.
    pub(crate) fn follow_client(&self, slot: &Arc<Slot>) {
        lock(&self.clients).push(Arc::downgrade(slot));
    }

    pub(crate) fn listeners(&self) -> Vec<Arc<Listener>> {
        lock(&self.listeners).iter().filter_map(Weak::upgrade).collect()
    }

    fn slots(&self) -> Vec<Arc<Slot>> {
        lock(&self.clients).iter().filter_map(Weak::upgrade).collect()
    }
}

/// What a listener offers with one line.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub(crate) certificate: Arc<Certificate>,
    /// `crt-list` filters: names, `*.` wildcards, `!` exceptions; empty takes the certificate's own names.
    filters: Vec<String>,
    /// Which of the listener's settings are for it.
    pub(crate) settings: usize,
    /// The list and line it comes from.
    pub(crate) entry: Option<(PathBuf, usize)>,
}

/// Where an item comes from and what goes with it.
#[derive(Debug, Clone, Default)]
pub struct Place<'a> {
    /// Names; none are the certificate's own.
    pub filters: &'a [String],
    /// Number of the settings.
    pub settings: usize,
    /// List and line.
    pub entry: Option<(&'a Path, usize)>,
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
            return self.add(library, path, &Place::default());
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
                library.lists.found(path, &file);
                self.add(library, &file, &Place { entry: Some((path, 0)), ..Place::default() })?;
            }
        }
        Ok(())
    }

    /// Adds a file or bundle at a place.
    ///
    /// # Errors
    /// The file can't be used.
    pub fn add(&mut self, library: &Library, path: &Path, place: &Place<'_>) -> Result<(), Error> {
        let mut files = vec![path.to_owned()];
        if !path.exists() && library.beside.bundle {
            let parts = BUNDLE.map(|kind| PathBuf::from(format!("{}.{kind}", path.display())));
            let there: Vec<_> = parts.into_iter().filter(|p| p.is_file()).collect();
            if !there.is_empty() {
                files = there;
            }
        }
        for file in files {
            self.items.push(Item::new(library.certificate(&file)?, place));
        }
        Ok(())
    }

    /// Whether there is no certificate.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
}

impl Item {
    pub(crate) fn new(certificate: Arc<Certificate>, place: &Place<'_>) -> Self {
        Self {
            certificate,
            filters: place.filters.iter().map(|f| f.to_ascii_lowercase()).collect(),
            settings: place.settings,
            entry: place.entry.map(|(list, line)| (list.to_owned(), line)),
        }
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
                own = item.certificate.key().map(|k| names_of(&k)).unwrap_or_default();
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
    offer: RwLock<Arc<Offer>>,
}

#[derive(Debug)]
struct Offer {
    items: Vec<Item>,
    index: Index,
}

impl Shelf {
    /// Makes a store ready.
    pub fn new(store: Store) -> Arc<Self> {
        Arc::new(Self { offer: RwLock::new(Arc::new(Offer::of(store.items))) })
    }

    fn offer(&self) -> Arc<Offer> {
        self.offer.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes what there is; `f` gives nothing where nothing changes.
    fn change(&self, f: impl FnOnce(&[Item]) -> Option<Vec<Item>>) {
        let mut offer = self.offer.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(items) = f(&offer.items) {
            *offer = Arc::new(Offer::of(items));
        }
    }

    /// How many items show a certificate.
    pub(crate) fn shows(&self, certificate: &Arc<Certificate>) -> usize {
        self.offer().items.iter().filter(|i| Arc::ptr_eq(&i.certificate, certificate)).count()
    }

    /// A certificate was replaced: its names may be others. Gives how many items show it.
    fn renew(&self, certificate: &Arc<Certificate>) -> usize {
        let hits = self.shows(certificate);
        if hits > 0 {
            self.change(|items| Some(items.to_vec()));
        }
        hits
    }

    pub(crate) fn push(&self, item: Item) {
        self.change(|items| Some(items.iter().cloned().chain([item]).collect()));
    }

    /// Takes away what comes from a line of a list; gives the numbers of settings that went with it.
    pub(crate) fn drop_entry(&self, list: &Path, line: usize, certificate: &Path) -> Vec<usize> {
        let mut gone = Vec::new();
        let of = |i: &Item| {
            i.certificate.path == certificate
                && i.entry.as_ref().is_some_and(|(l, n)| l == list && *n == line)
        };
        self.change(|items| {
            gone = items.iter().filter(|i| of(i)).map(|i| i.settings).collect();
            (!gone.is_empty()).then(|| items.iter().filter(|i| !of(i)).cloned().collect())
        });
        gone
    }

    /// Whether the first item, which is the default, comes from a line of a list.
    pub(crate) fn begins_with(&self, list: &Path, line: usize, certificate: &Path) -> bool {
        let offer = self.offer();
        offer.items.first().is_some_and(|i| {
            i.certificate.path == certificate
                && i.entry.as_ref().is_some_and(|(l, n)| l == list && *n == line)
        })
    }

    /// How many items go with settings.
    pub(crate) fn with_settings(&self, number: usize) -> usize {
        self.offer().items.iter().filter(|i| i.settings == number).count()
    }

    /// The certificate for a client, and the number of the settings that go with it: by name, else the default unless
    /// `strict`.
    pub fn choose(&self, hello: &ClientHello<'_>, strict: bool) -> Option<(Arc<CertifiedKey>, usize)> {
        let abilities = Abilities::of(hello);
        let offer = self.offer();
        let item = offer.pick(hello.server_name(), strict, abilities)?;
        Some((item.certificate.key()?, item.settings))
    }
}

impl Offer {
    fn of(items: Vec<Item>) -> Self {
        Self { index: Index::of(&items), items }
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
        let index = &self.index;
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
        let is_ecdsa = |at: &&usize| {
            self.items[**at].certificate.key().is_some_and(|k| k.key.algorithm() == SignatureAlgorithm::ECDSA)
        };
        let wanted = list.iter().find(|at| is_ecdsa(at) == abilities.ecdsa);
        wanted.or(list.first()).map(|at| &self.items[*at])
    }
}

/// Names of a certificate: all DNS names of its subjectAltName, else its common name.
pub fn names_of(key: &CertifiedKey) -> Vec<String> {
    key.cert.first().map_or_else(Vec::new, |first| names_in(first))
}

/// Addresses of a certificate's subjectAltName.
pub(crate) fn addresses_of(der: &[u8]) -> Vec<std::net::IpAddr> {
    let Ok((_, certificate)) = x509_parser::certificate::X509Certificate::from_der(der) else {
        return Vec::new();
    };
    let Ok(Some(alternative)) = certificate.subject_alternative_name() else { return Vec::new() };
    let each = alternative.value.general_names.iter().filter_map(|name| match name {
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => <[u8; 4]>::try_from(*bytes).ok().map(Into::into),
            _ => <[u8; 16]>::try_from(*bytes).ok().map(Into::into),
        },
        _ => None,
    });
    each.collect()
}

/// The same of its bytes.
pub(crate) fn names_in(first: &[u8]) -> Vec<String> {
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
        let offer = shelf.offer();
        let path = offer.pick(name, strict, ANY)?.certificate.path.clone();
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
        store.add(&library, &c, &Place { filters: &filters, settings: 1, entry: None }).expect("added");
        let shelf = Shelf::new(store);
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
        let options = crate::server::Options::default();
        let server = crate::server::build(&options, &[], &library, store, Vec::new()).expect("built");
        let shelf = server.shelf();
        let certificate = library.find(&a).expect("there");
        assert!(library.prepare(&certificate, Part::Pem, b"nothing").is_err());
        library.prepare(&certificate, Part::Pem, &std::fs::read(&b).expect("text")).expect("prepared");
        assert_eq!(picked(&shelf, Some("b.example"), true), None);
        let counts = [&b, &a, &a].map(|path| library.commit(path).ok());
        assert_eq!(counts, [None, Some(1), None]);
        assert_eq!(picked(&shelf, Some("b.example"), true).as_deref(), Some("a"));
        assert_eq!(picked(&shelf, Some("a.example"), true), None);
        assert_eq!(library.abort(&a), Err(Refusal::Nothing));
    }
}
