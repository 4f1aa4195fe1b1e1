//! TLS of both sides: versions, ciphers, names and certificates.

use super::{Row, row};
use crate::sample::args::at;
use crate::sample::source::Source::{L5Client, L5Server};
use crate::sample::{Arg, Type, Value};
use crate::stream::txn::TlsInfo;
use crate::stream::view::View;
use x509_parser::prelude::{AttributeTypeAndValue, FromDer as _, X509Certificate, X509Name};
use x509_parser::public_key::PublicKey;

const DN: &str = "[string,integer,string]";

/// Rows about a certificate: of the client (`c`), our own (`f`), and the server's (`s`).
macro_rules! certificate {
    ($($prefix:literal $der:ident $from:ident),* $(,)?) => {
        &[$(
            row(concat!($prefix, "_der"), "", Type::Bin, $from, |v, _, _| Some(Value::bin($der(v)?))),
            row(concat!($prefix, "_i_dn"), DN, Type::Str, $from, |v, a, _| dn($der(v)?, a, true)).check(dn_args),
            row(concat!($prefix, "_key_alg"), "", Type::Str, $from, |v, _, _| key_algorithm($der(v)?)),
            row(concat!($prefix, "_notafter"), "", Type::Str, $from, |v, _, _| validity($der(v)?, false)),
            row(concat!($prefix, "_notbefore"), "", Type::Str, $from, |v, _, _| validity($der(v)?, true)),
            row(concat!($prefix, "_s_dn"), DN, Type::Str, $from, |v, a, _| dn($der(v)?, a, false)).check(dn_args),
            row(concat!($prefix, "_serial"), "", Type::Bin, $from, |v, _, _| {
                let (_, cert) = X509Certificate::from_der($der(v)?).ok()?;
                // The number alone, without the zero byte that makes it positive.
                let serial = cert.raw_serial();
                let zeros = serial.iter().take_while(|b| **b == 0).count().min(serial.len().saturating_sub(1));
                Some(Value::bin(serial[zeros..].to_vec()))
            }),
            row(concat!($prefix, "_sha1"), "", Type::Bin, $from, |v, _, _| {
                use sha1::Digest as _;
                Some(Value::bin(sha1::Sha1::digest($der(v)?).to_vec()))
            }),
            row(concat!($prefix, "_sig_alg"), "", Type::Str, $from, |v, _, _| signature_algorithm($der(v)?)),
            row(concat!($prefix, "_version"), "", Type::Int, $from, |v, _, _| {
                let (_, cert) = X509Certificate::from_der($der(v)?).ok()?;
                Some(Value::Int(i64::from(cert.version().0) + 1))
            }),
        )*
            row("ssl_bc", "", Type::Bool, L5Server, |v, _, _| Some(Value::Bool(server(v).is_some()))),
            row("ssl_bc_alg_keysize", "", Type::Int, L5Server, |v, _, _| Some(Value::Int(i64::from(server(v)?.bits)))),
            row("ssl_bc_alpn", "", Type::Str, L5Server, |v, _, _| Some(Value::str(server(v)?.alpn.as_deref()?))),
            row("ssl_bc_cipher", "", Type::Str, L5Server, |v, _, _| Some(Value::str(server(v)?.cipher.as_str()))),
            row("ssl_bc_is_resumed", "", Type::Bool, L5Server, |v, _, _| Some(Value::Bool(server(v).is_some_and(|t| t.resumed)))),
            row("ssl_bc_protocol", "", Type::Str, L5Server, |v, _, _| Some(Value::str(server(v)?.version.as_str()))),
            row("ssl_bc_use_keysize", "", Type::Int, L5Server, |v, _, _| Some(Value::Int(i64::from(server(v)?.bits)))),
            row("ssl_c_used", "", Type::Bool, L5Client, |v, _, _| Some(Value::Bool(!client(v)?.peer_certs.is_empty()))),
            row("ssl_c_verify", "", Type::Int, L5Client, |v, _, _| number(client(v)?.verdict.last)),
            row("ssl_c_err", "", Type::Int, L5Client, |v, _, _| number(client(v)?.verdict.own)),
            row("ssl_c_ca_err", "", Type::Int, L5Client, |v, _, _| number(client(v)?.verdict.authority)),
            row("ssl_c_ca_err_depth", "", Type::Int, L5Client, |v, _, _| number(client(v)?.verdict.depth)),
            row("ssl_c_chain_der", "", Type::Bin, L5Client, |v, _, _| chain(client(v)?.peer_certs.get(1..)?)),
            row("ssl_s_chain_der", "", Type::Bin, L5Server, |v, _, _| chain(&server(v)?.peer_certs)),
            row("ssl_c_r_dn", DN, Type::Str, L5Client, |v, a, _| dn(root(client(v)?)?, a, true)).check(dn_args),
            row("ssl_fc_err", "", Type::Int, L5Client, |v, _, _| number(code(client(v)?))),
            row("ssl_fc_err_str", "", Type::Str, L5Client, |v, _, _| text(client(v)?)),
            row("ssl_bc_err", "", Type::Int, L5Server, |v, _, _| number(code(server(v)?))),
            row("ssl_bc_err_str", "", Type::Str, L5Server, |v, _, _| text(server(v)?)),
            row("ssl_fc_curve", "", Type::Str, L5Client, |v, _, _| Some(Value::str(client(v)?.group?))),
            row("ssl_bc_curve", "", Type::Str, L5Server, |v, _, _| Some(Value::str(server(v)?.group?))),
            // Neither is there in TLS as it is spoken here: NPN went before 1.3, early data is never taken.
            row("ssl_fc_npn", "", Type::Str, L5Client, |_, _, _| None),
            row("ssl_bc_npn", "", Type::Str, L5Server, |_, _, _| None),
            row("ssl_fc_has_early", "", Type::Bool, L5Client, |v, _, _| client(v).map(|_| Value::Bool(false))),
            row("ssl_fc_alg_keysize", "", Type::Int, L5Client, |v, _, _| Some(Value::Int(i64::from(client(v)?.bits)))),
            row("ssl_fc_alpn", "", Type::Str, L5Client, |v, _, _| Some(Value::str(client(v)?.alpn.as_deref()?))),
            row("ssl_fc_cipher", "", Type::Str, L5Client, |v, _, _| Some(Value::str(client(v)?.cipher.as_str()))),
            row("ssl_fc_has_crt", "", Type::Bool, L5Client, |v, _, _| Some(Value::Bool(!client(v)?.peer_certs.is_empty()))),
            row("ssl_fc_has_sni", "", Type::Bool, L5Client, |v, _, _| Some(Value::Bool(client(v).is_some_and(|t| t.sni.is_some())))),
            row("ssl_fc_is_resumed", "", Type::Bool, L5Client, |v, _, _| Some(Value::Bool(client(v).is_some_and(|t| t.resumed)))),
            row("ssl_fc_protocol", "", Type::Str, L5Client, |v, _, _| Some(Value::str(client(v)?.version.as_str()))),
            row("ssl_fc_sni", "", Type::Str, L5Client, |v, _, _| Some(Value::str(client(v)?.sni.as_deref()?))),
            row("ssl_fc_use_keysize", "", Type::Int, L5Client, |v, _, _| Some(Value::Int(i64::from(client(v)?.bits)))),
        ]
    };
}

/// Rows of this family. Rules may ask for a server's certificate from the client's handshake on, as haproxy lets them;
/// it is there once a server is connected.
pub static ROWS: &[Row] =
    certificate!["ssl_c" client_cert L5Client, "ssl_f" own_cert L5Client, "ssl_s" server_cert L5Client];

fn client<'v>(view: &'v View<'_>) -> Option<&'v TlsInfo> {
    view.session.tls.as_deref()
}

fn server<'v>(view: &'v View<'_>) -> Option<&'v TlsInfo> {
    view.txn.as_deref()?.server_tls.as_deref()
}

fn client_cert<'v>(view: &'v View<'_>) -> Option<&'v [u8]> {
    client(view)?.peer_certs.first().map(Vec::as_slice)
}

fn server_cert<'v>(view: &'v View<'_>) -> Option<&'v [u8]> {
    server(view)?.peer_certs.first().map(Vec::as_slice)
}

fn own_cert<'v>(view: &'v View<'_>) -> Option<&'v [u8]> {
    client(view)?.own_cert.as_deref()
}

fn number<'v>(n: u32) -> Option<Value<'v>> {
    Some(Value::Int(i64::from(n)))
}

fn code(info: &TlsInfo) -> u32 {
    info.error.as_ref().map_or(0, |(code, _)| *code)
}

fn text<'v>(info: &TlsInfo) -> Option<Value<'v>> {
    info.error.as_ref().map(|(_, text)| Value::str(text.clone()))
}

/// Certificates one behind the other. What OpenSSL calls the chain begins with a server's own certificate, but behind
/// a client's.
fn chain<'v>(certificates: &[Vec<u8>]) -> Option<Value<'v>> {
    (!certificates.is_empty()).then(|| Value::bin(certificates.concat()))
}

/// The last certificate that came: its issuer is the root, unless the proxy's own files lead further.
fn root(info: &TlsInfo) -> Option<&[u8]> {
    info.peer_certs.last().map(Vec::as_slice)
}

fn dn_args(args: &mut Vec<Arg>, _: &mut crate::sample::expr::Scope<'_>) -> Result<(), String> {
    match at(args, 2).text() {
        "" | "rfc2253" => Ok(()),
        _ => Err("only rfc2253 or a blank value are currently supported as the format argument.".into()),
    }
}

/// OpenSSL's name of an attribute, and its value.
fn part(attribute: &AttributeTypeAndValue<'_>) -> (String, String) {
    let value = String::from_utf8_lossy(attribute.attr_value().data).into_owned();
    (tls::names::short(&attribute.attr_type().to_id_string()), value)
}

fn parts(name: &X509Name<'_>) -> Vec<(String, String)> {
    name.iter_attributes().map(part).collect()
}

/// A distinguished name as RFC 2253 writes it: the last part first.
fn rfc2253(name: &X509Name<'_>) -> String {
    let escaped = |text: &str| {
        let mut out = String::new();
        for (i, c) in text.char_indices() {
            let edge = (i == 0 && matches!(c, ' ' | '#')) || (c == ' ' && i + 1 == text.len());
            if edge || ",+\"\\<>;".contains(c) {
                out.push('\\');
            }
            out.push(c);
        }
        out
    };
    let one = |a: &AttributeTypeAndValue<'_>| {
        let (key, value) = part(a);
        format!("{key}={}", escaped(&value))
    };
    let mut sets: Vec<String> = Vec::new();
    for set in name.iter_rdn() {
        let mut all: Vec<String> = set.iter().map(one).collect();
        all.reverse();
        sets.push(all.join("+"));
    }
    sets.reverse();
    sets.join(",")
}

/// A distinguished name: whole in OpenSSL's one-line form, one attribute, or RFC 2253.
fn dn<'v>(der: &[u8], args: &[Arg], issuer: bool) -> Option<Value<'v>> {
    let (_, cert) = X509Certificate::from_der(der).ok()?;
    let name = if issuer { cert.issuer() } else { cert.subject() };
    let parts = parts(name);
    let (wanted, n) = (at(args, 0).text(), at(args, 1).int_or(1));
    if !wanted.is_empty() {
        let hits: Vec<&String> = parts.iter().filter(|(k, _)| k == wanted).map(|(_, v)| v).collect();
        let index = if n >= 0 { n.max(1) - 1 } else { hits.len() as i64 + n };
        return usize::try_from(index).ok().and_then(|i| hits.get(i)).map(|v| Value::str((*v).clone()));
    }
    if at(args, 2).text() == "rfc2253" {
        return Some(Value::str(rfc2253(name)));
    }
    Some(Value::str(joined(&parts)))
}

fn joined(parts: &[(String, String)]) -> String {
    parts.iter().fold(String::new(), |all, (k, v)| format!("{all}/{k}={v}"))
}

/// A distinguished name in OpenSSL's one-line form.
pub fn one_line(name: &X509Name<'_>) -> String {
    joined(&parts(name))
}

/// The first common name of a certificate's subject.
pub fn common_name(der: &[u8]) -> Option<String> {
    let (_, cert) = X509Certificate::from_der(der).ok()?;
    parts(cert.subject()).into_iter().find(|(k, _)| k == "CN").map(|(_, name)| name)
}

/// Kind and size of a certificate's key (`RSA2048`, `EC256`, `ED25519` has no size of its own).
pub fn key_size(der: &[u8]) -> Option<String> {
    let (_, cert) = X509Certificate::from_der(der).ok()?;
    let key = cert.public_key().parsed().ok()?;
    let kind = match &key {
        PublicKey::RSA(_) => "RSA",
        PublicKey::EC(_) => "EC",
        PublicKey::DSA(_) => "DSA",
        _ => return None,
    };
    Some(format!("{kind}{}", key.key_size()))
}

/// OpenSSL's name of the algorithm that signed a certificate.
pub fn signed_with(der: &[u8]) -> Option<String> {
    let (_, cert) = X509Certificate::from_der(der).ok()?;
    Some(tls::names::signature(&cert.signature_algorithm.algorithm.to_id_string()))
}

fn validity<'v>(der: &[u8], before: bool) -> Option<Value<'v>> {
    let (_, cert) = X509Certificate::from_der(der).ok()?;
    let v = cert.validity();
    let at = if before { v.not_before } else { v.not_after }.timestamp();
    let t = crate::conv::time::civil(at);
    // The form of an ASN.1 UTCTime, as haproxy prints it.
    Some(Value::str(format!(
        "{:02}{:02}{:02}{:02}{:02}{:02}Z",
        t.year % 100,
        t.month,
        t.day,
        t.hour,
        t.minute,
        t.second
    )))
}

fn key_algorithm<'v>(der: &[u8]) -> Option<Value<'v>> {
    let (_, cert) = X509Certificate::from_der(der).ok()?;
    let oid = cert.public_key().algorithm.algorithm.to_id_string();
    Some(Value::str(match oid.as_str() {
        "1.2.840.113549.1.1.1" => "rsaEncryption".to_owned(),
        "1.2.840.10045.2.1" => "id-ecPublicKey".to_owned(),
        "1.3.101.112" => "ED25519".to_owned(),
        "1.2.840.10040.4.1" => "dsaEncryption".to_owned(),
        other => other.to_owned(),
    }))
}

fn signature_algorithm<'v>(der: &[u8]) -> Option<Value<'v>> {
    signed_with(der).map(Value::str)
}
