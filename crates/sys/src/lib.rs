//! The only crate allowed to say unsafe.
