//! From words to the model: files → lines → sections → drafts → [`model::Config`].
//!
//! Invariant: every fault of every file is told, in haproxy's order, before the answer is no; a configuration with an
//! alert never becomes a model that is used.
//!
//! Absent on purpose: sockets and the process (`main.rs`); what rules mean (`action`, `fetch`, `acl`).

mod bind;
mod cache;
mod case;
mod certificate;
mod check;
mod compile;
pub mod dynamic;
mod elsewhere;
mod forward;
mod global;
pub mod inert;
mod kept;
mod keyword;
mod late;
mod master;
mod mode;
pub mod model;
mod option;
mod other;
mod peers;
mod program;
mod proxy;
mod resolve;
mod resolvers;
mod rule;
mod server;
mod setting;
mod stats;
mod tls;
pub mod words;

#[cfg(test)]
mod standing;
#[cfg(test)]
mod tests;

use crate::acl::file::PatRefs;
use crate::sample::expr::Refs;
use conf_parsers::haproxy::{self, Host, cc};
use conf_parsers::table::Named;
use conf_parsers::{Line, load};
use diag::{Diagnostic, Report, Severity, SourceMap, Span};
pub use master::master_socket;
use model::Config;
pub(crate) use proxy::noun;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

/// What the process knows before it reads any file.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// `-f` and what stands behind `--`.
    pub paths: Vec<String>,
    /// The environment.
    pub env: BTreeMap<String, String>,
    /// What `.if` and `-cc` ask about.
    pub facts: cc::Facts,
    /// Whether only a check was asked for (`-c`): then notices about settings without effect are told.
    pub check: bool,
    /// `-dr`: a server whose name says nothing is disabled instead of refused.
    pub unresolved_stays: bool,
    /// `-dV`: certificates of servers are not verified unless a line asks for it.
    pub unverified: bool,
    /// `-p`: the file's own `pidfile` comes too late.
    pub pidfile: bool,
    /// The program's name: log tag where none is said.
    pub log_tag: String,
    /// `-L`.
    pub local_peer: Option<String>,
    /// Pattern lists of the configuration in force, which a new one goes on with.
    pub patterns: Option<Arc<PatRefs>>,
}

/// All that reading gave.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration; `None` when it is refused.
    pub config: Option<Config>,
    /// Everything to tell.
    pub report: Report,
    /// The files, for places.
    pub sources: SourceMap,
    /// How many words have no effect here.
    pub idle: usize,
    /// `zero-warning`: warnings refuse too.
    pub zero_warning: bool,
    /// Files whose own lines were at fault, in order.
    pub files_at_fault: Vec<String>,
    /// Whether every file of the command line could be read.
    pub all_read: bool,
    /// Whether a fault ended the start at once, which nothing more is said of.
    pub aborted: bool,
}

/// Where a stick table was defined.
pub(crate) struct TableOrigin {
    name: String,
    section: &'static str,
    span: Span,
}

/// State while files are read.
pub(crate) struct Loader<'l> {
    sources: &'l SourceMap,
    report: Report,
    config: Config,
    drafts: Vec<proxy::Draft>,
    defaults: Vec<proxy::Draft>,
    env: BTreeMap<String, String>,
    named: resolvers::Seen,
    peers: peers::Seen,
    /// `-L`.
    local_peer: Option<String>,
    /// Stick tables so far.
    tables: Vec<TableOrigin>,
    /// `set-var` lines of the `global` section, compiled when all sections were read.
    proc_vars: Vec<Line>,
    refs: Refs,
    /// What is told only when the files themselves hold no fault.
    late: Vec<Diagnostic>,
    zero_warning: bool,
    /// `-dr`.
    unresolved_stays: bool,
    check: bool,
    /// Words without effect so far.
    idle: usize,
    /// Settings of the `global` section whose first line counts, as far as they were made.
    given: BTreeSet<&'static str>,
}

impl<'l> Loader<'l> {
    fn new(sources: &'l SourceMap) -> Self {
        Self {
            sources,
            report: Report::new(),
            config: Config::default(),
            drafts: Vec::new(),
            defaults: Vec::new(),
            env: BTreeMap::new(),
            named: resolvers::Seen::default(),
            peers: peers::Seen::default(),
            local_peer: None,
            tables: Vec::new(),
            proc_vars: Vec::new(),
            refs: Refs::default(),
            late: Vec::new(),
            zero_warning: false,
            unresolved_stays: false,
            check: false,
            idle: 0,
            given: BTreeSet::new(),
        }
    }
}

impl Loader<'_> {
    fn variable(&self, name: &str) -> Option<String> {
        self.env.get(name).cloned()
    }

    /// The name of this process among peers: `-L`, `localpeer`, or the host's.
    fn local_peer(&self) -> String {
        let host = || {
            nix::unistd::gethostname().map_or_else(|_| String::new(), |h| h.to_string_lossy().into_owned())
        };
        let said = self.local_peer.clone().or_else(|| self.config.global.localpeer.clone());
        said.unwrap_or_else(host)
    }

    /// Says once for a line that a word was read and does nothing.
    fn no_effect(&mut self, span: Span, what: &str, why: &str) {
        self.idle += 1;
        if self.check {
            let text = format!("{what} is accepted and has no effect here: {why}.");
            self.report.push(Diagnostic::at(Severity::Notice, span, text));
        }
    }

    /// A certificate's path, below `crt-base` where it is relative.
    fn certificate(&self, path: &str) -> PathBuf {
        match &self.config.global.crt_base {
            Some(base) if !path.starts_with('/') && !path.starts_with('@') => base.join(path),
            _ => PathBuf::from(path),
        }
    }
}

/// Reads everything. Never fails: the report says whether the result may be used.
pub fn load(settings: &Settings) -> Loaded {
    let mut sources = SourceMap::new();
    let mut report = Report::new();
    let files = load::haproxy(&settings.paths, &mut sources, &mut report);
    let all_read = !report.refuses();
    let mut reading = Reading { env: settings.env.clone(), facts: &settings.facts };
    let (tree, syntax) = haproxy::parse(&sources, &files, &mut reading);
    let local_peer = settings.local_peer.clone();
    let mut loader = Loader { env: reading.env, check: settings.check, local_peer, ..Loader::new(&sources) };
    loader.unresolved_stays = settings.unresolved_stays;
    if settings.pidfile {
        loader.given.insert("pidfile");
    }
    if settings.unverified {
        let words = vec!["none".to_owned()];
        loader.config.global.ssl_defaults.insert("ssl-server-verify".into(), words);
    }
    for section in &tree.sections {
        if let Some((_, read)) = keyword::SECTIONS.find(section.header.keyword()) {
            read(&mut loader, section);
        }
    }
    resolvers::implicit(&mut loader);
    if let Some(patterns) = &settings.patterns {
        loader.config.patterns = Arc::clone(patterns);
    }
    compile::process_variables(&mut loader);
    let mut drafts = std::mem::take(&mut loader.drafts);
    for d in &mut drafts {
        compile::draft(&mut loader, d);
    }
    loader.drafts = drafts;
    let read = std::mem::take(&mut loader.report);
    report.extend(in_file_order(syntax, read));
    let files_at_fault = files_at_fault(&sources, &report);
    let mut aborted = false;
    if !report.refuses() {
        resolve::all(&mut loader);
        report.extend(std::mem::take(&mut loader.report));
        let mut faults = report.items.iter().filter(|d| d.severity.refuses()).peekable();
        // Names are looked up last.
        if faults.peek().is_some() && faults.all(|d| d.text.contains("could not resolve address")) {
            report.push(Diagnostic::global(Severity::Alert, "Failed to initialize server(s) addr."));
            aborted = true;
        }
    }
    loader.config.global.env.clone_from(&loader.env);
    let (idle, zero_warning) = (loader.idle, loader.zero_warning);
    let (mut config, drafts, refs) = (loader.config, loader.drafts, loader.refs);
    config.refs = refs;
    config.proxies = drafts.into_iter().map(|d| d.proxy).collect();
    if !report.refuses() {
        resolve::names_of_caches(&config, &mut report);
    }
    let config = Some(config).filter(|_| !report.refuses());
    Loaded { config, report, sources, idle, zero_warning, files_at_fault, all_read, aborted }
}

fn files_at_fault(sources: &SourceMap, report: &Report) -> Vec<String> {
    let faulty =
        |id| report.items.iter().any(|d| d.severity.refuses() && d.span.is_some_and(|s| s.file == id));
    sources.files().filter(|(id, _)| faulty(*id)).map(|(_, s)| s.name.clone()).collect()
}

/// Faults of reading and of keywords, mixed as haproxy meets them: by file, then by line.
fn in_file_order(syntax: Report, keywords: Report) -> Report {
    let mut report = syntax;
    report.extend(keywords);
    // What is told of an ACL comes before what is told of its rule as a whole.
    let whole = |d: &Diagnostic| !d.text.starts_with(crate::acl::NO_PATTERN_LEAD);
    report.items.sort_by_key(|d| (d.span.map_or((u32::MAX, u32::MAX), |s| (s.file.0, s.start)), whole(d)));
    report
}

/// What the line reader asks for.
struct Reading<'f> {
    env: BTreeMap<String, String>,
    facts: &'f cc::Facts,
}

impl Host for Reading<'_> {
    fn opens_section(&self, word: &str) -> bool {
        keyword::SECTIONS.find(word).is_some()
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.env.get(name).cloned()
    }

    fn facts(&self) -> &cc::Facts {
        self.facts
    }

    /// `setenv` and its kin work at once: the next line may use the value.
    fn line(&mut self, section: &Line, line: &Line) {
        if section.keyword() != "global" {
            return;
        }
        let word = |n: usize| line.words.get(n).map_or("", |w| w.text.as_str());
        match line.keyword() {
            "setenv" => {
                self.env.insert(word(1).to_owned(), word(2).to_owned());
            }
            "presetenv" => {
                self.env.entry(word(1).to_owned()).or_insert_with(|| word(2).to_owned());
            }
            "unsetenv" => line.words[1..].iter().for_each(|w| {
                self.env.remove(&w.text);
            }),
            "resetenv" => {
                let kept: Vec<&str> = line.words[1..].iter().map(|w| w.text.as_str()).collect();
                self.env.retain(|name, _| kept.contains(&name.as_str()));
            }
            _ => {}
        }
    }
}

/// Names of all keywords a proxy section takes, for `-dKcfg` and the compatibility table.
pub fn proxy_keywords() -> Vec<&'static str> {
    keyword::PROXY_KEYWORDS.rows().iter().map(Named::name).collect()
}

/// Names of the words of one kind of line, by what the lines begin with, for the compatibility table.
pub fn words() -> [(&'static str, Vec<&'static str>); 6] {
    [
        ("option", option::names().collect()),
        ("timeout", option::timeouts().collect()),
        ("bind", bind::options().collect()),
        ("server", server::shapes().into_iter().map(|(name, _)| name).collect()),
        ("stats", stats::WORDS.to_vec()),
        ("global", global::names().collect()),
    ]
}

/// Names of settings of `global` that tune machinery which is not there.
pub fn idle_settings() -> Vec<&'static str> {
    kept::idle().collect()
}

/// Names of all sections.
pub fn sections() -> Vec<&'static str> {
    keyword::SECTIONS.names().collect()
}
