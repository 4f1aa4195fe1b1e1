//! Caches of proxyd and of Debian's haproxy side by side: the same requests one after the other must be answered
//! with the same bytes by the same party, log the same lines, and leave the same entries.

use holdfast_tests::node::Program;
use holdfast_tests::oracle::Suite;
use holdfast_tests::pair::{Origin, Side};
use regex::Regex;
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const CONFIG: &str = include_str!("proxy_cache/haproxy.cfg");
const CASES: &str = include_str!("proxy_cache/cases.txt");
const FRONTENDS: usize = 5;
/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(10);

struct Case {
    name: String,
    path: String,
    frontend: usize,
    answer: Vec<String>,
    asks: Vec<String>,
}

fn date(offset: i64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs() as i64);
    proxyd::conv::time::http_date(now + offset)
}

fn cases() -> Vec<Case> {
    let dates = Regex::new("@(-?[0-9]+)@").expect("a valid pattern");
    let text = dates.replace_all(CASES, |c: &regex::Captures<'_>| date(c[1].parse().unwrap_or(0)));
    let lines = text.lines().filter(|l| !l.starts_with('#') && !l.is_empty());
    let case = |line: &str| {
        let parts: Vec<&str> = line.splitn(4, ';').collect();
        let list = |text: &str| text.split('~').map(str::to_owned).collect();
        Case {
            name: parts[0].to_owned(),
            path: format!("/{}", parts[0].replace(' ', "-")),
            frontend: parts[1].parse().expect("a number"),
            answer: list(parts[2]),
            asks: list(parts[3]),
        }
    };
    lines.map(case).collect()
}

/// An origin that answers as the case of the path says, and counts.
fn origin(cases: &Arc<Vec<Case>>) -> Origin {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("a bound socket has an address");
    let counts: Arc<Mutex<HashMap<String, u32>>> = Arc::default();
    let cases = Arc::clone(cases);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (cases, counts) = (Arc::clone(&cases), Arc::clone(&counts));
            thread::spawn(move || serve(stream, &cases, &counts));
        }
    });
    Origin { address }
}

fn serve(stream: TcpStream, cases: &[Case], counts: &Mutex<HashMap<String, u32>>) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut writer = stream;
    loop {
        let mut first = String::new();
        if reader.read_line(&mut first).ok()? == 0 {
            return None;
        }
        let mut line = first.clone();
        while !line.trim().is_empty() {
            line.clear();
            reader.read_line(&mut line).ok()?;
        }
        let (method, path) = (first.split(' ').next()?, first.split(' ').nth(1)?);
        let case = cases.iter().find(|c| c.path == path)?;
        let count = {
            let mut counts = counts.lock().ok()?;
            let count = counts.entry(path.to_owned()).or_default();
            *count += 1;
            *count
        };
        writer.write_all(&answer(case, method, count)).ok()?;
    }
}

fn answer(case: &Case, method: &str, count: u32) -> Vec<u8> {
    let value = |name: &str| case.answer.iter().find_map(|f| f.strip_prefix(name));
    let mut body = format!("{method} {} {count}\n", case.path);
    match value("len=").and_then(|n| n.parse().ok()) {
        Some(0) => body.clear(),
        Some(n) => body.push_str(&"x".repeat(n)),
        None => {}
    }
    let mut out = format!("HTTP/1.1 {}\r\n", value("st=").unwrap_or("200 OK"));
    for field in case.answer.iter().filter(|f| f.contains(':')) {
        out.push_str(&format!("{field}\r\n"));
    }
    if case.answer.iter().any(|f| f == "chunked") {
        out.push_str(&format!("Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n", body.len()));
    } else {
        let body = if method == "HEAD" { String::new() } else { body };
        out.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
    }
    out.into_bytes()
}

/// One request on a connection of its own; the answer with its content as it was meant, then the log line.
fn ask(side: &Side, case: &Case, ask: &str) -> String {
    let (method, rest) = ask.split_once(' ').unwrap_or((ask, ""));
    let (version, rest) =
        rest.strip_prefix("HTTP/1.0").map_or(("HTTP/1.1", rest), |r| ("HTTP/1.0", r.trim()));
    let mut text = format!("{method} {} {version}\r\n", case.path);
    let fields: Vec<&str> = rest.split('&').filter(|f| !f.is_empty()).collect();
    for f in &fields {
        text.push_str(&format!("{f}\r\n"));
    }
    for (name, whole) in [("Host:", "Host: h"), ("Connection:", "Connection: close")] {
        if !fields.iter().any(|f| f.starts_with(name)) {
            text.push_str(&format!("{whole}\r\n"));
        }
    }
    if matches!(method, "POST" | "PUT" | "DELETE") {
        text.push_str("Content-Length: 0\r\n");
    }
    text.push_str("\r\n");
    let mut stream = side.connect(case.frontend);
    let port = stream.local_addr().map_or(0, |a| a.port());
    let _ = stream.set_read_timeout(Some(ANSWER));
    let _ = stream.write_all(text.as_bytes());
    let mut got = Vec::new();
    let _ = stream.read_to_end(&mut got);
    let at = got.windows(4).position(|w| w == b"\r\n\r\n").map_or(got.len(), |at| at + 4);
    let head = String::from_utf8_lossy(&got[..at]).into_owned();
    let body =
        if head.contains("transfer-encoding: chunked") { plain(&got[at..]) } else { got[at..].to_vec() };
    let body = if head.contains("content-encoding: gzip\r\n") && head.contains("x-after") {
        "compressed".to_owned()
    } else {
        String::from_utf8_lossy(&body).into_owned()
    };
    let body = if body.len() > 200 { format!("{}… {}", &body[..60], body.len()) } else { body };
    format!("> {ask}\n{head}{body}\n{}\n", side.log_of(port))
}

/// Content without its chunks.
fn plain(mut raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while let Some(at) = raw.windows(2).position(|w| w == b"\r\n") {
        let size = usize::from_str_radix(String::from_utf8_lossy(&raw[..at]).trim(), 16).unwrap_or(0);
        if size == 0 || raw.len() < at + 2 + size {
            break;
        }
        out.extend_from_slice(&raw[at + 2..at + 2 + size]);
        raw = raw.get(at + 4 + size..).unwrap_or_default();
    }
    out
}

fn command(side: &Side, line: &str) -> String {
    holdfast_tests::cli::ask(&side.directory().join("stats"), line).expect("an answer")
}

/// Stores and entries by their keys: addresses, sizes of parts and readers at this moment are each program's own, and
/// so is what a referer looks like when it is mixed up.
fn entries(side: &Side) -> String {
    let text = command(side, "show cache");
    let pattern =
        Regex::new(r"hash:(\d+) vary:0x([0-9a-f]{8})[0-9a-f]{8} size:\d+ (\(\d+ blocks\))|: (\w+) \(shctx.*");
    let pattern = pattern.expect("a valid pattern");
    let line = |c: regex::Captures<'_>| {
        let part = |n: usize| c.get(n).map_or("", |m| m.as_str()).to_owned();
        [part(1), part(2), part(3), part(4)].join(" ")
    };
    // Of variants side by side haproxy does not list all.
    let one = |l: &String| l.contains(" 00000000 ") || l.starts_with(' ');
    pattern.captures_iter(&text).map(line).filter(one).collect::<Vec<_>>().join("\n")
}

fn counters(side: &Side) -> String {
    let text = command(side, "show stat");
    let names: Vec<&str> = text.lines().next().unwrap_or_default().split(',').collect();
    let mut out = String::new();
    for line in text.lines().skip(1) {
        let cells: Vec<&str> = line.split(',').collect();
        let cell = |name: &str| names.iter().position(|n| *n == name).and_then(|at| cells.get(at)).copied();
        let wanted = ["# pxname", "svname", "cache_lookups", "cache_hits", "intercepted"];
        let row: Vec<&str> = wanted.iter().map(|n| cell(n).unwrap_or_default()).collect();
        out.push_str(&format!("{}\n", row.join(" ")));
    }
    out
}

#[test]
fn what_is_kept_and_told_is_as_haproxys() {
    let Some(original) = Program::original("proxy_cache", "haproxy") else { return };
    let programs = [original, Program::ours("proxyd", "haproxy")];
    Suite::live("proxy_cache", |suite| look(suite, &programs));
}

/// Starts both with an origin each and asks each the same.
fn look(suite: &mut Suite, programs: &[Program; 2]) {
    let cases = Arc::new(cases());
    let sides = programs.each_ref().map(|p| Side::start(&p.path, CONFIG, FRONTENDS, &origin(&cases)));
    let masked: Vec<(Regex, &str)> = [
        (r"(?m)^127\.0\.0\.1:\d+ \[[^\]]+\]", "CLIENT"),
        (r" (\d+|-1)/(\d+|-1)/(\d+|-1)/(\d+|-1)/\+?\d+ ", " TIMERS "),
        (r" \d+/\d+/\d+/\d+/", " COUNTS/"),
        (r"(?m)^age: \d+", "age: N"),
        // A program may take the end of chunks for a byte.
        (r"( TIMERS \d+) \d+ ", "$1 BYTES "),
    ]
    .map(|(p, to)| (Regex::new(p).expect("a valid pattern"), to))
    .into();
    for case in cases.iter() {
        let texts = sides.each_ref().map(|side| {
            let all: String = case.asks.iter().map(|a| ask(side, case, a)).collect();
            let chunks = case.answer.iter().any(|f| f == "chunked") || all.contains("encoding: gzip");
            let masked = masked.iter().take(if chunks { 5 } else { 4 });
            masked.fold(all, |text, (p, to)| p.replace_all(&text, *to).into_owned())
        });
        suite.case(&case.name, &texts[0], &texts[1]);
    }
    let [theirs, ours] = sides.each_ref().map(entries);
    suite.case("entries", &theirs, &ours);
    let [theirs, ours] = sides.each_ref().map(counters);
    suite.case("counters", &theirs, &ours);
    let (all, _) = suite.score();
    assert!(all >= 60, "only {all} cases");
}
