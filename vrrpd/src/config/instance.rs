//! `vrrp_instance`: its keywords, in the original's words.
//!
//! Invariant: a draft holds what was written; what follows from other blocks is decided in finish.rs.

use super::model::{
    Authentication, Command, Family, Instance, Ipvlan, OldUnicastChecksum, UnicastPeer, Version, Vmac,
};
use super::{Builder, address, route, track};
use conf_parsers::keepalived::boolean;
use conf_parsers::keepalived::shared;
use conf_parsers::keepalived::walk::{
    Line, Row, Step, Stop, block, ignore, items, no_effect, not_yet, not_yet_items, nothing, words,
};
use std::net::IpAddr;
use std::time::Duration;

/// Octets of `auth_pass` on the wire.
const AUTH_LEN: usize = 8;
/// Longest interface name, IFNAMSIZ without the NUL.
pub(super) const INTERFACE_MAX: usize = 15;
/// Longest `preempt_delay` in seconds: microseconds of it fill 32 bits.
const PREEMPT_DELAY_MAX_S: u64 = 1000;
/// 1000 s as microseconds.
const US: u64 = 1_000_000;

/// An instance under way.
#[derive(Debug, Clone, Default)]
pub(super) struct Draft {
    pub(super) i: Instance,
    pub(super) family: Option<Family>,
    pub(super) version: Option<Version>,
    pub(super) auth_type: Option<AuthType>,
    pub(super) auth_data: Option<[u8; AUTH_LEN]>,
    pub(super) priority: Option<u8>,
    pub(super) accept: Option<bool>,
    pub(super) strict: Option<bool>,
    pub(super) smtp_alert: Option<bool>,
    pub(super) unicast_keyword: bool,
    pub(super) has_peer_block: bool,
    pub(super) no_vips: bool,
    pub(super) interface_missing: bool,
    pub(super) lvs_sync_interface: Option<String>,
}

/// `auth_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AuthType {
    Pass,
    Ah,
}

type B = Builder;

/// The keywords of `vrrp_instance`.
pub(super) static ROWS: &[Row<B>] = &[
    words(
        "use_vmac",
        "[[name] <VMAC_INTERFACE_NAME>] [MAC_ADDRESS] [netlink_notify_msg] [group GROUP_ID]",
        use_vmac,
    ),
    words("use_vmac_addr", "", |b, _| b.flag(|i| i.vmac_addresses = true)),
    words("vmac_xmit_base", "", |b, _| b.flag(|i| i.xmit_base = true)),
    words(
        "use_ipvlan",
        "[[name] <INTERFACE_NAME>] [IP_ADDRESS] [bridge|private|vepa] [group GROUP_ID]",
        use_ipvlan,
    ),
    items("unicast_peer", "", unicast_peer),
    words("unicast_fault_no_peer", "", |b, _| b.flag(|i| i.unicast_fault_no_peer = true)),
    words("check_unicast_src", "", |b, _| b.flag(|i| i.check_unicast_source = true)),
    words("old_unicast_checksum", "[never]", old_unicast_checksum),
    words("native_ipv6", "", |b, _| {
        b.draft.family = Some(Family::Inet6);
        Ok(())
    }),
    words("state", "MASTER", state),
    words("interface", "eth0", interface),
    not_yet("vrf", "VRF_IF", "no macvlan is made that could be put there", |b, l| {
        b.draft.i.vrf = Some(l.need(1)?.to_owned());
        Ok(())
    }),
    words("dont_track_primary", "", |b, _| b.flag(|i| i.dont_track_primary = true)),
    items("track_interface", "", |b, l| track::interface(b, l, false)),
    items("track_script", "", |b, l| track::script(b, l, false)),
    items("track_file", "", |b, l| track::file(b, l, false)),
    items("track_process", "", |b, l| track::process(b, l, false)),
    not_yet_items("track_bfd", "", track::NO_BFD, |b, l| track::bfd(b, l, false)),
    words("mcast_src_ip", "<IPADDR>", |b, l| source(b, l, false)),
    words("unicast_src_ip", "<IPADDR>", |b, l| source(b, l, true)),
    words("mcast_dst_ip", "<MULTICAST_IPADDR>", mcast_dst_ip),
    words("track_src_ip", "", |b, _| b.flag(|i| i.track_source = true)),
    words("virtual_router_id", "51", virtual_router_id),
    words("unicast_ttl", "{0..255}", unicast_ttl),
    words("version", "<2 or 3>", version),
    words("priority", "100", priority),
    words("advert_int", "1", advert_int),
    items("virtual_ipaddress", "", |b, l| vip(b, l, false)),
    items("virtual_ipaddress_excluded", "", |b, l| vip(b, l, true)),
    words("no_virtual_ipaddress", "", |b, _| {
        b.draft.no_vips = true;
        Ok(())
    }),
    words("promote_secondaries", "", |b, _| b.flag(|i| i.promote_secondaries = true)),
    no_effect("linkbeat_use_polling", "", "netlink tells every change of a link", |b, l| {
        l.say(format!(
            "({}) 'linkbeat_use_polling' in vrrp instance deprecated - use linkbeat_interfaces block",
            b.draft.i.name
        ));
        Ok(())
    }),
    words("v3_checksum_as_v2", "[<BOOL>]", |b, l| {
        b.draft.i.v3_checksum_as_v2 = l.get(1).and_then(boolean).unwrap_or(true);
        Ok(())
    }),
    items("virtual_routes", "", |b, l| {
        if let Some(r) = route::route(b, l, false)? {
            b.draft.i.routes.push(r);
        }
        Ok(())
    }),
    items("virtual_rules", "", |b, l| {
        if let Some(r) = route::rule(b, l, false)? {
            b.draft.i.rules.push(r);
        }
        Ok(())
    }),
    words("accept", "", |b, _| {
        b.draft.accept = Some(true);
        Ok(())
    }),
    words("no_accept", "", |b, _| {
        b.draft.accept = Some(false);
        Ok(())
    }),
    words("skip_check_adv_addr", "[<BOOL>]", |b, l| {
        let v = flag(b, l, "invalid skip_check_adv_addr")?;
        b.draft.i.skip_check_adv_addr = v.unwrap_or(b.draft.i.skip_check_adv_addr);
        Ok(())
    }),
    words("strict_mode", "[<BOOL>]", |b, l| {
        let v = flag(b, l, "invalid strict_mode")?;
        b.draft.strict = v.or(b.draft.strict);
        Ok(())
    }),
    words("preempt", "", |b, _| b.flag(|i| i.nopreempt = false)),
    words("nopreempt", "", |b, _| b.flag(|i| i.nopreempt = true)),
    words("preempt_delay", "300", preempt_delay),
    no_effect("debug", "<LEVEL>", "an instance logs the same at all levels", debug),
    words("notify_backup", "<STRING>|<QUOTED-STRING> [username [:][groupname]]", |b, l| {
        notify(b, l, "notify_backup", |i| &mut i.notify.backup)
    }),
    words("notify_master", "<STRING>|<QUOTED-STRING> [username [:][groupname]]", |b, l| {
        notify(b, l, "notify_master", |i| &mut i.notify.master)
    }),
    words("notify_fault", "<STRING>|<QUOTED-STRING> [username [:][groupname]]", |b, l| {
        notify(b, l, "notify_fault", |i| &mut i.notify.fault)
    }),
    words("notify_stop", "<STRING>|<QUOTED-STRING> [username [:][groupname]]", |b, l| {
        notify(b, l, "notify_stop", |i| &mut i.notify.stop)
    }),
    words("notify_deleted", "[<STRING>|<QUOTED-STRING> [username [:][groupname]]]", |b, l| {
        b.draft.i.notify.deleted = true;
        if l.len() > 1 {
            notify(b, l, "notify_deleted", |i| &mut i.notify.deleted_script)?;
        }
        Ok(())
    }),
    words("notify", "<STRING>|<QUOTED-STRING> [username [:][groupname]]", |b, l| {
        notify(b, l, "notify", |i| &mut i.notify.any)
    }),
    words("notify_master_rx_lower_pri", "<STRING>|<QUOTED-STRING> [username [:][groupname]]", |b, l| {
        notify(b, l, "notify_master_rx_lower_pri", |i| &mut i.notify.master_rx_lower_pri)
    }),
    words("smtp_alert", "<BOOL>", |b, l| {
        match l.get(1).map_or(Some(true), boolean) {
            Some(v) => b.draft.smtp_alert = Some(v),
            None => {
                l.say(format!("Invalid vrrp_instance smtp_alert parameter {}", l.get(1).unwrap_or_default()));
            }
        }
        Ok(())
    }),
    words("notify_priority_changes", "<BOOL>", |b, l| {
        match l.get(1).map_or(Some(true), boolean) {
            Some(v) => b.draft.i.notify.priority_changes = v,
            None => l.say(format!(
                "({}) Invalid value '{}' for notify_priority_changes specified",
                b.draft.i.name,
                l.get(1).unwrap_or_default()
            )),
        }
        Ok(())
    }),
    not_yet(
        "lvs_sync_daemon_interface",
        "IFNAME",
        "the state of an instance does not reach the sync daemon",
        lvs_sync_daemon_interface,
    ),
    words("garp_master_delay", "10", |b, l| {
        if let Some(v) = number(b, l, 0, u32::MAX, "garp_master_delay '{}' invalid - ignoring")? {
            b.draft.i.garp.delay = Duration::from_secs(v.into());
        }
        Ok(())
    }),
    words("garp_master_refresh", "60", |b, l| {
        if let Some(v) = number(b, l, 0, u32::MAX, "Invalid garp_master_refresh '{}' - ignoring")? {
            b.draft.i.garp.refresh = Duration::from_secs(v.into());
        }
        Ok(())
    }),
    words("garp_master_repeat", "1", |b, l| {
        if let Some(v) = at_least_one(b, l, "garp_master_repeat")? {
            b.draft.i.garp.repeat = v;
        }
        Ok(())
    }),
    words("garp_master_refresh_repeat", "2", |b, l| {
        if let Some(v) = at_least_one(b, l, "garp_master_refresh_repeat")? {
            b.draft.i.garp.refresh_repeat = v;
        }
        Ok(())
    }),
    words("garp_lower_prio_delay", "10", |b, l| {
        if let Some(v) = number(b, l, 0, u32::MAX, "garp_lower_prio_delay '{}' invalid - ignoring")? {
            b.draft.i.garp.lower_prio_delay = Duration::from_secs(v.into());
        }
        Ok(())
    }),
    words("garp_lower_prio_repeat", "1", |b, l| {
        if let Some(v) = number(b, l, 0, i32::MAX as u32, "Invalid garp_lower_prio_repeat '{}'")? {
            b.draft.i.garp.lower_prio_repeat = v;
        }
        Ok(())
    }),
    words("down_timer_adverts", "[1-100]", |b, l| {
        if let Some(v) = number(b, l, 1, 100, "Invalid down_timer_adverts [1:100] '{}'")? {
            b.draft.i.down_timer_adverts = v;
        }
        Ok(())
    }),
    no_effect(
        "timer_expired_backup",
        "[HIGHEST_PRIORITY_OF_OTHER_INSTANCES]",
        "timers are never served late by that much",
        ignore,
    ),
    no_effect("thread_timer_expired", "[PRIO]", "timers are never served late by that much", ignore),
    not_yet("garp_extra_if", "[all] 100", NO_EXTRA_GARP, garp_extra_if),
    not_yet("vmac_garp_intvl", "[all] SECS", NO_EXTRA_GARP, |b, l| {
        l.say("Keyword \"vmac_garp_intvl\" is deprecated - please use \"garp_extra_if\"");
        garp_extra_if(b, l)
    }),
    words("lower_prio_no_advert", "[<BOOL>]", |b, l| {
        let v = flag(b, l, "invalid lower_prio_no_advert")?;
        b.draft.i.lower_prio_no_advert = v.unwrap_or(b.draft.i.lower_prio_no_advert);
        Ok(())
    }),
    words("higher_prio_send_advert", "[<BOOL>]", |b, l| {
        let v = flag(b, l, "invalid higher_prio_send_advert")?;
        b.draft.i.higher_prio_send_advert = v.unwrap_or(b.draft.i.higher_prio_send_advert);
        Ok(())
    }),
    words("owner_ignore_adverts", "[BOOL]", |b, l| {
        let v = flag(b, l, "invalid owner_ignore_adverts")?;
        b.draft.i.owner_ignore_adverts = v.unwrap_or(b.draft.i.owner_ignore_adverts);
        Ok(())
    }),
    words("kernel_rx_buf_size", "", |b, l| {
        if let Some(v) = number(b, l, 1, u32::MAX, " invalid kernel_rx_buf_size specified")? {
            b.draft.i.kernel_rx_buffer = Some(v);
        }
        Ok(())
    }),
    block("authentication", "", |_, _| Ok(true), AUTHENTICATION, nothing),
    block("auth_hmac", "", |_, _| Ok(true), AUTH_HMAC, nothing),
];

static AUTHENTICATION: &[Row<B>] =
    &[words("auth_type", "PASS", auth_type), words("auth_pass", "1234", auth_pass)];

const NO_EXTRA_GARP: &str = "addresses are announced again at garp_master_refresh only";
const HMAC: &str = "adverts carry no HMAC trailer";
static AUTH_HMAC: &[Row<B>] = &[
    not_yet("key", "1 hex:000102...", HMAC, ignore),
    not_yet("active_key", "2", HMAC, ignore),
    not_yet("time_window", "5", HMAC, ignore),
    not_yet("anti_replay", "time", HMAC, ignore),
    not_yet("mode", "enforce", HMAC, ignore),
];

/// The opening line.
pub(super) fn open(b: &mut B, line: &mut Line<'_>) -> Result<bool, Stop> {
    if line.len() != 2 {
        line.say("vrrp_instance must have a name");
        return Ok(false);
    }
    let name = line.need(1)?.to_owned();
    if b.drafts.iter().any(|d| d.i.name == name) {
        line.say(format!("vrrp instance {name} already defined"));
        return Ok(false);
    }
    b.draft = b.new_draft(name);
    Ok(true)
}

/// The end of the block.
pub(super) fn close(b: &mut B, line: &mut Line<'_>) {
    let mut draft = std::mem::take(&mut b.draft);
    let i = &mut draft.i;
    let unicast = !i.unicast_peers.is_empty() || i.unicast_fault_no_peer;
    if unicast && i.interface.is_empty() && (i.vmac.is_some() || i.ipvlan.is_some()) {
        let text =
            format!("({}): Cannot use VMAC/ipvlan with unicast and no interface - clearing use_vmac", i.name);
        line.say(text);
        (i.vmac, i.ipvlan) = (None, None);
    } else if unicast && i.vmac.is_some() && !i.xmit_base {
        line.say(format!("({}) unicast with use_vmac requires vmac_xmit_base - setting", i.name));
        i.xmit_base = true;
    }
    b.drafts.push(draft);
}

fn flag(b: &B, line: &mut Line<'_>, what: &str) -> Result<Option<bool>, Stop> {
    let Some(word) = line.get(1) else { return Ok(Some(true)) };
    let value = boolean(word);
    if value.is_none() {
        line.say(format!("({}) {what} {word} specified", b.draft.i.name));
    }
    Ok(value)
}

fn number(b: &B, line: &mut Line<'_>, min: u32, max: u32, text: &str) -> Result<Option<u32>, Stop> {
    let word = line.need(1)?;
    let value = line.unsigned(word, min, max);
    if value.is_none() {
        let separator = if text.starts_with(' ') { "" } else { ": " };
        line.say(format!("({}){separator}{}", b.draft.i.name, text.replace("{}", word)));
    }
    Ok(value)
}

fn at_least_one(b: &B, line: &mut Line<'_>, name: &str) -> Result<Option<u32>, Stop> {
    let value = number(b, line, 0, u32::MAX, &format!("{name} '{{}}' invalid - ignoring"))?;
    if value == Some(0) {
        line.say(format!("({}): {name} must be greater than 0, setting to 1", b.draft.i.name));
        return Ok(Some(1));
    }
    Ok(value)
}

fn state(b: &mut B, line: &mut Line<'_>) -> Step {
    let word = line.need(1)?;
    match word {
        "MASTER" => b.draft.i.wants_master = true,
        "BACKUP" if b.draft.i.wants_master => {
            line.say(format!("({}) state previously set as MASTER - ignoring BACKUP", b.draft.i.name));
        }
        "BACKUP" => {}
        _ => {
            line.say(format!("({}) unknown state '{word}', defaulting to BACKUP", b.draft.i.name));
            b.draft.i.wants_master = false;
        }
    }
    Ok(())
}

fn interface(b: &mut B, line: &mut Line<'_>) -> Step {
    let name = line.need(1)?;
    if name.len() > INTERFACE_MAX {
        line.say(format!("Interface name '{name}' too long - ignoring"));
        return Ok(());
    }
    if !b.may_exist(name) {
        line.say(format!("WARNING - interface {name} for vrrp_instance {} doesn't exist", b.draft.i.name));
        b.missing_interface = true;
        b.draft.interface_missing = true;
    } else if name == "lo" {
        line.say(format!(
            "({}) cannot use a loopback interface ({name}) for vrrp - ignoring",
            b.draft.i.name
        ));
        return Ok(());
    }
    name.clone_into(&mut b.draft.i.interface);
    Ok(())
}

fn virtual_router_id(b: &mut B, line: &mut Line<'_>) -> Step {
    if let Some(vrid) = number(b, line, 1, 255, "VRID '{}' not valid - must be between 1 & 255")? {
        b.draft.i.vrid = vrid as u8;
    }
    Ok(())
}

fn unicast_ttl(b: &mut B, line: &mut Line<'_>) -> Step {
    if let Some(ttl) = number(b, line, 0, 255, "TTL '{}' not valid - must be between 0 & 255")? {
        b.draft.i.unicast_ttl = Some(ttl as u8);
        b.draft.unicast_keyword = true;
    }
    Ok(())
}

fn version(b: &mut B, line: &mut Line<'_>) -> Step {
    let read = number(b, line, 2, 3, "Version must be either 2 or 3")?;
    b.draft.version = read.map(|v| if v == 2 { Version::V2 } else { Version::V3 }).or(b.draft.version);
    Ok(())
}

fn priority(b: &mut B, line: &mut Line<'_>) -> Step {
    let text = " Priority not valid! must be between 1 & 255. Using default 100";
    b.draft.priority = Some(number(b, line, 1, 255, text)?.unwrap_or(100) as u8);
    Ok(())
}

fn advert_int(b: &mut B, line: &mut Line<'_>) -> Step {
    let word = line.need(1)?;
    match line.seconds(word, US / 100, 255 * US) {
        Some(time) => b.draft.i.advert_int = time,
        None => {
            line.say(format!(
                "({}) Advert interval ({word}) not valid! Must be > 0 - ignoring",
                b.draft.i.name
            ));
        }
    }
    Ok(())
}

fn preempt_delay(b: &mut B, line: &mut Line<'_>) -> Step {
    let word = line.need(1)?;
    match line.seconds(word, 0, PREEMPT_DELAY_MAX_S * US) {
        Some(time) => b.draft.i.preempt_delay = time,
        None => line.say(format!(
            "({}) Preempt_delay not valid! must be between 0-{PREEMPT_DELAY_MAX_S}",
            b.draft.i.name
        )),
    }
    Ok(())
}

fn debug(b: &mut B, line: &mut Line<'_>) -> Step {
    if let Some(level) = number(b, line, 0, 4, " Debug value '{}' not valid; must be between 0-4")? {
        b.draft.i.debug = level as u8;
    }
    Ok(())
}

fn same_family(b: &mut B, address: IpAddr) -> bool {
    let family = if address.is_ipv4() { Family::Inet } else { Family::Inet6 };
    *b.draft.family.get_or_insert(family) == family
}

fn source(b: &mut B, line: &mut Line<'_>, unicast: bool) -> Step {
    let word = line.need(1)?;
    let name = b.draft.i.name.clone();
    // A prefix length is taken and means nothing.
    let Some((address, _)) = address::network(word) else {
        line.say(format!(
            "Configuration error: VRRP instance[{name}] malformed src address[{word}]. Skipping..."
        ));
        return Ok(());
    };
    if !same_family(b, address) {
        line.say(format!(
            "Configuration error: VRRP instance[{name}] and src address[{word}] MUST be of the same family !!! Skipping..."
        ));
        return Ok(());
    }
    b.draft.i.source = Some(address);
    b.draft.unicast_keyword |= unicast;
    Ok(())
}

fn mcast_dst_ip(b: &mut B, line: &mut Line<'_>) -> Step {
    let word = line.need(1)?;
    let name = b.draft.i.name.clone();
    match word.parse::<IpAddr>() {
        Err(_) => line.say(format!("({name}) malformed mcast dest address {word}. Skipping...")),
        Ok(a) if !same_family(b, a) => {
            line.say(format!(
                "({name}) mcast dest address {word} MUST match VRRP instance family. Skipping..."
            ));
        }
        Ok(a) if !a.is_multicast() => {
            line.say(format!("({name}) mcast_dst_ip {word} not multicast. Skipping..."));
        }
        Ok(a) => b.draft.i.mcast_group = Some(a),
    }
    Ok(())
}

fn unicast_peer(b: &mut B, line: &mut Line<'_>) -> Step {
    b.draft.has_peer_block = true;
    let word = line.need(0)?;
    let name = b.draft.i.name.clone();
    let Ok(address) = word.parse::<IpAddr>() else {
        line.say(format!(
            "Configuration error: VRRP instance[{name}] malformed unicast peer address[{word}]. Skipping..."
        ));
        return Ok(());
    };
    if !same_family(b, address) {
        line.say(format!(
            "Configuration error: VRRP instance[{name}] and unicast peer address[{word}] MUST be of the same family !!! Skipping..."
        ));
        return Ok(());
    }
    let mut peer = UnicastPeer { address, min_ttl: None, max_ttl: None };
    let mut i = 1;
    while let Some(option) = line.get(i) {
        let value = line.get(i + 1).unwrap_or_default();
        match option {
            "min_ttl" => peer.min_ttl = line.unsigned(value, 0, 255).map(|v| v as u8),
            "max_ttl" => peer.max_ttl = line.unsigned(value, 0, 255).map(|v| v as u8),
            _ => {
                line.say(format!("({name}) unknown unicast_peer option {option}"));
                i += 1;
                continue;
            }
        }
        i += 2;
    }
    if let (Some(min), Some(max)) = (peer.min_ttl, peer.max_ttl)
        && min > max
    {
        line.say(format!("({name}) min_ttl {min} > max_ttl {max} - all packets will be discarded"));
    }
    b.draft.i.unicast_peers.push(peer);
    Ok(())
}

fn old_unicast_checksum(b: &mut B, line: &mut Line<'_>) -> Step {
    match line.get(1) {
        None => b.draft.i.old_unicast_checksum = OldUnicastChecksum::Always,
        Some("never") => b.draft.i.old_unicast_checksum = OldUnicastChecksum::Never,
        Some(other) => {
            line.say(format!("({}) Unknown old_unicast_chksum mode {other} - ignoring", b.draft.i.name));
        }
    }
    Ok(())
}

fn vip(b: &mut B, line: &mut Line<'_>, excluded: bool) -> Step {
    let Some(address) = address::parse(b, line, false)? else { return Ok(()) };
    // An excluded address may be of the other family.
    if !excluded && !same_family(b, address.address) {
        let shown = format!("{}/{}", address.address, address.prefix_len);
        line.say(format!(
            "({}): address family must match VRRP instance [{shown}] - ignoring",
            b.draft.i.name
        ));
        return Ok(());
    }
    let list = if excluded { &mut b.draft.i.excluded_vips } else { &mut b.draft.i.vips };
    list.push(address);
    Ok(())
}

fn auth_type(b: &mut B, line: &mut Line<'_>) -> Step {
    let word = line.need(1)?;
    match word {
        "PASS" => b.draft.auth_type = Some(AuthType::Pass),
        "AH" => b.draft.auth_type = Some(AuthType::Ah),
        _ => line.say(format!("({}) unknown authentication type '{word}'", b.draft.i.name)),
    }
    Ok(())
}

fn auth_pass(b: &mut B, line: &mut Line<'_>) -> Step {
    line.need(1)?;
    let bytes = line.words[1].bytes();
    if bytes.len() > AUTH_LEN {
        line.say(format!("Truncating auth_pass to {AUTH_LEN} characters"));
    }
    let mut data = [0; AUTH_LEN];
    for (to, from) in data.iter_mut().zip(bytes) {
        *to = *from;
    }
    b.draft.auth_data = Some(data);
    Ok(())
}

/// What the two authentication keywords come to.
pub(super) fn authentication(kind: AuthType, data: [u8; AUTH_LEN]) -> Authentication {
    match kind {
        AuthType::Pass => Authentication::Pass(data),
        AuthType::Ah => Authentication::Ah(data),
    }
}

/// A notify command into its slot, once.
pub(super) fn notify(
    b: &mut B,
    line: &mut Line<'_>,
    what: &str,
    slot: fn(&mut Instance) -> &mut Option<Command>,
) -> Step {
    line.need(1)?;
    let name = b.draft.i.name.clone();
    if slot(&mut b.draft.i).is_some() {
        let script = if what == "notify_deleted" { what.to_owned() } else { format!("{what} script") };
        let shown = line.command().first().cloned().unwrap_or_default();
        line.say(format!("({name}) {script} already specified - ignoring {shown}"));
        return Ok(());
    }
    if let Some(command) = b.command(line) {
        *slot(&mut b.draft.i) = Some(command);
    }
    Ok(())
}

impl Builder {
    /// The command of a notify line; the complaint about a bad one was made.
    pub(super) fn command(&mut self, line: &mut Line<'_>) -> Option<Command> {
        shared::notify_command(line, &self.globals.script_user).map(super::command)
    }

    fn flag(&mut self, change: impl FnOnce(&mut Instance)) -> Step {
        change(&mut self.draft.i);
        Ok(())
    }
}

fn lvs_sync_daemon_interface(b: &mut B, line: &mut Line<'_>) -> Step {
    let word = line.need(1)?;
    let name = b.draft.i.name.clone();
    line.say(format!("({name}) Specifying lvs_sync_daemon_interface against a vrrp is deprecated."));
    // Columns as the original counts them.
    let width = 6 + name.len().abs_diff(2);
    line.say(format!("{:width$}Please use global lvs_sync_daemon", ""));
    if let Some((_, old)) = &b.config_lvs_sync {
        line.say(format!(
            "({name}) lvs_sync_daemon_interface has already been specified as {old} - ignoring"
        ));
    } else {
        b.config_lvs_sync = Some((name, word.to_owned()));
    }
    b.draft.lvs_sync_interface = Some(word.to_owned());
    Ok(())
}

fn garp_extra_if(b: &mut B, line: &mut Line<'_>) -> Step {
    let all = line.get(1) == Some("all");
    let (name, keyword) = (b.draft.i.name.clone(), line.keyword());
    let Some(word) = line.get(1 + usize::from(all)) else {
        line.say(format!("({name}): {keyword} specified without time - ignoring"));
        return Ok(());
    };
    match line.unsigned(word, 0, 86_400) {
        Some(seconds) => {
            b.draft.i.garp.extra_interval = Duration::from_secs(seconds.into());
            b.draft.i.garp.extra_all = all;
        }
        None => line.say(format!("({name}): {keyword} '{word}' invalid - ignoring")),
    }
    Ok(())
}

fn mac(word: &str) -> Option<[u8; 6]> {
    let mut out = [0; 6];
    let mut parts = word.split(':');
    for byte in &mut out {
        *byte = u8::from_str_radix(parts.next()?, 16).ok()?;
    }
    parts.next().is_none().then_some(out)
}

fn use_vmac(b: &mut B, line: &mut Line<'_>) -> Step {
    let mut vmac = b.draft.i.vmac.take().unwrap_or_default();
    let name = b.draft.i.name.clone();
    let mut i = 1;
    while let Some(word) = line.get(i) {
        i += 1;
        match word {
            "netlink_notify_msg" => vmac.netlink_notify = true,
            "group" => {
                vmac.group = line.get(i).and_then(|w| w.parse().ok());
                i += 1;
            }
            _ if word.contains(':') && mac(word).is_some() => vmac_mac(line, &mut vmac, word),
            _ if word.contains(':') => line.say(format!("VMAC invalid MAC address {word} - ignored")),
            _ => {
                let word = if word == "name" {
                    i += 1;
                    line.need(i - 1)?
                } else {
                    word
                };
                if vmac.name.is_some() {
                    line.say("VMAC interface name already specified");
                } else if word.len() > INTERFACE_MAX || word.contains('/') {
                    line.say(format!(
                        "VMAC interface name '{word}' too long or invalid characters - ignoring"
                    ));
                } else if let Some(other) = b
                    .drafts
                    .iter()
                    .find(|d| d.i.vmac.as_ref().is_some_and(|v| v.name.as_deref() == Some(word)))
                {
                    line.say(format!(
                        "({name}) VRRP instance {} is already using {word} - ignoring name",
                        other.i.name
                    ));
                } else if b.interface_exists(word) && !b.ours(word) {
                    line.say(format!("({name}) interface {word} already exists and is not a private macvlan; ignoring vmac if_name"));
                } else {
                    vmac.name = Some(word.to_owned());
                }
            }
        }
    }
    b.draft.i.vmac = Some(vmac);
    Ok(())
}

fn vmac_mac(line: &mut Line<'_>, vmac: &mut Vmac, word: &str) {
    let Some(address) = mac(word) else { return };
    if vmac.mac.is_some() {
        line.say("VMAC interface address already specified");
    } else if address[0] & 1 != 0 {
        line.say(format!("VMAC MAC address is multicast {word} - ignoring"));
    } else if address[..3] == [0, 0, 0x5e] {
        line.say(format!("VMAC MAC address not allowed to be RFC5798 address ({word}) - ignoring"));
    } else {
        vmac.mac = Some(address);
    }
}

fn use_ipvlan(b: &mut B, line: &mut Line<'_>) -> Step {
    let name = b.draft.i.name.clone();
    if b.draft.i.ipvlan.is_some() {
        line.say(format!("({name}) use_ipvlan already specified"));
        return Ok(());
    }
    let mut ipvlan = Ipvlan::default();
    let mut i = 1;
    while let Some(word) = line.get(i) {
        i += 1;
        match word {
            "bridge" | "private" | "vepa" => ipvlan.mode = Some(word.to_owned()),
            "group" => {
                ipvlan.group = line.get(i).and_then(|w| w.parse().ok());
                i += 1;
            }
            "name" => {
                ipvlan.name = line.get(i).map(str::to_owned);
                i += 1;
            }
            _ => match address::network(word) {
                Some((a, len)) => {
                    ipvlan.address = Some((
                        a,
                        len.and_then(|l| l.parse().ok()).unwrap_or(if a.is_ipv4() { 32 } else { 128 }),
                    ));
                }
                None if word.len() > INTERFACE_MAX => {
                    line.say(format!("({name}) IPVLAN interface name '{word}' too long - ignoring"));
                }
                None => ipvlan.name = Some(word.to_owned()),
            },
        }
    }
    b.draft.i.ipvlan = Some(ipvlan);
    Ok(())
}
