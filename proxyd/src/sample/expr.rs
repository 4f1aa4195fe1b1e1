//! Compiled sample expressions.

/// `fetch(args),conv(args)…`, resolved against the tables.
#[derive(Debug)]
pub struct Expr {}
