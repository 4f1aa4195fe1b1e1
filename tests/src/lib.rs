//! What the tests of whole daemons stand on: hosts made of namespaces ([`netns`]), programs that run in them
//! ([`node`]), the originals' output to compare with ([`oracle`]) and captured frames ([`frames`]).
//!
//! Invariant: nothing here outlives the test process. Every host hangs on a pipe of the process that made it;
//! when that pipe closes, for whatever reason, the kernel ends the host with all its programs, interfaces and
//! mounts. There is no name to clean up and so no leftover to reap.
//!
//! Absent on purpose: any way to send traffic outside the namespaces, and any assertion about speed.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

pub mod check_lines;
pub mod cli;
pub mod frames;
pub mod names;
pub mod netns;
pub mod node;
pub mod oracle;
pub mod pair;

/// The top of the source tree.
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// The directory that holds this build's binaries: `target/<profile>` of the running test or tool.
pub fn build_dir() -> PathBuf {
    let exe = std::env::current_exe().unwrap_or_default();
    let dir = exe.parent().unwrap_or(Path::new("."));
    let dir = if dir.ends_with("deps") { dir.parent().unwrap_or(dir) } else { dir };
    dir.to_path_buf()
}

/// Tells that a test cannot run here and why: on standard error and, when `HOLDFAST_SKIPPED` names a file,
/// as a line of it, so that `make test` can close with the list. A runner that must not skip sets
/// `HOLDFAST_NO_SKIP`; then this panics.
///
/// # Panics
/// Where `HOLDFAST_NO_SKIP` is set.
pub fn skip(test: &str, why: &str) {
    let line = format!("skipped: {test}: {why}\n");
    assert!(std::env::var_os("HOLDFAST_NO_SKIP").is_none(), "{line}");
    let _ = std::io::stderr().write_all(line.as_bytes());
    if let Some(path) = std::env::var_os("HOLDFAST_SKIPPED")
        && let Ok(mut file) = OpenOptions::new().append(true).create(true).open(path)
    {
        let _ = file.write_all(line.as_bytes());
    }
}

/// Skips `test` where one of the programs is neither in `PATH` nor where Debian keeps root's.
pub fn lacks(test: &str, programs: &[&str]) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = |program: &str| {
        let sbin = ["/usr/sbin".into(), "/sbin".into()];
        std::env::split_paths(&path).chain(sbin).any(|d: PathBuf| d.join(program).is_file())
    };
    let lacking = programs.iter().find(|p| !found(p));
    if let Some(program) = lacking {
        skip(test, &format!("{program} is not installed"));
    }
    lacking.is_some()
}
