//! `http-check` and `tcp-check` lines: the steps of a check, with their words checked as the original does.
//!
//! Invariant: a step that is kept can be carried out; its words are read again, and trusted, when the check starts.

use super::keyword::Cx;
use super::model::CheckStep;
use conf_parsers::Word;
use conf_parsers::args::{Args, Fault};
use conf_parsers::haproxy::expr;

/// What a step's words are checked by; the step's name is given without what stands in parentheses.
type Check = for<'w> fn(&Place, &mut Args<'w>) -> Result<(), Fault>;

/// `http-check` or `tcp-check`, and the step.
struct Place {
    family: String,
    step: String,
}

impl Place {
    fn http(&self) -> bool {
        self.family == "http-check"
    }

    /// A fault with the step's name before it.
    fn fault(&self, args: &Args<'_>, text: &str) -> Fault {
        args.fault(format!("'{} {}' : {text}.", self.family, self.step))
    }

    fn value<'w>(&self, args: &mut Args<'w>, missing: &str) -> Result<&'w Word, Fault> {
        args.next().ok_or_else(|| self.fault(args, missing))
    }
}

/// All steps, in the order in which the original names them.
const STEPS: &[(&str, Check)] = &[
    ("comment", |p, a| p.value(a, "expects a string as argument").map(|_| ())),
    ("connect", connect),
    ("send", send),
    ("send-lf", send),
    ("send-binary", send_binary),
    ("send-binary-lf", send_binary),
    ("expect", expect),
    ("set-var", variable),
    ("set-var-fmt", variable),
    ("unset-var", variable),
];

/// `http-check …`, `tcp-check …`.
pub(super) fn step(cx: &mut Cx<'_, '_>, args: &mut Args<'_>) -> Result<(), Fault> {
    let family = args.keyword().text.clone();
    let word = args.next().map_or("", |w| w.text.as_str());
    let check = &mut cx.draft.proxy.check;
    let name = word.split('(').next().unwrap_or_default();
    let http = family == "http-check";
    let flag = match name {
        "disable-on-404" if http => Some(&mut check.disable_on_404),
        "send-state" if http => Some(&mut check.send_state),
        _ => None,
    };
    if let Some(flag) = flag {
        *flag = true;
        return args.unexpected(|w| format!("'http-check' cannot handle unexpected argument '{w}'."));
    }
    let row = STEPS.iter().find(|(n, _)| *n == name && !(http && name.starts_with("send-")));
    let Some((_, read)) = row else { return Err(args.fault(unknown(http, word))) };
    let words: Vec<String> = args.rest().iter().map(|w| w.text.clone()).collect();
    read(&Place { family: family.clone(), step: word.to_owned() }, args)?;
    if matches!(name, "set-var" | "set-var-fmt" | "unset-var") {
        cx.no_effect(&format!("{family} {name}"), "checks keep no variables");
    }
    cx.draft.begin_own_checks(http);
    let check = &mut cx.draft.proxy.check;
    check.http_rules |= http;
    check.tcp_rules |= !http;
    check.steps.push(CheckStep { keyword: word.to_owned(), words });
    Ok(())
}

fn unknown(http: bool, word: &str) -> String {
    if http {
        return format!(
            "'http-check' only supports 'disable-on-404', 'send-state', 'comment', 'connect', 'send', 'expect', \
             'set-var-fmt(*)', 'set-var(*)', 'unset-var(*)'. but got '{word}'"
        );
    }
    format!(
        "'tcp-check' only supports 'comment', 'connect', 'send', 'send-binary', 'expect', 'set-var-fmt(*)', \
         'set-var(*)', 'unset-var(*)'. but got '{word}'"
    )
}

fn connect(p: &Place, args: &mut Args<'_>) -> Result<(), Fault> {
    while let Some(word) = args.next() {
        match word.text.as_str() {
            "port" => {
                let missing = "'port' expects a port number or a sample expression as argument.";
                let port = p.value(args, missing)?;
                let number = !port.text.is_empty() && port.text.bytes().all(|b| b.is_ascii_digit());
                if number && !port.text.parse::<u16>().is_ok_and(|n| n > 0) {
                    let text = format!(
                        "expects a valid TCP port (from range 1 to 65535) or a sample expression, got {}.",
                        port.text
                    );
                    return Err(p.fault(args, &text));
                }
                if !number {
                    expression(&port.text).map_err(|e| {
                        p.fault(args, &format!("error detected while parsing port expression : {e}"))
                    })?;
                }
            }
            "addr" => drop(p.value(args, "'addr' expects <ipv4|ipv6> as argument.")?),
            "sni" => drop(p.value(args, "'sni' expects a string as argument.")?),
            "alpn" => drop(p.value(args, "'alpn' expects a comma-separated list of protocols as argument.")?),
            "proto" => drop(p.value(args, "'proto' expects a MUX protocol as argument.")?),
            "comment" => drop(p.value(args, "'comment' expects a string as argument.")?),
            "send-proxy" | "ssl" | "via-socks4" | "linger" | "default" => {}
            "unix" => drop(p.value(args, "'unix' expects a path as argument.")?),
            other => {
                let text = format!(
                    "expects 'comment', 'port', 'addr', 'send-proxy', 'ssl', 'sni', 'alpn' or 'via-socks4', \
                     'linger', 'default' but got '{other}' as argument."
                );
                return Err(p.fault(args, &text));
            }
        }
    }
    Ok(())
}

fn send(p: &Place, args: &mut Args<'_>) -> Result<(), Fault> {
    if !p.http() {
        p.value(args, "'string' expects a send as argument")?;
        return comment(p, args);
    }
    while let Some(word) = args.next() {
        match word.text.as_str() {
            name @ ("meth" | "uri" | "uri-lf" | "ver" | "body" | "body-lf" | "comment") => {
                p.value(args, &format!("'{name}' expects a string as argument."))?;
            }
            "hdr" => {
                let missing = "'hdr' expects <name> and <value> as arguments";
                p.value(args, missing)?;
                p.value(args, missing)?;
            }
            other => {
                let text = format!(
                    "expects 'comment', 'meth', 'uri', 'uri-lf', 'ver', 'hdr', 'body' or 'body-lf' but got '{other}' \
                     as argument."
                );
                return Err(p.fault(args, &text));
            }
        }
    }
    Ok(())
}

fn send_binary(p: &Place, args: &mut Args<'_>) -> Result<(), Fault> {
    let word = p.value(args, "'binary string' expects a send-binary as argument")?;
    let hex = word.text.len() % 2 == 0 && word.text.bytes().all(|b| b.is_ascii_hexdigit());
    if !hex && p.step == "send-binary" {
        let text =
            format!("'{}' invalid binary string (an even number of hex digit is expected).\n", word.text);
        return Err(p.fault(args, &text));
    }
    comment(p, args)
}

fn comment(p: &Place, args: &mut Args<'_>) -> Result<(), Fault> {
    if args.take("comment") {
        p.value(args, "'comment' expects a string as argument.")?;
    }
    match args.next() {
        None => Ok(()),
        Some(word) => Err(p.fault(args, &format!("expects 'comment' but got '{}' as argument.", word.text))),
    }
}

/// Patterns of `expect`, and whether each is for HTTP, for TCP or both.
const PATTERNS: &[(&str, bool, bool)] = &[
    ("binary", false, true),
    ("binary-lf", false, true),
    ("rbinary", false, true),
    ("string", true, true),
    ("string-lf", true, true),
    ("rstring", true, true),
    ("status", true, false),
    ("rstatus", true, false),
    ("hdr", true, false),
    ("fhdr", true, false),
    ("custom", false, true),
];

fn expect(p: &Place, args: &mut Args<'_>) -> Result<(), Fault> {
    if args.is_empty() {
        return Err(p.fault(args, "expects at least a matching pattern as arguments"));
    }
    while let Some(word) = args.next() {
        let name = word.text.as_str();
        match name {
            "min-recv" | "comment" | "ok-status" | "error-status" | "tout-status" | "on-success"
            | "on-error" | "status-code" => {
                p.value(args, &format!("'{name}' expects a string as argument."))?;
            }
            "!" => {}
            _ => {
                let bare = name.strip_prefix('!').unwrap_or(name);
                let Some(row) = PATTERNS.iter().find(|r| r.0 == bare && if p.http() { r.1 } else { r.2 })
                else {
                    return Err(p.fault(args, &unknown_pattern(p.http(), name)));
                };
                pattern(p, args, row.0)?;
            }
        }
    }
    Ok(())
}

fn unknown_pattern(http: bool, got: &str) -> String {
    let list = if http {
        "'only supports min-recv, [!]string', '[!]rstring', '[!]string-lf', '[!]status', '[!]rstatus', [!]hdr, \
         [!]fhdr or comment"
    } else {
        "'only supports min-recv, '[!]binary', '[!]string', '[!]rstring', '[!]string-lf''[!]rbinary', \
         '[!]binary-lf' or comment"
    };
    format!("{list} but got '{got}' as argument.")
}

/// The words of one pattern.
fn pattern(p: &Place, args: &mut Args<'_>, name: &str) -> Result<(), Fault> {
    if name == "custom" {
        return Ok(());
    }
    if matches!(name, "hdr" | "fhdr") {
        // `name …` and `value …` with their matching methods; read when the check starts.
        args.take_rest();
        return Ok(());
    }
    let word = p.value(args, &format!("'{name}' expects a <pattern> as argument"))?;
    match name {
        "status" => match word.text.chars().find(|c| !(c.is_ascii_digit() || matches!(c, ',' | '-'))) {
            Some(bad) => {
                Err(p.fault(args, &format!("invalid character '{bad}' in the list of status codes")))
            }
            None => Ok(()),
        },
        "rstring" | "rstatus" | "rbinary" => match pcre2::bytes::Regex::new(&word.text) {
            Ok(_) => Ok(()),
            Err(e) => {
                let at = e.offset().unwrap_or(0);
                let reason = e.to_string();
                let reason = reason.rsplit(": ").next().unwrap_or_default();
                let text = format!("regex '{}' is invalid (error={reason}, erroffset={at})", word.text);
                Err(p.fault(args, &text))
            }
        },
        _ => Ok(()),
    }
}

fn variable(p: &Place, args: &mut Args<'_>) -> Result<(), Fault> {
    let (action, name) = p.step.split_once('(').unwrap_or((&p.step, ""));
    let name = name.trim_end_matches(')');
    let scope = name.split('.').next().unwrap_or_default();
    if !name.contains('.') || !["proc", "sess", "txn", "req", "res", "check"].contains(&scope) {
        let text = format!(
            "'{action}' : invalid variable name '{name}'. A variable name must be start by its scope. The scope can be \
             'proc', 'sess', 'txn', 'req', 'res' or 'check'"
        );
        return Err(p.fault(args, &text));
    }
    args.take_rest();
    Ok(())
}

/// Whether a word can be a sample expression; the error is the original's text.
fn expression(text: &str) -> Result<(), String> {
    let name = text.split(['(', ',']).next().unwrap_or_default();
    if expr::prefix(text).is_err() || crate::fetch::find(name).is_none() {
        return Err(format!("unknown fetch method '{name}'"));
    }
    Ok(())
}
