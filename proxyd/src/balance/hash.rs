//! Hash functions and keys of hashing algorithms: the same number as haproxy for the same input.
//!
//! Absent on purpose: converters (`crc32`, `djb2` … on samples are `conv`'s).

use crate::config::model::{Algorithm, HashFunction, Proxy};
use crate::http::message::Message;
use std::net::IpAddr;

/// Hashes a key with a function; `avalanche` mixes the result.
pub fn hash(function: HashFunction, avalanche: bool, key: &[u8]) -> u32 {
    let h = match function {
        HashFunction::Sdbm => key
            .iter()
            .fold(0u32, |h, b| u32::from(*b).wrapping_add(h << 6).wrapping_add(h << 16).wrapping_sub(h)),
        HashFunction::Djb2 => {
            key.iter().fold(5381u32, |h, b| (h << 5).wrapping_add(h).wrapping_add(u32::from(*b)))
        }
        HashFunction::Wt6 => wt6(key),
        HashFunction::Crc32 => crc32fast::hash(key),
        HashFunction::None => key
            .iter()
            .take_while(|b| b.is_ascii_digit())
            .fold(0u32, |n, d| n.wrapping_mul(10).wrapping_add(u32::from(d - b'0'))),
    };
    if avalanche { mix(h) } else { h }
}

/// A key's last mixing, so that near keys land far apart.
pub fn mix(mut a: u32) -> u32 {
    a = a.wrapping_add(0x7ed5_5d16).wrapping_add(a << 12);
    a = (a ^ 0xc761_c23c) ^ (a >> 19);
    a = a.wrapping_add(0x1656_67b1).wrapping_add(a << 5);
    a = a.wrapping_add(0xd3a2_646c) ^ (a << 9);
    a = a.wrapping_add(0xfd70_46c5).wrapping_add(a << 3);
    (a ^ 0xb55a_4f09) ^ (a >> 16)
}

fn wt6(key: &[u8]) -> u32 {
    let (mut lo, mut hi) = (0xa53c_965au32, 0x5ca6_953au32);
    let (mut step_lo, mut step_hi) = (6u32, 3u32);
    for b in key {
        let c = u32::from(*b);
        lo = lo.wrapping_mul(1) ^ c.wrapping_mul(step_lo);
        hi = hi.wrapping_add(c.wrapping_mul(step_hi));
        std::mem::swap(&mut lo, &mut hi);
        std::mem::swap(&mut step_lo, &mut step_hi);
    }
    lo ^ hi
}

/// The number of a client's address.
pub fn address(ip: IpAddr) -> u32 {
    match ip {
        IpAddr::V4(v4) => u32::from(v4),
        IpAddr::V6(v6) => {
            v6.octets().chunks_exact(4).fold(0, |h, w| h ^ u32::from_be_bytes([w[0], w[1], w[2], w[3]]))
        }
    }
}

/// The hash of a request for this backend; `None` when it has no key (then turns are taken).
pub fn of_request(proxy: &Proxy, request: Option<&Message>, src: Option<IpAddr>) -> Option<u32> {
    let balance = &proxy.balance;
    let hashed = |key: &[u8]| hash(balance.function, balance.avalanche, key);
    match &balance.algorithm {
        Algorithm::Source => {
            let h = address(src?);
            Some(if balance.avalanche { mix(h) } else { h })
        }
        Algorithm::Uri { len, depth, whole, path_only } => {
            Some(hashed(uri_key(request?.uri(), *len, *depth, *whole, *path_only)))
        }
        Algorithm::UrlParam { name, .. } => url_param(request?.uri(), name.as_bytes()).map(hashed),
        Algorithm::Hdr { name, use_domain_only } => {
            let value = request?.find(name.as_bytes()).next_back()?.1;
            let key = if *use_domain_only { domain_word(value) } else { value };
            (!value.is_empty()).then(|| hashed(key))
        }
        _ => None,
    }
}

fn uri_key(uri: &[u8], len: usize, depth: usize, whole: bool, path_only: bool) -> &[u8] {
    let mut uri = uri;
    if path_only
        && uri.first() != Some(&b'/')
        && let Some(authority) = memchr::memmem::find(uri, b"://")
    {
        let rest = &uri[authority + 3..];
        uri = rest.iter().position(|b| *b == b'/').map_or(&[][..], |n| &rest[n..]);
    }
    let end = if len > 0 { uri.len().min(len) } else { uri.len() };
    let mut slashes = 0;
    for (i, b) in uri[..end].iter().enumerate() {
        match b {
            b'/' => {
                slashes += 1;
                if depth > 0 && slashes == depth + 1 {
                    return &uri[..i];
                }
            }
            b'?' if !whole => return &uri[..i],
            _ => {}
        }
    }
    &uri[..end]
}

fn url_param<'a>(uri: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let query = &uri[memchr::memchr(b'?', uri)? + 1..];
    query.split(|b| matches!(b, b'&' | b';')).find_map(|p| p.strip_prefix(name)?.strip_prefix(b"="))
}

/// `www.example.com:80` → `example`: the word before the top domain, as `use_domain_only` takes it.
fn domain_word(host: &[u8]) -> &[u8] {
    let host = &host[..memchr::memchr(b':', host).unwrap_or(host.len())];
    let Some(last) = memchr::memrchr(b'.', host) else { return host };
    let start = memchr::memrchr(b'.', &host[..last]).map_or(0, |n| n + 1);
    &host[start..last]
}
