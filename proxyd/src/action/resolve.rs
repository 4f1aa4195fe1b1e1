//! `do-resolve`: a rule asks a `resolvers` section for an address and waits for it.

use super::header::sample_word;
use super::sets::Set;
use super::{Action, Flow, Wait, act};
use crate::resolve::Request;
use crate::sample::Value;
use crate::sample::expr::{Expr, Scope};
use crate::sample::vars::VarName;
use crate::stream::txn::Resolving;
use crate::stream::view::View;
use conf_parsers::args::Args;
use std::net::IpAddr;
use tokio::sync::oneshot;

struct Resolve {
    var: VarName,
    section: String,
    prefer_ipv4: bool,
    expr: Expr,
}

fn usage(word: &str) -> String {
    format!(
        "Can't parse '{word}'. Expects 'do-resolve(<varname>,<resolvers>[,<options>]) <expr>'. Available options are \
         'ipv4' and 'ipv6'"
    )
}

/// `do-resolve(VAR,RESOLVERS[,ipv4|ipv6]) EXPR`.
pub fn parse(args: &mut Args<'_>, scope: &mut Scope<'_>, set: Set) -> Result<Box<dyn Action>, String> {
    let word = args.keyword().as_str();
    let inner = word.split_once('(').and_then(|(_, r)| r.strip_suffix(')'));
    let parts: Vec<&str> = inner.unwrap_or_default().split(',').map(str::trim).collect();
    let (name, section, prefer_ipv4) = match parts.as_slice() {
        [name, section] => (name, section, false),
        [name, section, family @ ("ipv4" | "ipv6")] => (name, section, *family == "ipv4"),
        _ => return Err(usage(word)),
    };
    if args.is_empty() {
        return Err(usage(""));
    }
    let var = VarName::parse(name)?;
    let expr = sample_word(args, scope, set)?;
    let missing =
        format!("Proxy '{}': Can't find resolvers section '{section}' for do-resolve action.", scope.proxy);
    scope.refs.resolvers.push(((*section).to_owned(), scope.owner(), missing));
    let resolve = Resolve { var, section: (*section).to_owned(), prefer_ipv4, expr };
    Ok(act("do-resolve", resolve, run))
}

fn run(resolve: &Resolve, view: &mut View<'_>) -> Flow {
    let found = view.txn.as_deref_mut().and_then(|txn| match txn.resolving.take() {
        Some(Resolving::Done(answer)) => Some(answer),
        _ => None,
    });
    match found {
        Some(answer) => {
            if let Some(ip) = answer {
                let value = match ip {
                    IpAddr::V4(ip) => Value::V4(ip),
                    IpAddr::V6(ip) => Value::V6(ip),
                };
                resolve.var.save(view, value);
            }
            Flow::Continue
        }
        None => ask(resolve, view),
    }
}

fn ask(resolve: &Resolve, view: &mut View<'_>) -> Flow {
    let name = resolve.expr.run_as(view, crate::sample::Type::Str).and_then(Value::into_bytes);
    let name = name.and_then(|n| String::from_utf8(n.to_vec()).ok()).filter(|n| !n.is_empty());
    let (Some(name), Some(txn)) = (name, view.txn.as_deref_mut()) else { return Flow::Continue };
    let (reply, answer) = oneshot::channel();
    let section = resolve.section.clone();
    let request = Request::Address { section, name, prefer_ipv4: resolve.prefer_ipv4, reply };
    view.generation.board.resolvers.send(request);
    txn.resolving = Some(Resolving::Asked(answer));
    Flow::Wait(Wait::Address)
}
