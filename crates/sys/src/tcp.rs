//! What the kernel knows of a TCP connection (`TCP_INFO`).

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

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
    use std::os::fd::AsFd;

    #[test]
    fn a_connection_has_a_round_trip_time_and_a_file_none() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let info = super::info(stream.as_fd()).unwrap();
        assert!(info.rtt_us < 1_000_000, "{info:?}");
        assert!(super::info(std::fs::File::open("/dev/null").unwrap().as_fd()).is_err());
    }
}
