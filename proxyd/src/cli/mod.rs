//! The command line of stats sockets: commands, levels, prompt, payload (management manual, 9.3).
//!
//! A [`Session`] turns one line into one answer; it does no I/O. Commands are rows of [`COMMANDS`], each beside what
//! it does; their order is the order of `help`.
//!
//! Absent on purpose: sockets, and tracing commands of haproxy's own internals.

pub mod authority;
pub mod cache;
pub mod certificate;
pub mod counters;
pub mod crt_list;
pub mod help;
pub mod inner;
pub mod map;
pub mod peers;
pub mod proxies;
pub mod resolvers;
pub mod roster;
pub mod server;
pub mod session;
pub mod show;
pub mod state;
pub mod table;
pub mod var;

use crate::config::model::{Level, SeverityOutput};
use crate::log::ring::Ring;
use crate::runtime::Generation;
use crate::runtime::transitions::Notice;
use std::sync::Arc;
use std::time::Instant;

/// Words of a line at most; more are an error, as in haproxy.
pub const WORDS_MAX: usize = 64;
/// Bytes of a payload at most.
pub const PAYLOAD_MAX: usize = 1 << 20;

/// Severity of an answer, shown when `severity-output` asks for it (syslog numbers).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// 3: the command was not done.
    Error,
    /// 4.
    Warning,
    /// 6: done.
    Info,
}

impl Severity {
    fn prefix(self, output: SeverityOutput) -> &'static str {
        match (output, self) {
            (SeverityOutput::None, _) => "",
            (SeverityOutput::Number, Self::Error) => "[3]: ",
            (SeverityOutput::Number, Self::Warning) => "[4]: ",
            (SeverityOutput::Number, Self::Info) => "[6]: ",
            (SeverityOutput::String, Self::Error) => "[err]: ",
            (SeverityOutput::String, Self::Warning) => "[warning]: ",
            (SeverityOutput::String, Self::Info) => "[info]: ",
        }
    }
}

/// What a command answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// A dump: printed as it is.
    Dump(String),
    /// A message: one line, with its severity where asked for.
    Message(Severity, String),
    /// What is there of something that goes on; what comes follows until [`Session::stop_following`].
    Begun(String),
    /// Nothing to say.
    Done,
    /// The connection ends behind this answer.
    Quit,
}

impl Answer {
    /// An error message.
    pub fn error(text: impl Into<String>) -> Self {
        Self::Message(Severity::Error, text.into())
    }

    /// An information.
    pub fn info(text: impl Into<String>) -> Self {
        Self::Message(Severity::Info, text.into())
    }
}

/// One command line under way.
#[derive(Debug)]
pub struct Call<'a> {
    /// The generation in force.
    pub generation: &'a Arc<Generation>,
    /// All words, keywords included.
    pub words: &'a [&'a str],
    /// What came behind `<<`.
    pub payload: Option<&'a str>,
    /// The session, for commands that change it.
    pub session: &'a mut Session,
    /// Messages for the logs that the command causes.
    pub notices: &'a mut Vec<Notice>,
}

impl<'a> Call<'a> {
    /// The word at a place; empty when there is none.
    pub fn word(&self, index: usize) -> &'a str {
        self.words.get(index).copied().unwrap_or_default()
    }
}

/// One command.
pub struct CommandRow {
    /// Its words.
    pub words: &'static [&'static str],
    /// The left column of `help`.
    pub usage: &'static str,
    /// The right column.
    pub help: &'static str,
    /// Least level.
    pub level: Level,
    /// Needs `experimental-mode on`.
    pub experimental: bool,
    /// Needs `expert-mode on`.
    pub expert: bool,
    /// Why it is only answered with a reason here.
    pub absent: Option<&'static str>,
    /// Does it.
    pub run: fn(&mut Call<'_>) -> Answer,
}

const fn row(
    words: &'static [&'static str],
    usage: &'static str,
    help: &'static str,
    level: Level,
    run: fn(&mut Call<'_>) -> Answer,
) -> CommandRow {
    CommandRow { words, usage, help, level, experimental: false, expert: false, absent: None, run }
}

use Level::{Admin, Operator, User};

/// All commands, in the order of `help`.
pub const COMMANDS: &[CommandRow] = &[
    row(
        &["clear", "counters"],
        "clear counters [all|server <bk>/<srv> [force]]",
        "clear max statistics counters (or all counters)",
        Operator,
        counters::clear,
    ),
    row(&["disable", "agent"], "disable agent", "disable agent checks", Admin, server::disable_agent),
    row(
        &["disable", "frontend"],
        "disable frontend <frontend>",
        "temporarily disable specific frontend",
        Admin,
        proxies::disable,
    ),
    row(&["disable", "health"], "disable health", "disable health checks", Admin, server::disable_health),
    row(
        &["disable", "server"],
        "disable server (DEPRECATED)",
        "disable a server for maintenance (use 'set server' instead)",
        Admin,
        server::disable,
    ),
    row(&["enable", "agent"], "enable agent", "enable agent checks", Admin, server::enable_agent),
    row(
        &["enable", "frontend"],
        "enable frontend <frontend>",
        "re-enable specific frontend",
        Admin,
        proxies::enable,
    ),
    row(&["enable", "health"], "enable health", "enable health checks", Admin, server::enable_health),
    row(
        &["enable", "server"],
        "enable server  (DEPRECATED)",
        "enable a disabled server (use 'set server' instead)",
        Admin,
        server::enable,
    ),
    CommandRow { experimental: true, ..row(&["expert-mode"], "", "", Admin, help::expert_mode) },
    CommandRow { experimental: true, ..row(&["experimental-mode"], "", "", Admin, help::experimental_mode) },
    row(
        &["get", "weight"],
        "get weight <bk>/<srv>",
        "report a server's current weight",
        User,
        server::get_weight,
    ),
    row(
        &["operator"],
        "operator",
        "lower the level of the current CLI session to operator",
        Operator,
        help::operator,
    ),
    row(
        &["set", "maxconn", "frontend"],
        "set maxconn frontend <frontend> <value>",
        "change a frontend's maxconn setting",
        Admin,
        proxies::set_maxconn,
    ),
    row(
        &["set", "maxconn", "global"],
        "set maxconn global <value>",
        "change the per-process maxconn setting",
        Admin,
        proxies::set_maxconn_global,
    ),
    row(
        &["set", "maxconn", "server"],
        "set maxconn server <bk>/<srv>",
        "change a server's maxconn setting",
        Admin,
        server::set_maxconn,
    ),
    row(
        &["set", "server"],
        "set server <bk>/<srv> [opts]",
        "change a server's state, weight, address or ssl",
        Admin,
        server::set,
    ),
    row(
        &["set", "severity-output"],
        "set severity-output [none|number|string]",
        "set presence of severity level in feedback information",
        User,
        help::set_severity,
    ),
    row(
        &["set", "timeout"],
        "set timeout [cli] <delay>",
        "change a timeout setting",
        User,
        help::set_timeout,
    ),
    row(
        &["set", "weight"],
        "set weight <bk>/<srv>  (DEPRECATED)",
        "change a server's weight (use 'set server' instead)",
        Admin,
        server::set_weight,
    ),
    row(
        &["show", "backend"],
        "show backend",
        "list backends in the current running config",
        User,
        show::backend,
    ),
    row(
        &["show", "cli", "level"],
        "show cli level",
        "display the level of the current CLI session",
        User,
        help::show_level,
    ),
    row(&["show", "cli", "sockets"], "show cli sockets", "dump list of cli sockets", User, show::cli_sockets),
    row(
        &["show", "info"],
        "show info [desc|json|typed|float]*",
        "report information about the running process",
        User,
        show::info,
    ),
    row(
        &["show", "resolvers"],
        "show resolvers [id]",
        "dumps counters from all resolvers section and associated name servers",
        User,
        resolvers::show,
    ),
    row(&["show", "schema", "json"], "show schema json", "report schema used for stats", User, show::schema),
    row(
        &["show", "servers", "conn"],
        "show servers conn [<backend>]",
        "dump server connections status (all or for a single backend)",
        User,
        state::connections,
    ),
    row(
        &["show", "servers", "state"],
        "show servers state [<backend>]",
        "dump volatile server information (all or for a single backend)",
        User,
        state::state,
    ),
    row(
        &["show", "stat"],
        "show stat [desc|json|no-maint|typed|up]*",
        "report counters for each proxy and server",
        User,
        show::stat,
    ),
    row(&["show", "version"], "show version", "show version of the current process", User, show::version),
    row(
        &["shutdown", "frontend"],
        "shutdown frontend <frontend>",
        "stop a specific frontend",
        Admin,
        proxies::shutdown,
    ),
    row(&["user"], "user", "lower the level of the current CLI session to user", User, help::user),
];

/// A connection to a stats socket.
#[derive(Debug, Clone)]
pub struct Session {
    /// Number of the connection.
    pub id: u64,
    /// When it began.
    pub started: Instant,
    /// Its level.
    pub level: Level,
    /// `severity-output`.
    pub severity: SeverityOutput,
    /// `prompt` was given.
    pub interactive: bool,
    /// `expert-mode on`.
    pub expert: bool,
    /// `experimental-mode on`.
    pub experimental: bool,
    /// `set timeout cli`.
    pub timeout: Option<std::time::Duration>,
    /// The ring whose new lines are to be sent on, and the number of the next one.
    pub following: Option<(Arc<Ring>, u64)>,
    payload: Option<Pending>,
}

/// A command whose payload is still coming.
#[derive(Debug, Clone)]
struct Pending {
    command: String,
    end: String,
    text: String,
}

/// What to do with a connection after a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Bytes to send.
    pub text: String,
    /// The connection ends behind them, unless more lines are there already.
    pub close: bool,
    /// `quit`: it ends, whatever is there.
    pub quit: bool,
}

impl Session {
    /// A session of a socket's level.
    pub fn new(level: Level, severity: SeverityOutput) -> Self {
        Self {
            id: 0,
            started: Instant::now(),
            level,
            severity,
            interactive: false,
            expert: false,
            experimental: false,
            timeout: None,
            following: None,
            payload: None,
        }
    }

    /// Takes one line without its line ending. Outside interactive mode the connection ends behind the answer,
    /// unless a payload is still to come.
    pub fn line(&mut self, generation: &Arc<Generation>, line: &str, notices: &mut Vec<Notice>) -> Output {
        if let Some(mut pending) = self.payload.take() {
            if line != pending.end {
                if pending.text.len() + line.len() < PAYLOAD_MAX {
                    pending.text.push_str(line);
                    pending.text.push('\n');
                }
                self.payload = Some(pending);
                return Output { text: String::new(), close: false, quit: false };
            }
            let (text, close) = self.one(generation, &pending.command, Some(&pending.text), notices);
            return Output { text, close: !self.interactive, quit: close };
        }
        let mut text = String::new();
        for command in split_commands(line) {
            if let Some((head, end)) = payload_mark(&command) {
                self.payload = Some(Pending { command: head, end, text: String::new() });
                return Output { text, close: false, quit: false };
            }
            let (answer, quit) = self.one(generation, &command, None, notices);
            text.push_str(&answer);
            // What stands behind it on the line is a key that was pressed, and is dropped like one.
            if self.following.is_some() {
                return Output { text, close: false, quit: false };
            }
            if quit {
                return Output { text, close: true, quit: true };
            }
        }
        Output { text, close: !self.interactive, quit: false }
    }

    /// Ends what follows a ring: what to send, and whether the connection ends behind it.
    pub fn stop_following(&mut self) -> Output {
        self.following = None;
        let text = format!("\n{}", if self.interactive { "> " } else { "" });
        Output { text, close: !self.interactive, quit: false }
    }

    /// Whether a payload is still coming.
    pub fn expects_payload(&self) -> bool {
        self.payload.is_some()
    }

    /// One command: its answer, and whether to quit. An empty line ends each answer; the prompt stands on it.
    fn one(
        &mut self,
        generation: &Arc<Generation>,
        command: &str,
        payload: Option<&str>,
        notices: &mut Vec<Notice>,
    ) -> (String, bool) {
        let owned = words(command);
        let words: Vec<&str> = owned.iter().map(String::as_str).collect();
        let answer = match words.as_slice() {
            [] => Answer::Dump(help::list(self, &[], help::UNKNOWN_EMPTY)),
            ["quit", ..] => Answer::Quit,
            ["prompt", ..] => {
                self.interactive = !self.interactive;
                Answer::Done
            }
            ["help", rest @ ..] => {
                Answer::Dump(help::list(self, rest, "The following commands are valid at this level:\n"))
            }
            _ => self.run(generation, &words, payload, notices),
        };
        let prompt = if self.interactive { "> " } else { "" };
        match answer {
            Answer::Dump(text) => (format!("{text}\n{prompt}"), false),
            Answer::Message(severity, text) => {
                // As it is: some of haproxy's texts have no line end of their own.
                (format!("{}{text}\n{prompt}", severity.prefix(self.severity)), false)
            }
            Answer::Begun(text) => (text, false),
            Answer::Done => (format!("\n{prompt}"), false),
            Answer::Quit => (String::new(), true),
        }
    }

    fn run(
        &mut self,
        generation: &Arc<Generation>,
        words: &[&str],
        payload: Option<&str>,
        notices: &mut Vec<Notice>,
    ) -> Answer {
        let found = all_commands().filter(|c| matches(c.words, words)).max_by_key(|c| c.words.len());
        let Some(command) = found else {
            return Answer::Dump(help::unknown(self, words));
        };
        let toggles = matches!(command.words, ["expert-mode" | "experimental-mode"]);
        if command.experimental && !toggles && !self.experimental {
            return Answer::error("This command is restricted to experimental mode only.\n");
        }
        if command.expert && !self.expert {
            return Answer::error("This command is restricted to expert mode only.\n");
        }
        if command.level > self.level {
            return Answer::error("Permission denied\n");
        }
        (command.run)(&mut Call { generation, words, payload, session: self, notices })
    }
}

/// Words that a session carries out itself; they have no row.
pub const OWN_WORDS: [&str; 3] = ["help", "prompt", "quit"];

/// Every command of every family.
pub fn all_commands() -> impl Iterator<Item = &'static CommandRow> {
    let families = [
        roster::COMMANDS,
        certificate::COMMANDS,
        authority::COMMANDS,
        crt_list::COMMANDS,
        map::COMMANDS,
        table::COMMANDS,
        session::COMMANDS,
        var::COMMANDS,
        inner::COMMANDS,
    ];
    COMMANDS.iter().chain(families.into_iter().flatten())
}

fn matches(command: &[&str], words: &[&str]) -> bool {
    command.len() <= words.len() && command.iter().zip(words).all(|(a, b)| a == b)
}

/// Splits a line at `;` that are not escaped.
fn split_commands(line: &str) -> Vec<String> {
    let mut commands = vec![String::new()];
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        let Some(last) = commands.last_mut() else { break };
        match c {
            '\\' => {
                last.push(c);
                last.extend(chars.next());
            }
            ';' => commands.push(String::new()),
            c => last.push(c),
        }
    }
    commands
}

/// `command <<` or `command <<END`: the command and the line that ends its payload.
fn payload_mark(command: &str) -> Option<(String, String)> {
    let trimmed = command.trim_end();
    let at = trimmed.rfind("<<")?;
    let end = &trimmed[at + 2..];
    let own_word = at == 0 || trimmed[..at].ends_with([' ', '\t']);
    (own_word && !end.contains([' ', '\t'])).then(|| (trimmed[..at].to_owned(), end.to_owned()))
}

/// Words at white space; `\` escapes the next character.
fn words(command: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut inside = false;
    let mut chars = command.chars();
    while let Some(c) = chars.next() {
        if c == ' ' || c == '\t' {
            inside = false;
            continue;
        }
        if !std::mem::replace(&mut inside, true) {
            words.push(String::new());
        }
        let c = if c == '\\' { chars.next().unwrap_or(c) } else { c };
        if let Some(word) = words.last_mut() {
            word.push(c);
        }
    }
    words.truncate(WORDS_MAX);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_split_at_unescaped_semicolons() {
        assert_eq!(split_commands("show info;show stat"), ["show info", "show stat"]);
        assert_eq!(split_commands(r"add acl #1 a\;b"), [r"add acl #1 a\;b"]);
        assert_eq!(words(r"add acl  #1 a\ b\;c"), ["add", "acl", "#1", "a b;c"]);
    }

    #[test]
    fn payload_marks_stand_alone() {
        assert_eq!(payload_mark("add map #0 <<"), Some(("add map #0 ".into(), String::new())));
        assert_eq!(payload_mark("set ssl cert x <<EOF"), Some(("set ssl cert x ".into(), "EOF".into())));
        assert_eq!(payload_mark("add acl #0 a<<"), None);
    }

    #[test]
    fn command_rows_are_unique_and_their_usage_begins_with_their_words() {
        let mut seen = std::collections::HashSet::new();
        for command in all_commands() {
            assert!(seen.insert(command.words), "{:?}", command.words);
            let words = command.words.join(" ");
            assert!(command.usage.is_empty() || command.usage.starts_with(&words), "{words}");
        }
    }
}
