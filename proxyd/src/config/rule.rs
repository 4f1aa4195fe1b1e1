//! Rule lines: `acl`, `http-request` and its kin, `use_backend`, `stick`, and the old `req*`/`rsp*`.
//!
//! Invariant: lines keep their order across keywords, since a rule sees the ACLs before it. What an action or fetch
//! means is said in its own table.

use super::keyword::Cx;
use super::proxy::{RuleLine, Scope};
use conf_parsers::args::{Args, Fault};
use conf_parsers::haproxy::{condition, expr};
use conf_parsers::{Line, Word};
use diag::Span;

/// Everything whose order counts.
pub(super) fn ordered(cx: &mut Cx<'_, '_>, args: &mut Args<'_>) -> Result<(), Fault> {
    let keyword = args.keyword().text.clone();
    if cx.draft.scope == Scope::Defaults && cx.draft.proxy.name.is_empty() {
        let text = match keyword.as_str() {
            "tcp-request" | "tcp-response" => {
                let kind = args.peek().map_or("", |w| w.text.as_str());
                format!("{keyword} {kind} is not allowed in anonymous 'defaults' sections")
            }
            "stick-table" => "'stick-table' is not supported in 'defaults' section.".to_owned(),
            _ => format!("'{keyword}' not allowed in anonymous 'defaults' section."),
        };
        return Err(Fault::new(args.keyword().span, text));
    }
    if args.is_empty() {
        return Err(Fault::new(args.keyword().span, missing(&keyword)));
    }
    if let Some(words) = condition_of(&keyword, args.rest()) {
        condition::parse(words).map_err(|f| {
            Fault::new(
                f.span,
                format!("error detected while parsing an '{}' condition : {}.", shown(cx.line), f.text),
            )
        })?;
    }
    in_its_place(cx);
    cx.draft.rules.push(RuleLine { line: cx.line.clone() });
    Ok(())
}

/// Rules in the order in which they run, whatever the order of their lines: the words of the line, and how warnings
/// about it name the rule.
const STEPS: [(&[&str], &str); 8] = [
    (&["tcp-request", "connection"], "a 'tcp-request"),
    (&["tcp-request", "session"], "a 'tcp-request session"),
    (&["tcp-request", "content"], "a 'tcp-request content"),
    (&["monitor", "fail"], "a 'monitor fail"),
    (&["http-request"], "an 'http-request"),
    (&["redirect"], "a 'redirect"),
    (&["use_backend"], "a 'use_backend"),
    (&["use-server"], "a 'use-server"),
];

/// Where in [`STEPS`] a line stands.
fn step(line: &Line) -> Option<usize> {
    STEPS.iter().position(|(words, _)| {
        line.words.len() >= words.len() && line.words.iter().zip(*words).all(|(w, s)| w.text == *s)
    })
}

/// Warns of a rule that will run before one that stands above it.
fn in_its_place(cx: &mut Cx<'_, '_>) {
    let Some(own) = step(cx.line) else { return };
    let draft = &cx.draft;
    let inherited = draft.inherited;
    let above = draft.rules.iter().skip(inherited).chain(&draft.monitor).chain(&draft.use_backend);
    let later = above.chain(&draft.use_server).filter_map(|r| step(&r.line)).filter(|s| *s > own).min();
    if let Some(later) = later {
        let rule = if own < 3 { "tcp-request" } else { STEPS[own].1.split_once('\'').map_or("", |(_, n)| n) };
        let (_, after) = STEPS[later];
        cx.warn(format!("a '{rule}' rule placed after {after}' rule will still be processed before."));
    }
}

fn shown(line: &Line) -> String {
    line.words.iter().take(2).map(|w| w.text.as_str()).collect::<Vec<_>>().join(" ")
}

fn missing(keyword: &str) -> String {
    match keyword {
        "acl" => "missing ACL name.".to_owned(),
        "redirect" => "error detected in redirect rule : expects 'code', 'prefix', 'location', 'scheme', \
                       'set-cookie', 'clear-cookie', 'drop-query', 'ignore-empty' or 'append-slash' (was '')."
            .to_owned(),
        _ => format!("'{keyword}' expects an action."),
    }
}

/// Where the condition of a rule starts: its last `if` or `unless` outside braces.
fn condition_of<'w>(keyword: &str, words: &'w [Word]) -> Option<&'w [Word]> {
    if matches!(keyword, "acl" | "stick-table") {
        return None;
    }
    words.iter().position(condition::opens).map(|at| &words[at..])
}

fn with_condition(args: &Args<'_>, what: &str) -> Result<(), Fault> {
    match args.peek() {
        None => Ok(()),
        Some(word) if condition::opens(word) => condition::parse(args.rest())
            .map(|_| ())
            .map_err(|f| Fault::new(f.span, format!("error detected while parsing {what} : {}.", f.text))),
        Some(word) => {
            let text = format!(
                "unexpected keyword '{}' after {what}, only 'if' and 'unless' are allowed.",
                word.text
            );
            Err(Fault::new(word.span, text))
        }
    }
}

/// `use_backend NAME if …`.
pub(super) fn use_backend(cx: &mut Cx<'_, '_>, args: &mut Args<'_>) -> Result<(), Fault> {
    if args.next().is_none() {
        return Err(Fault::new(args.keyword().span, "'use_backend' expects a backend name."));
    }
    with_condition(args, "switching rule")?;
    cx.draft.use_backend.push(RuleLine { line: cx.line.clone() });
    Ok(())
}

/// `use-server NAME if …`.
pub(super) fn use_server(cx: &mut Cx<'_, '_>, args: &mut Args<'_>) -> Result<(), Fault> {
    if args.next().is_none() {
        return Err(Fault::new(args.keyword().span, "'use-server' expects a server name."));
    }
    if !args.peek().is_some_and(condition::opens) {
        let text = "'use-server' requires either 'if' or 'unless' followed by a condition.";
        return Err(Fault::new(args.keyword().span, text));
    }
    with_condition(args, "switching rule")?;
    cx.draft.use_server.push(RuleLine { line: cx.line.clone() });
    Ok(())
}

/// `monitor fail if …`.
pub(super) fn monitor(cx: &mut Cx<'_, '_>, args: &mut Args<'_>) -> Result<(), Fault> {
    if !args.take("fail") {
        return Err(args.fault("'monitor' only supports 'fail'."));
    }
    if !args.peek().is_some_and(condition::opens) {
        return Err(args.fault("'monitor fail' requires either 'if' or 'unless' followed by a condition."));
    }
    with_condition(args, "a 'monitor fail' condition")?;
    in_its_place(cx);
    cx.draft.monitor.push(RuleLine { line: cx.line.clone() });
    Ok(())
}

/// `force-persist if …`, `ignore-persist if …`.
pub(super) fn persist(cx: &mut Cx<'_, '_>, args: &mut Args<'_>) -> Result<(), Fault> {
    let keyword = args.keyword().text.clone();
    if !args.peek().is_some_and(condition::opens) {
        let text = format!("'{keyword}' requires either 'if' or 'unless' followed by a condition.");
        return Err(Fault::new(args.keyword().span, text));
    }
    with_condition(args, &format!("a '{keyword}' rule"))?;
    cx.draft.persist.push(RuleLine { line: cx.line.clone() });
    Ok(())
}

/// `force-be-switch if …`: new in 3.x; persistence across backends in maintenance.
pub(super) fn be_switch(cx: &mut Cx<'_, '_>, args: &mut Args<'_>) -> Result<(), Fault> {
    with_condition(args, "a 'force-be-switch' rule")?;
    cx.no_effect("force-be-switch", "backends are never disabled by hand here, so there is nothing to force");
    Ok(())
}

/// `monitor-net NETWORK`, as before 2.0.
pub(super) fn monitor_net(cx: &mut Cx<'_, '_>, args: &mut Args<'_>) -> Result<(), Fault> {
    let net = args.expect(|| "'monitor-net' expects a network.".into())?.text.clone();
    cx.warn(format!(
        "'monitor-net' is the syntax of old versions; please use 'http-request return status 200 if {{ src {net} }}'."
    ));
    push(cx, &format!("http-request return status 200 if {{ src {net} }}"));
    Ok(())
}

/// Adds a rule line as if the user had written it here.
fn push(cx: &mut Cx<'_, '_>, text: &str) {
    let words = text.split(' ').map(|w| Word::new(w, cx.line.span)).collect();
    cx.draft.rules.push(RuleLine { line: Line { words, span: cx.line.span } });
}

fn push_words(cx: &mut Cx<'_, '_>, words: Vec<String>, condition: &[Word]) {
    let span = cx.line.span;
    let words = words.into_iter().map(|w| Word::new(w, span)).chain(condition.iter().cloned()).collect();
    cx.draft.rules.push(RuleLine { line: Line { words, span } });
}

/// `block`, `req*`, `rsp*`, as before 2.1: rewritten into today's rules where one does the same.
pub(super) fn old_rule(cx: &mut Cx<'_, '_>, args: &mut Args<'_>) -> Result<(), Fault> {
    let keyword = args.keyword().text.clone();
    let words = args.take_rest();
    let at = words.iter().position(condition::opens).unwrap_or(words.len());
    let (head, tail) = words.split_at(at);
    if !tail.is_empty() {
        condition::parse(tail).map_err(|f| Fault::new(f.span, format!("'{keyword}' : {}.", f.text)))?;
    }
    let today = today_of(&keyword);
    cx.warn(format!("The '{keyword}' directive is the syntax of old versions; please use '{today}'."));
    let text = |n: usize| head.get(n).map_or("", |w: &Word| w.text.as_str());
    let list = |items: &[&str]| items.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
    let lines = match keyword.as_str() {
        "block" => list(&["http-request", "deny"]),
        "reqadd" | "rspadd" => {
            let Some((name, value)) = text(0).split_once(':') else {
                return Err(Fault::new(
                    args.keyword().span,
                    format!("'{keyword}' expects <header> as an argument."),
                ));
            };
            let family = if keyword == "reqadd" { "http-request" } else { "http-response" };
            list(&[family, "add-header", name.trim(), &value.trim().replace('%', "%%")])
        }
        _ => return old_regex(cx, &keyword, text(0), text(1), tail, args.keyword().span),
    };
    push_words(cx, lines, tail);
    Ok(())
}

fn today_of(keyword: &str) -> &'static str {
    match keyword {
        "block" | "reqdeny" | "reqideny" => "http-request deny",
        "reqadd" => "http-request add-header",
        "rspadd" => "http-response add-header",
        "reqallow" | "reqiallow" | "reqpass" | "reqipass" => "http-request allow",
        "reqdel" | "reqidel" => "http-request del-header",
        "rspdel" | "rspidel" => "http-response del-header",
        "reqtarpit" | "reqitarpit" => "http-request tarpit",
        "reqrep" | "reqirep" => "http-request replace-path, replace-uri or replace-header",
        "rspdeny" | "rspideny" => "http-response deny",
        "reqsetbe" | "reqisetbe" => "use_backend",
        _ => "http-response replace-header",
    }
}

/// Expressions on whole header lines: `^Name:[ ]*rest` becomes a rule on that header, `^METHOD path` one on the path.
fn old_regex(
    cx: &mut Cx<'_, '_>,
    keyword: &str,
    pattern: &str,
    replacement: &str,
    tail: &[Word],
    span: Span,
) -> Result<(), Fault> {
    if pattern.is_empty() {
        return Err(Fault::new(span, format!("'{keyword}' expects <search> as an argument.")));
    }
    let family = if keyword.starts_with("req") { "http-request" } else { "http-response" };
    let insensitive = keyword.as_bytes().get(3) == Some(&b'i');
    let header = header_pattern(pattern);
    let own = |items: &[&str]| items.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
    if let Some(action) = judged(keyword) {
        let words = judge(pattern, insensitive, tail).map(|condition| {
            let mut words = if keyword.ends_with("setbe") {
                own(&["use_backend", replacement])
            } else {
                own(&[family, action])
            };
            words.extend(condition);
            words
        });
        let text = format!(
            "'{keyword} {pattern}' can't be said with today's rules; please use '{}'.",
            today_of(keyword)
        );
        let words = words.ok_or_else(|| Fault::new(span, text))?;
        if keyword.ends_with("setbe") {
            let words = words.into_iter().map(|w| Word::new(w, span)).collect();
            cx.draft.use_backend.push(RuleLine { line: Line { words, span: cx.line.span } });
        } else {
            push_words(cx, words, &[]);
        }
        return Ok(());
    }
    match (keyword, header) {
        ("reqdel" | "reqidel" | "rspdel" | "rspidel", Some((name, _))) => {
            push_words(cx, own(&[family, "del-header", &name]), tail);
        }
        ("reqrep" | "reqirep" | "rsprep" | "rspirep", Some((name, rest))) => {
            let flag = if insensitive { "(?i)" } else { "" };
            let value = replacement.split_once(':').map_or(replacement, |(_, v)| v.trim_start());
            push_words(cx, own(&[family, "replace-header", &name, &format!("{flag}{rest}"), value]), tail);
        }
        ("reqrep" | "reqirep", None) => {
            let text = format!(
                "The '{keyword}' directive is not supported for this pattern. Use 'http-request replace-path', \
                 'http-request replace-uri' or 'http-request replace-header' instead."
            );
            let done = renamed(cx, pattern, replacement, tail)
                .or_else(|| added(cx, pattern, replacement, insensitive, tail))
                .or_else(|| request_line(cx, pattern, replacement, tail));
            return done.ok_or_else(|| Fault::new(span, text));
        }
        _ => {
            let what = format!("{keyword} {pattern}");
            let text = format!(
                "'{what}' looks at whole header lines, which is not supported; please use '{}'.",
                today_of(keyword)
            );
            return Err(Fault::new(span, text));
        }
    }
    Ok(())
}

/// The action of keywords that only look.
fn judged(keyword: &str) -> Option<&'static str> {
    Some(match keyword {
        "reqdeny" | "reqideny" | "rspdeny" | "rspideny" => "deny",
        "reqallow" | "reqiallow" | "reqpass" | "reqipass" => "allow",
        "reqtarpit" | "reqitarpit" => "tarpit",
        "reqsetbe" | "reqisetbe" => "use_backend",
        _ => return None,
    })
}

/// `if { … }` for a pattern on header lines or the request line, with the condition that stood behind it.
fn judge(pattern: &str, insensitive: bool, tail: &[Word]) -> Option<Vec<String>> {
    let mut words: Vec<String> = ["if", "{"].map(str::to_owned).to_vec();
    let (fetch, rest) = match header_pattern(pattern) {
        Some((name, rest)) => (format!("req.fhdr({name})"), rest),
        None => ("url".to_owned(), request_target(pattern)?),
    };
    words.extend([fetch, "-m".into(), "reg".into()]);
    words.extend(insensitive.then(|| "-i".to_owned()));
    words.extend([rest, "}".to_owned()]);
    match tail.split_first() {
        None => {}
        // One conjunction can be joined; alternatives can't without repeating the pattern.
        Some((first, more))
            if first.text == "if" && !more.iter().any(|w| matches!(w.text.as_str(), "or" | "||")) =>
        {
            words.extend(more.iter().map(|w| w.text.clone()));
        }
        Some(_) => return None,
    }
    Some(words)
}

/// `^[^ ]* /path…`: the pattern of the request's target.
fn request_target(pattern: &str) -> Option<String> {
    const METHODS: [&str; 4] = ["^[^: ]* ", "^[^ ]* ", "^[^:]* ", "^[^ :]* "];
    let plain = pattern.replace("\\ ", " ");
    METHODS
        .iter()
        .find_map(|m| plain.strip_prefix(m))
        .map(|rest| format!("^{}", rest.trim_end_matches(" .*")))
}

/// `^(Name:)(.*)` to `Other:\2`: the header under another name.
fn renamed(cx: &mut Cx<'_, '_>, pattern: &str, replacement: &str, tail: &[Word]) -> Option<()> {
    let old = pattern.strip_prefix("^(")?.strip_suffix(":)(.*)")?;
    let new = replacement.strip_suffix(":\\2")?;
    let value = format!("%[req.fhdr({old})]");
    push_words(cx, ["http-request", "set-header", new, &value].map(str::to_owned).to_vec(), tail);
    push_words(cx, ["http-request", "del-header", old].map(str::to_owned).to_vec(), tail);
    Some(())
}

/// A request line followed by `\0`, a line end and `Name: value`: one more header.
fn added(
    cx: &mut Cx<'_, '_>,
    pattern: &str,
    replacement: &str,
    insensitive: bool,
    tail: &[Word],
) -> Option<()> {
    let line = replacement.strip_prefix("\\0")?.trim_start_matches(['\r', '\n']);
    let (name, value) = line.split_once(':')?;
    let mut words = ["http-request", "add-header", name.trim(), &value.trim().replace('%', "%%")]
        .map(str::to_owned)
        .to_vec();
    words.extend(judge(pattern, insensitive, tail)?);
    push_words(cx, words, &[]);
    Some(())
}

/// `^Name:…`: the header and the pattern of its value.
fn header_pattern(pattern: &str) -> Option<(String, String)> {
    let (name, rest) = pattern.strip_prefix('^')?.split_once(':')?;
    let plain = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    let rest = rest
        .trim_start_matches("\\ ")
        .trim_start_matches(' ')
        .trim_start_matches("[ ]*")
        .trim_start_matches("\\s*");
    plain.then(|| (name.to_owned(), format!("^{rest}")))
}

/// `^([^ :]*) /a/(.*)` to `\1 /\2`: method, blank and path become a rule on the path.
fn request_line(cx: &mut Cx<'_, '_>, pattern: &str, replacement: &str, tail: &[Word]) -> Option<()> {
    let unescaped = pattern.replace("\\ ", " ");
    let (method, path) = unescaped.strip_prefix('^')?.split_once(") ")?;
    let target = replacement.replace("\\ ", " ");
    let (kept, new) = target.split_once(' ')?;
    if kept != "\\1" || !method.starts_with('(') {
        return None;
    }
    // The first group was the method; the others move down by one.
    let mut moved = String::new();
    let mut chars = new.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, chars.peek().and_then(|d| d.to_digit(10))) {
            ('\\', Some(n)) if n > 1 => {
                chars.next();
                moved.push('\\');
                moved.push_str(&(n - 1).to_string());
            }
            _ => moved.push(c),
        }
    }
    let words = ["http-request", "replace-path", &format!("^{path}"), &moved].map(str::to_owned).to_vec();
    push_words(cx, words, tail);
    Some(())
}

/// `filter NAME …`.
pub(super) fn filter(cx: &mut Cx<'_, '_>, args: &mut Args<'_>) -> Result<(), Fault> {
    let name = args.next().map_or("", |w| w.text.as_str());
    match name {
        "trace" => cx.no_effect("filter trace", "the trace channel shows streams instead"),
        "compression" => {}
        "cache" => {
            let Some(cache) = args.next().filter(|w| !condition::opens(w)) else {
                return Err(args.fault("'filter' : 'cache : expects a <name> argument'"));
            };
            if let Some(extra) = args.next() {
                return Err(args.fault(format!("'filter cache' : unknown keyword '{}'.", extra.text)));
            }
            // Where it stands among filters does not matter here: answers are always kept uncompressed.
            cx.loader.refs.cache(&cache.text, &cx.draft.proxy.name);
        }
        "" => {
            let (name, section) = (&cx.draft.proxy.name, cx.draft.proxy.kind.side());
            return Err(args.fault(format!("missing argument for 'filter' in {section} '{name}'.")));
        }
        "spoe" | "fcgi-app" | "opentracing" | "opentelemetry" | "bwlim-in" | "bwlim-out" => {
            return Err(args.fault(format!("filter '{name}' is not supported yet.")));
        }
        _ => {
            let known = [
                "[CACHE] cache",
                "[COMP] compression",
                "[FCGI] fcgi-app",
                "[  OT] opentracing",
                "[SPOE] spoe",
                "[TRACE] trace",
            ];
            let known = known.map(|k| format!("\n    {k}")).concat();
            let text = format!("'filter' : unknown keyword '{name}'. Registered keywords :{known}");
            return Err(args.fault(text));
        }
    }
    Ok(())
}

/// `balance hash EXPR`.
pub(super) fn balance_hash(cx: &mut Cx<'_, '_>, word: &Word) -> Result<(), Fault> {
    expr::expression(&word.text).map_err(|e| Fault::new(word.span, format!("'balance hash' : {e}")))?;
    cx.draft.balance_hash = Some((word.text.clone(), word.span));
    Ok(())
}
