//! A stream without messages while its bytes pass: both ways, their timeouts, and what its end will be told by.
//!
//! Such streams last long, and there may be thousands that say nothing. What rules and messages needed goes back to
//! the thread's spare memory when bytes begin to pass, and is taken again for the end; a short record remains.
//!
//! Invariant: [`Passing::of`] and [`Passing::resume`] together change nothing of a stream.
//!
//! Absent on purpose: what an end means (`tcp.rs`), and the sockets, which belong to the client and the server.

use super::accept::Client;
use super::connect::Server;
use super::ending::{self, Cause};
use super::http::{Exchange, Persistence};
use super::parts::Parts;
use super::transfer::{Event, Kind, Limits, Side, Transfer};
use super::txn::{EndedBy, EndedIn, Ends, RequestCookie, ResponseCookie, Times, TlsInfo, Txn};
use crate::config::model::{ProxyId, ServerId};
use crate::mux::flow::Flow;
use crate::runtime::Generation;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime};

/// A record's fields that every stream without messages has.
#[derive(Debug)]
struct Lean {
    id: u64,
    number: u64,
    start: Instant,
    start_at: SystemTime,
    start_ms: u64,
    /// When it left the queue, and when it was connected: the other times are those of messages.
    times: [Option<Duration>; 2],
    server: Option<ServerId>,
    backend: Option<ProxyId>,
    server_ends: Option<Ends>,
    server_tls: Option<Arc<TlsInfo>>,
    bytes: (u64, u64),
    retries: u32,
    queues: (u32, u32),
    ended: (EndedBy, EndedIn),
    redispatched: bool,
    responding: bool,
    server_fault: u8,
}

/// A record put away.
#[derive(Debug)]
enum Record {
    /// Nothing but the usual is in it.
    Lean(Lean),
    /// Rules left something, or a request was seen.
    Whole(Box<Parts>),
}

/// What a stream is while its bytes pass.
#[derive(Debug)]
pub struct Passing {
    up: Flow,
    down: Flow,
    limits: Limits,
    record: Record,
    backend: ProxyId,
    in_backend: bool,
    silent: bool,
    /// Why it is ending, where a side's silence counts as its end.
    ending: Option<Cause>,
}

impl Lean {
    /// The short form of a record, where it has one. What is shared is taken out.
    fn of(txn: &mut Txn) -> Option<Self> {
        is_plain(txn).then(|| Self {
            id: txn.id,
            number: txn.number,
            start: txn.start,
            start_at: txn.start_at,
            start_ms: txn.start_ms,
            times: [txn.times.queue, txn.times.connect],
            server: txn.server,
            backend: txn.backend,
            server_ends: txn.server_ends.take(),
            server_tls: txn.server_tls.take(),
            bytes: (txn.bytes_in, txn.bytes_out),
            retries: txn.retries,
            queues: (txn.server_queue, txn.backend_queue),
            ended: (txn.ended_by, txn.ended_in),
            redispatched: txn.redispatched,
            responding: txn.responding,
            server_fault: txn.server_fault,
        })
    }

    /// Puts it back into a record that says nothing.
    fn restore(self, txn: &mut Txn) {
        txn.begin(self.start, self.start_at, self.start_ms);
        (txn.id, txn.number) = (self.id, self.number);
        let [queue, connect] = self.times;
        txn.times = times_of_bytes(queue, connect);
        (txn.server, txn.backend) = (self.server, self.backend);
        (txn.server_ends, txn.server_tls, txn.server_fault) =
            (self.server_ends, self.server_tls, self.server_fault);
        (txn.bytes_in, txn.bytes_out) = self.bytes;
        (txn.retries, txn.redispatched) = (self.retries, self.redispatched);
        (txn.server_queue, txn.backend_queue) = self.queues;
        (txn.ended_by, txn.ended_in) = self.ended;
        txn.responding = self.responding;
    }
}

/// The times of a stream without messages: what counts as its request is there from the start.
fn times_of_bytes(queue: Option<Duration>, connect: Option<Duration>) -> Times {
    Times { request: Some(Duration::ZERO), queue, connect, ..Times::default() }
}

/// Whether a record has nothing but what [`Lean`] keeps.
fn is_plain(txn: &Txn) -> bool {
    // Each field is named: a new one must be thought of here. The first ones are kept.
    let Txn {
        id: _,
        number: _,
        start: _,
        start_at: _,
        start_ms: _,
        server: _,
        backend: _,
        server_ends: _,
        server_tls: _,
        server_fault: _,
        bytes_in: _,
        bytes_out: _,
        retries: _,
        redispatched: _,
        server_queue: _,
        backend_queue: _,
        ended_by: _,
        ended_in: _,
        responding: _,
        times,
        version: (1, 1),
        status: 0,
        server_status: 0,
        server_note: None,
        cookie_req: None,
        cookie_res: None,
        cookie_state: RequestCookie::None,
        cookie_action: ResponseCookie::None,
        counts: [0, 0, 0, 0],
        log_level: None,
        priority: (0, 0),
        timeout_server: None,
        timeout_tunnel: None,
        timeout_client: None,
        no_l7_retry: false,
        last_rule: None,
        resolving: None,
        compression: None,
        compressed: false,
        cache: None,
        src: None,
        dst: None,
        strict_rewriting: true,
        method,
        request_line,
        uri,
        captures_req,
        captures_res,
        unique_id,
        vars,
        message_vars,
        tracked,
    } = txn
    else {
        return false;
    };
    let [queue, connect] = [times.queue, times.connect];
    let no_message = *times == times_of_bytes(queue, connect)
        && [method, request_line, uri].iter().all(|text| text.is_empty())
        && [captures_req, captures_res].iter().all(|slots| slots.borrow().is_empty());
    no_message
        && unique_id.get().is_none()
        && vars.is_empty()
        && message_vars.is_empty()
        && tracked.is_empty()
}

impl Passing {
    /// Puts a stream away whose two ways are ready.
    pub fn of(x: Exchange<'_, '_>, limits: Limits) -> Box<Self> {
        let Exchange { client, mut parts, backend, in_backend, silent, .. } = x;
        let [up, down] = [&mut parts.up, &mut parts.down].map(std::mem::take);
        let lean = if parts.looks_http { None } else { Lean::of(&mut parts.txn) };
        let record = match lean {
            None => Record::Whole(parts),
            Some(lean) => {
                client.worker.give_parts(parts);
                Record::Lean(lean)
            }
        };
        Box::new(Self { up, down, limits, record, backend, in_backend, silent, ending: None })
    }

    /// The stream as it was, with what has passed.
    pub fn resume<'c, 'g>(self, client: &'c mut Client, generation: &'g Arc<Generation>) -> Exchange<'c, 'g> {
        let Self { up, down, limits: _, record, backend, in_backend, silent, ending } = self;
        let mut parts = match record {
            Record::Whole(parts) => parts,
            Record::Lean(lean) => {
                let mut parts = client.worker.take_parts();
                lean.restore(&mut parts.txn);
                parts
            }
        };
        (parts.up, parts.down) = (up, down);
        let mut x = Exchange {
            now: parts.txn.start,
            client,
            generation,
            parts,
            backend,
            in_backend,
            raw: true,
            switch: None,
            silent,
            keep: false,
            stick_to: None,
            again_on: None,
            persistence: Persistence::default(),
            to_store: Vec::new(),
        };
        if let Some(cause) = ending {
            x.set_end(ending::data(cause));
        }
        x
    }

    /// Passes bytes until both sides are done. A side that is silent for too long counts as one that closed: the other
    /// may still end by itself, within what is left of its own time.
    pub async fn run(&mut self, client: &mut Client, server: &mut Server<'_>) -> Event {
        let mut armed = None;
        poll_fn(|cx| self.poll(cx, client, server, &mut armed)).await
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut Client,
        server: &mut Server<'_>,
        armed: &mut Option<Side>,
    ) -> Poll<Event> {
        loop {
            let mut transfer = Transfer {
                client: &mut client.conn,
                server: &mut server.link.conn,
                up: &mut self.up,
                down: &mut self.down,
                deadline: &client.deadline,
                limits: &self.limits,
                kind: Kind::Raw,
                watch_client: false,
            };
            let event = std::task::ready!(transfer.poll(cx, false, armed));
            let limits = &mut self.limits;
            let rest = |other: Option<Duration>, own: Option<Duration>| {
                other.zip(own).map(|(other, own)| other.saturating_sub(own))
            };
            match event {
                // Somebody wants this stream to end.
                Event::Timeout(_) if client.deadline.rung().is_some() => return Poll::Ready(event),
                Event::Timeout(Side::Client) if !client.conn.eof => {
                    self.ending.get_or_insert(Cause::ClientTimeout);
                    client.conn.eof = true;
                    limits.server = rest(limits.server, limits.client).or(limits.server);
                }
                Event::Timeout(Side::Server) if !server.link.conn.eof => {
                    self.ending.get_or_insert(Cause::ServerTimeout);
                    server.link.conn.eof = true;
                    limits.client = rest(limits.client, limits.server).or(limits.client);
                }
                other => return Poll::Ready(other),
            }
            *armed = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Txn {
        let mut txn = Txn::new(Instant::now(), SystemTime::now());
        txn.times.request = Some(Duration::ZERO);
        txn
    }

    #[test]
    fn a_plain_record_comes_back_as_it_was() {
        let mut txn = record();
        (txn.id, txn.number, txn.start_ms) = (7, 8, 9);
        txn.times.queue = Some(Duration::from_millis(1));
        txn.times.connect = Some(Duration::from_millis(2));
        (txn.server, txn.backend) = (Some(ServerId(3)), Some(ProxyId(4)));
        (txn.bytes_in, txn.bytes_out, txn.retries, txn.redispatched) = (10, 11, 2, true);
        (txn.server_queue, txn.backend_queue, txn.server_fault) = (5, 6, 1);
        (txn.ended_by, txn.ended_in, txn.responding) = (EndedBy::Server, EndedIn::Data, true);
        txn.server_ends = Some(Ends::default());
        let before = format!("{txn:?}");
        let lean = Lean::of(&mut txn).expect("short form");
        let mut back = record();
        lean.restore(&mut back);
        assert_eq!(before, format!("{back:?}"));
    }

    #[test]
    fn what_rules_or_a_request_left_is_not_lost() {
        let changed: [fn(&mut Txn); 7] = [
            |t| t.uri.extend_from_slice(b"/"),
            |t| t.vars.set(1, crate::sample::Value::Bool(true)),
            |t| t.log_level = Some(3),
            |t| t.tracked.push(None),
            |t| t.timeout_client = Some(Duration::ZERO),
            |t| t.captures_req.get_mut().push(None),
            |t| t.times.response = Some(Duration::ZERO),
        ];
        for change in changed {
            let mut txn = record();
            assert!(Lean::of(&mut txn).is_some());
            change(&mut txn);
            assert!(Lean::of(&mut txn).is_none());
        }
    }

    #[test]
    fn it_is_small() {
        // What thousands of idle streams cost; a field more should be a decision.
        assert!(size_of::<Passing>() <= 640, "{}", size_of::<Passing>());
    }
}
