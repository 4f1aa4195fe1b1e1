//! `log-forward` sections: syslog messages of others, taken over UDP and TCP and passed on to log targets
//! (manual, 3.10).
//!
//! Invariant: a message keeps its priority, and its form where a target names none.
//!
//! Absent on purpose: sockets (`ears.rs`), and where targets lead (`send.rs`).

use super::Target;
use crate::config::model::Bind;
use logging::syslog::{Format, Severity};
use std::io::Write;
use std::time::{Duration, SystemTime};
use sys::clock::{LocalTime, local};

/// Longest message; a sender of longer ones is not heard.
pub(super) const MESSAGE_MAX: usize = 65_535;

/// A section.
#[derive(Debug, Clone, Default)]
pub struct LogForward {
    /// The name.
    pub name: String,
    /// `dgram-bind`.
    pub datagrams: Vec<Bind>,
    /// `bind`.
    pub streams: Vec<Bind>,
    /// `log`.
    pub logs: Vec<Target>,
    /// `timeout client`.
    pub timeout_client: Option<Duration>,
    /// `maxconn`.
    pub maxconn: usize,
    /// `backlog`.
    pub backlog: Option<u32>,
}

/// The next message of a stream (RFC 6587).
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame<'b> {
    /// A message and the bytes that it took.
    Whole { message: &'b [u8], len: usize },
    /// More bytes are needed.
    Part,
    /// No frame at all.
    Bad,
}

/// What stands at the start.
pub(super) fn frame(bytes: &[u8]) -> Frame<'_> {
    match bytes.first() {
        None => Frame::Part,
        // Up to the end of the line.
        Some(b'<') => match bytes.iter().position(|b| *b == b'\n') {
            Some(at) => {
                Frame::Whole { message: bytes[..at].strip_suffix(b"\r").unwrap_or(&bytes[..at]), len: at + 1 }
            }
            None if bytes.len() > MESSAGE_MAX => Frame::Bad,
            None => Frame::Part,
        },
        // As many bytes as announced.
        Some(b'1'..=b'9') => {
            let digits = bytes.iter().take_while(|b| b.is_ascii_digit()).count();
            let size = std::str::from_utf8(&bytes[..digits]).ok().and_then(|d| d.parse::<usize>().ok());
            let Some(size) = size.filter(|n| *n <= MESSAGE_MAX) else { return Frame::Bad };
            match bytes.get(digits) {
                None => Frame::Part,
                Some(b' ') => match bytes.get(digits + 1..digits + 1 + size) {
                    Some(message) => Frame::Whole { message, len: digits + 1 + size },
                    None => Frame::Part,
                },
                Some(_) => Frame::Bad,
            }
        }
        Some(_) => Frame::Bad,
    }
}

/// When a message was said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said<'b> {
    /// It does not tell.
    Untold,
    /// It tells that it does not know.
    Nil,
    /// `Oct 11 22:14:15`.
    Short(&'b [u8]),
    /// `2003-10-11T22:14:15.003Z`.
    Long(&'b [u8]),
}

/// A message in its parts; what is not there is empty.
#[derive(Debug)]
pub struct Message<'b> {
    priority: Option<u32>,
    said: Said<'b>,
    host: &'b [u8],
    tag: &'b [u8],
    pid: &'b [u8],
    id: &'b [u8],
    structured: &'b [u8],
    text: &'b [u8],
}

/// Bytes of `Oct 11 22:14:15`.
const SHORT_DATE: usize = 15;
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// The next word, without the blank behind it; `None` where no blank is.
fn word<'b>(rest: &mut &'b [u8]) -> Option<&'b [u8]> {
    let at = rest.iter().position(|b| *b == b' ')?;
    let found = &rest[..at];
    *rest = &rest[at + 1..];
    Some(found)
}

impl<'b> Message<'b> {
    /// Takes a message apart.
    pub fn read(bytes: &'b [u8]) -> Self {
        let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        let mut message = Message {
            priority: None,
            said: Said::Untold,
            host: b"",
            tag: b"",
            pid: b"",
            id: b"",
            structured: b"",
            text: bytes,
        };
        let Some((priority, rest)) = priority(bytes) else { return message };
        (message.priority, message.text) = (Some(priority), rest);
        if let Some(rest) = rest.strip_prefix(b"1 ") {
            message.modern(rest);
        } else if is_short_date(rest) {
            message.classic(rest);
        }
        message
    }

    /// RFC 5424 behind its version.
    fn modern(&mut self, mut rest: &'b [u8]) -> Option<()> {
        let told = |w: &'b [u8]| if w == b"-" { &b""[..] } else { w };
        let said = word(&mut rest)?;
        let parts = [word(&mut rest)?, word(&mut rest)?, word(&mut rest)?, word(&mut rest)?];
        let structured = match rest.first() {
            Some(b'[') => structured(&mut rest)?,
            _ => told(word(&mut rest)?),
        };
        self.said = if said == b"-" { Said::Nil } else { Said::Long(said) };
        [self.host, self.tag, self.pid, self.id] = parts.map(told);
        (self.structured, self.text) = (structured, rest);
        Some(())
    }

    /// RFC 3164 behind its priority: date, host, and a tag where a word looks like one. A date
    /// without a host is text.
    fn classic(&mut self, all: &'b [u8]) -> Option<()> {
        let mut rest = &all[SHORT_DATE + 1..];
        self.host = word(&mut rest)?;
        self.said = Said::Short(&all[..SHORT_DATE]);
        let mut behind = rest;
        if let Some(name) = word(&mut behind).and_then(|w| w.strip_suffix(b":")) {
            let open = name.iter().position(|b| *b == b'[');
            match (open, name.strip_suffix(b"]")) {
                (Some(at), Some(inner)) => (self.tag, self.pid) = (&name[..at], &inner[at + 1..]),
                _ => self.tag = name,
            }
            rest = behind;
        }
        self.text = rest;
        Some(())
    }

    /// The severity, the worst where there is none.
    pub fn severity(&self) -> u8 {
        (self.priority.unwrap_or(0) & 7) as u8
    }

    /// The form it came in.
    pub fn form(&self) -> Format {
        match (self.said, self.priority) {
            (Said::Short(_), _) => Format::Rfc3164,
            (Said::Long(_), _) => Format::Rfc5424,
            (_, Some(_)) => Format::Priority,
            (_, None) => Format::Raw,
        }
    }

    /// Appends it in a form. `facility` is told where it has none, `severity` in place of its own.
    pub fn render(&self, form: Format, facility: u8, severity: Severity, at: SystemTime, out: &mut Vec<u8>) {
        let code = match self.priority {
            Some(own) => own & !7 | severity as u32,
            None => u32::from(facility) * 8 + severity as u32,
        };
        let now = || local(at);
        match form {
            Format::Raw => {}
            Format::Priority => put(out, format_args!("<{code}>")),
            Format::Short => put(out, format_args!("<{}>", severity as u8)),
            Format::Timed | Format::Iso => {
                if form == Format::Timed {
                    put(out, format_args!("<{}>", severity as u8));
                }
                self.long_date(&now(), out);
                out.push(b' ');
            }
            Format::Local | Format::Rfc3164 => {
                put(out, format_args!("<{code}>"));
                self.short_date(&now(), out);
                out.push(b' ');
                if form == Format::Rfc3164 {
                    out.extend_from_slice(if self.host.is_empty() { b"localhost" } else { self.host });
                    out.push(b' ');
                }
                if !self.tag.is_empty() {
                    out.extend_from_slice(self.tag);
                    if !self.pid.is_empty() {
                        out.push(b'[');
                        out.extend_from_slice(self.pid);
                        out.push(b']');
                    }
                    out.extend_from_slice(b": ");
                }
            }
            Format::Rfc5424 => {
                put(out, format_args!("<{code}>1 "));
                match self.said {
                    Said::Nil => out.push(b'-'),
                    _ => self.long_date(&now(), out),
                }
                for part in [self.host, self.tag, self.pid, self.id, self.structured] {
                    out.push(b' ');
                    out.extend_from_slice(if part.is_empty() { b"-" } else { part });
                }
                out.push(b' ');
            }
        }
        out.extend_from_slice(self.text);
    }

    fn short_date(&self, now: &LocalTime, out: &mut Vec<u8>) {
        let parts = |long: &[u8]| -> Option<String> {
            let text = std::str::from_utf8(long).ok()?;
            let month = MONTHS.get(text.get(5..7)?.parse::<usize>().ok()?.checked_sub(1)?)?;
            Some(format!("{month} {:>2} {}", text.get(8..10)?.trim_start_matches('0'), text.get(11..19)?))
        };
        match self.said {
            Said::Short(date) => out.extend_from_slice(date),
            Said::Long(date) if parts(date).is_some() => {
                out.extend_from_slice(parts(date).unwrap_or_default().as_bytes());
            }
            _ => {
                put(out, format_args!("{} {:2} ", now.month_name(), now.day));
                put(out, format_args!("{:02}:{:02}:{:02}", now.hour, now.minute, now.second));
            }
        }
    }

    fn long_date(&self, now: &LocalTime, out: &mut Vec<u8>) {
        match self.said {
            Said::Long(date) => out.extend_from_slice(date),
            Said::Short(date) => {
                let text = String::from_utf8_lossy(date);
                let month = MONTHS.iter().position(|m| *m == &text[..3]).unwrap_or(0) + 1;
                let day = text[4..6].replace(' ', "0");
                put(out, format_args!("{:04}-{month:02}-{day}T{}-00:00", now.year, &text[7..]));
            }
            _ => logging::syslog::iso(now, out),
        }
    }
}

/// `<N>` and what follows.
fn priority(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let rest = bytes.strip_prefix(b"<")?;
    let end = rest.iter().position(|b| *b == b'>').filter(|n| (1..=3).contains(n))?;
    let number = std::str::from_utf8(&rest[..end]).ok()?.parse().ok()?;
    Some((number, &rest[end + 1..]))
}

/// Whether a text begins with `Oct 11 22:14:15 `.
fn is_short_date(text: &[u8]) -> bool {
    let shape = b"Aaa dd dd:dd:dd ";
    text.len() >= shape.len()
        && MONTHS.iter().any(|m| text.starts_with(m.as_bytes()))
        && text.iter().zip(shape).enumerate().skip(3).all(|(at, (have, want))| match want {
            b'd' => have.is_ascii_digit() || (at == 4 && *have == b' '),
            other => have == other,
        })
}

/// Elements in brackets up to the blank behind them.
fn structured<'b>(rest: &mut &'b [u8]) -> Option<&'b [u8]> {
    let (mut quoted, mut escaped, mut depth) = (false, false, false);
    for (at, byte) in rest.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'[' if !quoted => depth = true,
            b']' if !quoted => depth = false,
            b' ' if !quoted && !depth => {
                let found = &rest[..at];
                *rest = &rest[at + 1..];
                return Some(found);
            }
            _ => {}
        }
    }
    None
}

/// Writing to memory can't fail.
fn put(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    let _ = out.write_fmt(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(message: &str, form: Format) -> String {
        let parsed = Message::read(message.as_bytes());
        let mut out = Vec::new();
        let severity = logging::syslog::SEVERITIES[usize::from(parsed.severity())].1;
        parsed.render(form, 19, severity, SystemTime::UNIX_EPOCH, &mut out);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn messages_change_their_form_and_keep_their_parts() {
        let classic = "<13>Oct 11 22:14:15 mymachine su[77]: hello world";
        let modern = "<34>1 2003-10-11T22:14:15.003Z h app 7 ID47 [a b=\"c d\"][e] with sd";
        for (message, form, expected) in [
            (classic, Format::Rfc3164, classic),
            (classic, Format::Local, "<13>Oct 11 22:14:15 su[77]: hello world"),
            (classic, Format::Rfc5424, "<13>1 1970-10-11T22:14:15-00:00 mymachine su 77 - - hello world"),
            (classic, Format::Short, "<5>hello world"),
            (classic, Format::Timed, "<5>1970-10-11T22:14:15-00:00 hello world"),
            (modern, Format::Rfc5424, modern),
            (modern, Format::Rfc3164, "<34>Oct 11 22:14:15 h app[7]: with sd"),
            (modern, Format::Raw, "with sd"),
            ("<13>Oct 11 22:14:15 host plain words", Format::Local, "<13>Oct 11 22:14:15 plain words"),
            ("<34>1 - - - - - - nil", Format::Rfc5424, "<34>1 - - - - - - nil"),
            ("no pri", Format::Priority, "<152>no pri"),
            ("<999>x y", Format::Priority, "<999>x y"),
            ("<13>a\n", Format::Priority, "<13>a"),
        ] {
            assert_eq!(rendered(message, form), expected, "{message}");
        }
    }

    #[test]
    fn the_form_of_a_message_is_seen() {
        for (message, form) in [
            ("<13>Oct 11 22:14:15 h su: x", Format::Rfc3164),
            ("<13>Oct  1 22:14:15 h su: x", Format::Rfc3164),
            ("<13>1 2003-10-11T22:14:15.003Z h a - - - x", Format::Rfc5424),
            ("<13>1 2003", Format::Priority),
            ("<13>Oct 11", Format::Priority),
            ("Oct 11 22:14:15 h su: x", Format::Raw),
            ("", Format::Raw),
            ("<", Format::Raw),
            ("<13>Oct 11 22:14:15 ", Format::Priority),
        ] {
            assert_eq!(Message::read(message.as_bytes()).form(), form, "{message}");
        }
    }

    #[test]
    fn streams_are_cut_by_lines_and_by_counts() {
        assert_eq!(frame(b"<1>a\r\n<2>b"), Frame::Whole { message: b"<1>a", len: 6 });
        assert_eq!(frame(b"4 <1>a5 "), Frame::Whole { message: b"<1>a", len: 6 });
        for part in [&b"<1>a"[..], b"4", b"4 <1>", b""] {
            assert_eq!(frame(part), Frame::Part);
        }
        for bad in [&b"abc\n"[..], b"\n", b"4x", b"99999999999 x", b"0 "] {
            assert_eq!(frame(bad), Frame::Bad);
        }
    }
}
