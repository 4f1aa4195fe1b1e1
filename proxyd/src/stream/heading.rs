//! The PROXY header that tells a server of the client's connection.
//!
//! Invariant: it depends on the session and the line's words alone; order of TLVs is haproxy's.
//!
//! Absent on purpose: bytes of the header itself ([`crate::net::proxy_protocol`]), and those of checks (crate health).

use super::txn::{Peer, TlsInfo};
use super::view::View;
use crate::config::model::SendProxy;
use crate::fetch::{env, tls as facts};
use crate::net::proxy_protocol::{
    TLV_ALPN, TLV_AUTHORITY, TLV_CRC32C, TLV_TLS, TLV_UNIQUE_ID, write_v1, write_v2,
};

/// Writes the header of a request's session.
pub fn write(out: &mut Vec<u8>, sends: SendProxy, view: &View<'_>) {
    let (session, txn) = (&*view.session, view.txn.as_deref());
    // As rules of the request left them, else as the session has them.
    let src = txn.and_then(|t| t.src.as_ref()).unwrap_or(&session.src);
    let dst = txn.and_then(|t| t.dst.as_ref()).unwrap_or(&session.dst);
    let ends = match (src, dst) {
        (Peer::Inet(src), Peer::Inet(dst)) => Some((*src, *dst)),
        _ => None,
    };
    if !sends.has(SendProxy::V2) {
        return write_v1(out, ends);
    }
    let tls = session.tls.as_deref();
    let mut tlvs: Vec<(u8, Vec<u8>)> = Vec::new();
    if sends.has(SendProxy::CRC32C) {
        tlvs.push((TLV_CRC32C, vec![0; 4]));
    }
    if let Some(alpn) = tls.and_then(|t| t.alpn.as_ref()) {
        tlvs.push((TLV_ALPN, alpn.clone()));
    }
    if let Some(sni) = tls.and_then(|t| t.sni.as_ref()).filter(|_| sends.has(SendProxy::AUTHORITY)) {
        tlvs.push((TLV_AUTHORITY, sni.clone().into_bytes()));
    }
    if sends.has(SendProxy::UNIQUE_ID)
        && let Some(id) = env::unique_id(view)
    {
        tlvs.push((TLV_UNIQUE_ID, id.to_vec()));
    }
    if sends.has(SendProxy::TLS) {
        tlvs.push((TLV_TLS, tls.map_or_else(|| vec![0; 5], |tls| of_tls(tls, sends))));
    }
    write_v2(out, ends, &tlvs);
}

/// The TLV about TLS: flags of the client, result of its verification, and sub-TLVs (PROXY protocol, 2.2.6).
fn of_tls(tls: &TlsInfo, sends: SendProxy) -> Vec<u8> {
    const ON: u8 = 0x01;
    const CERTIFICATE_NOW: u8 = 0x02;
    const CERTIFICATE: u8 = 0x04;
    const VERSION: u8 = 0x21;
    const COMMON_NAME: u8 = 0x22;
    const CIPHER: u8 = 0x23;
    const SIGNATURE: u8 = 0x24;
    const KEY: u8 = 0x25;
    // A resumed session has the certificate of the connection that began it.
    let certificate = match (tls.peer_certs.is_empty(), tls.resumed) {
        (true, _) => 0,
        (false, true) => CERTIFICATE,
        (false, false) => CERTIFICATE | CERTIFICATE_NOW,
    };
    let mut value = vec![ON | certificate];
    value.extend_from_slice(&tls.verdict.last.to_be_bytes());
    let mut add = |kind: u8, text: &str| {
        value.push(kind);
        value.extend_from_slice(&(text.len() as u16).to_be_bytes());
        value.extend_from_slice(text.as_bytes());
    };
    let own = tls.own_cert.as_deref();
    let of = |word: SendProxy, fact: fn(&[u8]) -> Option<String>, der: Option<&[u8]>| {
        der.filter(|_| sends.has(word)).and_then(fact)
    };
    add(VERSION, &tls.version);
    let theirs = tls.peer_certs.first().map(Vec::as_slice);
    for (kind, text) in [
        (COMMON_NAME, of(SendProxy::CERT_CN, facts::common_name, theirs)),
        (KEY, of(SendProxy::CERT_KEY, facts::key_size, own)),
        (SIGNATURE, of(SendProxy::CERT_SIG, facts::signed_with, own)),
        (CIPHER, sends.has(SendProxy::CIPHER).then(|| tls.cipher.clone())),
    ] {
        if let Some(text) = text {
            add(kind, &text);
        }
    }
    value
}
