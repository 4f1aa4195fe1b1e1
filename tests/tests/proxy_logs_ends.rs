//! How streams end, beside Debian's haproxy: clients and origin play a script, step by step, and what each of them got
//! and the log lines must be the same. `proxy_logs_ends/cases.txt` has the scripts, and says what the steps mean.
//!
//! Invariant: no step depends on how fast anything is: each waits for what the one before it brought. Where a timeout
//! is to strike, it is the only short one.

use holdfast_tests::node::Program;
use holdfast_tests::oracle::Suite;
use holdfast_tests::pair::{Origin, Side};
use regex::Regex;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const CONFIG: &str = include_str!("proxy_logs_ends/haproxy.cfg");
const CASES: &str = include_str!("proxy_logs_ends/cases.txt");
/// Pairs of programs that play scripts at the same time; most of the time is spent waiting for timeouts.
const PAIRS: usize = 6;
/// How long any step may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long nothing more is heard of connections that are over.
const QUIET: Duration = Duration::from_millis(300);
/// How long a line that nobody expects may take to come.
const SETTLE: Duration = Duration::from_millis(60);
/// Longest run of one byte that is shown as such.
const RUN_MAX: usize = 40;

/// Words of scripts that stand for longer text.
const WORDS: &[(&str, &str)] = &[
    ("$GET", "GET / HTTP/1.1|Host: x||"),
    ("$POST", "POST / HTTP/1.1|Host: x|Content-Length: 9||"),
    ("$CHUNKS", "POST / HTTP/1.1|Host: x|Transfer-Encoding: chunked||"),
    ("$OK", "HTTP/1.1 200 OK|Content-Length: 2||ok"),
    ("$NINE", "HTTP/1.1 200 OK|Content-Length: 9||"),
    ("$LAST", "HTTP/1.1 413 Big|Content-Length: 2|Connection: close||no"),
    ("$OPEN", "HTTP/1.1 200 OK||"),
];

/// The bytes a script's text stands for: `|` is a line's end, `{N*x}` N times x.
fn bytes(text: &str) -> Vec<u8> {
    let text = WORDS.iter().fold(text.to_owned(), |text, (word, long)| text.replace(word, long));
    let mut out = Vec::new();
    let mut rest = text.as_str();
    while let Some(at) = rest.find(['|', '{']) {
        out.extend_from_slice(&rest.as_bytes()[..at]);
        let times = rest[at..].strip_prefix('{').and_then(|t| t.split_once('}'));
        if let Some((inner, after)) = times {
            let (count, what) = inner.split_once('*').expect("{N*x}");
            out.extend(what.repeat(count.parse().expect("a number")).bytes());
            rest = after;
        } else {
            out.extend_from_slice(b"\r\n");
            rest = &rest[at + 1..];
        }
    }
    out.extend_from_slice(rest.as_bytes());
    out
}

/// One end of a connection that a script plays.
struct End {
    stream: TcpStream,
    got: Vec<u8>,
    over: Option<&'static str>,
}

impl End {
    fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(Duration::from_millis(100))).expect("a timeout can be set");
        stream.set_nodelay(true).expect("the option is known");
        Self { stream, got: Vec::new(), over: None }
    }

    fn more(&mut self) {
        let mut piece = vec![0; 65536];
        match self.stream.read(&mut piece) {
            Ok(0) => self.over = Some("end"),
            Ok(n) => self.got.extend_from_slice(&piece[..n]),
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => self.over = Some("reset"),
        }
    }

    /// What came up to and with `wanted`, or all of it and why there is no more.
    fn until(&mut self, wanted: Option<&[u8]>) -> String {
        let begin = Instant::now();
        loop {
            let found =
                wanted.and_then(|w| self.got.windows(w.len()).position(|g| g == w).map(|at| at + w.len()));
            if let Some(end) = found {
                return shown(&self.got.drain(..end).collect::<Vec<u8>>());
            }
            let why = match self.over {
                None if begin.elapsed() > PATIENCE => "open",
                None => {
                    self.more();
                    continue;
                }
                Some(why) => why,
            };
            return format!("{} [{why}]", shown(&std::mem::take(&mut self.got)));
        }
    }
}

/// Bytes in one line; long runs of a letter by their length.
fn shown(bytes: &[u8]) -> String {
    let mut out = String::new();
    for run in bytes.chunk_by(|a, b| a == b) {
        if run.len() > RUN_MAX {
            let _ = write!(out, "{{{}*{}}}", run.len(), char::from(run[0]));
        } else {
            out.push_str(&String::from_utf8_lossy(run));
        }
    }
    out.replace("\r\n", "|").replace('\n', "$")
}

/// A program, its origin, and where its lines go.
struct Bench {
    side: Side,
    listener: TcpListener,
    sink: UdpSocket,
    pause: Regex,
}

impl Bench {
    fn start(program: &Program, frontends: usize) -> Self {
        let sink = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        let port = sink.local_addr().expect("a bound socket has an address").port();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let origin = Origin { address: listener.local_addr().expect("a bound socket has an address") };
        listener.set_nonblocking(true).expect("the option is known");
        let mut config = CONFIG.replace("@SINK@", &port.to_string());
        for frontend in 0..frontends {
            config = config.replacen("@PORT@", &format!("@PORT{frontend}@"), 1);
        }
        let side = Side::start(&program.path, &config, frontends, &origin);
        let pause = Regex::new(r"\b\d+\b").expect("a valid pattern");
        let bench = Self { side, listener, sink, pause };
        bench.settle();
        bench
    }

    /// Whoever waits for a proxy connects to each frontend once; what comes of that is no script's.
    fn settle(&self) {
        let mut last = Instant::now();
        while last.elapsed() < QUIET {
            if self.listener.accept().is_ok() || self.any_line(Duration::from_millis(5)).is_some() {
                last = Instant::now();
            }
        }
    }

    /// A line, and the port of the client it tells of.
    fn any_line(&self, patience: Duration) -> Option<(u16, String)> {
        self.sink.set_read_timeout(Some(patience)).expect("a timeout can be set");
        let mut buffer = [0; 8192];
        let n = self.sink.recv(&mut buffer).ok()?;
        let text = String::from_utf8_lossy(&buffer[..n]).into_owned();
        let line = text.split_once("]: ").map_or(text.as_str(), |(_, line)| line).trim_end();
        let Some((port, rest)) = line.split_once(' ') else { return Some((0, String::new())) };
        // Times, which stand first, are reached or not.
        let (times, rest) = rest.split_once(' ').unwrap_or((rest, ""));
        let times = self.pause.replace_all(times, "T").replace("-T", "-1");
        Some((port.parse().unwrap_or(0), format!("{times} {rest}")))
    }

    /// The next line of one of these clients.
    fn line(&self, clients: &[u16], patience: Duration) -> Option<String> {
        let begin = Instant::now();
        loop {
            let left = patience.checked_sub(begin.elapsed()).filter(|left| !left.is_zero())?;
            match self.any_line(left)? {
                (client, line) if clients.contains(&client) => return Some(line),
                _ => {}
            }
        }
    }

    fn accept(&self) -> Option<TcpStream> {
        let begin = Instant::now();
        while begin.elapsed() < PATIENCE {
            match self.listener.accept() {
                Ok((stream, _)) => {
                    stream.set_nonblocking(false).ok()?;
                    return Some(stream);
                }
                Err(_) => thread::sleep(Duration::from_millis(2)),
            }
        }
        None
    }

    /// Plays a script and tells what everybody saw.
    fn play(&self, frontend: usize, steps: &str) -> String {
        // A server that was found at fault may have been looked at once more.
        while self.listener.accept().is_ok() {}
        let mut ends: BTreeMap<String, End> = BTreeMap::new();
        ends.insert("c".to_owned(), End::new(self.side.connect(frontend)));
        let port = |end: &End| end.stream.local_addr().map_or(0, |a| a.port());
        let mut clients: Vec<u16> = ends.values().map(port).collect();
        let mut told = String::new();
        for step in steps.split(" ; ") {
            let step = step.trim();
            let (who, rest) = step.split_once(' ').unwrap_or((step, ""));
            let (what, text) = rest.split_once(' ').unwrap_or((rest, ""));
            match (who, what) {
                ("log", _) => {
                    let line = self.line(&clients, PATIENCE).unwrap_or_else(|| "none".to_owned());
                    let _ = writeln!(told, "log: {line}");
                }
                ("cli", _) => {
                    let said = holdfast_tests::cli::ask(&self.side.directory().join("cli"), rest);
                    let _ = writeln!(told, "cli: {}", said.unwrap_or_default().trim());
                }
                ("pause", ms) => thread::sleep(Duration::from_millis(ms.parse().expect("a number"))),
                (name, "accept") => match self.accept() {
                    Some(stream) => drop(ends.insert(name.to_owned(), End::new(stream))),
                    None => told.push_str("nobody connects\n"),
                },
                (name, "connect") => {
                    let end = End::new(self.side.connect(frontend));
                    clients.push(port(&end));
                    ends.insert(name.to_owned(), end);
                }
                (name, "close") => drop(ends.remove(name)),
                (name, "reset") => {
                    if let Some(end) = ends.remove(name) {
                        let socket = socket2::SockRef::from(&end.stream);
                        socket.set_linger(Some(Duration::ZERO)).expect("the option is known");
                    }
                }
                (name, what) => {
                    let Some(end) = ends.get_mut(name) else { continue };
                    match what {
                        ">" => drop(end.stream.write_all(&bytes(text))),
                        "fin" => drop(end.stream.shutdown(Shutdown::Write)),
                        "<" => {
                            let _ = writeln!(told, "{name}: {}", end.until(Some(&bytes(text))));
                        }
                        "end" => {
                            let _ = writeln!(told, "{name}: {}", end.until(None));
                        }
                        other => panic!("{other} is no step: {steps}"),
                    }
                }
            }
        }
        drop(ends);
        while let Some(line) = self.line(&clients, SETTLE) {
            let _ = writeln!(told, "and log: {line}");
        }
        told
    }
}

/// Name, frontend's name and script of each case.
fn cases() -> Vec<(String, &'static str, &'static str)> {
    let lines = CASES.lines().filter(|l| !l.starts_with('#') && !l.trim().is_empty());
    let parts = lines.map(|line| {
        line.split_once(": ").and_then(|(head, steps)| {
            let (frontend, name) = head.split_once(' ')?;
            Some((format!("{frontend} {name}"), frontend, steps))
        })
    });
    parts.map(|p| p.expect("FRONTEND NAME: STEPS")).collect()
}

#[test]
fn streams_end_as_in_the_original() {
    let test = "proxy_logs_ends";
    let Some(original) = Program::original(test, "haproxy") else { return };
    let programs = [original, Program::ours("proxyd", "haproxy")];
    Suite::live(test, |suite| look(suite, &programs));
}

fn look(suite: &mut Suite, programs: &[Program; 2]) {
    let head = |l: &'static str| l.strip_prefix("frontend ").or(l.strip_prefix("listen "));
    let frontends: Vec<&str> = CONFIG.lines().filter_map(head).filter_map(|l| l.split(' ').next()).collect();
    let cases = cases();
    let (next, results) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    // One behind the other: who asks for free ports must not be given those that another is about to take.
    let start = || programs.each_ref().map(|p| Bench::start(p, frontends.len()));
    let pairs: Vec<[Bench; 2]> = (0..PAIRS).map(|_| start()).collect();
    thread::scope(|scope| {
        for pair in &pairs {
            let (next, results, cases, frontends) = (&next, &results, &cases, &frontends);
            scope.spawn(move || {
                while let Some((name, frontend, steps)) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let frontend = frontends.iter().position(|f| f == frontend);
                    let frontend = frontend.unwrap_or_else(|| panic!("{name}: no such frontend"));
                    let told = thread::scope(|both| {
                        let playing =
                            pair.each_ref().map(|bench| both.spawn(move || bench.play(frontend, steps)));
                        playing.map(|p| p.join().expect("no thread panicked"))
                    });
                    results.lock().expect("no thread panicked").push((name, told));
                }
            });
        }
    });
    for (name, [theirs, ours]) in results.into_inner().expect("no thread panicked") {
        suite.case(name, &theirs, &ours);
    }
    let (all, _) = suite.score();
    assert_eq!(all, cases.len(), "names are told apart");
}
