//! From words to the model.

pub mod model;
