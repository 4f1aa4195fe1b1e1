//! Where log lines go: a unix datagram socket, UDP, a descriptor, stdout or stderr.
//!
//! Invariant: [`Sink::send`] never waits. Datagram sockets are non-blocking and unconnected, so every line finds
//! the receiver anew; a descriptor is asked first whether it takes bytes, because making it non-blocking would
//! change it for every other process that shares it.
//!
//! Absent on purpose: stream sockets (proxyd's `ring` owns those) and retries.

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Bytes that a pipe takes whole once poll() says it takes any (POSIX PIPE_BUF on Linux).
const PIPE_BUF: usize = 4096;

/// An address of a receiver.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Target {
    /// A unix datagram socket such as /dev/log; need not exist yet.
    Unix(PathBuf),
    /// A syslog server.
    Udp(SocketAddr),
    /// A descriptor that came with the process.
    Fd(RawFd),
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

#[derive(Debug)]
enum Kind {
    Unix(UnixDatagram, PathBuf),
    Udp(UdpSocket, SocketAddr),
    Fd(OwnedFd),
    Stdout,
    Stderr,
}

/// An open way to a receiver; share it between threads by `Arc`.
#[derive(Debug)]
pub struct Sink {
    kind: Kind,
    sent: AtomicU64,
    dropped: AtomicU64,
}

impl Sink {
    /// Opens the way; fails when there are no descriptors or the number of [`Target::Fd`] is not open. An absent
    /// receiver is no failure.
    pub fn open(target: &Target) -> io::Result<Self> {
        let kind = match target {
            Target::Unix(path) => {
                let socket = UnixDatagram::unbound()?;
                socket.set_nonblocking(true)?;
                Kind::Unix(socket, path.clone())
            }
            Target::Udp(to) => {
                let any: SocketAddr = match to {
                    SocketAddr::V4(_) => (std::net::Ipv4Addr::UNSPECIFIED, 0).into(),
                    SocketAddr::V6(_) => (std::net::Ipv6Addr::UNSPECIFIED, 0).into(),
                };
                let socket = UdpSocket::bind(any)?;
                socket.set_nonblocking(true)?;
                Kind::Udp(socket, *to)
            }
            Target::Fd(number) => Kind::Fd(sys::inherit::dup(*number)?),
            Target::Stdout => Kind::Stdout,
            Target::Stderr => Kind::Stderr,
        };
        Ok(Self { kind, sent: AtomicU64::new(0), dropped: AtomicU64::new(0) })
    }

    /// Sends one line; says whether the kernel took it whole. Descriptors get a line ending when there is none.
    pub fn send(&self, line: &[u8]) -> bool {
        let taken = match &self.kind {
            Kind::Unix(socket, path) => socket.send_to(line, path).is_ok(),
            Kind::Udp(socket, to) => udp(socket, line, *to),
            Kind::Fd(fd) => write_now(fd.as_fd(), line),
            Kind::Stdout => write_now(io::stdout().as_fd(), line),
            Kind::Stderr => write_now(io::stderr().as_fd(), line),
        };
        if taken { &self.sent } else { &self.dropped }.fetch_add(1, Relaxed);
        taken
    }

    /// Lines lost so far.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }

    /// Lines taken so far.
    pub fn sent(&self) -> u64 {
        self.sent.load(Relaxed)
    }

    /// Whether each line must end with a newline of its own.
    pub fn is_stream(&self) -> bool {
        matches!(self.kind, Kind::Fd(_) | Kind::Stdout | Kind::Stderr)
    }
}

/// An ICMP error of an earlier datagram is reported on the next call; that call's line is not lost for it.
fn udp(socket: &UdpSocket, line: &[u8], to: SocketAddr) -> bool {
    match socket.send_to(line, to) {
        Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => socket.send_to(line, to).is_ok(),
        result => result.is_ok(),
    }
}

fn write_now(fd: BorrowedFd<'_>, line: &[u8]) -> bool {
    let mut ended;
    let mut rest = line;
    if !line.ends_with(b"\n") {
        ended = Vec::with_capacity(line.len() + 1);
        ended.extend_from_slice(line);
        ended.push(b'\n');
        rest = &ended;
    }
    while !rest.is_empty() {
        let mut fds = [PollFd::new(fd, PollFlags::POLLOUT)];
        let ready = poll(&mut fds, PollTimeout::ZERO).is_ok_and(|n| n == 1);
        let writable = fds[0].revents().is_some_and(|r| r.contains(PollFlags::POLLOUT));
        if !ready || !writable {
            return false;
        }
        match nix::unistd::write(fd, &rest[..rest.len().min(PIPE_BUF)]) {
            Ok(n) => rest = &rest[n..],
            Err(nix::errno::Errno::EINTR) => {}
            Err(_) => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;

    #[test]
    fn a_full_receiver_costs_lines_and_no_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let receiver = UnixDatagram::bind(&path).unwrap();
        let sink = Sink::open(&Target::Unix(path.clone())).unwrap();
        while sink.send(b"fill") {}
        assert_eq!(sink.dropped(), 1);
        let taken = sink.sent();
        assert!(taken > 0);
        let mut buf = [0; 16];
        for _ in 0..taken {
            assert_eq!(receiver.recv(&mut buf).unwrap(), 4);
        }
        assert!(sink.send(b"again"), "drained, so it takes lines again");
        drop(receiver);
        assert!(!sink.send(b"nobody"));
        std::fs::remove_file(&path).unwrap();
        let receiver = UnixDatagram::bind(&path).unwrap();
        assert!(sink.send(b"back"), "a restarted receiver is found without help");
        assert_eq!(receiver.recv(&mut buf).unwrap(), 4);
    }

    #[test]
    fn an_absent_receiver_is_counted_only() {
        let sink = Sink::open(&Target::Unix("/nonexistent/log".into())).unwrap();
        assert!(!sink.send(b"x"));
        assert_eq!((sink.sent(), sink.dropped()), (0, 1));
    }

    #[test]
    fn a_full_pipe_does_not_block() {
        let (read, write) = nix::unistd::pipe().unwrap();
        let sink = Sink::open(&Target::Fd(write.as_raw_fd())).unwrap();
        let line = vec![b'x'; 1000];
        while sink.send(&line) {}
        assert!(sink.sent() > 10);
        let mut buf = vec![0; 70_000];
        let n = nix::unistd::read(&read, &mut buf).unwrap();
        assert_eq!(&buf[999..1002], b"x\nx");
        assert!(n >= 4096);
    }

    #[test]
    fn udp_survives_an_icmp_error() {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let to = receiver.local_addr().unwrap();
        let sink = Sink::open(&Target::Udp(to)).unwrap();
        drop(receiver);
        sink.send(b"lost");
        let receiver = UdpSocket::bind(to).unwrap();
        assert!(sink.send(b"seen"));
        let mut buf = [0; 16];
        assert_eq!(receiver.recv(&mut buf).unwrap(), 4);
    }
}
