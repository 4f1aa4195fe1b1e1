//! Converters: from one sample to another. The list of families is here, the rows are where they are implemented.
//!
//! Invariant: a row states its argument types and its input and output types exactly as `haproxy -dKcnv` prints
//! them; `run` is only called with a value of the input type.
//!
//! Absent on purpose: parsing of expressions (`sample/expr.rs`).

pub mod bytes;
pub mod crypto;
pub mod fix;
pub mod format;
pub mod forwarded;
pub mod hash;
pub mod json;
pub mod jwt;
pub mod map;
pub mod mqtt;
pub mod net;
pub mod number;
pub mod stick;
pub mod text;
pub mod time;
pub mod var;

use crate::sample::expr::Scope;
use crate::sample::{Arg, Type, Value};
use crate::stream::view::View;

/// Runs a converter; `None` means that the sample is lost.
pub type Run = for<'v> fn(&'v View<'_>, &'v [Arg], Value<'v>) -> Option<Value<'v>>;

/// Checks parsed arguments and may replace them; the error is haproxy's text behind "invalid args in
/// converter 'x' : ".
pub type Check = fn(&mut Vec<Arg>, &mut Scope<'_>) -> Result<(), String>;

/// One converter.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// The name users write.
    pub name: &'static str,
    /// Argument types as `-dKcnv` prints them.
    pub args: &'static str,
    /// What it takes.
    pub input: Type,
    /// What it gives.
    pub output: Type,
    /// Checks arguments.
    pub check: Option<Check>,
    /// Converts.
    pub run: Run,
}

/// A row without a check.
pub const fn row(name: &'static str, args: &'static str, input: Type, output: Type, run: Run) -> Row {
    Row { name, args, input, output, check: None, run }
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
pub static CONVERTERS: &[&[Row]] = &[
    number::ROWS,
    text::ROWS,
    bytes::ROWS,
    hash::ROWS,
    crypto::ROWS,
    map::ROWS,
    stick::ROWS,
    time::ROWS,
    net::ROWS,
    json::ROWS,
    jwt::ROWS,
    format::ROWS,
    forwarded::ROWS,
    mqtt::ROWS,
    fix::ROWS,
    var::ROWS,
];

/// The row of a name.
pub fn find(name: &str) -> Option<&'static Row> {
    CONVERTERS.iter().flat_map(|f| f.iter()).find(|r| r.name == name)
}
