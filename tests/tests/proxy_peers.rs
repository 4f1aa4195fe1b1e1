//! Stick tables of proxyd and of Debian's haproxy as each other's peers: what either has or changes comes to the
//! other, over restarts and from a process to the one that replaces it.
//!
//! Everything happens in namespaces of the test's own.

use holdfast_tests::netns::{Host, Net, wait_for};
use holdfast_tests::node::Program;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Far more than anything here takes; the machine may be busy.
const PATIENCE: Duration = Duration::from_mins(1);

/// Tables of all kinds, and requests that fill them. A peer listens at @PORT@.
const CONFIG: &str = "global
 stats socket @DIR@/@NAME@.sock level admin
 localpeer @NAME@
defaults
 mode http
 timeout connect 1s
 timeout client 9s
 timeout server 9s
peers p
@PEERS@
 table inner type string len 20 size 10 store gpc0
frontend f
 bind 127.0.0.1:@PORT@
 http-request track-sc0 src table t
 http-request track-sc1 path table s
 http-request track-sc2 path table p/inner
 http-request sc-inc-gpc(1,1) if { path /one }
 use_backend k
backend t
 stick-table type ip size 100 expire 1h store gpc0,http_req_cnt,http_req_rate(1h),conn_cur,bytes_in_cnt peers p
backend s
 stick-table type string size 100 expire 1h store gpt(3),gpc(2),gpc_rate(2,1h) peers p
backend i
 stick-table type integer size 100 store gpc0 peers p
backend v6
 stick-table type ipv6 size 100 expire 1h store gpt0 peers p
backend bin
 stick-table type binary len 5 size 100 expire 1h store gpt0 peers p
backend k
 stick-table type string len 10 size 100 expire 1h store gpc0 peers p
 stick on path
 server srvone 127.0.0.1:7799
 server srvtwo 127.0.0.1:7799
listen origin
 bind 127.0.0.1:@ORIGIN@
 http-request return status 200
";

/// Peers who talk in clear.
const CLEAR: &str = " peer a 127.0.0.1:7701
 peer b 127.0.0.1:7702";

/// Peers who talk over TLS, and show each other certificates. Where one listens is its own line's to say.
fn secure(dir: &str, name: &str) -> String {
    let of = |who: &str, port: u16| {
        if who == name {
            format!(" bind 127.0.0.1:{port}\n server {who}\n")
        } else {
            format!(" server {who} 127.0.0.1:{port}\n")
        }
    };
    let pem = format!("ssl crt {dir}/peer.pem verify required ca-file {dir}/peer.pem");
    format!(" default-bind {pem}\n default-server {pem}\n{}{}", of("a", 7701), of("b", 7702))
}

const TABLES: [&str; 7] = ["t", "s", "i", "v6", "bin", "k", "p/inner"];

/// One peer.
struct Side<'h> {
    host: &'h Host,
    name: &'static str,
    port: u16,
    file: PathBuf,
    socket: PathBuf,
}

impl<'h> Side<'h> {
    fn new(host: &'h Host, name: &'static str, port: u16, tls: bool) -> Self {
        let dir = host.dir().display().to_string();
        // One of the two is the origin of both.
        let origin = if name == "a" { "7799" } else { "7798" };
        let peers = if tls { secure(&dir, name) } else { CLEAR.to_owned() };
        let text = CONFIG
            .replace("@PEERS@", &peers)
            .replace("@DIR@", &dir)
            .replace("@NAME@", name)
            .replace("@PORT@", &port.to_string())
            .replace("@ORIGIN@", origin);
        let file = host.file(&format!("{name}.cfg"), &text);
        Self { host, name, port, file, socket: host.dir().join(format!("{name}.sock")) }
    }

    /// Starts a process, in place of the one that runs where `more` says so.
    fn start(&self, program: &Path, more: &str) {
        let name = self.name;
        self.host.sh(&format!(
            "{} -D -p /run/{name}.pid -f {} {more}",
            program.display(),
            self.file.display()
        ));
    }

    fn stop(&self) {
        let name = self.name;
        self.host.sh(&format!("kill $(cat /run/{name}.pid)"));
        let gone =
            || (!self.host.try_sh(&format!("kill -0 $(cat /run/{name}.pid)")).status.success()).then_some(());
        wait_for(PATIENCE, gone).expect("the process ends");
    }

    fn ask(&self, command: &str) -> Option<String> {
        holdfast_tests::cli::ask(&self.socket, command).ok()
    }

    fn pid(&self) -> Option<String> {
        holdfast_tests::cli::pid(&self.socket)
    }

    fn request(&self, path: &str) {
        let answer = self.host.inside(|| {
            let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
            stream.set_read_timeout(Some(PATIENCE)).ok()?;
            stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).ok()?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).ok()?;
            Some(answer)
        });
        assert!(answer.as_deref().unwrap_or_default().contains(" 200 "), "{path}: {answer:?}");
    }

    /// All tables, without what differs between any two processes: addresses, users, times.
    fn tables(&self) -> Option<String> {
        let mut out = String::new();
        for table in TABLES {
            let text = self.ask(&format!("show table {table}"))?;
            let mut lines: Vec<String> = text.lines().map(comparable).collect();
            lines.sort();
            out.push_str(&lines.join("\n"));
        }
        Some(out)
    }
}

fn comparable(line: &str) -> String {
    let differs = |w: &&str| w.starts_with("0x") || w.starts_with("exp=") || w.starts_with("use=");
    line.split(' ').filter(|w| !differs(w)).collect::<Vec<_>>().join(" ")
}

/// Waits until both have the same, and this.
fn agree(a: &Side<'_>, b: &Side<'_>, has: &[&str], when: &str) {
    let same = || {
        let (ours, theirs) = (a.tables()?, b.tables()?);
        let all = has.iter().all(|h| ours.contains(h));
        (ours == theirs && all).then_some(())
    };
    if wait_for(PATIENCE, same).is_none() {
        let peers = b.ask("show peers");
        panic!("{when}, {has:?}:\n{:?}\n{:?}\n{peers:?}", a.tables(), b.tables());
    }
}

fn fill(a: &Side<'_>) {
    for command in [
        "set table t key 10.0.0.9 data.gpc0 7 data.http_req_cnt 1000",
        "set table i key 77 data.gpc0 3000000000",
        "set table v6 key 2001:db8::1 data.gpt0 5",
    ] {
        assert_eq!(a.ask(command).as_deref(), Some("\n"), "{command}");
    }
    for path in ["/one", "/two", "/one", "/a-key-that-is-longer-than-any-table-has-room-for"] {
        a.request(path);
    }
}

/// What [`fill`] leaves, to tell that it is there and not merely the same.
const FILLED: [&str; 6] = ["gpc0=7", "gpc0=3000000000", "2001:db8::1 gpt0=5", "gpc1=2", "srvone", "srvtwo"];

/// The two sides on a host of their own, or nothing where they can't be.
fn on_host(test: &str, body: impl FnOnce(&Host, &Path, &Path)) {
    let Some(net) = Net::new(test) else { return };
    let Some(original) = Program::original(test, "haproxy") else { return };
    let host = net.host("lb");
    host.sh("ip link set lo up");
    let key = rcgen::generate_simple_self_signed(["peer.example".to_owned()]).expect("a certificate");
    host.file("peer.pem", &(key.cert.pem() + &key.signing_key.serialize_pem()));
    let ours = Program::ours("proxyd", "proxyd");
    body(&host, &ours.path, &original.path);
}

/// Everything that comes and goes between two peers.
fn exchange(host: &Host, first: &Path, second: &Path, tls: bool) {
    let (a, b) = (Side::new(host, "a", 7781, tls), Side::new(host, "b", 7782, tls));
    a.start(first, "");
    wait_for(PATIENCE, || a.pid()).expect("a answers");
    fill(&a);
    b.start(second, "");
    agree(&a, &b, &FILLED, "what was there before");
    let transport = if tls { "xprt=SSL" } else { "xprt=RAW" };
    // Told by the one to whom the session came.
    let told = [&a, &b].map(|side| side.ask("show peers").unwrap_or_default());
    assert!(told.iter().any(|t| t.contains(transport)), "{}\n{}", told[0], told[1]);
    b.request("/three");
    b.ask("set table i key 78 data.gpc0 8");
    agree(&a, &b, &["key=/three", "key=78 gpc0=8"], "a change of the second");
    a.request("/four");
    a.ask("set table i key 78 data.gpc0 9");
    agree(&a, &b, &["key=/four", "key=78 gpc0=9"], "a change of the first");
    // Each begins anew, with nothing, and learns from the other.
    a.stop();
    a.start(first, "");
    agree(&a, &b, &["key=/four", "key=78 gpc0=9", "gpc0=3000000000"], "the first anew");
    b.stop();
    a.ask("set table i key 79 data.gpc0 1");
    b.start(second, "");
    agree(&a, &b, &["key=/three", "key=79 gpc0=1", "gpc0=3000000000"], "the second anew");
}

#[test]
fn ours_teaches_haproxy_and_learns_from_it() {
    on_host("peers-oh", |host, ours, original| exchange(host, ours, original, false));
}

#[test]
fn haproxy_teaches_ours_and_learns_from_it() {
    on_host("peers-ho", |host, ours, original| exchange(host, original, ours, false));
}

#[test]
fn ours_teaches_ours() {
    on_host("peers-oo", |host, ours, _| exchange(host, ours, ours, false));
}

#[test]
fn over_tls_they_teach_each_other_too() {
    on_host("peers-tls-oh", |host, ours, original| exchange(host, ours, original, true));
    on_host("peers-tls-ho", |host, ours, original| exchange(host, original, ours, true));
}

/// From one process to the next with the local peer's address alone, each way.
#[test]
fn the_next_process_learns_from_the_one_before_it() {
    on_host("peers-next", |host, ours, original| {
        for (before, after, tls) in [(original, ours, false), (ours, original, false), (ours, original, true)]
        {
            let a = Side::new(host, "a", 7781, tls);
            a.start(before, "");
            let pid = wait_for(PATIENCE, || a.pid()).expect("a answers");
            fill(&a);
            // haproxy tells the next process nothing while it waits for somebody to tell it everything.
            let waits_no_more = || a.ask("show peers")?.contains("resync_timeout=<PAST>").then_some(());
            wait_for(PATIENCE, waits_no_more).expect("nobody is asked any more");
            let had = a.tables().expect("tables");
            a.start(after, "-sf $(cat /run/a.pid)");
            let other = || a.pid().filter(|now| *now != pid);
            wait_for(PATIENCE, other).expect("another process answers");
            let got = wait_for(PATIENCE, || a.tables().filter(|t| *t == had));
            assert!(got.is_some(), "{} to {}:\n{had}\n{:?}", before.display(), after.display(), a.tables());
            let gone = || (!host.try_sh(&format!("kill -0 {pid}")).status.success()).then_some(());
            assert!(wait_for(PATIENCE, gone).is_some(), "{} stays", before.display());
            a.stop();
        }
    });
}
