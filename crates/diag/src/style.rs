//! Dresses diagnostics as haproxy, as keepalived, or with a source excerpt.

use crate::{Diagnostic, Severity, SourceMap};

/// haproxy 2.6's form: `[ALERT]    (1234) : config : parsing [f.cfg:8] : text`, without line ending.
/// A diagnostic without a span has no `parsing […]` part.
pub fn haproxy(diagnostic: &Diagnostic, sources: &SourceMap, pid: u32) -> String {
    let label = match diagnostic.severity {
        Severity::Diag => "[DIAG]     ",
        Severity::Notice => "[NOTICE]   ",
        Severity::Warning => "[WARNING]  ",
        Severity::Alert | Severity::Fatal => "[ALERT]    ",
    };
    match diagnostic.span {
        Some(span) => format!(
            "{label}({pid}) : config : parsing [{}:{}] : {}",
            sources.name(span),
            sources.line(span),
            diagnostic.text
        ),
        None => format!("{label}({pid}) : config : {}", diagnostic.text),
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
