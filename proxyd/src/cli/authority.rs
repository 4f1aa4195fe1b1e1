//! Commands about files of authorities and of revocations: made, shown, and replaced while running (management
//! manual, `set ssl ca-file`, `set ssl crl-file` and their kin).

use super::certificate::{aborted, committed, described, refused};
use super::{Answer, Call, CommandRow, row};
use crate::config::model::Level::{Admin, User};
use std::fmt::Write;
use std::path::Path;
use tls::book::{Book, Refusal};
use tls::facts::{Facts, List};
use tls::names::{date, signature_long};
use tls::ocsp::hex;
use x509_parser::prelude::FromDer as _;
use x509_parser::revocation_list::CertificateRevocationList;

/// The commands.
pub const COMMANDS: &[CommandRow] = &[
    row(
        &["abort", "ssl", "ca-file"],
        "abort ssl ca-file <cafile>",
        "abort a transaction for a CA file",
        Admin,
        |call| aborts(call, "ca-file", |c| &c.generation.tls.library.authorities),
    ),
    row(
        &["abort", "ssl", "crl-file"],
        "abort ssl crl-file <crlfile>",
        "abort a transaction for a CRL file",
        Admin,
        |call| aborts(call, "crl-file", |c| &c.generation.tls.library.revocations),
    ),
    row(
        &["add", "ssl", "ca-file"],
        "add ssl ca-file <cafile> <payload>",
        "add a certificate into the CA file",
        Admin,
        add_authorities,
    ),
    row(&["commit", "ssl", "ca-file"], "commit ssl ca-file <cafile>", "commit a CA file", Admin, |call| {
        commits(call, |c| &c.generation.tls.library.authorities)
    }),
    row(
        &["commit", "ssl", "crl-file"],
        "commit ssl crl-file <crlfile>",
        "commit a CRL file",
        Admin,
        |call| commits(call, |c| &c.generation.tls.library.revocations),
    ),
    row(&["del", "ssl", "ca-file"], "del ssl ca-file <cafile>", "delete an unused CA file", Admin, |call| {
        deletes(call, "CA", "ca-file", |c| &c.generation.tls.library.authorities)
    }),
    row(
        &["del", "ssl", "crl-file"],
        "del ssl crl-file <crlfile>",
        "delete an unused CRL file",
        Admin,
        |call| deletes(call, "CRL", "crl-file", |c| &c.generation.tls.library.revocations),
    ),
    row(
        &["new", "ssl", "ca-file"],
        "new ssl ca-file <cafile>",
        "create a new CA file to be used in a crt-list",
        Admin,
        |call| creates(call, "CA", "ca-file", |c| &c.generation.tls.library.authorities),
    ),
    row(
        &["new", "ssl", "crl-file"],
        "new ssl crl-file <crlfile>",
        "create a new CRL file to be used in a crt-list",
        Admin,
        |call| creates(call, "CRL", "crl-file", |c| &c.generation.tls.library.revocations),
    ),
    row(
        &["set", "ssl", "ca-file"],
        "set ssl ca-file <cafile> <payload>",
        "replace a CA file",
        Admin,
        set_authorities,
    ),
    row(
        &["set", "ssl", "crl-file"],
        "set ssl crl-file <crlfile> <payload>",
        "replace a CRL file",
        Admin,
        set_revocations,
    ),
    row(
        &["show", "ssl", "ca-file"],
        "show ssl ca-file [<cafile>[:<index>]]",
        "display the SSL CA files used in memory, or the details of a <cafile>, or a single certificate of index <index> of a CA file <cafile>",
        User,
        show_authorities,
    ),
    row(
        &["show", "ssl", "crl-file"],
        "show ssl crl-file [<crlfile>[:<index>]]",
        "display the SSL CRL files used in memory, or the details of a <crlfile>, or a single CRL of index <index> of CRL file <crlfile>",
        User,
        show_revocations,
    ),
];

type Of<T> = for<'a> fn(&'a Call<'_>) -> &'a Book<T>;

fn aborts<T: Clone>(call: &mut Call<'_>, word: &str, book: Of<T>) -> Answer {
    let path = call.word(3);
    if path.is_empty() {
        return Answer::error(format!("'abort ssl {word}' expects a filename\n"));
    }
    aborted(book(call).take(Path::new(path)).map(drop), path)
}

fn commits<T: Clone>(call: &mut Call<'_>, book: Of<T>) -> Answer {
    let path = call.word(3);
    if path.is_empty() {
        // The original says so of both kinds.
        return Answer::error("'commit ssl ca-file expects a filename\n");
    }
    match book(call).commit(Path::new(path)) {
        Ok(()) => committed(path, call.generation.tls.library.renew(Path::new(path))),
        Err(refusal) => Answer::error(format!("{}Can't commit {path}!\n", refused(&refusal, path))),
    }
}

fn deletes<T: Clone>(call: &mut Call<'_>, kind: &str, word: &str, book: Of<T>) -> Answer {
    let path = call.word(3);
    if path.is_empty() {
        return Answer::error(format!("'del ssl {word}' expects a {kind} file name\n"));
    }
    let why = match book(call).delete(Path::new(path)) {
        Ok(()) => return Answer::info(format!("{kind} file '{path}' deleted!\n")),
        Err(Refusal::Used) => "in use, can't be deleted!",
        Err(_) => "doesn't exist!",
    };
    Answer::error(format!("Can't remove the {kind} file: {kind} file '{path}' {why}\n\n"))
}

fn creates<T: Clone>(call: &mut Call<'_>, kind: &str, word: &str, book: Of<T>) -> Answer {
    let path = call.word(3);
    if path.is_empty() {
        return Answer::error(format!("'new ssl {word}' expects a filename\n"));
    }
    if book(call).create(Path::new(path)) {
        Answer::info(format!("New {kind} file created '{path}'!\n"))
    } else {
        Answer::error(format!("{kind} file '{path}' already exists!\n"))
    }
}

fn prepared<T: Clone>(book: &Book<T>, kind: &str, path: &str, entries: Vec<T>) -> Answer {
    let fault = format!("Can't update {path}!\n");
    if entries.is_empty() && book.find(Path::new(path)).is_some() {
        return Answer::error(format!("Invalid payload\n{fault}"));
    }
    match book.prepare(Path::new(path), entries) {
        Ok(true) => Answer::info(format!("transaction created for {kind} {path}!\n")),
        Ok(false) => Answer::info(format!("transaction updated for {kind} {path}!\n")),
        Err(Refusal::Unknown) => {
            let short = if kind == "CA" { "CA file" } else { "CRL file" };
            Answer::error(format!(
                "Can't replace a {short} which is not referenced by the configuration!\n{fault}"
            ))
        }
        Err(refusal) => Answer::error(format!("{}{fault}", refused(&refusal, path))),
    }
}

fn set_authorities(call: &mut Call<'_>) -> Answer {
    let path = call.word(3);
    let Some(payload) = call.payload.filter(|_| !path.is_empty()) else {
        return Answer::error("'set ssl ca-file expects a filename and CAs as a payload\n");
    };
    let entries = tls::pem::anchors_of(Path::new(path), payload.as_bytes()).unwrap_or_default();
    prepared(&call.generation.tls.library.authorities, "CA", path, entries)
}

/// What is new stands behind what the file, or the change under way, has.
fn add_authorities(call: &mut Call<'_>) -> Answer {
    let path = call.word(3);
    let Some(payload) = call.payload.filter(|_| !path.is_empty()) else {
        return Answer::error("'add ssl ca-file expects a filename and CAs as a payload\n");
    };
    let book = &call.generation.tls.library.authorities;
    let new = tls::pem::anchors_of(Path::new(path), payload.as_bytes()).unwrap_or_default();
    if new.is_empty() {
        return prepared(book, "CA", path, new);
    }
    let mut entries = match book.pending() {
        Some((of, entries)) if of == Path::new(path) => entries,
        _ => book.find(Path::new(path)).map(|f| f.entries().to_vec()).unwrap_or_default(),
    };
    entries.extend(new);
    prepared(book, "CA", path, entries)
}

fn set_revocations(call: &mut Call<'_>) -> Answer {
    let path = call.word(3);
    let Some(payload) = call.payload.filter(|_| !path.is_empty()) else {
        return Answer::error("'set ssl crl-file expects a filename and CRLs as a payload\n");
    };
    let entries = tls::pem::revocations_of(Path::new(path), payload.as_bytes()).unwrap_or_default();
    prepared(&call.generation.tls.library.revocations, "CRL", path, entries)
}

/// What a name stands for: entries, their status, and which of them is asked for.
struct Wanted<'a, T> {
    name: &'a str,
    entries: Vec<T>,
    status: &'static str,
    index: Option<usize>,
}

fn wanted<'a, T: Clone>(book: &Book<T>, word: &'a str) -> Option<Wanted<'a, T>> {
    let (name, index) = match word.rsplit_once(':') {
        Some((name, index)) if index.parse::<usize>().is_ok() => (name, index.parse().ok()),
        _ => (word, None),
    };
    if let Some(bare) = name.strip_prefix('*') {
        let (of, entries) = book.pending()?;
        return (of == Path::new(bare)).then_some(Wanted { name, entries, status: "Unused", index });
    }
    let used = book.used(Path::new(name));
    let entries = book.find(Path::new(name))?.entries().to_vec();
    let status = match (used, entries.is_empty()) {
        (true, _) => "Used",
        (false, true) => "Empty",
        (false, false) => "Unused",
    };
    Some(Wanted { name, entries, status, index })
}

fn show_authorities(call: &mut Call<'_>) -> Answer {
    let book = &call.generation.tls.library.authorities;
    let word = call.word(3);
    let host = Path::new("@system-ca");
    if word.is_empty() || word.starts_with("@system-ca") {
        let _ = book.get(host, |path| Ok(tls::pem::anchors(path).unwrap_or_default()));
    }
    if word.is_empty() {
        let mut out = String::new();
        if let Some((path, entries)) = book.pending() {
            let _ = write!(out, "# transaction\n*{} - {} certificate(s)\n", path.display(), entries.len());
        }
        out.push_str("# filename\n");
        for (path, count) in book.list() {
            let _ = writeln!(out, "{} - {count} certificate(s)", path.display());
        }
        return Answer::Dump(out);
    }
    let Some(found) = wanted::<Facts>(book, word) else {
        return Answer::error("Can't display the CA file : Not found!\n");
    };
    let range = found.index.map_or(0..found.entries.len(), |at| at.wrapping_sub(1)..at);
    let Some(entries) = found.entries.get(range.clone()).filter(|e| !e.is_empty()) else {
        return Answer::Dump(String::new());
    };
    let mut out = format!("Filename: {}\nStatus: {}\n", found.name, found.status);
    for (card, number) in entries.iter().zip(range.start + 1..) {
        let _ = write!(out, " \nCertificate #{number}:\n");
        let _ = described(&card.der, &mut out);
    }
    Answer::Dump(out)
}

fn show_revocations(call: &mut Call<'_>) -> Answer {
    let book = &call.generation.tls.library.revocations;
    let word = call.word(3);
    if word.is_empty() {
        let mut out = String::new();
        if let Some((path, _)) = book.pending() {
            let _ = write!(out, "# transaction\n*{}\n", path.display());
        }
        out.push_str("# filename\n");
        for (path, _) in book.list() {
            let _ = writeln!(out, "{}", path.display());
        }
        return Answer::Dump(out);
    }
    let Some(found) = wanted::<List>(book, word) else {
        return Answer::error("Can't display the CRL file : Not found!\n");
    };
    let mut out = format!("Filename: {}\nStatus: {}\n", found.name, found.status);
    let range = found.index.map_or(0..found.entries.len(), |at| at.wrapping_sub(1)..at);
    for (list, number) in found.entries.get(range.clone()).unwrap_or_default().iter().zip(range.start + 1..) {
        let _ = write!(out, " \nCertificate Revocation List #{number}:\n");
        let _ = revocations(&list.der, &mut out);
    }
    Answer::Dump(out)
}

fn revocations(der: &[u8], out: &mut String) -> Option<()> {
    let (_, list) = CertificateRevocationList::from_der(der).ok()?;
    let tbs = &list.tbs_cert_list;
    let version = tbs.version.map_or(1, |v| v.0 + 1);
    let algorithm = signature_long(&list.signature_algorithm.algorithm.to_id_string());
    let issuer = crate::fetch::tls::one_line(&tbs.issuer);
    let _ = writeln!(out, "Version {version}\nSignature Algorithm: {algorithm}\nIssuer: {issuer}");
    let next = tbs.next_update.map_or_else(|| "NONE".to_owned(), |t| date(t.timestamp()));
    let _ = writeln!(out, "Last Update: {}\nNext Update: {next}", date(tbs.this_update.timestamp()));
    if tbs.revoked_certificates.is_empty() {
        out.push_str("No Revoked Certificates.\n");
        return Some(());
    }
    out.push_str("Revoked Certificates:\n");
    for revoked in &tbs.revoked_certificates {
        let raw = revoked.raw_serial();
        let serial = if raw.len() > 1 { raw.strip_prefix(&[0]).unwrap_or(raw) } else { raw };
        let at = date(revoked.revocation_date.timestamp());
        let _ = writeln!(out, "    Serial Number: {}\n        Revocation Date: {at}", hex(serial));
    }
    Some(())
}
