//! Redirections, as `http-request redirect`, `http-response redirect` and the `redirect` line.

use super::header::format;
use super::sets::{Set, compile_condition};
use super::{Action, Flow, Reply, Rule, Verdict, act};
use crate::fetch::line::path_and_query;
use crate::log::Format;
use crate::sample::expr::Scope;
use crate::stream::view::View;
use conf_parsers::Word;
use conf_parsers::args::Args;
use conf_parsers::haproxy::condition;
use std::sync::Arc;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Location,
    Prefix,
    Scheme,
}

struct Redirect {
    kind: Kind,
    target: Format,
    code: u16,
    drop_query: bool,
    append_slash: bool,
    ignore_empty: bool,
    cookie: Option<String>,
}

fn read(args: &mut Args<'_>, scope: &mut Scope<'_>, set: Set) -> Result<Redirect, String> {
    let mut target: Option<(Kind, String)> = None;
    let (mut code, mut cookie) = (302, None);
    let (mut drop_query, mut append_slash, mut ignore_empty) = (false, false, false);
    while let Some(word) = args.next() {
        let key = word.as_str();
        let value = |args: &mut Args<'_>| {
            args.next().map(|w| w.as_str().to_owned()).ok_or_else(|| format!("missing argument for '{key}'"))
        };
        match key {
            "location" => target = Some((Kind::Location, value(args)?)),
            "prefix" => target = Some((Kind::Prefix, value(args)?)),
            "scheme" => target = Some((Kind::Scheme, value(args)?)),
            "set-cookie" => {
                let text = value(args)?;
                let equals = if text.contains('=') { "" } else { "=" };
                cookie = Some(format!("{text}{equals}; path=/;"));
            }
            "clear-cookie" => {
                let text = value(args)?;
                let equals = if text.contains('=') { "" } else { "=" };
                cookie = Some(format!("{text}{equals}; path=/; Max-Age=0;"));
            }
            "code" => {
                let text = value(args)?;
                code = crate::sample::leading_int(text.as_bytes()).0 as u16;
                if !matches!(code, 301 | 302 | 303 | 307 | 308) {
                    return Err(format!(
                        "'code': unsupported HTTP code '{text}' (must be one of 301, 302, 303, 307 or 308)"
                    ));
                }
            }
            "drop-query" => drop_query = true,
            "append-slash" => append_slash = true,
            "ignore-empty" => ignore_empty = true,
            other => {
                return Err(format!(
                    "expects 'code', 'prefix', 'location', 'scheme', 'set-cookie', 'clear-cookie', 'drop-query', \
                     'ignore-empty' or 'append-slash' (was '{other}')"
                ));
            }
        }
    }
    let (kind, text) = target.ok_or("redirection type expected ('prefix', 'location', or 'scheme')")?;
    let target = format(&text, scope, set)?;
    Ok(Redirect { kind, target, code, drop_query, append_slash, ignore_empty, cookie })
}

impl Redirect {
    fn location(&self, view: &View<'_>) -> Vec<u8> {
        let mut out = self.target.to_bytes(view);
        let request = view.request.as_deref();
        match self.kind {
            Kind::Location => {}
            Kind::Scheme => {
                let host = request.and_then(|r| r.first(b"host")).unwrap_or(b"");
                out.extend_from_slice(b"://");
                out.extend_from_slice(host);
                self.path(request.map_or(&b""[..], |r| r.uri()), &mut out);
            }
            Kind::Prefix => {
                // "/" alone is the empty prefix, so that a request can be sent back to itself.
                if out == b"/" {
                    out.clear();
                }
                self.path(request.map_or(&b""[..], |r| r.uri()), &mut out);
            }
        }
        out
    }

    fn path(&self, uri: &[u8], out: &mut Vec<u8>) {
        let whole = path_and_query(uri).filter(|w| !w.is_empty()).unwrap_or(b"/");
        let query = memchr::memchr(b'?', whole).unwrap_or(whole.len());
        let path = &whole[..query];
        out.extend_from_slice(path);
        if self.append_slash && path.last() != Some(&b'/') {
            out.push(b'/');
        }
        if !self.drop_query {
            out.extend_from_slice(&whole[query..]);
        }
    }

    fn run(&self, view: &mut View<'_>) -> Flow {
        let location = self.location(view);
        if self.ignore_empty && location.is_empty() {
            return Flow::Continue;
        }
        if location.iter().any(|b| matches!(b, b'\r' | b'\n' | 0)) {
            return super::header::failed(view);
        }
        let mut headers = vec![("location".to_owned(), location)];
        if matches!(self.code, 302 | 303 | 307) {
            headers.push(("cache-control".into(), b"no-cache".to_vec()));
        }
        if let Some(cookie) = &self.cookie {
            headers.push(("set-cookie".into(), cookie.clone().into_bytes()));
        }
        Flow::Finish(Verdict::Reply(Arc::new(Reply {
            status: self.code,
            headers,
            redirect: true,
            ..Reply::default()
        })))
    }
}

/// `redirect …` of a rule set.
pub fn parse(args: &mut Args<'_>, scope: &mut Scope<'_>, set: Set) -> Result<Box<dyn Action>, String> {
    Ok(act("redirect", read(args, scope, set)?, Redirect::run))
}

/// The `redirect` line: a rule of the request set. The error is haproxy's text behind `parsing [file:line] : `.
pub fn line(words: &[Word], keyword: &Word, scope: &mut Scope<'_>) -> Result<Rule, String> {
    let side = scope.kind.side();
    let cut = words.iter().position(condition::opens).unwrap_or(words.len());
    let mut args = Args::new(keyword, &words[..cut]);
    let action = parse(&mut args, scope, Set::Request).map_err(|e| {
        format!("error detected in {side} '{}' while parsing redirect rule : {e}.", scope.proxy)
    })?;
    let shown = "'http-request redirect' rule :";
    let condition = compile_condition(Set::Request, "redirect", &words[cut..], scope)
        .map_err(|e| e.replacen(shown, "redirect rule :", 1))?;
    Ok(Rule { condition, action, origin: format!("{}:{}", scope.origin.0, scope.origin.1) })
}
