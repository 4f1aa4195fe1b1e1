use super::*;
use proptest::prelude::*;
use serde_json::json;

/// Version 1 as it went out first. Never edit a line; add new ones.
fn golden() -> Vec<(&'static str, Frame)> {
    vec![
        (
            r#"{"v":1,"t":"hello","versions":[1],"role":"proxyd","features":["lease"],"epoch":7,"pid":12}"#,
            Frame::Hello {
                versions: vec![1],
                role: "proxyd".into(),
                features: vec!["lease".into()],
                epoch: 7,
                pid: 12,
            },
        ),
        (
            r#"{"v":1,"t":"subscribe","topics":["vrrp.*","daemon.status"]}"#,
            Frame::Subscribe { topics: vec!["vrrp.*".into(), "daemon.status".into()] },
        ),
        (r#"{"v":1,"t":"snapshot","epoch":7,"seq":1}"#, Frame::Snapshot { epoch: 7, seq: 1 }),
        (
            r#"{"v":1,"t":"state","topic":"vrrp.instance/VI_1","epoch":7,"seq":2,"data":{"state":"MASTER"}}"#,
            Frame::State {
                topic: "vrrp.instance/VI_1".into(),
                epoch: 7,
                seq: 2,
                data: json!({"state": "MASTER"}),
            },
        ),
        (
            r#"{"v":1,"t":"gone","topic":"proxy.server/b/s","epoch":7,"seq":3}"#,
            Frame::Gone { topic: "proxy.server/b/s".into(), epoch: 7, seq: 3 },
        ),
        (r#"{"v":1,"t":"sync","epoch":7,"seq":4}"#, Frame::Sync { epoch: 7, seq: 4 }),
        (
            r#"{"v":1,"t":"offer","lease":5,"ttl_ms":6000,"spec":{"kind":"tcp"}}"#,
            Frame::Offer { lease: 5, ttl_ms: 6000, spec: json!({"kind": "tcp"}) },
        ),
        (r#"{"v":1,"t":"granted","lease":5}"#, Frame::Granted { lease: 5 }),
        (
            r#"{"v":1,"t":"refused","lease":5,"reason":"full"}"#,
            Frame::Refused { lease: 5, reason: "full".into() },
        ),
        (
            r#"{"v":1,"t":"outcome","lease":5,"n":1,"data":{"status":"L4OK"}}"#,
            Frame::Outcome { lease: 5, n: 1, data: json!({"status": "L4OK"}) },
        ),
        (r#"{"v":1,"t":"nudge","lease":5}"#, Frame::Nudge { lease: 5 }),
        (r#"{"v":1,"t":"withdraw","lease":5}"#, Frame::Withdraw { lease: 5 }),
        (r#"{"v":1,"t":"ping"}"#, Frame::Ping {}),
        (r#"{"v":1,"t":"pong","seq":4}"#, Frame::Pong { seq: 4 }),
        (r#"{"v":1,"t":"error","text":"no"}"#, Frame::Error { text: "no".into() }),
    ]
}

#[test]
fn golden_lines_of_version_1() {
    for (line, frame) in golden() {
        assert_eq!(decode(line.as_bytes()).unwrap(), frame, "{line}");
        assert_eq!(String::from_utf8(encode(&frame).unwrap()).unwrap(), format!("{line}\n"));
    }
}

#[test]
fn what_a_later_version_adds_is_skipped() {
    let line = br#"{"v":1,"t":"ping","sent":"now","x":{"y":[1]}}"#;
    assert_eq!(decode(line).unwrap(), Frame::Ping {});
    assert_eq!(decode(br#"{"v":1,"t":"teleport","to":3}"#).unwrap(), Frame::Unknown);
    let short = br#"{"v":1,"t":"hello","versions":[1],"role":"x"}"#;
    assert!(matches!(decode(short).unwrap(), Frame::Hello { epoch: 0, pid: 0, .. }));
}

#[test]
fn faults_are_errors() {
    assert!(matches!(decode(b"{"), Err(WireError::Syntax(_))));
    assert!(matches!(decode(br#"{"v":2,"t":"ping"}"#), Err(WireError::Version(2))));
    assert!(matches!(decode(br#"{"t":"ping"}"#), Err(WireError::Syntax(_))));
    assert!(matches!(decode(br#"{"v":1,"t":"granted"}"#), Err(WireError::Syntax(_))));
    let big = Frame::Error { text: "x".repeat(LINE_MAX) };
    assert!(matches!(encode(&big), Err(WireError::TooLong)));
    assert!(matches!(decode(&vec![b' '; LINE_MAX + 1]), Err(WireError::TooLong)));
}

#[test]
fn a_line_without_end_is_refused_at_the_limit() {
    let mut lines = Lines::new();
    lines.feed(&vec![b'x'; LINE_MAX - 1]).unwrap();
    assert!(lines.next_line().unwrap().is_none());
    assert!(matches!(lines.feed(b"xx"), Err(WireError::TooLong)));
    lines.feed(b"x").unwrap();
    assert!(matches!(lines.next_line(), Err(WireError::TooLong)));
}

proptest! {
    #[test]
    fn lines_come_out_as_they_went_in(texts in prop::collection::vec("[a-z{}\"]{0,40}", 0..20), cut in 1usize..50) {
        let bytes: Vec<u8> = texts.iter().flat_map(|t| [t.as_bytes(), b"\n"].concat()).collect();
        let (mut lines, mut seen) = (Lines::new(), Vec::new());
        for piece in bytes.chunks(cut) {
            lines.feed(piece).unwrap();
            while let Some(line) = lines.next_line().unwrap() {
                seen.push(String::from_utf8(line.to_vec()).unwrap());
            }
        }
        prop_assert_eq!(seen, texts);
    }

    #[test]
    fn any_bytes_are_a_frame_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode(&bytes);
    }
}
