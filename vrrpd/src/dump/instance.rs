//! Instances and their sockets.

use super::{View, descriptors, enabled, net, scripts, stamp, version, yes};
use crate::config::model::{Authentication, Family, Tracked, Version};
use crate::core::router::Member;
use crate::messages::StateName;
use std::fmt::Write as _;

pub(super) fn tracked(out: &mut String, title: &str, list: &[Tracked]) {
    if list.is_empty() {
        return;
    }
    let _ = writeln!(out, "   {title} :");
    for t in list {
        let _ =
            writeln!(out, "     {} weight {}{}", t.name, t.weight, if t.reverse { " reverse" } else { "" });
    }
}

/// As the original writes files and processes: with a comma.
pub(super) fn listed(out: &mut String, title: &str, list: &[Tracked]) {
    if list.is_empty() {
        return;
    }
    let _ = writeln!(out, "   {title} :");
    for t in list {
        let reverse = if t.reverse { " reverse" } else { "" };
        let _ = writeln!(out, "     {}, weight {}{reverse}", t.name, t.weight);
    }
}

/// The password up to its padding; the file is root's alone.
pub(super) fn password(key: &[u8; 8]) -> String {
    let end = key.iter().position(|b| *b == 0).unwrap_or(key.len());
    String::from_utf8_lossy(&key[..end]).into_owned()
}

pub(super) fn member(out: &mut String, view: &View<'_>, member: &Member) {
    let (c, router) = (&member.config, view.router);
    let state = member.machine.name();
    let unicast = !c.unicast_peers.is_empty();
    let _ = writeln!(out, " VRRP Instance = {}", c.name);
    let _ = writeln!(out, "   VRRP Version = {}", version(c.version));
    if let Some(g) = member.group {
        let _ = writeln!(out, "   Sync group = {}", router.groups[g].config.name);
    }
    if c.family == Family::Inet6 {
        let _ = writeln!(out, "   Using Native IPv6");
    }
    let _ = writeln!(out, "   State = {state}");
    if let Some((heard, interval)) = member.machine.follows() {
        let _ = writeln!(out, "   Master router = {}", heard.source);
        let _ = writeln!(out, "   Master priority = {}", heard.priority);
        if c.version == Version::V3 {
            let _ = writeln!(out, "   Master advert int = {:.2} sec", interval.as_secs_f64());
        }
    }
    // The original says "none" for IPv4 only.
    match (unicast, c.family) {
        (true, _) => out.push_str("   Flags:\n     Using unicast\n"),
        (false, Family::Inet) => out.push_str("   Flags: none\n"),
        (false, Family::Inet6) => out.push_str("   Flags:\n"),
    }
    let _ =
        writeln!(out, "   Wantstate = {}", if member.machine.ready() { StateName::Master } else { state });
    let _ = writeln!(out, "   Number of config faults = {}", c.config_faults);
    let _ = writeln!(out, "   Number of interface and track script faults = {}", member.faults);
    let _ = writeln!(out, "   Number of track scripts init = {}", member.pending);
    let _ = writeln!(out, "   Last transition = {}", stamp(member.since));
    match member.machine.deadline() {
        Some(at) => {
            let _ = writeln!(out, "   Read timeout = {}", stamp(Some(at)));
        }
        None => {
            let _ = writeln!(out, "   Read timeout = DISABLED");
        }
    }
    let rules = &member.machine.rules;
    let down = rules.master_down(member.machine.priority, rules.advert_int);
    let _ = writeln!(out, "   Master down timer = {} usecs", down.as_micros());
    let _ = writeln!(out, "   Interface = {}", c.interface);
    if let Some(vrf) = &c.vrf {
        let _ = writeln!(out, "   VRF = {vrf}");
    }
    if let Some(source) = member.machine.source {
        let from = if c.source.is_some() { " (from configuration)" } else { "" };
        let _ = writeln!(out, "   Using src_ip = {source}{from}");
    }
    if let Some(group) = router.socket(c).and_then(|s| s.group) {
        let scope = if group.is_ipv6() {
            format!(", ifindex {}", router.ifindex(c).unwrap_or(0))
        } else {
            String::new()
        };
        let _ = writeln!(out, "   Multicast address {group}{scope}");
    }
    timing(out, member);
    addresses(out, view, member);
    tracked(out, "Tracked interfaces", &c.track_interfaces);
    tracked(out, "Tracked scripts", &c.track_scripts);
    listed(out, "Tracked files", &c.track_files);
    listed(out, "Tracked processes", &c.track_processes);
    let _ = writeln!(out, "   Using smtp notification = {}", if c.smtp_alert { "yes" } else { "no" });
    let _ = writeln!(out, "   Notify deleted = {}", if c.notify.deleted { "Deleted" } else { "Fault" });
    scripts(out, &c.notify);
}

fn timing(out: &mut String, member: &Member) {
    let c = &member.config;
    let g = &c.garp;
    let _ = writeln!(out, "   Gratuitous ARP delay = {}", g.delay.as_secs());
    let _ = writeln!(out, "   Gratuitous ARP repeat = {}", g.repeat);
    let _ = writeln!(out, "   Gratuitous ARP refresh = {}", g.refresh.as_secs());
    let _ = writeln!(out, "   Gratuitous ARP refresh repeat = {}", g.refresh_repeat);
    let _ = writeln!(out, "   Gratuitous ARP lower priority delay = {}", g.lower_prio_delay.as_secs());
    let _ = writeln!(out, "   Gratuitous ARP lower priority repeat = {}", g.lower_prio_repeat);
    let _ = writeln!(out, "   Down timer adverts = {}", c.down_timer_adverts);
    let _ = writeln!(
        out,
        "   Send advert after receive lower priority advert = {}",
        yes(!c.lower_prio_no_advert)
    );
    let _ = writeln!(
        out,
        "   Send advert after receive higher priority advert = {}",
        yes(c.higher_prio_send_advert)
    );
    let _ = writeln!(out, "   Virtual Router ID = {}", c.vrid);
    let _ = writeln!(out, "   Priority = {}", c.priority);
    let _ = writeln!(out, "   Effective priority = {}", member.machine.priority);
    let _ = writeln!(out, "   Total priority = {}", member.machine.priority);
    let (number, unit) = match c.version {
        Version::V2 => (c.advert_int.as_secs() as u128, "sec"),
        Version::V3 => (c.advert_int.as_millis(), "milli-sec"),
    };
    let _ = writeln!(out, "   Advert interval = {number} {unit}");
    let _ = writeln!(out, "   Accept = {}", enabled(c.accept));
    let _ = writeln!(out, "   Preempt = {}", enabled(!c.nopreempt));
    if !c.preempt_delay.is_zero() {
        let _ = writeln!(out, "   Preempt delay = {} secs", c.preempt_delay.as_secs_f64());
    }
    let _ = writeln!(out, "   Promote_secondaries = {}", enabled(c.promote_secondaries));
    let _ = match c.authentication {
        Authentication::None => Ok(()),
        Authentication::Pass(_) => writeln!(out, "   Authentication type = SIMPLE_PASSWORD"),
        Authentication::Ah(_) => writeln!(out, "   Authentication type = IPSEC_AH"),
    };
    if let Authentication::Pass(key) | Authentication::Ah(key) = &c.authentication {
        let _ = writeln!(out, "   Password = {}", password(key));
    }
    if c.debug != 0 {
        let _ = writeln!(out, "   Debug level = {}", c.debug);
    }
}

fn addresses(out: &mut String, view: &View<'_>, member: &Member) {
    let c = &member.config;
    let set = member.machine.name() == StateName::Master;
    let _ = writeln!(out, "   Virtual IP ({}):", c.vips.len());
    c.vips.iter().for_each(|a| {
        let _ = writeln!(out, "     {}", net::address(a, &c.interface, set));
    });
    if !c.excluded_vips.is_empty() {
        let _ = writeln!(out, "   Virtual IP Excluded :");
        c.excluded_vips.iter().for_each(|a| {
            let _ = writeln!(out, "     {}", net::address(a, &c.interface, set));
        });
    }
    if !c.unicast_peers.is_empty() {
        let _ = writeln!(out, "   Unicast TTL = {}", c.unicast_ttl.unwrap_or(255));
        let _ = writeln!(out, "   Check unicast src : {}", if c.check_unicast_source { "yes" } else { "no" });
        let _ = writeln!(out, "   Unicast Peer :");
        for peer in &c.unicast_peers {
            let (min, max) = (peer.min_ttl.unwrap_or(0), peer.max_ttl.unwrap_or(255));
            let _ = writeln!(out, "     {} min_ttl {min} max_ttl {max}", peer.address);
        }
        let compatible = if member.old_checksum() { "yes" } else { "no" };
        let _ = writeln!(out, "   Unicast checksum compatibility = {compatible}");
    }
    let (receive, send) = view.router.socket(c).map_or((-1, -1), |key| descriptors(view, &key));
    let _ = writeln!(out, "   fd_in {receive}, fd_out {send}");
    if !c.routes.is_empty() {
        let _ = writeln!(out, "   Virtual Routes :");
        c.routes.iter().for_each(|r| {
            let _ = writeln!(out, "     {}", net::route(r));
        });
    }
    if !c.rules.is_empty() {
        let _ = writeln!(out, "   Virtual Rules :");
        c.rules.iter().for_each(|r| {
            let _ = writeln!(out, "     {}", net::rule(r));
        });
    }
}

/// The sockets, in the order they were wanted.
pub(super) fn sockpool(out: &mut String, view: &View<'_>) {
    let router = view.router;
    if router.members.is_empty() {
        return;
    }
    let _ = writeln!(out, "------< VRRP Sockpool >------");
    for key in router.sockets() {
        let (receive, send) = descriptors(view, &key);
        let _ = writeln!(out, " fd_in {receive} fd_out = {send}");
        let name = router.interface(key.ifindex).unwrap_or_else(|| "none".into());
        let family = if key.family == Family::Inet { "IPv4" } else { "IPv6" };
        let _ = writeln!(out, "   Interface = {name}\n   Family = {family}");
        let _ = writeln!(out, "   Protocol = {}", if key.ah { "AH" } else { "VRRP" });
        let _ = writeln!(out, "   Type = {}", if key.group.is_some() { "Multicast" } else { "Unicast" });
        if let Some(source) = key.source {
            let _ = writeln!(out, "   Address = {source}");
        }
        let _ = writeln!(out, "   Rx buf size = {}\n   VRRP instances", key.rcvbuf.unwrap_or(0));
        for member in router.members.iter().filter(|m| router.socket(&m.config).as_ref() == Some(&key)) {
            let _ = writeln!(out, "     {} vrid {}", member.config.name, member.config.vrid);
        }
    }
}
