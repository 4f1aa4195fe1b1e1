//! Addresses, routes and rules of the model.
//!
//! Invariant: numbers are the kernel's; names of interfaces are not resolved. Absent on purpose: how the kernel is
//! asked for them (io/address.rs).

use super::Family;
use std::net::{IpAddr, Ipv4Addr};

/// One address of `virtual_ipaddress`, `virtual_ipaddress_excluded` or `static_ipaddress`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The address.
    pub address: IpAddr,
    /// Prefix length: 32 or 128 when none was given.
    pub prefix_len: u8,
    /// `dev`; `None`: the instance's interface.
    pub device: Option<String>,
    /// `brd`; `None`: no broadcast is added.
    pub broadcast: Option<Ipv4Addr>,
    /// `peer` with its prefix length.
    pub peer: Option<(IpAddr, u8)>,
    /// `scope`: kernel's number (global 0, site 200, link 253, host 254, nowhere 255).
    pub scope: u8,
    /// `label`.
    pub label: Option<String>,
    /// `home`.
    pub home: bool,
    /// `-nodad` was given (IPv6 does duplicate detection then).
    pub dad: bool,
    /// `mngtmpaddr`.
    pub mngtmpaddr: bool,
    /// `noprefixroute`.
    pub noprefixroute: bool,
    /// `autojoin`.
    pub autojoin: bool,
    /// `preferred_lft`/`deprecated`: seconds, `u32::MAX` for ever; `None`: not given, which is 0 (deprecated) for an
    /// IPv6 address with prefix length 128 and for ever otherwise.
    pub preferred_lft: Option<u32>,
    /// `use_vmac`.
    pub use_vmac: bool,
    /// `no_track`.
    pub no_track: bool,
    /// `track_group` (static addresses).
    pub track_group: Option<String>,
}

impl Address {
    /// An address without options.
    pub fn new(address: IpAddr, prefix_len: u8) -> Self {
        Self {
            address,
            prefix_len,
            device: None,
            broadcast: None,
            peer: None,
            scope: 0,
            label: None,
            home: false,
            dad: false,
            mngtmpaddr: false,
            noprefixroute: false,
            autojoin: false,
            preferred_lft: None,
            use_vmac: false,
            no_track: false,
            track_group: None,
        }
    }
}

/// What happens to packets of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RouteKind {
    /// `unicast`.
    #[default]
    Unicast,
    /// `local`.
    Local,
    /// `broadcast`.
    Broadcast,
    /// `multicast`.
    Multicast,
    /// `throw`.
    Throw,
    /// `unreachable`.
    Unreachable,
    /// `prohibit`.
    Prohibit,
    /// `blackhole`.
    Blackhole,
    /// `nat`.
    Nat,
}

/// One hop of a route.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NextHop {
    /// `via`.
    pub via: Option<IpAddr>,
    /// `dev`.
    pub device: Option<String>,
    /// `weight`, 1 to 256.
    pub weight: u16,
    /// `onlink`.
    pub onlink: bool,
    /// `realm`.
    pub realm: Option<u32>,
}

/// One line of `virtual_routes` or `static_routes`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Route {
    /// The line as written, for dumps and messages.
    pub text: String,
    /// Family.
    pub family: Family,
    /// Kind.
    pub kind: RouteKind,
    /// Destination; `None`: default.
    pub destination: Option<(IpAddr, u8)>,
    /// `from`.
    pub from: Option<(IpAddr, u8)>,
    /// `src`: preferred source.
    pub source: Option<IpAddr>,
    /// `via`, `dev`, `onlink` of the route itself, or one per `nexthop`.
    pub hops: Vec<NextHop>,
    /// `table`; `None`: main.
    pub table: Option<u32>,
    /// `metric`/`preference`/`priority`.
    pub metric: Option<u32>,
    /// `protocol`, 18 (keepalived) by default.
    pub protocol: Option<u8>,
    /// `scope`; `None`: as `ip route` picks it.
    pub scope: Option<u8>,
    /// `tos`/`dsfield`.
    pub tos: Option<u8>,
    /// `mtu`, `advmss`, … as kernel metric number (RTAX_*), value, and whether `lock` was said.
    pub metrics: Vec<(u16, u32, bool)>,
    /// `pref low|medium|high` (IPv6).
    pub preference: Option<u8>,
    /// `no_track`.
    pub no_track: bool,
    /// `track_group` (static routes).
    pub track_group: Option<String>,
    /// Words that are understood but not carried out; each gets a notice from the parser.
    pub ignored: Vec<String>,
}

/// What a rule does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RuleAction {
    /// `table`/`lookup`.
    #[default]
    Table,
    /// `blackhole`.
    Blackhole,
    /// `unreachable`.
    Unreachable,
    /// `prohibit`.
    Prohibit,
    /// `goto N`.
    Goto(u32),
    /// `nop`.
    Nop,
}

/// One line of `virtual_rules` or `static_rules`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rule {
    /// The line as written, for dumps and messages.
    pub text: String,
    /// Family.
    pub family: Family,
    /// `not`.
    pub invert: bool,
    /// Action.
    pub action: RuleAction,
    /// `from`.
    pub from: Option<(IpAddr, u8)>,
    /// `to`.
    pub to: Option<(IpAddr, u8)>,
    /// `iif`.
    pub iif: Option<String>,
    /// `oif`.
    pub oif: Option<String>,
    /// `priority`/`preference`.
    pub priority: Option<u32>,
    /// `table`.
    pub table: Option<u32>,
    /// `fwmark MARK[/MASK]`.
    pub fwmark: Option<(u32, u32)>,
    /// `tos`.
    pub tos: Option<u8>,
    /// `suppress_prefixlength`.
    pub suppress_prefix_len: Option<u32>,
    /// `suppress_ifgroup`.
    pub suppress_ifgroup: Option<u32>,
    /// `ipproto`.
    pub ip_proto: Option<u8>,
    /// `sport`.
    pub sport: Option<(u16, u16)>,
    /// `dport`.
    pub dport: Option<(u16, u16)>,
    /// `uidrange`.
    pub uid_range: Option<(u32, u32)>,
    /// `protocol`, 18 by default.
    pub protocol: Option<u8>,
    /// `no_track`.
    pub no_track: bool,
    /// `track_group` (static rules).
    pub track_group: Option<String>,
    /// Words that are understood but not carried out; each gets a notice from the parser.
    pub ignored: Vec<String>,
}
