//! proxyd and Debian's haproxy with the same configuration side by side: what rules do and what log lines say, told by
//! scripts of a client that sends, waits, closes and breaks off at the moments that count.

use holdfast_tests::node::Program;
use holdfast_tests::oracle::Suite;
use holdfast_tests::pair::{Origin, Seen, Side, Step};
use regex::Regex;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

const CONFIG: &str = include_str!("rule_differential/haproxy.cfg");
/// Frontends of the configuration.
const FRONTENDS: usize = 17;
/// Scripts under way at once.
const THREADS: usize = 6;
/// How often a case that differs is tried anew.
const AGAIN: usize = 4;

/// A script for one frontend.
struct Case {
    name: String,
    frontend: usize,
    steps: Vec<Step>,
}

fn get(path: &str) -> Step {
    Step::Send(format!("GET {path} HTTP/1.1\r\nHost: x.example\r\nX-Name: abc\r\n\r\n").into_bytes())
}

fn text(text: &str) -> Step {
    Step::Send(text.as_bytes().to_vec())
}

const POST: &str = "POST /show HTTP/1.1\r\nHost: x\r\n";

/// Timers and codes of requests that end in all the ways they can.
fn timers() -> Vec<(&'static str, usize, Vec<Step>)> {
    use Step::{Abort, HalfClose, Pause, Read};
    let half = || text("GET / HTTP/1.1\r\nHo");
    vec![
        ("plain", 0, vec![get("/a?b=1")]),
        ("two", 0, vec![get("/1"), Read, get("/2")]),
        ("late second", 0, vec![get("/1"), Read, Pause(150), get("/2")]),
        ("keep-alive timeout", 8, vec![get("/1"), Read, Pause(500)]),
        (
            "cookie",
            0,
            vec![text("GET /cookies HTTP/1.1\r\nHost: x\r\nCookie: SESS=abcdefghijklm; a=b\r\n\r\n")],
        ),
        ("absolute", 0, vec![text("GET http://h.example/p?q=1 HTTP/1.1\r\nHost: h.example\r\n\r\n")]),
        ("http 1.0", 0, vec![text("GET /old HTTP/1.0\r\n\r\n")]),
        ("slow origin", 0, vec![get("/delay/300"), Pause(500)]),
        ("origin too slow", 0, vec![get("/delay/1500"), Pause(1200)]),
        ("origin stalls", 0, vec![get("/stall/1500"), Pause(1200)]),
        ("origin cuts", 0, vec![get("/short"), Pause(100)]),
        ("origin says nothing", 0, vec![get("/empty")]),
        ("origin says nonsense", 0, vec![get("/bad-status")]),
        ("origin breaks a chunk", 0, vec![get("/bad-chunk")]),
        ("client leaves before the answer", 0, vec![get("/delay/300"), Pause(100), Abort, Pause(500)]),
        ("client leaves within the answer", 0, vec![get("/stall/300"), Pause(100), Abort, Pause(500)]),
        ("client closes half before the answer", 0, vec![get("/delay/300"), HalfClose, Pause(500)]),
        ("half a head", 0, vec![half(), Pause(500)]),
        ("half a head and gone", 0, vec![half(), Pause(100), Abort]),
        ("half a head and closed", 0, vec![half(), HalfClose, Pause(100)]),
        ("nothing at all", 0, vec![Pause(500)]),
        ("nothing and closed", 0, vec![HalfClose, Pause(100)]),
        ("bad request", 0, vec![text("GET / HTTP/1.1\r\nbad header\r\n\r\n")]),
        ("no request", 0, vec![text("\x16\x03\x01\x02\x00\x01\x00")]),
        (
            "body cut",
            0,
            vec![text("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nab"), Pause(50), Abort],
        ),
        (
            "body late",
            0,
            vec![text("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nab"), Pause(1200)],
        ),
        (
            "body closed",
            0,
            vec![
                text("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nab"),
                Pause(100),
                HalfClose,
                Pause(200),
            ],
        ),
        ("deny", 0, vec![get("/deny")]),
        ("deny then more", 0, vec![get("/deny404"), Read, get("/a")]),
        ("tarpit", 0, vec![get("/tarpit"), Pause(500)]),
        ("tarpit and gone", 0, vec![get("/tarpit"), Pause(100), Abort, Pause(400)]),
        ("redirect", 0, vec![get("/redirect")]),
        ("return", 0, vec![get("/return")]),
        ("reject", 0, vec![get("/reject")]),
        ("auth", 0, vec![get("/auth")]),
        ("response denied", 0, vec![get("/resdeny")]),
        ("response replaced", 0, vec![get("/resreturn")]),
        (
            "upgrade refused",
            0,
            vec![text("GET /up HTTP/1.1\r\nHost: x\r\nUpgrade: a\r\nConnection: upgrade\r\n\r\n")],
        ),
    ]
}

/// Rules on streams, log options, variables, pages.
fn rules() -> Vec<(&'static str, usize, Vec<Step>)> {
    use Step::{Abort, HalfClose, Pause};
    let body = |len: usize, text: &str| format!("{POST}Content-Length: {len}\r\n\r\n{text}");
    vec![
        ("http 1.2", 0, vec![text("GET /new HTTP/1.2\r\nHost: x\r\n\r\n")]),
        ("http 3.0", 0, vec![text("GET /newer HTTP/3.0\r\nHost: x\r\n\r\n")]),
        ("inspect http", 1, vec![get("/a"), HalfClose, Pause(100)]),
        ("inspect bad", 1, vec![text("BAD thing"), Pause(100)]),
        ("inspect bad in two", 1, vec![text("BA"), Pause(100), text("D"), Pause(200)]),
        ("inspect other", 1, vec![text("ALTGET / HTTP/1.1\r\n\r\n"), Pause(500), HalfClose, Pause(100)]),
        ("inspect short", 1, vec![text("x"), Pause(500), HalfClose, Pause(100)]),
        ("inspect nothing", 1, vec![Pause(500), HalfClose, Pause(100)]),
        ("inspect gone", 1, vec![text("x"), Pause(100), Abort, Pause(500)]),
        ("inspect half gone", 1, vec![text("x"), HalfClose, Pause(700)]),
        ("inspect not http", 1, vec![text("\x16\x03\x01\x00\x01\x00"), HalfClose, Pause(700)]),
        ("answer accepted", 2, vec![get("/a"), HalfClose, Pause(100)]),
        ("answer rejected", 2, vec![get("/status/404"), Pause(200)]),
        ("answer slow", 2, vec![get("/delay/150"), HalfClose, Pause(400)]),
        ("answer too slow to see", 2, vec![get("/delay/450"), HalfClose, Pause(1200)]),
        ("asap", 3, vec![get("/a")]),
        ("asap slow body", 3, vec![get("/stall/300"), Pause(500)]),
        ("asap deny", 3, vec![get("/deny")]),
        ("asap bad", 3, vec![text("bad\r\n\r\n")]),
        ("separate ok", 4, vec![get("/a")]),
        ("separate 404", 4, vec![get("/status/404")]),
        ("separate 500", 4, vec![get("/status/500")]),
        ("separate deny", 4, vec![get("/deny")]),
        ("separate deny 500", 4, vec![get("/deny500")]),
        ("separate refused", 4, vec![get("/refused")]),
        ("separate silent", 4, vec![get("/silent")]),
        ("separate cut", 4, vec![get("/short"), Pause(100)]),
        ("body whole", 5, vec![text(&body(7, "a=1&b=2"))]),
        ("body in two", 5, vec![text(&body(7, "a=1&")), Pause(100), text("b=2"), Pause(100)]),
        ("body never", 5, vec![text(&body(7, "a=1&")), Pause(500)]),
    ]
}

/// Bodies that rules wait for.
fn bodies() -> Vec<(&'static str, usize, Vec<Step>)> {
    use Step::Pause;
    let body = |len: usize, text: &str| format!("{POST}Content-Length: {len}\r\n\r\n{text}");
    vec![
        (
            "body chunked",
            5,
            vec![text(&format!(
                "{POST}Transfer-Encoding: chunked\r\n\r\n3\r\na=1\r\n4\r\n&b=2\r\n0\r\n\r\n"
            ))],
        ),
        (
            "body chunked in two",
            5,
            vec![
                text(&format!("{POST}Transfer-Encoding: chunked\r\n\r\n3\r\na=1\r\n4\r\n&b")),
                Pause(100),
                text("=2\r\n0\r\n\r\n"),
                Pause(100),
            ],
        ),
        (
            "body asked for",
            5,
            vec![
                text(&format!("{POST}Expect: 100-continue\r\nContent-Length: 3\r\n\r\n")),
                Pause(100),
                text("a=9"),
                Pause(100),
            ],
        ),
        ("no server", 0, vec![get("/none")]),
        ("refused", 0, vec![get("/refused")]),
        ("big answer", 0, vec![get("/big/100000")]),
        ("head", 0, vec![text("HEAD /a HTTP/1.1\r\nHost: x\r\n\r\n")]),
        ("no body", 5, vec![get("/show")]),
        ("wait whole", 13, vec![text(&body(3, "abc"))]),
        ("wait never", 13, vec![text(&body(3, "ab")), Pause(500)]),
        ("wait answer never", 13, vec![get("/stall/1500"), Pause(600)]),
        ("wait no body", 13, vec![get("/a")]),
    ]
}

/// Variables, pages, options of connections.
fn pages() -> Vec<(&'static str, usize, Vec<Step>)> {
    use Step::{Abort, HalfClose, Pause, Read};
    vec![
        ("vars", 6, vec![get("/a")]),
        ("vars three", 6, vec![get("/three")]),
        ("vars unset", 6, vec![get("/unset")]),
        ("vars deny", 6, vec![get("/deny")]),
        ("vars twice", 6, vec![get("/a"), Read, get("/b")]),
        ("vars bad", 6, vec![text("bad\r\n\r\n")]),
        ("page 400", 7, vec![get("/400")]),
        ("page 403", 7, vec![get("/403")]),
        ("page 404", 7, vec![get("/404")]),
        ("page 404 returned", 7, vec![get("/r404")]),
        ("page own", 7, vec![get("/own")]),
        ("page 503", 7, vec![get("/none")]),
        ("page bad request", 7, vec![text("bad\r\n\r\n")]),
        ("page late", 7, vec![text("GET / HT"), Pause(500)]),
        ("bare", 8, vec![get("/a")]),
        ("tcp", 9, vec![get("/a"), HalfClose, Pause(100)]),
        ("tcp client silent", 9, vec![get("/a"), Pause(1200)]),
        ("tcp nothing", 9, vec![Pause(1200)]),
        ("tcp gone", 9, vec![get("/stall/300"), Pause(100), Abort, Pause(500)]),
        ("tcp server silent", 9, vec![get("/delay/1500"), Pause(1200)]),
        ("tcp server closes", 9, vec![get("/short"), Pause(200)]),
        ("probe nothing", 10, vec![Pause(500)]),
        ("probe closed", 10, vec![HalfClose, Pause(100)]),
        ("probe half", 10, vec![text("GE"), Pause(500)]),
        ("proxied", 11, vec![text("PROXY TCP4 10.1.2.3 10.4.5.6 7 8\r\n"), get("/a")]),
        ("proxied not", 11, vec![get("/a")]),
        ("proxied bad", 11, vec![text("PROXY TCP4 x y z\r\n"), get("/a")]),
        ("proxied nothing", 11, vec![Pause(1200)]),
        ("proxied gone", 11, vec![HalfClose, Pause(100)]),
        ("proxied cut", 11, vec![text("PROXY TC"), HalfClose, Pause(100)]),
        ("dead", 12, vec![text("x"), Pause(100)]),
    ]
}

/// A ClientHello that asks for protocols.
fn hello(protocols: &[&str]) -> Step {
    let sized = |bytes: Vec<u8>| [&(bytes.len() as u16).to_be_bytes()[..], &bytes].concat();
    let names: Vec<u8> = protocols.iter().flat_map(|p| [&[p.len() as u8], p.as_bytes()].concat()).collect();
    let alpn = [&[0, 16][..], &sized(sized(names))].concat();
    let body = [&[3, 3][..], &[7; 32], &[0], &[0, 2, 0x13, 1], &[1, 0], &sized(alpn)].concat();
    let message = [&[1, 0][..], &sized(body)].concat();
    Step::Send([&[22, 3, 1][..], &sized(message)].concat())
}

/// What a level of rules says of the connection's ends stays with it; first bytes of TCP streams.
fn levels() -> Vec<(&'static str, usize, Vec<Step>)> {
    use Step::{HalfClose, Pause, Read};
    let from =
        |src: &str| text(&format!("GET /a HTTP/1.1\r\nHost: x\r\nX-Src: {src}\r\nX-Dst: 9.8.7.6\r\n\r\n"));
    let coded =
        |coding: &str| text(&format!("GET /a HTTP/1.1\r\nHost: x\r\nAccept-Encoding: {coding}\r\n\r\n"));
    vec![
        ("ends", 14, vec![get("/a")]),
        ("ends of one request", 14, vec![from("1.2.3.4"), Read, get("/b"), Read, from("5.6.7.8")]),
        ("identity for all", 14, vec![coded("br")]),
        ("identity for any", 14, vec![coded("*")]),
        ("identity, head", 14, vec![text("HEAD /a HTTP/1.1\r\nHost: x\r\n\r\n")]),
        ("answer by its variable", 15, vec![get("/a"), HalfClose, Pause(100)]),
        ("one protocol", 15, vec![hello(&["http/1.1"]), Pause(100)]),
        ("second of two protocols", 15, vec![hello(&["http/1.1", "h2"]), Pause(100)]),
        ("no protocol", 15, vec![hello(&[]), Pause(100)]),
        ("unread rejected", 16, vec![text("hello"), Pause(500)]),
        ("unread, no server", 12, vec![text("hello, is anybody there?"), Pause(500)]),
    ]
}

/// What must be equal, as text: bytes as they are, timers in steps that scheduling can't cross, ports by stand-ins.
fn shown(seen: &Seen, pattern: &[(Regex, &str)], timer: &Regex) -> String {
    let body = String::from_utf8_lossy(&seen.client).into_owned();
    let body = if body.len() > 4000 {
        format!("{}…{} bytes", &body[..body.floor_char_boundary(600)], body.len())
    } else {
        body
    };
    let log = pattern.iter().fold(seen.log.clone(), |t, (p, to)| p.replace_all(&t, *to).into_owned());
    // Pauses are multiples of 300 ms where they show: a step is 300 ms, its middle where scheduling puts it.
    let log = timer.replace_all(&log, |found: &regex::Captures<'_>| {
        let steps = found[0].split('/').map(|t| {
            let (plus, digits) = t.strip_prefix('+').map_or(("", t), |d| ("+", d));
            let value: i64 = digits.parse().unwrap_or_default();
            format!("{plus}{}", if value < 0 { value } else { (value + 120) / 300 * 300 })
        });
        steps.collect::<Vec<_>>().join("/")
    });
    format!("{body}\nclosed: {}\nlog: {log}\n", seen.closed)
}

#[test]
fn rules_and_log_lines_are_alike() {
    let test = "rule_differential";
    let Some(original) = Program::original(test, "haproxy") else { return };
    let ours = Program::ours("proxyd", "haproxy");
    let origin = Origin::start();
    let sides = [original, ours].map(|p| Side::start(&p.path, CONFIG, FRONTENDS, &origin));
    let pattern: Vec<(Regex, &str)> = [
        (r"(?m)^(\d+\.\d+\.\d+\.\d+):\d+ \[[^\]]+\]", "$1 DATE"),
        (r"127\.0\.0\.1:\d+", "127.0.0.1:PORT"),
        (r" \d+/\d+/\d+/\d+/(\+?\d+ \d+/\d+)", " COUNTS/$1"),
    ]
    .map(|(p, to)| (Regex::new(p).expect("a valid pattern"), to))
    .into();
    let timer = Regex::new(r"(?:\+?-?\d+/){2,7}\+?-?\d+").expect("a valid pattern");
    let cases: Vec<Case> = [timers(), rules(), bodies(), pages(), levels()]
        .concat()
        .into_iter()
        .map(|(name, frontend, steps)| Case { name: name.to_owned(), frontend, steps })
        .collect();
    let run = |case: &Case| {
        let seen = sides.each_ref().map(|s| s.script(case.frontend, &case.steps));
        seen.each_ref().map(|s| shown(s, &pattern, &timer))
    };
    let (next, results) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let mut texts = run(case);
                    // A busy machine moves timers and races; what really differs differs each time.
                    for _ in 0..AGAIN {
                        if texts[0] == texts[1] {
                            break;
                        }
                        texts = run(case);
                    }
                    results.lock().expect("no thread panicked").push((case.name.clone(), texts));
                }
            });
        }
    });
    let mut suite = Suite::new(test);
    for (name, [theirs, ours]) in results.into_inner().expect("no thread panicked") {
        suite.case(&name, &theirs, &ours);
    }
    suite.finish();
}
