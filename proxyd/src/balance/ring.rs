//! Consistent hashing: each server has many places on a circle, a key goes to the nearest one. `random` throws its
//! keys onto the same circle.
//!
//! Invariant: a server that comes or goes moves only the keys next to its own places.

use super::{Ask, Order};
use crate::balance::hash::spread;
use crate::config::model::{Proxy, ServerId};

/// Places any server can have at most; keeps those of neighbours apart.
const PLACES_MAX: u32 = 256 * super::turns::PARTS;
/// Seed of the draws; any odd number does.
const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

/// The circle of one group of servers.
#[derive(Debug)]
pub struct Ring {
    ids: Vec<u32>,
    weights: Vec<u32>,
    places: Vec<(u32, ServerId)>,
    stale: bool,
    /// The place that the last request without a key got.
    last: Option<usize>,
    /// Draws of `random`; 0 is hashing.
    draws: u32,
    random: u64,
}

impl Ring {
    /// The circle of a backend; `draws` above 0 is `random`.
    pub fn new(proxy: &Proxy, draws: u32) -> Self {
        Self {
            ids: proxy.servers.iter().map(|s| s.uuid).collect(),
            weights: vec![0; proxy.servers.len()],
            places: Vec::new(),
            stale: false,
            last: None,
            draws,
            random: SEED,
        }
    }

    fn lay(&mut self) {
        self.stale = false;
        self.places.clear();
        for (i, (weight, id)) in self.weights.iter().zip(&self.ids).enumerate() {
            for place in 0..*weight {
                self.places.push((spread(id.wrapping_mul(PLACES_MAX).wrapping_add(place)), ServerId(i)));
            }
        }
        self.places.sort_by_key(|(at, _)| *at);
    }

    /// The server of a key; those at their bound and the one to avoid are passed over while another is left.
    fn find(&self, key: u32, ask: &Ask<'_>) -> Option<ServerId> {
        let len = self.places.len();
        if len == 0 {
            return None;
        }
        let next = self.places.partition_point(|(at, _)| *at < key) % len;
        let previous = (next + len - 1) % len;
        let back = key.wrapping_sub(self.places[previous].0);
        let forward = self.places[next].0.wrapping_sub(key);
        let start = if back <= forward { previous } else { next };
        let places = (0..len).map(|n| self.places[(start + n) % len].1);
        let bound = Bound::of(ask, &self.weights);
        let fits = |id: &ServerId| ask.avoid != Some(*id) && bound.as_ref().is_none_or(|b| b.fits(ask, *id));
        places.clone().find(fits).or_else(|| places.clone().next())
    }

    /// Requests without a key go around the circle.
    fn walk(&mut self, ask: &Ask<'_>) -> Option<ServerId> {
        let len = self.places.len();
        let start = self.last.filter(|n| *n < len).map_or(0, |n| n + 1);
        let mut avoided = None;
        for n in 0..len {
            let at = (start + n) % len;
            self.last = Some(at);
            let id = self.places[at].1;
            if ask.has_room(id) {
                if ask.avoid != Some(id) {
                    return Some(id);
                }
                avoided = Some(id);
            }
        }
        avoided
    }

    fn draw(&mut self, ask: &Ask<'_>) -> Option<ServerId> {
        let mut best: Option<ServerId> = None;
        for _ in 0..self.draws {
            // xorshift64: spreads well enough and needs no source of entropy on the hot path.
            self.random ^= self.random << 13;
            self.random ^= self.random >> 7;
            self.random ^= self.random << 17;
            let drawn = self.find((self.random >> 32) as u32, ask)?;
            let weight = |id: ServerId| u64::from(self.weights[id.0]);
            let lighter = |b: ServerId| ask.sessions(drawn) * weight(b) <= ask.sessions(b) * weight(drawn);
            if best.is_none_or(lighter) {
                best = Some(drawn);
            }
        }
        // A full server: wait for any.
        best.filter(|id| ask.has_room(*id))
    }
}

impl Order for Ring {
    fn join(&mut self, server: ServerId, uuid: u32) {
        debug_assert_eq!(self.ids.len(), server.0, "servers join in the order of their places");
        self.ids.push(uuid);
        self.weights.push(0);
    }

    fn set(&mut self, server: ServerId, weight: u32) {
        self.weights[server.0] = weight;
        self.stale = true;
    }

    fn pick(&mut self, ask: &Ask<'_>) -> Option<ServerId> {
        if self.stale {
            self.lay();
        }
        match ask.hash {
            _ if self.draws > 0 => self.draw(ask),
            Some(hash) => self.find(hash, ask),
            None => self.walk(ask),
        }
    }
}

/// `hash-balance-factor`: how many sessions each server may have, given those of all.
struct Bound {
    /// Server, bound, by [`ServerId`].
    most: Vec<u64>,
}

impl Bound {
    fn of(ask: &Ask<'_>, weights: &[u32]) -> Option<Self> {
        let factor = u64::from(ask.field.proxy.hash_balance_factor);
        let total: u64 = weights.iter().map(|w| u64::from(*w)).sum();
        if factor == 0 || total == 0 {
            return None;
        }
        let slots = ((ask.field.served() + 1) * factor).div_ceil(100);
        let (whole, rest) = (slots / total, slots % total);
        let mut before = 0;
        let most = weights.iter().map(|w| {
            let weight = u64::from(*w);
            let share = (before + weight) * rest / total - before * rest / total;
            before += weight;
            (weight * whole + share).max(1)
        });
        Some(Self { most: most.collect() })
    }

    fn fits(&self, ask: &Ask<'_>, id: ServerId) -> bool {
        ask.sessions(id) < self.most[id.0]
    }
}
