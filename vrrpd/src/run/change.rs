//! A new configuration in a running daemon, and the static addresses, routes and rules that belong to no instance.
//!
//! Invariant: a configuration that cannot be run leaves the old one in force; reading happens on a thread of its own.
//! Absent on purpose: what instances keep (core/reload.rs).

use super::{Daemon, Loaded, Loader};
use crate::config::model::{Address, Config, Instance};
use crate::core::router::{Effect, Member};
use crate::held::{Held, Line};
use crate::messages::Message;
use crate::notify::Notifier;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

impl Daemon {
    /// Adds or removes static addresses, routes and rules.
    pub(super) fn add_static(&mut self, adding: bool) {
        self.watch_routes();
        let config = Arc::clone(&self.router.config);
        let owner = Arc::new(Instance {
            name: "static".into(),
            interface: config.globals.default_interface.clone(),
            ..Instance::default()
        });
        let (instance, list) = (Arc::clone(&owner), config.static_addresses.clone());
        self.work.push_back(Effect::Addresses { instance, adding, list });
        let (instance, list) = (Arc::clone(&owner), config.static_routes.clone());
        self.work.push_back(Effect::Routes { instance, adding, list });
        self.work.push_back(Effect::Rules { instance: owner, adding, list: config.static_rules.clone() });
    }

    /// Reports of routes and rules are asked for once somebody wants to hold some.
    pub(super) fn watch_routes(&mut self) {
        let holds = |m: &Member| !m.config.routes.is_empty() || !m.config.rules.is_empty();
        if !self.watches_routes && self.router.members.iter().any(holds) {
            self.watches_routes = true;
            if let Err(error) = self.monitor.watch_routes() {
                self.say(&Message::Text(format!("Netlink: error: {error}")));
            }
        }
    }

    pub(super) fn static_gone(&mut self, index: u32, gone: IpAddr) {
        let config = Arc::clone(&self.router.config);
        let owner = Instance { interface: config.globals.default_interface.clone(), ..Instance::default() };
        let number = |name: &str| self.router.link(name).map(|l| l.index);
        let is = |a: &&Address| {
            let device = a.device.as_ref().unwrap_or(&owner.interface);
            a.address == gone && !a.no_track && number(device) == Some(index)
        };
        if let Some(found) = config.static_addresses.iter().find(is).cloned() {
            self.say(&Message::StaticRestored(
                found.clone(),
                found.device.clone().unwrap_or(owner.interface.clone()),
            ));
            self.work.push_back(Effect::Addresses {
                instance: Arc::new(owner),
                adding: true,
                list: vec![found],
            });
        }
    }

    pub(super) fn begin_reload(&mut self) {
        let Some(mut load) = self.load.take() else {
            self.reload_again = true;
            return;
        };
        self.say(&Message::Text("Reloading".into()));
        let out = self.reloaded.0.clone();
        tokio::task::spawn_blocking(move || {
            let loaded = load();
            // The daemon has ended meanwhile: nothing to tell.
            let _ = out.blocking_send((load, loaded));
        });
    }

    pub(super) fn reload(&mut self, loader: Loader, loaded: Loaded) {
        self.load = Some(loader);
        for line in loaded.lines {
            self.say(&Message::Text(line));
        }
        for line in loaded.notices {
            self.say(&Message::Text(format!("NOTICE: {line}")));
        }
        let missing =
            loaded.config.as_ref().and_then(|config| self.missing_interface(config, &config.instances));
        if let Some(line) = &missing {
            self.say(&Message::Text(line.clone()));
        }
        match loaded.config.filter(|_| missing.is_none()) {
            Some(config) => {
                self.exchange_static(&config);
                let (notifier, lines) = Notifier::open(&config, Some(std::mem::take(&mut self.notifier)));
                self.notifier = notifier;
                self.talk.extend(lines.into_iter().map(Effect::Say));
                self.prepare_devices(&config);
                let mut out = Vec::new();
                self.router.reload(Instant::now(), config, &mut out);
                self.effects(out);
                self.watch_routes();
                self.start_trackers();
                self.say_unused();
                self.forget_held();
                self.bus.status("running", true, self.log.dropped());
                self.tell(&Line::Ready { reload: true });
            }
            None => {
                self.say(&Message::Text("Reload refused, the running configuration stays in force".into()));
                self.tell(&Line::Refused);
            }
        }
        sys::process::release_memory();
        if std::mem::take(&mut self.reload_again) {
            self.begin_reload();
        }
    }

    /// Instances that are gone hold nothing; the others may hold something else.
    fn forget_held(&mut self) {
        let Some(teller) = &mut self.teller else { return };
        for name in teller.holders() {
            match self.router.position(&name) {
                Some(i) => self.untold.push_back(Arc::clone(&self.router.members[i].config)),
                None => teller.held(Held { name, ..Held::default() }),
            }
        }
        teller.flush();
    }

    fn exchange_static(&mut self, config: &Config) {
        let before = Arc::clone(&self.router.config);
        let owner =
            Arc::new(Instance { interface: config.globals.default_interface.clone(), ..Instance::default() });
        for (adding, from, other) in [(false, &*before, config), (true, config, &before)] {
            let instance = Arc::clone(&owner);
            let list = from
                .static_addresses
                .iter()
                .filter(|a| !other.static_addresses.contains(a))
                .cloned()
                .collect();
            self.work.push_back(Effect::Addresses { instance, adding, list });
            let instance = Arc::clone(&owner);
            let list =
                from.static_routes.iter().filter(|r| !other.static_routes.contains(r)).cloned().collect();
            self.work.push_back(Effect::Routes { instance, adding, list });
            let instance = Arc::clone(&owner);
            let list =
                from.static_rules.iter().filter(|r| !other.static_rules.contains(r)).cloned().collect();
            self.work.push_back(Effect::Rules { instance, adding, list });
        }
    }
}
