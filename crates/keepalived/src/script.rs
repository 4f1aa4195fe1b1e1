//! `startup_script` and `shutdown_script`: what runs before the first part starts and after the last one ended.
//!
//! Invariant: a script that may not run is named and passed over; whatever comes of one that runs, the daemon goes on.
//! Absent on purpose: scripts of instances (vrrpd) and checks (checkd).

use conf_parsers::keepalived::globals::Globals;
use conf_parsers::keepalived::shared::{Command, DefaultUser};
use exec::security::{self, Fault};
use exec::{Outcome, Owner, Program};
use std::ffi::OsStr;
use std::time::Duration;

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// Before the parts start.
    Startup,
    /// After they ended.
    Shutdown,
}

impl Moment {
    fn word(self) -> &'static str {
        match self {
            Self::Startup => "startup",
            Self::Shutdown => "shutdown",
        }
    }

    fn script(self, globals: &Globals) -> Option<(&Command, Option<u32>)> {
        let (script, timeout) = match self {
            Self::Startup => (&globals.startup_script, globals.startup_script_timeout),
            Self::Shutdown => (&globals.shutdown_script, globals.shutdown_script_timeout),
        };
        script.as_ref().map(|s| (s, timeout))
    }
}

/// Why a script may not run.
fn refusal(command: &Command, secured: bool, as_root: bool) -> Option<&'static str> {
    match security::inspect(OsStr::new(&command.argv[0])).fault {
        Some(Fault::Missing) => Some("since not found/accessible"),
        Some(Fault::Directory(_)) => Some("due to insecure"),
        Some(Fault::Insecure(_)) if as_root && secured => Some("due to insecure"),
        _ => None,
    }
}

/// Runs the script of that moment, if there is one, to its end or to its time limit; that all is well is a
/// detail.
pub(crate) async fn run(moment: Moment, globals: &Globals, detail: bool, say: impl Fn(&str)) {
    let Some((command, timeout)) = moment.script(globals) else { return };
    let word = moment.word();
    let user = match (&command.user, &globals.script_user) {
        (Some(user), _) | (None, DefaultUser::User(user)) => Some(Owner { uid: user.uid, gid: user.gid }),
        (None, DefaultUser::Own | DefaultUser::Refused) => None,
    };
    let as_root = user.map_or_else(|| nix::unistd::geteuid().is_root(), |u| u.uid == 0);
    if let Some(why) = refusal(command, globals.enable_script_security, as_root) {
        say(&format!("Disabling {word} script {} {why}", command.argv[0]));
        return;
    }
    if as_root && !globals.enable_script_security && moment == Moment::Startup {
        say(
            "SECURITY VIOLATION - start/shutdown scripts are being executed but script_security not enabled.",
        );
    }
    if detail {
        say(&format!("Running {word} script {}", command.argv[0]));
    }
    let program = Program { owner: user, ..Program::new(&command.argv) };
    let limit = timeout.map(|s| Duration::from_secs(s.into()));
    match program.run(limit).await {
        Outcome::Exited(0) if !detail => {}
        Outcome::Exited(0) => say(&format!("{word} script script succeeded")),
        Outcome::Exited(code) => say(&format!("{word} script script failed, status {code}")),
        Outcome::Signalled(signal) => say(&format!("{word} script script failed due to signal {signal}")),
        Outcome::TimedOut => say(&format!("{word} script timed out")),
        Outcome::Failed(error) => say(&format!("Call of {word} script {} failed ({error})", command.argv[0])),
    }
}
