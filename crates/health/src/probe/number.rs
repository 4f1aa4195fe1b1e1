//! Numbers that are made of replies: `status-code`.
//!
//! Invariant: any reply gives one; what is not there counts as 0.
//!
//! Absent on purpose: expressions of the daemon's own language, which come here with their value.

use super::steps::latin1;
use serde::{Deserialize, Serialize};

/// A number made of a reply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Number {
    /// Given.
    Fixed(i64),
    /// Decimal digits at a place.
    Payload {
        /// First byte.
        offset: usize,
        /// How many.
        length: usize,
    },
}

impl Number {
    /// The number that this reply gives.
    pub fn read(&self, payload: &[u8]) -> i64 {
        match self {
            Self::Fixed(n) => *n,
            Self::Payload { offset, length } => {
                let digits: String = latin1(slice(payload, *offset, *length))
                    .chars()
                    .take_while(char::is_ascii_digit)
                    .collect();
                digits.parse().unwrap_or(0)
            }
        }
    }
}

/// A part of a payload; to its end with a length of 0.
pub(super) fn slice(payload: &[u8], offset: usize, length: usize) -> &[u8] {
    let rest = payload.get(offset..).unwrap_or_default();
    if length == 0 { rest } else { rest.get(..length).unwrap_or(rest) }
}
