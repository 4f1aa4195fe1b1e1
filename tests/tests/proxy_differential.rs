//! proxyd and Debian's haproxy with the same configuration side by side: the same requests of all kinds must give the
//! client the same bytes, the origin the same view (it echoes what it was sent) and the log the same line.

use holdfast_tests::node::Program;
use holdfast_tests::oracle::Suite;
use holdfast_tests::pair::{Origin, Seen, Side};
use regex::Regex;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

const CONFIG: &str = include_str!("proxy_differential/haproxy.cfg");
/// Frontends of the configuration, by index: name and whether answers may stay open.
const FRONTENDS: [&str; 8] =
    ["plain", "close", "server-close", "rules", "lenient", "cookie", "tcp", "broken"];
/// Requests under way at once.
const THREADS: usize = 8;

/// A request to send.
struct Case {
    name: String,
    frontend: usize,
    bytes: Vec<u8>,
    half_close: bool,
}

fn request(line: &str, headers: &[&str], body: &str) -> Vec<u8> {
    let mut out = format!("{line}\r\n");
    for header in headers {
        out.push_str(header);
        out.push_str("\r\n");
    }
    out.push_str("\r\n");
    out.push_str(body);
    out.into_bytes()
}

const HOST: &str = "Host: x.example";
const CHUNKED: &str = "Transfer-Encoding: chunked";

/// Well-formed and odd requests that go to every HTTP frontend.
fn common() -> Vec<(&'static str, Vec<u8>)> {
    [exchanges(), framing(), targets(), headers(), responses()].concat()
}

/// Ordinary requests, alone and one behind the other.
fn exchanges() -> Vec<(&'static str, Vec<u8>)> {
    let h = HOST;
    vec![
        ("get", request("GET /a?b=c HTTP/1.1", &[h], "")),
        ("get-close", request("GET /a HTTP/1.1", &[h, "Connection: close"], "")),
        ("get-10", request("GET /a HTTP/1.0", &[], "")),
        ("get-10-keep", request("GET /a HTTP/1.0", &["Connection: keep-alive"], "")),
        ("head", request("HEAD /a HTTP/1.1", &[h], "")),
        ("delete", request("DELETE /a HTTP/1.1", &[h], "")),
        ("own-method", request("PURGE /a HTTP/1.1", &[h], "")),
        (
            "expect",
            request("POST /continue HTTP/1.1", &[h, "Expect: 100-continue", "Content-Length: 2"], "ab"),
        ),
        ("pipelined", [request("GET /1 HTTP/1.1", &[h], ""), request("GET /2 HTTP/1.1", &[h], "")].concat()),
        (
            "pipelined-post",
            [
                request("POST /1 HTTP/1.1", &[h, "Content-Length: 2"], "ab"),
                request("GET /2 HTTP/1.1", &[h], ""),
            ]
            .concat(),
        ),
    ]
}

/// Requests with bodies: how their end is told, rightly and wrongly.
fn framing() -> Vec<(&'static str, Vec<u8>)> {
    let h = HOST;
    let chunked = CHUNKED;
    let big = "b".repeat(40_000);
    let length = format!("Content-Length: {}", big.len());
    vec![
        ("post", request("POST /p HTTP/1.1", &[h, "Content-Length: 5"], "hello")),
        ("post-empty", request("POST /p HTTP/1.1", &[h, "Content-Length: 0"], "")),
        ("post-none", request("POST /p HTTP/1.1", &[h], "")),
        ("post-big", request("POST /p HTTP/1.1", &[h, &length], &big)),
        ("post-chunked", request("POST /p HTTP/1.1", &[h, chunked], "5\r\nhello\r\n0\r\n\r\n")),
        ("post-trailers", request("POST /p HTTP/1.1", &[h, chunked], "5\r\nhello\r\n0\r\nX-T: 1\r\n\r\n")),
        ("post-ext", request("POST /p HTTP/1.1", &[h, chunked], "5;a=b\r\nhello\r\n0\r\n\r\n")),
        ("length-twice", request("POST / HTTP/1.1", &[h, "Content-Length: 2", "Content-Length: 2"], "ab")),
        ("length-differs", request("POST / HTTP/1.1", &[h, "Content-Length: 2", "Content-Length: 3"], "abc")),
        ("length-list", request("POST / HTTP/1.1", &[h, "Content-Length: 2, 2"], "ab")),
        ("length-plus", request("POST / HTTP/1.1", &[h, "Content-Length: +2"], "ab")),
        ("length-hex", request("POST / HTTP/1.1", &[h, "Content-Length: 0x2"], "ab")),
        ("length-empty", request("POST / HTTP/1.1", &[h, "Content-Length:"], "")),
        ("length-huge", request("POST / HTTP/1.1", &[h, "Content-Length: 99999999999999999999"], "ab")),
        (
            "length-and-chunked",
            request("POST / HTTP/1.1", &[h, "Content-Length: 9", chunked], "2\r\nab\r\n0\r\n\r\n"),
        ),
        (
            "te-list",
            request("POST / HTTP/1.1", &[h, "Transfer-Encoding: gzip, chunked"], "2\r\nab\r\n0\r\n\r\n"),
        ),
        (
            "te-unknown",
            request("POST / HTTP/1.1", &[h, "Transfer-Encoding: xchunked"], "2\r\nab\r\n0\r\n\r\n"),
        ),
        ("te-twice", request("POST / HTTP/1.1", &[h, chunked, chunked], "2\r\nab\r\n0\r\n\r\n")),
        ("te-10", request("POST / HTTP/1.0", &[chunked], "2\r\nab\r\n0\r\n\r\n")),
        ("chunk-bad", request("POST / HTTP/1.1", &[h, chunked], "xyz\r\nab\r\n0\r\n\r\n")),
        ("chunk-huge", request("POST / HTTP/1.1", &[h, chunked], "fffffffffffffffff\r\nab\r\n0\r\n\r\n")),
        ("chunk-no-crlf", request("POST / HTTP/1.1", &[h, chunked], "2\r\nabXX0\r\n\r\n")),
    ]
}

/// Request lines: targets, versions, methods.
fn targets() -> Vec<(&'static str, Vec<u8>)> {
    let h = HOST;
    let long = format!("GET /{} HTTP/1.1", "a".repeat(70_000));
    let fits = format!("GET /{} HTTP/1.1", "a".repeat(8000));
    vec![
        ("options-star", request("OPTIONS * HTTP/1.1", &[h], "")),
        ("uri-odd", request("GET /a{b}|c\"^<>` HTTP/1.1", &[h], "")),
        ("uri-hash", request("GET /a#b HTTP/1.1", &[h], "")),
        ("uri-utf8", request("GET /\u{e9} HTTP/1.1", &[h], "")),
        ("uri-no-slash", request("GET foo HTTP/1.1", &[h], "")),
        ("uri-absolute", request("GET http://x.example/p?q HTTP/1.1", &[h], "")),
        ("uri-absolute-other", request("GET http://u:p@y:80/p HTTP/1.1", &[h], "")),
        ("uri-absolute-no-path", request("GET http://x.example HTTP/1.1", &[h], "")),
        ("uri-empty", request("GET  HTTP/1.1", &[h], "")),
        ("uri-long", request(&long, &[h], "")),
        ("uri-8k", request(&fits, &[h], "")),
        ("http-09", b"GET /\r\n".to_vec()),
        ("http-12", request("GET / HTTP/1.2", &[h], "")),
        ("http-30", request("GET / HTTP/3.0", &[h], "")),
        ("http-lower", request("GET / http/1.1", &[h], "")),
        ("http-x", request("GET / HTTP/x.1", &[h], "")),
        ("method-odd", request("F@@ / HTTP/1.1", &[h], "")),
    ]
}

/// Header fields and line ends.
fn headers() -> Vec<(&'static str, Vec<u8>)> {
    let h = HOST;
    let many: Vec<String> = (0..120).map(|i| format!("H{i}: 1")).collect();
    let mut many: Vec<&str> = many.iter().map(String::as_str).collect();
    many.insert(0, h);
    vec![
        ("order", request("GET / HTTP/1.1", &[h, "aA: 1", "B: 2", "Aa: 3", "Z:  sp \t"], "")),
        ("no-host", request("GET / HTTP/1.1", &[], "")),
        ("two-hosts", request("GET / HTTP/1.1", &[h, "Host: y"], "")),
        ("two-same-hosts", request("GET / HTTP/1.1", &[h, h], "")),
        ("host-port", request("GET / HTTP/1.1", &["Host: x.example:80"], "")),
        ("fold", request("GET / HTTP/1.1", &[h, "A: 1", "  2"], "")),
        ("space-colon", request("GET / HTTP/1.1", &[h, "A : 1"], "")),
        ("empty-name", request("GET / HTTP/1.1", &[h, ": 1"], "")),
        ("no-colon", request("GET / HTTP/1.1", &[h, "novalue"], "")),
        ("odd-name", request("GET / HTTP/1.1", &[h, "a@b: 1"], "")),
        ("bare-lf", b"GET / HTTP/1.1\nHost: x\n\n".to_vec()),
        ("bare-cr", request("GET / HTTP/1.1", &[h, "A: 1\r2"], "")),
        ("nul", request("GET / HTTP/1.1", &[h, "A: 1\u{0}2"], "")),
        ("leading-crlf", [b"\r\n\r\n".to_vec(), request("GET / HTTP/1.1", &[h], "")].concat()),
        ("headers-many", request("GET / HTTP/1.1", &many, "")),
        ("connection-list", request("GET / HTTP/1.1", &[h, "Connection: keep-alive, X-A", "X-A: 1"], "")),
        ("te-trailers", request("GET / HTTP/1.1", &[h, "TE: trailers", "Connection: TE"], "")),
        ("upgrade", request("GET / HTTP/1.1", &[h, "Connection: Upgrade", "Upgrade: websocket"], "")),
    ]
}

/// Responses of all kinds, by the path that asks the origin for them.
fn responses() -> Vec<(&'static str, Vec<u8>)> {
    let h = HOST;
    vec![
        ("resp-chunked", request("GET /chunked HTTP/1.1", &[h], "")),
        ("resp-chunked-10", request("GET /chunked HTTP/1.0", &[], "")),
        ("resp-chunked-head", request("HEAD /chunked HTTP/1.1", &[h], "")),
        ("resp-until-close", request("GET /until-close HTTP/1.1", &[h], "")),
        ("resp-http10", request("GET /http10 HTTP/1.1", &[h], "")),
        ("resp-204", request("GET /nobody HTTP/1.1", &[h], "")),
        ("resp-304", request("GET /notmodified HTTP/1.1", &[h], "")),
        ("resp-404", request("GET /status/404 HTTP/1.1", &[h], "")),
        ("resp-500", request("GET /status/500 HTTP/1.1", &[h], "")),
        ("resp-103", request("GET /hints HTTP/1.1", &[h], "")),
        ("resp-two-lengths", request("GET /two-lengths HTTP/1.1", &[h], "")),
        ("resp-bad-status", request("GET /bad-status HTTP/1.1", &[h], "")),
        ("resp-bad-header", request("GET /bad-header HTTP/1.1", &[h], "")),
        ("resp-bad-chunk", request("GET /bad-chunk HTTP/1.1", &[h], "")),
        ("resp-short", request("GET /short HTTP/1.1", &[h], "")),
        ("resp-empty", request("GET /empty HTTP/1.1", &[h], "")),
        ("resp-big", request("GET /big/300000 HTTP/1.1", &[h], "")),
        ("resp-cookies", request("GET /cookies HTTP/1.1", &[h, "Cookie: SRV=s1; other=1"], "")),
    ]
}

/// Requests for the frontend with rules.
fn rules() -> Vec<(&'static str, Vec<u8>)> {
    let h = "Host: x.example";
    let lines = [
        "GET /deny HTTP/1.1",
        "GET /deny429 HTTP/1.1",
        "GET /redirect HTTP/1.1",
        "GET /redirect-prefix/a?b HTTP/1.1",
        "GET /redirect-scheme HTTP/1.1",
        "GET /return HTTP/1.1",
        "GET /return-json HTTP/1.1",
        "GET /auth HTTP/1.1",
        "GET /setpath HTTP/1.1",
        "GET /replace/abc HTTP/1.1",
        "GET /query?x=1&y=2 HTTP/1.1",
        "GET /nosrv HTTP/1.1",
        "GET /map/one HTTP/1.1",
        "GET /map/two HTTP/1.1",
        "GET /backend2 HTTP/1.1",
        "GET /monitor HTTP/1.1",
        "GET /tarpit HTTP/1.1",
        "GET /reject HTTP/1.1",
        "GET /vars HTTP/1.1",
        "GET /errfile HTTP/1.1",
        "GET /stats HTTP/1.1",
        "GET /refused HTTP/1.1",
        "GET /method HTTP/1.1",
        "GET /status-set HTTP/1.1",
        "GET /valueless HTTP/1.1",
    ];
    let mut cases: Vec<(&str, Vec<u8>)> =
        lines.map(|l| (l, request(l, &[h, "X-Del: 1", "X-Rep: a,b,a"], ""))).to_vec();
    cases.push(("auth-good", request("GET /auth HTTP/1.1", &[h, "Authorization: Basic dXNlcjpwYXNz"], "")));
    cases.push(("auth-bad", request("GET /auth HTTP/1.1", &[h, "Authorization: Basic dXNlcjp4"], "")));
    cases.push(("ua", request("GET /ua HTTP/1.1", &[h, "User-Agent: curl/7.8", "Referer: http://r/"], "")));
    cases
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (frontend, place) in FRONTENDS.iter().enumerate() {
        for (name, bytes) in common() {
            let name = format!("{place} {name}");
            cases.push(Case { name, frontend, bytes, half_close: *place == "tcp" });
        }
    }
    for (name, bytes) in rules() {
        cases.push(Case { name: format!("rules {name}"), frontend: 3, bytes, half_close: false });
    }
    cases
}

/// What must be equal, as text: bytes as they are, timers and ports by stand-ins.
fn text(seen: &Seen, pattern: &[(Regex, &str)]) -> String {
    let body = String::from_utf8_lossy(&seen.client).into_owned();
    let shown = if body.len() > 4000 {
        format!("{}…{} bytes", &body[..body.floor_char_boundary(600)], body.len())
    } else {
        body
    };
    let log = pattern.iter().fold(seen.log.clone(), |t, (p, to)| p.replace_all(&t, *to).into_owned());
    format!("{shown}\nclosed: {}\nlog: {log}\n", seen.closed)
}

#[test]
fn proxies_answer_forward_and_log_alike() {
    let test = "proxy_differential";
    let Some(original) = Program::original(test, "haproxy") else { return };
    let programs = [original, Program::ours("proxyd", "haproxy")];
    Suite::live(test, |suite| look(suite, &programs));
}

/// Starts both and sends every request to each.
fn look(suite: &mut Suite, programs: &[Program; 2]) {
    let origin = Origin::start();
    let sides = programs.each_ref().map(|p| Side::start(&p.path, CONFIG, FRONTENDS.len(), &origin));
    let pattern: Vec<(Regex, &str)> = [
        (r"(?m)^127\.0\.0\.1:\d+ \[[^\]]+\]", "CLIENT"),
        (r" (\d+|-1)/(\d+|-1)/(\d+|-1)/(\d+|-1)/\+?\d+ ", " TIMERS "),
        (r" \d+/(\d+|-1)/\d+ ", " TIMERS "),
        (r" \d+/\d+/\d+/\d+/", " COUNTS/"),
        // The line ends where `len` says, which depends on the client's port.
        (r"a{200,}.*", "aaa…"),
    ]
    .map(|(p, to)| (Regex::new(p).expect("a valid pattern"), to))
    .into();
    let cases = cases();
    let (next, results) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let seen =
                        sides.each_ref().map(|s| s.try_bytes(case.frontend, &case.bytes, case.half_close));
                    let texts = seen.each_ref().map(|s| text(s, &pattern));
                    results.lock().expect("no thread panicked").push((case.name.clone(), texts));
                }
            });
        }
    });
    for (name, [theirs, ours]) in results.into_inner().expect("no thread panicked") {
        suite.case(&name, &theirs, &ours);
    }
    let (all, _) = suite.score();
    assert!(all >= 300, "only {all} requests");
}
