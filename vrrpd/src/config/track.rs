//! The items of `track_interface`, `track_script`, `track_file`, `track_process` and `track_bfd`, for instances and
//! sync groups alike.

use super::Builder;
use super::model::Tracked;
use conf_parsers::keepalived::walk::{Line, Step};

/// What the texts of one kind of tracked thing look like.
struct Kind {
    /// `duplicate {duplicate} X - ignoring`.
    duplicate: &'static str,
    /// `unknown {option} X option …`.
    option: &'static str,
    /// `weight without value specified for {value} X`.
    value: &'static str,
    /// Largest weight.
    max: i32,
}

const INTERFACE: Kind =
    Kind { duplicate: "track_interface", option: "track_interface", value: "track_interface", max: 253 };
const SCRIPT: Kind =
    Kind { duplicate: "track_script", option: "track script", value: "track script", max: 253 };
const FILE: Kind = Kind { duplicate: "track_file", option: "track file", value: "track file", max: 254 };
const PROCESS: Kind =
    Kind { duplicate: "track_process", option: "track process", value: "track process", max: 254 };
/// What `track_bfd` comes to.
pub(super) const NO_BFD: &str = "there is no BFD session; only the other trackers count";

const BFD: Kind = Kind { duplicate: "track_bfd", option: "track bfd", value: "track bfd", max: 253 };

/// Reads `NAME [weight W [reverse|noreverse]]` into `list`; `default` is the thing's own weight.
fn item(
    line: &mut Line<'_>,
    owner: &str,
    list: &mut Vec<Tracked>,
    kind: &Kind,
    default: (i32, bool),
) -> Step {
    let name = line.need(0)?;
    if list.iter().any(|t| t.name == name) {
        line.say(format!("({owner}) duplicate {} {name} - ignoring", kind.duplicate));
        return Ok(());
    }
    let mut tracked = Tracked { name: name.to_owned(), weight: default.0, reverse: default.1 };
    match line.get(1) {
        None => {}
        Some("weight") => {
            let Some(word) = line.get(2) else {
                line.say(format!(
                    "({owner}) weight without value specified for {} {name} - ignoring",
                    kind.value
                ));
                list.push(tracked);
                return Ok(());
            };
            weight(line, owner, &mut tracked, kind, word);
        }
        Some(option) => {
            line.say(format!("({owner}) unknown {} {name} option {option} - ignoring", kind.option));
        }
    }
    list.push(tracked);
    Ok(())
}

fn weight(line: &mut Line<'_>, owner: &str, tracked: &mut Tracked, kind: &Kind, word: &str) {
    /// The original reads one more than it takes, for messages of its own.
    const READ_MAX: i32 = 254;
    let name = tracked.name.clone();
    let limits = format!("[-{}..{}]", kind.max, kind.max);
    let value = line.signed(word, -READ_MAX, READ_MAX);
    match value {
        Some(weight) if weight.abs() <= kind.max => {
            tracked.weight = weight;
            tracked.reverse = false;
        }
        Some(weight) if kind.duplicate == "track_interface" => {
            line.say(format!("({owner}) weight for {name} cannot be +/-254. Setting to +/-253"));
            tracked.weight = weight.signum() * kind.max;
        }
        _ => line.say(match kind.duplicate {
            "track_interface" => {
                format!("({owner}) weight {word} for {name} must be between {limits} inclusive. Ignoring...")
            }
            "track_script" => {
                format!(
                    "({owner}) track script {name}: weight must be between {limits} inclusive, ignoring..."
                )
            }
            _ => format!(
                "({owner}) weight for {} {name} must be in {limits} inclusive. Ignoring...",
                kind.value
            ),
        }),
    }
    match line.get(3) {
        None | Some("noreverse") => {}
        Some("reverse") => tracked.reverse = true,
        Some(option) => {
            let what = match kind.duplicate {
                "track_interface" => "track_interace",
                "track_bfd" => "track bfd",
                other => other,
            };
            line.say(format!("({owner}) unknown {what} {name} weight option {option} - ignoring"));
        }
    }
}

/// Runs `f` on the owner's name and list.
macro_rules! owner {
    ($b:ident, $group:ident, $list:ident) => {
        if $group {
            ($b.group.g.name.clone(), &mut $b.group.g.$list)
        } else {
            ($b.draft.i.name.clone(), &mut $b.draft.i.$list)
        }
    };
}

/// An item of `track_interface`.
pub(super) fn interface(b: &mut Builder, line: &mut Line<'_>, group: bool) -> Step {
    let name = line.need(0)?;
    let missing = !b.interface_exists(name);
    let (owner, list) = owner!(b, group, track_interfaces);
    if missing {
        line.say(format!("({owner}) tracked interface {name} doesn't exist"));
        b.missing_interface = true;
        return Ok(());
    }
    item(line, &owner, list, &INTERFACE, (0, false))
}

/// An item of `track_script`; the script must be defined already.
pub(super) fn script(b: &mut Builder, line: &mut Line<'_>, group: bool) -> Step {
    let name = line.need(0)?;
    let default = b.config.scripts.iter().find(|s| s.name == name).map(|s| (s.weight, s.reverse));
    let (owner, list) = owner!(b, group, track_scripts);
    match default {
        Some(default) => item(line, &owner, list, &SCRIPT, default),
        None => {
            line.say(format!("({owner}) track script {name} not found, ignoring..."));
            Ok(())
        }
    }
}

/// An item of `track_file`.
pub(super) fn file(b: &mut Builder, line: &mut Line<'_>, group: bool) -> Step {
    let name = line.need(0)?;
    let default = b.track_files.iter().find(|f| f.name == name).map(|f| (f.weight, f.reverse));
    let (owner, list) = owner!(b, group, track_files);
    match default {
        Some(default) => item(line, &owner, list, &FILE, default),
        None => {
            line.say(format!("({owner}) track file {name} not found, ignoring..."));
            Ok(())
        }
    }
}

/// An item of `track_process`.
pub(super) fn process(b: &mut Builder, line: &mut Line<'_>, group: bool) -> Step {
    let name = line.need(0)?;
    let default = b.config.processes.iter().find(|p| p.name == name).map(|p| (p.weight, p.reverse));
    let (owner, list) = owner!(b, group, track_processes);
    match default {
        Some(default) => item(line, &owner, list, &PROCESS, default),
        None => {
            line.say(format!("({owner}) track process {name} not found, ignoring..."));
            Ok(())
        }
    }
}

/// An item of `track_bfd`.
pub(super) fn bfd(b: &mut Builder, line: &mut Line<'_>, group: bool) -> Step {
    let (owner, list) = owner!(b, group, track_bfds);
    item(line, &owner, list, &BFD, (0, false))
}
