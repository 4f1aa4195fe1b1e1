//! `-dK`: every keyword that this program knows, by class, in haproxy's form.
//!
//! Invariant: a class prints the rows of the tables that do the work; there is no second list.

use super::master_cli;
use crate::sample::source::Points;
use crate::{acl, cli, config, conv, fetch};
use std::fmt::Write;

/// A class, what `help` says of it, and what prints it.
type Class = (&'static str, &'static str, fn(&mut String));

/// All classes, in the order in which they are printed.
const CLASSES: [Class; 7] = [
    ("acl", "ACL keywords", acls),
    ("cfg", "configuration keywords", words),
    ("cli", "CLI keywords", commands),
    ("cnv", "sample converter keywords", converters),
    ("flt", "filter names", filters),
    ("smp", "sample fetch functions", fetches),
    ("svc", "service names", services),
];

/// The names under which classes are known elsewhere.
const OTHER_NAMES: [(&str, &str); 2] = [("conv", "cnv"), ("fetch", "smp")];

/// What `-dKCLASSES` prints; classes are names between commas.
pub fn dump(classes: &str) -> String {
    let mut out = String::new();
    let wanted: Vec<&str> = classes
        .split(',')
        .map(|name| OTHER_NAMES.iter().find(|(n, _)| *n == name).map_or(name, |(_, class)| class))
        .collect();
    if wanted.contains(&"help") {
        out.push_str("# List of supported keyword classes:\nall: list all keywords\n");
        for (name, what, _) in CLASSES {
            let _ = writeln!(out, "{name}: {what}");
        }
    }
    for (name, _, print) in CLASSES {
        if wanted.contains(&name) || wanted.contains(&"all") {
            print(&mut out);
        }
    }
    out
}

fn head(out: &mut String, what: &str) {
    let _ = writeln!(out, "# List of registered {what}:");
}

fn sorted(out: &mut String, lines: impl Iterator<Item = String>) {
    let mut lines: Vec<String> = lines.collect();
    lines.sort_unstable();
    lines.dedup();
    for line in lines {
        let _ = writeln!(out, "{line}");
    }
}

fn acls(out: &mut String) {
    head(out, "ACL keywords");
    let line = |(name, fetch, method): &(&str, &str, acl::matcher::Method)| {
        format!("{name} = {fetch} -m {}", method.name())
    };
    sorted(out, acl::ALIASES.iter().map(line));
}

fn words(out: &mut String) {
    head(out, "configuration keywords");
    for line in config::words::lines() {
        let _ = writeln!(out, "{line}");
    }
}

fn commands(out: &mut String) {
    head(out, "CLI keywords");
    let masters = master_cli::command_names();
    let of_workers = cli::all_commands().filter(|c| c.absent.is_none()).map(|c| {
        let name = c.words.join(" ");
        let both = if masters.contains(&name) { "[MASTER] " } else { "" };
        let expert = if c.expert { "[EXPERT] " } else { "" };
        // The two that switch modes on need none.
        let new = if c.experimental && !name.ends_with("-mode") { "[EXPERIM] " } else { "" };
        format!("{name} {both}[WORKER] {expert}{new}")
    });
    let of_sessions = cli::OWN_WORDS.iter().map(|name| format!("{name} [MASTER] [WORKER] "));
    let workers: Vec<String> = of_workers.chain(of_sessions).collect();
    let alone = masters.iter().filter(|m| !workers.iter().any(|w| w.starts_with(&format!("{m} [MASTER] "))));
    let alone: Vec<String> = alone.map(|m| format!("{m} [MASTER] ")).collect();
    sorted(out, workers.into_iter().chain(alone));
}

/// `(…)`, or nothing.
fn arguments(args: &str) -> String {
    if args.is_empty() { String::new() } else { format!("({args})") }
}

fn converters(out: &mut String) {
    head(out, "sample converter functions");
    let rows = conv::CONVERTERS.iter().copied().flatten();
    let line =
        |r: &conv::Row| format!("{}{}: {} => {}", r.name, arguments(r.args), r.output.name(), r.input.name());
    sorted(out, rows.map(line));
}

fn filters(out: &mut String) {
    head(out, "filter names");
    out.push_str("cache [CACHE]\ncompression [COMP]\ntrace [TRACE]\n");
}

fn services(out: &mut String) {
    head(out, "service names");
    out.push_str("prometheus-exporter\n");
}

/// Points of a transaction, in the order of their bits.
const POINTS: [&str; 22] = [
    "frontend tcp-request connection rule",
    "frontend tcp-request session rule",
    "frontend tcp-request content rule",
    "frontend http-request header rule",
    "frontend http-request body rule",
    "frontend use-backend rule",
    "backend tcp-request content rule",
    "backend http-request header rule",
    "backend http-request body rule",
    "backend use-server, balance or stick-match rule",
    "server source selection",
    "backend tcp-response content rule",
    "backend http-response header rule",
    "backend http-response body rule",
    "backend stick-store rule",
    "frontend tcp-response content rule",
    "frontend http-response header rule",
    "frontend http-response body rule",
    "logs",
    "backend tcp-check rule",
    "configuration parser",
    "CLI parser",
];

fn fetches(out: &mut String) {
    head(out, "sample fetch functions");
    let count = POINTS.len();
    for (i, what) in POINTS.iter().enumerate() {
        let (before, after) = (" ".repeat(count + 1 - i), "-".repeat(count - i));
        let _ = writeln!(out, "#{before}{}_.{after} {what}", "/ ".repeat(i));
    }
    let _ = writeln!(out, "# {} \n# {}", "/ ".repeat(count), "| ".repeat(count));
    let rows = fetch::FETCHES.iter().copied().flatten();
    let mut lines: Vec<(&str, String)> = rows
        .map(|r| {
            let points = r.source.points();
            let at = |bit: u32| if points.covers_any(Points(1 << bit)) { 'Y' } else { '.' };
            let marks: String = (0..count as u32).flat_map(|bit| [at(bit), ' ']).collect();
            (r.name, format!("[ {marks}] {}{}: {}", r.name, arguments(r.args), r.output.name()))
        })
        .collect();
    lines.sort_unstable();
    lines.dedup();
    for (_, line) in lines {
        let _ = writeln!(out, "{line}");
    }
}
