//! What decides: adverts, states, groups, trackers. No clock, socket, file or task in here.

pub mod advert;
pub mod effect;
pub mod garp;
pub mod group;
pub mod machine;
pub mod priority;
pub mod receive;
pub mod reload;
mod restore;
pub mod router;
mod start;
#[cfg(test)]
mod tests;
pub mod track;
