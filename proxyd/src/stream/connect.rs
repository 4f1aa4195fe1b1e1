//! From a request that may go on to a server's connection: pick, queue, reuse, connect, retry, redispatch.
//!
//! Invariant: a [`Slot`] counts one session of one server from the choice to the end, whatever happens between.

use super::ending::{self, Cause};
use super::http::{After, Exchange};
use super::txn::{EndedBy, EndedIn, Peer};
use super::view::Phase;
use crate::balance::{self, Choice, Wish};
use crate::config::model::{
    ConnectionMode, HttpReuse, MapPorts, ProxyId, SendProxy, Server as Settings, ServerAddress, ServerId,
};
use crate::mux::wire::{Conn, Wire};
use crate::net::connect::{self, Target};
use crate::net::proxy_protocol;
use crate::runtime::Generation;
use crate::runtime::board::ServerState;
use crate::runtime::clock;
use crate::runtime::streams::Phase as Live;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;
use std::time::{Duration, Instant};

/// Pause before the same server is tried again: it may be restarting.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// A session of a server, as the balancer counts it.
#[derive(Debug)]
pub struct Slot<'g> {
    generation: &'g Arc<Generation>,
    at: (ProxyId, ServerId),
}

impl<'g> Slot<'g> {
    /// Counts a session.
    pub fn new(generation: &'g Arc<Generation>, at: (ProxyId, ServerId)) -> Self {
        let state = generation.server(at.0, at.1);
        let now = state.sessions.fetch_add(1, Relaxed) + 1;
        let counters = &state.counters;
        counters.cur_sess.fetch_add(1, Relaxed);
        if now as u64 > counters.max_sess.load(Relaxed) {
            counters.max_sess.fetch_max(now as u64, Relaxed);
        }
        Self { generation, at }
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        let state = self.generation.server(self.at.0, self.at.1);
        state.sessions.fetch_sub(1, Relaxed);
        state.counters.cur_sess.fetch_sub(1, Relaxed);
        self.generation.balancers[self.at.0.0].queue.free(self.at.1);
    }
}

/// A server's connection in use.
#[derive(Debug)]
pub struct Server<'g> {
    /// The bytes.
    pub conn: Conn,
    /// Whose.
    pub at: (ProxyId, ServerId),
    /// Taken from the pool.
    pub reused: bool,
    /// A second attempt after a stale connection of the pool.
    pub stale_retry: bool,
    /// It can serve another request.
    pub keep_alive: bool,
    /// Requests served before.
    pub uses: u32,
    /// Addresses of both ends.
    pub ends: (Peer, Peer),
    /// Bytes before the first request: the PROXY header.
    pub prefix: Vec<u8>,
    /// The session it counts as.
    pub slot: Slot<'g>,
}

impl Server<'_> {
    /// Its live state.
    pub fn state<'g>(&self, generation: &'g Generation) -> &'g ServerState {
        generation.server(self.at.0, self.at.1)
    }

    /// Counts a response of the server.
    pub fn count_status(&self, generation: &Generation, status: u16) {
        self.state(generation).counters.count_status(status);
    }
}

/// Why no connection could be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// Nobody listens, or the network says no.
    Error,
    /// Nothing was heard in time.
    Timeout,
    /// The client left while we waited.
    ClientGone,
}

impl<'c> Exchange<'c> {
    /// A connection to a server of the backend; on failure the client was told.
    pub async fn attach(&mut self) -> Result<Server<'c>, After> {
        let mut avoid = None;
        loop {
            let id = self.choose(avoid).await?;
            let at = (self.backend, id);
            let slot = Slot::new(self.generation, at);
            self.note_choice(at);
            let stale_retry = self.parts.txn.times.connect.is_some();
            if !stale_retry && let Some(idle) = self.reuse(at) {
                let server = Server {
                    conn: idle.conn,
                    at,
                    reused: true,
                    stale_retry,
                    keep_alive: true,
                    uses: idle.uses,
                    ends: idle.ends,
                    prefix: Vec::new(),
                    slot,
                };
                self.connected(&server);
                return Ok(server);
            }
            match self.open(at).await {
                Ok((conn, ends, prefix)) => {
                    let keep_alive = self.server_keep_alive();
                    let server = Server {
                        conn,
                        at,
                        reused: false,
                        stale_retry,
                        keep_alive,
                        uses: 0,
                        ends,
                        prefix,
                        slot,
                    };
                    self.connected(&server);
                    return Ok(server);
                }
                Err(refused) => {
                    drop(slot);
                    avoid = self.failed(at, refused).await?;
                }
            }
        }
    }

    fn server_keep_alive(&self) -> bool {
        let back = self.back();
        back.options.connection_mode == ConnectionMode::KeepAlive
            && self.frontend().options.connection_mode == ConnectionMode::KeepAlive
    }

    fn connected(&mut self, server: &Server<'_>) {
        let elapsed = self.since_start();
        self.parts.txn.times.connect = Some(elapsed);
        self.parts.txn.server_ends = server.ends.clone();
        self.client.live.server_fd.set(server.conn.wire.socket().map_or(-1, |s| s.as_raw_fd()));
        self.client.live.phase.set(Live::Established);
        let counters = &server.state(self.generation).counters;
        let back = &self.generation.proxies[self.backend.0].back;
        let which =
            if server.reused { [&counters.reuse, &back.reuse] } else { [&counters.connect, &back.connect] };
        for counter in which {
            counter.fetch_add(1, Relaxed);
        }
        counters.rates.sess.add(self.client.worker.engine.ms(self.parts.txn.start + elapsed), 1);
    }

    fn note_choice(&mut self, at: (ProxyId, ServerId)) {
        self.parts.txn.server = Some(at.1);
        self.client.live.server.set(Some(at.1));
        self.client.live.phase.set(Live::Connect);
        let elapsed = self.since_start();
        self.client.live.chosen.set(self.parts.txn.start + elapsed);
        self.parts.txn.times.queue.get_or_insert(elapsed);
    }

    /// The server of the persistence rules, or of the algorithm; waits in the queue where all are full.
    async fn choose(&mut self, avoid: Option<ServerId>) -> Result<ServerId, After> {
        let back = self.back();
        let states = &self.generation.servers[self.backend.0];
        let balancer = &self.generation.balancers[self.backend.0];
        let src = match &self.client.session.src {
            Peer::Inet(a) => Some(a.ip()),
            _ => None,
        };
        let hash = if balance::is_hashing(&back.balance.algorithm) {
            balance::hash::of_request(back, Some(&self.parts.request), src)
        } else {
            None
        };
        let until = clock::now() + back.timeouts.queue.or(back.timeouts.connect).unwrap_or(Duration::MAX / 4);
        let mut waited = false;
        loop {
            let wish = Wish { hash, avoid };
            let choice = match self.persistent(avoid) {
                Some(id) if balance::has_room(back, states, id) => Choice::Server(id),
                Some(id) => Choice::Wait(Some(id)),
                None => match balancer.choose(back, states, wish) {
                    // Who comes later must not overtake those that wait.
                    Choice::Server(_) if !waited && !balancer.queue.is_empty() => Choice::Wait(None),
                    Choice::Server(id) => {
                        states[id.0].counters.lb_total.fetch_add(1, Relaxed);
                        self.generation.proxies[self.backend.0].back.lb_total.fetch_add(1, Relaxed);
                        Choice::Server(id)
                    }
                    other => other,
                },
            };
            match choice {
                Choice::Server(id) => return Ok(id),
                Choice::None => {
                    self.set_end((EndedBy::Server, EndedIn::Connect));
                    return Err(self.reply_error(503).await);
                }
                Choice::Wait(server) => {
                    waited = true;
                    self.queue(server, until).await?;
                }
            }
        }
    }

    async fn queue(&mut self, server: Option<ServerId>, until: Instant) -> Result<(), After> {
        let back = self.back();
        let queue = &self.generation.balancers[self.backend.0].queue;
        if let Some(id) = server {
            let limit = back.servers[id.0].maxqueue;
            if limit > 0 && queue.len_of(id) >= limit as usize {
                self.set_end((EndedBy::Proxy, EndedIn::Queue));
                return Err(self.reply_error(503).await);
            }
        }
        self.client.live.phase.set(Live::Queue);
        let (place, before) = queue.enter(server, self.parts.txn.priority);
        let counters = &self.generation.proxies[self.backend.0].back;
        let now = counters.queue_cur.fetch_add(1, Relaxed) + 1;
        counters.queue_max.fetch_max(now, Relaxed);
        self.parts.txn.backend_queue = before;
        let now = clock::now();
        self.client.deadline.set(now, Some(until.saturating_duration_since(now)));
        let deadline = &self.client.deadline;
        let turn = poll_fn(|cx| match place.poll_turn(cx) {
            Poll::Ready(()) => Poll::Ready(true),
            Poll::Pending if deadline.poll_passed(cx) => Poll::Ready(false),
            Poll::Pending => Poll::Pending,
        });
        let turn = turn.await;
        counters.queue_cur.fetch_sub(1, Relaxed);
        if turn {
            return Ok(());
        }
        queue.leave(&place, server);
        self.set_end(ending::queue(Cause::ServerTimeout));
        Err(self.reply_error(503).await)
    }

    fn reuse(&mut self, at: (ProxyId, ServerId)) -> Option<crate::runtime::worker::Idle> {
        if !self.server_keep_alive() {
            return None;
        }
        if let Some((of, mut idle)) = self.client.private.take()
            && of == at
            && idle.conn.is_quiet()
        {
            return Some(idle);
        }
        let first = self.client.session.requests == 0;
        let reused_only = match self.back().http_reuse {
            HttpReuse::Never => return None,
            HttpReuse::Safe if first => return None,
            HttpReuse::Aggressive => first,
            HttpReuse::Safe | HttpReuse::Always => false,
        };
        self.client.worker.take_idle(self.generation, at, reused_only)
    }

    /// Connects to a server.
    async fn open(&mut self, at: (ProxyId, ServerId)) -> Result<(Conn, (Peer, Peer), Vec<u8>), Refused> {
        let generation = Arc::clone(self.generation);
        let back = generation.proxy(at.0);
        let settings = &back.servers[at.1.0];
        let dst = self.parts.txn.dst.as_ref().unwrap_or(&self.client.session.dst);
        let Some(target) = target(settings, generation.server(at.0, at.1), dst) else {
            return Err(Refused::Error);
        };
        let options = connect::Options {
            source: settings.source.clone().or_else(|| back.source.clone()),
            spoof: spoof(settings.source.as_ref().or(back.source.as_ref()), &self.client.session.src),
            keepalive: back.options.srvtcpka,
            no_linger: back.options.nolinger,
            user_timeout: settings.tcp_ut,
        };
        self.client.deadline.set(clock::now(), back.timeouts.connect);
        let deadline = &self.client.deadline;
        let mut connecting = pin!(connect::connect(&target, &options));
        let wire = poll_fn(|cx| match connecting.as_mut().poll(cx) {
            Poll::Ready(Ok(wire)) => Poll::Ready(Ok(wire)),
            Poll::Ready(Err(_)) => Poll::Ready(Err(Refused::Error)),
            Poll::Pending if deadline.poll_passed(cx) => Poll::Ready(Err(Refused::Timeout)),
            Poll::Pending => Poll::Pending,
        });
        let wire = wire.await?;
        let remote = match &target {
            Target::Inet(address) => Peer::Inet(*address),
            _ => Peer::Unix,
        };
        let local = wire.tcp().and_then(|s| s.local_addr().ok()).map_or(Peer::Unknown, Peer::Inet);
        let mut prefix = Vec::new();
        if let Some(kind) = settings.send_proxy {
            header(&mut prefix, kind, &self.client.session);
        }
        let mut conn = Conn::new(wire);
        if settings.tls.as_ref().is_some_and(|t| t.enabled) {
            // The PROXY header goes before the handshake.
            let sent = super::answer::write_all(&mut conn, &self.client.deadline, &prefix).await;
            prefix.clear();
            if sent.is_err() {
                return Err(Refused::Error);
            }
            self.secure(at, &mut conn).await?;
        }
        Ok((conn, (local, remote), prefix))
    }

    /// Runs the TLS handshake with a server, under the connect timeout.
    async fn secure(&mut self, at: (ProxyId, ServerId), conn: &mut Conn) -> Result<(), Refused> {
        let generation = Arc::clone(self.generation);
        let back = generation.proxy(at.0);
        let client = generation.tls.servers[at.0.0][at.1.0].as_ref().ok_or(Refused::Error)?;
        let settings = back.servers[at.1.0].tls.as_ref();
        let sni = settings.and_then(|t| t.sni.as_ref()).and_then(|expr| {
            let view = self.view(back, Phase::RequestHead);
            let value = expr.run_as(&view, crate::sample::Type::Str)?.into_bytes()?;
            String::from_utf8(value.to_vec()).ok()
        });
        let stream = conn.take_tcp().ok_or(Refused::Error)?;
        let deadline = &self.client.deadline;
        let mut shaking = pin!(crate::net::tls::connect(client, sni.as_deref(), stream));
        let done = poll_fn(|cx| match shaking.as_mut().poll(cx) {
            Poll::Ready(Ok(stream)) => Poll::Ready(Ok(stream)),
            Poll::Ready(Err(_)) => Poll::Ready(Err(Refused::Error)),
            Poll::Pending if deadline.poll_passed(cx) => Poll::Ready(Err(Refused::Timeout)),
            Poll::Pending => Poll::Pending,
        });
        let stream = done.await?;
        self.parts.txn.server_tls = Some(Arc::new(crate::net::tls::info(stream.get_ref().1, sni.as_deref())));
        conn.wire = Wire::TlsClient(Box::new(stream));
        Ok(())
    }

    /// A connection failed: the server to avoid next, or the end.
    async fn failed(&mut self, at: (ProxyId, ServerId), refused: Refused) -> Result<Option<ServerId>, After> {
        let back = self.back();
        let counters = &self.generation.server(at.0, at.1).counters;
        let proxy = &self.generation.proxies[self.backend.0].back;
        counters.failed_conns.fetch_add(1, Relaxed);
        let left = back.retries.saturating_sub(self.parts.txn.retries);
        if left == 0 || !back.retry_on.conn_failure || refused == Refused::ClientGone {
            proxy.failed_conns.fetch_add(1, Relaxed);
            let cause = if refused == Refused::Timeout { Cause::ServerTimeout } else { Cause::ServerClosed };
            self.set_end(ending::connect(cause));
            return Err(self.reply_error(503).await);
        }
        self.parts.txn.retries += 1;
        self.client.live.retries.set(self.parts.txn.retries);
        let tried = self.parts.txn.retries as i32;
        let elsewhere = match back.redispatch {
            None | Some(0) => false,
            Some(n) if n < 0 => tried == back.retries as i32 + 1 + n,
            Some(n) => tried % n == 0,
        };
        if elsewhere && balance::usable(back, &self.generation.servers[at.0.0]).len() > 1 {
            self.parts.txn.redispatched = true;
            counters.redispatches.fetch_add(1, Relaxed);
            proxy.redispatches.fetch_add(1, Relaxed);
            return Ok(Some(at.1));
        }
        counters.retries.fetch_add(1, Relaxed);
        proxy.retries.fetch_add(1, Relaxed);
        // haproxy waits before it asks the same server again only where the choice can't fall on another one.
        let only = balance::is_hashing(&back.balance.algorithm)
            || balance::usable(back, &self.generation.servers[at.0.0]).len() <= 1;
        if refused == Refused::Error && only {
            let pause = back.timeouts.connect.map_or(RETRY_PAUSE, |c| c.min(RETRY_PAUSE));
            self.client.deadline.set(clock::now(), Some(pause));
            self.client.deadline.passed().await;
        }
        self.stick_to = Some(at.1);
        Ok(None)
    }
}

/// Where a server is now: what the CLI or DNS said, ports as the client's where the server has none.
pub fn target(settings: &Settings, state: &ServerState, dst: &Peer) -> Option<Target> {
    let dst = match dst {
        Peer::Inet(a) => Some(*a),
        _ => None,
    };
    let port = |own: u16| match settings.map_ports {
        MapPorts::No => Some(own),
        MapPorts::Offset(n) => dst.and_then(|d| u16::try_from(i32::from(d.port()) + n).ok()),
    };
    match &settings.address {
        ServerAddress::Unix(path) => Some(Target::Unix(path.clone())),
        ServerAddress::Abstract(name) => Some(Target::Abstract(name.clone())),
        ServerAddress::Destination(own) => {
            let dst = dst?;
            Some(Target::Inet(SocketAddr::new(
                dst.ip(),
                port(*own).filter(|p| *p != 0).unwrap_or(dst.port()),
            )))
        }
        ServerAddress::Inet(_) | ServerAddress::Name(..) => {
            let address = state.address()?;
            Some(Target::Inet(SocketAddr::new(address.ip(), port(address.port())?)))
        }
    }
}

fn spoof(source: Option<&crate::config::model::Source>, src: &Peer) -> Option<SocketAddr> {
    match (source?.usesrc.as_deref()?, src) {
        ("client", Peer::Inet(a)) => Some(*a),
        ("clientip", Peer::Inet(a)) => Some(SocketAddr::new(a.ip(), 0)),
        (text, _) => text.parse().ok(),
    }
}

/// The PROXY header for a session.
pub fn header(out: &mut Vec<u8>, kind: SendProxy, session: &super::txn::Session) {
    let ends = match (&session.src, &session.dst) {
        (Peer::Inet(src), Peer::Inet(dst)) => Some((*src, *dst)),
        _ => None,
    };
    match kind {
        SendProxy::V1 => proxy_protocol::write_v1(out, ends),
        SendProxy::V2 => proxy_protocol::write_v2(out, ends, &[]),
        SendProxy::V2Ssl | SendProxy::V2SslCn => {
            // Client flags and verification result; without TLS both are zero (PROXY protocol, 2.2.6).
            let value = [u8::from(session.tls.is_some()), 0, 0, 0, 0];
            proxy_protocol::write_v2(out, ends, &[(0x20, value.to_vec())]);
        }
    }
}
