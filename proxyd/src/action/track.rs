//! Tracked counters: `track-scN`, `sc-inc-gpc*`, `sc-add-gpc`, `sc-set-gpt*`.

use super::header::sample_word;
use super::sets::Set;
use super::{Action, Flow, act};
use crate::config::model::Mode;
use crate::sample::expr::{Cursor, Expr, Referrer, Scope, TableSlot};
use crate::stick::table::Data;
use crate::stick::{Tracked, clock_ms};
use crate::stream::view::{Phase, View};
use conf_parsers::args::Args;
use std::sync::Arc;

type Parsed = Result<Box<dyn Action>, String>;

struct Track {
    slot: usize,
    expr: Expr,
    table: Arc<TableSlot>,
}

/// `track-scN EXPR [table T]`: the first rule that gives a key to a counter holds.
pub fn track(args: &mut Args<'_>, scope: &mut Scope<'_>, set: Set) -> Parsed {
    let word = args.keyword().as_str();
    let digits = word.strip_prefix("track-sc").unwrap_or("");
    let slot: usize = digits.parse().map_err(|_| format!("invalid syntax for '{word}'"))?;
    if slot >= scope.stick_counters {
        return Err(format!(
            "{slot} track-sc number exceeding {} (MAX_SESS_STKCTR-1) value",
            scope.stick_counters - 1
        ));
    }
    let expr = sample_word(args, scope, set)?;
    let table = if args.take("table") {
        args.next().ok_or("missing table name")?.as_str().to_owned()
    } else {
        scope.proxy.to_owned()
    };
    let owner = scope.owner();
    let table = scope.refs.table(&table, owner, Referrer::Track(slot, expr.output));
    Ok(act("track-sc", Track { slot, expr, table }, begin))
}

fn begin(t: &Track, view: &mut View<'_>) -> Flow {
    let taken = |list: &[Option<Tracked>]| list.get(t.slot).is_some_and(Option::is_some);
    if taken(&view.session.tracked) || view.txn.as_deref().is_some_and(|x| taken(&x.tracked)) {
        return Flow::Continue;
    }
    let Some(table) = t.table.table.get() else { return Flow::Continue };
    let mut cursor = Cursor::default();
    let key = match t.expr.next(view, &mut cursor) {
        None if cursor.pending && view.may_wait => return Flow::Wait(super::var::missing(view)),
        sample => sample.and_then(|v| table.key(v)),
    };
    let Some(tracked) = key.and_then(|k| Tracked::begin(table, k, view.now)) else { return Flow::Continue };
    let content = !matches!(view.phase, Phase::Connection | Phase::Session);
    if content && view.request.is_some() && view.proxy.mode == Mode::Http {
        tracked.request(view.now);
    }
    let list = match view.txn.as_deref_mut() {
        Some(txn) if content => &mut txn.tracked,
        _ => &mut view.session.tracked,
    };
    if list.len() <= t.slot {
        list.resize_with(t.slot + 1, || None);
    }
    list[t.slot] = Some(tracked);
    Flow::Continue
}

/// What is tracked under a number.
pub fn tracked<'v>(view: &'v View<'_>, slot: usize) -> Option<&'v Tracked> {
    let of_txn = view.txn.as_deref().and_then(|t| t.tracked.get(slot)?.as_ref());
    of_txn.or_else(|| view.session.tracked.get(slot)?.as_ref())
}

/// The numbers between the parentheses of an action: an array's index where it has one, and the counter.
fn numbers(args: &Args<'_>, array: bool, scope: &Scope<'_>) -> Result<(usize, usize), String> {
    let word = args.keyword().as_str();
    let inner = word.split_once('(').and_then(|(_, r)| r.strip_suffix(')')).unwrap_or("");
    let parse =
        |t: &str| t.trim().parse::<usize>().map_err(|_| format!("invalid stick table track ID '{inner}'"));
    let (index, slot) = match inner.split_once(',') {
        Some((i, s)) if array => (parse(i)?, parse(s)?),
        None if array => return Err("Missing comma between GPC index and stick table track ID".into()),
        _ => (0, parse(inner)?),
    };
    if slot >= scope.stick_counters {
        return Err(format!(
            "invalid stick table track ID. The max allowed ID is {}",
            scope.stick_counters - 1
        ));
    }
    Ok((index, slot))
}

struct Count {
    data: [Data; 2],
    index: usize,
    slot: usize,
    amount: Option<Expr>,
    fixed: i64,
}

fn counters(word: &str) -> ([Data; 2], bool) {
    if word.contains("gpc0") {
        ([Data::Gpc0, Data::Gpc0Rate], false)
    } else if word.contains("gpc1") {
        ([Data::Gpc1, Data::Gpc1Rate], false)
    } else {
        ([Data::Gpc, Data::GpcRate], true)
    }
}

fn count(c: &Count, view: &mut View<'_>) -> Flow {
    let view = &*view;
    let amount = match &c.amount {
        Some(expr) => expr.run(view).and_then(crate::sample::Value::into_int).unwrap_or(0),
        None => c.fixed,
    };
    if let Some(t) = tracked(view, c.slot) {
        let now_ms = clock_ms(view.now);
        let mut table = t.table.lock();
        for data in c.data {
            table.add(&t.key, data, c.index, amount, now_ms);
        }
    }
    Flow::Continue
}

/// `sc-inc-gpc(I,N)`, `sc-inc-gpc0(N)`, `sc-inc-gpc1(N)`.
pub fn increment(args: &mut Args<'_>, scope: &mut Scope<'_>, _: Set) -> Parsed {
    let (data, array) = counters(args.keyword().as_str());
    let (index, slot) = numbers(args, array, scope)?;
    Ok(act("sc-inc-gpc", Count { data, index, slot, amount: None, fixed: 1 }, count))
}

/// A number, or an expression that gives one.
fn amount(args: &mut Args<'_>, scope: &mut Scope<'_>, set: Set) -> Result<(Option<Expr>, i64), String> {
    if let Some(n) = args.peek().and_then(|w| crate::sample::args::parse_int(w.as_str())) {
        args.next();
        return Ok((None, n));
    }
    Ok((Some(sample_word(args, scope, set)?), 0))
}

/// `sc-add-gpc(I,N) EXPR`.
pub fn add(args: &mut Args<'_>, scope: &mut Scope<'_>, set: Set) -> Parsed {
    let (index, slot) = numbers(args, true, scope)?;
    let (amount, fixed) = amount(args, scope, set)?;
    Ok(act("sc-add-gpc", Count { data: [Data::Gpc, Data::GpcRate], index, slot, amount, fixed }, count))
}

/// `sc-set-gpt(I,N) EXPR`, `sc-set-gpt0(N) EXPR`.
pub fn set_tag(args: &mut Args<'_>, scope: &mut Scope<'_>, set: Set) -> Parsed {
    let array = !args.keyword().as_str().contains("gpt0");
    let (index, slot) = numbers(args, array, scope)?;
    let (amount, fixed) = amount(args, scope, set)?;
    let data = [if array { Data::Gpt } else { Data::Gpt0 }; 2];
    Ok(act("sc-set-gpt", Count { data, index, slot, amount, fixed }, |c, view| {
        let view = &*view;
        let value = match &c.amount {
            Some(expr) => expr.run(view).and_then(crate::sample::Value::into_int),
            None => Some(c.fixed),
        };
        if let (Some(t), Some(value)) = (tracked(view, c.slot), value) {
            t.table.lock().set(&t.key, c.data[0], c.index, value as u32 as u64);
        }
        Flow::Continue
    }))
}
