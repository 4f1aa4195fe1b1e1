//! The configuration of checkd: `virtual_server` and its relatives become a [`model::Model`].
//!
//! Invariant: [`read`] always gives a model and a report; whether the model may be used is in the report. Absent on
//! purpose: surface syntax and `global_defs` (conf-parsers), what a value does (core, health).

mod checker;
mod finish;
pub mod model;
mod service;
mod value;

#[cfg(test)]
mod tests;

pub(crate) use value::body_regex;

use conf_parsers::keepalived::globals::Globals;
use conf_parsers::keepalived::shared::{self, TrackFileRows, TrackFiles};
use conf_parsers::keepalived::walk::{Line, Row, Walker, block, no_effect, not_yet, words};
use conf_parsers::keepalived::{Tree, globals};
use diag::Report;
use model::{Fifo, Model, Script, Ssl};
use std::path::PathBuf;

/// The original's words where scripts run as root unprotected; `-t` ends with 6 then.
pub const SECURITY_VIOLATION: &str =
    "SECURITY VIOLATION - check scripts are being executed but script_security not enabled.";

/// The configuration under way.
pub struct Builder {
    model: Model,
    globals: Globals,
    group: model::ServerGroup,
    service: service::Draft,
    services: Vec<service::Draft>,
    track_files: Vec<shared::TrackFile>,
    /// Names of the `bfd_instance` blocks.
    bfd_names: Vec<String>,
}

/// The top-level keywords of the checker pass.
pub static BLOCKS: &[Row<Builder>] = &[
    block(
        "SSL",
        "",
        |b, l| {
            if b.model.ssl.is_some() {
                l.say("SSL context already specified - replacing");
            }
            b.model.ssl = Some(Ssl::default());
            Ok(true)
        },
        SSL,
        |_, _| {},
    ),
    service::GROUP,
    block(
        "virtual_server",
        "IP [PORT] | fwmark N | group NAME {",
        service::open,
        service::ROWS,
        service::close,
    ),
    TrackFileRows::<Builder>::TRACK_FILE,
    TrackFileRows::<Builder>::VRRP_TRACK_FILE,
];

/// The keywords of `SSL`.
static SSL: &[Row<Builder>] = &[
    not_yet("password", "<STRING>", "keys are read without a password only", |b, l| {
        if let Some(word) = ssl(b, l, "password", |s| s.password.is_some()) {
            b.model.ssl.get_or_insert_default().password = Some(word);
        }
        Ok(())
    }),
    no_effect(
        "ca",
        "<STRING>",
        "checks do not verify the server's certificate, as with the original",
        |b, l| {
            if let Some(word) = ssl(b, l, "cafile", |s| s.ca.is_some()) {
                b.model.ssl.get_or_insert_default().ca = Some(PathBuf::from(word));
            }
            Ok(())
        },
    ),
    words("certificate", "<STRING>", |b, l| {
        if let Some(word) = ssl(b, l, "certfile", |s| s.certificate.is_some()) {
            b.model.ssl.get_or_insert_default().certificate = Some(PathBuf::from(word));
        }
        Ok(())
    }),
    words("key", "<STRING>", |b, l| {
        if let Some(word) = ssl(b, l, "keyfile", |s| s.key.is_some()) {
            b.model.ssl.get_or_insert_default().key = Some(PathBuf::from(word));
        }
        Ok(())
    }),
];

fn ssl(b: &Builder, line: &mut Line<'_>, what: &str, set: fn(&Ssl) -> bool) -> Option<String> {
    let Some(word) = line.get(1) else {
        line.say(format!("SSL {what} missing"));
        return None;
    };
    if b.model.ssl.as_ref().is_some_and(set) {
        line.say(format!("SSL {what} already specified - replacing"));
    }
    Some(word.to_owned())
}

impl TrackFiles for Builder {
    fn track_files(&mut self) -> &mut Vec<shared::TrackFile> {
        &mut self.track_files
    }
}

/// Reads the checker part.
pub fn read(tree: &Tree, globals: &Globals) -> (Model, Report) {
    let mut builder = Builder {
        model: Model { globals: finish::globals(globals), ..Model::default() },
        globals: globals.clone(),
        group: model::ServerGroup { name: String::new(), entries: Vec::new() },
        service: service::Draft::default(),
        services: Vec::new(),
        track_files: Vec::new(),
        bfd_names: bfd_names(tree),
    };
    let mut report = Walker::new(tree, false).run(&mut builder, BLOCKS);
    if !report.refuses() {
        finish::finish(&mut builder, &mut report);
    }
    (builder.model, report)
}

/// The names of all `bfd_instance` blocks; what is in them is another pass's business.
fn bfd_names(tree: &Tree) -> Vec<String> {
    let named = |words: &[conf_parsers::Word]| match words {
        [keyword, name, ..] if keyword.text == "bfd_instance" => Some(name.text.clone()),
        _ => None,
    };
    tree.statements.iter().filter_map(|s| named(&s.words)).collect()
}

/// The whole of a file for checkd alone: core pass, then checker pass.
pub fn load(tree: &Tree) -> (Model, Report, Report) {
    let (globals, core) = globals::read(tree);
    let (model, report) = read(tree, &globals);
    (model, core, report)
}

/// A command with the ids it runs under; our own where nobody is named.
fn script(command: shared::Command) -> Script {
    let (uid, gid) = match &command.user {
        Some(user) => (user.uid, user.gid),
        None => (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw()),
    };
    Script { argv: command.argv, text: command.text, uid, gid }
}

fn fifo(fifo: shared::Fifo) -> Fifo {
    let (uid, gid) = match &fifo.owner {
        Some(user) => (user.uid, user.gid),
        None => (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw()),
    };
    Fifo { path: fifo.path, uid, gid, script: fifo.script.map(script) }
}

impl Builder {
    /// The command of a notify line; the complaint about a bad one was made.
    fn command(&mut self, line: &mut Line<'_>) -> Option<Script> {
        shared::notify_command(line, &self.globals.script_user).map(script)
    }
}
