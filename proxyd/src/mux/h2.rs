//! The shell of the HTTP/2 core: one connection with a client or a server, and its streams as wires.
//!
//! A stream is a wire that carries HTTP/1: what the engine reads from a client's stream is the request's body in the
//! framing that its head announced, what it writes to it is an HTTP/1 response. So a stream goes through the same engine
//! as a connection of its own. The [`Link`] owns the connection below and moves bytes; streams only touch buffers, so
//! that all they make in one turn of the loop goes out with one write.
//!
//! Invariant: a stream that was opened is ended: with its response's end, or by a reset when its wire is dropped.
//!
//! Absent on purpose: rules, timeouts (`stream::multiplexed`), and frames (`http2`).

pub mod head;
mod stream;

pub use stream::Stream;

use super::wire::Conn;
use crate::http::message::Message;
use h1::{Framing, Method, RequestInfo};
use http2::connection::Counts;
use http2::{Code, Config, Connection, Fields, Role, Sink};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// Memory for what is sent that a connection without streams keeps, in bytes.
const KEPT_MAX: usize = 4096;
/// Bytes that a tunnel's peer may send beyond the window of every stream: tunnels live long.
const TUNNEL_ROOM: u32 = 16 * 1024;
/// Streams that are opened on a server's connection.
const ASKED_MAX: usize = 100;

/// A request whose head came.
#[derive(Debug)]
pub struct Born {
    /// Its stream.
    pub id: u32,
    /// Its head; `None` for one that was refused as malformed.
    pub request: Option<(Message, RequestInfo)>,
    /// It is to be answered by 400.
    pub bad: bool,
}

/// What a stream has received and who waits for it.
#[derive(Debug, Default)]
struct Slot {
    /// Bytes of the body as HTTP/1 frames them, not read yet.
    inbox: Vec<u8>,
    at: usize,
    /// Content in the inbox: what the peer may send again once it is read.
    owed: usize,
    framing: Framing,
    /// Content that is still to come, where the head said so.
    rest: u64,
    /// A response without a body: that of a HEAD.
    headless: bool,
    /// A CONNECT was asked.
    tunnel: bool,
    /// A change of protocol was asked: what the answer says of it.
    upgrade: Option<Vec<u8>>,
    /// A response's final head came.
    answered: bool,
    ended: bool,
    broken: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Slot {
    fn wake(&mut self) {
        for waker in [self.reader.take(), self.writer.take()].into_iter().flatten() {
            waker.wake();
        }
    }

    fn data(&mut self, bytes: &[u8], end: bool) -> Result<(), Code> {
        if self.framing != Framing::Chunked {
            if self.framing != Framing::Tunnel {
                self.rest = self.rest.checked_sub(bytes.len() as u64).ok_or(Code::Protocol)?;
                if end && self.rest > 0 {
                    return Err(Code::Protocol);
                }
            }
            self.inbox.extend_from_slice(bytes);
        } else if !bytes.is_empty() {
            // Capital digits, as haproxy writes the chunks that it makes.
            let _ = write!(self.inbox, "{:X}\r\n", bytes.len());
            self.inbox.extend_from_slice(bytes);
            self.inbox.extend_from_slice(b"\r\n");
        }
        self.owed += bytes.len();
        if end {
            self.end(&[]);
        }
        if let Some(waker) = self.reader.take() {
            waker.wake();
        }
        Ok(())
    }

    /// Takes a response's head: as text for the engine, and as what it says of the body.
    fn answer(&mut self, fields: &Fields, end: bool) -> Result<(), Code> {
        let (status, length) = head::to_response(fields, self.upgrade.is_some(), &mut self.inbox)?;
        if let (101, Some(more)) = (status, &self.upgrade) {
            self.inbox.extend_from_slice(more);
            (self.answered, self.framing, self.ended) = (true, Framing::Tunnel, end);
        } else if status < 200 {
            if end || status == 101 {
                return Err(Code::Protocol);
            }
            self.inbox.extend_from_slice(b"\r\n");
        } else {
            self.answered = true;
            let bodyless = self.headless || matches!(status, 204 | 304);
            self.framing = match length {
                _ if bodyless => Framing::None,
                _ if self.tunnel && status < 300 => Framing::Tunnel,
                Some(n) => Framing::Length(n),
                None if end => Framing::Length(0),
                None => Framing::Chunked,
            };
            if let Framing::Length(n) = self.framing {
                self.rest = n;
            }
            let more: &[u8] = match self.framing {
                Framing::Length(0) if length.is_none() => b"content-length: 0\r\n\r\n",
                Framing::Chunked => b"transfer-encoding: chunked\r\n\r\n",
                _ => b"\r\n",
            };
            self.inbox.extend_from_slice(more);
            if end && self.rest > 0 {
                return Err(Code::Protocol);
            }
            self.ended = end;
        }
        if let Some(waker) = self.reader.take() {
            waker.wake();
        }
        Ok(())
    }

    fn trailers(&mut self, fields: &Fields, end: bool) -> Result<(), Code> {
        let mut text = Vec::new();
        head::trailers(fields, &mut text)?;
        if !end || self.rest > 0 {
            return Err(Code::Protocol);
        }
        self.end(&text);
        if let Some(waker) = self.reader.take() {
            waker.wake();
        }
        Ok(())
    }

    fn end(&mut self, trailers: &[u8]) {
        if self.framing == Framing::Chunked {
            self.inbox.extend_from_slice(b"0\r\n");
            self.inbox.extend_from_slice(trailers);
            self.inbox.extend_from_slice(b"\r\n");
        }
        self.ended = true;
    }
}

/// What a connection and its streams share.
#[derive(Debug)]
struct Shared {
    core: Connection,
    ears: Ears,
    driver: Option<Waker>,
    /// A driver that was woken and did not run yet.
    called: bool,
    /// Streams towards a server that have a wire, opened or not.
    wires: usize,
    /// Who must know what the server takes before it asks.
    unsettled: Vec<Waker>,
}

/// Hears what the core reads.
#[derive(Debug, Default)]
struct Ears {
    slots: BTreeMap<u32, Slot>,
    born: Vec<Born>,
    spare: Vec<Message>,
    /// Streams with wires at most: twice what the peer may have open, since those that are over have one until
    /// their task ends, and the peer that heard the end may ask again at once.
    most: usize,
    /// We ask, the peer answers.
    asks: bool,
}

impl Sink for Ears {
    fn head(&mut self, id: u32, opens: bool, fields: &Fields, end: bool) -> Result<(), Code> {
        if !opens {
            return match self.slots.get_mut(&id) {
                Some(slot) if self.asks && !slot.answered => slot.answer(fields, end),
                Some(slot) => slot.trailers(fields, end),
                None => Ok(()),
            };
        }
        if self.slots.len() >= self.most {
            return Err(Code::RefusedStream);
        }
        let mut message = self.spare.pop().unwrap_or_default();
        let info = match head::request(fields, end, &mut message) {
            Ok(info) => info,
            Err(code) => {
                self.born.push(Born { id, request: None, bad: true });
                return Err(code);
            }
        };
        let rest = if let Framing::Length(n) = info.framing { n } else { 0 };
        let tunnel = info.method == Method::Connect || info.upgrade;
        let framing = if tunnel { Framing::Tunnel } else { info.framing };
        self.slots.insert(id, Slot { framing, rest, ended: end, ..Slot::default() });
        self.born.push(Born { id, request: Some((message, info)), bad: !head::is_good(fields) });
        Ok(())
    }

    fn data(&mut self, id: u32, bytes: &[u8], end: bool) -> Result<(), Code> {
        match self.slots.get_mut(&id) {
            Some(slot) => slot.data(bytes, end),
            None => Ok(()),
        }
    }

    fn reset(&mut self, id: u32, _: u32) {
        if let Some(slot) = self.slots.get_mut(&id) {
            slot.broken = true;
            slot.wake();
        }
    }

    fn writable(&mut self, id: u32) {
        let all = if id == 0 { 0..=u32::MAX } else { id..=id };
        for (_, slot) in self.slots.range_mut(all) {
            if let Some(waker) = slot.writer.take() {
                waker.wake();
            }
        }
    }
}

impl Shared {
    /// Lets the connection's task run: there is something to send.
    fn call(&mut self) {
        if !self.called && !self.core.out.is_empty() {
            self.called = true;
            if let Some(driver) = self.driver.take() {
                driver.wake();
            }
        }
    }
}

/// Why a connection is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// The peer closed or broke it.
    Closed,
    /// It broke the protocol, and was told.
    Faulty,
    /// We said good-bye, and all streams are through.
    Left,
}

/// A connection.
#[derive(Debug)]
pub struct Link {
    conn: Conn,
    shared: Rc<RefCell<Shared>>,
    /// What is being sent, and how far.
    sending: Vec<u8>,
    sent: usize,
    flushed: bool,
}

impl Link {
    /// A client's connection, whose first bytes may have been read.
    pub fn new(conn: Conn, config: Config) -> Self {
        Self::of(conn, config, Role::Server)
    }

    /// A server's connection, and the way to open streams on it.
    pub fn ask(conn: Conn, config: Config, secure: bool) -> (Self, Asker) {
        let new = Self::of(conn, config, Role::Client);
        let asker = Asker { shared: Rc::downgrade(&new.shared), secure };
        (new, asker)
    }

    fn of(conn: Conn, config: Config, role: Role) -> Self {
        let ears = Ears {
            most: (config.streams as usize).saturating_mul(2),
            asks: role == Role::Client,
            ..Ears::default()
        };
        let core = Connection::new(role, config);
        let shared = Shared { core, ears, driver: None, called: false, wires: 0, unsettled: Vec::new() };
        Self { conn, shared: Rc::new(RefCell::new(shared)), sending: Vec::new(), sent: 0, flushed: true }
    }

    /// Moves bytes until there is nothing to do: new requests, or the end, come out.
    pub fn poll(&mut self, cx: &mut Context<'_>, born: &mut Vec<Born>) -> Poll<Over> {
        loop {
            let wrote = self.poll_send(cx);
            if matches!(wrote, Poll::Ready(Err(_))) {
                self.break_all();
                return Poll::Ready(Over::Closed);
            }
            let mut guard = self.shared.borrow_mut();
            let shared = &mut *guard;
            shared.called = false;
            if shared.core.is_dead() {
                if wrote.is_pending() {
                    break;
                }
                return Poll::Ready(Over::Faulty);
            }
            if shared.core.is_closing()
                && shared.core.streams() == 0
                && wrote.is_ready()
                && shared.ears.born.is_empty()
            {
                return Poll::Ready(Over::Left);
            }
            if shared.core.is_choked() {
                break;
            }
            if self.conn.buf.is_empty() {
                match self.conn.poll_fill(cx, false) {
                    Poll::Pending => break,
                    Poll::Ready(Ok(n)) if n > 0 => {}
                    Poll::Ready(_) => {
                        drop(guard);
                        self.break_all();
                        return Poll::Ready(Over::Closed);
                    }
                }
            }
            let n = self.conn.buf.len();
            shared.core.receive(self.conn.buf.bytes(), &mut shared.ears);
            self.conn.buf.consume(n);
            if shared.core.is_settled() || shared.core.is_dead() {
                shared.unsettled.drain(..).for_each(Waker::wake);
            }
            born.append(&mut shared.ears.born);
            if !born.is_empty() {
                break; // the caller begins them and comes back
            }
        }
        let mut shared = self.shared.borrow_mut();
        if shared.ears.slots.is_empty() && self.sending.capacity() > KEPT_MAX && self.sending.is_empty() {
            self.sending = Vec::new();
        }
        if !shared.driver.as_ref().is_some_and(|w| w.will_wake(cx.waker())) {
            shared.driver = Some(cx.waker().clone());
        }
        Poll::Pending
    }

    /// Sends what there is.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if self.sent == self.sending.len() {
                self.sending.clear();
                self.sent = 0;
                let shared = &mut *self.shared.borrow_mut();
                if shared.core.out.is_empty() {
                    if self.flushed {
                        return Poll::Ready(Ok(()));
                    }
                    let done = self.conn.poll_flush(cx);
                    self.flushed = done.is_ready();
                    return done;
                }
                let was_full = shared.core.out.len() >= http2::connection::OUT_MAX;
                std::mem::swap(&mut self.sending, &mut shared.core.out);
                if was_full {
                    shared.ears.writable(0);
                }
            }
            match self.conn.poll_write(cx, &self.sending[self.sent..]) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(n)) => {
                    self.sent += n;
                    self.flushed = self.conn.wire.tcp().is_some();
                }
                Poll::Ready(Err(e)) => return Poll::Ready(Err(e)),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Ends all streams: the connection below is gone.
    fn break_all(&mut self) {
        let shared = &mut *self.shared.borrow_mut();
        shared.core.die(Code::Cancel, &mut shared.ears);
        shared.unsettled.drain(..).for_each(Waker::wake);
    }

    /// The wire of a stream.
    pub fn open(&self, born: &Born) -> Option<Stream> {
        let (_, info) = born.request.as_ref()?;
        if info.upgrade {
            // As newer haproxys do; what waits for it says more.
            self.shared.borrow_mut().core.widen(born.id, TUNNEL_ROOM);
        }
        let mut stream = Stream::new(Rc::clone(&self.shared), Role::Server, born.id, info.method, false);
        stream.may_switch(info.upgrade);
        Some(stream)
    }

    /// Says that the client should open its next streams elsewhere; those that come are served all the same.
    pub fn announce(&mut self) {
        let shared = &mut *self.shared.borrow_mut();
        shared.core.announce();
        shared.call();
    }

    /// Ends all streams; the peer is told why.
    pub fn end(&mut self, code: Code) {
        let shared = &mut *self.shared.borrow_mut();
        if !shared.core.is_dead() {
            shared.core.die(code, &mut shared.ears);
        }
    }

    /// Says that no more requests are taken.
    pub fn leave(&mut self, code: Code) {
        let shared = &mut *self.shared.borrow_mut();
        shared.core.leave(code);
        shared.call();
    }

    /// Whether bytes wait to be sent.
    pub fn is_sending(&self) -> bool {
        self.sent < self.sending.len() || !self.shared.borrow().core.out.is_empty()
    }

    /// Gives back memory that nothing is in, where the connection is not used for a while.
    pub fn rest(&mut self, born: &mut Vec<Born>) {
        born.shrink_to_fit();
        self.sending.shrink_to_fit();
        let shared = &mut *self.shared.borrow_mut();
        shared.core.rest();
        let ears = &mut shared.ears;
        ears.spare = Vec::new();
        ears.born.shrink_to_fit();
        if ears.slots.is_empty() {
            ears.slots = BTreeMap::new();
        }
    }

    /// Streams that are served.
    pub fn streams(&self) -> usize {
        let shared = self.shared.borrow();
        shared.ears.slots.len().max(shared.wires)
    }

    /// What was counted.
    pub fn counts(&self) -> Counts {
        self.shared.borrow().core.counts
    }

    /// Closes the connection below.
    pub fn into_conn(self) -> Conn {
        self.conn
    }
}

/// Opens streams on a server's connection, as long as that lives.
#[derive(Debug, Clone)]
pub struct Asker {
    shared: std::rc::Weak<RefCell<Shared>>,
    secure: bool,
}

impl Asker {
    /// A stream; `None` when there are too many, or when the server takes none any more.
    pub fn open(&self) -> Option<Stream> {
        let shared = self.shared.upgrade()?;
        {
            let inner = &mut *shared.borrow_mut();
            let most = ASKED_MAX.min(inner.core.streams_allowed());
            if inner.core.is_closing() || inner.wires >= most {
                return None;
            }
            inner.wires += 1;
        }
        Some(Stream::new(shared, Role::Client, 0, Method::Other, self.secure))
    }

    /// Whether no stream can be opened ever again.
    pub fn is_over(&self) -> bool {
        self.shared.upgrade().is_none_or(|s| s.borrow().core.is_closing())
    }
}

#[cfg(test)]
mod tests;
