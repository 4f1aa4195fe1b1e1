//! Sockets: listening, connecting, and the PROXY protocol.

pub mod arrivals;
pub mod connect;
pub mod listener;
pub mod proxy_protocol;
pub mod tls;
