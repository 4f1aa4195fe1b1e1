//! One connection, its kind, and the bytes read ahead.

use crate::runtime::buffers::Buf;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
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
    TlsServer(Box<tokio_rustls::server::TlsStream<TcpStream>>),
    /// TLS that we asked for.
    TlsClient(Box<tokio_rustls::client::TlsStream<TcpStream>>),
}

macro_rules! each {
    ($wire:expr, $io:ident => $body:expr) => {
        match $wire {
            Wire::Gone => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
            Wire::Tcp($io) => $body,
            Wire::Unix($io) => $body,
            Wire::TlsServer($io) => $body,
            Wire::TlsClient($io) => $body,
        }
    };
}

impl Wire {
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
            Self::Gone => None,
            Self::TlsServer(io) => Some(socket2::SockRef::from(io.get_ref().0)),
            Self::TlsClient(io) => Some(socket2::SockRef::from(io.get_ref().0)),
        }
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
}

impl Conn {
    /// A connection of which nothing was read.
    pub fn new(wire: Wire) -> Self {
        Self { wire, buf: Buf::default(), eof: false, shut: false }
    }

    /// Takes the TCP socket out, for a handshake on it.
    pub fn take_tcp(&mut self) -> Option<TcpStream> {
        match std::mem::replace(&mut self.wire, Wire::Gone) {
            Wire::Tcp(stream) => Some(stream),
            other => {
                self.wire = other;
                None
            }
        }
    }

    /// Reads once into the buffer: how many bytes, 0 at the end or when the buffer is full.
    #[inline]
    pub fn poll_fill(&mut self, cx: &mut Context<'_>, large: bool) -> Poll<io::Result<usize>> {
        if self.eof {
            return Poll::Ready(Ok(0));
        }
        let room = self.buf.room(large);
        if room.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let mut into = ReadBuf::new(room);
        let got = each!(&mut self.wire, io => Pin::new(io).poll_read(cx, &mut into));
        let n = into.filled().len();
        self.buf.filled(n);
        ready!(got)?;
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
            Wire::Tcp(_) | Wire::Unix(_) | Wire::Gone => Poll::Ready(Ok(())),
            Wire::TlsServer(io) => Pin::new(io).poll_flush(cx),
            Wire::TlsClient(io) => Pin::new(io).poll_flush(cx),
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
        let mut cx = Context::from_waker(std::task::Waker::noop());
        self.poll_fill(&mut cx, false).is_pending()
    }
}
