//! Deadlines of connections: a lazy wheel of milliseconds, one per thread.
//!
//! A task writes its deadline into a cell; the wheel holds one entry per cell at most and looks at the cell when
//! the entry comes up. Moving a deadline later, which nearly every event does, costs a store.
//!
//! Invariant: a cell with a deadline has an entry that comes up no later than it.
//!
//! Absent on purpose: a tokio timer per operation; one sleeps for the whole thread.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// Entries further away than this are looked at once on the way.
const SLOTS: usize = 4096;
const WORDS: usize = SLOTS / 64;
/// No deadline.
const NEVER: u64 = u64::MAX;

#[derive(Debug)]
struct CellInner {
    /// Milliseconds since the wheel's start.
    at_ms: Cell<u64>,
    /// When its entry comes up; [`NEVER`] without one.
    entry_ms: Cell<u64>,
    fired: Cell<bool>,
    /// Somebody ended it before its time.
    rung: Cell<Option<Why>>,
    waker: RefCell<Option<Waker>>,
}

/// Why a stream is ended from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// An operator.
    Killed,
    /// Its server went down.
    Down,
    /// Its server is a backup and others came up.
    Up,
}

/// Lets a deadline pass from outside its task, on the same thread.
#[derive(Debug)]
pub struct Alarm(Rc<CellInner>);

impl Alarm {
    /// Lets it pass now; it stays passed, whatever is set, until [`Deadline::silence`].
    pub fn ring(&self, why: Why) {
        self.0.rung.set(Some(why));
        self.0.fired.set(true);
        if let Some(waker) = self.0.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    /// Lets the task look around without anything having passed.
    pub fn nudge(&self) {
        if let Some(waker) = self.0.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    /// Time until the deadline; `None` without one.
    pub fn left(&self) -> Option<Duration> {
        let at = Some(self.0.at_ms.get()).filter(|at| *at != NEVER)?;
        Some(Duration::from_millis(WHEEL.with(|w| at.saturating_sub(w.ms(Instant::now())))))
    }
}

/// The deadline of one task.
#[derive(Debug)]
pub struct Deadline(Rc<CellInner>);

impl Default for Deadline {
    fn default() -> Self {
        Self(Rc::new(CellInner {
            at_ms: Cell::new(NEVER),
            entry_ms: Cell::new(NEVER),
            fired: Cell::new(false),
            rung: Cell::new(None),
            waker: RefCell::new(None),
        }))
    }
}

impl Deadline {
    /// Sets the deadline `after` from `now`; `None` takes it away.
    pub fn set(&self, now: Instant, after: Option<Duration>) {
        self.0.fired.set(self.0.rung.get().is_some());
        let Some(after) = after else {
            self.0.at_ms.set(NEVER);
            return;
        };
        WHEEL.with(|w| {
            // Rounded up: a timeout is never early.
            let at = w.ms(now).saturating_add(whole_ms(after) + 1);
            self.0.at_ms.set(at);
            if at < self.0.entry_ms.get() {
                w.insert(&self.0, at);
            }
        });
    }

    /// What ends it from outside.
    pub fn alarm(&self) -> Alarm {
        Alarm(Rc::clone(&self.0))
    }

    /// Whether it was ended from outside, and why.
    pub fn rung(&self) -> Option<Why> {
        self.0.rung.get()
    }

    /// Forgets that it was ended from outside.
    pub fn silence(&self) {
        self.0.rung.set(None);
        self.0.fired.set(false);
    }

    /// Whether the deadline passed; if not, the task is woken when it does.
    pub fn poll_passed(&self, cx: &mut Context<'_>) -> bool {
        if self.0.fired.get() {
            return true;
        }
        let mut waker = self.0.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|w| w.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
        false
    }

    /// Waits for the deadline.
    pub async fn passed(&self) {
        poll_fn(|cx| if self.poll_passed(cx) { Poll::Ready(()) } else { Poll::Pending }).await;
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        // The entry may live on for a while; the task must not.
        self.0.at_ms.set(NEVER);
        self.0.waker.borrow_mut().take();
    }
}

/// Whole milliseconds, without the wide division of [`Duration::as_millis`].
#[inline]
pub fn whole_ms(d: Duration) -> u64 {
    d.as_secs().saturating_mul(1000) + u64::from(d.subsec_millis())
}

struct Wheel {
    start: Instant,
    slots: RefCell<Vec<Vec<Rc<CellInner>>>>,
    used: RefCell<[u64; WORDS]>,
    /// Everything before this was looked at.
    now_ms: Cell<u64>,
    /// When the driver wakes up.
    wakes_ms: Cell<u64>,
    driver: RefCell<Option<Waker>>,
}

thread_local! {
    static WHEEL: Wheel = Wheel {
        start: Instant::now(),
        slots: RefCell::new(Vec::new()),
        used: RefCell::new([0; WORDS]),
        now_ms: Cell::new(0),
        wakes_ms: Cell::new(NEVER),
        driver: RefCell::new(None),
    };
}

impl Wheel {
    fn ms(&self, at: Instant) -> u64 {
        whole_ms(at.saturating_duration_since(self.start))
    }

    fn insert(&self, cell: &Rc<CellInner>, at: u64) {
        let now = self.now_ms.get();
        let at = at.clamp(now + 1, now + SLOTS as u64 - 1);
        cell.entry_ms.set(at);
        let slot = at as usize % SLOTS;
        let mut slots = self.slots.borrow_mut();
        if slots.is_empty() {
            slots.resize_with(SLOTS, Vec::new);
        }
        slots[slot].push(Rc::clone(cell));
        self.used.borrow_mut()[slot / 64] |= 1 << (slot % 64);
        if at < self.wakes_ms.get() {
            self.wakes_ms.set(at);
            if let Some(driver) = &*self.driver.borrow() {
                driver.wake_by_ref();
            }
        }
    }

    /// The first slot in use after `now_ms`.
    fn next(&self) -> Option<u64> {
        let used = self.used.borrow();
        let now = self.now_ms.get();
        let first = (now + 1) as usize % SLOTS;
        for n in 0..=WORDS {
            let index = (first / 64 + n) % WORDS;
            let mut word = used[index];
            if n == 0 {
                word &= !0 << (first % 64);
            } else if n == WORDS {
                word &= !(!0 << (first % 64));
            }
            if word != 0 {
                let slot = index * 64 + word.trailing_zeros() as usize;
                return Some(now + 1 + ((slot + SLOTS - first) % SLOTS) as u64);
            }
        }
        None
    }

    /// Looks at all entries up to `to`.
    fn advance(&self, to: u64) {
        while let Some(at) = self.next().filter(|at| *at <= to) {
            self.now_ms.set(at);
            let slot = at as usize % SLOTS;
            let entries = std::mem::take(&mut self.slots.borrow_mut()[slot]);
            self.used.borrow_mut()[slot / 64] &= !(1 << (slot % 64));
            for cell in entries {
                if cell.entry_ms.get() != at {
                    continue; // an earlier entry took its place
                }
                cell.entry_ms.set(NEVER);
                match cell.at_ms.get() {
                    NEVER => {}
                    due if due <= at => {
                        cell.fired.set(true);
                        if let Some(waker) = cell.waker.borrow_mut().take() {
                            waker.wake();
                        }
                    }
                    later => self.insert(&cell, later),
                }
            }
        }
        self.now_ms.set(self.now_ms.get().max(to));
    }
}

/// Fires the deadlines of this thread; runs as long as the thread.
pub async fn drive() {
    let mut sleep = pin!(tokio::time::sleep(Duration::ZERO));
    poll_fn(|cx| {
        WHEEL.with(|w| {
            *w.driver.borrow_mut() = Some(cx.waker().clone());
            loop {
                w.advance(w.ms(Instant::now()));
                let Some(at) = w.next() else {
                    w.wakes_ms.set(NEVER);
                    return Poll::Pending;
                };
                w.wakes_ms.set(at);
                sleep.as_mut().reset((w.start + Duration::from_millis(at)).into());
                if sleep.as_mut().poll(cx).is_pending() {
                    return Poll::<()>::Pending;
                }
            }
        })
    })
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(f: impl Future<Output = ()>) {
        let rt = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build_local(tokio::runtime::LocalOptions::default());
        rt.expect("runtime").block_on(async {
            let driver = tokio::task::spawn_local(drive());
            f.await;
            driver.abort();
        });
    }

    #[test]
    fn fires_once_due_and_not_before() {
        run(async {
            let (d, start) = (Deadline::default(), Instant::now());
            d.set(start, Some(Duration::from_millis(20)));
            d.passed().await;
            assert!(start.elapsed() >= Duration::from_millis(20));
        });
    }

    #[test]
    fn moving_it_later_and_earlier_counts() {
        run(async {
            let (d, start) = (Deadline::default(), Instant::now());
            d.set(start, Some(Duration::from_millis(5)));
            d.set(start, Some(Duration::from_millis(30)));
            d.passed().await;
            assert!(start.elapsed() >= Duration::from_millis(30));
            d.set(Instant::now(), Some(Duration::from_mins(1)));
            let again = Instant::now();
            d.set(again, Some(Duration::from_millis(5)));
            d.passed().await;
            assert!(again.elapsed() < Duration::from_secs(20));
        });
    }
}
