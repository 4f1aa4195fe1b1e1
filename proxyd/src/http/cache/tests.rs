use super::rules::{Variant, is_unchanged, judge, may_use};
use super::*;
use crate::sample::fixture::{request, response};

fn settings() -> Settings {
    Settings {
        name: "c".into(),
        blocks: 8,
        max_object: 4000,
        max_age: 60,
        process_vary: true,
        max_secondary: 2,
    }
}

fn asked(headers: &str) -> Message {
    request(&format!("GET / HTTP/1.1\nhost: h\n{headers}"))
}

fn answered(headers: &str) -> Message {
    response(&format!("HTTP/1.1 200 OK\n{headers}"))
}

/// For how long an answer with these headers is kept.
fn kept(headers: &str) -> Option<u64> {
    let wish = Variant::of_request(&asked("accept-encoding: gzip"));
    judge(&settings(), &answered(headers), wish.as_ref(), Instant::now(), 784_111_777).map(|k| k.fresh)
}

#[test]
fn freshness_is_what_the_answer_says_within_the_sections_bound() {
    let cases = [
        ("cache-control: max-age=20", Some(20)),
        ("cache-control: max-age=\"9\"", Some(9)),
        ("cache-control: max-age=200", Some(60)),
        ("cache-control: max-age=20, s-maxage=9", Some(9)),
        ("cache-control: max-age=x", None),
        ("cache-control: max-age=0", None),
        ("cache-control: s-maxage=5, max-age=0", None),
        ("cache-control: private, max-age=5", None),
        ("cache-control: no-cache=\"set-cookie\", max-age=5", None),
        ("cache-control: public", None),
        ("cache-control: max-age=20\nage: 5", Some(15)),
        ("cache-control: max-age=20\nage: 20", None),
        ("cache-control: max-age=20\nage: x", None),
        ("cache-control: max-age=20\npragma: no-cache", None),
        ("expires: Sun, 06 Nov 1994 08:49:47 GMT", Some(10)),
        ("expires: Sun, 06 Nov 1994 08:49:37 GMT", None),
        ("expires: 0", None),
        ("etag: \"x\"", Some(60)),
        ("cache-control: max-age=20\nvary: Accept-Encoding", Some(20)),
        ("cache-control: max-age=20\nvary: accept-encoding, foo", None),
        ("cache-control: max-age=20\nvary: *", None),
        ("cache-control: max-age=20\nvary: accept-encoding\ncontent-encoding: br", None),
        ("cache-control: max-age=20\ncontent-length: 5000", None),
    ];
    for (headers, expected) in cases {
        assert_eq!(kept(headers), expected, "{headers}");
    }
}

#[test]
fn requests_may_refuse_what_is_kept() {
    assert!(may_use(&asked("x: y")));
    assert!(may_use(&asked("cache-control: no-store")));
    for no in ["cache-control: no-cache", "cache-control: max-age=0", "pragma: no-cache"] {
        assert!(!may_use(&asked(no)), "{no}");
    }
}

#[test]
fn validators_are_compared_weakly_and_tags_before_dates() {
    let answer = answered("etag: \"x\"");
    for (headers, expected) in [
        ("if-none-match: \"x\"", true),
        ("if-none-match: W/\"x\"", true),
        ("if-none-match: \"y\", \"x\"", true),
        ("if-none-match: *", true),
        ("if-none-match: \"y\"\nif-modified-since: Sun, 06 Nov 1994 08:49:37 GMT", false),
        ("if-modified-since: Sun, 06 Nov 1994 08:49:37 GMT", true),
        ("if-modified-since: Sun, 06 Nov 1994 08:49:36 GMT", false),
        ("if-modified-since: junk", false),
    ] {
        assert_eq!(is_unchanged(&asked(headers), &answer, 784_111_777), expected, "{headers}");
    }
}

fn put(cache: &Arc<Cache>, path: &str, headers: &str, body: usize, wish: &Message) {
    let visit = Visit {
        key: key(&request(&format!("GET {path} HTTP/1.1\nhost: h"))),
        variant: Variant::of_request(wish),
        may_store: true,
        changes: false,
        hit: None,
        served: false,
        copies: Vec::new(),
    };
    let head = answered(&format!("cache-control: max-age=20\n{headers}"));
    let now = Instant::now();
    let Some(kept) = judge(&cache.settings, &head, visit.variant.as_ref(), now, 0) else { return };
    let mut copies = Copies(vec![Copy::new(cache, kept, &visit, head)]);
    copies.take(&vec![b'x'; body]);
    copies.finish();
}

#[test]
fn what_was_not_used_for_long_goes_first() {
    let cache = Arc::new(Cache::new(settings()));
    for path in ["/1", "/2", "/3", "/4"] {
        put(&cache, path, "a: b", 1500, &asked(""));
    }
    let find = |path: &str| {
        let key = key(&request(&format!("GET {path} HTTP/1.1\nhost: h")));
        cache.find(&key, None, Instant::now()).is_some()
    };
    assert!(find("/1"));
    put(&cache, "/5", "a: b", 1500, &asked(""));
    assert_eq!(["/1", "/2", "/3", "/4", "/5"].map(find), [true, false, true, true, true]);
    put(&cache, "/6", "a: b", 4000, &asked(""));
    assert!(!find("/6"), "larger than an object may be");
    assert_eq!(cache.entries().len(), 4);
}

#[test]
fn variants_stand_side_by_side() {
    let cache = Arc::new(Cache::new(settings()));
    let key = key(&asked(""));
    let wish = |h: &str| Variant::of_request(&asked(h));
    let found = |h: &str| cache.find(&key, wish(h).as_ref(), Instant::now()).map(|e| e.body.len());
    put(&cache, "/", "vary: accept-encoding\ncontent-encoding: gzip", 1, &asked("accept-encoding: gzip"));
    put(&cache, "/", "vary: accept-encoding", 2, &asked("accept-encoding: br"));
    for (headers, expected) in [
        ("accept-encoding: deflate", Some(2)),
        ("accept-encoding: gzip, identity;q=0", Some(1)),
        ("accept-encoding: br, identity;q=0", None),
        ("accept-encoding: *, identity;q=0, gzip;q=0", None),
        ("accept-encoding:", Some(2)),
        ("x: y", Some(2)),
    ] {
        assert_eq!(found(headers), expected, "{headers}");
    }
    let room = |h: &str| {
        let wish = wish("referer: a").expect("a variant");
        let head = answered(&format!("cache-control: max-age=5\n{h}"));
        let kept = judge(&cache.settings, &head, Some(&wish), Instant::now(), 0).expect("may be kept");
        cache.has_room(&key, kept.varies, &kept.variant, Instant::now())
    };
    assert!(!room("vary: referer"), "two stand there already");
    assert!(room("x: y"));
}
