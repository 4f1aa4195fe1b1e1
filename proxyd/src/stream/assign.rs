//! Which server a stream gets, and what follows when it can't be reached: persistence, choice, queue, retry,
//! redispatch.
//!
//! Invariant: a [`Slot`] counts one session of one server from the choice to the end, whatever happens between.

use super::connect::Refused;
use super::ending::{self, Cause};
use super::hang;
use super::http::{After, Exchange};
use super::txn::{EndedBy, EndedIn, Peer, RequestCookie};
use super::view::Phase;
use crate::balance::queue::{Priority, Turn};
use crate::balance::{self, Choice, Field, Wish};
use crate::config::model::{Algorithm, ProxyId, ServerId};
use crate::runtime::Generation;
use crate::runtime::board::oper;
use crate::runtime::clock;
use crate::runtime::observe::{self, Seen};
use crate::runtime::streams::Phase as Live;
use crate::runtime::suspicion::Why;
use crate::stats::tally::Tally;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;
use std::time::{Duration, Instant};

/// Pause before the same server is tried again: it may be restarting.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// A queue without a timeout is waited in for as long as a clock can say.
const FOR_EVER: Duration = Duration::from_hours(100 * 365 * 24);

/// A session of a server, as the balancer counts it.
#[derive(Debug)]
pub struct Slot<'g> {
    generation: &'g Arc<Generation>,
    at: (ProxyId, ServerId),
}

impl<'g> Slot<'g> {
    /// Counts a session.
    pub fn new(generation: &'g Arc<Generation>, at: (ProxyId, ServerId)) -> Self {
        generation.server(at.0, at.1).sessions.fetch_add(1, Relaxed);
        generation.balancers[at.0.0].touched(generation.proxy(at.0), at.1);
        Self::granted(generation, at)
    }

    /// A session that the queue has counted already.
    fn granted(generation: &'g Arc<Generation>, at: (ProxyId, ServerId)) -> Self {
        let state = generation.server(at.0, at.1);
        let now = state.sessions.load(Relaxed).max(0) as u64;
        let counters = &state.counters;
        counters.cur_sess.plus(1);
        if now > counters.max_sess.load(Relaxed) {
            counters.max_sess.fetch_max(now, Relaxed);
        }
        Self { generation, at }
    }

    /// Whose session it is.
    pub fn at(&self) -> (ProxyId, ServerId) {
        self.at
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        let state = self.generation.server(self.at.0, self.at.1);
        state.counters.cur_sess.minus(1);
        give_back(self.generation, self.at);
    }
}

/// Ends a counted session, and lets those that wait have it.
fn give_back(generation: &Generation, at: (ProxyId, ServerId)) {
    generation.server(at.0, at.1).sessions.fetch_sub(1, Relaxed);
    let balancer = &generation.balancers[at.0.0];
    balancer.touched(generation.proxy(at.0), at.1);
    if !balancer.queue.is_empty() {
        balancer.offer(Field::of(generation, at.0), at.1);
    }
}

/// Where the next try goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// To the same server.
    Same,
    /// To whom the algorithm says, the same one only if there is no other.
    Elsewhere,
}

impl<'g> Exchange<'_, 'g> {
    /// A session of the server that persistence or the algorithm says; waits in the queue where all are full.
    /// `previous` is the server that an earlier try failed on.
    pub async fn assign(&mut self, mut previous: Option<ServerId>) -> Result<Slot<'g>, After> {
        let generation = self.generation;
        let field = Field::of(generation, self.backend);
        let balancer = &generation.balancers[self.backend.0];
        let hash = self.balance_key();
        let timeouts = &self.back().timeouts;
        let until = clock::now() + timeouts.queue.or(timeouts.connect).unwrap_or(FOR_EVER);
        loop {
            let stuck = self.persistent().or_else(|| self.last_server(field));
            let choice = match stuck {
                Some(id) if field.has_room(id) => Choice::Server(id),
                Some(id) => Choice::Wait(Some(id)),
                None => balancer.choose(field, Wish { hash, avoid: previous }),
            };
            if let Choice::Server(id) | Choice::Wait(Some(id)) = choice {
                self.count_choice(id, previous.take(), stuck.is_none());
            }
            match choice {
                Choice::Server(id) => return Ok(Slot::new(generation, (self.backend, id))),
                Choice::None => {
                    field.state.back.failed_conns.fetch_add(1, Relaxed);
                    self.set_end((EndedBy::Server, EndedIn::Connect));
                    return Err(Box::pin(self.reply_error(503)).await);
                }
                Choice::Wait(Some(id)) if is_queue_full(field, id) => {
                    if stuck.is_none() || field.proxy.redispatch.is_none() || self.persistence.forced {
                        return Err(Box::pin(self.queue_refused(id)).await);
                    }
                    self.stick_to = None;
                    previous = Some(id);
                }
                Choice::Wait(server) => match Box::pin(self.queue(server, until)).await? {
                    Turn::Server(id) => return Ok(Slot::granted(generation, (self.backend, id))),
                    Turn::Again => {
                        self.stick_to = None;
                        previous = server;
                    }
                },
            }
        }
    }

    /// `option prefer-last-server`: the server whose connection this client holds, unless too many wait for it.
    fn last_server(&self, field: Field<'_>) -> Option<ServerId> {
        let (at, _) = self.client.private.as_ref()?;
        let wanted = field.proxy.options.prefer_last_server
            && !balance::is_hashing(&field.proxy.balance.algorithm)
            && at.0 == self.backend;
        let id = Some(at.1).filter(|id| wanted && balance::weight(&field.servers[id.0]) > 0)?;
        let most = u64::try_from(field.proxy.max_keep_alive_queue).unwrap_or(0);
        let queued = field.servers[id.0].counters.queue_cur.load(Relaxed);
        (most == 0 || field.has_room(id) || queued + 1 < most).then_some(id)
    }

    /// Counts what a choice means: a new server, a redispatch, or the same one again.
    fn count_choice(&mut self, id: ServerId, previous: Option<ServerId>, balanced: bool) {
        let back = &self.generation.proxies[self.backend.0].back;
        let servers = &self.generation.servers[self.backend.0];
        if balanced && previous != Some(id) {
            servers[id.0].counters.lb_total.plus(1);
            back.lb_total.plus(1);
        }
        let Some(previous) = previous else { return };
        let counters = &servers[previous.0].counters;
        let which = if previous == id {
            [&counters.retries, &back.retries]
        } else {
            if self.parts.txn.cookie_state == RequestCookie::Valid {
                self.parts.txn.cookie_state = RequestCookie::Down;
            }
            self.parts.txn.redispatched = true;
            // The time that the other server took is spent in waiting for this one.
            self.parts.txn.times.queue = None;
            [&counters.redispatches, &back.redispatches]
        };
        for counter in which {
            counter.fetch_add(1, Relaxed);
        }
    }

    /// The hash of the key that the algorithm wants.
    fn balance_key(&mut self) -> Option<u32> {
        let back = self.back();
        let balance = &back.balance;
        if !balance::is_hashing(&balance.algorithm) {
            return None;
        }
        let hashed = |key: &[u8]| balance::hash::hash(balance.function, balance.avalanche, key);
        let phase = if self.raw { Phase::RequestContent } else { Phase::RequestHead };
        match &balance.algorithm {
            Algorithm::Hash(expr) => {
                let view = self.view(back, phase);
                let value = expr.run_as(&view, crate::sample::Type::Bin)?.into_bytes()?;
                Some(hashed(&value))
            }
            Algorithm::RdpCookie(name) => {
                let view = self.view(back, Phase::RequestContent);
                crate::fetch::payload::rdp_value(view.request_bytes, name.as_bytes()).0.map(hashed)
            }
            Algorithm::UrlParam { check_post, .. } => {
                let in_url = balance::hash::of_request(back, Some(&self.parts.request), None);
                let in_body =
                    || balance::hash::in_form(back, self.client.conn.buf.bytes()).filter(|_| *check_post);
                in_url.or_else(|| in_body().filter(|_| self.parts.request.method() == b"POST"))
            }
            _ => {
                let src = match self.parts.txn.src.as_ref().unwrap_or(&self.client.session.src) {
                    Peer::Inet(a) => Some(a.ip()),
                    _ => None,
                };
                let request = (!self.raw).then_some(&self.parts.request);
                balance::hash::of_request(back, request, src)
            }
        }
    }

    async fn queue_refused(&mut self, id: ServerId) -> After {
        self.count_failed_connection(id);
        self.parts.txn.server = Some(id);
        self.set_end((EndedBy::Server, EndedIn::Queue));
        self.reply_error(503).await
    }

    fn count_failed_connection(&self, id: ServerId) {
        self.generation.servers[self.backend.0][id.0].counters.failed_conns.fetch_add(1, Relaxed);
        self.generation.proxies[self.backend.0].back.failed_conns.fetch_add(1, Relaxed);
    }

    async fn queue(&mut self, server: Option<ServerId>, until: Instant) -> Result<Turn, After> {
        let generation = self.generation;
        let queue = &generation.balancers[self.backend.0].queue;
        let (class, offset) = self.parts.txn.priority;
        let at_ms = self.client.worker.engine.ms(clock::now()) as i64 + i64::from(offset);
        self.client.live.phase.set(Live::Queue);
        let place = queue.enter(server, Priority { class, at_ms });
        let back = &generation.proxies[self.backend.0].back;
        let counters = server.map_or(back, |id| &generation.servers[self.backend.0][id.0].counters);
        let now = counters.queue_cur.fetch_add(1, Relaxed) + 1;
        counters.queue_max.fetch_max(now, Relaxed);
        let now = clock::now();
        self.client.deadline.set(now, Some(until.saturating_duration_since(now)));
        let (raw, abort) = (self.raw, self.back().options.abortonclose);
        let (deadline, conn) = (&self.client.deadline, &mut self.client.conn);
        let ended = poll_fn(|cx| {
            if let Poll::Ready(turn) = place.poll_turn(cx) {
                return Poll::Ready(Ok(turn));
            }
            if deadline.poll_passed(cx) {
                return Poll::Ready(Err(Cause::ServerTimeout));
            }
            hang::poll_left(conn, raw, abort, cx).map(|_| Err(Cause::ClientClosed))
        });
        let ended = ended.await;
        counters.queue_cur.fetch_sub(1, Relaxed);
        if ended.is_err()
            && let Some(Turn::Server(id)) = queue.leave(&place)
        {
            give_back(generation, (self.backend, id));
        }
        let txn = &mut self.parts.txn;
        *(if server.is_some() { &mut txn.server_queue } else { &mut txn.backend_queue }) += place.left();
        let cause = match ended {
            Ok(turn) => return Ok(turn),
            Err(cause) => cause,
        };
        self.parts.txn.times.queue = Some(self.since_start());
        self.set_end(ending::queue(cause));
        self.parts.txn.times.queue = Some(self.since_start());
        if cause == Cause::ClientClosed {
            back.cli_aborts.fetch_add(1, Relaxed);
            return Err(After::Abort);
        }
        match server {
            Some(id) => self.count_failed_connection(id),
            None => drop(back.failed_conns.fetch_add(1, Relaxed)),
        }
        Err(self.reply_error(503).await)
    }

    /// A connection failed: where the next try goes, or the end.
    pub async fn failed(&mut self, at: (ProxyId, ServerId), refused: Refused) -> Result<Retry, After> {
        if refused == Refused::ClientGone {
            return Err(After::Abort);
        }
        if refused == Refused::Error {
            self.generation.server(at.0, at.1).suspicion.raise(Why::Refused);
        }
        observe::seen(self.generation, at, Seen::Refused);
        let back = self.back();
        let may = back.retry_on.conn_failure && refused != Refused::Lost;
        if self.parts.txn.retries >= back.retries || !may {
            self.count_failed_connection(at.1);
            let waited = matches!(refused, Refused::Timeout | Refused::Lost);
            let cause = if waited { Cause::ServerTimeout } else { Cause::ServerClosed };
            self.set_end(ending::connect(cause));
            return Err(self.reply_error(503).await);
        }
        self.parts.txn.retries += 1;
        self.client.live.retries.set(self.parts.txn.retries);
        let retry = self.retry(at);
        let field = Field::of(self.generation, at.0);
        let same_likely =
            retry == Retry::Same || balance::is_hashing(&back.balance.algorithm) || field.active() <= 1;
        if refused == Refused::Error && same_likely {
            let pause = back.timeouts.connect.map_or(RETRY_PAUSE, |c| c.min(RETRY_PAUSE));
            self.client.deadline.set(clock::now(), Some(pause));
            self.client.deadline.passed().await;
        }
        Ok(retry)
    }

    /// Whether the next try stays with the server of the last one; counts it if so.
    pub fn retry(&mut self, at: (ProxyId, ServerId)) -> Retry {
        let back = self.back();
        let state = self.generation.server(at.0, at.1);
        let tried = i64::from(self.parts.txn.retries);
        let due = |every: i64| every > 0 && tried % every == 0;
        let field = Field::of(self.generation, at.0);
        let turns = || !balance::is_hashing(&back.balance.algorithm) && field.active() > 1;
        let elsewhere = back.redispatch.is_some_and(|n| {
            let down = !state.is_up() || state.oper.load(Relaxed) < oper::RUNNING;
            let now = if n > 0 { due(i64::from(n)) } else { due(i64::from(back.retries) + 1 + i64::from(n)) };
            down || now || (self.stick_to != Some(at.1) && turns())
        });
        if elsewhere && !self.persistence.forced {
            self.stick_to = None;
            return Retry::Elsewhere;
        }
        state.counters.retries.fetch_add(1, Relaxed);
        self.generation.proxies[at.0.0].back.retries.fetch_add(1, Relaxed);
        Retry::Same
    }
}

fn is_queue_full(field: Field<'_>, id: ServerId) -> bool {
    let most = u64::from(field.proxy.servers[id.0].maxqueue);
    most > 0 && field.servers[id.0].counters.queue_cur.load(Relaxed) >= most
}
