//! TLS of `bind` and `server` lines: settings to `tls`'s options, handshakes, and what fetches tell of them.
//!
//! Invariant: configurations are built with the generation; a connection only picks one.

use crate::config::model::{Bind, BindTls, Config, Proxy, Server, Verify};
use crate::stream::txn::TlsInfo;
use rustls::HandshakeKind;
use std::io;
use std::path::PathBuf;
use tokio::net::TcpStream;

/// The TLS configurations of a generation, by proxy and by bind line or server.
#[derive(Debug, Default)]
pub struct Configurations {
    /// Of bind lines; `None` where there is no TLS, or where it could not be built.
    pub binds: Vec<Vec<Option<tls::server::Server>>>,
    /// Of servers.
    pub servers: Vec<Vec<Option<tls::client::Client>>>,
}

impl Configurations {
    /// Builds all; a line that can't be built refuses its connections.
    pub fn build(config: &Config) -> Self {
        let bind = |proxy: &Proxy| proxy.binds.iter().map(|b| server(config, proxy, b)).collect();
        let client = |s: &Server| {
            // Without `ssl`, too: the command line may switch it on.
            s.tls.as_ref().and_then(|_| tls::client::build(&client_options(s)).ok())
        };
        Self {
            binds: config.proxies.iter().map(bind).collect(),
            servers: config.proxies.iter().map(|p| p.servers.iter().map(client).collect()).collect(),
        }
    }
}

fn server(config: &Config, proxy: &Proxy, bind: &Bind) -> Option<tls::server::Server> {
    let settings = bind.tls.as_ref()?;
    let options = server_options(config, proxy, settings);
    if settings.crt_list.is_empty() {
        return tls::server::load(&options).ok();
    }
    let mut store = tls::store::Store::new();
    for path in &options.certificates {
        store.load(path).ok()?;
    }
    let base = config.global.crt_base.clone();
    for list in &settings.crt_list {
        crt_list(&mut store, list, base.as_deref())?;
    }
    tls::server::build(&options, store).ok()
}

/// `FILE [options] [!]filter…`, one a line.
fn crt_list(store: &mut tls::store::Store, list: &PathBuf, base: Option<&std::path::Path>) -> Option<()> {
    let text = std::fs::read_to_string(list).ok()?;
    for line in text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')) {
        let (file, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let rest = rest.trim();
        let filters = match rest.strip_prefix('[') {
            Some(options) => options.split_once(']').map_or("", |(_, filters)| filters),
            None => rest,
        };
        let names: Vec<String> =
            filters.split_whitespace().filter(|f| !f.starts_with('!')).map(str::to_ascii_lowercase).collect();
        let path = based(std::path::Path::new(file), base);
        store.add(tls::pem::certified_key(&path, None).ok()?, &names);
    }
    Some(())
}

fn based(path: &std::path::Path, base: Option<&std::path::Path>) -> PathBuf {
    match base {
        Some(base) if path.is_relative() => base.join(path),
        _ => path.to_owned(),
    }
}

fn server_options(config: &Config, _: &Proxy, settings: &BindTls) -> tls::server::Options {
    let global = &config.global;
    let alpn = settings.alpn.clone().unwrap_or_default();
    tls::server::Options {
        certificates: settings.crt.iter().map(|p| based(p, global.crt_base.as_deref())).collect(),
        strict_sni: settings.strict_sni,
        verify: match settings.verify {
            Verify::Required => tls::server::Verify::Required,
            Verify::Optional => tls::server::Verify::Optional,
            Verify::Unset | Verify::None => tls::server::Verify::None,
        },
        ca_file: settings.ca_file.as_ref().map(|f| based(std::path::Path::new(f), global.ca_base.as_deref())),
        crl_file: settings.crl_file.clone(),
        no_tickets: settings.no_tls_tickets,
        limits: tls::Limits {
            min_version: settings.min_version.clone(),
            max_version: settings.max_version.clone(),
            ciphers: settings.ciphers.clone(),
            ciphersuites: settings.ciphersuites.clone(),
            alpn,
        },
    }
}

/// What a server's `ssl` words ask for, its SNI aside (that may depend on the request).
pub fn client_options(server: &Server) -> tls::client::Options {
    let Some(settings) = &server.tls else { return tls::client::Options::default() };
    tls::client::Options {
        verify: settings.verify == Verify::Required,
        ca_file: settings.ca_file.clone().map(Into::into),
        crl_file: settings.crl_file.clone(),
        verify_host: settings.verifyhost.clone(),
        certificate: settings.crt.clone(),
        limits: tls::Limits {
            min_version: settings.min_version.clone(),
            max_version: settings.max_version.clone(),
            ciphers: settings.other.get("ciphers").cloned(),
            ciphersuites: settings.other.get("ciphersuites").cloned(),
            alpn: settings.alpn.clone().unwrap_or_default(),
        },
        ..tls::client::Options::default()
    }
}

/// Asks a server for TLS; `sni` is sent where the request gave one.
pub async fn connect(
    client: &tls::client::Client,
    sni: Option<&str>,
    stream: TcpStream,
) -> io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let name = match sni.and_then(rustls_pki_name) {
        Some(name) => name,
        None => client.name.clone(),
    };
    tokio_rustls::TlsConnector::from(std::sync::Arc::clone(&client.config)).connect(name, stream).await
}

fn rustls_pki_name(text: &str) -> Option<rustls::pki_types::ServerName<'static>> {
    rustls::pki_types::ServerName::try_from(text.to_owned()).ok()
}

/// What fetches and logs tell of a connection.
pub fn info(connection: &rustls::CommonState, sni: Option<&str>) -> TlsInfo {
    let version = match connection.protocol_version() {
        Some(rustls::ProtocolVersion::TLSv1_2) => "TLSv1.2",
        Some(rustls::ProtocolVersion::TLSv1_3) => "TLSv1.3",
        _ => "",
    };
    let suite = connection.negotiated_cipher_suite().map(|s| s.suite());
    let cipher = suite.and_then(tls::suite_name).unwrap_or_default();
    TlsInfo {
        version: version.to_owned(),
        cipher: cipher.to_owned(),
        bits: if cipher.contains("128") { 128 } else { 256 },
        sni: sni.map(str::to_owned),
        alpn: connection.alpn_protocol().map(<[u8]>::to_vec),
        resumed: connection.handshake_kind() == Some(HandshakeKind::Resumed),
        peer_certs: connection.peer_certificates().unwrap_or_default().iter().map(|c| c.to_vec()).collect(),
        own_cert: None,
        verify_error: 0,
        client_hello: Vec::new(),
    }
}
