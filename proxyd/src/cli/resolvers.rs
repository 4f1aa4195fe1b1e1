//! `show resolvers` and `show stat domain resolvers`: counters of name servers.

use super::{Answer, Call};
use crate::runtime::Generation;
use serde_json::json;
use std::fmt::Write;

/// `show resolvers [SECTION]`.
pub fn show(call: &mut Call<'_>) -> Answer {
    let wanted = call.word(2);
    let sections = &call.generation.config.resolvers;
    if !wanted.is_empty() && sections.iter().all(|r| r.name != wanted) {
        return Answer::error("Can't find that resolvers section\n");
    }
    let mut out = String::new();
    for section in sections.iter().filter(|r| wanted.is_empty() || r.name == wanted) {
        let _ = writeln!(out, "Resolvers section {}", section.name);
        for server in &section.nameservers {
            let counters = call.generation.board.resolvers.counters(&section.name, &server.name);
            let _ = writeln!(out, " nameserver {}:", server.name);
            for (name, value) in counters.rows() {
                let _ = writeln!(out, "  {:<12} {value}", format!("{name}:"));
            }
        }
    }
    Answer::Dump(out)
}

/// The columns of `show stat domain resolvers`, with what `desc` adds. The third and the following are the counters
/// in their order.
const COLUMNS: [(&str, &str); 17] = [
    ("id", "ID"),
    ("pid", "Parent ID"),
    ("sent", "Sent"),
    ("send_error", "Send error"),
    ("valid", "Valid"),
    ("update", "Update"),
    ("cname", "CNAME"),
    ("cname_error", "CNAME error"),
    ("any_err", "Any errors"),
    ("nx", "NX"),
    ("timeout", "Timeout"),
    ("refused", "Refused"),
    ("other", "Other"),
    ("invalid", "Invalid"),
    ("too_big", "Too big"),
    ("truncated", "Truncated"),
    ("outdated", "Outdated"),
];
/// Of these so many are names.
const NAMES: usize = 2;

/// `show stat domain resolvers [typed|json|desc]`.
pub fn stat(generation: &Generation, options: &[&str]) -> Answer {
    let has = |word: &str| options.contains(&word);
    let mut rows = Vec::new();
    for section in &generation.config.resolvers {
        for server in &section.nameservers {
            let counters = generation.board.resolvers.counters(&section.name, &server.name);
            rows.push((server.name.as_str(), section.name.as_str(), counters.rows().map(|(_, value)| value)));
        }
    }
    let mut out = String::new();
    if has("json") {
        let rows: Vec<_> = rows
            .iter()
            .map(|(id, section, counters)| {
                let mut values = vec![text(0, id), text(1, section)];
                values.extend(counters.iter().enumerate().map(|(n, value)| number(NAMES + n, *value)));
                format!("[{}]", values.join(","))
            })
            .collect();
        let _ = writeln!(out, "[{}]", rows.join(","));
        return Answer::Dump(out);
    }
    if !has("typed") {
        out.push_str("# ");
        for (name, _) in COLUMNS {
            out.extend([name, ","]);
        }
        out.push('\n');
    }
    for (id, section, counters) in rows {
        if !has("typed") {
            let _ = write!(out, "{id},{section},");
            for value in counters {
                let _ = write!(out, "{value},");
            }
            out.push('\n');
            continue;
        }
        for (n, (name, description)) in COLUMNS.iter().enumerate() {
            let _ = match n.checked_sub(NAMES).and_then(|n| counters.get(n)) {
                Some(value) => write!(out, "N.{n}.{name}:MGP:u64:{value}"),
                None => write!(out, "N.{n}.{name}:CGP:str:{}", [id, section][n]),
            };
            let _ = if has("desc") { writeln!(out, ":\"{description}\"") } else { writeln!(out) };
        }
    }
    Answer::Dump(out)
}

fn text(column: usize, value: &str) -> String {
    cell(column, "Config", &format!("{{\"type\":\"str\",\"value\":{}}}", json!(value)))
}

fn number(column: usize, value: u64) -> String {
    cell(column, "Metric", &format!("{{\"type\":\"u64\",\"value\":{value}}}"))
}

fn cell(column: usize, origin: &str, value: &str) -> String {
    let name = COLUMNS[column].0;
    format!(
        "{{\"field\":{{\"pos\":{column},\"name\":\"{name}\"}},\"tags\":{{\"origin\":\"{origin}\",\
         \"nature\":\"Gauge\",\"scope\":\"Process\"}},\"value\":{value}}}"
    )
}
