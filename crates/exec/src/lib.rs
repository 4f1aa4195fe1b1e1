//! Running scripts: as a user, in a process group of their own, with a deadline; notify FIFOs; and who may be
//! trusted with root.
//!
//! Invariant: a script that outlives its deadline gets SIGTERM, two seconds later SIGKILL, and so does every
//! process it started that stayed in its group. Nothing here blocks a one-threaded daemon.
//!
//! Absent on purpose: what a result means (the caller judges it) and any text for users (see [`security::Fault`]).

pub mod fifo;
pub mod security;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::{Child, Command};

/// How long a script may tidy up between SIGTERM and SIGKILL; keepalived's value.
pub const GRACE: Duration = Duration::from_secs(2);

/// Variables that change which code a script's interpreter loads; never passed on to a script.
const UNSAFE_VARIABLES: [&str; 3] = ["LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT"];

/// What a script's environment is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Environment {
    /// The daemon's own, without the variables that steer the dynamic linker.
    #[default]
    Inherited,
    /// Exactly these.
    Only(Vec<(OsString, OsString)>),
}

/// A program to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Program and arguments; the program is a path or is looked for on PATH.
    pub argv: Vec<OsString>,
    /// User and group to run as; `None` leaves the daemon's.
    pub owner: Option<Owner>,
    /// Environment.
    pub environment: Environment,
    /// Whether the output is kept with the daemon's (foreground mode) or thrown away.
    pub keep_output: bool,
}

/// A user and a group, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Owner {
    /// User.
    pub uid: u32,
    /// Group; supplementary groups are dropped.
    pub gid: u32,
}

impl Owner {
    /// The owner of this name (or number), with its own group or the given one; `None` when there is no such
    /// user or group.
    pub fn named(user: &str, group: Option<&str>) -> Option<Self> {
        let found = nix::unistd::User::from_name(user).ok().flatten();
        let found = match found {
            Some(user) => Some((user.uid.as_raw(), user.gid.as_raw())),
            None => user.parse().ok().and_then(|uid: u32| {
                let entry = nix::unistd::User::from_uid(uid.into()).ok().flatten()?;
                Some((uid, entry.gid.as_raw()))
            }),
        };
        let (uid, own_gid) = found?;
        let gid = match group {
            None => own_gid,
            Some(name) => match nix::unistd::Group::from_name(name).ok().flatten() {
                Some(group) => group.gid.as_raw(),
                None => name.parse().ok()?,
            },
        };
        Some(Self { uid, gid })
    }
}

/// How a run ended.
#[derive(Debug)]
pub enum Outcome {
    /// It exited with this code, 0 to 255.
    Exited(i32),
    /// This signal ended it, before its deadline.
    Signalled(i32),
    /// It was ended because its deadline had passed.
    TimedOut,
    /// It could not be started.
    Failed(io::Error),
}

impl Program {
    /// A program with the daemon's user and environment, its output thrown away.
    pub fn new(argv: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        Self {
            argv: argv.into_iter().map(Into::into).collect(),
            owner: None,
            environment: Environment::Inherited,
            keep_output: false,
        }
    }

    /// Runs it to its end, at most `limit` (then see [`GRACE`]). Dropping the future ends the script's group at
    /// once with SIGKILL.
    pub async fn run(&self, limit: Option<Duration>) -> Outcome {
        let child = match self.spawn() {
            Ok(child) => child,
            Err(e) => return Outcome::Failed(e),
        };
        let mut group = Group { leader: child.id().map(|id| Pid::from_raw(id as i32)), child };
        let ended = match limit {
            None => group.child.wait().await,
            Some(limit) => match tokio::time::timeout(limit, group.child.wait()).await {
                Ok(ended) => ended,
                Err(_) => return group.end().await,
            },
        };
        group.leader = None;
        match ended {
            Ok(status) => match (status.code(), status.signal()) {
                (Some(code), _) => Outcome::Exited(code),
                (None, signal) => Outcome::Signalled(signal.unwrap_or_default()),
            },
            Err(e) => Outcome::Failed(e),
        }
    }

    /// Starts it and lets it go its way, as notify scripts are: it is reaped in the background and never ended
    /// by us. Gives its pid. Must be called within a tokio runtime.
    pub fn detach(&self) -> io::Result<u32> {
        let mut child = self.spawn()?;
        let pid = child.id().unwrap_or_default();
        tokio::spawn(async move { child.wait().await });
        Ok(pid)
    }

    fn spawn(&self) -> io::Result<Child> {
        let (program, args) = self
            .argv
            .split_first()
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "no program to run"))?;
        let mut command = Command::new(program);
        command.args(args).process_group(0).stdin(Stdio::null());
        if !self.keep_output {
            command.stdout(Stdio::null()).stderr(Stdio::null());
        }
        match &self.environment {
            Environment::Inherited => {
                for name in UNSAFE_VARIABLES {
                    command.env_remove(name);
                }
            }
            Environment::Only(variables) => {
                command.env_clear();
                command.envs(variables.iter().map(|(k, v)| (k, v)));
            }
        }
        if let Some(owner) = self.owner.filter(|o| !is_self(*o)) {
            command.gid(owner.gid).uid(owner.uid);
        }
        command.spawn()
    }
}

/// Whether the daemon already is this user; then an unprivileged daemon need not (and cannot) change.
fn is_self(owner: Owner) -> bool {
    nix::unistd::geteuid().as_raw() == owner.uid && nix::unistd::getegid().as_raw() == owner.gid
}

/// A running script; its group dies with this value unless `leader` was taken out.
struct Group {
    leader: Option<Pid>,
    child: Child,
}

impl Group {
    async fn end(mut self) -> Outcome {
        self.signal(Signal::SIGTERM);
        let gone = tokio::time::timeout(GRACE, self.child.wait()).await;
        // Children of the script may ignore SIGTERM although the script itself went.
        self.signal(Signal::SIGKILL);
        self.leader = None;
        if gone.is_err() {
            // After SIGKILL the wait is short; without it the script would stay a zombie until the runtime's
            // orphan reaper comes by.
            let _ = self.child.wait().await;
        }
        Outcome::TimedOut
    }

    fn signal(&self, signal: Signal) {
        if let Some(leader) = self.leader {
            // Fails only when the group is gone, which is what is wanted.
            let _ = killpg(leader, signal);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
    }
}

#[cfg(test)]
mod tests;
