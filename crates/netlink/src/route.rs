//! Routes and policy rules.

use netlink_packet_core::DefaultNla;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteMessage, RouteMetric, RouteNextHop, RouteNextHopFlags,
    RoutePreference, RouteProtocol, RouteRealm, RouteScope, RouteType, RouteVia,
};
use netlink_packet_route::rule::{
    RuleAction as Action, RuleAttribute, RuleFlags, RuleMessage, RulePortRange, RuleUidRange,
};
use std::net::IpAddr;

/// RTAX_LOCK.
const METRIC_LOCK: u16 = 1;
const TABLE_MAIN: u32 = 254;
const SCOPE_UNIVERSE: u8 = 0;
const SCOPE_LINK: u8 = 253;
const SCOPE_HOST: u8 = 254;

/// What a route does with packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the kernel's names")]
pub enum RouteKind {
    #[default]
    Unicast,
    Local,
    Broadcast,
    Multicast,
    Throw,
    Unreachable,
    Prohibit,
    Blackhole,
    Nat,
}

/// One way out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NextHop {
    /// Gateway.
    pub via: Option<IpAddr>,
    /// Interface number; 0: the kernel picks it.
    pub index: u32,
    /// 1 to 256; 0 counts as 1.
    pub weight: u16,
    /// The gateway is on the link though no prefix says so.
    pub onlink: bool,
    /// Destination realm.
    pub realm: Option<u32>,
}

/// One RTAX_* metric.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metric {
    /// RTAX_* number.
    pub kind: u16,
    /// Value.
    pub value: u32,
    /// The kernel may not adapt it.
    pub lock: bool,
}

/// A route to add or remove.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Route {
    /// IPv6 instead of IPv4.
    pub v6: bool,
    /// Kind.
    pub kind: RouteKind,
    /// Destination; `None`: default.
    pub destination: Option<(IpAddr, u8)>,
    /// Only for packets from here.
    pub from: Option<(IpAddr, u8)>,
    /// Preferred source.
    pub source: Option<IpAddr>,
    /// No hop for blackhole and the like; more than one: multipath.
    pub hops: Vec<NextHop>,
    /// Table; `None`: main.
    pub table: Option<u32>,
    /// Priority.
    pub metric: Option<u32>,
    /// Protocol; [`crate::PROTOCOL`] by default.
    pub protocol: Option<u8>,
    /// Scope; `None`: as `ip route` picks it.
    pub scope: Option<u8>,
    /// Type of service.
    pub tos: u8,
    /// Metrics.
    pub metrics: Vec<Metric>,
    /// IPv6 router preference: 0 medium, 1 high, 3 low.
    pub preference: Option<u8>,
}

fn family(v6: bool) -> AddressFamily {
    if v6 { AddressFamily::Inet6 } else { AddressFamily::Inet }
}

impl Route {
    /// As the original: also a route without a gateway is for the universe, unlike that of `ip route`.
    fn default_scope(&self) -> u8 {
        match self.kind {
            _ if self.v6 => SCOPE_UNIVERSE,
            RouteKind::Local | RouteKind::Nat => SCOPE_HOST,
            RouteKind::Broadcast | RouteKind::Multicast => SCOPE_LINK,
            _ => SCOPE_UNIVERSE,
        }
    }

    pub(crate) fn message(&self) -> RouteMessage {
        let mut message = RouteMessage::default();
        let header = &mut message.header;
        header.address_family = family(self.v6);
        header.tos = self.tos;
        header.protocol = RouteProtocol::from(self.protocol.unwrap_or(crate::PROTOCOL));
        header.scope = RouteScope::from(self.scope.unwrap_or_else(|| self.default_scope()));
        header.kind = match self.kind {
            RouteKind::Unicast => RouteType::Unicast,
            RouteKind::Local => RouteType::Local,
            RouteKind::Broadcast => RouteType::Broadcast,
            RouteKind::Multicast => RouteType::Multicast,
            RouteKind::Throw => RouteType::Throw,
            RouteKind::Unreachable => RouteType::Unreachable,
            RouteKind::Prohibit => RouteType::Prohibit,
            RouteKind::Blackhole => RouteType::BlackHole,
            RouteKind::Nat => RouteType::Nat,
        };
        let table = self.table.unwrap_or(TABLE_MAIN);
        header.table = u8::try_from(table).unwrap_or(0);
        header.destination_prefix_length = self.destination.map_or(0, |d| d.1);
        header.source_prefix_length = self.from.map_or(0, |f| f.1);
        if self.hops.len() == 1 && self.hops[0].onlink {
            header.flags |= RouteFlags::Onlink;
        }
        message.attributes = self.attributes(table);
        message
    }

    fn attributes(&self, table: u32) -> Vec<RouteAttribute> {
        let mut list = Vec::new();
        if table > u32::from(u8::MAX) {
            list.push(RouteAttribute::Table(table));
        }
        if let Some((address, _)) = self.destination {
            list.push(RouteAttribute::Destination(RouteAddress::from(address)));
        }
        if let Some((address, _)) = self.from {
            list.push(RouteAttribute::Source(RouteAddress::from(address)));
        }
        if let Some(address) = self.source {
            list.push(RouteAttribute::PrefSource(RouteAddress::from(address)));
        }
        if let Some(metric) = self.metric {
            list.push(RouteAttribute::Priority(metric));
        }
        if let Some(value) = self.preference {
            list.push(RouteAttribute::Preference(RoutePreference::from(value)));
        }
        if !self.metrics.is_empty() {
            let locks = self.metrics.iter().filter(|m| m.lock).fold(0, |all, m| all | 1 << m.kind);
            let mut metrics: Vec<RouteMetric> = Vec::new();
            if locks != 0 {
                metrics.push(metric(METRIC_LOCK, locks));
            }
            metrics.extend(self.metrics.iter().map(|m| metric(m.kind, m.value)));
            list.push(RouteAttribute::Metrics(metrics));
        }
        match self.hops.as_slice() {
            [] => {}
            [hop] => {
                list.extend(gateway(self.v6, hop.via));
                if hop.index != 0 {
                    list.push(RouteAttribute::Oif(hop.index));
                }
                list.extend(hop.realm.map(realm));
            }
            many => list.push(RouteAttribute::MultiPath(many.iter().map(|h| self.hop(h)).collect())),
        }
        list
    }

    fn hop(&self, hop: &NextHop) -> RouteNextHop {
        let mut out = RouteNextHop::default();
        out.hops = u8::try_from(hop.weight.saturating_sub(1)).unwrap_or(u8::MAX);
        out.interface_index = hop.index;
        if hop.onlink {
            out.flags |= RouteNextHopFlags::Onlink;
        }
        out.attributes = gateway(self.v6, hop.via).into_iter().chain(hop.realm.map(realm)).collect();
        out
    }
}

fn metric(kind: u16, value: u32) -> RouteMetric {
    RouteMetric::Other(DefaultNla::new(kind, value.to_ne_bytes().to_vec()))
}

fn realm(realm: u32) -> RouteAttribute {
    RouteAttribute::Realm(RouteRealm { source: (realm >> 16) as u16, destination: realm as u16 })
}

/// A gateway of the other family goes as RTA_VIA.
fn gateway(v6: bool, via: Option<IpAddr>) -> Option<RouteAttribute> {
    match via? {
        IpAddr::V6(address) if !v6 => Some(RouteAttribute::Via(RouteVia::Inet6(address))),
        address => Some(RouteAttribute::Gateway(RouteAddress::from(address))),
    }
}

/// What a rule does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RuleAction {
    /// Look into the table.
    #[default]
    Table,
    /// Drop.
    Blackhole,
    /// Refuse with "unreachable".
    Unreachable,
    /// Refuse with "prohibited".
    Prohibit,
    /// Go on at that priority.
    Goto(u32),
    /// Nothing.
    Nop,
}

/// A policy rule to add or remove.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rule {
    /// IPv6 instead of IPv4.
    pub v6: bool,
    /// Invert the match.
    pub invert: bool,
    /// Action.
    pub action: RuleAction,
    /// Source prefix.
    pub from: Option<(IpAddr, u8)>,
    /// Destination prefix.
    pub to: Option<(IpAddr, u8)>,
    /// Input interface.
    pub iif: Option<String>,
    /// Output interface.
    pub oif: Option<String>,
    /// Priority.
    pub priority: Option<u32>,
    /// Table; `None`: main.
    pub table: Option<u32>,
    /// Firewall mark and mask.
    pub fwmark: Option<(u32, u32)>,
    /// Type of service.
    pub tos: u8,
    /// Ignore routes with prefixes up to this length.
    pub suppress_prefix_len: Option<u32>,
    /// Ignore routes through this interface group.
    pub suppress_ifgroup: Option<u32>,
    /// IP protocol.
    pub ip_proto: Option<u8>,
    /// Source ports.
    pub sport: Option<(u16, u16)>,
    /// Destination ports.
    pub dport: Option<(u16, u16)>,
    /// Users.
    pub uid_range: Option<(u32, u32)>,
    /// Protocol; [`crate::PROTOCOL`] by default.
    pub protocol: Option<u8>,
}

impl Rule {
    pub(crate) fn message(&self) -> RuleMessage {
        let mut message = RuleMessage::default();
        let header = &mut message.header;
        header.family = family(self.v6);
        header.tos = self.tos;
        header.src_len = self.from.map_or(0, |f| f.1);
        header.dst_len = self.to.map_or(0, |t| t.1);
        let table = self.table.unwrap_or(TABLE_MAIN);
        header.table = u8::try_from(table).unwrap_or(0);
        header.action = match self.action {
            RuleAction::Table => Action::ToTable,
            RuleAction::Blackhole => Action::Blackhole,
            RuleAction::Unreachable => Action::Unreachable,
            RuleAction::Prohibit => Action::Prohibit,
            RuleAction::Goto(_) => Action::Goto,
            RuleAction::Nop => Action::Nop,
        };
        if self.invert {
            header.flags |= RuleFlags::Invert;
        }
        let ports = |(start, end): (u16, u16)| RulePortRange { start, end };
        let list = &mut message.attributes;
        if table > u32::from(u8::MAX) {
            list.push(RuleAttribute::Table(table));
        }
        if let RuleAction::Goto(priority) = self.action {
            list.push(RuleAttribute::Goto(priority));
        }
        list.extend(self.from.map(|f| RuleAttribute::Source(f.0)));
        list.extend(self.to.map(|t| RuleAttribute::Destination(t.0)));
        list.extend(self.iif.clone().map(RuleAttribute::Iifname));
        list.extend(self.oif.clone().map(RuleAttribute::Oifname));
        list.extend(self.priority.map(RuleAttribute::Priority));
        list.extend(self.fwmark.map(|m| RuleAttribute::FwMark(m.0)));
        list.extend(self.fwmark.map(|m| RuleAttribute::FwMask(m.1)));
        list.extend(self.suppress_prefix_len.map(RuleAttribute::SuppressPrefixLen));
        list.extend(self.suppress_ifgroup.map(RuleAttribute::SuppressIfGroup));
        list.extend(self.ip_proto.map(|p| RuleAttribute::IpProtocol(i32::from(p).into())));
        list.extend(self.sport.map(|p| RuleAttribute::SourcePortRange(ports(p))));
        list.extend(self.dport.map(|p| RuleAttribute::DestinationPortRange(ports(p))));
        list.extend(self.uid_range.map(|(start, end)| RuleAttribute::UidRange(RuleUidRange { start, end })));
        let protocol = self.protocol.unwrap_or(crate::PROTOCOL);
        list.push(RuleAttribute::Protocol(RouteProtocol::from(protocol)));
        message
    }
}

/// A route that is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GoneRoute {
    /// IPv6 instead of IPv4.
    pub v6: bool,
    /// Destination; `None`: default.
    pub destination: Option<(IpAddr, u8)>,
    /// Table.
    pub table: u32,
    /// Who had made it.
    pub protocol: u8,
}

impl GoneRoute {
    pub(crate) fn from_message(message: &RouteMessage) -> Self {
        let header = &message.header;
        let (mut table, mut address) = (u32::from(header.table), None);
        for attribute in &message.attributes {
            match attribute {
                RouteAttribute::Table(number) => table = *number,
                RouteAttribute::Destination(RouteAddress::Inet(a)) => address = Some(IpAddr::V4(*a)),
                RouteAttribute::Destination(RouteAddress::Inet6(a)) => address = Some(IpAddr::V6(*a)),
                _ => {}
            }
        }
        Self {
            v6: header.address_family == AddressFamily::Inet6,
            destination: address.map(|a| (a, header.destination_prefix_length)),
            table,
            protocol: header.protocol.into(),
        }
    }
}

/// The report of a rule that is gone; the kernel names no priority for the first rule of all.
pub(crate) fn rule_gone(message: &RuleMessage) -> crate::Event {
    let priority = message.attributes.iter().find_map(|a| match a {
        RuleAttribute::Priority(number) => Some(*number),
        _ => None,
    });
    crate::Event::RuleGone(message.header.family == AddressFamily::Inet6, priority.unwrap_or(0))
}
