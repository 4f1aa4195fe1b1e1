//! Log lines about servers as a proxy sends them by UDP, sorted by the backend that they name.

use regex::Regex;
use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

/// A line without what differs from run to run: durations, and how many sessions were active, since what traffic does to
/// a server happens before or after its session ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckLine {
    /// Facility and level, as syslog counts them.
    pub level: String,
    /// What it says.
    pub text: String,
}

/// The lines by backend, whose names must be `b` and a number; each in its order.
#[derive(Debug, Clone, Default)]
pub struct CheckLines(Arc<Mutex<BTreeMap<String, Vec<CheckLine>>>>);

impl CheckLines {
    /// Collects what comes to the port that is given back, as long as the test lasts.
    ///
    /// # Panics
    /// Where no port of the loopback is free.
    pub fn start(&self) -> u16 {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        let port = socket.local_addr().expect("a bound socket has an address").port();
        let lines = self.clone();
        thread::spawn(move || {
            let pattern = |text| Regex::new(text).expect("a valid pattern");
            let backend = pattern(r"\b(b\d+)\b");
            let (time, active) = (pattern(r"duration: \d+ms"), pattern(r"\d+ sessions active"));
            let mut datagram = vec![0; 65536];
            while let Ok(n) = socket.recv(&mut datagram) {
                let text = String::from_utf8_lossy(&datagram[..n]).into_owned();
                let Some((head, line)) = text.split_once("]: ") else { continue };
                let Some(of) = backend.captures(line).map(|c| c[1].to_owned()) else { continue };
                let level = head.split('>').next().unwrap_or_default().trim_start_matches('<').to_owned();
                let line = time.replace_all(line.trim_end(), "duration: Nms");
                let text = active.replace(&line, "N sessions active").into_owned();
                lines.lock().entry(of).or_default().push(CheckLine { level, text });
            }
        });
        port
    }

    /// Those of a backend so far.
    pub fn of(&self, backend: &str) -> Vec<CheckLine> {
        self.lock().get(backend).cloned().unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Vec<CheckLine>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
