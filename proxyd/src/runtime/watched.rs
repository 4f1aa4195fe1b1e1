//! What the weight of a server follows from: values that tell whenever they may have changed.
//!
//! Every choice of a server depends on the weights of all, and there may be hundreds; weights change seldom. A
//! balancer keeps them and looks again only when the stamp has changed.
//!
//! Invariant: whoever sees a stamp sees all changes that it counts.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Counts changes of all such values of the process.
static STAMP: AtomicU64 = AtomicU64::new(1);

/// How many changes there were; never 0.
pub fn stamp() -> u64 {
    STAMP.load(Ordering::Acquire)
}

/// A number that weights follow from, used as an [`AtomicU32`].
#[derive(Debug, Default)]
pub struct Watched(AtomicU32);

#[expect(missing_docs, reason = "the methods are those of AtomicU32")]
impl Watched {
    #[inline]
    pub fn load(&self, order: Ordering) -> u32 {
        self.0.load(order)
    }

    pub fn store(&self, value: u32, order: Ordering) {
        self.0.store(value, order);
        changed();
    }

    pub fn swap(&self, value: u32, order: Ordering) -> u32 {
        let old = self.0.swap(value, order);
        changed();
        old
    }

    pub fn fetch_or(&self, bits: u32, order: Ordering) -> u32 {
        let old = self.0.fetch_or(bits, order);
        changed();
        old
    }

    pub fn fetch_and(&self, bits: u32, order: Ordering) -> u32 {
        let old = self.0.fetch_and(bits, order);
        changed();
        old
    }

    pub fn compare_exchange(
        &self,
        current: u32,
        new: u32,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u32, u32> {
        let outcome = self.0.compare_exchange(current, new, success, failure);
        changed();
        outcome
    }
}

fn changed() {
    STAMP.fetch_add(1, Ordering::Release);
}
