//! `ring` sections: log lines kept in memory, read by `show events` and sent on to servers.
//!
//! Invariant: a ring never holds more bytes than its size; what does not fit pushes the oldest lines out, and a writer
//! never waits for a reader.
//!
//! Absent on purpose: who reads (the CLI), and what a line says.

use crate::config::model::{Ring as Settings, ServerAddress};
use crate::runtime::board::Board;
use std::collections::VecDeque;
use std::io::{self, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::pin::pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::Notify;

/// Pause before a receiver that refused is asked again.
const RETRY: Duration = Duration::from_secs(1);
/// How often a forwarder looks whether its ring is still there.
const LOOK: Duration = Duration::from_millis(500);
/// Connect timeout where the section names none.
const CONNECT: Duration = Duration::from_secs(5);
/// Bytes that a line costs besides its text, as in haproxy's buffers: its length.
const OVERHEAD: usize = 2;

/// A ring.
#[derive(Debug)]
pub struct Ring {
    /// Its name.
    pub name: String,
    /// `description`.
    pub description: String,
    /// Head of its lines (`format`).
    pub format: String,
    size: usize,
    maxlen: usize,
    kept: Mutex<Kept>,
    news: Condvar,
    followers: Notify,
}

#[derive(Debug, Default)]
struct Kept {
    lines: VecDeque<Arc<[u8]>>,
    /// Number of the first line that is kept.
    first: u64,
    bytes: usize,
}

impl Ring {
    /// An empty ring.
    pub fn new(name: &str, settings: &Settings) -> Arc<Self> {
        let description = settings.description.clone().unwrap_or_else(|| name.to_owned());
        Arc::new(Self {
            name: name.to_owned(),
            description,
            format: settings.format.clone(),
            size: settings.size,
            maxlen: settings.maxlen,
            kept: Mutex::default(),
            news: Condvar::new(),
            followers: Notify::new(),
        })
    }

    /// Sends what it gets to a server, for as long as the ring is there.
    pub fn forward(self: &Arc<Self>, to: Receiver, settings: &Settings) {
        let ring = Arc::downgrade(self);
        let connect = settings.timeout_connect.unwrap_or(CONNECT);
        // Without a thread nothing is sent on; the lines stay readable.
        let _ = std::thread::Builder::new()
            .name(format!("ring-{}", self.name))
            .spawn(move || forward(&ring, &to, connect));
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a line.
    pub fn push(&self, line: &[u8]) {
        let line = &line[..line.len().min(self.maxlen)];
        let mut kept = self.kept();
        kept.bytes += line.len() + OVERHEAD;
        kept.lines.push_back(line.into());
        while kept.bytes > self.size
            && let Some(oldest) = kept.lines.pop_front()
        {
            kept.bytes -= oldest.len() + OVERHEAD;
            kept.first += 1;
        }
        drop(kept);
        self.news.notify_all();
        self.followers.notify_waiters();
    }

    /// The lines from number `from` on, and the number after the last.
    pub fn since(&self, from: u64) -> (Vec<Arc<[u8]>>, u64) {
        let kept = self.kept();
        let skip = from.saturating_sub(kept.first) as usize;
        (kept.lines.iter().skip(skip).cloned().collect(), kept.first + kept.lines.len() as u64)
    }

    /// The same as one text, each line with its end.
    pub fn text(&self, from: u64) -> (String, u64) {
        let (lines, next) = self.since(from);
        let mut text = String::new();
        for line in lines {
            text.push_str(String::from_utf8_lossy(&line).trim_end_matches('\n'));
            text.push('\n');
        }
        (text, next)
    }

    /// Whether there is a line with a number of at least `from`.
    fn has(&self, from: u64) -> bool {
        let kept = self.kept();
        kept.first + kept.lines.len() as u64 > from
    }

    /// Waits for a line with a number of at least `from`.
    pub async fn reached(&self, from: u64) {
        loop {
            let mut told = pin!(self.followers.notified());
            // From here on a line that comes is told of, even before it is waited for.
            told.as_mut().enable();
            if self.has(from) {
                return;
            }
            told.await;
        }
    }

    /// Waits for a line with a number of at least `from`, a while at most.
    fn wait(&self, from: u64) {
        let kept = self.kept();
        if kept.first + kept.lines.len() as u64 <= from {
            drop(self.news.wait_timeout(kept, LOOK));
        }
    }
}

/// Where lines of a ring are sent.
#[derive(Debug)]
pub struct Receiver {
    address: ServerAddress,
    tls: Option<Arc<tls::client::Slot>>,
    octets: bool,
    board: Arc<Board>,
}

impl Receiver {
    /// A receiver: with TLS where there are settings of it, and with lengths before lines where `octets` says so.
    pub fn new(
        address: ServerAddress,
        tls: Option<Arc<tls::client::Slot>>,
        octets: bool,
        board: &Arc<Board>,
    ) -> Self {
        Self { address, tls, octets, board: Arc::clone(board) }
    }

    /// A connection, its handshake done within `patience` for each of its steps.
    fn connect(&self, patience: Duration) -> io::Result<Box<dyn Write>> {
        use std::os::linux::net::SocketAddrExt;
        let stream = match &self.address {
            ServerAddress::Inet(to) => TcpStream::connect_timeout(to, patience)?,
            ServerAddress::Unix(path) => return Ok(Box::new(UnixStream::connect(path)?)),
            ServerAddress::Abstract(name) => {
                let address = std::os::unix::net::SocketAddr::from_abstract_name(name)?;
                return Ok(Box::new(UnixStream::connect_addr(&address)?));
            }
            ServerAddress::Name(..) | ServerAddress::Destination(_) => {
                return Err(io::ErrorKind::AddrNotAvailable.into());
            }
        };
        let Some(slot) = &self.tls else { return Ok(Box::new(stream)) };
        let client = slot.current();
        let connection =
            rustls::ClientConnection::new(client.config, client.name).map_err(io::Error::other)?;
        let mut stream = rustls::StreamOwned::new(connection, stream);
        stream.sock.set_read_timeout(Some(patience))?;
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        stream.sock.set_read_timeout(None)?;
        if stream.conn.handshake_kind() != Some(rustls::HandshakeKind::Resumed) {
            self.board.process.ssl_back_keys.add(self.board.clock().mono_ms, 1);
        }
        Ok(Box::new(stream))
    }
}

fn forward(ring: &Weak<Ring>, to: &Receiver, connect: Duration) {
    let mut at = 0;
    let mut out = Vec::new();
    while ring.strong_count() > 0 {
        let Ok(mut stream) = to.connect(connect) else {
            std::thread::sleep(RETRY);
            continue;
        };
        while let Some(ring) = ring.upgrade() {
            ring.wait(at);
            let (lines, next) = ring.since(at);
            drop(ring);
            out.clear();
            for line in &lines {
                if to.octets {
                    out.extend_from_slice(format!("{} ", line.len()).as_bytes());
                    out.extend_from_slice(line);
                } else {
                    out.extend_from_slice(line);
                    out.push(b'\n');
                }
            }
            if !out.is_empty() && stream.write_all(&out).is_err() {
                break; // the same lines go through the next connection
            }
            at = next;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(size: usize, maxlen: usize) -> Arc<Ring> {
        Ring::new("r", &Settings { maxlen, size, ..Settings::default() })
    }

    #[test]
    fn the_oldest_lines_make_room() {
        let ring = ring(20, 100);
        for line in ["aaaaaaaa", "bbbbbbbb", "cccccccc"] {
            ring.push(line.as_bytes());
        }
        let (lines, next) = ring.since(0);
        assert_eq!((lines.len(), next), (2, 3));
        assert_eq!(&*lines[0], b"bbbbbbbb");
        assert_eq!(ring.since(2).0.len(), 1);
        assert!(ring.since(3).0.is_empty());
    }

    #[test]
    fn long_lines_are_cut() {
        let ring = ring(1000, 4);
        ring.push(b"abcdefgh");
        assert_eq!(&*ring.since(0).0[0], b"abcd");
    }

    #[test]
    fn lines_reach_a_server_framed_as_asked() {
        use std::io::Read;
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let settings = Settings { size: 1000, maxlen: 100, ..Settings::default() };
        let ring = Ring::new("r", &settings);
        let to = ServerAddress::Inet(listener.local_addr().expect("bound"));
        ring.forward(Receiver::new(to, None, true, &Arc::default()), &settings);
        ring.push(b"one");
        ring.push(b"two!");
        let (mut stream, _) = listener.accept().expect("the ring connects");
        let mut got = [0; 11];
        stream.read_exact(&mut got).expect("both lines come");
        assert_eq!(&got, b"3 one4 two!");
    }
}
