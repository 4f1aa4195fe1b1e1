//! Every text of the parent process.

use std::path::Path;

/// The version that users and their scripts look for; the words behind it are ours.
pub(crate) const VERSION: &str = concat!("Keepalived v2.2.7 (holdfast ", env!("CARGO_PKG_VERSION"), ")");

/// Longest line of what the program was called with.
const COMMAND_WIDTH: usize = 100;

/// The first line.
pub(crate) fn starting() -> String {
    format!("Starting {VERSION}")
}

/// The kernel under it.
pub(crate) fn running_on() -> String {
    let system = nix::sys::utsname::uname().ok();
    let part = |f: fn(&nix::sys::utsname::UtsName) -> &std::ffi::OsStr| {
        system.as_ref().map(|s| f(s).to_string_lossy().into_owned()).unwrap_or_default()
    };
    format!("Running on {} {} {}", part(|s| s.sysname()), part(|s| s.release()), part(|s| s.version()))
}

/// How it was called, in lines of at most [`COMMAND_WIDTH`] characters unless a word alone is longer.
pub(crate) fn command_line(words: impl Iterator<Item = String>) -> Vec<String> {
    const LEAD: &str = "Command line:";
    let mut lines = vec![LEAD.to_owned()];
    for word in words {
        let full =
            lines.last().is_some_and(|l| l.len() > LEAD.len() && l.len() + word.len() + 3 > COMMAND_WIDTH);
        if full {
            lines.push(" ".repeat(LEAD.len()));
        }
        if let Some(line) = lines.last_mut() {
            line.push_str(&format!(" '{word}'"));
        }
    }
    lines
}

/// The file that is read.
pub(crate) fn file(path: &Path) -> String {
    format!("Configuration file {}", path.display())
}

/// A file is opened; said with `--log-detail`.
pub(crate) fn opening(path: &Path) -> String {
    format!("Opening file '{}'.", path.display())
}

/// The name in syslog is another one.
pub(crate) fn ident(name: &str) -> String {
    format!("Changing syslog ident to {name}")
}

/// The last line.
pub(crate) fn stopped() -> String {
    format!("Stopped {VERSION}")
}

/// A child was started.
pub(crate) fn child_started(what: &str, pid: u32) -> String {
    format!("Starting {what} child process, pid={pid}")
}

/// A child died and is started again, or ends everything.
pub(crate) fn child_died(what: &str, pid: u32, respawn: bool) -> String {
    format!("{what} child process({pid}) died: {}", if respawn { "Respawning" } else { "Exiting" })
}

/// A child ended with an exit code that starting it again does not change.
pub(crate) fn permanent(pid: u32, code: i32) -> String {
    let name = if code == 2 { "CONFIG" } else { "FATAL" };
    format!("pid {pid} exited with permanent error {name}. Terminating")
}

/// How a child ended, where that says something: not with 0, nor by a signal that asks for an end.
pub(crate) fn child_status(pid: u32, code: Option<i32>, signal: Option<i32>) -> Option<String> {
    const ASKED: [i32; 5] = [1, 2, 10, 12, 15];
    match (code, signal) {
        (Some(0), _) | (None, None) => None,
        (Some(code), _) => Some(format!("pid {pid} exited with status {code}")),
        (_, Some(11)) => Some(format!("pid {pid} exited due to segmentation fault (SIGSEGV).")),
        // The original's words; where nobody killed it, that limit is what did.
        (_, Some(9)) => {
            Some(format!("pid {pid} exited due to signal 9 (Killed) - has rlimit_rttime been exceeded?"))
        }
        (_, Some(signal)) if ASKED.contains(&signal) => None,
        (_, Some(signal)) => Some(format!("pid {pid} exited due to signal {signal} ({})", described(signal))),
    }
}

/// What C calls the signals that end a program that goes wrong.
fn described(signal: i32) -> &'static str {
    match signal {
        3 => "Quit",
        4 => "Illegal instruction",
        5 => "Trace/breakpoint trap",
        6 => "Aborted",
        7 => "Bus error",
        8 => "Floating point exception",
        24 => "CPU time limit exceeded",
        25 => "File size limit exceeded",
        31 => "Bad system call",
        _ => "Unknown signal",
    }
}

/// A dead child is started again after a pause.
pub(crate) fn delayed(what: &str, seconds: u64) -> String {
    format!("Restart of {what} process delayed {seconds} seconds to limit respawn rate")
}

/// The dead VRRP child's instances were resigned for it.
pub(crate) fn buried(instances: usize) -> String {
    format!("Released {instances} instance(s) of the dead VRRP process: sent 0 priority, removed VIPs")
}

/// The parent writes its data.
pub(crate) fn dumping(pid: u32) -> String {
    format!("Printing parent data for process({pid}) on signal")
}

/// It can't.
pub(crate) fn no_dump(path: &Path, error: &std::io::Error) -> String {
    format!("Can't open dump file {} ({}: {error})", path.display(), error.raw_os_error().unwrap_or_default())
}

/// A second start.
pub(crate) const ALREADY_RUNNING: &str = "daemon is already running";
/// A reload begins.
pub(crate) const RELOADING: &str = "Reloading ...";
/// A reload is through.
pub(crate) const RELOAD_COMPLETE: &str = "Reload complete";
/// A reload is refused.
pub(crate) const RELOAD_REFUSED: &str =
    "New config failed validation, the running configuration stays in force";
/// All is up.
pub(crate) const STARTUP_COMPLETE: &str = "Startup complete";
/// All goes down.
pub(crate) const STOPPING: &str = "Stopping";
/// No part has anything to do.
pub(crate) const NOTHING_TO_RUN: &str = "Warning - keepalived has no configuration to run";
