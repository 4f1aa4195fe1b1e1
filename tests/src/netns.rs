//! Hosts, bridges and links made of namespaces: a [`Net`] is a switch of its own, each [`Host`] a machine of
//! its own (network, mounts, processes, name) with private `/dev`, `/run` and `/tmp`.
//!
//! Invariant: no name outside the namespaces is taken, so any number of nets live side by side; a net dies with
//! the process that made it, whatever ends it, because its first processes hang on a pipe of that process.
//!
//! Absent on purpose: a route to the outside, and names in `/run/netns`.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns};
use regex::Regex;
use tempfile::TempDir;

use crate::{build_dir, skip, workspace};

/// How long a fresh host may take until it is ready; generous, for a machine under load.
const READY_TIMEOUT: Duration = Duration::from_secs(20);
/// How often a condition is looked at while waiting for it.
pub const POLL: Duration = Duration::from_millis(10);

/// Polls `check` until it gives something or `timeout` has passed.
pub fn wait_for<T>(timeout: Duration, mut check: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + timeout;
    loop {
        if let Some(value) = check() {
            return Some(value);
        }
        if Instant::now() >= end {
            return None;
        }
        std::thread::sleep(POLL);
    }
}

/// The first process of a set of namespaces; dropping it ends them.
#[derive(Debug)]
struct Holder {
    child: Child,
    pid: u32,
}

impl Holder {
    fn start(name: &str, dir: &Path, keep: &[PathBuf]) -> Self {
        let mut child = Command::new("unshare")
            .args(["--net", "--mount", "--pid", "--fork", "--uts", "--ipc", "--mount-proc", "--kill-child"])
            .args(["--propagation", "private", "--"])
            .arg(build_dir().join("holdfast-hostinit"))
            .arg(name)
            .arg(dir)
            .args(keep)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare (util-linux) starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("stdout is piped");
        let read = BufReader::new(stdout).read_line(&mut line);
        assert!(read.is_ok() && line == "ready\n", "host {name} did not come up (see standard error)");
        let pid = wait_for(READY_TIMEOUT, || child_of(child.id())).expect("a first process");
        Self { child, pid }
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// The only child of a process, from `/proc`.
pub(crate) fn child_of(pid: u32) -> Option<u32> {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    children.split_whitespace().next()?.parse().ok()
}

/// A switch: hosts plug into its bridges.
#[derive(Debug)]
pub struct Net {
    switch: Holder,
    dir: TempDir,
    keep: Vec<PathBuf>,
    ports: AtomicU32,
}

/// A bridge of a [`Net`], by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bridge(String);

/// The switch's end of a link; what happens to the cable happens here.
#[derive(Debug, Clone)]
pub struct Port {
    switch: u32,
    name: String,
    bridge: Bridge,
}

impl Net {
    /// A net for the named test, or `None` (and a line that says so) where namespaces can't be made: then the
    /// process is neither root nor root of a user namespace (`unshare -Ur make test` gives one).
    ///
    /// # Panics
    /// When a namespace can't be made for another reason.
    pub fn new(test: &str) -> Option<Self> {
        Self::keeping(test, Vec::new())
    }

    /// As [`Net::new`]; hosts see these paths too where they lie below `/tmp` or `/run`.
    ///
    /// # Panics
    /// When a namespace can't be made for another reason than lack of rights.
    pub fn keeping(test: &str, mut keep: Vec<PathBuf>) -> Option<Self> {
        if !nix::unistd::geteuid().is_root() {
            skip(test, "needs root, or `unshare -Ur`");
            return None;
        }
        let dir = tempfile::Builder::new().prefix("holdfast-net-").tempdir().expect("a temporary directory");
        keep.extend([dir.path().to_path_buf(), workspace().to_path_buf(), build_dir()]);
        let switch_dir = dir.path().join("switch");
        std::fs::create_dir_all(&switch_dir).expect("a directory for the switch");
        let switch = Holder::start("switch", &switch_dir, &keep);
        Some(Self { switch, dir, keep, ports: AtomicU32::new(1) })
    }

    /// The directory that lives as long as the net and is seen under the same path by all hosts.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// A new host without interfaces other than `lo`.
    ///
    /// # Panics
    /// When its namespaces can't be made.
    pub fn host(&self, name: &str) -> Host {
        let dir = self.dir.path().join(name);
        std::fs::create_dir_all(&dir).expect("a directory for the host");
        let holder = Holder::start(name, &dir, &self.keep);
        let host = Host { holder, name: name.to_owned(), dir };
        // Addresses are usable at once, not after duplicate address detection.
        host.sh("sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0 || true");
        host
    }

    /// A new bridge; it floods multicast and starts forwarding at once.
    pub fn bridge(&self, name: &str) -> Bridge {
        self.on_switch(&format!(
            "ip link add {name} type bridge stp_state 0 forward_delay 0 mcast_snooping 0 && ip link set {name} up"
        ));
        Bridge(name.to_owned())
    }

    /// Plugs `host` into `bridge`: the host's end is called `interface`, is up and has `addresses`
    /// (`192.0.2.1/24`).
    pub fn plug(&self, host: &Host, interface: &str, bridge: &Bridge, addresses: &[&str]) -> Port {
        let number = self.ports.fetch_add(1, Ordering::Relaxed);
        let port = Port { switch: self.switch.pid, name: format!("p{number}"), bridge: bridge.clone() };
        self.on_switch(&format!(
            "ip link add {p} type veth peer name {interface} netns {pid} && ip link set {p} master {b} up",
            p = port.name,
            pid = host.holder.pid,
            b = bridge.0
        ));
        host.sh(&format!("ip link set {interface} up"));
        for address in addresses {
            host.sh(&format!("ip address add {address} dev {interface}"));
        }
        port
    }

    /// Runs a shell line in the switch's network namespace (for filters, loss, counters).
    ///
    /// # Panics
    /// When it fails.
    pub fn on_switch(&self, script: &str) -> String {
        run_on_switch(self.switch.pid, script)
    }
}

fn run_on_switch(switch: u32, script: &str) -> String {
    let output = Command::new("nsenter")
        .args(["-t", &switch.to_string(), "--net", "--", "sh", "-c", script])
        .output()
        .expect("nsenter (util-linux) runs");
    succeed("switch", script, output)
}

fn succeed(whose: &str, script: &str, output: Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{whose}: `{script}`: {}: {errors}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

impl Port {
    /// Pulls the cable: both ends lose their carrier.
    pub fn cut(&self) {
        run_on_switch(self.switch, &format!("ip link set {} down", self.name));
    }

    /// The switch drops all frames of this port; nobody loses a carrier.
    pub fn block(&self) {
        run_on_switch(self.switch, &format!("ip link set {} nomaster", self.name));
    }

    /// Undoes [`Port::cut`] and [`Port::block`].
    pub fn heal(&self) {
        run_on_switch(self.switch, &format!("ip link set {} master {} up", self.name, self.bridge.0));
    }
}

/// One machine.
#[derive(Debug)]
pub struct Host {
    holder: Holder,
    name: String,
    dir: PathBuf,
}

impl Host {
    /// The host's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its first process, as the test process sees it; `/proc/PID` tells about the host.
    pub fn pid(&self) -> u32 {
        self.holder.pid
    }

    /// The host's own directory, the same path inside and outside.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Writes a file into the host's directory and returns its path.
    ///
    /// # Panics
    /// When the file can't be written.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.join(name);
        std::fs::write(&path, text).expect("a file in the host's directory");
        path
    }

    /// A command that will run on this host, with `DIR/bin` first in its `PATH`.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.args([
            "-t",
            &self.holder.pid.to_string(),
            "--net",
            "--mount",
            "--pid",
            "--uts",
            "--ipc",
            "--",
        ]);
        command.arg(program);
        command.env("PATH", format!("{}/bin:/usr/sbin:/usr/bin:/sbin:/bin", self.dir.display()));
        command
    }

    /// Runs a shell line and returns what it printed.
    ///
    /// # Panics
    /// When it fails.
    pub fn sh(&self, script: &str) -> String {
        succeed(&self.name, script, self.try_sh(script))
    }

    /// Runs a shell line, whatever comes of it.
    ///
    /// # Panics
    /// When no shell can be started.
    pub fn try_sh(&self, script: &str) -> Output {
        self.command("sh")
            .args(["-c", script])
            .stdin(Stdio::null())
            .output()
            .expect("nsenter (util-linux) runs")
    }

    /// Puts `program` into the host's `PATH` under another name, which it then has as its process name too.
    ///
    /// # Panics
    /// When the link can't be made.
    pub fn install(&self, program: &Path, name: &str) -> PathBuf {
        let bin = self.dir.join("bin");
        std::fs::create_dir_all(&bin).expect("a directory for programs");
        let link = bin.join(name);
        let _ = std::fs::remove_file(&link);
        std::os::unix::fs::symlink(program, &link).expect("a link to the program");
        link
    }

    /// Runs a closure in this host's network: sockets it opens are the host's.
    ///
    /// # Panics
    /// When the namespace can't be entered, or when the closure does.
    pub fn inside<T: Send>(&self, f: impl FnOnce() -> T + Send) -> T {
        let namespace = File::open(format!("/proc/{}/ns/net", self.holder.pid)).expect("the host lives");
        std::thread::scope(|scope| {
            let thread = scope.spawn(move || {
                setns(&namespace, CloneFlags::CLONE_NEWNET).expect("the host's network can be entered");
                f()
            });
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Whether the host holds this address (`192.0.2.1`, without length) on any interface.
    pub fn holds(&self, address: &str) -> bool {
        let text = self.sh("ip -o address show");
        text.lines().any(|l| {
            let mut words = l.split_whitespace().skip(2);
            let (Some(family), Some(with_length)) = (words.next(), words.next()) else { return false };
            family.starts_with("inet") && with_length.split('/').next() == Some(address)
        })
    }

    /// What programs of this host have sent to syslog so far: `(seconds, priority, text)`.
    pub fn log(&self) -> Vec<(f64, u8, String)> {
        let text = std::fs::read(self.dir.join("syslog")).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let line = |l: &str| {
            let (seconds, rest) = l.split_once(" <")?;
            let (priority, text) = rest.split_once("> ")?;
            Some((seconds.parse().ok()?, priority.parse().unwrap_or(0), text.to_owned()))
        };
        text.lines().filter_map(line).collect()
    }

    /// Waits for a syslog line that matches and returns it with its time.
    ///
    /// # Panics
    /// When none comes in time; tells what did come.
    pub fn wait_log(&self, pattern: &str, timeout: Duration) -> (f64, String) {
        let regex = Regex::new(pattern).expect("the pattern of a test is valid");
        let found = || self.log().into_iter().find(|(_, _, text)| regex.is_match(text));
        let Some((seconds, _, text)) = wait_for(timeout, found) else {
            let all: Vec<String> = self.log().into_iter().map(|(_, _, text)| text).collect();
            panic!("{}: no log line matches /{pattern}/ in {timeout:?}; got:\n{}", self.name, all.join("\n"));
        };
        (seconds, text)
    }
}
