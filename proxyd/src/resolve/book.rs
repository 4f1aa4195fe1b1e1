//! Who follows which name: servers by their own name, servers by the records of a service, rules that wait.
//!
//! Invariant: a server follows at most one name of its own; one that takes its host from a service's records follows
//! that host's name only while the records hold it.
//!
//! Absent on purpose: sockets and clocks (`task.rs`).

use super::core::{Core, Effect, Input, Key, Status};
use super::servers::{self, Seat};
use super::wire::{self, Data, Kind};
use super::{At, Request};
use crate::config::model::{ProxyId, ResolveOptions, ServerId};
use crate::runtime::Generation;
use crate::runtime::transitions::Notice;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::oneshot;

/// Rules that wait for one name at most; more go on without an address.
const WAITING_MAX: usize = 10_000;

/// What the caller has to do.
#[derive(Debug, Default)]
pub struct Out {
    /// Messages to send: section, name server, bytes.
    pub sends: Vec<(usize, usize, Vec<u8>)>,
    /// What is to be told.
    pub notices: Vec<Notice>,
}

#[derive(Debug)]
struct Waiting {
    prefer_ipv4: bool,
    reply: oneshot::Sender<Option<IpAddr>>,
}

/// A service's records, and the servers of one backend that take their hosts from them.
#[derive(Debug, Clone)]
struct Service {
    section: usize,
    key: Key,
    members: Vec<At>,
    /// Members without a host, in the order in which they get one.
    free: Vec<At>,
}

/// All sections and who follows what.
#[derive(Debug)]
pub struct Book {
    generation: Arc<Generation>,
    cores: Vec<Core>,
    /// What each server follows by its own name.
    own: BTreeMap<At, (usize, Key)>,
    services: Vec<Service>,
    waiting: HashMap<(usize, Key), Vec<Waiting>>,
}

impl Book {
    /// A book of a generation; nobody follows anything before [`Book::open`].
    pub fn new(generation: Arc<Generation>, mut ids: impl FnMut() -> Box<dyn FnMut() -> u16 + Send>) -> Self {
        let board = &generation.board;
        let sections = generation.config.resolvers.iter();
        let cores = sections
            .map(|section| {
                let servers = section.nameservers.iter();
                let counters = servers.map(|s| board.resolvers.counters(&section.name, &s.name)).collect();
                Core::new(Arc::clone(section), counters, ids())
            })
            .collect();
        Self { cores, generation, own: BTreeMap::new(), services: Vec::new(), waiting: HashMap::new() }
    }

    /// The servers begin to follow their names.
    pub fn open(&mut self, now: Instant, out: &mut Out) {
        let generation = Arc::clone(&self.generation);
        for (p, proxy) in generation.config.proxies.iter().enumerate() {
            for (s, server) in proxy.servers.iter().enumerate() {
                let at = (ProxyId(p), ServerId(s));
                let Some(section) = server.resolvers.as_ref().and_then(|name| self.section(name)) else {
                    continue;
                };
                match &server.srv_record {
                    Some(record) => self.join_service(section, Key::new(record, Kind::Srv), at),
                    None => self.follow(at, section, now, out),
                }
            }
        }
        for service in self.services.clone() {
            self.input(service.section, now, Input::Follow(service.key), out);
        }
    }

    fn join_service(&mut self, section: usize, key: Key, at: At) {
        let is_free = self.seat(at).with(|d| d.fqdn.is_none());
        let same = |s: &&mut Service| {
            s.section == section && s.key == key && s.members.first().is_some_and(|m| m.0 == at.0)
        };
        if let Some(service) = self.services.iter_mut().find(same) {
            service.members.push(at);
            service.free.extend(is_free.then_some(at));
        } else {
            let free = is_free.then_some(at).into_iter().collect();
            self.services.push(Service { section, key, members: vec![at], free });
        }
    }

    fn section(&self, name: &str) -> Option<usize> {
        self.cores.iter().position(|c| c.section().name == name)
    }

    fn seat(&self, at: At) -> Seat<'_> {
        Seat { generation: &self.generation, at }
    }

    /// A server follows the name it has now, and no other.
    fn follow(&mut self, at: At, section: usize, now: Instant, out: &mut Out) {
        self.leave(at, now, out);
        let seat = self.seat(at);
        let kind = if seat.options().prefer_ipv4 { Kind::A } else { Kind::Aaaa };
        let Some(name) = seat.with(|d| d.fqdn.clone()) else { return };
        let key = Key::new(&name, kind);
        self.own.insert(at, (section, key.clone()));
        self.input(section, now, Input::Follow(key), out);
    }

    fn leave(&mut self, at: At, now: Instant, out: &mut Out) {
        if let Some((section, key)) = self.own.remove(&at) {
            self.input(section, now, Input::Leave(key), out);
        }
    }

    /// When a deadline of any section is due.
    pub fn deadline(&self) -> Option<Instant> {
        self.cores.iter().filter_map(Core::deadline).min()
    }

    /// The deadline has passed.
    pub fn pass(&mut self, now: Instant, out: &mut Out) {
        for section in 0..self.cores.len() {
            if self.cores[section].deadline().is_some_and(|at| at <= now) {
                self.input(section, now, Input::Deadline, out);
            }
        }
    }

    /// Something happened to a section.
    pub fn input(&mut self, section: usize, now: Instant, input: Input, out: &mut Out) {
        let mut inputs = VecDeque::from([(section, input)]);
        while let Some((section, input)) = inputs.pop_front() {
            let Some(core) = self.cores.get_mut(section) else { continue };
            let mut effects = Vec::new();
            core.handle(now, input, &mut effects);
            for effect in effects {
                match effect {
                    Effect::Send(server, bytes) => out.sends.push((section, server, bytes)),
                    Effect::Ended(key, server) => self.ended(section, &key, server, now, out),
                }
            }
        }
    }

    /// A request of the rest of the process.
    pub fn request(&mut self, now: Instant, request: Request, out: &mut Out) {
        match request {
            Request::Hurry(at) => {
                if let Some((section, key)) = self.own.get(&at).cloned() {
                    self.input(section, now, Input::Hurry(key), out);
                }
            }
            Request::Renamed(at) => {
                let server = &self.generation.config.proxies[at.0.0].servers[at.1.0];
                if let Some(section) = server.resolvers.as_ref().and_then(|name| self.section(name)) {
                    self.follow(at, section, now, out);
                }
            }
            Request::Address { section, name, prefer_ipv4, reply } => {
                let Some(section) = self.section(&section) else { return };
                let key = Key::new(&name, if prefer_ipv4 { Kind::A } else { Kind::Aaaa });
                let waiting = self.waiting.entry((section, key.clone())).or_default();
                // Who is dropped here hears that there is no address.
                if waiting.len() < WAITING_MAX {
                    waiting.push(Waiting { prefer_ipv4, reply });
                    self.input(section, now, Input::Follow(key), out);
                }
            }
        }
    }

    fn ended(&mut self, section: usize, key: &Key, server: Option<usize>, now: Instant, out: &mut Out) {
        self.answer(section, key, now, out);
        if key.kind == Kind::Srv {
            for i in 0..self.services.len() {
                if self.services[i].section == section && self.services[i].key == *key {
                    self.service(i, now, out);
                }
            }
            return;
        }
        let mine = self.own.iter().filter(|(_, (s, k))| *s == section && k == key);
        let followers: Vec<At> = mine.map(|(at, _)| *at).collect();
        let mut by = server;
        for at in followers {
            self.address(section, key, at, by.take(), now, out);
        }
    }

    /// Answers rules that wait for a name.
    fn answer(&mut self, section: usize, key: &Key, now: Instant, out: &mut Out) {
        let Some(waiting) = self.waiting.remove(&(section, key.clone())) else { return };
        let core = &self.cores[section];
        let lookup = core.lookup(key).filter(|l| !l.is_given_up(now, core.section()));
        let addresses: Vec<IpAddr> = lookup.into_iter().flat_map(|l| l.records()).filter_map(ip_of).collect();
        for one in waiting {
            let options = ResolveOptions { prefer_ipv4: one.prefer_ipv4, ..ResolveOptions::default() };
            // Whoever asked may be gone.
            let _ = one.reply.send(servers::pick(addresses.iter().copied(), &options, None, |_| false));
            self.input(section, now, Input::Leave(key.clone()), out);
        }
    }

    /// What a resolution of its own name means to a server.
    fn address(&mut self, section: usize, key: &Key, at: At, by: Option<usize>, now: Instant, out: &mut Out) {
        let core = &self.cores[section];
        let seat = Seat { generation: &self.generation, at };
        let Some(lookup) = core.lookup(key) else {
            return seat.lost(servers::reason(Status::Other), &mut out.notices);
        };
        if lookup.status != Status::Valid {
            if lookup.is_given_up(now, core.section()) {
                seat.lost(servers::reason(lookup.status), &mut out.notices);
            }
            return;
        }
        let current = seat.with(|d| d.address).map(|a| a.ip());
        let addresses = lookup.records().filter_map(ip_of);
        let Some(ip) = servers::pick(addresses, seat.options(), current, |ip| seat.is_taken(ip)) else {
            return seat.lost(servers::reason(Status::Valid), &mut out.notices);
        };
        let section_of = core.section();
        let source = match by {
            Some(server) => format!("{}/{}", section_of.name, section_of.nameservers[server].name),
            None => "DNS cache".to_owned(),
        };
        if seat.set_ip(ip, &source, &mut out.notices)
            && let Some(server) = by
        {
            let name = &section_of.nameservers[server].name;
            self.generation.board.resolvers.counters(&section_of.name, name).update.add();
        }
        if seat.is_out() {
            seat.resolved(&mut out.notices);
            seat.ready(&mut out.notices);
        }
    }

    /// What a resolution of a service means to the servers that take their hosts from it.
    fn service(&mut self, index: usize, now: Instant, out: &mut Out) {
        let Service { section, key, mut members, .. } = self.services[index].clone();
        let core = &self.cores[section];
        let Some(lookup) = core.lookup(&key) else { return };
        if lookup.status != Status::Valid && !lookup.is_given_up(now, core.section()) {
            return;
        }
        let records: Vec<Data> = lookup.records().cloned().collect();
        let holds = |host: &str, at_port: u16| {
            let mut all = records.iter();
            all.any(|r| matches!(r, Data::Srv { target, port, .. } if target == host && *port == at_port))
        };
        members.sort_by_cached_key(|at| self.host(*at).map(|(host, _)| wire::rank_of_host(&host)));
        for at in &members {
            if self.host(*at).is_some_and(|(host, port)| !holds(&host, port)) {
                self.leave(*at, now, out);
                self.seat(*at).removed(&mut out.notices);
                self.services[index].free.push(*at);
            }
        }
        for record in &records {
            let Data::Srv { weight, port, target, ip } = record else { continue };
            let has = |at: &&At| self.host(**at).is_some_and(|(h, p)| h == *target && p == *port);
            let known = members.iter().find(has).copied();
            // Hosts beyond the servers there are wait until one is free.
            if known.is_none() && self.services[index].free.is_empty() {
                continue;
            }
            let at = known.unwrap_or_else(|| self.services[index].free.remove(0));
            self.seat(at).set_weight(*weight);
            self.host_of_service(at, (section, known.is_none()), (target, *port, *ip), now, out);
        }
    }

    fn host(&self, at: At) -> Option<(String, u16)> {
        self.seat(at).with(|d| d.fqdn.clone().map(|host| (host, d.port)))
    }

    /// A server takes the place of a service's host: with the address that came along, or by the host's name.
    fn host_of_service(
        &mut self,
        at: At,
        (section, fresh): (usize, bool),
        (host, port, ip): (&str, u16, Option<IpAddr>),
        now: Instant,
        out: &mut Out,
    ) {
        if let Some(ip) = ip {
            self.leave(at, now, out);
            self.seat(at).with(|d| d.port = port);
            self.seat(at).set_ip(ip, "DNS additional record", &mut out.notices);
        }
        if fresh {
            self.seat(at).set_host(host, port, &mut out.notices);
        }
        if ip.is_none() && !self.own.contains_key(&at) {
            self.follow(at, section, now, out);
        }
        if ip.is_some() && self.seat(at).is_out() {
            self.seat(at).resolved(&mut out.notices);
        }
    }
}

fn ip_of(data: &Data) -> Option<IpAddr> {
    match data {
        Data::Ip(ip) => Some(*ip),
        Data::Srv { .. } => None,
    }
}
