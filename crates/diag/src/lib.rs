//! Diagnostics of configuration files: where (a [`Span`] in a [`SourceMap`]), how bad ([`Severity`]) and in
//! which words ([`Diagnostic::text`], the oracle's own). A [`Report`] collects; it never aborts, so that all
//! faults of a file are told at once.
//!
//! Invariant: a diagnostic's text is written once, at the table row that finds the fault; how it is dressed
//! (haproxy's `[ALERT] (pid) : config : parsing [f:8] : …`, keepalived's `(f: Line 8) …`, or an excerpt with a
//! caret) is decided in [`style`] only.
//!
//! Absent on purpose: exit codes (each daemon's contract), I/O, localisation.

pub mod style;

/// A file of a [`SourceMap`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId(pub u32);

/// A half-open range of bytes in one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Span {
    /// The file.
    pub file: FileId,
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// A span of `start..end` in `file`.
    pub fn new(file: FileId, start: usize, end: usize) -> Self {
        Self { file, start: start as u32, end: end as u32 }
    }

    /// The smallest span that covers both; `other` must lie in the same file, else `self` is returned.
    #[must_use]
    pub fn to(self, other: Self) -> Self {
        if self.file != other.file {
            return self;
        }
        Self { file: self.file, start: self.start.min(other.start), end: self.end.max(other.end) }
    }
}

/// One file as it was read.
#[derive(Debug, Clone)]
pub struct Source {
    /// Name as the user gave it; messages print it unchanged.
    pub name: String,
    /// The bytes; not necessarily UTF-8.
    pub text: Vec<u8>,
    line_starts: Vec<u32>,
}

/// All files of one configuration, in reading order.
#[derive(Debug, Clone, Default)]
pub struct SourceMap {
    files: Vec<Source>,
}

impl SourceMap {
    /// An empty map.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a file and returns its id.
    pub fn add(&mut self, name: impl Into<String>, text: impl Into<Vec<u8>>) -> FileId {
        let text = text.into();
        let mut line_starts = vec![0];
        line_starts.extend(text.iter().enumerate().filter(|(_, b)| **b == b'\n').map(|(i, _)| i as u32 + 1));
        self.files.push(Source { name: name.into(), text, line_starts });
        FileId(self.files.len() as u32 - 1)
    }

    /// The file behind an id of this map.
    pub fn file(&self, id: FileId) -> &Source {
        &self.files[id.0 as usize]
    }

    /// All files, in reading order.
    pub fn files(&self) -> impl Iterator<Item = (FileId, &Source)> {
        self.files.iter().enumerate().map(|(i, s)| (FileId(i as u32), s))
    }

    /// Line number (from 1) of the span's start.
    pub fn line(&self, span: Span) -> usize {
        self.file(span.file).line_starts.partition_point(|s| *s <= span.start)
    }

    /// Column in bytes (from 1) of the span's start.
    pub fn column(&self, span: Span) -> usize {
        let start = self.file(span.file).line_starts[self.line(span) - 1];
        (span.start - start) as usize + 1
    }

    /// The bytes of a line (from 1) without its line ending; empty when there is no such line.
    pub fn line_text(&self, file: FileId, line: usize) -> &[u8] {
        let source = self.file(file);
        let Some(start) = line.checked_sub(1).and_then(|l| source.line_starts.get(l)) else { return b"" };
        let end = source.line_starts.get(line).map_or(source.text.len(), |e| *e as usize);
        let text = &source.text[*start as usize..end];
        let text = text.strip_suffix(b"\n").unwrap_or(text);
        text.strip_suffix(b"\r").unwrap_or(text)
    }

    /// The name of the span's file.
    pub fn name(&self, span: Span) -> &str {
        &self.file(span.file).name
    }

    /// The bytes a span covers.
    pub fn text(&self, span: Span) -> &[u8] {
        self.file(span.file).text.get(span.start as usize..span.end as usize).unwrap_or(b"")
    }
}

/// How bad a diagnostic is, in haproxy's words; keepalived has one level only and uses [`Severity::Warning`]
/// for what it survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Shown with `-dD` only.
    Diag,
    /// `[NOTICE]`.
    Notice,
    /// `[WARNING]`: the configuration is taken.
    Warning,
    /// `[ALERT]`: the line is left out, the configuration is taken.
    Skipped,
    /// `[WARNING]` by its label, but the configuration is refused for it.
    Grave,
    /// `[ALERT]`: the configuration is refused, reading goes on.
    Alert,
    /// `[ALERT]`, and reading stops here.
    Fatal,
}

impl Severity {
    /// Whether the configuration can't be used.
    pub fn refuses(self) -> bool {
        self >= Self::Grave
    }
}

/// How haproxy leads into a text that has a place; keepalived's form does not look at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Lead {
    /// `parsing [f:8] : text`, the common form.
    #[default]
    Parsing,
    /// `parsing [f:8]: text`, used by the file reader.
    Tight,
    /// `[f:8] : text`, used by servers and log targets.
    Bracket,
    /// The text alone; the place serves the excerpt only.
    Bare,
}

/// One thing to tell the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad.
    pub severity: Severity,
    /// Where; `None` for faults of the whole configuration.
    pub span: Option<Span>,
    /// The oracle's words, without prefix, file and line.
    pub text: String,
    /// A remedy of ours, shown by `--explain` only.
    pub help: Option<String>,
    /// How haproxy leads into the text.
    pub lead: Lead,
}

impl Diagnostic {
    /// A diagnostic at a place.
    pub fn at(severity: Severity, span: Span, text: impl Into<String>) -> Self {
        Self { severity, span: Some(span), text: text.into(), help: None, lead: Lead::Parsing }
    }

    /// A diagnostic without a place.
    pub fn global(severity: Severity, text: impl Into<String>) -> Self {
        Self { severity, span: None, text: text.into(), help: None, lead: Lead::Parsing }
    }

    /// Changes how haproxy leads into the text.
    #[must_use]
    pub fn lead(mut self, lead: Lead) -> Self {
        self.lead = lead;
        self
    }

    /// Adds the remedy.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// All that was found, in the order in which it was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// The diagnostics.
    pub items: Vec<Diagnostic>,
}

impl Report {
    /// An empty report.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.items.push(diagnostic);
    }

    /// Adds an alert at a place.
    pub fn alert(&mut self, span: Span, text: impl Into<String>) {
        self.push(Diagnostic::at(Severity::Alert, span, text));
    }

    /// Adds a warning at a place.
    pub fn warning(&mut self, span: Span, text: impl Into<String>) {
        self.push(Diagnostic::at(Severity::Warning, span, text));
    }

    /// Takes over another report's diagnostics, behind the ones here.
    pub fn extend(&mut self, other: Self) {
        self.items.extend(other.items);
    }

    /// How many there are of this severity.
    pub fn count(&self, severity: Severity) -> usize {
        self.items.iter().filter(|d| d.severity == severity).count()
    }

    /// Whether any diagnostic refuses the configuration.
    pub fn refuses(&self) -> bool {
        self.items.iter().any(|d| d.severity.refuses())
    }

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_count_from_one() {
        let mut map = SourceMap::new();
        let f = map.add("a.cfg", "one\ntwo words\r\n\nlast");
        let at = |s| (map.line(Span::new(f, s, s + 1)), map.column(Span::new(f, s, s + 1)));
        assert_eq!(at(0), (1, 1));
        assert_eq!(at(3), (1, 4));
        assert_eq!(at(8), (2, 5));
        assert_eq!(at(16), (4, 1));
        assert_eq!(map.line_text(f, 2), b"two words");
        assert_eq!(map.line_text(f, 3), b"");
        assert_eq!(map.line_text(f, 4), b"last");
        assert_eq!(map.line_text(f, 9), b"");
    }

    #[test]
    fn alerts_refuse_and_warnings_do_not() {
        let mut map = SourceMap::new();
        let f = map.add("a.cfg", "x");
        let mut report = Report::new();
        report.warning(Span::new(f, 0, 1), "w");
        assert!(!report.refuses());
        report.alert(Span::new(f, 0, 1), "a");
        assert!(report.refuses());
        assert_eq!((report.count(Severity::Warning), report.count(Severity::Alert)), (1, 1));
    }
}
