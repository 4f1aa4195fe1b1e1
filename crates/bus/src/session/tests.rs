use super::*;
use sansio::sim::{Link, Net, Step, seeds};
use serde_json::json;

const SERVER: usize = 0;
const CLIENT: usize = 1;

fn drain(server: &mut Server, store: &Store) -> Vec<Frame> {
    std::iter::from_fn(|| server.next(store)).collect()
}

fn greeted(now: Instant, topics: &[&str]) -> Server {
    let mut server = Server::new(now);
    let mut out = Vec::new();
    let hello = Frame::Hello { versions: vec![1], role: "x".into(), features: vec![], epoch: 0, pid: 0 };
    server.frame(now, hello, &mut out);
    server.frame(now, Frame::Subscribe { topics: topics.iter().map(|t| (*t).into()).collect() }, &mut out);
    assert_eq!(out, []);
    server
}

#[test]
fn a_snapshot_and_then_changes() {
    let now = Instant::now();
    let mut store = Store::new(9);
    store.publish("vrrp.group/G", json!(1));
    store.publish("ipvs.service/S", json!(1));
    let mut server = greeted(now, &["vrrp.*"]);
    let frames = drain(&mut server, &store);
    assert!(matches!(
        frames[..],
        [Frame::Snapshot { seq: 1, epoch: 9 }, Frame::State { seq: 2, .. }, Frame::Sync { seq: 3, .. }]
    ));
    for change in [store.publish("vrrp.group/G", json!(2)), store.publish("ipvs.service/S", json!(2))] {
        server.changed(&change.unwrap());
    }
    assert!(store.publish("vrrp.group/G", json!(2)).is_none(), "no change, no frame");
    server.changed(&store.retract("vrrp.group/G").unwrap());
    let frames = drain(&mut server, &store);
    assert!(matches!(frames[..], [Frame::State { seq: 4, .. }, Frame::Gone { seq: 5, .. }]));
}

#[test]
fn a_slow_reader_gets_a_snapshot_and_no_queue_without_end() {
    let now = Instant::now();
    let mut store = Store::new(9);
    let mut server = greeted(now, &["*"]);
    drain(&mut server, &store);
    for n in 0..5000 {
        server.changed(&store.publish(&format!("proxy.server/b/s{}", n % 3), json!(n)).unwrap());
        assert!(server.queue.len() <= QUEUE_MAX);
    }
    let frames = drain(&mut server, &store);
    assert_eq!(frames.len(), 5, "snapshot, three states, sync");
    assert!(
        matches!(&frames[3], Frame::State { data, .. } if *data == json!(4997) || *data == json!(4999) || *data == json!(4998))
    );
}

#[test]
fn strangers_are_closed() {
    let now = Instant::now();
    for (frame, fault) in [
        (Frame::Subscribe { topics: vec![] }, Fault::OutOfPlace),
        (
            Frame::Hello { versions: vec![2], role: String::new(), features: vec![], epoch: 0, pid: 0 },
            Fault::Version,
        ),
    ] {
        let mut out = Vec::new();
        Server::new(now).frame(now, frame, &mut out);
        assert_eq!(out, [Served::Close(fault)]);
    }
    let mut out = Vec::new();
    let mut server = greeted(now, &[]);
    server.frame(now, Frame::Subscribe { topics: vec!["x".into(); TOPICS_MAX + 1] }, &mut out);
    server.frame(now, Frame::Sync { epoch: 1, seq: 1 }, &mut out);
    server.timeout(now + DEAD_AFTER, &mut out);
    assert_eq!(out, [Fault::Topics, Fault::OutOfPlace, Fault::Silent].map(Served::Close));
}

#[test]
fn waits_grow_and_stay_within_bounds() {
    let mut backoff = Backoff::new(3);
    let waits: Vec<_> = (0..12).map(|_| backoff.wait()).collect();
    assert!(waits[0] <= Backoff::FIRST && waits[0] >= Backoff::FIRST / 2);
    assert!(waits.iter().all(|w| *w <= Backoff::LONGEST));
    assert!(waits[11] >= Backoff::LONGEST / 2);
    backoff.reset();
    assert!(backoff.wait() <= Backoff::FIRST);
}

/// Both sides, a network between, and what the client told its daemon.
struct World {
    net: Net<Frame>,
    store: Store,
    server: Option<Server>,
    client: Client,
    told: BTreeMap<String, Value>,
    synced: bool,
}

impl World {
    fn new(seed: u64, link: Link) -> Self {
        let net = Net::new(seed, link);
        let client = Client::new(net.now(), "watcher", 1, vec!["*".into()]);
        let store = Store::new(seed + 1);
        Self { net, store, server: None, client, told: BTreeMap::new(), synced: false }
    }

    fn connect(&mut self) {
        self.net.forget(SERVER, CLIENT);
        self.server = Some(Server::new(self.net.now()));
        let mut out = Vec::new();
        self.client.connected(self.net.now(), &mut out);
        self.learned(out);
    }

    /// The server's side sends at most `frames`, as a slow socket takes them.
    fn pump(&mut self, frames: usize) {
        for _ in 0..frames {
            let Some(frame) = self.server.as_mut().and_then(|s| s.next(&self.store)) else { return };
            self.net.send(SERVER, CLIENT, frame);
        }
    }

    fn change(&mut self) {
        let topic = format!("proxy.server/b/s{}", self.net.rng.below(6));
        let change = if self.net.rng.chance(200) {
            self.store.retract(&topic)
        } else {
            let n = self.net.rng.below(4);
            self.store.publish(&topic, json!(n))
        };
        if let (Some(server), Some(change)) = (&mut self.server, change) {
            server.changed(&change);
        }
    }

    fn learned(&mut self, out: Vec<Learned>) {
        for effect in out {
            match effect {
                Learned::Send(frame) => self.net.send(CLIENT, SERVER, frame),
                Learned::Changed(topic, data) => drop(self.told.insert(topic, data)),
                Learned::Gone(topic) => assert!(self.told.remove(&topic).is_some(), "gone twice: {topic}"),
                Learned::Synced => self.synced = true,
                Learned::Close(_) => self.connect(),
                Learned::Lease(_) | Learned::Up { .. } | Learned::Event(_) => panic!("not served here"),
            }
        }
    }

    /// The server restarts: another epoch, other facts, and the connection breaks.
    fn restart(&mut self, epoch: u64) {
        self.store = Store::new(epoch);
        self.client.closed();
        self.connect();
    }

    fn step(&mut self, end: Instant) -> bool {
        let deadlines = [self.client.deadline(), self.server.as_ref().and_then(Server::deadline)];
        let deadline = deadlines.into_iter().flatten().min();
        match self.net.step(deadline, end) {
            Step::Arrives { to: CLIENT, message, .. } => {
                let mut out = Vec::new();
                self.client.frame(self.net.now(), message, &mut out);
                self.learned(out);
            }
            Step::Arrives { message, .. } => {
                let mut out = Vec::new();
                let now = self.net.now();
                if let Some(server) = &mut self.server {
                    server.frame(now, message, &mut out);
                }
                self.served(out);
            }
            Step::Deadline => {
                let now = self.net.now();
                let (mut served, mut learned) = (Vec::new(), Vec::new());
                if let Some(server) = &mut self.server {
                    server.timeout(now, &mut served);
                }
                self.served(served);
                self.client.timeout(now, &mut learned);
                self.learned(learned);
            }
            Step::End => return false,
        }
        true
    }

    fn served(&mut self, out: Vec<Served>) {
        for effect in out {
            match effect {
                Served::Reply(frame) => self.net.send(SERVER, CLIENT, frame),
                Served::Close(_) => {
                    self.client.closed();
                    self.connect();
                }
                Served::Lease(frame) => panic!("no lease was offered: {frame:?}"),
            }
        }
    }

    fn view(&self) -> BTreeMap<String, Value> {
        self.store.facts.iter().map(|(t, d)| (t.to_string(), (**d).clone())).collect()
    }
}

/// Loss of either side at any point, duplicates, late frames and a slow reader; after the storm the views agree.
#[test]
fn views_agree_after_any_storm() {
    let storm = Link {
        loss_per_mille: 150,
        duplicate_per_mille: 150,
        delay_min: Duration::from_millis(1),
        delay_max: Duration::from_millis(120),
    };
    for seed in seeds(2000) {
        let mut world = World::new(seed, storm);
        world.connect();
        let calm = world.net.at(Duration::from_secs(10));
        while world.net.now() < calm {
            for _ in 0..world.net.rng.below(3) {
                world.change();
            }
            let frames = world.net.rng.below(4) as usize;
            world.pump(frames);
            let (restarts, breaks) = (world.net.rng.chance(8), world.net.rng.chance(8));
            if restarts {
                world.restart(seed + 1000 + world.net.elapsed().as_millis() as u64);
            } else if breaks {
                world.client.closed();
                world.connect();
            }
            let next = world.net.now() + Duration::from_millis(20 + world.net.rng.below(200));
            while world.step(next.min(calm)) {}
        }
        world.net.default = Link::PERFECT;
        world.synced = false;
        for second in 11..=20 {
            let end = world.net.at(Duration::from_secs(second));
            world.pump(usize::MAX);
            while world.step(end) {
                world.pump(usize::MAX);
            }
        }
        assert!(world.client.is_live(), "seed {seed}: not live: {:?}", world.client);
        assert_eq!(world.told, world.view(), "seed {seed}: the daemon was told something else");
        let known: BTreeMap<_, _> = world.client.facts().map(|(t, d)| (t.to_string(), d.clone())).collect();
        assert_eq!(known, world.view(), "seed {seed}: the view is stale");
    }
}
