//! Real haproxy.cfg files: read without a complaint that haproxy does not make, print, read again: the same words.
//!
//! The files are found by `HOLDFAST_CORPUS`, by default beside the repository; without them the test says so.

use conf_parsers::Line;
use conf_parsers::haproxy::{self, Host, cc};
use diag::{Report, Severity, SourceMap};
use std::path::{Path, PathBuf};

const SECTIONS: &[&str] = &[
    "global",
    "defaults",
    "frontend",
    "backend",
    "listen",
    "userlist",
    "peers",
    "mailers",
    "resolvers",
    "ring",
    "http-errors",
    "cache",
    "program",
    "fcgi-app",
    "log-forward",
    "log-profile",
    "crt-store",
    "traces",
    "acme",
    "namespace_list",
    "dynamic-update",
];

/// Texts of haproxy's own about lines, as the oracles give them for these files.
const ORACLE: &[&str] = &["Missing LF on last line", "unmatched quote", "too many words", "'"];

#[derive(Default)]
struct Any {
    facts: cc::Facts,
}

impl Host for Any {
    fn opens_section(&self, word: &str) -> bool {
        SECTIONS.contains(&word)
    }
    fn variable(&self, _: &str) -> Option<String> {
        Some("value".into())
    }
    fn facts(&self) -> &cc::Facts {
        &self.facts
    }
}

fn read(text: Vec<u8>) -> (haproxy::Tree, Report) {
    let mut sources = SourceMap::new();
    let file = sources.add("file", text);
    haproxy::parse(&sources, &[file], &mut Any::default())
}

fn corpus() -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus");
    let root = std::env::var_os("HOLDFAST_CORPUS").map_or_else(beside, PathBuf::from);
    root.join("haproxy").is_dir().then_some(root)
}

fn words(line: &Line) -> Vec<Vec<u8>> {
    line.words.iter().map(|w| w.bytes().to_vec()).collect()
}

fn all_words(tree: &haproxy::Tree) -> Vec<Vec<Vec<u8>>> {
    tree.sections.iter().flat_map(|s| std::iter::once(&s.header).chain(&s.lines)).map(words).collect()
}

#[test]
fn real_files_read_and_print_and_read_again() {
    let Some(root) = corpus() else {
        println!("skipped: no corpus; set HOLDFAST_CORPUS");
        return;
    };
    let mut count = 0;
    for entry in std::fs::read_dir(root.join("haproxy")).expect("corpus").flatten() {
        let text = std::fs::read(entry.path()).expect("file");
        let (tree, report) = read(text);
        for item in report.items.iter().filter(|d| d.severity >= Severity::Alert) {
            let known = ORACLE.iter().any(|t| item.text.starts_with(t));
            assert!(known, "{}: {}", entry.path().display(), item.text);
        }
        let (again, second) = read(haproxy::print(&tree.sections));
        assert!(!second.refuses(), "{}: {second:?}", entry.path().display());
        assert_eq!(all_words(&tree), all_words(&again), "{}", entry.path().display());
        count += 1;
    }
    assert!(count > 0, "the corpus holds files");
    println!("{count} files");
}
