//! Code map of proxyd.
