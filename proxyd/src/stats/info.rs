//! `show info`: rows in haproxy's order, with typed tags and the exporter's names (management manual, 9.3).

use super::csv::json_cell;
use super::fields::{FieldRow, ValueType};
use super::rows::{Cell, Clock};
use crate::runtime::Generation;
use crate::runtime::board::{ProcessCounters, ProcessInfo};
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// One line of `show info`.
#[derive(Debug, Clone, Copy)]
pub struct InfoRow {
    /// Position in typed output; haproxy numbers lines that a build leaves out as well.
    pub position: usize,
    /// Name, tags and type.
    pub field: FieldRow,
    /// Name in the exporter behind `haproxy_process_`; empty where it has none.
    pub metric: &'static str,
    /// Whether the exporter calls it a counter.
    pub counter: bool,
    /// Words of `show info desc`.
    pub description: &'static str,
}

const U32: ValueType = ValueType::U32;
const U64: ValueType = ValueType::U64;
const STR: ValueType = ValueType::Str;

const fn r(
    position: usize,
    name: &'static str,
    tags: &'static str,
    value_type: ValueType,
    metric: &'static str,
    counter: bool,
    description: &'static str,
) -> InfoRow {
    InfoRow { position, field: FieldRow { name, tags, value_type }, metric, counter, description }
}

/// All lines.
pub const INFO: &[InfoRow] = &[
    r(0, "Name", "POS", STR, "", false, "Product name"),
    r(1, "Version", "POS", STR, "", false, "Product version"),
    r(2, "Release_date", "POS", STR, "", false, "Date of latest source code update"),
    r(3, "Nbthread", "CGS", U32, "nbthread", false, "Number of started threads (global.nbthread)"),
    r(4, "Nbproc", "CGS", U32, "nbproc", false, "Number of started worker processes (historical, always 1)"),
    r(5, "Process_num", "KGP", U32, "relative_process_id", false, "Relative worker process number (1)"),
    r(6, "Pid", "SGP", U32, "", false, "This worker process identifier for the system"),
    r(
        7,
        "Uptime",
        "MDP",
        STR,
        "",
        false,
        "How long ago this worker process was started (days+hours+minutes+seconds)",
    ),
    r(
        8,
        "Uptime_sec",
        "MDP",
        U32,
        "uptime_seconds",
        false,
        "How long ago this worker process was started (seconds)",
    ),
    r(
        9,
        "Memmax_MB",
        "CLP",
        U32,
        "",
        false,
        "Worker process's hard limit on memory usage in MB (-m on command line)",
    ),
    r(10, "PoolAlloc_MB", "MGP", U32, "", false, "Amount of memory allocated in pools (in MB)"),
    r(11, "PoolUsed_MB", "MGP", U32, "", false, "Amount of pool memory currently used (in MB)"),
    r(
        12,
        "PoolFailed",
        "MCP",
        U32,
        "pool_failures_total",
        true,
        "Number of failed pool allocations since this worker was started",
    ),
    r(
        13,
        "Ulimit-n",
        "CLP",
        U32,
        "max_fds",
        false,
        "Hard limit on the number of per-process file descriptors",
    ),
    r(14, "Maxsock", "CLP", U32, "max_sockets", false, "Hard limit on the number of per-process sockets"),
    r(
        15,
        "Maxconn",
        "CLP",
        U32,
        "max_connections",
        false,
        "Hard limit on the number of per-process connections (configured or imposed by Ulimit-n)",
    ),
    r(
        16,
        "Hard_maxconn",
        "CLP",
        U32,
        "hard_max_connections",
        false,
        "Hard limit on the number of per-process connections (imposed by Memmax_MB or Ulimit-n)",
    ),
    r(
        17,
        "CurrConns",
        "MGP",
        U32,
        "current_connections",
        false,
        "Current number of connections on this worker process",
    ),
    r(
        18,
        "CumConns",
        "MCP",
        U32,
        "connections_total",
        true,
        "Total number of connections on this worker process since started",
    ),
    r(
        19,
        "CumReq",
        "MCP",
        U32,
        "requests_total",
        true,
        "Total number of requests on this worker process since started",
    ),
    r(
        20,
        "MaxSslConns",
        "MMP",
        U32,
        "max_ssl_connections",
        false,
        "Hard limit on the number of per-process SSL endpoints (front+back), 0=unlimited",
    ),
    r(
        21,
        "CurrSslConns",
        "MGP",
        U32,
        "current_ssl_connections",
        false,
        "Current number of SSL endpoints on this worker process (front+back)",
    ),
    r(
        22,
        "CumSslConns",
        "MCP",
        U32,
        "ssl_connections_total",
        true,
        "Total number of SSL endpoints on this worker process since started (front+back)",
    ),
    r(
        23,
        "Maxpipes",
        "CLP",
        U32,
        "max_pipes",
        false,
        "Hard limit on the number of pipes for splicing, 0=unlimited",
    ),
    r(
        24,
        "PipesUsed",
        "MGP",
        U32,
        "pipes_used_total",
        true,
        "Current number of pipes in use in this worker process",
    ),
    r(
        25,
        "PipesFree",
        "MGP",
        U32,
        "pipes_free_total",
        true,
        "Current number of allocated and available pipes in this worker process",
    ),
    r(
        26,
        "ConnRate",
        "MRP",
        U32,
        "current_connection_rate",
        false,
        "Number of front connections created on this worker process over the last second",
    ),
    r(
        27,
        "ConnRateLimit",
        "CLP",
        U32,
        "limit_connection_rate",
        false,
        "Hard limit for ConnRate (global.maxconnrate)",
    ),
    r(
        28,
        "MaxConnRate",
        "MMP",
        U32,
        "max_connection_rate",
        false,
        "Highest ConnRate reached on this worker process since started (in connections per second)",
    ),
    r(
        29,
        "SessRate",
        "MRP",
        U32,
        "current_session_rate",
        false,
        "Number of sessions created on this worker process over the last second",
    ),
    r(
        30,
        "SessRateLimit",
        "CLP",
        U32,
        "limit_session_rate",
        false,
        "Hard limit for SessRate (global.maxsessrate)",
    ),
    r(
        31,
        "MaxSessRate",
        "MRP",
        U32,
        "max_session_rate",
        false,
        "Highest SessRate reached on this worker process since started (in sessions per second)",
    ),
    r(
        32,
        "SslRate",
        "MRP",
        U32,
        "current_ssl_rate",
        false,
        "Number of SSL connections created on this worker process over the last second",
    ),
    r(33, "SslRateLimit", "CLP", U32, "limit_ssl_rate", false, "Hard limit for SslRate (global.maxsslrate)"),
    r(
        34,
        "MaxSslRate",
        "MMP",
        U32,
        "max_ssl_rate",
        false,
        "Highest SslRate reached on this worker process since started (in connections per second)",
    ),
    r(
        35,
        "SslFrontendKeyRate",
        "MGP",
        U32,
        "current_frontend_ssl_key_rate",
        false,
        "Number of SSL keys created on frontends in this worker process over the last second",
    ),
    r(
        36,
        "SslFrontendMaxKeyRate",
        "MMP",
        U32,
        "max_frontend_ssl_key_rate",
        false,
        "Highest SslFrontendKeyRate reached on this worker process since started (in SSL keys per second)",
    ),
    r(
        37,
        "SslFrontendSessionReuse_pct",
        "MGP",
        U32,
        "frontend_ssl_reuse",
        false,
        "Percent of frontend SSL connections which did not require a new key",
    ),
    r(
        38,
        "SslBackendKeyRate",
        "MRP",
        U32,
        "current_backend_ssl_key_rate",
        false,
        "Number of SSL keys created on backends in this worker process over the last second",
    ),
    r(
        39,
        "SslBackendMaxKeyRate",
        "MMP",
        U32,
        "max_backend_ssl_key_rate",
        false,
        "Highest SslBackendKeyRate reached on this worker process since started (in SSL keys per second)",
    ),
    r(
        40,
        "SslCacheLookups",
        "MCP",
        U32,
        "ssl_cache_lookups_total",
        true,
        "Total number of SSL session ID lookups in the SSL session cache on this worker since started",
    ),
    r(
        41,
        "SslCacheMisses",
        "MCP",
        U32,
        "ssl_cache_misses_total",
        true,
        "Total number of SSL session ID lookups that didn't find a session in the SSL session cache on this worker since started",
    ),
    r(
        42,
        "CompressBpsIn",
        "MRP",
        U32,
        "http_comp_bytes_in_total",
        true,
        "Number of bytes submitted to the HTTP compressor in this worker process over the last second",
    ),
    r(
        43,
        "CompressBpsOut",
        "MRP",
        U32,
        "http_comp_bytes_out_total",
        true,
        "Number of bytes emitted by the HTTP compressor in this worker process over the last second",
    ),
    r(
        44,
        "CompressBpsRateLim",
        "CLP",
        U32,
        "limit_http_comp",
        false,
        "Limit of CompressBpsOut beyond which HTTP compression is automatically disabled",
    ),
    r(
        47,
        "Tasks",
        "MGP",
        U32,
        "current_tasks",
        false,
        "Total number of tasks in the current worker process (active + sleeping)",
    ),
    r(
        48,
        "Run_queue",
        "MGP",
        U32,
        "current_run_queue",
        false,
        "Total number of active tasks+tasklets in the current worker process",
    ),
    r(
        49,
        "Idle_pct",
        "MaP",
        U32,
        "idle_time_percent",
        false,
        "Percentage of last second spent waiting in the current worker thread",
    ),
    r(50, "node", "COS", STR, "", false, "Node name (global.node)"),
    r(51, "description", "COS", STR, "", false, "Node description (global.description)"),
    r(
        52,
        "Stopping",
        "MGP",
        U32,
        "stopping",
        false,
        "1 if the worker process is currently stopping, otherwise zero",
    ),
    r(
        53,
        "Jobs",
        "MGP",
        U32,
        "jobs",
        false,
        "Current number of active jobs on the current worker process (frontend connections, master connections, listeners)",
    ),
    r(
        54,
        "Unstoppable Jobs",
        "MGP",
        U32,
        "unstoppable_jobs",
        false,
        "Current number of unstoppable jobs on the current worker process (master connections)",
    ),
    r(
        55,
        "Listeners",
        "MGP",
        U32,
        "listeners",
        false,
        "Current number of active listeners on the current worker process",
    ),
    r(
        56,
        "ActivePeers",
        "MGP",
        U32,
        "active_peers",
        false,
        "Current number of verified active peers connections on the current worker process",
    ),
    r(
        57,
        "ConnectedPeers",
        "MGP",
        U32,
        "connected_peers",
        false,
        "Current number of peers having passed the connection step on the current worker process",
    ),
    r(
        58,
        "DroppedLogs",
        "MGP",
        U32,
        "dropped_logs_total",
        true,
        "Total number of dropped logs for current worker process since started",
    ),
    r(
        59,
        "BusyPolling",
        "MGP",
        U32,
        "busy_polling_enabled",
        false,
        "1 if busy-polling is currently in use on the worker process, otherwise zero (config.busy-polling)",
    ),
    r(
        60,
        "FailedResolutions",
        "MGP",
        U32,
        "failed_resolutions",
        true,
        "Total number of failed DNS resolutions in current worker process since started",
    ),
    r(
        61,
        "TotalBytesOut",
        "MGP",
        U64,
        "bytes_out_total",
        true,
        "Total number of bytes emitted by current worker process since started",
    ),
    r(
        62,
        "TotalSplicdedBytesOut",
        "MGP",
        U64,
        "spliced_bytes_out_total",
        true,
        "Total number of bytes emitted by current worker process through a kernel pipe since started",
    ),
    r(
        63,
        "BytesOutRate",
        "MRP",
        U64,
        "bytes_out_rate",
        false,
        "Number of bytes emitted by current worker process over the last second",
    ),
    r(
        64,
        "DebugCommandsIssued",
        "MGP",
        U32,
        "",
        false,
        "Number of debug commands issued on this process (anything > 0 is unsafe)",
    ),
    r(
        65,
        "CumRecvLogs",
        "MCP",
        U32,
        "recv_logs_total",
        true,
        "Total number of log messages received by log-forwarding listeners on this worker process since started",
    ),
    r(66, "Build info", "POS", STR, "build_info", false, "Build info"),
    r(
        67,
        "Memmax_bytes",
        "CLP",
        U32,
        "max_memory_bytes",
        false,
        "Worker process's hard limit on memory usage in byes (-m on command line)",
    ),
    r(
        68,
        "PoolAlloc_bytes",
        "MGP",
        U64,
        "pool_allocated_bytes",
        false,
        "Amount of memory allocated in pools (in bytes)",
    ),
    r(
        69,
        "PoolUsed_bytes",
        "MGP",
        U64,
        "pool_used_bytes",
        false,
        "Amount of pool memory currently used (in bytes)",
    ),
    r(70, "Start_time_sec", "MDP", U32, "start_time_seconds", false, "Start time in seconds"),
    r(71, "Tainted", "SGP", STR, "", false, "Experimental features used"),
];

/// The values of all lines, in the order of [`INFO`].
pub fn values(generation: &Generation, clock: Clock) -> Vec<(&'static InfoRow, Cell)> {
    let board = &generation.board;
    INFO.iter()
        .filter(|row| row.field.name != "description" || board.info.description.is_some())
        .map(|row| (row, value(row.field.name, generation, &board.info, &board.process, clock)))
        .collect()
}

/// `float`: times with their fractions of a second.
pub fn make_exact(rows: &mut [(&'static InfoRow, Cell)], generation: &Generation) {
    let info = &generation.board.info;
    for (row, cell) in rows {
        let time = match row.field.name {
            "Uptime_sec" => Some(info.started.elapsed()),
            "Start_time_sec" => info.started_at.duration_since(std::time::UNIX_EPOCH).ok(),
            _ => None,
        };
        if let Some(time) = time {
            *cell = Cell::Text(format!("{:.6}", time.as_secs_f64()));
        }
    }
}

fn value(
    name: &str,
    generation: &Generation,
    info: &ProcessInfo,
    counters: &ProcessCounters,
    clock: Clock,
) -> Cell {
    let (num, limits) = (|n: &AtomicU64| Cell::Num(n.load(Relaxed)), &generation.board.limits);
    let uptime = clock.wall_s.saturating_sub(clock.started_s);
    match name {
        "Name" => "HAProxy".into(),
        "Version" | "Build info" => info.version.as_str().into(),
        "Release_date" => info.release_date.as_str().into(),
        "Nbthread" => Cell::Num(info.nbthread as u64),
        "Nbproc" | "Process_num" => Cell::Num(1),
        "Pid" => Cell::Num(u64::from(info.pid)),
        "Uptime" => uptime_text(uptime).into(),
        "Uptime_sec" => Cell::Num(uptime),
        "Ulimit-n" => Cell::Num(info.ulimit_n),
        "Memmax_MB" => Cell::Num(info.memory >> 20),
        "Memmax_bytes" => Cell::Num(info.memory),
        "Maxsock" => Cell::Num(info.maxsock),
        "Maxconn" => num(&info.maxconn),
        "Hard_maxconn" => Cell::Num(info.hard_maxconn),
        "CurrConns" => num(&counters.cur_conns),
        "CumConns" => num(&counters.cum_conns),
        "CumReq" => num(&counters.cum_req),
        "MaxSslConns" => num(&limits.tls_connections),
        "CurrSslConns" => num(&counters.ssl_conns),
        "CumSslConns" => num(&counters.cum_ssl_conns),
        "ConnRate" => counters.conn_rate.read(clock.mono_ms).into(),
        "ConnRateLimit" => num(&limits.connections),
        "MaxConnRate" => counters.conn_rate.max().into(),
        "SessRate" => counters.sess_rate.read(clock.mono_ms).into(),
        "SessRateLimit" => num(&limits.sessions),
        "SslRateLimit" => num(&limits.tls_sessions),
        "CompressBpsRateLim" => Cell::Num(generation.board.limits.compression_kb.load(Relaxed) * 1024),
        "MaxSessRate" => counters.sess_rate.max().into(),
        "SslRate" => counters.ssl_rate.read(clock.mono_ms).into(),
        "MaxSslRate" => counters.ssl_rate.max().into(),
        "SslFrontendKeyRate" => counters.ssl_front_keys.read(clock.mono_ms).into(),
        "SslFrontendMaxKeyRate" => counters.ssl_front_keys.max().into(),
        "SslFrontendSessionReuse_pct" => resumed_percent(counters, clock).into(),
        "SslBackendKeyRate" => counters.ssl_back_keys.read(clock.mono_ms).into(),
        "SslBackendMaxKeyRate" => counters.ssl_back_keys.max().into(),
        "SslCacheLookups" => num(&generation.tls.counts.lookups),
        "SslCacheMisses" => num(&generation.tls.counts.misses),
        "Idle_pct" => num(&counters.idle_percent),
        "Tasks" | "Jobs" => Cell::Num(
            counters.cur_conns.load(Relaxed)
                + counters.cli_conns.load(Relaxed)
                + info.listeners.load(Relaxed),
        ),
        "node" => info.node.as_str().into(),
        "description" => info.description.as_deref().unwrap_or_default().into(),
        "Stopping" => Cell::Num(u64::from(counters.stopping.load(Relaxed))),
        "Listeners" => num(&info.listeners),
        "DroppedLogs" => num(&counters.dropped_logs),
        "TotalBytesOut" => Cell::Num(bytes_out(generation)),
        "TotalSplicdedBytesOut" => num(&counters.spliced_bytes_out),
        "BytesOutRate" => counters.bytes_out_rate.read(clock.mono_ms).into(),
        "Start_time_sec" => Cell::Num(clock.started_s),
        "Tainted" => "0".into(),
        // What ours has no limit or no such thing for: memory limits, pools, pipes, peers, busy polling.
        _ => Cell::Num(0),
    }
}

/// How many of the handshakes of the last second resumed a session.
fn resumed_percent(counters: &ProcessCounters, clock: Clock) -> u64 {
    let sessions = counters.ssl_rate.read(clock.mono_ms);
    let keys = counters.ssl_front_keys.read(clock.mono_ms).min(sessions);
    ((sessions - keys) * 100).checked_div(sessions).unwrap_or(0)
}

/// All bytes sent, to clients, to servers and to those who ask.
pub fn bytes_out(generation: &Generation) -> u64 {
    let of_proxy = |p: &std::sync::Arc<crate::runtime::board::ProxyState>| {
        p.front.bytes_out.load(Relaxed) + p.back.bytes_in.load(Relaxed)
    };
    generation.proxies.iter().map(of_proxy).sum::<u64>() + generation.board.process.bytes_out.load(Relaxed)
}

fn uptime_text(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    format!("{days}d {}h{:02}m{:02}s", rest / 3600, rest / 60 % 60, rest % 60)
}

/// How `show info` is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InfoFormat {
    /// `Name: value`.
    Plain,
    /// With the description behind.
    Described,
    /// `0.Name.1:POS:str:HAProxy`, with the description behind where that is asked for.
    Typed {
        /// It is.
        described: bool,
    },
    /// A JSON array.
    Json,
}

/// Prints the lines.
pub fn print(rows: &[(&'static InfoRow, Cell)], format: InfoFormat) -> String {
    let mut out = String::new();
    if format == InfoFormat::Json {
        for (row, cell) in rows {
            out.push_str(if out.is_empty() { "[{" } else { ",{" });
            json_cell(&mut out, row.position, &row.field, cell);
            out.push('}');
        }
        out.push(']');
        return out;
    }
    for (row, cell) in rows {
        let value = match cell {
            Cell::Num(n) => n.to_string(),
            Cell::Int(n) => n.to_string(),
            Cell::Text(s) => s.clone(),
        };
        let (name, tags) = (row.field.name, row.field.tags);
        let _ = match format {
            InfoFormat::Plain | InfoFormat::Json => writeln!(out, "{name}: {value}"),
            InfoFormat::Described => writeln!(out, "{name}: {value}:\"{}\"", row.description),
            InfoFormat::Typed { described } => {
                let about = if described { format!(":\"{}\"", row.description) } else { String::new() };
                let kind = row.field.value_type;
                let exact = kind != STR && matches!(cell, Cell::Text(_));
                let value_type = if exact { "flt" } else { kind.name() };
                writeln!(out, "{}.{name}.1:{tags}:{value_type}:{value}{about}", row.position)
            }
        };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_grow_and_names_are_unique() {
        assert!(INFO.windows(2).all(|w| w[0].position < w[1].position));
        let mut names: Vec<_> = INFO.iter().map(|r| r.field.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), INFO.len());
    }

    #[test]
    fn uptime_counts_days() {
        assert_eq!(uptime_text(5), "0d 0h00m05s");
        assert_eq!(uptime_text(90_061), "1d 1h01m01s");
    }

    #[test]
    fn formats_show_the_same_value() {
        let row = INFO.iter().find(|r| r.field.name == "CurrConns").unwrap();
        let rows = [(row, Cell::Num(3))];
        assert_eq!(print(&rows, InfoFormat::Plain), "CurrConns: 3\n");
        assert_eq!(print(&rows, InfoFormat::Typed { described: false }), "17.CurrConns.1:MGP:u32:3\n");
        let json: serde_json::Value = serde_json::from_str(&print(&rows, InfoFormat::Json)).unwrap();
        assert_eq!(json[0]["value"]["value"], 3);
        assert!(print(&rows, InfoFormat::Described).starts_with("CurrConns: 3:\"Current number"));
    }
}
