//! Which scripts may run as root: keepalived's script security (2.2.7, behaviour seen, `script_security` in
//! keepalived.conf(5)).
//!
//! Invariant: whoever could change what a script does must already be root. So the resolved file and every
//! directory above it must belong to root and must not be writable by others; a group may write when it is
//! root's, and a sticky directory such as /tmp does not count, because only owners may replace entries there.
//!
//! Absent on purpose: the texts (one event has several, see the daemons' messages) and the decision what to do
//! about an insecure script, which depends on `enable_script_security`.

use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Where programs named without a slash are looked for when PATH is not set.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const GROUP_WRITES: u32 = 0o020;
const OTHERS_WRITE: u32 = 0o002;
const STICKY: u32 = 0o1000;

/// What is wrong with a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Nothing of that name, or not reachable.
    Missing,
    /// Somebody other than root could change it: this component is owned or writable by others.
    Insecure(PathBuf),
    /// It is a directory.
    Directory(PathBuf),
}

/// The script after links were followed, and what is wrong with it (`None`: nothing).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The file that would run; the name as given when there is none.
    pub program: PathBuf,
    /// What is wrong.
    pub fault: Option<Fault>,
}

/// Finds a program as execvp does: names with a slash as they are, others on PATH.
pub fn find(program: &OsStr) -> Option<PathBuf> {
    let path = Path::new(program);
    if program.as_encoded_bytes().contains(&b'/') {
        return path.exists().then(|| path.to_owned());
    }
    let search = std::env::var_os("PATH").unwrap_or_else(|| DEFAULT_PATH.into());
    std::env::split_paths(&search).map(|dir| dir.join(path)).find(|p| p.is_file())
}

/// Judges a program for running as root.
pub fn inspect(program: &OsStr) -> Verdict {
    let Some(resolved) = find(program).and_then(|p| p.canonicalize().ok()) else {
        return Verdict { program: program.into(), fault: Some(Fault::Missing) };
    };
    let fault = fault_of(&resolved);
    Verdict { program: resolved, fault }
}

fn fault_of(resolved: &Path) -> Option<Fault> {
    for (depth, component) in resolved.ancestors().enumerate() {
        let Ok(meta) = component.symlink_metadata() else { return Some(Fault::Missing) };
        if depth == 0 && meta.is_dir() {
            return Some(Fault::Directory(component.into()));
        }
        if !trusted(meta.uid(), meta.gid(), meta.mode(), meta.is_dir()) {
            return Some(Fault::Insecure(component.into()));
        }
    }
    None
}

fn trusted(uid: u32, gid: u32, mode: u32, directory: bool) -> bool {
    let sticky = directory && mode & STICKY != 0;
    let by_group = mode & GROUP_WRITES != 0 && gid != 0;
    let by_others = mode & OTHERS_WRITE != 0;
    uid == 0 && (sticky || !(by_group || by_others))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each line was seen with keepalived 2.2.7: owner, group, mode, directory?, trusted?
    #[test]
    fn verdicts_are_those_of_keepalived() {
        for (uid, gid, mode, directory, want) in [
            (0, 0, 0o100_755, false, true),
            (0, 0, 0o100_775, false, true),
            (0, 65534, 0o100_775, false, false),
            (0, 0, 0o100_757, false, false),
            (65534, 0, 0o100_755, false, false),
            (0, 0, 0o100_644, false, true),
            (0, 0, 0o040_777, true, false),
            (0, 0, 0o041_777, true, true),
            (65534, 0, 0o041_777, true, false),
        ] {
            assert_eq!(trusted(uid, gid, mode, directory), want, "{uid} {gid} {mode:o}");
        }
    }

    #[test]
    fn missing_directories_and_links() {
        assert_eq!(inspect(OsStr::new("/nonexistent/x")).fault, Some(Fault::Missing));
        assert_eq!(inspect(OsStr::new("no-such-program-anywhere")).fault, Some(Fault::Missing));
        assert!(matches!(inspect(OsStr::new("/usr")).fault, Some(Fault::Directory(_))));
        let sh = inspect(OsStr::new("sh"));
        assert_eq!(sh.fault, None);
        assert!(sh.program.is_absolute() && !sh.program.is_symlink());
    }
}
