//! Settings of the host that the configuration asks for: `promote_secondaries`, `disable_local_igmp`,
//! `vrrp_delay_after_boot`.
//!
//! Invariant: what is changed gets its old value back when nobody asks for it any more, and at the end. Absent on
//! purpose: settings that macvlans need (device.rs).

use super::Daemon;
use netlink::{Change, Setting};
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

const LOCAL_REPORTS: &str = "/proc/sys/net/ipv4/igmp_link_local_mcast_reports";

/// Old values of what was changed.
#[derive(Debug, Default)]
pub(super) struct Host {
    promoted: HashMap<String, u32>,
    local_reports: Option<String>,
}

/// How long the machine has been up.
fn uptime() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/uptime").ok()?;
    let seconds: f64 = text.split(' ').next()?.parse().ok()?;
    Some(Duration::from_secs_f64(seconds.clamp(0.0, 1e9)))
}

/// The delay before the start: the longer one of that from now on and of that since the boot.
pub(super) fn start_delay(from_now: Option<Duration>, since_boot: Option<Duration>) -> Option<Duration> {
    let left = since_boot.map(|delay| delay.saturating_sub(uptime().unwrap_or_default()));
    from_now.into_iter().chain(left).max().filter(|delay| !delay.is_zero())
}

impl Daemon {
    /// Brings the host's settings in line with the configuration in force.
    pub(super) fn settle_host(&mut self) {
        let asks = |m: &&crate::core::router::Member| m.config.promote_secondaries;
        let wanted: BTreeSet<String> =
            self.router.members.iter().filter(asks).map(|m| m.config.interface.clone()).collect();
        let quiet = self.router.config.globals.disable_local_igmp;
        self.promote(&wanted);
        self.report_local_groups(!quiet);
    }

    /// All settings as they were.
    pub(super) fn restore_host(&mut self) {
        self.promote(&BTreeSet::new());
        self.report_local_groups(true);
    }

    fn promote(&mut self, wanted: &BTreeSet<String>) {
        let mut changes = Vec::new();
        for name in
            wanted.iter().filter(|name| !self.host.promoted.contains_key(*name)).cloned().collect::<Vec<_>>()
        {
            let Some(link) = self.router.link(&name) else { continue };
            let Some(before) = super::device::setting(&name, "promote_secondaries") else { continue };
            changes.push(Change::Configure(link.index, vec![(Setting::PromoteSecondaries, 1)]));
            self.host.promoted.insert(name, before);
        }
        let done =
            self.host.promoted.keys().filter(|name| !wanted.contains(*name)).cloned().collect::<Vec<_>>();
        for name in done {
            let before = self.host.promoted.remove(&name);
            if let (Some(before), Some(link)) = (before, self.router.link(&name)) {
                changes.push(Change::Configure(link.index, vec![(Setting::PromoteSecondaries, before)]));
            }
        }
        if !changes.is_empty() {
            // An interface may be on its way out.
            let _results = self.commands.apply(&changes);
        }
    }

    /// Whether the kernel reports groups of the link's own range (224.0.0.x) as joined.
    fn report_local_groups(&mut self, report: bool) {
        match (report, &self.host.local_reports) {
            (false, None) => {
                let before = std::fs::read_to_string(LOCAL_REPORTS).unwrap_or_default();
                if before.trim() != "0" && std::fs::write(LOCAL_REPORTS, "0\n").is_ok() {
                    self.host.local_reports = Some(before);
                }
            }
            (true, Some(before)) => {
                // Whoever took the right away meanwhile wants it left.
                let _result = std::fs::write(LOCAL_REPORTS, before);
                self.host.local_reports = None;
            }
            (false, Some(_)) | (true, None) => {}
        }
    }
}
