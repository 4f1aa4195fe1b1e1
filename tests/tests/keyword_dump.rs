//! `-dKall` beside haproxy's: every line of the original is one of ours, or its absence has a reason in
//! `deviations.toml`. Lines that only ours has are words of other versions, and words that the original reads without a
//! row.

use std::collections::BTreeSet;
use std::process::Command;

use holdfast_tests::node::Program;
use holdfast_tests::oracle::Suite;

/// Class and line, for each line of a dump; the picture over the columns of fetches belongs to none.
fn lines(program: &Program) -> BTreeSet<String> {
    let mut command = Command::new(&program.path);
    command.args(["-dKall", "-q", "-c", "-f", "/dev/null"]).env("HOLDFAST_DIR", "");
    let output = command.output().expect("the program starts");
    let text = String::from_utf8(output.stdout).expect("keywords are text");
    let mut class = String::new();
    let mut out = BTreeSet::new();
    for line in text.lines() {
        if let Some(head) = line.strip_prefix("# List of registered ") {
            class = head.trim_end_matches(':').to_owned();
        }
        out.insert(format!("{class}: {}", line.trim()));
    }
    out
}

#[test]
fn keywords_are_listed_as_haproxy_lists_them() {
    let Some(original) = Program::original("keyword_dump", "haproxy") else { return };
    let ours = lines(&Program::ours("proxyd", "proxyd"));
    let theirs = lines(&original);
    assert!(theirs.len() > 1000, "the original lists its keywords: {}", theirs.len());
    let mut suite = Suite::new("keyword_dump");
    for line in &theirs {
        suite.case(line, line, if ours.contains(line) { line } else { "-" });
    }
    suite.finish();
}
