use std::net::SocketAddr;

use super::*;
use crate::config::model::{Checker, CheckerKind, Family, RealServer, Script, VirtualServer};
use crate::core::plan::ServiceKey;
use crate::ipvs::kernel::Fake;

const VIP: &str = "10.9.9.1:80";
const SHORT: Duration = Duration::from_millis(20);

/// A service with a TCP checker for each address.
fn model(reals: &[SocketAddr]) -> Model {
    let vip = VIP.parse().expect("address");
    let mut service = VirtualServer::new(Target::Address(vip), Family::Inet);
    for address in reals {
        let mut real = RealServer::new(*address, &service);
        let mut checker = Checker::new(CheckerKind::Tcp, &real, SHORT);
        checker.delay_before_retry = SHORT;
        real.checkers.push(checker);
        service.real_servers.push(real);
    }
    Model { services: vec![service], ..Model::default() }
}

fn options(mut models: Vec<Option<Model>>) -> (Options, Model) {
    let first = models.remove(0).expect("a first configuration");
    let mut rest = models.into_iter();
    let mut options = Options::new(Contract::new(), Box::new(move |_| rest.next().flatten()));
    options.ipvs = Some(Box::new(Fake::default()));
    options.bus = None;
    (options, first)
}

fn block<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
    runtime.block_on(LocalSet::new().run_until(future))
}

fn pool(daemon: &mut Daemon) -> Vec<SocketAddr> {
    let table = daemon.table.as_mut().expect("a table").ipvs().dump().expect("dump");
    table.values().flat_map(|e| e.destinations.keys().copied()).collect()
}

/// Serves until the pool is as wanted.
async fn until(daemon: &mut Daemon, wanted: &[SocketAddr]) {
    for _ in 0..500 {
        if pool(daemon) == wanted {
            return;
        }
        let _ = tokio::time::timeout(SHORT, daemon.serve()).await;
    }
    panic!("the pool is {:?}, not {wanted:?}", pool(daemon));
}

#[test]
fn the_table_follows_the_servers() {
    block(async {
        let alive = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let other = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let mut both = [alive.local_addr().expect("address"), other.local_addr().expect("address")];
        let (a, b) = (both[0], both[1]);
        both.sort();
        let (options, first) = options(vec![Some(model(&both))]);
        let mut daemon = Daemon::start(options, first).expect("started");
        until(&mut daemon, &both).await;
        drop(other);
        until(&mut daemon, &[a]).await;
        let _back = tokio::net::TcpListener::bind(b).await.expect("bound");
        until(&mut daemon, &both).await;
        daemon.stop();
    });
}

#[test]
fn a_refused_configuration_changes_nothing_and_a_good_one_keeps_health() {
    block(async {
        let alive = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let a = alive.local_addr().expect("address");
        let dead: SocketAddr = "127.0.0.1:1".parse().expect("address");
        let new: SocketAddr = "127.0.0.1:2".parse().expect("address");
        let (options, first) = options(vec![Some(model(&[dead, a])), None, Some(model(&[dead, new, a]))]);
        let mut daemon = Daemon::start(options, first).expect("started");
        until(&mut daemon, &[a]).await;
        daemon.reload();
        assert_eq!(pool(&mut daemon), [a]);
        // The dead one stays out, the new one starts in the pool.
        daemon.reload();
        let mut wanted = [new, a];
        wanted.sort();
        assert_eq!(pool(&mut daemon), wanted);
        assert_eq!(daemon.core.services[0].reals.len(), 3);
        until(&mut daemon, &[a]).await;
    });
}

#[test]
fn the_end_takes_only_what_is_ours() {
    block(async {
        let foreign = ServiceKey::Fwmark(99, Family::Inet);
        let mut fake = Fake::default();
        let server = VirtualServer::new(Target::Fwmark(99), Family::Inet);
        let service = crate::core::plan::Service::of(&server, Family::Inet);
        fake.apply(&crate::core::plan::Command::AddService(foreign, service)).expect("added");
        let shared = std::sync::Arc::new(std::sync::Mutex::new(fake));
        let (mut options, first) = options(vec![Some(model(&["127.0.0.1:1".parse().expect("address")]))]);
        options.ipvs = Some(Box::new(Shared(shared.clone())));
        let daemon = Daemon::start(options, first).expect("started");
        assert_eq!(shared.lock().expect("lock").table.len(), 2);
        daemon.stop();
        let table = shared.lock().expect("lock").table.clone();
        assert_eq!(table.into_keys().collect::<Vec<_>>(), [foreign]);
    });
}

/// A fake that the test can look into.
struct Shared(std::sync::Arc<std::sync::Mutex<Fake>>);

impl Ipvs for Shared {
    fn apply(&mut self, command: &crate::core::plan::Command) -> io::Result<()> {
        self.0.lock().expect("lock").apply(command)
    }

    fn dump(&mut self) -> io::Result<Table> {
        self.0.lock().expect("lock").dump()
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.lock().expect("lock").flush()
    }

    fn timeouts(&mut self, timeouts: crate::config::model::IpvsTimeouts) -> io::Result<()> {
        self.0.lock().expect("lock").timeouts(timeouts)
    }

    fn sync_daemon(&mut self, start: bool, state: SyncState, daemon: &SyncDaemon) -> io::Result<()> {
        self.0.lock().expect("lock").sync_daemon(start, state, daemon)
    }

    fn version(&self) -> String {
        "1.2.1".to_owned()
    }
}

#[test]
fn the_sync_daemon_follows_its_instance() {
    block(async {
        let shared = std::sync::Arc::new(std::sync::Mutex::new(Fake::default()));
        let mut first = model(&[]);
        first.globals.sync_daemon = Some(SyncDaemon {
            interface: "eth0".into(),
            instance: Some("VI_1".into()),
            id: None,
            max_len: None,
            port: None,
            ttl: None,
            group: None,
        });
        let (mut options, _) = options(vec![Some(Model::default())]);
        options.ipvs = Some(Box::new(Shared(shared.clone())));
        let mut daemon = Daemon::start(options, first).expect("started");
        let runs = || shared.lock().expect("lock").daemons.clone();
        assert_eq!(runs(), [SyncState::Backup]);
        daemon.follow("VI_2", true);
        assert_eq!(runs(), [SyncState::Backup]);
        daemon.follow("VI_1", true);
        assert_eq!(runs(), [SyncState::Master]);
        daemon.stop();
        assert!(runs().is_empty());
    });
}

#[test]
fn a_script_that_hangs_holds_nobody_up() {
    block(async {
        let alive = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let a = alive.local_addr().expect("address");
        let dead: SocketAddr = "127.0.0.1:1".parse().expect("address");
        let mut first = model(&[dead, a]);
        let script = Script {
            argv: vec!["/bin/sleep".into(), "30".into()],
            text: "/bin/sleep 30".into(),
            uid: nix::unistd::geteuid().as_raw(),
            gid: nix::unistd::getegid().as_raw(),
        };
        first.services[0].real_servers[0].notify_down = Some(script);
        let (options, first) = options(vec![Some(first)]);
        let mut daemon = Daemon::start(options, first).expect("started");
        until(&mut daemon, &[a]).await;
    });
}

/// What a VRRP daemon publishes of an instance.
fn publish(server: &::bus::endpoint::Server, name: &str, state: &str) {
    let data = ::bus::payload::VrrpInstance { state: state.to_owned(), ..Default::default() };
    server.publish(&format!("vrrp.instance/{name}"), serde_json::to_value(data).expect("serialises"));
}

#[test]
fn the_sync_daemon_follows_its_vrrp_instance() {
    block(async {
        let dir = tempfile::tempdir().expect("dir");
        let following = |vrid| {
            let sync_daemon = SyncDaemon {
                interface: "lo".into(),
                instance: Some("VI_1".into()),
                id: Some(vrid),
                max_len: None,
                port: None,
                ttl: None,
                group: None,
            };
            let mut model = model(&[]);
            model.globals.sync_daemon = Some(sync_daemon);
            model
        };
        let (mut options, first) = options(vec![Some(following(51)), Some(following(52))]);
        options.bus = Some(dir.path().to_owned());
        let mut daemon = Daemon::start(options, first).expect("started");
        let states = |d: &Daemon| -> Vec<(SyncState, Option<u8>)> {
            d.sync.iter().map(|(state, daemon)| (*state, daemon.id)).collect()
        };
        assert_eq!(states(&daemon), [(SyncState::Backup, Some(51))], "before anything is heard");
        let server = ::bus::endpoint::Server::unserved();
        let _requests = server.serve(dir.path(), ::bus::Role::Vrrpd).expect("served");
        publish(&server, "VI_2", "MASTER");
        for (state, wanted) in [
            ("MASTER", SyncState::Master),
            ("BACKUP", SyncState::Backup),
            ("MASTER", SyncState::Master),
            ("FAULT", SyncState::Backup),
            ("MASTER", SyncState::Master),
        ] {
            publish(&server, "VI_1", state);
            until_sync(&mut daemon, wanted).await;
        }
        // A reload with other settings: the daemon is another one, its role the same.
        daemon.reload();
        assert_eq!(states(&daemon), [(SyncState::Master, Some(52))]);
        publish(&server, "VI_1", "STOP");
        until_sync(&mut daemon, SyncState::Backup).await;
        daemon.stop();
    });
}

/// Serves until one sync daemon runs, in this role.
async fn until_sync(daemon: &mut Daemon, wanted: SyncState) {
    for _ in 0..1000 {
        if matches!(&daemon.sync[..], [(state, _)] if *state == wanted) {
            return;
        }
        let _ = tokio::time::timeout(SHORT, daemon.serve()).await;
    }
    panic!("no sync daemon is {wanted:?}");
}
