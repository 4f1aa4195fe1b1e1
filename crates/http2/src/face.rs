//! What a connection is told to do, who hears it, and what it counts.

use crate::frame::{self, Code, WINDOW};
use crate::hpack::Fields;

/// Which end we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Streams are opened by the peer.
    Server,
    /// Streams are opened by us.
    Client,
}

/// What is announced and what is taken.
#[derive(Debug, Clone, Copy)]
pub struct Config {
    /// Window of a stream (`tune.h2.initial-window-size`).
    pub window: u32,
    /// Streams that the peer may have open (`tune.h2.max-concurrent-streams`).
    pub streams: u32,
    /// Table for the peer's header blocks (`tune.h2.header-table-size`).
    pub table: u32,
    /// Largest payload taken (`tune.h2.max-frame-size`).
    pub payload: u32,
    /// Bytes of a head's fields, as the standard counts them.
    pub head: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { window: WINDOW as u32, streams: 100, table: 4096, payload: frame::PAYLOAD_MAX, head: 16_384 }
    }
}

/// Who hears what the peer says. An error ends the stream with that code.
pub trait Sink {
    /// A header block: it opens a stream (`opens`), or follows the first one.
    fn head(&mut self, id: u32, opens: bool, fields: &Fields, end: bool) -> Result<(), Code>;
    /// A part of a body; `end` with its last.
    fn data(&mut self, id: u32, bytes: &[u8], end: bool) -> Result<(), Code>;
    /// A stream was ended: by the peer, by a fault, or with the connection.
    fn reset(&mut self, id: u32, code: u32);
    /// A stream may send again; 0 stands for all.
    fn writable(&mut self, id: u32);
}

/// Frames that were seen and faults that were found, for statistics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// HEADERS received.
    pub headers: u64,
    /// DATA received.
    pub data: u64,
    /// SETTINGS received.
    pub settings: u64,
    /// RST_STREAM received.
    pub rst: u64,
    /// GOAWAY received.
    pub goaway: u64,
    /// Faults of the connection.
    pub connection_faults: u64,
    /// Faults of streams.
    pub stream_faults: u64,
    /// RST_STREAM sent.
    pub rst_sent: u64,
    /// GOAWAY sent.
    pub goaway_sent: u64,
    /// What no good peer does often: faults of streams, frames that say nothing, resets of what is no stream.
    pub glitches: u64,
}
