//! That each rule of the house can fail: made-up sources that break it are found, and those that keep it are not.

use super::*;

fn source(path: &str, text: &str) -> Vec<Source> {
    vec![Source { path: path.into(), text: text.to_owned() }]
}

fn uses(package: &str, names: &[&str]) -> Uses {
    let names = names.iter().map(|n| match n.strip_suffix('!') {
        Some(theirs) => (theirs.to_owned(), false),
        None => ((*n).to_owned(), true),
    });
    BTreeMap::from([(package.to_owned(), names.collect())])
}

#[test]
fn a_dependency_upwards_sideways_or_of_a_stranger_is_found() {
    assert_eq!(upward(&uses("bus", &["proxyd"])), ["bus depends on proxyd, which is not in a lower layer"]);
    assert_eq!(upward(&uses("bus", &["tls"])), ["bus depends on tls, which is not in a lower layer"]);
    assert_eq!(upward(&uses("bus", &["attic"])), ["bus depends on attic, which is not in a lower layer"]);
    assert_eq!(upward(&uses("attic", &[])), ["attic is in no layer of tidy.rs"]);
    assert!(upward(&uses("bus", &["sansio", "tokio!"])).is_empty());
}

#[test]
fn daemons_that_know_each_other_are_found() {
    assert_eq!(acquainted(&uses("vrrpd", &["checkd"])), ["vrrpd depends on checkd"]);
    assert_eq!(
        acquainted(&uses("keepalived", &["proxyd", "vrrpd"])),
        ["keepalived depends on vrrpd, proxyd"]
    );
    assert!(acquainted(&uses("keepalived", &["vrrpd", "checkd"])).is_empty());
}

#[test]
fn a_library_outside_its_home_is_found() {
    assert_eq!(strayed(&uses("proxyd", &["pest!"])), ["proxyd uses pest, which belongs to conf-parsers"]);
    assert_eq!(strayed(&uses("conf-parsers", &["tokio!"])), ["conf-parsers knows no runtime and no bus"]);
    assert!(strayed(&uses("conf-parsers", &["pest!"])).is_empty());
}

#[test]
fn every_impurity_of_a_core_is_found() {
    for (code, name) in [
        ("let t = Instant::now();", "Instant::now"),
        ("let t = std::time::SystemTime::now();", "SystemTime::now"),
        ("tokio::spawn(f());", "tokio"),
        ("let n = rand::random();", "rand"),
        ("std::fs::read(p);", "std::fs"),
        ("std::process::exit(1);", "std::process"),
        ("std::thread::sleep(d);", "std::thread"),
        ("std::env::var(n);", "std::env"),
        ("let s = UdpSocket::bind(a);", "UdpSocket"),
        ("nix::unistd::getpid();", "nix"),
        ("info!(\"up\");", "info!"),
        ("println!(\"up\");", "println!"),
    ] {
        let text = format!("//! Doc.\nfn f() {{ {code} }}\n");
        let expected = format!("vrrpd/src/core/x.rs:2: a core names {name}");
        assert_eq!(impure(&source("vrrpd/src/core/x.rs", &text)), [expected]);
        for path in ["crates/bus/src/lease.rs", "crates/h1/src/head.rs", "proxyd/src/stick/table.rs"] {
            assert_eq!(impure(&source(path, &text)).len(), 1, "{path} is a core");
        }
        assert!(impure(&source("vrrpd/src/run.rs", &text)).is_empty(), "a shell may");
        let tested = format!("//! Doc.\n#[cfg(test)]\nmod tests {{ fn f() {{ {code} }} }}\n");
        assert!(impure(&source("vrrpd/src/core/x.rs", &tested)).is_empty(), "tests may");
    }
    assert_eq!(impure(&source("vrrpd/src/core/x.rs", "use std::{fs, time::Duration};")).len(), 1);
    let words = "// tokio::spawn\nconst T: &str = \"std::fs::read Instant::now()\";";
    assert!(impure(&source("vrrpd/src/core/x.rs", words)).is_empty(), "comments and texts are no names");
}

#[test]
fn a_long_file_and_a_long_function_are_found() {
    let body = |lines: usize| format!("fn f() {{\n{}}}\n", "    g();\n".repeat(lines));
    assert_eq!(long(&source("x.rs", &body(69))), ["x.rs:1: f() has 71 lines, 70 are allowed"]);
    assert!(long(&source("x.rs", &body(68))).is_empty());
    let method = format!("impl T {{\n{}}}\n", body(69));
    assert_eq!(long(&source("x.rs", &method)), ["x.rs:2: f() has 71 lines, 70 are allowed"]);
    assert_eq!(long(&source("x.rs", &"\n".repeat(801))), ["x.rs: 801 lines, 800 are allowed"]);
    assert!(long(&source("x.rs", &"\n".repeat(800))).is_empty());
    let table = format!("fn f() {{\n    match x {{\n{}    }}\n}}\n", "        1 => 2,\n".repeat(90));
    assert!(long(&source("x.rs", &table)).is_empty(), "a table may be long");
    let work = format!("fn f() {{\n    g();\n    match x {{\n{}    }}\n}}\n", "        1 => 2,\n".repeat(90));
    assert_eq!(long(&source("x.rs", &work)).len(), 1, "a table with work beside it is none");
}

#[test]
fn silence_daring_and_leftovers_are_found() {
    assert_eq!(silent(&source("x.rs", "fn f() {}")), ["x.rs has no module doc (`//! …`)"]);
    assert!(silent(&source("x.rs", "//! Says it.\nfn f() {}")).is_empty());
    let code = "fn f() { unsafe { g() } }";
    assert_eq!(daring(&source("proxyd/src/x.rs", code)), ["proxyd/src/x.rs:1: unsafe"]);
    assert!(daring(&source("crates/sys/src/x.rs", code)).is_empty());
    assert_eq!(undone(&source("x.rs", "fn f() { todo!() }")), ["x.rs:1: todo!"]);
    assert_eq!(undone(&source("x.rs", "fn f() {\n unimplemented!() }")), ["x.rs:2: unimplemented!"]);
    assert_eq!(undone(&source("x.rs", "#[allow(dead_code)]\nfn f() {}")).len(), 1);
    assert_eq!(undone(&source("x.rs", "#![allow(dead_code)]\nfn f() {}")).len(), 1);
    assert!(undone(&source("x.rs", "#[expect(dead_code, reason = \"why\")]\nfn f() {}")).is_empty());
}

#[test]
fn a_dependency_without_a_reason_is_found() {
    let table = |line: &str| format!("[workspace.dependencies]\n{line}\n[other]\nx = 1\n");
    assert_eq!(unreasoned(&table("x = \"1\"")), ["Cargo.toml: no reason: x = \"1\""]);
    assert!(unreasoned(&table("x = \"1\" # for the sake of it")).is_empty());
    assert!(unreasoned(&table("x = { path = \"x\" }")).is_empty());
}

#[test]
fn a_file_that_is_not_formatted_is_found() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("x.rs");
    std::fs::write(&path, "fn f( ){}\n").expect("a file");
    let Some(faults) = unformatted(std::slice::from_ref(&path)) else {
        return skip("tidy", "needs rustfmt (`rustup component add rustfmt`)");
    };
    assert!(faults[0].ends_with("x.rs"), "{faults:?}");
    std::fs::write(&path, "fn f() {}\n").expect("a file");
    assert_eq!(unformatted(&[path]), Some(Vec::new()));
}

#[test]
fn a_module_that_the_code_map_lacks_is_found() {
    let one = source("crates/bus/src/lease.rs", "//! Who probes. More.\n");
    let map = code_map(&one);
    assert_eq!(map, "\n### crates/bus\n\n- `src/lease.rs` Who probes\n");
    assert!(map_faults(&map, &map).is_empty());
    assert_eq!(map_faults("\n### crates/bus\n\n", &map), ["missing: - `src/lease.rs` Who probes"]);
    assert_eq!(map_faults(&map, "\n### crates/bus\n\n"), ["stale: - `src/lease.rs` Who probes"]);
}
