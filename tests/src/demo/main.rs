//! The demonstration behind `make demo`: two hosts and a client in namespaces, unchanged configuration files,
//! and a list of things that die while the client keeps asking.
//!
//! Invariant: every figure in the closing table was measured in this run, from outside, by the client's answers
//! and the kernels' address tables; nothing is taken from the daemons' own words.
//!
//! Absent on purpose: any judgement. A figure is printed, good or bad; the tests judge.

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::files::Files;
use crate::stage::{Programs, Stage};

mod acts;
mod client;
mod files;
mod stage;
mod timeline;
mod web;

type Fallible<T> = Result<T, Box<dyn Error>>;

/// A path from the environment; empty counts as absent, as make passes it.
fn path_from(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from)
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            timeline::say(&format!("demo: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn run() -> Fallible<()> {
    let keep = std::env::var("KEEP").is_ok_and(|v| v == "1");
    let programs = Programs::from_environment(path_from("HAPROXY"), path_from("KEEPALIVED"))?;
    let own_haproxy = path_from("HAPROXY_CFG");
    let own_keepalived = std::env::var("KEEPALIVED_CONF").ok().filter(|v| !v.is_empty());
    let files = Files::load(own_haproxy, own_keepalived)?;
    let stage = Stage::build(files, &programs)?;
    stage.tell_limits(&programs)?;
    let results = acts::play(&stage)?;
    acts::closing_table(&stage, &results);
    if keep {
        stage.keep()?;
    }
    Ok(())
}
