//! Where the results of trackers come from. Each source sends [`Report`]s; the core decides what they mean.
//!
//! | block | source |
//! |---|---|
//! | `vrrp_script` | script.rs: runs it, judges rise and fall |
//! | `track_file` | file.rs: inotify |
//! | `vrrp_track_process` | process.rs: counts in /proc |
//! | `track_interface` | the netlink monitor, run.rs |

pub mod file;
pub mod process;
pub mod script;

use crate::messages::Message;

/// What a source found.
#[derive(Debug, Clone, PartialEq)]
pub enum Report {
    /// A script is judged up or down.
    Script(String, bool),
    /// A file's value.
    File(String, i64),
    /// A process has its quorum or not.
    Process(String, bool),
    /// A line for the log.
    Say(Message),
}

/// Ends the sources when dropped.
#[derive(Debug, Default)]
pub struct Running(Vec<tokio::task::JoinHandle<()>>);

impl Running {
    /// Adds a task.
    pub fn push(&mut self, task: tokio::task::JoinHandle<()>) {
        self.0.push(task);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.iter().for_each(tokio::task::JoinHandle::abort);
    }
}
