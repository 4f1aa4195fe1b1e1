use super::*;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber, date_time_ymd,
};

const NOW: i64 = 1_800_000_000;

struct Made {
    facts: Facts,
    issuer: Issuer<'static, KeyPair>,
}

fn make(name: &str, by: Option<&Made>, change: impl FnOnce(&mut CertificateParams)) -> Made {
    let mut params = CertificateParams::new(Vec::<String>::new()).expect("no names");
    params.distinguished_name.push(DnType::CommonName, name);
    params.use_authority_key_identifier_extension = by.is_some();
    change(&mut params);
    let key = KeyPair::generate().expect("a key");
    let made = match by {
        None => params.self_signed(&key),
        Some(by) => params.signed_by(&key, &by.issuer),
    };
    let facts = Facts::of(made.expect("made").der()).expect("read");
    Made { facts, issuer: Issuer::new(params, key) }
}

fn authority(params: &mut CertificateParams) {
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
}

fn faults(shown: &[&Made], anchors: &[&Made], lists: Option<&[List]>) -> Vec<(usize, u32)> {
    let cards = |list: &[&Made]| list.iter().map(|m| m.facts.clone()).collect::<Vec<_>>();
    let (shown, anchors) = (cards(shown), cards(anchors));
    let trust = Trust { anchors: &anchors, revocations: lists, purpose: Purpose::Client, now: NOW };
    judge(&shown, &trust).faults.iter().map(|f| (f.depth, f.number)).collect()
}

fn list(by: &Made, serial: Option<u64>) -> List {
    let revoked = serial.map(|s| RevokedCertParams {
        serial_number: SerialNumber::from(s),
        revocation_time: date_time_ymd(2024, 1, 1),
        reason_code: None,
        invalidity_date: None,
    });
    let params = CertificateRevocationListParams {
        this_update: date_time_ymd(2024, 1, 1),
        next_update: date_time_ymd(2090, 1, 1),
        crl_number: SerialNumber::from(1u64),
        issuing_distribution_point: None,
        revoked_certs: revoked.into_iter().collect(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    List::of(params.signed_by(&by.issuer).expect("signed").der()).expect("read")
}

#[test]
fn chains_end_in_a_trusted_root() {
    let root = make("root", None, authority);
    let inter = make("inter", Some(&root), authority);
    let leaf = make("leaf", Some(&inter), |_| {});
    let direct = make("direct", Some(&root), |_| {});
    let other = make("other", None, authority);
    assert_eq!(faults(&[&direct], &[&root], None), []);
    assert_eq!(faults(&[&leaf, &inter], &[&root], None), []);
    assert_eq!(faults(&[&leaf], &[&root, &inter], None), []);
    assert_eq!(faults(&[&leaf], &[&root], None), [(0, 20), (0, 21)]);
    assert_eq!(faults(&[&leaf, &inter], &[&other], None), [(1, 20)]);
    assert_eq!(faults(&[&leaf, &inter, &root], &[&other], None), [(2, 19)]);
    // OpenSSL takes no intermediate one for the end of a chain.
    assert_eq!(faults(&[&leaf], &[&inter], None), [(1, 2)]);
    // An authority's key is not for clients.
    assert_eq!(faults(&[&root], &[&other], None), [(0, 18), (0, 26)]);
    assert_eq!(faults(&[&root], &[&root], None), [(0, 26)]);
}

#[test]
fn dates_usage_and_authorities_count() {
    let root = make("root", None, authority);
    let old = make("old", Some(&root), |p| {
        (p.not_before, p.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
    });
    let early = make("early", Some(&root), |p| p.not_before = date_time_ymd(2090, 1, 1));
    let server = make("server", Some(&root), |p| {
        p.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    });
    let no_authority = make("not", Some(&root), |_| {});
    let below = make("below", Some(&no_authority), |_| {});
    let short = make("short", None, |p| {
        authority(p);
        p.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    });
    let middle = make("middle", Some(&short), authority);
    let deep = make("deep", Some(&middle), |_| {});
    assert_eq!(faults(&[&old], &[&root], None), [(0, 10)]);
    assert_eq!(faults(&[&early], &[&root], None), [(0, 9)]);
    assert_eq!(faults(&[&server], &[&root], None), [(0, 26)]);
    assert_eq!(faults(&[&below, &no_authority], &[&root], None), [(1, 79)]);
    assert_eq!(faults(&[&deep, &middle], &[&short], None), [(2, 25)]);
}

#[test]
fn signatures_are_checked() {
    let root = make("root", None, authority);
    let twin = make("root", None, authority);
    let mut leaf = make("leaf", Some(&root), |p| p.use_authority_key_identifier_extension = false);
    assert_eq!(faults(&[&leaf], &[&twin], None), [(0, 7)]);
    assert_eq!(faults(&[&leaf], &[&root], None), []);
    leaf.facts.signed = twin.facts.signed.clone();
    assert_eq!(faults(&[&leaf], &[&root], None), [(0, 7)]);
}

#[test]
fn revocations_are_asked_of_every_issuer() {
    let root = make("root", None, authority);
    let leaf = make("leaf", Some(&root), |p| p.serial_number = Some(SerialNumber::from(8u64)));
    let inter = make("inter", Some(&root), authority);
    let below = make("below", Some(&inter), |_| {});
    let (empty, full) = (list(&root, None), list(&root, Some(8)));
    assert_eq!(faults(&[&leaf], &[&root], Some(std::slice::from_ref(&empty))), []);
    assert_eq!(faults(&[&leaf], &[&root], Some(std::slice::from_ref(&full))), [(0, 23)]);
    assert_eq!(faults(&[&leaf], &[&root], Some(&[])), [(0, 3), (1, 3)]);
    assert_eq!(faults(&[&below, &inter], &[&root], Some(std::slice::from_ref(&empty))), [(0, 3)]);
    let mut forged = empty;
    forged.signed = full.signed;
    forged.serials = vec![vec![1]];
    let other = make("root", None, authority);
    assert_eq!(
        faults(&[&leaf], &[&root], Some(&[List { signed: other.facts.signed, ..forged }])),
        [(0, 8), (1, 8)]
    );
}
