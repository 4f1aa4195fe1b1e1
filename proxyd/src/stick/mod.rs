//! Stick tables and the rules that use them.

use std::time::Duration;

/// `stick-table type … size … expire … store …`.
#[derive(Debug, Clone, Default)]
pub struct TableSpec {
    /// The table's name: the proxy's, or the peers section's.
    pub name: String,
    /// Entries at most.
    pub size: usize,
    /// `expire`.
    pub expire: Option<Duration>,
    /// `nopurge`.
    pub nopurge: bool,
}

/// `stick on|match|store-request|store-response` of a backend.
#[derive(Debug, Default)]
pub struct StickRules {}

/// A tracked entry (`track-scN`): keeps `conn_cur` and friends honest until it is dropped.
#[derive(Debug, Clone)]
pub struct Tracked {}
