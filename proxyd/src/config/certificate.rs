//! Files that TLS words name, tried while the line is read, so that `-c` refuses what could not serve.
//!
//! Invariant: what passes here loads again when the configuration comes into force, unless the file changes in between.
//!
//! Absent on purpose: the settings themselves (`net::tls`).

use super::model::{BindTls, ServerTls};
use std::path::Path;
use tls::Error;

/// What is wrong with the files of a `bind` line, in haproxy's words.
pub(super) fn of_bind(
    settings: &BindTls,
    crt_base: Option<&Path>,
    ca_base: Option<&Path>,
) -> Result<(), String> {
    for path in &settings.crt {
        let path = based(path, crt_base);
        tls::store::Store::new().load(&path).map_err(|e| text(&e))?;
    }
    for list in &settings.crt_list {
        std::fs::metadata(list)
            .map_err(|e| format!("'crt-list' : cannot open file '{}' : {}", list.display(), system(&e)))?;
    }
    authorities(settings.ca_file.as_deref(), ca_base)
}

/// What is wrong with the files of a `server` line.
pub(super) fn of_server(settings: &ServerTls) -> Result<(), String> {
    match &settings.crt {
        Some(path) => tls::pem::certified_key(path, None).map(drop).map_err(|e| text(&e)),
        None => Ok(()),
    }
}

fn based(path: &Path, base: Option<&Path>) -> std::path::PathBuf {
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
