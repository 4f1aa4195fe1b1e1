//! Character classes and case-insensitive comparison.

use crate::emit::lower_word;

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
    let low = (word | (0x20 * ONES)) & !HIGH;
    let from_a = low + (0x80 - b'a' as u64) * ONES;
    let beyond_z = low + (0x7f - b'z' as u64) * ONES;
    let differs = word ^ (b'-' as u64 * ONES);
    let hyphen = !(((differs & !HIGH) + !HIGH) | differs);
    // The high bit of each byte, spread over it.
    let marks = ((from_a & !beyond_z & !word) | hyphen) & HIGH;
    (marks >> 7) * 0xff
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x80 * ONES;

/// The high bit of each byte that is zero. Bytes above a zero may be marked too, those below never.
#[inline]
const fn zeros(word: u64) -> u64 {
    word.wrapping_sub(ONES) & !word & HIGH
}

/// Words that are looked at here before longer searches are begun, which cost more to begin.
const NEAR: usize = 4;

/// The first CR or LF from `start` on.
#[inline]
pub(crate) fn break_at(buf: &[u8], start: usize) -> Option<usize> {
    let mut rest = buf.get(start..)?;
    for _ in 0..NEAR {
        let Some((word, after)) = rest.split_first_chunk::<8>() else { break };
        let word = u64::from_le_bytes(*word);
        let marks = zeros(word ^ (u64::from(b'\r') * ONES)) | zeros(word ^ (u64::from(b'\n') * ONES));
        if marks != 0 {
            return Some(buf.len() - rest.len() + marks.trailing_zeros() as usize / 8);
        }
        rest = after;
    }
    memchr::memchr2(b'\r', b'\n', rest).map(|n| buf.len() - rest.len() + n)
}

/// The first byte from `start` on that may not stand in a request target; `None` when the buffer ends before.
#[inline]
pub(crate) fn target_end(buf: &[u8], start: usize) -> Option<usize> {
    let mut rest = buf.get(start..)?;
    while let Some((word, after)) = rest.split_first_chunk::<8>() {
        let word = u64::from_le_bytes(*word);
        // Blanks and control characters, what is no ASCII, and the fragment mark; a borrow comes from marked bytes only.
        let marks = (word.wrapping_sub((u64::from(b' ') + 1) * ONES) & !word & HIGH)
            | (word & HIGH)
            | zeros(word ^ (u64::from(b'#') * ONES));
        if marks != 0 {
            return Some(buf.len() - rest.len() + marks.trailing_zeros() as usize / 8);
        }
        rest = after;
    }
    rest.iter().position(|b| !is_target_byte(*b)).map(|n| buf.len() - rest.len() + n)
}

/// Whether `bytes` equals `lower` but for the case of ASCII letters; `lower` must be in lower case.
#[inline]
pub fn eq_lower(bytes: &[u8], lower: &[u8]) -> bool {
    if bytes.len() != lower.len() {
        return false;
    }
    // The last eight bytes overlap those before them: to compare twice says the same.
    if let (Some(end), Some(want)) = (bytes.last_chunk::<8>(), lower.last_chunk::<8>()) {
        let same = |a: &[u8; 8], b: &[u8; 8]| lower_word(u64::from_ne_bytes(*a)) == u64::from_ne_bytes(*b);
        let (words, wanted) = (bytes.as_chunks::<8>().0, lower.as_chunks::<8>().0);
        return same(end, want) && words.iter().zip(wanted).all(|(a, b)| same(a, b));
    }
    bytes.eq_ignore_ascii_case(lower)
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
    fn searches_by_words_find_what_looking_at_each_byte_finds() {
        for (len, at) in (0..44).flat_map(|len| (0..=len).map(move |at| (len, at))) {
            for b in [
                0, 9, b'\n', 11, 12, b'\r', 14, b' ', b'!', b'"', b'#', b'$', 126, 127, 128, 138, 141, 163,
                255,
            ] {
                let mut text: Vec<u8> = (0..len).map(|n| b"/path-of.things?a=b&~\x7f"[n % 22]).collect();
                if let Some(spot) = text.get_mut(at) {
                    *spot = b;
                }
                for from in [0, 3, at, len, len + 1] {
                    let rest = text.get(from..);
                    let want = |hit: fn(u8) -> bool| Some(rest?.iter().position(|b| hit(*b))? + from);
                    assert_eq!(target_end(&text, from), want(|b| !is_target_byte(b)), "{text:?} {from}");
                    assert_eq!(
                        break_at(&text, from),
                        want(|b| matches!(b, b'\r' | b'\n')),
                        "{text:?} {from}"
                    );
                }
            }
        }
    }

    #[test]
    fn names_are_equal_but_for_case() {
        let lower = b"content-length-of-things-[1]";
        for len in 0..=lower.len() {
            for (at, b) in (0..=len).flat_map(|at| (0..=255u8).map(move |b| (at, b))) {
                let mut text = lower.to_ascii_uppercase()[..len].to_vec();
                if let Some(spot) = text.get_mut(at) {
                    *spot = b;
                }
                assert_eq!(
                    eq_lower(&text, &lower[..len]),
                    text.eq_ignore_ascii_case(&lower[..len]),
                    "{text:?}"
                );
            }
            assert!(!eq_lower(&lower[..len], lower) || len == lower.len());
        }
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
