//! The process that proxies: binds, drops rights, starts the engine, and then minds signals, stats sockets, the
//! master's channel and the bus on a small runtime of its own.
//!
//! Invariant: everything that can fail at the start fails before the old process is told to go, and before the
//! pid file is written; a daemon's parent returns only then.
//!
//! Absent on purpose: reading the configuration ([`super::load`]) and everything about traffic.

use super::bind::{self, Bound, Sources};
use super::control::{self, Context, Rights};
use super::handoff;
use super::master_cli::Powers;
use super::messages::{self, Label};
use super::options::Options;
use super::program::Wishes;
use crate::bus::Bus;
use crate::config::model::{BindAddress, Config, Level};
use crate::runtime::Generation;
use crate::runtime::board::{Board, ProcessInfo};
use crate::runtime::engine::{self, Running};
use crate::runtime::state_file;
use crate::runtime::transitions::{self, Notice};
use service::identity::MemoryBound;
use service::{Identity, Signal, Signals};
use std::collections::HashSet;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::Semaphore;

/// Descriptors beside those of connections and listeners: pollers, pipes, logs, files, checks.
const SPARE_DESCRIPTORS: u64 = 38;
/// How often a soft stop looks whether the last connection has gone.
const DRAIN_LOOK: Duration = Duration::from_millis(20);
/// How long what a hard stop ends may take to end.
const RESISTANCE: Duration = Duration::from_secs(1);

/// What the process is to run.
#[derive(Debug)]
pub struct Start {
    /// The command line.
    pub options: Options,
    /// The configuration.
    pub config: Config,
    /// Set in a worker of a master.
    pub master: Option<Channels>,
}

/// What a master gives its worker.
#[derive(Debug)]
pub struct Channels {
    /// The way to the master.
    pub control: UnixStream,
    /// Connections to the worker before it: for its sockets, and for what it has on its board.
    pub sockets: Option<UnixStream>,
    /// See there.
    pub board: Option<UnixStream>,
}

/// Runs to the end; gives the exit code.
pub fn run(start: Start) -> i32 {
    match prepare(start) {
        Ok(ready) => engage(ready),
        Err(code) => code,
    }
}

/// Everything that can fail.
fn prepare(start: Start) -> Result<Ready, i32> {
    let Start { options, config, master } = start;
    let (channel, old_worker, board) = match master {
        Some(Channels { control, sockets, board }) => (Some(control), sockets, board),
        None => (None, None, former(&options, &config)),
    };
    let limits = Limits::apply(&options, &config).map_err(|text| refuse(&text))?;
    let directory = if options.no_bus { None } else { ::bus::directory() };
    let bound = bind_all(&options, &config, old_worker.as_ref(), directory.as_ref())?;
    if let Some(channel) = &channel {
        await_go(channel, &config).map_err(|_| 1)?;
        messages::speak_for(0);
    }
    let daemon = channel.is_none()
        && (options.daemon || config.global.daemon)
        && !options.foreground
        && !options.debug;
    if daemon {
        leave_parent(options.pidfile.as_ref().or(config.global.pidfile.as_ref()))?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime =
        runtime.map_err(|e| refuse(&messages::in_main(&format!("Cannot start the control side: {e}"))))?;
    // While there are still rights to make the directory and the socket.
    let bus = directory.as_deref().map(|dir| runtime.block_on(async { Bus::open(dir) }));
    let bus = bus.map(|(bus, fault)| {
        if let Some(fault) = fault {
            tracing::debug!(fault, "the bus is not served");
        }
        bus
    });
    crate::delegate::configure(directory.filter(|_| !options.no_delegate));
    let terminal = |e| refuse(&messages::in_main(&format!("Cannot leave the terminal: {e}")));
    // A chroot mostly has no /dev/null.
    // A worker stays with its master, and like it keeps nobody waiting for the end of what it might print.
    let background = options.daemon || config.global.daemon;
    let detached = background && !options.foreground && !options.debug && !options.master_notify;
    let null = if detached { Some(service::background::nowhere().map_err(terminal)?) } else { None };
    let (states, faults) = state_file::gather(&config);
    if !faults.is_empty() && !options.quiet {
        introduce();
    }
    faults.iter().filter(|_| !options.quiet).for_each(|f| messages::say(Label::Warning, f));
    let memory = Some(limits.memory).filter(|bytes| *bytes > 0).map(MemoryBound::prepare).transpose();
    let memory = memory.map_err(|e| {
        refuse(&messages::in_main(&format!("Cannot fix MEM limit to {} megs: {e}", limits.memory >> 20)))
    })?;
    drop_rights(&config).map_err(|text| refuse(&text))?;
    if let Some(null) = null {
        service::background::leave_terminal_for(&null, false).map_err(terminal)?;
    }
    if options.debug {
        messages::print(messages::DEBUG_START);
    }
    Ok(Ready {
        options,
        config,
        bound,
        limits,
        states,
        memory,
        former: board,
        control: Control { runtime, bus, channel },
    })
}

/// Tells the master that all is bound and what the configuration wants of it, and waits for its consent.
fn await_go(mut channel: &UnixStream, config: &Config) -> std::io::Result<()> {
    let global = &config.global;
    let wishes = Wishes { programs: global.programs.clone(), max_reloads: global.max_reloads };
    let text = serde_json::to_vec(&wishes)?;
    let length = u32::try_from(text.len()).map_err(std::io::Error::other)?;
    let message: Vec<u8> = [&[super::master::BOUND][..], &length.to_be_bytes(), &text].concat();
    channel.write_all(&message)?;
    let mut said = [0; 1];
    channel.read_exact(&mut said)?;
    if said[0] == super::master::GO { Ok(()) } else { Err(std::io::ErrorKind::InvalidData.into()) }
}

/// A way to the process that this one replaces: by the socket it is told to take listeners from, or by a stats socket of
/// the configuration that one of the processes to end still serves.
fn former(options: &Options, config: &Config) -> Option<UnixStream> {
    if let Some(path) = &options.take_listeners {
        return super::keep::reach(path, &[]);
    }
    let (old, _) = options.old_pids();
    let paths = config.global.stats_sockets.iter().filter_map(|bind| match &bind.address {
        BindAddress::Unix(path) if !old.is_empty() => Some(path),
        _ => None,
    });
    paths.into_iter().find_map(|path| super::keep::reach(path, &old))
}

/// Binds every address, with the sockets of the process before us where there is one.
fn bind_all(
    options: &Options,
    config: &Config,
    old_worker: Option<&UnixStream>,
    directory: Option<&PathBuf>,
) -> Result<Bound, i32> {
    let mut taken = match (old_worker, &options.take_listeners) {
        // A worker that is not there any more leaves nothing to take: bind anew.
        (Some(old), _) => handoff::take_from(old).unwrap_or_default(),
        (None, Some(path)) => handoff::take(path).map_err(|e| {
            introduce();
            let connected = path.exists() && e.kind() != std::io::ErrorKind::ConnectionRefused;
            if !connected {
                let text = format!("Failed to connect to the old process socket '{}'", path.display());
                messages::say(Label::Warning, &text);
            }
            messages::say(Label::Alert, "Failed to get the sockets from the old process!");
            1
        })?,
        (None, None) => Vec::new(),
    };
    let virtual_addresses = || directory.cloned().map_or_else(HashSet::new, crate::bus::virtual_addresses);
    let (old, _) = options.old_pids();
    let sources = Sources { taken: &mut taken, old: &old, virtual_addresses: &virtual_addresses };
    let bound = bind::all(config, sources).map_err(|faults| {
        introduce();
        for f in &faults {
            messages::say(Label::Alert, f);
        }
        let text = messages::in_main("Some protocols failed to start their listeners! Exiting.");
        messages::say(Label::Alert, &text);
        1
    })?;
    if bound.listening.is_empty() && bound.stats.is_empty() && bound.ears.is_empty() && bound.peers.is_empty()
    {
        let text = messages::in_main("No enabled listener found (check for 'bind' directives) ! Exiting.");
        return Err(refuse(&text));
    }
    Ok(bound)
}

/// Goes to the background. The parent writes the pid file, so that it is there when the shell goes on; `Err` is its
/// exit code.
fn leave_parent(pidfile: Option<&PathBuf>) -> Result<(), i32> {
    match sys::fork::fork() {
        Ok(sys::fork::Fork::Child) => Ok(()),
        Ok(sys::fork::Fork::Parent(child)) => {
            match pidfile.map(|path| (path, service::PidFile::write(path, &[child]))) {
                Some((path, Err(_))) => {
                    service::signals::send(child, Signal::Term);
                    Err(refuse(&messages::in_main(&format!("Cannot create pidfile {}", path.display()))))
                }
                _ => Err(0),
            }
        }
        Err(e) => Err(refuse(&messages::in_main(&format!("Cannot fork: {e}")))),
    }
}

/// Ready to proxy.
struct Ready {
    options: Options,
    config: Config,
    bound: Bound,
    limits: Limits,
    states: state_file::Files,
    memory: Option<MemoryBound>,
    /// The way to the process before this one.
    former: Option<UnixStream>,
    control: Control,
}

/// What the control side starts with.
struct Control {
    runtime: tokio::runtime::Runtime,
    bus: Option<Bus>,
    channel: Option<UnixStream>,
}

/// Signals that a worker minds.
const HEARD: [Signal; 10] = [
    Signal::Term,
    Signal::Int,
    Signal::Usr1,
    Signal::Hup,
    Signal::Quit,
    Signal::Usr2,
    Signal::Ttou,
    Signal::Ttin,
    Signal::Chld,
    Signal::Alrm,
];

/// Starts the engine and stays until it ends.
fn engage(ready: Ready) -> i32 {
    let Ready { options, config, bound, limits, states, memory, former, control } = ready;
    let Bound { listening, stats, exposed, peers, ears, free } = bound;
    let Control { runtime, bus, channel } = control;
    let old = options.old_pids();
    let board = board(&config, &limits, listening.len() + stats.len(), channel.as_ref());
    // Nobody set it before: the board is new.
    let _ = board.startup_log.set(messages::started());
    let generation = Arc::new(Generation::build(1, config, board));
    state_file::apply(&generation, &states);
    // As late as can be: what happens there from now on is not known here.
    if let Some(former) = former {
        let complete = super::keep::take(&former, &generation);
        generation.board.peers.kept.store(complete, Relaxed);
    }
    ears.listen(&generation);
    let replaced = !old.0.is_empty() || channel.is_some();
    // Before anybody can be served: whoever sees the process answer may signal it.
    let signals = {
        let _inside = runtime.enter();
        Signals::listen(&HEARD)
    };
    let Ok(signals) = signals else { return 1 };
    let running = match engine::start(generation, listening, limits.threads, limits.maxconn as usize) {
        Ok(running) => running,
        Err(e) => return refuse(&messages::in_main(&format!("Cannot create threads: {e}"))),
    };
    if let Err(e) = crate::peers::start(&running.engine, peers, crate::peers::Old { replaced }) {
        return refuse(&messages::in_main(&format!("Cannot create threads: {e}")));
    }
    if let Some(bound) = memory
        && let Err(e) = bound.apply()
    {
        let text = messages::in_main(&format!("Cannot fix MEM limit to {} megs: {e}", limits.memory >> 20));
        messages::say(Label::Warning, &text);
    }
    let code = runtime.block_on(async {
        let minder = Minder { running: &running, worker: channel.is_some(), options: &options };
        let context = minder.context(exposed);
        if let Some(bus) = bus {
            let engine = Arc::clone(&running.engine);
            tokio::spawn(bus.run(free, move || engine.generation.load_full()));
        }
        let engine = Arc::clone(&running.engine);
        tokio::spawn(super::measure::every_second(move || engine.generation.load_full()));
        for (fd, rights) in stats {
            tokio::spawn(control::serve(Arc::clone(&context), fd, rights));
        }
        minder.mind(channel, context, old, signals).await
    });
    // Blocking steps (a hand-over under way) must not hold up the end.
    runtime.shutdown_background();
    running.end();
    match code {
        End::Exit(code) => code,
        End::Signal(signal) => service::signals::die_by(signal),
    }
}

fn introduce() {
    for line in &messages::introduction() {
        messages::say(Label::Notice, line);
    }
}

fn refuse(text: &str) -> i32 {
    introduce();
    messages::say(Label::Alert, text);
    1
}

/// Numbers that follow from the configuration and the host.
#[derive(Debug, Clone, Copy)]
struct Limits {
    threads: usize,
    maxconn: u64,
    maxsock: u64,
    /// What haproxy would set its own limit to; a higher one is left as it is.
    descriptors: u64,
    /// `-m`, bytes; 0 is none.
    memory: u64,
}

/// Connections that a megabyte of `-m` is for, with two buffers each.
const CONNECTIONS_PER_MEGABYTE: u64 = 28;

impl Limits {
    fn apply(options: &Options, config: &Config) -> Result<Self, String> {
        let global = &config.global;
        let threads =
            global.nbthread.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
        let binds: usize = config.proxies.iter().map(|p| p.binds.len()).sum();
        let checks: usize = config.proxies.iter().map(|p| p.servers.len()).sum();
        let fixed = SPARE_DESCRIPTORS + (binds + checks + global.stats_sockets.len()) as u64;
        let (soft, hard) = service::identity::descriptors().unwrap_or((1024, 1024));
        let asked =
            options.maxconn.as_ref().and_then(|n| n.parse().ok()).or(global.maxconn.map(|n| n as u64));
        let memory = options.memory.as_ref().and_then(|m| m.parse::<u64>().ok()).unwrap_or(0);
        let maxconn = asked.filter(|n| *n > 0).unwrap_or_else(|| {
            let allowed = global.fd_hard_limit.filter(|n| *n > 0).unwrap_or(1 << 20);
            let all = global.ulimit_n.unwrap_or_else(|| soft.max(hard).min(allowed));
            let all = (all.saturating_sub(fixed) / 2).max(1);
            if memory == 0 { all } else { all.min(memory * CONNECTIONS_PER_MEGABYTE) }
        });
        let maxsock = maxconn * 2 + fixed;
        let wanted = global.ulimit_n.unwrap_or(maxsock);
        let descriptors = service::identity::raise_descriptors(wanted).unwrap_or(soft);
        if descriptors < wanted {
            let text =
                messages::in_main(&format!("Cannot raise FD limit to {wanted}, limit is {descriptors}."));
            if global.strict_limits != Some(false) {
                return Err(text);
            }
            messages::say(Label::Warning, &text);
        }
        Ok(Self { threads, maxconn, maxsock, descriptors: wanted.min(descriptors), memory: memory << 20 })
    }
}

fn drop_rights(config: &Config) -> Result<(), String> {
    let global = &config.global;
    let identity = Identity { uid: global.uid, gid: global.gid, chroot: global.chroot.clone() };
    identity.assume().map_err(|e| messages::in_main(&e.to_string()))
}

fn board(config: &Config, limits: &Limits, listeners: usize, channel: Option<&UnixStream>) -> Arc<Board> {
    let host =
        nix::unistd::gethostname().map_or_else(|_| String::new(), |h| h.to_string_lossy().into_owned());
    let info = ProcessInfo {
        version: messages::VERSION.into(),
        release_date: messages::RELEASE_DATE.into(),
        nbthread: limits.threads,
        pid: std::process::id(),
        started: Instant::now(),
        started_at: SystemTime::now(),
        ulimit_n: limits.descriptors,
        maxsock: limits.maxsock,
        maxconn: AtomicU64::new(limits.maxconn),
        hard_maxconn: limits.maxconn,
        memory: limits.memory,
        node: config.global.node.clone().unwrap_or(host),
        description: config.global.description.clone(),
        listeners: AtomicU64::new(listeners as u64),
        master_channel: channel.map(AsRawFd::as_raw_fd),
    };
    Arc::new(Board { info, ..Board::default() })
}

/// How the process ends.
enum End {
    Exit(i32),
    Signal(Signal),
}

/// Minds a running engine.
struct Minder<'a> {
    running: &'a Running,
    worker: bool,
    options: &'a Options,
}

impl Minder<'_> {
    fn context(&self, exposed: Vec<handoff::Exposed>) -> Arc<Context> {
        let engine = Arc::clone(&self.running.engine);
        let global = &engine.generation.load().config.global;
        let permits = Arc::new(Semaphore::new(global.stats_maxconn.unwrap_or(control::CONNECTIONS)));
        let timeout = global.stats_timeout.unwrap_or(control::TIMEOUT);
        let for_context = Arc::clone(&self.running.engine);
        let for_log = Arc::clone(&for_context);
        Arc::new(Context {
            current: Box::new(move || for_context.generation.load_full()),
            tell: Box::new(move |notice| {
                tell(&Notice { stderr: format!("CLI : {}", notice.stderr), ..notice.clone() });
                crate::log::notices(&for_log.generation.load(), std::slice::from_ref(notice));
            }),
            exposed: Mutex::new(exposed),
            timeout,
            permits,
        })
    }

    async fn mind(
        &self,
        mut channel: Option<UnixStream>,
        context: Arc<Context>,
        (old_pids, finish): (Vec<u32>, bool),
        mut signals: Signals,
    ) -> End {
        if let Some(channel) = &mut channel
            && channel.write_all(&[super::master::READY]).is_err()
        {
            return End::Exit(1);
        }
        for pid in old_pids {
            service::signals::send(pid, if finish { Signal::Usr1 } else { Signal::Term });
        }
        let mut channel = Channel::new(channel);
        loop {
            tokio::select! {
                signal = signals.next() => match signal {
                    Signal::Term | Signal::Int => return End::Signal(signal),
                    Signal::Usr1 => break,
                    Signal::Hup => self.dump(),
                    Signal::Ttou => self.pause(true),
                    Signal::Ttin => self.pause(false),
                    Signal::Quit => self.dump_pools(),
                    _ => {}
                },
                came = channel.next() => match came {
                    Some((stream, powers)) => {
                        let rights = Rights {
                            level: powers.level,
                            severity: crate::config::model::SeverityOutput::default(),
                            expose: powers.level == Level::Admin,
                            modes: (powers.expert, powers.experimental),
                        };
                        tokio::spawn(control::serve_one(Arc::clone(&context), stream, rights));
                    }
                    // The master died: nobody would ever end or replace this process.
                    None => break,
                },
            }
        }
        self.drain(&context, &mut signals).await
    }

    /// Soft stop: takes nothing new and ends when all is done, or too long.
    async fn drain(&self, context: &Context, signals: &mut Signals) -> End {
        let engine = &self.running.engine;
        let generation = engine.generation.load_full();
        generation.board.process.stopping.store(true, Relaxed);
        if let Some(grace) = generation.config.global.grace {
            tokio::time::sleep(grace).await;
        }
        context.close_copies();
        engine.stop_accepting();
        self.say_stopped(&generation);
        let limit = generation.config.global.hard_stop_after.map(|d| Instant::now() + d);
        loop {
            let told = !generation.board.peers.is_busy();
            if engine.is_drained() && told {
                return End::Exit(0);
            }
            if limit.is_some_and(|l| Instant::now() >= l) {
                return self.stop_hard(&generation).await;
            }
            tokio::select! {
                () = tokio::time::sleep(DRAIN_LOOK) => {}
                signal = signals.next() => match signal {
                    Signal::Term | Signal::Int => return End::Signal(signal),
                    Signal::Hup => self.dump(),
                    _ => {}
                }
            }
        }
    }

    /// `hard-stop-after` is over: ends what there is, and leaves when it does not end soon.
    async fn stop_hard(&self, generation: &Generation) -> End {
        let warn = |text: &str| messages::say(Label::Warning, text);
        warn("soft-stop running for too long, performing a hard-stop.");
        for (proxy, state) in generation.config.proxies.iter().zip(&generation.proxies) {
            let remaining = state.front.cur_conn.load(Relaxed);
            if remaining > 0 {
                let name = &proxy.name;
                warn(&format!("Proxy {name} hard-stopped ({remaining} remaining conns will be closed)."));
            }
        }
        generation.board.streams.kill_all();
        let limit = Instant::now() + RESISTANCE;
        while !self.running.engine.is_drained() {
            if Instant::now() >= limit {
                warn("Some tasks resisted to hard-stop, exiting now.");
                break;
            }
            tokio::time::sleep(DRAIN_LOOK).await;
        }
        End::Exit(0)
    }

    fn say_stopped(&self, generation: &Generation) {
        let pairs = || generation.config.proxies.iter().zip(&generation.proxies);
        let line = |name: &str, front: u64, back: u64| {
            messages::say(Label::Warning, &messages::proxy_stopped(name, front, back));
        };
        for (front_half, global) in [(true, false), (false, true), (false, false)] {
            if global {
                if !self.worker && !generation.config.global.stats_sockets.is_empty() {
                    line("GLOBAL", 0, 0);
                }
                continue;
            }
            for (proxy, state) in pairs().filter(|(p, _)| p.binds.is_empty() != front_half && !p.disabled) {
                line(&proxy.name, state.front.cum_conn.load(Relaxed), state.back.cum_sess.load(Relaxed));
            }
        }
    }

    /// SIGTTOU: takes no connections until SIGTTIN.
    fn pause(&self, pause: bool) {
        let generation = self.running.engine.generation.load_full();
        let notices = crate::cli::proxies::pause_all(&generation, pause);
        if !self.options.quiet {
            notices.iter().for_each(tell);
            if self.has_global(&generation) && !notices.is_empty() {
                let done = if pause { "Paused" } else { "Resumed" };
                messages::say(Label::Warning, &format!("{done} frontend GLOBAL."));
            }
        }
        crate::log::notices(&generation, &notices);
    }

    /// Whether there is the frontend of the command line that messages call GLOBAL.
    fn has_global(&self, generation: &Generation) -> bool {
        self.worker || !generation.config.global.stats_sockets.is_empty()
    }

    /// SIGQUIT: what is kept for streams to come.
    fn dump_pools(&self) {
        let generation = self.running.engine.generation.load_full();
        messages::print_err(&crate::cli::inner::pools_text(&generation));
    }

    /// SIGHUP: states of all servers.
    fn dump(&self) {
        if self.options.quiet {
            return;
        }
        let generation = self.running.engine.generation.load_full();
        messages::say(Label::Warning, "SIGHUP received, dumping servers states.");
        let sockets = !generation.config.global.stats_sockets.is_empty();
        let (first, last) = (sockets, self.worker && !sockets);
        let global = |there: bool| there.then(|| super::dump::GLOBAL.to_owned());
        let lines = super::dump::lines(&generation).into_iter();
        for line in global(first).into_iter().chain(lines).chain(global(last)) {
            messages::say(Label::Warning, &line);
        }
    }
}

/// Says what happened to a server or backend on stderr.
fn tell(notice: &Notice) {
    let label = match notice.level {
        transitions::Level::Emergency => Label::Alert,
        transitions::Level::Alert | transitions::Level::Notice => Label::Warning,
        transitions::Level::Told => Label::Notice,
    };
    messages::say(label, &notice.stderr);
}

/// The master's channel in a worker.
struct Channel {
    io: Option<tokio::net::UnixStream>,
}

impl Channel {
    fn new(stream: Option<UnixStream>) -> Self {
        let io = stream.and_then(|s| {
            s.set_nonblocking(true).ok()?;
            tokio::net::UnixStream::from_std(s).ok()
        });
        Self { io }
    }

    /// The next connection from the master; `None` when the master is gone. Never ends without a master.
    async fn next(&mut self) -> Option<(tokio::net::UnixStream, Powers)> {
        let Some(io) = &self.io else { return std::future::pending().await };
        loop {
            io.readable().await.ok()?;
            let mut byte = [0; 1];
            match io.try_io(tokio::io::Interest::READABLE, || sys::fdpass::recv_fds(io, &mut byte)) {
                Ok((0, _)) => return None,
                Ok((_, fds)) => {
                    let stream = fds.into_iter().next().map(UnixStream::from);
                    let stream = stream.filter(|s| s.set_nonblocking(true).is_ok());
                    if let Some(Ok(stream)) = stream.map(tokio::net::UnixStream::from_std) {
                        return Some((stream, Powers::of(byte[0])));
                    }
                }
                Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => return None,
            }
        }
    }
}
