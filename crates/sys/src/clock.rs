//! Wall-clock time in the host's time zone, for log lines. std has no time zones.

use std::time::{SystemTime, UNIX_EPOCH};

/// A moment in local time, broken down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalTime {
    /// Year, e.g. 2026.
    pub year: i32,
    /// Month, 1 to 12.
    pub month: u8,
    /// Day of the month, 1 to 31.
    pub day: u8,
    /// Hour, 0 to 23.
    pub hour: u8,
    /// Minute, 0 to 59.
    pub minute: u8,
    /// Second, 0 to 60.
    pub second: u8,
    /// Day of the week, 0 is Sunday.
    pub weekday: u8,
    /// Microseconds within the second.
    pub micros: u32,
    /// Seconds east of UTC.
    pub offset_s: i32,
}

const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

impl LocalTime {
    /// English name of the day of the week, three letters.
    pub fn day_name(&self) -> &'static str {
        DAYS[usize::from(self.weekday) % 7]
    }

    /// English name of the month, three letters.
    pub fn month_name(&self) -> &'static str {
        MONTHS[usize::from(self.month.max(1) - 1) % 12]
    }
}

/// Breaks a moment down in the zone of `TZ` or /etc/localtime. Moments before 1970 read as 1970.
pub fn local(at: SystemTime) -> LocalTime {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = since.as_secs() as libc::time_t;
    // SAFETY: both pointers are to live values of the right types; localtime_r writes into `tm` only and keeps
    // neither pointer. All-zero bytes are a valid `tm` (its one pointer may be null).
    let tm = unsafe {
        let mut tm: libc::tm = std::mem::zeroed();
        libc::localtime_r(&raw const seconds, &raw mut tm);
        tm
    };
    LocalTime {
        year: tm.tm_year + 1900,
        month: tm.tm_mon as u8 + 1,
        day: tm.tm_mday as u8,
        hour: tm.tm_hour as u8,
        minute: tm.tm_min as u8,
        second: tm.tm_sec as u8,
        weekday: tm.tm_wday as u8,
        micros: since.subsec_micros(),
        offset_s: tm.tm_gmtoff as i32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn agrees_with_the_clock_in_utc_terms() {
        let t = local(UNIX_EPOCH + Duration::from_micros(1_795_232_991_476_793));
        let seconds = i64::from(t.hour) * 3600 + i64::from(t.minute) * 60 + i64::from(t.second);
        assert_eq!((seconds - i64::from(t.offset_s)).rem_euclid(86400), 1_795_232_991 % 86400);
        assert_eq!((t.year, t.month_name(), t.micros), (2026, "Nov", 476_793));
    }
}
