//! Code map of vrrpd.
