//! Tables in virtual time.

use super::table::{Data, Freq, Key, KeyType, Stored, Table};
use crate::sample::Value;
use std::net::Ipv4Addr;

const T0: u64 = 1 << 40;

fn counters() -> Vec<Stored> {
    let one = |data, period_ms| Stored { data, elements: 1, period_ms };
    vec![
        one(Data::ServerId, 0),
        one(Data::Gpc0, 0),
        one(Data::ConnCnt, 0),
        one(Data::ConnRate, 10_000),
        Stored { data: Data::Gpc, elements: 3, period_ms: 0 },
    ]
}

fn table(size: usize, nopurge: bool) -> Table {
    Table::new(KeyType::Ip, size, Some(30_000), nopurge, counters())
}

fn key(n: u8) -> Key {
    Key::Ip(Ipv4Addr::new(10, 0, 0, n))
}

#[test]
fn keys_are_made_as_the_tables_type_asks() {
    let made = |kind, v: Value<'static>| Key::from_sample(kind, v).map(|k| k.to_string());
    assert_eq!(made(KeyType::Ip, Value::str("10.0.0.1")).as_deref(), Some("10.0.0.1"));
    assert_eq!(made(KeyType::Ip, Value::str("x")), None);
    assert_eq!(made(KeyType::Ipv6, Value::V4(Ipv4Addr::new(1, 2, 3, 4))).as_deref(), Some("::ffff:1.2.3.4"));
    assert_eq!(made(KeyType::Integer, Value::Int(-1)).as_deref(), Some("4294967295"));
    assert_eq!(made(KeyType::String(3), Value::str("abcdef")).as_deref(), Some("abc"));
    assert_eq!(made(KeyType::Binary(4), Value::bin(vec![1, 0xff])).as_deref(), Some("01FF0000"));
}

#[test]
fn a_rate_covers_the_last_period() {
    let mut f = Freq::default();
    f.add(T0, 10_000, 10);
    assert_eq!(f.read(T0, 10_000), 10);
    assert_eq!(f.read(T0 + 9_999, 10_000), 10);
    assert_eq!(f.read(T0 + 15_000, 10_000), 5);
    assert_eq!(f.read(T0 + 19_999, 10_000), 0);
    assert_eq!(f.read(T0 + 20_000, 10_000), 0);
    f.add(T0 + 12_000, 10_000, 4);
    // What is left of ten, and four.
    assert_eq!(f.read(T0 + 15_000, 10_000), 9);
    f.add(T0 + 60_000, 10_000, 1);
    assert_eq!(f.read(T0 + 60_000, 10_000), 1);
}

#[test]
fn entries_expire_unless_touched_or_in_use() {
    let mut t = table(10, false);
    for n in 1..=3 {
        assert!(t.touch(&key(n), T0));
    }
    t.hold(&key(3), true);
    assert!(t.touch(&key(2), T0 + 20_000));
    assert!(!t.contains(&key(1), T0 + 30_000));
    t.expire(T0 + 30_000);
    assert_eq!(t.keys(T0 + 30_000), vec![key(2), key(3)]);
    assert_eq!(t.len(), 2);
    t.expire(T0 + 50_000);
    assert_eq!(t.keys(T0 + 50_000), vec![key(3)]);
    t.hold(&key(3), false);
    t.expire(T0 + 200_000);
    assert!(t.is_empty());
}

#[test]
fn a_full_table_gives_up_the_oldest_or_refuses() {
    let mut t = table(2, false);
    assert!(t.touch(&key(1), T0) && t.touch(&key(2), T0 + 1) && t.touch(&key(3), T0 + 2));
    assert_eq!(t.keys(T0 + 2), vec![key(2), key(3)]);
    let mut t = table(2, true);
    assert!(t.touch(&key(1), T0) && t.touch(&key(2), T0 + 1));
    assert!(!t.touch(&key(3), T0 + 2));
    // Once one has expired there is room again.
    assert!(t.touch(&key(3), T0 + 30_000));
    let mut t = table(1, false);
    assert!(t.touch(&key(1), T0));
    t.hold(&key(1), true);
    assert!(!t.touch(&key(2), T0 + 1));
}

#[test]
fn data_that_is_not_stored_is_not_there() {
    let mut t = table(2, false);
    t.touch(&key(1), T0);
    assert_eq!(t.add(&key(1), Data::Gpc0, 0, 2, T0), Some(2));
    assert_eq!(t.get(&key(1), Data::Gpt0, 0, T0), None);
    // The second counter of the array.
    assert_eq!(t.get(&key(1), Data::Gpc1, 0, T0), Some(0));
    assert_eq!(t.add(&key(1), Data::Gpc, 2, 5, T0), Some(5));
    assert_eq!(t.add(&key(1), Data::Gpc, 3, 5, T0), None);
    assert_eq!(t.add(&key(1), Data::ConnRate, 0, 1, T0), Some(1));
    assert!(t.set(&key(1), Data::ServerId, 0, 7));
    let view = t.view(&key(1), T0).unwrap();
    let shown: Vec<String> = view.data.iter().map(|(n, i, p, v)| format!("{n}{i:?}{p:?}={v}")).collect();
    assert_eq!(
        shown,
        [
            "server_idNoneNone=7",
            "gpc0NoneNone=2",
            "conn_cntNoneNone=0",
            "conn_rateNoneSome(10000)=1",
            "gpcSome(0)None=0",
            "gpcSome(1)None=0",
            "gpcSome(2)None=5",
        ]
    );
    assert_eq!((view.users, view.expires_in_ms), (0, 30_000));
}

proptest::proptest! {
    #[test]
    fn never_more_than_size_and_never_loses_one_in_use(ops in proptest::collection::vec((0u8..20, 0u64..5_000, 0u8..3), 1..200)) {
        let mut t = table(8, false);
        let mut now = T0;
        let mut held = Vec::new();
        for (n, step, op) in ops {
            now += step;
            let k = key(n);
            match op {
                0 => { t.touch(&k, now); }
                1 if t.contains(&k, now) => { t.hold(&k, true); held.push(k); }
                _ => { if let Some(k) = held.pop() { t.hold(&k, false); } t.expire(now); }
            }
            proptest::prop_assert!(t.len() <= 8);
            for k in &held {
                proptest::prop_assert!(t.contains(k, now));
            }
        }
    }
}
