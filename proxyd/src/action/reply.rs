//! Answers made by the proxy: `deny`, `tarpit`, `return`, `auth`, and ends without one.
//!
//! Invariant: an answer is complete when the rule ran; the engine only sends it.

use super::header::format;
use super::sets::Set;
use super::{Action, Flow, Reply, Verdict, act};
use crate::config::model::ErrorReply;
use crate::log::Format;
use crate::sample::expr::Scope;
use crate::stream::view::View;
use conf_parsers::Word;
use conf_parsers::args::Args;
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
    std::fs::read(name).map(Arc::from).map_err(|e| {
        let reason = e
            .raw_os_error()
            .map_or_else(|| e.to_string(), |n| nix::errno::Errno::from_raw(n).desc().to_owned());
        format!("failed to open file '{name}' ({reason})")
    })
}

impl Template {
    /// Parses `[status N] [content-type T] [BODY] [hdr NAME FORMAT]…`; the error is haproxy's text.
    pub fn parse(
        args: &mut Args<'_>,
        scope: &mut Scope<'_>,
        set: Set,
        status: u16,
        denied: bool,
    ) -> Result<Self, String> {
        let mut out = Self { status, content_type: None, body: Body::None, headers: Vec::new(), denied };
        let mut explicit_canned = false;
        while let Some(word) = args.peek() {
            let key = word.as_str();
            match key {
                "status" | "deny_status" => {
                    args.next();
                    let text =
                        args.next().ok_or_else(|| format!("'{key}' expects <status_code> as argument"))?;
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
                    if !matches!(out.body, Body::None) || explicit_canned {
                        return Err(format!("unexpected '{key}' keyword, payload already defined"));
                    }
                    args.next();
                    explicit_canned = key == "default-errorfiles";
                    out.body = Self::body(key, args, scope, set)?;
                }
                "hdr" => {
                    args.next();
                    let (Some(name), Some(text)) = (args.next(), args.next()) else {
                        return Err("'hdr' expects <name> and <value> as arguments".into());
                    };
                    if name.as_str().eq_ignore_ascii_case("content-length")
                        || name.as_str().eq_ignore_ascii_case("transfer-encoding")
                    {
                        scope.warnings.push(format!("header '{}' ignored", name.as_str()));
                        continue;
                    }
                    let name = name.as_str().to_owned();
                    out.headers.push((name, format(text.as_str(), scope, set)?));
                }
                _ => break,
            }
        }
        out.finish(set)
    }

    fn body(key: &str, args: &mut Args<'_>, scope: &mut Scope<'_>, set: Set) -> Result<Body, String> {
        Ok(match key {
            "default-errorfiles" => Body::Canned,
            "errorfile" => Body::Raw(read(value(args, key, "<fmt>")?.as_str())?),
            "errorfiles" => {
                let name = value(args, key, "<http_errors name>")?.as_str();
                let section = scope.http_errors.get(name);
                Body::Section(Arc::clone(
                    section.ok_or_else(|| format!("unknown http-errors section '{name}'"))?,
                ))
            }
            "file" => Body::Bytes(read(value(args, key, "<file>")?.as_str())?),
            "lf-file" => {
                let bytes = read(value(args, key, "<file>")?.as_str())?;
                Body::Format(Box::new(format(&String::from_utf8_lossy(&bytes), scope, set)?))
            }
            "string" => Body::Bytes(Arc::from(value(args, key, "<str>")?.bytes())),
            _ => Body::Format(Box::new(format(value(args, key, "<fmt>")?.as_str(), scope, set)?)),
        })
    }

    fn finish(mut self, _: Set) -> Result<Self, String> {
        let filled = match &self.body {
            Body::Bytes(b) => !b.is_empty(),
            Body::Format(_) => true,
            _ => false,
        };
        if filled && self.content_type.is_none() {
            return Err("a content type must be defined when non-empty payload is configured".into());
        }
        // A denial without a body, or with default-errorfiles, is the status's page; `return` has an empty body.
        if matches!(self.body, Body::None)
            && self.denied
            && self.headers.is_empty()
            && PAGES.contains(&self.status)
        {
            self.body = Body::Canned;
        }
        Ok(self)
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
                    Some(ErrorReply::Reply(page)) => return Reply::clone(page),
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

/// `deny [status N] …`.
pub fn deny(args: &mut Args<'_>, scope: &mut Scope<'_>, set: Set) -> Parsed {
    let status = if set.is_response() { 502 } else { 403 };
    let template = Template::parse(args, scope, set, status, true)?;
    Ok(act("deny", template, |t, view| Flow::Finish(Verdict::Reply(Arc::new(t.make(view))))))
}

/// `tarpit [status N] …`.
pub fn tarpit(args: &mut Args<'_>, scope: &mut Scope<'_>, set: Set) -> Parsed {
    let template = Template::parse(args, scope, set, 500, true)?;
    Ok(act("tarpit", template, |t, view| Flow::Finish(Verdict::Tarpit(Arc::new(t.make(view))))))
}

/// `return [status N] …`.
pub fn answer(args: &mut Args<'_>, scope: &mut Scope<'_>, set: Set) -> Parsed {
    let template = Template::parse(args, scope, set, 200, false)?;
    Ok(act("return", template, |t, view| Flow::Finish(Verdict::Reply(Arc::new(t.make(view))))))
}

/// `http-error status N …` of a proxy or `http-errors` section: a page that is made while the file is read, so
/// formats stay out of it.
pub fn http_error(args: &mut Args<'_>, scope: &mut Scope<'_>) -> Result<(u16, Template), String> {
    let template = Template::parse(args, scope, Set::Request, 0, true)?;
    if template.status == 0 {
        return Err("mandatory 'status' parameter must be defined".into());
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
    Ok(act("close", (), |(), _| Flow::Finish(Verdict::Reject)))
}

/// `silent-drop [rst-ttl N]`.
pub fn silent_drop(args: &mut Args<'_>, _: &mut Scope<'_>, _: Set) -> Parsed {
    if args.take("rst-ttl") {
        args.next()
            .and_then(|w| w.as_str().parse::<u8>().ok())
            .ok_or("missing or invalid value for 'rst-ttl'")?;
    }
    Ok(act("silent-drop", (), |(), _| Flow::Finish(Verdict::SilentDrop)))
}
