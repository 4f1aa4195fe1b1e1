//! `-t`: all passes over a file, in the original's order, and the exit code that follows.

use crate::options::Options;
use conf_parsers::keepalived::globals::{self, Globals};
use conf_parsers::keepalived::{NoConfig, Tree, parse, shared};
use diag::{Diagnostic, Report, Severity, style};
use std::io::Write as _;
use std::net::ToSocketAddrs as _;
use std::process::ExitCode;

/// A parameter is missing: reading stops at once.
const EXIT_CONFIG: u8 = 2;
/// The configuration can't be run.
const EXIT_FATAL: u8 = 4;
/// There are complaints; the daemon would run.
const EXIT_COMPLAINTS: u8 = 5;
/// Scripts would run as root unprotected, or an include that must find its files did not.
const EXIT_SECURITY: u8 = 6;

/// What all passes say of a file.
pub(crate) struct Judged {
    /// Shared settings, and which parts have something to do.
    pub(crate) globals: Globals,
    /// The lines, in the original's words and order.
    pub(crate) lines: Vec<String>,
    /// What has no effect here, or not yet.
    pub(crate) notices: Vec<String>,
    /// The exit code of `-t`.
    pub(crate) code: u8,
    /// Whether the configuration can't be used.
    pub(crate) refused: bool,
}

/// What the parent itself needs of the configuration.
pub(crate) struct Core {
    /// Shared settings, and which parts have something to do.
    pub(crate) globals: Globals,
    /// What is said of the file's name, before it is named itself.
    pub(crate) before: Vec<String>,
    /// Complaints and notices of the first pass, in the original's words.
    pub(crate) lines: Vec<String>,
    /// Whether nothing can be started with it.
    pub(crate) refused: bool,
}

/// Reads the file with the first pass only; the parts read the rest.
///
/// # Errors
/// There is no file to read.
pub(crate) fn core(options: &Options) -> Result<Core, NoConfig> {
    let tree = parse(&options.file, &options.reading())?;
    let (globals, report) = globals::read(&tree);
    let said = report.items.iter().filter(|d| d.severity >= Severity::Notice);
    let mut lines: Vec<String> = said.map(|d| style::keepalived(d, &tree.sources, !tree.several)).collect();
    let taken = report.items.iter().filter(|d| d.severity == Severity::Diag);
    lines.extend(taken.map(|d| format!("NOTICE: {}", style::keepalived(d, &tree.sources, !tree.several))));
    let before = tree.lines;
    Ok(Core { globals, before, lines, refused: report.refuses() || tree.include_failed })
}

/// Reads a tree with all passes: core, checker, VRRP, BFD; a missing parameter ends it. Without `vrrp` that pass is left
/// to the part, which judges for itself what it reads anyway.
pub(crate) fn judge(tree: &Tree, options: &Options, vrrp: bool) -> Judged {
    let (globals, mut core) = globals::read(tree);
    if options.test {
        mail_server(tree, &globals, &mut core);
    }
    let mut reports = vec![(core, true)];
    let namespace = options.namespace.as_ref().or(globals.net_namespace.as_ref());
    // The original ends here, and without an error, when it can't enter the namespace.
    let reachable = !options.test || namespace.is_none_or(|n| sys::netns::enter(n).is_ok());
    if reachable {
        let passes: [&dyn Fn() -> Report; 3] = [
            &|| checkd::config::read(tree, &globals).1,
            &|| {
                let read = || vrrpd::config::read(tree, &globals, vrrpd::config::interface_exists).1;
                if vrrp { read() } else { Report::new() }
            },
            &|| crate::bfd::read(tree),
        ];
        for pass in passes {
            if stopped(&reports) {
                break;
            }
            reports.push((pass(), false));
        }
    }
    let mut judged =
        Judged { globals, lines: tree.lines.clone(), notices: Vec::new(), code: 0, refused: false };
    let mut teller = style::Teller::new(&tree.sources, options.excerpt());
    let mut security = tree.include_failed;
    let mut worst = if tree.several { Severity::Warning } else { Severity::Diag };
    let mut fatal = false;
    let (no_user, mut said_no_user) = (shared::no_default_user(), false);
    for (report, first) in &reports {
        for d in &report.items {
            let line = teller.line(d, *first && !tree.several);
            // What the original says with -t, too, has its line: files that an include did not find.
            let told = d.severity == Severity::Notice && *first && d.span.is_some();
            if d.severity <= Severity::Notice && !told {
                judged.notices.push(line);
                continue;
            }
            // Said by the first pass that finds it.
            if d.text == no_user && std::mem::replace(&mut said_no_user, true) {
                continue;
            }
            security |= d.text.starts_with("SECURITY VIOLATION");
            fatal |= d.severity == Severity::Alert && d.span.is_some();
            worst = worst.max(d.severity);
            judged.lines.push(line);
        }
    }
    judged.refused = stopped(&reports) || reports.iter().any(|(r, _)| r.refuses());
    judged.code = match worst {
        _ if !reachable => 0,
        Severity::Fatal => EXIT_CONFIG,
        _ if security => EXIT_SECURITY,
        _ if fatal => EXIT_FATAL,
        Severity::Warning | Severity::Skipped | Severity::Grave | Severity::Alert => EXIT_COMPLAINTS,
        Severity::Diag | Severity::Notice => 0,
    };
    judged
}

/// The original looks the mail server up where it reads of it. Here that is done for a check only: a daemon waits for no
/// name server before it has a mail to send.
fn mail_server(tree: &Tree, globals: &Globals, report: &mut Report) {
    let line = tree.statements.iter().rfind(|s| s.words[0].text == "smtp_server");
    let (Some((host, port)), Some(span)) = (&globals.smtp_server, line.map(|s| s.span)) else { return };
    if (host.as_str(), *port).to_socket_addrs().is_ok_and(|mut found| found.next().is_some()) {
        return;
    }
    let text = globals::no_smtp_server(host, &port.to_string());
    let behind = |d: &Diagnostic| d.span.is_some_and(|s| s.file == span.file && s.start > span.start);
    let at = report.items.iter().position(behind).unwrap_or(report.items.len());
    report.items.insert(at, Diagnostic::at(Severity::Warning, span, text));
}

fn stopped(reports: &[(Report, bool)]) -> bool {
    reports.iter().any(|(r, _)| r.count(Severity::Fatal) > 0)
}

/// Checks the file and ends.
pub(crate) fn run(options: &Options) -> ExitCode {
    let mut out: Box<dyn std::io::Write> = match &options.test_log {
        None => Box::new(std::io::stderr()),
        Some(path) => match std::fs::File::create(path) {
            Ok(file) => Box::new(file),
            Err(error) => {
                crate::say(&format!("Unable to open config-test log file {} {error}", path.display()));
                return ExitCode::from(EXIT_FATAL);
            }
        },
    };
    let tree = match parse(&options.file, &options.reading()) {
        Ok(tree) => tree,
        Err(NoConfig { lines, test_code }) => {
            for line in lines {
                let _ = writeln!(out, "{line}");
            }
            return ExitCode::from(test_code);
        }
    };
    let judged = judge(&tree, options, true);
    // Whoever reads our complaints may have gone; the exit code says the rest.
    for line in &judged.lines {
        let _ = writeln!(out, "{line}");
    }
    for line in judged.notices {
        let _ = writeln!(out, "NOTICE: {line}");
    }
    ExitCode::from(judged.code)
}
