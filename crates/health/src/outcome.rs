//! What one probe found, as data: haproxy's status codes with their names and descriptions, the cause in terms
//! keepalived's messages need, and what an agent or script asked for.
//!
//! Invariant: an [`Outcome`] says what was seen and nothing about what follows from it; rise and fall, weights and
//! log lines belong to the owner of the server (`judge.rs` helps with that).
//!
//! Absent on purpose: clocks (the shell measures the duration) and texts of whole log lines.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Longest [`Outcome::description`]: what haproxy keeps of it for its log and stats page.
pub const DESCRIPTION_MAX: usize = 127;

/// Whether a status speaks for or against the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Verdict {
    /// Says nothing.
    Unknown,
    /// The check failed.
    Failed,
    /// The check passed.
    Passed,
    /// Passed, but new work is not wanted (`disable-on-404`).
    Conditional,
}

/// One line a status: variant, short name, long name, verdict; the order is haproxy's.
macro_rules! statuses {
    ($( $variant:ident $name:literal $text:literal $verdict:ident; )*) => {
        /// Status of a check, in haproxy's terms (management manual, "check_status").
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum Status {
            $( #[doc = $text] $variant, )*
        }

        impl Status {
            /// All statuses in haproxy's order.
            pub const ALL: &'static [Self] = &[$( Self::$variant, )*];

            /// Short name (`L4OK`).
            pub fn name(self) -> &'static str {
                match self { $( Self::$variant => $name, )* }
            }

            /// Long name (`Layer4 check passed`).
            pub fn text(self) -> &'static str {
                match self { $( Self::$variant => $text, )* }
            }

            /// What it means for the server.
            pub fn verdict(self) -> Verdict {
                match self { $( Self::$variant => Verdict::$verdict, )* }
            }
        }
    };
}

statuses! {
    Unknown "UNK" "Unknown" Unknown;
    Initializing "INI" "Initializing" Unknown;
    Checked "CHECKED" "No status change" Unknown;
    Analysis "HANA" "Health analyze" Failed;
    SocketError "SOCKERR" "Socket error" Failed;
    L4Ok "L4OK" "Layer4 check passed" Passed;
    L4Timeout "L4TOUT" "Layer4 timeout" Failed;
    L4Connection "L4CON" "Layer4 connection problem" Failed;
    L6Ok "L6OK" "Layer6 check passed" Passed;
    L6Timeout "L6TOUT" "Layer6 timeout" Failed;
    L6Response "L6RSP" "Layer6 invalid response" Failed;
    L7Timeout "L7TOUT" "Layer7 timeout" Failed;
    L7Response "L7RSP" "Layer7 invalid response" Failed;
    L7Ok "L7OK" "Layer7 check passed" Passed;
    L7OkConditional "L7OKC" "Layer7 check conditionally passed" Conditional;
    L7Status "L7STS" "Layer7 wrong status" Failed;
    ProcessError "PROCERR" "External check error" Failed;
    ProcessTimeout "PROCTOUT" "External check timeout" Failed;
    ProcessOk "PROCOK" "External check passed" Passed;
}

impl Status {
    /// The status of a short name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|s| s.name() == name)
    }

    /// Whether haproxy prints a code with it (layer 7 and processes, timeouts apart).
    pub fn has_code(self) -> bool {
        match self {
            Self::L7Response | Self::L7Timeout | Self::ProcessTimeout => false,
            Self::L7Ok | Self::L7OkConditional | Self::L7Status | Self::ProcessError | Self::ProcessOk => {
                true
            }
            Self::Unknown | Self::Initializing | Self::Checked | Self::Analysis => false,
            Self::SocketError | Self::L4Ok => false,
            Self::L4Timeout | Self::L4Connection | Self::L6Ok | Self::L6Timeout | Self::L6Response => false,
        }
    }
}

/// The largest error number of Linux.
const ERRNO_MAX: i32 = 133;

/// Why a check ended as it did, finer than [`Status`]; keepalived words its messages by it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cause {
    /// All was well.
    #[default]
    Success,
    /// The connection was refused or could not be made; the text is the system's.
    Connect(String),
    /// No connection in time.
    ConnectTimeout,
    /// Connected, but no (whole) reply in time.
    ReplyTimeout,
    /// The connection broke while reading or writing.
    Io(String),
    /// TLS failed.
    Tls(String),
    /// The status code is not among the wanted ones.
    HttpStatus(u16),
    /// The reply is not what the protocol wants.
    Protocol(String),
    /// The MD5 of the body differs; this is the one found.
    Digest([u8; 16]),
    /// The regular expression did not match (or matched with `regex_no_match`).
    Regex,
    /// A DNS reply with this rcode, or one that does not answer.
    Dns(String),
    /// A datagram of another length or content.
    Mismatch,
    /// A program ended with this status.
    Exit(i32),
    /// A program was ended by this signal.
    Signal(i32),
    /// A program did not end in time.
    ProcessTimeout,
    /// A file had a value that fails the check.
    File(i64),
}

/// What the server itself asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wish {
    /// Agent: percentage of the configured weight. Scripts and files: see [`Wish::absolute_weight`].
    pub weight_percent: Option<u32>,
    /// MISC_CHECK with `misc_dynamic` (exit status − 2) and FILE_CHECK: a weight, or an addend for files.
    pub absolute_weight: Option<i64>,
    /// Agent: `maxconn:N`.
    pub max_connections: Option<u32>,
    /// Agent: `ready`, `drain`, `maint`.
    pub admin: Option<AdminWish>,
    /// Agent: `up`, `down`, `stopped`, `fail`.
    pub operation: Option<OperationWish>,
}

/// Administrative words of an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum AdminWish {
    /// Ends `drain` and `maint`.
    Ready,
    /// No new connections.
    Drain,
    /// Maintenance.
    Maint,
}

/// Operational words of an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum OperationWish {
    /// `up`.
    Up,
    /// `down`.
    Down,
    /// `stopped`.
    Stopped,
    /// `fail`, `failed`.
    Failed,
}

/// The result of one probe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// haproxy's status.
    pub status: Status,
    /// HTTP status, exit code or protocol error code; printed where [`Status::has_code`].
    pub code: i64,
    /// What the log prints as `info`; empty = nothing. Bytes of a reply are taken as Latin-1, control characters
    /// included: whoever shows it escapes them or takes [`Outcome::shown`].
    pub description: String,
    /// The cause.
    pub cause: Cause,
    /// Wishes of an agent or script.
    #[serde(default)]
    pub wish: Wish,
    /// From the start of the probe to its end; filled in by the shell.
    pub duration: Duration,
}

impl Outcome {
    /// An outcome without code, description and wish.
    pub fn new(status: Status, cause: Cause) -> Self {
        Self {
            status,
            code: 0,
            description: String::new(),
            cause,
            wish: Wish::default(),
            duration: Duration::ZERO,
        }
    }

    /// A success.
    pub fn passed(status: Status) -> Self {
        Self::new(status, Cause::Success)
    }

    /// Sets the description, cut at [`DESCRIPTION_MAX`].
    #[must_use]
    pub fn described(mut self, text: impl AsRef<str>) -> Self {
        self.description = text.as_ref().chars().take(DESCRIPTION_MAX).collect();
        self
    }

    /// The description without control characters, for tables.
    pub fn shown(&self) -> String {
        self.description.trim_end().chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
    }

    /// Sets the code.
    #[must_use]
    pub fn coded(mut self, code: i64) -> Self {
        self.code = code;
        self
    }

    /// Whether the check passed, conditionally or not.
    pub fn is_success(&self) -> bool {
        matches!(self.status.verdict(), Verdict::Passed | Verdict::Conditional)
    }
}

/// The text the C library has for an operating system error, as haproxy and keepalived print it (`Connection
/// refused`); Rust's addition of the number is dropped.
pub fn error_text(error: &std::io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

/// The number behind an [`error_text`], where the system has such an error.
pub fn error_number(text: &str) -> Option<i32> {
    (1..=ERRNO_MAX).find(|n| error_text(&std::io::Error::from_raw_os_error(*n)) == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_found_again() {
        for status in Status::ALL {
            assert_eq!(Status::by_name(status.name()), Some(*status));
        }
    }

    #[test]
    fn descriptions_are_bounded_and_shown_without_control_characters() {
        let long = format!("a\r\nb{}", "x".repeat(2 * DESCRIPTION_MAX));
        let outcome = Outcome::passed(Status::L7Ok).described(long);
        assert_eq!(outcome.description.len(), DESCRIPTION_MAX);
        assert!(outcome.shown().starts_with("a  b"));
    }

    #[test]
    fn system_errors_read_as_in_c() {
        assert_eq!(error_text(&std::io::Error::from_raw_os_error(111)), "Connection refused");
        assert_eq!(error_number("Connection refused"), Some(111));
        assert_eq!(error_number("no such text"), None);
    }

    #[test]
    fn wire_form_survives() {
        let mut o = Outcome::new(Status::L7Status, Cause::HttpStatus(503)).coded(503).described("busy");
        o.wish.weight_percent = Some(50);
        let text = serde_json::to_string(&o).expect("serialises");
        assert_eq!(serde_json::from_str::<Outcome>(&text).expect("parses"), o);
    }
}
