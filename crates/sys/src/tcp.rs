//! TCP options that no library in use covers: fast open and deferred accept (tcp(7)).

use std::io;
use std::os::fd::AsFd;

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
}
