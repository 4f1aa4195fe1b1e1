//! Stats sockets: the connections behind [`crate::cli::Session`].
//!
//! Invariant: one line is one answer; a client that is slow, silent or gone costs one permit of `stats maxconn`
//! for at most `stats timeout`.
//!
//! Absent on purpose: what commands mean.

use super::handoff::{self, Exposed};
use super::keep;
use crate::cli::Session;
use crate::config::model::{Level, SeverityOutput};
use crate::runtime::Generation;
use crate::runtime::transitions::Notice;
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::Semaphore;

/// Longest line; haproxy's is its buffer.
const LINE_MAX: usize = 16 * 1024;
/// `stats timeout` where the configuration has none.
pub const TIMEOUT: Duration = Duration::from_secs(10);
/// `stats maxconn` where the configuration has none.
pub const CONNECTIONS: usize = 10;
/// Pause after accept() failed for want of descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// What all sockets share.
pub struct Context {
    /// The generation in force.
    pub current: Box<dyn Fn() -> Arc<Generation> + Send + Sync>,
    /// Says what commands cause, on stderr and in logs.
    pub tell: Box<dyn Fn(&Notice) + Send + Sync>,
    /// Listening sockets for `_getsocks`. A copy keeps its socket alive, so a soft stop takes them away: the kernel
    /// would give connections to a socket that nobody watches.
    pub exposed: Mutex<Vec<Exposed>>,
    /// `stats timeout`.
    pub timeout: Duration,
    /// `stats maxconn`.
    pub permits: Arc<Semaphore>,
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

/// Rights of one socket.
#[derive(Debug, Clone, Copy)]
pub struct Rights {
    /// `level`.
    pub level: Level,
    /// `severity-output`.
    pub severity: SeverityOutput,
    /// `expose-fd listeners`.
    pub expose: bool,
    /// `expert-mode` and `experimental-mode` from the start, as a master's connection may have them.
    pub modes: (bool, bool),
}

/// A connection with a pathless duplicate, for what needs the descriptor itself.
enum Stream {
    Unix(tokio::net::UnixStream),
    Tcp(tokio::net::TcpStream),
}

/// Serves a listening stats socket until the task is dropped.
pub async fn serve(context: Arc<Context>, listener: OwnedFd, rights: Rights) {
    enum Listener {
        Unix(tokio::net::UnixListener),
        Tcp(tokio::net::TcpListener),
    }
    let socket = socket2::Socket::from(listener);
    if socket.set_nonblocking(true).is_err() {
        return;
    }
    let unix = socket.local_addr().is_ok_and(|a| a.is_unix());
    let listener = if unix {
        tokio::net::UnixListener::from_std(OwnedFd::from(socket).into()).map(Listener::Unix)
    } else {
        tokio::net::TcpListener::from_std(socket.into()).map(Listener::Tcp)
    };
    let Ok(listener) = listener else { return };
    loop {
        let Ok(permit) = Arc::clone(&context.permits).acquire_owned().await else { return };
        let accepted = match &listener {
            Listener::Unix(l) => l.accept().await.map(|(s, _)| Stream::Unix(s)),
            Listener::Tcp(l) => l.accept().await.map(|(s, _)| Stream::Tcp(s)),
        };
        match accepted {
            Ok(stream) => {
                let context = Arc::clone(&context);
                tokio::spawn(async move {
                    attend(&context, stream, rights).await;
                    drop(permit);
                });
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// Serves one connection that came another way (from the master).
pub async fn serve_one(context: Arc<Context>, stream: tokio::net::UnixStream, rights: Rights) {
    attend(&context, Stream::Unix(stream), rights).await;
}

async fn attend(context: &Context, stream: Stream, rights: Rights) {
    match stream {
        Stream::Tcp(mut stream) => {
            converse(context, &mut stream, rights).await;
            let _ = stream.shutdown().await;
        }
        Stream::Unix(mut stream) => {
            let next = converse(context, &mut stream, rights).await;
            let Ok(stream) = stream.into_std() else { return };
            // Blocking steps, so away from the loop; the taker notices a failure by itself.
            let giving = match next {
                Next::Close => return,
                Next::GiveSockets => {
                    let copies = context.copies();
                    tokio::task::spawn_blocking(move || handoff::give(&stream, &copies?))
                }
                Next::GiveBoard => {
                    let generation = (context.current)();
                    tokio::task::spawn_blocking(move || keep::give(&stream, &generation))
                }
            };
            let _ = giving.await;
        }
    }
}

impl Context {
    fn copies(&self) -> std::io::Result<Vec<Exposed>> {
        self.exposed.lock().unwrap_or_else(PoisonError::into_inner).iter().map(copy).collect()
    }

    /// Gives up the copies of listening sockets.
    pub fn close_copies(&self) {
        self.exposed.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

fn copy(socket: &Exposed) -> std::io::Result<Exposed> {
    let (namespace, interface) = (socket.namespace.clone(), socket.interface.clone());
    Ok(Exposed { fd: socket.fd.try_clone()?, namespace, interface })
}

/// Counts a connection as long as it lives.
struct Counted(Arc<Generation>);

impl Counted {
    fn new(generation: Arc<Generation>, session: &mut Session) -> Self {
        let process = &generation.board.process;
        process.cum_conns.fetch_add(1, Relaxed);
        process.cli_conns.fetch_add(1, Relaxed);
        session.id = process.next_id.fetch_add(1, Relaxed);
        Self(generation)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.board.process.cli_conns.fetch_sub(1, Relaxed);
    }
}

#[derive(PartialEq, Eq)]
enum Next {
    Close,
    GiveSockets,
    GiveBoard,
}

async fn converse(
    context: &Context,
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    rights: Rights,
) -> Next {
    let mut session = Session::new(rights.level, rights.severity);
    (session.expert, session.experimental) = rights.modes;
    let _counted = Counted::new((context.current)(), &mut session);
    let mut held: Vec<u8> = Vec::new();
    let mut notices = Vec::new();
    loop {
        let limit = session.timeout.unwrap_or(context.timeout);
        while let Some(end) = held.iter().position(|b| *b == b'\n') {
            let line: Vec<u8> = held.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            let line = line.trim_end_matches(['\n', '\r']);
            if rights.expose && line == handoff::COMMAND {
                return Next::GiveSockets;
            }
            if (rights.expose || rights.level == Level::Admin) && line == keep::COMMAND {
                return Next::GiveBoard;
            }
            let generation = (context.current)();
            let output = session.line(&generation, line, &mut notices);
            notices.drain(..).for_each(|n| (context.tell)(&n));
            let process = &generation.board.process;
            process.cum_req.fetch_add(1, Relaxed);
            process.bytes_out.fetch_add(output.text.len() as u64, Relaxed);
            drop(generation);
            let sent = tokio::time::timeout(limit, stream.write_all(output.text.as_bytes())).await;
            if !matches!(sent, Ok(Ok(()))) {
                return Next::Close;
            }
            if session.following.is_some() {
                let Some(output) = follow(&mut session, stream, &mut held, limit).await else {
                    return Next::Close;
                };
                let process = &(context.current)().board.process;
                process.bytes_out.fetch_add(output.text.len() as u64, Relaxed);
                let sent = tokio::time::timeout(limit, stream.write_all(output.text.as_bytes())).await;
                if output.close || !matches!(sent, Ok(Ok(()))) {
                    return Next::Close;
                }
                continue;
            }
            // Lines that came along are answered, too; `quit` ends at once.
            if output.quit || (output.close && held.is_empty() && !session.expects_payload()) {
                return Next::Close;
            }
        }
        if held.len() >= LINE_MAX {
            return Next::Close;
        }
        match tokio::time::timeout(limit, stream.read_buf(&mut held)).await {
            Ok(Ok(1..)) => {}
            _ => return Next::Close,
        }
    }
}

/// Sends on what comes to a ring until the client says anything, ends, or nothing comes for `limit`: what closes the
/// answer; `None` when the client is gone. An empty line is the key that was pressed, anything else the next command.
async fn follow(
    session: &mut Session,
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    held: &mut Vec<u8>,
    limit: Duration,
) -> Option<crate::cli::Output> {
    while let Some((ring, at)) = &mut session.following {
        if !held.is_empty() {
            break;
        }
        let news = tokio::select! {
            () = ring.reached(*at) => true,
            read = stream.read_buf(held) => {
                read.ok()?;
                false
            }
            () = tokio::time::sleep(limit) => false,
        };
        if !news {
            break;
        }
        let (text, next) = ring.text(*at);
        *at = next;
        tokio::time::timeout(limit, stream.write_all(text.as_bytes())).await.ok()?.ok()?;
    }
    let key = held.iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
    held.drain(..key);
    Some(session.stop_following())
}
