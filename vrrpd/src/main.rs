//! vrrpd alone: keepalived's command line, the VRRP part of its configuration.
//!
//! Absent on purpose: supervision. The `keepalived` program starts this daemon as its child and restarts it.

use conf_parsers::keepalived::{ReadOptions, parse, present};
use diag::Severity;
use diag::style::{Excerpt, Teller};
use logging::{Contract, Facility};
use service::argv::{KEEPALIVED, getopt};
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use vrrpd::{Loaded, Loader, Options, config};

const CONFIG_FILE: &str = "/etc/keepalived/keepalived.conf";
const PID_FILE: &str = "/run/vrrp.pid";
/// LOG_LOCAL0 and the seven behind it, for `--log-facility=0…7`.
const LOCAL0: u8 = 16;
const EXIT_FATAL: u8 = 1;
const EXIT_TEST_COMPLAINTS: u8 = 5;
const EXIT_NO_CONFIG: u8 = 6;

#[derive(Debug, Default)]
struct Arguments {
    file: PathBuf,
    pid_file: Option<PathBuf>,
    namespace: Option<String>,
    config_id: Option<String>,
    facility: Option<u8>,
    console: bool,
    detail: bool,
    no_syslog: bool,
    foreground: bool,
    keep_addresses: bool,
    strict_includes: bool,
    test: bool,
    explain: bool,
}

enum Asked {
    Run(Box<Arguments>),
    Text(String),
    Refused(String),
}

fn arguments() -> Asked {
    let (words, rest) = match getopt(std::env::args_os().skip(1), &KEEPALIVED) {
        Ok(found) => found,
        Err(error) => return Asked::Refused(error.to_string()),
    };
    if let Some(word) = rest.first() {
        return Asked::Refused(format!("Unexpected argument(s): {}", word.to_string_lossy()));
    }
    let mut out = Arguments { file: CONFIG_FILE.into(), ..Arguments::default() };
    for word in words {
        let word = word.to_string_lossy().into_owned();
        let (name, value) = word.split_once('=').unwrap_or((&word, ""));
        match name.trim_start_matches("--") {
            "use-file" => out.file = value.into(),
            "vrrp_pid" => out.pid_file = Some(value.into()),
            "namespace" => out.namespace = Some(value.into()),
            "config-id" => out.config_id = Some(value.into()),
            "log-facility" => out.facility = value.parse().ok().filter(|n| *n < 8),
            "log-console" => out.console = true,
            "log-detail" => out.detail = true,
            "no-syslog" => out.no_syslog = true,
            "dont-fork" => out.foreground = true,
            "dont-release-vrrp" => out.keep_addresses = true,
            "all-config" => out.strict_includes = true,
            "config-test" => out.test = true,
            "explain" => out.explain = true,
            "version" => return Asked::Text(format!("vrrpd {}", env!("CARGO_PKG_VERSION"))),
            "help" => return Asked::Text(usage()),
            "signum" => return Asked::Text(signum(value)),
            // The supervisor's and the checker's options have nothing to say to this daemon.
            _ => {}
        }
    }
    Asked::Run(Box::new(out))
}

fn usage() -> String {
    let mut text = String::from("Usage: vrrpd [OPTION...]\n");
    for (letter, name, _) in KEEPALIVED {
        let short = if letter == '\0' { "    ".into() } else { format!("-{letter}, ") };
        text.push_str(&format!("  {short}--{name}\n"));
    }
    text
}

fn signum(name: &str) -> String {
    let number = match name {
        "DATA" => 10,
        "STATS" => 12,
        "STATS_CLEAR" => 63,
        "JSON" => 36,
        "RELOAD" => 1,
        "STOP" => 15,
        _ => return format!("Unknown sigfunc {name}"),
    };
    number.to_string()
}

/// Reads the file; lines are in the original's words.
fn load(file: &Path, options: &ReadOptions, excerpt: Excerpt, test: bool) -> Loaded {
    let tree = match parse(file, options) {
        Ok(tree) => tree,
        Err(missing) => return Loaded { lines: missing.lines, notices: Vec::new(), config: None },
    };
    let (config, core, report) = config::load(&tree, config::interface_exists);
    let mut teller = Teller::new(&tree.sources, excerpt);
    let mut said = |wanted: fn(Severity) -> bool| -> Vec<String> {
        let all = core.items.iter().chain(&report.items).filter(|d| wanted(d.severity));
        all.map(|d| teller.line(d, false)).collect()
    };
    // A check tells apart what is no complaint.
    let (lines, notices) = if test {
        (said(|s| s >= Severity::Warning), said(|s| s <= Severity::Notice))
    } else {
        (said(|s| s >= Severity::Notice), said(|s| s == Severity::Diag))
    };
    let refused = core.refuses() || report.refuses();
    Loaded { lines, notices, config: (!refused).then_some(config) }
}

/// How the file is read.
fn reading(arguments: &Arguments) -> ReadOptions {
    let node = || nix::unistd::gethostname().map(|h| h.to_string_lossy().into_owned()).unwrap_or_default();
    let id = arguments
        .config_id
        .clone()
        .unwrap_or_else(|| node().split('.').next().unwrap_or_default().to_string());
    let mut options = ReadOptions::new(id);
    options.strict_includes = arguments.strict_includes;
    options
}

fn loader(arguments: &Arguments) -> Loader {
    let options = reading(arguments);
    let file = std::path::absolute(&arguments.file).unwrap_or_else(|_| arguments.file.clone());
    let excerpt = Excerpt::wanted(arguments.test && arguments.explain, std::io::stderr().is_terminal());
    let test = arguments.test;
    Box::new(move || load(&file, &options, excerpt, test))
}

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "answers to the command line")]
fn main() -> ExitCode {
    let arguments = match arguments() {
        Asked::Run(arguments) => *arguments,
        Asked::Text(text) => {
            println!("{text}");
            return ExitCode::SUCCESS;
        }
        Asked::Refused(text) => {
            eprintln!("{text}");
            return ExitCode::from(EXIT_FATAL);
        }
    };
    if let Some(name) = &arguments.namespace
        && let Err(error) = sys::netns::enter(name)
    {
        eprintln!("Unable to set network namespace {name}: {error}");
        return ExitCode::from(EXIT_FATAL);
    }
    if let Err(missing) = present(&arguments.file, &reading(&arguments)) {
        missing.lines.iter().for_each(|line| eprintln!("{line}"));
        return ExitCode::from(if arguments.test { missing.test_code } else { EXIT_NO_CONFIG });
    }
    let mut load = loader(&arguments);
    if arguments.test {
        let loaded = load();
        loaded.lines.iter().for_each(|line| eprintln!("{line}"));
        loaded.notices.iter().for_each(|line| eprintln!("NOTICE: {line}"));
        return match (loaded.config, loaded.lines.is_empty()) {
            (None, _) => ExitCode::from(2),
            (Some(_), true) => ExitCode::SUCCESS,
            (Some(_), false) => ExitCode::from(EXIT_TEST_COMPLAINTS),
        };
    }
    let ready = match background(&arguments) {
        Ok(ready) => ready,
        Err(code) => return code,
    };
    let facility = arguments.facility.map_or(Facility::DAEMON, |n| Facility(LOCAL0 + n));
    let mut log =
        if arguments.no_syslog { Contract::new() } else { Contract::syslog("Keepalived_vrrp", facility) };
    if arguments.console {
        log.console();
    }
    ExitCode::from(vrrpd::run(Options {
        load,
        log,
        detail: arguments.detail,
        pid_file: Some(arguments.pid_file.clone().unwrap_or_else(|| PID_FILE.into())),
        supervisor: None,
        keep_addresses: arguments.keep_addresses,
        bus: bus::directory(),
        ready: Some(ready),
    }))
}

/// What to do once everything is up: tell systemd, or the parent that waits in the foreground.
fn background(arguments: &Arguments) -> Result<Box<dyn FnOnce()>, ExitCode> {
    let told = || {
        // Nobody may be listening; that is no reason not to run.
        let _ = service::notify::Notify::Ready { main: std::process::id() }.send();
    };
    if arguments.foreground {
        return Ok(Box::new(told));
    }
    match service::background::go_to_background() {
        Ok(service::background::Background::Parent { code }) => Err(ExitCode::from(code.clamp(0, 255) as u8)),
        Ok(service::background::Background::Child(ready)) => {
            let keep = arguments.console;
            Ok(Box::new(move || {
                let _ = ready.ready(keep);
            }))
        }
        Err(_) => Err(ExitCode::from(EXIT_FATAL)),
    }
}
