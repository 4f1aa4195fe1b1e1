//! What a certificate or list of revocations says, read once, as the judge of chains needs it.
//!
//! Invariant: owned and without references, so that trusted ones are read when their file is, not per connection.

use aws_lc_rs::signature::{self, UnparsedPublicKey};
use rustls_pki_types::SignatureVerificationAlgorithm;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;
use x509_parser::revocation_list::CertificateRevocationList;

use crate::chain::Purpose;

/// What a signature is over, and the signature.
#[derive(Debug, Clone)]
pub struct Signed {
    body: Vec<u8>,
    /// Inside of the AlgorithmIdentifier.
    algorithm: Vec<u8>,
    signature: Vec<u8>,
}

/// One certificate.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The whole.
    pub der: Vec<u8>,
    /// Subject.
    pub subject: Vec<u8>,
    /// Issuer.
    pub issuer: Vec<u8>,
    /// Serial number, big endian.
    pub serial: Vec<u8>,
    /// Seconds since 1970.
    pub not_before: i64,
    /// Seconds since 1970.
    pub not_after: i64,
    /// What its issuer signed.
    pub signed: Signed,
    /// Bits of a key of RSA.
    pub rsa_bits: Option<usize>,
    /// Intermediate certificates allowed below.
    pub path_len: Option<u32>,
    /// A critical extension that nobody knows.
    pub unknown_critical: bool,
    /// There are constraints on names.
    pub name_constraints: bool,
    version_1: bool,
    authority: Option<bool>,
    key_usage: Option<u16>,
    /// Of `extendedKeyUsage`: for clients, for servers.
    extended: Option<(bool, bool)>,
    own_key_id: Option<Vec<u8>>,
    issuer_key_id: Option<Vec<u8>>,
    key_algorithm: Vec<u8>,
    key: Vec<u8>,
}

/// Bits of `keyUsage`.
const DIGITAL_SIGNATURE: u16 = 1;
const KEY_ENCIPHERMENT: u16 = 1 << 2;
const KEY_AGREEMENT: u16 = 1 << 4;
const CERT_SIGN: u16 = 1 << 5;
const CRL_SIGN: u16 = 1 << 6;

/// OpenSSL's names of digests that its level 2 refuses are those of these signatures: RSA and ECDSA with SHA-1, RSA with
/// MD5.
const WEAK: [&str; 3] = ["1.2.840.113549.1.1.5", "1.2.840.10045.4.1", "1.2.840.113549.1.1.4"];

/// One element of DER: its tag, its inside, and what follows.
pub(crate) fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (len, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
        if bytes.len() > 4 {
            return None;
        }
        (bytes.iter().fold(0, |n, b| n << 8 | usize::from(*b)), rest)
    };
    let (inside, after) = rest.split_at_checked(len)?;
    Some((tag, inside, after))
}

/// A signed structure's parts: body, algorithm, signature.
fn signed(der: &[u8]) -> Option<Signed> {
    let (_, inside, _) = element(der)?;
    let (_, _, rest) = element(inside)?;
    let body = inside[..inside.len() - rest.len()].to_vec();
    let (_, algorithm, rest) = element(rest)?;
    let (_, bits, _) = element(rest)?;
    Some(Signed { body, algorithm: algorithm.to_vec(), signature: bits.get(1..)?.to_vec() })
}

fn trimmed(serial: &[u8]) -> Vec<u8> {
    let zeros = serial.iter().take_while(|b| **b == 0).count();
    serial[zeros..].to_vec()
}

impl Facts {
    /// Reads a certificate; `None` where it is none.
    pub fn of(der: &[u8]) -> Option<Self> {
        let (_, c) = X509Certificate::from_der(der).ok()?;
        let (_, spki, _) = element(c.tbs_certificate.subject_pki.raw)?;
        let (_, key_algorithm, rest) = element(spki)?;
        let (_, bits, _) = element(rest)?;
        let rsa_bits = match c.public_key().parsed() {
            Ok(PublicKey::RSA(key)) => Some(key.key_size()),
            _ => None,
        };
        let mut facts = Self {
            der: der.to_vec(),
            subject: c.subject().as_raw().to_vec(),
            issuer: c.issuer().as_raw().to_vec(),
            serial: trimmed(c.raw_serial()),
            not_before: c.validity().not_before.timestamp(),
            not_after: c.validity().not_after.timestamp(),
            signed: signed(der)?,
            rsa_bits,
            path_len: None,
            unknown_critical: false,
            name_constraints: false,
            version_1: c.version().0 == 0,
            authority: None,
            key_usage: None,
            extended: None,
            own_key_id: None,
            issuer_key_id: None,
            key_algorithm: key_algorithm.to_vec(),
            key: bits.get(1..)?.to_vec(),
        };
        for extension in c.extensions() {
            facts.take(extension.parsed_extension(), extension.critical);
        }
        Some(facts)
    }

    fn take(&mut self, extension: &ParsedExtension<'_>, critical: bool) {
        match extension {
            ParsedExtension::BasicConstraints(b) => {
                self.authority = Some(b.ca);
                self.path_len = b.path_len_constraint.filter(|_| b.ca);
            }
            ParsedExtension::KeyUsage(usage) => self.key_usage = Some(usage.flags),
            ParsedExtension::ExtendedKeyUsage(e) => {
                self.extended = Some((e.any || e.client_auth, e.any || e.server_auth));
            }
            ParsedExtension::SubjectKeyIdentifier(id) => self.own_key_id = Some(id.0.to_vec()),
            ParsedExtension::AuthorityKeyIdentifier(id) => {
                self.issuer_key_id = id.key_identifier.as_ref().map(|k| k.0.to_vec());
            }
            ParsedExtension::NameConstraints(_) => self.name_constraints = true,
            ParsedExtension::UnsupportedExtension { .. }
            | ParsedExtension::ParseError { .. }
            | ParsedExtension::Unparsed => self.unknown_critical |= critical,
            _ => {}
        }
    }

    /// Whether subject and issuer are the same.
    pub fn self_issued(&self) -> bool {
        self.subject == self.issuer
    }

    fn uses(&self, any_of: u16) -> bool {
        self.key_usage.is_none_or(|flags| flags & any_of != 0)
    }

    /// Whether it may be the issuer of another, by names, key identifiers and usage.
    pub fn may_have_issued(&self, other: &Self) -> bool {
        let same_key = match (&self.own_key_id, &other.issuer_key_id) {
            (Some(own), Some(wanted)) => own == wanted,
            _ => true,
        };
        self.subject == other.issuer && same_key && self.uses(CERT_SIGN)
    }

    /// Whether it may sign certificates at all.
    pub fn is_authority(&self) -> bool {
        match self.authority {
            Some(is) => is && self.uses(CERT_SIGN),
            // Self-signed ones of version 1 are, as are those whose key says so.
            None => {
                (self.version_1 && self.self_issued()) || self.key_usage.is_some_and(|f| f & CERT_SIGN != 0)
            }
        }
    }

    /// Whether it may sign lists of revocations.
    pub(crate) fn may_sign_lists(&self) -> bool {
        self.uses(CRL_SIGN)
    }

    /// Whether its usage fits, for itself or as an authority.
    pub fn fit_for(&self, purpose: Purpose, authority: bool) -> bool {
        let extended = self.extended.is_none_or(|(client, server)| match purpose {
            Purpose::Client => client,
            Purpose::Server => server,
        });
        let usage = match purpose {
            _ if authority => true,
            Purpose::Client => self.uses(DIGITAL_SIGNATURE | KEY_AGREEMENT),
            Purpose::Server => self.uses(DIGITAL_SIGNATURE | KEY_ENCIPHERMENT | KEY_AGREEMENT),
        };
        extended && usage
    }

    /// Whether its signature stands on a digest that is too weak.
    pub fn weak_digest(&self) -> bool {
        self.signed.oid().is_some_and(|oid| WEAK.contains(&oid.as_str()))
    }

    /// Whether its key made a signature.
    pub fn signed(&self, what: &Signed) -> bool {
        if what.oid().as_deref() == Some(WEAK[0]) {
            let legacy = &signature::RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY;
            return UnparsedPublicKey::new(legacy, &self.key).verify(&what.body, &what.signature).is_ok();
        }
        let known = crate::provider().signature_verification_algorithms;
        let fits = |a: &&&dyn SignatureVerificationAlgorithm| {
            a.public_key_alg_id().as_ref() == self.key_algorithm
                && a.signature_alg_id().as_ref() == what.algorithm
        };
        known
            .all
            .iter()
            .filter(fits)
            .any(|a| a.verify_signature(&self.key, &what.body, &what.signature).is_ok())
    }

    /// Whether its key made a signature of a handshake by one of the algorithms given.
    pub(crate) fn made(
        &self,
        algorithms: &[&dyn SignatureVerificationAlgorithm],
        message: &[u8],
        signature: &[u8],
    ) -> bool {
        let fits =
            |a: &&&dyn SignatureVerificationAlgorithm| a.public_key_alg_id().as_ref() == self.key_algorithm;
        algorithms.iter().filter(fits).any(|a| a.verify_signature(&self.key, message, signature).is_ok())
    }
}

impl Signed {
    fn oid(&self) -> Option<String> {
        let (_, inside, _) = element(&self.algorithm)?;
        Some(x509_parser::der_parser::oid::Oid::new(inside.into()).to_id_string())
    }
}

/// A list of revoked certificates.
#[derive(Debug, Clone)]
pub struct List {
    /// The whole.
    pub der: Vec<u8>,
    /// Who made it.
    pub issuer: Vec<u8>,
    /// Seconds since 1970.
    pub this_update: i64,
    /// Seconds since 1970.
    pub next_update: Option<i64>,
    /// Serial numbers, sorted.
    pub serials: Vec<Vec<u8>>,
    /// What its issuer signed.
    pub signed: Signed,
}

impl List {
    /// Reads a list; `None` where it is none.
    pub fn of(der: &[u8]) -> Option<Self> {
        let (_, list) = CertificateRevocationList::from_der(der).ok()?;
        let tbs = &list.tbs_cert_list;
        let mut serials: Vec<_> = tbs.revoked_certificates.iter().map(|r| trimmed(r.raw_serial())).collect();
        serials.sort();
        Some(Self {
            der: der.to_vec(),
            issuer: tbs.issuer.as_raw().to_vec(),
            this_update: tbs.this_update.timestamp(),
            next_update: tbs.next_update.map(|t| t.timestamp()),
            serials,
            signed: signed(der)?,
        })
    }
}
