//! Connections: addresses, ports, versions, PROXY protocol.

use super::{Row, row};
use crate::config::model::Mode;
use crate::sample::args::at;
use crate::sample::source::Source::{Frontend, L4Client, L4Server, L5Client, L5Server};
use crate::sample::{Arg, Type, Value};
use crate::stream::txn::Peer;
use crate::stream::view::View;
use std::net::{IpAddr, SocketAddr};

/// Rows of this family.
pub static ROWS: &[Row] = &[
    row("bc_dst", "", Type::V4, L4Server, |v, _, _| ip(&v.txn.as_deref()?.server_ends().1)),
    row("bc_dst_port", "", Type::Int, L4Server, |v, _, _| port(&v.txn.as_deref()?.server_ends().1)),
    row("bc_http_major", "", Type::Int, L4Server, |v, _, _| {
        v.response.as_deref().map(|r| Value::Int(i64::from(r.version.0)))
    }),
    row("bc_src", "", Type::V4, L4Server, |v, _, _| ip(&v.txn.as_deref()?.server_ends().0)),
    row("bc_src_port", "", Type::Int, L4Server, |v, _, _| port(&v.txn.as_deref()?.server_ends().0)),
    row("dst", "", Type::V4, L4Client, |v, _, _| ip(destination(v))),
    row("dst_is_local", "", Type::Bool, L4Client, |v, _, _| local(destination(v))),
    row("dst_port", "", Type::Int, L4Client, |v, _, _| port(destination(v))),
    row("fc_dst", "", Type::V4, L4Client, |v, _, _| ip(&v.session.real_dst)),
    row("fc_dst_is_local", "", Type::Bool, L4Client, |v, _, _| local(&v.session.real_dst)),
    row("fc_dst_port", "", Type::Int, L4Client, |v, _, _| port(&v.session.real_dst)),
    row("fc_http_major", "", Type::Int, L4Client, |v, _, _| {
        let http = v.generation.proxy(v.session.frontend).mode == Mode::Http;
        http.then(|| Value::Int(v.request.as_deref().map_or(1, |r| i64::from(r.version.0))))
    }),
    row("fc_pp_authority", "", Type::Str, L4Client, |v, _, _| tlv(v, 0x02)),
    row("fc_pp_unique_id", "", Type::Str, L4Client, |v, _, _| tlv(v, 0x05)),
    row("fc_pp_tlv", "string", Type::Bin, L4Client, |v, a, c| {
        let kind = u8::try_from(at(a, 0).int_or(0)).ok()?;
        let mut found = v.session.proxy_tlvs.iter().filter(|(k, _)| *k == kind).skip(c.at);
        let value = found.next()?;
        c.at += 1;
        c.more = found.next().is_some();
        Some(Value::bin(value.1.as_slice()))
    })
    .check(|a, _| {
        let text = at(a, 0).text();
        let named = TLVS.iter().find(|(n, _)| *n == text).map(|(_, k)| *k);
        let number =
            text.strip_prefix("0x").map_or_else(|| text.parse().ok(), |h| u8::from_str_radix(h, 16).ok());
        let kind = named.or(number).ok_or("invalid TLV type ID")?;
        a[0] = Arg::Int(i64::from(kind));
        Ok(())
    }),
    row("fc_src", "", Type::V4, L4Client, |v, _, _| ip(&v.session.real_src)),
    row("fc_src_is_local", "", Type::Bool, L4Client, |v, _, _| local(&v.session.real_src)),
    row("fc_src_port", "", Type::Int, L4Client, |v, _, _| port(&v.session.real_src)),
    row("src", "", Type::V4, L4Client, |v, _, _| ip(source(v))),
    row("src_is_local", "", Type::Bool, L4Client, |v, _, _| local(source(v))),
    row("src_port", "", Type::Int, L4Client, |v, _, _| port(source(v))),
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
    row("fc_err", "", Type::Int, L4Client, |v, _, _| Some(Value::Int(i64::from(v.session.fault)))),
    row("fc_err_str", "", Type::Str, L4Client, |v, _, _| fault_text(v.session.fault)),
    row("bc_err", "", Type::Int, L5Server, |v, _, _| Some(Value::Int(i64::from(server_fault(v)?)))),
    row("bc_err_str", "", Type::Str, L5Server, |v, _, _| fault_text(server_fault(v)?)),
    row("ssl_fc", "", Type::Bool, L5Client, |v, _, _| Some(Value::Bool(v.session.tls.is_some()))),
];

/// TLV types that have a name (PROXY protocol, 2.2).
const TLVS: [(&str, u8); 12] = [
    ("ALPN", 0x01),
    ("AUTHORITY", 0x02),
    ("CRC32", 0x03),
    ("NOOP", 0x04),
    ("UNIQUE_ID", 0x05),
    ("SSL", 0x20),
    ("SSL_VERSION", 0x21),
    ("SSL_CN", 0x22),
    ("SSL_CIPHER", 0x23),
    ("SSL_SIG_ALG", 0x24),
    ("SSL_KEY_ALG", 0x25),
    ("NETNS", 0x30),
];

/// What may be wrong with a connection, by haproxy's numbers (chapter 7.3.3, `fc_err_str`).
pub const FAULTS: [&str; 44] = [
    "Success",
    "Reached configured maxconn value",
    "Too many sockets on the process",
    "Too many sockets on the system",
    "Out of system buffers",
    "Protocol or address family not supported",
    "General socket error",
    "Source port range exhausted",
    "Can't bind to source address",
    "Out of local source ports on the system",
    "Local source address already in use",
    "Connection closed while waiting for PROXY protocol header",
    "Connection error while waiting for PROXY protocol header",
    "Timeout while waiting for PROXY protocol header",
    "Truncated PROXY protocol header received",
    "Received something which does not look like a PROXY protocol header",
    "Received an invalid PROXY protocol header",
    "Received an unhandled protocol in the PROXY protocol header",
    "Connection closed while waiting for NetScaler Client IP header",
    "Connection error while waiting for NetScaler Client IP header",
    "Timeout while waiting for a NetScaler Client IP header",
    "Truncated NetScaler Client IP header received",
    "Received an invalid NetScaler Client IP magic number",
    "Received an unhandled protocol in the NetScaler Client IP header",
    "Connection closed during SSL handshake",
    "Connection error during SSL handshake",
    "Timeout during SSL handshake",
    "Too many SSL connections",
    "Out of memory when initializing an SSL connection",
    "Rejected a client-initiated SSL renegotiation attempt",
    "SSL client CA chain cannot be verified",
    "SSL client certificate not trusted",
    "Server presented an SSL certificate different from the configured one",
    "Server presented an SSL certificate different from the expected one",
    "SSL handshake failure",
    "SSL handshake failure after heartbeat",
    "Stopped a TLSv1 heartbeat attack (CVE-2014-0160)",
    "Attempt to use SSL on an unknown target (internal error)",
    "Server refused early data",
    "SOCKS4 Proxy write error during handshake",
    "SOCKS4 Proxy read error during handshake",
    "SOCKS4 Proxy deny the request",
    "SOCKS4 Proxy handshake aborted by server",
    "SSL fatal error",
];

/// The numbers in use, by what happened.
pub mod fault {
    /// A socket call failed.
    pub const SOCKET: u8 = 6;
    /// The peer closed before its PROXY header.
    pub const PROXY_EMPTY: u8 = 11;
    /// Reading the PROXY header failed.
    pub const PROXY_ABORT: u8 = 12;
    /// The PROXY header did not come in time.
    pub const PROXY_TIMEOUT: u8 = 13;
    /// Half a PROXY header.
    pub const PROXY_TRUNCATED: u8 = 14;
    /// Something else in place of a PROXY header.
    pub const PROXY_NONE: u8 = 15;
    /// A PROXY header with faults.
    pub const PROXY_BAD: u8 = 16;
    /// A PROXY header of another protocol.
    pub const PROXY_UNHANDLED: u8 = 17;
    /// The peer closed before its NetScaler header.
    pub const CIP_EMPTY: u8 = 18;
    /// Reading the NetScaler header failed.
    pub const CIP_ABORT: u8 = 19;
    /// The NetScaler header did not come in time.
    pub const CIP_TIMEOUT: u8 = 20;
    /// Half a NetScaler header.
    pub const CIP_TRUNCATED: u8 = 21;
    /// A NetScaler header with another magic number.
    pub const CIP_MAGIC: u8 = 22;
    /// A NetScaler header of another protocol.
    pub const CIP_UNHANDLED: u8 = 23;
    /// The peer closed within the TLS handshake.
    pub const TLS_EMPTY: u8 = 24;
    /// The connection broke within the TLS handshake.
    pub const TLS_ABORT: u8 = 25;
    /// The TLS handshake took too long.
    pub const TLS_TIMEOUT: u8 = 26;
    /// There are as many TLS connections as there may be.
    pub const TLS_TOO_MANY: u8 = 27;
    /// The client's certificate is not trusted.
    pub const TLS_CERTIFICATE: u8 = 31;
    /// The TLS handshake failed.
    pub const TLS: u8 = 34;
}

/// What is wrong with the server's connection; none without one.
fn server_fault(view: &View<'_>) -> Option<u8> {
    let txn = view.txn.as_deref()?;
    (txn.server_fault != 0 || txn.times.connect.is_some()).then_some(txn.server_fault)
}

fn fault_text<'v>(fault: u8) -> Option<Value<'v>> {
    FAULTS.get(usize::from(fault)).map(|text| Value::str(*text))
}

/// The client: as rules of the request left it, else as the session has it.
pub fn source<'v>(view: &'v View<'_>) -> &'v Peer {
    view.txn.as_deref().and_then(|t| t.src.as_ref()).unwrap_or(&view.session.src)
}

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
    // A mapped address, an IPv4 client on an IPv6 socket, stays what the kernel and haproxy call it.
    address(peer).map(|a| match a.ip() {
        IpAddr::V6(v6) => Value::V6(v6),
        IpAddr::V4(v4) => Value::V4(v4),
    })
}

fn port<'v>(peer: &Peer) -> Option<Value<'v>> {
    // Only a header or a rule says 0, which is none.
    address(peer).filter(|a| a.port() != 0).map(|a| Value::Int(i64::from(a.port())))
}

fn local<'v>(peer: &Peer) -> Option<Value<'v>> {
    let ip = address(peer)?.ip().to_canonical();
    let own = nix::ifaddrs::getifaddrs().ok()?.filter_map(|i| i.address).any(|a| {
        a.as_sockaddr_in().is_some_and(|a| IpAddr::V4(a.ip()) == ip)
            || a.as_sockaddr_in6().is_some_and(|a| IpAddr::V6(a.ip()) == ip)
    });
    Some(Value::Bool(own || ip.is_loopback()))
}

fn tlv<'v>(view: &'v View<'_>, kind: u8) -> Option<Value<'v>> {
    // The last of several counts.
    view.session.proxy_tlvs.iter().rfind(|(k, _)| *k == kind).map(|(_, v)| Value::str(v.as_slice()))
}
