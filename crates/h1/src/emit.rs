//! Writes heads and chunk framing into an output buffer.

/// Longest chunk size line: 16 digits and CRLF.
pub const SIZE_LINE_MAX: usize = 18;

/// Appends a name in lower case, as haproxy puts all names on the wire.
#[inline]
pub fn name(out: &mut Vec<u8>, name: &[u8]) {
    let start = out.len();
    out.extend_from_slice(name);
    lower(&mut out[start..]);
}

/// Other forms of header names, by the name in lower case. A form differs from its name in capitals alone.
pub type Cases = std::collections::BTreeMap<String, String>;

/// Gives a name the form that stands for it.
fn capitals(name: &mut [u8], cases: &Cases) {
    let form = std::str::from_utf8(name).ok().and_then(|name| cases.get(name));
    if let Some(form) = form.filter(|form| form.len() == name.len()) {
        name.copy_from_slice(form.as_bytes());
    }
}

/// Gives the names of fields, each in a line of its own, the forms that stand for them, for peers that tell capitals
/// apart.
pub fn adjust(fields: &mut [u8], cases: &Cases) {
    for line in fields.split_mut(|b| *b == b'\n') {
        if let Some(colon) = memchr::memchr(b':', line) {
            capitals(&mut line[..colon], cases);
        }
    }
}

/// The same for a head, whose first line has no name.
pub fn adjust_head(head: &mut [u8], cases: &Cases) {
    if let Some(end) = memchr::memchr(b'\n', head) {
        adjust(&mut head[end..], cases);
    }
}

/// Puts ASCII letters into lower case, eight bytes at a time: names are short, and there are many of them. The last
/// eight overlap those before them, since to lower twice is to lower once.
#[inline]
pub fn lower(bytes: &mut [u8]) {
    let (words, rest) = bytes.as_chunks_mut::<8>();
    for word in words {
        *word = lower_word(u64::from_ne_bytes(*word)).to_ne_bytes();
    }
    if rest.is_empty() {
        return;
    }
    if let Some(word) = bytes.last_chunk_mut::<8>() {
        *word = lower_word(u64::from_ne_bytes(*word)).to_ne_bytes();
        return;
    }
    if let Some(half) = bytes.first_chunk_mut::<4>() {
        *half = lower_half(u32::from_ne_bytes(*half)).to_ne_bytes();
        if let Some(half) = bytes.last_chunk_mut::<4>() {
            *half = lower_half(u32::from_ne_bytes(*half)).to_ne_bytes();
        }
        return;
    }
    for b in bytes {
        b.make_ascii_lowercase();
    }
}

/// Four bytes at once.
#[inline]
const fn lower_half(half: u32) -> u32 {
    lower_word(half as u64) as u32
}

/// Eight bytes at once: the highest bit of a byte says whether it is a capital, and two places down it is the
/// bit that makes it small.
#[inline]
pub(crate) const fn lower_word(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x80 * ONES;
    let low = word & !HIGH;
    let from_a = low + (0x80 - b'A' as u64) * ONES;
    let beyond_z = low + (0x7f - b'Z' as u64) * ONES;
    let capital = from_a & !beyond_z & !word & HIGH;
    word | capital >> 2
}

/// Appends `name: value` and CRLF; the name is written as given.
#[inline]
pub fn field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.reserve(name.len() + value.len() + 4);
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Appends a value that was folded: each CR and LF becomes a blank.
pub fn unfolded(out: &mut Vec<u8>, value: &[u8]) {
    out.extend(value.iter().map(|b| if matches!(b, b'\r' | b'\n') { b' ' } else { *b }));
}

/// Appends a request line.
#[inline]
pub fn request_line(out: &mut Vec<u8>, method: &[u8], target: &[u8], version: (u8, u8)) {
    out.extend_from_slice(method);
    out.push(b' ');
    out.extend_from_slice(target);
    out.extend_from_slice(&[
        b' ',
        b'H',
        b'T',
        b'T',
        b'P',
        b'/',
        b'0' + version.0,
        b'.',
        b'0' + version.1,
        b'\r',
        b'\n',
    ]);
}

/// Appends a status line.
#[inline]
pub fn status_line(out: &mut Vec<u8>, version: (u8, u8), status: u16, reason: &[u8]) {
    out.extend_from_slice(&[b'H', b'T', b'T', b'P', b'/', b'0' + version.0, b'.', b'0' + version.1, b' ']);
    decimal(out, u64::from(status));
    out.push(b' ');
    out.extend_from_slice(reason);
    out.extend_from_slice(b"\r\n");
}

/// Appends a decimal number.
#[inline]
pub fn decimal(out: &mut Vec<u8>, mut n: u64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (n % 10) as u8;
        n /= 10;
        if n == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// Appends a chunk size line.
pub fn chunk_size(out: &mut Vec<u8>, size: u64) {
    let digits = (64 - size.leading_zeros()).div_ceil(4).max(1);
    for i in (0..digits).rev() {
        out.push(b"0123456789ABCDEF"[(size >> (4 * i) & 15) as usize]);
    }
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lower_case_is_that_of_the_standard_library_for_every_byte_in_every_place() {
        for at in 0..8 {
            for b in 0..=255u8 {
                let mut bytes = *b"aZ-@[0zA";
                bytes[at] = b;
                assert_eq!(
                    lower_word(u64::from_ne_bytes(bytes)).to_ne_bytes(),
                    bytes.to_ascii_lowercase()[..],
                    "{bytes:?}"
                );
            }
        }
        for len in 0..=24 {
            let mut long = *b"CONTENT-LENGTH-OF-THINGS";
            let want = [&long[..len].to_ascii_lowercase(), &long[len..]].concat();
            lower(&mut long[..len]);
            assert_eq!(long[..], want[..]);
        }
    }
}
