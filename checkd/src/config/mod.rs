//! The configuration of checkd: `virtual_server` and its relatives become a [`model::Model`].

pub mod model;
