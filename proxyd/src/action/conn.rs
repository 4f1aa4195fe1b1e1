//! Addresses and marks of connections: `set-src`, `set-dst`, ports, `set-mark`, `set-tos`, priorities.

use super::header::sample_word;
use super::sets::Set;
use super::{Action, Flow, act};
use crate::sample::expr::{Expr, Scope};
use crate::sample::{Type, Value};
use crate::stream::txn::Peer;
use crate::stream::view::{Phase, View};
use conf_parsers::args::Args;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

type Parsed = Result<Box<dyn Action>, String>;

struct Address {
    expr: Expr,
    source: bool,
}

fn parse(args: &mut Args<'_>, scope: &mut Scope<'_>, set: Set, want: Type) -> Result<Address, String> {
    let source = args.keyword().as_str().starts_with("set-src");
    let name = args.peek().map_or("", |w| w.as_str()).to_owned();
    let expr = sample_word(args, scope, set)?;
    if !expr.output.casts_to(want) {
        return Err(format!(
            "fetch method '{name}' extracts information from '{}', none of which is available here",
            expr.source().needs()
        ));
    }
    Ok(Address { expr, source })
}

/// The address that a rule changes.
fn current(view: &View<'_>, source: bool) -> Option<SocketAddr> {
    let peer = if source { crate::fetch::conn::source(view) } else { crate::fetch::conn::destination(view) };
    match peer {
        Peer::Inet(a) => Some(*a),
        _ => None,
    }
}

fn put(view: &mut View<'_>, source: bool, address: SocketAddr) {
    if view.phase == Phase::Connection {
        // What is set this early is what the connection has: `fc_src` and `fc_dst` say it, too.
        *(if source { &mut view.session.real_src } else { &mut view.session.real_dst }) = Peer::Inet(address);
    }
    let peer = Peer::Inet(address);
    match (view.txn.as_deref_mut(), source) {
        (Some(txn), true) => txn.src = Some(peer),
        (Some(txn), false) => txn.dst = Some(peer),
        (None, true) => view.session.src = peer,
        (None, false) => view.session.dst = peer,
    }
}

/// `set-src EXPR`, `set-dst EXPR`: the port stays.
pub fn set_address(args: &mut Args<'_>, scope: &mut Scope<'_>, set: Set) -> Parsed {
    let data = parse(args, scope, set, Type::Addr)?;
    Ok(act("set-src", data, |a, view| {
        let ip = match a.expr.run_as(view, Type::Addr) {
            Some(Value::V4(ip)) => IpAddr::V4(ip),
            Some(Value::V6(ip)) => IpAddr::V6(ip),
            _ => return Flow::Continue,
        };
        let port = current(view, a.source).map_or(0, |c| c.port());
        put(view, a.source, SocketAddr::new(ip, port));
        Flow::Continue
    }))
}

/// `set-src-port EXPR`, `set-dst-port EXPR`: the address stays.
pub fn set_port(args: &mut Args<'_>, scope: &mut Scope<'_>, set: Set) -> Parsed {
    let data = parse(args, scope, set, Type::Int)?;
    Ok(act("set-src-port", data, |a, view| {
        let Some(Value::Int(port)) = a.expr.run_as(view, Type::Int) else { return Flow::Continue };
        let ip = current(view, a.source).map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |c| c.ip());
        put(view, a.source, SocketAddr::new(ip, port as u16));
        Flow::Continue
    }))
}

/// `set-mark`, `set-tos`, `set-nice`: asked of the engine by the session's record.
pub fn set_mark(args: &mut Args<'_>, scope: &mut Scope<'_>, set: Set) -> Parsed {
    let which = args.keyword().as_str().to_owned();
    let text = args.peek().ok_or("expects exactly 1 argument (integer/hex value)")?.as_str();
    // The names of later versions take expressions, too.
    if which.starts_with("set-fc-") && !text.starts_with(|c: char| c.is_ascii_digit()) {
        let (tos, expr) = (which == "set-fc-tos", sample_word(args, scope, set)?);
        return Ok(act("set-fc-mark", (tos, expr), |(tos, expr), view| {
            if let Some(Value::Int(value)) = expr.run_as(view, Type::Int) {
                if *tos {
                    view.session.tos = Some(value as u8);
                } else {
                    view.session.mark = Some(value as u32);
                }
            }
            Flow::Continue
        }));
    }
    args.next();
    let value = if which == "set-nice" {
        crate::sample::leading_int(text.as_bytes()).0.clamp(-1024, 1024)
    } else {
        let (digits, radix) = match text.strip_prefix("0x") {
            Some(hex) => (hex, 16),
            None => (text, 10),
        };
        let bad = || format!("invalid character starting at '{text}' (integer/hex value expected)");
        i64::from_str_radix(digits, radix).map_err(|_| bad())?
    };
    Ok(act("set-mark", (which, value), |(which, value), view| {
        match which.as_str() {
            "set-mark" | "set-fc-mark" => view.session.mark = Some(*value as u32),
            "set-tos" | "set-fc-tos" => view.session.tos = Some(*value as u8),
            // Niceness orders tasks inside haproxy; our tasks are not ordered, so there is nothing to do.
            _ => {}
        }
        Flow::Continue
    }))
}

/// `set-priority-class EXPR`, `set-priority-offset EXPR`.
pub fn set_priority(args: &mut Args<'_>, scope: &mut Scope<'_>, set: Set) -> Parsed {
    let class = args.keyword().as_str() == "set-priority-class";
    let expr = sample_word(args, scope, set)?;
    Ok(act("set-priority", (class, expr), |(class, expr), view| {
        let value = expr.run(view).and_then(Value::into_int);
        if let (Some(value), Some(txn)) = (value, view.txn.as_deref_mut()) {
            if *class {
                txn.priority.0 = value.clamp(-2047, 2047) as i32;
            } else {
                txn.priority.1 = value.clamp(-524_287, 524_287) as i32;
            }
        }
        Flow::Continue
    }))
}

/// `expect-netscaler-cip layer4`: likewise.
pub fn expect_netscaler(args: &mut Args<'_>, _: &mut Scope<'_>, _: Set) -> Parsed {
    if !args.take("layer4") {
        return Err("only supports 'layer4'".into());
    }
    Ok(act("expect-netscaler-cip", (), |(), view| {
        view.session.expect_netscaler = true;
        Flow::Continue
    }))
}

/// `expect-proxy layer4`: the engine reads the header when a rule asks for it.
pub fn expect_proxy(args: &mut Args<'_>, _: &mut Scope<'_>, _: Set) -> Parsed {
    if !args.take("layer4") {
        return Err("only supports 'layer4'".into());
    }
    Ok(act("expect-proxy", (), |(), view| {
        view.session.expect_proxy = true;
        Flow::Continue
    }))
}
