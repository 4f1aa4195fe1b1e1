//! `cache` sections (manual, 6.2.1).

use super::Loader;
use crate::http::cache::{BLOCK, Settings};
use conf_parsers::Line;
use conf_parsers::haproxy::Section;
use conf_parsers::value::wrapping_int;
use diag::{Diagnostic, Lead, Severity};

/// Largest `total-max-size`, in megabytes.
const MEGABYTES_MAX: i64 = 4095;
/// Blocks of a megabyte.
const BLOCKS: usize = (1 << 20) / BLOCK;

/// A fault, and whether it is told as a warning although the file is refused for it.
struct Fault {
    text: String,
    mild: bool,
}

fn mild(text: impl Into<String>) -> Fault {
    Fault { text: text.into(), mild: true }
}

/// `cache NAME` and its lines.
pub(super) fn section(loader: &mut Loader<'_>, section: &Section) {
    let Some(word) = section.header.words.get(1) else {
        return loader.report.alert(section.header.span, "'cache' expects a <name> argument");
    };
    let name = word.text.clone();
    if let Some(extra) = section.header.words.get(2) {
        let text = format!("'cache' cannot handle unexpected argument '{}'.", extra.text);
        return loader.report.alert(section.header.span, text);
    }
    if loader.config.caches.iter().any(|c| c.name == name) {
        let text = format!("Duplicate cache name '{name}'.");
        let alert = Diagnostic::at(Severity::Alert, section.header.span, text);
        return loader.report.push(alert.lead(Lead::Tight));
    }
    let mut cache =
        Settings { name, blocks: 0, max_object: 0, max_age: 60, process_vary: false, max_secondary: 10 };
    let mut faulty = false;
    for line in &section.lines {
        let Err(fault) = setting(loader, &mut cache, line) else { continue };
        faulty |= fault.mild;
        if fault.mild {
            let grave = Diagnostic::at(Severity::Grave, line.span, fault.text);
            loader.report.push(grave.lead(Lead::Tight));
        } else {
            loader.report.alert(line.span, fault.text);
        }
    }
    if !faulty {
        complete(loader, &mut cache);
    }
    loader.config.caches.push(cache);
}

/// What only the whole section shows.
fn complete(loader: &mut Loader<'_>, cache: &mut Settings) {
    let bytes = cache.blocks * BLOCK;
    if bytes == 0 {
        let text = format!("Size not specified for cache '{}'", cache.name);
        loader.report.push(Diagnostic::global(Severity::Alert, text));
    } else if cache.max_object > bytes / 2 {
        let text =
            format!("\"max-object-size\" is limited to an half of \"total-max-size\" => {}", bytes / 2);
        loader.report.push(Diagnostic::global(Severity::Alert, text));
    } else if cache.max_object == 0 {
        cache.max_object = bytes >> 8;
    }
}

fn setting(loader: &mut Loader<'_>, cache: &mut Settings, line: &Line) -> Result<(), Fault> {
    let keyword = line.keyword();
    let most = if keyword == "early-hints" { 3 } else { 1 };
    let word = line.words.get(1).map_or("", |w| w.text.as_str());
    let known = [
        "total-max-size",
        "max-object-size",
        "max-age",
        "process-vary",
        "max-secondary-entries",
        "early-hints",
    ];
    if !known.contains(&keyword) {
        let text = format!("unknown keyword '{keyword}' in 'cache' section");
        return Err(Fault { text, mild: false });
    }
    if let Some(extra) = line.words.get(most + 1) {
        let text = format!("'{keyword}' cannot handle unexpected argument '{}'.", extra.text);
        return Err(Fault { text, mild: false });
    }
    // What stands behind a number makes it wrong where haproxy looks at it.
    let digits = word.strip_prefix('-').unwrap_or(word);
    let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    let wrong = || mild(format!("{keyword} wrong value '{word}'"));
    match keyword {
        "total-max-size" => {
            if !is_number {
                return Err(wrong());
            }
            let megabytes = word.parse::<i64>().ok().filter(|n| (0..=MEGABYTES_MAX).contains(n));
            let text = format!("\"total-max-size\" ({word}) must not be greater than {MEGABYTES_MAX}");
            cache.blocks = megabytes.ok_or(mild(text))? as usize * BLOCKS;
        }
        "max-object-size" => {
            if word.is_empty() {
                let text = "'max-object-size' expects a maximum file size parameter in bytes.";
                tell(loader, line, text);
            }
            cache.max_object = word.parse().map_err(|_| wrong())?;
        }
        "max-age" => {
            if word.is_empty() {
                tell(loader, line, "'max-age' expects an age parameter in seconds.");
            }
            cache.max_age = u64::from(wrapping_int(word) as u32);
        }
        "process-vary" | "early-hints" => return switch(loader, cache, line, word),
        _ => {
            cache.max_secondary = word.parse::<u32>().ok().filter(|n| *n > 0).ok_or_else(wrong)? as usize;
        }
    }
    Ok(())
}

/// `process-vary on|off`, `early-hints on|off|only`.
fn switch(loader: &mut Loader<'_>, cache: &mut Settings, line: &Line, word: &str) -> Result<(), Fault> {
    match (line.keyword(), word) {
        ("process-vary", "on" | "off") => cache.process_vary = word == "on",
        ("process-vary", other) => {
            let text = "'process-vary' expects \"on\" or \"off\" (enable or disable vary processing).";
            if other.is_empty() {
                tell(loader, line, text);
            }
            tell(loader, line, text);
        }
        (_, "off") => {}
        (_, "on" | "only") => {
            loader.no_effect(line.span, "cache … early-hints", "no answers are announced by 103");
        }
        _ => {
            let text = "'early-hints' expects \"on\", \"off\" or \"only\".".to_owned();
            return Err(Fault { text, mild: false });
        }
    }
    Ok(())
}

/// Told, and gone on.
fn tell(loader: &mut Loader<'_>, line: &Line, text: &str) {
    let warning = Diagnostic::at(Severity::Warning, line.span, text);
    loader.report.push(warning.lead(Lead::Tight));
}
