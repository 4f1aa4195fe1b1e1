//! The master: starts workers, replaces them on USR2 or HUP, tells the service manager, serves the master CLI.
//!
//! A reload starts a new worker from the program's path (so a new binary is taken up), which takes the listening
//! sockets from the worker before it; once it says that it is ready, the old one is told to finish. A worker that
//! fails to start changes nothing.
//!
//! Invariant: the master holds no configuration, no listening socket of traffic and no thread but this one. At
//! most one worker is current; all others are on their way out.
//!
//! Absent on purpose: `program` sections.

use super::master_cli::{self, Ask};
use super::messages::{self, Label};
use super::options::Options;
use service::{Notify, Signal, Signals};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::Instant;
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;

/// Byte that carries a descriptor over the control channel: a new command line connection.
pub const CONNECT: u8 = b'c';
/// Byte with which a worker says that it serves.
pub const READY: u8 = b'r';

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
    reloads: u32,
    failed: u32,
    started: Instant,
    introduced: bool,
    /// Exit code, once the end has begun.
    ending: Option<i32>,
}

/// Runs the master to its end; gives its exit code. `ready` is called once the first worker serves.
pub async fn run(plan: Plan, ready: impl FnOnce() -> io::Result<()>) -> i32 {
    const HEARD: [Signal; 6] =
        [Signal::Term, Signal::Int, Signal::Usr1, Signal::Usr2, Signal::Hup, Signal::Chld];
    let Ok(mut signals) = Signals::listen(&HEARD) else { return 1 };
    let (asks, mut asked) = mpsc::channel(16);
    for address in &plan.options.master_cli {
        if let Err(fault) = master_cli::listen(address, asks.clone()) {
            messages::say(Label::Alert, &fault);
            return 1;
        }
    }
    let mut master = Master {
        plan,
        current: None,
        former: Vec::new(),
        reloads: 0,
        failed: 0,
        started: Instant::now(),
        introduced: false,
        ending: None,
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
    async fn first_start(&mut self, ready: impl FnOnce() -> io::Result<()>) -> Option<i32> {
        if let Err(code) = self.start_worker().await {
            return Some(code);
        }
        if let Some(path) = &self.plan.pidfile
            && service::PidFile::write(path, &[std::process::id()]).is_err()
        {
            let text = format!("[haproxy.main()] Cannot create pidfile {}", path.display());
            self.tell(Label::Alert, &text);
            self.end(Signal::Term, 1);
        }
        self.notify(Notify::Ready { main: std::process::id() });
        if let Err(e) = ready() {
            self.tell(Label::Alert, &format!("[haproxy.main()] Cannot go to the background: {e}"));
        }
        None
    }

    async fn signal(&mut self, signal: Signal) {
        match signal {
            Signal::Usr2 | Signal::Hup => {
                self.reload().await;
            }
            Signal::Chld => self.reap(),
            Signal::Term => self.stop(signal, 0),
            Signal::Int => self.stop(signal, service::code_of_signal(signal.number())),
            _ => self.stop(signal, 0),
        }
    }

    fn stop(&mut self, signal: Signal, code: i32) {
        self.tell(Label::Warning, "Exiting Master process...");
        self.notify(Notify::Stopping);
        self.end(signal, code);
    }

    fn end(&mut self, signal: Signal, code: i32) {
        self.ending = Some(code);
        for worker in self.current.iter().chain(&self.former) {
            service::signals::send(worker.pid, signal);
        }
    }

    fn ended(&self) -> Option<i32> {
        self.ending.filter(|_| self.current.is_none() && self.former.is_empty())
    }

    /// Replaces the worker; says whether that succeeded.
    async fn reload(&mut self) -> bool {
        if self.ending.is_some() {
            return false;
        }
        self.notify(Notify::Reloading);
        messages_say(&self.plan, Label::Notice, "Reloading HAProxy");
        self.reloads += 1;
        for worker in self.current.iter_mut().chain(&mut self.former) {
            worker.reloads += 1;
        }
        let done = self.start_worker().await.is_ok();
        if done {
            self.failed = 0;
        } else {
            self.failed += 1;
            messages_say(&self.plan, Label::Warning, "Loading failure!");
        }
        self.notify(Notify::Ready { main: std::process::id() });
        done
    }

    /// Starts a worker and waits until it serves; the one before it is told to finish. `Err` is its exit code.
    async fn start_worker(&mut self) -> Result<(), i32> {
        let mut worker = match self.spawn() {
            Ok(worker) => worker,
            Err(e) => {
                self.tell(Label::Alert, &format!("[haproxy.main()] Cannot fork: {e}"));
                return Err(1);
            }
        };
        if !is_ready(&worker).await {
            // It has told why. When it still lives it is broken: it closed its channel.
            service::signals::send(worker.pid, Signal::Term);
            return Err(worker.child.wait().map_or(1, exit_code));
        }
        messages_say(&self.plan, Label::Notice, &format!("New worker ({}) forked", worker.pid));
        messages_say(&self.plan, Label::Notice, "Loading success.");
        if let Some(old) = self.current.replace(worker) {
            service::signals::send(old.pid, Signal::Usr1);
            self.former.push(old);
        }
        Ok(())
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
        let gone = |w: &mut Worker| w.child.try_wait().ok().flatten().map(exit_code);
        if let Some(code) = self.current.as_mut().and_then(gone) {
            let pid = self.current.take().map_or(0, |w| w.pid);
            let (label, text) = messages::worker_ended(true, pid, code);
            self.tell(label, &text);
            if self.ending.is_none() && !self.plan.survive {
                self.tell(Label::Alert, "exit-on-failure: killing every processes with SIGTERM");
                self.notify(Notify::Stopping);
                self.end(Signal::Term, code);
            }
        }
        let mut ended = Vec::new();
        self.former.retain_mut(|w| match gone(w) {
            Some(code) => {
                ended.push((w.pid, code));
                false
            }
            None => true,
        });
        for (pid, code) in ended {
            let (label, text) = messages::worker_ended(false, pid, code);
            self.tell(label, &text);
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
            Ask::Connect(target, answer) => drop(answer.send(self.connect(target))),
        }
    }

    /// A command line connection to a worker: by relative number (1 is the current one) or by pid.
    fn connect(&self, target: master_cli::Target) -> Option<UnixStream> {
        let mut all = self.current.iter().chain(&self.former);
        let worker = match target {
            master_cli::Target::Relative(n) => self.current.as_ref().filter(|_| n == 1)?,
            master_cli::Target::Pid(pid) => all.find(|w| w.pid == pid)?,
        };
        let (ours, theirs) = UnixStream::pair().ok()?;
        sys::fdpass::send_fds(&worker.control, &[CONNECT], &[theirs.as_fd()]).ok()?;
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
        text + "# programs\n\n"
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

async fn is_ready(worker: &Worker) -> bool {
    let Ok(control) = worker.control.try_clone() else { return false };
    if control.set_nonblocking(true).is_err() {
        return false;
    }
    let Ok(mut control) = tokio::net::UnixStream::from_std(control) else { return false };
    let mut said = [0; 1];
    control.read_exact(&mut said).await.is_ok() && (said[0] == READY)
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
