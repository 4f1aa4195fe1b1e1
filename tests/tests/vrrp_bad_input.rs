//! Adverts that are wrong in every way, one by one and 10,000 a second: dropped, counted, said once, no timer moved.
//!
//! The same frames go to Debian's keepalived where it is installed; counters and lines must be the same but for the
//! differences written down here.

use holdfast_tests::frames::Capture;
use holdfast_tests::netns::{Host, Net, wait_for};
use holdfast_tests::node::{Node, Program};
use nix::sys::signal::Signal;
use std::collections::BTreeMap;
use std::net::Ipv6Addr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use vrrpd::config::model::{Authentication, Version};
use vrrpd::core::advert::{Advert, Envelope, V3Checksum, encode};

/// Far more than any timer of these cases; the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(20);
const VIP: &str = "10.9.0.100";
const ATTACKER: &str = "10.9.0.66";
const VIP6: &str = "fe80::100";
const SECRET: [u8; 8] = *b"secret12";

/// How the instance under test speaks.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Pass,
    Ah,
    V3,
    /// Version 3 over IPv6.
    V6,
}

impl Kind {
    fn version(self) -> Version {
        if matches!(self, Self::V3 | Self::V6) { Version::V3 } else { Version::V2 }
    }

    fn authentication(self) -> Authentication {
        match self {
            Self::Pass => Authentication::Pass(SECRET),
            Self::Ah => Authentication::Ah(SECRET),
            Self::V3 | Self::V6 => Authentication::None,
        }
    }

    fn vip(self) -> &'static str {
        if self == Self::V6 { VIP6 } else { VIP }
    }

    fn configuration(self, priority: u8) -> String {
        let (version, more) = match self {
            Self::Pass => (2, " authentication {\n  auth_type PASS\n  auth_pass secret12\n }\n"),
            Self::Ah => (2, " authentication {\n  auth_type AH\n  auth_pass secret12\n }\n"),
            Self::V3 | Self::V6 => (3, ""),
        };
        let vip = self.vip();
        format!(
            "global_defs {{\n router_id t\n vrrp_version {version}\n}}\nvrrp_instance VI_1 {{\n state BACKUP\n \
             interface eth0\n virtual_router_id 51\n priority {priority}\n advert_int 1\n{more} virtual_ipaddress {{\n  \
             {vip}\n }}\n}}\n"
        )
    }
}

/// An advert that would make the instance under test give way, before something is made wrong with it.
fn advert(kind: Kind, change: impl FnOnce(&mut Advert, &mut Envelope)) -> Vec<u8> {
    let mut advert = Advert {
        version: kind.version(),
        vrid: 51,
        priority: 200,
        interval_cs: 100,
        addresses: vec![VIP.parse().expect("an address")],
    };
    let mut envelope = Envelope {
        source: ATTACKER.parse().expect("an address"),
        destination: "224.0.0.18".parse().expect("an address"),
        ttl: 255,
        id: 1,
        authentication: kind.authentication(),
        sequence: 1000,
        checksum: V3Checksum::Pseudo,
        group: "224.0.0.18".parse().expect("an address"),
    };
    change(&mut advert, &mut envelope);
    encode(&advert, &envelope)
}

fn sum(bytes: &[u8], mut total: u32) -> u32 {
    bytes.chunks(2).for_each(|p| total += u32::from(p[0]) << 8 | u32::from(*p.get(1).unwrap_or(&0)));
    total
}

fn folded(mut total: u32) -> [u8; 2] {
    while total > 0xffff {
        total = (total & 0xffff) + (total >> 16);
    }
    (!(total as u16)).to_be_bytes()
}

/// The packet with other octets behind the IPv4 header, its lengths and checksums made good again.
fn rewritten(packet: &[u8], version_2: bool, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let (mut header, mut pdu) = (packet[..20].to_vec(), packet[20..].to_vec());
    change(&mut pdu);
    if pdu.len() >= 8 {
        pdu[6..8].fill(0);
        let pseudo = if version_2 { 0 } else { sum(&header[12..20], 112 + pdu.len() as u32) };
        let value = folded(sum(&pdu, pseudo));
        pdu[6..8].copy_from_slice(&value);
    }
    header[2..4].copy_from_slice(&((20 + pdu.len()) as u16).to_be_bytes());
    header[10..12].fill(0);
    let value = folded(sum(&header, 0));
    header[10..12].copy_from_slice(&value);
    header.extend(pdu);
    header
}

/// What is sent, under a name; every one is wrong in one way.
fn cases(kind: Kind) -> Vec<(&'static str, Vec<u8>)> {
    let v2 = kind != Kind::V3;
    let good = advert(kind, |_, _| {});
    let mut cases = vec![
        ("TTL", advert(kind, |_, e| e.ttl = 254)),
        ("unknown VRID", advert(kind, |a, _| a.vrid = 99)),
        ("count", advert(kind, |a, _| a.addresses.push("10.9.0.101".parse().expect("an address")))),
        (
            "addresses",
            advert(kind, |a, e| {
                a.addresses = vec!["10.9.0.250".parse().expect("an address")];
                e.sequence = 1500;
            }),
        ),
        ("from ourselves", advert(kind, |_, e| e.source = "10.9.0.1".parse().expect("an address"))),
        ("truncated", {
            let mut packet = good.clone();
            packet.truncate(26);
            packet
        }),
        ("only a header", rewritten(&good, v2, |pdu| pdu.truncate(4))),
    ];
    if kind == Kind::Ah {
        let mut forged = good.clone();
        forged[20 + 12] ^= 1;
        cases.push(("AH value", forged));
        cases.push(("no AH", advert(Kind::Pass, |_, e| e.authentication = Authentication::None)));
        // Taken once, at a priority that changes nothing, so that the second one is a replay.
        let low = advert(kind, |a, e| {
            a.priority = 10;
            e.sequence = 2000;
        });
        cases.push(("accepted", low.clone()));
        cases.push(("replayed", low));
        return cases;
    }
    let mut sum_wrong = good.clone();
    sum_wrong[26] ^= 0x55;
    cases.extend([
        ("checksum", sum_wrong),
        ("short", rewritten(&good, v2, |pdu| pdu.truncate(9))),
        ("long", rewritten(&good, v2, |pdu| pdu.extend([0; 40]))),
        ("packet type", rewritten(&good, v2, |pdu| pdu[0] = pdu[0] & 0xf0 | 2)),
        ("version", advert(if v2 { Kind::V3 } else { Kind::Pass }, |_, _| {})),
        ("unexpected AH", advert(Kind::Ah, |_, _| {})),
    ]);
    if kind == Kind::Pass {
        cases.push((
            "password",
            advert(kind, |_, e| e.authentication = Authentication::Pass(*b"wrong\0\0\0")),
        ));
        cases.push(("auth none", advert(kind, |_, e| e.authentication = Authentication::None)));
        cases.push(("auth type", rewritten(&good, true, |pdu| pdu[4] = 9)));
        cases.push(("interval", advert(kind, |a, _| a.interval_cs = 300)));
    }
    cases
}

/// An advert over IPv6 from `source`, its payload changed before the checksum is made.
fn advert6(
    source: Ipv6Addr,
    hop_limit: u8,
    change: impl FnOnce(&mut Advert),
    rewrite: impl FnOnce(&mut Vec<u8>),
) -> Vec<u8> {
    let group: Ipv6Addr = "ff02::12".parse().expect("an address");
    let mut advert = Advert {
        version: Version::V3,
        vrid: 51,
        priority: 200,
        interval_cs: 100,
        addresses: vec![VIP6.parse().expect("an address")],
    };
    change(&mut advert);
    let envelope = Envelope {
        source: source.into(),
        destination: group.into(),
        ttl: hop_limit,
        id: 1,
        authentication: Authentication::None,
        sequence: 0,
        checksum: V3Checksum::Pseudo,
        group: "224.0.0.18".parse().expect("an address"),
    };
    let mut pdu = encode(&advert, &envelope);
    rewrite(&mut pdu);
    if pdu.len() >= 8 {
        pdu[6..8].fill(0);
        let pseudo = sum(&group.octets(), sum(&source.octets(), 112 + pdu.len() as u32));
        let value = folded(sum(&pdu, pseudo));
        pdu[6..8].copy_from_slice(&value);
    }
    let mut packet = vec![0x6c, 0, 0, 0];
    packet.extend((pdu.len() as u16).to_be_bytes());
    packet.extend([112, hop_limit]);
    packet.extend(source.octets());
    packet.extend(group.octets());
    packet.extend(pdu);
    packet
}

/// As [`cases`], over IPv6, but for the advert that seems to be our own: the original gives way to it.
fn cases6() -> Vec<(&'static str, Vec<u8>)> {
    let attacker: Ipv6Addr = "fe80::66".parse().expect("an address");
    let changed = |change: &dyn Fn(&mut Advert)| advert6(attacker, 255, change, |_| {});
    let rewritten = |rewrite: &dyn Fn(&mut Vec<u8>)| advert6(attacker, 255, |_| {}, rewrite);
    let mut sum_wrong = changed(&|_| {});
    sum_wrong[46] ^= 0x55;
    let mut truncated = changed(&|_| {});
    truncated.truncate(50);
    vec![
        ("hop limit", advert6(attacker, 254, |_| {}, |_| {})),
        ("unknown VRID", changed(&|a| a.vrid = 99)),
        ("count", changed(&|a| a.addresses.push("fe80::101".parse().expect("an address")))),
        ("addresses", changed(&|a| a.addresses = vec!["fe80::250".parse().expect("an address")])),
        ("truncated", truncated),
        ("only a header", rewritten(&|pdu| pdu.truncate(4))),
        ("checksum", sum_wrong),
        ("short", rewritten(&|pdu| pdu.truncate(9))),
        ("long", rewritten(&|pdu| pdu.extend([0; 40]))),
        ("packet type", rewritten(&|pdu| pdu[0] = pdu[0] & 0xf0 | 2)),
        ("version", rewritten(&|pdu| pdu[0] = 0x21)),
    ]
}

/// Sends IP packets as frames from `host`'s eth0.
struct Sender {
    socket: std::os::fd::OwnedFd,
    ifindex: u32,
}

impl Sender {
    fn new(host: &Host) -> Self {
        let link = host.sh("ip -o link show eth0");
        let ifindex = link.split(':').next().and_then(|n| n.trim().parse().ok()).expect("a number");
        let socket = host.inside(|| sys::packet::sender().map(Into::into).expect("a packet socket"));
        Self { socket, ifindex }
    }

    fn send(&self, packets: &[&[u8]]) -> usize {
        let frames: Vec<Vec<u8>> = packets
            .iter()
            .map(|p| {
                let six = p[0] >> 4 == 6;
                let group = if six { [0x33, 0x33, 0, 0, 0, 0x12] } else { [1, 0, 0x5e, 0, 0, 0x12] };
                let mut frame = group.to_vec();
                frame.extend([2, 0, 0, 0, 0, 0x66]);
                frame.extend(if six { [0x86, 0xdd] } else { [8, 0] });
                frame.extend_from_slice(p);
                frame
            })
            .collect();
        let to = sys::packet::link_address(self.ifindex, 0x0800);
        let batch: Vec<_> = frames.iter().map(|f| (&to, f.as_slice())).collect();
        sys::packet::send_batch(&self.socket, &batch).0
    }
}

fn start(host: &Host, program: &Program, configuration: &str) -> Node {
    let file = host.file("vrrp.conf", configuration).to_string_lossy().into_owned();
    Node::start(host, program, &["-n", "-l", "-P", "-f", &file])
}

/// The counters of the statistics file, by their words.
fn stats(host: &Host, node: &Node) -> BTreeMap<String, u64> {
    host.sh("rm -f /tmp/keepalived.stats");
    assert!(node.signal(Signal::SIGUSR2));
    let written = || {
        let text = host.try_sh("cat /tmp/keepalived.stats");
        let text = String::from_utf8_lossy(&text.stdout).into_owned();
        text.trim_end().lines().last().is_some_and(|l| l.trim().starts_with("Sent:")).then_some(text)
    };
    let text = wait_for(PATIENCE, written).expect("the statistics file");
    let mut out = BTreeMap::new();
    let mut part = "";
    for line in text.lines().map(str::trim) {
        match line.rsplit_once(": ") {
            Some((name, number)) => {
                if let Ok(number) = number.parse() {
                    out.insert(format!("{part}/{name}"), number);
                }
            }
            None => part = line.trim_end_matches(':'),
        }
    }
    out
}

/// One host under test, one that attacks.
struct Scene {
    _net: Net,
    target: Host,
    attacker: Host,
}

impl Scene {
    fn new(name: &str) -> Option<Self> {
        let net = Net::new(name)?;
        let (target, attacker) = (net.host("a"), net.host("x"));
        let bridge = net.bridge("lan");
        net.plug(&target, "eth0", &bridge, &["10.9.0.1/24"]);
        net.plug(&attacker, "eth0", &bridge, &["10.9.0.66/24"]);
        Some(Self { _net: net, target, attacker })
    }

    /// The address that the target advertises from over IPv6.
    fn own6(&self) -> Ipv6Addr {
        let text = self.target.sh("ip -6 -o address show dev eth0 scope link");
        let words = text.split_whitespace().filter_map(|w| w.split('/').next()?.parse::<Ipv6Addr>().ok());
        words.into_iter().find(|a| a.to_string() != VIP6).expect("a link-local address")
    }
}

/// Sends every case once to a master; what it counted and said.
fn observe(name: &str, kind: Kind, program: &Program) -> Option<(BTreeMap<String, u64>, Vec<String>)> {
    let scene = Scene::new(name)?;
    let node = start(&scene.target, program, &kind.configuration(100));
    let holds = || scene.target.holds(kind.vip());
    wait_for(PATIENCE, || holds().then_some(())).expect("the only one is master");
    let before = stats(&scene.target, &node);
    let quiet = node.output().lines().count();
    let sender = Sender::new(&scene.attacker);
    let packets = if kind == Kind::V6 { cases6() } else { cases(kind) };
    for (_, packet) in packets {
        assert_eq!(sender.send(&[&packet]), 1);
        std::thread::sleep(Duration::from_millis(60));
    }
    std::thread::sleep(Duration::from_millis(300));
    assert!(holds(), "{name}: {}: gave way\n{}", program.name, node.output());
    let after = stats(&scene.target, &node);
    let grown = after.into_iter().filter_map(|(name, n)| {
        let n = n - before.get(&name).copied().unwrap_or(0);
        (n > 0 && name != "Advertisements/Sent").then_some((name, n))
    });
    // What the one good advert gives, if the master is no longer new.
    let good = |l: &str| l.contains("with lower priority");
    // The console's time comes before the text.
    let text =
        |l: &str| l.split_once(" 2").and_then(|(_, l)| l.split_once(": ")).map_or(l, |(_, l)| l).to_owned();
    let lines = node
        .output()
        .lines()
        .skip(quiet)
        .map(text)
        .filter(|l| !l.contains("Printing VRRP stats") && !good(l))
        .collect();
    Some((grown.collect(), lines))
}

fn compare(name: &str, kind: Kind, counted: &[(&str, u64)], said: &[&str], known: &[(&str, i64)]) {
    let Some((ours, lines)) = observe(name, kind, &Program::ours("keepalived", "keepalived")) else { return };
    let wanted: BTreeMap<String, u64> = counted.iter().map(|(n, c)| ((*n).to_owned(), *c)).collect();
    assert_eq!(ours, wanted, "{name}: counters; lines:\n{}", lines.join("\n"));
    assert_eq!(lines, said, "{name}: lines");
    let Some(original) = Program::original(name, "keepalived") else { return };
    let Some((mut theirs, their_lines)) = observe(name, kind, &original) else { return };
    for (counter, more) in known {
        let entry = theirs.entry((*counter).to_owned()).or_default();
        *entry = entry.checked_add_signed(*more).expect("a difference that exists");
    }
    theirs.retain(|_, n| *n > 0);
    assert_eq!(
        ours,
        theirs,
        "{name}: counters beside the original's; its lines:\n{}",
        their_lines.join("\n")
    );
    // The original raises its own sequence number meanwhile, so the last number of that line is another.
    let head = |l: &str| l.split(" Local(").next().unwrap_or_default().to_owned();
    for line in said {
        assert!(
            their_lines.iter().any(|l| head(l) == head(line)),
            "{name}: `{line}` is not the original's:\n{}",
            their_lines.join("\n")
        );
    }
}

#[test]
fn version_2_with_a_password() {
    compare(
        "bad input v2",
        Kind::Pass,
        &[
            ("Advertisements/Received", 1),
            ("Authentication Errors/Failure", 1),
            ("Authentication Errors/Invalid Type", 1),
            ("Authentication Errors/Type Mismatch", 1),
            ("Packet Errors/Address List", 2),
            ("Packet Errors/Advertisement Interval", 1),
            ("Packet Errors/Invalid Type", 1),
            ("Packet Errors/Length", 4),
            ("Packet Errors/TTL", 1),
        ],
        &[
            "(VI_1) invalid TTL/HL. Received 254 and expect 255",
            "(VI_1) received an unexpected ip number count 2, expected 1!",
            "(VI_1) ip address associated with VRID 51 not present in MASTER advert: 10.9.0.100",
            "IPv4 VRRP packet too short - 24 bytes",
            "(VI_1) Invalid VRRPv2 checksum",
            "(VI_1) vrrp packet too short, length 29 and expect 40",
            "(VI_1) vrrp packet too long, length 80 and expect 40",
            "(VI_1) Invalid packet type. 2 and expect 1",
            "(VI_1) wrong version. Received 3 and expect 2",
            "(VI_1) received an invalid passwd!",
            "(VI_1) received a 0 auth, expecting 1!",
            "(VI_1) advertisement interval mismatch mine=1 sec rcv'd=3 sec",
        ],
        // The original counts neither a wrong checksum nor a wrong version nor a wrong interval.
        &[("Packet Errors/Length", 2), ("Packet Errors/Advertisement Interval", 1)],
    );
}

#[test]
fn version_3() {
    compare(
        "bad input v3",
        Kind::V3,
        &[
            ("Advertisements/Received", 1),
            ("Packet Errors/Address List", 2),
            ("Packet Errors/Invalid Type", 1),
            ("Packet Errors/Length", 4),
            ("Packet Errors/TTL", 1),
        ],
        &[
            "(VI_1) invalid TTL/HL. Received 254 and expect 255",
            "(VI_1) received an unexpected ip number count 2, expected 1!",
            "(VI_1) ip address associated with VRID 51 not present in MASTER advert: 10.9.0.100",
            "IPv4 VRRP packet too short - 24 bytes",
            "(VI_1) Invalid VRRPv3 checksum",
            "(VI_1) vrrp packet too short, length 29 and expect 32",
            "(VI_1) vrrp packet too long, length 72 and expect 32",
            "(VI_1) Invalid packet type. 2 and expect 1",
            "(VI_1) wrong version. Received 2 and expect 3",
        ],
        // The original counts neither a wrong checksum nor a wrong version.
        &[("Packet Errors/Length", 2)],
    );
}

#[test]
fn version_3_over_ipv6() {
    compare(
        "bad input v6",
        Kind::V6,
        &[
            ("Advertisements/Received", 1),
            ("Packet Errors/Address List", 2),
            ("Packet Errors/Invalid Type", 1),
            ("Packet Errors/Length", 3),
            ("Packet Errors/TTL", 1),
        ],
        &[
            "(VI_1) invalid TTL/HL. Received 254 and expect 255",
            "(VI_1) received an unexpected ip number count 2, expected 1!",
            "(VI_1) ip address associated with VRID 51 not present in MASTER advert: fe80::100",
            "(VI_1) vrrp packet too short, length 9 and expect 24",
            "(VI_1) vrrp packet too long, length 64 and expect 24",
            "(VI_1) Invalid packet type. 2 and expect 1",
            "(VI_1) wrong version. Received 2 and expect 3",
        ],
        // The kernel drops what is truncated, shorter than a checksum or has a wrong one. The original does not count a
        // wrong version.
        &[("Packet Errors/Length", 1)],
    );
}

#[test]
fn an_advert_from_our_own_address_over_ipv6_is_nobodys() {
    let Some(scene) = Scene::new("bad input v6, own address") else { return };
    let node = start(&scene.target, &Program::ours("keepalived", "keepalived"), &Kind::V6.configuration(100));
    wait_for(PATIENCE, || scene.target.holds(VIP6).then_some(())).expect("the only one is master");
    assert_eq!(Sender::new(&scene.attacker).send(&[&advert6(scene.own6(), 255, |_| {}, |_| {})]), 1);
    node.wait_output("equal priority advert received from remote host with our IP address", PATIENCE);
    let counted = stats(&scene.target, &node);
    assert_eq!(counted["Advertisements/Received"], 0, "{counted:?}");
    assert!(scene.target.holds(VIP6), "{}", node.output());
}

#[test]
fn authentication_header() {
    compare(
        "bad input AH",
        Kind::Ah,
        &[
            ("Advertisements/Received", 2),
            ("Authentication Errors/Failure", 2),
            ("Packet Errors/Address List", 2),
            ("Packet Errors/TTL", 1),
        ],
        &[
            "(VI_1) invalid TTL/HL. Received 254 and expect 255",
            "(VI_1) received an unexpected ip number count 2, expected 1!",
            "(VI_1) ip address associated with VRID 51 not present in MASTER advert: 10.9.0.100",
            "IPv4 VRRP packet too short - 24 bytes",
            "(VI_1) IPSEC-AH : invalid IPSEC HMAC-MD5 value. Due to fields mutation or bad password !",
            "(VI_1) IPSEC-AH : sequence number 2000 already processed. Packet dropped. Local(2000)",
        ],
        &[],
    );
}

/// Sends at 10,000 a second until told to stop; how many went.
fn flood(sender: &Sender, packets: &[Vec<u8>], stop: &AtomicBool, sent: &AtomicU64) {
    let start = Instant::now();
    let mut at = 0;
    while !stop.load(Ordering::Relaxed) {
        let due = start.elapsed().as_micros() as u64 / 100;
        let mut batch: Vec<&[u8]> = Vec::new();
        while sent.load(Ordering::Relaxed) + (batch.len() as u64) < due && batch.len() < 200 {
            batch.push(&packets[at % packets.len()]);
            at += 1;
        }
        if batch.is_empty() {
            std::thread::sleep(Duration::from_millis(2));
        } else {
            sent.fetch_add(sender.send(&batch) as u64, Ordering::Relaxed);
        }
    }
}

#[test]
fn ten_thousand_a_second_disturb_no_timer() {
    let name = "bad input flood";
    let Some(net) = Net::new(name) else { return };
    let (a, b, x) = (net.host("a"), net.host("b"), net.host("x"));
    let bridge = net.bridge("lan");
    let cable = net.plug(&a, "eth0", &bridge, &["10.9.0.1/24"]);
    net.plug(&b, "eth0", &bridge, &["10.9.0.2/24"]);
    net.plug(&x, "eth0", &bridge, &["10.9.0.66/24"]);
    let ours = Program::ours("keepalived", "keepalived");
    let node_a = start(&a, &ours, &Kind::Pass.configuration(150));
    wait_for(PATIENCE, || a.holds(VIP).then_some(())).expect("the only one is master");
    let node_b = start(&b, &ours, &Kind::Pass.configuration(100));
    node_b.wait_output("Entering BACKUP STATE", PATIENCE);
    let Some(capture) = Capture::start(name, &x, "eth0", "ip proto 112 and not src host 10.9.0.66") else {
        return;
    };

    // Everything that is wrong, and a lower advert that is right, which a master may answer but not 10,000 times.
    let mut packets: Vec<Vec<u8>> =
        cases(Kind::Pass).into_iter().filter(|(n, _)| *n != "from ourselves").map(|(_, p)| p).collect();
    packets.push(advert(Kind::Pass, |a, _| a.priority = 5));
    let (stop, sent) = (AtomicBool::new(false), AtomicU64::new(0));
    let sender = Sender::new(&x);
    let (lines_a, lines_b) = (node_a.output().lines().count(), node_b.output().lines().count());
    std::thread::scope(|scope| {
        scope.spawn(|| flood(&sender, &packets, &stop, &sent));
        std::thread::sleep(Duration::from_secs(5));
        let (still, not_yet) = (a.holds(VIP), b.holds(VIP));
        // The master goes while the flood does not: the backup takes over all the same.
        cable.block();
        let over = wait_for(PATIENCE, || b.holds(VIP).then_some(()));
        stop.store(true, Ordering::Relaxed);
        assert!(still && !not_yet, "a flap\n{}\n{}", node_a.output(), node_b.output());
        assert!(over.is_some(), "no take-over in a flood\n{}", node_b.output());
    });
    let frames = capture.stop();
    let fields = frames.fields("vrrp && ip.src == 10.9.0.1", &["frame.time_relative", "vrrp.prio"]);
    let times: Vec<f64> = fields.iter().filter_map(|f| f[0].parse().ok()).collect();
    assert!(fields.iter().all(|f| f[1] == "150"), "{fields:?}");
    let worst = times.windows(2).map(|w| w[1] - w[0]).fold(0.0, f64::max);
    // Three intervals without an advert would be a take-over; one late by a busy machine is not.
    assert!(worst < 2.0, "the master's beat: {times:?}");
    // Four answers in an interval at most, and its own beat.
    assert!(times.len() <= 6 * 5 + 5, "{} adverts in 5 s", times.len());
    for (node, before) in [(&node_a, lines_a), (&node_b, lines_b)] {
        let said = node.output().lines().count() - before;
        // One line per cause; two causes recur with the state (a lower advert, at most four in an interval).
        assert!(said <= 20 + 4 * 12, "{said} lines:\n{}", node.output());
    }
    assert!(sent.load(Ordering::Relaxed) > 10_000, "{} packets", sent.load(Ordering::Relaxed));
}
