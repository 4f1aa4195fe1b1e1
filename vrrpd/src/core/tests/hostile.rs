//! Packets that mean harm: dropped, counted, said once, and no timer moves.

use super::lab::{Host, arrive, config, instance};
use crate::config::model::{Authentication, Version};
use crate::core::router::{Input, Outgoing};
use crate::messages::StateName;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

const KEY: [u8; 8] = *b"secret\0\0";

/// The first advert of a master with this priority.
fn advert(t0: Instant, n: u8, priority: u8, authentication: Authentication) -> Outgoing {
    let mut one = instance(priority, Version::V2);
    one.authentication = authentication;
    let (mut host, _) = Host::new(t0, n, config(vec![one]));
    host.run(t0 + Duration::from_secs(4)).remove(0).1
}

fn checksummed(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes[26] = 0;
    bytes[27] = 0;
    // The authentication data counts too.
    let total: u32 = bytes[20..].chunks(2).map(|p| u32::from(p[0]) << 8 | u32::from(p[1])).sum();
    let folded = (total & 0xffff) + (total >> 16);
    bytes[26..28].copy_from_slice(&(!((folded & 0xffff) as u16)).to_be_bytes());
    bytes
}

#[test]
fn lies_are_counted_and_said_once_and_move_nothing() {
    let t0 = Instant::now();
    let mut one = instance(100, Version::V2);
    one.authentication = Authentication::Pass(KEY);
    let (mut host, _) = Host::new(t0, 1, config(vec![one]));
    let good = arrive(&advert(t0, 2, 200, Authentication::Pass(KEY)));
    let deadline = host.router.deadline();
    let change = |at: usize, value: u8, mend: bool| {
        let mut raw = good.clone();
        raw.bytes[at] = value;
        if mend {
            raw.bytes = checksummed(raw.bytes);
        }
        raw
    };
    let mut lies = vec![
        change(8, 64, false),
        change(20, 0x31, true),
        change(20, 0x22, true),
        change(23, 9, true),
        change(24, 0, true),
        change(25, 7, true),
        change(26, 1, false),
        change(36, b'x', true),
        change(21, 77, true),
        change(3, 200, false),
    ];
    for cut in [0, 10, 19, 24, 30, 39] {
        let mut raw = good.clone();
        raw.bytes.truncate(cut);
        lies.push(raw);
    }
    let start = host.said.len();
    for second in 0..20 {
        for _ in 0..500 {
            for lie in &lies {
                let sent = host.input(t0 + Duration::from_millis(second * 100), Input::Packet(lie.clone()));
                assert!(sent.is_empty());
            }
        }
    }
    assert_eq!(host.router.deadline(), deadline, "no timer was disturbed");
    assert_eq!(host.state(), StateName::Backup);
    let said = host.said.len() - start;
    assert!((6..=12).contains(&said), "{said} lines: {:?}", host.texts());
    let stats = &host.router.members[0].stats;
    assert_eq!(stats.advert_rcvd, 0);
    assert_eq!(stats.ip_ttl_err, 10_000);
    assert_eq!(
        (stats.invalid_type_rcvd, stats.authtype_mismatch, stats.auth_failure),
        (10_000, 10_000, 10_000)
    );
    assert_eq!(stats.advert_interval_err, 10_000);
    assert!(stats.packet_len_err >= 10_000);
    // And a good one still counts.
    host.input(t0 + Duration::from_secs(2), Input::Packet(good));
    assert_ne!(host.router.deadline(), deadline);
}

#[test]
fn a_flood_of_farewells_brings_the_takeover_nearer_and_never_puts_it_off() {
    let t0 = Instant::now();
    let (mut host, _) = Host::new(t0, 1, config(vec![instance(100, Version::V2)]));
    let mut zero = arrive(&advert(t0, 2, 200, Authentication::None));
    zero.bytes[22] = 0;
    zero.bytes = checksummed(zero.bytes);
    let first = t0 + Duration::from_millis(10);
    for i in 0..10_000u64 {
        host.input(first + Duration::from_micros(i * 50), Input::Packet(zero.clone()));
    }
    let skew = Duration::from_micros(156 * 1_000_000 / 256);
    assert_eq!(host.router.deadline(), Some(first + skew));
}

#[test]
fn a_flood_of_lower_adverts_is_not_answered_one_by_one() {
    let t0 = Instant::now();
    let (mut host, _) = Host::new(t0, 1, config(vec![instance(100, Version::V2)]));
    let low = arrive(&advert(t0, 2, 50, Authentication::None));
    host.run(t0 + Duration::from_secs(6));
    assert_eq!(host.state(), StateName::Master);
    let claims = host.claims;
    let mut answers = 0;
    for i in 0..10_000u64 {
        let now = t0 + Duration::from_secs(7) + Duration::from_micros(i * 100);
        answers += host.input(now, Input::Packet(low.clone())).len();
    }
    assert!((1..=5).contains(&answers), "{answers} answers");
    assert!(host.claims - claims <= 25);
    let lines = host.texts().iter().filter(|l| l.contains("forcing new election")).count();
    assert!((1..=5).contains(&lines), "{lines} lines");
    assert_eq!(host.state(), StateName::Master);
}

#[test]
fn replayed_authentication_headers_are_refused() {
    let t0 = Instant::now();
    let mut one = instance(100, Version::V2);
    one.authentication = Authentication::Ah(KEY);
    let (mut host, _) = Host::new(t0, 1, config(vec![one]));
    let good = arrive(&advert(t0, 2, 200, Authentication::Ah(KEY)));
    host.input(t0, Input::Packet(good.clone()));
    assert_eq!(host.router.members[0].stats.advert_rcvd, 1);
    let deadline = host.router.deadline();
    host.input(t0 + Duration::from_secs(1), Input::Packet(good));
    assert_eq!(host.router.deadline(), deadline);
    assert_eq!(host.router.members[0].stats.auth_failure, 1);
    assert!(host.texts().iter().any(|l| l.contains("already processed")));
}

#[test]
fn our_own_packets_change_nothing() {
    let t0 = Instant::now();
    let (mut host, _) = Host::new(t0, 1, config(vec![instance(100, Version::V2)]));
    let sent = host.run(t0 + Duration::from_secs(4));
    let own = arrive(&sent[0].1);
    let deadline = host.router.deadline();
    for _ in 0..100 {
        assert!(host.input(t0 + Duration::from_secs(4), Input::Packet(own.clone())).is_empty());
    }
    assert_eq!((host.router.deadline(), host.state()), (deadline, StateName::Master));
    assert_eq!(host.address, IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)));
}
