//! The time of a thread: read once when a task begins to run, then the same for all it does in that turn.
//!
//! A request asks for the time some twenty times; the answers lie within microseconds. haproxy takes the time once
//! per turn of its loop, so times in logs and timeouts are as exact as its are.
//!
//! Invariant: a task that was polled through [`ticking`] never sees a time older than the begin of that poll.
//!
//! Absent on purpose: threads that call no [`tick`]; they read the system's clocks each time.

use std::cell::Cell;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime};

/// How long the wall clock is carried on by the monotonic one before it is read again.
const WALL_KEPT: Duration = Duration::from_millis(10);

thread_local! {
    static NOW: Cell<Option<Instant>> = const { Cell::new(None) };
    static WALL: Cell<Option<(Instant, SystemTime)>> = const { Cell::new(None) };
    static SINCE: Cell<Option<(Instant, Instant, Duration)>> = const { Cell::new(None) };
}

/// Takes the time; until the next call [`now`] says this one.
pub fn tick() -> Instant {
    let now = Instant::now();
    NOW.set(Some(now));
    now
}

/// The time of this turn.
#[inline]
pub fn now() -> Instant {
    NOW.get().unwrap_or_else(Instant::now)
}

/// Time from a moment until [`now`]. A stream asks for the same one again and again within a turn.
#[inline]
pub fn since(start: Instant) -> Duration {
    let now = now();
    if let Some((from, to, known)) = SINCE.get()
        && (from, to) == (start, now)
    {
        return known;
    }
    let since = now.saturating_duration_since(start);
    SINCE.set(Some((start, now, since)));
    since
}

/// The wall clock at [`now`].
#[inline]
pub fn wall() -> SystemTime {
    let Some(now) = NOW.get() else { return SystemTime::now() };
    if let Some((at, wall)) = WALL.get()
        && let since = now.saturating_duration_since(at)
        && since < WALL_KEPT
    {
        return wall + since;
    }
    let wall = SystemTime::now();
    WALL.set(Some((now, wall)));
    wall
}

/// A task that takes the time at the begin of each of its polls. Boxed: an `async` wrapper would hold the task's
/// memory twice, once as argument and once pinned.
#[derive(Debug)]
pub struct Ticking<T>(Pin<Box<T>>);

/// Makes a task take the time whenever it runs.
pub fn ticking<T: Future<Output = ()>>(task: T) -> Ticking<T> {
    Ticking(Box::pin(task))
}

impl<T: Future<Output = ()>> Future for Ticking<T> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        tick();
        self.0.as_mut().poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stands_still_between_ticks_and_goes_on_with_them() {
        let first = tick();
        std::thread::sleep(Duration::from_millis(2));
        assert_eq!(now(), first);
        let wall_before = wall();
        assert_eq!(since(first), Duration::ZERO);
        assert!(tick() >= first + Duration::from_millis(2));
        assert_eq!((since(first), since(now())), (now() - first, Duration::ZERO));
        assert!(wall() >= wall_before);
        assert!(SystemTime::now().duration_since(wall()).unwrap_or_default() < Duration::from_secs(1));
    }

    #[test]
    fn goes_on_where_nobody_ticks() {
        std::thread::spawn(|| {
            let first = now();
            std::thread::sleep(Duration::from_millis(2));
            assert!(now() > first);
        })
        .join()
        .expect("thread");
    }
}
