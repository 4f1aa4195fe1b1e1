//! Files that TLS words name, tried while the line is read, so that `-c` refuses what could not serve.
//!
//! Invariant: what passes here loads again when the configuration comes into force, unless the file changes in between.
//!
//! Absent on purpose: the settings themselves (`net::tls`).

use super::model::{BindTls, ServerTls};
use crate::net::tls::{Fault, listener};
use std::path::Path;
use tls::Error;

/// What is wrong with the files of a `bind` line, in haproxy's words.
pub(super) fn of_bind(
    settings: &BindTls,
    crt_base: Option<&Path>,
    ca_base: Option<&Path>,
) -> Result<(), String> {
    authorities(settings.ca_file.as_deref(), ca_base)?;
    if settings.crt.is_empty() && settings.crt_list.is_empty() {
        return Ok(()); // told with the line's other faults
    }
    match listener(settings, crt_base, ca_base, &tls::store::Library::default()) {
        // Ciphers and versions are judged with their words.
        Ok(_) | Err(Fault::Tls(Error::Verifier(_) | Error::Version(_) | Error::Ciphers(_))) => Ok(()),
        Err(Fault::Tls(error)) => Err(text(&error)),
        Err(Fault::Unreadable(path, e)) => {
            Err(format!("'crt-list' : cannot open file '{}' : {}", path.display(), system(&e)))
        }
        Err(Fault::Line(path, line, what)) => {
            Err(format!("'crt-list' : error processing line {line} in file '{}' : {what}", path.display()))
        }
    }
}

/// What is wrong with the files of a `server` line.
pub(super) fn of_server(settings: &ServerTls, crt_base: Option<&Path>) -> Result<(), String> {
    match &settings.crt {
        Some(path) => tls::pem::certified_key(&based(path, crt_base), None).map(drop).map_err(|e| text(&e)),
        None => Ok(()),
    }
}

/// The same, its `ca-file` included.
pub(super) fn of_server_files(
    settings: &ServerTls,
    crt_base: Option<&Path>,
    ca_base: Option<&Path>,
) -> Result<(), String> {
    // The original ends what it tells of an option with a stop.
    authorities(settings.ca_file.as_deref(), ca_base).map_err(|text| text + ".")?;
    of_server(settings, crt_base)
}

/// A path, below `crt-base` or `ca-base` where it is relative.
pub(super) fn based(path: &Path, base: Option<&Path>) -> std::path::PathBuf {
    base.filter(|_| path.is_relative()).map_or_else(|| path.to_owned(), |b| b.join(path))
}

fn authorities(file: Option<&str>, base: Option<&Path>) -> Result<(), String> {
    let Some(file) = file.filter(|f| !f.starts_with('@')) else { return Ok(()) };
    let path = based(Path::new(file), base);
    tls::pem::roots(&path).map(drop).map_err(|_| format!("'ca-file' : unable to load {}", path.display()))
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
        Error::NoKey(path) if path.extension().is_some_and(|e| e == "key") => {
            format!("No Private Key found in '{}'.", path.display())
        }
        Error::NoKey(path) => format!("No Private Key found in '{}.key'.", path.display()),
        Error::Refused { path, source: rustls::Error::InconsistentKeys(_) } => {
            format!("inconsistencies between private key and certificate loaded '{}'.", path.display())
        }
        other => format!("unable to load certificate : {other}."),
    }
}
