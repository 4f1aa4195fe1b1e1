//! Arithmetic and logic on integers and booleans.
//!
//! Invariant: nothing overflows; sums and products stop at the ends of 64 bits, as haproxy's do.

use super::{Row, row};
use crate::sample::args::{at, parse_int};
use crate::sample::expr::Scope;
use crate::sample::vars::VarName;
use crate::sample::{Arg, Type, Value};
use crate::stream::view::View;

/// Rows of this family.
pub static ROWS: &[Row] = &[
    row("add", "string", Type::Int, Type::Int, |v, a, x| binary(v, a, x, i64::saturating_add)).check(operand),
    row("and", "string", Type::Int, Type::Int, |v, a, x| binary(v, a, x, |x, y| x & y)).check(operand),
    row("bool", "", Type::Int, Type::Bool, |_, _, x| Some(Value::Bool(x.into_int()? != 0))),
    row("cpl", "", Type::Int, Type::Int, |_, _, x| Some(Value::Int(!x.into_int()?))),
    row("div", "string", Type::Int, Type::Int, |v, a, x| binary(v, a, x, divide)).check(operand),
    row("even", "", Type::Int, Type::Bool, |_, _, x| Some(Value::Bool(x.into_int()? & 1 == 0))),
    row("mod", "string", Type::Int, Type::Int, |v, a, x| binary(v, a, x, remainder)).check(operand),
    row("mul", "string", Type::Int, Type::Int, |v, a, x| binary(v, a, x, i64::saturating_mul)).check(operand),
    row("neg", "", Type::Int, Type::Int, |_, _, x| Some(Value::Int(x.into_int()?.saturating_neg()))),
    row("not", "", Type::Int, Type::Bool, |_, _, x| Some(Value::Bool(x.into_int()? == 0))),
    row("odd", "", Type::Int, Type::Bool, |_, _, x| Some(Value::Bool(x.into_int()? & 1 == 1))),
    row("or", "string", Type::Int, Type::Int, |v, a, x| binary(v, a, x, |x, y| x | y)).check(operand),
    row("sub", "string", Type::Int, Type::Int, |v, a, x| binary(v, a, x, i64::saturating_sub)).check(operand),
    row("xor", "string", Type::Int, Type::Int, |v, a, x| binary(v, a, x, |x, y| x ^ y)).check(operand),
    row("hex2i", "", Type::Str, Type::Int, |_, _, x| hex2i(&x.into_text()?).map(Value::Int)),
];

/// An operand is an integer or the name of a variable.
fn operand(args: &mut Vec<Arg>, _: &mut Scope<'_>) -> Result<(), String> {
    let text = at(args, 0).text().to_owned();
    // Without an operand haproxy computes with an empty number.
    let parsed = if text.is_empty() {
        Arg::Int(0)
    } else if let Some(number) = parse_int(&text) {
        Arg::Int(number)
    } else {
        Arg::Var(VarName::parse(&text).map_err(|_| "expects an integer or a variable name".to_owned())?)
    };
    *args = vec![parsed];
    Ok(())
}

/// The value of an argument that is a number or a variable holding one.
pub fn number(view: &View<'_>, arg: &Arg) -> Option<i64> {
    match arg {
        Arg::Int(i) => Some(*i),
        Arg::Var(name) => name.load(view)?.into_int(),
        _ => None,
    }
}

fn binary<'v>(
    view: &'v View<'_>,
    args: &'v [Arg],
    value: Value<'v>,
    op: fn(i64, i64) -> i64,
) -> Option<Value<'v>> {
    Some(Value::Int(op(value.into_int()?, number(view, at(args, 0))?)))
}

fn divide(x: i64, y: i64) -> i64 {
    match y {
        0 => i64::MAX,
        _ => x.checked_div(y).unwrap_or(i64::MAX),
    }
}

fn remainder(x: i64, y: i64) -> i64 {
    x.checked_rem(y).unwrap_or(0)
}

fn hex2i(text: &[u8]) -> Option<i64> {
    let mut out: u64 = 0;
    for b in text {
        out = (out << 4) | u64::from(char::from(*b).to_digit(16)?);
    }
    Some(out as i64)
}
