//! The control bus between the daemons: who owns which facts, and how the others learn of them.
//!
//! There is no broker. Each daemon serves the facts it owns on a socket of its own and subscribes to those of
//! the others; a subscriber gets a snapshot and then changes (docs/BUS.md).
//!
//! - [`wire`]: frames, one JSON object a line; additive only.
//! - [`payload`]: the data of each topic.
//! - [`session`]: hello, subscribe, snapshot, deltas, resync, pings. A pure core for each side.
//! - [`lease`]: who probes. A pure core for each side.
//! - [`endpoint`]: sockets, peer credentials, bounded queues, redial.
//!
//! Invariant: the bus carries state, not commands to be in a state. Losing it changes nothing by itself: a
//! subscriber keeps the last value until the lease on it ends and then does the work itself.
//!
//! Absent on purpose: a start order, acknowledgements, and anything that must be delivered exactly once.

pub mod endpoint;
pub mod lease;
pub mod payload;
pub mod session;
pub mod wire;

use std::path::PathBuf;

/// A process on the bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Virtual addresses.
    Vrrpd,
    /// Checks and IPVS.
    Checkd,
    /// Proxy.
    Proxyd,
    /// A person or program that watches; serves nothing.
    Operator,
}

impl Role {
    /// The daemons, in the order in which `holdfast status` lists them.
    pub const DAEMONS: [Self; 3] = [Self::Vrrpd, Self::Checkd, Self::Proxyd];

    /// Its name on the wire and of its socket.
    pub fn name(self) -> &'static str {
        match self {
            Self::Vrrpd => "vrrpd",
            Self::Checkd => "checkd",
            Self::Proxyd => "proxyd",
            Self::Operator => "operator",
        }
    }

    /// The role of this name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Vrrpd, Self::Checkd, Self::Proxyd, Self::Operator].into_iter().find(|r| r.name() == name)
    }
}

/// A family of topics: everything before the `/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Family {
    /// Name before the slash (`vrrp.instance`), or the whole topic when `keyed` is false.
    pub name: &'static str,
    /// Whether `/KEY` follows.
    pub keyed: bool,
    /// Who serves it; `None`: each daemon serves its own.
    pub owner: Option<Role>,
    /// One line for people.
    pub about: &'static str,
}

const fn family(name: &'static str, keyed: bool, owner: Option<Role>, about: &'static str) -> Family {
    Family { name, keyed, owner, about }
}

/// All topics and their owners: the one table.
pub const FAMILIES: [Family; 9] = [
    family("vrrp.instance", true, Some(Role::Vrrpd), "state, priority and addresses of a VRRP instance"),
    family("vrrp.group", true, Some(Role::Vrrpd), "state of a sync group"),
    family("ipvs.service", true, Some(Role::Checkd), "a virtual server, its quorum and its real servers"),
    family("probe.outcome", true, Some(Role::Checkd), "last outcome of a probe"),
    family("script.result", true, Some(Role::Checkd), "last result of a script"),
    family("proxy.server", true, Some(Role::Proxyd), "state and weight of a server, key BACKEND/SERVER"),
    family("proxy.listener", true, Some(Role::Proxyd), "a bound address, key FRONTEND/ADDRESS"),
    family("daemon.status", false, None, "version, pid, start and reload of a daemon"),
    family("event", false, None, "best-effort ring of the last 1024 things worth knowing"),
];

/// The family of a topic; `None` for one that no family knows.
pub fn family_of(topic: &str) -> Option<&'static Family> {
    let (name, key) = match topic.split_once('/') {
        Some((name, key)) => (name, Some(key)),
        None => (topic, None),
    };
    FAMILIES.iter().find(|f| f.name == name && f.keyed == key.is_some_and(|k| !k.is_empty()))
}

/// Whether a topic is meant by a subscription: the topic itself, or a beginning with `*` behind it.
pub fn matches(pattern: &str, topic: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(begin) => topic.starts_with(begin),
        None => pattern == topic,
    }
}

/// Where the sockets are: `HOLDFAST_DIR`, else /run/holdfast. `None` when the variable is set and empty, which
/// switches the bus off.
pub fn directory() -> Option<PathBuf> {
    match std::env::var_os("HOLDFAST_DIR") {
        Some(dir) if dir.is_empty() => None,
        Some(dir) => Some(dir.into()),
        None => Some("/run/holdfast".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_belong_to_families() {
        assert_eq!(family_of("vrrp.instance/VI_1").and_then(|f| f.owner), Some(Role::Vrrpd));
        assert_eq!(family_of("proxy.server/b/s1").map(|f| f.name), Some("proxy.server"));
        assert_eq!(family_of("daemon.status").map(|f| f.name), Some("daemon.status"));
        assert_eq!(
            (family_of("vrrp.instance"), family_of("vrrp.instance/"), family_of("x")),
            (None, None, None)
        );
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = FAMILIES.iter().map(|f| f.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), FAMILIES.len());
    }

    #[test]
    fn patterns() {
        assert!(matches("vrrp.*", "vrrp.group/G1"));
        assert!(matches("*", "event"));
        assert!(matches("event", "event"));
        assert!(!matches("vrrp.instance/VI_1", "vrrp.instance/VI_10"));
        assert!(!matches("", "event"));
    }
}
