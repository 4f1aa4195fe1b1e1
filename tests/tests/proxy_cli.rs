//! The command line of proxyd beside that of Debian's haproxy: the same commands, in the same order, on the same
//! configuration must give the same answers.
//!
//! Absent on purpose: answers made of measurements (`show activity`, `show pools`), of which the shape is not ours,
//! and `help` as a whole, which lists what each of both has.

use holdfast_tests::node::Program;
use holdfast_tests::oracle::Suite;
use holdfast_tests::pair::{Origin, Side};
use regex::Regex;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::time::Duration;

const CONFIG: &str = include_str!("proxy_cli/haproxy.cfg");
const COMMANDS: &str = include_str!("proxy_cli/commands.txt");
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

fn ask(side: &Side, level: &str, command: &str) -> String {
    let mut stream = UnixStream::connect(side.directory().join(level)).expect("the socket is there");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
    let _ = stream.write_all(format!("{command}\n").as_bytes());
    let _ = stream.shutdown(Shutdown::Write);
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("the answer ends");
    String::from_utf8_lossy(&answer).into_owned()
}

/// What differs between two processes that do the same.
fn normalise(side: &Side, text: &str) -> String {
    let mut text = text.replace(&side.directory().display().to_string(), "DIR");
    for frontend in 0..2 {
        text = text.replace(&side.port(frontend).to_string(), &format!("PORT{frontend}"));
    }
    let patterns = [
        // Addresses of entries and streams.
        (r"0x[0-9a-f]+", "0xN"),
        (r"exp=\d+", "exp=N"),
        (r"\[\d\d/[A-Z][a-z]{2}/\d{4}:[0-9:.]+\]", "[DATE]"),
        // Seconds since the last change, and what the first checks had found by now.
        (r"(?m)^(\d+ b \d+ \S+ \S+ \d+ \d+ \d+ \d+) \d+ \d+ \d+", "$1 N N N"),
        (r"file '[^']*' line \d+", "file F line N"),
    ];
    for (pattern, with) in patterns {
        text = Regex::new(pattern).expect("a pattern").replace_all(&text, with).into_owned();
    }
    text
}

/// `show stat` lines hold ages and rates, and modules' columns that count bytes of refusals in other ways.
fn without_ages(command: &str, text: &str) -> String {
    if !command.contains("show stat") {
        return text.to_owned();
    }
    const VOLATILE: [&str; 7] =
        ["lastchg", "rate", "rate_max", "conn_rate", "conn_rate_max", "req_rate", "req_rate_max"];
    let head = text.lines().find_map(|l| l.strip_prefix("# ")).unwrap_or_default();
    let names: Vec<&str> = head.split(',').collect();
    let line = |l: &str| {
        let cells = l.split(',').zip(names.iter().chain(std::iter::repeat(&"")));
        let kept = cells.take_while(|(_, name)| **name != "-");
        kept.map(|(cell, name)| if VOLATILE.contains(name) { "N" } else { cell })
            .collect::<Vec<_>>()
            .join(",")
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn commands_answer_as_the_original_does() {
    let Some(original) = Program::original("proxy_cli", "haproxy") else { return };
    let programs = [original, Program::ours("proxyd", "haproxy")];
    Suite::live("proxy_cli", |suite| look(suite, &programs));
}

/// Starts both and compares their answers to all commands in order.
fn look(suite: &mut Suite, programs: &[Program; 2]) {
    let origin = Origin::start();
    let start = |path: &std::path::Path| {
        let map = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(map.path(), "a.com 1\nb.com 2\n").expect("the map can be written");
        let config = CONFIG.replace("@DIR@/hosts.map", &map.path().display().to_string());
        (Side::start(path, &config, 2, &origin), map)
    };
    let ((theirs, their_map), (mine, my_map)) = (start(&programs[0].path), start(&programs[1].path));
    // The first checks.
    std::thread::sleep(Duration::from_secs(1));
    for (n, line) in COMMANDS.lines().enumerate().filter(|(_, l)| !l.starts_with('#')) {
        let (level, command) = line.split_once(' ').expect("a level and a command");
        let sent = command.replace("\\n", "\n");
        let answers = [(&theirs, &their_map), (&mine, &my_map)].map(|(side, map)| {
            let text = ask(side, level, &sent).replace(&map.path().display().to_string(), "MAP");
            without_ages(command, &normalise(side, &text))
        });
        suite.case(&format!("{:03} {line}", n + 1), &answers[0], &answers[1]);
    }
    let (all, _) = suite.score();
    assert!(all >= 60, "{all} commands are too few to speak of");
}
