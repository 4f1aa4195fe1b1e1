//! Telling a supervisor by `NOTIFY_SOCKET` (sd_notify(3)).
//!
//! Invariant: without the variable every call is a no-op; a supervisor that does not listen costs nothing but
//! the message. A datagram is what haproxy and keepalived send, byte for byte: no newline ends it.

use std::ffi::OsString;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// What to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notify<'a> {
    /// `READY=1` and `MAINPID=n` in one datagram.
    Ready {
        /// Main process.
        main: u32,
    },
    /// `RELOADING=1`.
    Reloading,
    /// `STOPPING=1`.
    Stopping,
    /// `ERRNO=n`: why it failed.
    Errno(i32),
    /// `STATUS=text`.
    Status(&'a str),
}

impl Notify<'_> {
    /// Sends it as one datagram.
    pub fn send(self) -> io::Result<()> {
        match std::env::var_os("NOTIFY_SOCKET") {
            Some(to) => self.send_to(&to),
            None => Ok(()),
        }
    }

    fn send_to(self, to: &OsString) -> io::Result<()> {
        let text = self.text();
        let socket = UnixDatagram::unbound()?;
        // The manager may be busy; a daemon that waits for it would not serve.
        socket.set_nonblocking(true)?;
        match to.as_bytes().split_first() {
            Some((b'@', name)) => {
                socket.send_to_addr(text.as_bytes(), &SocketAddr::from_abstract_name(name)?)?
            }
            Some((b'/', _)) => socket.send_to(text.as_bytes(), to)?,
            _ => return Err(io::ErrorKind::InvalidInput.into()),
        };
        Ok(())
    }

    fn text(self) -> String {
        match self {
            Self::Ready { main } => format!("READY=1\nMAINPID={main}"),
            Self::Reloading => "RELOADING=1".into(),
            Self::Stopping => "STOPPING=1".into(),
            Self::Errno(n) => format!("ERRNO={}", n.unsigned_abs()),
            Self::Status(text) => format!("STATUS={text}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_datagram_each_without_a_newline_at_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let mut bytes = [0; 64];
        for (what, want) in [
            (Notify::Reloading, "RELOADING=1"),
            (Notify::Ready { main: 7 }, "READY=1\nMAINPID=7"),
            (Notify::Stopping, "STOPPING=1"),
            (Notify::Errno(-5), "ERRNO=5"),
            (Notify::Status("x"), "STATUS=x"),
        ] {
            what.send_to(&path.clone().into()).unwrap();
            let n = manager.recv(&mut bytes).unwrap();
            assert_eq!(&bytes[..n], want.as_bytes());
        }
        assert!(Notify::Stopping.send_to(&"nowhere".into()).is_err());
    }
}
