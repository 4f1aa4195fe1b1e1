//! The application servers: every address that the configuration names as a server, answering HTTP on its port.
//!
//! Invariant: an answer names the server that was asked and the address that asked, which is the proxy's.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use holdfast_tests::netns::Host;

use crate::Fallible;
use crate::files::Server;

/// A request that takes longer than this to arrive is given up.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// Lines of a request head that are read at most.
const HEAD_LINES_MAX: usize = 200;

/// Opens every port of `servers` on `host` and answers for as long as the process lives.
pub(crate) fn serve(host: &Host, servers: &[Server]) -> Fallible<()> {
    let servers: Arc<[Server]> = servers.into();
    let mut ports: Vec<u16> = servers.iter().map(|s| s.address.port()).collect();
    ports.sort_unstable();
    ports.dedup();
    for port in ports {
        let listener = host.inside(|| TcpListener::bind(("::", port)))?;
        answer_on(listener, &servers);
    }
    Ok(())
}

/// The same for servers on the balancer's own loopback, one listener each, where nobody else has the port.
pub(crate) fn serve_loopback(host: &Host, servers: &[Server]) {
    let servers: Arc<[Server]> = servers.into();
    for server in servers.iter().filter(|s| s.address.ip().is_loopback()) {
        if let Ok(listener) = host.inside(|| TcpListener::bind(server.address)) {
            answer_on(listener, &servers);
        }
    }
}

fn answer_on(listener: TcpListener, servers: &Arc<[Server]>) {
    let servers = Arc::clone(servers);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let servers = Arc::clone(&servers);
            std::thread::spawn(move || answer_all(&stream, &servers));
        }
    });
}

fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Answers request after request until the other side closes.
fn answer_all(stream: &TcpStream, servers: &[Server]) -> Option<()> {
    stream.set_read_timeout(Some(READ_TIMEOUT)).ok()?;
    let asked = plain(stream.local_addr().ok()?);
    let peer = plain(stream.peer_addr().ok()?).ip();
    let name = servers.iter().find(|s| s.address == asked).map_or("unknown", |s| s.name.as_str());
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        let mut close = false;
        for number in 0..HEAD_LINES_MAX {
            line.clear();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            close |= number == 0 && line.ends_with("HTTP/1.0\r\n")
                || line.eq_ignore_ascii_case("connection: close\r\n");
            if line == "\r\n" {
                break;
            }
        }
        let body = format!("{name} asked by {peer}\n");
        let connection = if close { "Connection: close\r\n" } else { "" };
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n{connection}Content-Length: {}\r\n\r\n",
            body.len()
        );
        (&*stream).write_all((head + &body).as_bytes()).ok()?;
        if close {
            return None;
        }
    }
}
