//! Any bytes as a condition of `.if` and `-cc`.
#![no_main]

use conf_parsers::haproxy::cc;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let facts = cc::Facts { version: "2.6.12".into(), ..cc::Facts::default() };
    let _ = cc::evaluate(data, &facts, &|_| None);
});
