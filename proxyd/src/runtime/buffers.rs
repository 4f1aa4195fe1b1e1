//! Read buffers from a per-thread LIFO pool.
//!
//! Invariant: a connection holds memory only while it holds bytes; an idle one holds none. The last buffer given
//! back is the next one taken, so that the hot ones stay in the cache.
//!
//! Absent on purpose: growth. A head that does not fit is the sender's fault; bodies flow through.

use std::cell::RefCell;

/// Buffers kept per thread and class; more are given back to the allocator.
const KEPT_MAX: usize = 256;
/// Large buffers kept per thread.
const KEPT_LARGE_MAX: usize = 32;
/// Bytes copied at most to get into a large buffer.
const MOVED_MAX: usize = 4096;
/// For bodies that are known to be long.
pub const LARGE: usize = 128 * 1024;

struct Pool {
    size: usize,
    normal: Vec<Box<[u8]>>,
    large: Vec<Box<[u8]>>,
}

thread_local! {
    static POOL: RefCell<Pool> = const { RefCell::new(Pool { size: 16384, normal: Vec::new(), large: Vec::new() }) };
}

/// Sets the normal size for this thread (`tune.bufsize`); buffers of another size are not kept.
pub fn configure(size: usize) {
    POOL.with_borrow_mut(|p| {
        p.size = size;
        p.normal.clear();
    });
}

/// Normal buffers that this thread keeps for later.
pub fn kept() -> usize {
    POOL.with_borrow(|p| p.normal.len())
}

/// Bytes that were read and not yet used.
#[derive(Debug, Default)]
pub struct Buf {
    mem: Box<[u8]>,
    start: usize,
    end: usize,
}

impl Buf {
    /// The bytes held.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        &self.mem[self.start..self.end]
    }

    /// How many.
    #[inline]
    pub fn len(&self) -> usize {
        self.end - self.start
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Bytes it could hold at once; 0 while it has no memory.
    pub fn capacity(&self) -> usize {
        self.mem.len()
    }

    /// Whether nothing more can be read before something is used.
    pub fn is_full(&self) -> bool {
        self.len() == self.mem.len() && !self.mem.is_empty()
    }

    /// Whether the last read filled all the room there was.
    pub fn is_filled(&self) -> bool {
        self.end == self.mem.len() && self.end > 0
    }

    /// Uses up the first `n` bytes; gives the memory back with the last one.
    #[inline]
    pub fn consume(&mut self, n: usize) {
        self.start += n;
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            self.release();
        }
    }

    /// Room to read into; takes memory from the pool where there is none, and moves the bytes to the front
    /// where there is no room behind them.
    #[inline]
    pub fn room(&mut self, large: bool) -> &mut [u8] {
        if self.mem.is_empty() {
            self.mem = take(large);
        } else if large && self.mem.len() < LARGE && self.len() <= MOVED_MAX {
            let mut mem = take(true);
            let n = self.len();
            mem[..n].copy_from_slice(self.bytes());
            self.release();
            (self.mem, self.start, self.end) = (mem, 0, n);
        } else if self.end == self.mem.len() && self.start > 0 {
            self.mem.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        &mut self.mem[self.end..]
    }

    /// Says that `n` bytes were read into [`Self::room`].
    #[inline]
    pub fn filled(&mut self, n: usize) {
        self.end += n;
        if self.is_empty() {
            self.release();
        }
    }

    /// Puts bytes in front of those held, for peers that were read ahead of.
    pub fn append(&mut self, bytes: &[u8]) {
        let n = bytes.len().min(self.room(bytes.len() > 8192).len());
        self.room(false)[..n].copy_from_slice(&bytes[..n]);
        self.end += n;
    }

    fn release(&mut self) {
        if self.mem.is_empty() {
            return;
        }
        let mem = std::mem::take(&mut self.mem);
        // A thread that ends has no pool any more: the memory is freed then.
        let _ = POOL.try_with(|p| {
            let mut p = p.borrow_mut();
            if mem.len() == p.size && p.normal.len() < KEPT_MAX {
                p.normal.push(mem);
            } else if mem.len() == LARGE && p.large.len() < KEPT_LARGE_MAX {
                p.large.push(mem);
            }
        });
    }
}

impl Drop for Buf {
    fn drop(&mut self) {
        self.release();
    }
}

fn take(large: bool) -> Box<[u8]> {
    POOL.with_borrow_mut(|p| {
        let (list, size) = if large { (&mut p.large, LARGE) } else { (&mut p.normal, p.size) };
        list.pop().unwrap_or_else(|| vec![0; size].into_boxed_slice())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_goes_back_with_the_last_byte() {
        let mut buf = Buf::default();
        buf.room(false)[..3].copy_from_slice(b"abc");
        buf.filled(3);
        assert_eq!(buf.bytes(), b"abc");
        buf.consume(2);
        assert_eq!((buf.bytes(), buf.capacity()), (&b"c"[..], 16384));
        buf.consume(1);
        assert_eq!(buf.capacity(), 0);
    }

    #[test]
    fn bytes_move_to_the_front_when_there_is_no_room() {
        let mut buf = Buf::default();
        let n = buf.room(false).len();
        buf.filled(n);
        assert!(buf.is_full());
        buf.consume(n - 1);
        assert_eq!(buf.room(false).len(), n - 1);
        assert_eq!(buf.len(), 1);
    }
}
