//! proxyd on the bus: publishes its servers, listeners and itself; learns which addresses vrrpd holds or will hold,
//! and when an instance becomes master.
//!
//! Invariant: reads the board only, and asks for checks at once. Without the bus everything works (the kernel tells of
//! addresses too); only an address that is not on the host yet can't be bound ahead of vrrpd then.
//!
//! Absent on purpose: delegated probes ([`crate::delegate`]).

use crate::runtime::Generation;
use crate::stats::status::ServerStatus;
use bus::endpoint::{Client, News, Request, Server, dial};
use bus::{Role, payload};
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::mpsc;

/// How often the board is looked at: changes reach subscribers within this, and a server that flaps faster is
/// told at this pace.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How long the start waits for vrrpd's list of addresses; asked only when an address can't be bound.
const ADDRESSES_WITHIN: Duration = Duration::from_secs(1);
/// What vrrpd is asked for.
const INSTANCES: [&str; 1] = ["vrrp.instance/*"];

/// proxyd's side of the bus.
#[derive(Debug)]
pub struct Bus {
    server: Server,
    requests: Option<mpsc::Receiver<Request>>,
    vrrpd: Client,
    masters: Masters,
    status: payload::DaemonStatus,
}

/// Which instances were master when last heard of.
#[derive(Debug, Default)]
struct Masters(HashMap<String, bool>);

impl Masters {
    /// Takes the state of an instance; whether it became master just now. What is heard of an instance for the first
    /// time is no news.
    fn became(&mut self, topic: String, instance: &payload::VrrpInstance) -> bool {
        let master = instance.state == "MASTER";
        let before = self.0.insert(topic, master);
        master && before == Some(false)
    }
}

impl Bus {
    /// Serves in this directory; gives the reason when it can't, and then publishes to nobody. Must be called
    /// within a tokio runtime.
    pub fn open(directory: &Path) -> (Self, Option<String>) {
        let server = Server::unserved();
        let (requests, fault) = match server.serve(directory, Role::Proxyd) {
            Ok(requests) => (Some(requests), None),
            Err(e) => (None, Some(e.to_string())),
        };
        let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let status = payload::DaemonStatus {
            state: "running".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            pid: std::process::id(),
            started_ms: started.as_millis() as u64,
            ..payload::DaemonStatus::default()
        };
        let vrrpd = dial(directory.join(format!("{}.sock", Role::Vrrpd.name())), Role::Proxyd, &INSTANCES);
        (Self { server, requests, vrrpd, masters: Masters::default(), status }, fault)
    }

    /// Publishes for as long as it is polled. `free` are the listeners bound ahead of their address, as
    /// `FRONTEND/ADDRESS`.
    pub async fn run(mut self, free: HashSet<String>, current: impl Fn() -> Arc<Generation> + Send) {
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = look.tick() => self.look(&current(), &free),
                request = next(self.requests.as_mut()) => match request {
                    // proxyd holds no leases of others, so it offers none to take ("features" is empty).
                    Some(Request::Lease(..) | Request::Closed(_) | Request::Refused { .. }) => {}
                    None => self.requests = None,
                },
                Some(news) = self.vrrpd.news.recv() => if self.moved(news) {
                    current().suspect_all();
                },
            }
        }
    }

    /// Whether addresses came to this host.
    fn moved(&mut self, news: News) -> bool {
        match news {
            News::Changed(topic, data) => {
                serde_json::from_value(data).is_ok_and(|instance| self.masters.became(topic, &instance))
            }
            News::Gone(topic) => {
                self.masters.0.remove(&topic);
                false
            }
            News::Up { .. } | News::Down | News::Synced | News::Event(_) | News::Lease(_) => false,
        }
    }

    fn look(&mut self, generation: &Generation, free: &HashSet<String>) {
        let process = &generation.board.process;
        self.status.state = if process.stopping.load(Relaxed) { "stopping" } else { "running" }.into();
        self.status.generation = generation.number;
        self.status.log_dropped = process.dropped_logs.load(Relaxed);
        self.publish("daemon.status", &self.status);
        let mut there = HashSet::new();
        for (topic, data) in servers(generation) {
            self.publish(&topic, &data);
            there.insert(topic);
        }
        for (topic, data) in listeners(generation, free) {
            self.publish(&topic, &data);
            there.insert(topic);
        }
        for family in ["proxy.server/", "proxy.listener/"] {
            self.server.retain(family, |topic| there.contains(topic));
        }
    }

    fn publish<T: serde::Serialize>(&self, topic: &str, data: &T) {
        if let Ok(value) = serde_json::to_value(data) {
            self.server.publish(topic, value);
        }
    }
}

async fn next(requests: Option<&mut mpsc::Receiver<Request>>) -> Option<Request> {
    match requests {
        Some(requests) => requests.recv().await,
        None => std::future::pending().await,
    }
}

fn servers(generation: &Generation) -> Vec<(String, payload::ProxyServer)> {
    let mut out = Vec::new();
    for (at, (proxy, states)) in generation.config.proxies.iter().zip(&generation.servers).enumerate() {
        for (id, server) in proxy.shown_servers() {
            let state = &states[id.0];
            let judged = crate::stats::rows::judged(generation, (crate::config::model::ProxyId(at), id));
            let detail = state.detail.lock().unwrap_or_else(PoisonError::into_inner);
            let status = ServerStatus::of(state, &judged);
            let data = payload::ProxyServer {
                status: status.label().into(),
                reason: status.reason(&judged, state.admin.load(Relaxed)),
                address: detail.address.map_or_else(String::new, |a| a.to_string()),
                weight: state.user_weight.load(Relaxed),
                check: detail.check.status.into(),
                delegated: crate::delegate::is_remote(&proxy.name, &server.name),
            };
            out.push((format!("proxy.server/{}/{}", proxy.name, server.name), data));
        }
    }
    out
}

fn listeners(generation: &Generation, free: &HashSet<String>) -> Vec<(String, payload::ProxyListener)> {
    let mut out = Vec::new();
    for (proxy, state) in generation.config.proxies.iter().zip(&generation.proxies) {
        let full = proxy.maxconn.is_some_and(|m| state.front.cur_conn.load(Relaxed) >= m as u64);
        let stopped = state.stopped.load(Relaxed) || state.shut.load(Relaxed) || proxy.disabled;
        let status = match (stopped, full) {
            (true, _) => "STOP",
            (false, true) => "FULL",
            (false, false) => "OPEN",
        };
        for bind in &proxy.binds {
            let key = format!("{}/{}", proxy.name, bind.text);
            let data = payload::ProxyListener { status: status.into(), free_bound: free.contains(&key) };
            out.push((format!("proxy.listener/{key}"), data));
        }
    }
    out
}

/// Addresses that vrrpd says it holds while it is master, asked once; empty when it does not answer. Blocks, so it
/// is for the start only.
pub fn virtual_addresses(directory: PathBuf) -> HashSet<IpAddr> {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return HashSet::new();
    };
    runtime.block_on(async {
        let path = directory.join(format!("{}.sock", Role::Vrrpd.name()));
        if !path.exists() {
            return HashSet::new();
        }
        let mut client = dial(path, Role::Proxyd, &INSTANCES);
        let mut found = HashSet::new();
        let listen = async {
            while let Some(news) = client.news.recv().await {
                match news {
                    News::Changed(_, data) => {
                        let instance: payload::VrrpInstance =
                            serde_json::from_value(data).unwrap_or_default();
                        found.extend(instance.addresses.iter().filter_map(|a| a.parse::<IpAddr>().ok()));
                    }
                    News::Synced | News::Down => return,
                    News::Up { .. } | News::Gone(_) | News::Event(_) | News::Lease(_) => {}
                }
            }
        };
        // What came in time is what we know.
        let _ = tokio::time::timeout(ADDRESSES_WITHIN, listen).await;
        found
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn becoming_master_is_news_and_being_master_is_not() {
        let instance = |state: &str| payload::VrrpInstance { state: state.into(), ..Default::default() };
        let mut masters = Masters::default();
        let mut became = |name: &str, state| masters.became(name.into(), &instance(state));
        assert!(!became("a", "MASTER"), "as the first snapshot says");
        assert!(!became("b", "BACKUP"));
        assert!(became("b", "MASTER"));
        assert!(!became("b", "MASTER"), "said again");
        assert!(!became("b", "FAULT") && became("b", "MASTER"));
    }

    #[test]
    fn vrrpds_addresses_are_learnt_at_the_start() {
        let dir = tempfile::tempdir().unwrap();
        assert!(virtual_addresses(dir.path().into()).is_empty(), "nobody there, nothing waited for");
        let path = dir.path().to_owned();
        let (ready, told) = std::sync::mpsc::channel();
        let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
        let daemon = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let server = Server::unserved();
                let _requests = server.serve(&path, Role::Vrrpd).unwrap();
                server.publish(
                    "vrrp.instance/A",
                    json!({"state": "BACKUP", "addresses": ["10.1.2.3", "fd00::1", "x"]}),
                );
                ready.send(()).unwrap();
                let _ = (&mut stopped).await;
            });
        });
        told.recv().unwrap();
        let want = HashSet::from(["10.1.2.3".parse().unwrap(), "fd00::1".parse().unwrap()]);
        assert_eq!(virtual_addresses(dir.path().into()), want);
        drop(stop);
        daemon.join().unwrap();
    }
}
