//! What the process says about itself: version, usage, starting, stopping.
//!
//! Invariant: words and exit codes are those of haproxy 2.6; a line on stderr is [`Label`] with the pid.

use std::fmt::Write;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

/// The version whose contracts we keep, with our name behind it; third word of the first line of `-v`.
pub const VERSION: &str = "2.6.12-holdfast";
/// The date of this version.
pub const RELEASE_DATE: &str = "2026/11/21";
/// Where more is to be read.
const URL: &str = "https://holdfast.example/";

/// Labels of lines on stderr.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Label {
    /// `[NOTICE]`.
    Notice,
    /// `[WARNING]`.
    Warning,
    /// `[ALERT]`.
    Alert,
}

impl Label {
    /// The line, with its line ending.
    pub fn line(self, pid: u32, text: &str) -> String {
        let label = match self {
            Self::Notice => "[NOTICE]  ",
            Self::Warning => "[WARNING] ",
            Self::Alert => "[ALERT]   ",
        };
        format!("{label} ({pid}) : {text}\n")
    }
}

/// What was said until the start was over, for `show startup-logs`; `None` once it is.
static STARTING: Mutex<Option<String>> = Mutex::new(Some(String::new()));
/// More than this is not kept, bytes.
const STARTING_MAX: usize = 64 * 1024;

/// Ends the start: gives what was said meanwhile.
pub fn started() -> String {
    STARTING.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default()
}

/// Whether lines are left out: `-q` without `-V`.
static QUIET: AtomicBool = AtomicBool::new(false);

/// Leaves out all lines of [`say`] and of the report, faults too, as `-q` asks.
pub fn hush() {
    QUIET.store(true, Ordering::Relaxed);
}

/// Whether [`hush`] was called.
pub fn is_hushed() -> bool {
    QUIET.load(Ordering::Relaxed)
}

/// In whose name lines are told; 0 is this process.
static SPEAKER: AtomicU32 = AtomicU32::new(0);

/// Tells lines in the name of another process, as a worker does until its master's start is over; 0 ends it.
pub fn speak_for(pid: u32) {
    SPEAKER.store(pid, Ordering::Relaxed);
}

/// The process id that lines show.
pub fn speaker() -> u32 {
    match SPEAKER.load(Ordering::Relaxed) {
        0 => std::process::id(),
        pid => pid,
    }
}

/// Says a line on stderr. Losing it (nobody reads) is no reason to stop.
pub fn say(label: Label, text: &str) {
    if !is_hushed() {
        print_err(&label.line(speaker(), text));
    }
}

/// A line of the start, led by the name that the program was started by.
pub fn in_main(text: &str) -> String {
    let own = std::env::args_os().next();
    format!("[{}.main()] {text}", own.as_deref().map_or("haproxy".into(), std::ffi::OsStr::to_string_lossy))
}

/// What the system says of an error, as C's `strerror` words it.
pub fn system_text(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

/// Prints to stdout; see [`say`].
pub fn print(text: &str) {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes());
    let _ = out.flush();
}

/// Prints to stderr; see [`say`].
pub fn print_err(text: &str) {
    use std::io::Write;
    if let Some(kept) = STARTING.lock().unwrap_or_else(PoisonError::into_inner).as_mut()
        && kept.len() + text.len() <= STARTING_MAX
    {
        kept.push_str(text);
    }
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// `-v`.
pub fn version() -> String {
    let mut text = format!("HAProxy version {VERSION} {RELEASE_DATE} - {URL}\n");
    let _ = writeln!(text, "Status: Holdfast proxyd {}, in place of HAProxy 2.6.", env!("CARGO_PKG_VERSION"));
    if let Ok(uts) = nix::sys::utsname::uname() {
        let part = |s: &std::ffi::OsStr| s.to_string_lossy().into_owned();
        let (name, release, machine) = (part(uts.sysname()), part(uts.release()), part(uts.machine()));
        let _ = writeln!(text, "Running on: {name} {release} {} {machine}", part(uts.version()));
    }
    text
}

/// `-vv`.
pub fn version_all() -> String {
    let mut text = version();
    text.push_str(
        "Build options :\n  TARGET  = linux-glibc\n  CPU     = generic\n  CC      = rustc\n\n\
         Feature list : +EPOLL -KQUEUE -NETFILTER +PCRE2 +PCRE2_JIT +POLL +THREAD -LUA +OPENSSL -QUIC +PROMEX +TPROXY \
         +LINUX_TPROXY +LINUX_SPLICE +GETADDRINFO +ACCEPT4 +TFO +NS +RT\n\n\
         Default settings :\n  bufsize = 16384, maxrewrite = 1024, maxpollevents = 200\n\n",
    );
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let _ = writeln!(text, "Built with multi-threading support (default={threads}).");
    text.push_str("Built with TLS by rustls and aws-lc-rs.\nBuilt with PCRE2 and its JIT.\n\n");
    text.push_str("Available polling systems :\n      epoll : pref=300,  test result OK\n");
    text.push_str("Total: 1 (1 usable), will use epoll.\n");
    text
}

/// What `-c` says of a file without a `bind` line.
pub const NO_LISTENER: &str =
    "Configuration file has no error but will not start (no listener) => exit(2).\n";

/// What `-d` says before it starts.
pub const DEBUG_START: &str = "Available polling systems :\n      epoll : pref=300,  test result OK\n\
     Total: 1 (1 usable), will use epoll.\nUsing epoll() as the polling mechanism.\n";

const USAGE: [(&str, &str); 31] = [
    ("-f <file|dir>", "configuration file or directory; may stand more than once"),
    ("-c", "check the configuration and exit"),
    ("-cc <condition>", "evaluate a condition and exit with 0 if true"),
    ("-v, -vv", "show the version, with build options"),
    ("-d", "stay in the foreground and debug"),
    ("-db", "stay in the foreground"),
    ("-D", "go to the background"),
    ("-W, -Ws", "master with workers, with readiness for the service manager"),
    ("-S <bind>[,<options>]", "command line of the master"),
    ("-q, -V", "quiet, verbose"),
    ("-n <conns>", "connections of the process at most"),
    ("-N <conns>", "connections of a proxy at most"),
    ("-m <megabytes>", "memory at most"),
    ("-C <dir>", "change to this directory first"),
    ("-p <file>", "write the pid to this file"),
    ("-L <name>", "name of the local peer"),
    ("-x <socket>", "take the listening sockets of a running process"),
    ("-sf, -st <pids>", "let old processes finish, or end them"),
    ("-dC[<key>]", "show the configuration as it was read"),
    ("-dD", "warn about suspicious settings"),
    ("-dK<classes>", "list keywords; 'help' lists the classes"),
    ("-dM[<byte>]", "taken, without effect"),
    ("-dR", "no SO_REUSEPORT"),
    ("-dr", "go on when servers' names do not resolve"),
    ("-dS", "no splice"),
    ("-dV", "do not verify servers' certificates"),
    ("-dW", "fail on any warning"),
    ("-de, -dp, -dG, -dL, -dI", "taken, without effect"),
    ("--explain", "show errors with an excerpt and a remedy"),
    ("--no-delegate", "probe all servers from this process"),
    ("--no-bus", "do not talk to the other daemons"),
];

/// The usage text, on stderr behind the version on stdout.
pub fn usage(program: &str) -> String {
    let mut text = format!("Usage : {program} [-f <cfgfile|cfgdir>]* [options] [-- <cfgfile>*]\n");
    for (option, about) in USAGE {
        let _ = writeln!(text, "        {option:<24} {about}");
    }
    text.push('\n');
    text
}

/// `[NOTICE]` lines before the first complaint at the start.
pub fn introduction() -> [String; 2] {
    let path = std::env::current_exe().map_or_else(|_| "?".into(), |p| p.display().to_string());
    [format!("haproxy version is {VERSION}"), format!("path to executable is {path}")]
}

/// A proxy that a soft stop ended.
pub fn proxy_stopped(name: &str, frontend: u64, backend: u64) -> String {
    format!("Proxy {name} stopped (cumulated conns: FE: {frontend}, BE: {backend}).")
}

/// How a child of the master ended, as the master tells it; `what` is `worker` or `program 'NAME'`.
pub fn child_ended(current: bool, what: &str, pid: u32, code: i32) -> (Label, String) {
    let which = if current { "Current" } else { "Former" };
    let how = if code > 128 { signal_name(code - 128) } else { "Exit" };
    let alarming = code > 128 || what != "worker";
    let label = if current && alarming { Label::Alert } else { Label::Warning };
    (label, format!("{which} {what} ({pid}) exited with code {code} ({how})"))
}

/// strsignal()'s words.
fn signal_name(number: i32) -> &'static str {
    match number {
        1 => "Hangup",
        2 => "Interrupt",
        3 => "Quit",
        4 => "Illegal instruction",
        5 => "Trace/breakpoint trap",
        6 => "Aborted",
        7 => "Bus error",
        8 => "Floating point exception",
        9 => "Killed",
        10 => "User defined signal 1",
        11 => "Segmentation fault",
        12 => "User defined signal 2",
        13 => "Broken pipe",
        14 => "Alarm clock",
        15 => "Terminated",
        _ => "Unknown signal",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_shaped_like_the_oracles() {
        assert_eq!(Label::Notice.line(7, "x"), "[NOTICE]   (7) : x\n");
        assert_eq!(Label::Warning.line(7, "x"), "[WARNING]  (7) : x\n");
        assert_eq!(Label::Alert.line(7, "x"), "[ALERT]    (7) : x\n");
        assert_eq!(proxy_stopped("f", 1, 2), "Proxy f stopped (cumulated conns: FE: 1, BE: 2).");
        assert_eq!(
            child_ended(true, "worker", 5, 143),
            (Label::Alert, "Current worker (5) exited with code 143 (Terminated)".into())
        );
        let program = child_ended(true, "program 'p'", 5, 0);
        assert_eq!(program, (Label::Alert, "Current program 'p' (5) exited with code 0 (Exit)".into()));
        assert_eq!(child_ended(true, "worker", 5, 1).0, Label::Warning);
        assert_eq!(
            child_ended(false, "worker", 5, 0),
            (Label::Warning, "Former worker (5) exited with code 0 (Exit)".into())
        );
    }

    #[test]
    fn the_version_is_the_third_word() {
        assert_eq!(version().split(' ').nth(2), Some(VERSION));
        assert!(version_all().contains("\n  TARGET  = linux-glibc\n"));
    }
}
