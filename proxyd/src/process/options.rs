//! The command line, after [`service::argv`] has made haproxy's options long.
//!
//! Invariant: every option of haproxy 2.6 and the later ones in use is taken; those that mean nothing here (they
//! choose pollers, or debug haproxy's own memory) say so in [`NO_EFFECT`].

use clap::Parser;
use service::argv::{self, ArgvError};
use std::ffi::OsString;
use std::path::PathBuf;

/// Long options of ours beyond haproxy's.
const OWN: [&str; 4] = ["explain", "no-delegate", "no-bus", "worker"];

/// Options that are taken and change nothing: option, reason.
pub const NO_EFFECT: [(&str, &str); 11] = [
    ("-de", "the runtime's poller is epoll"),
    ("-dp", "poll is not used"),
    ("-dk", "kqueue is not used"),
    ("-dv", "event ports are not used"),
    ("-dI", "external checks need no permission to fork"),
    ("-dM", "memory is not pooled by hand"),
    ("-dL", "there are no shared objects to list"),
    ("-dG", "names are always resolved by getaddrinfo"),
    ("-dC", "the configuration is not printed"),
    ("-dR", "every thread has a listening socket of its own, which takes SO_REUSEPORT"),
    ("-dS", "bytes are spliced where the connection allows it"),
];

/// Words of `-dM`, each with the one that takes it back.
const MEMORY: [(&str, &str); 9] = [
    ("fail", "no-fail"),
    ("no-merge", "merge"),
    ("cold-first", "hot-first"),
    ("integrity", "no-integrity"),
    ("no-global", "global"),
    ("no-cache", "cache"),
    ("caller", "no-caller"),
    ("tag", "no-tag"),
    ("poison", "no-poison"),
];

/// A word of `-dM` that the original would not know.
fn unknown_of_memory(text: &str) -> Option<&str> {
    let number = |w: &str| w.strip_prefix("0x").unwrap_or(w).bytes().all(|b| b.is_ascii_hexdigit());
    let known = |w: &str| w == "help" || MEMORY.iter().any(|(set, clear)| w == *set || w == *clear);
    let mut words = text.split(',').enumerate();
    words.find(|(i, w)| !(known(w) || w.is_empty() || *i == 0 && number(w))).map(|(_, w)| w)
}

/// A path that may be empty; what opens it complains.
fn any_path() -> impl clap::builder::TypedValueParser<Value = PathBuf> {
    use clap::builder::TypedValueParser;
    clap::builder::OsStringValueParser::new().map(PathBuf::from)
}

/// What the command line says.
#[derive(Debug, Clone, Default, Parser)]
#[command(no_binary_name = true, disable_help_flag = true, disable_version_flag = true)]
pub struct Options {
    /// `-f`, in order.
    #[arg(long = "file", value_parser = any_path())]
    pub files: Vec<PathBuf>,
    /// `-v`.
    #[arg(long)]
    pub version: bool,
    /// `-vv`.
    #[arg(long)]
    pub version_all: bool,
    /// `-c`.
    #[arg(long)]
    pub check: bool,
    /// `-cc CONDITION`.
    #[arg(long)]
    pub check_condition: Option<String>,
    /// `-D`.
    #[arg(long)]
    pub daemon: bool,
    /// `-d`.
    #[arg(long)]
    pub debug: bool,
    /// `-db`.
    #[arg(long)]
    pub foreground: bool,
    /// `-W`.
    #[arg(long)]
    pub master: bool,
    /// `-Ws`.
    #[arg(long)]
    pub master_notify: bool,
    /// `-S ADDRESS[,OPTION…]`.
    #[arg(long)]
    pub master_cli: Vec<String>,
    /// `-q`.
    #[arg(long)]
    pub quiet: bool,
    /// `-V`.
    #[arg(long)]
    pub verbose: bool,
    /// `-dW`.
    #[arg(long)]
    pub zero_warning: bool,
    /// `-dD`.
    #[arg(long)]
    pub diagnostics: bool,
    /// `-dK…`.
    #[arg(long)]
    pub dump_keywords: Option<String>,
    /// `-dC…`.
    #[arg(long)]
    pub dump_config: Option<String>,
    /// `-dr`.
    #[arg(long)]
    pub ignore_resolution: bool,
    /// `-dR`.
    #[arg(long)]
    pub no_reuseport: bool,
    /// `-dS`.
    #[arg(long)]
    pub no_splice: bool,
    /// `-dV`.
    #[arg(long)]
    pub no_server_verify: bool,
    /// `-C DIRECTORY`.
    #[arg(long, value_parser = any_path())]
    pub directory: Option<PathBuf>,
    /// `-n CONNECTIONS`.
    #[arg(long)]
    pub maxconn: Option<String>,
    /// `-N CONNECTIONS`.
    #[arg(long)]
    pub proxy_maxconn: Option<String>,
    /// `-m MEGABYTES`.
    #[arg(long)]
    pub memory: Option<String>,
    /// `-L NAME`.
    #[arg(long)]
    pub local_peer: Option<String>,
    /// `-p FILE`.
    #[arg(long)]
    pub pidfile: Option<PathBuf>,
    /// `-sf PID…`; one empty word when given without any.
    #[arg(long)]
    pub finish: Vec<String>,
    /// `-st PID…`.
    #[arg(long)]
    pub terminate: Vec<String>,
    /// `-x SOCKET`; an empty one is none.
    #[arg(long, value_parser = any_path())]
    pub take_listeners: Option<PathBuf>,
    /// Ours: errors with an excerpt of the file and a remedy.
    #[arg(long)]
    pub explain: bool,
    /// Ours: probe every server from here, whatever the bus offers.
    #[arg(long)]
    pub no_delegate: bool,
    /// Ours: neither serve nor dial the bus.
    #[arg(long)]
    pub no_bus: bool,
    /// Ours, from a master to its worker: numbers of its channel and of a connection to the worker before it.
    #[arg(long, hide = true)]
    pub worker: Option<String>,
    #[arg(long, hide = true)]
    no_epoll: bool,
    #[arg(long, hide = true)]
    no_poll: bool,
    #[arg(long, hide = true)]
    no_kqueue: bool,
    #[arg(long, hide = true)]
    no_evports: bool,
    #[arg(long, hide = true)]
    no_getaddrinfo: bool,
    #[arg(long, hide = true)]
    no_fast_forward: bool,
    #[arg(long, hide = true)]
    no_zero_copy: bool,
    #[arg(long, hide = true)]
    insecure_fork: bool,
    #[arg(long, hide = true)]
    dump_libs: bool,
    #[arg(long, hide = true)]
    dump_cpu: bool,
    #[arg(long, hide = true)]
    memory_debug: Option<String>,
    #[arg(long, hide = true)]
    trace: Option<String>,
}

impl Options {
    /// Reads the words behind the program's name.
    pub fn parse_words(words: impl IntoIterator<Item = OsString>) -> Result<Self, ArgvError> {
        let long = argv::haproxy(words, &OWN)?;
        // Options that may stand more than once and mean one thing: the last wins, as in haproxy.
        let mut options = Self::command_for(&long)?;
        options.take_listeners.take_if(|path| path.as_os_str().is_empty());
        if let Some(word) = options.memory_debug.as_deref().and_then(unknown_of_memory) {
            return Err(ArgvError::Missing(format!("-dM: unknown pool debugging feature <{word}>")));
        }
        options.finish.retain(|p| !p.is_empty());
        options.terminate.retain(|p| !p.is_empty());
        for (name, pids) in [("sf", &options.finish), ("st", &options.terminate)] {
            for pid in pids {
                let rest = pid.trim_start_matches(|c: char| c.is_ascii_digit());
                if pid.parse() == Ok(0) {
                    return Err(ArgvError::Unknown(pid.clone()));
                }
                if !rest.is_empty() {
                    let text = format!("-{name} option: some bytes unconsumed in PID list {{{rest}}}");
                    return Err(ArgvError::Missing(text));
                }
            }
        }
        Ok(options)
    }

    fn command_for(long: &[OsString]) -> Result<Self, ArgvError> {
        use clap::{CommandFactory, FromArgMatches};
        let command = Self::command().args_override_self(true);
        let matches = command.try_get_matches_from(long);
        let matches = matches.map_err(|e| ArgvError::Unknown(e.to_string()))?;
        Self::from_arg_matches(&matches).map_err(|e| ArgvError::Unknown(e.to_string()))
    }

    /// The options of this command line that are in [`NO_EFFECT`] and whose absence users could notice.
    pub fn without_effect(&self) -> impl Iterator<Item = &'static (&'static str, &'static str)> {
        let given = [
            ("-dC", self.dump_config.is_some()),
            ("-dR", self.no_reuseport),
            ("-dS", self.no_splice),
            ("-L", self.local_peer.is_some()),
        ];
        NO_EFFECT.iter().filter(move |(name, _)| given.contains(&(name, true)))
    }

    /// The processes to end once we are ready, and whether they may finish what they have.
    pub fn old_pids(&self) -> (Vec<u32>, bool) {
        let list = if self.terminate.is_empty() { &self.finish } else { &self.terminate };
        (list.iter().filter_map(|p| p.parse().ok()).filter(|p| *p > 0).collect(), self.terminate.is_empty())
    }

    /// Whether a master with workers is asked for on the command line.
    pub fn wants_master(&self) -> bool {
        self.master || self.master_notify
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Options {
        Options::parse_words(line.split_whitespace().map(OsString::from)).unwrap()
    }

    #[test]
    fn lines_of_units_agents_and_test_suites() {
        let unit = parse("-Ws -f /etc/haproxy/haproxy.cfg -p /run/haproxy.pid -S /run/haproxy-master.sock");
        assert!(unit.master_notify && unit.wants_master());
        assert_eq!(unit.master_cli, ["/run/haproxy-master.sock"]);
        let check = parse("-f a -f b -c -q");
        assert!(check.check && check.quiet);
        assert_eq!(check.files, [PathBuf::from("a"), PathBuf::from("b")]);
        let reload = parse("-f c -p p -D -sf 12 13");
        assert_eq!(reload.old_pids(), (vec![12, 13], true));
        assert_eq!(parse("-st 5").old_pids(), (vec![5], false));
        assert!(Options::parse_words(["-sf", "12x"].map(OsString::from)).is_err());
        assert_eq!(parse("-sf").old_pids(), (vec![], true));
        let suite = parse("-d -dM -dI -dW -f cfg");
        assert!(suite.debug && suite.zero_warning);
        let names: Vec<&str> =
            parse("-dS -dR -N 5 -c -f a").without_effect().map(|(name, _)| *name).collect();
        assert_eq!(names, ["-dR", "-dS"]);
        assert!(parse("-q -q -c -c -p a -p b").pidfile == Some("b".into()));
    }

    #[test]
    fn every_option_of_the_original_is_understood() {
        for word in [
            "-de", "-dp", "-dk", "-dv", "-dI", "-dM", "-dM0x50", "-dL", "-dG", "-dF", "-dZ", "-dR", "-dS",
            "-dV", "-dr", "-dD", "-dKall", "-V", "-vv",
        ] {
            parse(word);
        }
    }
}
