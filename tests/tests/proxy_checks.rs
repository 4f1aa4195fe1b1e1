//! proxyd's and Debian's haproxy's checks side by side, against servers that refuse, keep silent, reset, say the wrong
//! thing, half of it, or close early: the same state, status, code and text in `show stat`, and the same log lines.
//!
//! A case is a backend and what its server does with each connection: `refuse`, or words out of `recv N`,
//! `want TEXT`, `send TEXT`, `hex BYTES`, `wait MS`, `reset`, `close`, `hold`, in order.

use holdfast_tests::check_lines::CheckLines;
use holdfast_tests::cli::{self, Row};
use holdfast_tests::node::Program;
use holdfast_tests::oracle::Suite;
use holdfast_tests::pair::{Origin, Side};
use regex::Regex;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

const CASES: &str = include_str!("proxy_checks/cases.txt");
/// haproxy ends these texts with what errno last held, which may be from another socket (a long log line, say).
const STALE_ERRNO: &str = r"(SOCKS4 Proxy [a-z ]+[a-z]) \([^)]*\)";
/// How long all checks together may take to settle.
const SETTLE: Duration = Duration::from_secs(30);
/// How long a held connection stays.
const HOLD: Duration = Duration::from_secs(8);
/// Columns of `show stat` that are compared.
const COLUMNS: [&str; 9] = [
    "status",
    "check_status",
    "check_code",
    "last_chk",
    "check_health",
    "check_rise",
    "check_fall",
    "weight",
    "agent_status",
];

struct Case {
    name: String,
    backend: String,
    server: Vec<String>,
}

/// `== NAME`, the lines of the backend, `--`, what the server does.
fn cases() -> Vec<Case> {
    let blocks = CASES.split("\n== ").skip(1);
    let case = |block: &str| {
        let (name, rest) = block.split_once('\n').expect("a case has lines");
        let (backend, server) = rest.split_once("--\n").expect("a case has a server");
        let server = server.lines().map(str::trim).filter(|l| !l.is_empty()).map(str::to_owned).collect();
        Case { name: name.trim().to_owned(), backend: backend.to_owned(), server }
    };
    blocks.map(case).collect()
}

fn unescape(text: &str) -> Vec<u8> {
    text.replace("\\r", "\r").replace("\\n", "\n").replace("\\0", "\0").into_bytes()
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: String = text.split_whitespace().collect();
    (0..digits.len() / 2).filter_map(|i| u8::from_str_radix(&digits[2 * i..2 * i + 2], 16).ok()).collect()
}

/// Starts a case's server; gives its port.
fn serve(steps: &[String]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("a bound socket has an address").port();
    if steps.first().is_some_and(|s| s == "refuse") {
        return port;
    }
    let steps = steps.to_vec();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let steps = steps.clone();
            thread::spawn(move || play(stream, &steps));
        }
    });
    port
}

fn play(mut stream: TcpStream, steps: &[String]) -> Option<()> {
    stream.set_read_timeout(Some(HOLD)).ok()?;
    for step in steps {
        let (word, rest) = step.split_once(' ').unwrap_or((step, ""));
        match word {
            "recv" => {
                let mut left: usize = rest.parse().ok()?;
                let mut buffer = [0; 512];
                while left > 0 {
                    let n = stream.read(&mut buffer).ok().filter(|n| *n > 0)?;
                    left = left.saturating_sub(n);
                }
            }
            // What comes has to be this; else the connection ends.
            "want" => {
                let wanted = unescape(rest);
                let mut got = vec![0; wanted.len()];
                stream.read_exact(&mut got).ok()?;
                (got == wanted).then_some(())?;
            }
            "send" => stream.write_all(&unescape(rest)).ok()?,
            "hex" => stream.write_all(&unhex(rest)).ok()?,
            "wait" => thread::sleep(Duration::from_millis(rest.parse().ok()?)),
            "reset" => {
                let linger = nix::libc::linger { l_onoff: 1, l_linger: 0 };
                nix::sys::socket::setsockopt(&stream, nix::sys::socket::sockopt::Linger, &linger).ok()?;
                return Some(());
            }
            "hold" => thread::sleep(HOLD),
            "close" => return Some(()),
            other => panic!("no step {other}"),
        }
    }
    // Reads what is there, so that closing is no reset.
    let _ = stream.set_read_timeout(Some(Duration::from_millis(300)));
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let _ = stream.read_to_end(&mut Vec::new());
    Some(())
}

/// The first lines of a backend; later ones depend on when they are looked at.
fn first_lines(lines: &CheckLines, backend: &str) -> String {
    let first: Vec<_> = lines.of(backend).into_iter().take(2).map(|line| line.text).collect();
    first.join("\n")
}

fn stat(side: &Side) -> BTreeMap<String, Row> {
    let text = cli::ask(&side.directory().join("sock"), "show stat").expect("an answer");
    let servers = cli::rows(&text).into_iter().filter(|r| r.get("svname").is_some_and(|n| n == "s"));
    servers.filter_map(|r| Some((r.get("pxname")?.clone(), r))).collect()
}

/// Waits until every check has run as often as it takes to be judged, and gives what is shown then.
fn settled(side: &Side) -> BTreeMap<String, String> {
    let until = Instant::now() + SETTLE;
    let mut rows = BTreeMap::new();
    loop {
        // While a check runs its last details are not shown: the last quiet look counts.
        for (name, row) in stat(side) {
            let running = ["check_status", "agent_status"]
                .iter()
                .any(|c| row.get(*c).is_some_and(|v: &String| v.starts_with("* ")));
            if !running || !rows.contains_key(&name) {
                rows.insert(name, row);
            }
        }
        let done = rows.values().all(|r| {
            let status = r.get("status").map_or("", String::as_str);
            let ended = |column: &str| {
                let word = r.get(column).map_or("", String::as_str);
                !word.contains("INI") && !word.starts_with("* ")
            };
            // No "1/2": neither on the way up nor down.
            ended("check_status") && ended("agent_status") && !status.contains('/')
        });
        if done || Instant::now() >= until {
            let show = |row: &BTreeMap<String, String>| {
                COLUMNS.iter().fold(String::new(), |mut out, c| {
                    let cell = row.get(*c).map_or("?", |v| v.trim_start_matches("* "));
                    let _ = writeln!(out, "{c}: {cell}");
                    out
                })
            };
            return rows.iter().map(|(name, row)| (name.clone(), show(row))).collect();
        }
        thread::sleep(Duration::from_millis(40));
    }
}

const HEAD: &str = "global
    nbthread 1
    insecure-fork-wanted
    external-check
    stats socket @DIR@/sock level admin
defaults
    mode http
    log 127.0.0.1:@LINES@ local0
    option log-health-checks
    timeout connect 2s
    timeout client 2s
    timeout server 2s
    timeout check 1500ms
    default-server inter 1s fastinter 300ms downinter 1s rise 1 fall 1
frontend f
    bind 127.0.0.1:@PORT0@
";

#[test]
fn checks_say_the_same_of_every_misbehaviour() {
    let Some(original) = Program::original("proxy_checks", "haproxy") else { return };
    let programs = [original, Program::ours("proxyd", "haproxy")];
    let cases = cases();
    Suite::live("proxy_checks", |suite| look(suite, &programs, &cases));
}

/// Starts both with all cases and compares what they make of them.
fn look(suite: &mut Suite, programs: &[Program; 2], cases: &[Case]) {
    let mut config = HEAD.to_owned();
    for (i, case) in cases.iter().enumerate() {
        let port = serve(&case.server).to_string();
        let lines = case.backend.replace("@S@", &format!("127.0.0.1:{port}")).replace("@P@", &port);
        let _ = write!(config, "backend b{i}\n{lines}\n");
    }
    let origin = Origin::start();
    let logs = [CheckLines::default(), CheckLines::default()];
    let start = |program: &Program, lines: &CheckLines| {
        let config = config.replace("@LINES@", &lines.start().to_string());
        Side::start(&program.path, &config, 1, &origin)
    };
    let sides = [start(&programs[0], &logs[0]), start(&programs[1], &logs[1])];
    let shown = [settled(&sides[0]), settled(&sides[1])];
    let stale = Regex::new(STALE_ERRNO).expect("a valid pattern");
    for (i, case) in cases.iter().enumerate() {
        let backend = format!("b{i}");
        let seen = |n: usize| {
            let row = shown[n].get(&backend).map_or("", String::as_str);
            stale.replace_all(&format!("{row}{}", first_lines(&logs[n], &backend)), "$1").into_owned()
        };
        suite.case(&case.name, &seen(0), &seen(1));
    }
}
