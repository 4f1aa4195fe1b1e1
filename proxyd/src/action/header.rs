//! Header fields: add, set, delete, replace; captures.
//!
//! Invariant: a field that is not touched keeps its bytes, its case and its place.

use super::sets::Set;
use super::{Action, Flow, Hint, Verdict, act};
use crate::acl::matcher::Method;
use crate::conv::text::expand;
use crate::http::message::Message;
use crate::log::format::{Format, Use};
use crate::sample::Type;
use crate::sample::expr::{Expr, Scope, gather, user_regex};
use crate::stream::view::View;
use conf_parsers::args::Args;
use conf_parsers::haproxy::expr::expression;
use pcre2::bytes::Regex;
use smallvec::SmallVec;

type Parsed = Result<Box<dyn Action>, String>;

/// Compiles a log-format argument of a rule.
pub fn format(text: &str, scope: &mut Scope<'_>, set: Set) -> Result<Format, String> {
    Format::compile(text, Use::Http, set.points(scope.kind), scope)
}

/// Compiles an expression that is one word of a rule.
pub fn sample(text: &str, scope: &mut Scope<'_>, set: Set) -> Result<Expr, String> {
    let expr = Expr::compile(&expression(text)?, scope)?;
    let points = set.points(scope.kind);
    if expr.points().covers_any(points) {
        return Ok(expr);
    }
    Err(format!(
        "fetch method '{text}' extracts information from '{}', none of which is available here",
        expr.source().needs()
    ))
}

/// An expression, which ends before the first word that is no converter.
pub fn sample_word(args: &mut Args<'_>, scope: &mut Scope<'_>, set: Set) -> Result<Expr, String> {
    let word = args.next().ok_or("missing fetch method")?;
    let (text, taken) = gather(word.as_str(), args.rest().iter().map(|w| w.as_str()));
    for _ in 0..taken {
        args.next();
    }
    let expr = sample(&text, scope, set)?;
    scope.formats.of_request = expr.source().of_request();
    Ok(expr)
}

/// The head a rule of the set changes.
pub fn head<'v>(view: &'v mut View<'_>, response: bool) -> Option<&'v mut Message> {
    if response { view.response.as_deref_mut() } else { view.request.as_deref_mut() }
}

/// Bytes that may not stand in a header value would end the field or the message.
fn clean(value: &[u8]) -> bool {
    !value.iter().any(|b| matches!(b, b'\r' | b'\n' | 0))
}

/// What a rule does when a rewrite fails: an error page, unless strict mode is off.
pub fn failed(view: &View<'_>) -> Flow {
    match view.txn.as_deref() {
        Some(t) if !t.strict_rewriting => Flow::Continue,
        _ => Flow::Finish(Verdict::Internal),
    }
}

struct Edit {
    name: String,
    format: Format,
    response: bool,
    add: bool,
}

fn name_and_format(args: &mut Args<'_>, scope: &mut Scope<'_>, set: Set, add: bool) -> Result<Edit, String> {
    let (Some(name), Some(text)) = (args.next(), args.next()) else {
        return Err("expects exactly 2 arguments".into());
    };
    let format = format(text.as_str(), scope, set)?;
    Ok(Edit { name: name.as_str().to_owned(), format, response: set.is_response(), add })
}

fn edit(e: &Edit, view: &mut View<'_>) -> Flow {
    let value = e.format.to_bytes(view);
    if !clean(&value) {
        return failed(view);
    }
    if let Some(m) = head(view, e.response) {
        if e.add {
            m.add(e.name.as_bytes(), &value);
        } else {
            m.set(e.name.as_bytes(), &value);
            if !e.response && e.name.eq_ignore_ascii_case("host") {
                super::uri::follow_host(m);
            }
        }
    }
    Flow::Continue
}

/// `add-header NAME FORMAT`.
pub fn add(args: &mut Args<'_>, scope: &mut Scope<'_>, set: Set) -> Parsed {
    Ok(act("add-header", name_and_format(args, scope, set, true)?, edit))
}

/// `early-hint NAME FORMAT`.
pub fn early_hint(args: &mut Args<'_>, scope: &mut Scope<'_>, set: Set) -> Parsed {
    /// What haproxy counts for the head but its field: the start line as it keeps it, and the end.
    const COUNTED: usize = 20 + "HTTP/1.1".len() + "103".len() + "Early Hints".len() + 1;
    Ok(act("early-hint", name_and_format(args, scope, set, true)?, |e, view| {
        let value = e.format.to_bytes(view);
        if !clean(&value) {
            return failed(view);
        }
        // Clients of HTTP/1.0 know no heads before the answer (RFC 9110, 15.2).
        if view.request.as_deref().is_none_or(|r| r.version < (1, 1)) {
            return Flow::Continue;
        }
        let name = e.name.to_ascii_lowercase();
        let mut head = format!("HTTP/1.1 103 Early Hints\r\n{name}: ").into_bytes();
        head.extend_from_slice(&value);
        head.extend_from_slice(b"\r\n\r\n");
        let counted = (COUNTED + name.len() + value.len()) as u64;
        Flow::Inform(Hint { head, counted })
    }))
}

/// `set-header NAME FORMAT`.
pub fn set(args: &mut Args<'_>, scope: &mut Scope<'_>, set: Set) -> Parsed {
    Ok(act("set-header", name_and_format(args, scope, set, false)?, edit))
}

struct Delete {
    name: String,
    regex: Option<Regex>,
    method: Method,
    response: bool,
}

/// `del-header NAME [-m METHOD]`.
pub fn delete(args: &mut Args<'_>, _: &mut Scope<'_>, set: Set) -> Parsed {
    let name = args.next().ok_or("missing header name (expects 1 argument)")?.as_str().to_owned();
    let mut method = Method::Str;
    if args.take("-m") {
        let word = args.next().map_or("", |w| w.as_str());
        method = match Method::named(word) {
            Some(m @ (Method::Str | Method::Beg | Method::End | Method::Sub | Method::Reg)) => m,
            _ => return Err(format!("-m with unsupported matching method '{word}'")),
        };
    }
    let regex = if method == Method::Reg { Some(user_regex(&name, false)?) } else { None };
    let data = Delete { name: name.to_ascii_lowercase(), regex, method, response: set.is_response() };
    Ok(act("del-header", data, |d, view| {
        let Some(m) = head(view, d.response) else { return Flow::Continue };
        if d.method == Method::Str {
            m.remove(d.name.as_bytes());
            return Flow::Continue;
        }
        let wanted = d.name.as_bytes();
        let hit = |n: &[u8]| {
            let n = n.to_ascii_lowercase();
            match d.method {
                Method::Beg => n.starts_with(wanted),
                Method::End => n.ends_with(wanted),
                Method::Sub => memchr::memmem::find(&n, wanted).is_some(),
                _ => d.regex.as_ref().is_some_and(|r| r.is_match(&n).unwrap_or(false)),
            }
        };
        let gone: SmallVec<[usize; 4]> = m.fields().filter(|(_, n, _)| hit(n)).map(|(i, _, _)| i).collect();
        gone.into_iter().for_each(|i| m.remove_at(i));
        Flow::Continue
    }))
}

struct Replace {
    name: String,
    regex: Regex,
    format: Format,
    response: bool,
    parts: bool,
}

fn replacement(args: &mut Args<'_>, scope: &mut Scope<'_>, set: Set, parts: bool) -> Result<Replace, String> {
    let (Some(name), Some(regex), Some(text)) = (args.next(), args.next(), args.next()) else {
        return Err("expects exactly 3 arguments".into());
    };
    let regex = user_regex(regex.as_str(), false)?;
    let format = format(text.as_str(), scope, set)?;
    Ok(Replace { name: name.as_str().to_owned(), regex, format, response: set.is_response(), parts })
}

/// `text` with what the pattern matches taken for the replacement, whose `\N` are groups; `None` without a match.
pub fn replaced(regex: &Regex, text: &[u8], by: &[u8]) -> Option<SmallVec<[u8; 40]>> {
    let mut groups = regex.capture_locations();
    regex.captures_read(&mut groups, text).ok()??;
    let mut out = SmallVec::new();
    expand(by, text, &groups, &mut out);
    Some(out)
}

fn replace_all(r: &Replace, view: &mut View<'_>) -> Flow {
    let by = r.format.to_bytes(view);
    let Some(m) = head(view, r.response) else { return Flow::Continue };
    let mut edits: SmallVec<[(usize, Vec<u8>); 2]> = SmallVec::new();
    for (i, n, value) in m.fields() {
        if !n.eq_ignore_ascii_case(r.name.as_bytes()) {
            continue;
        }
        if !r.parts {
            edits.extend(replaced(&r.regex, value, &by).map(|new| (i, new.to_vec())));
            continue;
        }
        let mut changed = false;
        let parts: Vec<Vec<u8>> = value
            .split(|b| *b == b',')
            .map(|part| {
                // White space around a part that changes goes with it.
                match replaced(&r.regex, part.trim_ascii(), &by) {
                    Some(new) => {
                        changed = true;
                        new.to_vec()
                    }
                    None => part.to_vec(),
                }
            })
            .collect();
        if changed {
            edits.push((i, parts.join(&b',')));
        }
    }
    if edits.iter().any(|(_, v)| !clean(v)) {
        return failed(view);
    }
    if let Some(m) = head(view, r.response) {
        edits.into_iter().for_each(|(i, v)| m.set_value(i, &v));
    }
    Flow::Continue
}

/// `replace-header NAME REGEX FORMAT`: whole fields.
pub fn replace(args: &mut Args<'_>, scope: &mut Scope<'_>, set: Set) -> Parsed {
    Ok(act("replace-header", replacement(args, scope, set, false)?, replace_all))
}

/// `replace-value NAME REGEX FORMAT`: each part between commas.
pub fn replace_value(args: &mut Args<'_>, scope: &mut Scope<'_>, set: Set) -> Parsed {
    Ok(act("replace-value", replacement(args, scope, set, true)?, replace_all))
}

struct Capture {
    expr: Expr,
    slot: usize,
    len: Option<usize>,
    response: bool,
}

/// `capture EXPR len N` or `capture EXPR id N`. The slot of `len` is given by the configuration layer, which knows
/// how many there are: it comes behind the declared ones (see [`Scope::captures`]).
pub fn capture(args: &mut Args<'_>, scope: &mut Scope<'_>, set: Set) -> Parsed {
    if set == Set::RequestContent {
        return capture_content(args, scope, set);
    }
    let usage = if set.is_response() {
        "expects <expression> id <idx>"
    } else {
        "expects <expression> [ 'len' <length> | id <idx> ]"
    };
    let expr = sample_word(args, scope, set)?;
    if !expr.output.casts_to(Type::Str) {
        return Err(usage.into());
    }
    let (slot, len) = match (args.next().map(|w| w.as_str()), args.next().map(|w| w.as_str())) {
        (Some("len"), Some(text)) if !set.is_response() => {
            if !scope.kind.is_front() {
                return Err(format!("proxy '{}' has no frontend capability", scope.proxy));
            }
            let len = text.parse::<usize>().ok().filter(|l| *l > 0).ok_or("length must be > 0")?;
            (scope.captures.declare(len), Some(len))
        }
        (Some("id"), Some(text)) => {
            let slot = text.parse::<usize>().map_err(|_| format!("cannot parse id '{text}'"))?;
            scope.captures.named.push((set.name(), set.is_response(), slot));
            (slot, None)
        }
        (Some(other), Some(_)) if set.is_response() => return Err(format!("expects 'id', found '{other}'")),
        _ => return Err(usage.into()),
    };
    Ok(captured(Capture { expr, slot, len, response: set.is_response() }))
}

/// `tcp-request content capture EXPR len N`.
fn capture_content(args: &mut Args<'_>, scope: &mut Scope<'_>, set: Set) -> Parsed {
    let expr = sample_word(args, scope, set)?;
    if !scope.kind.is_front() {
        return Err(format!("proxy '{}' has no frontend capability", scope.proxy));
    }
    let number = |args: &mut Args<'_>| args.next().and_then(|w| w.as_str().parse::<usize>().ok());
    let len = if args.take("len") { number(args).filter(|l| *l > 0) } else { None };
    let len = len.ok_or("a positive 'len' argument is mandatory")?;
    Ok(captured(Capture { expr, slot: scope.captures.declare(len), len: Some(len), response: false }))
}

fn captured(data: Capture) -> Box<dyn super::Action> {
    act("capture", data, |c, view| {
        let front = &view.generation.config.proxies[view.session.frontend.0];
        let declared = if c.response { &front.capture_response } else { &front.capture_request };
        let len = c.len.or_else(|| declared.get(c.slot).map(|d| d.len)).unwrap_or(0);
        let text = c.expr.run_as(view, Type::Str).and_then(crate::sample::Value::into_text);
        let text = text.map(|t| t[..t.len().min(len)].to_vec());
        if let (Some(text), Some(txn)) = (text, view.txn.as_deref()) {
            let slots = if c.response { &txn.captures_res } else { &txn.captures_req };
            let mut slots = slots.borrow_mut();
            if slots.len() <= c.slot {
                slots.resize(c.slot + 1, None);
            }
            slots[c.slot] = Some(text);
        }
        Flow::Continue
    })
}
