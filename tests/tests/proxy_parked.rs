//! Connections that only wait are put away as records: whatever happens to them then must be what happens to
//! haproxy's idle connections, and as if they had never been away.

use holdfast_tests::netns::wait_for;
use holdfast_tests::node::Program;
use holdfast_tests::oracle::Suite;
use holdfast_tests::pair::{Origin, Side};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

const CONFIG: &str = include_str!("proxy_parked/haproxy.cfg");
const PATIENT: usize = 0;
const BRIEF: usize = 1;
const TRACKED: usize = 2;
/// Connections that are put away at once.
const MANY: usize = 200;
/// `timeout http-request` and `timeout http-keep-alive` of the brief frontend: more than a busy machine stands still.
const BRIEF_TIME: Duration = Duration::from_secs(4);
/// Longest wait for anything; only a fault lets it pass.
const PATIENCE: Duration = Duration::from_secs(40);

fn start(program: &Program, spread: &str, origin: &Origin) -> Side {
    Side::start(&program.path, &CONFIG.replace("@SPREAD@", spread), 3, origin)
}

fn connect(side: &Side, frontend: usize) -> TcpStream {
    let stream = side.connect(frontend);
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
    stream
}

/// Reads answers until `count` heads with their content are there, or the end: what came of them, in one line.
fn answers(stream: &mut TcpStream, count: usize) -> String {
    let (mut bytes, mut chunk, mut seen) = (Vec::new(), [0; 4096], Vec::new());
    while seen.len() < count {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some(head) = text.find("\r\n\r\n").map(|at| at + 4) {
            let field = |name: &str| {
                text[..head]
                    .lines()
                    .find_map(|l| l.to_lowercase().strip_prefix(name).map(|v| v.trim().to_owned()))
            };
            let len = field("content-length:").and_then(|v| v.parse::<usize>().ok()).unwrap_or(0);
            if bytes.len() >= head + len {
                let status = text.split(' ').nth(1).unwrap_or("?").to_owned();
                seen.push(format!("{status} {}", field("x-seen:").unwrap_or_default()).trim_end().to_owned());
                bytes.drain(..head + len);
                continue;
            }
        }
        match stream.read(&mut chunk) {
            Ok(0) => seen.push(format!("end after {} bytes", bytes.len())),
            Ok(n) => bytes.extend_from_slice(&chunk[..n]),
            Err(e) => seen.push(format!("{:?}", e.kind())),
        }
        if seen.last().is_some_and(|s| !s.starts_with(|c: char| c.is_ascii_digit())) {
            break;
        }
    }
    seen.join(", ")
}

fn ask(stream: &mut TcpStream) -> String {
    let _ = stream.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    answers(stream, 1)
}

fn command(side: &Side, line: &str) -> String {
    holdfast_tests::cli::ask(&side.directory().join("socket"), line).unwrap_or_default()
}

fn connections(side: &Side) -> usize {
    let info = command(side, "show info");
    info.lines().find_map(|l| l.strip_prefix("CurrConns: ")?.parse().ok()).unwrap_or(usize::MAX)
}

/// Sockets that each of the process's pollers watches.
fn watched(side: &Side) -> Vec<usize> {
    let dir = format!("/proc/{}/fdinfo", side.pid());
    let files = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let counts = files.filter_map(|file| std::fs::read_to_string(file.path()).ok());
    counts.map(|text| text.lines().filter(|l| l.starts_with("tfd:")).count()).filter(|n| *n > 0).collect()
}

/// Waits until `count` connections are with the poller of those that are put away, and no other watches as many.
fn await_parked(side: &Side, count: usize) {
    let parked = wait_for(PATIENCE, || {
        let watched = watched(side);
        let others = watched.iter().filter(|n| **n != count).all(|n| *n < count / 2 + 20);
        (watched.contains(&count) && others).then_some(())
    });
    assert!(parked.is_some(), "{count} connections are put away: {:?}", watched(side));
}

/// Lets idle connections rest: ours until they are put away, the original's for as long as that takes.
fn rest(side: &Side, ours: bool, count: usize) {
    if ours { await_parked(side, count) } else { thread::sleep(Duration::from_millis(700)) }
}

/// The log's line of a connection, without address, date and times that were measured.
fn line_of(side: &Side, stream: &TcpStream) -> String {
    let line = side.log_of(stream.local_addr().map_or(0, |a| a.port()));
    let what = line.split_once("] ").map_or(line.as_str(), |(_, what)| what);
    let (names, rest) = what.split_at(what.find("/s ").or(what.find("> ")).map_or(0, |at| at + 2));
    let (times, rest) = rest.trim_start().split_once(' ').unwrap_or_default();
    let times: Vec<&str> = times.split('/').map(|t| if t.starts_with('-') { "-1" } else { "n" }).collect();
    format!("{names} {} {rest}", times.join("/"))
}

/// How the connection ends, whether before the brief frontend's time, and what came before.
fn end_of(stream: &mut TcpStream, since: Instant) -> String {
    let mut bytes = Vec::new();
    let end = match stream.read_to_end(&mut bytes) {
        Ok(_) => "end",
        Err(e) if e.kind() == ErrorKind::ConnectionReset => "reset",
        Err(_) => "nothing",
    };
    let early = since.elapsed() < BRIEF_TIME;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    format!("{end}{} {}", if early { " early" } else { "" }, text.lines().next().unwrap_or_default())
}

fn everything(side: &Side, ours: bool) -> Vec<(&'static str, String)> {
    let mut seen = Vec::new();
    let mut many: Vec<TcpStream> = (0..MANY).map(|_| connect(side, PATIENT)).collect();
    let first: Vec<String> = many.iter_mut().map(ask).collect();
    seen.push(("first request of all", format!("{} {}", first[0], first.iter().all(|a| *a == first[0]))));
    rest(side, ours, MANY);
    let streams = command(side, "show sess").lines().filter(|l| l.contains("proto=tcpv4")).count();
    seen.push(("counted while away", format!("{} {streams}", connections(side))));
    let second: Vec<String> = many.iter_mut().map(ask).collect();
    seen.push(("second request of all", format!("{} {}", second[0], second.iter().all(|a| *a == second[0]))));
    rest(side, ours, MANY);

    let half = &mut many[0];
    let _ = half.write_all(b"GET /ha");
    thread::sleep(Duration::from_millis(50));
    let _ = half.write_all(b"lf HTTP/1.1\r\nHost: h\r\n");
    thread::sleep(Duration::from_millis(50));
    let _ = half.write_all(b"\r\n");
    seen.push(("a head in pieces", answers(half, 1)));
    let _ = many[1].write_all(&b"GET / HTTP/1.1\r\nHost: h\r\n\r\n".repeat(3));
    seen.push(("three at once", answers(&mut many[1], 3)));
    let _ = many[2].write_all(b"\r\nGARBAGE\r\n\r\n");
    seen.push(("no request", answers(&mut many[2], 1)));
    let body = format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n{}", "x".repeat(100_000));
    let _ = many[3].write_all(body.as_bytes());
    seen.push(("content behind the head", answers(&mut many[3], 1)));
    seen.push(("and another request", ask(&mut many[3])));

    drop(many);
    let gone = wait_for(PATIENCE, || (connections(side) == 0).then_some(()));
    seen.push(("closed by clients", format!("{}", gone.is_some())));
    at_the_moment(side, &mut seen);
    timeouts(side, &mut seen);
    tracked(side, ours, &mut seen);
    seen
}

/// Requests that come while connections are being put away.
fn at_the_moment(side: &Side, seen: &mut Vec<(&'static str, String)>) {
    let outcomes: Vec<String> = thread::scope(|scope| {
        let clients: Vec<_> = (0..60)
            .map(|n| {
                scope.spawn(move || {
                    let mut stream = connect(side, PATIENT);
                    let mut outcome = ask(&mut stream);
                    for round in 0..4 {
                        thread::sleep(Duration::from_millis(280 + (n * 5 + round * 67) % 300));
                        let _ = stream.write_all(&b"GET / HTTP/1.1\r\nHost: h\r\n\r\n".repeat(2));
                        outcome = format!("{outcome}, {}", answers(&mut stream, 2));
                    }
                    outcome
                })
            })
            .collect();
        clients.into_iter().map(|c| c.join().expect("no client panics")).collect()
    });
    let same = outcomes.iter().all(|o| *o == outcomes[0]);
    seen.push(("at the moment", format!("{} {same}", outcomes[0])));
}

fn timeouts(side: &Side, seen: &mut Vec<(&'static str, String)>) {
    // Taken before what starts the proxy's own clock.
    let since = Instant::now();
    let mut silent = connect(side, BRIEF);
    seen.push(("nothing ever said", format!("{} {}", end_of(&mut silent, since), line_of(side, &silent))));
    let mut served = connect(side, BRIEF);
    let since = Instant::now();
    let (answer, line) = (ask(&mut served), line_of(side, &served));
    seen.push(("no further request", format!("{answer} {} {line}", end_of(&mut served, since))));
    let mut half = connect(side, BRIEF);
    ask(&mut half);
    line_of(side, &half);
    thread::sleep(Duration::from_millis(800));
    let since = Instant::now();
    let _ = half.write_all(b"GET /ha");
    seen.push(("half a further request", format!("{} {}", end_of(&mut half, since), line_of(side, &half))));
}

/// What rules remember of a connection stays.
fn tracked(side: &Side, ours: bool, seen: &mut Vec<(&'static str, String)>) {
    wait_for(PATIENCE, || (connections(side) == 0).then_some(()));
    let mut some: Vec<TcpStream> = (0..30).map(|_| connect(side, TRACKED)).collect();
    let early: Vec<String> = some.iter_mut().map(ask).collect();
    rest(side, ours, 30);
    let late: Vec<String> = some.iter_mut().map(ask).collect();
    seen.push(("tracked", format!("{early:?} {late:?}")));
    let kinds = ["/status/404", "/status/503", "/status/501", "/deny"].map(|path| {
        let _ = some[0].write_all(format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes());
        answers(&mut some[0], 1)
    });
    let _ = some[0].write_all(b"GARBAGE\r\n\r\n");
    seen.push(("kinds of answers", format!("{kinds:?} {}", answers(&mut some[0], 1))));
    drop(some);
    wait_for(PATIENCE, || (connections(side) == 0).then_some(()));
    let table = command(side, "show table tracked");
    let entry = table.lines().find(|l| l.contains("key=127.0.0.1")).unwrap_or_default();
    seen.push(("counted off", entry.split_once("conn_cnt").map_or("", |(_, counts)| counts).to_owned()));
}

/// A soft stop closes those between two requests, and waits for those that have not begun.
fn soft_stop(side: &mut Side, ours: bool) -> Vec<(&'static str, String)> {
    let mut seen = Vec::new();
    let mut fresh = connect(side, BRIEF);
    let mut served: Vec<TcpStream> = (0..40).map(|_| connect(side, PATIENT)).collect();
    for s in &mut served {
        drop(ask(s));
    }
    if ours {
        // The one that said nothing may be put away with them, or its time is up.
        let away = wait_for(PATIENCE, || watched(side).iter().any(|n| (40..=41).contains(n)).then_some(()));
        assert!(away.is_some(), "{:?}", watched(side));
    }
    let mut busy = connect(side, PATIENT);
    ask(&mut busy);
    let _ = busy.write_all(b"GET /delay/3000 HTTP/1.1\r\nHost: h\r\n\r\n");
    let asked = || {
        let stat = command(side, "show stat");
        stat.lines().find_map(|l| l.strip_prefix("origin,BACKEND,")?.split(',').nth(2)?.parse().ok())
    };
    assert!(
        wait_for(PATIENCE, || asked().filter(|n: &usize| *n == 1)).is_some(),
        "the request is on its way"
    );
    let pid = Pid::from_raw(side.pid() as i32);
    let _ = kill(pid, Signal::SIGUSR1);
    let since = Instant::now();
    let ends: Vec<String> = served.iter_mut().map(|s| end_of(s, since).replace(" early", "")).collect();
    seen.push(("idle ones at a soft stop", format!("{} {}", ends[0], ends.iter().all(|e| *e == ends[0]))));
    seen.push(("a busy one at a soft stop", end_of(&mut busy, since).replace(" early", "")));
    seen.push(("a fresh one at a soft stop", end_of(&mut fresh, since).replace(" early", "")));
    drop((served, busy, fresh));
    seen.push(("and then", format!("{:?}", side.wait(PATIENCE).map(|s| s.code()))));
    seen
}

#[test]
fn idle_connections_are_as_haproxys() {
    let test = "proxy_parked";
    let Some(original) = Program::original(test, "haproxy") else { return };
    let programs = [(original, false), (Program::ours("proxyd", "haproxy"), true)];
    Suite::live(test, |suite| {
        let origin = Origin::start();
        let sides = thread::scope(|scope| {
            let running = programs.each_ref().map(|(program, ours)| {
                let origin = &origin;
                scope.spawn(move || {
                    let mut side = start(program, "", origin);
                    let mut seen = everything(&side, *ours);
                    seen.extend(soft_stop(&mut side, *ours));
                    seen
                })
            });
            running.map(|r| r.join().expect("no thread panicked"))
        });
        let [theirs, ours] = sides;
        assert_eq!(theirs.len(), ours.len(), "both went through the same");
        for ((name, theirs), (_, ours)) in theirs.into_iter().zip(ours) {
            suite.case(name, &theirs, &ours);
        }
    });
}

#[test]
fn a_soft_stop_may_take_its_time() {
    let origin = Origin::start();
    let side = start(&Program::ours("proxyd", "haproxy"), "close-spread-time 4s", &origin);
    let mut idle: Vec<TcpStream> = (0..40).map(|_| connect(&side, PATIENT)).collect();
    for s in &mut idle {
        drop(ask(s));
    }
    await_parked(&side, 40);
    let _ = kill(Pid::from_raw(side.pid() as i32), Signal::SIGUSR1);
    let since = Instant::now();
    let ends: Vec<Duration> = thread::scope(|scope| {
        let waiting = idle.iter_mut().map(|stream| {
            scope.spawn(move || {
                assert_eq!(stream.read(&mut [0; 16]).ok(), Some(0), "it is closed without a word");
                since.elapsed()
            })
        });
        let waiting: Vec<_> = waiting.collect();
        waiting.into_iter().map(|w| w.join().expect("closed in time")).collect()
    });
    let (first, last) = (ends.iter().min().expect("some"), ends.iter().max().expect("some"));
    assert!(
        last.saturating_sub(*first) >= Duration::from_secs(1),
        "spread, not at once: {first:?} to {last:?}"
    );
}

#[test]
fn an_endless_spread_closes_nothing() {
    let origin = Origin::start();
    let side = start(&Program::ours("proxyd", "haproxy"), "close-spread-time infinite", &origin);
    let since = Instant::now();
    let mut idle = connect(&side, BRIEF);
    let mut other = connect(&side, PATIENT);
    ask(&mut idle);
    ask(&mut other);
    // Put away, or its time is up.
    let away = || (watched(&side).contains(&2) || since.elapsed() > BRIEF_TIME).then_some(());
    assert!(wait_for(PATIENCE, away).is_some(), "{:?}", watched(&side));
    let _ = kill(Pid::from_raw(side.pid() as i32), Signal::SIGUSR1);
    let end = end_of(&mut idle, since);
    assert_eq!(end, "end ", "by its timeout");
    assert_eq!((ask(&mut other), ask(&mut other)), ("200".to_owned(), "200".to_owned()));
}
