//! Variables: `set-var`, `set-var-fmt`, `unset-var`.

use super::header::{format, sample_word};
use super::sets::Set;
use super::{Action, Flow, act};
use crate::conv::var::conditions;
use crate::log::Format;
use crate::sample::expr::{Expr, Scope};
use crate::sample::vars::VarName;
use crate::sample::{Arg, Value};
use crate::stream::view::View;
use conf_parsers::args::Args;

type Parsed = Result<Box<dyn Action>, String>;

const USAGE: &str = "Expects 'set-var(<var-name>)', 'set-var-fmt(<var-name>)' or 'unset-var(<var-name>)'";

/// The name between the parentheses of an action, and the conditions behind it.
fn name(args: &Args<'_>) -> Result<(VarName, Vec<String>), String> {
    let word = args.keyword().as_str();
    let inner = word.split_once('(').and_then(|(_, r)| r.strip_suffix(')'));
    let inner = inner.ok_or_else(|| format!("invalid or incomplete action '{word}'. {USAGE}"))?;
    let mut parts = inner.split(',');
    let name = VarName::parse(parts.next().unwrap_or(""))?;
    let rest: Vec<String> = parts.map(|p| p.trim().to_owned()).collect();
    conditions(&rest.iter().map(|c| Arg::Str(c.as_bytes().into())).collect::<Vec<_>>())?;
    Ok((name, rest))
}

/// Sets a variable unless one of the conditions behind its name says no.
fn store(view: &View<'_>, name: &VarName, conditions: &[String], value: Value<'_>) {
    let old = || name.load(view);
    let int = |v: &Value<'_>| v.clone().into_int();
    let empty = matches!(&value, Value::Str(b) | Value::Bin(b) if b.is_empty());
    let skip = conditions.iter().any(|c| match c.as_str() {
        "ifexists" | "ifset" => old().is_none(),
        "ifnotexists" | "ifnotset" => old().is_some(),
        "ifempty" => !empty,
        "ifnotempty" => empty,
        "ifgt" => old().is_some_and(|o| int(&value) <= int(&o)),
        "iflt" => old().is_some_and(|o| int(&value) >= int(&o)),
        _ => false,
    });
    if !skip {
        name.save(view, value);
    }
}

struct SetVar {
    name: VarName,
    conditions: Vec<String>,
    expr: Expr,
}

/// `set-var(NAME[,COND]) EXPR`.
pub fn set(args: &mut Args<'_>, scope: &mut Scope<'_>, set: Set) -> Parsed {
    let (name, conditions) = name(args)?;
    let expr = sample_word(args, scope, set)?;
    Ok(act("set-var", SetVar { name, conditions, expr }, |s, view| {
        let view = &*view;
        if let Some(value) = s.expr.run(view) {
            store(view, &s.name, &s.conditions, value);
        }
        Flow::Continue
    }))
}

struct SetFormat {
    name: VarName,
    conditions: Vec<String>,
    format: Format,
}

/// `set-var-fmt(NAME[,COND]) FORMAT`.
pub fn set_format(args: &mut Args<'_>, scope: &mut Scope<'_>, set: Set) -> Parsed {
    let (name, conditions) = name(args)?;
    let text = args.next().ok_or("missing log-format string")?;
    let format = format(text.as_str(), scope, set)?;
    Ok(act("set-var-fmt", SetFormat { name, conditions, format }, |s, view| {
        let value = s.format.to_bytes(view);
        store(view, &s.name, &s.conditions, Value::str(value));
        Flow::Continue
    }))
}

/// `unset-var(NAME)`.
pub fn unset(args: &mut Args<'_>, _: &mut Scope<'_>, _: Set) -> Parsed {
    let (name, _) = name(args)?;
    Ok(act("unset-var", name, |name, view| {
        name.unset(view);
        Flow::Continue
    }))
}
