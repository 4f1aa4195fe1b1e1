//! One stream of an HTTP/2 connection as a wire that carries HTTP/1.
//!
//! Towards a client the engine writes a response and reads the request's body; towards a server it writes a request
//! and reads a response.
//!
//! Invariant: what was taken of a message is sent in order; a stream that is dropped before its end is reset.

use super::{Shared, Slot, head};
use crate::http::message::Message;
use h1::{Body, Framing, HeadParser, Kind, Method, Options, Part, Progress};
use http2::{Code, Connection, Role};
use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Messages kept for later streams of a connection.
const SPARE_MAX: usize = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// A response's head is awaited.
    Head,
    /// Its body passes.
    Body,
    /// Everything was said.
    Done,
}

/// One stream, as a wire.
#[derive(Debug)]
pub struct Stream {
    shared: Rc<RefCell<Shared>>,
    role: Role,
    /// 0 until a request's head is sent: a server must see the streams in order.
    id: u32,
    method: Method,
    /// `https`, where a request's target does not say it.
    secure: bool,
    /// Reads a head that came in parts.
    parser: Option<Box<HeadParser>>,
    partial: Vec<u8>,
    body: Body,
    trailers: Vec<u8>,
    state: State,
    /// The end is not said with a head that has no body, but when [`Self::complete`] says so.
    held: bool,
    /// The client asked for another protocol.
    upgrade: bool,
    /// Who waits for an answer to what was not asked yet.
    early: Option<Waker>,
}

thread_local! {
    /// Reads heads that come whole, which nearly all do.
    static PARSERS: RefCell<[HeadParser; 2]> =
        RefCell::new([Kind::Request, Kind::Response].map(|kind| HeadParser::new(kind, LENIENT)));
    /// The block that is being made.
    static BLOCK: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// The engine wrote the head, so it is good.
const LENIENT: Options = Options { lenient: true, max_fields: usize::MAX };

impl Stream {
    pub(super) fn new(
        shared: Rc<RefCell<Shared>>,
        role: Role,
        id: u32,
        method: Method,
        secure: bool,
    ) -> Self {
        Self {
            shared,
            role,
            id,
            method,
            secure,
            parser: None,
            partial: Vec::new(),
            body: Body::new(Framing::None),
            trailers: Vec::new(),
            state: State::Head,
            held: false,
            upgrade: false,
            early: None,
        }
    }

    /// Holds back the end of a response that has no body for the client, but one that the server still sends and
    /// nobody passes on. A client that hears the end asks again, and its request would not find the server's
    /// connection free yet.
    pub fn hold(&mut self) {
        self.held = true;
    }

    /// Says whether the client's request may be answered with a change of protocol.
    pub(super) fn may_switch(&mut self, upgrade: bool) {
        self.upgrade = upgrade;
    }

    /// Says the end that was held back.
    pub fn complete(&mut self) {
        if std::mem::take(&mut self.held) && self.state == State::Body {
            let shared = Rc::clone(&self.shared);
            let shared = &mut *shared.borrow_mut();
            self.finish(&mut shared.core);
            shared.call();
        }
    }

    /// Waits for a server's end of a response whose content is through: it may come in a frame of its own, and a
    /// stream that is dropped before it is reset, which breaks off what the server still does for it.
    pub fn poll_end(&self, cx: &mut Context<'_>) -> Poll<()> {
        let shared = &mut *self.shared.borrow_mut();
        match shared.ears.slots.get_mut(&self.id) {
            Some(slot) if self.role == Role::Client && !slot.ended && !slot.broken => {
                keep(&mut slot.reader, cx);
                Poll::Pending
            }
            _ => Poll::Ready(()),
        }
    }

    /// Whether the peer ended the stream before its time; if not, the task is woken when it does.
    pub fn poll_gone(&self, cx: &mut Context<'_>) -> bool {
        let shared = &mut *self.shared.borrow_mut();
        match shared.ears.slots.get_mut(&self.id) {
            Some(slot) if !slot.broken => {
                keep(&mut slot.reader, cx);
                false
            }
            _ => true,
        }
    }

    /// Whether the peer ended the stream before its time.
    pub fn is_gone(&self) -> bool {
        self.shared.borrow().ears.slots.get(&self.id).is_none_or(|s| s.broken)
    }

    /// Ends the connection of a client that is not to be answered.
    pub fn refuse(&mut self) {
        if self.state == State::Head {
            self.reset(Code::EnhanceYourCalm);
            let shared = &mut *self.shared.borrow_mut();
            shared.core.leave(Code::EnhanceYourCalm);
            shared.call();
        }
    }

    /// Gives a message's memory back.
    pub fn recycle(&self, message: Message) {
        let spare = &mut self.shared.borrow_mut().ears.spare;
        if spare.len() < SPARE_MAX {
            spare.push(message);
        }
    }

    /// Ends the stream with a code.
    pub fn reset(&mut self, code: Code) {
        let shared = &mut *self.shared.borrow_mut();
        shared.core.reset(self.id, code);
        shared.call();
        self.state = State::Done;
    }

    fn write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> io::Result<usize> {
        let shared = Rc::clone(&self.shared);
        let shared = &mut *shared.borrow_mut();
        let lost = shared.ears.slots.get(&self.id).map_or(self.id != 0, |s| s.broken);
        if lost || shared.core.is_dead() {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        let mut at = 0;
        while at < bytes.len() {
            let taken = match self.state {
                State::Head => self.head(cx, shared, &bytes[at..])?,
                State::Body => self.part(&mut shared.core, &bytes[at..])?,
                State::Done => bytes.len() - at,
            };
            if taken == 0 {
                break;
            }
            at += taken;
        }
        if at < bytes.len()
            && let Some(slot) = shared.ears.slots.get_mut(&self.id)
        {
            keep(&mut slot.writer, cx);
        }
        shared.call();
        Ok(at)
    }

    /// Takes a head, or the begin of one.
    fn head(&mut self, cx: &Context<'_>, shared: &mut Shared, bytes: &[u8]) -> io::Result<usize> {
        let asks = self.role == Role::Client;
        if self.partial.is_empty() {
            let done = PARSERS.with_borrow_mut(|parsers| {
                let parser = &mut parsers[usize::from(!asks)];
                parser.reset();
                match parser.parse(bytes) {
                    Ok(Progress::Done(len)) => {
                        self.say(cx, shared, &parser.head, bytes).map(|said| Some(if said { len } else { 0 }))
                    }
                    Ok(Progress::Need) => Ok(None),
                    Err(_) => Err(io::ErrorKind::InvalidData.into()),
                }
            })?;
            if let Some(len) = done {
                return Ok(len);
            }
        }
        let before = self.partial.len();
        self.partial.extend_from_slice(bytes);
        let mut parser =
            self.parser.take().unwrap_or_else(|| Box::new(HeadParser::new(Kind::Response, LENIENT)));
        match parser.parse(&self.partial) {
            Ok(Progress::Done(len)) => {
                let mut whole = std::mem::take(&mut self.partial);
                if self.say(cx, shared, &parser.head, &whole)? {
                    return Ok(len - before);
                }
                // Read again once it can be said.
                whole.truncate(before);
                self.partial = whole;
                Ok(0)
            }
            Ok(Progress::Need) => {
                self.parser = Some(parser);
                Ok(bytes.len())
            }
            Err(_) => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    /// Sends a head; false says that it must wait.
    fn say(
        &mut self,
        cx: &Context<'_>,
        shared: &mut Shared,
        head: &h1::Head,
        bytes: &[u8],
    ) -> io::Result<bool> {
        if self.role == Role::Client {
            return self.ask(cx, shared, head, bytes);
        }
        let info = h1::semantics::response(head, bytes, self.method, self.upgrade)
            .map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
        let bare = matches!(info.framing, Framing::None | Framing::Length(0));
        let end = !info.interim && bare && !self.held;
        BLOCK.with_borrow_mut(|block| {
            block.clear();
            head::response(head, bytes, &info.edits, block);
            shared.core.send_head(self.id, block, end);
        });
        if !info.interim {
            self.body = Body::new(info.framing);
            self.state = if end { State::Done } else { State::Body };
        }
        Ok(true)
    }

    /// Opens the stream with a request's head; false says that the server's settings must be known first.
    fn ask(
        &mut self,
        cx: &Context<'_>,
        shared: &mut Shared,
        head: &h1::Head,
        bytes: &[u8],
    ) -> io::Result<bool> {
        let info = h1::semantics::request(head, bytes, LENIENT)
            .map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
        let protocol = head::protocol(head, bytes).filter(|_| info.upgrade);
        if protocol.is_some() && !shared.core.is_settled() {
            shared.unsettled.push(cx.waker().clone());
            return Ok(false);
        }
        let alone = shared.core.streams() == 0;
        let id = shared.core.start().ok_or(io::ErrorKind::ConnectionRefused)?;
        self.id = id;
        if protocol.is_some() && !shared.core.is_extended() {
            // haproxy resets the stream that it did not open. A server may take that for a fault of the
            // connection, so it is said only where nobody else would suffer from it.
            shared.core.give_up(id, Code::Cancel, alone);
            self.state = State::Done;
            return Err(io::ErrorKind::Unsupported.into());
        }
        let tunnel = info.method == Method::Connect || protocol.is_some();
        let reader = self.early.take();
        let upgrade = protocol.map(|p| head::switched(head, bytes, p));
        let headless = info.method == Method::Head;
        let slot = Slot { headless, tunnel, upgrade, reader, ..Slot::default() };
        shared.ears.slots.insert(id, slot);
        let framing = if tunnel { Framing::Tunnel } else { info.framing };
        let end = matches!(framing, Framing::None | Framing::Length(0));
        let scheme: &[u8] = if self.secure { b"https" } else { b"http" };
        BLOCK.with_borrow_mut(|block| {
            block.clear();
            head::of_request(head, bytes, scheme, protocol, &info.edits, block);
            shared.core.send_head(id, block, end);
        });
        self.body = Body::new(framing);
        self.state = if end { State::Done } else { State::Body };
        Ok(true)
    }

    /// Takes a part of the body; framing that came in pieces waits for its rest.
    fn part(&mut self, core: &mut Connection, bytes: &[u8]) -> io::Result<usize> {
        if self.partial.is_empty() {
            return self.whole_part(core, bytes);
        }
        let before = self.partial.len();
        let mut joined = std::mem::take(&mut self.partial);
        joined.extend_from_slice(bytes);
        let taken = self.whole_part(core, &joined)?;
        Ok(taken.saturating_sub(before))
    }

    fn whole_part(&mut self, core: &mut Connection, bytes: &[u8]) -> io::Result<usize> {
        let before = self.body;
        let part = self.body.next(bytes, false).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
        let taken = match part {
            Part::Data { take } => {
                // The end goes with the last bytes, where it is known by now.
                let closing = &b"\r\n0\r\n\r\n"[..];
                let ends_chunks = before.known_rest() == Some(take as u64)
                    && !before.is_last()
                    && bytes[take..] == *closing;
                let end = self.body.is_end() || ends_chunks;
                let sent = core.send_data(self.id, &bytes[..take], end);
                if sent < take {
                    self.body = before;
                    if sent > 0 {
                        let _ = self.body.next(&bytes[..sent], false);
                    }
                    return Ok(sent);
                }
                if end {
                    self.state = State::Done;
                }
                if ends_chunks { bytes.len() } else { take }
            }
            Part::Trailer { take, name, value, forbidden } => {
                if !forbidden {
                    head::trailer(name.of(bytes), value.of(bytes), &mut self.trailers);
                }
                take
            }
            Part::Plain { take } | Part::Size { take, .. } | Part::Crlf { take } => take,
            Part::Need => {
                self.partial.extend_from_slice(bytes);
                bytes.len()
            }
            Part::End => bytes.len(),
        };
        if self.body.is_end() && self.state == State::Body {
            self.finish(core);
        }
        Ok(taken)
    }

    /// Says that the response is complete.
    fn finish(&mut self, core: &mut Connection) {
        if self.trailers.is_empty() {
            core.send_data(self.id, &[], true);
        } else {
            core.send_head(self.id, &self.trailers, true);
        }
        self.state = State::Done;
    }
}

/// Keeps who is to be woken.
fn keep(place: &mut Option<Waker>, cx: &Context<'_>) {
    if !place.as_ref().is_some_and(|w| w.will_wake(cx.waker())) {
        *place = Some(cx.waker().clone());
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let shared = Rc::clone(&self.shared);
        let shared = &mut *shared.borrow_mut();
        let Some(slot) = shared.ears.slots.get_mut(&self.id) else {
            if self.id != 0 || shared.core.is_dead() {
                return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
            }
            // Nothing was asked yet, so nothing can be answered.
            keep(&mut self.early, cx);
            return Poll::Pending;
        };
        // What came before a server gave up is still good; a client that did wants nothing any more.
        let here = &slot.inbox[slot.at..];
        if slot.broken && (here.is_empty() || self.role == Role::Server) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if here.is_empty() {
            if slot.ended {
                return Poll::Ready(Ok(()));
            }
            keep(&mut slot.reader, cx);
            return Poll::Pending;
        }
        let n = here.len().min(into.remaining());
        into.put_slice(&here[..n]);
        slot.at += n;
        let paid = if slot.at == slot.inbox.len() {
            slot.inbox.clear();
            slot.at = 0;
            slot.owed
        } else {
            n.min(slot.owed)
        };
        slot.owed -= paid;
        shared.core.used(self.id, paid);
        shared.call();
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.write(cx, bytes) {
            Ok(0) if !bytes.is_empty() => Poll::Pending,
            done => Poll::Ready(done),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut all = 0;
        for part in parts {
            let n = self.write(cx, part)?;
            all += n;
            if n < part.len() {
                break;
            }
        }
        if all == 0 { Poll::Pending } else { Poll::Ready(Ok(all)) }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(())) // the connection's task sends
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shared = Rc::clone(&self.shared);
        let shared = &mut *shared.borrow_mut();
        // A body cut short ends like a whole one, as haproxy has it: its announced length tells.
        if self.state == State::Body {
            self.finish(&mut shared.core);
            shared.call();
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let shared = &mut *self.shared.borrow_mut();
        let code = match self.state {
            _ if self.role == Role::Client => Code::Cancel,
            State::Head => Code::RefusedStream,
            State::Body => Code::Cancel,
            State::Done => Code::NoError,
        };
        shared.core.reset(self.id, code);
        shared.ears.slots.remove(&self.id);
        shared.wires -= usize::from(self.role == Role::Client);
        // The connection may wait for its last stream.
        if let Some(driver) = shared.driver.take() {
            shared.called = true;
            driver.wake();
        }
    }
}
