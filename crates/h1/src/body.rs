//! Walks a body without copying it: which of the bytes at hand are data, which are framing.
//!
//! Chunked framing that already has the form we would write is passed on as it is; every other form (blanks,
//! extensions, LF alone, odd trailers) is named, so that the shell writes the plain form instead. So nothing
//! that a second reader could take differently leaves the proxy.
//!
//! Absent on purpose: buffers, limits on time, decoding into a copy ([`crate::reply`] does that).

use crate::head::Slice;
use crate::semantics::Framing;
use crate::token::is_token_byte;
use crate::{Fault, eq_lower};

/// What the next bytes of the buffer are. `take` bytes are consumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// More bytes are needed.
    Need,
    /// `take` bytes of content.
    Data {
        /// Bytes of content.
        take: usize,
    },
    /// Framing in plain form: may be passed on as it is.
    Plain {
        /// Bytes of framing.
        take: usize,
    },
    /// A chunk size line to be written anew.
    Size {
        /// Bytes of the line received.
        take: usize,
        /// The size; 0 is the last chunk.
        size: u64,
    },
    /// An end of chunk or of the trailers to be written anew: CRLF.
    Crlf {
        /// Bytes received.
        take: usize,
    },
    /// A trailer field; ranges are relative to the bytes given to [`Body::next`].
    Trailer {
        /// Bytes of the line.
        take: usize,
        /// Its name.
        name: Slice,
        /// Its value.
        value: Slice,
        /// It must not go on: it would contradict the framing.
        forbidden: bool,
    },
    /// The body is complete; nothing is consumed.
    End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Length(u64),
    Size,
    Chunk(u64),
    ChunkEnd,
    Trailers,
    UntilClose,
    End,
}

/// A body that is being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Body {
    state: State,
}

/// Largest chunk: what haproxy takes.
const CHUNK_MAX: u64 = (1 << 52) - 1;

impl Body {
    /// The body of a message with this framing.
    pub fn new(framing: Framing) -> Self {
        let state = match framing {
            Framing::None | Framing::Length(0) => State::End,
            Framing::Length(n) => State::Length(n),
            Framing::Chunked => State::Size,
            Framing::UntilClose | Framing::Tunnel => State::UntilClose,
        };
        Self { state }
    }

    /// Whether everything was read.
    pub fn is_end(&self) -> bool {
        self.state == State::End
    }

    /// Bytes of content that must still come before the framing says more; `None` where there is no telling.
    pub fn known_rest(&self) -> Option<u64> {
        match self.state {
            State::Length(n) | State::Chunk(n) => Some(n),
            State::End => Some(0),
            _ => None,
        }
    }

    /// Whether the content that is being read is the last of the message: nothing follows it.
    pub fn is_last(&self) -> bool {
        matches!(self.state, State::Length(_))
    }

    /// Whether only the end of the connection ends it.
    pub fn is_endless(&self) -> bool {
        self.state == State::UntilClose
    }

    /// Says that `n` bytes of content went by without being looked at; never more than [`Self::known_rest`].
    pub fn passed(&mut self, n: u64) {
        debug_assert!(self.known_rest().is_none_or(|rest| n <= rest), "{n} bytes beyond {self:?}");
        self.state = match self.state {
            State::Length(rest) if n < rest => State::Length(rest - n),
            State::Length(_) => State::End,
            State::Chunk(rest) if n < rest => State::Chunk(rest - n),
            State::Chunk(_) => State::ChunkEnd,
            other => other,
        };
    }

    /// The first part of `buf`; `eof` says that nothing will follow it.
    pub fn next(&mut self, buf: &[u8], eof: bool) -> Result<Part, Fault> {
        let part = match self.state {
            State::End => return Ok(Part::End),
            State::Length(rest) | State::Chunk(rest) if !buf.is_empty() => {
                let take = rest.min(buf.len() as u64);
                self.state = match (self.state, rest - take) {
                    (State::Length(_), 0) => State::End,
                    (State::Length(_), left) => State::Length(left),
                    (_, 0) => State::ChunkEnd,
                    (_, left) => State::Chunk(left),
                };
                Part::Data { take: take as usize }
            }
            State::UntilClose if !buf.is_empty() => Part::Data { take: buf.len() },
            State::UntilClose if eof => {
                self.state = State::End;
                Part::End
            }
            State::Length(_) | State::Chunk(_) | State::UntilClose => Part::Need,
            State::Size => self.size_line(buf)?,
            State::ChunkEnd => self.chunk_end(buf)?,
            State::Trailers => self.trailer(buf)?,
        };
        if part == Part::Need && eof {
            return Err(Fault::Truncated);
        }
        Ok(part)
    }

    fn size_line(&mut self, buf: &[u8]) -> Result<Part, Fault> {
        let (mut size, mut i) = (0u64, 0);
        while let Some(digit) = buf.get(i).and_then(|b| hex(*b)) {
            size = size << 4 | digit;
            if size > CHUNK_MAX {
                return Err(Fault::Chunk);
            }
            i += 1;
        }
        let Some(&after) = buf.get(i) else { return Ok(Part::Need) };
        if i == 0 {
            return Err(Fault::Chunk);
        }
        // The length of a line we would write ourselves: no leading zeros, CRLF at once.
        let plain = after == b'\r' && (i == 1 || buf[0] != b'0');
        let end = match after {
            b'\r' | b'\n' => i,
            b' ' | b'\t' | b';' => {
                let blanks = buf[i..].iter().take_while(|b| matches!(b, b' ' | b'\t')).count();
                match buf.get(i + blanks) {
                    None => return Ok(Part::Need),
                    Some(b'\r' | b'\n' | b';') => {}
                    Some(_) => return Err(Fault::Chunk),
                }
                match memchr::memchr2(b'\r', b'\n', &buf[i..]) {
                    None => return Ok(Part::Need),
                    Some(n) => i + n,
                }
            }
            _ => return Err(Fault::Chunk),
        };
        let Some(take) = line_end(buf, end)? else { return Ok(Part::Need) };
        if size == 0 && plain {
            // The last chunk goes on only with what follows it: a message cut here must not look complete.
            match buf.get(take..take + 2) {
                Some(b"\r\n") => {
                    self.state = State::End;
                    return Ok(Part::Plain { take: take + 2 });
                }
                None if matches!(buf.get(take), None | Some(b'\r')) => return Ok(Part::Need),
                _ => {}
            }
        }
        self.state = if size == 0 { State::Trailers } else { State::Chunk(size) };
        Ok(if plain { Part::Plain { take } } else { Part::Size { take, size } })
    }

    fn chunk_end(&mut self, buf: &[u8]) -> Result<Part, Fault> {
        let Some(take) = line_end(buf, 0)? else { return Ok(Part::Need) };
        self.state = State::Size;
        Ok(if take == 2 { Part::Plain { take } } else { Part::Crlf { take } })
    }

    fn trailer(&mut self, buf: &[u8]) -> Result<Part, Fault> {
        if matches!(buf.first(), Some(b'\r' | b'\n')) {
            let Some(take) = line_end(buf, 0)? else { return Ok(Part::Need) };
            self.state = State::End;
            return Ok(if take == 2 { Part::Plain { take } } else { Part::Crlf { take } });
        }
        let Some(at) = memchr::memchr2(b'\r', b'\n', buf) else { return Ok(Part::Need) };
        let Some(take) = line_end(buf, at)? else { return Ok(Part::Need) };
        let Some(colon) = buf[..at].iter().position(|b| *b == b':').filter(|c| *c > 0) else {
            return Err(Fault::Syntax(0));
        };
        let value = crate::token::trim(&buf[colon + 1..at]);
        let start = buf[..at].len() - (at - colon - 1) + lead(&buf[colon + 1..at]);
        let name = &buf[..colon];
        // A name with blanks could be read as another one behind us.
        let forbidden =
            !name.iter().all(|b| is_token_byte(*b)) || FORBIDDEN.iter().any(|f| eq_lower(name, f));
        Ok(Part::Trailer {
            take,
            name: Slice { start: 0, len: colon as u32 },
            value: Slice { start: start as u32, len: value.len() as u32 },
            forbidden,
        })
    }
}

/// Fields that say how a message is framed or routed have no place behind it (RFC 9110, 6.5.1).
const FORBIDDEN: [&[u8]; 3] = [b"content-length", b"transfer-encoding", b"host"];

fn lead(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|b| matches!(b, b' ' | b'\t')).count().min(bytes.len())
}

fn hex(b: u8) -> Option<u64> {
    (b as char).to_digit(16).map(u64::from)
}

fn line_end(buf: &[u8], at: usize) -> Result<Option<usize>, Fault> {
    match (buf.get(at), buf.get(at + 1)) {
        (None, _) | (Some(b'\r'), None) => Ok(None),
        (Some(b'\n'), _) => Ok(Some(at + 1)),
        (Some(b'\r'), Some(b'\n')) => Ok(Some(at + 2)),
        _ => Err(Fault::Chunk),
    }
}
