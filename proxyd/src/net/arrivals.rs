//! Addresses that come to this host, as the kernel reports them.
//!
//! Invariant: an address is told once for each time it comes; what was there at the start is not told, nor one whose
//! lifetime is merely renewed.
//!
//! Absent on purpose: loopback and link-local addresses, which say nothing about other hosts.

use netlink::{AddressEvent, Commands, Event, Monitor};
use std::collections::HashSet;
use std::io;
use std::net::IpAddr;

/// Reports of some hundred addresses at once fit in; more is an overrun, which lists everything again.
const RECEIVE_BUFFER: u32 = 256 << 10;
/// RT_SCOPE_HOST: valid on this host only.
const SCOPE_HOST: u8 = 254;

/// What is on the host, and the stream of what changes.
#[derive(Debug)]
pub struct Arrivals {
    monitor: Monitor,
    here: HashSet<(u32, IpAddr)>,
}

impl Arrivals {
    /// Starts listening, in the network namespace of the calling thread and inside a tokio runtime.
    pub fn open() -> io::Result<Self> {
        let monitor = Monitor::open(Some(RECEIVE_BUFFER))?;
        Ok(Self { monitor, here: list()? })
    }

    /// Waits for addresses to come.
    pub async fn next(&mut self) -> io::Result<Vec<IpAddr>> {
        loop {
            let mut came = Vec::new();
            for event in self.monitor.next().await? {
                match event {
                    Event::Address(address) => {
                        if let Some(key) = key(&address)
                            && self.here.insert(key)
                        {
                            came.push(key.1);
                        }
                    }
                    Event::AddressGone(address) => {
                        self.here.remove(&(address.index, address.address));
                    }
                    Event::Overrun => {
                        let now = list()?;
                        came.extend(now.difference(&self.here).map(|(_, address)| *address));
                        self.here = now;
                    }
                    Event::Link(_) | Event::LinkGone(_) | Event::RouteGone(_) | Event::RuleGone(..) => {}
                }
            }
            if !came.is_empty() {
                return Ok(came);
            }
        }
    }
}

fn list() -> io::Result<HashSet<(u32, IpAddr)>> {
    Ok(Commands::open(None)?.addresses()?.iter().filter_map(key).collect())
}

fn key(address: &AddressEvent) -> Option<(u32, IpAddr)> {
    let local = match address.address {
        IpAddr::V4(ip) => ip.is_loopback(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unicast_link_local(),
    };
    (address.scope != SCOPE_HOST && !local).then_some((address.index, address.address))
}
