//! Lists of patterns, with or without values: files named in ACLs and maps, and the patterns of ACL lines.
//!
//! Invariant: one list per file name and process; every index over it sees the same entries, and an edit by the
//! CLI or a rule is seen by the next look-up.
//!
//! Absent on purpose: the CLI's texts.

use super::matcher::{Flags, Index, Method, parse};
use crate::sample::{Type, Value};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

/// One line of a list.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The pattern as written.
    pub key: Box<str>,
    /// The value as written; empty in ACL files.
    pub value: Box<str>,
}

#[derive(Debug, Default)]
struct Inner {
    entries: Vec<Option<Entry>>,
    by_key: HashMap<Box<str>, Vec<u32>>,
    indices: Vec<Index>,
    live: usize,
    current: u32,
    next: u32,
    pending: BTreeMap<u32, Vec<Entry>>,
}

/// A list of patterns.
#[derive(Debug)]
pub struct PatRef {
    /// Its number, `#ID` on the CLI.
    pub id: u32,
    /// The file's name; empty for the patterns of ACL lines.
    pub name: String,
    /// Where it is used, as `show acl` and `show map` tell.
    pub display: String,
    /// Used by maps: entries have values.
    pub is_map: std::sync::atomic::AtomicBool,
    /// Used by ACLs.
    pub is_acl: std::sync::atomic::AtomicBool,
    inner: RwLock<Inner>,
}

/// An index of a list: what an ACL or map looks things up in.
#[derive(Debug, Clone)]
pub struct PatSet {
    /// The list.
    pub list: Arc<PatRef>,
    index: usize,
}

/// Versions of a list: the one in force, the last one prepared, and entries in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Versions {
    /// In force.
    pub current: u32,
    /// Last prepared.
    pub next: u32,
    /// Entries in force.
    pub entries: usize,
}

impl Inner {
    fn add(&mut self, key: &str, value: &str) -> Result<u32, String> {
        let id = self.entries.len() as u32;
        let mut parsed = Vec::with_capacity(self.indices.len());
        for index in &self.indices {
            parsed.push(parse(index.method, index.flags, key)?);
        }
        for (index, pattern) in self.indices.iter_mut().zip(parsed) {
            index.insert(pattern, id);
        }
        self.entries.push(Some(Entry { key: key.into(), value: value.into() }));
        self.by_key.entry(key.into()).or_default().push(id);
        self.live += 1;
        Ok(id)
    }

    fn remove(&mut self, id: u32) -> bool {
        let Some(entry) = self.entries.get_mut(id as usize).and_then(Option::take) else { return false };
        for index in &mut self.indices {
            if let Ok(pattern) = parse(index.method, index.flags, &entry.key) {
                index.remove(&pattern, id);
            }
        }
        if let Some(ids) = self.by_key.get_mut(&entry.key) {
            ids.retain(|i| *i != id);
            if ids.is_empty() {
                self.by_key.remove(&entry.key);
            }
        }
        self.live -= 1;
        true
    }

    fn clear(&mut self) {
        self.entries.clear();
        self.by_key.clear();
        self.live = 0;
        self.indices.iter_mut().for_each(Index::clear);
    }
}

impl PatRef {
    fn read(&self) -> std::sync::RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Inner> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The index of a method over this list, made when there is none; the error names the first bad pattern.
    pub fn index(self: &Arc<Self>, method: Method, flags: Flags) -> Result<PatSet, String> {
        let mut inner = self.write();
        if let Some(at) = inner.indices.iter().position(|i| i.method == method && i.flags == flags) {
            return Ok(PatSet { list: Arc::clone(self), index: at });
        }
        let mut index = Index::new(method, flags);
        for (id, entry) in inner.entries.iter().enumerate() {
            if let Some(entry) = entry {
                index.insert(parse(method, flags, &entry.key)?, id as u32);
            }
        }
        inner.indices.push(index);
        Ok(PatSet { list: Arc::clone(self), index: inner.indices.len() - 1 })
    }

    /// Adds an entry; the error is that of the pattern.
    pub fn add(&self, key: &str, value: &str) -> Result<(), String> {
        self.write().add(key, value).map(|_| ())
    }

    /// Adds an entry to a version that was prepared; false when there is no such version.
    pub fn add_at(&self, version: u32, key: &str, value: &str) -> bool {
        let mut inner = self.write();
        if version == inner.current {
            return inner.add(key, value).is_ok();
        }
        match inner.pending.get_mut(&version) {
            Some(list) => {
                list.push(Entry { key: key.into(), value: value.into() });
                true
            }
            None => false,
        }
    }

    /// Adds an entry, or changes the value of those with this key (`set-map`, `add-acl`).
    pub fn set_or_add(&self, key: &str, value: &str) -> Result<(), String> {
        if self.set(key, value) {
            return Ok(());
        }
        self.add(key, value)
    }

    /// Changes the value of all entries with a key; false when there is none.
    pub fn set(&self, key: &str, value: &str) -> bool {
        let mut inner = self.write();
        let Some(ids) = inner.by_key.get(key).cloned() else { return false };
        for id in ids {
            if let Some(Some(entry)) = inner.entries.get_mut(id as usize) {
                entry.value = value.into();
            }
        }
        true
    }

    /// Changes the value of one entry.
    pub fn set_id(&self, id: u32, value: &str) -> bool {
        match self.write().entries.get_mut(id as usize) {
            Some(Some(entry)) => {
                entry.value = value.into();
                true
            }
            _ => false,
        }
    }

    /// Removes all entries with a key; false when there is none.
    pub fn remove(&self, key: &str) -> bool {
        let mut inner = self.write();
        let Some(ids) = inner.by_key.get(key).cloned() else { return false };
        ids.into_iter().filter(|id| inner.remove(*id)).count() > 0
    }

    /// Removes one entry.
    pub fn remove_id(&self, id: u32) -> bool {
        self.write().remove(id)
    }

    /// Removes everything in force.
    pub fn clear(&self) {
        self.write().clear();
    }

    /// Whether there is an entry with exactly this key.
    pub fn contains(&self, key: &str) -> bool {
        self.read().by_key.contains_key(key)
    }

    /// All entries in force with their numbers.
    pub fn entries(&self) -> Vec<(u32, Entry)> {
        let inner = self.read();
        inner.entries.iter().enumerate().filter_map(|(i, e)| Some((i as u32, e.clone()?))).collect()
    }

    /// Entries of a version that is being prepared; of the one in force for `None` or its number.
    pub fn entries_at(&self, version: Option<u32>) -> Vec<(u32, Entry)> {
        let inner = self.read();
        match version {
            Some(v) if v != inner.current => {
                let pending = inner.pending.get(&v).map(Vec::as_slice).unwrap_or_default();
                pending.iter().enumerate().map(|(i, e)| (i as u32, e.clone())).collect()
            }
            _ => {
                drop(inner);
                self.entries()
            }
        }
    }

    /// How the list is looked up: methods, and whether case is ignored.
    pub fn methods(&self) -> Vec<(Method, bool)> {
        self.read().indices.iter().map(|i| (i.method, i.flags.ignore_case)).collect()
    }

    /// What a look-up by one of its methods finds.
    pub fn look_up(&self, method: Method, ignore_case: bool, value: &Value<'_>) -> Option<Entry> {
        let inner = self.read();
        let index =
            inner.indices.iter().find(|i| i.method == method && i.flags.ignore_case == ignore_case)?;
        let id = index.find(value)?;
        inner.entries.get(id as usize)?.clone()
    }

    /// The versions.
    pub fn versions(&self) -> Versions {
        let inner = self.read();
        Versions { current: inner.current, next: inner.next, entries: inner.live }
    }

    /// Begins a new version and gives its number.
    pub fn prepare(&self) -> u32 {
        let mut inner = self.write();
        inner.next += 1;
        let version = inner.next;
        inner.pending.insert(version, Vec::new());
        version
    }

    /// Puts a prepared version in force in place of the current one; the error is that of a pattern.
    pub fn commit(&self, version: u32) -> Result<bool, String> {
        let mut inner = self.write();
        let Some(list) = inner.pending.remove(&version) else { return Ok(false) };
        inner.clear();
        inner.current = version;
        inner.pending = inner.pending.split_off(&version);
        list.iter().try_for_each(|e| inner.add(&e.key, &e.value).map(|_| ()))?;
        Ok(true)
    }

    /// Drops a prepared version; false when there is none.
    pub fn drop_version(&self, version: u32) -> bool {
        self.write().pending.remove(&version).is_some()
    }
}

impl PatSet {
    /// The entry that matches a sample.
    pub fn find(&self, value: &Value<'_>) -> Option<Entry> {
        let inner = self.list.read();
        let id = inner.indices.get(self.index)?.find(value)?;
        inner.entries.get(id as usize)?.clone()
    }

    /// Whether any entry matches a sample.
    pub fn matches(&self, value: &Value<'_>) -> bool {
        let inner = self.list.read();
        inner.indices.get(self.index).is_some_and(|i| i.find(value).is_some())
    }

    /// The matching entry's value with `\N` replaced by groups of its regular expression.
    pub fn find_expanded(&self, value: &Value<'_>) -> Option<smallvec::SmallVec<[u8; 40]>> {
        let inner = self.list.read();
        let index = inner.indices.get(self.index)?;
        let id = index.find(value)?;
        let entry = inner.entries.get(id as usize)?.as_ref()?;
        let subject = value.clone().cast(Type::Str)?.into_text()?;
        let groups = index.captures(id, &subject)?;
        let mut out = smallvec::SmallVec::new();
        crate::conv::text::expand(entry.value.as_bytes(), &subject, &groups, &mut out);
        Some(out)
    }

    /// Adds a pattern that was parsed already (an operator with a number).
    pub fn insert_parsed(&self, key: &str, pattern: super::matcher::Pattern) {
        let mut inner = self.list.write();
        let id = inner.entries.len() as u32;
        if let Some(index) = inner.indices.get_mut(self.index) {
            index.insert(pattern, id);
        }
        inner.entries.push(Some(Entry { key: key.into(), value: "".into() }));
        inner.by_key.entry(key.into()).or_default().push(id);
        inner.live += 1;
    }
}

/// All lists of the process.
#[derive(Debug, Default)]
pub struct PatRefs {
    lists: Mutex<Vec<Arc<PatRef>>>,
}

impl PatRefs {
    /// All lists, by number.
    pub fn lists(&self) -> Vec<Arc<PatRef>> {
        self.lists.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The list of a file name, or of `#ID`.
    pub fn find(&self, name: &str) -> Option<Arc<PatRef>> {
        let id: Option<u32> = name.strip_prefix('#').and_then(|n| n.parse().ok());
        self.lists().into_iter().find(|l| match id {
            Some(id) => l.id == id,
            None => !l.name.is_empty() && l.name == name,
        })
    }

    /// A list without a file.
    pub fn inline(&self, display: String) -> Arc<PatRef> {
        self.push(String::new(), display)
    }

    /// An empty list with a name that is no file.
    pub fn named(&self, name: &str, display: String, map: bool) -> Arc<PatRef> {
        let list = self.push(name.to_owned(), display);
        let kind = if map { &list.is_map } else { &list.is_acl };
        kind.store(true, std::sync::atomic::Ordering::Relaxed);
        list
    }

    fn push(&self, name: String, display: String) -> Arc<PatRef> {
        let mut lists = self.lists.lock().unwrap_or_else(PoisonError::into_inner);
        let list = Arc::new(PatRef {
            id: lists.len() as u32,
            name,
            display,
            is_map: false.into(),
            is_acl: false.into(),
            inner: RwLock::default(),
        });
        lists.push(Arc::clone(&list));
        list
    }

    /// The list of a file, read when it is not there yet; the error is haproxy's text.
    pub fn open(&self, name: &str, with_values: bool, display: String) -> Result<Arc<PatRef>, String> {
        use std::sync::atomic::Ordering::Relaxed;
        let list = match self.find(name) {
            Some(list) if !name.is_empty() => list,
            _ => {
                let bytes =
                    std::fs::read(name).map_err(|_| format!("failed to open pattern file <{name}>"))?;
                let list = self.push(name.to_owned(), display);
                read_lines(&list, &String::from_utf8_lossy(&bytes), with_values)?;
                list
            }
        };
        if with_values {
            list.is_map.store(true, Relaxed);
        } else {
            list.is_acl.store(true, Relaxed);
        }
        Ok(list)
    }
}

/// Reads lines of a pattern file: `key` or `key value`; `#` comments and blank lines are passed over.
fn read_lines(list: &PatRef, text: &str, with_values: bool) -> Result<(), String> {
    for (number, line) in text.lines().enumerate() {
        if with_values {
            let line = line.trim_start_matches([' ', '\t']);
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let end = line.find([' ', '\t']).unwrap_or(line.len());
            let value = line[end..].trim_matches([' ', '\t', '\r']);
            if line[end..].is_empty() {
                return Err(format!("missing value at line {} in pattern file <{}>", number + 1, list.name));
            }
            list.add(&line[..end], value)?;
        } else {
            let line = line.strip_suffix('\r').unwrap_or(line).trim_start_matches([' ', '\t']);
            if !line.is_empty() && !line.starts_with('#') {
                list.add(line, "")?;
            }
        }
    }
    Ok(())
}
