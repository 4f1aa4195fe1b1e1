//! Our vrrpd and Debian's keepalived on one wire, in both roles; checksums judged by tshark.
//!
//! Each case: the backup starts alone and takes the address, the better one starts and takes it over, is stopped and
//! gives it back, is started again and killed. Everything happens in namespaces of the test's own.

use holdfast_tests::frames::Capture;
use holdfast_tests::netns::{Host, Net, wait_for};
use holdfast_tests::node::{Node, Program};
use nix::sys::signal::Signal;
use std::time::Duration;

/// Far more than any timer of these cases; the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Clone, Copy)]
struct Case {
    name: &'static str,
    version: u8,
    v6: bool,
    unicast: bool,
    pass: bool,
}

impl Case {
    fn vip(&self) -> &'static str {
        if self.v6 { "fe80::c8" } else { "10.9.0.100" }
    }

    fn configuration(&self, own: u8, priority: u8) -> String {
        let address = |n: u8| if self.v6 { format!("fd09::{n}") } else { format!("10.9.0.{n}") };
        let interval = if self.version == 2 { "1" } else { "0.2" };
        let mut more = String::new();
        if self.unicast {
            let (own, peer) = (address(own), address(3 - own));
            more += &format!(" unicast_src_ip {own}\n unicast_peer {{\n  {peer}\n }}\n");
        }
        if self.pass {
            more += " authentication {\n  auth_type PASS\n  auth_pass secret12\n }\n";
        }
        format!(
            "global_defs {{\n router_id t\n vrrp_version {}\n}}\nvrrp_instance VI_1 {{\n state BACKUP\n interface eth0\n \
             virtual_router_id 51\n priority {priority}\n advert_int {interval}\n{more} virtual_ipaddress {{\n  {}\n }}\n}}\n",
            self.version,
            self.vip()
        )
    }
}

fn start(host: &Host, program: &Program, configuration: &str) -> Node {
    let file = host.file("vrrp.conf", configuration);
    let file = file.to_string_lossy().into_owned();
    let mut args = vec!["-n", "-l", "-f", &file];
    if program.name == "keepalived" {
        args.push("-P");
    }
    Node::start(host, program, &args)
}

fn wait_holder(case: &Case, who: &str, with: &Host, without: Option<&Host>, nodes: &[&Node]) {
    let held = || (with.holds(case.vip()) && without.is_none_or(|h| !h.holds(case.vip()))).then_some(());
    if wait_for(PATIENCE, held).is_none() {
        let outputs: Vec<String> = nodes.iter().map(|n| n.output()).collect();
        panic!("{}: {who} does not hold {} alone\n{}", case.name, case.vip(), outputs.join("\n-----\n"));
    }
}

fn meet(case: &Case, better: &Program, other: &Program) {
    let Some(net) = Net::new(case.name) else { return };
    let (a, b) = (net.host("a"), net.host("b"));
    let bridge = net.bridge("lan");
    let _cables = [
        net.plug(&a, "eth0", &bridge, &["10.9.0.1/24", "fd09::1/64"]),
        net.plug(&b, "eth0", &bridge, &["10.9.0.2/24", "fd09::2/64"]),
    ];
    let Some(capture) = Capture::start(case.name, &b, "eth0", "ip proto 112 or ip6 proto 112") else {
        return;
    };
    let node_b = start(&b, other, &case.configuration(2, 100));
    wait_holder(case, "the backup alone", &b, None, &[&node_b]);
    let mut node_a = start(&a, better, &case.configuration(1, 150));
    wait_holder(case, "the better one", &a, Some(&b), &[&node_a, &node_b]);
    assert!(node_a.signal(Signal::SIGTERM));
    assert!(node_a.wait(PATIENCE).is_some(), "{}: no end after SIGTERM", case.name);
    wait_holder(case, "the backup after the farewell", &b, Some(&a), &[&node_a, &node_b]);
    drop(node_a);
    let mut node_a = start(&a, better, &case.configuration(1, 150));
    wait_holder(case, "the better one again", &a, Some(&b), &[&node_a, &node_b]);
    let frames = capture.stop();
    let fields =
        frames.fields("vrrp", &["vrrp.checksum.status", "vrrp.prio", "vrrp.version", "vrrp.ip_addr"]);
    assert!(fields.len() >= 6, "{}: {} adverts", case.name, fields.len());
    for field in &fields {
        assert!(matches!(field[0].as_str(), "1" | "Good"), "{}: a bad checksum: {field:?}", case.name);
        assert_eq!(field[2], case.version.to_string(), "{}", case.name);
    }
    for priority in ["0", "100", "150"] {
        assert!(fields.iter().any(|f| f[1] == priority), "{}: no advert with priority {priority}", case.name);
    }
    assert!(node_a.signal(Signal::SIGTERM));
    assert!(node_a.wait(PATIENCE).is_some());
}

fn both_roles(case: Case) {
    let Some(original) = Program::original(case.name, "keepalived") else { return };
    let ours = Program::ours("vrrpd", "vrrpd");
    meet(&case, &ours, &original);
    meet(&case, &original, &ours);
}

const V2: Case = Case { name: "v2", version: 2, v6: false, unicast: false, pass: false };
const V3: Case = Case { name: "v3", version: 3, v6: false, unicast: false, pass: false };

#[test]
fn version_2() {
    both_roles(V2);
}

#[test]
fn version_2_with_a_password() {
    both_roles(Case { name: "v2 PASS", pass: true, ..V2 });
}

#[test]
fn version_2_unicast() {
    both_roles(Case { name: "v2 unicast", unicast: true, ..V2 });
}

#[test]
fn version_2_unicast_with_a_password() {
    both_roles(Case { name: "v2 unicast PASS", unicast: true, pass: true, ..V2 });
}

#[test]
fn version_3() {
    both_roles(V3);
}

#[test]
fn version_3_unicast() {
    both_roles(Case { name: "v3 unicast", unicast: true, ..V3 });
}

#[test]
fn version_3_over_ipv6() {
    both_roles(Case { name: "v3 IPv6", v6: true, ..V3 });
}

#[test]
fn version_3_unicast_over_ipv6() {
    both_roles(Case { name: "v3 IPv6 unicast", v6: true, unicast: true, ..V3 });
}
