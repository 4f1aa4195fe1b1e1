//! What users do to a router, with the lines and notices of the original.

use super::lab::{ETH0, Host, arrive, config, instance};
use crate::config::model::{Config, Family, Instance, Route, Rule, SyncGroup, TrackFile, Tracked, Version};
use crate::core::router::{GoneRoute, Input, Link, NoticeState};
use crate::messages::StateName;
use std::net::IpAddr;
use std::time::{Duration, Instant};

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn tracked(name: &str, weight: i32) -> Tracked {
    Tracked { name: name.into(), weight, reverse: false }
}

fn link(up: bool) -> Input {
    Input::Link(Link { index: ETH0, name: "eth0".into(), up })
}

fn states(host: &Host) -> Vec<NoticeState> {
    host.notices.iter().map(|n| n.1).collect()
}

#[test]
fn a_router_alone_takes_over_and_resigns() {
    let t0 = Instant::now();
    let (mut host, _) = Host::new(t0, 1, config(vec![instance(150, Version::V2)]));
    let sent = host.run(t0 + s(6));
    assert_eq!(sent[0].0, t0 + Duration::from_micros(3_414_062));
    assert_eq!(sent.len(), 3);
    assert_eq!(host.claims, 5);
    host.run(t0 + s(9));
    assert_eq!(host.claims, 10, "five more after five seconds");
    let sent = host.input(t0 + s(9), Input::Stop);
    assert_eq!((sent.len(), sent[0].bytes[22]), (1, 0));
    assert!(host.held.is_empty());
    assert_eq!(states(&host), [NoticeState::Backup, NoticeState::Master, NoticeState::Stop]);
    let texts = host.texts();
    let want = [
        "(VI_1) Entering BACKUP STATE (init)",
        "(VI_1) Receive advertisement timeout",
        "(VI_1) Entering MASTER STATE",
        "(VI_1) setting VIPs.",
    ];
    let at = texts.iter().position(|t| t == want[0]).unwrap();
    assert_eq!(texts[at..at + 4], want);
}

#[test]
fn a_deleted_route_or_rule_is_put_back_while_master() {
    let t0 = Instant::now();
    let route = |text: &str, destination: &str, no_track| Route {
        text: text.into(),
        destination: Some((destination.parse().unwrap(), 16)),
        no_track,
        ..Route::default()
    };
    let rule = Rule { text: "rule".into(), priority: Some(2000), ..Rule::default() };
    let routes = vec![route("kept", "10.20.0.0", false), route("free", "10.21.0.0", true)];
    let held = Instance { routes, rules: vec![rule], ..instance(150, Version::V2) };
    let (mut host, _) = Host::new(t0, 1, config(vec![held]));
    let gone = |destination: &str, protocol| {
        let destination = Some((destination.parse().unwrap(), 16));
        Input::RouteGone(GoneRoute { family: Family::Inet, destination, table: 254, protocol })
    };
    host.input(t0, gone("10.20.0.0", 18));
    assert!(!host.texts().iter().any(|t| t.contains("Restoring")), "a Backup holds none");
    host.run(t0 + s(4));
    for input in [gone("10.20.0.0", 3), gone("10.21.0.0", 18), Input::RuleGone(Family::Inet, 7)] {
        host.input(t0 + s(4), input);
    }
    assert!(!host.texts().iter().any(|t| t.contains("Restoring")), "none of these is ours to restore");
    host.input(t0 + s(4), gone("10.20.0.0", 18));
    host.input(t0 + s(4), Input::RuleGone(Family::Inet, 2000));
    let texts = host.texts();
    assert!(texts.contains(&"(VI_1) Restoring deleted route kept, staying MASTER".to_owned()), "{texts:?}");
    assert!(texts.contains(&"(VI_1) Restoring deleted rule rule, staying MASTER".to_owned()), "{texts:?}");
    assert_eq!(host.state(), StateName::Master);
}

#[test]
fn a_deleted_address_is_put_back_in_place() {
    let t0 = Instant::now();
    let (mut host, _) = Host::new(t0, 1, config(vec![instance(150, Version::V2)]));
    host.run(t0 + s(4));
    let vip = IpAddr::from([10, 0, 0, 100]);
    host.held.remove(&vip);
    let claims = host.claims;
    let sent = host.input(t0 + s(4), Input::AddressGone(ETH0, vip));
    assert!(sent.is_empty() && host.held.contains(&vip));
    assert_eq!((host.state(), host.claims), (StateName::Master, claims + 5));
    host.input(t0 + s(4), Input::Stop);
    host.input(t0 + s(4), Input::AddressGone(ETH0, vip));
    assert!(host.held.is_empty(), "not any more");
}

#[test]
fn a_lost_link_or_address_is_fault_and_its_return_a_full_timer() {
    let t0 = Instant::now();
    let (mut host, _) = Host::new(t0, 1, config(vec![instance(150, Version::V2)]));
    host.run(t0 + s(4));
    host.input(t0 + s(4), link(false));
    assert_eq!((host.state(), host.held.len()), (StateName::Fault, 0));
    host.input(t0 + s(5), link(true));
    assert_eq!(host.state(), StateName::Backup);
    assert_eq!(host.router.deadline(), Some(t0 + s(5) + Duration::from_micros(3_414_062)));
    let own = host.address;
    host.input(t0 + s(6), Input::AddressGone(ETH0, own));
    assert_eq!(host.state(), StateName::Fault);
    host.input(t0 + s(7), Input::Address(ETH0, own));
    assert_eq!(host.state(), StateName::Backup);
}

#[test]
fn an_interface_may_come_later_and_come_back_with_another_number() {
    let t0 = Instant::now();
    let mut late = instance(150, Version::V2);
    late.interface = "dyn0".into();
    let (mut host, _) = Host::new(t0, 1, config(vec![late]));
    assert_eq!(host.state(), StateName::Fault);
    assert!(host.router.sockets().is_empty());
    for index in [7, 9] {
        let dyn0 = Link { index, name: "dyn0".into(), up: true };
        host.input(t0, Input::Link(dyn0));
        host.input(t0, Input::Address(index, IpAddr::from([10, 7, 0, 1])));
        assert_eq!(host.state(), StateName::Backup);
        assert_eq!(host.router.sockets().first().unwrap().ifindex, index);
        host.input(t0, Input::LinkGone(index));
        assert_eq!(host.state(), StateName::Fault);
    }
}

#[test]
fn a_script_without_weight_holds_the_start_and_decides_about_fault() {
    let t0 = Instant::now();
    let mut one = instance(150, Version::V2);
    one.track_scripts = vec![tracked("chk", 0)];
    let (mut host, _) = Host::new(t0, 1, config(vec![one]));
    assert_eq!(host.state(), StateName::Init);
    host.input(t0, Input::Script("chk".into(), true));
    assert_eq!(host.state(), StateName::Backup);
    assert!(host.texts().contains(&"(VI_1) Entering BACKUP STATE".to_string()), "without (init)");
    host.run(t0 + s(4));
    host.input(t0 + s(4), Input::Script("chk".into(), false));
    assert_eq!(host.state(), StateName::Fault);
    host.input(t0 + s(5), Input::Script("chk".into(), true));
    assert_eq!(host.state(), StateName::Backup);
}

#[test]
fn weights_move_the_priority_and_files_may_fault() {
    let t0 = Instant::now();
    let mut one = instance(150, Version::V2);
    one.notify.priority_changes = true;
    one.track_scripts = vec![tracked("chk", -60)];
    one.track_files = vec![tracked("tf", 1)];
    let mut all = config(vec![one]);
    all.files.push(TrackFile { name: "tf".into(), path: "/f".into(), weight: 1, reverse: false, init: None });
    let (mut host, _) = Host::new(t0, 1, all);
    host.run(t0 + s(4));
    let priority = |host: &Host| host.router.members[0].machine.priority;
    let sent = host.input(t0 + s(4), Input::Script("chk".into(), false));
    assert_eq!((priority(&host), sent.len(), sent[0].bytes[22]), (90, 1, 90));
    host.input(t0 + s(4), Input::Script("chk".into(), true));
    host.input(t0 + s(4), Input::File("tf".into(), -60));
    assert_eq!(priority(&host), 90);
    host.input(t0 + s(4), Input::File("tf".into(), -260));
    assert_eq!((host.state(), priority(&host)), (StateName::Fault, 90));
    host.input(t0 + s(4), Input::File("tf".into(), 300));
    assert_eq!((host.state(), priority(&host)), (StateName::Backup, 254));
    let texts = host.texts();
    for line in [
        "(VI_1) Changing effective priority from 150 to 90",
        "(VI_1): tracked file tf now FAULT state",
        "(VI_1): tracked file tf leaving FAULT state",
        "(VI_1) Setting effective priority to 254",
    ] {
        assert!(texts.iter().any(|t| t == line), "{line} in {texts:?}");
    }
    assert_eq!(host.notices.last().unwrap(), &("VI_1".into(), NoticeState::Backup, 254));
}

/// Two instances on two interfaces, one group.
fn pair() -> Config {
    let one = instance(150, Version::V2);
    let two = Instance {
        name: "VI_2".into(),
        interface: "eth1".into(),
        vrid: 52,
        vips: vec![crate::config::model::Address::new(IpAddr::from([10, 1, 0, 100]), 32)],
        ..instance(150, Version::V2)
    };
    let group =
        SyncGroup { name: "G1".into(), members: vec!["VI_1".into(), "VI_2".into()], ..SyncGroup::default() };
    Config { instances: vec![one, two], groups: vec![group], ..Config::default() }
}

fn group_host(t0: Instant) -> Host {
    let (mut host, _) = Host::new(t0, 1, pair());
    host.input(t0, Input::Link(Link { index: 3, name: "eth1".into(), up: true }));
    host.input(t0, Input::Address(3, IpAddr::from([10, 1, 0, 1])));
    host
}

fn both(host: &Host) -> [StateName; 2] {
    [host.router.members[0].machine.name(), host.router.members[1].machine.name()]
}

#[test]
fn a_group_moves_as_one() {
    let t0 = Instant::now();
    let mut host = group_host(t0);
    assert_eq!(both(&host), [StateName::Backup; 2]);
    host.notices.clear();
    host.run(t0 + s(4));
    assert_eq!((both(&host), host.held.len()), ([StateName::Master; 2], 2));
    let order: Vec<&str> = host.notices.iter().map(|n| n.0.as_str()).collect();
    assert_eq!(order, ["VI_2", "VI_1", "G1"], "the last one ready goes first, the group is told last");
    host.notices.clear();
    let sent = host.input(t0 + s(5), Input::Link(Link { index: 3, name: "eth1".into(), up: false }));
    assert_eq!((both(&host), host.held.len()), ([StateName::Fault; 2], 0));
    assert!(sent.iter().all(|p| p.bytes[22] == 0) && sent.len() == 2, "the other one resigns too");
    assert_eq!(states(&host), [NoticeState::Fault; 3]);
    host.input(t0 + s(6), Input::Link(Link { index: 3, name: "eth1".into(), up: true }));
    assert_eq!(both(&host), [StateName::Backup; 2]);
    host.run(t0 + s(10));
    assert_eq!(both(&host), [StateName::Master; 2]);
    let better = Host::new(t0, 2, config(vec![instance(200, Version::V2)])).0.run(t0 + s(4)).remove(0).1;
    host.input(t0 + s(11), Input::Packet(arrive(&better)));
    assert_eq!((both(&host), host.held.len()), ([StateName::Backup; 2], 0));
}

#[test]
fn one_member_that_hears_a_master_keeps_the_group_back() {
    let t0 = Instant::now();
    let mut host = group_host(t0);
    let mut better = Host::new(t0, 2, config(vec![instance(200, Version::V2)])).0;
    for second in 4..30 {
        better.run(t0 + s(second)).iter().for_each(|(at, p)| {
            host.run(*at);
            host.input(*at, Input::Packet(arrive(p)));
        });
        assert_eq!(both(&host), [StateName::Backup; 2]);
    }
}

#[test]
fn a_reload_keeps_the_master_and_changes_what_has_changed() {
    let t0 = Instant::now();
    let (mut host, _) = Host::new(t0, 1, config(vec![instance(150, Version::V2)]));
    host.run(t0 + s(4));
    let deadline = host.router.deadline();
    let notices = host.notices.len();
    let sent = host.reload(t0 + s(4), config(vec![instance(150, Version::V2)]));
    assert_eq!((host.state(), sent.len(), host.notices.len()), (StateName::Master, 1, notices));
    assert!(host.router.deadline() >= deadline);
    let claims = host.claims;
    let mut changed = instance(120, Version::V2);
    changed.vips[0].address = IpAddr::from([10, 0, 0, 101]);
    let sent = host.reload(t0 + s(5), config(vec![changed]));
    assert_eq!((host.state(), sent[0].bytes[22]), (StateName::Master, 120));
    assert_eq!(host.held.iter().collect::<Vec<_>>(), [&IpAddr::from([10, 0, 0, 101])]);
    assert_eq!(host.claims, claims + 5, "for the new one");
    let sent = host.reload(t0 + s(6), config(Vec::new()));
    assert_eq!((sent.len(), sent[0].bytes[22]), (1, 0));
    assert!(host.held.is_empty() && host.router.deadline().is_none());
    assert_eq!(states(&host).last(), Some(&NoticeState::Fault), "what a deleted instance is told");
}

#[test]
fn addresses_of_a_killed_predecessor_are_removed_at_the_start() {
    let t0 = Instant::now();
    let vip = IpAddr::from([10, 0, 0, 100]);
    let mut host = Host::new(t0, 1, Config::default()).0;
    host.router = crate::core::router::Router::new(config(vec![instance(150, Version::V2)]));
    host.held.insert(vip);
    host.input(t0, link(true));
    host.input(t0, Input::Address(ETH0, vip));
    let own = host.address;
    host.input(t0, Input::Address(ETH0, own));
    host.input(t0, Input::Start);
    assert!(host.held.is_empty());
    host.run(t0 + s(4));
    let member = &host.router.members[0];
    assert_eq!(member.machine.source, Some(own), "a virtual address is never the source");
}

#[test]
fn a_startup_delay_holds_everything() {
    let t0 = Instant::now();
    let mut all = config(vec![instance(150, Version::V2)]);
    all.globals.startup_delay = Some(s(10));
    let (mut host, _) = Host::new(t0, 1, all);
    host.run(t0 + s(9));
    assert_eq!(host.state(), StateName::Init);
    host.run(t0 + s(10));
    assert_eq!(host.state(), StateName::Backup);
}

#[test]
fn a_link_that_flickers_shorter_than_its_delay_changes_nothing() {
    let t0 = Instant::now();
    let mut all = config(vec![instance(150, Version::V2)]);
    let delay = crate::config::model::LinkDelay { interface: "eth0".into(), down: s(2), up: s(1) };
    all.link_delays.push(delay);
    let (mut host, _) = Host::new(t0, 1, all);
    host.run(t0 + s(4));
    host.input(t0 + s(4), link(false));
    host.input(t0 + s(5), link(true));
    host.run(t0 + s(8));
    assert_eq!(host.state(), StateName::Master);
    host.input(t0 + s(8), link(false));
    host.run(t0 + s(10));
    assert_eq!(host.state(), StateName::Fault);
}
