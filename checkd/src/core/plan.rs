//! From the table we want and the table there is to the commands that turn one into the other.
//!
//! Invariant: [`apply`] of [`commands`]`(wanted, actual)` to `actual` gives `wanted` (a property test holds it), and
//! a pool that has servers before and after never runs empty in between: servers come before others go.
//!
//! Absent on purpose: the kernel (`ipvs/`), and why a table is wanted (`service.rs`).

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use crate::config::model::{Family, Granularity, Method, Protocol, SchedulerFlags, VirtualServer};

/// What names a service in the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServiceKey {
    /// Protocol, address and port.
    Address(Protocol, SocketAddr),
    /// Firewall mark and family.
    Fwmark(u32, Family),
}

impl ServiceKey {
    /// Its family.
    pub fn family(&self) -> Family {
        match self {
            Self::Address(_, address) => Family::of(address.ip()),
            Self::Fwmark(_, family) => *family,
        }
    }
}

/// Attributes of a service.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Service {
    /// Scheduler.
    pub scheduler: String,
    /// Scheduler flags.
    pub flags: SchedulerFlags,
    /// One packet scheduling.
    pub one_packet: bool,
    /// Persistence timeout in seconds; `None` = not persistent.
    pub persistence_s: Option<u32>,
    /// Persistence granularity; IPv4 mask or IPv6 prefix length as the kernel has it (host order).
    pub netmask: u32,
    /// Persistence engine.
    pub engine: Option<String>,
}

impl Service {
    /// The attributes a virtual server asks for.
    pub fn of(server: &VirtualServer, family: Family) -> Self {
        let whole = if family == Family::Inet { u32::MAX } else { 128 };
        let netmask = match server.persistence_granularity {
            Some(Granularity::Mask(mask)) if family == Family::Inet => u32::from(mask),
            Some(Granularity::Prefix(length)) if family == Family::Inet6 => u32::from(length),
            _ => whole,
        };
        Self {
            scheduler: server.scheduler.clone(),
            flags: server.flags,
            one_packet: server.one_packet,
            persistence_s: server.persistence_timeout_s,
            netmask,
            engine: server.persistence_engine.clone(),
        }
    }
}

/// Attributes of a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Destination {
    /// Forwarding.
    pub method: Method,
    /// Weight.
    pub weight: u32,
    /// Upper connection threshold; 0 = none.
    pub upper: u32,
    /// Lower connection threshold; 0 = none.
    pub lower: u32,
}

/// A service with its destinations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Attributes.
    pub service: Service,
    /// Destinations by address.
    pub destinations: BTreeMap<SocketAddr, Destination>,
}

/// A table.
pub type Table = BTreeMap<ServiceKey, Entry>;

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// A new service, without destinations.
    AddService(ServiceKey, Service),
    /// New attributes.
    EditService(ServiceKey, Service),
    /// Removal, destinations included.
    DeleteService(ServiceKey),
    /// A new destination.
    AddDestination(ServiceKey, SocketAddr, Destination),
    /// New attributes.
    EditDestination(ServiceKey, SocketAddr, Destination),
    /// Removal.
    DeleteDestination(ServiceKey, SocketAddr),
}

/// The commands that turn `actual` into `wanted`; services of `actual` that nobody wants are removed.
pub fn commands(wanted: &Table, actual: &Table) -> Vec<Command> {
    let mut list = Vec::new();
    for (key, entry) in wanted {
        match actual.get(key) {
            None => {
                list.push(Command::AddService(*key, entry.service.clone()));
                let add = |(to, d): (&SocketAddr, &Destination)| Command::AddDestination(*key, *to, *d);
                list.extend(entry.destinations.iter().map(add));
            }
            Some(old) => {
                if old.service != entry.service {
                    list.push(Command::EditService(*key, entry.service.clone()));
                }
                destinations(*key, &entry.destinations, &old.destinations, &mut list);
            }
        }
    }
    list.extend(actual.keys().filter(|k| !wanted.contains_key(k)).map(|k| Command::DeleteService(*k)));
    list
}

fn destinations(
    key: ServiceKey,
    wanted: &BTreeMap<SocketAddr, Destination>,
    actual: &BTreeMap<SocketAddr, Destination>,
    list: &mut Vec<Command>,
) {
    for (to, destination) in wanted {
        match actual.get(to) {
            None => list.push(Command::AddDestination(key, *to, *destination)),
            Some(old) if old != destination => {
                list.push(Command::EditDestination(key, *to, *destination));
            }
            Some(_) => {}
        }
    }
    let gone = actual.keys().filter(|to| !wanted.contains_key(to));
    list.extend(gone.map(|to| Command::DeleteDestination(key, *to)));
}

/// Applies a command to a table, as the kernel does.
///
/// # Errors
/// What the kernel would say: a second service or destination of one name, or none of it.
pub fn apply(table: &mut Table, command: &Command) -> Result<(), Refusal> {
    match command {
        Command::AddService(key, service) => {
            if table.contains_key(key) {
                return Err(Refusal::Exists);
            }
            table.insert(*key, Entry { service: service.clone(), destinations: BTreeMap::new() });
        }
        Command::EditService(key, service) => {
            table.get_mut(key).ok_or(Refusal::NoService)?.service = service.clone();
        }
        Command::DeleteService(key) => {
            table.remove(key).ok_or(Refusal::NoService)?;
        }
        Command::AddDestination(key, to, destination) => {
            let entry = table.get_mut(key).ok_or(Refusal::NoService)?;
            if entry.destinations.contains_key(to) {
                return Err(Refusal::Exists);
            }
            entry.destinations.insert(*to, *destination);
        }
        Command::EditDestination(key, to, destination) => {
            let entry = table.get_mut(key).ok_or(Refusal::NoService)?;
            *entry.destinations.get_mut(to).ok_or(Refusal::NoDestination)? = *destination;
        }
        Command::DeleteDestination(key, to) => {
            let entry = table.get_mut(key).ok_or(Refusal::NoService)?;
            entry.destinations.remove(to).ok_or(Refusal::NoDestination)?;
        }
    }
    Ok(())
}

/// Why a command can't be applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Already there.
    Exists,
    /// No such service.
    NoService,
    /// No such destination.
    NoDestination,
}

/// The services a virtual server stands for: itself, or its group's entries, ranges spelled out.
pub fn keys(server: &VirtualServer, groups: &[crate::config::model::ServerGroup]) -> Vec<ServiceKey> {
    use crate::config::model::{GroupEntry, Target};
    match &server.target {
        Target::Address(address) => vec![ServiceKey::Address(server.protocol, *address)],
        Target::Fwmark(mark) => vec![ServiceKey::Fwmark(*mark, server.family)],
        Target::Group(name) => {
            let Some(group) = groups.iter().find(|g| g.name == *name) else { return Vec::new() };
            let mut list = Vec::new();
            for entry in &group.entries {
                match entry {
                    GroupEntry::Fwmark { mark, family } => {
                        list.push(ServiceKey::Fwmark(*mark, family.unwrap_or(server.family)));
                    }
                    GroupEntry::Range { first, last } => {
                        for ip in addresses(first.ip(), *last) {
                            let address = SocketAddr::new(ip, first.port());
                            list.push(ServiceKey::Address(server.protocol, address));
                        }
                    }
                }
            }
            list
        }
    }
}

/// Where a destination of a service is: only NAT can change the port, so the others get the service's, and so does
/// one that has none.
pub fn at(key: &ServiceKey, to: SocketAddr, destination: &Destination) -> SocketAddr {
    match key {
        ServiceKey::Address(_, service) if destination.method != Method::Nat || to.port() == 0 => {
            SocketAddr::new(to.ip(), service.port())
        }
        // A mark has no port to pass on.
        ServiceKey::Fwmark(..) if destination.method != Method::Nat => SocketAddr::new(to.ip(), 0),
        ServiceKey::Address(..) | ServiceKey::Fwmark(..) => to,
    }
}

/// Most addresses of one range: an IPv4 /16, more than any table should hold.
pub const RANGE_MAX: usize = 1 << 16;

fn addresses(first: IpAddr, last: IpAddr) -> Vec<IpAddr> {
    match (first, last) {
        (IpAddr::V4(a), IpAddr::V4(b)) => {
            (u32::from(a)..=u32::from(b)).take(RANGE_MAX).map(|n| IpAddr::V4(n.into())).collect()
        }
        (IpAddr::V6(a), IpAddr::V6(b)) => {
            (u128::from(a)..=u128::from(b)).take(RANGE_MAX).map(|n| IpAddr::V6(n.into())).collect()
        }
        _ => vec![first],
    }
}

#[cfg(test)]
mod tests;
