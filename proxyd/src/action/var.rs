//! Variables: `set-var`, `set-var-fmt`, `unset-var`.

use super::header::{format, sample_word};
use super::sets::Set;
use super::{Action, Flow, Wait, act};
use crate::conv::var::{admitted, conditions};
use crate::log::Format;
use crate::log::format::Use;
use crate::sample::expr::{Cursor, Expr, Scope};
use crate::sample::source::Points;
use crate::sample::vars::VarName;
use crate::sample::{Arg, Value};
use crate::stream::view::{Phase, View};
use conf_parsers::args::Args;
use conf_parsers::haproxy::expr::expression;

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
    if admitted(name, conditions.iter().map(String::as_str), view, &value) {
        name.save(view, value);
    }
}

/// What a sample that can't be told yet is waited for.
pub(super) fn missing(view: &View<'_>) -> Wait {
    match view.phase {
        Phase::ResponseContent | Phase::ResponseHead => Wait::ResponseBytes,
        _ => Wait::RequestBytes,
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
        let mut cursor = Cursor::default();
        match s.expr.next(view, &mut cursor) {
            Some(value) => store(view, &s.name, &s.conditions, value),
            None if cursor.pending && view.may_wait => return Flow::Wait(missing(view)),
            None => {}
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

/// `set-var` or `set-var-fmt` of the `global` section: set once, before any traffic.
#[derive(Debug)]
pub struct Preset {
    name: VarName,
    conditions: Vec<String>,
    value: PresetValue,
}

#[derive(Debug)]
enum PresetValue {
    Sample(Expr),
    Format(Format),
}

impl Preset {
    /// Reads `proc.NAME[,COND]… EXPR` or `… FORMAT`; the error is haproxy's text.
    pub fn parse(args: &mut Args<'_>, scope: &mut Scope<'_>) -> Result<Self, String> {
        let keyword = args.keyword().as_str();
        let formatted = keyword == "set-var-fmt";
        let (Some(name), Some(text)) = (args.next(), args.next()) else {
            let what = if formatted { "format string" } else { "sample expression" };
            return Err(format!(
                "'{keyword}' requires a process-wide variable name ('proc.<name>') and a {what}."
            ));
        };
        let mut parts = name.as_str().split(',');
        let written = parts.next().unwrap_or("");
        let name = VarName::parse(written)?;
        if name.scope != crate::stream::vars::Scope::Proc {
            return Err(format!(
                "'{keyword}': cannot set variable '{written}', only scope 'proc' is permitted in the global section."
            ));
        }
        let conditions: Vec<String> = parts.map(|p| p.trim().to_owned()).collect();
        crate::conv::var::conditions(
            &conditions.iter().map(|c| Arg::Str(c.as_bytes().into())).collect::<Vec<_>>(),
        )?;
        let value = if formatted {
            PresetValue::Format(Format::compile(text.as_str(), Use::Http, Points::CONFIG, scope)?)
        } else {
            let expr = Expr::compile(&expression(text.as_str())?, scope)?;
            if !expr.points().covers_any(Points::CONFIG) {
                return Err(format!(
                    "fetch method '{keyword}({written})' extracts information from '{}', none of which is available here",
                    expr.source().needs()
                ));
            }
            PresetValue::Sample(expr)
        };
        Ok(Self { name, conditions, value })
    }

    /// Sets the variable.
    pub fn apply(&self, view: &View<'_>) {
        let value = match &self.value {
            PresetValue::Sample(expr) => expr.run(view),
            PresetValue::Format(format) => Some(Value::str(format.to_bytes(view))),
        };
        if let Some(value) = value {
            store(view, &self.name, &self.conditions, value);
        }
    }
}
