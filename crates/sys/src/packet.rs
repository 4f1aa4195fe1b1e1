//! Raw and packet sockets: link-layer addresses, batches in one system call, and two options nobody wraps.

use socket2::{Domain, Protocol, SockAddr, SockAddrStorage, Socket, Type};
use std::io;
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd};

/// Most datagrams that go in one call; the kernel's own limit is 1024.
pub const BATCH_MAX: usize = 256;

/// A packet socket that only sends (it receives nothing): raw Ethernet frames for [`link_address`] targets.
pub fn sender() -> io::Result<Socket> {
    let socket = Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(0)))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Where a frame leaves: interface number and EtherType. The destination MAC is in the frame.
pub fn link_address(ifindex: u32, ethertype: u16) -> SockAddr {
    let mut storage = SockAddrStorage::zeroed();
    // SAFETY: sockaddr_ll is one of the address types SockAddrStorage is made for: it fits, is aligned, and
    // all-zero bytes are a valid value of it.
    let link = unsafe { storage.view_as::<libc::sockaddr_ll>() };
    link.sll_family = libc::AF_PACKET as u16;
    link.sll_protocol = ethertype.to_be();
    link.sll_ifindex = ifindex as i32;
    link.sll_halen = 6;
    // SAFETY: the storage holds an initialised sockaddr_ll of exactly this length.
    unsafe { SockAddr::new(storage, size_of::<libc::sockaddr_ll>() as libc::socklen_t) }
}

/// Sends datagrams in order with as few system calls as possible. Returns how many went and, when that is not all,
/// why the next one did not. Never blocks on a non-blocking socket.
pub fn send_batch(socket: impl AsFd, batch: &[(&SockAddr, &[u8])]) -> (usize, Option<io::Error>) {
    let fd = socket.as_fd().as_raw_fd();
    let mut sent = 0;
    while sent < batch.len() {
        let part = &batch[sent..batch.len().min(sent + BATCH_MAX)];
        let mut slices: Vec<libc::iovec> = part
            .iter()
            .map(|(_, bytes)| libc::iovec {
                iov_base: bytes.as_ptr().cast_mut().cast(),
                iov_len: bytes.len(),
            })
            .collect();
        let mut headers: Vec<libc::mmsghdr> = Vec::with_capacity(part.len());
        for ((address, _), slice) in part.iter().zip(&mut slices) {
            // SAFETY: all-zero bytes are a valid mmsghdr (null pointers with zero lengths).
            let mut header: libc::mmsghdr = unsafe { std::mem::zeroed() };
            header.msg_hdr.msg_name = address.as_ptr().cast_mut().cast();
            header.msg_hdr.msg_namelen = address.len();
            header.msg_hdr.msg_iov = slice;
            header.msg_hdr.msg_iovlen = 1;
            headers.push(header);
        }
        // SAFETY: `headers` has `len` entries whose pointers lead to addresses and buffers that outlive the call;
        // the kernel only reads them and writes msg_len.
        let n = unsafe { libc::sendmmsg(fd, headers.as_mut_ptr(), headers.len() as u32, 0) };
        if n <= 0 {
            return (sent, Some(io::Error::last_os_error()));
        }
        sent += n as usize;
    }
    (sent, None)
}

pub(crate) fn set<T>(fd: impl AsFd, level: i32, option: i32, value: &T) -> io::Result<()> {
    // SAFETY: `value` lives across the call and its size is given; every caller passes a plain C struct or int.
    let rc = unsafe {
        libc::setsockopt(
            fd.as_fd().as_raw_fd(),
            level,
            option,
            std::ptr::from_ref(value).cast(),
            size_of::<T>() as libc::socklen_t,
        )
    };
    if rc == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// IP_MULTICAST_IF by interface number.
pub fn multicast_if_v4(fd: impl AsFd, ifindex: u32) -> io::Result<()> {
    let any = libc::in_addr { s_addr: 0 };
    let request = libc::ip_mreqn { imr_multiaddr: any, imr_address: any, imr_ifindex: ifindex as i32 };
    set(fd, libc::IPPROTO_IP, libc::IP_MULTICAST_IF, &request)
}

/// IPV6_CHECKSUM: the kernel fills in and verifies the checksum at this offset of a raw socket's packets.
pub fn ipv6_checksum(fd: impl AsFd, offset: i32) -> io::Result<()> {
    const IPV6_CHECKSUM: i32 = 7;
    set(fd, libc::IPPROTO_IPV6, IPV6_CHECKSUM, &offset)
}

/// SO_RCVBUFFORCE: a receive buffer above the host's limit; falls back to SO_RCVBUF without the right.
pub fn receive_buffer(fd: impl AsFd, octets: u32) -> io::Result<()> {
    let size = octets.min(i32::MAX as u32) as i32;
    set(&fd, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, &size)
        .or_else(|_| set(&fd, libc::SOL_SOCKET, libc::SO_RCVBUF, &size))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;

    #[test]
    fn a_batch_arrives_in_order() {
        let to = UdpSocket::bind("127.0.0.1:0").unwrap();
        let from = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = SockAddr::from(to.local_addr().unwrap());
        let texts: Vec<Vec<u8>> = (0..BATCH_MAX + 20).map(|i| format!("n{i}").into_bytes()).collect();
        let batch: Vec<(&SockAddr, &[u8])> = texts.iter().map(|t| (&address, t.as_slice())).collect();
        receive_buffer(&to, 1 << 20).unwrap();
        let (sent, error) = send_batch(&from, &batch);
        assert!(error.is_none(), "{error:?}");
        assert_eq!(sent, texts.len());
        let mut buffer = [0; 16];
        for text in &texts {
            let n = to.recv(&mut buffer).unwrap();
            assert_eq!(&buffer[..n], &text[..]);
        }
    }

    #[test]
    fn a_failing_batch_says_where_and_why() {
        let from = UdpSocket::bind("127.0.0.1:0").unwrap();
        let good = SockAddr::from("127.0.0.1:9".parse::<std::net::SocketAddr>().unwrap());
        let bad = SockAddr::from("[::1]:9".parse::<std::net::SocketAddr>().unwrap());
        let (sent, error) = send_batch(&from, &[(&good, b"a"), (&bad, b"b"), (&good, b"c")]);
        assert_eq!(sent, 1);
        assert_eq!(error.unwrap().raw_os_error(), Some(libc::EAFNOSUPPORT));
    }

    #[test]
    fn a_link_address_holds_what_was_given() {
        let address = link_address(7, 0x0806);
        assert_eq!(address.family(), libc::AF_PACKET as u16);
        // SAFETY: the family says that this is a sockaddr_ll.
        let link = unsafe { &*address.as_ptr().cast::<libc::sockaddr_ll>() };
        assert_eq!((link.sll_ifindex, link.sll_protocol, link.sll_halen), (7, 0x0806u16.to_be(), 6));
    }

    #[test]
    fn options_reach_the_kernel() {
        let v4 = UdpSocket::bind("127.0.0.1:0").unwrap();
        multicast_if_v4(&v4, 1).unwrap();
        assert!(multicast_if_v4(&v4, 4_000_000).is_err());
        if let Ok(raw) = Socket::new(Domain::IPV6, Type::RAW, Some(Protocol::from(112))) {
            ipv6_checksum(&raw, 6).unwrap();
            assert!(ipv6_checksum(&raw, 7).is_err(), "an odd offset is refused");
        }
        if let Ok(packet) = sender() {
            let frame = [0u8; 60];
            let nowhere = link_address(0, 0x0806);
            let (sent, error) = send_batch(&packet, &[(&nowhere, &frame[..])]);
            assert!(sent == 0 && error.is_some());
        }
    }
}
