//! The bytes of a session between peers: over plain TCP, or over TLS where the `bind` and `server` lines ask for it.
//!
//! Invariant: where TLS was asked for nothing is ever said in clear; what can't be built refuses its connections.
//!
//! Absent on purpose: what is said (`session.rs`).

use crate::config::model::Peers;
use crate::runtime::Generation;
use crate::runtime::board::Board;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client, server};

/// TLS towards somebody.
#[derive(Debug, Clone)]
enum Towards {
    /// None is asked for.
    Clear,
    /// With these settings.
    Secure(Arc<tls::client::Slot>),
    /// It was asked for, and can't be had.
    Broken,
}

/// TLS of a section.
#[derive(Debug)]
pub struct Secrets {
    listener: Option<tls::server::Server>,
    is_secure: bool,
    own: Towards,
    remote: Vec<Towards>,
}

impl Secrets {
    /// Of the section with this number.
    pub fn of(generation: &Generation, number: usize, section: &Peers) -> Self {
        let towards = |options: &Option<tls::client::Options>| match options {
            None => Towards::Clear,
            Some(options) => tls::client::Slot::new(options.clone(), &generation.tls.library)
                .map_or(Towards::Broken, Towards::Secure),
        };
        Self {
            listener: generation.tls.peers.get(number).cloned().flatten(),
            is_secure: section.local.as_ref().is_some_and(|b| b.tls.is_some()),
            own: towards(&section.own_tls),
            remote: section.remote.iter().map(|p| towards(&p.tls)).collect(),
        }
    }

    /// A connection that came.
    pub async fn accept(&self, stream: TcpStream, board: &Board) -> io::Result<Transport> {
        if !self.is_secure {
            return Ok(Transport::Clear(stream));
        }
        let process = &board.process;
        process.ssl_rate.add(board.clock().mono_ms, 1);
        process.cum_ssl_conns.fetch_add(1, Relaxed);
        let listener = self.listener.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        let accepted = listener.accept(stream).await.map_err(|failed| failed.error)?;
        if accepted.stream.get_ref().1.handshake_kind() != Some(rustls::HandshakeKind::Resumed) {
            process.ssl_front_keys.add(board.clock().mono_ms, 1);
        }
        Ok(Transport::Accepted(Box::new(accepted.stream)))
    }

    /// A connection that was made to a peer, or to the process after this one.
    pub async fn connect(
        &self,
        stream: TcpStream,
        to: Option<usize>,
        board: &Board,
    ) -> io::Result<Transport> {
        let towards = to.map_or(Some(&self.own), |n| self.remote.get(n));
        let slot = match towards.unwrap_or(&Towards::Broken) {
            Towards::Clear => return Ok(Transport::Clear(stream)),
            Towards::Broken => return Err(io::ErrorKind::NotConnected.into()),
            Towards::Secure(slot) => slot.current(),
        };
        let stream = TlsConnector::from(slot.config).connect(slot.name, stream).await?;
        if stream.get_ref().1.handshake_kind() != Some(rustls::HandshakeKind::Resumed) {
            board.process.ssl_back_keys.add(board.clock().mono_ms, 1);
        }
        Ok(Transport::Connected(Box::new(stream)))
    }
}

/// A connection.
#[derive(Debug)]
pub enum Transport {
    /// Plain.
    Clear(TcpStream),
    /// Theirs, encrypted.
    Accepted(Box<server::TlsStream<TcpStream>>),
    /// Ours, encrypted.
    Connected(Box<client::TlsStream<TcpStream>>),
}

/// Both directions of a connection.
pub trait Bytes: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Bytes for T {}

impl Transport {
    /// The socket below.
    pub fn socket(&self) -> &TcpStream {
        match self {
            Self::Clear(stream) => stream,
            Self::Accepted(stream) => stream.get_ref().0,
            Self::Connected(stream) => stream.get_ref().0,
        }
    }

    /// Whether it is encrypted.
    pub fn is_secure(&self) -> bool {
        !matches!(self, Self::Clear(_))
    }

    /// What is read and written.
    pub fn bytes(&mut self) -> Pin<&mut dyn Bytes> {
        match self {
            Self::Clear(stream) => Pin::new(stream),
            Self::Accepted(stream) => Pin::new(stream.as_mut()),
            Self::Connected(stream) => Pin::new(stream.as_mut()),
        }
    }

    /// Sends a text, whole.
    pub async fn say(&mut self, text: &str) -> io::Result<()> {
        self.tell(text.as_bytes()).await
    }

    /// Sends bytes, whole.
    pub async fn tell(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.bytes().write_all(bytes).await?;
        self.bytes().flush().await
    }

    /// Sends what it takes, and gives how much that was. What lies encrypted goes out in any case, even with nothing
    /// new.
    pub fn poll_say(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let wrote = if bytes.is_empty() { Poll::Ready(Ok(0)) } else { self.bytes().poll_write(cx, bytes) };
        if let Poll::Ready(Err(e)) = self.bytes().poll_flush(cx) {
            return Poll::Ready(Err(e));
        }
        wrote
    }

    /// Reads what there is; 0 is the end.
    pub fn poll_hear(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut read = ReadBuf::new(buffer);
        self.bytes().poll_read(cx, &mut read).map_ok(|()| read.filled().len())
    }
}
