//! Commands about stick tables.

use super::{Answer, Call, CommandRow, row};
use crate::config::model::Level::{Operator, User};
use crate::sample::Value;
use crate::stick::table::{DATA, Data, Key, KeyType, Table};
use crate::stick::{SharedTable, clock_ms};
use std::fmt::Write;
use std::sync::Arc;
use std::time::Instant;

/// The commands.
pub const COMMANDS: &[CommandRow] = &[
    row(
        &["clear", "table"],
        "clear table <table> [<filter>]*",
        "remove an entry from a table (filter: data/key)",
        Operator,
        clear,
    ),
    row(
        &["set", "table"],
        "set table <table> key <k> [data.* <v>]*",
        "update or create a table entry's data",
        Operator,
        set,
    ),
    row(
        &["show", "table"],
        "show table <table> [<filter>]*",
        "report table usage stats or dump this table's contents (filter: data/key)",
        User,
        show,
    ),
];

/// Conditions of one command at most, as in haproxy.
const FILTERS_MAX: usize = 4;

type Compare = fn(u64, u64) -> bool;

struct Filter {
    data: Data,
    compare: Compare,
    value: u64,
}

/// What a command is about: one key, or all that pass.
enum Selection {
    Key(Key),
    Filters(Vec<Filter>),
}

fn data_type(word: &str) -> Option<Data> {
    let name = word.strip_prefix("data.")?;
    DATA.iter().find(|(n, ..)| *n == name).map(|(_, data, _)| *data)
}

fn table(call: &Call<'_>) -> Result<Arc<SharedTable>, Answer> {
    call.generation.board.tables.find(call.word(2)).ok_or_else(|| Answer::error("No such table\n"))
}

fn key(call: &Call<'_>, table: &SharedTable) -> Result<Key, Answer> {
    let text = call.word(4);
    if text.is_empty() {
        return Err(Answer::error("Key value expected\n"));
    }
    let is_number = text.trim_start_matches(['-', '+']).starts_with(|c: char| c.is_ascii_digit());
    let is_key = table.spec.kind != KeyType::Integer || is_number;
    table.key(Value::str(text.as_bytes())).filter(|_| is_key).ok_or_else(|| Answer::error("Invalid key\n"))
}

fn filters(call: &Call<'_>, table: &SharedTable) -> Result<Vec<Filter>, Answer> {
    let mut filters = Vec::new();
    for (i, words) in call.words[3..].chunks(3).take(FILTERS_MAX).enumerate() {
        let fault = |text: &str| Answer::error(format!("Filter entry #{}: {text}\n", i + 1));
        let word = |n: usize| words.get(n).copied().unwrap_or_default();
        if !word(0).starts_with("data.") {
            return Err(Answer::error(
                "Optional argument only supports \"data.<store_data_type>\" <operator> <value> or key <key>\n",
            ));
        }
        let data = data_type(word(0)).ok_or_else(|| fault("Unknown data type"))?;
        if !table.lock().stores(data, 0) {
            return Err(fault("Data type not stored in this table"));
        }
        let compare: Compare = match word(1) {
            "eq" => |a, b| a == b,
            "ne" => |a, b| a != b,
            "le" => |a, b| a <= b,
            "ge" => |a, b| a >= b,
            "lt" => |a, b| a < b,
            "gt" => |a, b| a > b,
            _ => {
                return Err(fault(
                    "Require and operator among \"eq\", \"ne\", \"le\", \"ge\", \"lt\", \"gt\"",
                ));
            }
        };
        let value = word(2).parse().map_err(|_| fault("Require a valid integer value to compare against"))?;
        filters.push(Filter { data, compare, value });
    }
    Ok(filters)
}

fn selection(call: &Call<'_>, table: &SharedTable, required: bool) -> Result<Selection, Answer> {
    match call.word(3) {
        "key" => key(call, table).map(Selection::Key),
        word if word.starts_with("data.") => filters(call, table).map(Selection::Filters),
        "" => Ok(Selection::Filters(Vec::new())),
        _ if required => Err(Answer::error(
            "Required arguments: <table> \"data.<store_data_type>\" <operator> <value> or <table> key <key>\n",
        )),
        _ => Err(Answer::error(
            "Optional argument only supports \"data.<store_data_type>\" <operator> <value> and key <key>\n",
        )),
    }
}

fn passes(table: &Table, key: &Key, filters: &[Filter], now_ms: u64) -> bool {
    filters.iter().all(|f| table.get(key, f.data, 0, now_ms).is_some_and(|v| (f.compare)(v, f.value)))
}

fn header(out: &mut String, name: &str, table: &Table) {
    let _ = writeln!(
        out,
        "# table: {name}, type: {}, size:{}, used:{}",
        table.kind.name(),
        table.size(),
        table.len()
    );
}

/// All tables, those of the last sections first.
fn in_order(call: &Call<'_>) -> Vec<Arc<SharedTable>> {
    let mut all = call.generation.board.tables.all();
    let proxies = &call.generation.config.proxies;
    all.sort_by_key(|t| std::cmp::Reverse(proxies.iter().position(|p| p.name == t.spec.name)));
    all
}

/// `show table [TABLE [key KEY | data.TYPE OP VALUE …]]`.
fn show(call: &mut Call<'_>) -> Answer {
    let now_ms = clock_ms(Instant::now());
    let mut out = String::new();
    if call.word(2).is_empty() {
        for shared in in_order(call) {
            let mut table = shared.lock();
            table.expire(now_ms);
            header(&mut out, &shared.spec.name, &table);
        }
        return Answer::Dump(out);
    }
    let shared = match table(call) {
        Ok(shared) => shared,
        Err(answer) => return answer,
    };
    let selected = match selection(call, &shared, false) {
        Ok(selected) => selected,
        Err(answer) => return answer,
    };
    let mut table = shared.lock();
    table.expire(now_ms);
    let sees = call.session.level >= Operator;
    match selected {
        Selection::Key(_) if !sees => return Answer::error("Permission denied\n"),
        Selection::Filters(_) if !sees => {
            header(&mut out, &shared.spec.name, &table);
            out.push_str("# contents not dumped due to insufficient privileges\n");
        }
        Selection::Key(key) if !table.contains(&key, now_ms) => return Answer::Done,
        Selection::Key(key) => {
            header(&mut out, &shared.spec.name, &table);
            entry(&mut out, 0, &table, &key, now_ms);
        }
        Selection::Filters(filters) => {
            header(&mut out, &shared.spec.name, &table);
            for (i, key) in table.keys(now_ms).iter().enumerate() {
                if passes(&table, key, &filters, now_ms) {
                    entry(&mut out, i, &table, key, now_ms);
                }
            }
        }
    }
    Answer::Dump(out)
}

fn entry(out: &mut String, number: usize, table: &Table, key: &Key, now_ms: u64) {
    let Some(view) = table.view(key, now_ms) else { return };
    // The sign that ends a name is no sign of its own within a key.
    let shown = view.key.to_string().replace('=', "\\=");
    let _ = write!(out, "{:#x}: key={shown} use={} exp={}", number + 1, view.users, view.expires_in_ms);
    for (name, element, period, value) in &view.data {
        let value = if value.is_empty() { "-" } else { value };
        let _ = match (element, period) {
            (None, None) => write!(out, " {name}={value}"),
            (None, Some(p)) => write!(out, " {name}({p})={value}"),
            // The number stands behind what is counted: `gpc1_rate`.
            (Some(e), None) => write!(out, " {name}{e}={value}"),
            (Some(e), Some(p)) => write!(out, " {}{e}_rate({p})={value}", name.trim_end_matches("_rate")),
        };
    }
    out.push('\n');
}

/// `clear table TABLE [key KEY | data.TYPE OP VALUE …]`.
fn clear(call: &mut Call<'_>) -> Answer {
    if call.word(2).is_empty() {
        return Answer::error(
            "Required arguments: <table> \"data.<store_data_type>\" <operator> <value> or <table> key <key>\n",
        );
    }
    let shared = match table(call) {
        Ok(shared) => shared,
        Err(answer) => return answer,
    };
    let selected = match selection(call, &shared, true) {
        Ok(selected) => selected,
        Err(answer) => return answer,
    };
    let now_ms = clock_ms(Instant::now());
    let mut table = shared.lock();
    match selected {
        Selection::Key(key) if table.users(&key) > 0 => {
            return Answer::error("Entry currently in use, cannot remove\n");
        }
        Selection::Key(key) => {
            table.remove(&key);
        }
        Selection::Filters(filters) => {
            for key in table.keys(now_ms) {
                if table.users(&key) == 0 && passes(&table, &key, &filters, now_ms) {
                    table.remove(&key);
                }
            }
        }
    }
    Answer::Done
}

/// `set table TABLE key KEY data.TYPE VALUE …`.
fn set(call: &mut Call<'_>) -> Answer {
    if call.word(2).is_empty() {
        return Answer::error("\"<table>\" argument expected\n");
    }
    let shared = match table(call) {
        Ok(shared) => shared,
        Err(answer) => return answer,
    };
    if call.word(3) != "key" {
        return Answer::Done;
    }
    let key = match key(call, &shared) {
        Ok(key) => key,
        Err(answer) => return answer,
    };
    let now_ms = clock_ms(Instant::now());
    let mut table = shared.lock();
    table.touch(&key, now_ms);
    for pair in call.words[5..].chunks(2) {
        let (name, value) = (pair[0], pair.get(1).copied().unwrap_or_default());
        let Some(name) = name.starts_with("data.").then_some(name) else {
            return Answer::error("\"data.<type>\" followed by a value expected\n");
        };
        let Some(data) = data_type(name) else { return Answer::error("Unknown data type\n") };
        if !table.stores(data, 0) {
            return Answer::error("Data type not stored in this table\n");
        }
        let Ok(value) = value.parse() else {
            return Answer::error("Require a valid integer value to store\n");
        };
        table.set(&key, data, 0, value);
    }
    Answer::Done
}
