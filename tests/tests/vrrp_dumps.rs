//! The files that SIGUSR1, SIGUSR2 and SIGRTMIN+2 ask for: the same fields as the original's, in its order, readable by
//! root alone and never written through a link.

use holdfast_tests::netns::{Host, Net, wait_for};
use holdfast_tests::node::{Node, Program};
use serde_json::Value;
use std::time::Duration;

/// Far more than any timer of these cases; the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(20);
/// SIGUSR1, SIGUSR2 and SIGRTMIN+2, and what the file is called.
const DUMPS: [(i32, &str); 4] = [(10, ".data"), (10, "_parent.data"), (12, ".stats"), (36, ".json")];

/// v2 with a password, v3 unicast, v3 over IPv6; a sync group, trackers of all kinds, routes, rules and statics.
const CONFIGURATION: &str = r#"global_defs {
  router_id R1
  script_user root
  enable_script_security
  notification_email {
    a@b.c
  }
  notification_email_from x@y.z
  smtp_server 127.0.0.1
  smtp_connect_timeout 3
  vrrp_garp_master_delay 3
  vrrp_notify_priority_changes true
}
vrrp_script chk {
  script "/usr/bin/sleep 0"
  interval 1
  timeout 1
  fall 2
  rise 2
}
track_file tf {
  file /run/tf
  weight 1
  init_file 0 overwrite
}
vrrp_track_process tp {
  process sleep 7777
  weight 20
  delay 0.5
}
vrrp_sync_group G1 {
  group {
    VI_1
    VI_2
  }
  notify_master "/usr/bin/true a"
  track_script {
    chk
  }
}
static_ipaddress {
  10.99.0.1/24 dev eth1
}
static_routes {
  10.98.0.0/24 dev eth1
}
vrrp_instance VI_1 {
  state MASTER
  interface eth0
  virtual_router_id 51
  priority 150
  advert_int 1
  authentication {
    auth_type PASS
    auth_pass abcd
  }
  track_interface {
    eth1
  }
  notify "/usr/bin/true x y"
  notify_backup "/usr/bin/true b"
  virtual_ipaddress {
    10.9.0.200
    10.9.0.202/24 brd 10.9.0.255 label eth0:1
  }
  virtual_ipaddress_excluded {
    10.9.0.203
    fe80::77
  }
  virtual_routes {
    10.77.0.0/24 via 10.9.0.66
  }
  virtual_rules {
    from 10.77.0.0/24 lookup 100
  }
}
vrrp_instance VI_2 {
  version 3
  state BACKUP
  interface eth1
  virtual_router_id 52
  priority 150
  advert_int 0.5
  unicast_src_ip 10.9.1.1
  unicast_peer {
    10.9.1.2
  }
  preempt_delay 3
  virtual_ipaddress {
    10.9.1.200
  }
}
vrrp_instance VI_6 {
  state BACKUP
  interface eth1
  virtual_router_id 53
  priority 100
  nopreempt
  track_file {
    tf
  }
  track_process {
    tp
  }
  track_script {
    chk weight 5
  }
  virtual_ipaddress {
    fe80::200
  }
}
"#;

fn signal(node: &Node, number: i32) {
    let done =
        std::process::Command::new("kill").arg(format!("-{number}")).arg(node.pid().to_string()).status();
    assert!(done.is_ok_and(|s| s.success()));
}

/// The text of a dump once it is whole: the same twice.
fn dumped(host: &Host, name: &str) -> String {
    let read = || host.try_sh(&format!("cat /tmp/keepalived{name}")).stdout;
    let whole = || {
        let first = read();
        std::thread::sleep(Duration::from_millis(50));
        (!first.is_empty() && first == read()).then_some(first)
    };
    let bytes = wait_for(PATIENCE, whole).unwrap_or_else(|| panic!("no /tmp/keepalived{name}"));
    String::from_utf8_lossy(&bytes).into_owned()
}

/// One host with everything Master, and its dumps.
fn dumps(name: &str, program: &Program) -> Option<(Vec<String>, String)> {
    let net = Net::new(name)?;
    let host = net.host("a");
    for (interface, addresses) in [("eth0", "10.9.0.1/24"), ("eth1", "10.9.1.1/24")] {
        let bridge = net.bridge(&format!("lan{interface}"));
        net.plug(&host, interface, &bridge, &[addresses]);
    }
    let file = host.file("vrrp.conf", CONFIGURATION).to_string_lossy().into_owned();
    let node = Node::start(&host, program, &["-n", "-l", "-P", "-f", &file]);
    for vip in ["10.9.0.200", "10.9.1.200", "fe80::200"] {
        let held = wait_for(PATIENCE, || host.holds(vip).then_some(()));
        assert!(held.is_some(), "{}: {vip}\n{}", program.name, node.output());
    }
    // The second burst of claims and the script's second result are over.
    std::thread::sleep(Duration::from_millis(1500));
    let mut out = Vec::new();
    for (number, name) in DUMPS {
        signal(&node, number);
        out.push(dumped(&host, name));
    }
    let modes = host.sh("stat -c '%n %a' /tmp/keepalived*");
    Some((out, modes))
}

/// A line without its values: what is before ` = `, or the line with its numbers made alike.
fn shape(line: &str) -> String {
    let line = line.split_once(" = ").map_or(line, |(name, _)| name);
    let mut out = String::new();
    let mut digits = false;
    for c in line.chars() {
        let digit = c.is_ascii_digit();
        if !digit || !digits {
            out.push(if digit { 'N' } else { c });
        }
        digits = digit;
    }
    out
}

fn shapes(text: &str) -> Vec<String> {
    // The version of a library that only the original uses, and a name that it has only where DNS knows the host.
    text.lines().map(shape).filter(|l| !l.contains("libnftnl") && !l.contains("Smtp HELO name")).collect()
}

/// Keys in order, with the kind of each value; lists by their first element.
fn keys(value: &Value, at: &str, out: &mut Vec<String>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(k, v)| keys(v, &format!("{at}.{k}"), out)),
        Value::Array(list) => list.iter().enumerate().for_each(|(i, v)| keys(v, &format!("{at}[{i}]"), out)),
        Value::String(_) => out.push(format!("{at} text")),
        Value::Number(_) => out.push(format!("{at} number")),
        Value::Bool(_) => out.push(format!("{at} bool")),
        Value::Null => out.push(format!("{at} null")),
    }
}

#[test]
fn fields_are_the_originals() {
    let name = "vrrp dumps";
    let Some(original) = Program::original(name, "keepalived") else { return };
    let Some((theirs, _)) = dumps(name, &original) else { return };
    let Some((ours, modes)) = dumps(name, &Program::ours("keepalived", "keepalived")) else { return };
    assert!(modes.lines().all(|l| l.ends_with(" 600")), "{modes}");
    for (i, (_, name)) in DUMPS.iter().enumerate().take(3) {
        let (a, b) = (shapes(&ours[i]), shapes(&theirs[i]));
        let differing: Vec<String> = similar(&a, &b);
        assert!(differing.is_empty(), "{name}:\n{}", differing.join("\n"));
    }
    let json = |text: &str| {
        let value: Value = serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"));
        let mut out = Vec::new();
        keys(&value, "", &mut out);
        out
    };
    assert_eq!(json(&ours[3]), json(&theirs[3]));
}

/// Lines that only one has, in order (both lists are nearly the same).
fn similar(ours: &[String], theirs: &[String]) -> Vec<String> {
    let (mut i, mut j) = (0, 0);
    let mut out = Vec::new();
    while i < ours.len() || j < theirs.len() {
        if i < ours.len() && j < theirs.len() && ours[i] == theirs[j] {
            (i, j) = (i + 1, j + 1);
            continue;
        }
        let ahead = ours.get(i).and_then(|l| theirs[j..].iter().position(|t| t == l));
        let back = theirs.get(j).and_then(|l| ours[i..].iter().position(|t| t == l));
        match (ahead, back) {
            (Some(a), Some(b)) if b < a => {
                out.push(format!("only ours: {}", ours[i]));
                i += 1;
            }
            (Some(_), _) => {
                out.push(format!("only the original's: {}", theirs[j]));
                j += 1;
            }
            (None, _) if i < ours.len() => {
                out.push(format!("only ours: {}", ours[i]));
                i += 1;
            }
            (None, _) => {
                out.push(format!("only the original's: {}", theirs[j]));
                j += 1;
            }
        }
    }
    out
}

#[test]
fn a_link_is_not_followed() {
    let Some(net) = Net::new("vrrp dump through a link") else { return };
    let host = net.host("a");
    let bridge = net.bridge("lan");
    net.plug(&host, "eth0", &bridge, &["10.9.0.1/24"]);
    let configuration = "vrrp_instance VI_1 {\n interface eth0\n virtual_router_id 51\n priority 100\n \
                         virtual_ipaddress {\n  10.9.0.100\n }\n}\n";
    let file = host.file("vrrp.conf", configuration).to_string_lossy().into_owned();
    let node =
        Node::start(&host, &Program::ours("keepalived", "keepalived"), &["-n", "-l", "-P", "-f", &file]);
    node.wait_output("Entering BACKUP STATE", PATIENCE);
    host.sh("echo precious > /tmp/precious; ln -s /tmp/precious /tmp/keepalived.data; ln -s /tmp/new /tmp/keepalived.json");
    signal(&node, 10);
    node.wait_output("Can't open dump file /tmp/keepalived.data", PATIENCE);
    signal(&node, 36);
    node.wait_output("Can't open dump file /tmp/keepalived.json", PATIENCE);
    assert_eq!(host.sh("cat /tmp/precious; ls /tmp/new 2>/dev/null || true"), "precious\n");
    signal(&node, 12);
    assert!(dumped(&host, ".stats").contains("VRRP Instance: VI_1"));
}
