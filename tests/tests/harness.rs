//! The harness tested by itself: hosts reach each other, cables can be cut, programs are isolated and captured.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use holdfast_tests::frames::Capture;
use holdfast_tests::netns::{Host, Net, Port, wait_for};
use holdfast_tests::node::{Node, Program};
use nix::sys::signal::Signal;

const PATIENCE: Duration = Duration::from_secs(20);

fn pair(net: &Net) -> ([Host; 2], [Port; 2]) {
    let bridge = net.bridge("lan");
    let hosts = ["fred", "ethyl"].map(|name| net.host(name));
    let ports = [(&hosts[0], "192.0.2.1/24"), (&hosts[1], "192.0.2.2/24")]
        .map(|(host, address)| net.plug(host, "eth0", &bridge, &[address]));
    (hosts, ports)
}

fn reaches(from: &Host, address: &str) -> bool {
    let address = format!("{address}:7").parse().expect("an address");
    let connected = from.inside(|| TcpStream::connect_timeout(&address, Duration::from_millis(300)));
    // Nobody listens: a refusal is an answer.
    !matches!(&connected, Err(e) if matches!(e.kind(), std::io::ErrorKind::TimedOut | std::io::ErrorKind::HostUnreachable | std::io::ErrorKind::NetworkUnreachable))
}

#[test]
fn hosts_reach_each_other_until_the_cable_is_cut() {
    let Some(net) = Net::new("harness") else { return };
    let ([fred, ethyl], [port, _]) = pair(&net);
    assert!(reaches(&fred, "192.0.2.2") && reaches(&ethyl, "192.0.2.1"));
    port.cut();
    assert!(fred.sh("ip -o link show eth0").contains("NO-CARRIER"));
    assert!(!reaches(&ethyl, "192.0.2.1"));
    port.heal();
    assert!(wait_for(PATIENCE, || reaches(&ethyl, "192.0.2.1").then_some(())).is_some());
    port.block();
    assert!(!fred.sh("ip -o link show eth0").contains("NO-CARRIER"));
    assert!(!reaches(&ethyl, "192.0.2.1"));
    port.heal();
    assert!(wait_for(PATIENCE, || reaches(&ethyl, "192.0.2.1").then_some(())).is_some());
}

#[test]
fn hosts_have_their_own_files_processes_and_names() {
    let Some(net) = Net::new("harness") else { return };
    let ([fred, ethyl], _) = pair(&net);
    fred.sh("echo x > /run/only-here && echo x > /tmp/only-here");
    assert!(!ethyl.try_sh("cat /run/only-here").status.success());
    assert!(!ethyl.try_sh("cat /tmp/only-here").status.success());
    assert_eq!(fred.sh("hostname").trim(), "fred");
    let sleeper = Program { path: "/bin/sleep".into(), name: "haproxy".to_owned() };
    let mut node = Node::start(&fred, &sleeper, &["1000"]);
    assert!(node.runs());
    wait_for(PATIENCE, || {
        fred.try_sh("cat /proc/[0-9]*/comm | grep -qx haproxy").status.success().then_some(())
    })
    .expect("the process has the name it was installed under");
    assert!(!ethyl.try_sh("cat /proc/[0-9]*/comm | grep -qx haproxy").status.success());
    assert!(node.signal(Signal::SIGTERM));
    assert!(node.wait(PATIENCE).is_some());
}

#[test]
fn addresses_are_seen_where_they_are() {
    let Some(net) = Net::new("harness") else { return };
    let ([fred, ethyl], _) = pair(&net);
    assert!(fred.holds("192.0.2.1") && !ethyl.holds("192.0.2.1") && !fred.holds("192.0.2.10"));
    fred.sh("ip address add 192.0.2.100/32 dev eth0");
    assert!(fred.holds("192.0.2.100"));
}

#[test]
fn syslog_lines_are_kept_with_their_priority() {
    let Some(net) = Net::new("harness") else { return };
    let host = net.host("fred");
    host.inside(|| {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket");
        socket.send_to(b"<30>Nov 21 00:00:00 fred x[1]: hello\n", "127.0.0.1:514").expect("sent");
    });
    let (_, text) = host.wait_log("hello", PATIENCE);
    assert_eq!(text, "Nov 21 00:00:00 fred x[1]: hello");
    assert_eq!(host.log()[0].1, 30);
}

#[test]
fn a_host_ends_with_its_programs() {
    let Some(net) = Net::new("harness") else { return };
    let host = net.host("fred");
    host.sh("(setsid sleep 4321 &) >/dev/null 2>&1 </dev/null");
    let pid = wait_for(PATIENCE, || pid_of("sleep\u{0}4321\u{0}")).expect("the sleeper runs");
    drop(host);
    assert!(
        wait_for(PATIENCE, || (!std::path::Path::new(&format!("/proc/{pid}")).exists()).then_some(()))
            .is_some()
    );
}

fn pid_of(command_line: &str) -> Option<u32> {
    let entries = std::fs::read_dir("/proc").ok()?.flatten();
    let numbers = entries.filter_map(|e| e.file_name().to_str()?.parse::<u32>().ok());
    let mut matching = numbers.filter(|pid| {
        std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|c| c == command_line.as_bytes())
    });
    matching.next()
}

#[test]
fn captured_frames_come_back_as_fields() {
    let Some(net) = Net::new("harness") else { return };
    let ([fred, ethyl], _) = pair(&net);
    let Some(capture) = Capture::start("harness", &ethyl, "eth0", "tcp port 8000") else { return };
    let listener = ethyl.inside(|| TcpListener::bind("192.0.2.2:8000").expect("a listener"));
    let mut client = fred.inside(|| TcpStream::connect("192.0.2.2:8000").expect("a connection"));
    let (mut server, _) = listener.accept().expect("a connection");
    client.write_all(b"hello").expect("sent");
    server.read_exact(&mut [0; 5]).expect("received");
    let frames = capture.stop();
    let payloads = frames.fields("tcp.len > 0", &["ip.src", "tcp.payload"]);
    assert_eq!(payloads, [["192.0.2.1".to_owned(), "68656c6c6f".to_owned()]]);
}
