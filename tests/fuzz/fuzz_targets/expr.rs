//! Any text as a sample expression, a condition, an address, a time and a size.
#![no_main]

use conf_parsers::Word;
use conf_parsers::haproxy::{address, condition, expr};
use conf_parsers::value::{self, TimeUnit};
use diag::{FileId, Span};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok((_, used)) = expr::prefix(text) {
        assert!(text.is_char_boundary(used));
    }
    let words: Vec<Word> = text.split(' ').map(|w| Word::new(w, Span::new(FileId(0), 0, 0))).collect();
    let _ = condition::parse(&words);
    let _ = address::parse(&address::expand(text, &|_| None));
    let _ = (value::time(text, TimeUnit::Ms), value::size(text), value::lenient_int(text));
});
