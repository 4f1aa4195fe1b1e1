//! Who the daemon is after it has bound: chroot, group, user, limits.
//!
//! Invariant: the order is chroot, supplementary groups, group, user; any failure leaves the caller to stop, for
//! half dropped rights are worse than none.

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::{Gid, Uid};
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

/// What to become; `None` leaves things as they are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Identity {
    /// User.
    pub uid: Option<u32>,
    /// Group.
    pub gid: Option<u32>,
    /// New root directory.
    pub chroot: Option<PathBuf>,
}

/// The step that failed.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The directory can't become the root.
    #[error("Cannot chroot({0}).")]
    Chroot(String, #[source] io::Error),
    /// The group can't be taken.
    #[error("Cannot set gid {0}.")]
    Gid(u32, #[source] io::Error),
    /// The user can't be taken.
    #[error("Cannot set uid {0}.")]
    Uid(u32, #[source] io::Error),
}

impl Identity {
    /// Becomes it.
    pub fn assume(&self) -> Result<(), IdentityError> {
        if let Some(root) = &self.chroot {
            let failed = |e: nix::Error| IdentityError::Chroot(root.display().to_string(), e.into());
            nix::unistd::chroot(root.as_path()).map_err(failed)?;
            nix::unistd::chdir("/").map_err(failed)?;
        }
        if let Some(gid) = self.gid {
            let failed = |e: nix::Error| IdentityError::Gid(gid, e.into());
            // A user namespace may forbid dropping groups to everybody; then they give no rights in it either.
            if nix::unistd::geteuid().is_root()
                && let Err(error) = nix::unistd::setgroups(&[])
                && error != nix::Error::EPERM
            {
                return Err(failed(error));
            }
            nix::unistd::setgid(Gid::from_raw(gid)).map_err(failed)?;
        }
        if let Some(uid) = self.uid {
            nix::unistd::setuid(Uid::from_raw(uid)).map_err(|e| IdentityError::Uid(uid, e.into()))?;
        }
        Ok(())
    }
}

/// Raises the number of descriptors to at least `wanted`, beyond the hard limit when allowed; gives what is in
/// force afterwards (soft limit). Never lowers it.
pub fn raise_descriptors(wanted: u64) -> io::Result<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft >= wanted {
        return Ok(soft);
    }
    if setrlimit(Resource::RLIMIT_NOFILE, wanted, hard.max(wanted)).is_err() {
        setrlimit(Resource::RLIMIT_NOFILE, wanted.min(hard), hard)?;
    }
    Ok(getrlimit(Resource::RLIMIT_NOFILE)?.0)
}

/// The soft and hard limits of descriptors.
pub fn descriptors() -> io::Result<(u64, u64)> {
    Ok(getrlimit(Resource::RLIMIT_NOFILE)?)
}

/// A bound of what the process may add to its writable memory, in bytes. What it has when the bound comes into force
/// is left out, and so is address space that is only reserved (`RLIMIT_DATA`, not `RLIMIT_AS`): the allocator
/// reserves 128 MiB for each thread that starts later and uses next to nothing of it.
#[derive(Debug)]
pub struct MemoryBound {
    bytes: u64,
    /// Where the kernel tells the present size; open since before a chroot.
    status: File,
}

impl MemoryBound {
    /// Prepares a bound, while `/proc` is there.
    pub fn prepare(bytes: u64) -> io::Result<Self> {
        Ok(Self { bytes, status: File::open("/proc/self/status")? })
    }

    /// Puts it into force.
    pub fn apply(mut self) -> io::Result<()> {
        const KIB: u64 = 1024;
        let mut text = String::new();
        self.status.read_to_string(&mut text)?;
        let size = text.lines().find_map(|l| l.strip_prefix("VmData:"));
        let now = size.and_then(|s| s.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) * KIB;
        let limit = self.bytes.saturating_add(now);
        Ok(setrlimit(Resource::RLIMIT_DATA, limit, limit)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_to_become_is_no_failure() {
        assert!(Identity::default().assume().is_ok());
    }

    #[test]
    fn a_missing_root_is_told() {
        let to = Identity { chroot: Some("/nonexistent/root".into()), ..Identity::default() };
        assert_eq!(to.assume().unwrap_err().to_string(), "Cannot chroot(/nonexistent/root).");
    }

    #[test]
    fn descriptors_are_never_lowered() {
        let (soft, _) = descriptors().unwrap();
        assert_eq!(raise_descriptors(1).unwrap(), soft);
    }
}
