//! The JSON dump.

use super::{net, quoted, version, wall};
use crate::config::model::{Address, Authentication, Version};
use crate::core::router::{Member, Router};
use crate::messages::StateName;
use serde_json::{Value, json};
use std::time::Duration;

fn state_number(state: StateName) -> u8 {
    match state {
        StateName::Init => 0,
        StateName::Backup => 1,
        StateName::Master => 2,
        StateName::Fault => 3,
    }
}

fn auth_number(authentication: &Authentication) -> u8 {
    match authentication {
        Authentication::None => 0,
        Authentication::Pass(_) => 1,
        Authentication::Ah(_) => 2,
    }
}

fn member_json(router: &Router, m: &Member) -> Value {
    let c = &m.config;
    let state = m.machine.name();
    let number = state_number(state);
    let seconds = |d: Duration| json!(d.as_secs());
    let interval = |d: Duration| match c.version {
        Version::V2 => json!(d.as_secs()),
        Version::V3 => json!(d.as_secs_f64()),
    };
    let follows = m.machine.follows();
    let mut data = json!({
        "iname": c.name,
        "dont_track_primary": u8::from(c.dont_track_primary),
        "skip_check_adv_addr": u8::from(c.skip_check_adv_addr),
        "strict_mode": u8::from(c.strict),
        "vmac_ifname": c.vmac.as_ref().and_then(|v| v.name.clone()).unwrap_or_default(),
        "ifp_ifname": c.interface,
        "master_priority": follows.map_or(0, |f| f.0.priority),
        "last_transition": wall(m.since) as f64 / 1e6,
        "garp_delay": seconds(c.garp.delay),
        "garp_refresh": seconds(c.garp.refresh),
        "garp_rep": c.garp.repeat,
        "garp_refresh_rep": c.garp.refresh_repeat,
        "garp_lower_prio_delay": seconds(c.garp.lower_prio_delay),
        "garp_lower_prio_rep": c.garp.lower_prio_repeat,
        "lower_prio_no_advert": u8::from(c.lower_prio_no_advert),
        "higher_prio_send_advert": u8::from(c.higher_prio_send_advert),
        "vrid": c.vrid,
        "base_priority": c.priority,
        "effective_priority": m.machine.priority,
        "vipset": state == StateName::Master,
        "promote_secondaries": c.promote_secondaries,
        "adver_int": interval(c.advert_int),
        "master_adver_int": interval(follows.map_or(c.advert_int, |f| f.1)),
        "accept": u8::from(c.accept),
        "nopreempt": c.nopreempt,
        "preempt_delay": seconds(c.preempt_delay),
        "state": number,
        "wantstate": if m.machine.ready() { 2 } else { number },
        "version": version(c.version),
        "smtp_alert": c.smtp_alert,
        "notify_deleted": c.notify.deleted,
    });
    if let Value::Object(fields) = &mut data {
        more(fields, router, m);
    }
    json!({ "data": data, "stats": stats_json(m) })
}

/// What is there only when it is configured.
fn more(fields: &mut serde_json::Map<String, Value>, router: &Router, m: &Member) {
    let c = &m.config;
    let state = m.machine.name();
    for (name, script) in [
        ("script_backup", &c.notify.backup),
        ("script_master", &c.notify.master),
        ("script_fault", &c.notify.fault),
        ("script_stop", &c.notify.stop),
        ("script", &c.notify.any),
        ("script_master_rx_lower_pri", &c.notify.master_rx_lower_pri),
    ] {
        if let Some(script) = script {
            fields.insert(name.into(), json!(quoted(script)));
        }
    }
    let set = state == StateName::Master;
    let list =
        |list: &[Address]| json!(list.iter().map(|a| net::address(a, &c.interface, set)).collect::<Vec<_>>());
    let commands =
        c.track_scripts.iter().filter_map(|t| router.config.scripts.iter().find(|s| s.name == t.name));
    let commands: Vec<String> = commands.map(|s| quoted(&s.command)).collect();
    let links: Vec<&String> = c.track_interfaces.iter().map(|t| &t.name).collect();
    for (name, value, there) in [
        ("vips", list(&c.vips), !c.vips.is_empty()),
        ("evips", list(&c.excluded_vips), !c.excluded_vips.is_empty()),
        ("vroutes", json!(c.routes.iter().map(net::route).collect::<Vec<_>>()), !c.routes.is_empty()),
        ("vrules", json!(c.rules.iter().map(net::rule).collect::<Vec<_>>()), !c.rules.is_empty()),
        ("track_ifp", json!(links), !links.is_empty()),
        ("track_script", json!(commands), !commands.is_empty()),
    ] {
        if there {
            fields.insert(name.into(), value);
        }
    }
    fields.insert("auth_type".into(), json!(auth_number(&c.authentication)));
    if let Authentication::Pass(key) | Authentication::Ah(key) = &c.authentication {
        fields.insert("auth_data".into(), json!(super::instance::password(key)));
    }
}

fn stats_json(m: &Member) -> Value {
    let s = &m.stats;
    json!({
        "advert_rcvd": s.advert_rcvd,
        "advert_sent": s.advert_sent,
        "become_master": s.become_master,
        "release_master": s.release_master,
        "packet_len_err": s.packet_len_err,
        "advert_interval_err": s.advert_interval_err,
        "ip_ttl_err": s.ip_ttl_err,
        "invalid_type_rcvd": s.invalid_type_rcvd,
        "addr_list_err": s.addr_list_err,
        "invalid_authtype": s.invalid_authtype,
        "authtype_mismatch": s.authtype_mismatch,
        "auth_failure": s.auth_failure,
        "pri_zero_rcvd": s.pri_zero_rcvd,
        "pri_zero_sent": s.pri_zero_sent,
    })
}

/// The text of keepalived.json.
pub(super) fn text(router: &Router) -> String {
    let list: Vec<Value> = router.members.iter().map(|m| member_json(router, m)).collect();
    let whole = if router.config.globals.json_version == 2 {
        let process = |p: &crate::config::model::TrackProcess| json!({ "name": p.name, "process": p.program, "have_quorum": router.process(&p.name) == Some(true) });
        let processes: Vec<Value> = router.config.processes.iter().map(process).collect();
        json!({ "vrrp": list, "track_process": processes })
    } else {
        Value::Array(list)
    };
    // The original escapes slashes.
    whole.to_string().replace('/', "\\/")
}
