//! TLS of `bind` and `server` lines: settings to `tls`'s options, handshakes, and what fetches tell of them.
//!
//! Invariant: configurations are built with the generation; a connection only picks one.

use crate::config::model::{Bind, BindTls, Config, Global, Peers, Roster, Server, Verify};
use crate::mux::wire::Early;
use crate::stream::txn::TlsInfo;
use rustls::HandshakeKind;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tls::crt_list::{authority, based};
use tls::store::{Library, Place};
use tls::verdict::{Ignored, Verdict};

/// The TLS configurations of a generation, by proxy and by bind line or server.
#[derive(Debug, Default)]
pub struct Configurations {
    /// Of bind lines; `None` where there is no TLS, or where it could not be built.
    pub binds: Vec<Vec<Option<tls::server::Server>>>,
    /// Of bind lines of `log-forward` sections.
    pub forwards: Vec<Vec<Option<tls::server::Server>>>,
    /// Of listeners of `peers` sections.
    pub peers: Vec<Option<tls::server::Server>>,
    /// Of servers.
    pub servers: Vec<Roster<Option<Arc<tls::client::Slot>>>>,
    /// All certificates, which can be replaced.
    pub library: Library,
    /// What caches of sessions did.
    pub counts: Arc<tls::sessions::Counts>,
    /// Files of ticket keys, in the order of their first use.
    pub ticket_keys: Vec<Arc<tls::tickets::Keys>>,
}

impl Configurations {
    /// Builds all; a line that can't be built refuses its connections.
    pub fn build(config: &Config) -> Self {
        let (library, global) = (library(&config.global), &config.global);
        let counts = Arc::<tls::sessions::Counts>::default();
        let mut ticket_keys = Vec::new();
        let mut of_section = |binds: &[Bind]| {
            let mut built: Vec<Option<tls::server::Server>> = Vec::new();
            for (at, bind) in binds.iter().enumerate() {
                // Addresses of one line share what the line says.
                let twin = at.checked_sub(1).filter(|before| binds[*before].origin == bind.origin);
                if let Some(before) = twin.and_then(|before| built[before].clone()) {
                    built.push(Some(before));
                    continue;
                }
                built.push(bind.tls.as_ref().and_then(|settings| {
                    let mut held = Held { counts: Arc::clone(&counts), ticket_keys: &mut ticket_keys };
                    served(settings, global, &bind.origin, &library, &mut held).ok()
                }));
            }
            built
        };
        let binds = config.proxies.iter().map(|p| of_section(&p.binds)).collect();
        let forwards = config.log_forwards.iter().map(|f| of_section(&f.streams)).collect();
        let local = |p: &Peers| p.local.as_ref().and_then(|b| of_section(std::slice::from_ref(b)).pop()?);
        let peers = config.peers.iter().map(local).collect();
        let client = |s: &Server| of_server(s, global, &library);
        let servers = config.proxies.iter().map(|p| p.servers.iter().map(client).collect()).collect();
        Self { binds, forwards, peers, servers, library, counts, ticket_keys }
    }
}

/// The TLS towards a server: without `ssl`, too, for the command line may switch it on.
pub fn of_server(server: &Server, global: &Global, library: &Library) -> Option<Arc<tls::client::Slot>> {
    server.tls.as_ref()?;
    tls::client::Slot::new(client_options(server, global), library).ok()
}

/// Things that listeners share.
struct Held<'a> {
    counts: Arc<tls::sessions::Counts>,
    ticket_keys: &'a mut Vec<Arc<tls::tickets::Keys>>,
}

/// An empty library that reads files beside certificates as `global` says.
pub fn library(global: &Global) -> Library {
    let mut beside = tls::contents::Beside {
        replace_ending: global.ssl_defaults.contains_key("ssl-load-extra-del-ext"),
        chains: global.ssl_defaults.get("issuers-chain-path").and_then(|w| w.first()).map(PathBuf::from),
        ..tls::contents::Beside::default()
    };
    if let Some(words) = global.ssl_defaults.get("ssl-load-extra-files") {
        let has = |word: &str| words.iter().any(|w| w == word || w == "all");
        (beside.key, beside.issuer, beside.ocsp) = (has("key"), has("issuer"), has("ocsp"));
        (beside.sctl, beside.bundle) = (has("sctl"), has("bundle"));
    }
    Library::new(beside)
}

/// Why a bind line's TLS can't be had.
#[derive(Debug)]
pub enum Fault {
    /// A file or word.
    Tls(tls::Error),
    /// A `crt-list` that can't be read.
    Unreadable(PathBuf, io::Error),
    /// A line of a `crt-list`.
    Line(String),
    /// Keys of tickets.
    Keys(String),
}

impl From<tls::Error> for Fault {
    fn from(error: tls::Error) -> Self {
        Self::Tls(error)
    }
}

/// The TLS of a bind line; `origin` is where it stands.
///
/// # Errors
/// The first file, line or word that can't be used.
pub fn listener(
    settings: &BindTls,
    global: &Global,
    origin: &str,
    library: &Library,
) -> Result<tls::server::Server, Fault> {
    let mut held = Held { counts: Arc::default(), ticket_keys: &mut Vec::new() };
    served(settings, global, origin, library, &mut held)
}

fn served(
    settings: &BindTls,
    global: &Global,
    origin: &str,
    library: &Library,
    held: &mut Held<'_>,
) -> Result<tls::server::Server, Fault> {
    let (crt_base, ca_base) = (global.crt_base.as_deref(), global.ca_base.as_deref());
    let mut options = server_options(settings, ca_base);
    options.label = origin.to_owned();
    options.sessions = sessions(global, &held.counts);
    options.ticket_keys = settings.other.get("tls-ticket-keys").map(|f| ticket_keys(f, held)).transpose()?;
    let (mut store, mut more, mut lists) = (tls::store::Store::new(), Vec::new(), Vec::new());
    for path in &settings.crt {
        let path = based(path, crt_base);
        store.load(library, &path)?;
        if path.is_dir() {
            lists.push(path);
        }
    }
    for list in &settings.crt_list {
        if list.is_dir() {
            store.load(library, list)?;
            lists.push(list.clone());
            continue;
        }
        let text = std::fs::read_to_string(list).map_err(|e| Fault::Unreadable(list.clone(), e))?;
        let at = |number| format!("{}:{number}", list.display());
        let open = |number| Fault::Line(format!("parsing [{}]: no closing ']'", at(number)));
        let lines = tls::crt_list::parse(&text).map_err(open)?;
        library.lists.define(list, &lines, crt_base);
        for line in &lines {
            let mut number = 0;
            if let Some(words) = line.options.as_ref().filter(|w| !w.is_empty()) {
                let own = tls::crt_list::with_words(options.clone(), words, ca_base, &at(line.number));
                more.push(own.map_err(Fault::Line)?);
                number = more.len();
            }
            let place = Place { filters: &line.filters, settings: number, entry: Some((list, line.number)) };
            store.add(library, &based(Path::new(&line.file), crt_base), &place)?;
        }
        lists.push(list.clone());
    }
    Ok(tls::server::build(&options, &more, library, store, lists)?)
}

/// How sessions are remembered (`tune.ssl.cachesize`, `tune.ssl.lifetime`).
fn sessions(global: &Global, counts: &Arc<tls::sessions::Counts>) -> tls::sessions::Sessions {
    let word = |name: &str| global.ssl_defaults.get(name).and_then(|w| w.first());
    let mut sessions = tls::sessions::Sessions { counts: Arc::clone(counts), ..Default::default() };
    if let Some(most) = word("tune.ssl.cachesize").and_then(|w| w.parse().ok()) {
        sessions.most = most;
    }
    let seconds = |w: &String| conf_parsers::value::duration(w, conf_parsers::value::TimeUnit::Sec).ok();
    if let Some(lifetime) = word("tune.ssl.lifetime").and_then(seconds) {
        sessions.lifetime = lifetime;
    }
    sessions
}

/// How much of lists of a client's greeting is kept (`tune.ssl.capture-buffer-size`).
pub fn capture(global: &Global) -> usize {
    let names = ["tune.ssl.capture-buffer-size", "tune.ssl.capture-cipherlist-size"];
    let words = names.iter().filter_map(|n| global.ssl_defaults.get(*n)?.first());
    words.filter_map(|w| w.parse().ok()).max().unwrap_or(0)
}

/// Keys of tickets in a file: one a line in base64, shared by all who name the file.
fn ticket_keys(file: &str, held: &mut Held<'_>) -> Result<Arc<tls::tickets::Keys>, Fault> {
    use base64::Engine as _;
    let path = Path::new(file);
    if let Some(known) = held.ticket_keys.iter().find(|k| k.path == path) {
        return Ok(Arc::clone(known));
    }
    let text = std::fs::read_to_string(path)
        .map_err(|_| Fault::Keys("unable to load TLS ticket keys file".into()))?;
    let mut keys = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let bad = |_| Fault::Keys(format!("unable to decode base64 key on line {}", at + 1));
        keys.push(base64::engine::general_purpose::STANDARD.decode(line.trim()).map_err(bad)?);
    }
    let keys = tls::tickets::Keys::new(path, keys).map_err(|e| Fault::Keys(e.into()))?;
    let keys = Arc::new(keys);
    held.ticket_keys.push(Arc::clone(&keys));
    Ok(keys)
}

fn server_options(settings: &BindTls, ca_base: Option<&Path>) -> tls::server::Options {
    let (mut ignored, mut ignored_authorities) = <(Ignored, Ignored)>::default();
    if let Some(text) = &settings.ignore_errors {
        ignored.add(text);
    }
    if let Some(text) = settings.other.get("ca-ignore-err") {
        ignored_authorities.add(text);
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
        ca_verify_file: settings.other.get("ca-verify-file").map(|f| authority(f, ca_base)),
        crl_file: settings.crl_file.as_deref().map(|f| based(f, ca_base)),
        no_ca_names: settings.other.contains_key("no-ca-names"),
        ignored,
        ignored_authorities,
        no_tickets: settings.no_tls_tickets,
        limits: tls::Limits {
            min_version: settings.min_version.clone(),
            max_version: settings.max_version.clone(),
            ciphers: settings.ciphers.clone(),
            ciphersuites: settings.ciphersuites.clone(),
            curves: settings.curves.clone(),
            alpn: settings.alpn.clone().unwrap_or_default(),
        },
        ..tls::server::Options::default()
    }
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
        limits: Box::new(tls::Limits {
            min_version: settings.min_version.clone(),
            max_version: settings.max_version.clone(),
            ciphers: settings.other.get("ciphers").cloned(),
            ciphersuites: settings.other.get("ciphersuites").cloned(),
            curves: settings.other.get("curves").or_else(|| settings.other.get("ecdhe")).cloned(),
            alpn: settings.alpn.clone().unwrap_or_default(),
        }),
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
        group: connection.negotiated_key_exchange_group().and_then(|g| tls::group_name(g.name())),
        verdict: Verdict::default(),
        error: None,
        client_hello: Vec::new(),
    }
}
