//! Shares laid out in a map: `static-rr` walks over it, map-based hashing picks a place by the key.
//!
//! Invariant: each server has as many places as its share of the configured weights, spread evenly.

use super::{Ask, Order};
use crate::config::model::{Proxy, ServerId};

/// The map of one group of servers.
#[derive(Debug, Default)]
pub struct Map {
    shares: Vec<u32>,
    places: Vec<ServerId>,
    stale: bool,
    next: usize,
    /// Common divisor of all configured weights.
    unit: u32,
}

fn common(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { common(b, a % b) }
}

impl Map {
    /// An empty map of a backend's servers.
    pub fn new(proxy: &Proxy) -> Self {
        let unit = proxy.servers.iter().fold(0, |n, s| common(n, s.weight)).max(1);
        Self { unit, ..Self::default() }
    }

    fn lay(&mut self) {
        self.stale = false;
        self.places.clear();
        let total: i64 = self.shares.iter().map(|s| i64::from(*s)).sum();
        let mut credit = vec![0_i64; self.shares.len()];
        for _ in 0..total {
            // Whole rounds of credit count; among equals the first.
            let mut best: Option<(i64, usize)> = None;
            for (i, share) in self.shares.iter().enumerate().filter(|(_, s)| **s > 0) {
                if total > 1 {
                    credit[i] += i64::from(*share);
                }
                let rounds = (credit[i] + total) / total;
                if best.is_none_or(|(most, _)| rounds > most) {
                    best = Some((rounds, i));
                }
            }
            let Some((_, i)) = best else { return };
            credit[i] -= total;
            self.places.push(ServerId(i));
        }
    }

    fn walk(&mut self, ask: &Ask<'_>) -> Option<ServerId> {
        let len = self.places.len();
        if self.next >= len {
            self.next = 0;
        }
        let mut avoided = None;
        for n in 0..len {
            let at = (self.next + n) % len;
            let id = self.places[at];
            if ask.has_room(id) {
                avoided = Some((id, at));
                if ask.avoid != Some(id) {
                    break;
                }
            }
        }
        let (id, at) = avoided?;
        self.next = (at + 1) % len;
        Some(id)
    }
}

impl Order for Map {
    fn set(&mut self, server: ServerId, weight: u32) {
        if self.shares.len() <= server.0 {
            self.shares.resize(server.0 + 1, 0);
        }
        self.shares[server.0] = weight.div_ceil(super::turns::PARTS).div_ceil(self.unit);
        self.stale = true;
    }

    fn pick(&mut self, ask: &Ask<'_>) -> Option<ServerId> {
        if self.stale {
            self.lay();
        }
        match ask.hash {
            _ if self.places.is_empty() => None,
            Some(hash) => Some(self.places[hash as usize % self.places.len()]),
            None => self.walk(ask),
        }
    }
}
