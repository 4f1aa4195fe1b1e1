//! What the configuration readers of two daemons share: users, command lines, FIFOs and `track_file`.
//!
//! Invariant: a command or user that can't be used is complained about here, in the original's words, and is
//! `None` for the caller. Absent on purpose: script security, which looks at files (crates/exec).

use super::walk::{Line, Row, Step, Takes, block, words};
use diag::{Diagnostic, Severity};
use std::path::PathBuf;

/// A user and group that exist on this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The name as written.
    pub name: String,
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

impl User {
    /// The user `name` with its own group or `group`; `None` when either does not exist.
    pub fn named(name: &str, group: Option<&str>) -> Option<Self> {
        let user = nix::unistd::User::from_name(name).ok().flatten()?;
        let gid = match group {
            None => user.gid,
            Some(group) => nix::unistd::Group::from_name(group).ok().flatten()?.gid,
        };
        Some(Self { name: name.to_owned(), uid: user.uid.as_raw(), gid: gid.as_raw() })
    }

    /// The user that a line names in its words from `at` on: `NAME [[:]GROUP]`; a further word is a fault.
    pub fn of_words(words: &[&str]) -> Option<Self> {
        match words {
            [name] => Self::named(name, None),
            [name, group] => Self::named(name, Some(group.strip_prefix(':').unwrap_or(group))),
            _ => None,
        }
    }
}

/// A command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// Program and arguments; never empty.
    pub argv: Vec<String>,
    /// The command as the user wrote it.
    pub text: String,
    /// Whom it runs as.
    pub user: Option<User>,
}

impl Command {
    /// The arguments as the original prints them: each in single quotes.
    pub fn quoted(&self) -> String {
        quoted(&self.argv)
    }
}

/// Words as the original prints a command: each in single quotes.
pub fn quoted(argv: &[String]) -> String {
    argv.iter().map(|a| format!("'{a}'")).collect::<Vec<_>>().join(" ")
}

/// Who runs what names no user.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum DefaultUser {
    /// Not looked at yet: `keepalived_script` if it exists, else our own ids.
    #[default]
    Own,
    /// `script_user`, or `keepalived_script`.
    User(User),
    /// `enable_script_security` is on, and there is neither `script_user` nor `keepalived_script`.
    Refused,
}

/// The name of the user that scripts run as where it exists.
pub const SCRIPT_USER: &str = "keepalived_script";

/// Why a command can't be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandRefusal {
    /// There is no command.
    Missing,
    /// Its user or group does not exist; the complaint was made.
    User,
    /// There is no default user; the first complaint was made, the caller's follows.
    DefaultUser,
}

/// The command of a line `KEYWORD COMMAND [USER [[:]GROUP]]`.
///
/// # Errors
/// There is no command, or nobody to run it as.
pub fn command(line: &mut Line<'_>, default: &DefaultUser) -> Result<Command, CommandRefusal> {
    let words = line.command();
    let Some(text) = words.first().cloned() else { return Err(CommandRefusal::Missing) };
    let (argv, _) = super::command_words(&text);
    if argv.is_empty() {
        return Err(CommandRefusal::Missing);
    }
    let user = match &words[1..] {
        [] => None,
        rest => {
            let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
            let user = User::of_words(&rest);
            if user.is_none() {
                // The original drops the script and says nothing with -t.
                line.notice(format!("Invalid user/group for {} script {text} - ignoring", line.keyword()));
                return Err(CommandRefusal::User);
            }
            user
        }
    };
    let command = Command { argv, text, user };
    with_default_user(line, command, default)
}

/// Gives a command without a user the default one.
///
/// # Errors
/// There is no default user.
pub fn with_default_user(
    line: &mut Line<'_>,
    mut command: Command,
    default: &DefaultUser,
) -> Result<Command, CommandRefusal> {
    if command.user.is_none() {
        if !matches!(default, DefaultUser::User(_)) {
            once(line, Severity::Notice, &format!("Script user '{SCRIPT_USER}' does not exist"));
        }
        command.user = match default {
            DefaultUser::Own => None,
            DefaultUser::User(user) => Some(user.clone()),
            DefaultUser::Refused => {
                once(line, Severity::Warning, &no_default_user());
                return Err(CommandRefusal::DefaultUser);
            }
        };
    }
    Ok(command)
}

/// The first complaint about a script that nobody can be found to run.
pub fn no_default_user() -> String {
    format!("Unable to set default user {SCRIPT_USER} for script")
}

/// What is said of the first script that it is true of, and not of the others.
fn once(line: &mut Line<'_>, severity: Severity, text: &str) {
    let span = (severity >= Severity::Warning).then(|| line.span());
    let report = line.report();
    if !report.items.iter().any(|d| d.text == text) {
        let global = Diagnostic::global(severity, text);
        report.push(span.map_or(global, |span| Diagnostic::at(severity, span, text)));
    }
}

/// The command of a notify line; the complaint about one that can't be run was made.
pub fn notify_command(line: &mut Line<'_>, default: &DefaultUser) -> Option<Command> {
    match command(line, default) {
        Ok(command) => return Some(command),
        Err(CommandRefusal::Missing) => line.say("Unable to parse notify script"),
        Err(CommandRefusal::DefaultUser) => {
            let text = line.command().first().cloned().unwrap_or_default();
            let text = format!("Failed to set default user for notify script {text} - ignoring");
            line.report().push(Diagnostic::global(Severity::Notice, text));
        }
        Err(CommandRefusal::User) => {}
    }
    None
}

/// A named pipe, with who owns it and the program that reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fifo {
    /// Absolute path.
    pub path: PathBuf,
    /// Owner of a pipe that the daemon creates.
    pub owner: Option<User>,
    /// Started with the path as last argument.
    pub script: Option<Command>,
}

/// A `track_file` block.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TrackFile {
    /// Its name.
    pub name: String,
    /// The file.
    pub path: Option<PathBuf>,
    /// `weight`, the default of those who track it.
    pub weight: i32,
    /// `weight … reverse`.
    pub reverse: bool,
    /// `init_file [VALUE] [overwrite]`.
    pub init: Option<(i32, bool)>,
}

/// A configuration under way that collects `track_file` blocks.
pub trait TrackFiles {
    /// The blocks so far; the last one is under way.
    fn track_files(&mut self) -> &mut Vec<TrackFile>;
}

/// The rows of `track_file` for a configuration of type `C`.
pub struct TrackFileRows<C>(std::marker::PhantomData<C>);

impl<C: TrackFiles + 'static> TrackFileRows<C> {
    /// Keywords of the block.
    pub const INSIDE: &'static [Row<C>] = &[
        words("file", "<QUOTED-STRING>", track_file_path),
        words("weight", "<-2147483647..2147483647> [reverse]", track_file_weight),
        words("init_file", "[VALUE] [overwrite]", track_file_init),
    ];
    /// `track_file NAME {`.
    pub const TRACK_FILE: Row<C> =
        block("track_file", "<STRING>", track_file_open, Self::INSIDE, track_file_close);
    /// The older name of the block.
    pub const VRRP_TRACK_FILE: Row<C> = Row {
        name: "vrrp_track_file",
        form: "NAME {",
        standing: super::walk::Standing::Works,
        takes: Takes::Block { open: track_file_open, rows: Self::INSIDE, close: track_file_close },
    };
}

fn track_file_open<C: TrackFiles>(c: &mut C, line: &mut Line<'_>) -> Result<bool, super::walk::Stop> {
    let name = line.need(1)?.to_owned();
    c.track_files().push(TrackFile { name, weight: 1, ..TrackFile::default() });
    Ok(true)
}

fn track_file_close<C: TrackFiles>(c: &mut C, line: &mut Line<'_>) {
    let Some(file) = c.track_files().last() else { return };
    if file.path.is_none() {
        line.say(format!("No file set for track_file {} - ignoring", file.name));
        c.track_files().pop();
        return;
    }
    // The first of a name counts.
    let name = file.name.clone();
    if c.track_files().iter().filter(|f| f.name == name).count() > 1 {
        c.track_files().pop();
    }
}

fn track_file_path<C: TrackFiles>(c: &mut C, line: &mut Line<'_>) -> Step {
    line.need(1)?;
    let path = line.command().into_iter().next().unwrap_or_default();
    let Some(file) = c.track_files().last_mut() else { return Ok(()) };
    if file.path.is_some() {
        line.say(format!("File already set for track file {} - ignoring {path}", file.name));
    } else {
        file.path = Some(PathBuf::from(path));
    }
    Ok(())
}

fn track_file_weight<C: TrackFiles>(c: &mut C, line: &mut Line<'_>) -> Step {
    /// A value times this must stay a priority.
    const WEIGHT_MAX: i32 = 254;
    let Some(file) = c.track_files().last_mut() else { return Ok(()) };
    let Some(word) = line.get(1) else {
        line.say(format!("No weight specified for track file {} - ignoring", file.name));
        return Ok(());
    };
    let Some(weight) = line.signed(word, -WEIGHT_MAX, WEIGHT_MAX) else {
        let name = &file.name;
        let limits = format!("[-{WEIGHT_MAX}..{WEIGHT_MAX}]");
        line.say(format!(
            "Weight ({word}) for track_file {name} must be between {limits} inclusive. Ignoring..."
        ));
        return Ok(());
    };
    match line.get(2) {
        None | Some("reverse") => (file.weight, file.reverse) = (weight, line.get(2).is_some()),
        Some(other) => line.say(format!("track_file {} unknown weight option {other}", file.name)),
    }
    Ok(())
}

fn track_file_init<C: TrackFiles>(c: &mut C, line: &mut Line<'_>) -> Step {
    /// Beyond this a value is most likely a mistake, but it is taken.
    const SENSIBLE: i32 = 254;
    let Some(file) = c.track_files().last_mut() else { return Ok(()) };
    let mut init = (0, false);
    for i in 1..line.len() {
        match line.get(i) {
            Some("overwrite") => init.1 = true,
            Some(word) => match word.parse::<i32>() {
                Ok(value) => {
                    if value.abs() > SENSIBLE {
                        line.say(format!(
                            "Track file {} init value {value} is outside sensible range [-{SENSIBLE}, {SENSIBLE}]",
                            file.name
                        ));
                    }
                    init.0 = value;
                }
                Err(_) => line.say(format!("Unknown track file init option {word}")),
            },
            None => {}
        }
    }
    file.init = Some(init);
    Ok(())
}
