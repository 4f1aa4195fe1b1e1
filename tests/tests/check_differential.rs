//! Debian's keepalived and ours with the same checkers before the same little servers, each in a namespace of its
//! own: the same lines in the same order, at the same times, the same scripts run, the same requests sent.
//!
//! The original's checker ends where the kernel has no ip_vs; a few lines of C preloaded into it
//! (`check_differential/no_ipvs.c`) take that away. The table itself is `check_uml.rs`'s business.
//!
//! `CHECK_CASES=WORD` runs only the cases whose name has WORD in it, and prints both sides' lines.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use holdfast_tests::netns::{Host, Net, wait_for};
use holdfast_tests::node::{Node, Program};
use holdfast_tests::oracle::Suite;
use holdfast_tests::{lacks, skip, workspace};

const NAME: &str = "checkers_are_keepaliveds";

/// How far apart the same line of both may be: a program that runs beside a hundred others may be late, but one that
/// retries after another delay, or once more or less, is a second off.
const APART_MAX_S: f64 = 0.8;

/// How long a start may take on a busy machine.
const START: Duration = Duration::from_secs(20);

/// Cases that run beside each other.
const AT_ONCE: usize = 24;

/// How often a case that differs is tried again: on a machine without time either program may see a server too late,
/// a real difference is there each time.
const TRIES: usize = 3;

/// The time between two starts, so that not all want the processor at once.
const BETWEEN: Duration = Duration::from_millis(150);

/// How long a stop may take before the case counts what is there.
const STOP: Duration = Duration::from_secs(8);

/// One case of `cases.txt`.
#[derive(Debug, Clone, Default)]
struct Case {
    name: String,
    servers: Vec<String>,
    seconds: f64,
    /// Shell lines and when they are run.
    acts: Vec<(f64, String)>,
    config: String,
    /// Lines that come at one time come in any order.
    unordered: bool,
}

impl Case {
    /// What the servers and scripts of this case have seen.
    fn sent(&self, seen: &BTreeMap<String, Vec<String>>) -> String {
        let ports = self.servers.iter().filter_map(|s| s.split(' ').nth(1));
        let mut names: Vec<String> =
            ports.flat_map(|p| [format!("requests.{p}"), format!("sni.{p}")]).collect();
        names.push(format!("notes.{}", self.name));
        let lines = names.iter().filter_map(|n| Some((n, seen.get(n)?)));
        lines.fold(String::new(), |all, (name, lines)| all + &format!("{name}: {}\n", lines.join(" ")))
    }
}

fn cases() -> Vec<Case> {
    let path = workspace().join("tests/tests/check_differential/cases.txt");
    let text = std::fs::read_to_string(path).expect("the cases");
    let mut list: Vec<Case> = Vec::new();
    for (number, section) in text.split("\n=== ").skip(1).enumerate() {
        let (name, rest) = section.split_once('\n').expect("a name and more");
        let mut case = Case { name: name.to_owned(), ..Case::default() };
        let mut body = String::new();
        let mut whole = false;
        for line in rest.lines() {
            match line.split_once(' ') {
                Some(("server", what)) => case.servers.push(what.to_owned()),
                Some(("seconds", n)) => case.seconds = n.parse().expect("a number of seconds"),
                Some(("at", what)) => {
                    let (when, act) = what.split_once(' ').expect("a time and a line");
                    case.acts.push((when.parse().expect("seconds"), act.to_owned()));
                }
                None if line == "whole" => whole = true,
                None if line == "unordered" => case.unordered = true,
                _ => {
                    body.push_str(line);
                    body.push('\n');
                }
            }
        }
        case.config = if whole {
            body
        } else {
            format!(
                "global_defs {{\n  router_id x\n  script_user root\n}}\nvirtual_server 10.9.9.{} 80 {{\n  \
                 delay_loop 1\n  warmup 0\n  lb_algo rr\n  lb_kind NAT\n  protocol TCP\n{body}}}\n",
                number % 250 + 1
            )
        };
        case.acts.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        list.push(case);
    }
    list
}

/// Scripts of MISC_CHECK and notifiers: `seq KEY STATUS…` gives the next status each time it is called.
const SCRIPTS: [(&str, &str); 3] = [
    (
        "seq",
        "#!/usr/bin/python3\nimport os, sys, time\nkey, words = sys.argv[1], sys.argv[2:]\n\
         f = os.path.join(os.path.dirname(sys.argv[0]), 'count.' + key)\n\
         n = int(open(f).read()) if os.path.exists(f) else 0\nopen(f, 'w').write(str(n + 1))\n\
         word = words[min(n, len(words) - 1)]\nif word == 'sleep': time.sleep(30)\n\
         if word == 'kill': os.kill(os.getpid(), 9)\nsys.exit(int(word))\n",
    ),
    ("who", "#!/usr/bin/python3\nimport os, sys\nsys.exit(0 if os.getuid() == 65534 else 9)\n"),
    (
        "note",
        "#!/usr/bin/python3\nimport os, sys\n\
         name = os.path.join(os.path.dirname(sys.argv[0]), 'notes.' + sys.argv[1])\n\
         open(name, 'a').write(' '.join(sys.argv[2:]) + '\\n')\n",
    ),
];

/// A host with the servers of all cases.
struct Stage {
    host: Host,
    /// Kept for its end: the servers go with it.
    _servers: Node,
    program: Program,
    preload: Option<PathBuf>,
}

impl Stage {
    fn new(net: &Net, name: &str, program: Program, preload: Option<PathBuf>, all: &[Case]) -> Self {
        let host = net.host(name);
        // 198.51.100.1 swallows everything, 203.0.113.1 can't be reached.
        host.sh("ip link add v0 type veth peer name v1 && ip link set v0 up && ip link set v1 up && \
                 ip addr add 198.51.100.2/24 dev v0 && \
                 ip neigh add 198.51.100.1 lladdr 02:00:00:00:00:01 dev v0 nud permanent && \
                 sysctl -qw net.ipv4.ping_group_range='0 2147483647'");
        for (file, text) in SCRIPTS {
            let path = host.file(file, text);
            host.sh(&format!("chmod 755 {}", path.display()));
        }
        host.sh(&format!(
            "chmod 755 {0} && cd {0} && openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem \
             -days 30 -subj /CN=name.example 2>/dev/null",
            host.dir().display()
        ));
        let lines: Vec<&str> = all.iter().flat_map(|c| c.servers.iter().map(String::as_str)).collect();
        host.file("servers.txt", &(lines.join("\n") + "\n"));
        let script = workspace().join("tests/tests/check_differential/servers.py");
        let python = Program { path: "/usr/bin/python3".into(), name: "python3".to_owned() };
        let line = format!(
            "import os, sys, runpy; os.chdir({:?}); sys.stdin = open('servers.txt'); runpy.run_path({:?})",
            host.dir().display().to_string(),
            script.display().to_string()
        );
        let servers = Node::start(&host, &python, &["-c", &line]);
        servers.wait_output("ready", Duration::from_secs(30));
        Self { host, _servers: servers, program, preload }
    }

    /// Runs a case; gives its lines with the seconds since the first, and what else it left.
    fn play(&self, case: &Case) -> Played {
        let dir = self.host.dir().display().to_string();
        let config = case.config.replace("DIR", &dir);
        let file = self.host.file(&format!("{}.conf", case.name), &config);
        let pid_file = self.host.dir().join(format!("{}.pid", case.name));
        let checker_pid = self.host.dir().join(format!("{}.checkers.pid", case.name));
        let path = self.host.install(&self.program.path, &self.program.name);
        let mut command = self.host.command("env");
        if let Some(preload) = &self.preload {
            command.arg(format!("LD_PRELOAD={}", preload.display()));
        }
        command.arg(path).args(["-C", "-n", "-f"]).arg(&file);
        command.arg("-p").arg(&pid_file).arg("-c").arg(&checker_pid);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let act_now = |line: &str, parent: Option<&str>| {
            let file = file.display().to_string();
            self.host.try_sh(
                &line.replace("DIR", &dir).replace("FILE", &file).replace("PID", parent.unwrap_or("0")),
            );
        };
        let (before, acts): (Vec<_>, Vec<_>) = case.acts.iter().partition(|(when, _)| *when == 0.0);
        for (_, line) in &before {
            act_now(line, None);
        }
        let mut child = command.spawn().expect("nsenter starts");
        let read =
            |p: &Path| std::fs::read_to_string(p).ok().map(|t| t.trim().to_owned()).filter(|t| !t.is_empty());
        let checker = wait_for(START, || read(&checker_pid));
        let parent = read(&pid_file);
        let started = Instant::now();
        let mut acts = acts.into_iter();
        let mut act = acts.next();
        while started.elapsed().as_secs_f64() < case.seconds {
            std::thread::sleep(Duration::from_millis(50));
            if let Some((when, line)) = act
                && started.elapsed().as_secs_f64() >= *when
            {
                act_now(line, parent.as_deref());
                act = acts.next();
            }
        }
        if let Some(pid) = parent {
            self.host.try_sh(&format!("kill {pid}"));
        }
        let stopping = Instant::now();
        while stopping.elapsed() < STOP && matches!(child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = child.kill();
        let _ = child.wait();
        let mut played = self.lines(checker.as_deref().unwrap_or("none"), &dir);
        if case.unordered {
            let tenth = |at: f64| (at * 10.0).round() as i64;
            played.lines.sort_by(|(a, x), (b, y)| (tenth(*a), x).cmp(&(tenth(*b), y)));
        }
        played
    }

    /// The checker's lines out of syslog.
    fn lines(&self, pid: &str, dir: &str) -> Played {
        let head = format!("Keepalived_healthcheckers[{pid}]: ");
        let log = self.host.log();
        let mut lines: Vec<(f64, String)> = log
            .into_iter()
            .filter_map(|(at, _, text)| {
                let text = &text[text.find(&head)? + head.len()..];
                let about_itself = ["NOTICE: ", "IPVS: ", "Initializing ipvs", "Got ", "Opening file "];
                (!about_itself.iter().any(|w| text.starts_with(w)) && !text.contains("ipvs"))
                    .then(|| (at, text.replace(dir, "DIR")))
            })
            .collect();
        let first = lines.first().map_or(0.0, |(at, _)| *at);
        for (at, _) in &mut lines {
            *at -= first;
        }
        Played { lines }
    }
}

/// What a run showed.
#[derive(Debug, Clone)]
struct Played {
    lines: Vec<(f64, String)>,
}

impl Played {
    /// Words the original leaves out or puts at random do not count: only the texts, in order.
    fn texts(&self) -> String {
        self.lines.iter().fold(String::new(), |all, (_, text)| all + text + "\n")
    }

    fn shown(&self) -> String {
        self.lines.iter().fold(String::new(), |mut all, (at, text)| {
            let _ = writeln!(all, "{at:7.2} {text}");
            all
        })
    }
}

/// Where the same lines come at other times.
fn lateness(theirs: &Played, ours: &Played) -> Option<String> {
    let pairs = theirs.lines.iter().zip(&ours.lines);
    // When a stop came is the machine's business.
    let stopping = |text: &str| text.starts_with("Shutting down") || text == "Stopped";
    let mut off = pairs.filter(|((a, text), (b, _))| !stopping(text) && (a - b).abs() > APART_MAX_S);
    off.next().map(|((a, text), (b, _))| format!("`{text}` after {a:.2} s, ours after {b:.2} s\n"))
}

/// The preloaded library, or why there is none.
fn shim(dir: &Path) -> Result<PathBuf, String> {
    let (source, out) =
        (workspace().join("tests/tests/check_differential/no_ipvs.c"), dir.join("no_ipvs.so"));
    let run = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&out).arg(source).output();
    match run {
        Ok(o) if o.status.success() => Ok(out),
        Ok(o) => Err(String::from_utf8_lossy(&o.stderr).into_owned()),
        Err(e) => Err(format!("cc: {e}")),
    }
}

/// Plays cases on both stages at once, some at a time.
fn play(stages: &[Stage; 2], cases: &[Case]) -> BTreeMap<String, (Played, Played)> {
    let next = AtomicUsize::new(0);
    let all = Mutex::new(BTreeMap::new());
    let worker = || {
        while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
            let [theirs, ours] = std::thread::scope(|scope| {
                stages
                    .each_ref()
                    .map(|stage| scope.spawn(|| stage.play(case)))
                    .map(|j| j.join().expect("no panic"))
            });
            all.lock().expect("no panic").insert(case.name.clone(), (theirs, ours));
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(worker);
            std::thread::sleep(BETWEEN);
        }
    });
    all.into_inner().expect("no panic")
}

/// What the servers and scripts of a host have seen, by file.
fn seen(host: &Host) -> BTreeMap<String, Vec<String>> {
    let entries = std::fs::read_dir(host.dir()).expect("the host's directory");
    let mut files = BTreeMap::new();
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if ["requests.", "sni.", "notes."].iter().any(|w| name.starts_with(w)) {
            let text = std::fs::read(entry.path()).unwrap_or_default();
            let mut lines: Vec<String> =
                String::from_utf8_lossy(&text).split('\n').map(|l| format!("{l:?}")).collect();
            lines.sort();
            lines.dedup();
            files.insert(name, lines);
        }
    }
    files
}

#[test]
fn checkers_are_keepaliveds() {
    let Some(original) = Program::original(NAME, "keepalived") else { return };
    let Some(net) = Net::new(NAME) else { return };
    if lacks(NAME, &["openssl", "python3", "cc"]) {
        return;
    }
    let library = match shim(net.dir()) {
        Ok(library) => library,
        Err(why) => return skip(NAME, &why),
    };
    let wanted = std::env::var("CHECK_CASES").ok();
    let mut all = cases();
    assert!(all.len() > 50, "{} cases are too few", all.len());
    all.retain(|c| wanted.as_ref().is_none_or(|w| c.name.contains(w.as_str())));
    let ours = Program::ours("keepalived", "keepalived");
    let mut results: BTreeMap<String, (String, String)> = BTreeMap::new();
    for round in 0..TRIES {
        let stages = [
            Stage::new(&net, &format!("original{round}"), original.clone(), Some(library.clone()), &all),
            Stage::new(&net, &format!("ours{round}"), ours.clone(), None, &all),
        ];
        let played = play(&stages, &all);
        let seen = stages.each_ref().map(|s| seen(&s.host));
        for case in &all {
            let (theirs, ours) = &played[&case.name];
            let late = if theirs.texts() == ours.texts() { lateness(theirs, ours) } else { None };
            let sent = |n: usize| case.sent(&seen[n]);
            let (left, right) =
                (theirs.texts() + &sent(0), ours.texts() + &late.unwrap_or_default() + &sent(1));
            if wanted.is_some() || left != right && round + 1 == TRIES {
                eprintln!("--- {}: the original\n{}--- ours\n{}", case.name, theirs.shown(), ours.shown());
            }
            results.insert(case.name.clone(), (left, right));
        }
        all.retain(|c| results.get(&c.name).is_some_and(|(a, b)| a != b) && wanted.is_none());
    }
    let mut suite = Suite::new("checkers");
    for (name, (theirs, ours)) in &results {
        suite.case(name, theirs, ours);
    }
    if wanted.is_none() {
        suite.finish();
    }
}
