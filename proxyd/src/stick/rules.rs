//! `stick on|match|store-request|store-response`: which server a key belongs to.
//!
//! Invariant: a server that is named in a table but cannot take the request is passed over, and the entry is
//! written again with the server that did.

use super::table::Data;
use super::{SharedTable, clock_ms};
use crate::acl::Condition;
use crate::sample::expr::{Expr, TableSlot};
use crate::stream::view::View;
use std::sync::Arc;

/// One stick rule.
#[derive(Debug)]
pub struct StickRule {
    /// What the key is made of.
    pub expr: Expr,
    /// The table.
    pub table: Arc<TableSlot>,
    /// When.
    pub condition: Option<Condition>,
}

/// The stick rules of a backend.
#[derive(Debug, Default)]
pub struct StickRules {
    /// `stick match` and `stick on`.
    pub matches: Vec<StickRule>,
    /// `stick store-request` and `stick on`.
    pub store_request: Vec<StickRule>,
    /// `stick store-response`.
    pub store_response: Vec<StickRule>,
}

/// An entry to be written once the server is known.
#[derive(Debug, Clone)]
pub struct Pending {
    /// The table.
    pub table: Arc<SharedTable>,
    /// The key.
    pub key: super::table::Key,
}

impl StickRules {
    /// The server (its `id`, and its name where one is stored) that the request belongs to, if a table says so.
    pub fn server_for(&self, view: &View<'_>) -> Option<(u64, Option<String>)> {
        let now_ms = clock_ms(view.now);
        self.matches.iter().find_map(|rule| {
            let (table, key) = rule.key(view)?;
            let mut t = table.lock();
            if !t.contains(&key, now_ms) {
                return None;
            }
            t.touch(&key, now_ms);
            let id = t.get(&key, Data::ServerId, 0, now_ms).filter(|id| *id != 0)?;
            Some((id, t.server_key(&key).map(str::to_owned)))
        })
    }

    /// What is to be stored when the request's server is known.
    pub fn from_request(&self, view: &View<'_>) -> Vec<Pending> {
        collect(&self.store_request, view)
    }

    /// What is to be stored from the response.
    pub fn from_response(&self, view: &View<'_>) -> Vec<Pending> {
        collect(&self.store_response, view)
    }
}

fn collect(rules: &[StickRule], view: &View<'_>) -> Vec<Pending> {
    rules.iter().filter_map(|r| r.key(view).map(|(table, key)| Pending { table, key })).collect()
}

impl StickRule {
    fn key(&self, view: &View<'_>) -> Option<(Arc<SharedTable>, super::table::Key)> {
        if !self.condition.as_ref().is_none_or(|c| c.holds(view)) {
            return None;
        }
        let table = self.table.table.get()?;
        let key = table.key(self.expr.run(view)?)?;
        Some((Arc::clone(table), key))
    }
}

impl Pending {
    /// Writes the entry.
    pub fn store(&self, server_id: u32, server_name: &str, now: std::time::Instant) {
        let mut t = self.table.lock();
        if t.touch(&self.key, clock_ms(now)) {
            t.set(&self.key, Data::ServerId, 0, u64::from(server_id));
            t.set_server_key(&self.key, server_name);
        }
    }
}
