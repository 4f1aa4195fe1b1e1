//! Virtual MACs on the wire and in the kernel: the frames that leave, the answers a neighbour gets, and what is left of
//! the links after a kill.

use holdfast_tests::frames::Capture;
use holdfast_tests::netns::{Host, Net, wait_for};
use holdfast_tests::node::{Node, Program};
use holdfast_tests::{lacks, skip};
use nix::sys::signal::Signal;
use std::collections::BTreeSet;
use std::time::Duration;

/// Far more than any timer of these cases; the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(20);
/// The virtual MACs of VRID 51 and their addresses' family.
const MAC4: &str = "00:00:5e:00:01:33";
const MAC6: &str = "00:00:5e:00:02:33";

const FILE: &str = "global_defs {\n router_id t\n}
vrrp_instance VI_4 {\n state BACKUP\n interface eth0\n use_vmac\n virtual_router_id 51\n priority 150\n advert_int 1
 virtual_ipaddress {\n  10.9.0.100/24\n }\n}
vrrp_instance VI_6 {\n state BACKUP\n interface eth0\n use_vmac\n virtual_router_id 51\n version 3\n priority 150
 advert_int 1\n virtual_ipaddress {\n  fe80::64\n }\n}
vrrp_instance VI_B {\n state BACKUP\n interface eth0\n use_vmac\n vmac_xmit_base\n virtual_router_id 52\n priority 150
 advert_int 1\n virtual_ipaddress {\n  10.9.0.102/24\n }\n}\n";

struct Lab {
    _net: Net,
    a: Host,
    b: Host,
}

fn lab(name: &str) -> Option<Lab> {
    let net = Net::new(name)?;
    let (a, b) = (net.host("a"), net.host("b"));
    let bridge = net.bridge("lan");
    net.plug(&a, "eth0", &bridge, &["10.9.0.1/24", "fd09::1/64"]);
    net.plug(&b, "eth0", &bridge, &["10.9.0.2/24", "fd09::2/64"]);
    a.sh("ip link set eth0 address 02:00:00:00:00:0a");
    if !a
        .try_sh("ip link add link eth0 name try0 type macvlan mode private && ip link del try0")
        .status
        .success()
    {
        skip(name, "needs macvlan");
        return None;
    }
    Some(Lab { _net: net, a, b })
}

fn start(host: &Host, program: &Program, text: &str) -> Node {
    let file = host.file("vrrp.conf", text).to_string_lossy().into_owned();
    Node::start(host, program, &["-n", "-l", "-P", "-D", "-f", &file])
}

fn masters(node: &Node, count: usize) {
    let there = || (node.output().matches("Entering MASTER STATE").count() >= count).then_some(());
    assert!(wait_for(PATIENCE, there).is_some(), "not {count} times MASTER:\n{}", node.output());
}

/// Who sent what to whom, each once; what a neighbour takes the addresses' MACs to be.
fn seen(lab: &Lab, name: &str, program: &Program) -> Option<(BTreeSet<Vec<String>>, String)> {
    let filter = "ip proto 112 or ip6 proto 112 or arp or icmp6 or igmp";
    let capture = Capture::start(name, &lab.b, "eth0", filter)?;
    let mut node = start(&lab.a, program, FILE);
    masters(&node, 3);
    let answers = |address: &str| lab.b.try_sh(&format!("ping -c 1 -W 1 {address}")).status.success();
    for address in ["10.9.0.100", "10.9.0.102", "fe80::64%eth0", "10.9.0.1"] {
        let answered = wait_for(PATIENCE, || answers(address).then_some(()));
        assert!(answered.is_some(), "{address} does not answer\n{}", node.output());
    }
    let neighbours = lab.b.sh(
        "for n in 10.9.0.1 10.9.0.100 10.9.0.102 fe80::64; do ip neigh show $n dev eth0 | sed 's/ router//; s/[A-Z]*$//'; done",
    );
    assert!(node.signal(Signal::SIGTERM) && node.wait(PATIENCE).is_some());
    assert_eq!(lab.a.sh("ip -o link show type macvlan"), "", "links are left");
    let frames = capture.stop();
    let mine = "(eth.src[0:3] == 00:00:5e || eth.src == 02:00:00:00:00:0a)";
    let claims = "(arp.isgratuitous || icmpv6.type == 136 && ipv6.dst == ff02::1)";
    let fields = [
        "eth.src",
        "eth.dst",
        "ip.src",
        "ip.dst",
        "ipv6.src",
        "vrrp.virt_rtr_id",
        "vrrp.prio",
        "arp.src.proto_ipv4",
        "arp.src.hw_mac",
        "icmpv6.nd.na.target_address",
        "icmpv6.opt.linkaddr",
    ];
    // A switch that learnt the virtual MAC from a backup would send the master's frames there.
    let reports = frames.fields("igmp", &["eth.src"]);
    assert!(!reports.iter().any(|r| r[0].starts_with("00:00:5e")), "{reports:?}");
    let mut rows = frames.fields(&format!("{mine} && (vrrp || {claims})"), &fields);
    // The parent's own address is made of a MAC that is drawn by lot.
    rows.iter_mut().flatten().filter(|f| f.contains("ff:fe")).for_each(|f| *f = "its own".into());
    Some((rows.into_iter().collect(), neighbours))
}

#[test]
fn frames_are_keepaliveds() {
    const NAME: &str = "frames_are_keepaliveds";
    let Some(original) = Program::original(NAME, "keepalived") else { return };
    if lacks(NAME, &["ping"]) {
        return;
    }
    let ours = Program::ours("keepalived", "keepalived");
    let (Some(first), Some(second)) = (lab(NAME), lab(NAME)) else { return };
    let Some(theirs) = seen(&first, NAME, &original) else { return };
    let Some(own) = seen(&second, NAME, &ours) else { return };
    let by = |mac: &str| own.0.iter().filter(|f| f[0] == mac).count();
    // Adverts with both priorities and claims of each family.
    assert!(by(MAC4) >= 3 && by(MAC6) >= 3, "{own:#?}");
    assert_eq!(theirs, own);
}

#[test]
fn links_of_a_killed_run_are_used_again_and_go_at_the_end() {
    const NAME: &str = "links_of_a_killed_run";
    let Some(lab) = lab(NAME) else { return };
    let ours = Program::ours("keepalived", "keepalived");
    let node = start(&lab.a, &ours, FILE);
    masters(&node, 3);
    let links = || lab.a.sh("ip -o link show type macvlan | sed 's/: <.*//'");
    let before = links();
    assert_eq!(before.lines().count(), 3, "{before}");
    // The VRRP part is killed while its supervisor cannot speak for it, then the supervisor.
    lab.a.sh("P=$(cat /run/keepalived.pid); kill -STOP $P; kill -9 $(cat /run/vrrp.pid); kill -9 $P");
    drop(node);
    assert_eq!(links(), before);
    assert!(lab.a.holds("10.9.0.100"));
    let mut node = start(&lab.a, &ours, FILE);
    node.wait_output("Found matching interface vrrp.51", PATIENCE);
    node.wait_output("VI_4. Entering BACKUP STATE", PATIENCE);
    masters(&node, 3);
    assert_eq!(links(), before);
    assert!(!node.output().contains("Success creating"), "{}", node.output());
    assert!(node.signal(Signal::SIGTERM) && node.wait(PATIENCE).is_some());
    assert_eq!(links(), "");
    assert!(!lab.a.holds("10.9.0.100"));
}

#[test]
fn the_parent_may_go_and_come_back() {
    const NAME: &str = "the_parent_may_go_and_come_back";
    let Some(net) = Net::new(NAME) else { return };
    let (a, b) = (net.host("a"), net.host("b"));
    let make = "ip link add eth7 type veth peer name eth8 && ip link set eth8 up && ip link set eth7 up && ip addr add 10.9.0.1/24 dev eth7";
    a.sh(make);
    if !a
        .try_sh("ip link add link eth7 name try0 type macvlan mode private && ip link del try0")
        .status
        .success()
    {
        return skip(NAME, "needs macvlan");
    }
    drop(b);
    let text = "global_defs {\n dynamic_interfaces\n}\nvrrp_instance VI_1 {\n state BACKUP\n interface eth7\n use_vmac\n \
        virtual_router_id 51\n priority 150\n advert_int 1\n virtual_ipaddress {\n  10.9.0.100/24\n }\n}\n";
    let ours = Program::ours("keepalived", "keepalived");
    let mut node = start(&a, &ours, text);
    masters(&node, 1);
    a.sh("ip link del eth7");
    node.wait_output("VI_1. Entering FAULT STATE", PATIENCE);
    assert!(wait_for(PATIENCE, || a.sh("ip -o link show type macvlan").is_empty().then_some(())).is_some());
    a.sh(make);
    masters(&node, 2);
    assert!(a.sh("ip -o link show dev vrrp.51").contains(MAC4));
    assert!(node.signal(Signal::SIGTERM) && node.wait(PATIENCE).is_some());
    assert_eq!(a.sh("ip -o link show type macvlan"), "");
}

#[test]
fn rp_filter_for_all_goes_to_the_links_and_comes_back() {
    const NAME: &str = "rp_filter_for_all";
    let Some(original) = Program::original(NAME, "keepalived") else { return };
    let ours = Program::ours("keepalived", "keepalived");
    let values = |host: &Host| {
        host.sh("cd /proc/sys/net/ipv4/conf; grep . all/rp_filter default/rp_filter eth0/rp_filter lo/rp_filter vrrp.51/rp_filter 2> /dev/null || true")
    };
    let run = |program: &Program| -> Option<Vec<String>> {
        let lab = lab(NAME)?;
        lab.a.sh("cd /proc/sys/net/ipv4/conf; echo 1 > all/rp_filter; echo 2 > eth0/rp_filter; echo 0 > lo/rp_filter; echo 0 > default/rp_filter");
        let mut node = start(&lab.a, program, FILE);
        masters(&node, 3);
        let during = values(&lab.a);
        assert!(node.signal(Signal::SIGTERM) && node.wait(PATIENCE).is_some());
        let said = node
            .output()
            .lines()
            .filter(|l| l.contains("rp_filter"))
            .map(|l| l.split(": ").skip(1).collect::<Vec<_>>().join(": "))
            .collect::<Vec<_>>()
            .join("\n");
        Some(vec![during, values(&lab.a), said])
    };
    let (Some(theirs), Some(own)) = (run(&original), run(&ours)) else { return };
    assert_eq!(theirs, own);
}

#[test]
fn a_master_that_does_not_accept_is_silent_at_its_address() {
    const NAME: &str = "a_master_that_does_not_accept";
    let Some(lab) = lab(NAME) else { return };
    if lacks(NAME, &["ping", "nft"]) {
        return;
    }
    let ours = Program::ours("keepalived", "keepalived");
    let text = "vrrp_instance VI_1 {\n state BACKUP\n interface eth0\n no_accept\n virtual_router_id 51\n priority 150\n \
        advert_int 1\n virtual_ipaddress {\n  10.9.0.100/24\n }\n}\n";
    let mut node = start(&lab.a, &ours, text);
    masters(&node, 1);
    let answers = |address: &str| lab.b.try_sh(&format!("ping -c 1 -W 1 {address}")).status.success();
    assert!(wait_for(PATIENCE, || lab.a.holds("10.9.0.100").then_some(())).is_some());
    assert!(answers("10.9.0.1") && !answers("10.9.0.100"), "{}", node.output());
    // A new configuration may open it, and close it again, without a change of state.
    for (text, open) in [(text.replace(" no_accept\n", ""), true), (text.to_owned(), false)] {
        lab.a.file("vrrp.conf", &text);
        assert!(node.signal(Signal::SIGHUP));
        assert!(
            wait_for(PATIENCE, || (answers("10.9.0.100") == open).then_some(())).is_some(),
            "{}",
            node.output()
        );
    }
    assert_eq!(node.output().matches("Entering").count(), 2, "{}", node.output());
    assert!(node.signal(Signal::SIGTERM) && node.wait(PATIENCE).is_some());
    assert_eq!(lab.a.sh("nft list ruleset"), "");
}
