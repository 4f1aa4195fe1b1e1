//! `leastconn` and `first`: orders that follow from how busy the servers are.
//!
//! Invariant: among servers that are equally busy, leastconn takes the one that was left alone for longest.

use super::{Ask, Order};
use crate::config::model::{Proxy, ServerId};
use crate::runtime::board::ServerState;
use std::sync::atomic::Ordering::Relaxed;

/// Largest weight, in parts; keeps loads of different weights comparable as whole numbers.
const SCALE: u64 = 256 * super::turns::PARTS as u64;

/// `leastconn`.
#[derive(Debug, Default)]
pub struct LeastConn {
    /// Weight, and when a session last began or ended there.
    servers: Vec<(u64, u64)>,
    clock: u64,
}

/// Sessions that a server has, and that wait for it.
fn busy(server: &ServerState) -> u64 {
    server.sessions.load(Relaxed).max(0) as u64 + server.counters.queue_cur.load(Relaxed)
}

impl Order for LeastConn {
    fn set(&mut self, server: ServerId, weight: u32) {
        if self.servers.len() <= server.0 {
            self.servers.resize(server.0 + 1, (0, 0));
        }
        self.servers[server.0].0 = u64::from(weight);
        self.touched(server);
    }

    fn touched(&mut self, server: ServerId) {
        self.clock += 1;
        if let Some(entry) = self.servers.get_mut(server.0) {
            entry.1 = self.clock;
        }
    }

    fn pick(&mut self, ask: &Ask<'_>) -> Option<ServerId> {
        let load = |server: &ServerState, weight: u64| match busy(server) {
            0 => 0,
            busy => (busy + 1) * SCALE / weight,
        };
        let room = |id: ServerId| {
            ask.field.limit(id).is_none_or(|most| {
                let queue = u64::from(ask.field.proxy.servers[id.0].maxqueue);
                busy(&ask.field.servers[id.0]) < most + queue
            })
        };
        let (mut best, mut avoided) = (None, None);
        let all = self.servers.iter().zip(ask.field.servers).enumerate();
        for (i, ((weight, since), server)) in all.filter(|(_, ((weight, _), _))| *weight > 0) {
            let id = ServerId(i);
            let place = if ask.avoid == Some(id) { &mut avoided } else { &mut best };
            let rank = (load(server, *weight), *since, id);
            // Whether there is room is asked only of those who would be taken.
            if place.is_none_or(|first| rank < first) && room(id) {
                *place = Some(rank);
            }
        }
        best.or(avoided).map(|(_, _, id)| id)
    }
}

/// `first`: fills one server before the next, in the order of their ids.
#[derive(Debug)]
pub struct First {
    by_id: Vec<(ServerId, u32)>,
    up: Vec<bool>,
}

impl First {
    /// The order of a backend's servers.
    pub fn new(proxy: &Proxy) -> Self {
        let ids = proxy.servers.iter().enumerate().map(|(i, s)| (ServerId(i), s.uuid));
        let mut by_id: Vec<_> = ids.collect();
        by_id.sort_by_key(|(_, uuid)| *uuid);
        Self { by_id, up: vec![false; proxy.servers.len()] }
    }
}

impl Order for First {
    fn join(&mut self, server: ServerId, uuid: u32) {
        let at = self.by_id.partition_point(|(_, id)| *id < uuid);
        self.by_id.insert(at, (server, uuid));
        self.up.resize(self.up.len().max(server.0 + 1), false);
    }

    fn set(&mut self, server: ServerId, weight: u32) {
        self.up[server.0] = weight > 0;
    }

    fn pick(&mut self, ask: &Ask<'_>) -> Option<ServerId> {
        let open = self.by_id.iter().map(|(id, _)| *id).filter(|id| self.up[id.0] && ask.has_room(*id));
        open.clone().find(|id| ask.avoid != Some(*id)).or_else(|| open.clone().next())
    }
}
