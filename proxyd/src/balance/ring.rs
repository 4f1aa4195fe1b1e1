//! Consistent hashing: each server has many places on a circle, a key goes to the next one.
//!
//! Invariant: a server that comes or goes moves only the keys next to its own places.

use super::Candidates;
use crate::balance::hash::mix;
use crate::config::model::{Proxy, ServerId};

/// Places a server has on the circle for each unit of weight.
const PLACES_PER_WEIGHT: u32 = 16;

/// The circle, kept until the candidates change.
#[derive(Debug, Default)]
pub struct Ring {
    made_of: Candidates,
    places: Vec<(u32, ServerId)>,
}

impl Ring {
    /// The server of a key; those that are `overloaded` are passed over while another is left.
    pub fn find(
        &mut self,
        all: &Candidates,
        proxy: &Proxy,
        key: u32,
        overloaded: impl Fn(ServerId) -> bool,
    ) -> ServerId {
        if self.made_of != *all {
            self.make(all, proxy);
        }
        // The distances to both neighbours decide; a tie goes forward.
        let n = self.places.len();
        let next = self.places.partition_point(|(at, _)| *at < key) % n;
        let previous = (next + n - 1) % n;
        let forward = self.places[next].0.wrapping_sub(key);
        let back = key.wrapping_sub(self.places[previous].0);
        let mut at = if forward <= back { next } else { previous };
        for _ in 0..n {
            if !overloaded(self.places[at].1) {
                break;
            }
            at = (at + 1) % n;
        }
        self.places[at].1
    }

    fn make(&mut self, all: &Candidates, proxy: &Proxy) {
        self.places.clear();
        for c in all {
            let uuid = proxy.servers[c.id.0].uuid;
            for place in 0..c.weight * PLACES_PER_WEIGHT {
                self.places.push((mix(uuid.wrapping_mul(PLACES_MAX).wrapping_add(place)), c.id));
            }
        }
        self.places.sort_unstable();
        self.made_of.clone_from(all);
    }
}

/// Places any server can have at most; keeps those of neighbours apart.
const PLACES_MAX: u32 = 256 * PLACES_PER_WEIGHT;
