//! Links, addresses, routes and rules: one handle for changes, one stream of what changes.
//!
//! Invariant: a change says exactly what its fields say; nothing is added (no broadcast address of our own), so an
//! address looks like the one the original daemon adds. Losing events is never silent: [`Event::Overrun`] tells the
//! reader to list everything again.
//!
//! Requests are synchronous: rtnetlink does its work inside the send call and the answers are there when it returns,
//! so awaiting them would only add wake-ups between a decision and its effect. Many changes go in one call.
//! Absent on purpose: any decision.

pub mod addr;
pub mod commands;
pub mod device;
pub mod filter;
pub mod link;
pub mod monitor;
pub mod route;

pub use addr::{Address, AddressEvent};
pub use commands::{Change, Commands};
pub use device::{Device, Isolation, Kind, Setting};
pub use filter::{Filter, Hidden, Table};
pub use link::Link;
pub use monitor::{Event, Monitor};
pub use route::{GoneRoute, Metric, NextHop, Route, RouteKind, Rule, RuleAction};

/// The mark of our routes and rules in the kernel's tables (RTPROT_KEEPALIVED).
pub const PROTOCOL: u8 = 18;
