//! `program` sections: what a master runs beside its workers.
//!
//! Invariant: a section that stands is one that the master can start; without a master it is refused.
//!
//! Absent on purpose: starting them (`process::program`).

use super::model::Program;
use super::{Loader, bind};
use conf_parsers::args::Fault;
use conf_parsers::haproxy::Section;
use conf_parsers::{Line, Word};
use diag::{Diagnostic, Lead, Severity};

/// Reads one section.
pub(super) fn section(loader: &mut Loader<'_>, section: &Section) {
    let header = &section.header;
    let Some(name) = header.words.get(1) else {
        let alert = Diagnostic::at(Severity::Alert, header.span, "'program' expects an <id> argument");
        return loader.report.push(alert);
    };
    if let Some(extra) = header.words.get(2) {
        let text = format!("'program' cannot handle unexpected argument '{}'.", extra.text);
        return loader.report.alert(extra.span, text);
    }
    if loader.config.global.programs.iter().any(|p| p.name == name.text) {
        let text = format!("'{}' program section already exists in the configuration.", name.text);
        let alert = Diagnostic::at(Severity::Alert, header.span, text);
        return loader.report.push(alert.lead(Lead::Tight));
    }
    let mut program = Program { name: name.text.clone(), ..Program::default() };
    for line in &section.lines {
        let words = match line.keyword() {
            "no" if line.words.get(1).is_some_and(|w| w.text == "option") => &line.words[1..],
            "no" | "default" if line.words.len() > 1 => {
                loader.report.push(Fault::new(line.span, super::global::NOT_NEGATABLE).tight().into_alert());
                &line.words[1..]
            }
            _ => &line.words[..],
        };
        if let Err(fault) = one(&mut program, line, words) {
            loader.report.push(fault.into_alert());
        }
    }
    if program.command.is_empty() {
        let text = format!("The program section '{}' lacks a command to launch.", program.name);
        loader.late.push(Diagnostic::global(Severity::Alert, text));
    }
    loader.config.global.programs.push(program);
}

fn one(program: &mut Program, line: &Line, words: &[Word]) -> Result<(), Fault> {
    let Some((keyword, rest)) = words.split_first() else { return Ok(()) };
    let first = |what: &str| {
        rest.first()
            .filter(|w| !w.text.is_empty())
            .ok_or_else(|| Fault::new(line.span, format!("'{}' expects {what}.", keyword.text)).tight())
    };
    match keyword.text.as_str() {
        "command" => {
            first("a command with optional arguments separated in words")?;
            program.command = rest.iter().map(|w| w.text.clone()).collect();
        }
        "user" => {
            let name = first("a user name")?;
            let lacks =
                || Fault::new(name.span, format!("cannot find user id for '{}' (0:Success)", name.text));
            program.uid = Some(bind::user_id(&name.text).ok_or_else(lacks)?);
        }
        "group" => {
            let name = first("a group name")?;
            let lacks =
                || Fault::new(name.span, format!("cannot find group id for '{}' (0:Success)", name.text));
            program.gid = Some(bind::group_id(&name.text).ok_or_else(lacks)?);
        }
        "option" => {
            let name = first("an option name")?;
            if name.text != "start-on-reload" {
                return Err(Fault::new(name.span, format!("unknown option '{}'.", name.text)));
            }
            if let Some(extra) = rest.get(1) {
                let text =
                    format!("'option start-on-reload' cannot handle unexpected argument '{}'.", extra.text);
                return Err(Fault::new(extra.span, text));
            }
            program.once = line.keyword() == "no";
        }
        other => {
            return Err(Fault::new(keyword.span, format!("unknown keyword '{other}' in 'program' section")));
        }
    }
    Ok(())
}
