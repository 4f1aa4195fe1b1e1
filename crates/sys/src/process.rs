//! Settings of the calling process or thread: name, death signal, privileges, scheduling.

use nix::sys::prctl;
use nix::sys::signal::Signal;
use std::ffi::CString;
use std::io;

/// Longest name the kernel keeps (`TASK_COMM_LEN` without the NUL).
const COMM_MAX: usize = 15;

/// Names this thread (the main thread: the process) as `ps -o comm`, `killall` and `pidof` see it. Cut to 15
/// octets; a NUL ends it.
pub fn set_name(name: &str) -> io::Result<()> {
    let bytes: Vec<u8> = name.bytes().take_while(|b| *b != 0).take(COMM_MAX).collect();
    let name = CString::new(bytes).map_err(io::Error::other)?;
    Ok(prctl::set_name(&name)?)
}

/// Lets SIGSEGV and SIGBUS end the process at once, whoever sent them. The standard library listens to them to tell
/// of a full stack, and swallows the first that another process sent.
pub fn default_faults() {
    for which in [Signal::SIGSEGV, Signal::SIGBUS] {
        // SAFETY: SIG_DFL installs no code of ours, so there is no handler that could be unsafe to run.
        let _ = unsafe { nix::sys::signal::signal(which, nix::sys::signal::SigHandler::SigDfl) };
    }
}

/// Asks the kernel to send this process `signal` (a number; 0 = none) when the thread that started it ends.
/// Lost by exec of a set-uid program. Fails with `InvalidInput` for a number that is no signal.
pub fn parent_death_signal(signal: i32) -> io::Result<()> {
    let signal = match signal {
        0 => None,
        n => Some(Signal::try_from(n).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?),
    };
    Ok(prctl::set_pdeathsig(signal)?)
}

/// From now on no exec gives this thread or its children more rights (set-uid bits are ignored). Cannot be undone.
pub fn no_new_privs() -> io::Result<()> {
    Ok(prctl::set_no_new_privs()?)
}

/// Nice value of the process, −20 to 19.
pub fn set_nice(nice: i32) -> io::Result<()> {
    // SAFETY: setpriority takes plain integers; 0 means the calling process.
    match unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Real-time round-robin scheduling with this priority, 1 to 99, not inherited by children.
pub fn set_realtime(priority: u32) -> io::Result<()> {
    let param = libc::sched_param { sched_priority: priority as i32 };
    // SAFETY: `param` lives across the call and is only read; 0 means the calling process.
    match unsafe { libc::sched_setscheduler(0, libc::SCHED_RR | libc::SCHED_RESET_ON_FORK, &raw const param) }
    {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Sends a signal by number, real-time ones included; says whether there was a process that we may signal. Pids that
/// mean groups are refused.
pub fn signal(pid: u32, number: i32) -> bool {
    let Ok(pid) = i32::try_from(pid) else { return false };
    if pid == 0 {
        return false;
    }
    // SAFETY: kill takes plain integers and touches no memory of ours.
    unsafe { libc::kill(pid, number) == 0 }
}

/// Lets all threads share one heap, for daemons whose threads hardly ever allocate at the same time: what one frees
/// another can use. Call it before there are threads; a C library other than glibc has nothing to set.
pub fn share_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: mallopt takes plain integers and may be called at any time; M_ARENA_MAX only limits later arenas.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}

/// Gives memory that is free now back to the system, after something large that will not come again soon.
pub fn release_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim takes a plain integer, is thread-safe and touches only memory that nobody holds.
    unsafe {
        libc::malloc_trim(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_cut_to_what_the_kernel_keeps() {
        std::thread::spawn(|| {
            set_name("keepalived-and-more").unwrap();
            let comm = std::fs::read_to_string("/proc/thread-self/comm").unwrap();
            assert_eq!(comm, "keepalived-and-\n");
        })
        .join()
        .unwrap();
    }

    #[test]
    fn death_signals_are_signals() {
        std::thread::spawn(|| {
            parent_death_signal(15).unwrap();
            assert_eq!(prctl::get_pdeathsig().unwrap(), Some(Signal::SIGTERM));
            parent_death_signal(0).unwrap();
            assert_eq!(prctl::get_pdeathsig().unwrap(), None);
            assert_eq!(parent_death_signal(4711).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        })
        .join()
        .unwrap();
    }

    #[test]
    fn privileges_can_be_given_up_per_thread() {
        std::thread::spawn(|| {
            no_new_privs().unwrap();
            assert!(prctl::get_no_new_privs().unwrap());
        })
        .join()
        .unwrap();
    }

    #[test]
    fn niceness_goes_up_for_anybody() {
        // SAFETY: getpriority takes plain integers.
        let before = unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) };
        set_nice(before).unwrap();
        // SAFETY: as above.
        assert_eq!(unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) }, before);
    }

    #[test]
    fn realtime_priorities_have_a_range() {
        std::thread::spawn(|| {
            assert_eq!(set_realtime(100).unwrap_err().raw_os_error(), Some(libc::EINVAL));
        })
        .join()
        .unwrap();
    }
}
