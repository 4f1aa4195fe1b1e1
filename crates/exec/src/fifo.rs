//! Notify FIFOs: state changes as lines into a named pipe.
//!
//! Invariant: writing never waits. The pipe is held open for reading and writing, so that no reader is no error,
//! and non-blocking, so that a reader that stopped costs lines (counted) and nothing else.
//!
//! Absent on purpose: the script at the other end (an ordinary [`crate::Program`]) and the words of the lines.

use crate::Owner;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Mode of a FIFO that we make; keepalived's: readers may be anybody, writers only the owner.
const MODE: u32 = 0o644;

/// Why a FIFO can't be used.
#[derive(Debug, thiserror::Error)]
pub enum FifoError {
    /// There is something else of that name.
    #[error("{0} is not a FIFO")]
    NotFifo(PathBuf),
    /// It belongs to somebody else, who could read or forge state changes.
    #[error("{path} belongs to uid {uid}")]
    Foreign {
        /// The FIFO.
        path: PathBuf,
        /// Its owner.
        uid: u32,
    },
    /// The kernel said no.
    #[error(transparent)]
    Kernel(#[from] io::Error),
}

/// An open FIFO.
#[derive(Debug)]
pub struct Fifo {
    file: File,
    path: PathBuf,
    made: bool,
    dropped: u64,
}

impl Fifo {
    /// Opens the FIFO, making it (0644, owned by `owner`) when there is nothing of that name. One that exists
    /// must belong to root, to us or to `owner`; a symbolic link is never followed.
    pub fn open(path: &Path, owner: Option<Owner>) -> Result<Self, FifoError> {
        let made = match nix::unistd::mkfifo(path, Mode::from_bits_truncate(MODE)) {
            Ok(()) => true,
            Err(nix::errno::Errno::EEXIST) => false,
            Err(e) => return Err(io::Error::from(e).into()),
        };
        let file = std::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags((OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC).bits())
            .open(path)?;
        let meta = file.metadata()?;
        if !meta.file_type().is_fifo() {
            return Err(FifoError::NotFifo(path.into()));
        }
        if made {
            if let Some(owner) = owner {
                std::os::unix::fs::fchown(&file, Some(owner.uid), Some(owner.gid))?;
            }
        } else {
            let us = nix::unistd::geteuid().as_raw();
            let uid = meta.uid();
            if uid != 0 && uid != us && owner.is_none_or(|o| o.uid != uid) {
                return Err(FifoError::Foreign { path: path.into(), uid });
            }
        }
        Ok(Self { file, path: path.into(), made, dropped: 0 })
    }

    /// Writes one line (with its line ending, at most PIPE_BUF bytes, so it arrives whole); says whether it was
    /// taken.
    pub fn line(&mut self, line: &str) -> bool {
        let taken = self.file.write(line.as_bytes()).is_ok_and(|n| n == line.len());
        self.dropped += u64::from(!taken);
        taken
    }

    /// Lines lost so far.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Closes it, and removes it if it was made here.
    pub fn close(self) {
        if self.made {
            // It may be gone or replaced; nothing depends on it any more.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn lines_arrive_whole_and_a_full_pipe_drops_them() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fifo");
        let mut fifo = Fifo::open(&path, None).unwrap();
        assert!(fifo.line("INSTANCE \"VI_1\" MASTER 150\n"), "no reader is no error");
        let mut reader = std::fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
        let mut buf = [0; 64];
        let n = reader.read(&mut buf).unwrap();
        assert_eq!(&buf[..n], b"INSTANCE \"VI_1\" MASTER 150\n");
        let line = "x".repeat(4095) + "\n";
        while fifo.line(&line) {}
        assert_eq!(fifo.dropped(), 1);
        fifo.close();
        assert!(!path.exists());
    }

    #[test]
    fn files_and_links_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(matches!(Fifo::open(&file, None), Err(FifoError::NotFifo(_))));
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert!(matches!(Fifo::open(&link, None), Err(FifoError::Kernel(_))));
    }

    #[test]
    fn an_existing_fifo_stays_after_close() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fifo");
        nix::unistd::mkfifo(&path, Mode::from_bits_truncate(0o600)).unwrap();
        Fifo::open(&path, None).unwrap().close();
        assert!(path.exists());
    }
}
