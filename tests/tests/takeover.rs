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
    let text = "global\n chroot /run/empty\n daemon\n stats socket /run/proxyd.sock\ndefaults\n mode http\n timeout \
                connect 1s\n timeout client 1s\n timeout server 1s\nlisten f\n bind 127.0.0.1:8080\n stats enable\n \
                stats uri /\n";
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
