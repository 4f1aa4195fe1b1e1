//! Weighted turns: who is next when nothing but weights counts.
//!
//! Each server has a place in line; after its turn it moves back by the sum of all weights over its own. Servers
//! that had no turn yet join, heaviest first, whenever nobody's place has come. That is the order haproxy shows.
//!
//! Invariant: over as many turns as the weights sum up to, each server has as many as its weight.

use super::{Candidate, Candidates};
use crate::config::model::ServerId;

#[derive(Debug, Clone, Copy)]
struct Entry {
    candidate: Candidate,
    /// Its place; `None` before its first turn.
    place: Option<u64>,
    /// What was left over by the last division.
    rest: u64,
}

/// The line of one backend.
#[derive(Debug, Default)]
pub struct Turns {
    made_of: Candidates,
    entries: Vec<Entry>,
    now: u64,
}

impl Turns {
    /// The next server of those in `all` that are also in `from`.
    pub fn next(&mut self, all: &Candidates, from: &Candidates) -> ServerId {
        if self.made_of != *all {
            self.make(all);
        }
        let total: u64 = all.iter().map(|c| u64::from(c.weight)).sum();
        let may = |e: &Entry| from.iter().any(|c| c.id == e.candidate.id);
        let waiting = self.entries.iter().enumerate().filter(|(_, e)| may(e) && e.place.is_some());
        let first = waiting.min_by_key(|(i, e)| (e.place, u32::MAX - e.candidate.weight, *i));
        let first = first.map(|(i, e)| (i, e.place.unwrap_or(0)));
        let fresh = self.entries.iter().position(|e| may(e) && e.place.is_none());
        let (index, place) = match (first, fresh) {
            (Some((i, place)), _) if place <= self.now => (i, place),
            (_, Some(i)) => (i, self.now),
            (Some((i, place)), None) => (i, place),
            (None, None) => return from[0].id,
        };
        let entry = &mut self.entries[index];
        let sum = entry.rest + total;
        let weight = u64::from(entry.candidate.weight);
        entry.place = Some(place.max(self.now.saturating_sub(total)) + sum / weight);
        entry.rest = sum % weight;
        self.now += 1;
        entry.candidate.id
    }

    fn make(&mut self, all: &Candidates) {
        self.made_of.clone_from(all);
        self.now = 0;
        self.entries = all.iter().map(|c| Entry { candidate: *c, place: None, rest: 0 }).collect();
        self.entries.sort_by_key(|e| u32::MAX - e.candidate.weight);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_haproxys() {
        for (weights, want) in [
            (&[1u32, 1, 1, 1][..], "12341234"),
            (&[1, 1, 2], "31323132"),
            (&[2, 3], "2212122121"),
            (&[1, 2, 3, 4], "43423414324342341432"),
            (&[4, 4, 2, 1], "1212312412312123124123"),
            (&[1, 2, 5], "3323313233233132"),
        ] {
            let all: Candidates =
                weights.iter().enumerate().map(|(i, w)| Candidate { id: ServerId(i), weight: *w }).collect();
            let mut turns = Turns::default();
            let got: String = (0..want.len()).map(|_| (turns.next(&all, &all).0 + 1).to_string()).collect();
            assert_eq!(got, want, "{weights:?}");
        }
    }
}
