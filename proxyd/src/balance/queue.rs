//! Streams that wait for a server: in order of priority, then of arrival.
//!
//! Invariant: a slot that becomes free wakes exactly one waiter that can use it; a waiter that gives up leaves no
//! slot behind.

use crate::config::model::ServerId;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

#[derive(Debug)]
struct Waiter {
    server: Option<ServerId>,
    priority: (i32, i32),
    slot: Arc<Mutex<Slot>>,
}

#[derive(Debug, Default)]
struct Slot {
    granted: bool,
    waker: Option<Waker>,
}

/// The queue of one backend.
#[derive(Debug, Default)]
pub struct Queue {
    waiting: Mutex<VecDeque<Waiter>>,
    len: AtomicUsize,
}

/// A place in the queue.
#[derive(Debug)]
pub struct Place(Arc<Mutex<Slot>>);

impl Queue {
    /// Streams waiting now.
    pub fn len(&self) -> usize {
        self.len.load(Relaxed)
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Waiting for this very server.
    pub fn len_of(&self, server: ServerId) -> usize {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.iter().filter(|w| w.server == Some(server)).count()
    }

    /// Gets in line: for one server, or for any. Gives how many were before.
    pub fn enter(&self, server: Option<ServerId>, priority: (i32, i32)) -> (Place, u32) {
        let slot = Arc::new(Mutex::new(Slot::default()));
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let at = waiting.iter().rposition(|w| w.priority <= priority).map_or(0, |n| n + 1);
        waiting.insert(at, Waiter { server, priority, slot: Arc::clone(&slot) });
        self.len.store(waiting.len(), Relaxed);
        (Place(slot), at as u32)
    }

    /// A slot of a server became free: the first that can use it may try again.
    pub fn free(&self, server: ServerId) {
        if self.is_empty() {
            return;
        }
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = waiting.iter().position(|w| w.server.is_none_or(|s| s == server))
            && let Some(waiter) = waiting.remove(at)
        {
            grant(&waiter);
        }
        self.len.store(waiting.len(), Relaxed);
    }

    /// Everybody may try again: a server changed its state.
    pub fn wake_all(&self) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.drain(..).for_each(|w| grant(&w));
        self.len.store(0, Relaxed);
    }

    /// Gives a place up. A turn that was granted meanwhile goes to the next in line.
    pub fn leave(&self, place: &Place, server: Option<ServerId>) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let before = waiting.len();
        waiting.retain(|w| !Arc::ptr_eq(&w.slot, &place.0));
        self.len.store(waiting.len(), Relaxed);
        let granted = waiting.len() == before;
        drop(waiting);
        if let (true, Some(server)) = (granted, server) {
            self.free(server);
        }
    }
}

fn grant(waiter: &Waiter) {
    let mut slot = waiter.slot.lock().unwrap_or_else(PoisonError::into_inner);
    slot.granted = true;
    if let Some(waker) = slot.waker.take() {
        waker.wake();
    }
}

impl Place {
    /// Whether it is this stream's turn.
    pub fn poll_turn(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if slot.granted {
            return Poll::Ready(());
        }
        slot.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_free_slot_goes_to_the_first_that_can_use_it() {
        let queue = Queue::default();
        let mut cx = Context::from_waker(Waker::noop());
        let (a, _) = queue.enter(Some(ServerId(1)), (0, 0));
        let (b, _) = queue.enter(None, (0, 0));
        let (c, before) = queue.enter(None, (-1, 0));
        assert_eq!(before, 0);
        queue.free(ServerId(0));
        assert!(c.poll_turn(&mut cx).is_ready() && b.poll_turn(&mut cx).is_pending());
        queue.free(ServerId(0));
        assert!(b.poll_turn(&mut cx).is_ready() && a.poll_turn(&mut cx).is_pending());
        queue.leave(&a, None);
        assert!(queue.is_empty());
    }
}
