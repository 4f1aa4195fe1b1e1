//! Facts as text and as JSON.
//!
//! Invariant: text is for eyes and may change; JSON is the bus's own data with the daemon's name beside it.

use bus::endpoint::News;
use bus::{Role, payload};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write;

/// `{"daemon":"vrrpd","up":true,"facts":{…}}` and a line ending.
pub(crate) fn json(role: Role, facts: Option<&BTreeMap<String, Value>>) -> String {
    format!("{}\n", json!({"daemon": role.name(), "up": facts.is_some(), "facts": facts}))
}

/// The daemon, and below it a line for each fact.
pub(crate) fn text(role: Role, facts: Option<&BTreeMap<String, Value>>) -> String {
    let Some(facts) = facts else { return format!("{:<8} does not answer\n", role.name()) };
    let status: payload::DaemonStatus = read(facts.get("daemon.status"));
    let state = if status.state.is_empty() { "running" } else { &status.state };
    let mut out = format!(
        "{:<8} {state}, pid {}, version {}, configuration {}\n",
        role.name(),
        status.pid,
        status.version,
        status.generation
    );
    for (topic, data) in facts.iter().filter(|(t, _)| *t != "daemon.status") {
        let _ = writeln!(out, "  {topic}: {}", summary(topic, data));
    }
    out
}

/// One change; `None` for what nobody wants to read.
pub(crate) fn line(role: Role, news: &News, as_json: bool) -> Option<String> {
    let daemon = role.name();
    let value = match news {
        News::Up { .. } => json!({"daemon": daemon, "up": true}),
        News::Down => json!({"daemon": daemon, "up": false}),
        News::Changed(topic, data) => json!({"daemon": daemon, "topic": topic, "data": data}),
        News::Gone(topic) => json!({"daemon": daemon, "topic": topic, "data": null}),
        News::Event(data) => json!({"daemon": daemon, "topic": "event", "data": data}),
        News::Synced | News::Lease(_) => return None,
    };
    if as_json {
        return Some(format!("{value}\n"));
    }
    Some(match news {
        News::Up { .. } => format!("{daemon} answers\n"),
        News::Down => format!("{daemon} is gone\n"),
        News::Changed(topic, data) => format!("{daemon} {topic}: {}\n", summary(topic, data)),
        News::Gone(topic) => format!("{daemon} {topic}: no longer there\n"),
        News::Event(data) => format!("{daemon} event: {data}\n"),
        News::Synced | News::Lease(_) => return None,
    })
}

/// The fields that people look for first; other data as it is.
fn summary(topic: &str, data: &Value) -> String {
    match bus::family_of(topic).map(|f| f.name) {
        Some("vrrp.instance") => {
            let i: payload::VrrpInstance = read(Some(data));
            let addresses = i.addresses.join(" ");
            let group = if i.group.is_empty() { String::new() } else { format!(", group {}", i.group) };
            let reason = if i.reason.is_empty() { String::new() } else { format!(" ({})", i.reason) };
            format!(
                "{} vrid {} on {}, priority {}, {addresses}{group}{reason}",
                i.state, i.vrid, i.interface, i.effective_priority
            )
        }
        Some("vrrp.group") => {
            let g: payload::VrrpGroup = read(Some(data));
            format!("{} ({})", g.state, g.instances.join(" "))
        }
        Some("ipvs.service") => {
            let s: payload::IpvsService = read(Some(data));
            let up = s.servers.iter().filter(|r| r.up).count();
            let quorum = if s.quorum_up { "quorum" } else { "no quorum" };
            format!("{quorum}, {up} of {} servers up", s.servers.len())
        }
        Some("proxy.server") => {
            let s: payload::ProxyServer = read(Some(data));
            let by = if s.delegated { ", probed by checkd" } else { "" };
            format!("{} {} weight {} {}{by}", s.status, s.address, s.weight, s.check)
        }
        Some("proxy.listener") => {
            let l: payload::ProxyListener = read(Some(data));
            format!("{}{}", l.status, if l.free_bound { ", address not here" } else { "" })
        }
        _ => data.to_string(),
    }
}

/// Data of a known shape; fields that are not there are empty.
fn read<T: serde::de::DeserializeOwned + Default>(data: Option<&Value>) -> T {
    data.and_then(|d| T::deserialize(d).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_in_one_line() {
        let data = json!({"state": "MASTER", "vrid": 51, "interface": "eth0", "effective_priority": 150,
            "addresses": ["10.0.0.9"], "unknown": 1});
        let facts = BTreeMap::from([("vrrp.instance/VI_1".to_owned(), data)]);
        let text = text(Role::Vrrpd, Some(&facts));
        assert!(
            text.contains("vrrp.instance/VI_1: MASTER vrid 51 on eth0, priority 150, 10.0.0.9\n"),
            "{text}"
        );
        assert!(super::text(Role::Checkd, None).contains("does not answer"));
    }

    #[test]
    fn json_lines_name_the_daemon() {
        let gone = line(Role::Proxyd, &News::Gone("proxy.server/b/s".into()), true).unwrap();
        assert_eq!(gone, "{\"daemon\":\"proxyd\",\"topic\":\"proxy.server/b/s\",\"data\":null}\n");
        assert_eq!(line(Role::Proxyd, &News::Synced, true), None);
    }
}
