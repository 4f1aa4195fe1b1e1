//! Sample fetches: what can be read of a stream. The list of families is here, the rows are where they are
//! implemented.
//!
//! Invariant: a fetch only reads; the few that count (`sc_inc_gpc0` …) do so in tables, which are shared anyway.

pub mod body;
pub mod cache;
pub mod conn;
pub mod env;
pub mod header;
pub mod hello;
pub mod kernel;
pub mod line;
pub mod payload;
pub mod proxy;
pub mod timer;
pub mod tls;
pub mod track;

use crate::sample::expr::{Cursor, Scope};
use crate::sample::source::Source;
use crate::sample::{Arg, Type, Value};
use crate::stream::view::View;

/// Runs a fetch; `None` means that there is no sample.
pub type Run = for<'v> fn(&'v View<'_>, &'v [Arg], &mut Cursor) -> Option<Value<'v>>;

/// Checks parsed arguments; the error is haproxy's text behind "invalid args in fetch method 'x' : ".
pub type Check = fn(&mut Vec<Arg>, &mut Scope<'_>) -> Result<(), String>;

/// One fetch.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// The name users write.
    pub name: &'static str,
    /// Argument types as `-dKsmp` prints them.
    pub args: &'static str,
    /// Type of its values.
    pub output: Type,
    /// What it reads, hence where it is valid.
    pub source: Source,
    /// Checks arguments.
    pub check: Option<Check>,
    /// Fetches.
    pub run: Run,
}

/// A row without a check.
pub const fn row(name: &'static str, args: &'static str, output: Type, source: Source, run: Run) -> Row {
    Row { name, args, output, source, check: None, run }
}

impl Row {
    /// The same row with a check of its arguments.
    #[must_use]
    pub const fn check(mut self, check: Check) -> Self {
        self.check = Some(check);
        self
    }
}

/// All families.
pub static FETCHES: &[&[Row]] = &[
    env::ROWS,
    line::ROWS,
    header::ROWS,
    hello::ROWS,
    body::ROWS,
    cache::ROWS,
    conn::ROWS,
    payload::ROWS,
    proxy::ROWS,
    tls::ROWS,
    track::ROWS,
    track::NUMBERED,
    kernel::ROWS,
    timer::ROWS,
];

/// The row of a name.
pub fn find(name: &str) -> Option<&'static Row> {
    FETCHES.iter().flat_map(|f| f.iter()).find(|r| r.name == name)
}
