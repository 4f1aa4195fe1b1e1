//! Any text as an address, with and without variables in it.
#![no_main]

use conf_parsers::haproxy::address::{self, Ports};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let variable = |name: &str| (name.len() % 2 == 0).then(|| "192.0.2.1".to_owned());
    for text in [text.to_owned(), address::expand(text, &variable)] {
        let Ok(found) = address::parse(&text) else { continue };
        if let Ports::Fixed(first, last) = found.ports {
            assert!(first <= last);
        }
    }
});
