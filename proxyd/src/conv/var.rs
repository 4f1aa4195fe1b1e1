//! Converters that touch variables, captures, servers or the trace.

use super::text::variable;
use super::{Row, row};
use crate::sample::args::at;
use crate::sample::vars::VarName;
use crate::sample::{Arg, Type, Value};
use crate::stream::vars::Scope;
use crate::stream::view::View;
use std::sync::atomic::Ordering::Relaxed;

/// Rows of this family.
pub static ROWS: &[Row] = &[
    row("debug", "[string,string]", Type::Any, Type::Any, |_, a, x| {
        tracing::debug!(prefix = at(a, 0).text(), value = ?x, "sample");
        Some(x)
    })
    .check(|a, _| match at(a, 1).text() {
        "" | "buf0" | "stderr" | "stdout" => Ok(()),
        sink => Err(format!("No such sink '{sink}'")),
    }),
    row("nbsrv", "", Type::Str, Type::Int, |v, _, x| {
        let name = x.into_text()?;
        let at = v
            .generation
            .config
            .proxies
            .iter()
            .position(|p| p.kind.is_back() && p.name.as_bytes() == &*name)?;
        Some(Value::Int(crate::fetch::proxy::usable(v, at)))
    }),
    row("set-var", "string[,string,string,string,string]", Type::Any, Type::Any, |v, a, x| {
        if let Arg::Var(name) = at(a, 0)
            && admitted(name, a[1..].iter().map(Arg::text), v, &x)
        {
            name.save(v, x.clone());
        }
        Some(x)
    })
    .check(|a, _| {
        a[0] = Arg::Var(VarName::parse(at(a, 0).text())?);
        conditions(&a[1..])
    }),
    row("srv_queue", "", Type::Str, Type::Int, |v, _, x| {
        let text = x.into_text()?;
        let text = std::str::from_utf8(&text).ok()?;
        let (backend, server) = text.rsplit_once('/').unwrap_or((v.proxy.name.as_str(), text));
        let proxies = &v.generation.config.proxies;
        let p = proxies.iter().position(|p| p.kind.is_back() && p.name == backend)?;
        let s = proxies[p].server_named(server.as_bytes())?;
        Some(Value::Int(v.generation.servers.get(p)?.get(s.0)?.counters.queue_cur.load(Relaxed) as i64))
    }),
    row("unset-var", "string", Type::Any, Type::Any, |v, a, x| {
        if let Arg::Var(name) = at(a, 0) {
            name.unset(v);
        }
        Some(x)
    })
    .check(|a, _| {
        a[0] = Arg::Var(VarName::parse(at(a, 0).text())?);
        Ok(())
    }),
    row("capture-req", "integer", Type::Str, Type::Str, |v, a, x| capture(v, a, x, true)),
    row("capture-res", "integer", Type::Str, Type::Str, |v, a, x| capture(v, a, x, false)),
];

/// Words that may follow the name of a variable in `set-var`.
pub const CONDITIONS: [&str; 8] =
    ["ifexists", "ifnotexists", "ifempty", "ifnotempty", "ifset", "ifnotset", "ifgt", "iflt"];

/// Checks the conditions behind a variable's name; the error is haproxy's text.
pub fn conditions(args: &[Arg]) -> Result<(), String> {
    match args.iter().map(Arg::text).find(|c| !c.is_empty() && !CONDITIONS.contains(c)) {
        Some(bad) => Err(format!("unknown condition \"{bad}\"")),
        None => Ok(()),
    }
}

/// Whether all conditions behind a variable's name let it take a value. Numbers are compared with numbers alone: with
/// other types a comparison holds. Variables of the process exist from the start.
pub fn admitted<'c>(
    name: &VarName,
    mut conditions: impl Iterator<Item = &'c str>,
    view: &View<'_>,
    new: &Value<'_>,
) -> bool {
    let old = || name.load(view);
    let exists = || name.scope == Scope::Proc || old().is_some();
    let number = |value: &Value<'_>| match value {
        Value::Bool(b) => Some(i64::from(*b)),
        Value::Int(i) => Some(*i),
        _ => None,
    };
    let both = |holds: fn(i64, i64) -> bool| match (old().as_ref().and_then(number), number(new)) {
        (Some(old), Some(new)) => holds(old, new),
        _ => true,
    };
    let empty = matches!(new, Value::Str(b) | Value::Bin(b) if b.is_empty());
    conditions.all(|c| match c {
        "ifexists" => exists(),
        "ifnotexists" => !exists(),
        "ifempty" => empty,
        "ifnotempty" => !empty,
        "ifset" => old().is_some(),
        "ifnotset" => old().is_none(),
        "ifgt" => both(|old, new| old > new),
        "iflt" => both(|old, new| old < new),
        _ => true,
    })
}

fn capture<'v>(view: &'v View<'_>, args: &'v [Arg], value: Value<'v>, request: bool) -> Option<Value<'v>> {
    let slot = usize::try_from(at(args, 0).int_or(0)).ok()?;
    let front = view.generation.config.proxies.get(view.session.frontend.0)?;
    let list = if request { &front.capture_request } else { &front.capture_response };
    let len = list.get(slot)?.len;
    let text = value.into_text()?;
    let cut = text.len().min(len);
    let txn = view.txn.as_deref()?;
    let captures = if request { &txn.captures_req } else { &txn.captures_res };
    let mut captures = captures.borrow_mut();
    if captures.len() <= slot {
        captures.resize(slot + 1, None);
    }
    captures[slot] = Some(text[..cut].to_vec());
    drop(captures);
    Some(Value::Str(text))
}

/// Used by actions as well: a variable argument.
pub fn named(args: &[Arg], i: usize) -> Result<Arg, String> {
    variable(args, i)
}
