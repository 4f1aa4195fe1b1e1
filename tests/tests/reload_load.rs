//! Reloads while everything is in use: no connection is refused or reset, no answer is cut, no byte of a long
//! transfer is lost, and processes that have nothing left to do are gone.
//!
//! Everything happens in namespaces of the test's own.

use holdfast_tests::netns::{Host, Net, wait_for};
use holdfast_tests::node::Program;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Far more than anything here takes; the machine may be busy.
const PATIENCE: Duration = Duration::from_mins(1);
/// Reloads.
const RELOADS: usize = 10;
/// Requests of each loop that must pass between two reloads.
const BETWEEN: usize = 10;
/// Bytes of a long download: one part for each reload, one before and one after all.
const PART: usize = 1 << 20;
const LONG: usize = PART * (RELOADS + 2);

const CONFIG: &str = "global
 stats socket @DIR@/s level admin expose-fd listeners
defaults
 mode http
 timeout connect 60s
 timeout client 60s
 timeout server 60s
frontend f
 bind 127.0.0.1:8080
 default_backend b
backend b
 server s1 127.0.0.1:9001
listen t
 mode tcp
 bind 127.0.0.1:8081
 server e 127.0.0.1:9002
";

fn at(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}

/// What stands at a place of the long answer.
fn byte(at: usize) -> u8 {
    ((at / 251) ^ at) as u8
}

/// Answers requests on 9001, and sends everything back on 9002.
fn origin(host: &Host) {
    let listen = |port| host.inside(move || TcpListener::bind(at(port)).expect("a listener"));
    let serve = |listener: TcpListener, talk: fn(TcpStream) -> io::Result<()>| {
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                std::thread::spawn(move || talk(stream));
            }
        });
    };
    serve(listen(9001), answer);
    serve(listen(9002), |mut stream| {
        let mut back = stream.try_clone()?;
        io::copy(&mut stream, &mut back).map(drop)
    });
}

fn answer(mut stream: TcpStream) -> io::Result<()> {
    loop {
        let head = head_of(&mut stream)?;
        if head.is_empty() {
            return Ok(());
        }
        if head.starts_with("GET /long") {
            stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {LONG}\r\n\r\n").as_bytes())?;
            let body: Vec<u8> = (0..LONG).map(byte).collect();
            stream.write_all(&body)?;
        } else {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nsmall")?;
        }
    }
}

/// A head up to its empty line; nothing when the connection ended before it.
fn head_of(stream: &mut TcpStream) -> io::Result<String> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte)? == 0 {
            return if head.is_empty() {
                Ok(String::new())
            } else {
                Err(io::ErrorKind::UnexpectedEof.into())
            };
        }
        head.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

fn connect(port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&at(port), PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// A small request on a connection.
fn small(stream: &mut TcpStream) -> io::Result<()> {
    stream.write_all(b"GET /small HTTP/1.1\r\nHost: h\r\n\r\n")?;
    let head = head_of(stream)?;
    let mut body = [0; 5];
    stream.read_exact(&mut body)?;
    let good = head.starts_with("HTTP/1.1 200 ") && body == *b"small";
    good.then_some(()).ok_or_else(|| io::Error::other(head))
}

/// What all clients share.
#[derive(Default)]
struct Shared {
    done: AtomicBool,
    reloads: AtomicUsize,
    faults: Mutex<Vec<String>>,
}

impl Shared {
    fn note(&self, who: &str, result: io::Result<()>) {
        if let Err(e) = result {
            let reload = self.reloads.load(SeqCst);
            self.faults.lock().expect("no panic").push(format!("{who} at reload {reload}: {e}"));
        }
    }
}

/// A connection for each request.
fn short(shared: &Shared, passed: &AtomicUsize) {
    while !shared.done.load(SeqCst) {
        shared.note("a short connection", connect(8080).and_then(|mut s| small(&mut s)));
        passed.fetch_add(1, SeqCst);
    }
}

/// One connection for as long as it is open. A process that goes may close it between two requests.
fn kept_alive(shared: &Shared, passed: &AtomicUsize) {
    while !shared.done.load(SeqCst) {
        let Ok(mut stream) = connect(8080).map_err(|e| shared.note("a kept connection", Err(e))) else {
            continue;
        };
        let mut used = false;
        while !shared.done.load(SeqCst) {
            match small(&mut stream) {
                Ok(()) => passed.fetch_add(1, SeqCst),
                Err(_) if used => break,
                Err(e) => {
                    shared.note("the first request of a kept connection", Err(e));
                    break;
                }
            };
            used = true;
        }
    }
}

/// A download that gets on by one part with each reload.
fn long(shared: &Shared, begun: &AtomicUsize) -> io::Result<()> {
    let mut stream = connect(8080)?;
    stream.write_all(b"GET /long HTTP/1.0\r\n\r\n")?;
    let head = head_of(&mut stream)?;
    if !head.contains(" 200 ") {
        return Err(io::Error::other(head));
    }
    let mut part = vec![0; PART];
    for n in 0..RELOADS + 2 {
        if n == 1 {
            begun.fetch_add(1, SeqCst);
        }
        while n > 0 && shared.reloads.load(SeqCst) < (n - 1).min(RELOADS) {
            std::thread::sleep(Duration::from_millis(5));
        }
        stream.read_exact(&mut part)?;
        if let Some(wrong) = (0..PART).find(|i| part[*i] != byte(n * PART + i)) {
            return Err(io::Error::other(format!("another byte at {}", n * PART + wrong)));
        }
    }
    match stream.read(&mut part)? {
        0 => Ok(()),
        n => Err(io::Error::other(format!("{n} bytes too many"))),
    }
}

/// A stream through the TCP proxy that says something with each reload.
fn tcp(shared: &Shared, begun: &AtomicUsize) -> io::Result<()> {
    let mut stream = connect(8081)?;
    for n in 0..=RELOADS {
        while shared.reloads.load(SeqCst) < n {
            std::thread::sleep(Duration::from_millis(5));
        }
        let said = format!("message {n} to be sent back");
        stream.write_all(said.as_bytes())?;
        let mut heard = vec![0; said.len()];
        stream.read_exact(&mut heard)?;
        if heard != said.as_bytes() {
            return Err(io::Error::other(String::from_utf8_lossy(&heard).into_owned()));
        }
        if n == 0 {
            begun.fetch_add(1, SeqCst);
        }
    }
    Ok(())
}

/// A host with the configuration, and the socket of its statistics.
fn lab(net: &Net) -> (Host, PathBuf, String) {
    let host = net.host("lb");
    host.sh("ip link set lo up");
    origin(&host);
    let file = host.file("haproxy.cfg", &CONFIG.replace("@DIR@", &host.dir().display().to_string()));
    let program = Program::ours("proxyd", "proxyd").path.display().to_string();
    let socket = host.dir().join("s");
    (host, socket, format!("{program} -D -p /run/p.pid -f {}", file.display()))
}

/// The process that answers.
fn pid(socket: &Path) -> Option<String> {
    holdfast_tests::cli::pid(socket)
}

/// Reloads while all clients are at work.
fn under_load(host: &Host, socket: &Path, reload: impl Fn(usize)) {
    let shared = Arc::new(Shared::default());
    let (begun, passed) = (AtomicUsize::new(0), [const { AtomicUsize::new(0) }; 3]);
    let mut processes = vec![wait_for(PATIENCE, || pid(socket)).expect("the first process answers")];
    std::thread::scope(|scope| {
        for n in 0..2 {
            let (shared, passed, begun) = (&shared, &passed, &begun);
            scope.spawn(move || host.inside(|| short(shared, &passed[n])));
            scope.spawn(move || host.inside(|| shared.note("a download", long(shared, begun))));
            scope.spawn(move || host.inside(|| shared.note("a stream", tcp(shared, begun))));
        }
        scope.spawn(|| host.inside(|| kept_alive(&shared, &passed[2])));
        // What fails ends the test: the clients must not wait for ever.
        let faulty = || !shared.faults.lock().expect("no panic").is_empty();
        let ready = || (begun.load(SeqCst) == 4 || faulty()).then_some(());
        let mut good = wait_for(PATIENCE, ready).is_some();
        for n in 0..RELOADS {
            let before: Vec<usize> = passed.iter().map(|p| p.load(SeqCst)).collect();
            reload(n);
            let last = processes.last().cloned().unwrap_or_default();
            let next = wait_for(PATIENCE, || pid(socket).filter(|now| *now != last));
            good &= next.is_some();
            processes.extend(next);
            shared.reloads.fetch_add(1, SeqCst);
            let all = || passed.iter().zip(&before).all(|(p, b)| p.load(SeqCst) >= b + BETWEEN);
            good &= wait_for(PATIENCE, || (all() || faulty()).then_some(())).is_some();
        }
        shared.done.store(true, SeqCst);
        assert!(good, "something took too long");
    });
    let faults = shared.faults.lock().expect("no panic");
    assert!(faults.is_empty(), "{faults:#?}");
    processes.pop();
    for old in processes {
        let gone = || (!host.try_sh(&format!("kill -0 {old}")).status.success()).then_some(());
        assert!(wait_for(PATIENCE, gone).is_some(), "process {old} has nothing to do and stays");
    }
}

#[test]
fn processes_that_take_over_lose_nothing() {
    let Some(net) = Net::new("reload-sf") else { return };
    let (host, socket, start) = lab(&net);
    host.sh(&start);
    under_load(&host, &socket, |_| {
        host.sh(&format!("{start} -x {} -sf $(cat /run/p.pid)", socket.display()));
    });
}

#[test]
fn workers_that_are_replaced_lose_nothing() {
    let Some(net) = Net::new("reload-w") else { return };
    let (host, socket, start) = lab(&net);
    let master = host.dir().join("m");
    host.sh(&format!("{start} -W -S {}", master.display()));
    under_load(&host, &socket, |n| match n % 3 {
        0 => {
            host.sh("kill -USR2 $(cat /run/p.pid)");
        }
        1 => {
            host.sh("kill -HUP $(cat /run/p.pid)");
        }
        _ => {
            let mut stream = UnixStream::connect(&master).expect("the master's command line");
            stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
            stream.write_all(b"reload\n").expect("sent");
            // The master closes the connection once that is done.
            stream.read_to_end(&mut Vec::new()).expect("an end");
        }
    });
}
