//! The store of a `cache` section: small answers kept in memory and shared by all threads (manual, chapter 6).
//!
//! Invariant: blocks in use never exceed the section's size; what was not used for the longest time goes first.
//!
//! Absent on purpose: which answers may be kept and which requests they answer ([`rules`]), and how they are sent.

pub mod rules;

use crate::http::message::Message;
use rules::{Signature, Variant};
use sha1::Digest as _;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// A store is counted in blocks of this many bytes.
pub const BLOCK: usize = 1024;
/// Bytes that an entry takes besides its parts, as haproxy counts them.
const ENTRY: usize = 112;
/// Bytes that each part of a message takes besides its text, as haproxy counts them.
const PART: usize = 4;

/// The key of a URI: SHA-1 of host and target.
pub type Key = [u8; 20];

/// A `cache` section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The name.
    pub name: String,
    /// `total-max-size`, in blocks.
    pub blocks: usize,
    /// `max-object-size`, in bytes.
    pub max_object: usize,
    /// `max-age`.
    pub max_age: u64,
    /// `process-vary`.
    pub process_vary: bool,
    /// `max-secondary-entries`.
    pub max_secondary: usize,
}

/// One answer.
#[derive(Debug)]
pub struct Entry {
    /// The head as it was stored, without `age`.
    pub head: Message,
    /// The content.
    pub body: Vec<u8>,
    /// Names and values of fields behind the content.
    pub trailers: Vec<(Vec<u8>, Vec<u8>)>,
    /// The key it is found by.
    pub key: Key,
    /// Which headers of the request the answer depends on.
    pub varies: Signature,
    /// What those were.
    pub variant: Variant,
    /// Its age when it came.
    pub age: u64,
    /// When it came.
    pub stored: Instant,
    /// When it ends.
    pub expires: Instant,
    /// `last-modified`, else `date`, else when it came; in seconds of the wall clock.
    pub modified: i64,
    /// Data parts the content came in: each costs a few bytes.
    pub parts: usize,
    /// Number that `show cache` shows in place of an address.
    pub number: u64,
    used: AtomicU64,
}

impl Entry {
    /// Bytes as haproxy counts them.
    pub fn size(&self) -> usize {
        let trailers = self.trailers.iter().map(|(name, value)| name.len() + value.len() + PART);
        // Chunks end with a part of their own.
        let end = if self.head.first(b"content-length").is_none() { 1 + PART } else { 0 };
        ENTRY + head_size(&self.head) + self.body.len() + PART * self.parts + trailers.sum::<usize>() + end
    }

    /// Blocks that it takes.
    pub fn blocks(&self) -> usize {
        self.size().div_ceil(BLOCK)
    }

    /// The `age` to be told.
    pub fn age_at(&self, now: Instant) -> u64 {
        self.age + now.saturating_duration_since(self.stored).as_secs()
    }
}

/// Bytes of a head as haproxy counts them in a cache.
fn head_size(head: &Message) -> usize {
    head.counted_len() + PART * (head.fields().count() + 2)
}

/// A store in use.
#[derive(Debug)]
pub struct Cache {
    /// Its section.
    pub settings: Settings,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    entries: HashMap<Key, Vec<Arc<Entry>>>,
    /// Entries in the order of their last use.
    order: BTreeMap<u64, Arc<Entry>>,
    clock: u64,
    numbers: u64,
    blocks: usize,
}

impl Inner {
    fn touch(&mut self, entry: &Arc<Entry>) {
        self.clock += 1;
        self.order.remove(&entry.used.swap(self.clock, Relaxed));
        self.order.insert(self.clock, Arc::clone(entry));
    }

    fn remove(&mut self, entry: &Arc<Entry>) {
        self.order.remove(&entry.used.load(Relaxed));
        let Some(list) = self.entries.get_mut(&entry.key) else { return };
        let before = list.len();
        list.retain(|e| !Arc::ptr_eq(e, entry));
        if list.len() < before {
            self.blocks -= entry.blocks();
        }
        if list.is_empty() {
            self.entries.remove(&entry.key);
        }
    }

    fn purge(&mut self, key: &Key, gone: impl Fn(&Entry) -> bool) {
        let list: Vec<_> =
            self.entries.get(key).into_iter().flatten().filter(|e| gone(e)).map(Arc::clone).collect();
        for entry in &list {
            self.remove(entry);
        }
    }
}

impl Cache {
    /// An empty store.
    pub fn new(settings: Settings) -> Self {
        Self { settings, inner: Mutex::default() }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answer to a request, if there is one that is still fresh.
    pub fn find(&self, key: &Key, wish: Option<&Variant>, now: Instant) -> Option<Arc<Entry>> {
        let mut inner = self.inner();
        inner.purge(key, |e| e.expires <= now);
        let answers =
            |e: &&Arc<Entry>| e.varies.is_none() || wish.is_some_and(|w| e.variant.answers(e.varies, w));
        let found = Arc::clone(inner.entries.get(key)?.iter().rev().find(answers)?);
        inner.touch(&found);
        Some(found)
    }

    /// Whether an answer that varies finds room beside the others of its key.
    pub fn has_room(&self, key: &Key, varies: Signature, variant: &Variant, now: Instant) -> bool {
        let mut inner = self.inner();
        inner.purge(key, |e| e.expires <= now);
        let others = inner.entries.get(key).into_iter().flatten();
        varies.is_none()
            || others.filter(|e| !e.varies.is_none() && !e.is_same(varies, variant)).count()
                < self.settings.max_secondary
    }

    /// Forgets what answers a key.
    pub fn forget(&self, key: &Key) {
        self.inner().purge(key, |_| true);
    }

    /// Keeps an answer in place of one that it stands for.
    pub fn put(&self, mut entry: Entry) {
        let needed = entry.blocks();
        if needed > self.settings.blocks {
            return;
        }
        let mut inner = self.inner();
        inner.purge(&entry.key, |e| e.is_same(entry.varies, &entry.variant));
        while inner.blocks + needed > self.settings.blocks
            && let Some((_, oldest)) = inner.order.first_key_value()
        {
            let oldest = Arc::clone(oldest);
            inner.remove(&oldest);
        }
        inner.numbers += 1;
        entry.number = inner.numbers;
        inner.blocks += needed;
        let entry = Arc::new(entry);
        inner.entries.entry(entry.key).or_default().push(Arc::clone(&entry));
        inner.touch(&entry);
    }

    /// All entries in the order of their keys, for `show cache`.
    pub fn entries(&self) -> Vec<Arc<Entry>> {
        let mut all: Vec<_> = self.inner().order.values().map(Arc::clone).collect();
        all.sort_by_key(|e| (shown_hash(&e.key), e.number));
        all
    }
}

impl Entry {
    fn is_same(&self, varies: Signature, variant: &Variant) -> bool {
        self.varies == varies && (varies.is_none() || self.variant == *variant)
    }
}

/// The first bytes of a key as `show cache` has them.
pub fn shown_hash(key: &Key) -> u32 {
    u32::from_le_bytes([key[0], key[1], key[2], key[3]])
}

/// The stores of all sections, which outlive configurations that leave them as they were.
#[derive(Debug, Default)]
pub struct Caches(Mutex<HashMap<String, Arc<Cache>>>);

impl Caches {
    /// The store of a section; an empty one where the section is new or another than before.
    pub fn ensure(&self, settings: &Settings) -> Arc<Cache> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match all.get(&settings.name) {
            Some(known) if known.settings == *settings => Arc::clone(known),
            _ => {
                let made = Arc::new(Cache::new(settings.clone()));
                all.insert(settings.name.clone(), Arc::clone(&made));
                made
            }
        }
    }
}

/// What a request has to do with caches; there is none where no rule names a cache.
#[derive(Debug)]
pub struct Visit {
    /// The key of its URI.
    pub key: Key,
    /// What headers that answers may vary on say; `None` where they say too much.
    pub variant: Option<Variant>,
    /// It is a `GET` whose answer may be kept.
    pub may_store: bool,
    /// It changes what its URI stands for: what is kept of it is not true any more.
    pub changes: bool,
    /// The answer that was found.
    pub hit: Option<(Arc<Cache>, Arc<Entry>)>,
    /// The answer is the one that was found.
    pub served: bool,
    /// Answers to be kept once they are whole.
    pub copies: Vec<Copy>,
}

/// An answer that is being copied.
#[derive(Debug)]
pub struct Copy {
    cache: Arc<Cache>,
    entry: Entry,
    head_size: usize,
}

impl Copy {
    /// Begins with a head.
    pub fn new(cache: &Arc<Cache>, kept: rules::Kept, visit: &Visit, head: Message) -> Self {
        let entry = Entry {
            body: Vec::with_capacity(kept.length.unwrap_or(0)),
            trailers: Vec::new(),
            key: visit.key,
            varies: kept.varies,
            variant: kept.variant,
            age: kept.age,
            stored: kept.now,
            expires: kept.now + Duration::from_secs(kept.fresh),
            modified: kept.modified,
            parts: 0,
            number: 0,
            used: AtomicU64::new(0),
            head,
        };
        Self { cache: Arc::clone(cache), head_size: head_size(&entry.head), entry }
    }
}

/// Copies content on its way to the client.
#[derive(Debug)]
pub struct Copies(pub Vec<Copy>);

impl Copies {
    /// Takes content; gives up what grows too large.
    pub fn take(&mut self, content: &[u8]) {
        for copy in &mut self.0 {
            copy.entry.body.extend_from_slice(content);
            copy.entry.parts += 1;
        }
        self.0.retain(|c| c.head_size + c.entry.body.len() <= c.cache.settings.max_object);
    }

    /// Takes a field that follows the content.
    pub fn trailer(&mut self, name: &[u8], value: &[u8]) {
        for copy in &mut self.0 {
            copy.entry.trailers.push((name.to_ascii_lowercase(), value.to_vec()));
        }
    }

    /// All of the content came: what was copied is kept.
    pub fn finish(self) {
        for copy in self.0 {
            copy.cache.put(copy.entry);
        }
    }
}

/// The key of a request: its URI, completed by its host.
pub fn key(request: &Message) -> Key {
    let uri = request.uri();
    let mut hash = sha1::Sha1::new();
    if request.normalized {
        let rest = uri.windows(3).position(|w| w == b"://").map_or(uri, |at| &uri[at + 3..]);
        hash.update(b"https://");
        hash.update(rest);
    } else {
        if uri.starts_with(b"/") || uri == b"*" {
            hash.update(b"https://");
            hash.update(request.first(b"host").unwrap_or_default());
        }
        hash.update(uri);
    }
    hash.finalize().into()
}

/// Seconds of the wall clock.
pub fn seconds(wall: SystemTime) -> i64 {
    wall.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_secs() as i64)
}

#[cfg(test)]
mod tests;
