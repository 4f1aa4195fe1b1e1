//! Any text as a sample expression, a condition, a time and a size.
#![no_main]

use conf_parsers::Word;
use conf_parsers::haproxy::{condition, expr};
use conf_parsers::value::{self, TimeUnit};
use diag::{FileId, Span};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok((tree, used)) = expr::prefix(text) {
        assert!(text.is_char_boundary(used));
        let calls = std::iter::once(&tree.fetch).chain(&tree.converters);
        assert!(calls.into_iter().all(|c| c.span.start <= c.span.end && c.span.end as usize <= used));
    }
    let words: Vec<Word> = text.split(' ').map(|w| Word::new(w, Span::new(FileId(0), 0, 0))).collect();
    let _ = condition::parse(&words);
    if let Ok(ms) = value::time(text, TimeUnit::Ms) {
        assert_eq!(value::time(&format!("{ms}ms"), TimeUnit::Ms), Ok(ms));
    }
    if let Ok(bytes) = value::size(text) {
        assert_eq!(value::size(&bytes.to_string()), Ok(bytes));
    }
    let _ = (value::lenient_int(text), value::strict_int(text));
});
