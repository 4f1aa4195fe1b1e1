//! checkd: health checks of real servers and the IPVS table.

pub mod bus;
pub mod config;
pub mod core;
pub mod dump;
pub mod ipvs;
pub mod messages;
pub mod notify;
pub mod run;

pub use run::{Loader, Options, run};
