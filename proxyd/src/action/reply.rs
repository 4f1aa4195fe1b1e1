//! Answers made by the proxy: `deny`, `tarpit`, `return`, `auth`, and ends without one.
//!
//! Invariant: an answer is complete when the rule ran; the engine only sends it.

use super::header::format;
use super::sets::Set;
use super::{Action, Flow, Reply, Verdict, act};
use crate::config::model::ErrorReply;
use crate::http::errors;
use crate::http::message::{Message, Start};
use crate::log::Format;
use crate::log::format::Use;
use crate::sample::expr::Scope;
use crate::stream::view::View;
use conf_parsers::Word;
use conf_parsers::args::Args;
use h1::{Fault, HeadParser, Kind, Options, Progress};
use std::sync::Arc;

type Parsed = Result<Box<dyn Action>, String>;

/// Where the body comes from.
#[derive(Debug)]
enum Body {
    /// There is none, or the status's page.
    None,
    /// Bytes of the configuration or a file.
    Bytes(Arc<[u8]>),
    /// A format.
    Format(Box<Format>),
    /// A whole answer, head included.
    Raw(Arc<[u8]>),
    /// The proxy's page for the status.
    Canned,
    /// The page of an `http-errors` section.
    Section(Arc<std::collections::BTreeMap<u16, ErrorReply>>),
}

/// An answer as a rule describes it.
#[derive(Debug)]
pub struct Template {
    status: u16,
    content_type: Option<String>,
    body: Body,
    headers: Vec<(String, Format)>,
    denied: bool,
}

/// Statuses that haproxy has a page for.
pub const PAGES: [u16; 19] =
    [200, 400, 401, 403, 404, 405, 407, 408, 410, 413, 421, 422, 425, 429, 500, 501, 502, 503, 504];

fn value<'w>(args: &mut Args<'w>, keyword: &str, what: &str) -> Result<&'w Word, String> {
    args.next()
        .filter(|w| !w.as_str().is_empty())
        .ok_or_else(|| format!("'{keyword}' expects {what} as argument"))
}

fn read(name: &str) -> Result<Arc<[u8]>, String> {
    std::fs::read(name).map(Arc::from).map_err(|_| format!("error opening file '{name}'"))
}

/// An `errorfile`: a whole answer, or nothing at all.
fn whole(name: &str) -> Result<Arc<[u8]>, String> {
    let raw = read(name).map_err(|e| format!("{e}."))?;
    if raw.is_empty() {
        return Ok(raw);
    }
    let mut parser = HeadParser::new(Kind::Response, Options { lenient: true, max_fields: usize::MAX });
    match parser.parse(&raw) {
        Ok(Progress::Done(_)) => Ok(raw),
        Ok(Progress::Need) => Err(format!("'{name}': truncated message")),
        Err(Fault::Syntax(at)) => Err(format!("'{name}': unable to parse headers (error offset: {at})")),
        Err(fault) => Err(format!("'{name}': {fault}")),
    }
}

/// Where formats of an answer run: rules of the request and of the response may give it.
fn format_at(text: &str, scope: &mut Scope<'_>, set: Option<Set>) -> Result<Format, String> {
    match set {
        Some(set) => format(text, scope, set),
        None => {
            let points = Set::Request.points(scope.kind) | Set::Response.points(scope.kind);
            Format::compile(text, Use::Http, points, scope)
        }
    }
}

impl Template {
    /// Parses `[status N] [content-type T] [BODY] [hdr NAME FORMAT]…`; the error is haproxy's text. Without a set it
    /// is the page of a status (`http-error`).
    pub fn parse(
        args: &mut Args<'_>,
        scope: &mut Scope<'_>,
        set: Option<Set>,
        status: u16,
        denied: bool,
    ) -> Result<Self, String> {
        let mut out = Self { status, content_type: None, body: Body::None, headers: Vec::new(), denied };
        let mut payload = None;
        while let Some(word) = args.peek() {
            let key = word.as_str();
            match key {
                "status" | "deny_status" => {
                    args.next();
                    let text = args.next().ok_or("'status' expects <status_code> as argument")?;
                    let (n, _) = crate::sample::leading_int(text.as_str().as_bytes());
                    if !(200..=599).contains(&n) {
                        return Err(format!("Unexpected status code '{n}'"));
                    }
                    out.status = n as u16;
                }
                "content-type" => {
                    args.next();
                    out.content_type = Some(value(args, "content-type", "<ctype>")?.as_str().to_owned());
                }
                "default-errorfiles" | "errorfile" | "errorfiles" | "file" | "lf-file" | "string"
                | "lf-string" => {
                    if let Some(before) = payload {
                        return Err(format!("unexpected '{key}' argument, '{before}' already defined"));
                    }
                    args.next();
                    payload = Some(key);
                    out.body = Self::body(key, args, scope, set)?;
                }
                "hdr" => {
                    args.next();
                    let (Some(name), Some(text)) = (args.next(), args.next()) else {
                        return Err("'hdr' expects <name> and <value> as arguments".into());
                    };
                    let name = name.as_str();
                    if ["content-length", "transfer-encoding"].iter().any(|n| name.eq_ignore_ascii_case(n)) {
                        scope.warnings.push(format!("header '{name}' always ignored by the http reply."));
                        continue;
                    }
                    out.headers.push((name.to_owned(), format_at(text.as_str(), scope, set)?));
                }
                _ => break,
            }
        }
        out.finish(payload, scope)
    }

    fn body(key: &str, args: &mut Args<'_>, scope: &mut Scope<'_>, set: Option<Set>) -> Result<Body, String> {
        Ok(match key {
            "default-errorfiles" => Body::Canned,
            "errorfile" => Body::Raw(whole(value(args, key, "<fmt>")?.as_str())?),
            "errorfiles" => {
                let name = value(args, key, "<http_errors name>")?.as_str();
                if let Some(section) = scope.http_errors.get(name) {
                    return Ok(Body::Section(Arc::clone(section)));
                }
                scope.late.push(format!(
                    "Proxy '{}': unknown http-errors section '{name}' referenced by an http reply .",
                    scope.proxy
                ));
                Body::Canned
            }
            "file" => Body::Bytes(read(value(args, key, "<file>")?.as_str())?),
            "lf-file" => {
                let bytes = read(value(args, key, "<file>")?.as_str())?;
                Body::Format(Box::new(format_at(&String::from_utf8_lossy(&bytes), scope, set)?))
            }
            "string" => Body::Bytes(Arc::from(value(args, key, "<str>")?.bytes())),
            _ => Body::Format(Box::new(format_at(value(args, key, "<fmt>")?.as_str(), scope, set)?)),
        })
    }

    fn finish(mut self, payload: Option<&str>, scope: &mut Scope<'_>) -> Result<Self, String> {
        let typed = self.content_type.is_some();
        match &self.body {
            Body::Bytes(b) if !b.is_empty() && !typed => {
                return Err("a content type must be defined when non-empty payload is configured".into());
            }
            Body::Format(_) if !typed => {
                return Err("a content type must be defined with a log-format payload".into());
            }
            // A denial without a body is the status's page; `return` has an empty one.
            Body::None if self.denied && self.headers.is_empty() => self.body = Body::Canned,
            Body::None => {
                if let Some(kind) = &self.content_type {
                    scope.warnings.push(format!(
                        "content-type '{kind}' ignored by the http reply because neither errorfile nor payload defined."
                    ));
                }
            }
            Body::Canned | Body::Section(_) | Body::Raw(_) => self.leave_out(scope),
            _ => {}
        }
        if matches!(self.body, Body::Canned | Body::Section(_))
            && !PAGES.contains(&self.status)
            && self.status > 0
        {
            let payload = payload.unwrap_or("default-errorfiles");
            return Err(format!(
                "status code '{}' not handled by default with '{payload}' argument.",
                self.status
            ));
        }
        Ok(self)
    }

    /// A page says all by itself.
    fn leave_out(&mut self, scope: &mut Scope<'_>) {
        if let Some(kind) = self.content_type.take() {
            let text =
                format!("content-type '{kind}' ignored by the http reply when used with an erorrfile.");
            scope.warnings.push(text);
        }
        if !self.headers.is_empty() {
            self.headers.clear();
            scope
                .warnings
                .push("hdr parameters ignored by the http reply when used with an erorrfile.".into());
        }
    }

    /// The bytes of a file that this answer is, head included.
    pub fn file(&self) -> Option<&Arc<[u8]>> {
        match &self.body {
            Body::Raw(raw) => Some(raw),
            Body::Section(pages) => match pages.get(&self.status)? {
                ErrorReply::Raw(raw) => Some(raw),
                ErrorReply::Template(_) => None,
            },
            _ => None,
        }
    }

    /// The answer for a view.
    pub fn make(&self, view: &View<'_>) -> Reply {
        let mut reply = Reply { status: self.status, denied: self.denied, ..Reply::default() };
        let body: &[u8] = match &self.body {
            Body::None => b"",
            Body::Bytes(b) => b,
            Body::Format(f) => {
                f.render(view, &mut reply.body);
                b""
            }
            Body::Raw(raw) => {
                reply.raw = Some(Arc::clone(raw));
                b""
            }
            Body::Canned => {
                reply.canned = true;
                b""
            }
            Body::Section(pages) => {
                match pages.get(&self.status) {
                    Some(ErrorReply::Raw(raw)) => reply.raw = Some(Arc::clone(raw)),
                    Some(ErrorReply::Template(page)) => return page.make(view),
                    None => reply.canned = true,
                }
                b""
            }
        };
        reply.body.extend_from_slice(body);
        for (name, format) in &self.headers {
            // A field whose value came out empty is left out, as in haproxy.
            let value = format.to_bytes(view);
            if !value.is_empty() {
                reply.headers.push((name.clone(), value));
            }
        }
        if let Some(kind) = self.content_type.as_ref().filter(|_| !reply.body.is_empty()) {
            reply.headers.push(("content-type".into(), kind.clone().into_bytes()));
        }
        reply
    }
}

impl Reply {
    /// The head as a message; [`Reply::raw`] and [`Reply::canned`] have other ways.
    pub fn fill(&self, into: &mut Message) {
        into.clear();
        let reason = into.store(errors::reason(self.status).as_bytes());
        into.start = Start::Response { status: self.status, reason };
        into.version = (1, 1);
        let is = |name: &str, wanted: &str| name.eq_ignore_ascii_case(wanted);
        let mut has_length = self.headers.iter().any(|(n, _)| is(n, "content-length"));
        let length = self.body.len().to_string();
        let typed = self.headers.iter().any(|(n, _)| is(n, "content-type"));
        if !has_length && !typed && (self.redirect || !self.body.is_empty()) {
            into.add(b"content-length", length.as_bytes());
            has_length = true;
        }
        for (name, value) in &self.headers {
            // The length stands before the type, behind the rule's own fields.
            if !has_length && is(name, "content-type") {
                into.add(b"content-length", length.as_bytes());
                has_length = true;
            }
            into.add(name.as_bytes(), value);
        }
        if !has_length {
            into.add(b"content-length", length.as_bytes());
        }
    }
}

/// `deny [status N] …`.
pub fn deny(args: &mut Args<'_>, scope: &mut Scope<'_>, set: Set) -> Parsed {
    let status = if set.is_response() { 502 } else { 403 };
    let template = Template::parse(args, scope, Some(set), status, true)?;
    Ok(act("deny", template, |t, view| Flow::Finish(Verdict::Reply(Arc::new(t.make(view))))))
}

/// `tarpit [status N] …`.
pub fn tarpit(args: &mut Args<'_>, scope: &mut Scope<'_>, set: Set) -> Parsed {
    let template = Template::parse(args, scope, Some(set), 500, true)?;
    Ok(act("tarpit", template, |t, view| Flow::Finish(Verdict::Tarpit(Arc::new(t.make(view))))))
}

/// `return [status N] …`.
pub fn answer(args: &mut Args<'_>, scope: &mut Scope<'_>, set: Set) -> Parsed {
    let template = Template::parse(args, scope, Some(set), 200, false)?;
    Ok(act("return", template, |t, view| Flow::Finish(Verdict::Reply(Arc::new(t.make(view))))))
}

/// `http-error status N …`: the page of a status, made for each request that it answers; the error is haproxy's text
/// after `parsing [file:line] : `.
pub fn http_error(args: &mut Args<'_>, scope: &mut Scope<'_>) -> Result<(u16, Template), String> {
    if args.is_empty() || !args.rest().iter().any(|w| w.as_str() == "status") {
        return Err("http-error : expects at least a <status> as arguments.\n".into());
    }
    let mut template =
        Template::parse(args, scope, None, 0, false).map_err(|e| format!("http-error : {e}"))?;
    if let Some(word) = args.peek() {
        return Err(format!("http-error : unknown keyword '{}'.", word.as_str()));
    }
    if !PAGES.contains(&template.status) {
        return Err(format!("http-error: status code '{}' not handled.", template.status));
    }
    // The status's page is what this line replaces: haproxy's own is meant.
    if matches!(&template.body, Body::Section(pages) if !pages.contains_key(&template.status)) {
        template.body = Body::Canned;
    }
    Ok((template.status, template))
}

/// `auth [realm R]`.
pub fn auth(args: &mut Args<'_>, scope: &mut Scope<'_>, _: Set) -> Parsed {
    let realm = if args.take("realm") {
        Some(args.next().ok_or("missing realm value")?.as_str().to_owned())
    } else {
        None
    };
    let realm = realm.unwrap_or_else(|| scope.proxy.to_owned());
    Ok(act("auth", realm, |realm, view| {
        // A client that talks to a proxy gets the proxy's form of the question.
        let absolute = view.request.as_deref().is_some_and(|r| r.uri().first() != Some(&b'/'));
        let as_proxy =
            view.proxy.options.http_use_proxy_header || (view.proxy.options.http_proxy && absolute);
        let (status, name) = if as_proxy { (407, "proxy-authenticate") } else { (401, "www-authenticate") };
        let value = format!("Basic realm=\"{realm}\"").into_bytes();
        let reply = Reply {
            status,
            canned: true,
            headers: vec![(name.into(), value)],
            denied: false,
            ..Reply::default()
        };
        Flow::Finish(Verdict::Reply(Arc::new(reply)))
    }))
}

/// `reject`.
pub fn reject(_: &mut Args<'_>, _: &mut Scope<'_>, _: Set) -> Parsed {
    Ok(act("reject", (), |(), _| Flow::Finish(Verdict::Reject)))
}

/// `close` of tcp-response: the server's connection ends, what was received still goes to the client.
pub fn close(_: &mut Args<'_>, _: &mut Scope<'_>, _: Set) -> Parsed {
    Ok(act("close", (), |(), _| Flow::Finish(Verdict::Close)))
}

/// `silent-drop [rst-ttl N]`.
pub fn silent_drop(args: &mut Args<'_>, _: &mut Scope<'_>, _: Set) -> Parsed {
    let mut hops = None;
    if args.take("rst-ttl") {
        let given = args.next().and_then(|w| w.as_str().parse::<u8>().ok());
        hops = Some(given.ok_or("missing or invalid value for 'rst-ttl'")?);
    }
    Ok(act("silent-drop", hops, |hops, _| Flow::Finish(Verdict::SilentDrop(*hops))))
}
