//! Every line this daemon logs and every mail it sends, in keepalived's words.
//!
//! Invariant: texts exist here only; [`Message`] is what happened, its `Display` is what people grep for.
//!
//! Absent on purpose: complaints about configurations (they live at the rows that find them).

use std::fmt;
use std::net::SocketAddr;

use health::{Cause, Outcome, Status};

use crate::config::model::{CheckerKind, Protocol, Target, VirtualServer};

/// `[10.0.0.1]:tcp:80`.
pub fn address_name(address: SocketAddr, protocol: Protocol) -> String {
    let word = match protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
        Protocol::Sctp => "sctp",
        Protocol::None => "none",
    };
    format!("[{}]:{word}:{}", address.ip(), address.port())
}

/// `[10.0.0.1]:tcp:80`, `FWM 5`, `[group]:0`; `nth` counts the virtual servers of one group, from 0.
pub fn service_name(server: &VirtualServer, nth: usize) -> String {
    match &server.target {
        Target::Address(address) => address_name(*address, server.protocol),
        Target::Fwmark(mark) => format!("FWM {mark}"),
        Target::Group(name) => format!("[{name}]:{nth}"),
    }
}

/// The name of a real server within its service.
pub fn real_name(server: &VirtualServer, address: SocketAddr) -> String {
    address_name(address, server.protocol)
}

/// Numbers of a quorum change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quorum {
    /// `quorum`.
    pub quorum: u32,
    /// `hysteresis`.
    pub hysteresis: u32,
    /// Weight of all live servers.
    pub weight: i64,
}

/// What a checker's line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckEvent {
    /// Up (or the first success).
    Success,
    /// A URL of a server that isn't up yet answered as wanted.
    UrlSuccess {
        /// `path`.
        path: String,
        /// What was compared.
        what: UrlTest,
    },
    /// A failure while retries are left, or every failure with `log_all_failures`.
    Failure {
        /// How many retries were made, and how many there are.
        retry: Option<(u32, u32)>,
    },
    /// A URL's body was shorter or longer than its head said.
    Short {
        /// Path.
        path: String,
        /// Both lengths, in words.
        what: String,
    },
    /// Down.
    Down {
        /// Retries made.
        retries: u32,
        /// It was the very first result.
        first: bool,
    },
}

/// Tests of a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UrlTest {
    /// Status code.
    Status,
    /// MD5 of the body.
    Digest,
    /// Regular expression.
    Regex,
}

/// A log line.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the variants are described by their texts below")]
pub enum Message {
    InitializingIpvs,
    ReinitializingIpvs,
    NoIpvs { reason: String },
    IpvsError { command: &'static str, number: u32, text: String, errno: i32, service: String },
    Activating { real: String, service: String },
    Deactivating { real: String, service: String },
    Suspending { real: String, service: String },
    ActivatingBfd,
    Gained { quorum: Quorum, service: String },
    Lost { quorum: Quorum, service: String },
    StartingDown { quorum: Quorum, service: String },
    Adding { real: String, service: String },
    Removing { real: String, service: String },
    Enabling { real: String, service: String },
    Disabling { real: String, service: String },
    ShuttingDown { real: String, service: String, inhibited: bool },
    AddingSorry { sorry: String, service: String, inhibited: bool },
    RemovingSorry { sorry: String, service: String, inhibited: bool },
    AddingAlive { service: String },
    RemovingAlive { service: String },
    Weight { from: i64, to: i64, active: bool, real: String, service: String },
    RealGone { real: String },
    RemovingService { service: String },
    RemovingGroup { group: String },
    EntryGone { entry: String, group: String },
    EntryAdded { entry: String, group: String },
    Check(String),
    PingNotSent,
    Fifo { reason: String },
    MailConnected { server: String },
    MailSent,
    MailFailed { server: String, reason: MailFault },
    ScriptNotStarted { script: String, reason: String },
    SyncDaemonFault { reason: String },
    NoBus { reason: String },
    AlreadyRunning,
    Setting { what: String, reason: String },
    Timeouts { reason: String },
    PrintingData { pid: u32 },
    PrintingStats { pid: u32 },
    ReloadRefused,
    Stopped,
    Reloading,
}

/// Why a mail could not be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MailFault {
    /// Not connected in time.
    ConnectTimeout,
    /// Not connected.
    Connect,
    /// An answer did not come.
    ReadTimeout,
    /// The server closed.
    Closed,
    /// A command was refused.
    Refused {
        /// The command.
        command: &'static str,
        /// The answer's code.
        code: u16,
    },
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InitializingIpvs => write!(f, "Initializing ipvs"),
            Self::ReinitializingIpvs => write!(f, "Reinitializing ipvs"),
            Self::NoIpvs { reason } => write!(f, "IPVS: Can't initialize ipvs: {reason}"),
            Self::IpvsError { command, number, text, errno, service } => {
                write!(f, "IPVS cmd {command}({number}) error: {text}({errno}){service}")
            }
            Self::ActivatingBfd => write!(f, "Activating BFD healthchecker"),
            Self::Gained { .. } | Self::Lost { .. } | Self::StartingDown { .. } => self.quorum(f),
            Self::Activating { .. }
            | Self::Deactivating { .. }
            | Self::Suspending { .. }
            | Self::Adding { .. }
            | Self::Removing { .. }
            | Self::Enabling { .. }
            | Self::Disabling { .. }
            | Self::ShuttingDown { .. }
            | Self::AddingSorry { .. }
            | Self::RemovingSorry { .. }
            | Self::AddingAlive { .. }
            | Self::RemovingAlive { .. } => self.pool(f),
            Self::Weight { from, to, active, real, service } => {
                let word = if *active { "active" } else { "inactive" };
                write!(f, "Changing weight from {from} to {to} for {word} service {real} of VS {service}")
            }
            Self::RealGone { real } => write!(f, "service {real} no longer exist"),
            Self::RemovingService { service } => write!(f, "Removing Virtual Server {service}"),
            Self::RemovingGroup { group } => write!(f, "Removing Virtual Server Group [{group}]"),
            Self::EntryGone { entry, group } => write!(f, "VS [{entry}] in group {group} no longer exists"),
            Self::EntryAdded { entry, group } => write!(f, "VS [{entry}] added into group {group}"),
            Self::Check(text) => f.write_str(text),
            Self::PingNotSent => write!(f, "send ICMP packet fail"),
            Self::Fifo { reason } => write!(f, "Unable to use lvs_ fifo: {reason}"),
            Self::MailConnected { server } => write!(f, "Remote SMTP server {server} connected."),
            Self::MailSent => write!(f, "SMTP alert successfully sent."),
            Self::MailFailed { server, reason } => mail_fault(f, server, reason),
            Self::ScriptNotStarted { script, reason } => {
                write!(f, "Error exec-ing command '{script}', error {reason}")
            }
            Self::SyncDaemonFault { reason } => write!(f, "IPVS sync daemon: {reason}"),
            Self::NoBus { reason } => write!(f, "The bus is not served: {reason}"),
            Self::AlreadyRunning => write!(f, "daemon is already running"),
            Self::Setting { what, reason } => write!(f, "{what}: {reason}"),
            Self::Timeouts { reason } => write!(f, "Failed to set ipvs timeouts: {reason}"),
            Self::PrintingData { pid } => write!(f, "Printing checker data for process({pid}) on signal"),
            Self::PrintingStats { pid } => write!(f, "Printing checker stats for process({pid}) on signal"),
            Self::ReloadRefused => {
                write!(f, "Configuration has errors, the running configuration stays in force")
            }
            Self::Stopped => write!(f, "Stopped"),
            Self::Reloading => write!(f, "Reloading"),
        }
    }
}

impl Message {
    /// What is said of a quorum.
    fn quorum(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gained { quorum: q, service } => {
                let sum = u64::from(q.quorum) + u64::from(q.hysteresis);
                write!(
                    f,
                    "Gained quorum {}+{}={sum} <= {} for VS {service}",
                    q.quorum, q.hysteresis, q.weight
                )
            }
            Self::Lost { quorum: q, service } => {
                let left = i64::from(q.quorum) - i64::from(q.hysteresis);
                write!(f, "Lost quorum {}-{}={left} > {} for VS {service}", q.quorum, q.hysteresis, q.weight)
            }
            Self::StartingDown { quorum: q, service } => {
                let left = i64::from(q.quorum) - i64::from(q.hysteresis);
                let (quorum, hysteresis, weight) = (q.quorum, q.hysteresis, q.weight);
                write!(
                    f,
                    "Starting with quorum down {quorum}-{hysteresis}={left} > {weight} for VS {service}"
                )
            }
            _ => Ok(()),
        }
    }

    /// Changes of a pool and of its checkers.
    fn pool(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Activating { real, service } => {
                write!(f, "Activating healthchecker for service {real} for VS {service}")
            }
            Self::Deactivating { real, service } => {
                write!(f, "Deactivating healthchecker for service {real} for VS {service}")
            }
            Self::Suspending { real, service } => {
                write!(f, "Suspending healthchecker for service {real} for VS {service}")
            }
            Self::Adding { real, service } => write!(f, "Adding service {real} to VS {service}"),
            Self::Removing { real, service } => write!(f, "Removing service {real} from VS {service}"),
            Self::Enabling { real, service } => write!(f, "Enabling service {real} of VS {service}"),
            Self::Disabling { real, service } => write!(f, "Disabling service {real} of VS {service}"),
            Self::ShuttingDown { real, service, inhibited } => {
                let inhibited = if *inhibited { "(inhibited) " } else { "" };
                write!(f, "Shutting down {inhibited}service {real} from VS {service}")
            }
            Self::AddingSorry { sorry, service, inhibited } => {
                let word = if *inhibited { "Enabling" } else { "Adding" };
                write!(f, "{word} sorry server {sorry} to VS {service}")
            }
            Self::RemovingSorry { sorry, service, inhibited } => {
                let word = if *inhibited { "Disabling" } else { "Removing" };
                write!(f, "{word} sorry server {sorry} from VS {service}")
            }
            Self::AddingAlive { service } => write!(f, "Adding alive servers to the pool for VS {service}"),
            Self::RemovingAlive { service } => {
                write!(f, "Removing alive servers from the pool for VS {service}")
            }
            _ => Ok(()),
        }
    }
}

fn mail_fault(f: &mut fmt::Formatter<'_>, server: &str, reason: &MailFault) -> fmt::Result {
    match reason {
        MailFault::ConnectTimeout => write!(f, "Timeout connecting SMTP server {server}."),
        MailFault::Connect => write!(f, "SMTP connection ERROR to {server}."),
        MailFault::ReadTimeout => write!(f, "Timeout reading data to remote SMTP server {server}."),
        MailFault::Closed => write!(f, "Remote SMTP server {server} has closed the connection."),
        MailFault::Refused { command, code } => {
            write!(f, "Error processing {command} cmd on SMTP server {server}. SMTP status code = {code}")
        }
    }
}

/// What the checker's texts need to know of it.
#[derive(Debug, Clone, Copy)]
pub struct CheckerNames<'a> {
    /// Kind.
    pub kind: &'a CheckerKind,
    /// Name of the real server.
    pub real: &'a str,
    /// Name of the service.
    pub service: &'a str,
    /// Where the checker connects to.
    pub to: SocketAddr,
    /// Its `retry`.
    pub retry: u32,
}

impl CheckerNames<'_> {
    /// The line of an event; `None` where keepalived says nothing.
    pub fn line(&self, event: &CheckEvent, outcome: &Outcome) -> Option<Message> {
        let text = match event {
            CheckEvent::Success => self.success()?,
            CheckEvent::UrlSuccess { path, what } => {
                let what = match what {
                    UrlTest::Status => "HTTP status code",
                    UrlTest::Digest => "MD5 digest",
                    UrlTest::Regex => "Regex match",
                };
                format!("{what} success to {} url({path})", self.real)
            }
            CheckEvent::Short { path, what } => {
                format!("http_check for RS {} VS {} url {path}: {what}", self.real, self.service)
            }
            CheckEvent::Failure { retry } => self.failure(*retry, outcome)?,
            CheckEvent::Down { retries, first } => self.down(*retries, *first, outcome)?,
        };
        Some(Message::Check(text))
    }

    fn success(&self) -> Option<String> {
        let real = self.real;
        Some(match self.kind {
            CheckerKind::Tcp => format!("TCP connection to {real} success."),
            CheckerKind::Http(_) => format!("Remote Web server {real} succeed on service."),
            CheckerKind::Smtp { .. } => format!("Remote SMTP server {real} succeed on service."),
            CheckerKind::Misc { script, .. } => {
                let program = script.argv.first().map_or("", String::as_str);
                format!("Misc check for [{real} VS {}] by [{program}] succeeded.", self.service)
            }
            CheckerKind::Udp(_) => format!("UDP connection to {real} success."),
            CheckerKind::Ping => format!("ICMP connection to {real} success."),
            CheckerKind::Dns { .. } | CheckerKind::File { .. } | CheckerKind::Bfd { .. } => return None,
        })
    }

    /// The line of one failed probe.
    fn failure(&self, retry: Option<(u32, u32)>, outcome: &Outcome) -> Option<String> {
        let real = self.real;
        let timeout = matches!(outcome.cause, Cause::ConnectTimeout | Cause::ReplyTimeout);
        Some(match self.kind {
            CheckerKind::Tcp if timeout => format!("TCP connection to {real} timeout."),
            CheckerKind::Tcp => format!("TCP connection to {real} failed."),
            CheckerKind::Http(get) => format!("{} server {real}.", http_fault(outcome, get.tls)),
            CheckerKind::Smtp { .. } => self.mail(outcome),
            CheckerKind::Dns { .. } => self.dns(outcome),
            CheckerKind::Misc { .. } => self.misc(retry, outcome),
            CheckerKind::Udp(_) if outcome.cause == Cause::Mismatch => {
                format!("UDP check to {real} reply data mismatch.")
            }
            // A packet that could not even be sent gets no line of its own.
            CheckerKind::Udp(_) if unreachable(outcome) => return None,
            CheckerKind::Udp(_) => format!("UDP connection to {real} failed."),
            CheckerKind::Ping if timeout => format!("ICMP connection to address {real} timeout."),
            CheckerKind::Ping => format!("ICMP connection to {real} of {} failed.", self.service),
            CheckerKind::File { .. } | CheckerKind::Bfd { .. } => return None,
        })
    }

    fn down(&self, retries: u32, first: bool, outcome: &Outcome) -> Option<String> {
        let real = self.real;
        let after = |count: u32| {
            if count == 0 { "failed.".to_owned() } else { format!("failed after {count} retries.") }
        };
        Some(match self.kind {
            CheckerKind::Tcp => format!("TCP_CHECK on service {real} {}", after(retries)),
            CheckerKind::Udp(_) => format!("UDP_CHECK on service {real} {}", after(retries)),
            CheckerKind::Http(_) => format!("HTTP_CHECK on service {real} {}", after(self.retry)),
            CheckerKind::Smtp { .. } => self.mail(outcome),
            CheckerKind::Dns { .. } if !first => {
                format!("{} after {retries} retries", self.dns(outcome))
            }
            CheckerKind::Dns { .. } => self.dns(outcome),
            CheckerKind::Misc { .. } if self.retry == 0 => self.misc_with(" with retry disabled", outcome),
            CheckerKind::Misc { .. } => {
                self.misc_with(&format!(" after {} {}", self.retry, retry_word(self.retry)), outcome)
            }
            CheckerKind::Ping if retries > 0 => {
                format!("ICMP CHECK on service {real} of {} failed after {retries} retries.", self.service)
            }
            CheckerKind::Ping => format!("ICMP CHECK on service {real} failed."),
            CheckerKind::File { .. } | CheckerKind::Bfd { .. } => return None,
        })
    }

    fn mail(&self, outcome: &Outcome) -> String {
        let server = format!("[{}]:{}", self.to.ip(), self.to.port());
        match &outcome.cause {
            Cause::Protocol(text) => format!("SMTP_CHECK {text} from server {server}"),
            Cause::Connect(_) if unreachable(outcome) => {
                format!("SMTP_CHECK Network unreachable for server {} - real server {server}", self.to.ip())
            }
            Cause::Connect(_) => format!("SMTP_CHECK Could not connect to server {server}"),
            Cause::ConnectTimeout => format!("SMTP_CHECK Connection timeout to server {server}"),
            Cause::ReplyTimeout => format!("SMTP_CHECK Read timeout from server {server}"),
            _ => format!("SMTP_CHECK Read failure from server {server}"),
        }
    }

    fn dns(&self, outcome: &Outcome) -> String {
        let text = match &outcome.cause {
            Cause::Dns(text) => text.clone(),
            Cause::Connect(_) if unreachable(outcome) => {
                format!("network unreachable for [{}]:{}", self.to.ip(), self.to.port())
            }
            Cause::Connect(_) => "connection error.".to_owned(),
            _ => "read error occurred.".to_owned(),
        };
        format!("DNS_CHECK ({}) {text}", self.real)
    }

    fn misc(&self, retry: Option<(u32, u32)>, outcome: &Outcome) -> String {
        let suffix = match retry {
            Some((0, all)) => format!(", will do {all} {}", retry_word(all)),
            Some((n, all)) => format!(" on retry {n}/{all}"),
            None => String::new(),
        };
        self.misc_with(&suffix, outcome)
    }

    fn misc_with(&self, suffix: &str, outcome: &Outcome) -> String {
        let CheckerKind::Misc { script, .. } = self.kind else { return String::new() };
        let program = script.argv.first().map_or("", String::as_str);
        let head = format!("Misc check for [{} VS {}] by [{program}]", self.real, self.service);
        match &outcome.cause {
            Cause::ProcessTimeout => format!("{head} timed out{suffix}."),
            Cause::Signal(n) => format!("{head} failed{suffix} (due to signal {n})."),
            Cause::Exit(n) => format!("{head} failed{suffix} (exited with status {n})."),
            _ => format!("{head} failed{suffix}."),
        }
    }

    /// Body of the mail about a checker's change.
    pub fn mail_body(&self, up: bool, outcome: &Outcome) -> String {
        let server = format!("[{}]:{}", self.to.ip(), self.to.port());
        match (self.kind, up) {
            (CheckerKind::Tcp, true) => "=> TCP CHECK succeed on service <=".to_owned(),
            (CheckerKind::Tcp, false) => "=> TCP CHECK failed on service <=".to_owned(),
            (CheckerKind::Http(_) | CheckerKind::Smtp { .. }, true) => {
                "=> CHECK succeed on service <=".to_owned()
            }
            (CheckerKind::Http(_), false) => "=> CHECK failed on service : HTTP request failed <=".to_owned(),
            (CheckerKind::Smtp { .. }, false) => {
                let what = self.mail(outcome);
                let what = what.strip_prefix("SMTP_CHECK ").unwrap_or(&what);
                let what =
                    what.strip_suffix(&server).map_or_else(|| what.to_owned(), |w| format!("{w}{server}"));
                format!("=> CHECK failed on service : {what} <=")
            }
            (CheckerKind::Misc { .. }, true) => "=> MISC CHECK succeeded on service <=".to_owned(),
            (CheckerKind::Misc { .. }, false) => {
                let word = if outcome.status == Status::ProcessTimeout { "timed out" } else { "failed" };
                format!("=> MISC CHECK {word} on service <=")
            }
            (CheckerKind::Udp(_), true) => "=> UDP CHECK succeed on service <=".to_owned(),
            (CheckerKind::Udp(_), false) => "=> UDP CHECK failed on service <=".to_owned(),
            (CheckerKind::Ping, true) => "=> ICMP CHECK succeed on service <=".to_owned(),
            (CheckerKind::Ping, false) => "=> ICMP CHECK failed on service <=".to_owned(),
            (CheckerKind::Dns { .. }, true) => "=> DNS_CHECK: succeed on service <=".to_owned(),
            (CheckerKind::Dns { .. }, false) => "=> DNS_CHECK: failed on service <=".to_owned(),
            (CheckerKind::File { .. }, _) => "=> FILE CHECK changed on service <=".to_owned(),
            (CheckerKind::Bfd { .. }, up) => {
                format!("=> BFD CHECK {} <=", if up { "up" } else { "down" })
            }
        }
    }
}

/// Whether the network said so at once.
fn unreachable(outcome: &Outcome) -> bool {
    matches!(&outcome.cause, Cause::Connect(t) if t.contains("unreachable") || t.contains("No route to host"))
}

fn retry_word(count: u32) -> &'static str {
    if count == 1 { "retry" } else { "retries" }
}

fn http_fault(outcome: &Outcome, tls: bool) -> &'static str {
    match &outcome.cause {
        Cause::HttpStatus(_) => "HTTP status code error to",
        Cause::Digest(_) => "MD5 digest error to",
        Cause::Regex => "Regex match failed",
        Cause::Connect(_) if unreachable(outcome) => "HTTP_CHECK - network unreachable",
        Cause::Connect(text) if text.contains("refused") => "Connection failed",
        Cause::Connect(_) => "Error connecting",
        Cause::ConnectTimeout => "Timeout connecting",
        Cause::ReplyTimeout => "Timeout WEB read",
        Cause::Tls(_) => "SSL handshake/communication error connecting to",
        Cause::Io(_) if tls => "SSL read error from",
        Cause::Io(_) => "Read error with",
        _ => "Read, no data received from ",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let v6 = "[2001:db8::1]:443".parse().expect("address");
        assert_eq!(address_name(v6, Protocol::Tcp), "[2001:db8::1]:tcp:443");
    }

    #[test]
    fn quorum_lines_are_keepaliveds() {
        let quorum = Quorum { quorum: 3, hysteresis: 1, weight: 6 };
        let gained = Message::Gained { quorum, service: "[10.9.9.1]:tcp:80".into() };
        assert_eq!(gained.to_string(), "Gained quorum 3+1=4 <= 6 for VS [10.9.9.1]:tcp:80");
        let quorum = Quorum { weight: 0, ..quorum };
        let lost = Message::Lost { quorum, service: "FWM 5".into() };
        assert_eq!(lost.to_string(), "Lost quorum 3-1=2 > 0 for VS FWM 5");
    }

    #[test]
    fn checker_lines_are_keepaliveds() {
        let script = crate::config::model::Script {
            argv: vec!["/usr/bin/python3".into(), "/tmp/m.py".into()],
            text: String::new(),
            uid: 0,
            gid: 0,
        };
        let misc = CheckerKind::Misc { script, timeout: None, dynamic: false };
        let names = CheckerNames {
            kind: &misc,
            real: "[10.1.0.3]:tcp:25",
            service: "[10.9.9.2]:tcp:25",
            to: "10.1.0.3:25".parse().expect("address"),
            retry: 2,
        };
        let exit = Outcome::new(Status::ProcessError, Cause::Exit(3));
        let line =
            |event, outcome: &Outcome| names.line(&event, outcome).map(|m| m.to_string()).unwrap_or_default();
        assert_eq!(
            line(CheckEvent::Down { retries: 2, first: false }, &exit),
            "Misc check for [[10.1.0.3]:tcp:25 VS [10.9.9.2]:tcp:25] by [/usr/bin/python3] failed after 2 retries (exited with status 3)."
        );
        let late = Outcome::new(Status::ProcessTimeout, Cause::ProcessTimeout);
        assert!(
            line(CheckEvent::Failure { retry: Some((0, 2)) }, &late)
                .ends_with("timed out, will do 2 retries.")
        );
        assert!(
            line(CheckEvent::Failure { retry: Some((1, 2)) }, &late).ends_with("timed out on retry 1/2.")
        );
        let names = CheckerNames { kind: &CheckerKind::Tcp, ..names };
        let refused = Outcome::new(Status::L4Connection, Cause::Connect("Connection refused".into()));
        let line = |event| names.line(&event, &refused).map(|m| m.to_string()).unwrap_or_default();
        assert_eq!(
            line(CheckEvent::Down { retries: 0, first: true }),
            "TCP_CHECK on service [10.1.0.3]:tcp:25 failed."
        );
        assert_eq!(
            line(CheckEvent::Down { retries: 2, first: false }),
            "TCP_CHECK on service [10.1.0.3]:tcp:25 failed after 2 retries."
        );
    }
}
