//! Facts as text and as JSON.
//!
//! Invariant: text is for eyes and may change; JSON is the bus's own data with the daemon's name beside it.

use bus::endpoint::News;
use bus::{Role, payload};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// `{"daemon":"vrrpd","up":true,"facts":{…}}` and a line ending.
pub(crate) fn json(role: Role, facts: Option<&BTreeMap<String, Value>>) -> String {
    format!("{}\n", json!({"daemon": role.name(), "up": facts.is_some(), "facts": facts}))
}

/// The daemon, and below it a table for each kind of fact.
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
    for table in &TABLES {
        let of = |topic: &str| Some(topic.strip_prefix(table.family)?.strip_prefix('/')?.to_owned());
        let rows: Vec<Vec<String>> = facts
            .iter()
            .filter_map(|(topic, data)| Some((of(topic)?, data)))
            .flat_map(|(key, data)| (table.rows)(key, data))
            .collect();
        if !rows.is_empty() {
            columns(table.head, &rows, &mut out);
        }
    }
    out
}

/// How facts of one family look as a table.
struct Table {
    family: &'static str,
    head: &'static [&'static str],
    /// The rows of one fact, from the part of its topic behind the family and its data.
    rows: fn(String, &Value) -> Vec<Vec<String>>,
}

/// In the order they are shown.
const TABLES: [Table; 7] = [
    Table {
        family: "vrrp.instance",
        head: &["ADDRESS", "HERE", "INTERFACE", "INSTANCE"],
        rows: |name, data| {
            let i: payload::VrrpInstance = read(Some(data));
            let row = |a: &String| {
                let here = if i.held.contains(a) { "yes" } else { "no" };
                vec![a.clone(), here.into(), i.interface.clone(), name.clone()]
            };
            i.addresses.iter().map(row).collect()
        },
    },
    Table {
        family: "vrrp.instance",
        head: &["INSTANCE", "STATE", "VRID", "INTERFACE", "PRIORITY", "GROUP", "REASON"],
        rows: |name, data| {
            let i: payload::VrrpInstance = read(Some(data));
            let (vrid, priority) = (i.vrid.to_string(), i.effective_priority.to_string());
            vec![vec![name, i.state, vrid, i.interface, priority, i.group, i.reason]]
        },
    },
    Table {
        family: "vrrp.group",
        head: &["GROUP", "STATE", "INSTANCES"],
        rows: |name, data| {
            let g: payload::VrrpGroup = read(Some(data));
            vec![vec![name, g.state, g.instances.join(" ")]]
        },
    },
    Table {
        family: "ipvs.service",
        head: &["SERVICE", "STATE", "WEIGHT", "QUORUM", "REASON"],
        rows: |name, data| {
            let s: payload::IpvsService = read(Some(data));
            let (state, reason) = service(&s);
            vec![vec![name, state.into(), s.weight_up.to_string(), s.quorum.to_string(), reason]]
        },
    },
    Table {
        family: "ipvs.service",
        head: &["REAL SERVER", "STATE", "WEIGHT", "OF SERVICE", "REASON"],
        rows: |name, data| {
            let s: payload::IpvsService = read(Some(data));
            let row = |r: payload::RealServer| {
                let state = if r.up { "UP" } else { "DOWN" };
                vec![r.address, state.into(), r.weight.to_string(), name.clone(), r.reason]
            };
            s.servers.into_iter().map(row).collect()
        },
    },
    Table {
        family: "proxy.server",
        head: &["SERVER", "STATUS", "ADDRESS", "WEIGHT", "CHECK", "BY", "REASON"],
        rows: |name, data| {
            let s: payload::ProxyServer = read(Some(data));
            let by = match (s.delegated, s.check.is_empty()) {
                (true, _) => "checkd",
                (false, false) => "proxyd",
                (false, true) => "",
            };
            vec![vec![name, s.status, s.address, s.weight.to_string(), s.check, by.into(), s.reason]]
        },
    },
    Table {
        family: "proxy.listener",
        head: &["LISTENER", "STATUS", "ADDRESS"],
        rows: |name, data| {
            let l: payload::ProxyListener = read(Some(data));
            vec![vec![name, l.status, (if l.free_bound { "bound ahead of vrrpd" } else { "" }).into()]]
        },
    },
];

/// The state of a service and why it is in it.
fn service(s: &payload::IpvsService) -> (&'static str, String) {
    let up = s.servers.iter().filter(|r| r.up).count();
    let servers = format!("{up} of {} servers up", s.servers.len());
    match (s.suspended.is_empty(), s.quorum_up) {
        (false, _) => ("SUSPENDED", s.suspended.clone()),
        (true, true) => ("UP", servers),
        (true, false) => ("DOWN", servers),
    }
}

/// A table with columns as wide as they need; a column without anything in it is left out.
fn columns(head: &[&str], rows: &[Vec<String>], out: &mut String) {
    let width = |i: usize| rows.iter().filter_map(|r| r.get(i)).map(|c| c.chars().count()).max().unwrap_or(0);
    let shown: Vec<(usize, usize)> = (0..head.len())
        .map(|i| (i, width(i)))
        .filter(|(_, w)| *w > 0)
        .map(|(i, w)| (i, w.max(head[i].len())))
        .collect();
    let mut line = |cells: &dyn Fn(usize) -> String| {
        let cells: Vec<String> = shown.iter().map(|(i, w)| format!("{:<w$}", cells(*i))).collect();
        out.push_str(format!("  {}", cells.join("  ")).trim_end());
        out.push('\n');
    };
    line(&|i| head[i].to_owned());
    for row in rows {
        line(&|i| row.get(i).cloned().unwrap_or_default());
    }
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
            let (state, reason) = service(&s);
            let down = s.servers.iter().filter(|r| !r.up).map(|r| format!(", {} ({})", r.address, r.reason));
            format!("{state}, weight {} of {}, {reason}{}", s.weight_up, s.quorum, down.collect::<String>())
        }
        Some("proxy.server") => {
            let s: payload::ProxyServer = read(Some(data));
            let by = if s.delegated { ", probed by checkd" } else { "" };
            let reason = if s.reason.is_empty() { String::new() } else { format!(" ({})", s.reason) };
            format!("{} {} weight {}{by}{reason}", s.status, s.address, s.weight)
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
    fn facts_stand_in_tables() {
        let instance = json!({"state": "MASTER", "vrid": 51, "interface": "eth0", "effective_priority": 150,
            "addresses": ["10.0.0.9", "10.0.0.10"], "held": ["10.0.0.9"], "reason": "master down timer", "unknown": 1});
        let service = json!({"quorum_up": true, "quorum": 1, "weight_up": 3, "servers": [
                {"address": "10.0.0.1:80", "up": true, "weight": 3},
                {"address": "10.0.0.2:80", "weight": 1, "reason": "Layer4 timeout"}]});
        let facts = BTreeMap::from([
            ("vrrp.instance/VI_1".to_owned(), instance.clone()),
            ("ipvs.service/a".to_owned(), service),
            ("vrrp.instancex/y".to_owned(), json!({})),
        ]);
        let text = text(Role::Vrrpd, Some(&facts));
        let wanted = [
            "  ADDRESS    HERE  INTERFACE  INSTANCE",
            "  10.0.0.9   yes   eth0       VI_1",
            "  10.0.0.10  no    eth0       VI_1",
            "  INSTANCE  STATE   VRID  INTERFACE  PRIORITY  REASON",
            "  VI_1      MASTER  51    eth0       150       master down timer",
            "  SERVICE  STATE  WEIGHT  QUORUM  REASON",
            "  a        UP     3       1       1 of 2 servers up",
            "  REAL SERVER  STATE  WEIGHT  OF SERVICE  REASON",
            "  10.0.0.1:80  UP     3       a",
            "  10.0.0.2:80  DOWN   1       a           Layer4 timeout",
            "",
        ];
        let wanted = wanted.join("\n");
        assert_eq!(text.split_once('\n').unwrap().1, wanted);
        assert!(super::text(Role::Checkd, None).contains("does not answer"));
        let change = line(Role::Vrrpd, &News::Changed("vrrp.instance/VI_1".into(), instance), false).unwrap();
        let wanted = "vrrpd vrrp.instance/VI_1: MASTER vrid 51 on eth0, priority 150, 10.0.0.9 10.0.0.10 \
                      (master down timer)\n";
        assert_eq!(change, wanted);
    }

    #[test]
    fn json_lines_name_the_daemon() {
        let gone = line(Role::Proxyd, &News::Gone("proxy.server/b/s".into()), true).unwrap();
        assert_eq!(gone, "{\"daemon\":\"proxyd\",\"topic\":\"proxy.server/b/s\",\"data\":null}\n");
        assert_eq!(line(Role::Proxyd, &News::Synced, true), None);
    }
}
