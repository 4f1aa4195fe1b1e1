//! proxyd as a process: into the background, and from one process to the next.
//!
//! Everything happens in namespaces of the test's own.

use holdfast_tests::netns::{Host, Net, wait_for};
use holdfast_tests::node::Program;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Far more than anything here takes; the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(30);

/// The way of Debian's haproxy.cfg: `daemon`, `chroot` to a directory with nothing in it, another user.
#[test]
fn proxyd_goes_to_the_background_and_into_an_empty_chroot() {
    let Some(net) = Net::new("takeover") else { return };
    let host = net.host("lb");
    // A name that nobody knows: whoever looks it up is gone before the process goes to the background.
    let text = "global\n chroot /run/empty\n daemon\n stats socket /run/proxyd.sock\ndefaults\n mode http\n timeout \
                connect 1s\n timeout client 1s\n timeout server 1s\nlisten f\n bind 127.0.0.1:8080\n stats enable\n \
                stats uri /\n server s nowhere.invalid:80 init-addr libc,none\n";
    let file = host.file("haproxy.cfg", text);
    host.sh("ip link set lo up; mkdir /run/empty");
    let proxyd = Program::ours("proxyd", "proxyd");
    host.sh(&format!("{} -D -p /run/p.pid -f {}", proxyd.path.display(), file.display()));
    let answer = || {
        let output = host.try_sh("echo show info | socat -t 2 - /run/proxyd.sock");
        String::from_utf8_lossy(&output.stdout).contains("Uptime").then_some(())
    };
    if host.try_sh("command -v socat").status.success() {
        assert!(wait_for(PATIENCE, answer).is_some(), "the statistics socket does not answer");
    }
    assert!(host.try_sh("kill -0 $(cat /run/p.pid)").status.success(), "it is gone");
}

/// The first line of the answer to a new connection; `None` when there is none.
fn ask(host: &Host) -> Option<String> {
    host.inside(|| {
        let mut stream = TcpStream::connect_timeout(&"127.0.0.1:8080".parse().ok()?, PATIENCE).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        answer.lines().next().map(str::to_owned)
    })
}

/// With SO_REUSEPORT the kernel gives connections to every socket that listens: one that is left open in a process
/// that takes none any more swallows them.
#[test]
fn an_old_process_that_goes_on_listens_no_more() {
    let Some(net) = Net::new("takeover") else { return };
    let host = net.host("lb");
    let text = "defaults\n mode http\n timeout connect 1s\n timeout client 60s\n timeout server 1s\nlisten f\n bind \
                127.0.0.1:8080\n http-request return status 200\n";
    let file = host.file("haproxy.cfg", text);
    host.sh("ip link set lo up");
    let start = format!(
        "{} -D -p /run/p.pid -f {}",
        Program::ours("proxyd", "proxyd").path.display(),
        file.display()
    );
    host.sh(&start);
    // A request that is not complete keeps the old process.
    let mut kept = host.inside(|| TcpStream::connect("127.0.0.1:8080").expect("a connection"));
    kept.write_all(b"GET / HTTP/1.1\r\n").expect("sent");
    assert_eq!(ask(&host).as_deref(), Some("HTTP/1.1 200 OK"));
    let old = host.sh("cat /run/p.pid").trim().to_owned();
    host.sh(&format!("{start} -sf {old}"));
    let listening = || host.sh("ss -ltnH sport = :8080").lines().count();
    assert!(
        wait_for(PATIENCE, || (listening() == 1).then_some(())).is_some(),
        "{} sockets listen",
        listening()
    );
    assert!(host.try_sh(&format!("kill -0 {old}")).status.success(), "the old process did not wait");
    for _ in 0..32 {
        assert_eq!(ask(&host).as_deref(), Some("HTTP/1.1 200 OK"));
    }
    kept.write_all(b"Host: a\r\n\r\n").expect("the old process still reads");
    let mut answer = [0; 12];
    kept.read_exact(&mut answer).expect("the old process answers");
    assert_eq!(&answer, b"HTTP/1.1 200");
    let gone = || (!host.try_sh(&format!("kill -0 {old}")).status.success()).then_some(());
    assert!(wait_for(PATIENCE, gone).is_some(), "the old process stays behind");
}

/// A table, three servers, and a command line at @SOCKET@.
const KEPT: &str = "global
 stats socket @SOCKET@ level admin expose-fd listeners
defaults
 mode http
 timeout connect 1s
 timeout client 9s
 timeout server 9s
frontend f
 bind 127.0.0.1:8080
 http-request track-sc0 src table t
 http-request return status 200
backend b
 server s1 127.0.0.1:9001 weight 10
 server s2 127.0.0.1:9002
 server s3 127.0.0.1:9003
backend t
 stick-table type ip size 100 expire 10m store gpc0,http_req_cnt
";

/// A command line on a host.
struct Line<'h>(&'h Host, std::path::PathBuf);

impl Line<'_> {
    fn ask(&self, command: &str) -> Option<String> {
        holdfast_tests::cli::ask(&self.1, command).ok()
    }

    /// The process that answers.
    fn pid(&self) -> Option<String> {
        holdfast_tests::cli::pid(&self.1)
    }

    /// Waits for another process than this to answer.
    fn await_other(&self, than: &str) -> String {
        let other = || self.pid().filter(|pid| pid != than);
        wait_for(PATIENCE, other).expect("a new process answers on the stats socket")
    }

    /// What commands and requests change.
    fn change(&self) {
        assert_eq!(ask(self.0).as_deref(), Some("HTTP/1.1 200 OK"));
        for command in [
            "set table t key 10.0.0.9 data.gpc0 7",
            "set weight b/s1 50%",
            "disable server b/s2",
            "set server b/s3 addr 127.0.0.9 port 99",
            "set maxconn server b/s3 5",
        ] {
            self.ask(command).expect("an answer");
        }
    }

    /// Whether all that is there.
    fn assert_kept(&self) {
        let table = self.ask("show table t").unwrap_or_default();
        assert!(table.contains("key=10.0.0.9") && table.contains("gpc0=7"), "{table}");
        assert!(table.contains("key=127.0.0.1") && table.contains("http_req_cnt=1"), "{table}");
        assert_eq!(self.ask("get weight b/s1").as_deref(), Some("5 (initial 10)\n\n"));
        let states = self.ask("show servers state b").unwrap_or_default();
        let words = |name: &str| -> Vec<String> {
            let line = states.lines().find(|l| l.contains(&format!(" {name} "))).unwrap_or_default();
            line.split(' ').map(str::to_owned).collect()
        };
        assert_eq!(words("s2")[5..7], ["0", "1"], "{states}");
        assert_eq!((words("s3")[4].as_str(), words("s3")[18].as_str()), ("127.0.0.9", "99"), "{states}");
        let stat = self.ask("show stat b 4 -1").unwrap_or_default();
        let limit = stat.lines().find(|l| l.starts_with("b,s3,")).and_then(|l| l.split(',').nth(6));
        assert_eq!(limit, Some("5"), "{stat}");
    }
}

/// A host with this configuration, and its command line.
fn kept<'h>(host: &'h Host, text: &str) -> (Line<'h>, std::path::PathBuf) {
    host.sh("ip link set lo up");
    let socket = host.dir().join("s");
    let file = host.file("haproxy.cfg", &text.replace("@SOCKET@", &socket.display().to_string()));
    (Line(host, socket), file)
}

#[test]
fn a_new_process_goes_on_with_tables_and_servers() {
    let Some(net) = Net::new("takeover") else { return };
    let host = net.host("lb");
    let (line, file) = kept(&host, KEPT);
    let start = format!(
        "{} -D -p /run/p.pid -f {}",
        Program::ours("proxyd", "proxyd").path.display(),
        file.display()
    );
    host.sh(&start);
    let first = wait_for(PATIENCE, || line.pid()).expect("the first process answers");
    line.change();
    // By the stats socket that both configurations name.
    host.sh(&format!("{start} -sf $(cat /run/p.pid)"));
    let second = line.await_other(&first);
    line.assert_kept();
    // By the socket that listeners are taken from.
    host.sh(&format!("{start} -x {} -sf $(cat /run/p.pid)", line.1.display()));
    let third = line.await_other(&second);
    line.assert_kept();
    // What the configuration says now goes before what was: another type of keys, weight, address.
    let text =
        KEPT.replace("type ip", "type string").replace("weight 10", "weight 20").replace(":9003", ":9004");
    host.file("haproxy.cfg", &text.replace("@SOCKET@", &line.1.display().to_string()));
    host.sh(&format!("{start} -sf $(cat /run/p.pid)"));
    line.await_other(&third);
    let table = line.ask("show table t").unwrap_or_default();
    assert!(table.contains("type: string") && table.contains("used:0"), "{table}");
    assert_eq!(line.ask("get weight b/s1").as_deref(), Some("20 (initial 20)\n\n"));
    let states = line.ask("show servers state b").unwrap_or_default();
    assert!(states.contains(" s3 127.0.0.1 ") && states.contains(" s2 127.0.0.1 0 1 "), "{states}");
}

#[test]
fn a_new_worker_goes_on_with_tables_and_servers() {
    let Some(net) = Net::new("takeover") else { return };
    let host = net.host("lb");
    let (line, file) = kept(&host, KEPT);
    let proxyd = Program::ours("proxyd", "proxyd").path.display().to_string();
    host.sh(&format!("{proxyd} -W -D -p /run/p.pid -f {}", file.display()));
    let first = wait_for(PATIENCE, || line.pid()).expect("the first worker answers");
    line.change();
    host.sh("kill -USR2 $(cat /run/p.pid)");
    let second = line.await_other(&first);
    line.assert_kept();
    host.sh("kill -HUP $(cat /run/p.pid)");
    line.await_other(&second);
    line.assert_kept();
}
