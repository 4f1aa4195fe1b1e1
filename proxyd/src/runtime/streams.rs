//! Which connections a thread serves now, for those who look at them (`show sess`) or end them (`shutdown session`,
//! `on-marked-down shutdown-sessions`).
//!
//! Each thread keeps a slab of [`Live`] records, shared with nobody; the control side asks by message and the
//! thread answers between two of its tasks. A connection pays for one slot on entry and stores a few cells on
//! its way.
//!
//! Invariant: a record is in the slab exactly as long as its connection lives; to end a stream is to let its
//! deadline pass, so whoever waits for anything hears of it.

use super::timers::{Alarm, Why};
use crate::config::model::{ProxyId, ServerId};
use crate::stream::txn::Peer;
use nix::time::{ClockId, clock_gettime};
use nix::unistd::gettid;
use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::{Mutex, PoisonError, mpsc as answers};
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::mpsc;

/// How long the control side waits for a thread; one that takes longer is left out of the answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// How far a stream is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Before a request's head is there: there is no stream, only a connection.
    Idle,
    /// Rules look at it.
    Analyse,
    /// In a server's or backend's queue.
    Queue,
    /// A server was chosen; its connection is not there yet.
    Connect,
    /// With a server.
    Established,
}

/// Whether a connection waits for a request, and what it is asked meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waits {
    /// It does not.
    Not,
    /// Since then.
    Since(Instant),
    /// It does, and stays a task whatever happens.
    Stays,
    /// Its task is asked to end, and to leave a record only.
    Asked,
}

/// One connection, as long as its task lives.
#[derive(Debug)]
pub struct Live {
    /// Number of the connection.
    pub id: u64,
    /// When it was accepted.
    pub accepted_at: SystemTime,
    /// The frontend.
    pub frontend: ProxyId,
    /// Index of its bind line.
    pub bind: usize,
    /// Its descriptor.
    pub fd: i32,
    /// The client; `None` for a Unix socket.
    pub src: Cell<Option<SocketAddr>>,
    /// Where it connected to.
    pub dst: Option<SocketAddr>,
    /// How far its stream is.
    pub phase: Cell<Phase>,
    /// When its stream began.
    pub began: Cell<Instant>,
    /// The backend of its stream.
    pub backend: Cell<Option<ProxyId>>,
    /// The server of its stream.
    pub server: Cell<Option<ServerId>>,
    /// When that server was chosen.
    pub chosen: Cell<Instant>,
    /// Descriptor of the server's connection; -1 while there is none.
    pub server_fd: Cell<i32>,
    /// Connection retries of its stream.
    pub retries: Cell<u32>,
    /// Whether it waits for a request.
    pub waits: Cell<Waits>,
    /// What wakes the task.
    pub alarm: Alarm,
}

impl Live {
    /// The address behind a peer.
    pub fn address(peer: &Peer) -> Option<SocketAddr> {
        match peer {
            Peer::Inet(address) => Some(*address),
            Peer::Unix | Peer::Unknown => None,
        }
    }

    /// A stream may begin on the connection: its head is awaited.
    pub fn begin(&self, at: Instant, src: &Peer) {
        self.began.set(at);
        self.src.set(Self::address(src));
        self.backend.set(None);
        self.server.set(None);
        self.server_fd.set(-1);
        self.retries.set(0);
        self.phase.set(Phase::Idle);
    }

    fn seen(&self) -> Seen {
        Seen {
            id: self.id,
            accepted_at: self.accepted_at,
            frontend: self.frontend,
            bind: self.bind,
            fd: self.fd,
            src: self.src.get(),
            dst: self.dst,
            phase: self.phase.get(),
            age: self.began.get().elapsed(),
            backend: self.backend.get(),
            server: self.server.get(),
            server_fd: self.server_fd.get(),
            retries: self.retries.get(),
            left: self.alarm.left(),
        }
    }
}

/// What was seen of a connection.
#[derive(Debug, Clone)]
pub struct Seen {
    /// As in [`Live`].
    pub id: u64,
    /// As in [`Live`].
    pub accepted_at: SystemTime,
    /// As in [`Live`].
    pub frontend: ProxyId,
    /// As in [`Live`].
    pub bind: usize,
    /// As in [`Live`].
    pub fd: i32,
    /// As in [`Live`].
    pub src: Option<SocketAddr>,
    /// As in [`Live`].
    pub dst: Option<SocketAddr>,
    /// As in [`Live`].
    pub phase: Phase,
    /// Time since its stream began.
    pub age: Duration,
    /// As in [`Live`].
    pub backend: Option<ProxyId>,
    /// As in [`Live`].
    pub server: Option<ServerId>,
    /// As in [`Live`].
    pub server_fd: i32,
    /// As in [`Live`].
    pub retries: u32,
    /// Time until its deadline.
    pub left: Option<Duration>,
}

/// What a thread tells of itself.
#[derive(Debug, Clone)]
pub struct Measured {
    /// Its number, from 0.
    pub index: usize,
    /// Its number for the kernel.
    pub id: i32,
    /// Connections it serves.
    pub streams: usize,
    /// Buffers it keeps for later.
    pub buffers: usize,
    /// Processor time it used.
    pub cpu: Duration,
    /// Times it gave the processor away.
    pub switches: u64,
}

/// The connections of one thread.
#[derive(Debug, Default)]
pub struct Streams {
    index: usize,
    slots: RefCell<Vec<Option<Rc<Live>>>>,
    free: RefCell<Vec<usize>>,
}

impl Streams {
    /// Of a thread by its number.
    pub fn new(index: usize) -> Self {
        Self { index, ..Self::default() }
    }

    /// What the calling thread, which is the one of these streams, tells of itself.
    fn measure(&self) -> Measured {
        let mut streams = 0;
        self.each(|_| streams += 1);
        let cpu = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from);
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
        let count = |name: &str| {
            status.lines().find_map(|l| l.strip_prefix(name)?.trim().parse::<u64>().ok()).unwrap_or(0)
        };
        Measured {
            index: self.index,
            id: gettid().as_raw(),
            streams,
            buffers: super::buffers::kept(),
            cpu,
            switches: count("voluntary_ctxt_switches:") + count("nonvoluntary_ctxt_switches:"),
        }
    }

    /// Takes a connection in; gives its slot.
    pub fn enter(&self, live: Rc<Live>) -> usize {
        let mut slots = self.slots.borrow_mut();
        if let Some(slot) = self.free.borrow_mut().pop() {
            slots[slot] = Some(live);
            return slot;
        }
        slots.push(Some(live));
        slots.len() - 1
    }

    /// Forgets a connection.
    pub fn leave(&self, slot: usize) {
        self.slots.borrow_mut()[slot] = None;
        self.free.borrow_mut().push(slot);
    }

    /// Asks those who have waited for a request for that long to leave a record only; `None` asks all that wait.
    pub fn ask_waiting(&self, now: Instant, after: Option<Duration>) {
        for live in self.slots.borrow().iter().flatten() {
            let long = match (live.waits.get(), after) {
                (Waits::Since(at), Some(after)) => now.saturating_duration_since(at) >= after,
                (Waits::Since(_) | Waits::Stays, None) => true,
                _ => false,
            };
            if long {
                live.waits.set(Waits::Asked);
                live.alarm.nudge();
            }
        }
    }

    /// Whether there are any.
    pub fn is_empty(&self) -> bool {
        self.slots.borrow().len() == self.free.borrow().len()
    }

    fn each(&self, mut f: impl FnMut(&Live)) {
        self.slots.borrow().iter().flatten().filter(|l| l.phase.get() != Phase::Idle).for_each(|l| f(l));
    }
}

type Question = Box<dyn FnOnce(&Streams) + Send>;

/// The way to all threads.
#[derive(Default)]
pub struct Registry {
    threads: Mutex<Vec<mpsc::UnboundedSender<Question>>>,
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry").finish_non_exhaustive()
    }
}

impl Registry {
    /// A thread joins; it answers as long as it polls the future.
    pub fn join(&self) -> Answering {
        let (sender, questions) = mpsc::unbounded_channel();
        self.threads.lock().unwrap_or_else(PoisonError::into_inner).push(sender);
        Answering { questions }
    }

    fn ask<T: Send + 'static>(&self, question: impl Fn(&Streams) -> T + Clone + Send + 'static) -> Vec<T> {
        let (answer, inbox) = answers::channel();
        for thread in self.threads.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let (question, answer) = (question.clone(), answer.clone());
            // Neither a thread that ended nor one that nobody waits for any more matters.
            let _ = thread.send(Box::new(move |streams| drop(answer.send(question(streams)))));
        }
        drop(answer);
        let until = Instant::now() + PATIENCE;
        std::iter::from_fn(|| inbox.recv_timeout(until.saturating_duration_since(Instant::now())).ok())
            .collect()
    }

    /// All streams, oldest first. Blocks for a moment; never to be called by a thread that serves streams.
    pub fn list(&self) -> Vec<Seen> {
        let mut all: Vec<Seen> = self
            .ask(|streams| {
                let mut seen = Vec::new();
                streams.each(|live| seen.push(live.seen()));
                seen
            })
            .into_iter()
            .flatten()
            .collect();
        all.sort_by_key(|s| s.id);
        all
    }

    /// What each thread that answers tells of itself, in order.
    pub fn measure(&self) -> Vec<Measured> {
        let mut all = self.ask(Streams::measure);
        all.sort_by_key(|m| m.index);
        all
    }

    /// Ends one stream; false when there is none of this number. Blocks as [`Self::list`] does.
    pub fn kill(&self, id: u64) -> bool {
        let found = self.ask(move |streams| {
            let mut found = false;
            streams.each(|live| {
                if live.id == id {
                    live.alarm.ring(Why::Killed);
                    found = true;
                }
            });
            found
        });
        found.contains(&true)
    }

    /// Tells all threads to end every stream, as a hard stop does; returns at once.
    pub fn kill_all(&self) {
        for thread in self.threads.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let question = |streams: &Streams| streams.each(|live| live.alarm.ring(Why::Killed));
            // A thread that is gone has no streams.
            let _ = thread.send(Box::new(question));
        }
    }

    /// Tells all threads to end the streams of a server; returns at once.
    pub fn kill_server(&self, (proxy, server): (ProxyId, ServerId), why: Why) {
        // Streams that get the places of those that are ended now are not meant.
        let now = Instant::now();
        for thread in self.threads.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let question = move |streams: &Streams| {
                streams.each(|live| {
                    let with = matches!(live.phase.get(), Phase::Established | Phase::Connect);
                    if with
                        && live.chosen.get() <= now
                        && (live.backend.get(), live.server.get()) == (Some(proxy), Some(server))
                    {
                        live.alarm.ring(why);
                    }
                });
            };
            let _ = thread.send(Box::new(question));
        }
    }
}

/// A thread's end of the [`Registry`].
pub struct Answering {
    questions: mpsc::UnboundedReceiver<Question>,
}

impl std::fmt::Debug for Answering {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answering").finish_non_exhaustive()
    }
}

impl Answering {
    /// Answers as long as the thread lives.
    pub async fn serve(mut self, worker: Rc<super::worker::Worker>) {
        while let Some(question) = self.questions.recv().await {
            question(&worker.streams);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::timers::Deadline;

    fn live(id: u64, deadline: &Deadline) -> Rc<Live> {
        Rc::new(Live {
            id,
            accepted_at: SystemTime::now(),
            frontend: ProxyId(0),
            bind: 0,
            fd: 3,
            src: Cell::new(None),
            dst: None,
            phase: Cell::new(Phase::Idle),
            began: Cell::new(Instant::now()),
            backend: Cell::new(None),
            server: Cell::new(None),
            chosen: Cell::new(Instant::now()),
            server_fd: Cell::new(-1),
            retries: Cell::new(0),
            waits: Cell::new(Waits::Not),
            alarm: deadline.alarm(),
        })
    }

    #[test]
    fn those_who_wait_long_enough_are_asked_once() {
        let (streams, deadline) = (Streams::default(), Deadline::default());
        let (a, b) = (live(1, &deadline), live(2, &deadline));
        streams.enter(Rc::clone(&a));
        streams.enter(Rc::clone(&b));
        let now = Instant::now();
        a.waits.set(Waits::Since(now));
        streams.ask_waiting(now + Duration::from_millis(9), Some(Duration::from_millis(10)));
        assert_eq!((a.waits.get(), b.waits.get()), (Waits::Since(now), Waits::Not));
        streams.ask_waiting(now + Duration::from_millis(10), Some(Duration::from_millis(10)));
        assert_eq!((a.waits.get(), b.waits.get()), (Waits::Asked, Waits::Not));
        a.waits.set(Waits::Stays);
        streams.ask_waiting(now + Duration::from_secs(10), Some(Duration::ZERO));
        assert_eq!(a.waits.get(), Waits::Stays);
        streams.ask_waiting(now, None);
        assert_eq!(a.waits.get(), Waits::Asked);
    }

    #[test]
    fn slots_are_used_again_and_idle_connections_are_no_streams() {
        let (streams, deadline) = (Streams::default(), Deadline::default());
        let (a, b) = (live(1, &deadline), live(2, &deadline));
        assert_eq!((streams.enter(Rc::clone(&a)), streams.enter(Rc::clone(&b))), (0, 1));
        let ids = || {
            let mut ids = Vec::new();
            streams.each(|l| ids.push(l.id));
            ids
        };
        assert!(ids().is_empty());
        b.begin(Instant::now(), &Peer::Unix);
        b.phase.set(Phase::Analyse);
        assert_eq!(ids(), [2]);
        streams.leave(0);
        assert_eq!(streams.enter(live(3, &deadline)), 0);
    }

    #[test]
    fn a_rung_alarm_ends_every_wait_until_it_is_cleared() {
        let deadline = Deadline::default();
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(!deadline.poll_passed(&mut cx));
        deadline.alarm().ring(Why::Killed);
        assert!(deadline.poll_passed(&mut cx));
        deadline.set(Instant::now(), Some(Duration::from_mins(1)));
        assert!(deadline.poll_passed(&mut cx) && deadline.rung() == Some(Why::Killed));
        deadline.silence();
        assert!(!deadline.poll_passed(&mut cx) && deadline.rung().is_none());
    }
}
