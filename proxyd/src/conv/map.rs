//! Maps: a sample looked up in a file, giving the value written beside the pattern.
//!
//! Invariant: a value that is not of the map's output type is refused while the configuration is read; one set
//! later by the CLI that is not of the type loses the sample.

use super::{Check, Row, Run, row};
use crate::acl::file::PatSet;
use crate::acl::matcher::{Flags, Method};
use crate::sample::args::at;
use crate::sample::expr::Scope;
use crate::sample::{Arg, Type, Value, parse_ip};
use crate::stream::view::View;
use std::sync::Arc;

/// A compiled map argument.
#[derive(Debug)]
pub struct Map {
    set: PatSet,
    output: Type,
    groups: bool,
    default: Option<Value<'static>>,
}

const fn map(name: &'static str, args: &'static str, input: Type, output: Type, check: Check) -> Row {
    row(name, args, input, output, LOOKUP).check(check)
}

const LOOKUP: Run = lookup;
const S: &str = "string[,string]";
const I: &str = "string[,integer]";

/// Rows of this family.
pub static ROWS: &[Row] = &[
    map("map", S, Type::Str, Type::Str, |a, s| open(a, s, Method::Str, Type::Str)),
    map("map_beg", S, Type::Str, Type::Str, |a, s| open(a, s, Method::Beg, Type::Str)),
    map("map_beg_int", I, Type::Str, Type::Int, |a, s| open(a, s, Method::Beg, Type::Int)),
    map("map_beg_ip", S, Type::Str, Type::Addr, |a, s| open(a, s, Method::Beg, Type::Addr)),
    map("map_dir", S, Type::Str, Type::Str, |a, s| open(a, s, Method::Dir, Type::Str)),
    map("map_dir_int", I, Type::Str, Type::Int, |a, s| open(a, s, Method::Dir, Type::Int)),
    map("map_dir_ip", S, Type::Str, Type::Addr, |a, s| open(a, s, Method::Dir, Type::Addr)),
    map("map_dom", S, Type::Str, Type::Str, |a, s| open(a, s, Method::Dom, Type::Str)),
    map("map_dom_int", I, Type::Str, Type::Int, |a, s| open(a, s, Method::Dom, Type::Int)),
    map("map_dom_ip", S, Type::Str, Type::Addr, |a, s| open(a, s, Method::Dom, Type::Addr)),
    map("map_end", S, Type::Str, Type::Str, |a, s| open(a, s, Method::End, Type::Str)),
    map("map_end_int", I, Type::Str, Type::Int, |a, s| open(a, s, Method::End, Type::Int)),
    map("map_end_ip", S, Type::Str, Type::Addr, |a, s| open(a, s, Method::End, Type::Addr)),
    map("map_int", S, Type::Int, Type::Str, |a, s| open(a, s, Method::Int, Type::Str)),
    map("map_int_int", I, Type::Int, Type::Int, |a, s| open(a, s, Method::Int, Type::Int)),
    map("map_int_ip", S, Type::Int, Type::Addr, |a, s| open(a, s, Method::Int, Type::Addr)),
    map("map_ip", S, Type::Addr, Type::Str, |a, s| open(a, s, Method::Ip, Type::Str)),
    map("map_ip_int", I, Type::Addr, Type::Int, |a, s| open(a, s, Method::Ip, Type::Int)),
    map("map_ip_ip", S, Type::Addr, Type::Addr, |a, s| open(a, s, Method::Ip, Type::Addr)),
    map("map_reg", S, Type::Str, Type::Str, |a, s| open(a, s, Method::Reg, Type::Str)),
    map("map_reg_int", I, Type::Str, Type::Int, |a, s| open(a, s, Method::Reg, Type::Int)),
    map("map_reg_ip", S, Type::Str, Type::Addr, |a, s| open(a, s, Method::Reg, Type::Addr)),
    map("map_regm", S, Type::Str, Type::Str, |a, s| open(a, s, Method::Reg, Type::Any)),
    map("map_str", S, Type::Str, Type::Str, |a, s| open(a, s, Method::Str, Type::Str)),
    map("map_str_int", I, Type::Str, Type::Int, |a, s| open(a, s, Method::Str, Type::Int)),
    map("map_str_ip", S, Type::Str, Type::Addr, |a, s| open(a, s, Method::Str, Type::Addr)),
    map("map_sub", S, Type::Str, Type::Str, |a, s| open(a, s, Method::Sub, Type::Str)),
    map("map_sub_int", I, Type::Str, Type::Int, |a, s| open(a, s, Method::Sub, Type::Int)),
    map("map_sub_ip", S, Type::Str, Type::Addr, |a, s| open(a, s, Method::Sub, Type::Addr)),
];

/// The output type [`Type::Any`] marks `map_regm`, whose values hold groups.
fn open(args: &mut Vec<Arg>, scope: &mut Scope<'_>, method: Method, output: Type) -> Result<(), String> {
    let name = at(args, 0).text().to_owned();
    let (file, line) = scope.origin;
    let display = format!("pattern loaded from file '{name}' used by map at file '{file}' line {line}");
    let list = scope.files.open(&name, true, display)?;
    let groups = output == Type::Any;
    let output = if groups { Type::Str } else { output };
    for (_, entry) in list.entries() {
        if typed(output, &entry.value).is_none() {
            let want = if output == Type::Int { "a number" } else { "an address" };
            return Err(format!("'{}' is not {want}", entry.value));
        }
    }
    let default = match at(args, 1) {
        Arg::None => None,
        Arg::Int(i) => Some(Value::Int(*i)),
        text => typed(output, text.text()),
    };
    let set = list.index(method, Flags { map_file: true, ..Flags::default() })?;
    *args = vec![Arg::Map(Arc::new(Map { set, output, groups, default }))];
    Ok(())
}

fn typed(output: Type, text: &str) -> Option<Value<'static>> {
    match output {
        Type::Int => crate::sample::args::parse_int(text).map(Value::Int),
        Type::Addr => parse_ip(text.as_bytes()).map(Value::ip),
        _ => Some(Value::str(text.to_owned())),
    }
}

fn lookup<'v>(_: &'v View<'_>, args: &'v [Arg], value: Value<'v>) -> Option<Value<'v>> {
    let Arg::Map(map) = at(args, 0) else { return None };
    if map.groups
        && let Some(text) = map.set.find_expanded(&value)
    {
        return Some(Value::str(text));
    }
    match map.set.find(&value) {
        Some(entry) => typed(map.output, &entry.value),
        None => map.default.clone(),
    }
}
