//! Answers of OCSP responders (RFC 6960): which certificate one is about, what it says, and how OpenSSL prints it.
//!
//! Invariant: pure. Absent on purpose: asking responders, and checking who signed; clients of ours do that.

use std::fmt::Write;

use sha1::Digest;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::facts::element;

/// An answer about one certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The whole, as it is sent.
    pub der: Vec<u8>,
    /// The certificate it is about, DER of its CertID.
    pub id: Vec<u8>,
    /// Until when it holds, seconds since 1970.
    pub next_update: Option<i64>,
    this_update: i64,
    produced: i64,
    responder: Responder,
    status: Status,
    algorithm: String,
    signature: Vec<u8>,
    certificates: Vec<Vec<u8>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Responder {
    Name(String),
    Key(Vec<u8>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Status {
    Good,
    Revoked(i64, Option<u8>),
    Unknown,
}

const SEQUENCE: u8 = 0x30;
const OCTETS: u8 = 0x04;
const CONTEXT_0: u8 = 0xa0;
const CONTEXT_1: u8 = 0xa1;
const CONTEXT_2: u8 = 0xa2;

/// The inside of an element with a tag, and what follows.
fn tagged(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    element(der).filter(|(found, ..)| *found == tag).map(|(_, inside, rest)| (inside, rest))
}

/// Reads an answer; `None` where it is none, tells no success, or is not about one certificate.
pub fn parse(der: &[u8]) -> Option<Response> {
    let (all, rest) = tagged(der, SEQUENCE)?;
    let der = der[..der.len() - rest.len()].to_vec();
    let (status, all) = tagged(all, 0x0a)?;
    if status != [0] {
        return None;
    }
    let (bytes, _) = tagged(all, CONTEXT_0)?;
    let (bytes, _) = tagged(bytes, SEQUENCE)?;
    let (_, _, bytes) = element(bytes)?; // the kind: there is but one
    let (basic, _) = tagged(bytes, OCTETS)?;
    let (basic, _) = tagged(basic, SEQUENCE)?;
    let (data, basic) = tagged(basic, SEQUENCE)?;
    let (algorithm, basic) = tagged(basic, SEQUENCE)?;
    let (signature, basic) = tagged(basic, 0x03)?;
    let data = tagged(data, CONTEXT_0).map_or(data, |(_, rest)| rest); // the version, the first one if missing
    let (tag, who, data) = element(data)?;
    let responder = match tag {
        CONTEXT_1 => Responder::Name(name(who)?),
        CONTEXT_2 => Responder::Key(tagged(who, OCTETS)?.0.to_vec()),
        _ => return None,
    };
    let (produced, data) = time(data)?;
    let (single, _) = tagged(data, SEQUENCE)?;
    let (single, more) = tagged(single, SEQUENCE)?;
    if !more.is_empty() {
        return None;
    }
    let (_, after) = tagged(single, SEQUENCE)?;
    let id = single[..single.len() - after.len()].to_vec();
    let (tag, inside, after) = element(after)?;
    let status = match tag {
        0x80 => Status::Good,
        CONTEXT_1 => {
            let (at, rest) = time(inside)?;
            let reason = tagged(rest, CONTEXT_0).and_then(|(r, _)| tagged(r, 0x0a)?.0.first().copied());
            Status::Revoked(at, reason)
        }
        _ => Status::Unknown,
    };
    let (this_update, after) = time(after)?;
    let next_update = tagged(after, CONTEXT_0).and_then(|(inside, _)| Some(time(inside)?.0));
    let mut certificates = Vec::new();
    if let Some((list, _)) = tagged(basic, CONTEXT_0).and_then(|(inside, _)| tagged(inside, SEQUENCE)) {
        let mut list = list;
        while let Some((_, _, rest)) = element(list) {
            certificates.push(list[..list.len() - rest.len()].to_vec());
            list = rest;
        }
    }
    let (oid, _) = tagged(algorithm, 0x06)?;
    let algorithm = x509_parser::der_parser::oid::Oid::new(oid.into()).to_id_string();
    let signature = signature.get(1..)?.to_vec();
    Some(Response {
        der,
        id,
        next_update,
        this_update,
        produced,
        responder,
        status,
        algorithm,
        signature,
        certificates,
    })
}

/// A `GeneralizedTime` in UTC, and what follows.
fn time(der: &[u8]) -> Option<(i64, &[u8])> {
    let (text, rest) = tagged(der, 0x18)?;
    let (_, at) = x509_parser::time::ASN1Time::from_der(&der[..der.len() - rest.len()]).ok()?;
    (text.len() >= 15).then(|| (at.timestamp(), rest))
}

/// A name as OpenSSL's one-line form with spaces has it: `C = FR, O = Org`.
fn name(der: &[u8]) -> Option<String> {
    let (_, name) = x509_parser::x509::X509Name::from_der(der).ok()?;
    Some(spaced(&name))
}

fn spaced(name: &x509_parser::x509::X509Name<'_>) -> String {
    let each = name.iter_attributes().map(|a| {
        let kind = crate::names::short(&a.attr_type().to_id_string());
        format!("{kind} = {}", String::from_utf8_lossy(a.attr_value().data))
    });
    each.collect::<Vec<_>>().join(", ")
}

fn wrap(tag: u8, inside: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    match inside.len() {
        n if n < 0x80 => out.push(n as u8),
        n if n < 0x100 => out.extend([0x81, n as u8]),
        n => out.extend([0x82, (n >> 8) as u8, n as u8]),
    }
    out.extend(inside);
    out
}

/// How an answer names a certificate: digests of its issuer's name and key, and its serial number.
pub fn certificate_id(own: &[u8], issuer: &[u8]) -> Option<Vec<u8>> {
    const SHA1: [u8; 11] = [0x30, 0x09, 0x06, 0x05, 0x2b, 0x0e, 0x03, 0x02, 0x1a, 0x05, 0x00];
    let (_, own) = X509Certificate::from_der(own).ok()?;
    let (_, issuer) = X509Certificate::from_der(issuer).ok()?;
    let name = sha1::Sha1::digest(own.issuer().as_raw());
    let key = sha1::Sha1::digest(&issuer.public_key().subject_public_key.data);
    let mut inside = SHA1.to_vec();
    inside.extend(wrap(OCTETS, &name));
    inside.extend(wrap(OCTETS, &key));
    inside.extend(wrap(0x02, own.raw_serial()));
    Some(wrap(SEQUENCE, &inside))
}

/// Parts of a certificate's name in answers: digest of the issuer's name, of its key, serial number.
pub fn id_parts(id: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (inside, _) = tagged(id, SEQUENCE)?;
    let (_, inside) = tagged(inside, SEQUENCE)?;
    let (name, inside) = tagged(inside, OCTETS)?;
    let (key, inside) = tagged(inside, OCTETS)?;
    let (serial, _) = tagged(inside, 0x02)?;
    let zero = serial.len() > 1 && serial[0] == 0;
    Some((name, key, &serial[usize::from(zero)..]))
}

/// Bytes as hex digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, b| {
        let _ = write!(text, "{b:02X}");
        text
    })
}

const REASONS: [&str; 11] = [
    "unspecified",
    "keyCompromise",
    "cACompromise",
    "affiliationChanged",
    "superseded",
    "cessationOfOperation",
    "certificateHold",
    "",
    "removeFromCRL",
    "privilegeWithdrawn",
    "aACompromise",
];

impl Response {
    /// Whether it holds no longer.
    pub fn expired(&self, now: i64) -> bool {
        self.next_update.is_some_and(|until| until < now)
    }

    /// Certificates that came with it.
    pub fn certificates(&self) -> &[Vec<u8>] {
        &self.certificates
    }

    /// The text of OpenSSL's printer, without the certificates that came with it.
    pub fn print(&self) -> String {
        let date = crate::names::date;
        let mut out =
            "OCSP Response Data:\n    OCSP Response Status: successful (0x0)\n    Response Type: Basic OCSP \
                       Response\n    Version: 1 (0x0)\n    Responder Id: "
                .to_owned();
        match &self.responder {
            Responder::Name(name) => out.push_str(name),
            Responder::Key(key) => out.push_str(&hex(key)),
        }
        let _ = write!(out, "\n    Produced At: {}\n    Responses:\n", date(self.produced));
        if let Some((name, key, serial)) = id_parts(&self.id) {
            let _ = write!(
                out,
                "    Certificate ID:\n      Hash Algorithm: sha1\n      Issuer Name Hash: {}\n      Issuer Key Hash: \
                 {}\n      Serial Number: {}\n",
                hex(name),
                hex(key),
                hex(serial)
            );
        }
        match &self.status {
            Status::Good => out.push_str("    Cert Status: good\n"),
            Status::Unknown => out.push_str("    Cert Status: unknown\n"),
            Status::Revoked(at, reason) => {
                let _ = write!(out, "    Cert Status: revoked\n    Revocation Time: {}\n", date(*at));
                if let Some(reason) = reason {
                    let word = REASONS.get(usize::from(*reason)).copied().unwrap_or("(UNKNOWN)");
                    let _ = writeln!(out, "    Revocation Reason: {word} (0x{reason:x})");
                }
            }
        }
        let _ = writeln!(out, "    This Update: {}", date(self.this_update));
        if let Some(next) = self.next_update {
            let _ = writeln!(out, "    Next Update: {}", date(next));
        }
        let _ =
            write!(out, " \n    Signature Algorithm: {}\n", crate::names::signature_long(&self.algorithm));
        out.push_str("    Signature Value:");
        for (at, byte) in self.signature.iter().enumerate() {
            out.push_str(if at % 18 == 0 { "\n        " } else { "" });
            let _ = write!(out, "{byte:02x}{}", if at + 1 < self.signature.len() { ":" } else { "" });
        }
        out.push('\n');
        out
    }
}
