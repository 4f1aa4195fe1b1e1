//! A connection to a server that takes unusually long: what else may happen meanwhile.
//!
//! Invariant: a wait ends at `timeout connect` at the latest. It ends sooner when the client leaves, as HAProxy notices
//! it, and when the server goes down while another one serves, since a server that answers nothing would otherwise hold
//! each stream, and with it a place of `maxconn`, for `retries` times that long.
//! Absent on purpose: what a wait in vain means (`assign.rs`).

use super::connect::Refused;
use super::http::Exchange;
use super::txn::{EndedBy, EndedIn};
use crate::config::model::{ProxyId, ServerId};
use crate::mux::wire::{Conn, Wire};
use crate::runtime::suspicion::Why;
use crate::runtime::{clock, transitions};
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};
use std::time::Duration;

/// How often a stream that waits for a server that is down looks whether another one serves by now.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How a client left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// It closed and has nothing to be sent any more.
    Closed,
    /// Its connection broke.
    Broken,
}

/// Whether the client left while it waits for a server. Without `option abortonclose` HTTP does not look, and a TCP
/// stream whose client closed behind bytes goes on: they are still to be delivered.
pub fn poll_left(conn: &mut Conn, raw: bool, abort: bool, cx: &mut Context<'_>) -> Poll<Left> {
    if !raw && !abort {
        return Poll::Pending;
    }
    while !conn.eof && !conn.buf.is_full() {
        match conn.poll_fill(cx, false) {
            Poll::Ready(Ok(_)) => {}
            Poll::Ready(Err(_)) => return Poll::Ready(Left::Broken),
            Poll::Pending => break,
        }
    }
    if conn.eof && (abort || conn.buf.is_empty()) { Poll::Ready(Left::Closed) } else { Poll::Pending }
}

impl Exchange<'_, '_> {
    /// Waits on for a connection that takes unusually long: its server is checked now, and left when it goes down.
    pub async fn hang(
        &mut self,
        at: (ProxyId, ServerId),
        mut connecting: Pin<&mut impl Future<Output = io::Result<Wire>>>,
        left: Option<Duration>,
    ) -> Result<Wire, Refused> {
        if left == Some(Duration::ZERO) {
            return Err(Refused::Timeout);
        }
        let state = self.generation.server(at.0, at.1);
        let until = left.map(|left| clock::now() + left);
        let abort = self.back().options.abortonclose;
        state.suspicion.raise(Why::Hang);
        loop {
            let mut news = pin!(state.suspicion.down().notified());
            news.as_mut().enable();
            let down = !state.is_up() && !self.persistence.forced;
            if down && transitions::serve_beside(self.generation, at) {
                return Err(if self.may_leave() { Refused::Down } else { Refused::Lost });
            }
            let rest = until.map(|until| until.saturating_duration_since(clock::now()));
            if rest == Some(Duration::ZERO) || self.client.deadline.rung().is_some() {
                return Err(Refused::Timeout);
            }
            let step = down.then_some(LOOK_EVERY);
            self.client.deadline.set(clock::now(), rest.into_iter().chain(step).min());
            let (deadline, client, raw) = (&self.client.deadline, &mut self.client.conn, self.raw);
            let ended = poll_fn(|cx| {
                if let Poll::Ready(wire) = connecting.as_mut().poll(cx) {
                    return Poll::Ready(Some(Ok(wire)));
                }
                if let Poll::Ready(left) = poll_left(client, raw, abort, cx) {
                    return Poll::Ready(Some(Err(left)));
                }
                let look = deadline.poll_passed(cx) || news.as_mut().poll(cx).is_ready();
                if look { Poll::Ready(None) } else { Poll::Pending }
            });
            match ended.await {
                Some(Ok(wire)) => return wire.map_err(|_| Refused::Error),
                Some(Err(left)) => return Err(self.abandoned(at, left)),
                None => {}
            }
        }
    }

    /// Notes that the client left before a server was there. As with HAProxy, a broken TCP stream is one that moved data, and
    /// only that counts as a client's abort.
    fn abandoned(&mut self, (proxy, server): (ProxyId, ServerId), left: Left) -> Refused {
        if left == Left::Broken && self.raw {
            self.set_end((EndedBy::Client, EndedIn::Data));
            let back = &self.generation.proxies[proxy.0].back;
            let counters = &self.generation.server(proxy, server).counters;
            for aborts in [&back.cli_aborts, &counters.cli_aborts] {
                aborts.fetch_add(1, Relaxed);
            }
        } else {
            self.set_end((EndedBy::Client, EndedIn::Connect));
        }
        Refused::ClientGone
    }

    /// Whether a request may go to another server without having been answered.
    fn may_leave(&self) -> bool {
        let back = self.back();
        back.redispatch.is_some_and(|n| n != 0)
            && back.retry_on.conn_failure
            && self.parts.txn.retries < back.retries
    }
}
