//! Names that proxyd resolves while it runs, beside Debian's haproxy: both ask the same name server, which changes its
//! mind; after each change both must come to the same states of servers, and have told the same.
//!
//! Absent on purpose: how long each of both takes (the phases wait until both agree), and checks, whose failures would
//! hurry resolutions.

use holdfast_tests::names::Answer::{self, Code, Foreign, Garbage, Records, Silence, Spoofed, Truncated};
use holdfast_tests::names::NameServer;
use holdfast_tests::names::Record::{self, A, Aaaa, Alias, Extra, Service};
use holdfast_tests::netns::wait_for;
use holdfast_tests::node::Program;
use holdfast_tests::oracle::Suite;
use holdfast_tests::pair::{Origin, Side};
use regex::Regex;
use std::net::Ipv4Addr;
use std::time::Duration;

const CONFIG: &str = include_str!("proxy_names/haproxy.cfg");
/// How long both may take to agree; nothing is judged by it while they do.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long both must agree for a phase to be over: a hold of the configuration and a pause.
const CALM: Duration = Duration::from_millis(900);

fn ask(side: &Side, command: &str) -> String {
    holdfast_tests::cli::ask(&side.directory().join("admin"), command).expect("an answer")
}

/// What matters of the servers' states: all columns but ages, and what `show stat` calls them.
fn states(side: &Side) -> String {
    let mut out = String::new();
    for line in ask(side, "show servers state").lines().skip(2) {
        let mut words: Vec<&str> = line.split(' ').collect();
        if words.len() > 9 {
            words[9] = "N";
            out += &format!("{}\n", words.join(" "));
        }
    }
    let stat = ask(side, "show stat");
    let head: Vec<&str> = stat.lines().next().unwrap_or_default().split(',').collect();
    let column = |name: &str| head.iter().position(|h| *h == name).expect("a column");
    let (status, weight, address) = (column("status"), column("weight"), column("addr"));
    for line in stat.lines().skip(1).filter(|l| !l.is_empty()) {
        let cells: Vec<&str> = line.split(',').collect();
        let pick = [cells[0], cells[1], cells[status], cells[weight], cells[address]];
        out += &format!("{}\n", pick.join(","));
    }
    out
}

/// What was told since the last time, in no order: answers to several questions come as they like.
fn told(side: &Side, from: &mut usize) -> String {
    let all = std::fs::read_to_string(side.directory().join("output")).expect("the output can be read");
    let new = &all[*from..];
    let pid = Regex::new(r"\(\d+\)|\[NOTICE\].*\n").expect("a pattern");
    let text = pid.replace_all(new, "").replace(&side.directory().display().to_string(), "DIR");
    *from = all.len();
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines.join("\n")
}

fn ip(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 0, last)
}

fn both(name: &str, with: &dyn Fn() -> Answer, server: &NameServer) {
    server.set(&format!("{name} A"), with());
    server.set(&format!("{name} AAAA"), with());
}

fn addresses(last: &[u8]) -> Answer {
    Records(last.iter().map(|n| A(ip(*n))).collect())
}

fn services(all: &[(u16, u16, &'static str)]) -> Vec<Record> {
    all.iter().map(|(weight, port, host)| Service(*weight, *port, host)).collect()
}

type Phase = (&'static str, fn(&NameServer));

/// What the name server says, one change after the other.
const PHASES: &[Phase] = &[
    ("one more host", |s| {
        s.set("h3.test A", addresses(&[6]));
        let all = [(10, 8001, "h1.test"), (600, 8002, "h2.test"), (65_535, 9001, "h3.test")];
        s.set("_http._tcp.test SRV", Records(services(&all)));
    }),
    ("no such name", |s| both("web.test", &|| Code(3), s)),
    ("back with another address", |s| s.set("web.test A", addresses(&[9, 2]))),
    ("refused", |s| both("web.test", &|| Code(5), s)),
    ("back in IPv6", |s| {
        s.set("web.test A", Records(vec![]));
        s.set("web.test AAAA", Records(vec![Aaaa("fd00::1".parse().expect("an address"))]));
    }),
    ("by an alias", |s| s.set("web.test A", Records(vec![Alias("behind.test", ip(7))]))),
    ("silence", |s| both("web.test", &|| Silence, s)),
    ("spoofed ids do not count", |s| both("web.test", &|| Spoofed(vec![A(ip(66))]), s)),
    ("garbage does not count", |s| both("web.test", &|| Garbage, s)),
    ("another name's address does not count", |s| both("web.test", &|| Foreign(ip(66)), s)),
    ("cut off", |s| both("web.test", &|| Truncated(vec![A(ip(8))]), s)),
    ("three addresses for two", |s| s.set("web.test A", addresses(&[2, 3, 4]))),
    ("one goes", |s| s.set("web.test A", addresses(&[3, 4]))),
    ("a host leaves the service", |s| {
        s.set("_http._tcp.test SRV", Records(services(&[(10, 8001, "h1.test"), (256, 8002, "h2.test")])));
    }),
    ("its address comes along", |s| {
        let mut all = services(&[(10, 8001, "h1.test"), (256, 8002, "h2.test"), (1, 9009, "h4.test")]);
        all.push(Extra("h4.test", ip(11)));
        s.set("_http._tcp.test SRV", Records(all));
    }),
    ("the service is gone", |s| s.set("_http._tcp.test SRV", Code(3))),
];

/// Waits until both agree, and have for a while; gives what they say.
fn agree(sides: [&Side; 2]) -> [String; 2] {
    let mut last = sides.map(states);
    let _ = wait_for(PATIENCE, || {
        std::thread::sleep(CALM);
        let now = sides.map(states);
        let calm = now[0] == now[1] && now == last;
        last = now;
        calm.then_some(())
    });
    last
}

#[test]
fn names_lead_where_the_originals_lead() {
    let Some(original) = Program::original("proxy_names", "haproxy") else { return };
    let ours = Program::ours("proxyd", "haproxy");
    Suite::live("proxy_names", |suite| names(suite, [&original, &ours]));
}

/// Goes through all phases with both programs.
fn names(suite: &mut Suite, programs: [&Program; 2]) {
    let (origin, server) = (Origin::start(), NameServer::start());
    server.set("web.test A", addresses(&[2, 3]));
    server.set("h1.test A", addresses(&[4]));
    server.set("h2.test A", addresses(&[5]));
    server.set("over-tcp.test A", Truncated(vec![A(ip(12))]));
    server.set("_http._tcp.test SRV", Records(services(&[(10, 8001, "h1.test"), (600, 8002, "h2.test")])));
    let config = CONFIG.replace("@DNS@", &server.address.to_string());
    let sides = programs.map(|p| Side::start(&p.path, &config, 1, &origin));
    let pair = [&sides[0], &sides[1]];
    let mut seen = [0, 0];
    let mut compare = |suite: &mut Suite, name: &str| {
        let [theirs, mine] = agree(pair);
        suite.case(&format!("{name}: states"), &theirs, &mine);
        let [a, b] = &mut seen;
        suite.case(&format!("{name}: told"), &told(pair[0], a), &told(pair[1], b));
    };
    compare(suite, "start");
    for (name, change) in PHASES {
        change(&server);
        compare(suite, name);
    }
    for command in [
        "set server b/s2 fqdn web.test",
        "set server b/s2 fqdn other.test",
        "set server b/s2 fqdn",
        "set server svc/w1 fqdn other.test",
        "set server plain/s1 fqdn other.test",
        "show resolvers nothing",
        "show stat domain",
        "show stat domain nothing",
        "show stat domain proxy nothing 4 -1",
    ] {
        let [theirs, mine] = pair.map(|side| ask(side, command));
        suite.case(command, &theirs, &mine);
    }
    // How many questions were asked by now is a matter of time.
    let counter = Regex::new(r#"(,|u64:|"value":|: +)\d+"#).expect("a pattern");
    for command in [
        "show resolvers",
        "show stat domain resolvers",
        "show stat domain resolvers desc",
        "show stat domain resolvers typed",
        "show stat domain resolvers typed desc",
        "show stat domain resolvers json",
    ] {
        let [theirs, mine] = pair.map(|side| counter.replace_all(&ask(side, command), "${1}N").into_owned());
        suite.case(command, &theirs, &mine);
    }
    server.set("other.test A", addresses(&[13]));
    compare(suite, "renamed");
    for host in ["web.test", "nowhere.test", "h1.test", "over-tcp.test", "", "not a name"] {
        let request = format!("GET / HTTP/1.1\r\nHost: a\r\nX-Name: {host}\r\nConnection: close\r\n\r\n");
        let [theirs, mine] = pair.map(|side| {
            let seen = side.try_bytes(0, request.as_bytes(), false);
            String::from_utf8_lossy(&seen.client).into_owned()
        });
        suite.case(&format!("do-resolve '{host}'"), &theirs, &mine);
    }
}

/// A kept connection to an old address, and checks sent elsewhere by an operator.
const MOVED: &str = r#"
global
    stats socket @DIR@/admin level admin

defaults
    mode http
    timeout client 5s
    timeout server 5s
    timeout connect 1s
    http-reuse always

frontend f
    bind 127.0.0.1:@PORT0@
    log 127.0.0.1:@LOG@ local0
    log-format "%ci:%cp %ST %sp"
    default_backend b

backend b
    server s @ORIGIN@ check inter 200ms fall 1 rise 1 agent-check agent-port 1 agent-inter 1h
"#;

#[test]
fn a_server_that_was_moved_is_asked_and_checked_where_it_is() {
    let Some(original) = Program::original("proxy_moved", "haproxy") else { return };
    let ours = Program::ours("proxyd", "haproxy");
    Suite::live("proxy_moved", |suite| moved(suite, [&original, &ours]));
}

fn moved(suite: &mut Suite, programs: [&Program; 2]) {
    let (first, second) = (Origin::start(), Origin::start());
    let mut seen = Vec::new();
    for program in programs {
        let side = Side::start(&program.path, MOVED, 1, &first);
        let get = || {
            let request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
            let line = side.try_bytes(0, request, true).log;
            let line = line.rsplit_once(' ').map_or(line.clone(), |(head, port)| {
                let status = head.rsplit(' ').next().unwrap_or_default();
                format!("{status} {port}")
            });
            line.replace(&first.address.port().to_string(), "FIRST")
                .replace(&second.address.port().to_string(), "SECOND")
        };
        let status = |wanted: &str| {
            let found = wait_for(PATIENCE, || {
                let stat = ask(&side, "show stat");
                stat.lines().find(|l| l.starts_with("b,s,") && l.contains(&format!(",{wanted},")))?;
                Some(wanted.to_owned())
            });
            found.unwrap_or_else(|| "never".to_owned())
        };
        let mut story = vec![status("L4OK"), get(), get()];
        ask(&side, &format!("set server b/s addr 127.0.0.1 port {}", second.address.port()));
        story.extend([get(), get()]);
        // Port 1 is nobody's.
        ask(&side, "set server b/s check-port 1");
        story.push(status("L4CON"));
        ask(&side, &format!("set server b/s check-port {}", second.address.port()));
        story.extend([status("L4OK"), get()]);
        seen.push(story.join("\n"));
    }
    suite.case("story", &seen[0], &seen[1]);
    assert!(seen[1].contains("200 SECOND"), "{}", seen[1]);
}

/// Backends without a server line.
const DIRECT: &str = r#"
global
    stats socket @DIR@/admin level admin

defaults
    mode http
    timeout client 5s
    timeout server 5s
    timeout connect 1s

frontend f
    bind 127.0.0.1:@PORT0@
    log 127.0.0.1:@LOG@ local0
    log-format "%ci:%cp %ST %b/%s %ts"
    use_backend d if { path_beg /status/201 }
    use_backend t if { path_beg /status/202 }
    default_backend none

backend d
    dispatch @ORIGIN@

backend t
    option transparent
    http-request set-dst str(127.0.0.1)
    http-request set-dst-port int(@ORIGINPORT@)

backend none
"#;

#[test]
fn backends_without_a_server_line_lead_where_they_say() {
    let Some(original) = Program::original("proxy_direct", "haproxy") else { return };
    let ours = Program::ours("proxyd", "haproxy");
    Suite::live("proxy_direct", |suite| direct(suite, [&original, &ours]));
}

fn direct(suite: &mut Suite, programs: [&Program; 2]) {
    let origin = Origin::start();
    let config = DIRECT.replace("@ORIGINPORT@", &origin.address.port().to_string());
    let sides = programs.map(|p| Side::start(&p.path, &config, 1, &origin));
    for path in ["/status/201", "/status/202", "/"] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let [theirs, mine] = [&sides[0], &sides[1]].map(|side| {
            let seen = side.try_bytes(0, request.as_bytes(), false);
            let line = seen.log.split_once(' ').map_or(String::new(), |(_, rest)| rest.to_owned());
            format!("{line}\n{}", String::from_utf8_lossy(&seen.client))
        });
        suite.case(path, &theirs, &mine);
    }
    let [theirs, mine] = [&sides[0], &sides[1]].map(|side| {
        let stat = ask(side, "show stat");
        let cells = stat.lines().map(|l| l.split(',').collect::<Vec<_>>());
        let rows = cells.filter(|c| c.len() > 19).map(|c| [c[0], c[1], c[17], c[18], c[19]].join(","));
        rows.collect::<Vec<_>>().join("\n")
    });
    suite.case("show stat", &theirs, &mine);
    let states = [&sides[0], &sides[1]].map(states);
    suite.case("show servers state", &states[0], &states[1]);
}
