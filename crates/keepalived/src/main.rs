//! The `keepalived` entry: one program that supervises the VRRP and checker parts under keepalived's own name.
//!
//! Code map: options.rs the command line · check.rs `-t` · bfd.rs the BFD pass · part.rs a child's side ·
//! places.rs pid files and syslog names · script.rs startup and shutdown scripts ·
//! supervisor.rs the parent's side · messages.rs every text of the parent.
//!
//! Invariant: the parts are child processes of this same program; the parent decides nothing about VRRP or health,
//! it starts, watches, signals and buries. Absent on purpose: a BFD process.

mod bfd;
mod check;
mod messages;
mod options;
mod part;
mod places;
mod script;
mod supervisor;

use options::{Asked, Options};
use std::io::Write as _;
use std::process::ExitCode;

/// Exit code without a configuration file.
const EXIT_NO_CONFIG: u8 = 6;
/// Exit code of a command line that is refused.
const EXIT_USAGE: u8 = 1;

/// Says a line on stderr; nobody is left to tell when that is gone.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1).peekable();
    let part = words.peek().and_then(|w| w.to_str()).and_then(part::Part::of_word);
    if part.is_some() {
        words.next();
    }
    let mut options = match options::parse(words) {
        Ok(Asked::Run(options)) => *options,
        Ok(Asked::Print(text)) => {
            let printed = writeln!(std::io::stdout(), "{text}");
            return if printed.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
        }
        Ok(Asked::Say(text)) => {
            say(&text);
            return ExitCode::SUCCESS;
        }
        Err(text) => {
            say(&text);
            return ExitCode::from(EXIT_USAGE);
        }
    };
    // All processes are found under one name, whatever the file is called.
    let _ = sys::process::set_name("keepalived");
    match part {
        Some((part, suffix)) => {
            options.ident_suffix = suffix;
            part::run(part, options)
        }
        None if options.test => check::run(&options),
        None => daemon(options),
    }
}

fn daemon(options: Options) -> ExitCode {
    let core = check::core(&options);
    let options = match &core {
        Ok(core) => places::settle(options, &core.globals),
        // Without a configuration nothing starts; who finds that out says so.
        Err(_) => options,
    };
    ExitCode::from(supervisor::run(options, core))
}
