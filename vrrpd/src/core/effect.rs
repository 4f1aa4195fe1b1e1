//! What goes into the core and what comes out of it.
//!
//! Invariant: an effect carries all that its execution needs, so that a queue of them survives a reload. Absent on
//! purpose: behaviour; these are values.

use super::advert::Raw;
use crate::config::model::{Address, Family, Instance, Route, Rule, SyncGroup};
use crate::messages::Message;
use std::net::IpAddr;
use std::sync::Arc;

/// A link as the core sees it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Link {
    /// The kernel's number.
    pub index: u32,
    /// Name.
    pub name: String,
    /// Up with carrier.
    pub up: bool,
}

/// What the kernel says of a route that is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GoneRoute {
    /// Its family.
    pub family: Family,
    /// Where it led; `None`: everywhere.
    pub destination: Option<(IpAddr, u8)>,
    /// The number of its table.
    pub table: u32,
    /// Who had made it.
    pub protocol: u8,
}

/// What happens to the core.
#[derive(Debug, Clone)]
pub enum Input {
    /// A link is there, new or changed.
    Link(Link),
    /// A link is gone.
    LinkGone(u32),
    /// An address is usable (not tentative).
    Address(u32, IpAddr),
    /// An address is gone.
    AddressGone(u32, IpAddr),
    /// The facts above are complete: begin.
    Start,
    /// A packet for protocol 112 or 51.
    Packet(Raw),
    /// The deadline has come.
    Timeout,
    /// A script's judgement: up or down.
    Script(String, bool),
    /// A tracked file's value.
    File(String, i64),
    /// Whether a tracked process has its quorum.
    Process(String, bool),
    /// A route is gone.
    RouteGone(GoneRoute),
    /// A policy rule of a family is gone, and its place among the rules.
    RuleGone(Family, u32),
    /// The end: resign everywhere.
    Stop,
}

/// Whom a notice is about.
#[derive(Debug, Clone)]
pub enum Subject {
    /// An instance.
    Instance(Arc<Instance>),
    /// A sync group.
    Group(Arc<SyncGroup>),
}

/// What a notice says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the words of the notify interface")]
pub enum NoticeState {
    Master,
    Backup,
    Fault,
    Stop,
    Deleted,
    MasterRxLowerPri,
    MasterPriority,
    BackupPriority,
}

/// Which socket a packet leaves by or comes in by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketKey {
    /// Interface number; 0: any.
    pub ifindex: u32,
    /// Family.
    pub family: Family,
    /// Protocol 51 instead of 112.
    pub ah: bool,
    /// The multicast group; `None`: unicast.
    pub group: Option<IpAddr>,
    /// The unicast source when it is configured.
    pub source: Option<IpAddr>,
    /// Receive buffer in octets, when configured.
    pub rcvbuf: Option<u32>,
}

/// A packet to send.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// By which socket.
    pub socket: SocketKey,
    /// From (IPv6 needs it; IPv4 has it in the packet).
    pub source: IpAddr,
    /// To.
    pub destination: IpAddr,
    /// Hop limit.
    pub ttl: u8,
    /// IPv4: the whole packet; IPv6: the payload.
    pub bytes: Vec<u8>,
    /// The instance, for messages.
    pub instance: Arc<Instance>,
}

/// What the core wants done.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the fields repeat their types")]
pub enum Effect {
    /// Send this now.
    Send(Outgoing),
    /// Add or remove addresses.
    Addresses { instance: Arc<Instance>, adding: bool, list: Vec<Address> },
    /// Add or remove routes.
    Routes { instance: Arc<Instance>, adding: bool, list: Vec<Route> },
    /// Add or remove rules.
    Rules { instance: Arc<Instance>, adding: bool, list: Vec<Rule> },
    /// Claim addresses, each that often.
    Announce { instance: Arc<Instance>, list: Vec<Address>, count: u32 },
    /// Tell scripts, pipes and mailboxes.
    Notify { subject: Subject, state: NoticeState, priority: u8 },
    /// Tell pipes, and nobody else, how things are.
    Remind { subject: Subject, state: NoticeState, priority: u8 },
    /// Write a line.
    Say(Message),
    /// The set of sockets has changed.
    Sockets,
    /// Links that were made for instances and that nobody wants any more may go.
    Retire,
    /// Something worth telling other daemons has changed about this.
    Publish(Subject),
    /// Everything may have changed, or be gone.
    PublishAll,
}

impl Effect {
    pub(super) fn notice(subject: Subject, state: NoticeState, priority: u8) -> Self {
        Self::Notify { subject, state, priority }
    }
}
