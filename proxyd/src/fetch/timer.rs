//! Facts of the stream itself: its timers, counts, limits and how it ends (manual 3.x, 7.3.2 to 7.3.6).

use super::{Row, row};
use crate::config::model::Proxy;
use crate::sample::args::at;
use crate::sample::source::Source::{Backend, Frontend, Internal, L4Client, L4Server, Request, Response};
use crate::sample::{Type, Value};
use crate::stream::txn::Txn;
use crate::stream::view::View;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Rows of this family.
pub static ROWS: &[Row] = &[
    row("accept_date", "[string]", Type::Int, L4Client, |v, a, _| {
        date(v.session.accepted_at, at(a, 0).text())
    })
    .check(|a, _| crate::conv::time::unit_check(at(a, 0).text())),
    row("act_conn", "", Type::Int, Internal, |v, _, _| {
        Some(Value::Int(v.generation.board.process.cur_conns.load(Relaxed) as i64))
    }),
    row("bc.timer.connect", "", Type::Int, L4Server, |v, _, _| {
        span(v, |t| between(t.times.queue.or(t.times.request), t.times.connect))
    }),
    row("bc_be_queue", "", Type::Int, L4Server, |v, _, _| count(v, |t| u64::from(t.backend_queue))),
    row("bc_srv_queue", "", Type::Int, L4Server, |v, _, _| count(v, |t| u64::from(t.server_queue))),
    row("be_connect_timeout", "", Type::Int, Backend, |v, _, _| time(back(v)?.timeouts.connect)),
    row("be_max_retries", "", Type::Int, Backend, |v, _, _| Some(Value::Int(i64::from(back(v)?.retries)))),
    row("be_queue_timeout", "", Type::Int, Backend, |v, _, _| time(back(v)?.timeouts.queue)),
    row("be_tarpit_timeout", "", Type::Int, Backend, |v, _, _| time(back(v)?.timeouts.tarpit)),
    row("bytes_in", "", Type::Int, Request, |v, _, _| count(v, |t| t.bytes_in)),
    row("bytes_out", "", Type::Int, Request, |v, _, _| count(v, |t| t.bytes_out)),
    row("cur_client_timeout", "", Type::Int, Frontend, |v, _, _| {
        time(v.txn.as_deref().and_then(|t| t.timeout_client).or(front(v)?.timeouts.client))
    }),
    row("cur_connect_timeout", "", Type::Int, Backend, |v, _, _| time(back(v)?.timeouts.connect)),
    row("cur_max_retries", "", Type::Int, Backend, |v, _, _| Some(Value::Int(i64::from(back(v)?.retries)))),
    row("cur_queue_timeout", "", Type::Int, Backend, |v, _, _| time(back(v)?.timeouts.queue)),
    row("cur_tarpit_timeout", "", Type::Int, Backend, |v, _, _| time(back(v)?.timeouts.tarpit)),
    row("fc.timer.handshake", "", Type::Int, L4Client, |v, _, _| time(Some(v.session.handshake))),
    row("fc.timer.total", "", Type::Int, L4Client, |v, _, _| span(v, |t| t.times.end)),
    row("fc_nb_streams", "", Type::Int, L4Client, |v, _, _| count(v, |_| 1)),
    row("fe_tarpit_timeout", "", Type::Int, Frontend, |v, _, _| time(front(v)?.timeouts.tarpit)),
    row("pid", "", Type::Int, Internal, |_, _, _| Some(Value::Int(i64::from(std::process::id())))),
    row("quic_enabled", "", Type::Bool, Internal, |_, _, _| Some(Value::Bool(false))),
    row("req.timer.hdr", "", Type::Int, Request, |v, _, _| {
        span(v, |t| between(t.times.first_byte, t.times.request))
    }),
    row("req.timer.idle", "", Type::Int, Request, |v, _, _| span(v, |t| t.times.first_byte)),
    row("req.timer.queue", "", Type::Int, Request, |v, _, _| {
        span(v, |t| between(t.times.request.or(Some(Duration::ZERO)), t.times.queue))
    }),
    row("req.timer.tq", "", Type::Int, Request, |v, _, _| span(v, |t| t.times.request)),
    row("request_date", "[string]", Type::Int, Request, |v, a, _| {
        let txn = v.txn.as_deref()?;
        date(txn.start_at + txn.times.first_byte.unwrap_or_default(), at(a, 0).text())
    })
    .check(|a, _| crate::conv::time::unit_check(at(a, 0).text())),
    row("res.timer.data", "", Type::Int, Response, |v, _, _| {
        span(v, |t| between(t.times.response, t.times.end))
    }),
    row("res.timer.hdr", "", Type::Int, Response, |v, _, _| {
        span(v, |t| between(t.times.connect, t.times.response))
    }),
    row("txn.conn_retries", "", Type::Int, L4Server, |v, _, _| count(v, |t| u64::from(t.retries))),
    row("txn.id32", "", Type::Int, Internal, |v, _, _| count(v, |t| t.number & 0xffff_ffff)),
    row("txn.redispatched", "", Type::Bool, L4Server, |v, _, _| {
        Some(Value::Bool(v.txn.as_deref()?.redispatched))
    }),
    row("txn.sess_term_state", "", Type::Str, Internal, |v, _, _| {
        Some(Value::str(crate::log::tag::letters_of(v.txn.as_deref()?)[..2].to_vec()))
    }),
    row("txn.timer.total", "", Type::Int, Request, |v, _, _| span(v, active)),
    row("txn.timer.user", "", Type::Int, Request, |v, _, _| {
        let shaken = if v.session.requests == 0 { v.session.handshake } else { Duration::ZERO };
        span(v, |t| active(t).map(|d| d + shaken))
    }),
    row("uptime", "", Type::Int, Internal, |v, _, _| {
        Some(Value::Int(v.generation.board.info.started.elapsed().as_secs() as i64))
    }),
];

/// From the first byte to the end.
fn active(txn: &Txn) -> Option<Duration> {
    Some(txn.times.end?.saturating_sub(txn.times.first_byte.unwrap_or_default()))
}

fn between(from: Option<Duration>, to: Option<Duration>) -> Option<Duration> {
    Some(to?.saturating_sub(from?))
}

/// Milliseconds; -1 where the point was not reached, as in log lines.
fn span<'v>(view: &View<'_>, of: impl Fn(&Txn) -> Option<Duration>) -> Option<Value<'v>> {
    let reached = of(view.txn.as_deref()?);
    Some(Value::Int(reached.map_or(-1, |d| d.as_millis() as i64)))
}

fn count<'v>(view: &View<'_>, of: fn(&Txn) -> u64) -> Option<Value<'v>> {
    Some(Value::Int(of(view.txn.as_deref()?) as i64))
}

fn time<'v>(value: Option<Duration>) -> Option<Value<'v>> {
    value.map(|d| Value::Int(d.as_millis() as i64))
}

fn front<'v>(view: &View<'v>) -> Option<&'v Proxy> {
    view.generation.config.proxies.get(view.session.frontend.0)
}

fn back<'v>(view: &View<'v>) -> Option<&'v Proxy> {
    view.generation.config.proxies.get(view.txn.as_deref()?.backend?.0)
}

fn date<'v>(at: SystemTime, unit: &str) -> Option<Value<'v>> {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    Some(Value::Int(match unit {
        "ms" => since.as_millis() as i64,
        "us" => since.as_micros() as i64,
        _ => since.as_secs() as i64,
    }))
}
