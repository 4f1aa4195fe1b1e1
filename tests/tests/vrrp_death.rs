//! What happens when our processes are killed: the supervisor speaks for a dead VRRP part, and a new start clears
//! what a killed one left behind.

use holdfast_tests::frames::{Capture, Frames};
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
    authentication: &'static str,
}

impl Case {
    fn vip(&self) -> &'static str {
        if self.v6 { "fe80::c8" } else { "10.9.0.100" }
    }

    fn configuration(&self, own: u8, priority: u8) -> String {
        let address = |n: u8| if self.v6 { format!("fd09::{n}") } else { format!("10.9.0.{n}") };
        let mut more = String::new();
        if self.unicast {
            more +=
                &format!(" unicast_src_ip {}\n unicast_peer {{\n  {}\n }}\n", address(own), address(3 - own));
        }
        if !self.authentication.is_empty() {
            more += &format!(
                " authentication {{\n  auth_type {}\n  auth_pass secret12\n }}\n",
                self.authentication
            );
        }
        format!(
            "global_defs {{\n router_id t\n vrrp_version {}\n}}\nvrrp_instance VI_1 {{\n state BACKUP\n interface eth0\n \
             virtual_router_id 51\n priority {priority}\n advert_int 1\n nopreempt\n{more} virtual_ipaddress {{\n  {}\n }}\n}}\n",
            self.version,
            self.vip()
        )
    }
}

fn start(host: &Host, program: &Program, configuration: &str) -> Node {
    let file = host.file("vrrp.conf", configuration).to_string_lossy().into_owned();
    Node::start(host, program, &["-n", "-l", "-P", "-f", &file])
}

fn wait_holds(host: &Host, vip: &str, wanted: bool, node: &Node) {
    let seen = wait_for(PATIENCE, || (host.holds(vip) == wanted).then_some(()));
    assert!(seen.is_some(), "{} should hold {vip}: {wanted}\n{}", host.name(), node.output());
}

/// Times and priorities of the adverts of one sender.
fn adverts(frames: &Frames, source: &str, v6: bool) -> Vec<(f64, u8)> {
    let filter = format!("vrrp && {} == {source}", if v6 { "ipv6.src" } else { "ip.src" });
    let fields = frames.fields(&filter, &["frame.time_relative", "vrrp.prio", "vrrp.checksum.status"]);
    for field in &fields {
        assert!(matches!(field[2].as_str(), "1" | "Good"), "a bad checksum: {field:?}");
    }
    fields.iter().filter_map(|f| Some((f[0].parse().ok()?, f[1].parse().ok()?))).collect()
}

/// The VRRP part of the master is killed: its supervisor resigns for it and takes its address away.
fn killed_part(case: Case) {
    let Some(original) = Program::original(case.name, "keepalived") else { return };
    let Some(net) = Net::new(case.name) else { return };
    let (a, b) = (net.host("a"), net.host("b"));
    let bridge = net.bridge("lan");
    let _cables = [
        net.plug(&a, "eth0", &bridge, &["10.9.0.1/24", "fd09::1/64"]),
        net.plug(&b, "eth0", &bridge, &["10.9.0.2/24", "fd09::2/64"]),
    ];
    let mut node_a = start(&a, &Program::ours("keepalived", "keepalived"), &case.configuration(1, 150));
    wait_holds(&a, case.vip(), true, &node_a);
    let node_b = start(&b, &original, &case.configuration(2, 100));
    node_b.wait_output("Entering BACKUP STATE", PATIENCE);
    let filter = if case.authentication == "AH" { "ip proto 51" } else { "ip proto 112 or ip6 proto 112" };
    let Some(capture) = Capture::start(case.name, &b, "eth0", filter) else { return };
    std::thread::sleep(Duration::from_millis(1200));
    a.sh("ip -o monitor address > $PWD/gone 2>/dev/null & true");
    a.sh("kill -9 $(cat /run/vrrp.pid)");
    wait_holds(&b, case.vip(), true, &node_b);
    wait_holds(&a, case.vip(), false, &node_a);
    node_a.wait_output("Respawning", PATIENCE);
    // The new part finds a master and stays a backup.
    std::thread::sleep(Duration::from_millis(1500));
    assert!(node_a.runs() && !a.holds(case.vip()));
    let frames = capture.stop();
    let source = |n: u8| match (case.v6, case.unicast) {
        (true, true) => format!("fd09::{n}"),
        (true, false) => {
            let host = if n == 1 { &a } else { &b };
            let text = host.sh("ip -6 -o address show dev eth0 scope link");
            text.split_whitespace()
                .filter_map(|w| w.split_once('/').map(|(a, _)| a.to_owned()))
                .find(|w| w.starts_with("fe80:") && w != case.vip())
                .expect("a link-local address")
        }
        (false, _) => format!("10.9.0.{n}"),
    };
    let (ours, theirs) = (adverts(&frames, &source(1), case.v6), adverts(&frames, &source(2), case.v6));
    let farewell = ours
        .iter()
        .find(|(_, p)| *p == 0)
        .unwrap_or_else(|| panic!("{}: no priority 0: {ours:?}", case.name));
    let over = theirs.first().expect("the new master's advert");
    // Skew is 0.61 s (priority 100); without the farewell it would be 3.6 s after the last advert.
    let waited = over.0 - farewell.0;
    assert!(
        (0.55..1.6).contains(&waited),
        "{}: {waited} s after the farewell\n{}",
        case.name,
        node_b.output()
    );
    assert!(ours.iter().all(|(at, p)| *at <= farewell.0 || *p == 0), "{}: {ours:?}", case.name);
}

#[test]
fn a_killed_part_is_buried_version_2() {
    killed_part(Case { name: "death v2", version: 2, v6: false, unicast: false, authentication: "PASS" });
}

#[test]
fn a_killed_part_is_buried_unicast() {
    killed_part(Case { name: "death v3 unicast", version: 3, v6: false, unicast: true, authentication: "" });
}

#[test]
fn a_killed_part_is_buried_over_ipv6() {
    killed_part(Case { name: "death v3 IPv6", version: 3, v6: true, unicast: false, authentication: "" });
}

#[test]
fn a_killed_part_is_buried_with_ah() {
    killed_part(Case { name: "death AH", version: 2, v6: false, unicast: false, authentication: "AH" });
}

#[test]
fn everything_killed_and_started_again_leaves_no_stale_address() {
    let name = "death of all";
    let Some(net) = Net::new(name) else { return };
    let (a, b) = (net.host("a"), net.host("b"));
    let bridge = net.bridge("lan");
    let _cables =
        [net.plug(&a, "eth0", &bridge, &["10.9.0.1/24"]), net.plug(&b, "eth0", &bridge, &["10.9.0.2/24"])];
    let case = Case { name, version: 2, v6: false, unicast: false, authentication: "" };
    let extra = " virtual_ipaddress_excluded {\n  10.9.1.100/24\n }\n virtual_routes {\n  10.8.0.0/24 via 10.9.0.66\n }\n}\n";
    let configuration = case.configuration(1, 150).trim_end().trim_end_matches('}').to_owned() + extra;
    let ours = Program::ours("keepalived", "keepalived");
    let mut node_a = start(&a, &ours, &configuration);
    wait_holds(&a, case.vip(), true, &node_a);
    let node_b = start(&b, &ours, &case.configuration(2, 100));
    node_b.wait_output("Entering BACKUP STATE", PATIENCE);
    // The parent is held, so that it can neither bury nor be mourned, then both are killed.
    a.sh("P=$(cat /run/keepalived.pid); kill -STOP $P; kill -9 $(cat /run/vrrp.pid); kill -9 $P");
    node_a.wait(PATIENCE);
    wait_holds(&b, case.vip(), true, &node_b);
    assert!(a.holds(case.vip()) && a.holds("10.9.1.100"), "a kill -9 of all leaves the addresses");
    let node_a = start(&a, &ours, &configuration);
    wait_holds(&a, case.vip(), false, &node_a);
    wait_holds(&a, "10.9.1.100", false, &node_a);
    assert!(!a.sh("ip route show").contains("10.8.0.0/24"));
    node_a.wait_output("Entering BACKUP STATE", PATIENCE);
    // nopreempt: the other one stays master.
    std::thread::sleep(Duration::from_millis(1500));
    assert!(b.holds(case.vip()) && !a.holds(case.vip()));
}

#[test]
fn a_killed_parent_takes_its_part_along_with_a_farewell() {
    let name = "death of the parent";
    let Some(net) = Net::new(name) else { return };
    let (a, b) = (net.host("a"), net.host("b"));
    let bridge = net.bridge("lan");
    let _cables =
        [net.plug(&a, "eth0", &bridge, &["10.9.0.1/24"]), net.plug(&b, "eth0", &bridge, &["10.9.0.2/24"])];
    let case = Case { name, version: 2, v6: false, unicast: false, authentication: "" };
    let ours = Program::ours("keepalived", "keepalived");
    let mut node_a = start(&a, &ours, &case.configuration(1, 150));
    wait_holds(&a, case.vip(), true, &node_a);
    let Some(capture) = Capture::start(name, &b, "eth0", "ip proto 112") else { return };
    assert!(node_a.signal(Signal::SIGKILL));
    node_a.wait(PATIENCE);
    let gone = wait_for(PATIENCE, || (!a.holds(case.vip())).then_some(()));
    assert!(gone.is_some(), "{}", node_a.output());
    let frames = capture.stop();
    assert!(adverts(&frames, "10.9.0.1", false).iter().any(|(_, p)| *p == 0));
}
