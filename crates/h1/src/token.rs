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
