//! The columns of `show stat`, in haproxy's order, with their typed tags (management manual, 9.3 and 9.1 "typed").
//!
//! Invariant: a column's index is a contract; programs parse by position.

/// Type of a value in typed and JSON output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueType {
    /// 32-bit unsigned.
    U32,
    /// 32-bit signed.
    S32,
    /// 64-bit unsigned.
    U64,
    /// Text.
    Str,
}

impl ValueType {
    /// Name in typed and JSON output.
    pub fn name(self) -> &'static str {
        match self {
            Self::U32 => "u32",
            Self::S32 => "s32",
            Self::U64 => "u64",
            Self::Str => "str",
        }
    }
}

/// One column.
#[derive(Debug, Clone, Copy)]
pub struct FieldRow {
    /// Name in the CSV header.
    pub name: &'static str,
    /// Origin, nature and scope letters.
    pub tags: &'static str,
    /// Type.
    pub value_type: ValueType,
}

const U32: ValueType = ValueType::U32;
const S32: ValueType = ValueType::S32;
const U64: ValueType = ValueType::U64;
const STR: ValueType = ValueType::Str;

const fn f(name: &'static str, tags: &'static str, value_type: ValueType) -> FieldRow {
    FieldRow { name, tags, value_type }
}

/// How many columns stand before the `-` that separates the modules' own.
pub const COMMON: usize = 103;

/// All columns; those of the modules (TLS, HTTP/2, HTTP/1) begin at [`COMMON`].
pub const FIELDS: &[FieldRow] = &[
    f("pxname", "KNS", STR),
    f("svname", "KNS", STR),
    f("qcur", "MGP", U32),
    f("qmax", "MMP", U32),
    f("scur", "MGP", U32),
    f("smax", "MMP", U32),
    f("slim", "CLP", U32),
    f("stot", "MCP", U64),
    f("bin", "MCP", U64),
    f("bout", "MCP", U64),
    f("dreq", "MCP", U64),
    f("dresp", "MCP", U64),
    f("ereq", "MCP", U64),
    f("econ", "MCP", U64),
    f("eresp", "MCP", U64),
    f("wretr", "MCP", U64),
    f("wredis", "MCP", U64),
    f("status", "SGP", STR),
    f("weight", "MaP", U32),
    f("act", "SGP", U32),
    f("bck", "SGP", U32),
    f("chkfail", "MCP", U64),
    f("chkdown", "MCP", U64),
    f("lastchg", "MAP", U32),
    f("downtime", "MCP", U32),
    f("qlimit", "CGS", U32),
    f("pid", "KGP", U32),
    f("iid", "KGS", U32),
    f("sid", "KGS", U32),
    f("throttle", "AGP", U32),
    f("lbtot", "MCP", U64),
    f("tracked", "CNS", STR),
    f("type", "CGS", U32),
    f("rate", "MRP", U32),
    f("rate_lim", "CLP", U32),
    f("rate_max", "MMP", U32),
    f("check_status", "MOP", STR),
    f("check_code", "MOP", U32),
    f("check_duration", "MDP", U64),
    f("hrsp_1xx", "MCP", U64),
    f("hrsp_2xx", "MCP", U64),
    f("hrsp_3xx", "MCP", U64),
    f("hrsp_4xx", "MCP", U64),
    f("hrsp_5xx", "MCP", U64),
    f("hrsp_other", "MCP", U64),
    f("hanafail", "MCP", U64),
    f("req_rate", "MRP", U32),
    f("req_rate_max", "MMP", U32),
    f("req_tot", "MCP", U64),
    f("cli_abrt", "MCP", U64),
    f("srv_abrt", "MCP", U64),
    f("comp_in", "MCP", U64),
    f("comp_out", "MCP", U64),
    f("comp_byp", "MCP", U64),
    f("comp_rsp", "MCP", U64),
    f("lastsess", "MAP", S32),
    f("last_chk", "MOP", STR),
    f("last_agt", "MOP", STR),
    f("qtime", "MaP", U32),
    f("ctime", "MaP", U32),
    f("rtime", "MaP", U32),
    f("ttime", "MaP", U32),
    f("agent_status", "MOP", STR),
    f("agent_code", "MOP", U32),
    f("agent_duration", "MDP", U64),
    f("check_desc", "MOP", STR),
    f("agent_desc", "MOP", STR),
    f("check_rise", "CGS", U32),
    f("check_fall", "CGS", U32),
    f("check_health", "CGS", U32),
    f("agent_rise", "CGS", U32),
    f("agent_fall", "CGS", U32),
    f("agent_health", "CGS", U32),
    f("addr", "CGS", STR),
    f("cookie", "CNS", STR),
    f("mode", "CGS", STR),
    f("algo", "CGS", STR),
    f("conn_rate", "MRP", U32),
    f("conn_rate_max", "MMP", U32),
    f("conn_tot", "MCP", U64),
    f("intercepted", "MCP", U64),
    f("dcon", "MCP", U64),
    f("dses", "MCP", U64),
    f("wrew", "MCP", U64),
    f("connect", "MCP", U64),
    f("reuse", "MCP", U64),
    f("cache_lookups", "MCP", U64),
    f("cache_hits", "MCP", U64),
    f("srv_icur", "MGP", U32),
    f("src_ilim", "CLP", U32),
    f("qtime_max", "MMP", U32),
    f("ctime_max", "MMP", U32),
    f("rtime_max", "MMP", U32),
    f("ttime_max", "MMP", U32),
    f("eint", "MCP", U64),
    f("idle_conn_cur", "MGP", U32),
    f("safe_conn_cur", "MGP", U32),
    f("used_conn_cur", "MGP", U32),
    f("need_conn_est", "MGP", U32),
    f("uweight", "MaP", U32),
    f("agg_server_status", "MGP", U32),
    f("agg_server_check_status", "MGP", U32),
    f("agg_check_status", "MGP", U32),
    f("ssl_sess", "MCP", U64),
    f("ssl_reused_sess", "MCP", U64),
    f("ssl_failed_handshake", "MCP", U64),
    f("h2_headers_rcvd", "MCP", U64),
    f("h2_data_rcvd", "MCP", U64),
    f("h2_settings_rcvd", "MCP", U64),
    f("h2_rst_stream_rcvd", "MCP", U64),
    f("h2_goaway_rcvd", "MCP", U64),
    f("h2_detected_conn_protocol_errors", "MCP", U64),
    f("h2_detected_strm_protocol_errors", "MCP", U64),
    f("h2_rst_stream_resp", "MCP", U64),
    f("h2_goaway_resp", "MCP", U64),
    f("h2_open_connections", "MGP", U64),
    f("h2_backend_open_streams", "MGP", U64),
    f("h2_total_connections", "MCP", U64),
    f("h2_backend_total_streams", "MCP", U64),
    f("h1_open_connections", "MGP", U64),
    f("h1_open_streams", "MGP", U64),
    f("h1_total_connections", "MCP", U64),
    f("h1_total_streams", "MCP", U64),
    f("h1_bytes_in", "MCP", U64),
    f("h1_bytes_out", "MCP", U64),
    f("h1_spliced_bytes_in", "MCP", U64),
    f("h1_spliced_bytes_out", "MCP", U64),
];

/// The column of a name; for code, so an unknown name is a bug that the tests find.
///
/// # Panics
/// At compile time, when the name is unknown.
pub const fn column(name: &str) -> usize {
    let mut i = 0;
    while i < FIELDS.len() {
        if same(FIELDS[i].name.as_bytes(), name.as_bytes()) {
            return i;
        }
        i += 1;
    }
    panic!("no such column")
}

const fn same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let mut i = 0;
    while i < a.len() {
        if a[i] != b[i] {
            return false;
        }
        i += 1;
    }
    true
}

/// Words for a tag letter by its place (0 origin, 1 nature, 2 scope), as JSON prints them.
pub fn tag_word(place: usize, letter: char) -> &'static str {
    match (place, letter) {
        (0, 'M') => "Metric",
        (0, 'S') => "Status",
        (0, 'K') => "Key",
        (0, 'C') => "Config",
        (0, 'P') => "Product",
        (1, 'A') => "Age",
        (1, 'a') => "Avg",
        (1, 'C') => "Counter",
        (1, 'D') => "Duration",
        (1, 'G') => "Gauge",
        (1, 'L') => "Limit",
        (1, 'M') => "Max",
        (1, 'm') => "Min",
        (1, 'N') => "Name",
        (1, 'O') => "Output",
        (1, 'R') => "Rate",
        (1, 'T') => "Time",
        (2, 'C') => "Cluster",
        (2, 'P') => "Process",
        (2, 'S') => "Service",
        (2, 's') => "System",
        _ => "Unknown",
    }
}
