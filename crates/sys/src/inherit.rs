//! Descriptors that came with the process (`fd@3`, sockets of a supervisor), by number.

use std::io;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// A close-on-exec duplicate of the descriptor with this number; the original stays open. Fails with EBADF when
/// there is none.
pub fn dup(number: RawFd) -> io::Result<OwnedFd> {
    if number < 0 {
        return Err(io::Error::from_raw_os_error(libc::EBADF));
    }
    // SAFETY: F_DUPFD_CLOEXEC takes any number and fails with EBADF where nothing is open; the result, when not
    // negative, is a new descriptor that nobody else owns.
    unsafe {
        let new = libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 3);
        if new < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(OwnedFd::from_raw_fd(new))
    }
}

/// Makes the descriptor survive (or not) the next `exec`.
pub fn keep_on_exec(fd: BorrowedFd<'_>, keep: bool) -> io::Result<()> {
    let flag = if keep { nix::fcntl::FdFlag::empty() } else { nix::fcntl::FdFlag::FD_CLOEXEC };
    nix::fcntl::fcntl(fd, nix::fcntl::FcntlArg::F_SETFD(flag))?;
    Ok(())
}

/// Takes over the descriptor with this number, so that dropping the result closes it.
///
/// The caller promises by using it that the number came with the process (argument, environment) and that it is
/// adopted once; a number that is not open is EBADF.
pub fn adopt(number: RawFd) -> io::Result<OwnedFd> {
    let copy = dup(number)?;
    nix::unistd::close(number)?;
    Ok(copy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;

    #[test]
    fn unknown_numbers_are_errors() {
        assert!(dup(-1).is_err());
        assert_eq!(dup(999_999).unwrap_err().raw_os_error(), Some(libc::EBADF));
    }

    #[test]
    fn a_duplicate_outlives_its_origin() {
        let (a, b) = std::os::unix::net::UnixStream::pair().unwrap();
        let copy = dup(a.as_raw_fd()).unwrap();
        drop(a);
        nix::unistd::write(&copy, b"x").unwrap();
        let mut got = [0; 2];
        assert_eq!(nix::unistd::read(&b, &mut got).unwrap(), 1);
    }
}
