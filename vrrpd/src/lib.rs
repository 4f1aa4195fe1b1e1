//! Code map of vrrpd.

pub mod config;
pub mod core;
pub mod io;
pub mod messages;
pub mod notify;
pub mod track;
