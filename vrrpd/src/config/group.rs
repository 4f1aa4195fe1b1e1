//! `vrrp_sync_group`, `track_group`, `garp_group`, `interface_up_down_delays`, and what static addresses need.

use super::model::{Address, Command, GarpGroup, LinkDelay, SyncGroup, TrackGroup};
use super::{Builder, track};
use conf_parsers::keepalived::boolean;
use conf_parsers::keepalived::walk::{
    Line, Row, Standing, Step, Stop, Takes, items, no_extra, not_yet, not_yet_items, words,
};

/// A sync group under way.
#[derive(Debug, Clone, Default)]
pub(super) struct Draft {
    pub(super) g: SyncGroup,
    pub(super) smtp_alert: Option<bool>,
    has_list: bool,
}

type B = Builder;

/// `group { NAME… }`, one or more names a line.
const fn group(item: fn(&mut B, &mut Line<'_>) -> Step, close: fn(&mut B, &mut Line<'_>)) -> Row<B> {
    Row {
        name: "group",
        form: "{ NAME... }",
        standing: Standing::Works,
        takes: Takes::Items { open: no_extra, item, close },
    }
}

/// What `track_group` of a static address, route or rule comes to.
pub(super) const STATIC_TRACK_GROUP: &str =
    "'track_group' is not supported yet: losing a static address, route or rule puts no instance into FAULT";

/// The keywords of `vrrp_sync_group`.
pub(super) static ROWS: &[Row<B>] = &[
    Row {
        name: "group",
        form: "{ NAME... }",
        standing: Standing::Works,
        takes: Takes::Items { open: list_open, item: member, close: list_close },
    },
    items("track_interface", "", |b, l| track::interface(b, l, true)),
    items("track_script", "", |b, l| track::script(b, l, true)),
    items("track_file", "", |b, l| track::file(b, l, true)),
    items("track_process", "", |b, l| track::process(b, l, true)),
    not_yet_items("track_bfd", "", track::NO_BFD, |b, l| track::bfd(b, l, true)),
    words("notify_backup", "/path/to_backup.sh [username [:][groupname]]", |b, l| {
        notify(b, l, "notify_backup", |g| &mut g.notify.backup)
    }),
    words("notify_master", "/path/to_master.sh [username [:][groupname]]", |b, l| {
        notify(b, l, "notify_master", |g| &mut g.notify.master)
    }),
    words("notify_fault", "/path/fault.sh VG_1 [username [:][groupname]]", |b, l| {
        notify(b, l, "notify_fault", |g| &mut g.notify.fault)
    }),
    words("notify_stop", "<STRING>|<QUOTED-STRING> [username [:][groupname]]", |b, l| {
        notify(b, l, "notify_stop", |g| &mut g.notify.stop)
    }),
    words("notify", "<STRING>|<QUOTED-STRING> [username [:][groupname]]", |b, l| {
        notify(b, l, "notify", |g| &mut g.notify.any)
    }),
    words("smtp_alert", "<BOOL>", |b, l| {
        match l.get(1).map_or(Some(true), boolean) {
            Some(v) => b.group.smtp_alert = Some(v),
            None => {
                l.say(format!("Invalid vrrp_group smtp_alert parameter {}", l.get(1).unwrap_or_default()));
            }
        }
        Ok(())
    }),
    not_yet("global_tracking", "", "what members track by themselves counts for them alone", |b, l| {
        l.say(format!(
            "({}) global_tracking is deprecated. Use track_interface/script/file on the sync group",
            b.group.g.name
        ));
        b.group.g.global_tracking = true;
        Ok(())
    }),
    words("sync_group_tracking_weight", "", |b, _| {
        b.group.g.tracking_weight = true;
        Ok(())
    }),
    words("notify_priority_changes", "<BOOL>", |b, l| {
        match l.get(1).map_or(Some(true), boolean) {
            Some(v) => b.group.g.notify.priority_changes = v,
            None => l.say(format!(
                "({}) Invalid value '{}' for sync group notify_priority_changes specified",
                b.group.g.name,
                l.get(1).unwrap_or_default()
            )),
        }
        Ok(())
    }),
];

/// The opening line.
pub(super) fn open(b: &mut B, line: &mut Line<'_>) -> Result<bool, Stop> {
    if line.len() != 2 {
        line.say("vrrp_sync_group must have a name - skipping");
        return Ok(false);
    }
    let name = line.need(1)?.to_owned();
    if b.groups.iter().any(|g| g.g.name == name) {
        line.say(format!("vrrp sync group {name} already defined"));
        return Ok(false);
    }
    b.group = Draft::default();
    b.group.g.name = name;
    b.group.g.notify.priority_changes = b.globals.vrrp_notify_priority_changes;
    Ok(true)
}

/// The end of the block.
pub(super) fn close(b: &mut B, _: &mut Line<'_>) {
    let draft = std::mem::take(&mut b.group);
    b.groups.push(draft);
}

fn list_open(b: &mut B, line: &mut Line<'_>) -> Step {
    if b.group.has_list {
        line.say(format!("Group list already specified for sync group {}", b.group.g.name));
    }
    no_extra(b, line)
}

fn member(b: &mut B, line: &mut Line<'_>) -> Step {
    if !b.group.has_list {
        b.group.g.members.extend(line.words.iter().map(|w| w.text.clone()));
    }
    Ok(())
}

fn list_close(b: &mut B, line: &mut Line<'_>) {
    b.group.has_list = true;
    if b.group.g.members.is_empty() {
        line.say(format!("Warning - sync group {} has empty group block", b.group.g.name));
    }
}

fn notify(
    b: &mut B,
    line: &mut Line<'_>,
    what: &str,
    slot: fn(&mut SyncGroup) -> &mut Option<Command>,
) -> Step {
    line.need(1)?;
    if slot(&mut b.group.g).is_some() {
        let shown = line.command().first().cloned().unwrap_or_default();
        let name = &b.group.g.name;
        line.say(format!("vrrp group {name}: {what} script already specified - ignoring {shown}"));
        return Ok(());
    }
    if let Some(command) = b.command(line) {
        *slot(&mut b.group.g) = Some(command);
    }
    Ok(())
}

/// The keywords of `track_group`.
pub(super) static TRACK_GROUP: &[Row<B>] = &[group(
    |b, l| {
        if let Some(group) = b.config.track_groups.last_mut() {
            group.members.extend(l.words.iter().map(|w| w.text.clone()));
        }
        Ok(())
    },
    |b, l| {
        if let Some(group) = b.config.track_groups.last().filter(|g| g.members.is_empty()) {
            l.say(format!("Warning - track group {} has empty group block", group.name));
        }
    },
)];

/// The opening line of `track_group`.
pub(super) fn track_open(b: &mut B, line: &mut Line<'_>) -> Result<bool, Stop> {
    if line.len() != 2 {
        line.say("track_group must have a name - skipping");
        return Ok(false);
    }
    let name = line.need(1)?.to_owned();
    if b.config.track_groups.iter().any(|g| g.name == name) {
        line.say(format!("track_group {name} already defined"));
        return Ok(false);
    }
    b.config.track_groups.push(TrackGroup { name, members: Vec::new() });
    Ok(true)
}

/// The end of `track_group`.
pub(super) fn track_close(_: &mut B, _: &mut Line<'_>) {}

/// The keywords of `garp_group`.
pub(super) static GARP_GROUP: &[Row<B>] = &[
    words("garp_interval", "<DECIMAL>", |b, l| garp_pace(b, l, true)),
    words("gna_interval", "<DECIMAL>", |b, l| garp_pace(b, l, false)),
    words("interface", "<STRING>", |b, l| {
        let name = l.need(1)?;
        garp_interface(b, l, name);
        Ok(())
    }),
    Row {
        name: "interfaces",
        form: "",
        standing: Standing::Works,
        takes: Takes::Items {
            open: no_extra,
            item: |b, l| {
                for word in l.words {
                    garp_interface(b, l, &word.text);
                }
                Ok(())
            },
            close: |b, l| {
                if b.config.garp_groups.last().is_some_and(|g| g.interfaces.is_empty()) {
                    l.say("Warning - empty garp_group interfaces block");
                }
            },
        },
    },
];

/// The opening line of `garp_group`.
pub(super) fn garp_open(b: &mut B, _: &mut Line<'_>) -> Result<bool, Stop> {
    b.config.garp_groups.push(GarpGroup::default());
    Ok(true)
}

/// The end of `garp_group`.
pub(super) fn garp_close(b: &mut B, line: &mut Line<'_>) {
    let count = b.config.garp_groups.len();
    let Some(group) = b.config.garp_groups.last() else { return };
    if group.garp_interval.is_none() && group.gna_interval.is_none() {
        line.say(format!("garp group {count} does not have any delay set - removing"));
        b.config.garp_groups.pop();
    }
}

fn garp_interface(b: &mut B, line: &mut Line<'_>, name: &str) {
    if !b.may_exist(name) {
        line.say(format!("WARNING - interface {name} specified for garp_group doesn't exist"));
        b.missing_interface = true;
        return;
    }
    if b.config.garp_groups.iter().any(|g| g.interfaces.iter().any(|i| i == name)) {
        line.say(format!("garp_group already specified for {name} - ignoring"));
        return;
    }
    if let Some(group) = b.config.garp_groups.last_mut() {
        group.interfaces.push(name.to_owned());
    }
}

fn garp_pace(b: &mut B, line: &mut Line<'_>, arp: bool) -> Step {
    let name = if arp { "garp_interval" } else { "gna_interval" };
    let word = line.need(1)?;
    let Some(time) = line.seconds(word, 1, u64::from(u32::MAX)) else {
        line.say(format!("garp_group {name} '{word}' invalid"));
        return Ok(());
    };
    if let Some(group) = b.config.garp_groups.last_mut() {
        *(if arp { &mut group.garp_interval } else { &mut group.gna_interval }) = Some(time);
    }
    Ok(())
}

/// An item of `linkbeat_interfaces`.
pub(super) fn linkbeat(b: &mut B, line: &mut Line<'_>) -> Step {
    let name = line.need(0)?;
    if !b.interface_exists(name) {
        line.say(format!("unknown interface {name} specified for linkbeat interface"));
        return Ok(());
    }
    if let Some(word) = line.get(1).filter(|w| !matches!(*w, "MII" | "ETHTOOL" | "IOCTL")) {
        line.say(format!("extra characters {word} in linkbeat interface"));
    }
    Ok(())
}

/// An item of `interface_up_down_delays`.
pub(super) fn up_down_delay(b: &mut B, line: &mut Line<'_>) -> Step {
    let name = line.need(0)?;
    if !b.interface_exists(name) {
        line.say_fatal(format!("unknown interface {name} specified for up/down delay"));
        return Ok(());
    }
    match line.len() {
        1 => line.say(format!("No timeouts specified for {name} up/down delays")),
        2 | 3 => {
            let mut delay = LinkDelay { interface: name.to_owned(), ..LinkDelay::default() };
            for (i, which) in [(1, "down"), (2, "up")] {
                let Some(word) = line.get(i) else { break };
                match line.seconds(word, 0, 255_000_000) {
                    Some(time) if i == 1 => delay.down = time,
                    Some(time) => delay.up = time,
                    None => line.say(format!("Invalid {which} delay {word} for {name}")),
                }
            }
            b.config.link_delays.push(delay);
        }
        _ => line.say(format!("Too many parameters for {name} up/down delays")),
    }
    Ok(())
}

/// Takes a static address, which needs an interface of its own.
pub(super) fn static_address(b: &mut B, line: &mut Line<'_>, mut address: Address) {
    if address.device.is_none() {
        let default = b.globals.default_interface.clone().unwrap_or_else(|| "eth0".to_owned());
        if !b.interface_exists(&default) && !b.globals.dynamic_interfaces {
            line.say(format!(
                "Static address {} requires either an interface or default interface must exist",
                address.address
            ));
            return;
        }
        address.device = Some(default);
    }
    b.config.static_addresses.push(address);
}
