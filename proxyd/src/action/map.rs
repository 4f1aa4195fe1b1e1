//! Edits of pattern lists by rules: `set-map`, `del-map`, `add-acl`, `del-acl`.

use super::header::format;
use super::sets::Set;
use super::{Action, Flow, act};
use crate::acl::file::PatRef;
use crate::log::Format;
use crate::sample::expr::Scope;
use conf_parsers::args::Args;
use std::sync::Arc;

struct Edit {
    list: Arc<PatRef>,
    key: Format,
    value: Option<Format>,
    remove: bool,
}

/// `set-map(FILE) KEY VALUE`, `del-map(FILE) KEY`, `add-acl(FILE) KEY`, `del-acl(FILE) KEY`.
pub fn edit(args: &mut Args<'_>, scope: &mut Scope<'_>, set: Set) -> Result<Box<dyn Action>, String> {
    let word = args.keyword().as_str().to_owned();
    let (verb, rest) = word.split_once('(').unwrap_or((&word, ""));
    let name = rest.strip_suffix(')').ok_or("expects a ')' at the end of the pattern name")?;
    let (map, remove) = (verb.ends_with("-map"), verb.starts_with("del-"));
    let wanted = if verb == "set-map" { 2 } else { 1 };
    let count = args.rest().len();
    if count < wanted {
        let many = if wanted == 2 { "expects exactly 2 arguments" } else { "expects exactly 1 arguments" };
        return Err(many.into());
    }
    let key = format(args.next().map_or("", |w| w.as_str()), scope, set)?;
    let value = match args.next().filter(|_| wanted == 2) {
        Some(w) => Some(format(w.as_str(), scope, set)?),
        None => None,
    };
    let (file, line) = scope.origin;
    let display = format!("pattern loaded from file '{name}' used by {verb} at file '{file}' line {line}");
    // A list that only rules use may be named without being a file.
    let list = match scope.files.find(name) {
        Some(list) => list,
        None => match scope.files.open(name, map, display.clone()) {
            Ok(list) => list,
            Err(_) => scope.files.named(name, display, map),
        },
    };
    Ok(act("set-map", Edit { list, key, value, remove }, |e, view| {
        let text = |f: &Format| String::from_utf8_lossy(&f.to_bytes(view)).into_owned();
        let key = text(&e.key);
        if e.remove {
            e.list.remove(&key);
        } else if let Some(value) = &e.value {
            // A key that is no pattern of the list's kind is left out, as by the original.
            let _ = e.list.set_or_add(&key, &text(value));
        } else if !e.list.contains(&key) {
            let _ = e.list.add(&key, "");
        }
        Flow::Continue
    }))
}
