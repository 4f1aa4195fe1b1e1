//! Frames of version 1: one JSON object a line, UTF-8, at most 64 KiB with its line ending.
//!
//! Invariant: additive only. A field may be added with a default; none is removed, renamed or given another
//! meaning, and unknown fields and frame types are skipped. The golden lines in the tests are kept for ever.
//!
//! Absent on purpose: runtime types of the daemons. They are turned into these in a daemon's `bus.rs` and
//! nowhere else.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Longest line with its line ending. A probe specification or a service with hundreds of servers fits many
/// times; a peer that sends more is broken.
pub const LINE_MAX: usize = 64 * 1024;

/// The only version so far.
pub const VERSION: u32 = 1;

/// Number of a lease, chosen by the side that offers; it never uses one twice on a connection.
pub type LeaseId = u64;

/// One message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "t", rename_all = "snake_case")]
pub enum Frame {
    /// First frame of each side.
    Hello {
        /// Versions that the sender speaks; the highest common one is used.
        versions: Vec<u32>,
        /// Name of the sender's role.
        role: String,
        /// What the sender can do beyond the base: `lease`.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        features: Vec<String>,
        /// Random number of the server's start; 0 from a client.
        #[serde(default)]
        epoch: u64,
        /// Pid of the sender.
        #[serde(default)]
        pid: u32,
    },
    /// Client: what it wants to know; answered with a snapshot. A second one replaces the first, and is how a
    /// client that missed something starts over.
    Subscribe {
        /// Topics, or beginnings of topics with `*` behind.
        topics: Vec<String>,
    },
    /// Server: a snapshot begins; what is not in it is gone.
    Snapshot {
        /// Epoch of the server.
        epoch: u64,
        /// Number of this frame in the session.
        seq: u64,
    },
    /// Server: the state of a topic, in a snapshot or changed.
    State {
        /// Topic.
        topic: String,
        /// Epoch of the server.
        epoch: u64,
        /// Number of this frame in the session.
        seq: u64,
        /// Its data, see [`crate::payload`].
        data: Value,
    },
    /// Server: a topic no longer exists.
    Gone {
        /// Topic.
        topic: String,
        /// Epoch of the server.
        epoch: u64,
        /// Number of this frame in the session.
        seq: u64,
    },
    /// Server: the snapshot is complete.
    Sync {
        /// Epoch of the server.
        epoch: u64,
        /// Number of this frame in the session.
        seq: u64,
    },
    /// Client: will you probe this for me?
    Offer {
        /// Lease.
        lease: LeaseId,
        /// Silence after which the client probes itself, in milliseconds.
        ttl_ms: u64,
        /// What to probe and how often.
        spec: Value,
    },
    /// Server: it will.
    Granted {
        /// Lease.
        lease: LeaseId,
    },
    /// Server: it won't, or no longer.
    Refused {
        /// Lease.
        lease: LeaseId,
        /// Why, for people.
        #[serde(default)]
        reason: String,
    },
    /// Server: a probe ended; renews the lease.
    Outcome {
        /// Lease.
        lease: LeaseId,
        /// Count within the lease, from 1.
        n: u64,
        /// The outcome, see [`crate::payload::Outcome`].
        data: Value,
    },
    /// Client: probe now, don't wait for the schedule.
    Nudge {
        /// Lease.
        lease: LeaseId,
    },
    /// Client: stop probing.
    Withdraw {
        /// Lease.
        lease: LeaseId,
    },
    /// Either: are you there?
    Ping {},
    /// Either: yes.
    Pong {
        /// Server: number of the last numbered frame, by which a client sees that it missed the last ones.
        #[serde(default)]
        seq: u64,
    },
    /// Either: why the connection is about to be closed.
    Error {
        /// For people.
        text: String,
    },
    /// A frame of a later version.
    #[serde(other)]
    Unknown,
}

/// Why a line is no frame.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// Longer than [`LINE_MAX`].
    #[error("line longer than {LINE_MAX} bytes")]
    TooLong,
    /// Not JSON, or a known frame with missing fields.
    #[error("not a frame: {0}")]
    Syntax(#[from] serde_json::Error),
    /// Neither we nor the peer changed versions in `hello`, so this is a fault.
    #[error("version {0} was not agreed on")]
    Version(u64),
}

#[derive(Deserialize)]
struct Versioned {
    v: u64,
}

#[derive(Serialize)]
struct Outgoing<'a> {
    v: u32,
    #[serde(flatten)]
    frame: &'a Frame,
}

/// A frame as a line with its line ending. Fails with [`WireError::TooLong`].
pub fn encode(frame: &Frame) -> Result<Vec<u8>, WireError> {
    let mut line = serde_json::to_vec(&Outgoing { v: VERSION, frame })?;
    line.push(b'\n');
    if line.len() > LINE_MAX { Err(WireError::TooLong) } else { Ok(line) }
}

/// The frame of a line, with or without its line ending.
pub fn decode(line: &[u8]) -> Result<Frame, WireError> {
    if line.len() > LINE_MAX {
        return Err(WireError::TooLong);
    }
    let Versioned { v } = serde_json::from_slice(line)?;
    if v != u64::from(VERSION) {
        return Err(WireError::Version(v));
    }
    Ok(serde_json::from_slice(line)?)
}

/// Puts lines together from what a socket gives, and never holds more than one line's limit.
#[derive(Debug, Default)]
pub struct Lines {
    held: Vec<u8>,
    /// Where the search for the next line ending goes on.
    searched: usize,
    taken: usize,
}

impl Lines {
    /// Nothing held.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many bytes may be added now.
    pub fn room(&self) -> usize {
        LINE_MAX.saturating_sub(self.held.len() - self.taken)
    }

    /// Adds bytes; at most [`Lines::room`], else the peer's line is too long.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), WireError> {
        if bytes.len() > self.room() {
            return Err(WireError::TooLong);
        }
        self.held.drain(..self.taken);
        self.searched -= self.taken;
        self.taken = 0;
        self.held.extend_from_slice(bytes);
        Ok(())
    }

    /// The next whole line, without its line ending. `Err` when there can't be one any more.
    pub fn next_line(&mut self) -> Result<Option<&[u8]>, WireError> {
        match self.held[self.searched..].iter().position(|b| *b == b'\n') {
            Some(at) => {
                let start = self.taken;
                let end = self.searched + at;
                self.taken = end + 1;
                self.searched = end + 1;
                Ok(Some(&self.held[start..end]))
            }
            None => {
                self.searched = self.held.len();
                if self.room() == 0 { Err(WireError::TooLong) } else { Ok(None) }
            }
        }
    }
}

#[cfg(test)]
mod tests;
