//! Files that TLS words name, tried while the line is read, so that `-c` refuses what could not serve.
//!
//! Invariant: what passes here loads again when the configuration comes into force, unless the file changes in between.
//!
//! Absent on purpose: the settings themselves (`net::tls`).

use super::model::{BindTls, Global, ServerTls};
use crate::net::tls::{Fault, library, listener};
use std::path::Path;
use tls::Error;
use tls::crt_list::based;

/// What is wrong with the files of a `bind` line, in haproxy's words.
pub(super) fn of_bind(settings: &BindTls, global: &Global) -> Result<(), String> {
    let ca_base = global.ca_base.as_deref();
    for (word, file) in
        [("ca-file", settings.ca_file.as_ref()), ("ca-verify-file", settings.other.get("ca-verify-file"))]
    {
        authorities(word, file.map(String::as_str), ca_base)?;
    }
    revocations(settings.crl_file.as_deref(), ca_base)?;
    if settings.crt.is_empty() && settings.crt_list.is_empty() {
        return Ok(()); // told with the line's other faults
    }
    match listener(settings, global, "", &library(global)) {
        // Ciphers and versions are judged with their words.
        Ok(_)
        | Err(Fault::Tls(Error::Verifier(_) | Error::Version(_) | Error::Ciphers(_) | Error::Groups(_))) => {
            Ok(())
        }
        Err(Fault::Tls(error)) => Err(text(&error)),
        Err(Fault::Unreadable(path, e)) => {
            Err(format!("'crt-list' : cannot open file '{}' : {}", path.display(), system(&e)))
        }
        Err(Fault::Line(what)) => Err(format!("'crt-list' : {what}")),
        Err(Fault::Keys(what)) => Err(format!("'tls-ticket-keys' : {what}")),
    }
}

/// What is wrong with the files of a `server` line.
pub(super) fn of_server(settings: &ServerTls, global: &Global) -> Result<(), String> {
    revocations(settings.crl_file.as_deref(), global.ca_base.as_deref())?;
    match &settings.crt {
        Some(path) => {
            let path = based(path, global.crt_base.as_deref());
            library(global).certificate(&path).map(drop).map_err(|e| text(&e))
        }
        None => Ok(()),
    }
}

/// The same, its `ca-file` included.
pub(super) fn of_server_files(settings: &ServerTls, global: &Global) -> Result<(), String> {
    // The original ends what it tells of an option with a stop.
    authorities("ca-file", settings.ca_file.as_deref(), global.ca_base.as_deref())
        .map_err(|text| text + ".")?;
    of_server(settings, global)
}

fn authorities(word: &str, file: Option<&str>, base: Option<&Path>) -> Result<(), String> {
    let Some(file) = file.filter(|f| !f.starts_with('@')) else { return Ok(()) };
    let path = based(Path::new(file), base);
    tls::pem::anchors(&path).map(drop).map_err(|_| format!("'{word}' : unable to load {}", path.display()))
}

fn revocations(file: Option<&Path>, base: Option<&Path>) -> Result<(), String> {
    let Some(path) = file.map(|f| based(f, base)) else { return Ok(()) };
    let found = tls::pem::revocations(&path).is_ok_and(|lists| !lists.is_empty());
    if found { Ok(()) } else { Err(format!("'crl-file' : unable to load {}", path.display())) }
}

fn system(e: &std::io::Error) -> String {
    nix::errno::Errno::from_raw(e.raw_os_error().unwrap_or_default()).desc().to_owned()
}

fn text(error: &Error) -> String {
    match error {
        Error::Read { path, reason } => match std::fs::metadata(path) {
            Err(e) => {
                format!("unable to stat SSL certificate from file '{}' : {}.", path.display(), system(&e))
            }
            Ok(_) => format!("unable to load certificate from file '{}' : {reason}.", path.display()),
        },
        Error::NoCertificate(path) | Error::Pem { path, .. } => {
            format!("unable to load certificate from file '{}'.", path.display())
        }
        Error::NoKey(_, tried) => format!("No Private Key found in '{}'.", tried.display()),
        Error::Authorities(path) => format!("'ca-file' : unable to load {}", path.display()),
        Error::NoIssuer(path) => format!(
            "'{0}.ocsp' is present and activates OCSP but it is impossible to compute the OCSP certificate ID (maybe the \
             issuer could not be found)'.",
            path.display()
        ),
        Error::Refused { path, source: rustls::Error::InconsistentKeys(_) } => {
            format!("inconsistencies between private key and certificate loaded '{}'.", path.display())
        }
        other => format!("unable to load certificate : {other}."),
    }
}
