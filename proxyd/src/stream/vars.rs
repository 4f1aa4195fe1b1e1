//! Variables of rules, by scope.

use crate::sample::Value;
use smallvec::SmallVec;

/// Scope of a variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// `proc.`
    Proc,
    /// `sess.`
    Session,
    /// `txn.`
    Txn,
    /// `req.`
    Request,
    /// `res.`
    Response,
    /// `check.`
    Check,
}

/// The variables of one scope: names are interned numbers, so that a look-up compares integers.
#[derive(Debug, Clone, Default)]
pub struct Vars {
    items: SmallVec<[(u32, Value); 4]>,
}

impl Vars {
    /// The value of a variable.
    pub fn get(&self, id: u32) -> Option<&Value> {
        self.items.iter().find(|(i, _)| *i == id).map(|(_, v)| v)
    }

    /// Sets a variable.
    pub fn set(&mut self, id: u32, value: Value) {
        match self.items.iter_mut().find(|(i, _)| *i == id) {
            Some(slot) => slot.1 = value,
            None => self.items.push((id, value)),
        }
    }

    /// Forgets a variable.
    pub fn unset(&mut self, id: u32) {
        self.items.retain(|(i, _)| *i != id);
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.items.clear();
    }

    /// All, in the order of their first setting.
    pub fn iter(&self) -> impl Iterator<Item = &(u32, Value)> {
        self.items.iter()
    }
}
