//! Listening sockets from one process to the next, as haproxy's `_getsocks` does it, so that either side may be
//! haproxy itself.
//!
//! The taker sends `_getsocks`; the giver answers with a count (native i32), then messages of up to 252
//! descriptors, each with its namespace and interface (length byte and name) and an i32 of options; the taker ends
//! with an i32.
//!
//! Invariant: a descriptor is used again only for the same address, interface and type; all others are closed.
//! Unix sockets with a path are always bound anew, for their names are moved into place without a gap.

use crate::config::model::{Bind, BindAddress};
use nix::sys::socket::{AddressFamily, SockaddrLike, SockaddrStorage, getsockname};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// Descriptors in one message, haproxy's limit (one below the kernel's).
const BATCH: usize = 252;
/// Bytes of one message at most: names of namespaces and interfaces are below 256 bytes each.
const MESSAGE_MAX: usize = BATCH * (1 + 255 + 1 + 255 + 4);
/// How long the other side may take for each step.
const PATIENCE: Duration = Duration::from_secs(5);
/// The command.
pub const COMMAND: &str = "_getsocks";
/// Sockets that are taken at most; a giver that names more is broken.
const COUNT_MAX: i32 = 65_536;

/// A listening socket and what the kernel does not tell about it.
#[derive(Debug)]
pub struct Exposed {
    /// The descriptor.
    pub fd: OwnedFd,
    /// `namespace`.
    pub namespace: Vec<u8>,
    /// `interface`.
    pub interface: Vec<u8>,
}

impl Exposed {
    /// A copy of a listening socket of this bind line.
    pub fn of(fd: BorrowedFd<'_>, bind: &Bind) -> io::Result<Self> {
        let bytes = |s: &Option<String>| s.as_deref().unwrap_or_default().as_bytes().to_vec();
        Ok(Self {
            fd: fd.try_clone_to_owned()?,
            namespace: bytes(&bind.namespace),
            interface: bytes(&bind.interface),
        })
    }
}

/// Gives all of them to the taker, who has sent [`COMMAND`] already. Blocks, at most [`PATIENCE`] a step.
pub fn give(stream: &UnixStream, sockets: &[Exposed]) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut writer = stream;
    writer.write_all(&(sockets.len() as i32).to_ne_bytes())?;
    for batch in sockets.chunks(BATCH) {
        let mut bytes = Vec::new();
        for socket in batch {
            for name in [&socket.namespace, &socket.interface] {
                bytes.push(name.len() as u8);
                bytes.extend_from_slice(&name[..name.len().min(255)]);
            }
            bytes.extend_from_slice(&0i32.to_ne_bytes());
        }
        let fds: Vec<_> = batch.iter().map(|s| s.fd.as_fd()).collect();
        let sent = sys::fdpass::send_fds(stream, &bytes, &fds)?;
        writer.write_all(&bytes[sent..])?;
    }
    let mut end = [0; 4];
    // The taker may also just close.
    let _ = (&*stream).read(&mut end)?;
    Ok(())
}

/// Takes the listening sockets of the process that serves this stats socket.
pub fn take(path: &Path) -> io::Result<Vec<Exposed>> {
    take_from(&UnixStream::connect(path)?)
}

/// [`take`] on a connection.
pub fn take_from(stream: &UnixStream) -> io::Result<Vec<Exposed>> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let (mut reader, mut writer) = (stream, stream);
    writer.write_all(format!("{COMMAND}\n").as_bytes())?;
    let mut count = [0; 4];
    reader.read_exact(&mut count)?;
    let count = i32::from_ne_bytes(count);
    if !(0..=COUNT_MAX).contains(&count) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "no count of sockets"));
    }
    let mut taken = Vec::new();
    let mut buffer = vec![0; MESSAGE_MAX];
    while taken.len() < count as usize {
        let (n, fds) = sys::fdpass::recv_fds(stream, &mut buffer)?;
        if n == 0 || fds.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut rest = &buffer[..n];
        for fd in fds {
            let (namespace, behind) = name(rest)?;
            let (interface, behind) = name(behind)?;
            rest = behind.get(4..).ok_or(io::ErrorKind::InvalidData)?;
            taken.push(Exposed { fd, namespace, interface });
        }
    }
    // haproxy may have closed by now; all that matters has arrived.
    let _ = writer.write_all(&0i32.to_ne_bytes());
    Ok(taken)
}

fn name(bytes: &[u8]) -> io::Result<(Vec<u8>, &[u8])> {
    let short = || io::Error::from(io::ErrorKind::InvalidData);
    let (length, behind) = bytes.split_first().ok_or_else(short)?;
    let (name, rest) = behind.split_at_checked(usize::from(*length)).ok_or_else(short)?;
    Ok((name.to_vec(), rest))
}

/// Takes out of the list the socket that this bind line would bind; `None` when there is none.
pub fn claim(taken: &mut Vec<Exposed>, bind: &Bind) -> Option<OwnedFd> {
    let text = |s: &Option<String>| s.as_deref().unwrap_or_default().as_bytes().to_vec();
    let (namespace, interface) = (text(&bind.namespace), text(&bind.interface));
    let at = taken.iter().position(|t| {
        t.namespace == namespace && t.interface == interface && is_bound_to(t.fd.as_fd(), &bind.address)
    })?;
    Some(taken.swap_remove(at).fd)
}

fn is_bound_to(fd: BorrowedFd<'_>, address: &BindAddress) -> bool {
    use nix::sys::socket::{SockType, getsockopt, sockopt};
    let listening = getsockopt(&fd, sockopt::AcceptConn).unwrap_or(false);
    let stream = getsockopt(&fd, sockopt::SockType).is_ok_and(|t| t == SockType::Stream);
    let Ok(bound) = getsockname::<SockaddrStorage>(fd.as_raw_fd()) else { return false };
    if !listening || !stream {
        return false;
    }
    match address {
        BindAddress::Inet(want) => {
            let have = match bound.family() {
                Some(AddressFamily::Inet) => bound
                    .as_sockaddr_in()
                    .map(|a| std::net::SocketAddr::from(std::net::SocketAddrV4::from(*a))),
                Some(AddressFamily::Inet6) => bound
                    .as_sockaddr_in6()
                    .map(|a| std::net::SocketAddr::from(std::net::SocketAddrV6::from(*a))),
                _ => None,
            };
            have.is_some_and(|have| have.ip() == want.ip() && have.port() == want.port())
        }
        BindAddress::Abstract(want) => {
            bound.as_unix_addr().and_then(|a| a.as_abstract()).is_some_and(|have| have == want.as_slice())
        }
        BindAddress::Unix(_) | BindAddress::Fd(_) | BindAddress::Sockpair(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listener() -> (std::net::TcpListener, std::net::SocketAddr) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    #[test]
    fn sockets_arrive_with_their_names_and_are_claimed_by_address() {
        let (one, one_at) = listener();
        let (two, _) = listener();
        let sockets: Vec<_> = (0..600)
            .map(|n| Exposed {
                fd: if n == 300 { one.as_fd() } else { two.as_fd() }.try_clone_to_owned().unwrap(),
                namespace: Vec::new(),
                interface: if n == 300 { b"lo".to_vec() } else { Vec::new() },
            })
            .collect();
        let (giver, taker) = UnixStream::pair().unwrap();
        let thread = std::thread::spawn(move || {
            let mut command = [0; 10];
            (&giver).read_exact(&mut command).unwrap();
            assert_eq!(&command, b"_getsocks\n");
            give(&giver, &sockets).unwrap();
        });
        let taken = take_from(&taker).unwrap();
        thread.join().unwrap();
        assert_eq!(taken.len(), 600);
        assert_eq!(taken[300].interface, b"lo");
        assert!(is_bound_to(taken[300].fd.as_fd(), &BindAddress::Inet(one_at)));
        assert!(!is_bound_to(taken[299].fd.as_fd(), &BindAddress::Inet(one_at)));
    }

    #[test]
    fn a_broken_giver_is_an_error() {
        for answer in [&b"\xff\xff\xff\xff"[..], b"\x01\0", b"\x01\0\0\0rubbish"] {
            let (giver, taker) = UnixStream::pair().unwrap();
            (&giver).write_all(answer).unwrap();
            drop(giver);
            assert!(take_from(&taker).is_err());
        }
    }

    #[test]
    fn connected_sockets_are_never_claimed() {
        let (_listener, address) = listener();
        let client = std::net::TcpStream::connect(address).unwrap();
        let local = client.local_addr().unwrap();
        assert!(!is_bound_to(client.as_fd(), &BindAddress::Inet(local)));
    }
}
