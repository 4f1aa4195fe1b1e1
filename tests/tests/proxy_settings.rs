//! Settings of proxies one by one, proxyd and Debian's haproxy side by side: cookies in every mode, pages of one's own,
//! where connections end, times for requests and answers. Client, origin and log must see the same.
//!
//! Absent on purpose: whatever depends on how fast a machine is.

use holdfast_tests::node::Program;
use holdfast_tests::oracle::Suite;
use holdfast_tests::pair::{Origin, Seen, Side, Step};
use regex::Regex;
use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

const CONFIG: &str = include_str!("proxy_settings/haproxy.cfg");
const CASES: &str = include_str!("proxy_settings/cases.txt");
/// Frontends of the configuration, by index.
const FRONTENDS: [&str; 11] = [
    "rewrite", "insert", "prefix", "preserve", "passive", "pages", "choice", "body", "late", "page", "hints",
];

const BODY: usize = 7;
const LATE: usize = 8;
/// Requests under way at once.
const THREADS: usize = 4;
/// What is waited before an answer is read that a limit of 300 ms brings about.
const LIMIT_MS: u64 = 1000;

/// Frontend and request of a line.
fn case(line: &str) -> (usize, Vec<u8>) {
    let (name, rest) = line.split_once(": ").expect("a frontend and a request");
    let frontend = FRONTENDS.iter().position(|f| *f == name).expect("a known frontend");
    let (head, body) = rest.split_once(" < ").unwrap_or((rest, ""));
    let mut parts = head.split(" | ");
    let target = parts.next().unwrap_or_default();
    let method = if body.is_empty() { "GET" } else { "POST" };
    let mut request = format!("{method} {target} HTTP/1.1\r\nHost: x.example\r\n");
    for field in parts {
        request.push_str(field);
        request.push_str("\r\n");
    }
    if !body.is_empty() {
        let _ = write!(request, "Content-Length: {}\r\n", body.len());
    }
    request.push_str("\r\n");
    request.push_str(body);
    (frontend, request.into_bytes())
}

/// What must be equal: all but what names the connection, and times that are no limit's.
fn text(seen: &Seen, ports: &Regex, times: &Regex) -> String {
    let log = ports.replace_all(&seen.log, "CLIENT");
    // A time is there or not; how long it was is no matter.
    let log = times.replace(&log, |c: &regex::Captures<'_>| {
        let told = |t: &str| if t == "-1" { "-1" } else { "T" };
        format!(" {} {} COUNTS/", c[1].split('/').map(told).collect::<Vec<_>>().join("/"), &c[2])
    });
    format!("{}\nclosed: {}\nlog: {log}\n", String::from_utf8_lossy(&seen.client), seen.closed)
}

#[test]
fn settings_do_what_they_do_in_haproxy() {
    let test = "proxy_settings";
    let Some(original) = Program::original(test, "haproxy") else { return };
    let programs = [original, Program::ours("proxyd", "haproxy")];
    Suite::live(test, |suite| look(suite, &programs));
}

fn look(suite: &mut Suite, programs: &[Program; 2]) {
    let origin = Origin::start();
    let sides = programs.each_ref().map(|p| Side::start(&p.path, CONFIG, FRONTENDS.len(), &origin));
    let ports = Regex::new(r"(?m)^127\.0\.0\.1:\d+ \[[^\]]+\]").expect("a valid pattern");
    let times = Regex::new(r" ((?:-?\d+/){4}\+?\d+) (.*) \d+/\d+/\d+/\d+/").expect("a valid pattern");
    let lines: Vec<&str> = CASES.lines().filter(|l| !l.starts_with('#')).collect();
    let (next, results) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some(line) = lines.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let (frontend, bytes) = case(line);
                    let limit = Step::Pause(if frontend == BODY || frontend == LATE { LIMIT_MS } else { 0 });
                    let steps = [Step::Send(bytes), limit, Step::Read];
                    let seen = sides.each_ref().map(|s| text(&s.script(frontend, &steps), &ports, &times));
                    results.lock().expect("no thread panicked").push((*line, seen));
                }
            });
        }
    });
    for (line, [theirs, ours]) in results.into_inner().expect("no thread panicked") {
        suite.case(line, &theirs, &ours);
    }
    let (all, _) = suite.score();
    assert!(all >= 50, "only {all} requests");
}
