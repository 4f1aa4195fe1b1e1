//! `make install` into an empty directory: all files are there, units name programs that are, and going back
//! leaves nothing.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use holdfast_tests::workspace;

/// Stand-ins for the binaries, so that this test needs no release build.
fn binaries() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    for program in ["proxyd", "vrrpd", "checkd", "keepalived", "holdfast"] {
        let path = dir.path().join(program);
        std::fs::write(&path, "#!/bin/sh\n").expect("a file");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&path, mode).expect("a mode");
    }
    dir
}

fn run(verb: &str, bin: &Path, dest: &Path) {
    let status = Command::new("packaging/install.sh")
        .arg(verb)
        .current_dir(workspace())
        .env("DESTDIR", dest)
        .env("BINDIR", bin)
        .env("PREFIX", "/usr")
        .env("UNITDIR", "/lib/systemd/system")
        .status()
        .expect("install.sh runs");
    assert!(status.success(), "install.sh {verb}: {status}");
}

fn files(dir: &Path, below: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(dir).expect("a directory").flatten() {
        let path = entry.path();
        if path.is_dir() {
            files(&path, below, found);
        } else {
            found.insert(path.strip_prefix(below).expect("below").display().to_string());
        }
    }
}

#[test]
fn what_is_installed_is_complete_and_leaves_nothing_behind() {
    let (bin, dest) = (binaries(), tempfile::tempdir().expect("a directory"));
    run("install", bin.path(), dest.path());
    let mut found = BTreeSet::new();
    files(dest.path(), dest.path(), &mut found);
    for wanted in [
        "usr/sbin/proxyd",
        "usr/sbin/vrrpd",
        "usr/sbin/checkd",
        "usr/bin/holdfast",
        "usr/lib/holdfast/haproxy",
        "usr/lib/holdfast/keepalived",
        "usr/lib/tmpfiles.d/holdfast.conf",
        "usr/lib/sysusers.d/holdfast.conf",
        "usr/lib/ocf/resource.d/holdfast/haproxy",
        "usr/share/holdfast/units/haproxy.service",
        "usr/share/holdfast/units/keepalived.service",
        "usr/share/doc/holdfast/MIGRATE.md",
        "lib/systemd/system/proxyd.service",
        "lib/systemd/system/vrrpd.service",
        "lib/systemd/system/checkd.service",
    ] {
        assert!(found.contains(wanted), "{wanted} is missing; there are {found:#?}");
    }
    // Files of the originals' packages are never written.
    for taken in ["usr/sbin/haproxy", "usr/sbin/keepalived", "lib/systemd/system/haproxy.service"] {
        assert!(!found.contains(taken), "{taken} belongs to a package of the originals");
    }
    units_name_installed_programs(dest.path(), &found);
    run("uninstall", bin.path(), dest.path());
    let mut left = BTreeSet::new();
    files(dest.path(), dest.path(), &mut left);
    assert!(left.is_empty(), "left behind: {left:#?}");
}

fn units_name_installed_programs(dest: &Path, found: &BTreeSet<String>) {
    let mut seen = 0;
    for unit in found.iter().filter(|f| Path::new(f).extension().is_some_and(|e| e == "service")) {
        let text = std::fs::read_to_string(dest.join(unit)).expect("a unit");
        let programs = text.lines().filter(|l| l.starts_with("ExecStart") || l.starts_with("ExecReload"));
        for line in programs {
            let program = line.split(['=', ' ']).nth(1).expect("a program");
            let ours = found.contains(program.trim_start_matches('/'));
            assert!(ours || program == "/bin/kill", "{unit}: {program} is not installed");
            seen += 1;
        }
    }
    assert!(seen >= 14, "only {seen} command lines seen");
}
