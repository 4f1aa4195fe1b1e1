//! From a request that may go on to a server's connection: reuse or connect, until one is there.
//!
//! Absent on purpose: which server, and what a failed try means (`assign.rs`).

use super::assign::{Retry, Slot};
use super::http::{After, Exchange};
use super::txn::{Ends, Peer};
use super::view::Phase;
use crate::config::model::{
    ConnectionMode, HttpReuse, MapPorts, ProxyId, Server as Settings, ServerAddress, ServerId,
};
use crate::http::errors;
use crate::http::message::Start;
use crate::mux::h2::Link;
use crate::mux::websocket;
use crate::mux::wire::{Conn, Wire};
use crate::net::Buffers;
use crate::net::connect::{self, Target};
use crate::runtime::Generation;
use crate::runtime::board::ServerState;
use crate::runtime::clock;
use crate::runtime::observe::{self, Seen};
use crate::runtime::streams::Phase as Live;
use crate::runtime::timers::whole_ms;
use crate::runtime::worker::{Asked, Idle};
use crate::stats::tally::Tally;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;

/// A server's connection in use.
#[derive(Debug)]
pub struct Server<'g> {
    /// The connection, in the memory that goes back to the pool with it.
    pub link: Box<Idle>,
    /// Whose.
    pub at: (ProxyId, ServerId),
    /// Taken from the pool.
    pub reused: bool,
    /// A second attempt after a stale connection of the pool.
    pub stale_retry: bool,
    /// It can serve another request.
    pub keep_alive: bool,
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

    /// Counts a response of the server, interim ones too; its requests are counted by what it answers.
    pub fn count_status(&self, generation: &Generation, status: u16) {
        let counters = &self.state(generation).counters;
        counters.count_status(status);
        counters.http_req.plus(1);
    }
}

/// Why no connection could be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// Nobody listens, or the network says no.
    Error,
    /// Nothing was heard in time.
    Timeout,
    /// The server went down while we waited, and another one may take the request.
    Down,
    /// The server went down while we waited, others serve, and nothing allows to ask them.
    Lost,
    /// The client left while we waited; the end is noted.
    ClientGone,
}

impl<'g> Exchange<'_, 'g> {
    /// A connection to a server of the backend; on failure the client was told.
    pub async fn attach(&mut self) -> Result<Server<'g>, After> {
        if let Wire::H2(stream) = &self.client.conn.wire
            && stream.is_gone()
        {
            self.set_end((super::txn::EndedBy::Client, super::txn::EndedIn::Request));
            return Err(After::Abort);
        }
        let mut slot = self.first_or_again().await?;
        loop {
            let at = slot.at();
            self.note_choice(at);
            if let Some(prefix) = &self.generation.proxy(at.0).servers[at.1.0].redir
                && matches!(self.parts.info.method, h1::Method::Get | h1::Method::Head)
                && !self.raw
            {
                return Err(Box::pin(self.send_elsewhere(prefix, slot)).await);
            }
            let stale_retry = self.parts.txn.times.connect.is_some();
            if !stale_retry && let Some(idle) = self.reuse(at) {
                let server = Server {
                    keep_alive: !matches!(idle.conn.wire, Wire::H2(_)),
                    link: idle,
                    at,
                    reused: true,
                    stale_retry,
                    prefix: Vec::new(),
                    slot,
                };
                self.connected(&server);
                return Ok(server);
            }
            match Box::pin(self.open(at)).await {
                Ok((conn, ends, prefix)) => {
                    // A stream of many has no connection of its own that could be kept.
                    let keep_alive = self.server_keep_alive() && !matches!(conn.wire, Wire::H2(_));
                    let tls = self.parts.txn.server_tls.take();
                    let server = Server {
                        link: Box::new(Idle { conn, since: self.now, uses: 0, ends, tls }),
                        at,
                        reused: false,
                        stale_retry,
                        keep_alive,
                        prefix,
                        slot,
                    };
                    self.connected(&server);
                    return Ok(server);
                }
                Err(refused) => {
                    if Box::pin(self.failed(at, refused)).await? == Retry::Elsewhere {
                        drop(slot);
                        slot = self.assign(Some(at.1)).await?;
                    }
                }
            }
        }
    }

    /// The session of a first try, or of one more after a server gave no answer.
    async fn first_or_again(&mut self) -> Result<Slot<'g>, After> {
        match self.again_on.take() {
            Some(id) if self.retry((self.backend, id)) == Retry::Same => {
                Ok(Slot::new(self.generation, (self.backend, id)))
            }
            previous => self.assign(previous).await,
        }
    }

    /// `redir`: the client goes to the server by itself.
    async fn send_elsewhere(&mut self, prefix: &str, slot: Slot<'_>) -> After {
        drop(slot);
        let path = path_of(self.parts.request.uri()).to_vec();
        let mut location = if prefix == "/" { Vec::new() } else { prefix.as_bytes().to_vec() };
        location.extend_from_slice(&path);
        self.set_end((super::txn::EndedBy::Local, super::txn::EndedIn::Connect));
        self.keep = false;
        let response = &mut self.parts.response;
        response.clear();
        let reason = response.store(b"Found");
        response.start = Start::Response { status: 302, reason };
        response.version = (1, 1);
        response.add(b"cache-control", b"no-cache");
        response.add(b"content-length", b"0");
        response.add(b"location", &location);
        // The field that ends the connection is counted, as with pages that have it.
        self.parts.txn.bytes_out += errors::CLOSE_COUNTED;
        self.send(Vec::new()).await
    }

    fn server_keep_alive(&self) -> bool {
        let back = self.back();
        back.options.connection_mode == ConnectionMode::KeepAlive
            && self.frontend().options.connection_mode == ConnectionMode::KeepAlive
    }

    fn connected(&mut self, server: &Server<'_>) {
        let elapsed = self.since_start();
        self.parts.txn.times.connect = Some(elapsed);
        self.parts.txn.server_fault = 0;
        self.parts.txn.server_ends = Some(Rc::clone(&server.link.ends));
        self.parts.txn.server_tls.clone_from(&server.link.tls);
        self.client.live.server_fd.set(server.link.conn.wire.socket().map_or(-1, |s| s.as_raw_fd()));
        self.client.live.phase.set(Live::Established);
        observe::seen(self.generation, server.at, Seen::Connected);
        let counters = &server.state(self.generation).counters;
        let back = &self.generation.proxies[self.backend.0].back;
        let which =
            if server.reused { [&counters.reuse, &back.reuse] } else { [&counters.connect, &back.connect] };
        for counter in which {
            counter.plus(1);
        }
    }

    fn note_choice(&mut self, at: (ProxyId, ServerId)) {
        self.parts.txn.server = Some(at.1);
        self.client.live.server.set(Some(at.1));
        self.client.live.phase.set(Live::Connect);
        // Each try counts.
        let counters = &self.generation.server(at.0, at.1).counters;
        counters.cum_sess.plus(1);
        let elapsed = self.since_start();
        counters.rates.sess.add(self.parts.txn.start_ms + whole_ms(elapsed), 1);
        self.client.live.chosen.set(clock::now());
        self.parts.txn.times.queue.get_or_insert(elapsed);
    }

    fn reuse(&mut self, at: (ProxyId, ServerId)) -> Option<Box<Idle>> {
        if !self.server_keep_alive() || self.websocket_h2(at).is_some() {
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
        self.client.worker.take_idle(self.generation, at, reused_only).or_else(|| self.share(at))
    }

    /// Whether a WebSocket goes over HTTP/2, where its server says so (`ws`); it gets a connection of its own then.
    fn websocket_h2(&self, (proxy, server): (ProxyId, ServerId)) -> Option<bool> {
        if self.raw || !self.parts.info.upgrade || !websocket::is_asked(&self.parts.request) {
            return None;
        }
        match self.generation.proxy(proxy).servers[server.0].ws.as_deref() {
            Some("h1") => Some(false),
            Some("h2") => Some(true),
            // Where TLS lets choose, HTTP/1 is what every server of WebSockets speaks.
            _ => {
                let client = self.generation.tls.servers[proxy.0][server.0].as_ref()?;
                client.current().config.alpn_protocols.iter().any(|p| p == b"http/1.1").then_some(false)
            }
        }
    }

    /// One more stream on an HTTP/2 connection of the server.
    fn share(&self, at: (ProxyId, ServerId)) -> Option<Box<Idle>> {
        let (stream, asked) = self.client.worker.ask(self.generation, at)?;
        Some(Box::new(Idle {
            conn: Conn::new(Wire::H2(Box::new(stream))),
            since: self.now,
            uses: 1,
            ends: asked.ends,
            tls: asked.tls,
        }))
    }

    /// Makes an HTTP/2 connection of one that was just opened, and a stream on it.
    fn multiplex(&self, at: (ProxyId, ServerId), mut conn: Conn, ends: &Ends, secure: bool) -> Option<Conn> {
        let settings = &self.generation.proxy(at.0).servers[at.1.0];
        let config = super::multiplexed::config(&self.generation.config.global, "be");
        conn.outgoing = false; // its last frame is to arrive
        let (link, asker) = Link::ask(conn, config, secure);
        let stream = asker.open()?;
        if self.back().http_reuse != HttpReuse::Never && self.websocket_h2(at).is_none() {
            let asked = Asked { asker, ends: Rc::clone(ends), tls: self.parts.txn.server_tls.clone() };
            self.client.worker.give_asker(self.generation, at, asked);
        }
        let endurance = super::multiplexed::Endurance::of(&self.generation.config.global, "be");
        let drive = super::multiplexed::drive(link, settings.pool_purge_delay, endurance);
        tokio::task::spawn_local(clock::ticking(drive));
        Some(Conn::new(Wire::H2(Box::new(stream))))
    }

    /// Connects to a server.
    async fn open(&mut self, at: (ProxyId, ServerId)) -> Result<(Conn, Ends, Vec<u8>), Refused> {
        let generation = Arc::clone(self.generation);
        let back = generation.proxy(at.0);
        let settings = &back.servers[at.1.0];
        let dst = self.parts.txn.dst.as_ref().unwrap_or(&self.client.session.dst);
        let Some(target) = target(settings, generation.server(at.0, at.1), dst) else {
            return Err(Refused::Error);
        };
        let tune = &generation.config.global.tune;
        let options = connect::Options {
            source: settings.source.clone().or_else(|| back.source.clone()),
            spoof: spoof(
                settings.source.as_ref().or(back.source.as_ref()),
                self.parts.txn.src.as_ref().unwrap_or(&self.client.session.src),
            ),
            keepalive: back.options.srvtcpka,
            no_linger: back.options.nolinger,
            user_timeout: settings.tcp_ut,
            namespace: settings.namespace.clone(),
            fast_open: settings.tfo,
            socks4: settings.socks4,
            buffers: Buffers { receive: tune.rcvbuf_server, send: tune.sndbuf_server },
        };
        let suspicion = &generation.server(at.0, at.1).suspicion;
        let patience = suspicion.hang_after();
        let first = back.timeouts.connect.map_or(patience, |t| t.min(patience));
        self.client.deadline.set(clock::now(), Some(first));
        let deadline = &self.client.deadline;
        let mut connecting = pin!(connect::connect(&target, &options));
        let soon = poll_fn(|cx| match connecting.as_mut().poll(cx) {
            Poll::Ready(wire) => Poll::Ready(Some(wire)),
            Poll::Pending if deadline.poll_passed(cx) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        });
        let wire = match soon.await {
            Some(wire) => wire.map_err(|_| Refused::Error)?,
            None => self.hang(at, connecting, back.timeouts.connect.map(|t| t.saturating_sub(first))).await?,
        };
        let remote = match &target {
            Target::Inet(address) => Peer::Inet(*address),
            _ => Peer::Unix,
        };
        let local = wire.tcp().and_then(|s| s.local_addr().ok()).map_or(Peer::Unknown, Peer::Inet);
        let mut prefix = Vec::new();
        if !settings.send_proxy.is_none() {
            let view = self.view(back, Phase::RequestHead);
            super::heading::write(&mut prefix, settings.send_proxy, &view);
        }
        let mut conn = Conn::opened(wire);
        let secure = generation.server(at.0, at.1).uses_tls(settings.tls.as_ref().is_some_and(|t| t.enabled));
        let usual = settings.proto.as_deref() == Some("h2");
        let asks = !self.raw && self.websocket_h2(at).unwrap_or(usual);
        if secure || asks {
            // The PROXY header goes before the handshake.
            let sent = super::answer::write_all(&mut conn, &self.client.deadline, &prefix).await;
            prefix.clear();
            if sent.is_err() {
                return Err(Refused::Error);
            }
        }
        if secure {
            Box::pin(self.secure(at, &mut conn)).await?;
        }
        let ends = Rc::new((local, remote));
        let agreed = self.parts.txn.server_tls.as_ref().filter(|_| secure).and_then(|t| t.alpn.as_deref());
        if asks || (!self.raw && agreed == Some(b"h2")) {
            conn = self.multiplex(at, conn, &ends, secure).ok_or(Refused::Error)?;
        }
        Ok((conn, ends, prefix))
    }

    /// Runs the TLS handshake with a server, under the connect timeout.
    async fn secure(&mut self, at: (ProxyId, ServerId), conn: &mut Conn) -> Result<(), Refused> {
        let generation = Arc::clone(self.generation);
        let back = generation.proxy(at.0);
        let client = generation.tls.servers[at.0.0][at.1.0].as_ref().ok_or(Refused::Error)?.current();
        let settings = back.servers[at.1.0].tls.as_ref();
        let sni = settings.and_then(|t| t.sni.as_ref()).and_then(|expr| {
            let view = self.view(back, Phase::RequestHead);
            let value = expr.run_as(&view, crate::sample::Type::Str)?.into_bytes()?;
            String::from_utf8(value.to_vec()).ok()
        });
        let (most, process) =
            (generation.board.limits.tls_connections.load(Relaxed), &generation.board.process);
        if most > 0 && process.ssl_conns.load(Relaxed) >= most {
            self.parts.txn.server_fault = crate::fetch::conn::fault::TLS_TOO_MANY;
            return Err(Refused::Error);
        }
        let mut stream = conn.take_plain().ok_or(Refused::Error)?;
        stream.count(&generation.board);
        let deadline = &self.client.deadline;
        let only = self.websocket_h2(at).map(|h2| if h2 { &b"h2"[..] } else { b"http/1.1" });
        let mut shaking = pin!(crate::net::tls::connect(&client, sni.as_deref(), only, stream));
        let done = poll_fn(|cx| match shaking.as_mut().poll(cx) {
            Poll::Ready(Ok(stream)) => Poll::Ready(Ok(stream)),
            Poll::Ready(Err(_)) => Poll::Ready(Err(Refused::Error)),
            Poll::Pending if deadline.poll_passed(cx) => Poll::Ready(Err(Refused::Timeout)),
            Poll::Pending => Poll::Pending,
        });
        let done = done.await;
        self.parts.txn.server_fault = match &done {
            Ok(_) => 0,
            Err(Refused::Timeout) => crate::fetch::conn::fault::TLS_TIMEOUT,
            Err(_) => crate::fetch::conn::fault::TLS,
        };
        let stream = done?;
        let info = crate::net::tls::info(stream.get_ref().1, sni.as_deref());
        if !info.resumed {
            let ms = self.client.worker.engine.ms(clock::now());
            generation.board.process.ssl_back_keys.add(ms, 1);
        }
        self.parts.txn.server_tls = Some(Arc::new(info));
        conn.wire = Wire::TlsClient(Box::new(stream));
        Ok(())
    }
}

/// A target's path and query: without scheme and authority.
fn path_of(uri: &[u8]) -> &[u8] {
    let rest = match memchr::memmem::find(uri, b"://") {
        Some(at) if uri.first() != Some(&b'/') => &uri[at + 3..],
        _ => uri,
    };
    memchr::memchr(b'/', rest).map_or(b"", |n| &rest[n..])
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
