//! A program on a host: ours or the original, started, watched, signalled and ended.
//!
//! Invariant: a node's program is dead when the node is dropped.
//!
//! Absent on purpose: knowledge of any daemon's options or messages.

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use regex::Regex;

use crate::netns::{Host, child_of, wait_for};
use crate::{build_dir, skip};

/// A program that a node can run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Where it is.
    pub path: PathBuf,
    /// The name it runs under: its process name and what `killall` finds.
    pub name: String,
}

impl Program {
    /// A binary of this build, under another name where the original's is wanted.
    ///
    /// # Panics
    /// When it has not been built.
    pub fn ours(binary: &str, name: &str) -> Self {
        let path = build_dir().join(binary);
        assert!(path.exists(), "{} is missing: `cargo build --workspace` makes it", path.display());
        Self { path, name: name.to_owned() }
    }

    /// Debian's program, or `None` (and a line that says so) where it is not installed.
    pub fn original(test: &str, name: &str) -> Option<Self> {
        let found = ["/usr/sbin", "/usr/bin", "/usr/lib/frr"].map(|d| PathBuf::from(d).join(name));
        let path = found.into_iter().find(|p| p.exists());
        if path.is_none() {
            skip(test, &format!("needs the Debian program {name}"));
        }
        path.map(|path| Self { path, name: name.to_owned() })
    }
}

/// A started program.
#[derive(Debug)]
pub struct Node {
    child: Child,
    pid: u32,
    output: Arc<Mutex<String>>,
    /// Read the two outputs, until their end.
    readers: [Option<JoinHandle<()>>; 2],
}

/// How long an ended program's last lines may be on their way; a child of its own may hold its outputs open longer.
const LAST_LINES: Duration = Duration::from_secs(2);

impl Node {
    /// Starts `program` on `host`.
    ///
    /// # Panics
    /// When it can't be started at all; a program that ends at once is for the test to see.
    pub fn start(host: &Host, program: &Program, args: &[&str]) -> Self {
        let path = host.install(&program.path, &program.name);
        let mut command = host.command(path);
        command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("nsenter (util-linux) starts");
        let output = Arc::new(Mutex::new(String::new()));
        let readers = [follow(child.stdout.take(), &output), follow(child.stderr.take(), &output)];
        let own = child.id();
        let entered = || child_of(own).or_else(|| child.try_wait().ok().flatten().map(|_| own));
        let pid = wait_for(Duration::from_secs(5), entered).unwrap_or(own);
        Self { child, pid, output, readers }
    }

    /// The program's process id as the test process sees it.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// What it has written to standard output and standard error.
    pub fn output(&self) -> String {
        self.output.lock().map(|t| t.clone()).unwrap_or_default()
    }

    /// Sends a signal; whether the process was still there.
    pub fn signal(&self, signal: Signal) -> bool {
        kill(Pid::from_raw(self.pid as i32), signal).is_ok()
    }

    /// Waits for a line of output that matches.
    ///
    /// # Panics
    /// When none comes in time; tells what did come.
    pub fn wait_output(&self, pattern: &str, timeout: Duration) -> String {
        let regex = Regex::new(pattern).expect("the pattern of a test is valid");
        let found = || self.output().lines().find(|l| regex.is_match(l)).map(str::to_owned);
        wait_for(timeout, found).unwrap_or_else(|| {
            panic!("no output matches /{pattern}/ in {timeout:?}; got:\n{}", self.output())
        })
    }

    /// Waits for the program's end, and for what it said last; `None` when it still runs after `timeout`.
    pub fn wait(&mut self, timeout: Duration) -> Option<ExitStatus> {
        let status = wait_for(timeout, || self.child.try_wait().ok().flatten())?;
        let read = || self.readers.iter().flatten().all(JoinHandle::is_finished).then_some(());
        wait_for(LAST_LINES, read);
        Some(status)
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if self.runs() {
            self.signal(Signal::SIGKILL);
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}

fn follow(stream: Option<impl Read + Send + 'static>, output: &Arc<Mutex<String>>) -> Option<JoinHandle<()>> {
    let stream = stream?;
    let output = Arc::clone(output);
    Some(std::thread::spawn(move || {
        let mut reader = BufReader::new(stream);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
            if let Ok(mut text) = output.lock() {
                text.push_str(&String::from_utf8_lossy(&line));
            }
            line.clear();
        }
    }))
}
