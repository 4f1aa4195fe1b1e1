//! The PROXY protocol and the headers of NetScalers, of proxyd and Debian's haproxy side by side, both ways: what a server is sent, byte by byte, for
//! the same connection and the same options, and what comes of headers whole, in pieces, cut and wrong: answers, ends
//! and log lines.
//!
//! Addresses come by headers that the test sends itself, so that nothing depends on the kernel's choice of ports.

use holdfast_tests::netns::wait_for;
use holdfast_tests::node::Program;
use holdfast_tests::oracle::Suite;
use holdfast_tests::pair::{Origin, Seen, Side};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, SerialNumber,
};
use regex::Regex;
use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[path = "proxy_header/incoming.rs"]
mod incoming;

/// Frontends that want headers.
const IN: &str = include_str!("proxy_header/in.cfg");
/// How many they are.
const IN_FRONTENDS: usize = 12;
/// Connections under way at once.
const THREADS: usize = 8;
const OUT: &str = include_str!("proxy_header/out.cfg");
/// Frontends of [`OUT`]: how the connection came whose facts are sent on.
const WAYS: [&str; 9] =
    ["tcp", "http", "unix", "tls12", "tls12 rsa", "tls12 ec", "tls13 rsa", "tls plain", "real"];
/// Options of servers: one backend each.
const OPTIONS: &str = include_str!("proxy_header/options.txt");
/// Their numbers begin here, so that each has two digits.
const FIRST: usize = 10;
/// What ends the bytes that are sent through.
const MARK: &[u8] = b"X: END\r\n\r\n";
const END: &[u8] = b": END\r\n";
/// Far more than anything takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server that answers with what it received, in hexadecimal digits, and keeps what did not end with [`MARK`].
struct Recorder {
    address: SocketAddr,
    kept: Arc<Mutex<Vec<String>>>,
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, b| {
        let _ = write!(out, "{b:02x}");
        out
    })
}

impl Recorder {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let kept: Arc<Mutex<Vec<String>>> = Arc::default();
        let all = Arc::clone(&kept);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let all = Arc::clone(&all);
                std::thread::spawn(move || record(stream, &all));
            }
        });
        Self { address, kept }
    }
}

fn record(mut stream: TcpStream, all: &Mutex<Vec<String>>) {
    let _ = stream.set_read_timeout(Some(PATIENCE));
    let (mut got, mut chunk) = (Vec::new(), [0; 4096]);
    while let Ok(n @ 1..) = stream.read(&mut chunk) {
        got.extend_from_slice(&chunk[..n]);
        // More fields may have come behind it.
        if got.ends_with(b"\r\n\r\n") && got.windows(END.len()).any(|w| w == END) {
            let _ = write!(stream, "HTTP/1.0 200 OK\r\n\r\n{}\n", hex(&got));
            return;
        }
    }
    if let (false, Ok(mut all)) = (got.is_empty(), all.lock()) {
        all.push(hex(&got));
    }
}

/// An authority, and certificates that it signed, as the configuration names them.
fn certificates(dir: &Path) {
    let mut params = CertificateParams::new(Vec::<String>::new()).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.distinguished_name.push(DnType::CommonName, "Authority");
    let key = KeyPair::generate().expect("a key");
    let pem = params.self_signed(&key).expect("an authority").pem();
    std::fs::write(dir.join("ca.pem"), pem).expect("written");
    let issuer = Issuer::new(params, key);
    let kinds = [
        ("server", &rcgen::PKCS_RSA_SHA256),
        ("rsa", &rcgen::PKCS_RSA_SHA256),
        ("ec", &rcgen::PKCS_ECDSA_P256_SHA256),
    ];
    for (serial, (name, kind)) in kinds.into_iter().enumerate() {
        let mut params = CertificateParams::new(vec!["a.example".to_owned()]).expect("names");
        params.distinguished_name.push(DnType::OrganizationName, "Org");
        params.distinguished_name.push(DnType::CommonName, format!("cn of {name}"));
        params.serial_number = Some(SerialNumber::from(serial as u64 + 1));
        let key = KeyPair::generate_for(kind).expect("a key");
        let made = params.signed_by(&key, &issuer).expect("a certificate");
        std::fs::write(dir.join(format!("{name}.pem")), made.pem() + &key.serialize_pem()).expect("written");
    }
}

fn options() -> Vec<&'static str> {
    OPTIONS.lines().filter(|l| !l.is_empty() && !l.starts_with('#')).collect()
}

/// The configuration with a backend for each set of options, chosen by the port that was connected to.
fn outgoing(files: &Path, recorder: &Recorder) -> String {
    let mut text = OUT.replace("@FILES@", &files.display().to_string());
    for mode in ["tcp", "http"] {
        for (number, options) in options().iter().enumerate() {
            let address = recorder.address;
            let _ = write!(
                text,
                "backend {mode}{}\n mode {mode}\n server s {address} {options}\n",
                number + FIRST
            );
        }
    }
    text
}

#[test]
fn servers_are_sent_the_same_header() {
    let test = "proxy_header_out";
    let Some(original) = Program::original(test, "haproxy") else { return };
    let programs = [original, Program::ours("proxyd", "haproxy")];
    let files = tempfile::tempdir().expect("a directory");
    certificates(files.path());
    Suite::live(test, |suite| send(suite, &programs, files.path()));
}

fn send(suite: &mut Suite, programs: &[Program; 2], files: &Path) {
    let (recorder, origin) = (Recorder::start(), Origin::start());
    let config = outgoing(files, &recorder);
    let sides = programs.each_ref().map(|p| Side::start(&p.path, &config, WAYS.len(), &origin));
    let headers = [
        ("v4", "PROXY TCP4 192.0.2.1 192.0.2.200 1234 "),
        ("v6", "PROXY TCP6 2001:db8::1 ::ffff:1.2.3.4 1234 "),
    ];
    let closing = Regex::new(r"(?s)^.*\r\n\r\n").expect("a valid pattern");
    for (way, name) in WAYS.iter().enumerate() {
        for (number, options) in options().iter().enumerate() {
            let number = number + FIRST;
            for (family, header) in headers {
                let mut bytes = format!("{header}{number}\r\n").into_bytes();
                if *name == "real" {
                    bytes.clear();
                }
                // A checksum of ports that the kernel chose is each side's own.
                if *name == "real" && options.contains("crc32c") {
                    continue;
                }
                if family == "v6" && (*name == "real" || *name == "unix") {
                    continue;
                }
                if *name != "http" {
                    let _ = write!(bytes, "{number} ");
                }
                let _ = write!(bytes, "GET /{number} HTTP/1.0\r\n");
                bytes.extend_from_slice(MARK);
                let seen = sides.each_ref().map(|s| {
                    let stream = s.connect(way);
                    let client = stream.local_addr().map_or(0, |a| a.port());
                    let answer = exchange(stream, &bytes);
                    let answer = closing.replace(&answer, "").into_owned();
                    // Where the header tells of the connection itself.
                    if *name != "real" {
                        return answer;
                    }
                    let port = |p: u16| format!("{p:04x}");
                    answer
                        .replace(&port(client), "CLNT")
                        .replace(&port(s.port(way)), "PORT")
                        .replace(&hex(format!("{client} {}", s.port(way)).as_bytes()), "TEXT")
                });
                suite.case(&format!("{name}, {family}, {options}"), &seen[0], &seen[1]);
            }
        }
    }
}

fn exchange(mut stream: TcpStream, bytes: &[u8]) -> String {
    let _ = stream.set_read_timeout(Some(PATIENCE));
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let end = stream.read_to_end(&mut answer);
    format!("{}{}", String::from_utf8_lossy(&answer), if end.is_ok() { "" } else { "no end" })
}

/// Servers that are checked: the header of the check.
const CHECKS: [&str; 8] = [
    "check",
    "check send-proxy",
    "check send-proxy-v2",
    "check check-send-proxy",
    "check send-proxy-v2 check-send-proxy",
    "check send-proxy-v2-ssl-cn proxy-v2-options crc32c,authority,unique-id",
    "check port @OWN@ send-proxy",
    "check port @OWN@ send-proxy-v2 check-send-proxy",
];

#[test]
fn checks_send_the_same_header() {
    let test = "proxy_header_checks";
    let Some(original) = Program::original(test, "haproxy") else { return };
    let programs = [original, Program::ours("proxyd", "haproxy")];
    Suite::live(test, |suite| {
        let seen = programs.each_ref().map(checks);
        for (n, options) in CHECKS.iter().enumerate() {
            suite.case(options, &seen[0][n], &seen[1][n]);
        }
    });
}

fn checks(program: &Program) -> Vec<String> {
    let recorders: Vec<Recorder> = CHECKS.iter().map(|_| Recorder::start()).collect();
    let mut config = "defaults\n timeout connect 9s\n timeout server 9s\n timeout client 9s\nlisten f\n bind \
                      127.0.0.1:@PORT0@\n mode http\n http-request return status 200\nbackend b\n option httpchk GET \
                      /check\n timeout check 9s\n"
        .to_owned();
    for (n, options) in CHECKS.iter().enumerate() {
        let address = recorders[n].address;
        let options = options.replace("@OWN@", &address.port().to_string());
        let _ = writeln!(config, " server s{n} {address} inter 100ms {options}");
    }
    let side = Side::start(&program.path, &config, 1, &Origin::start());
    // Nothing ends with the mark: recorders keep what came when the process ends.
    std::thread::sleep(Duration::from_millis(500));
    drop(side);
    let first = |r: &Recorder| wait_for(PATIENCE, || r.kept.lock().ok()?.first().cloned());
    // A text header tells the ports of the check.
    let ports = Regex::new(r"(20(3\d){4,5}){2}0d0a").expect("a valid pattern");
    let told = |text: String| ports.replace(&text, " PORTS ").into_owned();
    recorders.iter().map(|r| told(first(r).unwrap_or_else(|| "nothing came".into()))).collect()
}

#[test]
fn headers_that_come_are_judged_alike() {
    let test = "proxy_header_in";
    let Some(original) = Program::original(test, "haproxy") else { return };
    let programs = [original, Program::ours("proxyd", "haproxy")];
    Suite::live(test, |suite| receive(suite, &programs));
}

fn receive(suite: &mut Suite, programs: &[Program; 2]) {
    let origin = Origin::start();
    let sides = programs.each_ref().map(|p| Side::start(&p.path, IN, IN_FRONTENDS, &origin));
    let cases = incoming::cases();
    let (next, results) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some((name, frontend, steps)) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let seen = sides.each_ref().map(|s| {
                        let seen = s.script(*frontend, steps);
                        told(&seen, s.port(*frontend))
                    });
                    results.lock().expect("no thread panicked").push((name, seen));
                }
            });
        }
    });
    for (name, [theirs, ours]) in results.into_inner().expect("no thread panicked") {
        suite.case(name, &theirs, &ours);
    }
    let (all, _) = suite.score();
    assert!(all >= 150, "only {all} cases");
}

/// What must be equal: all but the ports of the connection and the time.
fn told(seen: &Seen, port: u16) -> String {
    let own = Regex::new(r"p:(\d+)|^127\.0\.0\.1:(\d+) \[[^\]]+\]").expect("a valid pattern");
    let client = own.captures(&seen.log).and_then(|c| c.get(1).or(c.get(2))).map_or("none", |c| c.as_str());
    let known = Regex::new(&format!(r"\b({client}|{port})\b")).expect("a valid pattern");
    let mark = |text: &str| known.replace_all(text, "PORT").into_owned();
    let log = own.replace_all(&mark(&seen.log), "").into_owned();
    let log = Regex::new(r"\[[^\]]+\] ").expect("a valid pattern").replace_all(&log, "").into_owned();
    format!("{}\nclosed: {}\nlog: {log}\n", mark(&String::from_utf8_lossy(&seen.client)), seen.closed)
}
