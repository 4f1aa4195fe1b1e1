//! Dates: HTTP dates and `strftime` formats, local and UTC.
//!
//! Invariant: a pure calendar (proleptic Gregorian, seconds since 1970); the host's time zone comes from
//! `sys::clock` alone.

use super::{Row, row};
use crate::sample::args::at;
use crate::sample::{Arg, Type, Value};
use std::fmt::Write as _;
use std::time::{Duration, UNIX_EPOCH};

/// Rows of this family.
pub static ROWS: &[Row] = &[
    row("http_date", "[integer,string]", Type::Int, Type::Str, |_, a, x| {
        let parts = match at(a, 1).text() {
            "ms" => 1000,
            "us" => 1_000_000,
            _ => 1,
        };
        let at = x.into_int()?.wrapping_add(at(a, 0).int_or(0));
        // haproxy does not fill the fraction with zeros.
        let fraction = if parts == 1 { String::new() } else { format!(".{}", at % parts) };
        Some(Value::str(http_date((at / parts) & EPOCH_BITS).replace(" GMT", &format!("{fraction} GMT"))))
    })
    .check(|a, _| unit_check(at(a, 1).text())),
    row("ltime", "string[,integer]", Type::Int, Type::Str, |_, a, x| {
        let t = zoned(moment(x.into_int()?, a), 0);
        Some(Value::str(strftime(at(a, 0).text(), &t)))
    }),
    row("ms_ltime", "string[,integer]", Type::Int, Type::Str, |_, a, x| fine(a, x, "ms", true)),
    row("ms_utime", "string[,integer]", Type::Int, Type::Str, |_, a, x| fine(a, x, "ms", false)),
    row("us_ltime", "string[,integer]", Type::Int, Type::Str, |_, a, x| fine(a, x, "us", true)),
    row("us_utime", "string[,integer]", Type::Int, Type::Str, |_, a, x| fine(a, x, "us", false)),
    row("utime", "string[,integer]", Type::Int, Type::Str, |_, a, x| {
        let t = civil(moment(x.into_int()?, a));
        Some(Value::str(strftime(at(a, 0).text(), &t)))
    }),
];

/// Checks a unit of time; the error is haproxy's text.
pub fn unit_check(unit: &str) -> Result<(), String> {
    match unit {
        "" | "s" | "ms" | "us" => Ok(()),
        bad => Err(format!("expects 's', 'ms' or 'us', got '{bad}'")),
    }
}

/// haproxy keeps so many bits of a time before it adds the offset.
const EPOCH_BITS: i64 = (1 << 55) - 1;

/// Seconds with the offset of the second argument.
fn moment(seconds: i64, args: &[Arg]) -> i64 {
    (seconds & EPOCH_BITS).saturating_add(at(args, 1).int_or(0))
}

/// Seconds, and microseconds within.
fn scaled(n: i64, unit: &str) -> (i64, u32) {
    match unit {
        "ms" => (n.div_euclid(1000), n.rem_euclid(1000) as u32 * 1000),
        "us" => (n.div_euclid(1_000_000), n.rem_euclid(1_000_000) as u32),
        _ => (n, 0),
    }
}

/// `%N` is the fraction: three or six digits by the unit.
fn fine<'v>(args: &[Arg], value: Value<'v>, unit: &str, local: bool) -> Option<Value<'v>> {
    let (seconds, micros) = scaled(value.into_int()?, unit);
    let seconds = moment(seconds, args);
    let t = if local { zoned(seconds, 0) } else { civil(seconds) };
    let fraction = if unit == "ms" { format!("{:03}", micros / 1000) } else { format!("{micros:06}") };
    Some(Value::str(strftime(&at(args, 0).text().replace("%N", &fraction), &t)))
}

/// A moment, broken down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Civil {
    /// Year.
    pub year: i64,
    /// 1 to 12.
    pub month: u32,
    /// 1 to 31.
    pub day: u32,
    /// 0 to 23.
    pub hour: u32,
    /// 0 to 59.
    pub minute: u32,
    /// 0 to 59.
    pub second: u32,
    /// 0 is Sunday.
    pub weekday: u32,
    /// 0 to 365.
    pub yearday: u32,
    /// Seconds since 1970, UTC.
    pub epoch: i64,
    /// Seconds east of UTC.
    pub offset_s: i32,
}

/// Names of days.
pub const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
/// Names of months.
pub const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// Breaks a moment in UTC down.
pub fn civil(epoch: i64) -> Civil {
    shifted(epoch, 0)
}

fn shifted(epoch: i64, offset_s: i32) -> Civil {
    let at = epoch.saturating_add(i64::from(offset_s));
    let (days, seconds) = (at.div_euclid(86400), at.rem_euclid(86400));
    // Days from the civil calendar in eras of 400 years, counted from March.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let doe = shifted.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = doy - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = yoe + era * 400 + i64::from(month <= 2);
    let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    let before = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334][month as usize - 1];
    Civil {
        year,
        month: month as u32,
        day: day as u32,
        hour: (seconds / 3600) as u32,
        minute: (seconds % 3600 / 60) as u32,
        second: (seconds % 60) as u32,
        weekday: (days + 4).rem_euclid(7) as u32,
        yearday: (before + day - 1 + i64::from(leap && month > 2)) as u32,
        epoch,
        offset_s,
    }
}

/// Breaks a moment down in the host's time zone.
pub fn zoned(epoch: i64, micros: u32) -> Civil {
    let at = UNIX_EPOCH + Duration::new(epoch.max(0) as u64, micros * 1000);
    shifted(epoch, sys::clock::local(at).offset_s)
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`.
pub fn http_date(epoch: i64) -> String {
    let t = civil(epoch);
    format!(
        "{}, {:02} {} {:04} {:02}:{:02}:{:02} GMT",
        &DAYS[t.weekday as usize][..3],
        t.day,
        &MONTHS[t.month as usize - 1][..3],
        t.year,
        t.hour,
        t.minute,
        t.second
    )
}

/// Seconds of the epoch of an HTTP date in any of its three forms (RFC 9110, 5.6.7).
pub fn parse_http_date(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?.trim();
    let (day, rest) = text.split_once(' ')?;
    if !DAYS.iter().any(|d| *d == day.trim_end_matches(',') || d[..3] == *day.trim_end_matches(',')) {
        return None;
    }
    let words: Vec<&str> = rest.split([' ', '-']).filter(|w| !w.is_empty()).collect();
    let (day, month, year, clock) = match words[..] {
        [day, month, year, clock, "GMT"] => (day, month, year, clock),
        [month, day, clock, year] => (day, month, year, clock),
        _ => return None,
    };
    let month = MONTHS.iter().position(|m| m[..3] == *month)? as i64 + 1;
    let (day, mut year) = (day.parse::<i64>().ok()?, year.parse::<i64>().ok()?);
    if year < 100 {
        year += if year < 70 { 2000 } else { 1900 };
    }
    let mut clock = clock.split(':').map(|n| n.parse::<i64>().ok().filter(|n| (0..=60).contains(n)));
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    if clock.next().is_some() || hour > 23 || !(1..=31).contains(&day) {
        return None;
    }
    // Days from the civil calendar, years beginning in March.
    let y = if month <= 2 { year - 1 } else { year };
    let of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    let days = 365 * y + y.div_euclid(4) - y.div_euclid(100) + y.div_euclid(400) + of_year - 719_468;
    Some(days * 86_400 + hour * 3600 + minute * 60 + second)
}

/// Formats a moment as C's `strftime` does in the C locale.
pub fn strftime(format: &str, t: &Civil) -> String {
    let mut out = String::with_capacity(format.len() + 16);
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut code = chars.next().unwrap_or('%');
        if matches!(code, 'E' | 'O') {
            code = chars.next().unwrap_or('%');
        }
        conversion(code, t, &mut out);
    }
    out
}

fn conversion(code: char, t: &Civil, out: &mut String) {
    let hour12 = if t.hour.is_multiple_of(12) { 12 } else { t.hour % 12 };
    let (day, month) = (DAYS[t.weekday as usize], MONTHS[t.month as usize - 1]);
    let monday = (t.weekday + 6) % 7;
    // Writing to a string cannot fail.
    let _ = match code {
        'a' => write!(out, "{}", &day[..3]),
        'A' => write!(out, "{day}"),
        'b' | 'h' => write!(out, "{}", &month[..3]),
        'B' => write!(out, "{month}"),
        'c' => write!(out, "{}", strftime("%a %b %e %H:%M:%S %Y", t)),
        'C' => write!(out, "{:02}", t.year / 100),
        'd' => write!(out, "{:02}", t.day),
        'D' | 'x' => write!(out, "{:02}/{:02}/{:02}", t.month, t.day, t.year % 100),
        'e' => write!(out, "{:2}", t.day),
        'F' => write!(out, "{}-{:02}-{:02}", t.year, t.month, t.day),
        'g' => write!(out, "{:02}", iso_week(t).0 % 100),
        'G' => write!(out, "{}", iso_week(t).0),
        'H' => write!(out, "{:02}", t.hour),
        'I' => write!(out, "{hour12:02}"),
        'j' => write!(out, "{:03}", t.yearday + 1),
        'k' => write!(out, "{:2}", t.hour),
        'l' => write!(out, "{hour12:2}"),
        'm' => write!(out, "{:02}", t.month),
        'M' => write!(out, "{:02}", t.minute),
        'n' => writeln!(out),
        'p' => write!(out, "{}", if t.hour < 12 { "AM" } else { "PM" }),
        'P' => write!(out, "{}", if t.hour < 12 { "am" } else { "pm" }),
        'r' => write!(
            out,
            "{hour12:02}:{:02}:{:02} {}",
            t.minute,
            t.second,
            if t.hour < 12 { "AM" } else { "PM" }
        ),
        'R' => write!(out, "{:02}:{:02}", t.hour, t.minute),
        's' => write!(out, "{}", t.epoch),
        'S' => write!(out, "{:02}", t.second),
        't' => write!(out, "\t"),
        'T' | 'X' => write!(out, "{:02}:{:02}:{:02}", t.hour, t.minute, t.second),
        'u' => write!(out, "{}", monday + 1),
        'U' => write!(out, "{:02}", (t.yearday + 7 - t.weekday) / 7),
        'V' => write!(out, "{:02}", iso_week(t).1),
        'w' => write!(out, "{}", t.weekday),
        'W' => write!(out, "{:02}", (t.yearday + 7 - monday) / 7),
        'y' => write!(out, "{:02}", t.year % 100),
        'Y' => write!(out, "{}", t.year),
        'z' => write!(out, "{}", zone(t.offset_s)),
        'Z' => write!(out, "{}", if t.offset_s == 0 { "GMT".to_owned() } else { zone(t.offset_s) }),
        '%' => write!(out, "%"),
        other => write!(out, "%{other}"),
    };
}

/// `+hhmm`.
pub fn zone(offset_s: i32) -> String {
    let minutes = offset_s.abs() / 60;
    format!("{}{:02}{:02}", if offset_s < 0 { '-' } else { '+' }, minutes / 60, minutes % 60)
}

/// Year and number of the ISO 8601 week.
fn iso_week(t: &Civil) -> (i64, i64) {
    let monday = i64::from((t.weekday + 6) % 7);
    let week = (i64::from(t.yearday) - monday + 10) / 7;
    let weeks_in = |year: i64| {
        let p = |y: i64| (y + y / 4 - y / 100 + y / 400).rem_euclid(7);
        if p(year) == 4 || p(year - 1) == 3 { 53 } else { 52 }
    };
    if week < 1 {
        (t.year - 1, weeks_in(t.year - 1))
    } else if week > weeks_in(t.year) {
        (t.year + 1, 1)
    } else {
        (t.year, week)
    }
}
