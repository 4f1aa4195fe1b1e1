//! Times, sizes and whole numbers as haproxy's files write them; pure text to value.
//!
//! Invariant: a fault names what is wrong with the text, never the keyword; the keyword's row dresses it.
//! Absent on purpose: floating point times (keepalived's, read in its own grammar), signs on times.

/// The longest time haproxy's timers hold, in their unit: 2^31 − 1.
pub const TIME_MAX: u64 = 2_147_483_647;

/// What is wrong with a time or size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NumberFault {
    /// Larger than the timer or the field can hold.
    Overflow,
    /// Not zero, yet below the smallest step.
    Underflow,
    /// This byte does not belong there; 0 where the text ends too early.
    Unexpected(u8),
}

/// Unit of a time without suffix, and of the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeUnit {
    /// Microseconds.
    Us,
    /// Milliseconds.
    Ms,
    /// Seconds.
    Sec,
    /// Minutes.
    Min,
    /// Hours.
    Hour,
    /// Days.
    Day,
}

impl TimeUnit {
    const fn us(self) -> u128 {
        match self {
            Self::Us => 1,
            Self::Ms => 1_000,
            Self::Sec => 1_000_000,
            Self::Min => 60_000_000,
            Self::Hour => 3_600_000_000,
            Self::Day => 86_400_000_000,
        }
    }
}

fn digits(text: &[u8]) -> (Option<u128>, &[u8]) {
    let end = text.iter().position(|b| !b.is_ascii_digit()).unwrap_or(text.len());
    if end == 0 {
        return (None, text);
    }
    let number =
        text[..end].iter().fold(0u128, |n, d| n.saturating_mul(10).saturating_add(u128::from(*d - b'0')));
    (Some(number), &text[end..])
}

/// A time: digits and one of `us ms s m h d`; without suffix in `unit`. The result is in `unit`, parts of it
/// rounded up, at most [`TIME_MAX`].
pub fn time(text: &str, unit: TimeUnit) -> Result<u32, NumberFault> {
    let (number, rest) = digits(text.as_bytes());
    let number = number.ok_or(NumberFault::Unexpected(rest.first().copied().unwrap_or(0)))?;
    let (scale, rest) = match rest {
        [] => (unit, &b""[..]),
        [b'u', b's', r @ ..] => (TimeUnit::Us, r),
        [b'm', b's', r @ ..] => (TimeUnit::Ms, r),
        [b's', r @ ..] => (TimeUnit::Sec, r),
        [b'm', r @ ..] => (TimeUnit::Min, r),
        [b'h', r @ ..] => (TimeUnit::Hour, r),
        [b'd', r @ ..] => (TimeUnit::Day, r),
        [b'u', ..] => return Err(NumberFault::Unexpected(b'u')),
        [other, ..] => return Err(NumberFault::Unexpected(*other)),
    };
    if let Some(extra) = rest.first() {
        return Err(NumberFault::Unexpected(*extra));
    }
    let value = number.saturating_mul(scale.us()).div_ceil(unit.us());
    if value > u128::from(TIME_MAX) {
        return Err(NumberFault::Overflow);
    }
    Ok(value as u32)
}

/// A time that may say `ms` only by suffix, as a [`std::time::Duration`].
pub fn duration(text: &str, unit: TimeUnit) -> Result<std::time::Duration, NumberFault> {
    let value = u64::from(time(text, unit)?);
    Ok(std::time::Duration::from_micros(value * unit.us() as u64))
}

/// A size: digits and one of `k m g` (also upper case), at most 2^32 − 1.
pub fn size(text: &str) -> Result<u32, NumberFault> {
    let (number, rest) = digits(text.as_bytes());
    let number = number.ok_or(NumberFault::Unexpected(rest.first().copied().unwrap_or(0)))?;
    let (shift, rest) = match rest {
        [] => (0, &b""[..]),
        [b'k' | b'K', r @ ..] => (10, r),
        [b'm' | b'M', r @ ..] => (20, r),
        [b'g' | b'G', r @ ..] => (30, r),
        [other, ..] => return Err(NumberFault::Unexpected(*other)),
    };
    if let Some(extra) = rest.first() {
        return Err(NumberFault::Unexpected(*extra));
    }
    let value = number.checked_shl(shift).filter(|v| v >> shift == number).ok_or(NumberFault::Overflow)?;
    u32::try_from(value).map_err(|_| NumberFault::Overflow)
}

/// A whole number as C's `atol` reads it: sign and leading digits, anything else is 0.
pub fn lenient_int(text: &str) -> i64 {
    let text = text.trim_start();
    let (negative, text) = match text.as_bytes() {
        [b'-', ..] => (true, &text[1..]),
        [b'+', ..] => (false, &text[1..]),
        _ => (false, text),
    };
    let number = digits(text.as_bytes()).0.unwrap_or(0);
    signed(number, negative)
}

/// The same put into 32 bits as C's `atoi` does it, so that what is too large comes out as another number: the
/// original's ranges are checked after that.
pub fn wrapping_int(text: &str) -> i64 {
    i64::from(lenient_int(text) as i32)
}

/// The number with its sign, or the limit it is beyond.
fn signed(number: u128, negative: bool) -> i64 {
    let limit = i64::MAX as u128 + u128::from(negative);
    let number = number.min(limit) as i128;
    (if negative { -number } else { number }) as i64
}

/// A whole number and nothing else; one beyond the limits counts as the limit.
pub fn strict_int(text: &str) -> Option<i64> {
    let unsigned = text.strip_prefix('-').or_else(|| text.strip_prefix('+')).unwrap_or(text);
    if unsigned.is_empty() || !unsigned.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some(signed(digits(unsigned.as_bytes()).0?, text.starts_with('-')))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn times_are_in_the_callers_unit_and_round_up() {
        assert_eq!(time("10", TimeUnit::Ms), Ok(10));
        assert_eq!(time("10s", TimeUnit::Ms), Ok(10_000));
        assert_eq!(time("1500us", TimeUnit::Ms), Ok(2));
        assert_eq!(time("1us", TimeUnit::Ms), Ok(1));
        assert_eq!(time("0us", TimeUnit::Ms), Ok(0));
        assert_eq!(time("2m", TimeUnit::Sec), Ok(120));
        assert_eq!(time("24d", TimeUnit::Ms), Ok(2_073_600_000));
    }

    #[test]
    fn time_faults_are_the_originals() {
        assert_eq!(time("2147483647", TimeUnit::Ms), Ok(2_147_483_647));
        assert_eq!(time("2147483648", TimeUnit::Ms), Err(NumberFault::Overflow));
        assert_eq!(time("25d", TimeUnit::Ms), Err(NumberFault::Overflow));
        assert_eq!(time("5S", TimeUnit::Ms), Err(NumberFault::Unexpected(b'S')));
        assert_eq!(time("1.5s", TimeUnit::Ms), Err(NumberFault::Unexpected(b'.')));
        assert_eq!(time("-1", TimeUnit::Ms), Err(NumberFault::Unexpected(b'-')));
        assert_eq!(time("", TimeUnit::Ms), Err(NumberFault::Unexpected(0)));
    }

    #[test]
    fn sizes_take_one_suffix() {
        assert_eq!(size("16k"), Ok(16_384));
        assert_eq!(size("1M"), Ok(1 << 20));
        assert_eq!(size("10g"), Err(NumberFault::Overflow));
        assert_eq!(size("1x"), Err(NumberFault::Unexpected(b'x')));
    }

    #[test]
    fn lenient_numbers_stop_at_the_first_stranger() {
        assert_eq!(lenient_int("12abc"), 12);
        assert_eq!(lenient_int(" -7"), -7);
        assert_eq!(lenient_int("x"), 0);
        assert_eq!(strict_int("12abc"), None);
        assert_eq!(strict_int("+5"), Some(5));
        assert_eq!(strict_int("-5"), Some(-5));
    }

    #[test]
    fn numbers_too_large_end_at_the_limit_or_wrap() {
        let (long, below) = ("99999999999999999999", "-99999999999999999999");
        assert_eq!((lenient_int(long), lenient_int(below)), (i64::MAX, i64::MIN));
        assert_eq!((strict_int(long), strict_int(below)), (Some(i64::MAX), Some(i64::MIN)));
        assert_eq!((wrapping_int(long), wrapping_int(below)), (-1, 0));
        assert_eq!((wrapping_int("2147483648"), wrapping_int("4294967297")), (-2_147_483_648, 1));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC*") {
            let _ = (time(&text, TimeUnit::Ms), size(&text), lenient_int(&text), strict_int(&text));
        }

        #[test]
        fn a_printed_time_reads_back(ms in 0u32..=2_147_483_647) {
            prop_assert_eq!(time(&ms.to_string(), TimeUnit::Ms), Ok(ms));
            prop_assert_eq!(time(&format!("{ms}ms"), TimeUnit::Ms), Ok(ms));
        }
    }
}
