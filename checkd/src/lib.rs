//! checkd: health checks of real servers and the IPVS table.

pub mod config;
