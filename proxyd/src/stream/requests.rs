//! The HTTP/1 connection of a client: one request after the other.
//!
//! While it waits for a request the connection holds neither buffer nor stream; both are taken with the first
//! byte and given back with the end of the response. When it has waited for long, it gives up its task too
//! ([`super::park`]).
//!
//! Invariant: after a response whose request was not read to its end, no further request is read.

use super::accept::Client;
use super::answer;
use super::ending::{self, Cause};
use super::http::{After, Exchange};
use crate::config::model::Timeouts;
use crate::runtime::Generation;
use crate::runtime::clock;
use crate::runtime::streams::Waits;
use h1::{Framing, Options, Progress, RequestInfo};
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;
use std::time::{Duration, Instant};

/// The begin of an HTTP/2 connection that no HTTP/1 request looks like.
const PREFACE_LINE: &[u8] = b"PRI * HTTP/2.0\r\n";

/// Serves requests until one of them, or the client, ends the connection. It waits for the first one since `start`;
/// what is given back says that it only waits now, and since when.
pub async fn serve(client: &mut Client, mut start: Instant) -> Option<Instant> {
    let generation = Arc::clone(&client.generation);
    loop {
        if client.conn.buf.is_empty() {
            match first_byte(client, &generation, start).await {
                Waited::Came => {}
                Waited::Gone => return None,
                Waited::Long => return Some(start),
            }
        }
        let may_be_h2 = client.session.requests == 0 && client.conn.buf.bytes().first() == Some(&b'P');
        if may_be_h2 && is_h2(client, &generation).await {
            Box::pin(super::multiplexed::serve(client)).await;
            return None;
        }
        let after = Box::pin(one(client, &generation, start)).await;
        start = next(client, &generation, after).await?;
    }
}

/// Goes on behind a request that was not read here.
pub async fn go_on(client: &mut Client, generation: &Arc<Generation>, after: After) -> Option<Instant> {
    let start = next(client, generation, after).await?;
    Box::pin(serve(client, start)).await
}

/// What a request leaves: when waiting for the next one began, or an end.
async fn next(client: &mut Client, generation: &Arc<Generation>, after: After) -> Option<Instant> {
    match after {
        After::Keep => {}
        After::Close => {
            answer::close(&mut client.conn, &client.deadline, client.owes).await;
            return None;
        }
        After::Abort => return None,
    }
    client.session.requests += 1;
    let start = clock::now();
    let engine = &client.worker.engine;
    let ends = engine.generation_number.load(Relaxed) != generation.number
        || (engine.stopping.load(Relaxed) && generation.config.global.close_spread.is_none());
    // A connection of an old generation may go on only while requests are in its buffer.
    (!ends || !client.conn.buf.is_empty()).then_some(start)
}

/// Whether a connection begins with the words that only HTTP/2 says; waits for as many as decide it.
pub(super) async fn is_h2(client: &mut Client, generation: &Arc<Generation>) -> bool {
    let proxy = generation.proxy(client.session.frontend);
    if proxy.options.disable_h2_upgrade || proxy.binds[client.session.bind].proto.as_deref() == Some("h1") {
        return false;
    }
    let (conn, deadline) = (&mut client.conn, &client.deadline);
    poll_fn(|cx| {
        loop {
            let bytes = conn.buf.bytes();
            let n = bytes.len().min(PREFACE_LINE.len());
            if bytes[..n] != PREFACE_LINE[..n] {
                return Poll::Ready(false);
            }
            if n == PREFACE_LINE.len() {
                return Poll::Ready(true);
            }
            match conn.poll_fill(cx, false) {
                Poll::Ready(Ok(n)) if n > 0 => {}
                Poll::Ready(_) => return Poll::Ready(false),
                Poll::Pending if deadline.poll_passed(cx) => return Poll::Ready(false),
                Poll::Pending => return Poll::Pending,
            }
        }
    })
    .await
}

/// How long a request may be waited for.
pub fn wait_limit(timeouts: &Timeouts, first: bool) -> Option<Duration> {
    if first {
        timeouts.http_request.or(timeouts.client)
    } else {
        timeouts.http_keep_alive.or(timeouts.http_request).or(timeouts.client)
    }
}

/// How waiting for a request went.
enum Waited {
    /// Its first bytes are there.
    Came,
    /// The connection ended.
    Gone,
    /// It goes on, and needs no task for it.
    Long,
}

/// Waits for the first byte of a request.
async fn first_byte(client: &mut Client, generation: &Arc<Generation>, start: Instant) -> Waited {
    let first = client.session.requests == 0;
    let timeouts = &generation.proxy(client.session.frontend).timeouts;
    client.deadline.set(start, wait_limit(timeouts, first));
    client.live.waits.set(Waits::Since(start));
    let cause = loop {
        let (conn, deadline, live) = (&mut client.conn, &client.deadline, &client.live);
        let outcome = poll_fn(|cx| match conn.poll_fill_first(cx) {
            Poll::Ready(Ok(0) | Err(_)) => Poll::Ready(Err(Some(Cause::ClientClosed))),
            Poll::Ready(Ok(_)) => Poll::Ready(Ok(())),
            Poll::Pending if deadline.poll_passed(cx) => Poll::Ready(Err(Some(Cause::ClientTimeout))),
            Poll::Pending if live.waits.get() == Waits::Asked => Poll::Ready(Err(None)),
            Poll::Pending => Poll::Pending,
        });
        match outcome.await {
            Ok(()) => {
                live.waits.set(Waits::Not);
                return Waited::Came;
            }
            Err(Some(cause)) => break cause,
            Err(None) if super::park::is_fit(client) => return Waited::Long,
            Err(None) => match super::park::last_wait(client) {
                Some(Duration::ZERO) => return Waited::Gone,
                Some(rest) => client.deadline.set(clock::now(), Some(rest)),
                None => {}
            },
        }
        client.live.waits.set(Waits::Stays);
    };
    client.live.waits.set(Waits::Not);
    if first {
        Box::pin(nothing_came(client, generation, start, cause)).await;
    }
    Waited::Gone
}

/// The first request of a connection never came: told to the client after a timeout, and logged.
async fn nothing_came(client: &mut Client, generation: &Arc<Generation>, start: Instant, cause: Cause) {
    let proxy = generation.proxy(client.session.frontend);
    let probe = proxy.options.http_ignore_probes;
    let accepted_at = client.session.accepted_at;
    let mut exchange = Exchange::begin(client, generation, start, accepted_at);
    if probe {
        exchange.set_end(ending::request(cause));
        exchange.parts.txn.status = if cause == Cause::ClientTimeout { 408 } else { 0 };
    } else {
        exchange.refuse_raw(if cause == Cause::ClientTimeout { 408 } else { 400 }, cause).await;
    }
    exchange.finish(probe || proxy.options.dontlognull);
    if cause == Cause::ClientTimeout {
        answer::close(&mut client.conn, &client.deadline, false).await;
    }
}

/// One request from its first byte to the end of its response.
async fn one(client: &mut Client, generation: &Arc<Generation>, start: Instant) -> After {
    let wall = clock::wall();
    let mut exchange = Exchange::begin(client, generation, start, wall);
    let after = match read_head(&mut exchange).await {
        Ok(()) => exchange.run().await,
        Err(after) => after,
    };
    exchange.finish(false);
    after
}

/// What a head may hold, by the frontend's options.
pub(super) fn options(generation: &Generation, lenient: bool) -> Options {
    Options { lenient, max_fields: generation.config.global.tune.maxhdr.saturating_sub(1) }
}

fn head_limit(timeouts: &Timeouts) -> Option<Duration> {
    timeouts.http_request.or(timeouts.client)
}

/// Reads the request's head into the message.
pub(super) async fn read_head(x: &mut Exchange<'_, '_>) -> Result<(), After> {
    let proxy = x.frontend();
    let options = options(x.generation, proxy.options.accept_invalid_http_request);
    let tune = &x.generation.config.global.tune;
    let head_max = tune.bufsize.saturating_sub(tune.maxrewrite);
    let now = clock::now();
    x.parts.txn.times.first_byte = Some(x.since_start());
    x.parts.client_parser.set_options(options);
    let mut armed = false;
    loop {
        let bytes = x.client.conn.buf.bytes();
        let parsed = x.parts.client_parser.parse(bytes);
        let len = match parsed {
            Ok(Progress::Done(len)) if len <= head_max => len,
            Ok(Progress::Done(_)) => return Err(x.bad_request(h1::Fault::TooLarge).await),
            Err(fault) => return Err(x.bad_head(fault).await),
            Ok(Progress::Need) if bytes.len() >= head_max => {
                return Err(x.bad_request(h1::Fault::TooLarge).await);
            }
            Ok(Progress::Need) => {
                if !armed {
                    armed = true;
                    let from = if x.client.session.requests == 0 { x.parts.txn.start } else { now };
                    x.client.deadline.set(from, head_limit(&proxy.timeouts));
                }
                more(x).await?;
                continue;
            }
        };
        let parts = &mut *x.parts;
        let (head, message) = (&parts.client_parser.head, &mut parts.request);
        match crate::mux::h1::request(head, bytes, options, message, &mut parts.info) {
            Ok(()) if parts.info.framing == Framing::Chunked && super::http::scan(&bytes[len..]).is_err() => {
                parts.info = RequestInfo::default();
                return Err(x.bad_head(h1::Fault::Syntax(len)).await);
            }
            Ok(()) => {
                // Odd versions travel on as 1.1 but are logged as received.
                let version = parts.client_parser.head.version.of(bytes);
                let line = &mut parts.txn.request_line;
                if let Some(whole) = parts.request.line_as_received() {
                    line.extend_from_slice(whole);
                } else {
                    line.extend_from_slice(parts.request.method());
                    line.push(b' ');
                    line.extend_from_slice(parts.request.uri());
                    line.push(b' ');
                    line.extend_from_slice(if version.is_empty() { b"HTTP/1.0" } else { version });
                }
            }
            Err(fault) => {
                parts.info = RequestInfo::default();
                return Err(x.bad_head(fault).await);
            }
        }
        if !armed {
            x.client.deadline.set(now, None);
        }
        x.client.conn.buf.consume(len);
        x.parts.txn.times.request = Some(x.since_start());
        x.parts.txn.bytes_in = x.parts.request.counted_len() as u64;
        return Ok(());
    }
}

/// Reads more of the head.
async fn more(x: &mut Exchange<'_, '_>) -> Result<(), After> {
    let (conn, deadline) = (&mut x.client.conn, &x.client.deadline);
    let cause = poll_fn(|cx| match conn.poll_fill(cx, false) {
        Poll::Ready(Ok(0) | Err(_)) => Poll::Ready(Some(Cause::ClientClosed)),
        Poll::Ready(Ok(_)) => Poll::Ready(None),
        Poll::Pending if deadline.poll_passed(cx) => Poll::Ready(Some(Cause::ClientTimeout)),
        Poll::Pending => Poll::Pending,
    });
    let Some(cause) = cause.await else { return Ok(()) };
    if x.parts.client_parser.is_idle() && x.client.session.requests > 0 {
        // Empty lines between two requests are none.
        x.silent = true;
        return Err(After::Abort);
    }
    let status = if cause == Cause::ClientTimeout { 408 } else { 400 };
    x.refuse_raw(status, cause).await;
    Err(After::Close)
}
