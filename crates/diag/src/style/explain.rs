//! `--explain`: the line at fault, a caret under the words, and the remedy.

use crate::{Diagnostic, Severity, SourceMap};
use ariadne::{CharSet, Config, IndexType, Label, Report, ReportKind, Source};

/// An excerpt in text, several lines, with a line ending. `colour` adds terminal colours.
///
/// Bytes that are not UTF-8 are shown as `?`, so that columns stay true; a diagnostic without a place gives its
/// text and remedy alone.
pub fn explain(diagnostic: &Diagnostic, sources: &SourceMap, colour: bool) -> String {
    let kind = match diagnostic.severity {
        Severity::Diag | Severity::Notice => ReportKind::Advice,
        Severity::Warning | Severity::Skipped => ReportKind::Warning,
        Severity::Grave | Severity::Alert | Severity::Fatal => ReportKind::Error,
    };
    let head = diagnostic.text.lines().next().unwrap_or_default().trim_end_matches(':');
    let Some(span) = diagnostic.span else { return plain(diagnostic, head) };
    let name = sources.name(span).to_owned();
    let text = printable(&sources.file(span.file).text);
    let end = (span.end as usize).min(text.len());
    let range = (span.start as usize).min(end)..end;
    let config =
        Config::default().with_color(colour).with_char_set(CharSet::Ascii).with_index_type(IndexType::Byte);
    let mut report = Report::build(kind, (name.clone(), range.clone()))
        .with_config(config)
        .with_message(head)
        .with_label(Label::new((name.clone(), range)).with_message("here"));
    if let Some(help) = &diagnostic.help {
        report = report.with_help(help);
    }
    let mut out = Vec::new();
    match report.finish().write((name, Source::from(text)), &mut out) {
        Ok(()) => String::from_utf8_lossy(&out).into_owned(),
        Err(_) => plain(diagnostic, head),
    }
}

fn plain(diagnostic: &Diagnostic, head: &str) -> String {
    let label = match diagnostic.severity {
        Severity::Diag | Severity::Notice => "Advice",
        Severity::Warning | Severity::Skipped => "Warning",
        Severity::Grave | Severity::Alert | Severity::Fatal => "Error",
    };
    let help = diagnostic.help.as_ref().map(|h| format!("  Help: {h}\n")).unwrap_or_default();
    format!("{label}: {head}\n{help}")
}

/// One ASCII byte for each byte, so that spans fit; line ends stay.
fn printable(bytes: &[u8]) -> String {
    let show = |b: &u8| match b {
        b'\n' => '\n',
        b'\t' | b'\r' => ' ',
        0x20..=0x7e => char::from(*b),
        _ => '?',
    };
    bytes.iter().map(show).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FileId, Span};
    use proptest::prelude::*;

    #[test]
    fn an_excerpt_shows_line_caret_and_remedy() {
        let mut map = SourceMap::new();
        let f = map.add("t.cfg", "global\n    maxcon 12\n");
        let d = Diagnostic::at(Severity::Alert, Span::new(f, 11, 17), "unknown keyword 'maxcon'")
            .help("write 'maxconn'");
        let shown = explain(&d, &map, false);
        assert!(shown.starts_with("Error: unknown keyword 'maxcon'"), "{shown}");
        assert!(shown.contains("t.cfg:2:5"), "{shown}");
        assert!(shown.contains("maxcon 12"), "{shown}");
        assert!(shown.contains("write 'maxconn'"), "{shown}");
        assert!(shown.contains('^'), "{shown}");
    }

    #[test]
    fn without_a_place_text_and_remedy_remain() {
        let d = Diagnostic::global(Severity::Warning, "no frontend").help("add one");
        assert_eq!(explain(&d, &SourceMap::new(), false), "Warning: no frontend\n  Help: add one\n");
    }

    proptest! {
        #[test]
        fn no_bytes_and_no_span_panic(
            text in proptest::collection::vec(any::<u8>(), 0..200), a in 0usize..250, b in 0usize..250,
        ) {
            let mut map = SourceMap::new();
            map.add("x", text);
            let span = Span::new(FileId(0), a.min(b), a.max(b));
            explain(&Diagnostic::at(Severity::Alert, span, "t"), &map, false);
        }
    }
}
