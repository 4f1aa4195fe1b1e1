//! Bytes from socket to socket through a kernel pipe, without passing through the process.
//!
//! Invariant: bytes in the pipe are written before anything else; a pipe goes back to the pool only when empty.
//!
//! Absent on purpose: TLS and messages; only plain sockets can be joined this way.

use crate::mux::wire::Conn;
use nix::fcntl::{FcntlArg, OFlag, SpliceFFlags, fcntl, splice};
use std::cell::RefCell;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::task::{Context, Poll, ready};
use tokio::io::Interest;

/// Pipes kept by a thread.
const KEPT_MAX: usize = 64;
/// What a pipe is asked to hold; the kernel may give less.
const PIPE_SIZE: i32 = 1024 * 1024;
/// Bytes moved at once at most.
const MOVE_MAX: usize = 1024 * 1024;

thread_local! {
    static PIPES: RefCell<Vec<(OwnedFd, OwnedFd)>> = const { RefCell::new(Vec::new()) };
}

/// A pipe with bytes on their way.
#[derive(Debug)]
pub struct Splice {
    ends: Option<(OwnedFd, OwnedFd)>,
    held: usize,
}

impl Splice {
    /// Takes a pipe; fails when there are no descriptors.
    pub fn new() -> io::Result<Self> {
        let known = PIPES.with_borrow_mut(Vec::pop);
        let ends = match known {
            Some(ends) => ends,
            None => {
                let ends = nix::unistd::pipe2(OFlag::O_NONBLOCK | OFlag::O_CLOEXEC)?;
                // A small pipe works too, only slower.
                let _ = fcntl(&ends.1, FcntlArg::F_SETPIPE_SZ(PIPE_SIZE));
                ends
            }
        };
        Ok(Self { ends: Some(ends), held: 0 })
    }

    /// Bytes in the pipe.
    pub fn held(&self) -> usize {
        self.held
    }

    /// Moves `most` bytes at most from a socket into the pipe: how many, 0 at the end.
    pub fn poll_fill(&mut self, cx: &mut Context<'_>, from: &Conn, most: usize) -> Poll<io::Result<usize>> {
        let (Some(socket), Some((_, into))) = (from.wire.tcp(), &self.ends) else { return unsupported() };
        loop {
            ready!(socket.poll_read_ready(cx))?;
            let moved = socket.try_io(Interest::READABLE, || {
                let flags = SpliceFFlags::SPLICE_F_NONBLOCK | SpliceFFlags::SPLICE_F_MOVE;
                splice(socket.as_fd(), None, into.as_fd(), None, most.min(MOVE_MAX), flags)
                    .map_err(io::Error::from)
            });
            match moved {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Ok(n) => {
                    self.held += n;
                    return Poll::Ready(Ok(n));
                }
                Err(e) => return Poll::Ready(Err(e)),
            }
        }
    }

    /// Moves bytes from the pipe into a socket.
    pub fn poll_drain(&mut self, cx: &mut Context<'_>, to: &Conn) -> Poll<io::Result<usize>> {
        let (Some(socket), Some((out, _))) = (to.wire.tcp(), &self.ends) else { return unsupported() };
        loop {
            ready!(socket.poll_write_ready(cx))?;
            let moved = socket.try_io(Interest::WRITABLE, || {
                let flags = SpliceFFlags::SPLICE_F_NONBLOCK | SpliceFFlags::SPLICE_F_MOVE;
                splice(out.as_fd(), None, socket.as_fd(), None, self.held, flags).map_err(io::Error::from)
            });
            match moved {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(n) => {
                    self.held -= n;
                    return Poll::Ready(Ok(n));
                }
                Err(e) => return Poll::Ready(Err(e)),
            }
        }
    }
}

fn unsupported() -> Poll<io::Result<usize>> {
    Poll::Ready(Err(io::ErrorKind::Unsupported.into()))
}

impl Drop for Splice {
    fn drop(&mut self) {
        let Some(ends) = self.ends.take().filter(|_| self.held == 0) else { return };
        // A thread that ends has no pool any more: the pipe is closed then.
        let _ = PIPES.try_with(|p| {
            let mut pipes = p.borrow_mut();
            if pipes.len() < KEPT_MAX {
                pipes.push(ends);
            }
        });
    }
}
