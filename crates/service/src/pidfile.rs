//! Pid files by haproxy's rules and by keepalived's.
//!
//! Invariant: nobody else's pid file is removed, and no symbolic link is followed when one is written.

use nix::fcntl::OFlag;
use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Longest pid file read back; a pid and a line ending are at most 11 bytes.
const READ_MAX: u64 = 64;

/// A pid file that we wrote.
#[derive(Debug)]
pub struct PidFile {
    path: PathBuf,
}

impl PidFile {
    /// haproxy's: truncated and written (mode 0644) once everything is bound, one pid a line, kept after exit.
    pub fn write(path: &Path, pids: &[u32]) -> io::Result<Self> {
        let mut file = open(path)?;
        for pid in pids {
            writeln!(file, "{pid}")?;
        }
        Ok(Self { path: path.into() })
    }

    /// keepalived's: refuses (`Ok(None)`) when the file names a process that lives; removed at the end by
    /// [`PidFile::remove`].
    pub fn claim(path: &Path, pid: u32) -> io::Result<Option<Self>> {
        match read(path) {
            Some(other) if other != pid && alive(other) => Ok(None),
            _ => Self::write(path, &[pid]).map(Some),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes it, unless by now it names somebody else.
    pub fn remove(self, pid: u32) {
        if read(&self.path) == Some(pid) {
            // Gone already is fine too.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn open(path: &Path) -> io::Result<std::fs::File> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o644)
        .custom_flags((OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC).bits())
        .open(path)
}

/// The first pid of a pid file; `None` when there is no file or no pid in it.
pub fn read(path: &Path) -> Option<u32> {
    let mut text = String::new();
    std::fs::File::open(path).ok()?.take(READ_MAX).read_to_string(&mut text).ok()?;
    text.split_whitespace().next()?.parse().ok().filter(|pid| *pid > 0)
}

/// Whether a process lives; a zombie does not (keepalived 2.2.7 thinks it does and then refuses to start).
pub fn alive(pid: u32) -> bool {
    let Ok(stat) = std::fs::read(format!("/proc/{pid}/stat")) else { return false };
    // The state is the first field behind the name, which may itself hold brackets and blanks.
    let Some(end) = stat.iter().rposition(|b| *b == b')') else { return false };
    !matches!(stat.get(end + 2), Some(b'Z' | b'X') | None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_and_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pid");
        PidFile::write(&path, &[12345, 9]).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "12345\n9\n");
        assert_eq!(read(&path), Some(12345));
        PidFile::write(&path, &[7]).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "7\n");
    }

    #[test]
    fn a_living_owner_keeps_its_file_and_a_dead_one_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pid");
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        std::fs::write(&path, format!("{}\n", child.id())).unwrap();
        assert!(PidFile::claim(&path, 1).unwrap().is_none());
        nix::sys::signal::kill(
            nix::unistd::Pid::from_raw(child.id() as i32),
            nix::sys::signal::Signal::SIGKILL,
        )
        .unwrap();
        let start = std::time::Instant::now();
        while alive(child.id()) && start.elapsed().as_secs() < 5 {
            std::thread::yield_now();
        }
        // Not waited for yet, so it is a zombie here.
        let mine = PidFile::claim(&path, 42).unwrap().unwrap();
        child.wait().unwrap();
        assert_eq!(read(&path), Some(42));
        std::fs::write(&path, "43\n").unwrap();
        mine.remove(42);
        assert!(path.exists(), "it names somebody else by now");
    }

    #[test]
    fn links_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(dir.path().join("target"), &link).unwrap();
        assert!(PidFile::write(&link, &[1]).is_err());
    }
}
