//! The configuration and its report, as the process needs them: dressed, counted, turned into an exit code.

use super::messages::{self, Label};
use super::options::Options;
use crate::config::model::Config;
use crate::config::{self, Loaded};
use conf_parsers::haproxy::cc;
use diag::{Diagnostic, Severity};
use std::io::IsTerminal;

/// Exit code of `-c` where a file is good and listens nowhere.
const NO_LISTENER: i32 = 2;

/// Reads the files of the command line. `program` is the default log tag.
pub fn load(options: &Options, program: &str) -> Loaded {
    let settings = config::Settings {
        paths: options.files.iter().map(|p| p.to_string_lossy().into_owned()).collect(),
        env: std::env::vars_os()
            .filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)))
            .collect(),
        facts: facts(),
        check: options.check,
        unresolved_stays: options.ignore_resolution,
        unverified: options.no_server_verify,
        pidfile: options.pidfile.is_some(),
        log_tag: program.to_owned(),
        local_peer: options.local_peer.clone(),
        patterns: None,
    };
    let mut loaded = config::load(&settings);
    let most = options.proxy_maxconn.as_ref().and_then(|n| n.parse::<usize>().ok()).filter(|n| *n > 0);
    if let (Some(config), Some(most)) = (loaded.config.as_mut(), most) {
        for proxy in config.proxies.iter_mut().filter(|p| p.kind.is_front()) {
            proxy.maxconn.get_or_insert(most);
        }
    }
    let is_master = options.wants_master()
        || options.worker.is_some()
        || loaded.config.as_ref().is_some_and(|c| c.global.master_worker);
    if !options.master_cli.is_empty() && !is_master && !loaded.report.refuses() {
        let text = "a master CLI socket was defined, but master-worker mode (-W) is not enabled.";
        loaded.report.push(Diagnostic::global(Severity::Warning, text));
    }
    if is_master && !loaded.report.refuses() {
        master_sockets(&mut loaded, options);
    }
    if !is_master
        && !loaded.report.refuses()
        && loaded.config.as_ref().is_some_and(|c| !c.global.programs.is_empty())
    {
        let text = "Can't use a 'program' section without master worker mode.";
        loaded.report.push(Diagnostic::global(Severity::Alert, text));
    }
    loaded
}

fn master_sockets(loaded: &mut Loaded, options: &Options) {
    for text in &options.master_cli {
        match config::master_socket(text) {
            Ok(binds) => {
                let global = loaded.config.as_mut().map(|c| &mut c.global);
                if let Some(global) = global {
                    global.master_sockets.extend(binds);
                }
            }
            Err(faults) => {
                let last = "Can't create the master's CLI.".to_owned();
                let faults = faults.into_iter().chain([last]);
                faults.for_each(|f| loaded.report.push(Diagnostic::global(Severity::Alert, f)));
                loaded.aborted = true;
                return;
            }
        }
    }
}

impl Loaded {
    /// Tells the report and gives the configuration, or the exit code: faults are 1, a good `-c` is 0, or 2 without a listener.
    pub fn verdict(self, options: &Options) -> Result<Config, i32> {
        self.tell(options);
        if options.check && !options.quiet {
            for (name, why) in options.without_effect() {
                messages::say(
                    Label::Notice,
                    &format!("'{name}' is accepted, but has no effect here yet: {why}."),
                );
            }
        }
        let refused = self.report.refuses();
        let warned = (options.zero_warning || self.zero_warning) && self.report.count(Severity::Warning) > 0;
        if warned && !refused {
            messages::say(
                Label::Alert,
                "config : Some warnings were found and 'zero-warning' is set. Aborting.",
            );
            return Err(1);
        }
        if let (Some(classes), false) = (&options.dump_keywords, refused) {
            messages::print(&super::keywords::dump(classes));
        }
        if self.idle > 0 && !options.check && !options.quiet && !refused {
            let text = format!(
                "config : words of the configuration that have no effect here: {}. '-c' names each with its reason.",
                self.idle
            );
            messages::say(Label::Notice, &text);
        }
        match self.config {
            Some(config) if options.check && !refused => {
                let listens = config.listens() || config.global.master_worker || options.wants_master();
                if !messages::is_hushed() {
                    if self.report.count(Severity::Warning) > 0 {
                        messages::print("Warnings were found.\n");
                    }
                    let valid = "Configuration file is valid\n";
                    messages::print(if listens { valid } else { messages::NO_LISTENER });
                }
                Err(if listens { 0 } else { NO_LISTENER })
            }
            Some(config) if !refused => Ok(config),
            _ => {
                // A file that is not there is told alone.
                if self.all_read && !self.aborted {
                    messages::say(Label::Alert, "config : Fatal errors found in configuration.");
                }
                Err(1)
            }
        }
    }

    fn tell(&self, options: &Options) {
        if messages::is_hushed() {
            return;
        }
        let shown = |s: Severity| s != Severity::Diag || options.diagnostics;
        let pid = messages::speaker();
        let mut introduced = false;
        for diagnostic in self.report.items.iter().filter(|d| shown(d.severity)) {
            // Mere notices stand without.
            if !introduced && !matches!(diagnostic.severity, Severity::Notice) {
                introduced = true;
                for line in &messages::introduction() {
                    messages::say(Label::Notice, line);
                }
            }
            messages::print_err(&format!("{}\n", diag::style::haproxy(diagnostic, &self.sources, pid)));
            if options.explain {
                let colour = std::io::stderr().is_terminal();
                messages::print_err(&diag::style::explain(diagnostic, &self.sources, colour));
            }
        }
        for name in &self.files_at_fault {
            let text = format!("config : Error(s) found in configuration file : {name}");
            messages::say(Label::Alert, &text);
        }
    }
}

/// `-cc`: 0 when true, 1 when false, 2 when it can't be decided.
pub fn condition(text: &str) -> i32 {
    if text.is_empty() {
        return 1;
    }
    let variable = |name: &str| std::env::var(name).ok();
    if is_unmatched(text) {
        super::refuse("config : Syntax Error in condition: Unmatched quote.");
        return 2;
    }
    match cc::evaluate(expanded(text).as_bytes(), &facts(), &variable) {
        Ok(true) => 0,
        Ok(false) => 1,
        Err(fault) => {
            let text = format!("config : Failed to evaluate condition: {}", fault.text);
            super::refuse(&text);
            2
        }
    }
}

/// Whether a quote is open at the end.
fn is_unmatched(text: &str) -> bool {
    let step = |open: Option<char>, c| match open {
        None if matches!(c, '"' | '\'') => Some(c),
        Some(quote) if quote == c => None,
        open => open,
    };
    text.chars().fold(None, step).is_some()
}

/// `$NAME` and `${NAME}` between double quotes replaced by the environment's values, as in configuration lines.
fn expanded(text: &str) -> String {
    let (mut out, mut quote, mut rest) = (String::with_capacity(text.len()), None, text);
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match (quote, c) {
            (None, '"' | '\'') => quote = Some(c),
            (Some(q), c) if q == c => quote = None,
            (Some('"'), '$') => {
                let braced = rest.strip_prefix('{').and_then(|r| r.split_once('}'));
                let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
                let (name, after) = braced.unwrap_or_else(|| rest.split_at(end));
                out.push_str(&std::env::var(name).unwrap_or_default());
                rest = after;
                continue;
            }
            _ => {}
        }
        out.push(c);
    }
    out
}

/// What this program can say of itself in conditions.
pub fn facts() -> cc::Facts {
    let names = |list: &[&str]| list.iter().map(|n| (*n).to_owned()).collect();
    cc::Facts {
        version: messages::VERSION.split('-').next().unwrap_or_default().into(),
        features: names(&[
            "EPOLL",
            "POLL",
            "THREAD",
            "ZLIB",
            "PCRE2",
            "PCRE2_JIT",
            "PROMEX",
            "TPROXY",
            "LINUX_TPROXY",
            "LINUX_SPLICE",
            "GETADDRINFO",
            "ACCEPT4",
            "NS",
            "OPENSSL",
        ]),
        enabled: names(&["POLL", "EPOLL", "SPLICE", "GETADDRINFO", "REUSEPORT"]),
        // Files ask for the library to learn what words it takes: those of the OpenSSL that Debian's haproxy has.
        ssl_library: "OpenSSL 3.0".into(),
        ssl_version: "3.0.17".into(),
        ..cc::Facts::default()
    }
}
