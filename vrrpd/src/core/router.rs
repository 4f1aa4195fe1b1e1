//! All instances, groups and trackers of one daemon: the one entry point of the core.
//!
//! Invariant: [`Router::handle`] is a function of the state, the time and the input; every effect is idempotent and
//! carries all that its execution needs, so that a queue of them survives a reload. Facts about links and addresses
//! are mirrored here, so decisions never ask the kernel.
//! Absent on purpose: how effects are carried out, and when (run.rs sends adverts first, then the rest).

use super::advert::{self, Advert, Envelope, V3Checksum};
pub use super::effect::{Effect, GoneRoute, Input, Link, NoticeState, Outgoing, SocketKey, Subject};
use super::garp::Plan;
use super::group::Group;
use super::machine::{Act, Claim, Machine, Rules, Why, stagger};
use crate::config::model::{Address, Authentication, Config, Family, Instance, Version};
use crate::messages::{Message, Note, StateName};
use sansio::Timers;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Hundredths of a second.
const CENTISECOND: Duration = Duration::from_millis(10);

/// Counters of one instance, with the original's names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the statistics file")]
pub struct Stats {
    pub advert_rcvd: u64,
    pub advert_sent: u64,
    pub become_master: u64,
    pub release_master: u64,
    pub packet_len_err: u64,
    pub advert_interval_err: u64,
    pub ip_ttl_err: u64,
    pub invalid_type_rcvd: u64,
    pub addr_list_err: u64,
    pub invalid_authtype: u64,
    pub authtype_mismatch: u64,
    pub auth_failure: u64,
    pub pri_zero_rcvd: u64,
    pub pri_zero_sent: u64,
}

/// One instance at work.
#[derive(Debug, Clone)]
pub struct Member {
    /// Its configuration.
    pub config: Arc<Instance>,
    /// Its state.
    pub machine: Machine,
    /// Its counters.
    pub stats: Stats,
    /// Number of its sync group.
    pub group: Option<usize>,
    /// Causes of FAULT of its own.
    pub faults: u32,
    /// Scripts without a first result.
    pub pending: u32,
    /// When the state was last entered.
    pub since: Option<Instant>,
    /// Why.
    pub reason: Reason,
    pub(super) plan: Plan,
    pub(super) waited: bool,
    pub(super) file_faults: Vec<String>,
    pub(super) ip_id: u16,
    pub(super) ah_sequence: u32,
    pub(super) ah_seen: HashMap<IpAddr, u32>,
    pub(super) old_checksum: bool,
}

/// Why an instance is in its state. Causes of FAULT are not in here: they may change while it lasts.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Reason {
    /// It has been from the start.
    #[default]
    Start,
    /// Something that was said when it was entered.
    Note(Note),
    /// Nothing is in the way any more.
    Recovered,
    /// Its group's other instances.
    Group,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Timer {
    Member(usize),
    Garp(usize),
    Link(String),
    Start,
}

/// The core.
#[derive(Debug, Clone)]
pub struct Router {
    /// The configuration in force, but for its instances.
    pub config: Arc<Config>,
    /// Instances in file order.
    pub members: Vec<Member>,
    /// Groups in file order.
    pub groups: Vec<Group>,
    pub(super) links: HashMap<String, Link>,
    pub(super) names: HashMap<u32, String>,
    pub(super) addresses: HashMap<u32, Vec<IpAddr>>,
    pub(super) scripts: HashMap<String, bool>,
    pub(super) files: HashMap<String, i64>,
    pub(super) processes: HashMap<String, bool>,
    pub(super) holders: HashMap<IpAddr, Vec<usize>>,
    by_name: HashMap<String, usize>,
    pub(super) by_vrid: HashMap<(u32, Family, u8), Vec<usize>>,
    pub(super) timers: Timers<Timer>,
    pub(super) quiet: HashMap<(usize, u32), Instant>,
    /// Addresses that a reload removes to add them with other attributes, and until when the report of that is awaited.
    pub(super) replaced: Vec<(IpAddr, Instant)>,
    /// Until when routes and rules that a reload removes may still be reported.
    pub(super) replacing: Option<Instant>,
    pub(super) started: bool,
    /// Links that were just made: nothing can be left on them, and who made them tells of them.
    pub(super) fresh: HashSet<String>,
    stopped: bool,
}

/// Rules of the machine from the configuration.
pub(super) fn rules(config: &Instance) -> Rules {
    Rules {
        version: config.version,
        advert_int: config.advert_int,
        down_adverts: config.down_timer_adverts,
        nopreempt: config.nopreempt,
        preempt_delay: config.preempt_delay,
        wants_master: config.wants_master,
        lower_prio_no_advert: config.lower_prio_no_advert,
        higher_prio_send_advert: config.higher_prio_send_advert,
        owner_ignore_adverts: config.owner_ignore_adverts,
        stagger: Duration::ZERO,
    }
}

/// Why a state is entered, from what the machine said just before.
fn reason(state: StateName, why: Why, said: Option<Note>) -> Reason {
    match (why, said) {
        (Why::Start, _) => Reason::Start,
        (Why::Group, _) => Reason::Group,
        (Why::Own, Some(note)) => Reason::Note(note),
        // A group's agreement is asked in between.
        (Why::Own, None) if state == StateName::Master => Reason::Note(Note::Timeout),
        (Why::Own, None) => Reason::Recovered,
    }
}

impl Member {
    pub(super) fn new(config: Arc<Instance>) -> Self {
        Self {
            machine: Machine::new(rules(&config), config.priority),
            config,
            stats: Stats::default(),
            group: None,
            faults: 0,
            pending: 0,
            since: None,
            reason: Reason::Start,
            plan: Plan::default(),
            waited: false,
            file_faults: Vec::new(),
            ip_id: 0,
            ah_sequence: 0,
            ah_seen: HashMap::new(),
            old_checksum: false,
        }
    }

    /// All addresses it holds as Master.
    pub fn addresses(&self) -> Vec<Address> {
        self.config.vips.iter().chain(&self.config.excluded_vips).cloned().collect()
    }

    /// Whether the peers were found to use the old checksum of unicast version 3.
    pub fn old_checksum(&self) -> bool {
        self.old_checksum
    }

    fn is_unicast(&self) -> bool {
        !self.config.unicast_peers.is_empty()
    }
}

impl Router {
    /// A core that has heard of nothing yet. It takes the instances out of the configuration: the members have them.
    pub fn new(mut config: Config) -> Self {
        let mut router = Self {
            config: Arc::new(Config::default()),
            members: Vec::new(),
            groups: Vec::new(),
            links: HashMap::new(),
            names: HashMap::new(),
            addresses: HashMap::new(),
            scripts: HashMap::new(),
            files: HashMap::new(),
            processes: HashMap::new(),
            holders: HashMap::new(),
            by_name: HashMap::new(),
            by_vrid: HashMap::new(),
            timers: Timers::new(),
            quiet: HashMap::new(),
            replaced: Vec::new(),
            replacing: None,
            started: false,
            fresh: HashSet::new(),
            stopped: false,
        };
        let instances = std::mem::take(&mut config.instances);
        router.members = instances.into_iter().map(|i| Member::new(Arc::new(i))).collect();
        router.config = Arc::new(config);
        router.index();
        router
    }

    /// Rebuilds the look-up tables from the configuration.
    pub(super) fn index(&mut self) {
        let config = Arc::clone(&self.config);
        // The first of a name counts, as in the file.
        self.by_name =
            self.members.iter().enumerate().rev().map(|(i, m)| (m.config.name.clone(), i)).collect();
        let number = |name: &String| self.by_name.get(name).copied();
        let mut groups = Vec::new();
        for group in &config.groups {
            let members = group.members.iter().filter_map(number).collect();
            let mut new = Group::new(Arc::new(group.clone()), members);
            if let Some(old) = self.groups.iter().find(|g| g.config.name == group.name) {
                new.state = old.state;
            }
            groups.push(new);
        }
        self.groups = groups;
        for (i, member) in self.members.iter_mut().enumerate() {
            member.group = None;
            member.machine.rules.stagger = stagger(i, member.config.advert_int);
        }
        for (g, group) in self.groups.iter().enumerate() {
            group.members.iter().for_each(|m| self.members[*m].group = Some(g));
        }
        self.holders.clear();
        for (i, member) in self.members.iter().enumerate() {
            for address in member.config.vips.iter().chain(&member.config.excluded_vips) {
                self.holders.entry(address.address).or_default().push(i);
            }
        }
        self.index_vrids();
    }

    fn index_vrids(&mut self) {
        self.by_vrid.clear();
        for (i, member) in self.members.iter().enumerate() {
            if let Some(index) = self.ifindex(&member.config) {
                let key = (index, member.config.family, member.config.vrid);
                self.by_vrid.entry(key).or_default().push(i);
            }
        }
    }

    /// The number of the interface that the instance speaks by, when that exists; 0 for an instance without one.
    pub fn ifindex(&self, config: &Instance) -> Option<u32> {
        if config.interface.is_empty() { Some(0) } else { self.links.get(config.speaker()).map(|l| l.index) }
    }

    /// The number of the interface that it is configured on.
    pub fn base_index(&self, config: &Instance) -> Option<u32> {
        if config.interface.is_empty() { Some(0) } else { self.links.get(&config.interface).map(|l| l.index) }
    }

    /// A link by name.
    pub fn link(&self, name: &str) -> Option<&Link> {
        self.links.get(name)
    }

    /// Takes one input.
    pub fn handle(&mut self, now: Instant, input: Input, out: &mut Vec<Effect>) {
        match input {
            Input::Link(link) => self.on_link(now, link, out),
            Input::LinkGone(index) => self.on_link_gone(now, index, out),
            Input::Address(index, address) => self.on_address(now, index, address, out),
            Input::AddressGone(index, address) => self.on_address_gone(now, index, address, out),
            Input::Start => self.on_start(now, out),
            Input::Packet(raw) => self.on_packet(now, &raw, out),
            Input::Timeout => self.on_timeout(now, out),
            Input::Script(name, up) => {
                self.scripts.insert(name.clone(), up);
                self.review_tracking(now, &name, |i| &i.track_scripts, |g| &g.track_scripts, out);
            }
            Input::File(name, value) => {
                self.files.insert(name.clone(), value);
                self.review_tracking(now, &name, |i| &i.track_files, |g| &g.track_files, out);
            }
            Input::Process(name, up) => {
                self.processes.insert(name.clone(), up);
                self.review_tracking(now, &name, |i| &i.track_processes, |g| &g.track_processes, out);
            }
            Input::RouteGone(route) => self.on_route_gone(now, &route, out),
            Input::RuleGone(family, priority) => self.on_rule_gone(now, family, priority, out),
            Input::Stop => self.on_stop(now, out),
        }
    }

    /// When [`Input::Timeout`] is due.
    pub fn deadline(&self) -> Option<Instant> {
        self.timers.deadline()
    }

    fn on_timeout(&mut self, now: Instant, out: &mut Vec<Effect>) {
        while let Some(timer) = self.timers.expire(now) {
            match timer {
                Timer::Member(i) => {
                    let mut acts = Vec::new();
                    self.members[i].machine.timeout(now, &mut acts);
                    self.perform(now, i, acts, out);
                }
                Timer::Garp(i) => {
                    let member = &mut self.members[i];
                    if let Some(count) = member.plan.due(now, &member.config.garp) {
                        self.announce(i, count, out);
                    }
                    self.arm(i);
                }
                Timer::Link(name) => self.link_settled(now, &name, out),
                Timer::Start => self.begin(now, out),
            }
        }
    }

    fn on_stop(&mut self, now: Instant, out: &mut Vec<Effect>) {
        self.stopped = true;
        for i in 0..self.members.len() {
            self.stop_member(now, i, NoticeState::Stop, out);
        }
        for g in 0..self.groups.len() {
            out.push(Effect::notice(
                Subject::Group(Arc::clone(&self.groups[g].config)),
                NoticeState::Stop,
                0,
            ));
        }
        self.timers.clear();
    }

    pub(super) fn stop_member(&mut self, now: Instant, i: usize, told: NoticeState, out: &mut Vec<Effect>) {
        let mut acts = Vec::new();
        self.members[i].machine.stop(now, &mut acts);
        self.perform(now, i, acts, out);
        let member = &self.members[i];
        let subject = Subject::Instance(Arc::clone(&member.config));
        out.push(Effect::notice(subject.clone(), told, member.machine.priority));
        out.push(Effect::Publish(subject));
    }

    pub(super) fn say(&self, i: usize, note: Note) -> Effect {
        Effect::Say(Message::Instance { name: self.members[i].config.name.clone(), note })
    }

    /// Carries out what a machine wants, in order, and arms its timers.
    pub(super) fn perform(&mut self, now: Instant, i: usize, acts: Vec<Act>, out: &mut Vec<Effect>) {
        let mut entered = None;
        let mut cause = None;
        for act in acts {
            match act {
                Act::Advertise(priority) => self.advertise(i, priority, out),
                Act::Take => self.hold(i, true, out),
                Act::Drop => self.hold(i, false, out),
                Act::Claim(claim) => self.claim(now, i, claim, out),
                Act::Entered(state, why) => {
                    self.members[i].reason = reason(state, why, cause.take());
                    self.entered(now, i, state, why, out);
                    entered = Some((state, why));
                }
                Act::WantsMaster => {
                    self.arm(i);
                    self.wants_master(now, i, out);
                }
                Act::Reduced(_) => {}
                Act::Say(note) => {
                    cause.get_or_insert_with(|| note.clone());
                    if self.may_say(now, i, &note) {
                        out.push(self.say(i, note));
                    }
                }
            }
        }
        self.arm(i);
        if let Some((state, why)) = entered {
            self.group_follows(now, i, state, why, out);
        }
    }

    /// Lines that packets cause have a least gap per instance and kind.
    fn may_say(&mut self, now: Instant, i: usize, note: &Note) -> bool {
        let kind = match note {
            Note::Discarding { .. } => 1000,
            Note::Lower { .. } => 1001,
            Note::BackupGotZero => 1002,
            Note::SameAddress => 1003,
            Note::IntervalLearned { .. } => 1004,
            Note::StartPreemptDelay(_) => 1005,
            Note::StopPreemptDelay => 1006,
            _ => return true,
        };
        let gap = self.members[i].config.advert_int / 4;
        self.may_repeat(now, i, kind, gap)
    }

    /// True once in `gap` for this instance and kind.
    pub(super) fn may_repeat(&mut self, now: Instant, i: usize, kind: u32, gap: Duration) -> bool {
        let last = self.quiet.get(&(i, kind));
        let may = last.is_none_or(|at| now >= *at + gap);
        if may {
            self.quiet.insert((i, kind), now);
        }
        may
    }

    pub(super) fn arm(&mut self, i: usize) {
        for (timer, at) in [
            (Timer::Member(i), self.members[i].machine.deadline()),
            (Timer::Garp(i), self.members[i].plan.deadline()),
        ] {
            match at {
                Some(at) if self.timers.due(&timer) == Some(at) => {}
                Some(at) => self.timers.set(timer, at),
                None => {
                    self.timers.cancel(&timer);
                }
            }
        }
    }

    fn entered(&mut self, now: Instant, i: usize, state: StateName, why: Why, out: &mut Vec<Effect>) {
        let member = &mut self.members[i];
        let was_master = member.since.is_some() && member.plan_active();
        member.since = Some(now);
        match state {
            StateName::Master => member.stats.become_master += 1,
            StateName::Backup | StateName::Fault if was_master => member.stats.release_master += 1,
            StateName::Init | StateName::Backup | StateName::Fault => {}
        }
        let note = match (state, why) {
            // Said before, or by the script that decided it.
            (StateName::Fault, Why::Start) => None,
            (StateName::Backup, Why::Start) => Some(Note::EnteringInit(StateName::Backup)),
            _ => Some(Note::Entering(state)),
        };
        let told = match state {
            StateName::Master => NoticeState::Master,
            StateName::Backup => NoticeState::Backup,
            StateName::Fault => NoticeState::Fault,
            StateName::Init => return,
        };
        out.extend(note.map(|note| self.say(i, note)));
        if why == Why::Start
            && let Some(g) = self.members[i].group
        {
            self.group_state(g, state, out);
        }
        let member = &self.members[i];
        let subject = Subject::Instance(Arc::clone(&member.config));
        out.push(Effect::notice(subject.clone(), told, member.machine.priority));
        out.push(Effect::Publish(subject));
    }

    fn hold(&self, i: usize, adding: bool, out: &mut Vec<Effect>) {
        let member = &self.members[i];
        let instance = || Arc::clone(&member.config);
        let addresses = member.addresses();
        if !adding {
            self.hold_routes(i, adding, out);
        }
        if !addresses.is_empty() {
            if adding && member.config.hides() {
                out.push(self.say(i, Note::Filter { adding }));
            }
            self.say_addresses(i, adding, out);
            if !adding && member.config.hides() {
                out.push(self.say(i, Note::Filter { adding }));
            }
            out.push(Effect::Addresses { instance: instance(), adding, list: addresses });
        }
        if adding {
            self.hold_routes(i, adding, out);
        }
    }

    pub(super) fn say_addresses(&self, i: usize, adding: bool, out: &mut Vec<Effect>) {
        let config = &self.members[i].config;
        for (list, excluded) in [(&config.vips, false), (&config.excluded_vips, true)] {
            if !list.is_empty() {
                out.push(self.say(i, Note::Addresses { adding, excluded }));
            }
        }
    }

    pub(super) fn hold_routes(&self, i: usize, adding: bool, out: &mut Vec<Effect>) {
        if adding {
            self.hold_all_routes(i, adding, out);
            self.hold_rules(i, adding, out);
        } else {
            self.hold_rules(i, adding, out);
            self.hold_all_routes(i, adding, out);
        }
    }

    fn hold_all_routes(&self, i: usize, adding: bool, out: &mut Vec<Effect>) {
        let config = &self.members[i].config;
        if !config.routes.is_empty() {
            out.push(self.say(i, Note::Routes { adding }));
            out.push(Effect::Routes { instance: Arc::clone(config), adding, list: config.routes.clone() });
        }
    }

    fn hold_rules(&self, i: usize, adding: bool, out: &mut Vec<Effect>) {
        let config = &self.members[i].config;
        if !config.rules.is_empty() {
            out.push(self.say(i, Note::Rules { adding }));
            out.push(Effect::Rules { instance: Arc::clone(config), adding, list: config.rules.clone() });
        }
    }

    fn claim(&mut self, now: Instant, i: usize, claim: Claim, out: &mut Vec<Effect>) {
        let member = &mut self.members[i];
        let count = member.plan.claim(now, &member.config.garp, claim);
        if claim == Claim::Again && member.config.notify.master_rx_lower_pri.is_some() {
            let (config, priority) = (Arc::clone(&member.config), member.machine.priority);
            out.push(Effect::notice(Subject::Instance(config), NoticeState::MasterRxLowerPri, priority));
        }
        if let Some(count) = count {
            self.announce(i, count, out);
        }
    }

    pub(super) fn announce(&self, i: usize, count: u32, out: &mut Vec<Effect>) {
        let member = &self.members[i];
        let list = member.addresses();
        if count > 0 && !list.is_empty() {
            out.push(Effect::Announce { instance: Arc::clone(&member.config), list, count });
        }
    }

    /// Where the adverts of an instance go by.
    pub fn socket(&self, config: &Instance) -> Option<SocketKey> {
        let ifindex = self.ifindex(config)?;
        let unicast = !config.unicast_peers.is_empty();
        let globals = &self.config.globals;
        let default = match config.family {
            Family::Inet => IpAddr::V4(globals.mcast_group4),
            Family::Inet6 => IpAddr::V6(globals.mcast_group6),
        };
        Some(SocketKey {
            ifindex,
            family: config.family,
            ah: matches!(config.authentication, Authentication::Ah(_)),
            group: (!unicast).then(|| config.mcast_group.unwrap_or(default)),
            source: config.source.filter(|_| unicast),
            rcvbuf: config.kernel_rx_buffer,
        })
    }

    /// The sockets that the instances need now.
    pub fn sockets(&self) -> BTreeSet<SocketKey> {
        self.members.iter().filter_map(|m| self.socket(&m.config)).collect()
    }

    fn advertise(&mut self, i: usize, priority: u8, out: &mut Vec<Effect>) {
        let Some(socket) = self.socket(&self.members[i].config) else { return };
        let group4 = self.config.globals.mcast_group4;
        let member = &mut self.members[i];
        if priority == 0 {
            member.stats.pri_zero_sent += 1;
        }
        member.stats.advert_sent += 1;
        member.ip_id = member.ip_id.wrapping_add(1);
        member.ah_sequence = member.ah_sequence.wrapping_add(1);
        let sequence = member.ah_sequence;
        for (bytes, source, destination, ttl) in member.packets(priority, &socket, group4, sequence) {
            let instance = Arc::clone(&member.config);
            out.push(Effect::Send(Outgoing {
                socket: socket.clone(),
                source,
                destination,
                ttl,
                bytes,
                instance,
            }));
        }
    }

    /// The advert that a supervisor sends for an instance that died: priority 0, ready to send.
    pub fn farewell(&self, i: usize) -> Vec<Outgoing> {
        let member = &self.members[i];
        let Some(socket) = self.socket(&member.config) else { return Vec::new() };
        let group4 = self.config.globals.mcast_group4;
        // Far ahead of what will have been sent by then, so that receivers take it for new.
        let sequence = member.ah_sequence.wrapping_add(1 << 20);
        let packets = member.packets(0, &socket, group4, sequence).into_iter();
        packets
            .map(|(bytes, source, destination, ttl)| {
                let (socket, instance) = (socket.clone(), Arc::clone(&member.config));
                Outgoing { socket, source, destination, ttl, bytes, instance }
            })
            .collect()
    }
}

impl Member {
    fn plan_active(&self) -> bool {
        self.stats.become_master > self.stats.release_master
    }

    fn packets(
        &self,
        priority: u8,
        socket: &SocketKey,
        group4: Ipv4Addr,
        sequence: u32,
    ) -> Vec<(Vec<u8>, IpAddr, IpAddr, u8)> {
        let config = &self.config;
        let Some(source) = self.machine.source else { return Vec::new() };
        let advert = Advert {
            version: config.version,
            vrid: config.vrid,
            priority,
            interval_cs: (config.advert_int.as_millis() / CENTISECOND.as_millis()) as u16,
            addresses: config.vips.iter().map(|v| v.address).collect(),
        };
        let checksum = match config.version {
            _ if config.v3_checksum_as_v2 => V3Checksum::Plain,
            Version::V3 if self.is_unicast() && self.old_checksum => V3Checksum::PseudoGroup,
            _ => V3Checksum::Pseudo,
        };
        let ttl = config.unicast_ttl.filter(|_| self.is_unicast()).unwrap_or(advert::TTL);
        let destinations: Vec<IpAddr> = match socket.group {
            Some(group) => vec![group],
            None => config.unicast_peers.iter().map(|p| p.address).collect(),
        };
        let packet = |destination: IpAddr| {
            let envelope = Envelope {
                source,
                destination,
                ttl,
                id: self.ip_id,
                authentication: config.authentication.clone(),
                sequence,
                checksum,
                group: group4,
            };
            (advert::encode(&advert, &envelope), source, destination, ttl)
        };
        destinations.into_iter().map(packet).collect()
    }
}

/// What the shell and the dumps look up.
impl Router {
    /// An instance's place by its name.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// Whether it has been told to stop.
    pub fn stopped(&self) -> bool {
        self.stopped
    }

    /// An interface's name by its number.
    pub fn interface(&self, index: u32) -> Option<String> {
        self.names.get(&index).cloned()
    }

    /// Numbers of all links.
    pub fn link_numbers(&self) -> Vec<u32> {
        self.names.keys().copied().collect()
    }

    /// All links.
    pub fn links(&self) -> Vec<&Link> {
        let mut links: Vec<&Link> = self.links.values().collect();
        links.sort_by_key(|l| l.index);
        links
    }

    /// Addresses of one link.
    pub fn link_addresses(&self, index: u32) -> &[IpAddr] {
        self.addresses.get(&index).map_or(&[], Vec::as_slice)
    }

    /// All addresses with their links' numbers.
    pub fn known_addresses(&self) -> Vec<(u32, IpAddr)> {
        self.addresses.iter().flat_map(|(index, list)| list.iter().map(|a| (*index, *a))).collect()
    }

    /// Whether an address is one that instances hold.
    pub fn is_virtual(&self, address: IpAddr) -> bool {
        self.holders.contains_key(&address)
    }

    /// Whether a change of a link is being waited out.
    pub fn link_waits(&self, name: &str) -> bool {
        self.timers.due(&Timer::Link(name.into())).is_some()
    }

    /// A script's state.
    pub fn script(&self, name: &str) -> Option<bool> {
        self.scripts.get(name).copied()
    }

    /// A process tracker's state.
    pub fn process(&self, name: &str) -> Option<bool> {
        self.processes.get(name).copied()
    }

    /// A file's value.
    pub fn file(&self, name: &str) -> Option<i64> {
        self.files.get(name).copied()
    }

    /// A link was made for an instance: it has no addresses of a predecessor.
    pub fn device_made(&mut self, name: &str) {
        self.fresh.insert(name.into());
    }

    /// Sets all counters to zero.
    pub fn clear_stats(&mut self) {
        for member in &mut self.members {
            member.stats = Stats::default();
        }
    }
}
