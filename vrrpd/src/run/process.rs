//! The process itself: priority, memory, CPUs, and what it has used.

use crate::config::model::ProcessTuning;
use logging::{Contract, Severity};
use std::io;

/// Priority, memory and CPUs as configured; what the kernel refuses is said and lived without.
pub(super) fn tune(wanted: &ProcessTuning, log: &Contract) {
    let say = |what: &str, result: io::Result<()>| {
        if let Err(error) = result {
            log.say(Severity::Info, &format!("Unable to set {what}: {error}"));
        }
    };
    if let Some(nice) = wanted.nice {
        say("process priority", sys::process::set_nice(nice));
    }
    if let Some(priority) = wanted.realtime {
        say("realtime priority", sys::process::set_realtime(priority));
    }
    if wanted.no_swap {
        use nix::sys::mman::{MlockAllFlags, mlockall};
        let all = MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE;
        say("memory locking", mlockall(all).map_err(io::Error::from));
    }
    if !wanted.cpus.is_empty() {
        let mut set = nix::sched::CpuSet::new();
        // A number beyond what the kernel knows cannot be set; the others can.
        for cpu in &wanted.cpus {
            let _unknown = set.set(*cpu as usize);
        }
        let own = nix::unistd::Pid::from_raw(0);
        say("CPU affinity", nix::sched::sched_setaffinity(own, &set).map_err(io::Error::from));
    }
}

/// The last line with `--log-detail`: the time used.
pub(super) fn stopped() -> String {
    use nix::sys::resource::{UsageWho, getrusage};
    let used = |who| getrusage(who).map(|u| (u.user_time(), u.system_time())).ok();
    let time = |t: nix::sys::time::TimeVal| format!("{}.{:06}", t.tv_sec(), t.tv_usec());
    let Some((user, system)) = used(UsageWho::RUSAGE_SELF) else { return "Stopped".into() };
    match used(UsageWho::RUSAGE_CHILDREN) {
        Some((u, s)) if [u, s].iter().any(|t| t.tv_sec() > 0 || t.tv_usec() > 0) => format!(
            "Stopped - used (self/children) {}/{} user time, {}/{} system time",
            time(user),
            time(u),
            time(system),
            time(s)
        ),
        _ => format!("Stopped - used {} user time, {} system time", time(user), time(system)),
    }
}
