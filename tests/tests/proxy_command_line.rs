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
const FILES: &[(&str, &str)] = &[
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
    (
        "dir/10.cfg",
        "defaults\n    mode http\n    timeout client 5s\n    timeout server 5s\n    timeout connect 1s\n",
    ),
    ("dir/20.cfg", "frontend f\n    bind 127.0.0.1:1\n    http-request deny\n"),
    ("dir/.hidden.cfg", "foo\n"),
    ("dir/x.txt", "foo\n"),
    ("empty.cfg", ""),
    ("comment.cfg", "# nothing\n"),
    ("nolf.cfg", "global\n    maxconn 10"),
    ("crlf.cfg", "global\r\n    maxconn 10\r\nfrontend f\r\n    bind 127.0.0.1:1\r\n"),
    ("unset.cfg", "frontend f\n    bind \"127.0.0.1:$NOBODY_SET_THIS\"\n"),
    ("zero.cfg", "global\n    zero-warning\ndefaults\n    mode http\nfrontend f\n    bind 127.0.0.1:1\n"),
    (
        "told.cfg",
        ".notice \"a\"\n.warning \"b\"\n.diag \"c\"\nlisten l\n    bind 127.0.0.1:1\n    timeout client 5s\n    timeout server 5s\n    timeout connect 1s\n",
    ),
    (
        "foreign.cfg",
        "listen f\n    bind 192.0.2.1:1\n    timeout client 5s\n    timeout server 5s\n    timeout connect 1s\n",
    ),
    (
        "nodir.cfg",
        "listen f\n    bind /nonexistent/x\n    timeout client 5s\n    timeout server 5s\n    timeout connect 1s\n",
    ),
    (
        "isdir.cfg",
        "listen f\n    bind /tmp\n    timeout client 5s\n    timeout server 5s\n    timeout connect 1s\n",
    ),
    ("fd.cfg", "listen f\n    bind fd@0\n"),
    ("nofd.cfg", "listen f\n    bind fd@99\n"),
    ("badfd.cfg", "listen f\n    bind fd@-1\n"),
    ("nouser.cfg", "global\n    user nosuch\n"),
    ("nogroup.cfg", "global\n    group nosuch\n"),
    (
        "chroot.cfg",
        "global\n    chroot /nonexistent\nlisten f\n    bind abns@@NAME@\n    timeout client 5s\n    timeout server 5s\n    timeout connect 1s\n",
    ),
    (
        "chrootfile.cfg",
        "global\n    chroot /etc/passwd\nlisten f\n    bind abns@@NAME@\n    timeout client 5s\n    timeout server 5s\n    timeout connect 1s\n",
    ),
    (
        "busy.cfg",
        "listen f\n    bind 127.0.0.1:@BUSY@\n    timeout client 5s\n    timeout server 5s\n    timeout connect 1s\n",
    ),
    (
        "statsdir.cfg",
        "global\n    stats socket /nonexistent/x level admin\nlisten f\n    bind abns@@NAME@\n    timeout client 5s\n    timeout server 5s\n    timeout connect 1s\n",
    ),
    ("statsmode.cfg", "global\n    stats socket /x mode x\n"),
    ("statslevel.cfg", "global\n    stats socket /x level x\n"),
    ("nofacility.cfg", "global\n    log 127.0.0.1\n"),
    ("badfacility.cfg", "global\n    log 127.0.0.1 foo\n"),
    (
        "unresolved.cfg",
        "listen f\n    bind 127.0.0.1:1\n    timeout client 5s\n    timeout server 5s\n    timeout connect 1s\n    server s no.such.name.invalid:80\n",
    ),
    ("program.cfg", "program p\n    command true\n"),
    ("badprogram.cfg", "program p\n    command x\n    foo\n    option foo\n    option start-on-reload x\n"),
    ("nocommand.cfg", "program p\n    no option start-on-reload\n"),
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
    // Files: empty, strange, in directories.
    "-c -f dir",
    "-c -f dir/",
    "-c -f dir -f good.cfg",
    "-c -f good.cfg -f dir",
    "-c -f empty.cfg",
    "-f empty.cfg",
    "-c -f comment.cfg",
    "-c -f /dev/null",
    "-c -f nolf.cfg",
    "-c -f crlf.cfg",
    "-c -f long.cfg",
    "-c -f words.cfg",
    "-c -f unset.cfg",
    "-c -f ''",
    "-f ''",
    "-c -f /etc/passwd/x",
    "-c -f good.cfg -- good.cfg",
    "-c --",
    "--",
    "-c -- -c",
    "-c -f good.cfg --",
    "-c -f -",
    "-c",
    "-c -q",
    // Quiet, verbose, together.
    "-c -V -q -f good.cfg",
    "-cV -f good.cfg",
    "-qc -f good.cfg",
    "-c -q -f warned.cfg",
    "-c -V -q -f warned.cfg",
    "-c -f zero.cfg",
    "-c -dW -f zero.cfg",
    "-q -c -dW -f warned.cfg",
    "-q -f zero.cfg",
    "-dD -c -f told.cfg",
    "-c -f told.cfg",
    "-c -dW -f told.cfg",
    // Letters.
    "-v",
    "-vv",
    "-v -vv",
    "-vx",
    "-vvv",
    "-v -f missing",
    "-c -v",
    "-h",
    "--help",
    "-z",
    "--version",
    "-dx -c -f good.cfg",
    "-dfoo -c -f good.cfg",
    "-dM -c -f good.cfg",
    "-dM0x41 -c -f good.cfg",
    "-dMfail -c -f good.cfg",
    "-dMno-merge,cold-first -c -f good.cfg",
    "-dMnonsense -c -f good.cfg",
    "-dM0x41,nonsense -c -f good.cfg",
    "-dMno-global -c -f good.cfg",
    "-dt -c -f good.cfg",
    "-dZ -c -f good.cfg",
    "-dF -c -f good.cfg",
    "-dI -c -f good.cfg",
    "-dk -c -f good.cfg",
    "-dv -c -f good.cfg",
    "-C dir -c -f ../good.cfg",
    "-C good.cfg -c -f good.cfg",
    "-C '' -c -f good.cfg",
    "-C dir -C . -c -f good.cfg",
    "-n -5 -c -f good.cfg",
    "-n abc -c -f good.cfg",
    "-N 5 -c -f good.cfg",
    "-m 1 -c -f good.cfg",
    "-p x.pid -c -f good.cfg",
    "-sf",
    "-st",
    "-sf '' -c -f good.cfg",
    "-sf -1 -c -f good.cfg",
    "-sf12 -c -f good.cfg",
    "-sf 99999999999999 -c -f good.cfg",
    "-sf 999999 999998 -st 999997 -c -f good.cfg",
    "-s -c -f good.cfg",
    "-x",
    "-x '' -c -f good.cfg",
    "-S '' -c -f good.cfg",
    "-S /x -c -f good.cfg",
    "-W -Ws -c -f good.cfg",
    "-D -W -c -f good.cfg",
    "-db -W -c -f good.cfg",
    "-q -V -v",
    // The master's command line.
    "-W -S /x,mode -c -f good.cfg",
    "-W -S /x,mode,999 -c -f good.cfg",
    "-W -S /x,level -c -f good.cfg",
    "-W -S /x,level,foo -c -f good.cfg",
    "-W -S /x,foo,1 -c -f good.cfg",
    "-W -S /x,user,nosuch -c -f good.cfg",
    "-W -S /x,group,nosuch -c -f good.cfg",
    "-W -S /x,group,root,uid,0 -c -f good.cfg",
    "-W -S /x,,mode,600 -c -f good.cfg",
    "-W -S /x,severity-output,x -c -f good.cfg",
    "-W -S /x,expose-fd,x -c -f good.cfg",
    "-W -S /x,/y -c -f good.cfg",
    "-W -S /x,id,x -c -f good.cfg",
    "-W -S 127.0.0.1 -c -f good.cfg",
    "-W -S 127.0.0.1:99999 -c -f good.cfg",
    "-W -S 127.0.0.1:0 -c -f good.cfg",
    "-W -S 127.0.0.1:x -c -f good.cfg",
    "-W -S fd@0 -c -f good.cfg",
    "-W -S fd@99 -c -f good.cfg",
    "-W -S udp@127.0.0.1:1 -c -f good.cfg",
    "-W -S nosuch.invalid:1 -c -f good.cfg",
    "-W -S /nonexistent/x -f good.cfg",
    "-W -S 192.0.2.1:1 -f good.cfg",
    // Conditions.
    "-cc 0",
    "-cc 1",
    "-cc true",
    "-cc false",
    "-cc '!1'",
    "-cc '1 && 0'",
    "-cc '(1 || 0) && 1'",
    "-cc feature(OPENSSL)",
    "-cc feature(NOPE)",
    "-cc streq(a,a)",
    "-cc strneq(a,a)",
    "-cc version_before(2.7)",
    "-cc version_atleast(2.6.12)",
    "-cc version_atleast(2.6.13)",
    "-cc openssl_version_atleast(3.0.0)",
    "-cc defined(HOME)",
    "-cc foo(1)",
    "-cc '1 1'",
    "-cc ()",
    "-cc (1",
    "-cc 1)",
    "-cc !",
    "-cc streq(a)",
    "-cc streq(a,b,c)",
    "-cc defined()",
    "-cc 2",
    "-cc ' 1 '",
    "-cc 1&1",
    "-cc version_atleast(a)",
    "-cc \"x",
    // Starts that fail.
    "-f busy.cfg",
    "-q -f busy.cfg",
    "-D -p x.pid -f busy.cfg",
    "-W -f busy.cfg",
    "-W -D -p x.pid -f busy.cfg",
    "-Ws -f busy.cfg",
    "-f foreign.cfg",
    "-f nodir.cfg",
    "-f isdir.cfg",
    "-f longpath.cfg",
    "-f longname.cfg",
    "-f fd.cfg",
    "-f nofd.cfg",
    "-f badfd.cfg",
    "-f nouser.cfg",
    "-f nogroup.cfg",
    "-f chroot.cfg",
    "-f chrootfile.cfg",
    "-p /nonexistent/x -D -f good.cfg",
    "-p /nonexistent/x -W -f good.cfg",
    "-p /nonexistent/x -W -D -f good.cfg",
    "-f statsdir.cfg",
    "-f statsmode.cfg",
    "-f statslevel.cfg",
    "-f nofacility.cfg",
    "-f badfacility.cfg",
    "-c -f unresolved.cfg",
    "-c -dr -f unresolved.cfg",
    "-c -f program.cfg -f good.cfg",
    "-W -c -f program.cfg -f good.cfg",
    "-W -c -f badprogram.cfg -f good.cfg",
    "-W -c -f nocommand.cfg -f good.cfg",
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
    std::fs::create_dir(directory.path().join("dir")).expect("a directory");
    // Somebody else's, without SO_REUSEPORT.
    let busy = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = busy.local_addr().expect("an address").port().to_string();
    let name = format!("proxy-command-line-{}", std::process::id());
    let write = |file: &str, text: &str| {
        let text = text.replace("@BUSY@", &port).replace("@NAME@", &name);
        std::fs::write(directory.path().join(file), text).expect("written");
    };
    for (file, text) in FILES {
        write(file, text);
    }
    let xs = "x".repeat(120);
    write("long.cfg", &format!("{GOOD}# {}\n", "x".repeat(5000)));
    write("words.cfg", &format!("{GOOD}    http-request deny if{}\n", " FALSE".repeat(80)));
    write("longpath.cfg", &format!("listen f\n    bind /{xs}\n"));
    write("longname.cfg", &format!("listen f\n    bind abns@{xs}\n"));
    let mut suite = Suite::new(test);
    for line in LINES {
        let [theirs, ours] =
            [&original, &ours].map(|p| said(&p.path, directory.path(), line).replace(&port, "BUSY"));
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
