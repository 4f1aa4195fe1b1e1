//! The shell: events to the core, effects to the kernel and the world.
//!
//! Invariant: one thread, and nothing in it waits for anything but the kernel's answer to a netlink request: lines are
//! lost rather than waited for, scripts and mail are tasks, a configuration is read on a thread of its own. Adverts go
//! at once; everything else goes through a queue in slices of about half a millisecond, with timers and packets looked
//! at in between, so that a thousand instances that move together do not make each other late.
//! Absent on purpose: decisions (core/).

mod change;
mod claim;
mod device;
mod filter;
mod host;
mod process;
mod tracker;

use crate::bus::Bus;
use crate::config::model::{Config, DynamicInterfaces, Family, Instance, Script, TrackFile, TrackProcess};
use crate::core::router::{Effect, GoneRoute, Input, Link, Outgoing, Router};
use crate::dump;
use crate::held::{Line, Teller, held};
use crate::io::address;
use crate::io::alarm::Alarm;
use crate::io::neighbour::Neighbour;
use crate::io::socket::{Arrived, Sockets};
use crate::messages::{Message, Note};
use crate::notify::Notifier;
use crate::track::Report;
use logging::{Contract, Severity};
use netlink::{Change, Commands, Event, Monitor};
use service::{Signal, Signals};
use std::collections::{HashMap, HashSet, VecDeque};
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Changes to addresses and routes in one slice of the queue.
const SLICE_CHANGES: usize = 8;
/// Other work in one slice.
const SLICE_OTHERS: usize = 16;
/// Reports of trackers that may wait.
const REPORTS_MAX: usize = 1024;
/// Exit code: all is well.
const EXIT_OK: u8 = 0;
/// Exit code: the kernel refuses something that nothing works without.
const EXIT_FATAL: u8 = 1;
/// Exit code: the configuration cannot be run.
const EXIT_CONFIG: u8 = 2;
/// EEXIST, EADDRNOTAVAIL, ESRCH, ENOENT, ENODEV: the kernel's table is as wanted already.
const ALREADY: [i32; 1] = [17];
/// ENETDOWN, ENETUNREACH, ENODEV.
const NO_LINK: [i32; 3] = [100, 101, 19];
const GONE_ALREADY: [i32; 4] = [99, 3, 2, 19];

/// What reading the configuration gave.
#[derive(Debug)]
pub struct Loaded {
    /// Complaints, fatal or not, for the log.
    pub lines: Vec<String>,
    /// What is taken and not carried out, told after the complaints; never a reason to refuse.
    pub notices: Vec<String>,
    /// The configuration, if it can be run.
    pub config: Option<Config>,
}

/// Reads the configuration afresh.
pub type Loader = Box<dyn FnMut() -> Loaded + Send>;

/// How to run.
pub struct Options {
    /// Reads the configuration, at the start and at each reload.
    pub load: Loader,
    /// Where lines go.
    pub log: Contract,
    /// `--log-detail`.
    pub detail: bool,
    /// Written once started, removed at the end.
    pub pid_file: Option<PathBuf>,
    /// The socket to the supervisor.
    pub supervisor: Option<OwnedFd>,
    /// `--dont-release-vrrp`: addresses stay at the end.
    pub keep_addresses: bool,
    /// Directory of the bus; `None` switches it off.
    pub bus: Option<PathBuf>,
    /// Called once everything is up.
    pub ready: Option<Box<dyn FnOnce()>>,
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("detail", &self.detail)
            .field("pid_file", &self.pid_file)
            .finish_non_exhaustive()
    }
}

/// Runs until SIGTERM or SIGINT; the exit code. Enter a network namespace and fork before.
pub fn run(options: Options) -> u8 {
    sys::process::share_memory();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            options.log.say(Severity::Info, &format!("Unable to start: {error}"));
            return EXIT_FATAL;
        }
    };
    let code = runtime.block_on(async {
        match Daemon::start(options).await {
            Ok(daemon) => daemon.live().await,
            Err(code) => code,
        }
    });
    // A name that is being looked up for a mail must not hold up the end.
    runtime.shutdown_background();
    code
}

#[derive(PartialEq)]
enum Spec {
    Script(Script),
    File(TrackFile),
    Process(TrackProcess),
}

struct Daemon {
    router: Router,
    log: Contract,
    detail: bool,
    keep_addresses: bool,
    load: Option<Loader>,
    sockets: Sockets,
    neighbour: Neighbour,
    commands: Commands,
    monitor: Monitor,
    notifier: Notifier,
    macs: HashMap<u32, [u8; 6]>,
    devices: device::Devices,
    filtering: filter::Filtering,
    host: host::Host,
    forwarding: HashMap<u32, (Instant, bool)>,
    /// What the kernel is asked for: addresses, routes, rules, claims.
    work: VecDeque<Effect>,
    /// Second and later claims of addresses, which come when every address has been claimed once.
    repeats: VecDeque<Effect>,
    /// Lines and notices, which come after it.
    talk: VecDeque<Effect>,
    trackers: HashMap<String, (Spec, JoinHandle<()>)>,
    reports: (mpsc::Sender<Report>, mpsc::Receiver<Report>),
    reloaded: (mpsc::Sender<Reloaded>, mpsc::Receiver<Reloaded>),
    teller: Option<Teller>,
    /// Instances of which the supervisor does not yet know what they hold.
    untold: VecDeque<Arc<Instance>>,
    unsent: HashSet<String>,
    reload_again: bool,
    watches_routes: bool,
    pid_file: Option<service::PidFile>,
    bus: Bus,
}

type Reloaded = (Loader, Loaded);

impl Daemon {
    #[expect(clippy::unused_async, reason = "sockets register with the runtime it runs in")]
    async fn start(mut options: Options) -> Result<Self, u8> {
        let log = options.log;
        let complain = |text: &str| log.say(Severity::Info, text);
        let config = first_load(&mut options.load, complain)?;
        let fatal = |error: io::Error| {
            complain(&format!("Unable to start: {error}"));
            EXIT_FATAL
        };
        let monitor = Monitor::open(config.globals.netlink_monitor_rcv_buffer).map_err(fatal)?;
        let commands = Commands::open(config.globals.netlink_cmd_rcv_buffer).map_err(fatal)?;
        let sockets = Sockets::new().map_err(fatal)?;
        let neighbour = Neighbour::new().map_err(fatal)?;
        let (notifier, lines) = Notifier::open(&config, None);
        // Before this thread gets what only VRRP should have (a realtime priority).
        let bus = Bus::open(options.bus, &log);
        process::tune(&config.globals.process, &log);
        let teller = options.supervisor.and_then(|fd| Teller::new(fd).ok());
        let write_pid = |path: &PathBuf| service::PidFile::write(path, &[std::process::id()]).ok();
        let pid_file = options.pid_file.as_ref().and_then(write_pid);
        let mut daemon = Self {
            router: Router::new(config),
            log: log.clone(),
            detail: options.detail,
            keep_addresses: options.keep_addresses,
            load: Some(options.load),
            sockets,
            neighbour,
            commands,
            monitor,
            notifier,
            macs: HashMap::new(),
            devices: device::Devices::default(),
            filtering: filter::Filtering::default(),
            host: host::Host::default(),
            forwarding: HashMap::new(),
            work: VecDeque::new(),
            repeats: VecDeque::new(),
            talk: lines.into_iter().map(Effect::Say).collect(),
            trackers: HashMap::new(),
            reports: mpsc::channel(REPORTS_MAX),
            reloaded: mpsc::channel(1),
            teller,
            untold: VecDeque::new(),
            unsent: HashSet::new(),
            reload_again: false,
            watches_routes: false,
            pid_file,
            bus,
        };
        daemon.resync().map_err(fatal)?;
        let instances = daemon.router.members.iter().map(|m| &*m.config);
        if let Some(line) = daemon.missing_interface(&daemon.router.config, instances) {
            complain(&line);
            return Err(EXIT_CONFIG);
        }
        daemon.start_devices().map_err(fatal)?;
        daemon.add_static(true);
        daemon.start_trackers();
        daemon.say_unused();
        // Before the first transition, so that the supervisor's "Startup complete" comes before its line.
        daemon.tell(&Line::Ready { reload: false });
        daemon.bus.status("running", true, log.dropped());
        daemon.input(Input::Start);
        if let Some(ready) = options.ready.take() {
            ready();
        }
        sys::process::release_memory();
        Ok(daemon)
    }

    /// The complaint about an interface that does not exist and may not come later.
    fn missing_interface<'a>(
        &self,
        config: &Config,
        instances: impl IntoIterator<Item = &'a Instance>,
    ) -> Option<String> {
        if config.globals.dynamic_interfaces != DynamicInterfaces::No {
            return None;
        }
        let missing = |i: &&Instance| !i.interface.is_empty() && self.router.link(&i.interface).is_none();
        let instance = instances.into_iter().find(missing)?;
        Some(format!(
            "WARNING - interface {} for vrrp_instance {} doesn't exist",
            instance.interface, instance.name
        ))
    }

    async fn live(mut self) -> u8 {
        let listen = [
            Signal::Term,
            Signal::Int,
            Signal::Hup,
            Signal::Usr1,
            Signal::Usr2,
            Signal::Real(2),
            Signal::Real(29),
        ];
        let Ok(mut signals) = Signals::listen(&listen) else { return EXIT_FATAL };
        let (Ok(mut alarm), Ok(mut pace)) = (Alarm::new(), Alarm::new()) else { return EXIT_FATAL };
        let mut packets = Vec::new();
        loop {
            let deadline = self.router.deadline();
            if deadline.is_some_and(|at| at <= Instant::now()) {
                self.timeout(&mut packets);
                continue;
            }
            let spaced = self.neighbour.deadline();
            let busy = self.busy();
            tokio::select! {
                biased;
                _ = alarm.wait(deadline) => self.timeout(&mut packets),
                _ = self.sockets.receive(&mut packets) => self.packets(&mut packets),
                signal = signals.next() => {
                    if self.signal(signal) {
                        return self.end();
                    }
                }
                events = self.monitor.next() => match events {
                    Ok(events) => {
                        for event in events {
                            self.event(event);
                        }
                        self.mend_devices();
                    }
                    Err(error) => self.say(&Message::Text(format!("Netlink: error: {error}"))),
                },
                Some(report) = self.reports.1.recv() => self.report(report),
                Some((loader, loaded)) = self.reloaded.1.recv() => self.reload(loader, loaded),
                _ = pace.wait(spaced) => {
                    let sent = self.neighbour.due(Instant::now());
                    self.say_claimed(&sent);
                }
                () = tokio::task::yield_now(), if busy => self.slice(),
            }
        }
    }

    /// Adverts that are here first: after a time without the CPU it is they that say whether the master is alive.
    fn timeout(&mut self, packets: &mut Vec<Arrived>) {
        // An error of the poller concerns no packet; the timer is due in any case.
        let _ = self.sockets.receive_now(packets);
        self.packets(packets);
        self.input(Input::Timeout);
    }

    fn packets(&mut self, packets: &mut Vec<Arrived>) {
        for (at, raw) in packets.drain(..) {
            self.input_at(at, Input::Packet(raw));
        }
    }

    /// Lets the core decide and sends its adverts.
    fn input(&mut self, input: Input) {
        self.input_at(Instant::now(), input);
    }

    fn input_at(&mut self, at: Instant, input: Input) {
        let mut out = Vec::new();
        self.router.handle(at, input, &mut out);
        self.effects(out);
    }

    fn effects(&mut self, out: Vec<Effect>) {
        let mut send: Vec<Outgoing> = Vec::new();
        for effect in out {
            match effect {
                Effect::Send(outgoing) => send.push(outgoing),
                Effect::Sockets => self.reconcile(),
                talk @ (Effect::Say(_)
                | Effect::Notify { .. }
                | Effect::Remind { .. }
                | Effect::Publish(_)
                | Effect::PublishAll) => {
                    self.talk.push_back(talk);
                }
                work => self.work.push_back(work),
            }
        }
        if !send.is_empty() {
            self.send(send);
        }
    }

    fn send(&mut self, mut packets: Vec<Outgoing>) {
        // One socket after the other, so that a batch is one call; the order of one instance's packets stays.
        if packets.len() > 2 {
            packets.sort_by(|a, b| a.socket.cmp(&b.socket));
        }
        let router = &self.router;
        let unsent = self.sockets.send(&packets, |index| router.interface(index));
        if unsent.is_empty() && self.unsent.is_empty() {
            return;
        }
        let failed: HashSet<String> = unsent.iter().map(|u| u.instance.clone()).collect();
        for packet in unsent {
            // Without a link there is no way out; the link's own line says so.
            if packet.error.raw_os_error().is_some_and(|code| NO_LINK.contains(&code)) {
                continue;
            }
            if self.unsent.insert(packet.instance.clone()) {
                let note = Note::SendFailed(packet.error.to_string());
                self.talk.push_back(Effect::Say(Message::Instance { name: packet.instance, note }));
            }
        }
        packets.iter().filter(|p| !failed.contains(&p.instance.name)).for_each(|p| {
            self.unsent.remove(&p.instance.name);
        });
    }

    fn reconcile(&mut self) {
        let wanted = self.router.sockets();
        let router = &self.router;
        let (opened, failed) = self.sockets.reconcile(&wanted, |index| router.interface(index));
        for (key, fd) in opened {
            let address = key.group.or(key.source).map(|a| a.to_string()).unwrap_or_default();
            self.talk.push_back(Effect::Say(Message::Sockpool {
                index: key.ifindex,
                v6: key.family == Family::Inet6,
                proto: if key.ah { 51 } else { 112 },
                fds: (fd, -1),
                unicast: key.group.is_none(),
                address,
            }));
        }
        for (key, error) in failed {
            let name = self.router.interface(key.ifindex).unwrap_or_default();
            self.work
                .push_back(Effect::Say(Message::Text(format!("Unable to open socket on {name}: {error}"))));
        }
    }

    fn busy(&self) -> bool {
        let queues = [&self.work, &self.repeats, &self.talk];
        queues.iter().any(|q| !q.is_empty()) || !self.untold.is_empty()
    }

    /// Does a little of the queues: what the kernel is asked for first, talk when that is done.
    fn slice(&mut self) {
        if self.work.is_empty() && !self.untold.is_empty() {
            self.tell_held();
            return;
        }
        if self.work.is_empty() && !self.repeats.is_empty() {
            self.repeat();
            return;
        }
        if self.work.is_empty() {
            let n = self.talk.len().min(SLICE_OTHERS);
            let part: Vec<Effect> = self.talk.drain(..n).collect();
            for effect in part {
                self.other(effect);
            }
            return;
        }
        let mut changes: Vec<(Change, Arc<Instance>)> = Vec::new();
        let (mut claims, mut shown) = (Vec::new(), Vec::new());
        while changes.len() < SLICE_CHANGES && claims.len() < SLICE_CHANGES {
            // A claim must find its address; one that is to go waits until the claim has been made.
            if !claims.is_empty()
                && matches!(self.work.front(), Some(Effect::Addresses { adding: false, .. }))
            {
                break;
            }
            let Some(effect) = self.work.pop_front() else { break };
            match self.changes(&effect) {
                Some((instance, list)) => {
                    match &effect {
                        Effect::Addresses { list, adding: true, .. } => self.hide(&instance, list, true),
                        Effect::Addresses { list, .. } if instance.hides() => {
                            shown.push((Arc::clone(&instance), list.clone()));
                        }
                        _ => {}
                    }
                    changes.extend(list.into_iter().map(|c| (c, Arc::clone(&instance))));
                    if matches!(effect, Effect::Addresses { .. }) {
                        self.untold.push_back(instance);
                    }
                }
                None => claims.push(effect),
            }
        }
        self.apply(changes);
        for (instance, list) in shown {
            self.hide(&instance, &list, false);
        }
        for effect in claims {
            self.other(effect);
        }
    }

    fn changes(&self, effect: &Effect) -> Option<(Arc<Instance>, Vec<Change>)> {
        let index = |name: &str| self.router.link(name).map(|l| l.index);
        match effect {
            Effect::Addresses { instance, adding, list } => {
                let wrap = if *adding { Change::AddAddress } else { Change::RemoveAddress };
                let found = list.iter().filter_map(|a| address::address(instance, a, &index));
                Some((Arc::clone(instance), found.map(wrap).collect()))
            }
            Effect::Routes { instance, adding, list } => {
                let wrap = if *adding { Change::AddRoute } else { Change::RemoveRoute };
                Some((Arc::clone(instance), list.iter().map(|r| wrap(address::route(r, &index))).collect()))
            }
            Effect::Rules { instance, adding, list } => {
                let wrap = if *adding { Change::AddRule } else { Change::RemoveRule };
                Some((Arc::clone(instance), list.iter().map(|r| wrap(address::rule(r))).collect()))
            }
            Effect::Send(_)
            | Effect::Announce { .. }
            | Effect::Notify { .. }
            | Effect::Remind { .. }
            | Effect::Say(_)
            | Effect::Sockets
            | Effect::Retire
            | Effect::Publish(_)
            | Effect::PublishAll => None,
        }
    }

    fn apply(&mut self, changes: Vec<(Change, Arc<Instance>)>) {
        if changes.is_empty() {
            return;
        }
        let (changes, owners): (Vec<Change>, Vec<Arc<Instance>>) = changes.into_iter().unzip();
        let results = self.commands.apply(&changes);
        for ((change, owner), result) in changes.iter().zip(owners).zip(results) {
            let Err(error) = result else { continue };
            let adding = matches!(change, Change::AddAddress(_) | Change::AddRoute(_) | Change::AddRule(_));
            let fine: &[i32] = if adding { &ALREADY } else { &GONE_ALREADY };
            if error.raw_os_error().is_some_and(|code| fine.contains(&code)) {
                continue;
            }
            let what = match change {
                Change::AddAddress(a) | Change::RemoveAddress(a) => {
                    format!("address {}/{}", a.address, a.prefix_len)
                }
                Change::AddRoute(_) | Change::RemoveRoute(_) => "route".into(),
                Change::AddRule(_) | Change::RemoveRule(_) => "rule".into(),
                Change::AddDevice(_)
                | Change::RemoveLink(_)
                | Change::LinkUp(_)
                | Change::Configure(..)
                | Change::NoOwnAddresses(_) => "link".into(),
            };
            let doing = if adding { "add" } else { "remove" };
            self.say(&Message::Text(format!("({}) Netlink: cannot {doing} {what}: {error}", owner.name)));
        }
    }

    fn other(&mut self, effect: Effect) {
        match effect {
            Effect::Announce { instance, list, count } => self.announce(&instance, list, count),
            Effect::Notify { subject, state, priority } => {
                let lines = self.notifier.tell(&subject, state, priority);
                for line in &lines {
                    self.say(line);
                }
            }
            Effect::Remind { subject, state, priority } => self.notifier.remind(&subject, state, priority),
            Effect::Say(message) => self.say(&message),
            Effect::Publish(subject) => self.bus.publish(&self.router, &subject),
            Effect::PublishAll => self.bus.publish_all(&self.router),
            Effect::Retire => self.retire_devices(),
            Effect::Send(_)
            | Effect::Sockets
            | Effect::Addresses { .. }
            | Effect::Routes { .. }
            | Effect::Rules { .. } => {}
        }
    }

    fn say(&self, message: &Message) {
        if !message.detail() || self.detail {
            self.log.say(Severity::Info, &message.to_string());
        }
    }

    fn tell(&mut self, line: &Line) {
        if let Some(teller) = &mut self.teller {
            teller.say(line);
        }
    }

    /// Tells the supervisor what some instances hold now.
    fn tell_held(&mut self) {
        let n = self.untold.len().min(SLICE_OTHERS);
        let part: Vec<Arc<Instance>> = self.untold.drain(..n).collect();
        let Some(teller) = &mut self.teller else { return };
        for instance in part {
            if let Some(i) = self.router.position(&instance.name) {
                teller.held(held(&self.router, i));
            }
        }
        teller.flush();
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Link(link) => self.link(&link),
            Event::LinkGone(link) => {
                self.macs.remove(&link.index);
                self.devices.gone(&link);
                self.input(Input::LinkGone(link.index));
            }
            Event::Address(a) if usable(&a) => self.input(Input::Address(a.index, a.address)),
            Event::Address(_) => {}
            Event::AddressGone(a) => {
                self.input(Input::AddressGone(a.index, a.address));
                self.static_gone(a.index, a.address);
            }
            Event::RouteGone(r) => self.input(Input::RouteGone(GoneRoute {
                family: family(r.v6),
                destination: r.destination,
                table: r.table,
                protocol: r.protocol,
            })),
            Event::RuleGone(v6, priority) => self.input(Input::RuleGone(family(v6), priority)),
            Event::Overrun => {
                if let Err(error) = self.resync() {
                    self.say(&Message::Text(format!("Netlink: error: {error}")));
                }
            }
        }
    }

    fn link(&mut self, link: &netlink::Link) {
        match <[u8; 6]>::try_from(link.mac.as_slice()) {
            Ok(mac) if link.is_ethernet() && !link.noarp => drop(self.macs.insert(link.index, mac)),
            _ => drop(self.macs.remove(&link.index)),
        }
        self.devices.seen(link);
        self.input(Input::Link(Link { index: link.index, name: link.name.clone(), up: link.usable() }));
    }

    /// Lists everything and tells the core the differences.
    fn resync(&mut self) -> io::Result<()> {
        let links = self.commands.links()?;
        let addresses = self.commands.addresses()?;
        for index in self.router.link_numbers() {
            if !links.iter().any(|l| l.index == index) {
                self.input(Input::LinkGone(index));
            }
        }
        for link in &links {
            self.link(link);
        }
        for (index, address) in self.router.known_addresses() {
            if !addresses.iter().any(|a| (a.index, a.address) == (index, address)) {
                self.input(Input::AddressGone(index, address));
            }
        }
        addresses.iter().filter(|a| usable(a)).for_each(|a| self.input(Input::Address(a.index, a.address)));
        Ok(())
    }

    /// Does what a signal asks for; true: the end.
    fn signal(&mut self, signal: Signal) -> bool {
        let pid = std::process::id();
        let text = match signal {
            Signal::Term | Signal::Int => return true,
            Signal::Hup => {
                self.begin_reload();
                return false;
            }
            Signal::Usr1 => format!("Printing VRRP data for process({pid}) on signal"),
            Signal::Usr2 => format!("Printing VRRP stats for process({pid}) on signal"),
            Signal::Real(2) => format!("Printing VRRP as json for process({pid}) on signal"),
            Signal::Real(29) => format!("Printing and clearing VRRP stats for process({pid}) on signal"),
            _ => return false,
        };
        self.say(&Message::Text(text));
        let written = match signal {
            Signal::Usr1 => {
                let links = self.commands.links().unwrap_or_default();
                let (router, forwarding) = (&self.router, &self.forwarding);
                dump::data(&dump::View { router, links, sockets: self.sockets.list(), forwarding })
            }
            Signal::Usr2 => dump::stats(&self.router),
            Signal::Real(2) => dump::json(&self.router),
            _ => {
                let written = dump::stats(&self.router);
                self.router.clear_stats();
                written
            }
        };
        if let Err((path, error)) = written {
            let code = error.raw_os_error().unwrap_or_default();
            self.say(&Message::Text(format!("Can't open dump file {} ({code}: {error})", path.display())));
        }
        false
    }

    /// Resigns everywhere, then removes what is held.
    fn end(mut self) -> u8 {
        while self.busy() {
            self.slice();
        }
        self.input(Input::Stop);
        self.bus.status("stopping", false, self.log.dropped());
        if self.keep_addresses {
            self.work.retain(|e| {
                !matches!(e, Effect::Addresses { .. } | Effect::Routes { .. } | Effect::Rules { .. })
            });
        } else {
            self.add_static(false);
        }
        while self.busy() {
            self.slice();
        }
        if !self.keep_addresses {
            self.remove_filter();
            self.remove_devices(|_| true);
        }
        self.restore_host();
        for (_, (_, task)) in self.trackers.drain() {
            task.abort();
        }
        self.notifier.close();
        if let Some(file) = self.pid_file.take() {
            file.remove(std::process::id());
        }
        self.bus.close();
        let last = if self.detail { process::stopped() } else { "Stopped".to_owned() };
        self.log.say(Severity::Info, &last);
        EXIT_OK
    }
}

/// The configuration at the start; without one that can be run there is nothing to do.
fn first_load(load: &mut Loader, complain: impl Fn(&str)) -> Result<Config, u8> {
    let loaded = load();
    loaded.lines.iter().for_each(|line| complain(line));
    loaded.notices.iter().for_each(|line| complain(&format!("NOTICE: {line}")));
    let mut config = loaded.config.ok_or(EXIT_CONFIG)?;
    let delays = &mut config.globals;
    delays.startup_delay = host::start_delay(delays.startup_delay, delays.delay_after_boot);
    Ok(config)
}

fn family(v6: bool) -> Family {
    if v6 { Family::Inet6 } else { Family::Inet }
}

fn usable(address: &netlink::AddressEvent) -> bool {
    const DADFAILED: u32 = 0x08;
    address.flags & (netlink::addr::TENTATIVE | DADFAILED) == 0
}
