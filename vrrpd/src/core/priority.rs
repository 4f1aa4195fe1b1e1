//! How trackers change the priority of an instance, or put it into FAULT.
//!
//! Invariant: the result depends on the trackers' present values alone, so no sequence of events can leave a wrong sum
//! behind. Absent on purpose: where the values come from (track/).

use crate::config::model::Tracked;

/// The least and most that trackers make of a priority that is not the owner's.
const EFFECTIVE: std::ops::RangeInclusive<i64> = 1..=254;
/// A file's value times its weight at or below this is FAULT.
const FILE_FAULT: i64 = -254;

/// What a tracker says about an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Points to add (may be negative or zero).
    Weight(i64),
    /// The instance cannot serve.
    Fault,
    /// Nobody knows yet, and until then the instance must not start.
    Unknown,
}

/// Scripts, interfaces and processes: up, down or not known yet. A weight above zero counts while up, below zero while
/// down, zero means FAULT while down; `reverse` swaps up and down for FAULT and the sign for weights.
pub fn switch(tracked: &Tracked, up: Option<bool>) -> Effect {
    let weight = i64::from(tracked.weight);
    let Some(up) = up else {
        return if weight == 0 { Effect::Unknown } else { Effect::Weight(0) };
    };
    let sign = if tracked.reverse { -1 } else { 1 };
    match weight {
        0 if up == tracked.reverse => Effect::Fault,
        1.. if up => Effect::Weight(weight * sign),
        ..=-1 if !up => Effect::Weight(weight * sign),
        _ => Effect::Weight(0),
    }
}

/// Files: a number. Times the weight it is added; -254 and less is FAULT. Weight 0: any value but 0 is FAULT, with
/// `reverse` 0 is.
pub fn file(tracked: &Tracked, value: i64) -> Effect {
    let sign = if tracked.reverse { -1 } else { 1 };
    match i64::from(tracked.weight) {
        0 if (value == 0) == tracked.reverse => Effect::Fault,
        0 => Effect::Weight(0),
        weight => match value.saturating_mul(weight * sign) {
            product if product <= FILE_FAULT => Effect::Fault,
            product => Effect::Weight(product),
        },
    }
}

/// Base priority and all weights: what is announced. The owner's never changes.
pub fn effective(base: u8, weights: impl Iterator<Item = i64>) -> u8 {
    if base == super::machine::OWNER {
        return base;
    }
    let sum = weights.fold(i64::from(base), i64::saturating_add);
    sum.clamp(*EFFECTIVE.start(), *EFFECTIVE.end()) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tracked(weight: i32, reverse: bool) -> Tracked {
        Tracked { name: "t".into(), weight, reverse }
    }

    #[test]
    fn a_switch_counts_as_the_manual_says() {
        let cases = [
            ((10, false, Some(true)), Effect::Weight(10)),
            ((10, false, Some(false)), Effect::Weight(0)),
            ((-10, false, Some(true)), Effect::Weight(0)),
            ((-10, false, Some(false)), Effect::Weight(-10)),
            ((10, true, Some(true)), Effect::Weight(-10)),
            ((-10, true, Some(false)), Effect::Weight(10)),
            ((0, false, Some(true)), Effect::Weight(0)),
            ((0, false, Some(false)), Effect::Fault),
            ((0, true, Some(true)), Effect::Fault),
            ((0, true, Some(false)), Effect::Weight(0)),
            ((0, false, None), Effect::Unknown),
            ((5, false, None), Effect::Weight(0)),
        ];
        for ((weight, reverse, up), want) in cases {
            assert_eq!(switch(&tracked(weight, reverse), up), want, "{weight} {reverse} {up:?}");
        }
    }

    #[test]
    fn a_file_multiplies() {
        assert_eq!(file(&tracked(1, false), -60), Effect::Weight(-60));
        assert_eq!(file(&tracked(2, true), 10), Effect::Weight(-20));
        assert_eq!(file(&tracked(1, false), -254), Effect::Fault);
        assert_eq!(file(&tracked(1, false), 300), Effect::Weight(300));
        assert_eq!(file(&tracked(0, false), 1), Effect::Fault);
        assert_eq!(file(&tracked(0, false), 0), Effect::Weight(0));
        assert_eq!(file(&tracked(0, true), 0), Effect::Fault);
        assert_eq!(file(&tracked(i32::MAX, false), i64::MAX), Effect::Weight(i64::MAX));
    }

    #[test]
    fn the_sum_stays_in_range_and_the_owner_is_the_owner() {
        assert_eq!(effective(150, [-60, 0].into_iter()), 90);
        assert_eq!(effective(150, [-1000].into_iter()), 1);
        assert_eq!(effective(150, [i64::MAX, i64::MAX].into_iter()), 254);
        assert_eq!(effective(255, [-60].into_iter()), 255);
    }
}
