//! Passing open descriptors over Unix sockets (SCM_RIGHTS).

use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// Most descriptors the kernel takes in one message (SCM_MAX_FD).
pub const FDS_MAX: usize = 253;

/// Sends `bytes` (at least one on a stream socket) with up to [`FDS_MAX`] descriptors. Fails with `InvalidInput`
/// for more. Returns how many octets went; the descriptors go with the first of them.
pub fn send_fds(socket: impl AsFd, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<usize> {
    if fds.len() > FDS_MAX {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    let raw: Vec<RawFd> = fds.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&raw)];
    let rights: &[ControlMessage<'_>] = if raw.is_empty() { &[] } else { &rights };
    let fd = socket.as_fd().as_raw_fd();
    Ok(sendmsg::<()>(fd, &[IoSlice::new(bytes)], rights, MsgFlags::MSG_NOSIGNAL, None)?)
}

/// Receives up to `buffer.len()` octets and the descriptors that came with them, close-on-exec. Zero octets: the
/// other side closed.
pub fn recv_fds(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut control = nix::cmsg_space!([RawFd; FDS_MAX]);
    let mut slices = [IoSliceMut::new(buffer)];
    let fd = socket.as_fd().as_raw_fd();
    let message = recvmsg::<()>(fd, &mut slices, Some(&mut control), MsgFlags::MSG_CMSG_CLOEXEC)?;
    let mut fds = Vec::new();
    for part in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(raw) = part {
            // SAFETY: the kernel has just installed these descriptors for this message; nobody else knows them.
            fds.extend(raw.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }));
        }
    }
    Ok((message.bytes, fds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_descriptor_arrives_and_works() {
        let (a, b) = UnixStream::pair().unwrap();
        let (mut near, far) = UnixStream::pair().unwrap();
        assert_eq!(send_fds(&a, b"take", &[far.as_fd()]).unwrap(), 4);
        drop(far);
        let mut buffer = [0; 16];
        let (n, mut fds) = recv_fds(&b, &mut buffer).unwrap();
        assert_eq!((&buffer[..n], fds.len()), (&b"take"[..], 1));
        let mut got = UnixStream::from(fds.remove(0));
        got.write_all(b"hello").unwrap();
        let mut text = [0; 5];
        near.read_exact(&mut text).unwrap();
        assert_eq!(&text, b"hello");
    }

    #[test]
    fn too_many_are_refused_and_none_is_fine() {
        let (a, b) = UnixStream::pair().unwrap();
        let many = vec![a.as_fd(); FDS_MAX + 1];
        assert_eq!(send_fds(&a, b"x", &many).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        send_fds(&a, b"x", &many[..FDS_MAX]).unwrap();
        assert_eq!(recv_fds(&b, &mut [0; 4]).unwrap().1.len(), FDS_MAX);
        send_fds(&a, b"y", &[]).unwrap();
        assert_eq!(recv_fds(&b, &mut [0; 4]).unwrap().1.len(), 0);
        drop(a);
        assert_eq!(recv_fds(&b, &mut [0; 4]).unwrap().0, 0);
    }
}
