//! Entry of keepalived.
fn main() {}
