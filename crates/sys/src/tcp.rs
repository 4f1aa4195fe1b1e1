//! TCP that no library in use covers: fast open, deferred accept (tcp(7)), and what the kernel knows of a connection.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use crate::packet::set;

/// TCP_FASTOPEN: a listening socket takes data in the first packet, for so many connections at once.
pub fn fast_open(fd: impl AsFd, queue: u32) -> io::Result<()> {
    set(fd, libc::IPPROTO_TCP, libc::TCP_FASTOPEN, &(queue.min(i32::MAX as u32) as i32))
}

/// TCP_FASTOPEN_CONNECT: the first bytes written go out with the connection's first packet.
pub fn fast_open_connect(fd: impl AsFd) -> io::Result<()> {
    set(fd, libc::IPPROTO_TCP, libc::TCP_FASTOPEN_CONNECT, &1_i32)
}

/// TCP_DEFER_ACCEPT: connections are accepted once data has come, or after so many seconds.
pub fn defer_accept(fd: impl AsFd, seconds: u32) -> io::Result<()> {
    set(fd, libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT, &(seconds as i32))
}

/// TCP_REPAIR: the connection is taken out of the protocol, so that closing it tells the peer nothing. Needs
/// CAP_NET_ADMIN.
pub fn repair(fd: impl AsFd) -> io::Result<()> {
    set(fd, libc::IPPROTO_TCP, libc::TCP_REPAIR, &1_i32)
}

/// The parts of `struct tcp_info` that users ask for; times are in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Info {
    /// Smoothed round trip time.
    pub rtt_us: u32,
    /// Its variance.
    pub rttvar_us: u32,
    /// Segments sent and not acknowledged.
    pub unacked: u32,
    /// Segments acknowledged selectively.
    pub sacked: u32,
    /// Segments lost.
    pub lost: u32,
    /// Segments sent again.
    pub retrans: u32,
    /// Forward acknowledgements.
    pub fackets: u32,
    /// Reordering events.
    pub reordering: u32,
}

/// Asks the kernel.
///
/// # Errors
/// When the descriptor is no TCP socket.
pub fn info(fd: BorrowedFd<'_>) -> io::Result<Info> {
    // SAFETY: all zeroes is a value of this struct of integers.
    let mut raw: libc::tcp_info = unsafe { std::mem::zeroed() };
    let mut len = size_of::<libc::tcp_info>() as libc::socklen_t;
    // SAFETY: the pointers are to `raw` and `len`, which live through the call, and `len` is the size of `raw`.
    let done = unsafe {
        libc::getsockopt(
            fd.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            (&raw mut raw).cast(),
            &raw mut len,
        )
    };
    if done != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(Info {
        rtt_us: raw.tcpi_rtt,
        rttvar_us: raw.tcpi_rttvar,
        unacked: raw.tcpi_unacked,
        sacked: raw.tcpi_sacked,
        lost: raw.tcpi_lost,
        retrans: raw.tcpi_retrans,
        fackets: raw.tcpi_fackets,
        reordering: raw.tcpi_reordering,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn a_listener_takes_the_options() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        fast_open(&listener, 16).unwrap();
        defer_accept(&listener, 1).unwrap();
    }

    #[test]
    fn a_connection_has_a_round_trip_time_and_a_file_none() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let info = super::info(stream.as_fd()).unwrap();
        assert!(info.rtt_us < 1_000_000, "{info:?}");
        assert!(super::info(std::fs::File::open("/dev/null").unwrap().as_fd()).is_err());
    }
}
