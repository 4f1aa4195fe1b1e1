//! The phase chart of a stream: accept → analyse → connect → transfer → log.

pub mod txn;
pub mod vars;
pub mod view;
