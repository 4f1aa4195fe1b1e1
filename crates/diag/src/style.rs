//! Dresses diagnostics as haproxy, as keepalived, or with a source excerpt.

mod explain;

pub use explain::explain;

use crate::{Diagnostic, Lead, Severity, SourceMap, Span};
use std::collections::HashSet;

/// haproxy 2.6's form: `[ALERT]    (1234) : config : parsing [f.cfg:8] : text`, without line ending.
/// A diagnostic without a span has no `parsing […]` part.
pub fn haproxy(diagnostic: &Diagnostic, sources: &SourceMap, pid: u32) -> String {
    format!("{}({pid}) : config : {}", label(diagnostic.severity), haproxy_text(diagnostic, sources))
}

/// The same without severity and pid, as logs and startup logs of the CLI carry it.
pub fn haproxy_text(diagnostic: &Diagnostic, sources: &SourceMap) -> String {
    let text = &diagnostic.text;
    let Some(span) = diagnostic.span else { return text.clone() };
    let (name, line) = (sources.name(span), sources.line(span));
    match diagnostic.lead {
        Lead::Parsing => format!("parsing [{name}:{line}] : {text}"),
        Lead::Tight => format!("parsing [{name}:{line}]: {text}"),
        Lead::Bracket => format!("[{name}:{line}] : {text}"),
        Lead::Bare => text.clone(),
    }
}

/// The severity's label, padded to the column where haproxy writes the pid.
pub fn label(severity: Severity) -> &'static str {
    match severity {
        Severity::Diag => "[DIAG]     ",
        Severity::Notice => "[NOTICE]   ",
        Severity::Warning | Severity::Grave => "[WARNING]  ",
        Severity::Skipped | Severity::Alert | Severity::Fatal => "[ALERT]    ",
    }
}

/// keepalived's form: `(f.conf: Line 8) text`, without line ending. The first pass leaves the main file's name
/// out: `(Line 8) text`; a diagnostic without a span is its text alone.
pub fn keepalived(diagnostic: &Diagnostic, sources: &SourceMap, first_pass: bool) -> String {
    match diagnostic.span {
        Some(span) if first_pass && span.file.0 == 0 => {
            format!("(Line {}) {}", sources.line(span), diagnostic.text)
        }
        Some(span) => format!("({}: Line {}) {}", sources.name(span), sources.line(span), diagnostic.text),
        None => diagnostic.text.clone(),
    }
}

/// Whether complaints in keepalived's form are followed by an excerpt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Excerpt {
    /// The original's line alone.
    #[default]
    No,
    /// `--explain` into a file or pipe.
    Plain,
    /// `--explain` on a terminal.
    Colour,
}

impl Excerpt {
    /// What `--explain` asks for on this output.
    pub fn wanted(explain: bool, terminal: bool) -> Self {
        match (explain, terminal) {
            (false, _) => Self::No,
            (true, false) => Self::Plain,
            (true, true) => Self::Colour,
        }
    }
}

/// Complaints in keepalived's form, with an excerpt below each where one is wanted. Later passes repeat what earlier ones
/// said; an excerpt is shown once.
#[derive(Debug)]
pub struct Teller<'a> {
    sources: &'a SourceMap,
    excerpt: Excerpt,
    shown: HashSet<(Option<Span>, String)>,
}

impl<'a> Teller<'a> {
    /// One that has told nothing yet.
    pub fn new(sources: &'a SourceMap, excerpt: Excerpt) -> Self {
        Self { sources, excerpt, shown: HashSet::new() }
    }

    /// [`keepalived`]'s line and the excerpt, without line ending.
    pub fn line(&mut self, diagnostic: &Diagnostic, first_pass: bool) -> String {
        let line = keepalived(diagnostic, self.sources, first_pass);
        if self.excerpt == Excerpt::No || !self.shown.insert((diagnostic.span, diagnostic.text.clone())) {
            return line;
        }
        let shown = explain(diagnostic, self.sources, self.excerpt == Excerpt::Colour);
        format!("{line}\n{}", shown.trim_end())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_lead_is_haproxys() {
        let mut map = SourceMap::new();
        let f = map.add("t.cfg", "global\n maxconn x\n");
        let at = Span::new(f, 8, 15);
        let show = |lead| haproxy(&Diagnostic::at(Severity::Alert, at, "no").lead(lead), &map, 7);
        assert_eq!(show(Lead::Parsing), "[ALERT]    (7) : config : parsing [t.cfg:2] : no");
        assert_eq!(show(Lead::Tight), "[ALERT]    (7) : config : parsing [t.cfg:2]: no");
        assert_eq!(show(Lead::Bracket), "[ALERT]    (7) : config : [t.cfg:2] : no");
        assert_eq!(show(Lead::Bare), "[ALERT]    (7) : config : no");
        let whole = Diagnostic::global(Severity::Warning, "w");
        assert_eq!(haproxy(&whole, &map, 7), "[WARNING]  (7) : config : w");
    }

    #[test]
    fn an_excerpt_is_shown_once() {
        let mut map = SourceMap::new();
        let f = map.add("k.conf", "instanc x\n");
        let d = Diagnostic::at(Severity::Warning, Span::new(f, 0, 7), "Unknown keyword 'instanc'");
        let mut teller = Teller::new(&map, Excerpt::Plain);
        let first = teller.line(&d, true);
        assert!(first.starts_with("(Line 1) Unknown keyword 'instanc'\nWarning: "), "{first}");
        assert!(first.contains("^^^"), "{first}");
        assert_eq!(teller.line(&d, false), "(k.conf: Line 1) Unknown keyword 'instanc'");
        assert_eq!(Teller::new(&map, Excerpt::No).line(&d, true), "(Line 1) Unknown keyword 'instanc'");
    }

    #[test]
    fn labels_align() {
        for severity in [Severity::Diag, Severity::Notice, Severity::Warning, Severity::Alert] {
            assert_eq!(label(severity).len(), 11);
        }
    }
}
