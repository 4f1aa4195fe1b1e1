//! Variables of rules, by scope.
//!
//! Invariant: a store knows how many bytes it holds. A store belongs to one stream; `proc.` variables live behind a
//! lock. Limits are judged by who sets a variable ([`crate::sample::vars`]), since they count over several stores.

use crate::sample::Value;
use std::cell::{Cell, RefCell};

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

/// Bytes charged for a variable besides its data, as haproxy counts them.
const OVERHEAD: usize = 48;

/// The variables of one scope: names are hashes ([`crate::sample::vars::hash`]), so that a look-up compares
/// integers. Rules see it shared, therefore it changes from within.
#[derive(Debug, Clone, Default)]
pub struct Vars {
    /// Most streams have none, and hold no memory for them.
    items: RefCell<Vec<(u64, Value<'static>)>>,
    bytes: Cell<usize>,
}

/// Bytes that a value is charged with (`tune.vars.*-max-size`).
pub fn size(value: &Value<'_>) -> usize {
    OVERHEAD
        + match value {
            Value::Str(b) | Value::Bin(b) | Value::Method(b) => b.len(),
            _ => 0,
        }
}

impl Vars {
    /// A copy of a variable's value.
    pub fn get(&self, id: u64) -> Option<Value<'static>> {
        self.items.borrow().iter().find(|(i, _)| *i == id).map(|(_, v)| v.clone())
    }

    /// Sets a variable.
    pub fn set(&self, id: u64, value: Value<'static>) {
        self.unset(id);
        self.bytes.set(self.bytes.get() + size(&value));
        self.items.borrow_mut().push((id, value));
    }

    /// Bytes charged for what it holds.
    pub fn bytes(&self) -> usize {
        self.bytes.get()
    }

    /// Forgets a variable.
    pub fn unset(&self, id: u64) {
        let mut items = self.items.borrow_mut();
        if let Some(at) = items.iter().position(|(i, _)| *i == id) {
            let (_, old) = items.remove(at);
            self.bytes.set(self.bytes.get().saturating_sub(size(&old)));
        }
    }

    /// Forgets all.
    pub fn clear(&self) {
        self.items.borrow_mut().clear();
        self.bytes.set(0);
    }

    /// Whether nothing is set.
    pub fn is_empty(&self) -> bool {
        self.items.borrow().is_empty()
    }
}
