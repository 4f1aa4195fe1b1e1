use std::net::SocketAddr;

use health::{Cause, Status};
use proptest::prelude::*;

use super::*;
use crate::config::model::{Family, HttpGet, HttpProtocol, Protocol, SorryServer, Target, Url};
use crate::core::plan::ServiceKey;

const VIP: &str = "10.9.9.1:80";

fn address(text: &str) -> SocketAddr {
    text.parse().expect("address")
}

fn real(n: u8) -> SocketAddr {
    SocketAddr::from(([10, 1, 0, n], 80))
}

fn http(urls: usize) -> CheckerKind {
    let url = |n: usize| Url {
        path: format!("/{n}"),
        digest: None,
        status: Vec::new(),
        virtualhost: None,
        regex: None,
        tls_compliant: false,
    };
    CheckerKind::Http(HttpGet {
        tls: false,
        protocol: HttpProtocol::V10,
        virtualhost: None,
        enable_sni: false,
        sni_name: None,
        fast_recovery: false,
        tls_compliant: false,
        urls: (0..urls).map(url).collect(),
    })
}

/// A service with real servers of these weights and one TCP checker each.
fn server(weights: &[u32], change: impl Fn(&mut VirtualServer)) -> VirtualServer {
    let mut service = VirtualServer::new(Target::Address(address(VIP)), Family::Inet);
    for (n, weight) in (1..).zip(weights) {
        let mut rs = RealServer::new(real(n), &service);
        rs.weight = *weight;
        let checker = Checker::new(CheckerKind::Tcp, &rs, Duration::from_secs(2));
        rs.checkers.push(checker);
        service.real_servers.push(rs);
    }
    change(&mut service);
    service
}

struct Run {
    core: Core,
    planned: BTreeMap<ProbeId, Duration>,
    effects: Vec<Effect>,
}

impl Run {
    fn new(model: Model) -> Self {
        let mut run =
            Self { core: Core::new(model, &Files::new(), 7), planned: BTreeMap::new(), effects: Vec::new() };
        run.give(Input::Start);
        run
    }

    fn of(service: VirtualServer) -> Self {
        Self::new(Model { services: vec![service], ..Model::default() })
    }

    fn give(&mut self, input: Input) -> Vec<String> {
        let mut out = Vec::new();
        self.core.handle(input, &mut out);
        let mut lines = Vec::new();
        for effect in &out {
            match effect {
                Effect::Log(message) => lines.push(message.to_string()),
                Effect::Probe { id, after, .. } => {
                    self.planned.insert(*id, *after);
                }
                Effect::Cancel(id) => {
                    self.planned.remove(id);
                }
                _ => {}
            }
        }
        self.effects = out;
        lines
    }

    /// The outcome of the probe of a real server's first checker.
    fn result(&mut self, real: usize, good: bool) -> Vec<String> {
        let outcome = if good {
            Outcome::passed(Status::L4Ok)
        } else {
            Outcome::new(Status::L4Connection, Cause::Connect("Connection refused".into()))
        };
        self.outcome(real, outcome)
    }

    fn outcome(&mut self, real: usize, outcome: Outcome) -> Vec<String> {
        let id = self.core.services[0].reals[real].checkers[0].probe.expect("planned");
        self.planned.remove(&id);
        self.give(Input::Outcome(id, outcome))
    }

    fn fifo(&self) -> Vec<String> {
        self.effects
            .iter()
            .filter_map(|e| if let Effect::Fifo(line) = e { Some(line.clone()) } else { None })
            .collect()
    }

    fn pool(&self) -> Vec<(SocketAddr, u32)> {
        let table = self.core.wanted();
        let key = ServiceKey::Address(Protocol::Tcp, address(VIP));
        table[&key].destinations.iter().map(|(a, d)| (*a, d.weight)).collect()
    }
}

#[test]
fn starts_with_all_servers_and_drops_one_that_fails_at_once() {
    let mut run = Run::of(server(&[1, 2], |_| {}));
    assert_eq!(run.pool(), [(real(1), 1), (real(2), 2)]);
    let lines = run.result(1, false);
    assert_eq!(
        lines,
        [
            "TCP_CHECK on service [10.1.0.2]:tcp:80 failed.",
            "Removing service [10.1.0.2]:tcp:80 from VS [10.9.9.1]:tcp:80",
        ]
    );
    assert_eq!(run.fifo(), ["RS [10.1.0.2]:tcp:80 [10.9.9.1]:tcp:80 DOWN"]);
    let lines = run.result(0, false);
    assert_eq!(lines[2], "Lost quorum 1-0=1 > 0 for VS [10.9.9.1]:tcp:80");
    assert!(run.pool().is_empty());
}

#[test]
fn start_says_what_keepalived_says() {
    let mut core =
        Core::new(Model { services: vec![server(&[1, 2], |_| {})], ..Model::default() }, &Files::new(), 1);
    let mut out = Vec::new();
    core.handle(Input::Start, &mut out);
    let lines: Vec<_> =
        out.iter().filter_map(|e| if let Effect::Log(m) = e { Some(m.to_string()) } else { None }).collect();
    assert_eq!(
        lines,
        [
            "Gained quorum 1+0=1 <= 3 for VS [10.9.9.1]:tcp:80",
            "Activating healthchecker for service [10.1.0.1]:tcp:80 for VS [10.9.9.1]:tcp:80",
            "Activating healthchecker for service [10.1.0.2]:tcp:80 for VS [10.9.9.1]:tcp:80",
            "Activating BFD healthchecker",
        ]
    );
}

#[test]
fn retries_come_after_delay_before_retry() {
    let mut run = Run::of(server(&[1, 2], |_| {}));
    run.result(0, true);
    assert!(run.planned.values().all(|d| *d <= Duration::from_secs(3)));
    assert!(run.result(0, false).is_empty());
    let id = run.core.services[0].reals[0].checkers[0].probe.expect("planned");
    assert_eq!(run.planned[&id], Duration::from_secs(1));
    let lines = run.result(0, false);
    assert_eq!(lines[0], "TCP_CHECK on service [10.1.0.1]:tcp:80 failed after 1 retries.");
}

#[test]
fn quorum_with_hysteresis_and_sorry_server() {
    let sorry = SorryServer { address: real(9), inhibit: false, method: crate::config::model::Method::Nat };
    let mut run = Run::of(server(&[1, 2, 1, 1, 1], |s| {
        s.quorum = 3;
        s.hysteresis = 1;
        s.sorry = Some(sorry.clone());
        s.real_servers[3].inhibit_on_failure = true;
    }));
    for n in [0, 4, 2] {
        run.result(n, false);
    }
    assert_eq!(run.pool(), [(real(2), 2), (real(4), 1)]);
    let lines = run.result(3, false);
    assert_eq!(lines[1], "Disabling service [10.1.0.4]:tcp:80 of VS [10.9.9.1]:tcp:80");
    assert_eq!(run.pool(), [(real(2), 2), (real(4), 0)]);
    let lines = run.result(1, false);
    assert_eq!(
        lines[1..],
        [
            "Removing service [10.1.0.2]:tcp:80 from VS [10.9.9.1]:tcp:80",
            "Lost quorum 3-1=2 > 0 for VS [10.9.9.1]:tcp:80",
            "Adding sorry server [10.1.0.9]:tcp:80 to VS [10.9.9.1]:tcp:80",
            "Removing alive servers from the pool for VS [10.9.9.1]:tcp:80",
        ]
    );
    assert_eq!(run.pool(), [(real(4), 0), (real(9), 1)]);
    run.result(1, true);
    run.result(0, true);
    assert_eq!(run.pool(), [(real(4), 0), (real(9), 1)]);
    let lines = run.result(3, true);
    assert_eq!(
        lines[1..],
        [
            "Enabling service [10.1.0.4]:tcp:80 of VS [10.9.9.1]:tcp:80",
            "Gained quorum 3+1=4 <= 4 for VS [10.9.9.1]:tcp:80",
            "Removing sorry server [10.1.0.9]:tcp:80 from VS [10.9.9.1]:tcp:80",
            "Adding alive servers to the pool for VS [10.9.9.1]:tcp:80",
        ]
    );
    assert_eq!(run.pool(), [(real(1), 1), (real(2), 2), (real(4), 1)]);
}

#[test]
fn a_web_server_comes_back_after_all_its_urls() {
    let mut run = Run::of(server(&[1], |s| {
        let real = s.real_servers[0].clone();
        s.real_servers[0].checkers = vec![Checker::new(http(2), &real, Duration::from_secs(2))];
    }));
    assert!(run.result(0, true).is_empty());
    assert_eq!(run.result(0, true), ["Remote Web server [10.1.0.1]:tcp:80 succeed on service."]);
    run.result(0, false);
    assert_eq!(run.result(0, false)[0], "HTTP_CHECK on service [10.1.0.1]:tcp:80 failed after 1 retries.");
    assert_eq!(run.result(0, true), ["HTTP status code success to [10.1.0.1]:tcp:80 url(/0)"]);
    assert_eq!(run.result(0, true), ["HTTP status code success to [10.1.0.1]:tcp:80 url(/0)"]);
    let lines = run.result(0, true);
    assert_eq!(lines[0], "HTTP status code success to [10.1.0.1]:tcp:80 url(/1)");
    assert_eq!(lines[1], "Remote Web server [10.1.0.1]:tcp:80 succeed on service.");
    assert_eq!(lines[2], "Adding service [10.1.0.1]:tcp:80 to VS [10.9.9.1]:tcp:80");
}

#[test]
fn dynamic_weights_change_the_pool() {
    let script = Script { argv: vec!["/bin/x".into()], text: "/bin/x".into(), uid: 0, gid: 0 };
    let mut run = Run::of(server(&[10], |s| {
        let real = s.real_servers[0].clone();
        let kind = CheckerKind::Misc { script: script.clone(), timeout: None, dynamic: true };
        s.real_servers[0].checkers = vec![Checker::new(kind, &real, Duration::from_secs(2))];
    }));
    let mut outcome = Outcome::passed(Status::ProcessOk);
    outcome.wish.absolute_weight = Some(5);
    let lines = run.outcome(0, outcome);
    assert_eq!(
        lines[0],
        "Changing weight from 10 to 5 for active service [10.1.0.1]:tcp:80 of VS [10.9.9.1]:tcp:80"
    );
    assert_eq!(run.pool(), [(real(1), 5)]);
    let lines = run.outcome(0, Outcome::passed(Status::ProcessOk));
    assert!(lines[0].starts_with("Changing weight from 5 to 10"));
}

#[test]
fn files_count_from_the_start() {
    use crate::config::model::TrackFile;
    let service = server(&[10, 10], |s| {
        for real in &mut s.real_servers {
            let weight = i32::from(real.address == super::tests::real(1));
            let kind = CheckerKind::File { track_file: "f".into(), weight, reverse: false };
            real.checkers = vec![Checker::new(kind, &real.clone(), Duration::from_secs(2))];
        }
    });
    let file = TrackFile { name: "f".into(), path: "/f".into(), weight: 1, reverse: false, init: None };
    let model = Model { services: vec![service], track_files: vec![file], ..Model::default() };
    let core = Core::new(model, &Files::from([("f".to_owned(), 5)]), 1);
    let table = core.wanted();
    let pool = &table.values().next().expect("a service").destinations;
    // Weight 0 means that any value but 0 is a failure.
    assert_eq!(pool.iter().map(|(a, d)| (*a, d.weight)).collect::<Vec<_>>(), [(real(1), 15)]);
}

#[test]
fn alpha_servers_start_outside_and_their_first_failure_is_notified() {
    let mut run = Run::of(server(&[1, 1], |s| {
        for real in &mut s.real_servers {
            real.checkers[0].alpha = true;
        }
    }));
    assert!(run.pool().is_empty());
    run.result(0, false);
    assert_eq!(run.fifo(), ["RS [10.1.0.1]:tcp:80 [10.9.9.1]:tcp:80 DOWN"]);
    let lines = run.result(1, true);
    assert_eq!(lines[2], "Gained quorum 1+0=1 <= 1 for VS [10.9.9.1]:tcp:80");
}

#[test]
fn reload_keeps_health_and_names_what_changed() {
    let mut run = Run::of(server(&[1, 2, 3], |_| {}));
    run.result(0, false);
    let model = Model { services: vec![server(&[1, 4], |_| {})], ..Model::default() };
    let lines = run.give(Input::Reload(Box::new(model), Files::new()));
    assert_eq!(
        lines[..4],
        [
            "Reinitializing ipvs",
            "service [10.1.0.3]:tcp:80 no longer exist",
            "Removing service [10.1.0.3]:tcp:80 from VS [10.9.9.1]:tcp:80",
            "Changing weight from 2 to 4 for active service [10.1.0.2]:tcp:80 of VS [10.9.9.1]:tcp:80",
        ]
    );
    assert_eq!(run.pool(), [(real(2), 4)]);
    // Gone services leave nothing behind.
    let lines = run.give(Input::Reload(Box::default(), Files::new()));
    assert_eq!(lines[1], "Removing Virtual Server [10.9.9.1]:tcp:80");
    assert!(run.core.wanted().is_empty());
    assert!(run.planned.is_empty());
}

#[test]
fn omega_notifies_at_the_end() {
    let mut run = Run::of(server(&[1], |s| s.omega = true));
    let lines = run.give(Input::Stop);
    assert_eq!(lines, ["Shutting down service [10.1.0.1]:tcp:80 from VS [10.9.9.1]:tcp:80"]);
    assert_eq!(run.fifo(), ["RS [10.1.0.1]:tcp:80 [10.9.9.1]:tcp:80 DOWN", "VS [10.9.9.1]:tcp:80 DOWN"]);
}

proptest! {
    /// Whatever the results: the pool is the live servers while the quorum holds, every checker has exactly one
    /// probe planned, and every RS and VS line of the FIFO is a change.
    #[test]
    fn the_pool_follows_the_state(
        weights in prop::collection::vec(0u32..4, 1..5),
        quorum in 1u32..5,
        hysteresis in 0u32..3,
        with_sorry: bool,
        results in prop::collection::vec((0usize..4, any::<bool>()), 0..80),
    ) {
        let sorry = SorryServer { address: real(99), inhibit: false, method: crate::config::model::Method::Dr };
        let mut run = Run::of(server(&weights, |s| {
            s.quorum = quorum;
            s.hysteresis = hysteresis.min(quorum - 1);
            s.sorry = with_sorry.then(|| sorry.clone());
        }));
        let mut last: BTreeMap<String, String> = BTreeMap::new();
        for (n, good) in results {
            run.result(n % weights.len(), good);
            for line in run.fifo() {
                let (name, word) = line.rsplit_once(' ').expect("two words");
                let before = last.insert(name.to_owned(), word.to_owned());
                prop_assert_ne!(before.as_deref(), Some(word));
            }
            prop_assert_eq!(run.planned.len(), weights.len());
            let service = &run.core.services[0];
            let alive: Vec<_> = service
                .reals
                .iter()
                .filter(|r| r.alive)
                .map(|r| (r.config.address, r.config.weight))
                .collect();
            if with_sorry && !service.quorum_up {
                prop_assert_eq!(run.pool(), vec![(real(99), 1)]);
            } else {
                prop_assert_eq!(run.pool(), alive);
            }
        }
    }
}

#[test]
fn checks_rest_while_the_address_is_elsewhere() {
    let mut run = Run::of(server(&[1], |s| s.ha_suspend = true));
    assert!(run.planned.is_empty());
    let activating = "Activating healthchecker for service [10.1.0.1]:tcp:80 for VS [10.9.9.1]:tcp:80";
    assert_eq!(run.give(Input::Present(0, true)), [activating]);
    assert_eq!(run.planned.len(), 1);
    assert!(run.give(Input::Present(0, true)).is_empty());
    assert_eq!(run.give(Input::Present(0, false)), [activating.replace("Activating", "Suspending")]);
    assert!(run.planned.is_empty());
}

#[test]
fn virtual_servers_of_one_group_share_its_services() {
    use crate::config::model::{GroupEntry, ServerGroup};
    let first: SocketAddr = address(VIP);
    let group =
        ServerGroup { name: "g".into(), entries: vec![GroupEntry::Range { first, last: first.ip() }] };
    let of = |n: u8| {
        let mut service = server(&[1], |s| s.target = Target::Group("g".into()));
        service.real_servers[0].address = real(n);
        service
    };
    let model = Model { groups: vec![group], services: vec![of(1), of(2)], ..Model::default() };
    let mut run = Run::new(model.clone());
    let names: Vec<_> = run.core.services.iter().map(|s| s.name.clone()).collect();
    assert_eq!(names, ["[g]:0", "[g]:1"]);
    assert_eq!(run.pool(), [(real(1), 1), (real(2), 1)]);
    run.result(0, false);
    assert_eq!(run.pool(), [(real(2), 1)]);
    run.give(Input::Reload(Box::new(model), Files::new()));
    assert_eq!(run.pool(), [(real(2), 1)]);
}
