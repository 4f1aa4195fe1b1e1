//! HTTP/2 connection core (RFC 9113) with HPACK (RFC 7541): bytes in, header blocks and body parts out.
//!
//! Purpose: both sides of a proxy speak HTTP/2 over whatever carries bytes. [`hpack`] turns header blocks into
//! fields and back, [`frame`] knows the shape of frames, [`Connection`] keeps windows and states of streams.
//!
//! Invariants: any split of the same bytes gives the same result; memory is bounded by the announced windows, the
//! head limit and [`connection::OUT_MAX`]; a fault of a stream ends that stream, a fault of framing or compression
//! the connection.
//!
//! Absent on purpose: sockets, clocks, server push, priorities, and what fields mean ([`Sink`] decides).

pub mod connection;
mod face;
pub mod frame;
pub mod hpack;
mod huffman;
mod table;

pub use connection::{Config, Connection, Role, Sink};
pub use frame::Code;
pub use hpack::Fields;
