//! Making a second process out of this one, before any thread exists.

use nix::unistd::{ForkResult, Pid};
use std::io;
use std::time::{Duration, Instant};

/// Which of the two processes the caller is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fork {
    /// The one that called; the child's pid.
    Parent(u32),
    /// The new one.
    Child,
}

/// How long a thread that was joined may be listed by the kernel still, on a busy machine.
const GONE: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_millis(1);

/// Forks. Refuses with `Unsupported` when this process has more than one thread, and keeps it: the child would inherit
/// locks whose holders do not exist in it. Call it before any runtime is built.
pub fn fork() -> io::Result<Fork> {
    let until = Instant::now() + GONE;
    while std::fs::read_dir("/proc/self/task")?.count() != 1 {
        if Instant::now() >= until {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "cannot fork with threads running"));
        }
        std::thread::sleep(LOOK);
    }
    // SAFETY: the only hazard of fork is other threads' locks and state; the check above saw that there is one
    // thread, and that is the one that is here.
    match unsafe { nix::unistd::fork() }? {
        ForkResult::Parent { child } => Ok(Fork::Parent(Pid::as_raw(child) as u32)),
        ForkResult::Child => Ok(Fork::Child),
    }
}

/// Ends this process by a signal, whatever handler there was, so that the parent sees what ended it. Falls back
/// to the exit code that a shell would show when the signal does not end a process.
pub fn die_by(signal: i32) -> ! {
    if let Ok(which) = nix::sys::signal::Signal::try_from(signal) {
        let mut only = nix::sys::signal::SigSet::empty();
        only.add(which);
        // SAFETY: SIG_DFL installs no code of ours, so there is no handler that could be unsafe to run.
        let _ = unsafe { nix::sys::signal::signal(which, nix::sys::signal::SigHandler::SigDfl) };
        let _ = only.thread_unblock();
        let _ = nix::sys::signal::raise(which);
    }
    std::process::exit(128 + signal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_beside_other_threads() {
        let (tx, rx) = std::sync::mpsc::channel::<()>();
        let other = std::thread::spawn(move || rx.recv());
        assert_eq!(fork().unwrap_err().kind(), io::ErrorKind::Unsupported);
        drop(tx);
        assert!(other.join().unwrap().is_err());
    }
}
