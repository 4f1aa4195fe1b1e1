//! One row a frontend, listener, server and backend, with the columns of [`super::fields`].

use super::fields::{FIELDS, column};
use super::prometheus::TableRow;
use super::status::ServerStatus;
use super::{BackCounters, FrontCounters};
use crate::config::model::{
    Algorithm, BackendTarget, Bind, BindAddress, Mode, Observe, Proxy, ProxyId, Roster, Server,
    ServerAddress, ServerId, UseBackend,
};
use crate::runtime::Generation;
use crate::runtime::board::{CheckState, ServerDetail, ServerState, oper};
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What a row is about; the letter of typed output, the number of the `type` column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowKind {
    /// `FRONTEND`.
    Frontend,
    /// `BACKEND`.
    Backend,
    /// A server.
    Server,
    /// A listener (`option socket-stats`).
    Listener,
}

/// A cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    /// A number.
    Num(u64),
    /// A signed number.
    Int(i64),
    /// Text.
    Text(String),
}

/// One row.
#[derive(Debug, Clone)]
pub struct Row {
    /// What it is about.
    pub kind: RowKind,
    /// The proxy.
    pub proxy: ProxyId,
    /// Index of the server or bind line; 0 for the others.
    pub index: usize,
    /// Proxy and object numbers (`iid`, `sid`).
    pub ids: (u64, u64),
    /// Cells by column.
    pub cells: Vec<Option<Cell>>,
    /// The server's status, for colours and labels.
    pub status: Option<ServerStatus>,
}

macro_rules! set {
    ($row:expr, $($name:literal = $value:expr),* $(,)?) => {
        $({ const C: usize = column($name); $row.cells[C] = Some(Cell::from($value)); })*
    };
}

impl From<u64> for Cell {
    fn from(n: u64) -> Self {
        Self::Num(n)
    }
}
impl From<&AtomicU64> for Cell {
    fn from(n: &AtomicU64) -> Self {
        Self::Num(n.load(Relaxed))
    }
}
impl From<i64> for Cell {
    fn from(n: i64) -> Self {
        Self::Int(n)
    }
}
impl From<&str> for Cell {
    fn from(s: &str) -> Self {
        Self::Text(s.to_owned())
    }
}
impl From<String> for Cell {
    fn from(s: String) -> Self {
        Self::Text(s)
    }
}

/// When a table is made.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    /// Milliseconds of the monotonic clock the rates were counted with.
    pub mono_ms: u64,
    /// Seconds since the epoch.
    pub wall_s: u64,
    /// Seconds since the epoch when the process started.
    pub started_s: u64,
}

/// The stick tables, those of the last sections first.
pub fn tables(generation: &Generation) -> Vec<TableRow> {
    let mut all = generation.board.tables.all();
    let proxies = &generation.config.proxies;
    all.sort_by_key(|t| std::cmp::Reverse(proxies.iter().position(|p| p.name == t.spec.name)));
    let row = |shared: &std::sync::Arc<crate::stick::SharedTable>| {
        let mut table = shared.lock();
        table.expire(crate::stick::clock_ms(std::time::Instant::now()));
        TableRow {
            name: shared.spec.name.clone(),
            kind: table.kind.name(),
            size: table.size() as u64,
            used: table.len() as u64,
        }
    };
    all.iter().map(row).collect()
}

/// All rows of a generation, in haproxy's order: for each proxy its frontend, listeners, servers, backend.
pub fn all(generation: &Generation, clock: Clock, default_maxconn: u64) -> Vec<Row> {
    let mut rows = Vec::new();
    for (i, proxy) in generation.config.proxies.iter().enumerate().filter(|(_, p)| !p.disabled) {
        let id = ProxyId(i);
        if proxy.kind.is_front() {
            rows.push(frontend(generation, id, clock, default_maxconn));
            if proxy.options.socket_stats {
                rows.extend((0..proxy.binds.len()).filter_map(|b| listener(generation, id, b)));
            }
        }
        if proxy.kind.is_back() {
            rows.extend(proxy.shown_servers().iter().map(|(s, _)| server(generation, id, s.0, clock)));
            rows.push(backend(generation, id, clock, default_maxconn));
        }
    }
    rows
}

fn start(generation: &Generation, kind: RowKind, id: ProxyId, index: usize, sid: u64, name: &str) -> Row {
    let proxy = &generation.config.proxies[id.0];
    let iid = u64::from(proxy.uuid);
    let number: u64 = match kind {
        RowKind::Frontend => 0,
        RowKind::Backend => 1,
        RowKind::Server => 2,
        RowKind::Listener => 3,
    };
    let cells = vec![None; FIELDS.len()];
    let mut row = Row { kind, proxy: id, index, ids: (iid, sid), cells, status: None };
    set!(
        row,
        "pxname" = proxy.name.as_str(),
        "svname" = name,
        "pid" = 1u64,
        "iid" = iid,
        "sid" = sid,
        "type" = number,
        "mode" = mode_name(proxy.mode)
    );
    row
}

fn mode_name(mode: Mode) -> &'static str {
    match mode {
        Mode::Tcp => "tcp",
        Mode::Http => "http",
        Mode::Health => "health",
    }
}

fn front_base(row: &mut Row, c: &FrontCounters) {
    set!(
        row,
        "scur" = &c.cur_conn,
        "smax" = &c.max_conn,
        "stot" = &c.cum_sess,
        "bin" = &c.bytes_in,
        "bout" = &c.bytes_out,
        "dreq" = &c.denied_req,
        "dresp" = &c.denied_resp,
        "ereq" = &c.failed_req,
        "dcon" = &c.denied_conn,
        "dses" = &c.denied_sess,
        "wrew" = &c.failed_rewrites,
        "eint" = &c.internal_errors,
        "ssl_sess" = &c.ssl_sess,
        "ssl_reused_sess" = &c.ssl_reused_sess,
        "ssl_failed_handshake" = &c.ssl_failed_handshake
    );
}

/// The frontend's row.
pub fn frontend(generation: &Generation, id: ProxyId, clock: Clock, default_maxconn: u64) -> Row {
    let proxy = &generation.config.proxies[id.0];
    let state = &generation.proxies[id.0];
    let c = &state.front;
    let mut row = start(generation, RowKind::Frontend, id, 0, 0, "FRONTEND");
    front_base(&mut row, c);
    let stopped = state.stopped.load(Relaxed) || proxy.disabled;
    let changed = state.maxconn.load(Relaxed);
    let limit = if changed > 0 { changed } else { proxy.maxconn.map_or(default_maxconn, |m| m as u64) };
    let full = c.cur_conn.load(Relaxed) >= limit && limit > 0;
    let status = if stopped && !state.shut.load(Relaxed) && !proxy.disabled {
        "PAUSED"
    } else if stopped {
        "STOP"
    } else if full {
        "FULL"
    } else {
        "OPEN"
    };
    set!(
        row,
        "slim" = limit,
        "status" = status,
        "rate" = c.rates.sess.read(clock.mono_ms),
        "rate_lim" = u64::from(proxy.rate_limit_sessions),
        "rate_max" = c.rates.sess.max(),
        "comp_in" = &c.comp_in,
        "comp_out" = &c.comp_out,
        "comp_byp" = &c.comp_byp,
        "comp_rsp" = &c.comp_rsp,
        "conn_rate" = c.rates.conn.read(clock.mono_ms),
        "conn_rate_max" = c.rates.conn.max(),
        "conn_tot" = &c.cum_conn,
        "req_rate" = c.rates.req.read(clock.mono_ms),
        "req_rate_max" = c.rates.req.max(),
        "req_tot" = &c.http_req
    );
    if proxy.mode == Mode::Http {
        set!(
            row,
            "cache_lookups" = &c.cache_lookups,
            "cache_hits" = &c.cache_hits,
            "intercepted" = &c.intercepted,
            "hrsp_1xx" = &c.http_1xx,
            "hrsp_2xx" = &c.http_2xx,
            "hrsp_3xx" = &c.http_3xx,
            "hrsp_4xx" = &c.http_4xx,
            "hrsp_5xx" = &c.http_5xx,
            "hrsp_other" = &c.http_other
        );
    }
    mux_columns(&mut row, c, proxy.mode);
    row
}

/// HTTP/1 and HTTP/2 columns: what is not HTTP/2 is HTTP/1.
fn mux_columns(row: &mut Row, c: &FrontCounters, mode: Mode) {
    let http = mode == Mode::Http;
    let h1 = |all: &AtomicU64, h2: &AtomicU64| {
        if http { all.load(Relaxed).saturating_sub(h2.load(Relaxed)) } else { 0 }
    };
    let bytes = |n: &AtomicU64| if http { n.load(Relaxed) } else { 0 };
    set!(
        row,
        "h2_headers_rcvd" = &c.h2_headers,
        "h2_data_rcvd" = &c.h2_data,
        "h2_settings_rcvd" = &c.h2_settings,
        "h2_rst_stream_rcvd" = &c.h2_rst,
        "h2_goaway_rcvd" = &c.h2_goaway,
        "h2_detected_conn_protocol_errors" = &c.h2_conn_faults,
        "h2_detected_strm_protocol_errors" = &c.h2_strm_faults,
        "h2_rst_stream_resp" = &c.h2_rst_sent,
        "h2_goaway_resp" = &c.h2_goaway_sent,
        "h2_open_connections" = &c.h2_open_connections,
        "h2_backend_open_streams" = &c.h2_open_streams,
        "h2_total_connections" = &c.h2_total_connections,
        "h2_backend_total_streams" = &c.h2_total_streams,
        "h1_open_connections" = h1(&c.cur_conn, &c.h2_open_connections),
        "h1_open_streams" = &c.h1_open_streams,
        "h1_total_connections" = h1(&c.cum_conn, &c.h2_total_connections),
        "h1_total_streams" = h1(&c.http_req, &c.h2_total_streams),
        "h1_bytes_in" = bytes(&c.bytes_in),
        "h1_bytes_out" = bytes(&c.bytes_out),
        "h1_spliced_bytes_in" = &c.spliced_in,
        "h1_spliced_bytes_out" = &c.spliced_out
    );
}

/// A listener's row, where its counters are kept.
pub fn listener(generation: &Generation, id: ProxyId, index: usize) -> Option<Row> {
    let proxy = &generation.config.proxies[id.0];
    let state = &generation.proxies[id.0];
    let (bind, c) = (proxy.binds.get(index)?, state.listeners.get(index)?);
    let name = bind.name.clone().unwrap_or_else(|| format!("sock-{}", index + 1));
    let sid = bind.id.map_or(index as u64 + 1, u64::from);
    let mut row = start(generation, RowKind::Listener, id, index, sid, &name);
    front_base(&mut row, c);
    let limit = bind.maxconn.map_or(0, |m| m as u64);
    let status = if state.stopped.load(Relaxed) {
        "WAITING"
    } else if limit > 0 && c.cur_conn.load(Relaxed) >= limit {
        "FULL"
    } else {
        "OPEN"
    };
    set!(row, "slim" = limit, "status" = status, "addr" = bind_text(bind));
    Some(row)
}

fn bind_text(bind: &Bind) -> String {
    match &bind.address {
        BindAddress::Inet(a) => a.to_string(),
        BindAddress::Unix(_) | BindAddress::Abstract(_) => "unix".into(),
        BindAddress::Fd(_) | BindAddress::Sockpair(_) => bind.text.clone(),
    }
}

fn back_base(row: &mut Row, c: &BackCounters, mode: Mode, clock: Clock) {
    let last = c.rates.last_session.load(Relaxed);
    let last = if last == 0 { -1 } else { clock.wall_s.saturating_sub(last) as i64 };
    set!(
        row,
        "qcur" = &c.queue_cur,
        "qmax" = &c.queue_max,
        "scur" = &c.cur_sess,
        "smax" = &c.max_sess,
        "stot" = &c.cum_sess,
        "bin" = &c.bytes_in,
        "bout" = &c.bytes_out,
        "dresp" = &c.denied_resp,
        "econ" = &c.failed_conns,
        "eresp" = &c.failed_resp,
        "wretr" = &c.retries,
        "wredis" = &c.redispatches,
        "lbtot" = &c.lb_total,
        "rate" = c.rates.sess.read(clock.mono_ms),
        "rate_max" = c.rates.sess.max(),
        "cli_abrt" = &c.cli_aborts,
        "srv_abrt" = &c.srv_aborts,
        "lastsess" = last,
        "qtime" = c.rates.queue_ms.average(),
        "ctime" = c.rates.connect_ms.average(),
        "rtime" = c.rates.response_ms.average(),
        "ttime" = c.rates.total_ms.average(),
        "qtime_max" = c.rates.queue_ms.max(),
        "ctime_max" = c.rates.connect_ms.max(),
        "rtime_max" = c.rates.response_ms.max(),
        "ttime_max" = c.rates.total_ms.max(),
        "wrew" = &c.failed_rewrites,
        "eint" = &c.internal_errors,
        "connect" = &c.connect,
        "reuse" = &c.reuse,
        "ssl_sess" = &c.ssl_sess,
        "ssl_reused_sess" = &c.ssl_reused_sess,
        "ssl_failed_handshake" = &c.ssl_failed_handshake
    );
    if mode == Mode::Http {
        set!(
            row,
            "req_tot" = &c.http_req,
            "hrsp_1xx" = &c.http_1xx,
            "hrsp_2xx" = &c.http_2xx,
            "hrsp_3xx" = &c.http_3xx,
            "hrsp_4xx" = &c.http_4xx,
            "hrsp_5xx" = &c.http_5xx,
            "hrsp_other" = &c.http_other
        );
    }
}

/// A server's row.
pub fn server(generation: &Generation, id: ProxyId, index: usize, clock: Clock) -> Row {
    let proxy = &generation.config.proxies[id.0];
    let cfg = &proxy.servers[index];
    let state = &generation.servers[id.0][index];
    let judged = judged(generation, (id, ServerId(index)));
    // Asked for before the detail is locked, which it may look at.
    let cookie = generation.proxies[id.0].cookies.of(proxy, cfg, state);
    let detail = state.detail.lock().unwrap_or_else(PoisonError::into_inner);
    let mut row = start(generation, RowKind::Server, id, index, u64::from(cfg.uuid), &cfg.name);
    back_base(&mut row, &state.counters, proxy.mode, clock);
    let status = ServerStatus::of(state, &judged);
    row.status = Some(status);
    let since = clock.wall_s.saturating_sub(detail.last_change.max(clock.started_s));
    let down = state.oper.load(Relaxed) == oper::STOPPED || state.in_maintenance();
    set!(
        row,
        "status" = status.text(&judged, state.admin.load(Relaxed)),
        "weight" = effective_weight(state, &detail, clock),
        "uweight" = u64::from(state.user_weight.load(Relaxed)),
        "act" = u64::from(!cfg.backup),
        "bck" = u64::from(cfg.backup),
        "lastchg" = since,
        "srv_icur" = state.idle[0].load(Relaxed) + state.idle[1].load(Relaxed),
        "idle_conn_cur" = &state.idle[1],
        "safe_conn_cur" = &state.idle[0],
        "used_conn_cur" = &state.used,
        "need_conn_est" = &state.need,
        "addr" = address_text(cfg, &detail)
    );
    if let Some(cookie) = cookie {
        set!(row, "cookie" = &*cookie);
    }
    server_limits(&mut row, cfg, state, &detail, clock);
    let down_now = if down { since } else { 0 };
    check_columns(&mut row, &detail, cfg, state.in_maintenance(), down_now);
    row
}

/// What a server's status is told by: its own checks and agent, or those of the server at the end of its chain of
/// `track`.
pub fn judged(generation: &Generation, server: (ProxyId, ServerId)) -> ServerDetail {
    let detail = |(p, s): (ProxyId, ServerId)| {
        generation.server(p, s).detail.lock().unwrap_or_else(PoisonError::into_inner).clone()
    };
    let mut last = server;
    while let Some(further) = generation.proxy(last.0).servers[last.1.0].track {
        last = further;
    }
    ServerDetail { tracked: detail(server).tracked, ..detail(last) }
}

fn server_limits(row: &mut Row, cfg: &Server, state: &ServerState, detail: &ServerDetail, clock: Clock) {
    let maxconn = state.maxconn.load(Relaxed);
    if maxconn > 0 {
        set!(row, "slim" = u64::from(maxconn));
    }
    if cfg.maxqueue > 0 {
        set!(row, "qlimit" = u64::from(cfg.maxqueue));
    }
    if cfg.pool_max_conn >= 0 {
        set!(row, "src_ilim" = cfg.pool_max_conn as u64);
    }
    if let Some(tracked) = &detail.tracked {
        set!(row, "tracked" = tracked.as_str());
    }
    if state.oper.load(Relaxed) == oper::STARTING {
        set!(row, "throttle" = throttle(detail, clock));
    }
}

/// Percent of the weight that slow start gives by now.
fn throttle(detail: &ServerDetail, clock: Clock) -> u64 {
    match detail.slowstart {
        Some((from, to)) if to > from && clock.mono_ms < to => {
            (clock.mono_ms.saturating_sub(from) * 100 / (to - from)).max(1)
        }
        _ => 100,
    }
}

/// The weight in force, slow start included. A drained server keeps its own: it is what it comes back with.
fn effective_weight(state: &ServerState, detail: &ServerDetail, clock: Clock) -> u64 {
    let weight = u64::from(state.user_weight.load(Relaxed));
    match state.oper.load(Relaxed) {
        oper::STARTING => (weight * throttle(detail, clock)).div_ceil(100),
        _ => weight,
    }
}

fn address_text(cfg: &Server, detail: &ServerDetail) -> String {
    let by_name = cfg.fqdn.is_some() || cfg.srv_record.is_some();
    let written = || match cfg.address {
        _ if by_name => String::new(),
        ServerAddress::Unix(_) => "unix".to_owned(),
        ServerAddress::Destination(port) => format!("0.0.0.0:{port}"),
        _ => cfg.address_text.clone(),
    };
    detail.address.map_or_else(written, |a| a.to_string())
}

fn check_columns(row: &mut Row, detail: &ServerDetail, cfg: &Server, maintenance: bool, down_now: u64) {
    let shown = |c: &CheckState| {
        let status = if c.status.is_empty() { "INI" } else { c.status };
        let text = if c.status.is_empty() { "Initializing" } else { c.status_text };
        (if c.running { format!("* {status}") } else { status.to_owned() }, text.to_owned())
    };
    let check = &detail.check;
    if cfg.observe != Observe::No {
        set!(row, "hanafail" = detail.failed_hana);
    }
    if check.enabled {
        set!(row, "chkfail" = detail.failed_checks, "chkdown" = detail.down_transitions,);
        set!(row, "downtime" = detail.down_time + down_now);
    }
    // In maintenance nothing is checked, so nothing is told.
    if check.enabled && !maintenance {
        let (status, text) = shown(check);
        set!(
            row,
            "check_status" = status,
            "check_desc" = text,
            "last_chk" = check.description.as_str(),
            "check_rise" = u64::from(check.rise),
            "check_fall" = u64::from(check.fall),
            "check_health" = u64::from(check.health)
        );
        if let Some(code) = check.code {
            set!(row, "check_code" = code as u64);
        }
        if let Some(ms) = check.duration_ms {
            set!(row, "check_duration" = ms);
        }
    }
    // An agent is asked in maintenance too: it may end what it asked for.
    let agent = &detail.agent;
    if agent.enabled {
        let (status, text) = shown(agent);
        set!(
            row,
            "agent_status" = status,
            "agent_desc" = text,
            "last_agt" = agent.description.as_str(),
            "agent_rise" = u64::from(agent.rise),
            "agent_fall" = u64::from(agent.fall),
            "agent_health" = u64::from(agent.health)
        );
        if let Some(code) = agent.code {
            set!(row, "agent_code" = code as u64);
        }
        if let Some(ms) = agent.duration_ms {
            set!(row, "agent_duration" = ms);
        }
    }
}

/// What the servers of a backend add up to.
struct Sum {
    active: u64,
    backup: u64,
    weight: u64,
    user_weight: u64,
}

fn sum(proxy: &Proxy, states: &Roster<std::sync::Arc<ServerState>>, clock: Clock) -> Sum {
    let mut sum = Sum { active: 0, backup: 0, weight: 0, user_weight: 0 };
    let mut backup_weights = (0, 0);
    for (at, cfg) in proxy.shown_servers() {
        let state = &states[at.0];
        let detail = state.detail.lock().unwrap_or_else(PoisonError::into_inner);
        let weight = effective_weight(state, &detail, clock);
        let usable =
            state.is_up() && !state.in_drain() && weight > 0 && state.oper.load(Relaxed) != oper::STOPPING;
        if !usable {
            continue;
        }
        let user = u64::from(state.user_weight.load(Relaxed));
        if cfg.backup {
            sum.backup += 1;
            // Without `option allbackups` only the first backup gets traffic.
            if sum.backup == 1 || proxy.options.allbackups {
                backup_weights = (backup_weights.0 + weight, backup_weights.1 + user);
            }
        } else {
            sum.active += 1;
            sum.weight += weight;
            sum.user_weight += user;
        }
    }
    if sum.active == 0 {
        (sum.weight, sum.user_weight) = backup_weights;
    }
    sum
}

/// `fullconn` where none is set: a tenth of what all frontends that may come here take.
fn fullconn(generation: &Generation, id: ProxyId, default_maxconn: u64) -> u64 {
    let leads_here = |(index, front): &(usize, &Proxy)| {
        let rule = |r: &UseBackend| matches!(r.target, BackendTarget::Static(to) if to == id);
        front.kind.is_front()
            && (*index == id.0 || front.default_backend == Some(id) || front.use_backend.iter().any(rule))
    };
    let fronts = generation.config.proxies.iter().enumerate().filter(leads_here);
    // What the command line changed since then does not count.
    let default_maxconn = match generation.board.info.hard_maxconn {
        0 => default_maxconn,
        hard => hard,
    };
    let sum: u64 = fronts.map(|(_, f)| f.maxconn.map_or(default_maxconn, |m| m as u64)).sum();
    sum.div_ceil(10).max(1)
}

/// The backend's row.
pub fn backend(generation: &Generation, id: ProxyId, clock: Clock, default_maxconn: u64) -> Row {
    let proxy = &generation.config.proxies[id.0];
    let state = &generation.proxies[id.0];
    let c = &state.back;
    let mut row = start(generation, RowKind::Backend, id, 0, 0, "BACKEND");
    back_base(&mut row, c, proxy.mode, clock);
    let sum = sum(proxy, &generation.servers[id.0], clock);
    let none = proxy.shown_servers().is_empty();
    let up = none || sum.active + sum.backup > 0;
    let since = clock.wall_s.saturating_sub(state.last_change.load(Relaxed).max(clock.started_s));
    let fullconn = proxy.fullconn.map_or_else(|| fullconn(generation, id, default_maxconn), |f| f as u64);
    set!(
        row,
        "slim" = fullconn,
        "dreq" = &c.denied_req,
        "status" = if up { "UP" } else { "DOWN" },
        "weight" = sum.weight,
        "uweight" = sum.user_weight,
        "act" = sum.active,
        "bck" = sum.backup,
        "chkdown" = &state.down_transitions,
        "lastchg" = since,
        "algo" = algorithm_name(&proxy.balance.algorithm),
        "comp_in" = &c.comp_in,
        "comp_out" = &c.comp_out,
        "comp_byp" = &c.comp_byp,
        "comp_rsp" = &c.comp_rsp,
        "agg_server_status" = 0u64,
        "agg_server_check_status" = 0u64,
        "agg_check_status" = 0u64
    );
    if proxy.mode == Mode::Http {
        set!(row, "cache_lookups" = &c.cache_lookups, "cache_hits" = &c.cache_hits);
    }
    if !none {
        set!(row, "downtime" = state.down_time.load(Relaxed) + if up { 0 } else { since });
    }
    if let Some(cookie) = &proxy.cookie {
        set!(row, "cookie" = cookie.name.as_str());
    }
    let http = proxy.mode == Mode::Http;
    let of = |n: &AtomicU64| if http { n.load(Relaxed) } else { 0 };
    set!(
        row,
        "h2_headers_rcvd" = 0u64,
        "h2_data_rcvd" = 0u64,
        "h2_settings_rcvd" = 0u64,
        "h2_rst_stream_rcvd" = 0u64,
        "h2_goaway_rcvd" = 0u64,
        "h2_detected_conn_protocol_errors" = 0u64,
        "h2_detected_strm_protocol_errors" = 0u64,
        "h2_rst_stream_resp" = 0u64,
        "h2_goaway_resp" = 0u64,
        "h2_open_connections" = 0u64,
        "h2_backend_open_streams" = 0u64,
        "h2_total_connections" = 0u64,
        "h2_backend_total_streams" = 0u64,
        "h1_open_connections" = of(&c.cur_sess),
        "h1_open_streams" = of(&c.cur_sess),
        "h1_total_connections" = of(&c.connect),
        "h1_total_streams" = of(&c.http_req),
        "h1_bytes_in" = of(&c.bytes_out),
        "h1_bytes_out" = of(&c.bytes_in),
        "h1_spliced_bytes_in" = &c.spliced_out,
        "h1_spliced_bytes_out" = &c.spliced_in
    );
    row
}

/// The name of an algorithm as `show stat` prints it.
pub fn algorithm_name(algorithm: &Algorithm) -> &'static str {
    match algorithm {
        Algorithm::RoundRobin => "roundrobin",
        Algorithm::StaticRr => "static-rr",
        Algorithm::LeastConn => "leastconn",
        Algorithm::First => "first",
        Algorithm::Source => "source",
        Algorithm::Uri { .. } => "uri",
        Algorithm::UrlParam { .. } => "url_param",
        Algorithm::Hdr { .. } => "hdr",
        Algorithm::Random(_) => "random",
        Algorithm::RdpCookie(_) => "rdp-cookie",
        Algorithm::Hash(_) => "hash",
    }
}
