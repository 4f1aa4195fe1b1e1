//! Telling a supervisor by `NOTIFY_SOCKET` (sd_notify(3)).
//!
//! Invariant: without the variable every call is a no-op; a supervisor that does not listen costs nothing but
//! the message.

use sd_notify::NotifyState;
use std::io;

/// What to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notify<'a> {
    /// `READY=1` and `MAINPID=n` in one datagram.
    Ready {
        /// Main process.
        main: u32,
    },
    /// `RELOADING=1`.
    Reloading,
    /// `STOPPING=1`.
    Stopping,
    /// `ERRNO=n`: why it failed.
    Errno(i32),
    /// `STATUS=text`.
    Status(&'a str),
}

impl Notify<'_> {
    /// Sends it as one datagram.
    pub fn send(self) -> io::Result<()> {
        match self {
            Self::Ready { main } => sd_notify::notify(&[NotifyState::Ready, NotifyState::MainPid(main)]),
            Self::Reloading => sd_notify::notify(&[NotifyState::Reloading]),
            Self::Stopping => sd_notify::notify(&[NotifyState::Stopping]),
            Self::Errno(n) => sd_notify::notify(&[NotifyState::Errno(n.unsigned_abs())]),
            Self::Status(text) => sd_notify::notify(&[NotifyState::Status(text)]),
        }
    }
}
