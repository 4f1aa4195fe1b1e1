//! The daemons on one host together: what one learns from the others over the bus, and that each of them does
//! without it.
//!
//! Everything happens in namespaces of the test's own; `/run/holdfast` is a host's own directory.

use holdfast_tests::netns::{Host, Net, wait_for};
use holdfast_tests::node::{Node, Program};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Far more than anything here takes; the machine may be busy. Far less than `inter` of the tests about haste.
const PATIENCE: Duration = Duration::from_secs(30);

const VIP: &str = "10.9.0.100";

fn vrrpd(host: &Host, advert_int: u32) -> Node {
    let text = format!(
        "global_defs {{\n router_id t\n}}\nvrrp_instance VI_1 {{\n state BACKUP\n interface eth0\n virtual_router_id 51\n \
         priority 100\n advert_int {advert_int}\n virtual_ipaddress {{\n  {VIP}/24\n }}\n}}\n"
    );
    let file = host.file("vrrp.conf", &text).to_string_lossy().into_owned();
    Node::start(host, &Program::ours("vrrpd", "vrrpd"), &["-n", "-l", "-f", &file])
}

fn checkd(host: &Host) -> Node {
    let file = host.file("checkd.conf", "global_defs {\n router_id t\n}\n").to_string_lossy().into_owned();
    Node::start(host, &Program::ours("checkd", "checkd"), &["-n", "-l", "-f", &file])
}

fn proxyd(host: &Host, proxies: &str) -> Node {
    let text = format!(
        "global\n stats socket /run/proxyd.sock level admin\ndefaults\n mode http\n timeout connect 2s\n timeout client \
         5s\n timeout server 5s\n{proxies}"
    );
    let file = host.file("haproxy.cfg", &text).to_string_lossy().into_owned();
    Node::start(host, &Program::ours("proxyd", "proxyd"), &["-db", "-f", &file])
}

/// `holdfast status --json`: the daemon's facts by topic.
fn facts(host: &Host, daemon: &str) -> Option<Value> {
    let holdfast = Program::ours("holdfast", "holdfast");
    let output = host.command(&holdfast.path).args(["status", "--json"]).output().expect("holdfast runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines = text.lines().filter_map(|l| serde_json::from_str::<Value>(l).ok());
    lines.into_iter().find(|v| v["daemon"] == daemon && v["up"] == true).map(|mut v| v["facts"].take())
}

fn wait_fact(host: &Host, daemon: &str, topic: &str, field: &str, wanted: &Value) {
    let seen = || {
        let facts = facts(host, daemon)?;
        (facts[topic][field] == *wanted).then_some(())
    };
    assert!(
        wait_for(PATIENCE, seen).is_some(),
        "{daemon}: {topic} {field} is not {wanted}: {:#?}",
        facts(host, daemon)
    );
}

/// A server that counts its connections and says nothing.
fn counting(host: &Host, port: u16) -> Arc<AtomicUsize> {
    let count = Arc::new(AtomicUsize::new(0));
    let listener = host
        .inside(|| TcpListener::bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))).expect("a listener"));
    let seen = Arc::clone(&count);
    std::thread::spawn(move || {
        for _ in listener.incoming().flatten() {
            seen.fetch_add(1, Relaxed);
        }
    });
    count
}

#[test]
fn servers_are_checked_when_an_address_comes() {
    let Some(net) = Net::new("together") else { return };
    let lan = net.bridge("lan");
    let hosts = ["lb", "one", "two"].map(|name| net.host(name));
    let cables = [1, 2, 3].map(|n| net.plug(&hosts[n - 1], "eth0", &lan, &[&format!("10.9.0.{n}/24")]));
    let [lb, one, two] = &hosts;
    let _servers = [counting(one, 80), counting(two, 80)];
    let node = proxyd(
        lb,
        "frontend f\n bind 0.0.0.0:8080\n default_backend two\nbackend two\n server one 10.9.0.2:80 check inter 120s\n \
         server two 10.9.0.3:80\nbackend alone\n server one 10.9.0.2:80 check inter 120s\n",
    );
    wait_fact(lb, "proxyd", "proxy.server/two/one", "check", &"L4OK".into());
    // Nothing tells proxyd that the server is gone; its next check is two minutes away.
    cables[1].block();
    std::thread::sleep(Duration::from_secs(1));
    wait_fact(lb, "proxyd", "proxy.server/two/one", "status", &"UP".into());
    lb.sh(&format!("ip address add {VIP}/24 dev eth0"));
    let begin = Instant::now();
    // On a slow machine the kernel's neighbour table may have given up before the checks do.
    node.wait_output("Server two/one is DOWN, reason: Layer4 (timeout|connection problem)", PATIENCE);
    assert!(begin.elapsed() < Duration::from_mins(1), "that was a regular check");
    // The last server of a backend is left to its regular checks.
    wait_fact(lb, "proxyd", "proxy.server/alone/one", "status", &"UP".into());
}

#[test]
fn an_address_that_vrrpd_will_hold_is_bound_ahead() {
    let Some(net) = Net::new("together") else { return };
    let lan = net.bridge("lan");
    let host = net.host("lb");
    net.plug(&host, "eth0", &lan, &["10.9.0.1/24"]);
    let proxies = format!("listen f\n bind {VIP}:8080\n server s 10.9.0.2:80\n");
    let mut refused = proxyd(&host, &proxies);
    let ended = refused.wait(PATIENCE).expect("proxyd gives up");
    assert_eq!(ended.code(), Some(1));
    refused.wait_output(
        r"cannot bind socket \(Cannot assign requested address\) for \[10.9.0.100:8080\]",
        PATIENCE,
    );

    // A backup with so slow a master does not take the address during this test.
    let vrrpd = vrrpd(&host, 100);
    wait_fact(&host, "vrrpd", "vrrp.instance/VI_1", "state", &"BACKUP".into());
    assert!(!host.holds(VIP), "{}", vrrpd.output());
    let mut ahead = proxyd(&host, &proxies);
    wait_fact(&host, "proxyd", &format!("proxy.listener/f/{VIP}:8080"), "free_bound", &true.into());
    assert!(ahead.runs(), "{}", ahead.output());
    // Others are refused as before.
    let other = "listen g\n bind 10.9.0.101:8080\n server s 10.9.0.2:80\n";
    assert_eq!(proxyd(&host, other).wait(PATIENCE).and_then(|s| s.code()), Some(1));
}

#[test]
fn a_server_is_probed_once_an_interval_by_whoever_does_it() {
    let Some(net) = Net::new("together") else { return };
    let lan = net.bridge("lan");
    let (lb, server) = (net.host("lb"), net.host("server"));
    net.plug(&lb, "eth0", &lan, &["10.9.0.1/24"]);
    net.plug(&server, "eth0", &lan, &["10.9.0.2/24"]);
    let probes = counting(&server, 80);
    let mut checkd = checkd(&lb);
    // With a regular end, so that the server's program hears of every connection.
    let proxyd = proxyd(
        &lb,
        "listen f\n mode tcp\n bind 127.0.0.1:8080\n option tcp-check\n tcp-check connect linger\n server s 10.9.0.2:80 check \
         inter 1s fall 1\n server t 10.9.0.2:80\n",
    );
    wait_fact(&lb, "proxyd", "proxy.server/f/s", "delegated", &true.into());
    wait_fact(&lb, "proxyd", "proxy.server/f/s", "check", &"L4OK".into());
    let in_window = |seconds: u64| {
        let before = probes.load(Relaxed);
        let begin = Instant::now();
        std::thread::sleep(Duration::from_secs(seconds));
        (probes.load(Relaxed) - before, begin.elapsed())
    };
    // Two that probe are seen twice a second; one that was held up may follow on sooner than a second once or twice.
    let (count, time) = in_window(6);
    assert!(count as u64 <= time.as_secs() + 3, "{count} probes in {time:?}: both daemons probe");
    assert!(count >= 1, "nobody probes");
    // The lease ends with checkd, and proxyd goes on.
    assert!(checkd.signal(Signal::SIGKILL));
    assert!(checkd.wait(PATIENCE).is_some());
    wait_fact(&lb, "proxyd", "proxy.server/f/s", "delegated", &false.into());
    let (count, time) = in_window(6);
    assert!(count >= 1 && count as u64 <= time.as_secs() + 3, "{count} probes in {time:?} without checkd");
    // Nothing of that is to be seen in the server's state, with `fall 1`.
    wait_fact(&lb, "proxyd", "proxy.server/f/s", "status", &"UP".into());
    assert!(!proxyd.output().contains("Server f/s is"), "{}", proxyd.output());
    // A new checkd takes the check again, and again nothing is to be seen.
    let _again = self::checkd(&lb);
    wait_fact(&lb, "proxyd", "proxy.server/f/s", "delegated", &true.into());
    let (count, time) = in_window(6);
    assert!(count >= 1 && count as u64 <= time.as_secs() + 3, "{count} probes in {time:?} with a new checkd");
    assert!(!proxyd.output().contains("Server f/s is"), "{}", proxyd.output());
}

#[test]
fn servers_are_checked_when_vrrpd_takes_an_address() {
    let Some(net) = Net::new("together") else { return };
    let lan = net.bridge("lan");
    let hosts = ["lb", "one", "two"].map(|name| net.host(name));
    let cables = [1, 2, 3].map(|n| net.plug(&hosts[n - 1], "eth0", &lan, &[&format!("10.9.0.{n}/24")]));
    let [lb, one, two] = &hosts;
    let _servers = [counting(one, 80), counting(two, 80)];
    let _checkd = checkd(lb);
    let node = proxyd(
        lb,
        "frontend f\n bind 0.0.0.0:8080\n default_backend two\nbackend two\n server one 10.9.0.2:80 check inter 120s\n \
         server two 10.9.0.3:80\n",
    );
    wait_fact(lb, "proxyd", "proxy.server/two/one", "check", &"L4OK".into());
    wait_fact(lb, "proxyd", "proxy.server/two/one", "delegated", &true.into());
    // Nothing tells anybody that the server is gone, until this host becomes master.
    cables[1].block();
    let _vrrpd = vrrpd(lb, 1);
    wait_fact(lb, "vrrpd", "vrrp.instance/VI_1", "state", &"MASTER".into());
    let begin = Instant::now();
    node.wait_output("Server two/one is DOWN, reason: Layer4 (timeout|connection problem)", PATIENCE);
    assert!(begin.elapsed() < Duration::from_mins(1), "that was a regular check");
}

/// A server whose program ends is found out by the first client, two minutes ahead of its next check.
fn refused_connections_hasten_a_check(with_checkd: bool) {
    let Some(net) = Net::new("together") else { return };
    let lan = net.bridge("lan");
    let hosts = ["lb", "one", "two"].map(|name| net.host(name));
    for (n, host) in (1..).zip(&hosts) {
        net.plug(host, "eth0", &lan, &[&format!("10.9.0.{n}/24")]);
    }
    let [lb, one, two] = &hosts;
    lb.sh("ip link set lo up");
    let _second = counting(two, 80);
    let at = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 80));
    let program = one.inside(|| TcpListener::bind(at).expect("a listener"));
    let _checkd = with_checkd.then(|| checkd(lb));
    let node = proxyd(
        lb,
        "listen f\n mode tcp\n bind 127.0.0.1:8080\n server one 10.9.0.2:80 check inter 120s fall 1\n server two 10.9.0.3:80\n",
    );
    wait_fact(lb, "proxyd", "proxy.server/f/one", "check", &"L4OK".into());
    wait_fact(lb, "proxyd", "proxy.server/f/one", "delegated", &with_checkd.into());
    drop(program);
    let begin = Instant::now();
    let client = || {
        let address = ([127, 0, 0, 1], 8080).into();
        let _client = lb.inside(|| std::net::TcpStream::connect_timeout(&address, PATIENCE));
        node.output().contains("Server f/one is DOWN, reason: Layer4 connection problem").then_some(())
    };
    assert!(wait_for(PATIENCE, client).is_some(), "{}", node.output());
    assert!(begin.elapsed() < Duration::from_mins(1), "that was a regular check");
}

#[test]
fn a_refused_connection_hastens_a_check() {
    refused_connections_hasten_a_check(false);
}

#[test]
fn a_refused_connection_hastens_a_check_by_checkd() {
    refused_connections_hasten_a_check(true);
}

#[test]
fn status_shows_what_each_daemon_knows() {
    let Some(net) = Net::new("together") else { return };
    let lan = net.bridge("lan");
    let host = net.host("lb");
    net.plug(&host, "eth0", &lan, &["10.9.0.1/24"]);
    let _server = counting(&host, 80);
    let _vrrpd = vrrpd(&host, 1);
    let service = "global_defs {\n router_id t\n}\nvirtual_server 10.9.0.100 80 {\n protocol TCP\n delay_loop 1\n \
                   real_server 10.9.0.1 80 {\n  TCP_CHECK {\n  }\n }\n real_server 10.9.0.1 81 \
                   {\n  TCP_CHECK {\n  }\n }\n}\n";
    let file = host.file("checkd.conf", service).to_string_lossy().into_owned();
    let _checkd = Node::start(&host, &Program::ours("checkd", "checkd"), &["-n", "-l", "-f", &file]);
    let _proxyd = proxyd(&host, "listen f\n bind 0.0.0.0:8080\n server s 10.9.0.1:80 check\n");
    wait_fact(&host, "vrrpd", "vrrp.instance/VI_1", "state", &"MASTER".into());
    wait_fact(&host, "vrrpd", "vrrp.instance/VI_1", "held", &vec![VIP].into());
    wait_fact(&host, "proxyd", "proxy.server/f/s", "check", &"L4OK".into());
    let instance = facts(&host, "vrrpd").expect("vrrpd answers")["vrrp.instance/VI_1"].take();
    assert!(instance["reason"].as_str().is_some_and(|r| !r.is_empty()), "{instance}");
    let services = facts(&host, "checkd").expect("checkd answers");
    let topics: Vec<&String> = services.as_object().expect("facts by topic").keys().collect();
    assert!(topics.iter().any(|t| t.starts_with("ipvs.service/")), "{topics:?}");

    let holdfast = Program::ours("holdfast", "holdfast");
    let output = host.command(&holdfast.path).arg("status").output().expect("holdfast runs");
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let has =
        |words: &[&str]| text.lines().any(|l| words.iter().all(|w| l.split_whitespace().any(|x| x == *w)));
    assert!(has(&[VIP, "yes", "eth0", "VI_1"]), "{text}");
    assert!(has(&["VI_1", "MASTER", "51", "eth0", "advertisement", "timeout"]), "{text}");
    assert!(has(&["f/s", "UP", "10.9.0.1:80", "L4OK", "Layer4", "passed"]), "{text}");
    assert!(has(&["f/0.0.0.0:8080", "OPEN"]), "{text}");

    // What changes is told as it happens, with the reason.
    let watch = Node::start(&host, &holdfast, &["watch"]);
    watch.wait_output("vrrp.instance/VI_1: MASTER", PATIENCE);
    watch.wait_output(r"ipvs.service/\S+: UP.* 1 of 2 servers up, 10\.9\.0\.1:81 \(Layer4 .*\)", PATIENCE);
    if host.try_sh("command -v socat").status.success() {
        host.sh("echo disable server f/s | socat - /run/proxyd.sock");
        watch.wait_output(r"proxy.server/f/s: MAINT .*\(by an operator\)", PATIENCE);
    }
    host.sh("ip link set eth0 down");
    watch.wait_output(r"vrrp.instance/VI_1: FAULT .*\(\S", PATIENCE);
}

/// A host with a proxyd and a vrrpd whose script, of an interval of ten minutes, notes that it ran and is good as long as
/// there is a file. The returned nodes are the two daemons, connected.
fn host_with_script(net: &Net, name: &str) -> (Host, Node, Node) {
    let host = net.host(name);
    host.sh(
        "ip link set lo up; ip link add eth0 type veth peer name eth0p; ip address add 10.9.0.1/24 dev eth0; ip link set eth0 up; \
         ip link set eth0p up; mkdir /run/bin; touch /run/ok /run/looks; \
         printf '#!/bin/sh\\necho >>/run/looks\\ntest -e /run/ok\\n' >/run/bin/look.sh; chmod 755 /run/bin /run/bin/look.sh",
    );
    let text = format!(
        "global_defs {{\n router_id t\n script_user root\n enable_script_security\n}}\nvrrp_script look {{\n script \
         /run/bin/look.sh\n interval 600\n fall 1\n rise 1\n}}\nvrrp_instance VI_1 {{\n interface eth0\n virtual_router_id 51\n \
         priority 100\n virtual_ipaddress {{\n  {VIP}/24\n }}\n track_script {{\n  look\n }}\n}}\n"
    );
    let file = host.file("vrrp.conf", &text).to_string_lossy().into_owned();
    let vrrpd = Node::start(&host, &Program::ours("vrrpd", "vrrpd"), &["-n", "-l", "-f", &file]);
    wait_fact(&host, "vrrpd", "vrrp.instance/VI_1", "state", &"MASTER".into());
    let proxyd = proxyd(&host, "listen f\n bind 127.0.0.1:8080\n server s 10.9.0.2:80\n");
    wait_watched(&host);
    assert_eq!(looks(&host), 1, "{}", vrrpd.output());
    (host, vrrpd, proxyd)
}

/// Until vrrpd has a connection to proxyd's socket.
fn wait_watched(host: &Host) {
    let connected = || host.sh("ss -xH state established").contains("/.proxyd.").then_some(());
    assert!(wait_for(PATIENCE, connected).is_some(), "{}", host.sh("ss -xp"));
}

fn looks(host: &Host) -> usize {
    host.sh("cat /run/looks").lines().count()
}

#[test]
fn scripts_look_at_once_when_a_proxy_ends() {
    let Some(net) = Net::new("together") else { return };
    let (host, vrrpd, mut proxyd) = host_with_script(&net, "killed");
    host.sh("rm /run/ok");
    assert!(proxyd.signal(Signal::SIGKILL));
    assert!(proxyd.wait(PATIENCE).is_some());
    vrrpd.wait_output(r"\(VI_1\) Entering FAULT STATE", PATIENCE);
    assert_eq!(looks(&host), 2, "one look ahead of time");
}

#[test]
fn a_proxy_that_hands_over_makes_no_fault() {
    let Some(net) = Net::new("together") else { return };
    let (host, vrrpd, mut first) = host_with_script(&net, "reloaded");
    let file = host.dir().join("haproxy.cfg").to_string_lossy().into_owned();
    let old = host.sh("pgrep -x proxyd").trim().to_owned();
    let _second = Node::start(&host, &Program::ours("proxyd", "proxyd"), &["-db", "-f", &file, "-sf", &old]);
    assert!(first.wait(PATIENCE).is_some(), "the first one goes");
    assert!(wait_for(PATIENCE, || (looks(&host) == 2).then_some(())).is_some(), "{}", vrrpd.output());
    // The result of that look is in when a later change of state is.
    host.sh("ip link set eth0 down");
    vrrpd.wait_output(r"\(VI_1\) Entering FAULT STATE", PATIENCE);
    assert!(!vrrpd.output().contains("VRRP_Script(look) failed"), "{}", vrrpd.output());
}
