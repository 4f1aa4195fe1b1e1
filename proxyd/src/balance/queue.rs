//! Streams that wait for a server: in order of priority, then of arrival.
//!
//! Invariant: who is granted a server holds a session of it from that moment, so nobody who comes later can take
//! it; a waiter that gives up leaves nothing behind.

use crate::config::model::ServerId;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// Class and offset of a stream (`set-priority-class`, `set-priority-offset`), and when it came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Priority {
    /// Lower classes go first.
    pub class: i32,
    /// When it came, milliseconds, moved by its offset.
    pub at_ms: i64,
}

/// What a waiter is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// It holds a session of this server.
    Server(ServerId),
    /// Its server went: choose anew.
    Again,
}

#[derive(Debug)]
struct Waiter {
    server: Option<ServerId>,
    priority: Priority,
    /// How many had left the queue of the same wish when it came.
    left_before: u64,
    slot: Arc<Mutex<Slot>>,
}

#[derive(Debug, Default)]
struct Slot {
    turn: Option<Turn>,
    waker: Option<Waker>,
    /// How many left the queue while it waited, itself included.
    left: u64,
}

#[derive(Debug, Default)]
struct Line {
    waiting: VecDeque<Waiter>,
    /// How many ever left: those that waited for any server, and those of each server.
    left: Vec<u64>,
}

/// The queue of one backend.
#[derive(Debug, Default)]
pub struct Queue {
    line: Mutex<Line>,
    /// Everybody, and those that wait for any server.
    len: AtomicUsize,
    anywhere: AtomicUsize,
}

/// A place in the queue.
#[derive(Debug)]
pub struct Place(Arc<Mutex<Slot>>);

impl Queue {
    /// Streams that wait for any server.
    pub fn len(&self) -> usize {
        self.anywhere.load(Relaxed)
    }

    /// Whether nobody waits at all.
    pub fn is_empty(&self) -> bool {
        self.len.load(Relaxed) == 0
    }

    fn lock(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, line: &Line) {
        self.len.store(line.waiting.len(), Relaxed);
        self.anywhere.store(line.waiting.iter().filter(|w| w.server.is_none()).count(), Relaxed);
    }

    /// Gets in line: for one server, or for any.
    pub fn enter(&self, server: Option<ServerId>, priority: Priority) -> Place {
        let slot = Arc::new(Mutex::new(Slot::default()));
        let mut line = self.lock();
        let at = line.waiting.iter().rposition(|w| w.priority <= priority).map_or(0, |n| n + 1);
        let left_before = *line.left_of(server);
        line.waiting.insert(at, Waiter { server, priority, left_before, slot: Arc::clone(&slot) });
        self.count(&line);
        Place(slot)
    }

    /// A server has room: as many as `take` gives sessions to get one. Those that would go to any server count when
    /// it is `open` to them. Gives how many that were.
    pub fn free(&self, server: ServerId, open: bool, mut take: impl FnMut() -> bool) -> u32 {
        if self.is_empty() {
            return 0;
        }
        let mut line = self.lock();
        let mut served = 0;
        while let Some(at) =
            line.waiting.iter().position(|w| w.server.map_or(open, |s| s == server)).filter(|_| take())
        {
            line.remove(at, Some(Turn::Server(server)));
            served += 1;
        }
        self.count(&line);
        served
    }

    /// A server went: those that wait for it alone choose anew. Gives how many that were.
    pub fn dissolve(&self, server: ServerId) -> u32 {
        if self.is_empty() {
            return 0;
        }
        let mut line = self.lock();
        let mut moved = 0;
        while let Some(at) = line.waiting.iter().position(|w| w.server == Some(server)) {
            line.remove(at, Some(Turn::Again));
            moved += 1;
        }
        self.count(&line);
        moved
    }

    /// Gives a place up. A turn that was granted meanwhile comes back, for the caller to pass on.
    pub fn leave(&self, place: &Place) -> Option<Turn> {
        let mut line = self.lock();
        if let Some(at) = line.waiting.iter().position(|w| Arc::ptr_eq(&w.slot, &place.0)) {
            line.remove(at, None);
        }
        self.count(&line);
        drop(line);
        place.lock().turn
    }
}

impl Line {
    fn left_of(&mut self, server: Option<ServerId>) -> &mut u64 {
        let at = server.map_or(0, |s| s.0 + 1);
        if self.left.len() <= at {
            self.left.resize(at + 1, 0);
        }
        &mut self.left[at]
    }

    fn remove(&mut self, at: usize, turn: Option<Turn>) {
        let Some(waiter) = self.waiting.remove(at) else { return };
        let left = self.left_of(waiter.server);
        *left += 1;
        let mut slot = waiter.slot.lock().unwrap_or_else(PoisonError::into_inner);
        slot.left = *left - waiter.left_before;
        slot.turn = turn;
        if let Some(waker) = slot.waker.take() {
            waker.wake();
        }
    }
}

impl Place {
    fn lock(&self) -> MutexGuard<'_, Slot> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many left the queue of the same wish while it waited, itself included; 0 before it left.
    pub fn left(&self) -> u32 {
        self.lock().left as u32
    }

    /// Whether it is this stream's turn.
    pub fn poll_turn(&self, cx: &mut Context<'_>) -> Poll<Turn> {
        let mut slot = self.lock();
        if let Some(turn) = slot.turn {
            return Poll::Ready(turn);
        }
        slot.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_free_session_goes_to_the_first_that_can_use_it() {
        let queue = Queue::default();
        let mut cx = Context::from_waker(Waker::noop());
        let at = |class, at_ms| Priority { class, at_ms };
        let once = || {
            let mut left = 1;
            move || {
                left -= 1;
                left >= 0
            }
        };
        let a = queue.enter(Some(ServerId(1)), at(0, 1));
        let b = queue.enter(None, at(0, 2));
        let c = queue.enter(None, at(-1, 3));
        assert_eq!(queue.len(), 2);
        assert_eq!(queue.free(ServerId(0), true, once()), 1);
        assert_eq!(c.poll_turn(&mut cx), Poll::Ready(Turn::Server(ServerId(0))));
        assert!(b.poll_turn(&mut cx).is_pending());
        assert_eq!(queue.free(ServerId(0), false, once()), 0, "a backup takes nobody who did not ask for it");
        assert_eq!(queue.free(ServerId(0), true, once()), 1);
        assert!(b.poll_turn(&mut cx).is_ready() && a.poll_turn(&mut cx).is_pending());
        assert_eq!((c.left(), b.left(), a.left()), (1, 2, 0));
        assert_eq!(queue.dissolve(ServerId(1)), 1);
        assert_eq!(a.poll_turn(&mut cx), Poll::Ready(Turn::Again));
        assert!(queue.is_empty());
        let d = queue.enter(None, at(0, 4));
        assert_eq!(queue.leave(&d), None);
        assert!(queue.is_empty());
    }

    #[test]
    fn who_leaves_too_late_hands_its_session_back() {
        let queue = Queue::default();
        let place = queue.enter(None, Priority::default());
        queue.free(ServerId(2), true, || true);
        assert_eq!(queue.leave(&place), Some(Turn::Server(ServerId(2))));
    }
}
