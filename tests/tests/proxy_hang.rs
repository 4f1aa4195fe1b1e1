//! Connections that hang: what becomes of streams whose server does not answer.
//!
//! The server's address has a neighbour entry that leads nowhere, so what is sent there vanishes as it does when a
//! host dies.

use holdfast_tests::netns::{Host, Net, wait_for};
use holdfast_tests::node::{Node, Program};
use socket2::SockRef;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Far more than anything here takes; the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(30);

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";

/// Name of the listener, its options, what the client sends, and whether it resets its connection.
const CASES: [(&str, &str, &[u8], bool); 11] = [
    ("silent", "mode tcp", b"", false),
    ("silent_reset", "mode tcp", b"", true),
    ("said", "mode tcp\n timeout connect 2s", REQUEST, false),
    ("said_reset", "mode tcp", REQUEST, true),
    ("abort_silent", "mode tcp\n option abortonclose", b"", false),
    ("abort_said", "mode tcp\n option abortonclose", REQUEST, false),
    ("abort_reset", "mode tcp\n option abortonclose", REQUEST, true),
    ("http", "mode http\n timeout connect 2s", REQUEST, false),
    ("http_reset", "mode http\n timeout connect 2s", REQUEST, true),
    ("http_abort", "mode http\n option abortonclose", REQUEST, false),
    ("http_abort_reset", "mode http\n option abortonclose", REQUEST, true),
];

/// A host from which nothing comes back that is sent to 10.9.0.9.
fn host(net: &Net, name: &str) -> Host {
    let host = net.host(name);
    net.plug(&host, "eth0", &net.bridge(&format!("lan-{name}")), &["10.9.0.1/24"]);
    host.sh("ip link set lo up; ip neigh add 10.9.0.9 lladdr 02:00:00:00:00:09 dev eth0");
    host
}

fn start(host: &Host, program: &Program, proxies: &str) -> Node {
    let text = format!(
        "global\n log 127.0.0.1:514 local0\n stats socket /run/s level admin\ndefaults\n log global\n log-format \"%f %b \
         %ts\"\n retries 0\n timeout client 60s\n timeout server 60s\n timeout connect 60s\n{proxies}"
    );
    let file = host.file("hang.cfg", &text).to_string_lossy().into_owned();
    Node::start(host, program, &["-db", "-f", &file])
}

fn connect(host: &Host, port: u16) -> TcpStream {
    let address = ([127, 0, 0, 1], port).into();
    let open = || host.inside(|| TcpStream::connect_timeout(&address, PATIENCE).ok());
    wait_for(PATIENCE, open).expect("a connection")
}

/// The termination code of each case, in order.
fn endings(net: &Net, program: &Program) -> Vec<String> {
    let host = host(net, &program.name);
    let listen = |(i, (name, options, ..)): (usize, &(&str, &str, &[u8], bool))| {
        // Those that only leaving ends are told apart by the server's port.
        let server = if options.contains("timeout") { 80 } else { 81 };
        format!("listen {name}\n {options}\n bind 127.0.0.1:{}\n server s 10.9.0.9:{server}\n", 8000 + i)
    };
    let proxies: String = CASES.iter().enumerate().map(listen).collect();
    let node = start(&host, program, &proxies);
    let port = |i: usize| 8000 + u16::try_from(i).expect("few cases");
    let clients: Vec<TcpStream> = (0..CASES.len()).map(|i| connect(&host, port(i))).collect();
    for (mut client, (_, _, said, _)) in clients.iter().zip(CASES) {
        client.write_all(said).expect("sent");
    }
    // Nobody leaves before those wait for their server.
    let leaving = CASES.iter().filter(|(_, options, ..)| !options.contains("timeout")).count();
    let waiting = || {
        let lines = host.sh("ss -tnH state syn-sent dst 10.9.0.9:81");
        (lines.lines().count() == leaving).then_some(())
    };
    assert!(wait_for(PATIENCE, waiting).is_some(), "{}", node.output());
    for (client, (.., reset)) in clients.into_iter().zip(CASES) {
        if reset {
            SockRef::from(&client).set_linger(Some(Duration::ZERO)).expect("set");
        }
    }
    let ending = |(name, ..): &(&str, &str, &[u8], bool)| {
        let (_, line) = host.wait_log(&format!(r" {name} {name} \S+$"), PATIENCE);
        line.rsplit(' ').next().unwrap_or_default().to_owned()
    };
    CASES.iter().map(ending).collect()
}

#[test]
fn a_client_that_leaves_is_noticed_as_haproxy_notices_it() {
    let Some(net) = Net::new("hang") else { return };
    let ours = endings(&net, &Program::ours("proxyd", "proxyd"));
    let wanted = ["CC", "CD", "sC", "CD", "CC", "CC", "CD", "sC", "sC", "CC", "CC"];
    assert_eq!(ours, wanted);
    if let Some(original) = Program::original("hang", "haproxy") {
        assert_eq!(endings(&net, &original), wanted, "HAProxy");
    }
}

#[test]
fn nobody_waits_for_a_server_that_went_down() {
    let Some(net) = Net::new("hang") else { return };
    let host = host(&net, "lb");
    let proxies = "listen other\n mode http\n bind 127.0.0.1:9000\n http-request return status 200\nlisten f\n mode http\n \
                   bind 127.0.0.1:8000\n use-server gone if { path / }\n server gone 10.9.0.9:80 check inter 6s fall 2\n \
                   server other 127.0.0.1:9000\n";
    let node = start(&host, &Program::ours("proxyd", "proxyd"), proxies);
    let ask = |port: u16| {
        let mut client = connect(&host, port);
        client.set_read_timeout(Some(PATIENCE)).expect("set");
        client.write_all(b"GET / HTTP/1.0\r\n\r\n").expect("sent");
        let mut answer = String::new();
        client.read_to_string(&mut answer).expect("an answer");
        answer
    };
    let begin = Instant::now();
    let first = ask(8000);
    assert!(first.starts_with("HTTP/1.0 503") || first.starts_with("HTTP/1.1 503"), "{first}");
    // `timeout connect` is a minute.
    assert!(begin.elapsed() < Duration::from_secs(45), "{:?}", begin.elapsed());
    host.wait_log(r" f f sC$", PATIENCE);
    node.wait_output("Server f/gone is DOWN", PATIENCE);
    assert!(ask(8000).contains(" 200 "), "others go where they are served");
}
