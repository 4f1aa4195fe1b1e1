//! Keys of session tickets from a file (`tls-ticket-keys`), so that several processes know each other's tickets.
//!
//! Tickets are AES-256-GCM under a digest of the file's key; what lies in them is the library's own, so they are no
//! use to another program, as is documented.
//!
//! Invariant: the last but one key makes tickets, all keys open them, as the original has it.

use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand;
use rustls::server::ProducesTickets;

/// Keys that are held; older ones go when one comes.
pub const KEYS: usize = 3;
/// Bytes that name a key, at its beginning.
const NAME: usize = 16;
/// Lengths of keys in bytes: for AES-128, for AES-256.
const LENGTHS: [usize; 2] = [48, 80];
/// How long tickets are good for, seconds; the original's default lifetime.
const LIFETIME: u32 = 7200;

/// The keys of a file.
#[derive(Debug)]
pub struct Keys {
    /// Its name.
    pub path: PathBuf,
    keys: RwLock<Vec<Vec<u8>>>,
}

impl PartialEq for Keys {
    fn eq(&self, other: &Self) -> bool {
        self.path == other.path
    }
}

impl Eq for Keys {}

impl Keys {
    /// Keys of a file, decoded, in its order.
    ///
    /// # Errors
    /// Fewer than [`KEYS`], or one with another length than the others.
    pub fn new(path: &Path, keys: Vec<Vec<u8>>) -> Result<Self, &'static str> {
        let first = keys.first().map_or(0, Vec::len);
        if keys.len() < KEYS {
            return Err("please supply at least 3 keys in the tls-tickets-file");
        }
        if !LENGTHS.contains(&first) || keys.iter().any(|k| k.len() != first) {
            return Err("wrong key size");
        }
        let keys = keys[keys.len() - KEYS..].to_vec();
        Ok(Self { path: path.to_owned(), keys: RwLock::new(keys) })
    }

    /// The keys there are.
    pub fn keys(&self) -> Vec<Vec<u8>> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A new key comes, the oldest goes; false for one of another length.
    pub fn rotate(&self, key: Vec<u8>) -> bool {
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        let fits = keys.first().is_some_and(|k| k.len() == key.len());
        if fits {
            keys.remove(0);
            keys.push(key);
        }
        fits
    }
}

fn cipher(key: &[u8]) -> Option<LessSafeKey> {
    let secret = digest(&SHA256, key);
    UnboundKey::new(&AES_256_GCM, secret.as_ref()).ok().map(LessSafeKey::new)
}

impl ProducesTickets for Keys {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        LIFETIME
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let keys = self.keys();
        let key = keys.get(KEYS - 2)?;
        let mut nonce = [0; NONCE_LEN];
        rand::fill(&mut nonce).ok()?;
        let mut sealed = plain.to_vec();
        let nonce_of = Nonce::assume_unique_for_key(nonce);
        cipher(key)?.seal_in_place_append_tag(nonce_of, Aad::from(&key[..NAME]), &mut sealed).ok()?;
        Some([&key[..NAME], &nonce, &sealed].concat())
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let (name, rest) = ticket.split_at_checked(NAME)?;
        let (nonce, sealed) = rest.split_at_checked(NONCE_LEN)?;
        let keys = self.keys();
        let key = keys.iter().find(|k| &k[..NAME] == name)?;
        let mut sealed = sealed.to_vec();
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let plain = cipher(key)?.open_in_place(nonce, Aad::from(name), &mut sealed).ok()?;
        Some(plain.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tickets_open_while_their_key_is_held() {
        let key = |n: u8| vec![n; 48];
        assert!(Keys::new(Path::new("k"), vec![key(1), key(2)]).is_err());
        assert!(Keys::new(Path::new("k"), vec![key(1), key(2), vec![3; 47]]).is_err());
        let keys = Keys::new(Path::new("k"), vec![key(1), key(2), key(3)]).expect("good");
        let ticket = keys.encrypt(b"session").expect("made");
        assert_eq!(keys.decrypt(&ticket).as_deref(), Some(&b"session"[..]));
        assert!(keys.rotate(key(4)) && !keys.rotate(vec![1]));
        assert_eq!(keys.decrypt(&ticket).as_deref(), Some(&b"session"[..]));
        assert!(keys.rotate(key(5)));
        assert_eq!(keys.decrypt(&ticket), None);
        assert_eq!(keys.decrypt(b"short"), None);
    }
}
