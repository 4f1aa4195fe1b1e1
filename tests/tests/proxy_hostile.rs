//! Slow, broken and hostile peers in front of and behind proxyd and Debian's haproxy: both must do the same, in the
//! same time, and be as good as before when it is over.

use holdfast_tests::node::Program;
use holdfast_tests::oracle::Suite;
use holdfast_tests::pair::{Origin, Side};
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::socket::{setsockopt, sockopt};
use regex::Regex;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

const CONFIG: &str = include_str!("proxy_hostile/haproxy.cfg");
const PLAIN: usize = 0;
const FEW: usize = 1;
const NOBODY: usize = 2;
/// Longest wait for anything: well above every timeout of the configuration.
const PATIENCE: Duration = Duration::from_secs(6);
/// What the origin cuts: a head and content, whose length is announced or chunked.
const CUTS: [&str; 2] = [
    "HTTP/1.1 200 OK\r\nX-Some: thing\r\nContent-Length: 10\r\n\r\n0123456789",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
];

/// Ends a connection by RST.
fn reset(stream: TcpStream) {
    let linger = nix::libc::linger { l_onoff: 1, l_linger: 0 };
    let _ = setsockopt(&stream, sockopt::Linger, &linger);
}

/// An origin of bad manners; what it does stands in the path.
fn origin() -> Origin {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("a bound socket has an address");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || while serve(&stream).is_some() {});
        }
    });
    Origin { address }
}

/// One request; `None` ends the connection.
fn serve(mut stream: &TcpStream) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read(&mut byte).ok().filter(|n| *n > 0)?;
        head.push(byte[0]);
    }
    let text = String::from_utf8_lossy(&head).into_owned();
    let path: Vec<&str> = text.split(' ').nth(1)?.split('/').collect();
    let number = |i: usize| path.get(i).and_then(|n| n.parse::<usize>().ok()).unwrap_or(0);
    match path[1] {
        "cut" => {
            stream.write_all(&CUTS[number(2)].as_bytes()[..number(3)]).ok()?;
            None
        }
        "reset" => {
            stream.write_all(&CUTS[number(2)].as_bytes()[..number(3)]).ok()?;
            reset(stream.try_clone().ok()?);
            None
        }
        "early" => {
            // The answer is there before the request is.
            stream.write_all(b"HTTP/1.1 413 Too Much\r\nContent-Length: 2\r\n\r\nno").ok()?;
            thread::sleep(Duration::from_millis(300));
            None
        }
        "silent" => {
            thread::sleep(PATIENCE);
            None
        }
        "big" => {
            let body = vec![b'x'; number(2)];
            stream
                .write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes())
                .ok()?;
            stream.write_all(&body).ok()
        }
        "stop" => {
            // Long content that ends in the middle of it.
            let body = vec![b'x'; number(2)];
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n").ok()?;
            stream.write_all(&body).ok()?;
            None
        }
        "chunks" => {
            let mut out = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
            for n in 0..number(2) {
                let size = 1 + n * 37 % 5000;
                out.extend_from_slice(format!("{size:x}\r\n{}\r\n", "y".repeat(size)).as_bytes());
            }
            out.extend_from_slice(b"0\r\n\r\n");
            stream.write_all(&out).ok()
        }
        _ => stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").ok(),
    }
}

/// Reads to the end, or until nothing came for [`PATIENCE`].
fn drain(stream: &mut TcpStream) -> (Vec<u8>, &'static str) {
    let _ = stream.set_read_timeout(Some(PATIENCE));
    let mut out = Vec::new();
    let mut piece = vec![0; 65536];
    loop {
        match stream.read(&mut piece) {
            Ok(0) => return (out, "closed"),
            Ok(n) => out.extend_from_slice(&piece[..n]),
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return (out, "open");
            }
            Err(_) => return (out, "reset"),
        }
    }
}

/// The content of an answer, whatever chunks it came in: haproxy may cut them anew, and tells the end of a chunk
/// only with what follows it.
fn content(answer: &[u8]) -> Vec<u8> {
    let Some(body) = answer.windows(4).position(|w| w == b"\r\n\r\n").map(|at| at + 4) else {
        return Vec::new();
    };
    if !String::from_utf8_lossy(&answer[..body]).to_lowercase().contains("transfer-encoding: chunked") {
        return answer[body..].to_vec();
    }
    let (mut rest, mut out) = (&answer[body..], Vec::new());
    while let Some(line) = rest.windows(2).position(|w| w == b"\r\n") {
        let size = std::str::from_utf8(&rest[..line]).ok().and_then(|t| usize::from_str_radix(t, 16).ok());
        let Some(size) = size else {
            out.extend_from_slice(b"<bad chunk>");
            break;
        };
        let data = &rest[line + 2..];
        out.extend_from_slice(&data[..size.min(data.len())]);
        if size == 0 {
            out.extend_from_slice(b"<end>");
            break;
        }
        rest = data.get(size + 2..).unwrap_or_default();
    }
    out
}

/// The contents of pipelined answers, one behind the other.
fn answers(mut bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while let Some(head) = bytes.windows(4).position(|w| w == b"\r\n\r\n").map(|at| at + 4) {
        let text = String::from_utf8_lossy(&bytes[..head]).to_lowercase();
        let length = text.lines().find_map(|l| l.strip_prefix("content-length: ")?.parse::<usize>().ok());
        let end = match length {
            Some(n) => (head + n).min(bytes.len()),
            None => bytes.windows(7).position(|w| w == b"\r\n0\r\n\r\n").map_or(bytes.len(), |at| at + 7),
        };
        out.extend_from_slice(format!("[{}]", text.lines().next().unwrap_or_default()).as_bytes());
        out.extend_from_slice(&content(&bytes[..end]));
        bytes = &bytes[end..];
    }
    out
}

fn sum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |s, b| s.wrapping_mul(31).wrapping_add(u64::from(*b)))
}

fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").into_bytes()
}

fn get_and_close(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").into_bytes()
}

/// Termination state of the log lines of a connection.
fn state(side: &Side, client: u16) -> String {
    let line = side.log_of(client);
    let found = Regex::new(r" ([A-Za-z-]{4}) \d+/\d+/\d+/\d+/").expect("a valid pattern");
    found.captures_iter(&line).map(|c| c[1].to_owned()).collect::<Vec<_>>().join(",")
}

/// Sends bytes, waits for the end, and tells what came: status, length of the rest, end, log, and whether it took as
/// long as it should.
fn outcome(side: &Side, frontend: usize, bytes: &[u8], within: (u64, u64)) -> String {
    let mut stream = side.connect(frontend);
    let client = stream.local_addr().map_or(0, |a| a.port());
    let began = Instant::now();
    let _ = stream.write_all(bytes);
    let (answer, end) = drain(&mut stream);
    let took = began.elapsed();
    drop(stream);
    let text = String::from_utf8_lossy(&answer).into_owned();
    let first = text.lines().next().unwrap_or_default().to_owned();
    let (early, late) = (Duration::from_millis(within.0), Duration::from_millis(within.1));
    let time = if took < early {
        "early"
    } else if took > late {
        "late"
    } else {
        "in time"
    };
    format!("{first} +{} {end} {} {time}", content(&answer).len(), state(side, client))
}

/// Slow clients are told in time, however they are slow.
fn slow_heads(side: &Side, suite: &mut Vec<(String, String)>) {
    let limit = (900, 1800);
    suite.push(("nothing at all".into(), outcome(side, PLAIN, b"", limit)));
    suite.push(("half a head".into(), outcome(side, PLAIN, b"GET / HTTP/1.1\r\nHost: x\r\n", limit)));
    // Bytes that keep coming don't move the limit.
    let mut stream = side.connect(PLAIN);
    let client = stream.local_addr().map_or(0, |a| a.port());
    let mut writer = stream.try_clone().expect("a second handle");
    let dribble = thread::spawn(move || {
        for byte in b"GET / HTTP/1.1\r\nHost: a.rather.long.name\r\n".iter().cycle().take(60) {
            if writer.write_all(&[*byte]).is_err() {
                break;
            }
            thread::sleep(Duration::from_millis(40));
        }
    });
    let began = Instant::now();
    let mut first = [0; 12];
    let _ = stream.set_read_timeout(Some(PATIENCE));
    let _ = stream.read_exact(&mut first);
    let took = began.elapsed();
    let time = (Duration::from_millis(900)..Duration::from_millis(1800)).contains(&took);
    let _ = stream.shutdown(Shutdown::Both);
    let _ = dribble.join();
    let told = format!("{} {time} {}", String::from_utf8_lossy(&first), state(side, client));
    suite.push(("a byte at a time".into(), told));
    suite.push(("idle after an answer".into(), outcome(side, PLAIN, &get("/"), limit)));
    let body = b"POST /silent HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nabc";
    suite.push(("a body that stops".into(), outcome(side, PLAIN, body, (1400, 3500))));
}

/// Servers that are not there, say nothing, or answer too early.
fn bad_servers(side: &Side, suite: &mut Vec<(String, String)>) {
    suite.push(("dead".into(), outcome(side, NOBODY, &get_and_close("/"), (900, 2500))));
    suite.push(("silent".into(), outcome(side, PLAIN, &get_and_close("/silent"), (1400, 2500))));
    suite.push(("stops short".into(), outcome(side, PLAIN, &get_and_close("/stop/300000"), (0, 1500))));
    let mut early =
        b"POST /early HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 50\r\n\r\n".to_vec();
    early.extend_from_slice(&[b'z'; 20]);
    let mut stream = side.connect(PLAIN);
    let _ = stream.write_all(&early);
    let _ = stream.set_read_timeout(Some(PATIENCE));
    let mut first = [0; 12];
    let _ = stream.read_exact(&mut first);
    suite.push(("answers before the request ends".into(), String::from_utf8_lossy(&first).into_owned()));
    for (kind, whole) in CUTS.iter().enumerate() {
        for at in (0..whole.len()).step_by(6).chain([whole.len() - 1]) {
            let path = format!("/cut/{kind}/{at}");
            suite.push((
                format!("server closes, {path}"),
                outcome(side, PLAIN, &get_and_close(&path), (0, 1500)),
            ));
            // What a reset leaves of the bytes before it is chance; that it is told is not.
            let path = format!("/reset/{kind}/{at}");
            let told = outcome(side, PLAIN, &get_and_close(&path), (0, 1500));
            let known = ["HTTP/1.1 502", "HTTP/1.1 200"].iter().any(|s| told.starts_with(s));
            suite.push((format!("server resets, {path}"), format!("{known} {}", told.ends_with("in time"))));
        }
    }
}

/// Clients that read slowly get every byte; those that break off leave nothing behind.
fn bad_readers(side: &Side, suite: &mut Vec<(String, String)>) {
    for path in ["/big/200000", "/chunks/60"] {
        let mut stream = side.connect(PLAIN);
        let _ = setsockopt(&stream, sockopt::RcvBuf, &2048);
        let _ = stream.set_read_timeout(Some(PATIENCE));
        let _ = stream.write_all(&get_and_close(path));
        let (mut all, mut piece) = (Vec::new(), [0; 1500]);
        while let Ok(n) = stream.read(&mut piece) {
            if n == 0 {
                break;
            }
            all.extend_from_slice(&piece[..n]);
            if all.len() % 7 == 0 {
                thread::sleep(Duration::from_millis(2));
            }
        }
        let all = content(&all);
        suite.push((format!("a tiny window, {path}"), format!("{} {}", all.len(), sum(&all))));
    }
    let request = b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nabcd";
    for at in 0..request.len() {
        let mut stream = side.connect(PLAIN);
        let _ = stream.write_all(&request[..at]);
        reset(stream);
    }
    for path in ["/big/5000000", "/chunks/1000"] {
        for taken in [1, 70_000] {
            let mut stream = side.connect(PLAIN);
            let _ = stream.write_all(&get(path));
            let _ = stream.read_exact(&mut vec![0; taken]);
            reset(stream);
        }
    }
    suite.push(("after all resets".into(), outcome(side, PLAIN, &get_and_close("/"), (0, 1000))));
}

/// Two pipelined answers, large and small: where one ends and the next begins is never lost.
fn long_answers(side: &Side, suite: &mut Vec<(String, String)>) {
    for _ in 0..3 {
        let mut bytes = Vec::new();
        for path in
            ["/big/60000", "/chunks/30", "/", "/big/200000", "/chunks/90", "/big/15000", "/big/1000000"]
        {
            bytes.extend(get(path));
        }
        bytes.extend(get_and_close("/"));
        let mut stream = side.connect(PLAIN);
        let _ = stream.write_all(&bytes);
        let (all, end) = drain(&mut stream);
        let all = answers(&all);
        suite.push(("long and short answers in turn".into(), format!("{} {} {end}", all.len(), sum(&all))));
    }
}

/// At `maxconn` whoever comes next waits in the kernel, and is served once there is room.
fn at_maxconn(side: &Side, suite: &mut Vec<(String, String)>) {
    let held: Vec<TcpStream> = (0..3).map(|_| side.connect(FEW)).collect();
    for mut stream in &held {
        let _ = stream.write_all(b"GET / HTTP/1.1\r\n");
    }
    thread::sleep(Duration::from_millis(100));
    let mut waiting = side.connect(FEW);
    let _ = waiting.write_all(&get_and_close("/"));
    let _ = waiting.set_read_timeout(Some(Duration::from_millis(300)));
    let early = waiting.read(&mut [0; 16]).is_ok();
    drop(held);
    let (answer, end) = drain(&mut waiting);
    suite.push(("at maxconn".into(), format!("{early} {} {end}", String::from_utf8_lossy(&answer))));
}

/// Without descriptors nothing that is there is lost, and all is well once there are some again.
fn out_of_descriptors(side: &Side, suite: &mut Vec<(String, String)>) {
    let set = |soft: u64| {
        let limits = format!("--nofile={soft}:");
        Command::new("prlimit")
            .args(["--pid", &side.pid().to_string(), &limits])
            .status()
            .is_ok_and(|s| s.success())
    };
    let open = || std::fs::read_dir(format!("/proc/{}/fd", side.pid())).map_or(0, |d| d.count() as u64);
    let mut kept = side.connect(PLAIN);
    let _ = kept.write_all(&get("/"));
    let _ = kept.set_read_timeout(Some(PATIENCE));
    let _ = kept.read_exact(&mut [0; 20]);
    if !set(open() + 4) {
        return;
    }
    let many: Vec<TcpStream> = (0..20).map(|_| side.connect(PLAIN)).collect();
    thread::sleep(Duration::from_millis(200));
    let alive = std::fs::metadata(format!("/proc/{}", side.pid())).is_ok();
    let (normal, _) = getrlimit(Resource::RLIMIT_NOFILE).unwrap_or((1024, 1024));
    set(normal);
    drop(many);
    thread::sleep(Duration::from_millis(1200));
    let after = outcome(side, PLAIN, &get_and_close("/"), (0, 1000));
    suite.push(("out of descriptors".into(), format!("{alive} {after}")));
}

fn everything(side: &Side) -> Vec<(String, String)> {
    let mut seen = Vec::new();
    slow_heads(side, &mut seen);
    bad_servers(side, &mut seen);
    bad_readers(side, &mut seen);
    long_answers(side, &mut seen);
    at_maxconn(side, &mut seen);
    out_of_descriptors(side, &mut seen);
    seen
}

#[test]
fn hostile_peers_meet_the_same_answers() {
    let test = "proxy_hostile";
    let Some(original) = Program::original(test, "haproxy") else { return };
    let programs = [original, Program::ours("proxyd", "haproxy")];
    Suite::live(test, |suite| look(suite, &programs));
}

/// Starts both and lets all hostile peers loose on each.
fn look(suite: &mut Suite, programs: &[Program; 2]) {
    let origin = origin();
    let sides = programs.each_ref().map(|program| Side::start(&program.path, CONFIG, 3, &origin));
    let [theirs, ours] = thread::scope(|scope| {
        let running = sides.each_ref().map(|side| scope.spawn(|| everything(side)));
        running.map(|r| r.join().expect("no thread panicked"))
    });
    assert_eq!(theirs.len(), ours.len(), "both went through the same");
    for ((name, theirs), (_, ours)) in theirs.into_iter().zip(ours) {
        suite.case(&name, &theirs, &ours);
    }
}
