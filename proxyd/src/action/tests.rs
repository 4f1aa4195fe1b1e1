//! Rules on one request; results taken from what HAProxy 2.6.12 sent to a server.

use super::sets::{Set, rule};
use super::{Flow, Reply, Rule, Verdict, run};
use crate::sample::fixture::Fixture;
use crate::stream::view::View;
use conf_parsers::Word;
use diag::{FileId, Span};
use std::sync::Arc;

const REQUEST: &str = "GET /a/b/img.png?x=1&y=2 HTTP/1.1\nhost: www.e.com\ncookie: a=1; b=2\n\
                       x-list: one, two , three\nx-one: solo\nx-ip: 1.2.3.4";

/// Words of a line; double quotes only.
fn words(line: &str) -> Vec<Word> {
    let mut out: Vec<String> = vec![String::new()];
    let mut quoted = false;
    for c in line.chars() {
        match c {
            '"' => quoted = !quoted,
            ' ' if !quoted => out.push(String::new()),
            c => out.last_mut().unwrap().push(c),
        }
    }
    out.into_iter().map(|w| Word::new(w, Span::new(FileId(0), 0, 0))).collect()
}

fn compile(fixture: &mut Fixture, set: Set, line: &str) -> Result<Rule, String> {
    fixture.scope(|s| rule(set, &words(line), s))
}

fn shown(view: &View<'_>) -> Vec<String> {
    let request = view.request.as_deref().unwrap();
    let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
    let mut out = vec![format!("{} {} HTTP/1.1", text(request.method()), text(request.uri()))];
    out.extend(request.fields().map(|(_, n, v)| format!("{}: {}", text(n).to_ascii_lowercase(), text(v))));
    out
}

#[test]
fn rewrites_give_what_haproxy_gives() {
    let mut wrong = Vec::new();
    for case in include_str!("cases.txt").lines() {
        let mut parts = case.split('\u{1f}');
        let line = parts.next().unwrap();
        // Surrounding white space of a value is the wire's business.
        let wanted: Vec<String> = parts.map(str::to_owned).collect();
        let mut fixture = Fixture::new();
        match compile(&mut fixture, Set::Request, line) {
            Ok(rule) => {
                let got = fixture.view(REQUEST, |v| {
                    run(&[rule], 0, v);
                    shown(v)
                });
                if got != wanted {
                    wrong.push(format!("{line}: {got:?} instead of {wanted:?}"));
                }
            }
            Err(e) => wrong.push(format!("{line}: {e}")),
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

fn finish(line: &str) -> (Flow, Vec<String>) {
    let mut fixture = Fixture::new();
    let rule = compile(&mut fixture, Set::Request, line).unwrap();
    fixture.view(REQUEST, |v| {
        let (flow, _) = run(&[rule], 0, v);
        (flow, shown(v))
    })
}

fn reply(line: &str) -> Arc<Reply> {
    match finish(line).0 {
        Flow::Finish(Verdict::Reply(reply)) => reply,
        other => panic!("{line}: {other:?}"),
    }
}

fn headers(reply: &Reply) -> Vec<String> {
    reply.headers.iter().map(|(n, v)| format!("{n}: {}", String::from_utf8_lossy(v))).collect()
}

#[test]
fn redirects_keep_or_drop_what_they_are_told() {
    let cases: [(&str, u16, &[&str]); 5] = [
        ("redirect location /x", 302, &["location: /x", "cache-control: no-cache"]),
        (
            "redirect prefix https://a.b code 301 drop-query append-slash set-cookie X=1",
            301,
            &["location: https://a.b/a/b/img.png/", "set-cookie: X=1; path=/;"],
        ),
        ("redirect scheme https code 308", 308, &["location: https://www.e.com/a/b/img.png?x=1&y=2"]),
        (
            "redirect location /z code 303 clear-cookie Q=",
            303,
            &["location: /z", "cache-control: no-cache", "set-cookie: Q=; path=/; Max-Age=0;"],
        ),
        ("redirect prefix / code 307", 307, &["location: /a/b/img.png?x=1&y=2", "cache-control: no-cache"]),
    ];
    for (line, status, wanted) in cases {
        let r = reply(line);
        assert_eq!(
            (r.status, headers(&r)),
            (status, wanted.iter().map(|h| (*h).to_owned()).collect()),
            "{line}"
        );
    }
    assert!(matches!(finish("redirect location %[req.hdr(none)] ignore-empty").0, Flow::Continue));
}

#[test]
fn answers_have_status_body_and_headers() {
    let r = reply("deny");
    assert_eq!((r.status, r.canned, r.denied), (403, true, true));
    let r = reply("deny deny_status 429");
    assert_eq!((r.status, r.canned), (429, true));
    let r = reply("deny status 418 hdr X-A b");
    assert_eq!((r.status, r.canned, headers(&r)), (418, false, vec!["X-A: b".to_owned()]));
    let r = reply(
        "return status 200 content-type text/plain lf-string \"%[method]-%[path]\" hdr X-B %[req.hdr(x-one)]",
    );
    assert_eq!((r.status, r.body.as_slice(), r.denied), (200, &b"GET-/a/b/img.png"[..], false));
    assert_eq!(headers(&r), ["X-B: solo", "content-type: text/plain"]);
    let r = reply("return status 204");
    assert_eq!((r.status, r.body.len(), headers(&r).len(), r.canned), (204, 0, 0, false));
    let r = reply("auth realm \"a b\"");
    assert_eq!(
        (r.status, r.canned, headers(&r)),
        (401, true, vec!["www-authenticate: Basic realm=\"a b\"".to_owned()])
    );
    assert!(matches!(finish("tarpit").0, Flow::Finish(Verdict::Tarpit(_))));
    assert!(matches!(finish("reject").0, Flow::Finish(Verdict::Reject)));
    assert!(matches!(finish("silent-drop").0, Flow::Finish(Verdict::SilentDrop(None))));
    assert!(matches!(finish("silent-drop rst-ttl 3").0, Flow::Finish(Verdict::SilentDrop(Some(3)))));
    assert!(matches!(finish("allow if TRUE").0, Flow::Stop));
    assert!(matches!(finish("deny if FALSE").0, Flow::Continue));
    assert!(matches!(
        finish("use-service prometheus-exporter").0,
        Flow::Finish(Verdict::Service("prometheus-exporter"))
    ));
}

#[test]
fn variables_pass_from_rule_to_rule() {
    let mut fixture = Fixture::new();
    let rules: Vec<Rule> = [
        "set-var(txn.a) req.hdr(x-one),upper",
        "set-var(txn.a,ifnotexists) str(never)",
        "set-var-fmt(req.b) \"%[var(txn.a)]-%[method]\"",
        "set-var(sess.c) int(3)",
        "unset-var(txn.a) if { var(sess.c) -m int 4 }",
        "set-header X-A \"%[var(txn.a)] %[var(req.b)] %[var(sess.c),add(2)]\"",
    ]
    .iter()
    .map(|l| compile(&mut fixture, Set::Request, l).unwrap())
    .collect();
    let got = fixture.view(REQUEST, |v| {
        run(&rules, 0, v);
        shown(v)
    });
    assert_eq!(got.last().map(String::as_str), Some("x-a: SOLO SOLO-GET 5"));
}

#[test]
fn tracked_counters_count() {
    use crate::stick::table::{Data, KeyType, Stored};
    use crate::stick::{TableSpec, Tables};
    let tables = Tables::default();
    let one = |data, period_ms| Stored { data, elements: 1, period_ms };
    let table = tables.ensure(&TableSpec {
        name: "f".into(),
        kind: KeyType::Ip,
        size: 10,
        expire: None,
        nopurge: false,
        stored: vec![one(Data::Gpc0, 0), one(Data::HttpReqCnt, 0), one(Data::ConnCur, 0), one(Data::Gpt0, 0)],
        peers: None,
    });
    let mut fixture = Fixture::new();
    let rules: Vec<Rule> = [
        "track-sc0 src",
        "sc-inc-gpc0(0)",
        "sc-set-gpt0(0) int(9)",
        "deny deny_status 429 if { sc0_get_gpc0 gt 1 }",
        "set-header X-N \"%[sc0_get_gpc0] %[sc_http_req_cnt(0)] %[src,table_gpt0(f)] %[sc0_conn_cur] %[sc0_conn_rate]\"",
    ]
    .iter()
    .map(|l| compile(&mut fixture, Set::Request, l).unwrap())
    .collect();
    fixture.bind(&tables);
    let first = fixture.view(REQUEST, |v| {
        assert!(matches!(run(&rules, 0, v).0, Flow::Continue));
        assert_eq!(table.lock().users(&v.txn.as_deref().unwrap().tracked[0].as_ref().unwrap().key), 1);
        shown(v)
    });
    assert_eq!(first.last().map(String::as_str), Some("x-n: 1 1 9 1 "));
    let key = table.lock().keys(u64::MAX - 1).remove(0);
    assert_eq!(table.lock().users(&key), 0);
    let second = fixture.view(REQUEST, |v| run(&rules, 0, v));
    assert!(matches!(second, (Flow::Finish(Verdict::Reply(_)), 3)));
}

#[test]
fn faults_are_told_in_haproxys_words() {
    let side = |name: &str, text: &str| {
        format!("error detected in frontend 'f' while parsing 'http-request {name}' rule : {text}.")
    };
    let cases = [
        (
            "deny foo",
            "'http-request deny' expects either 'if' or 'unless' followed by a condition but found 'foo'."
                .to_owned(),
        ),
        ("deny status 999", side("deny", "Unexpected status code '999'")),
        ("set-header a", side("set-header", "expects exactly 2 arguments")),
        (
            "set-header a %[nosuch]",
            side("set-header", "failed to parse sample expression <nosuch]> : unknown fetch method 'nosuch'"),
        ),
        (
            "set-header a %[status]",
            side(
                "set-header",
                "sample fetch <status]> may not be reliably used here because it needs 'HTTP response' which is not available here",
            ),
        ),
        ("set-var(txn.x)", side("set-var(txn.x)", "missing fetch method")),
        (
            "set-var txn.x int(1)",
            side(
                "set-var",
                "invalid or incomplete action 'set-var'. Expects 'set-var(<var-name>)', 'set-var-fmt(<var-name>)' or 'unset-var(<var-name>)'",
            ),
        ),
        ("redirect", side("redirect", "redirection type expected ('prefix', 'location', or 'scheme')")),
        (
            "redirect location / code 200",
            side(
                "redirect",
                "'code': unsupported HTTP code '200' (must be one of 301, 302, 303, 307 or 308)",
            ),
        ),
        (
            "return status 200 string a",
            side("return", "a content type must be defined when non-empty payload is configured"),
        ),
        ("track-sc9 src", side("track-sc9", "9 track-sc number exceeding 2 (MAX_SESS_STKCTR-1) value")),
        (
            "replace-header a ( b",
            side("replace-header", "regex '(' is invalid (error=missing closing parenthesis, erroffset=1)"),
        ),
        ("set-path", side("set-path", "expects exactly 1 argument <format>")),
        ("capture req.hdr(a) len 0", side("capture", "length must be > 0")),
        ("capture req.hdr(a)", side("capture", "expects <expression> [ 'len' <length> | id <idx> ]")),
        (
            "set-log-level foo",
            side("set-log-level", "expects exactly 1 argument (log level name or 'silent')"),
        ),
        ("use-service foo", side("use-service", "'foo' unknown service name.")),
        ("sc-inc-gpc0(9)", side("sc-inc-gpc0(9)", "invalid stick table track ID. The max allowed ID is 2")),
        ("set-map(/x) a", side("set-map(/x)", "expects exactly 2 arguments")),
        ("strict-mode foo", side("strict-mode", "Unexpected value 'foo'. Only 'on' and 'off' are supported")),
        (
            "deny if foo",
            "error detected while parsing an 'http-request deny' condition : no such ACL : 'foo'.".to_owned(),
        ),
    ];
    for (line, wanted) in cases {
        let mut fixture = Fixture::new();
        assert_eq!(compile(&mut fixture, Set::Request, line).unwrap_err(), wanted, "{line}");
    }
}

#[test]
fn an_unknown_action_lists_those_that_are_known() {
    let mut fixture = Fixture::new();
    let text = compile(&mut fixture, Set::Request, "set-statu 1").unwrap_err();
    assert!(text.starts_with("'http-request' expects 'wait-for-handshake', "), "{text}");
    assert!(
        text.contains("'sc-inc-gpc(*)', 'sc-inc-gpc0(*)'") && text.contains("but got 'set-statu'."),
        "{text}"
    );
    let text = compile(&mut fixture, Set::Connection, "set-header a b").unwrap_err();
    assert!(text.starts_with("'tcp-request connection' expects 'accept', 'reject', "), "{text}");
    assert!(text.contains(" in frontend 'f' (got 'set-header')."), "{text}");
    for set in [Set::Request, Set::Response, Set::AfterResponse, Set::RequestContent, Set::ResponseContent] {
        let unique: std::collections::HashSet<_> = set.rows().map(|r| r.name).collect();
        assert_eq!(unique.len(), set.rows().count(), "{}", set.name());
    }
}

#[test]
fn a_condition_that_can_never_hold_gives_a_warning() {
    let mut fixture = Fixture::new();
    compile(&mut fixture, Set::Request, "deny if { status 200 }").unwrap();
    assert_eq!(fixture.warnings.len(), 1);
    assert!(fixture.warnings[0].contains("'frontend http-request header rule'"), "{:?}", fixture.warnings);
}

#[test]
fn actions_of_later_versions_do_what_their_manual_says() {
    use super::Wait;
    use std::time::Duration;
    for (line, time) in [("pause 1500us", 1500), ("pause 20", 20_000), ("pause int(3),mul(2)", 6000)] {
        let (flow, _) = finish(line);
        let Flow::Wait(Wait::Pause(wait)) = flow else { panic!("{line}: {flow:?}") };
        assert_eq!(wait, Duration::from_micros(time), "{line}");
    }
    // What is no time makes none.
    for line in ["pause int(-5)", "pause req.hdr(none)", "pause path"] {
        assert!(matches!(finish(line).0, Flow::Continue), "{line}");
    }
    for (line, mark, tos) in [
        ("set-fc-mark 0x10", Some(16), None),
        ("set-fc-mark int(20),add(1)", Some(21), None),
        ("set-fc-tos 8", None, Some(8)),
        ("set-fc-tos req.hdr(none)", None, None),
    ] {
        let mut fixture = Fixture::new();
        let rule = compile(&mut fixture, Set::Request, line).unwrap();
        let got = fixture.view(REQUEST, |v| {
            run(&[rule], 0, v);
            (v.session.mark, v.session.tos)
        });
        assert_eq!(got, (mark, tos), "{line}");
    }
    let mut fixture = Fixture::new();
    for line in ["sc-add-gpc(0,1) 5", "sc-set-gpt(0,1) 5"] {
        assert!(compile(&mut fixture, Set::AfterResponse, line).is_ok(), "{line}");
    }
    for line in ["pause", "set-fc-mark", "set-fc-mark nothing", "pause 5 6"] {
        assert!(compile(&mut fixture, Set::Request, line).is_err(), "{line}");
    }
    // Lists of what is expected are those of the version whose texts are given.
    let refused = compile(&mut fixture, Set::Request, "pauze").unwrap_err();
    assert!(refused.contains("'set-tos'") && !refused.contains("'set-fc-tos'"), "{refused}");
}
