//! Code map of vrrpd.

pub mod bus;
pub mod config;
pub mod core;
pub mod dump;
pub mod held;
pub mod io;
pub mod messages;
pub mod notify;
pub mod run;
pub mod track;

pub use run::{Loaded, Loader, Options, run};
