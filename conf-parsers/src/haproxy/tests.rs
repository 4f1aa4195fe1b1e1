use super::*;
use diag::{FileId, Lead, Severity, SourceMap};
use proptest::prelude::*;
use std::collections::HashMap;

pub(crate) struct TestHost {
    vars: HashMap<String, String>,
    facts: cc::Facts,
}

impl Host for TestHost {
    fn opens_section(&self, word: &str) -> bool {
        matches!(word, "global" | "defaults" | "frontend" | "backend" | "listen")
    }
    fn variable(&self, name: &str) -> Option<String> {
        self.vars.get(name).cloned()
    }
    fn facts(&self) -> &cc::Facts {
        &self.facts
    }
    fn line(&mut self, _: &Line, line: &Line) {
        if line.keyword() == "setenv" && line.words.len() == 3 {
            self.vars.insert(line.words[1].text.clone(), line.words[2].text.clone());
        }
    }
}

fn host() -> TestHost {
    let vars = [("V1", "a b  c"), ("HOME", "/root")].map(|(k, v)| (k.to_owned(), v.to_owned()));
    let facts = cc::Facts { version: "2.6.12".into(), features: vec!["SSL".into()], ..cc::Facts::default() };
    TestHost { vars: vars.into(), facts }
}

fn read(text: impl Into<Vec<u8>>) -> (Tree, diag::Report, SourceMap) {
    let mut sources = SourceMap::new();
    let file = sources.add("t.cfg", text);
    let (tree, report) = parse(&sources, &[file], &mut host());
    (tree, report, sources)
}

fn words(line: &str) -> Vec<String> {
    let vars = host();
    let words = split(line.as_bytes(), FileId(0), 0, &|n| vars.variable(n)).expect(line);
    words.into_iter().map(|w| w.text).collect()
}

fn first_fault(text: &str) -> String {
    let (_, report, _) = read(text);
    report.items.first().map(|d| d.text.clone()).unwrap_or_default()
}

#[test]
fn quotes_and_escapes_are_haproxys() {
    assert_eq!(words(r#"x "a\nb\tc\qd\"e\$f\\g\#h\ i""#), ["x", "a\nb\tc\\qd\"e$f\\g#h i"]);
    assert_eq!(words(r#"x 'a\nb\q\\"'"#), ["x", "a\\nb\\q\\\\\""]);
    assert_eq!(words(r"x a\nb\tc\qd\$f\\g\#h\ i\x41\'"), ["x", "a\nb\tc\\qd\\$f\\g#h iA'"]);
    assert_eq!(words(r#"x a"b c"'"'d#e"#), ["x", "ab c\"d"]);
    assert_eq!(words("x a\rb"), ["x", "a"]);
    assert_eq!(words("x \"\" ''"), ["x", "", ""]);
    assert_eq!(words("x abc\\"), ["x", "abc\\"]);
}

#[test]
fn variables_stand_in_double_quotes_only() {
    assert_eq!(words(r#"x "$V1.x" '$V1' $V1${V1}"#), ["x", "a b  c.x", "$V1", "$V1${V1}"]);
    assert_eq!(words(r#"x "${V1-d}" "${NO-d e}" "${NO}""#), ["x", "a b  c", "d e", ""]);
    assert_eq!(words(r#"x y"p${V1[*]}q"z"#), ["x", "ypa", "b", "cqz"]);
    assert_eq!(words(r#"x "${NO[*]}" z"#), ["x", "z"]);
}

#[test]
fn faults_of_words_name_haproxys_places() {
    let cases = [
        ("global\n maxconn \"12\n", "unmatched quote at position 10:\n   maxconn \"12\n           ^"),
        (
            "global\n d \"${FOO\"\n",
            "unmatched brace in environment variable name at position 6:\n   d \"${FOO\"\n       ^",
        ),
        (
            "global\n d \"${1F}\"\n",
            "forbidden first char in environment variable name at position 7:\n   d \"${1F}\"\n        ^",
        ),
        (
            "global\n d \"${F[x]}\"\n",
            "truncated or invalid word expansion sequence at position 8:\n   d \"${F[x]}\"\n         ^",
        ),
        ("global\n d \\x4\n", "truncated or invalid hexadecimal sequence at position 4:\n   d \\x4\n     ^"),
        ("global\n d", "Missing LF on last line, file might have been truncated at position 3."),
        ("foo\n", "unknown keyword 'foo' out of section."),
    ];
    for (text, expected) in cases {
        let (_, report, _) = read(text);
        assert_eq!(report.items[0].text, expected, "{text:?}");
        assert_eq!(report.items[0].lead, Lead::Tight);
    }
}

#[test]
fn too_many_words_are_cut_with_an_alert() {
    let (tree, report, _) = read(format!("global\n description {}\n", "x ".repeat(80)));
    assert_eq!(report.items[0].text, "too many words, truncating after word 64, position 137: <x>.");
    assert_eq!(tree.sections[0].lines[0].words.len(), WORDS_MAX);
}

#[test]
fn conditions_choose_lines() {
    let text = "global\n.if defined(HOME) && !feature(NOPE)\n a\n.elif 1\n b\n.else\n c\n.endif\n d\n";
    let (tree, report, _) = read(text);
    assert!(report.is_empty(), "{report:?}");
    let keywords: Vec<_> = tree.sections[0].lines.iter().map(Line::keyword).collect();
    assert_eq!(keywords, ["a", "d"]);
}

#[test]
fn a_dead_block_hides_its_inner_blocks() {
    let text = "global\n.if 0\n.if 1\n a\n.else\n b\n.endif\n.alert no\n.elif 1\n c\n.endif\n";
    let (tree, report, _) = read(text);
    assert!(report.is_empty(), "{report:?}");
    assert_eq!(tree.sections[0].lines.len(), 1);
    assert_eq!(tree.sections[0].lines[0].keyword(), "c");
}

#[test]
fn faults_of_directives_are_haproxys() {
    let cases = [
        (
            ".if foo\n.endif\n",
            "unparsable conditional expression 'foo' in '.if' at position 1:\n  .if foo\n      ^",
        ),
        (
            "  .if    200rrr\n.endif\n",
            "unexpected character 'r' at the end of conditional expression '200rrr' in '.if' at position 4:\n  \
             .if 200rrr\n         ^",
        ),
        (".if 1\n", "non-terminated '.if' block."),
        (".else\n", "lone '.else' with no matching '.if'."),
        (".elif 1\n", "lone '.elif' with no matching '.if'."),
        (".endif x\n", "Unexpected argument 'x' for '.endif'."),
        (".foo\n", "unknown directive '.foo'."),
        (
            ".notice a b\n",
            "Unexpected argument 'b' for '.notice'. Use quotes if the message should contain spaces.",
        ),
        (".if 1\n.else\n.else\n.endif\n", "'.else' after '.else' is not permitted."),
    ];
    for (text, expected) in cases {
        assert_eq!(first_fault(text), expected, "{text:?}");
    }
}

#[test]
fn announcements_have_their_severities() {
    let (_, report, _) = read(".notice \"hello world\"\n.warning w\n.alert a\n.diag d\n");
    let found: Vec<_> = report.items.iter().map(|d| (d.severity, d.text.as_str())).collect();
    let expected = [
        (Severity::Notice, "'hello world'."),
        (Severity::Warning, "'w'."),
        (Severity::Alert, "'a'."),
        (Severity::Diag, "'d'."),
    ];
    assert_eq!(found, expected);
}

#[test]
fn conditions_of_the_command_line() {
    let host = host();
    let ask = |text: &str| cc::evaluate(text.as_bytes(), host.facts(), &|n| host.variable(n));
    for truth in [
        "1",
        "-1000 && 200",
        "streq(a,\"a\")",
        "version_atleast(2.4)",
        "version_before(3.5-dev3)",
        "!defined(NOPE)",
        "(1||0)&&1",
        "feature(SSL)",
        "strstr(abc,b)",
        "strneq(a,b)",
        "0 || 1",
        "1&&1",
    ] {
        assert_eq!(ask(truth), Ok(true), "{truth}");
    }
    for lie in [
        "",
        "0",
        "!1",
        "version_atleast(2.8)",
        "version_before(v3.5-dev3)",
        "feature(NOPE)",
        "defined(NOPE)",
        "1 && 0",
    ] {
        assert_eq!(ask(lie), Ok(false), "{lie}");
    }
    let faults = [
        ("200rrr", "unexpected character 'r' at the end of conditional expression '200rrr'"),
        ("foo(x)", "unparsable conditional expression 'foo(x)'"),
        ("(1", "expected ')' after conditional expression '(1'"),
        ("1 || ", "unparsable conditional expression '|| '"),
        ("enabled(FOO)", "unparsable conditional expression 'enabled(FOO)'"),
        ("defined(HOME", "expected ')' in argument 1 of predicate 'defined' used in conditional expression"),
        (
            "defined(HOME,b)",
            "expected ')' before ',b)' in argument 1 of predicate 'defined' used in conditional expression",
        ),
        (
            "streq(1)",
            "missing arguments (got 1/2), type 'string' expected in argument 1 of predicate 'streq' used in \
             conditional expression",
        ),
    ];
    for (text, expected) in faults {
        assert_eq!(ask(text).map_err(|f| f.text), Err(expected.to_owned()), "{text}");
    }
}

#[test]
fn setenv_works_on_later_lines() {
    let (tree, _, _) = read("global\n setenv A 1\n x \"$A\"\n");
    assert_eq!(tree.sections[0].lines[1].words[1].text, "1");
}

#[test]
fn expressions_have_fetch_arguments_and_converters() {
    let e = expr::expression("req.hdr(host,-1),lower,regsub('a,b',\"c)\",g)").expect("reads");
    assert_eq!(e.fetch.name, "req.hdr");
    let args = |c: &expr::Call| c.args.iter().flatten().map(|a| a.text.clone()).collect::<Vec<_>>();
    assert_eq!(args(&e.fetch), ["host", "-1"]);
    assert_eq!(e.converters[0].args, None);
    assert_eq!(args(&e.converters[1]), ["a,b", "c)", "g"]);
    assert!(expr::expression("src(").is_err());
    assert!(expr::expression("").is_err());
    assert_eq!(expr::expression("src] x"), Err("missing comma after fetch keyword 'src'".into()));
}

#[test]
fn conditions_are_terms_of_alternatives() {
    let line = words("if a !b { src 10.0.0.0/8 } || !{ path /x } or ! c");
    let words: Vec<_> =
        line.into_iter().map(|w| crate::Word::new(w, diag::Span::new(FileId(0), 0, 0))).collect();
    let c = condition::parse(&words).expect("reads");
    assert_eq!(c.any.iter().map(Vec::len).collect::<Vec<_>>(), [3, 1, 1]);
    assert_eq!(
        c.any.iter().flatten().map(|t| t.negated).collect::<Vec<_>>(),
        [false, true, false, true, true]
    );
    assert!(condition::parse(&words[..5]).is_err());
}

#[test]
fn log_formats_are_text_tags_and_expressions() {
    use expr::FormatItem::{Expr, Tag, Text};
    let items = log_format::parse("%ci:%cp %{+Q}[req.hdr(host),lower] 100%% %(n:str){+X}ST").expect("reads");
    assert_eq!(items.len(), 7);
    assert!(matches!(&items[0], Tag { tag, .. } if tag == "ci"));
    assert!(matches!(&items[4], Expr { flags, .. } if flags == "+Q"));
    assert_eq!(items[5], Text(" 100% ".into()));
    assert!(matches!(&items[6], Tag { name: Some(n), flags, .. } if n == "n:str" && flags == "+X"));
    assert!(log_format::parse("%[src").is_err());
}

#[test]
fn addresses_have_every_form() {
    use address::{Host, Ports, parse};
    let short = |text: &str| parse(text).map(|a| (a.host, a.ports));
    let ip = |t: &str| Host::Ip(t.parse().expect("address"));
    assert_eq!(short("*:80"), Ok((Host::Any, Ports::Fixed(80, 80))));
    assert_eq!(short(":80-89"), Ok((Host::Any, Ports::Fixed(80, 89))));
    assert_eq!(short("[::]:80"), Ok((ip("::"), Ports::Fixed(80, 80))));
    assert_eq!(short("::1:80"), Ok((ip("::1"), Ports::Fixed(80, 80))));
    assert_eq!(short("10.0.0.1:+5"), Ok((ip("10.0.0.1"), Ports::Offset(5))));
    assert_eq!(short("10.0.0.1"), Ok((ip("10.0.0.1"), Ports::None)));
    assert_eq!(short("unix@/a/b"), Ok((Host::Unix("/a/b".into()), Ports::None)));
    assert_eq!(short("/a/b"), Ok((Host::Unix("/a/b".into()), Ports::None)));
    assert_eq!(short("abns@x"), Ok((Host::Abstract(b"x".to_vec(), true), Ports::None)));
    assert_eq!(short("fd@5"), Ok((Host::Fd(5), Ports::None)));
    assert_eq!(short("example.org:443"), Ok((Host::Name("example.org".into()), Ports::Fixed(443, 443))));
    assert!(parse("quic4@:443").expect("reads").prefix.quic);
    assert_eq!(short("b:c"), Err("invalid character 'c' in port number 'c' in 'b:c'".into()));
    assert_eq!(address::expand("${HOME}/x$HOME", &|_| Some("r".into())), "r/xr");
}

/// What `haproxy -cc` of 2.6.12 says; the predicates that came later have the manual's word.
#[test]
fn conditions_are_decided_as_by_haproxy() {
    let host = host();
    let ask = |text: &str| cc::evaluate(text.as_bytes(), host.facts(), &|n| host.variable(n)).ok();
    let cases: &[(&str, Option<bool>)] = &[
        ("version_atleast(2.6)", Some(true)),
        ("version_atleast(2)", Some(true)),
        ("version_atleast()", Some(true)),
        ("version_atleast(x)", Some(true)),
        ("version_atleast(2.6-dev3)", Some(true)),
        ("version_atleast(2.6.12-1)", Some(false)),
        ("version_before(2.6.13)", Some(true)),
        ("version_atleast(v3.5-dev3)", Some(true)),
        ("streq(a, a)", Some(false)),
        ("streq( a,a)", Some(false)),
        ("streq(,)", Some(true)),
        ("streq(a\\(b,a(b)", Some(false)),
        ("streq(a\\,b,a\\,b)", None),
        ("strstr(abc,)", None),
        ("feature()", Some(true)),
        ("defined()", Some(false)),
        ("defined( HOME )", Some(false)),
        (" 1", Some(true)),
        ("1 ", Some(true)),
        ("1&&", None),
        ("&&1", None),
        ("1 2", None),
        ("!!1", Some(true)),
        ("! 1", Some(false)),
        ("()", None),
        ("(1)(1)", None),
        ("((1)", None),
        ("1)", None),
        ("1 & 1", None),
        ("1|1", None),
        ("+1", Some(true)),
        ("-0", Some(false)),
        ("00", Some(false)),
        ("1.5", None),
        ("true", None),
        ("1 &&!0||0", Some(true)),
        ("streq(a,a", None),
        ("streq a", None),
        ("enabled(POLL)", Some(false)),
        ("enabled(server-ssl-verify-none)", Some(false)),
        ("fips_mode()", Some(false)),
        ("fips_mode(x)", None),
        ("fips_mode(x,y", None),
        ("awslc_api_atleast(35)", Some(false)),
        ("awslc_api_before(26)", Some(true)),
        ("ssllib_name_startswith(OpenSSL)", Some(false)),
        ("openssl_version_before(3.5.0)", Some(true)),
        ("openssl_version_atleast(3.5.0)", Some(false)),
    ];
    for (text, expected) in cases {
        assert_eq!(ask(text), *expected, "{text}");
    }
    // Every predicate of the newest manual is known.
    for (name, arity) in cc::PREDICATES {
        let args = vec!["POLL"; *arity].join(",");
        assert!(ask(&format!("{name}({args})")).is_some(), "{name}");
    }
}

#[test]
fn faults_of_addresses_are_haproxys() {
    let cases = [
        (":70000", "invalid port '70000'"),
        (":99999999999", "invalid port '99999999999'"),
        (":90-80", "invalid port range '90-80'"),
        (":5-", "invalid port ''"),
        (":5-99999", "invalid port '99999'"),
        (":a", "invalid character 'a' in port number 'a' in ':a'"),
        ("ipv4@::1:80", "invalid address: '::1' in 'ipv4@::1:80'"),
        ("ipv6@1.2.3.4:80", "invalid address: '1.2.3.4' in 'ipv6@1.2.3.4:80'"),
        ("ipv4@[::1]:80", "invalid address: '[::1]' in 'ipv4@[::1]:80'"),
        ("[::1:80", "invalid address: '[::1' in '[::1:80'"),
        ("127.0.0.1:80:90", "invalid address: '127.0.0.1:80' in '127.0.0.1:80:90'"),
        ("xx@127.0.0.1:80", "invalid address: 'xx@127.0.0.1' in 'xx@127.0.0.1:80'"),
        ("ipv4+stream@:80", "invalid address: 'ipv4+stream@' in 'ipv4+stream@:80'"),
        ("::1", "invalid address: ':' in '::1'"),
        ("fd@", "file descriptor '' is not a valid integer in 'fd@'"),
        ("fd@5x", "file descriptor '5x' is not a valid integer in 'fd@5x'"),
        ("sockpair@x", "file descriptor 'x' is not a valid integer in 'sockpair@x'"),
        ("", "'' resolves to an empty address (environment variable missing?)"),
    ];
    for (text, expected) in cases {
        assert_eq!(address::parse(text), Err(expected.to_owned()), "{text}");
    }
}

#[test]
fn addresses_have_every_prefix() {
    use address::{Host, Ports, parse};
    let prefix = |text: &str| parse(text).map(|a| (a.prefix, a.host, a.ports)).expect(text);
    let of = |family, datagram, quic, mptcp| address::Prefix { family, datagram, quic, mptcp };
    let port = Ports::Fixed(80, 80);
    let any = |p: address::Prefix| (p, Host::Any, port);
    assert_eq!(prefix("ip@:80"), any(of(None, false, false, false)));
    assert_eq!(prefix("ipv4@*:80"), any(of(Some(4), false, false, false)));
    assert_eq!(prefix("ipv6@*:80"), any(of(Some(6), false, false, false)));
    assert_eq!(prefix("stream+ipv4@:80"), any(of(Some(4), false, false, false)));
    assert_eq!(prefix("dgram+ipv6@:80"), any(of(Some(6), true, false, false)));
    assert_eq!(prefix("quic+ipv4@:80"), any(of(Some(4), true, true, false)));
    assert_eq!(prefix("quic4@:80"), any(of(Some(4), true, true, false)));
    assert_eq!(prefix("quic6@:80"), any(of(Some(6), true, true, false)));
    assert_eq!(prefix("tcp@:80"), any(of(None, false, false, false)));
    assert_eq!(prefix("tcp4@:80"), any(of(Some(4), false, false, false)));
    assert_eq!(prefix("tcp6@:80"), any(of(Some(6), false, false, false)));
    assert_eq!(prefix("mptcp@:80"), any(of(None, false, false, true)));
    assert_eq!(prefix("mptcp4@:80"), any(of(Some(4), false, false, true)));
    assert_eq!(prefix("mptcp6@:80"), any(of(Some(6), false, false, true)));
    assert_eq!(prefix("udp@:80"), any(of(None, true, false, false)));
    assert_eq!(prefix("udp4@:80"), any(of(Some(4), true, false, false)));
    assert_eq!(prefix("udp6@:80"), any(of(Some(6), true, false, false)));
    let alone = |datagram, host| (of(None, datagram, false, false), host, Ports::None);
    assert_eq!(prefix("stream+unix@/x"), alone(false, Host::Unix("/x".into())));
    assert_eq!(prefix("uxst@/x"), alone(false, Host::Unix("/x".into())));
    assert_eq!(prefix("uxdg@/x"), alone(true, Host::Unix("/x".into())));
    assert_eq!(prefix("dgram+fd@3"), alone(true, Host::Fd(3)));
    assert_eq!(prefix("sockpair@3"), alone(false, Host::Sockpair(3)));
    assert_eq!(prefix("abns@a:b"), alone(false, Host::Abstract(b"a:b".to_vec(), true)));
    assert_eq!(prefix("abnsz@a"), alone(false, Host::Abstract(b"a".to_vec(), false)));
    assert_eq!(prefix("rhttp@b/s"), alone(false, Host::ReverseHttp("b/s".into())));
    // haproxy looks at the digits of a port only.
    assert_eq!(prefix("*:8a"), (address::Prefix::default(), Host::Any, Ports::Fixed(8, 8)));
    assert_eq!(prefix(":5x-9y"), (address::Prefix::default(), Host::Any, Ports::Fixed(5, 9)));
    assert_eq!(prefix("[::1]:").2, Ports::None);
    assert_eq!(prefix("10.0.0.1:-5").2, Ports::Offset(-5));
}

#[test]
fn faults_of_expressions_and_formats_are_haproxys() {
    let expressions = [
        (r#"str(a"b,c)"#, "fetch method 'str' : expected ')'"),
        ("str('a)b)", "fetch method 'str' : expected ')'"),
        ("src,map(/x", "invalid arg 2 in converter 'map' : expected ')'"),
        ("src lower", "missing comma after fetch keyword 'src'"),
        ("src,lower -m", "missing comma after converter 'lower'"),
        ("", "missing fetch method"),
    ];
    for (text, expected) in expressions {
        assert_eq!(expr::expression(text), Err(expected.to_owned()), "{text}");
    }
    let formats = [
        ("%[src", "missing ']' after 'src'"),
        ("%[src lower]", "expected ']' after 'src', but found 'l'"),
        ("%[str(a\\)b)]", "expected ']' after 'str(a\\)', but found 'b'"),
        ("%{+Q[src]", "truncated line after '+Q[src]'"),
        ("%{+Q", "truncated line after '+Q'"),
        ("%", "truncated line after '%'"),
        ("a%", "truncated line after '%'"),
        ("%[", "failed to parse sample expression <> : missing fetch method"),
        (
            "%[src,map_str(a]",
            "failed to parse sample expression <src,map_str(a]> : invalid arg 2 in converter 'map_str' : expected ')'",
        ),
    ];
    for (text, expected) in formats {
        assert_eq!(log_format::parse(text), Err(expected.to_owned()), "{text}");
    }
    // A backslash takes the meaning from quotes, blanks and itself, not from commas and parentheses.
    let args = |text: &str| -> Vec<String> {
        let call = expr::prefix(text).expect(text).0.fetch;
        call.args.into_iter().flatten().map(|a| a.text).collect()
    };
    assert_eq!(args("str(a\\,b)"), ["a\\", "b"]);
    assert_eq!(args("str(a\\)b)"), ["a\\"]);
    assert_eq!(args("str(a\\'b,c)"), ["a'b", "c"]);
    assert_eq!(args("str(\"a,b\",'c)d')"), ["a,b", "c)d"]);
}

proptest! {
    #[test]
    fn any_bytes_give_a_tree(text in proptest::collection::vec(any::<u8>(), 0..300)) {
        read(text);
    }

    #[test]
    fn config_like_text_gives_a_tree(
        text in "(global|backend x|\\.if 1|\\.else|\\.endif| a|[ \"'\\\\$\\{\\}#x\\[\\*\\]-]{0,9}|\n){0,40}",
    ) {
        read(text);
    }

    #[test]
    fn printing_and_reading_give_the_same_words(
        words in proptest::collection::vec(proptest::collection::vec(any::<u8>().prop_filter("nul", |b| *b != 0), 0..12), 1..9),
    ) {
        let at = diag::Span::new(FileId(0), 0, 0);
        let word = |bytes: &Vec<u8>| match String::from_utf8(bytes.clone()) {
            Ok(text) => crate::Word::new(text, at),
            Err(_) => crate::Word {
                raw: Some(bytes.clone().into_boxed_slice()),
                ..crate::Word::new(String::from_utf8_lossy(bytes), at)
            },
        };
        let mut list = vec![crate::Word::new("x", at)];
        list.extend(words.iter().map(word));
        let header = crate::Line { words: vec![crate::Word::new("global", at)], span: at };
        let text = print(&[Section { header, lines: vec![crate::Line { words: list.clone(), span: at }] }]);
        let (tree, report, _) = read(text);
        prop_assert!(report.is_empty(), "{report:?}");
        let back: Vec<_> = tree.sections[0].lines[0].words.iter().map(|w| w.bytes().to_vec()).collect();
        let wanted: Vec<_> = list.iter().map(|w| w.bytes().to_vec()).collect();
        prop_assert_eq!(back, wanted);
    }

    #[test]
    fn small_languages_never_panic(text in "\\PC*", odd in "[a-z0-9(),!&|\\[\\]%{}'\"\\\\+@:. $/*-]{0,40}") {
        let host = host();
        for t in [&text, &odd] {
            let _ = expr::prefix(t);
            let _ = log_format::parse(t);
            let _ = address::parse(t);
            let _ = address::expand(t, &|_| None);
            let _ = cc::evaluate(t.as_bytes(), host.facts(), &|n| host.variable(n));
        }
    }
}
