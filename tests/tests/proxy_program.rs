//! The life of the program: master, workers and single processes of proxyd and Debian's haproxy under signals, reloads,
//! deaths and stops, beside each other. Compared is what each process says (in its own order), the datagrams to the
//! service manager byte for byte, exit codes, and the answers of the master's command line.
//!
//! Absent on purpose: in which order lines of different processes arrive, and the frontend of haproxy's own HTTP client.

use holdfast_tests::netns::wait_for;
use holdfast_tests::node::Program;
use holdfast_tests::oracle::Suite;
use nix::sys::signal::Signal::{
    self as Kind, SIGABRT as ABRT, SIGALRM as ALRM, SIGBUS as BUS, SIGHUP as HUP, SIGINT as INT,
    SIGKILL as KILL, SIGPIPE as PIPE, SIGQUIT as QUIT, SIGSEGV as SEGV, SIGTERM as TERM, SIGTTIN as TTIN,
    SIGTTOU as TTOU, SIGUSR1 as USR1, SIGUSR2 as USR2,
};
use regex::Regex;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How long anything that has to happen may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long is looked that something does not happen; both programs get the same.
const QUIET: Duration = Duration::from_millis(400);

const CONFIG: &str = "defaults\n    mode http\n    timeout client 30s\n    timeout server 30s\n    timeout connect 1s\n\
    frontend f\n    bind @DIR@/f.sock\n    http-request deny\n";

/// What happens in a story.
#[derive(Clone, Copy)]
enum Step {
    /// A signal to the process that was started.
    Signal(Kind),
    /// A signal to its youngest worker.
    Worker(Kind),
    /// This text has been said so often.
    Said(&'static str, usize),
    /// The service manager was told so often that all is ready.
    Ready(usize),
    /// The process ends.
    Ends,
    /// It still runs after a while.
    Stays,
    /// As many children are there.
    Children(usize),
    /// A line behind the configuration from now on; none takes it away.
    Config(&'static str),
    /// A client sends this and stays.
    Client(&'static str),
    /// All clients leave.
    Leave,
}
use Step::{Children, Client, Config, Ends, Leave, Ready, Said, Signal, Stays, Worker};

/// A story: its name, the options, what stands before and behind the configuration, what happens once it serves.
type Story = (&'static str, &'static str, &'static str, &'static str, &'static [Step]);

const NO_EXIT: &str = "global\n    master-worker no-exit-on-failure\n";
const STATS: &str = "global\n    stats socket @DIR@/stats level admin\n";
const RELOADED: Step = Ready(2);
const PROGRAMS: &str =
    "program p\n    command sleep 1000\nprogram q\n    command sleep 1000\n    no option start-on-reload\n";

const STORIES: &[Story] = &[
    ("single HUP", "-db", "", "", &[Signal(HUP), Said("SIGHUP: Proxy f", 1), Signal(TERM), Ends]),
    (
        "single HUP with a socket",
        "-db",
        STATS,
        "",
        &[Signal(HUP), Said("SIGHUP: Proxy f", 1), Signal(TERM), Ends],
    ),
    ("single USR1", "-db", "", "", &[Signal(USR1), Ends]),
    ("single USR1 with a socket", "-db", STATS, "", &[Signal(USR1), Ends]),
    ("single USR2", "-db", "", "", &[Signal(USR2), Stays, Signal(TERM), Ends]),
    ("single INT", "-db", "", "", &[Signal(INT), Ends]),
    ("single TERM", "-db", "", "", &[Signal(TERM), Ends]),
    ("single ALRM", "-db", "", "", &[Signal(ALRM), Stays, Signal(TERM), Ends]),
    ("single PIPE", "-db", "", "", &[Signal(PIPE), Stays, Signal(TERM), Ends]),
    ("single SEGV", "-db", "", "", &[Signal(SEGV), Ends]),
    (
        "single paused and resumed",
        "-db",
        "",
        "",
        &[Signal(TTOU), Said("Paused", 1), Signal(TTIN), Said("Resumed", 1), Signal(TERM), Ends],
    ),
    (
        "single paused and resumed with a socket",
        "-db",
        STATS,
        "",
        &[Signal(TTOU), Said("Paused", 2), Signal(TTIN), Said("Resumed", 2), Signal(TERM), Ends],
    ),
    (
        "single USR1 waits for a request",
        "-db",
        "",
        "",
        &[Client("GET / HTTP/1.1\r\n"), Signal(USR1), Said("stopped", 1), Stays, Leave, Ends],
    ),
    (
        "single USR1 then TERM",
        "-db",
        "",
        "",
        &[Client("GET / HTTP/1.1\r\n"), Signal(USR1), Said("stopped", 1), Stays, Signal(TERM), Ends],
    ),
    ("master TERM", "-Ws", "", "", &[Signal(TERM), Ends]),
    ("master INT", "-Ws", "", "", &[Signal(INT), Ends]),
    ("master USR1", "-Ws", "", "", &[Signal(USR1), Ends]),
    ("master QUIT", "-Ws", "", "", &[Signal(QUIT), Stays, Signal(TERM), Ends]),
    ("master ALRM", "-Ws", "", "", &[Signal(ALRM), Stays, Signal(TERM), Ends]),
    ("master PIPE", "-Ws", "", "", &[Signal(PIPE), Stays, Signal(TERM), Ends]),
    (
        "master paused and resumed",
        "-Ws",
        "",
        "",
        &[Signal(TTOU), Said("Paused", 2), Signal(TTIN), Said("Resumed", 2), Signal(TERM), Ends],
    ),
    (
        "master USR2",
        "-Ws",
        "",
        "",
        &[Signal(USR2), RELOADED, Said("exited", 1), Children(1), Signal(TERM), Ends],
    ),
    (
        "master HUP",
        "-Ws",
        "",
        "",
        &[Signal(HUP), RELOADED, Said("exited", 1), Children(1), Signal(TERM), Ends],
    ),
    (
        "a bad configuration and a good one",
        "-Ws",
        "",
        "",
        &[
            Config("    foo bar\n"),
            Signal(USR2),
            Ready(2),
            Said("Loading failure", 1),
            Children(1),
            Config(""),
            Signal(USR2),
            Ready(3),
            Said("exited", 1),
            Signal(TERM),
            Ends,
        ],
    ),
    ("worker TERM", "-Ws", "", "", &[Worker(TERM), Ends]),
    ("worker KILL", "-Ws", "", "", &[Worker(KILL), Ends]),
    ("worker USR1", "-Ws", "", "", &[Worker(USR1), Ends]),
    ("worker INT", "-Ws", "", "", &[Worker(INT), Ends]),
    ("worker SEGV", "-Ws", "", "", &[Worker(SEGV), Ends]),
    ("worker BUS", "-Ws", "", "", &[Worker(BUS), Ends]),
    ("worker ABRT", "-Ws", "", "", &[Worker(ABRT), Ends]),
    ("worker HUP", "-Ws", "", "", &[Worker(HUP), Said("SIGHUP: Proxy", 2), Signal(TERM), Ends]),
    ("worker KILL, no exit on failure", "-Ws", NO_EXIT, "", &[Worker(KILL), Ends]),
    ("worker TERM, no exit on failure", "-Ws", NO_EXIT, "", &[Worker(TERM), Ends]),
    (
        "a reload keeps the old worker for its client",
        "-Ws",
        "",
        "",
        &[
            Client("GET / HTTP/1.1\r\n"),
            Signal(USR2),
            RELOADED,
            Said("stopped", 1),
            Children(2),
            Leave,
            Said("exited", 1),
            Children(1),
            Signal(TERM),
            Ends,
        ],
    ),
    (
        "a soft stop of all waits for a client",
        "-Ws",
        "",
        "",
        &[Client("GET / HTTP/1.1\r\n"), Signal(USR1), Said("stopped", 1), Stays, Leave, Ends],
    ),
    (
        "programs",
        "-Ws",
        "",
        PROGRAMS,
        &[Children(3), Signal(USR2), RELOADED, Said("exited", 3), Children(2), Signal(TERM), Ends],
    ),
    (
        "a program ends",
        "-Ws",
        "",
        "program p\n    command true\n",
        &[Said("exited", 1), Stays, Signal(TERM), Ends],
    ),
    ("a program fails", "-Ws", "", "program p\n    command sh -c 'sleep 1; exit 3'\n", &[Ends]),
];

/// A started program with its directory and clients; killed when dropped.
struct Life {
    directory: tempfile::TempDir,
    child: Child,
    notify: UnixDatagram,
    datagrams: Vec<String>,
    clients: Vec<UnixStream>,
    before: &'static str,
    behind: &'static str,
    told: Vec<String>,
    /// Who its children were, by pid, as they are named in the comparison.
    names: BTreeMap<i32, String>,
    path: PathBuf,
}

impl Drop for Life {
    fn drop(&mut self) {
        for pid in self.children() {
            send(pid, KILL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn send(pid: i32, signal: Kind) {
    let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal);
}

impl Life {
    fn start(program: &Program, options: &str, before: &'static str, behind: &'static str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let notify = UnixDatagram::bind(directory.path().join("notify")).expect("a socket");
        notify.set_nonblocking(true).expect("set");
        // Named as the original is, so that messages with the name compare.
        let path = directory.path().join("haproxy");
        std::os::unix::fs::symlink(&program.path, &path).expect("a link");
        let output = std::fs::File::create(directory.path().join("said")).expect("a file");
        let options = options.replace("@DIR@", &directory.path().display().to_string());
        let config = Self::config(&directory, before, "", behind);
        std::fs::write(directory.path().join("h.cfg"), config).expect("written");
        let mut command = Command::new(&path);
        command.args(options.split_whitespace()).args(["-f", "h.cfg"]).current_dir(directory.path());
        if options.contains("-Ws") {
            command.env("NOTIFY_SOCKET", directory.path().join("notify"));
        }
        let copy = output.try_clone().expect("a copy");
        let child = command.stdin(Stdio::null()).stdout(copy).stderr(output).spawn().expect("it starts");
        let (clients, told, names) = (Vec::new(), Vec::new(), BTreeMap::new());
        let datagrams = Vec::new();
        let mut life =
            Self { directory, child, notify, datagrams, clients, before, behind, told, names, path };
        life.names.insert(life.child.id() as i32, "MAIN".into());
        // The original's master is one only once it has begun anew, and says so to its manager alone.
        let managed = options.contains("-Ws");
        life.until("it serves", |l| {
            (!managed || l.ready() > 0) && UnixStream::connect(l.directory.path().join("f.sock")).is_ok()
        });
        life.name_children();
        life
    }

    fn config(directory: &tempfile::TempDir, before: &str, line: &str, behind: &str) -> String {
        format!("{before}{CONFIG}{line}{behind}").replace("@DIR@", &directory.path().display().to_string())
    }

    fn said(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("said")).unwrap_or_default()
    }

    /// How often the manager was told that all is ready.
    fn ready(&mut self) -> usize {
        let mut bytes = [0; 256];
        while let Ok(n) = self.notify.recv(&mut bytes) {
            let text = String::from_utf8_lossy(&bytes[..n]).replace(&self.child.id().to_string(), "MAIN");
            // haproxy 2.6 tells of a reload before it was ever ready; later ones and ours don't.
            if text != "RELOADING=1" || !self.datagrams.is_empty() {
                self.datagrams.push(text);
            }
        }
        self.datagrams.iter().filter(|d| d.starts_with("READY=1")).count()
    }

    fn children(&self) -> Vec<i32> {
        let pid = self.child.id();
        let list = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        list.split_whitespace().filter_map(|n| n.parse().ok()).collect()
    }

    fn name_children(&mut self) {
        let said = self.said();
        let forked = Regex::new(r"New (worker|program '\w+') \((\d+)\) forked").expect("a pattern");
        for found in forked.captures_iter(&said) {
            let pid: i32 = found[2].parse().expect("a pid");
            let count = self.names.values().filter(|n| n.starts_with(&found[1])).count();
            self.names.entry(pid).or_insert_with(|| format!("{}{}", &found[1], count + 1));
        }
    }

    fn worker(&mut self) -> Option<i32> {
        self.name_children();
        let children = self.children();
        let worker = |(pid, name): (&i32, &String)| {
            (name.starts_with("worker") && children.contains(pid)).then_some(*pid)
        };
        self.names.iter().filter_map(worker).next_back()
    }

    fn until(&mut self, what: &str, mut met: impl FnMut(&mut Self) -> bool) {
        let seen = wait_for(PATIENCE, || met(self).then_some(()));
        if seen.is_none() {
            self.told.push(format!("in vain: {what}"));
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Signal(signal) => send(self.child.id() as i32, signal),
            Worker(signal) => match self.worker() {
                Some(pid) => send(pid, signal),
                None => self.told.push("no worker".into()),
            },
            Said(text, count) => self.until(text, |l| l.said().matches(text).count() >= count),
            Ready(count) => self.until("readiness", |l| l.ready() >= count),
            Ends => {
                self.until("the end", |l| matches!(l.child.try_wait(), Ok(Some(_))));
                let status = self.child.try_wait();
                self.told.push(format!("ended: {status:?}"));
            }
            Stays => {
                std::thread::sleep(QUIET);
                let status = self.child.try_wait();
                self.told.push(format!("after a while: {status:?}"));
            }
            Children(count) => {
                self.until("children", |l| l.children().len() == count);
                self.told.push(format!("children: {}", self.children().len()));
            }
            Config(line) => {
                let text = Self::config(&self.directory, self.before, line, self.behind);
                std::fs::write(self.directory.path().join("h.cfg"), text).expect("written");
            }
            Client(text) => {
                let mut stream =
                    UnixStream::connect(self.directory.path().join("f.sock")).expect("it serves");
                stream.write_all(text.as_bytes()).expect("sent");
                self.clients.push(stream);
                // It has to be there before what follows.
                std::thread::sleep(QUIET);
            }
            Leave => self.clients.clear(),
        }
        self.name_children();
    }

    /// All that was seen: lines by who said them, datagrams, and what the steps found.
    fn record(&mut self) -> String {
        self.name_children();
        let mut text = self.said().replace(&self.directory.path().display().to_string(), "DIR");
        text = text.replace(&self.path.display().to_string(), "haproxy");
        for (pattern, with) in [(r"haproxy version is .*", "version"), (r"path to executable is .*", "path")]
        {
            text = Regex::new(pattern).expect("a pattern").replace_all(&text, with).into_owned();
        }
        for (pid, name) in &self.names {
            text = text.replace(&format!("({pid})"), &format!("({name})"));
        }
        let speaker = Regex::new(r"^\[\w+\] +\(([^)]*)\)").expect("a pattern");
        let mut lines: Vec<(String, &str)> = text
            .lines()
            .filter(|l| !l.contains("HTTPCLIENT") && !l.contains("HTTPSCLIENT"))
            .map(|l| (speaker.captures(l).map_or_else(String::new, |c| c[1].to_owned()), l))
            .collect();
        lines.sort_by(|a, b| a.0.cmp(&b.0));
        // One after another in the order of the original's protocols.
        let each = |l: &str| ["Paused", "Resumed", " stopped ("].iter().any(|w| l.contains(w));
        lines.chunk_by_mut(|a, b| a.0 == b.0 && each(a.1) && each(b.1)).for_each(<[_]>::sort);
        let mut out: Vec<String> = lines.into_iter().map(|(_, l)| l.to_owned()).collect();
        self.ready();
        out.extend(self.datagrams.iter().map(|d| format!("datagram {d:?}")));
        out.append(&mut self.told.clone());
        out.join("\n")
    }
}

fn programs(test: &str) -> Option<[Program; 2]> {
    Some([Program::original(test, "haproxy")?, Program::ours("proxyd", "haproxy")])
}

#[test]
fn lives_are_alike() {
    let Some(programs) = programs("proxy_program") else { return };
    Suite::live("proxy_program", |suite| {
        for (name, options, before, behind, steps) in STORIES {
            let [theirs, ours] = [0, 1].map(|i: usize| {
                let mut life = Life::start(&programs[i], options, before, behind);
                steps.iter().for_each(|step| life.step(*step));
                life.record()
            });
            suite.case(name, &theirs, &ours);
        }
    });
}

/// What is sent to the master's command line; MAIN and WORKER are pids.
const COMMANDS: &str = include_str!("proxy_program/master.txt");
/// The same to sockets of each level.
const LEVELS: &str = include_str!("proxy_program/levels.txt");

fn ask(path: &std::path::Path, text: &str) -> String {
    let mut stream = UnixStream::connect(path).expect("the master listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("set");
    stream.write_all(text.as_bytes()).expect("sent");
    stream.shutdown(std::net::Shutdown::Write).expect("shut");
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn conversation(life: &mut Life, line: &str) -> String {
    let (main, worker) = (life.child.id().to_string(), life.worker().unwrap_or_default().to_string());
    let sent = line.replace("\\n", "\n").replace("MAIN", &main).replace("WORKER", &worker);
    let mut text =
        ask(&life.directory.path().join("master"), &sent).replace(&main, "MAIN").replace(&worker, "WORKER");
    text = text.replace(&life.directory.path().display().to_string(), "DIR");
    for (pattern, with) in [
        (r"2\.6\.12\S*", "VERSION"),
        (r"\d+d\d\dh\d\dm\d\ds", "UPTIME"),
        (r" {2,}", "  "),
        (r" \n", "\n"),
        (r"sockpair@\d+", "sockpair@N"),
    ] {
        text = Regex::new(pattern).expect("a pattern").replace_all(&text, with).into_owned();
    }
    text
}

#[test]
fn the_masters_command_line_answers_alike() {
    let Some(programs) = programs("proxy_program_cli") else { return };
    Suite::live("proxy_program_cli", |suite| {
        for (arguments, lines) in
            [("", COMMANDS), ("level,operator", LEVELS), ("level,user", LEVELS), ("mode,660", LEVELS)]
        {
            let options = format!("-Ws -S @DIR@/master,{arguments}");
            let mut lives = [0, 1].map(|i: usize| {
                Life::start(&programs[i], &options, STATS, "backend b\n    server s1 127.0.0.1:1\n")
            });
            for line in lines.lines() {
                let [theirs, ours] = lives.each_mut().map(|life| conversation(life, line));
                suite.case(format!("{arguments} {line}").trim_start(), &theirs, &ours);
            }
            let modes = lives.each_ref().map(|l| {
                use std::os::unix::fs::PermissionsExt;
                let metadata = std::fs::metadata(l.directory.path().join("master")).expect("a socket");
                format!("{:o}", metadata.permissions().mode())
            });
            suite.case(format!("{arguments} mode").trim_start(), &modes[0], &modes[1]);
        }
    });
}
