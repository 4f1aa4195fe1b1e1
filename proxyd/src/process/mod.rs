//! The process: command line, start, signals, master and workers, sockets handed over, the control side.
//!
//! [`options`] what was asked for · [`messages`] what is said · [`load`] the configuration and its report ·
//! [`bind`] all sockets at once · [`worker`] the process that proxies · [`master`] the one that replaces workers,
//! with its [`master_cli`] · [`control`] stats sockets · [`handoff`] listening sockets from an old process ·
//! [`dump`] what SIGHUP tells · [`keywords`] `-dK` · [`measure`] figures of `show info` · [`program`] what a master runs beside workers.
//!
//! Invariant: nothing here touches traffic; a daemon whose control side is busy still proxies.

pub mod bind;
pub mod control;
pub mod dump;
pub mod handoff;
pub mod keep;
pub mod keywords;
pub mod load;
pub mod master;
pub mod master_cli;
pub mod measure;
pub mod messages;
pub mod options;
pub mod program;
pub mod worker;

use messages::Label;
use options::Options;
use std::ffi::OsString;
use std::os::unix::net::UnixStream;
use std::path::Path;

/// Runs the program with its words (the first is its name); gives the exit code.
pub fn run(words: impl IntoIterator<Item = OsString>) -> i32 {
    let mut words = words.into_iter();
    let program = words.next().unwrap_or_else(|| "proxyd".into());
    let name =
        Path::new(&program).file_name().map_or_else(|| "proxyd".into(), |n| n.to_string_lossy().into_owned());
    // Only how `ps` shows us; the kernel's own choice is fine too.
    let _ = sys::process::set_name(&name);
    sys::process::default_faults();
    let words: Vec<OsString> = words.collect();
    let options = match Options::parse_words(words.iter().cloned()) {
        Ok(options) => options,
        Err(service::argv::ArgvError::Missing(text)) => return refuse(&text),
        Err(service::argv::ArgvError::Unknown(_)) => return usage(&name),
    };
    if options.quiet && !options.verbose {
        messages::hush();
    }
    if options.version || options.version_all {
        let text = if options.version_all { messages::version_all() } else { messages::version() };
        messages::print(&text);
        return 0;
    }
    if let Some(condition) = &options.check_condition {
        return load::condition(condition);
    }
    if options.files.is_empty() {
        return usage(&name);
    }
    if service::signals::unblock_all().is_err() {
        return refuse(&messages::in_main("Cannot unblock signals."));
    }
    start(program, &name, words, options)
}

fn start(program: OsString, name: &str, words: Vec<OsString>, options: Options) -> i32 {
    let master = match options.worker.as_deref().map(channels) {
        Some(None) => return usage(name),
        Some(Some(channels)) => Some(channels),
        None => None,
    };
    if options.wants_master() && master.is_none() && !options.check {
        return lead(program, words, options, None);
    }
    if let Some(directory) = &options.directory
        && let Err(e) = std::env::set_current_dir(directory)
    {
        let text = nix::errno::Errno::from_raw(e.raw_os_error().unwrap_or_default()).desc();
        return refuse(&format!("Could not change to directory {} : {text}", directory.display()));
    }
    let loaded = load::load(&options, name);
    if loaded.all_read && loaded.sources.files().next().is_none() {
        return usage(name); // directories without files
    }
    let wants_master = loaded.config.as_ref().is_some_and(|c| c.global.master_worker);
    if wants_master && master.is_none() && !options.check && !options.debug && !options.foreground {
        return lead(program, words, options, loaded.config);
    }
    if master.is_some() {
        // Until all is bound, this is part of the master's start.
        messages::speak_for(nix::unistd::getppid().as_raw().unsigned_abs());
    }
    let config = match loaded.verdict(&options) {
        Ok(config) => config,
        Err(code) => return code,
    };
    worker::run(worker::Start { options, config, master })
}

/// Becomes a master. The configuration is read once more by the worker, which tells what is wrong with it; here
/// only what the master itself needs is looked up.
fn lead(
    program: OsString,
    words: Vec<OsString>,
    options: Options,
    config: Option<crate::config::model::Config>,
) -> i32 {
    let config = config.or_else(|| load::load(&options, "").config);
    let global = config.as_ref().map(|c| &c.global);
    let notify = options.master_notify;
    let daemon = !notify
        && !options.foreground
        && !options.debug
        && (options.daemon || global.is_some_and(|g| g.daemon));
    let survive = global.is_some_and(|g| g.no_exit_on_failure);
    let pidfile = options.pidfile.clone().or_else(|| global.and_then(|g| g.pidfile.clone()));
    let sockets = global.map(|g| g.master_sockets.clone()).unwrap_or_default();
    drop(config);
    let ready = if daemon {
        match service::go_to_background() {
            Ok(service::Background::Parent { code }) => return code,
            Ok(service::Background::Child(ready)) => Some(ready),
            Err(e) => return refuse(&messages::in_main(&format!("Cannot fork: {e}"))),
        }
    } else {
        None
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => return refuse(&messages::in_main(&format!("Cannot start the master: {e}"))),
    };
    let plan = master::Plan { program, words, options, pidfile, sockets, notify, survive };
    runtime.block_on(master::run(plan, || ready.map_or(Ok(()), |r| r.ready(false))))
}

/// `CHANNEL,OLD,OLD`: descriptors that the master left open for its worker; those of the worker before it are -1
/// where there is none, and a master of another version may leave one only.
fn channels(text: &str) -> Option<worker::Channels> {
    let adopt = |n: &str| sys::inherit::adopt(n.parse().ok()?).ok().map(UnixStream::from);
    let mut numbers = text.split(',');
    let control = adopt(numbers.next()?)?;
    let mut old = || numbers.next().filter(|n| *n != "-1").and_then(adopt);
    Some(worker::Channels { control, sockets: old(), board: old() })
}

fn usage(name: &str) -> i32 {
    messages::print(&messages::version());
    messages::print_err(&messages::usage(name));
    1
}

fn refuse(text: &str) -> i32 {
    for line in &messages::introduction() {
        messages::say(Label::Notice, line);
    }
    messages::say(Label::Alert, text);
    1
}
