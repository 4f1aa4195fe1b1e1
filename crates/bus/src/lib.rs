//! The control bus between the daemons.
