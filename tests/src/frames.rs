//! Frames on a host's wire, captured with tshark and read back as the fields that its dissectors find.
//!
//! Invariant: a capture has begun before [`Capture::start`] returns and is complete when [`Capture::stop`] does.
//!
//! Absent on purpose: dissectors of our own; a frame is judged by somebody else's eyes.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::netns::{Host, child_of, wait_for};
use crate::skip;

/// How long the capturing program may take to open its file.
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// A running capture on one interface.
#[derive(Debug)]
pub struct Capture {
    child: Child,
    path: PathBuf,
}

/// A finished capture.
#[derive(Debug, Clone)]
pub struct Frames {
    path: PathBuf,
}

impl Capture {
    /// Starts capturing on `interface` what the pcap `filter` lets through (`proto 112`, `arp`), or `None` (and
    /// a line that says so) where tshark is missing.
    ///
    /// # Panics
    /// When the capture does not begin.
    pub fn start(test: &str, host: &Host, interface: &str, filter: &str) -> Option<Self> {
        if !["/usr/bin/dumpcap", "/usr/bin/tshark"].iter().all(|p| std::path::Path::new(p).exists()) {
            skip(test, "needs the Debian package tshark");
            return None;
        }
        let path = host.dir().join(format!("{interface}.pcapng"));
        let child = host
            .command("/usr/bin/dumpcap")
            .args(["-q", "-i", interface, "-f", filter, "-w"])
            .arg(&path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("dumpcap starts");
        // The file's first block is written once the interface is open.
        let begun = || std::fs::metadata(&path).ok().filter(|m| m.len() > 0);
        wait_for(START_TIMEOUT, begun).expect("dumpcap opens the interface");
        Some(Self { child, path })
    }

    /// Ends the capture.
    ///
    /// # Panics
    /// When dumpcap can't be waited for.
    pub fn stop(mut self) -> Frames {
        // dumpcap writes in batches; give the last frames of the test the time of one.
        std::thread::sleep(Duration::from_millis(300));
        let pid = child_of(self.child.id()).unwrap_or(self.child.id());
        let _ = kill(Pid::from_raw(pid as i32), Signal::SIGINT);
        self.child.wait().expect("dumpcap ends");
        Frames { path: self.path.clone() }
    }
}

impl Frames {
    /// For each frame that the display filter lets through, the named fields (`vrrp.prio`,
    /// `frame.time_relative`); a field that a frame lacks is empty, repeated ones are joined with commas.
    ///
    /// # Panics
    /// When tshark fails, for instance on an unknown field.
    pub fn fields(&self, filter: &str, fields: &[&str]) -> Vec<Vec<String>> {
        let mut command = Command::new("/usr/bin/tshark");
        command.args(["-o", "ip.check_checksum:TRUE", "-T", "fields", "-E", "separator=|", "-r"]);
        command.arg(&self.path).args(["-Y", filter]);
        for field in fields {
            command.args(["-e", field]);
        }
        let output = command.output().expect("tshark runs");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "tshark: {errors}");
        let text = String::from_utf8_lossy(&output.stdout);
        text.lines().map(|l| l.split('|').map(str::to_owned).collect()).collect()
    }
}
