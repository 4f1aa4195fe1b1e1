//! The `keepalived` entry as its surroundings see it: what a service manager hears, signals and their files, numbers of
//! signals, exit codes, and parts that die. Beside Debian's keepalived where it is installed.

use holdfast_tests::netns::{Host, Net, wait_for};
use holdfast_tests::node::{Node, Program};
use nix::sys::signal::Signal;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;

/// Far more than anything here takes; the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(30);
const VIP: &str = "10.9.0.100";

const VRRP: &str = "vrrp_instance VI_1 {\n state MASTER\n interface eth0\n virtual_router_id 51\n priority 150\n \
                    advert_int 1\n virtual_ipaddress {\n  10.9.0.100\n }\n}\n";
const CHECKER: &str = "virtual_server 10.9.0.200 80 {\n delay_loop 1\n protocol TCP\n real_server 127.0.0.1 1 {\n  \
                       TCP_CHECK {\n   connect_timeout 1\n  }\n }\n}\n";

/// One host with one cable.
struct Scene {
    _net: Net,
    host: Host,
}

impl Scene {
    fn new(name: &str) -> Option<Self> {
        let net = Net::new(name)?;
        let host = net.host("a");
        let bridge = net.bridge("lan");
        net.plug(&host, "eth0", &bridge, &["10.9.0.1/24"]);
        Some(Self { _net: net, host })
    }

    fn configuration(&self, text: &str) -> String {
        self.host.file("k.conf", text).to_string_lossy().into_owned()
    }

    fn wait_holds(&self, wanted: bool, node: &Node) {
        let held = wait_for(PATIENCE, || (self.host.holds(VIP) == wanted).then_some(()));
        assert!(held.is_some(), "{VIP} {wanted}\n{}", node.output());
    }
}

fn ours() -> Program {
    Program::ours("keepalived", "keepalived")
}

/// Pids of the children of a process.
fn children(pid: u32) -> Vec<u32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().filter_map(|w| w.parse().ok()).collect()
}

fn signal(pid: u32, number: i32) {
    let done = Command::new("kill").arg(format!("-{number}")).arg(pid.to_string()).status();
    assert!(done.is_ok_and(|s| s.success()), "kill -{number} {pid}");
}

/// What a service manager hears from the start over a reload to the end: the words that it acts on.
fn heard(name: &str) -> Option<Vec<String>> {
    let scene = Scene::new(name)?;
    let path = scene.host.dir().join("notify");
    let socket = UnixDatagram::bind(&path).expect("a socket");
    socket.set_read_timeout(Some(PATIENCE)).expect("set");
    let mut out = Vec::new();
    // Up to the word that ends a step; a manager acts on these three.
    let mut until = |last: &str| {
        let mut buffer = [0; 4096];
        while out.last().map(String::as_str) != Some(last) {
            let n = socket.recv(&mut buffer).unwrap_or_else(|e| panic!("{name}: {last}: {e}; {out:?}"));
            let text = String::from_utf8_lossy(&buffer[..n]).into_owned();
            let acted = |l: &&str| ["READY=", "RELOADING=", "STOPPING="].iter().any(|w| l.starts_with(w));
            out.extend(text.lines().filter(acted).map(str::to_owned));
        }
    };
    let file = scene.configuration(VRRP);
    let binary = scene.host.install(&ours().path, "keepalived").to_string_lossy().into_owned();
    let variable = format!("NOTIFY_SOCKET={}", path.display());
    let env = Program { path: PathBuf::from("/usr/bin/env"), name: "env".into() };
    let mut node = Node::start(&scene.host, &env, &[&variable, &binary, "-n", "-l", "-P", "-f", &file]);
    until("READY=1");
    scene.wait_holds(true, &node);
    assert!(node.signal(Signal::SIGHUP));
    until("RELOADING=1");
    until("READY=1");
    assert!(node.signal(Signal::SIGTERM));
    until("STOPPING=1");
    let status = node.wait(PATIENCE).expect("it ends");
    out.push(format!("exit {:?}", status.code()));
    Some(out)
}

#[test]
fn a_service_manager_hears_ready_reloading_and_stopping() {
    let name = "sd_notify";
    let Some(words) = heard(name) else { return };
    // The original talks to nobody but the first process of the host, so it can't be asked here.
    assert_eq!(words, ["READY=1", "RELOADING=1", "READY=1", "STOPPING=1", "exit Some(0)"]);
}

fn asked(program: &Program, words: &[&str]) -> Output {
    Command::new(&program.path).args(words).output().expect("it starts")
}

#[test]
fn numbers_of_signals_and_exit_codes_are_the_originals() {
    let cases: [&[&str]; 10] = [
        &["--signum=STOP"],
        &["--signum=RELOAD"],
        &["--signum=DATA"],
        &["--signum=STATS"],
        &["--signum=STATS_CLEAR"],
        &["--signum", "JSON"],
        &["--signum=TDATA"],
        &["--signum=nothing"],
        &["--no-such-option"],
        &["-n", "-l", "-f", "/nowhere/k.conf"],
    ];
    let answer = |program: &Program, words: &[&str]| {
        let output = asked(program, words);
        (String::from_utf8_lossy(&output.stdout).into_owned(), output.status.code())
    };
    let ours = ours();
    assert_eq!(answer(&ours, cases[4]), ("63\n".to_owned(), Some(0)));
    assert_eq!(answer(&ours, cases[9]).1, Some(6));
    let version = asked(&ours, &["--version"]);
    assert!(String::from_utf8_lossy(&version.stderr).starts_with("Keepalived v2.2.7 "), "{version:?}");
    let Some(original) = Program::original("signum", "keepalived") else { return };
    for words in cases {
        assert_eq!(answer(&ours, words), answer(&original, words), "{words:?}");
    }
}

/// What a program says about files named in all ways, with `-t` and at a start that finds nothing to read; dates, version
/// and command line left out.
fn judged(program: &Program, place: &std::path::Path) -> Vec<(String, String, Option<i32>)> {
    use std::os::unix::process::CommandExt as _;
    const NAMES: [&str; 13] = [
        "missing",
        "missing/*",
        "missing/below",
        "none*",
        "{none,nil}",
        "{good,none}.conf",
        "{good,bad}.conf",
        "b[a]d.conf",
        "folder",
        "executable",
        "dangling",
        "empty",
        "locked",
    ];
    const INCLUDED: [&str; 9] = [
        "none",
        "none*",
        "none/*",
        "{none,nil}",
        "{good,none}.conf",
        "folder",
        "executable",
        "dangling",
        "locked",
    ];
    // Somebody who may not read everything.
    let nobody = place.join(format!("bin.{}", u8::from(program.path.starts_with("/usr"))));
    std::fs::copy(&program.path, &nobody).expect("copied");
    let mut out = Vec::new();
    let mut ask = |words: &[&str]| {
        let mut command = Command::new(&nobody);
        command.args(words).current_dir(place).gid(65534).uid(65534);
        let output = command.output().expect("it starts");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        let kept = text.lines().map(|l| l.split_once(": ").filter(|_| words[0] == "-nl").map_or(l, |l| l.1));
        let own = ["Command line", "NOTICE", "             "];
        let lines: Vec<&str> = kept
            .filter(|l| !own.iter().any(|o| l.starts_with(o)))
            .map(|l| l.split(" (").next().unwrap_or(l).split(" @").next().unwrap_or(l))
            .collect();
        out.push((words.join(" "), lines.join("\n"), output.status.code()));
    };
    for name in NAMES {
        ask(&["-t", "-f", name]);
        ask(&["-t", "-e", "-f", name]);
        // The others would run.
        if !name.contains("good") && !name.contains("b[") && name != "empty" {
            ask(&["-nl", "-f", name]);
        }
    }
    for name in INCLUDED {
        for word in ["include", "includer", "includem", "includew", "includeb", "includea"] {
            std::fs::write(place.join("k.conf"), format!("{word} {name}\n")).expect("written");
            ask(&["-t", "-f", "k.conf"]);
        }
        for check in ["match", "wildcard_match", "brace_match", "", "-match", "match -match", "+match -match"]
        {
            let text = format!("global_defs {{\n include_check {check}\n}}\ninclude {name}\n");
            std::fs::write(place.join("k.conf"), text).expect("written");
            ask(&["-t", "-f", "k.conf"]);
        }
    }
    out
}

#[test]
fn names_of_files_are_judged_as_the_original_does() {
    use std::os::unix::fs::PermissionsExt as _;
    if !nix::unistd::geteuid().is_root() {
        return holdfast_tests::skip("names of files", "needs root to become somebody else");
    }
    let place = tempfile::tempdir().expect("directory");
    let place = place.path();
    let mode = |name: &str, mode: u32| {
        let path = place.join(name);
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("set");
    };
    mode("", 0o755);
    for (name, text) in
        [("good.conf", ""), ("bad.conf", "nonsense\n"), ("executable", ""), ("empty", ""), ("locked", "")]
    {
        std::fs::write(place.join(name), text).expect("written");
    }
    mode("executable", 0o755);
    mode("locked", 0);
    std::fs::create_dir(place.join("folder")).expect("made");
    std::os::unix::fs::symlink("gone", place.join("dangling")).expect("made");
    let ours = judged(&ours(), place);
    let of = |words: &str| {
        let found = ours.iter().find(|(w, ..)| w == words).expect("asked");
        (found.1.as_str(), found.2)
    };
    assert_eq!(of("-t -f missing"), ("Config files missing 'missing'.", Some(0)));
    assert_eq!(of("-t -f locked"), ("Unable to read configuration file locked", Some(4)));
    let (text, code) = of("-nl -f missing");
    assert!(text.contains("\nConfig files missing 'missing'.\nStopped Keepalived v2.2.7"), "{text}");
    assert_eq!(code, Some(6));
    let Some(original) = Program::original("names of files", "keepalived") else { return };
    for (ours, theirs) in ours.iter().zip(judged(&original, place)) {
        assert_eq!(*ours, theirs);
    }
}

#[test]
fn every_part_answers_its_signals() {
    let Some(scene) = Scene::new("signals of the entry") else { return };
    let file = scene.configuration(&format!("{VRRP}{CHECKER}"));
    let node = Node::start(&scene.host, &ours(), &["-n", "-l", "-f", &file]);
    scene.wait_holds(true, &node);
    assert_eq!(children(node.pid()).len(), 2, "{}", node.output());
    let comm = |pid: u32| std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    assert!(children(node.pid()).into_iter().chain([node.pid()]).all(|p| comm(p) == "keepalived\n"));
    let read = |name: &str| {
        let text = scene.host.try_sh(&format!("cat /tmp/{name}")).stdout;
        String::from_utf8_lossy(&text).into_owned()
    };
    let wait = |name: &str, part: &str| {
        let there = wait_for(PATIENCE, || read(name).contains(part).then_some(()));
        assert!(there.is_some(), "{name} without {part}: {}\n{}", read(name), node.output());
    };
    signal(node.pid(), 10);
    wait("keepalived.data", "VRRP Instance = VI_1");
    wait("keepalived_check.data", "VIP = 10.9.0.200");
    wait("keepalived_parent.data", "Router ID = ");
    for part in ["parent", "VRRP", "checker"] {
        node.wait_output(&format!("Printing {part} data for process\\([0-9]+\\) on signal"), PATIENCE);
    }
    signal(node.pid(), 36);
    wait("keepalived.json", "\"VI_1\"");
    signal(node.pid(), 12);
    wait("keepalived.stats", "Became master: 1");
    scene.host.sh("rm /tmp/keepalived.stats");
    // The counters are written down before they go.
    signal(node.pid(), 63);
    wait("keepalived.stats", "Became master: 1");
    scene.host.sh("rm /tmp/keepalived.stats");
    signal(node.pid(), 12);
    wait("keepalived.stats", "Became master: 0");
    let modes = scene.host.sh("stat -c %a /tmp/keepalived*");
    assert!(modes.lines().all(|m| m == "600"), "{modes}");
}

#[test]
fn a_dead_part_is_started_again_or_ends_everything() {
    let Some(scene) = Scene::new("respawn") else { return };
    let file = scene.configuration(VRRP);
    let mut node = Node::start(&scene.host, &ours(), &["-n", "-l", "-P", "-f", &file]);
    scene.wait_holds(true, &node);
    let first = children(node.pid());
    signal(first[0], 9);
    node.wait_output("VRRP child process\\([0-9]+\\) died: Respawning", PATIENCE);
    let again = || children(node.pid()).first().is_some_and(|p| *p != first[0]).then_some(());
    assert!(wait_for(PATIENCE, again).is_some(), "{}", node.output());
    node.wait_output("pid [0-9]+ exited due to signal 9 \\(Killed\\)", PATIENCE);
    node.wait_output("Restart of VRRP process delayed 0 seconds to limit respawn rate", PATIENCE);
    let masters = || (node.output().matches("Entering MASTER STATE").count() == 2).then_some(());
    assert!(wait_for(PATIENCE, masters).is_some(), "{}", node.output());
    scene.wait_holds(true, &node);
    assert!(node.runs());
    // A second start beside it changes nothing.
    let mut second = Node::start(&scene.host, &ours(), &["-n", "-l", "-P", "-f", &file]);
    assert_eq!(second.wait(PATIENCE).and_then(|s| s.code()), Some(0), "{}", second.output());
    assert!(second.output().contains("daemon is already running"), "{}", second.output());
    assert!(node.runs() && scene.host.holds(VIP));
    assert!(node.signal(Signal::SIGTERM));
    assert_eq!(node.wait(PATIENCE).and_then(|s| s.code()), Some(0));
    scene.wait_holds(false, &node);
}

/// With `--dont-respawn`: the exit code, and whether the address was left.
fn not_respawned(name: &str, program: &Program) -> Option<Option<i32>> {
    let scene = Scene::new(name)?;
    let file = scene.configuration(VRRP);
    let mut node = Node::start(&scene.host, program, &["-n", "-l", "-P", "-R", "-f", &file]);
    scene.wait_holds(true, &node);
    let part = children(node.pid());
    signal(part[0], 9);
    let code = node.wait(PATIENCE).and_then(|s| s.code());
    assert!(node.output().contains("Exiting"), "{name}: {}", node.output());
    Some(code)
}

#[test]
fn without_respawn_a_dead_part_is_the_end() {
    let name = "no respawn";
    let Some(code) = not_respawned(name, &ours()) else { return };
    let Some(original) = Program::original(name, "keepalived") else { return };
    assert_eq!(Some(code), not_respawned("no respawn, original", &original));
}
