//! Commands about certificates: shown, and replaced while running (management manual, `set ssl cert`).
//!
//! Absent on purpose: new files, lists and authorities; a reload takes those in.

use super::{Answer, Call, CommandRow, row};
use crate::config::model::Level::{Admin, User};
use rustls::sign::CertifiedKey;
use sha1::Digest as _;
use std::fmt::Write;
use std::path::Path;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::public_key::PublicKey;

/// The commands.
pub const COMMANDS: &[CommandRow] = &[
    row(
        &["abort", "ssl", "cert"],
        "abort ssl cert <certfile>",
        "abort a transaction for a certificate file",
        Admin,
        abort,
    ),
    row(&["commit", "ssl", "cert"], "commit ssl cert <certfile>", "commit a certificate file", Admin, commit),
    row(
        &["set", "ssl", "cert"],
        "set ssl cert <certfile> <payload>",
        "replace a certificate file",
        Admin,
        set,
    ),
    row(
        &["show", "ssl", "cert"],
        "show ssl cert [<certfile>]",
        "display the SSL certificates used in memory, or the details of a file",
        User,
        show,
    ),
];

fn abort(call: &mut Call<'_>) -> Answer {
    let path = call.word(3);
    if path.is_empty() {
        return Answer::error("'abort ssl cert' expects a filename\n");
    }
    let library = &call.generation.tls.library;
    match library.pending() {
        None => Answer::error("No ongoing transaction!\n"),
        Some(_) if library.abort(Path::new(path)) => {
            Answer::info(format!("Transaction aborted for certificate '{path}'!\n"))
        }
        Some((other, _)) => Answer::error(format!(
            "The ongoing transaction is about '{}' but you are trying to abort a transaction for '{path}'\n",
            other.display()
        )),
    }
}

fn commit(call: &mut Call<'_>) -> Answer {
    let path = call.word(3);
    if path.is_empty() {
        return Answer::error("'commit ssl cert expects a filename\n");
    }
    let library = &call.generation.tls.library;
    match library.pending() {
        None => Answer::error(format!("No ongoing transaction! !\nCan't commit {path}!\n")),
        Some((of, _)) if of != Path::new(path) => Answer::error(format!(
            "The ongoing transaction is about '{}' but you are trying to set '{path}'\nCan't commit {path}!\n",
            of.display()
        )),
        Some(_) => {
            let shown = library.commit(Path::new(path)).unwrap_or(0);
            Answer::info(format!("Committing {path}{}\nSuccess!\n", ".".repeat(shown)))
        }
    }
}

fn set(call: &mut Call<'_>) -> Answer {
    let path = call.word(3);
    let Some(payload) = call.payload.filter(|_| !path.is_empty()) else {
        return Answer::error("'set ssl cert expects a filename and a certificate as a payload\n");
    };
    let library = &call.generation.tls.library;
    let Some(certificate) = library.find(Path::new(path)) else {
        return Answer::error(format!(
            "Can't replace a certificate which is not referenced by the configuration!\nCan't update {path}!\n"
        ));
    };
    let before = library.pending();
    if library.prepare(&certificate, payload.as_bytes()).is_err() {
        return Answer::error(format!(
            "unable to load certificate from file '{path}'.\nCan't load the payload\nCan't update {path}!\n"
        ));
    }
    let what = if before.is_some() { "updated" } else { "created" };
    Answer::info(format!("Transaction {what} for certificate {path}!\n"))
}

fn show(call: &mut Call<'_>) -> Answer {
    let library = &call.generation.tls.library;
    let path = call.word(3);
    if path.is_empty() {
        let mut out = String::new();
        if let Some((path, _)) = library.pending() {
            let _ = write!(out, "# transaction\n*{}\n", path.display());
        }
        out.push_str("# filename\n");
        for path in library.paths() {
            let _ = writeln!(out, "{}", path.display());
        }
        return Answer::Dump(out);
    }
    let unknown = "Can't display the certificate: Not found or the certificate is a bundle!\n";
    let (key, status) = match path.strip_prefix('*') {
        Some(bare) => match library.pending() {
            None => return Answer::error("No ongoing transaction!\n"),
            Some((of, key)) if of == Path::new(bare) => (key, "Unused"),
            Some(_) => return Answer::error(unknown),
        },
        None => match library.find(Path::new(path)) {
            Some(certificate) => (certificate.key(), "Used"),
            None => return Answer::error(unknown),
        },
    };
    let mut out = format!("Filename: {path}\nStatus: {status}\n");
    if details(&key, &mut out).is_none() {
        return Answer::error(unknown);
    }
    Answer::Dump(out)
}

/// What is told of a certificate, one fact a line.
fn details(key: &CertifiedKey, out: &mut String) -> Option<()> {
    let (first, chain) = key.cert.split_first()?;
    let (_, certificate) = X509Certificate::from_der(first).ok()?;
    let hex = |bytes: &[u8]| bytes.iter().fold(String::new(), |text, b| text + &format!("{b:02X}"));
    let serial = certificate.raw_serial();
    let serial = if serial.len() > 1 { serial.strip_prefix(&[0]).unwrap_or(serial) } else { serial };
    let _ = writeln!(out, "Serial: {}", hex(serial));
    let validity = certificate.validity();
    let _ = writeln!(out, "notBefore: {}", date(validity.not_before.timestamp()));
    let _ = writeln!(out, "notAfter: {}", date(validity.not_after.timestamp()));
    if let Some(names) = names(&certificate) {
        let _ = writeln!(out, "Subject Alternative Name: {names}");
    }
    let _ = writeln!(out, "Algorithm: {}", algorithm(&certificate));
    let _ = writeln!(out, "SHA1 FingerPrint: {}", hex(&sha1::Sha1::digest(first)));
    let line = crate::fetch::tls::one_line;
    let _ = writeln!(out, "Subject: {}", line(certificate.subject()));
    let _ = writeln!(out, "Issuer: {}", line(certificate.issuer()));
    for der in chain {
        let (_, link) = X509Certificate::from_der(der).ok()?;
        let _ = writeln!(out, "Chain Subject: {}", line(link.subject()));
        let _ = writeln!(out, "Chain Issuer: {}", line(link.issuer()));
    }
    out.push_str("OCSP Response Key: \n");
    Some(())
}

/// `Sep 20 16:26:00 2023 GMT`.
fn date(at: i64) -> String {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let t = crate::conv::time::civil(at);
    let month = MONTHS[(t.month as usize).saturating_sub(1) % 12];
    format!("{month} {:>2} {:02}:{:02}:{:02} {} GMT", t.day, t.hour, t.minute, t.second, t.year)
}

fn names(certificate: &X509Certificate<'_>) -> Option<String> {
    let names = certificate.subject_alternative_name().ok()??;
    let each = names.value.general_names.iter().filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(format!("DNS:{name}")),
        GeneralName::RFC822Name(name) => Some(format!("email:{name}")),
        GeneralName::URI(name) => Some(format!("URI:{name}")),
        GeneralName::IPAddress([a, b, c, d]) => Some(format!("IP Address:{a}.{b}.{c}.{d}")),
        GeneralName::IPAddress(bytes) => {
            let whole: [u8; 16] = (*bytes).try_into().ok()?;
            let groups: Vec<String> =
                whole.as_chunks::<2>().0.iter().map(|g| format!("{:X}", u16::from_be_bytes(*g))).collect();
            Some(format!("IP Address:{}", groups.join(":")))
        }
        _ => None,
    });
    Some(each.collect::<Vec<_>>().join(", "))
}

fn algorithm(certificate: &X509Certificate<'_>) -> String {
    match certificate.public_key().parsed() {
        Ok(PublicKey::RSA(key)) => format!("RSA{}", key.key_size()),
        Ok(PublicKey::EC(point)) => format!("EC{}", point.key_size()),
        Ok(PublicKey::DSA(_)) => "DSA".to_owned(),
        _ => String::new(),
    }
}
