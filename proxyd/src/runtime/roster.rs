//! Servers that commands add and delete while their backend runs.
//!
//! Invariant: a server's index stays its own for the life of the generation, so streams, queues and pools that hold one
//! never mean another server. Who is deleted leaves its place behind; it is taken again by a server of the same name
//! and words, so that a deployment that comes and goes does not grow the list.
//!
//! Absent on purpose: words of commands ([`crate::config::dynamic`], [`crate::cli::roster`]).

use super::Generation;
use super::board::{ServerState, admin, oper};
use crate::config::model::{Algorithm, ProxyId, Server, ServerAddress, ServerId};
use std::collections::HashSet;
use std::mem::discriminant;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

/// Lets one in at a time, and counts.
#[derive(Debug, Default)]
pub struct Registrar {
    /// Servers added so far.
    added: Mutex<u64>,
    /// Grows with every server that comes or goes.
    pub edits: AtomicU64,
}

/// Why a server can't be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The configuration names it.
    Referenced,
    /// It is not in maintenance.
    InService,
    /// Somebody is connected to it, or waits for it.
    InUse,
}

/// Whether servers can come and go in a backend: its algorithm must take weights as they come.
pub fn is_open(generation: &Generation, proxy: ProxyId) -> bool {
    let proxy = generation.proxy(proxy);
    let first = matches!(proxy.balance.algorithm, Algorithm::First);
    let dispatches = proxy.servers.first().is_some_and(|s| s.hidden);
    !dispatches && (first || !crate::balance::is_static(&proxy.balance))
}

/// Adds a server, in maintenance unless it is `enabled`. `None` when there is no place left.
pub fn add(generation: &Generation, proxy: ProxyId, mut server: Server, enabled: bool) -> Option<ServerId> {
    let board = &generation.board;
    let mut added = board.roster.added.lock().unwrap_or_else(PoisonError::into_inner);
    let roster = &generation.proxy(proxy).servers;
    if server.uuid == 0 {
        let used: HashSet<u32> =
            roster.iter().filter(|s| !s.life.is_gone() && !s.hidden).map(|s| s.uuid).collect();
        server.uuid = (1..u32::MAX).find(|n| !used.contains(n))?;
    }
    let mut admin = if enabled { 0 } else { admin::FORCED_MAINT };
    if server.disabled {
        admin |= admin::FORCED_MAINT | admin::CONFIGURED_MAINT;
    }
    let key = (generation.proxy(proxy).name.clone(), server.name.clone());
    let known = (0..roster.len()).map(ServerId).find(|id| fits(generation, (proxy, *id), &server));
    let id = match known {
        Some(id) => {
            begin(generation.server(proxy, id), &server, admin);
            id
        }
        None => {
            let state = Arc::new(ServerState::default());
            begin(&state, &server, admin);
            let tls = crate::net::tls::of_server(&server, &generation.config.global, &generation.tls.library);
            // Whoever finds the server finds all that belongs to it.
            generation.tls.servers[proxy.0].add(tls).ok()?;
            generation.servers[proxy.0].add(state).ok()?;
            server.life.end();
            ServerId(roster.add(server).ok()?)
        }
    };
    generation.name_tracked((proxy, id));
    *added += 1;
    roster[id.0].life.begin(*added);
    let state = Arc::clone(generation.server(proxy, id));
    board.servers.lock().unwrap_or_else(PoisonError::into_inner).insert(key, state);
    changed(generation);
    Some(id)
}

/// Whether a deleted server's place can be taken by this one: only their addresses may differ.
fn fits(generation: &Generation, at: (ProxyId, ServerId), server: &Server) -> bool {
    let old = &generation.proxy(at.0).servers[at.1.0];
    let moves = |s: &Server| matches!(s.address, ServerAddress::Inet(_));
    let address = old.address == server.address || moves(old) && moves(server);
    old.life.is_gone()
        && old.name == server.name
        && (old.uuid, &old.cookie, old.track) == (server.uuid, &server.cookie, server.track)
        && old.map_ports == server.map_ports
        && discriminant(&old.address) == discriminant(&server.address)
        && address
        && old.added.is_some()
        && old.added == server.added
        && !is_used(generation.server(at.0, at.1))
}

fn begin(state: &ServerState, server: &Server, admin: u32) {
    state.tenure.fetch_add(1, Relaxed);
    state.counters.clear_all();
    // Connections to where it was are not for the new one.
    state.moves.fetch_add(1, Relaxed);
    *state.detail.lock().unwrap_or_else(PoisonError::into_inner) = super::board::ServerDetail::default();
    state.begin(server, admin);
    let mut detail = state.detail.lock().unwrap_or_else(PoisonError::into_inner);
    // Checks begin when they are enabled.
    (detail.check.enabled, detail.agent.enabled) = (false, false);
}

fn is_used(state: &ServerState) -> bool {
    state.sessions.load(Relaxed) > 0
        || state.counters.cur_sess.load(Relaxed) > 0
        || state.counters.queue_cur.load(Relaxed) > 0
}

/// Deletes a server.
pub fn delete(generation: &Generation, at: (ProxyId, ServerId)) -> Result<(), Refusal> {
    let board = &generation.board;
    let lock = board.roster.added.lock().unwrap_or_else(PoisonError::into_inner);
    let server = &generation.proxy(at.0).servers[at.1.0];
    let state = generation.server(at.0, at.1);
    if is_referenced(generation, at) {
        return Err(Refusal::Referenced);
    }
    if !state.in_maintenance() {
        return Err(Refusal::InService);
    }
    if is_used(state) {
        return Err(Refusal::InUse);
    }
    server.life.end();
    state.admin.fetch_or(admin::FORCED_MAINT, Relaxed);
    state.oper.store(oper::STOPPED, Relaxed);
    state.tenure.fetch_add(1, Relaxed);
    let key = (generation.proxy(at.0).name.clone(), server.name.clone());
    board.servers.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
    drop(lock);
    changed(generation);
    Ok(())
}

/// Whether rules, expressions or other servers name it.
fn is_referenced(generation: &Generation, at: (ProxyId, ServerId)) -> bool {
    let config = &generation.config;
    let servers = || config.proxies.iter().flat_map(|p| &p.servers);
    config.proxies[at.0.0].use_server.iter().any(|rule| rule.server == Some(at.1))
        || servers().any(|s| s.track == Some(at) && !s.life.is_gone())
        || config.refs.names_server(at)
}

fn changed(generation: &Generation) {
    generation.board.weights_changed.fetch_add(1, Relaxed);
    generation.board.roster.edits.fetch_add(1, Relaxed);
}
