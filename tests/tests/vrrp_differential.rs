//! Debian's keepalived and ours with the same VRRP configurations, each on a host of its own: the same lines in the same
//! order, the same addresses, routes and rules at the same points, the same scripts called, the same lines in FIFOs, the
//! same mails.
//!
//! Cases are in `vrrp_differential/cases.txt`; `VRRP_CASES=WORD` runs only those whose name has WORD in it.

use holdfast_tests::netns::{Host, Net, wait_for};
use holdfast_tests::node::{Node, Program};
use holdfast_tests::oracle::Suite;
use holdfast_tests::{lacks, workspace};
use nix::sys::signal::Signal;
use regex::Regex;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

const NAME: &str = "vrrp_is_keepaliveds";

/// Far more than any timer of these cases; the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(20);

/// What is looked at must stay as it is for this long.
const STILL: Duration = Duration::from_millis(700);

/// Cases that run beside each other.
const AT_ONCE: usize = 4;

/// What is done in a case.
#[derive(Debug, Clone)]
enum Step {
    /// Writes the file; the program starts with the first and is told of the others by SIGHUP.
    File(String),
    /// Starts the original with a file on a second host, in place of the one there; without text it only ends that.
    Peer(String),
    /// A shell line on the host.
    Do(String),
    /// Waits until the program has said lines that match, so many times.
    Until(usize, String),
    /// Waits until scripts, FIFOs and the mail server have taken down lines that match, so many times.
    Noted(usize, String),
    /// Looks at addresses, routes and rules.
    Look,
}

#[derive(Debug, Clone)]
struct Case {
    name: String,
    /// `--log-detail`.
    detail: bool,
    steps: Vec<Step>,
}

fn cases() -> Vec<Case> {
    let path = workspace().join("tests/tests/vrrp_differential/cases.txt");
    let text = std::fs::read_to_string(path).expect("the cases");
    let wanted = std::env::var("VRRP_CASES").unwrap_or_default();
    let sections = text.split("\n=== ").skip(1).filter_map(|s| s.split_once('\n'));
    let case = |(name, body): (&str, &str)| {
        let mut steps = vec![Step::File(String::new())];
        for line in body.lines() {
            match line.strip_prefix("> ").map(|l| l.split_once(' ').unwrap_or((l, ""))) {
                None => match steps.last_mut() {
                    Some(Step::File(file) | Step::Peer(file)) => {
                        file.push_str(line);
                        file.push('\n');
                    }
                    // Blank lines between steps.
                    _ => assert!(line.is_empty(), "{name}: {line}"),
                },
                Some(("do", shell)) => steps.push(Step::Do(shell.to_owned())),
                Some(("until", pattern)) => steps.push(Step::Until(1, pattern.to_owned())),
                Some(("twice", pattern)) => steps.push(Step::Until(2, pattern.to_owned())),
                Some(("noted", what)) => {
                    let (count, pattern) = what.split_once(' ').expect("a number and a pattern");
                    steps.push(Step::Noted(count.parse().expect("a number"), pattern.to_owned()));
                }
                Some(("look", _)) => steps.push(Step::Look),
                Some(("peer" | "alone", _)) => steps.push(Step::Peer(String::new())),
                Some(("reload", _)) => steps.push(Step::File(String::new())),
                Some((other, _)) => panic!("{name}: what is '{other}'?"),
            }
        }
        Case { name: name.to_owned(), detail: name.ends_with("-detail"), steps }
    };
    sections.map(case).filter(|c| c.name.contains(&wanted)).collect()
}

/// A script that notes how it was called, and one that takes mail.
const NOTE: &str = "#!/bin/sh\nexec >> \"${0%/*}/notes.$1\"\nshift\necho \"$@\"\n";
const MAIL: &str = "import socket, sys\ns = socket.socket()\ns.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\n\
     s.bind(('127.0.0.1', 2525))\ns.listen(20)\nopen(sys.argv[1] + '/mail.ready', 'w')\nwhile True:\n    c, _ = s.accept()\n    \
     f = c.makefile('rb')\n    c.sendall(b'220 mail ready\\r\\n')\n    text, body = b'', False\n    for line in f:\n        \
     text += line\n        if body and line.strip() == b'.':\n            body = False\n            c.sendall(b'250 taken\\r\\n')\n        \
     elif not body and line.strip() == b'DATA':\n            body = True\n            c.sendall(b'354 go on\\r\\n')\n        \
     elif not body and line.strip() == b'QUIT':\n            c.sendall(b'221 bye\\r\\n')\n            break\n        \
     elif not body:\n            c.sendall(b'250 ok\\r\\n')\n    c.close()\n    \
     if b'QUIT' in text: open(sys.argv[1] + '/notes.mail', 'ab').write(text + b'-----\\n')\n";

/// Addresses, routes of all tables and rules, without what the kernel adds or numbers by itself.
const LOOK: &str = r#"
for d in eth0 eth1; do
  ip -o address show dev $d | sed 's/^[0-9]*: //; s/ valid_lft.*//; s/\\ *$//' | grep -v 'fe80::[0-9a-f:]*ff:fe'
done
(ip route show table all; ip -6 route show table all) | sort \
  | grep -v '^broadcast\|table local\|^local\|^multicast\|^anycast\|^fe80\|^ff00\|^unreachable.*lo'
ip rule; ip -6 rule
ip -o link show type macvlan | sed 's/^[0-9]*: //; s/:.*//' | sort | while IFS=@ read -r d parent; do
  echo "$d on $parent" $(ip -d link show dev $d | grep -o 'state [A-Z]*\|ether [0-9a-f:]*\|macvlan mode [a-z]*')
  ip -o address show dev $d | sed 's/^[0-9]*: //; s/ valid_lft.*//; s/\\ *$//; s/fe80::[0-9a-f:]*ff:fe[0-9a-f:]*/its own/' | sort
  for s in arp_ignore accept_local rp_filter promote_secondaries; do echo "$s $(cat /proc/sys/net/ipv4/conf/$d/$s)"; done
  for s in addr_gen_mode disable_ipv6; do echo "$s $(cat /proc/sys/net/ipv6/conf/$d/$s)"; done
  for s in arp_ignore arp_filter; do echo "$parent $s $(cat /proc/sys/net/ipv4/conf/$parent/$s)"; done
done
# The original leaves a table without macvlans behind, and numbers of links that are gone.
if [ -n "$(ip -o link show type macvlan)" ] || nft list ruleset | grep -q vips; then
  nft list tables | sort | while read -r word family name; do nft list table $family $name; done \
    | sed -E 's/\b[0-9]+ : "eth[01]"(, )?//'
fi"#;

/// One run of a case: everything that can be seen of it.
fn play(case: &Case, program: &Program, original: &Program) -> Option<String> {
    use std::os::unix::fs::PermissionsExt as _;
    let net = Net::new(&format!("{NAME} {}", case.name))?;
    let (host, other) = (net.host("a"), net.host("b"));
    for (n, device) in ["eth0", "eth1"].into_iter().enumerate() {
        let bridge = net.bridge(device);
        for (last, host) in [(1, &host), (2, &other)] {
            let addresses = [format!("10.{}.0.{last}/24", 9 + n), format!("fd0{}::{last}/64", 9 - n)];
            net.plug(host, device, &bridge, &[&addresses[0], &addresses[1]]);
        }
    }
    let dir = host.dir().display().to_string();
    let note = host.file("note", NOTE);
    std::fs::set_permissions(&note, std::fs::Permissions::from_mode(0o755)).expect("set");
    let mail = host.file("mail.py", MAIL);
    let mail = Program { path: mail, name: "mail.py".into() };
    let python = Program { path: "/usr/bin/python3".into(), name: "python3".into() };
    let _mail = Node::start(&host, &python, &[&mail.path.display().to_string(), &dir]);
    wait_for(PATIENCE, || host.dir().join("mail.ready").exists().then_some(()))?;
    let (mut node, mut peer): (Option<Node>, Option<Node>) = (None, None);
    let mut seen = String::new();
    for step in &case.steps {
        match step {
            Step::File(text) => {
                let file = host.file("k.conf", &text.replace("DIR", &dir)).display().to_string();
                match &node {
                    Some(node) => assert!(node.signal(Signal::SIGHUP)),
                    None => {
                        let detail = if case.detail { "-D" } else { "-P" };
                        node = Some(Node::start(&host, program, &["-n", "-l", "-P", detail, "-f", &file]));
                    }
                }
            }
            Step::Peer(text) => {
                if let Some(mut peer) = peer.take() {
                    assert!(
                        peer.signal(Signal::SIGTERM) && peer.wait(PATIENCE).is_some(),
                        "{}: the peer stays",
                        case.name
                    );
                }
                let file = other.file("k.conf", text).display().to_string();
                peer = (!text.is_empty())
                    .then(|| Node::start(&other, original, &["-n", "-l", "-P", "-f", &file]));
            }
            Step::Do(shell) => drop(host.try_sh(&shell.replace("DIR", &dir))),
            Step::Until(count, pattern) => {
                let node = node.as_ref().expect("a file comes first");
                await_lines("said", *count, pattern, &mut seen, || node.output());
            }
            Step::Noted(count, pattern) => await_lines("noted", *count, pattern, &mut seen, || notes(&host)),
            Step::Look => {
                let _ = writeln!(seen, "--- look\n{}", still(&host));
            }
        }
    }
    let mut node = node?;
    still(&host);
    assert!(node.signal(Signal::SIGTERM));
    assert!(node.wait(PATIENCE).is_some(), "{}: no end after SIGTERM\n{}", case.name, node.output());
    let _ = writeln!(seen, "--- at the end\n{}", still(&host));
    let _ = writeln!(seen, "--- said\n{}", said(&node.output()));
    seen.push_str(&notes(&host));
    Some(seen.replace(&dir, "DIR"))
}

/// Waits until a text has so many matches; what never comes is part of what was seen.
fn await_lines(how: &str, count: usize, pattern: &str, seen: &mut String, text: impl Fn() -> String) {
    let regex = Regex::new(pattern).expect("a pattern");
    let there = || (regex.find_iter(&text()).count() >= count).then_some(());
    if wait_for(PATIENCE, there).is_none() {
        let _ = writeln!(seen, "never {how}: {pattern}");
    }
}

/// What is to be seen on the host once it does not change any more.
fn still(host: &Host) -> String {
    let look = || host.sh(LOOK) + &notes(host);
    let (mut last, mut since) = (look(), Instant::now());
    wait_for(PATIENCE, || {
        let now = look();
        if now != last {
            (last, since) = (now, Instant::now());
        }
        (since.elapsed() >= STILL).then_some(())
    });
    host.sh(LOOK)
}

/// What scripts, FIFOs and the mail server have taken down.
fn notes(host: &Host) -> String {
    let names = std::fs::read_dir(host.dir()).expect("the host's directory").flatten();
    let mut names: Vec<String> =
        names.filter_map(|e| e.file_name().into_string().ok()).filter(|n| n.starts_with("notes.")).collect();
    names.sort();
    let dated = Regex::new("(?m)^Date: .*$").expect("a pattern");
    let mut out = String::new();
    for name in names {
        let text = std::fs::read(host.dir().join(&name)).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).replace('\r', "<CR>");
        // Mails travel beside each other.
        let mut mails: Vec<&str> = text.split_inclusive("-----\n").collect();
        mails.sort_unstable();
        let text = mails.concat();
        let _ = writeln!(out, "--- {name}\n{}", dated.replace_all(&text, "Date: now"));
    }
    out
}

/// The lines about VRRP: without dates, and without what a program says of itself. Left out besides is what the original
/// says of its own insides (routes without a device in netlink's reports, blocks it frees, static addresses of an
/// instance `(null)`), adverts that a dead link did not take, what is put back for a second time, and sockets and
/// announcements, whose numbers and order are each program's own. Repeated lines count once.
fn said(output: &str) -> String {
    let own = Regex::new(
        "^(Starting|Running on|Command line|  +'|Configuration file|Opening file|NOTICE|Startup complete|Stopp|Reload|\
         Registering|Assigned|CPU usage|New route doesn't have|Removing a Virtual|\
         \\(\\(null\\)\\)|\\(\\w+\\):? send advert error|\
         VRRP sockpool|Deassigned|Netlink: error|Restoring deleted static|Sending|$)",
    )
    .expect("a pattern");
    let date = Regex::new(r"^\w{3} \w{3} [ \d]\d [\d:]{8} \d{4}: ").expect("a pattern");
    let lines = output.lines().map(|l| date.replace(l, "").into_owned());
    let mut lines: Vec<String> = lines.filter(|l| !own.is_match(l)).collect();
    lines.dedup();
    lines.join("\n")
}

#[test]
fn vrrp_is_keepaliveds() {
    let Some(original) = Program::original(NAME, "keepalived") else { return };
    let ours = Program::ours("keepalived", "keepalived");
    if Net::new(NAME).is_none() || lacks(NAME, &["python3", "ping"]) {
        return;
    }
    let cases = cases();
    let whole = std::env::var_os("VRRP_CASES").is_none();
    Suite::live("vrrp", |suite| {
        for party in cases.chunks(AT_ONCE) {
            let results: Vec<_> = std::thread::scope(|scope| {
                let run = |case| {
                    let (original, ours) = (&original, &ours);
                    let theirs = scope.spawn(move || play(case, original, original));
                    (case, theirs, scope.spawn(move || play(case, ours, original)))
                };
                let started: Vec<_> = party.iter().map(run).collect();
                let end = |(case, theirs, ours): (_, std::thread::ScopedJoinHandle<_>, _)| {
                    (case, theirs.join(), std::thread::ScopedJoinHandle::join(ours))
                };
                started.into_iter().map(end).collect()
            });
            for (case, theirs, ours) in results {
                let case: &Case = case;
                let (theirs, ours) = (theirs.ok().flatten(), ours.ok().flatten());
                let (Some(theirs), Some(ours)) = (theirs, ours) else {
                    suite.case(&case.name, "a run", "none, see above");
                    continue;
                };
                if !whole {
                    eprintln!("=== {}: the original\n{theirs}\n=== ours\n{ours}", case.name);
                }
                suite.case(&case.name, &theirs, &ours);
            }
        }
    });
}
