//! What a stream needs of a wire: bytes in and out, whatever carries them.
//!
//! [`wire`] is one connection of any kind, [`flow`] moves one body from one wire to another, [`h1`] is the shell
//! of the HTTP/1 core, [`h2`] that of HTTP/2, [`splice`] joins two plain sockets in the kernel, [`websocket`] makes keys.
//!
//! Invariant: nothing in here knows a rule or a proxy's configuration.

pub mod flow;
pub mod h1;
pub mod h2;
pub mod splice;
pub mod websocket;
pub mod wire;
