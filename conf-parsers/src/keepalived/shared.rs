//! The blocks that both daemons read.
