//! keepalived's `FILE_CHECK`: a number in a file.
//!
//! Invariant: a file that holds no number, and a missing one unless it must exist, counts as 0; no more than [`READ_MAX`] bytes are read.
//!
//! Absent on purpose: watching (the owner asks again).

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::outcome::{Cause, Outcome, Status};
use crate::{Carrier, Row};

/// The row of this check.
pub const ROW: Row = Row { name: "file", haproxy: &[], keepalived: &["FILE_CHECK"], carrier: Carrier::File };

/// As much as a number needs, with blanks around it.
pub const READ_MAX: usize = 128;

/// `FILE_CHECK`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// Path.
    pub path: PathBuf,
    /// Multiplier; 0 = a value other than 0 is a failure.
    pub weight: i32,
    /// `reverse`: the sign is turned, and with weight 0 the failure is a value of 0.
    #[serde(default)]
    pub reverse: bool,
    /// `alpha`: a file that isn't there fails; else it counts as 0.
    #[serde(default)]
    pub must_exist: bool,
}

/// The value in a file's text.
pub fn value(text: &[u8]) -> i64 {
    let text: String = text.iter().take(READ_MAX).map(|b| char::from(*b)).collect();
    let text = text.trim_start();
    let end = text
        .char_indices()
        .find(|(i, c)| !(c.is_ascii_digit() || (*i == 0 && matches!(c, '-' | '+'))))
        .map_or(text.len(), |(i, _)| i);
    text[..end].parse::<i64>().unwrap_or(0).clamp(i64::from(i32::MIN), i64::from(i32::MAX))
}

/// The outcome of a value; `None` = there is no file.
pub fn outcome(file: &File, value: Option<i64>) -> Outcome {
    let Some(value) = value.or((!file.must_exist).then_some(0)) else {
        return Outcome::new(Status::L7Status, Cause::File(0)).described("no such file");
    };
    if file.weight == 0 {
        let down = (value != 0) != file.reverse;
        return if down {
            Outcome::new(Status::L7Status, Cause::File(value)).coded(value)
        } else {
            Outcome::passed(Status::L7Ok).coded(value)
        };
    }
    let sign = if file.reverse { -1 } else { 1 };
    let mut outcome = Outcome::passed(Status::L7Ok).coded(value);
    outcome.wish.absolute_weight = Some(value * i64::from(file.weight) * sign);
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_people_write_them() {
        for (text, wanted) in [
            ("3\n", 3),
            (" -7 x", -7),
            ("", 0),
            ("abc", 0),
            ("+4", 4),
            ("99999999999999999999", 0),
            ("5000000000", 2_147_483_647),
            ("\0\0", 0),
        ] {
            assert_eq!(value(text.as_bytes()), wanted, "{text:?}");
        }
    }

    #[test]
    fn weights_and_failures() {
        let mut file = File { path: "/x".into(), weight: 1, reverse: false, must_exist: false };
        assert_eq!(outcome(&file, Some(3)).wish.absolute_weight, Some(3));
        assert_eq!(outcome(&file, Some(-300)).wish.absolute_weight, Some(-300));
        file.weight = 0;
        assert!(outcome(&file, Some(0)).is_success());
        assert!(!outcome(&file, Some(1)).is_success());
        assert!(outcome(&file, None).is_success());
        file.must_exist = true;
        assert!(!outcome(&file, None).is_success());
        file.reverse = true;
        assert!(outcome(&file, Some(1)).is_success());
    }
}
