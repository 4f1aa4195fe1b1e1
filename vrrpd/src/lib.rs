//! Code map of vrrpd.
pub mod config;
