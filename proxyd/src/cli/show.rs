//! `show info`, `show stat` and other dumps of the whole process.

use super::{Answer, Call};
use crate::config::model::{BindAddress, Level};
use crate::stats::info::{self, InfoFormat};
use crate::stats::rows::{self, Row, RowKind};
use crate::stats::status::ServerStatus;
use crate::stats::{csv, schema};
use std::fmt::Write;
use std::sync::atomic::Ordering::Relaxed;

/// Bits of `show stat ID TYPE SID`: frontends 1, backends 2, servers 4, listeners 8.
const ALL_TYPES: i64 = -1;

/// `show info`.
pub fn info(call: &mut Call<'_>) -> Answer {
    let options = &call.words[2..];
    let format = if options.contains(&"typed") {
        InfoFormat::Typed { described: options.contains(&"desc") }
    } else if options.contains(&"json") {
        InfoFormat::Json
    } else if options.contains(&"desc") {
        InfoFormat::Described
    } else {
        InfoFormat::Plain
    };
    let mut rows = info::values(call.generation, call.generation.board.clock());
    // JSON has no place for another type of the same value.
    if options.contains(&"float") && format != InfoFormat::Json {
        info::make_exact(&mut rows, call.generation);
    }
    let text = info::print(&rows, format);
    Answer::Dump(if format == InfoFormat::Json { text + "\n" } else { text })
}

/// `show stat [domain DOMAIN] [PROXY|ID TYPE SID] [typed|json|desc|up|no-maint]`.
pub fn stat(call: &mut Call<'_>) -> Answer {
    let options = match &call.words[2..] {
        ["domain", "proxy", options @ ..] => options,
        ["domain", "resolvers", options @ ..] => return super::resolvers::stat(call.generation, options),
        ["domain", ..] => return Answer::error("Invalid statistics domain.\n"),
        options => options,
    };
    let has = |word: &str| options.contains(&word);
    let maxconn = call.generation.board.info.maxconn.load(Relaxed);
    let mut rows = rows::all(call.generation, call.generation.board.clock(), maxconn);
    if let [proxy, _, _, ..] = options
        && proxy.parse::<i64>().is_err()
        && call.generation.config.proxies.iter().all(|p| p.name != **proxy)
    {
        return Answer::error("No such proxy.\n");
    }
    if let [proxy, kind, sid, ..] = options
        && let (Ok(kind), Ok(sid)) = (kind.parse::<i64>(), sid.parse::<i64>())
    {
        let iid = proxy.parse::<i64>().ok();
        rows.retain(|row| {
            let name = &call.generation.config.proxies[row.proxy.0].name;
            let proxy_fits = iid.map_or(name == proxy, |id| id <= 0 || id == row.ids.0 as i64);
            proxy_fits
                && (kind == ALL_TYPES || kind & type_bit(row) != 0)
                && (sid < 0 || sid == row.ids.1 as i64)
        });
    }
    if call.session.level < Level::Operator {
        csv::without_legends(&mut rows);
    }
    rows.retain(|row| row.kind != RowKind::Server || !hidden(row, has("up"), has("no-maint")));
    Answer::Dump(if has("typed") {
        csv::typed(&rows, has("desc"))
    } else if has("json") {
        csv::json(&rows) + "\n"
    } else {
        csv::csv(&rows)
    })
}

fn hidden(row: &Row, up: bool, no_maint: bool) -> bool {
    let label = row.status.map_or("", ServerStatus::label);
    (up && matches!(label, "DOWN" | "MAINT")) || (no_maint && label == "MAINT")
}

fn type_bit(row: &Row) -> i64 {
    match row.kind {
        RowKind::Frontend => 1,
        RowKind::Backend => 2,
        RowKind::Server => 4,
        RowKind::Listener => 8,
    }
}

/// `show schema json`.
pub fn schema(_call: &mut Call<'_>) -> Answer {
    Answer::Dump(schema::compact() + "\n")
}

/// `show version`.
pub fn version(call: &mut Call<'_>) -> Answer {
    Answer::Dump(format!("{}\n", call.generation.board.info.version))
}

/// `show backend`.
pub fn backend(call: &mut Call<'_>) -> Answer {
    let mut out = String::from("# name\n");
    for proxy in call.generation.config.proxies.iter().filter(|p| p.kind.is_back()) {
        let _ = writeln!(out, "{}", proxy.name);
    }
    Answer::Dump(out)
}

/// `show cli sockets`.
pub fn cli_sockets(call: &mut Call<'_>) -> Answer {
    let mut out = String::from("# socket lvl processes\n");
    for socket in &call.generation.config.global.stats_sockets {
        let address = match &socket.address {
            BindAddress::Inet(a) if a.is_ipv4() => format!("ipv4@{a}"),
            BindAddress::Inet(a) => format!("ipv6@{a}"),
            BindAddress::Unix(path) => format!("unix@{}", path.display()),
            BindAddress::Abstract(name) => format!("abns@{}", String::from_utf8_lossy(name)),
            BindAddress::Sockpair(fd) => format!("sockpair@{fd}"),
            BindAddress::Fd(_) => "unknown".into(),
        };
        let level = match socket.level {
            Level::User => "user",
            Level::Operator => "operator",
            Level::Admin => "admin",
        };
        let _ = writeln!(out, "{address} {level} all");
    }
    if let Some(fd) = call.generation.board.info.master_channel {
        let _ = writeln!(out, "sockpair@{fd} admin all");
    }
    Answer::Dump(out)
}
