//! The HTTP/2 connection of a client: many requests at once, each an [`Exchange`] with a task of its own.
//!
//! The connection's task moves bytes and begins streams. A stream has a session of its own that begins as a copy of
//! the connection's; what it does to `sess.` variables is seen by streams that begin after it ended.
//!
//! Invariant: the connection is counted once, its requests one by one.
//!
//! Absent on purpose: frames (`http2`), their translation (`mux::h2`).

use super::accept::Client;
use super::ending::{self, Cause};
use super::http::{After, Exchange};
use super::txn::Session;
use crate::config::model::{Global, Timeouts};
use crate::http::message::Message;
use crate::mux::h2::{Born, Link, Over, Stream};
use crate::mux::websocket;
use crate::mux::wire::{Conn, Wire};
use crate::runtime::Generation;
use crate::runtime::clock;
use crate::runtime::streams::Waits;
use crate::runtime::timers::Deadline;
use crate::stats::FrontCounters;
use h1::RequestInfo;
use http2::connection::Counts;
use http2::{Code, Config};
use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;
use std::time::{Duration, Instant};

/// What a stream leaves for those after it.
type Kept = Rc<RefCell<Option<super::vars::Vars>>>;

/// A number of `tune.h2.*` for connections of clients (`fe`) or servers (`be`), or for both.
fn number(global: &Global, side: &str, name: &str) -> Option<u32> {
    let own = global.tune.other.get(&format!("tune.h2.{side}.{name}"));
    let word = own.or_else(|| global.tune.other.get(&format!("tune.h2.{name}")))?.first()?;
    word.parse::<u32>().ok()
}

/// What a connection may do before it is closed, by `tune.h2.*`.
#[derive(Debug, Clone, Copy)]
pub struct Endurance {
    /// Glitches that end it.
    glitches: Option<u64>,
    /// Streams after which the peer is asked to open the next ones elsewhere, and those that are served beyond.
    streams: Option<(u64, u64)>,
}

impl Endurance {
    /// That of one side.
    pub fn of(global: &Global, side: &str) -> Self {
        let set = |name: &str| number(global, side, name).filter(|n| *n > 0).map(u64::from);
        let beyond = u64::from(config(global, side).streams);
        Self {
            glitches: set("glitches-threshold"),
            streams: set("max-total-streams").map(|most| (most, most.saturating_add(beyond))),
        }
    }

    /// Whether the peer should go elsewhere: what was asked for, or three quarters of the glitches, is reached.
    fn is_near(self, counts: Counts, streams: u64) -> bool {
        self.glitches.is_some_and(|most| counts.glitches >= most - most / 4)
            || self.streams.is_some_and(|(most, _)| streams >= most)
    }

    /// Whether the connection ends, and what its peer is told.
    fn is_over(self, counts: Counts, streams: u64) -> Option<Code> {
        if self.glitches.is_some_and(|most| counts.glitches >= most) {
            return Some(Code::EnhanceYourCalm);
        }
        self.streams.filter(|(_, most)| streams >= *most).map(|_| Code::NoError)
    }
}

/// `tune.h2.*` for connections of clients (`fe`) or servers (`be`).
pub fn config(global: &Global, side: &str) -> Config {
    let number = |name: &str| number(global, side, name);
    let usual = Config::default();
    Config {
        window: number("initial-window-size").map_or(usual.window, |n| n.min(i32::MAX as u32)),
        streams: number("max-concurrent-streams").unwrap_or(usual.streams),
        table: number("header-table-size").unwrap_or(usual.table),
        // No more than a buffer is announced, as haproxy does.
        payload: number("max-frame-size")
            .map_or(usual.payload, |n| n.clamp(usual.payload, global.tune.bufsize.max(16_384) as u32)),
        head: global.tune.bufsize,
    }
}

/// Why the connection's task was woken.
enum Woken {
    /// Requests came.
    Born,
    /// It is over.
    Over(Over),
    /// Its deadline passed.
    Late,
    /// A soft stop began, or the client did something odd.
    Asked,
}

/// A connection without streams for this long gives back what it holds for the next one.
const REST_AFTER: Duration = Duration::from_millis(500);

/// Serves a connection until its end.
pub async fn serve(client: &mut Client) {
    let generation = Arc::clone(&client.generation);
    let counters = &generation.proxies[client.session.frontend.0].front;
    let conn = std::mem::replace(&mut client.conn, Conn::new(Wire::Gone));
    let mut link = Link::new(conn, config(&generation.config.global, "fe"));
    counters.h2_open_connections.fetch_add(1, Relaxed);
    counters.h2_total_connections.fetch_add(1, Relaxed);
    let mut told = Counts::default();
    let late = run(client, &generation, &mut link, &mut told).await;
    count(counters, &mut told, link.counts());
    counters.h2_open_connections.fetch_sub(1, Relaxed);
    client.conn = link.into_conn();
    if late {
        super::answer::close(&mut client.conn, &client.deadline, false).await;
    }
}

/// The connection's turns; true says that it is to be closed so that the client reads what was said last.
async fn run(client: &mut Client, generation: &Arc<Generation>, link: &mut Link, told: &mut Counts) -> bool {
    let timeouts = &generation.proxy(client.session.frontend).timeouts;
    let counters = &generation.proxies[client.session.frontend.0].front;
    let (kept, mut born) = (Kept::default(), Vec::new());
    // `rests`: while the connection is about to rest, the time it is kept after that.
    let (mut idle, mut rests, mut start) = (true, None, client.session.accepted);
    client.deadline.set(clock::now(), idle_limit(timeouts, true));
    client.live.waits.set(Waits::Stays);
    let (engine, mut announced) = (Arc::clone(&client.worker.engine), false);
    let (endurance, mut begun) = (Endurance::of(&generation.config.global, "fe"), 0);
    loop {
        let counts = link.counts();
        if !announced && (endurance.is_near(counts, begun) || !super::park::goes_on(&engine, generation)) {
            announced = true;
            link.announce();
        }
        match endurance.is_over(counts, begun) {
            Some(Code::EnhanceYourCalm) => link.end(Code::EnhanceYourCalm),
            Some(code) => link.leave(code),
            None => {}
        }
        let (deadline, live) = (&client.deadline, &client.live);
        let woken = poll_fn(|cx| {
            let polled = link.poll(cx, &mut born);
            if !born.is_empty() {
                return Poll::Ready(Woken::Born);
            }
            if let Poll::Ready(over) = polled {
                return Poll::Ready(Woken::Over(over));
            }
            let now_idle = link.streams() == 0;
            if now_idle != idle {
                idle = now_idle;
                let (first, after) = rest_first(idle_limit(timeouts, false));
                rests = idle.then_some(after);
                deadline.set(clock::now(), idle.then_some(first));
            }
            if live.waits.get() == Waits::Asked {
                live.waits.set(Waits::Stays);
                return Poll::Ready(Woken::Asked);
            }
            if link.counts().glitches != counts.glitches && endurance.glitches.is_some() {
                return Poll::Ready(Woken::Asked);
            }
            if deadline.poll_passed(cx) { Poll::Ready(Woken::Late) } else { Poll::Pending }
        });
        let woken = woken.await;
        count(counters, told, link.counts());
        match woken {
            Woken::Over(over) => return over != Over::Closed,
            Woken::Late if rests.is_some_and(|after| after != Some(Duration::ZERO)) => {
                link.rest(&mut born);
                client.deadline.set(clock::now(), rests.take().flatten());
                continue;
            }
            Woken::Late if link.is_sending() => return false, // the client does not read
            Woken::Late => link.leave(Code::NoError),
            Woken::Asked => continue,
            Woken::Born => {}
        }
        begun += born.len() as u64;
        for one in born.drain(..) {
            begin(client, generation, link, one, start, &kept);
            start = clock::now();
        }
        if engine.generation_number.load(Relaxed) != generation.number {
            link.leave(Code::NoError);
        }
    }
}

/// A limit in two: until the connection rests, and what is left of it then.
fn rest_first(limit: Option<Duration>) -> (Duration, Option<Duration>) {
    let first = limit.map_or(REST_AFTER, |l| l.min(REST_AFTER));
    (first, limit.map(|l| l.saturating_sub(first)))
}

/// How long a connection without streams is kept.
fn idle_limit(timeouts: &Timeouts, first: bool) -> Option<Duration> {
    let head = timeouts.http_request.or(timeouts.client);
    if first { head } else { timeouts.http_keep_alive.or(head) }
}

/// Adds what was counted since the last time.
fn count(counters: &FrontCounters, told: &mut Counts, now: Counts) {
    if *told == now {
        return;
    }
    for (counter, before, after) in [
        (&counters.h2_headers, told.headers, now.headers),
        (&counters.h2_data, told.data, now.data),
        (&counters.h2_settings, told.settings, now.settings),
        (&counters.h2_rst, told.rst, now.rst),
        (&counters.h2_goaway, told.goaway, now.goaway),
        (&counters.h2_conn_faults, told.connection_faults, now.connection_faults),
        (&counters.h2_strm_faults, told.stream_faults, now.stream_faults),
        (&counters.h2_rst_sent, told.rst_sent, now.rst_sent),
        (&counters.h2_goaway_sent, told.goaway_sent, now.goaway_sent),
    ] {
        counter.fetch_add(after - before, Relaxed);
    }
    *told = now;
}

/// Begins a stream: its own task, or the log line of one that was refused.
fn begin(
    client: &mut Client,
    generation: &Arc<Generation>,
    link: &Link,
    mut born: Born,
    start: Instant,
    kept: &Kept,
) {
    if let Some(vars) = kept.borrow_mut().take() {
        client.session.vars = vars;
    }
    let stream = link.open(&born);
    let wire = stream.map_or(Wire::Gone, |s| Wire::H2(Box::new(s)));
    let session = Box::new(copy(&client.session, start, generation));
    // The connection's own is as if nothing had been before: no handshake, no first request.
    (client.session.requests, client.session.handshake) = (client.session.requests + 1, Duration::ZERO);
    client.session.accepted_at = clock::wall();
    let mut own = client.of_stream(wire, session);
    let generation = Arc::clone(generation);
    match born.request.take() {
        None => refused(&mut own, &generation, start),
        Some((message, info)) => {
            let kept = Rc::clone(kept);
            let task = async move {
                let front = &generation.proxies[own.session.frontend.0].front;
                front.h2_open_streams.fetch_add(1, Relaxed);
                front.h2_total_streams.fetch_add(1, Relaxed);
                one(&mut own, &generation, start, (message, info), born.bad).await;
                front.h2_open_streams.fetch_sub(1, Relaxed);
                if !own.session.vars.is_empty() {
                    *kept.borrow_mut() = Some(std::mem::take(&mut own.session.vars));
                }
            };
            tokio::task::spawn_local(clock::ticking(task));
        }
    }
}

/// The session of a stream.
fn copy(of: &Session, start: Instant, generation: &Generation) -> Session {
    Session {
        id: generation.board.process.next_id.fetch_add(1, Relaxed),
        accepted: start,
        accepted_at: of.accepted_at,
        frontend: of.frontend,
        bind: of.bind,
        src: of.src.clone(),
        dst: of.dst.clone(),
        real_src: of.real_src.clone(),
        real_dst: of.real_dst.clone(),
        proxied: of.proxied,
        proxy_tlvs: of.proxy_tlvs.clone(),
        tls: of.tls.clone(),
        vars: of.vars.clone(),
        tracked: of.tracked.clone(),
        // No stream is the first request of its connection for those who reuse servers' connections.
        requests: of.requests + 1,
        handshake: of.handshake,
        kernel: of.kernel.clone(),
        thread: of.thread,
        log_level: of.log_level,
        ..Session::blank()
    }
}

/// A request that is none was ended already; here it is logged.
fn refused(client: &mut Client, generation: &Arc<Generation>, start: Instant) {
    let mut exchange = Exchange::begin(client, generation, start, clock::wall());
    exchange.parts.txn.id = 0;
    exchange.parts.txn.server_note = Some("<NOSRV>");
    exchange.set_end(ending::request(Cause::ClientBad));
    exchange.finish(false);
}

/// One stream from its head to its end.
async fn one(
    client: &mut Client,
    generation: &Arc<Generation>,
    start: Instant,
    (message, info): (Message, RequestInfo),
    bad: bool,
) {
    let mut exchange = Exchange::begin(client, generation, start, clock::wall());
    let parts = &mut *exchange.parts;
    let spare = std::mem::replace(&mut parts.request, message);
    parts.info = info;
    if parts.info.upgrade
        && websocket::is_asked(&parts.request)
        && parts.request.first(websocket::KEY).is_none()
    {
        // HTTP/2 has no keys, and no server of HTTP/1 does without.
        parts.request.add(websocket::KEY, websocket::key().as_bytes());
    }
    let line = &mut parts.txn.request_line;
    line.extend_from_slice(parts.request.method());
    line.push(b' ');
    line.extend_from_slice(parts.request.uri());
    line.extend_from_slice(b" HTTP/2.0");
    parts.txn.bytes_in = parts.request.counted_len() as u64;
    let since = clock::now().saturating_duration_since(start);
    (parts.txn.times.first_byte, parts.txn.times.request) = (Some(since), Some(since));
    if let Some(stream) = stream(exchange.client) {
        stream.recycle(spare);
    }
    let after = if bad { Box::pin(malformed(&mut exchange)).await } else { exchange.run().await };
    let unsaid = after == After::Close && exchange.parts.txn.status == 0;
    exchange.finish(false);
    if let Some(stream) = stream(client).filter(|_| unsaid) {
        stream.refuse();
    } else if after != After::Abort {
        // What ends with the connection elsewhere ends with the stream here.
        let _ = poll_fn(|cx| client.conn.poll_shutdown(cx)).await;
    }
}

/// Answers a request that is none.
async fn malformed(x: &mut Exchange<'_, '_>) -> After {
    let front = &x.generation.proxies[x.client.session.frontend.0].front;
    front.failed_req.fetch_add(1, Relaxed);
    front.http_req.fetch_add(1, Relaxed);
    // What is no request has none in its log line.
    x.parts.txn.request_line.clear();
    x.parts.txn.server_note = Some("<NOSRV>");
    x.set_end(ending::request(Cause::ClientBad));
    x.reply_error(400).await
}

fn stream(client: &mut Client) -> Option<&mut Stream> {
    match &mut client.conn.wire {
        Wire::H2(stream) => Some(stream),
        _ => None,
    }
}

/// Moves the bytes of a server's connection until it is over, or was without streams for `idle`.
pub async fn drive(mut link: Link, idle: Duration, endurance: Endurance) {
    let deadline = Deadline::default();
    let (mut none, mut quiet) = (Vec::new(), false);
    loop {
        let over = poll_fn(|cx| {
            let polled = link.poll(cx, &mut none);
            none.clear();
            if polled.is_ready() || endurance.is_over(link.counts(), 0).is_some() {
                return Poll::Ready(true);
            }
            if endurance.is_near(link.counts(), 0) {
                link.leave(Code::NoError);
            }
            if (link.streams() == 0) != quiet {
                quiet = !quiet;
                deadline.set(clock::now(), quiet.then_some(idle));
            }
            if deadline.poll_passed(cx) { Poll::Ready(false) } else { Poll::Pending }
        });
        if over.await || link.is_sending() {
            return;
        }
        link.leave(Code::NoError);
        deadline.set(clock::now(), Some(idle));
    }
}
