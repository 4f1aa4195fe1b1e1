//! Entry of vrrpd.
fn main() {}
