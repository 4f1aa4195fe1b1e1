//! Any text as a log-format string.
#![no_main]

use conf_parsers::haproxy::log_format;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = log_format::parse(text);
});
