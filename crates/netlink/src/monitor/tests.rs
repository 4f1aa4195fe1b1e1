//! Against the kernel, in namespaces of their own. Without root there is nothing to test.

use super::*;
use crate::{Address, Change, Commands, NextHop, Route, Rule, addr};
use std::net::IpAddr;

/// Runs `work` on a thread in a new network namespace, inside a runtime; skipped without root.
fn in_namespace<F: Future<Output = ()>>(work: impl FnOnce() -> F + Send + 'static) {
    let thread = std::thread::spawn(|| {
        if nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).is_err() {
            return;
        }
        let ip = |args: &str| {
            let status = std::process::Command::new("ip").args(args.split(' ')).status().unwrap();
            assert!(status.success(), "ip {args}");
        };
        ip("link set lo up");
        ip("link add t0 type veth peer name t1");
        ip("link set t0 up");
        ip("link set t1 up");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(work());
    });
    thread.join().unwrap();
}

fn index(commands: &mut Commands, name: &str) -> u32 {
    commands.links().unwrap().iter().find(|l| l.name == name).unwrap().index
}

#[test]
fn addresses_come_without_a_broadcast_and_are_reported() {
    in_namespace(|| async {
        let mut monitor = Monitor::open(None).unwrap();
        let mut commands = Commands::open(None).unwrap();
        let t0 = index(&mut commands, "t0");
        let vip: IpAddr = "10.9.0.1".parse().unwrap();
        let mut plain = Address::new(t0, vip, 32);
        let mut full = Address::new(t0, "10.9.1.1".parse().unwrap(), 24);
        full.broadcast = Some("10.9.1.255".parse().unwrap());
        full.label = Some("t0:vip".into());
        full.scope = 253;
        let mut six = Address::new(t0, "fd00::1".parse().unwrap(), 64);
        six.flags = addr::NODAD | addr::NOPREFIXROUTE;
        six.preferred_s = Some(0);
        let add = [&plain, &full, &six, &plain].map(|a| Change::AddAddress(a.clone()));
        let results = commands.apply(&add);
        assert!(results[..3].iter().all(Result::is_ok), "{results:?}");
        assert_eq!(results[3].as_ref().unwrap_err().raw_os_error(), Some(17), "a second one is EEXIST");
        let shown = std::process::Command::new("ip").args(["-o", "addr", "show", "t0"]).output().unwrap();
        let shown = String::from_utf8(shown.stdout).unwrap();
        assert!(shown.contains("inet 10.9.0.1/32 scope global t0"), "{shown}");
        assert!(shown.contains("inet 10.9.1.1/24 brd 10.9.1.255 scope link t0:vip"), "{shown}");
        assert!(shown.contains("inet6 fd00::1/64 scope global nodad deprecated noprefixroute"), "{shown}");
        plain.index = 4711;
        assert!(commands.apply(&[Change::RemoveAddress(plain.clone())])[0].is_err());
        plain.index = t0;
        assert!(commands.apply(&[Change::RemoveAddress(plain)])[0].is_ok());
        let mut seen = (false, false);
        while seen != (true, true) {
            for event in monitor.next().await.unwrap() {
                match event {
                    Event::Address(a) if a.address == vip => seen.0 = a.prefix_len == 32,
                    Event::AddressGone(a) if a.address == vip => seen.1 = true,
                    _ => {}
                }
            }
        }
        assert!(!commands.addresses().unwrap().iter().any(|a| a.address == vip));
    });
}

#[test]
fn routes_and_rules_come_and_go() {
    in_namespace(|| async {
        let mut commands = Commands::open(Some(1 << 20)).unwrap();
        let t0 = index(&mut commands, "t0");
        let show = |args: &str| {
            let out = std::process::Command::new("ip").args(args.split(' ')).output().unwrap();
            String::from_utf8(out.stdout).unwrap()
        };
        let near = Address::new(t0, "10.9.0.1".parse().unwrap(), 24);
        let hop = NextHop { via: Some("10.9.0.9".parse().unwrap()), index: t0, ..NextHop::default() };
        let route = Route {
            destination: Some(("10.77.0.0".parse().unwrap(), 16)),
            hops: vec![hop.clone()],
            table: Some(1000),
            metric: Some(7),
            metrics: vec![crate::Metric { kind: 2, value: 1400, lock: true }],
            ..Route::default()
        };
        let other = NextHop { via: Some("10.9.0.8".parse().unwrap()), weight: 3, ..hop };
        let multi = Route {
            hops: vec![other.clone(), other],
            destination: None,
            metrics: Vec::new(),
            ..route.clone()
        };
        let rule = Rule {
            from: Some(("10.9.0.0".parse().unwrap(), 24)),
            table: Some(1000),
            priority: Some(99),
            fwmark: Some((1, 0xff)),
            ..Rule::default()
        };
        let results = commands.apply(&[
            Change::AddAddress(near),
            Change::AddRoute(route.clone()),
            Change::AddRoute(multi),
            Change::AddRule(rule.clone()),
        ]);
        assert!(results.iter().all(Result::is_ok), "{results:?}");
        let routes = show("route show table 1000");
        assert!(
            routes.contains("10.77.0.0/16 via 10.9.0.9 dev t0 proto keepalived metric 7 mtu lock 1400"),
            "{routes}"
        );
        assert!(routes.contains("nexthop via 10.9.0.8 dev t0 weight 3"), "{routes}");
        let rules = show("rule show");
        assert!(
            rules.contains("99:\tfrom 10.9.0.0/24 fwmark 0x1/0xff lookup 1000 proto keepalived"),
            "{rules}"
        );
        let results = commands.apply(&[Change::RemoveRoute(route.clone()), Change::RemoveRule(rule)]);
        assert!(results.iter().all(Result::is_ok), "{results:?}");
        assert!(commands.apply(&[Change::RemoveRoute(route)])[0].is_err());
        assert!(!show("rule show").contains("keepalived"));
    });
}

#[test]
fn a_flood_of_reports_ends_in_overrun_and_not_in_silence() {
    in_namespace(|| async {
        let mut monitor = Monitor::open(Some(2048)).unwrap();
        let mut commands = Commands::open(None).unwrap();
        let t0 = index(&mut commands, "t0");
        let many: Vec<Change> = (0..200u8)
            .map(|i| Change::AddAddress(Address::new(t0, IpAddr::from([10, 9, 0, i]), 32)))
            .collect();
        assert!(commands.apply(&many).iter().all(Result::is_ok));
        let mut lost = false;
        while !lost {
            lost = monitor.next().await.unwrap().contains(&Event::Overrun);
        }
        assert_eq!(
            commands.addresses().unwrap().iter().filter(|a| a.index == t0 && a.address.is_ipv4()).count(),
            200
        );
    });
}
