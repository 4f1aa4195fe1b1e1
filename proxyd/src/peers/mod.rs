//! Stick tables shared with peers: `peers` sections (manual, 3.5), in the protocol that haproxy speaks.
//!
//! Invariant: a table is told under its own name, or behind a `/` when the section itself defines it.
//!
//! Absent on purpose: shards.

pub mod resync;
pub mod session;
pub mod status;
pub mod task;
pub mod transport;
pub mod wire;

pub use task::{Old, start};

use crate::config::model::{Config, Peers};
use crate::runtime::board::Board;
use session::Shared;

/// The tables of a section, in the order of their numbers.
fn tables(config: &Config, section: &Peers, board: &Board) -> Vec<Shared> {
    let own = section.tables.iter().map(|spec| {
        let behind = spec.name.strip_prefix(&section.name).unwrap_or(&spec.name);
        (spec, behind.to_owned())
    });
    let named = config.proxies.iter().filter_map(|p| p.stick_table.as_ref());
    let named = named.filter(|spec| spec.peers.as_ref() == Some(&section.name));
    let all = own.chain(named.map(|spec| (spec, spec.name.clone())));
    all.filter_map(|(spec, name)| Some(Shared { table: board.tables.find(&spec.name)?, name })).collect()
}
