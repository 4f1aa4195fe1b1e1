//! A child's side: the VRRP or the checker part, as told by a hidden first argument.

use crate::options::Options;
use conf_parsers::keepalived::parse;
use diag::{Severity, SourceMap, style};
use std::process::ExitCode;

/// The hidden arguments: `--holdfast-part=vrrp:FD` and `--holdfast-part=checker`, with `@SUFFIX` for syslog.
const WORD: &str = "--holdfast-part=";
/// SIGTERM: what a child gets when its parent dies.
const TERM: i32 = 15;

/// Which part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// VRRP, with the descriptor of the socket to the parent.
    Vrrp {
        /// The socket; `None` when the program was called `vrrpd` by hand.
        socket: Option<i32>,
    },
    /// Health checks and IPVS.
    Checker,
}

impl Part {
    /// The part that a first argument names.
    pub(crate) fn of_word(word: &str) -> Option<(Self, String)> {
        let word = word.strip_prefix(WORD)?;
        let (word, suffix) = word.split_once('@').unwrap_or((word, ""));
        let part = match word {
            "checker" => Self::Checker,
            other => Self::Vrrp { socket: Some(other.strip_prefix("vrrp:")?.parse().ok()?) },
        };
        Some((part, suffix.to_owned()))
    }

    /// The first argument of a child.
    pub(crate) fn word(self, suffix: &str) -> String {
        match self {
            Self::Vrrp { socket } => format!("{WORD}vrrp:{}@{suffix}", socket.unwrap_or(-1)),
            Self::Checker => format!("{WORD}checker@{suffix}"),
        }
    }

    /// Its name in syslog.
    pub(crate) fn ident(self) -> &'static str {
        match self {
            Self::Vrrp { .. } => "Keepalived_vrrp",
            Self::Checker => "Keepalived_healthcheckers",
        }
    }

    /// Its name in the parent's lines.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Vrrp { .. } => "VRRP",
            Self::Checker => "Healthcheck",
        }
    }
}

/// What is taken and not carried out, as `-t` words it.
fn notices(report: &diag::Report, sources: &SourceMap) -> Vec<String> {
    let told = report.items.iter().filter(|d| d.severity == Severity::Diag);
    told.map(|d| style::keepalived(d, sources, false)).collect()
}

fn lines(report: &diag::Report, sources: &SourceMap) -> Vec<String> {
    let told = report.items.iter().filter(|d| d.severity >= Severity::Notice);
    told.map(|d| style::keepalived(d, sources, false)).collect()
}

/// Runs the part until it ends.
pub(crate) fn run(part: Part, options: Options) -> ExitCode {
    // A child must not outlive its parent; the parent may be gone already, then the first signal tells.
    let _ = sys::process::parent_death_signal(TERM);
    match part {
        Part::Vrrp { socket } => vrrp(part, socket, options),
        Part::Checker => checker(part, options),
    }
}

fn vrrp(part: Part, socket: Option<i32>, options: Options) -> ExitCode {
    let log = options.log(part.ident());
    let supervisor = socket.and_then(|fd| sys::inherit::adopt(fd).ok());
    let (file, reading) = (options.file.clone(), options.reading());
    let load = move || match parse(&file, &reading) {
        Err(missing) => vrrpd::Loaded { lines: missing.lines, notices: Vec::new(), config: None },
        Ok(tree) => {
            let (config, core, report) = vrrpd::config::load(&tree, vrrpd::config::interface_exists);
            // The parent said what the core pass found.
            let refused = core.refuses() || report.refuses();
            vrrpd::Loaded {
                lines: lines(&report, &tree.sources),
                notices: notices(&report, &tree.sources),
                config: (!refused).then_some(config),
            }
        }
    };
    let code = vrrpd::run(vrrpd::Options {
        load: Box::new(load),
        log,
        detail: options.detail,
        pid_file: Some(options.vrrp_pid_file.unwrap_or_else(|| "/run/vrrp.pid".into())),
        supervisor,
        keep_addresses: options.keep_addresses,
        bus: bus::directory(),
        ready: None,
    });
    ExitCode::from(code)
}

fn checker(part: Part, options: Options) -> ExitCode {
    let log = options.log(part.ident());
    let (file, reading) = (options.file.clone(), options.reading());
    let load = move |log: &logging::Contract| match parse(&file, &reading) {
        Err(missing) => {
            missing.lines.iter().for_each(|line| log.say(logging::Severity::Info, line));
            None
        }
        Ok(tree) => {
            let (model, core, report) = checkd::config::load(&tree);
            for line in lines(&report, &tree.sources) {
                log.say(logging::Severity::Info, &line);
            }
            for line in notices(&report, &tree.sources) {
                log.say(logging::Severity::Info, &format!("NOTICE: {line}"));
            }
            (!core.refuses() && !report.refuses()).then_some(model)
        }
    };
    let mut run = checkd::Options::new(log, Box::new(load));
    run.detail = options.detail;
    run.keep_table = options.keep_table;
    let pid_file = options.checker_pid_file.unwrap_or_else(|| "/run/checkers.pid".into());
    let mine = service::PidFile::write(&pid_file, &[std::process::id()]);
    let code = checkd::run(run).map_or(1, |code| code as u8);
    if let Ok(file) = mine {
        file.remove(std::process::id());
    }
    ExitCode::from(code)
}
