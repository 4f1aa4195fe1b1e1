//! Entry of proxyd.
fn main() {}
