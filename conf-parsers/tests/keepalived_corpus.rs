//! All keepalived.conf files of the corpus, where it is there: they parse without a syntax complaint that the
//! originals don't make, and print to text that reads back to the same statements. And the same for made-up text.

use conf_parsers::keepalived::{Brace, ReadOptions, Tree, parse_bytes};
use proptest::prelude::*;
use std::path::PathBuf;

/// Where the corpus is: `HOLDFAST_CORPUS`, else beside the repository.
fn corpus() -> Option<PathBuf> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/corpus");
    let path = std::env::var_os("HOLDFAST_CORPUS").map_or_else(|| PathBuf::from(beside), PathBuf::from);
    path.join("keepalived").is_dir().then_some(path)
}

fn read(bytes: &[u8]) -> Tree {
    let mut options = ReadOptions::new("vm");
    options.follow_includes = false;
    parse_bytes("config.conf", bytes, &options)
}

/// The words of all statements, with how each ends.
fn shape(tree: &Tree) -> Vec<(Vec<String>, Brace)> {
    let words = |s: &conf_parsers::keepalived::Statement| s.words.iter().map(|w| w.text.clone()).collect();
    tree.statements.iter().map(|s| (words(s), s.brace)).collect()
}

#[test]
fn every_file_reads_and_reads_back() {
    let Some(corpus) = corpus() else {
        println!("skipped: no corpus (HOLDFAST_CORPUS)");
        return;
    };
    let mut files = 0;
    for entry in std::fs::read_dir(corpus.join("keepalived")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let tree = read(&std::fs::read(&path).unwrap());
        let again = read(tree.print().as_bytes());
        assert_eq!(shape(&again), shape(&tree), "{name} does not read back");
        let heard = |suffix: &str| {
            let path = corpus.join(format!("verdicts/{name}.{suffix}.prep.txt"));
            String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned()
        };
        let heard = heard("k2.2") + &heard("k2.4");
        // Where an original crashed or hung, its output is no measure.
        let told = !["rc=124", "rc=139", "rc=143"].iter().any(|rc| heard.contains(rc));
        for complaint in tree.complaints().filter(|c| c.counts && told) {
            assert!(heard.contains(&complaint.text), "{name}: {}", complaint.text);
        }
        files += 1;
    }
    assert!(files > 100, "the corpus has {files} files");
}

proptest! {
    #[test]
    fn any_bytes_give_a_tree(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let tree = read(&bytes);
        prop_assert!(tree.statements.iter().all(|s| !s.words.is_empty()));
    }

    #[test]
    fn syntax_gives_a_tree(text in "([a-z@$~!#\\\\\"'{}()=, \n]|\\$A=|\\$\\{A\\}|\\$A |~SEQ\\(V, 3\\) |~LST\\(V,a\\) |@vm |\\\\\n){0,60}") {
        let tree = read(text.as_bytes());
        for statement in &tree.statements {
            for word in &statement.words {
                prop_assert!(word.span.start <= word.span.end && word.span.end as usize <= text.len());
            }
        }
    }

    #[test]
    fn plain_statements_read_back(lines in proptest::collection::vec("[a-z0-9_./:-]{1,8}( [a-z0-9_./:-]{1,8}| \"[a-z {}#!]{0,8}\"){0,4}( \\{)?|\\}", 0..20)) {
        let tree = read(lines.join("\n").as_bytes());
        let again = read(tree.print().as_bytes());
        prop_assert_eq!(shape(&again), shape(&tree));
    }
}
