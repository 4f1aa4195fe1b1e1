//! Connections: addresses, ports, versions, PROXY protocol.

use super::{Row, row};
use crate::sample::source::Source::{Frontend, L4Client, L4Server, L5Client, L5Server};
use crate::sample::{Type, Value};
use crate::stream::txn::Peer;
use crate::stream::view::View;
use std::net::{IpAddr, SocketAddr};

/// Rows of this family.
pub static ROWS: &[Row] = &[
    row("bc_dst", "", Type::V4, L4Server, |v, _, _| ip(&v.txn.as_deref()?.server_ends.1)),
    row("bc_dst_port", "", Type::Int, L4Server, |v, _, _| port(&v.txn.as_deref()?.server_ends.1)),
    row("bc_http_major", "", Type::Int, L4Server, |v, _, _| {
        v.response.as_deref().map(|r| Value::Int(i64::from(r.version.0)))
    }),
    row("bc_src", "", Type::V4, L4Server, |v, _, _| ip(&v.txn.as_deref()?.server_ends.0)),
    row("bc_src_port", "", Type::Int, L4Server, |v, _, _| port(&v.txn.as_deref()?.server_ends.0)),
    row("dst", "", Type::V4, L4Client, |v, _, _| ip(destination(v))),
    row("dst_is_local", "", Type::Bool, L4Client, |v, _, _| local(destination(v))),
    row("dst_port", "", Type::Int, L4Client, |v, _, _| port(destination(v))),
    row("fc_dst", "", Type::V4, L4Client, |v, _, _| ip(&v.session.real_dst)),
    row("fc_dst_is_local", "", Type::Bool, L4Client, |v, _, _| local(&v.session.real_dst)),
    row("fc_dst_port", "", Type::Int, L4Client, |v, _, _| port(&v.session.real_dst)),
    row("fc_http_major", "", Type::Int, L4Client, |v, _, _| {
        Some(Value::Int(v.request.as_deref().map_or(1, |r| i64::from(r.version.0))))
    }),
    row("fc_pp_authority", "", Type::Str, L4Client, |v, _, _| tlv(v, 0x02)),
    row("fc_pp_unique_id", "", Type::Str, L4Client, |v, _, _| tlv(v, 0x05)),
    row("fc_src", "", Type::V4, L4Client, |v, _, _| ip(&v.session.real_src)),
    row("fc_src_is_local", "", Type::Bool, L4Client, |v, _, _| local(&v.session.real_src)),
    row("fc_src_port", "", Type::Int, L4Client, |v, _, _| port(&v.session.real_src)),
    row("src", "", Type::V4, L4Client, |v, _, _| ip(&v.session.src)),
    row("src_is_local", "", Type::Bool, L4Client, |v, _, _| local(&v.session.src)),
    row("src_port", "", Type::Int, L4Client, |v, _, _| port(&v.session.src)),
    row("fe_id", "", Type::Int, Frontend, |v, _, _| {
        Some(Value::Int(i64::from(v.generation.config.proxies.get(v.session.frontend.0)?.uuid)))
    }),
    row("fe_name", "", Type::Str, Frontend, |v, _, _| {
        Some(Value::str(v.generation.config.proxies.get(v.session.frontend.0)?.name.as_str()))
    }),
    row("fe_defbe", "", Type::Str, Frontend, |v, _, _| {
        let proxies = &v.generation.config.proxies;
        let back = proxies.get(v.session.frontend.0)?.default_backend?;
        Some(Value::str(proxies.get(back.0)?.name.as_str()))
    }),
    row("fc_err", "", Type::Int, L4Client, |_, _, _| Some(Value::Int(0))),
    row("fc_err_str", "", Type::Str, L4Client, |_, _, _| Some(Value::str("Success"))),
    row("bc_err", "", Type::Int, L5Server, |_, _, _| Some(Value::Int(0))),
    row("bc_err_str", "", Type::Str, L5Server, |_, _, _| Some(Value::str("Success"))),
    row("ssl_fc", "", Type::Bool, L5Client, |v, _, _| Some(Value::Bool(v.session.tls.is_some()))),
];

/// Where the client wanted to go: as rules left it, else as the connection says.
pub fn destination<'v>(view: &'v View<'_>) -> &'v Peer {
    view.txn.as_deref().and_then(|t| t.dst.as_ref()).unwrap_or(&view.session.dst)
}

fn address(peer: &Peer) -> Option<SocketAddr> {
    match peer {
        Peer::Inet(a) => Some(*a),
        _ => None,
    }
}

fn ip<'v>(peer: &Peer) -> Option<Value<'v>> {
    // A mapped address is an IPv4 client on an IPv6 socket.
    address(peer).map(|a| match a.ip() {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(Value::V6(v6), Value::V4),
        IpAddr::V4(v4) => Value::V4(v4),
    })
}

fn port<'v>(peer: &Peer) -> Option<Value<'v>> {
    address(peer).map(|a| Value::Int(i64::from(a.port())))
}

fn local<'v>(peer: &Peer) -> Option<Value<'v>> {
    let ip = address(peer)?.ip();
    let own = nix::ifaddrs::getifaddrs().ok()?.filter_map(|i| i.address).any(|a| {
        a.as_sockaddr_in().is_some_and(|a| IpAddr::V4(a.ip()) == ip)
            || a.as_sockaddr_in6().is_some_and(|a| IpAddr::V6(a.ip()) == ip)
    });
    Some(Value::Bool(own || ip.is_loopback()))
}

fn tlv<'v>(view: &'v View<'_>, kind: u8) -> Option<Value<'v>> {
    view.session.proxy_tlvs.iter().find(|(k, _)| *k == kind).map(|(_, v)| Value::str(v.as_slice()))
}
