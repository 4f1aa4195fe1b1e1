//! What a server makes of an answer: which address it takes, and when it leaves service for want of one.
//!
//! Invariant: two servers of a backend that follow the same name and port never take the same address, unless one of
//! them is told to (`resolve-opts allow-dup-ip`).

use super::At;
use super::core::Status;
use crate::config::model::ResolveOptions;
use crate::runtime::Generation;
use crate::runtime::board::{ServerDetail, ServerState, admin};
use crate::runtime::transitions::{self, Level, Notice};
use std::net::{IpAddr, SocketAddr};
use std::sync::PoisonError;
use std::sync::atomic::Ordering::Relaxed;

/// Why a server has no address: haproxy's words.
pub fn reason(status: Status) -> &'static str {
    match status {
        Status::Nx => "DNS NX status",
        Status::Refused => "DNS refused status",
        Status::Timeout => "DNS timeout status",
        Status::None | Status::Valid => "No IP for server ",
        Status::Other => "unspecified DNS error",
    }
}

/// The reason for servers whose host left a service's records.
pub const REMOVED: &str = "entry removed from SRV record";

/// Of several addresses the best: of the preferred family, in a preferred network, nobody else's, the one in use.
pub fn pick(
    addresses: impl IntoIterator<Item = IpAddr>,
    options: &ResolveOptions,
    current: Option<IpAddr>,
    is_taken: impl Fn(IpAddr) -> bool,
) -> Option<IpAddr> {
    const FAMILY: u8 = 8;
    const NETWORK: u8 = 4;
    const ALONE: u8 = 2;
    const CURRENT: u8 = 1;
    let mut best: Option<(u8, IpAddr)> = None;
    for ip in addresses {
        let taken = is_taken(ip);
        if taken && !options.allow_dup_ip {
            continue;
        }
        let mut score = if taken { 0 } else { ALONE };
        if ip.is_ipv4() == options.prefer_ipv4 {
            score += FAMILY;
        }
        if options.networks.iter().any(|n| n.contains(&ip)) {
            score += NETWORK;
        }
        if current == Some(ip) {
            score += CURRENT;
        }
        if best.is_none_or(|(most, _)| score > most) {
            best = Some((score, ip));
        }
    }
    best.map(|(_, ip)| ip)
}

/// A server under the eyes of the resolver.
#[derive(Clone, Copy)]
pub struct Seat<'a> {
    /// The generation in force.
    pub generation: &'a Generation,
    /// The server.
    pub at: At,
}

impl<'a> Seat<'a> {
    fn state(self) -> &'a ServerState {
        self.generation.server(self.at.0, self.at.1)
    }

    /// Reads or changes the server's details.
    pub fn with<T>(self, f: impl FnOnce(&mut ServerDetail) -> T) -> T {
        f(&mut self.state().detail.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn place(self) -> String {
        let proxy = self.generation.proxy(self.at.0);
        format!("{}/{}", proxy.name, proxy.servers[self.at.1.0].name)
    }

    /// Its preferences.
    pub fn options(self) -> &'a ResolveOptions {
        &self.generation.proxy(self.at.0).servers[self.at.1.0].resolve
    }

    /// Whether another server of the backend has this address under the same name and port.
    pub fn is_taken(self, ip: IpAddr) -> bool {
        let (name, port) = self.with(|d| (d.fqdn.clone(), d.port));
        self.generation.servers[self.at.0.0].iter().enumerate().any(|(i, other)| {
            if i == self.at.1.0 || other.admin.load(Relaxed) & admin::RESOLUTION_MAINT != 0 {
                return false;
            }
            let detail = other.detail.lock().unwrap_or_else(PoisonError::into_inner);
            detail.fqdn == name && detail.port == port && detail.address.is_some_and(|a| a.ip() == ip)
        })
    }

    /// Takes an address that `by` told of. Says whether it is another one.
    pub fn set_ip(self, ip: IpAddr, by: &str, out: &mut Vec<Notice>) -> bool {
        let old = self.with(|d| {
            let new = SocketAddr::new(ip, d.port);
            d.address.replace(new)
        });
        if old.is_some_and(|a| a.ip() == ip) {
            return false;
        }
        self.state().moves.fetch_add(1, Relaxed);
        let old = old.map_or_else(|| "(none)".to_owned(), |a| a.ip().to_string());
        let text = format!("{} changed its IP from {old} to {ip} by {by}.", self.place());
        self.tell(text.clone(), text, out);
        true
    }

    /// Takes the place of a service's host.
    pub fn set_host(self, host: &str, port: u16, out: &mut Vec<Notice>) {
        let old = self.with(|d| {
            d.port = port;
            d.fqdn.replace(host.to_owned())
        });
        self.state().admin.fetch_or(admin::RENAMED, Relaxed);
        let old = old.as_deref().unwrap_or("(null)");
        let text = format!("{} changed its FQDN from {old} to {host} by 'SRV record'", self.place());
        self.tell(String::new(), text, out);
    }

    /// Takes the weight of a service's record, 0..65535.
    pub fn set_weight(self, weight: u16) {
        if self.options().ignore_weight {
            return;
        }
        // The wire's range onto haproxy's, and never to nothing what is not nothing.
        let weight = u32::from(weight).div_ceil(256);
        if self.state().user_weight.swap(weight, Relaxed) != weight {
            self.generation.board.weights_changed.fetch_add(1, Relaxed);
        }
    }

    fn tell(self, stderr: String, log: String, out: &mut Vec<Notice>) {
        out.push(Notice { level: Level::Notice, proxy: self.at.0, stderr, log });
    }

    /// It has an address: back into service where the want of one kept it out.
    pub fn resolved(self, out: &mut Vec<Notice>) {
        transitions::clear_resolution(self.generation, self.at, out);
    }

    /// It is told, where a name server itself gave the answer.
    pub fn ready(self, out: &mut Vec<Notice>) {
        let text = format!("Server {} administratively READY thanks to valid DNS answer.", self.place());
        self.tell(text.clone(), text, out);
    }

    /// Whether the want of an address keeps it out of service.
    pub fn is_out(self) -> bool {
        self.state().admin.load(Relaxed) & admin::RESOLUTION_MAINT != 0
    }

    /// It has no address any more.
    pub fn lost(self, reason: &str, out: &mut Vec<Notice>) {
        if self.is_out() {
            return;
        }
        self.with(|d| d.address = None);
        transitions::set_resolution(self.generation, self.at, reason, out);
    }

    /// Its host left the service's records.
    pub fn removed(self, out: &mut Vec<Notice>) {
        self.with(|d| {
            d.fqdn = None;
            d.address = None;
            d.port = 0;
        });
        if !self.is_out() {
            transitions::set_resolution(self.generation, self.at, REMOVED, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_preferred_family_goes_first_then_networks_then_what_is_in_use() {
        let all = || ["10.0.0.1", "10.1.0.1", "fd00::1", "10.0.0.2"].map(ip);
        let v6 = ResolveOptions::default();
        let v4 = ResolveOptions { prefer_ipv4: true, ..ResolveOptions::default() };
        let net = ResolveOptions { networks: vec!["10.1.0.0/16".parse().unwrap()], ..v4.clone() };
        let free = |_| false;
        assert_eq!(pick(all(), &v6, None, free), Some(ip("fd00::1")));
        assert_eq!(pick(all(), &v6, Some(ip("10.0.0.1")), free), Some(ip("fd00::1")));
        assert_eq!(pick(all(), &v4, None, free), Some(ip("10.0.0.1")));
        assert_eq!(pick(all(), &v4, Some(ip("10.0.0.2")), free), Some(ip("10.0.0.2")));
        assert_eq!(pick(all(), &net, Some(ip("10.0.0.2")), free), Some(ip("10.1.0.1")));
        assert_eq!(pick([], &v4, None, free), None);
    }

    #[test]
    fn an_address_in_use_is_nobody_elses() {
        let v4 = ResolveOptions { prefer_ipv4: true, ..ResolveOptions::default() };
        let taken = |i: IpAddr| i == ip("10.0.0.1");
        assert_eq!(pick(["10.0.0.1", "10.0.0.2"].map(ip), &v4, None, taken), Some(ip("10.0.0.2")));
        assert_eq!(pick(["10.0.0.1"].map(ip), &v4, None, taken), None);
        let both = ResolveOptions { allow_dup_ip: true, ..v4 };
        assert_eq!(pick(["10.0.0.1"].map(ip), &both, None, taken), Some(ip("10.0.0.1")));
        assert_eq!(pick(["10.0.0.1", "10.0.0.2"].map(ip), &both, None, taken), Some(ip("10.0.0.2")));
    }
}
