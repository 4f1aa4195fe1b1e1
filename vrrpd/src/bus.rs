//! vrrpd on the bus: says what its instances and groups are and why, and which addresses they hold; hears when
//! a proxyd of this host ends, so that scripts look at once.
//!
//! Invariant: the bus never holds up VRRP. It has a thread and a runtime of its own; between the two there is a box
//! with the newest state of each topic, so its size is bounded by the configuration and nothing is ever waited for.
//! What is heard changes no state: the script's own result does.
//! Absent on purpose: anything that others could ask of vrrpd.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bus::Role;
use bus::endpoint::{News, Request, Server, dial};
use bus::payload;
use logging::{Contract, Severity};
use serde::Serialize;
use tokio::sync::{Notify, watch};

use crate::core::router::{Reason, Router, Subject};
use crate::messages::{Note, StateName};

/// How long the end of the daemon may be put off for the last words on the bus.
const LAST_WORDS: Duration = Duration::from_millis(20);
/// How long connections may take to write them.
const FLUSH: Duration = Duration::from_millis(2);
/// The beginnings of the topics that come and go with the configuration.
const INSTANCE: &str = "vrrp.instance/";
const GROUP: &str = "vrrp.group/";
/// What is asked of proxyd: only whether it is there.
const PRESENCE: [&str; 1] = ["daemon.status"];

/// The data of a topic.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
enum Fact {
    Instance(payload::VrrpInstance),
    Group(payload::VrrpGroup),
    Status(payload::DaemonStatus),
}

/// What the bus's thread has not taken yet; `None`: the topic is gone.
#[derive(Debug, Default)]
struct Outbox {
    facts: Mutex<BTreeMap<String, Option<Fact>>>,
    closing: Mutex<bool>,
    wake: Notify,
}

impl Outbox {
    fn put(&self, topic: String, fact: Option<Fact>) {
        // A panic while the lock was held leaves plain data behind, which is still whole.
        self.facts.lock().unwrap_or_else(PoisonError::into_inner).insert(topic, fact);
        self.wake.notify_one();
    }

    fn take(&self) -> BTreeMap<String, Option<Fact>> {
        std::mem::take(&mut *self.facts.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn closing(&self) -> bool {
        *self.closing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// vrrpd's side of the bus; without a directory it does nothing.
#[derive(Debug)]
pub struct Bus {
    outbox: Option<Arc<Outbox>>,
    ended: Receiver<()>,
    lost: watch::Receiver<u64>,
    topics: HashSet<String>,
    status: payload::DaemonStatus,
}

impl Bus {
    /// Serves in a directory, where the bus is not switched off. A socket that can't be made is said in the log and
    /// lived without.
    pub fn open(directory: Option<PathBuf>, log: &Contract) -> Self {
        let (end, ended) = channel();
        let (losses, lost) = watch::channel(0);
        let outbox = directory.and_then(|directory| {
            let outbox = Arc::new(Outbox::default());
            let (shared, log) = (Arc::clone(&outbox), log.clone());
            let thread = std::thread::Builder::new().name("bus".into());
            let started = thread.spawn(move || serve(&directory, &shared, &log, &losses, end));
            started.is_ok().then_some(outbox)
        });
        let status = payload::DaemonStatus {
            state: "starting".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            pid: std::process::id(),
            started_ms: milliseconds(SystemTime::now()),
            ..payload::DaemonStatus::default()
        };
        Self { outbox, ended, lost, topics: HashSet::new(), status }
    }

    /// Counts how often a proxyd that was there has gone. Never changes without the bus.
    pub fn proxy_lost(&self) -> watch::Receiver<u64> {
        self.lost.clone()
    }

    /// Says how the daemon is; `loaded` counts one more configuration.
    pub fn status(&mut self, state: &str, loaded: bool, log_dropped: u64) {
        state.clone_into(&mut self.status.state);
        self.status.generation += u64::from(loaded);
        self.status.log_dropped = log_dropped;
        self.put("daemon.status".into(), Some(Fact::Status(self.status.clone())));
    }

    fn put(&self, topic: String, fact: Option<Fact>) {
        if let Some(outbox) = &self.outbox {
            outbox.put(topic, fact);
        }
    }

    /// Says what an instance or a group is now; nothing when it is no longer configured.
    pub fn publish(&mut self, router: &Router, subject: &Subject) {
        if self.outbox.is_none() {
            return;
        }
        match subject {
            Subject::Instance(instance) => {
                if let Some(i) = router.position(&instance.name) {
                    self.instance(router, i);
                }
            }
            Subject::Group(group) => {
                if let Some(g) = router.groups.iter().position(|g| g.config.name == group.name) {
                    self.group(router, g);
                }
            }
        }
    }

    /// Says everything anew and takes back what is no longer configured.
    pub fn publish_all(&mut self, router: &Router) {
        if self.outbox.is_none() {
            return;
        }
        let before = std::mem::take(&mut self.topics);
        (0..router.members.len()).for_each(|i| self.instance(router, i));
        (0..router.groups.len()).for_each(|g| self.group(router, g));
        for topic in before.difference(&self.topics) {
            self.put(topic.clone(), None);
        }
    }

    fn instance(&mut self, router: &Router, i: usize) {
        let topic = format!("{INSTANCE}{}", router.members[i].config.name);
        self.put(topic.clone(), Some(Fact::Instance(instance(router, i))));
        self.topics.insert(topic);
    }

    fn group(&mut self, router: &Router, g: usize) {
        let group = &router.groups[g];
        let names = group.members.iter().map(|m| router.members[*m].config.name.clone());
        let state = if router.stopped() { "STOP".into() } else { group.state.to_string() };
        let data = payload::VrrpGroup { state, instances: names.collect() };
        let topic = format!("{GROUP}{}", group.config.name);
        self.put(topic.clone(), Some(Fact::Group(data)));
        self.topics.insert(topic);
    }

    /// Gives the last words a moment to get out and removes the socket.
    pub fn close(mut self) {
        if let Some(outbox) = self.outbox.take() {
            *outbox.closing.lock().unwrap_or_else(PoisonError::into_inner) = true;
            outbox.wake.notify_one();
            // Too late or gone: the subscribers see the connection end.
            let _ended = self.ended.recv_timeout(LAST_WORDS);
        }
    }
}

/// What is told about an instance.
fn instance(router: &Router, i: usize) -> payload::VrrpInstance {
    let member = &router.members[i];
    let config = &member.config;
    let state = member.machine.name();
    let addresses: Vec<String> =
        config.vips.iter().chain(&config.excluded_vips).map(|a| a.address.to_string()).collect();
    let since = member.since.map_or(Duration::ZERO, |at| Instant::now().saturating_duration_since(at));
    payload::VrrpInstance {
        state: if router.stopped() { "STOP".into() } else { state.to_string() },
        vrid: config.vrid,
        interface: config.interface.clone(),
        priority: config.priority,
        effective_priority: member.machine.priority,
        held: if state == StateName::Master { addresses.clone() } else { Vec::new() },
        addresses,
        group: member.group.map(|g| router.groups[g].config.name.clone()).unwrap_or_default(),
        since_ms: milliseconds(SystemTime::now() - since),
        reason: reason(router, i),
        family: if config.family == crate::config::model::Family::Inet { "inet" } else { "inet6" }.into(),
    }
}

fn reason(router: &Router, i: usize) -> String {
    let member = &router.members[i];
    let waits = || format!("waiting for the first result of {} scripts", member.pending);
    match (member.machine.name(), &member.reason) {
        _ if router.stopped() => "stopped".into(),
        (StateName::Init, _) if member.pending > 0 => waits(),
        (StateName::Init, _) => "not started".into(),
        (StateName::Fault, reason) => match router.causes(i).as_slice() {
            [] => other(reason),
            causes => causes.iter().map(Note::to_string).collect::<Vec<_>>().join("; "),
        },
        (StateName::Backup | StateName::Master, reason) => other(reason),
    }
}

fn other(reason: &Reason) -> String {
    match reason {
        Reason::Start => "start".into(),
        Reason::Note(note) => note.to_string(),
        Reason::Recovered => "no longer in FAULT".into(),
        Reason::Group => "follows its sync group".into(),
    }
}

fn milliseconds(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64)
}

/// The thread: what is in the box goes to whoever listens.
fn serve(directory: &Path, outbox: &Outbox, log: &Contract, losses: &watch::Sender<u64>, end: Sender<()>) {
    let say = |text: String| log.say(Severity::Info, &text);
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return say("Bus: no runtime, going on without".into());
    };
    runtime.block_on(async {
        let server = Server::unserved();
        let mut requests = match server.serve(directory, Role::Vrrpd) {
            Ok(requests) => requests,
            Err(error) => return say(format!("Bus: {error}, going on without")),
        };
        let path = directory.join(format!("{}.sock", Role::Proxyd.name()));
        let mut proxyd = dial(path, Role::Vrrpd, &PRESENCE);
        loop {
            for (topic, fact) in outbox.take() {
                match fact.map(serde_json::to_value) {
                    Some(Ok(value)) => server.publish(&topic, value),
                    Some(Err(_)) => {}
                    None => server.retract(&topic),
                }
            }
            if outbox.closing() {
                // Lets the connections' tasks run; then the socket's name goes with the runtime.
                tokio::time::sleep(FLUSH).await;
                return;
            }
            tokio::select! {
                () = outbox.wake.notified() => {}
                Some(request) = requests.recv() => {
                    if let Request::Refused { uid, pid } = request {
                        say(format!("Bus: refused a connection of uid {uid}, pid {pid}"));
                    }
                }
                Some(news) = proxyd.news.recv() => {
                    if news == News::Down {
                        losses.send_modify(|n| *n += 1);
                    }
                }
            }
        }
    });
    drop(runtime);
    // The daemon may have stopped waiting.
    let _ = end.send(());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::model::{Address, Config, Instance, SyncGroup};
    use crate::core::router::{Effect, Input, Link};
    use bus::endpoint::{News, dial};

    fn router() -> Router {
        let vip = Address::new("10.0.0.9".parse().unwrap(), 32);
        let instance = |name: &str, vrid| Instance {
            name: name.into(),
            interface: "eth0".into(),
            vrid,
            priority: 100,
            vips: vec![vip.clone()],
            ..Instance::default()
        };
        let group =
            SyncGroup { name: "G".into(), members: vec!["a".into(), "b".into()], ..SyncGroup::default() };
        let config = Config {
            instances: vec![instance("a", 1), instance("b", 2), instance("c", 3)],
            groups: vec![group],
            ..Config::default()
        };
        Router::new(config)
    }

    fn handle(router: &mut Router, now: Instant, input: Input) -> Vec<Effect> {
        let mut out = Vec::new();
        router.handle(now, input, &mut out);
        out
    }

    #[test]
    fn states_have_reasons() {
        let mut r = router();
        let t0 = Instant::now();
        let link = |up| Input::Link(Link { index: 2, name: "eth0".into(), up });
        handle(&mut r, t0, link(true));
        handle(&mut r, t0, Input::Address(2, "10.0.0.1".parse().unwrap()));
        assert_eq!(instance(&r, 0).reason, "not started");
        handle(&mut r, t0, Input::Start);
        let data = instance(&r, 2);
        assert_eq!((data.state.as_str(), data.reason.as_str(), data.held.len()), ("BACKUP", "start", 0));
        assert_eq!((data.addresses, instance(&r, 0).group), (vec!["10.0.0.9".to_string()], "G".into()));
        let due = r.deadline().unwrap();
        let out = handle(&mut r, due, Input::Timeout);
        assert!(out.iter().any(|e| matches!(e, Effect::Publish(Subject::Instance(i)) if i.name == "a")));
        assert!(out.iter().any(|e| matches!(e, Effect::Publish(Subject::Group(g)) if g.name == "G")));
        let data = instance(&r, 2);
        assert_eq!((data.state.as_str(), data.reason.as_str()), ("MASTER", "Receive advertisement timeout"));
        assert_eq!(data.held, ["10.0.0.9"]);
        assert_eq!(instance(&r, 0).reason, "follows its sync group");
        handle(&mut r, t0, link(false));
        let data = instance(&r, 2);
        assert_eq!(
            (data.state.as_str(), data.reason.as_str()),
            ("FAULT", "entering FAULT state (interface eth0 down)")
        );
        handle(&mut r, t0, link(true));
        assert_eq!(instance(&r, 2).reason, "no longer in FAULT");
        handle(&mut r, t0, Input::Stop);
        assert_eq!(instance(&r, 2).state, "STOP");
    }

    #[test]
    fn subscribers_see_the_newest_state_and_what_goes() {
        let dir = tempfile::tempdir().unwrap();
        let log = Contract::new();
        let mut ours = Bus::open(Some(dir.path().to_owned()), &log);
        let mut r = router();
        ours.status("running", true, 0);
        ours.publish_all(&r);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let test = async {
            let mut client = dial(dir.path().join("vrrpd.sock"), Role::Operator, &["*"]);
            let mut topics = HashSet::new();
            while topics.len() < 5 {
                if let Some(News::Changed(topic, _)) = client.news.recv().await {
                    topics.insert(topic);
                }
            }
            assert!(topics.contains("daemon.status") && topics.contains("vrrp.group/G"), "{topics:?}");
            let mut config = (*r.config).clone();
            config.instances = r.members[..2].iter().map(|m| (*m.config).clone()).collect();
            r.reload(Instant::now(), config, &mut Vec::new());
            ours.publish_all(&r);
            loop {
                match client.news.recv().await {
                    Some(News::Gone(topic)) => break assert_eq!(topic, "vrrp.instance/c"),
                    Some(_) => {}
                    None => panic!("the connection ended"),
                }
            }
            ours.close();
            assert!(!dir.path().join("vrrpd.sock").exists());
        };
        runtime.block_on(async { tokio::time::timeout(Duration::from_secs(20), test).await }).unwrap();
    }

    #[test]
    fn without_a_directory_nothing_happens() {
        let mut ours = Bus::open(None, &Contract::new());
        ours.status("running", true, 0);
        ours.publish_all(&router());
        assert!(ours.topics.is_empty());
        ours.close();
    }
}
