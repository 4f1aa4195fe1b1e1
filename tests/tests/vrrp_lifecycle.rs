//! What happens around a running VRRP instance: a log that nobody reads, a split brain, an address that somebody
//! deletes, a bad file at reload, an interface that comes late, a link that goes and returns, static addresses.

use holdfast_tests::frames::Capture;
use holdfast_tests::netns::{Host, Net, Port, wait_for};
use holdfast_tests::node::{Node, Program};
use nix::sys::signal::Signal;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

/// Far more than any timer of these cases; the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(20);
const VIP: &str = "10.9.0.100";

fn configuration(priority: u8, more: &str) -> String {
    format!(
        "global_defs {{\n router_id t\n vrrp_version 3\n script_user root\n enable_script_security\n}}\nvrrp_instance VI_1 {{\n \
         state BACKUP\n interface eth0\n virtual_router_id 51\n priority {priority}\n advert_int 0.2\n{more} \
         virtual_ipaddress {{\n  {VIP}\n }}\n}}\n"
    )
}

fn start(host: &Host, configuration: &str) -> Node {
    let file = host.file("vrrp.conf", configuration).to_string_lossy().into_owned();
    Node::start(host, &Program::ours("keepalived", "keepalived"), &["-n", "-l", "-P", "-f", &file])
}

fn wait_holds(host: &Host, vip: &str, wanted: bool, node: &Node) {
    let seen = wait_for(PATIENCE, || (host.holds(vip) == wanted).then_some(()));
    assert!(seen.is_some(), "{} should hold {vip}: {wanted}\n{}", host.name(), node.output());
}

struct Pair {
    _net: Net,
    a: Host,
    b: Host,
    x: Host,
    cables: [Port; 2],
}

impl Pair {
    fn new(name: &str) -> Option<Self> {
        let net = Net::new(name)?;
        let (a, b, x) = (net.host("a"), net.host("b"), net.host("x"));
        let bridge = net.bridge("lan");
        let cables = [
            net.plug(&a, "eth0", &bridge, &["10.9.0.1/24"]),
            net.plug(&b, "eth0", &bridge, &["10.9.0.2/24"]),
        ];
        net.plug(&x, "eth0", &bridge, &["10.9.0.66/24"]);
        Some(Self { _net: net, a, b, x, cables })
    }
}

#[test]
fn a_log_that_nobody_reads_holds_up_no_takeover() {
    let Some(pair) = Pair::new("full log") else { return };
    let node_a = start(&pair.a, &configuration(150, ""));
    wait_holds(&pair.a, VIP, true, &node_a);
    let path = format!("/proc/{}/root/dev/log", pair.b.pid());
    let _ = std::fs::remove_file(&path);
    let deaf = UnixDatagram::bind(&path).expect("a socket that nobody reads");
    let full = UnixDatagram::unbound().expect("a socket");
    full.set_nonblocking(true).expect("set");
    while full.send_to(b"<30>full", &path).is_ok() {}
    // Without `-l`: lines go to syslog, where there is no room for any.
    let file = pair.b.file("vrrp.conf", &configuration(100, "")).to_string_lossy().into_owned();
    let ours = Program::ours("keepalived", "keepalived");
    let mut node_b = Node::start(&pair.b, &ours, &["-n", "-D", "-P", "-f", &file]);
    std::thread::sleep(Duration::from_secs(1));
    assert!(!pair.b.holds(VIP));
    pair.cables[0].block();
    wait_holds(&pair.b, VIP, true, &node_b);
    pair.cables[0].heal();
    wait_holds(&pair.b, VIP, false, &node_b);
    assert!(node_b.signal(Signal::SIGTERM));
    assert!(node_b.wait(PATIENCE).is_some(), "it ends all the same");
    drop(deaf);
}

#[test]
fn the_winner_of_a_split_brain_claims_its_addresses_again() {
    let name = "split brain";
    let Some(pair) = Pair::new(name) else { return };
    let (node_a, node_b) = (start(&pair.a, &configuration(150, "")), start(&pair.b, &configuration(100, "")));
    wait_holds(&pair.a, VIP, true, &node_a);
    pair.cables[1].block();
    wait_holds(&pair.b, VIP, true, &node_b);
    // The bursts of the first take-over are over.
    std::thread::sleep(Duration::from_secs(6));
    let Some(capture) = Capture::start(name, &pair.x, "eth0", "arp") else { return };
    pair.cables[1].heal();
    wait_holds(&pair.b, VIP, false, &node_b);
    std::thread::sleep(Duration::from_secs(1));
    let frames = capture.stop();
    let claims = frames.fields("arp.isgratuitous == 1", &["arp.src.hw_mac", "arp.src.proto_ipv4"]);
    let mac = pair.a.sh("ip -o link show eth0");
    let mac = mac.split_whitespace().skip_while(|w| *w != "link/ether").nth(1).unwrap_or_default().to_owned();
    let again = claims.iter().filter(|f| f[0] == mac && f[1] == VIP).count();
    assert!(again >= 5, "{mac}: {claims:?}\n{}\n{}", node_a.output(), node_b.output());
    assert!(pair.a.holds(VIP));
}

#[test]
fn a_deleted_address_is_put_back_without_leaving_master() {
    let name = "deleted address";
    let Some(pair) = Pair::new(name) else { return };
    let node =
        start(&pair.a, &configuration(150, " virtual_routes {\n  10.8.0.0/24 via 10.9.0.66 dev eth0\n }\n"));
    wait_holds(&pair.a, VIP, true, &node);
    let Some(capture) = Capture::start(name, &pair.x, "eth0", "ip proto 112") else { return };
    pair.a.sh(&format!("ip address del {VIP}/32 dev eth0"));
    node.wait_output("staying MASTER", PATIENCE);
    wait_holds(&pair.a, VIP, true, &node);
    std::thread::sleep(Duration::from_millis(500));
    let frames = capture.stop();
    let priorities = frames.fields("vrrp", &["vrrp.prio"]);
    assert!(!priorities.is_empty() && priorities.iter().all(|f| f[0] == "150"), "{priorities:?}");
    assert!(!node.output().contains("FAULT") && pair.a.sh("ip route").contains("10.8.0.0/24"));
    // The address that adverts come from is another matter: without it nothing can be said.
    pair.a.sh("ip address del 10.9.0.1/24 dev eth0");
    node.wait_output("Entering FAULT STATE", PATIENCE);
    wait_holds(&pair.a, VIP, false, &node);
    pair.a.sh("ip address add 10.9.0.1/24 dev eth0");
    wait_holds(&pair.a, VIP, true, &node);
}

#[test]
fn a_bad_file_at_reload_changes_nothing_and_a_good_one_does_not_flap() {
    let name = "reload";
    let Some(pair) = Pair::new(name) else { return };
    let mut node = start(&pair.a, &configuration(150, ""));
    wait_holds(&pair.a, VIP, true, &node);
    let Some(capture) = Capture::start(name, &pair.x, "eth0", "ip proto 112 or arp") else { return };
    for bad in [
        // A keyword without its parameter, and an interface that does not exist: both end the original.
        configuration(150, "").replace("priority 150", "priority"),
        configuration(150, "").replace("interface eth0", "interface nowhere0"),
    ] {
        let before = node.output().lines().count();
        pair.a.file("vrrp.conf", &bad);
        assert!(node.signal(Signal::SIGHUP));
        let refused = || {
            node.output()
                .lines()
                .skip(before)
                .any(|l| l.contains("refused") || l.contains("in force"))
                .then_some(())
        };
        assert!(wait_for(PATIENCE, refused).is_some(), "{}", node.output());
        assert!(node.runs() && pair.a.holds(VIP), "{}", node.output());
    }
    // A file that cannot be read at all.
    pair.a.sh(&format!("mv {0}/vrrp.conf {0}/away", pair.a.dir().display()));
    assert!(node.signal(Signal::SIGHUP));
    std::thread::sleep(Duration::from_millis(500));
    assert!(node.runs() && pair.a.holds(VIP), "{}", node.output());
    // A good one: another address more, the same master, no farewell.
    let good = configuration(150, "").replace(&format!("  {VIP}\n"), &format!("  {VIP}\n  10.9.0.101\n"));
    pair.a.file("vrrp.conf", &good);
    assert!(node.signal(Signal::SIGHUP));
    wait_holds(&pair.a, "10.9.0.101", true, &node);
    std::thread::sleep(Duration::from_millis(600));
    let frames = capture.stop();
    let adverts = frames.fields("vrrp", &["vrrp.prio", "frame.time_relative"]);
    assert!(adverts.iter().all(|f| f[0] == "150"), "{adverts:?}");
    let claimed = frames.fields("arp.isgratuitous == 1", &["arp.src.proto_ipv4"]);
    assert!(claimed.iter().any(|f| f[0] == "10.9.0.101"), "the new one is claimed: {claimed:?}");
    assert_eq!(node.output().matches("Entering MASTER STATE").count(), 1, "{}", node.output());
}

#[test]
fn an_interface_may_come_late_and_links_go_and_return() {
    let Some(pair) = Pair::new("late interface") else { return };
    let text = configuration(150, "")
        .replace("router_id t", "router_id t\n dynamic_interfaces")
        .replace("eth0", "dyn0");
    let node = start(&pair.a, &text);
    node.wait_output("which doesn't currently exist - will use if created", PATIENCE);
    pair.a.sh("ip link add dyn0 type veth peer name dyn1 && ip address add 10.9.5.1/24 dev dyn0 && ip link set dyn1 up && ip link set dyn0 up");
    wait_holds(&pair.a, VIP, true, &node);
    // Carrier lost, then back; then the interface deleted and made anew.
    pair.a.sh("ip link set dyn1 down");
    wait_holds(&pair.a, VIP, false, &node);
    pair.a.sh("ip link set dyn1 up");
    wait_holds(&pair.a, VIP, true, &node);
    pair.a.sh("ip link del dyn0");
    let faults = || (node.output().matches("Entering FAULT STATE").count() >= 2).then_some(());
    assert!(wait_for(PATIENCE, faults).is_some(), "{}", node.output());
    pair.a.sh("ip link add dyn0 type veth peer name dyn1 && ip address add 10.9.5.1/24 dev dyn0 && ip link set dyn1 up && ip link set dyn0 up");
    wait_holds(&pair.a, VIP, true, &node);
}

#[test]
fn trackers_weigh_reverse_and_fault() {
    let Some(pair) = Pair::new("trackers") else { return };
    let script = pair.a.file("check.sh", "#!/bin/sh\nexit $(cat /run/rc)\n");
    pair.a.sh(&format!("chmod 755 {}; echo 0 > /run/rc; echo 0 > /run/tf", script.display()));
    // Scripts must lie where only root can write; the host's own /run is such a place.
    pair.a.sh(&format!(
        "mkdir -p /run/bin && cp {} /run/bin/check.sh && chmod 755 /run/bin /run/bin/check.sh",
        script.display()
    ));
    let trackers = "vrrp_script chk {\n script /run/bin/check.sh\n interval 1\n fall 1\n rise 1\n weight -60 reverse\n}\n\
                    track_file tf {\n file /run/tf\n weight 1\n}\n";
    let text = format!(
        "{}{trackers}{}",
        "global_defs {\n router_id t\n vrrp_version 3\n script_user root\n enable_script_security\n}\n",
        configuration(150, " track_file {\n  tf\n }\n track_script {\n  chk\n }\n notify_fault \"/usr/bin/touch /run/was-fault\"\n")
            .split_once("}\n")
            .map_or("", |(_, rest)| rest)
    );
    let node = start(&pair.a, &text);
    // reverse: a failing script adds, a good one does not.
    wait_holds(&pair.a, VIP, true, &node);
    pair.a.sh("echo 1 > /run/rc");
    node.wait_output("Changing effective priority from 150 to 210", PATIENCE);
    pair.a.sh("echo 0 > /run/rc");
    node.wait_output("Changing effective priority from 210 to 150", PATIENCE);
    pair.a.sh("echo -20 > /run/tf");
    node.wait_output("Changing effective priority from 150 to 130", PATIENCE);
    pair.a.sh("echo -300 > /run/tf");
    wait_holds(&pair.a, VIP, false, &node);
    let told = wait_for(PATIENCE, || pair.a.try_sh("test -e /run/was-fault").status.success().then_some(()));
    assert!(told.is_some(), "notify_fault ran\n{}", node.output());
    pair.a.sh("echo 0 > /run/tf");
    wait_holds(&pair.a, VIP, true, &node);
}
