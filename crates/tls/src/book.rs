//! Files of authorities and of revocations: read once, replaced while running.
//!
//! Invariant: a change is prepared whole and comes into force at once; one change is under way at a time.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use crate::Error;

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One file's contents, shared by those who use it.
#[derive(Debug)]
pub struct Shared<T> {
    /// Its name.
    pub path: PathBuf,
    entries: RwLock<Arc<Vec<T>>>,
}

impl<T> Shared<T> {
    pub(crate) fn new(path: &Path, entries: Vec<T>) -> Arc<Self> {
        Arc::new(Self { path: path.to_owned(), entries: RwLock::new(Arc::new(entries)) })
    }

    /// What it holds now.
    pub fn entries(&self) -> Arc<Vec<T>> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn replace(&self, entries: Vec<T>) {
        *self.entries.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(entries);
    }
}

/// All files of a kind, and a change that is being prepared.
#[derive(Debug)]
pub struct Book<T> {
    all: Mutex<BTreeMap<PathBuf, Arc<Shared<T>>>>,
    pending: Mutex<Option<(PathBuf, Vec<T>)>>,
}

impl<T> Default for Book<T> {
    fn default() -> Self {
        Self { all: Mutex::default(), pending: Mutex::default() }
    }
}

/// Why a change can't be begun, or come into force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// No change is under way.
    Nothing,
    /// One of another file is.
    Other(PathBuf),
    /// Nobody knows the file.
    Unknown,
    /// It is used.
    Used,
}

impl<T: Clone> Book<T> {
    /// A file, read by `read` when it is asked for first.
    ///
    /// # Errors
    /// Those of `read`.
    pub fn get(
        &self,
        path: &Path,
        read: impl FnOnce(&Path) -> Result<Vec<T>, Error>,
    ) -> Result<Arc<Shared<T>>, Error> {
        let mut all = lock(&self.all);
        if let Some(found) = all.get(path) {
            return Ok(Arc::clone(found));
        }
        let new = Shared::new(path, read(path)?);
        all.insert(path.to_owned(), Arc::clone(&new));
        Ok(new)
    }

    /// A file that is there.
    pub fn find(&self, path: &Path) -> Option<Arc<Shared<T>>> {
        lock(&self.all).get(path).cloned()
    }

    /// All names and how many entries each has, in order.
    pub fn list(&self) -> Vec<(PathBuf, usize)> {
        lock(&self.all).iter().map(|(path, file)| (path.clone(), file.entries().len())).collect()
    }

    /// Adds an empty one; false where the name is taken.
    pub fn create(&self, path: &Path) -> bool {
        let mut all = lock(&self.all);
        let free = !all.contains_key(path);
        if free {
            all.insert(path.to_owned(), Shared::new(path, Vec::new()));
        }
        free
    }

    /// Whether anybody but the book uses it.
    pub fn used(&self, path: &Path) -> bool {
        lock(&self.all).get(path).is_some_and(|file| Arc::strong_count(file) > 1)
    }

    /// Takes an unused one away.
    ///
    /// # Errors
    /// It is unknown or used.
    pub fn delete(&self, path: &Path) -> Result<(), Refusal> {
        let mut all = lock(&self.all);
        match all.get(path) {
            None => Err(Refusal::Unknown),
            Some(file) if Arc::strong_count(file) > 1 => Err(Refusal::Used),
            Some(_) => {
                all.remove(path);
                Ok(())
            }
        }
    }

    /// The change under way.
    pub fn pending(&self) -> Option<(PathBuf, Vec<T>)> {
        lock(&self.pending).clone()
    }

    /// Prepares new contents, in place of what was prepared for the file before; true where nothing was.
    ///
    /// # Errors
    /// Another file's change is under way, or nobody knows the file.
    pub fn prepare(&self, path: &Path, entries: Vec<T>) -> Result<bool, Refusal> {
        let mut pending = lock(&self.pending);
        if let Some((of, held)) = pending.as_mut() {
            if of != path {
                return Err(Refusal::Other(of.clone()));
            }
            *held = entries;
            return Ok(false);
        }
        if self.find(path).is_none() {
            return Err(Refusal::Unknown);
        }
        *pending = Some((path.to_owned(), entries));
        Ok(true)
    }

    /// Takes the change away without making it.
    ///
    /// # Errors
    /// None is under way, or another file's.
    pub fn take(&self, path: &Path) -> Result<Vec<T>, Refusal> {
        let mut pending = lock(&self.pending);
        match pending.take() {
            None => Err(Refusal::Nothing),
            Some((of, entries)) if of == path => Ok(entries),
            Some(other) => {
                let of = other.0.clone();
                *pending = Some(other);
                Err(Refusal::Other(of))
            }
        }
    }

    /// Makes the change.
    ///
    /// # Errors
    /// None is under way, or another file's.
    pub fn commit(&self, path: &Path) -> Result<(), Refusal> {
        let entries = self.take(path)?;
        self.find(path).ok_or(Refusal::Unknown)?.replace(entries);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_change_is_under_way_at_a_time() {
        let (book, a, b) = (Book::<u8>::default(), Path::new("a"), Path::new("b"));
        assert!(book.create(a) && book.create(b) && !book.create(a));
        assert_eq!(book.prepare(Path::new("c"), vec![]), Err(Refusal::Unknown));
        assert_eq!((book.prepare(a, vec![1]), book.prepare(a, vec![1, 2])), (Ok(true), Ok(false)));
        assert_eq!(book.prepare(b, vec![]), Err(Refusal::Other(a.into())));
        assert_eq!(book.commit(b), Err(Refusal::Other(a.into())));
        assert_eq!((book.list()[0].1, book.commit(a), book.list()[0].1), (0, Ok(()), 2));
        assert_eq!(book.commit(a), Err(Refusal::Nothing));
        let held = book.find(a);
        assert_eq!((book.used(a), book.delete(a)), (true, Err(Refusal::Used)));
        drop(held);
        assert_eq!((book.delete(a), book.delete(a)), (Ok(()), Err(Refusal::Unknown)));
    }
}
