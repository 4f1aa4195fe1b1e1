//! The command line of keepalived(8).
//!
//! Invariant: every option of the original is known; one that has no effect here says so.

use crate::messages::VERSION;
use conf_parsers::keepalived::ReadOptions;
use diag::style::Excerpt;
use logging::{Contract, Facility};
use service::argv::{Argument, KEEPALIVED, getopt};
use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::path::PathBuf;

/// Where the configuration is.
pub(crate) const CONFIG_FILE: &str = "/etc/keepalived/keepalived.conf";

/// What the command line asks for.
#[derive(Debug)]
pub(crate) enum Asked {
    /// To run.
    Run(Box<Options>),
    /// A text on stdout.
    Print(String),
    /// A text on stderr.
    Say(String),
}

/// The options of a run.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// The options as given, for the children.
    pub(crate) words: Vec<OsString>,
    pub(crate) file: PathBuf,
    pub(crate) vrrp: bool,
    pub(crate) checker: bool,
    /// `--all`: also without configuration.
    pub(crate) all: bool,
    pub(crate) console: bool,
    pub(crate) detail: bool,
    pub(crate) facility: Facility,
    pub(crate) no_syslog: bool,
    pub(crate) umask: Option<u32>,
    pub(crate) keep_addresses: bool,
    pub(crate) keep_table: bool,
    pub(crate) respawn: bool,
    pub(crate) foreground: bool,
    pub(crate) dump: bool,
    pub(crate) pid_file: Option<PathBuf>,
    pub(crate) vrrp_pid_file: Option<PathBuf>,
    pub(crate) checker_pid_file: Option<PathBuf>,
    pub(crate) namespace: Option<String>,
    pub(crate) strict_includes: bool,
    pub(crate) config_id: String,
    pub(crate) test: bool,
    pub(crate) test_log: Option<PathBuf>,
    /// `--explain`: what `-t` says is followed by an excerpt and a remedy.
    pub(crate) explain: bool,
    /// Options that change nothing here.
    pub(crate) idle: Vec<String>,
    /// What the configuration adds to our names in syslog.
    pub(crate) ident_suffix: String,
}

impl Options {
    /// How the configuration is read.
    pub(crate) fn reading(&self) -> ReadOptions {
        let mut reading = ReadOptions::new(self.config_id.clone());
        reading.strict_includes = self.strict_includes;
        reading
    }

    /// How complaints of `-t` are shown.
    pub(crate) fn excerpt(&self) -> Excerpt {
        let terminal = self.test_log.is_none() && std::io::stderr().is_terminal();
        Excerpt::wanted(self.test && self.explain, terminal)
    }

    /// The log of a process.
    pub(crate) fn log(&self, ident: &str) -> Contract {
        let ident = format!("{ident}{}", self.ident_suffix);
        let mut log = if self.no_syslog { Contract::new() } else { Contract::syslog(&ident, self.facility) };
        if self.console {
            log.console();
        }
        log
    }
}

fn defaults() -> Options {
    let node = nix::unistd::gethostname().map(|h| h.to_string_lossy().into_owned()).unwrap_or_default();
    Options {
        words: Vec::new(),
        file: CONFIG_FILE.into(),
        vrrp: true,
        checker: true,
        all: false,
        console: false,
        detail: false,
        facility: Facility::DAEMON,
        no_syslog: false,
        umask: None,
        keep_addresses: false,
        keep_table: false,
        respawn: true,
        foreground: false,
        dump: false,
        pid_file: None,
        vrrp_pid_file: None,
        checker_pid_file: None,
        namespace: None,
        strict_includes: false,
        config_id: node.split('.').next().unwrap_or_default().to_owned(),
        test: false,
        test_log: None,
        explain: false,
        idle: Vec::new(),
        ident_suffix: String::new(),
    }
}

/// Reads the words behind the program's name.
pub(crate) fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Asked, String> {
    let (options, rest) = getopt(words, &KEEPALIVED).map_err(|e| e.to_string())?;
    if !rest.is_empty() {
        let rest: Vec<_> = rest.iter().map(|w| w.to_string_lossy()).collect();
        return Err(format!("Unexpected argument(s): {}", rest.join(" ")));
    }
    let mut out = defaults();
    for word in &options {
        let word = word.to_string_lossy();
        let (name, value) = word.split_once('=').map_or((&*word, None), |(n, v)| (n, Some(v)));
        let text = || value.unwrap_or_default().to_owned();
        match name.trim_start_matches("--") {
            "explain" => out.explain = true,
            "version" => return Ok(Asked::Say(VERSION.to_owned())),
            "help" => return Ok(Asked::Print(usage())),
            "signum" => return signum(&text()),
            "use-file" => out.file = text().into(),
            "vrrp" => out.checker = false,
            "check" => out.vrrp = false,
            "all" => out.all = true,
            "log-console" => out.console = true,
            "log-detail" => out.detail = true,
            "log-facility" => out.facility = facility(&text())?,
            "log-file" => return Err("-g requires configure option --enable-log-file".to_owned()),
            "no-syslog" => out.no_syslog = true,
            "umask" => {
                let mask = u32::from_str_radix(&text(), 8).ok().filter(|m| *m <= 0o777);
                out.umask = Some(mask.ok_or_else(|| format!("Invalid --umask option {}", text()))?);
            }
            "dont-release-vrrp" => out.keep_addresses = true,
            "dont-release-ipvs" => out.keep_table = true,
            "dont-respawn" => out.respawn = false,
            "dont-fork" => out.foreground = true,
            "dump-conf" => out.dump = true,
            "pid" => out.pid_file = Some(text().into()),
            "vrrp_pid" => out.vrrp_pid_file = Some(text().into()),
            "checkers_pid" => out.checker_pid_file = Some(text().into()),
            "namespace" => out.namespace = Some(text()),
            "all-config" => out.strict_includes = true,
            "config-id" => out.config_id = text(),
            "config-test" => {
                out.test = true;
                out.test_log = value.filter(|v| !v.is_empty()).map(PathBuf::from);
            }
            // Addresses are always released on a signal; there is no BFD process to leave out.
            "release-vips" | "no_bfd" | "no-mem-check" => {}
            other => out.idle.push(other.to_owned()),
        }
    }
    if out.explain && !out.test {
        out.idle.push("explain".to_owned());
    }
    out.words = options;
    Ok(Asked::Run(Box::new(out)))
}

fn facility(word: &str) -> Result<Facility, String> {
    let number = word.strip_prefix("local").unwrap_or(word).parse::<u8>().ok().filter(|n| *n < 8);
    match (word, number) {
        ("user", _) => Ok(Facility::USER),
        ("daemon", _) => Ok(Facility::DAEMON),
        (_, Some(n)) => Ok(Facility(Facility::LOCAL0.0 + n)),
        _ => Err(format!("Invalid log facility '{word}'")),
    }
}

fn signum(name: &str) -> Result<Asked, String> {
    let number = match name {
        "STOP" => 15,
        "RELOAD" => 1,
        "DATA" => 10,
        "STATS" => 12,
        "STATS_CLEAR" => 63,
        "JSON" => 36,
        _ => return Err(format!("Unknown sigfunc {name}")),
    };
    Ok(Asked::Print(number.to_string()))
}

fn usage() -> String {
    let mut text = String::from("Usage: keepalived [OPTION...]");
    for (letter, name, argument) in KEEPALIVED {
        let short = if letter == '\0' { "    ".to_owned() } else { format!("-{letter}, ") };
        let value = match argument {
            Argument::None => "",
            Argument::Required => "=VALUE",
            Argument::Optional => "[=VALUE]",
        };
        text.push_str(&format!("\n  {short}--{name}{value}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(words: &[&str]) -> Options {
        match parse(words.iter().map(OsString::from)) {
            Ok(Asked::Run(options)) => *options,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn units_and_scripts_are_understood() {
        let o = run(&["--dont-fork", "-P", "-lD", "-f", "/x", "--pid=/p", "-i", "main", "-S", "local3"]);
        assert!(o.foreground && o.vrrp && !o.checker && o.console && o.detail);
        assert_eq!((o.file, o.pid_file), ("/x".into(), Some("/p".into())));
        assert_eq!((o.config_id.as_str(), o.facility), ("main", Facility(19)));
    }

    #[test]
    fn explanations_belong_to_the_test() {
        assert!(run(&["-t", "--explain"]).idle.is_empty());
        assert_eq!(run(&["--explain"]).idle, ["explain"]);
    }

    #[test]
    fn numbers_of_signals_are_told() {
        for (name, number) in
            [("STOP", "15"), ("RELOAD", "1"), ("DATA", "10"), ("STATS", "12"), ("JSON", "36")]
        {
            let Ok(Asked::Print(text)) = parse([format!("--signum={name}").into()]) else { panic!("{name}") };
            assert_eq!(text, number);
        }
        assert!(parse(["--signum=FOO".into()]).is_err());
    }
}
