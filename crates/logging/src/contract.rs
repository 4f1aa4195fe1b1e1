//! The contract channel: lines whose words are promised, to syslog and to the console.
//!
//! Invariant: a line is rendered once per head and handed to every sink; no sink holds up another.

use crate::sink::{Sink, Target};
use crate::syslog::{Facility, Format, Header, Severity, ctime};
use std::cell::RefCell;
use std::sync::Arc;
use std::time::SystemTime;

/// Longest line kept; glibc's syslog() and keepalived stop at 1024 bytes of text, one page leaves room for heads.
const LINE_MAX: usize = 4096;

/// Where a daemon says what it promises to say. One per thread; the sinks behind it are shared.
#[derive(Debug, Clone)]
pub struct Contract {
    routes: RefCell<Vec<Route>>,
    console: Option<Arc<Sink>>,
}

#[derive(Debug, Clone)]
struct Route {
    header: Header,
    /// Lines less severe than this are not sent.
    level: Severity,
    /// Lines more severe than this are sent as this.
    min_level: Severity,
    sink: Arc<Sink>,
}

impl Contract {
    /// Says nothing to nobody; add routes.
    pub fn new() -> Self {
        Self { routes: RefCell::new(Vec::new()), console: None }
    }

    /// As libc's `openlog(ident, LOG_PID, facility)`: /dev/log, local form.
    pub fn syslog(ident: &str, facility: Facility) -> Self {
        let log = Self::new();
        // Only descriptors can be missing here; a daemon without syslog is worth more than none.
        if let Ok(sink) = Sink::open(&Target::Unix("/dev/log".into())) {
            log.route(Header::new(Format::Local, facility, ident, std::process::id()), Arc::new(sink));
        }
        log
    }

    /// Adds a receiver of all severities.
    pub fn route(&self, header: Header, sink: Arc<Sink>) {
        self.route_levels(header, sink, Severity::Debug, Severity::Emerg);
    }

    /// Adds a receiver of lines at least as severe as `level`; worse than `min_level` is sent as `min_level`
    /// (haproxy's `log ADDR FACILITY [LEVEL [MINLEVEL]]`).
    pub fn route_levels(&self, header: Header, sink: Arc<Sink>, level: Severity, min_level: Severity) {
        self.routes.borrow_mut().push(Route { header, level, min_level, sink });
    }

    /// Copies each line to stderr as keepalived's `--log-console` does: `Sat Nov 21 03:49:48 2026: text`.
    pub fn console(&mut self) {
        self.console = Sink::open(&Target::Stderr).ok().map(Arc::new);
    }

    /// Drops every receiver but the console (`--no-syslog`).
    pub fn no_syslog(&self) {
        self.routes.borrow_mut().clear();
    }

    /// Changes the pid in brackets, after a fork.
    pub fn pid(&self, pid: u32) {
        self.routes.borrow_mut().iter_mut().for_each(|r| r.header.pid = r.header.pid.map(|_| pid));
    }

    /// Says a line, without line ending; control bytes below 32 become `?`, so one event stays one line.
    pub fn say(&self, severity: Severity, text: &str) {
        self.say_at(SystemTime::now(), severity, text);
    }

    /// [`Contract::say`] with the moment given.
    pub fn say_at(&self, at: SystemTime, severity: Severity, text: &str) {
        let clean = |b: u8| if b < 32 && b != b'\t' { b'?' } else { b };
        let text: Vec<u8> = text.bytes().take(LINE_MAX).map(clean).collect();
        for route in self.routes.borrow_mut().iter_mut().filter(|r| severity <= r.level) {
            let mut line = Vec::with_capacity(text.len() + 64);
            route.header.render(at, severity.max(route.min_level), &mut line);
            line.extend_from_slice(&text);
            route.sink.send(&line);
        }
        if let Some(console) = &self.console {
            let mut line = Vec::with_capacity(text.len() + 32);
            ctime(&sys::clock::local(at), &mut line);
            line.extend_from_slice(b": ");
            line.extend_from_slice(&text);
            console.send(&line);
        }
    }

    /// Lines lost by all receivers so far.
    pub fn dropped(&self) -> u64 {
        self.routes.borrow().iter().map(|r| r.sink.dropped()).sum()
    }
}

impl Default for Contract {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixDatagram;

    #[test]
    fn levels_filter_and_floor() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let receiver = UnixDatagram::bind(&path).unwrap();
        let log = Contract::new();
        let sink = Arc::new(Sink::open(&Target::Unix(path)).unwrap());
        let header = Header::new(Format::Priority, Facility::DAEMON, "t", 1);
        log.route_levels(header, sink, Severity::Notice, Severity::Err);
        log.say(Severity::Info, "not sent");
        log.say(Severity::Emerg, "floored");
        log.say(Severity::Notice, "two\nlines");
        let mut buf = [0; 64];
        let mut line = || {
            let n = receiver.recv(&mut buf).unwrap();
            String::from_utf8_lossy(&buf[..n]).into_owned()
        };
        assert_eq!((line(), line()), ("<27>floored".into(), "<29>two?lines".into()));
    }
}
