//! One direction of a stream: a head that was made, then a body passed on as it comes.
//!
//! Bytes are written from the buffer they were read into. Chunked framing goes on as it is where it has the plain
//! form; else it is written anew. Long content between two plain sockets does not come into the process at all: it
//! goes through a kernel pipe, exactly as far as the framing says.
//!
//! Invariant: bytes reach the writer in order: `out`, then what is `ready` in the reader's buffer, then the pipe;
//! nothing is read while something waits to be written.
//!
//! Absent on purpose: timeouts, heads, and what a fault means to the stream.

use crate::http::cache::Copies;
use crate::http::compress::Encoder;
use crate::mux::splice::Splice;
use crate::mux::wire::{Conn, Habit, Wire};
use h1::emit::Cases;
use h1::{Body, Fault, Framing, Part};
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// Content up to this length is joined to the head; longer content is written beside it.
const JOIN_MAX: usize = 2048;
/// Messages up to this length fit a normal buffer with their heads.
const SHORT_MAX: u64 = 14 * 1024;
/// From this rest of a body on large buffers are used.
const LARGE_REST: u64 = 16 * 1024;

/// What keeps a flow from going on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blocked {
    /// Nothing more to do.
    Done,
    /// Waits for bytes from its reader.
    Read,
    /// Waits for room at its writer.
    Write,
}

/// Full reads after which a pipe pays where nobody says how much is to come.
const SPLICE_AFTER: u32 = 2;
/// Announced content from which a pipe pays: measured, a copy is cheaper up to 32 KiB and dearer from 64 KiB on.
const SPLICE_MIN: u64 = 48 * 1024;
/// Chunks seen ahead from which a pipe pays.
const PEEKED_MIN: usize = 24 * 1024;
/// What comes through the pipe in pieces smaller than this, so many times in a row, is read and written again.
const SPLICE_SMALL: (usize, u32) = (4 * 1024, 4);

/// Who broke a flow.
#[derive(Debug)]
pub enum Broken {
    /// Reading failed.
    Read(io::Error),
    /// The reader's peer closed too early.
    Cut,
    /// What was read is no HTTP.
    Bad(Fault),
    /// Writing failed.
    Write(io::Error),
}

/// One direction.
#[derive(Debug)]
pub struct Flow {
    body: Body,
    /// Bytes made by us, written first.
    pub out: Vec<u8>,
    out_at: usize,
    /// Bytes at the front of the reader's buffer that may be written as they are.
    ready: usize,
    /// Nothing is read or scanned before this is set.
    pub open: bool,
    /// Close the writer's side once everything is written.
    pub shut_after: bool,
    /// The writer is gone or does not want more: what comes is dropped.
    pub discard: bool,
    /// The head alone is sent: what follows is read and dropped.
    pub mute: bool,
    /// Something is dropped because of `mute`.
    skips: bool,
    /// Content bytes and framing that were read.
    pub moved: u64,
    /// Content and trailers alone, as haproxy counts them (`%U`, `%B` count them with the head).
    pub counted: u64,
    /// Forms of header names that the writer wants to see.
    pub cases: Option<Arc<Cases>>,
    /// Compresses the content and sends it in chunks of its own.
    pub encoder: Option<Box<Encoder>>,
    /// Copies the content for caches.
    pub copies: Option<Box<Copies>>,
    /// Rewrite chunks to plain content, for peers that know no chunks.
    pub dechunk: bool,
    /// What the encoder took and made, once it is done.
    pub encoded: (u64, u64),
    flushed: bool,
    /// The last read filled its buffer: more is there than a normal one holds.
    full: bool,
    /// Content may pass without being seen: nobody wants to look at it or to change it.
    pub may_splice: bool,
    full_reads: u32,
    small_pieces: u32,
    chunked: bool,
    /// Bytes that were looked at and are still in the reader's socket: they go through the pipe next.
    peeked: usize,
    /// Chunks come so densely that looking ahead pays.
    may_peek: bool,
    /// Held only while bytes are in it, so that slow peers don't keep pipes.
    pipe: Option<Splice>,
    /// Bytes that went through a pipe.
    pub spliced: u64,
}

impl Default for Flow {
    fn default() -> Self {
        Self {
            body: Body::new(Framing::None),
            out: Vec::new(),
            out_at: 0,
            ready: 0,
            open: false,
            shut_after: false,
            discard: false,
            mute: false,
            skips: false,
            moved: 0,
            counted: 0,
            cases: None,
            encoder: None,
            copies: None,
            dechunk: false,
            encoded: (0, 0),
            flushed: true,
            full: false,
            may_splice: false,
            full_reads: 0,
            small_pieces: 0,
            chunked: false,
            peeked: 0,
            may_peek: false,
            pipe: None,
            spliced: 0,
        }
    }
}

impl Flow {
    /// Starts over for a new message; `out` keeps its memory.
    pub fn reset(&mut self) {
        let out = std::mem::take(&mut self.out);
        *self = Self { out, ..Self::default() };
        self.out.clear();
    }

    /// Says what body follows the head in `out`.
    pub fn begin(&mut self, framing: Framing) {
        self.body = Body::new(framing);
        self.open = true;
        self.skips = self.mute && !matches!(framing, Framing::None | Framing::Length(0));
        self.may_splice = self.copies.is_none();
        self.chunked = framing == Framing::Chunked;
        self.may_peek = self.chunked && self.may_splice;
    }

    /// Whether nothing is left to read, scan or write.
    pub fn is_done(&self) -> bool {
        self.open && self.is_read() && !self.is_pending() && self.pipe.is_none() && self.flushed
    }

    /// Whether the whole body was read (it may not be written yet).
    pub fn is_read(&self) -> bool {
        self.body.is_end() && self.peeked == 0
    }

    /// Whether bytes were made or read that are not written yet.
    pub fn is_pending(&self) -> bool {
        self.ready > 0 || self.out_at < self.out.len()
    }

    /// Forgets what was not written; the rest of the body is not read.
    pub fn abandon(&mut self) {
        self.body = Body::new(Framing::None);
        self.ready = 0;
        self.out.clear();
        self.out_at = 0;
        (self.pipe, self.peeked) = (None, 0);
        self.open = true;
        self.flushed = true;
    }

    /// Moves as much as can be moved. `progress` is set when any byte was.
    pub fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut Conn,
        to: &mut Conn,
        progress: &mut bool,
    ) -> Result<Blocked, Broken> {
        loop {
            if self.open {
                match self.scan(from) {
                    // What came before the fault still goes on.
                    Err(Broken::Cut | Broken::Bad(_)) if self.is_pending() => {}
                    scanned => scanned?,
                }
            }
            if self.is_pending() {
                match self.write(cx, from, to).map_err(Broken::Write)? {
                    Poll::Ready(()) => *progress = true,
                    Poll::Pending => return Ok(Blocked::Write),
                }
                continue;
            }
            if !self.flushed {
                match to.poll_flush(cx) {
                    Poll::Ready(Ok(())) => self.flushed = true,
                    Poll::Ready(Err(e)) => return Err(Broken::Write(e)),
                    Poll::Pending => return Ok(Blocked::Write),
                }
            }
            if !self.open {
                return Ok(Blocked::Read);
            }
            if self.pipe.is_some() {
                match self.drain(cx, to)? {
                    Poll::Ready(()) => *progress = true,
                    Poll::Pending => return Ok(Blocked::Write),
                }
                continue;
            }
            if self.is_read() {
                from.habit = self.habit();
                return self.finish(cx, from, to);
            }
            if let Some(limit) = self.pipe_limit(from, to) {
                match self.fill(cx, from, limit) {
                    Poll::Ready(filled) => filled?,
                    Poll::Pending => return Ok(Blocked::Read),
                }
                *progress = true;
                continue;
            }
            if self.may_peek && self.plain_ends(from, to) && self.peek(cx, from)?.is_ready() {
                continue;
            }
            let large = self.full || self.body.known_rest().is_some_and(|n| n > LARGE_REST);
            match from.poll_fill(cx, large) {
                Poll::Pending => return Ok(Blocked::Read),
                Poll::Ready(Err(e)) => return Err(Broken::Read(e)),
                Poll::Ready(Ok(0)) if !from.eof => return Err(Broken::Bad(Fault::TooLarge)),
                Poll::Ready(Ok(_)) => {
                    *progress = true;
                    self.full |= from.buf.is_filled();
                    self.full_reads += u32::from(from.buf.is_filled());
                }
            }
        }
    }

    /// How many of the next bytes may go through a pipe: content that nobody looks at, between two plain sockets,
    /// once all that was read before is on its way.
    fn pipe_limit(&self, from: &Conn, to: &Conn) -> Option<u64> {
        if !self.may_splice || self.discard || self.mute || !self.open || self.pipe.is_some() {
            return None;
        }
        let limit = match self.body.known_rest() {
            _ if self.peeked > 0 => self.peeked as u64,
            Some(rest) if rest >= SPLICE_MIN || (rest > 0 && self.spliced > 0 && self.body.is_last()) => rest,
            None if self.full_reads >= SPLICE_AFTER && self.body.is_endless() => u64::MAX,
            _ => return None,
        };
        self.plain_ends(from, to).then_some(limit)
    }

    /// Whether nothing lies between what was read and what is to come, and both ends are plain sockets.
    fn plain_ends(&self, from: &Conn, to: &Conn) -> bool {
        let all_seen = from.buf.len() == self.ready && !from.eof;
        all_seen && !self.discard && from.wire.tcp().is_some() && to.wire.tcp().is_some()
    }

    /// Looks at chunks without taking them from the socket. Where they may go on as they are and are many, they
    /// go through the pipe; else they are read the usual way.
    fn peek(&mut self, cx: &mut Context<'_>, from: &mut Conn) -> Result<Poll<()>, Broken> {
        // Framing that changes, as it does for old clients, needs the bytes.
        self.may_peek = !self.dechunk && !self.mute;
        if !self.may_peek || from.habit != Habit::Chunks {
            return Ok(Poll::Pending);
        }
        let (body, counted) = (&mut self.body, &mut self.counted);
        let mut scanned = 0;
        let looked = from.poll_peek(cx, |bytes| {
            while let Some(rest) = bytes.get(scanned..).filter(|r| !r.is_empty()) {
                let before = *body;
                match body.next(rest, false)? {
                    Part::Data { take } => {
                        scanned += take;
                        *counted += take as u64;
                    }
                    Part::Plain { take } => scanned += take,
                    _ => {
                        *body = before;
                        break;
                    }
                }
            }
            Ok(())
        });
        match looked {
            Poll::Ready(Ok(Ok(()))) => {}
            Poll::Ready(Ok(Err(fault))) => return Err(Broken::Bad(fault)),
            Poll::Ready(Err(e)) => return Err(Broken::Read(e)),
            Poll::Pending => return Ok(Poll::Pending),
        }
        if scanned < PEEKED_MIN {
            self.may_peek = false;
        }
        self.peeked = scanned;
        self.moved += scanned as u64;
        Ok(if scanned > 0 { Poll::Ready(()) } else { Poll::Pending })
    }

    /// Moves content from the reader into a pipe; the pipe stays where it brought something.
    fn fill(&mut self, cx: &mut Context<'_>, from: &mut Conn, limit: u64) -> Poll<Result<(), Broken>> {
        let Ok(mut pipe) = Splice::new() else {
            // No descriptors left: the bytes can still be copied.
            (self.may_splice, self.may_peek) = (false, false);
            return Poll::Ready(Ok(()));
        };
        let most = usize::try_from(limit).unwrap_or(usize::MAX);
        let n = match ready!(pipe.poll_fill(cx, from, most)) {
            Ok(n) => n,
            Err(e) => return Poll::Ready(Err(Broken::Read(e))),
        };
        if n == 0 {
            from.eof = true;
            return Poll::Ready(if self.peeked > 0 { Err(Broken::Cut) } else { Ok(()) });
        }
        self.spliced += n as u64;
        self.pipe = Some(pipe);
        if self.peeked > 0 {
            self.peeked -= n; // counted when they were looked at
            return Poll::Ready(Ok(()));
        }
        self.moved += n as u64;
        self.counted += n as u64;
        self.body.passed(n as u64);
        self.small_pieces = if n < SPLICE_SMALL.0 { self.small_pieces + 1 } else { 0 };
        if self.small_pieces >= SPLICE_SMALL.1 {
            (self.full_reads, self.small_pieces) = (0, 0);
        }
        Poll::Ready(Ok(()))
    }

    /// Moves the pipe's bytes to the writer and gives the pipe back.
    fn drain(&mut self, cx: &mut Context<'_>, to: &mut Conn) -> Result<Poll<()>, Broken> {
        let Some(pipe) = &mut self.pipe else { return Ok(Poll::Ready(())) };
        while pipe.held() > 0 && !self.discard {
            match pipe.poll_drain(cx, to) {
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(e)) => return Err(Broken::Write(e)),
                Poll::Pending => return Ok(Poll::Pending),
            }
        }
        self.pipe = None;
        Ok(Poll::Ready(()))
    }

    /// What the message was like; the next one of this peer is read accordingly.
    fn habit(&self) -> Habit {
        match self.moved {
            n if n <= SHORT_MAX => Habit::Short,
            _ if self.chunked => Habit::Chunks,
            n if n < SPLICE_MIN => Habit::Middle,
            _ => Habit::Long,
        }
    }

    fn finish(&mut self, cx: &mut Context<'_>, from: &Conn, to: &mut Conn) -> Result<Blocked, Broken> {
        if let Wire::H2(stream) = &from.wire
            && stream.poll_end(cx).is_pending()
        {
            return Ok(Blocked::Read);
        }
        if let Wire::H2(stream) = &mut to.wire {
            stream.complete();
        }
        if self.shut_after && !self.discard {
            match to.poll_shutdown(cx) {
                Poll::Pending => return Ok(Blocked::Write),
                // A peer that is gone has nothing left to be told.
                Poll::Ready(_) => self.shut_after = false,
            }
        }
        Ok(Blocked::Done)
    }

    fn write(&mut self, cx: &mut Context<'_>, from: &mut Conn, to: &mut Conn) -> io::Result<Poll<()>> {
        if self.discard {
            self.out.clear();
            self.out_at = 0;
            from.buf.consume(self.ready);
            self.ready = 0;
            return Ok(Poll::Ready(()));
        }
        if self.mute {
            from.buf.consume(self.ready);
            self.ready = 0;
            if self.out_at == self.out.len() {
                return Ok(Poll::Ready(()));
            }
            if let Wire::H2(stream) = &mut to.wire
                && self.skips
            {
                stream.hold();
            }
        }
        if self.ready > 0 && self.ready <= JOIN_MAX && self.out_at < self.out.len() {
            self.out.extend_from_slice(&from.buf.bytes()[..self.ready]);
            from.buf.consume(self.ready);
            self.ready = 0;
        }
        let made = &self.out[self.out_at..];
        let n = match to.poll_write_two(cx, made, &from.buf.bytes()[..self.ready]) {
            Poll::Pending => return Ok(Poll::Pending),
            Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
            Poll::Ready(n) => n?,
        };
        self.flushed = to.wire.tcp().is_some();
        let of_made = n.min(made.len());
        self.out_at += of_made;
        if self.out_at == self.out.len() {
            self.out.clear();
            self.out_at = 0;
        }
        from.buf.consume(n - of_made);
        self.ready -= n - of_made;
        Ok(Poll::Ready(()))
    }

    /// Looks at what was read, as far as it can be passed on in order.
    fn scan(&mut self, from: &mut Conn) -> Result<(), Broken> {
        if self.peeked > 0 {
            // Looked at already, and read after all since there was no pipe to be had.
            let n = self.peeked.min(from.buf.len() - self.ready);
            self.ready += n;
            self.peeked -= n;
            if self.peeked > 0 {
                return if from.eof { Err(Broken::Cut) } else { Ok(()) };
            }
        }
        while !self.body.is_end() {
            let rest = &from.buf.bytes()[self.ready..];
            let eof = from.eof;
            if rest.is_empty() && !eof {
                // All that came goes on before more is waited for.
                if let Some(encoder) = &mut self.encoder {
                    encoder.give(false, &mut self.out);
                }
                return Ok(());
            }
            // Counted once: a part that has to wait is looked at again.
            let counted = self.counted;
            // Bytes to be made can only be put behind what is ready once that is written.
            let before = self.body;
            let part = self.body.next(rest, eof).map_err(|f| match f {
                Fault::Truncated => Broken::Cut,
                bad => Broken::Bad(bad),
            })?;
            if let Part::Data { take } = part {
                self.counted += if self.mute { 0 } else { take as u64 };
                // What has to wait for what is ready is looked at again, and copied then.
                if let Some(copies) = &mut self.copies
                    && (self.encoder.is_none() || self.ready == 0)
                {
                    copies.take(&rest[..take]);
                }
            }
            let keeps = match part {
                Part::Need | Part::End => return Ok(()),
                Part::Data { take } if self.encoder.is_none() => Some(take),
                Part::Plain { take } if !self.dechunk && self.encoder.is_none() => Some(take),
                _ => None,
            };
            if let Some(take) = keeps {
                self.ready += take;
                self.moved += take as u64;
                continue;
            }
            if self.ready > 0 {
                self.body = before;
                self.counted = counted;
                return Ok(());
            }
            let take = self.remake(part, from);
            from.buf.consume(take);
            self.moved += take as u64;
        }
        if let Some(copies) = self.copies.take() {
            copies.finish();
        }
        if let Some(mut encoder) = self.encoder.take() {
            encoder.give(true, &mut self.out);
            self.encoded = (encoder.taken, encoder.made);
        }
        Ok(())
    }

    fn remake(&mut self, part: Part, from: &Conn) -> usize {
        let (silent, rest) = (self.dechunk || self.mute || self.encoder.is_some(), from.buf.bytes());
        if let (Part::Data { take }, Some(encoder)) = (part, &mut self.encoder) {
            encoder.take(&rest[..take]);
            return take;
        }
        if let Part::Trailer { name, value, .. } = part {
            self.counted += u64::from(name.len + value.len);
        }
        match part {
            Part::Size { take, size } => {
                if !silent {
                    h1::emit::chunk_size(&mut self.out, size);
                }
                take
            }
            Part::Crlf { take } => {
                if !silent {
                    self.out.extend_from_slice(b"\r\n");
                }
                take
            }
            Part::Trailer { take, name, value, forbidden } => {
                if let Some(copies) = self.copies.as_mut().filter(|_| !forbidden) {
                    copies.trailer(name.of(rest), value.of(rest));
                }
                if !silent && !forbidden {
                    let begin = self.out.len();
                    h1::emit::name(&mut self.out, name.of(rest));
                    self.out.extend_from_slice(b": ");
                    self.out.extend_from_slice(value.of(rest));
                    self.out.extend_from_slice(b"\r\n");
                    if let Some(cases) = &self.cases {
                        h1::emit::adjust(&mut self.out[begin..], cases);
                    }
                }
                take
            }
            Part::Plain { take } => take,
            Part::Need | Part::End | Part::Data { .. } => 0,
        }
    }
}
