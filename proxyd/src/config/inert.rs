//! Words that are read and checked, but that nothing here carries out yet: which, and why.
//!
//! Invariant: a word of a valid file that changes nothing has a row here or says so at its own row
//! ([`Loader::no_effect`]); `-c` tells it at the word, as a notice, so `-dW` does not fail on it. A row goes away in the
//! change that makes its word work.
//!
//! Absent on purpose: words that are refused; they have a text of their own.

use super::Loader;
use conf_parsers::Line;
use diag::{Diagnostic, Severity, Span};

/// Where on the line the word of a row stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// The line's keyword says it all.
    Line,
    /// Behind the keyword.
    Second,
    /// Behind the keyword and `content`, `connection` or `session`.
    Third,
    /// Among the words from this place on.
    From(usize),
}

/// A word without effect.
#[derive(Debug)]
pub struct Inert {
    line: &'static str,
    at: At,
    word: &'static str,
    /// One of these has to be in the list behind the word; none: whatever follows.
    values: &'static [&'static str],
    /// A line that holds it, for tests and the compatibility table.
    pub example: &'static str,
    /// Why, or what happens instead.
    pub reason: &'static str,
}

impl Inert {
    /// As users write it.
    pub fn name(&self) -> String {
        let value = self.values.first().map_or(String::new(), |v| format!(" {v}"));
        match self.at {
            At::Line => self.line.to_owned(),
            At::Second => format!("{} {}{value}", self.line, self.word),
            At::Third | At::From(_) => format!("{} … {}{value}", self.line, self.word),
        }
    }

    /// Where it stands on this line.
    fn found(&self, line: &Line) -> Option<Span> {
        let keyword = match line.keyword() {
            "default-server" | "server-template" => "server",
            other => other,
        };
        if keyword != self.line {
            return None;
        }
        let range = match self.at {
            At::Line => return line.words.first().map(|w| w.span),
            At::Second => 1..2,
            At::Third => 2..3,
            At::From(n) if line.keyword() == "default-server" => n.min(1)..line.words.len(),
            At::From(n) => n..line.words.len(),
        };
        let words = line.words.get(range.start..range.end.min(line.words.len()))?;
        let at = words.iter().position(|w| w.text == self.word)?;
        let value = line.words.get(range.start + at + 1).map_or("", |w| w.text.as_str());
        let fits = self.values.is_empty() || value.split(',').any(|v| self.values.contains(&v));
        fits.then_some(words[at].span)
    }
}

const fn whole(line: &'static str, example: &'static str, reason: &'static str) -> Inert {
    Inert { line, at: At::Line, word: "", values: &[], example, reason }
}

const fn second(
    line: &'static str,
    word: &'static str,
    example: &'static str,
    reason: &'static str,
) -> Inert {
    Inert { line, at: At::Second, word, values: &[], example, reason }
}

const fn third(line: &'static str, word: &'static str, example: &'static str, reason: &'static str) -> Inert {
    Inert { line, at: At::Third, word, values: &[], example, reason }
}

const fn bind(word: &'static str, example: &'static str, reason: &'static str) -> Inert {
    Inert { line: "bind", at: At::From(2), word, values: &[], example, reason }
}

const fn server(word: &'static str, example: &'static str, reason: &'static str) -> Inert {
    Inert { line: "server", at: At::From(3), word, values: &[], example, reason }
}

const fn of(values: &'static [&'static str], row: Inert) -> Inert {
    Inert { values, ..row }
}

/// A server line of TLS with one more word.
macro_rules! to_tls {
    ($word:literal) => {
        concat!("server s 127.0.0.1:1 ssl verify none ", $word)
    };
}

/// A bind line of TLS with one more word.
macro_rules! of_tls {
    ($word:literal) => {
        concat!("bind :80 ssl crt x.pem ", $word)
    };
}

const SIGNATURES: &str = "signature algorithms are the library's";
const H2: &str = "checks and WebSockets go over HTTP/1.1";
const FCGI: &str = "FastCGI is not spoken; connections are HTTP/1.1";
const PLAIN: &str = "bytes are spliced or copied as the connection allows, whatever the option says";
const NICE: &str = "tasks are not ordered by priority";
const PARSER: &str = "buffers and polling are sized by the runtime";

/// All of them, by kind of line.
pub static INERT: &[Inert] = &[
    // bind
    bind("nice", "bind :80 nice 5", NICE),
    bind("allow-0rtt", "bind :80 ssl crt x.pem allow-0rtt", "early data is not taken"),
    bind("ca-sign-file", of_tls!("ca-sign-file x"), "certificates are never made on the fly"),
    bind("ca-sign-pass", of_tls!("ca-sign-pass x"), "certificates are never made on the fly"),
    bind("generate-certificates", of_tls!("generate-certificates"), "certificates are never made on the fly"),
    bind("client-sigalgs", of_tls!("client-sigalgs x"), SIGNATURES),
    bind("sigalgs", of_tls!("sigalgs x"), SIGNATURES),
    bind("ech", of_tls!("ech x"), "the greeting is never encrypted"),
    bind("npn", of_tls!("npn x"), "NPN is not spoken; see alpn"),
    bind("ocsp-update", of_tls!("ocsp-update on"), "answers of OCSP are not fetched"),
    bind("prefer-client-ciphers", of_tls!("prefer-client-ciphers"), "the server's order decides"),
    bind("tls-tickets", of_tls!("tls-tickets"), "tickets are given unless no-tls-tickets is said"),
    // server
    of(&["fcgi"], server("proto", "server s 127.0.0.1:1 proto fcgi", FCGI)),
    of(&["h2"], server("check-proto", "server s 127.0.0.1:1 check check-proto h2", H2)),
    server(
        "pool-low-conn",
        "server s 127.0.0.1:1 pool-low-conn 5",
        "threads do not take each other's connections",
    ),
    server("allow-0rtt", to_tls!("allow-0rtt"), "early data is not sent"),
    server("client-sigalgs", to_tls!("client-sigalgs x"), SIGNATURES),
    server("sigalgs", to_tls!("sigalgs x"), SIGNATURES),
    server("ech", to_tls!("ech x"), "the greeting is never encrypted"),
    server("ktls", to_tls!("ktls on"), "encryption is the library's"),
    server("no-sni-auto", to_tls!("no-sni-auto"), "no name is sent unless sni says it"),
    server("sni-auto", to_tls!("sni-auto"), "no name is sent unless sni says it"),
    server("no-renegotiate", to_tls!("no-renegotiate"), "the library never renegotiates"),
    server("renegotiate", to_tls!("renegotiate"), "the library never renegotiates"),
    server("no-ssl-reuse", to_tls!("no-ssl-reuse"), "sessions are resumed where the server allows it"),
    server("ssl-reuse", to_tls!("ssl-reuse"), "sessions are resumed where the server allows it"),
    server("no-tls-tickets", to_tls!("no-tls-tickets"), "sessions are resumed where the server allows it"),
    server("tls-tickets", to_tls!("tls-tickets"), "sessions are resumed where the server allows it"),
    server("npn", to_tls!("npn x"), "NPN is not spoken; see alpn"),
    // options
    Inert {
        line: "retry-on",
        at: At::From(1),
        word: "0rtt-rejected",
        values: &[],
        example: "retry-on 0rtt-rejected",
        reason: "early data is not sent to servers",
    },
    second("option", "contstats", "option contstats", "bytes are counted as they pass in any case"),
    second("option", "http-no-delay", "option http-no-delay", "bytes are never held back"),
    second(
        "option",
        "idle-close-on-response",
        "option idle-close-on-response",
        "idle connections are closed at once when the process leaves",
    ),
    second(
        "option",
        "independent-streams",
        "option independent-streams",
        "each side's timeout is kept as without it",
    ),
    second("option", "splice-auto", "option splice-auto", PLAIN),
    second("option", "splice-request", "option splice-request", PLAIN),
    second("option", "splice-response", "option splice-response", PLAIN),
    second("option", "tcp-smart-accept", "option tcp-smart-accept", "acknowledgements are the kernel's"),
    second("option", "tcp-smart-connect", "option tcp-smart-connect", "acknowledgements are the kernel's"),
    // proxies
    // rules
    third("tcp-request", "set-nice", "tcp-request content set-nice 1", NICE),
    second("http-request", "set-nice", "http-request set-nice 1", NICE),
    second("http-response", "set-nice", "http-response set-nice 1", NICE),
    // global
    whole("insecure-fork-wanted", "insecure-fork-wanted", "checks may always start programs"),
    whole("tune.idletimer", "tune.idletimer 1s", PARSER),
    whole("tune.maxaccept", "tune.maxaccept 5", PARSER),
    whole("tune.pattern.cache-size", "tune.pattern.cache-size 5", "matches are not cached"),
    whole("tune.pool-low-fd-ratio", "tune.pool-low-fd-ratio 5", PARSER),
    whole("tune.pool-high-fd-ratio", "tune.pool-high-fd-ratio 5", PARSER),
];

impl Loader<'_> {
    /// Tells the words of a line that have no effect yet.
    pub(super) fn tell_inert(&mut self, line: &Line) {
        for row in INERT {
            let Some(span) = row.found(line) else { continue };
            self.tell_idle(&row.name(), row.reason, span);
        }
    }

    /// Tells of one word without effect: by itself under `-c`, as one of a number at a start.
    pub(super) fn tell_idle(&mut self, name: &str, reason: &str, span: Span) {
        self.idle += 1;
        if self.check {
            let text = format!("'{name}' is accepted, but has no effect here yet: {reason}.");
            self.report.push(Diagnostic::at(Severity::Notice, span, text));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Settings, load};

    fn report(text: &str, check: bool) -> diag::Report {
        let dir = tempfile::tempdir().expect("directory");
        let path = dir.path().join("t.cfg");
        std::fs::write(&path, text).expect("file");
        let paths = vec![path.to_str().expect("utf-8").to_owned()];
        load(&Settings { paths, check, ..Settings::default() }).report
    }

    fn file(row: &Inert) -> String {
        let globals = ["insecure-fork-wanted"];
        let global = globals.contains(&row.line)
            || row.line.starts_with("tune.")
            || row.line.starts_with("ssl-default");
        let table = "backend t\n stick-table type ip size 100\n";
        if global {
            format!("global\n {}\n", row.example)
        } else {
            format!("{table}listen l\n mode http\n {}\n", row.example)
        }
    }

    #[test]
    fn every_row_is_a_known_word_that_is_told() {
        for row in INERT {
            let report = report(&file(row), true);
            let refused: Vec<_> = report
                .items
                .iter()
                .filter(|d| d.severity.refuses() && !d.text.contains("x.pem"))
                .map(|d| &d.text)
                .collect();
            assert!(refused.is_empty(), "{}: {refused:?}", row.name());
            let start = format!("'{}' is accepted, but has no effect here yet: ", row.name());
            assert!(
                report.items.iter().any(|d| d.severity == Severity::Notice && d.text.starts_with(&start)),
                "{}: {:?}",
                row.name(),
                report.items
            );
        }
    }

    #[test]
    fn only_a_check_tells_and_other_words_are_left_alone() {
        let text = "listen l\n mode http\n no option contstats\n option contstats\n server redir 127.0.0.1:1 check\n";
        let notices = |check| {
            let report = report(text, check);
            report.items.iter().filter(|d| d.text.contains("no effect here yet")).count()
        };
        assert_eq!((notices(true), notices(false)), (1, 0));
    }
}
