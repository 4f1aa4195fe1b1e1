//! Programs of `program` sections: children of the master beside its workers.
//!
//! Invariant: a program lives no longer than the configuration that asked for it: each reload ends those of before.

use crate::config::model::Program;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

/// What a worker tells its master of the configuration once all is bound.
#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct Wishes {
    /// `program` sections.
    pub programs: Vec<Program>,
    /// `mworker-max-reloads`.
    pub max_reloads: Option<u32>,
}

/// A program that runs.
#[derive(Debug)]
pub struct Running {
    /// Its process.
    pub pid: u32,
    /// To be waited for.
    pub child: Child,
    /// Its section's name.
    pub name: String,
    /// Reloads that it saw.
    pub reloads: u32,
    /// Since when.
    pub started: Instant,
}

impl Running {
    /// Starts it.
    pub fn start(program: &Program) -> io::Result<Self> {
        let (file, arguments) = program.command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let mut command = Command::new(file);
        command.args(arguments).stdin(Stdio::null());
        if let Some(gid) = program.gid {
            command.gid(gid);
        }
        if let Some(uid) = program.uid {
            command.uid(uid);
        }
        let child = command.spawn()?;
        let name = program.name.clone();
        Ok(Self { pid: child.id(), child, name, reloads: 0, started: Instant::now() })
    }
}
