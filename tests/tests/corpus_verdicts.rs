//! Every real configuration file of the corpus under `-c` or `-t`: the verdict must be the one that the originals' verdicts
//! lead to (`expected.tsv`), or the difference is listed with its reason in `tests/deviations.toml`.
//!
//! The corpus lies beside the repository (`../shared/corpus`) or where `HOLDFAST_CORPUS` says; its own tools make the
//! files, users, names and interfaces that a configuration speaks of in a throw-away root. Without the corpus, python3
//! or the right to mount this says so and is skipped.

use holdfast_tests::node::Program;
use holdfast_tests::oracle::Suite;
use holdfast_tests::{skip, workspace};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The corpus, and the first file of a kind.
fn corpus(test: &str, kind: &str) -> Option<(PathBuf, String, Vec<String>)> {
    let beside = || workspace().join("../shared/corpus");
    let root = std::env::var_os("HOLDFAST_CORPUS").map_or_else(beside, PathBuf::from);
    let Ok(table) = std::fs::read_to_string(root.join("expected.tsv")) else {
        skip(test, "needs the corpus of configuration files (HOLDFAST_CORPUS)");
        return None;
    };
    let names = table.lines().filter_map(|l| l.split('\t').next()).filter(|f| f.starts_with(kind));
    let names: Vec<String> = names.map(str::to_owned).collect();
    let root = root.canonicalize().expect("the corpus can be reached");
    Some((root, table, names))
}

fn tool(root: &Path, work: &Path, name: &str, args: &[&str]) -> std::io::Result<Output> {
    Command::new(root.join("tools").join(name)).args(args).env("CORPUS_WORK", work).output()
}

/// Runs the corpus' own comparison; gives what it says of each file that differs.
fn differing(
    test: &str,
    root: &Path,
    kind: &str,
    program: &Program,
    first: &str,
) -> Option<BTreeMap<String, String>> {
    let work = tempfile::tempdir().expect("a directory");
    let first = root.join(first).display().to_string();
    let probe = tool(root, work.path(), "sandbox.sh", &[&kind[..1], "/bin/true", &first]);
    let ready = probe.is_ok_and(|o| String::from_utf8_lossy(&o.stdout).starts_with("rc=0"));
    if !ready {
        skip(test, "needs root, python3 and overlay mounts for the corpus' sandbox");
        return None;
    }
    let program = program.path.display().to_string();
    let output = tool(root, work.path(), "check.py", &[kind, &program]).expect("check.py starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let summary = text.lines().last().unwrap_or_default();
    assert!(summary.contains(" agree, "), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let lines = text.lines().filter_map(|l| l.split_once(": "));
    Some(lines.map(|(file, said)| (file.to_owned(), said.to_owned())).collect())
}

fn compare(suite: &str, kind: &str, program: &Program) {
    let Some((root, table, names)) = corpus(suite, kind) else { return };
    let Some(first) = names.first() else { panic!("{kind}: no files in {}", root.display()) };
    let Some(differing) = differing(suite, &root, kind, program, first) else { return };
    let mut cases = Suite::new(suite);
    for line in table.lines() {
        let mut columns = line.split('\t');
        let (Some(file), Some(expected)) = (columns.next(), columns.next()) else { continue };
        if names.iter().any(|n| n == file) {
            cases.case(file, expected, differing.get(file).map_or(expected, String::as_str));
        }
    }
    let (all, equal) = cases.score();
    assert_eq!(all - equal, differing.len(), "a file that the corpus' tools name is in its table");
    cases.finish();
}

#[test]
fn haproxy_files_get_their_verdicts() {
    compare("corpus_haproxy", "haproxy", &Program::ours("proxyd", "proxyd"));
}

#[test]
fn keepalived_files_get_their_verdicts() {
    compare("corpus_keepalived", "keepalived", &Program::ours("keepalived", "keepalived"));
}
