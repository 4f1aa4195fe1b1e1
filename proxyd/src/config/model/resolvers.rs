//! `resolvers` sections, and what servers say of the resolution of their names.

use ipnet::IpNet;
use std::net::SocketAddr;
use std::time::Duration;

/// `accepted_payload_size` where none is said.
pub const PAYLOAD_DEFAULT: u16 = 512;

/// One `resolvers` section.
#[derive(Debug, Clone)]
pub struct Resolvers {
    /// The name.
    pub name: String,
    /// `nameserver` lines and what `parse-resolv-conf` found, in order.
    pub nameservers: Vec<Nameserver>,
    /// `hold` lines.
    pub hold: Hold,
    /// `timeout resolve`: from the end of one resolution to the start of the next.
    pub resolve: Duration,
    /// `timeout retry`: how long an answer may take.
    pub retry: Duration,
    /// `resolve_retries`: questions without any answer until a resolution fails.
    pub retries: u32,
    /// `accepted_payload_size`, bytes.
    pub payload: u16,
}

/// One name server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nameserver {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub address: SocketAddr,
    /// Asked over TCP.
    pub tcp: bool,
}

/// How long the last valid answer counts after answers of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hold {
    /// `hold nx`.
    pub nx: Duration,
    /// `hold refused`.
    pub refused: Duration,
    /// `hold timeout`.
    pub timeout: Duration,
    /// `hold other`.
    pub other: Duration,
    /// `hold valid`: how long an answer is taken without asking again.
    pub valid: Duration,
    /// `hold obsolete`: how long a record counts that answers no longer hold.
    pub obsolete: Duration,
}

impl Resolvers {
    /// A section as haproxy has it before any line.
    pub fn new(name: &str) -> Self {
        let half_minute = Duration::from_secs(30);
        Self {
            name: name.to_owned(),
            nameservers: Vec::new(),
            hold: Hold {
                nx: half_minute,
                refused: half_minute,
                timeout: half_minute,
                other: half_minute,
                valid: Duration::from_secs(10),
                obsolete: Duration::ZERO,
            },
            resolve: Duration::from_secs(1),
            retry: Duration::from_secs(1),
            retries: 3,
            payload: PAYLOAD_DEFAULT,
        }
    }
}

/// `resolve-prefer`, `resolve-net` and `resolve-opts` of a server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResolveOptions {
    /// `resolve-prefer ipv4`; IPv6 goes first without it.
    pub prefer_ipv4: bool,
    /// `resolve-net`: networks whose addresses go first.
    pub networks: Vec<IpNet>,
    /// `resolve-opts allow-dup-ip`.
    pub allow_dup_ip: bool,
    /// `resolve-opts ignore-weight`.
    pub ignore_weight: bool,
}
