//! Two proxies side by side on loopback, one origin behind both: the same bytes go to each, and what the client, the
//! origin and the log saw is compared.
//!
//! Invariant: ports are the kernel's choice, everything ends with the [`Pair`].

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// How long a quiet connection is read before its answer counts as complete.
const QUIET: Duration = Duration::from_millis(250);
/// How long a proxy may take to listen.
const START: Duration = Duration::from_secs(10);
/// How long a log line may take.
const LOG: Duration = Duration::from_secs(2);
/// How long further log lines of a connection may follow the first.
const SETTLE: Duration = Duration::from_millis(40);
/// Bytes of an answer that are kept.
const ANSWER_MAX: usize = 1 << 20;

/// What one proxy did with one input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// What the client got.
    pub client: Vec<u8>,
    /// Whether the proxy closed.
    pub closed: bool,
    /// The log line, without its syslog head.
    pub log: String,
}

/// One thing a client does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Sends bytes.
    Send(Vec<u8>),
    /// Lets time pass, in milliseconds.
    Pause(u64),
    /// Reads until nothing comes for a while.
    Read,
    /// Ends its sending side.
    HalfClose,
    /// Breaks the connection off with a reset.
    Abort,
}

/// An origin that answers by path and echoes what it was sent.
#[derive(Debug)]
pub struct Origin {
    /// Where it listens.
    pub address: SocketAddr,
}

impl Origin {
    /// Starts one; it ends with the process.
    ///
    /// # Panics
    /// When loopback has no port left.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                thread::spawn(move || serve(stream));
            }
        });
        Self { address }
    }
}

fn serve(mut stream: TcpStream) {
    let _ = stream.set_read_timeout(Some(Duration::from_secs(10)));
    let mut buffer = Vec::new();
    while let Some(request) = read_request(&mut stream, &mut buffer) {
        if let Some((before, pause)) = late(&request) {
            if stream.write_all(before.as_bytes()).is_err() {
                break;
            }
            thread::sleep(pause);
            if !before.is_empty() {
                break;
            }
        }
        let (answer, close) = answer(&request);
        if stream.write_all(&answer).is_err() || close {
            break;
        }
    }
    let _ = stream.shutdown(Shutdown::Both);
}

/// One request, head and body as received; chunked bodies end with their last chunk and trailers.
fn read_request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Vec<u8>> {
    loop {
        if let Some(len) = request_len(buffer) {
            return Some(buffer.drain(..len).collect());
        }
        let mut chunk = [0; 16384];
        match stream.read(&mut chunk) {
            Ok(n) if n > 0 => buffer.extend_from_slice(&chunk[..n]),
            _ => return None,
        }
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|w| w == needle)
}

fn request_len(buffer: &[u8]) -> Option<usize> {
    let head = find(buffer, b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&buffer[..head]).to_lowercase();
    let value = |name: &str| text.lines().find_map(|l| l.strip_prefix(name).map(|v| v.trim().to_owned()));
    if value("transfer-encoding:").is_some_and(|v| v.contains("chunked")) {
        let body = &buffer[head..];
        let end = if body.starts_with(b"0\r\n") { Some(0) } else { find(body, b"\r\n0\r\n").map(|i| i + 2) }?;
        let trailers = find(&body[end..], b"\r\n\r\n")?;
        return Some(head + end + trailers + 4);
    }
    let len: usize = value("content-length:").and_then(|v| v.parse().ok()).unwrap_or(0);
    (buffer.len() >= head + len).then_some(head + len)
}

/// `/delay/MS` answers after a while; `/stall/MS` sends a part of its answer, and ends after a while.
fn late(request: &[u8]) -> Option<(&'static str, Duration)> {
    let line = String::from_utf8_lossy(request.split(|b| *b == b'\r').next()?).into_owned();
    let (kind, ms) = line.split(' ').nth(1)?.trim_start_matches('/').split_once('/')?;
    let pause = Duration::from_millis(ms.parse().ok()?);
    match kind {
        "delay" => Some(("", pause)),
        "stall" => Some(("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\npart", pause)),
        _ => None,
    }
}

/// The answer to a request, and whether the connection ends behind it.
fn answer(request: &[u8]) -> (Vec<u8>, bool) {
    let line = request.split(|b| *b == b'\r').next().unwrap_or_default();
    let mut words = line.split(|b| *b == b' ');
    let method = words.next().unwrap_or_default();
    let path = String::from_utf8_lossy(words.next().unwrap_or_default()).into_owned();
    let part = |n: usize| path.split('/').nth(n).unwrap_or_default().split('?').next().unwrap_or_default();
    let head = method == b"HEAD";
    let with_length = |status: &str, extra: &str, body: &[u8]| {
        let mut out =
            format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n{extra}\r\n", body.len()).into_bytes();
        if !head {
            out.extend_from_slice(body);
        }
        out
    };
    let raw = |text: &str| text.as_bytes().to_vec();
    match part(1) {
        "status" => (with_length(&format!("{} Any", part(2)), "X-Origin: yes\r\n", b"status"), false),
        "nobody" => (raw("HTTP/1.1 204 No Content\r\nX-A: 1\r\n\r\n"), false),
        "notmodified" => (raw("HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n"), false),
        "chunked" if head => (raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), false),
        "chunked" => {
            let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n";
            (raw(&format!("{head}5\r\nhello\r\n6;ext=1\r\n world\r\n0\r\nX-T: end\r\n\r\n")), false)
        }
        "until-close" => (raw("HTTP/1.1 200 OK\r\nX-A: 1\r\n\r\nuntil close"), true),
        "http10" => (raw("HTTP/1.0 200 OK\r\nX-A: 1\r\n\r\nold"), true),
        "cookies" => (
            with_length(
                "200 OK",
                "Set-Cookie: SRV=x; path=/\r\nSet-Cookie: b=2\r\nSet-Cookie: c=3\r\n",
                b"c",
            ),
            false,
        ),
        "continue" => {
            let mut out = raw("HTTP/1.1 100 Continue\r\n\r\n");
            out.extend(with_length("200 OK", "", request));
            (out, false)
        }
        "hints" => {
            let mut out = raw("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n");
            out.extend(with_length("200 OK", "", b"hinted"));
            (out, false)
        }
        "two-lengths" => (raw("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc"), true),
        "bad-status" => (raw("HTTP/1.1 2x0 OK\r\n\r\n"), true),
        "bad-header" => (raw("HTTP/1.1 200 OK\r\nbad header: 1\r\nContent-Length: 0\r\n\r\n"), true),
        "bad-chunk" => (raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxx\r\nhello\r\n"), true),
        "short" => (raw("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nshort"), true),
        "empty" => (Vec::new(), true),
        "big" => {
            let size: usize = part(2).parse().unwrap_or(0);
            (with_length("200 OK", "", &vec![b'x'; size]), false)
        }
        _ => (with_length("200 OK", "X-Origin: yes\r\nX-Many: 1\r\nX-Many: 2\r\n", request), false),
    }
}

/// The log lines of one proxy, by the client's port.
#[derive(Debug, Clone)]
struct Log {
    lines: Arc<Mutex<HashMap<u16, Vec<String>>>>,
    port: u16,
}

impl Log {
    fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        let port = socket.local_addr().expect("a bound socket has an address").port();
        let lines: Arc<Mutex<HashMap<u16, Vec<String>>>> = Arc::default();
        let sink = Arc::clone(&lines);
        thread::spawn(move || {
            let mut datagram = vec![0; 65536];
            while let Ok(n) = socket.recv(&mut datagram) {
                let text = String::from_utf8_lossy(&datagram[..n]).into_owned();
                let Some((_, line)) = text.split_once("]: ") else { continue };
                let client =
                    line.split(' ').next().and_then(|w| w.rsplit(':').next()).and_then(|p| p.parse().ok());
                if let (Some(client), Ok(mut lines)) = (client, sink.lock()) {
                    lines.entry(client).or_default().push(line.trim_end().to_owned());
                }
            }
        });
        Self { lines, port }
    }

    /// Forgets lines of an earlier connection from the same port.
    fn forget(&self, client: u16) {
        if let Ok(mut lines) = self.lines.lock() {
            lines.remove(&client);
        }
    }

    fn take(&self, client: u16) -> String {
        let until = Instant::now() + LOG;
        loop {
            if self.lines.lock().is_ok_and(|lines| lines.contains_key(&client)) {
                // One connection may have more than one line.
                thread::sleep(SETTLE);
                let found = self.lines.lock().ok().and_then(|mut lines| lines.remove(&client));
                return found.unwrap_or_default().join("\n");
            }
            if Instant::now() >= until {
                return "no line".to_owned();
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// One proxy under test.
#[derive(Debug)]
pub struct Side {
    child: Child,
    log: Log,
    ports: Vec<u16>,
    dir_kept: tempfile::TempDir,
}

impl Drop for Side {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Side {
    /// Starts a proxy with `config`, in which `@PORT0@`… are its frontends' ports, `@LOG@` the log's, `@ORIGIN@` the
    /// origin's address and `@DIR@` a directory of its own.
    ///
    /// # Panics
    /// When it does not listen in time.
    pub fn start(program: &Path, config: &str, frontends: usize, origin: &Origin) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let log = Log::start();
        let ports = free_ports(frontends);
        let mut text = config.replace("@ORIGIN@", &origin.address.to_string());
        text =
            text.replace("@LOG@", &log.port.to_string()).replace("@DIR@", &dir.path().display().to_string());
        for (i, port) in ports.iter().enumerate() {
            text = text.replace(&format!("@PORT{i}@"), &port.to_string());
        }
        let file = dir.path().join("haproxy.cfg");
        let page = "HTTP/1.0 503 Mine\r\nContent-Type: text/plain\r\n\r\nown page\n";
        std::fs::write(dir.path().join("haproxy.cfg.503"), page).expect("the error page can be written");
        std::fs::write(&file, text).expect("the configuration can be written");
        let output = std::fs::File::create(dir.path().join("output")).expect("a file");
        let errors = output.try_clone().expect("a second handle");
        let child = Command::new(program)
            .args(["-db", "-f"])
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .expect("the proxy starts");
        let side = Self { child, log, ports, dir_kept: dir };
        let until = Instant::now() + START;
        for port in &side.ports {
            while TcpStream::connect(("127.0.0.1", *port)).is_err() {
                let said = std::fs::read_to_string(side.dir_kept.path().join("output")).unwrap_or_default();
                assert!(Instant::now() < until, "{} does not listen: {said}", program.display());
                thread::sleep(Duration::from_millis(20));
            }
        }
        side
    }

    /// The port of a frontend.
    pub fn port(&self, frontend: usize) -> u16 {
        self.ports[frontend]
    }

    /// Its own directory, `@DIR@` of the configuration.
    pub fn directory(&self) -> &Path {
        self.dir_kept.path()
    }

    /// The log lines of the connection that came from a port, waited for.
    pub fn log_of(&self, client: u16) -> String {
        self.log.take(client)
    }

    /// A connection to a frontend, for clients that behave in their own way.
    ///
    /// # Panics
    /// When the kernel refuses it.
    pub fn connect(&self, frontend: usize) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.ports[frontend])).expect("the proxy listens");
        self.log.forget(stream.local_addr().map_or(0, |a| a.port()));
        stream
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the process to end.
    pub fn wait(&mut self, timeout: Duration) -> Option<ExitStatus> {
        crate::netns::wait_for(timeout, || self.child.try_wait().ok().flatten())
    }

    /// Does what a script says on a connection to a frontend and gathers what came of it.
    ///
    /// # Panics
    /// When the proxy takes no connection.
    pub fn script(&self, frontend: usize, steps: &[Step]) -> Seen {
        let mut stream = TcpStream::connect(("127.0.0.1", self.ports[frontend])).expect("the proxy listens");
        let client = stream.local_addr().map_or(0, |a| a.port());
        self.log.forget(client);
        let _ = stream.set_read_timeout(Some(QUIET));
        let (mut answer, mut closed) = (Vec::new(), false);
        for step in steps {
            match step {
                Step::Send(bytes) => drop(stream.write_all(bytes)),
                Step::Pause(ms) => thread::sleep(Duration::from_millis(*ms)),
                Step::Read => {
                    let (more, end) = read_all(&mut stream);
                    answer.extend_from_slice(&more);
                    closed |= end;
                }
                Step::HalfClose => drop(stream.shutdown(Shutdown::Write)),
                Step::Abort => {
                    let linger = nix::libc::linger { l_onoff: 1, l_linger: 0 };
                    let _ = nix::sys::socket::setsockopt(&stream, nix::sys::socket::sockopt::Linger, &linger);
                    drop(stream);
                    return Seen { client: answer, closed: true, log: self.log.take(client) };
                }
            }
        }
        let (more, end) = read_all(&mut stream);
        answer.extend_from_slice(&more);
        drop(stream);
        Seen { client: answer, closed: closed || end, log: self.log.take(client) }
    }

    /// Sends bytes to a frontend and gathers what came of it. `half_close` ends the sending side at once.
    ///
    /// # Panics
    /// When the proxy takes no connection.
    pub fn try_bytes(&self, frontend: usize, bytes: &[u8], half_close: bool) -> Seen {
        let mut stream = TcpStream::connect(("127.0.0.1", self.ports[frontend])).expect("the proxy listens");
        let client = stream.local_addr().map_or(0, |a| a.port());
        self.log.forget(client);
        let _ = stream.set_read_timeout(Some(QUIET));
        let _ = stream.write_all(bytes);
        if half_close {
            let _ = stream.shutdown(Shutdown::Write);
        }
        let (answer, closed) = read_all(&mut stream);
        drop(stream);
        Seen { client: answer, closed, log: self.log.take(client) }
    }
}

fn read_all(stream: &mut TcpStream) -> (Vec<u8>, bool) {
    let mut out = Vec::new();
    let mut chunk = vec![0; 65536];
    loop {
        match stream.read(&mut chunk) {
            Ok(0) => return (out, true),
            Ok(n) => out.extend_from_slice(&chunk[..n]),
            Err(e) if matches!(e.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {
                return (out, false);
            }
            Err(_) => return (out, true),
        }
        if out.len() > ANSWER_MAX {
            return (out, false);
        }
    }
}

/// Ports that were free a moment ago, all different.
fn free_ports(count: usize) -> Vec<u16> {
    let listeners: Vec<TcpListener> =
        (0..count).map(|_| TcpListener::bind("127.0.0.1:0").expect("a free port")).collect();
    listeners.iter().map(|l| l.local_addr().expect("a bound socket has an address").port()).collect()
}
