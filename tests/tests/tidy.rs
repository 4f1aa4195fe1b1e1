//! The rules of the house as tests: who may depend on whom, what cores may not name, how long things may get,
//! that every file says what it is for and stands in the code map, and that all of it is formatted.
//!
//! Invariant: a rule has no list of exceptions here; who needs one changes the rule for everybody.
//!
//! Absent on purpose: taste. What a compiler lint can check is a lint in `Cargo.toml`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use holdfast_tests::{skip, workspace};

#[path = "tidy/proofs.rs"]
mod proofs;
#[path = "tidy/source.rs"]
mod source;

use source::Source;

/// Lines a file may have.
const FILE_LINES_MAX: usize = 800;
/// Lines a function may have, from its name to its closing brace.
const FUNCTION_LINES_MAX: usize = 70;
/// Where the generated code map begins and ends in docs/ARCHITECTURE.md.
const MAP_MARKS: [&str; 2] = ["<!-- code map begins -->", "<!-- code map ends -->"];

/// Layers, lowest first: a crate may use crates of lower layers only (`docs/ARCHITECTURE.md`, dependency
/// direction). A crate that is missing here fails the test.
const LAYERS: [&[&str]; 6] = [
    &["sys", "sansio", "diag"],
    &["h1", "http2", "exec", "netlink", "tls", "logging", "service", "conf-parsers", "bus"],
    &["health"],
    &["vrrpd", "checkd", "proxyd"],
    &["keepalived", "holdfast"],
    &["holdfast-tests"],
];

/// All files that Git knows, by path from the top.
fn tracked() -> Vec<PathBuf> {
    let output = Command::new("git").args(["ls-files", "-z"]).current_dir(workspace()).output();
    let names = match output {
        Ok(o) if o.status.success() => String::from_utf8_lossy(&o.stdout).into_owned(),
        // An unpacked archive: take what lies there.
        _ => walk(workspace()).join("\0"),
    };
    let exists = |p: &PathBuf| workspace().join(p).is_file();
    names.split('\0').filter(|n| !n.is_empty()).map(PathBuf::from).filter(exists).collect()
}

fn walk(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = entry.file_name();
        if path.is_dir() && name != "target" && name != ".git" {
            found.extend(walk(&path));
        } else if let Ok(relative) = path.strip_prefix(workspace()) {
            found.push(relative.display().to_string());
        }
    }
    found
}

fn sources() -> Vec<Source> {
    let rust = tracked().into_iter().filter(|p| p.extension().is_some_and(|e| e == "rs"));
    rust.map(|p| Source::read(&p)).collect()
}

fn judge(faults: Vec<String>) {
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

/// What each package uses: `(dependency, is it ours)`.
type Uses = BTreeMap<String, BTreeSet<(String, bool)>>;

/// The dependencies of all members of one kind; `None` are the normal ones.
fn dependencies(of_kind: Option<&str>) -> Uses {
    let output = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(workspace())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON");
    let mut found = BTreeMap::new();
    for package in metadata["packages"].as_array().expect("packages") {
        let list = package["dependencies"].as_array().expect("dependencies");
        let names = list
            .iter()
            .filter(|d| d["kind"].as_str() == of_kind)
            .map(|d| (d["name"].as_str().expect("a name").to_owned(), d["path"].is_string()));
        found.insert(package["name"].as_str().expect("a name").to_owned(), names.collect());
    }
    found
}

#[test]
fn crates_depend_on_lower_layers_only() {
    judge(upward(&dependencies(None)));
}

fn upward(all: &Uses) -> Vec<String> {
    let layer = |name: &str| LAYERS.iter().position(|l| l.contains(&name));
    let mut faults = Vec::new();
    for (package, uses) in all {
        let Some(own) = layer(package) else {
            faults.push(format!("{package} is in no layer of tidy.rs"));
            continue;
        };
        for (used, _) in uses.iter().filter(|(_, ours)| *ours) {
            if layer(used).is_none_or(|l| l >= own) {
                faults.push(format!("{package} depends on {used}, which is not in a lower layer"));
            }
        }
    }
    faults
}

#[test]
fn daemons_do_not_know_each_other() {
    judge([None, Some("dev")].into_iter().flat_map(|kind| acquainted(&dependencies(kind))).collect());
}

fn acquainted(all: &Uses) -> Vec<String> {
    let daemons = ["vrrpd", "checkd", "proxyd"];
    let mut faults = Vec::new();
    for (package, uses) in all {
        let known: Vec<&str> =
            daemons.into_iter().filter(|d| uses.contains(&((*d).to_owned(), true))).collect();
        let allowed = match package.as_str() {
            "keepalived" => known.iter().all(|d| *d != "proxyd"),
            "holdfast-tests" => true,
            _ => known.is_empty(),
        };
        if !allowed {
            faults.push(format!("{package} depends on {}", known.join(", ")));
        }
    }
    faults
}

#[test]
fn some_libraries_stay_in_one_crate() {
    judge(strayed(&dependencies(None)));
}

fn strayed(all: &Uses) -> Vec<String> {
    // library, crates that may use it
    let confined: [(&str, &[&str]); 5] = [
        ("pest", &["conf-parsers"]),
        ("pest_derive", &["conf-parsers"]),
        ("netlink-packet-generic", &["checkd", "netlink", "vrrpd"]),
        ("pcre2", &["proxyd", "checkd", "health"]),
        ("rustls", &["tls", "proxyd", "health", "checkd"]),
    ];
    let mut faults = Vec::new();
    for (package, uses) in all {
        for (library, homes) in confined {
            if uses.iter().any(|(u, _)| u == library) && !homes.contains(&package.as_str()) {
                faults.push(format!("{package} uses {library}, which belongs to {}", homes.join(", ")));
            }
        }
        let forbidden = ["tokio", "bus"];
        if package == "conf-parsers" && uses.iter().any(|(u, _)| forbidden.contains(&u.as_str())) {
            faults.push("conf-parsers knows no runtime and no bus".to_owned());
        }
    }
    faults
}

/// Whether a file is a core: it decides and does nothing.
fn is_core(path: &Path) -> bool {
    const FILES: [&str; 8] = [
        "crates/health/src/judge.rs",
        "crates/health/src/schedule.rs",
        "crates/health/src/outcome.rs",
        "crates/bus/src/lease.rs",
        "crates/bus/src/session.rs",
        "proxyd/src/stick/table.rs",
        "proxyd/src/log/format.rs",
        "proxyd/src/stream/ending.rs",
    ];
    let in_core_folder = path.components().any(|c| c.as_os_str() == "core");
    in_core_folder
        || ["crates/h1/src", "crates/http2/src"].iter().any(|d| path.starts_with(d))
        || FILES.iter().any(|f| path == Path::new(f))
}

#[test]
fn cores_name_no_clock_socket_file_or_task() {
    judge(impure(&sources()));
}

fn impure(sources: &[Source]) -> Vec<String> {
    let mut faults = Vec::new();
    for source in sources.iter().filter(|s| is_core(&s.path) && !s.is_test()) {
        for (name, line) in source.impurities() {
            faults.push(format!("{}:{line}: a core names {name}", source.path.display()));
        }
    }
    faults
}

#[test]
fn files_and_functions_are_short() {
    judge(long(&sources()));
}

fn long(sources: &[Source]) -> Vec<String> {
    let mut faults = Vec::new();
    for source in sources {
        let lines = source.text.lines().count();
        if lines > FILE_LINES_MAX {
            faults.push(format!("{}: {lines} lines, {FILE_LINES_MAX} are allowed", source.path.display()));
        }
        for (name, line, lines) in source.functions() {
            if lines > FUNCTION_LINES_MAX {
                let path = source.path.display();
                faults.push(format!(
                    "{path}:{line}: {name}() has {lines} lines, {FUNCTION_LINES_MAX} are allowed"
                ));
            }
        }
    }
    faults
}

#[test]
fn every_file_says_what_it_is_for() {
    judge(silent(&sources()));
}

fn silent(sources: &[Source]) -> Vec<String> {
    let silent = sources.iter().filter(|s| !s.is_test_module() && s.purpose().is_none());
    silent.map(|s| format!("{} has no module doc (`//! …`)", s.path.display())).collect()
}

#[test]
fn unsafe_is_said_in_sys_only() {
    let mut faults = daring(&sources());
    for path in tracked().iter().filter(|p| p.ends_with("Cargo.toml")) {
        let text = std::fs::read_to_string(workspace().join(path)).expect("a manifest can be read");
        let member = !text.contains("[workspace]");
        if member && !path.starts_with("crates/sys") && !text.contains("[lints]\nworkspace = true") {
            faults.push(format!("{} does not take the workspace's lints", path.display()));
        }
    }
    judge(faults);
}

fn daring(sources: &[Source]) -> Vec<String> {
    let others = sources.iter().filter(|s| !s.path.starts_with("crates/sys"));
    let lines = |s: &Source| {
        s.lines_naming("unsafe").map(|l| format!("{}:{l}: unsafe", s.path.display())).collect::<Vec<_>>()
    };
    others.flat_map(lines).collect()
}

#[test]
fn nothing_is_left_undone_or_silenced() {
    judge(undone(&sources()));
}

fn undone(sources: &[Source]) -> Vec<String> {
    let lines = |s: &Source| {
        let found = s.leftovers().into_iter();
        found.map(|(name, line)| format!("{}:{line}: {name}", s.path.display())).collect::<Vec<_>>()
    };
    sources.iter().flat_map(lines).collect()
}

#[test]
fn text_speaks_of_the_software_alone() {
    // Written so that this file does not contain them.
    let words = [["/wo", "rk/"], ["/root", "/."], ["/home", "/us"], ["/tmp/ba", "sh_"]].map(|w| w.concat());
    let mut faults = Vec::new();
    for path in tracked() {
        let Ok(text) = std::fs::read_to_string(workspace().join(&path)) else { continue };
        for (number, line) in text.lines().enumerate() {
            for word in words.iter().filter(|w| line.contains(w.as_str())) {
                faults.push(format!("{}:{}: names {word}", path.display(), number + 1));
            }
        }
    }
    judge(faults);
}

#[test]
fn every_dependency_has_its_reason() {
    let text = std::fs::read_to_string(workspace().join("Cargo.toml")).expect("Cargo.toml can be read");
    judge(unreasoned(&text));
}

fn unreasoned(manifest: &str) -> Vec<String> {
    let table = manifest.split("[workspace.dependencies]").nth(1).expect("a dependency table");
    let table = table.split("\n[").next().unwrap_or(table);
    let entry = |l: &&str| l.contains('=') && !l.starts_with('#') && !l.contains("path = ");
    let bare = table.lines().filter(entry).filter(|l| l.rsplit_once("# ").is_none_or(|(_, r)| r.len() < 6));
    bare.map(|l| format!("Cargo.toml: no reason: {l}")).collect()
}

#[test]
fn all_files_are_formatted() {
    let files: Vec<PathBuf> = sources().into_iter().map(|s| s.path).collect();
    match unformatted(&files) {
        Some(faults) => judge(faults),
        None => skip("tidy", "needs rustfmt (`rustup component add rustfmt`)"),
    }
}

/// The files that rustfmt would write otherwise, and what it complains of; `None` where there is no rustfmt.
fn unformatted(files: &[PathBuf]) -> Option<Vec<String>> {
    let output = Command::new("rustfmt")
        .args(["--edition", "2024", "--check", "-l"])
        .args(files)
        .current_dir(workspace())
        .output()
        .ok()?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() {
        return Some(Vec::new());
    }
    if output.stdout.is_empty() && said.contains("not installed") {
        return None;
    }
    let listed: BTreeSet<_> = String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect();
    Some(listed.into_iter().chain([said.into_owned()]).collect())
}

/// The code map as the sources' own first sentences make it.
fn code_map(sources: &[Source]) -> String {
    let mut by_crate: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for source in sources.iter().filter(|s| !s.is_test_module()) {
        let path = source.path.display().to_string();
        let folder = path.split_once("/src/").or_else(|| path.split_once("/benches/"));
        let folder =
            folder.map_or_else(|| path.split('/').next().unwrap_or("").to_owned(), |(c, _)| c.to_owned());
        let rest = path.strip_prefix(&format!("{folder}/")).unwrap_or(&path);
        let purpose = source.purpose().unwrap_or_default();
        by_crate.entry(folder).or_default().push(format!("- `{rest}` {purpose}"));
    }
    let mut out = String::new();
    for (folder, mut lines) in by_crate {
        lines.sort();
        out.push_str(&format!("\n### {folder}\n\n{}\n", lines.join("\n")));
    }
    out
}

#[test]
fn the_code_map_is_complete() {
    let path = workspace().join("docs/ARCHITECTURE.md");
    let text = std::fs::read_to_string(&path).expect("docs/ARCHITECTURE.md can be read");
    let [begin, end] = MAP_MARKS;
    let (before, rest) = text.split_once(begin).expect("docs/ARCHITECTURE.md marks the code map's begin");
    let (map, after) = rest.split_once(end).expect("docs/ARCHITECTURE.md marks the code map's end");
    let wanted = format!("\n{}\n", code_map(&sources()));
    if map == wanted {
        return;
    }
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, format!("{before}{begin}{wanted}{end}{after}"))
            .expect("the code map is written");
        return;
    }
    let faults = map_faults(map, &wanted);
    panic!("the code map is not what the sources say; UPDATE=1 writes it anew:\n{}", faults.join("\n"));
}

fn map_faults(map: &str, wanted: &str) -> Vec<String> {
    let (have, want): (BTreeSet<_>, BTreeSet<_>) = (map.lines().collect(), wanted.lines().collect());
    let faults = want.difference(&have).map(|l| format!("missing: {l}"));
    faults.chain(have.difference(&want).map(|l| format!("stale: {l}"))).collect()
}
