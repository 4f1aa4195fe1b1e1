//! Golden vectors captured from the original daemon, and packets that nobody should believe.

use super::*;
use proptest::prelude::*;

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|p| u8::from_str_radix(std::str::from_utf8(p).unwrap(), 16).unwrap()).collect()
}

fn four(text: &str) -> IpAddr {
    text.parse().unwrap()
}

const KEY: [u8; 8] = *b"secret\0\0";

fn advert(version: Version, interval_cs: u16, addresses: &[&str]) -> Advert {
    let addresses = addresses.iter().map(|a| four(a)).collect();
    Advert { version, vrid: 51, priority: 255, interval_cs, addresses }
}

fn envelope(authentication: Authentication, checksum: V3Checksum) -> Envelope {
    Envelope {
        source: four("192.168.56.201"),
        destination: four("224.0.0.18"),
        ttl: 255,
        id: 1,
        authentication,
        sequence: 1,
        checksum,
        group: Ipv4Addr::new(224, 0, 0, 18),
    }
}

fn expected(version: Version, authentication: Authentication) -> Expected {
    Expected {
        version,
        family: Family::Inet,
        authentication,
        check_ttl: true,
        interval_s: 1,
        any_v3_checksum: false,
        old_group: None,
    }
}

fn raw(bytes: Vec<u8>) -> Raw {
    Raw { ifindex: 1, family: Family::Inet, source: None, destination: None, hop_limit: None, bytes }
}

/// Name, advert, envelope, octets on the wire.
fn golden() -> Vec<(&'static str, Advert, Envelope, Vec<u8>)> {
    use Authentication as A;
    let v2 = |list: &[&str]| advert(Version::V2, 100, list);
    let v3 = advert(Version::V3, 50, &["192.168.56.200"]);
    let one = &["192.168.56.200"];
    vec![
        (
            "v2",
            v2(&["192.168.56.200", "192.168.56.210"]),
            envelope(A::None, V3Checksum::Pseudo),
            hex("45c0 002c 0001 0000 ff70 e11c c0a8 38c9 e000 0012
                 2133 ff02 0001 ecdc c0a8 38c8 c0a8 38d2 0000 0000 0000 0000"),
        ),
        (
            "v2 PASS",
            v2(one),
            envelope(A::Pass(KEY), V3Checksum::Pseudo),
            hex("45c0 0028 0001 0000 ff70 e120 c0a8 38c9 e000 0012
                 2133 ff01 0101 a90c c0a8 38c8 7365 6372 6574 0000"),
        ),
        (
            "v2 AH",
            v2(one),
            envelope(A::Ah(KEY), V3Checksum::Pseudo),
            hex("45c0 0040 0001 0000 ff33 e145 c0a8 38c9 e000 0012
                 7004 0000 c0a8 38c9 0000 0001 1d17 5562 cfa9 b0c0 50d2 134b
                 2133 ff01 0201 e458 c0a8 38c8 0000 0000 0000 0000"),
        ),
        (
            "v3",
            v3.clone(),
            envelope(A::None, V3Checksum::Pseudo),
            hex("45c0 0020 0001 0000 ff70 e128 c0a8 38c9 e000 0012 3133 ff01 0032 fc26 c0a8 38c8"),
        ),
        (
            "v3 without pseudo header",
            v3,
            envelope(A::None, V3Checksum::Plain),
            hex("45c0 0020 0001 0000 ff70 e128 c0a8 38c9 e000 0012 3133 ff01 0032 d627 c0a8 38c8"),
        ),
    ]
}

#[test]
fn adverts_are_octet_for_octet_those_of_the_original() {
    for (name, advert, envelope, bytes) in golden() {
        assert_eq!(encode(&advert, &envelope), bytes, "{name}");
        let mut want = expected(advert.version, envelope.authentication.clone());
        want.any_v3_checksum = envelope.checksum == V3Checksum::Plain;
        let raw = raw(bytes);
        let decoded = decode(&raw.parts().unwrap(), &want).unwrap();
        assert_eq!(decoded.advert, advert, "{name}");
        assert_eq!(decoded.source, envelope.source, "{name}");
    }
}

#[test]
fn ipv6_adverts_are_the_payload_alone() {
    let advert = advert(Version::V3, 100, &["fe80::c8", "fd56::c8"]);
    let mut envelope = envelope(Authentication::None, V3Checksum::Pseudo);
    envelope.source = four("fe80::ff:fe00:1");
    envelope.destination = four("ff02::12");
    let bytes = encode(&advert, &envelope);
    let wire = hex("3133 ff02 0064 0000 fe80 0000 0000 0000 0000 0000 0000 00c8
                    fd56 0000 0000 0000 0000 0000 0000 00c8");
    assert_eq!(bytes, wire);
    let raw = Raw {
        ifindex: 1,
        family: Family::Inet6,
        source: Some("fe80::ff:fe00:1".parse().unwrap()),
        destination: Some("ff02::12".parse().unwrap()),
        hop_limit: Some(255),
        bytes,
    };
    let want = Expected { family: Family::Inet6, ..expected(Version::V3, Authentication::None) };
    assert_eq!(decode(&raw.parts().unwrap(), &want).unwrap().advert, advert);
    let short = Raw { bytes: raw.bytes[..7].to_vec(), ..raw };
    assert_eq!(short.parts(), Err(Mangled::Short6(7)));
}

#[test]
fn each_lie_has_its_own_name() {
    let good = golden()[1].3.clone();
    let pass = expected(Version::V2, Authentication::Pass(KEY));
    let fault = |at: usize, value: u8, want: &Expected| {
        let mut bytes = good.clone();
        bytes[at] = value;
        let raw = raw(bytes);
        decode(&raw.parts().unwrap(), want).unwrap_err()
    };
    assert_eq!(fault(8, 254, &pass), Fault::Ttl(254));
    assert_eq!(fault(20, 0x31, &pass), Fault::Version(3));
    assert_eq!(fault(20, 0x22, &pass), Fault::Kind(2));
    assert_eq!(fault(20, 0x11, &pass), Fault::Version(1));
    assert_eq!(fault(23, 2, &pass), Fault::Length(false, 40, 44));
    assert_eq!(fault(23, 255, &pass), Fault::Length(false, 40, 1056));
    assert_eq!(fault(24, 0, &pass), Fault::AuthType(0));
    assert_eq!(fault(24, 2, &pass), Fault::AuthType(2));
    assert_eq!(fault(25, 2, &pass), Fault::Interval(2));
    assert_eq!(fault(26, 0, &pass), Fault::Checksum);
    assert_eq!(fault(39, 1, &pass), Fault::Password);
    let three = expected(Version::V3, Authentication::None);
    assert_eq!(fault(22, 255, &three), Fault::Version(2));
    assert_eq!(fault(22, 255, &expected(Version::V2, Authentication::Ah(KEY))), Fault::MissingAh);
}

#[test]
fn authentication_headers_are_verified() {
    let good = golden()[2].3.clone();
    let ah = expected(Version::V2, Authentication::Ah(KEY));
    let judge = |bytes: Vec<u8>, want: &Expected| {
        let raw = raw(bytes);
        raw.parts().map(|parts| decode(&parts, want).map(|d| d.sequence))
    };
    assert_eq!(judge(good.clone(), &ah), Ok(Ok(Some(1))));
    for at in [8, 24, 31, 40, 47, 50] {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        assert!(judge(bytes, &ah).unwrap().is_err(), "octet {at}");
    }
    let other = expected(Version::V2, Authentication::Ah(*b"another\0"));
    assert_eq!(judge(good.clone(), &other), Ok(Err(Fault::AhValue)));
    assert_eq!(
        judge(good.clone(), &expected(Version::V2, Authentication::None)),
        Ok(Err(Fault::UnexpectedAh))
    );
    let mut short = good[..48].to_vec();
    short[3] = 48;
    assert_eq!(judge(short, &ah), Err(Mangled::ShortAh(48)));
    let mut foreign = good;
    foreign[20] = 6;
    assert_eq!(judge(foreign, &ah), Err(Mangled::Foreign));
}

#[test]
fn padding_is_no_lie_and_more_is() {
    let want = expected(Version::V3, Authentication::None);
    let mut padded = golden()[3].3.clone();
    padded.resize(46, 0);
    assert!(decode(&raw(padded.clone()).parts().unwrap(), &want).is_ok());
    padded[3] = 46;
    assert!(decode(&raw(padded.clone()).parts().unwrap(), &want).is_ok(), "padding inside the total length");
    padded.resize(60, 0);
    padded[3] = 60;
    assert_eq!(decode(&raw(padded).parts().unwrap(), &want), Err(Fault::Length(true, 60, 32)));
    let mut longer = golden()[3].3.clone();
    longer[3] = 200;
    assert_eq!(raw(longer).parts(), Err(Mangled::Length(200, 32)));
}

#[test]
fn the_old_unicast_checksum_is_recognised() {
    let mut envelope = envelope(Authentication::None, V3Checksum::PseudoGroup);
    envelope.destination = four("192.168.56.202");
    let bytes = encode(&advert(Version::V3, 100, &["192.168.56.200"]), &envelope);
    let raw = raw(bytes);
    let parts = raw.parts().unwrap();
    let mut want = expected(Version::V3, Authentication::None);
    assert_eq!(decode(&parts, &want), Err(Fault::Checksum));
    want.old_group = Some(envelope.group);
    assert!(decode(&parts, &want).unwrap().old_checksum);
}

proptest! {
    /// Any octets: an answer, never a panic.
    #[test]
    fn noise_is_refused_quietly(bytes in prop::collection::vec(any::<u8>(), 0..120), proto in 0u8..3, six: bool) {
        let mut bytes = bytes;
        if let Some(p) = bytes.get_mut(9) { *p = [PROTO_VRRP, PROTO_AH, 6][usize::from(proto)]; }
        if let Some(v) = bytes.get_mut(0) { *v = 0x40 | (*v & 15); }
        let family = if six { Family::Inet6 } else { Family::Inet };
        let raw = Raw { family, source: Some(Ipv6Addr::LOCALHOST), ..raw(bytes) };
        for authentication in [Authentication::None, Authentication::Pass(KEY), Authentication::Ah(KEY)] {
            for version in [Version::V2, Version::V3] {
                let want = Expected { family, ..expected(version, authentication.clone()) };
                if let Ok(parts) = raw.parts() { let _ = decode(&parts, &want); }
            }
        }
    }

    /// What is encoded is decoded, and one flipped bit of an IPv4 advert never passes unnoticed as another advert.
    #[test]
    fn round_trip(vrid in 1u8.., priority: u8, cs in 1u16..4096, n in 1usize..20, flip in 0usize..128) {
        let addresses = (0..n).map(|i| IpAddr::from([10, 0, 0, i as u8])).collect();
        let advert = Advert { version: Version::V3, vrid, priority, interval_cs: cs, addresses };
        let bytes = encode(&advert, &envelope(Authentication::None, V3Checksum::Pseudo));
        let want = expected(Version::V3, Authentication::None);
        let good = raw(bytes.clone());
        prop_assert_eq!(&decode(&good.parts().unwrap(), &want).unwrap().advert, &advert);
        let mut bad = bytes;
        let bit = (20 * 8 + flip) % (bad.len() * 8);
        bad[bit / 8] ^= 1 << (bit % 8);
        if bit >= 20 * 8 {
            prop_assert!(decode(&raw(bad).parts().unwrap(), &want).is_err());
        }
    }
}
