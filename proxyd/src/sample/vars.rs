//! Names of variables and the way from a name to its store.
//!
//! Invariant: a name is checked once, while the configuration is read; at run time scope and hash find it.

use super::Value;
use crate::stream::vars::{Scope, Vars, size};
use crate::stream::view::View;

/// A variable's name, resolved: scope and a 64-bit hash of the rest (haproxy compares hashes, too).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VarName {
    /// The scope.
    pub scope: Scope,
    /// Hash of the name behind the scope.
    pub id: u64,
    /// The whole name as written.
    pub text: Box<str>,
}

const SCOPES: [(&str, Scope); 6] = [
    ("proc.", Scope::Proc),
    ("sess.", Scope::Session),
    ("txn.", Scope::Txn),
    ("req.", Scope::Request),
    ("res.", Scope::Response),
    ("check.", Scope::Check),
];

impl VarName {
    /// Parses `scope.name`; the error is haproxy's text.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("Cannot find variable scope: empty name".into());
        }
        let hit = SCOPES.iter().find_map(|(p, s)| text.strip_prefix(p).map(|r| (*s, r)));
        let Some((scope, rest)) = hit else {
            return Err(format!(
                "invalid variable name '{text}'. A variable name must be start by its scope. The scope can be \
                 'proc', 'sess', 'txn', 'req', 'res' or 'check'"
            ));
        };
        if rest.is_empty() {
            return Err(format!("invalid variable name '{text}'"));
        }
        if let Some(bad) = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '.')) {
            return Err(format!("invalid syntax at char '{}'", &rest[bad..]));
        }
        Ok(Self { scope, id: hash(rest), text: text.into() })
    }

    /// The variable's value in a view; `None` when it is not set or its scope is not there.
    pub fn load(&self, view: &View<'_>) -> Option<Value<'static>> {
        if self.scope == Scope::Proc {
            return view.generation.board.vars.lock().ok()?.get(self.id);
        }
        store(self.scope, view)?.get(self.id)
    }

    /// Sets the variable; false when its scope is not there or is full.
    pub fn save(&self, view: &View<'_>, value: Value<'_>) -> bool {
        let value = value.into_owned();
        if !self.fits(view, size(&value)) {
            // haproxy, too, has given up the old value by then.
            self.unset(view);
            return false;
        }
        if self.scope == Scope::Proc {
            return view.generation.board.vars.lock().is_ok_and(|v| {
                v.set(self.id, value);
                true
            });
        }
        store(self.scope, view).is_some_and(|v| {
            v.set(self.id, value);
            true
        })
    }

    /// Whether `more` bytes keep to `tune.vars.*-max-size`; a wider scope's limit counts what the narrower ones hold.
    fn fits(&self, view: &View<'_>, more: usize) -> bool {
        let [global, process, session, txn, message, _] = view.generation.config.global.tune.vars_max_size;
        if [global, process, session, txn, message] == [0; 5] {
            return true;
        }
        let old = self.load(view).map_or(0, |v| size(&v));
        let of_txn = view.txn.as_deref();
        let messages = of_txn.map_or(0, |t| t.message_vars.bytes());
        let txns = messages + of_txn.map_or(0, |t| t.vars.bytes());
        let sessions = txns + view.session.vars.bytes();
        let all = sessions + view.generation.board.vars.lock().map_or(0, |v| v.bytes());
        let within = |held: usize, limit: usize| limit == 0 || held + more - old.min(held) <= limit;
        let narrow = match self.scope {
            Scope::Request | Scope::Response => {
                within(messages, message) && within(txns, txn) && within(sessions, session)
            }
            Scope::Txn | Scope::Check => within(txns, txn) && within(sessions, session),
            Scope::Session => within(sessions, session),
            Scope::Proc => true,
        };
        narrow && within(all, process) && within(all, global)
    }

    /// Forgets the variable.
    pub fn unset(&self, view: &View<'_>) {
        if self.scope == Scope::Proc {
            if let Ok(v) = view.generation.board.vars.lock() {
                v.unset(self.id);
            }
        } else if let Some(v) = store(self.scope, view) {
            v.unset(self.id);
        }
    }
}

/// The number of a variable's name without its scope.
pub fn hash(rest: &str) -> u64 {
    xxhash_rust::xxh3::xxh3_64(rest.as_bytes())
}

fn store<'v>(scope: Scope, view: &'v View<'_>) -> Option<&'v Vars> {
    let txn = view.txn.as_deref();
    match scope {
        Scope::Proc => None,
        Scope::Session => Some(&view.session.vars),
        Scope::Txn | Scope::Check => txn.map(|t| &t.vars),
        // One store serves both in turn: each is there while its message is.
        Scope::Request => txn.filter(|t| !t.responding).map(|t| &t.message_vars),
        Scope::Response => txn.filter(|t| t.responding).map(|t| &t.message_vars),
    }
}
