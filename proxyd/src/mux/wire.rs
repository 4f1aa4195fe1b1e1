//! One connection, its kind, and the bytes read ahead.

use crate::runtime::board::Board;
use crate::runtime::buffers::Buf;
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv};
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// What carries the bytes.
#[derive(Debug)]
pub enum Wire {
    /// TCP.
    Tcp(TcpStream),
    /// A Unix socket.
    Unix(UnixStream),
    /// None: the connection is in a handshake, or gone.
    Gone,
    /// TLS that we accepted.
    TlsServer(Box<tokio_rustls::server::TlsStream<Early>>),
    /// TLS that we asked for.
    TlsClient(Box<tokio_rustls::client::TlsStream<Early>>),
    /// A stream of an HTTP/2 connection.
    H2(Box<super::h2::Stream>),
}

/// A plain connection below TLS, with what was read of it before the handshake began.
#[derive(Debug)]
pub struct Early {
    before: Vec<u8>,
    /// What is read is kept here as well, up to the capacity.
    tap: Option<Vec<u8>>,
    io: Plain,
    /// Counts it among the TLS connections of the moment, to its end.
    counted: Option<Counted>,
}

/// One of the TLS connections of the moment.
#[derive(Debug)]
struct Counted(Arc<Board>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.process.ssl_conns.fetch_sub(1, Relaxed);
    }
}

#[derive(Debug)]
enum Plain {
    Tcp(TcpStream),
    Unix(UnixStream),
}

macro_rules! below {
    ($early:expr, $io:ident => $body:expr) => {
        match &mut $early.get_mut().io {
            Plain::Tcp($io) => $body,
            Plain::Unix($io) => $body,
        }
    };
}

/// Bytes of a greeting that are kept: one record, as large as it may be.
const GREETING_MAX: usize = 5 + (1 << 14);

impl Early {
    /// Counts it among the TLS connections, those of the moment and all.
    pub fn count(&mut self, board: &Arc<Board>) {
        board.process.ssl_conns.fetch_add(1, Relaxed);
        self.seat(board);
    }

    /// The same for one that was counted among those of the moment when it was accepted.
    pub fn seat(&mut self, board: &Arc<Board>) {
        board.process.cum_ssl_conns.fetch_add(1, Relaxed);
        self.counted = Some(Counted(Arc::clone(board)));
    }

    /// Keeps what is read from now on.
    pub fn keep(&mut self) {
        self.tap = Some(Vec::new());
    }

    /// What was kept, up to the end of the first record; nothing is kept any more.
    pub fn kept(&mut self) -> Vec<u8> {
        let mut kept = self.tap.take().unwrap_or_default();
        let record = kept.get(3..5).map_or(0, |l| 5 + usize::from(u16::from_be_bytes([l[0], l[1]])));
        kept.truncate(record);
        kept.shrink_to_fit();
        kept
    }

    fn tapped(&mut self, bytes: &[u8]) {
        if let Some(tap) = &mut self.tap {
            let room = GREETING_MAX.saturating_sub(tap.len());
            tap.extend_from_slice(&bytes[..bytes.len().min(room)]);
        }
    }

    /// The socket.
    pub fn socket(&self) -> socket2::SockRef<'_> {
        match &self.io {
            Plain::Tcp(io) => socket2::SockRef::from(io),
            Plain::Unix(io) => socket2::SockRef::from(io),
        }
    }
}

impl AsyncRead for Early {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.before.is_empty() {
            let n = self.before.len().min(into.remaining());
            into.put_slice(&self.before[..n]);
            let early: Vec<u8> = self.before.drain(..n).collect();
            self.tapped(&early);
            if self.before.is_empty() {
                self.before = Vec::new();
            }
            return Poll::Ready(Ok(()));
        }
        let had = into.filled().len();
        let polled = match &mut self.io {
            Plain::Tcp(io) => Pin::new(io).poll_read(cx, into),
            Plain::Unix(io) => Pin::new(io).poll_read(cx, into),
        };
        if self.tap.is_some() {
            self.tapped(&into.filled()[had..]);
        }
        polled
    }
}

impl AsyncWrite for Early {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        below!(self, io => Pin::new(io).poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        below!(self, io => Pin::new(io).poll_write_vectored(cx, parts))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        below!(self, io => Pin::new(io).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        below!(self, io => Pin::new(io).poll_shutdown(cx))
    }
}

macro_rules! each {
    ($wire:expr, $io:ident => $body:expr) => {
        match $wire {
            Wire::Gone => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
            Wire::Tcp($io) => $body,
            Wire::Unix($io) => $body,
            Wire::TlsServer($io) => $body,
            Wire::TlsClient($io) => $body,
            Wire::H2($io) => $body,
        }
    };
}

/// Reads from a plain socket. Memory is taken only once there is something to read, and a read that leaves room
/// says that the socket is drained: the next one waits for the poller instead of asking the kernel. `None` says
/// that the buffer has no room.
macro_rules! plain {
    ($io:expr, $cx:expr, $buf:expr, $large:expr, $most:expr) => {
        loop {
            ready!($io.poll_read_ready($cx))?;
            let room = $buf.room($large);
            if room.is_empty() {
                break Ok(None);
            }
            let len = room.len().min($most);
            let room = &mut room[..len];
            let (fd, mut got) = ($io.as_raw_fd(), None);
            let read = $io.try_io(Interest::READABLE, || once(fd, room, &mut got));
            $buf.filled(got.unwrap_or(0));
            match (read, got) {
                (_, Some(n)) => break Ok(Some(n)),
                (Err(e), None) if e.kind() != io::ErrorKind::WouldBlock => break Err(e),
                _ => {}
            }
        }
    };
}

/// One read; a short one is reported as "would block" to the poller, its length is in `got`.
fn once(fd: RawFd, room: &mut [u8], got: &mut Option<usize>) -> io::Result<()> {
    let n = recv(fd, room, MsgFlags::empty())?;
    *got = Some(n);
    if n > 0 && n < room.len() { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
}

/// A plain socket without a place in the runtime's poller.
#[derive(Debug)]
pub enum Bare {
    /// TCP.
    Tcp(std::net::TcpStream),
    /// A Unix socket.
    Unix(std::os::unix::net::UnixStream),
}

impl AsFd for Bare {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(io) => io.as_fd(),
            Self::Unix(io) => io.as_fd(),
        }
    }
}

impl Bare {
    fn wire(self) -> io::Result<Wire> {
        match self {
            Self::Tcp(io) => TcpStream::from_std(io).map(Wire::Tcp),
            Self::Unix(io) => UnixStream::from_std(io).map(Wire::Unix),
        }
    }
}

impl Wire {
    /// Leaves the runtime's poller. The error is for wires with more than a socket, and for a socket that was lost.
    pub fn bare(self) -> io::Result<Bare> {
        match self {
            Self::Tcp(io) => io.into_std().map(Bare::Tcp),
            Self::Unix(io) => io.into_std().map(Bare::Unix),
            Self::Gone | Self::TlsServer(_) | Self::TlsClient(_) | Self::H2(_) => {
                Err(io::ErrorKind::Unsupported.into())
            }
        }
    }

    /// The TCP socket itself, where nothing lies between it and the stream.
    pub fn tcp(&self) -> Option<&TcpStream> {
        match self {
            Self::Tcp(io) => Some(io),
            _ => None,
        }
    }

    /// The socket below, whatever lies on it.
    pub fn socket(&self) -> Option<socket2::SockRef<'_>> {
        match self {
            Self::Tcp(io) => Some(socket2::SockRef::from(io)),
            Self::Unix(io) => Some(socket2::SockRef::from(io)),
            Self::Gone | Self::H2(_) => None,
            Self::TlsServer(io) => Some(io.get_ref().0.socket()),
            Self::TlsClient(io) => Some(io.get_ref().0.socket()),
        }
    }
}

/// What the messages of a peer are like, by the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Habit {
    /// They fit a buffer.
    #[default]
    Short,
    /// They fit a large buffer.
    Middle,
    /// They come in chunks, many bytes together.
    Chunks,
    /// Announced content so long that it goes through a pipe.
    Long,
}

/// Bytes thrown away at once, and how often at most: a peer that sends on and on is not waited for.
const WASTE: usize = 4096;
const WASTE_ROUNDS: usize = 16;

/// What is read at first of a message with long content: room for nearly every head.
const FIRST_READ: usize = 2048;

impl Habit {
    /// Bytes to read at most at the begin of a message.
    fn first_read(self) -> usize {
        if matches!(self, Self::Long | Self::Chunks) { FIRST_READ } else { usize::MAX }
    }
}

/// A connection with its read buffer.
#[derive(Debug)]
pub struct Conn {
    /// The wire.
    pub wire: Wire,
    /// Bytes read and not yet used.
    pub buf: Buf,
    /// The peer closed its side.
    pub eof: bool,
    /// We closed ours.
    pub shut: bool,
    /// What its messages are like.
    pub habit: Habit,
    /// We opened it. Where it ends by us alone it is broken off, so that no port of ours stays taken for a minute.
    pub outgoing: bool,
}

impl Drop for Conn {
    fn drop(&mut self) {
        if self.outgoing
            && !self.eof
            && !self.shut
            && let Some(socket) = self.wire.socket()
        {
            // What can't be set leaves an ordinary close.
            let _ = socket.set_linger(Some(std::time::Duration::ZERO));
        }
    }
}

impl Conn {
    /// A connection of which nothing was read.
    pub fn new(wire: Wire) -> Self {
        Self { wire, buf: Buf::default(), eof: false, shut: false, habit: Habit::Short, outgoing: false }
    }

    /// A connection that we opened.
    pub fn opened(wire: Wire) -> Self {
        let mut conn = Self::new(wire);
        conn.outgoing = true;
        conn
    }

    /// A connection that comes back to the runtime's poller since something came. That is read before the poller
    /// watches it: the request need not wait for a turn in which it is told of.
    pub fn back(bare: Bare, habit: Habit) -> io::Result<Self> {
        let (mut buf, large, most) = (Buf::default(), habit == Habit::Middle, habit.first_read());
        let room = buf.room(large);
        let len = room.len().min(most);
        let got = recv(bare.as_fd().as_raw_fd(), &mut room[..len], MsgFlags::MSG_DONTWAIT);
        buf.filled(got.unwrap_or(0));
        // An error that is no want of bytes is the end of the connection: the kernel tells it once.
        let eof = got.map_or_else(|e| e != Errno::EAGAIN && e != Errno::EINTR, |n| n == 0);
        Ok(Self { wire: bare.wire()?, buf, eof, shut: false, habit, outgoing: false })
    }

    /// Throws away what a plain socket has received so far, within bounds.
    pub fn discard(&mut self) {
        let Wire::Tcp(io) = &self.wire else { return };
        let mut waste = [0; WASTE];
        for _ in 0..WASTE_ROUNDS {
            let got = recv(io.as_raw_fd(), &mut waste, MsgFlags::MSG_DONTWAIT);
            if !got.is_ok_and(|n| n == waste.len()) {
                break;
            }
        }
    }

    /// Whether it is a plain socket with nothing read, sent or closed that is not done with.
    pub fn is_plain_and_idle(&self) -> bool {
        matches!(self.wire, Wire::Tcp(_) | Wire::Unix(_)) && self.buf.is_empty() && !self.eof && !self.shut
    }

    /// Takes the socket out, with what was read ahead, for a handshake on it.
    pub fn take_plain(&mut self) -> Option<Early> {
        let io = match std::mem::replace(&mut self.wire, Wire::Gone) {
            Wire::Tcp(stream) => Plain::Tcp(stream),
            Wire::Unix(stream) => Plain::Unix(stream),
            other => {
                self.wire = other;
                return None;
            }
        };
        let before = self.buf.bytes().to_vec();
        self.buf.consume(before.len());
        Some(Early { before, tap: None, io, counted: None })
    }

    /// Reads once into the buffer: how many bytes, 0 at the end or when the buffer is full.
    #[inline]
    pub fn poll_fill(&mut self, cx: &mut Context<'_>, large: bool) -> Poll<io::Result<usize>> {
        self.poll_fill_some(cx, large, usize::MAX)
    }

    /// Reads the begin of a message: little where the last one was long, since what is not read is not copied,
    /// and much where all of it may fit a large buffer.
    #[inline]
    pub fn poll_fill_first(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.poll_fill_some(cx, self.habit == Habit::Middle, self.habit.first_read())
    }

    /// Shows what is to be read next without taking it; the buffer must be empty. Pending too at the end.
    pub fn poll_peek<T>(
        &mut self,
        cx: &mut Context<'_>,
        look: impl FnOnce(&[u8]) -> T,
    ) -> Poll<io::Result<T>> {
        let Wire::Tcp(io) = &self.wire else { return Poll::Pending };
        ready!(io.poll_read_ready(cx))?;
        let (fd, room) = (io.as_raw_fd(), self.buf.room(true));
        let got = io.try_io(Interest::READABLE, || Ok(recv(fd, room, MsgFlags::MSG_PEEK)?));
        let seen = got.map(|n| (n > 0).then(|| look(&room[..n])));
        self.buf.filled(0);
        match seen {
            Ok(Some(seen)) => Poll::Ready(Ok(seen)),
            Err(e) if e.kind() != io::ErrorKind::WouldBlock => Poll::Ready(Err(e)),
            _ => Poll::Pending, // the usual read finds the end, or waits
        }
    }

    fn poll_fill_some(&mut self, cx: &mut Context<'_>, large: bool, most: usize) -> Poll<io::Result<usize>> {
        if self.eof {
            return Poll::Ready(Ok(0));
        }
        let (wire, buf) = (&mut self.wire, &mut self.buf);
        let got = match wire {
            Wire::Tcp(io) => plain!(io, cx, buf, large, most),
            Wire::Unix(io) => plain!(io, cx, buf, large, most),
            other => {
                let mut into = ReadBuf::new(buf.room(large));
                if into.capacity() == 0 {
                    return Poll::Ready(Ok(0));
                }
                let got = each!(other, io => Pin::new(io).poll_read(cx, &mut into));
                let n = into.filled().len();
                buf.filled(n);
                ready!(got).map(|()| Some(n))
            }
        };
        let Some(n) = got? else { return Poll::Ready(Ok(0)) };
        self.eof = n == 0;
        Poll::Ready(Ok(n))
    }

    /// Writes once.
    #[inline]
    pub fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        each!(&mut self.wire, io => Pin::new(io).poll_write(cx, bytes))
    }

    /// Writes two pieces at once where the wire can.
    #[inline]
    pub fn poll_write_two(&mut self, cx: &mut Context<'_>, a: &[u8], b: &[u8]) -> Poll<io::Result<usize>> {
        if a.is_empty() {
            return self.poll_write(cx, b);
        }
        if b.is_empty() {
            return self.poll_write(cx, a);
        }
        let both = [IoSlice::new(a), IoSlice::new(b)];
        each!(&mut self.wire, io => Pin::new(io).poll_write_vectored(cx, &both))
    }

    /// Pushes out what the wire itself holds back (TLS records).
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.wire {
            Wire::Tcp(_) | Wire::Unix(_) | Wire::Gone | Wire::H2(_) => Poll::Ready(Ok(())),
            Wire::TlsServer(io) => Pin::new(io).poll_flush(cx),
            Wire::TlsClient(io) => Pin::new(io).poll_flush(cx),
        }
    }

    /// Ends our side of a plain socket now, so that it is not broken off when it goes.
    pub fn take_leave(&mut self) {
        if let Some(tcp) = self.wire.tcp() {
            // A peer that is gone has nothing left to be told.
            let _ = socket2::SockRef::from(tcp).shutdown(std::net::Shutdown::Write);
            self.shut = true;
        }
    }

    /// Closes our side.
    pub fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.shut {
            return Poll::Ready(Ok(()));
        }
        let done = ready!(each!(&mut self.wire, io => Pin::new(io).poll_shutdown(cx)));
        self.shut = true;
        Poll::Ready(done)
    }

    /// Whether an idle connection is still good: nothing came, nobody closed it. Costs no system call unless
    /// something happened.
    pub fn is_quiet(&mut self) -> bool {
        if self.eof || !self.buf.is_empty() {
            return false;
        }
        let nothing = |told: io::Result<()>| told.is_err_and(|e| e.kind() == io::ErrorKind::WouldBlock);
        let quiet = match &self.wire {
            Wire::Tcp(io) => nothing(io.try_io(Interest::READABLE, || Ok(()))),
            Wire::Unix(io) => nothing(io.try_io(Interest::READABLE, || Ok(()))),
            _ => false,
        };
        let mut cx = Context::from_waker(std::task::Waker::noop());
        quiet || self.poll_fill(&mut cx, false).is_pending()
    }
}
