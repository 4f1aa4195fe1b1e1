//! Sockets: listening, connecting, and the headers of proxies before.

pub mod arrivals;
pub mod connect;
pub mod listener;
pub mod netscaler;
pub mod proxy_protocol;
pub mod tls;

use socket2::SockRef;
use std::os::fd::AsFd;

/// Sizes of a socket's buffers in the kernel (`tune.rcvbuf.*`, `tune.sndbuf.*`), bytes; 0 is the kernel's choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Buffers {
    /// What came and was not read.
    pub receive: usize,
    /// What was sent and is not acknowledged.
    pub send: usize,
}

impl Buffers {
    /// Sets the sizes. What a listening socket has, all that it accepts get; the kernel keeps its own limits, so a size
    /// that it does not take changes nothing.
    pub fn apply(self, socket: &impl AsFd) {
        let socket = SockRef::from(socket);
        if self.receive > 0 {
            let _ = socket.set_recv_buffer_size(self.receive);
        }
        if self.send > 0 {
            let _ = socket.set_send_buffer_size(self.send);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepted_connections_have_the_buffers_of_their_listener() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        Buffers { receive: 20_000, send: 30_000 }.apply(&listener);
        let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        let sizes = |s: &std::net::TcpStream| {
            let s = SockRef::from(s);
            (s.recv_buffer_size().unwrap(), s.send_buffer_size().unwrap())
        };
        // The kernel doubles what it is told, for its own records.
        assert_eq!(sizes(&server), (40_000, 60_000));
        assert_ne!(sizes(&client), sizes(&server));
    }
}
