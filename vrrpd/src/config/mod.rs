//! From text to model: the BLOCKS table of the VRRP pass.
//!
//! Invariant: [`read`] always gives a [`Config`] and a report; whether the config may be used is in the report.
//! Absent on purpose: surface syntax and `global_defs` (conf-parsers), what a value does (core, io, track).

mod address;
mod device;
mod finish;
mod group;
mod instance;
pub mod model;
mod route;
mod script;
mod track;

#[cfg(test)]
mod tests;

use conf_parsers::keepalived::globals::Globals;
use conf_parsers::keepalived::shared::{self, TrackFileRows, TrackFiles};
use conf_parsers::keepalived::walk::{Row, Walker, block, items, no_effect_items};
use conf_parsers::keepalived::{Tree, globals};
use diag::Report;
use instance::Draft;
use model::{Config, Fifo, ScriptUser, TrackProcess};
use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

/// The original's words where scripts run as root unprotected; `-t` ends with 6 then.
pub const SECURITY_VIOLATION: &str =
    "SECURITY VIOLATION - scripts are being executed but script_security not enabled.";

/// The configuration under way.
pub struct Builder {
    config: Config,
    globals: Globals,
    exists: fn(&str) -> bool,
    /// What `exists` said: a thousand instances share a few interfaces, and each answer costs a socket.
    known: RefCell<HashMap<String, bool>>,
    draft: Draft,
    drafts: Vec<Draft>,
    group: group::Draft,
    groups: Vec<group::Draft>,
    script: script::Draft,
    process: TrackProcess,
    track_files: Vec<shared::TrackFile>,
    missing_interface: bool,
    rules_without_preference: u32,
    config_lvs_sync: Option<(String, String)>,
    /// Names of links as written.
    drafts_names: Vec<String>,
    names: device::Names,
}

/// The top-level keywords of the VRRP pass.
pub static BLOCKS: &[Row<Builder>] = &[
    block("track_group", "NAME {", group::track_open, group::TRACK_GROUP, group::track_close),
    items("static_ipaddress", "{", |b, l| {
        if let Some(address) = address::parse(b, l, true)? {
            group::static_address(b, l, address);
        }
        Ok(())
    }),
    items("static_routes", "{", |b, l| {
        if let Some(route) = route::route(b, l, true)? {
            b.config.static_routes.push(route);
        }
        Ok(())
    }),
    items("static_rules", "{", |b, l| {
        if let Some(rule) = route::rule(b, l, true)? {
            b.config.static_rules.push(rule);
        }
        Ok(())
    }),
    block("vrrp_sync_group", "NAME {", group::open, group::ROWS, group::close),
    block("garp_group", "{", group::garp_open, group::GARP_GROUP, group::garp_close),
    no_effect_items("linkbeat_interfaces", "{", "netlink tells every change of a link", group::linkbeat),
    block("vrrp_instance", "NAME {", instance::open, instance::ROWS, instance::close),
    block("vrrp_script", "<SCRIPT_NAME>", script::open, script::ROWS, script::close),
    block("vrrp_track_process", "NAME {", script::process_open, script::PROCESS, script::process_close),
    items("interface_up_down_delays", "{", group::up_down_delay),
    TrackFileRows::<Builder>::TRACK_FILE,
    TrackFileRows::<Builder>::VRRP_TRACK_FILE,
];

impl TrackFiles for Builder {
    fn track_files(&mut self) -> &mut Vec<shared::TrackFile> {
        &mut self.track_files
    }
}

impl Builder {
    fn new(globals: &Globals, exists: fn(&str) -> bool) -> Self {
        Self {
            config: Config { globals: finish::globals(globals), ..Config::default() },
            globals: globals.clone(),
            exists,
            known: RefCell::default(),
            draft: Draft::default(),
            drafts: Vec::new(),
            group: group::Draft::default(),
            groups: Vec::new(),
            script: script::Draft::default(),
            process: script::no_process(),
            track_files: Vec::new(),
            missing_interface: false,
            rules_without_preference: 0,
            config_lvs_sync: None,
            drafts_names: Vec::new(),
            names: device::Names::default(),
        }
    }

    /// An instance with the global defaults.
    fn new_draft(&self, name: String) -> Draft {
        let g = &self.globals;
        let seconds = |v: u32| Duration::from_secs(v.into());
        let mut draft = Draft::default();
        let i = &mut draft.i;
        i.name = name;
        i.notify.priority_changes = g.vrrp_notify_priority_changes;
        i.check_unicast_source = g.check_unicast_src;
        i.skip_check_adv_addr = g.skip_check_adv_addr;
        i.v3_checksum_as_v2 = g.v3_checksum_as_v2;
        i.lower_prio_no_advert = g.lower_prio_no_advert;
        i.higher_prio_send_advert = g.higher_prio_send_advert;
        i.owner_ignore_adverts = g.owner_ignore_adverts;
        i.down_timer_adverts = g.down_timer_adverts.unwrap_or(i.down_timer_adverts);
        let garp = &mut i.garp;
        if g.min_garp {
            (garp.repeat, garp.delay) = (1, Duration::ZERO);
            (garp.lower_prio_repeat, garp.lower_prio_delay) = (1, Duration::ZERO);
        }
        garp.delay = g.garp_master_delay.map_or(garp.delay, seconds);
        garp.repeat = g.garp_master_repeat.unwrap_or(garp.repeat);
        garp.refresh = g.garp_master_refresh.map_or(garp.refresh, seconds);
        garp.refresh_repeat = g.garp_master_refresh_repeat.unwrap_or(garp.refresh_repeat);
        // Lower-priority repeats follow the master ones unless given.
        garp.lower_prio_delay = g.garp_lower_prio_delay.map_or(garp.delay, seconds);
        garp.lower_prio_repeat = g.garp_lower_prio_repeat.unwrap_or(garp.repeat);
        if let Some((time, all)) = g.garp_extra_if {
            (garp.extra_interval, garp.extra_all) = (seconds(time), all);
        }
        draft
    }

    /// Whether the host has an interface.
    fn interface_exists(&self, name: &str) -> bool {
        let known = self.known.borrow().get(name).copied();
        known.unwrap_or_else(|| {
            let found = (self.exists)(name);
            self.known.borrow_mut().insert(name.to_owned(), found);
            found
        })
    }

    /// Whether an interface may be named: it is there, or may come later.
    fn may_exist(&self, name: &str) -> bool {
        self.globals.dynamic_interfaces || self.interface_exists(name)
    }

    /// Whether an existing interface of this name is one that an earlier run of ours made.
    fn ours(&self, name: &str) -> bool {
        name.starts_with("vrrp.")
            || self.globals.vmac_prefix.as_ref().is_some_and(|p| name.starts_with(p.as_str()))
    }
}

/// Reads the VRRP part. `exists` tells whether the host has an interface.
pub fn read(tree: &Tree, globals: &Globals, exists: fn(&str) -> bool) -> (Config, Report) {
    let mut builder = Builder::new(globals, exists);
    let mut report = Walker::new(tree, false).run(&mut builder, BLOCKS);
    if !report.refuses() {
        finish::finish(&mut builder, &mut report);
    }
    builder.config.written = globals.clone();
    builder.config.defaults = builder.new_draft(String::new()).i;
    (builder.config, report)
}

/// The whole of a file for vrrpd alone: core pass, then VRRP pass.
pub fn load(tree: &Tree, exists: fn(&str) -> bool) -> (Config, Report, Report) {
    let (globals, core) = globals::read(tree);
    let (config, report) = read(tree, &globals, exists);
    (config, core, report)
}

/// Whether this network namespace has an interface of that name.
pub fn interface_exists(name: &str) -> bool {
    nix::net::if_::if_nametoindex(name).is_ok()
}

fn user(user: shared::User) -> ScriptUser {
    ScriptUser { name: user.name, uid: user.uid, gid: user.gid }
}

fn command(command: shared::Command) -> model::Command {
    model::Command { argv: command.argv, text: command.text, user: command.user.map(user), insecure: false }
}

fn fifo(fifo: shared::Fifo) -> Fifo {
    Fifo { path: fifo.path, owner: fifo.owner.map(user), script: fifo.script.map(command) }
}

/// A scope by name or number.
fn scope_number(word: &str) -> Option<u8> {
    match word {
        "global" => Some(0),
        "site" => Some(200),
        "link" => Some(253),
        "host" => Some(254),
        "nowhere" => Some(255),
        _ => word.parse().ok(),
    }
}
