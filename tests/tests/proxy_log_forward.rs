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
