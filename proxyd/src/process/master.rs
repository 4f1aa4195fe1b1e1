//! The master: starts workers, replaces them on USR2 or HUP, tells the service manager, serves the master CLI.
//!
//! A reload starts a new worker from the program's path (so a new binary is taken up), which takes the listening
//! sockets from the worker before it; once it says that it is ready, the old one is told to finish. A worker that
//! fails to start changes nothing.
//!
//! Invariant: the master holds no configuration, no listening socket of traffic and no thread but this one. At
//! most one worker is current; all others are on their way out. What it needs of the configuration its worker tells it.

use super::master_cli::{self, Ask};
use super::messages::{self, Label};
use super::options::Options;
use super::program::{self, Wishes};
use crate::config::model::Bind;
use service::{Notify, Signal, Signals};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

/// Byte that carries a descriptor over the control channel: a new command line connection.
pub const CONNECT: u8 = b'c';
/// Byte with which a worker says that all is bound; its [`Wishes`] follow, behind their length.
pub const BOUND: u8 = b'b';
/// Byte with which the master lets it go on.
pub const GO: u8 = b'g';
/// Byte with which a worker says that it serves.
pub const READY: u8 = b'r';
/// More wishes than this are no wishes, bytes.
const WISHES_MAX: u32 = 1 << 20;
/// How long a worker that gave up may take to end by itself, and how often that is looked at.
const LEAVING: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(5);

/// How the master was asked to run.
#[derive(Debug)]
pub struct Plan {
    /// `argv[0]`.
    pub program: OsString,
    /// The words behind it, for workers.
    pub words: Vec<OsString>,
    /// What they say.
    pub options: Options,
    /// Where to write the master's pid.
    pub pidfile: Option<PathBuf>,
    /// Where to serve the command line.
    pub sockets: Vec<Bind>,
    /// `-Ws`: tell the service manager.
    pub notify: bool,
    /// `no-exit-on-failure`: the end of a worker ends nobody else.
    pub survive: bool,
}

#[derive(Debug)]
struct Worker {
    pid: u32,
    child: Child,
    control: UnixStream,
    reloads: u32,
    started: Instant,
}

/// The running master.
#[derive(Debug)]
struct Master {
    plan: Plan,
    current: Option<Worker>,
    former: Vec<Worker>,
    programs: Vec<program::Running>,
    former_programs: Vec<program::Running>,
    reloads: u32,
    failed: u32,
    started: Instant,
    introduced: bool,
    /// Exit code, once the end has begun.
    ending: Option<i32>,
    /// How the last current worker ended.
    last: i32,
}

/// Runs the master to its end; gives its exit code. `ready` is called once the first worker serves.
pub async fn run(plan: Plan, ready: impl FnOnce() -> io::Result<()>) -> i32 {
    const HEARD: [Signal; 10] = [
        Signal::Term,
        Signal::Int,
        Signal::Usr1,
        Signal::Usr2,
        Signal::Hup,
        Signal::Chld,
        Signal::Ttou,
        Signal::Ttin,
        Signal::Quit,
        Signal::Alrm,
    ];
    let Ok(mut signals) = Signals::listen(&HEARD) else { return 1 };
    let (asks, mut asked) = mpsc::channel(16);
    let faults: Vec<String> =
        plan.sockets.iter().filter_map(|bind| master_cli::listen(bind, asks.clone()).err()).collect();
    if !faults.is_empty() {
        let end = messages::in_main("Some protocols failed to start their listeners! Exiting.");
        for line in &messages::introduction() {
            messages::say(Label::Notice, line);
        }
        for fault in faults.iter().chain([&end]) {
            messages::say(Label::Alert, fault);
        }
        return 1;
    }
    let mut master = Master {
        plan,
        current: None,
        former: Vec::new(),
        programs: Vec::new(),
        former_programs: Vec::new(),
        reloads: 0,
        failed: 0,
        started: Instant::now(),
        introduced: false,
        ending: None,
        last: 0,
    };
    if let Some(code) = master.first_start(ready).await {
        return code;
    }
    loop {
        tokio::select! {
            signal = signals.next() => master.signal(signal).await,
            Some(ask) = asked.recv() => master.ask(ask).await,
        }
        if let Some(code) = master.ended() {
            master.tell(Label::Warning, &format!("All workers exited. Exiting... ({code})"));
            return code;
        }
    }
}

impl Master {
    /// Starts the first worker; `Some` is an exit code. What there is to say comes when it is bound, as does the pid
    /// file, before anything that a worker does later can fail.
    async fn first_start(&mut self, ready: impl FnOnce() -> io::Result<()>) -> Option<i32> {
        let (mut worker, wishes) = match self.start_worker().await {
            Ok(started) => started,
            Err(code) => return Some(code),
        };
        if let Some(path) = &self.plan.pidfile
            && service::PidFile::write(path, &[std::process::id()]).is_err()
        {
            let text = messages::in_main(&format!("Cannot create pidfile {}", path.display()));
            self.tell(Label::Alert, &text);
            service::signals::send(worker.pid, Signal::Term);
            let _ = worker.child.wait();
            return Some(1);
        }
        let whole = self.announce(&worker, &wishes);
        if let Err(e) = ready() {
            let text = messages::in_main(&format!("Cannot go to the background: {e}"));
            self.tell(Label::Alert, &text);
        }
        messages_say(&self.plan, Label::Notice, "Loading success.");
        // haproxy 2.6 tells of a reload here, since it begins anew once; later ones don't, and there is who takes the
        // first message for the one of readiness.
        let serves = go_on(&worker).await;
        self.current = Some(worker);
        if !whole {
            self.failed(1);
        }
        if serves {
            self.notify(Notify::Ready { main: std::process::id() });
        }
        // A worker that did not make it is reaped in the loop, where its end is told.
        None
    }

    /// Starts the programs and says who was started; whether all programs were.
    fn announce(&mut self, worker: &Worker, wishes: &Wishes) -> bool {
        let mut whole = true;
        let reloaded = self.current.is_some();
        for program in wishes.programs.iter().filter(|p| !(reloaded && p.once)) {
            match program::Running::start(program) {
                Ok(running) => {
                    let text = format!("New program '{}' ({}) forked", running.name, running.pid);
                    messages_say(&self.plan, Label::Notice, &text);
                    self.programs.push(running);
                }
                Err(e) => {
                    let command = program.command.first().map_or("", String::as_str);
                    let text = format!("Cannot execute {command}: {}", messages::system_text(&e));
                    self.tell(Label::Alert, &text);
                    whole = false;
                }
            }
        }
        messages_say(&self.plan, Label::Notice, &format!("New worker ({}) forked", worker.pid));
        whole
    }

    async fn signal(&mut self, signal: Signal) {
        match signal {
            Signal::Usr2 | Signal::Hup => {
                self.reload().await;
            }
            Signal::Chld => self.reap(),
            Signal::Int => self.stop(signal, service::code_of_signal(signal.number())),
            Signal::Term | Signal::Usr1 => self.stop(signal, 0),
            Signal::Ttou | Signal::Ttin => self.pass_on(signal),
            // They mean something to workers alone.
            _ => {}
        }
    }

    fn pass_on(&self, signal: Signal) {
        for pid in self.children() {
            service::signals::send(pid, signal);
        }
    }

    fn children(&self) -> impl Iterator<Item = u32> {
        let workers = self.current.iter().chain(&self.former).map(|w| w.pid);
        workers.chain(self.programs.iter().chain(&self.former_programs).map(|p| p.pid))
    }

    fn stop(&mut self, signal: Signal, code: i32) {
        self.tell(Label::Warning, "Exiting Master process...");
        self.notify(Notify::Stopping);
        self.end(signal, code);
    }

    fn end(&mut self, signal: Signal, code: i32) {
        // What began the end decides its code.
        self.ending.get_or_insert(code);
        self.pass_on(signal);
    }

    /// The exit code, once nobody is left.
    fn ended(&self) -> Option<i32> {
        self.children().next().is_none().then(|| self.ending.unwrap_or(self.last))
    }

    /// Replaces the worker; says whether that succeeded.
    async fn reload(&mut self) -> bool {
        if self.ending.is_some() {
            return false;
        }
        self.notify(Notify::Reloading);
        messages_say(&self.plan, Label::Notice, "Reloading HAProxy");
        // As after the original began anew.
        self.introduced = false;
        self.reloads += 1;
        for worker in self.current.iter_mut().chain(&mut self.former) {
            worker.reloads += 1;
        }
        for program in self.programs.iter_mut().chain(&mut self.former_programs) {
            program.reloads += 1;
        }
        let done = self.replace().await;
        if done {
            self.failed = 0;
        } else {
            self.failed += 1;
            messages_say(&self.plan, Label::Warning, "Loading failure!");
        }
        self.notify(Notify::Reloading);
        self.notify(Notify::Ready { main: std::process::id() });
        done
    }

    /// Starts another worker and, once it serves, tells what was before it to finish.
    async fn replace(&mut self) -> bool {
        let Ok((mut worker, wishes)) = self.start_worker().await else { return false };
        if !go_on(&worker).await {
            leave(&mut worker).await;
            return false;
        }
        let programs = std::mem::take(&mut self.programs);
        let whole = self.announce(&worker, &wishes);
        messages_say(&self.plan, Label::Notice, "Loading success.");
        for program in programs {
            service::signals::send(program.pid, Signal::Usr1);
            self.former_programs.push(program);
        }
        if let Some(old) = self.current.replace(worker) {
            service::signals::send(old.pid, Signal::Usr1);
            self.former.push(old);
        }
        let most = wishes.max_reloads.unwrap_or(u32::MAX);
        for old in self.former.iter().filter(|w| w.reloads > most) {
            service::signals::send(old.pid, Signal::Term);
        }
        if !whole {
            self.failed(1);
        }
        true
    }

    /// Starts a worker and waits until all is bound. `Err` is its exit code; it has told why.
    async fn start_worker(&mut self) -> Result<(Worker, Wishes), i32> {
        let mut worker = match self.spawn() {
            Ok(worker) => worker,
            Err(e) => {
                let text = messages::in_main(&format!("Cannot fork: {e}"));
                self.tell(Label::Alert, &text);
                return Err(1);
            }
        };
        match bound(&worker).await {
            Some(wishes) => Ok((worker, wishes)),
            None => Err(leave(&mut worker).await),
        }
    }

    fn spawn(&self) -> io::Result<Worker> {
        let (control, theirs) = UnixStream::pair()?;
        // One for its sockets, one for what it has on its board.
        let mut old = Vec::new();
        for current in self.current.iter().chain(&self.current) {
            let (ours, to_old) = UnixStream::pair()?;
            sys::fdpass::send_fds(&current.control, &[CONNECT], &[to_old.as_fd()])?;
            old.push(ours);
        }
        let mut command = Command::new(path_of(&self.plan.program));
        command.arg0(&self.plan.program).args(&self.plan.words);
        let fd = |s: &UnixStream| s.as_raw_fd().to_string();
        let old_fd = |n: usize| old.get(n).map_or_else(|| "-1".into(), fd);
        command.arg(format!("--worker={},{},{}", fd(&theirs), old_fd(0), old_fd(1)));
        // One thread, so nobody else can start a program while these are open to one.
        sys::inherit::keep_on_exec(theirs.as_fd(), true)?;
        for old in &old {
            sys::inherit::keep_on_exec(old.as_fd(), true)?;
        }
        let child = command.spawn()?;
        Ok(Worker { pid: child.id(), child, control, reloads: 0, started: Instant::now() })
    }

    fn reap(&mut self) {
        let code_of = |child: &mut Child| child.try_wait().ok().flatten().map(exit_code);
        if let Some(code) = self.current.as_mut().and_then(|w| code_of(&mut w.child)) {
            let pid = self.current.take().map_or(0, |w| w.pid);
            self.tell_end(true, "worker", pid, code);
            self.last = if code == service::code_of_signal(Signal::Term.number()) { 0 } else { code };
            self.failed(code);
        }
        let mut ended = Vec::new();
        let mut keep = |current: bool, what: String, pid: u32, child: &mut Child| match code_of(child) {
            Some(code) => {
                ended.push((current, what, pid, code));
                false
            }
            None => true,
        };
        self.programs.retain_mut(|p| keep(true, format!("program '{}'", p.name), p.pid, &mut p.child));
        self.former_programs
            .retain_mut(|p| keep(false, format!("program '{}'", p.name), p.pid, &mut p.child));
        self.former.retain_mut(|w| keep(false, "worker".into(), w.pid, &mut w.child));
        for (current, what, pid, code) in ended {
            self.tell_end(current, &what, pid, code);
            if current {
                self.failed(code);
            }
        }
    }

    fn tell_end(&mut self, current: bool, what: &str, pid: u32, code: i32) {
        let (label, text) = messages::child_ended(current, what, pid, code);
        self.tell(label, &text);
    }

    /// A child that was needed ended with this code: unless it was asked to, all go.
    fn failed(&mut self, code: i32) {
        let asked = [Signal::Term, Signal::Int].map(|s| service::code_of_signal(s.number()));
        if code != 0 && !asked.contains(&code) && self.ending.is_none() && !self.plan.survive {
            self.tell(Label::Alert, "exit-on-failure: killing every processes with SIGTERM");
            self.end(Signal::Term, code);
        }
    }

    async fn ask(&mut self, ask: Ask) {
        match ask {
            Ask::Processes(answer) => drop(answer.send(self.processes())),
            Ask::Reload(answer) => {
                let done = self.reload().await;
                // Who asked may have gone.
                let _ = answer.send(done);
            }
            Ask::Find(target, answer) => drop(answer.send(self.worker(target).map(|w| w.pid))),
            Ask::Connect(target, powers, answer) => drop(answer.send(self.connect(target, powers))),
        }
    }

    /// A worker by relative number (1 is the current one) or by pid.
    fn worker(&self, target: master_cli::Target) -> Option<&Worker> {
        match target {
            master_cli::Target::Relative(n) => self.current.as_ref().filter(|_| n == 1),
            master_cli::Target::Pid(pid) => self.current.iter().chain(&self.former).find(|w| w.pid == pid),
        }
    }

    /// A command line connection to a worker.
    fn connect(&self, target: master_cli::Target, powers: master_cli::Powers) -> Option<UnixStream> {
        let worker = self.worker(target)?;
        let (ours, theirs) = UnixStream::pair().ok()?;
        sys::fdpass::send_fds(&worker.control, &[powers.byte()], &[theirs.as_fd()]).ok()?;
        Some(ours)
    }

    /// `show proc`.
    fn processes(&self) -> String {
        let head = ["#<PID>", "<type>", "<reloads>", "<uptime>", "<version>"];
        let mut text = row(&head.map(String::from));
        let version = messages::VERSION;
        let line = |pid: u32, kind: &str, reloads: String, since: Instant| {
            row(&[pid.to_string(), kind.into(), reloads, uptime(since), version.into()])
        };
        let reloads = format!("{} [failed: {}]", self.reloads, self.failed);
        text += &line(std::process::id(), "master", reloads, self.started);
        text += "# workers\n";
        if let Some(worker) = &self.current {
            text += &line(worker.pid, "worker", worker.reloads.to_string(), worker.started);
        }
        if !self.former.is_empty() {
            text += "# old workers\n";
            for worker in &self.former {
                text += &line(worker.pid, "worker", worker.reloads.to_string(), worker.started);
            }
        }
        text += "# programs\n";
        let program = |p: &program::Running| {
            let since = uptime(p.started);
            row(&[p.pid.to_string(), p.name.clone(), p.reloads.to_string(), since, "-".into()])
        };
        text.extend(self.programs.iter().map(program));
        if !self.former_programs.is_empty() {
            text += "# old programs\n";
            text.extend(self.former_programs.iter().map(program));
        }
        text + "\n"
    }

    fn notify(&self, what: Notify<'_>) {
        if self.plan.notify {
            // A manager that does not listen is not our fault.
            let _ = what.send();
        }
    }

    fn tell(&mut self, label: Label, text: &str) {
        if !self.introduced && !self.plan.options.quiet {
            self.introduced = true;
            for line in &messages::introduction() {
                messages::say(Label::Notice, line);
            }
        }
        messages_say(&self.plan, label, text);
    }
}

fn messages_say(plan: &Plan, label: Label, text: &str) {
    if !plan.options.quiet {
        messages::say(label, text);
    }
}

/// What a worker wishes once it is bound; `None` when it will not be.
async fn bound(worker: &Worker) -> Option<Wishes> {
    let mut control = tokio_of(&worker.control)?;
    if control.read_u8().await.ok()? != BOUND {
        return None;
    }
    let length = control.read_u32().await.ok().filter(|n| *n <= WISHES_MAX)?;
    let mut text = vec![0; length as usize];
    control.read_exact(&mut text).await.ok()?;
    serde_json::from_slice(&text).ok()
}

/// Lets a worker that is bound go on; whether it serves then.
async fn go_on(worker: &Worker) -> bool {
    let Some(mut control) = tokio_of(&worker.control) else { return false };
    control.write_u8(GO).await.is_ok() && control.read_u8().await.is_ok_and(|said| said == READY)
}

fn tokio_of(stream: &UnixStream) -> Option<tokio::net::UnixStream> {
    let copy = stream.try_clone().ok()?;
    copy.set_nonblocking(true).ok()?;
    tokio::net::UnixStream::from_std(copy).ok()
}

/// Waits for a worker that gave up and gives its exit code; one that stays all the same is broken.
async fn leave(worker: &mut Worker) -> i32 {
    let until = Instant::now() + LEAVING;
    while Instant::now() < until {
        match worker.child.try_wait() {
            Ok(None) => tokio::time::sleep(LOOK).await,
            Ok(Some(status)) => return exit_code(status),
            Err(_) => return 1,
        }
    }
    service::signals::send(worker.pid, Signal::Term);
    worker.child.wait().map_or(1, exit_code)
}

/// The program's file: `argv[0]` as a path or looked for on PATH, so that a reload starts what is there now.
fn path_of(program: &OsStr) -> PathBuf {
    exec::security::find(program).unwrap_or_else(|| "/proc/self/exe".into())
}

fn exit_code(status: std::process::ExitStatus) -> i32 {
    match (status.code(), status.signal()) {
        (Some(code), _) => code,
        (None, signal) => service::code_of_signal(signal.unwrap_or_default()),
    }
}

fn row(columns: &[String; 5]) -> String {
    let cells: Vec<String> = columns.iter().map(|cell| format!("{cell:<15}")).collect();
    cells.join(" ") + "\n"
}

fn uptime(since: Instant) -> String {
    let s = since.elapsed().as_secs();
    format!("{}d{:02}h{:02}m{:02}s", s / 86400, s / 3600 % 24, s / 60 % 60, s % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_those_of_show_proc() {
        let head = ["#<PID>", "<type>", "<reloads>", "<uptime>", "<version>"].map(String::from);
        assert_eq!(
            row(&head),
            "#<PID>          <type>          <reloads>       <uptime>        <version>      \n"
        );
        let text = uptime(Instant::now());
        assert_eq!(text, "0d00h00m00s");
    }
}
