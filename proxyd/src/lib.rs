//! proxyd: the HTTP/TCP load balancer that reads haproxy.cfg.
//!
//! Code map, in the order in which a request meets it:
//! `config` text → [`config::model`] · `runtime` the [`runtime::Generation`] in force and the
//! [`runtime::board`] of live state that outlives it · `net` listeners · `mux` what a stream needs of a wire ·
//! `stream` accept → analyse → connect → transfer → log · `sample`, `fetch`, `conv`, `acl`, `action` the rules,
//! which see a [`stream::view::View`] and never a socket · `balance`, `stick` choices and memory · `http` messages
//! between muxes · `log` lines out of the transaction record · `cli`, `stats` what operators see.

pub mod acl;
pub mod action;
pub mod balance;
pub mod bus;
pub mod cli;
pub mod config;
pub mod conv;
pub mod delegate;
pub mod fetch;
pub mod http;
pub mod log;
pub mod mux;
pub mod net;
pub mod peers;
pub mod process;
pub mod resolve;
pub mod runtime;
pub mod sample;
pub mod stats;
pub mod stick;
pub mod stream;
