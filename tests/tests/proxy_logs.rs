//! Log lines beside Debian's haproxy: one for each way a request can end, the variables of `log-format`, and the heads
//! that the formats of targets and rings give. Times count only as reached or not.
//!
//! Absent on purpose: endings that two programs reach by a race (the hostile peers have those that can be told), and the
//! traffic of `proxy_differential`, whose lines are compared there.

use holdfast_tests::node::Program;
use holdfast_tests::oracle::Suite;
use holdfast_tests::pair::{Origin, Side};
use regex::Regex;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

const CONFIG: &str = include_str!("proxy_logs/haproxy.cfg");
/// Frontends of the configuration.
const FRONTENDS: usize = 11;
/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// Frontend, path and further header fields of the requests, each of which brings one line.
const REQUESTS: &[(usize, &str, &str)] = &[
    (0, "/", ""),
    (0, "/deny", ""),
    (0, "/tarpit", ""),
    (0, "/redirect", ""),
    (0, "/return", ""),
    (0, "/drop", ""),
    (0, "/reject", ""),
    (0, "/auth", ""),
    (0, "/wait", "Content-Length: 9\r\n"),
    (0, "/denied", ""),
    (0, "/made", ""),
    (0, "/dropped", ""),
    (0, "/cut", ""),
    (0, "/refused", ""),
    (0, "/empty", ""),
    (0, "/down", ""),
    (0, "/elsewhere/a", ""),
    (0, "/origin/close", ""),
    (0, "/origin/nonsense", ""),
    (0, "/origin/half", ""),
    (0, "/origin/short", ""),
    (0, "/origin/silent", ""),
    (0, "/origin/stall", ""),
    (0, "/other", "Cookie: SRV=one\r\n"),
    (0, "/other", "Cookie: SRV=two; a=b\r\n"),
    (0, "/other/cookie", "Cookie: SRV=two\r\n"),
    (0, "/rewrites", ""),
    (0, "/rewrites/cookie", "Cookie: SRV=one\r\n"),
    (0, "/reads", "Cookie: SRV=two\r\n"),
    (0, "/reads", "Cookie: SRV=one\r\n"),
    (0, "/reads/cookie", "Cookie: SRV=two\r\n"),
    (1, "/", "User-Agent: long name\r\n"),
    (1, "/\u{1}", ""),
    (2, "/", ""),
    (3, "/", ""),
    (3, "/deny", ""),
    (3, "/origin/close", ""),
    (3, "/\u{1}", ""),
    (4, "/a%20b?c=\"d\"&e=\\f", "User-Agent: \"a]b\\c\r\nCookie: SRV=abc; x=y\r\n"),
    (4, "/\u{1}", ""),
    (5, "/", ""),
    (6, "/", ""),
    (7, "/", ""),
    (8, "/", ""),
    (9, "/", ""),
    (10, "/", ""),
];

/// A server whose manners stand in the last part of the path.
fn origin() -> Origin {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("a bound socket has an address");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || serve(&stream));
        }
    });
    Origin { address }
}

fn serve(mut stream: &TcpStream) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if !matches!(stream.read(&mut byte), Ok(1)) {
            return;
        }
        head.push(byte[0]);
    }
    let text = String::from_utf8_lossy(&head);
    let path = text.split(' ').nth(1).unwrap_or_default();
    let answer = match path.rsplit('/').next().unwrap_or_default() {
        "close" => "",
        "nonsense" => "HTTX/1.1 what\r\n\r\n",
        "half" => "HTTP/1.1 200 OK\r\nX: y\r\n",
        "short" | "stall" => "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc",
        "cookie" => "HTTP/1.1 200 OK\r\nSet-Cookie: SRV=zz; path=/\r\nContent-Length: 2\r\n\r\nok",
        "silent" => "",
        _ => "HTTP/1.1 200 OK\r\nServer: s\r\nContent-Length: 2\r\n\r\nok",
    };
    // A proxy that is gone needs no answer.
    let _ = stream.write_all(answer.as_bytes());
    if path.ends_with("/silent") || path.ends_with("/stall") {
        // Until the proxy has enough of it.
        let _ = stream.read(&mut [0]);
    }
}

/// A program, and where its lines go.
struct Bench {
    side: Side,
    sink: UdpSocket,
}

impl Bench {
    fn start(program: &Program, origin: &Origin) -> Self {
        let sink = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        sink.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
        let port = sink.local_addr().expect("a bound socket has an address").port();
        let config = CONFIG.replace("@SINK@", &port.to_string());
        Self { side: Side::start(&program.path, &config, FRONTENDS, origin), sink }
    }

    /// Sends a request and tells the line that it brought.
    fn line(&self, frontend: usize, path: &str, fields: &str) -> String {
        let mut client = self.side.connect(frontend);
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{fields}\r\n");
        client.write_all(request.as_bytes()).expect("the proxy reads");
        let line = self.next_line();
        drop(client);
        line
    }

    fn next_line(&self) -> String {
        let mut buffer = [0; 4096];
        let n = self.sink.recv(&mut buffer).expect("a line comes");
        self.without_times(&String::from_utf8_lossy(&buffer[..n]))
    }

    fn without_times(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for frontend in 0..FRONTENDS {
            text = text.replace(&self.side.port(frontend).to_string(), &format!("PORT{frontend}"));
            text = text.replace(&format!("{:04X}", self.side.port(frontend)), &format!("HEX{frontend}"));
        }
        text = text.replace(&self.side.pid().to_string(), "PID");
        let patterns = [
            (r"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d ", "DATE "),
            (r"\d{4}-\d\d-\d\dT[\d:.]+[+-]\d\d:\d\d", "ISO"),
            (r"\[\d\d/[A-Z][a-z]{2}/\d{4}:[\d:.]+( [+-]\d{4})?\]", "[TIME]"),
            (r"127\.0\.0\.1:\d+", "CLIENT"),
            // Port and milliseconds of the common log format.
            (r#" "" "" \d+ \d+ ""#, r#" "" "" N N ""#),
        ];
        for (pattern, with) in patterns {
            text = Regex::new(pattern).expect("a pattern").replace_all(&text, with).into_owned();
        }
        let span = Regex::new(r"( [+-]?\d+){5} ([A-Zsc-]{4}) |[+-]?\d+(/[+-]?\d+){4} (-1|\d{3}) ")
            .expect("a pattern");
        let digits = Regex::new(r"(^|[ /])\d+").expect("a pattern");
        let reached = |found: &regex::Captures<'_>| {
            let whole = &found[0];
            let times = whole.trim_end().rfind(' ').map_or(whole.len(), |at| at);
            format!("{}{}", digits.replace_all(&whole[..times], "${1}T"), &whole[times..])
        };
        span.replace_all(&text, reached).into_owned()
    }

    fn events(&self, ring: &str) -> String {
        let socket = self.side.directory().join("cli");
        let answer = holdfast_tests::cli::ask(&socket, &format!("show events {ring}")).expect("an answer");
        self.without_times(&answer)
    }

    /// The line of a request that waited for a server in vain: another has the only connection.
    fn queued(&self) -> String {
        let mut holder = self.side.connect(0);
        holder.write_all(b"GET /queue/silent HTTP/1.1\r\nHost: x\r\n\r\n").expect("the proxy reads");
        // Who is told of in `show stat` has the server.
        let taken = holdfast_tests::netns::wait_for(PATIENCE, || {
            let socket = self.side.directory().join("cli");
            let answer = holdfast_tests::cli::ask(&socket, "show stat queue 4 -1").ok()?;
            answer
                .lines()
                .any(|l| l.starts_with("queue,s1,") && l.split(',').nth(4) == Some("1"))
                .then_some(())
        });
        assert!(taken.is_some(), "the first request has the server");
        let mut client = self.side.connect(0);
        client
            .write_all(b"GET /queue/late HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            .expect("it reads");
        let mut lines = [self.next_line(), self.next_line()];
        lines.sort();
        lines.concat()
    }
}

#[test]
fn lines_are_those_of_the_original() {
    let Some(original) = Program::original("proxy_logs", "haproxy") else { return };
    let programs = [original, Program::ours("proxyd", "haproxy")];
    Suite::live("proxy_logs", |suite| look(suite, &programs));
}

fn look(suite: &mut Suite, programs: &[Program; 2]) {
    let origin = origin();
    let [theirs, ours] = [&programs[0], &programs[1]].map(|p| Bench::start(p, &origin));
    let whole = AtomicBool::new(true);
    for (n, (frontend, path, fields)) in REQUESTS.iter().enumerate() {
        let [theirs, ours] = [&theirs, &ours].map(|b| b.line(*frontend, path, fields));
        whole.fetch_and(!theirs.is_empty(), Ordering::Relaxed);
        suite.case(&format!("{n:02} {frontend} {path:?} {fields:?}"), &theirs, &ours);
    }
    suite.case("queue", &theirs.queued(), &ours.queued());
    for ring in ["plain", "three", "five", "iso"] {
        suite.case(&format!("ring {ring}"), &theirs.events(ring), &ours.events(ring));
    }
    assert!(whole.load(Ordering::Relaxed), "every request brings a line");
}
