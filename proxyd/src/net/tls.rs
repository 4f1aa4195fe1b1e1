//! TLS of `bind` and `server` lines: settings to `tls`'s options, handshakes, and what fetches tell of them.
//!
//! Invariant: configurations are built with the generation; a connection only picks one.

use crate::config::model::{Bind, BindTls, Config, Global, Server, Verify};
use crate::mux::wire::Early;
use crate::stream::txn::TlsInfo;
use rustls::HandshakeKind;
use std::io;
use std::path::{Path, PathBuf};
use tls::store::Library;

/// The TLS configurations of a generation, by proxy and by bind line or server.
#[derive(Debug, Default)]
pub struct Configurations {
    /// Of bind lines; `None` where there is no TLS, or where it could not be built.
    pub binds: Vec<Vec<Option<tls::server::Server>>>,
    /// Of servers.
    pub servers: Vec<Vec<Option<tls::client::Client>>>,
    /// All certificates, which can be replaced.
    pub library: Library,
}

impl Configurations {
    /// Builds all; a line that can't be built refuses its connections.
    pub fn build(config: &Config) -> Self {
        let library = Library::default();
        let bind = |b: &Bind| {
            let settings = b.tls.as_ref()?;
            let global = &config.global;
            listener(settings, global.crt_base.as_deref(), global.ca_base.as_deref(), &library).ok()
        };
        let client = |s: &Server| {
            // Without `ssl`, too: the command line may switch it on.
            s.tls.as_ref()?;
            tls::client::build_with(&client_options(s, &config.global), &library).ok()
        };
        let proxies = &config.proxies;
        let binds = proxies.iter().map(|p| p.binds.iter().map(bind).collect()).collect();
        let servers = proxies.iter().map(|p| p.servers.iter().map(client).collect()).collect();
        Self { binds, servers, library }
    }
}

/// Why a bind line's TLS can't be had.
#[derive(Debug)]
pub enum Fault {
    /// A file or word.
    Tls(tls::Error),
    /// A `crt-list` that can't be read.
    Unreadable(PathBuf, io::Error),
    /// A line of a `crt-list`.
    Line(PathBuf, usize, String),
}

impl From<tls::Error> for Fault {
    fn from(error: tls::Error) -> Self {
        Self::Tls(error)
    }
}

/// The TLS of a bind line.
///
/// # Errors
/// The first file, line or word that can't be used.
pub fn listener(
    settings: &BindTls,
    crt_base: Option<&Path>,
    ca_base: Option<&Path>,
    library: &Library,
) -> Result<tls::server::Server, Fault> {
    let options = server_options(settings, ca_base);
    let (mut store, mut more) = (tls::store::Store::new(), Vec::new());
    for path in &settings.crt {
        store.load(library, &based(path, crt_base))?;
    }
    for list in &settings.crt_list {
        let text = std::fs::read_to_string(list).map_err(|e| Fault::Unreadable(list.clone(), e))?;
        let bad = |number, text: &str| Fault::Line(list.clone(), number, text.to_owned());
        let lines = tls::crt_list::parse(&text).map_err(|number| bad(number, "no closing ']'"))?;
        for line in lines {
            let mut number = 0;
            if !line.options.is_empty() {
                let own = with_words(options.clone(), &line.options, ca_base);
                more.push(own.map_err(|word| bad(line.number, &format!("unknown ssl keyword {word}")))?);
                number = more.len();
            }
            store.add(library, &based(Path::new(&line.file), crt_base), &line.filters, number)?;
        }
    }
    Ok(tls::server::build(&options, &more, library, store)?)
}

/// Settings with the words of a `crt-list` line; the error is a word that is not known there.
fn with_words(
    mut options: tls::server::Options,
    words: &[String],
    ca_base: Option<&Path>,
) -> Result<tls::server::Options, String> {
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "no-tls-tickets" => {
                options.no_tickets = true;
                continue;
            }
            // Early data is never taken.
            "no-ca-names" | "allow-0rtt" => continue,
            _ => {}
        }
        let value = words.next().ok_or_else(|| word.clone())?;
        match word.as_str() {
            "alpn" => options.limits.alpn = value.split(',').map(str::to_owned).collect(),
            "ssl-min-ver" => options.limits.min_version = Some(value.clone()),
            "ssl-max-ver" => options.limits.max_version = Some(value.clone()),
            "ciphers" => options.limits.ciphers = Some(value.clone()),
            "ciphersuites" => options.limits.ciphersuites = Some(value.clone()),
            "ca-file" => options.ca_file = Some(based(Path::new(value), ca_base)),
            "crl-file" => options.crl_file = Some(based(Path::new(value), ca_base)),
            "curves" | "ecdhe" => {}
            "verify" => {
                options.verify = match value.as_str() {
                    "required" => tls::server::Verify::Required,
                    "optional" => tls::server::Verify::Optional,
                    "none" => tls::server::Verify::None,
                    _ => return Err(word.clone()),
                }
            }
            _ => return Err(word.clone()),
        }
    }
    Ok(options)
}

fn based(path: &Path, base: Option<&Path>) -> PathBuf {
    match base {
        Some(base) if path.is_relative() => base.join(path),
        _ => path.to_owned(),
    }
}

fn server_options(settings: &BindTls, ca_base: Option<&Path>) -> tls::server::Options {
    let mut ignored = tls::verdict::Ignored::default();
    let authorities = settings.other.get("ca-ignore-err");
    for text in [settings.ignore_errors.as_ref(), authorities].into_iter().flatten() {
        ignored.add(text);
    }
    tls::server::Options {
        certificates: Vec::new(),
        strict_sni: settings.strict_sni,
        verify: match settings.verify {
            Verify::Required => tls::server::Verify::Required,
            Verify::Optional => tls::server::Verify::Optional,
            Verify::Unset | Verify::None => tls::server::Verify::None,
        },
        ca_file: settings.ca_file.as_ref().map(|f| authority(f, ca_base)),
        crl_file: settings.crl_file.as_deref().map(|f| based(f, ca_base)),
        ignored,
        no_tickets: settings.no_tls_tickets,
        limits: tls::Limits {
            min_version: settings.min_version.clone(),
            max_version: settings.max_version.clone(),
            ciphers: settings.ciphers.clone(),
            ciphersuites: settings.ciphersuites.clone(),
            alpn: settings.alpn.clone().unwrap_or_default(),
        },
    }
}

/// A `ca-file`; `@system-ca` is no path.
fn authority(file: &str, base: Option<&Path>) -> PathBuf {
    if file.starts_with('@') { file.into() } else { based(Path::new(file), base) }
}

/// What a server's `ssl` words ask for, its SNI aside (that may depend on the request).
pub fn client_options(server: &Server, global: &Global) -> tls::client::Options {
    let Some(settings) = &server.tls else { return tls::client::Options::default() };
    let (crt_base, ca_base) = (global.crt_base.as_deref(), global.ca_base.as_deref());
    // Who says nothing is checked where there is something to check with.
    let unsaid = settings.verify == Verify::Unset && settings.ca_file.is_some();
    tls::client::Options {
        verify: settings.verify == Verify::Required || unsaid,
        ca_file: settings.ca_file.as_ref().map(|f| authority(f, ca_base)),
        crl_file: settings.crl_file.as_deref().map(|f| based(f, ca_base)),
        verify_host: settings.verifyhost.clone(),
        certificate: settings.crt.as_deref().map(|f| based(f, crt_base)),
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

/// Asks a server for TLS; `sni` is sent where the request gave one, and `only` is what is spoken behind it where
/// the usual choice is not left to the server.
pub async fn connect(
    client: &tls::client::Client,
    sni: Option<&str>,
    only: Option<&[u8]>,
    stream: Early,
) -> io::Result<tokio_rustls::client::TlsStream<Early>> {
    let (config, name) = match sni.and_then(rustls_pki_name) {
        Some(name) => (&client.named, name),
        None => (&client.config, client.name.clone()),
    };
    let mut config = std::sync::Arc::clone(config);
    if let Some(only) = only.filter(|_| !config.alpn_protocols.is_empty()) {
        std::sync::Arc::make_mut(&mut config).alpn_protocols = vec![only.to_vec()];
    }
    tokio_rustls::TlsConnector::from(config).connect(name, stream).await
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
