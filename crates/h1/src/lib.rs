//! HTTP/1 connection core: bytes in, heads and body parts out, faults with the party that caused them.
//!
//! Purpose: read HTTP/1 exactly as leniently and as strictly as haproxy 2.6 does, so that one message has one
//! reading on both sides of the proxy. [`head`] tokenises a head into ranges of the caller's buffer,
//! [`semantics`] decides framing, persistence and authority, [`body`] walks a body without copying it,
//! [`emit`] writes heads and chunk framing, [`reply`] is the small reader that health checks use.
//!
//! Invariants: any split of the same bytes gives the same result; nothing is allocated for a message that
//! fits what the parser already holds; a head that is accepted has exactly one framing.
//!
//! Absent on purpose: sockets, clocks, rules, and the text of error pages.

pub mod body;
pub mod emit;
pub mod head;
pub mod reply;
pub mod semantics;
mod token;

pub use body::{Body, Part};
pub use head::{Field, Head, HeadParser, Kind, Progress, Slice};
pub use semantics::{Framing, Method, RequestInfo, ResponseInfo};
pub use token::{eq_lower, is_token_byte};

/// Why a message can't be taken. Requests are the client's fault, responses the server's; the status is what
/// haproxy answers for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A byte that the grammar has no place for, at this offset from the message's start.
    #[error("invalid byte at {0}")]
    Syntax(usize),
    /// The head does not fit the buffer.
    #[error("head larger than the buffer")]
    TooLarge,
    /// More fields than allowed.
    #[error("too many header fields")]
    TooManyFields,
    /// `Content-Length` is not one number, or several that differ.
    #[error("bad content-length")]
    ContentLength,
    /// `Transfer-Encoding` does not end in one `chunked`.
    #[error("bad transfer-encoding")]
    TransferEncoding,
    /// `Transfer-Encoding` has other codings than `chunked`: understood, but not to be had.
    #[error("unsupported transfer-encoding")]
    UnsupportedCoding,
    /// Several different `Host` fields, or one that contradicts the target.
    #[error("contradicting host")]
    Host,
    /// The target has no form that HTTP knows.
    #[error("bad request target")]
    Target,
    /// A WebSocket handshake without its key, or `101` that nobody asked for.
    #[error("bad upgrade")]
    Upgrade,
    /// A chunk size that is no number or too large, or a chunk that does not end where it said.
    #[error("bad chunk")]
    Chunk,
    /// The peer closed in the middle.
    #[error("message cut short")]
    Truncated,
}

impl Fault {
    /// The status that a client gets when its request has this fault.
    pub fn request_status(self) -> u16 {
        match self {
            Self::UnsupportedCoding => 422,
            _ => 400,
        }
    }
}

/// What a parser takes and how much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// `option accept-invalid-http-request|response`: odd targets, names and versions pass.
    pub lenient: bool,
    /// Fields allowed in one head: `tune.http.maxhdr` less the start line.
    pub max_fields: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { lenient: false, max_fields: 100 }
    }
}
