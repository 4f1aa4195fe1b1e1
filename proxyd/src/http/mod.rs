//! HTTP messages as they travel between muxes.

pub mod message;
