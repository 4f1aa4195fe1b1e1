//! `get var` and `set var`: variables of the whole process.

use super::{Answer, Call, CommandRow, row};
use crate::config::model::Level::{Admin, Operator};
use crate::conv::bytes::hex;
use crate::runtime::evaluate::{self, Notation};
use crate::sample::Value;
use crate::sample::vars::VarName;
use crate::stream::vars::Scope;
use std::sync::PoisonError;

/// The commands.
pub const COMMANDS: &[CommandRow] = &[
    row(&["get", "var"], "get var <name>", "retrieve contents of a process-wide variable", Operator, get),
    CommandRow { experimental: true, ..row(&["set", "var"], "", "", Admin, set) },
];

/// `get var proc.NAME`.
fn get(call: &mut Call<'_>) -> Answer {
    let text = call.word(2);
    if text.is_empty() {
        return Answer::error("Missing process-wide variable identifier.\n");
    }
    let name = VarName::parse(text).ok().filter(|n| n.scope == Scope::Proc);
    let vars = call.generation.board.vars.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(value) = name.and_then(|n| vars.get(n.id)) else {
        return Answer::error("Variable not found.\n");
    };
    let shown = match &value {
        Value::Bool(b) => u8::from(*b).to_string(),
        Value::Int(n) => n.to_string(),
        Value::V4(a) => a.to_string(),
        Value::V6(a) => a.to_string(),
        Value::Str(b) | Value::Method(b) => String::from_utf8_lossy(b).into_owned(),
        Value::Bin(b) => String::from_utf8_lossy(&hex(b)).into_owned(),
    };
    Answer::info(format!("{text}: type={} value=<{shown}>", value.kind().name()))
}

/// `set var proc.NAME [expr|fmt] VALUE`.
fn set(call: &mut Call<'_>) -> Answer {
    let text = call.word(2);
    if text.is_empty() {
        return Answer::error("Missing process-wide variable identifier.\n");
    }
    let name = match VarName::parse(text) {
        Ok(name) if name.scope == Scope::Proc => name,
        Ok(_) => {
            return Answer::error(format!(
                "'set var': cannot set variable '{text}', only scope 'proc' is permitted here."
            ));
        }
        Err(fault) => return Answer::error(fault),
    };
    let (notation, at) = match call.word(3) {
        "expr" => (Notation::Expression, 4),
        "fmt" => (Notation::Format, 4),
        other if call.words.len() > 4 => {
            return Answer::error(format!(
                "'set var': arg type must be either 'expr' or 'fmt' but got '{other}'."
            ));
        }
        _ => (Notation::Expression, 3),
    };
    let words = call.words.get(at..).unwrap_or_default().join(" ");
    if words.is_empty() {
        return Answer::error(format!("'set var {text}': missing expression.\n"));
    }
    match evaluate::value(call.generation, &words, notation) {
        Ok(Some(value)) => {
            let vars = call.generation.board.vars.lock().unwrap_or_else(PoisonError::into_inner);
            vars.set(name.id, value);
            Answer::Done
        }
        Ok(None) => Answer::Done,
        Err(fault) => Answer::error(fault),
    }
}
