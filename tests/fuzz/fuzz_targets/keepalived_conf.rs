//! Any bytes as keepalived.conf: a tree, and what is printed from it reads back to the same statements.
#![no_main]

use conf_parsers::keepalived::{Brace, ReadOptions, Tree, command_words, parse_bytes};
use libfuzzer_sys::fuzz_target;

fn read(bytes: &[u8]) -> Tree {
    let mut options = ReadOptions::new("vm");
    options.follow_includes = false;
    parse_bytes("f", bytes, &options)
}

fn shape(tree: &Tree) -> Vec<(Vec<&str>, Brace)> {
    let words =
        |s| -> Vec<&str> { (s as &Vec<conf_parsers::Word>).iter().map(|w| w.text.as_str()).collect() };
    tree.statements.iter().map(|s| (words(&s.words), s.brace)).collect()
}

/// Whether the printed text can mean what the tree says: bytes that are no text, words that the reader itself answers
/// and lines beyond its limit can't be written down again.
fn writable(tree: &Tree) -> bool {
    tree.statements.iter().all(|s| {
        let answered = s.text.starts_with(['$', '@', '~']) || s.text.starts_with("include");
        let quotes = s.text.bytes().filter(|b| *b == b'"').count();
        s.words.iter().all(|w| w.raw.is_none())
            && !answered
            && !s.text.contains(['\\', '$', '\u{fffd}'])
            && quotes % 2 == 0
            && s.text.len() < 400
    })
}

fuzz_target!(|data: &[u8]| {
    let tree = read(data);
    for statement in &tree.statements {
        assert!(!statement.words.is_empty());
        for word in &statement.words {
            assert!(word.span.start <= word.span.end && word.span.end as usize <= data.len());
        }
        let _ = command_words(&statement.text);
    }
    if writable(&tree) {
        let text = tree.print();
        assert_eq!(shape(&tree), shape(&read(text.as_bytes())), "printed: {text:?}");
    }
});
