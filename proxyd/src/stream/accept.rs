//! From an accepted connection to a session: connection rules, PROXY header, TLS, session rules, then the mode.
//!
//! Invariant: each connection counted on entry is counted off once, however it ends.

use super::handshake::Before;
use super::txn::{Peer, Session};
use super::view::{Phase as RulePhase, View};
use crate::action::{Flow as Next, RuleSet, Verdict};
use crate::config::model::{BindAddress, Mode, ProxyId};
use crate::mux::wire::{Conn, Wire};
use crate::runtime::Generation;
use crate::runtime::clock;
use crate::runtime::engine;
use crate::runtime::streams::{Live, Phase, Waits};
use crate::runtime::timers::Deadline;
use crate::runtime::worker::Worker;
use std::cell::Cell;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// A client's connection, as long as it lasts.
#[derive(Debug)]
pub struct Client {
    /// The thread's own.
    pub worker: Rc<Worker>,
    /// The configuration the connection was accepted under.
    pub generation: Arc<Generation>,
    /// The bytes.
    pub conn: Conn,
    /// The record.
    pub session: Box<Session>,
    /// Its one deadline.
    pub deadline: Deadline,
    /// What others see of it.
    pub live: Rc<Live>,
    slot: usize,
    /// It is not counted: one stream of many on a connection, or a record is left of it, which counts.
    pub uncounted: bool,
    /// It was answered before its request was whole: more of that is to come.
    pub owes: bool,
    /// It counts among the TLS connections, which its stream takes over with the handshake.
    pub seated: bool,
    /// Its last server connection, kept for it alone (`http-reuse never`).
    pub private: Option<((ProxyId, crate::config::model::ServerId), Box<crate::runtime::worker::Idle>)>,
}

impl Drop for Client {
    fn drop(&mut self) {
        self.worker.streams.leave(self.slot);
        if self.seated {
            self.generation.board.process.ssl_conns.fetch_sub(1, Relaxed);
        }
        if !self.uncounted {
            left(&self.worker, &self.generation, self.session.frontend);
        }
    }
}

impl Client {
    /// A task's view of a connection, which is counted already.
    pub fn new(
        worker: &Rc<Worker>,
        generation: Arc<Generation>,
        conn: Conn,
        session: Session,
        since: Instant,
    ) -> Self {
        let deadline = Deadline::default();
        let fd = conn.wire.socket().map_or(-1, |s| s.as_raw_fd());
        let live = Rc::new(seen(&session, fd, since, &deadline));
        Self {
            worker: Rc::clone(worker),
            generation,
            conn,
            session: Box::new(session),
            deadline,
            slot: worker.streams.enter(Rc::clone(&live)),
            live,
            uncounted: false,
            owes: false,
            seated: false,
            private: None,
        }
    }
}

/// Counts a connection of this thread off.
pub fn left(worker: &Worker, generation: &Generation, frontend: ProxyId) {
    leave(generation, frontend);
    engine::ended(worker);
}

/// Counts a connection among those of the moment. The thread that accepts does it, before it looks at the limits
/// again: the one that serves may come to it later.
pub fn enter(generation: &Generation, frontend: ProxyId, bind: usize) {
    if is_secure(generation, frontend, bind) {
        generation.board.process.ssl_conns.fetch_add(1, Relaxed);
    }
    generation.board.process.cur_conns.fetch_add(1, Relaxed);
    let front = &generation.proxies[frontend.0].front;
    let now = front.cur_conn.fetch_add(1, Relaxed) + 1;
    if now > front.max_conn.load(Relaxed) {
        front.max_conn.fetch_max(now, Relaxed);
    }
}

/// Whether what comes there begins with TLS.
pub fn is_secure(generation: &Generation, frontend: ProxyId, bind: usize) -> bool {
    let proxy = generation.config.proxies.get(frontend.0);
    proxy.and_then(|p| p.binds.get(bind)).is_some_and(|b| b.tls.is_some())
}

/// Counts it off again.
pub fn leave(generation: &Generation, frontend: ProxyId) {
    generation.proxies[frontend.0].front.cur_conn.fetch_sub(1, Relaxed);
    generation.board.process.cur_conns.fetch_sub(1, Relaxed);
}

/// Takes a TCP connection.
pub fn tcp(
    worker: &Rc<Worker>,
    stream: tokio::net::TcpStream,
    peer: SocketAddr,
    frontend: ProxyId,
    bind: usize,
    at: Instant,
) {
    let generation = worker.engine.generation.load_full();
    let dst =
        match generation.config.proxies.get(frontend.0).and_then(|p| p.binds.get(bind)).map(|b| &b.address) {
            // A bind line with one address says where it was connected to: no system call.
            Some(BindAddress::Inet(a)) if !a.ip().is_unspecified() && a.port() != 0 => Some(*a),
            _ => stream.local_addr().ok(),
        };
    let dst = dst.map_or(Peer::Unknown, Peer::Inet);
    begin(worker, generation, Wire::Tcp(stream), (Peer::Inet(peer), dst), frontend, bind, at);
}

/// Takes a connection of a Unix socket.
pub fn unix(
    worker: &Rc<Worker>,
    stream: tokio::net::UnixStream,
    frontend: ProxyId,
    bind: usize,
    at: Instant,
) {
    let generation = worker.engine.generation.load_full();
    begin(worker, generation, Wire::Unix(stream), (Peer::Unix, Peer::Unix), frontend, bind, at);
}

fn begin(
    worker: &Rc<Worker>,
    generation: Arc<Generation>,
    wire: Wire,
    (src, dst): (Peer, Peer),
    frontend: ProxyId,
    bind: usize,
    at: Instant,
) {
    let ms = worker.engine.ms(at);
    let process = &generation.board.process;
    process.cum_conns.fetch_add(1, Relaxed);
    process.conn_rate.add(ms, 1);
    let front = &generation.proxies[frontend.0].front;
    front.cum_conn.fetch_add(1, Relaxed);
    front.rates.conn.add(ms, 1);
    let session = Session {
        id: process.next_id.fetch_add(1, Relaxed),
        accepted: at,
        accepted_at: clock::wall(),
        frontend,
        bind,
        real_src: src.clone(),
        real_dst: dst.clone(),
        src,
        dst,
        kernel: crate::fetch::kernel::handle(&wire),
        thread: worker.index,
        ..Session::blank()
    };
    let seated = is_secure(&generation, frontend, bind);
    let mut client = Client::new(worker, generation, Conn::new(wire), session, at);
    client.seated = seated;
    tokio::task::spawn_local(clock::ticking(serve(client)));
}

/// What others see of a connection or stream that begins.
fn seen(session: &Session, fd: i32, at: Instant, deadline: &Deadline) -> Live {
    Live {
        id: session.id,
        accepted_at: session.accepted_at,
        frontend: session.frontend,
        bind: session.bind,
        fd,
        src: Cell::new(Live::address(&session.src)),
        dst: Live::address(&session.dst),
        phase: Cell::new(Phase::Idle),
        began: Cell::new(at),
        backend: Cell::new(None),
        server: Cell::new(None),
        chosen: Cell::new(at),
        server_fd: Cell::new(-1),
        retries: Cell::new(0),
        waits: Cell::new(Waits::Not),
        alarm: deadline.alarm(),
    }
}

impl Client {
    /// One stream of this connection, as a client of its own: its session begins as a copy.
    #[must_use]
    pub fn of_stream(&self, wire: Wire, session: Box<Session>) -> Self {
        let deadline = Deadline::default();
        let live = Rc::new(seen(&session, self.live.fd, clock::now(), &deadline));
        Self {
            worker: Rc::clone(&self.worker),
            generation: Arc::clone(&self.generation),
            conn: Conn::new(wire),
            session,
            deadline,
            slot: self.worker.streams.enter(Rc::clone(&live)),
            live,
            uncounted: true,
            owes: false,
            seated: false,
            private: None,
        }
    }
}

#[expect(
    clippy::manual_async_fn,
    reason = "an async fn would hold the client twice, as argument and as variable"
)]
fn serve(mut client: Client) -> impl Future<Output = ()> {
    async move {
        let generation = Arc::clone(&client.generation);
        let Some(proxy) = generation.config.proxies.get(client.session.frontend.0) else { return };
        if !proxy.rules.tcp_req_conn.is_empty()
            && !session_rules(&mut client, &proxy.rules.tcp_req_conn, RulePhase::Connection)
        {
            generation.proxies[client.session.frontend.0].front.denied_conn.fetch_add(1, Relaxed);
            return;
        }
        let headers = headers_of(&client, &proxy.binds[client.session.bind]);
        let wants_header = headers.iter().any(Option::is_some);
        for before in headers.into_iter().flatten() {
            if let Err(fault) = Box::pin(super::handshake::header(&mut client, before)).await {
                return refuse(&mut client, fault);
            }
        }
        if let (true, Some(socket)) = (proxy.options.clitcpka, client.conn.wire.socket()) {
            let _ = socket.set_keepalive(true);
        }
        let secure = proxy.binds[client.session.bind].tls.is_some();
        if secure && let Err(fault) = Box::pin(super::handshake::tls(&mut client)).await {
            generation.proxies[client.session.frontend.0].front.failed_req.fetch_add(1, Relaxed);
            return refuse(&mut client, fault);
        }
        if !proxy.rules.tcp_req_sess.is_empty()
            && !session_rules(&mut client, &proxy.rules.tcp_req_sess, RulePhase::Session)
        {
            generation.proxies[client.session.frontend.0].front.denied_sess.fetch_add(1, Relaxed);
            // As the original does where the session began behind a handshake: it tells of no fault.
            if secure || wants_header {
                refuse(&mut client, 0);
            }
            return;
        }
        super::tracking::session(&client);
        let front = &generation.proxies[client.session.frontend.0].front;
        let ms = client.worker.engine.ms(client.session.accepted);
        front.cum_sess.fetch_add(1, Relaxed);
        front.rates.sess.add(ms, 1);
        generation.board.process.sess_rate.add(ms, 1);
        client.session.handshake = if secure || wants_header {
            clock::now().saturating_duration_since(client.session.accepted)
        } else {
            Duration::ZERO
        };
        match proxy.mode {
            Mode::Http if speaks_h2(&client, proxy) => Box::pin(super::multiplexed::serve(&mut client)).await,
            Mode::Http => {
                let accepted = client.session.accepted;
                if let Some(since) = Box::pin(super::requests::serve(&mut client, accepted)).await {
                    super::park::park(client, since);
                }
            }
            Mode::Tcp => {
                if let Some(since) = Box::pin(super::tcp::serve(&mut client)).await {
                    super::park::park(client, since);
                }
            }
            Mode::Health => {
                let _ = std::future::poll_fn(|cx| client.conn.poll_write(cx, b"OK")).await;
            }
        }
    }
}

/// Headers that are to come before the client's own bytes, in their order.
fn headers_of(client: &Client, bind: &crate::config::model::Bind) -> [Option<Before>; 2] {
    let session = &client.session;
    let proxy = bind.accept_proxy || session.expect_proxy;
    // Without a number on the line, what a rule asks for has to begin with 0.
    let magic = bind.accept_netscaler_cip.or(session.expect_netscaler.then_some(0));
    [magic.map(Before::NetScaler), proxy.then_some(Before::Proxy)]
}

/// Whether the line or the TLS handshake says that the client speaks HTTP/2.
fn speaks_h2(client: &Client, proxy: &crate::config::model::Proxy) -> bool {
    let alpn = client.session.tls.as_deref().and_then(|t| t.alpn.as_deref());
    alpn == Some(b"h2") || proxy.binds[client.session.bind].proto.as_deref() == Some("h2")
}

/// A connection that never became a session: logged, unless nobody said anything on it and that is not wanted.
fn refuse(client: &mut Client, fault: u8) {
    use crate::fetch::conn::{FAULTS, fault as is};
    let generation = Arc::clone(&client.generation);
    let proxy = generation.proxy(client.session.frontend);
    let silent = matches!(fault, is::PROXY_TIMEOUT | is::CIP_TIMEOUT) && client.conn.buf.is_empty();
    let null = silent
        || matches!(fault, is::PROXY_EMPTY | is::PROXY_ABORT | is::TLS_EMPTY | is::TLS_ABORT)
        || matches!(fault, is::CIP_EMPTY | is::CIP_ABORT);
    if proxy.logs.is_empty() || (null && proxy.options.dontlognull) {
        return;
    }
    client.session.fault = fault;
    let what = FAULTS[usize::from(fault)];
    let view = early_view(client, &generation, proxy, RulePhase::Session);
    crate::log::session_error(&view, what);
}

fn early_view<'v>(
    client: &'v mut Client,
    generation: &'v Generation,
    proxy: &'v crate::config::model::Proxy,
    phase: RulePhase,
) -> View<'v> {
    View {
        now: clock::now(),
        wall: clock::wall(),
        generation,
        proxy,
        phase,
        session: &mut client.session,
        txn: None,
        request: None,
        response: None,
        request_bytes: &[],
        request_ended: false,
        response_bytes: &[],
        response_ended: false,
        may_wait: false,
    }
}

/// Runs rules of layer 4; false says that the connection must go.
fn session_rules(client: &mut Client, sets: &[RuleSet], phase: RulePhase) -> bool {
    let generation = Arc::clone(&client.generation);
    let proxy = generation.proxy(client.session.frontend);
    let judged = judge(&mut early_view(client, &generation, proxy, phase), sets);
    super::rules::touch_socket(client);
    if let Err(Verdict::SilentDrop(hops)) = judged {
        super::rules::forget(&client.conn, hops);
    }
    judged.is_ok()
}

fn judge(view: &mut View<'_>, sets: &[RuleSet]) -> Result<(), Verdict> {
    for set in sets {
        for rule in set.iter() {
            if !rule.condition.as_ref().is_none_or(|c| c.holds(view)) {
                continue;
            }
            match rule.action.run(view) {
                Next::Continue | Next::Wait(_) | Next::Inform(_) => {}
                Next::Stop => return Ok(()),
                Next::Finish(verdict) => return Err(verdict),
            }
        }
    }
    Ok(())
}
