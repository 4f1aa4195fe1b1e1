//! JSON Web Tokens (RFC 7515, RFC 7519): parts and signatures.
//!
//! Invariant: keys named in the configuration are read while it is read; nothing touches a disk later.

use super::bytes::{BASE64, BASE64URL};
use super::crypto::{Algorithm, hmac};
use super::json::{query, query_args};
use super::{Row, row};
use crate::sample::args::at;
use crate::sample::expr::Scope;
use crate::sample::vars::VarName;
use crate::sample::{Arg, Buf, Type, Value};
use crate::stream::view::View;
use aws_lc_rs::signature as sig;
use base64::Engine as _;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// Rows of this family.
pub static ROWS: &[Row] = &[
    row("jwt_header_query", "[string,string]", Type::Bin, Type::Any, |_, a, x| part(a, x, 0))
        .check(|a, _| query_args(a)),
    row("jwt_payload_query", "[string,string]", Type::Bin, Type::Any, |_, a, x| part(a, x, 1))
        .check(|a, _| query_args(a)),
    row("jwt_verify", "string,string", Type::Bin, Type::Int, |v, a, x| {
        Some(Value::Int(verify(v, a, &x.into_bytes()?)?))
    })
    .check(verify_args),
];

/// What `jwt_verify` returns.
const FAILURE: i64 = 0;
const SUCCESS: i64 = 1;
const UNKNOWN_ALGORITHM: i64 = -1;
const UNMANAGED_ALGORITHM: i64 = -2;
const INVALID_TOKEN: i64 = -3;
const UNKNOWN_CERTIFICATE: i64 = -5;

/// Algorithms of RFC 7518, section 3.1.
const ALGORITHMS: [&str; 13] = [
    "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384",
    "PS512", "none",
];

/// Public keys by the path they were read from; a `jwt_verify` whose path comes from a variable finds them here.
static KEYS: Mutex<Option<HashMap<String, Arc<[u8]>>>> = Mutex::new(None);

/// Header, payload and signature of the compact form, as far as they are there; `None` where there are more.
fn parts(token: &[u8]) -> Option<[Option<&[u8]>; 3]> {
    let mut parts = token.split(|b| *b == b'.');
    let three = [parts.next(), parts.next(), parts.next()];
    parts.next().is_none().then_some(three)
}

fn part<'v>(args: &[Arg], value: Value<'v>, index: usize) -> Option<Value<'v>> {
    let token = value.into_bytes()?;
    let encoded = parts(&token).filter(|p| p[2].is_some())?[index]?;
    let decoded = BASE64URL.decode(encoded).ok()?;
    match at(args, 0) {
        Arg::Str(path) if !path.is_empty() => query(&decoded, at(args, 0).text(), at(args, 1).text()),
        _ => Some(Value::str(decoded)),
    }
}

fn verify_args(args: &mut Vec<Arg>, _: &mut Scope<'_>) -> Result<(), String> {
    let algorithm = at(args, 0).text().to_owned();
    let fixed = match VarName::parse(&algorithm) {
        Ok(name) => {
            args[0] = Arg::Var(name);
            false
        }
        Err(_) if ALGORITHMS.contains(&algorithm.as_str()) => true,
        Err(_) => return Err(format!("unknown JWT algorithm: {algorithm}")),
    };
    let key = at(args, 1).text().to_owned();
    if let Ok(name) = VarName::parse(&key) {
        args[1] = Arg::Var(name);
        return Ok(());
    }
    let secret = fixed && algorithm.starts_with("HS");
    if secret || algorithm == "none" {
        return Ok(());
    }
    // A variable algorithm may turn out to want a secret; a fixed one then knows no certificate.
    if let Some(der) = read_key(&key) {
        let mut keys = KEYS.lock().unwrap_or_else(PoisonError::into_inner);
        keys.get_or_insert_default().insert(key, der);
    }
    Ok(())
}

/// The public key (SubjectPublicKeyInfo, DER) of a PEM file that holds it or a certificate.
fn read_key(path: &str) -> Option<Arc<[u8]>> {
    let text = std::fs::read_to_string(path).ok()?;
    let (label, rest) = text.split_once("-----BEGIN ")?.1.split_once("-----")?;
    let body: String = rest.split("-----END").next()?.split_whitespace().collect();
    let der = BASE64.decode(body).ok()?;
    if label == "CERTIFICATE" {
        let (_, cert) = X509Certificate::from_der(&der).ok()?;
        return Some(Arc::from(cert.public_key().raw));
    }
    (label == "PUBLIC KEY").then(|| Arc::from(der))
}

fn text<'v>(view: &View<'_>, arg: &'v Arg) -> Option<Buf<'v>> {
    match arg {
        Arg::Var(name) => name.load(view)?.into_text(),
        other => Some(other.buf()),
    }
}

fn verify(view: &View<'_>, args: &[Arg], token: &[u8]) -> Option<i64> {
    let algorithm = text(view, at(args, 0))?;
    let algorithm = std::str::from_utf8(&algorithm).ok()?;
    let key = text(view, at(args, 1))?;
    if !ALGORITHMS.contains(&algorithm) {
        return Some(UNKNOWN_ALGORITHM);
    }
    if algorithm.starts_with("PS") {
        return Some(UNMANAGED_ALGORITHM);
    }
    let Some([Some(header), Some(payload), encoded]) = parts(token) else { return Some(INVALID_TOKEN) };
    if algorithm == "none" {
        return Some(if encoded.is_none_or(<[u8]>::is_empty) { SUCCESS } else { FAILURE });
    }
    let signed = &token[..header.len() + 1 + payload.len()];
    let Some(signature) = encoded.and_then(|e| BASE64URL.decode(e).ok()) else { return Some(INVALID_TOKEN) };
    if signature.is_empty() {
        return Some(INVALID_TOKEN);
    }
    if let Some(bits) = algorithm.strip_prefix("HS") {
        let digest = Algorithm::named(&format!("sha{bits}"))?;
        let mac = hmac(digest, &key, signed);
        let equal = aws_lc_rs::constant_time::verify_slices_are_equal(&mac, &signature).is_ok();
        return Some(i64::from(equal));
    }
    let path = std::str::from_utf8(&key).ok()?;
    let known =
        KEYS.lock().unwrap_or_else(PoisonError::into_inner).as_ref().and_then(|k| k.get(path).cloned());
    let Some(der) = known else { return Some(UNKNOWN_CERTIFICATE) };
    let method: &'static dyn sig::VerificationAlgorithm = match algorithm {
        "RS256" => &sig::RSA_PKCS1_2048_8192_SHA256,
        "RS384" => &sig::RSA_PKCS1_2048_8192_SHA384,
        "RS512" => &sig::RSA_PKCS1_2048_8192_SHA512,
        "ES256" => &sig::ECDSA_P256_SHA256_FIXED,
        "ES384" => &sig::ECDSA_P384_SHA384_FIXED,
        _ => &sig::ECDSA_P521_SHA512_FIXED,
    };
    let good = sig::UnparsedPublicKey::new(method, &*der).verify(signed, &signature).is_ok();
    Some(i64::from(good))
}
