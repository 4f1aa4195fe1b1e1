//! checkd and Debian's keepalived with the same configurations on a kernel that has IPVS: the same tables, while
//! some real servers are dead, and nothing left behind. The same for real people's files, where the corpus of them
//! lies beside the repository, with our `keepalived`.
//!
//! The kernel runs in a small virtual machine without network (`tests/vm/ipvs-vm.sh`), because hosts and containers
//! mostly have no ip_vs. Where a program for it is missing, the test says so and passes.

use std::path::{Path, PathBuf};
use std::process::Command;

use holdfast_tests::{build_dir, lacks, skip, workspace};

const NAME: &str = "tables_are_keepaliveds";

/// What the machine runs for each configuration: both programs at once, each in a network namespace with servers of
/// its own; their tables once the first checks are through, and after they ended.
const SCRIPT: &str = r#"
cat >/tmp/servers.py <<'P'
import socket, threading, time
def serve(family, port, status):
    s = socket.socket(family); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6: s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    s.bind(('::' if family == socket.AF_INET6 else '0.0.0.0', port)); s.listen(50)
    while 1:
        c, _ = s.accept()
        try:
            c.settimeout(2); c.recv(4096)
            c.sendall(b'HTTP/1.0 %d X\r\n\r\nhello\n' % status)
        except OSError: pass
        c.close()
for family in (socket.AF_INET, socket.AF_INET6):
    for port, status in ((8001, 200), (8002, 500)):
        threading.Thread(target=serve, args=(family, port, status), daemon=True).start()
time.sleep(100000)
P
echo 'exit 7' >/tmp/seven; echo 'exit 1' >/tmp/one; echo 5 >/tmp/load
for n in k c; do
  ip netns add $n; ip -n $n link set lo up
  for i in 1 2 3 4 9; do ip -n $n addr add 10.1.0.$i/32 dev lo; ip -n $n addr add fd00:1::$i/128 dev lo nodad; done
  ip netns exec $n python3 /tmp/servers.py &
done
for n in k c; do
  for t in 1 2 3 4 5 6 7 8 9 10; do
    ip netns exec $n python3 -c 'import socket; socket.create_connection(("10.1.0.1", 8002), 1)' 2>/dev/null && break
    sleep 1
  done
done
for b in $NAMES; do
  f=$CONFIGS/$b.conf
  cp $f /tmp/$b.conf
  ip netns exec k keepalived -C -n -l -f /tmp/$b.conf -p /tmp/k.pid -c /tmp/kc.pid >/out/$b.keepalived.log 2>&1 & K=$!
  ip netns exec c $CHECKD -n -l -f /tmp/$b.conf >/out/$b.checkd.log 2>&1 & C=$!
  sleep 4
  # A busy machine makes either late, never different.
  for t in 1 2 3 4 5 6 7 8 9 10 11 12; do
    ip netns exec k ipvsadm -Sn | sort >/out/$b.keepalived; ip netns exec c ipvsadm -Sn | sort >/out/$b.checkd
    [ -s /out/$b.keepalived ] && [ $t -gt 2 ] && cmp -s /out/$b.keepalived /out/$b.checkd && break
    sleep 1
  done
  kill $K $C; wait $K; wait $C
  ip netns exec c ipvsadm -Sn >/out/$b.left
  ip netns exec k ipvsadm -C
done
"#;

/// What the machine runs for files of the corpus: all at once, each program and file in a network of its own where
/// every address is the host's, port 80 answers and others refuse; the tables are compared when they have come to
/// rest, and again after the end.
const CORPUS_SCRIPT: &str = r"
cat >/tmp/server.py <<'P'
import socket, threading
def serve(family, any):
    s = socket.socket(family); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6: s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    s.bind((any, 80)); s.listen(50)
    while 1:
        c, _ = s.accept()
        try:
            c.settimeout(2); c.recv(4096); c.sendall(b'HTTP/1.0 200 OK\r\n\r\nhello\n')
        except OSError: pass
        c.close()
threading.Thread(target=serve, args=(socket.AF_INET6, '::'), daemon=True).start()
serve(socket.AF_INET, '0.0.0.0')
P
for b in $NAMES; do
  cp $CONFIGS/$b.conf /tmp/$b.conf
  for n in k c; do
    ip netns add $n$b; ip -n $n$b link set lo up
    ip -n $n$b route add local 0.0.0.0/0 dev lo; ip -n $n$b -6 route add local ::/0 dev lo
    ip netns exec $n$b python3 /tmp/server.py &
  done
done
sleep 3
for b in $NAMES; do
  ip netns exec k$b keepalived -C -n -l -G -f /tmp/$b.conf -p /tmp/k$b.pid -c /tmp/kc$b.pid >/out/$b.keepalived.log 2>&1 &
  ip netns exec c$b $OURS -C -n -l -G -f /tmp/$b.conf -p /tmp/c$b.pid -c /tmp/cc$b.pid >/out/$b.checkd.log 2>&1 &
done
for t in 1 2 3 4 5 6 7 8 9 10; do
  sleep 6; n=0
  for b in $NAMES; do
    ip netns exec k$b ipvsadm -Sn | sort >/out/$b.keepalived; ip netns exec c$b ipvsadm -Sn | sort >/out/$b.checkd
    [ -s /out/$b.keepalived ] && cmp -s /out/$b.keepalived /out/$b.checkd || n=1
  done
  [ $n = 0 ] && [ $t -gt 3 ] && break
done
for b in $NAMES; do kill $(cat /tmp/c$b.pid); done
sleep 3
for b in $NAMES; do ip netns exec c$b ipvsadm -Sn >/out/$b.left; done
";

/// Files of the corpus with virtual servers of many kinds; the rest of it has thousands of services or none that a
/// kernel takes.
const CORPUS_FILES: [&str; 12] =
    ["005", "025", "026", "031", "041", "050", "063", "073", "075", "091", "172", "180"];

/// What the emulated machine is made of.
const PROGRAMS: [&str; 7] =
    ["qemu-system-x86_64", "busybox", "cpio", "depmod", "keepalived", "ipvsadm", "python3"];

fn sorted(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

/// The lines about services and real servers that both print, without the first words of a log line.
fn events(path: &Path) -> Vec<String> {
    let wanted = [
        "Adding ",
        "Removing ",
        "Gained quorum",
        "Lost quorum",
        "Disabling ",
        "Enabling ",
        "Changing weight",
    ];
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let mut lines: Vec<String> = text
        .lines()
        .filter_map(|l| wanted.iter().filter_map(|w| l.find(w)).min().map(|at| l[at..].to_owned()))
        .collect();
    lines.sort();
    // How often something flapped on a busy machine is nobody's promise.
    lines.dedup();
    lines
}

/// What a machine does with which files.
struct Job<'a> {
    test: &'a str,
    script: &'a str,
    configs: &'a Path,
    /// Whether what both say has to be the same, too.
    with_log: bool,
}

/// Runs these configurations; gives what differs, by name. `None`: there is no machine here.
fn differences(job: &Job<'_>, names: &[String]) -> Option<Vec<(String, String)>> {
    let [checkd, ours] = ["checkd", "keepalived"].map(|b| build_dir().join(b));
    assert!(checkd.exists(), "{} is missing: `cargo build --workspace` makes it", checkd.display());
    let out = tempfile::tempdir().expect("a directory");
    let head = format!(
        "CONFIGS={} CHECKD={} OURS={} NAMES='{}'",
        job.configs.display(),
        checkd.display(),
        ours.display(),
        names.join(" ")
    );
    let script = job.script;
    let run = Command::new(workspace().join("tests/vm/ipvs-vm.sh"))
        .args(["-r", "-M", "1024", "-t", "500", "-o"])
        .arg(out.path())
        .args(["--", &format!("{head}\n{script}")])
        .output()
        .expect("the machine's script starts");
    // 125: it could not be set up, for want of a kernel package or a program.
    if run.status.code() == Some(125) {
        skip(job.test, String::from_utf8_lossy(&run.stderr).trim());
        return None;
    }
    // 124: an emulated machine on a host without time to give; nothing has been compared.
    if run.status.code() == Some(124) {
        skip(job.test, "the machine did not come to its end in time");
        return None;
    }
    let text = format!("{}{}", String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success(), "the machine failed: {text}");
    let mut faults = Vec::new();
    for name in names {
        let file = |what: &str| out.path().join(format!("{name}.{what}"));
        let mut fault = |what: &str, theirs: &[String], ours: &[String]| {
            let text = format!("{name}: keepalived {what}\n{}\nwe\n{}", theirs.join("\n"), ours.join("\n"));
            faults.push((name.clone(), text));
        };
        let (theirs, ours) = (sorted(&file("keepalived")), sorted(&file("checkd")));
        if theirs != ours || theirs.is_empty() {
            fault("has", &theirs, &ours);
        }
        let (theirs, ours) = (events(&file("keepalived.log")), events(&file("checkd.log")));
        if job.with_log && theirs != ours {
            fault("says", &theirs, &ours);
        }
        let left = sorted(&file("left"));
        if !left.is_empty() {
            fault("leaves nothing", &[], &left);
        }
    }
    Some(faults)
}

/// Runs a job, and what differs once more: on a machine without time either program may see a check time out; a
/// real difference comes twice.
fn judge(job: &Job<'_>, names: &[String]) {
    let Some(first) = differences(job, names) else { return };
    if first.is_empty() {
        return;
    }
    let mut again: Vec<String> = first.into_iter().map(|(name, _)| name).collect();
    again.dedup();
    let second = differences(job, &again).unwrap_or_default();
    let text: Vec<String> = second.into_iter().map(|(_, text)| text).collect();
    assert!(text.is_empty(), "{}", text.join("\n\n"));
}

#[test]
fn tables_are_keepaliveds() {
    if lacks(NAME, &PROGRAMS) {
        return;
    }
    let configs = workspace().join("tests/tests/check_uml");
    let entries = std::fs::read_dir(&configs).expect("configurations");
    let mut names: Vec<String> = entries
        .flatten()
        .filter_map(|e| Some(e.file_name().to_str()?.strip_suffix(".conf")?.to_owned()))
        .collect();
    names.sort();
    assert!(names.len() >= 10, "{} configurations are too few", names.len());
    judge(&Job { test: NAME, script: SCRIPT, configs: &configs, with_log: true }, &names);
}

/// Where the corpus of real files is: named by `HOLDFAST_CORPUS`, or beside the repository.
fn corpus() -> Option<PathBuf> {
    let named = std::env::var_os("HOLDFAST_CORPUS").map(PathBuf::from);
    let beside = ["../shared/corpus", "../../shared/corpus"].map(|p| workspace().join(p));
    named.into_iter().chain(beside).map(|p| p.join("keepalived")).find(|p| p.is_dir())
}

#[test]
fn tables_of_real_files_are_keepaliveds() {
    const NAME: &str = "tables_of_real_files_are_keepaliveds";
    if lacks(NAME, &PROGRAMS) {
        return;
    }
    let Some(configs) = corpus() else { return skip(NAME, "the corpus of real files is not here") };
    let names = CORPUS_FILES.map(str::to_owned);
    judge(&Job { test: NAME, script: CORPUS_SCRIPT, configs: &configs, with_log: false }, &names);
}
