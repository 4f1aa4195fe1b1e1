use proptest::prelude::*;

use super::*;

fn service() -> impl Strategy<Value = Service> {
    (prop_oneof![Just("rr"), Just("wlc")], any::<bool>(), prop::option::of(1u32..500)).prop_map(
        |(scheduler, one_packet, persistence_s)| Service {
            scheduler: scheduler.to_owned(),
            flags: SchedulerFlags::default(),
            one_packet,
            persistence_s,
            netmask: u32::MAX,
            engine: None,
        },
    )
}

fn destination() -> impl Strategy<Value = Destination> {
    (0u32..4, prop_oneof![Just(Method::Nat), Just(Method::Dr)]).prop_map(|(weight, method)| Destination {
        method,
        weight,
        upper: 0,
        lower: 0,
    })
}

fn address(n: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, n], 80))
}

fn table() -> impl Strategy<Value = Table> {
    let key = prop_oneof![
        (0u8..4).prop_map(|n| ServiceKey::Address(Protocol::Tcp, address(n))),
        (1u32..3).prop_map(|n| ServiceKey::Fwmark(n, Family::Inet)),
    ];
    let destinations = prop::collection::btree_map((0u8..5).prop_map(address), destination(), 0..5);
    let entry = (service(), destinations).prop_map(|(service, destinations)| Entry { service, destinations });
    prop::collection::btree_map(key, entry, 0..5)
}

proptest! {
    #[test]
    fn applied_to_actual_gives_wanted(wanted in table(), mut actual in table()) {
        for command in commands(&wanted, &actual.clone()) {
            prop_assert_eq!(apply(&mut actual, &command), Ok(()), "{:?}", command);
        }
        prop_assert_eq!(&actual, &wanted);
        prop_assert!(commands(&wanted, &actual).is_empty());
    }

    #[test]
    fn no_pool_runs_empty_in_between(wanted in table(), mut actual in table()) {
        let before = actual.clone();
        for command in commands(&wanted, &before) {
            prop_assert_eq!(apply(&mut actual, &command), Ok(()));
            for (key, entry) in &wanted {
                let had = before.get(key).is_some_and(|e| !e.destinations.is_empty());
                if had && !entry.destinations.is_empty() {
                    prop_assert!(actual.get(key).is_some_and(|e| !e.destinations.is_empty()));
                }
            }
        }
    }
}

#[test]
fn ranges_are_spelled_out() {
    use crate::config::model::{GroupEntry, ServerGroup, Target};
    let groups = [ServerGroup {
        name: "g".into(),
        entries: vec![
            GroupEntry::Range { first: address(10), last: [10, 0, 0, 12].into() },
            GroupEntry::Fwmark { mark: 7, family: None },
        ],
    }];
    let server = VirtualServer::new(Target::Group("g".into()), Family::Inet);
    let list = keys(&server, &groups);
    assert_eq!(list.len(), 4);
    assert_eq!(list[2], ServiceKey::Address(Protocol::Tcp, address(12)));
    assert_eq!(list[3], ServiceKey::Fwmark(7, Family::Inet));
}

#[test]
fn only_nat_has_ports_of_its_own() {
    let key = ServiceKey::Address(Protocol::Tcp, address(1));
    let other = SocketAddr::from(([10, 0, 0, 2], 8080));
    let by = |method| at(&key, other, &Destination { method, weight: 1, upper: 0, lower: 0 }).port();
    assert_eq!((by(Method::Nat), by(Method::Dr)), (8080, 80));
    assert_eq!(
        at(
            &key,
            SocketAddr::from(([10, 0, 0, 2], 0)),
            &Destination { method: Method::Nat, weight: 1, upper: 0, lower: 0 }
        )
        .port(),
        80
    );
}
