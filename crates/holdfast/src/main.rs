//! Entry of holdfast.
fn main() {}
