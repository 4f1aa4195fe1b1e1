//! The exporter: Prometheus text with haproxy's names, labels and order.
//!
//! Pure: rows in, text out. Times, which the rows have in milliseconds, become seconds; a value that a row does
//! not have is `NaN`, as in haproxy.

use super::fields::column;
use super::info::InfoRow;
use super::rows::{Cell, Row, RowKind};
use super::status::ServerStatus;
use std::fmt::Write;

/// One metric made of a column.
struct MetricRow {
    column: usize,
    name: &'static str,
    counter: bool,
    /// Letters of the row kinds it is shown for: frontend, listener, backend, server.
    scopes: &'static str,
    help: &'static str,
}

const fn m(
    field: &str,
    name: &'static str,
    counter: bool,
    scopes: &'static str,
    help: &'static str,
) -> MetricRow {
    MetricRow { column: column(field), name, counter, scopes, help }
}

/// All metrics, in order.
const METRICS: &[MetricRow] = &[
    m("qcur", "current_queue", false, "BS", "Number of current queued connections"),
    m(
        "qmax",
        "max_queue",
        false,
        "BS",
        "Highest value of queued connections encountered since process started",
    ),
    m(
        "scur",
        "current_sessions",
        false,
        "FLBS",
        "Number of current sessions on the frontend, backend or server",
    ),
    m(
        "smax",
        "max_sessions",
        false,
        "FLBS",
        "Highest value of current sessions encountered since process started",
    ),
    m("slim", "limit_sessions", false, "FLBS", "Frontend/listener/server's maxconn, backend's fullconn"),
    m("stot", "sessions_total", true, "FLBS", "Total number of sessions since process started"),
    m("bin", "bytes_in_total", true, "FLBS", "Total number of request bytes since process started"),
    m("bout", "bytes_out_total", true, "FLBS", "Total number of response bytes since process started"),
    m("dreq", "requests_denied_total", true, "FLB", "Total number of denied requests since process started"),
    m(
        "dresp",
        "responses_denied_total",
        true,
        "FLBS",
        "Total number of denied responses since process started",
    ),
    m("ereq", "request_errors_total", true, "FL", "Total number of invalid requests since process started"),
    m(
        "econ",
        "connection_errors_total",
        true,
        "BS",
        "Total number of failed connections to server since the worker process started",
    ),
    m(
        "eresp",
        "response_errors_total",
        true,
        "BS",
        "Total number of invalid responses since the worker process started",
    ),
    m(
        "wretr",
        "retry_warnings_total",
        true,
        "BS",
        "Total number of server connection retries since the worker process started",
    ),
    m(
        "wredis",
        "redispatch_warnings_total",
        true,
        "BS",
        "Total number of server redispatches due to connection failures since the worker process started",
    ),
    m("status", "status", false, "FLBS", "Current status of the service, per state label value."),
    m(
        "weight",
        "weight",
        false,
        "BS",
        "Server's effective weight, or sum of active servers' effective weights for a backend",
    ),
    m("act", "active_servers", false, "B", "Total number of active UP servers with a non-zero weight"),
    m("bck", "backup_servers", false, "B", "Total number of backup UP servers with a non-zero weight"),
    m(
        "chkfail",
        "check_failures_total",
        true,
        "S",
        "Total number of failed individual health checks per server/backend, since the worker process started",
    ),
    m(
        "chkdown",
        "check_up_down_total",
        true,
        "BS",
        "Total number of failed checks causing UP to DOWN server transitions, per server/backend, since the worker process started",
    ),
    m(
        "lastchg",
        "check_last_change_seconds",
        false,
        "BS",
        "How long ago the last server state changed, in seconds",
    ),
    m(
        "downtime",
        "downtime_seconds_total",
        true,
        "BS",
        "Total time spent in DOWN state, for server or backend",
    ),
    m(
        "qlimit",
        "queue_limit",
        false,
        "S",
        "Limit on the number of connections in queue, for servers only (maxqueue argument)",
    ),
    m(
        "throttle",
        "current_throttle",
        false,
        "S",
        "Throttling ratio applied to a server's maxconn and weight during the slowstart period (0 to 100%)",
    ),
    m(
        "lbtot",
        "loadbalanced_total",
        true,
        "BS",
        "Total number of requests routed by load balancing since the worker process started (ignores queue pop and stickiness)",
    ),
    m(
        "rate_lim",
        "limit_session_rate",
        false,
        "F",
        "Limit on the number of sessions accepted in a second (frontend only, 'rate-limit sessions' setting)",
    ),
    m(
        "rate_max",
        "max_session_rate",
        false,
        "FBS",
        "Highest value of sessions per second observed since the worker process started",
    ),
    m("check_status", "check_status", false, "S", "Status of last health check, per state label value."),
    m("check_code", "check_code", false, "S", "layer5-7 code, if available of the last health check."),
    m(
        "check_duration",
        "check_duration_seconds",
        false,
        "S",
        "Total duration of the latest server health check, in seconds.",
    ),
    m(
        "hrsp_1xx",
        "http_responses_total",
        true,
        "FBS",
        "Total number of HTTP responses with status 100-199 returned by this object since the worker process started",
    ),
    m(
        "req_rate_max",
        "http_requests_rate_max",
        false,
        "F",
        "Highest value of http requests observed since the worker process started",
    ),
    m(
        "req_tot",
        "http_requests_total",
        true,
        "FB",
        "Total number of HTTP requests processed by this object since the worker process started",
    ),
    m(
        "cli_abrt",
        "client_aborts_total",
        true,
        "BS",
        "Total number of requests or connections aborted by the client since the worker process started",
    ),
    m(
        "srv_abrt",
        "server_aborts_total",
        true,
        "BS",
        "Total number of requests or connections aborted by the server since the worker process started",
    ),
    m(
        "comp_in",
        "http_comp_bytes_in_total",
        true,
        "FB",
        "Total number of bytes submitted to the HTTP compressor for this object since the worker process started",
    ),
    m(
        "comp_out",
        "http_comp_bytes_out_total",
        true,
        "FB",
        "Total number of bytes emitted by the HTTP compressor for this object since the worker process started",
    ),
    m(
        "comp_byp",
        "http_comp_bytes_bypassed_total",
        true,
        "FB",
        "Total number of bytes that bypassed HTTP compression for this object since the worker process started (CPU/memory/bandwidth limitation)",
    ),
    m(
        "comp_rsp",
        "http_comp_responses_total",
        true,
        "FB",
        "Total number of HTTP responses that were compressed for this object since the worker process started",
    ),
    m(
        "lastsess",
        "last_session_seconds",
        false,
        "BS",
        "How long ago some traffic was seen on this object on this worker process, in seconds",
    ),
    m(
        "qtime",
        "queue_time_average_seconds",
        false,
        "BS",
        "Avg. queue time for last 1024 successful connections.",
    ),
    m(
        "ctime",
        "connect_time_average_seconds",
        false,
        "BS",
        "Avg. connect time for last 1024 successful connections.",
    ),
    m(
        "rtime",
        "response_time_average_seconds",
        false,
        "BS",
        "Avg. response time for last 1024 successful connections.",
    ),
    m(
        "ttime",
        "total_time_average_seconds",
        false,
        "BS",
        "Avg. total time for last 1024 successful connections.",
    ),
    m(
        "conn_rate_max",
        "connections_rate_max",
        false,
        "F",
        "Highest value of connections per second observed since the worker process started",
    ),
    m(
        "conn_tot",
        "connections_total",
        true,
        "F",
        "Total number of new connections accepted on this frontend since the worker process started",
    ),
    m(
        "intercepted",
        "intercepted_requests_total",
        true,
        "F",
        "Total number of HTTP requests intercepted on the frontend (redirects/stats/services) since the worker process started",
    ),
    m(
        "dcon",
        "denied_connections_total",
        true,
        "FL",
        "Total number of incoming connections blocked on a listener/frontend by a tcp-request connection rule since the worker process started",
    ),
    m(
        "dses",
        "denied_sessions_total",
        true,
        "FL",
        "Total number of incoming sessions blocked on a listener/frontend by a tcp-request connection rule since the worker process started",
    ),
    m(
        "wrew",
        "failed_header_rewriting_total",
        true,
        "FLBS",
        "Total number of failed HTTP header rewrites since the worker process started",
    ),
    m(
        "connect",
        "connection_attempts_total",
        true,
        "BS",
        "Total number of outgoing connection attempts on this backend/server since the worker process started",
    ),
    m(
        "reuse",
        "connection_reuses_total",
        true,
        "BS",
        "Total number of reused connection on this backend/server since the worker process started",
    ),
    m(
        "cache_lookups",
        "http_cache_lookups_total",
        true,
        "FB",
        "Total number of HTTP requests looked up in the cache on this frontend/backend since the worker process started",
    ),
    m(
        "cache_hits",
        "http_cache_hits_total",
        true,
        "FB",
        "Total number of HTTP requests not found in the cache on this frontend/backend since the worker process started",
    ),
    m(
        "srv_icur",
        "idle_connections_current",
        false,
        "S",
        "Current number of idle connections available for reuse on this server",
    ),
    m(
        "src_ilim",
        "idle_connections_limit",
        false,
        "S",
        "Limit on the number of available idle connections on this server (server 'pool_max_conn' directive)",
    ),
    m("qtime_max", "max_queue_time_seconds", false, "BS", "Maximum observed time spent in the queue"),
    m(
        "ctime_max",
        "max_connect_time_seconds",
        false,
        "BS",
        "Maximum observed time spent waiting for a connection to complete",
    ),
    m(
        "rtime_max",
        "max_response_time_seconds",
        false,
        "BS",
        "Maximum observed time spent waiting for a server response",
    ),
    m(
        "ttime_max",
        "max_total_time_seconds",
        false,
        "BS",
        "Maximum observed total request+response time (request+queue+connect+response+processing)",
    ),
    m("eint", "internal_errors_total", true, "FLBS", "Total number of internal errors since process started"),
    m(
        "idle_conn_cur",
        "unsafe_idle_connections_current",
        false,
        "S",
        "Current number of unsafe idle connections",
    ),
    m(
        "safe_conn_cur",
        "safe_idle_connections_current",
        false,
        "S",
        "Current number of safe idle connections",
    ),
    m("used_conn_cur", "used_connections_current", false, "S", "Current number of connections in use"),
    m("need_conn_est", "need_connections_current", false, "S", "Estimated needed number of connections"),
    m(
        "uweight",
        "uweight",
        false,
        "BS",
        "Server's user weight, or sum of active servers' user weights for a backend",
    ),
    m("agg_server_status", "agg_server_status", false, "B", "Backend's aggregated gauge of servers' status"),
    m(
        "agg_server_check_status",
        "agg_server_check_status",
        false,
        "B",
        "Backend's aggregated gauge of servers' state check status",
    ),
    m(
        "agg_check_status",
        "agg_check_status",
        false,
        "B",
        "Backend's aggregated gauge of servers' state check status",
    ),
];

/// Statuses of checks that have a label of their own, in order.
const CHECK_STATES: [&str; 16] = [
    "HANA", "SOCKERR", "L4OK", "L4TOUT", "L4CON", "L6OK", "L6TOUT", "L6RSP", "L7TOUT", "L7RSP", "L7OK",
    "L7OKC", "L7STS", "PROCERR", "PROCTOUT", "PROCOK",
];
const SERVER_STATES: [&str; 5] = ["DOWN", "UP", "MAINT", "DRAIN", "NOLB"];
const CODES: [(&str, &str); 6] = [
    ("1xx", "hrsp_1xx"),
    ("2xx", "hrsp_2xx"),
    ("3xx", "hrsp_3xx"),
    ("4xx", "hrsp_4xx"),
    ("5xx", "hrsp_5xx"),
    ("other", "hrsp_other"),
];
/// `no-maint`: servers in maintenance are left out.
#[derive(Debug, Clone, Copy, Default)]
pub struct Filter {
    /// `no-maint`.
    pub no_maint: bool,
    /// Which scopes: global, frontend, listener, backend, server, sticktable; `None` is all.
    pub scopes: Option<[bool; 6]>,
}

/// A stick table as the exporter tells of it.
#[derive(Debug, Clone)]
pub struct TableRow {
    /// Its name.
    pub name: String,
    /// Type of its keys.
    pub kind: &'static str,
    /// How many entries it has room for.
    pub size: u64,
    /// How many it has.
    pub used: u64,
}

fn tables(out: &mut String, tables: &[TableRow]) {
    type Measure = fn(&TableRow) -> u64;
    let metrics: [(&str, &str, Measure); 2] = [
        ("haproxy_sticktable_size", "Stick table size.", |t| t.size),
        ("haproxy_sticktable_used", "Number of entries used in this stick table.", |t| t.used),
    ];
    for (name, help, value) in metrics.into_iter().filter(|_| !tables.is_empty()) {
        head(out, name, false, help);
        for table in tables {
            let _ = writeln!(
                out,
                "{name}{{name=\"{}\",type=\"{}\"}} {}",
                escape(&table.name),
                table.kind,
                value(table)
            );
        }
    }
}

/// The whole page.
pub fn page(
    info: &[(&'static InfoRow, Cell)],
    rows: &[Row],
    stick_tables: &[TableRow],
    filter: Filter,
) -> String {
    let mut out = String::new();
    let wanted = |i: usize| filter.scopes.is_none_or(|s| s[i]);
    if wanted(0) {
        process(&mut out, info);
    }
    let kinds = [
        (RowKind::Frontend, 'F', "frontend"),
        (RowKind::Listener, 'L', "listener"),
        (RowKind::Backend, 'B', "backend"),
        (RowKind::Server, 'S', "server"),
    ];
    for (i, (kind, letter, word)) in kinds.into_iter().enumerate() {
        let of_kind: Vec<&Row> = rows
            .iter()
            .filter(|r| r.kind == kind)
            .filter(|r| !(filter.no_maint && r.status == Some(ServerStatus::Maint)))
            .collect();
        if !wanted(i + 1) || of_kind.is_empty() {
            continue;
        }
        for metric in METRICS.iter().filter(|m| m.scopes.contains(letter)) {
            let mut body = String::new();
            let name = format!("haproxy_{word}_{}", metric.name);
            samples(&mut body, metric, &name, &of_kind, rows);
            if !body.is_empty() {
                head(&mut out, &name, metric.counter, metric.help);
                out.push_str(&body);
            }
        }
    }
    if wanted(5) {
        tables(&mut out, stick_tables);
    }
    out
}

fn head(out: &mut String, name: &str, counter: bool, help: &str) {
    let kind = if counter { "counter" } else { "gauge" };
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

fn process(out: &mut String, info: &[(&'static InfoRow, Cell)]) {
    for (row, cell) in info.iter().filter(|(r, _)| !r.metric.is_empty()) {
        let name = format!("haproxy_process_{}", row.metric);
        head(out, &name, row.counter, row.description);
        let _ = match cell {
            Cell::Text(version) => writeln!(out, "{name}{{version=\"{version}\"}} 1"),
            Cell::Num(n) => writeln!(out, "{name} {n}"),
            Cell::Int(n) => writeln!(out, "{name} {n}"),
        };
        if row.metric == "limit_http_comp" {
            for (metric, help) in ZLIB {
                head(out, metric, false, help);
                let _ = writeln!(out, "{metric} NaN");
            }
        }
    }
}

/// What only builds with zlib measure; haproxy exports the names all the same.
const ZLIB: [(&str, &str); 2] = [
    (
        "haproxy_process_current_zlib_memory",
        "Amount of memory currently used by HTTP compression on the current worker process (in bytes)",
    ),
    (
        "haproxy_process_max_zlib_memory",
        "Limit on the amount of memory used by HTTP compression above which it is automatically disabled (in bytes, see \
         global.maxzlibmem)",
    ),
];

/// Metrics of frontends and backends that speak HTTP.
const HTTP_ONLY: [&str; 9] = [
    "http_requests_rate_max",
    "http_requests_total",
    "http_comp_bytes_in_total",
    "http_comp_bytes_out_total",
    "http_comp_bytes_bypassed_total",
    "http_comp_responses_total",
    "intercepted_requests_total",
    "http_cache_lookups_total",
    "http_cache_hits_total",
];

/// Whether a row has such a metric.
fn has(metric: &MetricRow, row: &Row) -> bool {
    let of_proxy = matches!(row.kind, RowKind::Frontend | RowKind::Backend);
    let speaks_http = matches!(&row.cells[column("mode")], Some(Cell::Text(mode)) if mode == "http");
    speaks_http || !of_proxy || !HTTP_ONLY.contains(&metric.name)
}

/// The labels that name a row, without braces.
fn labels(row: &Row) -> String {
    let text = |c: usize| match &row.cells[c] {
        Some(Cell::Text(s)) => escape(s),
        _ => String::new(),
    };
    let proxy = text(column("pxname"));
    match row.kind {
        RowKind::Frontend | RowKind::Backend => format!("proxy=\"{proxy}\""),
        RowKind::Listener => format!("proxy=\"{proxy}\",listener=\"{}\"", text(column("svname"))),
        RowKind::Server => format!("proxy=\"{proxy}\",server=\"{}\"", text(column("svname"))),
    }
}

fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn samples(out: &mut String, metric: &MetricRow, name: &str, of_kind: &[&Row], all: &[Row]) {
    let states = |out: &mut String, row: &Row, states: &[&str], count: &dyn Fn(&str) -> u64| {
        for state in states {
            let _ = writeln!(out, "{name}{{{},state=\"{state}\"}} {}", labels(row), count(state));
        }
    };
    match metric.name {
        "http_responses_total" => responses(out, name, of_kind),
        "status" => {
            for row in of_kind {
                let current = state_label(row);
                states(out, row, state_names(row.kind), &|s| u64::from(s == current));
            }
        }
        "check_status" => {
            for row in of_kind.iter().filter(|r| r.cells[metric.column].is_some()) {
                let current = check_label(row);
                states(out, row, &CHECK_STATES, &|s| u64::from(s == current));
            }
        }
        "agg_server_status" | "agg_server_check_status" => {
            for row in of_kind.iter().filter(|b| servers(all, b).next().is_some()) {
                let of = |s: &str| servers(all, row).filter(|r| state_label(r) == s).count() as u64;
                states(out, row, &SERVER_STATES, &of);
            }
        }
        "agg_check_status" => {
            for row in of_kind.iter().filter(|b| servers(all, b).next().is_some()) {
                let of = |s: &str| servers(all, row).filter(|r| check_label(r) == s).count() as u64;
                states(out, row, &CHECK_STATES, &of);
            }
        }
        "check_code" => {
            for row in of_kind.iter().filter(|r| r.cells[column("check_status")].is_some()) {
                // Where nothing was said there was no code.
                let code = if row.cells[metric.column].is_some() { number(metric, row) } else { "0".into() };
                let _ = writeln!(out, "{name}{{{}}} {code}", labels(row));
            }
        }
        "check_duration_seconds" => {
            for row in of_kind.iter().filter(|r| r.cells[metric.column].is_some()) {
                let _ = writeln!(out, "{name}{{{}}} {}", labels(row), number(metric, row));
            }
        }
        "requests_denied_total" | "http_requests_total"
            if of_kind.iter().all(|r| r.cells[metric.column].is_none()) => {}
        _ => {
            for row in of_kind.iter().filter(|r| has(metric, r)) {
                let _ = writeln!(out, "{name}{{{}}} {}", labels(row), number(metric, row));
            }
        }
    }
}

fn responses(out: &mut String, name: &str, of_kind: &[&Row]) {
    for (code, field) in CODES {
        let column = column(field);
        for row in of_kind {
            if let Some(Cell::Num(n)) = &row.cells[column] {
                let _ = writeln!(out, "{name}{{{},code=\"{code}\"}} {n}", labels(row));
            }
        }
    }
}

fn number(metric: &MetricRow, row: &Row) -> String {
    let seconds = metric.name.ends_with("time_average_seconds")
        || metric.name.ends_with("_time_seconds")
        || metric.name == "check_duration_seconds";
    match &row.cells[metric.column] {
        Some(Cell::Num(n)) if seconds => format!("{:.6}", *n as f64 / 1000.0),
        Some(Cell::Num(n)) => n.to_string(),
        Some(Cell::Int(n)) => n.to_string(),
        Some(Cell::Text(_)) | None => "NaN".into(),
    }
}

/// The servers of a backend's row.
fn servers<'a>(all: &'a [Row], backend: &'a Row) -> impl Iterator<Item = &'a Row> {
    all.iter().filter(|r| r.kind == RowKind::Server && r.proxy == backend.proxy)
}

fn state_names(kind: RowKind) -> &'static [&'static str] {
    match kind {
        RowKind::Frontend | RowKind::Backend => &["DOWN", "UP"],
        RowKind::Listener => &["WAITING", "OPEN", "FULL"],
        RowKind::Server => &SERVER_STATES,
    }
}

fn state_label(row: &Row) -> &str {
    let Some(Cell::Text(text)) = &row.cells[column("status")] else { return "" };
    match row.kind {
        RowKind::Frontend => {
            if text == "STOP" {
                "DOWN"
            } else {
                "UP"
            }
        }
        RowKind::Backend | RowKind::Listener => text,
        RowKind::Server => row.status.map_or("", ServerStatus::label),
    }
}

fn check_label(row: &Row) -> &str {
    match &row.cells[column("check_status")] {
        Some(Cell::Text(text)) => text.trim_start_matches("* "),
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::model::ProxyId;
    use crate::stats::fields::FIELDS;

    fn row(kind: RowKind, proxy: &str, name: &str) -> Row {
        let mut cells = vec![None; FIELDS.len()];
        cells[column("pxname")] = Some(Cell::Text(proxy.into()));
        cells[column("svname")] = Some(Cell::Text(name.into()));
        cells[column("status")] = Some(Cell::Text("UP".into()));
        cells[column("scur")] = Some(Cell::Num(4));
        cells[column("ctime")] = Some(Cell::Num(1500));
        let status = (kind == RowKind::Server).then_some(ServerStatus::Up);
        Row { kind, proxy: ProxyId(0), index: 0, ids: (2, 0), cells, status }
    }

    #[test]
    fn rows_become_samples_with_labels() {
        let rows = [row(RowKind::Server, "b", "s\"1"), row(RowKind::Backend, "b", "BACKEND")];
        let text = page(&[], &rows, &[], Filter::default());
        for want in [
            "# TYPE haproxy_server_current_sessions gauge\n",
            "haproxy_server_current_sessions{proxy=\"b\",server=\"s\\\"1\"} 4\n",
            "haproxy_server_status{proxy=\"b\",server=\"s\\\"1\",state=\"UP\"} 1\n",
            "haproxy_server_status{proxy=\"b\",server=\"s\\\"1\",state=\"MAINT\"} 0\n",
            "haproxy_server_queue_limit{proxy=\"b\",server=\"s\\\"1\"} NaN\n",
            "haproxy_backend_agg_server_status{proxy=\"b\",state=\"UP\"} 1\n",
            "haproxy_backend_connect_time_average_seconds{proxy=\"b\"} 1.500000\n",
        ] {
            assert!(text.contains(want), "{want} is not in {text}");
        }
        assert!(!text.contains("haproxy_frontend"));
    }

    #[test]
    fn scopes_and_maintenance_filter() {
        let mut maint = row(RowKind::Server, "b", "s1");
        maint.status = Some(ServerStatus::Maint);
        let filter = Filter { no_maint: true, scopes: None };
        assert!(!page(&[], &[maint.clone()], &[], filter).contains("haproxy_server"));
        let filter = Filter { no_maint: false, scopes: Some([true, true, true, true, false, false]) };
        assert!(page(&[], &[maint], &[], filter).is_empty());
    }
}
