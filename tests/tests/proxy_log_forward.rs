//! `log-forward` sections of proxyd and of Debian's haproxy side by side: each message, sent as a datagram and over
//! both kinds of streams, must come out in every form with the same bytes.

use holdfast_tests::node::Program;
use holdfast_tests::oracle::Suite;
use holdfast_tests::pair::{Origin, Side};
use regex::Regex;
use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

/// What targets turn messages into; nothing keeps the form they came in.
const FORMS: [&str; 9] = ["", "rfc3164", "rfc5424", "local", "priority", "short", "timed", "iso", "raw"];
const MESSAGES: &[(&str, &str)] = &[
    ("classic", "<13>Oct 11 22:14:15 mymachine su[77]: hello world"),
    ("classic without a pid", "<13>Oct  1 22:14:15 mymachine su: hello"),
    ("classic without a tag", "<13>Oct 11 22:14:15 mymachine plain words"),
    ("modern", "<34>1 2003-10-11T22:14:15.003Z host app 7 ID47 - hello"),
    ("structured", "<34>1 2003-10-11T22:14:15.003Z h app 7 ID47 [a b=\"c d\"][e] with data"),
    ("nothing but dashes", "<34>1 - - - - - - nil"),
    ("modern without a zone", "<34>1 2003-10-11T22:14:15 h a - - - x"),
    ("only a priority", "<14>hello"),
    ("no priority", "<x hello"),
    ("a priority of local7", "<191>Oct 11 22:14:15 h t: debug"),
    ("an emergency", "<0>Oct 11 22:14:15 h t: emerg"),
    ("bytes", "<13>Oct 11 22:14:15 h t: \u{e9}\t\u{1f600}"),
    ("only a date", "<13>Oct 11 22:14:15 "),
    ("one word behind a date", "<13>Oct 11 22:14:15 word"),
    ("no text", "<13>Oct 11 22:14:15 h t: "),
];
/// How long a message may take.
const ARRIVAL: Duration = Duration::from_secs(10);

/// A target per form.
fn targets() -> Vec<UdpSocket> {
    let socket = || {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        socket.set_read_timeout(Some(ARRIVAL)).expect("a timeout");
        socket
    };
    FORMS.iter().map(|_| socket()).collect()
}

fn config(targets: &[UdpSocket]) -> String {
    let mut text = String::from(
        "log-forward l\n dgram-bind 127.0.0.1:@PORT0@\n bind 127.0.0.1:@PORT0@\n timeout client 1m\n",
    );
    for (form, target) in FORMS.iter().zip(targets) {
        let port = target.local_addr().expect("it is bound").port();
        let form = if form.is_empty() { String::new() } else { format!("format {form} ") };
        let _ = writeln!(text, " log 127.0.0.1:{port} {form}local3");
    }
    text
}

/// What one message became at each target; the time of a message without one is the program's own.
fn arrived(targets: &[UdpSocket], times: &Regex) -> String {
    let mut text = String::new();
    for (form, target) in FORMS.iter().zip(targets) {
        let mut bytes = [0; 2048];
        let got = match target.recv(&mut bytes) {
            Ok(len) => String::from_utf8_lossy(&bytes[..len]).into_owned(),
            Err(_) => "nothing came".to_owned(),
        };
        let _ = writeln!(text, "{form}: {:?}", times.replace_all(&got, "TIME"));
    }
    text
}

/// A way to a section. One stream takes all messages: haproxy 2.6 counts those that ended for a while.
enum Way {
    Datagrams(UdpSocket),
    Lines(TcpStream),
    Counted(TcpStream),
}

impl Way {
    fn open(name: &str, to: SocketAddr) -> Self {
        if name == "datagrams" {
            let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
            socket.connect(to).expect("an address");
            return Self::Datagrams(socket);
        }
        let stream = TcpStream::connect_timeout(&to, ARRIVAL).expect("it listens");
        if name == "lines" { Self::Lines(stream) } else { Self::Counted(stream) }
    }

    fn send(&mut self, message: &str) {
        let sent = match self {
            Self::Datagrams(socket) => socket.send(message.as_bytes()).map(|_| ()),
            Self::Lines(stream) => stream.write_all(format!("{message}\n").as_bytes()),
            Self::Counted(stream) => stream.write_all(format!("{} {message}", message.len()).as_bytes()),
        };
        sent.expect("it is sent");
    }
}

#[test]
fn messages_are_passed_on_as_haproxy_does() {
    let Some(original) = Program::original("proxy_log_forward", "haproxy") else { return };
    let programs = [original, Program::ours("proxyd", "haproxy")];
    // This year's: messages of the test are of October and of 2003.
    let times = Regex::new(r"20(?:[2-9]\d)-(?:0[1-9]|1[12])-\d\dT\S+|(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Nov|Dec) [ \d]\d \d\d:\d\d:\d\d")
        .expect("a valid pattern");
    Suite::live("proxy_log_forward", |suite| {
        let origin = Origin::start();
        let started = programs.each_ref().map(|program| {
            let targets = targets();
            let side = Side::start(&program.path, &config(&targets), 1, &origin);
            (side, targets)
        });
        for kind in ["datagrams", "lines", "counted"] {
            let mut ways = started.each_ref().map(|(side, targets)| {
                (Way::open(kind, SocketAddr::from(([127, 0, 0, 1], side.port(0)))), targets)
            });
            for (name, message) in MESSAGES {
                let [theirs, ours] = ways.each_mut().map(|(way, targets)| {
                    way.send(message);
                    arrived(targets, &times)
                });
                suite.case(&format!("{kind}: {name}"), &theirs, &ours);
            }
        }
    });
}

/// What takes datagrams passes them over TLS to what takes streams: here to the other program, and to itself.
const SENDER: &str = "global
 stats socket @DIR@/s.sock level admin
ring r
 format rfc5424
 size 65536
 timeout connect 5s
 timeout server 10s
 server s 127.0.0.1:RECEIVER ssl verify required ca-file @DIR@/../ring.pem sni str(logs.example) FRAMING
log-forward l
 dgram-bind 127.0.0.1:@PORT0@
 bind 127.0.0.1:@PORT0@
 log ring@r local3
";
const RECEIVER: &str = "global
 stats socket @DIR@/s.sock level admin
log-forward l
 bind 127.0.0.1:@PORT0@ ssl crt CERT
 timeout client 1m
 log 127.0.0.1:TARGET format raw local3
 log 127.0.0.1:OTHER format rfc5424 local3
";

/// What is told elsewhere to differ, and what is no message in streams.
const OTHERWISE: [&str; 2] = ["modern without a zone", "no priority"];

/// Sends until it arrives: of the two sockets of the sender one may be there before the other. Gives what was told
/// before, of the connection that found out that the receiver listens: it says nothing.
fn begun(socket: &UdpSocket, targets: &[UdpSocket]) -> String {
    let mut told = String::new();
    let mut sent = 0;
    for target in targets {
        let until = std::time::Instant::now() + ARRIVAL * 6;
        target.set_read_timeout(Some(ARRIVAL / 50)).expect("a timeout");
        loop {
            assert!(std::time::Instant::now() < until, "nothing comes");
            let mut bytes = [0; 2048];
            match target.recv(&mut bytes) {
                Ok(n) => {
                    let text = String::from_utf8_lossy(&bytes[..n]).into_owned();
                    if sent > 0 && text.contains(&format!("probe {sent}.")) {
                        break;
                    }
                    if text.contains("handshake") {
                        told.push_str(&text);
                        told.push('\n');
                    }
                }
                Err(_) => {
                    sent += 1;
                    // The socket that is not there yet may have refused the one before.
                    let _ = socket.send(format!("<13>Oct 11 22:14:15 h t: probe {sent}.").as_bytes());
                }
            }
        }
        target.set_read_timeout(Some(ARRIVAL)).expect("a timeout");
    }
    let differs =
        Regex::new(r"127\.0\.0\.1:\d+|\[[^]]+\]|\S+T\S+ -|(?:haproxy|proxyd) \d+").expect("a pattern");
    differs.replace_all(&told, "*").into_owned()
}

#[test]
fn messages_go_over_tls_from_one_to_the_other() {
    let Some(original) = Program::original("proxy_log_forward", "haproxy") else { return };
    let ours = Program::ours("proxyd", "haproxy");
    let made = rcgen::generate_simple_self_signed(["logs.example".to_owned()]).expect("a certificate");
    let dir = tempfile::tempdir().expect("a directory");
    let pem = dir.path().join("ring.pem");
    std::fs::write(&pem, made.cert.pem() + &made.signing_key.serialize_pem()).expect("written");
    let pem = pem.display().to_string();
    let seen = |sender: &Program, receiver: &Program, framing: &str| {
        let origin = Origin::start();
        let targets: Vec<UdpSocket> = targets().into_iter().take(2).collect();
        let port = |n: usize| targets[n].local_addr().expect("it is bound").port().to_string();
        let config = RECEIVER.replace("CERT", &pem).replace("TARGET", &port(0)).replace("OTHER", &port(1));
        let to = Side::start(&receiver.path, &config, 1, &origin);
        let config = SENDER.replace("@DIR@/../ring.pem", &pem).replace("FRAMING", framing);
        let config = config.replace("RECEIVER", &to.port(0).to_string());
        let from = Side::start(&sender.path, &config, 1, &origin);
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        socket.connect(("127.0.0.1", from.port(0))).expect("an address");
        let mut text = begun(&socket, &targets);
        let year = Regex::new(r"20\d\d-\d\d-\d\dT\S+").expect("a pattern");
        for (name, message) in MESSAGES.iter().filter(|(name, _)| !OTHERWISE.contains(name)) {
            socket.send(message.as_bytes()).expect("it is sent");
            let got = targets.iter().map(|target| {
                let mut bytes = [0; 2048];
                target.recv(&mut bytes).map(|n| String::from_utf8_lossy(&bytes[..n]).into_owned())
            });
            // Messages that do not say when they were said are told the time.
            for got in got {
                let got = got.unwrap_or_else(|_| "nothing came".into());
                let _ = writeln!(text, "{name}: {}", year.replace_all(&got, "TIME"));
            }
        }
        let info = |side: &Side| {
            let socket = side.directory().join("s.sock");
            holdfast_tests::cli::ask(&socket, "show info").expect("it answers")
        };
        // Whose side is told beside which counter; one connection carries all.
        for (info, name) in [
            (info(&to), "CumSslConns"),
            (info(&to), "CurrSslConns"),
            (info(&to), "SslFrontendMaxKeyRate"),
            (info(&from), "SslBackendMaxKeyRate"),
        ] {
            let line = info.lines().find(|l| l.starts_with(&format!("{name}:"))).unwrap_or(name);
            let _ = writeln!(text, "{line}");
        }
        text
    };
    Suite::live("proxy_log_forward_tls", |suite| {
        for framing in ["log-proto octet-count", ""] {
            let theirs = seen(&original, &original, framing);
            for (name, sender, receiver) in [
                ("ours to haproxy", &ours, &original),
                ("haproxy to ours", &original, &ours),
                ("ours to ours", &ours, &ours),
            ] {
                suite.case(&format!("tls {framing} {name}"), &theirs, &seen(sender, receiver, framing));
            }
        }
    });
}
