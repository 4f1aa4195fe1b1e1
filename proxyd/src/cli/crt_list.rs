//! Commands about lists of certificates: shown, and entries added and taken away while running (management manual,
//! `add ssl crt-list` and its kin), and about keys of tickets.

use super::{Answer, Call, CommandRow, row};
use crate::config::model::Level::{Admin, User};
use base64::Engine as _;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tls::crt_list::{Entry, EntryFault, Line};

/// The commands.
pub const COMMANDS: &[CommandRow] = &[
    row(
        &["add", "ssl", "crt-list"],
        "add ssl crt-list <list> <cert> [opts]*",
        "add to crt-list file <list> a line <cert> or a payload",
        Admin,
        add,
    ),
    row(
        &["del", "ssl", "crt-list"],
        "del ssl crt-list <list> <cert[:line]>",
        "delete a line <cert> from crt-list file <list>",
        Admin,
        delete,
    ),
    row(
        &["set", "ssl", "tls-key"],
        "set ssl tls-key [id|file] <key>",
        "set the next TLS key for the <id> or <file> listener to <key>",
        Admin,
        set_key,
    ),
    row(
        &["show", "ssl", "crt-list"],
        "show ssl crt-list [-n] [<list>]",
        "show the list of crt-lists or the content of a crt-list file <list>",
        Admin,
        show,
    ),
    row(&["show", "ssl", "providers"], "show ssl providers", "show loaded SSL providers", User, |_| {
        Answer::Dump("Loaded providers : \n\t- aws-lc-rs\n".to_owned())
    }),
    row(
        &["show", "tls-keys"],
        "show tls-keys [id|*]",
        "show tls keys references or dump tls ticket keys when id specified",
        User,
        show_keys,
    ),
];

/// A list by its name, which may end in slashes.
fn named(word: &str) -> &Path {
    Path::new(if word.len() > 1 { word.trim_end_matches('/') } else { word })
}

fn add(call: &mut Call<'_>) -> Answer {
    let (list, word) = (call.word(3), call.word(4));
    if list.is_empty() || (word.is_empty() && call.payload.is_none()) {
        return Answer::error("'add ssl crtlist' expects a filename and a certificate name\n");
    }
    let fail = |text: String| Answer::error(format!("Can't edit the crt-list: {text}\n"));
    let library = &call.generation.tls.library;
    if library.lists.entries(named(list)).is_none() {
        return fail(format!("crt-list '{list}' does not exist!"));
    }
    let mut line = match call.payload {
        Some(text) => match tls::crt_list::parse(text).as_deref() {
            Ok([line]) => line.clone(),
            _ => return fail("expects one line of a crt-list as a payload".to_owned()),
        },
        None => Line { number: 1, file: word.to_owned(), options: None, filters: Vec::new() },
    };
    let global = &call.generation.config.global;
    line.file = tls::crt_list::based(Path::new(&line.file), global.crt_base.as_deref()).display().to_string();
    match library.add_entry(named(list), &line, global.ca_base.as_deref()) {
        Ok(()) => Answer::info(format!(
            "Inserting certificate '{}' in crt-list '{}'.\nSuccess!\n",
            line.file,
            named(list).display()
        )),
        Err(EntryFault::Empty) => fail(format!("certificate '{}' is empty!", line.file)),
        Err(EntryFault::Words(text)) => fail(text),
        Err(_) => fail(format!("certificate '{}' does not exist!", line.file)),
    }
}

fn delete(call: &mut Call<'_>) -> Answer {
    let (list, word) = (call.word(3), call.word(4));
    if list.is_empty() || word.is_empty() {
        return Answer::error("'del ssl crtlist' expects a filename and a certificate name\n");
    }
    let (file, line) = match word.rsplit_once(':') {
        Some((file, line)) if line.parse::<usize>().is_ok() => (file, line.parse().ok()),
        _ => (word, None),
    };
    let path = tls::crt_list::based(Path::new(file), call.generation.config.global.crt_base.as_deref());
    let library = &call.generation.tls.library;
    let path = if library.find(&path).is_some() { path } else { PathBuf::from(file) };
    let numbers = |lines: &[usize]| lines.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
    let why = match library.delete_entry(named(list), &path, line) {
        Ok(()) => {
            return Answer::info(format!(
                "Entry '{}' deleted in crtlist '{}'!\n",
                path.display(),
                named(list).display()
            ));
        }
        Err(EntryFault::NoList) => format!("crt-list '{list}' does not exist!"),
        Err(EntryFault::Several(lines)) => format!(
            "found the certificate '{file}' in several entries, please specify a line number preceded by colons ({})!",
            numbers(&lines)
        ),
        Err(EntryFault::Line(lines)) => format!(
            "found a certificate '{file}' but the line number is incorrect, please specify a correct line number \
             preceded by colons ({})!",
            numbers(&lines)
        ),
        Err(EntryFault::Default(who)) => {
            let each: Vec<String> = who.iter().map(|w| format!("\t- {w}")).collect();
            format!(
                "certificate '{file}' cannot be deleted, it is used as default certificate by the following \
                 frontends:\n{}\n",
                each.join("\n")
            )
        }
        Err(_) => format!("certificate '{file}' does not exist!"),
    };
    Answer::error(format!("Can't delete the entry: {why}\n"))
}

fn show(call: &mut Call<'_>) -> Answer {
    let numbered = call.word(3) == "-n";
    let word = call.word(if numbered { 4 } else { 3 });
    let lists = &call.generation.tls.library.lists;
    if word.is_empty() {
        if numbered {
            return Answer::error("'show ssl crt-list -n' expects a filename or a directory\n");
        }
        let names = lists.names();
        return Answer::Dump(names.iter().fold(String::new(), |all, n| format!("{all}{}\n", n.display())));
    }
    let Some(entries) = lists.entries(named(word)) else {
        return Answer::error("didn't find the specified filename\n");
    };
    let mut out = format!("# {}\n", named(word).display());
    let ca_base = call.generation.config.global.ca_base.as_deref();
    for entry in entries {
        let _ = write!(out, "{}", entry.file.display());
        if numbered {
            let _ = write!(out, ":{}", entry.line);
        }
        written(&entry, ca_base, &mut out);
        out.push('\n');
    }
    Answer::Dump(out)
}

/// Options in the order of their table, which is the original's, then names.
fn written(entry: &Entry, ca_base: Option<&Path>, out: &mut String) {
    if let Some(words) = &entry.options {
        let mut shown = Vec::new();
        for option in tls::crt_list::OPTIONS.iter().filter(|o| o.shown) {
            let Some(at) = words.iter().rposition(|w| w == option.name) else { continue };
            let name = option.name;
            if option.lone {
                shown.push(name.to_owned());
                continue;
            }
            let Some(value) = words.get(at + 1) else { continue };
            shown.push(match name {
                "ca-file" | "crl-file" => {
                    format!("{name} {}", tls::crt_list::authority(value, ca_base).display())
                }
                _ => format!("{name} {value}"),
            });
        }
        let _ = write!(out, " [{}]", shown.join(" "));
    }
    for filter in &entry.filters {
        let _ = write!(out, " {filter}");
    }
}

/// The keys that a word names, by number or file.
fn keys<'a>(call: &'a Call<'_>, word: &str) -> Option<(usize, &'a Arc<tls::tickets::Keys>)> {
    let all = &call.generation.tls.ticket_keys;
    let number = word.strip_prefix('#').unwrap_or(word).parse::<usize>().ok();
    let at = number.or_else(|| all.iter().position(|k| k.path == Path::new(word)))?;
    all.get(at).map(|keys| (at, keys))
}

fn set_key(call: &mut Call<'_>) -> Answer {
    let (word, text) = (call.word(3), call.word(4));
    if word.is_empty() || text.is_empty() {
        return Answer::error(
            "'set ssl tls-key' expects a filename and the new TLS key in base64 encoding.\n",
        );
    }
    let Some((_, held)) = keys(call, word) else {
        return Answer::error("'set ssl tls-key' unable to locate referenced filename\n");
    };
    let Ok(key) = base64::engine::general_purpose::STANDARD.decode(text) else {
        return Answer::error("'set ssl tls-key' received invalid base64 encoded TLS key.\n");
    };
    if held.rotate(key) {
        Answer::info("TLS ticket key updated!\n")
    } else {
        Answer::error("'set ssl tls-key' received a key of wrong size.\n")
    }
}

fn show_keys(call: &mut Call<'_>) -> Answer {
    let word = call.word(2);
    if !word.is_empty() && call.session.level < Admin {
        return Answer::error("Permission denied\n");
    }
    let all: Vec<_> = call.generation.tls.ticket_keys.iter().enumerate().collect();
    let wanted = match word {
        "" | "*" => all,
        _ => match keys(call, word) {
            Some(found) => vec![found],
            None => return Answer::error("'show tls-keys' unable to locate referenced filename\n"),
        },
    };
    let secrets = !word.is_empty();
    let mut out = format!("# id {}\n", if secrets { "secret" } else { "(file)" });
    for (at, held) in wanted {
        let file = held.path.display();
        if !secrets {
            let _ = writeln!(out, "{at} ({file})");
            continue;
        }
        let _ = writeln!(out, "# {at} ({file})");
        for (number, key) in held.keys().iter().enumerate() {
            let _ = writeln!(out, "{at}.{number} {}", base64::engine::general_purpose::STANDARD.encode(key));
        }
    }
    Answer::Dump(out)
}
