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
use std::time::Duration;

const CONFIG: &str = include_str!("proxy_cli/haproxy.cfg");
const COMMANDS: &str = include_str!("proxy_cli/commands.txt");
const SERVERS_CONFIG: &str = include_str!("proxy_cli/servers.cfg");
const SERVERS: &str = include_str!("proxy_cli/servers.txt");
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

fn ask(side: &Side, level: &str, command: &str) -> String {
    holdfast_tests::cli::ask(&side.directory().join(level), command).expect("an answer")
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
        (r"(?m)^(\d+ \w+ \d+ \S+ \S+ \d+ \d+ \d+ \d+) \d+ \d+ \d+", "$1 N N N"),
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

#[test]
fn servers_come_and_go_as_with_the_original() {
    let Some(original) = Program::original("proxy_cli_servers", "haproxy") else { return };
    let programs = [original, Program::ours("proxyd", "haproxy")];
    Suite::live("proxy_cli_servers", |suite| servers(suite, &programs));
}

/// Adds and deletes servers in both, and sees whom requests go to meanwhile.
fn servers(suite: &mut Suite, programs: &[Program; 2]) {
    let origin = Origin::start();
    let sides = [0, 1].map(|n: usize| Side::start(&programs[n].path, SERVERS_CONFIG, 2, &origin));
    // The first checks, which both must have done before anything is compared.
    for side in &sides {
        await_answer(side, "show servers state b", |text| {
            text.lines().any(|l| l.contains(" s1 ") && l.split(' ').nth(10) == Some("6"))
        });
    }
    let mut held: [Option<std::net::TcpStream>; 2] = [None, None];
    for (n, line) in SERVERS.lines().enumerate().filter(|(_, l)| !l.starts_with('#')) {
        let (what, rest) = line.split_once(' ').unwrap_or((line, ""));
        let answers = [0, 1].map(|i: usize| {
            let side = &sides[i];
            match what {
                "GET" => request(side, rest),
                "HOLD" => {
                    let stream = held[i].insert(side.connect(1));
                    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
                    let request = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";
                    stream.write_all(request).expect("the connection takes bytes");
                    // An answer means that the server has the connection.
                    stream.read(&mut [0; 64]).map_or_else(|e| e.to_string(), |n| (n > 0).to_string())
                }
                "RELEASE" => {
                    held[i] = None;
                    await_answer(side, "show servers conn raw", |_| {
                        ask(side, "admin", "show stat raw 4 -1")
                            .lines()
                            .any(|l| l.starts_with("raw,a,") && l.split(',').nth(4) == Some("0"))
                    });
                    String::new()
                }
                level => {
                    let sent = rest.replace("@ORIGIN@", &origin.address.to_string());
                    let text = ask(side, level, &sent).replace(&origin.address.port().to_string(), "ORIGIN");
                    normalise(side, &text)
                }
            }
        });
        suite.case(&format!("{:03} {line}", n + 1), &answers[0], &answers[1]);
    }
}

/// Asks until the answer is as wanted.
fn await_answer(side: &Side, command: &str, wanted: impl Fn(&str) -> bool) {
    let until = std::time::Instant::now() + 3 * PATIENCE;
    while !wanted(&ask(side, "admin", command)) {
        assert!(std::time::Instant::now() < until, "'{command}' never answers as it should");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Status, server and cookie of a request's answer.
fn request(side: &Side, path: &str) -> String {
    let bytes = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    let mut stream = side.connect(0);
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
    stream.write_all(bytes.as_bytes()).expect("the connection takes bytes");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("the answer ends");
    let text = String::from_utf8_lossy(&answer).into_owned();
    let of_interest = |l: &&str| ["HTTP/", "x-srv", "set-cookie"].iter().any(|p| l.starts_with(p));
    text.lines().filter(of_interest).collect::<Vec<_>>().join("\n")
}

/// Frontends, backends and servers of both modes, with and without checks.
const EXPORTED: &str = "global\n stats socket @DIR@/admin level admin\ndefaults\n mode http\n timeout client 20s\n \
    timeout server 20s\n timeout connect 20s\nfrontend f\n bind 127.0.0.1:@PORT0@\n \
    http-request use-service prometheus-exporter\n default_backend b\nbackend b\n server s1 @ORIGIN@ check inter 2s\n \
    server s2 @ORIGIN@\n server s3 @ORIGIN@ disabled\nbackend none\nlisten t\n mode tcp\n bind 127.0.0.1:@PORT1@\n \
    server s1 @ORIGIN@ check inter 2s\nbackend counted\n stick-table type ip size 100\n";

/// What the exporter has: lines without their values, and without what tells the version.
fn exported(program: &Program, origin: &Origin) -> String {
    let side = Side::start(&program.path, EXPORTED, 2, origin);
    await_answer(&side, "show stat", |text| text.matches(",L4OK,").count() == 2);
    let mut stream = side.connect(0);
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").expect("the connection takes bytes");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("the answer ends");
    let text = String::from_utf8_lossy(&answer).into_owned();
    let name = |l: &str| l.rsplit_once(' ').map_or(l, |(name, _)| name).to_owned();
    let lines = text.lines().filter(|l| !l.contains("version="));
    // Chunks end lines of their own.
    let lines = lines.filter(|l| l.starts_with(['#', 'h']));
    lines.map(|l| if l.starts_with('#') { l.to_owned() } else { name(l) }).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_exporter_has_the_names_of_the_original() {
    let Some(original) = Program::original("proxy_exporter", "haproxy") else { return };
    let origin = Origin::start();
    let [theirs, ours] = [original, Program::ours("proxyd", "haproxy")].map(|p| exported(&p, &origin));
    assert!(theirs.lines().count() > 500, "{theirs}");
    assert_eq!(theirs, ours);
}

/// Rules that refuse or answer by themselves, in the frontend and in the backend, each for a path of its own.
const REFUSING: &str = "global\n stats socket @DIR@/admin level admin\ndefaults\n mode http\n timeout client \
    20s\n timeout server 20s\n timeout connect 20s\n timeout tarpit 50ms\nfrontend f\n bind 127.0.0.1:@PORT0@\n \
    stick-table type string len 64 size 100 store http_req_cnt\n http-request track-sc0 url\n http-request deny \
    if { path /fd }\n http-request return status 200 if { path /fr }\n http-request set-var(txn.p) path\n \
    http-response deny if { var(txn.p) -m str /fx }\n http-after-response set-header x-status %ST:%[status]\n \
    default_backend b\nbackend b\n http-request deny if { path /bd }\n http-request tarpit if { path /bt }\n \
    http-request reject if { path /bj }\n http-request return status 200 if { path /br }\n http-request redirect \
    location /l if { path /bl }\n http-response deny if { var(txn.p) -m str /bx }\n http-response return status 200 if { \
    var(txn.p) -m str /by }\n http-response set-header x-early %ST\n server s @ORIGIN@\n";

/// What is counted of each rule, and what the answers say of their status.
fn refused(program: &Program, origin: &Origin) -> Vec<String> {
    const COUNTED: [&str; 8] =
        ["dreq", "dresp", "ereq", "eresp", "intercepted", "req_tot", "hrsp_2xx", "hrsp_4xx"];
    let side = Side::start(&program.path, REFUSING, 1, origin);
    let mut seen = Vec::new();
    for (n, path) in
        ["/", "/fd", "/fr", "/fx", "/bd", "/bt", "/bj", "/br", "/bl", "/bx", "/by"].iter().enumerate()
    {
        let mut stream = side.connect(0);
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
        let text = format!("GET {path}?a=b HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        stream.write_all(text.as_bytes()).expect("the connection takes bytes");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("the answer ends");
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let told = answer.lines().filter(|l| l.starts_with("x-") || l.starts_with("HTTP/"));
        seen.push(format!("{path} {:?}", told.collect::<Vec<_>>()));
        // The stream is done with when its frontend has no session left.
        let done = |text: &str| text.lines().any(|l| l.starts_with("f,FRONTEND,,,0,"));
        await_answer(&side, "show stat", done);
        let text = ask(&side, "admin", "show stat");
        let names: Vec<&str> = text.lines().next().unwrap_or_default()[2..].split(',').collect();
        for line in text.lines().skip(1).filter(|l| !l.is_empty()) {
            let cells = names.iter().zip(line.split(',')).filter(|(name, _)| COUNTED.contains(name));
            let cells: Vec<_> = cells.map(|(name, cell)| format!("{name}={cell}")).collect();
            let row: Vec<_> = line.splitn(3, ',').take(2).collect();
            seen.push(format!("{n} {} {}", row.join("/"), cells.join(" ")));
        }
    }
    let table = ask(&side, "admin", "show table f");
    let keys = table.lines().filter_map(|l| l.split_once(" key=")?.1.split_once(" use="));
    let mut keys: Vec<_> = keys.map(|(key, _)| key.to_owned()).collect();
    keys.sort();
    seen.extend(keys);
    seen
}

#[test]
fn what_rules_refuse_is_counted_as_the_original_counts_it() {
    let Some(original) = Program::original("proxy_refused", "haproxy") else { return };
    let origin = Origin::start();
    let [theirs, ours] = [original, Program::ours("proxyd", "haproxy")].map(|p| refused(&p, &origin));
    assert!(theirs.len() > 40, "{theirs:?}");
    let differ: Vec<_> = theirs.iter().zip(&ours).filter(|(a, b)| a != b).collect();
    assert!(differ.is_empty() && theirs.len() == ours.len(), "{differ:#?}");
}

/// A ring that the frontend's requests are logged to.
const RING: &str = "global\n stats socket @DIR@/admin level admin\nring r\n size 32768\n maxlen 500\nlisten f\n mode \
    http\n log ring@r local0\n option httplog\n timeout client 20s\n timeout server 20s\n timeout connect 20s\n bind \
    127.0.0.1:@PORT0@\n http-request return status 200\n";

/// Reads until the end of a line with these words; whatever comes before it is left away.
fn line_with(stream: &mut std::os::unix::net::UnixStream, words: &str) -> String {
    let mut got = Vec::new();
    let mut byte = [0];
    loop {
        let read = stream.read(&mut byte).expect("a line comes in time");
        assert_eq!(read, 1, "it ended behind {:?}", String::from_utf8_lossy(&got));
        got.push(byte[0]);
        if byte == *b"\n" {
            let line = String::from_utf8_lossy(&got).into_owned();
            if line.contains(words) {
                return line;
            }
            got.clear();
        }
    }
}

#[test]
fn events_are_followed_until_a_key() {
    // The original tells of some events late or never, so that there is nothing to compare with.
    let origin = Origin::start();
    let side = Side::start(&Program::ours("proxyd", "haproxy").path, RING, 1, &origin);
    request(&side, "/before");
    let follow = |words: &str| {
        let mut stream =
            std::os::unix::net::UnixStream::connect(side.directory().join("admin")).expect("a socket");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
        stream.write_all(words.as_bytes()).expect("the socket takes bytes");
        stream
    };
    let mut all = follow("show events r -w\n");
    line_with(&mut all, "/before");
    let mut new = follow("prompt\nshow events r -w -n\n");
    // The prompt is there: the next line is what the command says, which begins behind what was there.
    new.read_exact(&mut [0; 3]).expect("a prompt");
    for path in ["/one", "/two"] {
        // Until the command was read an event may pass it by.
        for stream in [&mut all, &mut new] {
            stream.set_read_timeout(Some(Duration::from_millis(100))).expect("a timeout can be set");
        }
        let mut seen = Vec::new();
        let until = std::time::Instant::now() + 3 * PATIENCE;
        while !String::from_utf8_lossy(&seen).contains(path) {
            assert!(std::time::Instant::now() < until, "{path} was never told of");
            request(&side, path);
            let mut chunk = [0; 4096];
            let read = new.read(&mut chunk).unwrap_or(0);
            seen.extend_from_slice(&chunk[..read]);
        }
        assert!(!String::from_utf8_lossy(&seen).contains("/before"), "only what is new");
        all.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
        line_with(&mut all, path);
    }
    // An empty line is a key; with a prompt more can be asked then, without one the connection ends.
    new.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
    new.write_all(b"\nshow version\n").expect("the socket takes bytes");
    line_with(&mut new, "> 2.6.");
    all.write_all(b"\n").expect("the socket takes bytes");
    let mut rest = String::new();
    all.read_to_string(&mut rest).expect("it ends");
    assert_eq!(rest, "\n", "only the end of the answer is left");
    let mut ended = follow("show events r -w\n");
    ended.shutdown(std::net::Shutdown::Write).expect("it can be shut");
    ended.read_to_string(&mut rest).expect("a client that says it is done is let go");
    assert!(rest.contains("/two") && rest.ends_with("\n\n"), "{rest:?}");
}
