//! Character classes and case-insensitive comparison.

const TOKEN: u8 = 1;
const TARGET: u8 = 2;
const VERSION: u8 = 4;

const CLASS: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut t = [0u8; 256];
    let mut i = 0;
    while i < 256 {
        let b = i as u8;
        if b.is_ascii_alphanumeric()
            || matches!(
                b,
                b'!' | b'#'
                    | b'$'
                    | b'%'
                    | b'&'
                    | b'\''
                    | b'*'
                    | b'+'
                    | b'-'
                    | b'.'
                    | b'^'
                    | b'_'
                    | b'`'
                    | b'|'
                    | b'~'
            )
        {
            t[i] |= TOKEN;
        }
        // haproxy takes DEL and all printable bytes but the fragment mark.
        if b > b' ' && b < 0x80 && b != b'#' {
            t[i] |= TARGET;
        }
        if b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'/' || b == b'.' {
            t[i] |= VERSION;
        }
        i += 1;
    }
    t
}

/// Whether a byte may stand in a method or field name.
#[inline]
pub fn is_token_byte(b: u8) -> bool {
    CLASS[b as usize] & TOKEN != 0
}

/// Whether a byte may stand in a request target.
#[inline]
pub(crate) fn is_target_byte(b: u8) -> bool {
    CLASS[b as usize] & TARGET != 0
}

/// Whether a byte may stand in a protocol version.
#[inline]
pub(crate) fn is_version_byte(b: u8) -> bool {
    CLASS[b as usize] & VERSION != 0
}

/// The first byte from `start` on that may not stand in a token; `None` when the buffer ends before. Letters and
/// hyphens, of which nearly all names are made, are looked at eight at a time.
#[inline]
pub(crate) fn token_end(buf: &[u8], start: usize) -> Option<usize> {
    let mut rest = buf.get(start..)?;
    while let Some((word, after)) = rest.split_first_chunk::<8>() {
        let plain = usual(u64::from_le_bytes(*word)).trailing_ones() as usize / 8;
        if plain == 8 {
            rest = after;
        } else if is_token_byte(word[plain]) {
            rest = &rest[plain + 1..];
        } else {
            return Some(buf.len() - rest.len() + plain);
        }
    }
    rest.iter().position(|b| !is_token_byte(*b)).map(|n| buf.len() - rest.len() + n)
}

/// All bits of a byte where it is an ASCII letter or a hyphen, none elsewhere.
#[inline]
const fn usual(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x80 * ONES;
    let low = (word | (0x20 * ONES)) & !HIGH;
    let from_a = low + (0x80 - b'a' as u64) * ONES;
    let beyond_z = low + (0x7f - b'z' as u64) * ONES;
    let differs = word ^ (b'-' as u64 * ONES);
    let hyphen = !(((differs & !HIGH) + !HIGH) | differs);
    // The high bit of each byte, spread over it.
    let marks = ((from_a & !beyond_z & !word) | hyphen) & HIGH;
    (marks >> 7) * 0xff
}

/// Whether `bytes` equals `lower` but for the case of ASCII letters; `lower` must be in lower case.
#[inline]
pub fn eq_lower(bytes: &[u8], lower: &[u8]) -> bool {
    bytes.len() == lower.len() && bytes.eq_ignore_ascii_case(lower)
}

/// `bytes` without blanks around.
#[inline]
pub(crate) fn trim(bytes: &[u8]) -> &[u8] {
    let blank = |b: &u8| matches!(b, b' ' | b'\t' | b'\r' | b'\n');
    let start = bytes.iter().position(|b| !blank(b)).unwrap_or(bytes.len());
    let end = bytes.iter().rposition(|b| !blank(b)).map_or(start, |e| e + 1);
    &bytes[start..end]
}

/// Elements of a comma-separated list, blanks trimmed, quoted strings kept whole.
pub(crate) fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(value);
    std::iter::from_fn(move || {
        let all = rest?;
        let (mut i, mut quoted) = (0, false);
        while i < all.len() {
            match all[i] {
                b'"' => quoted = !quoted,
                b'\\' if quoted => i += 1,
                b',' if !quoted => break,
                _ => {}
            }
            i += 1;
        }
        let i = i.min(all.len());
        rest = (i < all.len()).then(|| &all[i + 1..]);
        Some(trim(&all[..i]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_token_is_that_of_looking_at_each_byte() {
        for at in 0..20 {
            for b in 0..=255u8 {
                let mut text = *b"Content-Length_x-abc:";
                text[at] = b;
                let want = text.iter().position(|b| !is_token_byte(*b));
                assert_eq!(token_end(&text, 0), want, "{text:?}");
                assert_eq!(token_end(&text[..20], 0), want.filter(|n| *n < 20), "{text:?}");
                let later = text.iter().skip(3).position(|b| !is_token_byte(*b)).map(|n| n + 3);
                assert_eq!(token_end(&text, 3), later, "{text:?}");
            }
        }
        assert_eq!((token_end(b"", 0), token_end(b"abc", 3), token_end(b"abc", 4)), (None, None, None));
    }

    #[test]
    fn usual_bytes_are_letters_and_hyphens() {
        for b in 0..=255u8 {
            for other in [b'a', b'-', 0x80, 0xff, 0] {
                let word = u64::from_le_bytes([other, b, other, b, b, other, other, b]);
                let is = |b: u8| if b.is_ascii_alphabetic() || b == b'-' { 0xff } else { 0 };
                let want = [other, b, other, b, b, other, other, b].map(is);
                assert_eq!(usual(word).to_le_bytes(), want, "{b} {other}");
            }
        }
    }
}
