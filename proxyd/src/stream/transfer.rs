//! Both directions of a stream at once, under the timeouts of both sides.
//!
//! Invariant: a side's timeout runs only while that side is waited for; any progress starts it anew.
//!
//! Absent on purpose: what an event means for the stream (its caller decides), and heads.

use crate::mux::flow::{Blocked, Broken, Flow};
use crate::mux::wire::{Conn, Wire};
use crate::runtime::clock;
use crate::runtime::timers::Deadline;
use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

/// One side of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The client.
    Client,
    /// The server.
    Server,
}

/// What passes between the two sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A request and its response. A response that is through before its request leaves the rest of it to be passed on.
    Messages,
    /// What follows a switch of protocols: it ends with the server's side.
    Tunnel,
    /// A stream without messages: both sides end it.
    Raw,
}

/// Why a transfer stopped.
#[derive(Debug)]
pub enum Event {
    /// The server sent something (or closed) while its head was waited for.
    Head,
    /// All is through.
    Done,
    /// The request's direction broke.
    Up(Broken),
    /// The response's direction broke.
    Down(Broken),
    /// A side was silent for too long.
    Timeout(Side),
    /// The client closed while its answer was waited for (`option abortonclose`).
    Aborted,
}

/// Timeouts of a transfer.
#[derive(Debug, Clone, Copy, Default)]
pub struct Limits {
    /// `timeout client`.
    pub client: Option<Duration>,
    /// `timeout server`.
    pub server: Option<Duration>,
    /// `timeout client-fin`: after the client closed its side, or was closed.
    pub client_fin: Option<Duration>,
    /// `timeout server-fin`.
    pub server_fin: Option<Duration>,
    /// `timeout tunnel` took the place of the first two: where both are over, the server is to blame.
    pub tunnel: bool,
}

/// What a transfer works on.
#[derive(Debug)]
pub struct Transfer<'a> {
    /// The client.
    pub client: &'a mut Conn,
    /// The server.
    pub server: &'a mut Conn,
    /// Client to server.
    pub up: &'a mut Flow,
    /// Server to client.
    pub down: &'a mut Flow,
    /// The task's deadline.
    pub deadline: &'a Deadline,
    /// Timeouts.
    pub limits: &'a Limits,
    /// What it is that passes.
    pub kind: Kind,
    /// Watch the client for its end while nothing else is expected of it.
    pub watch_client: bool,
}

impl Transfer<'_> {
    /// Goes on until something happens. With `head`, the next bytes of the server are its head.
    pub async fn run(&mut self, head: bool) -> Event {
        let mut armed: Option<Side> = None;
        poll_fn(|cx| self.poll(cx, head, &mut armed)).await
    }

    /// [`Self::run`] for callers that hold what it works on; `armed` is the side that the deadline was set for.
    pub fn poll(&mut self, cx: &mut Context<'_>, head: bool, armed: &mut Option<Side>) -> Poll<Event> {
        let mut progress = false;
        let mut up = match self.up.poll(cx, self.client, self.server, &mut progress) {
            Ok(blocked) => blocked,
            Err(broken) => return Poll::Ready(Event::Up(broken)),
        };
        let down = if head {
            match self.down.poll(cx, self.server, self.client, &mut progress) {
                Ok(Blocked::Write) => Blocked::Write,
                Ok(_) => match self.server.poll_fill_first(cx) {
                    Poll::Ready(Ok(_)) => return Poll::Ready(Event::Head),
                    Poll::Ready(Err(e)) => return Poll::Ready(Event::Down(Broken::Read(e))),
                    Poll::Pending => Blocked::Read,
                },
                Err(broken) => return Poll::Ready(Event::Down(broken)),
            }
        } else {
            match self.down.poll(cx, self.server, self.client, &mut progress) {
                Ok(blocked) => blocked,
                Err(broken) => return Poll::Ready(Event::Down(broken)),
            }
        };
        let up_done = up == Blocked::Done || !self.up.open;
        if down == Blocked::Done && (up_done || self.kind == Kind::Tunnel) {
            return Poll::Ready(Event::Done);
        }
        if self.watch_client && up == Blocked::Done && !self.client.eof && !self.client.buf.is_full() {
            match self.client.poll_fill(cx, false) {
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Event::Aborted),
                Poll::Ready(Ok(_)) => cx.waker().wake_by_ref(),
                Poll::Pending => {}
            }
        }
        if let Wire::H2(stream) = &self.client.wire
            && stream.poll_gone(cx)
        {
            return Poll::Ready(Event::Aborted);
        }
        if !self.up.open {
            up = Blocked::Done;
        }
        if progress || armed.is_none() {
            *armed = Some(self.arm(head, up, down));
        }
        if self.deadline.poll_passed(cx) {
            return Poll::Ready(Event::Timeout(armed.unwrap_or(Side::Server)));
        }
        Poll::Pending
    }

    /// Sets the deadline of whoever is waited for; gives the side that would be at fault.
    fn arm(&self, head: bool, up: Blocked, down: Blocked) -> Side {
        let client_fin = self.client.eof || self.client.shut;
        let server_fin = self.server.eof || self.server.shut;
        let of = |fin: bool, normal: Option<Duration>, special: Option<Duration>| match special {
            Some(special) if fin => Some(special),
            _ => normal,
        };
        let client = of(client_fin, self.limits.client, self.limits.client_fin);
        let server = of(server_fin, self.limits.server, self.limits.server_fin);
        let (client_waited, server_waited) = match self.kind {
            // As long as an answer is to come the server is blamed alone, even where the request still comes in.
            Kind::Messages => {
                let of_server = server.is_some() && (head || down == Blocked::Read);
                (
                    (up == Blocked::Read && !of_server) || down == Blocked::Write,
                    of_server || up == Blocked::Write,
                )
            }
            // The client's time is looked at only when the server's is over.
            Kind::Tunnel => (server.is_none() || down == Blocked::Write, true),
            Kind::Raw => {
                (up == Blocked::Read || down == Blocked::Write, up == Blocked::Write || down == Blocked::Read)
            }
        };
        let (side, after) = match (client.filter(|_| client_waited), server.filter(|_| server_waited)) {
            (Some(c), Some(s)) if c < s || (c == s && !self.limits.tunnel) => (Side::Client, Some(c)),
            (Some(c), None) => (Side::Client, Some(c)),
            (None, Some(s)) if self.kind == Kind::Tunnel => {
                let first = client.is_some_and(|c| c < s || (c == s && self.up.counted == 0));
                (if first { Side::Client } else { Side::Server }, Some(s))
            }
            (_, s) => (Side::Server, s),
        };
        self.deadline.set(clock::now(), after);
        side
    }
}
