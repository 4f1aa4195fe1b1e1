//! From text to model.
pub mod model;
