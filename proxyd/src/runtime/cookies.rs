//! Cookies that are made of a server's address (`cookie … dynamic`), and what commands say of them.
//!
//! Invariant: a server whose line names a cookie keeps it, whatever is said here; the others have the cookie of the
//! address they have now.
//!
//! Absent on purpose: reading and writing cookies ([`crate::http::cookie`]).

use super::board::ServerState;
use crate::config::model::{Proxy, Server};
use arc_swap::ArcSwapOption;
use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

/// What commands said of a backend; the configuration holds where they said nothing.
#[derive(Debug, Default)]
pub struct Dynamic {
    /// 0 nothing, 1 off, 2 on.
    switch: AtomicU8,
    key: ArcSwapOption<String>,
}

impl Dynamic {
    /// `enable|disable dynamic-cookie backend`.
    pub fn set_on(&self, on: bool) {
        self.switch.store(1 + u8::from(on), Relaxed);
    }

    /// `set dynamic-cookie-key backend`.
    pub fn set_key(&self, key: &str) {
        self.key.store(Some(Arc::new(key.to_owned())));
    }

    /// The cookie of a server now.
    pub fn of<'s>(&self, proxy: &Proxy, server: &'s Server, state: &ServerState) -> Option<Cow<'s, str>> {
        let made = server.cookie.as_deref().map(Cow::Borrowed);
        if !server.cookie_is_made {
            return made;
        }
        let on = match self.switch.load(Relaxed) {
            0 => proxy.cookie.as_ref().is_some_and(|c| c.dynamic),
            said => said == 2,
        };
        if !on {
            return None;
        }
        let told = self.key.load();
        if told.is_none() && made.is_some() && state.moves.load(Relaxed) == 0 {
            return made;
        }
        let key = told.as_deref().or(proxy.dynamic_cookie_key.as_ref())?;
        Some(Cow::Owned(made_of(key, state.address()?)))
    }
}

/// The hash of a key with an address and its port.
pub fn made_of(key: &str, address: SocketAddr) -> String {
    let mut bytes = key.as_bytes().to_vec();
    match address.ip() {
        IpAddr::V4(ip) => bytes.extend_from_slice(&ip.octets()),
        IpAddr::V6(ip) => bytes.extend_from_slice(&ip.octets()),
    }
    bytes.extend_from_slice(&u32::from(address.port()).to_be_bytes());
    format!("{:016x}", xxhash_rust::xxh64::xxh64(&bytes, 0))
}
