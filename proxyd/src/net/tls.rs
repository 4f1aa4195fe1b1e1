//! TLS of `bind` and `server` lines: from their settings to `tls`'s options.

use crate::config::model::{Server, Verify};

/// What a server's `ssl` words ask for, its SNI aside (that may depend on the request).
pub fn client_options(server: &Server) -> tls::client::Options {
    let Some(settings) = &server.tls else { return tls::client::Options::default() };
    tls::client::Options {
        verify: settings.verify == Verify::Required,
        ca_file: settings.ca_file.clone().map(Into::into),
        crl_file: settings.crl_file.clone(),
        verify_host: settings.verifyhost.clone(),
        certificate: settings.crt.clone(),
        ..tls::client::Options::default()
    }
}
