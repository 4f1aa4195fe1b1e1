//! What sample fetches and converters give, in proxyd and in Debian's haproxy side by side: each expression of the lists in
//! `proxy_samples/` on each request, answer, first bytes of a TCP stream, or text.
//!
//! A case is an expression; it is equal when it gives the same for all inputs. `SAMPLES=WORD` prints what expressions
//! with that word gave.

use holdfast_tests::node::Program;
use holdfast_tests::oracle::Suite;
use holdfast_tests::pair::{Origin, Side};
use holdfast_tests::workspace;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::path::Path;
use std::thread;
use std::time::Duration;

const NAME: &str = "proxy_samples";

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

const HEAD: &str = "global
    nbthread 1
    tune.bufsize 262144
    tune.maxrewrite 1024
    tune.http.maxhdr 1000
    stats socket @DIR@/sock level admin
defaults
    mode http
    timeout client 10s
    timeout server 10s
    timeout connect 5s
    log 127.0.0.1:@LOG@ len 16384 local0
";

/// A frontend with something to see of everything, and what it answers with.
const FRONT: &str = r"userlist users
    group g1 users user1
    user user1 insecure-password pass1
    user user2 insecure-password pass2
backend t
    stick-table type string len 64 size 100 expire 1h store gpc0,gpt0,conn_cnt,conn_cur,http_req_cnt,http_req_rate(1h),bytes_in_rate(1h),server_id
backend s3
    server a 127.0.0.1:9 weight 3 id 7
    server b 127.0.0.1:9 weight 20
    server c 127.0.0.1:9 disabled
frontend f
    bind 127.0.0.1:@PORT0@ name sock1 id 44
    id 33
    option httplog
    declare capture request len 20
    declare capture request len 20
    capture request header Host len 10
    capture request header x-list len 40
    capture response header x-many len 30
    option http-buffer-request
    unique-id-format id-%[req.hdr(host)]
    unique-id-header X-Unique
    http-request set-var(txn.v) str(value)
    http-request set-var(txn.n) int(17)
    http-request set-var(txn.key) str(a2V5)
    http-request set-var(txn.alg) req.hdr(x-in),jwt_header_query($.alg)
    http-request set-var(txn.path) path
    http-request set-var(sess.s) str(S)
    http-request set-var(proc.p) int(7)
    @REQUEST@
    use_backend b
backend b
    id 55
    http-reuse never
@RESPONSE@
    server o1 @ORIGIN@ id 66
";

const TABLES: &str = "backend t1
    stick-table type ip size 100 expire 1h store gpc0,gpc1,gpt0,conn_cnt,conn_cur,conn_rate(1h),sess_cnt,sess_rate(1h),http_req_cnt,http_req_rate(1h),http_err_cnt,http_err_rate(1h),http_fail_cnt,http_fail_rate(1h),bytes_in_cnt,bytes_in_rate(1h),bytes_out_cnt,bytes_out_rate(1h),gpc0_rate(1h),gpc1_rate(1h)
backend t2
    stick-table type string len 20 size 100 expire 1h store gpc0,gpt0,http_req_cnt,http_err_rate(1h),conn_cnt,server_id,bytes_in_cnt
backend t3
    stick-table type ip size 100 expire 1h store gpc(3),gpt(3),gpc_rate(3,1h)
frontend f
    bind 127.0.0.1:@PORT0@
    tcp-request connection track-sc0 src table t1
    http-request track-sc1 src table t3
    http-request track-sc2 req.hdr(x-k) table t2
    http-request sc-set-gpt0(0) 77 if { path /gpt }
    http-request sc-set-gpt(1,1) 99 if { path /gpt }
    http-request sc-inc-gpc0(0) if { path /inc }
    http-request deny deny_status 404 if { path /404 }
    @REQUEST@
";

/// The expressions of a list; `= EXPRESSION` goes before those behind it.
fn expressions(list: &str, scratch: &Path) -> Vec<String> {
    let path = workspace().join("tests/tests/proxy_samples").join(list);
    let text = std::fs::read_to_string(path).expect("a list of expressions");
    let mut before = String::new();
    let mut out = Vec::new();
    for line in text.lines().filter(|l| !l.is_empty() && !l.starts_with('#')) {
        match line.strip_prefix("= ") {
            Some(input) => before = format!("{input},"),
            None => out.push(format!("{before}{line}").replace("@MAPS@", &scratch.display().to_string())),
        }
    }
    out
}

/// A file with a line for each expression, and the rule that answers with it.
fn answering(expressions: &[String], scratch: &Path) -> String {
    let line = |(i, e): (usize, &String)| format!("%[str(#{i})]:%[{e}]");
    let lines: Vec<String> = expressions.iter().enumerate().map(line).collect();
    let file = scratch.join("answer");
    std::fs::write(&file, lines.join("\n")).expect("a file");
    format!("http-request return status 200 content-type text/plain lf-file {}", file.display())
}

/// The values in an answer, by expression; empty where it is none.
fn values(answer: &str, count: usize, mark: impl Fn(usize) -> [String; 2]) -> Vec<String> {
    let mut rest = answer;
    let mut out = Vec::new();
    for i in 0..count {
        let [begin, end] = mark(i);
        let Some((_, value)) = rest.split_once(&begin) else {
            out.push("no answer".to_owned());
            continue;
        };
        let (value, more) = value.split_once(&end).map_or((value, ""), |(v, _)| (v, &value[v.len()..]));
        out.push(value.to_owned());
        rest = more;
    }
    out
}

/// Sends a request and reads its answer, as far as its length says.
fn ask(side: &Side, request: &[u8]) -> String {
    let mut stream = side.connect(0);
    stream.set_read_timeout(Some(PATIENCE)).expect("set");
    stream.write_all(request).expect("sent");
    let (mut answer, mut chunk) = (Vec::new(), vec![0; 65536]);
    loop {
        let text = String::from_utf8_lossy(&answer).into_owned();
        if let Some((head, _)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|l| l.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
            if answer.len() >= head.len() + 4 + length.unwrap_or(0usize) {
                return text;
            }
        }
        match stream.read(&mut chunk) {
            Ok(n) if n > 0 => answer.extend_from_slice(&chunk[..n]),
            _ => return text,
        }
    }
}

/// All values of each expression, from both.
type Seen = Vec<(String, [String; 2])>;

/// Compares expression by expression.
#[expect(clippy::print_stderr, reason = "what was asked for by SAMPLES")]
fn judge(suite: &mut Suite, section: &str, seen: &Seen) {
    let shown = std::env::var("SAMPLES").unwrap_or_default();
    for (expression, [original, ours]) in seen {
        if !shown.is_empty() && expression.contains(&shown) {
            eprintln!("== {section} {expression}\n{original}== ours\n{ours}");
        }
        suite.case(&format!("{section} {expression}"), original, ours);
    }
}

/// Gathers values under their expressions, a line for each input.
#[derive(Default)]
struct Table(BTreeMap<usize, [String; 2]>);

impl Table {
    fn add(&mut self, side: usize, input: &str, values: Vec<String>) {
        for (i, value) in values.into_iter().enumerate() {
            let lines = &mut self.0.entry(i).or_default()[side];
            let _ = writeln!(lines, "{input} -> {}", value.replace('\n', "\\n"));
        }
    }

    fn named(mut self, expressions: &[String], scratch: &Path) -> Seen {
        let scratch = scratch.display().to_string();
        let name =
            |e: &String| if scratch.is_empty() { e.clone() } else { e.replace(&format!("{scratch}/"), "") };
        expressions
            .iter()
            .enumerate()
            .map(|(i, e)| (name(e), self.0.remove(&i).unwrap_or_default()))
            .collect()
    }
}

/// Both programs with one configuration.
fn both(config: &str, origin: &Origin) -> Option<[Side; 2]> {
    let original = Program::original(NAME, "haproxy")?;
    let ours = Program::ours("proxyd", "haproxy");
    Some([original, ours].map(|program| Side::start(&program.path, &format!("{HEAD}{config}"), 1, origin)))
}

/// What is before a value in an answer, and behind it.
fn in_body(i: usize) -> [String; 2] {
    [format!("#{i}:"), format!("\n#{}:", i + 1)]
}

/// Copies of the maps; haproxy mixes up what several ways of matching found in one file.
fn maps(scratch: &Path) {
    let folder = workspace().join("tests/tests/proxy_samples");
    for entry in std::fs::read_dir(&folder).expect("the folder of the lists").flatten() {
        let name = entry.file_name().into_string().expect("a name");
        let Some(name) = name.strip_suffix(".map") else { continue };
        for way in ["", "-beg", "-end", "-dir", "-dom", "-sub"] {
            std::fs::copy(entry.path(), scratch.join(format!("{name}{way}.map"))).expect("copied");
        }
    }
}

fn requests(list: &str) -> Vec<String> {
    let all = std::fs::read_to_string(workspace().join("tests/tests/proxy_samples").join(list));
    let one = |text: &str| {
        let text = text.replace('\n', "\r\n");
        // The line end behind a body is the list's.
        let body = text.contains("Content-Length:");
        if body { text.trim_end().to_owned() } else { text }
    };
    all.expect("requests").split("---\n").map(one).collect()
}

#[test]
fn fetches_of_requests_are_haproxys() {
    let scratch = tempfile::tempdir().expect("a directory");
    let list = expressions("request.txt", scratch.path());
    let config = FRONT.replace("@REQUEST@", &answering(&list, scratch.path())).replace("@RESPONSE@", "");
    let Some(sides) = both(&config, &Origin::start()) else { return };
    let mut table = Table::default();
    for request in requests("requests.txt") {
        for (n, side) in sides.iter().enumerate() {
            let line = request.lines().next().unwrap_or_default();
            table.add(n, line, values(&ask(side, request.as_bytes()), list.len(), in_body));
        }
    }
    let mut suite = Suite::new("samples of requests");
    judge(&mut suite, "request", &table.named(&list, scratch.path()));
    suite.finish();
}

#[test]
fn converters_are_haproxys() {
    let scratch = tempfile::tempdir().expect("a directory");
    maps(scratch.path());
    let list = expressions("converters.txt", scratch.path());
    let config = FRONT.replace("@REQUEST@", &answering(&list, scratch.path())).replace("@RESPONSE@", "");
    let Some(sides) = both(&config, &Origin::start()) else { return };
    let inputs =
        std::fs::read_to_string(workspace().join("tests/tests/proxy_samples/inputs.txt")).expect("inputs");
    let mut table = Table::default();
    for side in &sides {
        let fill = "set table t key key1 data.gpc0 5 data.gpt0 7 data.conn_cnt 3 data.http_req_cnt 9";
        holdfast_tests::cli::ask(&side.directory().join("sock"), fill).expect("an answer");
    }
    let asked = |field: &str| format!("GET / HTTP/1.1\r\nHost: h\r\n{field}\r\n");
    let with = inputs.lines().map(|i| (i, asked(&format!("X-In: {i}\r\n"))));
    for (input, request) in with.chain([("none", asked(""))]) {
        for (n, side) in sides.iter().enumerate() {
            table.add(n, input, values(&ask(side, request.as_bytes()), list.len(), in_body));
        }
    }
    let mut suite = Suite::new("converters");
    judge(&mut suite, "converter", &table.named(&list, scratch.path()));
    suite.finish();
}

#[test]
fn fetches_of_responses_are_haproxys() {
    let scratch = tempfile::tempdir().expect("a directory");
    let list = expressions("response.txt", scratch.path());
    let mut rules = String::new();
    for (i, e) in list.iter().enumerate() {
        let _ = writeln!(rules, "    http-response set-var(txn.r{i}) {e}");
    }
    for i in 0..list.len() {
        let _ = writeln!(rules, "    http-response set-header X-R{i} \"<%[var(txn.r{i})]>\"");
    }
    let config = FRONT.replace("@REQUEST@", "").replace("@RESPONSE@", &rules);
    let Some(sides) = both(&config, &Origin::start()) else { return };
    let mut table = Table::default();
    for path in [
        "/",
        "/cookies",
        "/status/404",
        "/status/503",
        "/nobody",
        "/notmodified",
        "/chunked",
        "/http10",
        "/big/9",
    ] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: h\r\nCookie: a=1\r\nConnection: close\r\n\r\n");
        for (n, side) in sides.iter().enumerate() {
            let mark = |i| [format!("x-r{i}: <"), ">\r\n".to_owned()];
            table.add(n, path, values(&ask(side, request.as_bytes()), list.len(), mark));
        }
    }
    let mut suite = Suite::new("samples of responses");
    judge(&mut suite, "response", &table.named(&list, scratch.path()));
    suite.finish();
}

#[test]
fn tracked_counters_are_haproxys() {
    let scratch = tempfile::tempdir().expect("a directory");
    let list = expressions("tables.txt", scratch.path());
    let config = TABLES.replace("@REQUEST@", &answering(&list, scratch.path()));
    let Some(sides) = both(&config, &Origin::start()) else { return };
    let mut table = Table::default();
    let long = "X-K: averyveryverylongkeythatiscut\r\n";
    for (path, key) in [
        ("/", "X-K: a\r\n"),
        ("/", "X-K: b\r\n"),
        ("/404", "X-K: a\r\n"),
        ("/inc", "X-K:\r\n"),
        ("/gpt", ""),
        ("/", "X-K: a\r\n"),
        ("/x", long),
    ] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: h\r\n{key}\r\n");
        for (n, side) in sides.iter().enumerate() {
            table.add(
                n,
                &format!("{path} {}", key.trim()),
                values(&ask(side, request.as_bytes()), list.len(), in_body),
            );
        }
    }
    let mut suite = Suite::new("samples of tables");
    judge(&mut suite, "table", &table.named(&list, scratch.path()));
    suite.finish();
}

/// The lines of `bytes.txt`: `text WORDS` with `\r` and `\n`, or `hex DIGITS`.
fn first_bytes() -> Vec<Vec<u8>> {
    let list =
        std::fs::read_to_string(workspace().join("tests/tests/proxy_samples/bytes.txt")).expect("bytes");
    let hex = |digits: &str| -> Vec<u8> {
        (0..digits.len() / 2).filter_map(|i| u8::from_str_radix(&digits[2 * i..2 * i + 2], 16).ok()).collect()
    };
    let bytes = |line: &str| match line.split_once(' ').unwrap_or((line, "")) {
        ("text", text) => text.replace("\\r", "\r").replace("\\n", "\n").into_bytes(),
        (_, digits) => hex(digits),
    };
    list.lines().map(bytes).collect()
}

#[test]
fn fetches_of_first_bytes_are_haproxys() {
    let scratch = tempfile::tempdir().expect("a directory");
    let list = expressions("tcp.txt", scratch.path());
    let mut config = "frontend f\n    mode tcp\n    bind 127.0.0.1:@PORT0@ name s1\n".to_owned();
    let shown: Vec<String> = (0..list.len()).map(|i| format!("<{i}:%[var(txn.r{i})]>")).collect();
    // A line of the configuration has an end.
    for (n, part) in shown.chunks(30).enumerate() {
        let _ = writeln!(config, "    tcp-request content set-var-fmt(txn.p{n}) \"@P{n}@\" if WAIT_END");
        config = config.replace(&format!("@P{n}@"), &part.join(" "));
    }
    let setting: String = list.iter().enumerate().fold(String::new(), |s, (i, e)| {
        s + &format!("    tcp-request content set-var(txn.r{i}) {e} if WAIT_END\n")
    });
    let at = config.find("    tcp-request").unwrap_or(config.len());
    config.insert_str(at, &format!("    tcp-request inspect-delay 300ms\n{setting}"));
    let parts: Vec<String> = (0..list.len().div_ceil(30)).map(|n| format!("%[var(txn.p{n})]")).collect();
    let _ = writeln!(config, "    log-format \"%ci:%cp {}\"", parts.join(" "));
    config += "    tcp-request content reject if WAIT_END\n    use_backend b\nbackend b\n    mode tcp\n";
    let Some(sides) = both(&config, &Origin::start()) else { return };
    let inputs = first_bytes();
    Suite::live("samples of streams", |suite| {
        let mut table = Table::default();
        for (n, side) in sides.iter().enumerate() {
            let lines: Vec<String> = thread::scope(|scope| {
                let ask = |input| scope.spawn(move || side.try_bytes(0, input, false).log);
                let asked: Vec<_> = inputs.iter().map(|i| ask(i.as_slice())).collect();
                asked.into_iter().map(|a| a.join().expect("a line")).collect()
            });
            for (input, line) in inputs.iter().zip(lines) {
                let mark = |i: usize| [format!("<{i}:"), ">".to_owned()];
                let head = String::from_utf8_lossy(&input[..input.len().min(12)]).into_owned();
                table.add(n, &head, values(&line, list.len(), mark));
            }
        }
        judge(suite, "stream", &table.named(&list, scratch.path()));
    });
}

#[test]
fn rewritten_messages_are_haproxys() {
    let list = expressions("rules.txt", Path::new(""));
    let mut config = "frontend f\n    bind 127.0.0.1:@PORT0@\n    http-request set-var(txn.case) \
                      req.hdr(x-case)\n    http-request del-header x-case\n"
        .to_owned();
    for (i, rule) in list.iter().enumerate() {
        let _ = writeln!(config, "    {rule} if {{ var(txn.case) -m str {i} }}");
    }
    config += "    default_backend b\nbackend b\n    server o @ORIGIN@\n";
    let config = format!("global\n    expose-experimental-directives\n{config}");
    let Some(sides) = both(&config, &Origin::start()) else { return };
    let mut table = Table::default();
    for request in requests("rewritten.txt") {
        let (line, rest) = request.split_once("\r\n").expect("a request has lines");
        for (n, side) in sides.iter().enumerate() {
            let answer = |i| ask(side, format!("{line}\r\nX-Case: {i}\r\n{rest}").as_bytes());
            table.add(n, line, (0..list.len()).map(answer).collect());
        }
    }
    let mut suite = Suite::new("rewritten messages");
    judge(&mut suite, "rule", &table.named(&list, Path::new("")));
    suite.finish();
}
