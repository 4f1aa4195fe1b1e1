//! What happens when: lines with the time since the curtain rose, and who holds the virtual address.
//!
//! Invariant: holders come from the kernel's own table of local addresses, read every few milliseconds.

use std::collections::BTreeSet;
use std::io::Write;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How often the address tables are read; the resolution of "moved after".
const LOOK: Duration = Duration::from_millis(5);

/// Prints a line to standard output.
pub(crate) fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(line.as_bytes());
    let _ = out.write_all(b"\n");
    let _ = out.flush();
}

/// A change of a holder of the virtual address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Move {
    /// When it was seen.
    pub(crate) at: Instant,
    /// The host.
    pub(crate) host: String,
    /// Whether it got the address (or lost it).
    pub(crate) got: bool,
}

/// The clock of the demonstration and the record of moves.
#[derive(Debug, Clone)]
pub(crate) struct Timeline {
    start: Instant,
    moves: Arc<Mutex<Vec<Move>>>,
    closed: Arc<AtomicBool>,
}

impl Timeline {
    /// Starts the clock.
    pub(crate) fn new() -> Self {
        Self { start: Instant::now(), moves: Arc::default(), closed: Arc::default() }
    }

    /// Ends the telling; the clock of a table, not of a log.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }

    /// Prints a line with the time.
    pub(crate) fn tell(&self, text: &str) {
        if self.closed.load(Ordering::Relaxed) {
            return;
        }
        say(&format!("{:7.2} s  {text}", self.start.elapsed().as_secs_f64()));
    }

    /// All moves since `since`.
    pub(crate) fn moves(&self, since: Instant) -> Vec<Move> {
        let moves = self.moves.lock().map(|m| m.clone()).unwrap_or_default();
        moves.into_iter().filter(|m| m.at >= since).collect()
    }

    /// Watches for as long as the process lives who of `hosts` (name, process id) holds `address`.
    pub(crate) fn watch(&self, hosts: Vec<(String, u32)>, address: IpAddr) {
        let timeline = self.clone();
        std::thread::spawn(move || {
            let mut holders = BTreeSet::new();
            loop {
                for (host, pid) in &hosts {
                    let holds = holds(*pid, address);
                    if holds == holders.contains(host) {
                        continue;
                    }
                    let at = Instant::now();
                    if holds {
                        holders.insert(host.clone());
                    } else {
                        holders.remove(host);
                    }
                    if let Ok(mut moves) = timeline.moves.lock() {
                        moves.push(Move { at, host: host.clone(), got: holds });
                    }
                    timeline.tell(&format!(
                        "  {host} {} {address}",
                        if holds { "holds" } else { "has let go of" }
                    ));
                }
                std::thread::sleep(LOOK);
            }
        });
    }
}

/// Whether the network namespace of process `pid` has `address` as a local one.
pub(crate) fn holds(pid: u32, address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let table = std::fs::read_to_string(format!("/proc/{pid}/net/fib_trie")).unwrap_or_default();
            let mark = format!("|-- {v4}\n");
            table
                .split(&mark)
                .skip(1)
                .any(|rest| rest.lines().next().is_some_and(|l| l.contains("host LOCAL")))
        }
        IpAddr::V6(v6) => {
            let table = std::fs::read_to_string(format!("/proc/{pid}/net/if_inet6")).unwrap_or_default();
            let mark = format!("{:032x}", u128::from(v6));
            table.lines().any(|l| l.starts_with(&mark))
        }
    }
}
