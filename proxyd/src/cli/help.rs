//! `help`, unknown commands, and commands about the session itself.

use super::{Answer, Call, CommandRow, Session, all_commands};
use crate::config::model::{Level, SeverityOutput};
use std::fmt::Write;

const COLUMN: usize = 40;

fn push_line(out: &mut String, usage: &str, help: &str) {
    let _ = writeln!(out, "  {usage:<width$}: {help}", width = COLUMN - 1 + 1);
}

/// Title of the list that answers an empty command.
pub const UNKNOWN_EMPTY: &str = "Unknown command. Please enter one of the following commands only:\n";
/// Commands that an unknown one is compared with are shown up to this many.
const NEAREST: usize = 5;

/// A command as help shows it.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// Its words.
    pub words: &'a [&'a str],
    /// The left column.
    pub usage: &'a str,
    /// The right column.
    pub help: &'a str,
}

impl Entry<'_> {
    fn begins(&self, words: &[&str]) -> bool {
        self.words.len() >= words.len() && self.words.iter().zip(words).all(|(a, b)| a.starts_with(b))
    }
}

/// Those of a list that begin with these words, in columns; the nearest where none does.
pub fn list_of<'a>(
    entries: impl Iterator<Item = &'a Entry<'a>> + Clone,
    words: &[&str],
    title: &str,
) -> String {
    let mut out = String::from(title);
    let begin: Vec<_> = entries.clone().filter(|e| e.begins(words)).collect();
    let shown = if begin.is_empty() { nearest_of(entries, words) } else { begin };
    for entry in shown {
        push_line(&mut out, entry.usage, entry.help);
    }
    tail(&mut out);
    out
}

/// The answer to words that no command of a list begins with.
pub fn unknown_of<'a>(entries: impl Iterator<Item = &'a Entry<'a>> + Clone, words: &[&str]) -> String {
    list_of(entries, words, UNKNOWN)
}

/// The entries of a list that come nearest to these words: those that share the most words, and of them those whose
/// next word differs least.
fn nearest_of<'a>(
    entries: impl Iterator<Item = &'a Entry<'a>> + Clone,
    words: &[&str],
) -> Vec<&'a Entry<'a>> {
    let known = |n: usize| entries.clone().any(|e| e.begins(&words[..n]));
    let depth = (1..=words.len()).take_while(|n| known(*n)).count();
    let Some(word) = words.get(depth) else { return Vec::new() };
    let mut near: Vec<_> = entries
        .filter(|e| e.begins(&words[..depth]))
        .map(|e| (distance(e.words.get(depth).copied().unwrap_or(""), word), e))
        .collect();
    near.sort_by_key(|(d, e)| (*d, e.usage));
    near.truncate(NEAREST);
    near.sort_by_key(|(_, e)| e.usage);
    near.into_iter().map(|(_, e)| e).collect()
}

/// Title of the list that answers an unknown command.
const UNKNOWN: &str = "Unknown command, but maybe one of the following ones is a better match:\n";

/// Commands that begin with these words, all without any, in columns. As in haproxy, the level does not matter.
pub fn list(session: &Session, words: &[&str], title: &str) -> String {
    let begins = |c: &&CommandRow| c.words.iter().zip(words).all(|(a, b)| a.starts_with(b));
    let mut out = String::from(title);
    let mut rows: Vec<_> =
        all_commands().filter(|c| shown(c, session)).filter(begins).map(|c| (c.usage, c.help)).collect();
    rows.sort_unstable();
    for (usage, help) in rows {
        push_line(&mut out, usage, help);
    }
    tail(&mut out);
    out
}

fn shown(command: &CommandRow, session: &Session) -> bool {
    let mode = (!command.expert || session.expert) && (!command.experimental || session.experimental);
    !command.usage.is_empty() && mode
}

fn tail(out: &mut String) {
    for (usage, help) in [
        ("help [<command>]", "list matching or all commands"),
        ("prompt", "toggle interactive mode with prompt"),
        ("quit", "disconnect"),
    ] {
        push_line(out, usage, help);
    }
}

/// The answer to words that no command begins with: those whose words are nearest.
pub fn unknown(session: &Session, words: &[&str]) -> String {
    let title = UNKNOWN;
    let begins = |n: usize, c: &CommandRow| {
        c.words.len() >= n && c.words.iter().zip(&words[..n]).all(|(a, b)| a.starts_with(b))
    };
    let known = |n: usize| all_commands().any(|c| shown(c, session) && begins(n, c));
    let depth = (1..=words.len()).take_while(|n| known(*n)).count();
    if depth == words.len() {
        return list(session, words, title);
    }
    let mut near: Vec<_> = all_commands()
        .filter(|c| shown(c, session) && begins(depth, c))
        .map(|c| (distance(c.words.get(depth).copied().unwrap_or(""), words[depth]), c))
        .collect();
    near.sort_by_key(|(d, c)| (*d, c.usage));
    near.truncate(NEAREST);
    near.sort_by_key(|(_, c)| c.usage);
    let mut out = String::from(title);
    for (_, command) in &near {
        push_line(&mut out, command.usage, command.help);
    }
    tail(&mut out);
    out
}

/// Edits between two words.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, cb) in b.iter().enumerate() {
            let cost = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = cost.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[b.len()]
}

/// `user`.
pub fn user(call: &mut Call<'_>) -> Answer {
    lower(call, Level::User)
}

/// `operator`.
pub fn operator(call: &mut Call<'_>) -> Answer {
    lower(call, Level::Operator)
}

/// Goes down to a level; what only the highest may ends with it.
fn lower(call: &mut Call<'_>, to: Level) -> Answer {
    let session = &mut *call.session;
    session.level = session.level.min(to);
    (session.expert, session.experimental) = (false, false);
    Answer::Done
}

/// `show cli level`.
pub fn show_level(call: &mut Call<'_>) -> Answer {
    Answer::info(match call.session.level {
        Level::User => "user\n",
        Level::Operator => "operator\n",
        Level::Admin => "admin\n",
    })
}

/// `set severity-output`.
pub fn set_severity(call: &mut Call<'_>) -> Answer {
    call.session.severity = match call.word(2) {
        "none" => SeverityOutput::None,
        "number" => SeverityOutput::Number,
        "string" => SeverityOutput::String,
        _ => return Answer::error("one of 'none', 'number', 'string' is a required argument\n"),
    };
    Answer::Done
}

/// `set timeout cli DELAY`.
pub fn set_timeout(call: &mut Call<'_>) -> Answer {
    if call.word(2) != "cli" {
        return Answer::error("'set timeout' only supports 'cli'.\n");
    }
    let text = call.word(3);
    if text.is_empty() {
        return Answer::error("Expects an integer value.\n");
    }
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = &text[digits.len()..];
    let seconds = match (digits.parse::<u64>(), unit) {
        (Ok(n), "" | "s") => n.checked_mul(1000),
        (Ok(n), "ms") => Some(n),
        (Ok(n), "m") => n.checked_mul(60_000),
        (Ok(n), "h") => n.checked_mul(3_600_000),
        (Ok(n), "d") => n.checked_mul(86_400_000),
        _ => None,
    };
    match seconds {
        Some(ms) if ms > 0 => {
            call.session.timeout = Some(std::time::Duration::from_millis(ms));
            Answer::Done
        }
        _ => Answer::error("Invalid timeout value.\n"),
    }
}

fn toggle(call: &Call<'_>, name: &str, flag: bool) -> Result<bool, Answer> {
    match call.word(1) {
        "" => Err(Answer::info(format!("{name} is {}\n", if flag { "ON" } else { "OFF" }))),
        "on" => Ok(true),
        _ => Ok(false),
    }
}

/// `expert-mode on|off`.
pub fn expert_mode(call: &mut Call<'_>) -> Answer {
    match toggle(call, "expert-mode", call.session.expert) {
        Ok(on) => call.session.expert = on,
        Err(answer) => return answer,
    }
    Answer::Done
}

/// `experimental-mode on|off`.
pub fn experimental_mode(call: &mut Call<'_>) -> Answer {
    match toggle(call, "experimental-mode", call.session.experimental) {
        Ok(on) => call.session.experimental = on,
        Err(answer) => return answer,
    }
    Answer::Done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_count_edits() {
        assert_eq!(distance("show", "shwo"), 2);
        assert_eq!(distance("add", "foo"), 3);
        assert_eq!(distance("set", "set"), 0);
    }

    #[test]
    fn help_shows_the_same_at_every_level() {
        let admin = Session::new(Level::Admin, SeverityOutput::None);
        let user = Session::new(Level::User, SeverityOutput::None);
        let line =
            "  set server <bk>/<srv> [opts]            : change a server's state, weight, address or ssl\n";
        assert!(list(&admin, &[], "").contains(line));
        assert!(list(&user, &[], "").contains(line));
        assert!(unknown(&admin, &["show", "sta"]).contains("show stat"));
        assert!(!unknown(&admin, &["show", "bogus"]).contains("set server"));
        assert_eq!(unknown(&admin, &["show", "bogus"]).lines().count(), 1 + NEAREST + 3);
    }
}
