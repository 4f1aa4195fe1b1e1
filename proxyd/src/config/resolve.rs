//! Cross references and the checks of the whole configuration.
//!
//! Order of the checks is the order in which haproxy tells their faults: proxy by proxy, in file order.

use super::model::{
    BackendTarget, Config, InitAddr, Kind, Mode, Proxy, ProxyId, Server, ServerAddress, ServerId, UseBackend,
    UseServer, Verify,
};
use super::proxy::{Draft, ErrorPage, noun};
use super::{Loader, late, mode};
use crate::sample::expr::{Complaint, Owner};
use diag::{Diagnostic, Lead, Report, Severity, Span};
use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// The first address of a name, by the host's resolver.
pub(super) fn host(name: &str) -> Option<IpAddr> {
    host_of_family(name, None)
}

/// The first address of a name in a family.
pub(super) fn host_of_family(name: &str, family: Option<u8>) -> Option<IpAddr> {
    let fits = |ip: &IpAddr| match family {
        Some(4) => ip.is_ipv4(),
        Some(6) => ip.is_ipv6(),
        _ => true,
    };
    let found: Vec<IpAddr> = (name, 0).to_socket_addrs().ok()?.map(|a| a.ip()).filter(fits).collect();
    found.iter().find(|ip| ip.is_ipv4()).or(found.first()).copied()
}

/// What the texts of checks lack: a place. The span serves the excerpt only.
fn bare(severity: Severity, span: Span, text: String) -> Diagnostic {
    Diagnostic::at(severity, span, text).lead(Lead::Bare)
}

/// What a section needs to know of another one.
pub(super) struct Kin {
    pub(super) name: String,
    mode: Mode,
    kind: Kind,
    header: Span,
}

/// Proxies by name, once for each side.
struct Names {
    back: HashMap<String, usize>,
    front: HashMap<String, usize>,
}

impl Names {
    fn of(drafts: &[Draft]) -> Self {
        let mut names = Self { back: HashMap::new(), front: HashMap::new() };
        for (i, draft) in drafts.iter().enumerate() {
            let kind = draft.proxy.kind;
            if kind.is_back() {
                names.back.entry(draft.proxy.name.clone()).or_insert(i);
            }
            if kind.is_front() {
                names.front.entry(draft.proxy.name.clone()).or_insert(i);
            }
        }
        names
    }
}

/// Resolves all references and tells what is wrong with the whole; fills `config.proxies`.
pub(super) fn all(loader: &mut Loader<'_>) {
    let mut drafts = std::mem::take(&mut loader.drafts);
    let names = Names::of(&drafts);
    resolve_hosts(loader, &mut drafts);
    let kin = |d: &Draft| {
        let (name, mode, kind) = (d.proxy.name.clone(), d.proxy.mode, d.proxy.kind);
        Kin { name, mode, kind, header: d.header }
    };
    let kinds: Vec<Kin> = drafts.iter().map(kin).collect();
    let tracks: Vec<_> = drafts.iter().map(|d| server_names(&d.proxy)).collect();
    let mut uuids = used_ids(loader, &drafts);
    let proxies: Vec<&Proxy> = drafts.iter().map(|d| &d.proxy).collect();
    let complaints = loader.refs.complaints(&proxies, &loader.config);
    for draft in &mut drafts {
        if draft.proxy.uuid == 0 {
            draft.proxy.uuid = next_id(&mut uuids);
        }
        number_servers(loader, draft);
        dynamic_cookies(&mut draft.proxy);
        let told = loader.report.items.len();
        mode::settings(loader, draft);
        late::openings(loader, draft);
        late::checks(loader, draft);
        late::loops(loader, draft, &kinds, &names.back);
        backends(loader, draft, &names, &kinds);
        server_switches(loader, draft);
        names_in_rules(loader, draft, &complaints);
        sync_peers(loader, draft);
        late::two_passwords(loader, draft);
        loader.report.items.append(&mut draft.format_faults);
        timeouts(loader, draft);
        late::tcp_checks(loader, draft);
        late::captures(loader, draft);
        errors(loader, draft);
        servers(loader, draft, &names, &tracks);
        late::unheard(loader, draft);
        mode::rules(loader, draft);
        if draft.proxy.disabled {
            loader.report.items.truncate(told);
        }
    }
    late::ports(loader, &drafts);
    for draft in &mut drafts {
        if draft.log_global {
            let mut logs = loader.config.global.logs.clone();
            logs.append(&mut draft.proxy.logs);
            draft.proxy.logs = logs;
        }
    }
    loader.report.items.append(&mut loader.late);
    loader.drafts = drafts;
}

/// Names in rules and expressions of a section that name nothing.
fn names_in_rules(loader: &mut Loader<'_>, draft: &mut Draft, complaints: &[(Owner, Complaint)]) {
    let own =
        |(owner, _): &&(Owner, Complaint)| owner.name == draft.proxy.name && owner.kind == draft.proxy.kind;
    let own = || complaints.iter().filter(own).map(|(_, c)| c);
    let mut texts: Vec<String> = Vec::new();
    texts.extend(own().filter_map(|c| if let Complaint::Stick(t) = c { Some(t.clone()) } else { None }));
    for text in texts.drain(..) {
        loader.report.push(bare(Severity::Alert, draft.header, text));
    }
    texts.extend(own().filter_map(|c| if let Complaint::Rule(t) = c { Some(t.clone()) } else { None }));
    let faults = texts.clone();
    for text in texts.drain(..) {
        loader.report.push(bare(Severity::Alert, draft.header, text));
    }
    late::contents(loader, draft, &faults);
    texts.append(&mut draft.rule_faults);
    let arguments: Vec<&str> =
        own().filter_map(|c| if let Complaint::Argument(t) = c { Some(t.as_str()) } else { None }).collect();
    match arguments.as_slice() {
        [] => {}
        [one] => texts.push((*one).to_owned()),
        all => {
            texts.push(format!("multiple argument resolution errors:\n        {}", all.join("\n        ")));
        }
    }
    for text in texts {
        loader.report.push(bare(Severity::Alert, draft.header, text));
    }
}

/// Caches that rules and filters name, and nothing has the name.
pub(super) fn names_of_caches(config: &Config, report: &mut Report) {
    for text in config.refs.lost_caches(config) {
        report.push(Diagnostic::global(Severity::Alert, text));
    }
}

/// The section whose peers a table is shared with; it may have been removed.
fn sync_peers(loader: &mut Loader<'_>, draft: &mut Draft) {
    let Some(table) = &mut draft.proxy.stick_table else { return };
    let Some(peers) = &table.peers else { return };
    if !loader.peers.has(peers) {
        let text = format!("Proxy '{}': unable to find sync peers '{peers}'.", draft.proxy.name);
        return loader.report.push(Diagnostic::global(Severity::Alert, text));
    }
    if !loader.config.peers.iter().any(|p| p.name == *peers && !p.disabled) {
        table.peers = None;
    }
}

fn server_names(proxy: &Proxy) -> HashMap<String, usize> {
    proxy.servers.iter().enumerate().map(|(i, s)| (s.name.clone(), i)).collect()
}

fn used_ids(loader: &mut Loader<'_>, drafts: &[Draft]) -> HashSet<u32> {
    let mut used = HashSet::new();
    for draft in drafts.iter().filter(|d| d.proxy.uuid != 0) {
        if !used.insert(draft.proxy.uuid) {
            let text = format!(
                "'id' {} of '{}' is already used by another proxy.",
                draft.proxy.uuid, draft.proxy.name
            );
            loader.report.alert(draft.header, text);
        }
    }
    used
}

fn next_id(used: &mut HashSet<u32>) -> u32 {
    let id = (2..u32::MAX).find(|n| !used.contains(n)).unwrap_or(u32::MAX);
    used.insert(id);
    id
}

fn number_servers(loader: &mut Loader<'_>, draft: &mut Draft) {
    let mut used: HashSet<u32> = HashSet::new();
    for (index, server) in draft.proxy.servers.iter().enumerate().filter(|(_, s)| s.uuid != 0) {
        if used.insert(server.uuid) {
            continue;
        }
        let first = draft.proxy.servers.iter().position(|s| s.uuid == server.uuid).unwrap_or(index);
        let (Some(here), Some(there)) = (draft.server_lines.get(index), draft.server_lines.get(first)) else {
            continue;
        };
        let text = format!(
            "'server {}/{}' : 'id' : custom id {} already used at {}:{} ('server {}').",
            draft.proxy.name,
            server.name,
            server.uuid,
            loader.sources.name(there.line),
            loader.sources.line(there.line),
            draft.proxy.servers[first].name
        );
        loader.report.push(Diagnostic::at(Severity::Alert, here.line, text).lead(Lead::Bracket));
    }
    // Servers with an id of their own use up a number too.
    let mut next = 1;
    for server in &mut draft.proxy.servers {
        if server.uuid == 0 {
            next = (next..u32::MAX).find(|n| !used.contains(n)).unwrap_or(u32::MAX);
            used.insert(next);
            server.uuid = next;
        }
        next = next.saturating_add(1);
    }
}

/// `cookie … dynamic`: servers without a cookie get the hash of the key, their address and port.
fn dynamic_cookies(proxy: &mut Proxy) {
    let dynamic = proxy.cookie.as_ref().is_some_and(|c| c.dynamic);
    let key = proxy.dynamic_cookie_key.as_ref().filter(|_| dynamic);
    for server in &mut proxy.servers {
        made_cookie(key, server);
    }
}

/// Notes that a server's line names no cookie, and makes one where there is a key for it.
pub(super) fn made_cookie(key: Option<&String>, server: &mut Server) {
    server.cookie_is_made = server.cookie.is_none();
    if let (true, Some(key), ServerAddress::Inet(address)) = (server.cookie_is_made, key, &server.address) {
        server.cookie = Some(crate::runtime::cookies::made_of(key, *address));
    }
}

fn backends(loader: &mut Loader<'_>, draft: &mut Draft, names: &Names, kinds: &[Kin]) {
    let name = draft.proxy.name.clone();
    if draft.proxy.disabled {
        return;
    }
    if !draft.proxy.kind.is_front() {
        // What a backend says of backends has no effect, but must name some.
        let lost = |name: &&str| !names.back.contains_key(*name);
        let default = draft.default_backend.as_ref().map(|t| t.name.as_str()).filter(lost);
        let used = draft.switches.iter().filter(|s| s.format.is_none()).map(|s| s.target.text.as_str());
        let lines = default.into_iter().map(|t| ("default_backend", t));
        for (word, target) in lines.chain(used.filter(lost).map(|t| ("use_backend", t))) {
            let text = format!("Proxy '{name}': unable to find required {word}: '{target}'.");
            loader.report.push(bare(Severity::Alert, draft.header, text));
        }
        return;
    }
    if let Some(target) = &draft.default_backend {
        match find_backend(names, kinds, &target.name, draft.proxy.mode) {
            Ok(id) => draft.proxy.default_backend = Some(ProxyId(id)),
            Err(None) => {
                let text =
                    format!("Proxy '{name}': unable to find required default_backend: '{}'.", target.name);
                loader.report.push(
                    bare(Severity::Alert, target.span, text)
                        .help("no backend or listen section has this name"),
                );
            }
            Err(Some(i)) => {
                let text = incompatible(loader, draft, &kinds[i], "as its default backend");
                loader.report.push(bare(Severity::Alert, target.span, text));
            }
        }
    }
    if draft.proxy.default_backend.is_some() && !draft.proxy.servers.is_empty() {
        let text = format!(
            "In proxy '{name}', the 'default_backend' rule always has precedence over the servers, which will never be used."
        );
        loader.report.push(bare(Severity::Warning, draft.header, text));
    }
    for switch in std::mem::take(&mut draft.switches) {
        let condition = switch.condition;
        if let Some(format) = switch.format {
            draft.proxy.use_backend.push(UseBackend { condition, target: BackendTarget::Dynamic(format) });
            continue;
        }
        let word = &switch.target;
        match find_backend(names, kinds, &word.text, draft.proxy.mode) {
            Ok(id) => {
                let target = BackendTarget::Static(ProxyId(id));
                draft.proxy.use_backend.push(UseBackend { condition, target });
            }
            Err(None) => {
                let text = format!("Proxy '{name}': unable to find required use_backend: '{}'.", word.text);
                loader.report.push(bare(Severity::Alert, word.span, text));
            }
            Err(Some(i)) => {
                let text = incompatible(loader, draft, &kinds[i], "in a 'use_backend' rule");
                loader.report.push(bare(Severity::Alert, word.span, text));
            }
        }
    }
}

/// What is told of a backend whose mode is another one.
fn incompatible(loader: &Loader<'_>, draft: &Draft, backend: &Kin, how: &str) -> String {
    let place = |span| format!("{}:{}", loader.sources.name(span), loader.sources.line(span));
    let mode = |mode| if mode == Mode::Http { "http" } else { "tcp" };
    format!(
        "{} {} '{}' ({}) tries to use incompatible {} {} '{}' ({}) {how} (see 'mode').",
        mode(draft.proxy.mode),
        noun(draft.proxy.kind),
        draft.proxy.name,
        place(draft.header),
        mode(backend.mode),
        noun(backend.kind),
        backend.name,
        place(backend.header)
    )
}

/// `use-server` targets.
fn server_switches(loader: &mut Loader<'_>, draft: &mut Draft) {
    for switch in std::mem::take(&mut draft.server_switches) {
        let name = &switch.target.text;
        let server = draft.proxy.servers.iter().position(|s| s.name == *name).map(ServerId);
        if server.is_none() && switch.format.is_none() {
            let text = format!(
                "{} '{}' : unable to find server '{name}' referenced in a 'use-server' rule.",
                noun(draft.proxy.kind),
                draft.proxy.name
            );
            loader.report.push(bare(Severity::Alert, switch.target.span, text));
            continue;
        }
        draft.proxy.use_server.push(UseServer {
            condition: switch.condition,
            server,
            dynamic: switch.format,
        });
    }
}

/// A TCP frontend may use an HTTP backend (the connection is upgraded), not the other way round.
fn find_backend(names: &Names, kinds: &[Kin], name: &str, mode: Mode) -> Result<usize, Option<usize>> {
    let found = *names.back.get(name).ok_or(None)?;
    if mode == Mode::Http && kinds[found].mode != Mode::Http {
        return Err(Some(found));
    }
    Ok(found)
}

fn errors(loader: &mut Loader<'_>, draft: &mut Draft) {
    for page in std::mem::take(&mut draft.errorfiles) {
        let (section, wanted, span) = match page {
            ErrorPage::Section(section, wanted, span) => (section, wanted, span),
            ErrorPage::Own(status, reply) => {
                draft.proxy.errors.insert(status, reply);
                continue;
            }
            // Its fault was told with its line.
            ErrorPage::Line(_) => continue,
        };
        let Some(pages) = loader.config.http_errors.get(&section).cloned() else {
            let text =
                format!("proxy '{}': unable to find http-errors section '{section}'.", draft.proxy.name);
            loader.report.push(bare(Severity::Alert, span, text));
            continue;
        };
        for (status, reply) in pages.iter().filter(|(s, _)| wanted.is_empty() || wanted.contains(s)) {
            draft.proxy.errors.insert(*status, reply.clone());
        }
    }
}

/// Told for a server whose certificate is to be verified against nothing.
pub(super) const VERIFY_NEEDS_CA: &str = "verify is enabled by default but no CA file specified. If you're running on a LAN where you're certain to trust the server's certificate, please set an explicit 'verify none' statement on the 'server' line, or use 'ssl-server-verify none' in the global section to disable server-side verifications by default.";

fn servers(loader: &mut Loader<'_>, draft: &mut Draft, names: &Names, tracks: &[HashMap<String, usize>]) {
    let mut seen: HashMap<String, Span> = HashMap::new();
    for (server, origin) in draft.proxy.servers.iter().zip(&draft.server_lines) {
        if let Some(first) = seen.insert(server.name.clone(), origin.line) {
            let text = format!(
                "parsing [{}:{}] : {} '{}', another server named '{}' was already defined at line {}, please use distinct names.",
                loader.sources.name(origin.line),
                loader.sources.line(origin.line),
                noun_of_backend(draft.proxy.kind),
                draft.proxy.name,
                server.name,
                loader.sources.line(first)
            );
            loader.report.push(bare(Severity::Alert, origin.line, text));
        }
    }
    let global = loader.config.global.ssl_defaults.get("ssl-server-verify");
    let unverified = global.is_some_and(|w| w.first().is_some_and(|w| w == "none"));
    for (server, origin) in draft.proxy.servers.iter_mut().zip(&draft.server_lines) {
        let place = format!("'server {}/{}'", draft.proxy.name, server.name);
        if let Some(tls) = server.tls.as_mut().filter(|t| t.enabled && t.verify != Verify::None) {
            if tls.verify == Verify::Unset {
                tls.verify = if unverified { Verify::None } else { Verify::Required };
            }
            if tls.verify == Verify::Required && tls.ca_file.is_none() {
                let text = format!("{place} : {VERIFY_NEEDS_CA}");
                loader.report.push(Diagnostic::at(Severity::Alert, origin.line, text).lead(Lead::Bracket));
            }
        }
        let base = loader.config.global.ca_base.as_deref();
        if let Some(text) = tls_fault(server, base) {
            let text = format!("{place} : {text}");
            loader.report.push(Diagnostic::at(Severity::Alert, origin.line, text).lead(Lead::Bracket));
        }
        if server.agent.enabled && server.agent.port.is_none_or(|p| p == 0) {
            let text = format!(
                "{place} : server {} does not have agent port. Agent check has been disabled.",
                server.name
            );
            loader.report.push(Diagnostic::at(Severity::Alert, origin.line, text).lead(Lead::Bracket));
        }
    }
    tracked(loader, draft, names, tracks);
}

/// `track` of servers: whom they follow.
fn tracked(loader: &mut Loader<'_>, draft: &mut Draft, names: &Names, tracks: &[HashMap<String, usize>]) {
    for (index, target) in std::mem::take(&mut draft.tracks) {
        let (backend, server) = target.name.split_once('/').unwrap_or((&draft.proxy.name, &target.name));
        let found =
            names.back.get(backend).and_then(|b| tracks[*b].get(server).map(|s| (ProxyId(*b), ServerId(*s))));
        match found {
            Some((_, ServerId(found))) if found == index && backend == draft.proxy.name => {
                let text = format!(
                    "'server {backend}/{server}' : unable to track {backend}/{server} as it belongs to a tracking chain looping back to {backend}/{server}."
                );
                loader.report.push(Diagnostic::at(Severity::Alert, target.span, text).lead(Lead::Bracket));
            }
            Some(found) => {
                if let Some(server) = draft.proxy.servers.get_mut(index) {
                    server.track = Some(found);
                }
            }
            None => {
                let what = if names.back.contains_key(backend) { "server" } else { "proxy" };
                let text = format!(
                    "'server {}/{}' : unable to find required {what} '{}' for tracking.",
                    draft.proxy.name,
                    draft.proxy.servers.get(index).map_or("", |s| &s.name),
                    if what == "server" { server } else { backend }
                );
                loader.report.push(Diagnostic::at(Severity::Alert, target.span, text).lead(Lead::Bracket));
            }
        }
    }
}

/// What is wrong with the files that a server's TLS settings name.
fn tls_fault(server: &super::model::Server, base: Option<&std::path::Path>) -> Option<String> {
    let file = server.tls.as_ref()?.ca_file.as_ref()?;
    if file.starts_with('@') {
        return None;
    }
    let path = tls::crt_list::based(std::path::Path::new(file), base);
    let text = path.display();
    let error = std::fs::metadata(&path).err()?;
    let reason = if error.kind() == std::io::ErrorKind::NotFound {
        "No such file or directory".to_owned()
    } else {
        error.to_string()
    };
    Some(format!("Couldn't open the ca-file '{text}' ({reason})."))
}

fn noun_of_backend(kind: Kind) -> &'static str {
    if kind == Kind::Backend { "backend" } else { "proxy" }
}

const TIMEOUTS_TEXT: &str = "While not properly invalid, you will certainly encounter various problems\n   | with such a \
    configuration. To fix this, please ensure that all following\n   | timeouts are set to a non-zero value: 'client', \
    'connect', 'server'.";

fn timeouts(loader: &mut Loader<'_>, draft: &Draft) {
    let proxy = &draft.proxy;
    let t = &proxy.timeouts;
    let back = proxy.kind.is_back() && !proxy.servers.is_empty();
    let missing = (proxy.kind.is_front() && t.client.is_none())
        || (back && (t.connect.is_none() || t.server.is_none()));
    if missing && !proxy.disabled {
        let text =
            format!("missing timeouts for {} '{}'.\n   | {TIMEOUTS_TEXT}", noun(proxy.kind), proxy.name);
        loader.report.push(bare(Severity::Warning, draft.header, text));
    }
}

/// Names of servers to addresses, all names at once: `init-addr`, whose default is `last,libc`.
fn resolve_hosts(loader: &mut Loader<'_>, drafts: &mut [Draft]) {
    let asks_host = |s: &Server| {
        let methods =
            s.init_addr.iter().flatten().take_while(|m| !matches!(m, InitAddr::None | InitAddr::Ip(_)));
        s.fqdn.is_some()
            && matches!(s.address, ServerAddress::Name(..))
            && (s.init_addr.is_none() || methods.into_iter().any(|m| *m == InitAddr::Libc))
    };
    let wanted: HashSet<String> = drafts
        .iter()
        .flat_map(|d| &d.proxy.servers)
        .filter(|s| asks_host(s))
        .filter_map(|s| s.fqdn.clone())
        .collect();
    let found = look_up(wanted.into_iter().collect());
    for draft in drafts {
        let place = draft.proxy.name.clone();
        for (server, origin) in draft.proxy.servers.iter_mut().zip(&draft.server_lines) {
            let ServerAddress::Name(name, port) = server.address.clone() else { continue };
            let ip = server.fqdn.as_ref().filter(|_| asks_host(server)).and_then(|name| *found.get(name)?);
            let (fixed, asked) = (fixed_ip(server), asks_host(server));
            if let Some(ip) = ip.or(fixed) {
                server.address = ServerAddress::Inet(SocketAddr::new(ip, port));
            }
            let fault = match (ip, fixed) {
                (Some(_), _) => None,
                (None, Some(_)) => asked.then(|| fallback(server, &name, &place)),
                (None, None) => unresolved(server, &name, &place, asked, loader.unresolved_stays),
            };
            if let Some(fault) = fault {
                loader.report.push(Diagnostic { span: Some(origin.address), ..fault });
            }
        }
    }
}

/// What is told of a server whose name says nothing, and that has an address for this case.
fn fallback(server: &Server, name: &str, proxy: &str) -> Diagnostic {
    let text = format!(
        "'server {proxy}/{}' : could not resolve address '{name}', falling back to configured address.",
        server.name
    );
    Diagnostic::global(Severity::Warning, text).lead(Lead::Bracket)
}

/// What is told of a server that starts without an address; `asked` says that its name was looked up.
fn unresolved(server: &Server, name: &str, proxy: &str, asked: bool, stays: bool) -> Option<Diagnostic> {
    let place = format!("'server {proxy}/{}'", server.name);
    if server.init_addr.iter().flatten().any(|m| *m == InitAddr::None) {
        let text = format!("{place} : could not resolve address '{name}', disabling server.");
        return asked.then(|| Diagnostic::global(Severity::Warning, text).lead(Lead::Bracket));
    }
    let (severity, text) = match (&server.srv_record, &server.resolvers) {
        (Some(_), Some(_)) => return None,
        (Some(_), None) => {
            (Severity::Alert, format!("{place} : no method found to resolve address '{name}'."))
        }
        (None, Some(_)) => {
            (Severity::Warning, format!("{place} : could not resolve address '{name}', disabling server."))
        }
        (None, None) if stays => {
            (Severity::Warning, format!("{place} : could not resolve address '{name}', disabling server."))
        }
        (None, None) => (Severity::Alert, format!("{place} : could not resolve address '{name}'.")),
    };
    let help = "the host's resolver does not know this name; 'init-addr none' starts without it";
    Some(Diagnostic::global(severity, text).lead(Lead::Bracket).help(help))
}

/// `init-addr …,IP`: starts with that address.
fn fixed_ip(server: &Server) -> Option<IpAddr> {
    server.init_addr.iter().flatten().find_map(|m| match m {
        InitAddr::Ip(ip) => Some(*ip),
        _ => None,
    })
}

/// Threads that look names up at the same time.
const LOOKUPS_MAX: usize = 32;

/// How long lookups begin. A silent resolver costs the host's library ten seconds as it comes (two attempts of five), and
/// Pacemaker gives a start twenty seconds by default: names whose turn comes behind this are not asked for.
const LOOKUPS_BEGIN: Duration = Duration::from_secs(5);

/// Looks all names up, many at once, so that one silent resolver costs its time once only.
fn look_up(names: Vec<String>) -> HashMap<String, Option<IpAddr>> {
    look_up_by(names, LOOKUPS_BEGIN, host)
}

fn look_up_by(
    names: Vec<String>,
    begin: Duration,
    ask: impl Fn(&str) -> Option<IpAddr> + Sync,
) -> HashMap<String, Option<IpAddr>> {
    let found: Mutex<HashMap<_, _>> = Mutex::new(names.iter().map(|name| (name.clone(), None)).collect());
    let threads = names.len().min(LOOKUPS_MAX);
    let until = Instant::now() + begin;
    let left = Mutex::new(names);
    let next = || left.lock().ok().and_then(|mut names| names.pop()).filter(|_| Instant::now() < until);
    // All are waited for, however long one takes: a process with threads can't go to the background.
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(name) = next() {
                    let ip = ask(&name);
                    if let Ok(mut found) = found.lock() {
                        found.insert(name, ip);
                    }
                }
            });
        }
    });
    found.into_inner().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silent_resolvers_cost_their_time_once_however_many_names_there_are() {
        let ask = |name: &str| {
            if name != "known" {
                std::thread::sleep(Duration::from_secs(2));
            }
            Some(IpAddr::from([127, 0, 0, 1]))
        };
        let names: Vec<String> =
            (0..3 * LOOKUPS_MAX).map(|n| format!("n{n}")).chain(["known".to_owned()]).collect();
        let count = names.len();
        let found = look_up_by(names, Duration::from_secs(1), ask);
        assert_eq!(found.len(), count);
        assert_eq!(found["known"], Some(IpAddr::from([127, 0, 0, 1])));
        assert!(
            found.values().flatten().count() <= LOOKUPS_MAX + 1,
            "one round, and who had time for another"
        );
    }
}
