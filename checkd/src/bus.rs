//! checkd on the bus: serves its services and the probes others delegate to it, and follows the VRRP instance that
//! decides about the sync daemon.
//!
//! Invariant: nothing in here changes what checkd does about its own services; without the bus only the delegated
//! probes are missing, and their owners do them.
//!
//! Absent on purpose: judging of delegated probes (their owners'), scripts that belong to a failover.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bus::Role;
use bus::endpoint::{Client, News, Request, Server, dial};
use bus::lease::{Hold, Holder, Peer};
use bus::payload;
use bus::wire::{Frame, LeaseId};
use health::outcome::{AdminWish, OperationWish};
use health::{Outcome, Spec, Task};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, spawn_local};

use crate::core::service::{Core, RealState, ServiceState};

/// Outcomes of delegated probes that may wait for the loop.
const OUTCOMES_MAX: usize = 1024;

/// A delegated probe is never done more often than this, whatever its owner asks for.
const EVERY_MIN: Duration = Duration::from_millis(50);

/// Something the loop has to look at.
#[derive(Debug)]
pub enum Event {
    /// A VRRP instance is master (or not).
    Instance(String, bool),
    /// Dealt with.
    Nothing,
}

/// A delegated probe.
struct Held {
    task: Task,
    handle: AbortHandle,
}

/// checkd's side of the bus.
pub struct Bus {
    server: Server,
    directory: Option<PathBuf>,
    requests: Option<mpsc::Receiver<Request>>,
    vrrp: Option<Client>,
    holder: Holder,
    held: BTreeMap<(Peer, LeaseId), Held>,
    outcomes: (mpsc::Sender<Done>, mpsc::Receiver<Done>),
    status: payload::DaemonStatus,
}

type Done = (Peer, LeaseId, Outcome);

impl Bus {
    /// Serves in a directory, where the bus is not switched off; gives the reason when it can't.
    pub fn open(directory: Option<PathBuf>) -> (Self, Option<String>) {
        let server = Server::unserved();
        let mut fault = None;
        let requests = directory.as_ref().and_then(|dir| match server.serve(dir, Role::Checkd) {
            Ok(requests) => Some(requests),
            Err(e) => {
                fault = Some(e.to_string());
                None
            }
        });
        let started_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64);
        let status = payload::DaemonStatus {
            state: "starting".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            pid: std::process::id(),
            started_ms,
            ..payload::DaemonStatus::default()
        };
        let bus = Self {
            server,
            directory,
            requests,
            vrrp: None,
            holder: Holder::new(),
            held: BTreeMap::new(),
            outcomes: mpsc::channel(OUTCOMES_MAX),
            status,
        };
        (bus, fault)
    }

    /// Says how the daemon is; `loaded` counts one more configuration.
    pub fn status(&mut self, state: &str, loaded: bool, log_dropped: u64) {
        state.clone_into(&mut self.status.state);
        self.status.generation += u64::from(loaded);
        self.status.log_dropped = log_dropped;
        self.publish("daemon.status", &self.status);
    }

    fn publish<T: serde::Serialize>(&self, topic: &str, data: &T) {
        if let Ok(value) = serde_json::to_value(data) {
            self.server.publish(topic, value);
        }
    }

    /// Follows the VRRP instances, or stops to.
    pub fn follow_vrrp(&mut self, wanted: bool) {
        if !wanted {
            self.vrrp = None;
        } else if self.vrrp.is_none()
            && let Some(dir) = &self.directory
        {
            self.vrrp = Some(dial(dir.join("vrrpd.sock"), Role::Checkd, &["vrrp.instance/*"]));
        }
    }

    /// Tells the state of a service.
    pub fn service(&self, state: &ServiceState) {
        let servers = state.reals.iter().map(|real| payload::RealServer {
            address: real.config.address.to_string(),
            up: real.alive,
            weight: real.weight,
            reason: reason(real),
        });
        let data = payload::IpvsService {
            quorum_up: state.quorum_up,
            weight_up: state.weight(),
            servers: servers.collect(),
            quorum: state.config.quorum,
            suspended: if state.suspended { "its address is not on this host".into() } else { String::new() },
        };
        self.publish(&format!("ipvs.service/{}", state.name), &data);
    }

    /// Takes back services that are no more.
    pub fn retain_services(&self, core: &Core) {
        let prefix = "ipvs.service/";
        self.server.retain(prefix, |topic| {
            topic.strip_prefix(prefix).is_some_and(|name| core.services.iter().any(|s| s.name == name))
        });
    }

    /// Waits for something and deals with it. May be dropped at any time.
    pub async fn next(&mut self) -> Event {
        tokio::select! {
            Some(request) = wait(self.requests.as_mut()) => {
                self.request(request);
                Event::Nothing
            }
            Some(news) = wait(self.vrrp.as_mut().map(|c| &mut c.news)) => instance(news),
            Some((peer, lease, outcome)) = self.outcomes.1.recv() => {
                self.done(peer, lease, &outcome);
                Event::Nothing
            }
        }
    }

    fn request(&mut self, request: Request) {
        let mut out: Vec<Hold<Task>> = Vec::new();
        match request {
            Request::Lease(peer, Frame::Offer { lease, spec, .. }) => {
                match serde_json::from_value::<Task>(spec) {
                    Ok(task) if takes(&task.spec) => self.holder.offered(peer, lease, task, &mut out),
                    Ok(_) => out.push(Hold::Refuse(peer, lease, "programs and files are not delegated")),
                    Err(_) => out.push(Hold::Refuse(peer, lease, "not understood")),
                }
            }
            Request::Lease(peer, Frame::Withdraw { lease }) => self.holder.withdrawn(peer, lease, &mut out),
            Request::Lease(peer, Frame::Nudge { lease }) => self.holder.nudged(peer, lease, &mut out),
            Request::Closed(peer) => self.holder.closed(peer, &mut out),
            Request::Lease(..) | Request::Refused { .. } => {}
        }
        for hold in out {
            self.hold(hold, None);
        }
    }

    fn done(&mut self, peer: Peer, lease: LeaseId, outcome: &Outcome) {
        let mut out: Vec<Hold<Task>> = Vec::new();
        self.holder.done(peer, lease, &mut out);
        let data = payload_of(outcome);
        if let Some(held) = self.held.get(&(peer, lease))
            && !held.task.key.is_empty()
        {
            self.publish(&format!("probe.outcome/{}", held.task.key), &data);
        }
        for hold in out {
            self.hold(hold, Some(&data));
        }
    }

    fn hold(&mut self, hold: Hold<Task>, data: Option<&payload::Outcome>) {
        match hold {
            Hold::Start(peer, lease, task) => {
                self.server.reply(peer, Frame::Granted { lease });
                self.start(peer, lease, task);
            }
            Hold::Refuse(peer, lease, reason) => {
                self.server.reply(peer, Frame::Refused { lease, reason: reason.to_owned() });
            }
            Hold::Stop(peer, lease) => {
                if let Some(held) = self.held.remove(&(peer, lease)) {
                    held.handle.abort();
                    if !held.task.key.is_empty() {
                        self.server.retract(&format!("probe.outcome/{}", held.task.key));
                    }
                }
            }
            Hold::Nudge(peer, lease) => {
                if let Some(held) = self.held.remove(&(peer, lease)) {
                    held.handle.abort();
                    self.start(peer, lease, held.task);
                }
            }
            Hold::Tell(peer, lease, n) => {
                let data = data.and_then(|d| serde_json::to_value(d).ok()).unwrap_or_default();
                self.server.reply(peer, Frame::Outcome { lease, n, data });
            }
        }
    }

    /// Probes now and then at the owner's pace, from start to start as haproxy counts.
    fn start(&mut self, peer: Peer, lease: LeaseId, task: Task) {
        let every = Duration::from_millis(task.every_ms).max(EVERY_MIN);
        let spec: Spec = task.spec.clone();
        let sender = self.outcomes.0.clone();
        let job = spawn_local(async move {
            let mut pace = tokio::time::interval(every);
            pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                pace.tick().await;
                let outcome = health::run(&spec).await;
                if sender.send((peer, lease, outcome)).await.is_err() {
                    return;
                }
            }
        });
        self.held.insert((peer, lease), Held { task, handle: job.abort_handle() });
    }
}

/// The next of a receiver that may be missing; ends only when the other side has.
async fn wait<T>(receiver: Option<&mut mpsc::Receiver<T>>) -> Option<T> {
    match receiver {
        Some(receiver) => receiver.recv().await,
        None => std::future::pending().await,
    }
}

/// A file of ours is nobody else's business; programs run with the rights of their own daemon.
fn takes(spec: &Spec) -> bool {
    !matches!(spec.check, health::Check::File(_) | health::Check::Process(_))
}

fn instance(news: News) -> Event {
    let News::Changed(topic, value) = news else { return Event::Nothing };
    let Some(name) = topic.strip_prefix("vrrp.instance/") else { return Event::Nothing };
    match serde_json::from_value::<payload::VrrpInstance>(value) {
        Ok(data) => Event::Instance(name.to_owned(), data.state == "MASTER"),
        Err(_) => Event::Nothing,
    }
}

/// An outcome as it travels.
/// What the checkers that say a server is down saw last.
fn reason(real: &RealState) -> String {
    let down = real.checkers.iter().filter(|c| !c.judge.is_up());
    let seen = down.map(|checker| match &checker.last {
        None => "not checked yet".into(),
        Some(last) if last.description.is_empty() => last.status.text().to_owned(),
        Some(last) => format!("{} ({})", last.status.text(), last.shown()),
    });
    seen.collect::<Vec<String>>().join("; ")
}

fn payload_of(outcome: &Outcome) -> payload::Outcome {
    let mut agent_words = Vec::new();
    let admin = outcome.wish.admin.map(|w| match w {
        AdminWish::Ready => "ready",
        AdminWish::Drain => "drain",
        AdminWish::Maint => "maint",
    });
    let operation = outcome.wish.operation.map(|w| match w {
        OperationWish::Up => "up",
        OperationWish::Down => "down",
        OperationWish::Stopped => "stopped",
        OperationWish::Failed => "fail",
    });
    agent_words.extend(admin.into_iter().chain(operation).map(str::to_owned));
    agent_words.extend(outcome.wish.max_connections.map(|n| format!("maxconn:{n}")));
    payload::Outcome {
        status: outcome.status.name().to_owned(),
        code: outcome.status.has_code().then_some(outcome.code),
        description: outcome.description.clone(),
        duration_ms: outcome.duration.as_millis() as u64,
        agent_weight: outcome.wish.weight_percent,
        agent_words,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_words_travel() {
        let outcome = health::probe::agent::Agent::default().read_line("ready up 20% maxconn:30 # hi");
        let data = payload_of(&outcome);
        assert_eq!(data.status, "L7OK");
        assert_eq!(data.agent_words, ["ready", "up", "maxconn:30"]);
        assert_eq!(data.agent_weight, Some(20));
    }

    #[test]
    fn a_delegated_probe_is_done_told_and_published() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
        let dir = tempfile::tempdir().expect("dir");
        let path = dir.path().to_owned();
        let test = async move {
            let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bound");
            let to = server.local_addr().expect("address");
            let (mut ours, fault) = Bus::open(Some(path.clone()));
            assert_eq!(fault, None);
            spawn_local(async move {
                loop {
                    ours.next().await;
                }
            });
            let mut owner = dial(path.join("checkd.sock"), Role::Proxyd, &["probe.outcome/*"]);
            let task = Task { key: "b/s".into(), spec: Spec::tcp(to, Duration::from_secs(2)), every_ms: 50 };
            let offer = |lease, task: &Task| Frame::Offer {
                lease,
                ttl_ms: 3000,
                spec: serde_json::to_value(task).expect("serialises"),
            };
            let (mut told, mut published, mut refused) = (0, false, false);
            while told < 3 || !published || !refused {
                match owner.news.recv().await.expect("alive") {
                    News::Up { leases } => {
                        assert!(leases);
                        assert!(owner.send(offer(7, &task)));
                        let mut program = task.clone();
                        let process = health::probe::process::Process {
                            argv: vec!["/bin/true".into()],
                            environment: None,
                            uid: None,
                            gid: None,
                            dynamic: false,
                        };
                        program.spec.check = health::Check::Process(process);
                        assert!(owner.send(offer(8, &program)));
                    }
                    News::Lease(Frame::Outcome { lease: 7, n, data }) => {
                        told += 1;
                        assert_eq!((n, &data["status"]), (told, &serde_json::json!("L4OK")));
                    }
                    News::Lease(Frame::Refused { lease: 8, .. }) => refused = true,
                    News::Changed(topic, _) if topic == "probe.outcome/b/s" => published = true,
                    _ => {}
                }
            }
            assert!(owner.send(Frame::Withdraw { lease: 7 }));
            while !matches!(owner.news.recv().await, Some(News::Gone(t)) if t == "probe.outcome/b/s") {}
        };
        let within = async { tokio::time::timeout(Duration::from_secs(20), test).await };
        let local = tokio::task::LocalSet::new();
        runtime.block_on(local.run_until(within)).expect("in time");
    }

    #[test]
    fn masters_are_seen() {
        let value = serde_json::json!({"state": "MASTER", "unknown": 1});
        let event = instance(News::Changed("vrrp.instance/VI_1".into(), value));
        assert!(matches!(event, Event::Instance(name, true) if name == "VI_1"));
        assert!(matches!(instance(News::Synced), Event::Nothing));
    }
}
