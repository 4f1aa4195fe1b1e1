//! Where pid files go and what syslog calls us: `instance`, `net_namespace` and `use_pid_dir` change both, so that
//! several of us can run on one host.
//!
//! Invariant: what the command line names stays as it is. Absent on purpose: pid files themselves.

use crate::options::Options;
use conf_parsers::keepalived::globals::Globals;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Where pid files are.
const RUN: &str = "/run";
/// Where they are once there may be several of us.
const RUN_DIR: &str = "/run/keepalived";

/// The directory and the name of a pid file.
fn pid_file(name: &str, instance: Option<&str>, namespace: Option<&str>, own_directory: bool) -> PathBuf {
    let several = instance.is_some() || namespace.is_some() || own_directory;
    let mut path = PathBuf::from(if several { RUN_DIR } else { RUN });
    path.extend(namespace);
    path.push(instance.map_or_else(|| format!("{name}.pid"), |i| format!("{name}_{i}.pid")));
    path
}

/// Fills in what the command line leaves open, for us and for the parts.
pub(crate) fn settle(mut options: Options, globals: &Globals) -> Options {
    let namespace = options.namespace.clone().or_else(|| globals.net_namespace.clone());
    let (instance, namespace) = (globals.instance.as_deref(), namespace.as_deref());
    let file = |name| pid_file(name, instance, namespace, globals.use_pid_dir);
    options.pid_file.get_or_insert_with(|| file("keepalived"));
    for (slot, option, name) in [
        (&mut options.vrrp_pid_file, "vrrp_pid", "vrrp"),
        (&mut options.checker_pid_file, "checkers_pid", "checkers"),
    ] {
        let path = slot.get_or_insert_with(|| file(name));
        let mut word = OsString::from(format!("--{option}="));
        word.push(&*path);
        options.words.push(word);
    }
    for name in [namespace, instance].into_iter().flatten() {
        options.ident_suffix.push('_');
        options.ident_suffix.push_str(name);
    }
    options
}

/// Makes the directory of a pid file, where it is one of ours.
pub(crate) fn make_directory(pid_file: &Path) {
    if let Some(directory) = pid_file.parent().filter(|d| d.starts_with(RUN_DIR)) {
        // Writing the file tells what is wrong with its directory.
        let _ = std::fs::create_dir_all(directory);
    }
}

/// Removes the directories that nobody uses any more.
pub(crate) fn remove_directory(pid_file: &Path) {
    for directory in pid_file.ancestors().skip(1).take_while(|d| d.starts_with(RUN_DIR)) {
        if std::fs::remove_dir(directory).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pid_files_are_where_the_original_has_them() {
        for (instance, namespace, own, wanted) in [
            (None, None, false, "/run/vrrp.pid"),
            (None, None, true, "/run/keepalived/vrrp.pid"),
            (Some("abc"), None, false, "/run/keepalived/vrrp_abc.pid"),
            (Some("abc"), None, true, "/run/keepalived/vrrp_abc.pid"),
            (None, Some("ns"), false, "/run/keepalived/ns/vrrp.pid"),
            (Some("abc"), Some("ns"), false, "/run/keepalived/ns/vrrp_abc.pid"),
        ] {
            assert_eq!(pid_file("vrrp", instance, namespace, own), Path::new(wanted));
        }
    }
}
