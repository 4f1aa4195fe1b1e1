//! Streams of HTTP/2 connections step by step: what is said when, on both sides of the proxy. Debian's haproxy goes
//! through the same steps, where it is installed.

use holdfast_tests::node::Program;
use holdfast_tests::pair::{Origin, Side};
use http2::frame::{self, flag, kind};
use http2::hpack;
use http2::{Code, Config, Connection, Fields, Role, Sink};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

const CONFIG: &str = include_str!("proxy_h2_streams/haproxy.cfg");
/// A frontend that answers by itself.
const ANSWERS: &str = "defaults
    mode http
    timeout client 60s
frontend answers
    bind 127.0.0.1:@PORT0@ proto h2
    http-request return status 200 content-type text/plain string ok
";
/// Stands for servers where there are none.
const NOWHERE: Origin = Origin { address: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0) };
/// Frontends of the configuration.
const FRONTENDS: usize = 4;
/// How long a step may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a stream brought.
#[derive(Debug, Default)]
struct Stream {
    heads: String,
    body: Vec<u8>,
    ended: bool,
    reset: Option<u32>,
}

/// What a connection brought, by stream.
#[derive(Debug, Default)]
struct Heard(BTreeMap<u32, Stream>);

impl Sink for Heard {
    fn head(&mut self, id: u32, _: bool, fields: &Fields, end: bool) -> Result<(), Code> {
        let stream = self.0.entry(id).or_default();
        for (name, value) in fields.iter() {
            let (name, value) = (String::from_utf8_lossy(name), String::from_utf8_lossy(value));
            let _ = writeln!(stream.heads, "{name}: {value}");
        }
        stream.ended |= end;
        Ok(())
    }

    fn data(&mut self, id: u32, bytes: &[u8], end: bool) -> Result<(), Code> {
        let stream = self.0.entry(id).or_default();
        stream.body.extend_from_slice(bytes);
        stream.ended |= end;
        Ok(())
    }

    fn reset(&mut self, id: u32, code: u32) {
        self.0.entry(id).or_default().reset.get_or_insert(code);
    }

    fn writable(&mut self, _: u32) {}
}

/// One end of an HTTP/2 connection, driven by hand.
#[derive(Debug)]
struct Peer {
    core: Connection,
    heard: Heard,
    socket: TcpStream,
    closed: bool,
}

impl Peer {
    fn new(role: Role, socket: TcpStream) -> Self {
        socket.set_read_timeout(Some(Duration::from_millis(50))).expect("a timeout can be set");
        let core = Connection::new(role, Config::default());
        Self { core, heard: Heard::default(), socket, closed: false }
    }

    /// Sends what there is.
    fn flush(&mut self) {
        let out = std::mem::take(&mut self.core.out);
        self.closed |= self.socket.write_all(&out).is_err();
    }

    /// Moves bytes until something was heard.
    fn until(&mut self, what: &str, mut done: impl FnMut(&Self) -> bool) {
        let until = Instant::now() + PATIENCE;
        let mut buffer = vec![0; 65_536];
        while !done(self) {
            assert!(Instant::now() < until && !self.closed, "never came: {what}; {:?}", self.heard);
            self.flush();
            match self.socket.read(&mut buffer) {
                Ok(0) => self.closed = true,
                Ok(n) => self.core.receive(&buffer[..n], &mut self.heard),
                Err(e) if matches!(e.kind(), std::io::ErrorKind::WouldBlock) => {}
                Err(_) => self.closed = true,
            }
        }
        self.flush();
    }

    /// Opens a stream with a request that has no body.
    fn ask(&mut self, method: &str, path: &str) -> u32 {
        let id = self.core.start().expect("a stream can be opened");
        let fields = [(":method", method), (":scheme", "http"), (":authority", "x.example"), (":path", path)];
        self.core.send_head(id, &block(&fields), true);
        self.flush();
        id
    }

    fn stream(&self, id: u32) -> Option<&Stream> {
        self.heard.0.get(&id)
    }

    fn has_head(&self, id: u32) -> bool {
        self.stream(id).is_some_and(|s| !s.heads.is_empty())
    }

    fn is_over(&self, id: u32) -> bool {
        self.stream(id).is_some_and(|s| s.ended || s.reset.is_some())
    }
}

fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        hpack::put(&mut block, name.as_bytes(), value.as_bytes());
    }
    block
}

/// Reads until a piece of text came.
fn read_until(socket: &mut TcpStream, end: &str) -> String {
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
    let (mut all, mut byte) = (Vec::new(), [0]);
    while !all.ends_with(end.as_bytes()) {
        match socket.read(&mut byte) {
            Ok(1) => all.push(byte[0]),
            other => panic!("{other:?} before {end:?}: {}", String::from_utf8_lossy(&all)),
        }
    }
    String::from_utf8_lossy(&all).into_owned()
}

/// Runs a play with each program: in front of the listener that it is given.
fn with_each(test: &str, play: impl Fn(&Side, &TcpListener)) {
    let ours = Some(Program::ours("proxyd", "haproxy"));
    for program in [Program::original(test, "haproxy"), ours].into_iter().flatten() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let origin = Origin { address: listener.local_addr().expect("a bound socket has an address") };
        play(&Side::start(&program.path, CONFIG, FRONTENDS, &origin), &listener);
    }
}

fn accept(listener: &TcpListener) -> TcpStream {
    listener.set_nonblocking(true).expect("it can be set");
    let came = holdfast_tests::netns::wait_for(PATIENCE, || listener.accept().ok());
    let socket = came.expect("the proxy connects").0;
    socket.set_nonblocking(false).expect("it can be set");
    socket
}

/// A response whose body nobody passes on ends with that body: a client that asks again at once finds the server's
/// connection free, where the server takes one only.
#[test]
fn a_skipped_body_delays_the_end_of_its_stream() {
    with_each("a_skipped_body_delays_the_end_of_its_stream", |side, listener| {
        let mut client = Peer::new(Role::Client, side.connect(0));
        let first = client.ask("HEAD", "/1");
        let mut server = accept(listener);
        assert!(read_until(&mut server, "\r\n\r\n").starts_with("GET /1 "));
        let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        server.write_all(&[&head[..], b"5\r\nhello\r\n"].concat()).expect("the proxy reads");
        client.until("the head", |c| c.has_head(first));
        assert!(!client.is_over(first), "the server is still at it: {:?}", client.heard);

        server.write_all(b"0\r\n\r\n").expect("the proxy reads");
        client.until("the end", |c| c.is_over(first));
        let seen = client.stream(first).expect("it was heard of");
        assert!(seen.ended && seen.reset.is_none() && seen.body.is_empty(), "{seen:?}");

        let second = client.ask("GET", "/2");
        assert!(read_until(&mut server, "\r\n\r\n").starts_with("GET /2 "), "the same connection");
        server.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").expect("the proxy reads");
        client.until("the second response", |c| c.is_over(second));
        assert_eq!(client.stream(second).map(|s| s.body.as_slice()), Some(&b"ok"[..]));
    });
}

/// The end of a server's stream is waited for, though nothing more can come: a stream that is given up before is
/// reset, and that breaks off what the server still does.
#[test]
fn a_response_ends_with_its_stream_not_with_its_content() {
    with_each("a_response_ends_with_its_stream_not_with_its_content", |side, listener| {
        let mut client = side.connect(1);
        client.write_all(b"HEAD /1 HTTP/1.1\r\nHost: x\r\n\r\n").expect("the proxy reads");
        let mut server = Peer::new(Role::Server, accept(listener));
        server.until("the first request", |s| s.is_over(1));
        let fields = [(":status", "200")];
        server.core.send_head(1, &block(&fields), false);
        server.flush();
        assert!(read_until(&mut client, "\r\n\r\n").starts_with("HTTP/1.1 200 "));

        server.core.send_data(1, b"", true);
        server.flush();
        client.write_all(b"GET /2 HTTP/1.1\r\nHost: x\r\n\r\n").expect("the proxy reads");
        server.until("the second request", |s| s.is_over(3));
        assert_eq!(server.core.counts.rst, 0, "nothing was broken off");
        server.core.send_head(3, &block(&fields), false);
        server.core.send_data(3, b"hello", true);
        server.flush();
        assert!(read_until(&mut client, "hello").starts_with("HTTP/1.1 200 "));
    });
}

/// Moves some bytes through a tunnel, both ways, between a stream and a plain connection.
fn talk(stream: &mut Peer, id: u32, plain: &mut TcpStream) -> String {
    stream.core.send_data(id, b"from the stream", false);
    stream.flush();
    let up = read_until(plain, "stream");
    plain.write_all(b"to the stream").expect("the proxy reads");
    stream.until("the tunnel's bytes", |p| p.stream(id).is_some_and(|s| s.body.ends_with(b"to the stream")));
    format!("{up} / {}", String::from_utf8_lossy(&stream.stream(id).expect("it was heard of").body))
}

/// Keys are random where the proxy makes them.
fn without_key(head: &str) -> String {
    let mut lines: Vec<&str> =
        head.lines().filter(|l| !l.to_lowercase().starts_with("sec-websocket-key")).collect();
    if lines.len() < head.lines().count() {
        lines.push("and a key");
    }
    lines.join("\n")
}

fn key_of(head: &str) -> String {
    let line = head.lines().find(|l| l.to_lowercase().starts_with("sec-websocket-key"));
    line.and_then(|l| l.split_once(": ")).map_or_else(String::new, |(_, v)| v.trim().to_owned())
}

fn extended(client: &mut Peer, protocol: &str) -> u32 {
    client.until("the settings", |c| c.core.is_extended());
    let id = client.core.start().expect("a stream can be opened");
    let fields = [
        (":method", "CONNECT"),
        (":protocol", protocol),
        (":scheme", "http"),
        (":authority", "x.example"),
        (":path", "/chat?a=b"),
        ("sec-websocket-version", "13"),
    ];
    client.core.send_head(id, &block(&fields), false);
    client.flush();
    id
}

/// Each program's transcript of a play; they must be the same.
fn alike(test: &str, play: impl Fn(&Side, &TcpListener) -> String) {
    let said = std::cell::RefCell::new(Vec::new());
    with_each(test, |side, listener| {
        let text = play(side, listener);
        said.borrow_mut().push(text);
    });
    let said = said.into_inner();
    assert!(said.windows(2).all(|pair| pair[0] == pair[1]));
}

/// Extended CONNECT towards a server of HTTP/1: an upgrade, whose key the proxy makes and whose answer it checks.
#[test]
fn a_tunnel_of_a_stream_is_an_upgrade_for_the_server() {
    alike("a_tunnel_of_a_stream_is_an_upgrade_for_the_server", |side, listener| {
        let mut all = String::new();
        for (protocol, answer) in [
            (
                "websocket",
                "HTTP/1.1 101 Yes\r\nConnection: upgrade\r\nUpgrade: websocket\r\nX: 1\r\nSec-WebSocket-Accept: @\r\n\r\n",
            ),
            (
                "websocket",
                "HTTP/1.1 101 Yes\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n",
            ),
            ("websocket", "HTTP/1.1 101 Yes\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"),
            ("websocket", "HTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\nno"),
            ("other", "HTTP/1.1 101 Yes\r\nConnection: upgrade\r\nUpgrade: other\r\n\r\n"),
        ] {
            let mut client = Peer::new(Role::Client, side.connect(0));
            let id = extended(&mut client, protocol);
            let mut server = accept(listener);
            let head = read_until(&mut server, "\r\n\r\n");
            let answer = answer.replace('@', &accepted(&key_of(&head)));
            let _ = writeln!(all, "{}", without_key(&head));
            server.write_all(answer.as_bytes()).expect("the proxy reads");
            client.until("the answer", |c| c.has_head(id) || c.is_over(id));
            if answer.contains(" 101 ") && client.stream(id).is_some_and(|s| s.heads.contains("200")) {
                let _ = writeln!(all, "{}", talk(&mut client, id, &mut server));
                drop(server);
            }
            client.until("the end", |c| c.is_over(id));
            let seen = client.stream(id).expect("it was heard of");
            // What answers a random key is random too.
            let heads = seen.heads.lines().map(|l| l.split_once("accept: ").map_or(l, |(name, _)| name));
            let _ = writeln!(all, "{}\n{}\n", heads.collect::<Vec<_>>().join("\n"), seen.ended);
        }
        all
    });
}

/// What a server answers to a key (RFC 6455, 4.2.2).
fn accepted(key: &str) -> String {
    use std::process::{Command, Stdio};
    let mut child = Command::new("openssl")
        .args(["dgst", "-sha1", "-binary"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("openssl runs");
    let text = format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    child.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("openssl reads");
    let digest = child.wait_with_output().expect("openssl ends").stdout;
    let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for part in digest.chunks(3) {
        let n = part.iter().fold(0u32, |n, b| n << 8 | u32::from(*b)) << (8 * (3 - part.len()));
        for i in 0..=part.len() {
            out.push(digits[(n >> (18 - 6 * i) & 63) as usize] as char);
        }
        out.push_str(&"="[..3 - part.len().min(3)].repeat(usize::from(part.len() < 3)));
    }
    out
}

/// An upgrade towards a server of HTTP/2: extended CONNECT, for servers that said they take it.
#[test]
fn an_upgrade_is_a_tunnel_of_a_stream_for_the_server() {
    alike("an_upgrade_is_a_tunnel_of_a_stream_for_the_server", |side, listener| {
        let mut all = String::new();
        for (protocol, status) in [("websocket", "200"), ("websocket", "404"), ("other", "200")] {
            let mut client = side.connect(1);
            let head = format!(
                "GET /chat HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: {protocol}\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nX: 1\r\n\r\n"
            );
            client.write_all(head.as_bytes()).expect("the proxy reads");
            let mut server = Peer::new(Role::Server, accept(listener));
            server.until("the request", |s| s.has_head(1));
            let _ =
                writeln!(all, "{}{}", server.stream(1).expect("it was heard of").heads, server.is_over(1));
            server.core.send_head(
                1,
                &block(&[(":status", status), ("x", "1"), ("content-length", "0")]),
                status != "200",
            );
            server.flush();
            // Names of fields have no case.
            let answer = read_until(&mut client, "\r\n\r\n");
            let _ = writeln!(all, "{}", answer.replace("Sec-Websocket-Accept", "sec-websocket-accept"));
            if status == "200" {
                let _ = writeln!(all, "{}", talk(&mut server, 1, &mut client));
                drop(client);
                server.until("the end", |s| s.is_over(1));
            }
        }
        all
    });
}

/// `ws` says what a WebSocket goes over, whatever other requests do.
#[test]
fn a_server_may_want_web_sockets_over_another_version() {
    alike("a_server_may_want_web_sockets_over_another_version", |side, listener| {
        let mut all = String::new();
        for frontend in [2, 3] {
            for protocol in ["websocket", "other"] {
                let mut client = side.connect(frontend);
                let head = format!(
                    "GET /chat HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: {protocol}\r\n\
                     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
                );
                client.write_all(head.as_bytes()).expect("the proxy reads");
                all += &read_until(&mut accept(listener), "\r\n");
            }
        }
        all
    });
}

/// A GOAWAY that asks for nothing but that the next streams be opened elsewhere.
const ELSEWHERE: (u32, u32) = (0x7fff_ffff, 0);

/// A client without a state of its own: what it sends may be odd.
#[derive(Debug)]
struct Raw(TcpStream);

impl Raw {
    fn connect(side: &Side) -> Self {
        let mut new = Self(side.connect(0));
        new.0.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
        new.0.write_all(frame::PREFACE).expect("the proxy reads");
        new.send(kind::SETTINGS, 0, 0, &[]);
        new
    }

    fn send(&mut self, kind: u8, flags: u8, id: u32, payload: &[u8]) {
        let mut out = Vec::new();
        frame::put_whole(&mut out, kind, flags, id, payload);
        self.0.write_all(&out).expect("the proxy reads");
    }

    /// The next frame; `None` at the end.
    fn next(&mut self) -> Option<(frame::Head, Vec<u8>)> {
        let mut head = [0; frame::HEAD];
        self.0.read_exact(&mut head).ok()?;
        let head = frame::Head::read(&head);
        let mut payload = vec![0; head.len as usize];
        self.0.read_exact(&mut payload).ok()?;
        Some((head, payload))
    }

    /// Asks on a stream, and waits for the end of the answer; tells the GOAWAYs before it.
    fn ask(&mut self, id: u32) -> Vec<(u32, u32)> {
        self.send(kind::HEADERS, flag::END_HEADERS | flag::END_STREAM, id, &[0x82, 0x84, 0x86]);
        let mut said = Vec::new();
        loop {
            let (head, payload) = self.next().expect("the answer comes");
            said.extend((head.kind == kind::GOAWAY).then(|| reason(&payload)));
            if head.id == id && matches!(head.kind, kind::DATA | kind::HEADERS) && head.has(flag::END_STREAM)
            {
                return said;
            }
        }
    }

    /// The next GOAWAY; `None` when the connection ends before.
    fn goaway(&mut self) -> Option<(u32, u32)> {
        loop {
            let (head, payload) = self.next()?;
            if head.kind == kind::GOAWAY {
                return Some(reason(&payload));
            }
        }
    }
}

/// Last stream and code of a GOAWAY.
fn reason(payload: &[u8]) -> (u32, u32) {
    let number = |at| payload.get(at..).and_then(frame::number).expect("eight bytes");
    (number(0), number(4))
}

/// A soft stop asks the clients of idle connections to leave, and serves what they ask for meanwhile.
#[test]
fn a_soft_stop_asks_idle_clients_to_leave() {
    let ours = Some(Program::ours("proxyd", "haproxy"));
    let original = Program::original("a_soft_stop_asks_idle_clients_to_leave", "haproxy");
    for program in [original, ours].into_iter().flatten() {
        let mut side = Side::start(&program.path, ANSWERS, 1, &NOWHERE);
        let mut client = Raw::connect(&side);
        assert_eq!(client.ask(1), []);
        let pid = nix::unistd::Pid::from_raw(side.pid().cast_signed());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGUSR1).expect("it runs");
        assert_eq!(client.goaway(), Some(ELSEWHERE));
        assert_eq!(client.ask(3), [], "it was said once");
        drop(client);
        assert!(side.wait(PATIENCE).is_some_and(|s| s.success()), "it ends with its last connection");
    }
}

/// `tune.h2.fe.max-total-streams` and `tune.h2.fe.glitches-threshold`, which Debian's haproxy does not have.
#[test]
fn a_connection_that_lasted_or_erred_too_long_is_ended() {
    let program = Program::ours("proxyd", "haproxy");
    let limits = "global\n    tune.h2.fe.max-total-streams 2\n    tune.h2.fe.max-concurrent-streams 2\n";
    let side = Side::start(&program.path, &format!("{limits}{ANSWERS}"), 1, &NOWHERE);
    let mut client = Raw::connect(&side);
    assert_eq!(client.ask(1), []);
    let mut said = client.ask(3);
    said.extend(client.ask(5));
    said.extend(client.ask(7));
    said.extend(client.goaway());
    assert_eq!(said, [ELSEWHERE, (7, 0)], "asked to leave after 2, ended after 2 more");
    assert!(client.next().is_none(), "it was closed");

    let limit = "global\n    tune.h2.fe.glitches-threshold 8\n";
    let side = Side::start(&program.path, &format!("{limit}{ANSWERS}"), 1, &NOWHERE);
    let mut client = Raw::connect(&side);
    assert_eq!(client.ask(1), []);
    let late = 8_u32.to_be_bytes();
    (0..5).for_each(|_| client.send(kind::RST_STREAM, 0, 1, &late));
    assert_eq!(client.ask(3), [], "5 of 8 are borne");
    client.send(kind::RST_STREAM, 0, 1, &late);
    assert_eq!(client.goaway(), Some(ELSEWHERE));
    assert_eq!(client.ask(5), []);
    (0..2).for_each(|_| client.send(kind::RST_STREAM, 0, 1, &late));
    assert_eq!(client.goaway(), Some((5, Code::EnhanceYourCalm as u32)));
    assert!(client.next().is_none(), "it was closed");
}
