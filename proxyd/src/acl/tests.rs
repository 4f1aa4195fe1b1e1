//! ACLs and conditions on one request; verdicts taken from HAProxy 2.6.12.

use super::{Answer, Condition, define};
use crate::sample::fixture::Fixture;
use conf_parsers::Word;
use conf_parsers::haproxy::condition;
use diag::{FileId, Span};

const REQUEST: &str = "GET /static/img/logo.PNG?x=1&y=abc HTTP/1.1\nHost: www.Example.com:8080\nCookie: a=1; b=two\n\
                       X-Ip: 10.1.2.3, ::ffff:192.168.1.1\nX-Num: 42\nX-Num: 7\nUser-Agent: curl/7";

fn words(text: &str) -> Vec<Word> {
    text.split(' ').map(|w| Word::new(w, Span::new(FileId(0), 0, 0))).collect()
}

fn holds(acl: &str) -> Result<bool, String> {
    let mut fixture = Fixture::new();
    let words = words(&format!("if {{ {acl} }}"));
    let tree = condition::parse(&words).map_err(|f| f.text)?;
    let condition = fixture.scope(|s| Condition::compile(&tree, s))?;
    Ok(fixture.view(REQUEST, |v| condition.check(v) == Answer::Yes))
}

const VERDICTS: &str = include_str!("verdicts.tsv");

#[test]
fn acls_match_as_haproxys_do() {
    let wrong: Vec<String> = VERDICTS
        .lines()
        .filter_map(|line| {
            let (acl, verdict) = line.split_once('\t').unwrap();
            let got = holds(acl);
            (got != Ok(verdict == "1")).then(|| format!("{acl}: {got:?} instead of {verdict}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn faults_are_told_in_haproxys_words() {
    let cases = [
        (
            "src -x 1.2.3.4",
            "'-x' is not a valid ACL option. Please use '--' before any pattern beginning with a '-'",
        ),
        ("src 1.2.3.4.5", "'1.2.3.4.5' is not a valid IPv4 or IPv6 address"),
        ("src 1.2.3.0/33", "'1.2.3.0/33' is not a valid IPv4 or IPv6 address"),
        (
            "req.payload(0,3) abc",
            "matching method must be specified first (using '-m') when using a sample fetch of this type \
             ('req.payload')",
        ),
        ("req.payload(0,3) -m bin abc", "an even number of hex digit is expected"),
        ("path -m zz a", "unknown matching method 'zz' when parsing ACL expression"),
        ("url_port x", "'x' is not a number"),
        ("url_port gt x", "'x' is neither a number nor a supported operator"),
        ("url_port 3:1", "'3:1' is not a valid number range"),
        ("nosuch a", "unknown fetch method 'nosuch' in ACL expression 'nosuch'"),
        ("path_reg (", "regex '(' is invalid (error=missing closing parenthesis, erroffset=1)"),
        ("path_beg -f /nonexist", "failed to open pattern file </nonexist>"),
        ("path -u x /a", "the argument of -u must be an integer"),
    ];
    for (acl, wanted) in cases {
        assert_eq!(holds(acl).unwrap_err(), wanted, "{acl}");
    }
}

#[test]
fn lines_of_one_name_are_alternatives() {
    let mut fixture = Fixture::new();
    let mut acls = std::collections::HashMap::new();
    for line in ["path_beg /nothing", "path_end -i .png"] {
        fixture.scope(|s| define(&mut acls, "img", &words(line), s)).unwrap();
    }
    fixture.acls = acls;
    for (text, wanted) in [
        ("if img", true),
        ("if !img", false),
        ("unless img", false),
        ("if METH_POST or img", true),
        ("if METH_GET METH_POST", false),
        ("if METH_POST || TRUE !FALSE", true),
    ] {
        let tree = condition::parse(&words(text)).unwrap();
        let condition = fixture.scope(|s| Condition::compile(&tree, s)).unwrap();
        assert_eq!(fixture.view(REQUEST, |v| condition.holds(v)), wanted, "{text}");
    }
    let tree = condition::parse(&words("if nope")).unwrap();
    assert_eq!(fixture.scope(|s| Condition::compile(&tree, s)).unwrap_err(), "no such ACL : 'nope'");
}

#[test]
fn edits_are_seen_by_the_next_look_up() {
    use super::file::PatRefs;
    use super::matcher::{Flags, Method};
    use crate::sample::Value;
    let files = PatRefs::default();
    let list = files.named("hosts", String::new(), true);
    let exact = list.index(Method::Str, Flags::default()).unwrap();
    list.add("a", "1").unwrap();
    list.add("b", "2").unwrap();
    let find = |k: &str| exact.find(&Value::str(k.to_owned())).map(|e| e.value.to_string());
    assert_eq!(find("a").as_deref(), Some("1"));
    list.set("a", "9");
    assert_eq!(find("a").as_deref(), Some("9"));
    assert!(list.remove("b") && !list.remove("b"));
    assert_eq!(find("b"), None);
    let version = list.prepare();
    assert!(list.add_at(version, "c", "3"));
    assert_eq!(find("c"), None);
    assert_eq!(list.commit(version), Ok(true));
    assert_eq!((find("a"), find("c").as_deref()), (None, Some("3")));
    assert_eq!(list.versions().entries, 1);
    list.clear();
    assert_eq!(find("c"), None);
}

#[test]
fn the_longest_network_and_prefix_win() {
    use super::file::PatRefs;
    use super::matcher::{Flags, Method};
    use crate::sample::Value;
    let files = PatRefs::default();
    let nets = files.named("nets", String::new(), true);
    for (net, value) in [("10.0.0.0/8", "wide"), ("10.1.0.0/16", "narrow"), ("::/0", "six")] {
        nets.add(net, value).unwrap();
    }
    let by_ip = nets.index(Method::Ip, Flags::default()).unwrap();
    let find = |ip: &str| by_ip.find(&Value::ip(ip.parse().unwrap())).map(|e| e.value.to_string());
    assert_eq!(find("10.1.2.3").as_deref(), Some("narrow"));
    assert_eq!(find("10.2.2.3").as_deref(), Some("wide"));
    assert_eq!(find("2001:db8::1").as_deref(), Some("six"));
    let paths = files.named("paths", String::new(), true);
    paths.add("/a", "short").unwrap();
    paths.add("/a/b", "long").unwrap();
    let by_beg = paths.index(Method::Beg, Flags::default()).unwrap();
    let find = |p: &str| by_beg.find(&Value::str(p.to_owned())).map(|e| e.value.to_string());
    assert_eq!(
        (find("/a/b/c").as_deref(), find("/ab").as_deref(), find("/")),
        (Some("long"), Some("short"), None)
    );
}
