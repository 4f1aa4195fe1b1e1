//! Who probes a server now: this process, or checkd under a lease (the shell of [`bus::lease`]).
//!
//! One [`Desk`] keeps the connection to checkd; each check has a [`Seat`] that says, in order, when to probe here
//! and which outcomes of checkd to judge.
//!
//! Invariant: judging stays with the caller; a seat gives outcomes of one source at a time. Without checkd every
//! seat stays local and costs nothing but its place in a map.
//!
//! Absent on purpose: external checks. They run with this process's rights and environment.

use bus::endpoint::{News, dial};
use bus::lease::{Effect, Input, Lease};
use bus::wire::{Frame, LeaseId};
use bus::{Role, payload};
use health::outcome::{AdminWish, Cause, OperationWish, Status};
use health::{Check, Outcome, Spec, Task};
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Outcomes that wait for one check; they come once an interval, so more means that nobody looks.
const WAITING_MAX: usize = 16;

/// The socket of checkd, or `None` when delegation is off; set once, before the checks start.
static HOLDER: OnceLock<Option<PathBuf>> = OnceLock::new();
/// Checks that checkd does now, for those who show it.
static REMOTE: OnceLock<Mutex<HashSet<(String, String)>>> = OnceLock::new();

/// Says where checkd is; without it no check is delegated. Only the first call counts.
pub fn configure(directory: Option<PathBuf>) {
    // A second start in one process (tests) keeps what the first said.
    let _ = HOLDER.set(directory.map(|d| d.join(format!("{}.sock", Role::Checkd.name()))));
}

/// Whether checkd probes this server now.
pub fn is_remote(backend: &str, server: &str) -> bool {
    remote().contains(&(backend.to_owned(), server.to_owned()))
}

fn remote() -> MutexGuard<'static, HashSet<(String, String)>> {
    REMOTE.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner)
}

type Event = Input<payload::Outcome>;

#[derive(Debug, Default)]
struct Seats {
    available: bool,
    senders: HashMap<u64, mpsc::Sender<Event>>,
    next: u64,
}

/// The connection to checkd, shared by all checks of a generation.
#[derive(Debug)]
pub struct Desk {
    seats: Mutex<Seats>,
    outbox: mpsc::Sender<Frame>,
    /// Numbers of leases are `seat + n·stride`.
    stride: u64,
}

impl Desk {
    /// Connects, when [`configure`] said where to; `seats` is how many checks there are. Must be called within a
    /// tokio runtime; the connection ends with the last [`Seat`] and the desk.
    pub fn open(seats: usize) -> Option<Arc<Self>> {
        let path = HOLDER.get().cloned().flatten()?;
        Some(Self::at(path, seats))
    }

    fn at(path: PathBuf, seats: usize) -> Arc<Self> {
        let mut client = dial(path, Role::Proxyd, &[]);
        let desk =
            Arc::new(Self { seats: Mutex::default(), outbox: client.sender(), stride: seats.max(1) as u64 });
        let weak = Arc::downgrade(&desk);
        tokio::spawn(async move {
            while let Some(news) = client.news.recv().await {
                let Some(desk) = weak.upgrade() else { return };
                desk.news(news);
            }
        });
        desk
    }

    fn lock(&self) -> MutexGuard<'_, Seats> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn news(&self, news: News) {
        let mut seats = self.lock();
        match news {
            News::Up { leases } => {
                seats.available = leases;
                if leases {
                    seats.tell_all(&Input::Available);
                }
            }
            News::Down => {
                seats.available = false;
                seats.tell_all(&Input::Closed);
            }
            News::Lease(Frame::Granted { lease }) => seats.tell(lease % self.stride, Input::Granted(lease)),
            News::Lease(Frame::Refused { lease, .. }) => {
                seats.tell(lease % self.stride, Input::Refused(lease));
            }
            News::Lease(Frame::Outcome { lease, n, data }) => {
                if let Ok(outcome) = serde_json::from_value(data) {
                    seats.tell(lease % self.stride, Input::Outcome(lease, n, outcome));
                }
            }
            News::Lease(_) | News::Changed(..) | News::Gone(_) | News::Event(_) | News::Synced => {}
        }
    }

    /// A seat for one check; `None` when there are more checks than were announced.
    pub fn seat(self: &Arc<Self>, name: (&str, &str), inter: Duration, timeout: Duration) -> Option<Seat> {
        let mut seats = self.lock();
        let index = seats.next;
        if index >= self.stride {
            return None;
        }
        seats.next += 1;
        let (sender, events) = mpsc::channel(WAITING_MAX);
        if seats.available {
            // The channel is new and empty.
            let _ = sender.try_send(Input::Available);
        }
        seats.senders.insert(index, sender);
        Some(Seat {
            desk: Arc::clone(self),
            name: (name.0.to_owned(), name.1.to_owned()),
            lease: Lease::new(inter, timeout, index, self.stride),
            ttl: bus::lease::ttl(inter, timeout),
            events,
            task: None,
        })
    }

    fn send(&self, frame: Frame) {
        // A full outbox is a checkd that does not read: the lease runs out and we probe.
        let _ = self.outbox.try_send(frame);
    }
}

impl Seats {
    fn tell_all(&mut self, event: &Event) {
        self.senders.values().for_each(|s| drop(s.try_send(event.clone())));
    }

    fn tell(&mut self, seat: u64, event: Event) {
        if let Some(sender) = self.senders.get(&seat) {
            // A seat that is behind loses this outcome; the next one, or the end of its lease, mends that.
            let _ = sender.try_send(event);
        }
    }
}

/// One check's side of delegation.
#[derive(Debug)]
pub struct Seat {
    desk: Arc<Desk>,
    name: (String, String),
    lease: Lease,
    ttl: Duration,
    events: mpsc::Receiver<Event>,
    /// What is offered; `None` keeps the check here.
    task: Option<Task>,
}

impl Seat {
    /// Whether checkd probes now, so that we don't.
    pub fn is_remote(&self) -> bool {
        self.lease.is_remote()
    }

    /// Says what is probed and how often; a change ends the lease of the old check.
    pub fn spec(&mut self, spec: &Spec, every: Duration) {
        let task = (!matches!(spec.check, Check::Process(_) | Check::File(_))).then(|| Task {
            key: format!("{}/{}", self.name.0, self.name.1),
            spec: spec.clone(),
            every_ms: every.as_millis() as u64,
        });
        if task != self.task {
            self.task = task;
            self.step(Input::Withdraw);
            if self.desk.lock().available {
                // What was said before there was anything to offer was not heard.
                self.step(Input::Available);
            }
        }
    }

    /// Asks checkd to probe at once; says whether it is its turn.
    pub fn nudge(&self) -> bool {
        match self.lease.current().filter(|_| self.is_remote()) {
            Some(lease) => {
                self.desk.send(Frame::Nudge { lease });
                true
            }
            None => false,
        }
    }

    /// The next outcome of checkd to judge. Returns `None` whenever the turn has changed: look at
    /// [`Seat::is_remote`] again. Cancel-safe.
    pub async fn next(&mut self) -> Option<Outcome> {
        loop {
            let was_remote = self.is_remote();
            let judged = tokio::select! {
                event = self.events.recv() => match event {
                    Some(event) => self.step(event),
                    None => std::future::pending().await,
                },
                () = sansio::driver::sleep_until(self.lease.deadline()) => self.step(Input::Timeout),
            };
            if judged.is_some() {
                return judged.as_ref().and_then(outcome_of);
            }
            if self.is_remote() != was_remote {
                return None;
            }
        }
    }

    fn step(&mut self, input: Event) -> Option<payload::Outcome> {
        let mut out = Vec::new();
        // A check that can't be delegated never learns that somebody is there.
        if self.task.is_none() && matches!(input, Input::Available | Input::Timeout) {
            return None;
        }
        self.lease.handle(Instant::now(), input, &mut out);
        let mut judged = None;
        for effect in out {
            match effect {
                Effect::Offer(lease) => self.offer(lease),
                Effect::Withdraw(lease) => self.desk.send(Frame::Withdraw { lease }),
                Effect::Rest => drop(remote().insert(self.name.clone())),
                Effect::Probe => drop(remote().remove(&self.name)),
                Effect::Judge(outcome) => judged = Some(outcome),
            }
        }
        judged
    }

    fn offer(&self, lease: LeaseId) {
        let spec = self.task.as_ref().and_then(|t| serde_json::to_value(t).ok()).unwrap_or_default();
        self.desk.send(Frame::Offer { lease, ttl_ms: self.ttl.as_millis() as u64, spec });
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(lease) = self.lease.current() {
            self.desk.send(Frame::Withdraw { lease });
        }
        remote().remove(&self.name);
    }
}

/// An outcome that travelled; `None` for a status of a later version.
fn outcome_of(data: &payload::Outcome) -> Option<Outcome> {
    let status = Status::by_name(&data.status)?;
    let mut outcome = Outcome::new(status, Cause::default()).described(&data.description);
    if let Some(code) = data.code {
        outcome = outcome.coded(code);
    }
    outcome.duration = Duration::from_millis(data.duration_ms);
    outcome.wish.weight_percent = data.agent_weight;
    for word in &data.agent_words {
        match word.as_str() {
            "ready" => outcome.wish.admin = Some(AdminWish::Ready),
            "drain" => outcome.wish.admin = Some(AdminWish::Drain),
            "maint" => outcome.wish.admin = Some(AdminWish::Maint),
            "up" => outcome.wish.operation = Some(OperationWish::Up),
            "down" => outcome.wish.operation = Some(OperationWish::Down),
            "stopped" => outcome.wish.operation = Some(OperationWish::Stopped),
            "fail" => outcome.wish.operation = Some(OperationWish::Failed),
            other => {
                if let Some(n) = other.strip_prefix("maxconn:").and_then(|n| n.parse().ok()) {
                    outcome.wish.max_connections = Some(n);
                }
            }
        }
    }
    Some(outcome)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bus::endpoint::{Request, Server};
    use serde_json::json;

    const INTER: Duration = Duration::from_millis(200);

    fn spec(port: u16) -> Spec {
        Spec::tcp(([127, 0, 0, 1], port).into(), INTER)
    }

    async fn soon<T>(future: impl Future<Output = T>) -> T {
        tokio::time::timeout(Duration::from_secs(20), future).await.expect("in time")
    }

    #[tokio::test]
    async fn a_check_goes_to_checkd_and_comes_home() {
        let dir = tempfile::tempdir().unwrap();
        let checkd = Server::unserved();
        let mut requests = checkd.serve(dir.path(), Role::Checkd).unwrap();
        let desk = Desk::at(dir.path().join("checkd.sock"), 2);
        let mut seat = desk.seat(("b", "s1"), INTER, INTER).unwrap();
        // checkd answers before the first slot of the schedule says what to probe.
        assert!(tokio::time::timeout(Duration::from_millis(300), seat.next()).await.is_err());
        seat.spec(&spec(80), INTER);
        assert!(!seat.is_remote());
        let serve = async {
            let Some(Request::Lease(peer, Frame::Offer { lease, spec, .. })) = requests.recv().await else {
                panic!("no offer")
            };
            assert_eq!(spec["key"], "b/s1");
            checkd.reply(peer, Frame::Granted { lease });
            let data = json!({"status": "L4CON", "description": "Connection refused", "duration_ms": 3});
            checkd.reply(peer, Frame::Outcome { lease, n: 1, data });
            (peer, lease)
        };
        let (granted, (peer, lease)) = soon(async { tokio::join!(seat.next(), serve) }).await;
        assert!(granted.is_none() && seat.is_remote() && is_remote("b", "s1"));
        let outcome = soon(seat.next()).await.unwrap();
        assert_eq!((outcome.status.name(), outcome.description.as_str()), ("L4CON", "Connection refused"));
        assert!(seat.nudge());
        assert_eq!(soon(requests.recv()).await, Some(Request::Lease(peer, Frame::Nudge { lease })));
        // The server's address changes: the old lease ends, the new check is offered.
        seat.spec(&spec(81), INTER);
        assert!(!seat.is_remote() && !is_remote("b", "s1"));
        assert_eq!(soon(requests.recv()).await, Some(Request::Lease(peer, Frame::Withdraw { lease })));
        let offered = soon(requests.recv()).await;
        assert!(matches!(offered, Some(Request::Lease(_, Frame::Offer { lease: new, .. })) if new != lease));
        // checkd says no more: the lease is not granted, and the seat stays local.
        assert!(tokio::time::timeout(Duration::from_millis(300), seat.next()).await.is_err());
        assert!(!seat.is_remote());
    }

    #[tokio::test]
    async fn programs_stay_here() {
        let dir = tempfile::tempdir().unwrap();
        let checkd = Server::unserved();
        let mut requests = checkd.serve(dir.path(), Role::Checkd).unwrap();
        let desk = Desk::at(dir.path().join("checkd.sock"), 1);
        let mut seat = desk.seat(("b", "ext"), INTER, INTER).unwrap();
        assert!(desk.seat(("b", "more"), INTER, INTER).is_none());
        let program = health::probe::process::Process {
            argv: vec!["/bin/true".into()],
            environment: None,
            uid: None,
            gid: None,
            dynamic: false,
        };
        let to = health::Endpoint::Socket(([127, 0, 0, 1], 1).into());
        seat.spec(&Spec::new(to, INTER, Check::Process(program)), INTER);
        let nothing = async { tokio::join!(seat.next(), requests.recv()) };
        assert!(tokio::time::timeout(Duration::from_millis(500), nothing).await.is_err());
    }
}
