//! Commands about certificates and answers about them: made, shown, and replaced while running (management manual,
//! `set ssl cert` and its kin).

use super::{Answer, Call, CommandRow, row};
use crate::config::model::Level::{Admin, User};
use base64::Engine as _;
use sha1::Digest as _;
use std::fmt::Write;
use std::path::Path;
use tls::book::Refusal;
use tls::contents::{Contents, Part};
use tls::names::date;
use tls::ocsp::{self, hex};
use tls::store::{CommitFault, Library};
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
        &["del", "ssl", "cert"],
        "del ssl cert <certfile>",
        "delete an unused certificate file",
        Admin,
        delete,
    ),
    row(
        &["new", "ssl", "cert"],
        "new ssl cert <certfile>",
        "create a new certificate file to be used in a crt-list or a directory",
        Admin,
        create,
    ),
    row(
        &["set", "ssl", "cert"],
        "set ssl cert <certfile> <payload>",
        "replace a certificate file",
        Admin,
        set,
    ),
    row(
        &["set", "ssl", "ocsp-response"],
        "set ssl ocsp-response <resp|payload>",
        "update a certificate's OCSP Response from a base64-encode DER",
        Admin,
        set_answer,
    ),
    row(
        &["show", "ssl", "cert"],
        "show ssl cert [<certfile>]",
        "display the SSL certificates used in memory, or the details of a file",
        User,
        show,
    ),
    row(
        &["show", "ssl", "ocsp-response"],
        "show ssl ocsp-response [id]",
        "display the IDs of the OCSP responses used in memory, or the details of a single OCSP response",
        User,
        show_answer,
    ),
];

const NONE_UNDER_WAY: &str = "No ongoing transaction! !";

/// What a file that can't be had says, as `verb` names the attempt.
pub(super) fn refused(refusal: &Refusal, path: &str) -> String {
    match refusal {
        Refusal::Other(of) => {
            format!(
                "The ongoing transaction is about '{}' but you are trying to set '{path}'\n",
                of.display()
            )
        }
        _ => format!("{NONE_UNDER_WAY}\n"),
    }
}

/// What `abort` says, whatever kind of file it is about.
pub(super) fn aborted(done: Result<(), Refusal>, path: &str) -> Answer {
    match done {
        Ok(()) => Answer::info(format!("Transaction aborted for certificate '{path}'!\n")),
        Err(Refusal::Other(of)) => Answer::error(format!(
            "The ongoing transaction is about '{}' but you are trying to abort a transaction for '{path}'\n",
            of.display()
        )),
        Err(_) => Answer::error("No ongoing transaction!\n"),
    }
}

/// What `commit` says, with a dot for each entry that shows what is new.
pub(super) fn committed(path: &str, shown: usize) -> Answer {
    Answer::info(format!("Committing {path}{}\nSuccess!\n", ".".repeat(shown)))
}

fn abort(call: &mut Call<'_>) -> Answer {
    let path = call.word(3);
    if path.is_empty() {
        return Answer::error("'abort ssl cert' expects a filename\n");
    }
    aborted(call.generation.tls.library.abort(Path::new(path)), path)
}

fn commit(call: &mut Call<'_>) -> Answer {
    let path = call.word(3);
    if path.is_empty() {
        return Answer::error("'commit ssl cert expects a filename\n");
    }
    let why = match call.generation.tls.library.commit(Path::new(path)) {
        Ok(shown) => return committed(path, shown),
        Err(CommitFault::Refused(refusal)) => refused(&refusal, path),
        Err(CommitFault::Incomplete) => {
            "The transaction must contain at least a certificate and a private key!\n".to_owned()
        }
        Err(CommitFault::Wrong(tls::Error::Refused { .. })) => {
            format!("inconsistencies between private key and certificate loaded '{path}'.\n")
        }
        Err(CommitFault::Wrong(error)) => format!("{error}\n"),
    };
    Answer::error(format!("{why}Can't commit {path}!\n"))
}

fn create(call: &mut Call<'_>) -> Answer {
    let path = call.word(3);
    if path.is_empty() {
        return Answer::error("'new ssl cert' expects a filename\n");
    }
    if call.generation.tls.library.create(Path::new(path)) {
        Answer::info(format!("New empty certificate store '{path}'!\n"))
    } else {
        Answer::error(format!("Certificate '{path}' already exists!\n"))
    }
}

fn delete(call: &mut Call<'_>) -> Answer {
    let path = call.word(3);
    if path.is_empty() {
        return Answer::error("'del ssl cert' expects a certificate name\n");
    }
    match call.generation.tls.library.delete(Path::new(path)) {
        Ok(()) => Answer::info(format!("Certificate '{path}' deleted!\n")),
        Err(Refusal::Used) => Answer::error(format!(
            "Can't remove the certificate: certificate '{path}' in use, can't be deleted!\n\n"
        )),
        Err(_) => {
            Answer::error(format!("Can't remove the certificate: certificate '{path}' doesn't exist!\n\n"))
        }
    }
}

fn set(call: &mut Call<'_>) -> Answer {
    let path = call.word(3);
    let Some(payload) = call.payload.filter(|_| !path.is_empty()) else {
        return Answer::error("'set ssl cert expects a filename and a certificate as a payload\n");
    };
    let library = &call.generation.tls.library;
    let Some((certificate, part)) = library.part(Path::new(path)) else {
        return Answer::error(format!(
            "Can't replace a certificate which is not referenced by the configuration!\nCan't update {path}!\n"
        ));
    };
    let bytes = match part {
        // Only text comes through a command line.
        Part::Ocsp | Part::Sctl => base64_of(payload).unwrap_or_default(),
        Part::Pem | Part::Key | Part::Issuer => payload.as_bytes().to_vec(),
    };
    match library.prepare(&certificate, part, &bytes) {
        Ok((of, begun)) => {
            let what = if begun { "created" } else { "updated" };
            Answer::info(format!("Transaction {what} for certificate {}!\n", of.display()))
        }
        Err(_) => Answer::error(format!(
            "unable to load certificate from file '{path}'.\nCan't load the payload\nCan't update {path}!\n"
        )),
    }
}

fn base64_of(text: &str) -> Option<Vec<u8>> {
    let bare: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    base64::engine::general_purpose::STANDARD.decode(bare).ok()
}

const UNKNOWN: &str = "Can't display the certificate: Not found or the certificate is a bundle!\n";

fn show(call: &mut Call<'_>) -> Answer {
    let library = &call.generation.tls.library;
    let path = call.word(3);
    if path.is_empty() {
        let mut out = String::new();
        if let Some((path, _)) = library.pending() {
            let _ = write!(out, "# transaction\n*{}\n", path.display());
        }
        let paths = library.paths();
        if !paths.is_empty() {
            out.push_str("# filename\n");
        }
        for path in paths {
            let _ = writeln!(out, "{}", path.display());
        }
        return Answer::Dump(out);
    }
    let Some((contents, part, status)) = shown(library, path) else { return Answer::error(UNKNOWN) };
    if part == Part::Ocsp {
        let answer = contents.ocsp.as_ref().map(|answer| Answer::Dump(printed(answer)));
        return answer.unwrap_or_else(|| Answer::error(UNKNOWN));
    }
    let mut out = format!("Filename: {path}\nStatus: {status}\n");
    let mut chain = contents.chain.iter();
    if let Some(own) = chain.next() {
        let _ = described(own, &mut out);
    }
    for der in chain {
        if let Ok((_, link)) = X509Certificate::from_der(der) {
            let line = crate::fetch::tls::one_line;
            let _ = writeln!(out, "Chain Subject: {}", line(link.subject()));
            let _ = writeln!(out, "Chain Issuer: {}", line(link.issuer()));
        }
    }
    let key = contents.answered_id().map(|id| hex(&id).to_ascii_lowercase());
    let _ = writeln!(out, "OCSP Response Key: {}", key.unwrap_or_default());
    Answer::Dump(out)
}

/// The contents that a name stands for, which part is asked for, and what becomes of them.
fn shown(library: &Library, path: &str) -> Option<(Contents, Part, &'static str)> {
    let Some(bare) = path.strip_prefix('*') else {
        let (certificate, part) = library.part(Path::new(path))?;
        let used = if library.used(&certificate) { "Used" } else { "Unused" };
        let contents = certificate.contents();
        let status = if contents.is_complete() { used } else { "Empty" };
        return Some((Contents::clone(&contents), part, status));
    };
    let (of, contents) = library.pending()?;
    if of == Path::new(bare) {
        return Some((contents, Part::Pem, "Unused"));
    }
    let (certificate, part) = library.part(Path::new(bare))?;
    (certificate.path == of).then_some((contents, part, "Unused"))
}

/// What is told of a certificate, one fact a line.
pub(super) fn described(der: &[u8], out: &mut String) -> Option<()> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let serial = certificate.raw_serial();
    let serial = if serial.len() > 1 { serial.strip_prefix(&[0]).unwrap_or(serial) } else { serial };
    let _ = writeln!(out, "Serial: {}", hex(serial));
    let validity = certificate.validity();
    let _ = writeln!(out, "notBefore: {}", date(validity.not_before.timestamp()));
    let _ = writeln!(out, "notAfter: {}", date(validity.not_after.timestamp()));
    let _ = writeln!(out, "Subject Alternative Name: {}", names(&certificate).unwrap_or_default());
    let _ = writeln!(out, "Algorithm: {}", algorithm(&certificate));
    let _ = writeln!(out, "SHA1 FingerPrint: {}", hex(&sha1::Sha1::digest(der)));
    let line = crate::fetch::tls::one_line;
    let _ = writeln!(out, "Subject: {}", line(certificate.subject()));
    let _ = writeln!(out, "Issuer: {}", line(certificate.issuer()));
    Some(())
}

/// Names as the original writes them: of addresses and directory names nothing but the comma.
fn names(certificate: &X509Certificate<'_>) -> Option<String> {
    let names = certificate.subject_alternative_name().ok()??;
    let each = names.value.general_names.iter().map(|name| match name {
        GeneralName::DNSName(name) => format!("DNS:{name}"),
        GeneralName::RFC822Name(name) => format!("email:{name}"),
        GeneralName::URI(name) => format!("URI:{name}"),
        _ => String::new(),
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

fn printed(answer: &ocsp::Response) -> String {
    let mut out = answer.print();
    for der in answer.certificates() {
        out.push_str("-----BEGIN CERTIFICATE-----\n");
        let text = base64::engine::general_purpose::STANDARD.encode(der);
        for line in text.as_bytes().chunks(64) {
            let _ = writeln!(out, "{}", String::from_utf8_lossy(line));
        }
        out.push_str("-----END CERTIFICATE-----\n");
    }
    out
}

fn set_answer(call: &mut Call<'_>) -> Answer {
    let text = call.payload.unwrap_or_else(|| call.word(3));
    if text.trim().is_empty() {
        return Answer::error("'set ssl ocsp-response' expects response in base64 encoding.\n");
    }
    let Some(bytes) = base64_of(text) else {
        return Answer::error("'set ssl ocsp-response' received invalid base64 encoded response.\n");
    };
    let Some(answer) = ocsp::parse(&bytes) else {
        return Answer::error("Unable to parse OCSP response.\n");
    };
    let now = crate::runtime::clock::wall().duration_since(std::time::UNIX_EPOCH);
    if answer.expired(now.map_or(0, |d| d.as_secs() as i64)) {
        return Answer::error("OCSP single response: no longer valid.\n");
    }
    if call.generation.tls.library.answer(&answer) {
        Answer::info("OCSP Response updated!\n")
    } else {
        Answer::error("OCSP single response: Certificate ID does not match any certificate or issuer.\n")
    }
}

fn show_answer(call: &mut Call<'_>) -> Answer {
    let library = &call.generation.tls.library;
    let wanted = call.word(3);
    let all = library.answers();
    if wanted.is_empty() {
        let mut out = "# Certificate IDs\n".to_owned();
        for (id, _) in &all {
            let _ = writeln!(out, "Certificate ID key : {}", hex(id).to_ascii_lowercase());
            if let Some((name, key, serial)) = ocsp::id_parts(id) {
                let _ = write!(
                    out,
                    " Certificate ID:\n   Issuer Name Hash: {}\n   Issuer Key Hash: {}\n   Serial Number: {}\n",
                    hex(name),
                    hex(key),
                    hex(serial)
                );
            }
        }
        return Answer::Dump(out);
    }
    // By identity, or as later versions have it, by the certificate's file.
    let of_file = library.part(Path::new(wanted)).and_then(|(c, _)| c.contents().ocsp.clone());
    let by_id = || all.iter().find(|(id, _)| hex(id).eq_ignore_ascii_case(wanted)).map(|(_, a)| a.clone());
    match of_file.or_else(by_id) {
        Some(answer) => Answer::Dump(printed(&answer)),
        None => Answer::error("Certificate ID does not match any certificate.\n"),
    }
}
