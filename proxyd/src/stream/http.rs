//! One HTTP exchange: from a request's head to the end of its response.
//!
//! Phases: analyse (`analyse.rs`), connect (`connect.rs`), then here: send, wait for the response's head, pass
//! both bodies on. Each phase writes the record; [`Exchange::finish`] counts and logs it.
//!
//! Invariant: the server's connection goes back to the pool only when both messages were read to their ends.

use super::accept::Client;
use super::answer;
use super::connect::Server;
use super::ending::{self, Cause};
use super::parts::Parts;
use super::transfer::{Event, Kind, Limits, Side, Transfer};
use super::txn::{EndedBy, EndedIn};
use crate::config::model::{ConnectionMode, ErrorReply, HttpReuse, Proxy, ProxyId};
use crate::http::{compress, errors};
use crate::mux::flow::Broken;
use crate::mux::h1::Answer;
use crate::mux::websocket;
use crate::mux::wire::Wire;
use crate::runtime::Generation;
use crate::runtime::captured::{Captured, Direction};
use crate::runtime::clock;
use crate::runtime::observe::{self, Seen};
use crate::runtime::streams::{Live, Phase};
use crate::runtime::worker::Idle;
use crate::stats::tally::Tally;
use h1::{Body, Fault, Framing, Method, Part, Progress};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant, SystemTime};

/// What becomes of the client's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// Next request.
    Keep,
    /// Close, letting the client read what was sent.
    Close,
    /// Close at once.
    Abort,
}

/// How a TCP stream becomes one with messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Switch {
    /// It may be HTTP/2.
    pub h2_too: bool,
    /// Its backend is chosen: what the frontend would make of a request is left out.
    pub routed: bool,
}

/// What rules and the cookie said of persistence.
#[derive(Debug, Default, Clone, Copy)]
pub struct Persistence {
    /// `force-persist` holds: the server is used even when it is down.
    pub forced: bool,
    /// `ignore-persist` holds: cookies don't count.
    pub ignored: bool,
    /// Dates of the request's cookie.
    pub dates: crate::http::cookie::Dates,
}

/// One exchange.
#[derive(Debug)]
pub struct Exchange<'c, 'g> {
    /// The client's connection.
    pub client: &'c mut Client,
    /// The configuration it runs under.
    pub generation: &'g Arc<Generation>,
    /// Its memory.
    pub parts: Box<Parts>,
    /// Where it is routed to; the frontend until then.
    pub backend: ProxyId,
    /// Counted in the backend's sessions.
    pub in_backend: bool,
    /// A TCP stream: there are no messages.
    pub raw: bool,
    /// A TCP stream is to become one with messages.
    pub switch: Option<Switch>,
    /// Not to be logged.
    pub silent: bool,
    /// Whether the client's connection may go on after the response.
    pub keep: bool,
    /// When its first byte came.
    pub now: Instant,
    /// The server that persistence asks for, or that must be tried again.
    pub stick_to: Option<crate::config::model::ServerId>,
    /// A server that gave no answer, to be asked again or avoided.
    pub again_on: Option<crate::config::model::ServerId>,
    /// What was said of persistence.
    pub persistence: Persistence,
    /// What stick rules store once the server is known.
    pub to_store: Vec<crate::stick::Pending>,
}

impl<'c, 'g> Exchange<'c, 'g> {
    /// Begins a record.
    pub fn begin(
        client: &'c mut Client,
        generation: &'g Arc<Generation>,
        start: Instant,
        wall: SystemTime,
    ) -> Self {
        client.live.begin(start, &client.session.src);
        let mut parts = client.worker.take_parts();
        parts.txn.begin(start, wall, client.worker.engine.ms(start));
        parts.txn.id = generation.board.process.next_id.fetch_add(1, Relaxed);
        parts.txn.number = generation.board.process.streams.plus(1) - 1;
        let backend = client.session.frontend;
        Self {
            client,
            generation,
            parts,
            backend,
            in_backend: false,
            raw: false,
            switch: None,
            silent: false,
            keep: true,
            now: start,
            stick_to: None,
            again_on: None,
            persistence: Persistence::default(),
            to_store: Vec::new(),
        }
    }

    /// The frontend's settings.
    pub fn frontend(&self) -> &'g Proxy {
        self.generation.proxy(self.client.session.frontend)
    }

    /// The backend's settings; the frontend's before there is one.
    pub fn back(&self) -> &'g Proxy {
        self.generation.proxy(self.backend)
    }

    /// Time since the record began.
    pub fn since_start(&self) -> Duration {
        clock::since(self.parts.txn.start)
    }

    /// Notes who ended it and in which phase, unless that is known already.
    pub fn set_end(&mut self, (by, within): (EndedBy, EndedIn)) {
        let by = self.client.deadline.rung().map_or(by, ending::from_outside);
        if self.parts.txn.ended_by == EndedBy::Nobody {
            (self.parts.txn.ended_by, self.parts.txn.ended_in) = (by, within);
        }
    }

    /// From the head that was read to the end of the response.
    pub async fn run(&mut self) -> After {
        self.client.live.phase.set(Phase::Analyse);
        self.count_request();
        if let Err(after) = self.analyse().await {
            return after;
        }
        self.serve().await
    }

    /// From a request that was analysed to the end of its response.
    pub async fn serve(&mut self) -> After {
        loop {
            let mut server = match self.attach().await {
                Ok(server) => server,
                Err(after) => return after,
            };
            match self.forward(&mut server).await {
                Sent::Through(after) => {
                    self.detach(server, after);
                    return after;
                }
                Sent::Again => {}
                Sent::Failed(after) => return after,
            }
        }
    }

    /// Notes what was asked for, and counts it.
    pub fn count_request(&mut self) {
        let txn = &mut self.parts.txn;
        txn.method.extend_from_slice(self.parts.request.method());
        txn.uri.extend_from_slice(self.parts.request.uri());
        txn.version = self.parts.request.version;
        let front = &self.generation.proxies[self.client.session.frontend.0].front;
        front.http_req.plus(1);
        front.rates.req.add(txn.start_ms, 1);
        self.generation.board.process.cum_req.plus(1);
        self.track_request();
        self.keep = self.parts.info.keep_alive
            && self.frontend().options.connection_mode != ConnectionMode::Close
            && super::park::goes_on(&self.client.worker.engine, self.generation);
    }

    /// Sends the request, waits for the response, passes both on.
    async fn forward(&mut self, server: &mut Server<'_>) -> Sent {
        self.write_request(server);
        match self.response_head(server).await {
            Ok(info) => self.response(server, info).await,
            Err(event) => Box::pin(self.no_response(server, event)).await,
        }
    }

    fn write_request(&mut self, server: &Server<'_>) {
        let settings = self.back();
        let back = &settings.options;
        let parts = &mut *self.parts;
        let named = settings.send_name_header.as_deref().map(str::as_bytes);
        if let Some(header) = named {
            parts.request.remove(header);
        }
        parts.up.out.clear();
        if !server.prefix.is_empty() {
            parts.up.out.extend_from_slice(&server.prefix);
        }
        let hold = parts.request.mark();
        if let Some(header) = named {
            parts.request.add(header, settings.servers[server.at.1.0].name.as_bytes());
        }
        if !server.keep_alive && parts.request.version >= (1, 1) {
            if !parts.info.upgrade && !back.http_pretend_keepalive {
                parts.request.add(b"connection", b"close");
            }
        } else if server.keep_alive
            && parts.request.version < (1, 1)
            && parts.info.framing != Framing::Chunked
        {
            parts.request.add(b"connection", b"keep-alive");
        }
        let begin = parts.up.out.len();
        parts.request.write(&mut parts.up.out);
        parts.request.restore(hold);
        let h1 = !matches!(server.link.conn.wire, Wire::H2(_));
        parts.up.cases = cases(self.generation, h1 && back.h1_case_adjust_bogus_server);
        if let Some(cases) = &parts.up.cases {
            h1::emit::adjust_head(&mut parts.up.out[begin..], cases);
        }
        parts.up.begin(parts.info.framing);
        parts.server_parser.reset();
        parts
            .server_parser
            .set_options(super::requests::options(self.generation, back.accept_invalid_http_response));
    }

    /// The timeouts of both sides.
    pub fn limits(&self) -> Limits {
        let (front, back) = (&self.frontend().timeouts, &self.back().timeouts);
        Limits {
            client: self.parts.txn.timeout_client.or(front.client),
            server: self.parts.txn.timeout_server.or(back.server),
            client_fin: front.client_fin,
            server_fin: back.server_fin,
            tunnel: false,
        }
    }

    async fn transfer(&mut self, server: &mut Server<'_>, head: bool) -> Event {
        let limits = self.limits();
        self.transfer_within(server, head, Kind::Messages, &limits).await
    }

    /// Moves both directions until something happens.
    pub async fn transfer_within(
        &mut self,
        server: &mut Server<'_>,
        head: bool,
        kind: Kind,
        limits: &Limits,
    ) -> Event {
        let watch_client = head && self.back().options.abortonclose;
        let (client, parts) = (&mut *self.client, &mut *self.parts);
        let mut transfer = Transfer {
            client: &mut client.conn,
            server: &mut server.link.conn,
            up: &mut parts.up,
            down: &mut parts.down,
            deadline: &client.deadline,
            limits,
            kind,
            watch_client,
        };
        transfer.run(head).await
    }

    /// Waits for the response's head; interim answers on the way are passed on.
    async fn response_head(&mut self, server: &mut Server<'_>) -> Result<Answer, Event> {
        loop {
            if (!server.link.conn.buf.is_empty() || server.link.conn.eof)
                && let Some(info) = self.parse_response(server).map_err(Event::Down)?
            {
                if !info.interim {
                    return Ok(info);
                }
                self.parts.server_parser.reset();
                server.count_status(self.generation, self.parts.response.status());
                self.parts.txn.bytes_out += self.parts.response.counted_len() as u64;
                if self.parts.request.version >= (1, 1) {
                    self.write_response();
                }
                continue;
            }
            match self.transfer(server, true).await {
                Event::Head => {}
                other => return Err(other),
            }
        }
    }

    fn parse_response(&mut self, server: &mut Server<'_>) -> Result<Option<Answer>, Broken> {
        let parts = &mut *self.parts;
        let bytes = server.link.conn.buf.bytes();
        // The buffer may be a large one; the limit is that of `tune.bufsize` all the same.
        let most = self.generation.config.global.tune.bufsize;
        let len = match parts.server_parser.parse(bytes) {
            Ok(Progress::Done(len)) if len <= most => len,
            Ok(Progress::Done(_)) => return Err(Broken::Bad(Fault::TooLarge)),
            Ok(Progress::Need) if server.link.conn.eof => return Err(Broken::Cut),
            Ok(Progress::Need) if bytes.len() >= most => return Err(Broken::Bad(Fault::TooLarge)),
            Ok(Progress::Need) => return Ok(None),
            Err(fault) => return Err(Broken::Bad(fault)),
        };
        // A rule may have asked the server for what the client did not: the body is there then, and goes nowhere.
        let (method, upgrade) = match parts.info.method {
            Method::Head => (Method::of(parts.request.method()), parts.info.upgrade),
            other => (other, parts.info.upgrade),
        };
        parts.down.mute = method != parts.info.method;
        let head = &parts.server_parser.head;
        let info = crate::mux::h1::response(head, bytes, method, upgrade, &mut parts.response)
            .map_err(Broken::Bad)?;
        let own_key = matches!(self.client.conn.wire, Wire::H2(_));
        if parts.response.status() == 101
            && websocket::is_asked(&parts.request)
            && !websocket::is_accepted(&parts.request, &parts.response, own_key)
        {
            return Err(Broken::Bad(Fault::Upgrade));
        }
        server.link.conn.buf.consume(len);
        if info.framing == Framing::Chunked && matches!(server.link.conn.wire, Wire::H2(_)) {
            // Chunks are how HTTP/1 is told of what HTTP/2 does not announce.
            parts.response.chunks = parts.response.remove(b"transfer-encoding");
        }
        Ok(Some(info))
    }

    /// What to do with a server that gave no response.
    async fn no_response(&mut self, server: &mut Server<'_>, event: Event) -> Sent {
        let untouched =
            server.link.conn.buf.is_empty() && self.parts.down.moved == 0 && self.parts.txn.status == 0;
        let replayable = self.parts.up.moved == 0 && untouched;
        if let Event::Down(Broken::Bad(fault)) = &event {
            self.capture(Direction::Response, server.link.conn.buf.bytes().to_vec(), *fault);
        }
        let broken = matches!(event, Event::Down(Broken::Read(_)) | Event::Up(Broken::Write(_)));
        let (cause, status) = match event {
            Event::Up(Broken::Read(_) | Broken::Cut) => {
                return self.client_gone(Cause::ClientClosed, EndedIn::Data);
            }
            Event::Aborted => return self.aborted().await,
            Event::Down(Broken::Write(_)) => {
                return self.client_gone(Cause::ClientClosed, EndedIn::Headers);
            }
            Event::Up(Broken::Bad(fault)) => return self.bad_rest(server, fault).await,
            Event::Timeout(_) if self.client.deadline.rung().is_some() => {
                server.link.conn.take_leave();
                (Cause::Killed, 502)
            }
            Event::Timeout(Side::Client) => {
                self.set_end((EndedBy::ClientTimeout, EndedIn::Data));
                self.keep = false;
                return Sent::Failed(self.reply_error(408).await);
            }
            Event::Timeout(Side::Server) => (Cause::ServerTimeout, 504),
            Event::Down(Broken::Bad(_)) => (Cause::ServerBad, 502),
            Event::Up(Broken::Write(_)) | Event::Down(_) | Event::Head | Event::Done => {
                (Cause::ServerClosed, 502)
            }
        };
        let retry = &self.back().retry_on;
        let wanted = match cause {
            Cause::ServerTimeout => retry.response_timeout,
            Cause::ServerBad => retry.junk_response,
            Cause::Killed => false,
            _ => retry.empty_response && untouched,
        };
        if replayable && cause == Cause::ServerClosed && server.reused && !server.stale_retry {
            // An idle connection that the server closed meanwhile says nothing about the server.
            self.forget_response();
            return Sent::Again;
        }
        let wanted = wanted && !self.parts.txn.no_l7_retry;
        if wanted && replayable && self.parts.txn.retries < self.back().retries {
            self.parts.txn.retries += 1;
            self.again_on = Some(server.at.1);
            self.forget_response();
            return Sent::Again;
        }
        if broken && !self.parts.up.is_done() && !self.parts.up.is_read() {
            // What is still under way has nowhere to go, and the client is told so.
            return self.broken_off(server);
        }
        if cause == Cause::ServerClosed && untouched && matches!(self.client.conn.wire, Wire::H2(_)) {
            // haproxy lets the client ask again: it can, since nothing was done for it, and is told by a reset.
            self.silent = true;
            self.forget_response();
            return Sent::Failed(After::Abort);
        }
        self.count_failed_response(server);
        observe::seen(self.generation, server.at, what_was_seen(cause, broken));
        self.set_end(ending::headers(cause));
        self.parts.txn.server_status = 0;
        self.parts.txn.times.response = None;
        self.give_up();
        Sent::Failed(self.reply_error(status).await)
    }

    /// What followed the head of the request is no HTTP.
    async fn bad_rest(&mut self, server: &mut Server<'_>, fault: Fault) -> Sent {
        self.set_end((EndedBy::Proxy, EndedIn::Headers));
        server.link.conn.take_leave();
        let front = &self.generation.proxies[self.client.session.frontend.0].front;
        front.failed_req.fetch_add(1, Relaxed);
        self.keep = false;
        Sent::Failed(self.reply_error(fault.request_status()).await)
    }

    /// The server broke its connection off while the request was still coming in.
    fn broken_off(&mut self, server: &Server<'_>) -> Sent {
        let back = &self.generation.proxies[self.backend.0].back;
        let counters = &server.state(self.generation).counters;
        for aborts in [&back.srv_aborts, &counters.srv_aborts] {
            aborts.fetch_add(1, Relaxed);
        }
        observe::seen(self.generation, server.at, Seen::Broken);
        self.set_end(ending::data(Cause::ServerClosed));
        Sent::Failed(After::Close)
    }

    /// The client closed while it waited, and `option abortonclose` minds: whoever has closed one side only gets to know.
    async fn aborted(&mut self) -> Sent {
        self.client_gone(Cause::ClientClosed, EndedIn::Headers);
        self.give_up();
        Sent::Failed(self.reply_error(400).await)
    }

    /// No server will answer: the proxy does.
    fn give_up(&mut self) {
        self.parts.txn.bytes_in += self.parts.up.counted;
        if self.parts.up.is_done() {
            // Nothing of the request is left that would stand in the way of the next one.
            self.parts.info.framing = Framing::None;
        }
        self.forget_response();
    }

    fn forget_response(&mut self) {
        self.parts.txn.bytes_out = 0;
        self.parts.response.clear();
        self.parts.up.reset();
        self.parts.down.reset();
    }

    fn count_failed_response(&self, server: &Server<'_>) {
        self.track_failed_response();
        self.generation.proxies[self.backend.0].back.failed_resp.fetch_add(1, Relaxed);
        server.state(self.generation).counters.failed_resp.fetch_add(1, Relaxed);
    }

    fn client_gone(&mut self, cause: Cause, within: EndedIn) -> Sent {
        let (by, _) = ending::data(cause);
        self.set_end((by, within));
        self.generation.proxies[self.backend.0].back.cli_aborts.fetch_add(1, Relaxed);
        Sent::Failed(After::Abort)
    }

    /// The response's head is there: rules, persistence, then the body.
    async fn response(&mut self, server: &mut Server<'_>, info: Answer) -> Sent {
        self.parts.txn.times.response = Some(self.since_start());
        let status = self.parts.response.status();
        self.parts.txn.server_status = status;
        self.parts.txn.bytes_out += self.parts.response.counted_len() as u64;
        if self.back().retry_on.statuses.contains(&status)
            && !self.parts.txn.no_l7_retry
            && self.parts.up.moved == 0
            && self.parts.txn.retries < self.back().retries
        {
            self.parts.txn.retries += 1;
            self.again_on = Some(server.at.1);
            self.forget_response();
            return Sent::Again;
        }
        server.count_status(self.generation, status);
        self.track_status(status);
        observe::seen(self.generation, server.at, Seen::Answered(status));
        if info.framing == Framing::Chunked
            && let Err(fault) = scan(server.link.conn.buf.bytes())
        {
            return Box::pin(self.no_response(server, Event::Down(Broken::Bad(fault)))).await;
        }
        if let Err(after) = self.analyse_response(server, info.framing).await {
            return Sent::Failed(after);
        }
        server.keep_alive &= info.keep_alive;
        let mut framing = info.framing;
        self.copy_for_caches();
        self.compress(framing);
        self.frame_response(&mut framing);
        self.send_head(framing);
        self.log_early(server.link.conn.buf.len());
        self.parts.txn.timeout_tunnel =
            self.parts.txn.timeout_tunnel.or(self.back().timeouts.tunnel).or(self.frontend().timeouts.tunnel);
        if framing == Framing::Tunnel {
            return Box::pin(self.tunnel(server)).await;
        }
        // The end of such an answer is that of our side, and the client need not wait for it until all of its request came.
        self.parts.down.shut_after = framing == Framing::UntilClose && !self.parts.up.is_done();
        let event = self.transfer(server, false).await;
        self.ended(server, event, framing)
    }

    /// Compresses the response where client, file and answer agree.
    pub fn compress(&mut self, framing: Framing) {
        let Some(algorithm) = self.parts.txn.compression else { return };
        let (front, back) = (self.frontend(), self.back());
        let settings = [&back.compression, &front.compression];
        let Some(settings) = settings.into_iter().flatten().find(|c| !c.algorithms.is_empty()) else {
            return;
        };
        let parts = &mut *self.parts;
        let framed = matches!(framing, Framing::Chunked | Framing::Length(1..))
            && parts.info.method != Method::Head
            && parts.request.version >= (1, 1);
        if compress::begin(settings, algorithm, &mut parts.response, framed) {
            let level = self.generation.config.global.tune.comp_maxlevel;
            parts.down.encoder = Some(compress::Encoder::new(algorithm, level));
            parts.txn.compressed = true;
        }
    }

    /// What the client can read: chunks are unknown before 1.1.
    fn frame_response(&mut self, framing: &mut Framing) {
        let parts = &mut *self.parts;
        if *framing == Framing::Chunked && parts.request.version < (1, 1) {
            parts.response.remove(b"transfer-encoding");
            parts.response.chunks = false;
            parts.down.dechunk = true;
            self.keep = false;
        }
        if matches!(framing, Framing::UntilClose) {
            self.keep = false;
        }
    }

    /// Writes the response's head for the client.
    pub fn send_head(&mut self, framing: Framing) {
        let keep = self.keep;
        let parts = &mut *self.parts;
        if framing != Framing::Tunnel {
            if !keep && parts.response.version >= (1, 1) {
                parts.response.add(b"connection", b"close");
            } else if keep
                && framing != Framing::Chunked
                && (parts.response.version < (1, 1) || parts.request.version < (1, 1))
            {
                parts.response.add(b"connection", b"keep-alive");
            }
        }
        parts.txn.status = parts.response.status();
        self.write_response();
        self.parts.down.begin(framing);
    }

    /// Puts the response's head where the client gets it from.
    fn write_response(&mut self) {
        let wanted = self.frontend().options.h1_case_adjust_bogus_client
            && !matches!(self.client.conn.wire, Wire::H2(_));
        let parts = &mut *self.parts;
        let begin = parts.down.out.len();
        parts.response.write(&mut parts.down.out);
        parts.down.cases = cases(self.generation, wanted);
        if let Some(cases) = &parts.down.cases {
            h1::emit::adjust_head(&mut parts.down.out[begin..], cases);
        }
    }

    async fn tunnel(&mut self, server: &mut Server<'_>) -> Sent {
        self.keep = false;
        server.keep_alive = false;
        let parts = &mut *self.parts;
        parts.up.begin(Framing::UntilClose);
        parts.up.shut_after = true;
        parts.down.shut_after = true;
        let mut limits = self.limits();
        if let Some(tunnel) = self.parts.txn.timeout_tunnel {
            (limits.client, limits.server) = (Some(tunnel), Some(tunnel));
        }
        let event = self.transfer_within(server, false, Kind::Tunnel, &limits).await;
        self.ended(server, event, Framing::Tunnel)
    }

    /// The bodies are through, or broke.
    fn ended(&mut self, server: &mut Server<'_>, event: Event, framing: Framing) -> Sent {
        let back = &self.generation.proxies[self.backend.0].back;
        let counters = &server.state(self.generation).counters;
        let cause = match event {
            Event::Done | Event::Head => {
                return Sent::Through(if self.keep { After::Keep } else { After::Close });
            }
            Event::Up(Broken::Read(_) | Broken::Cut) | Event::Down(Broken::Write(_)) | Event::Aborted => {
                back.cli_aborts.fetch_add(1, Relaxed);
                counters.cli_aborts.fetch_add(1, Relaxed);
                Cause::ClientClosed
            }
            Event::Up(Broken::Bad(_)) => Cause::ClientBad,
            // An answer that goes wrong once it has begun is one that the server broke off.
            Event::Down(Broken::Read(_) | Broken::Cut | Broken::Bad(_)) | Event::Up(Broken::Write(_)) => {
                if matches!(event, Event::Down(_)) {
                    back.failed_resp.fetch_add(1, Relaxed);
                    counters.failed_resp.fetch_add(1, Relaxed);
                }
                back.srv_aborts.fetch_add(1, Relaxed);
                counters.srv_aborts.fetch_add(1, Relaxed);
                Cause::ServerClosed
            }
            Event::Timeout(Side::Client) => Cause::ClientTimeout,
            Event::Timeout(Side::Server) => Cause::ServerTimeout,
        };
        server.keep_alive = false;
        let killed = self.client.deadline.rung().is_some();
        if killed
            || matches!(cause, Cause::ClientBad | Cause::ServerClosed | Cause::ClientTimeout)
            || (cause == Cause::ServerTimeout && framing != Framing::Tunnel && !self.parts.up.is_done())
        {
            server.link.conn.take_leave();
        }
        self.set_end(ending::data(cause));
        let tidy = framing == Framing::Tunnel || matches!(cause, Cause::ServerClosed | Cause::ClientBad);
        Sent::Through(if tidy { After::Close } else { After::Abort })
    }

    fn detach(&mut self, server: Server<'_>, after: After) {
        let done = self.parts.txn.ended_by == EndedBy::Nobody
            && server.link.conn.buf.is_empty()
            && !server.link.conn.eof;
        if !server.keep_alive || !done || after == After::Abort || self.parts.info.method == Method::Connect {
            return;
        }
        let at = server.at;
        let (idle, slot) = server.into_idle(self.now);
        let limit = self.generation.proxy(at.0).servers[at.1.0].max_reuse;
        if limit >= 0 && idle.uses > limit as u32 {
            return;
        }
        drop(slot);
        if self.back().http_reuse == HttpReuse::Never {
            self.client.private = (after == After::Keep).then_some((at, idle));
        } else {
            self.client.worker.give_idle(self.generation, at, idle);
        }
    }

    /// The request is no HTTP: told in haproxy's raw page, and the connection ends.
    pub async fn bad_request(&mut self, fault: Fault) -> After {
        self.refuse_raw(fault.request_status(), Cause::ClientBad).await;
        After::Close
    }

    /// As [`Self::bad_request`], with the head still in the buffer, for `show errors`.
    pub async fn bad_head(&mut self, fault: Fault) -> After {
        self.capture(Direction::Request, self.client.conn.buf.bytes().to_vec(), fault);
        self.bad_request(fault).await
    }

    /// Keeps a message that could not be read.
    fn capture(&self, direction: Direction, bytes: Vec<u8>, fault: Fault) {
        let front = self.client.session.frontend;
        let back = self.in_backend.then_some(self.backend);
        let (own, other) = match direction {
            Direction::Request => (Some(front), back),
            Direction::Response => (back, Some(front)),
        };
        let position = if let Fault::Syntax(at) = fault { at } else { 0 };
        let captured = Captured {
            number: self.generation.board.captured.next(),
            at: SystemTime::now(),
            own,
            other,
            server: self.parts.txn.server,
            src: Live::address(&self.client.session.src),
            bytes,
            position,
        };
        if let Some(own) = own {
            self.generation.proxies[own.0].captured.keep(direction, captured);
        }
    }

    /// Sends a page where there is no request to answer.
    pub async fn refuse_raw(&mut self, status: u16, cause: Cause) {
        self.track_bad_request(cause);
        let front = &self.generation.proxies[self.client.session.frontend.0].front;
        front.failed_req.fetch_add(1, Relaxed);
        front.http_req.fetch_add(1, Relaxed);
        front.rates.req.add(self.parts.txn.start_ms, 1);
        self.parts.txn.server_note = Some("<NOSRV>");
        self.set_end(ending::request(cause));
        self.parts.txn.status = status;
        // What is made for a request can't be made without one: the page stays haproxy's own then.
        let bytes = match self.frontend().errors.get(&status) {
            Some(ErrorReply::Raw(raw)) => raw.to_vec(),
            Some(ErrorReply::Template(page)) => {
                page.file().map_or_else(|| errors::of(status).raw(), |raw| raw.to_vec())
            }
            None => errors::of(status).raw(),
        };
        let timeout = self.frontend().timeouts.client;
        self.client.deadline.set(clock::now(), timeout);
        let _ = answer::write_all(&mut self.client.conn, &self.client.deadline, &bytes).await;
    }
}

/// The forms of header names, where a peer wants them.
fn cases(generation: &Generation, wanted: bool) -> Option<Arc<h1::emit::Cases>> {
    let cases = &generation.config.global.h1_case_adjust;
    (wanted && !cases.is_empty()).then(|| Arc::clone(cases))
}

/// Looks whether the chunks that came with a head are chunks at all: then nothing was said to the client yet.
pub(super) fn scan(bytes: &[u8]) -> Result<(), Fault> {
    let (mut body, mut at) = (Body::new(Framing::Chunked), 0);
    while at < bytes.len() {
        at += match body.next(&bytes[at..], false)? {
            Part::Need | Part::End => return Ok(()),
            Part::Data { take }
            | Part::Plain { take }
            | Part::Size { take, .. }
            | Part::Crlf { take }
            | Part::Trailer { take, .. } => take,
        };
    }
    Ok(())
}

/// What a failure tells those who judge servers by their traffic.
fn what_was_seen(cause: Cause, broken: bool) -> Seen {
    match cause {
        Cause::ServerTimeout => Seen::Silent,
        Cause::ServerBad => Seen::Invalid,
        _ if broken => Seen::Broken,
        _ => Seen::Closed,
    }
}

/// How sending to one server went.
enum Sent {
    /// The response is through; what becomes of the client.
    Through(After),
    /// Nothing was lost: try again.
    Again,
    /// It failed and the client was told.
    Failed(After),
}

impl<'g> Server<'g> {
    fn into_idle(self, now: Instant) -> (Box<Idle>, super::assign::Slot<'g>) {
        let mut idle = self.link;
        idle.since = now;
        idle.uses += 1;
        (idle, self.slot)
    }
}
