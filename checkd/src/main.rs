//! Entry of checkd.
fn main() {}
