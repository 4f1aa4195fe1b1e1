//! The only crate allowed to say unsafe.

pub mod clock;
pub mod fork;
pub mod inherit;
