//! One line of `virtual_routes`, `static_routes`, `virtual_rules` or `static_rules`.
//!
//! Invariant: a line that can't be used gives nothing and has its complaint; words that are understood but not
//! carried out are listed in the result. Absent on purpose: names of tables beyond the kernel's own three.

use super::address::network;
use super::group::STATIC_TRACK_GROUP;
use super::model::{Family, NextHop, Route, RouteKind, Rule, RuleAction};
use super::{Builder, scope_number};
use conf_parsers::keepalived::walk::{Line, Stop};
use std::net::IpAddr;

/// `RTPROT_KEEPALIVED`.
const PROTOCOL_KEEPALIVED: u8 = 18;
/// Where rules without a preference start, counting down.
const FIRST_PREFERENCE: u32 = 16_384;

const KINDS: [(&str, RouteKind); 9] = [
    ("unicast", RouteKind::Unicast),
    ("local", RouteKind::Local),
    ("broadcast", RouteKind::Broadcast),
    ("multicast", RouteKind::Multicast),
    ("throw", RouteKind::Throw),
    ("unreachable", RouteKind::Unreachable),
    ("prohibit", RouteKind::Prohibit),
    ("blackhole", RouteKind::Blackhole),
    ("nat", RouteKind::Nat),
];

/// Metrics of a route with their kernel numbers (RTAX_*).
const METRICS: [(&str, u16); 14] = [
    ("mtu", 2),
    ("window", 3),
    ("rtt", 4),
    ("rttvar", 5),
    ("ssthresh", 6),
    ("cwnd", 7),
    ("advmss", 8),
    ("reordering", 9),
    ("hoplimit", 10),
    ("initcwnd", 11),
    ("rto_min", 13),
    ("initrwnd", 14),
    ("quickack", 15),
    ("fastopen_no_cookie", 17),
];

/// Words of a rule that take a value.
const RULE_WORDS: [&str; 26] = [
    "from",
    "to",
    "table",
    "lookup",
    "priority",
    "preference",
    "pref",
    "order",
    "fwmark",
    "iif",
    "dev",
    "oif",
    "tos",
    "dsfield",
    "suppress_prefixlength",
    "sup_pl",
    "suppress_ifgroup",
    "sup_group",
    "realms",
    "goto",
    "uidrange",
    "ipproto",
    "sport",
    "dport",
    "tunnel-id",
    "protocol",
];

/// Words of a route that take one value and are not carried out.
const UNUSED_WITH_VALUE: [&str; 6] = ["realms", "realm", "features", "congctl", "expires", "ttl-propagate"];

fn table(word: &str) -> Option<u32> {
    match word {
        "local" => Some(255),
        "main" => Some(254),
        "default" => Some(253),
        _ => word.parse().ok().or_else(|| named_number("/etc/iproute2/rt_tables", word)),
    }
}

fn protocol(word: &str) -> Option<u8> {
    match word {
        "kernel" => Some(2),
        "boot" => Some(3),
        "static" => Some(4),
        "keepalived" => Some(PROTOCOL_KEEPALIVED),
        _ => word.parse().ok().or_else(|| named_number("/etc/iproute2/rt_protos", word).map(|n| n as u8)),
    }
}

/// A number by its name in a table of iproute2.
fn named_number(file: &str, name: &str) -> Option<u32> {
    let text = std::fs::read_to_string(file).ok()?;
    text.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        let number = words.next()?;
        (words.next()? == name).then(|| number.parse().ok()).flatten()
    })
}

fn prefixed(word: &str, family: Option<Family>) -> Option<(IpAddr, u8)> {
    if matches!(word, "default" | "any" | "all") {
        let any: IpAddr =
            if family == Some(Family::Inet6) { "::".parse().ok()? } else { "0.0.0.0".parse().ok()? };
        return Some((any, 0));
    }
    let (address, len) = network(word)?;
    let max = if address.is_ipv4() { 32 } else { 128 };
    let len = len.map_or(Some(max), |l| l.parse().ok().filter(|n| *n <= max))?;
    Some((address, len))
}

fn family_of(address: IpAddr) -> Family {
    if address.is_ipv4() { Family::Inet } else { Family::Inet6 }
}

fn text(line: &Line<'_>) -> String {
    line.words.iter().map(|w| w.text.as_str()).collect::<Vec<_>>().join(" ")
}

/// Reads a route; `is_static` knows `track_group`.
pub(super) fn route(b: &mut Builder, line: &mut Line<'_>, is_static: bool) -> Result<Option<Route>, Stop> {
    let mut route = Route { text: text(line), protocol: Some(PROTOCOL_KEEPALIVED), ..Route::default() };
    let mut family = None;
    let mut hop = NextHop::default();
    let mut hops = Vec::new();
    let mut has_destination = false;
    let mut i = 0;
    while let Some(word) = line.get(i) {
        i += 1;
        if let Some((_, kind)) = KINDS.iter().find(|(name, _)| *name == word && !has_destination) {
            route.kind = *kind;
            continue;
        }
        if let Some((_, number)) = METRICS.iter().find(|(name, _)| *name == word) {
            metric(line, &mut i, &mut route, word, *number)?;
            continue;
        }
        match word {
            "inet" => family = Some(Family::Inet),
            "inet6" => family = Some(Family::Inet6),
            "via" | "gw" => {
                let Some(address) = gateway(line, &mut i, word)? else { return Ok(None) };
                family = family.or(Some(family_of(address)));
                hop.via = Some(address);
            }
            "dev" | "oif" => {
                let name = line.need(i)?;
                i += 1;
                check_device(b, line, name, "route");
                hop.device = Some(name.to_owned());
            }
            "from" | "src" | "table" | "metric" | "preference" | "priority" | "protocol" | "scope"
            | "tos" | "dsfield" | "pref" | "weight" | "track_group" => {
                let value = line.need(i)?;
                i += 1;
                if !route_value(b, line, &mut route, &mut hop, word, value, is_static) {
                    return Ok(None);
                }
            }
            _ if plain(line, &mut i, &mut route, &mut hop, &mut hops, word)? => {}
            _ => {
                let destination = if word == "to" {
                    i += 1;
                    line.need(i - 1)?
                } else {
                    word
                };
                if has_destination && word != "to" {
                    line.say(format!("VRRP parsed invalid IP {word}. skipping IP..."));
                    line.say(format!("unknown route keyword {word}"));
                    continue;
                }
                if !take_destination(line, &mut route, &mut family, destination) {
                    return Ok(None);
                }
                has_destination = true;
            }
        }
    }
    hops.extend((hop != NextHop::default() || hops.is_empty() && hop.device.is_some()).then_some(hop));
    route.hops = hops;
    route.family = family.unwrap_or_default();
    if !has_destination {
        line.say("No destination specified for route");
        return Ok(None);
    }
    finish_route(line, &mut route, is_static);
    Ok(Some(route))
}

/// Takes in a word that needs nothing but the route under way; false when it is another kind of word.
fn plain(
    line: &mut Line<'_>,
    at: &mut usize,
    route: &mut Route,
    hop: &mut NextHop,
    hops: &mut Vec<NextHop>,
    word: &str,
) -> Result<bool, Stop> {
    match word {
        "onlink" => hop.onlink = true,
        "append" | "prepend" | "replace" => route.ignored.push(word.to_owned()),
        "no_track" => route.no_track = true,
        "encap" => {
            route.ignored.push(word.to_owned());
            *at += 2;
        }
        "or" => {
            line.say("\"or\" for routes is deprecated. Please use \"nexthop\"");
            let gateway = line.need(*at)?.parse().ok();
            *at += 1;
            hops.push(std::mem::replace(hop, NextHop { via: gateway, ..NextHop::default() }));
        }
        "nexthop" => {
            hops.extend((*hop != NextHop::default()).then(|| std::mem::take(hop)));
        }
        _ if UNUSED_WITH_VALUE.contains(&word) => {
            let value = line.need(*at)?;
            *at += 1;
            route.ignored.push(format!("{word} {value}"));
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn check_device(b: &mut Builder, line: &mut Line<'_>, name: &str, what: &str) {
    if !b.interface_exists(name) {
        line.say(format!("WARNING - interface {name} for {what} doesn't exist"));
        b.missing_interface = true;
    }
}

/// Takes the destination in; false drops the route after a complaint.
fn take_destination(line: &mut Line<'_>, route: &mut Route, family: &mut Option<Family>, word: &str) -> bool {
    if word == "default6" {
        line.say("'default6' is deprecated - please replace with 'inet6 default'");
        *family = Some(Family::Inet6);
        return true;
    }
    let Some((address, len)) = prefixed(word, *family) else {
        line.say(format!("VRRP parsed invalid IP {word}. skipping IP..."));
        line.say(format!("unknown route keyword {word}"));
        return false;
    };
    if word != "default" {
        *family = family.or(Some(family_of(address)));
        route.destination = Some((address, len));
    }
    true
}

/// Reads `[lock] NUMBER` behind a metric's name.
fn metric(
    line: &mut Line<'_>,
    at: &mut usize,
    route: &mut Route,
    word: &str,
    number: u16,
) -> Result<(), Stop> {
    let mut value = "1";
    let mut lock = false;
    if word != "fastopen_no_cookie" || line.get(*at).is_some_and(|w| w.parse::<u32>().is_ok()) {
        value = line.need(*at)?;
        *at += 1;
        if value == "lock" {
            lock = true;
            value = line.need(*at)?;
            *at += 1;
        }
    }
    match value.trim_end_matches(|c: char| c.is_ascii_alphabetic()).parse() {
        Ok(value) => route.metrics.push((number, value, lock)),
        Err(_) => line.say(format!("Invalid {word} {value} specified for route")),
    }
    Ok(())
}

/// Reads `[inet|inet6] ADDRESS` behind `via`; `None` after a complaint.
fn gateway(line: &mut Line<'_>, at: &mut usize, word: &str) -> Result<Option<IpAddr>, Stop> {
    if word == "gw" {
        line.say("\"gw\" for routes is deprecated. Please use \"via\"");
    }
    let mut gateway = line.need(*at)?;
    *at += 1;
    if matches!(gateway, "inet" | "inet6") {
        gateway = line.need(*at)?;
        *at += 1;
    }
    let address = gateway.parse().ok();
    if address.is_none() {
        line.say(format!("invalid gateway address {gateway} for route"));
    }
    Ok(address)
}

fn route_value(
    b: &Builder,
    line: &mut Line<'_>,
    route: &mut Route,
    hop: &mut NextHop,
    word: &str,
    value: &str,
    is_static: bool,
) -> bool {
    match word {
        "from" | "src" => match value.parse::<IpAddr>() {
            Ok(address) => route.source = Some(address),
            Err(_) => {
                line.say(format!("invalid source address {value} for route"));
                return false;
            }
        },
        "table" => match table(value) {
            Some(number) => route.table = Some(number),
            None => {
                line.say(format!("Routing table {value} not found for route"));
                return false;
            }
        },
        "protocol" => match protocol(value) {
            Some(number) => route.protocol = Some(number),
            None => {
                line.say(format!("Protocol {value} not found or invalid for route"));
                return false;
            }
        },
        "scope" => match scope_number(value) {
            Some(scope) => route.scope = Some(scope),
            None => {
                line.say(format!("Scope {value} not found or invalid for route"));
                return false;
            }
        },
        "tos" | "dsfield" => {
            let digits = value.strip_prefix("0x");
            route.tos = digits.map_or_else(|| value.parse().ok(), |d| u8::from_str_radix(d, 16).ok());
            if route.tos.is_none() {
                line.say(format!("TOS value {value} is invalid"));
            }
        }
        "pref" => {
            route.preference =
                ["medium", "high", "", "low"].iter().position(|p| *p == value).map(|p| p as u8);
        }
        "weight" => hop.weight = value.parse().unwrap_or(1),
        "track_group" if is_static => {
            if b.config.track_groups.iter().any(|g| g.name == value) {
                line.inert(STATIC_TRACK_GROUP);
                route.track_group = Some(value.to_owned());
            } else {
                line.say(format!("track_group {value} not found"));
            }
        }
        _ => match value.parse() {
            Ok(metric) => route.metric = Some(metric),
            Err(_) => line.say(format!("Invalid {word} {value} specified for route")),
        },
    }
    true
}

fn finish_route(line: &mut Line<'_>, route: &mut Route, is_static: bool) {
    if route.protocol != Some(PROTOCOL_KEEPALIVED)
        && (!is_static || route.track_group.is_some())
        && !route.no_track
    {
        line.say(format!(
            "Route cannot be tracked if protocol is not RTPROT_KEEPALIVED({PROTOCOL_KEEPALIVED}), resetting protocol"
        ));
        route.protocol = Some(PROTOCOL_KEEPALIVED);
    }
    let one_device = matches!(&route.hops[..], [hop] if hop.device.is_some());
    if !one_device && !route.no_track {
        if is_static && route.track_group.is_some() {
            line.say("Static route cannot have track_group if interface not specified");
            route.track_group = None;
        } else {
            let destination = match route.destination {
                Some((address, len)) => format!("{address}/{len}"),
                None => "default".to_owned(),
            };
            line.say(format!(
                "Warning - cannot track route {destination} with no interface specified, not tracking"
            ));
            route.no_track = true;
        }
    }
    for word in &route.ignored {
        line.inert(format!("'{word}' of a route has no effect here: it is not passed to the kernel"));
    }
}

/// Reads a rule; `is_static` knows `track_group`.
pub(super) fn rule(b: &mut Builder, line: &mut Line<'_>, is_static: bool) -> Result<Option<Rule>, Stop> {
    let mut rule = Rule { text: text(line), protocol: Some(PROTOCOL_KEEPALIVED), ..Rule::default() };
    let mut family = None;
    let mut i = 0;
    while let Some(word) = line.get(i) {
        i += 1;
        match word {
            "inet" => family = Some(Family::Inet),
            "inet6" => family = Some(Family::Inet6),
            "not" => rule.invert = true,
            "blackhole" => rule.action = RuleAction::Blackhole,
            "unreachable" => rule.action = RuleAction::Unreachable,
            "prohibit" => rule.action = RuleAction::Prohibit,
            "nop" => rule.action = RuleAction::Nop,
            "no_track" => rule.no_track = true,
            "track_group" if is_static => {
                let name = line.need(i)?;
                i += 1;
                rule_value(b, line, &mut rule, &mut family, word, name, is_static);
            }
            "l3mdev" => rule.ignored.push(word.to_owned()),
            _ if !RULE_WORDS.contains(&word) => line.say(format!("unknown rule keyword {word}")),
            _ => {
                let value = line.need(i)?;
                i += 1;
                if !rule_value(b, line, &mut rule, &mut family, word, value, is_static) {
                    return Ok(None);
                }
            }
        }
    }
    rule.family = family.unwrap_or_default();
    if rule.priority.is_none() {
        let preference = FIRST_PREFERENCE - b.rules_without_preference;
        b.rules_without_preference = (b.rules_without_preference + 1).min(FIRST_PREFERENCE - 1);
        line.say(format!(
            "Rule has no preference specified - setting to {preference}. This is probably not what you want."
        ));
        rule.priority = Some(preference);
    }
    for word in &rule.ignored {
        line.inert(format!("'{word}' of a rule has no effect here: it is not passed to the kernel"));
    }
    Ok(Some(rule))
}

fn span_of<T: std::str::FromStr + Copy>(value: &str) -> Option<(T, T)> {
    let (low, high) = value.split_once('-').unwrap_or((value, value));
    Some((low.parse().ok()?, high.parse().ok()?))
}

fn number(value: &str) -> Option<u32> {
    value.strip_prefix("0x").map_or_else(|| value.parse().ok(), |d| u32::from_str_radix(d, 16).ok())
}

fn rule_value(
    b: &mut Builder,
    line: &mut Line<'_>,
    rule: &mut Rule,
    family: &mut Option<Family>,
    word: &str,
    value: &str,
    is_static: bool,
) -> bool {
    match word {
        "from" | "to" => match prefixed(value, *family) {
            Some((address, len)) => {
                *family = family.or(Some(family_of(address)));
                let slot = if word == "from" { &mut rule.from } else { &mut rule.to };
                *slot = Some((address, len));
            }
            None => {
                line.say(format!("VRRP parsed invalid IP {value}. skipping IP..."));
                line.say(format!("Invalid rule {word} address {value}"));
                return false;
            }
        },
        "table" | "lookup" => match table(value) {
            Some(number) => rule.table = Some(number),
            None => {
                line.say(format!("Routing table {value} not found for rule"));
                return false;
            }
        },
        "iif" | "dev" | "oif" => {
            check_device(b, line, value, "rule");
            let slot = if word == "oif" { &mut rule.oif } else { &mut rule.iif };
            *slot = Some(value.to_owned());
        }
        "realms" | "tunnel-id" => rule.ignored.push(format!("{word} {value}")),
        "track_group" if is_static => {
            if b.config.track_groups.iter().any(|g| g.name == value) {
                line.inert(STATIC_TRACK_GROUP);
                rule.track_group = Some(value.to_owned());
            } else {
                line.say(format!("track_group {value} not found"));
            }
        }
        _ => {
            let ok = rule_number(rule, word, value);
            if !ok {
                line.say(format!("Invalid rule {word} {value}"));
            }
            return ok;
        }
    }
    true
}

/// Takes in an option whose value is a number or a range of them; false when it is none.
fn rule_number(rule: &mut Rule, word: &str, value: &str) -> bool {
    let mut ok = true;
    match word {
        "priority" | "preference" | "pref" | "order" => {
            rule.priority = number(value);
            ok = rule.priority.is_some();
        }
        "fwmark" => {
            let (mark, mask) = value.split_once('/').unwrap_or((value, "0xffffffff"));
            rule.fwmark = number(mark).zip(number(mask));
            ok = rule.fwmark.is_some();
        }
        "tos" | "dsfield" => {
            rule.tos = number(value).and_then(|n| u8::try_from(n).ok());
            ok = rule.tos.is_some();
        }
        "suppress_prefixlength" | "sup_pl" => {
            rule.suppress_prefix_len = number(value);
            ok = rule.suppress_prefix_len.is_some();
        }
        "suppress_ifgroup" | "sup_group" => {
            rule.suppress_ifgroup = number(value);
            ok = rule.suppress_ifgroup.is_some();
        }
        "goto" => match number(value) {
            Some(target) => rule.action = RuleAction::Goto(target),
            None => ok = false,
        },
        "ipproto" => {
            rule.ip_proto = match value {
                "tcp" => Some(6),
                "udp" => Some(17),
                "icmp" => Some(1),
                _ => value.parse().ok(),
            };
            ok = rule.ip_proto.is_some();
        }
        "sport" => {
            rule.sport = span_of(value);
            ok = rule.sport.is_some();
        }
        "dport" => {
            rule.dport = span_of(value);
            ok = rule.dport.is_some();
        }
        "uidrange" => {
            rule.uid_range = span_of(value);
            ok = rule.uid_range.is_some();
        }
        "protocol" => {
            rule.protocol = protocol(value);
            ok = rule.protocol.is_some();
        }
        _ => {}
    }
    ok
}
