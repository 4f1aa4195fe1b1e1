//! `mode tcp`: rules, a server, then bytes both ways.
//!
//! The stream's record is the same as HTTP's, so logs and counters need not know the mode.

use super::accept::Client;
use super::connect::Server;
use super::ending::{self, Cause};
use super::http::{After, Exchange, Switch};
use super::passing::Passing;
use super::transfer::{Event, Limits, Side};
use super::txn::{EndedBy, EndedIn};
use crate::mux::flow::Broken;
use crate::runtime::Generation;
use crate::runtime::clock;
use crate::runtime::streams::Phase;
use h1::Framing;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// What became of a stream before bytes could pass.
enum Begun<'g> {
    /// It is over, or went on with messages: what [`serve`] gives back.
    Over(Option<Instant>),
    /// It has a server.
    Passing(Box<Passing>, Server<'g>),
    /// It has one, and ended while rules waited for the server's first bytes.
    Ended(Box<Passing>, Server<'g>, Option<Event>),
}

/// Serves one TCP stream. Where it became one with messages, what is given back says that it only waits for more of them
/// now, and since when.
pub async fn serve(client: &mut Client) -> Option<Instant> {
    let generation = Arc::clone(&client.generation);
    // Boxed: what is needed to get there should not be held as long as the stream lasts.
    let (passing, mut server, event) = match Box::pin(begin(client, &generation)).await {
        Begun::Over(waits) => return waits,
        Begun::Ended(passing, server, event) => (passing, server, event),
        Begun::Passing(mut passing, mut server) => {
            let event = passing.run(client, &mut server).await;
            (passing, server, Some(event))
        }
    };
    let mut x = passing.resume(client, &generation);
    if let Some(event) = event {
        x.account(event, &mut server);
    }
    x.finish_raw();
    None
}

/// Goes as far as to a server.
async fn begin<'g>(client: &mut Client, generation: &'g Arc<Generation>) -> Begun<'g> {
    let (start, wall) = (client.session.accepted, clock::wall());
    let mut x = Exchange::begin(client, generation, start, wall);
    x.client.live.phase.set(Phase::Analyse);
    x.keep = false;
    x.raw = true;
    x.parts.txn.times.request = Some(Duration::ZERO);
    if x.analyse().await.is_ok() {
        if let Some(switch) = x.switch.take() {
            return Begun::Over(Box::pin(messages(x, switch)).await);
        }
        if let Ok(mut server) = x.attach().await {
            let begun = x.begin_to_pass(&mut server).await;
            let limits = x.limits_of_bytes();
            let passing = Passing::of(x, limits);
            return match begun {
                Ok(()) => Begun::Passing(passing, server),
                Err(event) => Begun::Ended(passing, server, event),
            };
        }
    }
    x.parts.txn.bytes_in += x.client.conn.buf.len() as u64;
    // What nobody read would turn the end of the connection into a reset.
    x.client.conn.discard();
    x.finish_raw();
    Begun::Over(None)
}

/// A stream that turned out to be HTTP: its first request is served under the record that was begun, what follows as on
/// any connection of HTTP. HTTP/2 begins anew, and the stream that led to it is none.
async fn messages(mut x: Exchange<'_, '_>, switch: Switch) -> Option<Instant> {
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
async fn first_request(x: &mut Exchange<'_, '_>, switch: Switch) -> After {
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

impl Exchange<'_, '_> {
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

    /// Makes both ways ready; rules may wait for the server's first bytes.
    async fn begin_to_pass(&mut self, server: &mut Server<'_>) -> Result<(), Option<Event>> {
        let parts = &mut *self.parts;
        parts.up.out.extend_from_slice(&server.prefix);
        parts.up.begin(Framing::UntilClose);
        for flow in [&mut parts.up, &mut parts.down] {
            (flow.may_splice, flow.shut_after) = (true, true);
        }
        self.log_early(0);
        let begun = self.response_begins(server).await;
        self.parts.down.begin(Framing::UntilClose);
        begun
    }

    fn limits_of_bytes(&self) -> Limits {
        let limits = self.limits();
        match self.parts.txn.timeout_tunnel.or(self.back().timeouts.tunnel) {
            None => limits,
            tunnel => Limits { client: tunnel, server: tunnel, tunnel: true, ..limits },
        }
    }

    /// Counts how the passing of bytes ended, and notes who ended it.
    fn account(&mut self, event: Event, server: &mut Server<'_>) {
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

    /// The end of a stream without messages.
    fn finish_raw(self) {
        let said_nothing = self.parts.txn.bytes_in + self.parts.up.counted == 0;
        let null = said_nothing && self.frontend().options.dontlognull;
        self.finish(null);
    }
}
