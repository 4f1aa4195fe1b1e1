//! Interfaces.

use super::{View, wall};
use crate::core::router::Member;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::{Duration, UNIX_EPOCH};

/// ARPHRD_LOOPBACK.
const LOOPBACK: u16 = 772;

fn hex(mac: &[u8]) -> String {
    mac.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(":")
}

fn flags(link: &netlink::Link) -> String {
    let mut words =
        vec![if link.up { "UP" } else { "not UP" }, if link.running { "RUNNING" } else { "not RUNNING" }];
    for (on, word) in [
        (!link.broadcast, "no broadcast"),
        (link.loopback, "loopback"),
        (link.point_to_point, "point to point"),
        (link.noarp, "no arp"),
        (!link.multicast, "no multicast"),
    ] {
        words.extend(on.then_some(word));
    }
    words.join(", ")
}

fn setting(family: &str, link: &str, name: &str) -> String {
    let text = std::fs::read_to_string(format!("/proc/sys/net/{family}/conf/{link}/{name}"));
    text.map_or_else(|_| "0".into(), |t| t.trim().to_owned())
}

/// All links and who uses them.
pub(super) fn interfaces(out: &mut String, view: &View<'_>) {
    let _ = writeln!(out, "------< Interfaces >------");
    for link in &view.links {
        interface(out, view, link);
    }
}

fn interface(out: &mut String, view: &View<'_>, link: &netlink::Link) {
    let router = view.router;
    let list = router.link_addresses(link.index);
    let none = || "(none)".to_string();
    // What adverts could be sent from: for IPv6 a link-local address.
    let own = |a: &&IpAddr| !router.is_virtual(**a);
    let v4 = list.iter().filter(own).find(|a| a.is_ipv4()).map_or_else(none, ToString::to_string);
    let local = |a: &&IpAddr| matches!(a, IpAddr::V6(a) if a.is_unicast_link_local());
    let v6 = list.iter().filter(own).find(local).map_or_else(none, ToString::to_string);
    let _ = writeln!(
        out,
        " Name = {}\n   index = {}\n   IPv4 address = {v4}\n   IPv6 address = {v6}",
        link.name, link.index
    );
    if link.is_ethernet() {
        let _ = writeln!(out, "   MAC = {}", hex(&link.mac));
        let _ = writeln!(out, "   MAC broadcast = {}", hex(&link.mac_broadcast));
    }
    let _ = writeln!(out, "   State = {}\n   Seen up = {}", flags(link), u8::from(link.up));
    let _ = writeln!(out, "   Delayed state change running = {}", super::yes(router.link_waits(&link.name)));
    let delays = router.config.link_delays.iter().find(|d| d.interface == link.name);
    let (up, down) = delays.map_or((Duration::ZERO, Duration::ZERO), |d| (d.up, d.down));
    let _ = writeln!(
        out,
        "   Up debounce timer = {}us\n   Down debounce timer = {}us",
        up.as_micros(),
        down.as_micros()
    );
    let _ = writeln!(out, "   MTU = {}", link.mtu);
    let _ = match link.hardware {
        LOOPBACK => writeln!(out, "   HW Type = LOOPBACK"),
        _ if link.is_ethernet() => writeln!(out, "   HW Type = ETHERNET"),
        other => writeln!(out, "   HW Type = UNKNOWN ({other})"),
    };
    let _ = writeln!(out, "   NIC netlink status update");
    let original = |name: &str| setting("ipv4", &link.name, name);
    // Nothing of an interface is changed by us, so what it has is what it had.
    let _ = writeln!(out, "   Reset ARP config counter 0");
    for name in ["arp_ignore", "arp_filter", "promote_secondaries"] {
        let _ = writeln!(out, "   Original {name} {}", original(name));
    }
    let _ = writeln!(out, "   Reset promote_secondaries counter 0");
    forwarding(out, view, link.index);
    let uses = |m: &&Member| m.config.interface == link.name;
    let tracked =
        |m: &Member| m.config.track_interfaces.iter().find(|t| t.name == link.name).map(|t| t.weight);
    let users: Vec<(&str, i32)> = router
        .members
        .iter()
        .filter(|m| uses(m) || tracked(m).is_some())
        .map(|m| (m.config.name.as_str(), tracked(m).unwrap_or(0)))
        .collect();
    if !users.is_empty() {
        let _ = writeln!(out, "   Tracking VRRP instances :");
        for (name, weight) in users {
            let _ = writeln!(out, "     {name}, weight {weight}");
        }
    }
}

/// Whether it forwards IPv6, where that was asked for.
fn forwarding(out: &mut String, view: &View<'_>, index: u32) {
    if let Some((at, forwards)) = view.forwarding.get(&index) {
        let micros = wall(Some(*at));
        let t = sys::clock::local(UNIX_EPOCH + Duration::from_micros(micros as u64));
        let _ = writeln!(
            out,
            "   {}IPv6 forwarding. Last checked {}.{:06} ({} {} {:2} {:02}:{:02}:{:02} {}.{:06})",
            if *forwards { "" } else { "Not " },
            micros / 1_000_000,
            micros % 1_000_000,
            t.day_name(),
            t.month_name(),
            t.day,
            t.hour,
            t.minute,
            t.second,
            t.year,
            t.micros
        );
    }
}
