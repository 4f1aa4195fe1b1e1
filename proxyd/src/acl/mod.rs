//! ACLs and conditions.

/// `if …` or `unless …`, compiled.
#[derive(Debug, Clone)]
pub struct Condition {}
