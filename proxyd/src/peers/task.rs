//! The sockets of peers: one thread, a task for each peer that is dialled and for each that dials.
//!
//! Invariant: of two sessions with one peer the one that greeted last goes on; a process that stops has closed its
//! listener and all sessions before it tells the next process what it has.
//!
//! Absent on purpose: what is said (`session.rs`, `wire.rs`) and whom to ask (`resync.rs`).

use super::resync::Resync;
use super::session::{Fault, Progress, Session, Shared, Told};
use super::status::{Peer, Section, State, look};
use super::transport::{Secrets, Transport};
use super::wire::{self, class, control};
use crate::config::model::{BindAddress, Peers};
use crate::runtime::board::Board;
use crate::runtime::engine::Engine;
use crate::stick::clock_ms;
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// How often the end of the process, and of waits, is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Longest time for a connection and for the answer to a greeting.
const PATIENCE: Duration = Duration::from_secs(5);
/// Pause after an attempt that failed.
const AGAIN: Duration = Duration::from_secs(5);
/// Pause after a session, so that two peers that gave way to each other do not meet again: least and most, ms.
const APART_MS: (u64, u64) = (50, 2050);
/// Silence after which a sign of life is sent, and after which a peer counts as gone.
const HEARTBEAT: (Duration, Duration) = (Duration::from_secs(3), Duration::from_secs(5));
/// Bytes of a greeting at most.
const GREETING_MAX: usize = 1024;
/// Bytes that are read at once.
const READ: usize = 16 << 10;

/// What is known about the process before this one.
#[derive(Debug, Clone, Copy)]
pub struct Old {
    /// There is one, and it may tell what it has.
    pub replaced: bool,
}

/// Starts the thread, where a section is in force. Each listener comes with its section's index.
pub fn start(engine: &Arc<Engine>, listeners: Vec<(usize, OwnedFd)>, old: Old) -> io::Result<()> {
    let generation = engine.generation.load_full();
    let mut hubs = Vec::new();
    let mut listeners: Vec<_> = listeners.into_iter().map(|(n, fd)| (n, Some(fd))).collect();
    for (n, section) in generation.config.peers.iter().enumerate().filter(|(_, s)| !s.disabled) {
        let fd = listeners.iter_mut().find(|(of, _)| *of == n).and_then(|(_, fd)| fd.take());
        let tables = super::tables(&generation.config, section, &generation.board);
        let secrets = Secrets::of(&generation, n, section);
        let local_address = match section.local.as_ref().map(|b| &b.address) {
            Some(BindAddress::Inet(address)) => Some(*address),
            _ => None,
        };
        let mut peers: Vec<_> =
            section.remote.iter().map(|p| Peer::new(&p.name, false, Some(p.address))).collect();
        peers.push(Peer::new(&section.local_name, true, local_address));
        let names = tables.iter().map(|t| t.table.spec.name.clone()).collect();
        let shown = Section { name: section.name.clone(), tables: names, until: None, peers };
        let shown = generation.board.peers.add(shown);
        hubs.push((section.clone(), tables, local_address, shown, secrets, fd));
    }
    if hubs.is_empty() {
        return Ok(());
    }
    let engine = Arc::clone(engine);
    let run = move || {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
        let local = tokio::task::LocalSet::new();
        local.block_on(&runtime, async {
            let mut sections = JoinSet::new();
            for (section, tables, address, shown, secrets, fd) in hubs {
                let complete = engine.generation.load().board.peers.kept.load(Relaxed);
                let resync = Resync::new(Instant::now(), old.replaced, complete);
                let links = section.remote.iter().map(|_| Link::default()).collect();
                let board = Arc::clone(&engine.generation.load().board);
                let resync = resync.into();
                let hub = Hub { section, tables, address, links, resync, shown, secrets, board };
                sections.spawn_local(hub.run(Arc::clone(&engine), fd));
            }
            while sections.join_next().await.is_some() {}
        });
    };
    std::thread::Builder::new().name("proxyd/peers".into()).spawn(run).map(drop)
}

/// What sessions with one peer share.
#[derive(Default)]
struct Link {
    /// Grows with every session.
    epoch: Cell<u64>,
    active: Cell<bool>,
    changed: Notify,
    progress: RefCell<Vec<Progress>>,
}

/// One section.
struct Hub {
    section: Peers,
    tables: Vec<Shared>,
    address: Option<SocketAddr>,
    links: Vec<Link>,
    resync: RefCell<Resync>,
    shown: Arc<Mutex<Section>>,
    secrets: Secrets,
    board: Arc<Board>,
}

/// A greeting was answered with this.
enum Unwelcome {
    Status(u16),
    Io,
}

impl From<io::Error> for Unwelcome {
    fn from(_: io::Error) -> Self {
        Self::Io
    }
}

impl Hub {
    async fn run(self, engine: Arc<Engine>, listener: Option<OwnedFd>) {
        let hub = Rc::new(self);
        let board = Arc::clone(&engine.generation.load().board);
        let mut tasks = JoinSet::new();
        if let Some(Ok(listener)) = listener.map(listen) {
            tasks.spawn_local(Rc::clone(&hub).accept(listener));
        }
        for n in 0..hub.links.len() {
            tasks.spawn_local(Rc::clone(&hub).dial(n));
        }
        let mut tick = tokio::time::interval(LOOK_EVERY);
        while !engine.is_ended() && !board.process.stopping.load(Relaxed) {
            tick.tick().await;
            let mut resync = hub.resync.borrow_mut();
            resync.pass(Instant::now());
            look(&hub.shown).until = resync.deadline();
        }
        // The listener first, so that the next process gets what is said to its address.
        tasks.shutdown().await;
        if !engine.is_ended() && !board.peers.handed.load(Relaxed) {
            let _ = hub.tell_next().await;
        }
        board.peers.done();
    }

    fn shown(&self, n: usize, change: impl FnOnce(&mut Peer)) {
        if let Some(peer) = look(&self.shown).peers.get_mut(n) {
            change(peer);
        }
    }

    async fn accept(self: Rc<Self>, listener: TcpListener) {
        let mut sessions = JoinSet::new();
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    sessions.spawn_local(Rc::clone(&self).welcome(stream));
                }
                // Out of descriptors, mostly: it passes.
                Err(_) => tokio::time::sleep(LOOK_EVERY).await,
            }
            while sessions.try_join_next().is_some() {}
        }
    }

    /// Answers a greeting.
    async fn welcome(self: Rc<Self>, stream: TcpStream) {
        let shaken = timeout(PATIENCE, self.secrets.accept(stream, &self.board)).await;
        let Ok(Ok(mut stream)) = shaken else { return };
        let Ok(Ok(lines)) = timeout(PATIENCE, read_lines::<3>(&mut stream)).await else { return };
        let answer = self.who(&lines);
        let status = answer.err().unwrap_or(wire::status::OK);
        if stream.say(&format!("{status}\n")).await.is_err() {
            return;
        }
        if let Ok(who) = answer {
            self.talk(who, stream, true).await;
        }
    }

    /// Who greets; `None` is the process before this one.
    fn who(&self, lines: &[String; 3]) -> Result<Option<usize>, u16> {
        let version = lines[0].strip_prefix(wire::NAME).ok_or(wire::status::PROTOCOL)?;
        let major = |v: &str| v.trim().split('.').next().map(str::to_owned);
        if major(version) != major(wire::VERSION) {
            return Err(wire::status::VERSION);
        }
        if lines[1] != self.section.local_name {
            return Err(wire::status::LOCAL_NAME);
        }
        let name = lines[2].split(' ').next().unwrap_or_default();
        if name == self.section.local_name {
            return Ok(None);
        }
        let known = self.section.remote.iter().position(|p| p.name == name);
        known.map(Some).ok_or(wire::status::REMOTE_NAME)
    }

    /// Connects to a peer again and again, while it does not connect itself.
    async fn dial(self: Rc<Self>, n: usize) {
        let (link, peer) = (&self.links[n], &self.section.remote[n]);
        loop {
            while link.active.get() {
                link.changed.notified().await;
            }
            self.shown(n, |p| (p.state, p.again) = (State::Connecting, None));
            let pause = match self.greet(peer.address, &peer.name, Some(n)).await {
                Ok(_) if link.active.get() => Duration::ZERO,
                Ok(stream) => {
                    self.talk(Some(n), stream, false).await;
                    Duration::from_millis(rand::random_range(APART_MS.0..=APART_MS.1))
                }
                Err(_) if link.active.get() => Duration::ZERO,
                Err(unwelcome) => {
                    let state = match unwelcome {
                        Unwelcome::Status(status) => State::Refused(status),
                        Unwelcome::Io => State::Unreachable,
                    };
                    self.shown(n, |p| (p.state, p.again) = (state, Some(Instant::now() + AGAIN)));
                    AGAIN
                }
            };
            // Whoever dials in meanwhile saves the next attempt.
            let _ = timeout(pause, link.changed.notified()).await;
        }
    }

    /// Connects and greets: the peer with this number, or the process after this one.
    async fn greet(
        &self,
        address: SocketAddr,
        name: &str,
        who: Option<usize>,
    ) -> Result<Transport, Unwelcome> {
        let elapsed = |_| io::Error::from(io::ErrorKind::TimedOut);
        let stream = timeout(PATIENCE, TcpStream::connect(address)).await.map_err(elapsed)??;
        let shaken = timeout(PATIENCE, self.secrets.connect(stream, who, &self.board)).await;
        let mut stream = shaken.map_err(elapsed)??;
        let (me, pid) = (&self.section.local_name, std::process::id());
        stream.say(&format!("{} {}\n{name}\n{me} {pid} 1\n", wire::NAME, wire::VERSION)).await?;
        let [status] = timeout(PATIENCE, read_lines::<1>(&mut stream)).await.map_err(elapsed)??;
        match status.trim().parse() {
            Ok(wire::status::OK) => Ok(stream),
            Ok(status) => Err(Unwelcome::Status(status)),
            Err(_) => Err(Unwelcome::Io),
        }
    }

    /// A session with a peer, or with the process before this one, to its end.
    async fn talk(&self, who: Option<usize>, mut stream: Transport, accepted: bool) {
        // Small messages are not to wait for each other.
        let _ = stream.socket().set_nodelay(true);
        let Some(n) = who else {
            let session = Session::new(self.tables.clone(), &[], false);
            return self.converse(None, session, &mut stream, 0).await;
        };
        let link = &self.links[n];
        let epoch = link.epoch.get() + 1;
        link.epoch.set(epoch);
        let collides = link.active.replace(true);
        link.changed.notify_waiters();
        self.shown(n, |p| {
            (p.state, p.greeted) = (State::Established, Some(Instant::now()));
            p.sessions += 1;
            p.collisions += u32::from(collides);
            // The original tells ends of sessions that came alone.
            let ends = || Some((stream.socket().local_addr().ok()?, stream.socket().peer_addr().ok()?));
            p.ends = accepted.then(ends).flatten();
            p.secure = stream.is_secure();
        });
        let session = Session::new(self.tables.clone(), &link.progress.borrow(), true);
        self.converse(Some(n), session, &mut stream, epoch).await;
        if link.epoch.get() == epoch {
            link.active.set(false);
            self.resync.borrow_mut().lost(n, Instant::now());
            self.shown(n, |p| (p.state, p.ends) = (State::None, None));
            link.changed.notify_waiters();
        }
    }

    fn is_current(&self, who: Option<usize>, epoch: u64) -> bool {
        who.is_none_or(|n| self.links[n].epoch.get() == epoch)
    }

    async fn converse(&self, who: Option<usize>, mut session: Session, stream: &mut Transport, epoch: u64) {
        let mut talk = Talk::new(stream);
        let mut tick = tokio::time::interval(LOOK_EVERY);
        while self.is_current(who, epoch) {
            if let Some(n) = who
                && self.resync.borrow_mut().asks(n)
            {
                session.say(control::REQUEST);
            }
            let sure = self.resync.borrow().is_complete();
            tokio::select! {
                step = talk.step(&mut session, sure) => match step {
                    Ok(told) => self.told(who, &told),
                    Err(fault) => {
                        if let Some(n) = who.filter(|_| fault.is_some()) {
                            self.shown(n, |p| p.faults += 1);
                        }
                        break;
                    }
                },
                _ = tick.tick() => if talk.is_silent(&mut session) { break },
            }
            self.note(who, &session, &talk);
        }
        if let (Some(n), true) = (who, self.is_current(who, epoch)) {
            *self.links[n].progress.borrow_mut() = session.progress().to_vec();
        }
    }

    fn told(&self, who: Option<usize>, told: &[Told]) {
        let now = Instant::now();
        let mut resync = self.resync.borrow_mut();
        resync.goes_on(now);
        for told in told.iter().filter(|t| **t != Told::Confirmed) {
            let finished = *told == Told::Finished;
            match who {
                Some(n) => resync.told(n, finished, now),
                None => resync.old_told(finished, now),
            }
        }
    }

    fn note(&self, who: Option<usize>, session: &Session, talk: &Talk<'_>) {
        let Some(n) = who else { return };
        self.links[n].progress.borrow_mut().clone_from(&session.progress().to_vec());
        self.shown(n, |p| {
            p.heartbeats = talk.heartbeats;
            p.progress = session.progress().to_vec();
            let (ours, theirs) = session.names();
            if (ours.len(), theirs.len()) != (p.names.0.len(), p.names.1.len()) {
                p.names = (ours.to_vec(), theirs.to_vec());
            }
        });
    }

    /// Tells the process after this one everything.
    async fn tell_next(&self) -> Result<(), Unwelcome> {
        let Some(mut address) = self.address.filter(|_| !self.tables.is_empty()) else { return Ok(()) };
        if address.ip().is_unspecified() {
            address.set_ip(match address.ip() {
                IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            });
        }
        let mut stream = self.greet(address, &self.section.local_name, None).await?;
        let mut session = Session::new(self.tables.clone(), &[], false);
        session.teach(self.resync.borrow().is_complete());
        let mut talk = Talk::new(&mut stream);
        loop {
            // It goes on for as long as something moves.
            let step = timeout(PATIENCE, talk.step(&mut session, false)).await;
            match step {
                Ok(Ok(told)) if told.contains(&Told::Confirmed) => return Ok(()),
                Ok(Ok(_)) => {}
                _ => return Err(Unwelcome::Io),
            }
        }
    }
}

/// Bytes of one session, on their way in and out.
struct Talk<'s> {
    stream: &'s mut Transport,
    out: Vec<u8>,
    sent: usize,
    buffer: Vec<u8>,
    heard: Instant,
    said: Instant,
    heartbeats: (u32, u32, u32),
}

impl<'s> Talk<'s> {
    fn new(stream: &'s mut Transport) -> Self {
        let now = Instant::now();
        Self {
            stream,
            out: Vec::new(),
            sent: 0,
            buffer: vec![0; READ],
            heard: now,
            said: now,
            heartbeats: (0, 0, 0),
        }
    }

    /// Waits until something moves, and moves it. `Err(None)` is the end of the connection.
    async fn step(&mut self, session: &mut Session, sure: bool) -> Result<Vec<Told>, Option<Fault>> {
        if self.sent == self.out.len() {
            (self.sent, self.out) = (0, Vec::new());
            session.write(&mut self.out, clock_ms(Instant::now()));
        }
        let (stream, out, buffer) = (&mut *self.stream, &self.out[self.sent..], &mut self.buffer);
        let moved = poll_fn(|cx| {
            let wrote = match (out.is_empty(), stream.poll_say(cx, out)) {
                (false, Poll::Ready(done)) => Some(done?),
                (true, Poll::Ready(Err(e))) => return Poll::Ready(Err(e)),
                _ => None,
            };
            let read = match stream.poll_hear(cx, buffer) {
                Poll::Ready(n) => Some(n?),
                Poll::Pending => None,
            };
            let idle = wrote.is_none() && read.is_none();
            if idle && !(out.is_empty() && session.ready(cx.waker())) {
                return Poll::Pending;
            }
            Poll::Ready(io::Result::Ok((wrote, read)))
        });
        let (wrote, read) = moved.await.map_err(|_| None)?;
        if let Some(n) = wrote {
            (self.sent, self.said) = (self.sent + n, Instant::now());
        }
        match read {
            Some(0) => Err(None),
            Some(n) => {
                self.heard = Instant::now();
                let told = session.read(&self.buffer[..n], sure, clock_ms(self.heard));
                if self.buffer[..n] == [class::CONTROL, control::HEARTBEAT] {
                    self.heartbeats.1 += 1;
                }
                match told {
                    Ok(told) => Ok(told),
                    Err(fault) => {
                        let kind = u8::from(fault == Fault::Size);
                        // A peer that does not take it at once is not waited for.
                        let _ = timeout(LOOK_EVERY, self.stream.tell(&[class::ERROR, kind])).await;
                        Err(Some(fault))
                    }
                }
            }
            None => Ok(Vec::new()),
        }
    }

    /// Sends a sign of life where it is time. True when the peer gave none.
    fn is_silent(&mut self, session: &mut Session) -> bool {
        let now = Instant::now();
        if now - self.said >= HEARTBEAT.0 {
            self.said = now;
            self.heartbeats.0 += 1;
            session.say(control::HEARTBEAT);
        }
        let silent = now - self.heard >= HEARTBEAT.1;
        self.heartbeats.2 += u32::from(silent);
        silent
    }
}

fn listen(fd: OwnedFd) -> io::Result<TcpListener> {
    let listener = std::net::TcpListener::from(fd);
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

/// So many lines, byte by byte: what follows belongs to the session.
async fn read_lines<const N: usize>(stream: &mut Transport) -> io::Result<[String; N]> {
    let mut lines = [const { String::new() }; N];
    for line in &mut lines {
        let mut bytes = Vec::new();
        loop {
            match stream.bytes().read_u8().await? {
                b'\n' => break,
                byte if bytes.len() < GREETING_MAX => bytes.push(byte),
                _ => return Err(io::ErrorKind::InvalidData.into()),
            }
        }
        *line = String::from_utf8_lossy(&bytes).into_owned();
    }
    Ok(lines)
}
