//! Forms of header names for peers that tell capitals apart: `h1-case-adjust` and its file (manual, 3.1).

use super::Loader;
use conf_parsers::args::{Args, Fault};
use diag::{Diagnostic, Lead, Severity, Span};
use std::sync::Arc;

/// A pair in a line of `global`.
pub(super) fn pair(loader: &mut Loader<'_>, args: &mut Args<'_>) -> Result<(), Fault> {
    let (from, to) = (args.next().map(|w| w.text.clone()), args.next().map(|w| w.text.clone()));
    match (from.filter(|w| !w.is_empty()), to.filter(|w| !w.is_empty())) {
        (Some(from), Some(to)) => add(loader, &from, &to).map_err(|text| args.fault(text)),
        _ => Err(args.fault("'h1-case-adjust' expects <from> and <to> as argument.")),
    }
}

/// One more form.
fn add(loader: &mut Loader<'_>, from: &str, to: &str) -> Result<(), String> {
    if !from.eq_ignore_ascii_case(to) {
        return Err("<from> and <to> must not differ execpt the case".into());
    }
    let cases = Arc::make_mut(&mut loader.config.global.h1_case_adjust);
    if cases.contains_key(from) {
        return Err(format!("duplicate entry '{from}'"));
    }
    cases.insert(from.to_owned(), to.to_owned());
    Ok(())
}

/// Pairs in a file, one a line. What is wrong with it is told when all sections were read.
pub(super) fn file(loader: &mut Loader<'_>, span: Span, path: &str) {
    let who = format!("h1-headers-case-adjust-file '{path}'");
    let fault = match std::fs::read_to_string(path) {
        Err(_) => Some(format!("{who}: failed to open file.")),
        Ok(content) => content.lines().enumerate().find_map(|(n, line)| {
            let line = line.trim_start();
            let from = line.split_ascii_whitespace().next().filter(|from| !from.starts_with('#'))?;
            let to = line[from.len()..].trim();
            let fault = if to.is_empty() { "expect <to>".to_owned() } else { add(loader, from, to).err()? };
            Some(format!("{who} : {fault} at line {}.", n + 1))
        }),
    };
    if let Some(text) = fault {
        loader.late.push(Diagnostic::at(Severity::Alert, span, text).lead(Lead::Bare));
    }
}
