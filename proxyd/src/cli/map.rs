//! Commands about ACL and map files.

use super::{Answer, Call, CommandRow, row};
use crate::acl::file::PatRef;
use crate::acl::matcher::Method;
use crate::config::model::Level::{Admin, User};
use crate::sample::{Type, Value};
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// The commands.
pub const COMMANDS: &[CommandRow] = &[
    row(&["add", "acl"], "add acl [@<ver>] <acl> <pattern>", "add an acl entry", Admin, add),
    row(
        &["add", "map"],
        "add map [@<ver>] <map> <key> <val>",
        "add a map entry (payload supported instead of key/val)",
        Admin,
        add,
    ),
    row(&["clear", "acl"], "clear acl [@<ver>] <acl>", "clear the contents of this acl", Admin, clear),
    row(&["clear", "map"], "clear map [@<ver>] <map>", "clear the contents of this map", Admin, clear),
    row(&["commit", "acl"], "commit acl @<ver> <acl>", "commit the ACL at this version", Admin, commit),
    row(&["commit", "map"], "commit map @<ver> <map>", "commit the map at this version", Admin, commit),
    row(&["del", "acl"], "del acl <acl> [<key>|#<ref>]", "delete acl entries matching <key>", Admin, delete),
    row(&["del", "map"], "del map <map> [<key>|#<ref>]", "delete map entries matching <key>", Admin, delete),
    row(
        &["get", "acl"],
        "get acl <acl> <value>",
        "report the patterns matching a sample for an ACL",
        User,
        get,
    ),
    row(
        &["get", "map"],
        "get map <acl> <value>",
        "report the keys and values matching a sample for a map",
        User,
        get,
    ),
    row(
        &["prepare", "acl"],
        "prepare acl <acl>",
        "prepare a new version for atomic ACL replacement",
        Admin,
        prepare,
    ),
    row(
        &["prepare", "map"],
        "prepare map <acl>",
        "prepare a new version for atomic map replacement",
        Admin,
        prepare,
    ),
    row(&["set", "map"], "set map <map> [<key>|#<ref>] <value>", "modify a map entry", Admin, set),
    row(
        &["show", "acl"],
        "show acl [@<ver>] <acl>]",
        "report available acls or dump an acl's contents",
        User,
        show,
    ),
    row(
        &["show", "map"],
        "show map [@ver] [map]",
        "report available maps or dump a map's contents",
        User,
        show,
    ),
];

/// Whether the command is about maps.
fn is_map(call: &Call<'_>) -> bool {
    call.word(1) == "map"
}

fn kind(call: &Call<'_>) -> &'static str {
    if is_map(call) { "map" } else { "ACL" }
}

/// The version behind `@`, and where the words behind it begin.
fn version(call: &Call<'_>) -> Result<(Option<u32>, usize), Answer> {
    match call.word(2).strip_prefix('@') {
        None => Ok((None, 2)),
        Some(text) => match text.parse() {
            Ok(version) => Ok((Some(version), 3)),
            Err(_) => Err(Answer::error("Invalid version number.\n")),
        },
    }
}

fn list(call: &Call<'_>, word: usize) -> Result<Arc<PatRef>, Answer> {
    let kind = kind(call);
    if call.word(word).is_empty() {
        return Err(Answer::error(format!("Missing {kind} identifier.\n")));
    }
    call.generation
        .config
        .patterns
        .find(call.word(word))
        .filter(|l| if is_map(call) { l.is_map.load(Relaxed) } else { true })
        .ok_or_else(|| Answer::error(format!("Unknown {kind} identifier. Please use #<id> or <file>.\n")))
}

macro_rules! known {
    ($result:expr) => {
        match $result {
            Ok(value) => value,
            Err(answer) => return answer,
        }
    };
}

/// `show acl|map [@VERSION] [LIST]`.
fn show(call: &mut Call<'_>) -> Answer {
    let (version, at) = known!(version(call));
    if call.word(at).is_empty() {
        return Answer::Dump(show_all(call));
    }
    let list = known!(list(call, at));
    let mut out = String::new();
    for (id, entry) in list.entries_at(version) {
        let _ = write!(out, "{:#x} {}", id_shown(id), entry.key);
        let _ = if entry.value.is_empty() { writeln!(out) } else { writeln!(out, " {}", entry.value) };
    }
    Answer::Dump(out)
}

/// Entries are named by numbers that look like haproxy's addresses, never 0.
fn id_shown(id: u32) -> u64 {
    u64::from(id) + 1
}

fn show_all(call: &Call<'_>) -> String {
    let mut out = String::from("# id (file) description\n");
    for list in call.generation.config.patterns.lists() {
        let shown = if is_map(call) { list.is_map.load(Relaxed) } else { !list.is_map.load(Relaxed) };
        if shown || (!is_map(call) && list.is_acl.load(Relaxed)) {
            let versions = list.versions();
            let _ = writeln!(
                out,
                "{} ({}) {}. curr_ver={} next_ver={} entry_cnt={}",
                list.id, list.name, list.display, versions.current, versions.next, versions.entries
            );
        }
    }
    out
}

/// `get acl|map LIST VALUE`.
fn get(call: &mut Call<'_>) -> Answer {
    let text = call.word(3);
    if call.word(2).is_empty() || text.is_empty() {
        return Answer::error(format!("Missing {} identifier and/or key.\n", kind(call)));
    }
    let list = known!(list(call, 2));
    let mut out = String::new();
    for (method, ignore_case) in list.methods() {
        let case = if ignore_case { "insensitive" } else { "sensitive" };
        let _ = write!(out, "type={}, case={case}, ", method.name());
        let found = list.look_up(method, ignore_case, &sample(method, text));
        let index = if matches!(method, Method::Ip | Method::Str | Method::Beg) { "tree" } else { "list" };
        let _ = match (is_map(call), found) {
            (true, Some(e)) => {
                writeln!(
                    out,
                    "found=yes, idx={index}, key=\"{}\", value=\"{}\", type=\"str\"",
                    e.key, e.value
                )
            }
            (true, None) => writeln!(out, "found=no"),
            (false, Some(e)) => writeln!(out, "match=yes, idx={index}, pattern=\"{}\"", e.key),
            (false, None) => writeln!(out, "match=no"),
        };
    }
    Answer::Dump(out)
}

/// The text as the sample that a method compares.
fn sample(method: Method, text: &str) -> Value<'_> {
    let plain = Value::str(text.as_bytes());
    match method.wants() {
        Type::Str => plain,
        other => plain.clone().cast(other).unwrap_or(plain),
    }
}

/// `add acl|map [@VERSION] LIST …`.
fn add(call: &mut Call<'_>) -> Answer {
    let (version, at) = known!(version(call));
    let (map, key, value) = (is_map(call), call.word(at + 1), call.word(at + 2));
    let complete = match call.payload {
        Some(_) => !call.word(at).is_empty() && key.is_empty(),
        None => !key.is_empty() && (!map || !value.is_empty()),
    };
    if !complete {
        return Answer::error(if map {
            "'add map' expects three parameters (map identifier, key and value) or one parameter (map identifier) \
             and a payload\n"
        } else {
            "'add acl' expects two parameters: ACL identifier and pattern, or one parameter (ACL identifier) and a \
             payload\n"
        });
    }
    let list = known!(list(call, at));
    let put = |key: &str, value: &str| match version {
        None => list.add(key, value),
        Some(v) if list.add_at(v, key, value) => Ok(()),
        Some(_) => Err("Version number out of range.".to_owned()),
    };
    let lines = call.payload.into_iter().flat_map(str::lines).filter(|l| !l.trim().is_empty());
    let pairs: Vec<(&str, &str)> = if call.payload.is_some() {
        lines
            .map(|l| if map { l.trim_start().split_once([' ', '\t']).unwrap_or((l, "")) } else { (l, "") })
            .collect()
    } else {
        vec![(key, if map { value } else { "" })]
    };
    for (key, value) in pairs {
        if map && value.is_empty() {
            return Answer::error(format!("Missing value for key '{key}'.\n"));
        }
        if let Err(text) = put(key, value.trim_start()) {
            return Answer::error(format!("{}.\n", text.trim_end_matches(['.', '\n'])));
        }
    }
    Answer::Done
}

/// `del acl|map LIST KEY|#ID`.
fn delete(call: &mut Call<'_>) -> Answer {
    if call.word(3).is_empty() {
        return Answer::error(format!(
            "This command expects two parameters: {} identifier and key.\n",
            kind(call)
        ));
    }
    let list = known!(list(call, 2));
    let hit = match reference(call.word(3)) {
        Some(id) => list.remove_id(id),
        None => list.remove(call.word(3)),
    };
    if hit { Answer::Done } else { Answer::error("Key not found.\n") }
}

/// `#0x12`: an entry by its number.
fn reference(word: &str) -> Option<u32> {
    let text = word.strip_prefix("#0x").or_else(|| word.strip_prefix('#'))?;
    u32::from_str_radix(text, 16).ok()?.checked_sub(1)
}

/// `set map LIST KEY|#ID VALUE`.
fn set(call: &mut Call<'_>) -> Answer {
    if call.word(4).is_empty() {
        return Answer::error("'set map' expects three parameters: map identifier, key and value.\n");
    }
    let list = known!(list(call, 2));
    let hit = match reference(call.word(3)) {
        Some(id) => list.set_id(id, call.word(4)),
        None => list.set(call.word(3), call.word(4)),
    };
    if hit { Answer::Done } else { Answer::error("entry not found.\n") }
}

/// `clear acl|map [@VERSION] LIST`.
fn clear(call: &mut Call<'_>) -> Answer {
    let (version, at) = known!(version(call));
    let list = known!(list(call, at));
    match version {
        None => list.clear(),
        Some(v) if v == list.versions().current => list.clear(),
        Some(v) => {
            list.drop_version(v);
        }
    }
    Answer::Done
}

/// `prepare acl|map LIST`.
fn prepare(call: &mut Call<'_>) -> Answer {
    let list = known!(list(call, 2));
    Answer::info(format!("New version created: {}\n", list.prepare()))
}

/// `commit acl|map @VERSION LIST`.
fn commit(call: &mut Call<'_>) -> Answer {
    let (version, at) = known!(version(call));
    let Some(version) = version else { return Answer::error("Missing version number.\n") };
    let list = known!(list(call, at));
    match list.commit(version) {
        Ok(true) => Answer::Done,
        Ok(false) => Answer::error("Version number out of range.\n"),
        Err(text) => Answer::error(text),
    }
}
