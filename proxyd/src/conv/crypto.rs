//! Digests, message authentication and AES-GCM.

use super::bytes::{base64_or_var, bytes_or_var};
use super::{Row, row};
use crate::sample::args::at;
use crate::sample::expr::Scope;
use crate::sample::{Arg, Type, Value};
use crate::stream::view::View;
use aws_lc_rs::aead::{
    AES_128_GCM, AES_192_GCM, AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey,
};
use aws_lc_rs::digest;
use md5::{Digest as _, Md5};

/// Rows of this family.
pub static ROWS: &[Row] = &[
    row("aes_gcm_dec", "integer,string,string,string", Type::Bin, Type::Bin, aes_gcm_dec).check(aes_args),
    row("digest", "string", Type::Bin, Type::Bin, |_, a, x| {
        Some(Value::bin(hash(Algorithm::named(at(a, 0).text())?, &[&x.into_bytes()?])))
    })
    .check(digest_args),
    row("hmac", "string,string", Type::Bin, Type::Bin, |v, a, x| {
        let key = secret(v, at(a, 1))?;
        Some(Value::bin(hmac(Algorithm::named(at(a, 0).text())?, &key, &x.into_bytes()?)))
    })
    .check(hmac_args),
    row("sha1", "", Type::Bin, Type::Bin, |_, _, x| {
        Some(Value::bin(hash(Algorithm::Other(&digest::SHA1_FOR_LEGACY_USE_ONLY), &[&x.into_bytes()?])))
    }),
    row("sha2", "[integer]", Type::Bin, Type::Bin, |_, a, x| {
        Some(Value::bin(hash(Algorithm::Other(sha2(at(a, 0).int_or(256))?), &[&x.into_bytes()?])))
    })
    .check(|a, _| match sha2(at(a, 0).int_or(256)) {
        Some(_) => Ok(()),
        None => Err(format!("Unsupported number of bits: '{}'", at(a, 0).int_or(0))),
    }),
    row("x509_v_err_str", "", Type::Int, Type::Str, |_, _, x| {
        let number = x.into_int()?;
        let name = u32::try_from(number).ok().and_then(tls::errors::name);
        Some(Value::str(name.map_or_else(|| number.to_string(), str::to_owned)))
    }),
];

fn sha2(bits: i64) -> Option<&'static digest::Algorithm> {
    Some(match bits {
        224 => &digest::SHA224,
        256 => &digest::SHA256,
        384 => &digest::SHA384,
        512 => &digest::SHA512,
        _ => return None,
    })
}

/// A message digest.
#[derive(Clone, Copy)]
pub enum Algorithm {
    /// MD5, which the provider does not have.
    Md5,
    /// One of the provider's.
    Other(&'static digest::Algorithm),
}

impl Algorithm {
    /// The digest of an OpenSSL name, any case.
    pub fn named(name: &str) -> Option<Self> {
        Some(Self::Other(match name.to_ascii_lowercase().as_str() {
            "md5" | "ssl3-md5" => return Some(Self::Md5),
            "sha1" | "ssl3-sha1" | "sha-1" | "rsa-sha1" => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            "sha224" | "sha-224" | "sha2-224" | "rsa-sha224" => &digest::SHA224,
            "sha256" | "sha-256" | "sha2-256" | "rsa-sha256" => &digest::SHA256,
            "sha384" | "sha-384" | "sha2-384" | "rsa-sha384" => &digest::SHA384,
            "sha512" | "sha-512" | "sha2-512" | "rsa-sha512" => &digest::SHA512,
            "sha512-256" | "sha-512/256" => &digest::SHA512_256,
            "sha3-256" => &digest::SHA3_256,
            "sha3-384" => &digest::SHA3_384,
            "sha3-512" => &digest::SHA3_512,
            _ => return None,
        }))
    }

    fn block_len(self) -> usize {
        match self {
            Self::Md5 => 64,
            Self::Other(a) => a.block_len(),
        }
    }
}

/// The digest of the parts, one behind the other.
pub fn hash(algorithm: Algorithm, parts: &[&[u8]]) -> Vec<u8> {
    match algorithm {
        Algorithm::Md5 => {
            let mut context = Md5::new();
            for p in parts {
                context.update(p);
            }
            context.finalize().to_vec()
        }
        Algorithm::Other(a) => {
            let mut context = digest::Context::new(a);
            for p in parts {
                context.update(p);
            }
            context.finish().as_ref().to_vec()
        }
    }
}

/// HMAC, RFC 2104.
pub fn hmac(algorithm: Algorithm, key: &[u8], data: &[u8]) -> Vec<u8> {
    let size = algorithm.block_len();
    let mut block = if key.len() > size { hash(algorithm, &[key]) } else { key.to_vec() };
    block.resize(size, 0);
    let pad = |x: u8| block.iter().map(|b| b ^ x).collect::<Vec<u8>>();
    let inner = hash(algorithm, &[&pad(0x36), data]);
    hash(algorithm, &[&pad(0x5c), &inner])
}

fn digest_args(args: &mut Vec<Arg>, _: &mut Scope<'_>) -> Result<(), String> {
    match Algorithm::named(at(args, 0).text()) {
        Some(_) => Ok(()),
        None => Err("algorithm must be a valid OpenSSL message digest name.".into()),
    }
}

fn hmac_args(args: &mut Vec<Arg>, scope: &mut Scope<'_>) -> Result<(), String> {
    digest_args(args, scope)?;
    args[1] = base64_or_var(&args[1]).ok_or(
        "failed to parse key : argument needs to be base64 encoded, and can either be a string or a variable",
    )?;
    Ok(())
}

fn aes_args(args: &mut Vec<Arg>, _: &mut Scope<'_>) -> Result<(), String> {
    if !matches!(at(args, 0).int_or(0), 128 | 192 | 256) {
        return Err("key size must be 128, 192 or 256 (bits).".into());
    }
    for (i, name) in [(1, "nonce"), (2, "key"), (3, "aead_tag")] {
        args[i] = base64_or_var(&args[i]).ok_or_else(|| {
            format!(
                "failed to parse {name} : argument needs to be base64 encoded, and can either be a string or a \
                 variable"
            )
        })?;
    }
    Ok(())
}

/// A string argument was decoded while it was parsed; a variable holds base64 text still.
fn secret(view: &View<'_>, arg: &Arg) -> Option<Vec<u8>> {
    let bytes = bytes_or_var(view, arg)?;
    match arg {
        Arg::Var(_) => {
            use base64::Engine as _;
            super::bytes::BASE64.decode(&*bytes).ok()
        }
        _ => Some(bytes.to_vec()),
    }
}

fn aes_gcm_dec<'v>(view: &'v View<'_>, args: &'v [Arg], value: Value<'v>) -> Option<Value<'v>> {
    let (nonce, key) = (secret(view, at(args, 1))?, secret(view, at(args, 2))?);
    let tag = secret(view, at(args, 3))?;
    let algorithm = match at(args, 0).int_or(0) {
        128 => &AES_128_GCM,
        192 => &AES_192_GCM,
        _ => &AES_256_GCM,
    };
    // haproxy takes nonces of 12 bytes only as well, the length of OpenSSL's default.
    let nonce = Nonce::assume_unique_for_key(<[u8; NONCE_LEN]>::try_from(nonce.as_slice()).ok()?);
    let key = LessSafeKey::new(UnboundKey::new(algorithm, &key).ok()?);
    let mut data = value.into_bytes()?.to_vec();
    data.extend_from_slice(&tag);
    let plain = key.open_in_place(nonce, Aad::empty(), &mut data).ok()?;
    Some(Value::bin(plain.to_vec()))
}
