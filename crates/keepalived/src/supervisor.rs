//! The parent: starts the parts, passes signals on, starts a dead part again, buries a dead VRRP part.
//!
//! Invariant: at most one child of each part; a part that died of its configuration is not started again; nothing
//! here waits for a child except the loop itself. Absent on purpose: any decision about VRRP or health.

use crate::check::{self, Core, Judged};
use crate::messages;
use crate::options::Options;
use crate::part::Part;
use crate::script::{self, Moment};
use conf_parsers::keepalived::globals::Globals;
use conf_parsers::keepalived::{NoConfig, parse};
use logging::{Contract, Severity};
use service::{Background, Notify, PidFile, Signal, Signals, background::Ready};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::time::Instant;
use vrrpd::held::{Keeper, Line};

const EXIT_OK: u8 = 0;
const EXIT_FATAL: u8 = 1;
const EXIT_CONFIG: u8 = 2;
/// What the parent's name in syslog is.
const IDENT: &str = "Keepalived";
/// How long children may take to stop; `child_wait_time` changes it.
const CHILD_WAIT: Duration = Duration::from_secs(5);
/// The longest pause before a part that dies again and again is started once more.
const RESPAWN_MAX: Duration = Duration::from_mins(1);
/// A part that lived this long starts with no pause again.
const HEALTHY: Duration = Duration::from_secs(30);
/// A supervisor hears that we are ready no later than this, whatever a part does.
const READY_WAIT: Duration = Duration::from_secs(10);
const SIGKILL: i32 = 9;
/// SIGRTMIN + 2 and SIGRTMAX - 1, counted from SIGRTMIN.
const JSON: Signal = Signal::Real(2);
const STATS_CLEAR: Signal = Signal::Real(29);

/// One part and its child.
struct Slot {
    part: Part,
    child: Option<Child>,
    pid: u32,
    started: Instant,
    /// Deaths in a row.
    deaths: u32,
    respawn_at: Option<Instant>,
    keeper: Option<Listening>,
    /// A keeper whose child closed its end: what it held is buried with the child.
    closed: Option<Keeper>,
}

/// The keeper, and its socket as something to wait on.
struct Listening {
    keeper: Keeper,
    socket: tokio::net::UnixStream,
}

impl Listening {
    fn new(ours: UnixStream) -> std::io::Result<Self> {
        ours.set_nonblocking(true)?;
        let socket = tokio::net::UnixStream::from_std(ours.try_clone()?)?;
        Ok(Self { keeper: Keeper::new(ours)?, socket })
    }

    fn read(&mut self) -> (Vec<Line>, bool) {
        let read = self.keeper.read();
        // Everything there was is read: forget the readiness until there is more.
        let _ = self.socket.try_io(tokio::io::Interest::READABLE, || {
            Err::<(), _>(std::io::Error::from(std::io::ErrorKind::WouldBlock))
        });
        read
    }
}

struct Parent {
    options: Options,
    log: Contract,
    slots: Vec<Slot>,
    pid_file: Option<PidFile>,
    ready: Option<Ready>,
    told_ready: bool,
    /// A service manager waits for the end of a reload.
    reloading: bool,
    child_wait: Duration,
    /// The settings in force.
    globals: Globals,
}

/// Runs until a signal or a fatal child ends it; gives the exit code.
pub(crate) fn run(options: Options, core: Result<Core, NoConfig>) -> u8 {
    let pid_path = options.pid_file.clone().unwrap_or_else(|| PathBuf::from("/run/keepalived.pid"));
    if service::pidfile::read(&pid_path)
        .is_some_and(|pid| pid != std::process::id() && service::pidfile::alive(pid))
    {
        options.log(IDENT).say(Severity::Info, messages::ALREADY_RUNNING);
        return EXIT_OK;
    }
    let mut ready = None;
    if !options.foreground {
        match service::go_to_background() {
            Ok(Background::Parent { code }) => return code as u8,
            Ok(Background::Child(child)) => ready = Some(child),
            Err(error) => {
                crate::say(&format!("xdaemon: fork error ({error})"));
                return EXIT_FATAL;
            }
        }
    }
    let log = options.log(IDENT);
    let _ = service::signals::unblock_all();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            log.say(Severity::Err, &format!("Unable to start: {error}"));
            return EXIT_FATAL;
        }
    };
    runtime.block_on(async move {
        let mut parent = Parent {
            options,
            log,
            slots: Vec::new(),
            pid_file: None,
            ready,
            told_ready: false,
            reloading: false,
            child_wait: CHILD_WAIT,
            globals: Globals::default(),
        };
        match parent.start(&pid_path, core) {
            Ok(()) => {
                let detail = parent.options.detail;
                script::run(Moment::Startup, &parent.globals, detail, |text| parent.say(text)).await;
                parent.spawn_all();
                parent.live().await
            }
            Err(code) => {
                let _ = Notify::Errno(i32::from(code)).send();
                parent.say(&messages::stopped());
                code
            }
        }
    })
}

enum Event {
    Signal(Signal),
    Exited(usize, std::io::Result<ExitStatus>),
    News(usize),
    Respawn(usize),
    Late,
}

impl Parent {
    fn say(&self, text: &str) {
        self.log.say(Severity::Info, text);
    }

    fn say_file(&self) {
        if self.options.detail {
            self.say(&messages::opening(&self.options.file));
        }
        self.say(&messages::file(&self.options.file));
    }

    fn start(&mut self, pid_path: &std::path::Path, core: Result<Core, NoConfig>) -> Result<(), u8> {
        self.say(&messages::starting());
        self.say(&messages::running_on());
        for line in messages::command_line(std::env::args()) {
            self.say(&line);
        }
        if !self.options.ident_suffix.is_empty() {
            self.say(&messages::ident(&format!("{IDENT}{}", self.options.ident_suffix)));
        }
        for name in &self.options.idle {
            self.say(&format!("option --{name} has no effect here"));
        }
        let Core { globals, before, lines, refused } = core.map_err(|missing| {
            missing.lines.iter().for_each(|line| self.say(line));
            crate::EXIT_NO_CONFIG
        })?;
        for line in &before {
            self.say(line);
        }
        self.say_file();
        for line in &lines {
            self.say(line);
        }
        if refused {
            return Err(EXIT_CONFIG);
        }
        if let Some(name) = self.options.namespace.as_ref().or(globals.net_namespace.as_ref())
            && let Err(error) = sys::netns::enter(name)
        {
            self.say(&format!("Unable to set network namespace {name} - exiting ({error})"));
            return Err(EXIT_FATAL);
        }
        if let Some(mask) = self.options.umask.or(globals.umask) {
            nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(mask));
        }
        self.child_wait = globals.child_wait_time.map_or(CHILD_WAIT, |s| Duration::from_secs(s.into()));
        crate::places::make_directory(pid_path);
        match PidFile::claim(pid_path, std::process::id()) {
            Ok(Some(file)) => self.pid_file = Some(file),
            Ok(None) => {
                self.say(messages::ALREADY_RUNNING);
                return Err(EXIT_OK);
            }
            Err(error) => {
                self.say(&format!("pidfile_write : Cannot open {} pidfile ({error})", pid_path.display()));
                return Err(EXIT_FATAL);
            }
        }
        if self.options.checker && (globals.has_checker || self.options.all) {
            self.slots.push(Slot::new(Part::Checker));
        }
        if self.options.vrrp && (globals.has_vrrp || self.options.all) {
            self.slots.push(Slot::new(Part::Vrrp { socket: None }));
        }
        if self.slots.is_empty() {
            self.say(messages::NOTHING_TO_RUN);
        }
        self.globals = globals;
        Ok(())
    }

    /// Starts all parts for the first time.
    fn spawn_all(&mut self) {
        for i in 0..self.slots.len() {
            self.spawn(i);
        }
        // What reading took is not needed again before a reload.
        sys::process::release_memory();
    }

    /// Starts the child of a slot; a failure counts as its death.
    fn spawn(&mut self, i: usize) {
        let started = self.try_spawn(i);
        let slot = &mut self.slots[i];
        slot.respawn_at = None;
        slot.started = Instant::now();
        match started {
            Ok(()) => {
                let text = messages::child_started(slot.part.title(), slot.pid);
                self.say(&text);
            }
            Err(error) => {
                let text = format!("{} child process: fork error({error})", slot.part.title());
                slot.deaths += 1;
                slot.respawn_at = Some(Instant::now() + pause(slot.deaths));
                self.say(&text);
            }
        }
    }

    fn try_spawn(&mut self, i: usize) -> std::io::Result<()> {
        let slot = &mut self.slots[i];
        let mut command = Command::new("/proc/self/exe");
        command.arg0("keepalived");
        let mut theirs = None;
        let mut part = slot.part;
        if let Part::Vrrp { .. } = part {
            let (ours, child) = UnixStream::pair()?;
            sys::inherit::keep_on_exec(std::os::fd::AsFd::as_fd(&child), true)?;
            part = Part::Vrrp { socket: Some(child.as_raw_fd()) };
            slot.keeper = Some(Listening::new(ours)?);
            theirs = Some(child);
        }
        command.arg(part.word(&self.options.ident_suffix)).args(&self.options.words).stdin(Stdio::null());
        if !self.options.foreground && !self.options.console {
            // Whoever started us may wait for the end of our output.
            command.stdout(Stdio::null()).stderr(Stdio::null());
        }
        let child = command.spawn()?;
        drop(theirs);
        slot.pid = child.id().unwrap_or(0);
        slot.child = Some(child);
        Ok(())
    }

    async fn live(&mut self) -> u8 {
        let heard = [Signal::Hup, Signal::Term, Signal::Int, Signal::Usr1, Signal::Usr2, JSON, STATS_CLEAR];
        let Ok(mut signals) = Signals::listen(&heard) else { return EXIT_FATAL };
        let late = Instant::now() + READY_WAIT;
        if !self.slots.iter().any(|s| matches!(s.part, Part::Vrrp { .. })) {
            self.tell_ready();
        }
        loop {
            match self.next(&mut signals, late).await {
                Event::Signal(Signal::Term | Signal::Int) => return self.stop(EXIT_OK).await,
                Event::Signal(Signal::Hup) => self.reload(),
                Event::Signal(signal) => {
                    if signal == Signal::Usr1 {
                        self.dump();
                    }
                    self.pass(signal.number());
                }
                Event::Late => self.tell_ready(),
                Event::News(i) => self.news(i),
                Event::Respawn(i) => self.spawn(i),
                Event::Exited(i, status) => {
                    if let Some(code) = self.died(i, status) {
                        return self.stop(code).await;
                    }
                }
            }
        }
    }

    async fn next(&mut self, signals: &mut Signals, late: Instant) -> Event {
        let told = self.told_ready;
        let respawn = self.slots.iter().enumerate().filter_map(|(i, s)| Some((s.respawn_at?, i))).min();
        let (respawn_at, respawn_slot) = respawn.unwrap_or((late, 0));
        let slots = &mut self.slots;
        let (exits, news) = split(slots);
        tokio::select! {
            biased;
            signal = signals.next() => Event::Signal(signal),
            (i, status) = exits => Event::Exited(i, status),
            i = news => Event::News(i),
            () = tokio::time::sleep_until(respawn_at), if respawn.is_some() => Event::Respawn(respawn_slot),
            () = tokio::time::sleep_until(late), if !told => Event::Late,
        }
    }

    /// Lines of the VRRP part.
    fn news(&mut self, i: usize) {
        let Some(keeper) = self.slots[i].keeper.as_mut() else { return };
        let (lines, open) = keeper.read();
        if !open {
            // What it held stays known until its death is.
            if let Some(keeper) = self.slots[i].keeper.take() {
                self.slots[i].closed = Some(keeper.keeper);
            }
        }
        for line in lines {
            match line {
                Line::Ready { reload: false } => self.tell_ready(),
                Line::Ready { reload: true } => {
                    self.say(messages::RELOAD_COMPLETE);
                    self.reloaded();
                }
                Line::Refused => {
                    self.say(messages::RELOAD_REFUSED);
                    self.reloaded();
                }
                Line::Held(_) => {}
            }
        }
    }

    fn tell_ready(&mut self) {
        if self.told_ready {
            return;
        }
        self.told_ready = true;
        if !self.slots.is_empty() {
            self.say(messages::STARTUP_COMPLETE);
        }
        if let Some(ready) = self.ready.take() {
            // The shell that waited may be gone.
            let _ = ready.ready(self.options.console);
        }
        let _ = Notify::Ready { main: std::process::id() }.send();
    }

    /// Looks after a dead child; a code ends everything.
    fn died(&mut self, i: usize, status: std::io::Result<ExitStatus>) -> Option<u8> {
        let respawn = self.options.respawn;
        let slot = &mut self.slots[i];
        slot.child = None;
        let (part, pid) = (slot.part, slot.pid);
        let status = status.unwrap_or_default();
        let closed = slot.closed.take();
        let keeper = slot.keeper.take().map(|k| k.keeper);
        if let Some(mut keeper) = keeper.or(closed) {
            let buried = keeper.bury();
            if buried > 0 {
                self.say(&messages::buried(buried));
            }
        }
        if self.reloading && matches!(part, Part::Vrrp { .. }) {
            self.reloaded();
        }
        if let Some(code) =
            status.code().filter(|c| *c == i32::from(EXIT_CONFIG) || *c == i32::from(EXIT_FATAL))
        {
            self.say(&messages::permanent(pid, code));
            return Some(code as u8);
        }
        if let Some(text) = messages::child_status(pid, status.code(), status.signal()) {
            self.say(&text);
        }
        self.say(&messages::child_died(part.title(), pid, respawn));
        if !respawn {
            // As asked for: no failure of ours.
            return Some(EXIT_OK);
        }
        let slot = &mut self.slots[i];
        if slot.started.elapsed() >= HEALTHY {
            slot.deaths = 0;
        }
        let pause = pause(slot.deaths);
        slot.respawn_at = Some(Instant::now() + pause);
        slot.deaths += 1;
        self.say(&messages::delayed(part.title(), pause.as_secs()));
        None
    }

    /// Judges the new configuration; only one that can be used reaches the children.
    fn reload(&mut self) {
        self.say(messages::RELOADING);
        let _ = Notify::Reloading.send();
        let judged = match self.judge() {
            Ok(judged) => judged,
            Err(missing) => {
                missing.lines.iter().for_each(|line| self.say(line));
                self.say(messages::RELOAD_REFUSED);
                self.reloaded();
                return;
            }
        };
        self.say_file();
        if judged.refused {
            judged.lines.iter().for_each(|l| self.say(l));
            self.say(messages::RELOAD_REFUSED);
            self.reloaded();
            return;
        }
        self.pass(Signal::Hup.number());
        self.add(Part::Checker, self.options.checker && judged.globals.has_checker);
        self.add(Part::Vrrp { socket: None }, self.options.vrrp && judged.globals.has_vrrp);
        self.globals = judged.globals;
        // The VRRP part says when it is through; of the others nobody waits for an answer.
        self.reloading = self.slots.iter().any(|s| s.keeper.is_some());
        if !self.reloading {
            self.reloaded();
        }
    }

    /// All of the new configuration. Alone, the VRRP part judges its own blocks; with others beside it, and one still
    /// to start, nobody must go ahead with what VRRP refuses.
    fn judge(&self) -> Result<Judged, NoConfig> {
        let tree = parse(&self.options.file, &self.options.reading())?;
        let alone = self.vrrp_alone();
        let mut judged = check::judge(&tree, &self.options, !alone);
        if alone && self.options.checker && judged.globals.has_checker {
            judged = check::judge(&tree, &self.options, true);
        }
        drop(tree);
        sys::process::release_memory();
        Ok(judged)
    }

    /// A service manager hears that the reload is over.
    fn reloaded(&mut self) {
        self.reloading = false;
        let _ = Notify::Ready { main: std::process::id() }.send();
    }

    /// Whether there is a VRRP part at work and no other.
    fn vrrp_alone(&self) -> bool {
        matches!(&self.slots[..], [Slot { part: Part::Vrrp { .. }, child: Some(_), .. }])
    }

    /// Starts a part that the new configuration needs for the first time.
    fn add(&mut self, part: Part, wanted: bool) {
        if wanted && !self.slots.iter().any(|s| s.part == part) {
            self.slots.push(Slot::new(part));
            self.spawn(self.slots.len() - 1);
        }
    }

    /// What the parent itself has to show.
    fn dump(&self) {
        self.say(&messages::dumping(std::process::id()));
        if let Err((path, error)) = vrrpd::dump::parent(&self.globals) {
            self.say(&messages::no_dump(&path, &error));
        }
    }

    fn pass(&self, number: i32) {
        for slot in self.slots.iter().filter(|s| s.child.is_some()) {
            sys::process::signal(slot.pid, number);
        }
    }

    async fn stop(&mut self, code: u8) -> u8 {
        // A part that can't go on has said that everything ends.
        if code == EXIT_OK {
            self.say(messages::STOPPING);
        }
        let _ = Notify::Stopping.send();
        self.pass(Signal::Term.number());
        let deadline = Instant::now() + self.child_wait;
        for slot in &mut self.slots {
            let Some(mut child) = slot.child.take() else { continue };
            if tokio::time::timeout_at(deadline, child.wait()).await.is_err() {
                self.log.say(
                    Severity::Info,
                    &format!("{} process failed to die - forcing termination", slot.part.title()),
                );
                sys::process::signal(slot.pid, SIGKILL);
                let _ = child.wait().await;
            }
        }
        script::run(Moment::Shutdown, &self.globals, self.options.detail, |text| self.say(text)).await;
        if let Some(file) = self.pid_file.take() {
            let path = file.path().to_owned();
            file.remove(std::process::id());
            crate::places::remove_directory(&path);
        }
        self.say(&messages::stopped());
        code
    }
}

impl Slot {
    fn new(part: Part) -> Self {
        Self {
            part,
            child: None,
            pid: 0,
            started: Instant::now(),
            deaths: 0,
            respawn_at: None,
            keeper: None,
            closed: None,
        }
    }
}

/// The pause before start number `deaths + 1` of a part: none, then 1, 2, 4 … s.
fn pause(deaths: u32) -> Duration {
    match deaths {
        0 => Duration::ZERO,
        n => Duration::from_secs(1 << (n - 1).min(6)).min(RESPAWN_MAX),
    }
}

/// Waits for the exit of any child, and for lines of any keeper, at the same time.
fn split(
    slots: &mut [Slot],
) -> (impl Future<Output = (usize, std::io::Result<ExitStatus>)>, impl Future<Output = usize>) {
    let mut children: Vec<(usize, &mut Child)> = Vec::new();
    let mut keepers: Vec<(usize, &tokio::net::UnixStream)> = Vec::new();
    for (i, slot) in slots.iter_mut().enumerate() {
        children.extend(slot.child.as_mut().map(|c| (i, c)));
        keepers.extend(slot.keeper.as_ref().map(|k| (i, &k.socket)));
    }
    let exits = async move {
        let mut waits: Vec<_> =
            children.into_iter().map(|(i, child)| Box::pin(async move { (i, child.wait().await) })).collect();
        std::future::poll_fn(|cx| {
            for wait in &mut waits {
                if let std::task::Poll::Ready(found) = wait.as_mut().poll(cx) {
                    return std::task::Poll::Ready(found);
                }
            }
            std::task::Poll::Pending
        })
        .await
    };
    let news = async move {
        std::future::poll_fn(|cx| {
            for (i, keeper) in &keepers {
                if keeper.poll_read_ready(cx).is_ready() {
                    return std::task::Poll::Ready(*i);
                }
            }
            std::task::Poll::Pending
        })
        .await
    };
    (exits, news)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_a_minute() {
        let seconds: Vec<u64> = (0..9).map(|n| pause(n).as_secs()).collect();
        assert_eq!(seconds, [0, 1, 2, 4, 8, 16, 32, 60, 60]);
    }
}
