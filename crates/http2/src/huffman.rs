//! The Huffman code of header strings (RFC 7541, appendix B).
//!
//! The code is canonical: the lengths say it all. Decoding walks a machine of four bits a step, made once.

use std::sync::OnceLock;

/// Lengths of the codes of all bytes, and of the end mark that never stands in a string.
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28,
    28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6,
    6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7,
    8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7,
    15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24,
    23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23,
    23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26,
    26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20,
    21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27,
    27, 27, 26, 30,
];
const LONGEST: u8 = 30;

/// What four more bits lead to.
#[derive(Debug, Clone, Copy, Default)]
struct Step {
    next: u16,
    /// A byte is complete; at most one is, since no code is shorter than five bits.
    symbol: Option<u8>,
    fails: bool,
}

struct Machine {
    steps: Vec<[Step; 16]>,
    /// Where a string may end: behind less than eight bits, all of them ones.
    ends: Vec<bool>,
}

/// Codes of all symbols, left aligned in nothing: the number and its length.
fn codes() -> Vec<(u32, u8)> {
    let mut codes = vec![(0u32, 0u8); LENGTHS.len()];
    let mut code = 0u32;
    for len in 1..=LONGEST {
        code <<= 1;
        for (symbol, _) in LENGTHS.iter().enumerate().filter(|(_, l)| **l == len) {
            codes[symbol] = (code, len);
            code += 1;
        }
    }
    codes
}

fn machine() -> &'static Machine {
    static MACHINE: OnceLock<Machine> = OnceLock::new();
    MACHINE.get_or_init(build)
}

/// A child of a node: another node, a symbol, or nothing yet.
#[derive(Clone, Copy)]
enum Child {
    None,
    Node(usize),
    Leaf(u16),
}

fn build() -> Machine {
    let mut nodes: Vec<[Child; 2]> = vec![[Child::None; 2]];
    for (symbol, (code, len)) in codes().into_iter().enumerate() {
        let mut at = 0;
        for bit in (0..len).rev() {
            let side = (code >> bit & 1) as usize;
            if bit == 0 {
                nodes[at][side] = Child::Leaf(symbol as u16);
                break;
            }
            at = match nodes[at][side] {
                Child::Node(next) => next,
                _ => {
                    nodes.push([Child::None; 2]);
                    let new = nodes.len() - 1;
                    nodes[at][side] = Child::Node(new);
                    new
                }
            };
        }
    }
    let mut ends = vec![false; nodes.len()];
    let mut at = 0;
    for _ in 0..8 {
        ends[at] = true;
        match nodes[at][1] {
            Child::Node(next) => at = next,
            _ => break,
        }
    }
    let steps =
        (0..nodes.len()).map(|from| std::array::from_fn(|nibble| step(&nodes, from, nibble))).collect();
    Machine { steps, ends }
}

fn step(nodes: &[[Child; 2]], from: usize, nibble: usize) -> Step {
    let (mut at, mut symbol) = (from, None);
    for bit in (0..4).rev() {
        match nodes[at][nibble >> bit & 1] {
            Child::Node(next) => at = next,
            Child::Leaf(s) if s < 256 => (at, symbol) = (0, Some(s as u8)),
            Child::Leaf(_) | Child::None => return Step { fails: true, ..Step::default() },
        }
    }
    Step { next: at as u16, symbol, fails: false }
}

/// Appends the decoded string; false where it is none.
pub(crate) fn decode(bytes: &[u8], out: &mut Vec<u8>) -> bool {
    let machine = machine();
    let mut at = 0usize;
    for byte in bytes {
        for nibble in [byte >> 4, byte & 15] {
            let step = machine.steps[at][usize::from(nibble)];
            if step.fails {
                return false;
            }
            if let Some(symbol) = step.symbol {
                out.push(symbol);
            }
            at = usize::from(step.next);
        }
    }
    machine.ends[at]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(bytes: &[u8]) -> Vec<u8> {
        let codes = codes();
        let (mut out, mut bits, mut n) = (Vec::new(), 0u64, 0u32);
        for b in bytes {
            let (code, len) = codes[usize::from(*b)];
            bits = bits << len | u64::from(code);
            n += u32::from(len);
            while n >= 8 {
                n -= 8;
                out.push((bits >> n) as u8);
            }
        }
        if n > 0 {
            out.push((bits << (8 - n)) as u8 | (0xff >> n));
        }
        out
    }

    #[test]
    fn strings_of_the_standard_are_read() {
        // RFC 7541, C.4.1 and C.6.1.
        let mut out = Vec::new();
        let coded = [0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff];
        assert!(decode(&coded, &mut out));
        assert_eq!(out, b"www.example.com");
        out.clear();
        assert!(decode(&[0x64, 0x02], &mut out));
        assert_eq!(out, b"302");
    }

    #[test]
    fn all_bytes_come_back_and_bad_endings_are_told() {
        let all: Vec<u8> = (0..=255).collect();
        let mut out = Vec::new();
        assert!(decode(&encode(&all), &mut out));
        assert_eq!(out, all);
        assert!(!decode(&[0xff, 0xff, 0xff, 0xff], &mut Vec::new()), "the end mark is no string");
        assert!(!decode(&[0xf1, 0xe3, 0xff], &mut Vec::new()), "a whole byte of padding");
        assert!(!decode(&[0x00, 0x00], &mut Vec::new()), "padding of zeros");
    }
}
