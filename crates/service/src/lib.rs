//! Being a Unix daemon: options, signals, pid files, readiness, the background, users and limits.
//!
//! Invariant: each piece does one thing that the oracles do too and tells failure as a value; which piece comes
//! when, and what the user reads about it, is decided in a daemon's `main.rs`.
//!
//! Absent on purpose: a daemon framework, logging, exit. The order in which haproxy and keepalived do these
//! things is part of their contracts and differs.

pub mod argv;
pub mod background;
pub mod identity;
pub mod notify;
pub mod pidfile;
pub mod signals;

pub use background::{Background, go_to_background};
pub use identity::Identity;
pub use notify::Notify;
pub use pidfile::PidFile;
pub use signals::{Signal, Signals};

/// Exit code of a process that a signal ended, as shells report it; haproxy `-db` on SIGTERM is 143.
pub fn code_of_signal(signal: i32) -> i32 {
    128 + signal
}
