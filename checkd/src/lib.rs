//! Code map of checkd.
