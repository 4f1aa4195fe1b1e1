//! Being a Unix daemon.
