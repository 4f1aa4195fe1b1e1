//! Keys of hashing algorithms and their numbers: the same as haproxy's for the same input.
//!
//! Absent on purpose: the hash functions themselves (`conv`'s), and keys that need more than the request's head
//! (`balance hash`, `rdp-cookie`; the connect phase asks the rule engine for those).

use crate::config::model::{Algorithm, HashFunction, Proxy};
use crate::conv::hash as conv;
use crate::http::message::Message;
use std::net::IpAddr;

/// Hashes a key with a function; `avalanche` mixes the result.
pub fn hash(function: HashFunction, avalanche: bool, key: &[u8]) -> u32 {
    let h = match function {
        HashFunction::Sdbm => conv::sdbm(key),
        HashFunction::Djb2 => conv::djb2(key),
        HashFunction::Wt6 => conv::wt6(key),
        HashFunction::Crc32 => conv::crc32(key),
        HashFunction::None => number(key),
    };
    if avalanche { spread(h) } else { h }
}

/// A key's last mixing, so that near keys land far apart.
pub fn spread(h: u32) -> u32 {
    conv::avalanche(h)
}

/// The key itself, where it is a number already.
fn number(key: &[u8]) -> u32 {
    let (negative, digits) = match key {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        all => (false, all),
    };
    let digits = digits.iter().take_while(|b| b.is_ascii_digit());
    let n = digits.fold(0_i64, |n, d| n.saturating_mul(10).saturating_add(i64::from(d - b'0')));
    (if negative { -n } else { n }) as u32
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
            Some(if balance.avalanche { spread(h) } else { h })
        }
        Algorithm::Uri { len, depth, whole, path_only } => {
            Some(hashed(uri_key(request?.uri(), *len, *depth, *whole, *path_only)))
        }
        Algorithm::UrlParam { name, .. } => url_param(request?.uri(), name.as_bytes()).map(hashed),
        Algorithm::Hdr { name, use_domain_only } => {
            let whole = request?.find(name.as_bytes()).next()?.1;
            let value = whole.split(|b| *b == b',').next()?.trim_ascii();
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
    param(&uri[memchr::memchr(b'?', uri)? + 1..], name)
}

fn param<'a>(list: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    list.split(|b| *b == b'&').find_map(|p| p.strip_prefix(name)?.strip_prefix(b"="))
}

/// The key of `balance url_param … check_post` in a form's body; `None` for bodies that are no form.
pub fn in_form(proxy: &Proxy, body: &[u8]) -> Option<u32> {
    let Algorithm::UrlParam { name, .. } = &proxy.balance.algorithm else { return None };
    let value = param(body, name.as_bytes())?;
    let token = |b: &u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b);
    let end = value.iter().position(|b| !token(b)).unwrap_or(value.len());
    let space = |b: &u8| matches!(b, b' ' | b'\t' | b'\r' | b'\n');
    let whole = value.get(end).is_none_or(space);
    whole.then(|| hash(proxy.balance.function, proxy.balance.avalanche, &value[..end]))
}

/// `www.example.com` → `example`: the word before the last dot, as `use_domain_only` takes it.
fn domain_word(host: &[u8]) -> &[u8] {
    let Some(last) = memchr::memrchr(b'.', host) else { return host };
    let start = memchr::memrchr(b'.', &host[..last]).map_or(0, |n| n + 1);
    &host[start..last]
}
