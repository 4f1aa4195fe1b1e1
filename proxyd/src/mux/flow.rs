//! One direction of a stream: a head that was made, then a body passed on as it comes.
//!
//! Bytes are written from the buffer they were read into. Chunked framing goes on as it is where it has the plain
//! form; else it is written anew.
//!
//! Invariant: bytes reach the writer in order, `out` before what is `ready` in the reader's buffer; nothing is
//! read while something waits to be written.
//!
//! Absent on purpose: timeouts, heads, and what a fault means to the stream.

use crate::mux::splice::Splice;
use crate::mux::wire::Conn;
use h1::{Body, Fault, Framing, Part};
use std::io;
use std::task::{Context, Poll};

/// Content up to this length is joined to the head; longer content is written beside it.
const JOIN_MAX: usize = 2048;
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

/// Full reads after which a pipe pays.
const SPLICE_AFTER: u32 = 2;

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
    /// Content bytes and framing that were read.
    pub moved: u64,
    /// Content and trailers alone, as haproxy counts them (`%U`, `%B` count them with the head).
    pub counted: u64,
    /// Rewrite chunks to plain content, for peers that know no chunks.
    pub dechunk: bool,
    flushed: bool,
    /// The last read filled its buffer: more is there than a normal one holds.
    full: bool,
    /// Bytes may go through a kernel pipe once there are many.
    pub may_splice: bool,
    full_reads: u32,
    splice: Option<Box<Splice>>,
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
            moved: 0,
            counted: 0,
            dechunk: false,
            flushed: true,
            full: false,
            may_splice: false,
            full_reads: 0,
            splice: None,
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
    }

    /// Whether nothing is left to read, scan or write.
    pub fn is_done(&self) -> bool {
        self.open && self.body.is_end() && self.ready == 0 && self.out_at == self.out.len() && self.flushed
    }

    /// Whether the whole body was read (it may not be written yet).
    pub fn is_read(&self) -> bool {
        self.body.is_end()
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
                self.scan(from)?;
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
            if self.splice.is_some() {
                match self.splice(cx, from, to, progress)? {
                    Some(blocked) => return Ok(blocked),
                    None => continue,
                }
            }
            if self.body.is_end() {
                return self.finish(cx, to);
            }
            let large = self.full || self.body.known_rest().is_some_and(|n| n > LARGE_REST);
            match from.poll_fill(cx, large) {
                Poll::Pending => return Ok(Blocked::Read),
                Poll::Ready(Err(e)) => return Err(Broken::Read(e)),
                Poll::Ready(Ok(0)) if !from.eof => return Err(Broken::Bad(Fault::TooLarge)),
                Poll::Ready(Ok(_)) => {
                    *progress = true;
                    self.full |= from.buf.is_filled();
                    self.consider_splice(from, to);
                }
            }
        }
    }

    /// Much is coming and nothing has to be looked at: from now on it goes through a pipe.
    fn consider_splice(&mut self, from: &Conn, to: &Conn) {
        if !self.may_splice || !from.buf.is_filled() {
            return;
        }
        self.full_reads += 1;
        let plain = from.wire.tcp().is_some() && to.wire.tcp().is_some();
        if self.full_reads >= SPLICE_AFTER && plain {
            self.may_splice = false;
            self.splice = Splice::new().ok().map(Box::new);
        }
    }

    /// Moves bytes through the pipe; `None` when it is over and the rest goes the usual way.
    fn splice(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut Conn,
        to: &mut Conn,
        progress: &mut bool,
    ) -> Result<Option<Blocked>, Broken> {
        let Some(pipe) = &mut self.splice else { return Ok(None) };
        loop {
            while pipe.held() > 0 {
                match pipe.poll_drain(cx, to) {
                    Poll::Ready(Ok(_)) => *progress = true,
                    Poll::Ready(Err(e)) => return Err(Broken::Write(e)),
                    Poll::Pending => return Ok(Some(Blocked::Write)),
                }
            }
            match pipe.poll_fill(cx, from) {
                Poll::Ready(Ok(0)) => {
                    from.eof = true;
                    self.splice = None;
                    return Ok(None);
                }
                Poll::Ready(Ok(n)) => {
                    *progress = true;
                    self.moved += n as u64;
                    self.counted += n as u64;
                }
                Poll::Ready(Err(e)) => return Err(Broken::Read(e)),
                Poll::Pending => return Ok(Some(Blocked::Read)),
            }
        }
    }

    fn finish(&mut self, cx: &mut Context<'_>, to: &mut Conn) -> Result<Blocked, Broken> {
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
        while !self.body.is_end() {
            let rest = &from.buf.bytes()[self.ready..];
            let eof = from.eof;
            if rest.is_empty() && !eof {
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
                self.counted += take as u64;
            }
            let keeps = match part {
                Part::Need | Part::End => return Ok(()),
                Part::Data { take } => Some(take),
                Part::Plain { take } if !self.dechunk => Some(take),
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
        Ok(())
    }

    fn remake(&mut self, part: Part, from: &Conn) -> usize {
        let (silent, rest) = (self.dechunk, from.buf.bytes());
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
                if !silent && !forbidden {
                    h1::emit::name(&mut self.out, name.of(rest));
                    self.out.extend_from_slice(b": ");
                    self.out.extend_from_slice(value.of(rest));
                    self.out.extend_from_slice(b"\r\n");
                }
                take
            }
            Part::Plain { take } => take,
            Part::Need | Part::End | Part::Data { .. } => 0,
        }
    }
}
