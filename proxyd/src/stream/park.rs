//! Connections that only wait for a request, put away: a record in a slab instead of a task with all it holds.
//!
//! Most connections of a proxy are idle at any moment. One that has waited for [`AFTER`] gives up its task, its
//! place in the runtime's poller and its session; a [`Parked`] record remains, watched by the [`Lot`]'s own poller.
//! When something comes, or its time is up, the record becomes a task again, or is closed where nothing is to be
//! said. A busy connection never comes here, so the way of a request costs nothing more.
//!
//! Invariant: a connection is a task or a record, never both, and counted all the time. The lot's poller tells what
//! is there, not what comes, so bytes that arrive at the moment of the change are found.
//!
//! Absent on purpose: TLS, whose state is worth more than the task, and connections with a server connection of
//! their own.

use super::accept::{self, Client};
use super::requests;
use super::txn::{Peer, Session};
use crate::config::model::{CloseSpread, ProxyId};
use crate::mux::wire::{Bare, Conn, Habit, Wire};
use crate::runtime::engine::Engine;
use crate::runtime::timers::{Deadline, whole_ms};
use crate::runtime::worker::Worker;
use crate::runtime::{Generation, clock};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use rand::RngExt as _;
use std::cell::{OnceCell, RefCell};
use std::collections::BTreeSet;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant, SystemTime};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// How long a connection waits as a task. Long enough that one under steady load, however light, never parks.
pub const AFTER: Duration = Duration::from_millis(300);
/// How often a thread with tasks looks for such connections.
pub const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Records woken or closed in one turn; the others come in the next, so that busy connections go on meanwhile.
const BATCH: usize = 64;

/// What is left of a session while its connection waits: the fields that are not as they were at first.
#[derive(Debug)]
struct Lean {
    id: u64,
    accepted: Instant,
    accepted_at: SystemTime,
    src: Peer,
    dst: Peer,
    frontend: u32,
    bind: u32,
    requests: u32,
}

/// A session put away.
#[derive(Debug)]
enum Kept {
    /// Nothing but the usual is known of it.
    Lean(Lean),
    /// Rules or a handshake left something in it.
    Whole(Box<Session>),
}

/// A connection put away.
#[derive(Debug)]
struct Parked {
    socket: Bare,
    habit: Habit,
    generation: Arc<Generation>,
    since: Instant,
    /// When its time is up, as the lot counts.
    due: u64,
    kept: Kept,
}

/// Without a time limit.
const NEVER: u64 = u64::MAX;

#[derive(Debug, Default)]
struct Records {
    slots: Vec<Option<Parked>>,
    free: Vec<u32>,
    due: BTreeSet<(u64, u32)>,
}

/// The records of one thread.
#[derive(Debug, Default)]
pub struct Lot {
    /// Watches their sockets; the runtime watches a second handle of it.
    poller: OnceCell<Epoll>,
    records: RefCell<Records>,
    deadline: Deadline,
}

impl Lean {
    /// The short form of a session, where it has one.
    fn of(session: &Session) -> Option<Self> {
        // Each field is named: a new one must be thought of here.
        let Session {
            id,
            accepted,
            accepted_at,
            frontend,
            bind,
            src,
            dst,
            real_src,
            real_dst,
            proxied,
            proxy_tlvs,
            tls,
            vars,
            tracked,
            requests,
            handshake,
            mark,
            tos,
            kernel,
            thread: _,
            fault,
            expect_proxy,
            expect_netscaler,
            log_level,
        } = session;
        let usual = (src, dst) == (real_src, real_dst)
            && !proxied
            && !expect_proxy
            && !expect_netscaler
            && proxy_tlvs.is_empty()
            && vars.is_empty()
            && tracked.is_empty()
            && tls.is_none()
            && kernel.is_none()
            && (mark.is_none() && tos.is_none() && log_level.is_none())
            && (*handshake, *fault) == (Duration::ZERO, 0);
        usual.then(|| Self {
            id: *id,
            accepted: *accepted,
            accepted_at: *accepted_at,
            src: src.clone(),
            dst: dst.clone(),
            frontend: frontend.0 as u32,
            bind: *bind as u32,
            requests: *requests,
        })
    }

    fn session(self, thread: usize) -> Session {
        Session {
            id: self.id,
            accepted: self.accepted,
            accepted_at: self.accepted_at,
            frontend: ProxyId(self.frontend as usize),
            bind: self.bind as usize,
            real_src: self.src.clone(),
            real_dst: self.dst.clone(),
            src: self.src,
            dst: self.dst,
            requests: self.requests,
            thread,
            ..Session::blank()
        }
    }
}

impl Parked {
    fn requests(&self) -> u32 {
        match &self.kept {
            Kept::Lean(lean) => lean.requests,
            Kept::Whole(session) => session.requests,
        }
    }

    fn frontend(&self) -> ProxyId {
        match &self.kept {
            Kept::Lean(lean) => ProxyId(lean.frontend as usize),
            Kept::Whole(session) => session.frontend,
        }
    }

    /// Closes it. Nobody hears of it: that is what happens to a connection between two requests.
    fn close(self, worker: &Worker) {
        accept::left(worker, &self.generation, self.frontend());
    }
}

/// Whether a connection that waits may be put away.
pub fn is_fit(client: &Client) -> bool {
    client.worker.lot.poller.get().is_some()
        && client.private.is_none()
        && client.conn.is_plain_and_idle()
        && client.deadline.rung().is_none()
}

/// How long a connection that waits for a further request and can't be put away may still do so, since a soft stop
/// is under way; `None` where that changes nothing.
pub fn last_wait(client: &Client) -> Option<Duration> {
    let rest = stop_rest(&client.worker.engine, &client.generation, client.session.requests)?;
    Some(client.live.alarm.left().map_or(rest, |left| left.min(rest)))
}

/// What a soft stop leaves to a connection after this number of requests; `None`: all of its time.
fn stop_rest(engine: &Engine, generation: &Generation, requests: u32) -> Option<Duration> {
    if requests == 0 || !engine.stopping.load(Relaxed) {
        return None;
    }
    match generation.config.global.close_spread {
        None => Some(Duration::ZERO),
        Some(CloseSpread::Never) => None,
        Some(CloseSpread::Within(window)) => {
            let passed = engine.stopped_at.get().map_or(Duration::ZERO, Instant::elapsed);
            Some(window.saturating_sub(passed).mul_f64(rand::rng().random::<f64>()))
        }
    }
}

/// Whether a connection goes on after the response to the request that came: during a soft stop only where that
/// takes its time, and the less the more of it has passed.
pub fn goes_on(engine: &Engine, generation: &Generation) -> bool {
    if !engine.stopping.load(Relaxed) {
        return true;
    }
    match generation.config.global.close_spread {
        None => false,
        Some(CloseSpread::Never) => true,
        Some(CloseSpread::Within(window)) => {
            let passed = engine.stopped_at.get().map_or(Duration::ZERO, Instant::elapsed);
            passed < window.mul_f64(rand::rng().random::<f64>())
        }
    }
}

/// Puts a connection away that has waited for a request since `since`.
pub fn park(mut client: Client, since: Instant) {
    let worker = Rc::clone(&client.worker);
    // A socket that can't be taken out was lost; dropping the client counts it off.
    let Ok(socket) = std::mem::replace(&mut client.conn.wire, Wire::Gone).bare() else { return };
    let session = &mut client.session;
    let timeouts = &client.generation.proxy(session.frontend).timeouts;
    let mut due = requests::wait_limit(timeouts, session.requests == 0)
        .map_or(NEVER, |limit| worker.engine.ms(since).saturating_add(whole_ms(limit)).saturating_add(1));
    if let Some(rest) = stop_rest(&worker.engine, &client.generation, session.requests) {
        due = due.min(worker.engine.ms(clock::now()) + whole_ms(rest));
    }
    let kept = Lean::of(session).map_or_else(
        || Kept::Whole(Box::new(std::mem::replace(&mut **session, Session::blank()))),
        Kept::Lean,
    );
    let generation = Arc::clone(&client.generation);
    let parked = Parked { socket, habit: client.conn.habit, generation, since, due, kept };
    client.uncounted = true;
    drop(client);
    worker.lot.keep(&worker, parked);
}

impl Lot {
    fn keep(&self, worker: &Worker, parked: Parked) {
        let due = parked.due;
        let mut records = self.records.borrow_mut();
        let slot = records.free.pop().unwrap_or(records.slots.len() as u32);
        let event = EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLRDHUP, u64::from(slot));
        let watched = self.poller.get().is_some_and(|p| p.add(&parked.socket, event).is_ok());
        if slot as usize == records.slots.len() {
            records.slots.push(None);
        }
        if !watched {
            // Out of the kernel's memory for watches.
            records.free.push(slot);
            return parked.close(worker);
        }
        records.slots[slot as usize] = Some(parked);
        if due != NEVER {
            records.due.insert((due, slot));
            if records.due.first() == Some(&(due, slot)) {
                drop(records);
                self.arm(worker);
            }
        }
    }

    /// Sets the alarm for the record whose time is up first.
    fn arm(&self, worker: &Worker) {
        let first = self.records.borrow().due.first().map(|(due, _)| *due);
        let engine = &worker.engine;
        let after = first
            .map(|due| (engine.started + Duration::from_millis(due)).saturating_duration_since(clock::now()));
        self.deadline.set(clock::now(), after);
    }

    fn take(&self, slot: u32) -> Option<Parked> {
        let mut records = self.records.borrow_mut();
        let parked = records.slots.get_mut(slot as usize)?.take()?;
        records.due.remove(&(parked.due, slot));
        records.free.push(slot);
        if records.free.len() == records.slots.len() {
            *records = Records::default(); // a crowd has gone: so does its memory
        }
        drop(records);
        if let Some(poller) = self.poller.get() {
            // Closing alone would not do where a second handle of the socket exists.
            let _ = poller.delete(&parked.socket);
        }
        Some(parked)
    }

    /// Wakes those for whom something came; true when there are no more.
    fn come(&self, worker: &Rc<Worker>) -> bool {
        let Some(poller) = self.poller.get() else { return true };
        let mut events = [EpollEvent::empty(); BATCH];
        let n = poller.wait(&mut events, EpollTimeout::ZERO).unwrap_or(0);
        for event in &events[..n] {
            if let Some(parked) = self.take(event.data() as u32) {
                wake(worker, parked);
            }
        }
        n < BATCH
    }

    /// Ends those whose time is up, a batch at a time.
    fn expire(&self, worker: &Rc<Worker>) {
        let now = worker.engine.ms(clock::now());
        for _ in 0..BATCH {
            let Some((_, slot)) = self.records.borrow().due.first().copied().filter(|(due, _)| *due <= now)
            else {
                break;
            };
            match self.take(slot) {
                Some(parked) if parked.requests() > 0 => parked.close(worker),
                // Nothing ever came: the client is told, and the log. Both are the task's.
                Some(parked) => wake(worker, parked),
                None => {}
            }
        }
        self.arm(worker);
    }

    /// A soft stop begins: what waits for a further request is not served any more.
    fn stop(&self, worker: &Worker) {
        let now = worker.engine.ms(clock::now());
        let mut records = self.records.borrow_mut();
        let Records { slots, due, .. } = &mut *records;
        for (slot, parked) in slots.iter_mut().enumerate() {
            let Some(parked) = parked else { continue };
            let Some(rest) = stop_rest(&worker.engine, &parked.generation, parked.requests()) else {
                continue;
            };
            let slot = slot as u32;
            due.remove(&(parked.due, slot));
            parked.due = parked.due.min(now + whole_ms(rest));
            due.insert((parked.due, slot));
        }
        drop(records);
        self.arm(worker);
    }

    /// Closes all: the thread ends.
    pub fn close_all(&self, worker: &Worker) {
        let records = std::mem::take(&mut *self.records.borrow_mut());
        records.slots.into_iter().flatten().for_each(|parked| parked.close(worker));
    }
}

/// Makes a record a task again.
fn wake(worker: &Rc<Worker>, parked: Parked) {
    let (requests, frontend) = (parked.requests(), parked.frontend());
    let Parked { socket, habit, generation, since, kept, .. } = parked;
    let conn = match Conn::back(socket, habit) {
        Ok(conn) if requests == 0 || !conn.eof => conn,
        _ => return accept::left(worker, &generation, frontend),
    };
    let session = match kept {
        Kept::Lean(lean) => lean.session(worker.index),
        Kept::Whole(session) => *session,
    };
    let client = Client::new(worker, generation, conn, session, since);
    tokio::task::spawn_local(clock::ticking(go_on(client, since)));
}

#[expect(
    clippy::manual_async_fn,
    reason = "an async fn would hold the client twice, as argument and as variable"
)]
fn go_on(mut client: Client, since: Instant) -> impl Future<Output = ()> {
    async move {
        if let Some(since) = requests::serve(&mut client, since).await {
            park(client, since);
        }
    }
}

fn poller() -> io::Result<(Epoll, AsyncFd<OwnedFd>)> {
    let poller = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    #[expect(deprecated, reason = "its successor is unsafe; an OwnedFd owns its descriptor")]
    let watched = AsyncFd::with_interest(poller.0.try_clone()?, Interest::READABLE)?;
    Ok((poller, watched))
}

/// What happens in the lot. Runs as long as the thread; one that can't have a poller parks nothing.
pub async fn drive(worker: Rc<Worker>) {
    let Ok((poller, ready)) = poller() else { return };
    let lot = &worker.lot;
    let _ = lot.poller.set(poller);
    let mut draining = std::pin::pin!(worker.engine.draining());
    let mut drains = false;
    loop {
        tokio::select! {
            biased;
            () = lot.deadline.passed() => {
                lot.expire(&worker);
                tokio::task::yield_now().await;
            }
            ready = ready.readable() => {
                let Ok(mut ready) = ready else { return };
                if lot.come(&worker) {
                    ready.clear_ready();
                } else {
                    tokio::task::yield_now().await;
                }
            }
            () = &mut draining, if !drains => {
                drains = true;
                lot.stop(&worker);
                worker.streams.ask_waiting(clock::now(), None);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_session_comes_back_as_it_was() {
        let peer = |n| Peer::Inet(([127, 0, 0, 1], n).into());
        let session = Session {
            id: 7,
            frontend: ProxyId(3),
            bind: 2,
            src: peer(1),
            real_src: peer(1),
            dst: peer(2),
            real_dst: peer(2),
            requests: 9,
            thread: 1,
            ..Session::blank()
        };
        let back = Lean::of(&session).expect("short form").session(1);
        assert_eq!(format!("{session:?}"), format!("{back:?}"));
    }

    #[test]
    fn what_rules_or_a_header_left_is_not_lost() {
        let changed: [fn(&mut Session); 4] = [
            |s| s.src = Peer::Inet(([127, 0, 0, 9], 5).into()),
            |s| s.vars.set(1, crate::sample::Value::Bool(true)),
            |s| s.log_level = Some(3),
            |s| s.tracked.push(None),
        ];
        for change in changed {
            let mut session = Session::blank();
            assert!(Lean::of(&session).is_some());
            change(&mut session);
            assert!(Lean::of(&session).is_none());
        }
    }

    #[test]
    fn a_record_is_small() {
        // What thousands of idle connections cost; a field more should be a decision.
        assert!(size_of::<Option<Parked>>() <= 192, "{}", size_of::<Option<Parked>>());
    }
}
