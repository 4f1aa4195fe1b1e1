//! Sync groups and what is tracked.

use super::instance::{listed, tracked};
use super::{quoted, states, yes};
use crate::config::model::{Instance, ParamMatch, SyncGroup, Tracked};
use crate::core::router::{Member, Router};
use std::fmt::Write as _;

/// Who tracks a thing, instances first, then the members of groups that do.
fn tracking(
    out: &mut String,
    router: &Router,
    name: &str,
    of: impl Fn(&Instance) -> &Vec<Tracked>,
    of_group: impl Fn(&SyncGroup) -> &Vec<Tracked>,
) {
    let _ = writeln!(out, "   Tracking instances :");
    let named = |list: &Vec<Tracked>| list.iter().find(|t| t.name == name).map(|t| t.weight);
    for member in &router.members {
        if let Some(weight) = named(of(&member.config)) {
            let _ = writeln!(out, "     {}, weight {weight}", member.config.name);
        }
    }
    for group in &router.groups {
        let Some(weight) = named(of_group(&group.config)) else { continue };
        for m in &group.members {
            let _ = writeln!(out, "     {}, weight {weight}", router.members[*m].config.name);
        }
    }
}

pub(super) fn trackers(out: &mut String, router: &Router) {
    let config = &router.config;
    if !config.scripts.is_empty() {
        let _ = writeln!(out, "------< VRRP Scripts >------");
    }
    for s in &config.scripts {
        let _ = writeln!(out, " VRRP Script = {}", s.name);
        let _ = writeln!(out, "   Command = {}", quoted(&s.command));
        let _ = writeln!(out, "   Interval = {} sec", s.interval.as_secs_f64());
        let _ = writeln!(out, "   Timeout = {} sec", s.timeout.unwrap_or_default().as_secs_f64());
        let _ = writeln!(out, "   Weight = {}{}", s.weight, if s.reverse { " reverse" } else { "" });
        let _ = writeln!(out, "   Rise = {}\n   Fall = {}", s.rise, s.fall);
        let up = router.script(&s.name);
        let result = match up {
            Some(true) => s.rise + s.fall - 1,
            Some(false) => 0,
            // Before the first result one failure or one success decides.
            None => {
                if s.init_fail {
                    s.rise - 1
                } else {
                    s.rise
                }
            }
        };
        let _ = writeln!(out, "   Result = {result}");
        let _ = writeln!(out, "   Insecure = {}", if s.command.insecure { "yes" } else { "no" });
        let _ = writeln!(out, "   Init state = {}", if s.init_fail { "failed" } else { "unknown" });
        let status = up.map_or("INIT", |up| if up { "GOOD" } else { "BAD" });
        let _ = writeln!(out, "   Status = {status}");
        let (uid, gid) = s.command.user.as_ref().map_or((0, 0), |u| (u.uid, u.gid));
        let _ = writeln!(out, "   Script uid:gid = {uid}:{gid}\n   VRRP instances :");
        tracking(out, router, &s.name, |i| &i.track_scripts, |g| &g.track_scripts);
        let _ = writeln!(out, "   State = idle");
    }
    if !config.files.is_empty() {
        let _ = writeln!(out, "------< VRRP Track files >------");
    }
    for f in &config.files {
        let _ = writeln!(out, " Track file = {}\n   File = {}", f.name, f.path.display());
        let _ = writeln!(out, "   Status = {}\n   Weight = {}", router.file(&f.name).unwrap_or(0), f.weight);
        tracking(out, router, &f.name, |i| &i.track_files, |g| &g.track_files);
    }
    if !config.processes.is_empty() {
        let _ = writeln!(out, "------< VRRP Track processes >------");
    }
    for p in &config.processes {
        let _ = writeln!(out, " VRRP Track process = {}\n   Process = {}", p.name, p.program);
        if let Some(params) = &p.params {
            let how = match p.param_match {
                None => "",
                Some(ParamMatch::Initial) => " initial",
                Some(ParamMatch::Partial) => " partial",
            };
            let _ = writeln!(out, "   Parameters = {}\n   Param match{how}", params.join(" "));
        }
        let _ = writeln!(out, "   Min processes = {}", p.quorum);
        let _ = writeln!(out, "   Current processes = {}", crate::track::process::count(p));
        let have = router.process(&p.name) == Some(true);
        let _ = writeln!(out, "   Have quorum = {}\n   Weight = {}", yes(have), p.weight);
        let _ = writeln!(out, "   Terminate delay = {:.6}s", p.terminate_delay.as_secs_f64());
        let _ = writeln!(out, "   Fork delay = {:.6}s", p.fork_delay.as_secs_f64());
        let _ = writeln!(out, "   Fork delay timer not running\n   Terminate delay timer not running");
        let _ = writeln!(out, "   Full command = {}", yes(p.full_command || p.params.is_some()));
        tracking(out, router, &p.name, |i| &i.track_processes, |g| &g.track_processes);
    }
}

pub(super) fn groups(out: &mut String, router: &Router) {
    if !router.groups.is_empty() {
        let _ = writeln!(out, "------< VRRP Sync groups >------");
    }
    for group in &router.groups {
        let c = &group.config;
        let _ = writeln!(out, " VRRP Sync Group = {}, {}", c.name, group.state);
        let count =
            |of: fn(&Member) -> u32| group.members.iter().map(|m| of(&router.members[*m])).sum::<u32>();
        let (faults, waiting) = (count(|m| m.faults), count(|m| m.pending));
        let _ = writeln!(out, "   Num member fault {faults}, num member init {waiting}");
        let _ = writeln!(out, "   VRRP member instances :");
        c.members.iter().for_each(|m| {
            let _ = writeln!(out, "     {m}");
        });
        let _ = writeln!(out, "   Using smtp notification = {}", if c.smtp_alert { "yes" } else { "no" });
        tracked(out, "Tracked interfaces", &c.track_interfaces);
        tracked(out, "Tracked scripts", &c.track_scripts);
        listed(out, "Tracked files", &c.track_files);
        listed(out, "Tracked process", &c.track_processes);
        states(out, &c.notify);
    }
}
