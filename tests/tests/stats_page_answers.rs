//! Requests to the statistics page of proxyd and of Debian's haproxy: the same status, fields, data, and effect of forms.
//!
//! Invariant: of the page itself the rows, notices and titles are compared, of its exports every row, column and tag,
//! but only the values that neither time nor traffic moves.
//!
//! Absent on purpose: how the page looks, which is each one's own, and how its length is told.

use holdfast_tests::cli;
use holdfast_tests::node::Program;
use holdfast_tests::oracle::Suite;
use holdfast_tests::pair::{Origin, Side};
use regex::Regex;
use std::io::{Read, Write};
use std::process::Command;
use std::time::{Duration, Instant};

const CONFIG: &str = include_str!("stats_page_answers/haproxy.cfg");
const CASES: &str = include_str!("stats_page_answers/cases.txt");
const FRONTENDS: usize = 7;
/// How long an answer, or the first checks, may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// Columns whose values neither time nor traffic moves.
const STEADY: [&str; 16] = [
    "pxname", "svname", "status", "weight", "act", "bck", "qlimit", "iid", "sid", "tracked", "type", "addr",
    "cookie", "mode", "algo", "uweight",
];
/// What a page may tell of a form.
const NOTICES: [&str; 7] = [
    "Action processed successfully",
    "Nothing has changed",
    "Action partially processed",
    "Action not processed because of invalid parameters",
    "the buffer couldn't store all the data",
    "Action denied",
    "Unexpected result",
];

/// A line of the table of cases.
struct Case {
    name: String,
    port: usize,
    bytes: Vec<Vec<u8>>,
    states: bool,
}

fn cases() -> Vec<Case> {
    let lines = CASES.lines().enumerate().filter(|(_, l)| !l.starts_with('#'));
    lines.map(|(n, line)| case(&format!("{:03} {line}", n + 1), line)).collect()
}

fn case(name: &str, line: &str) -> Case {
    let late = line.starts_with('+');
    let line = line.trim_start_matches('+');
    let states = line.starts_with('?');
    let (head, body) = match line.trim_start_matches('?').split_once("||") {
        Some((head, body)) => (head, Some(repeated(&body.replace("\\r\\n", "\r\n")))),
        None => (line.trim_start_matches('?'), None),
    };
    let mut parts = head.split('|');
    let words: Vec<&str> = parts.next().unwrap_or_default().split(' ').collect();
    let fields: Vec<&str> = parts.collect();
    let version = words.get(3).copied().unwrap_or("HTTP/1.1");
    let mut text = format!("{} {} {version}\r\nhost: x\r\nconnection: close\r\n", words[1], words[2]);
    for field in &fields {
        text += &format!("{field}\r\n");
    }
    if let Some(body) = body.as_ref().filter(|_| !fields.iter().any(|f| f.starts_with("transfer-encoding"))) {
        text += &format!("content-length: {}\r\n", body.len());
    }
    text += "\r\n";
    let mut bytes = vec![text.into_bytes()];
    match body {
        Some(body) if late => bytes.push(body.into_bytes()),
        Some(body) => bytes[0].extend_from_slice(body.as_bytes()),
        None => {}
    }
    Case { name: name.to_owned(), port: words[0].parse().expect("a port's number"), bytes, states }
}

/// `(TEXT)*N` is the text N times.
fn repeated(body: &str) -> String {
    let pattern = Regex::new(r"\(([^)]*)\)\*(\d+)").expect("a valid pattern");
    let times = |c: &regex::Captures<'_>| c[1].repeat(c[2].parse().unwrap_or(0));
    pattern.replace_all(body, times).into_owned()
}

/// What comes back for some bytes, to the end of the connection.
fn answer(side: &Side, case: &Case) -> String {
    let mut stream = side.connect(case.port);
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
    for (n, part) in case.bytes.iter().enumerate() {
        if n > 0 {
            // The head is read by then, or both are read at once: either way one form.
            std::thread::sleep(Duration::from_millis(100));
        }
        // Who does not read all of a long form may close.
        let _ = stream.write_all(part);
    }
    let mut out = Vec::new();
    let _ = stream.read_to_end(&mut out);
    let mut text = String::from_utf8_lossy(&out).into_owned();
    for frontend in 0..FRONTENDS {
        text = text.replace(&side.port(frontend).to_string(), &format!("PORT{frontend}"));
    }
    text
}

/// An answer without what time, traffic, looks and framing make of it.
fn view(text: &str) -> String {
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
    if head.starts_with("HTTP/1.1 100") {
        return format!("{head}\n{}", view(body));
    }
    let body = if head.contains("transfer-encoding: chunked") { unchunked(body) } else { body.to_owned() };
    let framing = ["content-length:", "transfer-encoding:", "connection:"];
    let fields = head.lines().filter(|l| !framing.iter().any(|f| l.starts_with(f)));
    let data = if body.starts_with("# pxname") {
        csv(&body)
    } else if head.contains("text/html")
        && head.contains(" 200 ")
        && head.contains("cache-control: no-cache\r\ncontent")
    {
        page(&body)
    } else if body.starts_with("[[") {
        json(&body)
    } else if body.starts_with("F.") {
        typed(&body)
    } else {
        body.split_whitespace().collect()
    };
    format!("{}\n\n{data}", fields.collect::<Vec<_>>().join("\n"))
}

fn unchunked(body: &str) -> String {
    let (mut out, mut rest) = (String::new(), body);
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).expect("the size of a chunk");
        if size == 0 {
            break;
        }
        out += &after[..size];
        rest = after[size..].trim_start_matches("\r\n");
    }
    out
}

fn csv(body: &str) -> String {
    let names: Vec<&str> =
        body.lines().next().unwrap_or_default().trim_start_matches("# ").split(',').collect();
    let kept = |l: &str| {
        let cells = l.split(',').zip(&names).filter(|(_, name)| STEADY.contains(name));
        cells.map(|(cell, _)| cell).collect::<Vec<_>>().join(",")
    };
    let rows = body.lines().skip(1).map(kept);
    std::iter::once(names.join(",")).chain(rows).collect::<Vec<_>>().join("\n")
}

/// The agent's first probe, and what its columns say until then, comes when it comes.
fn settled(name: &str) -> bool {
    !name.contains("agent") && !["last_agt", "last_chk", "check_code"].contains(&name)
}

fn typed(body: &str) -> String {
    let kept = |l: &str| {
        let name = l.split('.').nth(4).unwrap_or_default();
        match () {
            () if STEADY.contains(&name) => Some(l.to_owned()),
            () if settled(name) => Some(l.splitn(4, ':').take(3).collect::<Vec<_>>().join(":")),
            () => None,
        }
    };
    body.lines().filter_map(kept).collect::<Vec<_>>().join("\n")
}

fn json(body: &str) -> String {
    let pattern = Regex::new(
        r#""objType":"(\w+)","proxyId":(\d+),"id":(\d+),"field":\{"pos":(\d+),"name":"(\w+)"\},"processNum":1,"tags":(\{[^}]*\}),"value":\{"type":"(\w+)","value":("[^"]*"|-?\d+)"#,
    );
    let pattern = pattern.expect("a valid pattern");
    let kept = |c: regex::Captures<'_>| {
        let value = if STEADY.contains(&&c[5]) { c[8].to_owned() } else { String::new() };
        settled(&c[5])
            .then(|| format!("{}.{}.{} {} {} {} {} {value}", &c[1], &c[2], &c[3], &c[4], &c[5], &c[6], &c[7]))
    };
    pattern.captures_iter(body).filter_map(kept).collect::<Vec<_>>().join("\n")
}

/// What a page shows: its rows, what it tells, and whom it names.
fn page(body: &str) -> String {
    let anchors = Regex::new(r#" (?:name|id)="?([\w.-]+/[\w.-]+)"?[ >]"#).expect("a valid pattern");
    let mut rows: Vec<&str> =
        body.lines().flat_map(|l| anchors.captures_iter(l)).map(|c| c.extract::<1>().1[0]).collect();
    rows.sort_unstable();
    rows.dedup();
    let told: Vec<&str> = NOTICES.into_iter().filter(|n| body.contains(n)).collect();
    let boxes = Regex::new(r#"name="?s"? value="?[\w.]+"#).expect("a valid pattern").find_iter(body).count();
    let says = |text: &str| body.contains(text);
    let named = ["version 2.6", " on foo", " on node1", ": some words here", ": a process"].map(says);
    let legends = says("127.0.0.1:1, ");
    format!("{}\ntold {told:?}\n{boxes} to choose\nnamed {named:?}\nlegends {legends}", rows.join(" "))
}

/// State of every server; no check moves one within the time of a test.
fn states(side: &Side) -> String {
    let ask = |command: &str| cli::ask(&side.directory().join("admin"), command).expect("an answer");
    let mut out: Vec<String> = Vec::new();
    for line in ask("show servers state").lines().filter(|l| !l.starts_with('#')) {
        let words: Vec<&str> = line.split(' ').collect();
        if words.len() > 15 {
            out.push([&words[1..2], &words[3..4], &words[5..9], &words[10..15]].concat().join(" "));
        }
    }
    for line in ask("show stat").lines() {
        let cells: Vec<&str> = line.split(',').collect();
        if cells.len() > 50 && cells[1] != "FRONTEND" {
            out.push([cells[0], cells[1], cells[17], cells[18], cells[19], cells[20]].join(","));
        }
    }
    out.join("\n")
}

/// The first checks have been made.
fn checked(side: &Side) {
    let until = Instant::now() + 3 * PATIENCE;
    loop {
        let text = cli::ask(&side.directory().join("admin"), "show stat app 4 -1").expect("an answer");
        if text.lines().filter(|l| l.contains(",DOWN,")).count() == 2 {
            return;
        }
        assert!(Instant::now() < until, "the first checks do not come: {text}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn requests_are_answered_as_the_original_does() {
    let Some(original) = Program::original("stats_page_answers", "haproxy") else { return };
    let programs = [original, Program::ours("proxyd", "haproxy")];
    let cases = cases();
    assert!(cases.len() > 300, "{} cases are too few to speak of", cases.len());
    Suite::live("stats_page_answers", |suite| {
        let origin = Origin::start();
        let sides = [0, 1].map(|n: usize| Side::start(&programs[n].path, CONFIG, FRONTENDS, &origin));
        sides.iter().for_each(checked);
        for case in &cases {
            let [theirs, ours] = [0, 1].map(|n: usize| {
                let seen = view(&answer(&sides[n], case));
                if case.states { format!("{seen}\n{}", states(&sides[n])) } else { seen }
            });
            suite.case(&case.name, &theirs, &ours);
        }
        for arguments in H2 {
            let [theirs, ours] = [0, 1].map(|n: usize| multiplexed(&sides[n], arguments));
            suite.case(&format!("h2 {}", arguments.join(" ")), &theirs, &ours);
        }
    });
}

/// Arguments of curl for the page by HTTP/2.
const H2: [&[&str]; 5] = [
    &["/s;csv"],
    &["/s;typed"],
    &["-I", "/s;json"],
    &["-d", "s=z&action=maint&b=p6", "/s;up"],
    &["-X", "PUT", "/s"],
];

fn multiplexed(side: &Side, arguments: &[&str]) -> String {
    let (target, options) = arguments.split_last().expect("a target");
    let mut command = Command::new("curl");
    command.args(["-sgi", "--http2-prior-knowledge", "--max-time", "20"]).args(options);
    command.arg(format!("http://127.0.0.1:{}{target}", side.port(6)));
    let out = command.output().expect("curl starts");
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    view(&text.replace(&side.port(6).to_string(), "PORT6"))
}
