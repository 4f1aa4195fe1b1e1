//! The sockets of the resolver: one UDP socket or TCP connection for each name server, in a thread of its own.
//!
//! Invariant: what a name server says reaches the core with that server's index only; the kernel drops datagrams of
//! others, since each socket is connected.
//!
//! Absent on purpose: everything that is decided (`core.rs`, `book.rs`).

use super::Request;
use super::book::{Book, Out};
use super::core::Input;
use super::wire;
use crate::config::model::{Config, Nameserver};
use crate::runtime::engine::Engine;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::mpsc;

/// How often a new generation, or the end, is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// The largest message.
const MESSAGE_MAX: usize = 65_535;
/// Messages that wait for one name server; more count as not sent.
const QUEUE_MAX: usize = 1_024;
/// How long a connection to a name server may take.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// Pause after a connection that failed.
const CONNECT_PAUSE: Duration = Duration::from_secs(1);

/// Whether anything in a configuration asks for names at run time.
fn is_wanted(config: &Config) -> bool {
    let servers = config.proxies.iter().flat_map(|p| &p.servers);
    servers.into_iter().any(|s| s.resolvers.is_some()) || !config.refs.resolvers.is_empty()
}

/// Starts the thread, where a configuration has something for it to do.
pub fn start(engine: &Arc<Engine>) -> std::io::Result<Option<JoinHandle<()>>> {
    let generation = engine.generation.load_full();
    if !is_wanted(&generation.config) {
        return Ok(None);
    }
    let (requests, inbox) = mpsc::unbounded_channel();
    if generation.board.resolvers.requests.set(requests).is_err() {
        // One runs already on this board.
        return Ok(None);
    }
    let engine = Arc::clone(engine);
    let thread = std::thread::Builder::new().name("proxyd/resolve".into());
    let run = move || {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
        runtime.block_on(supervise(engine, inbox));
    };
    thread.spawn(run).map(Some)
}

/// What name servers said, or did not get: section, server, input.
type Event = (usize, Input);

async fn supervise(engine: Arc<Engine>, mut requests: mpsc::UnboundedReceiver<Request>) {
    while !engine.is_ended() {
        let generation = engine.generation.load_full();
        let (events, mut inbox) = mpsc::channel(QUEUE_MAX);
        let mut lines = Lines::open(&generation.config, &events);
        let mut book = Book::new(Arc::clone(&generation), || Box::new(rand::random));
        let mut out = Out::default();
        book.open(Instant::now(), &mut out);
        let mut look = tokio::time::interval(LOOK_EVERY);
        while !engine.is_ended() && engine.generation.load().number == generation.number {
            lines.apply(&mut book, &mut out);
            if !out.notices.is_empty() {
                crate::log::notices(&generation, &out.notices);
                crate::log::on_stderr(&out.notices);
                out.notices.clear();
            }
            tokio::select! {
                biased;
                event = inbox.recv() => if let Some((section, input)) = event {
                    book.input(section, Instant::now(), input, &mut out);
                },
                request = requests.recv() => if let Some(request) = request {
                    book.request(Instant::now(), request, &mut out);
                },
                () = sansio::driver::sleep_until(book.deadline()) => book.pass(Instant::now(), &mut out),
                _ = look.tick() => {}
            }
        }
    }
}

/// The ways to the name servers, by section and server.
struct Lines {
    ways: Vec<Vec<mpsc::Sender<Vec<u8>>>>,
    tasks: tokio::task::JoinSet<()>,
}

impl Lines {
    fn open(config: &Config, events: &mpsc::Sender<Event>) -> Self {
        let mut tasks = tokio::task::JoinSet::new();
        let mut ways = Vec::new();
        for (s, section) in config.resolvers.iter().enumerate() {
            let mut row = Vec::new();
            for (n, server) in section.nameservers.iter().enumerate() {
                let (way, outbox) = mpsc::channel(QUEUE_MAX);
                let line =
                    Line { section: s, index: n, server: server.clone(), outbox, events: events.clone() };
                if server.tcp {
                    tasks.spawn(line.tcp());
                } else {
                    tasks.spawn(line.udp());
                }
                row.push(way);
            }
            ways.push(row);
        }
        Self { ways, tasks }
    }

    fn apply(&mut self, book: &mut Book, out: &mut Out) {
        // What could not be sent is an input, after which there may be more to send.
        while !out.sends.is_empty() {
            for (section, server, bytes) in std::mem::take(&mut out.sends) {
                let id = wire::id_of(&bytes);
                let way = self.ways.get(section).and_then(|row| row.get(server));
                let sent = way.is_some_and(|way| way.try_send(bytes).is_ok());
                if let (false, Some(id)) = (sent, id) {
                    book.input(section, Instant::now(), Input::Unsent(server, id), out);
                }
            }
        }
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.tasks.abort_all();
    }
}

/// One way to a name server.
struct Line {
    section: usize,
    index: usize,
    server: Nameserver,
    outbox: mpsc::Receiver<Vec<u8>>,
    events: mpsc::Sender<Event>,
}

impl Line {
    async fn unsent(&self, bytes: &[u8]) {
        if let Some(id) = wire::id_of(bytes) {
            // The other end goes with the process only.
            let _ = self.events.send((self.section, Input::Unsent(self.index, id))).await;
        }
    }

    async fn came(&self, bytes: Vec<u8>) {
        let _ = self.events.send((self.section, Input::Packet(self.index, bytes))).await;
    }

    async fn udp(mut self) {
        let any: IpAddr = match self.server.address {
            std::net::SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            std::net::SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let mut socket = None;
        let mut buffer = vec![0; MESSAGE_MAX];
        loop {
            let Some(open) = &socket else {
                // Made with the first question, so that a section nobody uses costs nothing.
                let Some(first) = self.outbox.recv().await else { return };
                let made = async {
                    let socket = UdpSocket::bind((any, 0)).await?;
                    socket.connect(self.server.address).await?;
                    socket.send(&first).await?;
                    Ok::<_, std::io::Error>(socket)
                };
                match made.await {
                    Ok(made) => socket = Some(made),
                    Err(_) => self.unsent(&first).await,
                }
                continue;
            };
            tokio::select! {
                bytes = self.outbox.recv() => {
                    let Some(bytes) = bytes else { return };
                    if open.send(&bytes).await.is_err() {
                        self.unsent(&bytes).await;
                    }
                }
                // An error is the news that an earlier question found nobody.
                got = open.recv(&mut buffer) => if let Ok(n) = got {
                    self.came(buffer[..n].to_vec()).await;
                },
            }
        }
    }

    async fn tcp(mut self) {
        loop {
            let Some(first) = self.outbox.recv().await else { return };
            let connecting = TcpStream::connect(self.server.address);
            let Ok(Ok(stream)) = tokio::time::timeout(CONNECT_MAX, connecting).await else {
                self.unsent(&first).await;
                tokio::time::sleep(CONNECT_PAUSE).await;
                continue;
            };
            // A connection that ends is made anew with the next question.
            let _ = self.talk(stream, first).await;
        }
    }

    /// Messages with their length before them (RFC 1035, 4.2.2), until the connection ends.
    async fn talk(&mut self, mut stream: TcpStream, first: Vec<u8>) -> std::io::Result<()> {
        stream.set_nodelay(true)?;
        let (reader, mut writer) = stream.split();
        let mut reader = tokio::io::BufReader::new(reader);
        let (mut head, mut filled) = ([0; 2], 0);
        let mut body: Option<(Vec<u8>, usize)> = None;
        let mut next = Some(first);
        loop {
            if let Some(bytes) = next.take() {
                let framed = [&(bytes.len() as u16).to_be_bytes()[..], &bytes].concat();
                if let Err(fault) = writer.write_all(&framed).await {
                    self.unsent(&bytes).await;
                    return Err(fault);
                }
            }
            let into = match &mut body {
                Some((bytes, at)) => &mut bytes[*at..],
                None => &mut head[filled..],
            };
            tokio::select! {
                bytes = self.outbox.recv() => match bytes {
                    Some(bytes) => next = Some(bytes),
                    None => return Ok(()),
                },
                got = reader.read(into) => {
                    let n = got?;
                    if n == 0 {
                        return Ok(());
                    }
                    match &mut body {
                        Some((_, at)) => *at += n,
                        None => filled += n,
                    }
                }
            }
            if filled == head.len() && body.is_none() {
                body = Some((vec![0; usize::from(u16::from_be_bytes(head))], 0));
            }
            if let Some((bytes, _)) = body.take_if(|(bytes, at)| *at == bytes.len()) {
                filled = 0;
                self.came(bytes).await;
            }
        }
    }
}
