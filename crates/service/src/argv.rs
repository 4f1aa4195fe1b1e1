//! Command lines of haproxy and keepalived, translated into long options that clap can read.
//!
//! Invariant: what the original takes is taken and means the same; what it refuses is an [`ArgvError`] whose
//! text is the original's. A translated line consists of `--name` and `--name=value` words only.
//!
//! Absent on purpose: defaults and conflicts, which are clap's, and the usage text, which is the daemon's.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// Why a command line is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArgvError {
    /// No such option; the original prints its usage. For haproxy it is the word, for keepalived the whole text.
    #[error("{0}")]
    Unknown(String),
    /// An option stands without its argument.
    #[error("{0}")]
    Missing(String),
}

/// What follows an option of haproxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Takes {
    /// Nothing.
    Nothing,
    /// The next word.
    Word,
    /// The next word, and without one the usage is shown.
    WordOrUsage,
    /// All words up to the next that starts with `-`: pids.
    Pids,
    /// What is joined to it: `-dKall`, `-dM0x50`.
    Suffix,
}

/// haproxy's options: spelling behind the `-`, whether the spelling must match as a whole, our long name, what
/// follows. The first row that fits wins, as in haproxy: `-db` and `-dKall` before `-d`, and `-dfoo` is `-d`.
const HAPROXY: [(&str, bool, &str, Takes); 41] = [
    ("vv", true, "version-all", Takes::Nothing),
    ("v", false, "version", Takes::Nothing),
    ("de", true, "no-epoll", Takes::Nothing),
    ("dp", true, "no-poll", Takes::Nothing),
    ("dS", true, "no-splice", Takes::Nothing),
    ("dG", true, "no-getaddrinfo", Takes::Nothing),
    ("dR", true, "no-reuseport", Takes::Nothing),
    ("dF", true, "no-fast-forward", Takes::Nothing),
    ("dZ", true, "no-zero-copy", Takes::Nothing),
    ("dI", true, "insecure-fork", Takes::Nothing),
    ("dV", true, "no-server-verify", Takes::Nothing),
    ("dr", true, "ignore-resolution", Takes::Nothing),
    ("dW", true, "zero-warning", Takes::Nothing),
    ("dD", true, "diagnostics", Takes::Nothing),
    ("dL", true, "dump-libs", Takes::Nothing),
    ("db", true, "foreground", Takes::Nothing),
    ("dc", true, "dump-cpu", Takes::Nothing),
    ("dk", true, "no-kqueue", Takes::Nothing),
    ("dv", true, "no-evports", Takes::Nothing),
    ("dK", false, "dump-keywords", Takes::Suffix),
    ("dM", false, "memory-debug", Takes::Suffix),
    ("dC", false, "dump-config", Takes::Suffix),
    ("dt", false, "trace", Takes::Suffix),
    ("d", false, "debug", Takes::Nothing),
    ("cc", true, "check-condition", Takes::WordOrUsage),
    ("c", false, "check", Takes::Nothing),
    ("D", false, "daemon", Takes::Nothing),
    ("Ws", true, "master-notify", Takes::Nothing),
    ("W", false, "master", Takes::Nothing),
    ("q", false, "quiet", Takes::Nothing),
    ("V", false, "verbose", Takes::Nothing),
    ("sf", false, "finish", Takes::Pids),
    ("st", false, "terminate", Takes::Pids),
    ("x", true, "take-listeners", Takes::WordOrUsage),
    ("C", false, "directory", Takes::Word),
    ("n", false, "maxconn", Takes::Word),
    ("m", false, "memory", Takes::Word),
    ("N", false, "proxy-maxconn", Takes::Word),
    ("L", false, "local-peer", Takes::Word),
    ("f", false, "file", Takes::Word),
    ("p", false, "pidfile", Takes::Word),
];

/// haproxy's words (without the program's name) as long options. `own` are the names of long options that we
/// have beyond haproxy's; they may be written `--name` or `--name=value` and pass unchanged.
pub fn haproxy(words: impl IntoIterator<Item = OsString>, own: &[&str]) -> Result<Vec<OsString>, ArgvError> {
    let mut words = words.into_iter().peekable();
    let mut out = Vec::new();
    while let Some(word) = words.next() {
        let bytes = word.as_bytes();
        let unknown = || ArgvError::Unknown(word.to_string_lossy().into_owned());
        let Some(flag) = bytes.strip_prefix(b"-") else { return Err(unknown()) };
        if let Some(long) = flag.strip_prefix(b"-") {
            if long.is_empty() {
                out.extend(words.map(|file| join("file", &file)));
                break;
            }
            let name = long.split(|b| *b == b'=').next().unwrap_or(long);
            if !own.iter().any(|o| o.as_bytes() == name) {
                return Err(unknown());
            }
            out.push(word);
            continue;
        }
        if flag == b"S" {
            out.push(join("master-cli", &words.next().ok_or_else(missing)?));
            continue;
        }
        let fits = |row: &&(&str, bool, &str, Takes)| {
            let spelling = row.0.as_bytes();
            if row.1 { flag == spelling } else { flag.starts_with(spelling) }
        };
        let Some((spelling, _, name, takes)) = HAPROXY.iter().find(fits) else { return Err(unknown()) };
        match takes {
            Takes::Nothing => out.push(join_nothing(name)),
            Takes::Suffix => out.push(join(name, OsStr::from_bytes(&flag[spelling.len()..]))),
            Takes::Word => out.push(join(name, &words.next().ok_or_else(missing)?)),
            Takes::WordOrUsage => {
                // An empty one is one.
                out.push(join(name, &words.next().ok_or_else(unknown)?));
            }
            Takes::Pids => {
                // A list may be empty: `-sf $(cat PIDFILE)` at the first start.
                out.push(join(name, OsStr::new("")));
                while let Some(pid) = words.next_if(|w| !w.as_bytes().starts_with(b"-")) {
                    if pid.is_empty() {
                        return Err(unknown());
                    }
                    out.push(join(name, &pid));
                }
            }
        }
    }
    Ok(out)
}

fn missing() -> ArgvError {
    // haproxy keeps a copy of its words for re-execution, and that is where it notices.
    ArgvError::Missing("failed to copy argv.".into())
}

fn join_nothing(name: &str) -> OsString {
    format!("--{name}").into()
}

fn join(name: &str, value: &OsStr) -> OsString {
    let mut joined = format!("--{name}=").into_bytes();
    joined.extend_from_slice(value.as_bytes());
    OsString::from_vec(joined)
}

/// What follows an option of a getopt command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Argument {
    /// Nothing.
    None,
    /// A word, joined or the next one.
    Required,
    /// A joined word or nothing.
    Optional,
}

/// One option of a getopt command line: letter (`\0` when there is none), long name, argument.
pub type Getopt = (char, &'static str, Argument);

/// keepalived's options, in the order of its usage text; the last one is ours.
pub const KEEPALIVED: [Getopt; 39] = [
    ('f', "use-file", Argument::Required),
    ('P', "vrrp", Argument::None),
    ('C', "check", Argument::None),
    ('B', "no_bfd", Argument::None),
    ('\0', "all", Argument::None),
    ('l', "log-console", Argument::None),
    ('D', "log-detail", Argument::None),
    ('S', "log-facility", Argument::Required),
    ('g', "log-file", Argument::Required),
    ('\0', "flush-log-file", Argument::None),
    ('G', "no-syslog", Argument::None),
    ('u', "umask", Argument::Required),
    ('X', "release-vips", Argument::None),
    ('V', "dont-release-vrrp", Argument::None),
    ('I', "dont-release-ipvs", Argument::None),
    ('R', "dont-respawn", Argument::None),
    ('n', "dont-fork", Argument::None),
    ('d', "dump-conf", Argument::None),
    ('p', "pid", Argument::Required),
    ('r', "vrrp_pid", Argument::Required),
    ('T', "genhash", Argument::None),
    ('c', "checkers_pid", Argument::Required),
    ('a', "address-monitoring", Argument::None),
    ('b', "bfd_pid", Argument::Required),
    ('x', "snmp", Argument::None),
    ('A', "snmp-agent-socket", Argument::Required),
    ('s', "namespace", Argument::Required),
    ('m', "core-dump", Argument::None),
    ('M', "core-dump-pattern", Argument::Optional),
    ('e', "all-config", Argument::None),
    ('i', "config-id", Argument::Required),
    ('\0', "signum", Argument::Required),
    ('t', "config-test", Argument::Optional),
    ('\0', "perf", Argument::Optional),
    ('\0', "debug", Argument::Optional),
    ('\0', "no-mem-check", Argument::None),
    ('v', "version", Argument::None),
    ('h', "help", Argument::None),
    ('\0', "explain", Argument::None),
];

/// A getopt command line (letters in clusters, long names that may be abbreviated, words in any order) as long
/// options, and the words that are no options.
/// Texts of errors are keepalived's.
pub fn getopt(
    words: impl IntoIterator<Item = OsString>,
    table: &[Getopt],
) -> Result<(Vec<OsString>, Vec<OsString>), ArgvError> {
    let mut words = words.into_iter();
    let (mut out, mut rest) = (Vec::new(), Vec::new());
    while let Some(word) = words.next() {
        let bytes = word.as_bytes();
        if bytes == b"--" {
            rest.extend(words.by_ref());
        } else if let Some(long) = bytes.strip_prefix(b"--") {
            out.push(long_option(long, &mut words, table)?);
        } else if let Some(cluster) = bytes.strip_prefix(b"-").filter(|c| !c.is_empty()) {
            letters(cluster, &mut words, table, &mut out)?;
        } else {
            rest.push(word);
        }
    }
    Ok((out, rest))
}

fn letters(
    cluster: &[u8],
    words: &mut dyn Iterator<Item = OsString>,
    table: &[Getopt],
    out: &mut Vec<OsString>,
) -> Result<(), ArgvError> {
    for (at, letter) in cluster.iter().enumerate() {
        let letter = char::from(*letter);
        let Some((_, name, argument)) = table.iter().find(|row| row.0 == letter && letter != '\0') else {
            return Err(ArgvError::Unknown(format!("Unknown option -{letter}")));
        };
        let joined = &cluster[at + 1..];
        match argument {
            Argument::None => {
                out.push(join_nothing(name));
                continue;
            }
            Argument::Optional if joined.is_empty() => out.push(join_nothing(name)),
            Argument::Required if joined.is_empty() => {
                let text = || format!("Missing parameter for option -{letter}");
                out.push(join(name, &words.next().ok_or_else(|| ArgvError::Missing(text()))?));
            }
            Argument::Required | Argument::Optional => out.push(join(name, OsStr::from_bytes(joined))),
        }
        break;
    }
    Ok(())
}

fn long_option(
    long: &[u8],
    words: &mut dyn Iterator<Item = OsString>,
    table: &[Getopt],
) -> Result<OsString, ArgvError> {
    let (name, value) = match long.iter().position(|b| *b == b'=') {
        Some(at) => (&long[..at], Some(&long[at + 1..])),
        None => (long, None),
    };
    let unknown = || ArgvError::Unknown(format!("Unknown option --{}", String::from_utf8_lossy(long)));
    let exact = table.iter().find(|row| row.1.as_bytes() == name);
    let begin: Vec<_> = table.iter().filter(|row| row.1.as_bytes().starts_with(name)).collect();
    let (_, name, argument): &Getopt = match (exact, begin.as_slice()) {
        (Some(row), _) => row,
        (None, [row]) => row,
        (None, _) => return Err(unknown()),
    };
    match (argument, value) {
        (Argument::None, Some(_)) => Err(unknown()),
        (Argument::None | Argument::Optional, None) => Ok(join_nothing(name)),
        (Argument::Required, None) => match words.next() {
            Some(word) => Ok(join(name, &word)),
            None => Err(ArgvError::Missing(format!("Missing parameter for option --{name}"))),
        },
        (_, Some(value)) => Ok(join(name, OsStr::from_bytes(value))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hap(line: &str) -> String {
        let words = line.split(' ').filter(|w| !w.is_empty()).map(OsString::from);
        match haproxy(words, &["explain"]) {
            Ok(words) => words.join(OsStr::new(" ")).into_string().unwrap(),
            Err(e) => format!("{e:?}"),
        }
    }

    #[test]
    fn haproxy_lines_of_units_and_agents() {
        for (line, want) in [
            (
                "-Ws -f h.cfg -p h.pid -S /run/m.sock",
                "--master-notify --file=h.cfg --pidfile=h.pid --master-cli=/run/m.sock",
            ),
            ("-f h.cfg -c -q", "--file=h.cfg --check --quiet"),
            ("-D -sf 12 13 -f a", "--daemon --finish= --finish=12 --finish=13 --file=a"),
            ("-sf", "--finish="),
            ("-st -x s", "--terminate= --take-listeners=s"),
            ("-d -dM -dI -dW -f c", "--debug --memory-debug= --insecure-fork --zero-warning --file=c"),
            ("-dM0x50 -dKall -db", "--memory-debug=0x50 --dump-keywords=all --foreground"),
            ("-vv -v -vx", "--version-all --version --version"),
            ("-dfoo -cV -cc 1", "--debug --check --check-condition=1"),
            ("-c -- a b", "--check --file=a --file=b"),
            ("--explain -n 5", "--explain --maxconn=5"),
        ] {
            assert_eq!(hap(line), want);
        }
    }

    #[test]
    fn haproxy_lines_that_are_refused() {
        assert_eq!(hap("-z"), r#"Unknown("-z")"#);
        assert_eq!(hap("file"), r#"Unknown("file")"#);
        assert_eq!(hap("--zz"), r#"Unknown("--zz")"#);
        assert_eq!(hap("-cc"), r#"Unknown("-cc")"#);
        assert_eq!(hap("-f"), r#"Missing("failed to copy argv.")"#);
    }

    fn keep(line: &str) -> String {
        let words = line.split(' ').filter(|w| !w.is_empty()).map(OsString::from);
        match getopt(words, &KEEPALIVED) {
            Ok((words, rest)) => {
                let all: Vec<_> = words.into_iter().chain(rest).collect();
                all.join(OsStr::new(" ")).into_string().unwrap()
            }
            Err(e) => e.to_string(),
        }
    }

    #[test]
    fn keepalived_lines() {
        for (line, want) in [
            ("-nlf k.conf x", "--dont-fork --log-console --use-file=k.conf x"),
            ("-nfk.conf", "--dont-fork --use-file=k.conf"),
            ("-t -tlog --config-test=l", "--config-test --config-test=log --config-test=l"),
            ("--use k", "--use-file=k"),
            ("--signum=DATA -- -n", "--signum=DATA -n"),
            ("--zz", "Unknown option --zz"),
            ("-nz", "Unknown option -z"),
            ("-f", "Missing parameter for option -f"),
            ("--use-file", "Missing parameter for option --use-file"),
            ("--vrrp=1", "Unknown option --vrrp=1"),
            ("--log", "Unknown option --log"),
        ] {
            assert_eq!(keep(line), want);
        }
    }
}
