//! State of frontends, backends and servers.

use super::{Row, row};
use crate::balance::Field;
use crate::config::model::{ProxyId, ServerId};
use crate::runtime::board::ServerState;
use crate::runtime::timers::whole_ms;
use crate::sample::args::at;
use crate::sample::source::Source::{Backend, Internal, Server};
use crate::sample::{Arg, Type, Value};
use crate::stream::view::View;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// Rows of this family.
pub static ROWS: &[Row] = &[
    row("avg_queue", "backend", Type::Int, Internal, |v, a, _| {
        let p = proxy(at(a, 0))?;
        let queued = queued(v, p);
        let servers = usable(v, p);
        Some(Value::Int(if servers > 0 { (queued + servers - 1) / servers } else { queued * 2 }))
    }),
    row("be_conn", "backend", Type::Int, Internal, |v, a, _| {
        Some(Value::Int(v.generation.proxies.get(proxy(at(a, 0))?)?.back.cur_sess.load(Relaxed) as i64))
    }),
    row("be_conn_free", "backend", Type::Int, Internal, |v, a, _| {
        Some(Value::Int(free(v, proxy(at(a, 0))?, false)?))
    }),
    row("be_id", "", Type::Int, Backend, |v, _, _| {
        Some(Value::Int(i64::from(v.generation.config.proxies.get(backend(v)?)?.uuid)))
    }),
    row("be_name", "", Type::Str, Backend, |v, _, _| {
        Some(Value::str(v.generation.config.proxies.get(backend(v)?)?.name.as_str()))
    }),
    row("be_server_timeout", "", Type::Int, Backend, |v, _, _| {
        millis(v.generation.config.proxies.get(backend(v)?)?.timeouts.server)
    }),
    row("be_sess_rate", "backend", Type::Int, Internal, |v, a, _| {
        Some(Value::Int(
            v.generation.proxies.get(proxy(at(a, 0))?)?.back.rates.sess.read(rate_clock(v)) as i64
        ))
    }),
    row("be_tunnel_timeout", "", Type::Int, Backend, |v, _, _| {
        millis(v.generation.config.proxies.get(backend(v)?)?.timeouts.tunnel)
    }),
    row("connslots", "backend", Type::Int, Internal, |v, a, _| {
        Some(Value::Int(free(v, proxy(at(a, 0))?, true)?))
    }),
    row("cur_server_timeout", "", Type::Int, Backend, |v, _, _| {
        let own = v.txn.as_deref().and_then(|t| t.timeout_server);
        millis(own.or(v.generation.config.proxies.get(backend(v)?)?.timeouts.server))
    }),
    row("cur_tunnel_timeout", "", Type::Int, Backend, |v, _, _| {
        let own = v.txn.as_deref().and_then(|t| t.timeout_tunnel);
        millis(own.or(v.generation.config.proxies.get(backend(v)?)?.timeouts.tunnel))
    }),
    row("fe_conn", "frontend", Type::Int, Internal, |v, a, _| {
        Some(Value::Int(v.generation.proxies.get(proxy(at(a, 0))?)?.front.cur_conn.load(Relaxed) as i64))
    }),
    row("fe_req_rate", "frontend", Type::Int, Internal, |v, a, _| {
        Some(Value::Int(
            v.generation.proxies.get(proxy(at(a, 0))?)?.front.rates.req.read(rate_clock(v)) as i64
        ))
    }),
    row("fe_sess_rate", "frontend", Type::Int, Internal, |v, a, _| {
        Some(Value::Int(
            v.generation.proxies.get(proxy(at(a, 0))?)?.front.rates.sess.read(rate_clock(v)) as i64
        ))
    }),
    row("nbsrv", "backend", Type::Int, Internal, |v, a, _| Some(Value::Int(usable(v, proxy(at(a, 0))?)))),
    row("queue", "backend", Type::Int, Internal, |v, a, _| Some(Value::Int(queued(v, proxy(at(a, 0))?)))),
    row("srv_conn", "server", Type::Int, Internal, |v, a, _| {
        Some(Value::Int(server(v, at(a, 0))?.0.sessions.load(Relaxed)))
    }),
    row("srv_conn_free", "server", Type::Int, Internal, |v, a, _| {
        let Arg::Server(slot) = at(a, 0) else { return None };
        let (proxy, server) = *slot.id.get()?;
        Some(Value::Int(room(&field(v, proxy.0)?, server).unwrap_or(-1)))
    }),
    row("srv_id", "", Type::Int, Server, |v, _, _| {
        let (p, s) = chosen(v)?;
        Some(Value::Int(i64::from(v.generation.config.proxies.get(p.0)?.servers.get(s.0)?.uuid)))
    }),
    row("srv_is_up", "server", Type::Bool, Internal, |v, a, _| {
        Some(Value::Bool(server(v, at(a, 0))?.0.is_up()))
    }),
    row("srv_iweight", "server", Type::Int, Internal, |v, a, _| {
        Some(Value::Int(i64::from(server(v, at(a, 0))?.0.initial_weight.load(Relaxed))))
    }),
    row("srv_name", "", Type::Str, Server, |v, _, _| {
        let (p, s) = chosen(v)?;
        Some(Value::str(v.generation.config.proxies.get(p.0)?.servers.get(s.0)?.name.as_str()))
    }),
    row("srv_queue", "server", Type::Int, Internal, |v, a, _| {
        Some(Value::Int(server(v, at(a, 0))?.0.counters.queue_cur.load(Relaxed) as i64))
    }),
    row("srv_sess_rate", "server", Type::Int, Internal, |v, a, _| {
        Some(Value::Int(server(v, at(a, 0))?.0.counters.rates.sess.read(rate_clock(v)) as i64))
    }),
    row("srv_uweight", "server", Type::Int, Internal, |v, a, _| {
        Some(Value::Int(i64::from(server(v, at(a, 0))?.0.user_weight.load(Relaxed))))
    }),
    row("srv_weight", "server", Type::Int, Internal, |v, a, _| {
        Some(Value::Int(i64::from(server(v, at(a, 0))?.0.user_weight.load(Relaxed))))
    }),
];

/// Milliseconds on the clock of rates.
pub fn rate_clock(view: &View<'_>) -> u64 {
    whole_ms(view.now.saturating_duration_since(view.generation.board.info.started))
}

fn proxy(arg: &Arg) -> Option<usize> {
    match arg {
        Arg::Proxy(slot) => slot.id.get().map(|p| p.0),
        _ => None,
    }
}

fn backend(view: &View<'_>) -> Option<usize> {
    let of_txn = view.txn.as_deref().and_then(|t| t.backend).map(|p| p.0);
    of_txn.or_else(|| view.proxy.kind.is_back().then_some(view.session.frontend.0))
}

fn chosen(view: &View<'_>) -> Option<(ProxyId, ServerId)> {
    let txn = view.txn.as_deref()?;
    Some((txn.backend?, txn.server?))
}

fn server<'v>(view: &'v View<'_>, arg: &Arg) -> Option<(&'v Arc<ServerState>, ServerId)> {
    let Arg::Server(slot) = arg else { return None };
    let (p, s) = *slot.id.get()?;
    Some((view.generation.servers.get(p.0)?.get(s.0)?, s))
}

/// A backend as choices see it.
fn field<'v>(view: &'v View<'_>, proxy: usize) -> Option<Field<'v>> {
    let g = view.generation;
    Some(Field {
        proxy: g.config.proxies.get(proxy)?,
        state: g.proxies.get(proxy)?,
        servers: g.servers.get(proxy)?,
    })
}

/// How many more streams a server may have now; `None` is no limit.
fn room(field: &Field<'_>, server: ServerId) -> Option<i64> {
    let sessions = field.servers.get(server.0)?.sessions.load(Relaxed);
    field.limit(server).map(|most| (most as i64 - sessions).max(0))
}

fn millis<'v>(d: Option<std::time::Duration>) -> Option<Value<'v>> {
    d.map(|d| Value::Int(d.as_millis() as i64))
}

/// Servers of a backend that may get traffic; backups count only when no other server does.
pub fn usable(view: &View<'_>, proxy: usize) -> i64 {
    let Some(states) = view.generation.servers.get(proxy) else { return 0 };
    let servers = &view.generation.config.proxies[proxy].servers;
    let up = |backup: bool| {
        let of_kind = states.iter().zip(servers).filter(|(_, s)| s.backup == backup);
        of_kind.filter(|(s, _)| s.is_up() && !s.in_drain() && s.user_weight.load(Relaxed) > 0).count() as i64
    };
    match up(false) {
        0 if view.generation.config.proxies[proxy].options.allbackups => up(true),
        0 => up(true).min(1),
        n => n,
    }
}

fn queued(view: &View<'_>, proxy: usize) -> i64 {
    let own = view.generation.proxies.get(proxy).map_or(0, |p| p.back.queue_cur.load(Relaxed));
    let servers = view.generation.servers.get(proxy).into_iter().flatten();
    let servers: u64 = servers.map(|s| s.counters.queue_cur.load(Relaxed)).sum();
    (own + servers) as i64
}

/// Free connections, and with `queues` free places in queues; -1 when there is no limit.
fn free(view: &View<'_>, proxy: usize, queues: bool) -> Option<i64> {
    let servers = &view.generation.config.proxies.get(proxy)?.servers;
    let mut total = 0;
    let field = field(view, proxy)?;
    for (id, (state, server)) in field.servers.iter().zip(servers).enumerate() {
        if !state.is_up() {
            continue;
        }
        let Some(room) = room(&field, ServerId(id)) else { return Some(-1) };
        if !queues {
            total += room;
            continue;
        }
        if server.maxqueue == 0 {
            return Some(-1);
        }
        // Slots are counted up to `maxconn`, whatever the load makes of it.
        let most = i64::from(state.maxconn.load(Relaxed));
        total += (most - state.sessions.load(Relaxed)).max(0);
        total += (i64::from(server.maxqueue) - state.counters.queue_cur.load(Relaxed) as i64).max(0);
    }
    Some(total)
}
