//! Compiled sample expressions: `fetch(args),conv(args)…` resolved against the tables.
//!
//! Invariant: an [`Expr`] that compiled can be run anywhere its [`Expr::points`] say; names that may be defined
//! further down in the file are slots, filled by [`Refs::bind`] before the configuration is in force.
//!
//! Absent on purpose: syntax (conf-parsers), where the value goes.

use super::args::{Arg, parse_int, parse_mask4, parse_mask6, types};
use super::source::{Points, Source};
use super::{Type, Value};
use crate::acl::Acl;
use crate::acl::file::PatRefs;
use crate::config::model::{Config, ErrorReply, Kind, Mode, Proxy, ProxyId, ServerId, Userlist};
use crate::http::cache::{Cache, Caches};
use crate::stick::{SharedTable, Tables};
use crate::stream::view::View;
use crate::{conv, fetch};
use conf_parsers::haproxy::expr::{Call, SampleExpr};
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

/// Where a fetch with several values stands, and what it knows of what is still to come.
#[derive(Debug, Default, Clone, Copy)]
pub struct Cursor {
    /// The fetch's own count of values given so far.
    pub at: usize,
    /// There may be another value.
    pub more: bool,
    /// The result may change once more bytes are there.
    pub pending: bool,
}

/// A table named in an argument.
#[derive(Debug, Default)]
pub struct TableSlot {
    /// The name as written, or the proxy's own.
    pub name: String,
    /// The table, once bound.
    pub table: OnceLock<Arc<SharedTable>>,
}

/// A frontend or backend named in an argument.
#[derive(Debug, Default)]
pub struct ProxySlot {
    /// The name as written, or the proxy's own.
    pub name: String,
    /// The proxy, once bound.
    pub id: OnceLock<ProxyId>,
}

/// A server named in an argument.
#[derive(Debug, Default)]
pub struct ServerSlot {
    /// The backend's name.
    pub backend: String,
    /// The server's name.
    pub server: String,
    /// Both, once bound.
    pub id: OnceLock<(ProxyId, ServerId)>,
}

/// A userlist named in an argument.
#[derive(Debug, Default)]
pub struct UserlistSlot {
    /// The name.
    pub name: String,
    /// The list, once bound.
    pub list: OnceLock<Arc<Userlist>>,
}

/// A reference still to be bound.
#[derive(Debug, Clone)]
enum Late {
    Table(Arc<TableSlot>),
    Frontend(Arc<ProxySlot>),
    Backend(Arc<ProxySlot>),
    Server(Arc<ServerSlot>),
    Userlist(Arc<UserlistSlot>),
}

/// What names something: decides what is told where nothing has the name, and when.
#[derive(Debug, Clone)]
pub enum Referrer {
    /// `stick on|match|store-request`, with the type of its expression.
    Stick(Type),
    /// `stick store-response`.
    Store(Type),
    /// `track-scN`, with N.
    Track(usize, Type),
    /// The second rule of a line whose first one tells.
    Silent,
}

impl Referrer {
    /// What is told of a rule whose expression can't be a key of the table.
    fn unusable(&self, proxy: &str, table: &str, key: Type) -> Option<Complaint> {
        match self {
            Self::Stick(from) | Self::Store(from) if !from.casts_to(key) => {
                let text =
                    format!("Proxy '{proxy}': type of fetch not usable with type of stick-table '{table}'.");
                Some(Complaint::Stick(text))
            }
            Self::Track(n, from) if !from.casts_to(key) => {
                let text = format!(
                    "Proxy '{proxy}': stick-table '{table}' uses a type incompatible with the 'track-sc{n}' rule."
                );
                Some(Complaint::Rule(text))
            }
            _ => None,
        }
    }
}

/// Whose line names something, as complaints are told section by section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The section's name.
    pub name: String,
    /// The section's kind.
    pub kind: Kind,
}

#[derive(Debug, Clone)]
enum Told {
    Rule(Referrer),
    /// Where the expression stands, and what its argument is of.
    Argument(String, String),
}

/// A name that nothing has.
#[derive(Debug, PartialEq, Eq)]
pub enum Complaint {
    /// Of a stick rule: the whole text.
    Stick(String),
    /// Of a rule: the whole text.
    Rule(String),
    /// Of an argument of a fetch or converter: the whole text; those of a section are told together.
    Argument(String),
}

/// A cache named by a rule or a filter.
#[derive(Debug, Default)]
pub struct CacheSlot {
    /// The name as written.
    pub name: String,
    /// The store, once bound.
    pub cache: OnceLock<Arc<Cache>>,
}

/// Everything named in expressions that may be defined later than it is used.
#[derive(Debug, Default)]
pub struct Refs {
    list: Vec<(Late, Owner, Told)>,
    /// `resolvers` sections that rules ask, whose the rule is, and what is told where there is no such section.
    pub resolvers: Vec<(String, Owner, String)>,
    caches: Vec<(Arc<CacheSlot>, String)>,
}

impl Refs {
    fn argument(&mut self, late: Late, place: Place<'_>) {
        let told = Told::Argument(place.at.to_owned(), place.of.to_owned());
        self.list.push((late, place.owner, told));
    }

    /// Adds a table named by a rule (`track-sc0 … table`, `stick on`).
    pub fn table(&mut self, name: &str, owner: Owner, by: Referrer) -> Arc<TableSlot> {
        let slot = Arc::new(TableSlot { name: name.to_owned(), table: OnceLock::new() });
        self.list.push((Late::Table(Arc::clone(&slot)), owner, Told::Rule(by)));
        slot
    }

    /// Adds a cache named by a rule or a filter of a proxy.
    pub fn cache(&mut self, name: &str, proxy: &str) -> Arc<CacheSlot> {
        let slot = Arc::new(CacheSlot { name: name.to_owned(), cache: OnceLock::new() });
        self.caches.push((Arc::clone(&slot), proxy.to_owned()));
        slot
    }

    /// Takes over another list.
    pub fn extend(&mut self, other: Self) {
        self.list.extend(other.list);
        self.resolvers.extend(other.resolvers);
        self.caches.extend(other.caches);
    }

    /// Whether an expression names this server.
    pub fn names_server(&self, at: (ProxyId, ServerId)) -> bool {
        self.list.iter().any(|(late, ..)| matches!(late, Late::Server(s) if s.id.get() == Some(&at)))
    }

    /// What can't be resolved among these sections, with whose it is, in the order of the lines; nothing is bound.
    pub fn complaints(&self, proxies: &[&Proxy], config: &Config) -> Vec<(Owner, Complaint)> {
        let finder = Finder::new(proxies.iter().copied(), config);
        let told = |(late, owner, told): &(Late, Owner, Told)| {
            let name = &owner.name;
            if let (Told::Rule(by), Late::Table(slot)) = (told, late)
                && let Some(key) = finder.key_of(&slot.name)
            {
                return by.unusable(name, &slot.name, key).map(|c| (owner.clone(), c));
            }
            let (fault, comma) = finder.complaint(late)?;
            let complaint = match (told, late) {
                (Told::Rule(Referrer::Silent), _) => return None,
                (Told::Rule(Referrer::Stick(_)), Late::Table(s)) => {
                    Complaint::Stick(format!("Proxy '{name}': unable to find stick-table '{}'.", s.name))
                }
                (Told::Rule(Referrer::Store(_)), Late::Table(s)) => {
                    Complaint::Stick(format!("Proxy '{name}': unable to find store table '{}'.", s.name))
                }
                (Told::Rule(Referrer::Track(n, _)), _) => {
                    Complaint::Rule(format!("Proxy '{name}': {fault} referenced by track-sc{n}."))
                }
                (Told::Argument(at, of), _) => Complaint::Argument(format!(
                    "parsing [{at}]: {fault}{comma} referenced in {of} in proxy '{name}'."
                )),
                (Told::Rule(_), _) => return None,
            };
            Some((owner.clone(), complaint))
        };
        let known = |name: &str| config.resolvers.iter().any(|r| r.name == *name);
        let unknown = self.resolvers.iter().filter(|(name, ..)| !known(name));
        let resolvers = unknown.map(|(_, owner, text)| (owner.clone(), Complaint::Rule(text.clone())));
        self.list.iter().filter_map(told).chain(resolvers).collect()
    }

    /// Caches that are named and are no section, in haproxy's texts.
    pub fn lost_caches(&self, config: &Config) -> Vec<String> {
        let mut told: Vec<(&str, &str)> = Vec::new();
        for (slot, proxy) in &self.caches {
            let lost = (proxy.as_str(), slot.name.as_str());
            if !config.caches.iter().any(|c| c.name == slot.name) && !told.contains(&lost) {
                told.push(lost);
            }
        }
        let text = |(proxy, name): (&str, &str)| {
            format!(
                "config: proxy '{proxy}': unable to find the cache '{name}' referenced by the filter 'cache'."
            )
        };
        told.into_iter().map(text).collect()
    }

    /// Binds caches to their stores.
    pub fn bind_caches(&self, config: &Config, caches: &Caches) {
        for (slot, _) in &self.caches {
            let settings = config.caches.iter().find(|c| c.name == slot.name);
            settings.map(|s| slot.cache.set(caches.ensure(s)));
        }
    }

    /// Binds every name to what it means in a configuration and to the live tables. Names that [`Self::check`]
    /// would complain of stay unbound, and expressions with them have no value.
    pub fn bind(&self, config: &Config, tables: &Tables) {
        let finder = Finder::new(config.proxies.iter(), config);
        for (late, ..) in &self.list {
            finder.bind(late, tables);
        }
    }
}

/// Look-up of names in a whole configuration.
struct Finder<'c> {
    config: &'c Config,
    all: Vec<&'c Proxy>,
    proxies: HashMap<&'c str, Vec<usize>>,
}

impl<'c> Finder<'c> {
    fn new(all: impl Iterator<Item = &'c Proxy>, config: &'c Config) -> Self {
        let all: Vec<&Proxy> = all.collect();
        let mut proxies: HashMap<&str, Vec<usize>> = HashMap::new();
        for (i, p) in all.iter().enumerate() {
            proxies.entry(p.name.as_str()).or_default().push(i);
        }
        Self { config, all, proxies }
    }

    fn proxy(&self, name: &str, front: bool) -> Option<ProxyId> {
        let side = |k: Kind| if front { k.is_front() } else { k.is_back() };
        self.proxies.get(name)?.iter().copied().find(|i| side(self.all[*i].kind)).map(ProxyId)
    }

    fn server(&self, slot: &ServerSlot) -> Option<(ProxyId, ServerId)> {
        let id = self.proxy(&slot.backend, false)?;
        let at = self.all[id.0].servers.iter().position(|s| s.name == slot.server)?;
        Some((id, ServerId(at)))
    }

    /// The type of a table's keys.
    fn key_of(&self, name: &str) -> Option<Type> {
        let of_proxy = |i: &usize| self.all[*i].stick_table.as_ref();
        let of_peers = || self.config.peers.iter().flat_map(|p| &p.tables).find(|t| t.name == name);
        let table = self.proxies.get(name).and_then(|l| l.iter().find_map(of_proxy)).or_else(of_peers);
        table.map(|t| t.kind.sample())
    }

    fn has_table(&self, name: &str) -> bool {
        self.key_of(name).is_some()
    }

    /// What is told of a name that nothing has, and what follows it.
    fn complaint(&self, late: &Late) -> Option<(String, &'static str)> {
        let text = match late {
            Late::Table(s) => {
                (!self.has_table(&s.name)).then(|| format!("unable to find table '{}'", s.name))
            }
            Late::Frontend(s) => {
                self.proxy(&s.name, true).is_none().then(|| format!("unable to find frontend '{}'", s.name))
            }
            Late::Backend(s) => {
                self.proxy(&s.name, false).is_none().then(|| format!("unable to find backend '{}'", s.name))
            }
            Late::Server(s) => match (self.proxy(&s.backend, false), self.server(s)) {
                (None, _) => Some(format!("unable to find proxy '{}'", s.backend)),
                (_, None) => {
                    let text = format!("unable to find server '{}' in proxy '{}'", s.server, s.backend);
                    return Some((text, ","));
                }
                _ => None,
            },
            Late::Userlist(s) => (!self.config.userlists.contains_key(&s.name))
                .then(|| format!("unable to find userlist '{}'", s.name)),
        };
        text.map(|t| (t, ""))
    }

    fn bind(&self, late: &Late, tables: &Tables) {
        // A slot that is bound already stays so: it belongs to this configuration alone.
        match late {
            Late::Table(s) => {
                tables.find(&s.name).map(|t| s.table.set(t));
            }
            Late::Frontend(s) => {
                self.proxy(&s.name, true).map(|id| s.id.set(id));
            }
            Late::Backend(s) => {
                self.proxy(&s.name, false).map(|id| s.id.set(id));
            }
            Late::Server(s) => {
                self.server(s).map(|id| s.id.set(id));
            }
            Late::Userlist(s) => {
                self.config.userlists.get(&s.name).map(|l| s.list.set(Arc::clone(l)));
            }
        }
    }
}

/// Capture slots of a request: how many there are, and the lengths of those that rules declared.
#[derive(Debug, Default, Clone)]
pub struct Captures {
    /// Slots so far; the configuration layer counts `capture request header` lines here.
    pub count: usize,
    /// Slot and length of those that `capture … len` rules made.
    pub by_rules: Vec<(usize, usize)>,
    /// Slots that rules name by number: the set, whether it is one of responses, the number.
    pub named: Vec<(&'static str, bool, usize)>,
}

impl Captures {
    /// A new slot of `len` bytes.
    pub fn declare(&mut self, len: usize) -> usize {
        let slot = self.count;
        self.count += 1;
        self.by_rules.push((slot, len));
        slot
    }
}

/// What [`Scope::within`] holds while an ACL's own expression is compiled.
pub const IN_ACL: &str = "ACL";

/// Where an argument stands that names something.
#[derive(Debug, Clone)]
struct Place<'p> {
    owner: Owner,
    at: &'p str,
    of: &'p str,
}

impl Scope<'_> {
    /// Whose line it is.
    pub fn owner(&self) -> Owner {
        Owner { name: self.proxy.to_owned(), kind: self.kind }
    }

    /// What an argument of the fetch `fetch`, or of a converter behind it, is told to be of.
    fn argument_of(&self, at: usize, converter: Option<&str>, fetch: &str) -> String {
        let acl = self.within == IN_ACL;
        let keyword = if acl { "ACL keyword" } else { "sample fetch keyword" };
        let conv = converter.map(|c| format!("conversion keyword '{c}' for ")).unwrap_or_default();
        let within = if acl { String::new() } else { format!(" in {}", self.within) };
        format!("arg {at} of {conv}{keyword} '{fetch}'{within}")
    }
}

/// What formats of a section's rules ask for.
#[derive(Debug, Default, Clone, Copy)]
pub struct FormatsSeen {
    /// One of them looks at an HTTP message.
    pub http: bool,
    /// Line of the last one.
    pub line: usize,
    /// The last expression that stands in a rule as a word reads the request.
    pub of_request: bool,
}

/// What is known around an expression while it is compiled.
#[derive(Debug)]
pub struct Scope<'a> {
    /// The proxy's name.
    pub proxy: &'a str,
    /// Its section.
    pub kind: Kind,
    /// Its mode.
    pub mode: Mode,
    /// File and line, for texts that name them.
    pub origin: (&'a str, usize),
    /// What an expression is part of, for texts that name it; [`IN_ACL`] in ACLs.
    pub within: &'static str,
    /// Pattern and map files of the process.
    pub files: &'a PatRefs,
    /// Named ACLs of the proxy so far.
    pub acls: &'a HashMap<String, Arc<Acl>>,
    /// Late references.
    pub refs: &'a mut Refs,
    /// Faults that haproxy tells after the whole file was read.
    pub late: &'a mut Vec<String>,
    /// Warnings about the line.
    pub warnings: &'a mut Vec<String>,
    /// `tune.stick-counters`: how many counters a stream can track.
    pub stick_counters: usize,
    /// What formats asked for so far.
    pub formats: &'a mut FormatsSeen,
    /// Capture slots of the proxy, declared by lines and by rules.
    pub captures: &'a mut Captures,
    /// `http-errors` sections read so far, by name.
    pub http_errors: &'a std::collections::BTreeMap<String, Arc<std::collections::BTreeMap<u16, ErrorReply>>>,
}

/// A fetch or converter with its arguments.
#[derive(Debug)]
struct Step {
    row: &'static conv::Row,
    args: Vec<Arg>,
}

/// `fetch(args),conv(args)…`, resolved against the tables.
#[derive(Debug)]
pub struct Expr {
    fetch: &'static fetch::Row,
    args: Vec<Arg>,
    steps: Vec<Step>,
    /// The type of its values.
    pub output: Type,
    /// The expression as written.
    pub text: String,
}

/// An expression whose converters stand in words of their own, or after a comma that ends its word: its text, and how
/// many of the words `after` the first belong to it.
pub fn gather<'w>(first: &str, after: impl Iterator<Item = &'w str>) -> (String, usize) {
    let mut text = first.trim_end_matches(',').to_owned();
    let is_converter = |word: &&str| word.split(['(', ',']).next().is_some_and(|n| conv::find(n).is_some());
    let mut taken = 0;
    for word in after.take_while(is_converter) {
        text.push(',');
        text.push_str(word.trim_end_matches(','));
        taken += 1;
    }
    (text, taken)
}

impl Expr {
    /// Resolves a parsed expression; the error is haproxy's text.
    pub fn compile(tree: &SampleExpr, scope: &mut Scope<'_>) -> Result<Self, String> {
        let name = tree.fetch.name.as_str();
        if name.is_empty() {
            return Err("missing fetch method".into());
        }
        let row = fetch::find(name).ok_or_else(|| format!("unknown fetch method '{name}'"))?;
        Self::with_fetch(row, tree, scope)
    }

    /// As [`Self::compile`], with the fetch already known (ACL aliases).
    pub fn with_fetch(
        row: &'static fetch::Row,
        tree: &SampleExpr,
        scope: &mut Scope<'_>,
    ) -> Result<Self, String> {
        let name = tree.fetch.name.as_str();
        let place = format!("fetch method '{name}'");
        let mut args = parse_args(row.args, &tree.fetch, scope, (None, name))
            .map_err(|(_, e)| format!("{place} : {e}"))?;
        if let Some(check) = row.check {
            check(&mut args, scope).map_err(|e| format!("invalid args in fetch method '{name}' : {e}"))?;
        }
        let mut expr = Self { fetch: row, args, steps: Vec::new(), output: row.output, text: render(tree) };
        for call in &tree.converters {
            if call.name.is_empty()
                && call.args.is_none()
                && call.span != tree.span
                && tree.converters.len() > 1
            {
                continue;
            }
            expr.append(call, name, scope)?;
        }
        Ok(expr)
    }

    fn append(&mut self, call: &Call, fetch: &str, scope: &mut Scope<'_>) -> Result<(), String> {
        let name = call.name.as_str();
        let row = conv::find(name).ok_or_else(|| format!("unknown converter '{name}'"))?;
        if !self.output.casts_to(row.input) {
            return Err(format!("converter '{name}' cannot be applied"));
        }
        let mut args = parse_args(row.args, call, scope, (Some(name), fetch))
            .map_err(|(at, e)| format!("invalid arg {at} in converter '{name}' : {e}"))?;
        if let Some(check) = row.check {
            check(&mut args, scope).map_err(|e| format!("invalid args in converter '{name}' : {e}"))?;
        }
        self.output =
            if row.output == Type::Any && row.input == Type::Any { self.output } else { row.output };
        self.steps.push(Step { row, args });
        Ok(())
    }

    /// The points at which it may be used.
    pub fn points(&self) -> Points {
        self.fetch.source.points()
    }

    /// What the fetch reads.
    pub fn source(&self) -> Source {
        self.fetch.source
    }

    /// The fetch's name in the table.
    pub fn fetch_name(&self) -> &'static str {
        self.fetch.name
    }

    /// The value: the last one where there are several, as haproxy's rules take it.
    pub fn run<'v>(&'v self, view: &'v View<'_>) -> Option<Value<'v>> {
        self.next(view, &mut Cursor::default())
    }

    /// The value as type `to`.
    pub fn run_as<'v>(&'v self, view: &'v View<'_>, to: Type) -> Option<Value<'v>> {
        self.run(view)?.cast(to)
    }

    /// The next value of a fetch that may have several; call again while `cursor.more`.
    pub fn next<'v>(&'v self, view: &'v View<'_>, cursor: &mut Cursor) -> Option<Value<'v>> {
        let mut value = (self.fetch.run)(view, &self.args, cursor)?;
        for step in &self.steps {
            value = (step.row.run)(view, &step.args, value.cast(step.row.input)?)?;
        }
        Some(value)
    }

    /// A constant's value, for `set-var` in the global section and other places without a stream.
    pub fn is_constant(&self) -> bool {
        self.fetch.source == Source::Const
    }
}

fn render(tree: &SampleExpr) -> String {
    let call = |c: &Call| match &c.args {
        None => c.name.clone(),
        Some(args) => {
            let args: Vec<_> = args.iter().map(|a| a.text.as_str()).collect();
            format!("{}({})", c.name, args.join(","))
        }
    };
    std::iter::once(&tree.fetch).chain(&tree.converters).map(call).collect::<Vec<_>>().join(",")
}

/// Parses arguments against a row's types; `of` is the converter they belong to, if any, and the fetch. The error tells
/// the position, from 1.
fn parse_args(
    spec: &'static str,
    call: &Call,
    scope: &mut Scope<'_>,
    of: (Option<&str>, &str),
) -> Result<Vec<Arg>, (usize, String)> {
    let (types, required) = types(spec);
    let given: Vec<&str> = call.args.iter().flatten().map(|a| a.text.as_str()).collect();
    let empty = given.is_empty() || given == [""];
    let given = if !empty {
        given
    } else if required > 0 {
        vec![""]
    } else {
        Vec::new()
    };
    if given.len() > types.len() {
        let rest = given[types.len()..].join(",");
        let comma = if types.is_empty() { "" } else { "," };
        return Err((types.len() + 1, format!("expected ')' before '{comma}{rest})'")));
    }
    let mut args = Vec::with_capacity(given.len());
    for (i, text) in given.iter().enumerate() {
        let of = scope.argument_of(i + 1, of.0, of.1);
        args.push(parse_arg(types[i], text, i + 1, scope, &of).map_err(|e| (i + 1, e))?);
    }
    if args.len() < required {
        let (got, want) = (args.len(), types[args.len()]);
        return Err((got + 1, format!("missing arguments (got {got}/{required}), type '{want}' expected")));
    }
    Ok(args)
}

fn parse_arg(kind: &str, text: &str, at: usize, scope: &mut Scope<'_>, of: &str) -> Result<Arg, String> {
    let line = format!("{}:{}", scope.origin.0, scope.origin.1);
    let place = Place { owner: scope.owner(), at: &line, of };
    let late = |name: &str| if name.is_empty() { scope.proxy.to_owned() } else { name.to_owned() };
    let typed = |arg: Option<Arg>| match arg {
        Some(arg) => Ok(arg),
        None if text.is_empty() => Err(format!("expected type '{kind}' at position {at}, but got nothing")),
        None => Err(format!("failed to parse '{text}' as type '{kind}' at position {at}")),
    };
    match kind {
        "string" | "regex" => Ok(Arg::Str(text.as_bytes().into())),
        "integer" => typed(parse_int(text).map(Arg::Int)),
        "IPv4 address" => typed(text.parse().ok().map(Arg::V4)),
        "IPv6 address" => typed(text.parse().ok().map(Arg::V6)),
        "IPv4 mask" => typed(parse_mask4(text).map(Arg::V4)),
        "IPv6 mask" => typed(parse_mask6(text).map(Arg::V6)),
        "Protocol buffers field number" => {
            let path: Option<Vec<u64>> = text.split('.').map(|n| n.parse().ok()).collect();
            typed(path.filter(|p| p.iter().all(|n| *n > 0)).map(|p| Arg::Path(p.into())))
        }
        "table" => {
            let slot = Arc::new(TableSlot { name: late(text), table: OnceLock::new() });
            scope.refs.argument(Late::Table(Arc::clone(&slot)), place);
            Ok(Arg::Table(slot))
        }
        "frontend" | "backend" => {
            let slot = Arc::new(ProxySlot { name: late(text), id: OnceLock::new() });
            let entry = Arc::clone(&slot);
            let entry = if kind == "frontend" { Late::Frontend(entry) } else { Late::Backend(entry) };
            scope.refs.argument(entry, place);
            Ok(Arg::Proxy(slot))
        }
        "server" => {
            let (backend, server) = text.rsplit_once('/').unwrap_or(("", text));
            if server.is_empty() {
                return typed(None);
            }
            let slot = Arc::new(ServerSlot {
                backend: late(backend),
                server: server.to_owned(),
                id: OnceLock::new(),
            });
            scope.refs.argument(Late::Server(Arc::clone(&slot)), place);
            Ok(Arg::Server(slot))
        }
        "user list" => {
            if text.is_empty() {
                return typed(None);
            }
            let slot = Arc::new(UserlistSlot { name: text.to_owned(), list: OnceLock::new() });
            scope.refs.argument(Late::Userlist(Arc::clone(&slot)), place);
            Ok(Arg::Userlist(slot))
        }
        _ => Ok(Arg::Str(text.as_bytes().into())),
    }
}

/// A pattern written by a user, in PCRE2 as haproxy compiles it; the error is haproxy's text.
pub fn user_regex(text: &str, ignore_case: bool) -> Result<pcre2::bytes::Regex, String> {
    pcre2::bytes::RegexBuilder::new().caseless(ignore_case).jit_if_available(true).build(text).map_err(|e| {
        let reason = e.to_string();
        let reason = reason.rsplit(": ").next().unwrap_or(&reason).to_owned();
        format!("regex '{text}' is invalid (error={reason}, erroffset={})", e.offset().unwrap_or(0))
    })
}
