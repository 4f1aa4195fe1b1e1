//! What checks, agents, commands and traffic do to servers over time, with proxyd and Debian's haproxy side by side:
//! each case is a small story, and the log lines, `show stat` and `show servers state` it leaves behind are compared.
//!
//! A case of `cases.txt` is the lines of a backend (`@B@`; further sections may follow), `--`, and steps:
//! `1: WORDS; …` sets what server 1 does with each connection (`refuse`, or `recv N`, `send TEXT`, `hex BYTES`,
//! `http STATUS`, `wait MS`, `reset`, `close`, `hold` in order); `do COMMAND` asks the command line; `until [SERVER] COLUMN VALUE` waits for
//! `show stat`; `logs N` waits for so many lines of the log in all; `probes K N` for N more connections to server K;
//! `heard K` shows what the last of them said; `get PATH` sends a request to the backend, `open PATH` without waiting for the answer that
//! `end` shows; `note` shows what the external check was told; `show` keeps what `show stat` says.

use holdfast_tests::check_lines::CheckLines;
use holdfast_tests::cli::Row;
use holdfast_tests::node::Program;
use holdfast_tests::oracle::Suite;
use holdfast_tests::pair::{Origin, Side};
use holdfast_tests::{cli, workspace};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How long a step waits for what it wants; the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a held connection stays.
const HOLD: Duration = Duration::from_mins(1);
/// How often `show stat` is read.
const POLL: Duration = Duration::from_millis(60);
/// How long a log line may be behind the state it tells of.
const LOG_LAG: Duration = Duration::from_millis(400);
/// Columns of `show stat` that are compared.
const COLUMNS: [&str; 21] = [
    "status",
    "weight",
    "act",
    "bck",
    "chkfail",
    "chkdown",
    "check_status",
    "check_code",
    "last_chk",
    "check_desc",
    "check_rise",
    "check_fall",
    "check_health",
    "hanafail",
    "agent_status",
    "agent_code",
    "last_agt",
    "agent_desc",
    "agent_health",
    "throttle",
    "slim",
];
/// Columns of `show servers state` that are compared.
const STATES: [&str; 7] = [
    "srv_op_state",
    "srv_admin_state",
    "srv_uweight",
    "srv_iweight",
    "srv_check_status",
    "srv_check_result",
    "srv_check_state",
];

struct Case {
    name: String,
    backend: String,
    steps: Vec<String>,
}

fn cases(text: &str) -> Vec<Case> {
    let case = |block: &str| {
        let (name, rest) = block.split_once('\n').expect("a case has lines");
        let (backend, steps) = rest.split_once("--\n").unwrap_or_else(|| panic!("{name} has no steps"));
        let steps = steps.lines().map(str::trim).filter(|l| !l.is_empty()).map(str::to_owned).collect();
        Case { name: name.trim().to_owned(), backend: backend.to_owned(), steps }
    };
    text.split("\n== ").skip(1).map(case).collect()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn unescape(text: &str) -> Vec<u8> {
    text.replace("\\r", "\r").replace("\\n", "\n").replace("\\0", "\0").replace("\\t", "\t").into_bytes()
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: String = text.split_whitespace().collect();
    (0..digits.len() / 2).filter_map(|i| u8::from_str_radix(&digits[2 * i..2 * i + 2], 16).ok()).collect()
}

/// A server of a case: what it does can be changed at any time.
#[derive(Default)]
struct Server {
    port: u16,
    does: Mutex<String>,
    /// What each connection said.
    heard: Mutex<Vec<Vec<u8>>>,
    /// When each came.
    came: Mutex<Vec<Instant>>,
}

impl Server {
    fn start() -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("a bound socket has an address").port();
        let server = Arc::new(Self { port, does: Mutex::new("close".into()), ..Self::default() });
        let of = Arc::clone(&server);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let does = lock(&of.does).clone();
                lock(&of.came).push(Instant::now());
                let place = {
                    let mut heard = lock(&of.heard);
                    heard.push(Vec::new());
                    heard.len() - 1
                };
                let of = Arc::clone(&of);
                thread::spawn(move || of.play(stream, &does, place));
            }
        });
        server
    }

    fn connections(&self) -> usize {
        lock(&self.heard).len()
    }

    fn read(&self, stream: &mut TcpStream, place: usize) -> Option<usize> {
        let mut buffer = [0; 2048];
        let n = stream.read(&mut buffer).ok().filter(|n| *n > 0)?;
        lock(&self.heard)[place].extend_from_slice(&buffer[..n]);
        Some(n)
    }

    fn play(&self, mut stream: TcpStream, steps: &str, place: usize) -> Option<()> {
        stream.set_read_timeout(Some(HOLD)).ok()?;
        stream.set_nodelay(true).ok()?;
        for step in steps.split(';') {
            let step = step.trim_start();
            let (word, rest) = step.split_once(' ').unwrap_or((step, ""));
            match word {
                "recv" => {
                    let mut left: usize = rest.trim().parse().ok()?;
                    while left > 0 {
                        left = left.saturating_sub(self.read(&mut stream, place)?);
                    }
                }
                "send" => stream.write_all(&unescape(rest)).ok()?,
                "many" => stream.write_all(&rest.repeat(3000).into_bytes()).ok()?,
                "slow" => {
                    for byte in unescape(rest) {
                        stream.write_all(&[byte]).ok()?;
                        thread::sleep(Duration::from_millis(30));
                    }
                }
                "hex" => stream.write_all(&unhex(rest)).ok()?,
                "wait" => thread::sleep(Duration::from_millis(rest.trim().parse().ok()?)),
                "reset" => {
                    let linger = nix::libc::linger { l_onoff: 1, l_linger: 0 };
                    nix::sys::socket::setsockopt(&stream, nix::sys::socket::sockopt::Linger, &linger).ok()?;
                    return Some(());
                }
                "hold" => while self.read(&mut stream, place).is_some() {},
                "http" => {
                    self.read(&mut stream, place)?;
                    let answer =
                        format!("HTTP/1.1 {rest} Any\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                    stream.write_all(answer.as_bytes()).ok()?;
                }
                "close" | "" => {}
                other => panic!("no step {other}"),
            }
        }
        // Reads what is there, so that closing is no reset.
        stream.shutdown(std::net::Shutdown::Write).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(1))).ok()?;
        while self.read(&mut stream, place).is_some() {}
        Some(())
    }
}

/// What `show stat` last said of each server and backend.
#[derive(Default)]
struct Board {
    rows: Mutex<(u64, BTreeMap<String, Row>)>,
    ended: AtomicBool,
}

impl Board {
    fn poll(&self, socket: &Path) {
        while !self.ended.load(Relaxed) {
            let text = cli::ask(socket, "show stat").unwrap_or_default();
            let mut state = lock(&self.rows);
            state.0 += 1;
            for row in cli::rows(&text) {
                let (Some(proxy), Some(server)) = (row.get("pxname"), row.get("svname")) else { continue };
                let name = format!("{proxy}/{server}");
                // While a check runs its last details are not shown: the last quiet look counts.
                let runs = |c: &str| row.get(c).is_some_and(|v| v.starts_with("* "));
                if runs("check_status") || runs("agent_status") {
                    let old = state.1.entry(name).or_default();
                    for (column, cell) in row {
                        let detail = column.starts_with("check_") || column.starts_with("agent_");
                        if !(detail || column.starts_with("last_")) || !old.contains_key(&column) {
                            old.insert(column, cell);
                        }
                    }
                } else {
                    state.1.insert(name, row);
                }
            }
            drop(state);
            thread::sleep(POLL);
        }
    }

    fn cell(&self, row: &str, column: &str) -> String {
        let state = lock(&self.rows);
        let cell = state.1.get(row).and_then(|r| r.get(column)).map_or("", String::as_str);
        cell.trim_start_matches("* ").to_owned()
    }

    /// The rows of a case as they are from now on.
    fn show(&self, case: &str) -> String {
        let from = lock(&self.rows).0;
        wait(|| lock(&self.rows).0 > from + 2);
        let mut out = String::new();
        let state = lock(&self.rows);
        let of = |name: &&String| {
            name.split('/').next().is_some_and(|b| b == case || b.starts_with(&format!("{case}-")))
        };
        for name in state.1.keys().filter(of) {
            let _ = write!(out, "{name}:");
            for column in COLUMNS {
                let cell = state.1[name].get(column).map_or("?", |v| v.trim_start_matches("* "));
                if !cell.is_empty() {
                    let _ = write!(out, " {column}={cell}");
                }
            }
            out.push('\n');
        }
        out
    }
}

fn wait(mut done: impl FnMut() -> bool) -> bool {
    let until = Instant::now() + PATIENCE;
    loop {
        if done() {
            return true;
        }
        if Instant::now() >= until {
            return false;
        }
        thread::sleep(Duration::from_millis(10));
    }
}

const HEAD: &str = "global
    nbthread 1
    insecure-fork-wanted
    external-check
    max-spread-checks 300ms
    stats socket @DIR@/sock level admin
defaults
    mode http
    log 127.0.0.1:@LINES@ local0
    retries 0
    timeout connect 2s
    timeout client 5s
    timeout server 5s
    timeout check 5s
    default-server inter 400ms rise 1 fall 1
frontend f
    no log
    bind 127.0.0.1:@PORT0@
    use_backend %[path,field(2,/)]
";

/// One program with all cases.
struct Stage {
    side: Side,
    logs: CheckLines,
    servers: Vec<[Arc<Server>; 3]>,
    board: Board,
    /// What external checks wrote.
    notes: tempfile::TempDir,
}

/// An external check that notes what it was told.
const EXTERNAL: &str = "#!/bin/sh
{ echo \"$@\"; env | grep ^HAPROXY_ | sort; } >@NOTES@/.$$
mv @NOTES@/.$$ @NOTES@/$HAPROXY_PROXY_NAME
";

impl Stage {
    fn start(program: &Program, cases: &[Case]) -> Self {
        let (logs, mut config) = (CheckLines::default(), HEAD.to_owned());
        let notes = tempfile::tempdir().expect("a directory");
        let script = notes.path().join("external.sh");
        let path = notes.path().display().to_string();
        std::fs::write(&script, EXTERNAL.replace("@NOTES@", &path)).expect("a file can be written");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&script, mode).expect("it can be made a program");
        let mut servers = Vec::new();
        for (i, case) in cases.iter().enumerate() {
            let all = [Server::start(), Server::start(), Server::start()];
            let mut lines = case.backend.replace("@B@", &format!("b{i}")).replace("@NOTES@", &path);
            for (n, server) in all.iter().enumerate() {
                lines = lines.replace(&format!("@S{}@", n + 1), &format!("127.0.0.1:{}", server.port));
                lines = lines.replace(&format!("@P{}@", n + 1), &server.port.to_string());
            }
            // What the servers do at first.
            for step in &case.steps {
                let Some((n, does)) = behaviour(step) else { break };
                does.clone_into(&mut lock(&all[n].does));
            }
            servers.push(all);
            let _ = write!(config, "backend b{i}\n{lines}\n");
        }
        let config = config.replace("@LINES@", &logs.start().to_string());
        let side = Side::start(&program.path, &config, 1, &Origin::start());
        Self { side, logs, servers, board: Board::default(), notes }
    }

    /// Plays all cases at once; gives what each left behind.
    fn play(&self, cases: &[Case]) -> Vec<String> {
        let socket = self.side.directory().join("sock");
        thread::scope(|scope| {
            scope.spawn(|| self.board.poll(&socket));
            let running: Vec<_> =
                cases.iter().enumerate().map(|(i, case)| scope.spawn(move || self.one(i, case))).collect();
            let told = running.into_iter().map(|r| r.join().expect("a case ends")).collect();
            self.board.ended.store(true, Relaxed);
            told
        })
    }

    fn one(&self, i: usize, case: &Case) -> String {
        let name = format!("b{i}");
        let (mut out, mut clients) = (String::new(), Vec::new());
        for step in &case.steps {
            if let Some((n, does)) = behaviour(step) {
                does.clone_into(&mut lock(&self.servers[i][n].does));
                continue;
            }
            let mut told = step.replace("@B@", &name);
            for (n, server) in self.servers[i].iter().enumerate() {
                told = told.replace(&format!("@P{}@", n + 1), &server.port.to_string());
            }
            let said = self.step(i, &name, &told, &mut clients);
            if !said.is_empty() {
                let _ = writeln!(out, "{step}: {said}");
            }
        }
        thread::sleep(LOG_LAG);
        out.push_str(&self.board.show(&name));
        out.push_str(&self.states(&name));
        let lines = self.logs.of(&name).into_iter().map(|line| format!("{} {}", line.level, line.text));
        out.push_str(&lines.collect::<Vec<_>>().join("\n"));
        // Ports differ from side to side.
        for (n, server) in self.servers[i].iter().enumerate() {
            out = out.replace(&server.port.to_string(), &format!("@P{}@", n + 1));
        }
        out.replace(&self.side.directory().display().to_string(), "@DIR@").replace(&name, "@B@")
    }

    fn step(&self, i: usize, name: &str, step: &str, clients: &mut Vec<TcpStream>) -> String {
        let (word, rest) = step.split_once(' ').unwrap_or((step, ""));
        let number = |text: &str| text.trim().parse::<usize>().unwrap_or_else(|_| panic!("{step}: a number"));
        match word {
            "do" => {
                let socket = self.side.directory().join("sock");
                cli::ask(&socket, rest).unwrap_or_else(|e| e.to_string()).trim().to_owned()
            }
            "until" => {
                let (row, rest) = match rest.split_once(' ') {
                    Some((row, more)) if row.contains('/') => (row.to_owned(), more),
                    _ => (format!("{name}/s"), rest),
                };
                let (column, value) = rest.split_once(' ').unwrap_or((rest, ""));
                let ok = wait(|| self.board.cell(&row, column) == value);
                if ok { String::new() } else { format!("is {}", self.board.cell(&row, column)) }
            }
            "logs" => {
                let ok = wait(|| self.logs.of(name).len() >= number(rest));
                if ok { String::new() } else { format!("{} lines", self.logs.of(name).len()) }
            }
            "probes" => {
                let (server, count) = rest.split_once(' ').expect("probes K N");
                let server = &self.servers[i][number(server) - 1];
                let wanted = server.connections() + number(count);
                if wait(|| server.connections() >= wanted) { String::new() } else { "too few".to_owned() }
            }
            "heard" => {
                let heard = lock(&self.servers[i][number(rest) - 1].heard);
                let last = heard.iter().rev().find(|h| !h.is_empty()).cloned().unwrap_or_default();
                String::from_utf8_lossy(&last).escape_debug().to_string()
            }
            "get" => answer(self.open(&format!("/{name}{rest}"))),
            "open" => {
                clients.push(self.open(&format!("/{name}{rest}")));
                String::new()
            }
            "end" => clients.pop().map(answer).unwrap_or_default(),
            "note" => {
                let note = self.notes.path().join(name);
                wait(|| note.exists());
                let text = std::fs::read_to_string(note).unwrap_or_default();
                text.replace(&self.notes.path().display().to_string(), "@NOTES@").replace('\n', " ")
            }
            "show" => format!("\n{}", self.board.show(name)),
            "pause" => {
                thread::sleep(Duration::from_millis(number(rest) as u64));
                String::new()
            }
            other => panic!("no step {other}"),
        }
    }

    fn open(&self, path: &str) -> TcpStream {
        let mut stream = TcpStream::connect(("127.0.0.1", self.side.port(0))).expect("the proxy listens");
        let _ = stream.set_read_timeout(Some(PATIENCE));
        let _ = stream
            .write_all(format!("GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").as_bytes());
        stream
    }

    fn states(&self, name: &str) -> String {
        let socket = self.side.directory().join("sock");
        let text = cli::ask(&socket, &format!("show servers state {name}")).unwrap_or_default();
        let mut lines = text.lines().skip_while(|l| !l.starts_with("# "));
        let names: Vec<&str> = lines.next().unwrap_or("").trim_start_matches("# ").split(' ').collect();
        let mut out = String::new();
        for cells in lines.map(|l| l.split(' ').collect::<Vec<_>>()).filter(|c| c.len() > 3) {
            let _ = write!(out, "{}:", cells[3]);
            for column in STATES {
                let cell = names.iter().position(|n| *n == column).and_then(|i| cells.get(i)).unwrap_or(&"?");
                // Whether a check runs right now does not matter.
                let quiet = cell.parse::<u32>().map_or((*cell).to_owned(), |n| (n & !1).to_string());
                let cell = if column == "srv_check_state" { quiet } else { (*cell).to_owned() };
                let _ = write!(out, " {column}={cell}");
            }
            out.push('\n');
        }
        out
    }
}

/// The first line of the answer to a client, once its connection has ended.
fn answer(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).lines().next().unwrap_or("nothing").to_owned()
}

/// `1: WORDS` says what server 1 does.
fn behaviour(step: &str) -> Option<(usize, &str)> {
    let (n, does) = step.split_once(": ")?;
    let n: usize = n.parse().ok()?;
    Some((n - 1, does))
}

#[test]
fn servers_change_alike() {
    let Some(original) = Program::original("proxy_check_changes", "haproxy") else { return };
    let programs = [original, Program::ours("proxyd", "haproxy")];
    let file = workspace().join("tests/tests/proxy_check_changes/cases.txt");
    let text = std::fs::read_to_string(file).expect("the cases can be read");
    let cases = cases(&text);
    Suite::live("proxy_check_changes", |suite| {
        let told = thread::scope(|scope| {
            let cases = &cases;
            let play = |program| scope.spawn(move || Stage::start(program, cases).play(cases));
            let running = [play(&programs[0]), play(&programs[1])];
            running.map(|r| r.join().expect("a side ends"))
        });
        for (i, case) in cases.iter().enumerate() {
            suite.case(&case.name, &told[0][i], &told[1][i]);
        }
    });
}

/// Intervals that are told apart whatever the machine does, and where the borders between them lie.
const PACES: [(&str, u64); 3] = [("fastinter", 1500), ("downinter", 4500), ("inter", u64::MAX)];

/// What came between the probes of one server that is well, fails, and is well again.
fn paces(program: &Program, agent: bool) -> String {
    let server = Server::start();
    "http 200".clone_into(&mut lock(&server.does));
    let (port, logs) = (server.port, CheckLines::default().start());
    let config = HEAD.replace("@LINES@", &logs.to_string());
    let check = if agent {
        "agent-check agent-inter 3s agent-port"
    } else {
        "check fastinter 300ms downinter 3s port"
    };
    let config = format!(
        "{config}backend b0\n option httpchk\n server s 127.0.0.1:{port} rise 2 fall 2 inter 6s {check} {port}\n"
    );
    if agent {
        "send up\\n".clone_into(&mut lock(&server.does));
    }
    let _side = Side::start(&program.path, &config, 1, &Origin::start());
    let until = |count: usize| wait(|| server.connections() >= count);
    if !until(1) {
        return "no probe".to_owned();
    }
    let (bad, good) = if agent { ("send down\\n", "send up\\n") } else { ("http 503", "http 200") };
    bad.clone_into(&mut lock(&server.does));
    until(4);
    good.clone_into(&mut lock(&server.does));
    if !until(7) {
        return format!("{} probes", server.connections());
    }
    let came = lock(&server.came).clone();
    let pace = |pair: &[Instant]| {
        let gap = (pair[1] - pair[0]).as_millis() as u64;
        PACES.iter().find(|p| gap < p.1).map_or("", |p| p.0)
    };
    came[..7].windows(2).map(pace).collect::<Vec<_>>().join(" ")
}

#[test]
fn the_state_sets_the_pace() {
    let Some(original) = Program::original("proxy_check_paces", "haproxy") else { return };
    let programs = [original, Program::ours("proxyd", "haproxy")];
    Suite::live("proxy_check_paces", |suite| {
        for agent in [false, true] {
            let told = thread::scope(|scope| {
                let programs = &programs;
                let play = |i: usize| scope.spawn(move || paces(&programs[i], agent));
                let running = [play(0), play(1)];
                running.map(|r| r.join().expect("a side ends"))
            });
            suite.case(if agent { "agent" } else { "health" }, &told[0], &told[1]);
        }
    });
}
