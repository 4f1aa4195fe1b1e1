//! proxyd and Debian's haproxy with the same backends side by side: the same requests in the same order must fall on
//! the same servers, by every algorithm, with weights, limits, states and their changes at run time.
//!
//! A case is a backend and a script. Each line of a script is a step: `get PATH [Header:value …] [from ADDRESS] [xN]`
//! sends a request and notes its server; `log …` the same with what the log says; `hold ID …` one that the origin
//! answers in part until `release ID`; `ask ID …` one that is not waited for until `take ID`; `cli COMMAND` goes to
//! the stats socket; `wait MS`.

use holdfast_tests::node::Program;
use holdfast_tests::oracle::Suite;
use holdfast_tests::pair::{Origin, Side};
use std::collections::HashSet;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

const CASES: &str = include_str!("proxy_balance/cases.txt");
/// How long anything of a step may take.
const STEP: Duration = Duration::from_secs(8);
/// How long a proxy may take from a stream's entry to its place in a queue.
const NOTICE: Duration = Duration::from_millis(40);
/// Cases that run at once.
const THREADS: usize = 12;

struct Case {
    name: String,
    backend: String,
    script: Vec<String>,
}

/// `== NAME`, the lines of the backend, `--`, the script.
fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    for block in CASES.split("\n== ").skip(1) {
        let (name, rest) = block.split_once('\n').expect("a case has lines");
        let (backend, script) = rest.split_once("--\n").expect("a case has a script");
        let script = script.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#'));
        all.push(Case {
            name: name.trim().to_owned(),
            backend: backend.to_owned(),
            script: script.map(str::to_owned).collect(),
        });
    }
    all
}

/// An origin that holds `/hold/ID` after its head until it is released.
#[derive(Debug, Clone, Default)]
struct Holder(Arc<Mutex<HashSet<String>>>);

impl Holder {
    fn start(&self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let holder = self.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let holder = holder.clone();
                thread::spawn(move || holder.serve(&stream));
            }
        });
        address
    }

    fn serve(&self, stream: &TcpStream) -> Option<()> {
        let mut reader = BufReader::new(stream.try_clone().ok()?);
        let mut out = stream;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
            let path = line.split(' ').nth(1)?.to_owned();
            let mut length = 0;
            loop {
                let mut header = String::new();
                reader.read_line(&mut header).ok().filter(|n| *n > 0)?;
                if let Some(value) = header.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().ok()?;
                }
                if header.trim().is_empty() {
                    break;
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).ok()?;
            out.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n").ok()?;
            if let Some(id) = path.strip_prefix("/hold/") {
                let until = Instant::now() + STEP;
                while !self.0.lock().ok()?.contains(id) && Instant::now() < until {
                    thread::sleep(Duration::from_millis(2));
                }
            }
            out.write_all(b"ok").ok()?;
        }
    }

    fn release(&self, id: &str) {
        self.0.lock().expect("nobody panicked").insert(id.to_owned());
    }
}

/// A request under way.
struct Asked {
    id: String,
    reader: BufReader<TcpStream>,
}

fn connect(from: Ipv4Addr, port: u16) -> std::io::Result<TcpStream> {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, connect, socket};
    use std::os::fd::AsRawFd;
    let fd = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    let address = |ip: Ipv4Addr, port| SockaddrIn::from(std::net::SocketAddrV4::new(ip, port));
    bind(fd.as_raw_fd(), &address(from, 0))?;
    connect(fd.as_raw_fd(), &address(Ipv4Addr::LOCALHOST, port))?;
    Ok(TcpStream::from(fd))
}

impl Asked {
    fn send(side: &Side, backend: &str, id: &str, words: &[&str]) -> Self {
        let (mut from, mut headers, mut method, mut body) = (Ipv4Addr::LOCALHOST, String::new(), "GET", "");
        let mut rest = words[1..].iter();
        while let Some(word) = rest.next() {
            match (*word, word.split_once(':')) {
                ("from", _) => from = rest.next().and_then(|a| a.parse().ok()).expect("an address"),
                ("post", _) => (method, body) = ("POST", rest.next().expect("a body")),
                (_, Some((name, value))) => {
                    let _ = write!(headers, "{name}: {}\r\n", value.replace('_', " "));
                }
                _ => {}
            }
        }
        if method == "POST" {
            let _ = write!(headers, "Content-Length: {}\r\n", body.len());
        }
        let path = words[0];
        // The original looks one byte behind the last field's value: that byte must not be left to chance.
        let text = format!(
            "{method} {path} HTTP/1.1\r\nX-Backend: {backend}\r\n{headers}Connection: close\r\n\r\n{body}"
        );
        let mut stream = connect(from, side.port(0)).expect("the proxy takes a connection");
        stream.set_read_timeout(Some(STEP)).expect("a timeout can be set");
        stream.write_all(text.as_bytes()).expect("a request can be sent");
        Self { id: id.to_owned(), reader: BufReader::new(stream) }
    }

    /// Reads the head; gives the server, or the status where there is none.
    fn server(&mut self) -> String {
        let mut status = String::new();
        if self.reader.read_line(&mut status).is_err() || status.is_empty() {
            return "nothing".to_owned();
        }
        let status = status.split(' ').nth(1).unwrap_or("?").to_owned();
        let (mut server, mut more) = (None, String::new());
        loop {
            let mut line = String::new();
            if self.reader.read_line(&mut line).is_err() || line.trim().is_empty() {
                break;
            }
            match line.split_once(": ").map(|(n, v)| (n.to_ascii_lowercase(), v.trim())) {
                Some((name, value)) if name == "x-server" => server = Some(value.to_owned()),
                Some((name, value)) if name == "location" || name == "set-cookie" => {
                    let _ = write!(more, " {name}={value}");
                }
                _ => {}
            }
        }
        server.unwrap_or(status) + &more
    }

    fn finish(&mut self) {
        let _ = self.reader.read_to_end(&mut Vec::new());
    }

    /// What the log says of it, without the client's address.
    fn log(&self, side: &Side) -> String {
        let port = self.reader.get_ref().local_addr().map_or(0, |a| a.port());
        let line = side.log_of(port);
        line.split_once(' ').map_or("", |(_, rest)| rest).to_owned()
    }
}

fn cli(side: &Side, command: &str) -> String {
    let answer = holdfast_tests::cli::ask(&side.directory().join("sock"), command).expect("an answer");
    answer.trim().to_owned()
}

/// One of the columns of `show stat` of a server, for `stat SERVER COLUMN…` steps.
fn stat(side: &Side, backend: &str, server: &str, columns: &[&str]) -> String {
    let text = cli(side, "show stat");
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next().unwrap_or("").trim_start_matches("# ").split(',').collect();
    let row = lines
        .map(|l| l.split(',').collect::<Vec<_>>())
        .find(|r| r[0] == backend && r[1] == server)
        .unwrap_or_default();
    let of = |c: &&str| names.iter().position(|n| n == c).and_then(|i| row.get(i)).copied().unwrap_or("?");
    columns.iter().map(|c| format!("{c}={}", of(c))).collect::<Vec<_>>().join(" ")
}

/// Streams that the backend has, those that wait included.
fn streams(side: &Side, backend: &str) -> u32 {
    stat(side, backend, "BACKEND", &["scur"]).trim_start_matches("scur=").parse().unwrap_or(0)
}

/// Waits until the number of streams has changed as it must.
fn settle(side: &Side, backend: &str, done: impl Fn(u32) -> bool) {
    let until = Instant::now() + STEP;
    while !done(streams(side, backend)) && Instant::now() < until {
        thread::sleep(Duration::from_millis(5));
    }
    thread::sleep(NOTICE);
}

fn run(side: &Side, case: &Case, backend: &str, holder: &Holder) -> String {
    let mut out = String::new();
    let mut asked: Vec<Asked> = Vec::new();
    for step in &case.script {
        let words: Vec<&str> = step.split_whitespace().collect();
        let times = words.last().and_then(|w| w.strip_prefix('x')?.parse().ok()).unwrap_or(1);
        match words[0] {
            kind @ ("get" | "log") => {
                for _ in 0..times {
                    let mut rest = words[1..].to_vec();
                    rest.extend((kind == "log").then_some("X-Log:1"));
                    let mut one = Asked::send(side, backend, "", &rest);
                    let server = one.server();
                    one.finish();
                    let _ = match kind {
                        "log" => writeln!(out, "{step}: {server} {}", one.log(side)),
                        _ => write!(out, "{server} "),
                    };
                }
                out.push('\n');
            }
            "hold" => {
                let path = format!("/hold/{backend}-{}", words[1]);
                let mut rest = vec![path.as_str()];
                rest.extend(&words[2..]);
                let mut one = Asked::send(side, backend, words[1], &rest);
                let _ = writeln!(out, "{step}: {}", one.server());
                asked.push(one);
            }
            "ask" => {
                let mut rest = words[2..].to_vec();
                rest.push("X-Log:1");
                let before = streams(side, backend);
                asked.push(Asked::send(side, backend, words[1], &rest));
                settle(side, backend, |now| now > before);
            }
            "take" => {
                let at = asked.iter().position(|a| a.id == words[1]).expect("it was asked");
                let mut one = asked.remove(at);
                let server = one.server();
                one.finish();
                let _ = writeln!(out, "{step}: {server} {}", one.log(side));
            }
            "release" => {
                let before = streams(side, backend);
                holder.release(&format!("{backend}-{}", words[1]));
                let at = asked.iter().position(|a| a.id == words[1]).expect("it was held");
                asked.remove(at).finish();
                settle(side, backend, |now| now < before);
            }
            "cli" => {
                let answer = cli(side, &step[4..].replace("@B@", backend));
                let _ = writeln!(out, "{step}: {answer}");
            }
            "stat" => {
                let _ = writeln!(out, "{step}: {}", stat(side, backend, words[1], &words[2..]));
            }
            "wait" => thread::sleep(Duration::from_millis(words[1].parse().expect("a number"))),
            other => panic!("{}: no step {other}", case.name),
        }
    }
    out
}

const HEAD: &str = "global
    nbthread 1
    maxconn 2000
    stats socket @DIR@/sock level admin
    stats timeout 30s
defaults
    mode http
    log 127.0.0.1:@LOG@ local0
    timeout connect 2s
    timeout client 9s
    timeout server 9s
    timeout queue 2s
    retries 3
    http-reuse never
frontend f
    bind 127.0.0.1:@PORT0@
    http-request set-log-level silent unless { req.hdr(x-log) 1 }
    log-format \"%ci:%cp %s %tsc %ST %rc %sq/%bq\"
    use_backend %[req.hdr(x-backend)]
";

#[test]
fn the_same_requests_fall_on_the_same_servers() {
    let Some(original) = Program::original("proxy_balance", "haproxy") else { return };
    let programs = [original, Program::ours("proxyd", "haproxy")];
    let only = std::env::var("CASE").ok();
    let cases: Vec<Case> =
        cases().into_iter().filter(|c| only.as_ref().is_none_or(|o| c.name.contains(o))).collect();
    if only.is_some() {
        let results = look(&mut Suite::new("proxy_balance"), &programs, &cases);
        for (case, (original, ours)) in cases.iter().zip(&results) {
            eprintln!("{} {}\n{original}---\n{ours}", case.name, original == ours);
        }
    } else {
        Suite::live("proxy_balance", |suite| {
            look(suite, &programs, &cases);
        });
    }
}

/// Starts both, sends every case's requests to each and compares whom they reached.
fn look(suite: &mut Suite, programs: &[Program; 2], cases: &[Case]) -> Vec<(String, String)> {
    let mut config = HEAD.to_owned();
    for (i, case) in cases.iter().enumerate() {
        let _ = write!(config, "backend b{i}\n    http-response set-header x-server %s\n{}\n", case.backend);
    }
    let origin = Origin::start();
    let holders = [Holder::default(), Holder::default()];
    let start = |program: &Program, holder: &Holder| {
        let config = config.replace("@HOLD@", &holder.start().to_string());
        Side::start(&program.path, &config, 1, &origin)
    };
    let sides = [start(&programs[0], &holders[0]), start(&programs[1], &holders[1])];
    let next = AtomicUsize::new(0);
    let results = Mutex::new(vec![(String::new(), String::new()); cases.len()]);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let i = next.fetch_add(1, Ordering::Relaxed);
                    let Some(case) = cases.get(i) else { return };
                    let backend = format!("b{i}");
                    let one = |n: usize| run(&sides[n], case, &backend, &holders[n]);
                    let pair = (one(0), one(1));
                    results.lock().expect("nobody panicked")[i] = pair;
                }
            });
        }
    });
    let results = results.into_inner().expect("nobody panicked");
    for (case, (original, ours)) in cases.iter().zip(&results) {
        suite.case(&case.name, original, ours);
    }
    results
}
