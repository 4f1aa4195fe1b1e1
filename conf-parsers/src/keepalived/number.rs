//! Typed words of a line, with the original's exact complaints about numbers.

use super::walk::Line;
use std::fmt::Display;
use std::time::Duration;

/// The user's spelling of a truth value.
pub fn boolean(word: &str) -> Option<bool> {
    match word {
        "on" | "true" | "yes" => Some(true),
        "off" | "false" | "no" => Some(false),
        _ => None,
    }
}

impl Line<'_> {
    /// A number without sign within `min..=max`.
    pub fn unsigned(&mut self, word: &str, min: u32, max: u32) -> Option<u32> {
        const RANGE: &str = "unsigned integer";
        let value = self.digits(word, RANGE)?;
        let Ok(value) = u32::try_from(value) else {
            self.say(format!("number '{word}' outside {RANGE} range"));
            return None;
        };
        self.within(word, value, min, max)
    }

    /// A number without sign of 64 bits within `min..=max`.
    pub fn unsigned64(&mut self, word: &str, min: u64, max: u64) -> Option<u64> {
        let value = self.digits(word, "unsigned 64 bit")?;
        self.within(word, value, min, max)
    }

    /// A number with sign within `min..=max`.
    pub fn signed(&mut self, word: &str, min: i32, max: i32) -> Option<i32> {
        let digits = word.strip_prefix(['-', '+']).unwrap_or(word);
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            self.say(format!("invalid number '{word}'"));
            return None;
        }
        let Ok(value) = word.parse::<i32>() else {
            self.say(format!("number '{word}' outside integer range"));
            return None;
        };
        self.within(word, value, min, max)
    }

    fn within<T: PartialOrd + Display>(&mut self, word: &str, value: T, min: T, max: T) -> Option<T> {
        let inside = (&min..=&max).contains(&&value);
        if !inside {
            self.outside(word, min, max);
        }
        inside.then_some(value)
    }

    fn outside(&mut self, word: &str, min: impl Display, max: impl Display) {
        let text = format!("number '{word}' outside range [{min}, {max}]");
        self.say_remedy(text, format!("write a number from {min} to {max}"));
    }

    fn digits(&mut self, word: &str, range: &str) -> Option<u64> {
        let digits = word.strip_prefix('+').unwrap_or(word);
        let negative = digits.strip_prefix('-').is_some_and(|d| d.starts_with(|c: char| c.is_ascii_digit()));
        if negative {
            self.say(format!("negative number '{word}'"));
            return None;
        }
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            self.say(format!("invalid number '{word}'"));
            return None;
        }
        let value = digits.parse().ok();
        if value.is_none() {
            self.say(format!("number '{word}' outside {range} range"));
        }
        value
    }

    /// Seconds with up to six decimals; the bounds are microseconds.
    pub fn seconds(&mut self, word: &str, min_us: u64, max_us: u64) -> Option<Duration> {
        let negative = word.strip_prefix('-').is_some_and(|d| d.starts_with(|c: char| c.is_ascii_digit()));
        if negative {
            self.say(format!("negative number '{word}'"));
            return None;
        }
        let Some(us) = microseconds(word) else {
            self.say(format!("invalid number '{word}'"));
            return None;
        };
        match us {
            Some(us) if (min_us..=max_us).contains(&us) => Some(Duration::from_micros(us)),
            _ => {
                let show = |us: u64| format!("{}.{:06}", us / 1_000_000, us % 1_000_000);
                self.outside(word, show(min_us), show(max_us));
                None
            }
        }
    }
}

/// Microseconds of a decimal number of seconds; `None`: no number; `Some(None)`: too large.
fn microseconds(word: &str) -> Option<Option<u64>> {
    /// Microseconds have six digits; what follows is cut.
    const DECIMALS: usize = 6;
    let (whole, fraction) = word.split_once('.').unwrap_or((word, ""));
    let is_digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() && fraction.is_empty() || !is_digits(whole) || !is_digits(fraction) {
        return None;
    }
    let mut micros = 0u64;
    for i in 0..DECIMALS {
        micros = micros * 10 + fraction.as_bytes().get(i).map_or(0, |b| u64::from(b - b'0'));
    }
    let seconds = if whole.is_empty() { Some(0) } else { whole.parse::<u64>().ok() };
    Some(seconds.and_then(|s| s.checked_mul(1_000_000)).and_then(|s| s.checked_add(micros)))
}
