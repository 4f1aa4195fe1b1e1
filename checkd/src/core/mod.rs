//! The decisions of checkd: which servers are up ([`service`]), which table follows ([`plan`]).
//!
//! Invariant: no clock, socket, file or task in here.

pub mod check;
pub mod plan;
pub mod service;
