//! Every line this daemon says in the original's words. One variant, one text.
//!
//! Invariant: [`Message::detail`] lines are said only with `--log-detail`. Absent on purpose: severities (the
//! original logs nearly everything at LOG_INFO, and so do we) and configuration errors (the parser's).

use crate::config::model::Address;
use crate::core::advert::{Fault, Mangled};
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

/// A state, in the words of log lines and notify scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StateName {
    /// Not started, or waiting for the first result of a script.
    Init,
    /// Listening.
    Backup,
    /// Holding the addresses.
    Master,
    /// Unable to serve.
    Fault,
}

impl fmt::Display for StateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Init => "INIT",
            Self::Backup => "BACKUP",
            Self::Master => "MASTER",
            Self::Fault => "FAULT",
        })
    }
}

/// What a line of one instance is about.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the texts below say it")]
pub enum Note {
    EnteringInit(StateName),
    Entering(StateName),
    EnteringFaultInit,
    FaultInterface(String),
    FaultNoAddress(u8),
    FaultScript(String),
    FaultFile(String),
    FaultProcess(String),
    Timeout,
    BackupGotZero,
    MasterGotZero,
    SentZero,
    StartPreemptDelay(Duration),
    StopPreemptDelay,
    Discarding { priority: u8, source: IpAddr },
    IntervalLearned { from: Duration, to: Duration },
    IntervalOwn { from: Duration, to: Duration },
    Higher { source: IpAddr, priority: u8, ours: u8 },
    SameHigherAddress { source: IpAddr, priority: u8 },
    SameAddress,
    TwoOwners,
    Lower { source: IpAddr, priority: u8, ours: u8, election: bool },
    Priority { from: u8, to: u8 },
    PriorityMost,
    PrioritySet(u8),
    FileFault(String),
    FileRecovered(String),
    Addresses { adding: bool, excluded: bool },
    Routes { adding: bool },
    Rules { adding: bool },
    Filter { adding: bool },
    Garp { interface: String, address: IpAddr },
    Bad { fault: Fault, expected: BadExpected },
    Count { expected: usize, got: usize },
    MissingAddress { vrid: u8, address: IpAddr },
    Cast { expected_unicast: bool },
    NotAPeer(IpAddr),
    PeerTtl { got: u8, min: u8, max: u8 },
    OldChecksum,
    SendFailed(String),
    Restored { address: IpAddr, interface: String },
    RestoredRoute(String),
    RestoredRule(String),
    NoLonger { address: IpAddr, len: u8, interface: String },
    Duplicate,
}

/// What the instance expected, for the lines about bad adverts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadExpected {
    /// Version, 2 or 3.
    pub version: u8,
    /// Authentication type.
    pub auth: u8,
    /// Interval in seconds.
    pub interval_s: u8,
    /// Last sequence number seen.
    pub sequence: u32,
}

/// A line.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the texts below say it")]
pub enum Message {
    Instance { name: String, note: Note },
    Group { name: String, state: StateName },
    GroupFault { name: String, member: String },
    LinkState { interface: String, up: bool },
    InterfaceAdded(String),
    InterfaceDeleted(String),
    LateInterface(String),
    Assigned { address: IpAddr, interface: String },
    Deassigned { address: IpAddr, interface: String },
    VipRemoved { address: IpAddr, interface: String },
    ScriptReturns { name: String, status: i32 },
    ScriptState { name: String, up: bool, cause: Option<String> },
    ScriptTimeout { name: String },
    ProcessQuorum { name: String, gained: bool },
    UnknownVrid { vrid: u8, interface: String, source: Option<IpAddr> },
    Mangled(Mangled),
    Sockpool { index: u32, v6: bool, proto: u8, fds: (i32, i32), unicast: bool, address: String },
    StaticRestored(Address, String),
    Claimed { interface: String, address: IpAddr },
    Text(String),
    Detail(String),
}

impl Message {
    /// Said only with `--log-detail`.
    pub fn detail(&self) -> bool {
        match self {
            Self::Instance { note, .. } => matches!(
                note,
                Note::Timeout
                    | Note::SentZero
                    | Note::Addresses { .. }
                    | Note::Routes { .. }
                    | Note::Rules { .. }
                    | Note::Filter { .. }
                    | Note::Garp { .. }
                    | Note::PrioritySet(_)
                    | Note::FileFault(_)
                    | Note::FileRecovered(_)
                    | Note::BackupGotZero
                    | Note::StartPreemptDelay(_)
                    | Note::StopPreemptDelay
                    | Note::IntervalLearned { .. }
                    | Note::IntervalOwn { .. }
            ),
            Self::Assigned { .. } | Self::Deassigned { .. } | Self::Sockpool { .. } | Self::Detail(_) => true,
            Self::Claimed { .. } => true,
            Self::InterfaceAdded(_) | Self::InterfaceDeleted(_) => true,
            _ => false,
        }
    }
}

fn mangled(f: &mut fmt::Formatter<'_>, packet: &Mangled) -> fmt::Result {
    match packet {
        Mangled::Short(n) => write!(f, "IPv4 VRRP packet too short - {n} bytes"),
        Mangled::ShortAh(n) => write!(f, "IPv4 VRRP packet with AH too short - {n} bytes"),
        Mangled::Short6(n) => write!(f, "IPv6 VRRP packet too short - {n} bytes"),
        Mangled::Length(total, got) => {
            write!(f, "ip_tot_len mismatch against received length. {total} and received {got}")
        }
        Mangled::Foreign => f.write_str("IPv4 packet that is not VRRP - ignoring"),
    }
}

fn static_restored(f: &mut fmt::Formatter<'_>, a: &Address, device: &str) -> fmt::Result {
    let (address, len, scope) = (a.address, a.prefix_len, crate::dump::scope(a.scope));
    write!(f, "Restoring deleted static address {address}/{len} dev {device} scope {scope} set")
}

fn millis(d: &Duration) -> u128 {
    d.as_millis()
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let doing = |adding: &bool| if *adding { "setting" } else { "removing" };
        match self {
            Self::EnteringInit(state) => write!(f, "Entering {state} STATE (init)"),
            Self::Entering(state) => write!(f, "Entering {state} STATE"),
            Self::EnteringFaultInit => f.write_str("entering FAULT state"),
            Self::FaultInterface(name) => write!(f, "entering FAULT state (interface {name} down)"),
            Self::FaultNoAddress(v) => write!(f, "entering FAULT state (no IPv{v} address for interface)"),
            Self::FaultScript(name) => write!(f, "entering FAULT state due to script {name}"),
            // What a file in FAULT counts as, whatever stands in it.
            Self::FaultFile(name) => write!(f, "entering FAULT state (tracked file {name} has status -254)"),
            Self::FaultProcess(name) => {
                write!(f, "entering FAULT state (tracked process {name} quorum not achieved)")
            }
            Self::Timeout => f.write_str("Receive advertisement timeout"),
            Self::BackupGotZero => f.write_str("Backup received priority 0 advertisement"),
            Self::MasterGotZero => f.write_str("Master received priority 0 message"),
            Self::SentZero => f.write_str("sent 0 priority"),
            Self::StartPreemptDelay(d) => {
                write!(f, "start preempt delay ({}.{:06})", d.as_secs(), d.subsec_micros())
            }
            Self::StopPreemptDelay => f.write_str("stop preempt delay"),
            Self::Discarding { priority, source } => {
                write!(f, "received lower priority ({priority}) advert from {source} - discarding")
            }
            Self::IntervalLearned { from, to } => {
                write!(f, "advertisement interval updated from {}ms to {}ms by master", millis(from), millis(to))
            }
            Self::IntervalOwn { from, to } => {
                write!(f, "changing advert interval from {}ms to locally configured {}ms", millis(from), millis(to))
            }
            Self::Higher { source, priority, ours } => {
                write!(f, "Master received advert from {source} with higher priority {priority}, ours {ours}")
            }
            Self::SameHigherAddress { source, priority } => write!(
                f,
                "Master received advert from {source} with same priority {priority} but higher IP address than ours"
            ),
            Self::SameAddress => {
                f.write_str("WARNING - equal priority advert received from remote host with our IP address.")
            }
            Self::TwoOwners => f.write_str(
                "CONFIGURATION ERROR: local instance and a remote instance are both configured as address owner, \
                 please fix - reducing local priority",
            ),
            Self::Lower { source, priority, ours, election } => {
                write!(f, "Received advert from {source} with lower priority {priority}, ours {ours}")?;
                f.write_str(if *election { ", forcing new election" } else { "" })
            }
            Self::Priority { from, to } => write!(f, "Changing effective priority from {from} to {to}"),
            Self::PrioritySet(to) => write!(f, "Setting effective priority to {to}"),
            Self::PriorityMost => f.write_str("Setting effective priority to 254"),
            Self::FileFault(name) => write!(f, "tracked file {name} now FAULT state"),
            Self::FileRecovered(name) => write!(f, "tracked file {name} leaving FAULT state"),
            Self::Addresses { adding, excluded } => {
                write!(f, "{} {}VIPs.", doing(adding), if *excluded { "E-" } else { "" })
            }
            Self::Routes { adding } => write!(f, "{} Virtual Routes", doing(adding)),
            Self::Rules { adding } => write!(f, "{} Virtual Rules", doing(adding)),
            Self::Filter { adding } => write!(f, "{} firewall drop rule", doing(adding)),
            Self::Garp { interface, address } => {
                let what = if address.is_ipv4() { "gratuitous ARPs" } else { "Unsolicited Neighbour Adverts" };
                write!(f, "Sending/queueing {what} on {interface} for {address}")
            }
            of_packets => of_packets.packet(f),
        }
    }
}

impl Note {
    /// The notes that a received or sent packet, or a lost address, gives.
    fn packet(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bad { fault, expected } => bad(f, fault, expected),
            Self::Count { expected, got } => {
                write!(f, "received an unexpected ip number count {got}, expected {expected}!")
            }
            Self::MissingAddress { vrid, address } => {
                write!(f, "ip address associated with VRID {vrid} not present in MASTER advert: {address}")
            }
            Self::Cast { expected_unicast } => {
                let (want, got) = if *expected_unicast { ("un", "mult") } else { ("mult", "un") };
                write!(f, "Expected {want}icast packet but received {got}icast packet")
            }
            Self::NotAPeer(source) => write!(f, "unicast source address {source} not a unicast peer"),
            Self::PeerTtl { got, min, max } => write!(f, "TTL/HL {got} not in range {min} - {max}"),
            Self::OldChecksum => f.write_str("Setting unicast VRRPv3 checksum to old version"),
            Self::SendFailed(why) => write!(f, "send advert error ({why})"),
            Self::RestoredRoute(text) => write!(f, "Restoring deleted route {text}, staying MASTER"),
            Self::RestoredRule(text) => write!(f, "Restoring deleted rule {text}, staying MASTER"),
            Self::Restored { address, interface } => {
                write!(f, "Restoring deleted address {address} on {interface}, staying MASTER")
            }
            Self::NoLonger { address, len, interface } => {
                write!(f, "ip address {address}/{len} dev {interface}, no longer exist")
            }
            Self::Duplicate => f.write_str("VRID is in use twice on this interface"),
            // Never empty: a note without words of its own is told as it is.
            other => write!(f, "{other:?}"),
        }
    }
}

fn bad(f: &mut fmt::Formatter<'_>, fault: &Fault, want: &BadExpected) -> fmt::Result {
    match fault {
        Fault::UnexpectedAh => f.write_str("Received AH header but auth type not AH"),
        Fault::MissingAh => f.write_str("No AH header but auth type is AH"),
        Fault::Length(long, got, expect) => {
            write!(
                f,
                "vrrp packet too {}, length {got} and expect {expect}",
                if *long { "long" } else { "short" }
            )
        }
        Fault::Ttl(got) => write!(f, "invalid TTL/HL. Received {got} and expect 255"),
        Fault::Version(got) => write!(f, "wrong version. Received {got} and expect {}", want.version),
        Fault::Kind(got) => write!(f, "Invalid packet type. {got} and expect 1"),
        Fault::AuthType(got @ 0..=2) => write!(f, "received a {got} auth, expecting {}!", want.auth),
        Fault::AuthType(got) => write!(f, "Invalid auth type: {got}"),
        Fault::Password => f.write_str("received an invalid passwd!"),
        Fault::AhValue => {
            f.write_str("IPSEC-AH : invalid IPSEC HMAC-MD5 value. Due to fields mutation or bad password !")
        }
        Fault::Replay(got) => write!(
            f,
            "IPSEC-AH : sequence number {got} already processed. Packet dropped. Local({})",
            want.sequence
        ),
        Fault::Interval(got) => {
            write!(f, "advertisement interval mismatch mine={} sec rcv'd={got} sec", want.interval_s)
        }
        Fault::Checksum => write!(f, "Invalid VRRPv{} checksum", want.version),
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Instance { name, note } => match note {
                // These texts of the original have a colon behind the name.
                Note::FaultInterface(_)
                | Note::FaultScript(_)
                | Note::FaultFile(..)
                | Note::FileFault(_)
                | Note::FileRecovered(_) => write!(f, "({name}): {note}"),
                _ => write!(f, "({name}) {note}"),
            },
            Self::Group { name, state } => write!(f, "VRRP_Group({name}) Syncing instances to {state} state"),
            Self::GroupFault { name, member } => {
                write!(f, "VRRP_Group({name}): Syncing {member} to FAULT state")
            }
            Self::LinkState { interface, up } => {
                write!(f, "Netlink reports {interface} {}", if *up { "up" } else { "down" })
            }
            Self::InterfaceAdded(name) => write!(f, "Interface {name} added"),
            Self::InterfaceDeleted(name) => write!(f, "Interface {name} deleted"),
            Self::LateInterface(name) => write!(
                f,
                "Configuration specifies interface {name} which doesn't currently exist - will use if created"
            ),
            Self::Assigned { address, interface } => {
                write!(f, "Assigned address {address} for interface {interface}")
            }
            Self::Deassigned { address, interface } => {
                write!(f, "Deassigned address {address} from interface {interface}")
            }
            Self::VipRemoved { address, interface } => {
                write!(f, "Netlink reflector reports IP {address} removed from {interface}")
            }
            Self::ScriptReturns { name, status } => write!(f, "Script `{name}` now returning {status}"),
            Self::ScriptState { name, up, cause } => {
                write!(f, "VRRP_Script({name}) {}", if *up { "succeeded" } else { "failed" })?;
                cause.iter().try_for_each(|cause| write!(f, " ({cause})"))
            }
            Self::ScriptTimeout { name } => write!(f, "Script `{name}` now being timed out"),
            Self::ProcessQuorum { name, gained } => {
                write!(f, "Quorum {} for tracked process {name}", if *gained { "gained" } else { "lost" })
            }
            Self::UnknownVrid { vrid, interface, source } => {
                write!(f, "Unknown VRID({vrid}) received on interface({interface})")?;
                source.iter().try_for_each(|source| write!(f, " from {source}"))?;
                f.write_str(". ignoring...")
            }
            Self::Mangled(packet) => mangled(f, packet),
            Self::Sockpool { index, v6, proto, fds, unicast, address } => write!(
                f,
                "VRRP sockpool: [ifindex({index:3}), family(IPv{}), proto({proto}), fd({},{}) {}, address({address})]",
                if *v6 { 6 } else { 4 },
                fds.0,
                fds.1,
                if *unicast { ", unicast" } else { "multicast" },
            ),
            Self::Claimed { interface, address } => {
                let what = if address.is_ipv4() { "gratuitous ARP" } else { "unsolicited Neighbour Advert" };
                write!(f, "Sending {what} on {interface} for {address}")
            }
            Self::StaticRestored(address, device) => static_restored(f, address, device),
            Self::Text(text) | Self::Detail(text) => f.write_str(text),
        }
    }
}
