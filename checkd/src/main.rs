//! Entry of checkd alone: keepalived's options as far as they concern checks, the configuration, the loop.
//!
//! Invariant: what an option of keepalived's cannot do here is said, not swallowed.
//!
//! Absent on purpose: supervision and the VRRP part (`keepalived` has them).

use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use checkd::config::{self, model::Model};
use checkd::{Options, run};
use conf_parsers::keepalived::{NoConfig, ReadOptions, parse, present};
use diag::style::{self, Excerpt};
use logging::{Contract, Facility, Severity};
use service::argv::{KEEPALIVED, getopt};

/// Configuration where none is named.
const FILE: &str = "/etc/keepalived/keepalived.conf";

/// Name in syslog, as the original's checker.
const IDENT: &str = "Keepalived_healthcheckers";

const USAGE: &str = "usage: checkd [-f FILE] [-n] [-l] [-D] [-G] [-S FACILITY] [-I] [-c PIDFILE] [-i ID] [-s NAMESPACE] [-e] [-t [--explain]] [-v] [-h]\n";

/// Exit code of a missing configuration file and of bad options.
const EXIT_USAGE: u8 = 6;

#[derive(Debug)]
struct Arguments {
    file: PathBuf,
    console: bool,
    detail: bool,
    syslog: bool,
    facility: Facility,
    fork: bool,
    keep_table: bool,
    pid_file: Option<PathBuf>,
    config_id: String,
    strict_includes: bool,
    namespace: Option<String>,
    test: bool,
    explain: bool,
    idle: Vec<String>,
}

enum Wish {
    Run(Box<Arguments>),
    Print(String),
}

fn arguments(words: impl IntoIterator<Item = OsString>) -> Result<Wish, String> {
    let (options, rest) = getopt(words, &KEEPALIVED).map_err(|e| e.to_string())?;
    if let Some(word) = rest.first() {
        return Err(format!("Unexpected argument '{}'", word.to_string_lossy()));
    }
    let node = nix::unistd::gethostname().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let mut a = Arguments {
        file: FILE.into(),
        console: false,
        detail: false,
        syslog: true,
        facility: Facility::DAEMON,
        fork: true,
        keep_table: false,
        pid_file: None,
        config_id: node.split('.').next().unwrap_or_default().to_owned(),
        strict_includes: false,
        namespace: None,
        test: false,
        explain: false,
        idle: Vec::new(),
    };
    for option in options {
        let option = option.to_string_lossy().into_owned();
        let (name, value) = option.split_once('=').unwrap_or((&option, ""));
        match name.trim_start_matches('-') {
            "use-file" => a.file = value.into(),
            "log-console" => a.console = true,
            "log-detail" => a.detail = true,
            "no-syslog" => a.syslog = false,
            "log-facility" => {
                let number = value.parse::<u8>().ok().filter(|n| *n <= 7);
                a.facility = number
                    .and_then(|n| Facility::named(&format!("local{n}")))
                    .ok_or_else(|| format!("Invalid log facility '{value}'"))?;
            }
            "dont-fork" => a.fork = false,
            "dont-release-ipvs" => a.keep_table = true,
            "checkers_pid" | "pid" => a.pid_file = Some(value.into()),
            "config-id" => value.clone_into(&mut a.config_id),
            "all-config" => a.strict_includes = true,
            "namespace" => a.namespace = Some(value.to_owned()),
            "config-test" => a.test = true,
            "explain" => a.explain = true,
            "version" => return Ok(Wish::Print(format!("checkd {}\n", env!("CARGO_PKG_VERSION")))),
            "help" => return Ok(Wish::Print(USAGE.to_owned())),
            // This is the checker alone already.
            "check" => {}
            other => a.idle.push(other.to_owned()),
        }
    }
    if a.explain && !a.test {
        a.idle.push("explain".to_owned());
    }
    Ok(Wish::Run(Box::new(a)))
}

/// What a file says, with all complaints.
struct Loaded {
    model: Model,
    lines: Vec<String>,
    /// What is taken and not carried out; no complaint.
    notices: Vec<String>,
    refused: bool,
}

fn load(file: &Path, options: &ReadOptions, excerpt: Excerpt, test: bool) -> Result<Loaded, NoConfig> {
    let tree = parse(file, options)?;
    let (model, core, checker) = config::load(&tree);
    let all = core.items.iter().map(|d| (d, true)).chain(checker.items.iter().map(|d| (d, false)));
    let (mut lines, mut notices) = (Vec::new(), Vec::new());
    let mut teller = style::Teller::new(&tree.sources, excerpt);
    for (d, first) in all {
        let line = teller.line(d, first);
        let noticed = d.severity == diag::Severity::Diag || (test && d.severity == diag::Severity::Notice);
        if noticed { &mut notices } else { &mut lines }.push(line);
    }
    Ok(Loaded { model, lines, notices, refused: core.refuses() || checker.refuses() })
}

fn say(text: &str) {
    use std::io::Write as _;
    // Nobody is left to tell when stderr is gone.
    let _ = writeln!(std::io::stderr(), "{text}");
}

fn main() -> ExitCode {
    let arguments = match arguments(std::env::args_os().skip(1)) {
        Ok(Wish::Run(arguments)) => *arguments,
        Ok(Wish::Print(text)) => {
            use std::io::Write as _;
            let written = std::io::stdout().write_all(text.as_bytes());
            return if written.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
        }
        Err(text) => {
            say(&format!("{text}\n{}", USAGE.trim_end()));
            return ExitCode::from(EXIT_USAGE);
        }
    };
    for name in &arguments.idle {
        say(&format!("checkd: option --{name} has no effect here"));
    }
    let mut reading = ReadOptions::new(arguments.config_id.clone());
    reading.strict_includes = arguments.strict_includes;
    if let Some(name) = arguments.namespace.clone().or_else(|| namespace(&arguments.file, &reading))
        && let Err(e) = sys::netns::enter(&name)
    {
        say(&format!("checkd: network namespace {name}: {e}"));
        return ExitCode::FAILURE;
    }
    if arguments.test {
        let excerpt = Excerpt::wanted(arguments.explain, std::io::stderr().is_terminal());
        return test(&arguments.file, &reading, excerpt);
    }
    daemon(arguments, reading)
}

/// `net_namespace` of the configuration; who reads it next says what is wrong with it.
fn namespace(file: &Path, reading: &ReadOptions) -> Option<String> {
    conf_parsers::keepalived::globals::read(&parse(file, reading).ok()?).0.net_namespace
}

/// `-t`: 0, or 5 with complaints, or what a file that is missing or can't be read gives.
fn test(file: &Path, reading: &ReadOptions, excerpt: Excerpt) -> ExitCode {
    match load(file, reading, excerpt, true) {
        Err(missing) => {
            missing.lines.iter().for_each(|l| say(l));
            ExitCode::from(missing.test_code)
        }
        Ok(loaded) => {
            loaded.lines.iter().for_each(|l| say(l));
            loaded.notices.iter().for_each(|l| say(&format!("NOTICE: {l}")));
            ExitCode::from(if loaded.lines.is_empty() { 0 } else { 5 })
        }
    }
}

fn daemon(arguments: Arguments, reading: ReadOptions) -> ExitCode {
    if let Err(missing) = present(&arguments.file, &reading) {
        missing.lines.iter().for_each(|l| say(l));
        return ExitCode::from(EXIT_USAGE);
    }
    let ready = if arguments.fork {
        match service::go_to_background() {
            Ok(service::Background::Parent { code }) => return ExitCode::from(code as u8),
            Ok(service::Background::Child(ready)) => Some(ready),
            Err(e) => {
                say(&format!("checkd: can't go to the background: {e}"));
                return ExitCode::FAILURE;
            }
        }
    } else {
        None
    };
    logging::trace();
    let mut log =
        if arguments.syslog { Contract::syslog(IDENT, arguments.facility) } else { Contract::new() };
    if arguments.console {
        log.console();
    }
    let file = arguments.file.clone();
    let load = move |log: &Contract| match load(&file, &reading, Excerpt::No, false) {
        Err(missing) => {
            missing.lines.iter().for_each(|l| log.say(Severity::Info, l));
            None
        }
        Ok(loaded) => {
            loaded.lines.iter().for_each(|l| log.say(Severity::Info, l));
            loaded.notices.iter().for_each(|l| log.say(Severity::Info, &format!("NOTICE: {l}")));
            (!loaded.refused).then_some(loaded.model)
        }
    };
    let mut options = Options::new(log, Box::new(load));
    options.detail = arguments.detail;
    options.keep_table = arguments.keep_table;
    options.pid_file = arguments.pid_file;
    let console = arguments.console;
    options.ready = Box::new(move || {
        if let Some(ready) = ready {
            // The parent may be gone; the daemon goes on.
            let _ = ready.ready(console);
        }
        let _ = service::Notify::Ready { main: std::process::id() }.send();
    });
    match run(options) {
        Ok(code) => ExitCode::from(code as u8),
        Err(e) => {
            say(&format!("checkd: {e}"));
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Wish, String> {
        arguments(words.iter().map(OsString::from))
    }

    #[test]
    fn keepaliveds_options() {
        let Ok(Wish::Run(a)) = parse(&["-nlDf", "/x", "-S", "3", "--vrrp", "-I"]) else {
            panic!("they are known")
        };
        assert_eq!(a.file, Path::new("/x"));
        assert!(a.console && a.detail && a.keep_table && !a.fork);
        assert_eq!(a.idle, ["vrrp"]);
        assert!(parse(&["-S", "9"]).is_err());
        assert!(parse(&["--nonsense"]).is_err());
        assert!(parse(&["word"]).is_err());
    }
}
