//! One line of `virtual_ipaddress`, `virtual_ipaddress_excluded` or `static_ipaddress`.
//!
//! Invariant: complaints are the original's, in its order; a line that can't be used gives no address. Absent on
//! purpose: whether the family suits the instance (instance.rs).

use super::group::STATIC_TRACK_GROUP;
use super::model::Address;
use super::{Builder, scope_number};
use conf_parsers::keepalived::walk::{Line, Stop};
use std::net::{IpAddr, Ipv4Addr};

/// Longest label of an address, IFNAMSIZ without the NUL.
const LABEL_MAX: usize = 15;

/// An address with an optional prefix length; the second is `None` when none was written.
pub(super) fn network(word: &str) -> Option<(IpAddr, Option<&str>)> {
    let (address, len) = match word.split_once('/') {
        Some((address, len)) => (address, Some(len)),
        None => (word, None),
    };
    Some((address.parse().ok()?, len))
}

fn full(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// The prefix length `len` of `address`, or the full one with a complaint.
fn prefix(line: &mut Line<'_>, address: IpAddr, len: Option<&str>, word: &str) -> u8 {
    let max = full(address);
    let Some(len) = len else { return max };
    match len.parse::<u8>().ok().filter(|n| *n <= max) {
        Some(n) => n,
        None => {
            line.say(format!("Invalid address prefix len {len} for address {word} - using {max}"));
            max
        }
    }
}

/// Reads the line; `is_static` knows `track_group` and not `use_vmac`.
pub(super) fn parse(b: &mut Builder, line: &mut Line<'_>, is_static: bool) -> Result<Option<Address>, Stop> {
    let mut found: Option<Address> = None;
    let mut i = 0;
    let mut brd_word = None;
    while let Some(word) = line.get(i) {
        i += 1;
        match word {
            "dev" | "scope" | "brd" | "broadcast" | "label" | "peer" | "preferred_lft" => {
                let value = line.need(i)?;
                i += 1;
                if word.starts_with("br") {
                    brd_word = Some(value);
                }
                if !valued(b, line, &mut found, word, value) {
                    return Ok(None);
                }
            }
            "track_group" if is_static => {
                let value = line.need(i)?;
                i += 1;
                valued(b, line, &mut found, word, value);
            }
            "home" => set(&mut found, |a| a.home = true),
            "-nodad" => set(&mut found, |a| a.dad = true),
            "mngtmpaddr" => set(&mut found, |a| a.mngtmpaddr = true),
            "noprefixroute" => set(&mut found, |a| a.noprefixroute = true),
            "autojoin" => set(&mut found, |a| a.autojoin = true),
            "no_track" => set(&mut found, |a| a.no_track = true),
            "use_vmac" if !is_static => set(&mut found, |a| a.use_vmac = true),
            "deprecated" => set(&mut found, |a| a.preferred_lft = Some(0)),
            _ if found.is_none() => match network(word) {
                Some((address, len)) => {
                    let len = prefix(line, address, len, word);
                    found = Some(Address::new(address, len));
                }
                None => {
                    line.say(format!("VRRP parsed invalid IP {word}. skipping IP..."));
                    return Ok(None);
                }
            },
            _ => line.say(format!("Unknown configuration entry '{word}' for ip address - ignoring")),
        }
    }
    Ok(found.map(|a| finish(line, a, brd_word)))
}

/// Takes an option with its value in; false drops the address.
fn valued(
    b: &mut Builder,
    line: &mut Line<'_>,
    found: &mut Option<Address>,
    word: &str,
    value: &str,
) -> bool {
    match word {
        "dev" => {
            let name = value;
            let shown = found.as_ref().map_or(String::new(), |a| a.address.to_string());
            if found.as_ref().is_some_and(|a| a.device.is_some()) {
                line.say(format!("Cannot specify ipaddress device more than once for {shown}"));
                return true;
            }
            if !b.may_exist(name) {
                line.say(format!("WARNING - interface {name} for ip address {shown} doesn't exist"));
                b.missing_interface = true;
            }
            set(found, |a| a.device = Some(name.to_owned()));
        }
        "scope" => {
            let name = value;
            let shown = line.get(0).unwrap_or_default();
            match scope_number(name) {
                Some(scope) => set(found, |a| a.scope = scope),
                None => line.say(format!("Invalid scope '{name}' specified for {shown} - ignoring")),
            }
        }
        "brd" | "broadcast" => {
            return broadcast(line, found, value);
        }
        "label" => {
            let label = value;
            if label.len() > LABEL_MAX {
                line.say(format!(
                    "Address label {label} is longer than maximum length {LABEL_MAX} - removing address"
                ));
                return false;
            }
            set(found, |a| a.label = Some(label.to_owned()));
        }
        "peer" => {
            let peer = value;
            return take_peer(line, found, peer);
        }
        "preferred_lft" => match value.parse::<u32>() {
            _ if value == "forever" => set(found, |a| a.preferred_lft = None),
            Ok(seconds) => set(found, |a| a.preferred_lft = Some(seconds)),
            Err(_) => line.say(format!("preferred_lft {value} is invalid")),
        },
        _ => {
            let name = value;
            if found.as_ref().is_some_and(|a| a.track_group.is_some()) {
                line.say(format!("track_group {name} is a duplicate"));
            } else if !b.config.track_groups.iter().any(|g| g.name == name) {
                line.say(format!("track_group {name} not found"));
            } else {
                line.inert(STATIC_TRACK_GROUP);
                set(found, |a| a.track_group = Some(name.to_owned()));
            }
        }
    }
    true
}

fn set(found: &mut Option<Address>, change: impl FnOnce(&mut Address)) {
    if let Some(address) = found {
        change(address);
    }
}

fn broadcast(line: &mut Line<'_>, found: &mut Option<Address>, word: &str) -> bool {
    let Some(address) = found else { return true };
    let shown = address.address;
    let IpAddr::V4(ip) = address.address else {
        line.say(format!(
            "VRRP is trying to assign a broadcast {word} to the IPv6 address {shown} !!?? WTF... skipping VIP..."
        ));
        return false;
    };
    let host = u32::MAX.checked_shr(u32::from(address.prefix_len)).unwrap_or(0);
    let value = match word {
        "+" | "-" if address.prefix_len > 30 => {
            line.say(format!("Address prefix length {} too long for broadcast", address.prefix_len));
            return true;
        }
        "+" => Some(Ipv4Addr::from(u32::from(ip) | host)),
        "-" => Some(Ipv4Addr::from(u32::from(ip) & !host)),
        word => word.parse().ok(),
    };
    if value.is_none() {
        line.say(format!("VRRP is trying to assign invalid broadcast {word}. skipping VIP..."));
        return false;
    }
    address.broadcast = value;
    true
}

fn take_peer(line: &mut Line<'_>, found: &mut Option<Address>, word: &str) -> bool {
    let Some(address) = found else { return true };
    if address.peer.is_some() {
        line.say(format!("Peer {word} - another peer has already been specified"));
        return true;
    }
    let Some((peer, len)) = network(word) else {
        line.say(format!("Invalid peer address {word}"));
        return true;
    };
    if peer.is_ipv4() != address.address.is_ipv4() {
        line.say(format!("Peer address {word} does not match address family"));
        return false;
    }
    if address.prefix_len != full(address.address) {
        line.say("Cannot specify address prefix when specifying peer address - ignoring");
        address.prefix_len = full(address.address);
    }
    let len = prefix(line, peer, len, word);
    address.peer = Some((peer, len));
    true
}

fn finish(line: &mut Line<'_>, mut address: Address, brd: Option<&str>) -> Address {
    if address.peer.is_some() && brd.is_some() {
        line.say("Cannot specify broadcast and peer addresses - ignoring broadcast address");
        address.broadcast = None;
    }
    if address.address.is_ipv6() {
        let shown = address.address;
        if address.scope != 0 {
            line.say(format!("Cannot specify scope for IPv6 addresses ({shown}) - ignoring scope"));
            address.scope = 0;
        }
        if address.label.take().is_some() {
            line.say(format!("Cannot specify label for IPv6 addresses ({shown}) - ignoring label"));
        }
    }
    address
}
