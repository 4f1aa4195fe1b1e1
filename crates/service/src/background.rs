//! Going to the background.
//!
//! Invariant: the parent returns to its shell only after the child said that it is ready, so that "returns 0"
//! means "is bound"; a child that dies before takes the parent down with its own exit code.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use sys::fork::{Fork, fork};

/// Which side of the fork we are.
#[derive(Debug)]
pub enum Background {
    /// The one that the shell waits for: exit with this code.
    Parent {
        /// 0 when the child became ready, else the child's exit code.
        code: i32,
    },
    /// The daemon.
    Child(Ready),
}

/// The child's promise to tell its parent; dropping it unsaid lets the parent see only the exit code.
#[derive(Debug)]
pub struct Ready {
    pipe: std::fs::File,
}

impl Ready {
    /// Lets the parent return 0, and leaves the terminal: own session, /dev/null as stdin, and as stdout and
    /// stderr too unless `keep_output`.
    pub fn ready(mut self, keep_output: bool) -> io::Result<()> {
        leave_terminal(keep_output)?;
        self.pipe.write_all(b"r")
    }
}

/// Forks; must be called before any thread or runtime exists.
pub fn go_to_background() -> io::Result<Background> {
    let (read, write): (OwnedFd, OwnedFd) =
        nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).map_err(io::Error::from)?;
    match fork()? {
        Fork::Child => {
            drop(read);
            Ok(Background::Child(Ready { pipe: write.into() }))
        }
        Fork::Parent(child) => {
            drop(write);
            let mut said = [0; 1];
            let ready = std::fs::File::from(read).read(&mut said)? == 1;
            let code = if ready { 0 } else { exit_code(child) };
            Ok(Background::Parent { code })
        }
    }
}

fn exit_code(child: u32) -> i32 {
    use nix::sys::wait::{WaitStatus, waitpid};
    match waitpid(nix::unistd::Pid::from_raw(child as i32), None) {
        Ok(WaitStatus::Exited(_, code)) => code,
        Ok(WaitStatus::Signaled(_, signal, _)) => crate::code_of_signal(signal as i32),
        _ => 1,
    }
}

/// /dev/null, for [`leave_terminal_for`]: to be opened before a chroot that has none.
pub fn nowhere() -> io::Result<OwnedFd> {
    Ok(std::fs::OpenOptions::new().read(true).write(true).open("/dev/null")?.into())
}

/// Own session and /dev/null for the standard descriptors.
pub fn leave_terminal(keep_output: bool) -> io::Result<()> {
    leave_terminal_for(&nowhere()?, keep_output)
}

/// As [`leave_terminal`], with /dev/null open already.
pub fn leave_terminal_for(null: &OwnedFd, keep_output: bool) -> io::Result<()> {
    // Fails only when we lead a session already, which is as good.
    let _ = nix::unistd::setsid();
    nix::unistd::dup2_stdin(null.as_fd())?;
    if !keep_output {
        nix::unistd::dup2_stdout(null.as_fd())?;
        nix::unistd::dup2_stderr(null.as_fd())?;
    }
    Ok(())
}
