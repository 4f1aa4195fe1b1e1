//! `mode tcp`: rules, a server, then bytes both ways.
//!
//! The stream's record is the same as HTTP's, so logs and counters need not know the mode.

use super::accept::Client;
use super::connect::Server;
use super::ending::{self, Cause};
use super::http::{After, Exchange, Switch};
use super::transfer::{Event, Kind, Limits, Side};
use super::txn::{EndedBy, EndedIn};
use crate::mux::flow::Broken;
use crate::runtime::clock;
use crate::runtime::streams::Phase;
use h1::Framing;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// Serves one TCP stream. Where it became one with messages, what is given back says that it only waits for more of them
/// now, and since when.
pub async fn serve(client: &mut Client) -> Option<Instant> {
    let generation = Arc::clone(&client.generation);
    let (start, wall) = (client.session.accepted, clock::wall());
    let mut x = Exchange::begin(client, &generation, start, wall);
    x.client.live.phase.set(Phase::Analyse);
    x.keep = false;
    x.raw = true;
    x.parts.txn.times.request = Some(Duration::ZERO);
    // Boxed each: what is needed to get there should not be held as long as the stream lasts.
    let mut begun = false;
    if Box::pin(x.analyse()).await.is_ok() {
        if let Some(switch) = x.switch.take() {
            return Box::pin(messages(x, switch)).await;
        }
        let mut server = Box::pin(x.attach()).await.ok();
        if let Some(server) = &mut server {
            begun = true;
            x.copy(server).await;
        }
    }
    if !begun {
        x.parts.txn.bytes_in += x.client.conn.buf.len() as u64;
        // What nobody read would turn the end of the connection into a reset.
        x.client.conn.discard();
    }
    let said_nothing = x.parts.txn.bytes_in + x.parts.up.counted == 0;
    let null = said_nothing && x.frontend().options.dontlognull;
    x.finish(null);
    None
}

/// A stream that turned out to be HTTP: its first request is served under the record that was begun, what follows as on
/// any connection of HTTP. HTTP/2 begins anew, and the stream that led to it is none.
async fn messages(mut x: Exchange<'_>, switch: Switch) -> Option<Instant> {
    let generation = x.generation;
    if x.frontend().binds[x.client.session.bind].proto.as_deref() == Some("none") {
        // Nothing but bytes is spoken here.
        x.set_end((EndedBy::Proxy, EndedIn::Request));
        x.parts.txn.bytes_in += x.client.conn.buf.len() as u64;
        x.client.conn.discard();
        x.finish(false);
        return None;
    }
    x.client.deadline.set(x.parts.txn.start, super::requests::wait_limit(&x.frontend().timeouts, true));
    let h2 = switch.h2_too && super::requests::is_h2(x.client, generation).await;
    if !h2 {
        let after = first_request(&mut x, switch).await;
        let client = x.finish_on(false);
        return super::requests::go_on(client, generation, after).await;
    }
    x.silent = true;
    let client = x.finish_on(false);
    super::multiplexed::serve(client).await;
    None
}

/// The request that a stream began with.
async fn first_request(x: &mut Exchange<'_>, switch: Switch) -> After {
    x.raw = false;
    x.keep = true;
    x.parts.looks_http = false;
    x.parts.request.clear();
    x.parts.client_parser.reset();
    x.parts.txn.times.request = None;
    if let Err(after) = super::requests::read_head(x).await {
        // A stream that is neither is its frontend's affair, whatever was wrong with it.
        x.parts.txn.backend = None;
        (x.parts.txn.ended_by, x.parts.txn.ended_in) = (EndedBy::Proxy, EndedIn::Request);
        return after;
    }
    x.count_request();
    let analysed = if switch.routed { x.analyse_in_backend().await } else { x.analyse_request().await };
    match analysed {
        Ok(()) => x.serve().await,
        Err(after) => after,
    }
}

impl Exchange<'_> {
    /// Copies until both sides are done. A side that is silent for too long counts as one that closed: the other may
    /// still end by itself, within what is left of its own time.
    async fn copy_within(&mut self, server: &mut Server<'_>, limits: &mut Limits) -> Event {
        loop {
            let event = self.transfer_within(server, false, Kind::Raw, limits).await;
            let rest = |other: Option<Duration>, own: Option<Duration>| {
                other.zip(own).map(|(other, own)| other.saturating_sub(own))
            };
            match event {
                // Somebody wants this stream to end.
                Event::Timeout(_) if self.client.deadline.rung().is_some() => return event,
                Event::Timeout(Side::Client) if !self.client.conn.eof => {
                    self.set_end(ending::data(Cause::ClientTimeout));
                    self.client.conn.eof = true;
                    limits.server = rest(limits.server, limits.client).or(limits.server);
                }
                Event::Timeout(Side::Server) if !server.link.conn.eof => {
                    self.set_end(ending::data(Cause::ServerTimeout));
                    server.link.conn.eof = true;
                    limits.client = rest(limits.client, limits.server).or(limits.client);
                }
                other => return other,
            }
        }
    }

    /// What looks at the server's first bytes: `tcp-response content`, then `stick store-response`.
    async fn response_begins(&mut self, server: &mut Server<'_>) -> Result<(), Option<Event>> {
        self.responding();
        if self.back().rules.tcp_res_cont.is_empty() {
            self.store_stick(server);
            return Ok(());
        }
        Box::pin(self.stream_response_rules(server)).await?;
        self.store_stick(server);
        Ok(())
    }

    async fn copy(&mut self, server: &mut Server<'_>) {
        let parts = &mut *self.parts;
        parts.up.out.extend_from_slice(&server.prefix);
        parts.up.begin(Framing::UntilClose);
        (parts.up.may_splice, parts.down.may_splice) = (true, true);
        parts.up.shut_after = true;
        parts.down.shut_after = true;
        let mut limits = self.limits();
        let tunnel = self.parts.txn.timeout_tunnel.or(self.back().timeouts.tunnel);
        if let Some(tunnel) = tunnel {
            (limits.client, limits.server, limits.tunnel) = (Some(tunnel), Some(tunnel), true);
        }
        self.log_early(0);
        let begun = self.response_begins(server).await;
        self.parts.down.begin(Framing::UntilClose);
        let event = match begun {
            Ok(()) => self.copy_within(server, &mut limits).await,
            Err(Some(event)) => event,
            Err(None) => return,
        };
        if !matches!(event, Event::Up(Broken::Read(_)) | Event::Down(Broken::Write(_))) {
            server.link.conn.take_leave();
        }
        let back = &self.generation.proxies[self.backend.0].back;
        let counters = &server.state(self.generation).counters;
        let cause = match event {
            Event::Done | Event::Head | Event::Aborted => return,
            Event::Timeout(_) if self.client.deadline.rung().is_some() => {
                // Without messages there is no phase to tell.
                return self.set_end((EndedBy::Killed, EndedIn::None));
            }
            Event::Up(Broken::Write(_)) | Event::Down(Broken::Read(_) | Broken::Cut | Broken::Bad(_)) => {
                back.srv_aborts.fetch_add(1, Relaxed);
                counters.srv_aborts.fetch_add(1, Relaxed);
                Cause::ServerClosed
            }
            Event::Up(_) | Event::Down(Broken::Write(_)) => {
                back.cli_aborts.fetch_add(1, Relaxed);
                counters.cli_aborts.fetch_add(1, Relaxed);
                Cause::ClientClosed
            }
            Event::Timeout(Side::Client) => Cause::ClientTimeout,
            Event::Timeout(Side::Server) => Cause::ServerTimeout,
        };
        if self.parts.txn.ended_by == EndedBy::Nobody {
            self.set_end(ending::data(cause));
        }
    }
}
