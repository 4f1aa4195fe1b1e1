//! Network namespaces by name, as `ip netns` makes them.

use nix::sched::{CloneFlags, setns};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// Where `ip netns add NAME` mounts them.
const DIRECTORY: &str = "/run/netns";

fn path(name: &str) -> PathBuf {
    if name.starts_with('/') { PathBuf::from(name) } else { Path::new(DIRECTORY).join(name) }
}

/// Moves the calling thread into the namespace (a name of `ip netns`, or a path). Threads started before stay where
/// they are: call it before any runtime is built. Sockets keep the namespace they were made in.
pub fn enter(name: &str) -> io::Result<()> {
    Ok(setns(File::open(path(name))?, CloneFlags::CLONE_NEWNET)?)
}

/// Runs `work` on a thread of its own inside the namespace and returns its result; the caller stays outside.
/// Fails when the namespace is missing, rights are, or `work` panicked.
pub fn run_in<T: Send + 'static>(name: &str, work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    let file = File::open(path(name))?;
    let thread = std::thread::Builder::new().name("netns".into()).spawn(move || {
        setns(file, CloneFlags::CLONE_NEWNET)?;
        Ok(work())
    })?;
    thread.join().unwrap_or_else(|_| Err(io::Error::other("the work panicked")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_namespace_is_an_error() {
        assert_eq!(enter("no-such-namespace").unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(run_in("/nowhere/ns", || ()).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn work_runs_inside_and_the_caller_stays() {
        // Our own namespace by path: permitted to root only.
        if !nix::unistd::geteuid().is_root() {
            return;
        }
        let here = std::fs::read_link("/proc/thread-self/ns/net").unwrap();
        let there = std::thread::spawn(|| {
            nix::sched::unshare(CloneFlags::CLONE_NEWNET).unwrap();
            let tid = nix::unistd::gettid();
            run_in(&format!("/proc/self/task/{tid}/ns/net"), || {
                std::fs::read_link("/proc/thread-self/ns/net").unwrap()
            })
            .unwrap()
        })
        .join()
        .unwrap();
        assert_ne!(here, there);
        assert_eq!(here, std::fs::read_link("/proc/thread-self/ns/net").unwrap());
    }
}
