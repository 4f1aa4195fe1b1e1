//! Constants, variables, time, randomness and facts of the process.

use super::{Row, row};
use crate::acl::Answer;
use crate::acl::matcher::unhex;
use crate::sample::args::at;
use crate::sample::source::Source::{Const, Frontend, Internal, L4Client, Request};
use crate::sample::vars::VarName;
use crate::sample::{Arg, Buf, Type, Value};
use crate::stream::view::{Phase, View};
use rand::RngExt as _;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::UNIX_EPOCH;

/// Up to twelve names of ACLs.
const ACLS: &str = "string[,string,string,string,string,string,string,string,string,string,string,string]";

/// Rows of this family.
pub static ROWS: &[Row] = &[
    row("always_false", "", Type::Bool, Const, |_, _, _| Some(Value::Bool(false))),
    row("always_true", "", Type::Bool, Const, |_, _, _| Some(Value::Bool(true))),
    row("bin", "string", Type::Bin, Const, |_, a, _| Some(Value::Bin(at(a, 0).buf()))).check(|a, _| {
        a[0] = Arg::Str(unhex(at(a, 0).text())?.into());
        Ok(())
    }),
    row("bool", "string", Type::Bool, Const, |_, a, _| Some(Value::Bool(at(a, 0).int_or(0) != 0))).check(
        |a, _| {
            a[0] = match at(a, 0).text().to_ascii_lowercase().as_str() {
                "true" | "1" => Arg::Int(1),
                "false" | "0" => Arg::Int(0),
                _ => return Err("Expects 'false' or 'true' or '0' or '1'".into()),
            };
            Ok(())
        },
    ),
    row("acl", ACLS, Type::Bool, Const, |v, a, c| {
        let mut pending = false;
        for arg in a {
            let Arg::Acl(acl, negated) = arg else { continue };
            match acl.check(v) {
                Answer::Unknown => pending = true,
                answer if (answer == Answer::Yes) == *negated => return Some(Value::Bool(false)),
                _ => {}
            }
        }
        c.pending = pending && v.may_wait;
        (!c.pending).then_some(Value::Bool(!pending))
    })
    .check(|a, scope| {
        for arg in a.iter_mut() {
            let name = arg.text();
            let (negated, name) = name.strip_prefix('!').map_or((false, name), |n| (true, n));
            let acl = scope.acls.get(name).ok_or_else(|| format!("no such ACL : '{name}'"))?;
            *arg = Arg::Acl(Arc::clone(acl), negated);
        }
        Ok(())
    }),
    row("cpu_calls", "", Type::Int, Internal, |_, _, _| Some(Value::Int(0))),
    row("date", "[integer,string]", Type::Int, Const, |v, a, _| {
        let since = v.wall.duration_since(UNIX_EPOCH).unwrap_or_default();
        let offset = at(a, 0).int_or(0);
        Some(Value::Int(match at(a, 1).text() {
            "ms" => since.as_millis() as i64 + offset,
            "us" => since.as_micros() as i64 + offset,
            _ => since.as_secs() as i64 + offset,
        }))
    })
    .check(|a, _| crate::conv::time::unit_check(at(a, 1).text())),
    row("date_us", "", Type::Int, Const, |v, _, _| {
        Some(Value::Int(i64::from(v.wall.duration_since(UNIX_EPOCH).unwrap_or_default().subsec_micros())))
    }),
    row("env", "string", Type::Str, Const, |_, a, _| {
        Some(Value::Str(at(a, 0).buf())).filter(|_| !at(a, 0).is_none())
    })
    .check(|a, _| {
        // The environment cannot change while the process runs: read once.
        a[0] = std::env::var(at(a, 0).text()).map_or(Arg::None, |v| Arg::Str(v.into_bytes().into()));
        Ok(())
    }),
    row("hostname", "", Type::Str, Const, |_, _, _| Some(Value::Str(Buf::Ref(hostname().as_bytes())))),
    row("int", "integer", Type::Int, Const, |_, a, _| Some(Value::Int(at(a, 0).int_or(0)))),
    row("ipv4", "IPv4 address", Type::V4, Const, |_, a, _| match at(a, 0) {
        Arg::V4(ip) => Some(Value::V4(*ip)),
        _ => None,
    }),
    row("ipv6", "IPv6 address", Type::V6, Const, |_, a, _| match at(a, 0) {
        Arg::V6(ip) => Some(Value::V6(*ip)),
        _ => None,
    }),
    row("last_rule_file", "", Type::Str, Internal, |v, _, _| {
        Some(Value::str(v.txn.as_deref()?.last_rule.as_deref()?.rsplit_once(':')?.0))
    }),
    row("last_rule_line", "", Type::Int, Internal, |v, _, _| {
        v.txn.as_deref()?.last_rule.as_deref()?.rsplit_once(':')?.1.parse().ok().map(Value::Int)
    }),
    row("meth", "string", Type::Method, Const, |_, a, _| Some(Value::Method(at(a, 0).buf()))),
    row("nbproc", "", Type::Int, Const, |_, _, _| Some(Value::Int(1))),
    row("prio_class", "", Type::Int, Internal, |v, _, _| {
        Some(Value::Int(i64::from(v.txn.as_deref()?.priority.0)))
    }),
    row("prio_offset", "", Type::Int, Internal, |v, _, _| {
        Some(Value::Int(i64::from(v.txn.as_deref()?.priority.1)))
    }),
    row("proc", "", Type::Int, Const, |_, _, _| Some(Value::Int(1))),
    row("rand", "[integer]", Type::Int, Const, |_, a, _| {
        let random = rand::rng().random::<u32>();
        let range = at(a, 0).int_or(0);
        let n = if range > 0 { (u64::from(random) * range as u64) >> 32 } else { u64::from(random) };
        Some(Value::Int(n as i64))
    }),
    row("stopping", "", Type::Bool, Internal, |v, _, _| {
        Some(Value::Bool(v.generation.board.process.stopping.load(Relaxed)))
    }),
    row("str", "string", Type::Str, Const, |_, a, _| Some(Value::Str(at(a, 0).buf()))),
    row("thread", "", Type::Int, Const, |v, _, _| Some(Value::Int(v.session.thread as i64))),
    row("unique-id", "", Type::Str, Const, |v, _, _| Some(Value::str(unique_id(v)?))),
    row("uuid", "[integer]", Type::Str, Const, |_, _, _| Some(Value::str(uuid()))).check(|a, _| {
        match at(a, 0).int_or(4) {
            4 => Ok(()),
            v => Err(format!("Unsupported UUID version: '{v}'")),
        }
    }),
    row("var", "string[,string]", Type::Any, Const, |v, a, _| {
        let Arg::Var(name) = at(a, 0) else { return None };
        name.load(v).or_else(|| match at(a, 1) {
            Arg::Str(default) => Some(Value::str(default.to_vec())),
            _ => None,
        })
    })
    .check(|a, _| {
        a[0] = Arg::Var(VarName::parse(at(a, 0).text())?);
        Ok(())
    }),
    row("fe_client_timeout", "", Type::Int, Frontend, |v, _, _| {
        let front = v.generation.config.proxies.get(v.session.frontend.0)?;
        Some(Value::Int(front.timeouts.client?.as_millis() as i64))
    }),
    row("http_first_req", "", Type::Bool, crate::sample::source::Source::Request, |v, _, _| {
        Some(Value::Bool(v.session.requests == 0))
    }),
    row("wait_end", "", Type::Bool, Internal, |v, _, c| {
        // Rules of HTTP begin when there is nothing left to wait for.
        c.pending = v.may_wait && matches!(v.phase, Phase::RequestContent | Phase::ResponseContent);
        (!c.pending).then_some(Value::Bool(true))
    }),
    row("req.proto_http", "", Type::Bool, Request, |v, _, c| super::line::is_http(v, c)),
    row("req_proto_http", "", Type::Bool, Request, |v, _, c| super::line::is_http(v, c)),
    row("so_id", "", Type::Int, crate::sample::source::Source::Listener, |v, _, _| {
        let front = v.generation.config.proxies.get(v.session.frontend.0)?;
        let bind = front.binds.get(v.session.bind)?;
        Some(Value::Int(bind.id.map_or(v.session.bind as i64 + 1, i64::from)))
    }),
    row("so_name", "", Type::Str, crate::sample::source::Source::Listener, |v, _, _| {
        let front = v.generation.config.proxies.get(v.session.frontend.0)?;
        match front.binds.get(v.session.bind)?.name.as_deref() {
            // A line whose connections are counted has a name in any case.
            None if front.options.socket_stats => Some(Value::str(format!("sock-{}", v.session.bind + 1))),
            name => name.map(Value::str),
        }
    }),
    row("dst_conn", "", Type::Int, crate::sample::source::Source::Listener, |v, _, _| {
        let state = v.generation.proxies.get(v.session.frontend.0)?;
        Some(Value::Int(state.front.cur_conn.load(Relaxed) as i64))
    }),
    row("fc_rcvd_proxy", "", Type::Bool, L4Client, |v, _, _| {
        // A connection that never came to its session has none to tell of.
        (v.session.fault == 0).then_some(Value::Bool(v.session.proxied))
    }),
];

/// The stream's `unique-id`, made when it is first asked for.
pub fn unique_id<'v>(view: &'v View<'_>) -> Option<&'v [u8]> {
    let format = view.generation.config.proxies.get(view.session.frontend.0)?.unique_id_format.as_ref()?;
    Some(view.txn.as_deref()?.unique_id.get_or_init(|| format.to_bytes(view)))
}

/// The host's name, read once.
pub fn hostname() -> &'static str {
    static NAME: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| {
        nix::unistd::gethostname().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()
    });
    &NAME
}

/// A random UUID, version 4.
pub fn uuid() -> String {
    let mut b: [u8; 16] = rand::rng().random();
    b[6] = (b[6] & 0x0f) | 0x40;
    b[8] = (b[8] & 0x3f) | 0x80;
    let hex = format!("{:032x}", u128::from_be_bytes(b));
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}
