//! `vrrp_script` and `vrrp_track_process`.

use super::Builder;
use super::model::{Command, ParamMatch, Script, TrackProcess};
use conf_parsers::keepalived::shared::{self, User};
use conf_parsers::keepalived::walk::{Line, Row, Step, Stop, words};
use std::time::Duration;

/// Seconds whose microseconds fill 32 bits.
const SECONDS_MAX: u32 = 4294;
/// Microseconds of the longest delay of a process, one hour.
const DELAY_MAX_US: u64 = 3_600_000_000;

/// A script under way.
#[derive(Debug, Clone, Default)]
pub(super) struct Draft {
    name: String,
    line: Option<(Vec<String>, String)>,
    user: Option<User>,
    user_failed: bool,
    interval: Option<Duration>,
    timeout: Option<Duration>,
    weight: i32,
    reverse: bool,
    rise: Option<u32>,
    fall: Option<u32>,
    init_fail: bool,
}

/// The keywords of `vrrp_script`.
pub(super) static ROWS: &[Row<Builder>] = &[
    words("script", "<STRING>|<QUOTED-STRING>", script),
    words("interval", "<DECIMAL>", interval),
    words("timeout", "<DECIMAL>", timeout),
    words("weight", "<INTEGER:-253..253> [reverse]", weight),
    words("rise", "<INTEGER>", |b, l| {
        b.script.rise = count(b, l, "rise")?;
        Ok(())
    }),
    words("fall", "<INTEGER>", |b, l| {
        b.script.fall = count(b, l, "fall")?;
        Ok(())
    }),
    words("user", "username [:][groupname]", user),
    words("init_fail", "", |b, _| {
        b.script.init_fail = true;
        Ok(())
    }),
];

/// The opening line.
pub(super) fn open(b: &mut Builder, line: &mut Line<'_>) -> Result<bool, Stop> {
    let name = line.need(1)?.to_owned();
    b.script = Draft { name, ..Draft::default() };
    Ok(true)
}

/// The end of the block.
pub(super) fn close(b: &mut Builder, line: &mut Line<'_>) {
    let draft = std::mem::take(&mut b.script);
    if draft.user_failed {
        return;
    }
    let name = draft.name;
    let Some((argv, text)) = draft.line else {
        line.say(format!("No script set for vrrp_script {name} - removing"));
        return;
    };
    let command = shared::Command { argv, text, user: draft.user };
    let Ok(command) = shared::with_default_user(line, command, &b.globals.script_user) else {
        line.say(format!("Unable to set default user for vrrp script {name} - removing"));
        return;
    };
    b.config.scripts.push(Script {
        name,
        command: super::command(command),
        interval: draft.interval.unwrap_or(Duration::from_secs(1)),
        timeout: draft.timeout,
        weight: draft.weight,
        reverse: draft.reverse,
        rise: draft.rise.unwrap_or(1),
        fall: draft.fall.unwrap_or(1),
        init_fail: draft.init_fail,
    });
}

fn script(b: &mut Builder, line: &mut Line<'_>) -> Step {
    line.need(1)?;
    let found = line.command();
    let Some(text) = found.first().cloned() else { return Ok(()) };
    let (argv, _) = conf_parsers::keepalived::command_words(&text);
    if argv.is_empty() {
        return Ok(());
    }
    if found.len() > 1 {
        let words: Vec<&str> = found[1..].iter().map(String::as_str).collect();
        take_user(b, line, &words, &argv);
    }
    b.script.line = Some((argv, text));
    Ok(())
}

fn user(b: &mut Builder, line: &mut Line<'_>) -> Step {
    line.need(1)?;
    let words: Vec<&str> = line.words[1..].iter().map(|w| w.text.as_str()).collect();
    let argv = b.script.line.as_ref().map(|(argv, _)| argv.clone()).unwrap_or_default();
    take_user(b, line, &words, &argv);
    Ok(())
}

fn take_user(b: &mut Builder, line: &mut Line<'_>, words: &[&str], argv: &[String]) {
    b.script.user = User::of_words(words);
    if b.script.user.is_none() {
        line.say(format!("Unable to set uid/gid for script {}", shared::quoted(argv)));
        b.script.user_failed = true;
    }
}

/// Seconds, whole or (as later versions take them) with decimals; the original's range.
fn time(line: &mut Line<'_>, word: &str) -> Option<Duration> {
    if word.contains('.') {
        return line.seconds(word, 1_000, u64::from(SECONDS_MAX) * 1_000_000);
    }
    line.unsigned(word, 0, SECONDS_MAX).map(|s| Duration::from_secs(s.into()))
}

fn interval(b: &mut Builder, line: &mut Line<'_>) -> Step {
    let word = line.need(1)?;
    let name = &b.script.name;
    match time(line, word) {
        None => line.say(format!(
            "({name}): vrrp script interval '{word}' must be between 1 and {SECONDS_MAX} - ignoring"
        )),
        Some(Duration::ZERO) => {
            line.say(format!("({name}): vrrp script interval must be greater than 0, setting to 1"));
            b.script.interval = Some(Duration::from_secs(1));
        }
        time => b.script.interval = time,
    }
    Ok(())
}

fn timeout(b: &mut Builder, line: &mut Line<'_>) -> Step {
    let word = line.need(1)?;
    let name = &b.script.name;
    match time(line, word) {
        None => line.say(format!("({name}): vrrp script timeout '{word}' invalid - ignoring")),
        Some(Duration::ZERO) => {
            line.say(format!("({name}): vrrp script timeout must be greater than 0, setting to 1"));
            b.script.timeout = Some(Duration::from_secs(1));
        }
        time => b.script.timeout = time,
    }
    Ok(())
}

fn weight(b: &mut Builder, line: &mut Line<'_>) -> Step {
    let word = line.need(1)?;
    let name = b.script.name.clone();
    match line.signed(word, -253, 253) {
        Some(weight) => b.script.weight = weight,
        None => line.say(format!("vrrp_script {name} weight {word} must be in [-253, 253]")),
    }
    match line.get(2) {
        None => {}
        Some("reverse") => b.script.reverse = true,
        Some(other) => line.say(format!("vrrp_script {name} unknown weight option {other}")),
    }
    Ok(())
}

fn count(b: &Builder, line: &mut Line<'_>, what: &str) -> Result<Option<u32>, Stop> {
    let word = line.need(1)?;
    let value = line.unsigned(word, 1, i32::MAX as u32);
    if value.is_none() {
        let name = &b.script.name;
        line.say(format!("({name}): vrrp script {what} value '{word}' invalid, defaulting to 1"));
    }
    Ok(value)
}

/// The keywords of `vrrp_track_process`.
pub(super) static PROCESS: &[Row<Builder>] = &[
    words("process", "<STRING>|<QUOTED-STRING> [<STRING>|<QUOTED-STRING> ...]", process),
    words("param_match", "{initial|partial}", param_match),
    words("weight", "<-2147483647..2147483647> [reverse]", process_weight),
    words("quorum", "NUM", quorum),
    words("quorum_max", "NUM", quorum_max),
    words("delay", "SECS", |b, l| delay(b, l, "")),
    words("terminate_delay", "SECS", |b, l| delay(b, l, "terminate_")),
    words("fork_delay", "SECS", |b, l| delay(b, l, "fork_")),
    words("full_command", "", |b, _| {
        b.process.full_command = true;
        Ok(())
    }),
];

/// A process before anything is known of it.
pub(super) fn no_process() -> TrackProcess {
    TrackProcess {
        name: String::new(),
        program: String::new(),
        params: None,
        param_match: None,
        full_command: false,
        weight: 0,
        reverse: false,
        quorum: 1,
        quorum_max: None,
        terminate_delay: Duration::ZERO,
        fork_delay: Duration::ZERO,
    }
}

/// The opening line of `vrrp_track_process`.
pub(super) fn process_open(b: &mut Builder, line: &mut Line<'_>) -> Result<bool, Stop> {
    let name = line.need(1)?.to_owned();
    b.process = TrackProcess { name, ..no_process() };
    Ok(true)
}

/// The end of `vrrp_track_process`.
pub(super) fn process_close(b: &mut Builder, line: &mut Line<'_>) {
    let process = std::mem::replace(&mut b.process, no_process());
    if process.program.is_empty() {
        line.say(format!("track process '{}' process name not specified", process.name));
        return;
    }
    if !b.config.processes.iter().any(|p| p.name == process.name) {
        b.config.processes.push(process);
    }
}

fn process(b: &mut Builder, line: &mut Line<'_>) -> Step {
    line.need(1)?;
    let mut found = line.command().into_iter();
    let program = found.next().unwrap_or_default();
    if !b.process.program.is_empty() {
        line.say(format!("Process already set for track process {} - ignoring {program}", b.process.name));
        return Ok(());
    }
    b.process.program = program;
    let params: Vec<String> = found.collect();
    b.process.params = (!params.is_empty()).then_some(params);
    Ok(())
}

fn param_match(b: &mut Builder, line: &mut Line<'_>) -> Step {
    let word = line.need(1)?;
    match word {
        "initial" => b.process.param_match = Some(ParamMatch::Initial),
        "partial" => b.process.param_match = Some(ParamMatch::Partial),
        _ => line.say(format!("Invalid param_match type {word} - ignoring")),
    }
    Ok(())
}

fn process_weight(b: &mut Builder, line: &mut Line<'_>) -> Step {
    let name = b.process.name.clone();
    let Some(word) = line.get(1) else {
        line.say(format!("No weight specified for track process {name} - ignoring"));
        return Ok(());
    };
    if b.process.weight != 0 {
        line.say(format!("Weight already set for track process {name} - ignoring {word}"));
        return Ok(());
    }
    let Some(weight) = line.signed(word, -254, 254) else {
        line.say(format!(
            "Weight ({word}) for vrrp_track_process {name} must be between [-254..254] inclusive. Ignoring..."
        ));
        return Ok(());
    };
    b.process.weight = weight;
    match line.get(2) {
        None => {}
        Some("reverse") => b.process.reverse = true,
        Some(other) => line.say(format!("vrrp_track_process {name} unknown weight option {other}")),
    }
    Ok(())
}

fn quorum(b: &mut Builder, line: &mut Line<'_>) -> Step {
    let word = line.need(1)?;
    let name = &b.process.name;
    match line.unsigned(word, 1, 65_535) {
        None => line.say(format!(
            "Quorum ({word}) for vrrp_track_process {name} must be between [1..65535] inclusive. Ignoring..."
        )),
        Some(q) if b.process.quorum_max.is_some_and(|max| q > max) => {
            line.say("Quorum is greater than quorum_max - ignoring");
        }
        Some(q) => b.process.quorum = q,
    }
    Ok(())
}

fn quorum_max(b: &mut Builder, line: &mut Line<'_>) -> Step {
    let word = line.need(1)?;
    let name = &b.process.name;
    match line.unsigned(word, 0, 65_535) {
        None => line.say(format!(
            "quorum_max ({word}) for vrrp_track_process {name} must be between [0..65535] inclusive. Ignoring..."
        )),
        Some(0) if b.process.quorum <= 1 => {
            // None may run: the quorum is met without any.
            (b.process.quorum, b.process.quorum_max) = (0, Some(0));
        }
        Some(max) if max < b.process.quorum => line.say("quorum_max is less than quorum - ignoring"),
        max => b.process.quorum_max = max,
    }
    Ok(())
}

fn delay(b: &mut Builder, line: &mut Line<'_>, which: &str) -> Step {
    let word = line.need(1)?;
    let Some(time) = line.seconds(word, 1, DELAY_MAX_US) else {
        let name = &b.process.name;
        line.say(format!(
            "{which}delay ({word}) for vrrp_track_process {name} must be between [0.000001..3600] inclusive. Ignoring..."
        ));
        return Ok(());
    };
    if which != "terminate_" {
        b.process.fork_delay = time;
    }
    if which != "fork_" {
        b.process.terminate_delay = time;
    }
    Ok(())
}

/// All commands of a configuration, for what is done to each of them alike.
pub(super) fn commands(config: &mut super::model::Config) -> Vec<&mut Command> {
    let mut out = Vec::new();
    let notifies = config.instances.iter_mut().map(|i| &mut i.notify);
    for n in notifies.chain(config.groups.iter_mut().map(|g| &mut g.notify)) {
        let slots = [
            &mut n.master,
            &mut n.backup,
            &mut n.fault,
            &mut n.stop,
            &mut n.any,
            &mut n.master_rx_lower_pri,
            &mut n.deleted_script,
        ];
        out.extend(slots.into_iter().flatten());
    }
    out
}
