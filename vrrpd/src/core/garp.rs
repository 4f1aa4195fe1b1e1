//! When to claim the addresses by gratuitous ARP or unsolicited neighbour advertisement.
//!
//! Invariant: a plan exists only while its instance is Master. Absent on purpose: frames, addresses, and the pace
//! between two frames on one interface (io/neighbour.rs).

use super::machine::Claim;
use crate::config::model::Garp;
use std::time::Instant;

/// The claims still to come of one instance.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// The second burst and its size.
    again: Option<(Instant, u32)>,
    /// The next refresh.
    refresh: Option<Instant>,
}

impl Plan {
    /// Follows the machine; returns how many claims to send now for each address (`None`: no burst).
    pub fn claim(&mut self, now: Instant, rules: &Garp, claim: Claim) -> Option<u32> {
        match claim {
            Claim::New => {
                self.again = (!rules.delay.is_zero()).then(|| (now + rules.delay, rules.repeat));
                self.refresh = (!rules.refresh.is_zero()).then(|| now + rules.refresh);
                Some(rules.repeat)
            }
            Claim::Again => {
                if !rules.lower_prio_delay.is_zero() {
                    self.again = Some((now + rules.lower_prio_delay, rules.lower_prio_repeat));
                }
                Some(rules.lower_prio_repeat)
            }
            Claim::Gone => {
                *self = Self::default();
                None
            }
        }
    }

    /// When [`Self::due`] has something to say.
    pub fn deadline(&self) -> Option<Instant> {
        [self.again.map(|a| a.0), self.refresh].into_iter().flatten().min()
    }

    /// How many claims to send now for each address.
    pub fn due(&mut self, now: Instant, rules: &Garp) -> Option<u32> {
        let again = self.again.take_if(|(at, _)| *at <= now).map(|(_, count)| count);
        let refresh = self.refresh.is_some_and(|at| at <= now).then(|| {
            self.refresh = Some(now + rules.refresh);
            rules.refresh_repeat
        });
        again.into_iter().chain(refresh).max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn twice_five_and_then_refreshes_until_the_addresses_are_gone() {
        let t0 = Instant::now();
        let s = Duration::from_secs;
        let rules = Garp { refresh: s(60), refresh_repeat: 2, ..Garp::default() };
        let mut plan = Plan::default();
        assert_eq!(plan.claim(t0, &rules, Claim::New), Some(5));
        assert_eq!(plan.deadline(), Some(t0 + s(5)));
        assert_eq!(plan.due(t0 + s(4), &rules), None);
        assert_eq!(plan.due(t0 + s(5), &rules), Some(5));
        assert_eq!(plan.deadline(), Some(t0 + s(60)));
        assert_eq!(plan.due(t0 + s(60), &rules), Some(2));
        assert_eq!(plan.deadline(), Some(t0 + s(120)));
        assert_eq!(plan.claim(t0 + s(61), &rules, Claim::Again), Some(5));
        assert_eq!(plan.deadline(), Some(t0 + s(66)));
        assert_eq!(plan.claim(t0 + s(62), &rules, Claim::Gone), None);
        assert_eq!(plan.deadline(), None);
    }

    #[test]
    fn no_delay_no_second_burst() {
        let t0 = Instant::now();
        let rules = Garp { delay: Duration::ZERO, repeat: 1, ..Garp::default() };
        let mut plan = Plan::default();
        assert_eq!(plan.claim(t0, &rules, Claim::New), Some(1));
        assert_eq!(plan.deadline(), None);
    }
}
