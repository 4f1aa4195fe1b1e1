//! One timer with the kernel's resolution. tokio's own wheel counts in milliseconds, which is more than the whole
//! lateness that a take-over may have.
//!
//! Invariant: never early. Absent on purpose: more than one deadline (the core knows them all).

use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// The timer.
#[derive(Debug)]
pub struct Alarm {
    timer: TimerFd,
    ready: AsyncFd<OwnedFd>,
    set: Option<Instant>,
}

impl Alarm {
    /// A timer that is not set; inside a tokio runtime.
    pub fn new() -> io::Result<Self> {
        let timer =
            TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC)?;
        let copy = timer.as_fd().try_clone_to_owned()?;
        #[expect(deprecated, reason = "its successor is unsafe; an OwnedFd owns its descriptor")]
        let ready = AsyncFd::with_interest(copy, Interest::READABLE)?;
        Ok(Self { timer, ready, set: None })
    }

    /// Waits until the deadline; for ever without one. Cancel safe.
    pub async fn wait(&mut self, deadline: Option<Instant>) -> io::Result<()> {
        let Some(at) = deadline else { return std::future::pending().await };
        loop {
            let now = Instant::now();
            if at <= now {
                return Ok(());
            }
            // One that goes off too early is set anew then: a backup's deadline moves with each advert.
            if self.set.is_none_or(|set| set > at) {
                let span = TimeSpec::from_duration(at - now);
                self.timer.set(Expiration::OneShot(span), TimerSetTimeFlags::empty())?;
                self.set = Some(at);
            }
            let mut guard = self.ready.readable().await?;
            // EAGAIN: the readiness was that of an earlier setting.
            let _ = self.timer.wait();
            guard.clear_ready();
            self.set = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn it_fires_in_time_and_can_be_moved() {
        let mut alarm = Alarm::new().unwrap();
        let start = Instant::now();
        alarm.wait(Some(start + Duration::from_micros(700))).await.unwrap();
        assert!(start.elapsed() >= Duration::from_micros(700));
        let later = start + Duration::from_mins(1);
        let moved = tokio::time::timeout(Duration::from_millis(5), alarm.wait(Some(later))).await;
        assert!(moved.is_err());
        alarm.wait(Some(Instant::now() + Duration::from_millis(1))).await.unwrap();
        alarm.wait(Some(start)).await.unwrap();
    }
}
