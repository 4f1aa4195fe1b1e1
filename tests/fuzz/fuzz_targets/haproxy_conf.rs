//! Any bytes as haproxy.cfg: a tree, and what is printed from it reads back to the same words.
#![no_main]

use conf_parsers::haproxy::{Host, Tree, cc, parse, print};
use diag::SourceMap;
use libfuzzer_sys::fuzz_target;

struct Any(cc::Facts);

impl Host for Any {
    fn opens_section(&self, word: &str) -> bool {
        matches!(word, "global" | "defaults" | "frontend" | "backend" | "listen")
    }
    fn variable(&self, name: &str) -> Option<String> {
        (name.len() % 2 == 0).then(|| "a b".into())
    }
    fn facts(&self) -> &cc::Facts {
        &self.0
    }
}

fn read(text: Vec<u8>) -> Tree {
    let mut sources = SourceMap::new();
    let file = sources.add("f", text);
    parse(&sources, &[file], &mut Any(cc::Facts::default())).0
}

fn words(tree: &Tree) -> Vec<Vec<Vec<u8>>> {
    let lines = tree.sections.iter().flat_map(|s| std::iter::once(&s.header).chain(&s.lines));
    lines.map(|l| l.words.iter().map(|w| w.bytes().to_vec()).collect()).collect()
}

fuzz_target!(|data: &[u8]| {
    let tree = read(data.to_vec());
    let has_nul =
        tree.sections.iter().flat_map(|s| &s.lines).flat_map(|l| &l.words).any(|w| w.bytes().contains(&0));
    let dots = words(&tree).iter().any(|l| l[0].starts_with(b"."));
    if !has_nul && !dots {
        assert_eq!(words(&tree), words(&read(print(&tree.sections))));
    }
});
