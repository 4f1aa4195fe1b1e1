//! Definitions, sequences, lists, conditions and references in any order: reading ends and stays within its bounds.
#![no_main]

use conf_parsers::keepalived::{ReadOptions, parse_bytes};
use libfuzzer_sys::fuzz_target;

/// Sequences and lists in one input: each multiplies what follows, and inputs that only wait for the bound to be reached
/// (there is a test for that) teach the fuzzer nothing.
const REPETITIONS_MAX: usize = 4;

/// What one byte of input stands for: nearly all of it is syntax that the reader itself answers.
const TOKENS: &[&str] = &[
    "$A=",
    "$B=",
    "$C=",
    "$A",
    "$B",
    "$C",
    "${A}",
    "${B}",
    "${C}",
    "~SEQ(A, 3) ",
    "~SEQ(B, 1, 4) ",
    "~SEQ(C, 9, -3, 1) ",
    "~SEQx(A, 250, 3, 260) ",
    "~SEQ(",
    "~LST(A, x, y) ",
    "~LST({A,B}, {1,2}, {3}) ",
    "~LST({",
    "~LST(B,",
    "@vm ",
    "@!vm ",
    "@^other ",
    "@other ",
    "@!",
    "@^",
    "@",
    "${_PWD}",
    "${_INSTANCE}",
    "${_RANDOM 1 9}",
    "${_RANDOM}",
    "${_HASH}",
    "${_BANG}",
    "${_ENV HOME}",
    "${_ENV",
    "\\\n",
    "\\",
    "\n",
    " ",
    ",",
    ")",
    "(",
    "{",
    "}",
    "\"",
    "'",
    "#",
    "!",
    "\\#",
    "a",
    "b ",
    "vrrp_instance V",
    "1",
    "-2",
    "0x1f",
    "99999999999999999999",
    "include ",
    "include_",
    "$",
    "=",
    "~",
    "\t",
];

fuzz_target!(|data: &[u8]| {
    let mut repetitions = 0;
    let tokens = data.iter().take(200).map(|b| TOKENS[usize::from(*b) % TOKENS.len()]);
    let few = tokens.filter(|t| {
        repetitions += usize::from(t.starts_with('~'));
        !t.starts_with('~') || repetitions <= REPETITIONS_MAX
    });
    let text: String = few.collect();
    let mut options = ReadOptions::new("vm");
    options.follow_includes = false;
    let tree = parse_bytes("f", text.as_bytes(), &options);
    for word in tree.statements.iter().flat_map(|s| &s.words) {
        assert!(word.span.start <= word.span.end && word.span.end as usize <= text.len());
    }
});
