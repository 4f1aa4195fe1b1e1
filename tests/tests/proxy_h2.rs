//! HTTP/2 through proxyd and Debian's haproxy side by side: the same requests must give the client the same fields,
//! bytes and resets, the origin the same view (it echoes what it was sent) and the log the same line.

use holdfast_tests::node::Program;
use holdfast_tests::oracle::Suite;
use holdfast_tests::pair::{Origin, Side};
use http2::hpack;
use http2::{Code, Config, Connection, Fields, Role, Sink};
use regex::Regex;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const CONFIG: &str = include_str!("proxy_h2/haproxy.cfg");
/// Frontends of the configuration.
const FRONTENDS: usize = 5;
/// Requests under way at once.
const THREADS: usize = 4;
/// How long an answer may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(15);

/// What a stream brought.
#[derive(Debug, Default)]
struct Heard {
    streams: BTreeMap<u32, Stream>,
}

#[derive(Debug, Default)]
struct Stream {
    heads: String,
    body: Vec<u8>,
    ended: bool,
    reset: Option<u32>,
}

impl Stream {
    fn is_over(&self) -> bool {
        self.ended || self.reset.is_some()
    }

    fn text(&self) -> String {
        let body = String::from_utf8_lossy(&self.body);
        let body = if body.len() > 4000 {
            format!("{}…{} bytes", &body[..body.floor_char_boundary(300)], body.len())
        } else {
            body.into_owned()
        };
        format!("{}{body}\nended: {} reset: {:?}", self.heads, self.ended, self.reset)
    }
}

impl Sink for Heard {
    fn head(&mut self, id: u32, _: bool, fields: &Fields, end: bool) -> Result<(), Code> {
        let stream = self.streams.entry(id).or_default();
        for (name, value) in fields.iter() {
            let (name, value) = (String::from_utf8_lossy(name), String::from_utf8_lossy(value));
            let _ = writeln!(stream.heads, "{name}: {value}");
        }
        stream.heads.push('\n');
        stream.ended |= end;
        Ok(())
    }

    fn data(&mut self, id: u32, bytes: &[u8], end: bool) -> Result<(), Code> {
        let stream = self.streams.entry(id).or_default();
        stream.body.extend_from_slice(bytes);
        stream.ended |= end;
        Ok(())
    }

    fn reset(&mut self, id: u32, code: u32) {
        let stream = self.streams.entry(id).or_default();
        if !stream.is_over() {
            stream.reset = Some(code);
        }
    }

    fn writable(&mut self, _: u32) {}
}

/// A request.
#[derive(Debug, Clone)]
struct Ask {
    name: String,
    frontend: usize,
    fields: Vec<(String, String)>,
    body: Option<Vec<u8>>,
    trailers: Vec<(String, String)>,
}

fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect()
}

fn ask(name: &str, frontend: usize, fields: &[(&str, &str)]) -> Ask {
    Ask { name: name.to_owned(), frontend, fields: pairs(fields), body: None, trailers: Vec::new() }
}

fn get(frontend: usize, path: &str, more: &[(&str, &str)]) -> Ask {
    let mut fields =
        vec![(":method", "GET"), (":scheme", "http"), (":authority", "x.example"), (":path", path)];
    fields.extend_from_slice(more);
    ask(&format!("GET {path} {more:?} {frontend}"), frontend, &fields)
}

fn with(mut ask: Ask, method: &str, body: &[u8], trailers: &[(&str, &str)]) -> Ask {
    ask.fields[0].1 = method.to_owned();
    ask.name = format!("{method} {} bytes {trailers:?} {}", body.len(), ask.name);
    (ask.body, ask.trailers) = (Some(body.to_vec()), pairs(trailers));
    ask
}

fn block(fields: &[(String, String)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        hpack::put(&mut block, name.as_bytes(), value.as_bytes());
    }
    block
}

/// Requests that go to every frontend that passes them on.
fn common(frontend: usize) -> Vec<Ask> {
    let f = frontend;
    let big = vec![b'b'; 200_000];
    let mut all: Vec<Ask> = [
        "/a?b=c",
        "/chunked",
        "/until-close",
        "/http10",
        "/nobody",
        "/notmodified",
        "/status/404",
        "/status/500",
        "/hints",
        "/two-lengths",
        "/bad-status",
        "/bad-header",
        "/short",
        "/empty",
        "/big/300000",
        "/cookies",
    ]
    .map(|path| get(f, path, &[]))
    .into();
    all.extend([
        get(
            f,
            "/h",
            &[
                ("accept", "*/*"),
                ("x-a", "1"),
                ("x-a", "2"),
                ("cookie", "a=1"),
                ("x-b", "3"),
                ("cookie", "b=2"),
            ],
        ),
        get(f, "/h", &[("host", "other"), ("te", "trailers"), ("empty", "")]),
        get(f, "/continue", &[("expect", "100-continue")]),
        with(get(f, "/p", &[]), "POST", b"hello", &[]),
        with(get(f, "/p", &[("content-length", "5")]), "POST", b"hello", &[]),
        with(get(f, "/p", &[("content-length", "0")]), "POST", b"", &[]),
        with(get(f, "/p", &[("content-length", "200000")]), "PUT", &big, &[]),
        with(get(f, "/status/200", &[]), "PUT", &big, &[]),
        with(get(f, "/p", &[]), "POST", b"with trailers", &[("x-t", "1")]),
        with(get(f, "/nobody", &[]), "HEAD", b"", &[]),
        with(get(f, "/chunked", &[]), "HEAD", b"", &[]),
        with(get(f, "/a", &[]), "HEAD", b"", &[]),
        with(get(f, "/a", &[]), "PURGE", b"", &[]),
    ]);
    all
}

/// Odd and malformed ones.
fn odd() -> Vec<Ask> {
    let mut all = Vec::new();
    let lists: [&[(&str, &str)]; 27] = [
        &[(":method", "GET"), (":scheme", "https"), (":path", "/no-authority"), ("host", "h:443")],
        &[(":method", "GET"), (":scheme", "https"), (":path", "/nobody-knows")],
        &[(":method", "GET"), (":scheme", "https"), (":path", "/two"), ("host", "a"), ("host", "b")],
        &[(":method", "GET"), (":scheme", "https"), (":authority", "a:443"), (":path", "/default-port")],
        &[(":method", "GET"), (":scheme", "http"), (":authority", "a:80"), (":path", "/default-port")],
        &[(":method", "GET"), (":scheme", "http"), (":authority", "a:8080"), (":path", "/port")],
        &[(":method", "GET"), (":scheme", "ftp"), (":authority", "a"), (":path", "/ftp")],
        &[(":method", "OPTIONS"), (":scheme", "http"), (":authority", "a"), (":path", "*")],
        &[(":method", "OPTIONS"), (":scheme", "http"), (":path", "*")],
        &[(":method", "GET"), (":scheme", "http"), (":path", "no-slash")],
        &[(":method", "GET"), (":scheme", "http"), (":path", "")],
        &[(":method", "GET"), (":scheme", "http")],
        &[(":method", "GET"), (":path", "/")],
        &[(":scheme", "http"), (":path", "/")],
        &[(":method", "GET"), (":scheme", "http"), (":path", "/"), (":path", "/")],
        &[(":method", "GET"), ("x", "1"), (":scheme", "http"), (":path", "/")],
        &[(":method", "GET"), (":scheme", "http"), (":path", "/"), (":status", "200")],
        &[(":method", "GET"), (":scheme", "http"), (":path", "/"), ("Upper", "1")],
        &[(":method", "GET"), (":scheme", "http"), (":path", "/"), ("connection", "close")],
        &[(":method", "GET"), (":scheme", "http"), (":path", "/"), ("transfer-encoding", "chunked")],
        &[(":method", "GET"), (":scheme", "http"), (":path", "/"), ("upgrade", "x")],
        &[(":method", "GET"), (":scheme", "http"), (":path", "/"), ("te", "gzip")],
        &[(":method", "GET"), (":scheme", "http"), (":path", "/"), ("x", "a\r\nb: c")],
        &[(":method", "GET"), (":scheme", "http"), (":path", "/"), ("content-length", "")],
        &[(":method", "GET"), (":scheme", "http"), (":path", "/"), ("content-length", "1")],
        &[(":method", "GET?"), (":scheme", "http"), (":authority", "a"), (":path", "/")],
        &[(":method", "GET"), (":scheme", "http://x/?"), (":path", "/")],
    ];
    for list in lists {
        all.push(ask(&format!("{list:?}"), 0, list));
    }
    let plain = |more: &[(&str, &str)]| get(0, "/p", more);
    all.push(with(plain(&[("content-length", "2")]), "POST", b"more than two", &[]));
    all.push(with(plain(&[("content-length", "20")]), "POST", b"less", &[]));
    all.push(with(plain(&[("content-length", "2"), ("content-length", "3")]), "POST", b"", &[]));
    all.push(get(0, &format!("/{}", "a".repeat(8000)), &[]));
    all.push(get(0, "/raw{}|\"<>^`", &[]));
    all
}

fn rules() -> Vec<Ask> {
    [
        "/deny",
        "/deny429",
        "/return",
        "/redirect",
        "/redirect-scheme",
        "/redirect-prefix/a?b",
        "/tarpit",
        "/reject",
        "/setpath",
        "/seturi",
        "/setabs",
        "/setquery",
        "/method",
        "/sethost",
        "/monitor",
        "/nosrv",
        "/refused",
        "/plain?x=1",
    ]
    .map(|path| get(2, path, &[("x-del", "1"), ("cookie", "a=1"), ("cookie", "b=2")]))
    .into()
}

/// Sends requests over one connection; gives what their streams brought, in order, and the log's lines.
fn run(side: &Side, frontend: usize, asks: &[&Ask]) -> String {
    let mut stream = side.connect(frontend);
    let port = stream.local_addr().map_or(0, |a| a.port());
    let _ = stream.set_read_timeout(Some(Duration::from_millis(50)));
    let (mut core, mut heard) = (Connection::new(Role::Client, Config::default()), Heard::default());
    let mut open: Vec<(u32, &Ask, usize)> = Vec::new();
    for one in asks {
        let Some(id) = core.start() else { return "no stream".to_owned() };
        let alone = one.body.as_ref().is_none_or(Vec::is_empty) && one.trailers.is_empty();
        core.send_head(id, &block(&one.fields), alone);
        heard.streams.entry(id).or_default();
        open.push((id, one, 0));
    }
    let until = Instant::now() + PATIENCE;
    let mut buffer = vec![0; 65_536];
    while heard.streams.values().any(|s| !s.is_over()) && Instant::now() < until {
        for (id, one, sent) in &mut open {
            let Some(body) = one.body.as_ref().filter(|_| core.speaks(*id)) else { continue };
            let last = one.trailers.is_empty();
            *sent += core.send_data(*id, &body[*sent..], last);
            if *sent == body.len() && !last {
                core.send_head(*id, &block(&one.trailers), true);
            }
        }
        let out = std::mem::take(&mut core.out);
        if !out.is_empty() && stream.write_all(&out).is_err() {
            break;
        }
        if !read(&mut stream, &mut buffer, &mut core, &mut heard) {
            break;
        }
    }
    drop(stream);
    let texts: Vec<String> = heard.streams.values().map(Stream::text).collect();
    let mut lines: Vec<String> = side.log_of(port).lines().map(str::to_owned).collect();
    lines.sort_unstable();
    format!("{}\nlog: {}", texts.join("\n"), lines.join("\n"))
}

/// Reads what there is; false at the end.
fn read(stream: &mut TcpStream, buffer: &mut [u8], core: &mut Connection, heard: &mut Heard) -> bool {
    match stream.read(buffer) {
        Ok(0) => false,
        Ok(n) => {
            core.receive(&buffer[..n], heard);
            // Bodies are used as they come.
            for id in heard.streams.keys().copied().collect::<Vec<_>>() {
                core.used(id, n);
            }
            true
        }
        Err(e) => matches!(e.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut),
    }
}

#[test]
fn streams_are_answered_forwarded_and_logged_alike() {
    let test = "proxy_h2";
    let Some(original) = Program::original(test, "haproxy") else { return };
    let programs = [original, Program::ours("proxyd", "haproxy")];
    Suite::live(test, |suite| look(suite, &programs));
}

fn look(suite: &mut Suite, programs: &[Program; 2]) {
    let origin = Origin::start();
    let sides = programs.each_ref().map(|p| Side::start(&p.path, CONFIG, FRONTENDS, &origin));
    let pattern: Vec<(Regex, &str)> = [
        (r"(?m)127\.0\.0\.1:\d+ \[[^\]]+\]", "CLIENT"),
        (r" (\d+|-1)/(\d+|-1)/(\d+|-1)/(\d+|-1)/\+?\d+ ", " TIMERS "),
        (r" \d+/\d+/\d+/\d+/", " COUNTS/"),
        (r"a{200,}.*", "aaa…"),
        // A body that only the connection's end (or its reset) ends counts one byte more where that comes alone: a race.
        (r#"200 \d+ (.*"GET [^" ]*/(?:http10|until-close|short) )"#, "200 BYTES $1"),
    ]
    .map(|(p, to)| (Regex::new(p).expect("a valid pattern"), to))
    .into();
    let cases: Vec<Ask> = [common(0), common(1), common(3), odd(), rules()].concat();
    let (next, results) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let tidy = |text: String| pattern.iter().fold(text, |t, (p, to)| p.replace_all(&t, *to).into_owned());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let texts = sides.each_ref().map(|s| tidy(run(s, case.frontend, &[case])));
                    results.lock().expect("no thread panicked").push((case.name.clone(), texts));
                }
            });
        }
    });
    for (name, [theirs, ours]) in results.into_inner().expect("no thread panicked") {
        suite.case(&name, &theirs, &ours);
    }
    let many: Vec<Ask> = (0..40).map(|i| get(0, &format!("/many/{i}"), &[])).collect();
    let many: Vec<&Ask> = many.iter().collect();
    let [theirs, ours] = sides.each_ref().map(|s| tidy(run(s, 0, &many)));
    suite.case("forty streams of one connection", &theirs, &ours);
    let (all, _) = suite.score();
    assert!(all >= 60, "only {all} requests");
}
