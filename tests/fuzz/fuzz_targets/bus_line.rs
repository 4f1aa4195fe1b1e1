//! Any bytes as what a peer sends: lines are the same however they are cut, and a frame that is read goes out as a line
//! that is read as the same frame.
#![no_main]

use bus::wire::{Lines, decode, encode};
use libfuzzer_sys::fuzz_target;

/// All lines that come out when the bytes come in pieces of this size; stops where the peer is given up.
fn lines(data: &[u8], piece: usize) -> Vec<Vec<u8>> {
    let (mut lines, mut found) = (Lines::new(), Vec::new());
    let mut rest = data;
    while !rest.is_empty() {
        let (now, later) = rest.split_at(piece.min(lines.room()).min(rest.len()));
        rest = later;
        if lines.feed(now).is_err() {
            return found;
        }
        loop {
            match lines.next_line() {
                Ok(Some(line)) => found.push(line.to_vec()),
                Ok(None) => break,
                Err(_) => return found,
            }
        }
    }
    found
}

fuzz_target!(|data: &[u8]| {
    let found = lines(data, usize::MAX);
    assert_eq!(found, lines(data, 1));
    assert_eq!(found, lines(data, 7));
    for line in found {
        let Ok(frame) = decode(&line) else { continue };
        if let Ok(again) = encode(&frame) {
            assert!(again.ends_with(b"\n") && !again[..again.len() - 1].contains(&b'\n'));
            assert_eq!(frame, decode(&again).expect("what we write we can read"));
        }
    }
});
