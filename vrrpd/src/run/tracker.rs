//! The tasks that watch scripts, files and processes.
//!
//! Invariant: one task for each thing that somebody tracks; a reload keeps those that have not changed. Absent on
//! purpose: what their results mean (core/track.rs).

use super::{Daemon, Spec};
use crate::core::router::{Effect, Input};
use crate::messages::Message;
use crate::track::{Report, file, process, script};
use std::collections::HashSet;
use std::sync::Arc;
use tokio::task::JoinHandle;

impl Daemon {
    pub(super) fn report(&mut self, report: Report) {
        match report {
            Report::Script(name, up) => self.input(Input::Script(name, up)),
            Report::File(name, value) => self.input(Input::File(name, value)),
            Report::Process(name, up) => self.input(Input::Process(name, up)),
            Report::Say(message) => self.talk.push_back(Effect::Say(message)),
        }
    }

    /// Starts the sources of what is tracked, keeps those that have not changed, ends the others.
    pub(super) fn start_trackers(&mut self) {
        let config = Arc::clone(&self.router.config);
        let used: HashSet<&str> = self
            .router
            .members
            .iter()
            .map(|m| &m.config)
            .flat_map(|i| i.track_scripts.iter().chain(&i.track_files).chain(&i.track_processes))
            .chain(
                config
                    .groups
                    .iter()
                    .flat_map(|g| g.track_scripts.iter().chain(&g.track_files).chain(&g.track_processes)),
            )
            .map(|t| t.name.as_str())
            .collect();
        let mut wanted: Vec<(String, Spec)> = Vec::new();
        for s in config.scripts.iter().filter(|s| used.contains(s.name.as_str()) && !s.command.insecure) {
            wanted.push((format!("script {}", s.name), Spec::Script(s.clone())));
        }
        for f in config.files.iter().filter(|f| used.contains(f.name.as_str())) {
            wanted.push((format!("file {}", f.name), Spec::File(f.clone())));
        }
        for p in config.processes.iter().filter(|p| used.contains(p.name.as_str())) {
            wanted.push((format!("process {}", p.name), Spec::Process(p.clone())));
        }
        let mut old = std::mem::take(&mut self.trackers);
        for (key, spec) in wanted {
            let kept = old.remove(&key).filter(|(before, task)| {
                *before == spec || {
                    task.abort();
                    false
                }
            });
            let fresh = kept.is_none();
            let entry = kept.unwrap_or_else(|| self.start_tracker(spec));
            if fresh {
                self.look(&entry.0);
            }
            self.trackers.insert(key, entry);
        }
        for (_, task) in old.into_values() {
            task.abort();
        }
    }

    /// Files and processes are known before anything starts by them; scripts take their time.
    fn look(&mut self, spec: &Spec) {
        match spec {
            Spec::Script(_) => {}
            Spec::File(f) => self.input(Input::File(f.name.clone(), file::read(&f.path))),
            Spec::Process(p) => {
                let up = process::has_quorum(p, process::count(p));
                self.input(Input::Process(p.name.clone(), up));
            }
        }
    }

    /// Scripts that nobody tracks are a mistake of the configuration.
    pub(super) fn say_unused(&mut self) {
        let config = Arc::clone(&self.router.config);
        let tracked = |name: &str| {
            let lists = self.router.members.iter().map(|m| &m.config.track_scripts);
            lists.chain(config.groups.iter().map(|g| &g.track_scripts)).flatten().any(|t| t.name == name)
        };
        for script in config.scripts.iter().filter(|s| !tracked(&s.name)) {
            self.talk.push_back(Effect::Say(Message::Text(format!(
                "Warning - script {} is not used",
                script.name
            ))));
        }
    }

    fn start_tracker(&self, spec: Spec) -> (Spec, JoinHandle<()>) {
        let out = self.reports.0.clone();
        let task = match &spec {
            Spec::Script(s) => {
                let (known, lost) = (self.router.script(&s.name), self.bus.proxy_lost());
                tokio::spawn(script::run(s.clone(), known, lost, out))
            }
            Spec::File(f) => {
                if let Err(error) = file::initialise(f) {
                    self.say(&Message::Text(format!(
                        "Unable to initialise track file {}: {error}",
                        f.path.display()
                    )));
                }
                tokio::spawn(file::run(f.clone(), out))
            }
            Spec::Process(p) => tokio::spawn(process::run(p.clone(), out)),
        };
        (spec, task)
    }
}
