//! Tracked counters: `sc_*`, `sc0_*` to `sc2_*`, `src_*`, and sizes of tables.
//!
//! `sc_NAME(N,…)`, `scN_NAME(…)` and `src_NAME(…)` are one function each over a counter: the tracked entry, or the
//! client's address looked up in a table.

use super::{Row, row};
use crate::conv::stick::table;
use crate::sample::args::at;
use crate::sample::source::Source::{Internal, L4Client};
use crate::sample::{Arg, Type, Value};
use crate::stick::table::{Data, Key};
use crate::stick::{SharedTable, clock_ms};
use crate::stream::txn::Peer;
use crate::stream::view::View;
use std::sync::Arc;

/// What a fetch does with its entry.
#[derive(Clone, Copy)]
enum Work {
    /// Reads, in units.
    Read(Data, u64),
    /// Reads an element of an array.
    ReadAt(Data),
    /// Counts one more, and gives the new value.
    Count(Data, Data),
    /// Counts one more of an element.
    CountAt,
    /// Gives the value and sets it to zero.
    Clear(Data),
    /// As above, an element.
    ClearAt,
    /// Whether there is an entry.
    Tracked,
    /// Streams that use the entry.
    Trackers,
    /// Counts a connection of an entry that is not tracked.
    Update,
}

/// Rows with names for every way to an entry: by number, tracked 0 to 2, by source address.
macro_rules! family {
    ($($sc:literal $sc0:literal $sc1:literal $sc2:literal $src:literal $kind:ident $work:expr),* $(,)?) => {
        /// Rows that take the counter's number as an argument, and rows about tables.
        pub static ROWS: &[Row] = &[
            $(row($sc, "integer[,table]", Type::$kind, Internal, |v, a, _| {
                run(v, tracked(v, at(a, 0).int_or(0), at(a, 1)), &[], $work)
            }),)*
            $(row($src, "table", Type::$kind, L4Client, |v, a, _| run(v, by_source(v, at(a, 0)), &[], $work)),)*
            row("sc_get_gpc", "integer,integer[,table]", Type::Int, Internal, |v, a, _| indexed(v, a, Work::ReadAt(Data::Gpc))),
            row("sc_get_gpt", "integer,integer[,table]", Type::Int, Internal, |v, a, _| indexed(v, a, Work::ReadAt(Data::Gpt))),
            row("sc_gpc_rate", "integer,integer[,table]", Type::Int, Internal, |v, a, _| indexed(v, a, Work::ReadAt(Data::GpcRate))),
            row("sc_inc_gpc", "integer,integer[,table]", Type::Int, Internal, |v, a, _| indexed(v, a, Work::CountAt)),
            row("sc_clr_gpc", "integer,integer[,table]", Type::Int, Internal, |v, a, _| indexed(v, a, Work::ClearAt)),
            row("src_get_gpc", "integer,table", Type::Int, L4Client, |v, a, _| source_indexed(v, a, Work::ReadAt(Data::Gpc))),
            row("src_get_gpt", "integer,table", Type::Int, L4Client, |v, a, _| source_indexed(v, a, Work::ReadAt(Data::Gpt))),
            row("src_gpc_rate", "integer,table", Type::Int, L4Client, |v, a, _| source_indexed(v, a, Work::ReadAt(Data::GpcRate))),
            row("src_inc_gpc", "integer,table", Type::Int, L4Client, |v, a, _| source_indexed(v, a, Work::CountAt)),
            row("src_clr_gpc", "integer,table", Type::Int, L4Client, |v, a, _| source_indexed(v, a, Work::ClearAt)),
            row("src_updt_conn_cnt", "table", Type::Int, L4Client, |v, a, _| run(v, by_source(v, at(a, 0)), &[], Work::Update)),
            row("table_avl", "table", Type::Int, Internal, |_, a, _| {
                let t = table(at(a, 0))?.lock();
                Some(Value::Int(t.size() as i64 - t.len() as i64))
            }),
            row("table_cnt", "table", Type::Int, Internal, |_, a, _| {
                Some(Value::Int(table(at(a, 0))?.lock().len() as i64))
            }),
        ];
        /// Rows whose names hold the counter's number.
        pub static NUMBERED: &[Row] = &[
            $(row($sc0, "[table]", Type::$kind, Internal, |v, a, _| run(v, tracked(v, 0, at(a, 0)), &[], $work)),)*
            $(row($sc1, "[table]", Type::$kind, Internal, |v, a, _| run(v, tracked(v, 1, at(a, 0)), &[], $work)),)*
            $(row($sc2, "[table]", Type::$kind, Internal, |v, a, _| run(v, tracked(v, 2, at(a, 0)), &[], $work)),)*
        ];
    };
}

family! {
    "sc_bytes_in_rate" "sc0_bytes_in_rate" "sc1_bytes_in_rate" "sc2_bytes_in_rate" "src_bytes_in_rate" Int Work::Read(Data::BytesInRate, 1),
    "sc_bytes_out_rate" "sc0_bytes_out_rate" "sc1_bytes_out_rate" "sc2_bytes_out_rate" "src_bytes_out_rate" Int Work::Read(Data::BytesOutRate, 1),
    "sc_clr_gpc0" "sc0_clr_gpc0" "sc1_clr_gpc0" "sc2_clr_gpc0" "src_clr_gpc0" Int Work::Clear(Data::Gpc0),
    "sc_clr_gpc1" "sc0_clr_gpc1" "sc1_clr_gpc1" "sc2_clr_gpc1" "src_clr_gpc1" Int Work::Clear(Data::Gpc1),
    "sc_conn_cnt" "sc0_conn_cnt" "sc1_conn_cnt" "sc2_conn_cnt" "src_conn_cnt" Int Work::Read(Data::ConnCnt, 1),
    "sc_conn_cur" "sc0_conn_cur" "sc1_conn_cur" "sc2_conn_cur" "src_conn_cur" Int Work::Read(Data::ConnCur, 1),
    "sc_conn_rate" "sc0_conn_rate" "sc1_conn_rate" "sc2_conn_rate" "src_conn_rate" Int Work::Read(Data::ConnRate, 1),
    "sc_get_gpc0" "sc0_get_gpc0" "sc1_get_gpc0" "sc2_get_gpc0" "src_get_gpc0" Int Work::Read(Data::Gpc0, 1),
    "sc_get_gpc1" "sc0_get_gpc1" "sc1_get_gpc1" "sc2_get_gpc1" "src_get_gpc1" Int Work::Read(Data::Gpc1, 1),
    "sc_get_gpt0" "sc0_get_gpt0" "sc1_get_gpt0" "sc2_get_gpt0" "src_get_gpt0" Int Work::Read(Data::Gpt0, 1),
    "sc_gpc0_rate" "sc0_gpc0_rate" "sc1_gpc0_rate" "sc2_gpc0_rate" "src_gpc0_rate" Int Work::Read(Data::Gpc0Rate, 1),
    "sc_gpc1_rate" "sc0_gpc1_rate" "sc1_gpc1_rate" "sc2_gpc1_rate" "src_gpc1_rate" Int Work::Read(Data::Gpc1Rate, 1),
    "sc_http_err_cnt" "sc0_http_err_cnt" "sc1_http_err_cnt" "sc2_http_err_cnt" "src_http_err_cnt" Int Work::Read(Data::HttpErrCnt, 1),
    "sc_http_err_rate" "sc0_http_err_rate" "sc1_http_err_rate" "sc2_http_err_rate" "src_http_err_rate" Int Work::Read(Data::HttpErrRate, 1),
    "sc_http_fail_cnt" "sc0_http_fail_cnt" "sc1_http_fail_cnt" "sc2_http_fail_cnt" "src_http_fail_cnt" Int Work::Read(Data::HttpFailCnt, 1),
    "sc_http_fail_rate" "sc0_http_fail_rate" "sc1_http_fail_rate" "sc2_http_fail_rate" "src_http_fail_rate" Int Work::Read(Data::HttpFailRate, 1),
    "sc_http_req_cnt" "sc0_http_req_cnt" "sc1_http_req_cnt" "sc2_http_req_cnt" "src_http_req_cnt" Int Work::Read(Data::HttpReqCnt, 1),
    "sc_http_req_rate" "sc0_http_req_rate" "sc1_http_req_rate" "sc2_http_req_rate" "src_http_req_rate" Int Work::Read(Data::HttpReqRate, 1),
    "sc_inc_gpc0" "sc0_inc_gpc0" "sc1_inc_gpc0" "sc2_inc_gpc0" "src_inc_gpc0" Int Work::Count(Data::Gpc0, Data::Gpc0Rate),
    "sc_inc_gpc1" "sc0_inc_gpc1" "sc1_inc_gpc1" "sc2_inc_gpc1" "src_inc_gpc1" Int Work::Count(Data::Gpc1, Data::Gpc1Rate),
    "sc_kbytes_in" "sc0_kbytes_in" "sc1_kbytes_in" "sc2_kbytes_in" "src_kbytes_in" Int Work::Read(Data::BytesInCnt, 1024),
    "sc_kbytes_out" "sc0_kbytes_out" "sc1_kbytes_out" "sc2_kbytes_out" "src_kbytes_out" Int Work::Read(Data::BytesOutCnt, 1024),
    "sc_sess_cnt" "sc0_sess_cnt" "sc1_sess_cnt" "sc2_sess_cnt" "src_sess_cnt" Int Work::Read(Data::SessCnt, 1),
    "sc_sess_rate" "sc0_sess_rate" "sc1_sess_rate" "sc2_sess_rate" "src_sess_rate" Int Work::Read(Data::SessRate, 1),
    "sc_tracked" "sc0_tracked" "sc1_tracked" "sc2_tracked" "src_tracked" Bool Work::Tracked,
    "sc_trackers" "sc0_trackers" "sc1_trackers" "sc2_trackers" "src_trackers" Int Work::Trackers,
}

/// An entry: the table and the key in it; no key where the stream tracks nothing of it.
type Entry<'v> = Option<(&'v Arc<SharedTable>, Key)>;

/// What `track-scN` tracks: of this transaction, else of the session; looked up in another table when one is named.
fn tracked<'v>(view: &'v View<'_>, number: i64, other: &'v Arg) -> Entry<'v> {
    let n = usize::try_from(number).ok()?;
    let of_txn = view.txn.as_deref().and_then(|t| t.tracked.get(n)?.as_ref());
    let entry = of_txn.or_else(|| view.session.tracked.get(n)?.as_ref())?;
    match table(other) {
        Some(table) => Some((table, entry.key.clone())),
        None => Some((&entry.table, entry.key.clone())),
    }
}

fn by_source<'v>(view: &'v View<'_>, arg: &'v Arg) -> Entry<'v> {
    let table = table(arg)?;
    let Peer::Inet(address) = super::conn::source(view) else { return None };
    Some((table, table.key(Value::ip(address.ip()))?))
}

fn indexed<'v>(view: &'v View<'_>, args: &'v [Arg], work: Work) -> Option<Value<'v>> {
    run(view, tracked(view, at(args, 1).int_or(0), at(args, 2)), args, work)
}

fn source_indexed<'v>(view: &'v View<'_>, args: &'v [Arg], work: Work) -> Option<Value<'v>> {
    run(view, by_source(view, at(args, 1)), args, work)
}

fn run<'v>(view: &View<'_>, entry: Entry<'_>, args: &[Arg], work: Work) -> Option<Value<'v>> {
    if let Work::Tracked = work {
        return Some(Value::Bool(entry.is_some()));
    }
    let (table, key) = entry?;
    let now_ms = clock_ms(view.now);
    let mut t = table.lock();
    let there = t.contains(&key, now_ms);
    let element = usize::try_from(at(args, 0).int_or(0)).ok()?;
    let value = match work {
        Work::Count(..) | Work::CountAt | Work::Update if !there && !t.touch(&key, now_ms) => return None,
        Work::Read(..) | Work::ReadAt(_) if !there => 0,
        Work::Read(data, unit) => t.get(&key, data, 0, now_ms)? / unit,
        Work::ReadAt(data) => t.get(&key, data, element, now_ms)?,
        Work::Count(counter, rate) => {
            let rated = t.add(&key, rate, 0, 1, now_ms);
            t.add(&key, counter, 0, 1, now_ms).or(rated)?
        }
        Work::CountAt => {
            let rated = t.add(&key, Data::GpcRate, element, 1, now_ms);
            t.add(&key, Data::Gpc, element, 1, now_ms).or(rated)?
        }
        Work::Clear(data) => {
            let old = t.get(&key, data, 0, now_ms)?;
            t.set(&key, data, 0, 0);
            old
        }
        Work::ClearAt => {
            let old = t.get(&key, Data::Gpc, element, now_ms)?;
            t.set(&key, Data::Gpc, element, 0);
            old
        }
        Work::Trackers => u64::from(t.users(&key)),
        Work::Update => {
            t.touch(&key, now_ms);
            t.add(&key, Data::ConnCnt, 0, 1, now_ms)?
        }
        Work::Tracked => 1,
    };
    Some(Value::Int(value as i64))
}
