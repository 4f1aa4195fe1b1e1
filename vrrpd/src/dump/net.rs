//! Addresses, routes and rules in the words of the dumps.

use crate::config::model::{Address, Family, NextHop, Route, RouteKind, Rule, RuleAction};
use std::fmt::Write as _;
use std::net::IpAddr;

/// The name of a scope.
pub(crate) fn scope(number: u8) -> String {
    match number {
        0 => "global".into(),
        200 => "site".into(),
        253 => "link".into(),
        254 => "host".into(),
        255 => "nowhere".into(),
        other => other.to_string(),
    }
}

/// An address as configured, and whether it is set.
pub(super) fn address(address: &Address, interface: &str, set: bool) -> String {
    let mut out = address.address.to_string();
    let host = if address.address.is_ipv4() { 32 } else { 128 };
    if address.prefix_len != host && address.peer.is_none() {
        let _ = write!(out, "/{}", address.prefix_len);
    }
    if let Some((peer, length)) = address.peer {
        let _ = write!(out, " peer {peer}/{length}");
    }
    if let Some(broadcast) = address.broadcast {
        let _ = write!(out, " brd {broadcast}");
    }
    let _ = write!(out, " dev {}", address.device.as_deref().unwrap_or(interface));
    let _ = write!(out, " scope {}", scope(address.scope));
    if let Some(label) = &address.label {
        let _ = write!(out, " label {label}");
    }
    // A host address of IPv6 is made deprecated, so that it is nobody's source by chance.
    let unsaid = address.preferred_lft.is_none() && address.address.is_ipv6() && address.prefix_len == 128;
    for (on, word) in [
        (address.home, " home"),
        (address.dad, " -nodad"),
        (address.mngtmpaddr, " mngtmpaddr"),
        (address.noprefixroute, " noprefixroute"),
        (address.autojoin, " autojoin"),
        (address.no_track, " no_track"),
        (address.preferred_lft == Some(0) || unsaid, " deprecated"),
        (set, " set"),
    ] {
        out.push_str(if on { word } else { "" });
    }
    out
}

fn prefix(net: (IpAddr, u8)) -> String {
    let host = if net.0.is_ipv4() { 32 } else { 128 };
    if net.1 == host { net.0.to_string() } else { format!("{}/{}", net.0, net.1) }
}

fn hop(out: &mut String, hop: &NextHop, other: Family) {
    if let Some(via) = hop.via {
        let family = if other == Family::Inet { "inet" } else { "inet6" };
        let _ = write!(out, " via {family} {via}");
    }
    if let Some(device) = &hop.device {
        let _ = write!(out, " dev {device}");
    }
    if hop.weight > 0 {
        let _ = write!(out, " weight {}", u32::from(hop.weight) + 1);
    }
    out.push_str(if hop.onlink { " onlink" } else { "" });
}

/// A route.
pub(super) fn route(route: &Route) -> String {
    let mut out = match route.kind {
        RouteKind::Unicast => String::from("prepend"),
        other => format!("prepend {}", format!("{other:?}").to_lowercase()),
    };
    let _ = write!(out, " {}", route.destination.map_or_else(|| "default".into(), prefix));
    if let Some(from) = route.from {
        let _ = write!(out, " from {}", prefix(from));
    }
    if let [only] = route.hops.as_slice() {
        hop(&mut out, only, route.family);
    }
    for (word, value) in [
        ("table", route.table),
        ("proto", route.protocol.map(u32::from)),
        ("metric", route.metric),
        ("tos", route.tos.map(u32::from)),
    ] {
        if let Some(value) = value {
            let _ = write!(out, " {word} {value}");
        }
    }
    if let Some(number) = route.scope {
        let _ = write!(out, " scope {}", scope(number));
    }
    if let Some(source) = route.source {
        let _ = write!(out, " src {source}");
    }
    if route.hops.len() > 1 {
        for one in &route.hops {
            out.push_str(" nexthop");
            hop(&mut out, one, route.family);
        }
    }
    // Without an interface there is nothing to track.
    if route.no_track || route.hops.iter().all(|h| h.device.is_none()) {
        out.push_str(" no_track");
    }
    out
}

/// A rule.
pub(super) fn rule(rule: &Rule) -> String {
    let mut out = String::from(if rule.invert { "not " } else { "" });
    let _ = write!(out, "from {}", rule.from.map_or_else(|| "all".into(), prefix));
    if let Some(to) = rule.to {
        let _ = write!(out, " to {}", prefix(to));
    }
    if let Some(priority) = rule.priority {
        let _ = write!(out, " priority {priority}");
    }
    if let Some((mark, mask)) = rule.fwmark {
        let _ = write!(out, " fwmark 0x{mark:x}");
        if mask != u32::MAX {
            let _ = write!(out, "/0x{mask:x}");
        }
    }
    let _ = write!(out, " tos 0x{:x}", rule.tos.unwrap_or(0));
    for (word, name) in [("iif", &rule.iif), ("oif", &rule.oif)] {
        if let Some(name) = name {
            let _ = write!(out, " {word} {name}");
        }
    }
    if let Some(protocol) = rule.protocol {
        let _ = write!(out, " protocol {protocol}");
    }
    let _ = match rule.action {
        RuleAction::Table => write!(out, " lookup {}", rule.table.unwrap_or(0)),
        RuleAction::Goto(to) => write!(out, " goto {to}"),
        other => write!(out, " {}", format!("{other:?}").to_lowercase()),
    };
    out
}
