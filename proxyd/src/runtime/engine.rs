//! The threads: each a current-thread runtime of its own, with tasks that never leave it.
//!
//! A bind line's socket is watched by one thread, which hands each connection to the thread that has the fewest.
//! So load is even at any number of connections, and no two threads wake up for one of them.
//!
//! Invariant: after [`Engine::stop_accepting`] no connection is taken; those that are there go on.
//!
//! Absent on purpose: signals, files, and the command line (the process model's).

use crate::config::model::ProxyId;
use crate::runtime::board::Board;
use crate::runtime::worker::{PURGE_EVERY, Worker};
use crate::runtime::{Generation, buffers, clock, timers};
use crate::stream::park;
use arc_swap::ArcSwap;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::atomic::{
    AtomicBool, AtomicU64, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};

/// A listening socket and whose it is.
#[derive(Debug)]
pub struct Listening {
    /// The descriptor, listening and non-blocking.
    pub fd: OwnedFd,
    /// Its frontend.
    pub frontend: ProxyId,
    /// Index of the bind line in the frontend.
    pub bind: usize,
}

/// An accepted connection on its way to its thread.
#[derive(Debug)]
pub enum Accepted {
    /// TCP.
    Tcp(std::net::TcpStream, std::net::SocketAddr),
    /// A Unix socket.
    Unix(std::os::unix::net::UnixStream),
}

#[derive(Debug)]
enum Job {
    Listen(Listening),
    Client { accepted: Accepted, frontend: ProxyId, bind: usize, at: Instant },
}

#[derive(Debug)]
struct Thread {
    jobs: mpsc::UnboundedSender<Job>,
    load: AtomicUsize,
}

/// What all threads share.
#[derive(Debug)]
pub struct Engine {
    /// The configuration in force.
    pub generation: ArcSwap<Generation>,
    /// Its number, for those who only ask whether theirs is still in force.
    pub generation_number: AtomicU64,
    threads: Vec<Thread>,
    /// A soft stop is under way: keep-alive ends with the next response.
    pub stopping: AtomicBool,
    /// When it began.
    pub stopped_at: OnceLock<Instant>,
    quit: watch::Sender<Phase>,
    connections_max: usize,
    /// Connections of clients now.
    pub connections: AtomicUsize,
    /// Listening sockets that are watched now.
    pub watched: AtomicUsize,
    /// When it started; milliseconds of rates count from here.
    pub started: Instant,
}

/// How far the end is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Running,
    /// No new connections.
    Draining,
    /// The threads end now.
    Ended,
}

/// The running engine.
#[derive(Debug)]
pub struct Running {
    /// What the threads share.
    pub engine: Arc<Engine>,
    joins: Vec<JoinHandle<()>>,
}

/// Starts the threads on a generation with its listening sockets. `connections_max` bounds clients over all
/// threads (`maxconn`).
pub fn start(
    generation: Arc<Generation>,
    listening: Vec<Listening>,
    threads: usize,
    connections_max: usize,
) -> io::Result<Running> {
    crate::stats::tally::threads(threads);
    let (quit, _) = watch::channel(Phase::Running);
    let (mut handles, mut inboxes) = (Vec::new(), Vec::new());
    for _ in 0..threads.max(1) {
        let (jobs, inbox) = mpsc::unbounded_channel();
        handles.push(Thread { jobs, load: AtomicUsize::new(0) });
        inboxes.push(inbox);
    }
    // Rules and statistics read rates by the board's clock.
    let started = generation.board.info.started;
    let engine = Arc::new(Engine {
        generation_number: AtomicU64::new(generation.number),
        generation: ArcSwap::new(generation),
        threads: handles,
        stopping: AtomicBool::new(false),
        stopped_at: OnceLock::new(),
        quit,
        connections_max,
        connections: AtomicUsize::new(0),
        watched: AtomicUsize::new(0),
        started,
    });
    let mut joins = Vec::new();
    for (index, inbox) in inboxes.into_iter().enumerate() {
        let engine = Arc::clone(&engine);
        let thread = std::thread::Builder::new().name(format!("proxyd/{index}"));
        joins.push(thread.spawn(move || run(index, engine, inbox))?);
    }
    joins.push(super::checks::start(&engine)?);
    joins.extend(crate::resolve::task::start(&engine)?);
    let running = Running { engine, joins };
    running.engine.listen(listening);
    Ok(running)
}

impl Running {
    /// Whether all threads have ended.
    pub fn is_finished(&self) -> bool {
        self.joins.iter().all(JoinHandle::is_finished)
    }

    /// Ends the threads with what they hold, and waits for them.
    pub fn end(self) {
        self.engine.quit.send_replace(Phase::Ended);
        for join in self.joins {
            // A thread that panicked has told so already.
            let _ = join.join();
        }
    }
}

impl Engine {
    /// Watches more listening sockets, spread over the threads.
    pub fn listen(&self, listening: Vec<Listening>) {
        for (i, one) in listening.into_iter().enumerate() {
            self.watched.fetch_add(1, Relaxed);
            if self.threads[i % self.threads.len()].jobs.send(Job::Listen(one)).is_err() {
                self.watched.fetch_sub(1, Relaxed);
            }
        }
    }

    /// Takes no more connections; keep-alive connections end with their next response.
    pub fn stop_accepting(&self) {
        let _ = self.stopped_at.set(Instant::now());
        self.stopping.store(true, Relaxed);
        self.quit.send_if_modified(|p| {
            let changed = *p < Phase::Draining;
            *p = (*p).max(Phase::Draining);
            changed
        });
    }

    /// Waits until a soft stop begins.
    pub async fn draining(&self) {
        let _ = self.quit.subscribe().wait_for(|p| *p >= Phase::Draining).await;
    }

    /// Whether a soft stop is through: nothing is taken any more, and nobody is left.
    pub fn is_drained(&self) -> bool {
        // In this order: a socket's last connections are counted before it is given up.
        self.watched.load(Acquire) == 0 && self.connections.load(Relaxed) == 0
    }

    /// Whether the threads were told to end.
    pub fn is_ended(&self) -> bool {
        *self.quit.borrow() == Phase::Ended
    }

    /// Milliseconds since the start, for rates.
    pub fn ms(&self, at: Instant) -> u64 {
        timers::whole_ms(at.saturating_duration_since(self.started))
    }

    fn least_loaded(&self, first: usize) -> usize {
        let load = |i: usize| self.threads[i].load.load(Relaxed);
        (0..self.threads.len())
            .map(|n| (first + n) % self.threads.len())
            .min_by_key(|i| load(*i))
            .unwrap_or(first)
    }
}

fn run(index: usize, engine: Arc<Engine>, inbox: mpsc::UnboundedReceiver<Job>) {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_io().enable_time();
    let Ok(runtime) = builder.build_local(tokio::runtime::LocalOptions::default()) else { return };
    buffers::configure(engine.generation.load().config.global.tune.bufsize);
    let mut quit = engine.quit.subscribe();
    let answering = engine.generation.load().board.streams.join();
    let worker = Rc::new(Worker::new(index, engine));
    runtime.block_on(async {
        tokio::task::spawn_local(timers::drive());
        tokio::task::spawn_local(answering.serve(Rc::clone(&worker)));
        tokio::task::spawn_local(purge(Rc::clone(&worker)));
        tokio::task::spawn_local(clock::ticking(park::drive(Rc::clone(&worker))));
        tokio::task::spawn_local(serve(Rc::clone(&worker), inbox));
        let _ = quit.wait_for(|p| *p == Phase::Ended).await;
        worker.lot.close_all(&worker);
    });
}

/// Closes server connections that were idle for too long, and puts clients' connections away that only wait.
async fn purge(worker: Rc<Worker>) {
    let mut purged = Instant::now();
    loop {
        let look = if worker.streams.is_empty() { PURGE_EVERY } else { park::LOOK_EVERY };
        tokio::time::sleep(look).await;
        let now = Instant::now();
        worker.streams.ask_waiting(now, Some(park::AFTER));
        if now.saturating_duration_since(purged) >= PURGE_EVERY {
            purged = now;
            worker.trim();
            worker.purge(&worker.engine.generation.load(), now);
        }
    }
}

async fn serve(worker: Rc<Worker>, mut inbox: mpsc::UnboundedReceiver<Job>) {
    while let Some(job) = inbox.recv().await {
        match job {
            Job::Listen(listening) => {
                let worker = Rc::clone(&worker);
                tokio::task::spawn_local(async move {
                    let engine = Arc::clone(&worker.engine);
                    accept(worker, listening).await;
                    engine.watched.fetch_sub(1, Release);
                });
            }
            Job::Client { accepted, frontend, bind, at } => {
                clock::tick();
                begin(&worker, accepted, frontend, bind, at);
            }
        }
    }
}

enum Listener {
    Tcp(tokio::net::TcpListener),
    Unix(tokio::net::UnixListener),
}

impl Listener {
    fn new(fd: OwnedFd) -> io::Result<Self> {
        let socket = socket2::Socket::from(fd);
        if socket.local_addr()?.is_unix() {
            let listener = std::os::unix::net::UnixListener::from(OwnedFd::from(socket));
            return Ok(Self::Unix(tokio::net::UnixListener::from_std(listener)?));
        }
        Ok(Self::Tcp(tokio::net::TcpListener::from_std(socket.into())?))
    }

    /// A connection that waits already, without waiting for one. The socket is asked itself: the runtime may not
    /// have heard of it yet.
    fn waiting(&self) -> io::Result<Taken> {
        let socket = match self {
            Self::Tcp(l) => socket2::SockRef::from(l),
            Self::Unix(l) => socket2::SockRef::from(l),
        };
        let (accepted, peer) = socket.accept()?;
        accepted.set_nonblocking(true)?;
        if matches!(self, Self::Unix(_)) {
            let stream = std::os::unix::net::UnixStream::from(OwnedFd::from(accepted));
            return Ok(Taken::Unix(tokio::net::UnixStream::from_std(stream)?));
        }
        let peer = peer.as_socket().ok_or(io::ErrorKind::InvalidData)?;
        Ok(Taken::Tcp(tokio::net::TcpStream::from_std(accepted.into())?, peer))
    }

    /// Frees the address, whoever else holds a copy of the socket.
    fn stop(&self) {
        let socket = match self {
            Self::Tcp(l) => socket2::SockRef::from(l),
            Self::Unix(l) => socket2::SockRef::from(l),
        };
        let _ = socket.shutdown(std::net::Shutdown::Both);
    }
}

/// Connections taken at most from a socket that is about to be closed: no queue of the kernel is longer.
const QUEUE_MAX: usize = 65_535;
/// Pause after the kernel refused a connection for want of resources.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

async fn accept(worker: Rc<Worker>, listening: Listening) {
    let engine = Arc::clone(&worker.engine);
    let (frontend, bind) = (listening.frontend, listening.bind);
    let Ok(listener) = Listener::new(listening.fd) else { return };
    let mut quit = engine.quit.subscribe();
    let board = Arc::clone(&engine.generation.load().board);
    loop {
        let one = tokio::select! {
            biased;
            phase = quit.wait_for(|p| *p >= Phase::Draining) => {
                let soft = phase.is_ok_and(|p| *p == Phase::Draining);
                if soft {
                    empty(&worker, &listener, frontend, bind);
                }
                return;
            }
            one = next(&worker, &board, &listener, (frontend, bind)) => one,
        };
        match one {
            Ok(Fresh::Shut) => return listener.stop(),
            Ok(Fresh::Tcp(stream, peer)) => hand_out(&worker, Taken::Tcp(stream, peer), frontend, bind),
            Ok(Fresh::Unix(stream)) => hand_out(&worker, Taken::Unix(stream), frontend, bind),
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

/// Takes what waits in a socket's queue, before the socket is closed: the kernel would reset it.
fn empty(worker: &Rc<Worker>, listener: &Listener, frontend: ProxyId, bind: usize) {
    let engine = &worker.engine;
    for _ in 0..QUEUE_MAX {
        if engine.connections.load(Relaxed) >= engine.connections_max {
            return;
        }
        match listener.waiting() {
            Ok(taken) => hand_out(worker, taken, frontend, bind),
            Err(_) => return,
        }
    }
}

/// Gives a connection to the thread that has the fewest.
fn hand_out(worker: &Rc<Worker>, taken: Taken, frontend: ProxyId, bind: usize) {
    let engine = &worker.engine;
    let at = clock::tick();
    let index = engine.least_loaded(worker.index);
    engine.threads[index].load.fetch_add(1, Relaxed);
    engine.connections.fetch_add(1, Relaxed);
    crate::stream::accept::enter(&engine.generation.load(), frontend, bind);
    if index == worker.index {
        match taken {
            Taken::Tcp(stream, peer) => {
                crate::stream::accept::tcp(worker, stream, peer, frontend, bind, at);
            }
            Taken::Unix(stream) => crate::stream::accept::unix(worker, stream, frontend, bind, at),
        }
        return;
    }
    let accepted = match taken {
        Taken::Tcp(stream, peer) => stream.into_std().map(|s| Accepted::Tcp(s, peer)),
        Taken::Unix(stream) => stream.into_std().map(Accepted::Unix),
    };
    if let Ok(accepted) = accepted {
        let _ = engine.threads[index].jobs.send(Job::Client { accepted, frontend, bind, at });
    }
}

/// A connection that was accepted on this thread.
enum Taken {
    Tcp(tokio::net::TcpStream, std::net::SocketAddr),
    Unix(tokio::net::UnixStream),
}

enum Fresh {
    Tcp(tokio::net::TcpStream, std::net::SocketAddr),
    Unix(tokio::net::UnixStream),
    /// `shutdown frontend` ended the listener.
    Shut,
}

/// Waits for room under the limits, then for a connection: what has no room waits in the kernel's queue.
async fn next(
    worker: &Worker,
    board: &Board,
    listener: &Listener,
    (frontend, bind): (ProxyId, usize),
) -> io::Result<Fresh> {
    let engine = &worker.engine;
    loop {
        // Before the limits are looked at, so that no change is missed.
        let changed = board.limits_changed.notified();
        let generation = engine.generation.load();
        let Some(proxy) = generation.config.proxies.get(frontend.0) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let state = &generation.proxies[frontend.0];
        // What the command line set goes before the configuration.
        let set = Some(state.maxconn.load(Relaxed)).filter(|m| *m > 0);
        let limit = set.or(proxy.maxconn.map(|m| m as u64));
        let all = match generation.board.info.maxconn.load(Relaxed) as usize {
            0 => engine.connections_max,
            set => set.min(engine.connections_max),
        };
        let full = engine.connections.load(Relaxed) >= all
            || limit.is_some_and(|m| state.front.cur_conn.load(Relaxed) >= m)
            || state.stopped.load(Relaxed);
        let secure = crate::stream::accept::is_secure(&generation, frontend, bind);
        let most = board.limits.tls_connections.load(Relaxed);
        let full = full || (secure && most > 0 && board.process.ssl_conns.load(Relaxed) >= most);
        let limited = proxy.rate_limit_sessions > 0
            && state.front.rates.sess.read(engine.ms(Instant::now())) >= u64::from(proxy.rate_limit_sessions);
        if state.shut.load(Relaxed) {
            return Ok(Fresh::Shut);
        }
        let limited = limited || over_rate(&generation, engine, secure);
        drop(generation);
        if full || limited {
            tokio::time::sleep(Duration::from_millis(5)).await;
            continue;
        }
        let accepted = async {
            match listener {
                Listener::Tcp(l) => l.accept().await.map(|(s, p)| Fresh::Tcp(s, p)),
                Listener::Unix(l) => l.accept().await.map(|(s, _)| Fresh::Unix(s)),
            }
        };
        tokio::select! {
            biased;
            one = accepted => return one,
            () = changed => {}
        }
    }
}

/// Whether the whole process took as many connections or sessions within a second as it may.
fn over_rate(generation: &Generation, engine: &Engine, secure: bool) -> bool {
    let (limits, process) = (&generation.board.limits, &generation.board.process);
    let over = |limit: &AtomicU64, rate: &crate::stats::rate::Rate| {
        let limit = limit.load(Relaxed);
        limit > 0 && rate.read(engine.ms(Instant::now())) >= limit
    };
    over(&limits.connections, &process.conn_rate)
        || over(&limits.sessions, &process.sess_rate)
        || (secure && over(&limits.tls_sessions, &process.ssl_rate))
}

fn begin(worker: &Rc<Worker>, accepted: Accepted, frontend: ProxyId, bind: usize, at: Instant) {
    match accepted {
        Accepted::Tcp(stream, peer) => match tokio::net::TcpStream::from_std(stream) {
            Ok(stream) => crate::stream::accept::tcp(worker, stream, peer, frontend, bind, at),
            Err(_) => lost(worker, frontend, bind),
        },
        Accepted::Unix(stream) => match tokio::net::UnixStream::from_std(stream) {
            Ok(stream) => crate::stream::accept::unix(worker, stream, frontend, bind, at),
            Err(_) => lost(worker, frontend, bind),
        },
    }
}

/// A connection that could not be watched by its thread.
fn lost(worker: &Worker, frontend: ProxyId, bind: usize) {
    let generation = worker.engine.generation.load();
    if crate::stream::accept::is_secure(&generation, frontend, bind) {
        generation.board.process.ssl_conns.fetch_sub(1, Relaxed);
    }
    crate::stream::accept::leave(&generation, frontend);
    ended(worker);
}

/// Says that a connection of this thread ended.
pub fn ended(worker: &Worker) {
    worker.engine.threads[worker.index].load.fetch_sub(1, Relaxed);
    worker.engine.connections.fetch_sub(1, Relaxed);
}
