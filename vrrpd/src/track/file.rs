//! `track_file`: the number in a file, by inotify on its directory.
//!
//! Invariant: a file that is missing or holds no number counts as 0. Absent on purpose: what the number does (core/).

use super::Report;
use crate::config::model::TrackFile;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc::Sender;

/// A number has fewer octets than this.
const NUMBER_MAX: u64 = 128;
/// How often a file is looked at where its directory cannot be watched.
const POLL: Duration = Duration::from_secs(1);

/// The value of a file's contents.
pub fn value(text: &str) -> i64 {
    let text = text.trim_start();
    let end = text.char_indices().find(|(i, c)| !(c.is_ascii_digit() || (*i == 0 && matches!(c, '-' | '+'))));
    text[..end.map_or(text.len(), |(i, _)| i)].parse().unwrap_or(0)
}

/// The value of a file.
pub fn read(path: &Path) -> i64 {
    let mut text = Vec::new();
    let opened = OpenOptions::new().read(true).custom_flags(nix::libc::O_NONBLOCK).open(path);
    match opened.map(|file| file.take(NUMBER_MAX).read_to_end(&mut text)) {
        Ok(Ok(_)) => value(&String::from_utf8_lossy(&text)),
        _ => 0,
    }
}

/// Writes the initial value that `init_file` asks for.
pub fn initialise(file: &TrackFile) -> std::io::Result<()> {
    let Some(init) = file.init else { return Ok(()) };
    if !init.overwrite && file.path.exists() {
        return Ok(());
    }
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600).custom_flags(nix::libc::O_NOFOLLOW);
    writeln!(options.open(&file.path)?, "{}", init.value)
}

/// Watches the file for ever.
pub async fn run(file: TrackFile, out: Sender<Report>) {
    let mut last = None;
    let watch = watch(&file.path);
    loop {
        let now = read(&file.path);
        if last != Some(now) {
            last = Some(now);
            if out.send(Report::File(file.name.clone(), now)).await.is_err() {
                return;
            }
        }
        match &watch {
            Some((inotify, fd)) => {
                if wait(inotify, fd, file.path.file_name()).await.is_err() {
                    return;
                }
            }
            None => tokio::time::sleep(POLL).await,
        }
    }
}

/// Waits until something happened to the file of this name in the watched directory.
async fn wait(inotify: &Inotify, fd: &AsyncFd<OwnedFd>, name: Option<&OsStr>) -> std::io::Result<()> {
    loop {
        let mut guard = fd.readable().await?;
        let events = inotify.read_events();
        guard.clear_ready();
        // An event without a name: the queue overflowed or the directory itself changed.
        if events.is_ok_and(|list| list.iter().any(|e| e.name.is_none() || e.name.as_deref() == name)) {
            return Ok(());
        }
    }
}

fn watch(path: &Path) -> Option<(Inotify, AsyncFd<OwnedFd>)> {
    let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC).ok()?;
    // Not while it is being written: an emptied file is on its way to its new value.
    let flags = AddWatchFlags::IN_CLOSE_WRITE | AddWatchFlags::IN_DELETE | AddWatchFlags::IN_MOVE;
    inotify.add_watch(path.parent()?, flags).ok()?;
    let copy = std::os::fd::AsFd::as_fd(&inotify).try_clone_to_owned().ok()?;
    #[expect(deprecated, reason = "its successor is unsafe; an OwnedFd owns its descriptor")]
    let fd = AsyncFd::with_interest(copy, Interest::READABLE).ok()?;
    Some((inotify, fd))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_leniently() {
        for (text, want) in
            [("5\n", 5), (" -60 x", -60), ("+7", 7), ("", 0), ("abc", 0), ("--5", 0), ("3-4", 3)]
        {
            assert_eq!(value(text), want, "{text:?}");
        }
    }
}
