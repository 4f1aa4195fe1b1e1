//! vrrpd's facts as others see them: `holdfast status` and `watch`, and a subscriber that never reads.

use holdfast_tests::build_dir;
use holdfast_tests::netns::{Host, Net, wait_for};
use holdfast_tests::node::{Node, Program};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::time::Duration;

/// Far more than any timer of these cases; the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(20);

fn configuration(priority: u8) -> String {
    let instance = |name: &str, vrid: u8, vip: u8| {
        format!(
            "vrrp_instance {name} {{\n interface eth0\n virtual_router_id {vrid}\n priority {priority}\n advert_int 0.1\n \
             virtual_ipaddress {{\n  10.9.0.{vip}/24\n }}\n virtual_ipaddress_excluded {{\n  10.9.1.{vip}/24\n }}\n}}\n"
        )
    };
    format!(
        "global_defs {{\n router_id t\n vrrp_version 3\n}}\nvrrp_sync_group G {{\n group {{\n  A\n  B\n }}\n}}\n{}{}",
        instance("A", 51, 100),
        instance("B", 52, 101)
    )
}

fn start(host: &Host, configuration: &str) -> Node {
    let file = host.file("vrrp.conf", configuration).to_string_lossy().into_owned();
    Node::start(host, &Program::ours("keepalived", "keepalived"), &["-n", "-l", "-P", "-f", &file])
}

/// vrrpd's line of `holdfast status --json`.
fn facts(host: &Host) -> Value {
    let program = build_dir().join("holdfast");
    let output = host.command(program).args(["status", "--json"]).output().expect("holdfast runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines = text.lines().filter_map(|l| serde_json::from_str::<Value>(l).ok());
    lines.into_iter().find(|v| v["daemon"] == "vrrpd").map_or(Value::Null, |mut v| v["facts"].take())
}

fn wait_fact(host: &Host, topic: &str, field: &str, wanted: &Value) -> Value {
    let seen = || Some(facts(host)[topic].clone()).filter(|f| &f[field] == wanted);
    wait_for(PATIENCE, seen)
        .unwrap_or_else(|| panic!("no {field} {wanted} of {topic}: {}", facts(host)[topic]))
}

#[test]
fn states_reasons_and_addresses_are_told() {
    let Some(net) = Net::new("vrrp bus") else { return };
    let (a, b) = (net.host("a"), net.host("b"));
    let bridge = net.bridge("lan");
    let cable = net.plug(&a, "eth0", &bridge, &["10.9.0.1/24"]);
    let _other = net.plug(&b, "eth0", &bridge, &["10.9.0.2/24"]);
    let mut node_a = start(&a, &configuration(150));
    let master = wait_fact(&a, "vrrp.instance/A", "state", &"MASTER".into());
    // Which of the group's two timers runs out last is chance; the other one follows.
    let other = wait_fact(&a, "vrrp.instance/B", "state", &"MASTER".into());
    let mut reasons =
        [&master["reason"], &other["reason"]].map(|r| r.as_str().unwrap_or_default().to_owned());
    reasons.sort();
    assert_eq!(reasons, ["Receive advertisement timeout", "follows its sync group"]);
    assert_eq!(master["held"], serde_json::json!(["10.9.0.100", "10.9.1.100"]));
    assert_eq!(
        (&master["vrid"], &master["group"], &master["interface"]),
        (&51.into(), &"G".into(), &"eth0".into())
    );
    assert_eq!(
        wait_fact(&a, "vrrp.group/G", "state", &"MASTER".into())["instances"],
        serde_json::json!(["A", "B"])
    );
    let _node_b = start(&b, &configuration(100));
    let backup = wait_fact(&b, "vrrp.instance/A", "state", &"BACKUP".into());
    assert_eq!((&backup["held"], &backup["reason"]), (&serde_json::json!([]), &"start".into()));
    assert_eq!(backup["addresses"], master["addresses"]);

    // A link without carrier is FAULT, and the reason says so.
    cable.cut();
    let fault = wait_fact(&a, "vrrp.instance/A", "state", &"FAULT".into());
    assert!(fault["reason"].as_str().is_some_and(|r| r.contains("interface eth0 down")), "{fault}");
    cable.heal();
    wait_fact(&a, "vrrp.instance/B", "state", &"MASTER".into());

    // A reload without B takes its topic back and counts.
    let without_b = configuration(150).split("vrrp_sync_group").next().unwrap_or_default().to_owned()
        + "vrrp_instance A {\n interface eth0\n virtual_router_id 51\n priority 150\n advert_int 0.1\n \
           virtual_ipaddress {\n  10.9.0.100/24\n }\n}\n";
    a.file("vrrp.conf", &without_b);
    assert!(node_a.signal(Signal::SIGHUP));
    wait_fact(&a, "daemon.status", "generation", &2.into());
    let gone =
        || (facts(&a)["vrrp.instance/B"].is_null() && facts(&a)["vrrp.group/G"].is_null()).then_some(());
    wait_for(PATIENCE, gone).expect("B and its group are no longer told of");

    // The table for people, and a watcher that sees the take-over as it happens.
    let table = b.sh(&format!("{} status || true", build_dir().join("holdfast").display()));
    let row = table.lines().find(|l| l.trim_start().starts_with("A ")).unwrap_or_default();
    let cells: Vec<&str> = row.split_whitespace().take(6).collect();
    assert_eq!(cells, ["A", "BACKUP", "51", "eth0", "100", "G"], "{table}");
    let mut watch = b.command(build_dir().join("holdfast"));
    let mut watch = watch.args(["watch", "--json"]).stdout(Stdio::piped()).spawn().expect("holdfast runs");
    let mut lines = BufReader::new(watch.stdout.take().expect("piped")).lines().map_while(Result::ok);
    assert!(lines.any(|l| l.contains("vrrp.instance/A") && l.contains("BACKUP")));
    assert!(node_a.signal(Signal::SIGTERM));
    assert!(node_a.wait(PATIENCE).is_some());
    let master =
        lines.find(|l| l.contains("vrrp.instance/A") && l.contains("MASTER")).expect("the take-over");
    assert!(master.contains("\"held\":[\"10.9.0.100\""), "{master}");
    // What is told to be held is held: proxyd may bind and probe at once.
    assert!(b.holds("10.9.0.100"));
    let _ = watch.kill();
    let _ = watch.wait();
    assert!(!a.dir().join("run/holdfast/vrrpd.sock").exists());
}

#[test]
fn a_subscriber_that_never_reads_holds_nothing_up() {
    let Some(net) = Net::new("vrrp bus, deaf") else { return };
    let host = net.host("a");
    let bridge = net.bridge("lan");
    let _cable = net.plug(&host, "eth0", &bridge, &["10.9.0.1/24"]);
    let mut text = String::from("global_defs {\n router_id t\n vrrp_version 3\n}\n");
    for vrid in 1..=200 {
        text += &format!(
            "vrrp_instance VI_{vrid} {{\n interface eth0\n virtual_router_id {vrid}\n priority 100\n advert_int 0.2\n \
             track_file {{\n  f weight 1\n }}\n virtual_ipaddress {{\n  10.9.1.{vrid}\n }}\n}}\n"
        );
    }
    let tracked = host.file("tracked", "0\n");
    text = format!("vrrp_track_file f {{\n file {}\n}}\n{text}", tracked.display());
    let node = start(&host, &text);
    wait_fact(&host, "vrrp.instance/VI_200", "state", &"MASTER".into());
    let socket = host.sh("ls /proc/self/root/run/holdfast/vrrpd.sock");
    assert!(socket.contains("vrrpd.sock"));
    let path = format!("/proc/{}/root/run/holdfast/vrrpd.sock", node.pid());
    let mut deaf = UnixStream::connect(path).expect("the socket is served");
    deaf.write_all(b"{\"v\":1,\"t\":\"hello\",\"versions\":[1],\"role\":\"operator\",\"features\":[],\"epoch\":0,\"pid\":1}\n").expect("sent");
    deaf.write_all(b"{\"v\":1,\"t\":\"subscribe\",\"topics\":[\"*\"]}\n").expect("sent");
    // Each change of the file is 200 new states; far more than the socket takes.
    for value in 1..=40 {
        host.file("tracked", &format!("{value}\n"));
        std::thread::sleep(Duration::from_millis(25));
    }
    wait_fact(&host, "vrrp.instance/VI_200", "effective_priority", &140.into());
    let data = wait_fact(&host, "vrrp.instance/VI_1", "effective_priority", &140.into());
    assert_eq!(data["state"], "MASTER");
    // It reads at last and gets the newest.
    deaf.set_read_timeout(Some(Duration::from_millis(500))).expect("set");
    let mut all = String::new();
    let mut piece = vec![0; 65536];
    while let Ok(n @ 1..) = deaf.read(&mut piece) {
        all += &String::from_utf8_lossy(&piece[..n]);
    }
    assert!(!all.is_empty());
    assert!(node.signal(Signal::SIGTERM));
}
