//! The shell of the HTTP/2 core on the side of clients: one connection, and its streams as wires.
//!
//! A stream is a wire that carries HTTP/1: what the engine reads from it is the request's body in the framing that
//! its head announced, what the engine writes to it is an HTTP/1 response. So a stream goes through the same engine
//! as a connection of its own. The [`Link`] owns the connection below and moves bytes; streams only touch buffers, so
//! that all they make in one turn of the loop goes out with one write.
//!
//! Invariant: a stream that was opened is ended: with its response's end, or by a reset when its wire is dropped.
//!
//! Absent on purpose: rules, timeouts (`stream::multiplexed`), and frames (`http2`).

pub mod head;

use super::wire::Conn;
use crate::http::message::Message;
use h1::{Body, Framing, HeadParser, Kind, Method, Options, Part, Progress, RequestInfo};
use http2::connection::Counts;
use http2::{Code, Config, Connection, Fields, Role, Sink};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Memory for what is sent that a connection without streams keeps, in bytes.
const KEPT_MAX: usize = 4096;
/// Messages kept for later streams of a connection.
const SPARE_MAX: usize = 8;

/// A request whose head came.
#[derive(Debug)]
pub struct Born {
    /// Its stream.
    pub id: u32,
    /// Its head; `None` for one that was refused as malformed.
    pub request: Option<(Message, RequestInfo)>,
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
            h1::emit::chunk_size(&mut self.inbox, bytes.len() as u64);
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
}

/// Hears what the core reads.
#[derive(Debug, Default)]
struct Ears {
    slots: BTreeMap<u32, Slot>,
    born: Vec<Born>,
    spare: Vec<Message>,
    /// Streams with wires; those that were reset still have one until their task ends.
    most: usize,
}

impl Sink for Ears {
    fn head(&mut self, id: u32, opens: bool, fields: &Fields, end: bool) -> Result<(), Code> {
        if !opens {
            return self.trailers(id, fields, end);
        }
        if self.slots.len() >= self.most {
            return Err(Code::RefusedStream);
        }
        let mut message = self.spare.pop().unwrap_or_default();
        let info = match head::request(fields, end, &mut message) {
            Ok(info) => info,
            Err(code) => {
                self.born.push(Born { id, request: None });
                return Err(code);
            }
        };
        let rest = if let Framing::Length(n) = info.framing { n } else { 0 };
        let framing = if info.method == Method::Connect { Framing::Tunnel } else { info.framing };
        self.slots.insert(id, Slot { framing, rest, ended: end, ..Slot::default() });
        self.born.push(Born { id, request: Some((message, info)) });
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

impl Ears {
    fn trailers(&mut self, id: u32, fields: &Fields, end: bool) -> Result<(), Code> {
        let Some(slot) = self.slots.get_mut(&id) else { return Ok(()) };
        let mut text = Vec::new();
        head::trailers(fields, &mut text)?;
        if !end || slot.rest > 0 {
            return Err(Code::Protocol);
        }
        slot.end(&text);
        if let Some(waker) = slot.reader.take() {
            waker.wake();
        }
        Ok(())
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

/// A client's connection.
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
    /// A connection whose first bytes may have been read.
    pub fn new(conn: Conn, config: Config) -> Self {
        let ears = Ears { most: config.streams as usize, ..Ears::default() };
        let core = Connection::new(Role::Server, config);
        let shared = Shared { core, ears, driver: None, called: false };
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
    }

    /// The wire of a stream.
    pub fn open(&self, born: &Born) -> Option<Stream> {
        let (_, info) = born.request.as_ref()?;
        Some(Stream {
            shared: Rc::clone(&self.shared),
            id: born.id,
            method: info.method,
            parser: None,
            partial: Vec::new(),
            body: Body::new(Framing::None),
            trailers: Vec::new(),
            state: State::Head,
        })
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

    /// Streams that are served.
    pub fn streams(&self) -> usize {
        self.shared.borrow().ears.slots.len()
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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// A response's head is awaited.
    Head,
    /// Its body passes.
    Body,
    /// Everything was said.
    Done,
}

/// One stream of a client's connection, as a wire.
#[derive(Debug)]
pub struct Stream {
    shared: Rc<RefCell<Shared>>,
    id: u32,
    method: Method,
    /// Reads a head that came in parts.
    parser: Option<Box<HeadParser>>,
    partial: Vec<u8>,
    body: Body,
    trailers: Vec<u8>,
    state: State,
}

thread_local! {
    /// Reads heads that come whole, which nearly all do.
    static PARSER: RefCell<HeadParser> = RefCell::new(HeadParser::new(Kind::Response, LENIENT));
    /// The block that is being made.
    static BLOCK: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// The engine wrote the head, so it is good.
const LENIENT: Options = Options { lenient: true, max_fields: usize::MAX };

impl Stream {
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
        if shared.ears.slots.get(&self.id).is_none_or(|s| s.broken) {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        let mut at = 0;
        while at < bytes.len() {
            let taken = match self.state {
                State::Head => self.head(&mut shared.core, &bytes[at..])?,
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
    fn head(&mut self, core: &mut Connection, bytes: &[u8]) -> io::Result<usize> {
        if self.partial.is_empty() {
            let done = PARSER.with_borrow_mut(|parser| {
                parser.reset();
                match parser.parse(bytes) {
                    Ok(Progress::Done(len)) => self.say(core, &parser.head, bytes).map(|()| Some(len)),
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
                let whole = std::mem::take(&mut self.partial);
                self.say(core, &parser.head, &whole)?;
                Ok(len - before)
            }
            Ok(Progress::Need) => {
                self.parser = Some(parser);
                Ok(bytes.len())
            }
            Err(_) => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    /// Sends a head.
    fn say(&mut self, core: &mut Connection, head: &h1::Head, bytes: &[u8]) -> io::Result<()> {
        let info = h1::semantics::response(head, bytes, self.method, false)
            .map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
        let end = !info.interim && matches!(info.framing, Framing::None | Framing::Length(0));
        BLOCK.with_borrow_mut(|block| {
            block.clear();
            head::response(head, bytes, &info.edits, block);
            core.send_head(self.id, block, end);
        });
        if !info.interim {
            self.body = Body::new(info.framing);
            self.state = if end { State::Done } else { State::Body };
        }
        Ok(())
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
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let shared = &mut *self.shared.borrow_mut();
        let Some(slot) = shared.ears.slots.get_mut(&self.id) else {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        };
        if slot.broken {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let here = &slot.inbox[slot.at..];
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
        if self.state == State::Body && self.body.is_endless() {
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
            State::Head => Code::RefusedStream,
            State::Body => Code::Cancel,
            State::Done => Code::NoError,
        };
        shared.core.reset(self.id, code);
        shared.ears.slots.remove(&self.id);
        // The connection may wait for its last stream.
        if let Some(driver) = shared.driver.take() {
            shared.called = true;
            driver.wake();
        }
    }
}
