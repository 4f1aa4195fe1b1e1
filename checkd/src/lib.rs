//! checkd: health checks of real servers and the IPVS table.

pub mod config;
pub mod core;
pub mod ipvs;
pub mod messages;
