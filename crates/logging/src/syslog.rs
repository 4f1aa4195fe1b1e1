//! Heads of log lines: RFC 3164, RFC 5424 and haproxy's shorter forms (manual: `log`, parameter `format`).
//!
//! Invariant: a head is a pure function of its fields and the moment; [`Header`] only caches the part that
//! changes once a second.
//!
//! Absent on purpose: RFC 5424 structured data beyond one string that the caller renders, and any escaping of
//! the message, which the oracles don't do either.

use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};
use sys::clock::{LocalTime, local};

/// Severity, RFC 5424 table 2. Smaller is worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Severity {
    /// System is unusable.
    Emerg,
    /// Action must be taken.
    Alert,
    /// Critical.
    Crit,
    /// Error.
    Err,
    /// Warning.
    Warning,
    /// Normal but significant.
    Notice,
    /// Informational.
    Info,
    /// Debug.
    Debug,
}

/// Names as both oracles spell them, by value.
pub const SEVERITIES: [(&str, Severity); 8] = [
    ("emerg", Severity::Emerg),
    ("alert", Severity::Alert),
    ("crit", Severity::Crit),
    ("err", Severity::Err),
    ("warning", Severity::Warning),
    ("notice", Severity::Notice),
    ("info", Severity::Info),
    ("debug", Severity::Debug),
];

impl Severity {
    /// The severity of this name.
    pub fn named(name: &str) -> Option<Self> {
        SEVERITIES.iter().find(|(n, _)| *n == name).map(|(_, s)| *s)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        SEVERITIES[self as usize].0
    }
}

/// Facility, RFC 5424 table 1; the value is the code, 0 to 23.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Facility(pub u8);

/// Names as haproxy spells them, by code.
pub const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "auth2", "ftp", "ntp",
    "audit", "alert", "cron2", "local0", "local1", "local2", "local3", "local4", "local5", "local6",
    "local7",
];

impl Facility {
    /// User programs.
    pub const USER: Self = Self(1);
    /// Daemons; keepalived's default.
    pub const DAEMON: Self = Self(3);
    /// The first local one; haproxy's in nearly every example.
    pub const LOCAL0: Self = Self(16);

    /// The facility of this name.
    pub fn named(name: &str) -> Option<Self> {
        FACILITIES.iter().position(|n| *n == name).map(|code| Self(code as u8))
    }

    /// Its name; `?` for a code above 23.
    pub fn name(self) -> &'static str {
        FACILITIES.get(usize::from(self.0)).copied().unwrap_or("?")
    }
}

/// What stands before the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// `<PRI>Mon DD hh:mm:ss tag[pid]: `; libc's syslog() and haproxy's default.
    #[default]
    Local,
    /// The same with the host name before the tag.
    Rfc3164,
    /// `<PRI>1 2026-11-21T03:49:51.476793+00:00 host tag pid - - `.
    Rfc5424,
    /// `<PRI>`.
    Priority,
    /// `<severity>`.
    Short,
    /// `<severity>` and the ISO date.
    Timed,
    /// The ISO date.
    Iso,
    /// Nothing.
    Raw,
}

/// Names in the order in which haproxy lists them.
pub const FORMATS: [(&str, Format); 8] = [
    ("local", Format::Local),
    ("rfc3164", Format::Rfc3164),
    ("rfc5424", Format::Rfc5424),
    ("priority", Format::Priority),
    ("short", Format::Short),
    ("timed", Format::Timed),
    ("iso", Format::Iso),
    ("raw", Format::Raw),
];

impl Format {
    /// The format of this name.
    pub fn named(name: &str) -> Option<Self> {
        FORMATS.iter().find(|(n, _)| *n == name).map(|(_, f)| *f)
    }
}

/// Who speaks, and the renderer of heads. Keep one per thread: it caches the text of the current second.
#[derive(Debug, Clone)]
pub struct Header {
    /// Form of the head.
    pub format: Format,
    /// Facility.
    pub facility: Facility,
    /// Program name (`haproxy`, `Keepalived_vrrp`).
    pub tag: Vec<u8>,
    /// Pid in brackets; `None` leaves the brackets out.
    pub pid: Option<u32>,
    /// Host name of RFC 3164 and 5424.
    pub host: Vec<u8>,
    /// RFC 5424 structured data as rendered text; empty means `-`.
    pub structured: Vec<u8>,
    second: u64,
    local: Option<LocalTime>,
}

impl Header {
    /// A renderer without host name.
    pub fn new(format: Format, facility: Facility, tag: impl Into<Vec<u8>>, pid: u32) -> Self {
        Self {
            format,
            facility,
            tag: tag.into(),
            pid: Some(pid),
            host: Vec::new(),
            structured: Vec::new(),
            second: u64::MAX,
            local: None,
        }
    }

    /// Sets the host name.
    #[must_use]
    pub fn host(mut self, host: impl Into<Vec<u8>>) -> Self {
        self.host = host.into();
        self
    }

    /// Appends the head of a line said at `at`.
    pub fn render(&mut self, at: SystemTime, severity: Severity, out: &mut Vec<u8>) {
        let pri = u32::from(self.facility.0) * 8 + severity as u32;
        match self.format {
            Format::Raw => {}
            Format::Priority => put(out, format_args!("<{pri}>")),
            Format::Short => put(out, format_args!("<{}>", severity as u8)),
            Format::Timed => {
                put(out, format_args!("<{}>", severity as u8));
                iso(&self.at(at), out);
                out.push(b' ');
            }
            Format::Iso => {
                iso(&self.at(at), out);
                out.push(b' ');
            }
            Format::Local | Format::Rfc3164 => {
                let t = self.at(at);
                put(out, format_args!("<{pri}>{} {:2} ", t.month_name(), t.day));
                put(out, format_args!("{:02}:{:02}:{:02} ", t.hour, t.minute, t.second));
                if self.format == Format::Rfc3164 && !self.host.is_empty() {
                    out.extend_from_slice(&self.host);
                    out.push(b' ');
                }
                out.extend_from_slice(&self.tag);
                if let Some(pid) = self.pid {
                    put(out, format_args!("[{pid}]"));
                }
                out.extend_from_slice(b": ");
            }
            Format::Rfc5424 => {
                put(out, format_args!("<{pri}>1 "));
                iso(&self.at(at), out);
                out.push(b' ');
                word(&self.host, out);
                word(&self.tag, out);
                match self.pid {
                    Some(pid) => put(out, format_args!("{pid} - ")),
                    None => out.extend_from_slice(b"- - "),
                }
                word(&self.structured, out);
            }
        }
    }

    fn at(&mut self, at: SystemTime) -> LocalTime {
        let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut t = match self.local {
            Some(t) if self.second == since.as_secs() => t,
            _ => local(at),
        };
        t.micros = since.subsec_micros();
        self.second = since.as_secs();
        self.local = Some(t);
        t
    }
}

/// `2026-11-21T03:49:51.476793+00:00`, the date of RFC 5424.
pub fn iso(t: &LocalTime, out: &mut Vec<u8>) {
    let minutes = t.offset_s.abs() / 60;
    let sign = if t.offset_s < 0 { '-' } else { '+' };
    put(out, format_args!("{:04}-{:02}-{:02}T", t.year, t.month, t.day));
    put(out, format_args!("{:02}:{:02}:{:02}.{:06}", t.hour, t.minute, t.second, t.micros));
    put(out, format_args!("{sign}{:02}:{:02}", minutes / 60, minutes % 60));
}

/// `Sat Nov 21 03:49:48 2026`, ctime's form, used on keepalived's console.
pub fn ctime(t: &LocalTime, out: &mut Vec<u8>) {
    put(out, format_args!("{} {} {:2} ", t.day_name(), t.month_name(), t.day));
    put(out, format_args!("{:02}:{:02}:{:02} {}", t.hour, t.minute, t.second, t.year));
}

fn put(out: &mut Vec<u8>, args: std::fmt::Arguments<'_>) {
    // Writing to a Vec has no way to fail.
    let _ = out.write_fmt(args);
}

fn word(text: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(if text.is_empty() { b"-" } else { text });
    out.push(b' ');
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn head(format: Format) -> String {
        let at = UNIX_EPOCH + Duration::from_micros(1_795_232_991_476_793);
        let mut header = Header::new(format, Facility::LOCAL0, "haproxy", 19390).host("hosty");
        // Fix the zone: what is tested is the form.
        let mut out = Vec::new();
        header.second = 1_795_232_991;
        header.local = Some(LocalTime {
            year: 2026,
            month: 11,
            day: 1,
            hour: 3,
            minute: 49,
            second: 51,
            weekday: 0,
            micros: 0,
            offset_s: -12600,
        });
        header.render(at, Severity::Info, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn heads_are_those_of_the_oracle() {
        assert_eq!(head(Format::Local), "<134>Nov  1 03:49:51 haproxy[19390]: ");
        assert_eq!(head(Format::Rfc3164), "<134>Nov  1 03:49:51 hosty haproxy[19390]: ");
        let iso = "2026-11-01T03:49:51.476793-03:30";
        assert_eq!(head(Format::Rfc5424), format!("<134>1 {iso} hosty haproxy 19390 - - "));
        assert_eq!(head(Format::Priority), "<134>");
        assert_eq!(head(Format::Short), "<6>");
        assert_eq!(head(Format::Timed), format!("<6>{iso} "));
        assert_eq!(head(Format::Iso), format!("{iso} "));
        assert_eq!(head(Format::Raw), "");
    }

    #[test]
    fn a_new_second_is_not_served_from_the_cache() {
        let mut header = Header::new(Format::Iso, Facility::USER, "t", 1);
        let (mut a, mut b) = (Vec::new(), Vec::new());
        let at = UNIX_EPOCH + Duration::from_secs(1_795_232_991);
        header.render(at, Severity::Info, &mut a);
        header.render(at + Duration::from_millis(1500), Severity::Info, &mut b);
        assert_eq!((&a[17..20], &b[17..20]), (&b"51."[..], &b"52."[..]));
        assert_eq!(&b[20..26], b"500000");
    }

    #[test]
    fn names_are_found_both_ways() {
        assert_eq!(Facility::named("local7"), Some(Facility(23)));
        assert_eq!(Facility(23).name(), "local7");
        assert_eq!(Severity::named("notice").map(|s| (s, s.name())), Some((Severity::Notice, "notice")));
        assert_eq!((Facility::named("x"), Severity::named("x"), Format::named("x")), (None, None, None));
    }
}
