//! Command lines that end by themselves, given to proxyd and Debian's haproxy: the same lines and exit code. Usage and
//! version are texts of each program's own; of those the exit code counts, and that they are what is shown.

use holdfast_tests::node::Program;
use holdfast_tests::oracle::{Suite, normalise};
use regex::Regex;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

const GOOD: &str = "defaults\n    mode http\n    timeout client 5s\n    timeout server 5s\n    timeout connect 1s\n\
    frontend f\n    bind 127.0.0.1:1\n    http-request deny\n";

/// Files of the directory that each command runs in.
const FILES: [(&str, &str); 8] = [
    ("good.cfg", GOOD),
    ("bad.cfg", "frontend f\n    bind :1\n    foo bar\n"),
    ("warned.cfg", "defaults\n    mode http\nfrontend f\n    bind 127.0.0.1:1\n"),
    (
        "twice.cfg",
        "global\n    pidfile a\n    pidfile b\n    chroot /\n    chroot /\n    user nobody\n    uid 7\n    gid 7\n    \
         group nogroup\n    gid 7\n    maxconn 10\n    maxconn 20\n    ulimit-n 1000\n    ulimit-n 2000\n    spread-checks 5\n    spread-checks 6\n    \
         log-send-hostname a\n    log-send-hostname b\n    maxsessrate 5000\n    maxsessrate 6000\n    node a\n    node b\n",
    ),
    ("pidfile.cfg", "global\n    pidfile /nonexistent/a\n"),
    ("master.cfg", "global\n    master-worker\n"),
    ("idle.cfg", "backend b\n    timeout server 1s\n    timeout connect 1s\n"),
    (
        "order.cfg",
        "defaults\n    mode http\n    timeout client 5s\n    timeout server 5s\n    timeout connect 1s\n\
         listen l\n    bind 127.0.0.1:1\n    acl a path /\n    use-server s if TRUE\n    use_backend o if FALSE\n    \
         redirect location / if FALSE\n    http-request deny if { res.hdr(x) -m found }\n    monitor fail if FALSE\n    \
         tcp-request content accept if { status 2 }\n    tcp-request session accept if { path / }\n    \
         tcp-request connection accept if a\n    tcp-response content accept if { path / }\n    \
         http-response deny if { path_beg / }\n    http-after-response set-header a b if a\n    cookie S insert domain .x\n    \
         server s 127.0.0.1:1\nfrontend f\n    bind 127.0.0.1:2\n    http-response deny if { path_beg / }\n    default_backend l\nbackend o\n",
    ),
];

/// Command lines; words by blanks, `'…'` holds them together.
const LINES: &[&str] = &[
    "-c -f good.cfg",
    "-V -c -f good.cfg",
    "-q -c -f good.cfg",
    "-q -c -f bad.cfg",
    "-q -c -f warned.cfg",
    "-q -f bad.cfg",
    "-c -f bad.cfg",
    "-c -f warned.cfg",
    "-c -dW -f warned.cfg",
    "-c -f twice.cfg -f good.cfg",
    "-c -p somewhere -f pidfile.cfg -f good.cfg",
    "-D -p /nonexistent/b -f good.cfg",
    "-c -f master.cfg -f good.cfg -S 127.0.0.1:2",
    "-c -f good.cfg -S 127.0.0.1:2",
    "-c -dW -f good.cfg -S 127.0.0.1:2",
    "-c -W -f good.cfg -S 127.0.0.1:2",
    "-W -c -f good.cfg",
    "-Ws -c -f good.cfg",
    "-D -c -f good.cfg",
    "-d -c -f good.cfg",
    "-db -c -f good.cfg",
    "-f missing",
    "-c -f missing",
    "-q -c -f missing",
    "-c -f good.cfg -f missing",
    "-c -f nothing",
    "-c -- good.cfg",
    "-- good.cfg -c",
    "-c -f good.cfg stray",
    "-zz",
    "",
    "-f",
    "-C",
    "-n",
    "-m",
    "-N",
    "-L",
    "-p",
    "-S",
    "-C /nonexistent -c -f good.cfg",
    "-c -C nothing -f ../good.cfg",
    "-c -f idle.cfg",
    "-q -c -f idle.cfg",
    "-c -W -f idle.cfg",
    "-f idle.cfg",
    "-c -f order.cfg",
    "-c -sf -f good.cfg",
    "-c -f good.cfg -sf 999999998 999999999",
    "-c -f good.cfg -sf abc",
    "-c -f good.cfg -sf 12abc",
    "-c -f good.cfg -sf 0",
    "-c -f good.cfg -st 12x",
    "-cc version_atleast(2.4)",
    "-cc version_atleast(9.0)",
    "-cc 'defined(NOBODY_SET_THIS)'",
    "-cc bad(",
    "-cc 'x y'",
    "-cc",
    "-cc ''",
    "-n 0 -c -f good.cfg",
    "-n 20 -c -f good.cfg",
    "-N x -c -f good.cfg",
    "-m 50 -c -f good.cfg",
    "-m x -c -f good.cfg",
    "-dM -dI -dV -dG -de -dp -c -f good.cfg",
    "-dD -c -f good.cfg",
    "-dKnothing -c -f good.cfg",
    "-x /nonexistent.sock -c -f good.cfg",
    "-x /nonexistent.sock -f good.cfg",
];

fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (i, part) in line.split('\'').enumerate() {
        match i % 2 {
            1 => words.push(part.to_owned()),
            _ => words.extend(part.split_whitespace().map(str::to_owned)),
        }
    }
    words
}

/// What a command line brings: both streams and the exit code.
fn said(program: &Path, directory: &Path, line: &str) -> String {
    let mut command = Command::new("timeout");
    command.arg("20").arg(program).args(words(line)).current_dir(directory).stdin(Stdio::null());
    let out = command.output().expect("timeout starts");
    let (stdout, stderr) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    let own = Regex::new(r"(haproxy version is|path to executable is) .*").expect("a valid pattern");
    let text = own.replace_all(&stderr, "$1 …");
    // The function's prefix is the name that the program was started by.
    let text = text.replace(&format!("[{}.main()]", program.display()), "[haproxy.main()]");
    let usage = text.contains("Usage : ");
    let text = if usage { "usage".to_owned() } else { normalise(&text) };
    let version = stdout.starts_with("HAProxy version ");
    let stdout = if version { "version".to_owned() } else { stdout.into_owned() };
    format!("{stdout}\n{text}\nexit {:?}", out.status.code())
}

#[test]
fn command_lines_say_and_end_alike() {
    let test = "proxy_command_line";
    let Some(original) = Program::original(test, "haproxy") else { return };
    let ours = Program::ours("proxyd", "haproxy");
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::create_dir(directory.path().join("nothing")).expect("a directory");
    for (name, text) in FILES {
        std::fs::write(directory.path().join(name), text).expect("written");
    }
    let mut suite = Suite::new(test);
    for line in LINES {
        let [theirs, ours] = [&original, &ours].map(|p| said(&p.path, directory.path(), line));
        suite.case(line, &theirs, &ours);
    }
    suite.finish();
}

/// `-m` bounds what is added to the process, not what its threads reserve at the start: a small bound starts.
#[test]
fn a_bound_of_memory_starts_and_is_told() {
    let ours = Program::ours("proxyd", "haproxy");
    let directory = tempfile::tempdir().expect("a directory");
    let socket = directory.path().join("stats");
    let config = format!(
        "global\n    stats socket {}\n    fd-hard-limit 900\ndefaults\n    mode http\n    timeout client 5s\n    timeout server 5s\n    \
         timeout connect 1s\nlisten l\n    bind abns@{}\n    http-request deny\n",
        socket.display(),
        socket.display()
    );
    std::fs::write(directory.path().join("m.cfg"), config).expect("written");
    let mut command = Command::new(&ours.path);
    command.args(["-db", "-m", "64", "-f", "m.cfg"]).current_dir(directory.path());
    let mut child = command.stdin(Stdio::null()).spawn().expect("it starts");
    let asked = (0..200).find_map(|_| {
        std::thread::sleep(Duration::from_millis(100));
        let mut stream = UnixStream::connect(&socket).ok()?;
        stream.write_all(b"show info\n").ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        Some(text)
    });
    let _ = child.kill();
    let _ = child.wait();
    let text = asked.expect("the socket answers");
    assert!(text.contains("\nMemmax_MB: 64\n") && text.contains("\nMemmax_bytes: 67108864\n"), "{text}");
    let maxsock = text.lines().find_map(|l| l.strip_prefix("Maxsock: ")?.parse::<u64>().ok());
    assert!(maxsock.is_some_and(|n| n <= 900), "{text}");
}
