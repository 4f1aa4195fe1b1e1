//! From the model's addresses, routes and rules to what the kernel is asked for.
//!
//! Invariant: no broadcast, label or flag that the configuration does not have. Absent on purpose: the asking.

use crate::config::model::{Address, Instance, NextHop, Route, RouteKind, Rule, RuleAction};
use netlink::addr::{AUTOJOIN, HOME, MNGTMPADDR, NODAD, NOPREFIXROUTE};

/// Finds an interface's number by its name.
pub type Index<'a> = &'a dyn Fn(&str) -> Option<u32>;

/// An address on its interface; `None` when that does not exist.
pub fn address(instance: &Instance, address: &Address, index: Index<'_>) -> Option<netlink::Address> {
    let device = instance.place(address);
    let (peer, prefix_len) = match address.peer {
        Some((peer, length)) => (Some(peer), length),
        None => (None, address.prefix_len),
    };
    let mut out = netlink::Address::new(index(device)?, address.address, prefix_len);
    out.peer = peer;
    out.broadcast = address.broadcast;
    out.scope = if address.address.is_ipv4() { address.scope } else { 0 };
    out.label.clone_from(&address.label);
    let v6 = address.address.is_ipv6();
    for (on, flag) in [
        (v6 && !address.dad, NODAD),
        (v6 && address.home, HOME),
        (v6 && address.mngtmpaddr, MNGTMPADDR),
        (address.noprefixroute, NOPREFIXROUTE),
        (address.autojoin, AUTOJOIN),
    ] {
        out.flags |= if on { flag } else { 0 };
    }
    out.preferred_s = match address.preferred_lft {
        // A host address must not be picked as source of the host's own connections.
        None if v6 && address.prefix_len == 128 => Some(0),
        Some(u32::MAX) | None => None,
        some => some,
    };
    Some(out)
}

fn hop(hop: &NextHop, index: Index<'_>) -> netlink::NextHop {
    netlink::NextHop {
        via: hop.via,
        index: hop.device.as_deref().and_then(index).unwrap_or(0),
        weight: hop.weight,
        onlink: hop.onlink,
        realm: hop.realm,
    }
}

/// A route for the kernel.
pub fn route(route: &Route, index: Index<'_>) -> netlink::Route {
    netlink::Route {
        v6: route.family == crate::config::model::Family::Inet6,
        kind: match route.kind {
            RouteKind::Unicast => netlink::RouteKind::Unicast,
            RouteKind::Local => netlink::RouteKind::Local,
            RouteKind::Broadcast => netlink::RouteKind::Broadcast,
            RouteKind::Multicast => netlink::RouteKind::Multicast,
            RouteKind::Throw => netlink::RouteKind::Throw,
            RouteKind::Unreachable => netlink::RouteKind::Unreachable,
            RouteKind::Prohibit => netlink::RouteKind::Prohibit,
            RouteKind::Blackhole => netlink::RouteKind::Blackhole,
            RouteKind::Nat => netlink::RouteKind::Nat,
        },
        destination: route.destination,
        from: route.from,
        source: route.source,
        hops: route.hops.iter().map(|h| hop(h, index)).collect(),
        table: route.table,
        metric: route.metric,
        protocol: route.protocol,
        scope: route.scope,
        tos: route.tos.unwrap_or(0),
        metrics: route.metrics.iter().map(|m| netlink::Metric { kind: m.0, value: m.1, lock: m.2 }).collect(),
        preference: route.preference,
    }
}

/// A rule for the kernel.
pub fn rule(rule: &Rule) -> netlink::Rule {
    netlink::Rule {
        v6: rule.family == crate::config::model::Family::Inet6,
        invert: rule.invert,
        action: match rule.action {
            RuleAction::Table => netlink::RuleAction::Table,
            RuleAction::Blackhole => netlink::RuleAction::Blackhole,
            RuleAction::Unreachable => netlink::RuleAction::Unreachable,
            RuleAction::Prohibit => netlink::RuleAction::Prohibit,
            RuleAction::Goto(to) => netlink::RuleAction::Goto(to),
            RuleAction::Nop => netlink::RuleAction::Nop,
        },
        from: rule.from,
        to: rule.to,
        iif: rule.iif.clone(),
        oif: rule.oif.clone(),
        priority: rule.priority,
        table: rule.table,
        fwmark: rule.fwmark,
        tos: rule.tos.unwrap_or(0),
        suppress_prefix_len: rule.suppress_prefix_len,
        suppress_ifgroup: rule.suppress_ifgroup,
        ip_proto: rule.ip_proto,
        sport: rule.sport,
        dport: rule.dport,
        uid_range: rule.uid_range,
        protocol: rule.protocol,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_gets_what_it_says_and_no_more() {
        let instance = Instance { interface: "eth0".into(), ..Instance::default() };
        let index = |name: &str| (name == "eth0").then_some(2);
        let plain = Address::new("192.168.56.200".parse().unwrap(), 32);
        let made = super::address(&instance, &plain, &index).unwrap();
        assert_eq!(made, netlink::Address::new(2, plain.address, 32));
        let mut six = Address::new("fe80::c8".parse().unwrap(), 128);
        let made = super::address(&instance, &six, &index).unwrap();
        assert_eq!((made.flags, made.preferred_s), (NODAD, Some(0)));
        six.preferred_lft = Some(u32::MAX);
        six.dad = true;
        let made = super::address(&instance, &six, &index).unwrap();
        assert_eq!((made.flags, made.preferred_s), (0, None));
        six.device = Some("eth9".into());
        assert!(super::address(&instance, &six, &index).is_none());
    }
}
