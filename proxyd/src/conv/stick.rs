//! Converters that look a key up in a stick table.

use super::{Row, row};
use crate::sample::args::at;
use crate::sample::{Arg, Type, Value};
use crate::stick::table::Data;
use crate::stick::{SharedTable, clock_ms};
use crate::stream::view::View;
use std::sync::Arc;

/// A row for one data type of a table named in the only argument.
macro_rules! plain {
    ($name:literal, $data:ident) => {
        row($name, "table", Type::Any, Type::Int, |v, a, x| read(v, at(a, 0), x, Data::$data, 0, 1))
    };
}

/// Rows of this family.
pub static ROWS: &[Row] = &[
    row("in_table", "table", Type::Any, Type::Bool, |v, a, x| {
        let table = table(at(a, 0))?;
        let key = table.key(x)?;
        Some(Value::Bool(table.lock().contains(&key, clock_ms(v.now))))
    }),
    plain!("table_bytes_in_rate", BytesInRate),
    plain!("table_bytes_out_rate", BytesOutRate),
    plain!("table_conn_cnt", ConnCnt),
    plain!("table_conn_cur", ConnCur),
    plain!("table_conn_rate", ConnRate),
    row("table_expire", "table[,integer]", Type::Any, Type::Int, |v, a, x| {
        let table = table(at(a, 0))?;
        let key = table.key(x)?;
        let t = table.lock();
        let left = t.expires_in_ms(&key, clock_ms(v.now)).map(|l| l as i64);
        or_default(left, at(a, 1))
    }),
    row("table_gpc", "integer,table", Type::Any, Type::Int, |v, a, x| indexed(v, a, x, Data::Gpc)),
    plain!("table_gpc0", Gpc0),
    plain!("table_gpc0_rate", Gpc0Rate),
    plain!("table_gpc1", Gpc1),
    plain!("table_gpc1_rate", Gpc1Rate),
    row("table_gpc_rate", "integer,table", Type::Any, Type::Int, |v, a, x| indexed(v, a, x, Data::GpcRate)),
    row("table_gpt", "integer,table", Type::Any, Type::Int, |v, a, x| indexed(v, a, x, Data::Gpt)),
    plain!("table_gpt0", Gpt0),
    plain!("table_http_err_cnt", HttpErrCnt),
    plain!("table_http_err_rate", HttpErrRate),
    plain!("table_http_fail_cnt", HttpFailCnt),
    plain!("table_http_fail_rate", HttpFailRate),
    plain!("table_http_req_cnt", HttpReqCnt),
    plain!("table_http_req_rate", HttpReqRate),
    row("table_idle", "table[,integer]", Type::Any, Type::Int, |v, a, x| {
        let table = table(at(a, 0))?;
        let key = table.key(x)?;
        let idle = table.lock().idle_ms(&key, clock_ms(v.now)).map(|l| l as i64);
        or_default(idle, at(a, 1))
    }),
    row("table_kbytes_in", "table", Type::Any, Type::Int, |v, a, x| {
        read(v, at(a, 0), x, Data::BytesInCnt, 0, 1024)
    }),
    row("table_kbytes_out", "table", Type::Any, Type::Int, |v, a, x| {
        read(v, at(a, 0), x, Data::BytesOutCnt, 0, 1024)
    }),
    plain!("table_server_id", ServerId),
    plain!("table_sess_cnt", SessCnt),
    plain!("table_sess_rate", SessRate),
    row("table_trackers", "table", Type::Any, Type::Int, |v, a, x| {
        let table = table(at(a, 0))?;
        let key = table.key(x)?;
        let t = table.lock();
        // haproxy counts the one who looks as well.
        let looks = u32::from(t.contains(&key, clock_ms(v.now)));
        Some(Value::Int(i64::from(t.users(&key) + looks)))
    }),
];

/// The table of an argument, once bound.
pub fn table(arg: &Arg) -> Option<&Arc<SharedTable>> {
    match arg {
        Arg::Table(slot) => slot.table.get(),
        _ => None,
    }
}

fn or_default<'v>(value: Option<i64>, default: &Arg) -> Option<Value<'v>> {
    match (value, default) {
        (Some(v), _) => Some(Value::Int(v)),
        (None, Arg::Int(d)) => Some(Value::Int(*d)),
        _ => None,
    }
}

fn indexed<'v>(view: &'v View<'_>, args: &'v [Arg], value: Value<'v>, data: Data) -> Option<Value<'v>> {
    let index = usize::try_from(at(args, 0).int_or(0)).ok()?;
    read(view, at(args, 1), value, data, index, 1)
}

/// A key that is not in the table reads as zero; data that the table does not store loses the sample.
fn read<'v>(
    view: &View<'_>,
    arg: &Arg,
    value: Value<'v>,
    data: Data,
    element: usize,
    unit: u64,
) -> Option<Value<'v>> {
    let table = table(arg)?;
    let now_ms = clock_ms(view.now);
    let key = table.key(value)?;
    let t = table.lock();
    if !t.contains(&key, now_ms) {
        return Some(Value::Int(0));
    }
    Some(Value::Int((t.get(&key, data, element, now_ms)? / unit) as i64))
}
