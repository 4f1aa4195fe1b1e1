//! Variables of rules, by scope.
//!
//! Invariant: a store knows how many bytes it holds; a value that would pass its limit is refused and the old one
//! is gone, as in haproxy. A store belongs to one stream; `proc.` variables live behind a lock.

use crate::sample::Value;
use smallvec::SmallVec;
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
    items: RefCell<SmallVec<[(u64, Value<'static>); 2]>>,
    bytes: Cell<usize>,
    /// Most bytes it may hold (`tune.vars.*-max-size`); 0 is no limit.
    pub limit: Cell<usize>,
}

fn size(value: &Value<'_>) -> usize {
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

    /// Sets a variable; false when the limit forbids it.
    pub fn set(&self, id: u64, value: Value<'static>) -> bool {
        self.unset(id);
        let bytes = self.bytes.get() + size(&value);
        if self.limit.get() != 0 && bytes > self.limit.get() {
            return false;
        }
        self.bytes.set(bytes);
        self.items.borrow_mut().push((id, value));
        true
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
