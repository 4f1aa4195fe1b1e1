//! The loop of checkd: signals, outcomes of probes and the bus come in; the core decides; scripts, mails, probes and
//! the kernel's table follow.
//!
//! Invariant: one thread; nothing in the loop waits for a server, a script, a log or a peer.
//!
//! Absent on purpose: reading of configurations (the caller's [`Loader`]) and pid files (its process model).

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use logging::{Contract, Severity};
use service::pidfile::PidFile;
use service::signals::{Signal, Signals};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, LocalSet, spawn_local};

use crate::bus::{self, Bus};
use crate::config::model::{FlushOnStop, Globals, Model, SyncDaemon, Target};
use crate::core::plan::Table;
use crate::core::service::{Core, Effect, Files, Input, ProbeId};
use crate::dump;
use crate::ipvs::kernel::{Ipvs, Kernel};
use crate::ipvs::table::Owned;
use crate::ipvs::wire::SyncState;
use crate::messages::Message;
use crate::notify::Notifier;

/// Reads the configuration again; `None` when it can't be used (the reasons have been logged).
pub type Loader = Box<dyn FnMut(&Contract) -> Option<Model>>;

/// Where the dump goes.
pub const DATA_FILE: &str = "/tmp/keepalived_check.data";

/// How often a refused change of the table is tried again, and addresses of `ha_suspend` services are looked for.
const HOUSEKEEPING: Duration = Duration::from_secs(1);

/// Outcomes that may wait for the loop; probes wait beyond that.
const OUTCOMES_MAX: usize = 1024;

/// What a caller decides.
pub struct Options {
    /// Where messages go.
    pub log: Contract,
    /// Reads the configuration; called at start and for each reload.
    pub load: Loader,
    /// `--log-detail`: more lines.
    pub detail: bool,
    /// `--dont-release-ipvs`: the table stays when we go.
    pub keep_table: bool,
    /// Written at start (an error when a process that lives has it), removed at the end.
    pub pid_file: Option<PathBuf>,
    /// Where SIGUSR1 dumps to ([`DATA_FILE`]).
    pub data_file: PathBuf,
    /// The table; `None` opens the kernel's.
    pub ipvs: Option<Box<dyn Ipvs>>,
    /// Directory of the bus; `None` switches it off.
    pub bus: Option<PathBuf>,
    /// Called once everything runs (readiness).
    pub ready: Box<dyn FnOnce()>,
}

impl Options {
    /// With the kernel's table and default places.
    pub fn new(log: Contract, load: Loader) -> Self {
        Self {
            log,
            load,
            detail: false,
            keep_table: false,
            pid_file: None,
            data_file: DATA_FILE.into(),
            ipvs: None,
            bus: ::bus::directory(),
            ready: Box::new(|| {}),
        }
    }
}

/// Runs checkd until SIGTERM or SIGINT; gives the exit code (0, or 2 for a configuration that can't be used at
/// start).
///
/// # Errors
/// The system refused a runtime or signal handlers.
pub fn run(options: Options) -> io::Result<i32> {
    let pid_file = match options.pid_file.as_deref().map(|p| PidFile::claim(p, std::process::id())) {
        None => None,
        Some(Ok(None)) => {
            say(&options.log, &Message::AlreadyRunning);
            return Ok(0);
        }
        Some(Ok(claimed)) => claimed,
        Some(Err(e)) => return Err(e),
    };
    let code = run_with_pid_file(options);
    if let Some(file) = pid_file {
        file.remove(std::process::id());
    }
    code
}

fn run_with_pid_file(mut options: Options) -> io::Result<i32> {
    let Some(model) = (options.load)(&options.log) else { return Ok(2) };
    settle_process(&model.globals, &options.log);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(LocalSet::new().run_until(async move {
        let mut daemon = Daemon::start(options, model)?;
        daemon.serve().await;
        daemon.stop();
        Ok(0)
    }))
}

/// `checker_priority`, `checker_rt_priority`, `checker_no_swap`, `checker_cpu_affinity`.
fn settle_process(globals: &Globals, log: &Contract) {
    let mut faults: Vec<(&str, String)> = Vec::new();
    if let Some(Err(e)) = globals.priority.map(sys::process::set_nice) {
        faults.push(("checker_priority", e.to_string()));
    }
    if let Some(Err(e)) = globals.rt_priority.map(sys::process::set_realtime) {
        faults.push(("checker_rt_priority", e.to_string()));
    }
    if globals.no_swap {
        use nix::sys::mman::{MlockAllFlags, mlockall};
        if let Err(e) = mlockall(MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE) {
            faults.push(("checker_no_swap", e.to_string()));
        }
    }
    if !globals.cpu_affinity.is_empty() {
        let mut set = nix::sched::CpuSet::new();
        let bad = globals.cpu_affinity.iter().any(|cpu| set.set(*cpu as usize).is_err());
        let applied = nix::sched::sched_setaffinity(nix::unistd::Pid::from_raw(0), &set);
        if bad || applied.is_err() {
            faults.push(("checker_cpu_affinity", "no such CPU".to_owned()));
        }
    }
    for (what, reason) in faults {
        log.say(Severity::Info, &Message::Setting { what: what.to_owned(), reason }.to_string());
    }
}

/// A probe with its outcome.
type Ended = (ProbeId, health::Outcome);

struct Daemon {
    log: Rc<Contract>,
    load: Loader,
    keep_table: bool,
    data_file: PathBuf,
    core: Core,
    notifier: Notifier,
    table: Option<Owned>,
    /// The table may differ from the wanted one.
    dirty: bool,
    /// Refusals that have been logged and still stand.
    refused: Vec<Message>,
    probes: BTreeMap<ProbeId, AbortHandle>,
    outcomes: (mpsc::Sender<Ended>, mpsc::Receiver<Ended>),
    signals: Signals,
    sync: Vec<(SyncState, SyncDaemon)>,
    /// VRRP instances that were master when they were last heard of.
    masters: HashSet<String>,
    /// Tells at once when an address comes or goes; there while a service has `ha_suspend`.
    addresses: Option<netlink::Monitor>,
    bus: Bus,
}

impl Daemon {
    fn start(options: Options, model: Model) -> io::Result<Self> {
        let log = Rc::new(options.log);
        let signals = Signals::listen(&[Signal::Hup, Signal::Term, Signal::Int, Signal::Usr1, Signal::Usr2])?;
        say(&log, &Message::InitializingIpvs);
        let held = files(&model);
        let core = Core::new(model, &held, rand::random());
        let globals = core.model().globals.clone();
        let table = open_table(options.ipvs, &globals, &core.wanted(), &log);
        let notifier = Notifier::open(&globals, log.clone(), options.detail);
        let (bus, fault) = Bus::open(options.bus);
        if let Some(reason) = fault {
            say(&log, &Message::NoBus { reason });
        }
        let mut daemon = Self {
            log,
            load: options.load,
            keep_table: options.keep_table,
            data_file: options.data_file,
            core,
            notifier,
            table,
            dirty: true,
            refused: Vec::new(),
            probes: BTreeMap::new(),
            outcomes: mpsc::channel(OUTCOMES_MAX),
            signals,
            sync: Vec::new(),
            masters: HashSet::new(),
            addresses: None,
            bus,
        };
        daemon.watch_addresses();
        daemon.settle_sync(&globals);
        for (n, present) in daemon.presence() {
            daemon.core.services[n].suspended = !present;
        }
        daemon.give(Input::Start);
        daemon.bus.status("running", true, daemon.log.dropped());
        (options.ready)();
        Ok(daemon)
    }

    async fn serve(&mut self) {
        let mut housekeeping = tokio::time::interval(HOUSEKEEPING);
        housekeeping.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                signal = self.signals.next() => match signal {
                    Signal::Term | Signal::Int => return,
                    Signal::Hup => self.reload(),
                    Signal::Usr1 => self.dump(),
                    _ => {}
                },
                Some((id, outcome)) = self.outcomes.1.recv() => {
                    self.probes.remove(&id);
                    self.give(Input::Outcome(id, outcome));
                }
                event = self.bus.next() => {
                    if let bus::Event::Instance(name, master) = event {
                        self.follow(&name, master);
                    }
                }
                heard = address_change(self.addresses.as_mut()) => {
                    if heard.is_err() {
                        // The look around every second stays.
                        self.addresses = None;
                    }
                    self.look_for_addresses();
                }
                _ = housekeeping.tick() => {
                    self.look_for_addresses();
                    if self.dirty {
                        self.reconcile();
                    }
                }
            }
        }
    }

    /// Gives the core an input and does what it says; the table is brought in line before anybody is told.
    fn give(&mut self, input: Input) {
        let mut effects = Vec::new();
        self.core.handle(input, &mut effects);
        if effects.iter().any(|e| matches!(e, Effect::Changed(_))) {
            self.dirty = true;
        }
        // Lines come before the kernel's refusals, as people expect them; scripts and FIFOs after the change.
        for effect in &effects {
            if let Effect::Log(message) = effect {
                say(&self.log, message);
            }
        }
        if self.dirty {
            self.reconcile();
        }
        for effect in effects {
            match effect {
                Effect::Log(_) => {}
                Effect::Changed(index) => {
                    if let Some(state) = self.core.services.get(index) {
                        self.bus.service(state);
                    }
                }
                Effect::Fifo(line) => self.notifier.fifo(&line),
                Effect::Run(script) => self.notifier.run(&script),
                Effect::Mail { subject, body } => self.notifier.mail(&subject, &body),
                Effect::Cancel(id) => {
                    if let Some(handle) = self.probes.remove(&id) {
                        handle.abort();
                    }
                }
                Effect::Probe { id, after, spec } => {
                    let sender = self.outcomes.0.clone();
                    let task = spawn_local(async move {
                        tokio::time::sleep(after).await;
                        let outcome = health::run(&spec).await;
                        // The loop outlives all probes; when it ends, nobody wants the outcome.
                        let _ = sender.send((id, outcome)).await;
                    });
                    self.probes.insert(id, task.abort_handle());
                }
            }
        }
    }

    fn reconcile(&mut self) {
        let Some(table) = &mut self.table else {
            self.dirty = false;
            return;
        };
        let refused = table.reconcile(&self.core.wanted());
        for message in refused.iter().filter(|m| !self.refused.contains(m)) {
            say(&self.log, message);
        }
        self.dirty = !refused.is_empty();
        self.refused = refused;
    }

    fn reload(&mut self) {
        say(&self.log, &Message::Reloading);
        let Some(model) = (self.load)(&self.log) else {
            say(&self.log, &Message::ReloadRefused);
            return;
        };
        let globals = model.globals.clone();
        self.notifier.reload(&globals);
        let files = files(&model);
        self.give(Input::Reload(Box::new(model), files));
        self.bus.retain_services(&self.core);
        self.settle_sync(&globals);
        self.watch_addresses();
        self.look_for_addresses();
        self.bus.status("running", true, self.log.dropped());
    }

    fn dump(&mut self) {
        say(&self.log, &Message::PrintingData { pid: std::process::id() });
        let version = self.table.as_mut().map(|t| t.ipvs().version()).unwrap_or_default();
        if let Err(e) = dump::write(&self.data_file, &dump::data(&self.core, &version)) {
            let what = self.data_file.display().to_string();
            say(&self.log, &Message::Setting { what, reason: e.to_string() });
        }
    }

    /// Starts and stops the sync daemons; without an instance to follow both run, as keepalived has it.
    fn settle_sync(&mut self, globals: &Globals) {
        let wanted: Vec<(SyncState, SyncDaemon)> = globals
            .sync_daemon
            .iter()
            .flat_map(|d| {
                let states: &[SyncState] = match &d.instance {
                    None => &[SyncState::Master, SyncState::Backup],
                    Some(instance) if self.masters.contains(instance) => &[SyncState::Master],
                    // Its state comes over the bus; until then this host is a backup.
                    Some(_) => &[SyncState::Backup],
                };
                states.iter().map(|s| (*s, d.clone()))
            })
            .collect();
        let instance = globals.sync_daemon.as_ref().is_some_and(|d| d.instance.is_some());
        self.bus.follow_vrrp(instance);
        self.apply_sync(wanted);
    }

    fn apply_sync(&mut self, wanted: Vec<(SyncState, SyncDaemon)>) {
        let Some(table) = &mut self.table else { return };
        let old = std::mem::take(&mut self.sync);
        for (state, daemon) in old.iter().filter(|d| !wanted.contains(d)) {
            if let Err(e) = table.ipvs().sync_daemon(false, *state, daemon) {
                say(&self.log, &Message::SyncDaemonFault { reason: e.to_string() });
            }
        }
        for (state, daemon) in wanted {
            let runs = old.contains(&(state, daemon.clone()));
            let started = if runs { Ok(()) } else { table.ipvs().sync_daemon(true, state, &daemon) };
            match started {
                Ok(()) => self.sync.push((state, daemon)),
                // One left by a daemon that died: it does what we want.
                Err(e) if e.raw_os_error() == Some(libc::EEXIST) => self.sync.push((state, daemon)),
                Err(e) => say(&self.log, &Message::SyncDaemonFault { reason: e.to_string() }),
            }
        }
    }

    /// A VRRP instance became master or backup.
    fn follow(&mut self, instance: &str, master: bool) {
        if master {
            self.masters.insert(instance.to_owned());
        } else {
            self.masters.remove(instance);
        }
        let Some(daemon) = self.core.model().globals.sync_daemon.clone() else { return };
        if daemon.instance.as_deref() == Some(instance) {
            let state = if master { SyncState::Master } else { SyncState::Backup };
            self.apply_sync(vec![(state, daemon)]);
        }
    }

    /// Services with `ha_suspend`, and whether their address is on this host.
    fn presence(&self) -> Vec<(usize, bool)> {
        let suspending = |s: &crate::core::service::ServiceState| s.config.ha_suspend;
        if !self.core.services.iter().any(suspending) {
            return Vec::new();
        }
        let Ok(list) = nix::ifaddrs::getifaddrs() else { return Vec::new() };
        let here: Vec<std::net::IpAddr> = list.filter_map(|i| ip_of(i.address.as_ref()?)).collect();
        let all = self.core.services.iter().enumerate().filter(|(_, s)| suspending(s));
        all.map(|(n, s)| match &s.config.target {
            Target::Address(a) => (n, here.contains(&a.ip())),
            // Marks and groups have no address to miss.
            Target::Fwmark(_) | Target::Group(_) => (n, true),
        })
        .collect()
    }

    fn watch_addresses(&mut self) {
        let wanted = self.core.services.iter().any(|s| s.config.ha_suspend);
        match (wanted, &self.addresses) {
            (true, None) => self.addresses = netlink::Monitor::open(None).ok(),
            (false, _) => self.addresses = None,
            (true, Some(_)) => {}
        }
    }

    fn look_for_addresses(&mut self) {
        for (n, present) in self.presence() {
            if self.core.services[n].suspended == present {
                self.give(Input::Present(n, present));
            }
        }
    }

    fn stop(mut self) {
        self.bus.status("stopping", false, self.log.dropped());
        self.give(Input::Stop);
        self.probes.values().for_each(AbortHandle::abort);
        self.apply_sync(Vec::new());
        let flush = self.core.model().globals.lvs_flush_on_stop;
        if let Some(table) = &mut self.table
            && !self.keep_table
        {
            let faults = match flush {
                FlushOnStop::Full => table.ipvs().flush().err().map(|e| e.to_string()),
                // Removing a service removes its servers, so both ways are one here.
                FlushOnStop::No | FlushOnStop::Services => {
                    table.reconcile(&Table::new()).into_iter().next().map(|m| m.to_string())
                }
            };
            if let Some(text) = faults {
                self.log.say(Severity::Info, &text);
            }
        }
        self.notifier.close();
        say(&self.log, &Message::Stopped);
    }
}

async fn address_change(monitor: Option<&mut netlink::Monitor>) -> io::Result<()> {
    match monitor {
        Some(monitor) => monitor.next().await.map(drop),
        None => std::future::pending().await,
    }
}

fn say(log: &Contract, message: &Message) {
    log.say(Severity::Info, &message.to_string());
}

/// What the files of a configuration hold; those with `init_file` are made where they have to be.
fn files(model: &Model) -> Files {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    for file in &model.track_files {
        let Some((value, overwrite)) = file.init else { continue };
        let opened = std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .create_new(!overwrite)
            .truncate(overwrite)
            .custom_flags(libc::O_NOFOLLOW)
            .open(&file.path);
        if let Ok(mut opened) = opened {
            // One that can't be made reads as 0, which is what a missing file means.
            let _ = writeln!(opened, "{value}");
        }
    }
    model.track_files.iter().filter_map(|t| Some((t.name.clone(), health::read_number(&t.path)?))).collect()
}

fn ip_of(storage: &nix::sys::socket::SockaddrStorage) -> Option<std::net::IpAddr> {
    let v4 = storage.as_sockaddr_in().map(|a| std::net::IpAddr::V4(a.ip()));
    v4.or_else(|| storage.as_sockaddr_in6().map(|a| std::net::IpAddr::V6(a.ip())))
}

/// Opens and prepares the table; without one the checks go on and the log says why.
fn open_table(
    given: Option<Box<dyn Ipvs>>,
    globals: &Globals,
    wanted: &Table,
    log: &Contract,
) -> Option<Owned> {
    let opened: io::Result<Box<dyn Ipvs>> = match given {
        Some(ipvs) => Ok(ipvs),
        None => open_kernel(globals.net_namespace_ipvs.as_deref()),
    };
    let mut ipvs = match opened {
        Ok(ipvs) => ipvs,
        Err(e) => {
            let reason = health::outcome::error_text(&e);
            say(log, &Message::NoIpvs { reason });
            return None;
        }
    };
    if globals.lvs_flush
        && let Err(e) = ipvs.flush()
    {
        say(log, &Message::NoIpvs { reason: e.to_string() });
    }
    let t = globals.lvs_timeouts;
    let any = t.tcp_s.is_some() || t.tcp_fin_s.is_some() || t.udp_s.is_some();
    if any && let Err(e) = ipvs.timeouts(t) {
        say(log, &Message::Timeouts { reason: e.to_string() });
    }
    match Owned::adopt(ipvs, wanted) {
        Ok(owned) => Some(owned),
        Err(e) => {
            say(log, &Message::NoIpvs { reason: e.to_string() });
            None
        }
    }
}

fn open_kernel(namespace: Option<&str>) -> io::Result<Box<dyn Ipvs>> {
    let kernel = match namespace {
        None => Kernel::open(),
        // The namespace the system booted with.
        Some("") => sys::netns::run_in("/proc/1/ns/net", Kernel::open)?,
        Some(name) => sys::netns::run_in(name, Kernel::open)?,
    };
    match kernel {
        Ok(kernel) => Ok(Box::new(kernel)),
        // What the C library says to a protocol the kernel doesn't have.
        Err(e) if e.kind() == io::ErrorKind::NotFound => Err(io::Error::from_raw_os_error(libc::ENOENT)),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests;
