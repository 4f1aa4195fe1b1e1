//! Wrong configurations: `proxyd -c` and Debian's `haproxy -c` give the same verdict on each line of
//! `config_errors/*.txt`, and the same complaints on those of `lines.txt`.
//!
//! Invariant: each line is judged alone, in a file that is right but for it, so that no complaint hides another.
//!
//! Absent on purpose: the lines that sum up ("Error(s) found …"), since haproxy ends at some faults where ours goes
//! on to report the rest, and notices.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::thread;

use holdfast_tests::node::Program;
use holdfast_tests::oracle::{Suite, normalise};

/// A right configuration; the section in question follows.
const BASE: &str = "defaults\n timeout client 1s\n timeout server 1s\n timeout connect 1s\n\
    listen ok\n mode tcp\n bind 127.0.0.1:8998\n server z 127.0.0.1:1\n";

/// What stands before the line, by its letter.
fn section(letter: &str) -> &'static str {
    match letter {
        "g" => "global\n ",
        "d" => "defaults d\n timeout client 1s\n timeout server 1s\n timeout connect 1s\n mode http\n ",
        "f" => "frontend f\n mode http\n bind 127.0.0.1:8999\n ",
        "t" => "frontend f\n mode tcp\n bind 127.0.0.1:8999\n ",
        "b" => "backend b\n mode http\n ",
        "c" => "backend b\n mode tcp\n ",
        "u" => "userlist u\n ",
        "x" => "",
        _ => panic!("'{letter}' is no section"),
    }
}

/// The file of a case.
fn text_of(case: &str) -> String {
    let (letter, line) = case.split_once(' ').expect("a letter and a line");
    let line = line.replace("\\n", "\n");
    let mut text = format!("{BASE}{}{line}", section(letter));
    // Only a case that says so lacks its last line end.
    if !text.ends_with("mode http") || letter != "x" {
        text.push('\n');
    }
    text
}

/// Exit code and complaints.
fn judge(program: &Path, dir: &Path, file: &str) -> (Option<i32>, String) {
    let mut command = Command::new(program);
    command.args(["-c", "-f", file]).current_dir(dir).env("HOLDFAST_DIR", "");
    let output = command.output().expect("the program starts");
    let said = [output.stderr, output.stdout].map(|o| String::from_utf8_lossy(&o).into_owned()).concat();
    let mut text = String::new();
    for line in normalise(&said).lines() {
        let sum = line.contains("Fatal errors found")
            || line.contains("Error(s) found")
            || line == "Configuration file is valid"
            || line == "Warnings were found.";
        if !line.is_empty() && !line.starts_with("[NOTICE]") && !sum {
            let _ = writeln!(text, "{line}");
        }
    }
    (output.status.code(), text)
}

/// Both verdicts on each case, in their order.
fn judge_all(cases: &[&str], original: &Path, ours: &Path) -> Vec<[(Option<i32>, String); 2]> {
    let dir = tempfile::tempdir().expect("a directory");
    let workers = thread::available_parallelism().map_or(2, usize::from);
    let share = cases.len().div_ceil(workers).max(1);
    thread::scope(|scope| {
        let handles: Vec<_> = cases
            .chunks(share)
            .enumerate()
            .map(|(n, chunk)| {
                let dir = dir.path();
                scope.spawn(move || {
                    let file = format!("t{n}.cfg");
                    let judged = chunk.iter().map(|case| {
                        std::fs::write(dir.join(&file), text_of(case)).expect("a file");
                        [original, ours].map(|p| {
                            let (code, text) = judge(p, dir, &file);
                            (code, text.replace(&file, "t.cfg"))
                        })
                    });
                    judged.collect::<Vec<_>>()
                })
            })
            .collect();
        handles.into_iter().flat_map(|h| h.join().expect("no panic")).collect()
    })
}

fn cases(text: &'static str) -> Vec<&'static str> {
    text.lines().map(str::trim_end).filter(|l| !l.is_empty() && !l.starts_with('#')).collect()
}

#[test]
fn wrong_lines_get_the_verdict_and_the_words_of_haproxy() {
    let Some(original) = Program::original("config_errors", "haproxy") else { return };
    let ours = Program::ours("proxyd", "proxyd");
    let mut suite = Suite::new("config_errors");
    let exact = cases(include_str!("config_errors/lines.txt"));
    for (case, [theirs, mine]) in exact.iter().zip(judge_all(&exact, &original.path, &ours.path)) {
        suite.case(case, &format!("{:?}\n{}", theirs.0, theirs.1), &format!("{:?}\n{}", mine.0, mine.1));
    }
    let verdicts = cases(include_str!("config_errors/verdicts.txt"));
    for (case, [theirs, mine]) in verdicts.iter().zip(judge_all(&verdicts, &original.path, &ours.path)) {
        suite.case(case, &format!("{:?}", theirs.0), &format!("{:?}", mine.0));
        assert!(mine.0 == Some(0) || !mine.1.is_empty(), "{case}: refused without a word");
    }
    assert!(suite.score().0 > 1000, "the cases are read");
    suite.finish();
}
