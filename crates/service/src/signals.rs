//! Signals as values in a daemon's `select!` loop.
//!
//! Invariant: a signal that arrives between two looks is kept (one of each kind), never lost.

use nix::sys::signal::{SigSet, SigmaskHow, sigprocmask};
use std::io;
use std::task::Poll;
use tokio::signal::unix::{Signal as Listener, SignalKind, signal};

/// Signals that the daemons know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Signal {
    /// SIGHUP.
    Hup,
    /// SIGINT.
    Int,
    /// SIGQUIT.
    Quit,
    /// SIGTERM.
    Term,
    /// SIGUSR1.
    Usr1,
    /// SIGUSR2.
    Usr2,
    /// SIGCHLD.
    Chld,
    /// SIGALRM.
    Alrm,
    /// SIGTTIN.
    Ttin,
    /// SIGTTOU.
    Ttou,
    /// A real-time signal, counted from SIGRTMIN (34): keepalived's JSON is 2.
    Real(u8),
}

/// glibc's SIGRTMIN.
const REAL_MIN: i32 = 34;

impl Signal {
    /// Its number.
    pub fn number(self) -> i32 {
        match self {
            Self::Hup => libc::SIGHUP,
            Self::Int => libc::SIGINT,
            Self::Quit => libc::SIGQUIT,
            Self::Term => libc::SIGTERM,
            Self::Usr1 => libc::SIGUSR1,
            Self::Usr2 => libc::SIGUSR2,
            Self::Chld => libc::SIGCHLD,
            Self::Alrm => libc::SIGALRM,
            Self::Ttin => libc::SIGTTIN,
            Self::Ttou => libc::SIGTTOU,
            Self::Real(n) => REAL_MIN + i32::from(n),
        }
    }
}

/// Listens to a set of signals.
#[derive(Debug)]
pub struct Signals {
    listeners: Vec<(Signal, Listener)>,
}

impl Signals {
    /// Starts listening; from then on these signals no longer have their default effect. Needs a tokio runtime
    /// with I/O.
    pub fn listen(signals: &[Signal]) -> io::Result<Self> {
        let listen = |s: &Signal| Ok((*s, signal(SignalKind::from_raw(s.number()))?));
        Ok(Self { listeners: signals.iter().map(listen).collect::<io::Result<_>>()? })
    }

    /// The next signal; those that came together come in the order of [`Signals::listen`]. Cancel-safe.
    pub async fn next(&mut self) -> Signal {
        std::future::poll_fn(|cx| {
            for (which, listener) in &mut self.listeners {
                if listener.poll_recv(cx).is_ready() {
                    return Poll::Ready(*which);
                }
            }
            Poll::Pending
        })
        .await
    }
}

/// Unblocks every signal: a parent may have left some blocked, and the mask survives exec.
pub fn unblock_all() -> io::Result<()> {
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?;
    Ok(())
}

/// Sends a signal to a process; says whether there was one that we may signal. Pid 0 is refused: it would mean
/// our own process group.
pub fn send(pid: u32, signal: Signal) -> bool {
    let Ok(signal) = nix::sys::signal::Signal::try_from(signal.number()) else { return false };
    pid != 0 && nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid as i32), signal).is_ok()
}

/// Ends this process by the signal itself, so that its parent sees what ended it; does not return.
pub fn die_by(which: Signal) -> ! {
    sys::fork::die_by(which.number())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn signals_arrive_in_the_order_of_the_list() {
        let mut signals = Signals::listen(&[Signal::Usr2, Signal::Usr1, Signal::Real(3)]).unwrap();
        let me = std::process::id();
        assert!(send(me, Signal::Usr1));
        assert_eq!(signals.next().await, Signal::Usr1);
        assert!(send(me, Signal::Usr2));
        assert_eq!(signals.next().await, Signal::Usr2);
    }

    #[test]
    fn nobody_is_signalled_by_mistake() {
        assert!(!send(0, Signal::Usr1));
        assert!(!send(u32::MAX / 2, Signal::Usr1));
    }
}
