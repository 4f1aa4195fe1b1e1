//! What caches had to do with a response: `res.cache_hit`, `res.cache_name`.

use super::{Row, row};
use crate::sample::source::Source::Server;
use crate::sample::{Type, Value};
use crate::stream::view::View;

/// Rows of this family.
pub static ROWS: &[Row] = &[
    row("res.cache_hit", "", Type::Bool, Server, |v, _, _| Some(Value::Bool(name(v).is_some()))),
    row("res.cache_name", "", Type::Str, Server, |v, _, _| Some(Value::str(name(v)?))),
];

/// The cache that the response came from.
fn name(view: &View<'_>) -> Option<String> {
    let visit = view.txn.as_deref()?.cache.as_deref().filter(|v| v.served)?;
    visit.hit.as_ref().map(|(cache, _)| cache.settings.name.clone())
}
