//! HTTP messages as they travel between muxes.

pub mod cache;
pub mod compress;
pub mod cookie;
pub mod errors;
pub mod forward;
pub mod message;
