//! The sockets of `log-forward` sections: datagrams, and streams with or without TLS.
//!
//! Invariant: each socket has a thread of its own, which ends with the generation; a connection that breaks takes no
//! other with it.
//!
//! Absent on purpose: what a message is (`forward.rs`), and where it leads (`send.rs`).

use super::forward::{Frame, LogForward, MESSAGE_MAX, frame};
use crate::config::model::{Bind, BindAddress};
use crate::fetch::conn::FAULTS;
use crate::runtime::Generation;
use crate::stream::handshake::fault_of;
use crate::stream::txn::Peer;
use socket2::{Domain, SockAddr, Socket, Type};
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// How often a listener looks whether it is still wanted.
const LOOK: Duration = Duration::from_millis(500);
/// Pause where there are too many connections, or no descriptors.
const PAUSE: Duration = Duration::from_millis(50);
/// Bytes that are read at once.
const READ: usize = 16 << 10;
/// Length of accept queues where the section does not say.
pub const BACKLOG: u32 = 1024;

/// Sockets of all sections.
#[derive(Debug, Default)]
pub struct Ears {
    /// With their section's index.
    datagrams: Vec<(usize, Socket)>,
    /// With their section's index and their place among its lines.
    streams: Vec<(usize, usize, OwnedFd)>,
}

impl Ears {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.datagrams.is_empty() && self.streams.is_empty()
    }

    /// Takes a listening socket of a section in.
    pub fn add(&mut self, section: usize, bind: usize, fd: OwnedFd) {
        self.streams.push((section, bind, fd));
    }

    /// Binds the sockets of all sections that take datagrams; faults are told by section and address.
    pub fn open(sections: &[LogForward]) -> (Self, Vec<String>) {
        let (mut ears, mut faults) = (Self::default(), Vec::new());
        for (index, section) in sections.iter().enumerate() {
            for bind in &section.datagrams {
                match datagram(bind) {
                    Ok(socket) => ears.datagrams.push((index, socket)),
                    Err(e) => {
                        let why = e.raw_os_error().map_or_else(
                            || e.to_string(),
                            |code| nix::errno::Errno::from_raw(code).desc().to_owned(),
                        );
                        let address = match &bind.address {
                            BindAddress::Inet(address) => format!("{}:{}", address.ip(), address.port()),
                            BindAddress::Unix(path) => path.display().to_string(),
                            _ => bind.text.clone(),
                        };
                        let text = format!("cannot bind socket ({why}) for [{address}]");
                        faults.push(format!("Starting proxy {}: {text}", section.name));
                    }
                }
            }
        }
        (ears, faults)
    }

    /// Listens, each socket on a thread of its own, for as long as the generation is there.
    pub fn listen(self, generation: &Arc<Generation>) {
        let weak = Arc::downgrade(generation);
        for (index, socket) in self.datagrams {
            let weak = Weak::clone(&weak);
            spawn(move || hear(&weak, index, &socket));
        }
        let open: Vec<_> =
            generation.config.log_forwards.iter().map(|_| Arc::<AtomicUsize>::default()).collect();
        for (section, bind, fd) in self.streams {
            let ear = Ear { generation: Weak::clone(&weak), section, bind, open: Arc::clone(&open[section]) };
            spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                let Ok(runtime) = runtime else { return };
                // Without its socket nobody is heard, as without the thread.
                let _ = tokio::task::LocalSet::new().block_on(&runtime, ear.run(fd));
            });
        }
    }
}

/// Without a thread messages are lost, as they would be without a listener.
fn spawn(run: impl FnOnce() + Send + 'static) {
    let _ = std::thread::Builder::new().name("log-forward".into()).spawn(run);
}

fn datagram(bind: &Bind) -> io::Result<Socket> {
    let socket = match &bind.address {
        BindAddress::Inet(address) => {
            let socket = Socket::new(Domain::for_address(*address), Type::DGRAM, None)?;
            socket.set_reuse_address(true)?;
            let _ = socket.set_reuse_port(true);
            if address.is_ipv6() && (bind.v4v6 || bind.v6only) {
                socket.set_only_v6(bind.v6only)?;
            }
            if bind.transparent {
                if address.is_ipv6() {
                    socket.set_freebind_v6(true)?;
                } else {
                    socket.set_ip_transparent_v4(true)?;
                }
            }
            if let Some(device) = &bind.interface {
                socket.bind_device(Some(device.as_bytes()))?;
            }
            socket.bind(&(*address).into())?;
            socket
        }
        BindAddress::Unix(path) => {
            let socket = Socket::new(Domain::UNIX, Type::DGRAM, None)?;
            // What an earlier process left is in the way.
            let _ = std::fs::remove_file(path);
            socket.bind(&SockAddr::unix(path)?)?;
            socket
        }
        _ => return Err(io::ErrorKind::Unsupported.into()),
    };
    socket.set_read_timeout(Some(LOOK))?;
    Ok(socket)
}

fn hear(generation: &Weak<Generation>, index: usize, mut socket: &Socket) {
    let mut buffer = vec![0; MESSAGE_MAX];
    while generation.strong_count() > 0 {
        if let Ok(n) = socket.read(&mut buffer)
            && let Some(generation) = generation.upgrade()
        {
            super::send::relay(&generation, index, &buffer[..n]);
        }
    }
}

/// A connection's bytes.
trait Bytes: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Bytes for T {}

/// A listening socket.
enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    fn new(fd: OwnedFd) -> io::Result<Self> {
        let socket = Socket::from(fd);
        socket.set_nonblocking(true)?;
        Ok(if socket.local_addr()?.is_unix() {
            Self::Unix(UnixListener::from_std(socket.into())?)
        } else {
            Self::Tcp(TcpListener::from_std(socket.into())?)
        })
    }

    async fn accept(&self) -> io::Result<(Box<dyn Bytes>, Peer)> {
        Ok(match self {
            Self::Tcp(listener) => {
                let (stream, from) = listener.accept().await?;
                (Box::new(stream), Peer::Inet(from))
            }
            Self::Unix(listener) => (Box::new(listener.accept().await?.0), Peer::Unix),
        })
    }
}

/// One listening socket, and who is heard through it.
#[derive(Clone)]
struct Ear {
    generation: Weak<Generation>,
    section: usize,
    bind: usize,
    /// Connections of the section.
    open: Arc<AtomicUsize>,
}

impl Ear {
    async fn run(self, fd: OwnedFd) -> io::Result<()> {
        let listener = Listener::new(fd)?;
        let mut sessions = JoinSet::new();
        while let Some(strong) = self.generation.upgrade() {
            let section = &strong.config.log_forwards[self.section];
            let own = section.streams[self.bind].maxconn.filter(|n| *n > 0);
            let (most, own) = (section.maxconn, own.unwrap_or(usize::MAX));
            drop(strong);
            while sessions.try_join_next().is_some() {}
            if self.open.load(Relaxed) >= most || sessions.len() >= own {
                // The kernel keeps who is too many until another is gone.
                sleep(PAUSE).await;
                continue;
            }
            match timeout(LOOK, listener.accept()).await {
                Ok(Ok((stream, from))) => {
                    self.open.fetch_add(1, Relaxed);
                    let ear = self.clone();
                    sessions.spawn_local(async move {
                        // A connection that breaks has nobody to be told.
                        let _ = ear.session(stream, &from).await;
                        ear.open.fetch_sub(1, Relaxed);
                    });
                }
                Ok(Err(_)) => sleep(PAUSE).await,
                Err(_) => {}
            }
        }
        Ok(())
    }

    /// A connection from its begin, counted.
    async fn session(&self, stream: Box<dyn Bytes>, from: &Peer) -> io::Result<()> {
        let Some(generation) = self.generation.upgrade() else { return Ok(()) };
        let now = generation.board.clock().mono_ms;
        let process = &generation.board.process;
        process.cum_conns.fetch_add(1, Relaxed);
        process.conn_rate.add(now, 1);
        process.cur_conns.fetch_add(1, Relaxed);
        let board = Arc::clone(&generation.board);
        let done = self.secure(generation, stream, from).await;
        board.process.cur_conns.fetch_sub(1, Relaxed);
        done
    }

    async fn secure(
        &self,
        generation: Arc<Generation>,
        stream: Box<dyn Bytes>,
        from: &Peer,
    ) -> io::Result<()> {
        let section = &generation.config.log_forwards[self.section];
        let patience = section.timeout_client.filter(|t| !t.is_zero());
        if section.streams[self.bind].tls.is_none() {
            drop(generation);
            return self.hear(stream, patience).await;
        }
        let server = generation.tls.forwards.get(self.section).and_then(|f| f.get(self.bind)?.clone());
        let board = Arc::clone(&generation.board);
        drop(generation);
        let Some(server) = server else { return Err(io::ErrorKind::NotConnected.into()) };
        board.process.ssl_rate.add(board.clock().mono_ms, 1);
        board.process.cum_ssl_conns.fetch_add(1, Relaxed);
        board.process.ssl_conns.fetch_add(1, Relaxed);
        let done = async {
            let since = SystemTime::now();
            let shaken = within(patience, server.accept(stream)).await;
            let shaken = shaken.and_then(|done| done.map_err(|failed| failed.error));
            let accepted = shaken.inspect_err(|e| self.tell(from, since, fault_of(e)))?;
            if accepted.stream.get_ref().1.handshake_kind() != Some(rustls::HandshakeKind::Resumed) {
                board.process.ssl_front_keys.add(board.clock().mono_ms, 1);
            }
            self.hear(accepted.stream, patience).await
        };
        let done = done.await;
        board.process.ssl_conns.fetch_sub(1, Relaxed);
        done
    }

    /// Tells the targets why a connection went.
    fn tell(&self, from: &Peer, since: SystemTime, fault: u8) {
        let Some(generation) = self.generation.upgrade() else { return };
        let section = &generation.config.log_forwards[self.section];
        let bind = &section.streams[self.bind];
        let number = || bind.id.map_or(self.bind as u64 + 1, u64::from).to_string();
        let name = bind.name.clone().unwrap_or_else(number);
        let mut line = Vec::new();
        super::tag::head_of(from, since, &mut line);
        line.extend_from_slice(format!("{}/{name}: {}", section.name, FAULTS[usize::from(fault)]).as_bytes());
        super::send::told(&generation, self.section, &line);
    }

    /// Passes on what comes, to the end of the connection.
    async fn hear(&self, mut client: impl Bytes, patience: Option<Duration>) -> io::Result<()> {
        let mut kept = Vec::new();
        let mut buffer = vec![0; READ];
        loop {
            let n = within(patience, client.read(&mut buffer)).await??;
            let Some(generation) = self.generation.upgrade().filter(|_| n > 0) else { return Ok(()) };
            kept.extend_from_slice(&buffer[..n]);
            let mut at = 0;
            loop {
                match frame(&kept[at..]) {
                    Frame::Whole { message, len } => {
                        super::send::relay(&generation, self.section, message);
                        at += len;
                    }
                    Frame::Part => break,
                    Frame::Bad => return Ok(()),
                }
            }
            kept.drain(..at);
        }
    }
}

/// What a future gives, in time where there is one.
async fn within<F: Future>(patience: Option<Duration>, future: F) -> io::Result<F::Output> {
    match patience {
        Some(patience) => timeout(patience, future).await.map_err(|_| io::ErrorKind::TimedOut.into()),
        None => Ok(future.await),
    }
}
