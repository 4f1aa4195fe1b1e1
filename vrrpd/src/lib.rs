//! Code map of vrrpd.
#![recursion_limit = "256"]

pub mod config;
pub mod core;
pub mod messages;
